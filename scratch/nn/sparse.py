"""Embeddings: vectors looked up by index (PyTorch, torch/nn/modules/sparse.py)."""

from typing import Any

import numpy as np

from scratch import functional as F
from scratch.nn import init
from scratch.nn.module import Module, arguments
from scratch.nn.parameter import Parameter

__all__ = ["Embedding", "EmbeddingBag"]


class _Table(Module):
    """Base class of both layers: W, its options, and the checks of indices."""

    num_embeddings: int
    embedding_dim: int
    padding_idx: int | None
    max_norm: float | None
    norm_type: float
    scale_grad_by_freq: bool
    sparse = False

    def _make(self, _weight: np.ndarray | None, requires_grad: bool, dtype: Any, sparse: bool) -> None:
        name, shape, pad = type(self).__name__, (self.num_embeddings, self.embedding_dim), self.padding_idx
        if min(shape) < 0:
            raise ValueError(f"{name}: num_embeddings and embedding_dim are {shape}, expected 0 or more")
        if pad is not None:
            if not -shape[0] <= pad < shape[0]:
                raise ValueError(
                    f"{name}: padding_idx is {pad}, expected a row, {-shape[0]} to {shape[0] - 1}"
                )
            self.padding_idx = pad % shape[0]
        if sparse:
            raise ValueError(f"{name}: sparse is True, expected False; gradients are dense here")
        if _weight is None:
            self.weight = Parameter(np.empty(shape, dtype), requires_grad)
            self.reset_parameters()
        elif _weight.shape != shape:
            raise ValueError(f"{name}: _weight has shape {_weight.shape}, expected {shape}")
        else:
            self.weight = Parameter(_weight, requires_grad)

    def reset_parameters(self) -> None:
        """Draw W anew, and set the row of padding_idx to 0."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            self.weight.data[self.padding_idx] = 0

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return arguments(self)

    def _check_indices(self, input: Any) -> None:
        if not isinstance(input, np.ndarray | np.generic) or input.dtype.kind not in "iu":
            kind = input.dtype if isinstance(input, np.ndarray | np.generic) else f"a {type(input).__name__}"
            raise TypeError(f"{self}: input is {kind}, expected an array of integers")
        if input.size and (input.min() < 0 or input.max() >= self.num_embeddings):
            wrong = input.min() if input.min() < 0 else input.max()
            raise IndexError(
                f"{self}: the input holds index {wrong}, expected 0 to {self.num_embeddings - 1}"
            )

    def _check_max_norm(self, max_norm: float | None) -> None:
        if max_norm is not None and not max_norm >= 0:
            raise ValueError(f"{type(self).__name__}: max_norm is {max_norm}, expected 0 or more")

    def _shorten(self, input: np.ndarray, max_norm: float) -> None:
        """Cut the rows of W that will be looked up and are longer than max_norm, in place."""
        W, used = self.weight.data, np.unique(input)
        size, _ = F.vector_norm(W[used].real, self.norm_type)
        long = size > max_norm
        # As torch: in double, and with 1e-7, so that rounding leaves no row above max_norm.
        factor = max_norm / (np.asarray(size[long], np.result_type(size, np.float64)) + 1e-7)
        W[used[long]] *= factor.astype(size.dtype)[:, None]


class Embedding(_Table):
    r"""A table of vectors, $y_n = W_{x_n}$ for integers x: F.embedding with its W, drawn as torch draws it.

    Three options make dW something else than the derivative of what forward computes, and are meant to:
    padding_idx, scale_grad_by_freq, and max_norm, of which nothing is differentiated.

    Args:
        num_embeddings: V, how many rows the table has.
        embedding_dim: D, the size of a row.
        padding_idx: a row that starts as 0 and gets no gradient; a negative one counts from the end.
        max_norm: rows that are looked up and longer are first cut to this norm, in place.
        norm_type: p of that norm.
        scale_grad_by_freq: whether the gradient of a row is divided by how often the row was looked up.
        sparse: False; gradients are dense here.
        _weight: W, if it is not to be drawn; shared, not copied.
        _freeze: whether W is not to be learned.
        dtype: of W.

    Shape: x (\*), integers from 0 to V - 1; y (\*, D); W (V, D), drawn from N(0, 1).

    Raises:
        ValueError: padding_idx is no row, a size is below 0, sparse is True, or _weight has another shape.
        TypeError: x is not an array of integers.
        IndexError: x holds a number that is no row.

    Example:
        >>> table = Embedding(5, 2)
        >>> table(np.array([[4, 1, 1]])).shape
        (1, 3, 2)
        >>> table.backward(np.ones((1, 3, 2), np.float32))
        >>> table.weight.grad[:, 0]
        array([0., 2., 0., 0., 1.], dtype=float32)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: np.ndarray | None = None,
        _freeze: bool = False,
        dtype: Any = np.float32,
    ) -> None:
        self._check_max_norm(max_norm)
        self.num_embeddings, self.embedding_dim, self.padding_idx = num_embeddings, embedding_dim, padding_idx
        self.max_norm, self.norm_type, self.scale_grad_by_freq = max_norm, norm_type, scale_grad_by_freq
        self._make(_weight, not _freeze, dtype, sparse)

    @classmethod
    def from_pretrained(
        cls, embeddings: np.ndarray, freeze: bool = True, padding_idx: int | None = None, **options: Any
    ) -> "Embedding":
        """The layer with this table, by default not to be learned; the other options are the constructor's.

        Raises:
            ValueError: embeddings has not two axes.
        """
        return cls(*_table_shape(cls, embeddings), padding_idx, _weight=embeddings, _freeze=freeze, **options)

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = W[x]."""
        self._check_indices(input)
        if self.max_norm is not None:
            self._shorten(input, self.max_norm)
        options = self.padding_idx, self.scale_grad_by_freq
        return self.run(F.embedding, F.embedding_backward, (input,), (self.weight,), *options)


class EmbeddingBag(_Table):
    r"""Sums, means or maxima of bags of rows: F.embedding_bag with its W, drawn as torch draws it.

    Indices that are padding_idx do not count, as if they were not there. (With scale_grad_by_freq, torch 2.13
    on a CPU divides by the frequency of another row where frequencies differ; here each is divided by its
    own.)

    Args:
        num_embeddings: V, how many rows the table has.
        embedding_dim: D, the size of a row.
        max_norm: rows that are looked up and longer are first cut to this norm, in place.
        norm_type: p of that norm.
        scale_grad_by_freq: whether the gradient of a row is divided by how often the row was looked up.
        mode: "sum", "mean" or "max".
        sparse: False; gradients are dense here.
        _weight: W, if it is not to be drawn; shared, not copied.
        include_last_offset: whether offsets ends with one more, the length of x.
        padding_idx: a row that starts as 0 and is left out of every bag.
        dtype: of W.

    Shape: x (B, K), bags of K; or (n,) with offsets (B,), where the bags begin; a, per_sample_weights, as x;
    y (B, D); W (V, D), drawn from N(0, 1). The gradients are (None, None, da).

    Raises:
        ValueError: mode is none of these; scale_grad_by_freq with "max", or per_sample_weights with another
            mode than "sum"; x, offsets and per_sample_weights do not fit; or as Embedding.
        TypeError: x or offsets is not an array of integers, or per_sample_weights not an array of W's dtype.
        IndexError: x holds a number that is no row.

    Example:
        >>> bags = EmbeddingBag(5, 2, mode="sum")
        >>> bags(np.array([4, 1, 1]), np.array([0, 2])).shape
        (2, 2)
        >>> bags.backward(np.ones((2, 2), np.float32))
        (None, None)
        >>> bags.weight.grad[:, 0]
        array([0., 2., 0., 0., 1.], dtype=float32)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: np.ndarray | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        dtype: Any = np.float32,
    ) -> None:
        if mode not in ("sum", "mean", "max"):
            raise ValueError(f"EmbeddingBag: mode is {mode!r}, expected 'sum', 'mean' or 'max'")
        if mode == "max" and scale_grad_by_freq:
            raise ValueError("EmbeddingBag: scale_grad_by_freq is True, expected False with mode 'max'")
        self.num_embeddings, self.embedding_dim, self.padding_idx = num_embeddings, embedding_dim, padding_idx
        self._check_max_norm(max_norm)
        self.max_norm, self.norm_type, self.scale_grad_by_freq = max_norm, norm_type, scale_grad_by_freq
        self.mode, self.include_last_offset = mode, include_last_offset
        self._make(_weight, True, dtype, sparse)

    @classmethod
    def from_pretrained(cls, embeddings: np.ndarray, freeze: bool = True, **options: Any) -> "EmbeddingBag":
        """The layer with this table, by default not to be learned; the other options are the constructor's.

        Raises:
            ValueError: embeddings has not two axes.
        """
        module = cls(*_table_shape(cls, embeddings), _weight=embeddings, **options)
        module.weight.requires_grad = not freeze
        return module

    def forward(
        self,
        input: np.ndarray,
        offsets: np.ndarray | None = None,
        per_sample_weights: np.ndarray | None = None,
    ) -> np.ndarray:
        """y = Σ a W[x] / Z, or the largest W[x], for each bag."""
        self.refuse_mask(input)
        a, given = per_sample_weights, 1 + (offsets is not None)
        self._check_indices(input)
        offsets = self._offsets(input, offsets)
        if a is not None:
            given = 3
            self._check_weights(input, a)
            a = a.reshape(-1)
        if self.max_norm is not None:
            self._shorten(input, self.max_norm)
        options = self.mode, self.padding_idx, self.scale_grad_by_freq
        y, saved = F.embedding_bag(input.reshape(-1), self.weight.data, offsets, a, *options)
        self.save(saved, y.shape, input.shape, given)
        return y

    def backward(self, dy: np.ndarray) -> Any:
        """da, and None for input and offsets, which have no gradient; as many as inputs were given."""
        saved, shape, input_shape, given = taken = self.saved()
        try:
            self.check_grad(dy, shape, self.weight.dtype)
        except (TypeError, ValueError):
            self.put_back(taken)
            raise
        _, dW, _, da = F.embedding_bag_backward(dy, saved)
        self.weight.add_grad(dW)
        if da is not None:
            da = da.reshape(input_shape)
        return (None, None, da)[:given] if given > 1 else None

    def _offsets(self, input: np.ndarray, offsets: np.ndarray | None) -> np.ndarray:
        """Where the bags begin in the flat input."""
        if input.ndim == 2 and offsets is None:
            return np.arange(len(input)) * input.shape[1]
        if offsets is not None and (not isinstance(offsets, np.ndarray) or offsets.dtype.kind not in "iu"):
            kind = offsets.dtype if isinstance(offsets, np.ndarray) else f"a {type(offsets).__name__}"
            raise TypeError(f"{self}: offsets is {kind}, expected an array of integers")
        if input.ndim != 1 or offsets is None or offsets.ndim != 1:
            given = f"input has shape {input.shape}, offsets {None if offsets is None else offsets.shape}"
            raise ValueError(f"{self}: {given}; expected (B, K) and None, or (n,) and (B,)")
        starts = offsets.astype(np.int64)
        ends = starts if self.include_last_offset else np.append(starts, input.size)
        if not ends.size or ends[0] != 0 or ends[-1] != input.size or np.any(np.diff(ends) < 0):
            last = f"{'' if self.include_last_offset else 'at most '}{input.size}"
            raise ValueError(
                f"{self}: offsets is {offsets.tolist()}, expected 0, …, {last}, never descending"
            )
        return ends[:-1]

    def _check_weights(self, input: np.ndarray, a: Any) -> None:
        if self.mode != "sum":
            raise ValueError(f"{self}: per_sample_weights is given, which goes with mode 'sum' alone")
        if not isinstance(a, np.ndarray):
            raise TypeError(f"{self}: per_sample_weights is a {type(a).__name__}, expected an array")
        if a.shape != input.shape:
            raise ValueError(
                f"{self}: per_sample_weights has shape {a.shape}, expected the input's, {input.shape}"
            )
        if a.dtype != self.weight.dtype:
            raise TypeError(f"{self}: per_sample_weights is {a.dtype}, the weight {self.weight.dtype}")


def _table_shape(cls: type, embeddings: np.ndarray) -> tuple[int, int]:
    if embeddings.ndim != 2:
        raise ValueError(f"{cls.__name__}: embeddings has shape {embeddings.shape}, expected (V, D)")
    return embeddings.shape
