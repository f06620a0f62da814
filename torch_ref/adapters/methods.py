"""The two methods of an object that are its forward and its backward, whatever they are called."""

import inspect
from collections.abc import Callable
from types import MethodType
from typing import Any

from torch_ref.adapters.usual_names import BACKWARD, FORWARD, plain

_FORWARD = (
    *FORWARD,
    *("updateoutput", "apply", "compute", "activate", "activation", "function", "func", "fn", "evaluate"),
    *("loss", "call", "run", "calculate", "predict", "f", "__call__"),
)
_DERIVATIVE = (
    *("gradient", "derivative", "grad", "deriv", "derivate", "prime", "gradients", "derivation"),
    *("computegradient", "inputgradient", "df", "fprime", "dfn", "functionprime", "diff"),
    *("activationderivative", "activationprime", "derivativefunction", "functionderivative"),
    *("lossderivative", "lossprime", "lossgrad", "lossgradient", "dactivation", "dloss"),
)


def find_methods(thing: Any) -> tuple[str, str] | None:
    """(forward, backward): their names; None if there is neither pair.

    backward is "" where the thing is a plain function: it has to return its backward.
    """
    if inspect.isroutine(thing):
        return "__call__", ""
    names = {plain(name): name for name in reversed(dir(thing)) if name[:2] != "__"}
    names = {short: name for short, name in names.items() if has_method(thing, name)}
    if "__call__" in dir(type(thing)):
        names["__call__"] = "__call__"
    backward = next((names[each] for each in (*BACKWARD, *_DERIVATIVE) if each in names), None)
    forward = next((names[each] for each in _FORWARD if each in names), None)
    if "calculate" in names and "forward" in names:  # the mean of the losses that forward gives
        forward = names["calculate"]
    return None if forward is None or backward is None else (forward, backward)


def has_method(thing: Any, name: str) -> bool:
    """Whether that attribute can be called; a property that cannot be read before a forward is none."""
    try:
        return callable(getattr(thing, name, None))
    except Exception:  # from people's property
        return False


def is_derivative(method: str) -> bool:
    """Whether a method of that name may be f', which is not given the incoming gradient."""
    return plain(method) in _DERIVATIVE


def is_static(kind: type) -> bool:
    """Whether a class is not made for objects: its forward and backward are static, or of the class."""
    methods = find_methods(kind)
    found = [inspect.getattr_static(kind, name) for name in methods or () if name]
    return len(found) == 2 and all(isinstance(each, staticmethod | classmethod) for each in found)


class Pair:
    """Two functions as the methods of an object."""

    def __init__(self, forward: Callable[..., Any], backward: Callable[..., Any]) -> None:
        self.forward, self.backward = forward, backward

    def __repr__(self) -> str:
        return "pair of functions"


def as_object(thing: Any) -> tuple[Any, tuple[str, str]] | None:
    """(object, (forward, backward)) of an object, a pair of functions, or of methods of one object."""
    if isinstance(thing, tuple | list) and len(thing) == 2 and all(map(callable, thing)):
        first, second = thing
        are_methods = isinstance(first, MethodType) and isinstance(second, MethodType)
        if are_methods and first.__self__ is second.__self__:
            return first.__self__, (first.__name__, second.__name__)
        return Pair(first, second), ("forward", "backward")
    methods = find_methods(thing)
    if isinstance(thing, type) and methods is not None:
        return Pair(*(getattr(thing, name) for name in methods)), ("forward", "backward")
    return None if methods is None else (thing, methods)
