"""Recurrent layers: PyTorch's two matrices and two biases, put together as people have them.

Understood are, beside a cell or a layer of one direction,

* Wx, Wh and one b: the sum of the two biases;
* one W of both matrices, (in + hidden, gates · hidden) or the other way round, with one b or none.
"""

import re
from collections.abc import Sequence

from torch_ref.adapters.pieces import Piece, turns
from torch_ref.adapters.shapes import Shape, Shapes, without_ones

_NAMES = re.compile(r"(.*?)(weight|bias)_(ih|hh)(_l\d+)?")


def recurrent_pieces(ours: Shapes, theirs: Shapes) -> dict[str, tuple[Piece, ...]] | None:
    """The pieces of each of ours, if there are fewer of ours than of a recurrent layer's; else None."""
    if not theirs or len(ours) >= len(theirs) or not all(map(_NAMES.fullmatch, theirs)):
        return None
    weights = [name for name in theirs if "weight_" in name]
    biases = [name for name in theirs if "bias_" in name]
    if len(weights) != 2:
        return None
    found: dict[str, tuple[Piece, ...]] = {}
    matrices = [name for name, shape in ours.items() if len(without_ones(shape)) > 1]
    vectors = [name for name in ours if name not in matrices]
    if len(vectors) == 1 and biases:
        (b,) = vectors
        found[b] = tuple(Piece(name, theirs[name]) for name in biases)
    elif vectors or biases:
        return None
    if len(matrices) == 1:
        pieces = _joined(ours[matrices[0]], [(name, theirs[name]) for name in weights])
        return {matrices[0]: pieces, **found} if pieces else None
    if len(matrices) != 2:
        return None
    for own, name in zip(_in_order(matrices, ours, weights, theirs), weights, strict=True):
        axes = next(turns(ours[own], theirs[name]), None)
        if axes is None:
            return None
        found[own] = (Piece(name, theirs[name], axes),)
    return found


def _in_order(matrices: list[str], ours: Shapes, weights: list[str], theirs: Shapes) -> Sequence[str]:
    """Our two matrices, that for the input first if their shapes tell."""
    fits = [
        next(turns(ours[own], theirs[name]), None) is not None
        for own, name in zip(matrices, weights, strict=True)
    ]
    return matrices if all(fits) else matrices[::-1]


def _joined(shape: Shape, weights: list[tuple[str, Shape]]) -> tuple[Piece, ...] | None:
    """The two matrices beside each other, (rows, in + hidden), or transposed."""
    (_, (rows, columns)), (_, (_, hidden)) = weights
    for axes in ((), (1, 0)):
        turned = tuple(shape[a] for a in axes) if axes else shape
        if turned == (rows, columns + hidden):
            places = ((slice(None), slice(0, columns)), (slice(None), slice(columns, None)))
            return tuple(Piece(n, s, axes, place) for (n, s), place in zip(weights, places, strict=True))
    return None
