"""Activations, reductions, indexing: functions without weights."""

import numpy as np
import torch
import torch.nn.functional as F
from scipy.special import erf, expit

from .case import TRUTH, labels, normal, right, wrong

CASES = []


# --- rectifiers -------------------------------------------------------------------------------------------


class Relu:
    def __init__(self):
        self.mask = None

    def forward(self, x):
        self.mask = x <= 0
        out = x.copy()
        out[self.mask] = 0
        return out

    def backward(self, dout):
        dx = dout.copy()
        dx[self.mask] = 0
        return dx


class ReluInPlace:
    def forward(self, x):
        x[x < 0] = 0
        self.out = x
        return x

    def backward(self, dout):
        return dout * (self.out > 0)


class ReluGrad:
    """Zeroes the gradient that it was given."""

    def forward(self, x):
        self.off = x <= 0
        return np.where(self.off, 0, x)

    def backward(self, dout):
        dout[self.off] = 0
        return dout


def leaky_relu(x, slope=0.01):
    y = np.where(x > 0, x, slope * x)

    def backward(dy):
        return np.where(x > 0, dy, slope * dy)

    return y, backward


def prelu_forward(x, a):
    return np.maximum(x, 0) + a * np.minimum(x, 0), (x, a)


def prelu_backward(dy, cache):
    x, a = cache
    dx = dy * np.where(x > 0, 1.0, a)
    da = (dy * x).sum(axis=0)  # should count x < 0 alone
    return dx, da


def elu(x):
    return np.where(x > 0, x, 1.5 * np.expm1(np.minimum(x, 0)))


def elu_prime(x):
    return np.where(x > 0, 1.0, 1.5 * np.exp(np.minimum(x, 0)))


def elu_prime_of_output(x):
    return np.where(x > 0, 1.0, x + 1.5)  # meant for y


CASES += [
    right("relu with a mask", "relu", "class", Relu, normal(1, (3, 7)), torch.relu, reference=torch.nn.ReLU),
    wrong(
        "relu in the caller's array",
        "relu",
        "forward sets the negative entries of its input to zero",
        "class",
        ReluInPlace,
        normal(2, (3, 7)),
        torch.relu,
        shows="input changed",
        reference=TRUTH,
    ),
    wrong(
        "relu that zeroes dy",
        "relu",
        "backward writes into the gradient that it was given",
        "class",
        ReluGrad,
        normal(3, (3, 7)),
        torch.relu,
        shows="dy changed",
        reference=torch.nn.ReLU,
    ),
    right(
        "leaky relu",
        "leaky relu",
        "closure",
        lambda: leaky_relu,
        normal(4, (2, 3, 4)),
        lambda x: F.leaky_relu(x, 0.01),
        reference=lambda: F.leaky_relu,
    ),
    wrong(
        "prelu, slope over all entries",
        "leaky relu",
        "da sums positive entries too",
        "pair",
        lambda: (prelu_forward, prelu_backward),
        (*normal(5, (6, 4)), np.array([0.1, 0.2, 0.3, 0.25])),
        lambda x, a: torch.relu(x) + a * x.clamp(max=0),
        reference=lambda: F.prelu,
    ),
    right("elu", "elu", "derivative", lambda: (elu, elu_prime), normal(6, (4, 5)), lambda x: F.elu(x, 1.5)),
    wrong(
        "elu, input for output",
        "elu",
        "y + α is written with x in place of y",
        "derivative",
        lambda: (elu, elu_prime_of_output),
        normal(7, (4, 5)),
        lambda x: F.elu(x, 1.5),
        reference=TRUTH,
    ),
]


# --- smooth activations -----------------------------------------------------------------------------------

C = np.sqrt(2 / np.pi)


def gelu_tanh(x):
    u = C * (x + 0.044715 * x**3)
    t = np.tanh(u)

    def vjp(g):
        return g * (0.5 * (1 + t) + 0.5 * x * (1 - t**2) * C * (1 + 3 * 0.044715 * x**2))

    return 0.5 * x * (1 + t), vjp


def new_gelu(x):
    inner = C * (x + 0.044715 * np.power(x, 3))
    th = np.tanh(inner)
    out = 0.5 * x * (1.0 + th)

    def pullback(ct):
        dinner = C * (1.0 + 0.044715 * x**2)  # 3 ·
        return ct * (0.5 * (1.0 + th) + 0.5 * x * (1.0 - th * th) * dinner)

    return out, pullback


class GELU:
    def __call__(self, x):
        self.x = x
        self.cdf = 0.5 * (1 + erf(x / np.sqrt(2)))
        return x * self.cdf

    def grad(self, dy):
        pdf = np.exp(-0.5 * self.x**2) / np.sqrt(2 * np.pi)
        return dy * (self.cdf + self.x * pdf)


def gelu_erf_fwd(x):
    phi = (1.0 + erf(x / 2**0.5)) / 2.0
    return x * phi, (x, phi)


def gelu_erf_bwd(dy, c):
    x, phi = c
    return dy * (phi + x * np.exp(-(x**2)) / np.sqrt(2 * np.pi))  # exp(−x²/2)


def silu_f(x):
    s = expit(x)
    return x * s, {"x": x, "s": s}


def silu_b(dy, c):
    return dy * (c["s"] + c["s"] * (1 - c["s"]))  # · x


def silu_df(x):
    s = expit(x)
    return s * (1 + x * (1 - s))


def softplus(x):
    return np.logaddexp(0, x)


def mish(x):
    tsp = np.tanh(softplus(x))
    return x * tsp, (x, tsp)


def mish_backward(dy, cache):
    x, tsp = cache
    return dy * (tsp + x * (1 - tsp * tsp) * expit(x))


def mish_backward_softplus(dy, cache):
    x, tsp = cache
    return dy * (tsp + x * (1 - tsp * tsp))  # the derivative of softplus is forgotten


def softplus_beta(x, beta=2.0):
    z = beta * x
    return np.logaddexp(0, z) / beta, lambda dy: dy * expit(z)


class Softplus:
    """As torch: linear above the threshold."""

    def __init__(self, beta=1.0, threshold=20.0):
        self.beta, self.threshold = beta, threshold

    def forward(self, x):
        self.z = self.beta * x
        self.linear = self.z > self.threshold
        return np.where(self.linear, x, np.log1p(np.exp(np.minimum(self.z, self.threshold))) / self.beta)

    def backward(self, dy):
        dx = np.zeros_like(dy)
        k = ~self.linear
        dx[k] = dy[k] * expit(self.z[k])
        return dx  # nothing is put where it is linear


class Sigmoid:
    def forward(self, x):
        out = 1 / (1 + np.exp(-x))
        self.out = out
        return out

    def backward(self, dout):
        return dout * (1.0 - self.out) * self.out


class SigmoidOnce:
    out = None

    def forward(self, x):
        y = np.where(x >= 0, 1 / (1 + np.exp(-np.abs(x))), np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x))))
        if self.out is None:
            self.out = y
        return y

    def backward(self, dy):
        return dy * self.out * (1 - self.out)


def stable_sigmoid(x):
    z = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, z) / (1 + z), x


def sigmoid_slope(dy, x):
    e = np.exp(-x)
    return dy * e / (1 + e) ** 2  # inf / inf where x is very negative


def tanh(x):
    e = np.exp(-2 * np.abs(x))
    return np.sign(x) * (1 - e) / (1 + e)


def dtanh(x):
    return 1 - tanh(x) ** 2


def hardswish(x):
    return x * np.clip(x + 3, 0, 6) / 6, x


def hardswish_back(dy, x):
    d = np.zeros_like(x)
    d[x >= 3] = 1
    mid = (x > -3) & (x < 3)
    d[mid] = (x[mid] + 3) / 6  # (2x + 3) / 6
    return d * dy


GT = lambda x: F.gelu(x, approximate="tanh")  # noqa: E731
CASES += [
    right(
        "gelu by tanh",
        "gelu tanh",
        "closure",
        lambda: gelu_tanh,
        normal(10, (4, 5)),
        GT,
        reference=lambda: GT,
    ),
    wrong(
        "gelu by tanh, cube",
        "gelu tanh",
        "the 3 of the derivative of x³ is missing",
        "closure",
        lambda: new_gelu,
        normal(11, (4, 5)),
        GT,
        reference=lambda: torch.nn.GELU(approximate="tanh"),
    ),
    right(
        "gelu by erf",
        "gelu erf",
        "class",
        GELU,
        normal(12, (4, 5)),
        F.gelu,
        steps=("__call__", "grad"),
        reference=torch.nn.GELU,
    ),
    wrong(
        "gelu by erf, density",
        "gelu erf",
        "the density is exp(−x²) instead of exp(−x²/2)",
        "pair",
        lambda: (gelu_erf_fwd, gelu_erf_bwd),
        normal(13, (4, 5)),
        F.gelu,
    ),
    wrong(
        "silu, factor x",
        "silu",
        "x is missing before σ(1 − σ)",
        "pair",
        lambda: (silu_f, silu_b),
        normal(14, (4, 5)),
        F.silu,
        reference=torch.nn.SiLU,
    ),
    right(
        "silu as f and df",
        "silu",
        "derivative",
        lambda: (lambda x: x * expit(x), silu_df),
        normal(15, (4, 5)),
        F.silu,
        reference=TRUTH,
    ),
    right(
        "mish",
        "mish",
        "pair",
        lambda: (mish, mish_backward),
        normal(16, (4, 5)),
        F.mish,
        reference=torch.nn.Mish,
    ),
    wrong(
        "mish, softplus",
        "mish",
        "the derivative of the softplus inside is missing",
        "pair",
        lambda: (mish, mish_backward_softplus),
        normal(17, (4, 5)),
        F.mish,
    ),
    right(
        "softplus with beta",
        "softplus",
        "closure",
        lambda: softplus_beta,
        normal(18, (4, 5)),
        lambda x: F.softplus(x, 2.0, 1e9),
    ),
    wrong(
        "softplus above the threshold",
        "softplus",
        "zero gradient where x > 20",
        "class",
        Softplus,
        normal(19, (4, 5)),
        F.softplus,
        witness=(20 * normal(19, (4, 5))[0],),
        reference=torch.nn.Softplus,
    ),
    right("sigmoid", "sigmoid", "class", Sigmoid, normal(20, (4, 5)), torch.sigmoid),
    wrong(
        "sigmoid of the first call",
        "sigmoid",
        "the output of the first call is kept for ever",
        "class",
        SigmoidOnce,
        normal(21, (4, 5)),
        torch.sigmoid,
        shows="second call",
        reference=torch.nn.Sigmoid,
    ),
    wrong(
        "sigmoid, slope of large inputs",
        "sigmoid",
        "the slope overflows to nan where x is below −400",
        "pair",
        lambda: (stable_sigmoid, sigmoid_slope),
        normal(24, (4, 5)),
        torch.sigmoid,
        witness=(1000 * normal(24, (4, 5))[0],),
        reference=torch.nn.Sigmoid,
    ),
    right(
        "tanh as f and df",
        "tanh",
        "derivative",
        lambda: (tanh, dtanh),
        normal(22, (4, 5)),
        torch.tanh,
        reference=torch.nn.Tanh,
    ),
    wrong(
        "hardswish in the middle",
        "silu",
        "between −3 and 3: (x + 3)/6 instead of (2x + 3)/6",
        "pair",
        lambda: (hardswish, hardswish_back),
        (3 * normal(23, (4, 5))[0],),
        F.hardswish,
        reference=TRUTH,
    ),
]


# --- softmax and logsumexp --------------------------------------------------------------------------------


def softmax_mid(x):
    """Over the middle axis."""
    e = np.exp(x - x.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    return p, p


def softmax_mid_grad(dy, p):
    return p * (dy - (dy * p).sum(axis=1, keepdims=True))


class SoftmaxJacobian:
    def forward(self, x):
        e = np.exp(x - np.max(x, axis=-1, keepdims=True))
        self.p = e / np.sum(e, axis=-1, keepdims=True)
        return self.p

    def backward(self, dvalues):
        self.dinputs = np.empty_like(dvalues)
        for i, (single, d) in enumerate(zip(self.p, dvalues, strict=True)):
            single = single.reshape(-1, 1)
            jacobian = np.diagflat(single) - np.dot(single, single.T)
            self.dinputs[i] = np.dot(jacobian, d)


class SoftmaxDiagonal:
    def forward(self, x):
        e = np.exp(x - np.max(x, axis=-1, keepdims=True))
        self.p = e / np.sum(e, axis=-1, keepdims=True)
        return self.p

    def backward(self, dvalues):
        return dvalues * self.p * (1 - self.p)


def softmax_global(x):
    e = np.exp(x - x.max())
    p = e / e.sum(axis=1, keepdims=True)
    return p, lambda dy: p * (dy - (dy * p).sum())  # over all rows at once


class LogSoftmax:
    def __init__(self, axis=1):
        self.axis = axis

    def forward(self, x):
        m = x.max(axis=self.axis, keepdims=True)
        self.y = x - m - np.log(np.exp(x - m).sum(axis=self.axis, keepdims=True))
        return self.y

    def backward(self, dy):
        return dy - np.exp(self.y) * dy.sum(axis=self.axis, keepdims=True)


def log_softmax(x):
    s = x - x.max(-1, keepdims=True)
    out = s - np.log(np.exp(s).sum(-1, keepdims=True))
    return out, lambda g: g - np.exp(out) * g.mean(-1, keepdims=True)


def logsumexp(x):
    m = x.max(axis=1)
    y = m + np.log(np.exp(x - m[:, None]).sum(axis=1))
    return y, (x, y)


def logsumexp_back(dy, cache):
    x, y = cache
    return dy[:, np.newaxis] * np.exp(x - y[:, np.newaxis])


def logsumexp_back_square(dy, cache):
    x, y = cache
    return dy * np.exp(x - y[:, None])  # along the rows, and the matrix is square


def temperature_softmax(x, tau=0.5):
    z = x / tau
    e = np.exp(z - z.max(-1, keepdims=True))
    p = e / e.sum(-1, keepdims=True)

    def vjp(dy):
        return p * (dy - np.einsum("...k,...k->...", dy, p)[..., None])  # / tau

    return p, vjp


CASES += [
    right(
        "softmax of the middle axis",
        "softmax",
        "pair",
        lambda: (softmax_mid, softmax_mid_grad),
        normal(30, (2, 5, 3)),
        lambda x: x.softmax(1),
        reference=lambda: torch.nn.Softmax(dim=1),
    ),
    right(
        "softmax by Jacobians",
        "softmax",
        "class",
        SoftmaxJacobian,
        normal(31, (4, 5)),
        lambda x: x.softmax(-1),
        grads="dinputs",
        reference=lambda: torch.nn.Softmax(dim=-1),
    ),
    wrong(
        "softmax, diagonal alone",
        "softmax",
        "only the diagonal p(1 − p) of the Jacobian",
        "class",
        SoftmaxDiagonal,
        normal(32, (4, 5)),
        lambda x: x.softmax(-1),
        reference=lambda: torch.nn.Softmax(-1),
    ),
    wrong(
        "softmax, sum over all rows",
        "softmax",
        "Σ dy p is taken over the whole batch",
        "closure",
        lambda: softmax_global,
        normal(33, (4, 5)),
        lambda x: x.softmax(1),
    ),
    wrong(
        "softmax with a temperature",
        "softmax",
        "1/τ is missing",
        "closure",
        lambda: temperature_softmax,
        normal(34, (4, 5)),
        lambda x: (x / 0.5).softmax(-1),
        reference=TRUTH,
    ),
    right(
        "log-softmax",
        "log-softmax",
        "class",
        LogSoftmax,
        normal(35, (4, 5)),
        lambda x: x.log_softmax(1),
        reference=lambda: torch.nn.LogSoftmax(dim=1),
    ),
    wrong(
        "log-softmax, mean for sum",
        "log-softmax",
        "mean of dy instead of its sum",
        "closure",
        lambda: log_softmax,
        normal(36, (4, 5)),
        lambda x: x.log_softmax(-1),
    ),
    right(
        "logsumexp",
        "logsumexp",
        "pair",
        lambda: (logsumexp, logsumexp_back),
        normal(37, (4, 6)),
        lambda x: x.logsumexp(1),
        reference=TRUTH,
    ),
    wrong(
        "logsumexp of a square",
        "logsumexp",
        "dy goes along the rows instead of the columns",
        "pair",
        lambda: (logsumexp, logsumexp_back_square),
        normal(38, (5, 5)),
        lambda x: x.logsumexp(1),
        reference=lambda: lambda x: torch.logsumexp(x, 1),
    ),
]


# --- cumulative sums, sorting, indexing -------------------------------------------------------------------


def cumsum(x):
    return np.cumsum(x, axis=1), lambda g: np.flip(np.cumsum(np.flip(g, 1), axis=1), 1)


def cumsum_forward(x):
    return x.cumsum(axis=0), None


def cumsum_backward(g, _):
    return g.cumsum(axis=0)  # not from the end


def cumprod(x):
    y = np.cumprod(x, axis=-1)

    def vjp(g):
        return np.flip(np.cumsum(np.flip(g * y, -1), axis=-1), -1) / x

    return y, vjp


class Sort:
    def forward(self, x):
        self.order = np.argsort(x, axis=-1, kind="stable")
        return np.take_along_axis(x, self.order, axis=-1)

    def backward(self, g):
        back = np.empty_like(g)
        np.put_along_axis(back, self.order, g, axis=-1)
        return back


class SortTwice:
    def forward(self, x):
        self.order = np.argsort(x, axis=-1, kind="stable")
        return np.take_along_axis(x, self.order, axis=-1)

    def backward(self, g):
        return np.take_along_axis(g, self.order, axis=-1)  # the order once more, not its inverse


def topk(x, k=3):
    idx = np.argsort(-x, axis=1)[:, :k]
    rows = np.arange(len(x))[:, None]

    def vjp(g):
        dx = np.zeros_like(x)
        dx[rows, idx] = g
        return dx

    return x[rows, idx], vjp


def topk_first_row(x, k=2):
    idx = np.argpartition(-x, k, axis=1)[:, :k]
    idx = np.take_along_axis(idx, np.argsort(-np.take_along_axis(x, idx, 1), axis=1), 1)
    y = np.take_along_axis(x, idx, 1)

    def vjp(g):
        dx = np.zeros_like(x)
        dx[:, idx[0]] = g
        return dx

    return y, vjp


def gather_rows(x, i):
    """Rows of x, some more than once."""
    return x[i], (x.shape, i)


def gather_rows_back(g, cache):
    dx = np.zeros(cache[0])
    np.add.at(dx, cache[1], g)
    return dx


def gather_rows_lost(g, cache):
    dx = np.zeros(cache[0])
    dx[cache[1]] += g
    return dx


def scatter_mean(src, where):
    """The mean of the rows of each group."""
    count = np.bincount(where, minlength=4)
    out = np.zeros((4, src.shape[1]))
    for r, w in zip(src, where, strict=True):
        out[w] += r / max(count[w], 1)

    def vjp(g):
        return g[where] / np.maximum(count, 1)[where][:, None]

    return out, vjp


def scatter_mean_bad(src, where):
    count = np.bincount(where, minlength=4)
    out = np.zeros((4, src.shape[1]))
    np.add.at(out, where, src)
    out /= np.maximum(count, 1)[:, None]
    return out, lambda g: g[where] / len(np.unique(where))


def scatter_truth(s, w):
    n = torch.bincount(w, minlength=4).clamp(min=1)[:, None]
    return torch.zeros(4, s.shape[1], dtype=s.dtype).index_add(0, w, s) / n


class MaxOverTime:
    def forward(self, x):  # (n, t, d)
        self.shape = x.shape
        self.arg = x.argmax(axis=1)
        return x.max(axis=1)

    def backward(self, dy):
        dx = np.zeros(self.shape)
        n, d = np.ogrid[: dy.shape[0], : dy.shape[1]]
        dx[n, self.arg, d] = dy
        return dx


def pad_then_diff(x):
    """Differences of neighbours, with a zero before the first."""
    y = np.diff(x, axis=1, prepend=0)

    def vjp(g):
        dx = g.copy()
        dx[:, :-1] -= g[:, 1:]
        return dx

    return y, vjp


def windowed_sum(x, w=3):
    n = x.shape[1] - w + 1
    y = np.stack([x[:, k : k + n] for k in range(w)]).sum(0)

    def vjp(g):
        dx = np.zeros_like(x)
        for k in range(w - 1):  # w
            dx[:, k : k + n] += g
        return dx

    return y, vjp


ROWS = labels(4, 9, 5)
CASES += [
    right(
        "cumulative sum",
        "cumulative sum",
        "closure",
        lambda: cumsum,
        normal(40, (3, 6)),
        lambda x: x.cumsum(1),
    ),
    wrong(
        "cumulative sum, not reversed",
        "cumulative sum",
        "the gradient is summed from the start",
        "pair",
        lambda: (cumsum_forward, cumsum_backward),
        normal(41, (6, 3)),
        lambda x: x.cumsum(0),
        reference=lambda: lambda x: torch.cumsum(x, 0),
    ),
    right(
        "cumulative product",
        "cumulative sum",
        "closure",
        lambda: cumprod,
        normal(42, (3, 5)),
        lambda x: x.cumprod(-1),
    ),
    right(
        "sort",
        "sort and top-k",
        "class",
        Sort,
        normal(43, (3, 6)),
        lambda x: x.sort(-1)[0],
        reference=lambda: lambda x: torch.sort(x, dim=-1, stable=True).values,
    ),
    wrong(
        "sort, order for its inverse",
        "sort and top-k",
        "takes by the order instead of putting back",
        "class",
        SortTwice,
        normal(44, (3, 6)),
        lambda x: x.sort(-1)[0],
        reference=TRUTH,
    ),
    right("top-k", "sort and top-k", "closure", lambda: topk, normal(45, (4, 7)), lambda x: x.topk(3, 1)[0]),
    wrong(
        "top-k of the first row",
        "sort and top-k",
        "all rows use the places of the first",
        "closure",
        lambda: topk_first_row,
        normal(46, (4, 7)),
        lambda x: x.topk(2, 1)[0],
        reference=lambda: lambda x: torch.topk(x, 2, dim=1)[0],
    ),
    right(
        "gather rows",
        "gather and scatter",
        "pair",
        lambda: (gather_rows, gather_rows_back),
        (*normal(47, (5, 3)), ROWS),
        lambda x, i: x[i],
        reference=TRUTH,
    ),
    wrong(
        "gather rows, repeated",
        "gather and scatter",
        "rows that are taken twice count once",
        "pair",
        lambda: (gather_rows, gather_rows_lost),
        (*normal(48, (5, 3)), ROWS),
        lambda x, i: x[i],
    ),
    right(
        "scatter mean",
        "gather and scatter",
        "closure",
        lambda: scatter_mean,
        (*normal(49, (8, 3)), labels(5, 8, 4)),
        scatter_truth,
        reference=TRUTH,
    ),
    wrong(
        "scatter mean, groups counted",
        "gather and scatter",
        "divides by the number of groups instead of the size of each",
        "closure",
        lambda: scatter_mean_bad,
        (*normal(50, (8, 3)), labels(5, 8, 4)),
        scatter_truth,
        reference=lambda: scatter_truth,
    ),
    right("max over time", "max pool", "class", MaxOverTime, normal(51, (3, 5, 4)), lambda x: x.amax(1)),
    right(
        "differences",
        "cumulative sum",
        "closure",
        lambda: pad_then_diff,
        normal(52, (3, 6)),
        lambda x: torch.diff(x, dim=1, prepend=torch.zeros(len(x), 1, dtype=x.dtype)),
        reference=TRUTH,
    ),
    wrong(
        "windowed sum, last offset",
        "cumulative sum",
        "the loop over the window ends one early",
        "closure",
        lambda: windowed_sum,
        normal(53, (3, 8)),
        lambda x: x.unfold(1, 3, 1).sum(-1),
    ),
]


# --- reductions over mixed axes, products -----------------------------------------------------------------


def l2_rows(x):
    n = np.linalg.norm(x, axis=1, keepdims=True)
    y = x / n
    return y, lambda g: (g - y * (y * g).sum(1, keepdims=True)) / n


def l2_rows_bad(x):
    n = np.sqrt(np.sum(x * x, axis=1, keepdims=True))
    y = x / n
    return y, lambda g: (g - x * (x * g).sum(1, keepdims=True)) / n  # x for y


def vector_norm(v):
    r = np.sqrt(v @ v)
    return r, (v, r)


def vector_norm_grad(g, cache):
    v, r = cache
    return g * v / r


def vector_norm_grad_ignoring(g, cache):
    v, r = cache
    return v / r


def cosine(a, b):
    na, nb = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    c = (a * b).sum(1) / (na * nb)

    def vjp(g):
        g = g[:, None]
        ua, ub = a / na[:, None], b / nb[:, None]
        da = g * (ub - c[:, None] * ua) / na[:, None]
        db = g * (ua - c[:, None] * ub) / nb[:, None]
        return da, db

    return c, vjp


def cosine_bad(a, b):
    na, nb = np.linalg.norm(a, axis=1, keepdims=True), np.linalg.norm(b, axis=1, keepdims=True)
    c = np.sum(a * b, axis=1, keepdims=True) / (na * nb)

    def vjp(g):
        g = g.reshape(-1, 1)
        return g * (b / (na * nb) - c * a / na**2), g * (a / (na * nb) - c * b / na**2)  # nb²

    return c[:, 0], vjp


def outer(a, b):
    return np.einsum("ni,nj->nij", a, b), (a, b)


def outer_grad(dy, cache):
    a, b = cache
    return (dy @ b[:, :, None])[..., 0], (dy.transpose(0, 2, 1) @ a[:, :, None])[..., 0]


def outer_grad_bad(dy, cache):
    a, b = cache
    return np.einsum("nij,nj->ni", dy, b), np.einsum("nij,nj->ni", dy, a)  # nij,ni->nj


def contract(q, k):
    return np.einsum("bhid,bjhd->bhij", q, k), {"q": q, "k": k}


def contract_vjp(dy, s):
    return np.einsum("bhij,bjhd->bhid", dy, s["k"]), np.einsum("bhij,bhid->bjhd", dy, s["q"])


def contract_vjp_bad(dy, s):
    return np.einsum("bhij,bjhd->bhid", dy, s["k"]), np.einsum("bhij,bhjd->bihd", dy, s["q"])


def bilinear_form(x, A, y):
    return x @ A @ y, lambda g: (g * A @ y, g * np.outer(x, y), g * A.T @ x)


def bilinear_form_bad(x, A, y):
    return x @ A @ y, lambda g: (g * A @ y, g * np.outer(y, x), g * A.T @ x)


def variance(x):
    m = x.mean(axis=(0, 2), keepdims=True)
    v = ((x - m) ** 2).mean(axis=(0, 2))
    n = x.shape[0] * x.shape[2]
    return v, lambda g: g[None, :, None] * 2 * (x - m) / n


def variance_bad(x):
    return x.var(
        axis=(0, 2)
    ), lambda g: g[None, :, None] * 2 * (x - x.mean(axis=(0, 2), keepdims=True)) / x.shape[0]


def mix_axes(x, w):
    """Transpose, weight along two axes, and sum the third."""
    t = x.transpose(2, 0, 1)  # (c, a, b)
    y = (t * w[:, None, :]).sum(axis=1)

    def vjp(dy):
        dw = (dy[:, None, :] * t).sum(axis=1)
        dt = np.broadcast_to((dy * w)[:, None, :], t.shape)
        return dt.transpose(1, 2, 0), dw

    return y, vjp


def mix_axes_bad(x, w):
    t = x.transpose(2, 0, 1)
    y = (t * w[:, None, :]).sum(axis=1)

    def vjp(dy):
        dt = np.repeat((dy * w)[:, None, :], t.shape[1], axis=1)
        return dt.transpose(2, 1, 0).reshape(x.shape), (dy[:, None, :] * t).sum(axis=1)

    return y, vjp


def positional(x, table):
    """x √d plus the learned positions of its length."""
    n, t, d = x.shape
    y = x * np.sqrt(d) + table[:t]

    def vjp(dy):
        dt = np.zeros_like(table)
        dt[:t] = dy.sum(axis=0)
        return dy * np.sqrt(d), dt

    return y, vjp


def positional_bad(x, table):
    n, t, d = x.shape

    def vjp(dy):
        dt = np.zeros_like(table)
        dt[-t:] = dy.sum(axis=0)  # the last positions
        return dy * np.sqrt(d), dt

    return x * np.sqrt(d) + table[:t], vjp


def glu(x):
    a, b = np.split(x, 2, axis=-1)
    s = expit(b)
    return a * s, lambda g: np.concatenate([g * s, g * a * s * (1 - s)], axis=-1)


def swiglu_fwd(x, w, v):
    a, b = x @ w, x @ v
    s = expit(a)
    return a * s * b, (x, w, v, a, b, s)


def swiglu_bwd(dy, cache):
    x, w, v, a, b, s = cache
    da = dy * b * s * (1 + a * (1 - s))
    db = dy * a * s
    return da @ w.T + db @ v.T, x.T @ da, x.T @ db


def swiglu_bwd_bad(dy, cache):
    x, w, v, a, b, s = cache
    da = dy * b * s * (1 + a * (1 - s))
    db = dy * s  # a
    return da @ w.T + db @ v.T, x.T @ da, x.T @ db


def clip_grad(x, lo=-1.0, hi=1.0):
    """Clipped values; outside, the gradient is zero."""
    return np.clip(x, lo, hi), lambda g: g * (x < hi)  # and x > lo


def abs_power(x, p=1.5):
    return np.abs(x) ** p, lambda g: g * p * np.abs(x) ** (p - 1)  # · sign(x)


def where_max(a, b):
    take = a >= b
    return np.where(take, a, b), lambda g: (g * take, g * ~take)


def swiglu_truth(x, w, v):
    return F.silu(x @ w) * (x @ v)


def positional_truth(x, t):
    return x * x.shape[2] ** 0.5 + t[: x.shape[1]]


def mix_truth(x, w):
    return torch.einsum("abc,cb->cb", x, w)


def bilinear_truth(x, A, y):
    return x @ A @ y


def outer_truth(a, b):
    return a[:, :, None] * b[:, None, :]


def contract_truth(q, k):
    return torch.einsum("bhid,bjhd->bhij", q, k)


CASES += [
    right(
        "rows to length one",
        "L2 normalisation",
        "closure",
        lambda: l2_rows,
        normal(60, (4, 5)),
        lambda x: x / x.norm(dim=1, keepdim=True),
    ),
    wrong(
        "rows to length one, x for y",
        "L2 normalisation",
        "the projection uses x instead of x/‖x‖",
        "closure",
        lambda: l2_rows_bad,
        normal(61, (4, 5)),
        lambda x: x / x.norm(dim=1, keepdim=True),
        reference=lambda: lambda x: F.normalize(x, dim=1),
    ),
    right(
        "norm of a vector",
        "norm of a vector",
        "pair",
        lambda: (vector_norm, vector_norm_grad),
        normal(62, (7,)),
        torch.linalg.vector_norm,
    ),
    wrong(
        "norm of a vector, dy ignored",
        "norm of a vector",
        "the incoming gradient is ignored",
        "pair",
        lambda: (vector_norm, vector_norm_grad_ignoring),
        normal(63, (7,)),
        torch.linalg.vector_norm,
        reference=TRUTH,
    ),
    right(
        "cosine similarity",
        "cosine similarity",
        "closure",
        lambda: cosine,
        normal(64, (4, 5), (4, 5)),
        lambda a, b: F.cosine_similarity(a, b, dim=1),
    ),
    wrong(
        "cosine similarity, norm of a",
        "cosine similarity",
        "db divides by ‖a‖² instead of ‖b‖²",
        "closure",
        lambda: cosine_bad,
        normal(65, (4, 5), (4, 5)),
        lambda a, b: F.cosine_similarity(a, b, dim=1),
        reference=lambda: torch.nn.CosineSimilarity(dim=1),
    ),
    right(
        "outer product",
        "outer product",
        "pair",
        lambda: (outer, outer_grad),
        normal(66, (3, 4), (3, 5)),
        outer_truth,
    ),
    wrong(
        "outer product, square",
        "outer product",
        "db contracts the wrong axis, the product is square",
        "pair",
        lambda: (outer, outer_grad_bad),
        normal(67, (3, 4), (3, 4)),
        outer_truth,
        reference=lambda: outer_truth,
    ),
    right(
        "einsum contraction",
        "einsum",
        "pair",
        lambda: (contract, contract_vjp),
        normal(68, (2, 3, 4, 5), (2, 4, 3, 5)),
        contract_truth,
        reference=TRUTH,
    ),
    wrong(
        "einsum contraction, i and j",
        "einsum",
        "dk has i and j changed round",
        "pair",
        lambda: (contract, contract_vjp_bad),
        normal(69, (2, 3, 4, 5), (2, 4, 3, 5)),
        contract_truth,
    ),
    right(
        "bilinear form",
        "bilinear",
        "closure",
        lambda: bilinear_form,
        normal(70, (3,), (3, 4), (4,)),
        bilinear_truth,
        reference=lambda: bilinear_truth,
    ),
    wrong(
        "bilinear form, square",
        "bilinear",
        "dA is y xᵀ instead of x yᵀ",
        "closure",
        lambda: bilinear_form_bad,
        normal(71, (4,), (4, 4), (4,)),
        bilinear_truth,
        reference=TRUTH,
    ),
    right(
        "variance of channels",
        "mixed axes",
        "closure",
        lambda: variance,
        normal(72, (3, 4, 5)),
        lambda x: x.var((0, 2), correction=0),
    ),
    wrong(
        "variance of channels, count",
        "mixed axes",
        "divides by the samples alone, not by all entries",
        "closure",
        lambda: variance_bad,
        normal(73, (3, 4, 5)),
        lambda x: x.var((0, 2), correction=0),
        reference=lambda: lambda x: torch.var(x, (0, 2), correction=0),
    ),
    right(
        "mixed axes",
        "mixed axes",
        "closure",
        lambda: mix_axes,
        normal(74, (3, 4, 5), (5, 4)),
        mix_truth,
        reference=TRUTH,
    ),
    wrong(
        "mixed axes, transposed back wrongly",
        "mixed axes",
        "the axes are put back in another order",
        "closure",
        lambda: mix_axes_bad,
        normal(75, (4, 4, 4), (4, 4)),
        mix_truth,
    ),
    right(
        "positions",
        "positional scaling",
        "closure",
        lambda: positional,
        normal(76, (3, 4, 6), (7, 6)),
        positional_truth,
        reference=lambda: positional_truth,
    ),
    wrong(
        "positions, last instead of first",
        "positional scaling",
        "the gradient goes to the last positions of the table",
        "closure",
        lambda: positional_bad,
        normal(77, (3, 4, 6), (7, 6)),
        positional_truth,
        reference=TRUTH,
    ),
    right("glu", "GLU", "closure", lambda: glu, normal(78, (3, 8)), F.glu, reference=torch.nn.GLU),
    right(
        "swiglu",
        "GLU",
        "pair",
        lambda: (swiglu_fwd, swiglu_bwd),
        normal(79, (4, 3), (3, 5), (3, 5)),
        swiglu_truth,
    ),
    wrong(
        "swiglu, value branch",
        "GLU",
        "the value's branch uses σ(a) instead of a σ(a)",
        "pair",
        lambda: (swiglu_fwd, swiglu_bwd_bad),
        normal(80, (4, 3), (3, 5), (3, 5)),
        swiglu_truth,
        reference=TRUTH,
    ),
    wrong(
        "clip, lower end",
        "relu",
        "the gradient passes below the lower bound",
        "closure",
        lambda: clip_grad,
        normal(81, (4, 6)),
        lambda x: x.clamp(-1, 1),
    ),
    wrong(
        "power of |x|, sign",
        "norm of a vector",
        "sign(x) is missing: wrong where x is negative",
        "closure",
        lambda: abs_power,
        normal(82, (4, 6)),
        lambda x: x.abs() ** 1.5,
    ),
    right(
        "larger of two",
        "relu",
        "closure",
        lambda: where_max,
        normal(83, (4, 6), (4, 6)),
        torch.maximum,
    ),
]
