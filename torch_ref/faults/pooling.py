"""Mistakes in pooling."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from scratch import functional as F
from scratch import nn
from scratch.functional.taps import Taps, along
from torch_ref.faults.fault import mistake, wrong_formula

_MAX = tuple(f"{kind}MaxPool{axes}d" for kind in ("", "Adaptive") for axes in (1, 2, 3))
_MEAN = tuple(f"{kind}AvgPool{axes}d" for kind in ("", "Adaptive") for axes in (1, 2, 3))


@wrong_formula(
    "the gradient goes to every entry that equals the maximum",
    *_MAX,
    of="max_pool max_pool_backward max_pool_indices",
    fix="to the first of them, in PyTorch: keep its position in forward",
)
def _to_all_equals() -> tuple[Any, Any, Any]:
    right = F.max_pool_indices

    def max_pool(x: np.ndarray, windows: Sequence[Taps]) -> tuple[np.ndarray, Any]:
        lowest = np.iinfo(x.dtype).min if x.dtype.kind in "iu" else -np.inf
        steps = []
        for axis in range(-1, -len(windows) - 1, -1):
            taps, shape = windows[axis], list(x.shape)
            shape[axis] = taps.count
            y = np.full_like(x, lowest, shape=shape)
            best = np.zeros(shape, taps.first.dtype) + taps.first.reshape(-1, *[1] * (-1 - axis))
            for j, outputs, inputs in along(taps, axis):
                new, old = x[inputs], y[outputs]
                if j == 0:
                    y[outputs] = new
                    continue
                larger = (new.real > old.real) | (new != new)
                y[outputs] = np.where(larger, new, old) if x.dtype.kind == "c" else np.maximum(new, old)
                best[outputs] = np.maximum(best[outputs], larger * best.dtype.type(j))
            steps.append((axis, taps, best, x, y))
            x = y
        return x, steps

    def max_pool_backward(dy: np.ndarray, steps: Any) -> np.ndarray:
        for axis, taps, _, x, y in reversed(steps):
            dx = np.zeros(x.shape, dy.dtype)
            for _, outputs, inputs in along(taps, axis):
                dx[inputs] += dy[outputs] * (x[inputs].real == y[outputs].real)
            dy = dx
        return dy

    def max_pool_indices(steps: Any) -> np.ndarray:
        return right([step[:3] for step in steps])

    return max_pool, max_pool_backward, max_pool_indices


@wrong_formula(
    "of equal maxima the last one gets the gradient",
    *_MAX,
    of="max_pool",
    fix="the first one, in PyTorch: > where the next entry is compared with the largest so far, not >=",
)
def _last_of_ties(x: np.ndarray, windows: Sequence[Taps]) -> tuple[np.ndarray, Any]:
    lowest = np.iinfo(x.dtype).min if x.dtype.kind in "iu" else -np.inf
    steps = []
    for axis in range(-1, -len(windows) - 1, -1):
        taps, shape = windows[axis], list(x.shape)
        shape[axis] = taps.count
        y = np.full_like(x, lowest, shape=shape)
        best = np.zeros(shape, taps.first.dtype) + taps.first.reshape(-1, *[1] * (-1 - axis))
        for j, outputs, inputs in along(taps, axis):
            new, old = x[inputs], y[outputs]
            if j == 0:
                y[outputs] = new
                continue
            larger = (new.real >= old.real) | (new != new)
            y[outputs] = np.where(larger, new, old) if x.dtype.kind == "c" else np.maximum(new, old)
            best[outputs] = np.maximum(best[outputs], larger * best.dtype.type(j))
        steps.append((axis, taps, best))
        x = y
    return x, steps


@wrong_formula(
    "the gradient goes to all entries of the window",
    *_MAX,
    of="max_pool_backward",
    fix="to the maximum alone: y does not change with the others",
)
def _to_all_entries(dy: np.ndarray, steps: Any) -> np.ndarray:
    for axis, taps, _ in reversed(steps):
        shape = list(dy.shape)
        shape[axis] = taps.length
        dx = np.zeros(shape, dy.dtype)
        for _, outputs, inputs in along(taps, axis):
            dx[inputs] += dy[outputs]
        dy = dx
    return dy


@wrong_formula(
    "the gradient is not divided by the size of the window",
    *_MEAN,
    of="avg_pool_backward",
    fix="dx = dy / D, as y = Σ x / D",
)
def _not_divided(dy: np.ndarray, saved: Any) -> np.ndarray:
    windows, _ = saved
    dx = dy
    for axis in range(-1, -len(windows) - 1, -1):
        dx = windows[axis].scatter(dx, axis)
    return dx


_OVERLAP = "where windows overlap their gradients are overwritten instead of added up"
_ADD = "dx[…] += …, since an entry is in several windows"


@wrong_formula(_OVERLAP, *_MAX, of="max_pool_backward", fix=_ADD)
def _max_overwritten(dy: np.ndarray, steps: Any) -> np.ndarray:
    for axis, taps, best in reversed(steps):
        shape = list(dy.shape)
        shape[axis] = taps.length
        dx = np.zeros(shape, dy.dtype)
        for j, outputs, inputs in along(taps, axis):
            dx[inputs] = np.where(best[outputs] == j, dy[outputs], dx[inputs])
        dy = dx
    return dy


@wrong_formula(_OVERLAP, *_MEAN, of="avg_pool_backward", fix=_ADD)
def _mean_overwritten(dy: np.ndarray, saved: Any) -> np.ndarray:
    windows, D = saved
    dy = dy / D
    for axis, taps in enumerate(windows, -len(windows)):
        shape = list(dy.shape)
        shape[axis] = taps.length
        dx = np.zeros(shape, dy.dtype)
        for _, outputs, inputs in along(taps, axis):
            dx[inputs] = dy[outputs]
        dy = dx
    return dy


@mistake(
    "the gradient of the padding is cut away at the wrong end",
    *(f"MaxPool{axes}d" for axes in (1, 2, 3)),
    fix="dx begins behind the padding: dx_padded[…, p : p + L]",
)
def _wrong_end(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    dx = right(dy, *args)
    for axis in range(-module.axes, 0):
        p = module.padding if isinstance(module.padding, int) else module.padding[axis]
        dx = np.roll(dx, p, axis)
        np.moveaxis(dx, axis, 0)[:p] = 0
    return dx


@mistake(
    "a zero of the padding may be the maximum",
    *(f"MaxPool{axes}d" for axes in (1, 2, 3)),
    method="forward backward",
    fix="pad with -∞, or leave what is outside out of the window",
)
def _zeros_win(module: Any, right: Any, x: np.ndarray, *args: Any) -> Any:
    """forward, and then backward, on an input with zeros around it, of windows without a padding."""
    if right.func.__name__ == "backward":
        on_zeros, inside = module.saved()
        return copy.deepcopy(on_zeros).backward(x, *args)[inside]  # a copy: a backward may be asked for again
    p = module.padding if isinstance(module.padding, tuple) else (module.padding,) * module.axes
    around = [(0, 0)] * (x.ndim - module.axes) + [(n, n) for n in p]
    inside = tuple(slice(n, n + L) for (n, _), L in zip(around, x.shape, strict=True))
    options = {n: getattr(module, n) for n in ("stride", "dilation", "return_indices", "ceil_mode")}
    on_zeros = getattr(nn, type(module).__name__)(module.kernel_size, **options)
    y = on_zeros(np.pad(x, around))
    module.save(on_zeros, inside)
    return y
