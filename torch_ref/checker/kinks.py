"""Numbers on which functions have ties and kinks: inputs that repeat and are 0, ±1, …

Random numbers never are, and there the question is not rounding but the convention that the two sides follow.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from scratch.nested import leaves, unflatten_as

TIES, ALL_ZERO, ALL_EQUAL = "ties and kinks", "inputs of zeros", "inputs of ones"
KINKS = np.array([-3.0, -1.0, -0.5, 0.0, 0.0, 0.0, 0.5, 1.0, 3.0, 6.0])

# The numbers that an input is drawn from.
Points = Callable[[np.ndarray], np.ndarray]


def kinks(x: np.ndarray) -> np.ndarray:
    """The few numbers at which functions have kinks."""
    return KINKS


def kinks_on_its_sides(x: np.ndarray) -> np.ndarray:
    """The points on the sides of -1, 0 and 1 that ``x`` is on: a probability stays one."""
    points = KINKS
    for bound in (-1, 0, 1):
        for side in (np.less, np.less_equal, np.greater_equal, np.greater):
            if np.all(side(x, bound)):
                points = points[side(points, bound)]
    return points


def kinks_above_0(x: np.ndarray) -> np.ndarray:
    """The points that have a logarithm."""
    return KINKS[KINKS > 0]


def zeros(x: np.ndarray) -> np.ndarray:
    """Nothing but 0, where a norm has no derivative, and a root none."""
    return np.zeros(1)


def ones(x: np.ndarray) -> np.ndarray:
    """Nothing but 1: every number of a row is its largest."""
    return np.ones(1)


def on_kinks(inputs: Any, points: Points) -> Any:
    """Inputs of the same shapes, of these few numbers; so they repeat as well."""
    rng = np.random.default_rng(0)
    arrays = (
        x if x is None or x.dtype.kind != "f" else rng.choice(points(x), x.shape) for _, x in leaves(inputs)
    )
    return unflatten_as(inputs, arrays)


def may_be_any_number(target: np.ndarray, x: np.ndarray) -> bool:
    """Whether a target may be any number, as the input x may: it is no label and no probability."""
    if target.dtype.kind != "f" or target.shape != x.shape or not target.size:
        return False
    return bool(np.min(target) < 0 < np.max(target) and np.any(target % 1))
