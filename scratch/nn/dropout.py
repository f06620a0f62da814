"""Dropout (PyTorch, torch/nn/modules/dropout.py)."""

from typing import ClassVar

import numpy as np

from scratch import functional as F
from scratch.nn.module import Module
from scratch.random import bernoulli_

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout"]


def draw_kept(like: np.ndarray, p: float) -> np.ndarray:
    """Zeros with probability p, and else ones: torch's for torch's seed.

    Nothing is drawn for p = 1, as in torch.
    Drawn in the order in which the numbers of ``like`` lie in memory, as in torch: for an array that was
    transposed this is not the order of its indices.
    """
    k = np.zeros_like(like, like.real.dtype, subok=False)
    if p < 1:
        in_memory = sorted(range(k.ndim), key=lambda axis: -k.strides[axis])
        bernoulli_(k.transpose(in_memory if 0 not in like.strides else _of_broadcast(like)), 1 - p)
    return k


def _of_broadcast(like: np.ndarray) -> list[int]:
    """The axes of an array that was broadcast, the slowest first.

    An axis along which it repeats lies nowhere in memory; as in torch it stays between those that it was
    between, unless another one passes it by.
    """
    order = list(range(like.ndim))[::-1]  # the fastest first
    for i in range(1, like.ndim):
        at = i
        for before in range(i - 1, -1, -1):
            here, there = (like.strides[order[each]] for each in (at, before))
            if 0 in (here, there) or here == there:
                continue
            if there < here:
                break
            order[at], order[before] = order[before], order[at]
            at = before
    return order[::-1]


def dropout_mask(like: np.ndarray, p: float) -> np.ndarray:
    """Zeros with probability p, and else 1/(1-p): torch's mask for torch's seed."""
    k = draw_kept(like, p)
    return k / (1 - p) if p < 1 else k


class Dropout(Module):
    r"""In training each element is kept with probability $1-p$ and then divided by $1-p$: F.dropout.

    In evaluation y = x. Which elements are kept is as in torch for torch's seed.

    Args:
        p: probability of an element to be zeroed.

    Shape: x and y (\*).

    Raises:
        ValueError: p is not between 0 and 1.
        TypeError: x is not an array.

    Example:
        >>> layer = Dropout(0.5)
        >>> y = layer(np.ones(1000))
        >>> set(y.tolist()), np.array_equal(layer.backward(np.ones(1000)), y)
        ({0.0, 2.0}, True)
    """

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"{type(self).__name__}: p is {p}, expected a probability from 0 to 1")
        self.p = p

    def _like(self, x: np.ndarray) -> np.ndarray:
        """An array of the shape of k: one entry for all that is kept or dropped together."""
        return x

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = k x / (1-p) in training, else x."""
        if not isinstance(input, np.ndarray | np.generic) or input.dtype.kind not in "fc":
            raise self.input_error("input", input, None, "")
        like = self._like(input)
        k = draw_kept(like, self.p) if self.training and self.p > 0 else None
        return self.run(F.dropout, F.dropout_backward, (input,), (), k, self.p)

    def extra_repr(self) -> str:
        """p."""
        return f"p={self.p}"


class _ChannelDropout(Dropout):
    """Dropout of whole channels."""

    _channel_axis: ClassVar[dict[int, int]]  # by the number of axes

    def _like(self, x: np.ndarray) -> np.ndarray:
        if x.ndim not in self._channel_axis:
            expected = " or ".join(map(str, self._channel_axis))
            raise ValueError(f"{self}: input has shape {x.shape}, expected {expected} axes")
        return _channels(x, self._channel_axis[x.ndim])


def _channels(x: np.ndarray, axis: int) -> np.ndarray:
    return np.empty(x.shape[: axis + 1] + (1,) * (x.ndim - axis - 1), x.dtype)


class Dropout1d(_ChannelDropout):
    r"""Dropout of whole channels: one $k_{nc}$ for all $x_{ncl}$.

    So neighbours, which tell much the same, are dropped together (Tompson et al. 2015). Otherwise as Dropout.

    Args:
        p: probability of a channel to be zeroed.

    Shape: x and y (N, C, L) or (C, L).

    Raises:
        ValueError: p is not between 0 and 1, or x has another number of axes.
        TypeError: x is not an array.

    Example:
        >>> y = Dropout1d(0.5)(np.ones((2, 3, 4)))
        >>> bool(np.all(y == y[:, :, :1]))
        True
    """

    _channel_axis: ClassVar[dict[int, int]] = {2: 0, 3: 1}


class Dropout2d(_ChannelDropout):
    r"""Dropout of whole channels: one $k_{nc}$ for all $x_{nchw}$.

    Args:
        p: probability of a channel to be zeroed.

    Shape: x and y (N, C, H, W) or (N, C, L). One image alone is taken for the latter, as by torch,
    which warns.

    Raises:
        ValueError: p is not between 0 and 1, or x has another number of axes.
        TypeError: x is not an array.

    Example:
        >>> y = Dropout2d(0.5)(np.ones((2, 3, 4, 4)))
        >>> bool(np.all(y == y[:, :, :1, :1]))
        True
    """

    _channel_axis: ClassVar[dict[int, int]] = {3: 1, 4: 1}


class Dropout3d(_ChannelDropout):
    r"""Dropout of whole channels: one $k_{nc}$ for all $x_{ncdhw}$.

    Args:
        p: probability of a channel to be zeroed.

    Shape: x and y (N, C, D, H, W) or (C, D, H, W).

    Raises:
        ValueError: p is not between 0 and 1, or x has another number of axes.
        TypeError: x is not an array.

    Example:
        >>> y = Dropout3d(0.5)(np.ones((2, 3, 4, 4, 4)))
        >>> bool(np.all(y == y[:, :, :1, :1, :1]))
        True
    """

    _channel_axis: ClassVar[dict[int, int]] = {4: 0, 5: 1}


class AlphaDropout(Dropout):
    r"""Dropout to the value that SELU saturates at, which keeps mean and variance of x: F.alpha_dropout.

    In evaluation y = x; if p is 1, y = 0. Which elements are kept is as in torch for torch's seed.

    Args:
        p: probability of an element to be dropped.

    Shape: x and y (\*).

    Raises:
        ValueError: p is not between 0 and 1.
        TypeError: x is not an array.

    Example:
        >>> y = AlphaDropout(0.5)(np.zeros(1000))
        >>> np.unique(y).round(3)
        array([-0.779,  0.779])
    """

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = a k x + a s (k - 1) + a s p in training, else x."""
        if not self.training or self.p in (0, 1):
            return super().forward(input)
        if not isinstance(input, np.ndarray | np.generic) or input.dtype.kind not in "fc":
            raise self.input_error("input", input, None, "")
        k = draw_kept(self._like(input), self.p)
        return self.run(F.alpha_dropout, F.alpha_dropout_backward, (input,), (), k, self.p)


class FeatureAlphaDropout(AlphaDropout):
    """AlphaDropout of whole channels: one k for all elements of a channel of a sample.

    Args:
        p: probability of a channel to be dropped.

    Shape: x and y (N, C, \\*).

    Raises:
        ValueError: p is not between 0 and 1, or x has fewer than two axes.
        TypeError: x is not an array.

    Example:
        >>> FeatureAlphaDropout(0.5)(np.ones((2, 3, 4))).shape
        (2, 3, 4)
    """

    def _like(self, x: np.ndarray) -> np.ndarray:
        if x.ndim < 2:
            raise ValueError(f"{self}: input has shape {x.shape}, expected (N, C, *) of two axes or more")
        return _channels(x, 1)
