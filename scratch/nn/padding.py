r"""Padding (PyTorch, torch/nn/modules/padding.py).

The last one, two or three axes are made longer at either end, axis by axis. The number at place t of the
padded axis, counted from where x begins, is x at

    t                        where 0 ≤ t < L, and the constant elsewhere  ConstantPad, ZeroPad
    |t|, seen from either end: L - 1 - |L - 1 - |t||                      ReflectionPad
    min(max(t, 0), L - 1)                                                 ReplicationPad
    t mod L                                                               CircularPad

and as a number of x may come several times, its gradient is the sum over them: $dx_i = \sum_{t \to i} dy_t$.
Less than 0 at an end takes numbers away there.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from scratch.functional.taps import Taps
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
Place = Callable[[np.ndarray, int], np.ndarray]
Steps = list[tuple[int, Taps]]


@lru_cache(maxsize=256)
def _padded(place: Place, length: int, left: int, right: int) -> Taps:
    """An axis that starts ``left`` before x and ends ``right`` behind it."""
    return Taps(length, place(np.arange(-left, length + right), length)[:, None])


def pad(x: np.ndarray, steps: Steps, value: float = 0) -> np.ndarray:
    """x at the places of the padded axes, ``value`` where there is none."""
    for axis, taps in steps:
        x = taps.gather(x, axis, fill=value)
    return x


def unpad(dy: np.ndarray, steps: Steps) -> np.ndarray:
    """dx of pad: the sum over the places that show the same number."""
    for axis, taps in reversed(steps):
        dy = taps.scatter(dy, axis)
    return dy


class _Pad(Module):
    """y = x at the places of the padded axes."""

    axes: int = 1
    value: float = 0.0

    def __init__(self, padding: Padding) -> None:
        n = 2 * self.axes
        given = tuple(padding) if isinstance(padding, tuple | list) else (padding,) * n
        if len(given) != n or not all(isinstance(p, int | np.integer) for p in given):
            raise ValueError(
                f"{type(self).__name__}: padding is {padding!r}, wanted an integer or {n} of them: left, "
                "right" + ", top, bottom" * (n > 2) + ", front, back" * (n > 4)
            )
        self.padding = given

    @staticmethod
    def _place(t: np.ndarray, length: int) -> np.ndarray:
        """Which number of x comes at place t; -1 for none."""
        raise NotImplementedError

    def _fits(self, length: int, left: int, right: int) -> bool:
        """Whether an axis can be padded so far."""
        return length > 0

    def _check_axes(self, x: np.ndarray) -> None:
        if x.ndim not in (self.axes + 1, self.axes + 2):
            wanted = ("(C, L)", "(C, H, W)", "(C, D, H, W)")[self.axes - 1]
            raise ValueError(f"{self}: x has shape {x.shape}, wanted (N, {wanted[1:]} or {wanted}")

    def steps(self, x: np.ndarray) -> Steps:
        """Each axis of x that is padded, with the places that it gets.

        Raises:
            ValueError: x has another number of axes, or one that cannot be padded so far.
        """
        self._check_axes(x)
        found = []
        # The padding begins with the last axis.
        for axis, left, right in zip(range(-1, -4, -1), self.padding[::2], self.padding[1::2], strict=False):
            length = x.shape[axis]
            if not self._fits(length, left, right) or length + left + right < 0:
                raise ValueError(f"{self}: axis {axis} of x, of shape {x.shape}, is too short for it")
            found.append((axis, _padded(self._place, length, left, right)))
        return found

    def forward(self, x: np.ndarray) -> np.ndarray:
        """y_t = x at the place of t."""
        steps = self.steps(x)
        y = pad(x, steps, self.value)
        self.save(y.shape, y.dtype, steps)
        return y

    def backward(self, dy: np.ndarray, needs_input_grad: bool = True) -> np.ndarray:
        """dx = dy, added up over the places that show the same number."""
        shape, dtype, steps = self.saved()
        self.check_grad(dy, shape, dtype)
        return unpad(dy, steps)

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return arguments(self)


class ConstantPad1d(_Pad):
    """x between numbers that are all the same; dx = what of dy is not theirs.

    Args:
        padding: how many before and behind x: one number, or (left, right).
        value: the number.

    Shape: x (*, L), y (*, left + L + right).

    Raises:
        ValueError: padding is not as many integers, or takes away more than there is.
    """

    def __init__(self, padding: Padding, value: float) -> None:
        super().__init__(padding)
        self.value = value

    @staticmethod
    def _place(t: np.ndarray, length: int) -> np.ndarray:
        return np.where((t >= 0) & (t < length), t, -1)

    def _fits(self, length: int, left: int, right: int) -> bool:
        return length + min(left, 0) >= 0 and length + min(right, 0) >= 0

    def _check_axes(self, x: np.ndarray) -> None:
        if x.ndim < self.axes:
            raise ValueError(f"{self}: x has shape {x.shape}, wanted {self.axes} or more axes")


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
    """x and its mirror images, of which each end number is shown once: 2 1 0 1 2 1 0.

    Args:
        padding: how many before and behind x: one number, or (left, right).

    Shape: x (N, C, L) or (C, L), y has left + L + right in the place of L.

    Raises:
        ValueError: padding is not as many integers, is L or more, or leaves nothing; or x has another number
            of axes.
    """

    @staticmethod
    def _place(t: np.ndarray, length: int) -> np.ndarray:
        return length - 1 - np.abs(length - 1 - np.abs(t))

    def _fits(self, length: int, left: int, right: int) -> bool:
        return max(left, right) < length and length + left + right > 0


class ReflectionPad2d(ReflectionPad1d):
    """ReflectionPad1d for images: x (N, C, H, W) or (C, H, W), padding (left, right, top, bottom)."""

    axes = 2


class ReflectionPad3d(ReflectionPad1d):
    """ReflectionPad1d for volumes: x (N, C, D, H, W) or (C, D, H, W), padding as of ConstantPad3d."""

    axes = 3


class ReplicationPad1d(_Pad):
    """x between repetitions of its end numbers: 0 0 0 1 2 2 2.

    Args:
        padding: how many before and behind x: one number, or (left, right).

    Shape: x (N, C, L) or (C, L), y has left + L + right in the place of L.

    Raises:
        ValueError: padding is not as many integers or leaves nothing; or x has another number of axes.
    """

    @staticmethod
    def _place(t: np.ndarray, length: int) -> np.ndarray:
        return np.clip(t, 0, length - 1)

    def _fits(self, length: int, left: int, right: int) -> bool:
        return length > 0 and length + left + right > 0


class ReplicationPad2d(ReplicationPad1d):
    """ReplicationPad1d for images: x (N, C, H, W) or (C, H, W), padding (left, right, top, bottom)."""

    axes = 2


class ReplicationPad3d(ReplicationPad1d):
    """ReplicationPad1d for volumes: x (N, C, D, H, W) or (C, D, H, W), padding as of ConstantPad3d."""

    axes = 3


class CircularPad1d(_Pad):
    """x as if it were a ring: 1 2 0 1 2 0 1. What is taken away is not part of the ring.

    Args:
        padding: how many before and behind x: one number, or (left, right).

    Shape: x (N, C, L) or (C, L), y has left + L + right in the place of L.

    Raises:
        ValueError: padding is not as many integers, is above L (less what is taken away), or takes away more
            than there is; or x has another number of axes.
    """

    @staticmethod
    def _place(t: np.ndarray, length: int) -> np.ndarray:
        ring = t[(t >= 0) & (t < length)]
        return ring[(t - ring[:1]) % max(len(ring), 1)]

    def _fits(self, length: int, left: int, right: int) -> bool:
        return max(left, right) <= length + min(left, 0) + min(right, 0)


class CircularPad2d(CircularPad1d):
    """CircularPad1d for images: x (N, C, H, W) or (C, H, W), padding (left, right, top, bottom)."""

    axes = 2


class CircularPad3d(CircularPad1d):
    """CircularPad1d for volumes: x (N, C, D, H, W) or (C, D, H, W), padding as of ConstantPad3d."""

    axes = 3
