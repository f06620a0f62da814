"""Calls of people's functions: how many arguments they take, and what they return as arrays."""

import inspect
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np


def takes(function: Any, count: int, **named: Any) -> bool:
    """Whether it can be called with ``count`` arguments, and these by name; assumed without a signature."""
    if not callable(function):
        return False
    if isinstance(function, np.ufunc):  # a signature it has from NumPy 2.2 on
        return count == function.nin and not named
    try:
        inspect.signature(function).bind(*[None] * count, **named)
    except TypeError:
        return False
    except ValueError:
        return True
    return True


def parameters_of(function: Any) -> tuple[inspect.Parameter, ...]:
    """The parameters of its signature; of a method without the first, read once for all objects.

    Raises:
        TypeError, ValueError: it has no signature.
    """
    own = getattr(function, "__func__", None)
    if inspect.ismethod(function) and inspect.isfunction(own):
        parameters = _parameters(own)
        if parameters and parameters[0].kind in _POSITIONAL:
            return parameters[1:]
    return tuple(inspect.signature(function).parameters.values())


@lru_cache(256)
def _parameters(function: Any) -> tuple[inspect.Parameter, ...]:
    return tuple(inspect.signature(function).parameters.values())


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def parameter_names(function: Any, required: bool = False) -> list[str]:
    """The names of its positional parameters; none where it has no signature."""
    if isinstance(function, np.ufunc):
        return [f"x{i}" for i in range(1, function.nin + 1)] if function.nin > 1 else ["x"]
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in found if p.kind in _POSITIONAL and not (required and p.default is not p.empty)]


def require_arity(backward: Any, given: Sequence[Any], expected: str) -> None:
    """Refuse a backward that cannot be called with the arguments ``given``.

    Raises:
        TypeError: it takes fewer, or more.
    """
    if not takes(backward, len(given)):
        raise TypeError(
            f"check: mine: backward{inspect.signature(backward)} is to be given {len(given)} arguments: "
            f"{expected}"
        )


def is_numbers(value: Any) -> bool:
    """Whether it is a number, or a plain list of numbers or of lists of them."""
    if isinstance(value, list):
        return bool(value) and all(is_numbers(each) for each in value)
    return isinstance(value, float | int | np.number) and not isinstance(value, bool)


def as_gradients(dx: Any) -> Any:
    """The result of backward: a list as a tuple, and a single gradient bare."""
    if isinstance(dx, list):
        dx = np.asarray(dx) if is_numbers(dx) else tuple(dx)
    if isinstance(dx, int | float):
        dx = np.asarray(dx, np.float64)
    if dx is not None and not isinstance(dx, tuple) and not hasattr(dx, "shape"):
        raise TypeError(
            f"check: mine: backward returns {type(dx).__name__}, expected the gradient by the input: "
            "an array, or a tuple of one for each input"
        )
    return dx[0] if isinstance(dx, tuple) and len(dx) == 1 else dx


def as_outputs(value: Any) -> Any:
    """The result of forward as an array or a tuple; a list is a tuple if there are arrays in it.

    The arrays of a dict are taken in its order.
    """
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, tuple) or (
        isinstance(value, list) and any(isinstance(v, np.ndarray) for v in value)
    ):
        return tuple(as_outputs(each) for each in value)
    if value is None:
        raise TypeError(
            "check: mine: forward returns nothing, and leaves no output in an attribute such as self.output; "
            "expected an array or a tuple of arrays, returned"
        )
    array = value if isinstance(value, np.ndarray) else np.asarray(value)
    if array.dtype.kind not in "biufc":
        raise TypeError(
            f"check: mine: forward returns {type(value).__name__}, expected an array or a tuple of arrays"
        )
    return array
