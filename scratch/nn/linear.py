"""Affine maps (PyTorch, torch/nn/modules/linear.py)."""

import math
from typing import Any

import numpy as np

from scratch import functional as F
from scratch.functional import linear_fast
from scratch.nn import init
from scratch.nn.module import Module
from scratch.nn.parameter import Parameter

__all__ = ["Bilinear", "Identity", "Linear"]


class Identity(Module):
    """y = x, whatever arguments it is made with."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = x."""
        return input

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """dx = dy."""
        return dy


class Linear(Module):
    r"""$y = x W^\top + b$, the book's Affine layer: F.linear with its W and b, drawn as torch draws them.

    Args:
        in_features: size of the last axis of x.
        out_features: size of the last axis of y.
        bias: whether there is a b.
        dtype: of the parameters, and so of what it computes in.

    Shape: x (\*, in_features), y (\*, out_features), any number of leading axes, also none.
    W (out_features, in_features), b (out_features,), both from U(-k, k) with k = 1/sqrt(in_features).

    Raises:
        ValueError: the last axis of x is not in_features; in_features or out_features is below 0.
        TypeError: x is not an array, or has another dtype than W.

    Example:
        >>> layer = Linear(3, 2)
        >>> layer(np.ones((5, 3), np.float32)).shape
        (5, 2)
        >>> layer.backward(np.ones((5, 2), np.float32)).shape, layer.bias.grad
        ((5, 3), array([5., 5.], dtype=float32))
    """

    _can_skip_dx = True
    _fills_dW = staticmethod(linear_fast.linear_backward)

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, dtype: Any = np.float32
    ) -> None:
        for name, size in (("in_features", in_features), ("out_features", out_features)):
            if size < 0:
                raise ValueError(f"Linear: {name} is {size}, expected 0 or more")
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

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = x Wᵀ + b."""
        dtype, size = self.weight.data.dtype, self.in_features
        if (
            not isinstance(input, np.ndarray)
            or input.dtype != dtype
            or not input.ndim
            or input.shape[-1] != size
        ):
            raise self.input_error("input", input, dtype, f"(*, {size})")
        f, f_backward = linear_fast.linear, linear_fast.linear_backward
        return self.run(f, f_backward, (input,), (self.weight, self.bias))

    def extra_repr(self) -> str:
        """in_features, out_features, bias."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
        )


class Bilinear(Module):
    r"""$y = x_1^\top A_o\, x_2 + b$: F.bilinear with its A and b, drawn as torch draws them.

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
        TypeError: x1 or x2 is not an array, or has another dtype than A.

    Example:
        >>> layer = Bilinear(3, 4, 2)
        >>> layer(np.ones((5, 3), np.float32), np.ones((5, 4), np.float32)).shape
        (5, 2)
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
            raise ValueError(f"Bilinear: in1_features is {in1_features}, expected 1 or more")
        for name, size in (("in2_features", in2_features), ("out_features", out_features)):
            if size < 0:
                raise ValueError(f"Bilinear: {name} is {size}, expected 0 or more")
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

    def forward(self, input1: np.ndarray, input2: np.ndarray) -> np.ndarray:
        """y = x1ᵀ A x2 + b."""
        dtype = self.weight.dtype
        for name, x, size in (("input1", input1, self.in1_features), ("input2", input2, self.in2_features)):
            if not isinstance(x, np.ndarray) or x.dtype != dtype or x.shape[-1:] != (size,):
                raise self.input_error(name, x, dtype, f"(*, {size})")
        if input1.shape[:-1] != input2.shape[:-1]:
            raise ValueError(
                f"{self}: input1 has shape {input1.shape}, input2 {input2.shape}; expected equal leading axes"
            )
        return self.run(F.bilinear, F.bilinear_backward, (input1, input2), (self.weight, self.bias))

    def extra_repr(self) -> str:
        """in1_features, in2_features, out_features, bias."""
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )
