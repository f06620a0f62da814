"""Every argument of every constructor, of other kinds and out of range, then a forward and backward."""

import functools
import inspect
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import scratch
from fuzz.tally import ALONE, DESIGNED, FINE, WRONG, Tally, each, outcome_of, sized
from fuzz.test_inputs import our_pass, their_pass
from fuzz.twins import differ
from scratch import nn
from torch_ref.catalog import LOSSES, MODULES, first_of_each_kind

AREA = "arguments of constructors"
pytestmark = pytest.mark.filterwarnings("ignore")

VALUES: dict[str, Any] = {
    "None": None,
    "True": True,
    "False": False,
    "0": 0,
    "1": 1,
    "2": 2,
    "3": 3,
    "20": 20,
    "-1": -1,
    "-7": -7,
    "10**30": 10**30,
    "0.5": 0.5,
    "1.0": 1.0,
    "2.0": 2.0,
    "-0.5": -0.5,
    "1e300": 1e300,
    "nan": math.nan,
    "inf": math.inf,
    "-inf": -math.inf,
    "1j": 1j,
    "''": "",
    "'a'": "a",
    "'1'": "1",
    "'mean'": "mean",
    "'zeros'": "zeros",
    "'same'": "same",
    "b'a'": b"a",
    "()": (),
    "(1,)": (1,),
    "(2, 2)": (2, 2),
    "[2, 2]": [2, 2],
    "(2, 2, 2)": (2, 2, 2),
    "(1, -1)": (1, -1),
    "(1, None)": (1, None),
    "(1, 'a')": (1, "a"),
    "(0, 0, 0, 0)": (0, 0, 0, 0),
    "(1, 2, 3, 4, 5, 6)": (1, 2, 3, 4, 5, 6),
    "(1.5, 1.5)": (1.5, 1.5),
    "((1,),)": ((1,),),
    "{}": {},
    "{1}": {1},
    "range(2)": range(2),
    "object()": object(),
    "int": int,
    "len": len,
    "np.int64(2)": np.int64(2),
    "np.float32(.5)": np.float32(0.5),
    "np.bool_(True)": np.bool_(True),
    "np.array(2)": np.array(2),
    "np.ones(3)": np.ones(3, np.float32),
    "np.ones((2, 2))": np.ones((2, 2)),
    "np.array(['a'])": np.array(["a"]),
    "np.float32": np.float32,
    "'float64'": "float64",
    "'int64'": "int64",
    "slice(2)": slice(2),
    "NotImplemented": NotImplemented,
    "a module": nn.ReLU(),
}
# Flags may be 1 and 0 and NumPy's, whole numbers NumPy's, tuples lists, and any int is a number.
# A number for each axis may be one for all; one that float32 does not hold is inf, as in NumPy.
LIBERTIES = {"0", "1", "np.bool_(True)", "np.int64(2)", "np.float32(.5)", "[2, 2]", "10**30", "True", "False"}
LIBERTIES |= {"1e300", "(1,)", "np.array(2)", "(0, 0)"}
# torch's adaptive pools refuse a None that stands for all axes, and take it in a tuple.
ALLOWED = {
    (kind + f"{n}d", "output_size", "None")
    for kind in ("AdaptiveAvgPool", "AdaptiveMaxPool")
    for n in (1, 2, 3)
}
CASES = {case.name: case for case in first_of_each_kind(MODULES + LOSSES)}


@functools.cache
def arguments(name: str) -> tuple[dict[str, Any], list[str]]:
    """The case's own arguments, and the names of all."""
    case = CASES[name]
    _, *parameters = inspect.signature(getattr(nn, case.kind).__init__).parameters.values()
    names = [each.name for each in parameters if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]
    return dict(zip(names, case.args, strict=False)) | case.kwargs, names


def is_endless(argument: str, value: str) -> bool:
    """Whether both sides would begin to make that many layers."""
    return "_layers" in argument and value == "10**30"


TRIALS = [
    (name, argument, value)
    for name in CASES
    for argument in arguments(name)[1]
    for value in VALUES
    if not is_endless(argument, value)
]


def try_it(tried: Tally, name: str, changed: dict[str, str]) -> None:
    """Construct, run forward and backward, and the same in torch."""
    case, given = (
        CASES[name],
        arguments(name)[0] | {argument: VALUES[value] for argument, value in changed.items()},
    )
    shown = f"{case.kind}({', '.join(f'{k}={changed.get(k, v)}' for k, v in given.items())})"
    inputs = list(case.draw(np.float64 if "float64" in changed.values() else np.float32))

    def ours() -> Any:
        scratch.manual_seed(0)
        module = getattr(nn, case.kind)(**given)
        return module, our_pass(module, inputs)

    made, error = outcome_of(ours)
    if error is not None:
        tried.add_error(error, shown, [case.kind, *(each for each in dir(nn) if each[0].isupper())])
        return
    module, mine = made

    def theirs() -> Any:
        torch.manual_seed(0)
        options = {
            k: torch.from_numpy(v) if isinstance(v, np.ndarray) and v.dtype.kind in "fi" else v
            for k, v in given.items()
        }
        if "dtype" in options:
            options["dtype"] = getattr(torch, np.dtype(options["dtype"]).name)
        twin = getattr(torch.nn, case.kind)(**options)
        twin.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in module.state_dict().items()})
        return their_pass(twin, inputs, case.target)

    if "dtype" in changed and changed["dtype"] not in ("np.float32", "'float64'"):
        tried.add(ALONE, shown)
        return
    if "a module" in changed.values():
        tried.add(ALONE, shown)
        return
    yours, refusal = outcome_of(theirs)
    if refusal is not None:
        liberties = (
            set(changed.values()) & LIBERTIES or {(case.kind, *each) for each in changed.items()} & ALLOWED
        )
        tried.add(DESIGNED if liberties else WRONG, shown, refusal)
        return
    wrong = differ(mine[0], yours[0])
    infinite = "1e300" in changed.values() or "10**30" in changed.values()
    tried.add(FINE if not wrong else DESIGNED if infinite else WRONG, shown, wrong)


@each(TRIALS, 60)
def test_an_argument_is_refused_clearly_or_means_the_same_as_in_torch(tried, trial) -> None:
    name, argument, value = trial
    try_it(tried, name, {argument: value})


@sized(20, 4000)
@given(data=st.data())
def test_two_arguments_at_once(tried, data) -> None:
    name = data.draw(st.sampled_from([name for name in CASES if len(arguments(name)[1]) > 1]))
    two = data.draw(st.lists(st.sampled_from(arguments(name)[1]), min_size=2, max_size=3, unique=True))
    changed = {argument: data.draw(st.sampled_from(list(VALUES))) for argument in two}
    if not any(is_endless(*each) for each in changed.items()):
        try_it(tried, name, changed)
