"""Mistakes in sums over samples and in matrix products, which any module with parameters can make."""

from collections.abc import Callable
from typing import Any

import numpy as np

from scratch.nested import leaves, unflatten_as
from torch_ref.faults.fault import PARAMETRIC, mistake, scale_parameters

# ---- sums and means


def _batch_size(module: Any, dy: np.ndarray) -> int:
    """Recurrent layers have their batch on the second axis, as a rule."""
    if getattr(module, "batch_first", True):
        return len(dy)
    return dy.shape[1] if dy.ndim == 3 else 1


@mistake(
    "parameter gradients divided by the batch size",
    PARAMETRIC,
    remedy="sum over the samples; the 1/N belongs to the loss alone",
)
def _averaged(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    return scale_parameters(module, right, 1 / _batch_size(module, dy), dy, *args)


@mistake(
    "parameter gradients multiplied by the batch size",
    PARAMETRIC,
    remedy="the sum over the samples is done by the matrix product already",
)
def _multiplied(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    return scale_parameters(module, right, _batch_size(module, dy), dy, *args)


@mistake("the sign of all gradients is wrong", PARAMETRIC, remedy="dL/dy comes in; pass on dL/dx, not -dL/dx")
def _negated(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    dx = scale_parameters(module, right, -1, dy, *args)
    return unflatten_as(dx, (None if g is None else -g for _, g in leaves(dx)))


def _change_bias(
    module: Any, right: Any, difference: Callable[[np.ndarray], Any], dy: Any, *args: Any
) -> Any:
    dx = right(dy, *args)
    if module.bias is not None:
        module.bias.grad = module.bias.grad + difference(dy.reshape(-1, dy.shape[-1]))
    return dx


@mistake("the bias gradient is that of the last sample", "Linear", remedy="sum dy over the samples")
def _last_sample(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    return _change_bias(module, right, lambda rows: rows[-1] - rows.sum(axis=0), dy, *args)


@mistake("the bias gradient is averaged over the batch", "Linear", remedy="sum dy over the samples")
def _bias_mean(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    return _change_bias(module, right, lambda rows: rows.mean(axis=0) - rows.sum(axis=0), dy, *args)


@mistake(
    "gradients are overwritten instead of added up",
    PARAMETRIC,
    remedy="grad += …, since a module used twice, or a second mini-batch, adds to it",
)
def _overwritten(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    for p in module.parameters():
        p.grad = None
    return right(dy, *args)


# ---- matrices


@mistake("the weight gradient is transposed", "Linear", remedy="dW = dyᵀ x for y = x Wᵀ")
def _transposed(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    p = module.weight
    before = np.zeros(p.shape, p.dtype) if p.grad is None else p.grad.copy()
    dx = right(dy, *args)
    if p.shape[0] == p.shape[1]:
        p.grad = before + (p.grad - before).T
    return dx


@mistake("the error is passed on through Wᵀ instead of W", "Linear", remedy="dx = dy W for y = x Wᵀ")
def _through_transpose(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    dx = right(dy, *args)
    return dy @ module.weight.data.T if module.weight.shape[0] == module.weight.shape[1] else dx


@mistake(
    "the weights are updated before the error has passed through them",
    "Linear",
    remedy="finish the backward of all layers, then update",
)
def _stale(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    dx = right(dy, *args)
    return dx - 0.1 * (dy @ module.weight.grad)
