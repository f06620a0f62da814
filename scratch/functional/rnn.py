"""Recurrent layers: one step of each (a cell), and the loop along time, made of steps."""

from typing import Any

import numpy as np

from scratch.functional.elementary import positive, sigma
from scratch.functional.linear import linear, linear_backward

__all__ = [
    "gru",
    "gru_backward",
    "gru_cell",
    "gru_cell_backward",
    "lstm",
    "lstm_backward",
    "lstm_cell",
    "lstm_cell_backward",
    "rnn",
    "rnn_backward",
    "rnn_cell",
    "rnn_cell_backward",
]


# ---- one step


def rnn_cell(
    x: np.ndarray,
    h: np.ndarray,
    W_ih: np.ndarray,
    W_hh: np.ndarray,
    b_ih: np.ndarray | None = None,
    b_hh: np.ndarray | None = None,
    nonlinearity: str = "tanh",
) -> tuple[np.ndarray, Any]:
    r"""$h' = f(a)$ with $a = W_{ih} x + b_{ih} + W_{hh} h + b_{hh}$ and $f$ tanh or relu.

    With $f' = 1 - h'^2$ for tanh, and 1 or 0 as $h' > 0$ or not for relu,

    $$da = f'\, dh', \qquad dx = W_{ih}^\top da, \qquad dh = W_{hh}^\top da, \qquad
      dW_{ih} = da\, x^\top, \qquad dW_{hh} = da\, h^\top, \qquad db_{ih} = db_{hh} = da,$$

    the last three summed over the batch.

    Args:
        x: (N, I), or (I,).
        h: (N, H), or (H,), the state before.
        W_ih: (H, I).
        W_hh: (H, H).
        b_ih: (H,), or None.
        b_hh: (H,), or None.
        nonlinearity: "tanh" or "relu".

    Returns:
        h', of h's shape, and what rnn_cell_backward needs.

    Source: Elman 1990.

    Example:
        >>> x, h, W_ih, W_hh = np.array([[[1.0]], [[2.0]], [[3.0]], [[4.0]]])
        >>> h_next, saved = rnn_cell(x, h, W_ih, W_hh, nonlinearity="relu")
        >>> h_next.item(), [d.item() for d in rnn_cell_backward(np.ones((1, 1)), saved)[:4]]
        (11.0, [3.0, 4.0, 1.0, 2.0])
    """
    a_x, saved_x = linear(x, W_ih, b_ih)
    a_h, saved_h = linear(h, W_hh, b_hh)
    a = a_x + a_h
    h_next = np.tanh(a) if nonlinearity == "tanh" else positive(a)
    return h_next, (saved_x, saved_h, h_next, nonlinearity)


def rnn_cell_backward(dh_next: np.ndarray, saved: Any, need_dx: bool = True) -> tuple[Any, ...]:
    """da = f' dh'; dx = W_ihᵀ da, dh = W_hhᵀ da, dW_ih = da xᵀ, dW_hh = da hᵀ, db_ih = db_hh = da; derived
    in rnn_cell.
    """
    saved_x, saved_h, h_next, nonlinearity = saved
    da = dh_next * (1 - h_next * h_next if nonlinearity == "tanh" else h_next.real > 0)
    dx, dW_ih, db_ih = linear_backward(da, saved_x, need_dx)
    dh, dW_hh, db_hh = linear_backward(da, saved_h)
    return dx, dh, dW_ih, dW_hh, db_ih, db_hh


def lstm_cell(
    x: np.ndarray,
    h: np.ndarray,
    c: np.ndarray,
    W_ih: np.ndarray,
    W_hh: np.ndarray,
    b_ih: np.ndarray | None = None,
    b_hh: np.ndarray | None = None,
    W_hr: np.ndarray | None = None,
) -> tuple[tuple[np.ndarray, np.ndarray], Any]:
    r"""A memory c beside the state h, and gates that say what goes in, stays, and comes out.

    With $a = W_{ih} x + b_{ih} + W_{hh} h + b_{hh}$, in which i, f, g and o follow each other,

    $$i = \sigma(a_i), \quad f = \sigma(a_f), \quad g = \tanh a_g, \quad o = \sigma(a_o), \qquad
      c' = f c + i g, \qquad h' = o \tanh c'.$$

    $c'$ reaches the loss by itself and by $h'$, so the whole gradient by it is

    $$dc = dc' + dh'\, o\, (1 - \tanh^2 c'),$$

    and from it, by $\sigma' = \sigma (1 - \sigma)$ and $\tanh' = 1 - \tanh^2$,

    $$da_i = dc\, g\, i (1 - i), \quad da_f = dc\, c\, f (1 - f), \quad da_g = dc\, i\, (1 - g^2), \quad
      da_o = dh' \tanh c'\, o (1 - o).$$

    The old memory gets $dc\, f$: along a sequence no more than the forget gates stands between a loss
    and a memory long before it, which is the point of the cell. The rest is as in rnn_cell:
    $dx = W_{ih}^\top da$, $dh = W_{hh}^\top da$, $dW_{ih} = da\, x^\top$, $dW_{hh} = da\, h^\top$,
    $db_{ih} = db_{hh} = da$.

    With a matrix $W_{hr}$ the state is shorter than the memory: $h' = W_{hr} m$ with $m = o \tanh c'$. Then
    $dm = W_{hr}^\top dh'$ stands where dh' stands above, and $dW_{hr} = dh'\, m^\top$.

    Args:
        x: (N, I), or (I,).
        h: (N, P), or (P,), the state before; P is H if there is no W_hr.
        c: (N, H), or (H,), the memory before.
        W_ih: (4·H, I).
        W_hh: (4·H, P).
        b_ih: (4·H,), or None.
        b_hh: (4·H,), or None.
        W_hr: (P, H), or None.

    Returns:
        (h', c'), and what lstm_cell_backward needs.

    Source: Hochreiter and Schmidhuber 1997; the forget gate of Gers, Schmidhuber and Cummins 2000; W_hr of
    Sak, Senior and Beaufays 2014.

    Example:
        >>> x, h, c, W = np.ones((1, 1)), np.zeros((1, 1)), np.full((1, 1), 2.0), np.zeros((4, 1))
        >>> (h_next, c_next), saved = lstm_cell(x, h, c, W, W)  # all gates are σ(0) = 1/2, g = 0
        >>> dx, dh, dc, *dW = lstm_cell_backward((np.zeros((1, 1)), np.ones((1, 1))), saved)
        >>> c_next.item(), dc.item()
        (1.0, 0.5)
    """
    a_x, saved_x = linear(x, W_ih, b_ih)
    a_h, saved_h = linear(h, W_hh, b_hh)
    i, f, g, o = np.split(a_x + a_h, 4, axis=-1)
    i, f, g, o = sigma(i), sigma(f), np.tanh(g), sigma(o)
    c_next = f * c + i * g
    tanh_c = np.tanh(c_next)
    m = o * tanh_c
    h_next, saved_m = (m, None) if W_hr is None else linear(m, W_hr)
    return (h_next, c_next), (saved_x, saved_h, saved_m, i, f, g, o, c, tanh_c)


def lstm_cell_backward(
    dy: tuple[np.ndarray, np.ndarray], saved: Any, need_dx: bool = True
) -> tuple[Any, ...]:
    """dx = W_ihᵀ da, dh = W_hhᵀ da, dc f, dW_ih = da xᵀ, dW_hh = da hᵀ, db_ih = db_hh = da,
    dW_hr = dh' mᵀ, with dy = (dh', dc'); derived in lstm_cell.
    """
    saved_x, saved_h, saved_m, i, f, g, o, c, tanh_c = saved
    dh_next, dc_next = dy
    dm, dW_hr, _ = (dh_next, None, None) if saved_m is None else linear_backward(dh_next, saved_m)
    dc = dc_next + dm * o * (1 - tanh_c * tanh_c)
    da_i = dc * g * i * (1 - i)
    da_f = dc * c * f * (1 - f)
    da_g = dc * i * (1 - g * g)
    da_o = dm * tanh_c * o * (1 - o)
    da = np.concatenate([da_i, da_f, da_g, da_o], axis=-1)
    dx, dW_ih, db_ih = linear_backward(da, saved_x, need_dx)
    dh, dW_hh, db_hh = linear_backward(da, saved_h)
    return dx, dh, dc * f, dW_ih, dW_hh, db_ih, db_hh, dW_hr


def gru_cell(
    x: np.ndarray,
    h: np.ndarray,
    W_ih: np.ndarray,
    W_hh: np.ndarray,
    b_ih: np.ndarray | None = None,
    b_hh: np.ndarray | None = None,
) -> tuple[np.ndarray, Any]:
    r"""A mixture of the old state with a new one, as much of each as a gate says.

    With $a = W_{ih} x + b_{ih}$ and $u = W_{hh} h + b_{hh}$, in which r, z and n follow each other,

    $$r = \sigma(a_r + u_r), \quad z = \sigma(a_z + u_z), \quad n = \tanh(a_n + r\, u_n), \qquad
      h' = (1 - z)\, n + z\, h.$$

    The reset gate r stands behind the product $W_{hh} h$, as in torch and cuDNN. The paper (Cho et al. 2014)
    has it before, $W_{hh} (r h)$, which is another function.

    By $\sigma' = \sigma (1 - \sigma)$ and $\tanh' = 1 - \tanh^2$,

    $$da_n = dh' (1 - z)(1 - n^2), \qquad da_z = dh' (h - n)\, z (1 - z), \qquad
      da_r = da_n\, u_n\, r (1 - r),$$

    $$du_r = da_r, \qquad du_z = da_z, \qquad du_n = da_n\, r, \qquad dh = dh'\, z + W_{hh}^\top du,$$

    and $dx = W_{ih}^\top da$, $dW_{ih} = da\, x^\top$, $db_{ih} = da$, $dW_{hh} = du\, h^\top$,
    $db_{hh} = du$.

    Args:
        x: (N, I), or (I,).
        h: (N, H), or (H,), the state before.
        W_ih: (3·H, I).
        W_hh: (3·H, H).
        b_ih: (3·H,), or None.
        b_hh: (3·H,), or None.

    Returns:
        h', of h's shape, and what gru_cell_backward needs.

    Source: Cho et al. 2014.

    Example:
        >>> x, h, W = np.ones((1, 1)), np.full((1, 1), 2.0), np.zeros((3, 1))
        >>> h_next, saved = gru_cell(x, h, W, W)  # both gates are σ(0) = 1/2, n = 0
        >>> dx, dh, *dW = gru_cell_backward(np.ones((1, 1)), saved)
        >>> h_next.item(), dh.item()
        (1.0, 0.5)
    """
    a, saved_x = linear(x, W_ih, b_ih)
    u, saved_h = linear(h, W_hh, b_hh)
    a_r, a_z, a_n = np.split(a, 3, axis=-1)
    u_r, u_z, u_n = np.split(u, 3, axis=-1)
    r = sigma(a_r + u_r)
    z = sigma(a_z + u_z)
    n = np.tanh(a_n + r * u_n)
    h_next = (1 - z) * n + z * h
    return h_next, (saved_x, saved_h, r, z, n, u_n, h)


def gru_cell_backward(dh_next: np.ndarray, saved: Any, need_dx: bool = True) -> tuple[Any, ...]:
    """dx = W_ihᵀ da, dh = dh' z + W_hhᵀ du, dW_ih = da xᵀ, dW_hh = du hᵀ, db_ih = da, db_hh = du; derived in
    gru_cell.
    """
    saved_x, saved_h, r, z, n, u_n, h = saved
    da_n = dh_next * (1 - z) * (1 - n * n)
    da_z = dh_next * (h - n) * z * (1 - z)
    da_r = da_n * u_n * r * (1 - r)
    da = np.concatenate([da_r, da_z, da_n], axis=-1)
    du = np.concatenate([da_r, da_z, da_n * r], axis=-1)
    dx, dW_ih, db_ih = linear_backward(da, saved_x, need_dx)
    dh, dW_hh, db_hh = linear_backward(du, saved_h)
    return dx, dh_next * z + dh, dW_ih, dW_hh, db_ih, db_hh


# ---- along time


def rnn(
    x: np.ndarray,
    h: np.ndarray,
    W_ih: np.ndarray,
    W_hh: np.ndarray,
    b_ih: np.ndarray | None = None,
    b_hh: np.ndarray | None = None,
    nonlinearity: str = "tanh",
) -> tuple[tuple[np.ndarray, np.ndarray], Any]:
    r"""rnn_cell along a sequence: $h_t = f(x_t, h_{t-1})$ for t = 1 … T, and $y_t = h_t$.

    Backpropagation through time (Werbos 1990). The state $h_t$ reaches the loss in two ways: as the output
    $y_t$, and as the state that step t + 1 begins with. So the sequence is walked from its end, and at each
    step

    $$dh_t = dy_t + \left(\frac{\partial h_{t+1}}{\partial h_t}\right)^\top dh_{t+1},$$

    beginning with the gradient of the last state. The second term is the dh that rnn_cell_backward gives for
    step t + 1. The weights are the same at every step, so their gradients are sums over the steps:

    $$dW_{ih} = \sum_t da_t\, x_t^\top, \qquad dW_{hh} = \sum_t da_t\, h_{t-1}^\top, \qquad
      db_{ih} = db_{hh} = \sum_t da_t.$$

    Args:
        x: (T, N, I), one step or more.
        h: (N, H), the state before the first step.
        W_ih: (H, I).
        W_hh: (H, H).
        b_ih: (H,), or None.
        b_hh: (H,), or None.
        nonlinearity: "tanh" or "relu".

    Returns:
        (y, h_T) with y (T, N, H) and the last state (N, H); and what rnn_backward needs.

    Example:
        >>> x, h, W = np.array([[[1.0]], [[2.0]], [[3.0]]]), np.zeros((1, 1)), np.ones((1, 1))
        >>> (y, h_T), saved = rnn(x, h, W, W, nonlinearity="relu")
        >>> dx, dh, *dW = rnn_backward((np.ones_like(y), np.zeros_like(h_T)), saved)
        >>> y.ravel(), dx.ravel()  # 1, 1 + 2, 1 + 2 + 3; x_1 is in three of them
        (array([1., 3., 6.]), array([3., 2., 1.]))
    """
    y, saved = [], []
    for x_t in x:
        h, saved_t = rnn_cell(x_t, h, W_ih, W_hh, b_ih, b_hh, nonlinearity)
        y.append(h)
        saved.append(saved_t)
    return (np.stack(y), h), saved


def rnn_backward(dy: tuple[np.ndarray, np.ndarray], saved: Any, need_dx: bool = True) -> tuple[Any, ...]:
    """dx_t, dh_0, and dW_ih, dW_hh, db_ih, db_hh summed over time, with dy = (dy, dh_T); derived in rnn."""
    dys, dh = dy
    dx, dW = [], []
    for dy_t, saved_t in zip(dys[::-1], saved[::-1], strict=True):
        dx_t, dh, *dW_t = rnn_cell_backward(dy_t + dh, saved_t, need_dx)
        dx.append(dx_t)
        dW.append(dW_t)
    dW_sum = [None if steps[0] is None else sum(steps) for steps in zip(*dW, strict=True)]
    return np.stack(dx[::-1]) if need_dx else None, dh, *dW_sum


def lstm(
    x: np.ndarray,
    h: np.ndarray,
    c: np.ndarray,
    W_ih: np.ndarray,
    W_hh: np.ndarray,
    b_ih: np.ndarray | None = None,
    b_hh: np.ndarray | None = None,
    W_hr: np.ndarray | None = None,
) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], Any]:
    r"""lstm_cell along a sequence: $(h_t, c_t) = f(x_t, h_{t-1}, c_{t-1})$ for t = 1 … T, and $y_t = h_t$.

    The derivative walks back from the last step, as derived in rnn. The memory $c_t$ reaches the loss by step
    t + 1 alone, the state $h_t$ as the output too:

    $$dh_t = dy_t + dh \text{ of step } t + 1, \qquad dc_t = dc \text{ of step } t + 1,$$

    and the gradients of the weights, which are the same at every step, are summed over time.

    Args:
        x: (T, N, I), one step or more.
        h: (N, P), the state before the first step; P is H if there is no W_hr.
        c: (N, H), the memory before the first step.
        W_ih: (4·H, I).
        W_hh: (4·H, P).
        b_ih: (4·H,), or None.
        b_hh: (4·H,), or None.
        W_hr: (P, H), or None.

    Returns:
        (y, h_T, c_T) with y (T, N, P), the last state (N, P) and the last memory (N, H); and what
        lstm_backward needs.

    Example:
        >>> x, h, c, W = np.ones((2, 1, 1)), np.zeros((1, 1)), np.full((1, 1), 4.0), np.zeros((4, 1))
        >>> (y, h_T, c_T), saved = lstm(x, h, c, W, W)  # the forget gate is σ(0) = 1/2
        >>> dx, dh, dc, *dW = lstm_backward((np.zeros_like(y), np.zeros_like(h_T), np.ones_like(c_T)), saved)
        >>> c_T.item(), dc.item()
        (1.0, 0.25)
    """
    y, saved = [], []
    for x_t in x:
        (h, c), saved_t = lstm_cell(x_t, h, c, W_ih, W_hh, b_ih, b_hh, W_hr)
        y.append(h)
        saved.append(saved_t)
    return (np.stack(y), h, c), saved


def lstm_backward(
    dy: tuple[np.ndarray, np.ndarray, np.ndarray], saved: Any, need_dx: bool = True
) -> tuple[Any, ...]:
    """dx_t, dh_0, dc_0, and dW_ih, dW_hh, db_ih, db_hh, dW_hr summed over time, with dy = (dy, dh_T, dc_T);
    derived in lstm.
    """
    dys, dh, dc = dy
    dx, dW = [], []
    for dy_t, saved_t in zip(dys[::-1], saved[::-1], strict=True):
        dx_t, dh, dc, *dW_t = lstm_cell_backward((dy_t + dh, dc), saved_t, need_dx)
        dx.append(dx_t)
        dW.append(dW_t)
    dW_sum = [None if steps[0] is None else sum(steps) for steps in zip(*dW, strict=True)]
    return np.stack(dx[::-1]) if need_dx else None, dh, dc, *dW_sum


def gru(
    x: np.ndarray,
    h: np.ndarray,
    W_ih: np.ndarray,
    W_hh: np.ndarray,
    b_ih: np.ndarray | None = None,
    b_hh: np.ndarray | None = None,
) -> tuple[tuple[np.ndarray, np.ndarray], Any]:
    r"""gru_cell along a sequence: $h_t = f(x_t, h_{t-1})$ for t = 1 … T, and $y_t = h_t$.

    The derivative walks back from the last step, as derived in rnn: $dh_t = dy_t + dh$ of step t + 1, and the
    gradients of the weights, which are the same at every step, are summed over time.

    Args:
        x: (T, N, I), one step or more.
        h: (N, H), the state before the first step.
        W_ih: (3·H, I).
        W_hh: (3·H, H).
        b_ih: (3·H,), or None.
        b_hh: (3·H,), or None.

    Returns:
        (y, h_T) with y (T, N, H) and the last state (N, H); and what gru_backward needs.

    Example:
        >>> x, h, W = np.ones((2, 1, 1)), np.full((1, 1), 4.0), np.zeros((3, 1))
        >>> (y, h_T), saved = gru(x, h, W, W)  # the update gate is σ(0) = 1/2, n = 0
        >>> dx, dh, *dW = gru_backward((np.zeros_like(y), np.ones_like(h_T)), saved)
        >>> y.ravel(), dh.item()
        (array([2., 1.]), 0.25)
    """
    y, saved = [], []
    for x_t in x:
        h, saved_t = gru_cell(x_t, h, W_ih, W_hh, b_ih, b_hh)
        y.append(h)
        saved.append(saved_t)
    return (np.stack(y), h), saved


def gru_backward(dy: tuple[np.ndarray, np.ndarray], saved: Any, need_dx: bool = True) -> tuple[Any, ...]:
    """dx_t, dh_0, and dW_ih, dW_hh, db_ih, db_hh summed over time, with dy = (dy, dh_T); derived in gru."""
    dys, dh = dy
    dx, dW = [], []
    for dy_t, saved_t in zip(dys[::-1], saved[::-1], strict=True):
        dx_t, dh, *dW_t = gru_cell_backward(dy_t + dh, saved_t, need_dx)
        dx.append(dx_t)
        dW.append(dW_t)
    dW_sum = [None if steps[0] is None else sum(steps) for steps in zip(*dW, strict=True)]
    return np.stack(dx[::-1]) if need_dx else None, dh, *dW_sum
