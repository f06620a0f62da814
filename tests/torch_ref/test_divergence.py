"""first_divergence where every layer is right by itself; test_faults.py has the wrong layers."""

from typing import Any

import numpy as np
import pytest
import torch

import scratch
from sampled import one_in
from scratch import models, nn
from scratch.nested import is_floating, leaves
from tests.all_in_one import all_in_one
from torch_ref import first_divergence, mirror
from torch_ref.catalog import modules as catalog
from torch_ref.catalog.cases import Case, first_of_each_kind
from torch_ref.faults import faults_of, switch_on
from torch_ref.twin.mirror import reflect

# Of the cases of each test; the others in make long.
ONE_IN = 2


class Skip(nn.Module):
    """A layer, and a skip connection around two more, which the backward or the forward may forget."""

    def __init__(self, forgets: str = "", times: int = 1) -> None:
        self.f, self.a, self.b = (nn.Linear(3, 3, dtype=np.float64) for _ in range(3))
        self.forgets, self.times = forgets, times

    def forward(self, x: Any) -> Any:
        x = y = self.f(x)
        for _ in range(self.times):
            y = self.a(y)
        y = self.b(y)
        return y if self.forgets == "forward" else y + x

    def backward(self, dy: Any) -> Any:
        dx = self.b.backward(dy)
        for _ in range(self.times):
            dx = self.a.backward(dx)
        return self.f.backward(dx if self.forgets else dx + dy)


class TorchSkip(torch.nn.Module):
    def __init__(self, model: Skip) -> None:
        super().__init__()
        self.f, self.a, self.b = mirror(model.f), mirror(model.a), mirror(model.b)

    def forward(self, x: Any) -> Any:
        x = self.f(x)
        return self.b(self.a(x)) + x


X = np.random.default_rng(0).standard_normal((4, 3))


def test_what_joins_right_layers_is_found_to_be_wrong() -> None:
    model = Skip()
    assert first_divergence(model, TorchSkip(model), X)

    model = Skip("backward")
    found = first_divergence(model, TorchSkip(model), X)
    assert not found
    assert found.first is None
    assert found.between == ("a", "f")
    assert (
        "right by itself, and what joins them is not: input, f.weight, f.bias of the whole differ."
        in found.verdict
    )
    assert "a passes on the right numbers, f wrong ones: look at the module that holds both" in found.verdict

    model = Skip("forward")
    found = first_divergence(model, TorchSkip(model), X)
    assert not found
    assert found.between == ("b", "the whole")
    assert "what joins them is not: output, input" in found.verdict


def test_what_it_cannot_use_is_named() -> None:
    model = Skip(times=2)
    with pytest.raises(ValueError, match="a is called 2 times in model, 1 in twin"):
        first_divergence(model, TorchSkip(model), X)
    with pytest.raises(TypeError, match=r"model is object, expected a Module of scratch\.nn"):
        first_divergence(object(), TorchSkip(model), X)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"twin is Skip, expected a torch\.nn\.Module"):
        first_divergence(model, model, X)  # type: ignore[arg-type]


RNG = np.random.default_rng(0)
TOKENS = RNG.integers(0, 5, (2, 4))


def gpt() -> nn.Module:
    scratch.manual_seed(0)
    return models.GPT(5, 4, 6, 2, 2, dtype=np.float64)


@pytest.mark.parametrize(
    ("model", "x"),
    [
        (models.two_layer_net(6, 5, 3, np.float64), RNG.standard_normal((4, 6))),
        (models.xor_net(4, np.float64), RNG.standard_normal((4, 2))),
        (models.mlp_batchnorm(6, 5, 3, np.float64), RNG.standard_normal((8, 6))),
        (models.simple_conv_net(2, 5, 10, np.float64), RNG.standard_normal((2, 1, 10, 10))),
        (models.deep_conv_net(8, np.float64), RNG.standard_normal((2, 1, 8, 8))),
        (models.CharLSTM(5, 3, 4, 2, np.float64), TOKENS),
        (gpt(), TOKENS),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_model_is_walked(model: nn.Module, x: np.ndarray) -> None:
    found = first_divergence(model, mirror(model), x)
    assert found, str(found)
    assert not found.untried


def test_attention_is_one_layer_and_what_stands_around_it_are_others() -> None:
    model = gpt()
    names = [each.name for each in first_divergence(model, mirror(model), TOKENS).layers]
    assert names[:6] == [
        *("tokens", "places", "layers.0.norm1", "layers.0.self_attn", "layers.0.dropout1", "layers.0.norm2")
    ]
    assert names[-2:] == ["norm", "head"]


@pytest.mark.parametrize(
    ("at", "name"),
    [
        ("layers.1.self_attn", "the gradient of the scores is not divided by √d"),
        ("layers.0.self_attn", "the scores are not divided by √d"),
        ("layers.0.linear1", "parameter gradients divided by the batch size"),
        ("layers.1.norm2", "parameter gradients divided by the batch size"),
    ],
)
def test_a_mistake_in_a_layer_of_a_transformer_is_found_and_named(at: str, name: str) -> None:
    model = gpt()
    twin = mirror(model)
    module = dict(model.named_modules())[at]
    switch_on(next(fault for fault in faults_of(module) if fault.name == name), module)
    found = first_divergence(model, twin, TOKENS)
    assert not found
    assert found.first is not None
    assert found.first.name == at
    assert name in [cause.name for cause in found.first.causes], str(found)
    # A layer that is suspected is looked at first, whatever the budget.
    found = first_divergence(model, twin, TOKENS, budget=1e-9)
    assert found.first is not None
    assert found.first.name == at
    assert len(found.layers) == 1
    (left,) = found.untried
    assert left.startswith("tokens, places, layers.0.norm1, ")
    assert left.endswith(": the budget of seconds was spent (budget=, --budget)")
    assert "Not looked at by itself: tokens, places" in found.verdict


class Twice(nn.Module):
    """One layer, used twice."""

    def __init__(self) -> None:
        self.a, self.b = nn.Linear(3, 3, dtype=np.float64), nn.Tanh()

    def forward(self, x: Any) -> Any:
        return self.a(self.b(self.a(x)))

    def backward(self, dy: Any) -> Any:
        return self.a.backward(self.b.backward(self.a.backward(dy)))


class TorchTwice(torch.nn.Module):
    def __init__(self, model: Twice) -> None:
        super().__init__()
        self.a, self.b = mirror(model.a), mirror(model.b)

    def forward(self, x: Any) -> Any:
        return self.a(self.b(self.a(x)))


def test_a_layer_that_is_used_twice_is_two() -> None:
    model = Twice()
    twin = TorchTwice(model)
    found = first_divergence(model, twin, X)
    assert found
    assert [each.name for each in found.layers] == ["a", "b", "a"]
    shared = nn.Sequential(model.a, nn.Tanh(), model.a)
    assert first_divergence(shared, mirror(shared), X)
    averaged = "parameter gradients divided by the batch size"
    switch_on(next(fault for fault in faults_of(model.a) if fault.name == averaged), model.a)
    found = first_divergence(shared, mirror(shared), X)
    assert found.first is not None
    assert (found.first.name, found.first.kind) == ("0", "Linear")


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("mode", one_in(2, [True, False]))
def test_reflections_of_torchs_transformers_are_walked(masked: bool, mode: bool) -> None:
    torch.manual_seed(0)
    options = {"dropout": 0.1, "dtype": torch.float64}
    layer = torch.nn.TransformerEncoderLayer(4, 2, 6, **options)
    x, memory = RNG.standard_normal((3, 2, 4)), RNG.standard_normal((2, 2, 4))
    mask = (np.triu(np.ones((3, 3), bool), 1),) if masked else ()
    for twin, inputs in (
        (layer, (x, *mask)),
        (torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), (x, *mask)),
        (torch.nn.Transformer(4, 2, 1, 1, 6, **options), (memory, x)),
    ):
        twin.train(mode)
        model = reflect(twin)
        found = first_divergence(model, twin, *inputs)
        assert found, str(found)
        assert not found.untried
        assert len(found.layers) > 5


@pytest.mark.long
@all_in_one("case", {case.name: case for case in first_of_each_kind(catalog.MODULES)})
def test_every_module_of_the_catalog_is_walked(case: Case) -> None:
    module = case.make(np.float64)
    twin, inputs = mirror(module), case.draw(np.float64)
    if not any(is_floating(x) for _, x in leaves((*inputs, *(p.data for p in module.parameters())))):
        return
    found = first_divergence(module, twin, *inputs)
    assert found, str(found)
    assert not found.untried


def test_a_budget_is_above_0() -> None:
    with pytest.raises(ValueError, match="first_divergence: budget is 0, expected seconds, more than 0"):
        first_divergence(Twice(), TorchTwice(Twice()), X, budget=0)
