"""Dropout (PyTorch, torch/nn/modules/dropout.py)."""

import math
from typing import ClassVar

import numpy as np

from scratch.nn.module import Module
from scratch.random import bernoulli_

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout"]


def dropout_mask(like: np.ndarray, p: float) -> np.ndarray:
    """Zeros with probability p, and else 1/(1-p): torch's mask for torch's seed."""
    mask = _kept(like, p)
    if p < 1:
        mask /= 1 - p
    return mask


def _kept(like: np.ndarray, p: float) -> np.ndarray:
    """Zeros with probability p, and else ones. For p = 1 nothing is drawn, as in torch.

    Drawn in the order in which the numbers of ``like`` lie in memory, as in torch: for an array that was
    transposed this is not the order of its indices.
    """
    kept = np.zeros_like(like, like.real.dtype, subok=False)
    if p < 1:
        in_memory = sorted(range(kept.ndim), key=lambda axis: -kept.strides[axis])
        bernoulli_(kept.transpose(in_memory), 1 - p)
    return kept


class Dropout(Module):
    r"""In training each element is kept with probability $1-p$ and then divided by $1-p$; else $y = x$.

    With the mask $m$, whose elements are 0 or $1/(1-p)$: $y = m x$ and $dx = m\, dy$. The division keeps
    the expected value of y at x, so evaluation needs no factor (Srivastava et al. 2014, section 10,
    "inverted"). The mask is torch's mask for torch's seed.

    Args:
        p: probability of an element to be zeroed.

    Shape: x and y (\*).

    Raises:
        ValueError: p is not between 0 and 1.
    """

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"{type(self).__name__}: p is {p}, wanted a probability from 0 to 1")
        self.p = p

    def _like(self, x: np.ndarray) -> np.ndarray:
        """Of the mask's shape: one entry for all that is kept or dropped together."""
        return x

    def forward(self, x: np.ndarray) -> np.ndarray:
        """y = m x."""
        like = self._like(x)
        mask = dropout_mask(like, self.p) if self.training and self.p > 0 else None
        self.save(mask, x.shape, x.dtype)
        return x if mask is None else x * mask

    def backward(self, dy: np.ndarray, needs_input_grad: bool = True) -> np.ndarray:
        """dx = m dy."""
        mask, shape, dtype = self.saved()
        self.check_grad(dy, shape, dtype)
        return dy if mask is None else dy * mask

    def extra_repr(self) -> str:
        """p."""
        return f"p={self.p}"


class _ChannelDropout(Dropout):
    """Dropout of whole channels."""

    _channel_axis: ClassVar[dict[int, int]]  # by the number of axes

    def _like(self, x: np.ndarray) -> np.ndarray:
        if x.ndim not in self._channel_axis:
            wanted = " or ".join(map(str, self._channel_axis))
            raise ValueError(f"{self}: x has shape {x.shape}, wanted {wanted} axes")
        return _channels(x, self._channel_axis[x.ndim])


def _channels(x: np.ndarray, axis: int) -> np.ndarray:
    return np.empty(x.shape[: axis + 1] + (1,) * (x.ndim - axis - 1), x.dtype)


class Dropout1d(_ChannelDropout):
    r"""Dropout of whole channels: one element $m_{nc}$ of the mask for all $x_{ncl}$.

    So neighbours, which tell much the same, are dropped together (Tompson et al. 2015). Otherwise as Dropout.

    Args:
        p: probability of a channel to be zeroed.

    Shape: x and y (N, C, L) or (C, L).

    Raises:
        ValueError: p is not between 0 and 1, or x has another number of axes.
    """

    _channel_axis: ClassVar[dict[int, int]] = {2: 0, 3: 1}


class Dropout2d(_ChannelDropout):
    r"""Dropout of whole channels: one element $m_{nc}$ of the mask for all $x_{nchw}$.

    Args:
        p: probability of a channel to be zeroed.

    Shape: x and y (N, C, H, W) or (N, C, L). One image alone is taken for the latter, as by torch,
    which warns.

    Raises:
        ValueError: p is not between 0 and 1, or x has another number of axes.
    """

    _channel_axis: ClassVar[dict[int, int]] = {3: 1, 4: 1}


class Dropout3d(_ChannelDropout):
    r"""Dropout of whole channels: one element $m_{nc}$ of the mask for all $x_{ncdhw}$.

    Args:
        p: probability of a channel to be zeroed.

    Shape: x and y (N, C, D, H, W) or (C, D, H, W).

    Raises:
        ValueError: p is not between 0 and 1, or x has another number of axes.
    """

    _channel_axis: ClassVar[dict[int, int]] = {4: 0, 5: 1}


# What SELU tends to for x → -∞, without the sign.
_SATURATION = 1.7580993408473766


class AlphaDropout(Dropout):
    r"""Dropout to the value $-s$ that SELU saturates at, which keeps the mean 0 and the variance 1 of x.

    With $k$, 1 with probability $q = 1 - p$ and else 0, the element becomes $z = k x - s (1 - k)$, whose mean
    is $-sp$ and whose variance is, for x of mean 0 and variance 1, $q + s^2 p q$. So

    $$y = a (z + s p) = a k x + a s (k - 1) + a s p, \qquad a = \frac{1}{\sqrt{q (1 + s^2 p)}}, \qquad
      dx = a k\, dy.$$

    In evaluation y = x; if p is 1, y = 0. The mask is torch's for torch's seed.

    Args:
        p: probability of an element to be dropped.

    Shape: x and y (\*).

    Raises:
        ValueError: p is not between 0 and 1.

    Source: Klambauer et al. 2017.
    """

    def forward(self, x: np.ndarray) -> np.ndarray:
        """y = a k x + a s (k - 1) + a s p."""
        if not self.training or self.p in (0, 1):
            return super().forward(x)
        p, s = self.p, _SATURATION
        kept = _kept(self._like(x), p)
        a = 1 / math.sqrt((s * s * p + 1) * (1 - p))
        self.save(a * kept, x.shape, x.dtype)
        return x * (a * kept) + ((kept - 1) * (s * a) + s * a * p)


class FeatureAlphaDropout(AlphaDropout):
    """AlphaDropout of whole channels: one k for all elements of a channel of a sample.

    Args:
        p: probability of a channel to be dropped.

    Shape: x and y (N, C, \\*).

    Raises:
        ValueError: p is not between 0 and 1, or x has fewer than two axes.
    """

    def _like(self, x: np.ndarray) -> np.ndarray:
        if x.ndim < 2:
            raise ValueError(f"{self}: x has shape {x.shape}, wanted (N, C, *) of two axes or more")
        return _channels(x, 1)
