r"""Distances between vectors (PyTorch, torch/nn/modules/distance.py).

Both layers take two inputs that may be broadcast against each other, as torch's do; the gradient of one that
was broadcast is summed over its copies.
"""

import math

import numpy as np

from scratch.nn.activation import negative, positive
from scratch.nn.module import Module

__all__ = ["CosineSimilarity", "PairwiseDistance"]


def p_norm(d: np.ndarray, p: float) -> tuple[np.ndarray, np.ndarray]:
    r"""$D = \bigl(\sum_i |d_i|^p\bigr)^{1/p}$ along the last axis, and its slope by each $d_i$.

    From $D^p = \sum_i |d_i|^p$: $\partial D/\partial d_i = \operatorname{sign}(d_i)\, (|d_i|/D)^{p-1}$, and
    0 where $d_i = 0$ or $D = 0$. For p = ∞ (or -∞) D is the largest (smallest) $|d_i|$, and those that are
    share the slope 1. For p = 0 it is how many are not 0, and the slope is 0.
    """
    if p == 2:
        D = np.sqrt(np.add.reduce(d * d, axis=-1, keepdims=True))
        return D[..., 0], d / (D + (D.real == 0))
    sign, size = np.sign(d.real), positive(d) - negative(d)
    zero = size.real == 0
    if p == 0:
        return np.add.reduce(~zero, axis=-1, dtype=d.dtype), 0 * d
    if math.isinf(p):
        end = (np.maximum if p > 0 else np.minimum).reduce(size.real, axis=-1, keepdims=True)
        ends = size.real == end
        share = ends / np.add.reduce(ends, axis=-1, keepdims=True, dtype=size.dtype)
        return np.add.reduce(share * size, axis=-1), share * sign
    # Where D is 0, and where |d| is, nothing is divided.
    flat = (np.logical_and if p > 0 else np.logical_or).reduce(zero, axis=-1, keepdims=True)
    D = (np.add.reduce(~zero * (size + zero) ** p, axis=-1, keepdims=True) + flat) ** (1 / p)
    return (~flat * D)[..., 0], ~flat * sign * ((size + zero) / D) ** (p - 1)


class CosineSimilarity(Module):
    r"""The cosine of the angle between two vectors: $c = u \cdot v$, $u = x_1/n_1$, $v = x_2/n_2$.

    $n_i = \max(\lVert x_i \rVert, \epsilon)$. Where $\lVert x_1 \rVert \ge \epsilon$, its slope is u, so that

    $$\frac{\partial c}{\partial x_1} = \frac{v - c\, u}{n_1}, \qquad
      \frac{\partial c}{\partial x_2} = \frac{u - c\, v}{n_2}.$$

    Where a vector is shorter than ε its n is constant, and the term with c is not there. (torch has it there
    too, so that its gradient is not the derivative of its output.)

    Args:
        dim: the axis along which the vectors lie.
        eps: ε.

    Shape: x1 and x2 (\*, D, \*), D on axis dim, or what broadcasts to that; y (\*, \*).

    Raises:
        ValueError: x1 and x2 do not broadcast, or not to an array that has an axis dim.
        TypeError: x1 and x2 have different dtypes.
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        self.dim, self.eps = dim, eps

    def forward(self, x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
        """c = u · v."""
        shape = _common_shape(self, x1, x2)
        if not -len(shape) <= self.dim < len(shape):
            raise ValueError(f"{self}: x1 and x2 broadcast to {shape}, which has no axis {self.dim}")
        units, n, long = [], [], []
        for x in (x1, x2):
            x = np.broadcast_to(x, shape, subok=True)
            norm = np.sqrt(np.add.reduce(x * x, axis=self.dim, keepdims=True))
            long.append(norm.real >= self.eps)
            n.append(np.where(long[-1], norm, self.eps).astype(x.dtype))
            units.append(x / n[-1])
        c = np.add.reduce(units[0] * units[1], axis=self.dim, keepdims=True)
        self.save(units, n, long, c, (x1.shape, x2.shape))
        return np.squeeze(c, self.dim)

    def backward(self, dy: np.ndarray, needs_input_grad: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """(dx1, dx2) = ((v - c u) dy / n1, (u - c v) dy / n2)."""
        (u, v), (n1, n2), (long1, long2), c, (shape1, shape2) = self.saved()
        self.check_grad(dy, np.squeeze(c, self.dim).shape, c.dtype)
        dy = np.expand_dims(dy, self.dim)
        dx1, dx2 = dy * (v - long1 * c * u) / n1, dy * (u - long2 * c * v) / n2
        return _sum_to(dx1, shape1), _sum_to(dx2, shape2)

    def extra_repr(self) -> str:
        """dim, eps."""
        return f"dim={self.dim}, eps={self.eps}"


class PairwiseDistance(Module):
    r"""The p-norm of a difference: $y = \lVert d \rVert_p$, $d = x_1 - x_2 + \epsilon$, along the last axis.

    $$\frac{\partial y}{\partial x_{1i}} = \operatorname{sign}(d_i) \Bigl(\frac{|d_i|}{y}\Bigr)^{p-1}
      = -\frac{\partial y}{\partial x_{2i}}, \qquad \text{0 where } d_i = 0;$$

    for p = ±∞ and p = 0 see p_norm. ε is added to d itself, not to its size, as in torch.

    Args:
        p: of the norm, any number.
        eps: ε.
        keepdim: whether y keeps the last axis, with the size 1.

    Shape: x1 and x2 (\*, D), or what broadcasts to that; y (\*), or (\*, 1).

    Raises:
        ValueError: x1 and x2 do not broadcast, or are two numbers.
        TypeError: x1 and x2 have different dtypes.
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        self.norm, self.eps, self.keepdim = p, eps, keepdim

    @property
    def p(self) -> float:
        """The norm; torch's constructor calls it p, torch's attribute is norm."""
        return self.norm

    def forward(self, x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
        """y = ‖x1 - x2 + ε‖."""
        if not _common_shape(self, x1, x2):
            raise ValueError(f"{self}: x1 and x2 have shape (), wanted (*, D)")
        y, slope = p_norm(x1 - x2 + self.eps, self.norm)
        y = y[..., None] if self.keepdim else y
        self.save(slope, y.shape, x1.shape, x2.shape)
        return y

    def backward(self, dy: np.ndarray, needs_input_grad: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """(dx1, dx2) = (slope dy, -slope dy)."""
        slope, shape, shape1, shape2 = self.saved()
        self.check_grad(dy, shape, slope.dtype)
        dx = slope * (dy if self.keepdim else dy[..., None])
        return _sum_to(dx, shape1), _sum_to(-dx, shape2)

    def extra_repr(self) -> str:
        """p, eps, keepdim."""
        return f"p={self.norm}, eps={self.eps}, keepdim={self.keepdim}"


def _common_shape(module: Module, x1: np.ndarray, x2: np.ndarray) -> tuple[int, ...]:
    """What both broadcast to."""
    if x1.dtype != x2.dtype:
        raise TypeError(f"{module}: x1 is {x1.dtype}, x2 {x2.dtype}; convert one of them")
    try:
        return np.broadcast_shapes(x1.shape, x2.shape)
    except ValueError as error:
        given = f"x1 has shape {x1.shape}, x2 {x2.shape}"
        raise ValueError(f"{module}: {given}, which do not broadcast") from error


def _sum_to(g: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The gradient of what was broadcast from this shape: the sum over the copies."""
    g = np.add.reduce(g, axis=tuple(range(g.ndim - len(shape))))
    copied = tuple(i for i, size in enumerate(shape) if size == 1 and g.shape[i] != 1)
    return np.add.reduce(g, axis=copied, keepdims=True)
