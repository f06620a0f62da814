r"""Activations (PyTorch, torch/nn/modules/activation.py).

An activation works on each element alone, $y_i = f(x_i)$, so its Jacobian is diagonal and backward is
$dx_i = f'(x_i)\, dy_i$. Such a class is two lines: the formula ``_f`` and its slope ``_slope``. Only PReLU
has something to learn, and only GLU and the softmax family mix elements.

Where a formula branches, it does so on the real part, so that a complex step (gradcheck.py) takes the
same branch as the real number beneath it. Branches are written with max, min and 0-1 masks: np.where guesses
which way each element goes, and on random signs takes ten times as long as a product.
"""

import math
from typing import Any

import numpy as np

from scratch import functional as F
from scratch import random
from scratch.nn import init as initial
from scratch.nn.module import Module, arguments
from scratch.nn.parameter import Parameter

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "PReLU",
    "RReLU",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
]


# ---- the functions that formulas are made of


def positive(x: np.ndarray) -> np.ndarray:
    """max(x, 0). (np.clip is four times as fast as np.maximum by a number.)"""
    return np.clip(x, 0, np.inf) if x.dtype.kind == "f" else np.where(x.real > 0, x, 0)


def negative(x: np.ndarray) -> np.ndarray:
    """min(x, 0)."""
    return np.clip(x, -np.inf, 0) if x.dtype.kind == "f" else np.where(x.real > 0, 0, x)


def clip(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """min(max(x, low), high)."""
    if x.dtype.kind == "f":
        return np.clip(x, low, high)
    return np.where(x.real < low, low, np.where(x.real > high, high, x))


def step(x: np.ndarray) -> np.ndarray:
    """1 where x > 0, else 0."""
    return (x.real > 0).astype(x.dtype)


# Below these e^-x would overflow; there σ(x) is no number that float can tell from 0.
_LOWEST = {char: -math.floor(np.log(np.finfo(char).max)) for char in "fdgFDG"}


def sigmoid(x: np.ndarray) -> np.ndarray:
    r"""$\sigma(x) = 1/(1+e^{-x})$.

    Raises:
        TypeError: x is not of floating or complex numbers.
    """
    lowest = _LOWEST.get(x.dtype.char)
    if lowest is None:
        raise TypeError(f"sigmoid: x is {x.dtype}, wanted floating or complex numbers")
    return np.reciprocal(1 + np.exp(-np.maximum(x, lowest)))


def softplus(x: np.ndarray) -> np.ndarray:
    r"""$\log(1+e^x) = \max(x, 0) + \log(1+e^{-|x|})$, which never overflows; its slope is $\sigma(x)$."""
    above = positive(x)
    return above + np.log1p(np.exp(negative(x) - above))


def erf(x: np.ndarray) -> np.ndarray:
    r"""$\operatorname{erf} x = \frac{2}{\sqrt\pi} \int_0^x e^{-t^2} dt$.

    SciPy knows it in float32, float64 and complex128. In long double it is
    $\frac{2}{\sqrt\pi} e^{-x^2} \sum_n \frac{2^n x^{2n+1}}{1 \cdot 3 \cdots (2n+1)}$, all terms of one sign
    (Abramowitz and Stegun 1964, 7.1.6), and ±1 beyond ±7.
    """
    if x.dtype.char not in "gG":
        from scipy import special  # here, so that to import scratch is to import NumPy alone

        return special.erf(x)
    x = clip(x, -7, 7)
    term = total = x
    for n in range(1, 200):
        term = term * (2 * x * x / (2 * n + 1))
        total = total + term
    return 2 / math.sqrt(math.pi) * np.exp(-x * x) * total


# ---- one element at a time


class _Elementwise(Module):
    """y = f(x), dx = f'(x) dy, element by element."""

    def _f(self, x: np.ndarray) -> tuple[Any, ...]:
        """(f(x), what _slope wants to know)."""
        raise NotImplementedError

    def _slope(self, *kept: Any) -> Any:
        """f'(x)."""
        raise NotImplementedError

    def forward(self, x: np.ndarray) -> np.ndarray:
        """y = f(x)."""
        if x.dtype.kind not in "fc":
            raise TypeError(f"{self}: x is {x.dtype}, wanted floating numbers")
        y, *kept = self._f(x)
        self.save(y.shape, y.dtype, *kept)
        return y

    def backward(self, dy: np.ndarray, needs_input_grad: bool = True) -> np.ndarray:
        """dx = f'(x) dy."""
        shape, dtype, *kept = self.saved()
        self.check_grad(dy, shape, dtype)
        return dy * self._slope(*kept)

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return arguments(self)


class ReLU(Module):
    r"""$y = \max(x, 0)$: F.relu.

    Shape: x and y (\*).

    Raises:
        TypeError: x is not an array of floating numbers.

    Example:
        >>> ReLU()(np.array([-1.0, 2.0]))
        array([0., 2.])
    """

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = max(x, 0)."""
        if not isinstance(input, np.ndarray) or input.dtype.kind not in "fc":
            raise self.input_error("input", input, None, "(*)")
        return self.run(F.relu, F.relu_backward, (input,))


class LeakyReLU(_Elementwise):
    r"""$y = x$ where $x > 0$ and $a x$ elsewhere, so $y'$ is 1 or $a$ (Maas et al. 2013).

    Args:
        negative_slope: a.

    Shape: x and y (\*).
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope

    def _f(self, x: np.ndarray) -> tuple[Any, ...]:
        return positive(x) + self.negative_slope * negative(x), x

    def _slope(self, x: np.ndarray) -> Any:
        above = step(x)
        return above + self.negative_slope * (1 - above)


class RReLU(_Elementwise):
    r"""A LeakyReLU whose slope for $x \le 0$ is drawn from U(lower, upper) in training, one for each element.

    In evaluation it is their mean (Xu et al. 2015). The slopes are torch's slopes for torch's seed.

    Args:
        lower: smallest slope.
        upper: largest slope.

    Shape: x and y (\*).

    Raises:
        ValueError: lower is above upper.
    """

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3) -> None:
        if not lower <= upper:
            raise ValueError(f"RReLU: lower is {lower}, upper is {upper}, wanted lower ≤ upper")
        self.lower, self.upper = lower, upper

    def _f(self, x: np.ndarray) -> tuple[Any, ...]:
        slope = np.ones(x.shape, x.real.dtype)
        below = x.real <= 0
        slope[below] = self._draw(int(np.count_nonzero(below)), slope.dtype)
        return x * slope, slope

    def _draw(self, n: int, dtype: np.dtype) -> Any:
        """n slopes. Torch rounds the bounds to x's dtype, and draws in float64 whatever that is."""
        if not self.training:
            return (self.lower + self.upper) / 2
        low, high = (np.float64(dtype.type(bound)) for bound in (self.lower, self.upper))
        return random.default_generator.uniform(n, np.float64) * (high - low) + low

    def _slope(self, slope: np.ndarray) -> Any:
        return slope


class PReLU(Module):
    r"""A LeakyReLU whose slope w is learned (He et al. 2015), one for all or one for each channel c:

    $$y = \max(x, 0) + w_c \min(x, 0), \qquad dx = dy \text{ or } w_c\, dy, \qquad
      dw_c = \sum \min(x, 0)\, dy \text{ over all elements of channel } c.$$

    Args:
        num_parameters: 1, or the number of channels.
        init: w at the start.
        dtype: of w.

    Shape: x and y (\*), for more than one parameter (N, num_parameters, \*). w (num_parameters,).

    Raises:
        ValueError: num_parameters is below 1, or x has another number of channels.
        TypeError: x has another dtype than w.
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25, dtype: Any = np.float32) -> None:
        if num_parameters < 1:
            raise ValueError(f"PReLU: num_parameters is {num_parameters}, wanted 1 or more")
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(np.empty(num_parameters, dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set w to ``init``."""
        initial.constant_(self.weight, self.init)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """y = max(x, 0) + w min(x, 0)."""
        n, w = self.num_parameters, self.weight.data
        if x.dtype != w.dtype:
            raise TypeError(f"{self}: x is {x.dtype}, the weight {w.dtype}; convert one of them")
        if n > 1 and x.shape[1:2] != (n,):
            raise ValueError(f"{self}: x has shape {x.shape}, wanted (N, {n}, *)")
        w = w.reshape(n, *[1] * (x.ndim - 2)) if n > 1 else w[0]
        below = negative(x)
        self.save(x, below, w)
        return positive(x) + w * below

    def backward(self, dy: np.ndarray, needs_input_grad: bool = True) -> np.ndarray | None:
        """dw = Σ min(x, 0) dy, dx = dy where x > 0, else w dy."""
        x, below, w = self.saved()
        self.check_grad(dy, x.shape, x.dtype)
        dw = below * dy if self.num_parameters > 1 else (below * dy).reshape(1, 1, -1)
        self.weight.accumulate(np.add.reduce, dw, (0, *range(2, dw.ndim)))
        if not needs_input_grad:
            return None
        above = step(x)
        return dy * (above + w * (1 - above))

    def extra_repr(self) -> str:
        """num_parameters, init."""
        return arguments(self)


class ELU(_Elementwise):
    r"""$y = x$ where $x > 0$ and $\alpha (e^x - 1)$ elsewhere, so $y' = 1$ or $\alpha e^x$.

    With a factor λ for all and a width β, which CELU and SELU need, $y = \lambda x$ or
    $\lambda \alpha (e^{x/\beta} - 1)$, and $y' = \lambda$ or $\lambda \frac{\alpha}{\beta} e^{x/\beta}$.

    Source: Clevert, Unterthiner and Hochreiter 2016.

    Args:
        alpha: α.

    Shape: x and y (\*).
    """

    scale, width = 1.0, 1.0

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def _f(self, x: np.ndarray) -> tuple[Any, ...]:
        below = negative(x)
        return self.scale * (positive(x) + self.alpha * np.expm1(below / self.width)), x, below

    def _slope(self, x: np.ndarray, below: np.ndarray) -> Any:
        above, slope = step(x), self.alpha / self.width * np.exp(below / self.width)
        return self.scale * (above + slope * (1 - above))


class CELU(ELU):
    r"""$y = x$ where $x > 0$ and $\alpha (e^{x/\alpha} - 1)$ elsewhere: an ELU with β = α, so that y' has no
    jump at 0 (Barron 2017).

    Args:
        alpha: α.

    Shape: x and y (\*).

    Raises:
        ValueError: alpha is 0.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        if alpha == 0:
            raise ValueError("CELU: alpha is 0, wanted another number: x is divided by it")
        self.alpha = self.width = alpha


class SELU(ELU):
    r"""$y = \lambda\, \operatorname{ELU}_\alpha(x)$, λ and α such that layers keep mean 0 and variance 1.

    Source: Klambauer et al. 2017, equation 14.

    Shape: x and y (\*).
    """

    scale = 1.0507009873554804934193349852946

    def __init__(self) -> None:
        super().__init__(1.6732632423543772848170429916717)


class Sigmoid(_Elementwise):
    r"""$y = \sigma(x)$. From $\sigma' = e^{-x}/(1+e^{-x})^2 = \sigma (1 - \sigma)$: $y' = y (1 - y)$.

    Shape: x and y (\*).
    """

    def _f(self, x: np.ndarray) -> tuple[Any, ...]:
        y = sigmoid(x)
        return y, y

    def _slope(self, y: np.ndarray) -> Any:
        return (1 - y) * y


class LogSigmoid(_Elementwise):
    r"""$y = \log \sigma(x) = -\log(1+e^{-x})$, so $y' = \sigma(-x)$.

    Shape: x and y (\*).
    """

    def _f(self, x: np.ndarray) -> tuple[Any, ...]:
        return -softplus(-x), x

    def _slope(self, x: np.ndarray) -> Any:
        return sigmoid(-x)


class Softplus(_Elementwise):
    r"""$y = \frac1\beta \log(1+e^{\beta x})$, so $y' = \sigma(\beta x)$: a smooth ReLU, sharper for larger β.

    Where $\beta x$ is above the threshold it is taken for x itself, and $y' = 1$.

    Args:
        beta: β.
        threshold: see above.

    Shape: x and y (\*).

    Raises:
        ValueError: beta is 0.
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        if beta == 0:
            raise ValueError("Softplus: beta is 0, wanted another number: the logarithm is divided by it")
        self.beta, self.threshold = beta, threshold

    def _f(self, x: np.ndarray) -> tuple[Any, ...]:
        bx = self.beta * x
        return np.where(bx.real > self.threshold, x, softplus(bx) / self.beta), bx

    def _slope(self, bx: np.ndarray) -> Any:
        return np.where(bx.real > self.threshold, 1, sigmoid(bx))


class Tanh(_Elementwise):
    r"""$y = \tanh x$, so $y' = 1 - y^2$.

    Shape: x and y (\*).
    """

    def _f(self, x: np.ndarray) -> tuple[Any, ...]:
        y = np.tanh(x)
        return y, y

    def _slope(self, y: np.ndarray) -> Any:
        return 1 - y * y


class Tanhshrink(_Elementwise):
    r"""$y = x - \tanh x$, so $y' = \tanh^2 x$.

    Shape: x and y (\*).
    """

    def _f(self, x: np.ndarray) -> tuple[Any, ...]:
        tanh = np.tanh(x)
        return x - tanh, tanh

    def _slope(self, tanh: np.ndarray) -> Any:
        return tanh * tanh


class SiLU(_Elementwise):
    r"""$y = x\, \sigma(x)$, so $y' = \sigma + x \sigma (1 - \sigma)$ (Elfwing et al. 2018; "swish").

    Shape: x and y (\*).
    """

    def _f(self, x: np.ndarray) -> tuple[Any, ...]:
        s = sigmoid(x)
        return x * s, x, s

    def _slope(self, x: np.ndarray, s: np.ndarray) -> Any:
        return s * (1 + x * (1 - s))


class Mish(_Elementwise):
    r"""$y = x t$ with $t = \tanh \log(1+e^x)$ (Misra 2020).

    With $e = e^x$ and $n = e(e+2)$ the tanh is a fraction:

    $$t = \frac{(1+e)^2-1}{(1+e)^2+1} = \frac{n}{n+2}, \qquad
      t' = \frac{2 n'}{(n+2)^2} = \frac{4 e (e+1)}{(n+2)^2}, \qquad y' = t + x t'.$$

    From $x = 25$ on no floating number tells t from 1, and e stays finite in float32. For a large n the
    fraction is $1 - 2/(n+2)$, whose small change the complex step can see.

    Shape: x and y (\*).
    """

    def _f(self, x: np.ndarray) -> tuple[Any, ...]:
        e = np.exp(clip(x, -np.inf, 25))
        n = e * (e + 2)
        t = np.where(n.real < 1, n / (n + 2), 1 - 2 / (n + 2))
        return x * t, x, e, n, t

    def _slope(self, x: np.ndarray, e: np.ndarray, n: np.ndarray, t: np.ndarray) -> Any:
        return t + x * (4 * e / (n + 2) * ((e + 1) / (n + 2)))


class GELU(_Elementwise):
    r"""$y = x\, \Phi(x)$, so $y' = \Phi + x \varphi$, Φ the normal distribution and φ = Φ' its density:

    $$\Phi = \tfrac12 \bigl(1 + \operatorname{erf}(x/\sqrt2)\bigr), \qquad \varphi = e^{-x^2/2}/\sqrt{2\pi}$$

    (Hendrycks and Gimpel 2016). With ``approximate="tanh"``, $t = \tanh u$ takes the place of erf:

    $$u = \sqrt{2/\pi}\,(x + k x^3), \qquad \varphi = \tfrac12 (1 - t^2)\, u' = 2 \Phi (1 - \Phi)\, u', \qquad
      u' = \sqrt{2/\pi}\,(1 + 3 k x^2), \qquad k = 0.044715.$$

    Args:
        approximate: "none" or "tanh".

    Shape: x and y (\*).

    Raises:
        ValueError: approximate is something else.
    """

    k = 0.044715

    def __init__(self, approximate: str = "none") -> None:
        if approximate not in ("none", "tanh"):
            raise ValueError(f"GELU: approximate is {approximate!r}, wanted 'none' or 'tanh'")
        self.approximate = approximate

    def _f(self, x: np.ndarray) -> tuple[Any, ...]:
        if self.approximate == "tanh":
            cdf = 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * x * (1 + self.k * x * x)))
        else:
            cdf = 0.5 * (1 + erf(x * math.sqrt(0.5)))
        return x * cdf, x, cdf

    def _slope(self, x: np.ndarray, cdf: np.ndarray) -> Any:
        if self.approximate == "tanh":
            density = 2 * cdf * (1 - cdf) * (math.sqrt(2 / math.pi) * (1 + 3 * self.k * x * x))
        else:
            density = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
        return cdf + x * density


class Softsign(_Elementwise):
    r"""$y = x / (1 + |x|)$, so $y' = 1/(1+|x|)^2$.

    Shape: x and y (\*).
    """

    def _f(self, x: np.ndarray) -> tuple[Any, ...]:
        d = 1 + positive(x) - negative(x)
        return x / d, d

    def _slope(self, d: np.ndarray) -> Any:
        return 1 / (d * d)


class Hardtanh(_Elementwise):
    r"""x, but not below one number nor above another: $y' = 1$ between the two, elsewhere, and at either, 0.

    Args:
        min_val: the lower end.
        max_val: the upper end.

    Shape: x and y (\*).

    Raises:
        ValueError: min_val is not below max_val.
    """

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        if not min_val < max_val:
            raise ValueError(
                f"Hardtanh: min_val is {min_val}, max_val is {max_val}, wanted min_val < max_val"
            )
        self.min_val, self.max_val = min_val, max_val

    def _f(self, x: np.ndarray) -> tuple[Any, ...]:
        y = clip(x, self.min_val, self.max_val)
        return y, y

    def _slope(self, y: np.ndarray) -> Any:
        return (y.real > self.min_val) & (y.real < self.max_val)


class ReLU6(Hardtanh):
    r"""$y = \min(\max(x, 0), 6)$, a Hardtanh from 0 to 6.

    Shape: x and y (\*).
    """

    def __init__(self) -> None:
        super().__init__(0.0, 6.0)


class Hardsigmoid(_Elementwise):
    r"""$y = \frac16 (c + 3)$ with $c = \min(\max(x, -3), 3)$, so $y' = \frac16$ where $-3 < x < 3$, else 0.

    Shape: x and y (\*).
    """

    def _f(self, x: np.ndarray) -> tuple[Any, ...]:
        c = clip(x, -3, 3)
        return (c + 3) / 6, c

    def _slope(self, c: np.ndarray) -> Any:
        return (np.abs(c.real) < 3).astype(c.dtype) / 6


class Hardswish(_Elementwise):
    r"""$y = x\, \operatorname{hardsigmoid}(x) = \frac16 x (c + 3)$ with $c = \min(\max(x, -3), 3)$, so
    $y' = \frac16 (c + 3) + \frac16 c\, [-3 < x < 3]$ (Howard et al. 2019).

    Shape: x and y (\*).
    """

    def _f(self, x: np.ndarray) -> tuple[Any, ...]:
        c = clip(x, -3, 3)
        return x * (c + 3) / 6, c

    def _slope(self, c: np.ndarray) -> Any:
        return (c + 3 + c * (np.abs(c.real) < 3)) / 6


class Threshold(_Elementwise):
    r"""$y = x$ where x is above the threshold, so $y' = 1$; elsewhere y is a constant and $y' = 0$.

    Args:
        threshold: see above.
        value: the constant.

    Shape: x and y (\*).
    """

    def __init__(self, threshold: float, value: float) -> None:
        self.threshold, self.value = threshold, value

    def _f(self, x: np.ndarray) -> tuple[Any, ...]:
        above = ~(x.real <= self.threshold)  # nan is above
        return clip(x, self.threshold, np.inf) * above + self.value * (1 - above.astype(x.dtype)), above

    def _slope(self, above: np.ndarray) -> Any:
        return above


class _Shrink(_Elementwise):
    """What Softshrink and Hardshrink share: λ, and a slope of 1 outside of [-λ, λ], 0 inside."""

    def __init__(self, lambd: float = 0.5) -> None:
        if not lambd >= 0:
            raise ValueError(f"{type(self).__name__}: lambd is {lambd}, wanted 0 or more")
        self.lambd = lambd

    def _slope(self, outside: np.ndarray) -> Any:
        return outside


class Softshrink(_Shrink):
    r"""$y = x - \min(\max(x, -\lambda), \lambda)$: 0 between -λ and λ, outside of it by λ nearer to 0, with
    $y' = 1$.

    Args:
        lambd: λ.

    Shape: x and y (\*).

    Raises:
        ValueError: lambd is below 0.
    """

    def _f(self, x: np.ndarray) -> tuple[Any, ...]:
        return x - clip(x, -self.lambd, self.lambd), np.abs(x.real) > self.lambd


class Hardshrink(_Shrink):
    r"""$y = 0$ from -λ to λ, outside of it $y = x$ with $y' = 1$.

    Args:
        lambd: λ.

    Shape: x and y (\*).

    Raises:
        ValueError: lambd is below 0.
    """

    def _f(self, x: np.ndarray) -> tuple[Any, ...]:
        outside = np.abs(x.real) > self.lambd
        return x * outside, outside


# ---- along an axis


def log_softmax(x: np.ndarray, dim: int) -> np.ndarray:
    r"""$\log p_i = x_i - m - \log \sum_j e^{x_j - m}$ with $m = \max_j x_j$ (log-sum-exp).

    The shift by m changes nothing in exact arithmetic and keeps every exponential at or below 1.
    """
    shifted = x - np.maximum.reduce(x.real, axis=dim, keepdims=True)
    return shifted - np.log(np.add.reduce(np.exp(shifted), axis=dim, keepdims=True))


class _AlongAxis(Module):
    """What Softmax and LogSoftmax share: the axis."""

    def __init__(self, dim: int | None = None) -> None:
        if dim is None:
            raise ValueError(f"{type(self).__name__}: dim is None, wanted the axis to sum along")
        self.dim = dim

    def _check_dim(self, x: np.ndarray) -> None:
        if not -max(x.ndim, 1) <= self.dim < max(x.ndim, 1):
            raise ValueError(f"{self}: x has shape {x.shape}, which has no axis {self.dim}")

    def extra_repr(self) -> str:
        """dim."""
        return arguments(self)


class Softmax(_AlongAxis):
    r"""$p_i = e^{x_i} / \sum_j e^{x_j}$ along the axis ``dim``.

    From $\partial p_i / \partial x_j = p_i (\delta_{ij} - p_j)$: $dx = p\,(dp - \sum_j p_j\, dp_j)$.

    Args:
        dim: the axis that sums to 1. (torch guesses it when it is left out, and warns; here it is wanted.)

    Shape: x and p (\*).

    Raises:
        ValueError: x has no such axis.
    """

    def forward(self, x: np.ndarray) -> np.ndarray:
        """p = exp(x - max) / Σ exp(x - max)."""
        self._check_dim(x)
        e = np.exp(x - np.maximum.reduce(x.real, axis=self.dim, keepdims=True))
        p = e / np.add.reduce(e, axis=self.dim, keepdims=True)
        self.save(p)
        return p

    def backward(self, dp: np.ndarray, needs_input_grad: bool = True) -> np.ndarray:
        """dx = p (dp - Σ p dp)."""
        (p,) = self.saved()
        self.check_grad(dp, p.shape, p.dtype)
        return p * (dp - np.add.reduce(p * dp, axis=self.dim, keepdims=True))


class Softmin(Softmax):
    r"""$y = \operatorname{softmax}(-x)$ along the axis ``dim``, so dx is Softmax's with the other sign.

    Args:
        dim: the axis that sums to 1.

    Shape: x and y (\*).

    Raises:
        ValueError: x has no such axis.
    """

    def forward(self, x: np.ndarray) -> np.ndarray:
        """p = softmax(-x)."""
        return super().forward(-x)

    def backward(self, dp: np.ndarray, needs_input_grad: bool = True) -> np.ndarray:
        """dx = -p (dp - Σ p dp)."""
        return -super().backward(dp)


class Softmax2d(Softmax):
    """Softmax over the channels of an image, at each place.

    Shape: x and p (N, C, H, W) or (C, H, W).

    Raises:
        ValueError: x has another number of axes.
    """

    def __init__(self) -> None:
        super().__init__(-3)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """p = exp(x - max) / Σ exp(x - max) over the channels."""
        if x.ndim not in (3, 4):
            raise ValueError(f"Softmax2d: x has shape {x.shape}, wanted (N, C, H, W) or (C, H, W)")
        return super().forward(x)


class LogSoftmax(_AlongAxis):
    r"""$y_i = \log p_i$ with the softmax p along the axis ``dim``.

    From $\partial y_i / \partial x_j = \delta_{ij} - p_j$: $dx = dy - p \sum_i dy_i$.

    Args:
        dim: the axis whose exponentials sum to 1.

    Shape: x and y (\*).

    Raises:
        ValueError: x has no such axis.
    """

    def forward(self, x: np.ndarray) -> np.ndarray:
        """y = x - max - log Σ exp(x - max)."""
        self._check_dim(x)
        y = log_softmax(x, self.dim)
        self.save(y)
        return y

    def backward(self, dy: np.ndarray, needs_input_grad: bool = True) -> np.ndarray:
        """dx = dy - p Σ dy."""
        (y,) = self.saved()
        self.check_grad(dy, y.shape, y.dtype)
        return dy - np.exp(y) * np.add.reduce(dy, axis=self.dim, keepdims=True)


class GLU(_AlongAxis):
    r"""$y = a\, \sigma(b)$, a and b the halves of x along ``dim``: b decides how much of a passes.

    Source: Dauphin et al. 2017.

    $$da = \sigma(b)\, dy, \qquad db = a\, \sigma(b) (1 - \sigma(b))\, dy = y (1 - \sigma(b))\, dy.$$

    Args:
        dim: the axis that is halved.

    Shape: x (\*, 2n, \*), y (\*, n, \*).

    Raises:
        ValueError: x has no such axis, or it is odd.
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__(dim)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """y = a σ(b)."""
        self._check_dim(x)
        if x.ndim == 0 or x.shape[self.dim] % 2:
            raise ValueError(f"{self}: x has shape {x.shape}, wanted an even number along axis {self.dim}")
        a, b = np.split(x, 2, axis=self.dim)
        s = sigmoid(b)
        y = a * s
        self.save(y, s)
        return y

    def backward(self, dy: np.ndarray, needs_input_grad: bool = True) -> np.ndarray:
        """da = σ(b) dy, db = y (1 - σ(b)) dy."""
        y, s = self.saved()
        self.check_grad(dy, y.shape, y.dtype)
        return np.concatenate([s * dy, y * (1 - s) * dy], axis=self.dim)
