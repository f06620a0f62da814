"""Mistakes in recurrent layers."""

from collections.abc import Callable
from typing import Any

import numpy as np

from scratch import functional as F
from scratch.functional.elementary import sigma
from torch_ref.faults.fault import wrong_formula

Pair = tuple[Callable[..., Any], Callable[..., Any]]


@wrong_formula(
    "parameter gradients are averaged over the time steps",
    "RNN",
    of="rnn_backward",
    fix="each step uses the same weights, so its gradients are summed",
)
def _rnn_averaged(dy: Any, saved: Any, need_dx: bool = True) -> tuple[Any, ...]:
    dys, dh = dy
    dx, dW = [], []
    for dy_t, saved_t in zip(dys[::-1], saved[::-1], strict=True):
        dx_t, dh, *dW_t = F.rnn_cell_backward(dy_t + dh, saved_t, need_dx)
        dx.append(dx_t)
        dW.append(dW_t)
    dW_sum = [None if steps[0] is None else sum(steps) / len(steps) for steps in zip(*dW, strict=True)]
    return np.stack(dx[::-1]) if need_dx else None, dh, *dW_sum


@wrong_formula(
    "parameter gradients are averaged over the time steps",
    "LSTM",
    of="lstm_backward",
    fix="each step uses the same weights, so its gradients are summed",
)
def _lstm_averaged(dy: Any, saved: Any, need_dx: bool = True) -> tuple[Any, ...]:
    dys, dh, dc = dy
    dx, dW = [], []
    for dy_t, saved_t in zip(dys[::-1], saved[::-1], strict=True):
        dx_t, dh, dc, *dW_t = F.lstm_cell_backward((dy_t + dh, dc), saved_t, need_dx)
        dx.append(dx_t)
        dW.append(dW_t)
    dW_sum = [None if steps[0] is None else sum(steps) / len(steps) for steps in zip(*dW, strict=True)]
    return np.stack(dx[::-1]) if need_dx else None, dh, dc, *dW_sum


@wrong_formula(
    "parameter gradients are averaged over the time steps",
    "GRU",
    of="gru_backward",
    fix="each step uses the same weights, so its gradients are summed",
)
def _gru_averaged(dy: Any, saved: Any, need_dx: bool = True) -> tuple[Any, ...]:
    dys, dh = dy
    dx, dW = [], []
    for dy_t, saved_t in zip(dys[::-1], saved[::-1], strict=True):
        dx_t, dh, *dW_t = F.gru_cell_backward(dy_t + dh, saved_t, need_dx)
        dx.append(dx_t)
        dW.append(dW_t)
    dW_sum = [None if steps[0] is None else sum(steps) / len(steps) for steps in zip(*dW, strict=True)]
    return np.stack(dx[::-1]) if need_dx else None, dh, *dW_sum


@wrong_formula(
    "the error is not carried back through time",
    "RNN",
    of="rnn_backward",
    fix="dh of step t is dy_t and the dh that step t + 1 hands back, W_hhᵀ da",
)
def _no_time(dy: Any, saved: Any, need_dx: bool = True) -> tuple[Any, ...]:
    dys, dh = dy
    dx, dW = [], []
    for dy_t, saved_t in zip(dys[::-1], saved[::-1], strict=True):
        dx_t, dh, *dW_t = F.rnn_cell_backward(dy_t, saved_t, need_dx)
        dx.append(dx_t)
        dW.append(dW_t)
    dW_sum = [None if steps[0] is None else sum(steps) for steps in zip(*dW, strict=True)]
    return np.stack(dx[::-1]) if need_dx else None, dh, *dW_sum


@wrong_formula(
    "the gates follow each other as i, f, o, g",
    *("LSTM", "LSTMCell"),
    of="lstm_cell lstm_cell_backward",
    fix="PyTorch's order is i, f, g, o",
)
def _ifog() -> Pair:
    def lstm_cell(
        x: Any, h: Any, c: Any, W_ih: Any, W_hh: Any, b_ih: Any = None, b_hh: Any = None, W_hr: Any = None
    ) -> tuple[Any, Any]:
        a_x, saved_x = F.linear(x, W_ih, b_ih)
        a_h, saved_h = F.linear(h, W_hh, b_hh)
        i, f, o, g = np.split(a_x + a_h, 4, axis=-1)
        i, f, g, o = sigma(i), sigma(f), np.tanh(g), sigma(o)
        c_next = f * c + i * g
        tanh_c = np.tanh(c_next)
        m = o * tanh_c
        h_next, saved_m = (m, None) if W_hr is None else F.linear(m, W_hr)
        return (h_next, c_next), (saved_x, saved_h, saved_m, i, f, g, o, c, tanh_c)

    def lstm_cell_backward(dy: Any, saved: Any, need_dx: bool = True) -> tuple[Any, ...]:
        saved_x, saved_h, saved_m, i, f, g, o, c, tanh_c = saved
        dh_next, dc_next = dy
        dm, dW_hr, _ = (dh_next, None, None) if saved_m is None else F.linear_backward(dh_next, saved_m)
        dc = dc_next + dm * o * (1 - tanh_c * tanh_c)
        da_i = dc * g * i * (1 - i)
        da_f = dc * c * f * (1 - f)
        da_g = dc * i * (1 - g * g)
        da_o = dm * tanh_c * o * (1 - o)
        da = np.concatenate([da_i, da_f, da_o, da_g], axis=-1)
        dx, dW_ih, db_ih = F.linear_backward(da, saved_x, need_dx)
        dh, dW_hh, db_hh = F.linear_backward(da, saved_h)
        return dx, dh, dc * f, dW_ih, dW_hh, db_ih, db_hh, dW_hr

    return lstm_cell, lstm_cell_backward


@wrong_formula(
    "the gates follow each other as z, r, n",
    *("GRU", "GRUCell"),
    of="gru_cell gru_cell_backward",
    fix="PyTorch's order is r, z, n",
)
def _zrn() -> Pair:
    def gru_cell(x: Any, h: Any, W_ih: Any, W_hh: Any, b_ih: Any = None, b_hh: Any = None) -> tuple[Any, Any]:
        a, saved_x = F.linear(x, W_ih, b_ih)
        u, saved_h = F.linear(h, W_hh, b_hh)
        a_z, a_r, a_n = np.split(a, 3, axis=-1)
        u_z, u_r, u_n = np.split(u, 3, axis=-1)
        r = sigma(a_r + u_r)
        z = sigma(a_z + u_z)
        n = np.tanh(a_n + r * u_n)
        h_next = (1 - z) * n + z * h
        return h_next, (saved_x, saved_h, r, z, n, u_n, h)

    def gru_cell_backward(dh_next: Any, saved: Any, need_dx: bool = True) -> tuple[Any, ...]:
        saved_x, saved_h, r, z, n, u_n, h = saved
        da_n = dh_next * (1 - z) * (1 - n * n)
        da_z = dh_next * (h - n) * z * (1 - z)
        da_r = da_n * u_n * r * (1 - r)
        da = np.concatenate([da_z, da_r, da_n], axis=-1)
        du = np.concatenate([da_z, da_r, da_n * r], axis=-1)
        dx, dW_ih, db_ih = F.linear_backward(da, saved_x, need_dx)
        dh, dW_hh, db_hh = F.linear_backward(du, saved_h)
        return dx, dh_next * z + dh, dW_ih, dW_hh, db_ih, db_hh

    return gru_cell, gru_cell_backward


@wrong_formula(
    "the reset gate stands before the product",
    *("GRU", "GRUCell"),
    of="gru_cell gru_cell_backward",
    fix="PyTorch has n = tanh(a_n + r (W h + b)); W (r h), as in the paper, is another function",
)
def _reset_first() -> Pair:
    def gru_cell(x: Any, h: Any, W_ih: Any, W_hh: Any, b_ih: Any = None, b_hh: Any = None) -> tuple[Any, Any]:
        W_rz, W_n = np.split(W_hh, [2 * h.shape[-1]])
        b_rz, b_n = (None, None) if b_hh is None else np.split(b_hh, [2 * h.shape[-1]])
        a, saved_x = F.linear(x, W_ih, b_ih)
        u, saved_h = F.linear(h, W_rz, b_rz)
        a_r, a_z, a_n = np.split(a, 3, axis=-1)
        u_r, u_z = np.split(u, 2, axis=-1)
        r = sigma(a_r + u_r)
        z = sigma(a_z + u_z)
        u_n, saved_rh = F.linear(r * h, W_n, b_n)
        n = np.tanh(a_n + u_n)
        h_next = (1 - z) * n + z * h
        return h_next, (saved_x, saved_h, saved_rh, r, z, n, h)

    def gru_cell_backward(dh_next: Any, saved: Any, need_dx: bool = True) -> tuple[Any, ...]:
        saved_x, saved_h, saved_rh, r, z, n, h = saved
        da_n = dh_next * (1 - z) * (1 - n * n)
        da_z = dh_next * (h - n) * z * (1 - z)
        d_rh, dW_n, db_n = F.linear_backward(da_n, saved_rh)
        da_r = d_rh * h * r * (1 - r)
        da = np.concatenate([da_r, da_z, da_n], axis=-1)
        du = np.concatenate([da_r, da_z], axis=-1)
        dx, dW_ih, db_ih = F.linear_backward(da, saved_x, need_dx)
        dh, dW_rz, db_rz = F.linear_backward(du, saved_h)
        dW_hh = np.concatenate([dW_rz, dW_n])
        db_hh = None if db_rz is None else np.concatenate([db_rz, db_n])
        return dx, dh_next * z + d_rh * r + dh, dW_ih, dW_hh, db_ih, db_hh

    return gru_cell, gru_cell_backward


_STEP_BEFORE = "the error is not carried back through time"


@wrong_formula(
    _STEP_BEFORE,
    "GRU",
    of="gru_backward",
    fix="dh of step t is dy_t and the dh that step t + 1 hands back",
)
def _gru_no_time(dy: Any, saved: Any, need_dx: bool = True) -> tuple[Any, ...]:
    dys, dh = dy
    dx, dW = [], []
    for dy_t, saved_t in zip(dys[::-1], saved[::-1], strict=True):
        dx_t, dh, *dW_t = F.gru_cell_backward(dy_t, saved_t, need_dx)
        dx.append(dx_t)
        dW.append(dW_t)
    dW_sum = [None if steps[0] is None else sum(steps) for steps in zip(*dW, strict=True)]
    return np.stack(dx[::-1]) if need_dx else None, dh, *dW_sum


@wrong_formula(
    _STEP_BEFORE,
    "LSTM",
    of="lstm_backward",
    fix="dh and dc of step t are handed on to step t - 1",
)
def _lstm_no_time(dy: Any, saved: Any, need_dx: bool = True) -> tuple[Any, ...]:
    dys, dh, dc = dy
    dx, dW = [], []
    for dy_t, saved_t in zip(dys[::-1], saved[::-1], strict=True):
        dx_t, dh, dc, *dW_t = F.lstm_cell_backward((dy_t, np.zeros_like(dc)), saved_t, need_dx)
        dx.append(dx_t)
        dW.append(dW_t)
    dW_sum = [None if steps[0] is None else sum(steps) for steps in zip(*dW, strict=True)]
    return np.stack(dx[::-1]) if need_dx else None, dh, dc, *dW_sum


@wrong_formula(
    "the gradient of the memory is not carried back through time",
    "LSTM",
    of="lstm_backward",
    fix="dc of step t is f dc of step t + 1 and what comes by h",
)
def _memory_cut(dy: Any, saved: Any, need_dx: bool = True) -> tuple[Any, ...]:
    dys, dh, dc = dy
    dx, dW = [], []
    for dy_t, saved_t in zip(dys[::-1], saved[::-1], strict=True):
        dx_t, dh, before, *dW_t = F.lstm_cell_backward((dy_t + dh, dc), saved_t, need_dx)
        dc = np.zeros_like(before)
        dx.append(dx_t)
        dW.append(dW_t)
    dW_sum = [None if steps[0] is None else sum(steps) for steps in zip(*dW, strict=True)]
    return np.stack(dx[::-1]) if need_dx else None, dh, before, *dW_sum


@wrong_formula(
    "the gradient of the last memory is ignored",
    "LSTM",
    of="lstm_backward",
    fix="the backward through time starts with dc of the last memory, not with 0",
)
def _last_memory(dy: Any, saved: Any, need_dx: bool = True) -> tuple[Any, ...]:
    dys, dh, dc = dy
    dc = np.zeros_like(dc)
    dx, dW = [], []
    for dy_t, saved_t in zip(dys[::-1], saved[::-1], strict=True):
        dx_t, dh, dc, *dW_t = F.lstm_cell_backward((dy_t + dh, dc), saved_t, need_dx)
        dx.append(dx_t)
        dW.append(dW_t)
    dW_sum = [None if steps[0] is None else sum(steps) for steps in zip(*dW, strict=True)]
    return np.stack(dx[::-1]) if need_dx else None, dh, dc, *dW_sum


@wrong_formula(
    "the square is missing in 1 - h²",
    *("RNN", "RNNCell"),
    of="rnn_cell_backward",
    fix="h = tanh a, so da = (1 - h²) dh",
)
def _no_square(dh_next: np.ndarray, saved: Any, need_dx: bool = True) -> tuple[Any, ...]:
    saved_x, saved_h, h_next, nonlinearity = saved
    da = dh_next * (1 - h_next if nonlinearity == "tanh" else h_next.real > 0)
    dx, dW_ih, db_ih = F.linear_backward(da, saved_x, need_dx)
    dh, dW_hh, db_hh = F.linear_backward(da, saved_h)
    return dx, dh, dW_ih, dW_hh, db_ih, db_hh


@wrong_formula(
    "the derivative of the tanh is missing",
    *("RNN", "RNNCell"),
    of="rnn_cell_backward",
    fix="h = tanh a, so da = (1 - h²) dh",
)
def _no_slope(dh_next: np.ndarray, saved: Any, need_dx: bool = True) -> tuple[Any, ...]:
    saved_x, saved_h, h_next, nonlinearity = saved
    da = dh_next if nonlinearity == "tanh" else dh_next * (h_next.real > 0)
    dx, dW_ih, db_ih = F.linear_backward(da, saved_x, need_dx)
    dh, dW_hh, db_hh = F.linear_backward(da, saved_h)
    return dx, dh, dW_ih, dW_hh, db_ih, db_hh


_SIGMOID = "the sigmoid stands in the place of its slope in the gates"


@wrong_formula(_SIGMOID, *("LSTM", "LSTMCell"), of="lstm_cell_backward", fix="σ' = σ (1 - σ)")
def _lstm_sigmoid(dy: Any, saved: Any, need_dx: bool = True) -> tuple[Any, ...]:
    saved_x, saved_h, saved_m, i, f, g, o, c, tanh_c = saved
    dh_next, dc_next = dy
    dm, dW_hr, _ = (dh_next, None, None) if saved_m is None else F.linear_backward(dh_next, saved_m)
    dc = dc_next + dm * o * (1 - tanh_c * tanh_c)
    da = np.concatenate([dc * g * i, dc * c * f, dc * i * (1 - g * g), dm * tanh_c * o], axis=-1)
    dx, dW_ih, db_ih = F.linear_backward(da, saved_x, need_dx)
    dh, dW_hh, db_hh = F.linear_backward(da, saved_h)
    return dx, dh, dc * f, dW_ih, dW_hh, db_ih, db_hh, dW_hr


@wrong_formula(_SIGMOID, *("GRU", "GRUCell"), of="gru_cell_backward", fix="σ' = σ (1 - σ)")
def _gru_sigmoid(dh_next: np.ndarray, saved: Any, need_dx: bool = True) -> tuple[Any, ...]:
    saved_x, saved_h, r, z, n, u_n, h = saved
    da_n = dh_next * (1 - z) * (1 - n * n)
    da_z, da_r = dh_next * (h - n) * z, da_n * u_n * r
    da = np.concatenate([da_r, da_z, da_n], axis=-1)
    du = np.concatenate([da_r, da_z, da_n * r], axis=-1)
    dx, dW_ih, db_ih = F.linear_backward(da, saved_x, need_dx)
    dh, dW_hh, db_hh = F.linear_backward(du, saved_h)
    return dx, dh_next * z + dh, dW_ih, dW_hh, db_ih, db_hh


@wrong_formula(
    "the derivative of tanh c is missing",
    *("LSTM", "LSTMCell"),
    of="lstm_cell_backward",
    fix="h = o tanh c, so dc = o (1 - tanh² c) dh and what comes from the next step",
)
def _no_tanh_of_memory(dy: Any, saved: Any, need_dx: bool = True) -> tuple[Any, ...]:
    saved_x, saved_h, saved_m, i, f, g, o, c, tanh_c = saved
    dh_next, dc_next = dy
    dm, dW_hr, _ = (dh_next, None, None) if saved_m is None else F.linear_backward(dh_next, saved_m)
    dc = dc_next + dm * o
    da_i, da_f, da_g = dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g * g)
    da = np.concatenate([da_i, da_f, da_g, dm * tanh_c * o * (1 - o)], axis=-1)
    dx, dW_ih, db_ih = F.linear_backward(da, saved_x, need_dx)
    dh, dW_hh, db_hh = F.linear_backward(da, saved_h)
    return dx, dh, dc * f, dW_ih, dW_hh, db_ih, db_hh, dW_hr
