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
    assert found.sensitivity < 1e-8


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
    assert "Remedy: √v + ε" in str(found)


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


def test_what_cannot_move_is_too_blind():
    found = check_optimizer(
        lambda params: optim.SGD(params, lr=0.0), lambda params: torch.optim.SGD(params, lr=0.0)
    )
    assert not found
    assert found.verdict.startswith("Too blind")


class Reshapes:
    def update(self, params, grads):
        params["W"] = params["W"].T


@pytest.mark.parametrize(
    ("mine", "reference", "options", "error", "message"),
    [
        (3, torch_adam, {}, TypeError, "mine is int, wanted an object with update"),
        (lambda params: None, torch_adam, {}, TypeError, r"mine makes NoneType without step\(\)"),
        (BookAdam(), lambda params: None, {}, TypeError, "reference makes NoneType"),
        (BookAdam(), 3, {}, TypeError, "reference makes int"),
        (Reshapes(), torch_adam, {}, ValueError, r"params\['W'\] of shape \(4, 3\), wanted \(3, 4\)"),
        (BookAdam(), torch_adam, {"steps": 0}, ValueError, "steps is 0, wanted 1 or more"),
    ],
)
def test_bad_arguments(mine, reference, options, error, message):
    with pytest.raises(error, match=message):
        check_optimizer(mine, reference, **options)
