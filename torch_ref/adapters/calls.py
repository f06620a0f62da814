"""Calls of people's functions: how many arguments they take, and what they return as arrays."""

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np


def takes(function: Any, count: int) -> bool:
    """Whether it can be called with ``count`` arguments; assumed where it has no signature."""
    try:
        inspect.signature(function).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:
        return True
    return True


def require_arity(backward: Any, given: Sequence[Any], expected: str) -> None:
    """Refuse a backward that cannot be called with the arguments ``given``.

    Raises:
        TypeError: it takes fewer, or more.
    """
    if not takes(backward, len(given)):
        raise TypeError(
            f"adapt: backward{inspect.signature(backward)} is to be given {len(given)} arguments: {expected}"
        )


def as_gradients(dx: Any) -> Any:
    """The result of backward: a list as a tuple, and a single gradient bare."""
    if isinstance(dx, list) and any(isinstance(g, np.ndarray) for g in dx):
        dx = tuple(dx)
    return dx[0] if isinstance(dx, tuple) and len(dx) == 1 else dx


def as_arrays(value: Any) -> Any:
    """The result of forward as an array or a tuple; a list is a tuple if there are arrays in it."""
    if isinstance(value, tuple) or (
        isinstance(value, list) and any(isinstance(v, np.ndarray) for v in value)
    ):
        return tuple(as_arrays(each) for each in value)
    array = value if isinstance(value, np.ndarray) else np.asarray(value)
    if array.dtype.kind not in "biufc":
        raise TypeError(
            f"adapt: forward returns {type(value).__name__}, expected an array or a tuple of arrays"
        )
    return array
