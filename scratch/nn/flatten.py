"""Reshaping (PyTorch, torch/nn/modules/flatten.py)."""

import math

import numpy as np

from scratch.nn.module import Module


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
