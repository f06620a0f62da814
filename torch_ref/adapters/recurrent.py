"""Recurrent layers: PyTorch's two matrices and two biases, put together or taken apart as people have them.

Understood are, for a cell or a layer of one direction,

* Wx, Wh and one b: the sum of the two biases;
* one W of both matrices, (in + hidden, gates · hidden) or the other way round, with one b or none;
* arrays for each gate, Wf, Uf, bf or Wf of both matrices, bf; the gate is the name's last letter or word.
"""

import re
from collections.abc import Collection, Iterator

import numpy as np

from torch_ref.adapters.pieces import Piece, turns
from torch_ref.adapters.shapes import Shape, Shapes, without_ones

_NAMES = re.compile(r"(.*?)(weight|bias)_(ih|hh)(_l\d+)?")
# By the number of gates, how people call PyTorch's, in its order.
_GATES = {
    4: (
        ("i", "input", "in", "u"),
        ("f", "forget"),
        ("g", "c", "cell", "a", "candidate"),
        ("o", "output", "out"),
    ),
    3: (("r", "reset"), ("z", "u", "update"), ("n", "h", "c", "g", "new", "candidate")),
}


def recurrent_pieces(
    ours: Shapes, theirs: Shapes, hidden_first: bool = False, transposed: Collection[str] = ()
) -> dict[str, tuple[Piece, ...]] | None:
    """The pieces of each of ours, if they are a recurrent layer's otherwise divided; else None.

    ``hidden_first``: where one matrix has both, the columns of the hidden state come first.
    """
    names = list(theirs)
    weights, biases = ([name for name in names if kind in name] for kind in ("weight_", "bias_"))
    if len(weights) != 2 or not all(map(_NAMES.fullmatch, names)) or len(ours) == len(theirs):
        return None
    groups = _by_gate(ours, theirs[weights[0]][0] // theirs[weights[1]][1])
    found: dict[str, tuple[Piece, ...]] = {}
    for rows, group in groups.items():
        pieces = _of_gate(
            {own: ours[own] for own in group}, theirs, weights, biases, rows, hidden_first, transposed
        )
        if pieces is None:
            return None
        found |= pieces
    return found


def _by_gate(ours: Shapes, gates: int) -> dict[tuple[int, int], list[str]]:
    """Our names by their gate, (number of the gate, of how many); all in one group if they have no gates."""
    found: dict[tuple[int, int], list[str]] = {}
    for own in ours:
        word = re.split(r"[_.\[\]']", own.rstrip("]'"))[-1].lower()
        letters = _GATES.get(gates, ())
        fitting = [
            k for k, words in enumerate(letters) if word in words or (len(word) < 4 and word[-1] in words)
        ]
        if len(fitting) != 1:
            return {(0, 1): list(ours)}
        found.setdefault((fitting[0], gates), []).append(own)
    sizes = {len(group) for group in found.values()}
    return found if len(found) == gates and len(sizes) == 1 else {(0, 1): list(ours)}


def _of_gate(
    ours: Shapes,
    theirs: Shapes,
    weights: list[str],
    biases: list[str],
    gate: tuple[int, int],
    hidden_first: bool,
    transposed: Collection[str],
) -> dict[str, tuple[Piece, ...]] | None:
    """The pieces of one or two matrices and of one bias, or of none, for the rows of a gate."""
    matrices = [own for own, shape in ours.items() if len(without_ones(shape)) > 1]
    vectors = [own for own in ours if own not in matrices]
    rows = {name: _rows(theirs[name], gate) for name in theirs}
    found: dict[str, tuple[Piece, ...]] = {}
    if len(vectors) == 1 and biases:
        found[vectors[0]] = tuple(Piece(n, theirs[n], rows=rows[n]) for n in biases)
    elif vectors or biases:
        return None
    shapes = [_of_rows(theirs[name], rows[name]) for name in weights]
    if len(matrices) == 1:
        joined = list(_joined(ours[matrices[0]], shapes, hidden_first))
        pairs = zip(weights, joined, strict=True) if joined else ()
        found[matrices[0]] = tuple(Piece(n, theirs[n], a, p, rows=rows[n]) for n, (a, p) in pairs)
        return found if joined else None
    if len(matrices) != 2:
        return None
    if not all(next(turns(ours[own], s), None) is not None for own, s in zip(matrices, shapes, strict=True)):
        matrices.reverse()
    orders = [
        [axes for axes in turns(ours[own], shape) if axes or own not in transposed]
        for own, shape in zip(matrices, shapes, strict=True)
    ]
    if not all(orders):
        return None
    common = [axes for axes in orders[0] if axes in orders[1]]  # a square one is stored as the other is
    for own, name, order in zip(matrices, weights, orders, strict=True):
        found[own] = (Piece(name, theirs[name], common[0] if common else order[0], rows=rows[name]),)
    return found


def _rows(shape: Shape, gate: tuple[int, int]) -> tuple[int, int] | None:
    """The first row of a gate and that behind its last; None for all."""
    number, count = gate
    size = shape[0] // count
    return None if count == 1 else (number * size, (number + 1) * size)


def _of_rows(shape: Shape, rows: tuple[int, int] | None) -> Shape:
    return shape if rows is None else (rows[1] - rows[0], *shape[1:])


def _joined(
    shape: Shape, shapes: list[Shape], hidden_first: bool
) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
    """(axes, place) of the two matrices beside each other, (rows, in + hidden), or transposed."""
    (rows, columns), (_, hidden) = shapes
    for axes in ((), (1, 0)):
        if tuple(np.transpose(np.empty(shape), axes or None).shape if axes else shape) == (
            rows,
            columns + hidden,
        ):
            first = hidden if hidden_first else columns
            before, behind = (slice(None), slice(0, first)), (slice(None), slice(first, None))
            yield axes, behind if hidden_first else before
            yield axes, before if hidden_first else behind
            return
