"""The parameters and buffers of an object, found in the places where people keep them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
import torch

from scratch import nn
from scratch.stray_parameters import (
    assigned_by_forward,
    gradient_names,
    names_in_code,
    refuse_stray_parameters,
)
from torch_ref.adapters.calls import is_numbers
from torch_ref.adapters.gradient_names import OWN_GRADIENT, OWN_VALUE
from torch_ref.adapters.paths import ABSENT, Path, as_code, entries, get, walk
from torch_ref.adapters.shapes import Shapes, without_ones

_PARAMETERS = (
    "params",
    "parameters",
    "param",
    "weights",
    "trainable_params",
    "trainable_parameters",
    "_params",
)
_GRADIENTS = ("grads", "gradients", "grad", "gradient", "derivatives", "param_grads", "_grads", "_gradients")
# Other words for a weight and for a bias, where dW stands beside weights.
_WORDS = (
    ("W", "w", "weight", "weights", "kernel", "kernels", "filters", "k", "K"),
    ("b", "B", "bias", "biases"),
    ("gamma", "scale", "g"),
    ("beta", "shift", "offset", "b"),
)


@dataclass
class Slot:
    """A parameter's ``data``, and its ``grad``, which is at the first of some paths where anything is.

    ``stepped``: the gradient is the step that backward takes. ``reordered``: backward returns the gradients
    in another order than the arrays are kept in.
    """

    root: Any
    path: Path
    grad_paths: tuple[Path, ...] = ()
    assigned_by_forward: bool = False
    stepped: bool = False
    reordered: bool = False

    @property
    def data(self) -> Any:
        """The parameter."""
        return get(self.root, self.path)

    @property
    def grad(self) -> Any:
        """The gradient, or ABSENT."""
        found = (get(self.root, path) for path in self.grad_paths)
        return next((grad for grad in found if grad is not ABSENT), ABSENT)


@dataclass
class Search:
    """A search for parameters in ``root``, a list of the object and, later, of parameters of their own.

    ``after`` is a copy of the list after a backward, or empty: what is kept there then shows the gradients.
    """

    root: list[Any]
    after: list[Any] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)

    def known(self, path: Path) -> dict[Any, Any]:
        """The attributes or entries of the object at ``path``, those after a backward as well."""
        later = get(self.after, path) if self.after else ABSENT
        thing = get(self.root, path)
        names = {} if isinstance(thing, dict) else {name: ABSENT for name in _names(thing)}
        return names | dict(entries(thing)) | ({} if later is ABSENT else dict(entries(later)))


def _names(thing: Any) -> list[str]:
    """The names that an object, or the code of its class, knows."""
    return (
        [*dir(thing), *names_in_code(type(thing))] if hasattr(thing, "__dict__") or _has_slots(thing) else []
    )


def _has_slots(thing: Any) -> bool:
    return hasattr(type(thing), "__slots__")


def find_slots(search: Search, path: Path = (0,)) -> Iterator[tuple[str, Slot]]:
    """The parameters of the object at ``path``, and of those that it keeps, by name.

    Parameters that are objects of their own are appended to the root, so that a path leads to them.
    """
    thing = get(search.root, path)
    if id(thing) in search.seen or isinstance(thing, type | ModuleType | torch.nn.Module):
        return
    search.seen.add(id(thing))
    if (named := _parameter_objects(thing)) is not None:
        yield from _in_parameter_objects(search.root, path, named)
    elif own := _own_value(search, path, thing):
        yield as_code(path[1:]), Slot(search.root, (*path, own[0]), ((*path, own[1]),))
    elif containers := _containers(search, path, thing):
        yield from containers
    else:
        yield from _in_attributes(search, path, thing)


def _in_parameter_objects(
    root: list[Any], path: Path, named: list[tuple[str, Any]]
) -> Iterator[tuple[str, Slot]]:
    """Objects with ``data`` and ``grad``."""
    for name, p in named:
        at = (len(root),)
        root.append(p)
        value, gradient = _value_and_gradient(p)
        yield as_code((*path, name)[1:]), Slot(root, (*at, value), ((*at, gradient),))


def _own_value(search: Search, path: Path, thing: Any) -> tuple[str, str] | None:
    """The names of value and gradient of an object, or dict, that is a parameter; not of the whole layer."""
    if len(path) < 2 or isinstance(thing, list | tuple | np.ndarray):
        return None
    known = search.known(path)
    value = next((name for name in OWN_VALUE if may_be_parameter(known.get(name))), None)
    gradient = next((name for name in OWN_GRADIENT if name in known), None)
    if value is None or gradient is None or sum(may_be_parameter(each) for each in known.values()) > 3:
        return None
    return (value, gradient) if not callable(getattr(thing, gradient, None)) else None


def _value_and_gradient(p: Any) -> tuple[str, str]:
    value = next((name for name in OWN_VALUE if hasattr(p, name)), "")
    gradient = next((name for name in OWN_GRADIENT if hasattr(p, name)), "")
    return value, gradient


def _containers(search: Search, path: Path, thing: Any) -> list[tuple[str, Slot]]:
    """Lists or dicts of parameters and of gradients, such as ``params`` and ``grads``."""
    if isinstance(thing, dict | list | tuple):
        return []
    known = search.known(path)
    for name in _PARAMETERS:
        params = get(thing, (name,))
        if callable(params) or not isinstance(params, list | tuple | dict) or not len(params):
            continue
        others = (*gradient_names(name), *_GRADIENTS)
        gradients = next(
            (each for each in others if each in known and each != name and _holds(thing, each, known)), None
        )
        if gradients is not None:
            found = list(_paired(search, (*path, name), params, ((*path, gradients),)))
            return [(_shortened(at, path, name, params), slot) for at, slot in found]
    return []


def _holds(thing: Any, name: str, known: dict[Any, Any]) -> bool:
    """Whether the attribute is, or will be, a list or dict."""
    value = known[name] if known[name] is not ABSENT else get(thing, (name,))
    return value is None or value is ABSENT or isinstance(value, list | tuple | dict)


def _shortened(at: str, path: Path, name: str, params: Any) -> str:
    """The name of an entry of a dict of parameters: its key alone."""
    full = as_code((*path, name)[1:])
    return at.replace(full + ".", as_code((*path, "")[1:]), 1).lstrip(".") if isinstance(params, dict) else at


def _paired(
    search: Search, path: Path, params: Any, gradients: tuple[Path, ...]
) -> Iterator[tuple[str, Slot]]:
    """The arrays in a parameter, or in a list or dict of them, each with its place in the gradients."""
    if may_be_parameter(params):
        yield as_code(path[1:]), Slot(search.root, path, gradients)
    elif isinstance(params, list | tuple):
        for i, each in enumerate(params):
            yield from _paired(search, (*path, i), each, tuple((*g, i) for g in gradients))
    elif isinstance(params, dict):
        there = {key for g in gradients for at in (search.root, search.after) for key in _keys(get(at, g))}
        for key, each in params.items():
            if isinstance(each, float) and not {key, *gradient_names(key)} & there:
                continue  # a hyperparameter
            names = (key, *gradient_names(key))
            # Of all, in each of several dicts in each other, there would be millions of ways.
            names = tuple(name for name in names if name in there) or names[: 2 if there else None]
            yield from _paired(search, (*path, key), each, tuple((*g, n) for g in gradients for n in names))


def _keys(value: Any) -> list[Any]:
    return list(value) if isinstance(value, dict) else []


def may_be_parameter(value: Any) -> bool:
    """Whether it is an array of floating numbers, a float, or plain lists of floats."""
    if isinstance(value, list):
        return is_numbers(value) and np.asarray(value, object).dtype == object and _all_floats(value)
    return isinstance(value, float) or (isinstance(value, np.ndarray) and value.dtype.kind == "f")


def _all_floats(value: list[Any]) -> bool:
    return all(_all_floats(each) if isinstance(each, list) else isinstance(each, float) for each in value)


def _in_attributes(search: Search, path: Path, thing: Any) -> Iterator[tuple[str, Slot]]:
    """Arrays beside their gradients, and the parameters of the objects beside them."""
    known = search.known(path)
    assigned = {*assigned_by_forward(type(thing))}
    own = dict(entries(thing))
    partners = {key: partner for key, value in own.items() if (partner := _partner(key, value, own, known))}
    for key, value in own.items():
        at = (*path, key)
        if key in partners:
            for name, slot in _paired(search, at, value, ((*path, partners[key]),)):
                slot.assigned_by_forward = key in assigned
                yield name, slot
        elif not may_be_parameter(value) and key not in partners.values():
            yield from find_slots(search, at)


def _partner(key: Any, value: Any, own: dict[Any, Any], known: dict[Any, Any]) -> Any:
    """The name of the gradient of an array, or of a list of arrays; None if there is none."""
    if not isinstance(key, str) or not _has_parameters(value):
        return None
    exact = next((name for name in gradient_names(key) if name in known and name != key), None)
    if exact is not None and not _is_method(known[exact], exact, own):
        return exact
    for words in _WORDS:
        others = [word for word in words if word not in own] if key in words else []
        for name in (name for word in others for name in gradient_names(word)):
            if name in known and _same_shape(value, known[name]):
                return name
    return None


def _is_method(value: Any, name: str, own: dict[Any, Any]) -> bool:
    return callable(value) and name not in own


def _has_parameters(value: Any) -> bool:
    """Whether it may be a parameter, or a list of them, nested; or a dict with one among other things."""
    if isinstance(value, dict):
        return any(map(may_be_parameter, value.values()))
    is_list = isinstance(value, list | tuple) and bool(value)
    return may_be_parameter(value) or (is_list and all(map(_has_parameters, value)))


def _same_shape(value: Any, gradient: Any) -> bool:
    """Whether a gradient of another name may be this array's; not known before a backward."""
    if gradient is ABSENT or gradient is None:
        return True
    if isinstance(value, list | tuple | dict):
        return isinstance(gradient, list | tuple | dict)
    return without_ones(np.shape(value)) == without_ones(np.shape(gradient))


def is_frozen(thing: Any) -> bool:
    """Whether an object says that its parameters are not learned: trainable = False."""
    flags = ("trainable", "learnable", "requires_grad")
    return get(thing, ("frozen",)) is True or any(get(thing, (name,)) is False for name in flags)


def _parameter_objects(thing: Any) -> list[tuple[str, Any]] | None:
    """The result of named_parameters() or parameters(), if these are objects with a value and a gradient."""
    if isinstance(thing, nn.Module):
        refuse_stray_parameters(thing, "check")
    found: list[tuple[str, Any]] | None = None
    for name in ("named_parameters", "parameters", "params"):
        method = get(thing, (name,))
        if found is None and callable(method):
            found = _named(thing, method)
    return found


def _named(thing: Any, method: Any) -> list[tuple[str, Any]] | None:
    """The parameters by name; None for a method that gives something else, such as a count."""
    try:
        given = method()
        listed = list(given.items()) if isinstance(given, dict) else list(given)
    except TypeError:
        return None
    names = {id(value): name for name, value in entries(thing)}
    pairs = [
        each
        if isinstance(each, tuple) and len(each) == 2 and isinstance(each[0], str)
        else (str(names.get(id(each), i)), each)
        for i, each in enumerate(listed)
    ]
    return pairs if all(all(_value_and_gradient(p)) for _, p in pairs) else None


def find_buffers(root: Any, shapes: Shapes) -> dict[str, Path]:
    """The paths of the arrays that have the names, behind the last dot, and the shapes of these buffers."""
    found: dict[str, Path] = {}
    arrays = [(path, value) for path, value in walk(root) if isinstance(value, np.ndarray)] if shapes else []
    for name, shape in shapes.items():
        for path, value in arrays:
            fits = path[-1] == name.rpartition(".")[2] and without_ones(value.shape) == without_ones(shape)
            if fits and path not in found.values():
                found[name] = path
                break
    return found
