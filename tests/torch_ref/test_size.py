"""Networks of too many entries to differentiate by each: slopes along random directions, and halves of them.

Here they are small, and said to be too large.
"""

import io
import time
from typing import Any

import numpy as np
import pytest
import torch

import scratch
from scratch import nn
from scratch.gradcheck import derivative
from scratch.gradcheck.directions import Line, Search, along_directions
from scratch.gradcheck.objective import Objective
from torch_ref import check, check_loss, compare, mirror
from torch_ref.checker import budget as budgets
from torch_ref.checker import check_loss as losses
from torch_ref.checker.budget import Budget, without_bars

RNG = np.random.default_rng(0)
X = RNG.standard_normal((4, 20))


@pytest.fixture(autouse=True)
def too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(derivative, "MOST_ENTRIES", 10)
    monkeypatch.setattr(derivative, "MOST_SECONDS", 1e-9)


class Needle(nn.Linear):
    """One entry of the weight's gradient is wrong, of 600."""

    by = 1e-3

    def backward(self, dy: Any) -> Any:
        dx = super().backward(dy)
        self.weight.grad[17, 5] += self.by * np.max(np.abs(self.weight.grad))
        return dx


class Without(nn.Linear):
    """The gradient of the bias is missing."""

    def backward(self, dy: Any) -> Any:
        before = self.bias.grad
        dx = super().backward(dy)
        self.bias.grad = before
        return dx


def layer(kind: type[nn.Linear]) -> nn.Linear:
    scratch.manual_seed(0)
    return kind(20, 30, dtype=np.float64)


def test_a_right_gradient_agrees_and_what_was_not_seen_is_said() -> None:
    model = layer(nn.Linear)
    found = compare(model, mirror(model), X)
    assert found
    assert found.method == "complex step along 3 random directions"
    assert found.along is not None
    assert found.along.limits.keys() == {"input", "weight", "bias"}
    assert max(found.along.limits.values()) < 1e-9
    assert "an error in NumPy's gradient of a tensor shows from" in found.verdict
    assert "of its norm on, but for one chance in 8,000: not a smaller one" in found.verdict
    assert compare(model, mirror(model), X, budget=1e9).along is None  # time enough for each


def test_a_wrong_entry_is_found_and_the_side_that_is_wrong() -> None:
    model = layer(Needle)
    found = compare(model, mirror(layer(nn.Linear)), X)
    assert found.verdict == "NumPy is wrong: weight."
    assert found.details(1).startswith("weight[17, 5]   NumPy ")
    # Where PyTorch's is the other one, it is PyTorch.
    found = compare(layer(nn.Linear), wrong_twin(), X)
    assert found.verdict == "PyTorch is wrong: weight."


class Shifted(torch.autograd.Function):
    """The same number, one entry of its gradient wrong."""

    @staticmethod
    def forward(ctx: Any, w: Any) -> Any:
        return w.clone()

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        g = g.clone()
        g[3, 4] += 1e-3 * g.abs().max()
        return g


class WrongTwin(torch.nn.Linear):
    def forward(self, x: Any) -> Any:
        return torch.nn.functional.linear(x, Shifted.apply(self.weight), self.bias)


def wrong_twin() -> torch.nn.Module:
    twin = WrongTwin(20, 30, dtype=torch.float64)
    twin.load_state_dict(mirror(layer(nn.Linear)).state_dict())
    return twin


@pytest.mark.parametrize(
    ("kind", "wrong", "entry"), [(Needle, "weight", "weight[17, 5]"), (Without, "bias", "bias[")]
)
def test_without_a_reference_halves_lead_to_the_entries(kind: Any, wrong: str, entry: str) -> None:
    found = check(layer(kind), None, X, dtypes="float64")
    assert not found
    comparison = found.comparisons["float64"]
    assert [t.name for t in comparison.wrong] == [wrong]
    assert entry in comparison.details()
    right = check(layer(nn.Linear), None, X, dtypes="float64")
    assert right
    assert (
        "along 3 random directions, and by 16 entries of each tensor" in right.comparisons["float64"].method
    )
    assert "but for one chance in 8,000" in right.verdict


def test_an_error_below_the_detection_limit_is_not_seen_and_one_above_it_is() -> None:
    model = layer(nn.Linear)
    objective = Objective(model, X)
    gradients = objective.backward().named()

    def found(error: float) -> bool:
        wrong = {name: np.array(g) for name, g in gradients.items()}
        wrong["weight"][2, 3] += error * np.linalg.norm(wrong["weight"])
        search = Search(Line(objective), wrong, np.dtype(np.float64), lambda *_: 0.0)
        return bool(along_directions(search).wrong)

    limits = along_directions(Search(Line(objective), gradients, np.float64, lambda *_: 0.0)).limits
    assert not found(0)
    assert found(limits["weight"])
    assert not found(1e-4 * limits["weight"])


class Absolute(nn.Module):
    """A forward that is no formula of complex numbers."""

    def forward(self, x: Any) -> Any:
        self.save(x)
        return np.abs(x) * x

    def backward(self, dy: Any) -> Any:
        (x,) = self.saved()
        return 2 * np.abs(x) * dy


def test_where_no_complex_step_is_possible_differences_are_taken() -> None:
    objective = Objective(Absolute(), X)
    line = Line(objective)
    assert line.method.startswith("central differences in ")
    search = Search(line, objective.backward().named(), np.float64, lambda *_: 0.0)
    along = along_directions(search)
    assert not along.wrong
    assert along.limits["input"] < 1e-6


def test_arrays_in_fortran_order_are_moved() -> None:
    objective = Objective(nn.Tanh(), np.asfortranarray(X))
    search = Search(Line(objective), objective.backward().named(), np.float64, lambda *_: 0.0)
    assert not along_directions(search).wrong
    wrong = {"input": objective.backward().named()["input"] * 1.01}
    assert along_directions(Search(Line(objective), wrong, np.float64, lambda *_: 0.0)).wrong


# ---- whole networks


def network(wrong: float) -> Any:
    def loss(p: dict[str, np.ndarray], X: np.ndarray) -> Any:
        h = np.tanh(X @ p["W"])
        dz = 2 * (h @ p["V"])
        dV = h.T @ dz
        dV[40, 1] += wrong
        return np.sum((h @ p["V"]) ** 2), {"W": X.T @ (dz @ p["V"].T * (1 - h * h)), "V": dV}

    return loss


def test_of_a_large_network_a_wrong_entry_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "MOST_ENTRIES", 10)
    monkeypatch.setattr(derivative, "MOST_SECONDS", 4.0)
    params = {"W": RNG.standard_normal((20, 50)) / 5, "V": RNG.standard_normal((50, 3)) / 7}
    right = check_loss(network(0), params, X, dtypes="float64")
    assert right
    assert "and all together along 3 random directions, where an error shows" in right.verdict
    found = check_loss(network(1e-3), params, X, dtypes="float64")
    assert not found
    assert "V[40, 1]   NumPy" in str(found)
    with pytest.raises(ValueError, match="check_loss: budget is 0, expected seconds, more than 0"):
        check_loss(network(0), params, X, budget=0)


def test_the_second_precision_of_a_large_network_is_left_out_where_the_budget_is_spent() -> None:
    found = check(layer(nn.Linear), torch.nn.Linear(20, 30), X, budget=1e-9)
    assert found
    assert [*found.comparisons] == ["float64"]
    for left in ("Not tried in float32", "Not looked for side effects", "Not tried under other conditions"):
        assert f"{left}: the budget of seconds was spent" in found.verdict


# ---- the bar


def test_a_bar_is_shown_after_two_seconds_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    def shown(stream: io.StringIO, seconds: float) -> str:
        monkeypatch.setattr("sys.stderr", stream)
        budget = Budget("check", 10.0)
        if not budget._bar.disable:
            budget._bar.start_t = budget._bar.last_print_t = time.time() - seconds
        with budget.stage():
            pass
        budget.close()
        return stream.getvalue()

    assert "check: 1 done in 00:03" in shown(Terminal(), 3)
    assert shown(Terminal(), 0) == ""
    assert shown(io.StringIO(), 3) == ""
    with without_bars():
        assert shown(Terminal(), 3) == ""


def test_a_budget_counts_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(budgets.time, "monotonic", lambda: now)
    budget = Budget("check", 10.0)
    assert budget.allows()
    assert budget.allows(9.9)
    assert not budget.allows(10.1)
    with budget.stage():
        now += 4
    assert budget.last == 4
    assert not budget.allows(6.1)
    assert time.monotonic() == now
