"""Affine maps."""

import math
from typing import Any

import numpy as np

__all__ = ["bilinear", "bilinear_backward", "linear", "linear_backward"]


def linear(x: np.ndarray, W: np.ndarray, b: np.ndarray | None = None) -> tuple[np.ndarray, Any]:
    r"""$y = x W^\top + b$: the book's Affine layer, with torch's layout of W.

    One output is $y_{no} = \sum_i x_{ni} W_{oi} + b_o$. With $dy = \partial L/\partial y$ the chain rule
    gives

    $$\frac{\partial L}{\partial x_{ni}} = \sum_o dy_{no}\, W_{oi}, \qquad
      \frac{\partial L}{\partial W_{oi}} = \sum_n dy_{no}\, x_{ni}, \qquad
      \frac{\partial L}{\partial b_o} = \sum_n dy_{no},$$

    as matrices $dx = dy\, W$, $dW = dy^\top x$, $db = dy^\top 1$.

    Args:
        x: (\*, I); all leading axes count the samples.
        W: (O, I).
        b: (O,), or None.

    Returns:
        y (\*, O), and what linear_backward needs.

    Example:
        >>> y, saved = linear(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]), np.array([5.0]))
        >>> y.item()
        16.0
        >>> dx, dW, db = linear_backward(np.array([[1.0]]), saved)
        >>> dx, dW, db
        (array([[3., 4.]]), array([[1., 2.]]), array([1.]))
    """
    y = x @ W.T
    if b is not None:
        y += b
    return y, (x, W, b)


def linear_backward(dy: np.ndarray, saved: Any, need_dx: bool = True) -> tuple[Any, ...]:
    """dx = dy W, dW = dyᵀ x, db = dyᵀ 1; derived in linear."""
    x, W, b = saved
    dx = dy @ W if need_dx else None
    N = math.prod(x.shape[:-1])
    dy, x = dy.reshape(N, len(W)), x.reshape(N, x.shape[-1])
    dW = dy.T @ x
    db = dy.sum(axis=0) if b is not None else None
    return dx, dW, db


def bilinear(
    x1: np.ndarray, x2: np.ndarray, A: np.ndarray, b: np.ndarray | None = None
) -> tuple[np.ndarray, Any]:
    r"""$y = x_1^\top A_o\, x_2 + b$: each output o is linear in either input, with a matrix $A_o$ of its own.

    From $y_{no} = \sum_{ij} x_{1,ni} A_{oij} x_{2,nj} + b_o$:

    $$\frac{\partial L}{\partial x_{1,ni}} = \sum_o dy_{no} \sum_j A_{oij}\, x_{2,nj}, \qquad
      \frac{\partial L}{\partial x_{2,nj}} = \sum_o dy_{no} \sum_i x_{1,ni}\, A_{oij},$$
    $$\frac{\partial L}{\partial A_{oij}} = \sum_n dy_{no}\, x_{1,ni}\, x_{2,nj}, \qquad
      \frac{\partial L}{\partial b_o} = \sum_n dy_{no}.$$

    Args:
        x1: (\*, I).
        x2: (\*, J), with the same leading axes.
        A: (O, I, J).
        b: (O,), or None.

    Returns:
        y (\*, O), and what bilinear_backward needs.

    Example:
        >>> y, saved = bilinear(np.array([[2.0]]), np.array([[3.0]]), np.array([[[5.0]]]))
        >>> y.item(), [d.item() for d in bilinear_backward(np.array([[1.0]]), saved)[:3]]
        (30.0, [15.0, 10.0, 6.0])
    """
    shape = x1.shape[:-1]
    N = math.prod(shape)
    x1, x2 = x1.reshape(N, x1.shape[-1]), x2.reshape(N, x2.shape[-1])
    y = np.einsum("oni,ni->no", x2 @ A.swapaxes(1, 2), x1)
    if b is not None:
        y += b
    return y.reshape(*shape, len(A)), (x1, x2, A, b, shape)


def bilinear_backward(dy: np.ndarray, saved: Any) -> tuple[Any, ...]:
    """dx1 = Σ dy A x2, dx2 = Σ dy x1ᵀ A, dA = Σ dy x1 x2ᵀ, db = Σ dy; derived in bilinear."""
    x1, x2, A, b, shape = saved
    dy = dy.reshape(len(x1), len(A))
    dx1 = np.einsum("no,oni->ni", dy, x2 @ A.swapaxes(1, 2))
    dx2 = np.einsum("no,onj->nj", dy, x1 @ A)
    dA = (dy.T[:, None, :] * x1.T) @ x2
    db = dy.sum(axis=0) if b is not None else None
    return dx1.reshape(*shape, x1.shape[1]), dx2.reshape(*shape, x2.shape[1]), dA, db
