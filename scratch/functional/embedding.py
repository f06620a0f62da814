"""Tables of vectors, looked up by index."""

from typing import Any

import numpy as np

__all__ = ["embedding", "embedding_backward", "embedding_bag", "embedding_bag_backward"]


def embedding(
    x: np.ndarray, W: np.ndarray, padding_idx: int | None = None, scale_grad_by_freq: bool = False
) -> tuple[np.ndarray, Any]:
    r"""$y_n = W_{x_n}$: a vector for each index.

    A look-up is a product with one-hot rows, $y_n = e_{x_n}^\top W$, so each row of W gets the gradients of
    all places where it was looked up:

    $$dW_i = \sum_{n:\, x_n = i} dy_n.$$

    The indices have no gradient. Two options make dW something else than the derivative, and are meant to.

    Args:
        x: (\*), integers from 0 to V - 1.
        W: (V, D).
        padding_idx: a row whose gradient is 0 all the same, so that it stays what it is.
        scale_grad_by_freq: whether the gradient of a row is divided by how often the row was looked up.

    Returns:
        y (\*, D), and what embedding_backward needs.

    Example:
        >>> y, saved = embedding(np.array([1, 1]), np.array([[1.0], [2.0]]))
        >>> dx, dW = embedding_backward(np.array([[3.0], [4.0]]), saved)
        >>> y.T, dx, dW.T
        (array([[2., 2.]]), None, array([[0., 7.]]))
    """
    y = W.take(x, axis=0)
    return y, (x, W.shape, padding_idx, scale_grad_by_freq)


def embedding_backward(dy: np.ndarray, saved: Any) -> tuple[None, np.ndarray]:
    """dW_i = Σ dy_n over the n where x_n = i; derived in embedding."""
    x, (V, D), padding_idx, scale_grad_by_freq = saved
    x, dy = x.reshape(-1), dy.reshape(x.size, D)
    if padding_idx is not None:
        x, dy = x[x != padding_idx], dy[x != padding_idx]
    if scale_grad_by_freq:
        dy = dy / np.bincount(x)[x, None].astype(dy.dtype)
    dW = _sum_by_index(dy, x, V)
    return None, dW


def _sum_by_index(values: np.ndarray, x: np.ndarray, count: int) -> np.ndarray:
    """Sums (count, D), the i-th of the values (n, D) where x (n,) is i: sorted by x, each is one run."""
    sums = np.zeros_like(values, shape=(count, values.shape[1]))
    if x.size:
        order = np.argsort(x, kind="stable")
        starts = np.flatnonzero(np.diff(x[order], prepend=-1))
        sums[x[order][starts]] = np.add.reduceat(values[order], starts, axis=0)
    return sums


def embedding_bag(
    x: np.ndarray,
    W: np.ndarray,
    offsets: np.ndarray,
    a: np.ndarray | None = None,
    mode: str = "mean",
    padding_idx: int | None = None,
    scale_grad_by_freq: bool = False,
) -> tuple[np.ndarray, Any]:
    r"""Sums, means or maxima of bags of rows: as embedding and then a sum along the bag, but in one.

    Bag n holds the indices $x_k$ with k from $o_n$ to $o_{n+1} - 1$, and their weights $a_k$ (1 if there are
    none):

    $$y_n = \frac{1}{Z_n} \sum_k a_k W_{x_k}, \qquad dW_i = \sum_{k:\, x_k = i} \frac{a_k}{Z_n} dy_n, \qquad
      da_k = \frac{1}{Z_n} W_{x_k} \cdot dy_n,$$

    Z being 1 (mode "sum") or the number of indices in the bag ("mean"). For "max", $y_{nd}$ is the largest
    $W_{x_k d}$, and the first that is takes all of $dy_{nd}$. An empty bag gives 0.

    Args:
        x: (n,), integers from 0 to V - 1.
        W: (V, D).
        offsets: (B,), where the bags begin: 0 first, never descending.
        a: (n,), or None; with mode "sum".
        mode: "sum", "mean" or "max".
        padding_idx: an index that does not count, as if it were not there.
        scale_grad_by_freq: whether the gradient of a row is divided by how often the row was looked up.

    Returns:
        y (B, D), and what embedding_bag_backward needs.

    Example:
        >>> W, a = np.array([[1.0], [2.0]]), np.array([3.0, 4.0])
        >>> y, saved = embedding_bag(np.array([0, 1]), W, np.array([0]), a, "sum")
        >>> dx, dW, doffsets, da = embedding_bag_backward(np.array([[1.0]]), saved)
        >>> y, dW.T, da
        (array([[11.]]), array([[3., 4.]]), array([1., 2.]))
    """
    n, B = x.size, len(offsets)
    bag = np.repeat(np.arange(B), np.diff(offsets, append=n))
    kept = np.arange(n) if padding_idx is None else np.flatnonzero(x != padding_idx)
    x, bag = x[kept], bag[kept]
    rows = W[x]
    Z = first = None
    if mode == "max":
        first = _first_largest(rows, bag)
        y = np.zeros_like(W, shape=(B, W.shape[1]))
        y[np.unique(bag)] = np.take_along_axis(rows, first, axis=0)
    else:
        Z = np.maximum(np.bincount(bag, minlength=B) if mode == "mean" else np.ones(B), 1)
        Z = Z[:, None].astype(W.real.dtype)
        y = _sum_by_index(rows if a is None else a[kept, None] * rows, bag, B) / Z
    return y, (x, W.shape, a, rows, bag, kept, Z, first, n, scale_grad_by_freq)


def _first_largest(rows: np.ndarray, bag: np.ndarray) -> np.ndarray:
    """For each bag that is not empty and each column: the first of the rows with the largest entry."""
    _, starts, sizes = np.unique(bag, return_index=True, return_counts=True)
    if not starts.size:
        return np.zeros((0, rows.shape[1]), np.int64)
    largest = np.maximum.reduceat(rows.real, starts, axis=0)
    less = rows.real < np.repeat(largest, sizes, axis=0)
    numbers = np.where(less, len(rows), np.arange(len(rows))[:, None])
    return np.minimum.reduceat(numbers, starts, axis=0)


def embedding_bag_backward(dy: np.ndarray, saved: Any) -> tuple[None, np.ndarray, None, np.ndarray | None]:
    """dW_i = Σ a_k dy_n / Z_n over the k where x_k = i, da_k = W_xₖ · dy_n / Z_n; see embedding_bag."""
    x, (V, _), a, rows, bag, kept, Z, first, n, scale_grad_by_freq = saved
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
    dW = _sum_by_index(drows, x, V)
    return None, dW, None, da
