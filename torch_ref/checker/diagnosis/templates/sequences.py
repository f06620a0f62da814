"""Templates of look-up, recurrence and attention."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from scratch import functional as F
from scratch import nn
from torch_ref.checker.diagnosis.templates.registry import GATES, Arrays, template


class ScaledDotProductAttention(nn.Module):
    """F.scaled_dot_product_attention of Q, K, V, and a mask where there is one."""

    def forward(self, Q: np.ndarray, K: np.ndarray, V: np.ndarray, *mask: np.ndarray) -> np.ndarray:
        """A; a mask of truth values says which keys are seen."""
        added = [np.where(m, 0.0, -np.inf).astype(Q.dtype) if m.dtype.kind == "b" else m for m in mask]
        A, saved = F.scaled_dot_product_attention(Q, K, V, *added)
        self.save(saved)
        return A

    def backward(self, dA: np.ndarray) -> tuple[np.ndarray, ...]:
        """(dQ, dK, dV)."""
        return F.scaled_dot_product_attention_backward(dA, self.saved()[0])


@template("Embedding", parameters=(1, 1))
def embeddings(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """Rows of a table."""
    if xs[0].dtype.kind in "iu" and ps[0].ndim == 2 and y.shape == (*xs[0].shape, ps[0].shape[1]):
        yield nn.Embedding(*ps[0].shape)


@template("EmbeddingBag", parameters=(1, 1))
def bags(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """Sums, means and maxima of rows of a table."""
    if xs[0].dtype.kind in "iu" and xs[0].ndim == ps[0].ndim == 2 and y.shape == (len(xs[0]), ps[0].shape[1]):
        for mode in ("mean", "sum", "max"):
            V, D = ps[0].shape
            yield nn.EmbeddingBag(V, D, mode=mode)


def _recurrent(kind: str, inputs: int) -> None:
    @template(kind, inputs=inputs, parameters=(2, 4))
    def layers(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
        """One layer, the time first or the samples."""
        matrices = [p for p in ps if p.ndim == 2]
        if xs[0].ndim not in (2, 3) or len(matrices) != 2 or len(ps) == 3:
            return
        D, H = xs[0].shape[-1], y.shape[-1]
        if {p.shape for p in matrices} != {(GATES[kind] * H, D), (GATES[kind] * H, H)}:
            return
        options: list[dict[str, Any]] = [{}, {"batch_first": True}] if xs[0].ndim == 3 else [{}]
        for option in options:
            yield getattr(nn, kind)(D, H, bias=len(ps) > 2, **option)
            if kind == "RNN":
                yield nn.RNN(D, H, bias=len(ps) > 2, nonlinearity="relu", **option)


def _cells(kind: str, inputs: int) -> None:
    @template(f"{kind}Cell", inputs=inputs, parameters=(2, 4))
    def cells(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
        """One step."""
        matrices = [p for p in ps if p.ndim == 2]
        if any(x.ndim not in (1, 2) for x in xs) or len(matrices) != 2 or len(ps) == 3 or not y.ndim:
            return
        D, H = xs[0].shape[-1], y.shape[-1]
        if {p.shape for p in matrices} != {(GATES[kind] * H, D), (GATES[kind] * H, H)}:
            return
        cell = getattr(nn, f"{kind}Cell")(D, H, bias=len(ps) > 2)
        yield Grouped(cell) if kind == "LSTM" else cell


class Grouped(nn.Module):
    """An LSTMCell of x, h and c as three inputs."""

    def __init__(self, cell: nn.Module) -> None:
        self.cell = cell

    def forward(self, x: np.ndarray, h: np.ndarray, c: np.ndarray) -> Any:
        """(h, c) of the next step."""
        return self.cell(x, (h, c))

    def backward(self, *dy: Any) -> Any:
        """(dx, dh, dc)."""
        dx, (dh, dc) = self.cell.backward(*dy)
        return dx, dh, dc


for _kind in GATES:
    _recurrent(_kind, 1)
    _cells(_kind, 3 if _kind == "LSTM" else 2)


def _attends(xs: Arrays, y: np.ndarray) -> bool:
    Q, K, V = xs[:3]
    return (
        Q.ndim == K.ndim == V.ndim >= 2
        and Q.shape[-1] == K.shape[-1]
        and K.shape[:-1] == V.shape[:-1]
        and y.shape == (*Q.shape[:-1], V.shape[-1])
    )


@template("ScaledDotProductAttention", inputs=3)
def attention(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """softmax(Q Kᵀ / √d) V."""
    if _attends(xs, y):
        yield ScaledDotProductAttention()


@template("ScaledDotProductAttention", inputs=4)
def masked_attention(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """softmax(Q Kᵀ / √d + M) V."""
    if _attends(xs, y) and xs[3].ndim >= 2 and xs[3].shape[-2:] == (y.shape[-2], xs[1].shape[-2]):
        yield ScaledDotProductAttention()


@template("MultiheadAttention", inputs=3, parameters=(2, 4))
def heads(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """Of several heads, the time first or the samples."""
    E = xs[0].shape[-1]
    if any(x.ndim not in (2, 3) or x.shape[-1] != E for x in xs) or len(ps) == 3 or y.shape != xs[0].shape:
        return
    for count in (n for n in range(E, 0, -1) if E % n == 0):
        for first in (False, True):
            yield nn.MultiheadAttention(E, count, bias=len(ps) > 2, batch_first=first)
