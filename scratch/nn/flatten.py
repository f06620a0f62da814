"""Reshaping (PyTorch, torch/nn/modules/flatten.py)."""

import math

import numpy as np

from scratch import functional as F
from scratch.nn.module import Module

__all__ = ["Flatten", "Unflatten"]


class Flatten(Module):
    """The axes start_dim to end_dim become one: F.flatten.

    Args:
        start_dim: first axis to join.
        end_dim: last axis to join, itself included.

    Shape: x (\\*, S_start, …, S_end, \\*), y (\\*, S_start · … · S_end, \\*).

    Raises:
        ValueError: there is no such axis, or start_dim comes after end_dim.
        TypeError: x is not an array.

    Example:
        >>> flatten = Flatten()
        >>> flatten(np.ones((4, 2, 3))).shape
        (4, 6)
        >>> flatten.backward(np.ones((4, 6))).shape
        (4, 2, 3)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = x with the axes joined."""
        if not isinstance(input, np.ndarray) or input.dtype.kind not in "biufc":
            raise self.input_error("input", input, None, "")
        n, start, end = input.ndim, self.start_dim, self.end_dim
        if not (-n <= start < n and -n <= end < n and start % n <= end % n):
            raise ValueError(f"{self}: input has shape {input.shape}, where these axes cannot be joined")
        return self.run(F.flatten, F.flatten_backward, (input,), (), start, end)

    def extra_repr(self) -> str:
        """start_dim, end_dim."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    r"""One axis becomes several: F.unflatten.

    Args:
        dim: the axis.
        unflattened_size: their sizes, one of which may be -1: what is left.

    Shape: x (\*, S, \*), y (\*, \*unflattened_size, \*).

    Raises:
        TypeError: unflattened_size is not a tuple or list of integers, or x not an array.
        ValueError: there is no such axis, or the sizes do not multiply to its size.

    Example:
        >>> unflatten = Unflatten(1, (2, 3))
        >>> unflatten(np.ones((4, 6))).shape
        (4, 2, 3)
        >>> unflatten.backward(np.ones((4, 2, 3))).shape
        (4, 6)
    """

    def __init__(self, dim: int, unflattened_size: tuple[int, ...]) -> None:
        given = unflattened_size
        if not isinstance(given, tuple | list) or not all(isinstance(n, int | np.integer) for n in given):
            raise TypeError(f"Unflatten: unflattened_size is {given!r}, expected a tuple of integers")
        self.dim, self.unflattened_size = dim, given

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = x with the axis split."""
        if not isinstance(input, np.ndarray) or input.dtype.kind not in "biufc":
            raise self.input_error("input", input, None, "")
        if not -input.ndim <= self.dim < input.ndim:
            raise ValueError(f"{self}: input has shape {input.shape}, where there is no such axis")
        S, sizes = input.shape[self.dim], list(self.unflattened_size)
        known = math.prod(n for n in sizes if n != -1)
        if sizes.count(-1) == 1 and known:
            sizes[sizes.index(-1)] = S // known
        if not sizes or min(sizes) < 0 or math.prod(sizes) != S:
            raise ValueError(f"{self}: input has shape {input.shape}, and {S} cannot be split so")
        return self.run(F.unflatten, F.unflatten_backward, (input,), (), self.dim, tuple(sizes))

    def extra_repr(self) -> str:
        """dim, unflattened_size."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
