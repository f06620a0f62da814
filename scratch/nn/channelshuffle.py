"""Channels in another order (PyTorch, torch/nn/modules/channelshuffle.py)."""

import numpy as np

from scratch import functional as F
from scratch.nn.module import Module, arguments

__all__ = ["ChannelShuffle"]


class ChannelShuffle(Module):
    r"""The channels, in g groups, are dealt out in turn: F.channel_shuffle.

    Args:
        groups: g.

    Shape: x and y (N, C, \*), with one or more axes behind C.

    Raises:
        ValueError: groups is below 1; x has fewer than three axes, or channels that g does not divide.
        TypeError: x is not an array.

    Example:
        >>> shuffle = ChannelShuffle(2)
        >>> shuffle(np.arange(6.0).reshape(1, 6, 1)).ravel()
        array([0., 3., 1., 4., 2., 5.])
        >>> shuffle.backward(np.arange(6.0).reshape(1, 6, 1)).ravel()
        array([0., 2., 4., 1., 3., 5.])
    """

    def __init__(self, groups: int) -> None:
        if groups < 1:
            raise ValueError(f"ChannelShuffle: groups is {groups}, expected 1 or more")
        self.groups = groups

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = x, its channels (g, C/g) transposed."""
        if not isinstance(input, np.ndarray) or input.dtype.kind not in "biufc":
            raise self.input_error("input", input, None, "")
        if input.ndim < 3 or input.shape[1] % self.groups:
            raise ValueError(
                f"{self}: input has shape {input.shape}, expected (N, C, *), C a multiple of {self.groups}"
            )
        return self.run(F.channel_shuffle, F.channel_shuffle_backward, (input,), (), self.groups)

    def extra_repr(self) -> str:
        """The constructor's argument."""
        return arguments(self)
