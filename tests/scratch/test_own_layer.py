"""A layer of one's own: a forward and a backward, and nothing else is asked of it, wherever it stands."""

import numpy as np
import pytest

from scratch import nn
from scratch.functional import linear_fast
from scratch.gradcheck import gradcheck


class Square(nn.Module):
    """y = x²."""

    def forward(self, x):
        self.save(x)
        return x * x

    def backward(self, dy):
        (x,) = self.saved()
        return 2 * x * dy


class Scale(nn.Module):
    """y = w x."""

    def __init__(self, n):
        self.w = nn.Parameter(np.ones(n))

    def forward(self, x):
        self.save(x)
        return self.w.data * x

    def backward(self, dy):
        (x,) = self.saved()
        self.w.add_grad((dy * x).sum(axis=0))
        return self.w.data * dy


X = np.random.default_rng(0).normal(size=(4, 3))


@pytest.mark.parametrize(
    "model",
    [
        Square(),
        Scale(3),
        nn.Sequential(Square(), nn.Linear(3, 2, dtype=float)),
        nn.Sequential(Scale(3), nn.Linear(3, 2, dtype=float)),
        nn.Sequential(nn.Linear(3, 3, dtype=float), Square(), nn.Linear(3, 2, dtype=float)),
        nn.Sequential(nn.Linear(3, 2, dtype=float), Scale(2)),
        nn.Sequential(nn.Residual(Scale(3)), Scale(3)),
    ],
    ids=["square", "scale", "first", "first with parameters", "between", "last", "in a residual connection"],
)
def test_it_is_right_wherever_it_stands(model):
    assert gradcheck(model, X)


@pytest.mark.parametrize("model", [nn.Sequential(Square(), Scale(3)), nn.Sequential(Scale(3), Square())])
def test_its_parameters_get_the_same_gradient_where_the_input_is_data(model):
    grads = []
    for backward in (model.backward, model.backward_parameters):
        model.zero_grad()
        model(X)
        backward(np.ones((4, 3)))
        grads.append([p.grad.copy() for p in model.parameters()])
    for one, other in zip(*grads, strict=True):
        np.testing.assert_array_equal(one, other)


def test_without_a_use_for_it_the_first_layer_computes_no_input_gradient(monkeypatch):
    asked = []

    def backward(dy, saved, need_dx=True):
        asked.append(need_dx)
        return right(dy, saved, need_dx)

    right = linear_fast.linear_backward
    monkeypatch.setattr(linear_fast, "linear_backward", backward)
    model = nn.Sequential(
        nn.Sequential(nn.Linear(3, 4, dtype=float), nn.ReLU()), nn.Linear(4, 2, dtype=float)
    )
    model(X)
    assert model.backward_parameters(np.ones((4, 2))) is None
    assert asked == [True, False]
    assert all(module.needs_input_grad for module in model.modules())


def test_gradients_add_up_from_the_first_on():
    p = nn.Parameter(np.zeros((2, 3)))
    p.add_grad(np.ones((2, 3)))
    given = np.full((2, 3), 2.0)
    p.add_grad(given)
    np.testing.assert_array_equal(p.grad, np.full((2, 3), 3.0))
    np.testing.assert_array_equal(given, np.full((2, 3), 2.0))


@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 4, 3), (0, 3)])
def test_the_product_of_a_linear_layer_is_written_where_it_stays_or_added_to_what_is_there(
    shape, monkeypatch
):
    rooms = []

    def backward(dy, saved, need_dx=True, dW=None):
        rooms.append(dW)
        return right(dy, saved, need_dx, dW)

    right = linear_fast.linear_backward
    monkeypatch.setattr(linear_fast, "linear_backward", backward)
    monkeypatch.setattr(nn.Linear, "_fills_dW", staticmethod(backward))
    layer, rng = nn.Linear(3, 2, dtype=float), np.random.default_rng(0)
    x, dy = rng.integers(-9, 9, shape).astype(float), rng.integers(-9, 9, (*shape[:-1], 2)).astype(float)
    once = dy.reshape(-1, 2).T @ x.reshape(-1, 3)
    for times in (1, 2):
        layer(x)
        layer.backward(dy)
        np.testing.assert_array_equal(layer.weight.grad, times * once)
        np.testing.assert_array_equal(layer.bias.grad, times * dy.reshape(-1, 2).sum(axis=0))
    assert np.shares_memory(rooms[0], layer.weight.grad) or not rooms[0].size
    assert rooms[1] is None


def test_an_input_that_lies_where_the_gradient_goes_is_read_first():
    layer = nn.Linear(3, 3, dtype=float)
    layer.weight.grad = x = np.arange(9.0).reshape(3, 3)
    there, dy = layer.weight.grad, np.diag([1.0, 10.0, 100.0])
    layer.zero_grad()
    layer(there)
    layer.backward(dy[:, [1, 2, 0]])
    np.testing.assert_array_equal(layer.weight.grad, dy[:, [1, 2, 0]].T @ x)


class Counted(nn.Module):
    """A layer of one parameter, whose formula gives these gradients behind dx."""

    def __init__(self, *gradients):
        self.w, self.gradients = nn.Parameter(np.ones(3)), gradients

    def forward(self, x):
        return self.run(lambda x, w: (w * x, x), lambda dy, x: (dy, *self.gradients), (x,), (self.w,))


@pytest.mark.parametrize("gradients", [(), (np.ones(3), np.ones(3))])
def test_a_formula_that_gives_too_few_or_too_many_gradients_is_refused(gradients):
    wrong = Counted(*gradients)
    wrong(X)
    message = rf"Counted\.backward: its formula gave {1 + len(gradients)} gradients, expected 2: one for each"
    with pytest.raises(ValueError, match=message):
        wrong.backward(np.ones_like(X))
    assert wrong.w.grad is None


def test_a_gradient_that_was_added_is_the_callers_to_change():
    p, given = nn.Parameter(np.zeros(3)), np.ones(3)
    p.add_grad(given)
    given[:] = 5
    np.testing.assert_array_equal(p.grad, np.ones(3))


@pytest.mark.parametrize("shape", [(), (1,), (1, 3), (2, 1), (3, 2)])
def test_a_gradient_of_another_shape_is_refused_and_changes_nothing(shape):
    p = nn.Parameter(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"Parameter.add_grad: got shape .*, expected \(2, 3\)"):
        p.add_grad(np.ones(shape))
    assert p.grad is None


def test_a_complex_gradient_of_a_real_parameter_is_refused():
    p = nn.Parameter(np.zeros(2))
    with pytest.raises(TypeError):
        p.add_grad(np.ones(2, complex))
    assert p.grad is None


def test_a_frozen_parameter_stays_without():
    p = nn.Parameter(np.zeros(2), requires_grad=False)
    p.add_grad(np.ones(2))
    assert p.grad is None


def test_a_refused_backward_leaves_its_forward():
    layer = nn.Linear(3, 2, dtype=float)
    layer(X)
    for wrong in (np.ones((4, 3)), np.ones((4, 2), np.float32), [[1.0, 1.0]] * 4, None):
        with pytest.raises((ValueError, TypeError), match=r"Linear\.backward"):
            layer.backward(wrong)
    assert layer.backward(np.ones((4, 2))).shape == (4, 3)
    with pytest.raises(RuntimeError, match="called without a matching forward"):
        layer.backward(np.ones((4, 2)))
