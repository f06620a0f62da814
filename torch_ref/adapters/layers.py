"""adapt(thing): whatever has a forward and a backward, as a module that everything here can work with.

People write layers in many ways. What is understood:

* a module of scratch.nn;
* a pair of functions, forward(*inputs) and backward(dy, *inputs); or, where forward returns (y, cache),
  backward(dy, cache);
* an object with forward(*inputs), or __call__, and backward(dy), and its parameters in one of these forms:
    - named_parameters() or parameters(), of objects with ``data`` and ``grad``;
    - ``params`` and ``grads``, as the layers of the book's second volume have them: lists, or dicts, where
      the gradient of ``W`` is called ``W`` or ``dW``;
    - arrays such as ``W`` beside their gradients ``dW``, ``d_W``, ``W_grad`` or ``grad_W``, as in its first.
      Those need not be there before the first backward, if the code of the class names them;
    - all of these in the objects that it keeps, such as the layers of a network.

An array may be kept in several places, as ``W`` and as ``params[0]``: it is written into all of them.
"""

import dis
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import torch

from scratch import nn
from scratch.nn.parameter import lay_out
from torch_ref.adapters.paths import ABSENT, Path, entries, get, put, walk

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]


def adapt(
    thing: Any,
    shapes: Shapes | None = None,
    transposed: str | Sequence[str] = (),
    buffers: Shapes | None = None,
) -> nn.Module:
    """The module that computes what ``thing`` computes.

    Args:
        thing: see above. An object is used, and changed, as its own forward and backward change it.
        shapes: names and shapes of the parameters on the other side. Ours take these names: by name if all
            are the same, else in order, or by shape where that leaves no choice. Axes of length 1 do not
            count.
        transposed: those that are stored the other way round than on the other side, by our names.
        buffers: names and shapes of the floating buffers on the other side. An array of that name (behind
            the last dot) and shape that ``thing`` keeps becomes that buffer.

    Raises:
        TypeError: it is a class, has no forward and backward, or parameters in no form that is understood.
        ValueError: the parameters are not as many as ``shapes``, or of other shapes.
    """
    if isinstance(transposed, str):
        transposed = (transposed,)
    slots: dict[str, Any]
    module: Any
    if not isinstance(transposed, Collection):
        raise TypeError(f"transposed is {transposed!r}, wanted names of parameters")
    if isinstance(thing, type):
        raise TypeError(
            f"adapt: {thing.__name__} is a class, wanted an object made of it, {thing.__name__}(…)"
        )
    if isinstance(thing, tuple) and len(thing) == 2 and all(map(callable, thing)):
        module = _Functions(*thing)
        slots = {}
    elif isinstance(thing, nn.Module):
        slots = dict(thing.named_parameters())
        module = _Renamed(thing)
    elif callable(getattr(thing, "backward", None)) and callable(getattr(thing, "forward", thing)):
        root = [thing]
        slots = dict(_slots(root, (0,), set()))
        module = _Adapted(root)
    else:
        raise TypeError(
            f"adapt: {type(thing).__name__} has no forward and backward; wanted an object that has both, "
            "or a pair of functions, forward(*inputs) and backward(dy, *inputs)"
        )
    if unknown := sorted(set(transposed) - set(slots)):
        raise ValueError(f"transposed: there is no parameter {unknown}; there are {list(slots)}")
    names = _names(slots, shapes, transposed)
    places = {} if isinstance(module, _Functions) else _buffers(module.root, buffers or {})
    same = list(names) == list(names.values()) == list(slots) and not transposed
    if isinstance(thing, nn.Module) and same and places.keys() <= dict(thing.named_buffers()).keys():
        return thing
    for own, name in names.items():
        module.take(name, slots[own], own in transposed, (shapes or {}).get(name))
    for name, path in places.items():
        module.hold(name, path, (buffers or {})[name])
    lay_out(module.parameters())
    return module


# ---- which of our parameters is which of theirs


def _names(slots: Mapping[str, Any], shapes: Shapes | None, transposed: Sequence[str]) -> dict[str, str]:
    """Our names to theirs."""
    if shapes is None:
        return {own: own for own in slots}
    kept = slots
    if len(slots) > len(shapes):
        kept = {own: slot for own, slot in slots.items() if not getattr(slot, "assigned_by_forward", False)}
    if len(kept) != len(shapes):
        raise ValueError(
            f"adapt: yours has {len(slots)} parameters, {_told(slots)}; the reference has {len(shapes)}, "
            + (", ".join(f"{name} {shape}" for name, shape in shapes.items()) or "none")
            + ". A parameter is an array beside its gradient, W and dW; or in params and grads; "
            "or an object with data and grad that parameters() gives; here or in an object that is kept here"
        )
    ours = {own: _sizes(np.shape(slot.data)) for own, slot in kept.items()}
    by_sizes = {_sizes(shape): name for name, shape in shapes.items()}
    if set(ours) == set(shapes):
        names = {own: own for own in ours}
    elif len(by_sizes) == len(shapes) and set(ours.values()) == set(by_sizes):
        names = {own: by_sizes[sizes] for own, sizes in ours.items()}
    else:
        names = dict(zip(ours, shapes, strict=True))
    for own, name in names.items():
        _check(own, kept[own], name, shapes[name], own in transposed)
    order = list(shapes)
    return dict(sorted(names.items(), key=lambda pair: order.index(pair[1])))


def _sizes(shape: Shape) -> Shape:
    """The lengths of the axes that are not 1, whichever way round."""
    return tuple(sorted(_long(shape)))


def _long(shape: Shape) -> Shape:
    return tuple(n for n in shape if n != 1)


def _check(own: str, slot: Any, name: str, wanted: Shape, transposed: bool) -> None:
    shape = np.shape(slot.data)
    turned = shape[::-1] if transposed else shape
    if turned == wanted or (_long(turned) == _long(wanted) and not isinstance(slot, nn.Parameter)):
        return
    hint = ""
    if transposed and _long(shape) == _long(wanted):
        hint = f"; it is not stored the other way round, so leave {own!r} out of transposed"
    elif not isinstance(slot, nn.Parameter) and len(shape) == 2 and shape[::-1] == wanted:
        hint = f"; if it is stored the other way round, say transposed=[{own!r}]"
    raise ValueError(f"adapt: your {own} has shape {shape}, the reference's {name} {wanted}{hint}")


def _told(slots: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {np.shape(slot.data)}" for name, slot in slots.items()) or "none"


@dataclass
class _Slot:
    """A parameter's ``data``, and its ``grad``: what is at the first of some paths that lead to something."""

    root: Any
    path: Path
    grad_paths: tuple[Path, ...]
    assigned_by_forward: bool = False

    @property
    def data(self) -> Any:
        return get(self.root, self.path)

    @property
    def grad(self) -> Any:
        found = (get(self.root, path) for path in self.grad_paths)
        return next((grad for grad in found if grad is not ABSENT), ABSENT)


def _slots(root: list[Any], path: Path, seen: set[int]) -> Iterator[tuple[str, _Slot]]:
    """The parameters of the object that is there, and of those that it keeps, by name.

    Parameters that are objects of their own are appended to ``root``, so that a path leads to them.
    """
    thing = get(root, path)
    if id(thing) in seen or isinstance(thing, type | ModuleType | torch.nn.Module):
        return
    seen.add(id(thing))
    params, grads = getattr(thing, "params", None), getattr(thing, "grads", None)
    if (named := _parameter_objects(thing)) is not None:
        for name, p in named:
            at = (len(root),)
            root.append(p)
            yield _name(*path, name), _Slot(root, (*at, "data"), ((*at, "grad"),))
    elif isinstance(params, list | tuple) and isinstance(grads, list | tuple):
        for i in range(len(params)):
            at = (*path, "params", i)
            yield _name(*at), _Slot(root, at, ((*path, "grads", i),))
    elif isinstance(params, dict) and isinstance(grads, dict):
        for key in params:
            grad_paths = tuple((*path, "grads", name) for name in (key, *_grad_names(key)))
            yield _name(*path, key), _Slot(root, (*path, "params", key), grad_paths)
    else:
        known = {*dir(thing), *_named_in_code(type(thing))}
        assigned = set(_assigned_by_forward(type(thing)))
        for key, value in entries(thing):
            at = (*path, key)
            if not isinstance(value, np.ndarray):
                yield from _slots(root, at, seen)
            elif value.dtype.kind == "f" and (names := [n for n in _grad_names(key) if n in known]):
                yield _name(*at), _Slot(root, at, ((*path, names[0]),), key in assigned)


def _name(_: int, *path: Any) -> str:
    """The path as code has it, from the object on that is adapted."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).removeprefix(".")


def _grad_names(name: Any) -> tuple[str, ...]:
    return f"d{name}", f"d_{name}", f"{name}_grad", f"grad_{name}"


def _parameter_objects(thing: Any) -> list[tuple[str, Any]] | None:
    """What named_parameters() or parameters() gives, if there is one of them."""
    if callable(getattr(thing, "named_parameters", None)):
        return list(thing.named_parameters())
    if not callable(getattr(thing, "parameters", None)):
        return None
    names = {id(value): name for name, value in entries(thing)}
    found = [(str(names.get(id(p), i)), p) for i, p in enumerate(thing.parameters())]
    for _, p in found:
        if not hasattr(p, "data") or not hasattr(p, "grad"):
            raise TypeError(
                f"adapt: parameters() gives {type(p).__name__}, wanted objects with data and grad"
            )
    return found


def _named_in_code(kind: type) -> Iterator[str]:
    """The names of attributes, and of globals, in the methods of a class."""
    for each in kind.__mro__:
        for method in vars(each).values():
            if code := getattr(method, "__code__", None):
                yield from code.co_names


def _assigned_by_forward(kind: type) -> Iterator[str]:
    """The names of the attributes that forward assigns: what backward will need, rather than parameters."""
    for each in kind.__mro__:
        for method in (vars(each).get("forward"), vars(each).get("__call__")):
            if code := getattr(method, "__code__", None):
                yield from (i.argval for i in dis.get_instructions(code) if i.opname == "STORE_ATTR")


def _buffers(root: Any, shapes: Shapes) -> dict[str, Path]:
    """Where the arrays are that have the names, behind the last dot, and the shapes of these buffers."""
    found: dict[str, Path] = {}
    arrays = [(path, value) for path, value in walk(root) if isinstance(value, np.ndarray)] if shapes else []
    for name, shape in shapes.items():
        for path, value in arrays:
            fits = path[-1] == name.rpartition(".")[2] and _long(value.shape) == _long(shape)
            if fits and path not in found.values():
                found[name] = path
                break
    return found


# ---- the modules


class _Functions(nn.Module):
    """A pair of functions."""

    def __init__(self, forward: Callable[..., Any], backward: Callable[..., Any]) -> None:
        self.functions = forward, backward

    def forward(self, *inputs: Any) -> Any:
        forward, backward = self.functions
        y, kept = forward(*inputs), inputs
        if isinstance(y, tuple) and _takes(backward, len(y)) and not _takes(backward, len(y) + len(inputs)):
            *outputs, cache = y
            y, kept = outputs[0] if len(outputs) == 1 else tuple(outputs), (cache,)
        self.save(*kept)
        return _arrays(y)

    def backward(self, *dy: Any, needs_input_grad: bool = True) -> Any:
        given = *dy, *self.saved()
        _demand(
            self.functions[1], given, "dy and the inputs; or dy and cache, where forward returns y, cache"
        )
        return _gradients(self.functions[1](*given))


class _Object(nn.Module):
    """An object, or a module, whose buffers are written into it before each forward, and read after it."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self.buffer_places: dict[str, tuple[Path, Shape]] = {}

    def hold(self, name: str, path: Path, shape: Shape) -> None:
        """Make the array that is there a buffer of this name and shape."""
        array = get(self.root, path)
        self.register_buffer(name, array.reshape(shape).copy())
        self.buffer_places[name] = path, array.shape

    def with_buffers(self, forward: Callable[..., Any], inputs: tuple[Any, ...]) -> Any:
        """forward(*inputs), which may change them."""
        for name, (path, own) in self.buffer_places.items():
            put(self.root, path, getattr(self, name).reshape(own))
        y = forward(*inputs)
        for name, (path, _) in self.buffer_places.items():
            array = np.asarray(get(self.root, path))
            shape = getattr(self, name).shape
            if _long(array.shape) != _long(shape):
                raise ValueError(f"adapt: after forward, {name} has shape {array.shape}, wanted {shape}")
            setattr(self, name, array.reshape(shape))
        return y


class _Renamed(_Object):
    """A module, its parameters and buffers under other names."""

    def take(self, name: str, p: nn.Parameter, transposed: bool, shape: Shape | None) -> None:
        """Call ``p`` by this name."""
        if transposed:
            raise ValueError("transposed: a module of scratch.nn stores its parameters as torch does")
        setattr(self, name, p)

    def forward(self, *inputs: Any) -> Any:
        return self.with_buffers(self.root, inputs)

    def backward(self, *dy: Any, needs_input_grad: bool = True) -> Any:
        return self.root.backward(*dy)


class _Adapted(_Object):
    """An object that is no Module. Its parameters are written into it before each forward.

    ``root`` is a list of it and of the objects that are its parameters.
    """

    def __init__(self, root: list[Any]) -> None:
        super().__init__(root)
        kinds = np.ndarray | float | int | None
        self.start = {path: value for path, value in walk(root) if isinstance(value, kinds)}
        self.taken: dict[str, tuple[_Slot, list[Path], bool]] = {}

    def take(self, name: str, slot: _Slot, transposed: bool, shape: Shape | None) -> None:
        """Make what the slot holds a parameter of this name and shape."""
        array = slot.data
        data = np.transpose(array) if transposed else np.asarray(array)
        setattr(self, name, nn.Parameter(data.reshape(data.shape if shape is None else shape).copy()))
        is_array = isinstance(array, np.ndarray)
        places = [path for path, value in walk(self.root) if is_array and value is array]
        self.taken[name] = slot, places or [slot.path], transposed

    def forward(self, *inputs: Any) -> Any:
        for name, (slot, places, transposed) in self.taken.items():
            data, own = getattr(self, name).data, np.shape(slot.data)
            data = data.reshape(own[::-1]).T if transposed else data.reshape(own)
            for path in places:
                put(self.root, path, data)
        thing = self.root[0]
        return _arrays(self.with_buffers(getattr(thing, "forward", thing), inputs))

    def backward(self, *dy: Any, needs_input_grad: bool = True) -> Any:
        self.clear()
        backward = self.root[0].backward
        if len(dy) > 1 and not _takes(backward, len(dy)):
            dy = (dy,)
        _demand(backward, dy, "dy, one for each output or a tuple of them")
        dx = _gradients(backward(*dy))
        for name, (slot, _, transposed) in self.taken.items():
            p, own = getattr(self, name), np.asarray(slot.data)
            p.data = (own.T if transposed else own).reshape(p.shape)  # a step may have been taken
            there = get(self.root, slot.grad_paths[0][:-1])
            if slot.grad is ABSENT and isinstance(there, dict) and there:
                wanted = " or ".join(repr(path[-1]) for path in slot.grad_paths[:2])
                raise ValueError(
                    f"adapt: backward leaves the gradients {[*there]} in grads, wanted {wanted} for {name}"
                )
            if slot.grad is ABSENT or slot.grad is None:
                continue
            grad = np.asarray(slot.grad)
            if grad.shape == own.shape:
                grad = (grad.T if transposed else grad).reshape(p.shape)
            if grad.shape != p.shape:
                raise ValueError(_misshapen(name, grad.shape, p.shape))
            p.grad = grad if p.grad is None else p.grad + grad
        return dx

    def clear(self) -> None:
        """Put in the place of each gradient what was there at the start: zeros, 0, None or nothing."""
        grads = [(slot.grad, np.zeros_like(slot.data)) for slot, *_ in self.taken.values()]
        zeros = {id(grad): zero for grad, zero in grads if isinstance(grad, np.ndarray | np.generic)}
        # An array that only backward knows, and hands out as the gradient, is its own affair.
        known = {*self.start, *(path for slot, *_ in self.taken.values() for path in slot.grad_paths)}
        # The last first: what was not there is removed, and moves what follows it in a list.
        for path, value in reversed(list(walk(self.root))):
            if id(value) in zeros and path in known:
                start = self.start.get(path, ABSENT)
                if isinstance(start, np.ndarray):
                    start = zeros[id(value)]
                put(self.root, path, 0 * start if isinstance(start, float | int) else start)

    def to(self, dtype: Any) -> nn.Module:
        """Convert, also the modules that the object keeps."""
        for _, value in list(walk(self.root)):
            if isinstance(value, nn.Module):
                value.to(dtype)
        return super().to(dtype)

    def train(self, mode: bool = True) -> nn.Module:
        """Switch the object as well: by its train() and eval(), or by the flags in it and below it."""
        thing = self.root[0]
        if all(_takes(getattr(thing, name, None), 0) for name in ("train", "eval")):
            (thing.train if mode else thing.eval)()
        else:
            for path, value in list(walk(self.root)):
                if path[-1] in ("training", "train_flg") and isinstance(value, bool):
                    put(self.root, path, mode)
        return super().train(mode)

    def __repr__(self) -> str:
        return type(self.root[0]).__name__


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


def _takes(function: Any, count: int) -> bool:
    """Whether it can be called with so many arguments; what tells no signature can."""
    try:
        inspect.signature(function).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:
        return True
    return True


def _demand(backward: Any, given: Sequence[Any], wanted: str) -> None:
    if not _takes(backward, len(given)):
        raise TypeError(
            f"adapt: backward{inspect.signature(backward)} is to be given {len(given)} arguments: {wanted}"
        )


def _gradients(dx: Any) -> Any:
    """What backward returns: a list as a tuple, and bare if there is one."""
    if isinstance(dx, list) and any(isinstance(g, np.ndarray) for g in dx):
        dx = tuple(dx)
    return dx[0] if isinstance(dx, tuple) and len(dx) == 1 else dx


def _arrays(value: Any) -> Any:
    """What forward returns as an array or a tuple; a list is a tuple if there are arrays in it."""
    if isinstance(value, tuple) or (
        isinstance(value, list) and any(isinstance(v, np.ndarray) for v in value)
    ):
        return tuple(_arrays(each) for each in value)
    array = value if isinstance(value, np.ndarray) else np.asarray(value)
    if array.dtype.kind not in "biufc":
        raise TypeError(
            f"adapt: forward returns {type(value).__name__}, wanted an array or a tuple of arrays"
        )
    return array
