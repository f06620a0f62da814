r"""Windows laid out as columns, and added up again (PyTorch, torch/nn/modules/fold.py).

Column l is the window at the l-th place, row by row, and entry (c, i, j) of it the number of channel c at
(i, j) in the window. With kernel_size k, stride s, padding p and dilation d, place o and entry i of an axis
are number o·s - p + i·d, and 0 where there is none.

Unfold takes numbers to columns, one to some; Fold adds the columns up where they overlap. Each is the
transpose of the other, so the backward of each is the forward of the other. (Unfold is the book's im2col,
Fold its col2im.)
"""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from scratch.functional.taps import Taps, fixed_windows
from scratch.nn.module import Module, arguments

__all__ = ["Fold", "Unfold"]


Pair = int | tuple[int, int]


class _Columns(Module):
    """What goes from (…, C, H, W) to columns (…, C k k, L), or back."""

    kernel_size: Pair
    dilation: Pair
    padding: Pair
    stride: Pair

    def _set(self, kernel_size: Pair, dilation: Pair, padding: Pair, stride: Pair) -> None:
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride
        for name, least in (("kernel_size", 1), ("dilation", 1), ("padding", 0), ("stride", 1)):
            if min(self._pair(name)) < least:
                value = getattr(self, name)
                raise ValueError(f"{type(self).__name__}: {name} is {value}, wanted {least} or more")

    def _pair(self, name: str) -> tuple[int, int]:
        value = getattr(self, name)
        rows, columns = value if isinstance(value, tuple | list) else (value, value)
        return rows, columns

    def _windows(self, sizes: tuple[int, ...]) -> list[Taps]:
        """Along H and along W.

        Raises:
            ValueError: the image is smaller than the window.
        """
        names = ("kernel_size", "stride", "padding", "dilation")
        each_axis = zip(*map(self._pair, names), strict=True)
        windows = [fixed_windows(n, *axis) for n, axis in zip(sizes, each_axis, strict=True)]
        if any(w.count < 1 for w in windows):
            raise ValueError(f"{self}: the window is larger than the image, whose sizes are {sizes}")
        return windows

    def _unfold(self, x: np.ndarray, windows: list[Taps]) -> np.ndarray:
        """Each number to the places where it is in a window."""
        k, counts = [w.width for w in windows], [w.count for w in windows]
        lead = x.shape[:-2]
        columns = np.zeros_like(x, shape=(*lead, *k, *counts))
        for entry, image in _entries(windows):
            columns[entry] = x[image]
        return columns.reshape(*lead[:-1], lead[-1] * math.prod(k), math.prod(counts))

    def _fold(self, columns: np.ndarray, windows: list[Taps]) -> np.ndarray:
        """The sum of what stands at the places of each number."""
        k, counts = [w.width for w in windows], [w.count for w in windows]
        lead = (*columns.shape[:-2], columns.shape[-2] // math.prod(k))
        columns = columns.reshape(*lead, *k, *counts)
        x = np.zeros_like(columns, shape=(*lead, *(w.length for w in windows)))
        for entry, image in _entries(windows):
            x[image] += columns[entry]
        return x

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return arguments(self)


def _entries(windows: list[Taps]) -> Iterator[tuple[Any, Any]]:
    """Where the entries (i, j) stand in (…, k, k, H', W') and where in the image (…, H, W)."""
    for row, column in itertools.product(*(w.taps for w in windows)):
        entry = (..., row.column, column.column, row.outputs, column.outputs)
        yield entry, (..., row.inputs, column.inputs)


class Unfold(_Columns):
    r"""The windows of an image as columns: $y_{(c,i,j),\, l} = x_{c,\, h,\, w}$, dx by Fold.

    Args:
        kernel_size: k, one number or one for each axis; so all of them.
        dilation: d.
        padding: p.
        stride: s.

    Shape: x (N, C, H, W) or (C, H, W), y (N, C k k, L) or (C k k, L), L the number of places.

    Raises:
        ValueError: an argument below its least value; x that has another number of axes or is smaller than
            the window.
    """

    def __init__(self, kernel_size: Pair, dilation: Pair = 1, padding: Pair = 0, stride: Pair = 1) -> None:
        self._set(kernel_size, dilation, padding, stride)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """y = the windows of x."""
        if x.ndim not in (3, 4):
            raise ValueError(f"{self}: x has shape {x.shape}, wanted (N, C, H, W) or (C, H, W)")
        windows = self._windows(x.shape[-2:])
        y = self._unfold(x, windows)
        self.save(y.shape, y.dtype, windows)
        return y

    def backward(self, dy: np.ndarray, needs_input_grad: bool = True) -> np.ndarray:
        """dx = the sum of dy over the windows."""
        shape, dtype, windows = self.saved()
        self.check_grad(dy, shape, dtype)
        return self._fold(dy, windows)


class Fold(_Columns):
    r"""Columns added up to an image: $y_{c,\, h,\, w} = \sum x_{(c,i,j),\, l}$ of all that stand there.

    dx by Unfold.

    Args:
        output_size: (H, W), or one number for both.
        kernel_size: k, one number or one for each axis; so all of them.
        dilation: d.
        padding: p.
        stride: s.

    Shape: x (N, C k k, L) or (C k k, L), L the number of places, y (N, C, H, W) or (C, H, W).

    Raises:
        ValueError: an argument below its least value; x that has another number of axes, rows that k k does
            not divide, or another number of columns than there are places.
    """

    def __init__(
        self, output_size: Pair, kernel_size: Pair, dilation: Pair = 1, padding: Pair = 0, stride: Pair = 1
    ) -> None:
        self.output_size = output_size
        self._set(kernel_size, dilation, padding, stride)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """y = the sum of x over the windows."""
        windows = self._windows(self._pair("output_size"))
        rows, places = math.prod(w.width for w in windows), math.prod(w.count for w in windows)
        if x.ndim not in (2, 3) or x.shape[-2] % rows or x.shape[-1] != places:
            raise ValueError(
                f"{self}: x has shape {x.shape}, wanted (N, C·{rows}, {places}) or (C·{rows}, {places})"
            )
        y = self._fold(x, windows)
        self.save(y.shape, y.dtype, windows)
        return y

    def backward(self, dy: np.ndarray, needs_input_grad: bool = True) -> np.ndarray:
        """dx = the windows of dy."""
        shape, dtype, windows = self.saved()
        self.check_grad(dy, shape, dtype)
        return self._unfold(dy, windows)
