"""Templates of what goes over windows: convolutions, pools, upsampling, padding."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from scratch import nn
from torch_ref.checker.diagnosis.templates.registry import Arrays, template


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
