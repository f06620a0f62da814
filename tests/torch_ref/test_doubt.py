"""Where a numeric derivative contradicts, it may itself be in doubt: nobody is accused by it alone."""

import numpy as np
import pytest
import torch

from scratch import nn
from scratch.gradcheck import gradcheck
from torch_ref import check, check_loss, compare, mirror
from torch_ref.checker import compare as comparing

# Of the cases of each test; the others in make long.
ONE_IN = 2

RNG = np.random.default_rng(0)
X = RNG.standard_normal((4, 5))
IDS = np.array([[0, 1], [3, 0]])
NO_DERIVATIVE = "the same gradient of input, and it is no derivative of the forward"


class Softmax:
    """Of scores and an additive mask."""

    def forward(self, s, m):
        z = s + m
        e = np.exp(z - z.max(-1, keepdims=True))
        self.y = np.zeros(e.shape)  # takes no complex numbers
        self.y[...] = e / e.sum(-1, keepdims=True)
        return self.y

    def backward(self, dy):
        d = self.y * (dy - (dy * self.y).sum(-1, keepdims=True))
        return d, d


def test_a_mask_of_huge_numbers_does_not_hide_the_scores():
    mask = np.where(np.arange(5) < 3, 0.0, -1e9) + np.zeros((4, 1))
    found = check(Softmax(), lambda s, m: torch.softmax(s + m, -1), X, mask)
    assert found, str(found)


class LogSumExp:
    def __init__(self, wrong=False):
        self.wrong = wrong

    def forward(self, x):
        m = x.max(-1, keepdims=True)
        e = np.exp(x - m)
        self.p = e / e.sum(-1, keepdims=True)
        return (m + np.log(e.sum(-1, keepdims=True)))[..., 0]

    def backward(self, dy):
        return self.p * dy[..., None] * (1.001 if self.wrong else 1)


def test_large_scores_accuse_nobody_that_is_right():
    def reference(x):
        return torch.logsumexp(x, -1)

    assert check(LogSumExp(), reference, 500 * X)
    assert "NumPy is wrong: input" in check(LogSumExp(wrong=True), reference, 500 * X).verdict


class Rounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.round()

    @staticmethod
    def backward(ctx, dy):
        return dy


class StraightThrough:
    def __init__(self, factor=1.0):
        self.factor = factor

    def forward(self, x):
        return np.round(x)

    def backward(self, dy):
        return self.factor * dy


def test_the_same_gradient_that_is_no_derivative_is_told_and_not_refused():
    found = check(StraightThrough(), Rounded.apply, X)
    assert found, str(found)
    assert NO_DERIVATIVE in found.verdict
    declared = check(StraightThrough(), Rounded.apply, X, authority="reference")
    assert declared
    assert "no derivative" not in declared.verdict


def test_another_gradient_that_is_no_derivative_is_refused():
    assert not check(StraightThrough(1.01), Rounded.apply, X)


def test_the_gradient_of_another_part_may_be_no_derivative_and_one_of_them_wrong():
    class Detached(nn.Module):
        def __init__(self, wrong):
            super().__init__()
            self.wrong = wrong

        def forward(self, a, b):
            self.save(a, b)
            return a * b

        def backward(self, dy):
            _, b = self.saved()
            return dy * b * (1.01 if self.wrong else 1), np.zeros_like(b)

    def reference(a, b):
        return a * b.detach() + 0 * b

    assert check(Detached(wrong=False), reference, X, X[::-1])
    assert not check(Detached(wrong=True), reference, X, X[::-1])


def test_a_padding_row_has_no_gradient_by_declaration():
    padded = nn.Embedding(5, 2, padding_idx=0)
    assert compare(padded, mirror(padded), IDS)
    assert check(padded, torch.nn.Embedding(5, 2, padding_idx=0), IDS)


def test_an_embedding_that_forgets_the_padding_row_is_wrong_and_pytorch_is_not():
    # By chance the weights of the padding row alone may be below 0, which would explain as much.
    torch.manual_seed(0)
    found = check(nn.Embedding(5, 2), torch.nn.Embedding(5, 2, padding_idx=0), IDS)
    assert not found
    assert "float64: differ: weight." in found.verdict
    assert "PyTorch is wrong" not in found.verdict
    assert "padding row" in "\n".join(map(str, found.causes))


def test_a_constant_that_torch_rounds_is_named():
    found = check(nn.Hardsigmoid(), torch.nn.Hardsigmoid(), X)
    assert found, str(found)
    assert "PyTorch's gradient of input has a constant of float32; yours is exact." in found.verdict

    class Short(nn.Hardsigmoid):
        def backward(self, dy):
            return super().backward(dy) * (1 + 1e-5)

    assert not check(Short(), torch.nn.Hardsigmoid(), X)


def test_a_sum_in_no_fixed_order_is_right():
    class Unordered:
        def __init__(self):
            self.W, self.b = RNG.standard_normal((5, 3)), np.zeros(3)

        def forward(self, x):
            self.x = x
            return x @ self.W + self.b

        def backward(self, dy):
            order = np.random.permutation(len(dy))
            self.dW = sum(np.outer(self.x[i], dy[i]) for i in order)
            self.db = sum(dy[i] for i in order)
            return dy @ self.W.T

    state = np.random.get_state()
    found = check(Unordered(), torch.nn.Linear(5, 3), X)
    np.random.set_state(state)
    assert found, str(found)


# ---- digits that the forward itself loses


@pytest.mark.parametrize("seed", range(4))
def test_a_forward_that_loses_digits_accuses_no_right_backward(seed):
    """1 - σ(z) has few digits where σ is nearly 1, and so has its complex step; σ(z) - y has all."""
    rng = np.random.default_rng(seed)
    x, y = 1.5 * rng.standard_normal((30, 4)), rng.integers(0, 2, 30).astype(float)
    params = {"w": 2 * rng.standard_normal(4), "b": 0.3}

    def loss(factor):
        def f(p, x, y):
            a = 1 / (1 + np.exp(-(x @ p["w"] + p["b"])))
            d = factor * (a - y) / len(y)
            return -np.mean(y * np.log(a) + (1 - y) * np.log(1 - a)), {"w": x.T @ d, "b": d.sum()}

        return f

    found = check_loss(loss(1.0), params, x, y)
    assert found, str(found)
    assert not check_loss(loss(1 + 1e-6), params, x, y)


def test_gradcheck_takes_longer_numbers_before_it_accuses():
    class CrossEntropy(nn.Module):
        def __init__(self, factor=1.0):
            super().__init__()
            self.factor = factor

        def forward(self, z):
            self.save(z)
            return -np.log(1 - 1 / (1 + np.exp(-z)))

        def backward(self, dy):
            (z,) = self.saved()
            return self.factor * dy / (1 + np.exp(-z))

    z = np.linspace(-3, 25, 12)
    assert gradcheck(CrossEntropy(), z)
    assert not gradcheck(CrossEntropy(1 + 1e-6), z)


# ---- the second opinion


@pytest.fixture
def doubtful(monkeypatch):
    """A numeric derivative that is off in one entry, as one whose step is too long would be."""
    right = comparing.numeric_derivative

    def wrong(objective, claimed):
        found = right(objective, claimed)
        found.gradients["input"][0, 0] += 0.01
        return found

    monkeypatch.setattr(comparing, "numeric_derivative", wrong)


@pytest.mark.usefixtures("doubtful")
def test_a_numeric_derivative_that_is_off_accuses_nobody():
    found = check(nn.Tanh(), torch.nn.Tanh(), X)
    assert found, str(found)
    assert "no derivative" not in found.verdict


@pytest.mark.usefixtures("doubtful")
def test_beside_a_numeric_derivative_that_is_off_a_mistake_is_numpys():
    class Wrong(nn.Tanh):
        def backward(self, dy):
            return super().backward(dy) * 1.01

    found = check(Wrong(), torch.nn.Tanh(), X)
    assert "float64: NumPy is wrong: input." in found.verdict
