r"""Activations: each element by itself, $y_i = f(x_i)$, so that $dx_i = f'(x_i)\, dy_i$."""

import math
from typing import Any

import numpy as np

from scratch.functional.elementary import (
    clip,
    erf,
    from_lowest,
    log1p_exp,
    negative,
    positive,
    sigma,
    step,
)

__all__ = [
    "celu",
    "celu_backward",
    "elu",
    "elu_backward",
    "gelu",
    "gelu_backward",
    "hardshrink",
    "hardshrink_backward",
    "hardsigmoid",
    "hardsigmoid_backward",
    "hardswish",
    "hardswish_backward",
    "hardtanh",
    "hardtanh_backward",
    "leaky_relu",
    "leaky_relu_backward",
    "logsigmoid",
    "logsigmoid_backward",
    "mish",
    "mish_backward",
    "prelu",
    "prelu_backward",
    "relu",
    "relu_backward",
    "rrelu",
    "rrelu_backward",
    "selu",
    "selu_backward",
    "sigmoid",
    "sigmoid_backward",
    "silu",
    "silu_backward",
    "softplus",
    "softplus_backward",
    "softshrink",
    "softshrink_backward",
    "softsign",
    "softsign_backward",
    "tanh",
    "tanh_backward",
    "tanhshrink",
    "tanhshrink_backward",
    "threshold",
    "threshold_backward",
]


def relu(x: np.ndarray) -> tuple[np.ndarray, Any]:
    r"""$y = \max(x, 0)$, so $y' = 1$ where $x > 0$ and 0 elsewhere, at $x = 0$ too, as torch has it.

    Args:
        x: (\*).

    Returns:
        y (\*), and what relu_backward needs.

    Example:
        >>> y, saved = relu(np.array([-1.0, 0.0, 2.0]))
        >>> y, relu_backward(np.ones(3), saved)
        (array([0., 0., 2.]), array([0., 0., 1.]))
    """
    y = positive(x)
    return y, y


def relu_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dx = dy where y > 0, else 0."""
    return dy * (y.real > 0)


def leaky_relu(x: np.ndarray, negative_slope: float = 0.01) -> tuple[np.ndarray, Any]:
    r"""$y = x$ where $x > 0$ and $a x$ elsewhere, so $y'$ is 1 or $a$.

    Args:
        x: (\*).
        negative_slope: a.

    Returns:
        y (\*), and what leaky_relu_backward needs.

    Source: Maas et al. 2013.

    Example:
        >>> y, saved = leaky_relu(np.array([-1.0, 2.0]), 0.5)
        >>> y, leaky_relu_backward(np.ones(2), saved)
        (array([-0.5,  2. ]), array([0.5, 1. ]))
    """
    a = negative_slope
    return positive(x) + a * negative(x), (x, a)


def leaky_relu_backward(dy: np.ndarray, saved: Any) -> np.ndarray:
    """dx = dy where x > 0, else a dy."""
    x, a = saved
    above = step(x)
    return dy * (above + a * (1 - above))


def rrelu(x: np.ndarray, a: Any) -> tuple[np.ndarray, Any]:
    r"""$y = x$ where $x > 0$ and $a x$ elsewhere, so $y'$ is 1 or $a$, which is drawn anew for each element.

    Args:
        x: (\*).
        a: (\*), constant; or one number for all, as in evaluation.

    Returns:
        y (\*), and what rrelu_backward needs.

    Source: Xu et al. 2015.

    Example:
        >>> y, saved = rrelu(np.array([-1.0, -1.0, 2.0]), np.array([0.25, 0.5, 0.75]))
        >>> y, rrelu_backward(np.ones(3), saved)
        (array([-0.25, -0.5 ,  2.  ]), array([0.25, 0.5 , 1.  ]))
    """
    slope = np.where(x.real <= 0, a, 1).astype(x.real.dtype)
    return x * slope, slope


def rrelu_backward(dy: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """dx = dy where x > 0, else a dy."""
    return dy * slope


def prelu(x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, Any]:
    r"""$y = \max(x, 0) + w_c \min(x, 0)$: a leaky_relu whose slope is learned, for each channel c or for all.

    $$dx = dy \text{ where } x > 0, \text{ else } w_c\, dy, \qquad
      dw_c = \sum \min(x, 0)\, dy \text{ over all elements of channel } c.$$

    Args:
        x: (\*), or, for more than one w, (N, C, \*).
        w: (1,) or (C,).

    Returns:
        y (\*), and what prelu_backward needs.

    Source: He et al. 2015.

    Example:
        >>> y, saved = prelu(np.array([-2.0, 3.0]), np.array([0.5]))
        >>> y, prelu_backward(np.ones(2), saved)
        (array([-1.,  3.]), (array([0.5, 1. ]), array([-2.])))
    """
    wc = w.reshape(-1, *[1] * (x.ndim - 2)) if len(w) > 1 else w[0]
    return positive(x) + wc * negative(x), (x, wc)


def prelu_backward(dy: np.ndarray, saved: Any) -> tuple[np.ndarray, np.ndarray]:
    """dx = dy where x > 0, else w dy; dw = Σ min(x, 0) dy."""
    x, wc = saved
    above = step(x)
    dx = dy * (above + wc * (1 - above))
    dw = negative(x) * dy
    dw = dw.sum(axis=(0, *range(2, x.ndim))) if wc.ndim else dw.sum(keepdims=True).reshape(1)
    return dx, dw


def elu(x: np.ndarray, alpha: float = 1.0) -> tuple[np.ndarray, Any]:
    r"""$y = x$ where $x > 0$ and $\alpha (e^x - 1)$ elsewhere, so $y' = 1$ or $\alpha e^x$.

    Args:
        x: (\*).
        alpha: α.

    Returns:
        y (\*), and what elu_backward needs.

    Source: Clevert, Unterthiner and Hochreiter 2016.

    Example:
        >>> y, saved = elu(np.array([0.0, 2.0]), 0.5)
        >>> y, elu_backward(np.ones(2), saved)
        (array([0., 2.]), array([0.5, 1. ]))
    """
    α = alpha
    return positive(x) + α * np.expm1(negative(x)), (x, α)


def elu_backward(dy: np.ndarray, saved: Any) -> np.ndarray:
    """dx = dy where x > 0, else α eˣ dy."""
    x, α = saved
    above = step(x)
    return dy * (above + α * np.exp(negative(x)) * (1 - above))


def celu(x: np.ndarray, alpha: float = 1.0) -> tuple[np.ndarray, Any]:
    r"""$y = x$ where $x > 0$ and $\alpha (e^{x/\alpha} - 1)$ elsewhere, so $y' = 1$ or $e^{x/\alpha}$.

    An elu whose y' has no jump at 0.

    Args:
        x: (\*).
        alpha: α, not 0.

    Returns:
        y (\*), and what celu_backward needs.

    Source: Barron 2017.

    Example:
        >>> y, saved = celu(np.array([0.0, 2.0]), 0.5)
        >>> y, celu_backward(np.ones(2), saved)
        (array([0., 2.]), array([1., 1.]))
    """
    α = alpha
    return positive(x) + α * np.expm1(negative(x) / α), (x, α)


def celu_backward(dy: np.ndarray, saved: Any) -> np.ndarray:
    """dx = dy where x > 0, else e^(x/α) dy."""
    x, α = saved
    above = step(x)
    return dy * (above + np.exp(negative(x) / α) * (1 - above))


_SELU_λ, _SELU_α = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717


def selu(x: np.ndarray) -> tuple[np.ndarray, Any]:
    r"""$y = \lambda\, \operatorname{elu}_\alpha(x)$, λ and α such that layers keep mean 0 and variance 1.

    Args:
        x: (\*).

    Returns:
        y (\*), and what selu_backward needs.

    Source: Klambauer et al. 2017, equation 14.

    Example:
        >>> y, saved = selu(np.array([0.0, 1.0]))
        >>> y.round(4), selu_backward(np.ones(2), saved).round(4)
        (array([0.    , 1.0507]), array([1.7581, 1.0507]))
    """
    λ, α = _SELU_λ, _SELU_α
    return λ * (positive(x) + α * np.expm1(negative(x))), x


def selu_backward(dy: np.ndarray, x: np.ndarray) -> np.ndarray:
    """dx = λ dy where x > 0, else λ α eˣ dy."""
    λ, α = _SELU_λ, _SELU_α
    above = step(x)
    return dy * (λ * (above + α * np.exp(negative(x)) * (1 - above)))


def sigmoid(x: np.ndarray) -> tuple[np.ndarray, Any]:
    r"""$y = \sigma(x)$. From $\sigma' = e^{-x}/(1+e^{-x})^2 = \sigma (1 - \sigma)$: $y' = y (1 - y)$.

    Args:
        x: (\*).

    Returns:
        y (\*), and what sigmoid_backward needs.

    Example:
        >>> y, saved = sigmoid(np.array([0.0]))
        >>> y, sigmoid_backward(np.ones(1), saved)
        (array([0.5]), array([0.25]))
    """
    y = sigma(x)
    return y, y


def sigmoid_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dx = dy y (1 - y)."""
    return dy * (1 - y) * y


def logsigmoid(x: np.ndarray) -> tuple[np.ndarray, Any]:
    r"""$y = \log \sigma(x) = -\log(1+e^{-x})$, so $y' = \sigma(-x)$.

    Args:
        x: (\*).

    Returns:
        y (\*), and what logsigmoid_backward needs.

    Example:
        >>> y, saved = logsigmoid(np.array([0.0]))
        >>> y.round(4), logsigmoid_backward(np.ones(1), saved)
        (array([-0.6931]), array([0.5]))
    """
    return -log1p_exp(-x), x


def logsigmoid_backward(dy: np.ndarray, x: np.ndarray) -> np.ndarray:
    """dx = dy σ(-x)."""
    return dy * sigma(-x)


def softplus(x: np.ndarray, beta: float = 1.0, threshold: float = 20.0) -> tuple[np.ndarray, Any]:
    r"""$y = \frac1\beta \log(1+e^{\beta x})$, so $y' = \sigma(\beta x)$: a smooth relu, sharper for larger β.

    Where $\beta x$ is above the threshold y is taken for x itself, and $y' = 1$.

    Args:
        x: (\*).
        beta: β, not 0.
        threshold: see above.

    Returns:
        y (\*), and what softplus_backward needs.

    Example:
        >>> y, saved = softplus(np.array([0.0, 30.0]))
        >>> y.round(4), softplus_backward(np.ones(2), saved)
        (array([ 0.6931, 30.    ]), array([0.5, 1. ]))
    """
    βx = beta * x
    return np.where(βx.real > threshold, x, log1p_exp(βx) / beta), (βx, threshold)


def softplus_backward(dy: np.ndarray, saved: Any) -> np.ndarray:
    """dx = dy σ(βx), dy itself where βx is above the threshold."""
    βx, threshold = saved
    return dy * np.where(βx.real > threshold, 1, sigma(βx))


def tanh(x: np.ndarray) -> tuple[np.ndarray, Any]:
    r"""$y = \tanh x$, so $y' = 1 - y^2$.

    Args:
        x: (\*).

    Returns:
        y (\*), and what tanh_backward needs.

    Example:
        >>> y, saved = tanh(np.array([0.0]))
        >>> y, tanh_backward(np.ones(1), saved)
        (array([0.]), array([1.]))
    """
    y = np.tanh(x)
    return y, y


def tanh_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dx = dy (1 - y²)."""
    return dy * (1 - y * y)


def tanhshrink(x: np.ndarray) -> tuple[np.ndarray, Any]:
    r"""$y = x - \tanh x$, so $y' = \tanh^2 x$.

    Args:
        x: (\*).

    Returns:
        y (\*), and what tanhshrink_backward needs.

    Example:
        >>> y, saved = tanhshrink(np.array([0.0]))
        >>> y, tanhshrink_backward(np.ones(1), saved)
        (array([0.]), array([0.]))
    """
    t = np.tanh(x)
    return x - t, t


def tanhshrink_backward(dy: np.ndarray, t: np.ndarray) -> np.ndarray:
    """dx = dy tanh² x."""
    return dy * (t * t)


def silu(x: np.ndarray) -> tuple[np.ndarray, Any]:
    r"""$y = x\, \sigma(x)$, so $y' = \sigma + x \sigma (1 - \sigma)$; also called swish.

    Args:
        x: (\*).

    Returns:
        y (\*), and what silu_backward needs.

    Source: Elfwing et al. 2018.

    Example:
        >>> y, saved = silu(np.array([0.0]))
        >>> y, silu_backward(np.ones(1), saved)
        (array([0.]), array([0.5]))
    """
    x = from_lowest(x)
    σ = sigma(x)
    return x * σ, (x, σ)


def silu_backward(dy: np.ndarray, saved: Any) -> np.ndarray:
    """dx = dy σ (1 + x (1 - σ))."""
    x, σ = saved
    return dy * (σ * (1 + x * (1 - σ)))


def mish(x: np.ndarray) -> tuple[np.ndarray, Any]:
    r"""$y = x t$ with $t = \tanh \log(1+e^x)$, so $y' = t + x t'$.

    With $e = e^x$ and $n = e(e+2)$ the tanh is a fraction:

    $$t = \frac{(1+e)^2-1}{(1+e)^2+1} = \frac{n}{n+2}, \qquad
      t' = \frac{2 n'}{(n+2)^2} = \frac{4 e (e+1)}{(n+2)^2}.$$

    From $x = 25$ on no floating number tells t from 1, and e stays finite in float32. For a large n the
    fraction is $1 - 2/(n+2)$, whose small change the complex step can see.

    Args:
        x: (\*).

    Returns:
        y (\*), and what mish_backward needs.

    Source: Misra 2020.

    Example:
        >>> y, saved = mish(np.array([0.0]))
        >>> y, mish_backward(np.ones(1), saved)
        (array([0.]), array([0.6]))
    """
    z = clip(x, -np.inf, 25)
    e = np.exp(z)
    n = e * (e + 2)
    t = np.where(n.real < 1, n / (n + 2), 1 - 2 / (n + 2))
    return x * t, (z, e, n, t)


def mish_backward(dy: np.ndarray, saved: Any) -> np.ndarray:
    """dx = dy (t + x t'), where t' vanishes from 25 on, and so the z that stays there may stand for x."""
    z, e, n, t = saved
    return dy * (t + z * (4 * e / (n + 2) * ((e + 1) / (n + 2))))


def gelu(x: np.ndarray, approximate: str = "none") -> tuple[np.ndarray, Any]:
    r"""$y = x\, \Phi(x)$, so $y' = \Phi + x \varphi$, Φ the normal distribution and φ = Φ' its density:

    $$\Phi = \tfrac12 \bigl(1 + \operatorname{erf}(x/\sqrt2)\bigr), \qquad \varphi = e^{-x^2/2}/\sqrt{2\pi}.$$

    With ``approximate="tanh"``, $t = \tanh u$ takes the place of erf:

    $$u = \sqrt{2/\pi}\,(x + k x^3), \qquad \varphi = \tfrac12 (1 - t^2)\, u' = 2 \Phi (1 - \Phi)\, u', \qquad
      u' = \sqrt{2/\pi}\,(1 + 3 k x^2), \qquad k = 0.044715.$$

    Args:
        x: (\*).
        approximate: "none" or "tanh".

    Returns:
        y (\*), and what gelu_backward needs.

    Source: Hendrycks and Gimpel 2016.

    Example:
        >>> y, saved = gelu(np.array([0.0]))
        >>> y, gelu_backward(np.ones(1), saved)
        (array([0.]), array([0.5]))
    """
    if approximate == "tanh":
        Φ = 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * x * (1 + _K * x * x)))
    else:
        Φ = 0.5 * (1 + erf(x * math.sqrt(0.5)))
    return x * Φ, (x, Φ, approximate)


_K = 0.044715


def gelu_backward(dy: np.ndarray, saved: Any) -> np.ndarray:
    """dx = dy (Φ + x φ)."""
    x, Φ, approximate = saved
    if approximate == "tanh":
        φ = 2 * Φ * (1 - Φ) * (math.sqrt(2 / math.pi) * (1 + 3 * _K * x * x))
    else:
        φ = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return dy * (Φ + x * φ)


def softsign(x: np.ndarray) -> tuple[np.ndarray, Any]:
    r"""$y = x / (1 + |x|)$, so $y' = 1/(1+|x|)^2$.

    Args:
        x: (\*).

    Returns:
        y (\*), and what softsign_backward needs.

    Example:
        >>> y, saved = softsign(np.array([-1.0, 3.0]))
        >>> y, softsign_backward(np.ones(2), saved)
        (array([-0.5 ,  0.75]), array([0.25  , 0.0625]))
    """
    d = 1 + positive(x) - negative(x)
    return x / d, d


def softsign_backward(dy: np.ndarray, d: np.ndarray) -> np.ndarray:
    """dx = dy / (1 + |x|)²."""
    return dy * (1 / (d * d))


def hardtanh(x: np.ndarray, min_val: float = -1.0, max_val: float = 1.0) -> tuple[np.ndarray, Any]:
    r"""$y = \min(\max(x, a), b)$, so $y' = 1$ between a and b; elsewhere, and at either, 0.

    Args:
        x: (\*).
        min_val: a.
        max_val: b.

    Returns:
        y (\*), and what hardtanh_backward needs.

    Example:
        >>> y, saved = hardtanh(np.array([-2.0, 0.5, 1.0]))
        >>> y, hardtanh_backward(np.ones(3), saved)
        (array([-1. ,  0.5,  1. ]), array([0., 1., 0.]))
    """
    y = clip(x, min_val, max_val)
    return y, (y, min_val, max_val)


def hardtanh_backward(dy: np.ndarray, saved: Any) -> np.ndarray:
    """dx = dy where a < y < b, else 0."""
    y, a, b = saved
    return dy * ((y.real > a) & (y.real < b))


def hardsigmoid(x: np.ndarray) -> tuple[np.ndarray, Any]:
    r"""$y = \frac16 (c + 3)$ with $c = \min(\max(x, -3), 3)$, so $y' = \frac16$ where $-3 < x < 3$, else 0.

    Args:
        x: (\*).

    Returns:
        y (\*), and what hardsigmoid_backward needs.

    Example:
        >>> y, saved = hardsigmoid(np.array([0.0, 4.0]))
        >>> y, 6 * hardsigmoid_backward(np.ones(2), saved)
        (array([0.5, 1. ]), array([1., 0.]))
    """
    c = clip(x, -3, 3)
    return (c + 3) / 6, c


def hardsigmoid_backward(dy: np.ndarray, c: np.ndarray) -> np.ndarray:
    """dx = dy / 6 where -3 < x < 3, else 0."""
    return dy * (np.abs(c.real) < 3) / 6


def hardswish(x: np.ndarray) -> tuple[np.ndarray, Any]:
    r"""$y = x\, \operatorname{hardsigmoid}(x) = \frac16 x (c + 3)$ with $c = \min(\max(x, -3), 3)$.

    So $y' = \frac16 (c + 3) + \frac16 c\, [-3 < x < 3]$.

    Args:
        x: (\*).

    Returns:
        y (\*), and what hardswish_backward needs.

    Source: Howard et al. 2019.

    Example:
        >>> y, saved = hardswish(np.array([0.0, 4.0]))
        >>> y, hardswish_backward(np.ones(2), saved)
        (array([0., 4.]), array([0.5, 1. ]))
    """
    c = clip(x, -3, 3)
    return x * (c + 3) / 6, c


def hardswish_backward(dy: np.ndarray, c: np.ndarray) -> np.ndarray:
    """dx = dy (c + 3 + c [-3 < x < 3]) / 6."""
    return dy * ((c + 3 + c * (np.abs(c.real) < 3)) / 6)


def threshold(x: np.ndarray, threshold: float, value: float) -> tuple[np.ndarray, Any]:
    r"""$y = x$ where x is above the threshold, so $y' = 1$; elsewhere y is a constant and $y' = 0$.

    Args:
        x: (\*).
        threshold: see above.
        value: the constant.

    Returns:
        y (\*), and what threshold_backward needs.

    Example:
        >>> y, saved = threshold(np.array([1.0, 3.0]), 2.0, -7.0)
        >>> y, threshold_backward(np.ones(2), saved)
        (array([-7.,  3.]), array([0., 1.]))
    """
    above = ~(x.real <= threshold)  # nan is above
    return clip(x, threshold, np.inf) * above + value * (1 - above.astype(x.dtype)), above


def threshold_backward(dy: np.ndarray, above: np.ndarray) -> np.ndarray:
    """dx = dy where x is above the threshold, else 0."""
    return dy * above


def softshrink(x: np.ndarray, lambd: float = 0.5) -> tuple[np.ndarray, Any]:
    r"""$y = x - \min(\max(x, -\lambda), \lambda)$: 0 from -λ to λ, outside of it by λ nearer to 0.

    So $y' = 1$ outside and 0 inside.

    Args:
        x: (\*).
        lambd: λ.

    Returns:
        y (\*), and what softshrink_backward needs.

    Example:
        >>> y, saved = softshrink(np.array([-2.0, 0.25]))
        >>> y, softshrink_backward(np.ones(2), saved)
        (array([-1.5,  0. ]), array([1., 0.]))
    """
    return x - clip(x, -lambd, lambd), np.abs(x.real) > lambd


def softshrink_backward(dy: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """dx = dy where |x| > λ, else 0."""
    return dy * outside


def hardshrink(x: np.ndarray, lambd: float = 0.5) -> tuple[np.ndarray, Any]:
    r"""$y = 0$ from -λ to λ, outside of it $y = x$ with $y' = 1$.

    Args:
        x: (\*).
        lambd: λ.

    Returns:
        y (\*), and what hardshrink_backward needs.

    Example:
        >>> y, saved = hardshrink(np.array([-2.0, 0.25]))
        >>> y, hardshrink_backward(np.ones(2), saved)
        (array([-2.,  0.]), array([1., 0.]))
    """
    outside = np.abs(x.real) > lambd
    return x * outside, outside


def hardshrink_backward(dy: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """dx = dy where |x| > λ, else 0."""
    return dy * outside
