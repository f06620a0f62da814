"""Numeric derivatives: L differentiated without calculus, entry by entry.

One forward for each entry is slow, and mostly needless: where a module is linear in a parameter and what
follows treats samples independently, many entries go through one forward (batched.py). Where it is not, each
entry gets a forward of its own.
"""

from collections import Counter

import numpy as np

from scratch.gradcheck.batched import Patterns, batches, by_patterns, find_patterns
from scratch.gradcheck.chain import Chain, SampleAxes
from scratch.gradcheck.objective import Gradients, Objective
from scratch.gradcheck.step import Step
from scratch.nested import cast, is_floating, leaves, unflatten_as
from scratch.nn.parameter import Parameter


def differentiate(objective: Objective, step: Step, wrt_inputs: bool = True) -> Gradients:
    """dL by every entry of every parameter and input, by one step or two for each; None where not floating.

    ``wrt_inputs=False`` leaves the inputs out, None in their places.
    """
    real, moved = Chain(objective, step.real), Chain(objective, step.dtype)
    slopes: dict[Parameter, np.ndarray] = {}
    at = real.inputs
    for k, module in enumerate(real.modules):
        z = real.forward(k, *at)
        fresh = [p for p in module.parameters() if p not in slopes]
        own = dict(zip(module.parameters(), moved.modules[k].parameters(), strict=True))
        found = _patterns(real, moved, k, fresh, at, z)
        for p in fresh:
            if p in found:
                slopes[p] = by_patterns(moved, k, z, p.shape, found[p], step)
            else:
                slopes[p] = _by_entries(moved, k, own[p].data, cast(at, step.dtype), step)
        at = (z,)
    inputs = [x for _, x in leaves(moved.inputs)]
    floating = [wrt_inputs and is_floating(x) for x in inputs]
    axes = moved.sample_axes() if any(floating) else None
    by_input = tuple(_by_input(moved, i, step, axes) if each else None for i, each in enumerate(floating))
    return Gradients(by_input, {name: slopes[p] for name, p in real.model.named_parameters()})


def _patterns(
    real: Chain,
    moved: Chain,
    k: int,
    parameters: list[Parameter],
    at: tuple[np.ndarray, ...],
    z: np.ndarray,
) -> dict[Parameter, Patterns]:
    """The patterns of those parameters of module k, with output z, that it is linear in and alone has."""
    uses = Counter(p for module in real.modules for p in module.parameters())
    alone = [p for p in parameters if uses[p] == 1 and isinstance(z, np.ndarray)]
    found = {p: patterns for p in alone if (patterns := find_patterns(real, k, p, at, z)) is not None}
    return found if found and moved.treats_samples_apart(k + 1, z) else {}


def _by_entries(
    moved: Chain, k: int, array: np.ndarray, inputs: tuple[np.ndarray, ...], step: Step
) -> np.ndarray:
    """One forward (or two) for each entry of ``array``, from module k on."""
    slopes = np.empty(array.shape, step.real)
    for index in np.ndindex(array.shape):
        before, values = array[index], []
        for h in step.steps:
            array[index] = before + h
            values.append(moved.loss(k, *inputs))
        array[index] = before
        slopes[index] = step.slope(*values)
    return slopes


def _by_input(moved: Chain, i: int, step: Step, axes: SampleAxes | None) -> np.ndarray:
    """Every entry of input i; where samples are independent, by running the sample of each entry alone."""
    arrays = [array for _, array in leaves(moved.inputs)]
    if axes is None:
        arrays[i] = x = arrays[i].copy()
        return _by_entries(moved, 0, x, unflatten_as(moved.inputs, iter(arrays)), step)
    x = np.moveaxis(arrays[i], axes.inputs, 0)
    slopes = np.empty(x.size, step.real)
    size = x.size // len(x)
    for entries in batches(x.size, sum(array.nbytes for array in arrays) // len(x)):
        samples, at = np.divmod(entries, size)
        rows = [np.take(array, samples, axes.inputs) for array in arrays]
        values = []
        for h in step.steps:
            batch = x[samples]
            batch.reshape(len(entries), size)[np.arange(len(entries)), at] += h
            rows[i] = np.ascontiguousarray(np.moveaxis(batch, 0, axes.inputs))
            values.append(moved.sample_losses(rows, samples, axes))
        slopes[entries] = step.slope(*values)
    return np.moveaxis(slopes.reshape(x.shape), 0, axes.inputs)
