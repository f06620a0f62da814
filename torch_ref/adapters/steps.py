"""A backward that moves the weights itself: does it compute dx before it moves them?"""

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

from scratch.nested import leaves
from torch_ref.adapters.calls import as_outputs, takes
from torch_ref.adapters.flat import copied
from torch_ref.adapters.paths import Path, get, put, walk
from torch_ref.adapters.returned import Given, of_inputs
from torch_ref.adapters.slots import Slot
from torch_ref.adapters.trial import RATE, Trial, unnoticed

UPDATED = (
    "backward gives another dx for another learning rate: it is computed with the weights after the update. "
    "Compute dx before the weights are changed"
)


class Descent:
    """An optimizer in the place of one that a layer keeps and calls in its backward: w - lr · gradient."""

    def __init__(self) -> None:
        self.lr = RATE

    def update(self, w: Any, gradient: Any) -> Any:
        """The weight after a plain step, of its own shape."""
        return w - self.lr * gradient


def with_plain_steps(thing: Any) -> None:
    """Replace the optimizers that a thing keeps, each an object with update(w, gradient), by plain descent.

    Also those that are still None, of a name such as ``W_opt``, since people set them when they compile.
    """
    for path, value in list(walk(thing)):
        if _is_optimizer(value) or (value is None and str(path[-1]).endswith(("_opt", "_optimizer"))):
            put([thing], (0, *path), Descent())


def _is_optimizer(value: Any) -> bool:
    update = getattr(value, "update", None)
    return type(value).__module__ != "builtins" and callable(update) and takes(update, 2)


def states_of(trial: Trial, slots: Mapping[str, Slot]) -> dict[Path, np.ndarray]:
    """The arrays that backward changes from call to call and that are no parameters, such as a velocity."""
    taken = {path for slot in slots.values() for path in (slot.path, *slot.grad_paths)}
    found = {}
    for path in trial.persistent - taken if trial.after else ():
        before, after = get([trial.built], path), get(trial.after, path)
        if isinstance(before, np.ndarray) and not np.array_equal(before, after, equal_nan=True):
            found[path] = before.copy()
    return found


def remarks_on_steps(trial: Trial, rates: tuple[Path, ...], given: Given) -> tuple[str, ...]:
    """A sentence, if dx depends on the learning rate, as it does where the weights are changed first."""
    if not (trial.passes.rate or rates) or not given.inputs or not trial.after:
        return ()
    large, small = (_dx(trial, rates, given, rate) for rate in (RATE, 1 / RATE))
    pairs = zip(leaves(large), leaves(small), strict=True)
    return () if all(g is None or _is_same_dx(g, h) for (_, g), (_, h) in pairs) else (UPDATED,)


def _dx(trial: Trial, rates: tuple[Path, ...], given: Given, rate: float) -> Any:
    """The gradient of the inputs at this learning rate."""
    passes, thing = trial.passes, copied(trial.built)
    for path in rates:
        put([thing], path, rate)
    inputs, rng = copy.deepcopy(given.inputs), np.random.default_rng(0)
    with unnoticed():
        y, cache = passes.run_forward(thing, inputs, True)
        dy = [rng.standard_normal(np.shape(each)) for _, each in leaves(as_outputs(y))]
        result = passes.run_backward(thing, dy, (inputs, y, cache), rate)
    return copy.deepcopy(of_inputs(passes, thing, result))


def _is_same_dx(a: Any, b: Any) -> bool:
    return np.shape(a) == np.shape(b) and bool(np.allclose(a, b, rtol=1e-6, atol=0, equal_nan=True))
