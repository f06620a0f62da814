"""Whole networks: a function of parameters and data, with the loss and its gradients."""

import numpy as np
import torch
import torch.nn.functional as F

from .case import OWN, labels, normal, right, wrong

CASES = []


def rng(seed):
    return np.random.default_rng(seed)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def softmax_loss(scores, y):
    z = scores - scores.max(axis=1, keepdims=True)
    p = np.exp(z)
    p /= p.sum(axis=1, keepdims=True)
    n = len(y)
    loss = -np.log(p[np.arange(n), y]).mean()
    d = p
    d[np.arange(n), y] -= 1
    return loss, d / n


def mlp_params(seed, *sizes, names=True):
    r = rng(seed)
    out = {}
    for k, (i, o) in enumerate(zip(sizes, sizes[1:], strict=False), 1):
        out[f"W{k}"], out[f"b{k}"] = r.normal(size=(i, o)) / np.sqrt(i), 0.1 * r.normal(size=o)
    return out if names else list(out.values())


DATA = (*normal(1, (7, 5)), labels(2, 7, 3))


# --- classifiers ------------------------------------------------------------------------------------------


def two_layers(params, X, y, reg=0.05):
    W1, b1, W2, b2 = params["W1"], params["b1"], params["W2"], params["b2"]
    h = np.maximum(0, X @ W1 + b1)
    loss, ds = softmax_loss(h @ W2 + b2, y)
    loss += 0.5 * reg * (np.sum(W1**2) + np.sum(W2**2))
    dh = ds @ W2.T * (h > 0)
    return loss, {"W2": h.T @ ds + reg * W2, "b2": ds.sum(0), "W1": X.T @ dh + reg * W1, "b1": dh.sum(0)}


def two_layers_reg(params, X, y, reg=0.05):
    W1, b1, W2, b2 = params["W1"], params["b1"], params["W2"], params["b2"]
    h = np.maximum(0, X @ W1 + b1)
    loss, ds = softmax_loss(h @ W2 + b2, y)
    loss += 0.5 * reg * (np.sum(W1**2) + np.sum(W2**2))
    grads = {}
    grads["W2"] = h.T @ ds + 2 * reg * W2  # the loss has ½
    grads["b2"] = ds.sum(0)
    dh = ds @ W2.T
    dh[h <= 0] = 0
    grads["W1"] = X.T @ dh + 2 * reg * W1
    grads["b1"] = dh.sum(0)
    return loss, grads


def two_truth(p, X, y):
    h = torch.relu(X @ p["W1"] + p["b1"])
    return F.cross_entropy(h @ p["W2"] + p["b2"], y) + 0.025 * ((p["W1"] ** 2).sum() + (p["W2"] ** 2).sum())


def deep(params, X, y):
    """Any number of tanh layers, as a list [W1, b1, W2, b2, ...]."""
    acts = [X]
    for W, b in zip(params[:-2:2], params[1:-2:2], strict=True):
        acts.append(np.tanh(acts[-1] @ W + b))
    loss, d = softmax_loss(acts[-1] @ params[-2] + params[-1], y)
    grads = [None] * len(params)
    for k in reversed(range(0, len(params), 2)):
        grads[k], grads[k + 1] = acts[k // 2].T @ d, d.sum(axis=0)
        if k:
            d = (d @ params[k].T) * (1 - acts[k // 2] ** 2)
    return loss, grads


def deep_bad(params, X, y):
    acts, zs = [X], []
    for W, b in zip(params[:-2:2], params[1:-2:2], strict=True):
        zs.append(acts[-1] @ W + b)
        acts.append(np.tanh(zs[-1]))
    loss, d = softmax_loss(acts[-1] @ params[-2] + params[-1], y)
    grads = [None] * len(params)
    for k in reversed(range(0, len(params), 2)):
        grads[k], grads[k + 1] = acts[k // 2].T @ d, d.sum(axis=0)
        if k:
            d = (d @ params[k].T) * (1 - zs[k // 2 - 1] ** 2)  # z for tanh z
    return loss, grads


def deep_truth(p, X, y):
    for W, b in zip(p[:-2:2], p[1:-2:2], strict=True):
        X = torch.tanh(X @ W + b)
    return F.cross_entropy(X @ p[-2] + p[-1], y)


def logistic(w, b, X, t):
    """Parameters one by one; targets 0 and 1."""
    z = X @ w + b[0]
    loss = np.mean(np.logaddexp(0, z) - t * z)
    e = (sigmoid(z) - t) / len(t)
    return loss, X.T @ e, np.array([e.sum()])


def logistic_bad(w, b, X, t):
    z = X @ w + b[0]
    p = sigmoid(z)
    loss = -np.mean(t * np.log(p) + (1 - t) * np.log(1 - p))
    e = (p - t) * p * (1 - p) / len(t)  # σ′ once more, as for the squared error
    return loss, X.T @ e, np.array([e.sum()])


def logistic_truth(p, X, t):
    return F.binary_cross_entropy_with_logits(X @ p[0] + p[1], t)


class TwoLayerNet:
    def __init__(self, d, h, k):
        self.params = mlp_params(5, d, h, k)

    def forward(self, X):
        self.X = X
        self.a = sigmoid(X @ self.params["W1"] + self.params["b1"])
        return self.a @ self.params["W2"] + self.params["b2"]

    def loss(self, X, y):
        loss, d = softmax_loss(self.forward(X), y)
        da = d @ self.params["W2"].T * self.a * (1 - self.a)
        grads = {"W1": X.T @ da, "b1": da.sum(0), "W2": self.a.T @ d, "b2": d.sum(0)}
        return loss, grads


class TwoLayerNetKeep(TwoLayerNet):
    X = None

    def forward(self, X):
        if self.X is None:
            self.X = X
        self.a = sigmoid(X @ self.params["W1"] + self.params["b1"])
        return self.a @ self.params["W2"] + self.params["b2"]

    def loss(self, X, y):
        loss, d = softmax_loss(self.forward(X), y)
        da = d @ self.params["W2"].T * self.a * (1 - self.a)
        grads = {"W1": self.X.T @ da, "b1": da.sum(0), "W2": self.a.T @ d, "b2": d.sum(0)}
        return loss, grads


def net_truth(p, X, y):
    return F.cross_entropy(torch.sigmoid(X @ p["W1"] + p["b1"]) @ p["W2"] + p["b2"], y)


def tied_autoencoder(params, X):
    """The decoder is the encoder's transpose."""
    W, b, c = params
    h = np.tanh(X @ W + b)
    R = h @ W.T + c - X
    n = R.size
    dR = 2 * R / n
    dh = dR @ W * (1 - h**2)
    return (R**2).sum() / n, (X.T @ dh + dR.T @ h, dh.sum(0), dR.sum(0))


def tied_autoencoder_bad(params, X):
    W, b, c = params
    h = np.tanh(X @ W + b)
    R = h @ W.T + c - X
    n = R.size
    dR = 2 * R / n
    dW = dR.T @ h
    dh = dR @ W * (1 - h**2)
    dW = X.T @ dh  # += : the decoder's part is lost
    return (R**2).sum() / n, (dW, dh.sum(0), dR.sum(0))


def tied_truth(p, X):
    W, b, c = p
    return F.mse_loss(torch.tanh(X @ W + b) @ W.T + c, X)


def nested(params, X, y):
    """Parameters in a list of dicts."""
    first, second = params
    z = X @ first["W"] + first["b"]
    h = np.where(z > 0, z, 0.1 * z)
    out = h @ second["W"] + second["b"]
    r = out[:, 0] - y
    d = (r / len(y))[:, None]
    dz = d @ second["W"].T * np.where(z > 0, 1, 0.1)
    return 0.5 * (r @ r) / len(y), [
        {"W": X.T @ dz, "b": dz.sum(axis=0)},
        {"W": h.T @ d, "b": d.sum(axis=0)},
    ]


def nested_bad(params, X, y):
    first, second = params
    z = X @ first["W"] + first["b"]
    h = np.where(z > 0, z, 0.1 * z)
    out = h @ second["W"] + second["b"]
    r = out[:, 0] - y
    d = (r / len(y))[:, None]
    dz = d @ second["W"].T
    dz[z < 0] = 0  # the leak is forgotten in backward
    return 0.5 * (r @ r) / len(y), [
        {"W": X.T @ dz, "b": dz.sum(axis=0)},
        {"W": h.T @ d, "b": d.sum(axis=0)},
    ]


def nested_params():
    r = rng(6)
    return [
        {"W": r.normal(size=(5, 4)), "b": r.normal(size=4)},
        {"W": r.normal(size=(4, 1)), "b": r.normal(size=1)},
    ]


def nested_truth(p, X, y):
    h = F.leaky_relu(X @ p[0]["W"] + p[0]["b"], 0.1)
    return 0.5 * (((h @ p[1]["W"] + p[1]["b"])[:, 0] - y) ** 2).mean()


NUM = (*normal(3, (7, 5)), *normal(4, (7,)))
BIN = (normal(5, (7, 5))[0], labels(6, 7, 2).astype(float))
CASES += [
    right(
        "two layers with weight decay",
        "classifier",
        "loss",
        lambda: two_layers,
        DATA,
        two_truth,
        params=lambda: mlp_params(1, 5, 6, 3),
    ),
    wrong(
        "two layers, weight decay",
        "classifier",
        "2 λ W, although the loss has ½ λ W²",
        "loss",
        lambda: two_layers_reg,
        DATA,
        two_truth,
        params=lambda: mlp_params(2, 5, 6, 3),
    ),
    right(
        "deep tanh network",
        "classifier",
        "loss",
        lambda: deep,
        DATA,
        deep_truth,
        params=lambda: mlp_params(3, 5, 6, 4, 3, names=False),
    ),
    wrong(
        "deep tanh network, z for tanh z",
        "classifier",
        "1 − z² instead of 1 − tanh² z",
        "loss",
        lambda: deep_bad,
        DATA,
        deep_truth,
        params=lambda: mlp_params(4, 5, 6, 4, 3, names=False),
    ),
    right(
        "logistic regression",
        "classifier",
        "spread",
        lambda: logistic,
        BIN,
        logistic_truth,
        params=lambda: normal(7, (5,), (1,)),
    ),
    wrong(
        "logistic regression, σ′ twice",
        "classifier",
        "σ′ is multiplied although it cancels",
        "spread",
        lambda: logistic_bad,
        BIN,
        logistic_truth,
        params=lambda: normal(8, (5,), (1,)),
    ),
    right(
        "network as an object",
        "classifier",
        "method",
        lambda: TwoLayerNet(5, 4, 3).loss,
        DATA,
        net_truth,
        params=OWN,
    ),
    wrong(
        "network as an object, first batch",
        "classifier",
        "dW1 uses the first batch for ever",
        "method",
        lambda: TwoLayerNetKeep(5, 4, 3).loss,
        DATA,
        net_truth,
        params=OWN,
        shows="second call",
    ),
    right(
        "tied autoencoder",
        "autoencoder",
        "loss",
        lambda: tied_autoencoder,
        normal(9, (6, 5)),
        tied_truth,
        params=lambda: normal(10, (5, 3), (3,), (5,)),
    ),
    wrong(
        "tied autoencoder, one use",
        "autoencoder",
        "the weight is used twice, one gradient overwrites the other",
        "loss",
        lambda: tied_autoencoder_bad,
        normal(11, (6, 5)),
        tied_truth,
        params=lambda: normal(12, (5, 3), (3,), (5,)),
    ),
    right("nested parameters", "regression", "loss", lambda: nested, NUM, nested_truth, params=nested_params),
    wrong(
        "nested parameters, leak",
        "regression",
        "the leak of the ReLU is missing in backward",
        "loss",
        lambda: nested_bad,
        NUM,
        nested_truth,
        params=nested_params,
    ),
]


# --- two functions, steps, globals --------------------------------------------------------------------------


def ridge_loss(params, X, y):
    r = X @ params["w"] - y
    return 0.5 * r @ r + 0.1 * params["w"] @ params["w"]


def ridge_gradient(params, X, y):
    return {"w": X.T @ (X @ params["w"] - y) + 0.2 * params["w"]}


def poisson_loss(params, X, y):
    eta = X @ params["w"] + params["b"]
    return np.mean(np.exp(eta) - y * eta)


def poisson_gradient(params, X, y):
    mu = np.exp(X @ params["w"] + params["b"])
    e = (mu - y) / len(y)
    return {"w": X.T @ e, "b": np.array([e.mean()])}  # the sum


def step_fn(params, X, y, lr):
    W, b = params
    P = X @ W + b
    E = P - y
    n = len(X)
    dP = E / n
    return (E**2).sum() / (2 * n), (W - lr * X.T @ dP, b - lr * dP.sum(0))


def step_fn_bad(params, X, y, lr):
    W, b = params
    E = X @ W + b - y
    n = len(X)
    b = b - lr * E.sum(0) / n
    E = X @ W + b - y  # with the new b
    W = W - lr * X.T @ E / n
    return ((X @ params[0] + params[1] - y) ** 2).sum() / (2 * n), (W, b)


def linear_truth(p, X, y, lr):
    return ((X @ p[0] + p[1] - y) ** 2).sum() / (2 * len(X))


V, H = 6, 5
Wxh, Whh, Why, bh, by = (0.5 * a for a in normal(20, (H, V), (H, H), (V, H), (H, 1), (V, 1)))


def lossFun(inputs, targets, hprev):
    xs, hs, ps = {}, {}, {}
    hs[-1] = np.copy(hprev)
    loss = 0
    for t in range(len(inputs)):
        xs[t] = np.zeros((V, 1))
        xs[t][inputs[t]] = 1
        hs[t] = np.tanh(np.dot(Wxh, xs[t]) + np.dot(Whh, hs[t - 1]) + bh)
        e = np.exp(np.dot(Why, hs[t]) + by)
        ps[t] = e / np.sum(e)
        loss += -np.log(ps[t][targets[t], 0])
    dWxh, dWhh, dWhy = np.zeros_like(Wxh), np.zeros_like(Whh), np.zeros_like(Why)
    dbh, dby = np.zeros_like(bh), np.zeros_like(by)
    dhnext = np.zeros_like(hs[0])
    for t in reversed(range(len(inputs))):
        dy = np.copy(ps[t])
        dy[targets[t]] -= 1
        dWhy += np.dot(dy, hs[t].T)
        dby += dy
        dh = np.dot(Why.T, dy) + dhnext
        dhraw = (1 - hs[t] * hs[t]) * dh
        dbh += dhraw
        dWxh += np.dot(dhraw, xs[t].T)
        dWhh += np.dot(dhraw, hs[t - 1].T)
        dhnext = np.dot(Whh.T, dhraw)
    return loss, dWxh, dWhh, dWhy, dbh, dby, hs[len(inputs) - 1]


def lossFunSquare(inputs, targets, hprev):
    xs, hs, ps = {}, {}, {}
    hs[-1] = np.copy(hprev)
    loss = 0
    for t in range(len(inputs)):
        xs[t] = np.eye(V)[:, [inputs[t]]]
        hs[t] = np.tanh(Wxh @ xs[t] + Whh @ hs[t - 1] + bh)
        e = np.exp(Why @ hs[t] + by)
        ps[t] = e / np.sum(e)
        loss -= np.log(ps[t][targets[t], 0])
    dWxh, dWhh, dWhy, dbh, dby = (np.zeros_like(a) for a in (Wxh, Whh, Why, bh, by))
    dhnext = np.zeros_like(hprev)
    for t in reversed(range(len(inputs))):
        dy = ps[t]
        dy[targets[t]] -= 1
        dWhy += dy @ hs[t].T
        dby += dy
        dh = Why.T @ dy + dhnext
        da = dh * (1 - hs[t] ** 2)
        dbh += da
        dWxh += da @ xs[t].T
        dWhh += da @ hs[t - 1].T
        dhnext = Whh @ da  # not transposed
    return loss, dWxh, dWhh, dWhy, dbh, dby, hs[len(inputs) - 1]


def char_truth(p, inputs, targets, hprev):
    wx, wh, wy, b, c = p
    h, loss = hprev, 0
    for i, t in zip(inputs, targets, strict=True):
        h = torch.tanh(wx[:, [i]] + wh @ h + b)
        loss = loss + F.cross_entropy((wy @ h + c).T, torch.tensor([t]))
    return loss


CHARS = ([0, 3, 2, 5, 1], [3, 2, 5, 1, 4], np.zeros((H, 1)))
COUNTS = (0.5 * normal(21, (7, 3))[0], labels(22, 7, 4).astype(float))
CASES += [
    right(
        "ridge as two functions",
        "regression",
        "two functions",
        lambda: (ridge_loss, ridge_gradient),
        NUM,
        lambda p, X, y: 0.5 * ((X @ p["w"] - y) ** 2).sum() + 0.1 * (p["w"] ** 2).sum(),
        params=lambda: {"w": normal(23, (5,))[0]},
    ),
    wrong(
        "poisson as two functions",
        "regression",
        "db is the mean of what is divided by N already",
        "two functions",
        lambda: (poisson_loss, poisson_gradient),
        COUNTS,
        lambda p, X, y: (torch.exp(X @ p["w"] + p["b"]) - y * (X @ p["w"] + p["b"])).mean(),
        params=lambda: {"w": normal(24, (3,))[0], "b": np.array([0.3])},
    ),
    right(
        "training step",
        "regression",
        "step",
        lambda: step_fn,
        (*normal(25, (7, 4), (7, 2)), 0.1),
        linear_truth,
        params=lambda: normal(26, (4, 2), (2,)),
    ),
    wrong(
        "training step, new bias",
        "regression",
        "dW is made after b was updated",
        "step",
        lambda: step_fn_bad,
        (*normal(27, (7, 4), (7, 2)), 0.1),
        linear_truth,
        params=lambda: normal(28, (4, 2), (2,)),
    ),
    right(
        "char rnn",
        "RNN over time",
        "globals",
        lambda: lossFun,
        CHARS,
        char_truth,
        params=lambda: (Wxh, Whh, Why, bh, by),
    ),
    wrong(
        "char rnn, square",
        "RNN over time",
        "dhnext uses Whh instead of its transpose",
        "globals",
        lambda: lossFunSquare,
        CHARS,
        char_truth,
        params=lambda: (Wxh, Whh, Why, bh, by),
    ),
]


# --- networks with convolution, norm, attention, embedding ------------------------------------------------


def small_cnn(params, X, y):
    """3×3 convolution, ReLU, global mean, linear."""
    K, b, W = params["K"], params["b"], params["W"]
    win = np.lib.stride_tricks.sliding_window_view(X, (3, 3), axis=(2, 3))
    z = np.einsum("nchwij,ocij->nohw", win, K) + b[:, None, None]
    a = np.maximum(z, 0)
    g = a.mean(axis=(2, 3))
    loss, ds = softmax_loss(g @ W, y)
    dz = (ds @ W.T)[:, :, None, None] / (z.shape[2] * z.shape[3]) * (z > 0)
    return loss, {"W": g.T @ ds, "K": np.einsum("nohw,nchwij->ocij", dz, win), "b": dz.sum(axis=(0, 2, 3))}


def small_cnn_pool(params, X, y):
    """Convolution, 2×2 max pool by comparison, linear."""
    K, b, W = params["K"], params["b"], params["W"]
    win = np.lib.stride_tricks.sliding_window_view(X, (3, 3), axis=(2, 3))
    z = np.einsum("nchwij,ocij->nohw", win, K) + b[:, None, None]
    n, o, h, w = z.shape
    cells = z.reshape(n, o, h // 2, 2, w // 2, 2)
    p = cells.max(axis=(3, 5))
    flat = p.reshape(n, -1)
    loss, ds = softmax_loss(flat @ W, y)
    dp = (ds @ W.T).reshape(p.shape)
    dz = (np.ones_like(cells) * dp[:, :, :, None, :, None]).reshape(z.shape)  # to all four, not the largest
    return loss, {"K": np.einsum("nohw,nchwij->ocij", dz, win), "b": dz.sum((0, 2, 3)), "W": flat.T @ ds}


def cnn_params(o=2, f=2):
    r = rng(30)
    return {"K": 0.4 * r.normal(size=(o, 1, 3, 3)), "b": 0.1 * r.normal(size=o), "W": r.normal(size=(f, 3))}


def cnn_truth(p, X, y):
    return F.cross_entropy(torch.relu(F.conv2d(X, p["K"], p["b"])).mean((2, 3)) @ p["W"], y)


def pool_truth(p, X, y):
    return F.cross_entropy(F.max_pool2d(F.conv2d(X, p["K"], p["b"]), 2).flatten(1) @ p["W"], y)


def bn_net(params, X, y):
    W, gamma, beta, U = (params[k] for k in ("W", "gamma", "beta", "U"))
    a = X @ W
    mu, var = a.mean(0), a.var(0)
    inv = 1 / np.sqrt(var + 1e-5)
    xh = (a - mu) * inv
    z = gamma * xh + beta
    h = np.maximum(z, 0)
    loss, d = softmax_loss(h @ U, y)
    dz = d @ U.T * (z > 0)
    dxh = dz * gamma
    da = inv * (dxh - dxh.mean(0) - xh * (dxh * xh).mean(0))
    return loss, dict(W=X.T @ da, gamma=(dz * xh).sum(0), beta=dz.sum(0), U=h.T @ d)


def bn_net_bad(params, X, y):
    W, gamma, beta, U = (params[k] for k in ("W", "gamma", "beta", "U"))
    a = X @ W
    mu, var = a.mean(0), a.var(0)
    inv = 1 / np.sqrt(var + 1e-5)
    xh = (a - mu) * inv
    z = gamma * xh + beta
    h = np.maximum(z, 0)
    loss, d = softmax_loss(h @ U, y)
    dz = d @ U.T * (z > 0)
    da = dz * gamma * inv  # mean and variance are taken as constants
    return loss, dict(W=X.T @ da, gamma=(dz * xh).sum(0), beta=dz.sum(0), U=h.T @ d)


def bn_params():
    r = rng(31)
    return {
        "W": r.normal(size=(5, 4)),
        "gamma": r.normal(1, 0.2, 4),
        "beta": r.normal(size=4),
        "U": r.normal(size=(4, 3)),
    }


def bn_truth(p, X, y):
    z = F.batch_norm(X @ p["W"], None, None, p["gamma"], p["beta"], True)
    return F.cross_entropy(torch.relu(z) @ p["U"], y)


def word_model(params, context, target):
    """Three words in, the next one out; the output matrix is the table."""
    E, W = params
    e = E[context].reshape(len(context), -1)
    h = np.tanh(e @ W)
    loss, ds = softmax_loss(h @ E.T, target)
    dE = ds.T @ h
    da = ds @ E * (1 - h**2)
    np.add.at(dE, context, (da @ W.T).reshape(*context.shape, -1))
    return loss, [dE, e.T @ da]


def word_model_bad(params, context, target):
    E, W = params
    e = E[context].reshape(len(context), -1)
    h = np.tanh(e @ W)
    loss, ds = softmax_loss(h @ E.T, target)
    dE = ds.T @ h
    da = ds @ E * (1 - h**2)
    dE[context] += (da @ W.T).reshape(*context.shape, -1)  # a word twice in the batch
    return loss, [dE, e.T @ da]


def word_truth(p, c, t):
    E, W = p
    return F.cross_entropy(torch.tanh(E[c].flatten(1) @ W) @ E.T, t)


def tiny_attention(params, X, y):
    """One head, mean over time, linear, squared error."""
    Q, K, Vm, w = params["Q"], params["K"], params["V"], params["w"]
    n, t, d = X.shape
    q, k, v = X @ Q, X @ K, X @ Vm
    s = q @ k.transpose(0, 2, 1) / np.sqrt(d)
    p = np.exp(s - s.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    m = (p @ v).mean(axis=1)
    r = m @ w - y
    g = 2 * r / n
    dm = g[:, None] * w
    do = np.repeat(dm[:, None], t, axis=1) / t
    dv = p.transpose(0, 2, 1) @ do
    dp = do @ v.transpose(0, 2, 1)
    ds = p * (dp - (p * dp).sum(-1, keepdims=True)) / np.sqrt(d)
    dq, dk = ds @ k, ds.transpose(0, 2, 1) @ q
    grads = {name: np.einsum("nti,nto->io", X, g_) for name, g_ in zip("QKV", (dq, dk, dv), strict=True)}
    grads["w"] = m.T @ g
    return (r * r).mean(), grads


def tiny_attention_bad(params, X, y):
    Q, K, Vm, w = params["Q"], params["K"], params["V"], params["w"]
    n, t, d = X.shape
    q, k, v = X @ Q, X @ K, X @ Vm
    s = q @ k.transpose(0, 2, 1) / np.sqrt(d)
    p = np.exp(s - s.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    m = (p @ v).mean(axis=1)
    r = m @ w - y
    g = 2 * r / n
    do = np.repeat((g[:, None] * w)[:, None], t, axis=1) / t
    dv = p.transpose(0, 2, 1) @ do
    dp = do @ v.transpose(0, 2, 1)
    ds = p * (dp - (p * dp).sum(-1, keepdims=True)) / np.sqrt(d)
    dq, dk = ds @ k, ds @ q  # dsᵀ q
    grads = {name: np.einsum("nti,nto->io", X, g_) for name, g_ in zip("QKV", (dq, dk, dv), strict=True)}
    grads["w"] = m.T @ g
    return (r * r).mean(), grads


def att_params():
    r = rng(32)
    return {**{k: r.normal(size=(4, 4)) for k in "QKV"}, "w": r.normal(size=4)}


def att_truth(p, X, y):
    o = F.scaled_dot_product_attention(X @ p["Q"], X @ p["K"], X @ p["V"])
    return ((o.mean(1) @ p["w"] - y) ** 2).mean()


def factorisation(params, users, items, ratings):
    """Ratings by the product of two tables, with biases."""
    P, Q, bu, bi = params["P"], params["Q"], params["bu"], params["bi"]
    pred = (P[users] * Q[items]).sum(1) + bu[users] + bi[items]
    e = (pred - ratings) / len(ratings)
    g = {k: np.zeros_like(a) for k, a in params.items()}
    for u, i, d in zip(users, items, e, strict=True):
        g["P"][u] += d * Q[i]
        g["Q"][i] += d * P[u]
        g["bu"][u] += d
        g["bi"][i] += d
    return 0.5 * ((pred - ratings) ** 2).mean(), g


def factorisation_bad(params, users, items, ratings):
    P, Q, bu, bi = params["P"], params["Q"], params["bu"], params["bi"]
    pred = (P[users] * Q[items]).sum(1) + bu[users] + bi[items]
    e = (pred - ratings) / len(ratings)
    g = {k: np.zeros_like(a) for k, a in params.items()}
    np.add.at(g["P"], users, e[:, None] * Q[items])
    np.add.at(g["Q"], items, e[:, None] * P[users])
    g["bu"] = np.bincount(users, e, minlength=len(bu))
    g["bi"] = np.bincount(users, e, minlength=len(bi))[: len(bi)]  # by users
    return 0.5 * ((pred - ratings) ** 2).mean(), g


def fact_params():
    r = rng(33)
    return {
        "P": r.normal(size=(5, 3)),
        "Q": r.normal(size=(4, 3)),
        "bu": r.normal(size=5),
        "bi": r.normal(size=4),
    }


def fact_truth(p, u, i, r):
    return 0.5 * (((p["P"][u] * p["Q"][i]).sum(1) + p["bu"][u] + p["bi"][i] - r) ** 2).mean()


def vae(params, X, eps):
    """A linear encoder and decoder, the noise given."""
    We, Ws, Wd = params["We"], params["Ws"], params["Wd"]
    n = len(X)
    mu, lv = X @ We, X @ Ws
    sd = np.exp(0.5 * lv)
    z = mu + sd * eps
    R = z @ Wd - X
    loss = (0.5 * (R**2).sum() + 0.5 * (np.exp(lv) + mu**2 - 1 - lv).sum()) / n
    dR = R / n
    dz = dR @ Wd.T
    dmu = dz + mu / n
    dlv = dz * eps * sd * 0.5 + 0.5 * (np.exp(lv) - 1) / n
    return loss, {"We": X.T @ dmu, "Ws": X.T @ dlv, "Wd": z.T @ dR}


def vae_bad(params, X, eps):
    We, Ws, Wd = params["We"], params["Ws"], params["Wd"]
    n = len(X)
    mu, lv = X @ We, X @ Ws
    sd = np.exp(0.5 * lv)
    z = mu + sd * eps
    R = z @ Wd - X
    loss = (0.5 * (R**2).sum() + 0.5 * (np.exp(lv) + mu**2 - 1 - lv).sum()) / n
    dR = R / n
    dz = dR @ Wd.T
    dlv = dz * eps * sd * 0.5 + 0.5 * (np.exp(lv) - 1) / n
    return loss, {"We": X.T @ dz, "Ws": X.T @ dlv, "Wd": z.T @ dR}  # the KL's part of dμ is lost


def vae_truth(p, X, eps):
    mu, lv = X @ p["We"], X @ p["Ws"]
    R = (mu + torch.exp(lv / 2) * eps) @ p["Wd"] - X
    return (0.5 * (R**2).sum() + 0.5 * (lv.exp() + mu**2 - 1 - lv).sum()) / len(X)


def vae_params():
    r = rng(34)
    return {"We": r.normal(size=(5, 2)), "Ws": 0.3 * r.normal(size=(5, 2)), "Wd": r.normal(size=(2, 5))}


IMG = normal(40, (3, 1, 6, 6))[0]
CTX = labels(41, (6, 3), 7)
RATE = (labels(42, 9, 5), labels(43, 9, 4), normal(44, (9,))[0])
CASES += [
    right(
        "small cnn", "CNN", "loss", lambda: small_cnn, (IMG, labels(45, 3, 3)), cnn_truth, params=cnn_params
    ),
    wrong(
        "small cnn, max pool",
        "CNN",
        "the max pool gives its gradient to all four entries",
        "loss",
        lambda: small_cnn_pool,
        (IMG, labels(46, 3, 3)),
        pool_truth,
        params=lambda: cnn_params(2, 8),
    ),
    right("network with batch norm", "classifier", "loss", lambda: bn_net, DATA, bn_truth, params=bn_params),
    wrong(
        "network with batch norm, constants",
        "classifier",
        "mean and variance are taken as constants",
        "loss",
        lambda: bn_net_bad,
        DATA,
        bn_truth,
        params=bn_params,
    ),
    right(
        "word model with a tied table",
        "language model",
        "loss",
        lambda: word_model,
        (CTX, labels(47, 6, 7)),
        word_truth,
        params=lambda: list(normal(48, (7, 4), (12, 4))),
    ),
    wrong(
        "word model, repeated words",
        "language model",
        "words that repeat in the batch count once",
        "loss",
        lambda: word_model_bad,
        (CTX, labels(47, 6, 7)),
        word_truth,
        params=lambda: list(normal(49, (7, 4), (12, 4))),
    ),
    right(
        "small attention network",
        "attention",
        "loss",
        lambda: tiny_attention,
        normal(50, (3, 5, 4), (3,)),
        att_truth,
        params=att_params,
    ),
    wrong(
        "small attention network, keys",
        "attention",
        "dk uses ds instead of its transpose",
        "loss",
        lambda: tiny_attention_bad,
        normal(51, (3, 5, 4), (3,)),
        att_truth,
        params=att_params,
    ),
    right(
        "matrix factorisation",
        "regression",
        "loss",
        lambda: factorisation,
        RATE,
        fact_truth,
        params=fact_params,
    ),
    wrong(
        "matrix factorisation, item bias",
        "regression",
        "the items' biases are summed by users",
        "loss",
        lambda: factorisation_bad,
        RATE,
        fact_truth,
        params=fact_params,
    ),
    right("linear vae", "VAE", "loss", lambda: vae, normal(52, (6, 5), (6, 2)), vae_truth, params=vae_params),
    wrong(
        "linear vae, KL",
        "VAE",
        "dμ lacks the part of the KL",
        "loss",
        lambda: vae_bad,
        normal(53, (6, 5), (6, 2)),
        vae_truth,
        params=vae_params,
    ),
]
