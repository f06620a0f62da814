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


class Bilinear(Module):
    r"""$y = x_1^\top A_o\, x_2 + b$: each output o is linear in either input, with a matrix $A_o$ of its own.

    Derivation, for $y_{no} = \sum_{ij} x_{1,ni} A_{oij} x_{2,nj} + b_o$:

    $$\frac{\partial L}{\partial A_{oij}} = \sum_n dy_{no}\, x_{1,ni}\, x_{2,nj}, \qquad
      \frac{\partial L}{\partial b_o} = \sum_n dy_{no},$$
    $$\frac{\partial L}{\partial x_{1,ni}} = \sum_o dy_{no} \sum_j A_{oij}\, x_{2,nj}, \qquad
      \frac{\partial L}{\partial x_{2,nj}} = \sum_o dy_{no} \sum_i x_{1,ni}\, A_{oij}.$$

    Args:
        in1_features: size of the last axis of x1.
        in2_features: size of the last axis of x2.
        out_features: size of the last axis of y.
        bias: whether there is a b.
        dtype: of the parameters, and so of what it computes in.

    Shape: x1 (\*, in1_features), x2 (\*, in2_features), y (\*, out_features), with the same leading axes, or
    none. A (out_features, in1_features, in2_features), b (out_features,), both from U(-k, k) with
    k = 1/sqrt(in1_features).

    Raises:
        ValueError: x1 or x2 has another last axis, or they have different leading axes; in1_features is below
            1, or another size below 0.
        TypeError: x1 or x2 has another dtype than A.
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        dtype: Any = np.float32,
    ) -> None:
        if in1_features < 1:
            raise ValueError(f"Bilinear: in1_features is {in1_features}, wanted 1 or more")
        for name, size in (("in2_features", in2_features), ("out_features", out_features)):
            if size < 0:
                raise ValueError(f"Bilinear: {name} is {size}, wanted 0 or more")
        self.in1_features, self.in2_features, self.out_features = in1_features, in2_features, out_features
        self.weight = Parameter(np.empty((out_features, in1_features, in2_features), dtype))
        self.bias = Parameter(np.empty(out_features, dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw A and b anew, in torch's order and by torch's formula."""
        bound = 1 / math.sqrt(self.in1_features)
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
        """y = x1ᵀ A x2 + b."""
        A = self.weight.data
        for name, x, size in (("x1", x1, self.in1_features), ("x2", x2, self.in2_features)):
            if x.dtype != A.dtype:
                raise TypeError(f"{self}: {name} is {x.dtype}, the weight {A.dtype}; convert one of them")
            if x.ndim == 0 or x.shape[-1] != size:
                raise ValueError(f"{self}: {name} has shape {x.shape}, wanted (*, {size})")
        if x1.shape[:-1] != x2.shape[:-1]:
            raise ValueError(f"{self}: x1 has shape {x1.shape}, x2 {x2.shape}; they differ in a leading axis")
        x1_A = np.matmul(_rows(x1), A)
        y = np.einsum("onj,nj->no", x1_A, _rows(x2))
        if self.bias is not None:
            y += self.bias.data
        y = y.reshape(*x1.shape[:-1], self.out_features)
        self.save(x1, x2, x1_A, y.shape)
        return y

    def backward(
        self, dy: np.ndarray, needs_input_grad: bool = True
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """dA = Σ dy x1 x2ᵀ, db = Σ dy, dx1 = Σ dy A x2, dx2 = Σ dy x1ᵀ A."""
        x1, x2, x1_A, y_shape = self.saved()
        A = self.weight.data
        self.check_grad(dy, y_shape, A.dtype)
        rows, rows2 = _rows(dy), _rows(x2)
        dy_x1 = rows.T[:, :, None] * _rows(x1)
        self.weight.accumulate(np.matmul, dy_x1.swapaxes(1, 2), rows2)
        if self.bias is not None:
            self.bias.accumulate(np.add.reduce, rows)
        if not needs_input_grad:
            return None, None
        dx1 = np.einsum("no,oni->ni", rows, np.matmul(rows2, A.swapaxes(1, 2)))
        dx2 = np.einsum("no,onj->nj", rows, x1_A)
        return dx1.reshape(x1.shape), dx2.reshape(x2.shape)

    def extra_repr(self) -> str:
        """in1_features, in2_features, out_features, bias."""
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )


def _rows(x: np.ndarray) -> np.ndarray:
    """All leading axes as one."""
    return x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
