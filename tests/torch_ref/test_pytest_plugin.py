"""The fixture assert_twin, in a test run of its own."""

import pytest

pytest_plugins = ["pytester"]

LAYER = """
import numpy as np, torch

class Double:
    def __init__(self, factor): self.factor = factor
    def forward(self, x): return 2 * x
    def backward(self, dy): return self.factor * dy

def test_it(assert_twin):
    assert_twin(Double(FACTOR), lambda x: 2 * x, np.random.default_rng(0).standard_normal((4, 5)))
"""


@pytest.mark.parametrize(("factor", "outcome"), [("2", {"passed": 1}), ("4", {"failed": 1})])
def test_assert_twin(pytester: pytest.Pytester, factor: str, outcome: dict[str, int]) -> None:
    pytester.makepyfile(LAYER.replace("FACTOR", factor))
    result = pytester.runpytest()
    result.assert_outcomes(**outcome)
    if "failed" in outcome:
        result.stdout.fnmatch_lines(["*NumPy is wrong: input.*", "*a factor of 2 too much*", "*ratio 2"])
