r"""Losses of single elements, and the reduction, which all losses share and which stands apart from them.

A loss is $L = \frac1Z \sum_n \ell_n$. Each formula gives the ℓ; ``reduce`` adds them up:

    ℓ, saved = mse_loss(x, t)                           # ℓ = (x - t)²
    L, reduced = reduce(ℓ, "mean")                      # L = Σ ℓ / n

    dℓ = reduce_backward(1.0, reduced)                  # 1 / n
    dx = mse_loss_backward(dℓ, saved)                   # 2 (x - t) / n

A target is constant and has no gradient. (torch differentiates some losses by the target too.) Where there
are several gradients, None stands in its place.
"""

import math
from typing import Any

import numpy as np

from scratch.functional.elementary import clip, log1p_exp, positive, sigma, sum_to

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_backward",
    "binary_cross_entropy_with_logits",
    "binary_cross_entropy_with_logits_backward",
    "gaussian_nll_loss",
    "gaussian_nll_loss_backward",
    "hinge_embedding_loss",
    "hinge_embedding_loss_backward",
    "huber_loss",
    "huber_loss_backward",
    "kl_div",
    "kl_div_backward",
    "l1_loss",
    "l1_loss_backward",
    "mse_loss",
    "mse_loss_backward",
    "poisson_nll_loss",
    "poisson_nll_loss_backward",
    "reduce",
    "reduce_backward",
    "smooth_l1_loss",
    "smooth_l1_loss_backward",
    "soft_margin_loss",
    "soft_margin_loss_backward",
]


def reduce(ℓ: np.ndarray, reduction: str = "mean", total_weight: Any = None) -> tuple[Any, Any]:
    r"""$L = \frac1Z \sum_n \ell_n$, so $d\ell_n = dL / Z$ for every n.

    Z is how many ℓ there are, or their ``total_weight`` ("mean"); the length of the first axis ("batchmean");
    or 1 ("sum"). With "none" nothing is added up: $L = \ell$ and $d\ell = dL$. The mean over nothing is nan,
    and its gradient 0, as torch has it.

    Args:
        ℓ: (\*).
        reduction: "mean", "batchmean", "sum" or "none".
        total_weight: Z of the mean, where it is another number than that of the ℓ.

    Returns:
        L (), or (\*) with "none", and what reduce_backward needs.

    Example:
        >>> L, saved = reduce(np.array([1.0, 2.0, 3.0, 4.0]))
        >>> L.item(), reduce_backward(1.0, saved)
        (2.5, array([0.25, 0.25, 0.25, 0.25]))
    """
    if reduction == "none":
        return ℓ, None
    if reduction == "sum":
        Z = 1
    elif reduction == "batchmean":
        Z = len(ℓ) if ℓ.ndim else 1
    else:
        Z = ℓ.size if total_weight is None else total_weight
    L = ℓ.sum()
    return (L / Z if Z else L * np.nan), (ℓ.shape, ℓ.dtype, Z)


def reduce_backward(dL: Any, saved: Any) -> np.ndarray:
    """dℓ = dL / Z for every ℓ."""
    if saved is None:
        return dL
    shape, dtype, Z = saved
    dℓ = np.empty(shape, dtype)
    dℓ.fill(dL / Z if Z else 0)
    return dℓ


# ---- distances from a target


def mse_loss(x: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, Any]:
    r"""$\ell = (x - t)^2$, so $dx = 2 (x - t)\, d\ell$.

    Args:
        x: (\*).
        t: (\*).

    Returns:
        ℓ (\*), and what mse_loss_backward needs.

    Example:
        >>> ℓ, saved = mse_loss(np.array([3.0, 1.0]), np.array([1.0, 1.0]))
        >>> ℓ, mse_loss_backward(np.ones(2), saved)
        (array([4., 0.]), array([4., 0.]))
    """
    return (x - t) ** 2, (x, t)


def mse_loss_backward(dℓ: np.ndarray, saved: Any) -> np.ndarray:
    """dx = 2 (x - t) dℓ."""
    x, t = saved
    return 2 * (x - t) * dℓ


def l1_loss(x: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, Any]:
    r"""$\ell = |x - t|$, so $dx = \operatorname{sign}(x - t)\, d\ell$, and 0 where x = t.

    Args:
        x: (\*).
        t: (\*).

    Returns:
        ℓ (\*), and what l1_loss_backward needs.

    Example:
        >>> ℓ, saved = l1_loss(np.array([3.0, 1.0]), np.array([1.0, 4.0]))
        >>> ℓ, l1_loss_backward(np.ones(2), saved)
        (array([2., 3.]), array([ 1., -1.]))
    """
    sign = np.sign((x - t).real)
    return sign * (x - t), sign


def l1_loss_backward(dℓ: np.ndarray, sign: np.ndarray) -> np.ndarray:
    """dx = sign(x - t) dℓ."""
    return sign * dℓ


def smooth_l1_loss(x: np.ndarray, t: np.ndarray, beta: float = 1.0) -> tuple[np.ndarray, Any]:
    r"""$d = x - t$ is squared below β, and taken as it is above: $\ell = d^2/2\beta$ or $|d| - \beta/2$.

    With the slope $s = \min(\max(d/\beta, -1), 1)$ both are $\ell = s\,(d - \frac\beta2 s)$, and
    $dx = s\, d\ell$.

    Args:
        x: (\*).
        t: (\*).
        beta: β; 0 makes it l1_loss.

    Returns:
        ℓ (\*), and what smooth_l1_loss_backward needs.

    Source: Girshick 2015.

    Example:
        >>> ℓ, saved = smooth_l1_loss(np.array([0.5, 3.0]), np.zeros(2))
        >>> ℓ, smooth_l1_loss_backward(np.ones(2), saved)
        (array([0.125, 2.5  ]), array([0.5, 1. ]))
    """
    β, d = beta, x - t
    s = clip(d / β, -1, 1) if β else np.sign(d.real)
    return s * (d - β / 2 * s), s


def smooth_l1_loss_backward(dℓ: np.ndarray, s: np.ndarray) -> np.ndarray:
    """dx = s dℓ, s = min(max((x - t)/β, -1), 1)."""
    return s * dℓ


def huber_loss(x: np.ndarray, t: np.ndarray, delta: float = 1.0) -> tuple[np.ndarray, Any]:
    r"""$d = x - t$ is squared below δ, and grows evenly above: $\ell = d^2/2$ or $\delta\,(|d| - \delta/2)$.

    With the slope $s = \min(\max(d, -\delta), \delta)$ both are $\ell = s\,(d - s/2)$, and $dx = s\, d\ell$.

    Args:
        x: (\*).
        t: (\*).
        delta: δ.

    Returns:
        ℓ (\*), and what huber_loss_backward needs.

    Source: Huber 1964.

    Example:
        >>> ℓ, saved = huber_loss(np.array([1.0, 3.0]), np.zeros(2), 2.0)
        >>> ℓ, huber_loss_backward(np.ones(2), saved)
        (array([0.5, 4. ]), array([1., 2.]))
    """
    δ, d = delta, x - t
    s = clip(d, -δ, δ)
    return s * (d - s / 2), s


def huber_loss_backward(dℓ: np.ndarray, s: np.ndarray) -> np.ndarray:
    """dx = s dℓ, s = min(max(x - t, -δ), δ)."""
    return s * dℓ


# ---- logarithms of probabilities


def binary_cross_entropy(x: np.ndarray, t: np.ndarray, weight: Any = None) -> tuple[np.ndarray, Any]:
    r"""$\ell = -w\,(t \log x + (1-t) \log(1-x))$ for probabilities x.

    $$dx = w \Bigl(\frac{1-t}{1-x} - \frac{t}{x}\Bigr) d\ell = w \frac{x - t}{x (1 - x)}\, d\ell.$$

    As torch has it, logarithms end at -100 and the denominator at 1e-12, so that x = 0 and x = 1 are finite.

    Args:
        x: (\*), from 0 to 1.
        t: (\*).
        weight: w, of a shape that broadcasts to that of x, or None for 1.

    Returns:
        ℓ (\*), and what binary_cross_entropy_backward needs.

    Example:
        >>> ℓ, saved = binary_cross_entropy(np.array([0.5, 0.25]), np.array([1.0, 0.0]))
        >>> ℓ.round(4), binary_cross_entropy_backward(np.ones(2), saved).round(4)
        (array([0.6931, 0.2877]), array([-2.    ,  1.3333]))
    """
    w = 1 if weight is None else weight
    return -w * (t * _log(x) + (1 - t) * _log(1 - x)), (x, t, w)


def binary_cross_entropy_backward(dℓ: np.ndarray, saved: Any) -> np.ndarray:
    """dx = w (x - t) / (x (1 - x)) dℓ."""
    x, t, w = saved
    variance = x * (1 - x)
    variance = np.where(variance.real < _LEAST, variance.dtype.type(_LEAST), variance)
    return w * (x - t) / variance * dℓ


# torch keeps its 1e-12 in float32.
_LEAST = float(np.float32(1e-12))


def _log(x: np.ndarray) -> np.ndarray:
    """log x, or -100 where it is below that."""
    tiny = x.real < np.exp(-100.0)
    return np.where(tiny, x.dtype.type(-100), np.log(np.where(tiny, 1, x)))


def binary_cross_entropy_with_logits(
    x: np.ndarray, t: np.ndarray, weight: Any = None, pos_weight: Any = None
) -> tuple[np.ndarray, Any]:
    r"""binary_cross_entropy of $\sigma(x)$, from the scores x themselves.

    With $\log\sigma(x) = -\log(1+e^{-x})$, $\log(1 - \sigma(x)) = -x - \log(1+e^{-x})$ and the weight p of
    the positive class,

    $$\ell = -w \bigl( p\, t \log\sigma(x) + (1-t) \log(1 - \sigma(x)) \bigr)
           = w \bigl( (1-t)\, x + (1 + (p-1)\, t) \log(1+e^{-x}) \bigr),$$
    $$dx = w \bigl( (1-t)\, \sigma(x) - p\, t\, (1 - \sigma(x)) \bigr)\, d\ell,$$

    which for p = 1 is $w\,(\sigma(x) - t)\, d\ell$: the derivative of σ cancels.

    Args:
        x: (\*).
        t: (\*).
        weight: w, of a shape that broadcasts to that of x, or None for 1.
        pos_weight: p, likewise.

    Returns:
        ℓ (\*), and what binary_cross_entropy_with_logits_backward needs.

    Example:
        >>> ℓ, saved = binary_cross_entropy_with_logits(np.zeros(2), np.array([1.0, 0.0]))
        >>> ℓ.round(4), binary_cross_entropy_with_logits_backward(np.ones(2), saved)
        (array([0.6931, 0.6931]), array([-0.5,  0.5]))
    """
    w = 1 if weight is None else weight
    p = 1 if pos_weight is None else pos_weight
    return w * ((1 - t) * x + (1 + (p - 1) * t) * log1p_exp(-x)), (x, t, w, p)


def binary_cross_entropy_with_logits_backward(dℓ: np.ndarray, saved: Any) -> np.ndarray:
    """dx = w ((1 - t) σ(x) - p t (1 - σ(x))) dℓ, with 1 - σ(x) = σ(-x)."""
    x, t, w, p = saved
    return w * ((1 - t) * sigma(x) - p * t * sigma(-x)) * dℓ


def kl_div(x: np.ndarray, t: np.ndarray, log_target: bool = False) -> tuple[np.ndarray, Any]:
    r"""$\ell = t\,(\log t - x)$ for log-probabilities x and probabilities t, so $dx = -t\, d\ell$.

    Summed over a distribution that is the Kullback-Leibler divergence of x from t. Where t = 0, ℓ = 0.

    Args:
        x: (\*).
        t: (\*).
        log_target: whether t is the logarithm of the target.

    Returns:
        ℓ (\*), and what kl_div_backward needs.

    Example:
        >>> ℓ, saved = kl_div(np.log([0.25, 0.75]), np.array([0.0, 1.0]))
        >>> ℓ.round(4), kl_div_backward(np.ones(2), saved)
        (array([0.    , 0.2877]), array([-0., -1.]))
    """
    log_t, t = (t, np.exp(t)) if log_target else (np.log(np.where(t == 0, 1, t)), t)
    return t * (log_t - x), t


def kl_div_backward(dℓ: np.ndarray, t: np.ndarray) -> np.ndarray:
    """dx = -t dℓ."""
    return -t * dℓ


def poisson_nll_loss(
    x: np.ndarray, t: np.ndarray, log_input: bool = True, full: bool = False, eps: float = 1e-8
) -> tuple[np.ndarray, Any]:
    r"""A count t is Poisson with the mean $\mu = e^x$: $\ell = -\log P(t) = e^x - t x + \log t!$.

    So $dx = (e^x - t)\, d\ell$. With ``log_input=False`` x is µ itself, $\ell = x - t \log(x + \epsilon)$ and
    $dx = (1 - t/(x+\epsilon))\, d\ell$. The constant $\log t!$ is left out unless ``full``, and then it is
    Stirling's $t \log t - t + \frac12 \log 2\pi t$ for t > 1, else 0.

    Args:
        x: (\*).
        t: (\*).
        log_input: whether x is log µ.
        full: whether to add the constant.
        eps: ε, against log 0.

    Returns:
        ℓ (\*), and what poisson_nll_loss_backward needs.

    Example:
        >>> ℓ, saved = poisson_nll_loss(np.zeros(2), np.array([0.0, 3.0]))
        >>> ℓ, poisson_nll_loss_backward(np.ones(2), saved)
        (array([1., 1.]), array([ 1., -2.]))
    """
    ℓ = np.exp(x) - t * x if log_input else x - t * np.log(x + eps)
    if full:
        n = np.where(t > 1, t, 1)
        ℓ = ℓ + (t > 1) * (n * np.log(n) - n + 0.5 * np.log(2 * math.pi * n))
    return ℓ, (x, t, log_input, eps)


def poisson_nll_loss_backward(dℓ: np.ndarray, saved: Any) -> np.ndarray:
    """dx = (eˣ - t) dℓ, or (1 - t/(x + ε)) dℓ."""
    x, t, log_input, eps = saved
    return (np.exp(x) - t if log_input else 1 - t / (x + eps)) * dℓ


def gaussian_nll_loss(
    x: np.ndarray, t: np.ndarray, v: Any, full: bool = False, eps: float = 1e-6
) -> tuple[np.ndarray, Any]:
    r"""t is normal with mean x and variance v: $\ell = \frac12 \bigl(\log v + d^2/v\bigr)$, $d = x - t$.

    $$dx = \frac dv\, d\ell, \qquad dv = \frac12 \Bigl(\frac1v - \frac{d^2}{v^2}\Bigr) d\ell,$$

    summed where one v serves several x. A variance below ε counts as ε, and still gets its gradient, as
    torch's.

    Args:
        x: (\*, D).
        t: (\*, D).
        v: (\*, D), or with an axis of size 1, or (\*); or a number, which has no gradient.
        full: whether to add the constant $\frac12 \log 2\pi$.
        eps: ε.

    Returns:
        ℓ (\*, D), and what gaussian_nll_loss_backward needs.

    Source: Nix and Weigend 1994.

    Example:
        >>> ℓ, saved = gaussian_nll_loss(np.array([3.0]), np.array([1.0]), np.array([1.0]))
        >>> ℓ, gaussian_nll_loss_backward(np.ones(1), saved)
        (array([2.]), (array([2.]), None, array([-1.5])))
    """
    shape = getattr(v, "shape", None)
    v = np.asarray(v, x.real.dtype) if shape is None else v
    if shape is not None and v.ndim < x.ndim:
        v = v[..., None]
    v = v + positive(eps - v.real)
    d = x - t
    ℓ = 0.5 * (np.log(v) + d * d / v)
    return (ℓ + 0.5 * math.log(2 * math.pi) if full else ℓ), (d, v, shape)


def gaussian_nll_loss_backward(dℓ: np.ndarray, saved: Any) -> tuple[Any, ...]:
    """dx = d/v dℓ, dv = (1/v - d²/v²)/2 dℓ; derived in gaussian_nll_loss."""
    d, v, shape = saved
    dx = d / v * dℓ
    if shape is None:
        return dx, None, None
    dv = 0.5 * (1 / v - d * d / (v * v)) * dℓ
    return dx, None, sum_to(dv, v.shape).reshape(shape)


# ---- signs


def soft_margin_loss(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, Any]:
    r"""$\ell = \log(1 + e^{-yx})$ for signs y = ±1, so $dx = -y\, \sigma(-yx)\, d\ell$.

    (torch lets $e^{-yx}$ overflow, and its ℓ is infinite where yx < -88 in float32.)

    Args:
        x: (\*).
        y: (\*), 1 or -1.

    Returns:
        ℓ (\*), and what soft_margin_loss_backward needs.

    Example:
        >>> ℓ, saved = soft_margin_loss(np.zeros(2), np.array([1.0, -1.0]))
        >>> ℓ.round(4), soft_margin_loss_backward(np.ones(2), saved)
        (array([0.6931, 0.6931]), array([-0.5,  0.5]))
    """
    return log1p_exp(-y * x), (x, y)


def soft_margin_loss_backward(dℓ: np.ndarray, saved: Any) -> np.ndarray:
    """dx = -y σ(-yx) dℓ."""
    x, y = saved
    return -y * sigma(-y * x) * dℓ


def hinge_embedding_loss(x: np.ndarray, y: np.ndarray, margin: float = 1.0) -> tuple[np.ndarray, Any]:
    r"""x is a distance: $\ell = x$ for a pair that belongs together, y = 1, and $\max(0, m - x)$ if y = -1.

    So $dx = d\ell$ or $-d\ell\, [m - x \ge 0]$. (As in torch, for another y both are added.)

    Args:
        x: (\*).
        y: (\*), 1 or -1.
        margin: m.

    Returns:
        ℓ (\*), and what hinge_embedding_loss_backward needs.

    Example:
        >>> ℓ, saved = hinge_embedding_loss(np.array([2.0, 0.25]), np.array([1.0, -1.0]))
        >>> ℓ, hinge_embedding_loss_backward(np.ones(2), saved)
        (array([2.  , 0.75]), array([ 1., -1.]))
    """
    z = margin - x
    near, far = y != -1, y != 1
    return np.where(near, x, 0) + np.where(far, clip(z, 0, np.inf), 0), (near, far & (z.real >= 0))


def hinge_embedding_loss_backward(dℓ: np.ndarray, saved: Any) -> np.ndarray:
    """dx = dℓ if y = 1, -dℓ if y = -1 and x ≤ m."""
    near, too_near = saved
    return near * dℓ - too_near * dℓ
