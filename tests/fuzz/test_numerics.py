"""Extreme numbers: no output or gradient is further from the exact one than torch's in its precision."""

import warnings
from typing import Any

import numpy as np
import pytest
import torch

from fuzz.tally import DESIGNED, FINE, WRONG, each
from scratch import nn
from torch_ref import mirror

AREA = "numerics beside float64"
pytestmark = pytest.mark.filterwarnings("ignore")

ONE_BY_ONE = [
    "ReLU",
    "LeakyReLU",
    "Sigmoid",
    "Tanh",
    "ELU",
    "CELU",
    "SELU",
    "GELU",
    "SiLU",
    "Mish",
    "Softplus",
    "Softsign",
    "Softshrink",
    "Hardshrink",
    "Tanhshrink",
    "Hardtanh",
    "ReLU6",
    "Hardsigmoid",
    "Hardswish",
    "LogSigmoid",
]
LINES = {"Softmax": (1,), "LogSoftmax": (1,), "Softmin": (1,), "LayerNorm": (64,), "RMSNorm": (64,)}
NUMBERS = {
    "tiny": np.array([1e-38, -1e-38, 1e-30, -1e-20, 1e-10, -1e-7, 0.0, -0.0]),
    "around 1": np.linspace(-3, 3, 24),
    "tens": np.linspace(-60, 60, 25),
    "around the overflow of exp": np.array(
        [-104, -103.5, -88.8, -88.7, -87.4, -87.3, 87.3, 88.6, 88.7, 88.8, 89, 104]
    ),
    "large": np.array([1e4, -1e4, 1e8, -1e8, 1e20, -1e20]),
    "the largest": np.array([3e38, -3e38, 1.7e38, -1.7e38]),
}
ROWS = {
    "an offset": lambda rng: rng.standard_normal((4, 64)) + 1000,
    "a large offset": lambda rng: rng.standard_normal((4, 64)) + 1e6,
    "large": lambda rng: rng.standard_normal((4, 64)) * 1e15,
    "small": lambda rng: rng.standard_normal((4, 64)) * 1e-15,
    "one that stands out": lambda rng: np.where(np.arange(64) == 5, 1e5, rng.standard_normal((4, 64))),
}
LONG = {
    "AdaptiveAvgPool1d(1)": lambda: nn.AdaptiveAvgPool1d(1),
    "AvgPool1d(10**5)": lambda: nn.AvgPool1d(10**5),
    "LPPool1d(2, 10**5)": lambda: nn.LPPool1d(2, 10**5),
    "MSELoss": lambda: nn.MSELoss(),
    "L1Loss": lambda: nn.L1Loss(),
    "BCEWithLogitsLoss": lambda: nn.BCEWithLogitsLoss(),
    "SmoothL1Loss": lambda: nn.SmoothL1Loss(),
    "HuberLoss": lambda: nn.HuberLoss(),
    "PoissonNLLLoss": lambda: nn.PoissonNLLLoss(),
}
# Numbers a million from 0 in float32: the roundings of the mean stay, where torch's cancel.
ADDED_OTHERWISE = {("LayerNorm", "an offset"), ("LayerNorm", "a large offset")}
TRIALS = [
    *((kind, (), name) for kind in ONE_BY_ONE for name in NUMBERS),
    *((kind, args, name) for kind, args in LINES.items() for name in ROWS),
    *((kind, (), "long") for kind in LONG),
]


def pair(trial: tuple[str, Any, str]) -> tuple[nn.Module, list[np.ndarray]]:
    """The module, and its inputs in float32."""
    kind, args, name = trial
    rng = np.random.default_rng(0)
    if name == "long":
        inputs = [np.abs(rng.standard_normal((1, 10**5))) for _ in range(2 if kind.endswith("Loss") else 1)]
        return LONG[kind](), [x.astype(np.float32) for x in inputs]
    x = ROWS[name](rng) if kind in LINES else NUMBERS[name]
    return getattr(nn, kind)(*args), [x.astype(np.float32)]


def of_torch(twin: torch.nn.Module, inputs: list[np.ndarray], dtype: torch.dtype) -> list[np.ndarray]:
    tensors = [torch.from_numpy(x).to(dtype) for x in inputs]
    tensors[0].requires_grad_()
    y = twin(*tensors)
    y.backward(torch.ones_like(y))
    return [y.detach().double().numpy(), tensors[0].grad.double().numpy()]


def of_ours(module: nn.Module, inputs: list[np.ndarray]) -> list[np.ndarray]:
    y = module(*inputs)
    dx = module.backward() if isinstance(module, nn.Loss) else module.backward(np.ones_like(y))
    return [np.float64(y), np.float64(dx)]


def off(found: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """How far, in units of the last place; what is not finite is infinitely far."""
    unit = np.maximum(np.abs(exact) * 2.0**-24, 2.0**-149)
    limit = np.abs(exact) > np.finfo(np.float32).max  # both may say inf
    return np.where(
        limit & ~np.isfinite(found), 0.0, np.where(np.isfinite(found), np.abs(found - exact) / unit, np.inf)
    )


@each(TRIALS, 15)
def test_no_number_is_further_off_than_torchs(tried, trial) -> None:
    module, inputs = pair(trial)
    twin = mirror(module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mine, theirs = of_ours(module, inputs), of_torch(twin, inputs, torch.float32)
        exact = of_torch(mirror(pair(trial)[0].double()), inputs, torch.float64)
        worst = ""
        for name, a, b, c in zip(("y", "dx"), mine, theirs, exact, strict=True):
            scale = np.max(np.abs(c[np.isfinite(c)]), initial=float(name == "dx"))
            here, there = (off(side, c) for side in (a, b))
            # As near as torch, or within rounding of the largest number, as sums are.
            bad = (here > 4 * there + 8) & ~(np.abs(a - c) <= 8 * 2.0**-24 * scale) & np.isfinite(c)
            if bad.any():
                worst = f"{name}: {a[bad][:3]}, torch {b[bad][:3]}, exact {c[bad][:3]}"
    tried.add(
        FINE if not worst else DESIGNED if (trial[0], trial[2]) in ADDED_OTHERWISE else WRONG,
        f"{trial[0]} {trial[2]}",
        worst,
    )
