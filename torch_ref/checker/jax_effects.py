"""A jax.custom_vjp has two forwards, its own and that of defvjp: they are to give the same."""

import copy

import numpy as np

from scratch.grad_mode import no_grad
from scratch.gradcheck import Objective
from scratch.nested import leaves
from torch_ref.adapters import JaxCode
from torch_ref.checker.side_effects import is_close


def jax_effects_of(objective: Objective) -> list[str]:
    """A sentence if the function gives another output where it is differentiated."""
    names = [module.name for module in objective.model.modules() if isinstance(module, JaxCode)]
    if not names:
        return []
    with no_grad():
        plain = copy.deepcopy(objective.model)(*objective.inputs)
    differentiated = copy.deepcopy(objective.model)(*objective.inputs)
    pairs = zip(leaves(plain), leaves(differentiated), strict=True)
    if all(is_close(np.asarray(there), np.asarray(here)) for (_, here), (_, there) in pairs):
        return []
    return [
        f"{names[0]} gives another output where it is differentiated: the forward of defvjp does not compute "
        f"what {names[0]} computes. Let it return ({names[0]}(x), what backward needs)"
    ]
