"""A median or a mean with its 95% interval, and whether that is enough to call something faster."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from scipy.special import stdtrit  # the same as scipy.stats.t.ppf, whose import takes half a second


class Interval(NamedTuple):
    """A median or mean, and its 95% interval."""

    middle: float
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
    low, high = _bootstrap(of_all, np.median, seed)
    if len(of_all) > 1:
        low, high = _joined(low, high, np.median(of_all, axis=1))
    return Interval(float(np.median(of_all)), low, high)


def mean_interval(differences: np.ndarray, seed: int = 0) -> Interval:
    """The mean of paired differences and its 95% interval; of one difference, nan.

    The interval is that of the bootstrap, or Student's where that is wider: of five differences around 0 the
    bootstrap's alone leaves out the 0 in one of six cases, not in one of twenty.
    """
    differences = np.asarray(differences, float)
    mean = float(np.mean(differences))
    if len(differences) < 2:
        return Interval(mean, np.nan, np.nan)
    return Interval(mean, *_joined(*_bootstrap(differences[None], np.mean, seed), differences))


_DRAWS = 5_000


def _bootstrap(samples: np.ndarray, statistic: Callable[..., np.ndarray], seed: int) -> tuple[float, float]:
    """The percentile interval of a statistic of (P, n) samples: of P drawn rows, n samples of each."""
    return _of_bytes(samples.tobytes(), samples.shape, statistic, seed)


# A report and its comparison ask for the same intervals many times.
@lru_cache(maxsize=5_000)
def _of_bytes(
    raw: bytes, shape: tuple[int, int], statistic: Callable[..., np.ndarray], seed: int
) -> tuple[float, float]:
    samples = np.frombuffer(raw).reshape(shape)
    rows, count = shape
    rng = np.random.default_rng(seed)
    drawn = rng.integers(rows, size=(_DRAWS, rows, 1))
    found = statistic(samples[drawn, rng.integers(count, size=(_DRAWS, rows, count))], axis=(1, 2))
    low, high = np.percentile(found, (2.5, 97.5))
    return float(low), float(high)


def _joined(low: float, high: float, values: np.ndarray) -> tuple[float, float]:
    """An interval, and Student's of the mean of a few values."""
    half = stdtrit(len(values) - 1, 0.975) * values.std(ddof=1) / np.sqrt(len(values))
    return float(min(low, values.mean() - half)), float(max(high, values.mean() + half))


def judge(ratio: Interval, noise: float) -> str:
    """NumPy is faster or slower if all of the interval is farther from 1, in ratio, than the noise."""
    if ratio.high < 1 / (1 + noise):
        return "NumPy faster"
    if ratio.low > 1 + noise:
        return "NumPy slower"
    return "not distinguishable"
