"""Your arrays made of the reference's parameters: turned, laid end to end, or added.

PyTorch stores a weight as (out, in), a kernel as (out, in, kh, kw), and a recurrent layer has two matrices
and two biases. People store (in, out), (kh, kw, in, out), one matrix for both, one bias. An array of theirs
is a sum of pieces, each a parameter of the reference in a place of the array; the gradient goes the other
way.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from torch_ref.adapters.shapes import Shape, without_ones

# Axes that make (in, out) to (out, in), (k, in, out) to (out, in, k), (kh, kw, in, out) to (out, in, kh, kw);
# and others that are met: (out, kh, kw, in), (in, kh, kw, out), (in, out, kh, kw).
TURNS: dict[int, tuple[tuple[int, ...], ...]] = {
    2: ((1, 0),),
    3: ((2, 1, 0), (0, 2, 1), (1, 0, 2)),
    4: ((3, 2, 0, 1), (0, 3, 1, 2), (3, 0, 1, 2), (1, 0, 2, 3), (2, 3, 0, 1)),
    5: ((4, 3, 0, 1, 2), (0, 4, 1, 2, 3)),
}


@dataclass(frozen=True)
class Piece:
    """A parameter of the reference in an array of yours.

    Args:
        name: the parameter's.
        shape: the parameter's.
        axes: the order of the array's axes that makes it the parameter; () for as it is.
        place: where it is in the array: the array's own slice, after the axes were put in order.
        blocks: of a recurrent layer, whose rows are those of its gates: the places of the parameter's gates
            among yours; () for the same order.
        rows: the parameter's own rows, from and to, if it is not all of it.
        within: of one vector of all parameters, the shape of the part, whose axes ``axes`` then are.
    """

    name: str
    shape: Shape
    axes: tuple[int, ...] = ()
    place: tuple[Any, ...] = (...,)
    blocks: tuple[int, ...] = ()
    within: Shape | None = None
    rows: tuple[int, int] | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> "Piece":
        return self  # nothing in it can change

    def of(self, array: np.ndarray) -> np.ndarray:
        """The part of an array, of a gradient say, that belongs to the parameter, in its own shape.

        Raises:
            ValueError: the array is of another size.
        """
        if self.within is not None:
            part = array[self.place].reshape(self.within)
            return (np.transpose(part, self.axes) if self.axes else part).reshape(self.shape)
        turned = np.transpose(array, self.axes) if self.axes else array
        part = _in_blocks(turned[self.place], self.blocks)
        if self.rows is None:
            return part.reshape(self.shape)
        whole = np.zeros(self.shape, array.dtype)
        rows = whole[slice(*self.rows)]
        rows[...] = part.reshape(rows.shape)
        return whole

    def add_to(self, array: np.ndarray, value: np.ndarray) -> None:
        """Add the parameter's value in its place."""
        if self.within is not None:
            part = array[self.place].reshape(self.within)
            part += turned_back(value, self.axes, self.within)
            return
        turned = np.transpose(array, self.axes) if self.axes else array
        part = turned[self.place]
        value = value if self.rows is None else value[slice(*self.rows)]
        back = tuple(int(i) for i in np.argsort(self.blocks))
        turned[self.place] = part + _in_blocks(value.reshape(part.shape), back)


def turned_back(value: np.ndarray, axes: tuple[int, ...], shape: Shape) -> np.ndarray:
    """A parameter in the shape and order of axes of your array: a view on it."""
    if not axes:
        return value.reshape(shape)
    return value.reshape(tuple(shape[a] for a in axes)).transpose(np.argsort(axes))


def _in_blocks(array: np.ndarray, blocks: tuple[int, ...]) -> np.ndarray:
    """The blocks of rows, or of the entries of a vector, in this order."""
    if not blocks:
        return array
    axis = 1 if array.ndim == 2 and array.shape[0] == 1 else 0  # a bias of one row
    parts = np.split(array, len(blocks), axis=axis)
    return np.concatenate([parts[i] for i in blocks], axis=axis)


def turns(shape: Shape, expected: Shape) -> Iterator[tuple[int, ...]]:
    """The orders of axes that make ``shape`` the expected one, but for axes of length 1; () where it is."""
    if without_ones(shape) == without_ones(expected):
        yield ()
    for axes in TURNS.get(len(shape), ()):
        turned = tuple(shape[a] for a in axes)
        if turned == expected or without_ones(turned) == without_ones(expected):
            yield axes
