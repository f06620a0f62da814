"""Both sides of a check as modules with the same names and weights, in either precision."""

import copy
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from scratch import nn
from scratch.copying import deep_copy
from scratch.grad_mode import no_grad
from scratch.gradcheck import Objective
from scratch.nested import leaves, unflatten_as
from torch_ref.adapters import (
    Given,
    Holding,
    TensorCode,
    TorchHolding,
    adapt,
    as_torch_reference,
    is_jax_function,
    jax_input_names,
    takes_tensors,
)
from torch_ref.adapters.calls import parameter_names
from torch_ref.adapters.flat import copied
from torch_ref.adapters.held import filled, positions_of
from torch_ref.adapters.layout import Reordered, TorchPicked, TorchReordered, orders_of
from torch_ref.adapters.messages import readings_of
from torch_ref.adapters.methods import as_object
from torch_ref.adapters.objects import Adapted
from torch_ref.adapters.pieces import Piece
from torch_ref.adapters.tensor_forms import input_names
from torch_ref.adapters.trial import unnoticed
from torch_ref.checker.kinks import Points, kinks, may_be_any_number, on_kinks
from torch_ref.checker.orientation import Orders, forwards_agree, other_orders, settle_gates
from torch_ref.twin.memory import torch_generator
from torch_ref.twin.mirror import reflect

_LOSSES = tuple(
    kind for kind in vars(torch.nn).values() if getattr(kind, "__module__", "") == "torch.nn.modules.loss"
)
# Of these, people's often return the first output alone, or the last state.
_SEVERAL_OUTPUTS = (torch.nn.RNNBase, torch.nn.LSTMCell, torch.nn.MultiheadAttention)


class Sides:
    """Both sides as modules with the same names and weights.

    Args:
        mine: what is checked; see adapt.
        reference: a torch module or a function of tensors or of JAX, or None.
        inputs: all inputs.
        transposed: see adapt.
        held: positions or names of inputs without a gradient.
        layout: "NHWC" where images have their channels last.
        columns: whether samples are columns.
    """

    def __init__(
        self,
        mine: Any,
        reference: Any,
        inputs: tuple[Any, ...],
        transposed: str | Sequence[str] = (),
        held: Any = (),
        layout: str | None = None,
        columns: bool = False,
    ) -> None:
        self.twin: torch.nn.Module | None
        inputs = tuple(tuple(x) if _is_list_of_arrays(x) else x for x in inputs)
        self.reference_decides = False  # also where the numeric derivative is another
        self.patience = 1.0  # see takes_too_long
        self.regular = self  # also of the copy that on_kinks makes: the sides on the inputs as given
        positions = positions_of(held, inputs, [_names_of_inputs(mine), _names_of_inputs(reference)])
        reference = as_torch_reference(reference)
        self.target_at = _target_of(reference)
        if self.target_at is not None:
            positions |= {self.target_at}
        positions = frozenset(i for i in positions if inputs[i] is not None)
        self.held = {i: _as_held(inputs[i], i == self.target_at) for i in sorted(positions)}
        self.inputs = as_arrays("input", tuple(x for i, x in enumerate(inputs) if i not in positions))
        everything = filled(self.inputs, self.held)
        orders = orders_of(layout, columns)
        if reference is None:
            self.module = adapt(_copied(mine), None, transposed, None, Given(everything, positions))
            self.twin, self._right = None, None
            self.readings = tuple(readings_of(self.module))
            return
        is_module = isinstance(reference, torch.nn.Module)
        twin = deep_copy(reference).cpu() if is_module else _TorchFunction(reference)
        shapes = {name: tuple(p.shape) for name, p in twin.named_parameters()}
        buffers = {name: tuple(b.shape) for name, b in twin.named_buffers() if b.is_floating_point()}
        given = Given(everything, positions, len(shapes))
        self._right = _reflection(reference if is_module else _namesake(reference))
        self.twin = TorchReordered(twin, orders) if orders else twin
        if orders and self._right is not None:
            self._right = Reordered(self._right, orders)
        self.module = adapt(_copied(mine), shapes, transposed, buffers, given)
        if isinstance(reference, _SEVERAL_OUTPUTS) and len(shape := _shapes_of(self.module, given)) == 1:
            self.twin, self._right = TorchPicked(self.twin, shape[0]), None
        if getattr(self.module, "doubtful", {}) and not forwards_agree(self):
            self._turn(lambda told: adapt(_copied(mine), shapes, told, buffers, given), bool(orders))
        self.readings = tuple(filter(None, (*readings_of(self.module), settle_gates(self, reference))))

    def _turn(self, adapted: Callable[[Orders], nn.Module], is_told: bool) -> None:
        """Store arrays whose shapes do not tell in the order in which the forwards agree, if there is one.

        Raises:
            ValueError: there is one, and nothing says that the order is another than PyTorch's: neither the
                layout, nor another array, whose shape tells.
        """
        as_it_is = self.module
        is_told = is_told or any(piece.axes for group in pieces_of(as_it_is) for piece in group)
        for told in other_orders(getattr(as_it_is, "doubtful", {})):
            self.module = adapted(told)
            if forwards_agree(self):
                if is_told:
                    return
                raise ValueError(_which_way(told))
        self.module = as_it_is

    def right(self, dtype: np.dtype) -> nn.Module | None:
        """Our own module of the kind of the reference, on its weights, if we have that kind."""
        if self._right is None or self.twin is None:
            return None
        module = deep_copy(self._right).to(dtype).train(self.twin.training)
        return Holding(module, self.held) if self.held else module

    def on_kinks(self, points: Points) -> "Sides":
        """The same, on numbers at which functions have kinks: inputs, and the target of a loss."""
        other = copy.copy(self)
        other.inputs = on_kinks(self.inputs, points)
        at = self.target_at
        if at is not None and points is kinks and may_be_any_number(self.held[at], self.inputs[0]):
            # Equal to the input where that is 0, and nowhere else.
            other.held = {**self.held, at: -other.inputs[0]}
        return other

    def cast(self, dtype: np.dtype, cotangent: Any = None) -> tuple[Objective, Any]:
        """The NumPy side's objective and the twin, in this dtype and on PyTorch's weights.

        Without a reference there is no twin, and the weights are your own.
        """
        if self.twin is None:
            module = deep_copy(self.module).to(dtype)
            if self.held:
                module = Holding(module, self.held)
            objective = Objective(module, *_cast(self.inputs, dtype), cotangent=_cast(cotangent, dtype))
            return _without_constant_outputs(objective, None), None
        twin = deep_copy(self.twin).to(getattr(torch, dtype.name))
        module = deep_copy(self.module).to(dtype).train(twin.training)
        for (_, p), theirs in zip(module.named_parameters(), twin.parameters(), strict=True):
            p.data = theirs.detach().numpy()
        buffers = dict(twin.named_buffers())
        for name, buffer in module.named_buffers():
            if name in buffers:
                buffer[...] = buffers[name].numpy()
        if self.held:
            module, twin = Holding(module, self.held), TorchHolding(twin, self.held)
        with torch_generator(advance=False):
            objective = Objective(module, *_cast(self.inputs, dtype), cotangent=_cast(cotangent, dtype))
        return _without_constant_outputs(objective, twin), twin


def _without_constant_outputs(objective: Objective, twin: torch.nn.Module | None) -> Objective:
    """The objective, of the outputs alone that one of the sides has a derivative for.

    A Function may mark an output as one that has none. Without a reference only a Function is believed: in a
    module or function it may be a mistake.
    """
    model, inputs = objective.model, objective.inputs
    code = model.inner if isinstance(model, Holding) else model
    inputs = model.everything(inputs) if isinstance(model, Holding) else inputs
    if not isinstance(code, TensorCode) or (twin is None and not code.is_function):
        return objective
    known = code.differentiates(inputs)
    if twin is not None:
        theirs = TensorCode(twin).differentiates(objective.inputs)
        known = [a or b for a, b in zip(known, theirs, strict=True)] if len(theirs) == len(known) else known
    if any(known) and not all(known):
        pairs = zip(known, leaves(objective.cotangent), strict=True)
        arrays = (c if has or c is None else np.zeros_like(c) for has, (_, c) in pairs)
        objective.cotangent = unflatten_as(objective.cotangent, arrays)
    return objective


def pieces_of(module: nn.Module) -> list[tuple[Piece, ...]]:
    """The parameters that each array of an adapted thing is made of."""
    return list(module.pieces.values()) if isinstance(module, Adapted) else []


def _shapes_of(module: nn.Module, given: Given) -> list[tuple[int, ...]]:
    """The shapes of the outputs."""
    with unnoticed(), no_grad():
        y = deep_copy(module)(*deep_copy(given.inputs))
    return [np.shape(each) for _, each in leaves(y)]


def _which_way(told: Orders) -> str:
    """The message for arrays that are stored in another order than their shapes seem to say."""
    names = ", ".join(told)
    only_matrices = all(axes == (1, 0) for axes in told.values())
    say = [*told] if only_matrices else told
    return (
        f"check: transposed: the shape of {names} does not tell which way round it is stored. As it stands "
        f"the forwards differ; transposed they agree. If yours is stored so, say transposed={say}; if not, "
        "your forward uses it transposed"
    )


def _is_list_of_arrays(value: Any) -> bool:
    """Whether it is a list of several inputs, as layers take that add or join them; not of rows."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(np.ndim(x) > 1 for x in value)
        and (all(isinstance(x, np.ndarray) for x in value))
    )


def _as_held(value: Any, is_target: bool) -> Any:
    """A held input: lists as arrays, numbers, texts and all else as they are.

    Raises:
        TypeError: a tensor.
    """
    is_array = is_target or isinstance(value, list | np.ndarray | torch.Tensor)
    return as_arrays("held input", value) if is_array else value


def _target_of(reference: Any) -> int | None:
    """The position of the target of a loss of torch.nn, which is held; None for anything else."""
    if not isinstance(reference, _LOSSES):
        return None
    names = list(inspect.signature(reference.forward).parameters)
    return names.index("target") if "target" in names else None


def _copied(mine: Any) -> Any:
    """A copy, but of an operator of torch or a function of JAX, which cannot be copied."""
    return mine if takes_tensors(mine) or is_jax_function(mine) else copied(mine)


def _names_of_inputs(thing: Any) -> list[str]:
    """The names of the arguments of its forward."""
    if isinstance(thing, torch.nn.Module):
        return parameter_names(thing.forward)
    if is_jax_function(thing):
        return jax_input_names(thing)
    if takes_tensors(thing) or inspect.isroutine(thing):
        return input_names(thing)
    found = as_object(thing)
    return [] if found is None else parameter_names(getattr(found[0], found[1][0]))


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
        return None if reference is None else deep_copy(reflect(deep_copy(reference)))
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
