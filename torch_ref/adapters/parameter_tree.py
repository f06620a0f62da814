"""The parameters of a whole network, in whatever people keep them: dicts, lists, tuples, objects, numbers.

A tree is what holds them, nested as it is, as dicts and lists with a Leaf for each parameter, and nothing
else in it.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from scratch import nn
from torch_ref.adapters.gradient_names import gradient_key, is_own_gradient
from torch_ref.adapters.paths import Path, as_code, entries
from torch_ref.adapters.shapes import Shape

# Attributes of a Network; a parameter of such a name gets a longer one.
TAKEN = {
    *("call", "tree", "places", "held", "leaves", "parts", "start", "training", "needs_input_grad"),
    *("reading", "is_read_from_a_step", "returns_weights", "clears"),
}


@dataclass(frozen=True)
class Leaf:
    """A parameter: an array; or Python numbers, alone or in lists of equal lengths, that are one array.

    Args:
        name: as written in code, from what holds all parameters on: "W1", "layers[0].W".
        path: where it is.
        shape: of the array.
        kind: None for an array; float, list or tuple for Python numbers, as what they are kept.
        is_needed: whether it must have a gradient. A number beside arrays, such as a learning rate, need not.
    """

    name: str
    path: Path
    shape: Shape
    kind: type | None = None
    is_needed: bool = True

    def as_kept(self, array: np.ndarray) -> Any:
        """``array`` as the network keeps it: Python numbers again where it keeps those."""
        if self.kind is None:
            return array.reshape(self.shape)
        return _as_numbers(array.reshape(self.shape), self.kind)


def grown(value: Any, path: Path = (), seen: frozenset[int] = frozenset(), is_needed: bool = True) -> Any:
    """The tree of ``value``; None if there is no parameter in it.

    Of the arrays that an object keeps, those are parameters for certain that are named as such.
    """
    if isinstance(value, np.ndarray):
        is_floating = value.dtype.kind == "f"
        return Leaf(parameter_name(path), path, value.shape, None, is_needed) if is_floating else None
    if _are_numbers(value):
        return _leaf_of_numbers(value, path, is_needed)
    if id(value) in seen or isinstance(value, str | bytes):
        return None
    kept, is_object = entries(value), not isinstance(value, list | tuple | dict)
    below = {}
    for key, each in kept:
        if not _is_gradient(key, each, kept):
            named = looks_learned(key) if is_object else is_needed
            below[key] = grown(each, (*path, key), seen | {id(value)}, named)
    found = {key: tree for key, tree in below.items() if tree is not None}
    if not found:
        return None
    return [*below.values()] if isinstance(value, list | tuple) else found


def leaves_of(tree: Any) -> Iterator[Leaf]:
    """The leaves of a tree, in order."""
    if isinstance(tree, Leaf):
        yield tree
    elif tree is not None:
        for each in tree.values() if isinstance(tree, dict) else tree:
            yield from leaves_of(each)


def pruned(tree: Any, keeps: Callable[[Leaf], bool]) -> Any:
    """The tree without some of its leaves; None in their places in lists."""
    if isinstance(tree, Leaf):
        return tree if keeps(tree) else None
    if isinstance(tree, dict):
        below = {key: pruned(each, keeps) for key, each in tree.items()}
        return {key: each for key, each in below.items() if each is not None} or None
    return None if tree is None else [pruned(each, keeps) for each in tree]


def value_of(kept: Any) -> np.ndarray:
    """What is kept at a leaf, as an array."""
    return np.array(kept, dtype=kept.dtype if isinstance(kept, np.ndarray) else np.float64)


def parameter_name(path: Path) -> str:
    """A path as written in code: W1, layers[0].W, params[0]."""
    name = as_code(path)
    if not name or name.startswith("[") or hasattr(nn.Module, name) or name in TAKEN:
        return f"params{'' if not name or name.startswith('[') else '.'}{name}"
    return name


def is_number(value: Any) -> bool:
    """Whether it is a number of Python's or NumPy's, and no truth value."""
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _are_numbers(value: Any) -> bool:
    """Whether it is a number, or lists of equal lengths of them of which one is no integer."""
    if is_number(value):
        return True
    if not isinstance(value, list | tuple) or not value:
        return False
    flat = list(_flat(value))
    return _has_shape(value) and all(map(is_number, flat)) and any(isinstance(x, float) for x in flat)


def _has_shape(value: Any) -> bool:
    try:
        return bool(np.asarray(value).dtype.kind in "fiu")
    except ValueError:  # lists of other lengths
        return False


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for each in value:
            yield from _flat(each)
    else:
        yield value


# A number that is named so is a parameter; any other may be a learning rate.
_NUMBER = r"(?:[wb]|bias\w*|weights?|theta|slope|intercept|coef\w*)(?:_?\d+)?|[wb]_\w*"
_NAMES = r"params?|parameters|w[a-z]{1,3}|b[a-z]{1,2}|[uv]|kernels?|filters?|weights\w*|gamma|beta"
_ARRAY = rf"{_NUMBER}|(?:{_NAMES})(?:_?\d+)?"


def looks_learned(key: Any, pattern: str = _ARRAY) -> bool:
    """Whether what is kept under this key looks like a parameter by its name, or has none."""
    return not isinstance(key, str) or re.fullmatch(pattern, key, re.I) is not None


def _leaf_of_numbers(value: Any, path: Path, is_needed: bool) -> Leaf | None:
    is_needed = is_needed and looks_learned(path[-1] if path else 0, _NUMBER)
    if isinstance(value, int | np.integer) and not is_needed:
        return None
    kind = type(value) if isinstance(value, list | tuple) else float
    kind = tuple if issubclass(kind, tuple) else kind
    return Leaf(parameter_name(path), path, np.shape(value), kind, is_needed)


def _is_gradient(key: Any, value: Any, kept: list[tuple[Any, Any]]) -> bool:
    """Whether it is kept beside the parameter whose gradient it is, as dW beside W, or grad beside data."""
    return isinstance(key, str) and any(
        isinstance(name, str)
        and (is_own_gradient(name, key) or (len(name) < len(key) and gradient_key(name, [key]) == key))
        for name, other in kept
        if isinstance(other, np.ndarray) and np.shape(value) == other.shape
    )


def _as_numbers(array: np.ndarray, kind: type) -> Any:
    if not array.ndim:
        # A subclass that rounds or refuses stays one.
        return array.item() if type(array) is np.ndarray else array[...]
    return kind(_as_numbers(array[i, ...], kind) for i in range(len(array)))
