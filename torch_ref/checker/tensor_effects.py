"""Circumstances in which code of tensors is called in a training: other memory, fewer gradients needed."""

from typing import Any

import numpy as np

from scratch.copying import deep_copy
from scratch.gradcheck import Objective
from scratch.nested import is_floating, leaves
from torch_ref.adapters import Holding, TensorCode
from torch_ref.adapters.held import Held, filled
from torch_ref.checker.side_effects import is_close

_STRIDED = "an incoming gradient that is not contiguous"


def tensor_effects_of(objective: Objective) -> list[str]:
    """A sentence for each circumstance in which backward gives another gradient, or raises an error."""
    if not any(isinstance(module, TensorCode) for module in objective.model.modules()):
        return []
    expected = objective.run()[1].named()
    found = _sentence(
        objective, expected, [*expected], f"for {_STRIDED}", "call .contiguous() on it", strided=True
    )
    model = objective.model
    code, held = (model.inner, model.held) if isinstance(model, Holding) else (model, {})
    if not isinstance(code, TensorCode) or len(expected) < 2:
        return found
    numbers = _numbers(objective.inputs, held)
    for name in expected:
        when = f"if that of {name} is the only one that is needed"
        fix = "look at ctx.needs_input_grad"
        found += _sentence(objective, expected, [name], when, fix, only=numbers.get(name, name))
    return found


def _numbers(inputs: tuple[Any, ...], held: Held) -> dict[str, int]:
    """The floating inputs that are not held by name, each with its number among all inputs."""
    positions = [i for i, x in enumerate(filled(inputs, held)) for _ in leaves(x)]
    free = [number for number, i in enumerate(positions) if i not in held]
    names = [f"input {at}" if len(free) > 1 else "input" for at in range(len(free))]
    pairs = zip(names, free, leaves(inputs), strict=True)
    return {name: number for name, number, (_, x) in pairs if is_floating(x)}


def _sentence(
    objective: Objective,
    expected: dict[str, np.ndarray],
    names: list[str],
    when: str,
    fix: str,
    **circumstance: Any,
) -> list[str]:
    model = deep_copy(objective.model)
    for module in model.modules():
        if isinstance(module, TensorCode):
            vars(module).update(circumstance)
    try:
        found = objective.of(model).run()[1].named()
    except Exception as error:  # from other people's code
        text = str(error).partition("\n")[0].removeprefix("check: mine: ")
        return [f"backward raises an error {when} ({text}); {fix}"]
    other = [name for name in names if not is_close(found[name], expected[name])]
    return [f"backward gives another gradient of {', '.join(other)} {when}; {fix}"] if other else []
