"""Functions that move numbers and compute none: reshaping, shuffles. So dx is dy, moved back."""

import math
from typing import Any

import numpy as np

__all__ = [
    "channel_shuffle",
    "channel_shuffle_backward",
    "flatten",
    "flatten_backward",
    "pixel_shuffle",
    "pixel_shuffle_backward",
    "pixel_unshuffle",
    "pixel_unshuffle_backward",
    "unflatten",
    "unflatten_backward",
]


def flatten(x: np.ndarray, start_dim: int = 0, end_dim: int = -1) -> tuple[np.ndarray, Any]:
    r"""The axes start_dim to end_dim become one, $y_{i J + j} = x_{i j}$; the numbers stay in their order.

    Args:
        x: (\*, S_start, …, S_end, \*).
        start_dim: first axis to join.
        end_dim: last axis to join, itself included.

    Returns:
        y (\*, S_start · … · S_end, \*), and what flatten_backward needs.

    Example:
        >>> y, saved = flatten(np.ones((4, 2, 3)), 1)
        >>> y.shape, flatten_backward(y, saved).shape
        ((4, 6), (4, 2, 3))
    """
    start, end = start_dim % x.ndim, end_dim % x.ndim
    y = x.reshape(*x.shape[:start], math.prod(x.shape[start : end + 1]), *x.shape[end + 1 :])
    return y, x.shape


def flatten_backward(dy: np.ndarray, shape: Any) -> np.ndarray:
    """dx = dy in the shape of x."""
    return dy.reshape(shape)


def unflatten(x: np.ndarray, dim: int, sizes: tuple[int, ...]) -> tuple[np.ndarray, Any]:
    r"""The axis dim becomes several, $y_{i j} = x_{i J + j}$; the numbers stay in their order.

    Args:
        x: (\*, S, \*).
        dim: the axis.
        sizes: theirs, whose product is S.

    Returns:
        y (\*, \*sizes, \*), and what unflatten_backward needs.

    Example:
        >>> y, saved = unflatten(np.ones((4, 6)), 1, (2, 3))
        >>> y.shape, unflatten_backward(y, saved).shape
        ((4, 2, 3), (4, 6))
    """
    dim = dim % x.ndim
    return x.reshape(*x.shape[:dim], *sizes, *x.shape[dim + 1 :]), x.shape


def unflatten_backward(dy: np.ndarray, shape: Any) -> np.ndarray:
    """dx = dy in the shape of x."""
    return dy.reshape(shape)


def pixel_shuffle(x: np.ndarray, r: int) -> tuple[np.ndarray, Any]:
    r"""r² channels become one of r times the height and width.

    $$y_{c,\, hr+i,\, wr+j} = x_{cr^2+ir+j,\, h,\, w}, \qquad
      dx_{cr^2+ir+j,\, h,\, w} = dy_{c,\, hr+i,\, wr+j}.$$

    Args:
        x: (\*, C r², H, W).
        r: upscale factor.

    Returns:
        y (\*, C, H r, W r), and what pixel_shuffle_backward needs.

    Source: Shi et al. 2016, equation 4.

    Example:
        >>> y, saved = pixel_shuffle(np.arange(4.0).reshape(4, 1, 1), 2)
        >>> y.tolist(), pixel_shuffle_backward(y, saved).ravel()
        ([[[0.0, 1.0], [2.0, 3.0]]], array([0., 1., 2., 3.]))
    """
    *lead, C, H, W = x.shape
    parts = x.reshape(*lead, C // r**2, r, r, H, W)
    n = len(lead)
    parts = parts.transpose(*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return parts.reshape(*lead, C // r**2, H * r, W * r), r


def pixel_shuffle_backward(dy: np.ndarray, r: Any) -> np.ndarray:
    """dx = dy with pixels made channels: pixel_unshuffle."""
    return pixel_unshuffle(dy, r)[0]


def pixel_unshuffle(x: np.ndarray, r: int) -> tuple[np.ndarray, Any]:
    r"""The inverse of pixel_shuffle: $y_{cr^2+ir+j,\, h,\, w} = x_{c,\, hr+i,\, wr+j}$.

    Args:
        x: (\*, C, H r, W r).
        r: downscale factor.

    Returns:
        y (\*, C r², H, W), and what pixel_unshuffle_backward needs.

    Example:
        >>> y, saved = pixel_unshuffle(np.arange(4.0).reshape(1, 2, 2), 2)
        >>> y.ravel(), pixel_unshuffle_backward(y, saved).tolist()
        (array([0., 1., 2., 3.]), [[[0.0, 1.0], [2.0, 3.0]]])
    """
    *lead, C, H, W = x.shape
    parts = x.reshape(*lead, C, H // r, r, W // r, r)
    n = len(lead)
    parts = parts.transpose(*range(n), n, n + 2, n + 4, n + 1, n + 3)
    return parts.reshape(*lead, C * r**2, H // r, W // r), r


def pixel_unshuffle_backward(dy: np.ndarray, r: Any) -> np.ndarray:
    """dx = dy with channels made pixels: pixel_shuffle."""
    return pixel_shuffle(dy, r)[0]


def channel_shuffle(x: np.ndarray, groups: int) -> tuple[np.ndarray, Any]:
    r"""The channels, in g groups, are dealt out in turn: $y_{kg+i} = x_{iC/g+k}$.

    This is a transpose of (g, C/g), so dx is the transpose back: $dx_{iC/g+k} = dy_{kg+i}$.

    Args:
        x: (N, C, \*).
        groups: g, a divisor of C.

    Returns:
        y (N, C, \*), and what channel_shuffle_backward needs.

    Source: Zhang et al. 2018 (ShuffleNet), figure 1.

    Example:
        >>> y, saved = channel_shuffle(np.arange(6.0).reshape(1, 6, 1), 2)
        >>> y.ravel(), channel_shuffle_backward(y, saved).ravel()
        (array([0., 3., 1., 4., 2., 5.]), array([0., 1., 2., 3., 4., 5.]))
    """
    N, C, *rest = x.shape
    y = x.reshape(N, groups, C // groups, *rest).swapaxes(1, 2)
    return y.reshape(x.shape), groups


def channel_shuffle_backward(dy: np.ndarray, groups: Any) -> np.ndarray:
    """dx = dy, its channels (C/g, g) transposed."""
    N, C, *rest = dy.shape
    dx = dy.reshape(N, C // groups, groups, *rest).swapaxes(1, 2)
    return dx.reshape(dy.shape)
