"""Softmax and its relatives: functions that mix the elements along an axis."""

from typing import Any

import numpy as np

from scratch.functional.elementary import sigma

__all__ = [
    "glu",
    "glu_backward",
    "log_softmax",
    "log_softmax_backward",
    "softmax",
    "softmax_backward",
    "softmin",
    "softmin_backward",
]


def softmax(x: np.ndarray, dim: int) -> tuple[np.ndarray, Any]:
    r"""$p_i = e^{x_i} / \sum_j e^{x_j}$ along the axis dim.

    The quotient rule gives $\partial p_i / \partial x_j = p_i (\delta_{ij} - p_j)$, so that

    $$dx_j = \sum_i dp_i\, p_i (\delta_{ij} - p_j) = p_j \Bigl(dp_j - \sum_i p_i\, dp_i\Bigr).$$

    The largest x is taken from all of them first, which changes nothing and keeps $e^x$ at or below 1.

    Args:
        x: (\*).
        dim: the axis that sums to 1.

    Returns:
        p (\*), and what softmax_backward needs.

    Example:
        >>> p, saved = softmax(np.array([0.0, 0.0]), 0)
        >>> p, softmax_backward(np.array([1.0, 0.0]), saved)
        (array([0.5, 0.5]), array([ 0.25, -0.25]))
    """
    e = np.exp(x - x.real.max(axis=dim, keepdims=True))
    p = e / e.sum(axis=dim, keepdims=True)
    return p, (p, dim)


def softmax_backward(dp: np.ndarray, saved: Any) -> np.ndarray:
    """dx = p (dp - Σ p dp); derived in softmax."""
    p, dim = saved
    return p * (dp - (p * dp).sum(axis=dim, keepdims=True))


def softmin(x: np.ndarray, dim: int) -> tuple[np.ndarray, Any]:
    r"""$p = \operatorname{softmax}(-x)$ along the axis dim, so dx is softmax's with the other sign.

    Args:
        x: (\*).
        dim: the axis that sums to 1.

    Returns:
        p (\*), and what softmin_backward needs.

    Example:
        >>> p, saved = softmin(np.array([0.0, 0.0]), 0)
        >>> p, softmin_backward(np.array([1.0, 0.0]), saved)
        (array([0.5, 0.5]), array([-0.25,  0.25]))
    """
    return softmax(-x, dim)


def softmin_backward(dp: np.ndarray, saved: Any) -> np.ndarray:
    """dx = -p (dp - Σ p dp)."""
    return -softmax_backward(dp, saved)


def log_softmax(x: np.ndarray, dim: int) -> tuple[np.ndarray, Any]:
    r"""$y_i = \log p_i = x_i - m - \log \sum_j e^{x_j - m}$ with the softmax p along the axis dim.

    The shift by $m = \max_j x_j$ (log-sum-exp) changes nothing in exact arithmetic and keeps every
    exponential at or below 1. From $\partial y_i / \partial x_j = \delta_{ij} - p_j$:

    $$dx_j = \sum_i dy_i (\delta_{ij} - p_j) = dy_j - p_j \sum_i dy_i.$$

    Args:
        x: (\*).
        dim: the axis whose exponentials sum to 1.

    Returns:
        y (\*), and what log_softmax_backward needs.

    Example:
        >>> y, saved = log_softmax(np.array([0.0, 0.0]), 0)
        >>> np.exp(y), log_softmax_backward(np.array([1.0, 0.0]), saved)
        (array([0.5, 0.5]), array([ 0.5, -0.5]))
    """
    y = x - x.real.max(axis=dim, keepdims=True)
    y -= np.log(np.exp(y).sum(axis=dim, keepdims=True))
    return y, (y, dim)


def log_softmax_backward(dy: np.ndarray, saved: Any) -> np.ndarray:
    """dx = dy - p Σ dy; derived in log_softmax."""
    y, dim = saved
    return dy - np.exp(y) * dy.sum(axis=dim, keepdims=True)


def glu(x: np.ndarray, dim: int = -1) -> tuple[np.ndarray, Any]:
    r"""$y = a\, \sigma(b)$, a and b the halves of x along the axis dim: b decides how much of a passes.

    $$da = \sigma(b)\, dy, \qquad db = a\, \sigma(b) (1 - \sigma(b))\, dy = y (1 - \sigma(b))\, dy.$$

    Args:
        x: (\*, 2n, \*).
        dim: the axis that is halved.

    Returns:
        y (\*, n, \*), and what glu_backward needs.

    Source: Dauphin et al. 2017.

    Example:
        >>> y, saved = glu(np.array([4.0, 0.0]))
        >>> y, glu_backward(np.ones(1), saved)
        (array([2.]), array([0.5, 1. ]))
    """
    a, b = np.split(x, 2, axis=dim)
    σ = sigma(b)
    y = a * σ
    return y, (y, σ, dim)


def glu_backward(dy: np.ndarray, saved: Any) -> np.ndarray:
    """dx = (da, db), da = σ dy, db = y (1 - σ) dy."""
    y, σ, dim = saved
    return np.concatenate([σ * dy, y * (1 - σ) * dy], axis=dim)
