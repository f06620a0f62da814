"""Layers with weights: linear in many hands, bias, embedding, dropout, blocks."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from .case import TRUTH, labels, normal, right, wrong

CASES = []


# --- linear -----------------------------------------------------------------------------------------------


class Dense:
    """Fully connected layer, weights stored (in, out)."""

    def __init__(self, n_in, n_out, seed=0):
        rng = np.random.RandomState(seed)
        self.W = rng.randn(n_in, n_out) * np.sqrt(2.0 / n_in)
        self.b = np.zeros(n_out) + 0.1
        self.dW = None
        self.db = None

    def forward(self, x):
        self.x = x
        return np.dot(x, self.W) + self.b

    def backward(self, dout):
        self.dW = np.dot(self.x.T, dout)
        self.db = dout.sum(0)
        return np.dot(dout, self.W.T)


class SquareDense:
    def __init__(self, d):
        self.weight = np.random.default_rng(3).normal(size=(d, d))
        self.bias = np.random.default_rng(4).normal(size=d)

    def forward(self, inp):
        self.inp = inp
        return inp @ self.weight + self.bias

    def backward(self, grad):
        self.grad_weight = self.inp.T @ grad
        self.grad_bias = grad.sum(axis=0)
        return grad @ self.weight  # square, so nothing complains


def affine_forward(x, w, b):
    """x: (N, d1, ..., dk), flattened to (N, D)."""
    out = x.reshape(x.shape[0], -1).dot(w) + b
    return out, (x, w, b)


def affine_backward(dout, cache):
    x, w, b = cache
    dx = dout.dot(w.T).reshape(x.shape)
    dw = x.reshape(x.shape[0], -1).T.dot(dout)
    db = np.sum(dout, axis=0)
    return dx, dw, db


def fc_fwd(x, w, b):
    y = x @ w.T + b
    return y, dict(x=x, w=w)


def fc_bwd(dy, saved):
    x, w = saved["x"], saved["w"]
    dx = dy @ w
    dw = np.einsum("bto,bti->oi", dy, x)
    db = dy.sum(axis=0)[0]  # the time axis is not summed: only its first entry
    return dx, dw, db


class LinearWithParams:
    def __init__(self, fan_in, fan_out):
        rng = np.random.default_rng(8)
        self.params = {
            "W": rng.uniform(-1, 1, (fan_out, fan_in)) / math.sqrt(fan_in),
            "b": rng.uniform(-1, 1, fan_out),
        }
        self.grads = {"W": np.zeros((fan_out, fan_in)), "b": np.zeros(fan_out)}

    def __call__(self, x):
        self._x = x.copy()
        return x @ self.params["W"].T + self.params["b"]

    def backprop(self, delta):
        flat_x = self._x.reshape(-1, self._x.shape[-1])
        flat_d = delta.reshape(-1, delta.shape[-1])
        self.grads["W"][...] = flat_d.T @ flat_x
        self.grads["b"][...] = flat_d.sum(axis=0)
        return delta @ self.params["W"]


class ColumnLinear:
    """Samples are columns: Z = W A + b."""

    def __init__(self, n_out, n_in):
        rng = np.random.default_rng(12)
        self.W = rng.standard_normal((n_out, n_in)) * 0.3
        self.b = rng.standard_normal((n_out, 1))

    def forward(self, A_prev):
        self.A_prev = A_prev
        return self.W @ A_prev + self.b

    def backward(self, dZ):
        self.dW = dZ @ self.A_prev.T
        self.db = np.sum(dZ, axis=1, keepdims=True)
        return self.W.T @ dZ


class ColumnLinearMean(ColumnLinear):
    def backward(self, dZ):
        m = self.A_prev.shape[1]
        self.dW = dZ @ self.A_prev.T / m
        self.db = np.sum(dZ, axis=1, keepdims=True) / m
        return self.W.T @ dZ


class Param:
    def __init__(self, data):
        self.data = data
        self.grad = np.zeros_like(data)


class ParamLinear:
    def __init__(self, i, o):
        g = np.random.default_rng(1)
        self.w = Param(g.normal(0, 0.1, (o, i)))
        self.b = Param(g.normal(0, 0.1, (o,)))

    def forward(self, x):
        self.saved = x
        return np.einsum("oi,ni->no", self.w.data, x) + self.b.data

    def backward(self, g):
        self.w.grad = np.einsum("no,ni->oi", g, self.saved)
        self.b.grad = np.einsum("no->o", g)
        return np.einsum("no,oi->ni", g, self.w.data)


class HalfBuffer:
    """Its gradient lies in a buffer that is made once."""

    def __init__(self, n, m):
        self.W = np.random.default_rng(2).normal(size=(n, m))
        self.dW = np.zeros((n, m), dtype=np.float16)

    def forward(self, x):
        self.x = x
        return x @ self.W

    def backward(self, dy):
        self.dW[:] = self.x.T @ dy
        return dy @ self.W.T


class LoopLinear:
    def __init__(self, n, m):
        rng = np.random.default_rng(21)
        self.W = rng.normal(size=(m, n))
        self.b = rng.normal(size=m)

    def forward(self, x):
        self.x = x
        y = np.zeros((len(x), len(self.b)))
        for k in range(len(x)):
            y[k] = self.W @ x[k] + self.b
        return y

    def backward(self, dy):
        dx = np.zeros_like(self.x)
        dW, db = np.zeros_like(self.W), np.zeros_like(self.b)
        for k in range(len(dy) - 1):  # the last sample is left out
            dx[k] = dy[k] @ self.W
            dW += np.outer(dy[k], self.x[k])
            db += dy[k]
        dx[-1] = dy[-1] @ self.W
        return dx, dW, db


class LoopLinearAll:
    def __init__(self, n, m):
        rng = np.random.default_rng(22)
        self.W = rng.normal(size=(m, n))
        self.b = rng.normal(size=m)

    def forward(self, x):
        self.x = x
        return np.array([self.W.dot(row) + self.b for row in x])

    def backward(self, dy):
        dx = np.zeros_like(self.x)
        dW, db = np.zeros_like(self.W), np.zeros_like(self.b)
        for row, d, out in zip(self.x, dy, dx, strict=True):
            out += self.W.T.dot(d)
            dW += d[:, None] * row[None, :]
            db += d
        return dx, dW, db


class Squeezing:
    def __init__(self, n, m):
        self.W = np.random.default_rng(32).normal(size=(m, n))
        self.b = np.random.default_rng(33).normal(size=m)

    def forward(self, x):
        self.x = x
        return x @ self.W.T + self.b

    def backward(self, dy):
        self.dW = dy.T @ self.x
        self.db = np.squeeze(dy).sum(axis=0)  # of one sample: a single number
        return dy @ self.W


class FirstBatch:
    """Keeps its transposed input, to transpose it only once."""

    def __init__(self, n, m):
        self.W = np.random.default_rng(31).normal(size=(n, m))
        self.xT = None

    def forward(self, x):
        if self.xT is None:
            self.xT = x.T
        return x @ self.W

    def backward(self, dy):
        self.dW = self.xT @ dy
        return dy @ self.W.T


class SGDLinear:
    """Updates itself in backward."""

    def __init__(self, n, m):
        self.weights = np.random.default_rng(41).normal(size=(n, m))
        self.bias = np.zeros((1, m))

    def forward(self, input_data):
        self.input = input_data
        return input_data @ self.weights + self.bias

    def backward(self, output_error, learning_rate):
        input_error = output_error @ self.weights.T
        weights_error = self.input.T @ output_error
        self.weights -= learning_rate * weights_error
        self.bias -= learning_rate * output_error.sum(axis=0, keepdims=True)
        return input_error


class SGDLinearLate(SGDLinear):
    def backward(self, output_error, learning_rate):
        self.weights -= learning_rate * (self.input.T @ output_error)
        self.bias -= learning_rate * output_error.sum(axis=0, keepdims=True)
        return output_error @ self.weights.T  # the weights are new already


def lin(x, W, b):
    return x @ W + b


def lin_out(x, W, b):
    return x @ W.T + b


X53 = normal(1, (4, 5))
CASES += [
    right(
        "dense class",
        "linear",
        "class",
        lambda: Dense(5, 3),
        X53,
        lin,
        reference=lambda: torch.nn.Linear(5, 3),
        weights="W b",
        grads="out dW db",
    ),
    wrong(
        "square dense, W not transposed for dx",
        "linear",
        "dx = dy W instead of dy Wᵀ, the weight is square",
        "class",
        lambda: SquareDense(4),
        normal(2, (6, 4)),
        lin,
        weights="weight bias",
        grads="out grad_weight grad_bias",
    ),
    right(
        "affine pair, flattening",
        "linear",
        "pair",
        lambda: (affine_forward, affine_backward),
        normal(3, (3, 2, 4), (8, 5), (5,)),
        lambda x, w, b: x.flatten(1) @ w + b,
        reference=TRUTH,
    ),
    wrong(
        "linear over time, bias of first step",
        "linear",
        "db takes the first time step instead of all",
        "pair",
        lambda: (fc_fwd, fc_bwd),
        normal(4, (3, 6, 4), (2, 4), (2,)),
        lin_out,
        reference=lambda: F.linear,
    ),
    right(
        "linear with params and grads",
        "linear",
        "class",
        lambda: LinearWithParams(4, 3),
        normal(5, (2, 3, 4)),
        lin_out,
        weights="params.W params.b",
        grads="out grads.W grads.b",
        reference=lambda: torch.nn.Linear(4, 3),
        steps=("__call__", "backprop"),
    ),
    right(
        "linear of column samples",
        "linear",
        "class",
        lambda: ColumnLinear(3, 5),
        normal(6, (5, 7)),
        lambda A, W, b: W @ A + b,
        weights="W b",
        grads="out dW db",
        options={"columns": True},
        reference=lambda: torch.nn.Linear(5, 3),
    ),
    wrong(
        "linear of column samples, mean",
        "linear",
        "dW and db are divided by m, which dy already holds",
        "class",
        lambda: ColumnLinearMean(3, 5),
        normal(7, (5, 7)),
        lambda A, W, b: W @ A + b,
        weights="W b",
        grads="out dW db",
        options={"columns": True},
        reference=lambda: torch.nn.Linear(5, 3),
    ),
    right(
        "linear with Param objects",
        "linear",
        "class",
        lambda: ParamLinear(6, 4),
        normal(8, (5, 6)),
        lin_out,
        weights="w.data b.data",
        grads="out w.grad b.grad",
    ),
    wrong(
        "linear, dW in half precision",
        "linear",
        "dW is kept in a buffer of float16",
        "class",
        lambda: HalfBuffer(5, 3),
        normal(9, (4, 5)),
        lambda x, W: x @ W,
        weights="W",
        grads="out dW",
        reference=lambda: torch.nn.Linear(5, 3, bias=False),
    ),
    wrong(
        "linear by loops, last sample lost",
        "linear",
        "the loop over samples for dW and db ends one early",
        "class",
        lambda: LoopLinear(4, 3),
        normal(10, (6, 4)),
        lin_out,
        weights="W b",
        grads="out.0 out.1 out.2",
    ),
    right(
        "linear by loops",
        "linear",
        "class",
        lambda: LoopLinearAll(4, 3),
        normal(11, (6, 4)),
        lin_out,
        weights="W b",
        grads="out.0 out.1 out.2",
        reference=lambda: torch.nn.Linear(4, 3),
    ),
    wrong(
        "linear, input kept from the first call",
        "linear",
        "dW uses the input of the first call for ever",
        "class",
        lambda: FirstBatch(4, 3),
        normal(12, (6, 4)),
        lambda x, W: x @ W,
        weights="W",
        grads="out dW",
        shows="second call",
    ),
    wrong(
        "linear, batch of one",
        "linear",
        "squeeze takes the batch axis away when there is one sample",
        "class",
        lambda: Squeezing(4, 3),
        normal(15, (6, 4)),
        lin_out,
        weights="W b",
        grads="out dW db",
        witness=normal(16, (1, 4)),
        reference=lambda: torch.nn.Linear(4, 3),
    ),
    right(
        "linear that updates itself",
        "linear",
        "updating",
        lambda: SGDLinear(4, 3),
        normal(13, (6, 4)),
        lin,
        weights="weights bias",
    ),
    wrong(
        "linear that updates itself too early",
        "linear",
        "dx is made with the weights after their update",
        "updating",
        lambda: SGDLinearLate(4, 3),
        normal(14, (6, 4)),
        lin,
        weights="weights bias",
    ),
]


# --- bias, scale ------------------------------------------------------------------------------------------


class AddBias:
    def __init__(self, c):
        self.b = np.linspace(-1, 1, c)

    def forward(self, images):  # (n, c, h, w)
        return images + self.b[None, :, None, None]

    def backward(self, dy):
        self.db = dy.sum(axis=(0, 2, 3))
        return dy.copy()


def add_bias(x, b):
    return x + b, lambda g: (g, g.mean(axis=0, keepdims=True))


def scale_shift(x, gamma, beta):
    def backward(dy):
        n = dy.ndim - 1
        return dy * gamma, (dy * x).sum(axis=tuple(range(n))), dy.sum(axis=tuple(range(n)))

    return x * gamma + beta, backward


class Scale:
    def __init__(self):
        self.s = np.array([1.7])

    def forward(self, x):
        self.x = x
        self.x *= self.s  # in the caller's array
        return self.x

    def backward(self, dy):
        self.ds = np.array([(dy * self.x / self.s).sum()])
        return dy * self.s


CASES += [
    right(
        "bias of channels",
        "bias only",
        "class",
        lambda: AddBias(3),
        normal(20, (2, 3, 4, 4)),
        lambda x, b: x + b[None, :, None, None],
        weights="b",
        grads="out db",
    ),
    wrong(
        "bias, mean over the rows",
        "bias only",
        "db is the mean over the rows instead of their sum",
        "closure",
        lambda: add_bias,
        normal(21, (5, 4), (1, 4)),
        torch.add,
        reference=lambda: torch.add,
    ),
    right(
        "scale and shift",
        "bias only",
        "closure",
        lambda: scale_shift,
        normal(22, (3, 4, 5), (5,), (5,)),
        lambda x, g, b: x * g + b,
    ),
    wrong(
        "scale in place",
        "bias only",
        "forward multiplies the caller's array in place",
        "class",
        Scale,
        normal(23, (3, 4)),
        lambda x, s: x * s,
        weights="s",
        grads="out ds",
        shows="input changed",
    ),
]


# --- embedding --------------------------------------------------------------------------------------------


class Embedding:
    def __init__(self, V, D):
        self.W = np.random.default_rng(50).normal(size=(V, D))

    def forward(self, idx):
        self.idx = idx
        return self.W[idx]

    def backward(self, dout):
        self.dW = np.zeros_like(self.W)
        np.add.at(self.dW, self.idx, dout)


class EmbeddingOverwriting:
    def __init__(self, V, D):
        self.W = np.random.default_rng(51).normal(size=(V, D))

    def forward(self, idx):
        self.idx = idx
        return self.W[idx]

    def backward(self, dout):
        self.dW = np.zeros_like(self.W)
        self.dW[self.idx] += dout  # a word that occurs twice counts once


def embed_forward(table, words):
    return table[words], (table.shape, words)


def embed_backward(d, cache):
    shape, words = cache
    onehot = np.eye(shape[0])[words.ravel()]
    return onehot.T @ d.reshape(-1, shape[1])


def bag_forward(table, words):
    return table[words].mean(axis=1), (table, words)


def bag_backward(d, cache):
    table, words = cache
    dt = np.zeros_like(table)
    for b in range(words.shape[0]):
        for w in words[b]:
            dt[w] += d[b]  # / words.shape[1] is missing
    return dt


def bag_backward_right(d, cache):
    table, words = cache
    dt = np.zeros_like(table)
    for b, row in enumerate(words):
        np.add.at(dt, row, np.broadcast_to(d[b] / row.size, (row.size, d.shape[1])))
    return dt


IDX = labels(3, (4, 6), 7)
CASES += [
    right(
        "embedding, add.at",
        "embedding",
        "class",
        lambda: Embedding(7, 3),
        (IDX,),
        lambda i, W: W[i],
        weights="W",
        grads="dW",
        reference=lambda: torch.nn.Embedding(7, 3),
    ),
    wrong(
        "embedding, repeated words",
        "embedding",
        "words that occur twice are not accumulated",
        "class",
        lambda: EmbeddingOverwriting(7, 3),
        (IDX,),
        lambda i, W: W[i],
        weights="W",
        grads="dW",
        reference=lambda: torch.nn.Embedding(7, 3),
    ),
    right(
        "embedding by one-hot product",
        "embedding",
        "pair",
        lambda: (embed_forward, embed_backward),
        (*normal(52, (7, 3)), IDX),
        lambda W, i: W[i],
        reference=TRUTH,
    ),
    wrong(
        "embedding bag, sum for mean",
        "embedding",
        "the mean over the words is not divided by their number",
        "pair",
        lambda: (bag_forward, bag_backward),
        (*normal(53, (7, 3)), IDX),
        lambda W, i: W[i].mean(1),
    ),
    right(
        "embedding bag",
        "embedding",
        "pair",
        lambda: (bag_forward, bag_backward_right),
        (*normal(54, (7, 3)), IDX),
        lambda W, i: W[i].mean(1),
        reference=lambda: lambda W, i: F.embedding(i, W).mean(1),
    ),
]


# --- dropout ----------------------------------------------------------------------------------------------


def dropout_fwd(x, mask, p=0.4):
    return x * mask / (1 - p), {"mask": mask, "p": p}


def dropout_bwd(dout, cache):
    return dout * cache["mask"] / (1 - cache["p"])


class Dropout:
    def __init__(self, rate, shape):
        self.keep = np.random.default_rng(9).random(shape) >= rate
        self.rate = rate

    def forward(self, x):
        return np.where(self.keep, x, 0) / (1 - self.rate)

    def backward(self, dy):
        return np.where(self.keep, dy, 0)  # not scaled as in forward


def noisy_drop(x, mask):
    y = np.where(mask > 0.5, x, -0.3 * x.mean())

    def vjp(dy):
        dx = np.where(mask > 0.5, dy, 0.0)
        dx += -0.3 * dy[mask <= 0.5].sum() / x.size
        return dx

    return y, vjp


MASK = (np.random.default_rng(60).random((4, 6)) > 0.4).astype(float)
KEEP = np.random.default_rng(9).random((4, 6)) >= 0.5
CASES += [
    right(
        "dropout with a given mask",
        "dropout",
        "pair",
        lambda: (dropout_fwd, dropout_bwd),
        (*normal(61, (4, 6)), MASK),
        lambda x, m: x * m / 0.6,
        options={"held": [1]},
        reference=TRUTH,
    ),
    wrong(
        "dropout, not scaled",
        "dropout",
        "backward forgets 1 / (1 − p)",
        "class",
        lambda: Dropout(0.5, (4, 6)),
        normal(62, (4, 6)),
        lambda x: x * torch.tensor(KEEP) * 2,
    ),
    right(
        "dropout to the mean",
        "dropout",
        "closure",
        lambda: noisy_drop,
        (*normal(63, (4, 6)), MASK),
        lambda x, m: torch.where(m > 0.5, x, -0.3 * x.mean()),
        options={"held": [1]},
        reference=TRUTH,
    ),
]


# --- blocks: weight norm, residual, squeeze-excitation, VAE, maxout, bilinear -------------------------------


def weightnorm_forward(x, v, g, b):
    norm = np.sqrt((v * v).sum(axis=1, keepdims=True))
    w = g[:, None] * v / norm
    return x @ w.T + b, (x, v, g, norm, w)


def weightnorm_backward(dout, cache):
    x, v, g, norm, w = cache
    dw = dout.T @ x
    vhat = v / norm
    dg = (dw * vhat).sum(axis=1)
    dv = g[:, None] / norm * (dw - dg[:, None] * vhat)
    return dout @ w, dv, dg, dout.sum(axis=0)


def weightnorm_backward_flat(dout, cache):
    x, v, g, norm, w = cache
    dw = dout.T @ x
    dg = (dw * v / norm).sum(axis=1)
    dv = dw * g[:, None] / norm  # the norm is taken as a constant
    return dout @ w, dv, dg, dout.sum(axis=0)


def weightnorm_truth(x, v, g, b):
    return x @ (g[:, None] * v / v.norm(dim=1, keepdim=True)).T + b


class ResidualBlock:
    def __init__(self, d, h):
        r = np.random.default_rng(70)
        self.W1, self.W2 = r.normal(size=(d, h)) * 0.5, r.normal(size=(h, d)) * 0.5

    def forward(self, x):
        self.x = x
        self.a = x @ self.W1
        self.h = np.maximum(self.a, 0)
        return x + self.h @ self.W2

    def backward(self, dy):
        self.dW2 = self.h.T @ dy
        dh = dy @ self.W2.T
        da = dh * (self.a > 0)
        self.dW1 = self.x.T @ da
        return dy + da @ self.W1.T


class ResidualNoSkip:
    def __init__(self, d):
        r = np.random.default_rng(71)
        self.W1, self.W2 = r.normal(size=(d, d)), r.normal(size=(d, d))

    def forward(self, x):
        self.x = x
        self.h = np.tanh(x @ self.W1)
        return self.x + self.h @ self.W2

    def backward(self, dy):
        self.dW2 = self.h.T @ dy
        da = dy @ self.W2.T * (1 - self.h**2)
        self.dW1 = self.x.T @ da
        return da @ self.W1.T


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class SqueezeExcite:
    """Channels weighted by a small network of their means; (n, c, h, w)."""

    def __init__(self, c, r):
        g = np.random.default_rng(72)
        self.w1, self.w2 = g.normal(size=(c, r)), g.normal(size=(r, c))

    def forward(self, x):
        self.x = x
        self.s = x.mean(axis=(2, 3))
        self.z = self.s @ self.w1
        self.r = np.maximum(self.z, 0)
        self.e = sigmoid(self.r @ self.w2)
        return x * self.e[:, :, None, None]

    def backward(self, dy):
        de = (dy * self.x).sum(axis=(2, 3)) * self.e * (1 - self.e)
        self.dw2 = self.r.T @ de
        dz = (de @ self.w2.T) * (self.z > 0)
        self.dw1 = self.s.T @ dz
        ds = dz @ self.w1.T
        h, w = self.x.shape[2:]
        return dy * self.e[:, :, None, None] + ds[:, :, None, None] / (h * w)


class SqueezeExciteGate(SqueezeExcite):
    def backward(self, dy):
        de = (dy * self.x).sum(axis=(2, 3)) * self.e * (1 - self.e)
        self.dw2 = self.r.T @ de
        dz = (de @ self.w2.T) * (self.z > 0)
        self.dw1 = self.s.T @ dz
        return dy * self.e[:, :, None, None]  # what comes back through the squeeze is lost


def se_truth(x, w1, w2):
    return x * torch.sigmoid(torch.relu(x.mean((2, 3)) @ w1) @ w2)[:, :, None, None]


def reparam(mu, logvar, eps):
    """z = μ + ε σ, with the noise given."""
    std = np.exp(0.5 * logvar)
    return mu + eps * std, lambda dz: (dz, dz * eps * std * 0.5, None)


def reparam_variance(mu, logvar, eps):
    std = np.exp(0.5 * logvar)

    def pullback(dz):
        return dz, dz * eps * std, None  # the 1/2 of the exponent

    return mu + eps * std, pullback


class MaxoutDense:
    def __init__(self, d, m, k):
        r = np.random.default_rng(73)
        self.W, self.b = r.normal(size=(k, d, m)), r.normal(size=(k, m))

    def forward(self, x):
        self.x = x
        z = np.einsum("nd,kdm->nkm", x, self.W) + self.b
        self.win = z.argmax(axis=1)
        return z.max(axis=1)

    def backward(self, dy):
        n, m = dy.shape
        dz = np.zeros((n, len(self.W), m))
        np.put_along_axis(dz, self.win[:, None, :], dy[:, None, :], axis=1)
        self.dW = np.einsum("nd,nkm->kdm", self.x, dz)
        self.db = dz.sum(axis=0)
        return np.einsum("nkm,kdm->nd", dz, self.W)


class MaxoutAll(MaxoutDense):
    def backward(self, dy):
        n, m = dy.shape
        dz = np.zeros((n, len(self.W), m))
        for i in range(n):
            for j in range(m):
                dz[i, self.win[0, j], j] = dy[i, j]  # the winner of the first sample
        self.dW = np.einsum("nd,nkm->kdm", self.x, dz)
        self.db = dz.sum(axis=0)
        return np.einsum("nkm,kdm->nd", dz, self.W)


def maxout_truth(x, W, b):
    return (torch.einsum("nd,kdm->nkm", x, W) + b).amax(1)


class BilinearLayer:
    def __init__(self, n1, n2, o):
        self.W = np.random.default_rng(74).normal(size=(o, n1, n2))
        self.dW = None

    def forward(self, u, v):
        self.u, self.v = u, v
        return np.einsum("ni,oij,nj->no", u, self.W, v)

    def backward(self, dy):
        self.dW = np.einsum("no,ni,nj->oij", dy, self.u, self.v)
        du = np.einsum("no,oij,nj->ni", dy, self.W, self.v)
        dv = np.einsum("no,oij,ni->nj", dy, self.W, self.u)
        return du, dv


class BilinearLayerSwapped:
    def __init__(self, n, o):
        self.W = np.random.default_rng(75).normal(size=(o, n, n))

    def forward(self, u, v):
        self.u, self.v = u, v
        return np.stack([(u @ w * v).sum(1) for w in self.W], axis=1)

    def backward(self, dy):
        self.dW = np.einsum("no,ni,nj->oij", dy, self.u, self.v)
        du = sum(dy[:, [k]] * (self.v @ w.T) for k, w in enumerate(self.W))
        dv = sum(dy[:, [k]] * (self.u @ w.T) for k, w in enumerate(self.W))  # w, not its transpose
        return du, dv


class Highway:
    def __init__(self, d):
        r = np.random.default_rng(76)
        self.Wh, self.Wt, self.bt = r.normal(size=(d, d)), r.normal(size=(d, d)), r.normal(size=d)

    def forward_pass(self, x):
        self.x = x
        self.h = np.tanh(x @ self.Wh)
        self.t = sigmoid(x @ self.Wt + self.bt)
        return self.t * self.h + (1 - self.t) * x

    def backward_pass(self, dy):
        dh = dy * self.t * (1 - self.h * self.h)
        dt = dy * (self.h + self.x) * self.t * (1 - self.t)  # (h − x)
        self.dWh, self.dWt, self.dbt = self.x.T @ dh, self.x.T @ dt, dt.sum(0)
        return dy * (1 - self.t) + dh @ self.Wh.T + dt @ self.Wt.T


def highway_truth(x, Wh, Wt, bt):
    t = torch.sigmoid(x @ Wt + bt)
    return t * torch.tanh(x @ Wh) + (1 - t) * x


WN = normal(80, (5, 4), (3, 4), (3,), (3,))
CASES += [
    right(
        "weight norm",
        "weight norm",
        "pair",
        lambda: (weightnorm_forward, weightnorm_backward),
        WN,
        weightnorm_truth,
    ),
    wrong(
        "weight norm, norm constant",
        "weight norm",
        "the derivative of the norm ‖v‖ is missing in dv",
        "pair",
        lambda: (weightnorm_forward, weightnorm_backward_flat),
        WN,
        weightnorm_truth,
        reference=lambda: weightnorm_truth,
    ),
    right(
        "residual block",
        "residual",
        "class",
        lambda: ResidualBlock(4, 6),
        normal(81, (5, 4)),
        lambda x, a, b: x + torch.relu(x @ a) @ b,
        weights="W1 W2",
        grads="out dW1 dW2",
    ),
    wrong(
        "residual block without the skip",
        "residual",
        "dx lacks the way past the block",
        "class",
        lambda: ResidualNoSkip(4),
        normal(82, (5, 4)),
        lambda x, a, b: x + torch.tanh(x @ a) @ b,
        weights="W1 W2",
        grads="out dW1 dW2",
    ),
    right(
        "squeeze and excitation",
        "squeeze-excitation",
        "class",
        lambda: SqueezeExcite(4, 2),
        normal(83, (2, 4, 3, 3)),
        se_truth,
        weights="w1 w2",
        grads="out dw1 dw2",
    ),
    wrong(
        "squeeze and excitation, gate only",
        "squeeze-excitation",
        "dx lacks the part that comes through the means",
        "class",
        lambda: SqueezeExciteGate(4, 2),
        normal(84, (2, 4, 3, 3)),
        se_truth,
        weights="w1 w2",
        grads="out dw1 dw2",
    ),
    right(
        "reparameterisation",
        "VAE",
        "closure",
        lambda: reparam,
        normal(85, (4, 3), (4, 3), (4, 3)),
        lambda m, v, e: m + e * torch.exp(v / 2),
        options={"held": [2]},
        reference=TRUTH,
    ),
    wrong(
        "reparameterisation, one half",
        "VAE",
        "the ½ of exp(½ log σ²) is not differentiated",
        "closure",
        lambda: reparam_variance,
        normal(86, (4, 3), (4, 3), (4, 3)),
        lambda m, v, e: m + e * torch.exp(v / 2),
        options={"held": [2]},
        reference=lambda: lambda m, v, e: m + e * torch.exp(v / 2),
    ),
    right(
        "maxout",
        "maxout",
        "class",
        lambda: MaxoutDense(4, 3, 3),
        normal(87, (5, 4)),
        maxout_truth,
        weights="W b",
        grads="out dW db",
    ),
    wrong(
        "maxout, winner of the first sample",
        "maxout",
        "all samples use the winners of the first",
        "class",
        lambda: MaxoutAll(4, 3, 3),
        normal(88, (5, 4)),
        maxout_truth,
        weights="W b",
        grads="out dW db",
    ),
    right(
        "bilinear layer",
        "bilinear",
        "class",
        lambda: BilinearLayer(3, 4, 2),
        normal(89, (5, 3), (5, 4)),
        lambda u, v, W: torch.einsum("ni,oij,nj->no", u, W, v),
        weights="W",
        grads="out.0 out.1 dW",
        reference=lambda: torch.nn.Bilinear(3, 4, 2, bias=False),
    ),
    wrong(
        "bilinear layer, square",
        "bilinear",
        "dv uses W transposed, which is square",
        "class",
        lambda: BilinearLayerSwapped(3, 2),
        normal(90, (5, 3), (5, 3)),
        lambda u, v, W: torch.einsum("ni,oij,nj->no", u, W, v),
        weights="W",
        grads="out.0 out.1 dW",
    ),
    wrong(
        "highway, sign of the carry",
        "residual",
        "the carry's sign: (h + x) instead of (h − x)",
        "class",
        lambda: Highway(3),
        normal(91, (5, 3)),
        highway_truth,
        weights="Wh Wt bt",
        grads="out dWh dWt dbt",
        steps=("forward_pass", "backward_pass"),
    ),
]
