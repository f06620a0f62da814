r"""Pooling: each window of numbers becomes one, the largest, the mean, or a norm.

The numbers that a window holds are given axis by axis (taps.py): fixed_windows and adaptive_windows give the
windows along an axis, and the pools below take one such table for each of the last axes of x. A box is pooled
row by row and then across the rows, so that k·k numbers cost 2k steps. Where a window stands over the edge
the table has no number, so padding is never made, and no gradient of it has to be cut away.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from scratch.functional.taps import Taps, adaptive_windows, along, fixed_windows

__all__ = [
    "adaptive_windows",
    "avg_pool",
    "avg_pool_backward",
    "fixed_windows",
    "in_boxes",
    "lp_pool",
    "lp_pool_backward",
    "max_pool",
    "max_pool_backward",
    "max_pool_indices",
    "max_unpool",
    "max_unpool_backward",
]


def max_pool(x: np.ndarray, windows: Sequence[Taps]) -> tuple[np.ndarray, Any]:
    r"""The largest number of each window.

    $$y_o = \max_{i \in W_o} x_i, \qquad
      \frac{\partial y_o}{\partial x_i} = [i = i_o], \qquad
      dx_i = \sum_{o : i_o = i} dy_o,$$

    where $i_o$ is the position of the maximum: the first if there are several, row by row, as torch has it.
    A window that holds a nan gives nan.

    Along one axis j goes through the numbers of all windows at once: the j-th takes the place of the largest
    so far where it is larger, and ``best`` is the j that won.

    Args:
        x: (\*, L), as many axes L as there are windows.
        windows: of fixed_windows or adaptive_windows, one for each of the last axes.

    Returns:
        y (\*, O), and what max_pool_backward and max_pool_indices need.

    Example:
        >>> y, saved = max_pool(np.array([[3.0, 5.0, 4.0, 1.0]]), [fixed_windows(4, 2, 2, 0, 1)])
        >>> y, max_pool_backward(np.array([[10.0, 20.0]]), saved)
        (array([[5., 4.]]), array([[ 0., 10., 20.,  0.]]))
    """
    lowest = np.iinfo(x.dtype).min if x.dtype.kind in "iu" else -np.inf
    steps = []
    for axis in range(-1, -len(windows) - 1, -1):
        taps, shape = windows[axis], list(x.shape)
        shape[axis] = taps.count
        y = np.full_like(x, lowest, shape=shape)
        best = np.zeros(shape, taps.first.dtype) + taps.first.reshape(-1, *[1] * (-1 - axis))
        for j, outputs, inputs in along(taps, axis):
            new, old = x[inputs], y[outputs]
            if j == 0:
                y[outputs] = new
                continue
            larger = (new.real > old.real) | (new != new)
            y[outputs] = np.where(larger, new, old) if x.dtype.kind == "c" else np.maximum(new, old)
            best[outputs] = np.maximum(best[outputs], larger * best.dtype.type(j))
        steps.append((axis, taps, best))
        x = y
    return x, steps


def max_pool_backward(dy: np.ndarray, steps: Any) -> np.ndarray:
    """dx = Σ dy over the windows in which x is the largest; derived in max_pool."""
    for axis, taps, best in reversed(steps):
        shape = list(dy.shape)
        shape[axis] = taps.length
        dx = np.zeros(shape, dy.dtype)
        for j, outputs, inputs in along(taps, axis):
            dx[inputs] += dy[outputs] * (best[outputs] == j)
        dy = dx
    return dy


def max_pool_indices(steps: Any) -> np.ndarray:
    """The position of each maximum among the numbers of the last axes, counted row by row.

    Args:
        steps: as max_pool saved them.

    Returns:
        int64, shaped as max_pool's y.

    Example:
        >>> y, saved = max_pool(np.array([[3.0, 5.0, 4.0, 1.0]]), [fixed_windows(4, 2, 2, 0, 1)])
        >>> max_pool_indices(saved)
        array([[1, 2]])
    """
    found: Any = None
    stride = 1
    for axis, taps, best in steps:
        o = np.arange(taps.count).reshape(-1, *[1] * (-1 - axis))
        i = taps.table[o, best]
        found = i if found is None else np.take_along_axis(found, i, axis) + i * stride
        stride *= taps.length
    return found


def avg_pool(
    x: np.ndarray, windows: Sequence[Taps], divisor: np.ndarray | None = None
) -> tuple[np.ndarray, Any]:
    r"""The mean of each window.

    $$y_o = \frac{1}{D_o} \sum_{i \in W_o} x_i, \qquad
      \frac{\partial y_o}{\partial x_i} = \frac{[i \in W_o]}{D_o}, \qquad
      dx_i = \sum_{o : i \in W_o} \frac{dy_o}{D_o}.$$

    Args:
        x: (\*, L), as many axes L as there are windows.
        windows: of fixed_windows or adaptive_windows, one for each of the last axes.
        divisor: D, (O), or (1) if it is the same for all; None for how many numbers each window holds.

    Returns:
        y (\*, O), and what avg_pool_backward needs.

    Example:
        >>> y, saved = avg_pool(np.array([[3.0, 5.0, 4.0, 0.0]]), [fixed_windows(4, 2, 2, 0, 1)])
        >>> y, avg_pool_backward(np.array([[10.0, 20.0]]), saved)
        (array([[4., 2.]]), array([[ 5.,  5., 10., 10.]]))
    """
    D = (_numbers_in(windows) if divisor is None else divisor).astype(x.real.dtype)
    total = x
    for axis, taps in enumerate(windows, -len(windows)):
        total = taps.gather(total, axis)
    return total / D, (windows, D)


def avg_pool_backward(dy: np.ndarray, saved: Any) -> np.ndarray:
    """dx = Σ dy / D over the windows that hold x; derived in avg_pool."""
    windows, D = saved
    dx = dy / D
    for axis in range(-1, -len(windows) - 1, -1):
        dx = windows[axis].scatter(dx, axis)
    return dx


def lp_pool(x: np.ndarray, windows: Sequence[Taps], p: float, size: int) -> tuple[np.ndarray, Any]:
    r"""The p-norm of each window: the sum for p = 1, near the maximum for large p.

    $$S_o = c_o \sum_{i \in W_o} x_i^p, \qquad y_o = S_o^{1/p}, \qquad
      \frac{\partial y_o}{\partial x_i} = \tfrac1p S_o^{1/p - 1} c_o\, p\, x_i^{p-1}, \qquad
      dx_i = x_i^{p-1} \sum_{o : i \in W_o} c_o S_o^{1/p - 1}\, dy_o,$$

    where $c_o$ is 1, but for a window that reaches over the edge it is its size by how many numbers it holds.
    As torch has it: $x_i^p$, not $|x_i|^p$, so that y is nan where p is odd and $S_o$ negative; and where
    $S_o = 0$ the gradient is 0.

    Args:
        x: (\*, L), as many axes L as there are windows.
        windows: of fixed_windows, one for each of the last axes.
        p: p, a float.
        size: of a window, how many numbers it holds if it reaches over no edge.

    Returns:
        y (\*, O), and what lp_pool_backward needs.

    Example:
        >>> y, saved = lp_pool(np.array([[3.0, 4.0]]), [fixed_windows(2, 2, 2, 0, 1)], 2.0, 2)
        >>> y, lp_pool_backward(np.array([[10.0]]), saved)
        (array([[5.]]), array([[6., 8.]]))
    """
    c = (size / _numbers_in(windows)).astype(x.real.dtype)
    S = x**p
    for axis, taps in enumerate(windows, -len(windows)):
        S = taps.gather(S, axis)
    S = c * S
    return S ** (1 / p), (x, S, c, windows, p)


def lp_pool_backward(dy: np.ndarray, saved: Any) -> np.ndarray:
    """dx = x^(p-1) Σ c S^(1/p - 1) dy over the windows that hold x; derived in lp_pool."""
    x, S, c, windows, p = saved
    dx = c * dy * np.where(S == 0, 0, np.where(S == 0, 1, S) ** (1 / p - 1))
    for axis in range(-1, -len(windows) - 1, -1):
        dx = windows[axis].scatter(dx, axis)
    return dx * x ** (p - 1)


def max_unpool(x: np.ndarray, indices: np.ndarray, sizes: tuple[int, ...]) -> tuple[np.ndarray, Any]:
    r"""Each number goes back to where max_pool found it, and all else is 0.

    $$y_{i_o} = x_o, \qquad dx_o = dy_{i_o},$$

    If positions repeat (of windows that overlap), one of their numbers is left, and all get the gradient, as
    in torch.

    Args:
        x: (\*, O), as many axes O as there are sizes.
        indices: int64, shaped as x: $i_o$, as max_pool_indices counts them.
        sizes: L, those of the last axes of y.

    Returns:
        y (\*, L), and what max_unpool_backward needs.

    Example:
        >>> y, saved = max_unpool(np.array([[5.0, 4.0]]), np.array([[1, 2]]), (4,))
        >>> y, max_unpool_backward(np.array([[1.0, 2.0, 3.0, 4.0]]), saved)
        (array([[0., 5., 4., 0.]]), (array([[2., 3.]]), None))
    """
    lead = x.shape[: x.ndim - len(sizes)]
    i = indices.reshape(*lead, -1)
    y = np.zeros_like(x, shape=(*lead, math.prod(sizes)))
    np.put_along_axis(y, i, x.reshape(i.shape), -1)
    return y.reshape(*lead, *sizes), (i, x.shape)


def max_unpool_backward(dy: np.ndarray, saved: Any) -> tuple[np.ndarray, None]:
    """dx = dy at the indices, which have no gradient themselves."""
    i, shape = saved
    dx = np.take_along_axis(dy.reshape(*i.shape[:-1], -1), i, -1)
    return dx.reshape(shape), None


def _numbers_in(windows: Sequence[Taps]) -> np.ndarray:
    """The count of numbers in each window, (O), or (1) if all hold as many."""
    return in_boxes([np.count_nonzero(taps.table >= 0, axis=1) for taps in windows])


def in_boxes(counts: list[np.ndarray]) -> np.ndarray:
    """The numbers in each box, from those along each axis: (O), or (1) if all are the same."""
    if all(np.all(n == n[:1]) for n in counts):
        return np.prod([n[:1] for n in counts], axis=0)
    return math.prod(np.ix_(*counts), start=np.ones(1, int))
