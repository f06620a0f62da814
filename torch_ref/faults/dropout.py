"""Mistakes in dropout."""

from typing import Any

import numpy as np

from torch_ref.faults.fault import wrong_formula


@wrong_formula(
    "the dropout mask is drawn anew in backward",
    "Dropout",
    of="dropout_backward",
    fix="keep the mask of the forward",
)
def _redrawn(dy: np.ndarray, saved: Any) -> np.ndarray:
    k, p = saved
    if k is None:
        return dy
    k = np.random.default_rng(0).random(dy.shape) < 1 - p
    m = k / (1 - p) if p < 1 else k
    return m * dy


@wrong_formula(
    "dropout does not scale the gradient by 1/(1-p)",
    "Dropout",
    of="dropout_backward",
    fix="dx = m dy, with the mask of the forward",
)
def _unscaled_gradient(dy: np.ndarray, saved: Any) -> np.ndarray:
    k, _ = saved
    if k is None:
        return dy
    return k * dy


@wrong_formula(
    "dropout does not scale what it keeps by 1/(1-p)",
    "Dropout",
    of="dropout",
    fix="y = m x / (1-p)",
)
def _unscaled(x: np.ndarray, k: np.ndarray | None, p: float) -> tuple[np.ndarray, Any]:
    if k is None:
        return x, (k, p)
    y = k * x
    return y, (k, p)


@wrong_formula(
    "the mask of the dropout is missing in backward",
    "Dropout",
    of="dropout_backward",
    fix="dx = m dy, with the mask of the forward",
)
def _no_mask(dy: np.ndarray, saved: Any) -> np.ndarray:
    return dy.copy()
