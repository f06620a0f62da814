"""Inputs that are held: numbers, masks, labels, which have no gradient, on either side."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from scratch import nn
from torch_ref.adapters.around import Around, TorchAround

Held = Mapping[int, Any]


class Holding(Around):
    """A module of those of its inputs that are not held.

    Args:
        inner: a module of several inputs.
        held: the values of some of these, by position.

        loss = Holding(nn.MSELoss(), {1: target})
        loss(y)
    """

    def __init__(self, inner: nn.Module, held: Held) -> None:
        super().__init__(inner)
        self.held, self.count = dict(held), 0

    def forward(self, *inputs: Any) -> Any:
        """The inner module's output; held floating arrays get the precision of the inputs."""
        everything = self.everything(inputs)
        self.count = len(everything)
        y = self.inner(*everything)
        return y if isinstance(y, tuple) else np.asanyarray(y)

    def everything(self, inputs: Sequence[Any]) -> tuple[Any, ...]:
        """All inputs of the inner module, from those that are not held."""
        dtype = precision_of([*inputs, *(p.data for p in self.inner.parameters())])
        return filled(inputs, {i: cast_held(value, dtype) for i, value in self.held.items()})

    def backward(self, *dy: Any) -> Any:
        """The gradient by each input that is not held; the inner backward may give those by all."""
        dx = self.inner.backward(*dy)
        if self.count == len(self.held):  # whatever it gives, None as well
            return ()
        if not isinstance(dx, tuple | list) or not self.held:
            return dx
        is_of_all = len(dx) == self.count
        free = [g for i, g in enumerate(dx) if i not in self.held] if is_of_all else list(dx)
        return free[0] if len(free) == 1 else tuple(free)


class TorchHolding(TorchAround):
    """Holding, for PyTorch: arrays as tensors, all else as it is."""

    def __init__(self, inner: torch.nn.Module, held: Held) -> None:
        super().__init__(inner)
        self.held = dict(held)

    def forward(self, *inputs: Any) -> Any:
        """The inner module's output; held floating arrays get the precision of the inputs."""
        tensors = [*(x for x in inputs if isinstance(x, torch.Tensor)), *self.parameters()]
        dtype = next((x.dtype for x in tensors if x.is_floating_point()), torch.float64)
        fixed = {i: held_tensor(value, dtype) for i, value in self.held.items()}
        return self.inner(*filled(inputs, fixed))


def filled(free: Sequence[Any], held: Held) -> tuple[Any, ...]:
    """All inputs, from those that are free, in their order, and those that are held, by position."""
    others = iter(free)
    return tuple(held[i] if i in held else next(others) for i in range(len(free) + len(held)))


def positions_of(held: Any, inputs: Sequence[Any], names: Sequence[Sequence[str]]) -> frozenset[int]:
    """The positions of inputs given as positions or names, or one of them.

    Args:
        held: positions, negative ones from the end, or names.
        inputs: all inputs.
        names: those of the arguments of one side's forward, and of the other's.

    Raises:
        ValueError: there is no such input.
    """
    found = set()
    for each in held if isinstance(held, list | tuple | set | frozenset) else (held,):
        at = each
        if isinstance(each, str):
            at = next((known.index(each) for known in names if each in known), len(inputs))
        if not isinstance(at, int) or not -len(inputs) <= at < len(inputs):
            raise ValueError(
                f"check: held: there is no input {each!r}; expected positions below {len(inputs)}, or names "
                "of arguments of your forward"
            )
        found.add(at % len(inputs))
    return frozenset(found)


def precision_of(arrays: Sequence[Any]) -> np.dtype | None:
    """The finest dtype of the floating arrays among these; None if there is none."""
    floating = [x.real.dtype for x in arrays if isinstance(x, np.ndarray) and x.dtype.kind in "fc"]
    return np.result_type(*floating) if floating else None


def cast_held(value: Any, dtype: np.dtype | None) -> Any:
    """A held value, a floating array in this dtype."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "f" and dtype is not None:
        return value.astype(dtype)
    return value


def held_tensor(value: Any, dtype: torch.dtype) -> Any:
    """A held value, an array as a tensor, of this dtype if it is floating."""
    if not isinstance(value, np.ndarray):
        return value
    tensor = torch.from_numpy(np.array(value))
    return tensor.to(dtype) if tensor.is_floating_point() else tensor
