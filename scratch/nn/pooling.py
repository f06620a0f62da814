r"""Pooling (PyTorch, torch/nn/modules/pooling.py).

A window slides over the last one, two or three axes, and each place of it becomes one number: the largest in
the window, the mean, a norm. All three go axis by axis, since the largest of a box is the largest of the
largest in its rows, and a sum over it is a sum of sums; so a window of k·k costs 2k steps and not k². The
places of the window along an axis are a table of positions (taps.py), for fixed windows and for adaptive
ones alike. Where a window stands over the edge the table has no position, so padding is never made, and no
gradient of it has to be cut away.

For fixed windows, with kernel_size k, stride s, padding p and dilation d, output o stands on

    o·s - p + j·d    for j = 0 … k - 1,

and there are O = ⌊(L + 2p - d(k - 1) - 1) / s⌋ + 1 outputs of L inputs. With ceil_mode the division is
rounded up, if the last window then still starts on the input or on the padding to its left. An adaptive
window o of O stands on ⌊o·L/O⌋ … ⌈(o + 1)·L/O⌉ - 1.
"""

import math
from functools import lru_cache
from typing import Any

import numpy as np

from scratch.nn.module import Module, arguments
from scratch.nn.taps import Taps, at, resized

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
        wanted = f"{least} or more" + (f", or {n} such numbers" if n > 1 else "")
        raise ValueError(f"{type(module).__name__}: {name} is {value!r}, wanted {wanted}")
    return values


class _Pool(Module):
    """What slides a window over the last axes."""

    axes: int = 1

    def _taps(self, x: np.ndarray) -> list[tuple[int, Taps]]:
        """Each axis, from the front, with its windows."""
        self._check_axes(x)
        sizes = x.shape[-self.axes :]
        return list(zip(range(-self.axes, 0), self._windows(sizes), strict=True))

    def _check_axes(self, x: np.ndarray) -> None:
        if x.ndim not in (self.axes + 1, self.axes + 2):
            wanted = ("(C, L)", "(C, H, W)", "(C, D, H, W)")[self.axes - 1]
            raise ValueError(f"{self}: x has shape {x.shape}, wanted (N, {wanted[1:]} or {wanted}")

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

    def _check(self) -> None:
        """Refuse sizes that make no windows."""
        kernel, padding, dilation = (
            _each_axis(self, name, least)
            for name, least in (("kernel_size", 1), ("padding", 0), ("dilation", 1))
        )
        if self.stride is not None:
            _each_axis(self, "stride")
        for k, p, d in zip(kernel, padding, dilation, strict=True):
            if p > (d * (k - 1) + 1) // 2:
                raise ValueError(
                    f"{type(self).__name__}: padding is {self.padding}, wanted at most half of the window"
                )

    def _sizes(self) -> list[tuple[int, ...]]:
        """(kernel_size, stride, padding, dilation) of each axis."""
        names = ("kernel_size", "kernel_size" if self.stride is None else "stride", "padding", "dilation")
        return list(zip(*(_each_axis(self, name, 0) for name in names), strict=True))

    def _windows(self, sizes: tuple[int, ...]) -> list[Taps]:
        windows = [
            fixed_windows(length, *size, self.ceil_mode)
            for length, size in zip(sizes, self._sizes(), strict=True)
        ]
        if any(w.count < 1 for w in windows):
            raise ValueError(f"{self}: the window is larger than x, whose last sizes are {sizes}")
        return windows


class _Adaptive(_Pool):
    """So many windows, of whatever size that makes."""

    output_size: Any

    def _check(self) -> None:
        """Refuse an output_size of the wrong kind."""
        n, value = self.axes, self.output_size
        values = value if isinstance(value, tuple | list) else (value,) * n
        fit = [v is None or (isinstance(v, int | np.integer) and v >= 0) for v in values]
        if len(values) != n or not all(fit):
            wanted = "0 or more" if n == 1 else f"0 or more, or {n} such numbers or None"
            raise ValueError(f"{type(self).__name__}: output_size is {value!r}, wanted {wanted}")

    def _windows(self, sizes: tuple[int, ...]) -> list[Taps]:
        wanted = self.output_size
        wanted = wanted if isinstance(wanted, tuple | list) else (wanted,) * self.axes
        if not all(sizes):
            raise ValueError(f"{self}: x has last sizes {sizes}, wanted 1 or more")
        return [
            adaptive_windows(size, size if count is None else count)
            for size, count in zip(sizes, wanted, strict=True)
        ]


@lru_cache(maxsize=256)
def fixed_windows(length: int, k: int, s: int, p: int, d: int, ceil_mode: bool = False) -> Taps:
    """The places of a window of k, every s."""
    count = (length + 2 * p - d * (k - 1) - 1 + (s - 1 if ceil_mode else 0)) // s + 1
    if ceil_mode and (count - 1) * s >= length + p:
        count -= 1
    table = np.arange(max(count, 0))[:, None] * s - p + np.arange(k) * d
    return Taps(length, np.where((table >= 0) & (table < length), table, -1))


@lru_cache(maxsize=256)
def adaptive_windows(length: int, count: int) -> Taps:
    """So many windows that cover the axis."""
    o = np.arange(count)
    start, end = o * length // max(count, 1), -(-(o + 1) * length // max(count, 1))
    table = start[:, None] + np.arange(np.max(end - start, initial=1))
    return Taps(length, np.where(table < end[:, None], table, -1))


# ---- the largest


class _Max(_Pool):
    """The largest number of each window, and on request where it was."""

    return_indices: bool

    def forward(self, x: np.ndarray) -> Any:
        """y = max over each window; with return_indices also its position in the plane."""
        steps, y = [], x
        for axis, taps in reversed(self._taps(x)):
            y, won = self._largest(y, axis, taps)
            steps.append((axis, taps, won, y.shape))
        self.save(y.shape, y.dtype, steps)
        return (y, _positions(steps)) if self.return_indices else y

    def backward(  # type: ignore[override]
        self, dy: np.ndarray | None, dindices: Any = None, needs_input_grad: bool = True
    ) -> np.ndarray:
        """dx = dy at the position of the largest, added up over the windows; indices have no gradient."""
        shape, dtype, steps = self.saved()
        dx = np.zeros(shape, dtype) if dy is None else dy
        self.check_grad(dx, shape, dtype)
        for axis, taps, won, _ in reversed(steps):
            dx = self._hand_back(dx, axis, taps, won)
        return dx

    def _largest(self, x: np.ndarray, axis: int, taps: Taps) -> tuple[np.ndarray, list[np.ndarray]]:
        """y_o = max_j x[table_oj] along the axis and, for each tap, which of its inputs are that maximum."""
        lowest = np.iinfo(x.dtype).min if x.dtype.kind in "iu" else -np.inf
        y = np.full_like(x, lowest, shape=resized(x, axis, taps.count))
        # Which column won: at the start the first that has an input, so that -inf wins as well.
        start = np.argmax(taps.table >= 0, axis=1).astype(np.min_scalar_type(taps.width))
        best = np.empty(y.shape, start.dtype)
        best[...] = start.reshape(-1, *[1] * (-1 - axis))
        for column, outputs, inputs in taps.taps:
            here = at(axis, outputs)
            new = x[at(axis, inputs)]
            if column == 0:
                y[here] = new
                continue
            better = self._beats(new, y[here])
            y[here] = np.where(better, new, y[here]) if x.dtype.kind == "c" else np.maximum(new, y[here])
            best[here] = np.maximum(best[here], better * best.dtype.type(column))
        return y, [best[at(axis, tap.outputs)] == tap.column for tap in taps.taps]

    def _beats(self, new: np.ndarray, old: np.ndarray) -> np.ndarray:
        """Whether the later number takes the place of the earlier: of equals the first stays, of nans not."""
        return (new.real > old.real) | (new != new)

    def _hand_back(self, dy: np.ndarray, axis: int, taps: Taps, won: list[np.ndarray]) -> np.ndarray:
        """dx_i = Σ dy_o over the windows whose maximum is x_i."""
        dx = np.zeros_like(dy, shape=resized(dy, axis, taps.length))
        for (_, outputs, inputs), is_largest in zip(taps.taps, won, strict=True):
            dx[at(axis, inputs)] += dy[at(axis, outputs)] * is_largest
        return dx


def _positions(steps: list[tuple[int, Taps, list[np.ndarray], tuple[int, ...]]]) -> np.ndarray:
    """Where in its plane each maximum is, counted row by row; the last axis's step comes first."""
    found: Any = 0
    stride = 1
    for axis, taps, won, shape in steps:
        here = np.zeros(shape, np.int64)
        for (_, outputs, inputs), is_largest in reversed(list(zip(taps.taps, won, strict=True))):
            place = np.arange(taps.length)[inputs].reshape(-1, *[1] * (-1 - axis))
            here[at(axis, outputs)] = np.where(is_largest, place, here[at(axis, outputs)])
        found = here if stride == 1 else np.take_along_axis(found, here, axis) + here * stride
        stride *= taps.length
    return found


class MaxPool1d(_Max, _Fixed):
    r"""The largest number of each window.

    $$y_o = \max_{i \in W_o} x_i, \qquad
      \frac{\partial y_o}{\partial x_i} = [i = i_o], \qquad
      dx_i = \sum_{o : i_o = i} dy_o,$$

    where $i_o$ is the position of the maximum: the first if there are several, row by row, as torch has it.
    A window that holds a nan gives nan. Padding is -∞, which never wins.

    Args:
        kernel_size: the window, one number for all axes or one for each.
        stride: how far windows are apart; kernel_size if None.
        padding: how far windows reach over either edge, at most half of their size.
        dilation: how far apart the numbers of a window are.
        return_indices: whether forward gives (y, indices): where in its plane each maximum was.
        ceil_mode: whether a last window may reach over the edge.

    Shape: x (N, C, L) or (C, L). y and indices have O in the place of L, see above.

    Raises:
        ValueError: an argument below its least value, padding of more than half a window, or x that has
            another number of axes or is smaller than the window.
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
    r"""The largest number of each of so many windows: as MaxPool, with windows that cover x.

    Args:
        output_size: how many windows, one number for all axes or one for each; None for as many as x has.
        return_indices: whether forward gives (y, indices): where in its plane each maximum was.

    Shape: x (N, C, L) or (C, L). y and indices have output_size in the place of L.

    Raises:
        ValueError: output_size is below 0, or x has another number of axes, or an axis of 0.
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

    def forward(self, x: np.ndarray) -> np.ndarray:
        """y = the sum over each window, divided by what it counts."""
        if x.dtype.kind not in "fc":
            raise TypeError(f"{self}: x is {x.dtype}, wanted floating numbers")
        steps, y = self._taps(x), x
        for axis, taps in steps:
            y = taps.gather(y, axis)
        divisor = self._divisor([taps for _, taps in steps]).astype(x.real.dtype)
        self.save(y.shape, y.dtype, steps, divisor)
        return y / divisor

    def backward(self, dy: np.ndarray, needs_input_grad: bool = True) -> np.ndarray:
        """dx = dy / divisor, added up over the windows."""
        shape, dtype, steps, divisor = self.saved()
        self.check_grad(dy, shape, dtype)
        dx = dy / divisor
        for axis, taps in reversed(steps):
            dx = taps.scatter(dx, axis)
        return dx

    def _divisor(self, windows: list[Taps]) -> np.ndarray:
        """How many numbers are in each window, (O, …), or one number if it is the same for all."""
        return _product([np.count_nonzero(taps.table >= 0, axis=1) for taps in windows])


def _product(counts: list[np.ndarray]) -> np.ndarray:
    """The numbers in each box, from those along each axis."""
    if all(np.all(n == n[:1]) for n in counts):
        return np.prod([n[:1] for n in counts], axis=0)
    return math.prod(np.ix_(*counts), start=np.ones(1, int))


class AvgPool1d(_Mean, _Fixed):
    r"""The mean of each window.

    $$y_o = \frac{1}{D_o} \sum_{i \in W_o} x_i, \qquad
      \frac{\partial y_o}{\partial x_i} = \frac{[i \in W_o]}{D_o}, \qquad
      dx_i = \sum_{o : i \in W_o} \frac{dy_o}{D_o}.$$

    $D_o$ is the size of the window, with the padding (which is 0) that it stands on or, if count_include_pad
    is False, without. What reaches over the padding never counts.

    Args:
        kernel_size: the window, one number for all axes or one for each.
        stride: how far windows are apart; kernel_size if None.
        padding: how far windows reach over either edge, at most half of their size.
        ceil_mode: whether a last window may reach over the edge.
        count_include_pad: whether padding counts.

    Shape: x (N, C, L) or (C, L). y has O in the place of L, see above.

    Raises:
        ValueError: an argument below its least value, padding of more than half a window, or x that has
            another number of axes or is smaller than the window.
        TypeError: x is of integers.
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

    def _divisor(self, windows: list[Taps]) -> np.ndarray:
        if self.divisor_override is not None:
            return np.array([self.divisor_override])
        if not self.count_include_pad:
            return super()._divisor(windows)
        sizes = []
        for taps, (k, s, p, _) in zip(windows, self._sizes(), strict=True):
            start = np.arange(taps.count) * s - p
            sizes.append(np.minimum(start + k, taps.length + p) - start)
        return _product(sizes)


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
            raise ValueError(f"{type(self).__name__}: divisor_override is 0, wanted another number")
        self.divisor_override = divisor_override


class AvgPool3d(AvgPool2d):
    """AvgPool2d for volumes: x (N, C, D, H, W) or (C, D, H, W)."""

    axes = 3


class AdaptiveAvgPool1d(_Mean, _Adaptive):
    r"""The mean of each of so many windows: as AvgPool, with windows that cover x.

    Args:
        output_size: how many windows, one number for all axes or one for each; None for as many as x has.

    Shape: x (N, C, L) or (C, L). y has output_size in the place of L.

    Raises:
        ValueError: output_size is below 0, or x has another number of axes, or an axis of 0.
        TypeError: x is of integers.
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
    r"""The p-norm of each window: the sum for p = 1, near the maximum for large p.

    $$S_o = c_o \sum_{i \in W_o} x_i^p, \qquad y_o = S_o^{1/p}, \qquad
      \frac{\partial y_o}{\partial x_i} = \tfrac1p S_o^{1/p - 1} c_o\, p\, x_i^{p-1}, \qquad
      dx_i = x_i^{p-1} \sum_{o : i \in W_o} c_o S_o^{1/p - 1}\, dy_o,$$

    where $c_o$ is 1, but for a window of ceil_mode that reaches over the edge it is its size by what of it
    stands on x. As torch has it: $x_i^p$, not $|x_i|^p$, so that y is nan where p is odd and $S_o$ negative;
    and where $S_o = 0$ the gradient is 0.

    Args:
        norm_type: p.
        kernel_size: the window, one number for all axes or one for each.
        stride: how far windows are apart; kernel_size if None.
        ceil_mode: whether a last window may reach over the edge.

    Shape: x (N, C, L) or (C, L). y has O in the place of L, see above.

    Raises:
        ValueError: norm_type is 0, kernel_size or stride below 1, or x that has another number of axes or
            is smaller than the window.
        TypeError: x is of integers.
    """

    def __init__(
        self, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False
    ) -> None:
        if norm_type == 0:
            raise ValueError(f"{type(self).__name__}: norm_type is 0, wanted another number")
        self.norm_type, self.kernel_size = norm_type, kernel_size
        self.stride, self.ceil_mode = stride, ceil_mode
        self._check()

    def forward(self, x: np.ndarray) -> np.ndarray:
        """S = c Σ x^p, y = S^(1/p)."""
        if x.dtype.kind not in "fc":
            raise TypeError(f"{self}: x is {x.dtype}, wanted floating numbers")
        steps, p = self._taps(x), float(self.norm_type)
        S = x**p
        for axis, taps in steps:
            S = taps.gather(S, axis)
        counts = _product([np.count_nonzero(taps.table >= 0, axis=1) for _, taps in steps])
        c = (math.prod(_each_axis(self, "kernel_size")) / counts).astype(x.real.dtype)
        S = c * S
        self.save(x, S, c, steps)
        return S ** (1 / p)

    def backward(self, dy: np.ndarray, needs_input_grad: bool = True) -> np.ndarray:
        """dx = x^(p-1) Σ c S^(1/p - 1) dy over the windows."""
        x, S, c, steps = self.saved()
        self.check_grad(dy, S.shape, S.dtype)
        p = float(self.norm_type)
        dx = c * dy * np.where(S == 0, 0, np.where(S == 0, 1, S) ** (1 / p - 1))
        for axis, taps in reversed(steps):
            dx = taps.scatter(dx, axis)
        return dx * x ** (p - 1)


class LPPool2d(LPPool1d):
    """LPPool1d for images: x (N, C, H, W) or (C, H, W)."""

    axes = 2


class LPPool3d(LPPool1d):
    """LPPool1d for volumes: x (N, C, D, H, W) or (C, D, H, W)."""

    axes = 3


# ---- back to where the largest was


class MaxUnpool1d(_Fixed):
    r"""Each number goes back to where MaxPool found it, and all else is 0.

    $$y_{i_o} = x_o, \qquad dx_o = dy_{i_o},$$

    where $i_o$ is the position in its plane that MaxPool gave with return_indices. If positions repeat (of
    windows that overlap), one of their numbers is left, and all get the gradient, as in torch.

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
    """

    ceil_mode = False

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0) -> None:
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding = padding
        self._check()

    def forward(
        self, x: np.ndarray, indices: np.ndarray, output_size: tuple[int, ...] | None = None
    ) -> np.ndarray:
        """y = 0 but for x at the indices."""
        self._check_axes(x)
        sizes = self._output_sizes(x.shape[-self.axes :], output_size)
        if indices.dtype != np.int64:
            raise TypeError(f"{self}: indices are {indices.dtype}, wanted int64")
        if indices.shape != x.shape:
            raise ValueError(f"{self}: indices have shape {indices.shape}, x {x.shape}")
        lead = x.shape[: -self.axes]
        at = indices.reshape(*lead, -1)
        y = np.zeros_like(x, shape=(*lead, math.prod(sizes)))
        if at.size and not 0 <= np.min(at) <= np.max(at) < y.shape[-1]:
            raise ValueError(f"{self}: indices go from {np.min(at)} to {np.max(at)}, but y has sizes {sizes}")
        np.put_along_axis(y, at, x.reshape(at.shape), -1)
        self.save((*lead, *sizes), x.shape, x.dtype, at)
        return y.reshape(*lead, *sizes)

    def backward(self, dy: np.ndarray, needs_input_grad: bool = True) -> tuple[np.ndarray, None]:
        """dx = dy at the indices, which have no gradient themselves."""
        y_shape, shape, dtype, at = self.saved()
        self.check_grad(dy, y_shape, dtype)
        return np.take_along_axis(dy.reshape(*at.shape[:-1], -1), at, -1).reshape(shape), None

    def _output_sizes(self, sizes: tuple[int, ...], wanted: tuple[int, ...] | None) -> tuple[int, ...]:
        arguments = list(zip(sizes, self._sizes(), strict=True))
        usual = tuple((size - 1) * s - 2 * p + k for size, (k, s, p, _) in arguments)
        if wanted is None:
            return usual
        given = tuple(wanted)[-self.axes :]
        allowed = [abs(n - u) < s for n, u, (_, (_, s, *_)) in zip(given, usual, arguments, strict=False)]
        if len(wanted) not in (self.axes, self.axes + 2) or not all(allowed):
            told = f"{usual}, each size less than a stride off"
            raise ValueError(f"{self}: output_size is {wanted}, wanted around {told}")
        return given


class MaxUnpool2d(MaxUnpool1d):
    """MaxUnpool1d for images: x and indices (N, C, H, W) or (C, H, W)."""

    axes = 2


class MaxUnpool3d(MaxUnpool1d):
    """MaxUnpool1d for volumes: x and indices (N, C, D, H, W) or (C, D, H, W)."""

    axes = 3
