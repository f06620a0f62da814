"""Parameters, and the one vector they lie in.

All parameters of a model lie end to end in one array and all their gradients in another; a
parameter's ``data`` and ``grad`` are views. An optimizer's update is then one line over one array, and
a gradient check walks one vector. A module is laid out when it has been constructed (module.py);
nothing moves after that, and a parameter that an optimizer or a mirror holds is never moved at all.
"""

import math
from collections.abc import Iterable
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Parameter"]


class Storage:
    """Values and gradients of parameters that lie end to end, two one-dimensional arrays."""

    __slots__ = ("data", "grad")

    def __init__(self, data: np.ndarray) -> None:
        self.data = data
        self.grad = np.empty_like(data)


class Parameter:
    """An array that is learned: ``data``, and ``grad``, the derivative of the loss by it.

    Args:
        data: an array of floating (or complex) numbers; shared, not copied, if it is contiguous.
        requires_grad: False freezes it: backward leaves ``grad`` None, optimizers pass it by.

    ``grad`` is None (``has_grad`` False) until a backward, and adds up over backwards until it is set to
    None again (zero_grad).
    ``data`` and ``grad`` may be assigned; the values are copied into the views, since the memory is
    the model's vector.

    Raises:
        TypeError: data is no NumPy array, or not of floating or complex numbers.
    """

    __slots__ = ("_data", "_grad", "has_grad", "held", "offset", "requires_grad", "storage")

    def __init__(self, data: np.ndarray, requires_grad: bool = True) -> None:
        if not isinstance(data, np.ndarray) or data.dtype.kind not in "fc":
            kind = f"an array of {data.dtype}" if isinstance(data, np.ndarray) else type(data).__name__
            raise TypeError(f"Parameter: data is {kind}, expected a NumPy array of floating numbers")
        self.requires_grad = requires_grad
        self.held = False
        self.has_grad = False
        self._view(Storage(np.ascontiguousarray(data).reshape(-1)), 0, data.shape)

    def _view(self, storage: Storage, offset: int, shape: tuple[int, ...]) -> None:
        self.storage, self.offset = storage, offset
        stop = offset + math.prod(shape)
        self._data = storage.data[offset:stop].reshape(shape)
        self._grad = storage.grad[offset:stop].reshape(shape)

    def move(self, storage: Storage, offset: int) -> None:
        """Carry value and gradient over to ``storage[offset : offset + numel]`` and live there."""
        data, grad = self._data, self._grad
        self._view(storage, offset, data.shape)
        self._data[...] = data
        if self.has_grad:
            self._grad[...] = grad

    def _set_data(self, value: np.ndarray) -> None:
        self._data[...] = self._fitting(value, "data")

    # Read by C code, since every forward reads it.
    data = property(attrgetter("_data"), _set_data, doc="The value, a view on the model's vector.")

    def adopt(self, data: np.ndarray) -> None:
        """Live in the memory of ``data`` from now on, an array of the same shape, and never move."""
        self._view(Storage(self._fitting(data, "data").reshape(-1)), 0, data.shape)
        self.held = True

    def present(self, view: np.ndarray) -> None:
        """Give ``view`` out as ``data`` from now on: the same memory, in a subclass of ndarray."""
        self._data = view

    @property
    def grad(self) -> np.ndarray | None:
        """The gradient, a view on the model's gradient vector, or None if there is none."""
        return self._grad if self.has_grad else None

    @grad.setter
    def grad(self, value: np.ndarray | None) -> None:
        if value is not None:
            self._grad[...] = self._fitting(value, "grad")
        self.has_grad = value is not None

    def _fitting(self, value: np.ndarray, name: str) -> np.ndarray:
        if np.shape(value) != self._data.shape:
            raise ValueError(f"Parameter.{name}: got shape {np.shape(value)}, expected {self._data.shape}")
        return value

    def add_grad(self, gradient: np.ndarray) -> None:
        """grad += gradient; where there is no grad yet, grad = gradient. A frozen parameter stays without
        one.

        Raises:
            ValueError: gradient has another shape than the parameter, which broadcasting would hide.
            TypeError: gradient is complex where the parameter is real.
        """
        if not self.requires_grad:
            return
        own = self._grad
        if getattr(gradient, "shape", ()) != own.shape:
            raise ValueError(f"Parameter.add_grad: got shape {np.shape(gradient)}, expected {own.shape}")
        if self.has_grad:
            own += gradient
        elif gradient is own:
            pass  # a formula has written it here
        elif gradient.dtype == own.dtype:
            own[...] = gradient
        else:
            np.copyto(own, gradient)
        self.has_grad = True

    shape = property(attrgetter("_data.shape"), doc="The shape of ``data``.")
    dtype = property(attrgetter("_data.dtype"), doc="The dtype of ``data`` and ``grad``.")

    def numel(self) -> int:
        """How many numbers it has."""
        return self._data.size

    def requires_grad_(self, requires_grad: bool = True) -> "Parameter":
        """Set ``requires_grad``; returns self."""
        self.requires_grad = requires_grad
        return self

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self._data, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{self._data!r}"

    # The views are made anew from the storage, so that a copied or unpickled model has its one vector too.
    def __getstate__(self) -> tuple[Any, ...]:
        return self.storage, self.offset, self.shape, self.has_grad, self.requires_grad

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        storage, offset, shape, self.has_grad, self.requires_grad = state
        self.held = False
        self._view(storage, offset, shape)


class Run(NamedTuple):
    """Parameters that lie one behind the other: ``storage[start:stop]``."""

    storage: Storage
    start: int
    stop: int
    parameters: list[Parameter]

    @property
    def data(self) -> np.ndarray:
        """Their values, one vector."""
        return self.storage.data[self.start : self.stop]

    @property
    def grad(self) -> np.ndarray:
        """Their gradients, one vector."""
        return self.storage.grad[self.start : self.stop]


def runs(parameters: Iterable[Parameter]) -> list[Run]:
    """Join neighbours: the fewest vectors that hold these parameters in this order."""
    joined: list[Run] = []
    for p in parameters:
        stop = p.offset + p.numel()
        last = joined[-1] if joined else None
        if last and last.storage is p.storage and last.stop == p.offset:
            joined[-1] = Run(p.storage, last.start, stop, [*last.parameters, p])
        else:
            joined.append(Run(p.storage, p.offset, stop, [p]))
    return joined


def lay_out(parameters: Iterable[Parameter]) -> None:
    """Lay parameters end to end, one vector for each dtype; held ones stay where they are."""
    by_dtype: dict[np.dtype, list[Parameter]] = {}
    for p in parameters:
        by_dtype.setdefault(p.dtype, []).append(p)
    for dtype, group in by_dtype.items():
        if len(runs(group)) == 1 or any(p.held for p in group):
            continue
        storage, offset = Storage(np.empty(sum(p.numel() for p in group), dtype)), 0
        for p in group:
            p.move(storage, offset)
            offset += p.numel()
