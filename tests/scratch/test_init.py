"""The initialisers beside torch.nn.init, from one seed: the same numbers, with every option and with none."""

import numpy as np
import pytest
import torch

import scratch
from rounding import same_draws
from scratch import nn, random

CASES = [
    *[("uniform_", options) for options in ({}, {"a": -2.0, "b": 3.0})],
    *[("normal_", options) for options in ({}, {"mean": 2.0, "std": 0.5})],
    *[("constant_", {"val": 2.5}), ("zeros_", {}), ("ones_", {})],
    *[(f"xavier_{law}_", options) for law in ("uniform", "normal") for options in ({}, {"gain": 1.7})],
    *[
        (f"kaiming_{law}_", options)
        for law in ("uniform", "normal")
        for options in (
            *({}, {"a": 0.3}, {"mode": "fan_out"}),
            *({"nonlinearity": name} for name in ("linear", "sigmoid", "tanh", "relu", "selu", "leaky_relu")),
        )
    ],
]
every_case = pytest.mark.parametrize(
    ("name", "options"), CASES, ids=lambda value: value if isinstance(value, str) else str(value)
)


@same_draws
@every_case
@pytest.mark.parametrize("shape", [(3, 4), (4, 3, 2), (2, 3, 3, 2)], ids=str)
def test_the_numbers_are_torchs(name, options, shape):
    for dtype in (np.float64, np.float32):
        scratch.manual_seed(3)
        torch.manual_seed(3)
        parameter, tensor = nn.Parameter(np.empty(shape, dtype)), torch.from_numpy(np.empty(shape, dtype))
        assert getattr(nn.init, name)(parameter, **options) is parameter
        getattr(torch.nn.init, name)(tensor, **options)
        # A normal number of float32 may be an ulp or two off: see random.py.
        ulps = 2 if dtype == np.float32 and "normal" in name else 0
        np.testing.assert_array_max_ulp(parameter.data, tensor.numpy(), ulps)
        np.testing.assert_array_equal(random.get_rng_state(), torch.get_rng_state().numpy())


@same_draws
@pytest.mark.parametrize(
    "name", sorted({name for name, options in CASES if not options} - {"zeros_", "ones_"})
)
def test_a_generator_of_ones_own_is_drawn_from_instead(name):
    before = random.get_rng_state()
    ours, theirs = np.empty((3, 4)), torch.empty(3, 4, dtype=torch.float64)
    getattr(nn.init, name)(ours, generator=random.Generator().manual_seed(5))
    getattr(torch.nn.init, name)(theirs, generator=torch.Generator().manual_seed(5))
    np.testing.assert_array_equal(ours, theirs.numpy())
    np.testing.assert_array_equal(random.get_rng_state(), before)


@pytest.mark.parametrize("param", [None, 0, 0.3, 2])
@pytest.mark.parametrize("name", ["linear", "sigmoid", "tanh", "relu", "selu", "leaky_relu"])
def test_gains_are_torchs(name, param):
    assert nn.init.calculate_gain(name, param) == torch.nn.init.calculate_gain(name, param)
