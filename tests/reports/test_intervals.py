"""Medians and means with their intervals, and what is called faster by them."""

import numpy as np
import pytest

from reports.runner import intervals


def test_the_interval_of_equal_samples_is_a_point():
    assert intervals.median_interval([1.5] * 6) == (1.5, 1.5, 1.5)


def test_the_interval_holds_the_median_and_narrows_with_more_samples():
    samples = np.random.default_rng(0).normal(2, 0.1, 400)
    few_, many = intervals.median_interval(samples[:10]), intervals.median_interval(samples)
    for found, given in ((few_, samples[:10]), (many, samples)):
        assert found.middle == np.median(given)
        assert min(given) <= found.low < found.middle < found.high <= max(given)
    # The median of n samples from N(2, 0.1) has a standard error of 0.1253 / sqrt(n).
    assert many.high - many.low == pytest.approx(2 * 1.96 * 0.1253 / 20, rel=0.4)
    assert few_.high - few_.low > 3 * (many.high - many.low)
    assert many.low < 2 < many.high


def test_the_interval_is_the_same_from_the_same_seed():
    samples = np.random.default_rng(1).normal(size=100)
    assert intervals.median_interval(samples, 3) == intervals.median_interval(samples, 3)
    assert intervals.median_interval(samples, 3) != intervals.median_interval(samples, 4)


@pytest.mark.parametrize(
    ("low", "high", "noise", "verdict"),
    [
        (0.4, 0.6, 0.1, "NumPy faster"),
        (1.4, 1.6, 0.1, "NumPy slower"),
        (0.9, 1.1, 0.0, "not distinguishable"),
        (0.4, 0.6, 0.8, "not distinguishable"),
        (1.4, 1.6, 0.4, "not distinguishable"),
        (0.3, 0.33, 0.9, "NumPy faster"),
        (3.0, 3.3, 0.9, "NumPy slower"),
        (0.8, 0.95, 0.1, "not distinguishable"),
        (1.05, 1.3, 0.1, "not distinguishable"),
        (0.99, 0.995, 0.0, "NumPy faster"),
        (1.0, 1.0, 0.0, "not distinguishable"),
    ],
)
def test_a_side_is_faster_only_if_the_interval_is_beyond_the_noise(low, high, noise, verdict):
    assert intervals.judge(intervals.Interval((low + high) / 2, low, high), noise) == verdict


def test_the_interval_of_a_mean_leaves_out_the_truth_in_one_of_twenty_cases_also_of_five_seeds():
    rng = np.random.default_rng(0)
    missed = 0
    for _ in range(400):
        mean, low, high = intervals.mean_interval(rng.normal(0, 1, 5))
        assert low < mean < high
        missed += not low <= 0 <= high
    # 5% of 400, and three standard deviations of a count more.
    assert missed <= 20 + 3 * np.sqrt(19)


def test_the_interval_of_equal_differences_is_a_point_and_of_one_unknown():
    assert intervals.mean_interval(np.array([0.5] * 4)) == (0.5, 0.5, 0.5)
    assert intervals.mean_interval(np.array([0.5]))[0] == 0.5
    assert np.isnan(intervals.mean_interval(np.array([0.5]))[1:]).all()
