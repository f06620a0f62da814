"""The residual connection."""

from typing import Any

import numpy as np

__all__ = ["residual", "residual_backward"]


def residual(x: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, Any]:
    r"""$y = x + z$, where z was computed from x: what comes in goes around z too, unchanged.

    With $z = f(x)$ the derivative is $1 + f'$, so $dx = dy + f'(x)^\top dy$: the error goes around f as it
    is, and through f, and both are added. The part around f, and the one that f is to take further, are

    $$dx = dy, \qquad dz = dy.$$

    Args:
        x: (\*).
        z: (\*).

    Returns:
        y (\*), and None: residual_backward needs nothing.

    Source: He et al. 2015, equation 1.

    Example:
        >>> y, saved = residual(np.array([1.0]), np.array([2.0]))
        >>> y, residual_backward(np.array([5.0]), saved)
        (array([3.]), (array([5.]), array([5.])))
    """
    return x + z, None


def residual_backward(dy: np.ndarray, saved: Any) -> tuple[np.ndarray, np.ndarray]:
    """dx = dy, dz = dy; derived in residual."""
    return dy, dy
