"""Mistakes in activations, softmax and losses."""

import math
from typing import Any

import numpy as np

from scratch.functional.elementary import erf, positive, sigma
from torch_ref.faults.fault import mistake, wrong_formula

# ---- activations

_DERIVATIVES = {
    "ReLU": "relu_backward",
    "LeakyReLU": "leaky_relu_backward",
    "Sigmoid": "sigmoid_backward",
    "Tanh": "tanh_backward",
    "Softmax": "softmax_backward",
    "LogSoftmax": "log_softmax_backward",
    "ELU": "elu_backward",
    "SELU": "selu_backward",
    "GELU": "gelu_backward",
    "SiLU": "silu_backward",
    "Softplus": "softplus_backward",
}


@wrong_formula(
    "the activation's derivative is missing",
    *_DERIVATIVES,
    of=" ".join(_DERIVATIVES.values()),
    fix="dx = dy f'(x), not dy",
)
def _no_derivative() -> tuple[Any, ...]:
    def backward(dy: np.ndarray, saved: Any) -> np.ndarray:
        return dy.copy()

    return (backward,) * len(_DERIVATIVES)


@wrong_formula(
    "the derivative is taken at the input instead of the output",
    "Sigmoid",
    of="sigmoid sigmoid_backward",
    fix="y (1 - y), y the output",
)
def _sigmoid_at_input() -> tuple[Any, ...]:
    def sigmoid(x: np.ndarray) -> tuple[np.ndarray, Any]:
        y = sigma(x)
        return y, x

    def sigmoid_backward(dy: np.ndarray, x: np.ndarray) -> np.ndarray:
        return dy * (1 - x) * x

    return sigmoid, sigmoid_backward


@wrong_formula(
    "the derivative is taken at the output instead of the input",
    "Sigmoid",
    of="sigmoid_backward",
    fix="y (1 - y), y the output",
)
def _sigmoid_twice(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    return dy * (1 - sigma(y)) * sigma(y)


@wrong_formula(
    "the derivative is taken at the output instead of the input",
    "Tanh",
    of="tanh_backward",
    fix="1 - y², y the output",
)
def _tanh_twice(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    return dy * (1 - np.tanh(y) ** 2)


@wrong_formula("the square is missing in 1 - y²", "Tanh", of="tanh_backward", fix="1 - y², y the output")
def _tanh_no_square(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    return dy * (1 - y)


@wrong_formula(
    "the mask is taken from the sign of the error",
    *("ReLU", "LeakyReLU"),
    of="relu_backward leaky_relu_backward",
    fix="mask where x > 0, not dy > 0",
)
def _guided() -> tuple[Any, ...]:
    def relu_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
        return dy * (dy.real > 0)

    def leaky_relu_backward(dy: np.ndarray, saved: Any) -> np.ndarray:
        _, a = saved
        above = dy.real > 0
        return dy * (above + a * (1 - above))

    return relu_backward, leaky_relu_backward


@wrong_formula(
    "the slope at 0 is 1",
    *("ReLU", "LeakyReLU"),
    of="relu relu_backward leaky_relu_backward",
    fix="PyTorch takes the left slope at 0: x > 0, not x >= 0",
)
def _slope_at_zero() -> tuple[Any, ...]:
    def relu(x: np.ndarray) -> tuple[np.ndarray, Any]:
        y = positive(x)
        return y, x

    def relu_backward(dy: np.ndarray, x: np.ndarray) -> np.ndarray:
        return dy * (x.real >= 0)

    def leaky_relu_backward(dy: np.ndarray, saved: Any) -> np.ndarray:
        x, a = saved
        above = x.real >= 0
        return dy * (above + a * (1 - above))

    return relu, relu_backward, leaky_relu_backward


@wrong_formula(
    "the tanh approximation of GELU for the exact one",
    "GELU",
    of="gelu",
    fix="GELU is x Φ(x) by erf, unless approximate='tanh'",
)
def _other_gelu(x: np.ndarray, approximate: str = "none") -> tuple[np.ndarray, Any]:
    approximate = "none" if approximate == "tanh" else "tanh"
    if approximate == "tanh":
        Φ = 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * x * (1 + 0.044715 * x * x)))
    else:
        Φ = 0.5 * (1 + erf(x * math.sqrt(0.5)))
    return x * Φ, (x, Φ, approximate)


# ---- softmax


@wrong_formula(
    "the Jacobian of the softmax is only its diagonal",
    "Softmax",
    of="softmax_backward",
    fix="dx_i = y_i (dy_i - Σ_j dy_j y_j): each output depends on all inputs",
)
def _diagonal(dp: np.ndarray, saved: Any) -> np.ndarray:
    p, _ = saved
    return p * (dp - p * dp)


@wrong_formula(
    "the Jacobian of the softmax is applied twice",
    "CrossEntropyLoss",
    of="cross_entropy_backward",
    fix="p - t is the gradient of softmax and loss together",
)
def _jacobian_twice(dℓ: np.ndarray, saved: Any) -> np.ndarray:
    log_p, q, Σq, shape = saved
    p = np.exp(log_p)
    dx = (p if Σq is None else p * Σq) - q
    dx *= dℓ.reshape(-1, 1)
    dx = p * (dx - (p * dx).sum(axis=1, keepdims=True))
    if len(shape) > 2:
        dx = np.moveaxis(dx.reshape(shape[0], *shape[2:], shape[1]), -1, 1)
    return dx.reshape(shape)


# ---- losses


@wrong_formula(
    "the mean's 1/N is missing in the loss's gradient",
    *("MSELoss", "L1Loss", "BCELoss", "BCEWithLogitsLoss", "NLLLoss", "CrossEntropyLoss"),
    of="reduce_backward",
    fix="divide by what the loss divides by",
)
def _no_mean(dL: Any, saved: Any) -> np.ndarray:
    if saved is None:
        return dL
    shape, dtype, _ = saved
    return np.full(shape, dL, dtype)


@wrong_formula(
    "the factor 2 of the square is missing", "MSELoss", of="mse_loss_backward", fix="d(x - t)² = 2 (x - t) dx"
)
def _no_two(dℓ: np.ndarray, saved: Any) -> np.ndarray:
    x, t = saved
    return (x - t) * dℓ


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


@wrong_formula(
    "the sigmoid's derivative is applied although the loss takes logits",
    "BCEWithLogitsLoss",
    of="binary_cross_entropy_with_logits_backward",
    fix="p - t is the gradient of sigmoid and loss together",
)
def _sigmoid_slope(dℓ: np.ndarray, saved: Any) -> np.ndarray:
    x, t, w, p = saved
    return w * ((1 - t) * sigma(x) - p * t * sigma(-x)) * sigma(x) * (1 - sigma(x)) * dℓ
