"""Cells, and networks over time."""

import numpy as np
import torch
from scipy.special import expit as sigmoid

from .case import TRUTH, normal, right, wrong

CASES = []


# --- cells ------------------------------------------------------------------------------------------------


def rnn_step_forward(x, prev_h, Wx, Wh, b):
    next_h = np.tanh(x @ Wx + prev_h @ Wh + b)
    return next_h, (x, prev_h, Wx, Wh, next_h)


def rnn_step_backward(dnext_h, cache):
    x, prev_h, Wx, Wh, next_h = cache
    da = dnext_h * (1 - next_h**2)
    return da @ Wx.T, da @ Wh.T, x.T @ da, prev_h.T @ da, da.sum(axis=0)


def rnn_step_backward_h(dnext_h, cache):
    x, prev_h, Wx, Wh, next_h = cache
    da = dnext_h * (1 - next_h**2)
    return da @ Wx.T, da @ Wh.T, x.T @ da, next_h.T @ da, da.sum(axis=0)  # prev_h


def rnn_truth(x, h, Wx, Wh, b):
    return torch.tanh(x @ Wx + h @ Wh + b)


class LSTMCell:
    """State in, state out: [h, c] side by side; gates in the order i, f, g, o."""

    def __init__(self, d, h):
        r = np.random.default_rng(1)
        self.W, self.U, self.b = (
            r.normal(size=(d, 4 * h)) * 0.5,
            r.normal(size=(h, 4 * h)) * 0.5,
            r.normal(size=4 * h),
        )
        self.H = h

    def forward(self, x, state):
        H = self.H
        h, c = state[:, :H], state[:, H:]
        z = x @ self.W + h @ self.U + self.b
        i, f, o = sigmoid(z[:, :H]), sigmoid(z[:, H : 2 * H]), sigmoid(z[:, 3 * H :])
        g = np.tanh(z[:, 2 * H : 3 * H])
        c2 = f * c + i * g
        self.cache = (x, h, c, i, f, g, o, c2)
        return np.hstack([o * np.tanh(c2), c2])

    def backward(self, dstate):
        H = self.H
        x, h, c, i, f, g, o, c2 = self.cache
        dh, dc = dstate[:, :H], dstate[:, H:].copy()
        t = np.tanh(c2)
        dc += dh * o * (1 - t**2)
        dz = np.hstack(
            [dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g**2), dh * t * o * (1 - o)]
        )
        self.dW, self.dU, self.db = x.T @ dz, h.T @ dz, dz.sum(0)
        return dz @ self.W.T, np.hstack([dz @ self.U.T, dc * f])


class LSTMCellNoCarry(LSTMCell):
    def backward(self, dstate):
        H = self.H
        x, h, c, i, f, g, o, c2 = self.cache
        dh, dc = dstate[:, :H], dstate[:, H:]  # what comes back through h is not added to dc
        t = np.tanh(c2)
        dz = np.hstack(
            [dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g**2), dh * t * o * (1 - o)]
        )
        self.dW, self.dU, self.db = x.T @ dz, h.T @ dz, dz.sum(0)
        return dz @ self.W.T, np.hstack([dz @ self.U.T, dc * f])


def lstm_truth(x, s, W, U, b):
    h, c = s.chunk(2, 1)
    i, f, g, o = (x @ W + h @ U + b).chunk(4, 1)
    c2 = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.cat([torch.sigmoid(o) * torch.tanh(c2), c2], 1)


def lstm_step(x, h, c, Wf, Wi, Wo, Wc):
    """Gates of the concatenation of h and x, one matrix each; returns the new h."""
    z = np.concatenate([h, x], axis=1)
    f, i, o, g = sigmoid(z @ Wf), sigmoid(z @ Wi), sigmoid(z @ Wo), np.tanh(z @ Wc)
    c2 = f * c + i * g
    t = np.tanh(c2)

    def bptt(dh):
        do = dh * t * o * (1 - o)
        dc2 = dh * o * (1 - t * t)
        df = dc2 * c * f * (1 - f)
        di = dc2 * g * i * (1 - i)
        dg = dc2 * i * (1 - g * g)
        dz = df @ Wf.T + di @ Wi.T + do @ Wo.T + dg @ Wc.T
        H = h.shape[1]
        return dz[:, H:], dz[:, :H], dc2 * f, z.T @ df, z.T @ di, z.T @ do, z.T @ dg

    return o * t, bptt


def lstm_step_bad(x, h, c, Wf, Wi, Wo, Wc):
    z = np.concatenate([h, x], axis=1)
    f, i, o, g = sigmoid(z @ Wf), sigmoid(z @ Wi), sigmoid(z @ Wo), np.tanh(z @ Wc)
    c2 = f * c + i * g
    t = np.tanh(c2)

    def bptt(dh):
        do = dh * t * o * (1 - o)
        dc2 = dh * o * (1 - t * t)
        df = dc2 * c2 * f * (1 - f)  # the old c
        di = dc2 * g * i * (1 - i)
        dg = dc2 * i * (1 - g * g)
        dz = df @ Wf.T + di @ Wi.T + do @ Wo.T + dg @ Wc.T
        H = h.shape[1]
        return dz[:, H:], dz[:, :H], dc2 * f, z.T @ df, z.T @ di, z.T @ do, z.T @ dg

    return o * t, bptt


def lstm_step_truth(x, h, c, Wf, Wi, Wo, Wc):
    z = torch.cat([h, x], 1)
    c2 = torch.sigmoid(z @ Wf) * c + torch.sigmoid(z @ Wi) * torch.tanh(z @ Wc)
    return torch.sigmoid(z @ Wo) * torch.tanh(c2)


class GRUCell:
    """As torch: r is applied after the product with h."""

    def __init__(self, d, h):
        g = np.random.default_rng(3)
        k = 1 / np.sqrt(h)
        self.weight_ih, self.weight_hh = g.uniform(-k, k, (3 * h, d)), g.uniform(-k, k, (3 * h, h))
        self.bias_ih, self.bias_hh = g.uniform(-k, k, 3 * h), g.uniform(-k, k, 3 * h)

    def forward(self, x, h):
        gi = x @ self.weight_ih.T + self.bias_ih
        gh = h @ self.weight_hh.T + self.bias_hh
        ir, iz, in_ = np.split(gi, 3, axis=1)
        hr, hz, hn = np.split(gh, 3, axis=1)
        r, z = sigmoid(ir + hr), sigmoid(iz + hz)
        n = np.tanh(in_ + r * hn)
        self.saved = x, h, r, z, n, hn
        return (1 - z) * n + z * h

    def backward(self, dy):
        x, h, r, z, n, hn = self.saved
        dn = dy * (1 - z) * (1 - n * n)
        dz = dy * (h - n) * z * (1 - z)
        dr = dn * hn * r * (1 - r)
        dgi = np.concatenate([dr, dz, dn], axis=1)
        dgh = np.concatenate([dr, dz, dn * r], axis=1)
        self.grad_weight_ih, self.grad_bias_ih = dgi.T @ x, dgi.sum(0)
        self.grad_weight_hh, self.grad_bias_hh = dgh.T @ h, dgh.sum(0)
        return dgi @ self.weight_ih, dgh @ self.weight_hh + dy * z


class GRUCellReset(GRUCell):
    def backward(self, dy):
        x, h, r, z, n, hn = self.saved
        dn = dy * (1 - z) * (1 - n * n)
        dz = dy * (h - n) * z * (1 - z)
        dr = dn * hn * r * (1 - r)
        dg = np.concatenate([dr, dz, dn], axis=1)  # the same for both sides, without r at dn
        self.grad_weight_ih, self.grad_bias_ih = dg.T @ x, dg.sum(0)
        self.grad_weight_hh, self.grad_bias_hh = dg.T @ h, dg.sum(0)
        return dg @ self.weight_ih, dg @ self.weight_hh + dy * z


def gru_truth(x, h, wi, wh, bi, bh):
    return torch.gru_cell(x, h, wi, wh, bi, bh)


def minimal_gru(x, h, Wz, Wn):
    """One gate; the gate acts on h before the product."""
    a = np.hstack([x, h])
    z = sigmoid(a @ Wz)
    b = np.hstack([x, z * h])
    n = np.tanh(b @ Wn)
    d = x.shape[1]

    def vjp(dy):
        dn = dy * z * (1 - n**2)
        db = dn @ Wn.T
        dz = (dy * (n - h) + db[:, d:] * h) * z * (1 - z)
        da = dz @ Wz.T
        return da[:, :d] + db[:, :d], da[:, d:] + db[:, d:] * z + dy * (1 - z), a.T @ dz, b.T @ dn

    return (1 - z) * h + z * n, vjp


def minimal_gru_bad(x, h, Wz, Wn):
    a = np.hstack([x, h])
    z = sigmoid(a @ Wz)
    b = np.hstack([x, z * h])
    n = np.tanh(b @ Wn)
    d = x.shape[1]

    def vjp(dy):
        dn = dy * z * (1 - n**2)
        db = dn @ Wn.T
        dz = dy * (n - h) * z * (1 - z)  # and what comes through z * h
        da = dz @ Wz.T
        return da[:, :d] + db[:, :d], da[:, d:] + db[:, d:] * z + dy * (1 - z), a.T @ dz, b.T @ dn

    return (1 - z) * h + z * n, vjp


def minimal_gru_truth(x, h, Wz, Wn):
    z = torch.sigmoid(torch.cat([x, h], 1) @ Wz)
    return (1 - z) * h + z * torch.tanh(torch.cat([x, z * h], 1) @ Wn)


CELL = normal(1, (3, 4), (3, 5), (4, 5), (5, 5), (5,))
LS = normal(2, (3, 4), (3, 5), (3, 5), (9, 5), (9, 5), (9, 5), (9, 5))
MG = normal(3, (3, 4), (3, 5), (9, 5), (9, 5))
GRUW = {
    "weights": "weight_ih weight_hh bias_ih bias_hh",
    "grads": "out.0 out.1 grad_weight_ih grad_weight_hh grad_bias_ih grad_bias_hh",
}
CASES += [
    right(
        "rnn step",
        "RNN cell",
        "pair",
        lambda: (rnn_step_forward, rnn_step_backward),
        CELL,
        rnn_truth,
        reference=lambda: rnn_truth,
    ),
    wrong(
        "rnn step, new state for old",
        "RNN cell",
        "dWh uses the new hidden state instead of the old one",
        "pair",
        lambda: (rnn_step_forward, rnn_step_backward_h),
        CELL,
        rnn_truth,
        reference=TRUTH,
    ),
    right(
        "lstm cell of one state",
        "LSTM cell",
        "class",
        lambda: LSTMCell(4, 3),
        normal(4, (5, 4), (5, 6)),
        lstm_truth,
        weights="W U b",
        grads="out.0 out.1 dW dU db",
    ),
    wrong(
        "lstm cell, path through h",
        "LSTM cell",
        "dc lacks what comes back through h",
        "class",
        lambda: LSTMCellNoCarry(4, 3),
        normal(5, (5, 4), (5, 6)),
        lstm_truth,
        weights="W U b",
        grads="out.0 out.1 dW dU db",
    ),
    right("lstm step of four matrices", "LSTM cell", "closure", lambda: lstm_step, LS, lstm_step_truth),
    wrong(
        "lstm step, new c for old",
        "LSTM cell",
        "the forget gate's gradient uses the new c",
        "closure",
        lambda: lstm_step_bad,
        LS,
        lstm_step_truth,
        reference=lambda: lstm_step_truth,
    ),
    right(
        "gru cell",
        "GRU cell",
        "class",
        lambda: GRUCell(4, 3),
        normal(6, (5, 4), (5, 3)),
        gru_truth,
        **GRUW,
        reference=lambda: torch.nn.GRUCell(4, 3),
    ),
    wrong(
        "gru cell, reset gate",
        "GRU cell",
        "r is missing at the gradient of the hidden side of n",
        "class",
        lambda: GRUCellReset(4, 3),
        normal(7, (5, 4), (5, 3)),
        gru_truth,
        **GRUW,
        reference=lambda: torch.nn.GRUCell(4, 3),
    ),
    right("minimal gru", "GRU cell", "closure", lambda: minimal_gru, MG, minimal_gru_truth, reference=TRUTH),
    wrong(
        "minimal gru, gate inside",
        "GRU cell",
        "dz lacks what comes through z·h",
        "closure",
        lambda: minimal_gru_bad,
        MG,
        minimal_gru_truth,
    ),
]


# --- over time --------------------------------------------------------------------------------------------


def rnn_forward(x, h0, Wx, Wh, b):
    N, T, _ = x.shape
    h = np.zeros((N, T, h0.shape[1]))
    caches = []
    prev = h0
    for t in range(T):
        prev, cache = rnn_step_forward(x[:, t], prev, Wx, Wh, b)
        h[:, t] = prev
        caches.append(cache)
    return h, caches


def rnn_backward(dh, caches):
    N, T, H = dh.shape
    x0, _, Wx, Wh, _ = caches[0]
    dx = np.zeros((N, T, x0.shape[1]))
    dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros(H)
    dprev = np.zeros((N, H))
    for t in reversed(range(T)):
        dx[:, t], dprev, a, b, c = rnn_step_backward(dh[:, t] + dprev, caches[t])
        dWx += a
        dWh += b
        db += c
    return dx, dprev, dWx, dWh, db


def rnn_backward_pop(dh, caches):
    """Takes the caches from the front."""
    N, T, H = dh.shape
    caches = list(caches)
    x0, _, Wx, Wh, _ = caches[0]
    dx = np.zeros((N, T, x0.shape[1]))
    dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros(H)
    dprev = np.zeros((N, H))
    for t in range(T - 1, -1, -1):
        dx[:, t], dprev, a, b, c = rnn_step_backward(dh[:, t] + dprev, caches.pop(0))
        dWx += a
        dWh += b
        db += c
    return dx, dprev, dWx, dWh, db


def rnn_backward_truncated(dh, caches):
    """dprev is not carried on to the step before."""
    N, T, H = dh.shape
    x0, _, Wx, Wh, _ = caches[0]
    dx = np.zeros((N, T, x0.shape[1]))
    dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros(H)
    for t in reversed(range(T)):
        dx[:, t], dprev, a, b, c = rnn_step_backward(dh[:, t], caches[t])
        dWx, dWh, db = dWx + a, dWh + b, db + c
    return dx, dprev, dWx, dWh, db


def rnn_all_truth(x, h, Wx, Wh, b):
    out = []
    for t in range(x.shape[1]):
        h = torch.tanh(x[:, t] @ Wx + h @ Wh + b)
        out.append(h)
    return torch.stack(out, 1)


class TimeRNN:
    """The last state of a network over time, first axis time."""

    def __init__(self, d, h):
        r = np.random.RandomState(4)
        self.params = [r.randn(d, h) * 0.4, r.randn(h, h) * 0.4, r.randn(h) * 0.1]
        self.grads = [np.zeros_like(p) for p in self.params]

    def forward(self, xs):
        Wx, Wh, b = self.params
        self.xs = xs
        self.hs = {-1: np.zeros((xs.shape[1], len(b)))}
        for t, x in enumerate(xs):
            self.hs[t] = np.tanh(x @ Wx + self.hs[t - 1] @ Wh + b)
        return self.hs[len(xs) - 1]

    def backward(self, dh):
        Wx, Wh, b = self.params
        for g in self.grads:
            g[...] = 0
        dxs = np.empty_like(self.xs)
        for t in range(len(self.xs) - 1, -1, -1):
            dt = dh * (1 - self.hs[t] ** 2)
            self.grads[0] += self.xs[t].T @ dt
            self.grads[1] += self.hs[t - 1].T @ dt
            self.grads[2] += dt.sum(0)
            dxs[t] = dt @ Wx.T
            dh = dt @ Wh.T
        return dxs


class TimeRNNOff(TimeRNN):
    def backward(self, dh):
        Wx, Wh, b = self.params
        for g in self.grads:
            g[...] = 0
        dxs = np.zeros_like(self.xs)
        for t in range(len(self.xs) - 1, 0, -1):  # the first step is left out
            dt = dh * (1 - self.hs[t] ** 2)
            self.grads[0] += self.xs[t].T @ dt
            self.grads[1] += self.hs[t - 1].T @ dt
            self.grads[2] += dt.sum(0)
            dxs[t] = dt @ Wx.T
            dh = dt @ Wh.T
        return dxs


def last_state_truth(xs, Wx, Wh, b):
    h = torch.zeros(xs.shape[1], len(b), dtype=xs.dtype)
    for x in xs:
        h = torch.tanh(x @ Wx + h @ Wh + b)
    return h


def linear_scan(a, u):
    """s_t = a_t s_{t−1} + u_t, s_0 = 0."""
    s = np.zeros_like(u)
    prev = np.zeros(u.shape[1])
    for t in range(len(u)):
        prev = s[t] = a[t] * prev + u[t]

    def vjp(ds):
        da, du = np.zeros_like(a), np.zeros_like(u)
        carry = np.zeros(u.shape[1])
        for t in range(len(u))[::-1]:
            carry = carry + ds[t]
            du[t] = carry
            if t > 0:
                da[t] = carry * s[t - 1]
            carry = carry * a[t]
        return da, du

    return s, vjp


def linear_scan_bad(a, u):
    s = np.zeros_like(u)
    prev = np.zeros(u.shape[1])
    for t in range(len(u)):
        prev = s[t] = a[t] * prev + u[t]

    def vjp(ds):
        da, du = np.zeros_like(a), np.zeros_like(u)
        carry = np.zeros(u.shape[1])
        for t in range(len(u))[::-1]:
            carry = carry + ds[t]
            du[t] = carry
            da[t] = carry * s[t - 1]  # s[-1] is the last state when t is 0
            carry = carry * a[t]
        return da, du

    return s, vjp


def scan_truth(a, u):
    s, out = 0 * u[0], []
    for at, ut in zip(a, u, strict=True):
        s = at * s + ut
        out.append(s)
    return torch.stack(out)


class MaskedRNN:
    """Sequences of several lengths: where the mask is 0 the state stays."""

    def __init__(self, h):
        self.U = np.random.default_rng(6).normal(size=(h, h)) * 0.5

    def forward(self, x, mask):
        h = np.zeros(x[:, 0].shape)
        self.x, self.mask, self.h = x, mask, [h]
        for t in range(x.shape[1]):
            m = mask[:, t, None]
            h = m * np.tanh(x[:, t] + h @ self.U) + (1 - m) * h
            self.h.append(h)
        return h

    def backward(self, dh):
        self.dU = np.zeros_like(self.U)
        dx = np.zeros_like(self.x)
        for t in reversed(range(self.x.shape[1])):
            m = self.mask[:, t, None]
            new = np.tanh(self.x[:, t] + self.h[t] @ self.U)
            da = dh * m * (1 - new**2)
            dx[:, t] = da
            self.dU += self.h[t].T @ da
            dh = da @ self.U.T + dh * (1 - m)
        return dx


class MaskedRNNStop(MaskedRNN):
    def backward(self, dh):
        self.dU = np.zeros_like(self.U)
        dx = np.zeros_like(self.x)
        for t in reversed(range(self.x.shape[1])):
            m = self.mask[:, t, None]
            new = np.tanh(self.x[:, t] + self.h[t] @ self.U)
            da = dh * m * (1 - new**2)
            dx[:, t] = da
            self.dU += self.h[t].T @ da
            dh = da @ self.U.T  # a padded step passes dh on
        return dx


def masked_truth(x, mask, U):
    h = 0 * x[:, 0]
    for t in range(x.shape[1]):
        m = mask[:, t, None]
        h = m * torch.tanh(x[:, t] + h @ U) + (1 - m) * h
    return h


SEQ = normal(8, (2, 4, 3), (2, 5), (3, 5), (5, 5), (5,))
LEN = np.array([[1.0, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 1, 1, 0]])
CASES += [
    right(
        "rnn over time",
        "RNN over time",
        "pair",
        lambda: (rnn_forward, rnn_backward),
        SEQ,
        rnn_all_truth,
        reference=TRUTH,
    ),
    wrong(
        "rnn over time, caches from the front",
        "RNN over time",
        "backward takes the caches in forward order",
        "pair",
        lambda: (rnn_forward, rnn_backward_pop),
        SEQ,
        rnn_all_truth,
    ),
    wrong(
        "rnn over time, no carry",
        "RNN over time",
        "the gradient is not carried to the step before",
        "pair",
        lambda: (rnn_forward, rnn_backward_truncated),
        SEQ,
        rnn_all_truth,
        reference=lambda: rnn_all_truth,
    ),
    right(
        "last state",
        "RNN over time",
        "class",
        lambda: TimeRNN(3, 4),
        normal(9, (5, 2, 3)),
        last_state_truth,
        weights="params.0 params.1 params.2",
        grads="out grads.0 grads.1 grads.2",
    ),
    wrong(
        "last state, first step",
        "RNN over time",
        "the loop back ends before the first step",
        "class",
        lambda: TimeRNNOff(3, 4),
        normal(10, (5, 2, 3)),
        last_state_truth,
        weights="params.0 params.1 params.2",
        grads="out grads.0 grads.1 grads.2",
    ),
    right(
        "linear scan",
        "RNN over time",
        "closure",
        lambda: linear_scan,
        normal(11, (6, 3), (6, 3)),
        scan_truth,
        reference=lambda: scan_truth,
    ),
    wrong(
        "linear scan, state before the first",
        "RNN over time",
        "at t = 0 the index −1 takes the last state for the one before",
        "closure",
        lambda: linear_scan_bad,
        normal(12, (6, 3), (6, 3)),
        scan_truth,
        reference=TRUTH,
    ),
    right(
        "masked rnn",
        "RNN over time",
        "class",
        lambda: MaskedRNN(4),
        (*normal(13, (3, 5, 4)), LEN),
        masked_truth,
        weights="U",
        grads="out dU",
        options={"held": [1]},
    ),
    wrong(
        "masked rnn, padded steps",
        "RNN over time",
        "a padded step does not pass the gradient on",
        "class",
        lambda: MaskedRNNStop(4),
        (*normal(14, (3, 5, 4)), LEN),
        masked_truth,
        weights="U",
        grads="out dU",
        options={"held": [1]},
    ),
]
