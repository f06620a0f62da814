"""The things that a function of Python reaches: what it names, closes over or calls, and they in turn."""

import functools
import sys
from collections.abc import Callable, Iterator
from types import FunctionType, MethodType
from typing import Any

# So deep are functions followed that a function calls.
_DEPTH = 4
# Also where a function imports them itself.
_LIBRARIES = ("torch", "jax")


def reaches(value: Any, is_it: Callable[[Any], bool], depth: int = _DEPTH) -> bool:
    """Whether ``value`` is one of those for which ``is_it``, or a function that names or calls one."""
    if is_it(value):
        return True
    return depth > 0 and any(reaches(each, is_it, depth - 1) for each in _parts(value))


def package(name: str) -> str:
    """The package that a module of this name is in."""
    return name.partition(".")[0]


def _parts(value: Any) -> Iterator[Any]:
    """The things that a function is made of: what it names, closes over, or is bound to."""
    if isinstance(value, functools.partial):
        yield from (value.func, *value.args, *value.keywords.values())
    elif isinstance(value, MethodType):
        yield from (value.__self__, value.__func__)
    elif isinstance(value, FunctionType):
        yield from _named(value)
        yield from (value.__defaults__ or ())
        if wrapped := getattr(value, "__wrapped__", None):
            yield wrapped
    elif callable(value) and not isinstance(value, type) and isinstance(type(value).__call__, FunctionType):
        yield type(value).__call__
        yield from getattr(value, "__dict__", {}).values()


def _named(function: FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not filled yet
            continue
    codes = [function.__code__]
    for code in codes:
        codes += [each for each in code.co_consts if isinstance(each, type(code))]
        yield from (sys.modules[name] for name in code.co_names if name in _LIBRARIES and name in sys.modules)
        yield from (function.__globals__[name] for name in code.co_names if name in function.__globals__)
