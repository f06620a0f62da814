"""Convolutions, along any number of axes."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from scratch.functional.fold import fold, fold_backward, places, unfold, unfold_backward
from scratch.functional.padding import pad, pad_backward

__all__ = ["conv_transpose", "conv_transpose_backward", "convolution", "convolution_backward", "in_groups"]


def convolution(
    x: np.ndarray,
    W: np.ndarray,
    b: np.ndarray | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int = 1,
    mode: str = "constant",
) -> tuple[np.ndarray, Any]:
    r"""$y_{n o t} = b_o + \sum_{c, j} W_{o c j}\; x_{n c,\, t s + j d}$: a window of weights slides over x.

    This convolution is a correlation: at each place t the numbers under the window are multiplied
    by the weights and summed, c over the channels, j over the k entries of the window; s is the stride, d the
    dilation, and x was padded before. Laid out as columns, $X_{(c j), t} = x_{c,\, t s + j d}$ (unfold, the
    book's im2col), that is one product of matrices for each sample, and so are its derivatives:

    $$y = W X + b, \qquad dW = \sum_n dy\, X^\top, \qquad dX = W^\top dy, \qquad
      db_o = \sum_{n t} dy_{n o t},$$

    and dx is the sum of dX over the places at which a number of x stands (unfold_backward, the book's
    col2im).

    With several groups channels and outputs are cut into as many parts, which have nothing to do with each
    other.

    Args:
        x: (\*, C, L), (\*, C, H, W), … ; leading axes count the samples.
        W: (O, C/groups, \*kernel).
        b: (O,), or None.
        stride: s, along each axis.
        padding: how many numbers are put at either end of x, as pad takes it: of the last axis first.
        dilation: d, along each axis.
        groups: a divisor of C and O.
        mode: what they are: "constant" (zeros), "reflect", "replicate" or "circular".

    Returns:
        y (\*, O, \*places), and what convolution_backward needs.

    Source: LeCun et al. 1989; as products of matrices: Chellapilla, Puri and Simard 2006; the arithmetic of
    all sizes: Dumoulin and Visin 2016.

    Example:
        >>> x, W = np.array([[[1.0, 2.0, 3.0]]]), np.array([[[1.0, 10.0]]])
        >>> y, saved = convolution(x, W, None, (1,), (0, 0), (1,))
        >>> y
        array([[[21., 32.]]])
        >>> dx, dW, db = convolution_backward(np.ones((1, 1, 2)), saved)
        >>> dx, dW
        (array([[[ 1., 11., 10.]]]), array([[[3., 5.]]]))
    """
    x, padded = pad(x, padding, mode)
    n, kernel = len(stride), W.shape[2:]
    X, windows = unfold(x, kernel, dilation, (0,) * n, stride)
    X = in_groups(X, groups)
    y = in_groups(W.reshape(len(W), -1), groups) @ X
    y = y.reshape(*x.shape[: -n - 1], len(W), *places(x.shape[-n:], kernel, dilation, (0,) * n, stride))
    if b is not None:
        y += b.reshape(-1, *[1] * n)
    return y, (X, W, b, groups, windows, padded)


def convolution_backward(dy: np.ndarray, saved: Any, need_dx: bool = True) -> tuple[Any, ...]:
    """dW = Σ dy Xᵀ, dX = Wᵀ dy, dx = the sum of dX over the places, db = Σ dy; derived in convolution."""
    X, W, b, groups, windows, padded = saved
    samples = tuple(range(X.ndim - 3))
    dy = in_groups(dy.reshape(*X.shape[:-3], len(W), X.shape[-1]), groups)
    dW = (dy @ X.swapaxes(-1, -2)).sum(axis=samples).reshape(W.shape)
    db = dy.sum(axis=(*samples, -1)).reshape(len(W)) if b is not None else None
    if not need_dx:
        return None, dW, db
    dX = in_groups(W.reshape(len(W), -1), groups).swapaxes(-1, -2) @ dy
    dx = pad_backward(unfold_backward(dX, windows), padded)
    return dx, dW, db


def conv_transpose(
    x: np.ndarray,
    W: np.ndarray,
    b: np.ndarray | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int = 1,
) -> tuple[np.ndarray, Any]:
    r"""$y_{n o i} = b_o + \sum_{c} \sum_{t s + j d = i} W_{c o j}\, x_{n c t}$: the transpose of convolution.

    Each number of x is spread out over a window of y, times the weights. So y is what the convolution with
    the same arguments calls dx, and dx what it calls y:

    $$Y = W^\top x, \qquad dx = W\, dY, \qquad dW = \sum_n x\, dY^\top, \qquad db_o = \sum_{n i} dy_{n o i};$$

    y is the sum of the columns Y over the numbers at which they stand (fold), dY has the windows of dy as
    columns (fold_backward), and what the convolution pads is here cut away.

    Args:
        x: (\*, C, L), (\*, C, H, W), … ; leading axes count the samples.
        W: (C, O/groups, \*kernel).
        b: (O,), or None.
        stride: s, along each axis.
        padding: how many numbers are cut away at either end of y, in the order of pad: at the two ends of the
            last axis first. Less than 0 puts zeros there (torch's output_padding, at the second end).
        dilation: d, along each axis.
        groups: a divisor of C and O.

    Returns:
        y (\*, O, …), of (L - 1)s + d(k - 1) + 1 numbers along an axis, less the padding, and what
        conv_transpose_backward needs.

    Source: Dumoulin and Visin 2016.

    Example:
        >>> x, W = np.array([[[1.0, 2.0]]]), np.array([[[1.0, 10.0]]])
        >>> y, saved = conv_transpose(x, W, None, (1,), (0, 0), (1,))
        >>> y
        array([[[ 1., 12., 20.]]])
        >>> dx, dW, db = conv_transpose_backward(np.ones((1, 1, 3)), saved)
        >>> dx, dW
        (array([[[11., 11.]]]), array([[[3., 3.]]]))
    """
    n, kernel = len(stride), W.shape[2:]
    sizes = [
        (T - 1) * s + d * (k - 1) + 1
        for T, s, d, k in zip(x.shape[-n:], stride, dilation, kernel, strict=True)
    ]
    X = in_groups(x.reshape(*x.shape[:-n], math.prod(x.shape[-n:])), groups)
    Y = in_groups(W.reshape(len(W), -1), groups).swapaxes(-1, -2) @ X
    Y = Y.reshape(*X.shape[:-3], Y.shape[-3] * Y.shape[-2], Y.shape[-1])
    y, windows = fold(Y, sizes, kernel, dilation, (0,) * n, stride)
    y, cut = pad(y, [-p for p in padding])
    if b is not None:
        y += b.reshape(-1, *[1] * n)
    return y, (X, W, b, groups, windows, cut, x.shape)


def conv_transpose_backward(dy: np.ndarray, saved: Any, need_dx: bool = True) -> tuple[Any, ...]:
    """dx = W dY, dW = Σ x dYᵀ, db = Σ dy; derived in conv_transpose."""
    X, W, b, groups, windows, cut, shape = saved
    samples = tuple(range(X.ndim - 3))
    dY = in_groups(fold_backward(pad_backward(dy, cut), windows), groups)
    dW = (X @ dY.swapaxes(-1, -2)).sum(axis=samples).reshape(W.shape)
    db = dy.sum(axis=(*samples, *range(2 - W.ndim, 0))) if b is not None else None
    dx = (in_groups(W.reshape(len(W), -1), groups) @ dY).reshape(shape) if need_dx else None
    return dx, dW, db


def in_groups(rows: np.ndarray, groups: int) -> np.ndarray:
    """(…, R, T) as (…, groups, R/groups, T)."""
    *lead, R, T = rows.shape
    return rows.reshape(*lead, groups, R // groups, T)
