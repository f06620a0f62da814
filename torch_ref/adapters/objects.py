"""An object with forward and backward as a module, whatever it keeps its parameters and buffers in."""

from collections.abc import Callable
from typing import Any

import numpy as np

from scratch import nn
from torch_ref.adapters.calls import as_arrays, as_gradients, require_arity, takes
from torch_ref.adapters.paths import ABSENT, Path, get, put, walk
from torch_ref.adapters.shapes import Shape, without_ones
from torch_ref.adapters.slots import Slot


class Keeping(nn.Module):
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
            if without_ones(array.shape) != without_ones(shape):
                raise ValueError(f"adapt: after forward, {name} has shape {array.shape}, expected {shape}")
            setattr(self, name, array.reshape(shape))
        return y


class Renamed(Keeping):
    """A module, its parameters and buffers under other names."""

    def take(self, name: str, p: nn.Parameter, transposed: bool, shape: Shape | None) -> None:
        """Call ``p`` by this name."""
        if transposed:
            raise ValueError("transposed: a module of scratch.nn stores its parameters as torch does")
        setattr(self, name, p)

    def forward(self, *inputs: Any) -> Any:
        """The module's own."""
        return self.with_buffers(self.root, inputs)

    def backward(self, *dy: Any) -> Any:
        """The module's own."""
        return self.root.backward(*dy)


class Adapted(Keeping):
    """An object that is not a Module. Its parameters are written into it before each forward.

    ``root`` is a list of it and of the objects that are its parameters.
    """

    def __init__(self, root: list[Any]) -> None:
        super().__init__(root)
        kinds = np.ndarray | float | int | None
        self.start = {path: value for path, value in walk(root) if isinstance(value, kinds)}
        self.taken: dict[str, tuple[Slot, list[Path], bool]] = {}

    def take(self, name: str, slot: Slot, transposed: bool, shape: Shape | None) -> None:
        """Make what the slot holds a parameter of this name and shape."""
        array = slot.data
        data = np.transpose(array) if transposed else np.asarray(array)
        setattr(self, name, nn.Parameter(data.reshape(data.shape if shape is None else shape).copy()))
        is_array = isinstance(array, np.ndarray)
        places = [path for path, value in walk(self.root) if is_array and value is array]
        self.taken[name] = slot, places or [slot.path], transposed

    def forward(self, *inputs: Any) -> Any:
        """The object's own, on the parameters of this module."""
        for name, (slot, places, transposed) in self.taken.items():
            data, own = getattr(self, name).data, np.shape(slot.data)
            data = data.reshape(own[::-1]).T if transposed else data.reshape(own)
            for path in places:
                put(self.root, path, data)
        thing = self.root[0]
        return as_arrays(self.with_buffers(getattr(thing, "forward", thing), inputs))

    def backward(self, *dy: Any) -> Any:
        """The object's own; adds the gradients that it leaves to those of this module's parameters."""
        self.clear()
        backward = self.root[0].backward
        if len(dy) > 1 and not takes(backward, len(dy)):
            dy = (dy,)
        require_arity(backward, dy, "dy, one for each output or a tuple of them")
        dx = as_gradients(backward(*dy))
        for name, (slot, _, transposed) in self.taken.items():
            p, own = getattr(self, name), np.asarray(slot.data)
            p.data = (own.T if transposed else own).reshape(p.shape)  # a step may have been taken
            grad = self._gradient(name)
            if grad is not None:
                p.grad = grad if p.grad is None else p.grad + grad
        return dx

    def _gradient(self, name: str) -> np.ndarray | None:
        """The gradient that backward left for this parameter, if it left one, in the parameter's shape."""
        slot, _, transposed = self.taken[name]
        there = get(self.root, slot.grad_paths[0][:-1])
        if slot.grad is ABSENT and isinstance(there, dict) and there:
            expected = " or ".join(repr(path[-1]) for path in slot.grad_paths[:2])
            raise ValueError(
                f"adapt: backward leaves the gradients {[*there]} in grads, expected {expected} for {name}"
            )
        if slot.grad is ABSENT or slot.grad is None:
            return None
        grad, shape = np.asarray(slot.grad), getattr(self, name).shape
        if grad.shape == np.shape(slot.data):
            grad = (grad.T if transposed else grad).reshape(shape)
        if grad.shape != shape:
            raise ValueError(_misshapen(name, grad.shape, shape))
        return grad

    def clear(self) -> None:
        """Put each gradient back to what was there at the start: zeros, 0, None or nothing."""
        grads = [(slot.grad, np.zeros_like(slot.data)) for slot, *_ in self.taken.values()]
        zeros = {id(grad): zero for grad, zero in grads if isinstance(grad, np.ndarray | np.generic)}
        # Arrays that only backward knows, and hands out as the gradient, are left alone.
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
        if all(takes(getattr(thing, name, None), 0) for name in ("train", "eval")):
            (thing.train if mode else thing.eval)()
        else:
            for path, value in list(walk(self.root)):
                if path[-1] in ("training", "train_flg") and isinstance(value, bool):
                    put(self.root, path, mode)
        return super().train(mode)

    def __repr__(self) -> str:
        return type(self.root[0]).__name__


def _misshapen(name: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> str:
    message = f"the gradient of {name} has shape {shape}, expected {expected}"
    longer = len(shape) - len(expected)
    return message + "; sum it over the samples" if longer > 0 and shape[longer:] == expected else message
