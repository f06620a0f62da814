"""Normalisation: layer, batch, group, instance, RMS."""

import numpy as np
import torch
import torch.nn.functional as F

from .case import TRUTH, normal, right, wrong

CASES = []


# --- layer norm -------------------------------------------------------------------------------------------


def layernorm_forward(x, gamma, beta, eps=1e-5):
    mu = x.mean(axis=-1, keepdims=True)
    var = x.var(axis=-1, keepdims=True)
    rstd = 1 / np.sqrt(var + eps)
    xhat = (x - mu) * rstd
    return xhat * gamma + beta, (xhat, rstd, gamma)


def layernorm_backward(dout, cache):
    xhat, rstd, gamma = cache
    axes = tuple(range(dout.ndim - 1))
    dxhat = dout * gamma
    D = dout.shape[-1]
    dx = rstd / D * (D * dxhat - dxhat.sum(-1, keepdims=True) - xhat * (dxhat * xhat).sum(-1, keepdims=True))
    return dx, (dout * xhat).sum(axis=axes), dout.sum(axis=axes)


def layernorm_backward_outer_gamma(dout, cache):
    xhat, rstd, gamma = cache
    axes = tuple(range(dout.ndim - 1))
    g = dout  # gamma is multiplied at the end, as if it were the same for all
    dx = g - g.mean(-1, keepdims=True) - xhat * (g * xhat).mean(-1, keepdims=True)
    return gamma * dx * rstd, (dout * xhat).sum(axis=axes), dout.sum(axis=axes)


class StagedLayerNorm:
    """Each step of the forward undone by itself."""

    def __init__(self, d):
        self.g = np.random.default_rng(2).normal(1, 0.2, d)
        self.b = np.random.default_rng(3).normal(0, 0.2, d)

    def forward(self, x):
        self.xmu = x - x.mean(1, keepdims=True)
        self.sq = self.xmu**2
        self.var = self.sq.mean(1, keepdims=True)
        self.sqrtvar = np.sqrt(self.var + 1e-5)
        self.ivar = 1.0 / self.sqrtvar
        self.xhat = self.xmu * self.ivar
        return self.g * self.xhat + self.b

    def backward(self, dout):
        n, d = dout.shape
        self.db = dout.sum(axis=0)
        self.dg = (dout * self.xhat).sum(axis=0)
        dxhat = dout * self.g
        divar = (dxhat * self.xmu).sum(axis=1, keepdims=True)
        dxmu1 = dxhat * self.ivar
        dsqrtvar = -divar / self.sqrtvar**2
        dvar = 0.5 / self.sqrtvar * dsqrtvar
        dsq = np.ones((n, d)) / d * dvar
        dxmu2 = 2 * self.xmu * dsq
        dx1 = dxmu1 + dxmu2
        dmu = -dx1.sum(axis=1, keepdims=True)
        return dx1 + np.ones((n, d)) / d * dmu


class LayerNormNoEps:
    def __init__(self, d):
        self.gamma = np.random.default_rng(4).normal(1, 0.3, d)
        self.beta = np.zeros(d)
        self.eps = 1e-2

    def forward(self, x):
        self.mu = x.mean(-1, keepdims=True)
        self.var = x.var(-1, keepdims=True)
        self.xhat = (x - self.mu) / np.sqrt(self.var + self.eps)
        return self.gamma * self.xhat + self.beta

    def backward(self, dy):
        self.dgamma = (dy * self.xhat).sum(0)
        self.dbeta = dy.sum(0)
        g = dy * self.gamma
        inv = 1 / np.sqrt(self.var)  # eps is left out
        return inv * (g - g.mean(-1, keepdims=True) - self.xhat * (g * self.xhat).mean(-1, keepdims=True))


def ln_truth(x, g, b):
    return F.layer_norm(x, x.shape[-1:], g, b)


CASES += [
    right(
        "layer norm pair",
        "layer norm",
        "pair",
        lambda: (layernorm_forward, layernorm_backward),
        normal(1, (2, 3, 6), (6,), (6,)),
        ln_truth,
        reference=lambda: ln_truth,
    ),
    wrong(
        "layer norm, gamma outside",
        "layer norm",
        "γ is multiplied after the means instead of before",
        "pair",
        lambda: (layernorm_forward, layernorm_backward_outer_gamma),
        normal(2, (4, 6), (6,), (6,)),
        ln_truth,
        reference=TRUTH,
    ),
    right(
        "layer norm in stages",
        "layer norm",
        "class",
        lambda: StagedLayerNorm(6),
        normal(3, (4, 6)),
        ln_truth,
        weights="g b",
        grads="out dg db",
        reference=lambda: torch.nn.LayerNorm(6),
    ),
    wrong(
        "layer norm, eps in backward",
        "layer norm",
        "backward leaves ε out of the deviation",
        "class",
        lambda: LayerNormNoEps(6),
        normal(4, (4, 6)),
        lambda x, g, b: F.layer_norm(x, (6,), g, b, 1e-2),
        weights="gamma beta",
        grads="out dgamma dbeta",
        reference=lambda: torch.nn.LayerNorm(6, eps=1e-2),
    ),
]


# --- batch norm in training -------------------------------------------------------------------------------


class BatchNorm:
    def __init__(self, d, momentum=0.9):
        r = np.random.default_rng(5)
        self.params = {"gamma": r.normal(1, 0.2, d), "beta": r.normal(0, 0.2, d)}
        self.grads = {}
        self.running_mean, self.running_var = np.zeros(d), np.ones(d)
        self.momentum, self.eps = momentum, 1e-5

    def forward(self, x, train=True):
        self.train = train
        if not train:
            self.std = np.sqrt(self.running_var + self.eps)
            self.xhat = (x - self.running_mean) / self.std
            return self.params["gamma"] * self.xhat + self.params["beta"]
        mu, var = x.mean(0), x.var(0)
        n = len(x)
        m = self.momentum
        self.running_mean = m * self.running_mean + (1 - m) * mu
        self.running_var = m * self.running_var + (1 - m) * var * n / (n - 1)
        self.std = np.sqrt(var + self.eps)
        self.xhat = (x - mu) / self.std
        return self.params["gamma"] * self.xhat + self.params["beta"]

    def backward(self, dout):
        self.grads["gamma"] = (self.xhat * dout).sum(0)
        self.grads["beta"] = dout.sum(0)
        dxhat = dout * self.params["gamma"]
        if not self.train:
            return dxhat / self.std
        return (dxhat - dxhat.mean(0) - self.xhat * (dxhat * self.xhat).mean(0)) / self.std


def bn_forward(x, gamma, beta):
    """Over images (n, c, h, w)."""
    ax = (0, 2, 3)
    mu = x.mean(ax, keepdims=True)
    xc = x - mu
    var = (xc * xc).mean(ax, keepdims=True)
    inv = (var + 1e-5) ** -0.5
    xhat = xc * inv
    return gamma[:, None, None] * xhat + beta[:, None, None], (xhat, inv, gamma)


def bn_backward(dy, cache):
    xhat, inv, gamma = cache
    ax = (0, 2, 3)
    dgamma, dbeta = (dy * xhat).sum(ax), dy.sum(ax)
    m = dy.shape[0] * dy.shape[2] * dy.shape[3]
    dx = gamma[:, None, None] * inv / m * (m * dy - dbeta[:, None, None] - xhat * dgamma[:, None, None])
    return dx, dgamma, dbeta


def bn_backward_m(dy, cache):
    xhat, inv, gamma = cache
    ax = (0, 2, 3)
    dgamma, dbeta = (dy * xhat).sum(ax), dy.sum(ax)
    m = dy.shape[0]  # · h · w
    dx = gamma[:, None, None] * inv / m * (m * dy - dbeta[:, None, None] - xhat * dgamma[:, None, None])
    return dx, dgamma, dbeta


class BatchNormSum:
    def __init__(self, d):
        self.gamma, self.beta = np.full(d, 1.3), np.full(d, -0.2)

    def forward(self, x):
        self.x, self.mu, self.var = x, x.mean(axis=0), x.var(axis=0)
        self.x_norm = (x - self.mu) / np.sqrt(self.var + 1e-8)
        return self.gamma * self.x_norm + self.beta

    def backward(self, dout):
        n = self.x.shape[0]
        xmu = self.x - self.mu
        std_inv = 1.0 / np.sqrt(self.var + 1e-8)
        dx_norm = dout * self.gamma
        dvar = np.sum(dx_norm * xmu, axis=0) * -0.5 * std_inv**2  # **3
        dmu = np.sum(dx_norm * -std_inv, axis=0) + dvar * np.mean(-2.0 * xmu, axis=0)
        self.dgamma = np.sum(dout * self.x_norm, axis=0)
        self.dbeta = np.sum(dout, axis=0)
        return dx_norm * std_inv + dvar * 2 * xmu / n + dmu / n


class BatchNormRunning:
    """Normalises by the batch, but goes back by the running variance."""

    def __init__(self, d):
        self.gamma, self.beta = np.ones(d), np.zeros(d)
        self.running_var = np.ones(d)

    def forward(self, x):
        mu, var = x.mean(0), x.var(0)
        self.running_var = 0.9 * self.running_var + 0.1 * var
        self.xhat = (x - mu) / np.sqrt(var + 1e-5)
        return self.gamma * self.xhat + self.beta

    def backward(self, dy):
        self.dgamma, self.dbeta = (dy * self.xhat).sum(0), dy.sum(0)
        g = dy * self.gamma
        s = np.sqrt(self.running_var + 1e-5)
        return (g - g.mean(0) - self.xhat * (g * self.xhat).mean(0)) / s


def bn1_truth(x, g, b, eps=1e-5):
    return F.batch_norm(x, None, None, g, b, True, 0.1, eps)


CASES += [
    right(
        "batch norm with running statistics",
        "batch norm",
        "class",
        lambda: BatchNorm(4),
        normal(10, (8, 4)),
        bn1_truth,
        weights="params.gamma params.beta",
        grads="out grads.gamma grads.beta",
        reference=lambda: torch.nn.BatchNorm1d(4),
    ),
    right(
        "batch norm of images",
        "batch norm",
        "pair",
        lambda: (bn_forward, bn_backward),
        normal(11, (3, 2, 4, 4), (2,), (2,)),
        bn1_truth,
    ),
    wrong(
        "batch norm of images, count",
        "batch norm",
        "the mean is over the samples, without height and width",
        "pair",
        lambda: (bn_forward, bn_backward_m),
        normal(12, (3, 2, 4, 4), (2,), (2,)),
        bn1_truth,
        reference=lambda: bn1_truth,
    ),
    wrong(
        "batch norm, power of the variance",
        "batch norm",
        "dvar has (σ²+ε)⁻¹ instead of (σ²+ε)^(−3/2)",
        "class",
        lambda: BatchNormSum(4),
        normal(13, (8, 4)),
        lambda x, g, b: bn1_truth(x, g, b, 1e-8),
        weights="gamma beta",
        grads="out dgamma dbeta",
    ),
    wrong(
        "batch norm, running variance",
        "batch norm",
        "dx is divided by the running deviation",
        "class",
        lambda: BatchNormRunning(4),
        normal(14, (8, 4)),
        bn1_truth,
        weights="gamma beta",
        grads="out dgamma dbeta",
    ),
]


# --- group norm, instance norm, RMS norm ------------------------------------------------------------------


class GroupNorm:
    def __init__(self, groups, channels):
        self.groups = groups
        r = np.random.default_rng(20)
        self.weight, self.bias = r.normal(size=channels), r.normal(size=channels)

    def forward(self, x):
        n, c, h, w = x.shape
        z = x.reshape(n, self.groups, -1)
        self.sd = np.sqrt(z.var(-1, keepdims=True) + 1e-5)
        self.n = (z - z.mean(-1, keepdims=True)) / self.sd
        return self.n.reshape(x.shape) * self.weight.reshape(1, c, 1, 1) + self.bias.reshape(1, c, 1, 1)

    def backward(self, dy):
        n, c, h, w = dy.shape
        self.grad_weight = np.einsum("nchw,nchw->c", dy, self.n.reshape(dy.shape))
        self.grad_bias = np.einsum("nchw->c", dy)
        g = (dy * self.weight.reshape(1, c, 1, 1)).reshape(n, self.groups, -1)
        g = g - g.mean(-1, keepdims=True) - self.n * (g * self.n).mean(-1, keepdims=True)
        return (g / self.sd).reshape(dy.shape)


def gn_fwd(x, gamma, beta, G=2):
    N, C, L = x.shape
    xg = x.reshape(N, G, C // G, L)
    mean = xg.mean(axis=(2, 3), keepdims=True)
    var = xg.var(axis=(2, 3), keepdims=True)
    xn = ((xg - mean) / np.sqrt(var + 1e-5)).reshape(N, C, L)
    return xn * gamma[None, :, None] + beta[None, :, None], (xn, var, gamma, G)


def gn_bwd(dout, cache):
    xn, var, gamma, G = cache
    N, C, L = xn.shape
    dgamma = np.sum(dout * xn, axis=(0, 2))
    dbeta = np.sum(dout, axis=(0, 2))
    d = dout * gamma[None, :, None]
    # statistics of each channel, not of each group
    m1 = d.mean(axis=2, keepdims=True)
    m2 = (d * xn).mean(axis=2, keepdims=True)
    inv = np.repeat(1 / np.sqrt(var[:, :, 0] + 1e-5), C // G, axis=1)
    return (d - m1 - xn * m2) * inv, dgamma, dbeta


def instance_norm(x, eps=1e-5):
    mu = x.mean((2, 3), keepdims=True)
    s = np.sqrt(x.var((2, 3), keepdims=True) + eps)
    y = (x - mu) / s

    def vjp(dy):
        return (dy - dy.mean((2, 3), keepdims=True) - y * (dy * y).mean((2, 3), keepdims=True)) / s

    return y, vjp


class InstanceNormBatch:
    def forward(self, x):
        mu = x.mean(axis=(2, 3), keepdims=True)
        self.s = np.sqrt(x.var(axis=(2, 3), keepdims=True) + 1e-5)
        self.y = (x - mu) / self.s
        return self.y

    def backward(self, dy):
        ax = (0, 2, 3)  # of the whole batch, as in batch norm
        return (dy - dy.mean(ax, keepdims=True) - self.y * (dy * self.y).mean(ax, keepdims=True)) / self.s


class RMSNorm:
    def __init__(self, dim, eps=1e-6):
        self.weight = np.random.default_rng(22).uniform(0.5, 1.5, dim)
        self.eps = eps

    def __call__(self, x):
        self.x = x
        self.r = 1 / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + self.eps)
        return x * self.r * self.weight

    def backward(self, dy):
        self.dweight = (dy * self.x * self.r).reshape(-1, self.x.shape[-1]).sum(0)
        g = dy * self.weight
        return self.r * g - self.x * self.r**3 * np.mean(g * self.x, axis=-1, keepdims=True)


def rms(x, w):
    D = x.shape[-1]
    ms = (x * x).sum(-1, keepdims=True) / D + 1e-6
    r = ms**-0.5
    return x * r * w, (x, w, r)


def rms_back(dy, cache):
    x, w, r = cache
    g = dy * w
    dx = r * (g - x * r**2 * (g * x).sum(-1, keepdims=True))  # / D
    return dx, np.sum(dy * x * r, axis=tuple(range(x.ndim - 1)))


def rms_back_centred(dy, cache):
    x, w, r = cache
    g = dy * w
    g = g - g.mean(-1, keepdims=True)  # as in layer norm
    dx = r * (g - x * r**2 * (g * x).mean(-1, keepdims=True))
    return dx, np.sum(dy * x * r, axis=tuple(range(x.ndim - 1)))


def rms_truth(x, w):
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6) * w


def standardise(x):
    """Columns to mean zero and (unbiased) deviation one."""
    n = len(x)
    c = x - x.mean(0)
    s = np.sqrt((c * c).sum(0) / (n - 1))
    y = c / s

    def vjp(g):
        return (g - g.mean(0) - y * (g * y).sum(0) / (n - 1)) / s

    return y, vjp


def standardise_biased(x):
    c = x - x.mean(0)
    s = x.std(0, ddof=1)
    y = c / s
    return y, lambda g: (g - g.mean(0) - y * (g * y).mean(0)) / s  # the mean divides by n


def standard_truth(x):
    return (x - x.mean(0)) / x.std(0)


CASES += [
    right(
        "group norm",
        "group norm",
        "class",
        lambda: GroupNorm(2, 4),
        normal(30, (2, 4, 3, 3)),
        lambda x, w, b: F.group_norm(x, 2, w, b),
        weights="weight bias",
        grads="out grad_weight grad_bias",
        reference=lambda: torch.nn.GroupNorm(2, 4),
    ),
    wrong(
        "group norm, means of channels",
        "group norm",
        "means are taken over each channel, not each group",
        "pair",
        lambda: (gn_fwd, gn_bwd),
        normal(31, (2, 4, 5), (4,), (4,)),
        lambda x, w, b: F.group_norm(x, 2, w, b),
        reference=TRUTH,
    ),
    right(
        "instance norm",
        "instance norm",
        "closure",
        lambda: instance_norm,
        normal(32, (2, 3, 4, 4)),
        F.instance_norm,
    ),
    wrong(
        "instance norm, means of the batch",
        "instance norm",
        "means are taken over the batch too",
        "class",
        InstanceNormBatch,
        normal(33, (2, 3, 4, 4)),
        F.instance_norm,
        reference=lambda: torch.nn.InstanceNorm2d(3),
    ),
    right(
        "rms norm",
        "RMS norm",
        "class",
        lambda: RMSNorm(6),
        normal(34, (2, 3, 6)),
        rms_truth,
        weights="weight",
        grads="out dweight",
        steps=("__call__", "backward"),
        reference=lambda: torch.nn.RMSNorm(6, eps=1e-6),
    ),
    wrong(
        "rms norm, sum for mean",
        "RMS norm",
        "the sum over the features is not divided by D",
        "pair",
        lambda: (rms, rms_back),
        normal(35, (4, 6), (6,)),
        rms_truth,
        reference=TRUTH,
    ),
    wrong(
        "rms norm, centred",
        "RMS norm",
        "the mean of the gradient is taken off, as in layer norm",
        "pair",
        lambda: (rms, rms_back_centred),
        normal(36, (4, 6), (6,)),
        rms_truth,
        reference=lambda: rms_truth,
    ),
    right(
        "standardised columns",
        "batch norm",
        "closure",
        lambda: standardise,
        normal(37, (7, 3)),
        standard_truth,
    ),
    wrong(
        "standardised columns, n for n − 1",
        "batch norm",
        "the second mean divides by n instead of n − 1",
        "closure",
        lambda: standardise_biased,
        normal(38, (7, 3)),
        standard_truth,
    ),
]
