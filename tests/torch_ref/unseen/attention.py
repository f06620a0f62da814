"""Attention: one head, several, causal, with rotary positions."""

import numpy as np
import torch
import torch.nn.functional as F

from .case import TRUTH, normal, right, wrong

CASES = []


def softmax(s):
    e = np.exp(s - s.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


# --- one head ---------------------------------------------------------------------------------------------


def sdpa(q, k, v):
    scale = 1 / np.sqrt(q.shape[-1])
    p = softmax(q @ k.swapaxes(-1, -2) * scale)
    return p @ v, (q, k, v, p, scale)


def sdpa_grad(do, cache):
    q, k, v, p, scale = cache
    dv = p.swapaxes(-1, -2) @ do
    dp = do @ v.swapaxes(-1, -2)
    ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True)) * scale
    return ds @ k, ds.swapaxes(-1, -2) @ q, dv


def sdpa_grad_no_scale(do, cache):
    q, k, v, p, scale = cache
    dv = p.swapaxes(-1, -2) @ do
    dp = do @ v.swapaxes(-1, -2)
    ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True))
    return ds @ k, ds.swapaxes(-1, -2) @ q, dv


def attend(q, k, v):
    """Queries and keys as many, so that the weights are square."""
    p = softmax(np.einsum("nid,njd->nij", q, k) / q.shape[-1] ** 0.5)
    out = np.einsum("nij,njd->nid", p, v)

    def vjp(g):
        dv = np.einsum("nij,njd->nid", p, g)  # nij,nid->njd
        dp = np.einsum("nid,njd->nij", g, v)
        ds = p * (dp - np.einsum("nij,nij->ni", dp, p)[:, :, None]) / q.shape[-1] ** 0.5
        return np.einsum("nij,njd->nid", ds, k), np.einsum("nij,nid->njd", ds, q), dv

    return out, vjp


def flash_like(q, k, v):
    """Backward makes the weights again, from the row's log-sum, as fused kernels do."""
    d = q.shape[-1]
    s = q @ k.transpose(0, 2, 1) / np.sqrt(d)
    m = s.max(-1, keepdims=True)
    lse = m + np.log(np.exp(s - m).sum(-1, keepdims=True))
    out = np.exp(s - lse) @ v

    def vjp(do):
        delta = (do * out).sum(-1, keepdims=True)
        p = np.exp(q @ k.transpose(0, 2, 1) / np.sqrt(d) - lse)
        ds = p * (do @ v.transpose(0, 2, 1) - delta) / np.sqrt(d)
        return ds @ k, ds.transpose(0, 2, 1) @ q, p.transpose(0, 2, 1) @ do

    return out, vjp


def flash_like_delta(q, k, v):
    d = q.shape[-1]
    s = q @ k.transpose(0, 2, 1) / np.sqrt(d)
    m = s.max(-1, keepdims=True)
    lse = m + np.log(np.exp(s - m).sum(-1, keepdims=True))
    out = np.exp(s - lse) @ v

    def vjp(do):
        p = np.exp(s - lse)
        dp = do @ v.transpose(0, 2, 1)
        delta = (do * out).sum(-1)[:, None, :]  # along the keys instead of the queries
        ds = p * (dp - delta) / np.sqrt(d)
        return ds @ k, ds.transpose(0, 2, 1) @ q, p.transpose(0, 2, 1) @ do

    return out, vjp


QKV = normal(1, (2, 4, 3), (2, 5, 3), (2, 5, 3))
SQ = normal(2, (2, 4, 3), (2, 4, 3), (2, 4, 3))
CASES += [
    right(
        "attention of one head",
        "attention",
        "pair",
        lambda: (sdpa, sdpa_grad),
        QKV,
        F.scaled_dot_product_attention,
        reference=lambda: F.scaled_dot_product_attention,
    ),
    wrong(
        "attention, scale",
        "attention",
        "1/√d is missing in ds",
        "pair",
        lambda: (sdpa, sdpa_grad_no_scale),
        QKV,
        F.scaled_dot_product_attention,
        reference=TRUTH,
    ),
    wrong(
        "attention, values",
        "attention",
        "dv uses the weights instead of their transpose",
        "closure",
        lambda: attend,
        SQ,
        F.scaled_dot_product_attention,
        reference=lambda: F.scaled_dot_product_attention,
    ),
    right(
        "attention made again",
        "attention",
        "closure",
        lambda: flash_like,
        QKV,
        F.scaled_dot_product_attention,
    ),
    wrong(
        "attention made again, delta",
        "attention",
        "Σ do·o stands along the keys, the scores are square",
        "closure",
        lambda: flash_like_delta,
        SQ,
        F.scaled_dot_product_attention,
        reference=TRUTH,
    ),
]


# --- causal -----------------------------------------------------------------------------------------------


class CausalAttention:
    def __init__(self, d):
        r = np.random.default_rng(5)
        self.Wq, self.Wk, self.Wv = (r.normal(size=(d, d)) * 0.6 for _ in range(3))

    def forward(self, x):
        T, d = x.shape[1:]
        self.x = x
        self.q, self.k, self.v = x @ self.Wq, x @ self.Wk, x @ self.Wv
        s = self.q @ self.k.transpose(0, 2, 1) / np.sqrt(d)
        s = np.where(np.tril(np.ones((T, T), bool)), s, -np.inf)
        self.p = softmax(s)
        return self.p @ self.v

    def backward(self, dy):
        d = self.x.shape[-1]
        dv = self.p.transpose(0, 2, 1) @ dy
        dp = dy @ self.v.transpose(0, 2, 1)
        ds = self.p * (dp - (dp * self.p).sum(-1, keepdims=True)) / np.sqrt(d)
        dq, dk = ds @ self.k, ds.transpose(0, 2, 1) @ self.q
        self.dWq = np.einsum("ntd,nte->de", self.x, dq)
        self.dWk = np.einsum("ntd,nte->de", self.x, dk)
        self.dWv = np.einsum("ntd,nte->de", self.x, dv)
        return dq @ self.Wq.T + dk @ self.Wk.T + dv @ self.Wv.T


class CausalAttentionQuery(CausalAttention):
    def backward(self, dy):
        d = self.x.shape[-1]
        dv = self.p.transpose(0, 2, 1) @ dy
        dp = dy @ self.v.transpose(0, 2, 1)
        ds = self.p * (dp - (dp * self.p).sum(-1, keepdims=True)) / np.sqrt(d)
        dq, dk = ds @ self.k, ds.transpose(0, 2, 1) @ self.q
        self.dWq = np.einsum("ntd,nte->de", self.x, dq)
        self.dWk = np.einsum("ntd,nte->de", self.x, dk)
        self.dWv = np.einsum("ntd,nte->de", self.x, dv)
        dx = dq @ self.Wq.T
        dx = dx + dk @ self.Wk.T
        dx = dq @ self.Wq.T + dv @ self.Wv.T  # the line before is lost
        return dx


def causal_softmax(s):
    """Masked by a softmax over all, then set to zero and divided by what is left."""
    T = s.shape[-1]
    tri = np.tril(np.ones((T, T)))
    e = np.exp(s - s.max(-1, keepdims=True)) * tri
    p = e / e.sum(-1, keepdims=True)
    return p, lambda dp: p * (dp - (p * dp).sum(-1, keepdims=True))


def causal_softmax_bad(s):
    T = s.shape[-1]
    tri = np.tril(np.ones((T, T)))
    e = np.exp(s - s.max(-1, keepdims=True)) * tri
    p = e / e.sum(-1, keepdims=True)

    def vjp(dp):
        full = np.exp(s - s.max(-1, keepdims=True))
        full /= full.sum(-1, keepdims=True)  # without the mask
        return full * (dp - (full * dp).sum(-1, keepdims=True))

    return p, vjp


def tri_truth(s):
    return s.masked_fill(~torch.ones_like(s).tril().bool(), -torch.inf).softmax(-1)


def padded_attention(q, k, v, keep):
    """`keep` (n, keys): 0 where there is no word."""
    s = np.matmul(q, k.transpose(0, 2, 1)) / np.sqrt(q.shape[2])
    s = s + (1 - keep[:, None, :]) * -1e9
    p = softmax(s)

    def vjp(do):
        dp = do @ v.transpose(0, 2, 1)
        ds = p * (dp - np.sum(dp * p, -1, keepdims=True)) / np.sqrt(q.shape[2])
        return ds @ k, ds.transpose(0, 2, 1) @ q, p.transpose(0, 2, 1) @ do, None

    return p @ v, vjp


def multiplied_mask(q, k, v, keep):
    """The mask multiplies the weights after the softmax."""
    p = softmax(np.matmul(q, k.transpose(0, 2, 1)) / np.sqrt(q.shape[2]))
    w = p * keep[:, None, :]

    def vjp(do):
        dp = do @ v.transpose(0, 2, 1)  # · keep
        ds = p * (dp - np.sum(dp * p, -1, keepdims=True)) / np.sqrt(q.shape[2])
        return ds @ k, ds.transpose(0, 2, 1) @ q, w.transpose(0, 2, 1) @ do, None

    return w @ v, vjp


def causal_truth(x, Wq, Wk, Wv):
    return F.scaled_dot_product_attention(x @ Wq, x @ Wk, x @ Wv, is_causal=True)


def padded_truth(q, k, v, keep):
    return F.scaled_dot_product_attention(q, k, v, attn_mask=keep[:, None, :].bool())


def multiplied_truth(q, k, v, keep):
    return ((q @ k.mT / q.shape[2] ** 0.5).softmax(-1) * keep[:, None, :]) @ v


KEEP = np.array([[1.0, 1, 1, 1, 0], [1, 1, 0, 0, 0]])
CASES += [
    right(
        "causal attention",
        "causal attention",
        "class",
        lambda: CausalAttention(4),
        normal(6, (2, 5, 4)),
        causal_truth,
        weights="Wq Wk Wv",
        grads="out dWq dWk dWv",
    ),
    wrong(
        "causal attention, keys lost",
        "causal attention",
        "dx lacks the part of the keys",
        "class",
        lambda: CausalAttentionQuery(4),
        normal(7, (2, 5, 4)),
        causal_truth,
        weights="Wq Wk Wv",
        grads="out dWq dWk dWv",
    ),
    right(
        "causal softmax",
        "causal attention",
        "closure",
        lambda: causal_softmax,
        normal(8, (2, 4, 4)),
        tri_truth,
    ),
    wrong(
        "causal softmax, mask forgotten",
        "causal attention",
        "backward uses the softmax without the mask",
        "closure",
        lambda: causal_softmax_bad,
        normal(9, (2, 4, 4)),
        tri_truth,
        reference=lambda: tri_truth,
    ),
    right(
        "attention with padding",
        "attention",
        "closure",
        lambda: padded_attention,
        (*QKV, KEEP),
        padded_truth,
        options={"held": [3]},
        reference=TRUTH,
    ),
    wrong(
        "attention with a factor mask",
        "attention",
        "the mask is missing in dp",
        "closure",
        lambda: multiplied_mask,
        (*QKV, KEEP),
        multiplied_truth,
        options={"held": [3]},
    ),
]


# --- several heads ----------------------------------------------------------------------------------------


class MultiHead:
    """One matrix for q, k and v; (n, t, d) in and out."""

    def __init__(self, d, heads):
        r = np.random.default_rng(10)
        self.h = heads
        self.in_proj = r.normal(size=(3 * d, d)) / np.sqrt(d)
        self.out_proj = r.normal(size=(d, d)) / np.sqrt(d)

    def split(self, a):
        n, t, d = a.shape
        return a.reshape(n, t, self.h, d // self.h).transpose(0, 2, 1, 3)

    def merge(self, a):
        n, h, t, e = a.shape
        return a.transpose(0, 2, 1, 3).reshape(n, t, h * e)

    def forward(self, x):
        self.x = x
        self.q, self.k, self.v = (self.split(a) for a in np.split(x @ self.in_proj.T, 3, axis=-1))
        self.scale = self.q.shape[-1] ** -0.5
        self.p = softmax(self.q @ self.k.swapaxes(2, 3) * self.scale)
        self.o = self.merge(self.p @ self.v)
        return self.o @ self.out_proj.T

    def backward(self, dy):
        d = dy.shape[-1]
        self.d_out_proj = dy.reshape(-1, d).T @ self.o.reshape(-1, d)
        do = self.split(dy @ self.out_proj)
        dv = self.p.swapaxes(2, 3) @ do
        dp = do @ self.v.swapaxes(2, 3)
        ds = self.p * (dp - (dp * self.p).sum(-1, keepdims=True)) * self.scale
        dq, dk = ds @ self.k, ds.swapaxes(2, 3) @ self.q
        dqkv = np.concatenate([self.merge(a) for a in (dq, dk, dv)], axis=-1)
        self.d_in_proj = dqkv.reshape(-1, 3 * d).T @ self.x.reshape(-1, d)
        return dqkv @ self.in_proj


class MultiHeadReshape(MultiHead):
    def backward(self, dy):
        d = dy.shape[-1]
        n, h, t, e = self.q.shape
        self.d_out_proj = dy.reshape(-1, d).T @ self.o.reshape(-1, d)
        do = (dy @ self.out_proj).reshape(n, h, t, e)  # the heads are not brought to the front
        dv = self.p.swapaxes(2, 3) @ do
        dp = do @ self.v.swapaxes(2, 3)
        ds = self.p * (dp - (dp * self.p).sum(-1, keepdims=True)) * self.scale
        dq, dk = ds @ self.k, ds.swapaxes(2, 3) @ self.q
        dqkv = np.concatenate([self.merge(a) for a in (dq, dk, dv)], axis=-1)
        self.d_in_proj = dqkv.reshape(-1, 3 * d).T @ self.x.reshape(-1, d)
        return dqkv @ self.in_proj


def multihead_truth(x, wi, wo, h=2):
    n, t, d = x.shape
    q, k, v = (a.view(n, t, h, d // h).transpose(1, 2) for a in (x @ wi.T).chunk(3, -1))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, d) @ wo.T


def grouped_query(q, k, v):
    """Four heads of queries (n, 4, t, d) share two of keys and values (n, 2, t, d)."""
    r = q.shape[1] // k.shape[1]
    K, V = np.repeat(k, r, axis=1), np.repeat(v, r, axis=1)
    p = softmax(np.einsum("nhid,nhjd->nhij", q, K) / np.sqrt(q.shape[-1]))

    def vjp(do):
        n, _, t, d = k.shape
        dV = np.einsum("nhij,nhid->nhjd", p, do)
        dp = np.einsum("nhid,nhjd->nhij", do, V)
        ds = p * (dp - (dp * p).sum(-1, keepdims=True)) / np.sqrt(d)
        dK = np.einsum("nhij,nhid->nhjd", ds, q)
        return ds @ K, dK.reshape(n, -1, r, t, d).sum(2), dV.reshape(n, -1, r, t, d).sum(2)

    return p @ V, vjp


def grouped_query_bad(q, k, v):
    r = q.shape[1] // k.shape[1]
    K, V = np.repeat(k, r, axis=1), np.repeat(v, r, axis=1)
    p = softmax(np.einsum("nhid,nhjd->nhij", q, K) / np.sqrt(q.shape[-1]))

    def vjp(do):
        d = k.shape[-1]
        dV = np.einsum("nhij,nhid->nhjd", p, do)
        dp = np.einsum("nhid,nhjd->nhij", do, V)
        ds = p * (dp - (dp * p).sum(-1, keepdims=True)) / np.sqrt(d)
        dK = np.einsum("nhij,nhid->nhjd", ds, q)
        return ds @ K, dK[:, ::r], dV[:, ::r]  # the first of each group alone

    return p @ V, vjp


def gqa_truth(q, k, v):
    r = q.shape[1] // k.shape[1]
    return F.scaled_dot_product_attention(q, k.repeat_interleave(r, 1), v.repeat_interleave(r, 1))


def rotary(x, base=100.0):
    """Halves rotated by the position: (n, t, d)."""
    t, d = x.shape[1:]
    ang = np.arange(t)[:, None] / base ** (np.arange(d // 2) * 2 / d)
    c, s = np.cos(ang), np.sin(ang)
    a, b = x[..., : d // 2], x[..., d // 2 :]

    def vjp(g):
        ga, gb = g[..., : d // 2], g[..., d // 2 :]
        return np.concatenate([ga * c + gb * s, gb * c - ga * s], -1)

    return np.concatenate([a * c - b * s, b * c + a * s], -1), vjp


class RotaryPairs:
    """Neighbouring entries are the pairs."""

    def __init__(self, d):
        self.freq = 100.0 ** (-np.arange(0, d, 2) / d)

    def forward(self, x):
        a = np.arange(x.shape[-2])[:, None] * self.freq
        self.cos, self.sin = np.cos(a), np.sin(a)
        return self.rotate(x, self.sin)

    def rotate(self, x, sin):
        y = np.empty_like(x)
        y[..., ::2] = x[..., ::2] * self.cos - x[..., 1::2] * sin
        y[..., 1::2] = x[..., ::2] * sin + x[..., 1::2] * self.cos
        return y

    def backward(self, dy):
        return self.rotate(dy, self.sin)  # −sin


def rotary_truth(x):
    t, d = x.shape[1:]
    ang = torch.arange(t, dtype=x.dtype)[:, None] / 100.0 ** (torch.arange(d // 2).to(x.dtype) * 2 / d)
    z = torch.polar(torch.ones_like(ang), ang) * torch.complex(x[..., : d // 2], x[..., d // 2 :])
    return torch.cat([z.real, z.imag], -1)


def rotary_pairs_truth(x):
    t, d = x.shape[-2:]
    ang = torch.arange(t, dtype=x.dtype)[:, None] * 100.0 ** (-torch.arange(0, d, 2).to(x.dtype) / d)
    z = torch.polar(torch.ones_like(ang), ang) * torch.view_as_complex(x.reshape(*x.shape[:-1], d // 2, 2))
    return torch.view_as_real(z).reshape(x.shape)


def additive(q, k, w):
    """Bahdanau's scores: wᵀ tanh(q_i + k_j)."""
    h = np.tanh(q[:, None, :] + k[None, :, :])
    return h @ w, (h, w)


def additive_grad(ds, cache):
    h, w = cache
    da = ds[..., None] * w * (1 - h**2)
    return da.sum(axis=1), da.sum(axis=0), np.tensordot(ds, h, axes=2)


def additive_grad_bad(ds, cache):
    h, w = cache
    da = ds[..., None] * w * (1 - h**2)
    return da.sum(axis=0), da.sum(axis=1), np.einsum("ij,ijd->d", ds, h)  # changed round


def additive_truth(q, k, w):
    return torch.tanh(q[:, None] + k[None]) @ w


CASES += [
    right(
        "multi-head attention",
        "multi-head attention",
        "class",
        lambda: MultiHead(6, 2),
        normal(11, (2, 4, 6)),
        multihead_truth,
        weights="in_proj out_proj",
        grads="out d_in_proj d_out_proj",
    ),
    wrong(
        "multi-head attention, heads",
        "multi-head attention",
        "the heads are reshaped without a transpose",
        "class",
        lambda: MultiHeadReshape(6, 2),
        normal(12, (2, 4, 6)),
        multihead_truth,
        weights="in_proj out_proj",
        grads="out d_in_proj d_out_proj",
    ),
    right(
        "grouped queries",
        "multi-head attention",
        "closure",
        lambda: grouped_query,
        normal(13, (2, 4, 3, 2), (2, 2, 3, 2), (2, 2, 3, 2)),
        gqa_truth,
        reference=lambda: gqa_truth,
    ),
    wrong(
        "grouped queries, first of a group",
        "multi-head attention",
        "keys and values get the gradient of one head of each group",
        "closure",
        lambda: grouped_query_bad,
        normal(14, (2, 4, 3, 2), (2, 2, 3, 2), (2, 2, 3, 2)),
        gqa_truth,
        reference=TRUTH,
    ),
    right("rotary by halves", "rotary", "closure", lambda: rotary, normal(15, (2, 5, 6)), rotary_truth),
    wrong(
        "rotary by pairs, direction",
        "rotary",
        "backward rotates forwards once more",
        "class",
        lambda: RotaryPairs(6),
        normal(16, (2, 5, 6)),
        rotary_pairs_truth,
        reference=lambda: rotary_pairs_truth,
    ),
    right(
        "additive scores",
        "attention",
        "pair",
        lambda: (additive, additive_grad),
        normal(17, (4, 3), (4, 3), (3,)),
        additive_truth,
        reference=TRUTH,
    ),
    wrong(
        "additive scores, q and k",
        "attention",
        "the sums for q and k are changed round, their shapes are equal",
        "pair",
        lambda: (additive, additive_grad_bad),
        normal(18, (4, 3), (4, 3), (3,)),
        additive_truth,
        reference=lambda: additive_truth,
    ),
]
