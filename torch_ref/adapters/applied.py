"""A pair of functions that take the parameters as arguments: forward(x, w, b) beside torch.nn.Linear."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from torch_ref.adapters.calls import parameter_names, takes
from torch_ref.adapters.methods import Pair
from torch_ref.adapters.returned import Given
from torch_ref.adapters.shapes import Shapes
from torch_ref.adapters.trial import unnoticed


class Applied(Pair):
    """The pair as an object that keeps the parameters, under the names of the arguments."""

    def __init__(
        self, function: Callable[..., Any], derivative: Callable[..., Any], arrays: dict[str, np.ndarray]
    ) -> None:
        self.function, self.derivative, self.names = function, derivative, tuple(arrays)
        vars(self).update(arrays)
        self.backward = derivative

    def forward(self, *inputs: Any) -> Any:
        """The first function's, given the parameters behind the inputs."""
        return self.function(*inputs, *(getattr(self, name) for name in self.names))


class AppliedAgain(Applied):
    """And the second function takes the same arguments behind dy, in place of a cache."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        del self.backward

    def backward(self, dy: Any, *inputs: Any) -> Any:
        """The second function's."""
        return self.derivative(dy, *inputs, *(getattr(self, name) for name in self.names))


def with_parameters(pair: Any, shapes: Shapes | None, given: Given) -> Any:
    """A pair whose forward needs the other side's parameters as well, as an object that has them."""
    if not shapes or type(pair) is not Pair or not given.inputs:
        return pair
    names, count = parameter_names(pair.forward), len(given.inputs) + len(shapes)
    if len(names) < count or not takes(pair.forward, count) or takes(pair.forward, len(given.inputs)):
        return pair
    if any(name in vars(Pair) or not name.isidentifier() for name in names) or inspect.isbuiltin(
        pair.forward
    ):
        return pair
    kind = AppliedAgain if takes(pair.backward, 1 + count) else Applied
    for arrays in _stored(dict(zip(names[len(given.inputs) : count], shapes.values(), strict=True))):
        applied = kind(pair.forward, pair.backward, arrays)
        try:
            with unnoticed():
                applied.forward(*given.inputs)
        except Exception:  # from shapes that do not fit
            continue
        return applied
    return pair


def _stored(shapes: Shapes) -> Iterator[dict[str, np.ndarray]]:
    """Parameters as PyTorch has them; and with the matrices the other way round."""
    rng = np.random.default_rng(0)
    for step in (1, -1):
        yield {
            name: rng.standard_normal(shape[::step] if len(shape) == 2 else shape)
            for name, shape in shapes.items()
        }
