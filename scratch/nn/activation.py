r"""Activations (PyTorch, torch/nn/modules/activation.py).

An activation works on each element alone, $y_i = f(x_i)$, so its Jacobian is diagonal and backward is
$dx_i = f'(x_i)\, dy_i$. Only Softmax and LogSoftmax mix the elements along an axis.

Where a formula branches, it does so on the real part, so that a complex step (gradcheck.py) takes the
same branch as the real number beneath it.
"""

import math

import numpy as np

from scratch.nn.module import Module


class ReLU(Module):
    r"""$y = \max(x, 0)$, so $dx = dy$ where $x > 0$ and 0 elsewhere, at $x = 0$ too, as torch has it.

    Shape: x and y (\*).
    """

    def forward(self, x: np.ndarray) -> np.ndarray:
        """y = max(x, 0)."""
        y = np.maximum(x, 0) if x.dtype.kind == "f" else np.where(x.real <= 0, 0, x)
        self.save(y)
        return y

    def backward(self, dy: np.ndarray, needs_input_grad: bool = True) -> np.ndarray:
        """dx = dy where y > 0, else 0."""
        (y,) = self.saved()
        self.check_grad(dy, y.shape, y.dtype)
        return dy * (y.real > 0)


class LeakyReLU(Module):
    r"""$y = x$ where $x > 0$ and $a x$ elsewhere, so $dx$ is $dy$ or $a\, dy$.

    Args:
        negative_slope: a.

    Shape: x and y (\*).
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope

    def forward(self, x: np.ndarray) -> np.ndarray:
        """y = x where x > 0, else a x."""
        slope = np.where(x.real > 0, 1, self.negative_slope).astype(x.dtype)
        self.save(slope)
        return x * slope

    def backward(self, dy: np.ndarray, needs_input_grad: bool = True) -> np.ndarray:
        """dx = dy where x > 0, else a dy."""
        (slope,) = self.saved()
        self.check_grad(dy, slope.shape, slope.dtype)
        return dy * slope

    def extra_repr(self) -> str:
        """negative_slope."""
        return f"negative_slope={self.negative_slope}"


# Below these e^-x would overflow; there σ(x) is no number that float can tell from 0.
_LOWEST = {char: -math.floor(np.log(np.finfo(char).max)) for char in "fdgFDG"}


def sigmoid(x: np.ndarray) -> np.ndarray:
    r"""$\sigma(x) = 1/(1+e^{-x})$.

    Raises:
        TypeError: x is not of floating or complex numbers.
    """
    lowest = _LOWEST.get(x.dtype.char)
    if lowest is None:
        raise TypeError(f"sigmoid: x is {x.dtype}, wanted floating or complex numbers")
    return np.reciprocal(1 + np.exp(-np.maximum(x, lowest)))


class Sigmoid(Module):
    r"""$y = \sigma(x)$. From $\sigma' = e^{-x}/(1+e^{-x})^2 = \sigma (1 - \sigma)$: $dx = y (1 - y)\, dy$.

    Shape: x and y (\*).
    """

    def forward(self, x: np.ndarray) -> np.ndarray:
        """y = σ(x)."""
        y = sigmoid(x)
        self.save(y)
        return y

    def backward(self, dy: np.ndarray, needs_input_grad: bool = True) -> np.ndarray:
        """dx = dy (1 - y) y."""
        (y,) = self.saved()
        self.check_grad(dy, y.shape, y.dtype)
        return dy * (1 - y) * y


class Tanh(Module):
    r"""$y = \tanh x$, so $dx = (1 - y^2)\, dy$.

    Shape: x and y (\*).
    """

    def forward(self, x: np.ndarray) -> np.ndarray:
        """y = tanh(x)."""
        y = np.tanh(x)
        self.save(y)
        return y

    def backward(self, dy: np.ndarray, needs_input_grad: bool = True) -> np.ndarray:
        """dx = dy (1 - y²)."""
        (y,) = self.saved()
        self.check_grad(dy, y.shape, y.dtype)
        return dy * (1 - y * y)


def log_softmax(x: np.ndarray, dim: int) -> np.ndarray:
    r"""$\log p_i = x_i - m - \log \sum_j e^{x_j - m}$ with $m = \max_j x_j$ (log-sum-exp).

    The shift by m changes nothing in exact arithmetic and keeps every exponential at or below 1.
    """
    shifted = x - np.maximum.reduce(x.real, axis=dim, keepdims=True)
    return shifted - np.log(np.add.reduce(np.exp(shifted), axis=dim, keepdims=True))


class _AlongAxis(Module):
    """What Softmax and LogSoftmax share: the axis."""

    def __init__(self, dim: int | None = None) -> None:
        if dim is None:
            raise ValueError(f"{type(self).__name__}: dim is None, wanted the axis to sum along")
        self.dim = dim

    def _check_dim(self, x: np.ndarray) -> None:
        if not -max(x.ndim, 1) <= self.dim < max(x.ndim, 1):
            raise ValueError(f"{self}: x has shape {x.shape}, which has no axis {self.dim}")

    def extra_repr(self) -> str:
        """dim."""
        return f"dim={self.dim}"


class Softmax(_AlongAxis):
    r"""$p_i = e^{x_i} / \sum_j e^{x_j}$ along the axis ``dim``.

    From $\partial p_i / \partial x_j = p_i (\delta_{ij} - p_j)$: $dx = p\,(dp - \sum_j p_j\, dp_j)$.

    Args:
        dim: the axis that sums to 1. (torch guesses it when it is left out, and warns; here it is wanted.)

    Shape: x and p (\*).

    Raises:
        ValueError: x has no such axis.
    """

    def forward(self, x: np.ndarray) -> np.ndarray:
        """p = exp(x - max) / Σ exp(x - max)."""
        self._check_dim(x)
        e = np.exp(x - np.maximum.reduce(x.real, axis=self.dim, keepdims=True))
        p = e / np.add.reduce(e, axis=self.dim, keepdims=True)
        self.save(p)
        return p

    def backward(self, dp: np.ndarray, needs_input_grad: bool = True) -> np.ndarray:
        """dx = p (dp - Σ p dp)."""
        (p,) = self.saved()
        self.check_grad(dp, p.shape, p.dtype)
        return p * (dp - np.add.reduce(p * dp, axis=self.dim, keepdims=True))


class LogSoftmax(_AlongAxis):
    r"""$y_i = \log p_i$ with the softmax p along the axis ``dim``.

    From $\partial y_i / \partial x_j = \delta_{ij} - p_j$: $dx = dy - p \sum_i dy_i$.

    Args:
        dim: the axis whose exponentials sum to 1.

    Shape: x and y (\*).

    Raises:
        ValueError: x has no such axis.
    """

    def forward(self, x: np.ndarray) -> np.ndarray:
        """y = x - max - log Σ exp(x - max)."""
        self._check_dim(x)
        y = log_softmax(x, self.dim)
        self.save(y)
        return y

    def backward(self, dy: np.ndarray, needs_input_grad: bool = True) -> np.ndarray:
        """dx = dy - p Σ dy."""
        (y,) = self.saved()
        self.check_grad(dy, y.shape, y.dtype)
        return dy - np.exp(y) * np.add.reduce(dy, axis=self.dim, keepdims=True)
