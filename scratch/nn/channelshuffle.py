"""Channels in another order (PyTorch, torch/nn/modules/channelshuffle.py)."""

import numpy as np

from scratch.nn.module import Module, arguments

__all__ = ["ChannelShuffle"]


class ChannelShuffle(Module):
    r"""The channels, in g groups, are dealt out in turn: $y_{kg+i} = x_{iC/g+k}$.

    It is a transpose of (g, C/g), so dx is the transpose back: $dx_{iC/g+k} = dy_{kg+i}$.

    Source: Zhang et al. 2018 (ShuffleNet), figure 1.

    Args:
        groups: g.

    Shape: x and y (N, C, \*), with one or more axes behind C.

    Raises:
        ValueError: groups is below 1; x has fewer than three axes, or channels that g does not divide.
    """

    def __init__(self, groups: int) -> None:
        if groups < 1:
            raise ValueError(f"ChannelShuffle: groups is {groups}, wanted 1 or more")
        self.groups = groups

    def forward(self, x: np.ndarray) -> np.ndarray:
        """y = x, its channels (g, C/g) transposed."""
        if x.ndim < 3 or x.shape[1] % self.groups:
            raise ValueError(
                f"{self}: x has shape {x.shape}, wanted (N, C, *), C a multiple of {self.groups}"
            )
        self.save(x.shape, x.dtype)
        return _transposed(x, self.groups)

    def backward(self, dy: np.ndarray, needs_input_grad: bool = True) -> np.ndarray:
        """dx = dy, its channels (C/g, g) transposed."""
        self.check_grad(dy, *self.saved())
        return _transposed(dy, dy.shape[1] // self.groups)

    def extra_repr(self) -> str:
        """The constructor's argument."""
        return arguments(self)


def _transposed(x: np.ndarray, rows: int) -> np.ndarray:
    """The channels read as so many rows, and then by columns."""
    N, C, *rest = x.shape
    return x.reshape(N, rows, C // max(rows, 1), *rest).swapaxes(1, 2).reshape(x.shape)
