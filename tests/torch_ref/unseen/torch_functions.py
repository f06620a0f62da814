"""torch.autograd.Function: backward passes on tensors."""

import math

import torch
import torch.nn.functional as F
from torch.autograd import Function

from .case import TRUTH, labels, normal, right, wrong

CASES = []


class LinearFunction(Function):
    @staticmethod
    def forward(ctx, input, weight, bias):
        ctx.save_for_backward(input, weight)
        return input @ weight.t() + bias

    @staticmethod
    def backward(ctx, grad_output):
        input, weight = ctx.saved_tensors
        grad_input = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_input = grad_output @ weight
        if ctx.needs_input_grad[1]:
            grad_weight = grad_output.t() @ input
        if ctx.needs_input_grad[2]:
            grad_bias = grad_output.sum(0)
        return grad_input, grad_weight, grad_bias


class SquareLinear(Function):
    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return x.mm(w.t())

    @staticmethod
    def backward(ctx, g):
        x, w = ctx.saved_tensors
        return g.mm(w.t()), g.t().mm(x)  # g w


class Swish(Function):
    @staticmethod
    def forward(ctx, x):
        s = torch.sigmoid(x)
        ctx.save_for_backward(x, s)
        return x * s

    @staticmethod
    def backward(ctx, dy):
        x, s = ctx.saved_tensors
        return dy * (s + x * s * (1 - s))


class TanhOfInput(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)  # meant to be the output
        return x.tanh()

    @staticmethod
    def backward(ctx, dy):
        (y,) = ctx.saved_tensors
        return dy * (1 - y * y)


class LayerNormFn(Function):
    @staticmethod
    def forward(ctx, x, w, b, eps):
        mean = x.mean(-1, keepdim=True)
        rstd = (x.var(-1, unbiased=False, keepdim=True) + eps).rsqrt()
        xhat = (x - mean) * rstd
        ctx.save_for_backward(xhat, rstd, w)
        return xhat * w + b

    @staticmethod
    def backward(ctx, g):
        xhat, rstd, w = ctx.saved_tensors
        flat = tuple(range(g.dim() - 1))
        gx = g * w
        dx = rstd * (gx - gx.mean(-1, keepdim=True) - xhat * (gx * xhat).mean(-1, keepdim=True))
        return dx, (g * xhat).sum(flat), g.sum(flat), None


class LayerNormUnbiased(Function):
    @staticmethod
    def forward(ctx, x, w, b):
        mean = x.mean(-1, keepdim=True)
        rstd = (x.var(-1, unbiased=False, keepdim=True) + 1e-5).rsqrt()
        ctx.save_for_backward(x, mean, rstd, w)
        return (x - mean) * rstd * w + b

    @staticmethod
    def backward(ctx, g):
        x, mean, rstd, w = ctx.saved_tensors
        n = x.shape[-1]
        xhat = (x - mean) * rstd
        gx = g * w
        dx = rstd * (gx - gx.mean(-1, keepdim=True) - xhat * (gx * xhat).sum(-1, keepdim=True) / (n - 1))
        return dx, (g * xhat).sum(0), g.sum(0)


class SoftmaxFn(Function):
    @staticmethod
    def forward(ctx, x, dim=-1):
        y = torch.softmax(x, dim)
        ctx.dim = dim
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return y * g - y * (y * g).sum(ctx.dim, keepdim=True), None


class SoftmaxWrongDim(Function):
    @staticmethod
    def forward(ctx, x):
        y = torch.softmax(x, 1)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return y * (g - (y * g).sum(-1, keepdim=True))  # dim 1


class CrossEntropyFn(Function):
    @staticmethod
    def forward(ctx, logits, target):
        logp = logits.log_softmax(-1)
        ctx.save_for_backward(logp, target)
        return F.nll_loss(logp, target)

    @staticmethod
    def backward(ctx, g):
        logp, target = ctx.saved_tensors
        d = logp.exp()
        d = d - F.one_hot(target, d.shape[-1])
        return g * d / len(target), None


class CrossEntropyOnce(Function):
    """Keeps its gradient in the class, where the next call overwrites it."""

    kept = {}

    @staticmethod
    def forward(ctx, logits, target):
        p = logits.softmax(-1)
        key = tuple(logits.shape)
        if key not in CrossEntropyOnce.kept:
            CrossEntropyOnce.kept[key] = (p - F.one_hot(target, p.shape[-1])) / len(target)
        ctx.key = key
        return F.cross_entropy(logits, target)

    @staticmethod
    def backward(ctx, g):
        return g * CrossEntropyOnce.kept[ctx.key], None


def fresh_cross_entropy():
    CrossEntropyOnce.kept.clear()
    return CrossEntropyOnce


class EmbeddingFn(Function):
    @staticmethod
    def forward(ctx, table, idx):
        ctx.n = table.shape[0]
        ctx.save_for_backward(idx)
        return table[idx]

    @staticmethod
    def backward(ctx, g):
        (idx,) = ctx.saved_tensors
        d = g.new_zeros(ctx.n, g.shape[-1])
        return d.index_add_(0, idx.reshape(-1), g.reshape(-1, g.shape[-1])), None


class EmbeddingAssign(Function):
    @staticmethod
    def forward(ctx, table, idx):
        ctx.n = table.shape[0]
        ctx.save_for_backward(idx)
        return table[idx]

    @staticmethod
    def backward(ctx, g):
        (idx,) = ctx.saved_tensors
        d = g.new_zeros(ctx.n, g.shape[-1])
        d[idx] = g
        return d, None


class Conv1dFn(Function):
    @staticmethod
    def forward(ctx, x, w, stride):
        ctx.save_for_backward(x, w)
        ctx.stride = stride
        return torch.einsum("nclk,ock->nol", x.unfold(2, w.shape[2], stride), w)

    @staticmethod
    def backward(ctx, g):
        x, w = ctx.saved_tensors
        k, s = w.shape[2], ctx.stride
        dw = torch.einsum("nclk,nol->ock", x.unfold(2, k, s), g)
        dx = torch.zeros_like(x)
        for t in range(g.shape[2]):
            dx[:, :, t * s : t * s + k] += torch.einsum("no,ock->nck", g[:, :, t], w)
        return dx, dw, None


class Conv1dLast(Function):
    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return F.conv1d(x, w)

    @staticmethod
    def backward(ctx, g):
        x, w = ctx.saved_tensors
        k = w.shape[2]
        dw = torch.stack([torch.einsum("nct,not->oc", x[:, :, j : j + g.shape[2]], g) for j in range(k)], 2)
        dx = torch.zeros_like(x)
        for t in range(g.shape[2] - 1):  # without the last window
            dx[:, :, t : t + k] += torch.einsum("no,ock->nck", g[:, :, t], w)
        return dx, dw


class RMSNormFn(Function):
    @staticmethod
    def forward(ctx, x, w):
        r = torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)
        ctx.save_for_backward(x, w, r)
        return x * r * w

    @staticmethod
    def backward(ctx, g):
        x, w, r = ctx.saved_tensors
        gw = g * w
        dx = r * gw - r.pow(3) * x * (gw * x).mean(-1, keepdim=True)
        return dx, (g * x * r).flatten(0, -2).sum(0)


class RMSNormSquare(Function):
    @staticmethod
    def forward(ctx, x, w):
        r = torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)
        ctx.save_for_backward(x, w, r)
        return x * r * w

    @staticmethod
    def backward(ctx, g):
        x, w, r = ctx.saved_tensors
        gw = g * w
        dx = r * gw - r.pow(2) * x * (gw * x).mean(-1, keepdim=True)  # r³
        return dx, (g * x * r).flatten(0, -2).sum(0)


class AttentionFn(Function):
    @staticmethod
    def forward(ctx, q, k, v):
        p = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1)
        ctx.save_for_backward(q, k, v, p)
        return p @ v

    @staticmethod
    def backward(ctx, do):
        q, k, v, p = ctx.saved_tensors
        dp = do @ v.mT
        ds = p * (dp - (p * dp).sum(-1, keepdim=True)) / math.sqrt(q.shape[-1])
        return ds @ k, ds.mT @ q, p.mT @ do


class AttentionSwapped(Function):
    @staticmethod
    def forward(ctx, q, k, v):
        p = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1)
        ctx.save_for_backward(q, k, v, p)
        return p @ v

    @staticmethod
    def backward(ctx, do):
        q, k, v, p = ctx.saved_tensors
        dp = do @ v.mT
        ds = p * (dp - (p * dp).sum(-1, keepdim=True)) / math.sqrt(q.shape[-1])
        return ds.mT @ q, ds @ k, p.mT @ do  # dk, dq


class SwiGLUFn(Function):
    @staticmethod
    def forward(ctx, gate, up):
        ctx.save_for_backward(gate, up)
        return F.silu(gate) * up

    @staticmethod
    def backward(ctx, dy):
        gate, up = ctx.saved_tensors
        s = gate.sigmoid()
        return dy * up * s * (1 + gate * (1 - s)), dy * gate * s


class GeGLU(Function):
    @staticmethod
    def forward(ctx, gate, up):
        ctx.save_for_backward(gate, up)
        return F.gelu(gate) * up

    @staticmethod
    def backward(ctx, dy):
        gate, up = ctx.saved_tensors
        cdf = 0.5 * (1 + torch.erf(gate / math.sqrt(2)))
        return dy * up * cdf, dy * F.gelu(gate)  # the density is missing


class InverseFn(Function):
    @staticmethod
    def forward(ctx, a):
        y = torch.linalg.inv(a)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return -y.mT @ g @ y.mT


class LogSumExpFn(Function):
    @staticmethod
    def forward(ctx, x):
        y = torch.logsumexp(x, -1)
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx, g):
        x, y = ctx.saved_tensors
        return torch.exp(x - y[..., None])  # g


class DoubleFloat(Function):
    """Squares, with the gradient made in float32."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x.float())
        return x * x

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 2 * x.to(g.dtype) * g


class RotateHalf(Function):
    @staticmethod
    def forward(ctx, x, cos, sin):
        ctx.save_for_backward(cos, sin)
        a, b = x.chunk(2, -1)
        return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

    @staticmethod
    def backward(ctx, g):
        cos, sin = ctx.saved_tensors
        a, b = g.chunk(2, -1)
        return torch.cat([a * cos + b * sin, b * cos - a * sin], -1), None, None


class GuardedExp(Function):
    """The exponential, guarded against overflow."""

    @staticmethod
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return g * y.clamp(max=10.0)  # the guard against overflow cuts the gradient of large inputs


def rotate_truth(x, cos, sin):
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


def rms_truth(x, w):
    return F.rms_norm(x, x.shape[-1:], w, 1e-6)


def ln_truth(x, w, b, eps=1e-5):
    return F.layer_norm(x, x.shape[-1:], w, b, eps)


def sdpa(q, k, v):
    return F.scaled_dot_product_attention(q, k, v)


LOGITS = (*normal(1, (6, 5)), labels(2, 6, 5))
WORDS = (*normal(3, (7, 3)), labels(4, (4, 5), 7))
QKV = normal(5, (2, 4, 3), (2, 4, 3), (2, 4, 3))
CASES += [
    right(
        "LinearFunction",
        "linear",
        "torch",
        lambda: LinearFunction,
        normal(10, (4, 5), (3, 5), (3,)),
        F.linear,
        reference=lambda: F.linear,
    ),
    wrong(
        "SquareLinear",
        "linear",
        "dx = g wᵀ instead of g w, the weight is square",
        "torch",
        lambda: SquareLinear,
        normal(11, (4, 3), (3, 3)),
        F.linear,
        reference=lambda: F.linear,
    ),
    right("Swish", "silu", "torch", lambda: Swish, normal(12, (4, 5)), F.silu, reference=lambda: F.silu),
    wrong(
        "TanhOfInput",
        "tanh",
        "saves the input, and uses it as the output",
        "torch",
        lambda: TanhOfInput,
        normal(13, (4, 5)),
        torch.tanh,
        reference=TRUTH,
    ),
    right(
        "LayerNormFn",
        "layer norm",
        "torch",
        lambda: LayerNormFn,
        (*normal(14, (2, 3, 6), (6,), (6,)), 1e-5),
        ln_truth,
    ),
    wrong(
        "LayerNormUnbiased",
        "layer norm",
        "the second mean divides by n − 1",
        "torch",
        lambda: LayerNormUnbiased,
        normal(15, (4, 6), (6,), (6,)),
        ln_truth,
        reference=lambda: ln_truth,
    ),
    right(
        "SoftmaxFn",
        "softmax",
        "torch",
        lambda: SoftmaxFn,
        normal(16, (4, 5)),
        lambda x: x.softmax(-1),
        reference=TRUTH,
    ),
    wrong(
        "SoftmaxWrongDim",
        "softmax",
        "the sum is over the last axis, the softmax over axis 1",
        "torch",
        lambda: SoftmaxWrongDim,
        normal(17, (2, 4, 5)),
        lambda x: x.softmax(1),
        reference=lambda: torch.nn.Softmax(dim=1),
    ),
    right(
        "CrossEntropyFn",
        "cross-entropy",
        "torch",
        lambda: CrossEntropyFn,
        LOGITS,
        F.cross_entropy,
        reference=lambda: F.cross_entropy,
    ),
    wrong(
        "CrossEntropyOnce",
        "cross-entropy",
        "the gradient of the first call is kept in the class",
        "torch",
        fresh_cross_entropy,
        LOGITS,
        F.cross_entropy,
        shows="second call",
    ),
    right(
        "EmbeddingFn", "embedding", "torch", lambda: EmbeddingFn, WORDS, lambda W, i: W[i], reference=TRUTH
    ),
    wrong(
        "EmbeddingAssign",
        "embedding",
        "words that repeat are assigned, not added",
        "torch",
        lambda: EmbeddingAssign,
        WORDS,
        lambda W, i: W[i],
        reference=lambda: lambda W, i: F.embedding(i, W),
    ),
    right(
        "Conv1dFn",
        "conv1d",
        "torch",
        lambda: Conv1dFn,
        (*normal(18, (2, 3, 8), (4, 3, 3)), 2),
        lambda x, w, s: F.conv1d(x, w, stride=s),
    ),
    wrong(
        "Conv1dLast",
        "conv1d",
        "dx lacks the last window",
        "torch",
        lambda: Conv1dLast,
        normal(19, (2, 3, 8), (4, 3, 3)),
        F.conv1d,
        reference=TRUTH,
    ),
    right(
        "RMSNormFn",
        "RMS norm",
        "torch",
        lambda: RMSNormFn,
        normal(20, (2, 3, 6), (6,)),
        rms_truth,
        reference=lambda: rms_truth,
    ),
    wrong(
        "RMSNormSquare",
        "RMS norm",
        "r² instead of r³ in the second term",
        "torch",
        lambda: RMSNormSquare,
        normal(21, (2, 3, 6), (6,)),
        rms_truth,
    ),
    right("AttentionFn", "attention", "torch", lambda: AttentionFn, QKV, sdpa, reference=lambda: sdpa),
    wrong(
        "AttentionSwapped",
        "attention",
        "dq and dk are returned in each other's place",
        "torch",
        lambda: AttentionSwapped,
        QKV,
        sdpa,
        reference=lambda: sdpa,
    ),
    right(
        "SwiGLUFn",
        "GLU",
        "torch",
        lambda: SwiGLUFn,
        normal(22, (3, 4), (3, 4)),
        lambda g, u: F.silu(g) * u,
        reference=TRUTH,
    ),
    wrong(
        "GeGLU",
        "GLU",
        "the derivative of gelu lacks x times the density",
        "torch",
        lambda: GeGLU,
        normal(23, (3, 4), (3, 4)),
        lambda g, u: F.gelu(g) * u,
        reference=lambda: lambda g, u: F.gelu(g) * u,
    ),
    right("InverseFn", "matrix inverse", "torch", lambda: InverseFn, normal(24, (3, 3)), torch.linalg.inv),
    wrong(
        "LogSumExpFn",
        "logsumexp",
        "the incoming gradient is ignored",
        "torch",
        lambda: LogSumExpFn,
        normal(25, (4, 5)),
        lambda x: x.logsumexp(-1),
    ),
    wrong(
        "DoubleFloat",
        "norm of a vector",
        "x is kept in float32: half of the digits are lost in float64",
        "torch",
        lambda: DoubleFloat,
        normal(26, (4, 5)),
        lambda x: x * x,
        reference=lambda: torch.square,
    ),
    right(
        "RotateHalf",
        "rotary",
        "torch",
        lambda: RotateHalf,
        normal(27, (2, 4, 6), (4, 3), (4, 3)),
        rotate_truth,
        options={"held": [1, 2]},
        reference=TRUTH,
    ),
    wrong(
        "GuardedExp",
        "softplus",
        "the gradient is cut at 10: wrong for large inputs alone",
        "torch",
        lambda: GuardedExp,
        (0.5 * normal(28, (4, 5))[0],),
        torch.exp,
        witness=(3 * normal(28, (4, 5))[0],),
        reference=lambda: torch.exp,
    ),
]
