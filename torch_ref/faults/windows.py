"""Mistakes in what goes by windows: padding, convolutions."""

from typing import Any

import numpy as np

from scratch.functional.taps import at
from scratch.nn.conv import spread
from torch_ref.faults.fault import mistake


def _each(*kinds: str) -> tuple[str, ...]:
    return tuple(f"{kind}{axes}d" for kind in kinds for axes in (1, 2, 3))


_OVERLAP = "where windows overlap their gradients are overwritten instead of added up"
_ADD = "dx[…] += …, since an entry is in several windows"


def _padded_by(module: Any, axis: int) -> int:
    """How many numbers stand before x along the negative axis; 0 for "same" and "valid"."""
    if not isinstance(module.padding, tuple):
        return module.padding if isinstance(module.padding, int) else 0
    last_first = type(module).__name__ in _PADS
    return module.padding[2 * (-1 - axis) if last_first else axis]


_COPIES, _CONSTANT = _each("ReflectionPad", "ReplicationPad", "CircularPad"), _each("ConstantPad", "ZeroPad")
_PADS = (*_COPIES, *_CONSTANT)


@mistake(
    "the gradient of the padding is cut away at the wrong end",
    *_CONSTANT,
    *_each("MaxPool", "Conv"),
    fix="dx begins behind the padding: dx_padded[…, p : p + L]",
)
def _wrong_end(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    dx = right(dy, *args)
    for axis in range(-module.axes, 0):
        p = max(0, _padded_by(module, axis))
        shifted = np.zeros_like(dx)
        shifted[at(axis, slice(p, None))] = dx[at(axis, slice(0, max(0, dx.shape[axis] - p)))]
        dx = shifted
    return dx


@mistake(
    "the gradient of the copies in the padding is lost",
    *_COPIES,
    fix="dx is the sum over all places that show the same number",
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


# ---- convolutions

_CONVOLUTIONS = _each("Conv", "ConvTranspose")


def _turn_round(module: Any) -> None:
    """Turn the windows of weights round, and what gradient they have."""
    p = module.weight
    for array in (p.data,) if p.grad is None else (p.data, p.grad):
        array[...] = np.flip(array, tuple(range(2, array.ndim))).copy()


@mistake(
    "the window is turned round in forward",
    *_CONVOLUTIONS,
    method="forward backward",
    fix="PyTorch's convolution is a correlation: y_t = Σ_j W_j x_{t+j}",
)
def _true_convolution(module: Any, right: Any, *args: Any) -> Any:
    _turn_round(module)
    try:
        return right(*args)
    finally:
        _turn_round(module)


@mistake(
    "the window is not turned round in backward",
    *_each("Conv"),
    fix="dx is a correlation of dy with the window turned round: dx_i = Σ_j W_j dy_{i-j}",
)
def _not_turned(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    p = module.weight
    W = p.data.copy()
    p.data[...] = np.flip(W, tuple(range(2, W.ndim)))  # dW does not depend on W
    try:
        return right(dy, *args)
    finally:
        p.data[...] = W


@mistake(
    "the bias gradient is averaged over the places",
    *_CONVOLUTIONS,
    fix="sum dy over samples and places: the same b is added at each",
)
def _bias_mean(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    before = None if module.bias is None or module.bias.grad is None else module.bias.grad.copy()
    dx = right(dy, *args)
    if module.bias is not None:
        earlier = 0 if before is None else before
        places = np.prod(dy.shape[-module.axes :])
        module.bias.grad = (module.bias.grad - earlier) / places + earlier
    return dx


@mistake(_OVERLAP, *_each("Conv"), method="_spread", fix=_ADD)
def _spread_overwritten(module: Any, right: Any, dy: np.ndarray, shape: tuple[int, ...]) -> Any:
    dx, W = np.zeros_like(dy, shape=shape), module.weight.data
    for entry in np.ndindex(*module.kernel_size):
        only: Any = (..., *entry)
        one, where = np.zeros_like(W), np.zeros_like(W)
        one[only], where[only] = W[only], 1
        # What one entry of the window gives, and where it comes to stand.
        here = spread(np.ones_like(dy), where, module._window, shape) != 0
        dx[here] = spread(dy, one, module._window, shape)[here]
    return dx
