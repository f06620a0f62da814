"""Other conditions that a layer meets: other weights, eval mode, other shapes, large numbers.

A norm starts with γ = 1 and β = 0, and with these a backward that forgets γ is right. A stride of 2 leaves a
column over in an input of even length alone. An exponential overflows beyond 709. PyTorch decides: where it
refuses a shape, or gives nan or inf, nothing is compared. Without a reference, other numbers and shapes are
tried, as far as the forward takes them.
"""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from scratch.copying import deep_copy
from scratch.nested import is_floating, leaves, unflatten_as
from torch_ref.adapters.held import filled
from torch_ref.adapters.layout import TorchPicked
from torch_ref.checker.side_effects import smaller
from torch_ref.checker.sides import Sides

OTHER_WEIGHTS, EVAL, OTHER_NUMBERS = "weights drawn anew", "eval mode", "other numbers"
BATCH_OF_ONE, OTHER_SHAPE = "a batch of one", "an input of shape"
# How many times as large.
_FACTORS = (20.0, 1000.0)
_LARGE = "times as large"


def is_large(condition: str) -> bool:
    """Whether it is that of large numbers."""
    return condition.endswith(_LARGE)


def other_conditions(sides: Sides) -> Iterator[tuple[str, Sides]]:
    """(condition, both sides under it), for each that differs from the one that the sides are in."""
    if drawn := _with_drawn_weights(sides):
        yield OTHER_WEIGHTS, drawn
    if sides.twin is not None and sides.twin.training:
        other = _copied(sides)
        other.twin = deep_copy(sides.twin).eval()
        if _differ(sides, other):
            yield EVAL, other
    if sides.twin is None:
        yield from (*_other_numbers(sides), *_other_shapes(sides))
        return
    for condition, other in (*_other_shapes(sides), *_large_numbers(sides)):
        if _torch_is_finite(other):
            yield condition, other


def is_of_shape(condition: str) -> bool:
    """Whether it is that of another shape."""
    return condition.startswith((BATCH_OF_ONE, OTHER_SHAPE))


def _copied(sides: Sides) -> Sides:
    """The same sides, to be given other inputs or weights, which are then the regular ones."""
    other = copy.copy(sides)
    other.regular = other
    return other


def _other_shapes(sides: Sides) -> Iterator[tuple[str, Sides]]:
    """A batch of one, and each other axis of the input with the most axes, the first of them, shorter by one.

    Not the largest: that may be a weight, and cut weights of a recurrent layer crash PyTorch. Nor what
    belongs to a target, as the classes of probabilities, nor an output that was picked by its shape. Without
    a reference no batch of one, which the forward may stretch to the shape of what it keeps.
    """
    if isinstance(sides.twin, TorchPicked):
        return
    arrays = [x for _, x in leaves((sides.inputs, tuple(sides.held.values()))) if isinstance(x, np.ndarray)]
    shown = max(arrays, key=np.ndim, default=np.zeros(()))
    for axis, length in enumerate(shown.shape):
        if length > 1 and (axis == 0 or not sides.held):
            keep = 1 if axis == 0 and sides.twin is not None else length - 1
            if keep == 1 and sides.twin is None:
                continue
            shape = (*shown.shape[:axis], keep, *shown.shape[axis + 1 :])
            name = BATCH_OF_ONE if axis == 0 and keep == 1 else f"{OTHER_SHAPE} {shape}"
            if not _is_elsewhere(length, axis, [x for x in arrays if x.shape != shown.shape]):
                yield name, _cut(sides, axis, length, keep)


def _is_elsewhere(length: int, axis: int, others: list[np.ndarray]) -> bool:
    """Whether others are as long along another axis: it may be the same one, and cut, they would not fit."""
    return any(n == length and at != axis for x in others for at, n in enumerate(x.shape))


def _cut(sides: Sides, axis: int, length: int, keep: int) -> Sides:
    """The same, the inputs that are as long along this axis cut short."""

    def shorter(x: Any) -> Any:
        fits = isinstance(x, np.ndarray) and axis < x.ndim and x.shape[axis] == length
        return np.take(x, range(keep), axis=axis) if fits else x

    other = _copied(sides)
    other.inputs = unflatten_as(sides.inputs, (shorter(x) for _, x in leaves(sides.inputs)))
    other.held = {at: shorter(x) for at, x in sides.held.items()}
    return other


def _large_numbers(sides: Sides) -> Iterator[tuple[str, Sides]]:
    """Inputs many times as large, unless they are confined to a range, as probabilities are.

    Not those of a loss, whose logarithm may reach 0 there.
    """
    floating = [x for _, x in leaves(sides.inputs) if isinstance(x, np.ndarray) and x.dtype.kind == "f"]
    if sides.held or not floating or any(x.size == 0 or np.min(x) >= 0 for x in floating):
        return
    for factor in _FACTORS:
        other = _copied(sides)
        scaled = (x * factor if is_floating(x) else x for _, x in leaves(sides.inputs))
        other.inputs = unflatten_as(sides.inputs, scaled)
        yield f"inputs {factor:g} {_LARGE}", other


def _other_numbers(sides: Sides) -> Iterator[tuple[str, Sides]]:
    """The inputs in another order and smaller, so that what is confined to a range stays in it."""
    other = _copied(sides)
    moved = (smaller(x) if is_floating(x) else x for _, x in leaves(sides.inputs))
    other.inputs = unflatten_as(sides.inputs, moved)
    if any(is_floating(x) for _, x in leaves(sides.inputs)):
        yield OTHER_NUMBERS, other


def _torch_is_finite(sides: Sides) -> bool:
    """Whether PyTorch takes these inputs and gives finite numbers."""
    twin: Any = deep_copy(sides.twin)
    inputs = filled([_tensor(x) for x in sides.inputs], {at: _tensor(x) for at, x in sides.held.items()})
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            outputs = [y for _, y in leaves(twin.double()(*inputs))]
    except Exception:  # it does not take this shape
        return False
    return all(bool(torch.isfinite(y).all()) for y in outputs if isinstance(y, torch.Tensor))


def _tensor(value: Any) -> Any:
    arrays = (torch.from_numpy(np.array(x)) if isinstance(x, np.ndarray) else x for _, x in leaves(value))
    tensors = (x.double() if isinstance(x, torch.Tensor) and x.is_floating_point() else x for x in arrays)
    return unflatten_as(value, tensors)


def _with_drawn_weights(sides: Sides) -> Sides | None:
    """The same, with other numbers in each parameter whose entries are all equal; None if there is none."""
    values = _weights(sides)
    constant = {name: x for name, x in values.items() if x.size > 1 and np.all(x == x.flat[0])}
    if not constant:
        return None
    rng = np.random.default_rng(0)
    drawn = {name: x + 0.5 * rng.standard_normal(x.shape) for name, x in constant.items()}
    other = _copied(sides)
    other.module = deep_copy(sides.module)
    other.twin, other._right = deep_copy((sides.twin, sides._right))
    if other.twin is not None:
        with torch.no_grad():
            for name, p in other.twin.named_parameters():
                if name in drawn:
                    p.copy_(torch.from_numpy(drawn[name]))
    for module in (other.module, other._right):
        for name, own in () if module is None else module.named_parameters():
            if name in drawn:
                own.data = drawn[name].astype(own.dtype)
    return other


def _weights(sides: Sides) -> dict[str, np.ndarray]:
    if sides.twin is None:
        return {name: p.data for name, p in sides.module.named_parameters()}
    return {name: p.detach().cpu().double().numpy() for name, p in sides.twin.named_parameters()}


def _differ(sides: Sides, other: Sides) -> bool:
    """Whether your forward gives something else under the other condition: if not, it knows nothing of it."""
    try:
        one, two = (_output(each) for each in (sides, other))
    except Exception:  # from other people's code, in a mode that it does not have
        return False
    return any(a.shape != b.shape or not np.array_equal(a, b) for a, b in zip(one, two, strict=False))


def _output(sides: Sides) -> list[Any]:
    objective, _ = sides.cast(np.dtype(np.float64))
    return [np.asarray(y) for _, y in leaves(objective.y)]
