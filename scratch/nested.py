"""Inputs and outputs of several arrays, nested in tuples, such as an LSTM's (y, (h, c))."""

from collections.abc import Iterator
from typing import Any


def leaves(value: Any, path: str = "") -> list[tuple[str, Any]]:
    """The arrays in ``value``, in order, each with its position: "" if it is bare, else "0", "1.0", …"""
    if not isinstance(value, tuple):
        return [(path, value)]
    return [leaf for i, each in enumerate(value) for leaf in leaves(each, f"{path}.{i}" if path else str(i))]


def unflatten_as(value: Any, arrays: Iterator[Any]) -> Any:
    """``arrays``, nested as ``value`` is."""
    if not isinstance(value, tuple):
        return next(arrays)
    return tuple(unflatten_as(each, arrays) for each in value)


def is_floating(x: Any) -> bool:
    """Whether ``x`` is an array of floating or complex numbers."""
    return x is not None and x.dtype.kind in "fc"


def cast(value: Any, dtype: Any) -> Any:
    """``value``, its floating arrays in ``dtype``."""
    return unflatten_as(value, (x.astype(dtype) if is_floating(x) else x for _, x in leaves(value)))
