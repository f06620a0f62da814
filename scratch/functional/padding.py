"""Padding: axes made longer, or shorter, at either end."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from scratch.functional.elementary import at, resized

__all__ = ["pad", "pad_backward"]


def pad(
    x: np.ndarray, padding: Sequence[int], mode: str = "constant", value: float = 0.0
) -> tuple[np.ndarray, Any]:
    r"""$y_t = x_{i(t)}$: the last axes, each made longer by ``left`` places before x and ``right`` behind it.

    Places are counted from where x begins, $t = -\text{left}, \dots, L - 1 + \text{right}$. Inside x, that is
    for $0 \le t < L$, $i(t) = t$. Elsewhere

    $$i(t) = \begin{cases} \text{none: } y_t \text{ is the value} & \text{constant} \\
      L - 1 - \bigl|L - 1 - |t|\bigr| & \text{reflect: 2 1 0 1 2 1 0} \\
      \min(\max(t, 0), L - 1) & \text{replicate: 0 0 0 1 2 2 2} \\
      t \bmod L & \text{circular: 1 2 0 1 2 0 1} \end{cases}$$

    A number of x that is shown at several places gets the sum of their gradients,
    $dx_i = \sum_{t:\, i(t) = i} dy_t$.

    Less than 0 at an end takes numbers away there; they are no part of the ring of "circular".

    Args:
        x: (\*, L), (\*, H, W), … .
        padding: (left, right) of the last axis, then (top, bottom) of the one before, and so on.
        mode: "constant", "reflect", "replicate" or "circular".
        value: what a constant padding consists of.

    Returns:
        y (\*, left + L + right), …, and what pad_backward needs.

    Example:
        >>> y, saved = pad(np.array([1.0, 2.0, 3.0]), (1, 2), "replicate")
        >>> y, pad_backward(np.ones(6), saved)
        (array([1., 1., 2., 3., 3., 3.]), array([2., 1., 3.]))
    """
    steps = []
    for axis in range(-1, -1 - len(padding) // 2, -1):
        left, right = padding[-2 - 2 * axis : -2 * axis]
        L = x.shape[axis]
        kept = slice(max(0, -left), L + min(0, right))
        inside = slice(max(0, left), left + L + min(0, right))
        copies = _copies(L, left, right, mode)
        y = np.full_like(x, value, shape=resized(x, axis, left + L + right))
        y[at(axis, inside)] = x[at(axis, kept)]
        for t, i in copies:
            y[at(axis, left + t)] = x[at(axis, i)]
        steps.append((axis, L, left, kept, inside, copies))
        x = y
    return x, steps


def pad_backward(dy: np.ndarray, saved: Any) -> np.ndarray:
    """dx_i = Σ dy_t over all t with i(t) = i; derived in pad."""
    for axis, L, left, kept, inside, copies in reversed(saved):
        dx = np.zeros_like(dy, shape=resized(dy, axis, L))
        dx[at(axis, kept)] = dy[at(axis, inside)]
        for t, i in copies:
            dx[at(axis, i)] += dy[at(axis, left + t)]
        dy = dx
    return dy


def _copies(L: int, left: int, right: int, mode: str) -> list[tuple[int, int]]:
    """(t, i(t)) of all places outside of x."""
    if mode == "constant":
        return []
    t = np.array([*range(-left, 0), *range(L, L + right)], dtype=int)
    if mode == "reflect":
        i = L - 1 - np.abs(L - 1 - np.abs(t))
    elif mode == "replicate":
        i = np.clip(t, 0, L - 1)
    else:
        first, stop = max(0, -left), L + min(0, right)
        i = first + (t - first) % max(1, stop - first)
    return list(zip(t.tolist(), i.tolist(), strict=True))
