r"""Activations: each element by itself, $y_i = f(x_i)$, so that $dx_i = f'(x_i)\, dy_i$."""

import math
from typing import Any

import numpy as np

from scratch.functional.elementary import erf, positive, sigma

__all__ = ["gelu", "gelu_backward", "relu", "relu_backward", "sigmoid", "sigmoid_backward"]


def relu(x: np.ndarray) -> tuple[np.ndarray, Any]:
    r"""$y = \max(x, 0)$, so $y' = 1$ where $x > 0$ and 0 elsewhere, at $x = 0$ too, as torch has it.

    Args:
        x: (\*).

    Returns:
        y (\*), and what relu_backward needs.

    Example:
        >>> y, saved = relu(np.array([-1.0, 0.0, 2.0]))
        >>> y, relu_backward(np.ones(3), saved)
        (array([0., 0., 2.]), array([0., 0., 1.]))
    """
    y = positive(x)
    return y, y


def relu_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dx = dy where y > 0, else 0."""
    return dy * (y.real > 0)


def sigmoid(x: np.ndarray) -> tuple[np.ndarray, Any]:
    r"""$y = \sigma(x)$. From $\sigma' = e^{-x}/(1+e^{-x})^2 = \sigma (1 - \sigma)$: $y' = y (1 - y)$.

    Args:
        x: (\*).

    Returns:
        y (\*), and what sigmoid_backward needs.

    Example:
        >>> y, saved = sigmoid(np.array([0.0]))
        >>> y, sigmoid_backward(np.ones(1), saved)
        (array([0.5]), array([0.25]))
    """
    y = sigma(x)
    return y, y


def sigmoid_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dx = dy y (1 - y)."""
    return dy * (1 - y) * y


def gelu(x: np.ndarray, approximate: str = "none") -> tuple[np.ndarray, Any]:
    r"""$y = x\, \Phi(x)$, so $y' = \Phi + x \varphi$, Φ the normal distribution and φ = Φ' its density:

    $$\Phi = \tfrac12 \bigl(1 + \operatorname{erf}(x/\sqrt2)\bigr), \qquad \varphi = e^{-x^2/2}/\sqrt{2\pi}.$$

    With ``approximate="tanh"``, $t = \tanh u$ takes the place of erf:

    $$u = \sqrt{2/\pi}\,(x + k x^3), \qquad \varphi = \tfrac12 (1 - t^2)\, u' = 2 \Phi (1 - \Phi)\, u', \qquad
      u' = \sqrt{2/\pi}\,(1 + 3 k x^2), \qquad k = 0.044715.$$

    Args:
        x: (\*).
        approximate: "none" or "tanh".

    Returns:
        y (\*), and what gelu_backward needs.

    Source: Hendrycks and Gimpel 2016.

    Example:
        >>> y, saved = gelu(np.array([0.0]))
        >>> y, gelu_backward(np.ones(1), saved)
        (array([0.]), array([0.5]))
    """
    if approximate == "tanh":
        Φ = 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * x * (1 + _K * x * x)))
    else:
        Φ = 0.5 * (1 + erf(x * math.sqrt(0.5)))
    return x * Φ, (x, Φ, approximate)


_K = 0.044715


def gelu_backward(dy: np.ndarray, saved: Any) -> np.ndarray:
    """dx = dy (Φ + x φ)."""
    x, Φ, approximate = saved
    if approximate == "tanh":
        φ = 2 * Φ * (1 - Φ) * (math.sqrt(2 / math.pi) * (1 + 3 * _K * x * x))
    else:
        φ = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return dy * (Φ + x * φ)
