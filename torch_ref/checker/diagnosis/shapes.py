"""The same code on another shape: what is a size of the problem changes with it."""

from typing import Any

import numpy as np

from scratch.gradcheck import Objective
from scratch.nested import leaves, unflatten_as
from torch_ref.adapters import AgainstTarget


def inputs_of(objective: Objective) -> list[np.ndarray]:
    """The inputs that have axes, and the target of a loss."""
    arrays = [x for _, x in leaves(objective.inputs) if isinstance(x, np.ndarray) and x.ndim]
    model = objective.model
    if isinstance(model, AgainstTarget) and isinstance(model.target, np.ndarray) and model.target.ndim:
        arrays.append(model.target)
    return arrays


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

    model = objective.model
    if isinstance(model, AgainstTarget) and isinstance(model.target, np.ndarray):
        model = AgainstTarget(model.loss_fn, shorter(model.target), model.at)
    inputs = unflatten_as(objective.inputs, (shorter(x) for _, x in leaves(objective.inputs)))
    try:
        with np.errstate(all="ignore"):
            return Objective(model, *inputs)
    except Exception:  # from other people's code, on a shape that it does not take
        return None
