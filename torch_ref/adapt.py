"""adapt(thing): whatever has a forward and a backward, as a module that everything here can work with.

People write layers in many ways. What is understood:

* a module of scratch.nn;
* a pair of functions, forward(*inputs) and backward(dy, *inputs);
* an object with forward(*inputs) and backward(dy), and its parameters in one of these forms:
    - named_parameters() or parameters(), of objects with ``data`` and ``grad``;
    - the lists ``params`` and ``grads``, as the layers of the book's second volume have them, or dicts;
    - arrays such as ``W`` beside their gradients ``dW``, ``d_W``, ``W_grad`` or ``grad_W``, as in its first.
      Those need not be there before the first backward, if the code of the class names them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scratch import nn
from scratch.nn.parameter import lay_out

Shapes = Mapping[str, tuple[int, ...]]


def adapt(thing: Any, shapes: Shapes | None = None, transposed: Sequence[str] = ()) -> nn.Module:
    """The module that computes what ``thing`` computes.

    Args:
        thing: see above. An object is used, and changed, as its own forward and backward change it.
        shapes: names and shapes of the parameters on the other side. Ours take these names: by name if all
            are the same, else in order.
        transposed: those that are stored the other way round than on the other side, by our names.

    Raises:
        TypeError: it has no forward and backward, or parameters in no form that is understood.
        ValueError: the parameters are not as many as ``shapes``, or of other shapes.
    """
    slots: dict[str, Any]
    if isinstance(thing, tuple) and len(thing) == 2 and all(map(callable, thing)):
        module: Any = _Functions(*thing)
        slots = {}
    elif isinstance(thing, nn.Module):
        slots = dict(thing.named_parameters())
        module = _Renamed(thing)
    elif all(callable(getattr(thing, name, None)) for name in ("forward", "backward")):
        slots = dict(_slots(thing))
        module = _Adapted(thing)
    else:
        raise TypeError(
            f"adapt: {type(thing).__name__} has no forward and backward; wanted an object that has both, "
            "or a pair of functions, forward(*inputs) and backward(dy, *inputs)"
        )
    if unknown := sorted(set(transposed) - set(slots)):
        raise ValueError(f"transposed: there is no parameter {unknown}; there are {list(slots)}")
    if isinstance(thing, nn.Module) and (shapes is None or list(shapes) == list(slots)) and not transposed:
        _check(slots, dict(zip(slots, slots, strict=True)), shapes or {}, transposed)
        return thing
    names = _names(slots, shapes, transposed)
    for own, slot in slots.items():
        module.take(names[own], slot, own in transposed)
    lay_out(module.parameters())
    return module


def _names(slots: Mapping[str, Any], shapes: Shapes | None, transposed: Sequence[str]) -> dict[str, str]:
    """Our names to theirs."""
    if shapes is None:
        return {own: own for own in slots}
    if len(slots) != len(shapes):
        raise ValueError(
            f"adapt: yours has {len(slots)} parameters, {_told(slots)}; the reference has {len(shapes)}, "
            + (", ".join(f"{name} {shape}" for name, shape in shapes.items()) or "none")
            + ". A parameter is an array beside its gradient, W and dW; or in params and grads; "
            "or an object with data and grad that parameters() gives"
        )
    names = (
        {own: own for own in slots} if set(slots) == set(shapes) else dict(zip(slots, shapes, strict=True))
    )
    _check(slots, names, shapes, transposed)
    return names


def _check(
    slots: Mapping[str, Any], names: dict[str, str], shapes: Shapes, transposed: Sequence[str]
) -> None:
    for own, slot in slots.items():
        shape, wanted = np.shape(slot.data), shapes.get(names[own], np.shape(slot.data))
        if own in transposed:
            shape = shape[::-1]
        if shape != wanted:
            hint = f"; if it is stored the other way round, say transposed=[{own!r}]" * (
                shape[::-1] == wanted
            )
            raise ValueError(
                f"adapt: your {own} has shape {shape}, the reference's {names[own]} {wanted}{hint}"
            )


def _told(slots: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {np.shape(slot.data)}" for name, slot in slots.items()) or "none"


# ---- where an object keeps a parameter and its gradient


@dataclass
class _Attribute:
    """``thing.W`` and ``thing.dW``."""

    thing: Any
    name: str
    grad_name: str

    @property
    def data(self) -> Any:
        return getattr(self.thing, self.name)

    @data.setter
    def data(self, value: np.ndarray) -> None:
        setattr(self.thing, self.name, value)

    @property
    def grad(self) -> Any:
        return getattr(self.thing, self.grad_name, None)

    @grad.setter
    def grad(self, value: Any) -> None:
        setattr(self.thing, self.grad_name, value)


@dataclass
class _Item:
    """``thing.params[key]`` and ``thing.grads[key]``, two lists or two dicts."""

    thing: Any
    key: Any

    @property
    def data(self) -> Any:
        return self.thing.params[self.key]

    @data.setter
    def data(self, value: np.ndarray) -> None:
        self.thing.params[self.key] = value

    @property
    def grad(self) -> Any:
        grads = self.thing.grads
        return grads.get(self.key) if isinstance(grads, dict) else grads[self.key]

    @grad.setter
    def grad(self, value: Any) -> None:
        self.thing.grads[self.key] = value


def _slots(thing: Any) -> Iterator[tuple[str, Any]]:
    """What holds ``data`` and ``grad`` of each parameter, by name."""
    if callable(getattr(thing, "named_parameters", None)):
        yield from thing.named_parameters()
    elif callable(getattr(thing, "parameters", None)):
        held = {id(value): name for name, value in vars(thing).items()}
        for i, p in enumerate(thing.parameters()):
            if not hasattr(p, "data") or not hasattr(p, "grad"):
                raise TypeError(
                    f"adapt: parameters() gives {type(p).__name__}, wanted objects with data and grad"
                )
            yield held.get(id(p), str(i)), p
    elif all(isinstance(getattr(thing, name, None), list) for name in ("params", "grads")):
        for i in range(len(thing.params)):
            yield f"params[{i}]", _Item(thing, i)
    elif all(isinstance(getattr(thing, name, None), dict) for name in ("params", "grads")):
        for key in thing.params:
            yield str(key), _Item(thing, key)
    else:
        known = {*dir(thing), *_named_in_code(type(thing))}
        for name, value in vars(thing).items():
            if isinstance(value, np.ndarray) and value.dtype.kind == "f":
                for grad_name in (f"d{name}", f"d_{name}", f"{name}_grad", f"grad_{name}"):
                    if grad_name in known:
                        yield name, _Attribute(thing, name, grad_name)
                        break


def _named_in_code(kind: type) -> Iterator[str]:
    """The names of attributes, and of globals, in the methods of a class."""
    for each in kind.__mro__:
        for method in vars(each).values():
            if code := getattr(method, "__code__", None):
                yield from code.co_names


# ---- the modules


class _Functions(nn.Module):
    """A pair of functions."""

    def __init__(self, forward: Callable[..., Any], backward: Callable[..., Any]) -> None:
        self.functions = forward, backward

    def forward(self, *inputs: Any) -> Any:
        self.save(*inputs)
        return _arrays(self.functions[0](*inputs))

    def backward(self, *dy: Any, needs_input_grad: bool = True) -> Any:
        return self.functions[1](*dy, *self.saved())


class _Renamed(nn.Module):
    """A module, its parameters under other names."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def take(self, name: str, p: nn.Parameter, transposed: bool) -> None:
        """Call ``p`` by this name."""
        if transposed:
            raise ValueError("transposed: a module of scratch.nn stores its parameters as torch does")
        setattr(self, name, p)

    def forward(self, *inputs: Any) -> Any:
        return self.module(*inputs)

    def backward(self, *dy: Any, needs_input_grad: bool = True) -> Any:
        return self.module.backward(*dy)


class _Adapted(nn.Module):
    """An object that is no Module. Its parameters are written into it before each forward."""

    def __init__(self, thing: Any) -> None:
        self.thing = thing
        self.slots: dict[str, tuple[Any, bool]] = {}

    def take(self, name: str, slot: Any, transposed: bool) -> None:
        """Make what the slot holds a parameter of this name."""
        data = np.asarray(slot.data)
        setattr(self, name, nn.Parameter((data.T if transposed else data).copy()))
        self.slots[name] = slot, transposed

    def forward(self, *inputs: Any) -> Any:
        for name, (slot, transposed) in self.slots.items():
            data = getattr(self, name).data
            slot.data = data.T if transposed else data
        return _arrays(self.thing.forward(*inputs))

    def backward(self, *dy: Any, needs_input_grad: bool = True) -> Any:
        for slot, _ in self.slots.values():
            slot.grad = np.zeros_like(slot.data) if isinstance(slot.grad, np.ndarray) else None
        dx = self.thing.backward(*dy)
        for name, (slot, transposed) in self.slots.items():
            p = getattr(self, name)
            p.data = np.transpose(slot.data) if transposed else slot.data  # a step may have been taken
            if slot.grad is None:
                continue
            grad = np.asarray(slot.grad)
            grad = grad.T if transposed else grad
            if grad.shape != p.shape:
                raise ValueError(_misshapen(name, grad.shape, p.shape))
            p.grad = grad if p.grad is None else p.grad + grad
        return dx

    def __repr__(self) -> str:
        return type(self.thing).__name__


class AgainstTarget(nn.Module):
    """A loss whose target is held: a module of its other inputs.

    Args:
        loss_fn: a loss of several inputs.
        target: what is held.
        at: which of the inputs it is; None holds nothing.
    """

    def __init__(self, loss_fn: nn.Module, target: Any, at: int | None) -> None:
        self.loss_fn, self.target, self.at = loss_fn, target, at

    def forward(self, *inputs: np.ndarray) -> np.ndarray:
        """The loss, the target in the precision of the inputs."""
        if self.at is None:
            return np.asanyarray(self.loss_fn(*inputs))
        target = self.target
        if target.dtype.kind == "f":
            target = target.astype(inputs[0].real.dtype)
        return np.asanyarray(self.loss_fn(*inputs[: self.at], target, *inputs[self.at :]))

    def backward(self, dy: Any, needs_input_grad: bool = True) -> Any:
        """By each input that is not held."""
        dx = self.loss_fn.backward(dy)
        if not isinstance(dx, tuple):
            return dx
        others = tuple(g for i, g in enumerate(dx) if i != self.at)
        return others if len(others) > 1 else others[0]


def _misshapen(name: str, shape: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    told = f"the gradient of {name} has shape {shape}, wanted {wanted}"
    longer = len(shape) - len(wanted)
    return told + "; sum it over the samples" if longer > 0 and shape[longer:] == wanted else told


def _arrays(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return tuple(_arrays(each) for each in value)
    return value if isinstance(value, np.ndarray) else np.asarray(value)
