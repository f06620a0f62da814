"""Mistakes in activations, softmax and losses."""

from typing import Any

import numpy as np

from scratch.nn.activation import sigmoid
from torch_ref.faults.fault import mistake

# ---- activations


@mistake(
    "the activation's derivative is missing",
    *(
        "ReLU",
        "LeakyReLU",
        "Sigmoid",
        "Tanh",
        "Softmax",
        "LogSoftmax",
        "ELU",
        "SELU",
        "GELU",
        "SiLU",
        "Softplus",
    ),
    fix="dx = dy f'(x), not dy",
)
def _no_derivative(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    right(dy, *args)
    return dy.copy()


@mistake(
    "the derivative is taken at the input instead of the output",
    "Sigmoid",
    method="_slope",
    fix="y (1 - y), y the output",
)
def _sigmoid_at_input(module: Any, right: Any, y: np.ndarray) -> Any:
    with np.errstate(all="ignore"):  # where y has become 0 or 1
        x = np.log(y / (1 - y))
        return x * (1 - x)


@mistake(
    "the derivative is taken at the output instead of the input",
    "Sigmoid",
    method="_slope",
    fix="y (1 - y), y the output",
)
def _sigmoid_twice(module: Any, right: Any, y: np.ndarray) -> Any:
    return sigmoid(y) * (1 - sigmoid(y))


@mistake(
    "the derivative is taken at the output instead of the input",
    "Tanh",
    method="_slope",
    fix="1 - y², y the output",
)
def _tanh_twice(module: Any, right: Any, y: np.ndarray) -> Any:
    return 1 - np.tanh(y) ** 2


@mistake("the square is missing in 1 - y²", "Tanh", method="_slope", fix="1 - y², y the output")
def _tanh_no_square(module: Any, right: Any, y: np.ndarray) -> Any:
    return 1 - y


@mistake(
    "the mask is taken from the sign of the error", "ReLU", "LeakyReLU", fix="mask where x > 0, not dy > 0"
)
def _guided(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    right(dy, *args)
    return np.where(dy > 0, dy, dy * getattr(module, "negative_slope", 0))


@mistake(
    "the slope at 0 is 1",
    *("ReLU", "LeakyReLU"),
    method="_f",
    fix="PyTorch takes the left slope at 0: x > 0, not x >= 0",
)
def _slope_at_zero(module: Any, right: Any, x: np.ndarray) -> Any:
    y, *kept = right(x)
    # What is kept tells the slope, by its sign or by its value.
    return y, *(np.where(x.real == 0, x.dtype.type(1), each) for each in kept)


@mistake(
    "the tanh approximation of GELU for the exact one",
    "GELU",
    method="forward backward",
    fix="GELU is x Φ(x) by erf, unless approximate='tanh'",
)
def _other_gelu(module: Any, right: Any, *args: Any) -> Any:
    wanted = module.approximate
    module.approximate = "none" if wanted == "tanh" else "tanh"
    try:
        return right(*args)
    finally:
        module.approximate = wanted


@mistake(
    "the Jacobian of the softmax is only its diagonal",
    "Softmax",
    fix="dx_i = y_i (dy_i - Σ_j dy_j y_j): each output depends on all inputs",
)
def _diagonal(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    (y,) = module._saved[-1]
    right(dy, *args)
    return dy * y * (1 - y)


@mistake(
    "the Jacobian of the softmax is applied twice",
    "CrossEntropyLoss",
    fix="p - t is the gradient of softmax and loss together",
)
def _jacobian_twice(module: Any, right: Any, dy: Any = 1.0, *args: Any) -> Any:
    log_p = module._saved[-1][0]
    p = np.exp(log_p)
    dx = right(dy, *args)
    if dx.shape != p.shape:
        return dx
    return p * (dx - np.sum(dx * p, axis=1, keepdims=True))


# ---- losses

_LOSSES = ("MSELoss", "L1Loss", "BCELoss", "BCEWithLogitsLoss", "NLLLoss", "CrossEntropyLoss")


@mistake(
    "the mean's 1/N is missing in the loss's gradient", *_LOSSES, fix="divide by what the loss divides by"
)
def _no_mean(module: Any, right: Any, dy: Any = 1.0, *args: Any) -> Any:
    dx = right(dy, *args)
    return dx * (len(dx) if module.reduction == "mean" else 1)


@mistake("the factor 2 of the square is missing", "MSELoss", fix="d(x - t)² = 2 (x - t) dx")
def _no_two(module: Any, right: Any, dy: Any = 1.0, *args: Any) -> Any:
    return right(dy, *args) / 2


@mistake(
    "each output is compared with every target, not with its own",
    *("MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss", "BCELoss", "BCEWithLogitsLoss"),
    method="forward backward",
    fix="(N, 1) and (N,) broadcast to N x N; give both one shape",
)
def _broadcast(module: Any, right: Any, first: Any = 1.0, *others: Any) -> Any:
    if others:  # x and the target
        module.column = first.shape if first.size == len(first) > 1 and module.reduction != "none" else None
        if module.column is None:
            return right(first, *others)
        return right(*map(np.array, np.broadcast_arrays(first.reshape(-1, 1), others[0].reshape(1, -1))))
    dx = right(first)
    return dx if module.column is None else dx.sum(axis=1).reshape(module.column)


@mistake("softmax before CrossEntropyLoss", "CrossEntropyLoss", method="forward", fix="give it logits")
def _softmax_before(module: Any, right: Any, x: np.ndarray, target: np.ndarray) -> Any:
    e = np.exp(x - np.max(x.real, axis=min(1, x.ndim - 1), keepdims=True))
    return right(e / np.sum(e, axis=min(1, x.ndim - 1), keepdims=True), target)


@mistake(
    "the sigmoid's derivative is applied although the loss takes logits",
    "BCEWithLogitsLoss",
    method="_unweighted",
    fix="p - t is the gradient of sigmoid and loss together",
)
def _sigmoid_slope(module: Any, right: Any, x: np.ndarray, target: np.ndarray) -> Any:
    losses, slopes = right(x, target)
    return losses, slopes * sigmoid(x) * (1 - sigmoid(x))
