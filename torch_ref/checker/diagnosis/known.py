"""The arrays that a backward has at hand, by name: what gets into a gradient by mistake is one of them."""

from typing import Any

import numpy as np

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
