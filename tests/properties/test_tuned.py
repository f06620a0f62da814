"""The tuned formulas give what the plain ones give, in every case of the catalog and either way.

Those of recurrent layers: tests/scratch/test_rnn.py.
"""

from typing import Any

import numpy as np
import pytest

import scratch
from all_in_one import dtypes
from sampled import one_in
from scratch.functional import conv_fast
from scratch.gradcheck import Objective, gradcheck
from scratch.gradcheck.rounding import numpy_spreads
from torch_ref.catalog import LOSSES, MODULES, Case
from torch_ref.catalog.draws import normal
from torch_ref.checker.verdict import SPREADS
from torch_ref.faults import replaced

# Of the cases of each test; the others in make long.
ONE_IN = 2

# The last two: fewer columns than outputs, which are kept for backward.
CASES = [
    *(case for case in MODULES if case.kind.startswith("Conv") or case.kind == "Linear"),
    *(case for case in LOSSES if case.kind == "CrossEntropyLoss" and case.draw(float)[1].dtype.kind == "i"),
    Case("Conv2d", (normal(5, 1, 5, 4),), (1, 6, (2, 3)), {"padding": 1}),
    Case("ConvTranspose1d", (normal(5, 6, 4),), (6, 2, 3), {"groups": 2}),
]
cases = pytest.mark.parametrize("case", one_in(2, CASES, lambda case: case.name))

# How many columns at a time, how few are made in one go for the whole window, and where dx is a correlation.
WAYS = {
    "as tuned": {},
    "a sample at a time, rows in turn, dx added up": {"_COLUMNS": 1, "_FEW": 1, "_WIDENING": 0},
    "few samples at a time, whole windows, dx a correlation": {
        "_COLUMNS": 300,
        "_FEW": 10**9,
        "_WIDENING": 10**9,
    },
}


@pytest.fixture(params=WAYS.values(), ids=WAYS.keys())
def way(request, monkeypatch) -> None:
    """The tuned functions, made to take another way."""
    conv_fast._windows.cache_clear()
    for name, value in request.param.items():
        monkeypatch.setattr(conv_fast, name, value)
    yield
    conv_fast._windows.cache_clear()


def plain() -> Any:
    """Within, the modules run the plain functions."""
    return replaced({})


def objective(case: Case, dtype: Any) -> Objective:
    """The case as a number to differentiate, with its output and all gradients."""
    scratch.manual_seed(0)
    return Objective(case.make(dtype), *case.draw(dtype))


def results(of: Objective) -> dict[str, np.ndarray]:
    outputs, gradients = of.run()
    return outputs | gradients.named()


@cases
@dtypes
def test_the_tuned_functions_give_the_plain_ones_numbers_but_for_measured_rounding(case, dtype, way) -> None:
    of = objective(case, dtype)
    tuned = results(of)
    with plain():
        expected, (_, spreads) = results(of), numpy_spreads(of)
    assert tuned.keys() == expected.keys()
    for name, y in expected.items():
        rounding = np.maximum(spreads[name], np.sqrt(np.mean(np.square(spreads[name]))))
        assert (tuned[name].dtype, tuned[name].shape) == (y.dtype, y.shape)
        assert np.all(np.abs(tuned[name] - y) <= SPREADS * rounding), name


@cases
@dtypes
def test_the_plain_functions_are_right_by_the_complex_step(case, dtype) -> None:
    of = objective(case, dtype)
    with plain():
        found = gradcheck(of.model, *of.inputs)
    assert found, str(found)


def test_the_plain_functions_run_where_a_test_asks_for_them(monkeypatch) -> None:
    monkeypatch.setattr(conv_fast, "convolution", None)
    module = scratch.nn.Conv1d(1, 1, 2)
    with plain():
        assert module(np.ones((1, 3), np.float32)).shape == (1, 2)
    with pytest.raises(TypeError):
        module(np.ones((1, 3), np.float32))
