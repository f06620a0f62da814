"""The mistakes that people make in a backward pass, each one by name, each one to be switched on.

A fault replaces one method of a right module; ``inject`` gives a copy of a module that makes the mistake.
They serve three ends. The tests prove that every one of them is found. The diagnosis (diagnose.py) makes them
on purpose, to see which of them gives the very numbers of a gradient that is wrong. And whoever wants to
learn can switch one on and watch.

All were really made: in course work, in forum questions, in published libraries.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from scratch import nn
from scratch.nn.activation import sigmoid
from scratch.structure import leaves, like

PARAMETRIC = "any module with parameters"


@dataclass(frozen=True)
class Fault:
    """A mistake.

    Args:
        name: in a few words, as the diagnosis says it.
        remedy: what to do about it.
        kinds: the classes in which it can be made, by name, or PARAMETRIC.
        method: the method that it replaces.
        wrong: what takes its place: wrong(module, right, *args), where right(*args) is the right method.
    """

    name: str
    remedy: str
    kinds: tuple[str, ...]
    method: str
    wrong: Callable[..., Any]

    def applies(self, module: nn.Module) -> bool:
        """Whether it can be made in this module."""
        if PARAMETRIC in self.kinds:
            return any(True for _ in module.parameters(recurse=False))
        return type(module).__name__ in self.kinds


FAULTS: list[Fault] = []


def _fault(name: str, *kinds: str, remedy: str, method: str = "backward") -> Callable[[Any], Any]:
    def enter(wrong: Callable[..., Any]) -> Callable[..., Any]:
        FAULTS.append(Fault(name, remedy, kinds, method, wrong))
        return wrong

    return enter


def inject(fault: Fault, module: Any) -> Any:
    """A copy of ``module`` that makes the mistake."""
    broken = copy.deepcopy(module)
    switch_on(fault, broken)
    return broken


def switch_on(fault: Fault, module: Any) -> None:
    """Let ``module`` itself make the mistake from now on."""
    right = type(module)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return fault.wrong(self, partial(getattr(right, fault.method), self), *args, **kwargs)

    module.__class__ = type(right.__name__, (right,), {fault.method: method})


def faults_of(module: nn.Module) -> Iterator[Fault]:
    """Those that can be made in this module."""
    return (fault for fault in FAULTS if fault.applies(module))


# ---- sums and means


def _scale_parameters(module: Any, right: Any, factor: float, dy: Any, *args: Any) -> Any:
    before = [0 if p.grad is None else p.grad.copy() for p in module.parameters()]
    dx = right(dy, *args)
    for p, earlier in zip(module.parameters(), before, strict=True):
        p.grad = (p.grad - earlier) * factor + earlier
    return dx


@_fault(
    "parameter gradients divided by the batch size",
    PARAMETRIC,
    remedy="sum over the samples; the 1/N belongs to the loss alone",
)
def _averaged(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    return _scale_parameters(module, right, 1 / len(dy), dy, *args)


@_fault(
    "parameter gradients multiplied by the batch size",
    PARAMETRIC,
    remedy="the sum over the samples is done by the matrix product already",
)
def _multiplied(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    return _scale_parameters(module, right, len(dy), dy, *args)


@_fault("the sign of all gradients is wrong", PARAMETRIC, remedy="dL/dy comes in; pass on dL/dx, not -dL/dx")
def _negated(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    dx = _scale_parameters(module, right, -1, dy, *args)
    return like(dx, (None if g is None else -g for _, g in leaves(dx)))


def _change_bias(
    module: Any, right: Any, difference: Callable[[np.ndarray], Any], dy: Any, *args: Any
) -> Any:
    dx = right(dy, *args)
    if module.bias is not None:
        module.bias.grad = module.bias.grad + difference(dy.reshape(-1, dy.shape[-1]))
    return dx


@_fault("the bias gradient is that of the last sample", "Linear", remedy="sum dy over the samples")
def _last_sample(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    return _change_bias(module, right, lambda rows: rows[-1] - rows.sum(axis=0), dy, *args)


@_fault("the bias gradient is averaged over the batch", "Linear", remedy="sum dy over the samples")
def _bias_mean(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    return _change_bias(module, right, lambda rows: rows.mean(axis=0) - rows.sum(axis=0), dy, *args)


@_fault(
    "gradients are overwritten instead of added up",
    PARAMETRIC,
    remedy="grad += …, since a module used twice, or a second mini-batch, adds to it",
)
def _overwritten(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    for p in module.parameters():
        p.grad = None
    return right(dy, *args)


# ---- matrices


@_fault("the weight gradient is transposed", "Linear", remedy="dW = dyᵀ x for y = x Wᵀ")
def _transposed(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    dx = right(dy, *args)
    if module.weight.shape[0] == module.weight.shape[1]:
        module.weight.grad = module.weight.grad.T.copy()
    return dx


@_fault("the error is passed on through Wᵀ instead of W", "Linear", remedy="dx = dy W for y = x Wᵀ")
def _through_transpose(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    dx = right(dy, *args)
    return dy @ module.weight.data.T if module.weight.shape[0] == module.weight.shape[1] else dx


@_fault(
    "the weights are updated before the error has passed through them",
    "Linear",
    remedy="finish the backward of all layers, then update",
)
def _stale(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    dx = right(dy, *args)
    return dx - 0.1 * (dy @ module.weight.grad)


# ---- activations


@_fault(
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
    remedy="dx = dy f'(x), not dy",
)
def _no_derivative(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    right(dy, *args)
    return dy.copy()


@_fault(
    "the derivative is taken at the input instead of the output",
    "Sigmoid",
    method="_slope",
    remedy="y (1 - y), y the output",
)
def _sigmoid_at_input(module: Any, right: Any, y: np.ndarray) -> Any:
    with np.errstate(all="ignore"):  # where y has become 0 or 1
        x = np.log(y / (1 - y))
        return x * (1 - x)


@_fault(
    "the derivative is taken at the output instead of the input",
    "Sigmoid",
    method="_slope",
    remedy="y (1 - y), y the output",
)
def _sigmoid_twice(module: Any, right: Any, y: np.ndarray) -> Any:
    return sigmoid(y) * (1 - sigmoid(y))


@_fault(
    "the derivative is taken at the output instead of the input",
    "Tanh",
    method="_slope",
    remedy="1 - y², y the output",
)
def _tanh_twice(module: Any, right: Any, y: np.ndarray) -> Any:
    return 1 - np.tanh(y) ** 2


@_fault("the square is missing in 1 - y²", "Tanh", method="_slope", remedy="1 - y², y the output")
def _tanh_no_square(module: Any, right: Any, y: np.ndarray) -> Any:
    return 1 - y


@_fault(
    "the mask is taken from the sign of the error", "ReLU", "LeakyReLU", remedy="mask where x > 0, not dy > 0"
)
def _guided(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    right(dy, *args)
    return np.where(dy > 0, dy, dy * getattr(module, "negative_slope", 0))


@_fault(
    "the slope at 0 is 1",
    *("ReLU", "LeakyReLU"),
    method="_f",
    remedy="PyTorch takes the left slope at 0: x > 0, not x >= 0",
)
def _slope_at_zero(module: Any, right: Any, x: np.ndarray) -> Any:
    y, *kept = right(x)
    # What is kept tells the slope, by its sign or by its value.
    return y, *(np.where(x.real == 0, x.dtype.type(1), each) for each in kept)


@_fault(
    "the tanh approximation of GELU for the exact one",
    "GELU",
    method="forward",
    remedy="GELU is x Φ(x) by erf, unless approximate='tanh'",
)
def _other_gelu(module: Any, right: Any, x: np.ndarray) -> Any:
    module.approximate = "none" if module.approximate == "tanh" else "tanh"
    return right(x)


@_fault(
    "the Jacobian of the softmax is only its diagonal",
    "Softmax",
    remedy="dx_i = y_i (dy_i - Σ_j dy_j y_j): each output depends on all inputs",
)
def _diagonal(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    (y,) = module._saved[-1]
    right(dy, *args)
    return dy * y * (1 - y)


@_fault(
    "the Jacobian of the softmax is applied twice",
    "CrossEntropyLoss",
    remedy="p - t is the gradient of softmax and loss together",
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


@_fault(
    "the mean's 1/N is missing in the loss's gradient", *_LOSSES, remedy="divide by what the loss divides by"
)
def _no_mean(module: Any, right: Any, dy: Any = 1.0, *args: Any) -> Any:
    dx = right(dy, *args)
    return dx * (len(dx) if module.reduction == "mean" else 1)


@_fault("the factor 2 of the square is missing", "MSELoss", remedy="d(x - t)² = 2 (x - t) dx")
def _no_two(module: Any, right: Any, dy: Any = 1.0, *args: Any) -> Any:
    return right(dy, *args) / 2


@_fault("softmax before CrossEntropyLoss", "CrossEntropyLoss", method="forward", remedy="give it logits")
def _softmax_before(module: Any, right: Any, x: np.ndarray, target: np.ndarray) -> Any:
    e = np.exp(x - np.max(x.real, axis=min(1, x.ndim - 1), keepdims=True))
    return right(e / np.sum(e, axis=min(1, x.ndim - 1), keepdims=True), target)


@_fault(
    "the sigmoid's derivative is applied although the loss takes logits",
    "BCEWithLogitsLoss",
    method="_unweighted",
    remedy="p - t is the gradient of sigmoid and loss together",
)
def _sigmoid_slope(module: Any, right: Any, x: np.ndarray, target: np.ndarray) -> Any:
    losses, slopes = right(x, target)
    return losses, slopes * sigmoid(x) * (1 - sigmoid(x))


# ---- dropout


@_fault("the dropout mask is drawn anew in backward", "Dropout", remedy="keep the mask of the forward")
def _redrawn(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    right(dy, *args)
    mask = np.random.default_rng(0).random(dy.shape) < 1 - module.p
    return dy * mask / (1 - module.p)


@_fault(
    "dropout does not scale the gradient by 1/(1-p)",
    "Dropout",
    remedy="dx = m dy, with the mask of the forward",
)
def _unscaled_gradient(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    return right(dy, *args) * (1 - module.p)


@_fault(
    "dropout does not scale what it keeps by 1/(1-p)", "Dropout", method="forward", remedy="y = m x / (1-p)"
)
def _unscaled(module: Any, right: Any, x: np.ndarray) -> Any:
    return right(x) * (1 - module.p)
