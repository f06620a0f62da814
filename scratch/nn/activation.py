r"""Activations (PyTorch, torch/nn/modules/activation.py): the formulas stand in scratch.functional.

An activation works on each element alone, $y_i = f(x_i)$, so its Jacobian is diagonal and backward is
$dx_i = f'(x_i)\, dy_i$. Only PReLU has something to learn, and only GLU and the softmax family mix elements.
"""

import math
from typing import Any

import numpy as np

from scratch import functional as F
from scratch import random
from scratch.nn import init as initial
from scratch.nn.module import ARRAYS, Module, arguments
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


# ---- one element at a time


class _Elementwise(Module):
    """Base class: the repr shows the constructor's arguments."""

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return arguments(self)


def _refuse_infinite(module: Module, **arguments: float) -> None:
    """Refuse numbers that would make nan of inputs that they should not touch, as 0 · inf is nan.

    Raises:
        ValueError: one is nan or infinite.
    """
    for name, value in arguments.items():
        if not math.isfinite(value):
            raise ValueError(f"{type(module).__name__}: {name} is {value}, expected a finite number")


class ReLU(_Elementwise):
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
        if not isinstance(input, ARRAYS) or input.dtype.kind not in "fc":
            raise self.input_error("input", input, None, "(*)")
        return self.run(F.relu, F.relu_backward, (input,))


class LeakyReLU(_Elementwise):
    r"""$y = x$ where $x > 0$ and $a x$ elsewhere: F.leaky_relu.

    Args:
        negative_slope: a.

    Shape: x and y (\*).

    Raises:
        TypeError: x is not an array of floating numbers.

    Example:
        >>> LeakyReLU(0.5)(np.array([-1.0, 2.0]))
        array([-0.5,  2. ])
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        _refuse_infinite(self, negative_slope=negative_slope)
        self.negative_slope = negative_slope

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = max(x, 0) + a min(x, 0)."""
        if not isinstance(input, ARRAYS) or input.dtype.kind not in "fc":
            raise self.input_error("input", input, None, "(*)")
        return self.run(F.leaky_relu, F.leaky_relu_backward, (input,), (), self.negative_slope)


class RReLU(_Elementwise):
    r"""F.rrelu: a LeakyReLU whose slope for $x \le 0$ is drawn from U(lower, upper) in training.

    There is one for each element; they are torch's slopes for torch's seed. In evaluation it is their mean.

    Args:
        lower: smallest slope.
        upper: largest slope.

    Shape: x and y (\*).

    Raises:
        ValueError: lower is above upper.
        TypeError: x is not an array of floating numbers.

    Example:
        >>> RReLU(0.25, 0.75).eval()(np.array([-1.0, 2.0]))
        array([-0.5,  2. ])
    """

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3) -> None:
        if not lower <= upper:
            raise ValueError(f"RReLU: lower is {lower}, upper is {upper}, expected lower ≤ upper")
        _refuse_infinite(self, lower=lower, upper=upper)
        self.lower, self.upper = lower, upper

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = x where x > 0, else a x."""
        if not isinstance(input, ARRAYS) or input.dtype.kind not in "fc":
            raise self.input_error("input", input, None, "(*)")
        return self.run(F.rrelu, F.rrelu_backward, (input,), (), self._draw(input))

    def _draw(self, x: np.ndarray) -> Any:
        """A slope for each x ≤ 0; torch rounds the bounds to x's dtype and draws in float64."""
        if not self.training:
            return (self.lower + self.upper) / 2
        a = np.ones(x.shape, x.real.dtype)
        below = x.real <= 0
        low, high = (np.float64(a.dtype.type(bound)) for bound in (self.lower, self.upper))
        n = int(np.count_nonzero(below))
        a[below] = random.default_generator.uniform(n, np.float64) * (high - low) + low
        return a


class PReLU(Module):
    r"""$y = \max(x, 0) + w_c \min(x, 0)$: F.prelu, a LeakyReLU whose slope w is learned.

    Args:
        num_parameters: 1, or the number of channels.
        init: w at the start.
        dtype: of w.

    Shape: x and y (\*), for more than one parameter (N, num_parameters, \*). w (num_parameters,).

    Raises:
        ValueError: num_parameters is below 1, or x has another number of channels.
        TypeError: x is not an array, or has another dtype than w.

    Example:
        >>> layer = PReLU(dtype=np.float64)
        >>> layer(np.array([-1.0, 2.0])), layer.backward(np.ones(2)), layer.weight.grad
        (array([-0.25,  2.  ]), array([0.25, 1.  ]), array([-1.]))
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25, dtype: Any = np.float32) -> None:
        if num_parameters < 1:
            raise ValueError(f"PReLU: num_parameters is {num_parameters}, expected 1 or more")
        _refuse_infinite(self, init=init)
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(np.empty(num_parameters, dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set w to ``init``."""
        initial.constant_(self.weight, self.init)

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = max(x, 0) + w min(x, 0)."""
        n, dtype = self.num_parameters, self.weight.dtype
        if not isinstance(input, ARRAYS) or input.dtype != dtype or (n > 1 and input.shape[1:2] != (n,)):
            raise self.input_error("input", input, dtype, f"(N, {n}, *)")
        return self.run(F.prelu, F.prelu_backward, (input,), (self.weight,))

    def extra_repr(self) -> str:
        """num_parameters, init."""
        return arguments(self)


class ELU(_Elementwise):
    r"""$y = x$ where $x > 0$ and $\alpha (e^x - 1)$ elsewhere: F.elu.

    Args:
        alpha: α.

    Shape: x and y (\*).

    Raises:
        TypeError: x is not an array of floating numbers.

    Example:
        >>> ELU()(np.array([-np.inf, 2.0]))
        array([-1.,  2.])
    """

    def __init__(self, alpha: float = 1.0) -> None:
        _refuse_infinite(self, alpha=alpha)
        self.alpha = alpha

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = max(x, 0) + α (exp(min(x, 0)) - 1)."""
        if not isinstance(input, ARRAYS) or input.dtype.kind not in "fc":
            raise self.input_error("input", input, None, "(*)")
        return self.run(F.elu, F.elu_backward, (input,), (), self.alpha)


class CELU(_Elementwise):
    r"""$y = x$ where $x > 0$ and $\alpha (e^{x/\alpha} - 1)$ elsewhere: F.celu.

    Args:
        alpha: α.

    Shape: x and y (\*).

    Raises:
        ValueError: alpha is 0.
        TypeError: x is not an array of floating numbers.

    Example:
        >>> CELU(0.5)(np.array([-np.inf, 2.0]))
        array([-0.5,  2. ])
    """

    def __init__(self, alpha: float = 1.0) -> None:
        if alpha == 0:
            raise ValueError("CELU: alpha is 0, expected another number: x is divided by it")
        _refuse_infinite(self, alpha=alpha)
        self.alpha = alpha

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = max(x, 0) + α (exp(min(x, 0) / α) - 1)."""
        if not isinstance(input, ARRAYS) or input.dtype.kind not in "fc":
            raise self.input_error("input", input, None, "(*)")
        return self.run(F.celu, F.celu_backward, (input,), (), self.alpha)


class SELU(_Elementwise):
    r"""$y = \lambda\, \operatorname{elu}_\alpha(x)$, λ and α such that mean and variance are kept: F.selu.

    Shape: x and y (\*).

    Raises:
        TypeError: x is not an array of floating numbers.

    Example:
        >>> SELU()(np.array([0.0, 1.0])).round(4)
        array([0.    , 1.0507])
    """

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = λ ELU(x)."""
        if not isinstance(input, ARRAYS) or input.dtype.kind not in "fc":
            raise self.input_error("input", input, None, "(*)")
        return self.run(F.selu, F.selu_backward, (input,))


class Sigmoid(_Elementwise):
    r"""$y = \sigma(x) = 1/(1+e^{-x})$: F.sigmoid.

    Shape: x and y (\*).

    Raises:
        TypeError: x is not an array of floating numbers.

    Example:
        >>> Sigmoid()(np.array([0.0]))
        array([0.5])
    """

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = σ(x)."""
        if not isinstance(input, ARRAYS) or input.dtype.kind not in "fc":
            raise self.input_error("input", input, None, "(*)")
        return self.run(F.sigmoid, F.sigmoid_backward, (input,))


class LogSigmoid(_Elementwise):
    r"""$y = \log \sigma(x)$: F.logsigmoid.

    Shape: x and y (\*).

    Raises:
        TypeError: x is not an array of floating numbers.

    Example:
        >>> LogSigmoid()(np.array([0.0])).round(4)
        array([-0.6931])
    """

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = log σ(x)."""
        if not isinstance(input, ARRAYS) or input.dtype.kind not in "fc":
            raise self.input_error("input", input, None, "(*)")
        return self.run(F.logsigmoid, F.logsigmoid_backward, (input,))


class Softplus(_Elementwise):
    r"""$y = \frac1\beta \log(1+e^{\beta x})$: F.softplus, a smooth ReLU, sharper for larger β.

    Args:
        beta: β.
        threshold: above it, $\beta x$ is large enough for y to be taken for x.

    Shape: x and y (\*).

    Raises:
        ValueError: beta is 0.
        TypeError: x is not an array of floating numbers.

    Example:
        >>> Softplus()(np.array([0.0])).round(4)
        array([0.6931])
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        if beta == 0:
            raise ValueError("Softplus: beta is 0, expected another number: the logarithm is divided by it")
        self.beta, self.threshold = beta, threshold

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = log(1 + exp(βx)) / β, x itself where βx is above the threshold."""
        if not isinstance(input, ARRAYS) or input.dtype.kind not in "fc":
            raise self.input_error("input", input, None, "(*)")
        return self.run(F.softplus, F.softplus_backward, (input,), (), self.beta, self.threshold)


class Tanh(_Elementwise):
    r"""$y = \tanh x$: F.tanh.

    Shape: x and y (\*).

    Raises:
        TypeError: x is not an array of floating numbers.

    Example:
        >>> Tanh()(np.array([0.0]))
        array([0.])
    """

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = tanh x."""
        if not isinstance(input, ARRAYS) or input.dtype.kind not in "fc":
            raise self.input_error("input", input, None, "(*)")
        return self.run(F.tanh, F.tanh_backward, (input,))


class Tanhshrink(_Elementwise):
    r"""$y = x - \tanh x$: F.tanhshrink.

    Shape: x and y (\*).

    Raises:
        TypeError: x is not an array of floating numbers.

    Example:
        >>> Tanhshrink()(np.array([0.0]))
        array([0.])
    """

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = x - tanh x."""
        if not isinstance(input, ARRAYS) or input.dtype.kind not in "fc":
            raise self.input_error("input", input, None, "(*)")
        return self.run(F.tanhshrink, F.tanhshrink_backward, (input,))


class SiLU(_Elementwise):
    r"""$y = x\, \sigma(x)$: F.silu.

    Shape: x and y (\*).

    Raises:
        TypeError: x is not an array of floating numbers.

    Example:
        >>> SiLU()(np.array([0.0]))
        array([0.])
    """

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = x σ(x)."""
        if not isinstance(input, ARRAYS) or input.dtype.kind not in "fc":
            raise self.input_error("input", input, None, "(*)")
        return self.run(F.silu, F.silu_backward, (input,))


class Mish(_Elementwise):
    r"""$y = x \tanh \log(1+e^x)$: F.mish.

    Shape: x and y (\*).

    Raises:
        TypeError: x is not an array of floating numbers.

    Example:
        >>> Mish()(np.array([1.0])).round(4)
        array([0.8651])
    """

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = x tanh log(1 + exp(x))."""
        if not isinstance(input, ARRAYS) or input.dtype.kind not in "fc":
            raise self.input_error("input", input, None, "(*)")
        return self.run(F.mish, F.mish_backward, (input,))


class GELU(_Elementwise):
    r"""$y = x\, \Phi(x)$, Φ the normal distribution: F.gelu.

    Args:
        approximate: "none", or "tanh" for a Φ without erf.

    Shape: x and y (\*).

    Raises:
        ValueError: approximate is something else.
        TypeError: x is not an array of floating numbers.

    Example:
        >>> GELU()(np.array([1.0])).round(4)
        array([0.8413])
    """

    def __init__(self, approximate: str = "none") -> None:
        if approximate not in ("none", "tanh"):
            raise ValueError(f"GELU: approximate is {approximate!r}, expected 'none' or 'tanh'")
        self.approximate = approximate

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = x Φ(x)."""
        if not isinstance(input, ARRAYS) or input.dtype.kind not in "fc":
            raise self.input_error("input", input, None, "(*)")
        return self.run(F.gelu, F.gelu_backward, (input,), (), self.approximate)


class Softsign(_Elementwise):
    r"""$y = x / (1 + |x|)$: F.softsign.

    Shape: x and y (\*).

    Raises:
        TypeError: x is not an array of floating numbers.

    Example:
        >>> Softsign()(np.array([-1.0, 3.0]))
        array([-0.5 ,  0.75])
    """

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = x / (1 + |x|)."""
        if not isinstance(input, ARRAYS) or input.dtype.kind not in "fc":
            raise self.input_error("input", input, None, "(*)")
        return self.run(F.softsign, F.softsign_backward, (input,))


class Hardtanh(_Elementwise):
    r"""$y = \min(\max(x, a), b)$: F.hardtanh.

    Args:
        min_val: a.
        max_val: b.

    Shape: x and y (\*).

    Raises:
        ValueError: min_val is not below max_val.
        TypeError: x is not an array of floating numbers.

    Example:
        >>> Hardtanh()(np.array([-2.0, 0.5]))
        array([-1. ,  0.5])
    """

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        if not min_val < max_val:
            raise ValueError(
                f"Hardtanh: min_val is {min_val}, max_val is {max_val}, expected min_val < max_val"
            )
        self.min_val, self.max_val = min_val, max_val

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = min(max(x, a), b)."""
        if not isinstance(input, ARRAYS) or input.dtype.kind not in "fc":
            raise self.input_error("input", input, None, "(*)")
        return self.run(F.hardtanh, F.hardtanh_backward, (input,), (), self.min_val, self.max_val)


class ReLU6(Hardtanh):
    r"""$y = \min(\max(x, 0), 6)$, a Hardtanh from 0 to 6.

    Shape: x and y (\*).

    Raises:
        TypeError: x is not an array of floating numbers.

    Example:
        >>> ReLU6()(np.array([-2.0, 7.0]))
        array([0., 6.])
    """

    def __init__(self) -> None:
        super().__init__(0.0, 6.0)


class Hardsigmoid(_Elementwise):
    r"""$y = \frac16 (c + 3)$ with $c = \min(\max(x, -3), 3)$: F.hardsigmoid.

    Shape: x and y (\*).

    Raises:
        TypeError: x is not an array of floating numbers.

    Example:
        >>> Hardsigmoid()(np.array([0.0, 4.0]))
        array([0.5, 1. ])
    """

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = (min(max(x, -3), 3) + 3) / 6."""
        if not isinstance(input, ARRAYS) or input.dtype.kind not in "fc":
            raise self.input_error("input", input, None, "(*)")
        return self.run(F.hardsigmoid, F.hardsigmoid_backward, (input,))


class Hardswish(_Elementwise):
    r"""$y = x\, \operatorname{hardsigmoid}(x)$: F.hardswish.

    Shape: x and y (\*).

    Raises:
        TypeError: x is not an array of floating numbers.

    Example:
        >>> Hardswish()(np.array([0.0, 4.0]))
        array([0., 4.])
    """

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = x hardsigmoid(x)."""
        if not isinstance(input, ARRAYS) or input.dtype.kind not in "fc":
            raise self.input_error("input", input, None, "(*)")
        return self.run(F.hardswish, F.hardswish_backward, (input,))


class Threshold(_Elementwise):
    r"""$y = x$ where x is above the threshold, elsewhere a constant: F.threshold.

    Args:
        threshold: see above.
        value: the constant.

    Shape: x and y (\*).

    Raises:
        TypeError: x is not an array of floating numbers.

    Example:
        >>> Threshold(2.0, -7.0)(np.array([1.0, 3.0]))
        array([-7.,  3.])
    """

    def __init__(self, threshold: float, value: float) -> None:
        _refuse_infinite(self, threshold=threshold, value=value)
        self.threshold, self.value = threshold, value

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = x where x > threshold, else value."""
        if not isinstance(input, ARRAYS) or input.dtype.kind not in "fc":
            raise self.input_error("input", input, None, "(*)")
        return self.run(F.threshold, F.threshold_backward, (input,), (), self.threshold, self.value)


class _Shrink(_Elementwise):
    """Base class of Softshrink and Hardshrink, which have λ."""

    def __init__(self, lambd: float = 0.5) -> None:
        if not lambd >= 0:
            raise ValueError(f"{type(self).__name__}: lambd is {lambd}, expected 0 or more")
        _refuse_infinite(self, lambd=lambd)
        self.lambd = lambd


class Softshrink(_Shrink):
    r"""0 from -λ to λ, outside of it x by λ nearer to 0: F.softshrink.

    Args:
        lambd: λ.

    Shape: x and y (\*).

    Raises:
        ValueError: lambd is below 0.
        TypeError: x is not an array of floating numbers.

    Example:
        >>> Softshrink()(np.array([-2.0, 0.25]))
        array([-1.5,  0. ])
    """

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = x - min(max(x, -λ), λ)."""
        if not isinstance(input, ARRAYS) or input.dtype.kind not in "fc":
            raise self.input_error("input", input, None, "(*)")
        return self.run(F.softshrink, F.softshrink_backward, (input,), (), self.lambd)


class Hardshrink(_Shrink):
    r"""0 from -λ to λ, outside of it x: F.hardshrink.

    Args:
        lambd: λ.

    Shape: x and y (\*).

    Raises:
        ValueError: lambd is below 0.
        TypeError: x is not an array of floating numbers.

    Example:
        >>> Hardshrink()(np.array([-2.0, 0.25]))
        array([-2.,  0.])
    """

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = x where |x| > λ, else 0."""
        if not isinstance(input, ARRAYS) or input.dtype.kind not in "fc":
            raise self.input_error("input", input, None, "(*)")
        return self.run(F.hardshrink, F.hardshrink_backward, (input,), (), self.lambd)


# ---- along an axis


class _AlongAxis(Module):
    """Base class of what works along one axis, ``dim``."""

    def __init__(self, dim: int | None = None) -> None:
        if dim is None:
            raise ValueError(f"{type(self).__name__}: dim is None, expected the axis to sum along")
        self.dim = dim

    def _check(self, x: Any) -> None:
        """Refuse what is not floating, or has no axis ``dim``."""
        if not isinstance(x, ARRAYS) or x.dtype.kind not in "fc":
            raise self.input_error("input", x, None, "(*)")
        if not -max(x.ndim, 1) <= self.dim < max(x.ndim, 1):
            raise ValueError(f"{self}: input has shape {x.shape}, which has no axis {self.dim}")
        if x.size == 0 and x.shape[self.dim] == 0:
            raise ValueError(
                f"{self}: input has shape {x.shape}, expected a number or more along axis {self.dim}"
            )

    def extra_repr(self) -> str:
        """dim."""
        return arguments(self)


class Softmax(_AlongAxis):
    r"""$p_i = e^{x_i} / \sum_j e^{x_j}$ along the axis ``dim``: F.softmax.

    Args:
        dim: the axis that sums to 1. (torch guesses it when it is left out, and warns; here it is required.)

    Shape: x and p (\*).

    Raises:
        ValueError: x has no such axis.
        TypeError: x is not an array of floating numbers.

    Example:
        >>> Softmax(0)(np.array([0.0, 0.0]))
        array([0.5, 0.5])
    """

    def forward(self, input: np.ndarray) -> np.ndarray:
        """p = exp(x) / Σ exp(x)."""
        self._check(input)
        return self.run(F.softmax, F.softmax_backward, (input,), (), self.dim)


class Softmin(_AlongAxis):
    r"""$p = \operatorname{softmax}(-x)$ along the axis ``dim``: F.softmin.

    Args:
        dim: the axis that sums to 1.

    Shape: x and p (\*).

    Raises:
        ValueError: x has no such axis.
        TypeError: x is not an array of floating numbers.

    Example:
        >>> Softmin(0)(np.array([0.0, 0.0]))
        array([0.5, 0.5])
    """

    def forward(self, input: np.ndarray) -> np.ndarray:
        """p = softmax(-x)."""
        self._check(input)
        return self.run(F.softmin, F.softmin_backward, (input,), (), self.dim)


class Softmax2d(Softmax):
    r"""Softmax over the channels of an image, at each place.

    Shape: x and p (N, C, H, W) or (C, H, W).

    Raises:
        ValueError: x has another number of axes.
        TypeError: x is not an array of floating numbers.

    Example:
        >>> Softmax2d()(np.zeros((2, 1, 1))).reshape(-1)
        array([0.5, 0.5])
    """

    def __init__(self) -> None:
        super().__init__(-3)

    def _check(self, x: Any) -> None:
        if not isinstance(x, ARRAYS) or x.dtype.kind not in "fc" or x.ndim not in (3, 4):
            raise self.input_error("input", x, None, "(N, C, H, W) or (C, H, W)")
        super()._check(x)


class LogSoftmax(_AlongAxis):
    r"""$y_i = \log p_i$ with the softmax p along the axis ``dim``: F.log_softmax.

    Args:
        dim: the axis whose exponentials sum to 1.

    Shape: x and y (\*).

    Raises:
        ValueError: x has no such axis.
        TypeError: x is not an array of floating numbers.

    Example:
        >>> LogSoftmax(0)(np.array([0.0, 0.0])).round(4)
        array([-0.6931, -0.6931])
    """

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = x - log Σ exp(x)."""
        self._check(input)
        return self.run(F.log_softmax, F.log_softmax_backward, (input,), (), self.dim)


class GLU(_AlongAxis):
    r"""$y = a\, \sigma(b)$, a and b the halves of x along ``dim``: F.glu.

    Args:
        dim: the axis that is halved.

    Shape: x (\*, 2n, \*), y (\*, n, \*).

    Raises:
        ValueError: x has no such axis, or it is odd.
        TypeError: x is not an array of floating numbers.

    Example:
        >>> GLU()(np.array([4.0, 0.0]))
        array([2.])
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__(dim)

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = a σ(b)."""
        self._check(input)
        if input.ndim == 0 or input.shape[self.dim] % 2:
            raise self.input_error("input", input, None, f"an even number along axis {self.dim}")
        return self.run(F.glu, F.glu_backward, (input,), (), self.dim)
