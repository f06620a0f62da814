"""The same code on another shape: what is a size of the problem changes with it."""

import copy
from typing import Any

import numpy as np

from scratch import nn
from scratch.gradcheck import Objective
from scratch.nested import leaves, unflatten_as


def inputs_of(objective: Objective) -> list[np.ndarray]:
    """The inputs that have axes, also those that are held, as the target of a loss."""
    arrays = [x for _, x in leaves(objective.inputs) if isinstance(x, np.ndarray) and x.ndim]
    return [*arrays, *(x for x in held_of(objective.model).values() if x.ndim)]


def held_of(model: nn.Module) -> dict[int, np.ndarray]:
    """The arrays among the inputs that a module holds, by their position."""
    held = getattr(model, "held", None)
    items = held.items() if isinstance(held, dict) else enumerate(held) if isinstance(held, tuple) else ()
    return {at: value for at, value in items if isinstance(value, np.ndarray)}


def cut(objective: Objective, axis: int, length: int, all_of_them: bool) -> Objective | None:
    """The objective on inputs shorter by one along that axis: the largest, or all that are as long there.

    None where people's code, or the size, does not allow it.
    """
    largest = max((x.size for x in inputs_of(objective)), default=0)

    def shorter(x: Any) -> Any:
        if not isinstance(x, np.ndarray) or not -x.ndim <= axis < x.ndim or length < 2:
            return x
        fits = x.shape[axis] == length and (all_of_them or x.size == largest)
        return np.take(x, range(length - 1), axis=axis) if fits else x

    model: Any = objective.model
    if held := held_of(model):
        model = copy.copy(model)
        cut_short = {at: shorter(value) for at, value in held.items()}
        if isinstance(model.held, dict):
            model.held = {**model.held, **cut_short}
        else:
            model.held = tuple(cut_short.get(at, value) for at, value in enumerate(model.held))
    inputs = unflatten_as(objective.inputs, (shorter(x) for _, x in leaves(objective.inputs)))
    try:
        with np.errstate(all="ignore"):
            return Objective(model, *inputs)
    except Exception:  # from other people's code, on a shape that it does not take
        return None
