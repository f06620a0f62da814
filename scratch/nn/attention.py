r"""Attention (PyTorch, torch/nn/modules/activation.py, MultiheadAttention).

Each query asks all keys how well they fit, and gets the mean of their values, weighted by the answers. For
one head of width d, with queries Q (L, d), keys K (S, d), values V (S, d) and a mask M (L, S) that is added,

$$S = \frac{1}{\sqrt d} Q K^\top + M, \qquad P = \operatorname{softmax}(S) \text{ by row}, \qquad A = P V.$$

Backwards, with dA, row by row for the softmax (see Softmax):

$$dV = P^\top dA, \qquad dP = dA\, V^\top, \qquad
  dS = P \odot \bigl(dP - \textstyle\sum_s P\, dP\bigr), \qquad
  dQ = \tfrac{1}{\sqrt d} dS\, K, \qquad dK = \tfrac{1}{\sqrt d} dS^\top Q.$$

M is -∞ where a query must not see a key; there P and dS are 0. Heads are one more leading axis, so that
there is no loop over them; and so is the batch.

Source: Vaswani et al. 2017, section 3.2.
"""

import math
from typing import Any

import numpy as np

from scratch.nn import init
from scratch.nn.dropout import dropout_mask
from scratch.nn.linear import Linear
from scratch.nn.module import Module
from scratch.nn.parameter import Parameter

__all__ = ["MultiheadAttention"]


class MultiheadAttention(Module):
    r"""Several attentions side by side, each on its own projection of query, key and value.

    $$Q = x_q W_q^\top + b_q, \quad K = x_k W_k^\top + b_k, \quad V = x_v W_v^\top + b_v, \quad
      y = A W_o^\top + b_o,$$

    Q, K, V cut into H heads of width d = E/H, and A the results of the heads side by side; for the attention
    of one head see the head of this file. All else is Linear: $dA = dy\, W_o$, $dW_q = dQ^\top x_q$,
    $dx_q = dQ\, W_q$, and so on; where query, key and value are one array their three gradients are still
    three, to be added up.

    Args:
        embed_dim: E, the width of query and output.
        num_heads: H, a divisor of E.
        dropout: probability of an entry of P to be zeroed in training.
        bias: whether there are b.
        add_bias_kv: whether one more key and value, both learned, stand behind the others.
        add_zero_attn: whether one more key and value, both 0, stand behind the others.
        kdim: the width of key; E if None.
        vdim: the width of value; E if None.
        batch_first: whether the batch is the first axis, and not the second.
        dtype: of the parameters.

    Shape: query (L, N, E), key (S, N, kdim), value (S, N, vdim), or without N; batch_first, (N, L, E) and so
    on. y as query. The weights P, (N, L, S), or (N, H, L, S) unless they are averaged over the heads.
    Parameters: in_proj_weight (3E, E), which is $W_q, W_k, W_v$ one below the other, or, where kdim or vdim
    is not E, q_proj_weight, k_proj_weight and v_proj_weight; in_proj_bias (3E,); out_proj, a Linear; bias_k
    and bias_v (1, 1, E).

    Raises:
        ValueError: H does not divide E; query, key or value has another width, or they have different
            batches; or a mask has another shape.
        TypeError: one of them has another dtype than the parameters; or a mask is of integers.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        dtype: Any = np.float32,
    ) -> None:
        if embed_dim < 1 or num_heads < 1 or embed_dim % num_heads:
            raise ValueError(
                f"MultiheadAttention: num_heads is {num_heads}, wanted a divisor of embed_dim, {embed_dim}"
            )
        if not 0 <= dropout <= 1:
            raise ValueError(f"MultiheadAttention: dropout is {dropout}, wanted a probability from 0 to 1")
        self.embed_dim, self.num_heads, self.dropout = embed_dim, num_heads, dropout
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.add_zero_attn, self.batch_first = add_zero_attn, batch_first
        E = embed_dim
        if self._one_width:
            self.in_proj_weight = Parameter(np.empty((3 * E, E), dtype))
        else:
            self.q_proj_weight = Parameter(np.empty((E, E), dtype))
            self.k_proj_weight = Parameter(np.empty((E, self.kdim), dtype))
            self.v_proj_weight = Parameter(np.empty((E, self.vdim), dtype))
        self.in_proj_bias = Parameter(np.empty(3 * E, dtype)) if bias else None
        self.bias_k = Parameter(np.empty((1, 1, E), dtype)) if add_bias_kv else None
        self.bias_v = Parameter(np.empty((1, 1, E), dtype)) if add_bias_kv else None
        self.out_proj = Linear(E, E, bias, dtype)
        self._reset_parameters()

    @property
    def _one_width(self) -> bool:
        return self.kdim == self.vdim == self.embed_dim

    @property
    def bias(self) -> bool:
        """Whether there are b."""
        return self.in_proj_bias is not None

    @property
    def add_bias_kv(self) -> bool:
        """Whether one more key and value stand behind the others."""
        return self.bias_k is not None

    def _reset_parameters(self) -> None:
        """Draw the weights anew, in torch's order and by torch's formula; the b are 0."""
        for p in self._projections():
            init.xavier_uniform_(p)
        for b in (self.in_proj_bias, self.out_proj.bias if self.bias else None):
            if b is not None:
                init.zeros_(b)
        for b in (self.bias_k, self.bias_v):
            if b is not None:
                init.xavier_normal_(b)

    def _projections(self) -> list[Parameter]:
        if self._one_width:
            return [self.in_proj_weight]
        return [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight]

    def _weights(self) -> list[np.ndarray]:
        """W_q, W_k, W_v."""
        if self._one_width:
            return list(self.in_proj_weight.data.reshape(3, self.embed_dim, self.embed_dim))
        return [p.data for p in self._projections()]

    def forward(
        self,
        query: np.ndarray,
        key: np.ndarray,
        value: np.ndarray,
        key_padding_mask: np.ndarray | None = None,
        need_weights: bool = True,
        attn_mask: np.ndarray | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """(y, P).

        Args:
            query: what asks.
            key: what is asked.
            value: what it answers.
            key_padding_mask: (N, S), True at keys that nobody may see; or numbers that are added.
            need_weights: whether P is wanted; else None is given.
            attn_mask: (L, S) or (N H, L, S), True where a query must not see a key; or numbers that are
                added. Masks are constants: they get no gradient.
            average_attn_weights: whether P is averaged over the heads.
            is_causal: that attn_mask hides what comes later, which must be given: it is that which counts.
        """
        if is_causal and attn_mask is None:
            raise ValueError(f"{self}: is_causal is True, wanted the attn_mask that it speaks of too")
        inputs = (query, key, value)
        N, batched = self._check(inputs)
        sizes = [x.shape[int(self.batch_first) if batched else 0] for x in inputs]
        heads = self._project(inputs, batched)
        Q, K, V = heads[0], self._behind(heads[1], self.bias_k), self._behind(heads[2], self.bias_v)
        mask = self._mask(attn_mask, key_padding_mask, N, sizes, K.shape[2] - sizes[1], query.real.dtype)
        P = used = self._attention_weights(Q, K, mask)
        kept = None
        if self.training and self.dropout > 0:
            kept = dropout_mask(P, self.dropout)
            used = P * kept
        # As in torch, the result lies in memory with the batch on the second axis.
        A = np.empty_like(query, shape=self._turned(query).shape)
        np.matmul(used, V, out=self._as_heads(self._turned(A), batched))
        y = self._turned(self.out_proj.forward(A))
        self.save(inputs, batched, Q, K, V, P, used, kept, key_padding_mask is None, average_attn_weights)
        if not need_weights:
            return y, None
        shown = np.add.reduce(used, axis=1) / self.num_heads if average_attn_weights else used
        return y, shown if batched else shown[0]

    def backward(  # type: ignore[override]
        self, dy: np.ndarray | None, dweights: np.ndarray | None = None, needs_input_grad: bool = True
    ) -> tuple[np.ndarray | None, ...]:
        """(dquery, dkey, dvalue), and None for key_padding_mask if there was one."""
        inputs, batched, Q, K, V, P, used, kept, no_mask, averaged = self.saved()
        if dy is None:
            dy = np.zeros_like(inputs[0])
        self.check_grad(dy, inputs[0].shape, inputs[0].dtype)
        if dweights is not None:
            shape = used.shape if batched else used.shape[1:]
            shape = (*shape[:-3], *shape[-2:]) if averaged else shape
            self.check_grad(dweights, shape, inputs[0].dtype, "weights")
        dA: Any = self.out_proj.backward(self._turned(dy))
        dA = self._as_heads(self._turned(dA), batched)
        grads = [np.empty_like(x, shape=(*x.shape[:-1], self.embed_dim)) for x in inputs]
        dQ, *others = (self._as_heads(g, batched) for g in grads)
        wide = K.shape[2] != others[0].shape[2]
        dK, dV = (np.empty_like(K), np.empty_like(V)) if wide else others
        np.matmul(used.swapaxes(-1, -2), dA, out=dV)
        dP = np.matmul(dA, V.swapaxes(-1, -2))
        if dweights is not None:
            dweights = dweights if batched else dweights[None]
            dP += dweights[:, None] / self.num_heads if averaged else dweights
        if kept is not None:
            dP *= kept
        dS = self._scores_gradient(dP, P)
        np.matmul(dS, K, out=dQ)
        np.matmul(dS.swapaxes(-1, -2), Q, out=dK)
        if wide:
            for d, inner, b in zip((dK, dV), others, (self.bias_k, self.bias_v), strict=True):
                inner[...] = d[:, :, : inner.shape[2]]
                if b is not None:
                    extra = d[:, :, inner.shape[2]]
                    b.accumulate(_sum_to, extra, b.shape)
        dx = self._project_back(inputs, grads, needs_input_grad)
        return dx if no_mask else (*dx, None)

    # ---- one head, or all of them

    def _attention_weights(self, Q: np.ndarray, K: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        """P, of Q (…, L, d), K (…, S, d) and a mask that broadcasts to (…, L, S).

        A row that may see nothing attends to nothing: its P is 0.
        """
        P = np.matmul(Q * Q.dtype.type(1 / math.sqrt(Q.shape[-1])), K.swapaxes(-1, -2))
        if mask is not None:
            P += mask
        largest = np.max(P.real, axis=-1, keepdims=True, initial=-np.inf)
        if mask is not None:
            largest[largest == -np.inf] = 0
        P -= largest
        np.exp(P, out=P)
        total = np.add.reduce(P, axis=-1, keepdims=True)
        if mask is not None:
            total[total == 0] = 1
        P /= total
        return P

    def _scores_gradient(self, dP: np.ndarray, P: np.ndarray) -> np.ndarray:
        """dS / √d, in the place of dP."""
        dP -= np.einsum("...s,...s->...", P, dP)[..., None]
        dP *= P
        dP *= dP.dtype.type(1 / math.sqrt(self.embed_dim // self.num_heads))
        return dP

    # ---- in and out of heads

    def _turned(self, x: np.ndarray) -> np.ndarray:
        """With the batch on the second axis, or back."""
        return x.swapaxes(0, 1) if self.batch_first and x.ndim == 3 else x

    def _as_heads(self, z: np.ndarray, batched: bool) -> np.ndarray:
        """z, (L, N, E) or as the inputs are, seen as (N, H, L, d)."""
        z = z.reshape(*z.shape[:-1], self.num_heads, self.embed_dim // self.num_heads)
        if not batched:
            return z.swapaxes(0, 1)[None]
        return z.transpose((0, 2, 1, 3) if self.batch_first else (1, 2, 0, 3))

    def _project(self, inputs: tuple[np.ndarray, ...], batched: bool) -> list[np.ndarray]:
        """Q, K, V, as heads; where all inputs are one array, by one product."""
        E = self.embed_dim
        b = None if self.in_proj_bias is None else self.in_proj_bias.data
        if self._one_width and inputs[0] is inputs[1] is inputs[2]:
            z = np.dot(inputs[0].reshape(-1, E), self.in_proj_weight.data.T)
            if b is not None:
                z += b
            parts = [z[:, i * E : (i + 1) * E] for i in range(3)]
        else:
            parts = []
            for i, (x, W) in enumerate(zip(inputs, self._weights(), strict=True)):
                parts.append(np.dot(x.reshape(-1, x.shape[-1]), W.T))
                if b is not None:
                    parts[-1] += b[i * E : (i + 1) * E]
        return [
            self._as_heads(part.reshape(*x.shape[:-1], E), batched)
            for part, x in zip(parts, inputs, strict=True)
        ]

    def _project_back(
        self, inputs: tuple[np.ndarray, ...], grads: list[np.ndarray], needs_input_grad: bool
    ) -> tuple[np.ndarray | None, ...]:
        """dW = dQᵀ x, db = Σ dQ, dx = dQ W, and so for K and V."""
        flat = [g.reshape(-1, self.embed_dim) for g in grads]
        rows = [x.reshape(-1, x.shape[-1]) for x in inputs]
        pairs = list(zip(flat, rows, strict=True))
        if self._one_width:
            self.in_proj_weight.accumulate(_stacked_products, pairs)
        else:
            for p, (g, x) in zip(self._projections(), pairs, strict=True):
                p.accumulate(np.dot, g.T, x)
        if self.in_proj_bias is not None:
            self.in_proj_bias.accumulate(_stacked_sums, flat)
        if not needs_input_grad:
            return (None,) * 3
        return tuple(
            np.dot(g, W).reshape(x.shape) for g, W, x in zip(flat, self._weights(), inputs, strict=True)
        )

    def _behind(self, heads: np.ndarray, b: Parameter | None) -> np.ndarray:
        """With the learned key (or value) and the one of zeros behind the others."""
        more = []
        if b is not None:
            more.append(b.data.reshape(1, self.num_heads, 1, -1))
        if self.add_zero_attn:
            more.append(np.zeros_like(heads, shape=(1, *heads.shape[1:2], 1, heads.shape[3])))
        if not more:
            return heads
        return np.concatenate([heads, *(np.repeat(m, len(heads), axis=0) for m in more)], axis=2)

    # ---- what is asked of the inputs

    def _check(self, inputs: tuple[np.ndarray, ...]) -> tuple[int, bool]:
        """(N, whether there is a batch axis)."""
        names, widths = ("query", "key", "value"), (self.embed_dim, self.kdim, self.vdim)
        query, key, value = inputs
        batch = 0 if self.batch_first else 1
        for name, x, width in zip(names, inputs, widths, strict=True):
            if x.dtype != self.out_proj.weight.dtype:
                own = self.out_proj.weight.dtype
                raise TypeError(f"{self}: {name} is {x.dtype}, the weights {own}; convert one of them")
            if x.ndim not in (2, 3) or x.ndim != query.ndim or x.shape[-1] != width:
                axes = "N, *" if self.batch_first else "*, N"
                raise ValueError(
                    f"{self}: {name} has shape {x.shape}, wanted ({axes}, {width}) or (*, {width}), all alike"
                )
            if x.ndim == 3 and x.shape[batch] != query.shape[batch]:
                raise ValueError(f"{self}: {name} has {x.shape[batch]} samples, query {query.shape[batch]}")
        if key.shape[:-1] != value.shape[:-1]:
            raise ValueError(
                f"{self}: key has shape {key.shape}, value {value.shape}, wanted as many of both"
            )
        return (query.shape[batch] if query.ndim == 3 else 1), query.ndim == 3

    def _mask(
        self,
        attn_mask: np.ndarray | None,
        key_padding_mask: np.ndarray | None,
        N: int,
        sizes: list[int],
        extra: int,
        dtype: np.dtype,
    ) -> np.ndarray | None:
        """Both masks as one that is added to (N, H, L, S), which has 0 for the extra keys; None for none."""
        L, S, _ = sizes
        total: Any = None
        if attn_mask is not None:
            if attn_mask.shape not in ((L, S), (N * self.num_heads, L, S)):
                wanted = f"({L}, {S}) or ({N * self.num_heads}, {L}, {S})"
                raise ValueError(f"{self}: attn_mask has shape {attn_mask.shape}, wanted {wanted}")
            lead = (1, 1) if attn_mask.ndim == 2 else (N, self.num_heads)
            total = self._added("attn_mask", attn_mask, dtype).reshape(*lead, L, S)
        if key_padding_mask is not None:
            shape = key_padding_mask.shape
            if shape != (N, S) and (N != 1 or shape != (S,)):
                raise ValueError(f"{self}: key_padding_mask has shape {shape}, wanted {(N, S)}")
            padding = self._added("key_padding_mask", key_padding_mask, dtype).reshape(N, 1, 1, S)
            total = padding if total is None else total + padding
        if total is None or not extra:
            return total
        return np.concatenate([total, np.zeros((*total.shape[:-1], extra), dtype)], axis=-1)

    def _added(self, name: str, mask: np.ndarray, dtype: np.dtype) -> np.ndarray:
        if mask.dtype.kind == "b":
            return np.where(mask, dtype.type(-np.inf), dtype.type(0))
        if mask.dtype.kind not in "fc":
            raise TypeError(f"{self}: {name} is {mask.dtype}, wanted bool or floating numbers")
        return mask.real.astype(dtype)

    def extra_repr(self) -> str:
        """embed_dim, num_heads."""
        return f"{self.embed_dim}, {self.num_heads}, batch_first={self.batch_first}"


def _stacked_products(pairs: Any, out: np.ndarray | None = None) -> np.ndarray:
    """gᵀ x of each pair, one below the other."""
    return np.concatenate([np.dot(g.T, x) for g, x in pairs], out=out)


def _stacked_sums(grads: Any, out: np.ndarray | None = None) -> np.ndarray:
    """The column sums, one behind the other."""
    return np.concatenate([np.add.reduce(g) for g in grads], out=out)


def _sum_to(g: np.ndarray, shape: tuple[int, ...], out: np.ndarray | None = None) -> np.ndarray:
    """The sum over the samples."""
    total = np.add.reduce(g).reshape(shape)
    return total if out is None else np.positive(total, out=out)
