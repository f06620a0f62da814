"""Mistakes in attention and transformers."""

import math
from typing import Any

import numpy as np

from torch_ref.faults.fault import FAULTS, Fault, mistake


def _root(module: Any) -> float:
    return math.sqrt(module.embed_dim // module.num_heads)


def _unscaled(module: Any, right: Any, Q: np.ndarray, K: np.ndarray, mask: Any) -> Any:
    return right(Q * _root(module), K, mask)


def _unscaled_back(module: Any, right: Any, dP: np.ndarray, P: np.ndarray) -> Any:
    return right(dP, P) * _root(module)


FAULTS.append(
    Fault(
        "the scores are not divided by √d",
        "S = Q Kᵀ / √d, d the width of one head",
        ("MultiheadAttention",),
        methods={"_attention_weights": _unscaled, "_scores_gradient": _unscaled_back},
    )
)


@mistake(
    "the gradient of the scores is not divided by √d",
    "MultiheadAttention",
    method="_scores_gradient",
    fix="S = Q Kᵀ / √d, so dQ = dS K / √d and dK = dSᵀ Q / √d",
)
def _no_root(module: Any, right: Any, dP: np.ndarray, P: np.ndarray) -> Any:
    return right(dP, P) * _root(module)


@mistake(
    "the Jacobian of the attention's softmax is only its diagonal",
    "MultiheadAttention",
    method="_scores_gradient",
    fix="dS = P (dP - Σ_s P dP): each weight depends on all scores of its row",
)
def _diagonal(module: Any, right: Any, dP: np.ndarray, P: np.ndarray) -> Any:
    return dP * P * (1 - P) / _root(module)


@mistake(
    "the mask is not applied",
    *("MultiheadAttention", "TransformerEncoderLayer"),
    method="forward",
    fix="scores get -∞ where a query must not see a key",
)
def _no_mask(module: Any, right: Any, *args: Any, **options: Any) -> Any:
    hidden = [np.zeros_like(x) if isinstance(x, np.ndarray) and x.dtype == bool else x for x in args]
    return right(*hidden, **options)


@mistake(
    "the error does not go around the residual connection",
    *("TransformerEncoderLayer", "TransformerDecoderLayer"),
    method="_step_back",
    fix="y = x + f(x), so dx = dy + what f gives back",
)
def _no_way_around(module: Any, right: Any, i: int, dy: np.ndarray, f_back: Any) -> Any:
    norm, dropout = getattr(module, f"norm{i}"), getattr(module, f"dropout{i}")
    if module.norm_first:
        return norm.backward(f_back(dropout.backward(dy)))
    return f_back(dropout.backward(norm.backward(dy)))
