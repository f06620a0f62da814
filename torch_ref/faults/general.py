"""Mistakes in sums over samples and in matrix products, which any module with parameters can make."""

from typing import Any

import numpy as np

from scratch.nested import leaves, unflatten_as
from torch_ref.faults.fault import PARAMETRIC, mistake, scale_parameters, wrong_formula

# ---- sums and means


def _batch_size(module: Any, dy: np.ndarray) -> int:
    """Recurrent layers have their batch on the second axis, as a rule."""
    if getattr(module, "batch_first", True):
        return len(dy)
    return dy.shape[1] if dy.ndim == 3 else 1


@wrong_formula(
    "parameter gradients divided by the batch size",
    "Linear",
    of="linear_backward",
    fix="sum over the samples; the 1/N belongs to the loss alone",
)
def _linear_averaged(dy: np.ndarray, saved: Any, need_dx: bool = True) -> tuple[Any, ...]:
    x, W, b = saved
    N = len(dy)
    dx = dy @ W
    dW = _rows(dy).T @ _rows(x) / N
    db = _rows(dy).sum(axis=0) / N if b is not None else None
    return dx, dW, db


@wrong_formula(
    "parameter gradients multiplied by the batch size",
    "Linear",
    of="linear_backward",
    fix="the sum over the samples is done by the matrix product already",
)
def _linear_multiplied(dy: np.ndarray, saved: Any, need_dx: bool = True) -> tuple[Any, ...]:
    x, W, b = saved
    N = len(dy)
    dx = dy @ W
    dW = _rows(dy).T @ _rows(x) * N
    db = _rows(dy).sum(axis=0) * N if b is not None else None
    return dx, dW, db


@wrong_formula(
    "the sign of all gradients is wrong",
    "Linear",
    of="linear_backward",
    fix="dL/dy comes in; pass on dL/dx, not -dL/dx",
)
def _linear_negated(dy: np.ndarray, saved: Any, need_dx: bool = True) -> tuple[Any, ...]:
    x, W, b = saved
    dx = -dy @ W
    dW = -_rows(dy).T @ _rows(x)
    db = -_rows(dy).sum(axis=0) if b is not None else None
    return dx, dW, db


@mistake(
    "parameter gradients divided by the batch size",
    PARAMETRIC,
    but=("Linear",),
    fix="sum over the samples; the 1/N belongs to the loss alone",
)
def _averaged(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    return scale_parameters(module, right, 1 / _batch_size(module, dy), dy, *args)


@mistake(
    "parameter gradients multiplied by the batch size",
    PARAMETRIC,
    but=("Linear",),
    fix="the sum over the samples is done by the matrix product already",
)
def _multiplied(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    return scale_parameters(module, right, _batch_size(module, dy), dy, *args)


@mistake(
    "the sign of all gradients is wrong",
    PARAMETRIC,
    but=("Linear",),
    fix="dL/dy comes in; pass on dL/dx, not -dL/dx",
)
def _negated(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    dx = scale_parameters(module, right, -1, dy, *args)
    return unflatten_as(dx, (None if g is None else -g for _, g in leaves(dx)))


@mistake(
    "gradients are overwritten instead of added up",
    PARAMETRIC,
    fix="grad += …, since a module used twice, or a second mini-batch, adds to it",
)
def _overwritten(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    for p in module.parameters():
        p.grad = None
    return right(dy, *args)


# ---- linear


def _rows(x: np.ndarray) -> np.ndarray:
    return x.reshape(-1, x.shape[-1])


@wrong_formula(
    "the bias gradient is that of the last sample",
    "Linear",
    of="linear_backward",
    fix="sum dy over the samples",
)
def _last_sample(dy: np.ndarray, saved: Any, need_dx: bool = True) -> tuple[Any, ...]:
    x, W, b = saved
    dx = dy @ W
    dW = _rows(dy).T @ _rows(x)
    db = _rows(dy)[-1] if b is not None else None
    return dx, dW, db


@wrong_formula(
    "the bias gradient is averaged over the batch",
    "Linear",
    of="linear_backward",
    fix="sum dy over the samples",
)
def _bias_mean(dy: np.ndarray, saved: Any, need_dx: bool = True) -> tuple[Any, ...]:
    x, W, b = saved
    dx = dy @ W
    dW = _rows(dy).T @ _rows(x)
    db = _rows(dy).mean(axis=0) if b is not None else None
    return dx, dW, db


@wrong_formula(
    "the weight gradient is transposed", "Linear", of="linear_backward", fix="dW = dyᵀ x for y = x Wᵀ"
)
def _transposed(dy: np.ndarray, saved: Any, need_dx: bool = True) -> tuple[Any, ...]:
    x, W, b = saved
    dx = dy @ W
    dW = _rows(x).T @ _rows(dy)
    db = _rows(dy).sum(axis=0) if b is not None else None
    return dx, dW, db


@wrong_formula(
    "the error is passed on through Wᵀ instead of W",
    "Linear",
    of="linear_backward",
    fix="dx = dy W for y = x Wᵀ",
)
def _through_transpose(dy: np.ndarray, saved: Any, need_dx: bool = True) -> tuple[Any, ...]:
    x, W, b = saved
    dx = dy @ W.T
    dW = _rows(dy).T @ _rows(x)
    db = _rows(dy).sum(axis=0) if b is not None else None
    return dx, dW, db


@wrong_formula(
    "the weights are updated before the error has passed through them",
    "Linear",
    of="linear_backward",
    fix="finish the backward of all layers, then update",
)
def _stale(dy: np.ndarray, saved: Any, need_dx: bool = True) -> tuple[Any, ...]:
    x, W, b = saved
    dW = _rows(dy).T @ _rows(x)
    dx = dy @ (W - 0.1 * dW)
    db = _rows(dy).sum(axis=0) if b is not None else None
    return dx, dW, db


@wrong_formula(
    "the weight gradient alone is averaged over the batch",
    "Linear",
    of="linear_backward",
    fix="dW = dyᵀ x is the sum over the samples; the 1/N belongs to the loss alone",
)
def _weight_mean(dy: np.ndarray, saved: Any, need_dx: bool = True) -> tuple[Any, ...]:
    x, W, b = saved
    dx = dy @ W
    dW = _rows(dy).T @ _rows(x) / len(dy)
    db = _rows(dy).sum(axis=0) if b is not None else None
    return dx, dW, db


@wrong_formula(
    "the error that is passed on is divided by the batch size",
    "Linear",
    of="linear_backward",
    fix="dx = dy W, of each sample by itself",
)
def _error_mean(dy: np.ndarray, saved: Any, need_dx: bool = True) -> tuple[Any, ...]:
    x, W, b = saved
    dx = dy @ W / len(dy)
    dW = _rows(dy).T @ _rows(x)
    db = _rows(dy).sum(axis=0) if b is not None else None
    return dx, dW, db


@wrong_formula(
    "the weight gradient is that of the last sample",
    "Linear",
    of="linear_backward",
    fix="dW += over the samples, or dW = dyᵀ x",
)
def _last_weight(dy: np.ndarray, saved: Any, need_dx: bool = True) -> tuple[Any, ...]:
    x, W, b = saved
    dx = dy @ W
    dW = np.outer(_rows(dy)[-1], _rows(x)[-1])
    db = _rows(dy).sum(axis=0) if b is not None else None
    return dx, dW, db


@wrong_formula(
    "a multiple of the weight itself is added: weight decay",
    "Linear",
    of="linear_backward",
    fix="weight decay belongs to the optimizer, or into the loss as well",
)
def _decayed(dy: np.ndarray, saved: Any, need_dx: bool = True) -> tuple[Any, ...]:
    x, W, b = saved
    dx = dy @ W
    dW = _rows(dy).T @ _rows(x) + 1e-3 * W
    db = _rows(dy).sum(axis=0) if b is not None else None
    return dx, dW, db


@wrong_formula(
    "the gradient is clipped at ±1",
    "Linear",
    of="linear_backward",
    fix="clip where the optimizer steps, not in backward",
)
def _clipped(dy: np.ndarray, saved: Any, need_dx: bool = True) -> tuple[Any, ...]:
    x, W, b = saved
    dx = dy @ W
    dW = np.clip((_rows(dy).T @ _rows(x)).real, -1, 1)
    db = _rows(dy).sum(axis=0) if b is not None else None
    return dx, dW, db
