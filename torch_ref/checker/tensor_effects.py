"""Circumstances in which code of tensors is called in a training: other memory, fewer gradients needed."""

import copy
from typing import Any

import numpy as np

from scratch.gradcheck import Objective
from scratch.gradcheck.tolerance import half_of_digits
from scratch.nested import is_floating, leaves
from torch_ref.adapters import TensorCode

_STRIDED = "an incoming gradient that is not contiguous"


def tensor_effects_of(objective: Objective) -> list[str]:
    """A sentence for each circumstance in which backward gives another gradient, or raises an error."""
    if not any(isinstance(module, TensorCode) for module in objective.model.modules()):
        return []
    expected = objective.run()[1].named()
    found = _sentence(
        objective, expected, [*expected], f"for {_STRIDED}", "call .contiguous() on it", strided=True
    )
    if not isinstance(objective.model, TensorCode) or len(expected) < 2:
        return found
    count = sum(1 for _ in leaves(objective.inputs))
    numbers = {f"input {at}" if count > 1 else "input": at for at, x in leaves_by_number(objective.inputs)}
    for name in expected:
        when = f"if that of {name} is the only one that is needed"
        fix = "look at ctx.needs_input_grad"
        found += _sentence(objective, expected, [name], when, fix, only=numbers.get(name, name))
    return found


def leaves_by_number(inputs: Any) -> list[tuple[int, np.ndarray]]:
    """The floating inputs by their number among all."""
    return [(at, x) for at, (_, x) in enumerate(leaves(inputs)) if is_floating(x)]


def _sentence(
    objective: Objective,
    expected: dict[str, np.ndarray],
    names: list[str],
    when: str,
    fix: str,
    **circumstance: Any,
) -> list[str]:
    model = copy.deepcopy(objective.model)
    for module in model.modules():
        if isinstance(module, TensorCode):
            vars(module).update(circumstance)
    try:
        found = objective.of(model).run()[1].named()
    except Exception as error:  # from other people's code
        text = str(error).partition("\n")[0].removeprefix("check: mine: ")
        return [f"backward raises an error {when} ({text}); {fix}"]
    other = [name for name in names if not _is_close(found[name], expected[name])]
    return [f"backward gives another gradient of {', '.join(other)} {when}; {fix}"] if other else []


def _is_close(found: np.ndarray, expected: np.ndarray) -> bool:
    if found.shape != expected.shape:
        return False
    allowed = half_of_digits(expected.dtype) * np.max(np.abs(expected), initial=0)
    return bool(np.all(np.isclose(found, expected, rtol=0, atol=allowed, equal_nan=True)))
