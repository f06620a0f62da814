"""The parameters and buffers of an object, found in the places where people keep them."""

from collections.abc import Iterator
from dataclasses import dataclass
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
from torch_ref.adapters.paths import ABSENT, Path, entries, get, walk
from torch_ref.adapters.shapes import Shapes, without_ones


@dataclass
class Slot:
    """A parameter's ``data``, and its ``grad``, which is at the first of some paths where anything is."""

    root: Any
    path: Path
    grad_paths: tuple[Path, ...]
    assigned_by_forward: bool = False

    @property
    def data(self) -> Any:
        """The parameter."""
        return get(self.root, self.path)

    @property
    def grad(self) -> Any:
        """The gradient, or ABSENT."""
        found = (get(self.root, path) for path in self.grad_paths)
        return next((grad for grad in found if grad is not ABSENT), ABSENT)


def find_slots(root: list[Any], path: Path, seen: set[int]) -> Iterator[tuple[str, Slot]]:
    """The parameters of the object at ``path``, and of those that it keeps, by name.

    Parameters that are objects of their own are appended to ``root``, so that a path leads to them.
    """
    thing = get(root, path)
    if id(thing) in seen or isinstance(thing, type | ModuleType | torch.nn.Module):
        return
    seen.add(id(thing))
    params, grads = getattr(thing, "params", None), getattr(thing, "grads", None)
    if (named := _parameter_objects(thing)) is not None:
        yield from _in_parameter_objects(root, path, named)
    elif isinstance(params, list | tuple) and isinstance(grads, list | tuple):
        for i in range(len(params)):
            at = (*path, "params", i)
            yield _name(*at), Slot(root, at, ((*path, "grads", i),))
    elif isinstance(params, dict) and isinstance(grads, dict):
        for key in params:
            grad_paths = tuple((*path, "grads", name) for name in (key, *gradient_names(key)))
            yield _name(*path, key), Slot(root, (*path, "params", key), grad_paths)
    else:
        yield from _in_attributes(root, path, thing, seen)


def _in_parameter_objects(
    root: list[Any], path: Path, named: list[tuple[str, Any]]
) -> Iterator[tuple[str, Slot]]:
    """Objects with ``data`` and ``grad``."""
    for name, p in named:
        at = (len(root),)
        root.append(p)
        yield _name(*path, name), Slot(root, (*at, "data"), ((*at, "grad"),))


def _in_attributes(root: list[Any], path: Path, thing: Any, seen: set[int]) -> Iterator[tuple[str, Slot]]:
    """Arrays beside their gradients, and the parameters of the objects beside them."""
    known = {*dir(thing), *names_in_code(type(thing))}
    assigned = {*assigned_by_forward(type(thing))}
    for key, value in entries(thing):
        at = (*path, key)
        if not isinstance(value, np.ndarray):
            yield from find_slots(root, at, seen)
        elif value.dtype.kind == "f" and (names := [n for n in gradient_names(key) if n in known]):
            yield _name(*at), Slot(root, at, ((*path, names[0]),), key in assigned)


def _name(_: int, *path: Any) -> str:
    """The path as written in code, from the adapted object on."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).removeprefix(".")


def _parameter_objects(thing: Any) -> list[tuple[str, Any]] | None:
    """The result of named_parameters() or parameters(), if there is one of them."""
    if isinstance(thing, nn.Module):
        refuse_stray_parameters(thing, "adapt")
    if callable(getattr(thing, "named_parameters", None)):
        return list(thing.named_parameters())
    if not callable(getattr(thing, "parameters", None)):
        return None
    names = {id(value): name for name, value in entries(thing)}
    found = [(str(names.get(id(p), i)), p) for i, p in enumerate(thing.parameters())]
    for _, p in found:
        if not hasattr(p, "data") or not hasattr(p, "grad"):
            raise TypeError(
                f"adapt: parameters() gives {type(p).__name__}, expected objects with data and grad"
            )
    return found


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
