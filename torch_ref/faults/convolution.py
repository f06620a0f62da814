"""Mistakes in convolutions and in padding."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from scratch import functional as F
from scratch.functional import fold, fold_backward, pad, pad_backward, unfold, unfold_backward
from scratch.functional.conv import in_groups
from scratch.functional.elementary import at, resized
from scratch.functional.fold import places, under
from torch_ref.faults.fault import wrong_formula


def _each(*kinds: str) -> tuple[str, ...]:
    return tuple(f"{kind}{axes}d" for kind in kinds for axes in (1, 2, 3))


# ---- padding


@wrong_formula(
    "the gradient of the padding is cut away at the wrong end",
    *_each("ConstantPad", "ZeroPad", "Conv"),
    of="pad_backward",
    fix="dx begins behind the padding: dx_padded[…, p : p + L]",
)
def _wrong_end(dy: np.ndarray, saved: Any) -> np.ndarray:
    for axis, L, left, kept, inside, copies in reversed(saved):
        dx = np.zeros_like(dy, shape=resized(dy, axis, L))
        dx[at(axis, kept)] = dy[at(axis, slice(0, inside.stop - inside.start))]
        for t, i in copies:
            dx[at(axis, i)] += dy[at(axis, left + t)]
        dy = dx
    return dy


@wrong_formula(
    "the gradient of the copies in the padding is lost",
    *_each("ReflectionPad", "ReplicationPad", "CircularPad"),
    of="pad_backward",
    fix="dx is the sum over all places that show the same number",
)
def _copies_lost(dy: np.ndarray, saved: Any) -> np.ndarray:
    for axis, L, _, kept, inside, _ in reversed(saved):
        dx = np.zeros_like(dy, shape=resized(dy, axis, L))
        dx[at(axis, kept)] = dy[at(axis, inside)]
        dy = dx
    return dy


# ---- convolutions


def _turned(W: np.ndarray) -> np.ndarray:
    return np.flip(W, tuple(range(2, W.ndim)))


@wrong_formula(
    "the window is turned round in forward",
    *_each("Conv"),
    of="convolution convolution_backward",
    fix="PyTorch's convolution is a correlation: y_t = Σ_j W_j x_{t+j}",
)
def _true_convolution() -> tuple[Any, Any]:
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
        W = _turned(W)
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
        X, W, b, groups, windows, padded = saved
        samples = tuple(range(X.ndim - 3))
        dy = in_groups(dy.reshape(*X.shape[:-3], len(W), X.shape[-1]), groups)
        dW = (dy @ X.swapaxes(-1, -2)).sum(axis=samples).reshape(W.shape)
        dW = _turned(dW)
        db = dy.sum(axis=(*samples, -1)).reshape(len(W)) if b is not None else None
        if not need_dx:
            return None, dW, db
        dX = in_groups(W.reshape(len(W), -1), groups).swapaxes(-1, -2) @ dy
        dx = pad_backward(unfold_backward(dX, windows), padded)
        return dx, dW, db

    return convolution, convolution_backward


@wrong_formula(
    "the window is turned round in forward",
    *_each("ConvTranspose"),
    of="conv_transpose conv_transpose_backward",
    fix="PyTorch's convolution is a correlation: y_t = Σ_j W_j x_{t+j}",
)
def _true_convolution_transposed() -> tuple[Any, Any]:
    def conv_transpose(
        x: np.ndarray,
        W: np.ndarray,
        b: np.ndarray | None,
        stride: Sequence[int],
        padding: Sequence[int],
        dilation: Sequence[int],
        groups: int = 1,
    ) -> tuple[np.ndarray, Any]:
        W = _turned(W)
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
        X, W, b, groups, windows, cut, shape = saved
        samples = tuple(range(X.ndim - 3))
        dY = in_groups(fold_backward(pad_backward(dy, cut), windows), groups)
        dW = (X @ dY.swapaxes(-1, -2)).sum(axis=samples).reshape(W.shape)
        dW = _turned(dW)
        db = dy.sum(axis=(*samples, *range(2 - W.ndim, 0))) if b is not None else None
        dx = (in_groups(W.reshape(len(W), -1), groups) @ dY).reshape(shape) if need_dx else None
        return dx, dW, db

    return conv_transpose, conv_transpose_backward


_convolution = F.convolution


def _stride_of_one(in_dW: bool, in_dx: bool) -> tuple[Any, Any]:
    """A convolution whose backward has the window at places t in the place of t s."""

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
        y, right = _convolution(x, W, b, stride, padding, dilation, groups, mode)
        x, _ = pad(x, padding, mode)
        n, kernel = len(stride), W.shape[2:]
        seen = [T - 1 + d * (k - 1) + 1 for T, d, k in zip(y.shape[-n:], dilation, kernel, strict=True)]
        part: tuple[Any, ...] = (..., *(slice(length) for length in seen))
        X, windows = unfold(x[part], kernel, dilation, (0,) * n, (1,) * n)
        return y, (right, in_groups(X, groups), windows, part, x.shape)

    def convolution_backward(dy: np.ndarray, saved: Any, need_dx: bool = True) -> tuple[Any, ...]:
        (X, W, b, groups, right, padded), X_of_1, of_1, part, shape = saved
        samples = tuple(range(X.ndim - 3))
        dy = in_groups(dy.reshape(*X.shape[:-3], len(W), X.shape[-1]), groups)
        dW = (dy @ (X_of_1 if in_dW else X).swapaxes(-1, -2)).sum(axis=samples).reshape(W.shape)
        db = dy.sum(axis=(*samples, -1)).reshape(len(W)) if b is not None else None
        if not need_dx:
            return None, dW, db
        dX = in_groups(W.reshape(len(W), -1), groups).swapaxes(-1, -2) @ dy
        if not in_dx:
            return pad_backward(unfold_backward(dX, right), padded), dW, db
        dx = np.zeros_like(dX, shape=shape)
        dx[part] = unfold_backward(dX, of_1)
        return pad_backward(dx, padded), dW, db

    return convolution, convolution_backward


_STRIDE = "at place t of y the window stands at t s of x, also in backward"


@wrong_formula(
    "the stride is missing in backward",
    *_each("Conv"),
    of="convolution convolution_backward",
    fix=_STRIDE,
)
def _no_stride() -> tuple[Any, Any]:
    return _stride_of_one(in_dW=True, in_dx=True)


@wrong_formula(
    "the stride is missing in the gradient of the weights",
    *_each("Conv"),
    of="convolution convolution_backward",
    fix=_STRIDE,
)
def _no_stride_in_dW() -> tuple[Any, Any]:
    return _stride_of_one(in_dW=True, in_dx=False)


@wrong_formula(
    "the stride is missing in the gradient that is passed on",
    *_each("Conv"),
    of="convolution convolution_backward",
    fix=_STRIDE,
)
def _no_stride_in_dx() -> tuple[Any, Any]:
    return _stride_of_one(in_dW=False, in_dx=True)


@wrong_formula(
    "the window is not turned round in backward",
    *_each("Conv"),
    of="convolution_backward",
    fix="dx is a correlation of dy with the window turned round: dx_i = Σ_j W_j dy_{i-j}",
)
def _not_turned(dy: np.ndarray, saved: Any, need_dx: bool = True) -> tuple[Any, ...]:
    X, W, b, groups, windows, padded = saved
    samples = tuple(range(X.ndim - 3))
    dy = in_groups(dy.reshape(*X.shape[:-3], len(W), X.shape[-1]), groups)
    dW = (dy @ X.swapaxes(-1, -2)).sum(axis=samples).reshape(W.shape)
    db = dy.sum(axis=(*samples, -1)).reshape(len(W)) if b is not None else None
    if not need_dx:
        return None, dW, db
    dX = in_groups(_turned(W).reshape(len(W), -1), groups).swapaxes(-1, -2) @ dy
    dx = pad_backward(unfold_backward(dX, windows), padded)
    return dx, dW, db


@wrong_formula(
    "the bias gradient is averaged over the places",
    *_each("Conv"),
    of="convolution_backward",
    fix="sum dy over samples and places: the same b is added at each",
)
def _bias_mean(dy: np.ndarray, saved: Any, need_dx: bool = True) -> tuple[Any, ...]:
    X, W, b, groups, windows, padded = saved
    samples = tuple(range(X.ndim - 3))
    dy = in_groups(dy.reshape(*X.shape[:-3], len(W), X.shape[-1]), groups)
    dW = (dy @ X.swapaxes(-1, -2)).sum(axis=samples).reshape(W.shape)
    db = dy.sum(axis=samples).mean(axis=-1).reshape(len(W)) if b is not None else None
    if not need_dx:
        return None, dW, db
    dX = in_groups(W.reshape(len(W), -1), groups).swapaxes(-1, -2) @ dy
    dx = pad_backward(unfold_backward(dX, windows), padded)
    return dx, dW, db


@wrong_formula(
    "the bias gradient is averaged over the places",
    *_each("ConvTranspose"),
    of="conv_transpose_backward",
    fix="sum dy over samples and places: the same b is added at each",
)
def _transposed_bias_mean(dy: np.ndarray, saved: Any, need_dx: bool = True) -> tuple[Any, ...]:
    X, W, b, groups, windows, cut, shape = saved
    samples = tuple(range(X.ndim - 3))
    dY = in_groups(fold_backward(pad_backward(dy, cut), windows), groups)
    dW = (X @ dY.swapaxes(-1, -2)).sum(axis=samples).reshape(W.shape)
    db = dy.sum(axis=samples).mean(axis=tuple(range(2 - W.ndim, 0))) if b is not None else None
    dx = (in_groups(W.reshape(len(W), -1), groups) @ dY).reshape(shape) if need_dx else None
    return dx, dW, db


@wrong_formula(
    "where windows overlap their gradients are overwritten instead of added up",
    *_each("Conv"),
    of="unfold_backward",
    fix="dx[…] += …, since an entry is in several windows",
)
def _overwritten(dy: np.ndarray, saved: Any) -> np.ndarray:
    shape, kernel, dilation, padding, stride = saved
    n = len(kernel)
    T = places(shape[-n:], kernel, dilation, padding, stride)
    dy = dy.reshape(*shape[:-n], *kernel, *T)
    sizes = [L + 2 * p for L, p in zip(shape[-n:], padding, strict=True)]
    padded = np.zeros_like(dy, shape=(*shape[:-n], *sizes))
    for j in np.ndindex(*kernel):
        padded[(..., *under(j, dilation, stride, T))] = dy[(..., *j, *[slice(None)] * n)]
    dx, _ = pad(padded, [-p for p in reversed(padding) for _ in "lr"])
    return dx
