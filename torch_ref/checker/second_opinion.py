"""PyTorch's forward differentiated numerically: a second opinion before its gradient is called wrong.

The numeric derivative (scratch/gradcheck/derivative.py) comes from the NumPy forward. Where it contradicts
PyTorch's gradient, either that or the numeric derivative is off. PyTorch's own forward decides, in float64.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from scratch.copying import deep_copy
from scratch.gradcheck import Objective, named
from scratch.gradcheck.tolerance import VISIBLE
from scratch.nested import is_floating, leaves, unflatten_as
from torch_ref.checker.verdict import TensorVerdict


def is_slope_of_its_forward(
    t: TensorVerdict, twin: torch.nn.Module, objective: Objective, loss_fn: torch.nn.Module | None
) -> bool:
    """Whether PyTorch's gradient, where it is called wrong, is the slope of PyTorch's own forward.

    Along a random direction of these entries, with the step that shows an error best; no if none shows one.
    """
    v = np.random.default_rng(0).standard_normal(t.reference.shape) * t.wrong(t.reference)
    terms = t.reference * v
    allowed = float(np.linalg.norm(t.tolerance * v))
    try:
        loss = _loss(t.name, v, twin, objective, loss_fn)
        found = [_slope(loss, h) for h in (1e-3, 1e-4, 1e-5, 1e-6)]
    except Exception:  # from other people's code, which need not take float64
        return False
    slope, error = min(found, key=lambda each: each[1])
    sharp = error <= VISIBLE["float64"] * float(np.linalg.norm(terms))
    return sharp and abs(slope - float(np.sum(terms))) <= error + allowed


def _slope(loss: Callable[[float], float], h: float) -> tuple[float, float]:
    """dL/dt at 0 by central differences, extrapolated, and how far it may be off."""
    near, far = ((loss(step) - loss(-step)) / (2 * step) for step in (h, 2 * h))
    rounding = 4 * float(np.finfo(np.float64).eps) * max(1.0, abs(loss(0.0))) / h
    return (4 * near - far) / 3, abs(near - far) / 3 + rounding


def _loss(
    name: str, v: np.ndarray, twin: torch.nn.Module, objective: Objective, loss_fn: torch.nn.Module | None
) -> Callable[[float], float]:
    """L of PyTorch's forward in float64, as a function of how far the tensor of this name moves along v."""
    flat = [x for _, x in leaves(objective.inputs)]
    at = {key: i for i, key in enumerate(named("input", flat))}
    direction = torch.from_numpy(v)

    def loss(step: float) -> float:
        model = deep_copy(twin).double()
        tensors: list[Any] = [x if x is None else torch.from_numpy(np.array(x)) for x in flat]
        tensors = [x.double() if x is not None and x.is_floating_point() else x for x in tensors]
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            if name in at:
                tensors[at[name]] += step * direction
            else:
                model.get_parameter(name).add_(step * direction)
            y = model(*unflatten_as(objective.inputs, iter(tensors)))
            if loss_fn is not None:
                return float(loss_fn(y, torch.from_numpy(objective.target)))
            return _weighted(y, objective.cotangent)

    return loss


def _weighted(y: Any, cotangent: Any) -> float:
    """Σ c · y over all floating outputs."""
    pairs = zip(leaves(y), leaves(cotangent), strict=True)
    return sum(float(np.sum(c * each.numpy())) for (_, each), (_, c) in pairs if is_floating(c))
