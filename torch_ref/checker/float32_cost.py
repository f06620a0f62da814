"""The cost of float32, step by step: how far off each gradient and each update is.

Each step of a side in float32 is made in float64 as well: from the same weights, and its update with the same
gradients. So the errors of one step do not grow with the steps before it.
"""

from typing import NamedTuple

import numpy as np
import torch

from scratch.gradcheck.rounding import Tensors
from torch_ref.checker.training_sides import Side

FLOAT32_ULP = float(np.finfo(np.float32).eps)


class StepError(NamedTuple):
    """How far off a tensor is, and how large it is: norms."""

    off: float
    size: float


Errors = dict[str, StepError]


def step_beside_exact(side: Side, exact: Side, x: np.ndarray, target: np.ndarray) -> tuple[float, Errors]:
    """One step of a side, beside itself in float64: the loss, and the error of each gradient and update.

    Both draw the same random numbers.
    """
    generator = torch.get_rng_state()
    _assign(exact.weights(), side.weights())
    _assign(exact.buffers(), side.buffers())
    exact.gradient(x, target)
    torch.set_rng_state(generator)
    loss = side.gradient(x, target)
    errors = _errors("gradient of ", side.gradients(), exact.gradients())
    _assign(exact.gradients(), side.gradients())
    exact.optimizer.step()
    side.optimizer.step()
    return loss, errors | _errors("update of ", side.weights(), exact.weights())


def most_roundings(ours: Errors, theirs: Errors) -> tuple[str, float]:
    """The gradient or update of a step whose error is the most times PyTorch's, and how many times."""
    units = {name: off + FLOAT32_ULP * size for name, (off, size) in theirs.items()}
    times = {name: off / units[name] if units[name] else off and np.inf for name, (off, _) in ours.items()}
    worst = max(times, key=lambda name: times[name])
    return worst, times[worst]


def _assign(to: Tensors, values: Tensors) -> None:
    for name, array in to.items():
        array[...] = values[name]


def _errors(kind: str, made: Tensors, exact: Tensors) -> Errors:
    sizes = {name: float(np.linalg.norm(right)) for name, right in exact.items()}
    # A gradient that is truly 0, such as that of a bias before a batch norm, is what others cancel to.
    whole = float(np.linalg.norm([*sizes.values()]))
    sizes = {name: size if size > FLOAT32_ULP * whole else whole for name, size in sizes.items()}
    return {
        kind + name: StepError(
            float(np.nan_to_num(np.linalg.norm(made[name] - right), nan=np.inf)), sizes[name]
        )
        for name, right in exact.items()
    }
