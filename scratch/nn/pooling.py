"""Pooling (PyTorch, torch/nn/modules/pooling.py)."""

import math
from typing import Any

import numpy as np

from scratch import functional as F
from scratch.functional.pooling import in_boxes
from scratch.functional.taps import Taps
from scratch.nn.module import Module, arguments

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
]


Size = int | tuple[int, ...]
OutputSize = int | tuple[int | None, ...] | None


def _each_axis(module: "_Pool", name: str, least: int = 1) -> tuple[int, ...]:
    """The argument of this name for each axis: a number for all, or one for each."""
    value, n = getattr(module, name), module.axes
    values = tuple(value) if isinstance(value, tuple | list) else (value,)
    values = values * n if len(values) == 1 else values
    if len(values) != n or not all(isinstance(v, int | np.integer) and v >= least for v in values):
        expected = f"{least} or more" + (f", or {n} such numbers" if n > 1 else "")
        raise ValueError(f"{type(module).__name__}: {name} is {value!r}, expected {expected}")
    return values


class _Pool(Module):
    """Base class: a window slides over the last axes."""

    axes: int = 1

    def _checked_windows(self, x: np.ndarray) -> list[Taps]:
        """The windows along each of the last axes, from the front; x is refused if it has not those axes."""
        is_array = isinstance(x, np.ndarray) and x.dtype.kind in "biufc"
        if not is_array or x.ndim not in (self.axes + 1, self.axes + 2):
            expected = ("(C, L)", "(C, H, W)", "(C, D, H, W)")[self.axes - 1]
            expected = f"(N, {expected[1:]} or {expected}"
            if is_array:
                raise ValueError(f"{self}: input has shape {x.shape}, expected {expected}")
            raise self.input_error("input", x, None, expected)
        return self._windows(x.shape[-self.axes :])

    def _windows(self, sizes: tuple[int, ...]) -> list[Taps]:
        raise NotImplementedError

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return arguments(self)


class _Fixed(_Pool):
    """Windows of one size, so far apart."""

    kernel_size: Any
    stride: Any
    padding: Any = 0
    dilation: Any = 1
    ceil_mode: bool
    _each: list[tuple[int, ...]]  # (kernel_size, stride, padding, dilation) of each axis

    def _check(self) -> None:
        """Refuse sizes that make no windows, and keep them for each axis."""
        kernel = _each_axis(self, "kernel_size")
        stride = kernel if self.stride is None else _each_axis(self, "stride")
        padding, dilation = _each_axis(self, "padding", 0), _each_axis(self, "dilation")
        for k, p, d in zip(kernel, padding, dilation, strict=True):
            if p > (d * (k - 1) + 1) // 2:
                raise ValueError(
                    f"{type(self).__name__}: padding is {self.padding}, expected at most half of the window"
                )
        self._each = list(zip(kernel, stride, padding, dilation, strict=True))

    def _windows(self, sizes: tuple[int, ...]) -> list[Taps]:
        windows = []
        for length, window in zip(sizes, self._each, strict=True):
            taps = F.fixed_windows(length, *window, self.ceil_mode)
            if taps.count < 1:
                raise ValueError(f"{self}: the window is larger than input, whose last sizes are {sizes}")
            windows.append(taps)
        return windows


class _Adaptive(_Pool):
    """A given number of windows, of whatever size that makes."""

    output_size: Any

    def _check(self) -> None:
        """Refuse an output_size of the wrong kind."""
        n, value = self.axes, self.output_size
        values = value if isinstance(value, tuple | list) else (value,) * n
        fit = [v is None or (isinstance(v, int | np.integer) and v >= 0) for v in values]
        if len(values) != n or not all(fit):
            expected = "0 or more" if n == 1 else f"0 or more, or {n} such numbers or None"
            raise ValueError(f"{type(self).__name__}: output_size is {value!r}, expected {expected}")

    def _windows(self, sizes: tuple[int, ...]) -> list[Taps]:
        counts = self.output_size
        counts = counts if isinstance(counts, tuple | list) else (counts,) * self.axes
        if not all(sizes):
            raise ValueError(f"{self}: input has last sizes {sizes}, expected 1 or more")
        return [
            F.adaptive_windows(size, size if count is None else count)
            for size, count in zip(sizes, counts, strict=True)
        ]


# ---- the largest


class _Max(_Pool):
    """The largest number of each window, and on request where it was."""

    return_indices: bool

    def forward(self, input: np.ndarray) -> Any:
        """y = max over each window; with return_indices also its position in the plane."""
        windows = self._checked_windows(input)
        if not self.return_indices:
            return self.run(F.max_pool, F.max_pool_backward, (input,), (), windows)
        indices = []

        def max_pool(x: np.ndarray, windows: list[Taps]) -> tuple[np.ndarray, Any]:
            y, saved = F.max_pool(x, windows)
            indices.append(F.max_pool_indices(saved))
            return y, saved

        return self.run(max_pool, F.max_pool_backward, (input,), (), windows), *indices

    def backward(self, dy: np.ndarray | None, dindices: Any = None) -> np.ndarray:
        """dx = dy at the position of the largest, added up over the windows; indices have no gradient."""
        if dy is None and self.return_indices and self._saved:
            *_, shape, dtype, _ = self._saved[self._position()]
            dy = np.zeros(shape, dtype)
        return super().backward(dy)


class MaxPool1d(_Max, _Fixed):
    r"""The largest number of each window: F.max_pool. Padding is -∞, which never wins.

    Args:
        kernel_size: the window, one number for all axes or one for each.
        stride: how far windows are apart; kernel_size if None.
        padding: how far windows reach over either edge, at most half of their size.
        dilation: how far apart the numbers of a window are.
        return_indices: whether forward gives (y, indices): where in its plane each maximum was.
        ceil_mode: whether a last window may reach over the edge.

    Shape: x (N, C, L) or (C, L). y and indices have O in the place of L; see F.fixed_windows.

    Raises:
        ValueError: an argument below its least value, padding of more than half a window, or x that has
            another number of axes or is smaller than the window.

    Example:
        >>> pool = MaxPool1d(2)
        >>> pool(np.array([[3.0, 5.0, 4.0, 1.0]]))
        array([[5., 4.]])
        >>> pool.backward(np.ones((1, 2)))
        array([[0., 1., 1., 0.]])
    """

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        dilation: Size = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode
        self._check()


class MaxPool2d(MaxPool1d):
    """MaxPool1d for images: x (N, C, H, W) or (C, H, W)."""

    axes = 2


class MaxPool3d(MaxPool1d):
    """MaxPool1d for volumes: x (N, C, D, H, W) or (C, D, H, W)."""

    axes = 3


class AdaptiveMaxPool1d(_Max, _Adaptive):
    r"""The largest number of each of a given number of windows: as MaxPool, with windows that cover x.

    Args:
        output_size: how many windows, one number for all axes or one for each; None for as many as x has.
        return_indices: whether forward gives (y, indices): where in its plane each maximum was.

    Shape: x (N, C, L) or (C, L). y and indices have output_size in the place of L.

    Raises:
        ValueError: output_size is below 0, or x has another number of axes, or an axis of 0.

    Example:
        >>> pool = AdaptiveMaxPool1d(1)
        >>> pool(np.array([[3.0, 5.0, 4.0, 1.0]]))
        array([[5.]])
        >>> pool.backward(np.ones((1, 1)))
        array([[0., 1., 0., 0.]])
    """

    def __init__(self, output_size: OutputSize, return_indices: bool = False) -> None:
        self.output_size, self.return_indices = output_size, return_indices
        self._check()


class AdaptiveMaxPool2d(AdaptiveMaxPool1d):
    """AdaptiveMaxPool1d for images: x (N, C, H, W) or (C, H, W)."""

    axes = 2


class AdaptiveMaxPool3d(AdaptiveMaxPool1d):
    """AdaptiveMaxPool1d for volumes: x (N, C, D, H, W) or (C, D, H, W)."""

    axes = 3


# ---- the mean


class _Mean(_Pool):
    """The mean of each window."""

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = the sum over each window, divided by how many numbers it counts."""
        windows = self._checked_windows(input)
        if input.dtype.kind not in "fc":
            raise self.input_error("input", input, None, "")
        return self.run(F.avg_pool, F.avg_pool_backward, (input,), (), windows, self._divisor(windows))

    def _divisor(self, windows: list[Taps]) -> np.ndarray | None:
        """Another D than F.avg_pool's own."""
        return None


class AvgPool1d(_Mean, _Fixed):
    r"""The mean of each window: F.avg_pool.

    It divides by the size of the window, with the padding (which is 0) that it stands on or, if
    count_include_pad is False, without. Numbers of the window beyond the padding never count.

    Args:
        kernel_size: the window, one number for all axes or one for each.
        stride: how far windows are apart; kernel_size if None.
        padding: how far windows reach over either edge, at most half of their size.
        ceil_mode: whether a last window may reach over the edge.
        count_include_pad: whether padding counts.

    Shape: x (N, C, L) or (C, L). y has O in the place of L; see F.fixed_windows.

    Raises:
        ValueError: an argument below its least value, padding of more than half a window, or x that has
            another number of axes or is smaller than the window.
        TypeError: x is of integers.

    Example:
        >>> pool = AvgPool1d(2)
        >>> pool(np.array([[3.0, 5.0, 4.0, 0.0]]))
        array([[4., 2.]])
        >>> pool.backward(np.ones((1, 2)))
        array([[0.5, 0.5, 0.5, 0.5]])
    """

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.ceil_mode, self.count_include_pad = padding, ceil_mode, count_include_pad
        self._check()

    divisor_override: int | None = None

    def _divisor(self, windows: list[Taps]) -> np.ndarray | None:
        if self.divisor_override is not None:
            return np.array([self.divisor_override])
        if not self.count_include_pad:
            return None
        sizes = []
        for taps, (k, s, p, _) in zip(windows, self._each, strict=True):
            start = np.arange(taps.count) * s - p
            sizes.append(np.minimum(start + k, taps.length + p) - start)
        return in_boxes(sizes)


class AvgPool2d(AvgPool1d):
    """AvgPool1d for images, x (N, C, H, W) or (C, H, W); and with divisor_override, D for all windows.

    Raises:
        ValueError: as AvgPool1d; or divisor_override is 0.
    """

    axes = 2

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)
        if divisor_override == 0:
            raise ValueError(f"{type(self).__name__}: divisor_override is 0, expected another number")
        self.divisor_override = divisor_override


class AvgPool3d(AvgPool2d):
    """AvgPool2d for volumes: x (N, C, D, H, W) or (C, D, H, W)."""

    axes = 3


class AdaptiveAvgPool1d(_Mean, _Adaptive):
    r"""The mean of each of a given number of windows: as AvgPool, with windows that cover x.

    Args:
        output_size: how many windows, one number for all axes or one for each; None for as many as x has.

    Shape: x (N, C, L) or (C, L). y has output_size in the place of L.

    Raises:
        ValueError: output_size is below 0, or x has another number of axes, or an axis of 0.
        TypeError: x is of integers.

    Example:
        >>> pool = AdaptiveAvgPool1d(1)
        >>> pool(np.array([[3.0, 5.0, 4.0, 0.0]]))
        array([[3.]])
        >>> pool.backward(np.ones((1, 1)))
        array([[0.25, 0.25, 0.25, 0.25]])
    """

    def __init__(self, output_size: OutputSize) -> None:
        self.output_size = output_size
        self._check()


class AdaptiveAvgPool2d(AdaptiveAvgPool1d):
    """AdaptiveAvgPool1d for images: x (N, C, H, W) or (C, H, W)."""

    axes = 2


class AdaptiveAvgPool3d(AdaptiveAvgPool1d):
    """AdaptiveAvgPool1d for volumes: x (N, C, D, H, W) or (C, D, H, W)."""

    axes = 3


# ---- the norm


class LPPool1d(_Fixed):
    r"""The p-norm of each window, the sum for p = 1, near the maximum for large p: F.lp_pool.

    Args:
        norm_type: p.
        kernel_size: the window, one number for all axes or one for each.
        stride: how far windows are apart; kernel_size if None.
        ceil_mode: whether a last window may reach over the edge.

    Shape: x (N, C, L) or (C, L). y has O in the place of L; see F.fixed_windows.

    Raises:
        ValueError: norm_type is 0, kernel_size or stride below 1, or x that has another number of axes or
            is smaller than the window.
        TypeError: x is of integers.

    Example:
        >>> pool = LPPool1d(2, 2)
        >>> pool(np.array([[3.0, 4.0]]))
        array([[5.]])
        >>> pool.backward(np.ones((1, 1)))
        array([[0.6, 0.8]])
    """

    def __init__(
        self, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False
    ) -> None:
        if norm_type == 0 or not math.isfinite(norm_type):
            raise ValueError(
                f"{type(self).__name__}: norm_type is {norm_type}, expected a finite number other than 0; "
                "for the largest of each window use MaxPool"
            )
        self.norm_type, self.kernel_size = norm_type, kernel_size
        self.stride, self.ceil_mode = stride, ceil_mode
        self._check()

    def forward(self, input: np.ndarray) -> np.ndarray:
        """S = c Σ x^p, y = S^(1/p)."""
        windows = self._checked_windows(input)
        if input.dtype.kind not in "fc":
            raise self.input_error("input", input, None, "")
        p, size = float(self.norm_type), math.prod(_each_axis(self, "kernel_size"))
        return self.run(F.lp_pool, F.lp_pool_backward, (input,), (), windows, p, size)


class LPPool2d(LPPool1d):
    """LPPool1d for images: x (N, C, H, W) or (C, H, W)."""

    axes = 2


class LPPool3d(LPPool1d):
    """LPPool1d for volumes: x (N, C, D, H, W) or (C, D, H, W)."""

    axes = 3


# ---- back to where the largest was


class MaxUnpool1d(_Fixed):
    r"""Each number goes back to where MaxPool found it, and all else is 0: F.max_unpool.

    Args:
        kernel_size: as MaxPool had it.
        stride: as MaxPool had it; kernel_size if None.
        padding: as MaxPool had it.

    Shape: x and indices (N, C, L) or (C, L). y has (L - 1)·s - 2p + k in the place of L, or what forward is
    given as output_size: the size of what MaxPool was given, of the last axes or of all.

    Raises:
        ValueError: an argument below its least value; x that has another number of axes than it should have
            or another shape than the indices; indices that are not in y; an output_size that is s or more
            away from the above.
        TypeError: indices are not int64.

    Example:
        >>> unpool = MaxUnpool1d(2)
        >>> unpool(np.array([[5.0, 4.0]]), np.array([[1, 2]]))
        array([[0., 5., 4., 0.]])
        >>> unpool.backward(np.ones((1, 4)))
        (array([[1., 1.]]), None)
    """

    ceil_mode = False

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0) -> None:
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding = padding
        self._check()

    def forward(
        self, input: np.ndarray, indices: np.ndarray, output_size: tuple[int, ...] | None = None
    ) -> np.ndarray:
        """y = 0 but for x at the indices."""
        for name, x in (("input", input), ("indices", indices)):
            if not isinstance(x, np.ndarray):
                raise self.input_error(name, x, None, "")
        self._checked_windows(input)
        sizes = self._output_sizes(input.shape[-self.axes :], output_size)
        if indices.dtype != np.int64:
            raise TypeError(f"{self}: indices are {indices.dtype}, expected int64")
        if indices.shape != input.shape:
            raise ValueError(f"{self}: indices have shape {indices.shape}, input {input.shape}")
        if indices.size and not 0 <= np.min(indices) <= np.max(indices) < math.prod(sizes):
            raise ValueError(
                f"{self}: indices go from {np.min(indices)} to {np.max(indices)}, but y has sizes {sizes}"
            )
        return self.run(F.max_unpool, F.max_unpool_backward, (input, indices), (), sizes)

    def _windows(self, sizes: tuple[int, ...]) -> list[Taps]:
        return []  # those of MaxPool, from which the indices come

    def _output_sizes(self, sizes: tuple[int, ...], given: tuple[int, ...] | None) -> tuple[int, ...]:
        usual = tuple(
            (size - 1) * s - 2 * p + k for size, (k, s, p, _) in zip(sizes, self._each, strict=True)
        )
        if given is None:
            return usual
        last = tuple(given)[-self.axes :]
        near = [abs(n - u) < s for n, u, (_, s, *_) in zip(last, usual, self._each, strict=False)]
        if len(given) not in (self.axes, self.axes + 2) or not all(near):
            expected = f"{usual}, each size less than a stride off"
            raise ValueError(f"{self}: output_size is {given}, expected around {expected}")
        return last


class MaxUnpool2d(MaxUnpool1d):
    """MaxUnpool1d for images: x and indices (N, C, H, W) or (C, H, W)."""

    axes = 2


class MaxUnpool3d(MaxUnpool1d):
    """MaxUnpool1d for volumes: x and indices (N, C, D, H, W) or (C, D, H, W)."""

    axes = 3
