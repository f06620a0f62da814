"""The mistakes that people make in a backward pass, each one by name, each one to be switched on.

A fault replaces a method of a right module, or two; ``inject`` gives a copy of a module that makes the
mistake. They serve three ends. The tests prove that every one of them is found. The diagnosis (diagnose.py)
makes them on purpose, to see which of them gives the very numbers of a gradient that is wrong. And whoever
wants to learn can switch one on and watch.

All were really made: in course work, in forum questions, in published libraries.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from scratch import nn
from scratch.nn.activation import sigmoid
from scratch.nn.taps import Taps, at, resized
from scratch.structure import leaves, like

PARAMETRIC = "any module with parameters"


@dataclass(frozen=True)
class Fault:
    """A mistake.

    Args:
        name: in a few words, as the diagnosis says it.
        remedy: what to do about it.
        kinds: the classes in which it can be made, by name, or PARAMETRIC.
        methods: the methods that it replaces, and what takes the place of each: wrong(module, right, *args),
            where right(*args) is the right method.
    """

    name: str
    remedy: str
    kinds: tuple[str, ...]
    methods: Mapping[str, Callable[..., Any]]

    def applies(self, module: nn.Module) -> bool:
        """Whether it can be made in this module."""
        if PARAMETRIC in self.kinds:
            return any(True for _ in module.parameters(recurse=False))
        return type(module).__name__ in self.kinds


FAULTS: list[Fault] = []


def _fault(name: str, *kinds: str, remedy: str, method: str = "backward") -> Callable[[Any], Any]:
    """Enter a function as a mistake; ``method`` names what it replaces, two methods with a space between."""

    def enter(wrong: Callable[..., Any]) -> Callable[..., Any]:
        FAULTS.append(Fault(name, remedy, kinds, dict.fromkeys(method.split(), wrong)))
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

    def replacing(name: str, wrong: Callable[..., Any]) -> Callable[..., Any]:
        return lambda self, *args, **kwargs: wrong(self, partial(getattr(right, name), self), *args, **kwargs)

    methods = {name: replacing(name, wrong) for name, wrong in fault.methods.items()}
    module.__class__ = type(right.__name__, (right,), methods)


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


def _batch_size(module: Any, dy: np.ndarray) -> int:
    """Recurrent layers have their batch on the second axis, as a rule."""
    if getattr(module, "batch_first", True):
        return len(dy)
    return dy.shape[1] if dy.ndim == 3 else 1


@_fault(
    "parameter gradients divided by the batch size",
    PARAMETRIC,
    remedy="sum over the samples; the 1/N belongs to the loss alone",
)
def _averaged(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    return _scale_parameters(module, right, 1 / _batch_size(module, dy), dy, *args)


@_fault(
    "parameter gradients multiplied by the batch size",
    PARAMETRIC,
    remedy="the sum over the samples is done by the matrix product already",
)
def _multiplied(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    return _scale_parameters(module, right, _batch_size(module, dy), dy, *args)


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


# ---- pooling and padding


def _each(*kinds: str) -> tuple[str, ...]:
    return tuple(f"{kind}{axes}d" for kind in kinds for axes in (1, 2, 3))


_MAX, _MEAN = _each("MaxPool", "AdaptiveMaxPool"), _each("AvgPool", "AdaptiveAvgPool")


@_fault(
    "the gradient goes to every entry that equals the maximum",
    *_MAX,
    method="_largest",
    remedy="to the first of them, in PyTorch: keep its position in forward",
)
def _to_all_equals(module: Any, right: Any, x: np.ndarray, axis: int, taps: Taps) -> Any:
    y, _ = right(x, axis, taps)
    return y, [x[at(axis, t.inputs)].real == y[at(axis, t.outputs)].real for t in taps.taps]


@_fault(
    "of equal maxima the last one gets the gradient",
    *_MAX,
    method="_beats",
    remedy="the first one, in PyTorch: > where the next entry is compared with the largest so far, not >=",
)
def _last_of_ties(module: Any, right: Any, new: np.ndarray, old: np.ndarray) -> Any:
    return right(new, old) | (new.real == old.real)


@_fault(
    "the gradient goes to all entries of the window",
    *_MAX,
    method="_hand_back",
    remedy="to the maximum alone: y does not change with the others",
)
def _to_all_entries(module: Any, right: Any, dy: np.ndarray, axis: int, taps: Taps, won: Any) -> Any:
    return right(dy, axis, taps, [np.ones_like(each) for each in won])


@_fault("the gradient is not divided by the size of the window", *_MEAN, remedy="dx = dy / D, as y = Σ x / D")
def _not_divided(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    divisor = module._saved[-1][-1]
    return right(dy * divisor, *args)


_OVERLAP = "where windows overlap their gradients are overwritten instead of added up"
_ADD = "dx[…] += …, since an entry is in several windows"


@_fault(_OVERLAP, *_MAX, method="_hand_back", remedy=_ADD)
def _max_overwritten(module: Any, right: Any, dy: np.ndarray, axis: int, taps: Taps, won: Any) -> Any:
    dx = np.zeros_like(dy, shape=resized(dy, axis, taps.length))
    for (_, outputs, inputs), is_largest in zip(taps.taps, won, strict=True):
        here = at(axis, inputs)
        dx[here] = np.where(is_largest, dy[at(axis, outputs)], dx[here])
    return dx


@_fault(_OVERLAP, *_MEAN, remedy=_ADD)
def _mean_overwritten(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    *_, steps, divisor = module._saved[-1]
    right(dy, *args)
    dx = dy / divisor
    for axis, taps in steps:
        wider = np.zeros_like(dx, shape=resized(dx, axis, taps.length))
        for _, outputs, inputs in taps.taps:
            wider[at(axis, inputs)] = dx[at(axis, outputs)]
        dx = wider
    return dx


def _padded_by(module: Any, axis: int) -> int:
    """How many numbers stand before x along the negative axis."""
    if not isinstance(module.padding, tuple):
        return module.padding
    last_first = type(module).__name__ in _PADS
    return module.padding[2 * (-1 - axis) if last_first else axis]


_COPIES, _CONSTANT = _each("ReflectionPad", "ReplicationPad", "CircularPad"), _each("ConstantPad", "ZeroPad")
_PADS = (*_COPIES, *_CONSTANT)


@_fault(
    "the gradient of the padding is cut away at the wrong end",
    *_CONSTANT,
    *_each("MaxPool"),
    remedy="dx begins behind the padding: dx_padded[…, p : p + L]",
)
def _wrong_end(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    dx = right(dy, *args)
    for axis in range(-module.axes, 0):
        p = max(0, _padded_by(module, axis))
        shifted = np.zeros_like(dx)
        shifted[at(axis, slice(p, None))] = dx[at(axis, slice(0, max(0, dx.shape[axis] - p)))]
        dx = shifted
    return dx


@_fault(
    "the gradient of the copies in the padding is lost",
    *_COPIES,
    remedy="dx is the sum over all places that show the same number",
)
def _copies_lost(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    dx = np.zeros_like(right(dy, *args))
    here: tuple[Any, ...] = (...,)
    there = here
    for axis in range(-module.axes, 0):
        left, right_end = module.padding[2 * (-1 - axis) : 2 * (-1 - axis) + 2]
        length = dx.shape[axis]
        here = (*here, slice(max(0, -left), length - max(0, -right_end)))
        there = (*there, slice(max(0, left), dy.shape[axis] - max(0, right_end)))
    dx[here] = dy[there]
    return dx


# ---- recurrent layers

_LAYERS = ("RNN", "LSTM", "GRU")


@_fault(
    "parameter gradients are averaged over the time steps",
    *_LAYERS,
    remedy="each step uses the same weights, so its gradients are summed",
)
def _averaged_over_time(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    time = 1 if module.batch_first and dy.ndim == 3 else 0
    return _scale_parameters(module, right, 1 / dy.shape[time], dy, *args)


@_fault(
    "the error is not carried back through time",
    "RNN",
    method="_unroll_back",
    remedy="dh of step t is dy_t and what step t + 1 hands back, W_hhᵀ da",
)
def _no_time(module: Any, right: Any, dy: np.ndarray, dend: Any, states: Any, kept: Any, suffix: str) -> Any:
    steps = []
    for t in range(len(dy)):
        end = dend if t == len(dy) - 1 else tuple(np.zeros_like(d) for d in dend)
        steps.append(right(dy[t : t + 1], end, tuple(s[t : t + 2] for s in states), kept, suffix))
    da = np.concatenate([each for each, _, _ in steps])
    return da, da, steps[0][2]


def _swap_gates(module: Any, first: int, second: int) -> None:
    for name, p in module.named_parameters():
        if "weight_hr" not in name:
            for array in (p.data,) if p.grad is None else (p.data, p.grad):
                blocks = array.reshape(module._gates, -1)
                blocks[[first, second]] = blocks[[second, first]]


def _with_swapped(first: int, second: int) -> Callable[..., Any]:
    def wrong(module: Any, right: Any, *args: Any) -> Any:
        _swap_gates(module, first, second)
        try:
            return right(*args)
        finally:
            _swap_gates(module, first, second)

    return wrong


_fault(
    "the gates follow each other as i, f, o, g",
    *("LSTM", "LSTMCell"),
    method="forward backward",
    remedy="PyTorch's order is i, f, g, o",
)(_with_swapped(2, 3))

_fault(
    "the gates follow each other as z, r, n",
    *("GRU", "GRUCell"),
    method="forward backward",
    remedy="PyTorch's order is r, z, n",
)(_with_swapped(0, 1))


def _reset_first(module: Any, right: Any, a: np.ndarray, start: Any, suffix: str) -> Any:
    """n = tanh(a_n + b_n + W_n (r h)), where PyTorch has n = tanh(a_n + r (W_n h + b_n))."""
    W, hs = module._blocks("weight_hh", suffix).swapaxes(1, 2), [start[0]]
    b = module._blocks("bias_hh", suffix) if module.bias else np.zeros_like(a, shape=(3, 1, 1))
    a = a.copy()
    for t in range(a.shape[1]):
        h = hs[-1]
        r, z = a[:2, t] = sigmoid(a[:2, t] + np.matmul(h, W[:2]) + b[:2])
        n = a[2, t] = np.tanh(a[2, t] + np.matmul(r * h, W[2]) + b[2])
        hs.append(n + z * (h - n))
    return (np.stack(hs),), (a, suffix)


def _reset_first_back(
    module: Any, right: Any, dy: np.ndarray, dend: Any, states: Any, kept: Any, suffix: str
) -> Any:
    """Its derivative. W_hh's third block meets r h, not h: its gradient is put in place here."""
    (dh,), hs, (r, z, n) = dend, states[0], kept[0]
    W, weight = module._blocks("weight_hh", suffix), module._weight("weight_hh", suffix)
    da = np.empty_like(kept[0])
    extra = np.zeros_like(W[2])
    for t in reversed(range(len(dy))):
        h, dh = hs[t], dh + dy[t]
        da[2, t] = dh * (1 - z[t]) * (1 - n[t] * n[t])
        da[1, t] = dh * (h - n[t]) * z[t] * (1 - z[t])
        d_rh = np.matmul(da[2, t], W[2])
        da[0, t] = d_rh * h * r[t] * (1 - r[t])
        dh = dh * z[t] + d_rh * r[t] + np.matmul(da[0, t], W[0]) + np.matmul(da[1, t], W[1])
        extra += np.matmul(da[2, t].T, (r[t] - 1) * h)
    weight.accumulate(np.concatenate, [np.zeros_like(W[0]), np.zeros_like(W[1]), extra])
    rows = np.moveaxis(da, 0, 2).reshape(-1, 3 * da.shape[-1])
    return rows, rows, (dh,)


FAULTS.append(
    Fault(
        "the reset gate stands before the product",
        "PyTorch has n = tanh(a_n + r (W h + b)); W (r h), as in the paper, is another function",
        ("GRU", "GRUCell"),
        {"_unroll": _reset_first, "_unroll_back": _reset_first_back},
    )
)
