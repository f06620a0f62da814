"""A comparison states its detection limit, what is inconclusive, and what was not compared."""

import numpy as np
import pytest
import torch

from scratch.gradcheck import Objective, derivative
from scratch.gradcheck.rounding import Rounding
from torch_ref import check
from torch_ref.adapters import adapt
from torch_ref.checker.check import Check
from torch_ref.checker.verdict import TensorVerdict

X = np.random.default_rng(0).normal(size=(6, 8))


class Pointwise:
    """y = f(x) + off, dx = dy f'(x)."""

    def __init__(self, function, slope, off=0.0):
        self.function, self.slope, self.off = function, slope, off

    def forward(self, x):
        self.x = x
        y = self.function(x).copy()
        y[1, 1] += self.off
        return y

    def backward(self, dy):
        return dy * self.slope(self.x)


def tanh(off=0.0) -> Pointwise:
    return Pointwise(np.tanh, lambda x: 1 - np.tanh(x) ** 2, off)


def output_of(found: Check):
    return found.comparisons["float64"].tensors[0]


def test_an_output_is_as_sensitive_as_is_said():
    t = output_of(check(tanh(), torch.nn.Tanh(), X))
    seen = t.detection_limit * t.scale
    assert seen < 1e-13
    assert output_of(check(tanh(1.1 * seen), torch.nn.Tanh(), X)).verdict == "differ"


def test_an_output_is_not_excused_by_large_gradients():
    class Two:
        def forward(self, x):
            return 1e8 * x, x + 1e-8

        def backward(self, dy, dz):
            return 1e8 * dy + dz

    found = check(Two(), lambda x: (1e8 * x, x), X, dtypes=["float64"])
    assert [t.verdict for t in found.comparisons["float64"].tensors[:2]] == ["agree", "differ"]


class LargestOfTanh:
    """y = max tanh(x), by a mask of the same numbers computed again."""

    def __init__(self, right):
        self.right = right

    def forward(self, x):
        self.x, self.y = x, np.tanh(x).max(axis=1)
        return self.y

    def backward(self, dy):
        mask = np.tanh(self.x) == self.y[:, None]
        return dy[:, None] * mask * (1 - np.tanh(self.x) ** 2 if self.right else 1)


def test_what_is_computed_twice_is_rounded_alike():
    def reference(x):
        return torch.tanh(x).max(dim=1).values

    right, wrong = (check(LargestOfTanh(each), reference, X, dtypes=["float64"]) for each in (True, False))
    assert right.comparisons["float64"]
    assert not right.comparisons["float64"].frame["kinks"].any()
    assert wrong.comparisons["float64"].verdict == "NumPy is wrong: input."


def test_entries_on_kinks_are_counted_and_told():
    x = X.copy()
    x[2, 3] = 0
    found = check(Pointwise(np.abs, np.sign), torch.abs, x, dtypes=["float64"]).comparisons["float64"]
    assert found.verdict.endswith("would have shown; 1 of 96 entries sit on kinks and are not judged.")
    assert "|   not judged |" in found.table
    assert "not judged" not in check(tanh(), torch.nn.Tanh(), X).comparisons["float64"].table


class OfBias(torch.nn.Module):
    """A function of x + b."""

    def __init__(self, size, function=lambda y: y):
        super().__init__()
        self.b = torch.nn.Parameter(torch.zeros(size))
        self.function = function

    def forward(self, x):
        return self.function(x + self.b)


def test_a_gradient_of_nothing_but_rounding_is_told_to_be_judged_by_the_others():
    class Centred:
        """x + b, less its mean: b cancels."""

        def __init__(self):
            self.b, self.db = np.ones(8), None

        def forward(self, x):
            return x + self.b - (x + self.b).mean(axis=0)

        def backward(self, dy):
            dx = dy - dy.mean(axis=0)
            self.db = dx.sum(axis=0)
            return dx

    found = check(Centred(), OfBias(8, lambda y: y - y.mean(dim=0)), X, dtypes=["float64"])
    assert found
    assert "judged relative to the largest of all: b." in found.comparisons["float64"].table


def test_sums_of_many_terms_are_conclusive_in_float32(monkeypatch):
    monkeypatch.setattr(derivative, "MOST_SECONDS", 60.0)

    class Bias:
        def __init__(self):
            self.b, self.db = np.zeros(2), None

        def forward(self, x):
            return x + self.b

        def backward(self, dy):
            self.db = dy.sum(axis=0)
            return dy

    x = np.random.default_rng(0).normal(size=(20_000, 2))
    found = check(Bias(), OfBias(2), x, dtypes=["float32"]).comparisons["float32"]
    assert found, str(found)
    assert found.tensors[-1].detection_limit < 1e-4


def test_float32_is_judged_as_such_though_float64_comes_out():
    table = np.random.default_rng(1).normal(size=(8, 3))  # float64

    class Product:
        def forward(self, x):
            return x @ table

        def backward(self, dy):
            return dy @ table.T

    reference = torch.from_numpy(table)
    found = check(Product(), lambda x: x @ reference.to(x.dtype), X, dtypes=["float32"])
    assert found, str(found)
    assert found.comparisons["float32"].frame["detection_limit"].min() > 1e-7


def test_a_buffer_that_only_the_reference_has_is_told():
    class Reference(torch.nn.Tanh):
        def __init__(self):
            super().__init__()
            self.register_buffer("table", torch.ones(3))

    found = check(tanh(), Reference(), X)
    assert found
    assert "Not compared, since NumPy's side has none: buffer table." in str(found)


def test_a_mask_among_the_outputs_is_compared():
    class Masked:
        def __init__(self, bound=0.0):
            self.bound = bound

        def forward(self, x):
            self.mask = x > 0
            return x * self.mask, x > self.bound

        def backward(self, dy, _):
            return dy * self.mask

    def reference(x):
        return x * (x > 0), x > 0

    assert check(Masked(), reference, X)
    wrong = check(Masked(0.5), reference, X).comparisons["float64"]
    forward = "The forwards differ, in output 1. Look there first."
    assert wrong.verdict == f"{forward} Your backward is right for your own forward."


def pair(backward, forward=lambda a, b: a * b):
    return forward, backward


@pytest.mark.parametrize(
    ("mine", "reference", "message"),
    [
        (
            pair(lambda dy, a, b: None),
            torch.mul,
            "backward returns nothing, and sets no attribute such as dx, dinputs: no gradient of input 0",
        ),
        (
            pair(lambda dy, a, b: (dy * b, None)),
            torch.mul,
            r"backward returns \(array \(6, 8\), None\): no gradient of input 1.*held=\[1\]",
        ),
        (
            pair(lambda dy, a, b: (dy, dy), lambda a, b: a + b),
            lambda a, b: (a + b, a - b),
            "NumPy's forward returns 1 arrays, PyTorch's 2",
        ),
    ],
    ids=["one for two", "None", "outputs"],
)
def test_gradients_and_outputs_that_are_missing_are_told(mine, reference, message):
    with pytest.raises((TypeError, ValueError), match=message):
        check(mine, reference, X, X + 1)


def test_a_bare_gradient_is_that_of_the_floating_input():
    index = np.array([0, 2, 1])

    def backward(dy, x, index):
        dx = np.zeros_like(x)
        np.add.at(dx, index, dy)
        return dx

    assert check(pair(backward, lambda x, index: x[index]), lambda x, index: x[index], X, index)


def test_infinities_and_nan_on_both_sides_are_the_same():
    same = np.array([np.nan, np.inf, -np.inf, 1.0])
    for other, verdict in ((same, "agree"), (np.array([np.nan, np.inf, np.inf, 1.0]), "differ")):
        t = TensorVerdict("output", same, other, None, np.full(4, 1e-16), 0.0, np.dtype(np.float64), 1.0)
        assert t.verdict == verdict
        assert t.row["verdict"] == verdict


# ---- rounding at random


def noise(function, x: np.ndarray) -> np.ndarray:
    """The root mean square of what 200 seeds do to a result, in units."""
    runs = [np.asarray(function(Rounding(1e-10, seed).wrap(x))) for seed in range(200)]
    return np.sqrt(np.mean(np.square(np.array(runs) - function(x)), axis=0)) / 1e-10


@pytest.mark.parametrize(
    ("x", "partial_sums"),
    [(np.ones(300), np.arange(1, 301.0)), (np.repeat([1.0, -1.0], 150), np.sqrt(np.arange(1, 301.0)))],
    ids=["all alike", "of both signs"],
)
def test_a_sum_is_rounded_as_its_partial_sums_are(x, partial_sums):
    expected = np.linalg.norm(partial_sums) / np.sqrt(3)  # uniform in ±1
    assert noise(np.sum, x) == pytest.approx(expected, rel=0.2)
    assert noise(lambda x: x @ np.ones(300), x) == pytest.approx(expected, rel=0.2)


def test_running_sums_are_rounded_as_well():
    off = noise(np.cumsum, np.ones(100))
    assert np.all(off > 0)
    assert off[-1] > 50


def test_float32_is_differentiated_by_float32_though_float64_comes_out():
    module = adapt((lambda x: x.astype(np.float64), lambda dy, x: dy), {})
    assert Objective(module, X.astype(np.float32)).cotangent.dtype == np.float32
