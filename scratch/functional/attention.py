"""Attention: each query asks all keys how well they fit, and gets the mean of their values by the answers."""

import math
from typing import Any

import numpy as np

__all__ = ["scaled_dot_product_attention", "scaled_dot_product_attention_backward"]


def scaled_dot_product_attention(
    Q: np.ndarray, K: np.ndarray, V: np.ndarray, M: np.ndarray | None = None, D: np.ndarray | None = None
) -> tuple[np.ndarray, Any]:
    r"""$A = \operatorname{softmax}(Q K^\top / \sqrt d + M)\, V$, the softmax by row, so for each query:

    $$S = \frac{1}{\sqrt d} Q K^\top + M, \qquad P_{ls} = \frac{e^{S_{ls}}}{\sum_r e^{S_{lr}}}, \qquad
      W = D \odot P, \qquad A = W V.$$

    Backwards, from dA, product by product, and row by row through the softmax, whose derivative is
    $\partial P_{ls} / \partial S_{lr} = P_{ls} (\delta_{sr} - P_{lr})$:

    $$dV = W^\top dA, \qquad dW = dA\, V^\top, \qquad dP = D \odot dW, \qquad
      dS = P \odot \bigl(dP - \textstyle\sum_s P\, dP\bigr),$$
    $$dQ = \tfrac{1}{\sqrt d} dS\, K, \qquad dK = \tfrac{1}{\sqrt d} dS^\top Q.$$

    M is -∞ where a query must not see a key; there P and dS are 0. A query that may see no key at all gets 0.
    Leading axes, such as samples and heads, are carried along, so that there is no loop over them.

    Args:
        Q: (\*, L, d), the queries.
        K: (\*, S, d), the keys.
        V: (\*, S, e), their values.
        M: the mask, a constant that broadcasts to (\*, L, S), or None for 0.
        D: a dropout mask (\*, L, S), 0 or 1/(1-p), a constant too, or None for 1.

    Returns:
        A (\*, L, e), and what scaled_dot_product_attention_backward needs, of which the weights W
        (\*, L, S) are the first.

    Source: Vaswani et al. 2017, section 3.2.

    Example:
        >>> Q, K, V = np.array([[0.0]]), np.array([[1.0], [2.0]]), np.array([[4.0], [8.0]])
        >>> A, saved = scaled_dot_product_attention(Q, K, V)
        >>> dQ, dK, dV = scaled_dot_product_attention_backward(np.array([[1.0]]), saved)
        >>> A, dQ, dV.T
        (array([[6.]]), array([[1.]]), array([[0.5, 0.5]]))
    """
    S = Q / math.sqrt(Q.shape[-1]) @ K.swapaxes(-1, -2)
    if M is not None:
        S += M
    m = S.real.max(axis=-1, keepdims=True, initial=np.finfo(S.dtype).min)  # not -∞ where all is hidden
    S -= m  # so that no exponential overflows; it changes no P
    P = np.exp(S)
    Z = P.sum(axis=-1, keepdims=True)
    P /= Z + (Z == 0)
    W = P if D is None else P * D
    A = W @ V
    return A, (W, P, D, Q, K, V)


def scaled_dot_product_attention_backward(
    dA: np.ndarray, saved: Any, dW: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """dQ = dS K / √d, dK = dSᵀ Q / √d, dV = Wᵀ dA; derived in scaled_dot_product_attention.

    dW is what comes in by the weights, if something was computed from them too.
    """
    W, P, D, Q, K, V = saved
    dV = W.swapaxes(-1, -2) @ dA
    dP = dA @ V.swapaxes(-1, -2)
    if dW is not None:
        dP += dW
    if D is not None:
        dP *= D
    dS = dP - np.einsum("...ls,...ls->...l", P, dP)[..., None]
    dS *= P
    dS /= math.sqrt(Q.shape[-1])
    dQ = dS @ K
    dK = dS.swapaxes(-1, -2) @ Q
    return dQ, dK, dV
