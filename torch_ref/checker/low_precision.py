"""bfloat16 and float16: code of tensors beside its reference in float64, on the very numbers that it gets.

The numbers are rounded once, and both sides get the rounded ones: an error that is made in representing the
inputs is nobody's. How far off an entry may be is read off a measuring stick, the reference itself: it runs
in the low precision as well, on these numbers and on some that differ by an ulp, each time beside float64. So
a kernel may round as PyTorch's plain formula does, and no more.
"""

import copy
from typing import Any, NamedTuple

import numpy as np
import torch

from scratch import nn
from scratch.copying import deep_copy
from scratch.gradcheck import Objective
from scratch.gradcheck.derivative import numeric_derivative
from scratch.gradcheck.rounding import Rounding, Tensors, spreads
from scratch.nested import is_floating, leaves, unflatten_as
from torch_ref.adapters import Holding, TensorCode, TorchHolding, adapt
from torch_ref.checker.comparison import Comparison
from torch_ref.checker.sides import Sides
from torch_ref.checker.torch_side import run_torch
from torch_ref.checker.verdict import TensorVerdict, largest

LOW = ("bfloat16", "float16")
_RUNS = 8


class _Precision(NamedTuple):
    """A dtype of torch's that NumPy may not have, by its name."""

    name: str


class _Judges(NamedTuple):
    """Outputs and gradients in float64, the reference's in the low precision, and how far they may spread."""

    exact: Tensors
    reference: Tensors
    spread: Tensors


def compare_low(sides: Sides, name: str, cotangent: Any = None) -> Comparison:
    """Outputs and gradients of yours in this precision, each beside the reference in float64.

    Without a reference, gradients beside the numeric derivative of your own forward in float64; the stick is
    then your own code, with every operation rounded at random.

    Raises:
        ValueError: there is no reference, and your forward cannot be differentiated in float64.
    """
    dtype = getattr(torch, name)
    sides = copy.copy(sides)
    sides.module = _in_precision(sides.module, dtype)
    objective, twin = _drawn(*sides.cast(np.dtype(np.float64), cotangent), dtype)
    ours = _run(objective)
    judges = _own(objective, dtype) if twin is None else _reference(objective, twin, dtype)
    gradients = {key for key in judges.exact if not key.startswith(("output", "buffer"))}
    standard = largest(
        *(judges.exact[key] for key in gradients), *(c for _, c in leaves(objective.cotangent))
    )
    tensors = [
        TensorVerdict(
            key,
            ours=ours[key],
            reference=judges.reference[key],
            numeric=exact,
            spread=judges.spread[key],
            doubt=0.0,
            dtype=_Precision(name),
            standard=standard if key in gradients else max(1.0, largest(exact)),
            has_reference=twin is not None,
        )
        for key, exact in judges.exact.items()
        if key in ours
    ]
    return Comparison(tuple(tensors), "float64 on the same numbers")


def _drawn(
    objective: Objective, twin: Any, dtype: torch.dtype, rng: np.random.Generator | None = None
) -> tuple[Objective, Any]:
    """Both sides on numbers that the precision holds; given ``rng``, on some that are up to an ulp off."""
    other, twin = objective.of(deep_copy(objective.model)), deep_copy(twin)
    other.inputs = _rounded(objective.inputs, dtype, rng)
    other.cotangent = _rounded(objective.cotangent, dtype, rng)
    for p in other.model.parameters():
        p.data = _rounded(p.data, dtype, rng)
    if twin is not None:
        with torch.no_grad():
            for theirs, p in zip(twin.parameters(), other.model.parameters(), strict=True):
                theirs.copy_(torch.from_numpy(p.data))
    for side in (other.model, twin):
        if isinstance(side, Holding | TorchHolding):
            side.held = {at: _rounded(value, dtype, None) for at, value in side.held.items()}
    return other, twin


def _rounded(value: Any, dtype: torch.dtype, rng: np.random.Generator | None) -> Any:
    if value is None:
        return None
    return unflatten_as(value, (_held_by(x, dtype, rng) if is_floating(x) else x for _, x in leaves(value)))


def _held_by(array: np.ndarray, dtype: torch.dtype, rng: np.random.Generator | None) -> np.ndarray:
    if rng is not None:
        array = array * (1 + torch.finfo(dtype).eps * rng.uniform(-1, 1, array.shape))
    return torch.from_numpy(np.array(array)).to(dtype).to(torch.float64).numpy()


def _run(objective: Objective) -> Tensors:
    outputs, gradients = objective.run()
    return {name: np.asarray(array) for name, array in (outputs | gradients.named()).items()}


def _in_precision(model: nn.Module, dtype: torch.dtype | None) -> nn.Module:
    """A copy that computes in ``dtype``."""
    model = deep_copy(model)
    for module in model.modules():
        if isinstance(module, TensorCode):
            module.precision = dtype
    return model


def _reference(objective: Objective, twin: torch.nn.Module, dtype: torch.dtype) -> _Judges:
    """By the reference: in float64, and as a measuring stick in the low precision."""
    rng = np.random.default_rng(0)
    exact, low = _both(objective, twin, dtype)
    spread = {name: _off(low[name], x) for name, x in exact.items()}
    for _ in range(_RUNS - 1):
        beside, its_low = _both(*_drawn(objective, twin, dtype, rng), dtype)
        spread = {name: np.maximum(off, _off(its_low[name], beside[name])) for name, off in spread.items()}
    return _Judges(exact, low, spread)


def _both(objective: Objective, twin: torch.nn.Module, dtype: torch.dtype) -> tuple[Tensors, Tensors]:
    """The reference in float64 and in the low precision."""
    exact = run_torch(twin, objective)
    low = _run(objective.of(_in_precision(adapt(twin), dtype)))
    return {name: x for name, x in exact.items() if name in low and low[name].shape == x.shape}, low


def _off(low: np.ndarray, exact: np.ndarray) -> np.ndarray:
    return np.nan_to_num(np.abs(low - exact), nan=np.inf)


def _own(objective: Objective, dtype: torch.dtype) -> _Judges:
    """By the numeric derivative of your own forward; the stick is your own code, rounded at random."""
    objective = objective.of(_in_precision(objective.model, None))
    exact = numeric_derivative(objective).gradients
    if not exact:
        raise ValueError(
            f"check: without a reference, dtypes={str(dtype).removeprefix('torch.')!r} needs a forward "
            "that can be differentiated numerically in float64; pass a reference"
        )
    unit = float(torch.finfo(dtype).eps) / 2  # to the nearest
    gradients = objective.run()[1].named()
    noisy = (objective.run(prepare=Rounding(unit, seed).wrap)[1].named() for seed in range(_RUNS))
    return _Judges(exact, exact, spreads({name: gradients[name] for name in exact}, noisy))
