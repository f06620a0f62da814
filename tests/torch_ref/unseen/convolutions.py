"""Convolutions, pooling, upsampling."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.lib.stride_tricks import sliding_window_view

from .case import TRUTH, normal, right, wrong

CASES = []


# --- one dimension ----------------------------------------------------------------------------------------


def conv1d(x, w, b, stride=1, pad=1):
    N, C, L = x.shape
    O, _, K = w.shape
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad)))
    Lo = (L + 2 * pad - K) // stride + 1
    y = np.zeros((N, O, Lo))
    for i in range(Lo):
        seg = xp[:, :, i * stride : i * stride + K]
        y[:, :, i] = np.tensordot(seg, w, axes=([1, 2], [1, 2])) + b
    return y, (xp, w, stride, pad, L)


def conv1d_back(dy, cache):
    xp, w, stride, pad, L = cache
    K = w.shape[2]
    dxp, dw = np.zeros_like(xp), np.zeros_like(w)
    for i in range(dy.shape[2]):
        s = slice(i * stride, i * stride + K)
        d = dy[:, :, i]
        dw += np.tensordot(d, xp[:, :, s], axes=(0, 0))
        dxp[:, :, s] += np.tensordot(d, w, axes=(1, 0))
    return dxp[:, :, pad : pad + L], dw, dy.sum(axis=(0, 2))


def conv1d_back_overwrites(dy, cache):
    xp, w, stride, pad, L = cache
    K = w.shape[2]
    dxp, dw = np.zeros_like(xp), np.zeros_like(w)
    for i in range(dy.shape[2]):
        s = slice(i * stride, i * stride + K)
        dw += np.tensordot(dy[:, :, i], xp[:, :, s], axes=(0, 0))
        dxp[:, :, s] = np.tensordot(dy[:, :, i], w, axes=(1, 0))
    return dxp[:, :, pad : pad + L], dw, dy.sum(axis=(0, 2))


class CausalConv1d:
    """Dilated, looking back only; input (n, t, c)."""

    def __init__(self, c_in, c_out, k, dilation):
        self.W = np.random.default_rng(1).normal(size=(k, c_in, c_out)) / np.sqrt(k * c_in)
        self.k, self.d = k, dilation

    def forward(self, x):
        pad = (self.k - 1) * self.d
        self.xp = np.concatenate([np.zeros((x.shape[0], pad, x.shape[2])), x], axis=1)
        T = x.shape[1]
        return sum(self.xp[:, j * self.d : j * self.d + T] @ self.W[j] for j in range(self.k))

    def backward(self, dy):
        T = dy.shape[1]
        dxp = np.zeros_like(self.xp)
        self.dW = np.zeros_like(self.W)
        for j in range(self.k):
            s = slice(j * self.d, j * self.d + T)
            self.dW[j] = np.einsum("nti,nto->io", self.xp[:, s], dy)
            dxp[:, s] += dy @ self.W[j].T
        return dxp[:, (self.k - 1) * self.d :]


class CausalConv1dCut(CausalConv1d):
    def backward(self, dy):
        T = dy.shape[1]
        dxp = np.zeros_like(self.xp)
        self.dW = np.zeros_like(self.W)
        for j in range(self.k):
            s = slice(j * self.d, j * self.d + T)
            self.dW[j] = np.einsum("nti,nto->io", self.xp[:, s], dy)
            dxp[:, s] += dy @ self.W[j].T
        return dxp[:, :T]  # the padding's end is cut off, not its start


def causal_truth(x, W):
    k = W.shape[0]
    return F.conv1d(F.pad(x.transpose(1, 2), (2 * (k - 1), 0)), W.permute(2, 1, 0), dilation=2).transpose(
        1, 2
    )


C1 = normal(1, (2, 3, 7), (4, 3, 3), (4,))
CASES += [
    right(
        "conv1d by steps",
        "conv1d",
        "pair",
        lambda: (conv1d, conv1d_back),
        C1,
        lambda x, w, b: F.conv1d(x, w, b, padding=1),
        reference=TRUTH,
    ),
    wrong(
        "conv1d, overlaps overwritten",
        "conv1d",
        "dx is assigned where windows overlap, not added",
        "pair",
        lambda: (conv1d, conv1d_back_overwrites),
        C1,
        lambda x, w, b: F.conv1d(x, w, b, padding=1),
        reference=lambda: lambda x, w, b: F.conv1d(x, w, b, padding=1),
    ),
    right(
        "causal dilated conv1d",
        "conv1d",
        "class",
        lambda: CausalConv1d(3, 2, 3, 2),
        normal(2, (2, 7, 3)),
        causal_truth,
        weights="W",
        grads="out dW",
    ),
    wrong(
        "causal conv1d, wrong end cut",
        "conv1d",
        "dx is taken from the start of the padded array",
        "class",
        lambda: CausalConv1dCut(3, 2, 3, 2),
        normal(3, (2, 7, 3)),
        causal_truth,
        weights="W",
        grads="out dW",
    ),
]


# --- two dimensions ---------------------------------------------------------------------------------------


def im2col(x, fh, fw, stride=1, pad=0):
    N, C, H, W = x.shape
    oh, ow = (H + 2 * pad - fh) // stride + 1, (W + 2 * pad - fw) // stride + 1
    img = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    col = np.zeros((N, C, fh, fw, oh, ow))
    for i in range(fh):
        for j in range(fw):
            col[:, :, i, j] = img[:, :, i : i + stride * oh : stride, j : j + stride * ow : stride]
    return col.transpose(0, 4, 5, 1, 2, 3).reshape(N * oh * ow, -1)


def col2im(col, shape, fh, fw, stride=1, pad=0):
    N, C, H, W = shape
    oh, ow = (H + 2 * pad - fh) // stride + 1, (W + 2 * pad - fw) // stride + 1
    col = col.reshape(N, oh, ow, C, fh, fw).transpose(0, 3, 4, 5, 1, 2)
    img = np.zeros((N, C, H + 2 * pad + stride - 1, W + 2 * pad + stride - 1))
    for i in range(fh):
        for j in range(fw):
            img[:, :, i : i + stride * oh : stride, j : j + stride * ow : stride] += col[:, :, i, j]
    return img[:, :, pad : H + pad, pad : W + pad]


class Convolution:
    def __init__(self, W, b, stride=1, pad=0):
        self.W, self.b, self.stride, self.pad = W, b, stride, pad

    def forward(self, x):
        FN, C, FH, FW = self.W.shape
        N, C, H, W = x.shape
        oh = 1 + (H + 2 * self.pad - FH) // self.stride
        ow = 1 + (W + 2 * self.pad - FW) // self.stride
        self.x = x
        self.col = im2col(x, FH, FW, self.stride, self.pad)
        self.col_W = self.W.reshape(FN, -1).T
        out = self.col @ self.col_W + self.b
        return out.reshape(N, oh, ow, -1).transpose(0, 3, 1, 2)

    def backward(self, dout):
        FN, C, FH, FW = self.W.shape
        dout = dout.transpose(0, 2, 3, 1).reshape(-1, FN)
        self.db = np.sum(dout, axis=0)
        self.dW = (self.col.T @ dout).transpose(1, 0).reshape(FN, C, FH, FW)
        return col2im(dout @ self.col_W.T, self.x.shape, FH, FW, self.stride, self.pad)


class ConvolutionCached(Convolution):
    """Makes the columns once."""

    col = None

    def forward(self, x):
        FN, C, FH, FW = self.W.shape
        N, C, H, W = x.shape
        oh = 1 + (H + 2 * self.pad - FH) // self.stride
        self.x = x
        new = im2col(x, FH, FW, self.stride, self.pad)
        if self.col is None:
            self.col = new
        self.col_W = self.W.reshape(FN, -1).T
        return (new @ self.col_W + self.b).reshape(N, oh, -1, FN).transpose(0, 3, 1, 2)


def conv_naive(x, w, b, stride=2, pad=1):
    N, C, H, W = x.shape
    Fo, _, HH, WW = w.shape
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), mode="constant")
    Ho, Wo = 1 + (H + 2 * pad - HH) // stride, 1 + (W + 2 * pad - WW) // stride
    out = np.zeros((N, Fo, Ho, Wo))
    for n in range(N):
        for f in range(Fo):
            for i in range(Ho):
                for j in range(Wo):
                    win = xp[n, :, i * stride : i * stride + HH, j * stride : j * stride + WW]
                    out[n, f, i, j] = (win * w[f]).sum() + b[f]
    return out, (x, w, b, stride, pad)


def conv_naive_back(dout, cache):
    x, w, b, stride, pad = cache
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    dxp, dw, db = np.zeros_like(xp), np.zeros_like(w), np.zeros_like(b)
    HH, WW = w.shape[2:]
    for n, f, i, j in np.ndindex(*dout.shape):
        win = (n, slice(None), slice(i * stride, i * stride + HH), slice(j * stride, j * stride + WW))
        db[f] += dout[n, f, i, j]
        dw[f] += xp[win] * dout[n, f, i, j]
        dxp[win] += w[f] * dout[n, f, i, j]
    return dxp[:, :, pad:-pad, pad:-pad], dw, db


def conv_naive_back_bad(dout, cache):
    x, w, b, stride, pad = cache
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    dxp, dw = np.zeros_like(xp), np.zeros_like(w)
    HH, WW = w.shape[2:]
    for n, f, i, j in np.ndindex(*dout.shape):
        win = (n, slice(None), slice(i, i + HH), slice(j, j + WW))  # · stride
        dw[f] += xp[win] * dout[n, f, i, j]
        dxp[win] += w[f] * dout[n, f, i, j]
    return dxp[:, :, pad:-pad, pad:-pad], dw, dout.sum((0, 2, 3))


def conv_windows(x, w):
    """Valid correlation, by windows; dx by a full correlation with the turned kernel."""
    win = sliding_window_view(x, w.shape[2:], axis=(2, 3))
    y = np.einsum("nchwij,ocij->nohw", win, w)

    def vjp(dy):
        dw = np.einsum("nchwij,nohw->ocij", win, dy)
        k, m = w.shape[2:]
        full = np.pad(dy, ((0, 0), (0, 0), (k - 1, k - 1), (m - 1, m - 1)))
        dx = np.einsum(
            "nohwij,ocij->nchw", sliding_window_view(full, (k, m), axis=(2, 3)), w[:, :, ::-1, ::-1]
        )
        return dx, dw

    return y, vjp


def conv_windows_bad(x, w):
    win = sliding_window_view(x, w.shape[2:], axis=(2, 3))
    y = np.einsum("nchwij,ocij->nohw", win, w)

    def vjp(dy):
        k, m = w.shape[2:]
        full = np.pad(dy, ((0, 0), (0, 0), (k - 1, k - 1), (m - 1, m - 1)))
        dx = np.einsum("nohwij,ocij->nchw", sliding_window_view(full, (k, m), axis=(2, 3)), w)  # not turned
        return dx, np.einsum("nchwij,nohw->ocij", win, dy)

    return y, vjp


class StridedConv:
    """Stride without padding; the last columns may be in no window."""

    def __init__(self):
        self.kernel = np.random.default_rng(5).normal(size=(2, 2, 2, 2))
        self.stride = 2

    def forward(self, x):
        s, k = self.stride, self.kernel
        self.x = x
        win = sliding_window_view(x, (2, 2), axis=(2, 3))[:, :, ::s, ::s]
        self.win = win
        return np.einsum("nchwij,ocij->nohw", win, k)

    def backward(self, dy):
        self.dkernel = np.einsum("nchwij,nohw->ocij", self.win, dy)
        dx = np.einsum("nohw,ocij->nchiwj", dy, self.kernel)
        n, c, h, i, w, j = dx.shape
        dx = dx.reshape(n, c, h * i, w * j)
        # rows and columns that are left over: repeated to the size of x
        H, W = self.x.shape[2:]
        return np.pad(dx, ((0, 0), (0, 0), (0, H - h * i), (0, W - w * j)), mode="edge")


class StridedConvFit(StridedConv):
    def backward(self, dy):
        self.dkernel = np.einsum("nchwij,nohw->ocij", self.win, dy)
        dx = np.zeros_like(self.x)
        h, w = dy.shape[2:]
        for i in range(2):
            for j in range(2):
                dx[:, :, i : i + 2 * h : 2, j : j + 2 * w : 2] = np.einsum(
                    "nohw,oc->nchw", dy, self.kernel[:, :, i, j]
                )
        return dx


def conv_dilated(x, w, d=2):
    H, W = x.shape[2] - d * (w.shape[2] - 1), x.shape[3] - d * (w.shape[3] - 1)
    y = np.zeros((len(x), len(w), H, W))
    for i in range(w.shape[2]):
        for j in range(w.shape[3]):
            y += np.einsum("nchw,oc->nohw", x[:, :, i * d : i * d + H, j * d : j * d + W], w[:, :, i, j])
    return y, {"x": x, "w": w, "d": d}


def conv_dilated_back(dy, c):
    x, w, d = c["x"], c["w"], c["d"]
    H, W = dy.shape[2:]
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for i in range(w.shape[2]):
        for j in range(w.shape[3]):
            at = np.s_[:, :, i * d : i * d + H, j * d : j * d + W]
            dw[:, :, i, j] = np.einsum("nohw,nchw->oc", dy, x[at])
            dx[at] += np.einsum("nohw,oc->nchw", dy, w[:, :, i, j])
    return dx, dw


def conv_dilated_back_bad(dy, c):
    x, w, d = c["x"], c["w"], c["d"]
    H, W = dy.shape[2:]
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for i in range(w.shape[2]):
        for j in range(w.shape[3]):
            at = np.s_[:, :, i * d : i * d + H, j * d : j * d + W]
            dw[:, :, i, j] = np.einsum("nohw,nchw->oc", dy, x[:, :, i : i + H, j : j + W])  # without d
            dx[at] += np.einsum("nohw,oc->nchw", dy, w[:, :, i, j])
    return dx, dw


class DepthwiseConv:
    def __init__(self, channels, k):
        self.W = np.random.default_rng(6).normal(size=(channels, 1, k, k))
        self.b = np.random.default_rng(7).normal(size=channels)
        self.k = k

    def forward(self, x):
        p = self.k // 2
        self.xp = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
        win = sliding_window_view(self.xp, (self.k, self.k), axis=(2, 3))
        return np.einsum("nchwij,cij->nchw", win, self.W[:, 0]) + self.b[:, None, None]

    def backward(self, dy):
        p, k = self.k // 2, self.k
        H, W = dy.shape[2:]
        self.dW, self.db = np.zeros_like(self.W), dy.sum(axis=(0, 2, 3))
        dxp = np.zeros_like(self.xp)
        for i in range(k):
            for j in range(k):
                self.dW[:, 0, i, j] = (self.xp[:, :, i : i + H, j : j + W] * dy).sum(axis=(0, 2, 3))
                dxp[:, :, i : i + H, j : j + W] += dy * self.W[None, :, 0, i, j, None, None]
        return dxp[:, :, p : p + H, p : p + W]


class DepthwiseConvShared(DepthwiseConv):
    def backward(self, dy):
        p, k = self.k // 2, self.k
        H, W = dy.shape[2:]
        self.dW, self.db = np.zeros_like(self.W), dy.sum(axis=(0, 2, 3))
        dxp = np.zeros_like(self.xp)
        for i in range(k):
            for j in range(k):
                # summed over the channels: the gradient of one kernel for all of them
                self.dW[:, 0, i, j] = (self.xp[:, :, i : i + H, j : j + W] * dy).sum()
                dxp[:, :, i : i + H, j : j + W] += dy * self.W[None, :, 0, i, j, None, None]
        return dxp[:, :, p : p + H, p : p + W]


def conv_transpose(x, w, stride=2):
    N, C, H, W = x.shape
    _, O, K, _ = w.shape
    y = np.zeros((N, O, (H - 1) * stride + K, (W - 1) * stride + K))
    for i in range(H):
        for j in range(W):
            y[:, :, i * stride : i * stride + K, j * stride : j * stride + K] += np.einsum(
                "nc,cokl->nokl", x[:, :, i, j], w
            )
    return y, (x, w, stride)


def conv_transpose_back(dy, cache):
    x, w, s = cache
    K = w.shape[2]
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for i in range(x.shape[2]):
        for j in range(x.shape[3]):
            win = dy[:, :, i * s : i * s + K, j * s : j * s + K]
            dx[:, :, i, j] = np.einsum("nokl,cokl->nc", win, w)
            dw += np.einsum("nc,nokl->cokl", x[:, :, i, j], win)
    return dx, dw


def conv_transpose_back_bad(dy, cache):
    x, w, s = cache
    K = w.shape[2]
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for i in range(x.shape[2]):
        for j in range(x.shape[3]):
            win = dy[:, :, i * s : i * s + K, j * s : j * s + K]
            dx[:, :, i, j] = np.einsum("nokl,cokl->nc", win, w[:, :, ::-1, ::-1])  # turned once too often
            dw += np.einsum("nc,nokl->cokl", x[:, :, i, j], win)
    return dx, dw


class NHWCConv:
    """1×1 convolution of images (n, h, w, c)."""

    def __init__(self, cin, cout):
        self.w = np.random.default_rng(8).normal(size=(cin, cout))

    def forward(self, x):
        self.x = x
        return x @ self.w

    def backward(self, dy):
        self.dw = np.tensordot(self.x, dy, axes=([0, 1, 2], [0, 1, 2]))
        return dy @ self.w.T


def made_conv(kind, stride, pad, seed=11):
    w, b = normal(seed, (3, 2, 3, 3), (3,))
    return kind(w, b, stride, pad)


def conv(**kw):
    return lambda x, w, b=None: F.conv2d(x, w, b, **kw)


W2 = normal(4, (2, 2, 5, 6), (3, 2, 3, 3), (3,))
CASES += [
    right(
        "conv2d by im2col",
        "conv2d",
        "class",
        lambda: made_conv(Convolution, 1, 1),
        normal(5, (2, 2, 5, 4)),
        conv(padding=1),
        weights="W b",
        grads="out dW db",
        reference=lambda: torch.nn.Conv2d(2, 3, 3, padding=1),
    ),
    right(
        "conv2d by im2col, stride 2",
        "conv2d",
        "class",
        lambda: made_conv(Convolution, 2, 0, 12),
        normal(6, (2, 2, 6, 7)),
        conv(stride=2),
        weights="W b",
        grads="out dW db",
    ),
    wrong(
        "conv2d, columns of the first call",
        "conv2d",
        "dW uses the columns of the first call for ever",
        "class",
        lambda: made_conv(ConvolutionCached, 1, 0, 13),
        normal(7, (2, 2, 5, 4)),
        conv(),
        weights="W b",
        grads="out dW db",
        shows="second call",
        reference=lambda: torch.nn.Conv2d(2, 3, 3),
    ),
    right(
        "conv2d by loops",
        "conv2d",
        "pair",
        lambda: (conv_naive, conv_naive_back),
        W2,
        conv(stride=2, padding=1),
    ),
    wrong(
        "conv2d by loops, stride",
        "conv2d",
        "the windows of backward forget the stride",
        "pair",
        lambda: (conv_naive, conv_naive_back_bad),
        W2,
        conv(stride=2, padding=1),
        reference=lambda: conv(stride=2, padding=1),
    ),
    right("conv2d by windows", "conv2d", "closure", lambda: conv_windows, W2[:2], conv(), reference=conv),
    wrong(
        "conv2d, kernel not turned",
        "conv2d",
        "dx correlates with the kernel as it is, not turned by 180°",
        "closure",
        lambda: conv_windows_bad,
        W2[:2],
        conv(),
        reference=TRUTH,
    ),
    wrong(
        "strided conv2d, remainder",
        "conv2d",
        "rows and columns outside all windows repeat their neighbours",
        "class",
        StridedConv,
        normal(8, (2, 2, 5, 7)),
        conv(stride=2),
        weights="kernel",
        grads="out dkernel",
    ),
    right(
        "strided conv2d, remainder left out",
        "conv2d",
        "class",
        StridedConvFit,
        normal(9, (2, 2, 5, 7)),
        conv(stride=2),
        weights="kernel",
        grads="out dkernel",
    ),
    right(
        "dilated conv2d",
        "dilated conv2d",
        "pair",
        lambda: (conv_dilated, conv_dilated_back),
        normal(10, (2, 2, 6, 7), (3, 2, 3, 2)),
        conv(dilation=2),
    ),
    wrong(
        "dilated conv2d, dw",
        "dilated conv2d",
        "dw takes neighbours instead of dilated entries",
        "pair",
        lambda: (conv_dilated, conv_dilated_back_bad),
        normal(11, (2, 2, 6, 7), (3, 2, 3, 2)),
        conv(dilation=2),
        reference=lambda: conv(dilation=2),
    ),
    right(
        "depthwise conv2d",
        "depthwise conv2d",
        "class",
        lambda: DepthwiseConv(3, 3),
        normal(12, (2, 3, 4, 5)),
        lambda x, w, b: F.conv2d(x, w, b, padding=1, groups=3),
        weights="W b",
        grads="out dW db",
        reference=lambda: torch.nn.Conv2d(3, 3, 3, padding=1, groups=3),
    ),
    wrong(
        "depthwise conv2d, one kernel",
        "depthwise conv2d",
        "dW is summed over the channels",
        "class",
        lambda: DepthwiseConvShared(3, 3),
        normal(13, (2, 3, 4, 5)),
        lambda x, w, b: F.conv2d(x, w, b, padding=1, groups=3),
        weights="W b",
        grads="out dW db",
    ),
    right(
        "transposed conv2d",
        "transposed conv",
        "pair",
        lambda: (conv_transpose, conv_transpose_back),
        normal(14, (2, 2, 3, 4), (2, 3, 3, 3)),
        lambda x, w: F.conv_transpose2d(x, w, stride=2),
        reference=TRUTH,
    ),
    wrong(
        "transposed conv2d, turned",
        "transposed conv",
        "dx uses the turned kernel",
        "pair",
        lambda: (conv_transpose, conv_transpose_back_bad),
        normal(15, (2, 2, 3, 4), (2, 3, 3, 3)),
        lambda x, w: F.conv_transpose2d(x, w, stride=2),
        reference=lambda: lambda x, w: F.conv_transpose2d(x, w, stride=2),
    ),
    right(
        "1×1 conv of NHWC",
        "conv2d",
        "class",
        lambda: NHWCConv(3, 4),
        normal(16, (2, 4, 5, 3)),
        lambda x, w: x @ w,
        weights="w",
        grads="out dw",
    ),
]


# --- pooling, upsampling ----------------------------------------------------------------------------------


class MaxPool:
    def __init__(self, size=2):
        self.size = size

    def forward(self, x):
        n, c, h, w = x.shape
        k = self.size
        self.shape = x.shape
        cells = (
            x.reshape(n, c, h // k, k, w // k, k)
            .transpose(0, 1, 2, 4, 3, 5)
            .reshape(n, c, h // k, w // k, -1)
        )
        self.arg = cells.argmax(-1)
        return cells.max(-1)

    def backward(self, dy):
        n, c, h, w = self.shape
        k = self.size
        d = np.zeros((*dy.shape, k * k))
        np.put_along_axis(d, self.arg[..., None], dy[..., None], -1)
        return d.reshape(n, c, h // k, w // k, k, k).transpose(0, 1, 2, 4, 3, 5).reshape(self.shape)


def max_pool_overlap(x, k=3, s=2):
    N, C, H, W = x.shape
    oh, ow = (H - k) // s + 1, (W - k) // s + 1
    y = np.empty((N, C, oh, ow))
    arg = np.empty((N, C, oh, ow), dtype=int)
    for i in range(oh):
        for j in range(ow):
            win = x[:, :, i * s : i * s + k, j * s : j * s + k].reshape(N, C, -1)
            arg[:, :, i, j] = win.argmax(-1)
            y[:, :, i, j] = win.max(-1)
    return y, (x.shape, arg, k, s)


def max_pool_overlap_back(dy, cache):
    shape, arg, k, s = cache
    dx = np.zeros(shape)
    for n, c, i, j in np.ndindex(dy.shape):
        r, q = divmod(arg[n, c, i, j], k)
        dx[n, c, i * s + r, j * s + q] += dy[n, c, i, j]
    return dx


def max_pool_overlap_back_bad(dy, cache):
    shape, arg, k, s = cache
    dx = np.zeros(shape)
    n, c, i, j = np.indices(dy.shape)
    dx[n, c, i * s + arg // k, j * s + arg % k] = dy  # a maximum of two windows
    return dx


class AvgPool:
    """Windows of two, at stride two."""

    def forward(self, x):
        self.shape = x.shape
        return (x[:, :, ::2, ::2] + x[:, :, 1::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, 1::2]) / 4

    def backward(self, dy):
        return np.kron(dy, np.ones((2, 2))) / 4


def avg_pool1d(x, k=3, s=1):
    y = sliding_window_view(x, k, axis=-1)[..., ::s, :].mean(-1)

    def vjp(dy):
        dx = np.zeros_like(x)
        for i in range(dy.shape[-1]):
            dx[..., i * s : i * s + k] += dy[..., i, None]  # / k
        return dx

    return y, vjp


def global_avg_pool(x):
    return x.mean(axis=(2, 3)), lambda g: np.broadcast_to(
        g[:, :, None, None] / (x.shape[2] * x.shape[3]), x.shape
    )


class GlobalAvgPool:
    def forward(self, x):
        self.hw = x.shape[2]  # · x.shape[3]
        self.shape = x.shape
        return x.mean(axis=(2, 3))

    def backward(self, dy):
        return np.ones(self.shape) * dy[:, :, None, None] / self.hw**2


class Upsample:
    def forward(self, x):
        return x.repeat(2, axis=2).repeat(3, axis=3)

    def backward(self, dy):
        n, c, h, w = dy.shape
        return dy.reshape(n, c, h // 2, 2, w // 3, 3).sum(axis=(3, 5))


class UpsampleMean:
    def forward(self, x):
        return x.repeat(2, axis=2).repeat(2, axis=3)

    def backward(self, dy):
        n, c, h, w = dy.shape
        return dy.reshape(n, c, h // 2, 2, w // 2, 2).mean(axis=(3, 5))


def linear_resize(x, n_out=7):
    """Linear interpolation of the last axis, corners aligned."""
    n = x.shape[-1]
    pos = np.arange(n_out) * (n - 1) / (n_out - 1)
    lo = np.minimum(pos.astype(int), n - 2)
    f = pos - lo
    y = x[..., lo] * (1 - f) + x[..., lo + 1] * f

    def vjp(dy):
        dx = np.zeros_like(x)
        np.add.at(dx, (..., lo), dy * (1 - f))
        np.add.at(dx, (..., lo + 1), dy * f)
        return dx

    return y, vjp


def linear_resize_bad(x, n_out=7):
    n = x.shape[-1]
    pos = np.arange(n_out) * (n - 1) / (n_out - 1)
    lo = np.minimum(pos.astype(int), n - 2)
    f = pos - lo
    y = x[..., lo] * (1 - f) + x[..., lo + 1] * f

    def vjp(dy):
        dx = np.zeros_like(x)
        for k in range(n_out):
            dx[..., lo[k]] += dy[..., k] * f[k]  # the two weights are changed round
            dx[..., lo[k] + 1] += dy[..., k] * (1 - f[k])
        return dx

    return y, vjp


def reflect_pad(x, p=2):
    y = np.pad(x, ((0, 0), (p, p)), mode="reflect")

    def vjp(dy):
        dx = dy[:, p:-p].copy()
        dx[:, 1 : p + 1] += dy[:, p - 1 :: -1]
        dx[:, -p - 1 : -1] += dy[:, : -p - 1 : -1]
        return dx

    return y, vjp


def reflect_pad_bad(x, p=2):
    y = np.pad(x, ((0, 0), (p, p)), mode="reflect")

    def vjp(dy):
        dx = dy[:, p:-p].copy()
        dx[:, 1 : p + 1] += dy[:, p - 1 :: -1]
        dx[:, -p - 1 : -1] += dy[:, -p:]  # not reflected
        return dx

    return y, vjp


def pixel_shuffle(x, r=2):
    n, c, h, w = x.shape
    y = x.reshape(n, c // r**2, r, r, h, w).transpose(0, 1, 4, 2, 5, 3).reshape(n, c // r**2, h * r, w * r)

    def vjp(dy):
        d = dy.reshape(n, c // r**2, h, r, w, r)
        return d.transpose(0, 1, 5, 3, 2, 4).reshape(x.shape)  # (0, 1, 3, 5, 2, 4)

    return y, vjp


CASES += [
    right(
        "max pool by cells",
        "max pool",
        "class",
        MaxPool,
        normal(20, (2, 2, 4, 6)),
        lambda x: F.max_pool2d(x, 2),
        reference=lambda: torch.nn.MaxPool2d(2),
    ),
    right(
        "overlapping max pool",
        "max pool",
        "pair",
        lambda: (max_pool_overlap, max_pool_overlap_back),
        normal(21, (2, 2, 7, 5)),
        lambda x: F.max_pool2d(x, 3, 2),
    ),
    wrong(
        "overlapping max pool, two windows",
        "max pool",
        "a maximum of several windows gets one gradient",
        "pair",
        lambda: (max_pool_overlap, max_pool_overlap_back_bad),
        normal(22, (2, 2, 7, 7)),
        lambda x: F.max_pool2d(x, 3, 2),
        reference=lambda: lambda x: F.max_pool2d(x, 3, 2),
    ),
    right(
        "average pool",
        "average pool",
        "class",
        AvgPool,
        normal(23, (2, 2, 4, 6)),
        lambda x: F.avg_pool2d(x, 2),
        reference=lambda: torch.nn.AvgPool2d(2),
    ),
    wrong(
        "average pool, 1/k",
        "average pool",
        "not divided by the size of the window",
        "closure",
        lambda: avg_pool1d,
        normal(24, (2, 2, 7)),
        lambda x: F.avg_pool1d(x, 3, 1),
        reference=TRUTH,
    ),
    right(
        "global average pool",
        "global average pool",
        "closure",
        lambda: global_avg_pool,
        normal(25, (2, 3, 4, 5)),
        lambda x: x.mean((2, 3)),
    ),
    wrong(
        "global average pool, not square",
        "global average pool",
        "divides by height², which is right for square images only",
        "class",
        GlobalAvgPool,
        normal(26, (2, 3, 4, 5)),
        lambda x: x.mean((2, 3)),
        reference=TRUTH,
    ),
    right(
        "nearest upsampling",
        "upsampling",
        "class",
        Upsample,
        normal(27, (2, 2, 3, 2)),
        lambda x: F.interpolate(x, scale_factor=(2.0, 3.0)),
        reference=lambda: torch.nn.Upsample(scale_factor=(2, 3)),
    ),
    wrong(
        "nearest upsampling, mean",
        "upsampling",
        "the mean of the copies instead of their sum",
        "class",
        UpsampleMean,
        normal(28, (2, 2, 3, 2)),
        lambda x: F.interpolate(x, scale_factor=2.0),
    ),
    right(
        "linear resize",
        "upsampling",
        "closure",
        lambda: linear_resize,
        normal(29, (2, 3, 5)),
        lambda x: F.interpolate(x, size=7, mode="linear", align_corners=True),
        reference=TRUTH,
    ),
    wrong(
        "linear resize, weights",
        "upsampling",
        "the weights of the two neighbours are changed round",
        "closure",
        lambda: linear_resize_bad,
        normal(30, (2, 3, 5)),
        lambda x: F.interpolate(x, size=7, mode="linear", align_corners=True),
        reference=lambda: torch.nn.Upsample(size=7, mode="linear", align_corners=True),
    ),
    right(
        "reflected border",
        "padding",
        "closure",
        lambda: reflect_pad,
        normal(31, (3, 6)),
        lambda x: F.pad(x, (2, 2), mode="reflect"),
    ),
    wrong(
        "reflected border, right end",
        "padding",
        "the right border is added without being reflected",
        "closure",
        lambda: reflect_pad_bad,
        normal(32, (3, 6)),
        lambda x: F.pad(x, (2, 2), mode="reflect"),
        reference=TRUTH,
    ),
    wrong(
        "pixel shuffle, r by r",
        "upsampling",
        "the two axes of r are put back in each other's place",
        "closure",
        lambda: pixel_shuffle,
        normal(33, (2, 4, 2, 3)),
        lambda x: F.pixel_shuffle(x, 2),
        reference=lambda: torch.nn.PixelShuffle(2),
    ),
]
