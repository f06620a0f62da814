"""check_optimizer passes every right optimizer, and refuses and names every mistake."""

import numpy as np
import pytest
import torch

from scratch import nn, optim
from torch_ref import check_optimizer
from torch_ref.catalog import OPTIMIZERS
from torch_ref.faults import OPTIMIZER_FAULTS, switch_on

every = pytest.mark.parametrize("case", OPTIMIZERS, ids=lambda case: case.name)


def broken(case, fault):
    """Makes ours, with the mistake."""

    def make(params):
        optimizer = case.make(params)
        switch_on(fault, optimizer)
        return optimizer

    return make


@every
def test_every_right_optimizer_passes(case):
    found = check_optimizer(case.make, case.make_torch)
    assert found, str(found)
    assert found.detection_limit < 1e-8


@every
def test_every_mistake_is_refused_and_named(case):
    for fault in OPTIMIZER_FAULTS:
        if fault.applies(case.make([nn.Parameter(np.zeros(2))])):
            found = check_optimizer(broken(case, fault), case.make_torch)
            # On some options it changes nothing.
            assert found or fault.name in [cause.name for cause in found.causes], f"{fault.name}\n{found}"


@pytest.mark.parametrize("fault", OPTIMIZER_FAULTS, ids=lambda fault: f"{fault.name}-{fault.kinds[0]}")
def test_every_mistake_is_refused_somewhere(fault):
    cases = [case for case in OPTIMIZERS if case.kind in fault.kinds]
    assert not all(check_optimizer(broken(case, fault), case.make_torch) for case in cases)


class BookAdam:
    """As many write it: one dict of weights, one of gradients."""

    def __init__(self, lr=0.001, epsilon_inside=False):
        self.lr, self.epsilon_inside = lr, epsilon_inside
        self.t, self.m, self.v = 0, {}, {}

    def update(self, params, grads):
        self.t += 1
        for key, g in grads.items():
            self.m[key] = 0.9 * self.m.get(key, 0) + 0.1 * g
            self.v[key] = 0.999 * self.v.get(key, 0) + 0.001 * g**2
            m, v = self.m[key] / (1 - 0.9**self.t), self.v[key] / (1 - 0.999**self.t)
            bottom = np.sqrt(v + 1e-8) if self.epsilon_inside else np.sqrt(v) + 1e-8
            params[key] -= self.lr * m / bottom


def torch_adam(params):
    return torch.optim.Adam(params, lr=0.001)


def test_a_book_optimizer_passes_and_is_not_changed():
    mine = BookAdam()
    found = check_optimizer(mine, torch_adam)
    assert found, str(found)
    assert mine.t == 0
    assert mine.lr == 0.001
    assert "agree in 20 steps" in str(found)


def test_a_book_optimizer_with_a_mistake_is_told_where_and_why():
    found = check_optimizer(BookAdam(epsilon_inside=True), torch_adam)
    assert not found
    assert found.parts_at == 1
    assert [cause.name for cause in found.causes] == ["ε stands inside the root"]
    assert "part at step 1, " in found.verdict
    assert "yours" in found.worst
    assert "Fix: √v + ε" in str(found)


def test_an_unknown_mistake_has_no_name():
    class Halved(optim.SGD):
        def update(self, w, g, state, group):
            where = np.arange(g.size) == np.argmax(np.abs(g))
            super().update(w, g * np.where(where, 0.5, 1), state, group)

    found = check_optimizer(lambda params: Halved(params, lr=1.0), lambda p: torch.optim.SGD(p, lr=1.0))
    assert not found
    assert found.causes == ()
    assert found.parts_at == 1
    assert "yours" in found.worst


def test_what_becomes_nan_is_refused():
    class Late(BookAdam):
        def update(self, params, grads):
            super().update(params, grads)
            if self.t == 3:
                params["W"][0, 0] = np.nan

    found = check_optimizer(Late(), torch_adam)
    assert found.parts_at == 3
    assert found.worst.startswith("W[0, 0]: yours nan")


def test_what_cannot_move_is_inconclusive():
    found = check_optimizer(
        lambda params: optim.SGD(params, lr=0.0), lambda params: torch.optim.SGD(params, lr=0.0)
    )
    assert not found
    assert found.verdict.startswith("Inconclusive")


def torch_sgd(params):
    return torch.optim.SGD(params, lr=0.01)


class ByLists:
    lr = 0.01

    def update(self, params, grads):
        for i in range(len(params)):
            params[i] -= self.lr * grads[i]


def test_lists_are_taken_for_dicts():
    assert check_optimizer(ByLists(), torch_sgd)


class RateInside:
    def __init__(self, **rate):
        vars(self).update(rate)
        (self.rate,), self.v = rate, {}

    def update(self, params, grads):
        for key, g in grads.items():
            self.v[key] = 0.9 * self.v.get(key, 0) - getattr(self, self.rate) * g
            params[key] += self.v[key]


def torch_momentum(params):
    return torch.optim.SGD(params, lr=1, momentum=0.9)


@pytest.mark.parametrize("rate", [{"lr": 1}, {"learning_rate": 1.0}])
def test_the_rate_is_halved_under_both_its_names_and_as_any_number(rate):
    found = check_optimizer(RateInside(**rate), torch_momentum)
    assert [cause.name for cause in found.causes] == ["the learning rate is inside the momentum's buffer"]


def test_a_rate_that_could_not_be_halved_is_told():
    found = check_optimizer(RateInside(eta=1), torch_momentum)
    assert found
    assert found.verdict.endswith(
        "Not tried: half the learning rate, since yours has no number called lr or learning_rate."
    )


class ChangesGradients:
    lr = 0.01

    def update(self, params, grads):
        for key in params:
            grads[key] += 0.1 * params[key]
            params[key] -= self.lr * grads[key]


class StepChangesGradients:
    def __init__(self, params):
        self.params, self.lr = params, 0.01

    def step(self):
        for p in self.params:
            if p.grad is not None:
                p.grad += 0.1 * p.data
                p.data -= self.lr * p.grad


@pytest.mark.parametrize("mine", [ChangesGradients(), StepChangesGradients])
def test_gradients_that_are_changed_are_told(mine):
    found = check_optimizer(mine, lambda params: torch.optim.SGD(params, lr=0.01, weight_decay=0.1))
    assert found.parts_at is None
    assert not found
    assert "changes the gradients" in found.verdict


def test_a_weight_without_gradient_is_skipped():
    class Zeroes(optim.SGD):
        def step(self, closure=None):
            for p in self.param_groups[0]["params"]:
                if p.grad is None:
                    p.data[...] = 0
            return super().step(closure)

    class Fails(StepChangesGradients):
        def step(self):
            for p in self.params:
                p.data -= self.lr * p.grad

    found = check_optimizer(lambda params: Zeroes(params, lr=0.01), torch_sgd)
    assert not found
    assert found.verdict.startswith("a weight whose grad is None is not skipped")
    found = check_optimizer(Fails, torch_sgd)
    assert found
    assert found.untried == ("a weight without gradient, at which step() raises TypeError",)


def test_an_update_that_only_returns_is_told():
    class Returns:
        def update(self, params, grads):
            return {key: params[key] - 0.01 * grads[key] for key in params}

    found = check_optimizer(Returns(), torch_sgd)
    assert found.parts_at == 1
    assert "update returns something and leaves params as they were" in found.verdict


def test_another_epsilon_is_named_alone_and_beside_a_mistake():
    found = check_optimizer(BookAdam(), lambda params: torch.optim.Adam(params, eps=1e-7))
    assert [cause.name for cause in found.causes] == ["ε is 1e-08, not 1e-07"]
    found = check_optimizer(BookAdam(epsilon_inside=True), lambda params: torch.optim.Adam(params, eps=1e-7))
    assert [cause.name for cause in found.causes] == ["ε stands inside the root, and ε is 1e-08, not 1e-07"]


class Reshapes:
    def update(self, params, grads):
        params["W"] = params["W"].T


@pytest.mark.parametrize(
    ("mine", "reference", "options", "error", "message"),
    [
        (3, torch_adam, {}, TypeError, "mine is int, expected an object with update"),
        (lambda params: None, torch_adam, {}, TypeError, r"mine makes NoneType without step\(\)"),
        (BookAdam(), lambda params: None, {}, TypeError, "reference makes NoneType"),
        (BookAdam(), 3, {}, TypeError, "reference makes int"),
        (
            BookAdam(),
            torch_adam([torch.nn.Parameter(torch.ones(1))]),
            {},
            TypeError,
            "reference is Adam of other parameters, expected a function that makes",
        ),
        (Reshapes(), torch_adam, {}, ValueError, r"params\['W'\] of shape \(4, 3\), expected \(3, 4\)"),
        (BookAdam(), torch_adam, {"steps": 0}, ValueError, "steps is 0, expected 1 or more"),
    ],
)
def test_bad_arguments(mine, reference, options, error, message):
    with pytest.raises(error, match=message):
        check_optimizer(mine, reference, **options)
