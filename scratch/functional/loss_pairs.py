"""Losses of pairs and triplets of vectors: which of them should be near to each other.

The reduction stands in loss.py.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from scratch.functional.distance import pairwise_distance, pairwise_distance_backward
from scratch.functional.elementary import clip

__all__ = [
    "cosine_embedding_loss",
    "cosine_embedding_loss_backward",
    "margin_ranking_loss",
    "margin_ranking_loss_backward",
    "triplet_margin_loss",
    "triplet_margin_loss_backward",
    "triplet_margin_with_distance_loss",
    "triplet_margin_with_distance_loss_backward",
]


def margin_ranking_loss(
    x1: np.ndarray, x2: np.ndarray, y: np.ndarray, margin: float = 0.0
) -> tuple[np.ndarray, Any]:
    r"""If y = 1, $x_1$ must beat $x_2$ by m, and if y = -1 the reverse: $\ell = \max(0, m - y\,(x_1 - x_2))$.

    With $z = m - y\,(x_1 - x_2)$: $dx_1 = -y\, d\ell$ and $dx_2 = y\, d\ell$ where $z \ge 0$, else 0.

    Args:
        x1: (\*).
        x2: (\*).
        y: (\*), 1 or -1.
        margin: m.

    Returns:
        ℓ (\*), and what margin_ranking_loss_backward needs.

    Example:
        >>> ℓ, saved = margin_ranking_loss(np.array([1.0]), np.array([3.0]), np.array([1.0]))
        >>> ℓ, margin_ranking_loss_backward(np.ones(1), saved)
        (array([2.]), (array([-1.]), array([1.]), None))
    """
    z = margin - y * (x1 - x2)
    return clip(z, 0, np.inf), (z.real >= 0, y)


def margin_ranking_loss_backward(dℓ: np.ndarray, saved: Any) -> tuple[Any, ...]:
    """dx1 = -y dℓ where z ≥ 0, else 0; dx2 = -dx1."""
    active, y = saved
    dx2 = y * active * dℓ
    return -dx2, dx2, None


def cosine_embedding_loss(
    x1: np.ndarray, x2: np.ndarray, y: np.ndarray, margin: float = 0.0
) -> tuple[np.ndarray, Any]:
    r"""With the cosine of two vectors: $\ell = 1 - \cos$ if y = 1, and $\max(0, \cos - m)$ if y = -1.

    With $\cos = x_1 \cdot x_2 / \sqrt{ab}$, $a = x_1 \cdot x_1 + \epsilon$, $b = x_2 \cdot x_2 + \epsilon$:

    $$\frac{\partial \cos}{\partial x_1} = \frac{x_2}{\sqrt{ab}} - \cos \frac{x_1}{a}, \qquad
      \frac{\partial \cos}{\partial x_2} = \frac{x_1}{\sqrt{ab}} - \cos \frac{x_2}{b},$$

    times $d\cos = -d\ell$ if y = 1, and $d\ell$ if y = -1 and $\cos \ge m$. ε = 1e-12, as torch's.

    Args:
        x1: (N, D) or (D,).
        x2: (N, D) or (D,).
        y: (N,) or (), 1 or -1.
        margin: m.

    Returns:
        ℓ (N,) or (), and what cosine_embedding_loss_backward needs.

    Example:
        >>> ℓ, saved = cosine_embedding_loss(np.array([1.0, 0.0]), np.array([0.0, 2.0]), np.array(1))
        >>> ℓ.item(), cosine_embedding_loss_backward(np.ones(()), saved)
        (1.0, (array([-0., -1.]), array([-0.5, -0. ]), None))
    """
    a = (x1 * x1).sum(axis=-1) + _EPS
    b = (x2 * x2).sum(axis=-1) + _EPS
    cos = (x1 * x2).sum(axis=-1) / np.sqrt(a * b)
    alike, apart = y == 1, y == -1
    ℓ = alike * (1 - cos) + apart * clip(cos - margin, 0, np.inf)
    return ℓ, (x1, x2, a, b, cos, alike, apart & (cos.real >= margin))


def cosine_embedding_loss_backward(dℓ: np.ndarray, saved: Any) -> tuple[Any, ...]:
    """dx1 = ∂cos/∂x1 dcos, dx2 = ∂cos/∂x2 dcos, dcos = ±dℓ; derived in cosine_embedding_loss."""
    x1, x2, a, b, cos, alike, active = saved
    dcos = (active * dℓ - alike * dℓ)[..., None]
    a, b, cos = a[..., None], b[..., None], cos[..., None]
    dx1 = (x2 / np.sqrt(a * b) - cos * x1 / a) * dcos
    dx2 = (x1 / np.sqrt(a * b) - cos * x2 / b) * dcos
    return dx1, dx2, None


# torch keeps its 1e-12 in float32.
_EPS = float(np.float32(1e-12))


def triplet_margin_with_distance_loss(
    a: np.ndarray,
    p: np.ndarray,
    n: np.ndarray,
    distance: tuple[Callable[..., Any], Callable[..., Any]],
    margin: float = 1.0,
    swap: bool = False,
) -> tuple[np.ndarray, Any]:
    r"""The anchor a must be nearer to p than to n, by m: $\ell = \max(0, z)$, $z = m + D(a, p) - D(a, n)$.

    Where $z \ge 0$ the gradient of $D(a, p)$ is $d\ell$ and that of $D(a, n)$ is $-d\ell$, else 0; from there
    on it is D's own backward. a gets a gradient from both.

    With ``swap`` the nearer of $D(a, n)$ and $D(p, n)$ counts; of equal ones each by half.

    Args:
        a: what D takes.
        p: as a.
        n: as a.
        distance: D as a pair: D(x1, x2) gives (D, saved), its backward of (dD, saved) gives (dx1, dx2).
        margin: m.
        swap: see above.

    Returns:
        ℓ of the shape of D, and what triplet_margin_with_distance_loss_backward needs.

    Source: Balntas et al. 2016.

    Example:
        >>> pair = (pairwise_distance, pairwise_distance_backward)
        >>> ℓ, saved = triplet_margin_with_distance_loss(*np.array([[0.0], [3.0], [2.0]]), pair)
        >>> ℓ.round(4).item(), triplet_margin_with_distance_loss_backward(np.ones(()), saved)
        (2.0, (array([0.]), array([1.]), array([-1.])))
    """
    D, D_backward = distance
    near, near_saved = D(a, p)
    far, far_saved = D(a, n)
    share, other_saved = 1.0, None
    if swap:
        other, other_saved = D(p, n)
        share = 0.5 + 0.5 * np.sign(other.real - far.real)
        far = share * far + (1 - share) * other
    z = margin + near - far
    return clip(z, 0, np.inf), (z.real >= 0, share, D_backward, near_saved, far_saved, other_saved)


def triplet_margin_with_distance_loss_backward(dℓ: np.ndarray, saved: Any) -> tuple[Any, ...]:
    """(da, dp, dn) by D's backward of dz for (a, p) and -dz for (a, n), dz = dℓ where z ≥ 0, else 0."""
    active, share, D_backward, near_saved, far_saved, other_saved = saved
    dz = active * dℓ
    da_near, dp = D_backward(dz, near_saved)
    da_far, dn = D_backward(-dz * share, far_saved)
    if other_saved is not None:
        dp_other, dn_other = D_backward(-dz * (1 - share), other_saved)
        dp, dn = dp + dp_other, dn + dn_other
    return da_near + da_far, dp, dn


def triplet_margin_loss(
    a: np.ndarray,
    p: np.ndarray,
    n: np.ndarray,
    margin: float = 1.0,
    norm: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
) -> tuple[np.ndarray, Any]:
    r"""The triplet loss with the distance $D(u, v) = \lVert u - v + \epsilon \rVert_p$, pairwise_distance.

    Derived in triplet_margin_with_distance_loss.

    Args:
        a: (\*, D).
        p: (\*, D).
        n: (\*, D).
        margin: m.
        norm: the p of the norm.
        eps: ε.
        swap: whether n is to be far from p as well: the nearer of D(a, n) and D(p, n) counts.

    Returns:
        ℓ (\*), and what triplet_margin_loss_backward needs.

    Example:
        >>> ℓ, saved = triplet_margin_loss(*np.array([[0.0], [3.0], [2.0]]))
        >>> ℓ.round(4).item(), triplet_margin_loss_backward(np.ones(()), saved)
        (2.0, (array([0.]), array([1.]), array([-1.])))
    """

    def D(u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, Any]:
        return pairwise_distance(u, v, norm, eps)

    return triplet_margin_with_distance_loss(a, p, n, (D, pairwise_distance_backward), margin, swap)


def triplet_margin_loss_backward(dℓ: np.ndarray, saved: Any) -> tuple[Any, ...]:
    """(da, dp, dn) by the gradients of the two norms; derived in triplet_margin_with_distance_loss."""
    return triplet_margin_with_distance_loss_backward(dℓ, saved)
