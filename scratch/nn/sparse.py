r"""Embeddings: vectors looked up by number (PyTorch, torch/nn/modules/sparse.py).

A look-up is a product with one-hot rows, $y_n = e_{x_n}^\top W$, so each row of W gets the gradients of all
places where it was looked up: $dW_i = \sum_{n:\, x_n = i} dy_n$. The indices themselves have no gradient.

Three options make dW something else than the derivative of what forward computes, and are meant to:

* padding_idx: this row gets no gradient, so it stays what it is, at first 0.
* scale_grad_by_freq: the gradient of a row is divided by how often the row was looked up.
* max_norm: before the look-up, a row that is longer is cut to this norm, in place; nothing of that is
  differentiated.
"""

from typing import Any

import numpy as np

from scratch.nn import init
from scratch.nn.distance import p_norm
from scratch.nn.module import Module, arguments
from scratch.nn.parameter import Parameter

__all__ = ["Embedding", "EmbeddingBag"]


class _Table(Module):
    """Base class of both layers: W, its options, and the sum of gradients over its rows."""

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
            raise ValueError(f"{name}: num_embeddings and embedding_dim are {shape}, wanted 0 or more")
        if pad is not None:
            if not -shape[0] <= pad < shape[0]:
                raise ValueError(f"{name}: padding_idx is {pad}, wanted a row, {-shape[0]} to {shape[0] - 1}")
            self.padding_idx = pad % shape[0]
        if sparse:
            raise ValueError(f"{name}: sparse is True, wanted False; gradients are dense here")
        if _weight is None:
            self.weight = Parameter(np.empty(shape, dtype), requires_grad)
            self.reset_parameters()
        elif _weight.shape != shape:
            raise ValueError(f"{name}: _weight has shape {_weight.shape}, wanted {shape}")
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

    def _look_up(self, input: np.ndarray) -> np.ndarray:
        """W[input], after rows that are too long were cut."""
        if input.dtype.kind not in "iu":
            raise TypeError(f"{self}: input is {input.dtype}, wanted integers")
        if np.any(wrong := (input < 0) | (input >= self.num_embeddings)):
            raise IndexError(
                f"{self}: the input holds index {input[wrong][0]}, wanted 0 to {self.num_embeddings - 1}"
            )
        W = self.weight.data
        if self.max_norm is not None:
            used = np.unique(input)
            size = p_norm(W[used].real, self.norm_type)[0]
            long = size > self.max_norm
            # As torch: in double, and with 1e-7, so that rounding leaves no row above max_norm.
            factor = self.max_norm / (np.asarray(size[long], np.result_type(size, np.float64)) + 1e-7)
            W[used[long]] *= factor.astype(size.dtype)[:, None]
        return np.take(W, input, axis=0)

    def _accumulate(self, dy: np.ndarray, rows: np.ndarray) -> None:
        """dW[rows[n]] += dy[n], for all n."""
        if self.padding_idx is not None:
            kept = rows != self.padding_idx
            dy, rows = dy[kept], rows[kept]
        if self.scale_grad_by_freq:
            dy = dy / np.bincount(rows)[rows, None].astype(dy.dtype)
        self.weight.accumulate(_sum_by_row, self.weight.shape, dy, rows)


def _sum_by_row(
    shape: tuple[int, ...], dy: np.ndarray, rows: np.ndarray, out: np.ndarray | None = None
) -> np.ndarray:
    """Zeros of this shape (V, D), to whose row rows[n] dy[n] is added: sorted by row, each row is one sum."""
    out = np.empty_like(dy, shape=shape) if out is None else out
    out[...] = 0
    if rows.size:
        order = np.argsort(rows, kind="stable")
        ordered = rows[order]
        starts = np.flatnonzero(np.diff(ordered, prepend=-1))
        out[ordered[starts]] = np.add.reduceat(dy[order], starts, axis=0)
    return out


class Embedding(_Table):
    r"""A table of vectors: $y_n = W_{x_n}$ for integers x, so $dW_i = \sum_{n:\, x_n = i} dy_n$.

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
        TypeError: x is not of integers.
        IndexError: x holds a number that is no row.
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
        y = self._look_up(input)
        self.save(input, y.shape)
        return y

    def backward(self, dy: np.ndarray, needs_input_grad: bool = True) -> None:
        """dW[i] = Σ dy over the places of i; x, of integers, has no gradient."""
        input, shape = self.saved()
        self.check_grad(dy, shape, self.weight.dtype)
        rows = input.reshape(-1)
        self._accumulate(dy.reshape(rows.size, self.embedding_dim), rows)


class EmbeddingBag(_Table):
    r"""Sums, means or maxima of bags of rows: as Embedding and then a sum along the bag, but in one.

    With the indices $x_k$ of bag n, k from o_n to o_{n+1} - 1, and their weights $a_k$ (1 if there are none)

    $$y_n = \frac{1}{Z_n} \sum_k a_k W_{x_k}, \qquad dW_i = \sum_{k:\, x_k = i} \frac{a_k}{Z_n} dy_n, \qquad
      da_k = W_{x_k} \cdot dy_n,$$

    Z being 1 (mode "sum") or the number of indices in the bag ("mean"). For "max", $y_{nd}$ is the largest
    $W_{x_k d}$, and the first that is takes all of $dy_{nd}$. An empty bag gives 0. Indices that are
    padding_idx do not count, as if they were not there. (With scale_grad_by_freq, torch 2.13 on a CPU divides
    by the frequency of another row where frequencies differ; here each is divided by its own.)

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
        TypeError: x or offsets are not of integers, or per_sample_weights of another dtype than W.
        IndexError: x holds a number that is no row.
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
            raise ValueError(f"EmbeddingBag: mode is {mode!r}, wanted 'sum', 'mean' or 'max'")
        if mode == "max" and scale_grad_by_freq:
            raise ValueError("EmbeddingBag: scale_grad_by_freq is True, wanted False with mode 'max'")
        self.num_embeddings, self.embedding_dim, self.padding_idx = num_embeddings, embedding_dim, padding_idx
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
        a, sizes, indices = per_sample_weights, self._bag_sizes(input, offsets), input.reshape(-1)
        self._check_weights(input, a)
        rows, bags = self._look_up(indices), np.repeat(np.arange(sizes.size), sizes)
        kept = (
            np.arange(indices.size)
            if self.padding_idx is None
            else np.flatnonzero(indices != self.padding_idx)
        )
        rows, bags = rows[kept], bags[kept]
        sizes = np.bincount(bags, minlength=sizes.size)
        filled, first = np.flatnonzero(sizes), None
        starts = (np.cumsum(sizes) - sizes)[filled]
        y = np.zeros_like(rows, shape=(sizes.size, self.embedding_dim))
        if self.mode == "max":
            first = _first_largest(rows, starts, sizes[filled])
            y[filled] = np.take_along_axis(rows, first, axis=0)
        elif filled.size:
            weighted = rows if a is None else rows * a.reshape(-1)[kept, None]
            y[filled] = np.add.reduceat(weighted, starts, axis=0)
        Z = np.maximum(sizes if self.mode == "mean" else 1, 1)[..., None].astype(y.real.dtype)
        y /= Z
        given = 3 if a is not None else 2 if offsets is not None else 1
        self.save(input, a, rows, kept, bags, Z, filled, first, y.shape, given)
        return y

    def backward(self, dy: np.ndarray, needs_input_grad: bool = True) -> Any:
        """dW[i] = Σ a dy / Z over the places of i, da = W[x] · dy; input and offsets have no gradient."""
        input, a, rows, kept, bags, Z, filled, first, shape, given = self.saved()
        self.check_grad(dy, shape, self.weight.dtype)
        if first is None:
            drows = (dy / Z)[bags]
        else:
            drows = np.zeros_like(rows)
            np.put_along_axis(drows, first, dy[filled], axis=0)
        da = None
        if a is not None:
            da = np.zeros_like(a, shape=input.size)
            da[kept] = np.einsum("nd,nd->n", rows, drows)
            da, drows = da.reshape(input.shape), drows * a.reshape(-1)[kept, None]
        self._accumulate(drows, input.reshape(-1)[kept])
        return (None, None, da)[:given] if given > 1 else None

    def _bag_sizes(self, input: np.ndarray, offsets: np.ndarray | None) -> np.ndarray:
        if input.ndim == 2 and offsets is None:
            return np.full(len(input), input.shape[1])
        if input.ndim != 1 or offsets is None or offsets.ndim != 1:
            given = f"input has shape {input.shape}, offsets {None if offsets is None else offsets.shape}"
            raise ValueError(f"{self}: {given}; wanted (B, K) and None, or (n,) and (B,)")
        if offsets.dtype.kind not in "iu":
            raise TypeError(f"{self}: offsets is {offsets.dtype}, wanted integers")
        ends = offsets.astype(np.int64) if self.include_last_offset else np.append(offsets, input.size)
        sizes = np.diff(ends.astype(np.int64))
        if not ends.size or ends[0] != 0 or ends[-1] != input.size or np.any(sizes < 0):
            last = f"{'' if self.include_last_offset else 'at most '}{input.size}"
            raise ValueError(f"{self}: offsets is {offsets.tolist()}, wanted 0, …, {last}, never descending")
        return sizes

    def _check_weights(self, input: np.ndarray, a: np.ndarray | None) -> None:
        if a is None:
            return
        if self.mode != "sum":
            raise ValueError(f"{self}: per_sample_weights is given, which goes with mode 'sum' alone")
        if a.shape != input.shape:
            raise ValueError(
                f"{self}: per_sample_weights has shape {a.shape}, wanted the input's, {input.shape}"
            )
        if a.dtype != self.weight.dtype:
            raise TypeError(f"{self}: per_sample_weights is {a.dtype}, the weight {self.weight.dtype}")


def _first_largest(rows: np.ndarray, starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """For each bag of rows and each column: the number of the first row that has the largest entry."""
    if not starts.size:
        return np.zeros((0, rows.shape[1]), np.int64)
    largest = np.maximum.reduceat(rows.real, starts, axis=0)
    less = rows.real < np.repeat(largest, sizes, axis=0)
    numbers = np.where(less, len(rows), np.arange(len(rows))[:, None])
    return np.minimum.reduceat(numbers, starts, axis=0)


def _table_shape(cls: type, embeddings: np.ndarray) -> tuple[int, int]:
    if embeddings.ndim != 2:
        raise ValueError(f"{cls.__name__}: embeddings has shape {embeddings.shape}, wanted (V, D)")
    return embeddings.shape
