"""Anything with a forward and a backward as a module, whatever it keeps its parameters in."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from scratch import nn
from torch_ref.adapters.buffers import Keeping
from torch_ref.adapters.calls import as_outputs, require_arity, takes
from torch_ref.adapters.flat import put_with_views, views_in
from torch_ref.adapters.methods import Pair
from torch_ref.adapters.passes import TRAINING
from torch_ref.adapters.paths import ABSENT, Path, get, put, walk
from torch_ref.adapters.pieces import Piece, turned_back
from torch_ref.adapters.returned import Given, of_inputs
from torch_ref.adapters.shapes import Shape, can_be_subtracted, without_ones
from torch_ref.adapters.slots import Slot
from torch_ref.adapters.trial import RATE, Trial, tried

# A training calls it before each forward, where there is one.
_ZEROING = ("zero_grad", "zero_grads", "zero_gradients", "flush_gradients", "clear_grads", "reset_grads")


class Adapted(Keeping):
    """A thing that is not a Module. Its parameters are written into it before each forward.

    ``root`` is a list of it, of what its last backward returned, and of the objects that are its parameters.
    ``misshapen`` are gradients of another shape than their parameter's, which cannot hold them. ``remarks``
    are side effects that its form alone shows. ``states`` are arrays that a backward which takes steps itself
    has from call to call, as at the start. ``short`` are the dtypes of gradients that have fewer digits than
    their parameters. ``doubtful`` are the other orders of axes that the shapes of
    some of its arrays allow.
    """

    def __init__(
        self, root: list[Any], trial: Trial, rates: tuple[Path, ...] = (), remarks: tuple[str, ...] = ()
    ) -> None:
        super().__init__(root)
        self.remarks = remarks
        self.passes, self.rates, self.is_tried = trial.passes, rates, trial.built is not None
        self.updates = bool(rates or trial.passes.rate)
        kinds = np.ndarray | float | int | None
        self.start = {path: value for path, value in walk(root) if isinstance(value, kinds)}
        self.taken: dict[str, tuple[Slot, list[Path], tuple[Piece, ...]]] = {}
        self.views = views_in(root)
        self.written: dict[str, np.ndarray] = {}
        self.misshapen: dict[str, np.ndarray] = {}
        self.states: dict[Path, np.ndarray] = {}
        self.short: dict[str, np.dtype[Any]] = {}
        self.doubtful: dict[str, list[tuple[int, ...]]] = {}

    def take(self, own: str, slot: Slot, pieces: tuple[Piece, ...]) -> None:
        """Make the pieces of what the slot holds parameters of their names and shapes."""
        array = slot.data
        for piece in pieces:
            data = piece.of(np.asarray(array, None if isinstance(array, np.ndarray) else float))
            setattr(self, piece.name, nn.Parameter(np.array(data)))
        is_array = isinstance(array, np.ndarray)
        kept = [getattr(each, "dtype", np.dtype(float)) for each in (slot.grad, array)]
        if all(dtype.kind == "f" for dtype in kept) and kept[0].itemsize < kept[1].itemsize:
            self.short[own] = kept[0]
        places = [path for path, value in walk(self.root) if is_array and value is array]
        self.taken[own] = slot, places or [slot.path], pieces

    @property
    def pieces(self) -> dict[str, tuple[Piece, ...]]:
        """The parameters that each array is made of."""
        return {own: pieces for own, (_, _, pieces) in self.taken.items()}

    @property
    def shapes(self) -> dict[str, Shape]:
        """The shapes of the arrays."""
        return {own: np.shape(slot.data) for own, (slot, _, _) in self.taken.items()}

    def made_of(self, pieces: Mapping[str, tuple[Piece, ...]]) -> None:
        """Take the arrays to be made of these pieces of the same parameters."""
        for own, (slot, places, _) in self.taken.items():
            self.taken[own] = slot, places, pieces[own]

    def in_order(self, names: list[str]) -> None:
        """Put the parameters in this order."""
        for name in names:
            self.__dict__[name] = self.__dict__.pop(name)

    def forward(self, *inputs: Any) -> Any:
        """The thing's own, on the parameters of this module."""
        if not self.is_tried:
            methods = self.passes.forward, self.passes.backward
            self.passes, self.is_tried = tried(self.root[0], methods, Given(inputs)).passes, True
        self._write()
        thing, passes = self.root[0], self.passes
        with suppress(Exception):  # of other people's code, before its first forward
            for name in _ZEROING:
                if takes(getattr(thing, name, None), 0):
                    getattr(thing, name)()
        if passes.output:  # so that one of an earlier call is not taken for this one's
            setattr(thing, passes.output, None)

        def run(*given: Any) -> Any:
            return passes.run_forward(thing, given, self.training)

        y, cache = self.with_buffers(run, inputs)
        if passes.keeps:
            self.save(inputs, y, cache)
        return as_outputs(y)

    def _write(self) -> None:
        for own, (slot, places, pieces) in self.taken.items():
            before, values = slot.data, [getattr(self, piece.name).data for piece in pieces]
            if (
                len(pieces) == 1
                and isinstance(before, np.ndarray)
                and not self.updates
                and not pieces[0].blocks
                and pieces[0].rows is None
            ):
                data = turned_back(values[0], pieces[0].axes, before.shape)
            else:
                data = np.zeros(np.shape(before), np.result_type(*values))
                for piece, value in zip(pieces, values, strict=True):
                    piece.add_to(data, value)
            self.written[own] = data.copy() if self.updates else data
            for path in places:
                value = data if isinstance(before, np.ndarray) else data.tolist()
                put_with_views(self.root, path, value, self.views)

    def backward(self, *dy: Any) -> Any:
        """The thing's own; adds the gradients that it leaves to those of this module's parameters."""
        self.clear()
        kept = self.saved() if self.passes.keeps else ((), None, None)
        result = self._run_backward(dy, kept)
        self.root[1] = result
        dx = of_inputs(self.passes, self.root[0], result)
        if self.passes.is_derivative:
            dx = self.passes.times(dy[0], dx, kept[1], kept[0])
        for own, (slot, _, pieces) in self.taken.items():
            self._add_gradients(own, slot, pieces)
        return dx

    def _run_backward(self, dy: tuple[Any, ...], kept: Any) -> Any:
        passes, thing = self.passes, self.root[0]
        backward = getattr(thing, passes.backward) if passes.backward else kept[2]
        if passes.roles == ("dy",) and not passes.rate:
            if len(dy) > 1 and not takes(backward, len(dy)):
                dy = (dy,)
            where = ", and the inputs" if isinstance(thing, Pair) else ""
            require_arity(backward, dy, f"dy, one for each output or a tuple of them{where}")
        for path in self.rates:
            put(self.root, path, RATE)
        return passes.run_backward(thing, dy, kept, RATE)

    def _add_gradients(self, own: str, slot: Slot, pieces: tuple[Piece, ...]) -> None:
        """Add the gradient that backward left for ``own`` to those of the parameters that it is made of."""
        grad = self._gradient(own, slot)
        shape = np.shape(slot.data)
        fits = grad is not None and without_ones(grad.shape) == without_ones(shape)
        for piece in pieces:
            p = getattr(self, piece.name)
            if not self.updates and len(pieces) == 1 and piece.rows is None:  # a step may have been taken
                p.data = piece.of(np.asarray(slot.data))
            if grad is None:
                continue
            if not fits:
                turns = piece.axes and len(piece.axes) == grad.ndim
                self.misshapen[piece.name] = grad.transpose(piece.axes) if turns else grad
                continue
            if not can_be_subtracted(grad.shape, shape):
                self._remark_on_shape(own, grad.shape, shape)
            part = piece.of(grad.reshape(shape))
            p.grad = part if p.grad is None else p.grad + part

    def _remark_on_shape(self, own: str, gradient: Shape, shape: Shape) -> None:
        """Note that a gradient has the right numbers in a shape with which a step would go wrong."""
        remark = (
            f"the gradient of {own} has shape {gradient}, {own} has {shape}: a step {own} - lr · gradient "
            "broadcasts. Sum with keepdims=True, or reshape it"
        )
        self.remarks = tuple(dict.fromkeys((*self.remarks, remark)))

    def _gradient(self, own: str, slot: Slot) -> np.ndarray | None:
        """The gradient that backward left for this parameter, if it left one."""
        if slot.stepped:
            step = self.written[own] - np.asarray(slot.data)
            return step / RATE
        there = get(self.root, slot.grad_paths[0][:-1]) if slot.grad_paths else ABSENT
        if slot.grad is ABSENT and isinstance(there, dict) and there and slot.grad_paths[0][0] == 0:
            expected = " or ".join(repr(path[-1]) for path in slot.grad_paths[:2])
            raise ValueError(
                f"check: mine: backward leaves the gradients {[*there]} in "
                f"{slot.grad_paths[0][-2]}, expected {expected} for {own}"
            )
        if slot.grad is ABSENT or slot.grad is None:
            return None
        return np.asarray(slot.grad)

    def clear(self) -> None:
        """Put each gradient back to what was there at the start: zeros, 0, None or nothing."""
        thing = self.root[0]
        self.root[1] = None
        for path, state in self.states.items():
            put(self.root, path, state.copy())
        for name in filter(None, self.passes.gradients):
            if not isinstance(getattr(type(thing), name, None), property):
                setattr(thing, name, None)
        grads = [
            (slot.grad, np.zeros_like(np.asarray(slot.data), self.short.get(own)))
            for own, (slot, *_) in self.taken.items()
        ]
        zeros = {id(grad): zero for grad, zero in grads if isinstance(grad, np.ndarray | np.generic | list)}
        # Arrays that only backward knows, and hands out as the gradient, are left alone.
        known = {*self.start, *(path for slot, *_ in self.taken.values() for path in slot.grad_paths)}
        # The last first: what was not there is removed, and moves what follows it in a list.
        for path, value in reversed(list(walk(self.root))):
            if id(value) in zeros and path in known:
                start = self.start.get(path, ABSENT)
                if isinstance(start, np.ndarray):
                    start = zeros[id(value)]
                start = 0 * start if isinstance(start, float | int) else start
                put_with_views(self.root, path, start, self.views)

    def zero_grad(self) -> None:
        """Set every gradient to None, and forget forwards that no backward followed."""
        self.misshapen = {}
        super().zero_grad()

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
                if path[-1] in TRAINING and isinstance(value, bool):
                    put(self.root, path, mode)
        return super().train(mode)

    def __repr__(self) -> str:
        return type(self.root[0]).__name__
