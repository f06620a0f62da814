"""Both sides of a check as modules with the same names and weights, in either precision."""

import copy
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from scratch import nn
from scratch.gradcheck import Objective
from scratch.nested import leaves, unflatten_as
from torch_ref.adapters import AgainstTarget, TorchAgainstTarget, adapt
from torch_ref.checker.kinks import Points, kinks, may_be_any_number, on_kinks
from torch_ref.twin.memory import torch_generator
from torch_ref.twin.mirror import reflect

_LOSSES = tuple(
    kind for kind in vars(torch.nn).values() if getattr(kind, "__module__", "") == "torch.nn.modules.loss"
)


class Sides:
    """Both sides as modules with the same names and weights."""

    def __init__(
        self, mine: Any, reference: Any, inputs: tuple[Any, ...], transposed: str | Sequence[str] = ()
    ) -> None:
        self.regular = self  # also of the copy that on_kinks makes: the sides on the inputs as given
        is_module = isinstance(reference, torch.nn.Module)
        twin = copy.deepcopy(reference) if is_module else _TorchFunction(reference)
        shapes = {name: tuple(p.shape) for name, p in twin.named_parameters()}
        buffers = {name: tuple(b.shape) for name, b in twin.named_buffers() if b.is_floating_point()}
        module = adapt(copy.deepcopy(mine), shapes, transposed, buffers)
        right = _reflection(reference if is_module else _namesake(reference))
        self.target = None
        if isinstance(reference, _LOSSES):
            names = list(inspect.signature(reference.forward).parameters)
            at = names.index("target") if "target" in names else None
            target, inputs = (None, inputs) if at is None else (inputs[at], inputs[:at] + inputs[at + 1 :])
            module, twin = AgainstTarget(module, target, at), TorchAgainstTarget(twin, target, at)
            right = None if right is None else AgainstTarget(right, target, at)
            self.target = target
        self.module, self.twin, self.inputs, self._right = module, twin, inputs, right

    def right(self, dtype: np.dtype) -> nn.Module | None:
        """Our own module of the kind of the reference, on its weights, if we have that kind."""
        if self._right is None:
            return None
        return copy.deepcopy(self._right).to(dtype).train(self.twin.training)

    def on_kinks(self, points: Points) -> "Sides":
        """The same, on numbers at which functions have kinks: inputs, and the target of a loss."""
        other = copy.copy(self)
        other.inputs = on_kinks(self.inputs, points)
        if self.target is not None and points is kinks and may_be_any_number(self.target, self.inputs[0]):
            # Equal to the input where that is 0, and nowhere else.
            other.target = -other.inputs[0]
            losses = copy.deepcopy((self.module, self.twin, self._right))
            for loss in losses:
                if isinstance(loss, AgainstTarget | TorchAgainstTarget):
                    loss.target = other.target
            other.module, other.twin, other._right = losses
        return other

    def cast(self, dtype: np.dtype, cotangent: Any = None) -> tuple[Objective, torch.nn.Module]:
        """The NumPy side's objective and the twin, in this dtype and on PyTorch's weights."""
        twin = copy.deepcopy(self.twin).to(getattr(torch, dtype.name))
        module = copy.deepcopy(self.module).to(dtype).train(twin.training)
        for (_, p), theirs in zip(module.named_parameters(), twin.parameters(), strict=True):
            p.data = theirs.detach().numpy()
        buffers = dict(twin.named_buffers())
        for name, buffer in module.named_buffers():
            if name in buffers:
                buffer[...] = buffers[name].numpy()
        with torch_generator(advance=False):
            return Objective(module, *_cast(self.inputs, dtype), cotangent=_cast(cotangent, dtype)), twin


def as_arrays(name: str, value: Any) -> Any:
    """Numbers and lists as arrays, nested in tuples as they are.

    Raises:
        TypeError: a tensor, or something else than numbers; ``name`` is that of the argument.
    """
    arrays = []
    for at, x in leaves(value):
        array = None if x is None else np.asarray(x)
        if isinstance(x, torch.Tensor) or (array is not None and array.dtype.kind not in "biufc"):
            which = f"{name} {at}".strip()
            raise TypeError(f"check: {which} is a {type(x).__name__}, expected a NumPy array of numbers")
        arrays.append(array)
    return unflatten_as(value, iter(arrays))


def _reflection(reference: torch.nn.Module | None) -> nn.Module | None:
    try:
        return None if reference is None else copy.deepcopy(reflect(copy.deepcopy(reference)))
    except (TypeError, ValueError):  # a kind that we do not have
        return None


def _namesake(function: Any) -> torch.nn.Module | None:
    """torch.nn.GELU() for torch.nn.functional.gelu: the module of that name, if it needs no arguments."""
    name = getattr(function, "__name__", "").replace("_", "")
    kinds = [kind for key, kind in vars(torch.nn).items() if key.lower() == name and isinstance(kind, type)]
    try:
        return kinds[0]() if kinds else None
    except TypeError:
        return None


def _cast(value: Any, dtype: np.dtype) -> Any:
    if value is None:
        return None
    arrays = (
        x if x is None or np.asarray(x).dtype.kind != "f" else np.asarray(x, dtype) for _, x in leaves(value)
    )
    return unflatten_as(value, arrays)


class _TorchFunction(torch.nn.Module):
    """A function of tensors."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Any) -> Any:
        return self.function(*inputs)
