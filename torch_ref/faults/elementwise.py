"""Mistakes in activations, softmax and losses."""

import math
from typing import Any

import numpy as np

from scratch import functional as F
from scratch.functional.elementary import erf, positive, sigma
from torch_ref.faults.fault import FAULTS, Fault, mistake, wrong_formula

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
    log_p, q, shape = saved
    p = np.exp(log_p)
    dx = p * q.sum(axis=1, keepdims=True) - q
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


# ---- slopes


@wrong_formula(
    "the derivative is taken at the input instead of the output",
    "Tanh",
    of="tanh tanh_backward",
    fix="1 - y², y the output",
)
def _tanh_at_input() -> tuple[Any, ...]:
    def tanh(x: np.ndarray) -> tuple[np.ndarray, Any]:
        return np.tanh(x), x

    def tanh_backward(dy: np.ndarray, x: np.ndarray) -> np.ndarray:
        return dy * (1 - x * x)

    return tanh, tanh_backward


@wrong_formula(
    "the sigmoid stands in the place of its slope",
    *("Sigmoid", "GLU"),
    of="sigmoid_backward glu_backward",
    fix="σ' = σ (1 - σ)",
)
def _sigmoid_for_slope() -> tuple[Any, ...]:
    def sigmoid_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
        return dy * y

    def glu_backward(dy: np.ndarray, saved: Any) -> np.ndarray:
        y, σ, dim = saved
        return np.concatenate([σ * dy, y * dy], axis=dim)

    return sigmoid_backward, glu_backward


@wrong_formula(
    "the second term of the product rule is missing",
    *("GELU", "SiLU", "Mish"),
    of="gelu_backward silu_backward mish_backward",
    fix="(x f)' = f + x f': the input counts also by what it is multiplied with",
)
def _no_product_rule() -> tuple[Any, ...]:
    def gelu_backward(dy: np.ndarray, saved: Any) -> np.ndarray:
        _, Φ, _ = saved
        return dy * Φ

    def silu_backward(dy: np.ndarray, saved: Any) -> np.ndarray:
        _, σ = saved
        return dy * σ

    def mish_backward(dy: np.ndarray, saved: Any) -> np.ndarray:
        *_, t = saved
        return dy * t

    return gelu_backward, silu_backward, mish_backward


@wrong_formula(
    "the square is missing in the derivative of tanh",
    *("Mish", "GELU", "Tanhshrink"),
    of="mish_backward gelu_backward tanhshrink_backward",
    fix="tanh' = 1 - tanh²",
)
def _inner_no_square() -> tuple[Any, ...]:
    def mish_backward(dy: np.ndarray, saved: Any) -> np.ndarray:
        x, _, _, t = saved
        return dy * (t + x * sigma(x) * (1 - t))

    def gelu_backward(dy: np.ndarray, saved: Any) -> np.ndarray:
        x, Φ, approximate = saved
        if approximate != "tanh":
            return _gelu_backward(dy, saved)
        t = 2 * Φ - 1
        return dy * (Φ + x * 0.5 * (1 - t) * _gelu_inner(x))

    def tanhshrink_backward(dy: np.ndarray, t: np.ndarray) -> np.ndarray:
        return dy * t

    return mish_backward, gelu_backward, tanhshrink_backward


_gelu_backward = F.gelu_backward


def _gelu_inner(x: np.ndarray) -> np.ndarray:
    """u' of u = √(2/π) (x + k x³)."""
    return math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)


@wrong_formula(
    "the derivative of what stands inside the tanh is wrong: the x² term is missing",
    "GELU",
    of="gelu_backward",
    fix="u' = √(2/π) (1 + 3 k x²) for u = √(2/π) (x + k x³)",
)
def _gelu_no_cube(dy: np.ndarray, saved: Any) -> np.ndarray:
    x, Φ, approximate = saved
    if approximate != "tanh":
        return _gelu_backward(dy, saved)
    return dy * (Φ + x * 2 * Φ * (1 - Φ) * math.sqrt(2 / math.pi))


@wrong_formula(
    "the derivative of what stands inside the tanh is missing",
    *("GELU", "Mish"),
    of="gelu_backward mish_backward",
    fix="the chain rule: tanh(u)' = (1 - tanh²(u)) u'",
)
def _no_inner_derivative() -> tuple[Any, ...]:
    def gelu_backward(dy: np.ndarray, saved: Any) -> np.ndarray:
        x, Φ, approximate = saved
        if approximate != "tanh":
            return _gelu_backward(dy, saved)
        return dy * (Φ + x * 2 * Φ * (1 - Φ))

    def mish_backward(dy: np.ndarray, saved: Any) -> np.ndarray:
        x, _, _, t = saved
        return dy * (t + x * (1 - t * t))

    return gelu_backward, mish_backward


@wrong_formula(
    "the input's factor is missing in the second term of the product rule",
    *("GELU", "SiLU", "Mish"),
    of="gelu_backward silu_backward mish_backward",
    fix="(x f)' = f + x f'",
)
def _no_factor_x() -> tuple[Any, ...]:
    def gelu_backward(dy: np.ndarray, saved: Any) -> np.ndarray:
        x, Φ, approximate = saved
        φ = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
        if approximate == "tanh":
            φ = 2 * Φ * (1 - Φ) * _gelu_inner(x)
        return dy * (Φ + φ)

    def silu_backward(dy: np.ndarray, saved: Any) -> np.ndarray:
        _, σ = saved
        return dy * (σ + σ * (1 - σ))

    def mish_backward(dy: np.ndarray, saved: Any) -> np.ndarray:
        x, _, _, t = saved
        return dy * (t + sigma(x) * (1 - t * t))

    return gelu_backward, silu_backward, mish_backward


@wrong_formula(
    "the first term of the product rule is missing",
    *("GELU", "SiLU", "Mish"),
    of="gelu_backward silu_backward mish_backward",
    fix="(x f)' = f + x f'",
)
def _no_first_term() -> tuple[Any, ...]:
    def gelu_backward(dy: np.ndarray, saved: Any) -> np.ndarray:
        _, Φ, _ = saved
        return _gelu_backward(dy, saved) - dy * Φ

    def silu_backward(dy: np.ndarray, saved: Any) -> np.ndarray:
        x, σ = saved
        return dy * x * σ * (1 - σ)

    def mish_backward(dy: np.ndarray, saved: Any) -> np.ndarray:
        x, _, _, t = saved
        return dy * x * sigma(x) * (1 - t * t)

    return gelu_backward, silu_backward, mish_backward


@wrong_formula(
    "the square is missing in the derivative of the fraction",
    "Softsign",
    of="softsign_backward",
    fix="y' = 1/(1 + |x|)²",
)
def _softsign_no_square(dy: np.ndarray, d: np.ndarray) -> np.ndarray:
    return dy / d


@wrong_formula(
    "the output stands in the place of the derivative",
    *("ELU", "SELU"),
    of="elu_backward selu_backward",
    fix="below 0 the derivative is y + α, not y: α eˣ for y = α (eˣ - 1)",
)
def _elu_without_alpha() -> tuple[Any, ...]:
    def elu_backward(dy: np.ndarray, saved: Any) -> np.ndarray:
        x, α = saved
        return dy * np.where(x.real > 0, 1, α * np.expm1(np.minimum(x.real, 0)))

    def selu_backward(dy: np.ndarray, x: np.ndarray) -> np.ndarray:
        λ, α = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
        return dy * λ * np.where(x.real > 0, 1, α * np.expm1(np.minimum(x.real, 0)))

    return elu_backward, selu_backward


@wrong_formula(
    "no gradient passes below 0, as in ReLU",
    *("LeakyReLU", "ELU"),
    of="leaky_relu_backward elu_backward",
    fix="below 0 the slope is not 0",
)
def _closed_below() -> tuple[Any, ...]:
    def leaky_relu_backward(dy: np.ndarray, saved: Any) -> np.ndarray:
        x, _ = saved
        return dy * (x.real > 0)

    def elu_backward(dy: np.ndarray, saved: Any) -> np.ndarray:
        x, _ = saved
        return dy * (x.real > 0)

    return leaky_relu_backward, elu_backward


@wrong_formula(
    "the sum is missing in the derivative of the softmax",
    *("Softmax", "LogSoftmax"),
    of="softmax_backward log_softmax_backward",
    fix="dx_i = y_i (dy_i - Σ_j dy_j y_j); of its logarithm dx_i = dy_i - y_i Σ_j dy_j",
)
def _no_sum() -> tuple[Any, ...]:
    def softmax_backward(dp: np.ndarray, saved: Any) -> np.ndarray:
        p, _ = saved
        return p * dp

    def log_softmax_backward(dy: np.ndarray, saved: Any) -> np.ndarray:
        y, _ = saved
        return dy - np.exp(y)

    return softmax_backward, log_softmax_backward


@wrong_formula(
    "the Jacobian of the softmax is only its diagonal",
    "LogSoftmax",
    of="log_softmax_backward",
    fix="dx_i = dy_i - y_i Σ_j dy_j: each output depends on all inputs",
)
def _log_diagonal(dy: np.ndarray, saved: Any) -> np.ndarray:
    y, _ = saved
    return dy - np.exp(y) * dy


@wrong_formula(
    "the sum in the derivative of the softmax runs along the wrong axis",
    *("Softmax", "LogSoftmax"),
    of="softmax_backward log_softmax_backward",
    fix="along the axis that sums to 1",
)
def _sum_along_another_axis() -> tuple[Any, ...]:
    def softmax_backward(dp: np.ndarray, saved: Any) -> np.ndarray:
        p, dim = saved
        return p * (dp - (p * dp).sum(axis=(dim + 1) % p.ndim, keepdims=True))

    def log_softmax_backward(dy: np.ndarray, saved: Any) -> np.ndarray:
        y, dim = saved
        return dy - np.exp(y) * dy.sum(axis=(dim + 1) % y.ndim, keepdims=True)

    return softmax_backward, log_softmax_backward


@wrong_formula(
    "the softmax runs along the wrong axis",
    *("Softmax", "LogSoftmax"),
    of="softmax log_softmax",
    fix="along the axis that is to sum to 1: the classes, not the samples",
)
def _another_axis() -> tuple[Any, ...]:
    def softmax(x: np.ndarray, dim: int) -> tuple[np.ndarray, Any]:
        dim = (dim + 1) % x.ndim
        e = np.exp(x - x.real.max(axis=dim, keepdims=True))
        p = e / e.sum(axis=dim, keepdims=True)
        return p, (p, dim)

    def log_softmax(x: np.ndarray, dim: int) -> tuple[np.ndarray, Any]:
        dim = (dim + 1) % x.ndim
        y = x - x.real.max(axis=dim, keepdims=True)
        y -= np.log(np.exp(y).sum(axis=dim, keepdims=True))
        return y, (y, dim)

    return softmax, log_softmax


# ---- conventions of losses


@wrong_formula(
    "the loss is half of the square",
    "MSELoss",
    of="mse_loss mse_loss_backward",
    fix="PyTorch's has no ½: (x - t)², whose derivative is 2 (x - t)",
)
def _half() -> tuple[Any, ...]:
    def mse_loss(x: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, Any]:
        return 0.5 * (x - t) ** 2, (x, t)

    def mse_loss_backward(dℓ: np.ndarray, saved: Any) -> np.ndarray:
        x, t = saved
        return (x - t) * dℓ

    return mse_loss, mse_loss_backward


_REDUCED = ("MSELoss", "L1Loss", "BCELoss", "BCEWithLogitsLoss", "NLLLoss", "CrossEntropyLoss")


@wrong_formula(
    "the loss is the sum instead of the mean",
    *_REDUCED,
    of="reduce",
    fix="PyTorch's default is the mean over all numbers; reduction='sum' is the sum",
)
def _sum_for_mean(ℓ: np.ndarray, reduction: str = "mean", total_weight: Any = None) -> tuple[Any, Any]:
    if reduction == "none":
        return ℓ, None
    return ℓ.sum(), (ℓ.shape, ℓ.dtype, 1)


@wrong_formula(
    "the loss is the mean over the samples alone",
    *("MSELoss", "L1Loss", "BCELoss", "BCEWithLogitsLoss"),
    of="reduce",
    fix="PyTorch's mean is over all numbers, samples times outputs",
)
def _mean_over_samples(ℓ: np.ndarray, reduction: str = "mean", total_weight: Any = None) -> tuple[Any, Any]:
    if reduction == "none":
        return ℓ, None
    Z = len(ℓ) if reduction == "mean" and ℓ.ndim else 1
    return ℓ.sum() / Z, (ℓ.shape, ℓ.dtype, Z)


def inside_the_logarithm(ε: float) -> list[Fault]:
    """The mistake, or the convention, of log(p + ε) for log p; p - t may stay the gradient, or follow it."""

    def binary_cross_entropy(x: np.ndarray, t: np.ndarray, weight: Any = None) -> tuple[np.ndarray, Any]:
        w = 1 if weight is None else weight
        return -w * (t * np.log(x + ε) + (1 - t) * np.log(1 - x + ε)), (x, t, w)

    def binary_cross_entropy_backward(dℓ: np.ndarray, saved: Any) -> np.ndarray:
        x, t, w = saved
        return w * ((1 - t) / (1 - x + ε) - t / (x + ε)) * dℓ

    def cross_entropy(*args: Any) -> tuple[np.ndarray, Any]:
        ℓ, saved = _cross_entropy(*args)
        log_p, q, *_ = saved
        return -(q * np.log(np.exp(log_p) + ε)).sum(axis=1).reshape(ℓ.shape), saved

    def cross_entropy_backward(dℓ: np.ndarray, saved: Any) -> np.ndarray:
        log_p, q, shape = saved
        p = np.exp(log_p)
        g = q * p / (p + ε)
        dx = (p * g.sum(axis=1, keepdims=True) - g) * dℓ.reshape(-1, 1)
        return (
            np.moveaxis(dx.reshape(shape[0], *shape[2:], -1), -1, 1) if len(shape) > 2 else dx.reshape(shape)
        )

    name = f"{ε:.0e} is added inside the logarithm: log(p + ε)".replace("e-0", "e-")
    fix = "PyTorch takes log p itself; clip p away from 0 instead, or compare with a reference that adds ε"
    binary: dict[str, Any] = {
        "binary_cross_entropy": binary_cross_entropy,
        "binary_cross_entropy_backward": binary_cross_entropy_backward,
    }
    classes: dict[str, Any] = {
        "cross_entropy": cross_entropy,
        "cross_entropy_backward": cross_entropy_backward,
    }
    return [
        Fault(name, fix, ("BCELoss",), formulas=binary),
        Fault(name, fix, ("CrossEntropyLoss",), formulas=classes),
        Fault(name, fix, ("CrossEntropyLoss",), formulas={"cross_entropy": cross_entropy}),
    ]


_cross_entropy = F.cross_entropy
for _ε in (1e-7, 1e-8):
    FAULTS += inside_the_logarithm(_ε)
