"""Mistakes in attention and transformers."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from scratch import functional as F
from torch_ref.faults.fault import wrong_formula

_right, _right_backward = F.scaled_dot_product_attention, F.scaled_dot_product_attention_backward


@wrong_formula(
    "the scores are not divided by √d",
    *("MultiheadAttention", "ScaledDotProductAttention"),
    of="scaled_dot_product_attention scaled_dot_product_attention_backward",
    fix="S = Q Kᵀ / √d, d the width of one head",
)
def _unscaled() -> tuple[Callable[..., Any], Callable[..., Any]]:
    def attention(
        Q: np.ndarray, K: np.ndarray, V: np.ndarray, M: np.ndarray | None = None, D: np.ndarray | None = None
    ) -> tuple[np.ndarray, Any]:
        S = Q @ K.swapaxes(-1, -2)
        if M is not None:
            S += M
        m = S.real.max(axis=-1, keepdims=True, initial=np.finfo(S.dtype).min)
        S -= m
        P = np.exp(S)
        Z = P.sum(axis=-1, keepdims=True)
        P /= Z + (Z == 0)
        W = P if D is None else P * D
        A = W @ V
        return A, (W, P, D, Q, K, V)

    def attention_backward(
        dA: np.ndarray, saved: Any, dW: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        W, P, D, Q, K, V = saved
        dV = W.swapaxes(-1, -2) @ dA
        dP = dA @ V.swapaxes(-1, -2)
        if dW is not None:
            dP += dW
        if D is not None:
            dP *= D
        dS = P * (dP - np.einsum("...ls,...ls->...l", P, dP)[..., None])
        dQ = dS @ K
        dK = dS.swapaxes(-1, -2) @ Q
        return dQ, dK, dV

    return attention, attention_backward


@wrong_formula(
    "the gradient of the scores is not divided by √d",
    *("MultiheadAttention", "ScaledDotProductAttention"),
    of="scaled_dot_product_attention_backward",
    fix="S = Q Kᵀ / √d, so dQ = dS K / √d and dK = dSᵀ Q / √d",
)
def _no_root(
    dA: np.ndarray, saved: Any, dW: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    W, P, D, Q, K, V = saved
    dV = W.swapaxes(-1, -2) @ dA
    dP = dA @ V.swapaxes(-1, -2)
    if dW is not None:
        dP += dW
    if D is not None:
        dP *= D
    dS = P * (dP - np.einsum("...ls,...ls->...l", P, dP)[..., None])
    dQ = dS @ K
    dK = dS.swapaxes(-1, -2) @ Q
    return dQ, dK, dV


@wrong_formula(
    "the Jacobian of the attention's softmax is only its diagonal",
    *("MultiheadAttention", "ScaledDotProductAttention"),
    of="scaled_dot_product_attention_backward",
    fix="dS = P (dP - Σ_s P dP): each weight depends on all scores of its row",
)
def _diagonal(
    dA: np.ndarray, saved: Any, dW: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    W, P, D, Q, K, V = saved
    dV = W.swapaxes(-1, -2) @ dA
    dP = dA @ V.swapaxes(-1, -2)
    if dW is not None:
        dP += dW
    if D is not None:
        dP *= D
    dS = P * (1 - P) * dP
    dS /= math.sqrt(Q.shape[-1])
    dQ = dS @ K
    dK = dS.swapaxes(-1, -2) @ Q
    return dQ, dK, dV


@wrong_formula(
    "the mask is not applied",
    *("MultiheadAttention", "TransformerEncoderLayer", "ScaledDotProductAttention"),
    of="scaled_dot_product_attention",
    fix="scores get -∞ where a query must not see a key",
)
def _no_mask(
    Q: np.ndarray, K: np.ndarray, V: np.ndarray, M: np.ndarray | None = None, D: np.ndarray | None = None
) -> tuple[np.ndarray, Any]:
    S = Q / math.sqrt(Q.shape[-1]) @ K.swapaxes(-1, -2)
    m = S.real.max(axis=-1, keepdims=True, initial=np.finfo(S.dtype).min)
    S -= m
    P = np.exp(S)
    Z = P.sum(axis=-1, keepdims=True)
    P /= Z + (Z == 0)
    W = P if D is None else P * D
    A = W @ V
    return A, (W, P, D, Q, K, V)


@wrong_formula(
    "the error does not go around the residual connection",
    *("TransformerEncoderLayer", "TransformerDecoderLayer"),
    of="residual_backward",
    fix="y = x + f(x), so dx = dy + what f gives back",
)
def _no_way_around(dy: np.ndarray, saved: Any) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros_like(dy), dy


@wrong_formula(
    "the gradient of the queries is not divided by √d",
    *("MultiheadAttention", "ScaledDotProductAttention"),
    of="scaled_dot_product_attention_backward",
    fix="S = Q Kᵀ / √d, so dQ = dS K / √d",
)
def _no_root_in_queries(
    dA: np.ndarray, saved: Any, dW: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    Q = saved[3]
    dQ, dK, dV = _right_backward(dA, saved, dW)
    return dQ * math.sqrt(Q.shape[-1]), dK, dV


@wrong_formula(
    "the gradient of the keys is not divided by √d",
    *("MultiheadAttention", "ScaledDotProductAttention"),
    of="scaled_dot_product_attention_backward",
    fix="S = Q Kᵀ / √d, so dK = dSᵀ Q / √d",
)
def _no_root_in_keys(
    dA: np.ndarray, saved: Any, dW: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    Q = saved[3]
    dQ, dK, dV = _right_backward(dA, saved, dW)
    return dQ, dK * math.sqrt(Q.shape[-1]), dV


@wrong_formula(
    "the scores are divided by d instead of √d",
    *("MultiheadAttention", "ScaledDotProductAttention"),
    of="scaled_dot_product_attention scaled_dot_product_attention_backward",
    fix="S = Q Kᵀ / √d, d the width of one head",
)
def _by_d() -> tuple[Callable[..., Any], Callable[..., Any]]:
    def attention(
        Q: np.ndarray, K: np.ndarray, V: np.ndarray, M: np.ndarray | None = None, D: np.ndarray | None = None
    ) -> tuple[np.ndarray, Any]:
        return _right(Q / math.sqrt(Q.shape[-1]), K, V, M, D)

    def attention_backward(
        dA: np.ndarray, saved: Any, dW: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        dQ, dK, dV = _right_backward(dA, saved, dW)
        return dQ / math.sqrt(dQ.shape[-1]), dK, dV

    return attention, attention_backward


@wrong_formula(
    "the sum is missing in the derivative of the attention's softmax",
    *("MultiheadAttention", "ScaledDotProductAttention"),
    of="scaled_dot_product_attention_backward",
    fix="dS = P (dP - Σ_s P dP): each weight depends on all scores of its row",
)
def _no_sum(
    dA: np.ndarray, saved: Any, dW: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    W, P, D, Q, K, V = saved
    dV = W.swapaxes(-1, -2) @ dA
    dP = dA @ V.swapaxes(-1, -2)
    if dW is not None:
        dP += dW
    if D is not None:
        dP *= D
    dS = P * dP
    dS /= math.sqrt(Q.shape[-1])
    dQ = dS @ K
    dK = dS.swapaxes(-1, -2) @ Q
    return dQ, dK, dV
