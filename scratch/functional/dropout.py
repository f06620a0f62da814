"""Dropout: elements, or whole channels, are left out at random.

The random part, k, is drawn beforehand (scratch.nn.dropout); here it is a constant. Its entries are 1 for
what is kept and 0 for what is left out. Where whole channels are, its last axes are 1 long.
"""

import math
from typing import Any

import numpy as np

__all__ = ["alpha_dropout", "alpha_dropout_backward", "dropout", "dropout_backward"]


def dropout(x: np.ndarray, k: np.ndarray | None, p: float) -> tuple[np.ndarray, Any]:
    r"""$y = k x / (1-p)$, so $dx = k\, dy / (1-p)$, with k = 0 at a share p of the places and else 1.

    The division keeps the expected value of y at x, so that evaluation needs no factor: there, without a k,
    $y = x$. Where p is 1, y is 0.

    Args:
        x: (\*).
        k: 0 or 1, broadcasts to x; or None, if nothing is left out.
        p: the probability with which the entries of k were 0.

    Returns:
        y (\*), and what dropout_backward needs.

    Source: Srivastava et al. 2014, section 10 ("inverted").

    Example:
        >>> y, saved = dropout(np.array([1.0, 2.0]), np.array([0.0, 1.0]), 0.5)
        >>> y, dropout_backward(np.ones(2), saved)
        (array([0., 4.]), array([0., 2.]))
    """
    if k is None:
        return x, (k, p)
    m = k / (1 - p) if p < 1 else k
    y = m * x
    return y, (k, p)


def dropout_backward(dy: np.ndarray, saved: Any) -> np.ndarray:
    """dx = k dy / (1-p), with the k of the forward."""
    k, p = saved
    if k is None:
        return dy
    m = k / (1 - p) if p < 1 else k
    return m * dy


# The value that SELU tends to for x → -∞, without the sign.
_SATURATION = 1.7580993408473766


def alpha_dropout(x: np.ndarray, k: np.ndarray, p: float) -> tuple[np.ndarray, Any]:
    r"""Dropout to the value $-s$ that SELU saturates at, which keeps the mean 0 and the variance 1 of x.

    With k = 1 with probability $q = 1 - p$ and else 0, the element becomes $z = k x - s (1 - k)$, whose mean
    is $-sp$ and whose variance is, for x of mean 0 and variance 1, $q + s^2 p q$. So

    $$y = a (z + s p) = a k x + a s (k - 1) + a s p, \qquad a = \frac{1}{\sqrt{q (1 + s^2 p)}}, \qquad
      dx = a k\, dy.$$

    Args:
        x: (\*).
        k: 0 or 1, broadcasts to x.
        p: the probability with which the entries of k were 0, below 1.

    Returns:
        y (\*), and what alpha_dropout_backward needs.

    Source: Klambauer et al. 2017.

    Example:
        >>> y, saved = alpha_dropout(np.array([3.0]), np.array([1.0]), 0.0)
        >>> y, alpha_dropout_backward(np.array([1.0]), saved)
        (array([3.]), array([1.]))
    """
    s, q = _SATURATION, 1 - p
    a = 1 / math.sqrt(q * (1 + s * s * p))
    ak = a * k
    y = ak * x + (k - 1) * (a * s) + a * s * p
    return y, ak


def alpha_dropout_backward(dy: np.ndarray, ak: np.ndarray) -> np.ndarray:
    """dx = a k dy."""
    return ak * dy
