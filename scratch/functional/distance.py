r"""Distances between vectors.

Both take two arrays that may be broadcast against each other, as torch's do; the gradient of one that was
broadcast is summed over its copies.
"""

import math
from typing import Any

import numpy as np

from scratch.functional.elementary import negative, positive, sum_to

__all__ = [
    "cosine_similarity",
    "cosine_similarity_backward",
    "pairwise_distance",
    "pairwise_distance_backward",
    "vector_norm",
    "vector_norm_backward",
]


def vector_norm(x: np.ndarray, p: float = 2.0) -> tuple[np.ndarray, Any]:
    r"""$D = \lVert x \rVert_p = \bigl(\sum_i |x_i|^p\bigr)^{1/p}$ along the last axis.

    From $D^p = \sum_i |x_i|^p$, with $s_i = \operatorname{sign} x_i$, so that $|x_i| = s_i x_i$:

    $$p D^{p-1} \frac{\partial D}{\partial x_i} = p\, |x_i|^{p-1} s_i, \qquad
      \frac{\partial D}{\partial x_i} = s_i \Bigl(\frac{|x_i|}{D}\Bigr)^{p-1}, \qquad
      \text{0 where } x_i = 0 \text{ or } D = 0.$$

    For p = ∞ (or -∞) D is the largest (smallest) $|x_i|$, and the k of them that are share the slope:
    $s_i / k$ each. For p = 0 D counts those that are not 0, and the slope is 0.

    Args:
        x: (\*, D).
        p: any number, also ±∞.

    Returns:
        D (\*), and what vector_norm_backward needs.

    Example:
        >>> D, saved = vector_norm(np.array([3.0, 4.0]))
        >>> D.item(), vector_norm_backward(np.ones(()), saved)
        (5.0, array([0.6, 0.8]))
    """
    if p == 2:
        D = np.sqrt((x * x).sum(axis=-1, keepdims=True))
        return D[..., 0], x / (D + (D.real == 0))
    s, size = np.sign(x.real), positive(x) - negative(x)
    zero = s == 0
    if p == 0:
        return (~zero).sum(axis=-1, dtype=x.dtype), 0 * x
    if math.isinf(p):
        end = np.maximum if p > 0 else np.minimum
        ends = size.real == end.reduce(size.real, axis=-1, keepdims=True)
        share = ends / ends.sum(axis=-1, keepdims=True, dtype=x.dtype)
        return (share * size).sum(axis=-1), share * s
    # Where D is 0, and where |x| is, nothing is divided.
    flat = zero.all(axis=-1, keepdims=True) if p > 0 else zero.any(axis=-1, keepdims=True)
    D = ((~zero * (size + zero) ** p).sum(axis=-1, keepdims=True) + flat) ** (1 / p)
    return (~flat * D)[..., 0], ~flat * s * ((size + zero) / D) ** (p - 1)


def vector_norm_backward(dD: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """dx = s (|x|/D)^(p-1) dD; derived in vector_norm."""
    return slope * dD[..., None]


def pairwise_distance(
    x1: np.ndarray, x2: np.ndarray, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> tuple[np.ndarray, Any]:
    r"""$y = \lVert x_1 - x_2 + \epsilon \rVert_p$ along the last axis.

    $dx_1$ is the gradient of vector_norm, and $dx_2 = -dx_1$.

    ε is added to the difference itself, not to its size, as in torch.

    Args:
        x1: (\*, D), or what broadcasts with x2 to that.
        x2: (\*, D), or what broadcasts with x1 to that.
        p: of the norm, any number.
        eps: ε.
        keepdim: whether y keeps the last axis, with the size 1.

    Returns:
        y (\*), or (\*, 1), and what pairwise_distance_backward needs.

    Example:
        >>> y, saved = pairwise_distance(np.array([3.0, 0.0]), np.array([0.0, 4.0]), eps=0.0)
        >>> y.item(), pairwise_distance_backward(np.ones(()), saved)
        (5.0, (array([ 0.6, -0.8]), array([-0.6,  0.8])))
    """
    D, saved = vector_norm(x1 - x2 + eps, p)
    return D[..., None] if keepdim else D, (saved, keepdim, x1.shape, x2.shape)


def pairwise_distance_backward(dy: np.ndarray, saved: Any) -> tuple[np.ndarray, np.ndarray]:
    """dx1 = ∂D/∂d dy, dx2 = -dx1, d = x1 - x2 + ε; derived in vector_norm."""
    saved, keepdim, shape1, shape2 = saved
    dd = vector_norm_backward(dy[..., 0] if keepdim else dy, saved)
    return sum_to(dd, shape1), sum_to(-dd, shape2)


def cosine_similarity(
    x1: np.ndarray, x2: np.ndarray, dim: int = 1, eps: float = 1e-8
) -> tuple[np.ndarray, Any]:
    r"""The cosine of the angle between two vectors: $c = u \cdot v$, $u = x_1/n_1$, $v = x_2/n_2$.

    $n_i = \max(\lVert x_i \rVert, \epsilon)$. Where $\lVert x_1 \rVert \ge \epsilon$, its slope is u, so that

    $$\frac{\partial c}{\partial x_1} = \frac{v - c\, u}{n_1}, \qquad
      \frac{\partial c}{\partial x_2} = \frac{u - c\, v}{n_2}.$$

    Where a vector is shorter than ε its n is constant, and the term with c is not there. (torch has it there
    too, so that its gradient is not the derivative of its output.)

    Args:
        x1: (\*, D, \*), D on the axis dim, or what broadcasts with x2 to that.
        x2: (\*, D, \*), or what broadcasts with x1 to that.
        dim: the axis along which the vectors lie.
        eps: ε.

    Returns:
        c (\*, \*), and what cosine_similarity_backward needs.

    Example:
        >>> c, saved = cosine_similarity(np.array([1.0, 0.0]), np.array([3.0, 4.0]), dim=0)
        >>> c.item(), cosine_similarity_backward(np.ones(()), saved)[0]
        (0.6, array([0. , 0.8]))
    """
    shapes = x1.shape, x2.shape
    x1, x2 = np.broadcast_arrays(x1, x2, subok=True)
    n1 = np.sqrt((x1 * x1).sum(axis=dim, keepdims=True))
    n2 = np.sqrt((x2 * x2).sum(axis=dim, keepdims=True))
    long1, long2 = n1.real >= eps, n2.real >= eps
    n1 = np.where(long1, n1, n1.dtype.type(eps))
    n2 = np.where(long2, n2, n2.dtype.type(eps))
    u, v = x1 / n1, x2 / n2
    c = (u * v).sum(axis=dim, keepdims=True)
    return np.squeeze(c, dim), (u, v, n1, n2, long1, long2, c, dim, shapes)


def cosine_similarity_backward(dc: np.ndarray, saved: Any) -> tuple[np.ndarray, np.ndarray]:
    """dx1 = (v - c u) dc / n1, dx2 = (u - c v) dc / n2; derived in cosine_similarity."""
    u, v, n1, n2, long1, long2, c, dim, (shape1, shape2) = saved
    dc = np.expand_dims(dc, dim)
    dx1 = dc * (v - long1 * c * u) / n1
    dx2 = dc * (u - long2 * c * v) / n2
    return sum_to(dx1, shape1), sum_to(dx2, shape2)
