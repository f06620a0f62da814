"""Which gradient belongs to which array, where neither names nor shapes tell: the one that is its slope."""

import copy
from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any

import numpy as np

from scratch.nested import leaves
from torch_ref.adapters.calls import as_outputs
from torch_ref.adapters.flat import copied
from torch_ref.adapters.paths import Path, get, put, walk
from torch_ref.adapters.trial import Trial, unnoticed

_MOST, _STEP = 4, 1e-5


def reordered(gradients: Mapping[Path, Any], trial: Trial) -> dict[Path, Path]:
    """{array: the one in whose place its gradient is}, where gradients of one shape are in another order.

    Only if no array has its own gradient there, all of them have their slopes in another order of the same
    gradients, and in one alone. ``gradients`` are those that the trial's backward returned, by the paths of
    arrays in the order in which they are kept.
    """
    found: dict[Path, Path] = {}
    groups: dict[tuple[int, ...], list[Path]] = {}
    for path in gradients:
        groups.setdefault(np.shape(get([trial.built], path)), []).append(path)
    for group in groups.values():
        if 1 < len(group) <= _MOST:
            try:
                found |= _order(group, gradients, trial)
            except Exception:  # from people's forward, on other weights
                continue
    return found


def _order(group: Sequence[Path], gradients: Mapping[Path, Any], trial: Trial) -> dict[Path, Path]:
    """The one other order of the group in which all are slopes, or {}."""
    fits = [[_is_slope(np.asarray(gradients[of]), at, trial) for of in group] for at in group]
    if all(fits[i][i] for i in range(len(group))):
        return {}
    orders = [p for p in permutations(range(len(group))) if all(fits[i][j] for i, j in enumerate(p))]
    if len(orders) != 1:
        return {}
    return {group[i]: group[j] for i, j in enumerate(orders[0]) if i != j}


def _is_slope(gradient: np.ndarray, path: Path, trial: Trial) -> bool:
    """Whether it is the slope of the output times the trial's incoming gradient along a random direction."""
    array = get([trial.built], path)
    v = np.random.default_rng(1).standard_normal(array.shape)
    up, down = (_loss(with_array(trial.built, path, array + step * v), trial) for step in (_STEP, -_STEP))
    slope, product = (up - down) / (2 * _STEP), gradient.reshape(array.shape) * v
    return bool(abs(slope - product.sum()) <= 1e-5 * np.abs(product).sum())


def _loss(thing: Any, trial: Trial) -> float:
    with unnoticed():
        y, _ = trial.passes.run_forward(thing, copy.deepcopy(trial.inputs), True)
    pairs = zip(leaves(as_outputs(y)), trial.dy, strict=True)
    return float(sum(np.sum(each * dy) for (_, each), dy in pairs))


def with_array(thing: Any, path: Path, array: np.ndarray) -> Any:
    """A copy in which this array is in the place of the one at ``path``, and wherever else that is kept."""
    other = copied(thing)
    before = get([other], path)
    for at in [at for at, value in walk([other]) if value is before] or [path]:
        put([other], at, array.copy())
    return other
