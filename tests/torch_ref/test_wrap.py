"""as_torch: NumPy modules inside torch's autograd, judged by torch's own gradcheck."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.autograd.gradcheck import GradcheckError

import scratch
from rounding import same_draws
from scratch import nn
from scratch.nested import leaves, unflatten_as
from torch_ref import as_torch, mirror
from torch_ref.adapters import Holding, adapt
from torch_ref.catalog import LOSSES, MODULES, Case, first_of_each_kind


def passes_gradcheck(module: nn.Module, inputs: tuple[Any, ...], fast: bool = False) -> bool:
    """By every entry; ``fast`` along a random direction for each input and output."""
    wrapped = as_torch(module)
    tensors = [torch.from_numpy(x).requires_grad_(x.dtype.kind == "f") for _, x in leaves(inputs)]
    parameters = {name: p.detach().clone().requires_grad_() for name, p in wrapped.named_parameters()}

    def function(*args: torch.Tensor) -> tuple[torch.Tensor, ...]:
        torch.default_generator.manual_seed(0)
        weights = dict(zip(parameters, args[len(tensors) :], strict=True))
        y = torch.func.functional_call(wrapped, weights, unflatten_as(inputs, iter(args[: len(tensors)])))
        return tuple(each for _, each in leaves(y))

    return torch.autograd.gradcheck(function, (*tensors, *parameters.values()), fast_mode=fast)


def one_of_each_kind(cases: tuple[Case, ...]) -> list[Any]:
    """In every run the first of each kind, along a direction; in the campaign all, entry by entry."""
    first = [pytest.param(case, True, id=f"{case.name}-fast") for case in first_of_each_kind(cases)]
    return first + [pytest.param(case, False, id=case.name, marks=pytest.mark.campaign) for case in cases]


@pytest.mark.parametrize(("case", "fast"), one_of_each_kind(MODULES))
def test_torchs_gradcheck_passes_every_module(case: Case, fast: bool) -> None:
    assert passes_gradcheck(case.make(np.float64), case.draw(np.float64), fast)


@pytest.mark.parametrize(("case", "fast"), one_of_each_kind(LOSSES))
def test_torchs_gradcheck_passes_every_loss(case: Case, fast: bool) -> None:
    inputs, at = case.draw(np.float64), case.target
    others = tuple(x for i, x in enumerate(inputs) if i != at)
    held = {} if at is None else {at: inputs[at]}
    assert passes_gradcheck(Holding(case.make(np.float64), held), others, fast)


@pytest.mark.parametrize("fast", [True, False])
def test_torchs_gradcheck_refuses_a_wrong_backward(fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nn.Tanh, "backward", lambda self, dy: dy)
    with pytest.raises(GradcheckError):
        passes_gradcheck(nn.Tanh(), (np.ones((2, 3)),), fast)


def a_model() -> nn.Sequential:
    scratch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4, dtype=np.float64), nn.Tanh(), nn.Linear(4, 2, dtype=np.float64))


def test_memory_and_names_are_shared() -> None:
    model = a_model()
    wrapped = as_torch(model)
    assert list(wrapped.state_dict()) == list(model.state_dict())
    with torch.no_grad():
        for p in wrapped.parameters():
            p.add_(1)
    assert all(np.array_equal(wrapped.get_parameter(n).detach(), p.data) for n, p in model.named_parameters())
    assert as_torch(model.eval()).training is False
    wrapped.train()
    assert model.training


def test_backwards_in_any_order_and_twice() -> None:
    model = a_model()
    wrapped, twin = as_torch(model), mirror(model)
    x1, x2 = torch.randn(5, 3, dtype=torch.float64), torch.randn(2, 3, dtype=torch.float64)
    for net in (wrapped, twin):
        first, second = net(x1), net(x2)
        first.pow(2).sum().backward(retain_graph=True)
        second.pow(3).sum().backward()
        first.pow(2).sum().backward()
    for name, p in twin.named_parameters():
        torch.testing.assert_close(wrapped.get_parameter(name).grad, p.grad, rtol=1e-13, atol=1e-13)
    assert all(p.grad is None for p in model.parameters())
    assert not any(m._saved for m in model.modules())


class Square:
    """As one writes it by hand: what backward needs is an attribute."""

    def forward(self, x: Any) -> Any:
        self.x, self.count = x, len(x)
        return x**2

    def backward(self, dy: Any) -> Any:
        return 2 * self.x * dy[: self.count]


class SquareModule(nn.Module):
    forward, backward = Square.forward, Square.backward


@pytest.mark.parametrize("square", [SquareModule(), adapt(Square())], ids=["module", "object"])
def test_what_forward_keeps_in_an_attribute_is_each_forwards_own(square: nn.Module) -> None:
    wrapped, x = as_torch(square), torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    y = wrapped(wrapped(x))
    wrapped(x[:1])
    for _ in range(2):
        (dx,) = torch.autograd.grad(y.sum(), x, retain_graph=True)
        assert torch.equal(dx, 4 * x**3)


def test_what_is_no_module_is_named() -> None:
    with pytest.raises(TypeError, match=r"as_torch: module is Square, expected a Module of scratch\.nn"):
        as_torch(Square())  # type: ignore[arg-type]


@same_draws
def test_a_mixed_model_trains_as_torchs_own() -> None:
    def train(middle: torch.nn.Module) -> torch.Tensor:
        torch.manual_seed(1)
        net = torch.nn.Sequential(torch.nn.Linear(6, 3), middle, torch.nn.ReLU(), torch.nn.Linear(2, 2))
        optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
        x, target = torch.randn(16, 6), torch.randint(2, (16,))
        for _ in range(50):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(net(x), target)
            loss.backward()
            optimizer.step()
        return loss.detach()

    scratch.manual_seed(0)
    torch.manual_seed(0)
    ours, theirs = as_torch(nn.Linear(3, 2)), torch.nn.Linear(3, 2)
    torch.testing.assert_close(train(ours), train(theirs), rtol=1e-5, atol=0)


def test_dropout_draws_from_torchs_generator() -> None:
    x = torch.ones(100)
    torch.manual_seed(0)
    ours = as_torch(nn.Dropout(0.3))(x), torch.rand(3)
    torch.manual_seed(0)
    theirs = torch.nn.Dropout(0.3)(x), torch.rand(3)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_torch_notices_a_weight_changed_between_forward_and_backward() -> None:
    wrapped = as_torch(a_model())
    y = wrapped(torch.randn(5, 3, dtype=torch.float64))
    with torch.no_grad():
        wrapped.get_parameter("0.weight").add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_second_derivatives_are_refused() -> None:
    x = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"backward of Tanh\(\) is NumPy's.*create_graph"):
        torch.autograd.grad(as_torch(nn.Tanh())(x).sum(), x, create_graph=True)


def test_an_input_that_is_no_cpu_tensor_is_named() -> None:
    with pytest.raises(TypeError, match="input 0 is a ndarray, expected a tensor on the CPU"):
        as_torch(nn.Tanh())(np.ones(3))
    with pytest.raises(TypeError, match="input 0 is a tensor on meta"):
        as_torch(nn.Tanh())(torch.ones(3, device="meta"))


def test_a_dtype_that_torch_lacks_is_named() -> None:
    with pytest.raises(TypeError, match=r"weight is (longdouble|float128)"):
        as_torch(nn.Linear(3, 2, dtype=np.longdouble))
