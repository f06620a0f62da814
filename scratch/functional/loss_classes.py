"""Losses of classes: an x of C numbers for each sample, and a target that says which of them should be large.

The classes lie on axis 1, or on the only one: x is (C,), (N, C) or (N, C, d1, …), and ℓ has the shape of x
without that axis. The reduction stands in loss.py.
"""

from typing import Any

import numpy as np

from scratch.functional.elementary import positive
from scratch.functional.loss import (
    binary_cross_entropy_with_logits,
    binary_cross_entropy_with_logits_backward,
)
from scratch.functional.softmax import log_softmax

__all__ = [
    "cross_entropy",
    "cross_entropy_backward",
    "multi_margin_loss",
    "multi_margin_loss_backward",
    "multilabel_margin_loss",
    "multilabel_margin_loss_backward",
    "multilabel_soft_margin_loss",
    "multilabel_soft_margin_loss_backward",
    "nll_loss",
    "nll_loss_backward",
    "total_weight",
]


def nll_loss(
    x: np.ndarray, t: np.ndarray, weight: np.ndarray | None = None, ignore_index: int = -100
) -> tuple[np.ndarray, Any]:
    r"""$\ell_n = -w_{t_n} x_{n t_n}$ for log-probabilities x and classes t.

    So $dx_{nc} = -w_c\, d\ell_n$ where $c = t_n$, and 0 elsewhere. The mean is over the weight of the samples
    that count: see total_weight.

    Args:
        x: (C,), (N, C) or (N, C, d1, …).
        t: integers (), (N,) or (N, d1, …).
        weight: w (C,), or None for ones.
        ignore_index: samples of this class count nothing.

    Returns:
        ℓ of the shape of t, and what nll_loss_backward needs.

    Example:
        >>> ℓ, saved = nll_loss(np.array([[-1.0, -2.0], [-3.0, -4.0]]), np.array([1, 0]))
        >>> ℓ, nll_loss_backward(np.ones(2), saved)
        (array([2., 3.]), array([[ 0., -1.],
               [-1.,  0.]]))
    """
    rows, c = _rows(x), t.reshape(-1)
    n = np.flatnonzero(c != ignore_index)
    c = c[n]
    w = np.ones(len(n), x.real.dtype) if weight is None else weight[c]
    ℓ = np.zeros(len(rows), x.dtype)
    ℓ[n] = -w * rows[n, c]
    return ℓ.reshape(t.shape), (x.shape, n, c, w)


def nll_loss_backward(dℓ: np.ndarray, saved: Any) -> np.ndarray:
    """dx = -w dℓ at the class of the sample, else 0."""
    shape, n, c, w = saved
    dx = _rows(np.zeros(shape, dℓ.dtype))
    dx[n, c] = -w * dℓ.reshape(-1)[n]
    return _unrows(dx, shape)


def cross_entropy(
    x: np.ndarray,
    t: np.ndarray,
    weight: np.ndarray | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> tuple[np.ndarray, Any]:
    r"""$\ell_n = -\sum_c q_{nc} \log p_{nc}$ with $p = \operatorname{softmax}(x)$.

    It is the book's SoftmaxWithLoss. q says how much each class counts. For a plain class it is 1 at
    $c = t_n$ and 0 elsewhere. With weights w of the classes and label smoothing ε it is

    $$q_{nc} = w_c \bigl( (1 - \epsilon)\, t_{nc} + \epsilon / C \bigr),$$

    where $t_{nc}$ is the probability of class c, or, for a class index, 1 at $c = t_n$ and 0 elsewhere. The
    Jacobian of the log-softmax, $\partial \log p_c / \partial x_j = \delta_{cj} - p_j$, gives

    $$dx_j = -\sum_c q_c (\delta_{cj} - p_j)\, d\ell = \Bigl(p_j \sum_c q_c - q_j\Bigr)\, d\ell,$$

    which for a plain class is the well-known $p - t$. The logarithm is taken by log-sum-exp, exact where
    log(p + 1e-7) would stop at 16 nats.

    Args:
        x: (C,), (N, C) or (N, C, d1, …).
        t: classes, integers (), (N,) or (N, d1, …); or probabilities, floating numbers of the shape of x.
        weight: w (C,), or None for ones.
        ignore_index: samples of this class count nothing (of classes only).
        label_smoothing: ε (Szegedy et al. 2016, section 7).

    Returns:
        ℓ (), (N,) or (N, d1, …), and what cross_entropy_backward needs.

    Example:
        >>> ℓ, saved = cross_entropy(np.zeros((1, 2)), np.array([1]))
        >>> ℓ.round(4), cross_entropy_backward(np.ones(1), saved)
        (array([0.6931]), array([[ 0.5, -0.5]]))
    """
    ε, rows = label_smoothing, _rows(x)
    N, C = rows.shape
    w = 1 if weight is None else weight
    log_p, _ = log_softmax(rows, 1)
    if t.dtype.kind == "f":
        q = w * ((1 - ε) * _rows(t) + ε / C)
        ℓ = -(q * log_p).sum(axis=1)
    else:
        (n,) = (t.reshape(-1) != ignore_index).nonzero()
        c = t.reshape(-1)[n]
        v = (1 - ε) * (1 if weight is None else weight[c])
        q, ℓ = np.zeros((N, C), x.dtype), np.zeros(N, x.dtype)
        q[n, c] = v
        ℓ[n] = -v * log_p[n, c]  # not all of q log p: elsewhere log p may be -inf
        if ε:
            q[n] += ε / C * w
            ℓ[n] -= (ε / C * w * log_p[n]).sum(axis=1)
    return ℓ.reshape(x.shape[:1] + x.shape[2:] if x.ndim > 1 else ()), (log_p, q, x.shape)


def cross_entropy_backward(dℓ: np.ndarray, saved: Any) -> np.ndarray:
    """dx = (p Σ q - q) dℓ, for plain classes p - t; derived in cross_entropy."""
    log_p, q, shape = saved
    dx = np.exp(log_p) * q.sum(axis=1, keepdims=True) - q
    dx *= dℓ.reshape(-1, 1)
    return _unrows(dx, shape)


def total_weight(t: np.ndarray, weight: np.ndarray | None = None, ignore_index: int = -100) -> Any:
    r"""$Z = \sum_n w_{t_n}$ over the samples that count; the mean of class losses divides by it.

    Args:
        t: integers (\*).
        weight: w (C,), or None for ones.
        ignore_index: samples of this class count nothing.

    Example:
        >>> total_weight(np.array([0, 1, 1, -100]), np.array([0.5, 2.0])).item()
        4.5
    """
    t = t[t != ignore_index]
    return t.size if weight is None else weight[t].sum()


def _rows(x: np.ndarray) -> np.ndarray:
    """(C,), (N, C) or (N, C, d1, …) as (rows, C): one row for each sample and place."""
    if x.ndim == 2:
        return x
    axis = min(1, x.ndim - 1)
    return np.moveaxis(x, axis, -1).reshape(-1, x.shape[axis])


def _unrows(rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The reverse of _rows, for an x of this shape."""
    if len(shape) < 3:
        return rows.reshape(shape)
    return np.moveaxis(rows.reshape(shape[0], *shape[2:], shape[1]), -1, 1)


# ---- margins between classes


def multi_margin_loss(
    x: np.ndarray, t: np.ndarray, p: int = 1, margin: float = 1.0, weight: np.ndarray | None = None
) -> tuple[np.ndarray, Any]:
    r"""Class t must beat every other by m: $\ell_n = \frac{w_t}{C} \sum_{c \ne t} \max(0, z_c)^p$.

    With $z_c = m - x_t + x_c$ and $g_c = \frac{w_t}{C}\, p z_c^{p-1}$ where $z_c > 0$, $c \ne t$, else 0:

    $$dx_c = g_c\, d\ell_n, \qquad dx_t = -\sum_c g_c\, d\ell_n.$$

    Args:
        x: (N, C) or (C,).
        t: integers (N,) or ().
        p: 1 or 2.
        margin: m.
        weight: w (C,), or None for ones.

    Returns:
        ℓ (N,) or (), and what multi_margin_loss_backward needs.

    Source: Crammer and Singer 2001.

    Example:
        >>> ℓ, saved = multi_margin_loss(np.array([[2.0, 1.5]]), np.array([0]))
        >>> ℓ, multi_margin_loss_backward(np.ones(1), saved)
        (array([0.25]), array([[-0.5,  0.5]]))
    """
    rows, c = x.reshape(-1, x.shape[-1]), t.reshape(-1)
    N, C = rows.shape
    n = np.arange(N)
    w = np.ones(C, x.real.dtype) if weight is None else weight
    z = positive(margin - rows[n, c, None] + rows)
    z[n, c] = 0
    share = w[c, None] / C
    ℓ = (share * z**p).sum(axis=1)
    return ℓ.reshape(t.shape), (z, share, c, p, x.shape)


def multi_margin_loss_backward(dℓ: np.ndarray, saved: Any) -> np.ndarray:
    """dx = g dℓ, at the class of the sample -Σ g dℓ; derived in multi_margin_loss."""
    z, share, c, p, shape = saved
    g = share * (z.real > 0) * p * z ** (p - 1)
    g[np.arange(len(c)), c] = -g.sum(axis=1)
    return (g * dℓ.reshape(-1, 1)).reshape(shape)


def multilabel_margin_loss(x: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, Any]:
    r"""Each class of the target must beat the others by 1: $\ell_n = \frac1C \sum_{t,\, c} \max(0, z_{tc})$.

    With $z_{tc} = 1 - x_t + x_c$ for t in the target and c not in it, every $z_{tc} > 0$ adds
    $\frac1C d\ell_n$ to $dx_c$ and takes it from $dx_t$.

    Args:
        x: (N, C) or (C,).
        t: integers of the shape of x, in each row classes that end with the first -1.

    Returns:
        ℓ (N,) or (), and what multilabel_margin_loss_backward needs.

    Example:
        >>> ℓ, saved = multilabel_margin_loss(np.array([[2.0, 1.5]]), np.array([[0, -1]]))
        >>> ℓ, multilabel_margin_loss_backward(np.ones(1), saved)
        (array([0.25]), array([[-0.5,  0.5]]))
    """
    rows, sets = x.reshape(-1, x.shape[-1]), t.reshape(-1, x.shape[-1])
    N, C = rows.shape
    # One line of z for each class t of each sample n.
    n, k = np.nonzero(np.logical_and.accumulate(sets >= 0, axis=1))
    t = sets[n, k]
    inside = np.zeros((N, C), bool)
    inside[n, t] = True
    z = positive(1 - rows[n, t, None] + rows[n]) * ~inside[n]
    ℓ = np.zeros(N, x.dtype)
    np.add.at(ℓ, n, z.sum(axis=1) / C)
    return ℓ.reshape(x.shape[:-1]), (z, n, t, x.shape)


def multilabel_margin_loss_backward(dℓ: np.ndarray, saved: Any) -> np.ndarray:
    """dx_c gets dℓ/C for every z_tc > 0, and dx_t -dℓ/C; derived in multilabel_margin_loss."""
    z, n, t, shape = saved
    C = shape[-1]
    dz = (z.real > 0) * dℓ.reshape(-1, 1)[n] / C
    dx = np.zeros(shape, dz.dtype).reshape(-1, C)
    np.add.at(dx, n, dz)
    np.add.at(dx, (n, t), -dz.sum(axis=1))
    return dx.reshape(shape)


def multilabel_soft_margin_loss(x: np.ndarray, t: np.ndarray, weight: Any = None) -> tuple[np.ndarray, Any]:
    r"""The mean of C questions to be answered yes or no: binary_cross_entropy_with_logits over the last axis.

    $$\ell_n = -\frac1C \sum_c w_c \bigl(t_c \log\sigma(x_c) + (1-t_c) \log\sigma(-x_c)\bigr), \qquad
      dx_c = \frac{w_c}{C} \bigl(\sigma(x_c) - t_c\bigr)\, d\ell_n.$$

    Args:
        x: (\*, C).
        t: (\*, C).
        weight: w, of a shape that broadcasts to that of x, or None for 1.

    Returns:
        ℓ (\*), and what multilabel_soft_margin_loss_backward needs.

    Example:
        >>> ℓ, saved = multilabel_soft_margin_loss(np.zeros((1, 2)), np.array([[1.0, 0.0]]))
        >>> ℓ.round(4), multilabel_soft_margin_loss_backward(np.ones(1), saved)
        (array([0.6931]), array([[-0.25,  0.25]]))
    """
    C = x.shape[-1]
    ℓ, saved = binary_cross_entropy_with_logits(x, t, weight)
    return ℓ.sum(axis=-1) / C, (saved, C)


def multilabel_soft_margin_loss_backward(dℓ: np.ndarray, saved: Any) -> np.ndarray:
    """dx = w (σ(x) - t) / C dℓ."""
    saved, C = saved
    return binary_cross_entropy_with_logits_backward(dℓ[..., None] / C, saved)
