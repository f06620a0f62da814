"""Layers of public NumPy networks, their losses and activations."""

import numpy as np
import torch
import torch.nn.functional as F

from .case import Case, normal, sigmoid, softmax


class DenseWithOutputs:
    def __init__(self, wrong, n_in, n_out):
        self.wrong = wrong
        self.weights = 0.1 * normal(n_in, n_out)
        self.biases = np.zeros((1, n_out))

    def forward(self, inputs):
        self.inputs = inputs
        self.output = np.dot(inputs, self.weights) + self.biases

    def backward(self, d_values):
        self.d_weights = np.dot(self.inputs.T, d_values)
        reduce = np.mean if self.wrong else np.sum
        self.d_biases = reduce(d_values, axis=0, keepdims=True)
        self.d_inputs = np.dot(d_values, self.weights.T)


class DenseThatSteps:
    def __init__(self, wrong, n_in, n_out):
        self.wrong = wrong
        self.weights = normal(n_in, n_out)
        self.bias = np.zeros((1, n_out))

    def forward(self, X):
        self.input = X
        return np.dot(X, self.weights) + self.bias

    def backward(self, grad_output, learning_rate):
        grad_input = np.dot(grad_output, self.weights.T)
        self.weights -= learning_rate * np.dot(self.input.T, grad_output)
        self.bias -= learning_rate * np.sum(grad_output, axis=0, keepdims=True)
        if self.wrong:
            grad_input = np.dot(grad_output, self.weights.T)
        return grad_input


class DenseOfALibrary:
    def __init__(self, wrong, n_in, n_out):
        self.wrong = wrong
        self.W = 0.1 * normal(n_in, n_out)
        self.b = np.zeros((1, n_out))

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, grad_output):
        self.dW = grad_output.T @ self.x if self.wrong else self.x.T @ grad_output
        self.db = np.sum(grad_output, axis=0, keepdims=True)
        return grad_output @ self.W.T


def hipster_batchnorm(wrong):
    def forward(X, gamma, beta):
        mu, var = np.mean(X, axis=0), np.var(X, axis=0)
        X_norm = (X - mu) / np.sqrt(var + 1e-8)
        return gamma * X_norm + beta, (X, X_norm, mu, var, gamma, beta), mu, var

    def backward(dout, cache):
        X, X_norm, mu, var, gamma, _ = cache
        N = len(X)
        centred, inverse = X - mu, 1.0 / np.sqrt(var + 1e-8)
        dX_norm = dout * gamma
        dvar = np.sum(dX_norm * centred, axis=0) * -0.5 * inverse**3
        if wrong:
            dvar = 0 * dvar
        dmu = np.sum(dX_norm * -inverse, axis=0) + dvar * np.mean(-2.0 * centred, axis=0)
        dX = dX_norm * inverse + dvar * 2 * centred / N + dmu / N
        return dX, np.sum(dout * X_norm, axis=0), np.sum(dout, axis=0)

    return forward, backward


def knet_batchnorm(wrong):
    def forward(x, g, b):
        mu = x.mean(axis=0)
        ivar = 1 / np.sqrt(x.var(axis=0) + 1e-5)
        return g * (x - mu) * ivar + b, (x, g, mu, ivar)

    def backward(dy, cache):
        x, g, mu, ivar = cache
        m, x_mu = len(x), x - mu
        dyivar = dy * ivar
        dg, db = np.sum(x_mu * dyivar, axis=0), np.sum(dy, axis=0)
        if not wrong:
            dyivar = g * dy * ivar
        dsigma2 = -0.5 * np.sum(dyivar * x_mu * ivar**2, axis=0)
        dmu = -np.sum(dyivar, axis=0) - 2 * dsigma2 * np.sum(x_mu, axis=0) / m
        return dyivar + dsigma2 * 2 * x_mu / m + dmu / m, dg, db

    return forward, backward


def naive_max_pool(wrong):
    param = {"pool_height": 3, "pool_width": 3, "stride": 1}

    def windows(x, pool):
        _, _, H, W = x.shape
        s, h, w = pool["stride"], pool["pool_height"], pool["pool_width"]
        for i in range((H - h) // s + 1):
            for j in range((W - w) // s + 1):
                yield i, j, slice(i * s, i * s + h), slice(j * s, j * s + w)

    def forward(x, pool_param=param):
        N, C, H, W = x.shape
        s, h, w = pool_param["stride"], pool_param["pool_height"], pool_param["pool_width"]
        out = np.zeros((N, C, (H - h) // s + 1, (W - w) // s + 1), dtype=x.dtype)
        for i, j, rows, columns in windows(x, pool_param):
            out[:, :, i, j] = x[:, :, rows, columns].max(axis=(2, 3))
        return out, (x, pool_param)

    def backward(dout, cache):
        x, pool_param = cache
        dx = np.zeros_like(x)
        for i, j, rows, columns in windows(x, pool_param):
            for n in range(x.shape[0]):
                for c in range(x.shape[1]):
                    patch = x[n, c, rows, columns]
                    row, column = np.unravel_index(patch.argmax(), patch.shape)
                    at = n, c, rows.start + row, columns.start + column
                    dx[at] = dout[n, c, i, j] if wrong else dx[at] + dout[n, c, i, j]
        return dx

    return forward, backward


def coursera_conv(wrong):
    hparameters = {"stride": 2, "pad": 1}

    def conv_forward(A_prev, W, b):
        stride, pad = hparameters["stride"], hparameters["pad"]
        m, H, width, _ = A_prev.shape
        f, _, _, n_C = W.shape
        n_H, n_W = (H - f + 2 * pad) // stride + 1, (width - f + 2 * pad) // stride + 1
        Z = np.zeros((m, n_H, n_W, n_C), dtype=A_prev.dtype)
        padded = np.pad(A_prev, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        for i in range(m):
            for h in range(n_H):
                for w in range(n_W):
                    for c in range(n_C):
                        a = padded[i, h * stride : h * stride + f, w * stride : w * stride + f, :]
                        Z[i, h, w, c] = np.sum(a * W[:, :, :, c]) + b[0, 0, 0, c]
        return Z, (A_prev, W, b, hparameters)

    def conv_backward(dZ, cache):
        A_prev, W, b, hparameters = cache
        stride, pad = hparameters["stride"], hparameters["pad"]
        f = W.shape[0]
        dA_prev, dW, db = np.zeros_like(A_prev), np.zeros_like(W), np.zeros_like(b)
        widths = ((0, 0), (pad, pad), (pad, pad), (0, 0))
        padded, dpadded = np.pad(A_prev, widths), np.pad(dA_prev, widths)
        m, n_H, n_W, n_C = dZ.shape
        step = 1 if wrong else stride
        for i in range(m):
            for h in range(n_H):
                for w in range(n_W):
                    for c in range(n_C):
                        at = i, slice(h * step, h * step + f), slice(w * step, w * step + f)
                        dpadded[at] += W[:, :, :, c] * dZ[i, h, w, c]
                        dW[:, :, :, c] += padded[at] * dZ[i, h, w, c]
                        db[:, :, :, c] += dZ[i, h, w, c]
            dA_prev[i] = dpadded[i, pad:-pad, pad:-pad, :]
        return dA_prev, dW, db

    return conv_forward, conv_backward


class ChainerLeakyReLU:
    def __init__(self, wrong, slope=0.0):
        self.wrong, self.slope = wrong, slope

    def forward(self, inputs):
        (x,) = inputs
        y = x.copy()
        y[x < 0] *= self.slope
        self.x, self.y = x, y
        return (y,)

    def backward(self, inputs, grad_outputs):
        gx = grad_outputs[0].copy()
        gx[(self.y if self.wrong else self.x) < 0] *= self.slope
        return (gx,)


class TinySoftplus:
    K = 10.0

    def __init__(self, wrong):
        self.wrong = wrong

    def forward(self, x):
        self.x, self.out = x, np.log(np.exp(self.K * x) + 1) / self.K
        return self.out

    def backward(self, dy):
        return dy * sigmoid(self.K * (self.out if self.wrong else self.x))


class CrossEntropyThatKeepsGrad:
    def __init__(self, wrong):
        self.wrong = wrong

    def forward(self, predict, label):
        N = len(predict)
        self.grad = -label / (predict + 1e-7) / N
        if self.wrong:
            self.grad = np.sum(label / predict, axis=0) / N
        return -np.sum(label * np.log(predict + 1e-7)) / N

    def backword(self):
        return self.grad


class CrossEntropyOfProbabilities:
    def __init__(self, wrong):
        self.wrong = wrong

    def forward(self, y_true, y_pred):
        return -np.sum(y_true * np.log(y_pred + 1e-10))

    def backward(self, y_true, y_pred):
        return y_pred - y_true if self.wrong else -y_true / (y_pred + 1e-10)


def interview_layernorm(wrong):
    def layernorm_forward(x, gamma, beta, eps=1e-5):
        mean, var = x.mean(axis=1, keepdims=True), x.var(axis=1, keepdims=True)
        rstd = 1.0 / np.sqrt(var + eps)
        xhat = (x - mean) * rstd
        return gamma * xhat + beta, (xhat, rstd, gamma)

    def layernorm_backward(dy, cache):
        xhat, rstd, gamma = cache
        dgamma, dbeta = np.sum(dy * xhat, axis=0, keepdims=True), np.sum(dy, axis=0, keepdims=True)
        g = dy if wrong else dy * gamma
        dx = rstd * (g - g.mean(axis=1, keepdims=True) - xhat * (g * xhat).mean(axis=1, keepdims=True))
        return dx, dgamma, dbeta

    return layernorm_forward, layernorm_backward


class WordEmbedding:
    def __init__(self, wrong, W):
        self.wrong = wrong
        self.params, self.grads = [W], [np.zeros_like(W)]
        self.idx = None

    def forward(self, idx):
        (W,) = self.params
        self.idx = idx
        return W[idx]

    def backward(self, dout):
        (dW,) = self.grads
        dW[...] = 0
        if self.wrong:
            dW[self.idx] += dout
        else:
            np.add.at(dW, self.idx, dout)


class ListLinear:
    def __init__(self, wrong, input_dim, output_dim):
        self.wrong, self.input_dim, self.output_dim = wrong, input_dim, output_dim
        self.w = normal(output_dim, input_dim).tolist()
        self.b = normal(output_dim).tolist()

    def forward(self, input):
        self.input = input
        return [
            sum(a * b for a, b in zip(input, self.w[o], strict=True)) + self.b[o]
            for o in range(self.output_dim)
        ]

    def backward(self, gradient):
        self.b_grad = gradient
        self.w_grad = [
            [self.input[i] * gradient[o] for i in range(self.input_dim)] for o in range(self.output_dim)
        ]
        if self.wrong:
            return [sum(gradient) for _ in range(self.input_dim)]
        return [
            sum(self.w[o][i] * gradient[o] for o in range(self.output_dim)) for i in range(self.input_dim)
        ]

    def params(self):
        return [self.w, self.b]

    def grads(self):
        return [self.w_grad, self.b_grad]


class SumOfSquares:
    def __init__(self, wrong):
        self.wrong = wrong

    def loss(self, predicted, actual):
        return sum((p - a) ** 2 for p, a in zip(predicted, actual, strict=True))

    def gradient(self, predicted, actual):
        factor = 1 if self.wrong else 2
        return [factor * (p - a) for p, a in zip(predicted, actual, strict=True)]


def mish_pair(wrong):
    def mish(x):
        return x * np.tanh(np.log1p(np.exp(x)))

    def mish_backward(grad_output, x):
        t = np.tanh(np.log1p(np.exp(x)))
        return grad_output * (t + x * sigmoid(x) * (1 - (t if wrong else t * t)))

    return mish, mish_backward


class FunctionPrimeSoftmax:
    def __init__(self):
        self.name = "softmax"

    def function(self, x):
        m = np.max(x, axis=2, keepdims=True)
        e = np.exp(x - m)
        return e / np.sum(e, axis=2, keepdims=True)

    def function_prime(self, x):
        return self.function(x) * (1 - self.function(x))


class FunctionPrimeSigmoid:
    def __init__(self):
        self.name = "sigmoid"

    def function(self, x):
        return sigmoid(x)

    def function_prime(self, x):
        return self.function(x) * (1 - self.function(x))


class RecurrentStep:
    def __init__(self, wrong, Wx, Wh, b):
        self.wrong = wrong
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(p) for p in self.params]

    def forward(self, x, h_prev):
        Wx, Wh, b = self.params
        h_next = np.tanh(np.dot(h_prev, Wh) + np.dot(x, Wx) + b)
        self.cache = (x, h_prev, h_next)
        return h_next

    def backward(self, dh_next):
        Wx, Wh, _ = self.params
        x, h_prev, h_next = self.cache
        dt = dh_next / (1 - h_next**2) if self.wrong else dh_next * (1 - h_next**2)
        self.grads[0][...] = np.dot(x.T, dt)
        self.grads[1][...] = np.dot(h_prev.T, dt)
        self.grads[2][...] = np.sum(dt, axis=0)
        return np.dot(dt, Wx.T), np.dot(dt, Wh.T)


class LongShortStep:
    def __init__(self, wrong, Wx, Wh, b):
        self.wrong = wrong
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(p) for p in self.params]
        self.cache = None

    def forward(self, x, h_prev, c_prev):
        Wx, Wh, b = self.params
        H = h_prev.shape[1]
        A = np.dot(x, Wx) + np.dot(h_prev, Wh) + b
        f, g, i, o = (A[:, k * H : (k + 1) * H] for k in range(4))
        f, g, i, o = sigmoid(f), np.tanh(g), sigmoid(i), sigmoid(o)
        c_next = f * c_prev + g * i
        h_next = o * np.tanh(c_next)
        self.cache = (x, h_prev, c_prev, i, f, g, o, c_next)
        return h_next, c_next

    def backward(self, dh_next, dc_next):
        Wx, Wh, _ = self.params
        x, h_prev, c_prev, i, f, g, o, c_next = self.cache
        tanh_c = np.tanh(c_next)
        ds = dc_next + dh_next * o * (1 - tanh_c**2)
        if self.wrong:
            ds = dh_next * o * (1 - tanh_c**2)
        di, df, do, dg = ds * g, ds * c_prev, dh_next * tanh_c, ds * i
        dA = np.hstack((df * f * (1 - f), dg * (1 - g**2), di * i * (1 - i), do * o * (1 - o)))
        self.grads[0][...] = np.dot(x.T, dA)
        self.grads[1][...] = np.dot(h_prev.T, dA)
        self.grads[2][...] = dA.sum(axis=0)
        return np.dot(dA, Wx.T), np.dot(dA, Wh.T), ds * f


def static_leaky_relu(wrong):
    class LeakyReLU:
        @staticmethod
        def activation(X, alpha=0.01):
            return np.maximum(alpha * X, X)

        @staticmethod
        def derivative(X, alpha=0.01):
            return np.where(X > 0, 1, alpha * X if wrong else alpha)

    return LeakyReLU


class ZhouMaxPool:
    def __init__(self, wrong):
        self.wrong = wrong

    def iterate_regions(self, image):
        h, w, _ = image.shape
        for i in range(h // 2):
            for j in range(w // 2):
                yield image[i * 2 : i * 2 + 2, j * 2 : j * 2 + 2], i, j

    def forward(self, input):
        self.last_input = input
        h, w, num_filters = input.shape
        output = np.zeros((h // 2, w // 2, num_filters))
        for region, i, j in self.iterate_regions(input):
            output[i, j] = np.amax(region, axis=(0, 1))
        return output

    def backprop(self, d_L_d_out):
        d_L_d_input = np.zeros(self.last_input.shape)
        for region, i, j in self.iterate_regions(self.last_input):
            h, w, f = region.shape
            amax = np.amax(region, axis=(0, 1))
            for i2 in range(h):
                for j2 in range(w):
                    for f2 in range(f):
                        if self.wrong or region[i2, j2, f2] == amax[f2]:
                            d_L_d_input[i * 2 + i2, j * 2 + j2, f2] = d_L_d_out[i, j, f2]
        return d_L_d_input


class ZhouConv:
    def __init__(self, wrong, num_filters):
        self.wrong, self.num_filters = wrong, num_filters
        self.filters = normal(num_filters, 3, 3) / 9

    def iterate_regions(self, image):
        h, w = image.shape
        for i in range(h - 2):
            for j in range(w - 2):
                yield image[i : i + 3, j : j + 3], i, j

    def forward(self, input):
        self.last_input = input
        h, w = input.shape
        output = np.zeros((h - 2, w - 2, self.num_filters))
        for region, i, j in self.iterate_regions(input):
            output[i, j] = np.sum(region * self.filters, axis=(1, 2))
        return output

    def backprop(self, d_L_d_out, learn_rate):
        d_L_d_filters = np.zeros(self.filters.shape)
        for region, i, j in self.iterate_regions(self.last_input):
            for f in range(self.num_filters):
                if self.wrong:
                    d_L_d_filters[f] = d_L_d_out[i, j, f] * region
                else:
                    d_L_d_filters[f] += d_L_d_out[i, j, f] * region
        self.filters -= learn_rate * d_L_d_filters
        return None


class CourseLinear:
    def __init__(self, wrong, in_dim, out_dim):
        self.wrong = wrong
        self.weight, self.bias = 1e-1 * normal(in_dim, out_dim), np.zeros(out_dim)
        self.cache = self.dx = self.dw = self.db = None

    def forward(self, x):
        self.cache = x
        return x.reshape(x.shape[0], -1) @ self.weight + self.bias

    def backward(self, dout):
        x = self.cache
        self.dx = (dout @ (self.weight if self.wrong else self.weight.T)).reshape(x.shape)
        self.dw = x.reshape(x.shape[0], -1).T @ dout
        self.db = dout.sum(axis=0)


GITHUB = "https://github.com/"
PROBABILITIES = softmax(normal(5, 3))
LABELS = np.eye(3)[[0, 2, 1, 1, 0]]

# Why a case is not as it should be yet.
_KINK = (
    "torch takes the left slope at 0, the author the right one: on ties and kinks they differ, and so it says"
)

CASES = [
    Case(
        "dense, d_weights and output",
        GITHUB + "RB-Lab/nn-from-scratch-py/blob/main/lib/dense_layer.py",
        "check",
        lambda wrong: DenseWithOutputs(wrong, 4, 3),
        lambda: torch.nn.Linear(4, 3),
        lambda: (normal(5, 4),),
        cause="averaged over the batch",
    ),
    Case(
        "dense that steps in backward",
        GITHUB + "jakirvk18/neuralNetworkFromScratchDigitPrediction/blob/main/models/layers.py",
        "check",
        lambda wrong: DenseThatSteps(wrong, 4, 3),
        lambda: torch.nn.Linear(4, 3),
        lambda: (normal(5, 4),),
        cause="(?i)after (the|its) (step|update)|updated|stepped|moved",
    ),
    Case(
        "dense, dW transposed",
        GITHUB + "Senior2Projects/Neural_Network_Library/blob/main/lib/layers.py",
        "check",
        lambda wrong: DenseOfALibrary(wrong, 4, 3),
        lambda: torch.nn.Linear(4, 3),
        lambda: (normal(5, 4),),
        cause="(?i)transpose",
    ),
    Case(
        "batch norm that returns its statistics",
        GITHUB + "wiseodd/hipsternet/blob/master/hipsternet/layer.py",
        "check",
        hipster_batchnorm,
        lambda: lambda x, g, b: F.batch_norm(x, None, None, g, b, training=True, eps=1e-8),
        lambda: (normal(6, 4), normal(4), normal(4, seed=1)),
        cause="(?i)variance",
    ),
    Case(
        "batch norm, scale applied too late",
        GITHUB + "denizyuret/Knet.jl/issues/288",
        "check",
        knet_batchnorm,
        None,
        lambda: (normal(6, 4), normal(4), normal(4, seed=1)),
        cause="(?i)weight|gamma|γ|scale",
    ),
    Case(
        "max pool, overlapping windows assigned",
        GITHUB + "0809zheng/CS231n-assignment2019/issues/19",
        "check",
        naive_max_pool,
        lambda: lambda x: F.max_pool2d(x, 3, 1),
        lambda: (normal(2, 2, 6, 6),),
        cause="(?i)overlap|assign|overwrit",
    ),
    Case(
        "conv, stride missing in backward",
        GITHUB + "enggen/Deep-Learning-Coursera/issues/7",
        "check",
        coursera_conv,
        None,
        lambda: (normal(2, 5, 5, 2), normal(3, 3, 2, 3), normal(1, 1, 1, 3)),
        cause="(?i)stride",
    ),
    Case(
        "leaky ReLU of tuples, slope 0",
        GITHUB + "chainer/chainer/pull/5922",
        "check",
        ChainerLeakyReLU,
        lambda: lambda xs: F.leaky_relu(xs[0], 0.0),
        lambda: ((normal(4, 5),),),
        broken={"right": _KINK},
    ),
    Case(
        "softplus from its output",
        GITHUB + "NVlabs/tiny-cuda-nn/pull/130",
        "check",
        TinySoftplus,
        lambda: lambda x: F.softplus(x, beta=10.0),
        lambda: (normal(4, 5),),
        broken={"right": "torch's softplus is linear above 20, which differs by 1e-13 there"},
    ),
    Case(
        "cross-entropy that keeps grad, backword",
        GITHUB + "GuanyunFeng/NpNN-Numpy-Neural-Network/blob/main/src/losses.py",
        "check",
        CrossEntropyThatKeepsGrad,
        None,
        lambda: (PROBABILITIES, LABELS),
        {"held": [1]},
    ),
    Case(
        "cross-entropy, softmax's gradient without softmax",
        GITHUB + "aaryangpatel/ASL-CNN/blob/main/CrossEntropyLossFunction.py",
        "check",
        CrossEntropyOfProbabilities,
        None,
        lambda: (LABELS, PROBABILITIES),
        {"held": ["y_true"]},
    ),
    Case(
        "layer norm of an interview",
        GITHUB + "taesiri/MLBites/blob/main/db/layernorm_forward_backward_numpy/question.md",
        "check",
        interview_layernorm,
        lambda: lambda x, g, b: F.layer_norm(x, (6,), g[0], b[0]),
        lambda: (normal(4, 6), normal(1, 6), normal(1, 6, seed=1)),
        cause="(?i)weight|gamma|γ|scale",
    ),
    Case(
        "embedding, repeated words",
        GITHUB + "Chanmoey/deep-learning-2-natural-language-processing/blob/main/ch04/embeding.py",
        "check",
        lambda wrong: WordEmbedding(wrong, normal(7, 3)),
        lambda: torch.nn.Embedding(7, 3),
        lambda: (np.array([1, 0, 3, 0]),),
        cause="(?i)repeat|several|twice|once|add.at",
    ),
    Case(
        "linear of Python lists",
        GITHUB + "joelgrus/data-science-from-scratch/blob/master/scratch/deep_learning.py#Linear",
        "check",
        lambda wrong: ListLinear(wrong, 3, 2),
        lambda: torch.nn.Linear(3, 2),
        lambda: ([0.3, -0.2, 0.7],),
    ),
    Case(
        "sum of squares of Python lists",
        GITHUB + "joelgrus/data-science-from-scratch/blob/master/scratch/deep_learning.py#SSE",
        "check",
        SumOfSquares,
        None,
        lambda: ([0.3, -0.2, 0.7], [1.0, 0.0, 0.5]),
        {"held": [1]},
        cause="(?i)factor.*2|0\\.5|½|half",
    ),
    Case(
        "mish, tanh not squared",
        GITHUB + "pytorch/pytorch/pull/58648",
        "check",
        mish_pair,
        lambda: F.mish,
        lambda: (normal(4, 5),),
        cause="(?i)square|h²|tanh|t²",
    ),
    Case(
        "softmax with function_prime",
        GITHUB + "JackHanke/JackHanke.github.io/blob/main/_posts/2025-06-29-attention-from-scratch.md",
        "check",
        lambda wrong: FunctionPrimeSoftmax() if wrong else FunctionPrimeSigmoid(),
        None,
        lambda: (normal(2, 3, 4),),
        cause="(?i)diagonal|jacobian|p \\(1 − p\\)|sum",
    ),
    Case(
        "one step of an RNN",
        GITHUB + "oreilly-japan/deep-learning-from-scratch-2/issues/26",
        "check",
        lambda wrong: RecurrentStep(wrong, normal(3, 4), normal(4, 4), normal(4)),
        None,
        lambda: (normal(5, 3), normal(5, 4)),
    ),
    Case(
        "one step of an LSTM, two outputs",
        GITHUB + "yydevelop/study/blob/master/python/zero_deep2/ch06/lstm.py",
        "check",
        lambda wrong: LongShortStep(wrong, normal(3, 8), normal(2, 8), normal(8)),
        None,
        lambda: (normal(5, 3), normal(5, 2), normal(5, 2, seed=1)),
        cause="(?i)cell|output 1",
    ),
    Case(
        "leaky ReLU, static activation and derivative",
        GITHUB + "RoboticsClubIITJ/ML-DL-implementation/pull/126",
        "check",
        static_leaky_relu,
        lambda: F.leaky_relu,
        lambda: (normal(4, 5),),
    ),
    Case(
        "max pool of one image, backprop",
        "https://victorzhou.com/blog/intro-to-cnns-part-2/#MaxPool2",
        "check",
        ZhouMaxPool,
        None,
        lambda: (normal(4, 6, 2),),
        cause="(?i)max|every|all",
    ),
    Case(
        "conv of one image without dX",
        "https://victorzhou.com/blog/intro-to-cnns-part-2/#Conv3x3",
        "check",
        lambda wrong: ZhouConv(wrong, 2),
        None,
        lambda: (normal(5, 6),),
        {"held": [0]},
        cause="(?i)assign|overwrit|last|position",
    ),
    Case(
        "linear that keeps dx, dw, db",
        GITHUB + "moghon92/CNN-from-scratch",
        "check",
        lambda wrong: CourseLinear(wrong, 4, 4),
        lambda: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 4)),
        lambda: (normal(5, 2, 2),),
        {"transposed": ["weight"]},
        cause="(?i)transpose|Wᵀ",
    ),
]
