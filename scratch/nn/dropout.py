"""Dropout (PyTorch, torch/nn/modules/dropout.py)."""

from typing import Any

import numpy as np

from scratch.nn.module import Module
from scratch.random import bernoulli_


def dropout_mask(shape: tuple[int, ...], dtype: Any, p: float) -> np.ndarray:
    """Zeros with probability p, and else 1/(1-p): torch's mask for torch's seed."""
    if p == 1:
        return np.zeros(shape, dtype)
    mask = bernoulli_(np.empty(shape, dtype), 1 - p)
    mask /= 1 - p
    return mask


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
            raise ValueError(f"Dropout: p is {p}, wanted a probability from 0 to 1")
        self.p = p

    def forward(self, x: np.ndarray) -> np.ndarray:
        """y = m x."""
        if self.training and self.p > 0:
            mask = dropout_mask(x.shape, x.real.dtype, self.p)
        else:
            mask = np.broadcast_to(np.ones((), x.real.dtype), x.shape)
        self.save(mask, x.dtype)
        return x * mask

    def backward(self, dy: np.ndarray, needs_input_grad: bool = True) -> np.ndarray:
        """dx = m dy."""
        mask, dtype = self.saved()
        self.check_grad(dy, mask.shape, dtype)
        return dy * mask

    def extra_repr(self) -> str:
        """p."""
        return f"p={self.p}"
