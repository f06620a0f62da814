"""The gradients of the inputs, among all that backward returns or leaves in attributes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scratch.nested import leaves
from torch_ref.adapters.calls import as_gradients, is_numbers
from torch_ref.adapters.passes import Passes, input_gradient_names
from torch_ref.adapters.paths import entries


@dataclass(frozen=True)
class Given:
    """The inputs of a check; ``held`` are the positions of those without a gradient.

    ``parameters`` is how many the other side has, None if there is none.
    """

    inputs: tuple[Any, ...] = ()
    held: frozenset[int] = frozenset()
    parameters: int | None = None

    @property
    def free(self) -> tuple[Any, ...]:
        """The inputs that have a gradient."""
        return tuple(x for i, x in enumerate(self.inputs) if i not in self.held)


def located(passes: Passes, thing: Any, before: dict[Any, Any], result: Any, given: Given) -> Passes:
    """``passes``, and where they leave the gradients of the inputs.

    Where backward returns nothing, in an attribute of a usual name, or in the one array of the input's shape
    that backward sets. ``before`` are the attributes of ``thing`` before it.
    """
    names = input_gradient_names(getattr(thing, passes.forward), len(given.inputs))
    if result is None:
        known = {name for name, value in entries(thing) if value is not None}
        found = tuple(next((name for name in each if name in known), "") for each in names)
        if not any(found) and len(given.free) == 1:
            at = next(i for i in range(len(given.inputs)) if i not in given.held)
            found = tuple(
                _newly_set(thing, before, given.inputs[at]) if i == at else "" for i in range(len(names))
            )
        return replace(passes, gradients=found)
    if isinstance(result, dict):
        keys = tuple(next((key for key in ("x", *each) if key in result), None) for each in names)
        return replace(passes, keys=keys)
    return replace(passes, first=_first(result, given))


def _first(result: Any, given: Given) -> int | None:
    """How many entries, the first, are gradients of inputs; the others are of parameters. None: all are."""
    shapes = [np.shape(x) for _, x in leaves(given.inputs)]
    free = [np.shape(x) for _, x in leaves(given.free)]
    if not isinstance(result, tuple | list) or is_numbers(result) or not any(map(_is_container, result)):
        bare = [np.shape(result)] if not isinstance(result, tuple | list) else []
        return 0 if bare and not free and bare[0] not in shapes else None
    flat = [each for _, each in leaves(tuple(result))]
    for expected in (shapes, free):
        is_plain = len(flat) == len(expected) and not any(isinstance(g, list | dict) for g in flat)
        if is_plain and (shapes == free or _fit(flat, expected)):
            return None
    for expected in (shapes, free):
        if len(result) > len(expected) and _fit(result, expected):
            return len(expected)
    if len(result) > len(free) > 0 and _fit(result[-len(free) :], free) and not _fit(result, free):
        return -len(free)
    if given.parameters == len(result) and not _fit(result[:1], free[:1]):
        return 0
    return len(free)


def _newly_set(thing: Any, before: dict[Any, Any], x: Any) -> str:
    """The one attribute of the shape of ``x`` that was set since; "" if there are none, or several."""
    fresh = [(name, value) for name, value in entries(thing) if value is not before.get(name)]
    fitting = [name for name, v in fresh if isinstance(v, np.ndarray) and v.shape == np.shape(x)]
    return fitting[0] if len(fitting) == 1 and isinstance(fitting[0], str) else ""


def _is_container(value: Any) -> bool:
    return value is None or isinstance(value, np.ndarray | tuple | list | dict | np.number)


def _fit(gradients: Sequence[Any], shapes: list[tuple[int, ...]]) -> bool:
    """Whether the first of these are gradients of arrays of these shapes."""
    pairs = zip(gradients, shapes, strict=False)
    return all(
        g is None or (isinstance(g, np.ndarray | np.number | float) and np.shape(g) == s) for g, s in pairs
    )


def of_inputs(passes: Passes, thing: Any, result: Any) -> Any:
    """The gradients of the inputs, bare if there is one; None where backward left none."""
    if result is None:
        found = tuple(getattr(thing, name, None) if name else None for name in passes.gradients)
        return found[0] if len(found) == 1 else found
    if isinstance(result, dict):
        found = tuple(result.get(key) for key in passes.keys)
        return found[0] if len(found) == 1 else found
    if passes.first is None:
        return as_gradients(result)
    return as_gradients(result[: passes.first] if passes.first >= 0 else result[passes.first :])


def of_parameters(passes: Passes, result: Any) -> list[tuple[tuple[Any, ...], Any]]:
    """(path in the result, array) of what backward returns beside the inputs' gradients."""
    if isinstance(result, dict):
        return [(path, g) for path, g in _arrays(result) if path[0] not in passes.keys]
    if passes.first is None:
        return []
    if not isinstance(result, tuple | list):
        return list(_arrays(result))
    if passes.first < 0:
        return _arrays(result[: passes.first])
    start = passes.first
    return [((i + start, *path), g) for i, each in enumerate(result[start:]) for path, g in _arrays(each)]


def _arrays(value: Any) -> list[tuple[tuple[Any, ...], Any]]:
    if isinstance(value, dict):
        return [((key, *path), g) for key, each in value.items() for path, g in _arrays(each)]
    if isinstance(value, tuple | list):
        return [((i, *path), g) for i, each in enumerate(value) for path, g in _arrays(each)]
    return [((), value)] if isinstance(value, np.ndarray | np.number | float) else []
