"""Your parameters matched with the reference's."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scratch import nn
from torch_ref.adapters.shapes import Shape, Shapes, without_ones


def match_names(slots: Mapping[str, Any], shapes: Shapes | None, transposed: Sequence[str]) -> dict[str, str]:
    """Our names to theirs: by name if all are the same, by shape if that leaves no choice, or in order.

    Raises:
        ValueError: the parameters are not as many, or of other shapes.
    """
    if shapes is None:
        return {own: own for own in slots}
    kept = slots
    if len(slots) > len(shapes):
        kept = {own: slot for own, slot in slots.items() if not getattr(slot, "assigned_by_forward", False)}
    if len(kept) != len(shapes):
        raise ValueError(
            f"adapt: yours has {len(slots)} parameters, {_listed(slots)}; the reference has {len(shapes)}, "
            + (", ".join(f"{name} {shape}" for name, shape in shapes.items()) or "none")
            + ". A parameter is an array beside its gradient, W and dW; or in params and grads; "
            "or an object with data and grad that parameters() gives; here or in an object that is kept here"
        )
    names = _matched({own: np.shape(slot.data) for own, slot in kept.items()}, shapes)
    for own, name in names.items():
        _check(own, kept[own], name, shapes[name], own in transposed)
    order = list(shapes)
    return dict(sorted(names.items(), key=lambda pair: order.index(pair[1])))


def _matched(ours: Shapes, theirs: Shapes) -> dict[str, str]:
    """Our names to theirs, of which there are as many."""
    if set(ours) == set(theirs):
        return {own: own for own in ours}
    by_sizes = {_sizes(shape): name for name, shape in theirs.items()}
    sizes = {own: _sizes(shape) for own, shape in ours.items()}
    if len(by_sizes) == len(theirs) and set(sizes.values()) == set(by_sizes):
        return {own: by_sizes[each] for own, each in sizes.items()}
    return dict(zip(ours, theirs, strict=True))


def _sizes(shape: Shape) -> Shape:
    """The lengths of the axes that are not 1, whichever way round."""
    return tuple(sorted(without_ones(shape)))


def _check(own: str, slot: Any, name: str, expected: Shape, transposed: bool) -> None:
    shape = np.shape(slot.data)
    turned = shape[::-1] if transposed else shape
    if turned == expected or (
        without_ones(turned) == without_ones(expected) and not isinstance(slot, nn.Parameter)
    ):
        return
    hint = ""
    if transposed and without_ones(shape) == without_ones(expected):
        hint = f"; it is not stored the other way round, so leave {own!r} out of transposed"
    elif not isinstance(slot, nn.Parameter) and len(shape) == 2 and shape[::-1] == expected:
        hint = f"; if it is stored the other way round, say transposed=[{own!r}]"
    raise ValueError(f"adapt: your {own} has shape {shape}, the reference's {name} {expected}{hint}")


def _listed(slots: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {np.shape(slot.data)}" for name, slot in slots.items()) or "none"
