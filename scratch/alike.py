"""Whether a value is of the kind of another one: how options and states are checked, by their defaults."""

import math
from typing import Any

import numpy as np

_NUMBERS = (int, float, np.integer, np.floating, np.bool_)


def kind_error(name: str, value: Any, like: Any) -> str:
    """What is wrong with ``value``, which should be of the kind of ``like``; "" if nothing is.

    Where ``like`` is None, every kind will do; a number is finite unless ``like`` is not.

    Example:
        >>> kind_error("lr", "fast", 1e-3)
        "lr is 'fast', a str, expected a number"
    """
    expected = ""
    if isinstance(like, bool):
        expected = "" if isinstance(value, bool | np.bool_) or value in (0, 1) else "True or False"
    elif isinstance(like, _NUMBERS):
        expected = "" if _is_number(value, finite=math.isfinite(like)) else "a number"
    elif isinstance(like, str):
        expected = "" if isinstance(value, str) else "a text"
    elif isinstance(like, tuple | list):
        if not isinstance(value, tuple | list) or len(value) != len(like):
            expected = f"{len(like)} in a tuple or list"
        elif wrong := [each for a, b in zip(value, like, strict=True) if (each := kind_error(name, a, b))]:
            return f"{name} is {value!r}: {wrong[0]}"
    elif isinstance(like, dict) and not isinstance(value, dict):
        expected = "a dict"
    return f"{name} is {value!r}, a {type(value).__name__}, expected {expected}" if expected else ""


def _is_number(value: Any, finite: bool) -> bool:
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    return isinstance(value, _NUMBERS) and (math.isfinite(value) or not finite)
