"""Reshaping (PyTorch, torch/nn/modules/flatten.py)."""

import math

import numpy as np

from scratch.nn.module import Module

__all__ = ["Flatten", "Unflatten"]


class Flatten(Module):
    """The axes start_dim to end_dim become one; backward gives the gradient its old shape.

    Args:
        start_dim: first axis to join.
        end_dim: last axis to join, itself included.

    Shape: x (\\*, S_start, …, S_end, \\*), y (\\*, S_start · … · S_end, \\*).

    Raises:
        ValueError: there is no such axis, or start_dim comes after end_dim.
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: np.ndarray) -> np.ndarray:
        """y = x with the axes joined."""
        start, end = (d % x.ndim if -x.ndim <= d < x.ndim else None for d in (self.start_dim, self.end_dim))
        if start is None or end is None or start > end:
            raise ValueError(f"{self}: x has shape {x.shape}, where these axes cannot be joined")
        self.save(x.shape)
        return x.reshape(*x.shape[:start], math.prod(x.shape[start : end + 1]), *x.shape[end + 1 :])

    def backward(self, dy: np.ndarray, needs_input_grad: bool = True) -> np.ndarray:
        """dx = dy in the shape of x."""
        (shape,) = self.saved()
        return dy.reshape(shape)

    def extra_repr(self) -> str:
        """start_dim, end_dim."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    r"""One axis becomes several; backward gives the gradient its old shape.

    Args:
        dim: the axis.
        unflattened_size: their sizes, one of which may be -1: what is left.

    Shape: x (\*, S, \*), y (\*, \*unflattened_size, \*).

    Raises:
        TypeError: unflattened_size is no tuple or list of integers.
        ValueError: there is no such axis, or the sizes do not multiply to its size.
    """

    def __init__(self, dim: int, unflattened_size: tuple[int, ...]) -> None:
        given = unflattened_size
        if not isinstance(given, tuple | list) or not all(isinstance(n, int | np.integer) for n in given):
            raise TypeError(f"Unflatten: unflattened_size is {given!r}, wanted a tuple of integers")
        self.dim, self.unflattened_size = dim, given

    def forward(self, x: np.ndarray) -> np.ndarray:
        """y = x with the axis split."""
        if not -x.ndim <= self.dim < x.ndim:
            raise ValueError(f"{self}: x has shape {x.shape}, where there is no such axis")
        dim, sizes = self.dim % x.ndim, list(self.unflattened_size)
        known = math.prod(n for n in sizes if n != -1)
        if sizes.count(-1) == 1 and known:
            sizes[sizes.index(-1)] = x.shape[dim] // known
        if not sizes or min(sizes) < 0 or math.prod(sizes) != x.shape[dim]:
            raise ValueError(f"{self}: x has shape {x.shape}, and {x.shape[dim]} cannot be split so")
        y = x.reshape(*x.shape[:dim], *sizes, *x.shape[dim + 1 :])
        self.save(y.shape, y.dtype, x.shape)
        return y

    def backward(self, dy: np.ndarray, needs_input_grad: bool = True) -> np.ndarray:
        """dx = dy in the shape of x."""
        y_shape, dtype, shape = self.saved()
        self.check_grad(dy, y_shape, dtype)
        return dy.reshape(shape)

    def extra_repr(self) -> str:
        """dim, unflattened_size."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
