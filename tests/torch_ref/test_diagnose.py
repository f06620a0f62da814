"""diagnose: a cause is named if it is confirmed, and never because nothing speaks against it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from scratch import nn
from scratch.gradcheck import Objective
from torch_ref import check, mirror
from torch_ref.checker.compare import compare_objective
from torch_ref.checker.comparison import Comparison
from torch_ref.checker.diagnosis import diagnose

X = np.random.default_rng(0).standard_normal((4, 6))


def causes(mine, reference, *inputs, dtypes=("float64",)) -> list[str]:
    return [cause.name for cause in check(mine, reference, *inputs, dtypes=dtypes).causes]


def compared(module: nn.Module, x: np.ndarray, **changed) -> tuple[Objective, Comparison]:
    """A comparison in which the gradient of the input is not what was computed."""
    objective = Objective(module, x)
    comparison = compare_objective(objective, mirror(module), None)
    tensors = (replace(t, **changed) if t.name == "input" else t for t in comparison.tensors)
    return objective, replace(comparison, tensors=tuple(tensors))


def test_where_both_sides_give_the_same_no_mistake_is_looked_for() -> None:
    numeric = np.ones((4, 6))
    assert diagnose(*compared(nn.ReLU(), X, numeric=numeric), nn.ReLU()) == []


def test_a_mistake_that_changes_no_number_here_is_no_cause() -> None:
    # With one sample sum and mean are the same, so averaging changes nothing in our module.
    linear = nn.Linear(6, 3, dtype=np.float64)
    objective, comparison = compared(linear, X[:1], reference=np.zeros((1, 6)), numeric=np.zeros((1, 6)))
    assert [cause.name for cause in diagnose(objective, comparison, linear)] == ["unknown"]


def test_a_gradient_that_cannot_be_judged_is_no_evidence() -> None:
    spread = np.full((4, 6), np.inf)
    spread[0, 0] = 0
    changed = {"spread": spread, "reference": np.full((4, 6), 7.0), "numeric": np.full((4, 6), 7.0)}
    assert [c.name for c in diagnose(*compared(nn.ReLU(), X, **changed), nn.ReLU())] == ["unknown"]


def test_an_entry_that_cannot_be_judged_is_left_out_of_the_proof() -> None:
    spread = np.zeros((4, 6))
    spread[0, 0] = np.inf
    wrong = 2 * np.ones((4, 6))
    wrong[0, 0] = 7
    changed = {"spread": spread, "ours": wrong, "reference": np.ones((4, 6)), "numeric": np.ones((4, 6))}
    names = [cause.name for cause in diagnose(*compared(nn.ReLU(), X, **changed), nn.ReLU())]
    assert names == ["a factor of 2 too much"]


def test_what_is_almost_right_has_no_factor_too_much() -> None:
    by_difference = (np.tanh, lambda dy, x: dy * (np.tanh(x + 1e-7) - np.tanh(x)) / 1e-7)
    assert causes(by_difference, torch.tanh, X) == ["unknown"]


def test_another_shape_is_no_factor() -> None:
    pair = (lambda x, b: x + b, lambda dy, x, b: (dy, dy.sum(axis=0, keepdims=True)))
    found = check(pair, torch.add, X, X[0], dtypes=["float64"])
    assert [str(cause) for cause in found.causes] == [
        "an axis of length 1 too many or too few (input 1): the numbers are right; yours has shape (1, 6), "
        "expected (6,). Fix: sum without keepdims=True, or reshape to the shape of the array itself."
    ]


def test_a_transposed_gradient_of_another_shape_is_told() -> None:
    pair = (np.tanh, lambda dy, x: (dy * (1 - np.tanh(x) ** 2)).T)
    assert causes(pair, torch.tanh, X) == ["it is transposed"]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("factor", "name"), [(0.3, "unknown"), (2.0, "a factor of 2 too much")])
def test_of_one_number_only_a_factor_with_a_name_is_told(factor, name, dtype) -> None:
    pair = (np.tanh, lambda dy, x: factor * dy * (1 - np.tanh(x) ** 2))
    assert causes(pair, torch.tanh, X[0, :1], dtypes=[dtype]) == [name]


def test_a_loss_that_ignores_the_incoming_gradient_is_told() -> None:
    class SquaredError:
        def forward(self, x, target):
            self.difference = x - target
            return np.mean(self.difference**2)

        def backward(self, dy=1):
            return 2 * self.difference / self.difference.size

    assert causes(SquaredError(), torch.nn.MSELoss(), X, X[::-1]) == [
        "backward ignores the incoming gradient"
    ]
