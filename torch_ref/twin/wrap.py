"""as_torch(module): a NumPy module inside torch's autograd, on the same memory.

The other direction of ``mirror``: not torch's own layer in the place of ours, but ours in the place of
torch's. So a network can be part NumPy, part torch, be trained by torch's optimizers, and be judged by
``torch.autograd.gradcheck``, a referee that shares no code with ours.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import torch

from scratch import nn
from scratch.nested import leaves, unflatten_as
from torch_ref.twin.memory import tensor, torch_generator


def as_torch(module: nn.Module) -> torch.nn.Module:
    """A torch.nn.Module whose forward and backward are those of ``module``.

    Parameters and buffers are views on the same memory, under the same names, and held from now on. Gradients
    go to torch's side; ``module``'s own stay as they are. What is random is drawn from torch's generator.
    train and eval reach ``module``. Forwards and backwards may come in any order and number, as torch allows:
    what forward keeps, by ``save`` or in an attribute that it assigns, is kept for each forward by itself.

    Args:
        module: any scratch Module in float32 or float64.

    Raises:
        TypeError: module is none; a parameter's dtype is not torch's; or, from forward, an input is not on
            the CPU.
        RuntimeError: from backward, a derivative of a derivative is asked for.
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"as_torch: module is {type(module).__name__}, expected a Module of scratch.nn")
    return _Wrapped(module)


class _Wrapped(torch.nn.Module):
    """``wrapped``, seen from torch."""

    def __init__(self, wrapped: nn.Module) -> None:
        super().__init__()
        shared = {
            id(p): torch.nn.Parameter(tensor(name, p.data), p.requires_grad)
            for name, p in wrapped.named_parameters()
        }
        for p in wrapped.parameters():
            p.held = True
        self.wrapped = wrapped
        _grow(self, wrapped, shared)

    def train(self, mode: bool = True) -> "_Wrapped":
        """Switch both."""
        self.wrapped.train(mode)
        return super().train(mode)

    def forward(self, *inputs: Any) -> Any:
        """The NumPy module's outputs, as tensors."""
        for i, (_, x) in enumerate(leaves(inputs)):
            if x is not None and (not isinstance(x, torch.Tensor) or x.device.type != "cpu"):
                where = f"a tensor on {x.device}" if isinstance(x, torch.Tensor) else f"a {type(x).__name__}"
                raise TypeError(f"as_torch: input {i} is {where}, expected a tensor on the CPU")
        call = _Call(self.wrapped, inputs)
        names = (name for name, _ in self.wrapped.named_parameters())
        outputs = _Function.apply(call, *call.tensors, *(_attribute(self, name) for name in names))
        return unflatten_as(call.output, iter(outputs))

    def __repr__(self) -> str:
        return f"as_torch({self.wrapped!r})"


def _grow(place: torch.nn.Module, module: nn.Module, shared: dict[int, torch.nn.Parameter]) -> None:
    """Register the parameters and buffers of ``module`` in ``place``, and its children's below that."""
    for name, p in module.named_parameters(recurse=False):
        place.register_parameter(name, shared[id(p)])
    for name, buffer in module.named_buffers(recurse=False):
        place.register_buffer(name, tensor(name, buffer))
    for name, child in module.named_children():
        place.add_module(name, torch.nn.Module())
        _grow(place.get_submodule(name), child, shared)
    place.training = module.training


def _attribute(place: Any, name: str) -> Any:
    """The parameter of this dotted name, or what torch.func.functional_call has put there."""
    for part in name.split("."):
        place = getattr(place, part)
    return place


class _Call:
    """One forward of a NumPy module: its inputs, its output, and the state that backward will need."""

    def __init__(self, module: nn.Module, inputs: Any) -> None:
        self.module, self.inputs = module, inputs
        self.tensors = [x for _, x in leaves(inputs)]
        self.kept: list[tuple[Any, dict[str, Any]]] = []
        self.output: Any = None

    def forward(self, arrays: list[Any], weights: list[Any]) -> list[Any]:
        """The outputs."""
        with _weights(self.module, weights), torch_generator():
            objects = list(_objects(self.module, set()))
            waiting = [(each, each.swap_saved([])) for each in objects if isinstance(each, nn.Module)]
            try:
                self.output = self.module(*unflatten_as(self.inputs, iter(arrays)))
            finally:
                self.kept = [(each, dict(vars(each))) for each in objects]
                for module, earlier in waiting:
                    module.swap_saved(earlier)
        return [y for _, y in leaves(self.output)]

    def backward(self, dy: list[Any], weights: list[Any]) -> tuple[list[Any], list[Any]]:
        """The gradients by the inputs and by the parameters."""
        parameters = list(self.module.parameters())
        waiting = [(each, dict(vars(each))) for each, _ in self.kept]
        before = [None if p.grad is None else p.grad.copy() for p in parameters]
        for each, kept in self.kept:
            vars(each).update(kept)
            if isinstance(each, nn.Module):
                each.swap_saved([*each.swap_saved([])])  # a copy, for another backward of this forward
        try:
            with _weights(self.module, weights):
                for p in parameters:
                    p.grad = None
                nested = unflatten_as(self.output, iter(dy))
                dx = self.module.backward(*(nested if isinstance(nested, tuple) else (nested,)))
                dw = [None if p.grad is None else p.grad.copy() for p in parameters]
        finally:
            for each, latest in waiting:
                vars(each).update(latest)
            for p, grad in zip(parameters, before, strict=True):
                p.grad = grad
        return [g for _, g in leaves((dx,) if len(self.inputs) == 1 else dx)], dw


class _Function(torch.autograd.Function):
    """The call, as torch's autograd sees it."""

    @staticmethod
    def forward(ctx: Any, call: _Call, *tensors: Any) -> tuple[Any, ...]:
        # Saved, so that torch notices when one of them is changed between forward and backward.
        ctx.call, ctx.count = call, len(call.tensors)
        ctx.save_for_backward(*tensors[ctx.count :])
        arrays = [None if t is None else t.detach().numpy() for t in tensors]
        outputs = call.forward(arrays[: ctx.count], arrays[ctx.count :])
        # A copy where the output is an input (Identity, Flatten): torch has to know of views.
        known = [a for a in arrays if a is not None]
        results = [
            torch.from_numpy(y.copy() if any(np.may_share_memory(y, a) for a in known) else np.asarray(y))
            for y in outputs
        ]
        ctx.mark_non_differentiable(*(y for y in results if not y.is_floating_point()))
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, *dy: Any) -> tuple[Any, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                f"as_torch: the backward of {ctx.call.module} is NumPy's, which torch cannot differentiate "
                "again: create_graph=True is not to be had"
            )
        weights = [t.detach().numpy() for t in ctx.saved_tensors]
        dx, dw = ctx.call.backward([None if g is None else g.numpy() for g in dy], weights)
        return None, *(None if g is None else torch.from_numpy(np.asarray(g)) for g in (*dx, *dw))


def _objects(value: Any, known: set[int]) -> Iterator[Any]:
    """A module and all objects with attributes that it holds, Modules or not."""
    if id(value) in known or isinstance(value, type | ModuleType | nn.Parameter):
        return
    known.add(id(value))
    attributes = getattr(value, "__dict__", None)
    if attributes is not None:
        yield value
        value = attributes
    held = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    for each in list(held):
        yield from _objects(each, known)


@contextmanager
def _weights(module: nn.Module, weights: list[Any]) -> Iterator[None]:
    """Within, the parameters have these values; as a rule they do already, being the same memory."""
    pairs = list(zip(module.parameters(), weights, strict=True))
    other = [(p, w, p.data.copy()) for p, w in pairs if not np.may_share_memory(p.data, w)]
    for p, w, _ in other:
        p.data = w
    try:
        yield
    finally:
        for p, _, before in other:
            p.data = before
