"""Windows of an image laid out as columns, and added up again."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from scratch.functional.padding import pad

__all__ = ["fold", "fold_backward", "places", "under", "unfold", "unfold_backward"]


def unfold(
    x: np.ndarray,
    kernel: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[int],
    stride: Sequence[int],
) -> tuple[np.ndarray, Any]:
    r"""$y_{(c j),\, t} = x_{c,\, t s + j d - p}$: column t holds the window at place t (the book's im2col).

    j goes through the entries of the window, t through its places, row by row if there are several axes; s is
    the stride, d the dilation, p the padding with zeros. A number of x that lies in several windows gets the
    sum of their gradients, $dx_{c i} = \sum_{t s + j d - p = i} dy_{(c j),\, t}$ (the book's col2im).

    Args:
        x: (\*, C, L), (\*, C, H, W), … .
        kernel: how many entries the window has along each axis; so the others.
        dilation: d, how far its entries are apart.
        padding: p, how many zeros are put at either end.
        stride: s, how far apart the places are.

    Returns:
        y (\*, C·k, T), with k entries and T places in all, and what unfold_backward needs. Along one axis the
        places are ⌊(L + 2p - d(k - 1) - 1)/s⌋ + 1.

    Source: Chellapilla, Puri and Simard 2006.

    Example:
        >>> y, saved = unfold(np.array([[1.0, 2.0, 3.0]]), (2,), (1,), (0,), (1,))
        >>> y, unfold_backward(np.ones((2, 2)), saved)
        (array([[1., 2.],
               [2., 3.]]), array([[1., 2., 1.]]))
    """
    n = len(kernel)
    T = places(x.shape[-n:], kernel, dilation, padding, stride)
    padded, _ = pad(x, [p for p in reversed(padding) for _ in "lr"])
    y = np.empty_like(x, shape=(*x.shape[:-n], *kernel, *T))
    for j in np.ndindex(*kernel):
        y[(..., *j, *[slice(None)] * n)] = padded[(..., *under(j, dilation, stride, T))]
    *lead, C = x.shape[:-n]
    y = y.reshape(*lead, C * math.prod(kernel), math.prod(T))
    return y, (x.shape, kernel, dilation, padding, stride)


def unfold_backward(dy: np.ndarray, saved: Any) -> np.ndarray:
    """dx = the sum of dy over the entries and places that show the same number; derived in unfold."""
    shape, kernel, dilation, padding, stride = saved
    n = len(kernel)
    T = places(shape[-n:], kernel, dilation, padding, stride)
    dy = dy.reshape(*shape[:-n], *kernel, *T)
    sizes = [L + 2 * p for L, p in zip(shape[-n:], padding, strict=True)]
    padded = np.zeros_like(dy, shape=(*shape[:-n], *sizes))
    for j in np.ndindex(*kernel):
        padded[(..., *under(j, dilation, stride, T))] += dy[(..., *j, *[slice(None)] * n)]
    dx, _ = pad(padded, [-p for p in reversed(padding) for _ in "lr"])
    return dx


def fold(
    x: np.ndarray,
    output_size: Sequence[int],
    kernel: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[int],
    stride: Sequence[int],
) -> tuple[np.ndarray, Any]:
    r"""$y_{c i} = \sum_{t s + j d - p = i} x_{(c j),\, t}$: columns added up where their windows overlap.

    It is the transpose of unfold: y is what unfold calls dx, and so is dx what unfold calls y,
    $dx_{(c j),\, t} = dy_{c,\, t s + j d - p}$.

    Args:
        x: (\*, C·k, T), with k entries of the window and T places in all.
        output_size: (L,), (H, W), … .
        kernel: how many entries the window has along each axis; so the others.
        dilation: d, how far its entries are apart.
        padding: p, how many numbers are cut away at either end of the sum.
        stride: s, how far apart the places are.

    Returns:
        y (\*, C, \*output_size), and what fold_backward needs.

    Example:
        >>> y, saved = fold(np.array([[1.0, 2.0], [3.0, 4.0]]), (3,), (2,), (1,), (0,), (1,))
        >>> y, fold_backward(y, saved)
        (array([[1., 5., 4.]]), array([[1., 5.],
               [5., 4.]]))
    """
    channels = x.shape[-2] // math.prod(kernel)
    saved = ((*x.shape[:-2], channels, *output_size), kernel, dilation, padding, stride)
    return unfold_backward(x, saved), saved


def fold_backward(dy: np.ndarray, saved: Any) -> np.ndarray:
    """dx = the windows of dy; derived in fold."""
    _, *window = saved
    dx, _ = unfold(dy, *window)
    return dx


def places(
    sizes: Sequence[int],
    kernel: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[int],
    stride: Sequence[int],
) -> tuple[int, ...]:
    """T, the number of places that the window has along each axis."""
    each_axis = zip(sizes, kernel, dilation, padding, stride, strict=True)
    return tuple((L + 2 * p - d * (k - 1) - 1) // s + 1 for L, k, d, p, s in each_axis)


def under(
    j: Sequence[int], dilation: Sequence[int], stride: Sequence[int], T: Sequence[int]
) -> tuple[Any, ...]:
    """The index of what lies under entry j of the window at all places, t s + j d along each axis."""
    each_axis = zip(j, dilation, stride, T, strict=True)
    return tuple(slice(e * d, e * d + (n - 1) * s + 1, s) for e, d, s, n in each_axis)
