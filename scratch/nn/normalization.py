r"""Normalisation (PyTorch, torch/nn/modules/normalization.py), shared by batchnorm.py and instancenorm.py.

All layers here but LocalResponseNorm are one formula. Numbers are put into pools; each pool gets the mean 0
and the variance 1; then each channel is given a scale w and an offset b of its own, which are learned:

$$\hat x = r\,(x - m), \qquad y = w \hat x + b, \qquad
  m = \frac1M \sum x, \qquad v = \frac1M \sum (x - m)^2, \qquad r = \frac{1}{\sqrt{v + \epsilon}},$$

M numbers in a pool. With x as (N, G, D, L), N samples of G groups of D channels at L positions, a pool is

    BatchNorm        one channel of all samples        G = C, D = 1    pools (G,)
    InstanceNorm     one channel of one sample         G = C, D = 1    pools (N, G)
    GroupNorm        one group of one sample           D = C/G         pools (N, G)
    LayerNorm        one sample, its channels the      G = 1, L = 1    pools (N, G)
                     elements of normalized_shape

Derivation. $db = \sum dy$ and $dw = \sum dy\, \hat x$, over all numbers of a channel. Let $g = w\, dy$, the
gradient of $\hat x$. A number reaches all $\hat x$ of its pool: by itself, by m and by r. With
$\partial m/\partial x_j = 1/M$ and $\partial r/\partial x_j = -\tfrac12 r^3\, \partial v/\partial x_j
= -r^2 \hat x_j / M$ (what m does to v is $\sum (x - m) = 0$),

$$\frac{\partial \hat x_i}{\partial x_j} = r \bigl(\delta_{ij} - \tfrac1M - \tfrac1M \hat x_i \hat x_j\bigr),
  \qquad dx = r \Bigl(g - \frac1M \sum g - \hat x\, \frac1M \sum g \hat x\Bigr).$$

So dx has neither a mean nor a part along $\hat x$: to move a pool's numbers together, or apart, is undone.
A bias in front of a batch norm has the gradient 0. Where m and v are not taken from x (BatchNorm in
evaluation), they are constants, and $dx = r g$.
"""

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from scratch.nn import init
from scratch.nn.module import Module
from scratch.nn.parameter import Parameter

__all__ = ["GroupNorm", "LayerNorm", "LocalResponseNorm", "RMSNorm"]


class Normalization(Module):
    """Base class: y = w x̂ + b with x̂ = r (x - m), for x as (N, G, D, L), and its backward."""

    _pools = "ng"
    _centres = True

    eps: float | None
    weight: Parameter | None
    bias: Parameter | None

    def _make_affine(self, shape: tuple[int, ...], weight: bool, bias: bool, dtype: Any) -> None:
        self.weight = Parameter(np.empty(shape, dtype)) if weight else None
        self.bias = Parameter(np.empty(shape, dtype)) if weight and bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set w to 1 and b to 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def _check_dtype(self, x: np.ndarray) -> None:
        own: dict[str, Any] = dict(self._own_parameters()) | dict(self._own_buffers())
        for name, array in own.items():
            if array.dtype.kind in "fc" and x.dtype != array.dtype:
                raise TypeError(f"{self}: x is {x.dtype}, the {name} {array.dtype}; convert one of them")
        if x.dtype.kind not in "fc":
            raise TypeError(f"{self}: x is {x.dtype}, wanted floating numbers")

    def _mean(self, *factors: np.ndarray) -> np.ndarray:
        """The mean of a product over each pool, as it broadcasts against x."""
        x = factors[0]
        total = np.einsum(",".join(["ngdl"] * len(factors)) + "->" + self._pools, *factors)
        total /= max(1, x.size // max(1, total.size))
        return total.reshape(-1, x.shape[1], 1, 1)

    def _moments(self, x: np.ndarray) -> tuple[Any, np.ndarray, np.ndarray]:
        """(m, v, x - m)."""
        m = self._mean(x)
        centred = x - m
        return m, self._mean(centred, centred), centred

    def _inverse_deviation(self, v: np.ndarray, eps: float) -> np.ndarray:
        """r."""
        return 1 / np.sqrt(v + eps)

    def _normalize(
        self, x: np.ndarray, split: tuple[int, ...], constants: tuple[np.ndarray, np.ndarray] | None = None
    ) -> tuple[np.ndarray, Any, np.ndarray]:
        """(y, m, v), with x seen as ``split``, (N, G, D, L), and m and v from it unless they are given."""
        self._check_dtype(x)
        shape, x = x.shape, x.reshape(split)
        if constants is None:
            m, v, centred = self._moments(x)
        else:
            m, v = (each.reshape(1, -1, 1, 1) for each in constants)
            centred = x - m
        r = self._inverse_deviation(v, np.finfo(x.dtype).eps if self.eps is None else self.eps)
        x_hat = np.multiply(centred, r, out=None if centred is x else centred)
        y = x_hat * self._by_channel(self.weight, x, 1)
        if self.bias is not None:
            y += self._by_channel(self.bias, x)
        self.save(x_hat, r, constants is None, shape)
        return y.reshape(shape), m, v

    def _by_channel(self, p: Parameter | None, x: np.ndarray, default: Any = None) -> Any:
        return default if p is None else p.data.reshape(1, *x.shape[1:3], 1)

    def backward(self, dy: np.ndarray, needs_input_grad: bool = True) -> np.ndarray | None:
        """db = Σ dy, dw = Σ dy x̂, dx = r (g - mean g - x̂ mean g x̂) with g = w dy."""
        x_hat, r, pooled, shape = self.saved()
        self.check_grad(dy, shape, x_hat.dtype)
        dy = dy.reshape(x_hat.shape)
        if self.weight is not None:
            self.weight.accumulate(_into, self.weight.shape, "ngdl,ngdl->gd", dy, x_hat)
        if self.bias is not None:
            self.bias.accumulate(_into, self.bias.shape, "ngdl->gd", dy)
        if not needs_input_grad:
            return None
        g = dy * self._by_channel(self.weight, x_hat, 1)
        if pooled:
            along = x_hat * self._mean(g, x_hat)
            if self._centres:
                along += self._mean(g)
            g -= along
        g *= r
        return g.reshape(shape)


class LayerNorm(Normalization):
    r"""Each sample is normalised by itself: $y = w \hat x + b$, $\hat x = (x - m)/\sqrt{v + \epsilon}$.

    m and v are the mean and the variance (by M) of the M numbers that lie in the last axes of x, those of
    normalized_shape; w and b have one entry for each. With $g = w\, dy$ and the sums over these axes (see the
    head of this file)

    $$dx = r \Bigl(g - \frac1M \sum g - \hat x\, \frac1M \sum g \hat x\Bigr), \qquad
      dw = \sum_n dy\, \hat x, \qquad db = \sum_n dy.$$

    Args:
        normalized_shape: the last axes of x, as a tuple, or as a number if it is one.
        eps: ε.
        elementwise_affine: whether there are w and b.
        bias: whether there is a b.
        dtype: of w and b.

    Shape: x and y (\*, \*normalized_shape); w, at first 1, and b, at first 0, normalized_shape.

    Raises:
        ValueError: the last axes of x are not normalized_shape, or that is empty or has a size below 0.
        TypeError: x has another dtype than w.

    Source: Ba, Kiros and Hinton 2016.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        dtype: Any = np.float32,
    ) -> None:
        self.normalized_shape = _sizes(type(self).__name__, normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self._make_affine(self.normalized_shape, elementwise_affine, bias, dtype)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """y = w x̂ + b, over the last axes."""
        axes = len(self.normalized_shape)
        if x.shape[-axes:] != self.normalized_shape:
            wanted = ", ".join(["*", *map(str, self.normalized_shape)])
            raise ValueError(f"{self}: x has shape {x.shape}, wanted ({wanted})")
        return self._normalize(x, (math.prod(x.shape[:-axes]), 1, math.prod(self.normalized_shape), 1))[0]

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return f"{self._told()}, bias={self.bias is not None}"

    def _told(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class RMSNorm(LayerNorm):
    r"""LayerNorm that takes no mean off: $y = w \hat x$, $\hat x = r x$, $r = 1/\sqrt{v + \epsilon}$.

    Here $v = \frac1M \sum x^2$, so only $\partial r/\partial x_j = -r^2 \hat x_j / M$ ties the numbers of a
    sample together. With $g = w\, dy$

    $$dx = r \Bigl(g - \hat x\, \frac1M \sum g \hat x\Bigr), \qquad dw = \sum_n dy\, \hat x.$$

    Args:
        normalized_shape: the last axes of x, as a tuple, or as a number if it is one.
        eps: ε; None is the machine epsilon of x's dtype.
        elementwise_affine: whether there is a w.
        dtype: of w.

    Shape: x and y (\*, \*normalized_shape); w, at first 1, normalized_shape.

    Raises:
        ValueError: the last axes of x are not normalized_shape, or that is empty or has a size below 0.
        TypeError: x has another dtype than w.

    Source: Zhang and Sennrich 2019.
    """

    _centres = False

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__(normalized_shape, 0, elementwise_affine, False, dtype)
        self.eps = eps

    def _moments(self, x: np.ndarray) -> tuple[Any, Any, np.ndarray]:
        """(0, mean of x², x)."""
        return 0, self._mean(x, x), x

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return self._told()


class GroupNorm(Normalization):
    r"""The channels of a sample are normalised in groups: $y = w \hat x + b$, w and b by channel.

    m and v are the mean and the variance (by M) of the M = C/G · L numbers of one group of one sample, at all
    L positions. With $g = w\, dy$ and the inner sums over the group (see the head of this file)

    $$dx = r \Bigl(g - \frac1M \sum g - \hat x\, \frac1M \sum g \hat x\Bigr), \qquad
      dw_c = \sum_{n,l} dy\, \hat x, \qquad db_c = \sum_{n,l} dy.$$

    Args:
        num_groups: G, a divisor of C.
        num_channels: C.
        eps: ε.
        affine: whether there are w and b.
        bias: whether there is a b.
        dtype: of w and b.

    Shape: x and y (N, C, \*); w, at first 1, and b, at first 0, (C,).

    Raises:
        ValueError: G does not divide C; x has not C channels on axis 1; all there is to normalise is one
            number, whose variance is 0.
        TypeError: x has another dtype than w.

    Source: Wu and He 2018.
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        dtype: Any = np.float32,
        *,
        bias: bool = True,
    ) -> None:
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(
                f"GroupNorm: num_groups is {num_groups}, wanted a divisor of num_channels, {num_channels}"
            )
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self._make_affine((num_channels,), affine, bias, dtype)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """y = w x̂ + b, group by group."""
        G, C = self.num_groups, self.num_channels
        if x.ndim < 2 or x.shape[1] != C:
            raise ValueError(f"{self}: x has shape {x.shape}, wanted (N, {C}, *)")
        if C and x.size == G:
            raise ValueError(f"{self}: x has shape {x.shape}, one number in a group, of variance 0")
        return self._normalize(x, (len(x), G, C // G, math.prod(x.shape[2:])))[0]

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class LocalResponseNorm(Module):
    r"""A number is damped by the squares of its neighbours in other channels: $y_c = x_c\, D_c^{-\beta}$.

    $$D_c = k + \frac{\alpha}{n} \sum_{j=c-\lfloor n/2\rfloor}^{c+\lfloor (n-1)/2\rfloor} x_j^2$$

    over the channels that there are, at one place. $x_c$ reaches $y_c$ by itself, and each $y_j$ whose window
    c lies in by $\partial D_j/\partial x_c = 2 \frac{\alpha}{n} x_c$:

    $$dx_c = dy_c\, D_c^{-\beta} - 2 \beta \frac{\alpha}{n}\, x_c
      \sum_{j=c-\lfloor (n-1)/2\rfloor}^{c+\lfloor n/2\rfloor} dy_j\, x_j\, D_j^{-\beta-1}.$$

    Args:
        size: n, how many channels are neighbours. (α is divided by it, in the paper it is not.)
        alpha: α.
        beta: β.
        k: k.

    Shape: x and y (N, C, \*), with one axis or more behind C.

    Raises:
        ValueError: size is below 1, or x has fewer than three axes.

    Source: Krizhevsky, Sutskever and Hinton 2012, section 3.3.
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        if size < 1:
            raise ValueError(f"LocalResponseNorm: size is {size}, wanted 1 or more")
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: np.ndarray) -> np.ndarray:
        """y = x D^-β."""
        if x.ndim < 3:
            raise ValueError(f"{self}: x has shape {x.shape}, wanted (N, C, *) of three axes or more")
        D = self.k + self.alpha / self.size * _windows(x * x, self.size // 2, (self.size - 1) // 2)
        power = D**-self.beta
        self.save(x, D, power)
        return x * power

    def backward(self, dy: np.ndarray, needs_input_grad: bool = True) -> np.ndarray:
        """dx = dy D^-β - 2 β α/n x Σ dy x D^(-β-1), the sum over the windows that x is in."""
        x, D, power = self.saved()
        self.check_grad(dy, x.shape, x.dtype)
        g = dy * power
        back = _windows(g * x / D, (self.size - 1) // 2, self.size // 2)
        return g - 2 * self.beta * self.alpha / self.size * x * back

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


def _windows(x: np.ndarray, before: int, after: int) -> np.ndarray:
    """Σ x_j over the channels j = c - before … c + after that there are, for each c."""
    C = x.shape[1]
    total = x.copy()
    for k in range(1, min(before, C - 1) + 1):
        total[:, k:] += x[:, :-k]
    for k in range(1, min(after, C - 1) + 1):
        total[:, :-k] += x[:, k:]
    return total


def _into(shape: tuple[int, ...], *einsum: Any, out: np.ndarray | None = None) -> np.ndarray:
    """np.einsum, in another shape."""
    total = np.einsum(*einsum).reshape(shape)
    return total if out is None else np.positive(total, out=out)


def _sizes(name: str, normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    shape = (
        tuple(normalized_shape)
        if isinstance(normalized_shape, Sequence)
        else (operator.index(normalized_shape),)
    )
    if not shape or min(shape) < 0:
        raise ValueError(
            f"{name}: normalized_shape is {normalized_shape}, wanted one size or more, of 0 or more"
        )
    return shape
