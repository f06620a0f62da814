"""first_divergence where every layer is right by itself; test_faults.py has the wrong layers."""

from typing import Any

import numpy as np
import pytest
import torch

from scratch import nn
from torch_ref import first_divergence, mirror


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
