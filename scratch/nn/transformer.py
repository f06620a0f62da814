r"""Transformers (PyTorch, torch/nn/modules/transformer.py).

A layer is two or three steps of one kind, each a residual connection around something with a norm:

    x + f(norm(x))    norm_first, "pre-norm"
    norm(x + f(x))    otherwise, as in the paper

where f is an attention, or the two linear layers with an activation between them. Backwards the error goes
around f as it is, and through f, and both are added: F.residual.

Source: Vaswani et al. 2017; with the norm first: Xiong et al. 2020.
"""

import copy
from typing import Any

import numpy as np

from scratch import functional as F
from scratch.nn import init
from scratch.nn.attention import MultiheadAttention
from scratch.nn.container import ModuleList
from scratch.nn.dropout import Dropout
from scratch.nn.linear import Linear
from scratch.nn.module import Module
from scratch.nn.normalization import LayerNorm

__all__ = [
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
]


# Only their formulas are used: in torch a name stands for a function, which is not a layer below this one.
_ACTIVATIONS = ("relu", "gelu")
Mask = np.ndarray | None


def _taken(module: Module, dy: Any) -> tuple[Any, ...]:
    """What the forward saved, but for the shape and dtype of its output, which dy has to have.

    If dy has not, nothing is taken here or in the modules below: the corrected call finds it.

    Raises:
        ValueError, TypeError: dy has another shape or dtype, or is no array.
    """
    taken = module.saved()
    *masks, (shape, dtype) = taken
    try:
        module.check_grad(dy, shape, dtype)
    except (ValueError, TypeError):
        module.put_back(taken)
        raise
    return tuple(masks)


class _Layer(Module):
    """Base class of encoder and decoder layers."""

    def _make(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int,
        dropout: float,
        activation: str | Module,
        layer_norm_eps: float,
        batch_first: bool,
        norm_first: bool,
        bias: bool,
        dtype: Any,
        attentions: tuple[str, ...],
    ) -> None:
        if not isinstance(activation, Module) and activation not in _ACTIVATIONS:
            expected = "'relu', 'gelu' or a Module"
            raise ValueError(f"{type(self).__name__}: activation is {activation!r}, expected {expected}")
        for name in attentions:
            attention = MultiheadAttention(
                d_model, nhead, dropout, bias=bias, batch_first=batch_first, dtype=dtype
            )
            setattr(self, name, attention)
        self.linear1 = Linear(d_model, dim_feedforward, bias, dtype)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, dtype)
        self.norm_first = norm_first
        steps = range(1, len(attentions) + 2)
        for i in steps:
            setattr(self, f"norm{i}", LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype))
        for i in steps:
            setattr(self, f"dropout{i}", Dropout(dropout))
        self.activation = activation

    # The arguments that mirror reads, by torch's names.

    @property
    def d_model(self) -> int:
        """The width."""
        return self.linear1.in_features

    @property
    def nhead(self) -> int:
        """The number of heads."""
        return self.self_attn.num_heads

    @property
    def dim_feedforward(self) -> int:
        """The width between the two linear layers."""
        return self.linear1.out_features

    @property
    def layer_norm_eps(self) -> float | None:
        """ε of the norms."""
        return self.norm1.eps

    @property
    def batch_first(self) -> bool:
        """Whether the batch is the first axis."""
        return self.self_attn.batch_first

    @property
    def bias(self) -> bool:
        """Whether there are b."""
        return self.linear1.bias is not None

    self_attn: MultiheadAttention
    norm1: LayerNorm

    def _feed_forward(self, x: np.ndarray) -> np.ndarray:
        """f between the two linear layers."""
        hidden = self.linear1.forward(x)
        if isinstance(self.activation, Module):
            hidden = self.activation.forward(hidden)
        else:
            hidden, kept = getattr(F, self.activation)(hidden)
            self.save(kept)
        return self.linear2.forward(self.dropout.forward(hidden))

    def _feed_forward_back(self, dy: np.ndarray) -> np.ndarray:
        dhidden: Any = self.linear2.backward(dy)
        dhidden = self.dropout.backward(dhidden)
        if isinstance(self.activation, Module):
            dhidden = self.activation.backward(dhidden)
        else:
            dhidden = getattr(F, f"{self.activation}_backward")(dhidden, *self.saved())
        return self.linear1.backward(dhidden)

    def _step(self, i: int, x: np.ndarray, f: Any) -> np.ndarray:
        """The i-th residual connection, around f."""
        norm, dropout = getattr(self, f"norm{i}"), getattr(self, f"dropout{i}")
        z = dropout.forward(f(norm.forward(x) if self.norm_first else x))
        y, saved = F.residual(x, z)
        self.save(saved)
        return y if self.norm_first else norm.forward(y)

    def _step_back(self, i: int, dy: np.ndarray, f_back: Any) -> np.ndarray:
        norm, dropout = getattr(self, f"norm{i}"), getattr(self, f"dropout{i}")
        if not self.norm_first:
            dy = norm.backward(dy)
        dx, dz = F.residual_backward(dy, *self.saved())
        dx_through_f = f_back(dropout.backward(dz))
        return dx + (norm.backward(dx_through_f) if self.norm_first else dx_through_f)


def _self_back(attention: MultiheadAttention, dy: np.ndarray) -> np.ndarray:
    """dx where query, key and value are all x: the sum of the three."""
    dq, dk, dv, *_ = attention.backward(dy)
    return dq + dk + dv


def _for_each(dx: np.ndarray, *others: Mask) -> Any:
    """The gradients, None for each mask that was given."""
    given = [None for mask in others if mask is not None]
    return (dx, *given) if given else dx


class TransformerEncoderLayer(_Layer):
    r"""Self-attention and two linear layers, each with a residual connection and a norm.

    With norm_first, and D for dropout,

    $$h = x + D(\operatorname{attention}(\operatorname{norm}_1 x)), \qquad
      y = h + D(W_2\, D(f(W_1 \operatorname{norm}_2 h + b_1)) + b_2),$$

    and otherwise the norms stand around the sums. Backwards see the head of this file; the attention has x as
    query, key and value, so that dx is the sum of its three gradients.

    Args:
        d_model: E, the width.
        nhead: H, how many heads; a divisor of E.
        dim_feedforward: the width between the two linear layers.
        dropout: probability p of all its dropouts.
        activation: f, "relu", "gelu" or a Module.
        layer_norm_eps: ε of the norms.
        batch_first: whether the batch is the first axis, and not the second.
        norm_first: whether the norms stand in front.
        bias: whether linear layers and norms have b.
        dtype: of the parameters.

    Shape: src and y (L, N, E) or (L, E), or batch_first (N, L, E). src_mask (L, L) or (N H, L, L),
    src_key_padding_mask (N, L): True where nothing is to be seen, or numbers that are added.
    Masks are constants: they get no gradient.

    Raises:
        ValueError: as MultiheadAttention; or another activation.
        TypeError: as MultiheadAttention.

    Example:
        >>> x, layer = np.ones((4, 2, 6), np.float32), TransformerEncoderLayer(6, 3, 12)
        >>> y = layer(x)
        >>> y.shape, layer.backward(np.ones_like(y)).shape
        ((4, 2, 6), (4, 2, 6))
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Module = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        dtype: Any = np.float32,
    ) -> None:
        self._make(
            *(d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps),
            *(batch_first, norm_first, bias, dtype),
            attentions=("self_attn",),
        )

    def forward(
        self,
        src: np.ndarray,
        src_mask: Mask = None,
        src_key_padding_mask: Mask = None,
        is_causal: bool = False,
    ) -> np.ndarray:
        """Attention, then the linear layers."""

        def attend(x: np.ndarray) -> np.ndarray:
            masks = {"key_padding_mask": src_key_padding_mask, "attn_mask": src_mask, "is_causal": is_causal}
            return self.self_attn.forward(x, x, x, need_weights=False, **masks)[0]  # type: ignore[arg-type]

        y = self._step(2, self._step(1, src, attend), self._feed_forward)
        self.save(src_mask, src_key_padding_mask, (y.shape, y.dtype))
        return y

    def backward(self, dy: np.ndarray) -> Any:
        """The linear layers, then attention."""
        masks = _taken(self, dy)
        dh = self._step_back(2, dy, self._feed_forward_back)
        return _for_each(self._step_back(1, dh, lambda d: _self_back(self.self_attn, d)), *masks)


class TransformerDecoderLayer(_Layer):
    r"""Self-attention, attention to the encoder's output, and two linear layers.

    As TransformerEncoderLayer, with a step between its two, whose queries are from tgt, and whose keys and
    values are the memory. So the memory's gradient is the sum of that by the keys and that by the values.

    Args:
        d_model: E, the width.
        nhead: H, how many heads; a divisor of E.
        dim_feedforward: the width between the two linear layers.
        dropout: probability p of all its dropouts.
        activation: "relu", "gelu" or a Module.
        layer_norm_eps: ε of the norms.
        batch_first: whether the batch is the first axis, and not the second.
        norm_first: whether the norms stand in front.
        bias: whether linear layers and norms have b.
        dtype: of the parameters.

    Shape: tgt and y (L, N, E) or (L, E), memory (S, N, E) or (S, E), or batch_first (N, L, E) and (N, S, E).
    Masks as in MultiheadAttention: tgt_mask (L, L), memory_mask (L, S), tgt_key_padding_mask (N, L),
    memory_key_padding_mask (N, S).

    Raises:
        ValueError: as MultiheadAttention; or another activation.
        TypeError: as MultiheadAttention.

    Example:
        >>> tgt, memory = np.ones((4, 2, 6), np.float32), np.ones((3, 2, 6), np.float32)
        >>> layer = TransformerDecoderLayer(6, 3, 12)
        >>> dtgt, dmemory = layer.backward(layer(tgt, memory))
        >>> dtgt.shape, dmemory.shape
        ((4, 2, 6), (3, 2, 6))
    """

    multihead_attn: MultiheadAttention

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Module = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        dtype: Any = np.float32,
    ) -> None:
        self._make(
            *(d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps),
            *(batch_first, norm_first, bias, dtype),
            attentions=("self_attn", "multihead_attn"),
        )

    def forward(
        self,
        tgt: np.ndarray,
        memory: np.ndarray,
        tgt_mask: Mask = None,
        memory_mask: Mask = None,
        tgt_key_padding_mask: Mask = None,
        memory_key_padding_mask: Mask = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> np.ndarray:
        """Attention to itself, attention to the memory, then the linear layers."""

        def to_itself(x: np.ndarray) -> np.ndarray:
            return self.self_attn.forward(
                x, x, x, tgt_key_padding_mask, False, tgt_mask, is_causal=tgt_is_causal
            )[0]

        def to_memory(x: np.ndarray) -> np.ndarray:
            return self.multihead_attn.forward(
                x, memory, memory, memory_key_padding_mask, False, memory_mask, is_causal=memory_is_causal
            )[0]

        y = self._step(3, self._step(2, self._step(1, tgt, to_itself), to_memory), self._feed_forward)
        masks = (tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask)
        self.save(*masks, (y.shape, y.dtype))
        return y

    def backward(self, dy: np.ndarray) -> Any:
        """(dtgt, dmemory), and None for each mask that was given."""
        masks = _taken(self, dy)
        dmemory: list[Any] = []

        def to_memory_back(d: np.ndarray) -> Any:
            dq, dk, dv, *_ = self.multihead_attn.backward(d)
            dmemory.append(dk + dv)
            return dq

        dh = self._step_back(2, self._step_back(3, dy, self._feed_forward_back), to_memory_back)
        dtgt = self._step_back(1, dh, lambda d: _self_back(self.self_attn, d))
        return dtgt, dmemory[0], *(None for mask in masks if mask is not None)


class _Stack(Module):
    """Copies of one layer, one behind the other, and a norm behind the last."""

    layers: ModuleList
    num_layers: int
    norm: Module | None

    def _make(self, layer: Module, num_layers: int, norm: Module | None) -> None:
        if num_layers < 1:
            raise ValueError(f"{type(self).__name__}: num_layers is {num_layers}, expected 1 or more")
        self.layers = ModuleList([copy.deepcopy(layer) for _ in range(num_layers)])
        self.num_layers, self.norm = num_layers, norm

    def _first(self) -> Module:
        """One of the layers, from which torch makes the same stack."""
        return self.layers[0]


class TransformerEncoder(_Stack):
    """Encoder layers one behind the other: y = norm(f_n(… f_1(src))).

    Args:
        encoder_layer: a TransformerEncoderLayer, which is copied, so that all start alike.
        num_layers: how many.
        norm: a module behind the last layer, or None.
        enable_nested_tensor: for torch's sake; nothing depends on it.
        mask_check: for torch's sake; nothing depends on it.

    Shape: as TransformerEncoderLayer.

    Raises:
        ValueError: num_layers is below 1.

    Example:
        >>> encoder = TransformerEncoder(TransformerEncoderLayer(6, 3, 12), num_layers=2)
        >>> encoder(np.ones((4, 2, 6), np.float32)).shape
        (4, 2, 6)
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        self.enable_nested_tensor, self.mask_check = enable_nested_tensor, mask_check
        self._make(encoder_layer, num_layers, norm)

    encoder_layer = property(_Stack._first)

    def forward(
        self, src: np.ndarray, mask: Mask = None, src_key_padding_mask: Mask = None, is_causal: bool = False
    ) -> np.ndarray:
        """Layer by layer."""
        y = src
        for layer in self.layers:
            y = layer.forward(y, mask, src_key_padding_mask, is_causal)
        y = y if self.norm is None else self.norm.forward(y)
        self.save(mask, src_key_padding_mask, (y.shape, y.dtype))
        return y

    def backward(self, dy: np.ndarray) -> Any:
        """Layer by layer, from the last."""
        masks = _taken(self, dy)
        if self.norm is not None:
            dy = self.norm.backward(dy)
        for layer in reversed(list(self.layers)):
            dx = layer.backward(dy)
            dy = dx[0] if isinstance(dx, tuple) else dx
        return _for_each(dy, *masks)


class TransformerDecoder(_Stack):
    """Decoder layers one behind the other, all of which see the memory: so its gradient is their sum.

    Args:
        decoder_layer: a TransformerDecoderLayer, which is copied, so that all start alike.
        num_layers: how many.
        norm: a module behind the last layer, or None.

    Shape: as TransformerDecoderLayer.

    Raises:
        ValueError: num_layers is below 1.

    Example:
        >>> decoder = TransformerDecoder(TransformerDecoderLayer(6, 3, 12), num_layers=2)
        >>> decoder(np.ones((4, 2, 6), np.float32), np.ones((3, 2, 6), np.float32)).shape
        (4, 2, 6)
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        self._make(decoder_layer, num_layers, norm)

    decoder_layer = property(_Stack._first)

    def forward(
        self,
        tgt: np.ndarray,
        memory: np.ndarray,
        tgt_mask: Mask = None,
        memory_mask: Mask = None,
        tgt_key_padding_mask: Mask = None,
        memory_key_padding_mask: Mask = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> np.ndarray:
        """Layer by layer."""
        masks = (tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask)
        y = tgt
        for layer in self.layers:
            y = layer.forward(y, memory, *masks, tgt_is_causal, memory_is_causal)
        y = y if self.norm is None else self.norm.forward(y)
        self.save(*masks, (y.shape, y.dtype))
        return y

    def backward(self, dy: np.ndarray) -> Any:
        """(dtgt, dmemory), and None for each mask that was given."""
        masks = _taken(self, dy)
        dmemory: Any = 0
        if self.norm is not None:
            dy = self.norm.backward(dy)
        for layer in reversed(list(self.layers)):
            dy, d, *_ = layer.backward(dy)
            dmemory = dmemory + d
        return dy, dmemory, *(None for mask in masks if mask is not None)


class Transformer(Module):
    """The network of the paper: an encoder of src, and a decoder of tgt that sees the encoder's output.

    Args:
        d_model: E, the width.
        nhead: H, how many heads; a divisor of E.
        num_encoder_layers: how many layers the encoder has.
        num_decoder_layers: how many the decoder has.
        dim_feedforward: the width between the two linear layers of each.
        dropout: probability p of all its dropouts.
        activation: "relu", "gelu" or a Module.
        custom_encoder: a module in the encoder's place.
        custom_decoder: a module in the decoder's place.
        layer_norm_eps: ε of the norms.
        batch_first: whether the batch is the first axis, and not the second.
        norm_first: whether the norms stand in front.
        bias: whether linear layers and norms have b.
        dtype: of the parameters.

    Shape: src (S, N, E) or (S, E), tgt and y (L, N, E) or (L, E), or batch_first (N, S, E) and (N, L, E).
    Masks as in MultiheadAttention. Matrices are drawn by Xavier's formula.

    Raises:
        ValueError: as MultiheadAttention; or another activation.
        TypeError: as MultiheadAttention.

    Example:
        >>> model = Transformer(6, 3, 1, 1, 12)
        >>> model(np.ones((3, 2, 6), np.float32), np.ones((4, 2, 6), np.float32)).shape
        (4, 2, 6)
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Module = "relu",
        custom_encoder: Module | None = None,
        custom_decoder: Module | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        dtype: Any = np.float32,
    ) -> None:
        layer: Any = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps)
        layer += (batch_first, norm_first, bias, dtype)

        def norm() -> LayerNorm:
            return LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)

        self.encoder = custom_encoder or TransformerEncoder(
            TransformerEncoderLayer(*layer), num_encoder_layers, norm()
        )
        self.decoder = custom_decoder or TransformerDecoder(
            TransformerDecoderLayer(*layer), num_decoder_layers, norm()
        )
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first
        for p in self.parameters():
            if len(p.shape) > 1:
                init.xavier_uniform_(p)

    @property
    def custom_encoder(self) -> Module:
        """The encoder: with the decoder all that is left of most arguments, here as in torch."""
        return self.encoder

    @property
    def custom_decoder(self) -> Module:
        """The decoder."""
        return self.decoder

    @staticmethod
    def generate_square_subsequent_mask(sz: int, dtype: Any = np.float32) -> np.ndarray:
        """(sz, sz): 0 where place i may see place j, j ≤ i, and -∞ where that is later."""
        return np.triu(np.full((sz, sz), -np.inf, dtype), k=1)

    def forward(
        self,
        src: np.ndarray,
        tgt: np.ndarray,
        src_mask: Mask = None,
        tgt_mask: Mask = None,
        memory_mask: Mask = None,
        src_key_padding_mask: Mask = None,
        tgt_key_padding_mask: Mask = None,
        memory_key_padding_mask: Mask = None,
        src_is_causal: bool = False,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> np.ndarray:
        """The decoder's answer to tgt, given src."""
        memory = self.encoder.forward(src, src_mask, src_key_padding_mask, src_is_causal)
        masks = (tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask)
        y = self.decoder.forward(tgt, memory, *masks, tgt_is_causal, memory_is_causal)
        given = sum(mask is not None for mask in (*masks, src_mask, src_key_padding_mask))
        self.save(given, (y.shape, y.dtype))
        return y

    def backward(self, dy: np.ndarray) -> Any:
        """(dsrc, dtgt), and None for each mask that was given."""
        (masks,) = _taken(self, dy)
        dtgt, dmemory, *_ = self.decoder.backward(dy)
        dsrc = self.encoder.backward(dmemory)
        return (dsrc[0] if isinstance(dsrc, tuple) else dsrc), dtgt, *[None] * masks
