"""A median, how sure it is, and whether that is enough to call something faster."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import stdtrit  # the same as scipy.stats.t.ppf, whose import takes half a second


class Interval(NamedTuple):
    """A median and its 95% interval."""

    median: float
    low: float
    high: float


def median_interval(samples: Sequence[Any] | np.ndarray, seed: int = 0) -> Interval:
    """The median of all, with the 95% percentile interval of medians drawn anew (bootstrap).

    Args:
        samples: (n,), of one process; or (P, n), of P: then processes are drawn first, and then n samples of
            each, since processes may differ by more than the samples of one do (Kalibera and Jones 2013). Of
            few processes this interval is too narrow, so that Student's, of their medians, is joined to it.
        seed: of the drawing.
    """
    of_all = np.atleast_2d(np.asarray(samples, float))
    processes, count = of_all.shape
    rng = np.random.default_rng(seed)
    drawn = rng.integers(processes, size=(_DRAWS, processes, 1))
    medians = np.median(of_all[drawn, rng.integers(count, size=(_DRAWS, processes, count))], axis=(1, 2))
    low, high = map(float, np.percentile(medians, (2.5, 97.5)))
    if processes > 1:
        each = np.median(of_all, axis=1)
        half = float(stdtrit(processes - 1, 0.975) * each.std(ddof=1) / np.sqrt(processes))
        low, high = min(low, each.mean() - half), max(high, each.mean() + half)
    return Interval(float(np.median(of_all)), float(low), float(high))


_DRAWS = 5_000


def judge(ratio: Interval, noise: float) -> str:
    """NumPy is faster or slower if all of the interval is farther from 1, in ratio, than the noise."""
    if ratio.high < 1 / (1 + noise):
        return "NumPy faster"
    if ratio.low > 1 + noise:
        return "NumPy slower"
    return "not distinguishable"
