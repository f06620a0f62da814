"""Affine maps (PyTorch, torch/nn/modules/linear.py)."""

import math
from typing import Any

import numpy as np

from scratch.nn import init
from scratch.nn.module import Module
from scratch.nn.parameter import Parameter


class Identity(Module):
    """y = x, whatever arguments it is made with."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def forward(self, x: np.ndarray) -> np.ndarray:
        """y = x."""
        return x

    def backward(self, dy: np.ndarray, needs_input_grad: bool = True) -> np.ndarray:
        """dx = dy."""
        return dy


class Linear(Module):
    r"""$y = x W^\top + b$: the book's Affine layer, with torch's layout of W.

    Derivation, for one output $y_{no} = \sum_i x_{ni} W_{oi} + b_o$ and $dy = \partial L/\partial y$:

    $$\frac{\partial L}{\partial W_{oi}} = \sum_n dy_{no}\, x_{ni}, \qquad
      \frac{\partial L}{\partial b_o} = \sum_n dy_{no}, \qquad
      \frac{\partial L}{\partial x_{ni}} = \sum_o dy_{no}\, W_{oi},$$

    as matrices $dW = dy^\top x$, $db = dy^\top 1$, $dx = dy\, W$.

    Args:
        in_features: size of the last axis of x.
        out_features: size of the last axis of y.
        bias: whether there is a b.
        dtype: of the parameters, and so of what it computes in.

    Shape: x (\*, in_features), y (\*, out_features), any number of leading axes, also none.
    W (out_features, in_features), b (out_features,), both from U(-k, k) with k = 1/sqrt(in_features).

    Raises:
        ValueError: the last axis of x is not in_features; in_features or out_features is below 0.
        TypeError: x has another dtype than W.
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, dtype: Any = np.float32
    ) -> None:
        for name, size in (("in_features", in_features), ("out_features", out_features)):
            if size < 0:
                raise ValueError(f"Linear: {name} is {size}, wanted 0 or more")
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(np.empty((out_features, in_features), dtype))
        self.bias = Parameter(np.empty(out_features, dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw W and b anew, in torch's order and by torch's formula."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features > 0 else 0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """y = x Wᵀ + b."""
        W = self.weight.data
        if x.dtype != W.dtype:
            if not isinstance(x, np.ndarray):
                raise TypeError(f"{self}: x is a {type(x).__name__}, wanted an array")
            raise TypeError(f"{self}: x is {x.dtype}, the weight {W.dtype}; convert one of them")
        if x.ndim == 0 or x.shape[-1] != self.in_features:
            raise ValueError(f"{self}: x has shape {x.shape}, wanted (*, {self.in_features})")
        y = np.dot(_rows(x), W.T)
        if self.bias is not None:
            y += self.bias.data
        if x.ndim != 2:
            y = y.reshape(*x.shape[:-1], self.out_features)
        self.save(x, y.shape)
        return y

    def backward(self, dy: np.ndarray, needs_input_grad: bool = True) -> np.ndarray | None:
        """dW = dyᵀ x, db = dyᵀ 1, dx = dy W."""
        x, y_shape = self.saved()
        W = self.weight.data
        self.check_grad(dy, y_shape, W.dtype)
        rows = _rows(dy)
        self.weight.accumulate(np.dot, rows.T, _rows(x))
        if self.bias is not None:
            self.bias.accumulate(np.add.reduce, rows)
        if not needs_input_grad:
            return None
        dx = np.dot(rows, W)
        return dx if x.ndim == 2 else dx.reshape(x.shape)

    def extra_repr(self) -> str:
        """in_features, out_features, bias."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
        )


def _rows(x: np.ndarray) -> np.ndarray:
    """All leading axes as one."""
    return x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
