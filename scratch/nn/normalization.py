"""Normalisation by sample (PyTorch, torch/nn/modules/normalization.py)."""

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from scratch import functional as F
from scratch.nn import init
from scratch.nn.module import Module
from scratch.nn.parameter import Parameter

__all__ = ["GroupNorm", "LayerNorm", "LocalResponseNorm", "RMSNorm"]


class Normalization(Module):
    """Base class of the norms that have a scale w and an offset b."""

    weight: Parameter | None
    bias: Parameter | None

    def _make_affine(self, shape: tuple[int, ...], weight: bool, bias: bool, dtype: Any) -> None:
        self.weight = Parameter(np.empty(shape, dtype)) if weight else None
        self.bias = Parameter(np.empty(shape, dtype)) if weight and bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set w to 1 and b to 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def _check_type(self, x: Any) -> None:
        """Refuse what is not an array, or has another dtype than w (without w: not a floating one)."""
        dtype = None if self.weight is None else self.weight.dtype
        if not isinstance(x, np.ndarray) or (x.dtype.kind not in "fc" if dtype is None else x.dtype != dtype):
            raise self.input_error("input", x, dtype, "floating numbers")


class LayerNorm(Normalization):
    r"""Each sample is normalised by itself: F.layer_norm with its w and b.

    Args:
        normalized_shape: the last axes of x, as a tuple, or as a number if it is one.
        eps: ε.
        elementwise_affine: whether there are w and b.
        bias: whether there is a b.
        dtype: of w and b.

    Shape: x and y (\*, \*normalized_shape); w, at first 1, and b, at first 0, normalized_shape.

    Raises:
        ValueError: the last axes of x are not normalized_shape, or that is empty or has a size below 0.
        TypeError: x is not an array, or has another dtype than w.

    Example:
        >>> norm = LayerNorm(2)
        >>> norm(np.array([[1, 3], [0, 8]], np.float32)).round(3).tolist()
        [[-1.0, 1.0], [-1.0, 1.0]]
        >>> norm.backward(np.ones((2, 2), np.float32)).tolist(), norm.bias.grad.tolist()
        ([[0.0, 0.0], [0.0, 0.0]], [2.0, 2.0])
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        dtype: Any = np.float32,
    ) -> None:
        self.normalized_shape = _sizes(type(self).__name__, normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self._make_affine(self.normalized_shape, elementwise_affine, bias, dtype)

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = w x̂ + b, over the last axes."""
        self._check_type(input)
        axes = len(self.normalized_shape)
        if input.shape[-axes:] != self.normalized_shape:
            raise ValueError(
                f"{self}: input has shape {input.shape}, expected {_last_axes(self.normalized_shape)}"
            )
        return self.run(
            F.layer_norm, F.layer_norm_backward, (input,), (self.weight, self.bias), self.eps, axes
        )

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(Normalization):
    r"""Each sample is divided by its root mean square: F.rms_norm with its w.

    Args:
        normalized_shape: the last axes of x, as a tuple, or as a number if it is one.
        eps: ε; None is the machine epsilon of x's dtype.
        elementwise_affine: whether there is a w.
        dtype: of w.

    Shape: x and y (\*, \*normalized_shape); w, at first 1, normalized_shape.

    Raises:
        ValueError: the last axes of x are not normalized_shape, or that is empty or has a size below 0.
        TypeError: x is not an array, or has another dtype than w.

    Example:
        >>> norm = RMSNorm(2)
        >>> norm(np.array([[1.0, 7.0]], np.float32)).round(1)
        array([[0.2, 1.4]], dtype=float32)
        >>> norm.backward(np.ones((1, 2), np.float32)).shape, norm.weight.grad.round(1)
        ((1, 2), array([0.2, 1.4], dtype=float32))
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        dtype: Any = np.float32,
    ) -> None:
        self.normalized_shape = _sizes(type(self).__name__, normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self._make_affine(self.normalized_shape, elementwise_affine, False, dtype)

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = w x̂, over the last axes."""
        self._check_type(input)
        axes = len(self.normalized_shape)
        if input.shape[-axes:] != self.normalized_shape:
            raise ValueError(
                f"{self}: input has shape {input.shape}, expected {_last_axes(self.normalized_shape)}"
            )
        eps = np.finfo(input.dtype).eps if self.eps is None else self.eps
        return self.run(F.rms_norm, F.rms_norm_backward, (input,), (self.weight,), eps, axes)

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Normalization):
    r"""The channels of a sample are normalised in groups: F.group_norm with its w and b.

    Args:
        num_groups: G, a divisor of C.
        num_channels: C.
        eps: ε.
        affine: whether there are w and b.
        bias: whether there is a b.
        dtype: of w and b.

    Shape: x and y (N, C, \*); w, at first 1, and b, at first 0, (C,).

    Raises:
        ValueError: G does not divide C; x has not C channels on axis 1; all there is to normalise is one
            number, whose variance is 0.
        TypeError: x is not an array, or has another dtype than w.

    Example:
        >>> norm = GroupNorm(2, 4)
        >>> norm(np.array([[1, 3, 0, 8]], np.float32)).round(3).tolist()
        [[-1.0, 1.0, -1.0, 1.0]]
        >>> norm.backward(np.ones((1, 4), np.float32)).shape, norm.bias.grad.tolist()
        ((1, 4), [1.0, 1.0, 1.0, 1.0])
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        dtype: Any = np.float32,
        *,
        bias: bool = True,
    ) -> None:
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(
                f"GroupNorm: num_groups is {num_groups}, expected a divisor of num_channels, {num_channels}"
            )
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self._make_affine((num_channels,), affine, bias, dtype)

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = w x̂ + b, group by group."""
        self._check_type(input)
        G, C = self.num_groups, self.num_channels
        if input.ndim < 2 or input.shape[1] != C:
            raise ValueError(f"{self}: input has shape {input.shape}, expected (N, {C}, *)")
        if C and input.size == G:
            raise ValueError(f"{self}: input has shape {input.shape}, one number in a group, of variance 0")
        return self.run(F.group_norm, F.group_norm_backward, (input,), (self.weight, self.bias), G, self.eps)

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class LocalResponseNorm(Module):
    r"""A number is damped by the squares of its neighbours in other channels: F.local_response_norm.

    Args:
        size: n, how many channels are neighbours. (α is divided by it, in the paper it is not.)
        alpha: α.
        beta: β.
        k: k.

    Shape: x and y (N, C, \*), with one axis or more behind C.

    Raises:
        ValueError: size is below 1, or x has fewer than three axes.
        TypeError: x is not an array of floating numbers.

    Example:
        >>> norm = LocalResponseNorm(2, alpha=2, beta=1)
        >>> norm(np.array([[[1.0], [1.0]]])).ravel()
        array([0.5       , 0.33333333])
        >>> norm.backward(np.ones((1, 2, 1))).ravel()
        array([-0.22222222,  0.11111111])
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        if size < 1:
            raise ValueError(f"LocalResponseNorm: size is {size}, expected 1 or more")
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = x D^-β."""
        if not isinstance(input, np.ndarray) or input.dtype.kind not in "fc" or input.ndim < 3:
            raise self.input_error("input", input, None, "(N, C, *) of three axes or more")
        options = (self.size, self.alpha, self.beta, self.k)
        return self.run(F.local_response_norm, F.local_response_norm_backward, (input,), (), *options)

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


def _last_axes(sizes: tuple[int, ...]) -> str:
    return "(*, " + ", ".join(map(str, sizes)) + ")"


def _sizes(name: str, normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    shape = (
        tuple(normalized_shape)
        if isinstance(normalized_shape, Sequence)
        else (operator.index(normalized_shape),)
    )
    if not shape or min(shape) < 0:
        raise ValueError(
            f"{name}: normalized_shape is {normalized_shape}, expected one size or more, of 0 or more"
        )
    return shape
