"""Arrays on which a forward depends, and that have no gradient: constants, or parameters that were forgotten.

Without a reference nobody else knows the parameters, so a forgotten one would not be missed.
"""

from typing import Any

import numpy as np

from scratch import nn
from scratch.copying import deep_copy
from scratch.grad_mode import no_grad
from scratch.nested import leaves
from torch_ref.adapters.parameter_tree import looks_learned, parameter_name
from torch_ref.adapters.paths import get, put, walk
from torch_ref.adapters.slots import is_frozen


def without_gradient(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[list[str], list[str]]:
    """The arrays of an adapted object that change its output and are no parameters of the module.

    Returns:
        The names of those that look like parameters, and of the others.
    """
    root = getattr(module, "root", None)
    if not isinstance(root, list):
        return [], []
    before = _outputs(deep_copy(module), inputs)
    names: tuple[list[str], list[str]] = [], []
    for path, value in list(walk(root)):
        if not isinstance(value, np.ndarray) or value.dtype.kind != "f" or not value.size:
            continue
        other: Any = deep_copy(module)
        # The module's parameters are written over this in forward, and what forward keeps is as well.
        put(other.root, path, value * 1.25 + 0.125)
        if not np.array_equal(_outputs(other, inputs), before, equal_nan=True):
            is_learned = looks_learned(path[-1]) and not is_frozen(get(root, path[:-1]))
            names[0 if is_learned else 1].append(parameter_name(path[1:]))
    return names


def _outputs(module: nn.Module, inputs: tuple[Any, ...]) -> np.ndarray:
    """All numbers of the output; none where the forward takes no such array."""
    try:
        with no_grad(), np.errstate(all="ignore"):
            y = module(*deep_copy(inputs))
    except Exception:  # from other people's code, with an array that is not what it should be
        return np.zeros(0)
    return np.concatenate([np.asarray(each, float).reshape(-1) for _, each in leaves(y)])
