"""Windows laid out as columns, and added up again: F.unfold, F.fold (PyTorch, torch/nn/modules/fold.py)."""

import math

import numpy as np

from scratch import functional as F
from scratch.functional.fold import places
from scratch.nn.module import Module, arguments

__all__ = ["Fold", "Unfold"]


Pair = int | tuple[int, int]


class _Columns(Module):
    """Base class: the window that Unfold and Fold have in common."""

    kernel_size: Pair
    dilation: Pair
    padding: Pair
    stride: Pair

    def _set(self, kernel_size: Pair, dilation: Pair, padding: Pair, stride: Pair) -> None:
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride
        for name, least in (("kernel_size", 1), ("dilation", 1), ("padding", 0), ("stride", 1)):
            if min(self._pair(name)) < least:
                value = getattr(self, name)
                raise ValueError(f"{type(self).__name__}: {name} is {value}, expected {least} or more")

    def _pair(self, name: str) -> tuple[int, int]:
        value = getattr(self, name)
        rows, columns = value if isinstance(value, tuple | list) else (value, value)
        return rows, columns

    def _window(self) -> tuple[tuple[int, int], ...]:
        """kernel_size, dilation, padding and stride along H and along W."""
        return self._pair("kernel_size"), self._pair("dilation"), self._pair("padding"), self._pair("stride")

    def _places(self, sizes: tuple[int, ...]) -> int:
        """The number of places of the window.

        Raises:
            ValueError: the image is smaller than the window.
        """
        counts = places(sizes, *self._window())
        if min(counts) < 1:
            raise ValueError(f"{self}: the window is larger than the image, whose sizes are {sizes}")
        return math.prod(counts)

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return arguments(self)


class Unfold(_Columns):
    r"""The windows of an image as columns, $y_{(c,i,j),\, l} = x_{c,\, h,\, w}$: F.unfold.

    Args:
        kernel_size: k, one number or one for each axis; so all of them.
        dilation: d.
        padding: p.
        stride: s.

    Shape: x (N, C, H, W) or (C, H, W), y (N, C k k, L) or (C k k, L), L the number of places.

    Raises:
        ValueError: an argument below its least value; x that has another number of axes or is smaller than
            the window.
        TypeError: x is not an array.

    Example:
        >>> layer = Unfold(2)
        >>> layer(np.arange(9.0).reshape(1, 3, 3))[:, 0]
        array([0., 1., 3., 4.])
        >>> layer.backward(np.ones((4, 4)))
        array([[[1., 2., 1.],
                [2., 4., 2.],
                [1., 2., 1.]]])
    """

    def __init__(self, kernel_size: Pair, dilation: Pair = 1, padding: Pair = 0, stride: Pair = 1) -> None:
        self._set(kernel_size, dilation, padding, stride)

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = the windows of x."""
        if not isinstance(input, np.ndarray) or input.dtype.kind not in "biufc" or input.ndim not in (3, 4):
            raise self.input_error("input", input, None, "(N, C, H, W) or (C, H, W)")
        self._places(input.shape[-2:])
        return self.run(F.unfold, F.unfold_backward, (input,), (), *self._window())


class Fold(_Columns):
    r"""Columns added up to an image, $y_{c,\, h,\, w} = \sum x_{(c,i,j),\, l}$: F.fold.

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
        TypeError: x is not an array.

    Example:
        >>> layer = Fold((3, 3), 2)
        >>> layer(np.ones((4, 4)))
        array([[[1., 2., 1.],
                [2., 4., 2.],
                [1., 2., 1.]]])
        >>> layer.backward(np.ones((1, 3, 3))).shape
        (4, 4)
    """

    def __init__(
        self, output_size: Pair, kernel_size: Pair, dilation: Pair = 1, padding: Pair = 0, stride: Pair = 1
    ) -> None:
        self.output_size = output_size
        self._set(kernel_size, dilation, padding, stride)

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = the sum of x over the windows."""
        size, count = self._pair("output_size"), self._places(self._pair("output_size"))
        rows = math.prod(self._pair("kernel_size"))
        if (
            not isinstance(input, np.ndarray)
            or input.dtype.kind not in "biufc"
            or input.ndim not in (2, 3)
            or input.shape[-2] % rows
            or input.shape[-1] != count
        ):
            raise self.input_error("input", input, None, f"(N, C·{rows}, {count}) or (C·{rows}, {count})")
        return self.run(F.fold, F.fold_backward, (input,), (), size, *self._window())
