"""Attention (PyTorch, torch/nn/modules/activation.py, MultiheadAttention)."""

from typing import Any

import numpy as np

from scratch import functional as F
from scratch.functional import linear_fast
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

    Q, K, V cut into H heads of width d = E/H, and A the results of the heads side by side: three times
    F.linear, F.scaled_dot_product_attention, and F.linear once more. Where query, key and value are one array
    their three gradients are still three, to be added up.

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
    on. y as query. The weights, (N, L, S), or (N, H, L, S) unless they are averaged over the heads.
    Parameters: in_proj_weight (3E, E), which is $W_q, W_k, W_v$ one below the other, or, where kdim or vdim
    is not E, q_proj_weight, k_proj_weight and v_proj_weight; in_proj_bias (3E,); out_proj, a Linear; bias_k
    and bias_v (1, 1, E).

    Raises:
        ValueError: H does not divide E; query, key or value has another width, or they have different
            batches; or a mask has another shape.
        TypeError: one of them is not an array, or has another dtype than the parameters; or a mask is of
            integers.

    Example:
        >>> x, layer = np.ones((4, 2, 6), np.float32), MultiheadAttention(6, 3)
        >>> y, weights = layer(x, x, x)
        >>> dquery, dkey, dvalue = layer.backward(np.ones_like(y))
        >>> y.shape, weights.shape, dquery.shape
        ((4, 2, 6), (2, 4, 4), (4, 2, 6))
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
                f"MultiheadAttention: num_heads is {num_heads}, expected a divisor of embed_dim, {embed_dim}"
            )
        if not 0 <= dropout <= 1:
            raise ValueError(f"MultiheadAttention: dropout is {dropout}, expected a probability from 0 to 1")
        self.embed_dim, self.num_heads, self.dropout = embed_dim, num_heads, dropout
        for name, size in (("kdim", kdim), ("vdim", vdim)):
            if size is not None and size < 0:
                raise ValueError(f"MultiheadAttention: {name} is {size}, expected 0 or more")
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.add_zero_attn, self.batch_first = add_zero_attn, batch_first
        E = embed_dim
        if self.kdim == self.vdim == E:
            self.in_proj_weight: Parameter | None = Parameter(np.empty((3 * E, E), dtype))
        else:
            self.in_proj_weight = None
            self.q_proj_weight = Parameter(np.empty((E, E), dtype))
            self.k_proj_weight = Parameter(np.empty((E, self.kdim), dtype))
            self.v_proj_weight = Parameter(np.empty((E, self.vdim), dtype))
        self.in_proj_bias = Parameter(np.empty(3 * E, dtype)) if bias else None
        self.bias_k = Parameter(np.empty((1, 1, E), dtype)) if add_bias_kv else None
        self.bias_v = Parameter(np.empty((1, 1, E), dtype)) if add_bias_kv else None
        self.out_proj = Linear(E, E, bias, dtype)
        self._reset_parameters()

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
        if self.in_proj_weight is not None:
            init.xavier_uniform_(self.in_proj_weight)
        else:
            for p in (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
                init.xavier_uniform_(p)
        for b in (self.in_proj_bias, self.out_proj.bias if self.bias else None):
            if b is not None:
                init.zeros_(b)
        for b in (self.bias_k, self.bias_v):
            if b is not None:
                init.xavier_normal_(b)

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
        """(y, the weights).

        Args:
            query: where the queries come from.
            key: where the keys come from.
            value: where their values come from.
            key_padding_mask: (N, S), True at keys that nobody may see; or numbers that are added.
            need_weights: whether the weights are returned; else None is.
            attn_mask: (L, S) or (N H, L, S), True where a query must not see a key; or numbers that are
                added. Masks are constants: they get no gradient.
            average_attn_weights: whether the weights are averaged over the heads.
            is_causal: that attn_mask hides what comes later, which must be given: it is that which counts.
        """
        for x in (query, key, value):
            if type(x) is not np.ndarray:
                self.refuse_mask(x)
        self._check(query, key, value)
        if is_causal and attn_mask is None:
            raise ValueError(f"{self}: is_causal is True, expected attn_mask too, which it describes")
        E, H, batched = self.embed_dim, self.num_heads, query.ndim == 3
        batch_first = self.batch_first and batched
        heads, projections = [], []
        for x, (W, b) in zip((query, key, value), self._in_projections(), strict=True):
            z, projection = linear_fast.linear(x, W, b)
            z = z.reshape(*(x.shape[:2] if batched else (len(x), 1)), H, E // H)
            heads.append(z.transpose((0, 2, 1, 3) if batch_first else (1, 2, 0, 3)))  # (N, H, L, d)
            projections.append(projection)
        Q, K, V = heads
        (N, _, L, _), S = Q.shape, K.shape[2]
        if self.bias_k is not None or self.add_zero_attn:
            K, V = self._extended(K, self.bias_k), self._extended(V, self.bias_v)
        M = D = None
        if attn_mask is not None or key_padding_mask is not None:
            M = self._mask(attn_mask, key_padding_mask, (N, L, S), K.shape[2] - S, query.real.dtype)
        if self.training and self.dropout > 0:
            D = dropout_mask(np.empty((N, H, L, K.shape[2]), query.dtype), self.dropout)
        A, attention = F.scaled_dot_product_attention(Q, K, V, M, D)
        # As in torch, the result lies in memory with the batch on the second axis.
        A = A.transpose(2, 0, 1, 3).reshape(L, N, E)
        b_o = self.out_proj.bias
        y, out = linear_fast.linear(A, self.out_proj.weight.data, None if b_o is None else b_o.data)
        if not batched:
            y = y[:, 0]
        elif batch_first:
            y = y.swapaxes(0, 1)
        padded = key_padding_mask is not None
        self.save(query.shape, S, projections, attention, out, average_attn_weights, padded)
        if not need_weights:
            return y, None
        weights = attention[0].mean(axis=1) if average_attn_weights else attention[0]
        return y, weights if batched else weights[0]

    def backward(self, dy: np.ndarray | None, dweights: np.ndarray | None = None) -> tuple[Any, ...]:
        """(dquery, dkey, dvalue), and None for key_padding_mask if there was one."""
        shape, S, projections, attention, out, averaged, padded = taken = self.saved()
        dtype, batched = self.out_proj.weight.dtype, len(shape) == 3
        batch_first = self.batch_first and batched
        if dy is None:
            dy = np.zeros(shape, dtype)
        N, H, L, longest = attention[0].shape
        try:
            self.check_grad(dy, shape, dtype)
            if dweights is not None:
                expected = (N, L, longest) if averaged else (N, H, L, longest)
                self.check_grad(dweights, expected if batched else expected[1:], dtype, "weights")
        except (TypeError, ValueError):
            self.put_back(taken)
            raise
        if dweights is not None:
            dweights = dweights.reshape(N, 1 if averaged else H, L, longest) / (H if averaged else 1)
        dy = dy.swapaxes(0, 1) if batch_first else dy.reshape(L, N, self.embed_dim)
        dA, dW, db = linear_fast.linear_backward(dy, out)
        self.out_proj.weight.add_grad(dW)
        if self.out_proj.bias is not None:
            self.out_proj.bias.add_grad(db)
        dA = dA.reshape(L, N, H, self.embed_dim // H).transpose(1, 2, 0, 3)
        dQ, dK, dV = F.scaled_dot_product_attention_backward(dA, attention, dweights)
        if self.bias_k is not None and self.bias_v is not None:
            self.bias_k.add_grad(dK[:, :, S].sum(axis=0).reshape(1, 1, -1))
            self.bias_v.add_grad(dV[:, :, S].sum(axis=0).reshape(1, 1, -1))
        gradients = []
        for dz, projection in zip((dQ, dK[:, :, :S], dV[:, :, :S]), projections, strict=True):
            dz = dz.transpose((0, 2, 1, 3) if batch_first else (2, 0, 1, 3))
            dz = dz.reshape(*(dz.shape[:2] if batched else dz.shape[:1]), self.embed_dim)
            gradients.append(linear_fast.linear_backward(dz, projection, self.needs_input_grad))
        dinputs, dWs, dbs = zip(*gradients, strict=True)
        if self.in_proj_weight is not None:
            self.in_proj_weight.add_grad(np.concatenate(dWs))
        else:
            for p, dW in zip((self.q_proj_weight, self.k_proj_weight, self.v_proj_weight), dWs, strict=True):
                p.add_grad(dW)
        if self.in_proj_bias is not None:
            self.in_proj_bias.add_grad(np.concatenate(dbs))
        return (*dinputs, None) if padded else dinputs

    def _in_projections(self) -> list[tuple[np.ndarray, np.ndarray | None]]:
        """(W_q, b_q), (W_k, b_k), (W_v, b_v)."""
        E = self.embed_dim
        if self.in_proj_weight is not None:
            W_q, W_k, W_v = self.in_proj_weight.data.reshape(3, E, E)
        else:
            W_q, W_k, W_v = self.q_proj_weight.data, self.k_proj_weight.data, self.v_proj_weight.data
        if self.in_proj_bias is None:
            return [(W_q, None), (W_k, None), (W_v, None)]
        b_q, b_k, b_v = self.in_proj_bias.data.reshape(3, E)
        return [(W_q, b_q), (W_k, b_k), (W_v, b_v)]

    def _extended(self, heads: np.ndarray, b: Parameter | None) -> np.ndarray:
        """Keys (or values) with the learned one and the one of zeros behind them."""
        N, H, S, d = heads.shape
        extended = np.zeros_like(heads, shape=(N, H, S + (b is not None) + self.add_zero_attn, d))
        extended[:, :, :S] = heads
        if b is not None:
            extended[:, :, S] = b.data.reshape(H, d)
        return extended

    # ---- checks, and masks

    def _check(self, query: Any, key: Any, value: Any) -> None:
        dtype, batch = self.out_proj.weight.dtype, 0 if self.batch_first else 1
        for name, x, width in (
            ("query", query, self.embed_dim),
            ("key", key, self.kdim),
            ("value", value, self.vdim),
        ):
            fits = isinstance(x, np.ndarray) and x.dtype == dtype and x.ndim in (2, 3)
            if not fits or x.ndim != query.ndim or x.shape[-1] != width:
                axes = "N, *" if self.batch_first else "*, N"
                raise self.input_error(name, x, dtype, f"({axes}, {width}) or (*, {width}), all alike")
            if x.ndim == 3 and x.shape[batch] != query.shape[batch]:
                raise ValueError(f"{self}: {name} has {x.shape[batch]} samples, query {query.shape[batch]}")
        if key.shape[:-1] != value.shape[:-1]:
            raise ValueError(
                f"{self}: key has shape {key.shape}, value {value.shape}, expected as many of both"
            )

    def _mask(
        self,
        attn_mask: np.ndarray | None,
        key_padding_mask: np.ndarray | None,
        sizes: tuple[int, int, int],
        extra: int,
        dtype: np.dtype,
    ) -> np.ndarray | None:
        """Both masks as one that is added to (N, H, L, S), which has 0 for the extra keys; None for none."""
        N, L, S = sizes
        total: Any = None
        if attn_mask is not None:
            added = self._added("attn_mask", attn_mask, dtype)
            if attn_mask.shape not in ((L, S), (N * self.num_heads, L, S)):
                expected = f"({L}, {S}) or ({N * self.num_heads}, {L}, {S})"
                raise ValueError(f"{self}: attn_mask has shape {attn_mask.shape}, expected {expected}")
            lead = (1, 1) if attn_mask.ndim == 2 else (N, self.num_heads)
            total = added.reshape(*lead, L, S)
        if key_padding_mask is not None:
            padding = self._added("key_padding_mask", key_padding_mask, dtype)
            shape = padding.shape
            if shape != (N, S) and (N != 1 or shape != (S,)):
                raise ValueError(f"{self}: key_padding_mask has shape {shape}, expected {(N, S)}")
            padding = padding.reshape(N, 1, 1, S)
            total = padding if total is None else total + padding
        if total is None or not extra:
            return total
        return np.concatenate([total, np.zeros((*total.shape[:-1], extra), dtype)], axis=-1)

    def _added(self, name: str, mask: Any, dtype: np.dtype) -> np.ndarray:
        if not isinstance(mask, np.ndarray):
            raise TypeError(f"{self}: {name} is a {type(mask).__name__}, expected an array")
        if mask.dtype.kind == "b":
            return np.where(mask, dtype.type(-np.inf), dtype.type(0))
        if mask.dtype.kind not in "fc":
            raise TypeError(f"{self}: {name} is {mask.dtype}, expected bool or floating numbers")
        return mask.real.astype(dtype)

    def extra_repr(self) -> str:
        """embed_dim, num_heads."""
        return f"{self.embed_dim}, {self.num_heads}, batch_first={self.batch_first}"
