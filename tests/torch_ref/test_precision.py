"""Code that computes in float32 whatever it is given, sums in no fixed order, memory nobody wrote."""

import numpy as np
import pytest
import torch

from torch_ref import check
from torch_ref.checker.side_effects import UNSTEADY, UNWRITTEN

# Of the cases of each test; the others in make long.
ONE_IN = 2

ALONE = "Judged in float32 alone: "


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def single(*arrays):
    return tuple(np.asarray(a, np.float32) for a in arrays)


class Linear:
    """x Wᵀ + b, in float32 in some places; with a factor in dW."""

    def __init__(self, where, factor=1.0):
        self.where, self.factor = where, np.float32(factor)
        self.W, self.b = normal(3, 5), normal(3, seed=1)

    def forward(self, x):
        if self.where == "strict" and x.dtype != np.float32:
            raise TypeError("No matching definition for argument type(s) array(float64, 2d, C)")
        self.x, self.kernel = x, self.W
        if self.where in ("all", "input"):
            (self.x,) = single(x)
        if self.where in ("all", "weight"):
            (self.kernel,) = single(self.W)
        return self.x @ self.kernel.T + (single(self.b)[0] if self.where == "all" else self.b)

    def backward(self, dy):
        if self.where == "all":
            (dy,) = single(dy)
        dW = self.factor * dy.T @ self.x
        self.dW, self.db = dW, dy.sum(0)
        dx = dy @ self.kernel
        return np.add(np.zeros(dx.shape, np.float32), dx, dtype=np.float32) if self.where == "dx" else dx


@pytest.mark.parametrize("where", ["all", "input", "weight", "dx", "strict"])
@pytest.mark.parametrize("judge", [torch.nn.Linear(5, 3), None], ids=["reference", "alone"])
def test_code_in_float32_is_judged_there_with_a_sentence(where, judge):
    found = check(Linear(where), judge, normal(4, 5))
    assert found, str(found)
    assert ALONE in found.verdict
    wrong = check(Linear(where, 1.002), judge, normal(4, 5))
    assert not wrong
    assert "NumPy is wrong: W" in wrong.verdict or "NumPy is wrong: weight" in wrong.verdict
    assert ALONE in wrong.verdict


@pytest.mark.parametrize(
    ("forward", "backward", "reference"),
    [
        (lambda x: np.maximum(x, 0), lambda dy, x: dy * (x > 0), torch.relu),
        (lambda x: np.floor(x) * 1.5 + x, lambda dy, x: dy, lambda x: torch.floor(x) * 1.5 + x),
        (lambda x: x.sum(1), lambda dy, x: np.repeat(dy[:, None], 5, 1), lambda x: x.sum(1)),
    ],
)
def test_code_in_float64_is_judged_in_both(forward, backward, reference):
    found = check((forward, backward), reference, normal(4, 5))
    assert {"float64", "float32"} <= found.comparisons.keys()
    assert ALONE not in found.verdict


def test_an_error_in_both_precisions_is_shown():
    def fails(x):
        raise TypeError("no numbers at all")

    with pytest.raises(ValueError, match="raises TypeError: no numbers at all"):
        check((fails, lambda dy, x: dy), torch.relu, normal(4, 5))


def test_a_small_constant_in_a_logarithm_is_not_taken_for_float32():
    found = check(
        (lambda p: np.log(p + 1e-7), lambda dy, p: dy / (p + 1e-7)), torch.log, np.exp(normal(4, 5))
    )
    assert not found
    assert ALONE not in found.verdict


# ---- sums in no fixed order


@pytest.mark.parametrize("side", ["forward", "backward"])
def test_sums_in_no_fixed_order_are_the_same_call(side):
    order = np.random.default_rng()

    def total(parts):
        return sum(parts[i] for i in order.permutation(len(parts)))

    def forward(x):
        return total([0.1 * x**3, 0.2 * x**3, 0.7 * x**3]) if side == "forward" else x**3

    def backward(dy, x):
        slope = 3 * dy * x**2
        return total([0.1 * slope, 0.2 * slope, 0.7 * slope]) if side == "backward" else slope

    found = check((forward, backward), lambda x: x**3, normal(4, 5))
    assert found, str(found)


def test_a_backward_that_differs_by_more_than_rounding_is_not():
    order = np.random.default_rng()
    found = check((np.sin, lambda dy, x: dy * np.cos(x) * order.uniform(1, 1.01)), torch.sin, normal(4, 5))
    assert UNSTEADY in found.side_effects


# ---- memory that was never written


class Partly:
    """The slope of x², into memory of which it may leave a part as it was."""

    def __init__(self, make, rows):
        self.make, self.rows = make, rows

    def forward(self, x):
        self.x = x
        return x * x

    def backward(self, dy):
        right = 2 * self.x * dy
        dx = self.make(right)
        dx[: self.rows] = right[: self.rows]
        return dx


@pytest.mark.parametrize("make", [lambda a: np.empty_like(a), lambda a: np.empty(a.shape, a.dtype)])
def test_memory_that_is_left_as_it_was_is_seen_and_filled_memory_is_not(make):
    assert check(Partly(make, 4), torch.square, normal(4, 5))
    found = check(Partly(make, 3), torch.square, normal(4, 5))
    assert not found
    assert found.verdict == UNWRITTEN
    assert np.empty_like(np.ones(3)).shape == (3,)


def test_memory_of_tensors_that_is_left_as_it_was_is_seen():
    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            dx = torch.empty_like(x)
            dx[:3] = 2 * (g * x)[:3]
            return dx

    before = torch.get_deterministic_debug_mode()
    assert check(Square, torch.square, normal(4, 5)).verdict == UNWRITTEN
    assert torch.get_deterministic_debug_mode() == before


@pytest.mark.parametrize("factor", [2, 3])
def test_a_note_is_printed_once(factor):
    def square(x):
        return x.astype(np.float32) ** 2

    found = check((square, lambda dy, x: factor * x * dy), torch.square, np.linspace(-1, 1, 7))
    assert found.ok == (factor == 2)
    assert str(found).count("Judged in float32 alone") == 1
