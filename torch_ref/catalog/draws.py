"""Random inputs: a Draw makes one, from a NumPy generator, in a dtype if it is floating."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Draw = Callable[[np.random.Generator, Any], Any]


@dataclass(frozen=True)
class Normal:
    """Draws N(0, 1): numbers that may as well be larger or smaller, which probabilities may not."""

    shape: tuple[int, ...]

    def __call__(self, rng: np.random.Generator, dtype: Any) -> np.ndarray:
        """One array."""
        return rng.standard_normal(self.shape).astype(dtype)


def normal(*shape: int) -> Draw:
    """Draws N(0, 1)."""
    return Normal(shape)


def unit(*shape: int) -> Draw:
    """Draws U(0, 1) off the ends, as for probabilities of one thing."""
    return lambda rng, dtype: rng.uniform(0.05, 0.95, shape).astype(dtype)


def log_probabilities(*shape: int) -> Draw:
    """Draws the log-softmax along axis 1 (or 0, if it is the only one) of N(0, 1)."""

    def draw(rng: np.random.Generator, dtype: Any) -> np.ndarray:
        x = rng.standard_normal(shape)
        return (x - np.log(np.sum(np.exp(x), axis=min(1, len(shape) - 1), keepdims=True))).astype(dtype)

    return draw


def probabilities(*shape: int) -> Draw:
    """Draws positive numbers that sum to 1 along axis 1 (or 0, if it is the only one)."""
    draw = log_probabilities(*shape)
    return lambda rng, dtype: np.exp(draw(rng, np.float64)).astype(dtype)


def classes(count: int, *shape: int) -> Draw:
    """Draws int64 classes from 0 to count - 1."""
    return lambda rng, dtype: rng.integers(0, count, shape)


def places(axes: int, *shape: int) -> Draw:
    """Draws int64 positions in a plane as large as so many last axes, none twice."""
    plane = np.broadcast_to(np.arange(math.prod(shape[-axes:])), (*shape[:-axes], math.prod(shape[-axes:])))
    return lambda rng, dtype: rng.permuted(plane, axis=-1).reshape(shape)


def distinct(count: int, *shape: int) -> Draw:
    """Draws int64 indices from 0 to count - 1, each at most once."""
    return lambda rng, dtype: rng.permutation(count)[: math.prod(shape)].reshape(shape)


def hidden(*shape: int) -> Draw:
    """Draws a mask, True at few places, never at the first of a row."""
    return lambda rng, dtype: (rng.uniform(size=shape) < 0.3) & (np.arange(shape[-1]) > 0)


def later(count: int) -> Draw:
    """Draws always the mask that hides what comes later."""
    return lambda rng, dtype: np.triu(np.ones((count, count), bool), 1)


def given(*values: int) -> Draw:
    """Draws always these integers."""
    return lambda rng, dtype: np.array(values)


def pair(first: Draw, second: Draw) -> Callable[[np.random.Generator, Any], Any]:
    """Draws two arrays that are one input, such as an LSTM's state."""
    return lambda rng, dtype: (first(rng, dtype), second(rng, dtype))


def ignoring(index: int, draw: Draw) -> Draw:
    """Draws as ``draw`` does, the first element replaced by the class that is to be ignored."""

    def drawn(rng: np.random.Generator, dtype: Any) -> np.ndarray:
        target = draw(rng, dtype)
        target.reshape(-1)[0] = index
        return target

    return drawn


def signs(*shape: int) -> Draw:
    """Draws 1 and -1, as floating numbers."""
    return lambda rng, dtype: rng.choice([1, -1], shape).astype(dtype)


def counts(*shape: int) -> Draw:
    """Draws 0 to 5, as floating numbers."""
    return lambda rng, dtype: rng.integers(0, 6, shape).astype(dtype)


def class_sets(count: int, *shape: int) -> Draw:
    """Draws int64 rows of different classes, each ended by a -1; the first row has two."""

    def draw(rng: np.random.Generator, dtype: Any) -> np.ndarray:
        sets = rng.permuted(np.broadcast_to(np.arange(count), (*shape, count)), axis=-1)
        end = rng.integers(0, count, (*shape, 1))
        end.reshape(-1)[0] = 2
        np.put_along_axis(sets, end, -1, axis=-1)
        return sets

    return draw
