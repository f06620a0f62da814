"""Padding (PyTorch, torch/nn/modules/padding.py): F.pad with its four modes, along one, two or three axes."""

import numpy as np

from scratch import functional as F
from scratch.nn.module import Module, arguments

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]


Padding = int | tuple[int, ...]


def check_length(module: Module, x: np.ndarray, padding: tuple[int, ...], mode: str) -> None:
    """Refuse an x whose axes cannot be padded so far.

    Raises:
        ValueError: an axis is too short.
    """
    for axis in range(-1, -1 - len(padding) // 2, -1):
        left, right = padding[-2 - 2 * axis : -2 * axis]
        L = x.shape[axis]
        kept = L + min(left, 0) + min(right, 0)
        fits = {
            "constant": min(L + min(left, 0), L + min(right, 0), L + left + right) >= 0,
            "reflect": max(left, right) < L and L + left + right > 0,
            "replicate": L > 0 and L + left + right > 0,
            "circular": max(left, right) <= kept and L + left + right >= 0,
        }
        if not fits[mode]:
            raise ValueError(f"{module}: axis {axis} of input, of shape {x.shape}, is too short for it")


class _Pad(Module):
    """Base class: y = x at the places of the padded axes."""

    axes: int = 1
    mode: str = "constant"
    value: float = 0.0

    def __init__(self, padding: Padding) -> None:
        n = 2 * self.axes
        given = tuple(padding) if isinstance(padding, tuple | list) else (padding,) * n
        if len(given) != n or not all(isinstance(p, int | np.integer) for p in given):
            raise ValueError(
                f"{type(self).__name__}: padding is {padding!r}, expected an integer or {n} of them: left, "
                "right" + ", top, bottom" * (n > 2) + ", front, back" * (n > 4)
            )
        self.padding = given

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y_t = x at the place of t."""
        n = self.axes
        if (
            not isinstance(input, np.ndarray)
            or input.dtype.kind not in "biufc"
            or input.ndim not in (n + 1, n + 2)
        ):
            shape = ("(C, L)", "(C, H, W)", "(C, D, H, W)")[n - 1]
            raise self.input_error("input", input, None, f"(N, {shape[1:]} or {shape}")
        check_length(self, input, self.padding, self.mode)
        return self.run(F.pad, F.pad_backward, (input,), (), self.padding, self.mode, self.value)

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return arguments(self)


class ConstantPad1d(_Pad):
    """x between numbers that are all the same: F.pad, "constant".

    Args:
        padding: how many before and behind x: one number, or (left, right).
        value: the number.

    Shape: x (*, L), y (*, left + L + right).

    Raises:
        ValueError: padding is not as many integers, or takes away more than there is.
        TypeError: x is not an array.

    Example:
        >>> layer = ConstantPad1d((1, 2), 9.0)
        >>> layer(np.array([1.0, 2.0])), layer.backward(np.arange(5.0))
        (array([9., 1., 2., 9., 9.]), array([1., 2.]))
    """

    def __init__(self, padding: Padding, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y_t = x at the place of t, or the value."""
        if not isinstance(input, np.ndarray) or input.dtype.kind not in "biufc" or input.ndim < self.axes:
            shape = ("(*, L)", "(*, H, W)", "(*, D, H, W)")[self.axes - 1]
            raise self.input_error("input", input, None, shape)
        check_length(self, input, self.padding, self.mode)
        return self.run(F.pad, F.pad_backward, (input,), (), self.padding, self.mode, self.value)


class ConstantPad2d(ConstantPad1d):
    """ConstantPad1d for images: x (*, H, W), padding (left, right, top, bottom)."""

    axes = 2


class ConstantPad3d(ConstantPad1d):
    """ConstantPad1d for volumes: x (*, D, H, W), padding (left, right, top, bottom, front, back)."""

    axes = 3


class ZeroPad1d(ConstantPad1d):
    """ConstantPad1d with the value 0."""

    def __init__(self, padding: Padding) -> None:
        super().__init__(padding, 0.0)


class ZeroPad2d(ZeroPad1d):
    """ConstantPad2d with the value 0."""

    axes = 2


class ZeroPad3d(ZeroPad1d):
    """ConstantPad3d with the value 0."""

    axes = 3


class ReflectionPad1d(_Pad):
    """x and its mirror images, of which each end number is shown once, 2 1 0 1 2 1 0: F.pad, "reflect".

    Args:
        padding: how many before and behind x: one number, or (left, right).

    Shape: x (N, C, L) or (C, L), y has left + L + right in the place of L.

    Raises:
        ValueError: padding is not as many integers, is L or more, or leaves nothing; or x has another number
            of axes.
        TypeError: x is not an array.

    Example:
        >>> layer = ReflectionPad1d((2, 0))
        >>> layer(np.array([[1.0, 2.0, 3.0]])), layer.backward(np.ones((1, 5)))
        (array([[3., 2., 1., 2., 3.]]), array([[1., 2., 2.]]))
    """

    mode = "reflect"


class ReflectionPad2d(ReflectionPad1d):
    """ReflectionPad1d for images: x (N, C, H, W) or (C, H, W), padding (left, right, top, bottom)."""

    axes = 2


class ReflectionPad3d(ReflectionPad1d):
    """ReflectionPad1d for volumes: x (N, C, D, H, W) or (C, D, H, W), padding as of ConstantPad3d."""

    axes = 3


class ReplicationPad1d(_Pad):
    """x between repetitions of its end numbers, 0 0 0 1 2 2 2: F.pad, "replicate".

    Args:
        padding: how many before and behind x: one number, or (left, right).

    Shape: x (N, C, L) or (C, L), y has left + L + right in the place of L.

    Raises:
        ValueError: padding is not as many integers or leaves nothing; or x has another number of axes.
        TypeError: x is not an array.

    Example:
        >>> layer = ReplicationPad1d((2, 0))
        >>> layer(np.array([[1.0, 2.0, 3.0]])), layer.backward(np.ones((1, 5)))
        (array([[1., 1., 1., 2., 3.]]), array([[3., 1., 1.]]))
    """

    mode = "replicate"


class ReplicationPad2d(ReplicationPad1d):
    """ReplicationPad1d for images: x (N, C, H, W) or (C, H, W), padding (left, right, top, bottom)."""

    axes = 2


class ReplicationPad3d(ReplicationPad1d):
    """ReplicationPad1d for volumes: x (N, C, D, H, W) or (C, D, H, W), padding as of ConstantPad3d."""

    axes = 3


class CircularPad1d(_Pad):
    """x as if it were a ring, 1 2 0 1 2 0 1: F.pad, "circular". What is taken away is no part of the ring.

    Args:
        padding: how many before and behind x: one number, or (left, right).

    Shape: x (N, C, L) or (C, L), y has left + L + right in the place of L.

    Raises:
        ValueError: padding is not as many integers, is above L (less what is taken away), or takes away more
            than there is; or x has another number of axes.
        TypeError: x is not an array.

    Example:
        >>> layer = CircularPad1d((2, 0))
        >>> layer(np.array([[1.0, 2.0, 3.0]])), layer.backward(np.ones((1, 5)))
        (array([[2., 3., 1., 2., 3.]]), array([[1., 2., 2.]]))
    """

    mode = "circular"


class CircularPad2d(CircularPad1d):
    """CircularPad1d for images: x (N, C, H, W) or (C, H, W), padding (left, right, top, bottom)."""

    axes = 2


class CircularPad3d(CircularPad1d):
    """CircularPad1d for volumes: x (N, C, D, H, W) or (C, D, H, W), padding as of ConstantPad3d."""

    axes = 3
