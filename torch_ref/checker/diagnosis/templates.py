"""Modules of ours that could give an output of this shape from arrays of these shapes.

A template is a function of (xs, ps, y): the arrays that would be the inputs, those that would be the
parameters, and the output that is looked for. It yields modules, with the usual options, and looks at shapes
alone: whether one of them gives the output is found by running it (family.py).
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scratch import functional as F
from scratch import nn

Arrays = Sequence[np.ndarray]

# The ε that people write, the commonest first.
EPSILONS = (1e-5, 1e-8, 1e-6, 1e-12, 1e-7, 1e-3, 1e-10, 0.0)
REDUCTIONS = ("mean", "sum", "none")
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


@dataclass(frozen=True)
class Template:
    """A function as above, of ``inputs`` inputs, ``parameters`` (from, to) parameters."""

    kinds: tuple[str, ...]
    inputs: int
    parameters: tuple[int, int]
    modules: Callable[[Arrays, Arrays, np.ndarray], Iterator[nn.Module]]


TEMPLATES: list[Template] = []


def template(*kinds: str, inputs: int = 1, parameters: tuple[int, int] = (0, 0)) -> Callable[[Any], Any]:
    """Enter a function as a template of modules of these kinds."""

    def enter(modules: Callable[[Arrays, Arrays, np.ndarray], Iterator[nn.Module]]) -> Any:
        TEMPLATES.append(Template(kinds, inputs, parameters, modules))
        return modules

    return enter


# ---- formulas that no module of torch.nn has on its own


class ScaledDotProductAttention(nn.Module):
    """F.scaled_dot_product_attention of Q, K, V, and a mask where there is one."""

    def forward(self, Q: np.ndarray, K: np.ndarray, V: np.ndarray, *mask: np.ndarray) -> np.ndarray:
        """A; a mask of truth values says which keys are seen."""
        added = [np.where(m, 0.0, -np.inf).astype(Q.dtype) if m.dtype.kind == "b" else m for m in mask]
        A, saved = F.scaled_dot_product_attention(Q, K, V, *added)
        self.save(saved)
        return A

    def backward(self, dA: np.ndarray) -> tuple[np.ndarray, ...]:
        """(dQ, dK, dV)."""
        return F.scaled_dot_product_attention_backward(dA, self.saved()[0])


class GatedUnit(nn.Module):
    """GLU of two arrays instead of the two halves of one."""

    def __init__(self) -> None:
        self.glu = nn.GLU()

    def forward(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """y = a σ(b)."""
        return self.glu(np.concatenate([a, b], axis=-1))

    def backward(self, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(da, db)."""
        da, db = np.split(self.glu.backward(dy), 2, axis=-1)
        return da, db


class TransposedLinear(nn.Module):
    """y = W x + b: the samples are columns."""

    def __init__(self, linear: nn.Module) -> None:
        self.linear = linear

    def forward(self, x: np.ndarray) -> np.ndarray:
        """W x + b."""
        return self.linear(x.T).T

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Wᵀ dy."""
        return self.linear.backward(dy.T).T


class ChannelsLast(nn.Module):
    """A layer of images (N, H, W, C), whose kernel (k, k, C, O) is stored the other way round.

    Turned round as a whole, so that the axes of the image come in the order W, H, as those of the kernel do.
    """

    def __init__(self, inner: nn.Module) -> None:
        self.inner = inner

    def forward(self, x: np.ndarray) -> np.ndarray:
        """y (N, H, W, O)."""
        return self.inner(x.swapaxes(1, -1)).swapaxes(1, -1)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """dx (N, H, W, C)."""
        return self.inner.backward(dy.swapaxes(1, -1)).swapaxes(1, -1)


# ---- element by element

_ACTIVATIONS = (
    *("ReLU", "Sigmoid", "Tanh", "GELU", "SiLU", "ELU", "SELU", "Softplus", "Softsign", "LogSigmoid"),
    *("Mish", "Hardtanh", "ReLU6", "Hardsigmoid", "Hardswish", "Tanhshrink", "Softshrink", "Hardshrink"),
)


@template(*_ACTIVATIONS, "LeakyReLU", "CELU")
def activations(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """Activations without parameters."""
    if y.shape != xs[0].shape:
        return
    for kind in _ACTIVATIONS:
        yield getattr(nn, kind)()
    yield nn.GELU("tanh")
    for slope in (0.01, 0.1, 0.2, 0.3, 0.05, 0.02, 0.001, 0.25, 0.5):
        yield nn.LeakyReLU(slope)
    for alpha in (0.1, 0.2, 0.3, 0.5, 2.0):
        yield nn.ELU(alpha)
    for beta in (2.0, 0.5):
        yield nn.Softplus(beta)


@template("PReLU", parameters=(1, 1))
def prelu(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """The slope is a parameter, for all or for each channel."""
    if y.shape == xs[0].shape and ps[0].size in (1, *xs[0].shape[1:2]):
        yield nn.PReLU(ps[0].size)


@template("Softmax", "LogSoftmax", "Softmin")
def softmaxes(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """Softmax and its kin, along each axis."""
    if y.shape == xs[0].shape:
        for dim in reversed(range(xs[0].ndim)):
            yield from (nn.Softmax(dim), nn.LogSoftmax(dim), nn.Softmin(dim))


@template("GLU")
def glu(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """One half gates the other, along each axis."""
    if 2 * y.size == xs[0].size and y.ndim == xs[0].ndim:
        for dim in range(y.ndim):
            if 2 * y.shape[dim] == xs[0].shape[dim]:
                yield nn.GLU(dim)


@template("GLU", inputs=2)
def gated(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """a σ(b) of two arrays."""
    if xs[0].shape == xs[1].shape == y.shape and y.ndim:
        yield GatedUnit()


class Dropout(nn.Dropout):
    """nn.Dropout with the mask as an input, of 0 and 1, or of 0 and 1/(1-p)."""

    def forward(self, x: np.ndarray, mask: np.ndarray) -> np.ndarray:  # type: ignore[override]
        """y = m x, or m x / (1-p) of a mask of 0 and 1."""
        kept = (mask != 0).astype(x.real.dtype)
        return self.run(F.dropout, F.dropout_backward, (x,), (), kept, self.p)


@template("Dropout")
def dropouts(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """A mask drawn from our generator, as torch draws it."""
    if xs[0].shape == y.shape and np.any(y == 0):
        for p in (0.5, 0.1, 0.2, 0.25, 0.3, 0.4, 0.6, 0.8):
            yield nn.Dropout(p)


@template("Dropout", inputs=2)
def given_masks(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """A mask that is given."""
    x, m = xs
    if x.shape == m.shape == y.shape and len(np.unique(m)) == 2 and np.any(m == 0):
        kept = (m != 0) & (x != 0)
        yield Dropout(float(1 - np.mean(np.divide(x, y, out=np.ones_like(x), where=kept)[kept])))


# ---- normalisation


@template("LayerNorm", parameters=(0, 2))
def layer_norms(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """Over the last axes."""
    if y.shape != xs[0].shape:
        return
    for axes in range(1, xs[0].ndim + 1):
        sizes = xs[0].shape[-axes:]
        if math.prod(sizes) > 1 and all(p.size == math.prod(sizes) for p in ps):
            for eps in EPSILONS:
                yield nn.LayerNorm(sizes, eps, bool(ps), len(ps) > 1)


@template("RMSNorm", parameters=(0, 1))
def rms_norms(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """Over the last axis."""
    if y.shape == xs[0].shape and xs[0].ndim and all(p.size == xs[0].shape[-1] for p in ps):
        for eps in (*EPSILONS, None):
            yield nn.RMSNorm(xs[0].shape[-1], eps, bool(ps))


@template("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", parameters=(0, 2))
def batch_norms(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """Over the samples, in training, and with the statistics of people's buffers (family.py)."""
    axes = max(1, xs[0].ndim - 2)
    if y.shape != xs[0].shape or not 2 <= xs[0].ndim <= 5 or any(p.size != y.shape[1] for p in ps):
        return
    for eps in EPSILONS:
        kind = getattr(nn, f"BatchNorm{axes}d")
        # torch's have both parameters or none; a norm without β gets a β of zeros there.
        yield kind(y.shape[1], eps, affine=bool(ps), bias=len(ps) > 1)


@template("GroupNorm", parameters=(0, 2))
def group_norms(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """Over groups of channels."""
    if y.shape != xs[0].shape or y.ndim < 2 or any(p.size != y.shape[1] for p in ps):
        return
    C = y.shape[1]
    for groups in (g for g in range(1, C + 1) if C % g == 0):
        for eps in EPSILONS[:4]:
            yield nn.GroupNorm(groups, C, eps, bool(ps), bias=len(ps) > 1)


@template("InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d", parameters=(0, 2))
def instance_norms(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """Over each channel of each sample."""
    if y.shape != xs[0].shape or not 3 <= y.ndim <= 5 or any(p.size != y.shape[1] for p in ps):
        return
    for eps in EPSILONS[:4]:
        yield getattr(nn, f"InstanceNorm{y.ndim - 2}d")(y.shape[1], eps, affine=bool(ps), bias=len(ps) > 1)


@template("LocalResponseNorm")
def response_norms(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """Each channel divided by its neighbours'."""
    if y.shape == xs[0].shape and y.ndim >= 3:
        for size in range(2, y.shape[1] + 1):
            yield nn.LocalResponseNorm(size)


# ---- affine maps, alone, followed by an activation, and one after the other


def _chain_of_linears(D: int, ps: Arrays) -> list[tuple[int, int, bool]]:
    """(in, out, bias) of affine maps made of these arrays, in their order; [] if they are none."""
    layers: list[tuple[int, int, bool]] = []
    left = list(ps)
    while left:
        at = next((i for i, p in enumerate(left) if p.ndim == 2 and p.size > 1 and D in p.shape), None)
        if at is None:
            return []
        rows, columns = left.pop(at).shape
        H = rows if columns == D else columns
        at = next((i for i, p in enumerate(left) if (p.size == H and p.ndim <= 1) or p.shape == (1, H)), None)
        if at is not None:
            left.pop(at)
        layers.append((D, H, at is not None))
        D = H
    return layers


@template("Linear", parameters=(1, 8))
def linears(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """One affine map or several, and what usually stands between and behind them."""
    x = xs[0]
    layers = _chain_of_linears(x.shape[-1], ps) if x.ndim else []
    if not layers or y.shape != (*x.shape[:-1], layers[-1][1]):
        return
    if len(layers) == 1:
        yield nn.Linear(*layers[0])
    between = ("Tanh", "ReLU", "Sigmoid") if len(layers) > 1 else ("",)
    ends: tuple[str, ...] = ("", "Tanh", "ReLU", "Sigmoid", "Softmax", "GELU", "SiLU", "LogSoftmax")
    for inner, end in itertools.product(between, ends):
        modules: list[nn.Module] = []
        for layer in layers:
            modules += [getattr(nn, inner)()] if modules else []
            modules.append(nn.Linear(*layer))
        if end or len(layers) > 1:
            last = [getattr(nn, end)(*((-1,) if "oftmax" in end else ()))] if end else []
            yield nn.Sequential(*modules, *last)


@template("Linear", parameters=(1, 2))
def columns(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """An affine map of samples that are columns."""
    x = xs[0]
    layers = _chain_of_linears(x.shape[0], ps) if x.ndim == 2 else []
    if len(layers) == 1 and y.shape == (layers[0][1], x.shape[1]):
        yield TransposedLinear(nn.Linear(*layers[0]))


@template("Bilinear", inputs=2, parameters=(1, 2))
def bilinears(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """x₁ᵀ W x₂ + b."""
    W = next((p for p in ps if p.ndim == 3), None)
    if W is not None and xs[0].ndim and xs[1].ndim and W.shape[1:] == (xs[0].shape[-1], xs[1].shape[-1]):
        yield nn.Bilinear(W.shape[1], W.shape[2], W.shape[0], len(ps) > 1)


# ---- windows


def _windows(L: int, T: int, k: int, pads: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """(stride, padding, dilation) with which a window of k gives T numbers from L."""
    for dilation in (1, 2, 3):
        for padding in pads:
            room = L + 2 * padding - dilation * (k - 1) - 1
            for stride in (1, 2, 3, 4, k) if room >= 0 else ():
                if room // stride + 1 == T:
                    yield stride, padding, dilation


@template("Conv1d", "Conv2d", "Conv3d", parameters=(1, 2))
def convolutions(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """Stride, padding, dilation and groups as the shapes tell, alone and followed by an activation."""
    x, W = xs[0], max(ps, key=lambda p: (p.ndim, p.size))
    axes = W.ndim - 2
    if not 1 <= axes <= 3 or x.ndim not in (W.ndim, W.ndim - 1) or y.ndim != x.ndim or not W.shape[1]:
        return
    channels = x.shape[-axes - 1]
    if len(W) != y.shape[-axes - 1] or channels % W.shape[1]:
        return
    kernel = W.shape[2:]
    ways = [
        list(dict.fromkeys(_windows(L, T, k, range(k + 1))))
        for L, T, k in zip(x.shape[-axes:], y.shape[-axes:], kernel, strict=True)
    ]
    for way in itertools.islice(itertools.product(*ways), 40):
        stride, padding, dilation = zip(*way, strict=True)
        options = {"stride": stride, "padding": padding, "dilation": dilation}
        groups = channels // W.shape[1]
        conv = getattr(nn, f"Conv{axes}d")(
            channels, len(W), kernel, groups=groups, bias=len(ps) > 1, **options
        )
        yield conv
        for activation in ("ReLU", "Tanh", "Sigmoid"):
            yield nn.Sequential(conv, getattr(nn, activation)())


@template("Conv1d", "Conv2d", "Conv3d", parameters=(1, 2))
def convolutions_of_last_channels(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """The same of images whose channels are last."""
    if xs[0].ndim == y.ndim >= 3:
        for module in convolutions([xs[0].swapaxes(1, -1)], [p.T for p in ps], y.swapaxes(1, -1)):
            yield ChannelsLast(module)


@template("ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d", parameters=(1, 2))
def transposed_convolutions(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """Without groups and dilation."""
    x, W = xs[0], max(ps, key=lambda p: p.ndim)
    axes = W.ndim - 2
    if not 1 <= axes <= 3 or x.ndim not in (W.ndim, W.ndim - 1) or y.ndim != x.ndim:
        return
    if len(W) != x.shape[-axes - 1]:
        return
    ways = [
        [
            (s, p, o)
            for s, p, o in itertools.product((1, 2, 3, 4), range(k), range(3))
            if (L - 1) * s - 2 * p + k + o == T and o < s
        ]
        for L, T, k in zip(x.shape[-axes:], y.shape[-axes:], W.shape[2:], strict=True)
    ]
    for way in itertools.islice(itertools.product(*ways), 20):
        stride, padding, output_padding = zip(*way, strict=True)
        kind = getattr(nn, f"ConvTranspose{axes}d")
        more = {"stride": stride, "padding": padding, "output_padding": output_padding}
        yield kind(len(W), W.shape[1], W.shape[2:], bias=len(ps) > 1, **more)


@template(*(f"{kind}Pool{axes}d" for kind in ("Max", "Avg") for axes in (1, 2, 3)))
def pools(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """Windows of one size along all axes, as the shapes tell; and adaptive ones."""
    x = xs[0]
    if x.ndim != y.ndim or (x.shape == y.shape and x.ndim < 3):
        return
    for axes in (a for a in (2, 1, 3) if x.ndim - a in (1, 2) and x.shape[:-a] == y.shape[:-a]):
        lengths = [*zip(x.shape[-axes:], y.shape[-axes:], strict=True)]
        for k in range(2, min(7, min(L for L, _ in lengths)) + 1):
            ways = [[w[:2] for w in _windows(L, T, k, range(k // 2 + 1)) if w[2] == 1] for L, T in lengths]
            for stride, padding in dict.fromkeys(w for w in ways[0] if all(w in other for other in ways)):
                yield getattr(nn, f"MaxPool{axes}d")(k, stride, padding)
                yield getattr(nn, f"AvgPool{axes}d")(k, stride, padding)
                if padding:
                    yield getattr(nn, f"AvgPool{axes}d")(k, stride, padding, count_include_pad=False)
        if all(T <= L for L, T in lengths):
            yield getattr(nn, f"AdaptiveMaxPool{axes}d")(y.shape[-axes:])
            yield getattr(nn, f"AdaptiveAvgPool{axes}d")(y.shape[-axes:])


@template(*(f"{kind}Pool{axes}d" for kind in ("Max", "Avg") for axes in (1, 2, 3)))
def pools_of_last_channels(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """The same of images whose channels are last."""
    if xs[0].ndim == y.ndim >= 3:
        for module in pools([xs[0].swapaxes(1, -1)], ps, y.swapaxes(1, -1)):
            yield ChannelsLast(module)


@template("Upsample", "UpsamplingNearest2d", "UpsamplingBilinear2d")
def upsamplings(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """To the size of the output."""
    x = xs[0]
    if not 3 <= x.ndim <= 5 or x.ndim != y.ndim or x.shape[:2] != y.shape[:2]:
        return
    size, smooth = y.shape[2:], {3: "linear", 4: "bilinear", 5: "trilinear"}[x.ndim]
    yield nn.Upsample(size, mode="nearest")
    for align in (False, True):
        yield nn.Upsample(size, mode=smooth, align_corners=align)
    if x.ndim == 4:
        yield nn.Upsample(size, mode="bicubic")


def _from_the_middle(m: int) -> list[int]:
    """0 to m, the ones in the middle first."""
    return sorted(range(m + 1), key=lambda n: abs(2 * n - m))


@template(
    *(
        f"{kind}Pad{axes}d"
        for kind in ("Zero", "Constant", "Reflection", "Replication", "Circular")
        for axes in (1, 2, 3)
    )
)
def paddings(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """So much on one side, the rest on the other; the same on both is tried first."""
    x = xs[0]
    if x.ndim != y.ndim or x.shape == y.shape:
        return
    for axes in (a for a in (2, 1, 3) if x.ndim - a in (1, 2) and x.shape[:-a] == y.shape[:-a]):
        more = [T - L for L, T in zip(x.shape[-axes:], y.shape[-axes:], strict=True)]
        if min(more) < 0:
            continue
        ways = [_from_the_middle(m) for m in reversed(more)]
        for lefts in itertools.islice(itertools.product(*ways), 60):
            sizes = tuple(n for left, m in zip(lefts, reversed(more), strict=True) for n in (left, m - left))
            for kind in ("Zero", "Reflection", "Replication", "Circular"):
                yield getattr(nn, f"{kind}Pad{axes}d")(sizes)
            for value in dict.fromkeys((y.flat[0], y.flat[-1])):
                yield getattr(nn, f"ConstantPad{axes}d")(sizes, float(value))


@template("PixelShuffle", "PixelUnshuffle", "Flatten")
def rearranged(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """The same numbers in other places."""
    x = xs[0]
    if x.size != y.size or x.shape == y.shape:
        return
    yield nn.Flatten()
    if x.ndim == y.ndim >= 3:
        r = max(y.shape[-1] // x.shape[-1], x.shape[-1] // y.shape[-1])
        if r > 1:
            yield from (nn.PixelShuffle(r), nn.PixelUnshuffle(r))


# ---- look-up, recurrence, attention


@template("Embedding", parameters=(1, 1))
def embeddings(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """Rows of a table."""
    if xs[0].dtype.kind in "iu" and ps[0].ndim == 2 and y.shape == (*xs[0].shape, ps[0].shape[1]):
        yield nn.Embedding(*ps[0].shape)


@template("EmbeddingBag", parameters=(1, 1))
def bags(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """Sums, means and maxima of rows of a table."""
    if xs[0].dtype.kind in "iu" and xs[0].ndim == ps[0].ndim == 2 and y.shape == (len(xs[0]), ps[0].shape[1]):
        for mode in ("mean", "sum", "max"):
            V, D = ps[0].shape
            yield nn.EmbeddingBag(V, D, mode=mode)


def _recurrent(kind: str, inputs: int) -> None:
    @template(kind, inputs=inputs, parameters=(2, 4))
    def layers(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
        """One layer, the time first or the samples."""
        matrices = [p for p in ps if p.ndim == 2]
        if xs[0].ndim not in (2, 3) or len(matrices) != 2 or len(ps) == 3:
            return
        D, H = xs[0].shape[-1], y.shape[-1]
        if {p.shape for p in matrices} != {(GATES[kind] * H, D), (GATES[kind] * H, H)}:
            return
        options: list[dict[str, Any]] = [{}, {"batch_first": True}] if xs[0].ndim == 3 else [{}]
        for option in options:
            yield getattr(nn, kind)(D, H, bias=len(ps) > 2, **option)
            if kind == "RNN":
                yield nn.RNN(D, H, bias=len(ps) > 2, nonlinearity="relu", **option)


def _cells(kind: str, inputs: int) -> None:
    @template(f"{kind}Cell", inputs=inputs, parameters=(2, 4))
    def cells(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
        """One step."""
        matrices = [p for p in ps if p.ndim == 2]
        if any(x.ndim not in (1, 2) for x in xs) or len(matrices) != 2 or len(ps) == 3 or not y.ndim:
            return
        D, H = xs[0].shape[-1], y.shape[-1]
        if {p.shape for p in matrices} != {(GATES[kind] * H, D), (GATES[kind] * H, H)}:
            return
        cell = getattr(nn, f"{kind}Cell")(D, H, bias=len(ps) > 2)
        yield Grouped(cell) if kind == "LSTM" else cell


class Grouped(nn.Module):
    """An LSTMCell of x, h and c as three inputs."""

    def __init__(self, cell: nn.Module) -> None:
        self.cell = cell

    def forward(self, x: np.ndarray, h: np.ndarray, c: np.ndarray) -> Any:
        """(h, c) of the next step."""
        return self.cell(x, (h, c))

    def backward(self, *dy: Any) -> Any:
        """(dx, dh, dc)."""
        dx, (dh, dc) = self.cell.backward(*dy)
        return dx, dh, dc


for _kind in GATES:
    _recurrent(_kind, 1)
    _cells(_kind, 3 if _kind == "LSTM" else 2)


def _attends(xs: Arrays, y: np.ndarray) -> bool:
    Q, K, V = xs[:3]
    return (
        Q.ndim == K.ndim == V.ndim >= 2
        and Q.shape[-1] == K.shape[-1]
        and K.shape[:-1] == V.shape[:-1]
        and y.shape == (*Q.shape[:-1], V.shape[-1])
    )


@template("ScaledDotProductAttention", inputs=3)
def attention(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """softmax(Q Kᵀ / √d) V."""
    if _attends(xs, y):
        yield ScaledDotProductAttention()


@template("ScaledDotProductAttention", inputs=4)
def masked_attention(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """softmax(Q Kᵀ / √d + M) V."""
    if _attends(xs, y) and xs[3].ndim >= 2 and xs[3].shape[-2:] == (y.shape[-2], xs[1].shape[-2]):
        yield ScaledDotProductAttention()


@template("MultiheadAttention", inputs=3, parameters=(2, 4))
def heads(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """Of several heads, the time first or the samples."""
    E = xs[0].shape[-1]
    if any(x.ndim not in (2, 3) or x.shape[-1] != E for x in xs) or len(ps) == 3 or y.shape != xs[0].shape:
        return
    for count in (n for n in range(E, 0, -1) if E % n == 0):
        for first in (False, True):
            yield nn.MultiheadAttention(E, count, bias=len(ps) > 2, batch_first=first)


# ---- losses and distances

_ALIKE = (
    *("MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss", "BCELoss", "BCEWithLogitsLoss", "KLDivLoss"),
    *("PoissonNLLLoss", "SoftMarginLoss", "HingeEmbeddingLoss", "MultiLabelSoftMarginLoss"),
)


@template(*_ALIKE, inputs=2)
def losses(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """Losses of an input and a target of the same shape."""
    if xs[0].shape != xs[1].shape or y.shape not in ((), xs[0].shape, xs[0].shape[:1]):
        return
    reductions = REDUCTIONS[:2] if not y.ndim else REDUCTIONS[2:]
    for kind in _ALIKE:
        for reduction in reductions:
            yield getattr(nn, kind)(reduction=reduction)
    if not y.ndim:
        yield nn.KLDivLoss(reduction="batchmean")
        yield from (nn.CrossEntropyLoss(), nn.CrossEntropyLoss(reduction="sum"))


@template("CrossEntropyLoss", "NLLLoss", "MultiMarginLoss", inputs=2)
def class_losses(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """Losses whose target is classes."""
    x, t = xs
    if t.dtype.kind not in "iu" or t.shape != x.shape[:1] + x.shape[2:]:
        return
    for reduction in REDUCTIONS[:2] if not y.ndim else REDUCTIONS[2:]:
        for kind in ("CrossEntropyLoss", "NLLLoss", "MultiMarginLoss"):
            yield getattr(nn, kind)(reduction=reduction)


@template("CosineSimilarity", "PairwiseDistance", inputs=2)
def distances(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """Of the rows of two arrays."""
    if xs[0].ndim and xs[0].shape == xs[1].shape and y.shape == xs[0].shape[:-1]:
        yield nn.CosineSimilarity(dim=-1)
        for eps in (1e-6, 0.0):
            yield nn.PairwiseDistance(eps=eps)
            yield nn.PairwiseDistance(1.0, eps)


@template("CosineEmbeddingLoss", "MarginRankingLoss", "TripletMarginLoss", "GaussianNLLLoss", inputs=3)
def losses_of_three(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """Losses of three arrays."""
    for reduction in REDUCTIONS[:2] if not y.ndim else REDUCTIONS[2:]:
        for kind in ("TripletMarginLoss", "GaussianNLLLoss", "MarginRankingLoss", "CosineEmbeddingLoss"):
            yield getattr(nn, kind)(reduction=reduction)


# ---- whole networks


class Trained(nn.Module):
    """A network and its loss, which may be scaled: half of a sum, say."""

    def __init__(self, model: nn.Module, loss_fn: nn.Module, scale: float = 1.0) -> None:
        self.model, self.loss_fn, self.scale = model, loss_fn, scale

    def forward(self, x: np.ndarray, target: np.ndarray) -> Any:
        """The loss of the network's output."""
        y = self.model(x)
        if target.dtype.kind in "iu" and isinstance(self.loss_fn, _ALIKE_CLASSES):
            target = target.astype(y.real.dtype)
        return self.scale * self.loss_fn(y, target)

    def backward(self, dy: Any) -> Any:
        """dx."""
        return self.model.backward(self.loss_fn.backward(self.scale * dy))


_ALIKE_CLASSES = (nn.MSELoss, nn.BCELoss)
# The losses that go with what stands at the end of the network.
_ENDS = (
    ("", (nn.CrossEntropyLoss, nn.MSELoss)),
    ("Sigmoid", (nn.BCELoss, nn.MSELoss)),
    ("Softmax", (nn.MSELoss,)),
    ("Tanh", (nn.MSELoss,)),
)


@template("Linear", inputs=2, parameters=(1, 8))
def networks(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """Affine maps with an activation between them, and a loss."""
    x, t = xs
    layers = _chain_of_linears(x.shape[-1], ps) if x.ndim == 2 and not y.ndim else []
    if not layers or t.shape[:1] != x.shape[:1]:
        return
    N = len(x)
    for inner in ("Tanh", "ReLU", "Sigmoid") if len(layers) > 1 else ("",):
        for end, losses_of_end in _ENDS:
            modules: list[nn.Module] = []
            for layer in layers:
                modules += [getattr(nn, inner)()] if modules else []
                modules.append(nn.Linear(*layer))
            modules += [getattr(nn, end)(*((1,) if end == "Softmax" else ()))] if end else []
            for loss in losses_of_end:
                yield Trained(nn.Sequential(*modules), loss())
                for scale in (1.0, 0.5, 1 / N, 0.5 / N):
                    yield Trained(nn.Sequential(*modules), loss(reduction="sum"), scale)
