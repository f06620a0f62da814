"""Mistakes in recurrent layers."""

from collections.abc import Callable
from typing import Any

import numpy as np

from scratch.nn.activation import sigmoid
from torch_ref.faults.fault import FAULTS, Fault, mistake, scale_parameters

_LAYERS = ("RNN", "LSTM", "GRU")


@mistake(
    "parameter gradients are averaged over the time steps",
    *_LAYERS,
    fix="each step uses the same weights, so its gradients are summed",
)
def _averaged_over_time(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    time = 1 if module.batch_first and dy.ndim == 3 else 0
    return scale_parameters(module, right, 1 / dy.shape[time], dy, *args)


@mistake(
    "the error is not carried back through time",
    "RNN",
    method="_unroll_back",
    fix="dh of step t is dy_t and what step t + 1 hands back, W_hhᵀ da",
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


mistake(
    "the gates follow each other as i, f, o, g",
    *("LSTM", "LSTMCell"),
    method="forward backward",
    fix="PyTorch's order is i, f, g, o",
)(_with_swapped(2, 3))

mistake(
    "the gates follow each other as z, r, n",
    *("GRU", "GRUCell"),
    method="forward backward",
    fix="PyTorch's order is r, z, n",
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
        methods={"_unroll": _reset_first, "_unroll_back": _reset_first_back},
    )
)
