"""Convolutions (PyTorch, torch/nn/modules/conv.py): F.convolution and F.conv_transpose, with their weights.

The derivation is in scratch/functional/conv.py; what runs are the faster functions of the same names in
scratch/functional/conv_fast.py.
"""

import math
from typing import Any

import numpy as np

from scratch.functional import conv_fast
from scratch.nn import init, padding
from scratch.nn.module import Module
from scratch.nn.parameter import Parameter

__all__ = ["Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"]


Size = int | tuple[int, ...]

# By torch's names, as F.pad calls them.
_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}


class _Conv(Module):
    """Base class: the arguments and parameters that convolutions and transposed ones have in common."""

    axes = 1
    _transposed = False
    _can_skip_dx = True

    in_channels: int
    out_channels: int
    kernel_size: Any  # tuples, whatever was given
    stride: Any
    padding: Any
    dilation: Any
    groups: int

    def _make(self, bias: bool, dtype: Any) -> None:
        name, g = type(self).__name__, self.groups
        for side, fewest in (("in_channels", 0), ("out_channels", 1)):
            if getattr(self, side) < fewest:
                raise ValueError(f"{name}: {side} is {getattr(self, side)}, expected {fewest} or more")
        for argument, least in (("kernel_size", 1), ("stride", 1), ("dilation", 1)):
            setattr(self, argument, self._each_axis(argument, least))
        if g < 1 or self.in_channels % g or self.out_channels % g:
            given = f"in_channels {self.in_channels}, out_channels {self.out_channels}"
            raise ValueError(f"{name}: groups is {g}, expected a divisor of {given}")
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
            expected = f"{least} or more" + (f", or {self.axes} such numbers" if self.axes > 1 else "")
            raise ValueError(f"{type(self).__name__}: {argument} is {value!r}, expected {expected}")
        return values

    def reset_parameters(self) -> None:
        """Draw W and b anew, in torch's order and by torch's formula."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in = math.prod(self.weight.shape[1:])
            bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0
            init.uniform_(self.bias, -bound, bound)

    def _check_input(self, x: Any) -> None:
        n, dtype = self.axes, self.weight.dtype
        if (
            not isinstance(x, np.ndarray)
            or x.dtype != dtype
            or x.ndim not in (n + 1, n + 2)
            or x.shape[-1 - n] != self.in_channels
        ):
            shape = f"{self.in_channels}, {('L', 'H, W', 'D, H, W')[n - 1]})"
            raise self.input_error("input", x, dtype, f"(N, {shape} or ({shape}")

    def extra_repr(self) -> str:
        """The constructor's arguments, as far as they are not the defaults."""
        shown = (
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
                shown += f", {name}={getattr(self, name)!r}"
        return shown if self.bias is not None else shown + ", bias=False"


class Conv1d(_Conv):
    r"""A window of weights slides over sequences: $y_{not} = b_o + \sum_{cj} W_{ocj}\, x_{nc,\,ts+jd}$.

    F.convolution with its W and b, drawn as torch draws them.

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
        padding_mode: what is put there: "zeros", "reflect", "replicate" or "circular", as F.pad does.
        dtype: of the parameters.

    Shape: x (N, C, L) or (C, L), y with O channels and ⌊(L + 2p - d(k - 1) - 1)/s⌋ + 1 places; W
    (O, C/groups, k) and b (O,), both from U(-v, v) with v = 1/sqrt(C/groups · k).

    Raises:
        ValueError: an argument below its least value; groups that do not divide; "same" with a stride; a
            window larger than x; x that has other axes or another number of channels.
        TypeError: x is not an array, or has another dtype than W.

    Example:
        >>> layer = Conv1d(2, 3, kernel_size=3)
        >>> layer(np.ones((5, 2, 8), np.float32)).shape
        (5, 3, 6)
        >>> layer.backward(np.ones((5, 3, 6), np.float32)).shape, layer.bias.grad
        ((5, 2, 8), array([30., 30., 30.], dtype=float32))
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
        if padding_mode not in _MODES:
            raise ValueError(f"{name}: padding_mode is {padding_mode!r}, expected one of {', '.join(_MODES)}")
        if not isinstance(padding, str):
            self.padding = self._each_axis("padding", 0)
        elif padding not in ("valid", "same"):
            raise ValueError(f"{name}: padding is {padding!r}, expected numbers, 'valid' or 'same'")
        elif padding == "same" and math.prod(self.stride) != 1:
            raise ValueError(f"{name}: padding is 'same' and stride {self.stride}, expected stride 1")
        self._ends = self._both_ends()

    def _both_ends(self) -> tuple[int, ...]:
        """The padding at either end, of the last axis first."""
        ends: list[int] = []
        for axis in reversed(range(self.axes)):
            both = 2 * self.padding[axis] if not isinstance(self.padding, str) else 0
            if self.padding == "same":
                both = self.dilation[axis] * (self.kernel_size[axis] - 1)
            ends += [both // 2, both - both // 2]
        return tuple(ends)

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = W X + b."""
        ends, mode = self._ends, _MODES[self.padding_mode]
        self._check_input(input)
        if mode != "constant":
            padding.check_length(self, input, ends, mode)
        for axis in range(-self.axes, 0):
            padded = input.shape[axis] + ends[-2 - 2 * axis] + ends[-1 - 2 * axis]
            if padded <= self.dilation[axis] * (self.kernel_size[axis] - 1):
                raise ValueError(
                    f"{self}: the window is larger than input, of shape {input.shape}, with its padding"
                )
        return self.run(
            conv_fast.convolution,
            conv_fast.convolution_backward,
            (input,),
            (self.weight, self.bias),
            self.stride,
            ends,
            self.dilation,
            self.groups,
            mode,
        )


class Conv2d(Conv1d):
    """Conv1d for images: x (N, C, H, W) or (C, H, W), W (O, C/groups, k, k)."""

    axes = 2


class Conv3d(Conv1d):
    """Conv1d for volumes: x (N, C, D, H, W) or (C, D, H, W), W (O, C/groups, k, k, k)."""

    axes = 3


class ConvTranspose1d(_Conv):
    r"""The transpose of Conv1d: each number of x is spread out over a window of y, times the weights.

    $$y_{n o i} = b_o + \sum_{c} \sum_{t s + j d = i + p} W_{c o j}\, x_{n c t},$$

    so y is what Conv1d calls dx, and dx what it calls y: F.conv_transpose with its W and b, drawn as torch
    draws them.

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
        TypeError: x is not an array, or has another dtype than W.

    Example:
        >>> layer = ConvTranspose1d(2, 3, kernel_size=3)
        >>> layer(np.ones((5, 2, 8), np.float32)).shape
        (5, 3, 10)
        >>> layer.backward(np.ones((5, 3, 10), np.float32)).shape, layer.bias.grad
        ((5, 2, 8), array([50., 50., 50.], dtype=float32))
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
            raise ValueError(f"{name}: padding_mode is {padding_mode!r}, expected 'zeros'")
        self.padding, self.output_padding = (self._each_axis(n, 0) for n in ("padding", "output_padding"))
        for extra, s, d in zip(self.output_padding, self.stride, self.dilation, strict=True):
            if extra >= max(s, d):
                raise ValueError(
                    f"{name}: output_padding is {self.output_padding}, expected less than the stride, "
                    f"{self.stride}, or the dilation, {self.dilation}"
                )

    def _extra(self, x: np.ndarray, output_size: tuple[int, ...]) -> tuple[int, ...]:
        """The numbers to be added to the length of y."""
        least = []
        for axis in range(-self.axes, 0):
            span = self.dilation[axis] * (self.kernel_size[axis] - 1) + 1
            least.append((x.shape[axis] - 1) * self.stride[axis] + span - 2 * self.padding[axis])
        extra = tuple(n - m for n, m in zip(output_size[-self.axes :], least, strict=False))
        fits = [0 <= e < s for e, s in zip(extra, self.stride, strict=False)]
        if len(output_size) not in (self.axes, self.axes + 2) or not all(fits):
            expected = f"{tuple(least)}, each up to one less than the stride, {self.stride}, more"
            raise ValueError(f"{self}: output_size is {tuple(output_size)}, expected {expected}")
        return extra

    def forward(self, input: np.ndarray, output_size: tuple[int, ...] | None = None) -> np.ndarray:
        """y = Wᵀ x, added up where the windows overlap, and b."""
        self._check_input(input)
        extra = self.output_padding if output_size is None else self._extra(input, output_size)
        ends: tuple[int, ...] = ()
        for axis in range(-self.axes, 0):
            p, e = self.padding[axis], extra[axis]
            span = self.dilation[axis] * (self.kernel_size[axis] - 1) + 1
            if (input.shape[axis] - 1) * self.stride[axis] + span - 2 * p + e < 1:
                raise ValueError(f"{self}: of input, of shape {input.shape}, the padding leaves nothing")
            if not input.shape[axis]:
                raise ValueError(
                    f"{self}: input has shape {input.shape}, expected 1 or more along axis {axis}"
                )
            ends = (p, p - e, *ends)
        return self.run(
            conv_fast.conv_transpose,
            conv_fast.conv_transpose_backward,
            (input,),
            (self.weight, self.bias),
            self.stride,
            ends,
            self.dilation,
            self.groups,
        )


class ConvTranspose2d(ConvTranspose1d):
    """ConvTranspose1d for images: x (N, C, H, W) or (C, H, W), W (C, O/groups, k, k)."""

    axes = 2


class ConvTranspose3d(ConvTranspose1d):
    """ConvTranspose1d for volumes: x (N, C, D, H, W) or (C, D, H, W), W (C, O/groups, k, k, k)."""

    axes = 3
