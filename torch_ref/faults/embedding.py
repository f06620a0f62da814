"""Mistakes in embeddings."""

from typing import Any

import numpy as np

from torch_ref.faults.fault import wrong_formula

_NAME = "of an index that repeats, only the last gradient counts"
_FIX = "np.add.at(dW, x, dy), or a sum by row: dW[x] += dy adds once to each row"


@wrong_formula(_NAME, "Embedding", of="embedding_backward", fix=_FIX)
def _once(dy: np.ndarray, saved: Any) -> tuple[None, np.ndarray]:
    x, (V, D), padding_idx, scale_grad_by_freq = saved
    x, dy = x.reshape(-1), dy.reshape(x.size, D)
    if padding_idx is not None:
        x, dy = x[x != padding_idx], dy[x != padding_idx]
    if scale_grad_by_freq:
        dy = dy / np.bincount(x)[x, None].astype(dy.dtype)
    dW = np.zeros_like(dy, shape=(V, D))
    dW[x] += dy
    return None, dW


@wrong_formula(_NAME, "EmbeddingBag", of="embedding_bag_backward", fix=_FIX)
def _once_in_bags(dy: np.ndarray, saved: Any) -> tuple[None, np.ndarray, None, np.ndarray | None]:
    x, (V, D), a, rows, bag, kept, Z, first, n, scale_grad_by_freq = saved
    if first is None:
        drows = (dy / Z)[bag]
    else:
        drows = np.zeros_like(rows)
        np.put_along_axis(drows, first, dy[np.unique(bag)], axis=0)
    da = None
    if a is not None:
        da = np.zeros_like(a, shape=n)
        da[kept] = np.einsum("kd,kd->k", rows, drows)
        drows = a[kept, None] * drows
    if scale_grad_by_freq:
        drows = drows / np.bincount(x)[x, None].astype(drows.dtype)
    dW = np.zeros_like(drows, shape=(V, D))
    dW[x] += drows
    return None, dW, None, da
