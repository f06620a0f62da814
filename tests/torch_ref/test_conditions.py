"""Right on the first call, with the first weights, and wrong under conditions that a training meets."""

import numpy as np
import pytest
import torch

from scratch import nn
from scratch.gradcheck import derivative
from torch_ref import check

X = np.random.default_rng(3).standard_normal((6, 5))


class Norm:
    """Layer norm with γ and β, as people write it; ``mistake`` names what is wrong."""

    def __init__(self, mistake: str = "") -> None:
        self.gamma, self.beta, self.mistake = np.ones(5), np.zeros(5), mistake

    def forward(self, x):
        self.s = np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)
        self.h = (x - x.mean(axis=1, keepdims=True)) / self.s
        return self.gamma * self.h + self.beta

    def backward(self, dy):
        self.dgamma, self.dbeta = (dy * self.h).sum(axis=0), dy.sum(axis=0)
        g = dy if self.mistake == "γ forgotten" else dy * self.gamma
        return (g - g.mean(1, keepdims=True) - self.h * (g * self.h).mean(1, keepdims=True)) / self.s


def test_a_norm_that_forgets_γ_is_refused_beside_weights_of_ones():
    assert check(Norm(), torch.nn.LayerNorm(5), X)
    found = check(Norm("γ forgotten"), torch.nn.LayerNorm(5), X)
    assert found.comparisons["float64"]
    assert found.verdict.startswith("float64, weights drawn anew: NumPy is wrong: input.")
    assert "not multiplied by the weight of the normalisation" in found.verdict


def test_also_without_a_reference():
    assert check(Norm(), None, X)
    assert check(Norm("γ forgotten"), None, X).verdict.startswith(
        "float64, weights drawn anew: NumPy is wrong"
    )


class Scaled:
    """Dropout without its mask: x/2 in training, x in eval mode."""

    def __init__(self, mistake: bool) -> None:
        self.training, self.mistake = True, mistake

    def forward(self, x):
        return x / 2 if self.training else x

    def backward(self, dy):
        return dy / 2 if self.training or self.mistake else dy


class TorchScaled(torch.nn.Module):
    """The same."""

    def forward(self, x):
        return x / 2 if self.training else x


@pytest.mark.parametrize("mistake", [False, True])
def test_eval_mode_is_tried(mistake):
    found = check(Scaled(mistake), TorchScaled(), X)
    assert "float64, eval mode" in found.comparisons
    assert bool(found) is not mistake
    assert found.verdict.startswith("float64, eval mode: NumPy is wrong: input.") is mistake


def pair(wrong=None):
    """The mean of each row; ``wrong`` says of which inputs its derivative is wrong."""
    return (
        lambda x: x.mean(axis=1),
        lambda dy, x: np.repeat(dy[:, None], x.shape[1], 1) / (1 if wrong and wrong(x) else x.shape[1]),
    )


@pytest.mark.parametrize(
    ("wrong", "condition"),
    [
        (lambda x: len(x) == 1, "a batch of one"),
        (lambda x: x.shape[1] % 2 == 0, "an input of shape (6, 4)"),
        (lambda x: np.max(np.abs(x)) > 15, "inputs 20 times as large"),
        (lambda x: not np.any(x), "inputs of zeros"),
        (lambda x: len(np.unique(x)) == 1 and np.any(x), "inputs of ones"),
    ],
)
def test_other_inputs_are_tried(wrong, condition):
    assert check(pair(), lambda x: x.mean(dim=1), X)
    found = check(pair(wrong), lambda x: x.mean(dim=1), X)
    assert not found
    assert found.verdict.startswith(f"float64, {condition}: ")


def test_an_exponential_that_overflows():
    def forward(x):
        e = np.exp(x)
        return e / e.sum(axis=1, keepdims=True)

    def backward(dy, x):
        p = forward(x)
        return p * (dy - (dy * p).sum(axis=1, keepdims=True))

    found = check((forward, backward), torch.nn.Softmax(dim=1), X)
    assert not found
    assert "inputs 1000 times as large your output holds nan or inf, and PyTorch's does not" in found.verdict


def test_probabilities_are_left_in_their_range():
    u = np.abs(X) / 10
    found = check(pair(lambda x: np.max(np.abs(x)) > 1), lambda x: x.mean(dim=1), u)
    assert not any("large" in name for name in found.comparisons)


class Counting:
    """A square that changes its ways with the fourth call, or hands out one array again and again."""

    def __init__(self, mistake: str) -> None:
        self.mistake, self.calls, self.y = mistake, 0, None

    def forward(self, x):
        self.x = x
        if self.mistake != "one array":
            return x * x
        if self.y is None or self.y.shape != x.shape or self.y.dtype != x.dtype:
            self.y = np.empty_like(x)
        np.multiply(x, x, out=self.y)
        return self.y

    def backward(self, dy):
        self.calls += 1
        return (1 if self.mistake == "fourth call" and self.calls > 3 else 2) * self.x * dy


@pytest.mark.parametrize(
    ("mistake", "says"),
    [
        ("", "The two sides agree"),
        ("fourth call", "a call keeps state: in call 4 input is another than in the first"),
        ("one array", "forward returns the same array each time"),
    ],
)
def test_several_calls(mistake, says):
    found = check(Counting(mistake), torch.square, X)
    assert bool(found) is not mistake or not mistake
    assert says in found.verdict


# ---- gradients that are no derivatives


def straight_through(mistake=False):
    return np.sign, lambda dy, x: dy if mistake else dy * (np.abs(x) <= 1)


def torch_straight_through(x):
    soft = torch.clamp(x, -1, 1)
    return soft + (torch.sign(x) - soft).detach()


def test_the_reference_may_decide():
    assert check(straight_through(), torch_straight_through, 2 * X, authority="reference")
    found = check(straight_through(True), torch_straight_through, 2 * X, authority="reference")
    assert found.verdict.startswith("float64: differ: input.")
    assert found.frame["numpy_numeric"].isna().all()


class Embedding:
    def __init__(self, mistake: bool) -> None:
        self.weight, self.mistake = np.random.default_rng(0).standard_normal((6, 3)), mistake

    def forward(self, ids):
        self.ids = ids
        return self.weight[ids]

    def backward(self, dy):
        self.dweight = np.zeros_like(self.weight)
        np.add.at(self.dweight, self.ids, dy)
        if not self.mistake:
            self.dweight[0] = 0


def test_a_padding_row_by_the_references_authority():
    ids, reference = np.array([1, 0, 5, 0, 1]), torch.nn.Embedding(6, 3, padding_idx=0)
    assert check(Embedding(False), reference, ids, authority="reference")
    found = check(Embedding(True), reference, ids, authority="reference")
    assert "all of row 0 is wrong, where PyTorch's are 0: a padding row (padding_idx)?" in found.verdict


def test_an_authority_needs_a_reference():
    with pytest.raises(ValueError, match="check: authority is 'reference', with no reference"):
        check(straight_through(), None, X, authority="reference")
    with pytest.raises(ValueError, match="check: authority is 'numeric', with a reference"):
        check(straight_through(), torch.sign, X, authority="numeric")


# ---- many entries


class Affine:
    def __init__(self, factor: float) -> None:
        self.W, self.factor = X[:3], factor

    def forward(self, x):
        self.x = x
        return x @ self.W.T

    def backward(self, dy):
        self.dW = self.factor * dy.T @ self.x
        return dy @ self.W


@pytest.mark.parametrize("factor", [1, 1.001])
def test_too_many_entries_are_differentiated_along_directions(factor, monkeypatch):
    monkeypatch.setattr(derivative, "MOST_ENTRIES", 10)
    monkeypatch.setattr(derivative, "MOST_SECONDS", 0.0)
    found = check(Affine(factor), torch.nn.Linear(5, 3, bias=False), X)
    assert bool(found) is (factor == 1)
    if factor == 1:
        assert (
            "There are too many entries to differentiate by each. Complex step along 3 random"
            in found.verdict
        )
        assert "norm on, but for one chance in 8,000" in found.verdict
        assert found.frame["numpy_numeric"].isna().all()
    else:
        assert found.comparisons["float64"].verdict == "NumPy is wrong: weight."
        assert [cause.tensors for cause in found.causes] == [("weight",)]


def test_a_gradient_in_which_both_agree_and_which_is_no_derivative_is_told(monkeypatch):
    monkeypatch.setattr(derivative, "MOST_ENTRIES", 10)
    monkeypatch.setattr(derivative, "MOST_SECONDS", 0.0)
    found = check((lambda x: x * x, lambda dy, x: dy * x), lambda x: x * x.detach(), X)
    assert found
    assert (
        "Both sides give the same gradient of input, and it is no derivative of the forward" in found.verdict
    )


def test_when_the_budget_is_spent_the_rest_is_named():
    found = check(nn.LayerNorm(5, dtype=np.float64), torch.nn.LayerNorm(5), X, budget=1e-9)
    assert found
    assert [*found.comparisons] == ["float64", "float32"]
    assert "Not tried with weights drawn anew: the budget of seconds was spent" in found.verdict
    assert "Not tried with a batch of one: the budget" in found.verdict
    assert found.untried.startswith("the budget of seconds was spent")


@pytest.mark.parametrize("budget", [0, -1.0, float("nan")])
def test_a_budget_is_above_0(budget):
    with pytest.raises(ValueError, match=r"check: budget is .*, expected seconds, more than 0"):
        check(nn.Tanh(), torch.nn.Tanh(), X, budget=budget)
