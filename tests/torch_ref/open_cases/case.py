"""A case found in public: a backward pass as its author wrote it, right and wrong."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Case:
    """One backward pass in the form of a public original, rebuilt small.

    Args:
        name: unique, short.
        address: the original.
        call: "check", "check_loss" or "check_optimizer".
        mine: makes what is checked; with True the wrong one. For check_loss (f, params).
        reference: makes PyTorch's side.
        inputs: makes the inputs, or the data.
        options: keywords of the call.
        cause: a pattern that the cause of the wrong one must match, where it can be named.
        broken: why the form is not accepted as written, or the verdict or cause is not right, yet.
    """

    name: str
    address: str
    call: str
    mine: Callable[[bool], Any]
    reference: Callable[[], Any] | None = None
    inputs: Callable[[], tuple[Any, ...]] = tuple
    options: dict[str, Any] = field(default_factory=dict)
    cause: str | None = None
    broken: dict[str, str] = field(default_factory=dict)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def softmax(z, axis=-1):
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)
