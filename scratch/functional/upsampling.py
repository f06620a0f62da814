"""Upsampling: the numbers along an axis, sampled at other places."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from scratch.functional.taps import Taps, adaptive_windows

__all__ = ["interpolate", "interpolate_backward", "samples"]


class Samples(NamedTuple):
    """The numbers of an axis that each output is made of, and their weights."""

    taps: Taps
    weights: np.ndarray


def interpolate(x: np.ndarray, samples: Sequence[Samples]) -> tuple[np.ndarray, Any]:
    r"""The numbers along the last axes at other places, each made of the numbers around it, axis by axis:

    $$y_o = \sum_j w_{oj}\, x_{i_{oj}}, \qquad dx_i = \sum_{o, j : i_{oj} = i} w_{oj}\, dy_o.$$

    Args:
        x: (\*, L), as many axes L as there are samples.
        samples: i and w for each of the last axes, from samples.

    Returns:
        y (\*, O), and what interpolate_backward needs.

    Example:
        >>> y, saved = interpolate(np.array([[0.0, 4.0]]), [samples("linear", 2, 4, 0.5)])
        >>> y, interpolate_backward(np.ones((1, 4)), saved)
        (array([[0., 1., 3., 4.]]), array([[2., 2.]]))
    """
    for axis, (taps, weights) in enumerate(samples, -len(samples)):
        x = taps.gather(x, axis, weights)
    return x, samples


def interpolate_backward(dy: np.ndarray, samples: Any) -> np.ndarray:
    """dx_i = Σ w_oj dy_o over all that are made of x_i; derived in interpolate."""
    for axis in range(-1, -len(samples) - 1, -1):
        taps, weights = samples[axis]
        dy = taps.scatter(dy, axis, weights)
    return dy


@lru_cache(maxsize=256)
def samples(mode: str, length: int, count: int, ratio: float, align: bool = False) -> Samples:
    r"""The places and weights of O outputs along an axis of L numbers.

    If numbers are the midpoints of pixels, output o lies at

    $t_o = (o + \tfrac12)\, r - \tfrac12$,        r = L / O (or 1 / scale_factor),

    and with ``align``, which lays the outermost midpoints on each other, at $t_o = o \frac{L - 1}{O - 1}$.
    Where a number around it lies beyond an end, it is the number at that end.

    Args:
        mode: a key of MODES.
        length: L.
        count: O.
        ratio: r.
        align: torch's align_corners.

    Example:
        >>> samples("linear", 2, 3, 2 / 3).weights.round(2).tolist()
        [[1.0, 0.0], [0.5, 0.5], [0.83, 0.17]]
    """
    at, weights = MODES[mode][1](length, count, ratio, align)
    none = at < 0 if mode == "area" else np.zeros(at.shape, bool)
    return Samples(Taps(length, np.where(none, -1, np.clip(at, 0, length - 1)).astype(np.int64)), weights)


Kernel = Callable[[int, int, float, bool], tuple[np.ndarray, np.ndarray]]


def _nearest(length: int, count: int, ratio: float, align: bool) -> tuple[np.ndarray, np.ndarray]:
    """⌊o r⌋. Torch computes it in float32, whatever x is."""
    o = np.arange(count)
    at = o // 2 if count == 2 * length else np.floor(o.astype(np.float32) * np.float32(ratio))
    return at[:, None], np.ones((count, 1))


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


# The number of axes each mode is for, and its formula.
MODES: dict[str, tuple[tuple[int, ...], Kernel]] = {
    "nearest": ((1, 2, 3), _nearest),
    "nearest-exact": ((1, 2, 3), _nearest_exact),
    "area": ((1, 2, 3), _area),
    "linear": ((1,), _linear),
    "bilinear": ((2,), _linear),
    "trilinear": ((3,), _linear),
    "bicubic": ((2,), _cubic),
}
