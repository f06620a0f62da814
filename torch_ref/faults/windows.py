"""Mistakes in pooling."""

from typing import Any

import numpy as np

from scratch.nn.taps import Taps, at, resized
from torch_ref.faults.fault import mistake


def _each(*kinds: str) -> tuple[str, ...]:
    return tuple(f"{kind}{axes}d" for kind in kinds for axes in (1, 2, 3))


_MAX, _MEAN = _each("MaxPool", "AdaptiveMaxPool"), _each("AvgPool", "AdaptiveAvgPool")


@mistake(
    "the gradient goes to every entry that equals the maximum",
    *_MAX,
    method="_largest",
    fix="to the first of them, in PyTorch: keep its position in forward",
)
def _to_all_equals(module: Any, right: Any, x: np.ndarray, axis: int, taps: Taps) -> Any:
    y, _ = right(x, axis, taps)
    return y, [x[at(axis, t.inputs)].real == y[at(axis, t.outputs)].real for t in taps.taps]


@mistake(
    "of equal maxima the last one gets the gradient",
    *_MAX,
    method="_beats",
    fix="the first one, in PyTorch: > where the next entry is compared with the largest so far, not >=",
)
def _last_of_ties(module: Any, right: Any, new: np.ndarray, old: np.ndarray) -> Any:
    return right(new, old) | (new.real == old.real)


@mistake(
    "the gradient goes to all entries of the window",
    *_MAX,
    method="_hand_back",
    fix="to the maximum alone: y does not change with the others",
)
def _to_all_entries(module: Any, right: Any, dy: np.ndarray, axis: int, taps: Taps, won: Any) -> Any:
    return right(dy, axis, taps, [np.ones_like(each) for each in won])


@mistake("the gradient is not divided by the size of the window", *_MEAN, fix="dx = dy / D, as y = Σ x / D")
def _not_divided(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    divisor = module._saved[-1][-1]
    return right(dy * divisor, *args)


_OVERLAP = "where windows overlap their gradients are overwritten instead of added up"
_ADD = "dx[…] += …, since an entry is in several windows"


@mistake(_OVERLAP, *_MAX, method="_hand_back", fix=_ADD)
def _max_overwritten(module: Any, right: Any, dy: np.ndarray, axis: int, taps: Taps, won: Any) -> Any:
    dx = np.zeros_like(dy, shape=resized(dy, axis, taps.length))
    for (_, outputs, inputs), is_largest in zip(taps.taps, won, strict=True):
        here = at(axis, inputs)
        dx[here] = np.where(is_largest, dy[at(axis, outputs)], dx[here])
    return dx


@mistake(_OVERLAP, *_MEAN, fix=_ADD)
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


@mistake(
    "the gradient of the padding is cut away at the wrong end",
    *_each("MaxPool"),
    fix="dx begins behind the padding: dx_padded[…, p : p + L]",
)
def _wrong_end(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    dx = right(dy, *args)
    for axis in range(-module.axes, 0):
        p = module.padding if isinstance(module.padding, int) else module.padding[axis]
        shifted = np.zeros_like(dx)
        shifted[at(axis, slice(p, None))] = dx[at(axis, slice(0, max(0, dx.shape[axis] - p)))]
        dx = shifted
    return dx
