r"""Convolutions (PyTorch, torch/nn/modules/conv.py).

What is called a convolution is a correlation: a window slides over x, and at each place t the numbers under
it are multiplied by the weights and summed,

$$y_{n o t} = b_o + \sum_{c, j} W_{o c j}\; x_{n c,\, t s + j d},$$

c over the channels, j over the k entries of the window along each axis; s is the stride, d the dilation, and
x was padded before. Laid out as columns, $X_{(c j), (n t)} = x_{n c,\, t s + j d}$ (the book's im2col), it is
one product of matrices, $y = W X$, and so are its derivatives:

$$dW = dy\, X^\top, \qquad dX = W^\top dy, \qquad
  dx_{n c i} = \sum_{t s + j d = i} dX_{(c j), (n t)}, \qquad db_o = \sum_{n t} dy_{n o t}.$$

The last but one is the transpose of taking columns: what stands at several places gets the sum. Three
functions below are all there is, and a transposed convolution is the same three in another role: its output
is what a convolution calls dx, and its dx what a convolution calls y.

With several groups channels and outputs are cut into as many parts, which have nothing to do with each other.

For stride 1 dx is a correlation itself: of dy with zeros around it, and the window turned round,
$dx_{c i} = \sum_{o, j} W_{o c j}\, dy_{o,\, i - j d}$. Nothing has then to be added up in memory, which takes
longer than the products. Columns are made for a few samples at a time, so that they stay in the cache, and
are made again in backward, since they are as large as x times the size of the window.

Source: LeCun et al. 1989; as products of matrices: Chellapilla, Puri and Simard 2006; the arithmetic of all
sizes: Dumoulin and Visin 2016.
"""

import itertools
import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from scratch.nn import init, padding
from scratch.nn.module import Module
from scratch.nn.parameter import Parameter

__all__ = ["Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"]


Size = int | tuple[int, ...]

_PADDINGS = {"zeros": "Zero", "reflect": "Reflection", "replicate": "Replication", "circular": "Circular"}

# How many numbers the columns of one go may have: a megabyte in single precision.
_COLUMNS = 2**18


class Window(NamedTuple):
    """What slides: its size, how far it goes, how far its entries are apart, and the groups."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int

    @property
    def spans(self) -> tuple[int, ...]:
        """From its first entry to its last, d (k - 1) + 1 along each axis."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))


def correlate(x: np.ndarray, W: np.ndarray, window: Window) -> np.ndarray:
    """y = W X, of x (N, C, *L), padded, and W (O, C/groups, *kernel): y (N, O, *places)."""
    y = np.empty_like(x, shape=(len(x), len(W), *_places(x, window)))
    W = W.reshape(window.groups, len(W) // window.groups, -1)
    for part in _parts(y, W.shape[-1] * window.groups):
        product = np.matmul(W, _columns(x[part], window))
        y[part] = product.reshape(y.shape[1], -1, *y.shape[2:]).swapaxes(0, 1)
    return y


def spread(y: np.ndarray, W: np.ndarray, window: Window, shape: tuple[int, ...]) -> np.ndarray:
    """The transpose of correlate: dx of this shape from dX = Wᵀ dy."""
    if math.prod(window.stride) == 1:
        margins = [span - 1 for span in window.spans]
        sizes = [n + 2 * m for n, m in zip(y.shape[2:], margins, strict=True)]
        turned = np.flip(W, tuple(range(2, W.ndim))).reshape(window.groups, -1, *W.shape[1:])
        turned = turned.swapaxes(1, 2).reshape(-1, len(W) // window.groups, *window.kernel)
        return correlate(_placed(y, sizes, margins), turned, window)
    x = np.zeros_like(y, shape=shape)
    W = W.reshape(window.groups, len(W) // window.groups, -1)
    for part in _parts(y, W.shape[-1] * window.groups):
        columns = np.matmul(W.swapaxes(1, 2), _rows(y[part], window))
        columns = columns.reshape(x.shape[1], *window.kernel, -1, *y.shape[2:])
        for entry in itertools.product(*map(range, window.kernel)):
            here = tuple(
                slice(j * d, j * d + (n - 1) * s + 1, s)
                for j, d, s, n in zip(entry, window.dilation, window.stride, y.shape[2:], strict=True)
            )
            x[(part, slice(None), *here)] += columns[(slice(None), *entry)].swapaxes(0, 1)
    return x


def outer(
    y: np.ndarray, x: np.ndarray, window: Window, shape: tuple[int, ...], out: np.ndarray | None = None
) -> np.ndarray:
    """dW = dy Xᵀ, of the weights' shape."""
    size = math.prod(shape[1:])
    total = np.zeros_like(x, shape=(window.groups, size, shape[0] // window.groups))
    for part in _parts(y, size * window.groups):
        total += np.matmul(_columns(x[part], window), _rows(y[part], window).swapaxes(1, 2))
    total = total.swapaxes(1, 2).reshape(shape)
    return total if out is None else np.positive(total, out=out)


def _placed(x: np.ndarray, sizes: Iterable[int], start: Iterable[int]) -> np.ndarray:
    """x within zeros of these sizes."""
    wider = np.zeros_like(x, shape=(*x.shape[:2], *sizes))
    inner: Any = (..., *(slice(m, m + n) for m, n in zip(start, x.shape[2:], strict=True)))
    wider[inner] = x
    return wider


def _columns(x: np.ndarray, window: Window) -> np.ndarray:
    """X, (groups, C/groups · k, N · places)."""
    n = len(window.kernel)
    view = np.lib.stride_tricks.sliding_window_view(x, window.spans, tuple(range(-n, 0)), subok=True)
    every: Any = (..., *(slice(None, None, step) for step in (*window.stride, *window.dilation)))
    view = view[every]
    view = np.transpose(view, (1, *range(2 + n, 2 + 2 * n), 0, *range(2, 2 + n)))
    return view.reshape(window.groups, x.shape[1] // window.groups * math.prod(window.kernel), -1)


def _rows(y: np.ndarray, window: Window) -> np.ndarray:
    """y as (groups, O/groups, N · places)."""
    return y.swapaxes(0, 1).reshape(window.groups, y.shape[1] // window.groups, -1)


def _places(x: np.ndarray, window: Window) -> tuple[int, ...]:
    """How many places the window has along each axis."""
    return tuple(
        (length - span) // s + 1
        for length, span, s in zip(x.shape[2:], window.spans, window.stride, strict=True)
    )


def _parts(y: np.ndarray, rows: int) -> Iterator[slice]:
    """The samples of y, as many at a time as the cache has room for their columns."""
    step = max(1, _COLUMNS // max(1, rows * math.prod(y.shape[2:])))
    return (slice(start, start + step) for start in range(0, len(y), step))


class _Conv(Module):
    """What convolutions and transposed ones have in common: arguments, parameters, and the checks of x."""

    axes = 1
    _transposed = False

    in_channels: int
    out_channels: int
    kernel_size: Any  # tuples, whatever was given
    stride: Any
    padding: Any
    dilation: Any
    groups: int

    def _make(self, bias: bool, dtype: Any) -> None:
        name, g = type(self).__name__, self.groups
        for argument, least in (("kernel_size", 1), ("stride", 1), ("dilation", 1)):
            setattr(self, argument, self._each_axis(argument, least))
        if g < 1 or self.in_channels % g or self.out_channels % g:
            given = f"in_channels {self.in_channels}, out_channels {self.out_channels}"
            raise ValueError(f"{name}: groups is {g}, wanted a divisor of {given}")
        channels = (self.out_channels, self.in_channels)
        first, second = channels[::-1] if self._transposed else channels
        self.weight = Parameter(np.empty((first, second // g, *self.kernel_size), dtype))
        self.bias = Parameter(np.empty(self.out_channels, dtype)) if bias else None
        self.reset_parameters()

    def _each_axis(self, argument: str, least: int) -> tuple[int, ...]:
        value = getattr(self, argument)
        values = tuple(value) if isinstance(value, tuple | list) else (value,) * self.axes
        if len(values) != self.axes or not all(
            isinstance(v, int | np.integer) and v >= least for v in values
        ):
            wanted = f"{least} or more" + (f", or {self.axes} such numbers" if self.axes > 1 else "")
            raise ValueError(f"{type(self).__name__}: {argument} is {value!r}, wanted {wanted}")
        return values

    def reset_parameters(self) -> None:
        """Draw W and b anew, in torch's order and by torch's formula."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in = math.prod(self.weight.shape[1:])
            bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0
            init.uniform_(self.bias, -bound, bound)

    @property
    def _window(self) -> Window:
        return Window(self.kernel_size, self.stride, self.dilation, self.groups)

    def _as_batch(self, x: np.ndarray) -> np.ndarray:
        """x with a first axis for the samples, after it was looked at."""
        if x.ndim not in (self.axes + 1, self.axes + 2) or x.shape[-1 - self.axes] != self.in_channels:
            shape = f"{self.in_channels}, {('L', 'H, W', 'D, H, W')[self.axes - 1]})"
            raise ValueError(f"{self}: x has shape {x.shape}, wanted (N, {shape} or ({shape}")
        if x.dtype != self.weight.dtype:
            raise TypeError(f"{self}: x is {x.dtype}, the weight {self.weight.dtype}; convert one of them")
        return x if x.ndim == self.axes + 2 else x[None]

    def _spread(self, y: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Out of the windows: dx or, transposed, what becomes y."""
        return spread(y, self.weight.data, self._window, shape)

    def _with_bias(self, y: np.ndarray) -> np.ndarray:
        if self.bias is not None:
            y += self.bias.data.reshape(-1, *[1] * self.axes)
        return y

    def _accumulate(self, dy: np.ndarray, small: np.ndarray, large: np.ndarray) -> None:
        """Add dW, from what is as small as the places and what is as large as x, and db."""
        self.weight.accumulate(outer, small, large, self._window, self.weight.shape)
        if self.bias is not None:
            self.bias.accumulate(np.add.reduce, dy, (0, *range(2, dy.ndim)))

    def extra_repr(self) -> str:
        """The constructor's arguments, as far as they are not the defaults."""
        told = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        )
        for name, usual in (
            ("padding", (0,) * self.axes),
            ("dilation", (1,) * self.axes),
            ("output_padding", (0,) * self.axes),
            ("groups", 1),
            ("padding_mode", "zeros"),
        ):
            if getattr(self, name, usual) != usual:
                told += f", {name}={getattr(self, name)!r}"
        return told if self.bias is not None else told + ", bias=False"


class Conv1d(_Conv):
    r"""A window of weights slides over sequences: $y_{not} = b_o + \sum_{cj} W_{ocj}\, x_{nc,\,ts+jd}$.

    The derivation is at the head of this file.

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size: k, one number or one for each axis; so the others.
        stride: s.
        padding: how many numbers are put at either end; "valid" is 0, "same" as many as keep the length (if
            an odd number, one more at the end), which goes with stride 1 alone.
        dilation: d.
        groups: into how many parts channels and outputs are cut; a divisor of both.
        bias: whether there is a b.
        padding_mode: what is put there: "zeros", "reflect", "replicate" or "circular", as the layers of
            padding.py do.
        dtype: of the parameters.

    Shape: x (N, C, L) or (C, L), y with O channels and ⌊(L + 2p - d(k - 1) - 1)/s⌋ + 1 places; W
    (O, C/groups, k) and b (O,), both from U(-v, v) with v = 1/sqrt(C/groups · k).

    Raises:
        ValueError: an argument below its least value; groups that do not divide; "same" with a stride; a
            window larger than x; x that has other axes or another number of channels.
        TypeError: x has another dtype than W.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        dtype: Any = np.float32,
    ) -> None:
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size, self.stride, self.dilation = kernel_size, stride, dilation
        self.padding, self.padding_mode = padding, padding_mode
        self._make(bias, dtype)
        name = type(self).__name__
        if padding_mode not in _PADDINGS:
            raise ValueError(
                f"{name}: padding_mode is {padding_mode!r}, wanted one of {', '.join(_PADDINGS)}"
            )
        if not isinstance(padding, str):
            self.padding = self._each_axis("padding", 0)
        elif padding not in ("valid", "same"):
            raise ValueError(f"{name}: padding is {padding!r}, wanted numbers, 'valid' or 'same'")
        elif padding == "same" and math.prod(self.stride) != 1:
            raise ValueError(f"{name}: padding is 'same' and stride {self.stride}, wanted stride 1")

    def _steps(self, x: np.ndarray) -> padding.Steps:
        """How each axis is padded."""
        both = [(0, 0)] * self.axes
        if self.padding == "same":
            both = [((span - 1) // 2, span - 1 - (span - 1) // 2) for span in self._window.spans]
        elif self.padding != "valid":
            both = [(p, p) for p in self.padding]
        if not any(map(any, both)):
            return []
        kind = getattr(padding, f"{_PADDINGS[self.padding_mode]}Pad{self.axes}d")
        return kind(tuple(itertools.chain(*reversed(both)))).steps(x)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """y = W X + b."""
        batch = self._as_batch(x)
        steps = self._steps(batch)
        padded = padding.pad(batch, steps)
        if min(_places(padded, self._window)) < 1:
            raise ValueError(f"{self}: the window is larger than x, of shape {x.shape}, with its padding")
        y = self._with_bias(correlate(padded, self.weight.data, self._window))
        self.save(padded, steps, y.shape, x.shape)
        return y if x.ndim > self.axes + 1 else y[0]

    def backward(self, dy: np.ndarray, needs_input_grad: bool = True) -> np.ndarray | None:
        """dW = dy Xᵀ, db = Σ dy, dx = the sum of Wᵀ dy over the places."""
        padded, steps, y_shape, shape = self.saved()
        self.check_grad(dy, y_shape if len(shape) > self.axes + 1 else y_shape[1:], padded.dtype)
        dy = dy.reshape(y_shape)
        self._accumulate(dy, dy, padded)
        if not needs_input_grad:
            return None
        dx = self._spread(dy, padded.shape)
        return padding.unpad(dx, steps).reshape(shape)


class Conv2d(Conv1d):
    """Conv1d for images: x (N, C, H, W) or (C, H, W), W (O, C/groups, k, k)."""

    axes = 2


class Conv3d(Conv1d):
    """Conv1d for volumes: x (N, C, D, H, W) or (C, D, H, W), W (O, C/groups, k, k, k)."""

    axes = 3


class ConvTranspose1d(_Conv):
    r"""The transpose of Conv1d: each number of x is spread out over a window of y, times the weights.

    $$y_{n o i} = b_o + \sum_{c} \sum_{t s + j d = i + p} W_{c o j}\, x_{n c t},$$

    so y is what Conv1d calls dx. Therefore dx is what Conv1d calls y, $dx = W\, Y$ with the columns Y of dy,
    and $dW = x\, Y^\top$. The derivation is at the head of this file.

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size: k, one number or one for each axis; so the others.
        stride: s.
        padding: p, how many numbers are cut away at either end of y.
        output_padding: how many numbers y has more at its end; below stride or dilation.
        groups: into how many parts channels and outputs are cut; a divisor of both.
        bias: whether there is a b.
        dilation: d.
        padding_mode: "zeros"; there is no other.
        dtype: of the parameters.

    Shape: x (N, C, L) or (C, L), y with O channels and (L - 1)s - 2p + d(k - 1) + output_padding + 1 numbers,
    or as many as forward is given as output_size; W (C, O/groups, k) and b (O,), both from U(-v, v) with
    v = 1/sqrt(O/groups · k).

    Raises:
        ValueError: an argument below its least value; groups that do not divide; output_padding that is too
            large; another padding_mode; an output_size that no output_padding gives; x that has other axes or
            another number of channels.
        TypeError: x has another dtype than W.
    """

    _transposed = True
    output_padding: Any

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
        padding_mode: str = "zeros",
        dtype: Any = np.float32,
    ) -> None:
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size, self.stride, self.dilation = kernel_size, stride, dilation
        self.padding, self.output_padding, self.padding_mode = padding, output_padding, padding_mode
        self._make(bias, dtype)
        name = type(self).__name__
        if padding_mode != "zeros":
            raise ValueError(f"{name}: padding_mode is {padding_mode!r}, wanted 'zeros'")
        self.padding, self.output_padding = (self._each_axis(n, 0) for n in ("padding", "output_padding"))
        for extra, s, d in zip(self.output_padding, self.stride, self.dilation, strict=True):
            if extra >= max(s, d):
                raise ValueError(
                    f"{name}: output_padding is {self.output_padding}, wanted less than the stride, "
                    f"{self.stride}, or the dilation, {self.dilation}"
                )

    def _spans(self, sizes: tuple[int, ...]) -> tuple[int, ...]:
        """How far what is spread out reaches."""
        return tuple(
            (n - 1) * s + span for n, s, span in zip(sizes, self.stride, self._window.spans, strict=True)
        )

    def _extra(self, spans: tuple[int, ...], wanted: tuple[int, ...] | None) -> tuple[int, ...]:
        """How much longer y is."""
        if wanted is None:
            return self.output_padding
        least = tuple(n - 2 * p for n, p in zip(spans, self.padding, strict=True))
        extra = tuple(n - m for n, m in zip(wanted[-self.axes :], least, strict=False))
        fits = [0 <= e < s for e, s in zip(extra, self.stride, strict=False)]
        if len(wanted) not in (self.axes, self.axes + 2) or not all(fits):
            told = f"{least}, each up to one less than the stride, {self.stride}, more"
            raise ValueError(f"{self}: output_size is {tuple(wanted)}, wanted {told}")
        return extra

    def forward(self, x: np.ndarray, output_size: tuple[int, ...] | None = None) -> np.ndarray:
        """y = Wᵀ x, added up where the windows overlap, and b."""
        batch = self._as_batch(x)
        spans = self._spans(batch.shape[2:])
        whole = [n + e for n, e in zip(spans, self._extra(spans, output_size), strict=True)]
        inner: Any = (..., *(slice(p, n - p) for p, n in zip(self.padding, whole, strict=True)))
        y = self._spread(batch, (len(batch), self.out_channels, *spans))
        if tuple(whole) != spans:
            y = _placed(y, whole, [0] * self.axes)
        y = y[inner]
        if 0 in y.shape[2:]:
            raise ValueError(f"{self}: of x, of shape {x.shape}, the padding leaves nothing")
        y = self._with_bias(y)
        self.save(batch, spans, whole, y.shape, x.shape)
        return y if x.ndim > self.axes + 1 else y[0]

    def backward(self, dy: np.ndarray, needs_input_grad: bool = True) -> np.ndarray | None:
        """dx = W Y, dW = x Yᵀ, db = Σ dy."""
        x, spans, whole, y_shape, shape = self.saved()
        self.check_grad(dy, y_shape if len(shape) > self.axes + 1 else y_shape[1:], x.dtype)
        dy = dy.reshape(y_shape)
        reached: Any = (..., *map(slice, spans))
        padded = _placed(dy, whole, self.padding)[reached]
        self._accumulate(dy, x, padded)
        if not needs_input_grad:
            return None
        return correlate(padded, self.weight.data, self._window).reshape(shape)


class ConvTranspose2d(ConvTranspose1d):
    """ConvTranspose1d for images: x (N, C, H, W) or (C, H, W), W (C, O/groups, k, k)."""

    axes = 2


class ConvTranspose3d(ConvTranspose1d):
    """ConvTranspose1d for volumes: x (N, C, D, H, W) or (C, D, H, W), W (C, O/groups, k, k, k)."""

    axes = 3
