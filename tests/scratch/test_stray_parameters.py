"""An array beside its gradient that is no Parameter is refused, since it would be left out."""

import numpy as np
import pytest
import torch

from scratch import nn, optim
from scratch.data import DataLoader, TensorDataset
from scratch.gradcheck import check_directions, gradcheck, numerical_gradient
from scratch.stray_parameters import refuse_stray_parameters
from scratch.training import fit
from torch_ref import check, compare
from torch_ref.catalog import LOSSES, MODULES

X = np.random.default_rng(0).standard_normal((4, 3))


class _Product(nn.Module):
    """y = x W, whose backward keeps a gradient a thousand times too large."""

    def __init__(self) -> None:
        self.W = np.random.default_rng(1).standard_normal((3, 2))

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.save(x)
        return x @ self.W


class BesideIt(_Product):
    def backward(self, dy):
        (x,) = self.saved()
        self.dW = 1000 * x.T @ dy
        return dy @ self.W.T


class AfterIt(_Product):
    def backward(self, dy):
        (x,) = self.saved()
        self.grad_W = 1000 * x.T @ dy
        return dy @ self.W.T


class InGrads(_Product):
    def __init__(self) -> None:
        super().__init__()
        self.grads = {}

    def backward(self, dy):
        (x,) = self.saved()
        self.grads["W"] = 1000 * x.T @ dy
        return dy @ self.W.T


class InFilledGrads(_Product):
    def __init__(self) -> None:
        super().__init__()
        self.grads = {"dW": np.zeros((3, 2))}

    def backward(self, dy):
        (x,) = self.saved()
        for key in self.grads:
            self.grads[key] = 1000 * x.T @ dy
        return dy @ self.W.T


class InParams(nn.Module):
    def __init__(self) -> None:
        self.params = {"W": np.random.default_rng(1).standard_normal((3, 2))}
        self.grads = {}

    def forward(self, x):
        self.save(x)
        return x @ self.params["W"]

    def backward(self, dy):
        (x,) = self.saved()
        self.grads["W"] = 1000 * x.T @ dy
        return dy @ self.params["W"].T


class InLists(nn.Module):
    def __init__(self) -> None:
        self.params, self.grads = [np.random.default_rng(1).standard_normal((3, 2))], [np.zeros((3, 2))]

    def forward(self, x):
        self.save(x)
        return x @ self.params[0]

    def backward(self, dy):
        (x,) = self.saved()
        self.grads[0][...] = 1000 * x.T @ dy
        return dy @ self.params[0].T


STRAY = {
    BesideIt: ("W", "dW"),
    AfterIt: ("W", "grad_W"),
    InGrads: ("W", "grads['W']"),
    InFilledGrads: ("W", "grads['dW']"),
    InParams: ("params['W']", "grads['W']"),
    InLists: ("params[0]", "grads[0]"),
}


@pytest.mark.parametrize("kind", STRAY, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("ask", [gradcheck, check_directions, numerical_gradient], ids=lambda f: f.__name__)
def test_every_numeric_check_refuses_it_and_says_what_to_do(kind, ask) -> None:
    name, gradient = STRAY[kind]
    with pytest.raises(TypeError) as refused:
        ask(kind(), X)
    message = str(refused.value)
    assert message.startswith(
        f"gradcheck: {name} of {kind.__name__} is an array beside its gradient {gradient}"
    )
    assert "nn.Parameter(…)" in message
    assert ".add_grad(…)" in message


def test_it_is_found_in_a_network_by_its_path() -> None:
    model = nn.Sequential(nn.Linear(3, 3, dtype=np.float64), BesideIt())
    with pytest.raises(TypeError, match=r"gradcheck: 1\.W of BesideIt is an array beside its gradient dW"):
        gradcheck(model, X)


def test_the_comparisons_with_torch_refuse_it() -> None:
    with pytest.raises(TypeError, match="W of BesideIt is an array beside its gradient dW"):
        check(BesideIt(), lambda x: x, X)
    with pytest.raises(TypeError, match="W of BesideIt is an array beside its gradient dW"):
        compare(BesideIt(), torch.nn.Identity(), X)


def test_it_is_refused_in_a_module_that_another_object_keeps() -> None:
    class Keeps:
        def __init__(self):
            self.inside = BesideIt()

        def forward(self, x):
            return self.inside(x)

        def backward(self, dy):
            return self.inside.backward(dy)

    with pytest.raises(TypeError, match="W of BesideIt is an array beside its gradient dW"):
        check(Keeps(), lambda x: x, X)


def test_fit_refuses_a_model_whose_optimizer_would_leave_it_as_it_is() -> None:
    model = nn.Sequential(BesideIt(), nn.Linear(2, 2, dtype=np.float64))
    loader = DataLoader(TensorDataset(X, np.zeros(4, np.int64)))
    optimizer = optim.SGD(model.parameters())
    with pytest.raises(TypeError, match=r"fit: 0\.W of BesideIt is an array beside its gradient dW"):
        fit(model, nn.CrossEntropyLoss(), optimizer, loader, epochs=1)


class Keeps(nn.Module):
    """A constant, a buffer, and the arrays of a forward, one of them beside its gradient."""

    def __init__(self) -> None:
        self.scale = np.full(3, 2.0)
        self.register_buffer("mask", np.ones(3))
        self.x = np.zeros(3)

    def forward(self, x):
        self.x = x
        return x * self.scale * self.mask

    def backward(self, dy):
        dmask = dy * self.x
        self.mask_grad = dmask
        self.dx = dy * self.scale * self.mask
        return self.dx


def test_constants_buffers_and_what_forward_keeps_are_no_parameters() -> None:
    assert gradcheck(Keeps(), X)


def test_no_module_of_the_catalog_is_refused() -> None:
    for case in (*MODULES, *LOSSES):
        refuse_stray_parameters(case.make(np.float64), "test")
