"""Many entries of a parameter differentiated by one forward.

In a chain of modules, a parameter of one module leaves all before it as it is. If that module is linear in
the parameter, one forward of the module shows the pattern that an entry adds to the output; and L with K
entries perturbed, each by itself, is one forward of the rest on a batch K times as large.

None of this is taken on trust, nor from backward. Whether a module is linear in a parameter, which channel a
row of it reaches, and whether the rest treats samples independently: all is found by running forward.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from scratch.gradcheck.chain import Chain
from scratch.gradcheck.step import Step
from scratch.nn.parameter import Parameter

_BATCH_BYTES = 2**21
_LARGE = 2.0**40
# Limits for a module that is linear, whose rounding is many digits below them.
_LINEAR, _PREDICTED = 1e-9, 1e-6


class Patterns(NamedTuple):
    """The changes of a module's output: entry (o, j) of a parameter adds ``added[j, :, o]``.

    ``axis`` is the output's channel axis, and ``added`` has the shape (J, positions, O).
    """

    axis: int
    added: np.ndarray


def batches(total: int, each: int) -> Iterator[np.ndarray]:
    """0 … total - 1 in runs, short enough for arrays of ``each`` bytes to stay in the cache."""
    size = max(1, _BATCH_BYTES // max(1, each))
    for start in range(0, total, size):
        yield np.arange(start, min(start + size, total))


def by_patterns(
    moved: Chain, k: int, z: np.ndarray, shape: tuple[int, ...], patterns: Patterns, step: Step
) -> np.ndarray:
    """dL by each entry of a parameter of module k, whose output is z: K entries at a time, as one batch.

    An entry that adds nothing anywhere (a pixel that is blank in every sample) has the slope 0 exactly.
    """
    axis, added = patterns
    slopes = np.zeros((shape[0], math.prod(shape[1:])), step.real)
    reach = np.any(added != 0, axis=1)
    rows, columns = np.nonzero(reach.T)
    start = np.moveaxis(z, axis, -1).astype(step.dtype)
    flat = start.reshape(-1, shape[0])
    for entries in batches(len(rows), flat.nbytes):
        o, j = rows[entries], columns[entries]
        values = []
        for h in step.steps:
            batch = np.repeat(flat[None], len(entries), axis=0)
            batch[np.arange(len(entries)), :, o] += h * added[j, :, o]
            batch = np.moveaxis(batch.reshape(len(entries), *start.shape), -1, axis + 1)
            values.append(moved.losses(k + 1, batch))
        slopes[o, j] = step.slope(*values)
    return slopes.reshape(shape)


def find_patterns(
    chain: Chain, k: int, p: Parameter, inputs: tuple[np.ndarray, ...], z: np.ndarray
) -> Patterns | None:
    """The patterns of p = (O, J…) in the output z of module k, if that is linear in p, row by row.

    Row o of p must reach channel o of z and nothing else, and twice the change in p must be twice the change
    in z. Then one forward with column j of p set to some number, and zeros elsewhere, shows the patterns of
    (o, j) for all o at once. The number is large, so that what else is in z (a bias) drowns no digits.
    """
    before = p.data.copy()

    def output(value: np.ndarray) -> np.ndarray:
        p.data = value
        try:
            return chain.forward(k, *inputs)
        finally:
            p.data = before

    axis = _channel_axis(output, before, z)
    if axis is None:
        return None
    change = _noise(before.shape)
    once, twice = output(before + change) - z, output(before + 2 * change) - z
    if not np.all(np.abs(twice - 2 * once) <= _LINEAR * np.max(np.abs(once), initial=0)):
        return None
    origin = output(np.zeros_like(before))
    probe = np.zeros_like(before)
    columns = probe.reshape(len(before), -1)
    added = np.empty((columns.shape[1], z.size // len(before), len(before)), before.dtype)
    for j in range(columns.shape[1]):
        columns[:, j] = _LARGE
        added[j] = np.moveaxis((output(probe) - origin) / _LARGE, axis, -1).reshape(-1, len(before))
        columns[:, j] = 0
    # A saturated module does not change either, if the change is small; it is not linear for that. So what
    # was predicted must be seen, in each channel, and no rounding of z may be taken for it.
    predicted = np.einsum("oj,jpo->po", change.reshape(len(before), -1), added)
    seen = np.moveaxis(once, axis, -1).reshape(predicted.shape)
    if not np.all(np.abs(predicted - seen) <= _PREDICTED * np.max(np.abs(seen), axis=0, initial=0)):
        return None
    return Patterns(axis, added)


def _channel_axis(output: Callable[[np.ndarray], np.ndarray], value: np.ndarray, z: np.ndarray) -> int | None:
    """The axis of z whose channel o depends on row o of the parameter and on no other row.

    Rows are changed in groups, by the bits of their numbers: two rows differ in some bit, so if no group
    touches a channel outside of it, no row touches another's channel.
    """
    if value.ndim == 0:
        return None
    axes = [axis for axis in range(1, z.ndim) if z.shape[axis] == len(value)]
    if not axes:
        return None
    number = np.arange(len(value))
    for bit in range(max(1, (len(value) - 1).bit_length())):
        for side in (0, 1):
            group = (number >> bit & 1) == side
            changed = output(value + _noise(value.shape) * group.reshape(-1, *[1] * (value.ndim - 1))) != z
            axes = [axis for axis in axes if not np.any(np.compress(~group, changed, axis=axis))]
    return axes[-1] if axes else None


def _noise(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(1).standard_normal(shape)
