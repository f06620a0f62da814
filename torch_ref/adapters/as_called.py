"""A layer as a network calls it: some arguments have a gradient, the others are held, also those by name."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from scratch import nn
from scratch.nested import leaves, unflatten_as
from torch_ref.adapters.around import Around, TorchAround
from torch_ref.adapters.held import cast_held, held_tensor, precision_of


@dataclass(frozen=True)
class Arguments:
    """The arguments of one call, nested in tuples.

    Args:
        values: those by position, then those by name.
        names: of the latter.
        free: for each array in ``values``, whether it has a gradient.
    """

    values: tuple[Any, ...]
    names: tuple[str, ...]
    free: tuple[bool, ...]

    @classmethod
    def of(cls, values: tuple[Any, ...], options: Mapping[str, Any]) -> "Arguments":
        """The arguments of a call of a torch module; tensors that require a gradient are free."""
        values = (*values, *options.values())
        free = tuple(isinstance(x, torch.Tensor) and x.requires_grad for _, x in leaves(values))
        arrays = (x.detach().numpy() if isinstance(x, torch.Tensor) else x for _, x in leaves(values))
        return cls(unflatten_as(values, arrays), tuple(options), free)

    @property
    def inputs(self) -> tuple[np.ndarray, ...]:
        """The free arrays, in their order."""
        return tuple(x for (_, x), free in zip(leaves(self.values), self.free, strict=True) if free)

    def with_inputs(self, inputs: tuple[Any, ...], held: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Arguments by position and by name, with these in the place of the free ones, the others made
        by ``held``."""
        given: Iterator[Any] = iter(inputs)
        everything = zip(leaves(self.values), self.free, strict=True)
        values = unflatten_as(self.values, (next(given) if free else held(x) for (_, x), free in everything))
        count = len(values) - len(self.names)
        return values[:count], dict(zip(self.names, values[count:], strict=True))


class AsCalled(Around):
    """A module of the free arguments of a call alone; its outputs are one array, or a flat tuple of them."""

    def __init__(self, inner: nn.Module, arguments: Arguments) -> None:
        super().__init__(inner)
        self.arguments = arguments
        self.given: Any = None  # the output, None for each array that there is

    def forward(self, *inputs: Any) -> Any:
        """The outputs that are arrays; held floating arrays get the precision of the inputs."""
        dtype = precision_of([*inputs, *(p.data for p in self.inner.parameters())])
        values, options = self.arguments.with_inputs(inputs, lambda x: cast_held(x, dtype))
        y = self.inner(*values, **options)
        self.given = unflatten_as(y, (each is not None for _, each in leaves(y)))
        return _flat(y)

    def backward(self, *dy: Any) -> Any:
        """The gradients of the free arguments."""
        given = iter(dy)
        dy = unflatten_as(self.given, (next(given) if each else None for _, each in leaves(self.given)))
        dx = self.inner.backward(*(dy if isinstance(dy, tuple) else (dy,)))
        found = [g for _, g in leaves(tuple(dx) if isinstance(dx, list) else dx)]
        count = self.arguments.free.count(True)
        if sum(g is not None for g in found) == count:
            return tuple(g for g in found if g is not None)
        return tuple(g for g, free in zip(found, self.arguments.free, strict=False) if free)


class TorchAsCalled(TorchAround):
    """AsCalled, for PyTorch."""

    def __init__(self, inner: torch.nn.Module, arguments: Arguments) -> None:
        super().__init__(inner)
        self.arguments = arguments

    def forward(self, *inputs: Any) -> Any:
        """The inner module's outputs that are tensors."""
        dtype = next((x.dtype for x in (*inputs, *self.parameters()) if x.is_floating_point()), torch.float64)
        values, options = self.arguments.with_inputs(inputs, lambda x: held_tensor(x, dtype))
        return _flat(self.inner(*values, **options))


def _flat(y: Any) -> Any:
    if not isinstance(y, tuple):
        return y
    flat = tuple(each for _, each in leaves(y) if each is not None)
    return flat[0] if len(flat) == 1 else flat
