"""Your parameters matched with the reference's."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from scratch import nn
from torch_ref.adapters.flat import flat_pieces, views_in
from torch_ref.adapters.paths import get
from torch_ref.adapters.pieces import Piece, turns
from torch_ref.adapters.recurrent import recurrent_pieces
from torch_ref.adapters.shapes import Shape, Shapes, without_ones

_BIASES = {"b", "bias", "biases", "beta", "shift", "offset"}
Pieces = dict[str, tuple[Piece, ...]]
Transposed = Collection[str] | Mapping[str, tuple[int, ...]]


def match_names(
    slots: Mapping[str, Any], shapes: Shapes | None, transposed: Transposed, found: str = ""
) -> Pieces:
    """The parameters of the reference that each of ours is made of, by our names, in the order of theirs.

    One of ours is one of theirs: by name if all are the same, by shape as far as that leaves no choice, else
    in order. Or there are fewer of ours, and they are those of a recurrent layer, put together.

    Raises:
        ValueError: the parameters are not as many, or of other shapes; ``found`` is what the message begins
            to tell of the object. Or one of ``transposed`` is none of ours.
    """
    if unknown := sorted(set(transposed) - set(slots)):
        raise ValueError(f"check: transposed: there is no parameter {unknown}; there are {[*slots]}")
    if shapes is None:
        return {own: (Piece(own, np.shape(slot.data)),) for own, slot in slots.items()}
    kept = slots
    if len(slots) > len(shapes):
        kept = {own: slot for own, slot in slots.items() if not getattr(slot, "assigned_by_forward", False)}
    ours = {own: np.shape(slot.data) for own, slot in kept.items()}
    if pieces := recurrent_pieces(ours, shapes, transposed=transposed):
        return pieces
    if len(ours) == 1 < len(shapes) and (flat := _flat(slots, shapes, transposed)):
        return flat
    if len(kept) != len(shapes):
        raise ValueError(
            f"check: mine has {len(slots)} parameters, {_listed(slots)}; the reference has {len(shapes)}, "
            + (", ".join(f"{name} {shape}" for name, shape in shapes.items()) or "none")
            + f". {found}"
        )
    names = _matched(ours, shapes)
    order = list(shapes)
    pairs = sorted(names.items(), key=lambda pair: order.index(pair[1]))
    return {
        own: (Piece(name, shapes[name], _axes(own, kept[own], name, shapes[name], transposed)),)
        for own, name in pairs
    }


def _flat(slots: Mapping[str, Any], shapes: Shapes, transposed: Transposed) -> Pieces | None:
    """One vector of all parameters."""
    ((own, slot),) = slots.items()
    if np.ndim(slot.data) != 1:
        return None
    views = next((v for path, v in views_in(slot.root).items() if get(slot.root, path) is slot.data), ())
    pieces = flat_pieces(np.size(slot.data), views, shapes, own in transposed)
    return {own: pieces} if pieces else None


def _matched(ours: Shapes, theirs: Shapes) -> dict[str, str]:
    """Our names to theirs, of which there are as many."""
    if set(ours) == set(theirs):
        return {own: own for own in ours}
    groups = {sizes: _in_group(sizes, ours) for sizes in map(_sizes, ours.values())}
    others = {sizes: _in_group(sizes, theirs) for sizes in map(_sizes, theirs.values())}
    if {sizes: len(g) for sizes, g in groups.items()} != {sizes: len(g) for sizes, g in others.items()}:
        return dict(zip(ours, theirs, strict=True))
    found: dict[str, str] = {}
    for sizes, group in groups.items():
        mine, other = group, others[sizes]
        if sum(map(_is_bias, mine)) == sum(map(_is_bias, other)):
            mine, other = sorted(mine, key=_is_bias), sorted(other, key=_is_bias)
        found |= dict(zip(mine, other, strict=True))
    return found


def _in_group(sizes: Shape, shapes: Shapes) -> list[str]:
    return [name for name, shape in shapes.items() if _sizes(shape) == sizes]


def _is_bias(name: str) -> bool:
    """Whether the name says that it is added, not multiplied: b1, layers[0].bias, beta."""
    return name.rpartition(".")[2].rstrip("0123456789_l").lower().lstrip("_") in _BIASES


def _sizes(shape: Shape) -> Shape:
    """The lengths of the axes that are not 1, whichever way round."""
    return tuple(sorted(without_ones(shape)))


def doubtful(
    slots: Mapping[str, Any], pieces: Pieces, transposed: Transposed
) -> dict[str, list[tuple[int, ...]]]:
    """By our names, the other orders of axes that the shapes of ours allow, where nothing was said."""
    found: dict[str, list[tuple[int, ...]]] = {}
    for own, (piece, *more) in pieces.items():
        if own in transposed or isinstance(slots[own], nn.Parameter):
            continue
        if more and piece.within is not None and any(len(each.shape) == 2 for each in (piece, *more)):
            found[own] = [(1, 0)]
        if more:
            continue
        others = [axes for axes in turns(np.shape(slots[own].data), piece.shape) if axes != piece.axes]
        if others and len(without_ones(piece.shape)) > 1:
            found[own] = others
    return found


def _axes(own: str, slot: Any, name: str, expected: Shape, transposed: Transposed) -> tuple[int, ...]:
    """The order of our axes that makes ours theirs."""
    if isinstance(transposed, Mapping) and own in transposed:
        return tuple(transposed[own])
    shape = np.shape(slot.data)
    is_told = own in transposed
    fitting: list[tuple[int, ...]]
    if isinstance(slot, nn.Parameter):
        fitting = [()] if shape == expected else []
    else:
        fitting = [axes for axes in turns(shape, expected) if axes or not is_told]
    if is_told and not fitting and shape[::-1] == expected:
        fitting = [tuple(reversed(range(len(shape))))]
    if fitting:
        return fitting[0]
    hint = ""
    if is_told and without_ones(shape) == without_ones(expected):
        hint = f"; it is not stored the other way round, so leave {own!r} out of transposed"
    raise ValueError(f"check: mine: your {own} has shape {shape}, the reference's {name} {expected}{hint}")


def _listed(slots: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {np.shape(slot.data)}" for name, slot in slots.items()) or "none"
