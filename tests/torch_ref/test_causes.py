"""Mistakes as people write them, each beside a plain reference: which cause is named, and which never."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as TF

from sampled import one_in
from torch_ref import check

# Of the cases of each test; the others in make long.
ONE_IN = 2


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def squash(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def share(z: np.ndarray, axis: int = -1) -> np.ndarray:
    e = np.exp(z - z.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


class Mistake(NamedTuple):
    """A pair with one mistake, its reference, its inputs, and what has to be said of it."""

    name: str
    forward: Callable[..., Any]
    backward: Callable[..., Any]
    reference: Callable[..., Any]
    inputs: tuple[Any, ...]
    says: str
    never: str = r"\bunknown\b"


def affine(x, w, b):
    return x @ w.T + b


def dense_backward(dy, x, w, b):
    return dy @ w, dy.T @ x, dy.sum(0)


DENSE = (draw(5, 4), draw(3, 4, seed=1), draw(3, seed=2))


def normed(x, g, b):
    d = x - x.mean(-1, keepdims=True)
    return g * d / np.sqrt((d * d).mean(-1, keepdims=True) + 1e-5) + b


def parts(x):
    d = x - x.mean(-1, keepdims=True)
    s = np.sqrt((d * d).mean(-1, keepdims=True) + 1e-5)
    return d / s, s


def normed_backward(form):
    def backward(dy, x, g, b):
        h, s = parts(x)
        return form(dy, h, s, g), (dy * h).sum(0), dy.sum(0)

    return backward


def by_rows(a):
    return a.mean(-1, keepdims=True)


LAYER = (draw(4, 6), draw(6, seed=1), draw(6, seed=2))


def layer_norm(x, g, b):
    return TF.layer_norm(x, (6,), g, b)


def attend(q, k, v):
    return share(q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])) @ v


def attend_backward(in_q=1.0, in_k=1.0, with_sum=True):
    def backward(dy, q, k, v):
        c = np.sqrt(q.shape[-1])
        p = share(q @ k.swapaxes(-1, -2) / c)
        dp = dy @ v.swapaxes(-1, -2)
        ds = p * (dp - (dp * p).sum(-1, keepdims=True) * with_sum)
        return ds @ k / c**in_q, ds.swapaxes(-1, -2) @ q / c**in_k, p.swapaxes(-1, -2) @ dy

    return backward


QKV = (draw(3, 5, 9), draw(3, 5, 9, seed=1), draw(3, 5, 9, seed=2))


def image_windows(x):
    return np.stack([x[..., i : i + 3, j : j + 3] for i in (0, 1) for j in (0, 1)], -1)


def spread(dy, x, at, add=True):
    """The gradient of each window to its entry ``at``."""
    dx = np.zeros_like(x)
    for n, (i, j) in enumerate([(i, j) for i in (0, 1) for j in (0, 1)]):
        view = dx[..., i : i + 3, j : j + 3]
        view[...] = view + dy * at[..., n] if add else np.where(at[..., n], dy, view)
    return dx


IMAGE = (draw(2, 1, 4, 4),)
ROWS = np.array([1, 0, 1, 2])

MISTAKES = [
    Mistake(
        "tanh: h for h²",
        np.tanh,
        lambda dy, x: dy * (1 - np.tanh(x)),
        lambda x: torch.tanh(x),
        (draw(4, 5),),
        "square is missing",
    ),
    Mistake(
        "tanh: at the input",
        np.tanh,
        lambda dy, x: dy * (1 - x**2),
        lambda x: torch.tanh(x),
        (draw(4, 5),),
        "input instead of the output",
    ),
    Mistake(
        "sigmoid for its slope",
        squash,
        lambda dy, x: dy * squash(x),
        lambda x: torch.sigmoid(x),
        (draw(4, 5),),
        "sigmoid stands in the place of its slope",
    ),
    Mistake(
        "swish without the product rule",
        lambda x: x * squash(x),
        lambda dy, x: dy * squash(x),
        lambda x: x * torch.sigmoid(x),
        (draw(4, 5),),
        "product rule",
    ),
    Mistake(
        "a gate with the sigmoid for its slope",
        lambda a, b: a * squash(b),
        lambda dy, a, b: (dy * squash(b), dy * a * squash(b)),
        lambda a, b: a * torch.sigmoid(b),
        (draw(3, 4), draw(3, 4, seed=1)),
        "sigmoid stands in the place of its slope",
    ),
    Mistake(
        "a dy that is forgotten",
        lambda x: x**3,
        lambda dy, x: 3 * x**2,
        lambda x: x**3,
        (draw(4, 5),),
        "ignores the incoming gradient.*right only for dy = 1",
    ),
    Mistake(
        "softmax over the samples",
        lambda x: share(x, 0),
        lambda dy, x: share(x, 0) * (dy - (dy * share(x, 0)).sum(0, keepdims=True)),
        lambda x: torch.softmax(x, -1),
        (draw(4, 6),),
        "wrong axis|axis were",
    ),
    Mistake(
        "softmax: p (1 - p)",
        share,
        lambda dy, x: dy * share(x) * (1 - share(x)),
        lambda x: torch.softmax(x, -1),
        (draw(4, 6),),
        "only its diagonal",
    ),
    Mistake(
        "log softmax without the sum of dy",
        lambda x: np.log(share(x)),
        lambda dy, x: dy - share(x),
        lambda x: torch.log_softmax(x, 1),
        (draw(4, 6),),
        "sum is missing",
    ),
    Mistake(
        "dense: weight decay",
        affine,
        lambda dy, x, w, b: (dy @ w, dy.T @ x + 0.02 * w, dy.sum(0)),
        lambda x, w, b: x @ w.T + b,
        DENSE,
        "multiple of the (weight|input) itself is added",
    ),
    Mistake(
        "dense: the mean in dW alone",
        affine,
        lambda dy, x, w, b: (dy @ w, dy.T @ x / len(x), dy.sum(0)),
        lambda x, w, b: x @ w.T + b,
        DENSE,
        "batch",
    ),
    Mistake(
        "dense: clipped",
        affine,
        lambda dy, x, w, b: (dy @ w, np.clip(dy.T @ x, -0.5, 0.5), dy.sum(0)),
        lambda x, w, b: x @ w.T + b,
        DENSE,
        r"clipped at ±0\.5",
    ),
    Mistake(
        "dense: db not summed",
        affine,
        lambda dy, x, w, b: (dy @ w, dy.T @ x, dy),
        lambda x, w, b: x @ w.T + b,
        DENSE,
        r"not summed over axis 0",
    ),
    Mistake(
        "dense: dW transposed",
        affine,
        lambda dy, x, w, b: (dy @ w, x.T @ dy, dy.sum(0)),
        lambda x, w, b: x @ w.T + b,
        DENSE,
        "transposed",
    ),
    Mistake(
        "dense and relu: closed units pass",
        lambda x, w, b: np.maximum(affine(x, w, b), 0),
        dense_backward,
        lambda x, w, b: torch.relu(x @ w.T + b),
        DENSE,
        "1: the activation's derivative is missing",
    ),
    Mistake(
        "an own kink: closed units pass",
        lambda x: np.where(x > 0, x**2, 0),
        lambda dy, x: dy * 2 * x,
        lambda x: torch.relu(x) ** 2,
        (draw(4, 5),),
        "passes where input ≤ 0",
    ),
    Mistake(
        "layer norm: γ outside the sums",
        normed,
        normed_backward(lambda dy, h, s, g: g * (dy - by_rows(dy) - h * by_rows(dy * h)) / s),
        layer_norm,
        LAYER,
        "outside the sums",
    ),
    Mistake(
        "layer norm: γ forgotten",
        normed,
        normed_backward(lambda dy, h, s, g: (dy - by_rows(dy) - h * by_rows(dy * h)) / s),
        layer_norm,
        LAYER,
        "not multiplied by the weight",
    ),
    Mistake(
        "layer norm: the mean is constant",
        normed,
        normed_backward(lambda dy, h, s, g: (dy * g - h * by_rows(dy * g * h)) / s),
        layer_norm,
        LAYER,
        "through the mean is missing",
    ),
    Mistake(
        "rms norm: the root is constant",
        lambda x: x / np.sqrt(by_rows(x * x) + 1e-6),
        lambda dy, x: dy / np.sqrt(by_rows(x * x) + 1e-6),
        lambda x: x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt(),
        (draw(4, 6),),
        "statistics .* held constant",
    ),
    Mistake(
        "attention: no root in dk",
        attend,
        attend_backward(in_k=0.0),
        TF.scaled_dot_product_attention,
        QKV,
        "keys is not divided by √d",
        "batch|samples|unknown",
    ),
    Mistake(
        "attention: the softmax has no sum",
        attend,
        attend_backward(with_sum=False),
        lambda q, k, v: torch.softmax(q @ k.mT / 3, -1) @ v,
        QKV,
        "sum is missing",
    ),
    Mistake(
        "max pooling with overlap: = for +=",
        lambda x: image_windows(x).max(-1),
        lambda dy, x: spread(dy, x, np.arange(4) == image_windows(x).argmax(-1)[..., None], add=False),
        lambda x: TF.max_pool2d(x, 2, 1),
        IMAGE,
        "overwritten instead of added",
    ),
    Mistake(
        "mean pooling: not divided",
        lambda x: image_windows(x).mean(-1),
        lambda dy, x: spread(dy, x, np.ones((*dy.shape, 4))),
        lambda x: TF.avg_pool2d(x, 2, 1),
        IMAGE,
        "not divided by the size of the window",
    ),
    Mistake(
        "upsampling: one of the copies",
        lambda x: x.repeat(2, -1).repeat(2, -2),
        lambda dy, x: dy[..., 1::2, 1::2],
        lambda x: TF.interpolate(x, scale_factor=2),
        IMAGE,
        "copies are not summed",
    ),
    Mistake(
        "embedding: += without repeats",
        lambda w: w[ROWS],
        lambda dy, w: _scattered(dy, w),
        lambda w: w[torch.from_numpy(ROWS)],
        (draw(4, 3),),
        "overwritten instead of added up",
    ),
    Mistake(
        "mean squares: half the gradient",
        lambda p, t: np.mean((p - t) ** 2),
        lambda dy, p, t: (dy * (p - t) / p.size, -dy * (p - t) / p.size),
        TF.mse_loss,
        (draw(5, 3), draw(5, 3, seed=1)),
        "factor 2 of the square is missing|factor of 1/2",
    ),
    Mistake(
        "a quarter that is no size of the problem",
        lambda x: np.sin(x),
        lambda dy, x: dy * np.cos(x) / 4,
        lambda x: torch.sin(x),
        (draw(4, 5),),
        r"a factor of 0\.25 too much",
        "batch|size|unknown",
    ),
    Mistake(
        "a mean over the samples where a sum is due",
        lambda x, s: x * s,
        lambda dy, x, s: (dy * s, (dy * x).mean(0)),
        lambda x, s: x * s,
        (draw(6, 4), draw(4, seed=1)),
        "1 by the batch size, 6,",
    ),
    Mistake(
        "only the own term of a mean",
        lambda x: x - by_rows(x),
        lambda dy, x: dy,
        lambda x: x - x.mean(-1, keepdim=True),
        (draw(4, 5),),
        "same amount is missing in each row",
    ),
    Mistake(
        "the cosine itself is missing",
        np.sin,
        lambda dy, x: dy,
        lambda x: torch.sin(x),
        (draw(4, 5),),
        r"factor cos\(input\) is missing",
    ),
    Mistake(
        "dropout: the mask is forgotten in backward",
        lambda x, m: x * m / 0.7,
        lambda dy, x, m: (dy, dy * x / 0.7),
        lambda x, m: x * m / 0.7,
        (draw(4, 5), (np.random.default_rng(1).random((4, 5)) < 0.7) * 1.0),
        "mask of the dropout is missing",
    ),
    Mistake(
        "a mean over samples that are columns",
        lambda w, b, x: w @ x + b,
        lambda dy, w, b, x: (dy @ x.T, dy.mean(1, keepdims=True), w.T @ dy),
        lambda w, b, x: w @ x + b,
        (draw(3, 4), draw(3, 1, seed=1), draw(4, 6, seed=2)),
        "averaged over the batch|1 by the last size of the input, 6,",
    ),
    Mistake(
        "a network: h for h²",
        lambda x, w, b, v: np.tanh(x @ w + b) @ v,
        lambda dy, x, w, b, v: _network_backward(dy @ v.T * (1 - np.tanh(x @ w + b)), dy, x, w, b),
        lambda x, w, b, v: torch.tanh(x @ w + b) @ v,
        (draw(4, 3), draw(3, 5, seed=1), draw(5, seed=2), draw(5, 2, seed=3)),
        "1: the square is missing in 1 - y²",
    ),
    Mistake(
        "a network with its loss: h for h²",
        lambda x, t, w, v: 0.5 * np.sum((np.tanh(x @ w) @ v - t) ** 2) / len(x),
        lambda dy, x, t, w, v: _trained_backward(dy * (np.tanh(x @ w) @ v - t) / len(x), x, w, v),
        lambda x, t, w, v: 0.5 * ((torch.tanh(x @ w) @ v - t) ** 2).sum() / len(x),
        (draw(5, 3), draw(5, 2, seed=4), draw(3, 4, seed=1), draw(4, 2, seed=2)),
        "1: the square is missing in 1 - y²",
    ),
    Mistake(
        "cut off beyond a limit",
        lambda x: np.where(np.abs(x) < 1, x * x / 2, np.abs(x) - 0.5),
        lambda dy, x: dy * np.where(np.abs(x) > 1.5, 0, np.clip(x, -1, 1)),
        lambda x: TF.smooth_l1_loss(x, torch.zeros_like(x), reduction="none"),
        (draw(6, 5),),
        r"cut off where \|input\| is beyond",
    ),
    Mistake(
        "a row that gets a gradient and should not",
        lambda w: w[[0, 1, 2, 0]],
        lambda dy, w: np.stack([dy[0] + dy[3], dy[1], dy[2], 0 * dy[0]]),
        lambda w: torch.cat([w[:1].detach(), w[1:3], w[:1].detach()]),
        (draw(4, 3),),
        "arrives where there is none.*padding",
    ),
    Mistake(
        "two gradients the wrong way round",
        lambda a, b: a * b,
        lambda dy, a, b: (dy * a, dy * b),
        lambda a, b: a * b,
        (draw(3, 4), draw(3, 4, seed=1)),
        "it is the gradient of input 1",
    ),
]


def _network_backward(da, dy, x, w, b):
    return da @ w.T, x.T @ da, da.sum(0), np.tanh(x @ w + b).T @ dy


def _trained_backward(d, x, w, v):
    h = np.tanh(x @ w)
    e = d @ v.T * (1 - h)
    return e @ w.T, -d, x.T @ e, h.T @ d


def _scattered(dy, w):
    dw = np.zeros_like(w)
    dw[ROWS] += dy
    return dw


@pytest.mark.parametrize("mistake", one_in(3, MISTAKES, lambda m: m.name))
def test_a_mistake_in_peoples_style_is_named(mistake: Mistake) -> None:
    pair = (mistake.forward, mistake.backward)
    found = check(pair, mistake.reference, *mistake.inputs, dtypes="float64")
    said = "\n".join(map(str, found.causes))
    assert not found
    assert re.search(mistake.says, said), found.verdict
    assert not re.search(mistake.never, said), found.verdict


COLUMNS = (draw(3, 4), draw(3, 1, seed=1), draw(4, 6, seed=2))
KEPT = (np.random.default_rng(0).random((5, 4)) < 0.8) * 1.0

# Each was once called by the name of a size that it is by chance.
BY_CHANCE = [
    (
        "columns: 4 features, 6 samples",
        (
            lambda w, b, x: w @ x + b,
            lambda dy, w, b, x: (dy @ x.T, 4 * dy.sum(1, keepdims=True), w.T @ dy),
        ),
        lambda w, b, x: w @ x + b,
        COLUMNS,
    ),
    (
        "the scale of a dropout that keeps 0.8 of 5 rows",
        (lambda x, m: x * m / 0.8, lambda dy, x, m: (dy * m, dy * x / 0.8)),
        lambda x, m: x * m / 0.8,
        (draw(5, 4), KEPT),
    ),
    (
        "a scale of 4 beside a batch of 4",
        (lambda x: np.cos(4 * x), lambda dy, x: -dy * np.sin(4 * x)),
        lambda x: torch.cos(4 * x),
        (draw(4, 3),),
    ),
    (
        "noise",
        (np.sin, lambda dy, x: draw(*x.shape, seed=9)),
        lambda x: torch.sin(x),
        (draw(4, 5),),
    ),
    (
        "almost 0",
        (lambda x: x**2, lambda dy, x: dy * x * 1e-17),
        lambda x: x**2,
        (draw(4, 5),),
    ),
]


@pytest.mark.parametrize(
    ("pair", "reference", "inputs"), [c[1:] for c in BY_CHANCE], ids=[c[0] for c in BY_CHANCE]
)
def test_no_size_is_named_that_the_factor_is_by_chance(pair: Any, reference: Any, inputs: Any) -> None:
    found = check(pair, reference, *inputs, dtypes="float64")
    assert not found
    said = "\n".join(map(str, found.causes))
    assert not re.search(r"batch|size of|n/\(n-1\)|\(n-1\)/n|e-1\d too much", said), said


def test_a_slope_at_a_kink_is_called_a_convention():
    class RightSlope:
        def forward(self, x):
            self.x = x
            return np.maximum(x, 0)

        def backward(self, dy):
            return dy * (self.x >= 0)

    found = check(RightSlope(), torch.nn.ReLU(), np.random.default_rng(0).normal(size=(4, 5)))

    (cause,) = found.causes
    assert cause.name == "the slope at 0 is 1"
    assert "a convention" in cause.evidence


def test_factors_that_differ_from_row_to_row_are_no_cause():
    factors = np.array([[1.7], [0.9], [1.2]])
    found = check((lambda x: np.sin(x), lambda dy, x: dy * np.cos(x) * factors), None, np.ones((3, 4)) * 0.3)

    assert [cause.name for cause in found.causes] == ["unknown"]
    assert "each of the rows by a factor of its own, 1.7, 0.9, 1.2" in found.causes[0].evidence


def convolution_of_last_channels(step: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """A convolution of images (N, H, W, C) with kernels (k, k, C, O) and stride 2; ``step`` is backward's."""

    def places(x, kernel):
        k = kernel.shape[0]
        return [(i, j) for i in range((x.shape[1] - k) // 2 + 1) for j in range((x.shape[2] - k) // 2 + 1)]

    def window(i, j, k, stride):
        return slice(None), slice(i * stride, i * stride + k), slice(j * stride, j * stride + k)

    def forward(x, kernel, b):
        k, at = kernel.shape[0], places(x, kernel)
        y = np.zeros((len(x), at[-1][0] + 1, at[-1][1] + 1, kernel.shape[3]), x.dtype)
        for i, j in at:
            y[:, i, j] = np.tensordot(x[window(i, j, k, 2)], kernel, 3) + b
        return y

    def backward(dy, x, kernel, b):
        dx, dkernel, k = np.zeros_like(x), np.zeros_like(kernel), kernel.shape[0]
        for i, j in places(x, kernel):
            at = window(i, j, k, step)
            dx[at] += np.tensordot(dy[:, i, j], kernel, (1, 3))
            dkernel += np.tensordot(x[at], dy[:, i, j], (0, 0))
        return dx, dkernel, dy.sum(axis=(0, 1, 2))

    return forward, backward


@pytest.mark.parametrize("size", one_in(2, [(6, 6), (5, 7)]))
def test_a_missing_stride_is_named_also_where_channels_are_last(size):
    inputs = draw(2, *size, 3), draw(3, 3, 3, 4, seed=1), draw(4, seed=2)

    assert check(convolution_of_last_channels(2), None, *inputs)
    found = check(convolution_of_last_channels(1), None, *inputs)

    assert [cause.name for cause in found.causes] == ["the stride is missing in backward"]


@pytest.mark.parametrize("shape", [(), (4,)])
def test_a_sum_over_everything_is_named(shape):
    def backward(dy, x, W, b):
        return dy @ W.T, x.T @ dy, np.full(shape, dy.sum())

    found = check((lambda x, W, b: x @ W + b, backward), None, draw(5, 3), draw(3, 4), draw(4))

    (cause,) = found.causes
    assert cause.name == "it is summed over all its entries too, so that there is one number for all"


def test_a_padding_row_that_alone_is_negative_is_no_closed_unit():
    rows = np.array([0, 1, 2, 0, 3])
    table = np.abs(draw(4, 3)) + 0.1
    table[0] *= -1

    def forward(w):
        return w[rows] * (rows > 0)[:, None]

    def backward(dy, w):
        dw = np.zeros_like(w)
        np.add.at(dw, rows, dy)
        return dw

    found = check((forward, backward), None, table, dtypes="float64")

    assert not found
    assert "closed unit: set" not in found.verdict
    assert [cause.name for cause in found.causes] == ["a gradient arrives where there is none"]
