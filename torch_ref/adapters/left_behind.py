"""Gradients that a call does not return: it leaves them in objects, or takes a step with them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from torch_ref.adapters.gradient_names import gradient_key
from torch_ref.adapters.loss_and_gradients import GRADIENTS
from torch_ref.adapters.parameter_tree import Leaf
from torch_ref.adapters.paths import Path, entries, put, walk


def collections(root: list[Any]) -> list[Any]:
    """What the object of the network keeps under a name such as grads."""
    return [value for name, value in entries(root[0]) if str(name).lower() in GRADIENTS]


def beside(tree: Any, root: list[Any]) -> list[Any]:
    """What is kept beside the parameters, under names, in what holds them or in the object."""
    owner, params = root[:2]
    found = [_without_parameters(tree, params)]
    if owner is not None and isinstance(tree, dict):
        found.append({name: value for name, value in entries(owner) if name not in tree})
    return found


def _without_parameters(tree: Any, kept: Any) -> Any:
    """``kept``, nested as the tree is, without the parameters."""
    named = dict(entries(kept))
    if isinstance(tree, list):
        return [_without_parameters(below, named.get(i)) for i, below in enumerate(tree)]
    if not isinstance(tree, dict):
        return None
    others = {key: value for key, value in named.items() if key not in tree}
    below = {
        key: _without_parameters(each, named[key]) for key, each in tree.items() if not isinstance(each, Leaf)
    }
    return others | below


def clear_gradients(root: list[Any]) -> None:
    """Put zeros in the place of gradients that an earlier call left: they are none of this one."""
    for path, value in list(walk(root[:2])):
        if isinstance(value, np.ndarray) and value.dtype.kind == "f" and _is_gradient(root, path):
            put(root, path, np.zeros_like(value))


def _is_gradient(root: list[Any], path: Path) -> bool:
    """Whether the names on the way say that it is a gradient: grads["W"], or dW beside W."""
    if any(len(str(key)) > 1 and str(key).lower() in GRADIENTS for key in path[1:]):
        return True
    kept: Any = root
    for key in path[:-1]:
        kept = dict(entries(kept)).get(key)
    names = [name for name, _ in entries(kept) if isinstance(name, str) and name != path[-1]]
    return isinstance(path[-1], str) and any(
        len(name) < len(path[-1]) and gradient_key(name, [path[-1]]) is not None for name in names
    )


def steps(before: Mapping[str, Any], after: Mapping[str, Any], rate: float) -> dict[str, np.ndarray]:
    """The gradients that a step of gradient descent took, of those that have changed."""
    return {
        name: (np.asarray(value) - np.asarray(after[name])) / rate
        for name, value in before.items()
        if name in after
        and np.shape(after[name]) == np.shape(value)
        and not np.array_equal(value, after[name])
    }
