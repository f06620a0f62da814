"""Taps: which inputs along an axis each output is made of.

Pooling, padding and upsampling are one thing, done to one axis after the other: output o is made of a few
inputs. A table (O, k) says of which, in k columns, with -1 where there is none: for a window of 3 over 4
numbers, padded by 1 on either side,

    -1 0 1
     0 1 2
     1 2 3
     2 3 -1

NumPy goes through the table in taps. A tap is some outputs and as many inputs of one column, no input twice,
so that forward and its transpose, backward, are

    y[outputs] += x[inputs]        dx[inputs] += dy[outputs]

and lose nothing. Where both are evenly spaced they are slices, and what is added up are views.
"""

from collections.abc import Iterator
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np

Index = Any  # a slice, or an array of positions

_FEW = 6
# Windows longer than this are summed as a whole, where that many additions one by one would lose digits.
_LONG = 64


class Tap(NamedTuple):
    """Some outputs and, in the same order, the inputs that stand in a column of their rows."""

    column: int
    outputs: Index
    inputs: Index


class Taps:
    """A table, cut into taps.

    Args:
        length: the number of inputs.
        table: the positions of the inputs of each output, (O, k); -1 for none.
    """

    def __init__(self, length: int, table: np.ndarray) -> None:
        self.length, self.table = length, table
        self.count, self.width = table.shape
        # The first column of each row that has an input.
        self.first = np.argmax(table >= 0, axis=1).astype(np.min_scalar_type(self.width))

    @cached_property
    def taps(self) -> tuple[Tap, ...]:
        """The taps, column by column."""
        columns = range(self.width)
        return tuple(Tap(column, *pair) for column in columns for pair in _pairs(self.table[:, column]))

    @cached_property
    def spans(self) -> tuple[slice, ...]:
        """The inputs of each output, if they are a few long runs without gaps; else none."""
        if self.width <= _LONG or self.count >= self.width:
            return ()
        held = self.table >= 0
        first = np.take_along_axis(self.table, held.argmax(axis=1)[:, None], axis=1)[:, 0]
        last = self.table.max(axis=1, initial=-1)
        if not np.array_equal(last - first + 1, held.sum(axis=1)):
            return ()
        return tuple(slice(int(a), int(b) + 1) for a, b in zip(first, last, strict=True))

    def gather(self, x: np.ndarray, axis: int, weights: np.ndarray | None = None, fill: Any = 0) -> Any:
        """y_o = Σ_j w_oj x[table_oj] along the (negative) axis; ``fill`` where the first column has none."""
        if weights is None and not fill and self.spans:
            return np.stack([_sum(x[at(axis, span)], axis) for span in self.spans], axis)
        y = np.full_like(x, fill, shape=resized(x, axis, self.count))
        for column, outputs, inputs in self.taps:
            new = x[at(axis, inputs)]
            if weights is not None:
                new = new * _along(axis, weights[outputs, column], x.dtype)
            if column == 0:
                y[at(axis, outputs)] = new
            else:
                y[at(axis, outputs)] += new
        return y

    def scatter(self, dy: np.ndarray, axis: int, weights: np.ndarray | None = None) -> np.ndarray:
        """dx_i = Σ w_oj dy_o over all o and j with table_oj = i: the transpose of gather."""
        dx = np.zeros_like(dy, shape=resized(dy, axis, self.length))
        if weights is None and self.spans:
            for o, span in enumerate(self.spans):
                dx[at(axis, span)] += dy[at(axis, slice(o, o + 1))]
            return dx
        for column, outputs, inputs in self.taps:
            new = dy[at(axis, outputs)]
            if weights is not None:
                new = new * _along(axis, weights[outputs, column], dy.dtype)
            dx[at(axis, inputs)] += new
        return dx


@lru_cache(maxsize=256)
def fixed_windows(length: int, k: int, s: int, p: int, d: int, ceil_mode: bool = False) -> Taps:
    """Windows of k numbers, d apart, every s, from -p on: output o stands on o·s - p + j·d for j = 0 … k - 1.

    There are O = ⌊(L + 2p - d(k - 1) - 1) / s⌋ + 1 outputs of L inputs. With ceil_mode the division is
    rounded up, if the last window then still starts on the input or on the padding to its left.
    """
    count = (length + 2 * p - d * (k - 1) - 1 + (s - 1 if ceil_mode else 0)) // s + 1
    if ceil_mode and (count - 1) * s >= length + p:
        count -= 1
    table = np.arange(max(count, 0))[:, None] * s - p + np.arange(k) * d
    return Taps(length, np.where((table >= 0) & (table < length), table, -1))


@lru_cache(maxsize=256)
def adaptive_windows(length: int, count: int) -> Taps:
    """O windows that cover L numbers: output o stands on ⌊o·L/O⌋ … ⌈(o + 1)·L/O⌉ - 1."""
    o = np.arange(count)
    start, end = o * length // max(count, 1), -(-(o + 1) * length // max(count, 1))
    table = start[:, None] + np.arange(np.max(end - start, initial=1))
    return Taps(length, np.where(table < end[:, None], table, -1))


@lru_cache(maxsize=1024)
def along(taps: Taps, axis: int) -> tuple[tuple[int, Any, Any], ...]:
    """The taps as (column, outputs, inputs) that index arrays along this (negative) axis."""
    return tuple((tap.column, at(axis, tap.outputs), at(axis, tap.inputs)) for tap in taps.taps)


def at(axis: int, index: Index) -> tuple[Any, ...]:
    """The index that picks ``index`` along a negative axis, counted from the last."""
    return (..., index, *[slice(None)] * (-1 - axis))


def resized(x: np.ndarray, axis: int, size: int) -> tuple[int, ...]:
    """The shape of x, its negative axis of another size."""
    axis += x.ndim
    return (*x.shape[:axis], size, *x.shape[axis + 1 :])


def _sum(x: np.ndarray, axis: int) -> np.ndarray:
    """The sum along an axis: NumPy's, in pairs, of the last one, in which rounding hardly grows."""
    return np.ascontiguousarray(np.moveaxis(x, axis, -1)).sum(axis=-1)


def _along(axis: int, weights: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return weights.astype(dtype).reshape(-1, *[1] * (-1 - axis))


def _pairs(column: np.ndarray) -> Iterator[tuple[Index, Index]]:
    """The outputs that have an input in this column, and that input; each input once in each pair."""
    outputs = np.flatnonzero(column >= 0)
    inputs = column[outputs]
    while outputs.size:
        first = np.sort(np.unique(inputs, return_index=True)[1])
        runs = list(_runs(outputs[first], inputs[first]))
        if len(runs) <= _FEW:
            yield from ((_slice(o), _slice(i)) for o, i in runs)
        else:
            yield outputs[first], inputs[first]
        outputs, inputs = np.delete(outputs, first), np.delete(inputs, first)


def _runs(outputs: np.ndarray, inputs: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Both cut into runs in which they are evenly spaced."""
    steps = list(zip(np.diff(outputs).tolist(), np.diff(inputs).tolist(), strict=True))
    start = 0
    while start < len(outputs):
        end = start
        while end < len(steps) and steps[end] == steps[start]:
            end += 1
        yield outputs[start : end + 1], inputs[start : end + 1]
        start = end + 1


def _slice(positions: np.ndarray) -> slice:
    first, last = int(positions[0]), int(positions[-1])
    step = int(positions[1]) - first if len(positions) > 1 else 1
    end = last + (1 if step > 0 else -1)
    return slice(first, end if end >= 0 else None, step)
