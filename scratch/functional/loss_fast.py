"""cross_entropy of loss_classes.py, tuned for one class a sample: a sample is a column, and Σ q is 1."""

from typing import Any

import numpy as np

__all__ = ["cross_entropy", "cross_entropy_backward"]


def cross_entropy(x: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, Any]:
    """loss_classes.py's cross_entropy of x (N, C) and classes t (N,), all of which count, and alike."""
    # (C, N): sums over a few classes become long loops over the samples, twice as fast.
    columns = np.ascontiguousarray(x.T)
    log_p = columns - np.maximum.reduce(columns.real)
    log_p -= np.log(np.add.reduce(np.exp(log_p)))
    n, q = np.arange(len(x)), np.zeros(log_p.shape, x.dtype)
    q[t, n] = 1
    return -log_p[t, n], (log_p, q)


def cross_entropy_backward(dℓ: np.ndarray, saved: Any) -> np.ndarray:
    """dx = (p - q) dℓ."""
    log_p, q = saved
    dx = np.exp(log_p)
    dx -= q
    dx *= dℓ
    return dx.T
