r"""Normalisation: a pool of numbers gets the mean 0 and the variance 1, then a scale w and an offset b.

The norms differ in what a pool is: one channel of all samples (batch_norm), one channel of one sample
(instance_norm), a group of channels of one sample (group_norm), all of one sample (layer_norm). The formula
and its derivative stand in batch_norm; the other three put their pools where batch_norm has its channels.
"""

import math
from typing import Any

import numpy as np

from scratch.functional.elementary import sum_of_neighbours

__all__ = [
    "batch_norm",
    "batch_norm_backward",
    "group_norm",
    "group_norm_backward",
    "instance_norm",
    "instance_norm_backward",
    "layer_norm",
    "layer_norm_backward",
    "local_response_norm",
    "local_response_norm_backward",
    "rms_norm",
    "rms_norm_backward",
    "running_statistics",
]


def batch_norm(
    x: np.ndarray,
    w: np.ndarray | None = None,
    b: np.ndarray | None = None,
    eps: float = 1e-5,
    mean: np.ndarray | None = None,
    var: np.ndarray | None = None,
) -> tuple[np.ndarray, Any]:
    r"""$y = w \hat x + b$, $\hat x = r\,(x - m)$: each channel is normalised over all samples.

    With M = N·L numbers in a channel, and sums over these,

    $$m = \frac1M \sum x, \qquad v = \frac1M \sum (x - m)^2, \qquad r = \frac{1}{\sqrt{v + \epsilon}}.$$

    $dw = \sum dy\, \hat x$ and $db = \sum dy$. A number reaches all $\hat x$ of its channel: by itself, by m
    and by r. With $\partial m/\partial x_j = 1/M$ and $\partial r/\partial x_j = -\tfrac12 r^3\, \partial
    v/\partial x_j = -r^2 \hat x_j / M$ (the change of m adds $\sum (x - m) = 0$ to v),

    $$\frac{\partial \hat x_i}{\partial x_j} = r \bigl(\delta_{ij} - \tfrac1M (1 + \hat x_i \hat x_j)\bigr),
      \qquad dx = w r \bigl(dy - \tfrac1M (db + \hat x\, dw)\bigr).$$

    So dx has neither a mean nor a part along $\hat x$: moving the numbers of a channel together, or apart, is
    undone. A bias in front of a batch norm has the gradient 0. If ``mean`` and ``var`` are given (as in
    evaluation) they take the place of m and v and are constants, so that $dx = w r\, dy$.

    Args:
        x: (N, C, \*), with L positions in the last axes.
        w: (C,), or None for 1.
        b: (C,), or None for 0.
        eps: ε.
        mean: (C,), constant, or None for m.
        var: (C,), constant, or None for v.

    Returns:
        y (N, C, \*), and what batch_norm_backward needs; its last two entries are m and v, each (C, 1), for
        running_statistics.

    Source: Ioffe and Szegedy 2015.

    Example:
        >>> y, saved = batch_norm(np.array([[1.0], [3.0]]), np.array([2.0]), np.array([5.0]), eps=0)
        >>> y.ravel(), batch_norm_backward(np.array([[1.0], [0.0]]), saved)[1:]
        (array([3., 7.]), (array([-1.]), array([1.])))
    """
    shape = x.shape
    x = x.reshape(*shape[:2], math.prod(shape[2:]))
    M = max(1, len(x) * x.shape[2])
    m = np.einsum("ncl->c", x)[:, None] / M if mean is None else mean[:, None]
    centred = x - m
    v = np.einsum("ncl,ncl->c", centred, centred)[:, None] / M if var is None else var[:, None]
    r = 1 / np.sqrt(v + eps)
    x_hat = r * centred
    y = x_hat if w is None else w[:, None] * x_hat
    if b is not None:
        y = y + b[:, None]
    return y.reshape(shape), (x_hat, w, b, r, mean is None, m, v)


def batch_norm_backward(dy: np.ndarray, saved: Any) -> tuple[Any, ...]:
    """dx = w r (dy - (db + x̂ dw)/M), dw = Σ dy x̂, db = Σ dy; derived in batch_norm."""
    x_hat, w, b, r, pooled, *_ = saved
    shape, dy = dy.shape, dy.reshape(x_hat.shape)
    M = max(1, len(dy) * dy.shape[2])
    dw = np.einsum("ncl,ncl->c", dy, x_hat)
    db = np.einsum("ncl->c", dy)
    wr = r if w is None else w[:, None] * r
    if pooled:
        dy = dy - (db[:, None] / M + x_hat * (dw[:, None] / M))
    dx = wr * dy
    return dx.reshape(shape), None if w is None else dw, None if b is None else db


def running_statistics(
    running_mean: np.ndarray, running_var: np.ndarray, m: np.ndarray, v: np.ndarray, M: int, f: float
) -> tuple[np.ndarray, np.ndarray]:
    r"""The mean and variance of all batches so far, in which the new batch has the share f.

    $$\bar m \leftarrow (1-f)\, \bar m + f\, m, \qquad
      \bar v \leftarrow (1-f)\, \bar v + f\, \frac{M}{M-1} v.$$

    So the unbiased variance (by M - 1) is kept, though the biased one (by M) is divided by, as in torch;
    other libraries differ.

    Args:
        running_mean: (C,).
        running_var: (C,).
        m: (C,), the mean of the batch.
        v: (C,), its biased variance.
        M: how many numbers they are made of.
        f: the share of the batch, torch's momentum.

    Returns:
        The new running mean and variance.

    Example:
        >>> running_statistics(np.array([0.0]), np.array([1.0]), np.array([2.0]), np.array([3.0]), 4, 0.5)
        (array([1.]), array([2.5]))
    """
    unbiased = v * (M / (M - 1))
    running_mean = (1 - f) * running_mean + f * m
    running_var = (1 - f) * running_var + f * unbiased
    return running_mean, running_var


def instance_norm(
    x: np.ndarray,
    w: np.ndarray | None = None,
    b: np.ndarray | None = None,
    eps: float = 1e-5,
    mean: np.ndarray | None = None,
    var: np.ndarray | None = None,
    channel_axis: int = 1,
) -> tuple[np.ndarray, Any]:
    r"""Each channel of each sample is normalised by itself.

    This is batch_norm of one sample with N·C channels, in which w and b come N times; so dw and db are the
    sums over these N.

    Args:
        x: (N, C, \*), or (C, \*) with ``channel_axis=0``.
        w: (C,), or None for 1.
        b: (C,), or None for 0.
        eps: ε.
        mean: (C,), constant, or None for the mean of each channel of each sample.
        var: (C,), constant, or None for the biased variance of these.
        channel_axis: 1, or 0 for a single sample.

    Returns:
        y, shaped as x, and what instance_norm_backward needs; its last two entries are m and v, each
        (N·C, 1).

    Source: Ulyanov, Vedaldi and Lempitsky 2016.

    Example:
        >>> y, saved = instance_norm(np.array([[[1.0, 3.0]], [[4.0, 2.0]]]), eps=0)
        >>> y.tolist(), instance_norm_backward(np.ones((2, 1, 2)), saved)[0].tolist()
        ([[[-1.0, 1.0]], [[1.0, -1.0]]], [[[0.0, 0.0]], [[0.0, 0.0]]])
    """
    N, C = math.prod(x.shape[:channel_axis]), x.shape[channel_axis]
    rows = x.reshape(1, N * C, math.prod(x.shape[channel_axis + 1 :]))
    w, b, mean, var = (None if each is None else np.tile(each, N) for each in (w, b, mean, var))
    y, saved = batch_norm(rows, w, b, eps, mean, var)
    return y.reshape(x.shape), (N, *saved)


def instance_norm_backward(dy: np.ndarray, saved: Any) -> tuple[Any, ...]:
    """dx, dw and db of batch_norm, dw and db summed over the samples; derived in instance_norm."""
    N, *saved = saved
    dx, dw, db = batch_norm_backward(dy.reshape(saved[0].shape), saved)
    dw, db = (None if each is None else each.reshape(N, -1).sum(axis=0) for each in (dw, db))
    return dx.reshape(dy.shape), dw, db


def layer_norm(
    x: np.ndarray,
    w: np.ndarray | None = None,
    b: np.ndarray | None = None,
    eps: float = 1e-5,
    axes: int = 1,
) -> tuple[np.ndarray, Any]:
    r"""$y = w \hat x + b$: each sample, the M numbers in the last axes, is normalised by itself.

    $\hat x$ is that of batch_norm, with the N samples as channels. w and b have an entry for each of the M
    numbers, so $g = w\, dy$ is the gradient of $\hat x$, and

    $$dx = r \Bigl(g - \frac1M \sum g - \hat x\, \frac1M \sum g \hat x\Bigr), \qquad
      dw = \sum_n dy\, \hat x, \qquad db = \sum_n dy,$$

    where the sums in dx are over the M numbers of a sample.

    Args:
        x: (\*, S), S the last ``axes`` sizes.
        w: S, or None for 1.
        b: S, or None for 0.
        eps: ε.
        axes: how many of the last axes are normalised over.

    Returns:
        y, shaped as x, and what layer_norm_backward needs.

    Source: Ba, Kiros and Hinton 2016.

    Example:
        >>> y, saved = layer_norm(np.array([[1.0, 3.0]]), np.array([2.0, 1.0]), np.zeros(2), eps=0)
        >>> y, layer_norm_backward(np.ones((1, 2)), saved)[1:]
        (array([[-2.,  1.]]), (array([-1.,  1.]), array([1., 1.])))
    """
    N, M = math.prod(x.shape[:-axes]), math.prod(x.shape[-axes:])
    x_hat, pools = batch_norm(x.reshape(1, N, M), eps=eps)
    y = x_hat.reshape(x.shape)
    if w is not None:
        y = w * y
    if b is not None:
        y = y + b
    return y, (x_hat, w, b, pools)


def layer_norm_backward(dy: np.ndarray, saved: Any) -> tuple[Any, ...]:
    """dx = r (g - mean g - x̂ mean g x̂) with g = w dy, dw = Σ dy x̂, db = Σ dy; derived in layer_norm."""
    x_hat, w, b, pools = saved
    shape, dy = dy.shape, dy.reshape(x_hat.shape)
    dw = None if w is None else np.einsum("inm,inm->m", dy, x_hat).reshape(w.shape)
    db = None if b is None else np.einsum("inm->m", dy).reshape(b.shape)
    g = dy if w is None else w.reshape(-1) * dy
    dx, *_ = batch_norm_backward(g, pools)
    return dx.reshape(shape), dw, db


def group_norm(
    x: np.ndarray,
    w: np.ndarray | None = None,
    b: np.ndarray | None = None,
    groups: int = 1,
    eps: float = 1e-5,
) -> tuple[np.ndarray, Any]:
    r"""$y = w \hat x + b$: the channels of a sample are normalised in G groups, w and b by channel.

    $\hat x$ is that of batch_norm, with the N·G groups, each of M = C/G · L numbers, as channels. With
    $g = w\, dy$ and the sums in dx over the numbers of a group

    $$dx = r \Bigl(g - \frac1M \sum g - \hat x\, \frac1M \sum g \hat x\Bigr), \qquad
      dw_c = \sum_{n,l} dy\, \hat x, \qquad db_c = \sum_{n,l} dy.$$

    Args:
        x: (N, C, \*), with L positions in the last axes.
        w: (C,), or None for 1.
        b: (C,), or None for 0.
        groups: G, a divisor of C.
        eps: ε.

    Returns:
        y (N, C, \*), and what group_norm_backward needs.

    Source: Wu and He 2018.

    Example:
        >>> y, saved = group_norm(np.array([[1.0, 3.0]]), np.array([2.0, 1.0]), np.zeros(2), 1, eps=0)
        >>> y, group_norm_backward(np.ones((1, 2)), saved)[1:]
        (array([[-2.,  1.]]), (array([-1.,  1.]), array([1., 1.])))
    """
    N, C, *places = x.shape
    L = math.prod(places)
    x_hat, pools = batch_norm(x.reshape(1, N * groups, C // groups * L), eps=eps)
    x_hat = x_hat.reshape(N, C, L)
    y = x_hat if w is None else w[:, None] * x_hat
    if b is not None:
        y = y + b[:, None]
    return y.reshape(x.shape), (x_hat, w, b, pools)


def group_norm_backward(dy: np.ndarray, saved: Any) -> tuple[Any, ...]:
    """dx = r (g - mean g - x̂ mean g x̂) with g = w dy, dw = Σ dy x̂, db = Σ dy; derived in group_norm."""
    x_hat, w, b, pools = saved
    shape, dy = dy.shape, dy.reshape(x_hat.shape)
    dw = None if w is None else np.einsum("ncl,ncl->c", dy, x_hat)
    db = None if b is None else np.einsum("ncl->c", dy)
    g = dy if w is None else w[:, None] * dy
    dx, *_ = batch_norm_backward(g.reshape(pools[0].shape), pools)
    return dx.reshape(shape), dw, db


def rms_norm(
    x: np.ndarray, w: np.ndarray | None = None, eps: float = 1e-6, axes: int = 1
) -> tuple[np.ndarray, Any]:
    r"""$y = w \hat x$, $\hat x = r x$: layer_norm that takes no mean off.

    $$v = \frac1M \sum x^2, \qquad r = \frac{1}{\sqrt{v + \epsilon}}, \qquad
      \frac{\partial r}{\partial x_j} = -\tfrac12 r^3\, \frac{\partial v}{\partial x_j}
      = -\frac{r^2 \hat x_j}{M},$$

    so with $g = w\, dy$ and the sums in dx over the M numbers of a sample

    $$dx = r \Bigl(g - \hat x\, \frac1M \sum g \hat x\Bigr), \qquad dw = \sum_n dy\, \hat x.$$

    Args:
        x: (\*, S), S the last ``axes`` sizes.
        w: S, or None for 1.
        eps: ε.
        axes: how many of the last axes are normalised over.

    Returns:
        y, shaped as x, and what rms_norm_backward needs.

    Source: Zhang and Sennrich 2019.

    Example:
        >>> y, saved = rms_norm(np.array([[1.0, 7.0]]), np.array([10.0, 5.0]), eps=0)
        >>> y, rms_norm_backward(np.ones((1, 2)), saved)[1]
        (array([[2., 7.]]), array([0.2, 1.4]))
    """
    shape, M = x.shape, math.prod(x.shape[-axes:])
    x = x.reshape(math.prod(shape[:-axes]), M)
    v = np.einsum("nm,nm->n", x, x)[:, None] / max(1, M)
    r = 1 / np.sqrt(v + eps)
    x_hat = r * x
    y = x_hat if w is None else w.reshape(-1) * x_hat
    return y.reshape(shape), (x_hat, w, r)


def rms_norm_backward(dy: np.ndarray, saved: Any) -> tuple[Any, ...]:
    """dx = r (g - x̂ mean g x̂) with g = w dy, dw = Σ dy x̂; derived in rms_norm."""
    x_hat, w, r = saved
    shape, dy = dy.shape, dy.reshape(x_hat.shape)
    dw = None if w is None else np.einsum("nm,nm->m", dy, x_hat).reshape(w.shape)
    g = dy if w is None else w.reshape(-1) * dy
    dx = r * (g - x_hat * (np.einsum("nm,nm->n", g, x_hat)[:, None] / max(1, dy.shape[1])))
    return dx.reshape(shape), dw


def local_response_norm(
    x: np.ndarray, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> tuple[np.ndarray, Any]:
    r"""$y_c = x_c\, D_c^{-\beta}$: a number is damped by the squares of its neighbours in other channels.

    $$D_c = k + \frac{\alpha}{n} \sum_{j=c-\lfloor n/2\rfloor}^{c+\lfloor (n-1)/2\rfloor} x_j^2$$

    over the channels that there are, at one place. $x_c$ reaches $y_c$ by itself, and each $y_j$ whose window
    c lies in by $\partial D_j/\partial x_c = 2 \frac{\alpha}{n} x_c$:

    $$dx_c = dy_c\, D_c^{-\beta} - 2 \beta \frac{\alpha}{n}\, x_c
      \sum_{j=c-\lfloor (n-1)/2\rfloor}^{c+\lfloor n/2\rfloor} dy_j\, x_j\, D_j^{-\beta-1}.$$

    Args:
        x: (N, C, \*).
        size: n, how many channels are neighbours. (α is divided by it, in the paper it is not.)
        alpha: α.
        beta: β.
        k: k.

    Returns:
        y (N, C, \*), and what local_response_norm_backward needs.

    Source: Krizhevsky, Sutskever and Hinton 2012, section 3.3.

    Example:
        >>> y, saved = local_response_norm(np.array([[[1.0], [2.0]]]), 2, alpha=2, beta=1)
        >>> y.ravel(), local_response_norm_backward(np.ones((1, 2, 1)), saved).ravel()
        (array([0.5       , 0.33333333]), array([-0.11111111, -0.05555556]))
    """
    a = alpha / size
    D = k + a * sum_of_neighbours(x * x, size // 2, (size - 1) // 2)
    y = x * D**-beta
    return y, (x, D, a, beta, size)


def local_response_norm_backward(dy: np.ndarray, saved: Any) -> np.ndarray:
    """dx = dy D^-β - 2 β α/n x Σ dy x D^(-β-1), over the windows that x is in."""
    x, D, a, beta, size = saved
    g = dy * D**-beta
    return g - 2 * beta * a * x * sum_of_neighbours(g * x / D, (size - 1) // 2, size // 2)
