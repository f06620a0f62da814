"""How a network is called: with the parameters as an argument, as several, or as a method that reads them."""

import copy
import inspect
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from torch_ref.adapters.learning_rates import RATES
from torch_ref.adapters.network_objects import (
    DATA,
    Filled,
    backward_of,
    functions_of,
    is_object,
    kept_parameters,
    learning_rate,
    takes_output,
)
from torch_ref.adapters.parameter_tree import grown, is_number, leaves_of
from torch_ref.adapters.paths import ABSENT, Path, get, walk

HOW = (
    "expected a function f(params, *data) that returns (loss, gradients), or one with the parameters as "
    "separate arguments; a method of the object that keeps params; two functions, (loss, gradients); or an "
    "object with such methods"
)


class Call:
    """The functions for the loss and the gradients, the object they belong to, and the parameters.

    ``root`` is the object and the parameters; a copy of the Call has copies of both. But functions that reach
    the parameters by themselves (``is_shared``), as globals or in a closure, cannot be copied with them:
    there ``root`` has those names as well, and what is written is put back. ``is_pair`` says that the second
    function was given for the gradients, whatever the first returns beside the loss.
    """

    def __init__(
        self, functions: tuple[Callable[..., Any], ...], root: list[Any], style: str, is_pair: bool
    ) -> None:
        self.functions, self.root, self.style, self.is_pair = functions, root, style, is_pair
        self.is_shared = style == "by itself" and root[0] is None

    def __deepcopy__(self, memo: Any) -> "Call":
        if self.is_shared:
            return self
        return Call(self.functions, copy.deepcopy(self.root, memo), self.style, self.is_pair)

    def __call__(self, number: int, data: tuple[Any, ...]) -> Any:
        """The result of one of the functions."""
        function, owner, params = self.functions[number], self.root[0], self.root[1]
        if owner is not None:
            function = partial(function, owner)
        if self.style == "first":
            return function(params, *data)
        if self.style == "last":
            return function(*data, params)
        if self.style == "spread":
            return function(*params.values(), *data)
        if self.style == "spread last":
            return function(*data, *params.values())
        if self.style == "by name":
            return function(*data, **params)
        return function(*data)

    def learning_rate(self, data: tuple[Any, ...]) -> float:
        """That of the step that the second function takes."""
        kept = self.root[1] if self.root[0] is None else self.root[0]
        found = self._rate_argument(-1, data)
        return found[1] if found else learning_rate(self.functions[-1], kept)

    def at_rate(self, rate: float, number: int, data: tuple[Any, ...]) -> Any:
        """The result of one of the functions at another learning rate; ABSENT if it is not given one."""
        found = self._rate_argument(number, data)
        if found is None:
            return ABSENT
        at, _ = found
        if isinstance(at, int):
            return self(number, (*data[:at], rate, *data[at + 1 :]))
        functions = list(self.functions)
        functions[number] = partial(functions[number], **{at: rate})
        return Call(tuple(functions), self.root, self.style, self.is_pair)(number, data)

    def _rate_argument(self, number: int, data: tuple[Any, ...]) -> tuple[int | str, float] | None:
        """(which of the data, or an argument with a default; its value) of the learning rate, if there is."""
        function = self.functions[number]
        if isinstance(function, Filled):
            return None
        try:
            arguments = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):
            return None
        first = len(self.root[1]) if self.style == "spread" else int(self.style == "first")
        first += self.root[0] is not None
        for i, (argument, value) in enumerate(zip(arguments[first:], data, strict=False)):
            if argument.name.lower() in RATES and is_number(value):
                return i, float(value)
        for argument in arguments[first + len(data) :]:
            if argument.name.lower() in RATES and is_number(argument.default):
                return argument.name, float(argument.default)
        return None

    def is_named_as_a_step(self, number: int) -> bool:
        """Whether the function's name says that it takes a step."""
        return re.search(_STEP, _name(self.functions[number]), re.I) is not None


def as_call(f: Any, params: Any, data: tuple[Any, ...]) -> tuple[Call, Any, dict[str, list[Path]]]:
    """The Call, the tree of the parameters, and where each is to be written: everywhere where its array is.

    Raises:
        TypeError: f is nothing that can be called so, or params has no floating numbers.
    """
    owner, functions = _functions(f)
    if params is None and owner is not None:
        params = kept_parameters(owner)
    tree = grown(params)
    if tree is None:
        raise TypeError(
            f"check_loss: params is {described(params)}, expected floating numbers: a dict, list or tuple of "
            "arrays, an array, or these in each other; None only where f is an object or a method of one"
        )
    style = "by itself" if is_object(f) else _style(functions[0], owner, params, tree, data)
    if style.startswith("spread"):
        params = _by_argument(functions[0], params, len(data) if style == "spread last" else 0)
        tree = grown(params)
    if style == "first" and len(functions) > 1 and getattr(type(params), _name(functions[1]), None):
        functions = (functions[0], Filled(_name(functions[1])))  # Net.train, of an object that is params
    call = copy.deepcopy(Call(functions, [owner, params], style, isinstance(f, tuple | list)))
    if call.is_shared:
        call.root += [_names_reached(each) for each in functions]
    return call, tree, _places(call, tree)


def _functions(f: Any) -> tuple[Any, tuple[Callable[..., Any], ...]]:
    """The object whose methods the functions are, or None, and the functions, to be bound to it."""
    if is_object(f):
        return f, functions_of(f)
    functions = tuple(f) if isinstance(f, tuple | list) else (f,)
    if not 1 <= len(functions) <= 2 or not all(map(callable, functions)):
        raise TypeError(f"check_loss: f is {described(f)}, {HOW}")
    owner = getattr(functions[0], "__self__", None)
    if owner is None or isinstance(owner, type) or inspect.ismodule(owner):
        return None, functions
    functions = tuple(
        Filled(_name(each)) if takes_output(each) else getattr(each, "__func__", each) for each in functions
    )
    if len(functions) > 1:
        return owner, functions
    # Called only where the loss comes without gradients; never the same once more, which would step twice.
    others = (each for each in backward_of(owner) if _name(each) != _name(functions[0]))
    return owner, (*functions, *others)


def _name(function: Any) -> str:
    return str(getattr(function, "__name__", ""))


def _style(function: Callable[..., Any], owner: Any, params: Any, tree: Any, data: tuple[Any, ...]) -> str:
    """How the parameters get to the function.

    "first" or "last" as one argument, "spread" or "spread last" as several, "by name", or "by itself".

    Raises:
        TypeError: it can be called in none of these ways.
    """
    least, most, names = _arity(function if owner is None else function.__get__(owner))
    count = len(data)
    if isinstance(params, dict) and {*names[: len(params)]} == params.keys():
        return "spread"
    if owner is not None and least <= count and _keeps(owner, params, tree):
        return "by itself"
    starts_with_data = count > 0 and bool(names) and names[0].lower() in DATA
    if least <= count + 1 <= most and not (starts_with_data and least <= count):
        return "last" if starts_with_data else "first"
    if isinstance(params, dict) and params.keys() <= {*names} and names[0] not in params:
        return "by name"
    several = len(params) if isinstance(params, list | tuple) else 0
    if several and least <= several + count <= most and names[:1] not in _TOGETHER:
        return "spread last" if starts_with_data else "spread"
    if least <= count <= most:
        return "by itself"
    given = "1 datum" if count == 1 else f"{count} data"
    raise TypeError(
        f"check_loss: f is {_name(function)}{inspect.signature(function)}, which takes neither params and "
        f"{given} nor {given} alone; {HOW}"
    )


# In the name of a function that gives new weights.
_STEP = r"step|train|updat|fit|learn|descent|descend|sgd|optimi"
# The names of an argument that is all parameters together.
_TOGETHER = (["params"], ["p"], ["parameters"], ["weights"], ["theta"])


def _arity(function: Callable[..., Any]) -> tuple[int, float, list[str]]:
    """The least and the most arguments that it takes, and their names."""
    try:
        arguments = list(inspect.signature(function).parameters.values())
    except ValueError:
        return 0, np.inf, []
    named = [a for a in arguments if a.kind in (a.POSITIONAL_ONLY, a.POSITIONAL_OR_KEYWORD)]
    most = np.inf if any(a.kind == a.VAR_POSITIONAL for a in arguments) else len(named)
    return sum(a.default is a.empty for a in named), most, [a.name for a in named]


def _keeps(owner: Any, params: Any, tree: Any) -> bool:
    """Whether the object has the parameters, or what holds them, or is it."""
    first = get([params], (0, *next(leaves_of(tree)).path))
    return params is owner or any(value is params or value is first for _, value in walk([owner]))


def _by_argument(function: Callable[..., Any], params: Any, first: int) -> dict[str, Any]:
    """The parameters by the names of the arguments that they are, from the first of them on."""
    names = _arity(function)[2][first:]
    if isinstance(params, dict):
        return {name: params[name] for name in names[: len(params)]}
    if len(names) < len(params):
        names = [f"params[{i}]" for i in range(len(params))]
    return dict(zip(names, params, strict=False))


def _names_reached(function: Any) -> dict[str, Any]:
    """The global names, the closure and the object of a function: where it may reach the parameters."""
    cells, owner = getattr(function, "__closure__", None) or (), getattr(function, "__self__", None)
    return {"names": getattr(function, "__globals__", {}), "cells": cells, "self": owner}


def _places(call: Call, tree: Any) -> dict[str, list[Path]]:
    everywhere = list(walk(call.root[:2]))
    for i, reached in enumerate(call.root[2:], 2):
        everywhere += [((i, "names", name), value) for name, value in reached["names"].items()]
        cells = [(i, "cells", at, "cell_contents") for at in range(len(reached["cells"]))]
        for way in (*cells, (i, "self")):
            held = get(call.root, way)
            everywhere += [(way, held), *walk(held, way)]
    places = {}
    for leaf in leaves_of(tree):
        path = (1, *leaf.path)
        array = get(call.root, path)
        same = [at for at, value in everywhere if value is array and isinstance(array, np.ndarray)]
        places[leaf.name] = [path, *(at for at in same if at != path)]
    return places


def described(value: Any) -> str:
    """A value in a few words: its kind, and what is in it."""
    if isinstance(value, np.ndarray | np.generic):
        return f"an array {value.shape}"
    if isinstance(value, dict):
        return f"a dict of {', '.join(map(str, value)) or 'nothing'}"
    if isinstance(value, list | tuple):
        each = ", ".join(map(described, value[:8])) + (", …" if len(value) > 8 else "")
        return f"a {type(value).__name__} of {each or 'nothing'}"
    return f"{value!r}" if isinstance(value, int | float | str | None) else f"a {type(value).__name__}"
