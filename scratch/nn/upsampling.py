r"""Upsampling (PyTorch, torch/nn/modules/upsampling.py).

The image is sampled at other places: output o of O lies at place

    $t_o = (o + \tfrac12)\, r - \tfrac12$,        r = L / O (or 1 / scale_factor),

of an axis of L numbers, if numbers are the midpoints of pixels; with align_corners, which lays the outermost
midpoints on each other, at $t_o = o \frac{L - 1}{O - 1}$. There it is made of the numbers around, with
weights, axis by axis:

$$y_o = \sum_j w_{oj}\, x_{i_{oj}}, \qquad dx_i = \sum_{o, j : i_{oj} = i} w_{oj}\, dy_o.$$

Where i lies beyond an end it is the number at that end.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from scratch.functional.taps import Taps, adaptive_windows
from scratch.nn.module import Module, arguments

__all__ = ["Upsample", "UpsamplingBilinear2d", "UpsamplingNearest2d"]


Kernel = Callable[[int, int, float, bool], tuple[np.ndarray, np.ndarray]]


def _nearest(length: int, count: int, ratio: float, align: bool) -> tuple[np.ndarray, np.ndarray]:
    """⌊o r⌋. Torch computes it in float32, whatever x is."""
    o = np.arange(count)
    at = o // 2 if count == 2 * length else np.floor(o.astype(np.float32) * np.float32(ratio))
    return (o if count == length else at)[:, None], np.ones((count, 1))


def _nearest_exact(length: int, count: int, ratio: float, align: bool) -> tuple[np.ndarray, np.ndarray]:
    """⌊(o + ½) r⌋, the pixel whose midpoint is nearest; in float32, as torch."""
    at = np.floor((np.arange(count, dtype=np.float32) + np.float32(0.5)) * np.float32(ratio))
    return at[:, None], np.ones((count, 1))


def _places(length: int, count: int, ratio: float, align: bool) -> np.ndarray:
    if align:
        return np.arange(count) * ((length - 1) / max(count - 1, 1))
    return (np.arange(count) + 0.5) * ratio - 0.5


def _linear(length: int, count: int, ratio: float, align: bool) -> tuple[np.ndarray, np.ndarray]:
    """The two around t, the nearer the heavier."""
    t = np.maximum(_places(length, count, ratio, align), 0)[:, None]
    at = np.floor(t) + np.arange(2)
    return at, 1 - np.abs(t - at)


def _cubic(length: int, count: int, ratio: float, align: bool) -> tuple[np.ndarray, np.ndarray]:
    """The four around t, with Keys' weights for a = -3/4 (Keys 1981, equation 4; torch takes that a)."""
    a = -0.75
    t = _places(length, count, ratio, align)[:, None]
    at = np.floor(t) + np.arange(-1, 3)
    d = np.abs(t - at)
    near, far = ((a + 2) * d - (a + 3)) * d * d + 1, ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return at, np.where(d <= 1, near, far)


def _area(length: int, count: int, ratio: float, align: bool) -> tuple[np.ndarray, np.ndarray]:
    """All in the o-th of O windows, as AdaptiveAvgPool."""
    at = adaptive_windows(length, count).table
    return at, 1 / np.count_nonzero(at >= 0, axis=1, keepdims=True) * (at >= 0)


_KERNELS: dict[str, tuple[tuple[int, ...], Kernel]] = {
    "nearest": ((1, 2, 3), _nearest),
    "nearest-exact": ((1, 2, 3), _nearest_exact),
    "area": ((1, 2, 3), _area),
    "linear": ((1,), _linear),
    "bilinear": ((2,), _linear),
    "trilinear": ((3,), _linear),
    "bicubic": ((2,), _cubic),
}
_WITH_CORNERS = ("linear", "bilinear", "bicubic", "trilinear")


@lru_cache(maxsize=256)
def _samples(mode: str, length: int, count: int, ratio: float, align: bool) -> tuple[Taps, np.ndarray]:
    at, weights = _KERNELS[mode][1](length, count, ratio, align)
    none = at < 0 if mode == "area" else np.zeros(at.shape, bool)
    return Taps(length, np.where(none, -1, np.clip(at, 0, length - 1)).astype(np.int64)), weights


class Upsample(Module):
    """More (or fewer) numbers along the last axes, by interpolation; for the formulas see above.

    Args:
        size: how many along each axis: one number, or one for each.
        scale_factor: or how many times as many, rounded down: one number, or one for each.
        mode: "nearest"; "linear", "bilinear" or "trilinear", of two numbers along each axis; "bicubic", of
            four; "area", the mean; or "nearest-exact", which rounds as PIL does.
        align_corners: whether to lay the outermost midpoints on each other; not for the nearest and "area".
        recompute_scale_factor: whether r is L / O also with scale_factor.

    Shape: x (N, C, L), (N, C, H, W) for "bilinear" and "bicubic", or (N, C, D, H, W) for "trilinear"; the
    others take any of them. y has size in the place of the last axes.

    Raises:
        ValueError: size and scale_factor are both given, or neither; mode is none of these, or does not go
            with align_corners or with the axes of x; recompute_scale_factor goes with size; sizes are as many
            as x has not axes, or below 1.
        TypeError: x is of integers.
    """

    def __init__(
        self,
        size: int | tuple[int, ...] | None = None,
        scale_factor: float | tuple[float, ...] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        name = type(self).__name__
        if (size is None) == (scale_factor is None):
            raise ValueError(f"{name}: size is {size}, scale_factor is {scale_factor}, wanted one of them")
        if mode not in _KERNELS:
            raise ValueError(f"{name}: mode is {mode!r}, wanted one of {', '.join(_KERNELS)}")
        if align_corners is not None and mode not in _WITH_CORNERS:
            raise ValueError(f"{name}: align_corners goes with {', '.join(_WITH_CORNERS)}, not with {mode!r}")
        if recompute_scale_factor and size is not None:
            raise ValueError(f"{name}: recompute_scale_factor goes with scale_factor, and size is given")
        self.size = size
        if isinstance(scale_factor, tuple | list):
            self.scale_factor: Any = tuple(float(factor) for factor in scale_factor)
        else:
            self.scale_factor = float(scale_factor) if scale_factor else None
        self.mode, self.align_corners = mode, align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, x: np.ndarray) -> np.ndarray:
        """y_o = Σ_j w_oj x at i_oj, axis by axis."""
        if x.dtype.kind not in "fc":
            raise TypeError(f"{self}: x is {x.dtype}, wanted floating numbers")
        axes = x.ndim - 2
        if axes not in _KERNELS[self.mode][0]:
            wanted = " or ".join(str(n + 2) for n in _KERNELS[self.mode][0])
            raise ValueError(f"{self}: x has shape {x.shape}, wanted {wanted} axes")
        y, steps = x, []
        for axis, length, (count, ratio) in zip(range(-axes, 0), x.shape[2:], self._sizes(x), strict=True):
            taps, weights = _samples(self.mode, length, count, ratio, bool(self.align_corners))
            steps.append((axis, taps, weights))
            y = taps.gather(y, axis, weights)
        self.save(y.shape, y.dtype, steps)
        return y

    def backward(self, dy: np.ndarray, needs_input_grad: bool = True) -> np.ndarray:
        """dx_i = Σ w_oj dy_o over all that are made of x_i."""
        shape, dtype, steps = self.saved()
        self.check_grad(dy, shape, dtype)
        for axis, taps, weights in reversed(steps):
            dy = taps.scatter(dy, axis, weights)
        return dy

    def _sizes(self, x: np.ndarray) -> list[tuple[int, float]]:
        """(O, r) of each of the last axes."""
        sizes = x.shape[2:]
        given = self.size if self.scale_factor is None else self.scale_factor
        each = given if isinstance(given, tuple | list) else (given,) * len(sizes)
        if len(each) != len(sizes):
            raise ValueError(f"{self}: x has shape {x.shape}, wanted {len(each)} axes behind N and C")
        factors = each if self.scale_factor is not None else (None,) * len(sizes)
        counts = (
            each
            if self.scale_factor is None
            else [math.floor(n * f) for n, f in zip(sizes, each, strict=True)]
        )
        if min(*counts, *sizes) < 1:
            raise ValueError(f"{self}: x has sizes {sizes}, to become {tuple(counts)}, wanted 1 or more")
        return [
            (o, n / o if f is None or self.recompute_scale_factor else 1 / f)
            for n, o, f in zip(sizes, counts, factors, strict=True)
        ]

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return arguments(self)


class UpsamplingNearest2d(Upsample):
    """Upsample for images, with mode "nearest".

    Args:
        size: as of Upsample.
        scale_factor: as of Upsample.

    Shape: x (N, C, H, W), y with size in the place of (H, W).
    """

    def __init__(
        self,
        size: int | tuple[int, int] | None = None,
        scale_factor: float | tuple[float, float] | None = None,
    ) -> None:
        super().__init__(size, scale_factor, mode="nearest")


class UpsamplingBilinear2d(Upsample):
    """Upsample for images, with mode "bilinear" and align_corners.

    Args:
        size: as of Upsample.
        scale_factor: as of Upsample.

    Shape: x (N, C, H, W), y with size in the place of (H, W).
    """

    def __init__(
        self,
        size: int | tuple[int, int] | None = None,
        scale_factor: float | tuple[float, float] | None = None,
    ) -> None:
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)
