"""Which forward a backward is of: the one that made the loss's input, whatever came in between."""

import copy
import pickle
import threading

import numpy as np
import pytest

import scratch
from scratch import nn


def network() -> nn.Module:
    scratch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Residual(nn.Linear(4, 4)), nn.Linear(4, 2))


class Own(nn.Module):
    """A network that ends in no layer, and uses one twice."""

    def __init__(self) -> None:
        self.layer = nn.Linear(3, 3)

    def forward(self, x):
        self.save()
        return 2 * self.layer(np.asarray(self.layer(x)))

    def backward(self, dy):
        self.saved()
        return self.layer.backward(self.layer.backward(2 * dy))


X, OTHER = (np.random.default_rng(n).standard_normal((5, 3)).astype(np.float32) for n in range(2))
TARGET = np.array([0, 1, 1, 0, 1])


def gradients(model: nn.Module, dx: np.ndarray) -> list[np.ndarray]:
    return [dx, *(p.grad.copy() for p in model.parameters())]


def alone(model: nn.Module) -> list[np.ndarray]:
    loss_fn = nn.CrossEntropyLoss()
    loss_fn(model(X), TARGET)
    found = gradients(model, model.backward(loss_fn.backward()))
    model.zero_grad()
    return found


def after_the_loss(model, loss_fn):
    y = model(X)
    loss_fn(y, TARGET)
    model(OTHER)
    return loss_fn.backward()


def before_the_loss(model, loss_fn):
    y = model(X)
    model(OTHER)
    loss_fn(y, TARGET)
    return loss_fn.backward()


def several(model, loss_fn):
    model(OTHER)
    y = model(X)
    model(OTHER)
    loss_fn(y, TARGET)
    model(OTHER)
    model(X + 1)
    return loss_fn.backward()


def after_the_gradient(model, loss_fn):
    loss_fn(model(X), TARGET)
    model(OTHER[:2])
    return loss_fn.backward()


ORDERS = [after_the_loss, before_the_loss, several, after_the_gradient]


@pytest.mark.parametrize("order", ORDERS)
def test_a_look_at_other_scores_in_between_changes_no_gradient(order) -> None:
    model, loss_fn = network(), nn.CrossEntropyLoss()
    expected = alone(model)
    found = gradients(model, model.backward(order(model, loss_fn)))
    model.zero_grad()
    for a, b in zip(found, expected, strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("order", [after_the_loss, after_the_gradient])
def test_so_too_in_a_network_of_ones_own(order) -> None:
    model, loss_fn = Own(), nn.CrossEntropyLoss()
    expected = alone(model)
    found = gradients(model, model.backward(order(model, loss_fn)))
    for a, b in zip(found, expected, strict=True):
        assert np.array_equal(a, b)


def test_what_cannot_be_matched_is_said_by_zero_grad() -> None:
    """The output is of no layer, and a forward came before the loss."""
    model, loss_fn = Own(), nn.CrossEntropyLoss()
    model.backward(before_the_loss(model, loss_fn))
    with pytest.warns(RuntimeWarning, match=r"zero_grad: a forward was left over, and a later one had its"):
        model.zero_grad()
    model.zero_grad()  # once


def test_scores_that_were_looked_at_before_are_left_over_without_a_word() -> None:
    model, loss_fn = network(), nn.CrossEntropyLoss()
    expected = alone(model)
    model(OTHER)
    loss_fn(model(X), TARGET)
    found = gradients(model, model.backward(loss_fn.backward()))
    model.zero_grad()
    for a, b in zip(found, expected, strict=True):
        assert np.array_equal(a, b)


def test_forwards_whose_backwards_come_in_the_reverse_order_are_matched() -> None:
    model = network()
    first, second = nn.CrossEntropyLoss(), nn.CrossEntropyLoss()
    expected = alone(model)
    first(model(X), TARGET)
    second(model(OTHER), TARGET)
    model.backward(second.backward())
    for p in model.parameters():
        p.grad = None
    for a, b in zip(gradients(model, model.backward(first.backward())), expected, strict=True):
        assert np.array_equal(a, b)
    model.zero_grad()


def test_a_forward_after_the_gradient_is_what_its_own_backward_is_of() -> None:
    """A gradient by hand is not of the pass that a loss began."""
    model, loss_fn = network(), nn.CrossEntropyLoss()
    loss_fn(model(OTHER), TARGET)
    loss_fn.backward()
    model(X)
    found = model.backward(np.ones((5, 2), np.float32))
    with pytest.warns(RuntimeWarning, match="a forward was left over"):
        model.zero_grad()
    model(X)
    assert np.array_equal(found, model.backward(np.ones((5, 2), np.float32)))


@pytest.mark.parametrize("wrong", [np.ones((5, 3), np.float32), np.ones((5, 2)), [1.0], 2.0])
@pytest.mark.parametrize("build", [network, lambda: nn.LSTM(3, 2), lambda: nn.Embedding(4, 2)])
def test_a_backward_that_is_refused_keeps_its_forward(build, wrong) -> None:
    module = build()
    x = np.array([0, 1, 1, 2, 3]) if isinstance(module, nn.Embedding) else X
    for _ in range(2):
        y = module(x)
    y = y[0] if isinstance(y, tuple) else y
    with pytest.raises((ValueError, TypeError)):
        module.backward(wrong)
    module.backward(np.ones_like(y))
    module.backward(np.ones_like(y))
    with pytest.raises(RuntimeError, match="without a matching forward"):
        module.backward(np.ones_like(y))


def test_waiting_forwards_are_copied_and_pickled() -> None:
    model = network()
    y = model(X)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert np.array_equal(other.backward(np.ones_like(y)), network_backward(y))
    model.zero_grad()


def network_backward(y: np.ndarray) -> np.ndarray:
    model = network()
    model(X)
    return model.backward(np.ones_like(y))


# ---- in place


@pytest.mark.parametrize("change", ["input", "output", "weight"])
def test_a_change_in_place_is_noticed_where_it_is_asked_for(change) -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.Sigmoid())
    x = X.copy()
    with scratch.detect_changes():
        y = model(x)
        {"input": x, "output": y, "weight": model[0].weight.data}[change][0] += 1
        with pytest.raises(
            RuntimeError, match=r"backward: an array that its forward saved, float32 \(\d, \d\)"
        ):
            model.backward(np.ones_like(y))
    model.zero_grad()


def test_without_a_change_nothing_is_refused() -> None:
    model, loss_fn = network(), nn.CrossEntropyLoss()
    expected = alone(model)
    with scratch.detect_changes():
        found = alone(model)
        loss_fn(model(X), TARGET)
        model.backward(loss_fn.backward())
    for a, b in zip(found, expected, strict=True):
        assert np.array_equal(a, b)


def test_a_change_of_what_a_loss_or_a_layer_of_ones_own_saved_is_noticed() -> None:
    loss_fn, target = nn.MSELoss(), np.zeros(3)
    with scratch.detect_changes():
        loss_fn(np.ones(3), target)
        target += 1
        own = Kept()
        own(target)
        target += 1
        with pytest.raises(RuntimeError, match=r"MSELoss\.backward: an array that its forward saved"):
            loss_fn.backward()
        with pytest.raises(RuntimeError, match=r"Kept\.backward: an array that its forward saved"):
            own.backward(np.ones(3))


class Kept(nn.Module):
    def forward(self, x):
        self.save({"x": [x]})
        return x * x

    def backward(self, dy):
        return 2 * self.saved()[0]["x"][0] * dy


# ---- threads


def test_no_grad_in_one_thread_does_not_reach_another() -> None:
    model, inside, done = nn.Tanh(), threading.Event(), threading.Event()

    def evaluates() -> None:
        with scratch.no_grad():
            inside.set()
            done.wait(10)

    thread = threading.Thread(target=evaluates)
    thread.start()
    inside.wait(10)
    try:
        y = model(X)
        model.backward(np.ones_like(y))
    finally:
        done.set()
        thread.join()


def test_a_decorated_function_may_call_itself() -> None:
    @scratch.no_grad()
    def nested(depth: int) -> None:
        if depth:
            nested(depth - 1)
        assert not scratch.is_grad_enabled()

    nested(3)
    assert scratch.is_grad_enabled()
