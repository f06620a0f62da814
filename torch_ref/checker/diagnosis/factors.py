"""The factor by which a whole gradient is wrong, and the size that it is, if a second shape says so.

Of 4 and 1/4 nothing can be said: the batch, the features, the square root of the width may all be 4. So each
size that explains a factor is changed, by cutting the inputs, and the factor must change as it says.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from scratch.gradcheck import Objective
from torch_ref.checker.diagnosis.cause import Cause, is_right
from torch_ref.checker.diagnosis.known import slope
from torch_ref.checker.diagnosis.shapes import cut, inputs_of
from torch_ref.checker.verdict import TensorVerdict


def scaled(t: TensorVerdict, objective: Objective) -> Cause | None:
    """The factor by which the whole gradient is wrong."""
    ratio = factor_of(t)
    if not ratio:
        return None
    name = _plain(ratio) or _size(t, ratio, objective)
    # One number is some multiple of any other: that alone proves nothing.
    if not name and np.count_nonzero(np.abs(t.expected[t.decidable]) > t.tolerance[t.decidable]) < 2:
        return None
    evidence = f"divided by {ratio:.9g} it equals the numeric derivative"
    return Cause(f"a factor of {name or f'{ratio:.6g}'} too much", evidence, _fix(name), (t.name,))


def _fix(name: str) -> str:
    if "batch" not in name:
        return ""
    if name.startswith("1 by"):
        return "sum over the samples; a mean belongs to the loss alone, and is taken there once"
    return "the sum over the samples, or the mean, is taken twice or not at all"


def factor_of(t: TensorVerdict) -> float:
    """NumPy's by the expected; 0 if that is no factor, but rounding, or if it is right as it is."""
    ratio = _ratio(t.ours[t.decidable], t.expected[t.decidable])
    # A gradient that is right up to rounding is right with any factor close to 1; one that is off by so
    # much that the factor is that of a rounding is not explained by it.
    if not np.isfinite(ratio) or abs(ratio) < 1e-9 or abs(ratio) > 1e9 or abs(ratio - 1) < 1e-6:
        return 0.0
    return ratio if _has_factor(t, ratio) and not _has_factor(t, 1.0) else 0.0


def _ratio(mine: np.ndarray, exact: np.ndarray) -> float:
    """The least squares' factor; 0 where nothing is expected."""
    square = float(np.sum(exact * exact))
    return float(np.sum(mine * exact)) / square if square else 0.0


def _has_factor(t: TensorVerdict, factor: float) -> bool:
    return is_right(t, t.ours / factor, 1 / abs(factor))


# ---- its name


def _plain(ratio: float) -> str:
    """The name of a factor that is one by itself."""
    names = {"-1": -1.0, "2": 2.0, "1/2": 0.5, "-2": -2.0, "-1/2": -0.5}
    return next((name for name, factor in names.items() if _equal(ratio, factor)), "")


def _equal(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-7)


class Size(NamedTuple):
    """A size of the problem: what it is called, and how long it is if ``axis`` is shorter by one."""

    axis: int
    name: str
    length: int
    shorter: int
    size_of_axis: int


_POWERS: dict[str, Callable[[int], float]] = {
    "{},": float,
    "1 by {},": lambda n: 1 / n,
    "the root of {},": math.sqrt,
    "1 by the root of {},": lambda n: 1 / math.sqrt(n),
    "n/(n-1), n {},": lambda n: n / (n - 1),
    "(n-1)/n, n {},": lambda n: (n - 1) / n,
    "the square of {},": lambda n: float(n * n),
    "1 by the square of {},": lambda n: 1 / (n * n),
}


def _size(t: TensorVerdict, ratio: float, objective: Objective) -> str:
    """The size of the problem that the factor is, if it alone is, and another shape confirms it; or ""."""
    if abs(ratio - 1) < 1e-3:
        return ""
    fitting = [
        (size, words, power)
        for size in _sizes(objective)
        for words, power in _POWERS.items()
        if size.length > 2 and _equal(abs(ratio), power(size.length))
    ]
    confirmed = [
        words.format(f"{size.name}, {size.length}")
        for size, words, power in fitting
        if _confirmed(t.name, abs(ratio), size, power, objective)
    ]
    minus = "-" if ratio < 0 else ""
    return minus + confirmed[0] if len(confirmed) == 1 else ""


def _sizes(objective: Objective) -> Iterator[Size]:
    """The first axis of the inputs, or of what is held, and the others."""
    arrays = inputs_of(objective)
    if not arrays:
        return
    first = max(arrays, key=lambda x: (x.ndim, x.size))
    if first.ndim > 1:
        N = len(first)
        yield Size(0, "the number of entries", first.size, first.size // N * (N - 1), N)
    for axis in range(first.ndim):
        if axis == 0 and first.ndim > 1:
            name = "the batch size"
        elif axis == first.ndim - 1:
            name = "the last size of the input" if first.ndim > 1 else "the length of the input"
        else:
            name = f"the size of axis {axis} of the input"
        L = first.shape[axis]
        yield Size(axis - first.ndim if axis else 0, name, L, L - 1, L)


# ---- another shape


def _confirmed(
    name: str, ratio: float, size: Size, power: Callable[[int], float], objective: Objective
) -> bool:
    """Whether the factor is the same power of the size where that is smaller."""
    for all_of_them in (False, True):
        smaller = cut(objective, size.axis, size.size_of_axis, all_of_them)
        other = 0.0 if smaller is None else _ratio_in(name, smaller)
        if other:
            return _near(other, power(size.shorter)) and not _near(other, ratio)
    return False


def _near(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-4)


def _ratio_in(name: str, objective: Objective) -> float:
    """The factor by which this gradient is wrong there, without its sign; 0 if it cannot be found.

    Along my gradient u = r g / |r g| the slope is |g| = |r g| / r.
    """
    try:
        with np.errstate(all="ignore"):
            mine = objective.backward().named()[name]
            size = float(np.linalg.norm(mine))
            along = slope(objective, name, mine / size) if size else 0.0
    except Exception:  # from other people's code, on a shape that it does not take
        return 0.0
    return abs(size / along) if along and np.isfinite(along) else 0.0
