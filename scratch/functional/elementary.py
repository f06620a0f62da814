"""Elementary functions that formulas are made of; they return a value alone, where formulas return (y,
saved).

Where a function branches, it does so on the real part, so that a complex step (scratch/gradcheck) takes the
same branch as the real number beneath it. Branches are written with max, min and 0-1 masks: np.where guesses
which way each element goes, and takes ten times as long on random signs as a product.
"""

import math
from typing import Any

import numpy as np


def positive(x: np.ndarray) -> np.ndarray:
    """max(x, 0). (np.clip is four times as fast as np.maximum by a number.)"""
    return np.clip(x, 0, np.inf) if x.dtype.kind == "f" else np.where(x.real > 0, x, 0)


def negative(x: np.ndarray) -> np.ndarray:
    """min(x, 0)."""
    return np.clip(x, -np.inf, 0) if x.dtype.kind == "f" else np.where(x.real > 0, 0, x)


def clip(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """min(max(x, low), high)."""
    if x.dtype.kind == "f":
        return np.clip(x, low, high)
    return np.where(x.real < low, low, np.where(x.real > high, high, x))


def step(x: np.ndarray) -> np.ndarray:
    """1 where x > 0, else 0."""
    return (x.real > 0).astype(x.dtype)


# Below these e^-x would overflow; there σ(x) is not a number that float can tell from 0.
_LOWEST = {char: np.array(-math.floor(np.log(np.finfo(char).max)), char) for char in "fdgFDG"}


def sigma(x: np.ndarray) -> np.ndarray:
    r"""$\sigma(x) = 1/(1+e^{-x})$, whose derivative is $\sigma (1 - \sigma)$.

    Raises:
        TypeError: x is not of floating or complex numbers.
    """
    lowest = _LOWEST.get(x.dtype.char)
    if lowest is None:
        raise TypeError(f"sigmoid: x is {x.dtype}, expected float32, float64, longdouble or complex")
    return np.reciprocal(1 + np.exp(-np.maximum(x, lowest)))


def from_lowest(x: np.ndarray) -> np.ndarray:
    """max(x, the number below which σ(x) stays as it is), lest x σ(x) is no longer near 0."""
    return np.maximum(x, _LOWEST.get(x.dtype.char, -math.inf))


def log1p_exp(x: np.ndarray) -> np.ndarray:
    r"""$\log(1+e^x) = \max(x, 0) + \log(1+e^{-|x|})$, which never overflows.

    Its derivative is $\sigma(x)$.
    """
    above = positive(x)
    return above + np.log1p(np.exp(negative(x) - above))


def erf(x: np.ndarray) -> np.ndarray:
    r"""$\operatorname{erf} x = \frac{2}{\sqrt\pi} \int_0^x e^{-t^2} dt$.

    SciPy has it in float32, float64 and complex128. In long double it is
    $\frac{2}{\sqrt\pi} e^{-x^2} \sum_n \frac{2^n x^{2n+1}}{1 \cdot 3 \cdots (2n+1)}$, all terms of one sign
    (Abramowitz and Stegun 1964, 7.1.6), and ±1 beyond ±7.
    """
    if x.dtype.char not in "gG":
        from scipy import special  # here, so that to import scratch is to import NumPy alone

        return special.erf(x)
    x = clip(x, -7, 7)
    term = total = x
    for n in range(1, 200):
        term = term * (2 * x * x / (2 * n + 1))
        total = total + term
    return 2 / math.sqrt(math.pi) * np.exp(-x * x) * total


def sum_to(g: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The gradient of an array of this shape that was broadcast to that of g: the sum over its copies."""
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    copied = tuple(i for i, size in enumerate(shape) if size == 1 and g.shape[i] != 1)
    return g.sum(axis=copied, keepdims=True)


def sum_of_neighbours(x: np.ndarray, before: int, after: int) -> np.ndarray:
    """Σ x_j over the channels j = c - before … c + after that there are, for each c."""
    C = x.shape[1]
    total = x.copy()
    for k in range(1, min(before, C - 1) + 1):
        total[:, k:] += x[:, :-k]
    for k in range(1, min(after, C - 1) + 1):
        total[:, :-k] += x[:, k:]
    return total


def resized(x: np.ndarray, axis: int, L: int) -> tuple[int, ...]:
    """The shape of x with L numbers along a negative axis."""
    return (*x.shape[: x.ndim + axis], L, *x.shape[x.ndim + axis + 1 :])


def at(axis: int, index: Any) -> tuple[Any, ...]:
    """The index along a negative axis."""
    return (..., index, *[slice(None)] * (-1 - axis))
