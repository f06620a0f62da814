"""The arrays that a backward has at hand, by name: what gets into a gradient by mistake is one of them."""

from typing import Any

import numpy as np

from scratch.copying import deep_copy
from scratch.gradcheck import Objective
from scratch.gradcheck.objective import named
from scratch.nested import is_floating, leaves


def arrays_of(objective: Objective) -> dict[str, np.ndarray]:
    """Floating inputs, parameters, outputs and incoming gradients."""
    found = named("input", [x for _, x in leaves(objective.inputs)])
    found |= {name: p.data for name, p in objective.model.named_parameters()}
    found |= named("output", [y for _, y in leaves(objective.y)])
    if objective.cotangent is not None:
        found |= named("dy", [c for _, c in leaves(objective.cotangent)])
    return {name: x for name, x in found.items() if isinstance(x, np.ndarray) and is_floating(x)}


def with_cotangent(objective: Objective, cotangent: Any) -> Objective:
    """The same objective under another incoming gradient."""
    other = objective.of(objective.model)
    other.cotangent = cotangent
    return other


def negated(objective: Objective, name: str) -> Objective:
    """The same objective, that input or parameter with the other sign.

    Raises:
        KeyError: there is no floating array of this name.
        NotFiniteError: the output is not defined there.
    """
    inputs, model = deep_copy(objective.inputs), deep_copy(objective.model)
    arrays = named("input", [x for _, x in leaves(inputs)])
    arrays |= {n: p.data for n, p in model.named_parameters()}
    array = arrays[name]
    array[...] = -array
    return Objective(model, *inputs, cotangent=objective.cotangent)


def moved(objective: Objective, name: str, move: np.ndarray) -> list[np.ndarray]:
    """The outputs with that input or parameter moved by so much.

    Raises:
        KeyError: there is no floating array of this name.
    """
    inputs, model = deep_copy(objective.inputs), deep_copy(objective.model)
    arrays = named("input", [x for _, x in leaves(inputs)])
    arrays |= {n: p.data for n, p in model.named_parameters()}
    arrays[name][...] += move
    return [np.asarray(y) for _, y in leaves(objective.forward(model, *inputs))]


def slope(objective: Objective, name: str, v: np.ndarray, h: float = 1e-5) -> float:
    """The slope of L = Σ cotangent · y along v, by a central difference; good to some 1e-8 of it."""
    ends = []
    for step in (h, -h):
        pairs = zip(leaves(objective.cotangent), moved(objective, name, step * v), strict=True)
        ends.append(sum(float(np.sum(c * y)) for (_, c), y in pairs if c is not None))
    return (ends[0] - ends[1]) / (2 * h)
