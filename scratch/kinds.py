"""Values of the right kinds: arguments held against annotations, options and states against defaults.

A constructor's signature is the one description of what its arguments may be.
"""

import operator
from collections.abc import Callable, Sequence
from functools import cache
from inspect import Parameter, Signature, signature
from types import UnionType
from typing import Any, get_args, get_origin

import numpy as np


def refuse_other_kinds(kind: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Refuse arguments that are not of the types in the constructor's signature.

    Flags are True, False, 1 or 0; whole numbers are all that can be an index, as NumPy's, and fit into 32
    bits; a list may stand for a tuple. What a text may say, and what fits to what, is left to the
    constructor, which knows more.

    Raises:
        TypeError: one is of another type, or there are too many or too few.
    """
    described = _signature(kind)
    for name, value in _bound(kind, described, args, kwargs).items():
        expected = described.parameters[name]
        if expected.kind in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD):
            continue
        annotation = expected.annotation
        if annotation is Parameter.empty and isinstance(expected.default, bool):
            annotation = bool
        if not (_is_dtype(value) if name == "dtype" else _fits(value, annotation)):
            words = "a dtype of floating or complex numbers" if name == "dtype" else _words(annotation)
            words += ", of less than 10 digits" * _is_too_large(value)
            raise TypeError(f"{kind.__name__}: {name} is {value!r}, expected {words}")


def kind_error(name: str, value: Any, like: Any) -> str:
    """What is wrong with ``value``, which should be of the kind of ``like``; "" if nothing is.

    Where ``like`` is None, every kind will do.

    Example:
        >>> kind_error("lr", "fast", 1e-3)
        "lr is 'fast', expected a number"
    """
    expected = ""
    if isinstance(like, bool):
        expected = "" if _is_flag(value) or _is_unit(value) else "True or False"
    elif isinstance(like, int | float):
        expected = "" if _is_number(value) else "a number"
    elif isinstance(like, str):
        expected = "" if isinstance(value, str) else "a text"
    elif isinstance(like, tuple | list):
        if not isinstance(value, tuple | list) or len(value) != len(like):
            expected = f"{len(like)} in a tuple or list"
        elif wrong := [each for a, b in zip(value, like, strict=True) if (each := kind_error(name, a, b))]:
            return f"{name} is {value!r}: {wrong[0]}"
    elif isinstance(like, dict) and not isinstance(value, dict):
        expected = "a dict"
    return f"{name} is {value!r}, expected {expected}" if expected else ""


# Arguments of no constructor: torch's, which say how to go about it, and not what the numbers are.
_OF_NO_MATTER = {"inplace"}


def _bound(kind: type, described: Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments by name."""
    if kind.__init__ is object.__init__:  # type: ignore[misc]
        if args or set(kwargs) - _OF_NO_MATTER:
            named = [(f"argument {i}", value) for i, value in enumerate(args)] + [*kwargs.items()]
            given = ", ".join(f"{name} is {value!r}" for name, value in named if name not in _OF_NO_MATTER)
            raise TypeError(f"{kind.__name__}: {given}, expected no arguments")
        return {}
    try:
        return described.bind(None, *args, **kwargs).arguments
    except TypeError as error:
        raise TypeError(f"{kind.__name__}: {error}") from None


# What an axis of an array may have, and more than is likely to be meant.
_LARGEST = 2**31 - 1


@cache
def _signature(kind: type) -> Signature:
    return signature(kind.__init__)  # type: ignore[misc]


def _fits(value: Any, annotation: Any) -> bool:
    if isinstance(annotation, UnionType):
        return any(_fits(value, each) for each in get_args(annotation))
    if get_origin(annotation) in (tuple, Sequence):
        return _is_tuple(value, get_args(annotation))
    if get_origin(annotation) is Callable:
        return callable(value)
    if check := _CHECKS.get(annotation):
        return check(value)
    return not isinstance(annotation, type) or annotation is Parameter.empty or isinstance(value, annotation)


def _is_tuple(value: Any, each: tuple[Any, ...]) -> bool:
    if each[0] not in _CHECKS and not isinstance(each[0], UnionType):
        return True
    if not isinstance(value, tuple | list):
        return False
    if len(each) == 1 or each[-1] is Ellipsis:
        return all(_fits(one, each[0]) for one in value)
    return len(value) == len(each) and all(map(_fits, value, each))


def _is_dtype(value: Any) -> bool:
    try:
        return np.dtype(value).kind in "fc"
    except (TypeError, ValueError):
        return False


def _is_whole(value: Any) -> bool:
    if isinstance(value, bool | np.bool_ | np.ndarray):
        return False
    try:
        return -_LARGEST <= operator.index(value) <= _LARGEST
    except TypeError:
        return False


def _is_too_large(value: Any) -> bool:
    """Whether it is, or holds, a whole number that no array is as long as."""
    several = value if isinstance(value, tuple | list) else [value]
    return any(isinstance(each, int | np.integer) and abs(int(each)) > _LARGEST for each in several)


def _is_number(value: Any) -> bool:
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    return isinstance(value, int | float | np.integer | np.floating)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool | np.bool_) or (_is_whole(value) and value in (0, 1))


def _is_unit(value: Any) -> bool:
    """Whether it is 1.0 or 0.0, as a flag may come out of a file."""
    return isinstance(value, float) and value in (0, 1)


def _is_array(value: Any) -> bool:
    if isinstance(value, type) or not hasattr(value, "__array__"):
        return False
    return getattr(value, "dtype", None) is None or getattr(value.dtype, "kind", "f") in "iufc"


_CHECKS: dict[Any, Callable[[Any], bool]] = {
    bool: _is_flag,
    int: _is_whole,
    float: _is_number,
    str: lambda value: value is None or isinstance(value, str),
    np.ndarray: _is_array,
    type(None): lambda value: value is None,
}
_WORDS = {
    bool: "True or False",
    int: "an integer",
    float: "a number",
    str: "a text",
    np.ndarray: "an array of numbers",
    type(None): "None",
}


def _words(annotation: Any) -> str:
    if isinstance(annotation, UnionType):
        return " or ".join(map(_words, get_args(annotation)))
    if get_origin(annotation) in (tuple, Sequence):
        one, *more = get_args(annotation)
        count = "" if not more or more[-1] is Ellipsis else f"{1 + len(more)} "
        return f"a tuple of {count}{_words(one).partition(' ')[2]}s".replace("True or Falses", "flags")
    return _WORDS.get(annotation, getattr(annotation, "__name__", str(annotation)))
