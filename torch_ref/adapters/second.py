"""The gradients of code of tensors as code of tensors: what a second derivative is the derivative of."""

from collections.abc import Collection
from typing import Any

import torch

from scratch.nested import leaves
from torch_ref.adapters.tensor_forms import as_function
from torch_ref.adapters.torch_functions import Shared, as_tuples


class GradientOf(torch.nn.Module):
    """forward(*inputs, *dy): the gradients of ``thing`` by its floating inputs and its parameters.

    Args:
        thing: a function of tensors, an autograd.Function or a module.
        inputs: how many inputs it has; what follows them is dy, one for each output that has a gradient.
        held: the positions of inputs without a gradient.
    """

    def __init__(self, thing: Any, inputs: int, held: Collection[int] = ()) -> None:
        super().__init__()
        self.module: Any = thing if isinstance(thing, torch.nn.Module) else Shared(as_function(thing))
        self.inputs, self.held = inputs, held

    def forward(self, *given: Any) -> tuple[torch.Tensor, ...]:
        """The gradients, which can be differentiated again if backward allows it; 0 where there is none."""
        with torch.enable_grad():
            inputs = tuple(x if i in self.held else _requiring(x) for i, x in enumerate(given[: self.inputs]))
            y = [each for _, each in leaves(as_tuples(self.module(*inputs))) if each.requires_grad]
            free = [x for i, x in enumerate(inputs) if i not in self.held and x is not None]
            by = [x for x in free if x.is_floating_point()] + [*self.parameters()]
            found = torch.autograd.grad(y, by, given[self.inputs :], create_graph=True, allow_unused=True)
        return tuple(torch.zeros_like(x) if g is None else g for x, g in zip(by, found, strict=True))


def _requiring(x: Any) -> Any:
    if x is None or not x.is_floating_point() or x.requires_grad:
        return x
    return x.detach().requires_grad_()
