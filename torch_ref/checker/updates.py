"""Optimizers of any make as updates of one vector: yours with ``step`` or ``update``, and PyTorch's."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np
import torch

from scratch import nn

_SHAPES = ((3, 4), (5,))
_SIZES = [int(np.prod(shape)) for shape in _SHAPES]
SIZE = sum(_SIZES)


@dataclass
class Walker:
    """An optimizer with its weights as one vector: step(gradients) updates them, weights() returns them."""

    optimizer: Any
    step: Callable[[list[Any]], None]
    weights: Callable[[], np.ndarray]
    side_effects: list[str] = field(default_factory=list)

    @property
    def _rate(self) -> str:
        """The attribute that is the learning rate, or ""."""
        numbers = (n for n in ("lr", "learning_rate") if isinstance(getattr(self.optimizer, n, None), Real))
        return next(numbers, "")

    @property
    def can_halve(self) -> bool:
        """Whether the learning rate can be set from outside."""
        groups = getattr(self.optimizer, "param_groups", None)
        return bool(groups and "lr" in groups[0]) or bool(self._rate)

    def halve(self) -> None:
        """Half the learning rate from now on."""
        if hasattr(self.optimizer, "param_groups"):
            for group in self.optimizer.param_groups:
                group["lr"] /= 2
        else:
            setattr(self.optimizer, self._rate, getattr(self.optimizer, self._rate) / 2)


def walk(walker: Walker, gradients: np.ndarray, halve: bool = False, without: int = -1) -> np.ndarray:
    """The weights after every step, (steps, n); in the step ``without``, the last has no gradient."""
    after = []
    for number, gradient in enumerate(gradients):
        if halve and number == len(gradients) // 2:
            walker.halve()
        parts: list[Any] = split(gradient)
        walker.step([*parts[:-1], None] if number == without else parts)
        after.append(walker.weights())
    return np.array(after)


def split(vector: np.ndarray) -> list[np.ndarray]:
    """The weights, or gradients, as a matrix and a vector."""
    parts = np.split(vector, np.cumsum(_SIZES)[:-1])
    return [part.reshape(shape).copy() for part, shape in zip(parts, _SHAPES, strict=True)]


def has_update(mine: Any) -> bool:
    """Whether it is an object with ``update(params, grads)``."""
    return hasattr(mine, "update") and not hasattr(mine, "step") and not isinstance(mine, type)


def by_hand(mine: Any, start: np.ndarray) -> Walker:
    """Yours, from these weights.

    Raises:
        TypeError: it has neither update nor makes anything with step.
    """
    expected = "expected an object with update(params, grads), or a function that makes one with step()"
    if has_update(mine):
        return _with_update(copy.deepcopy(mine), start)
    if not callable(mine):
        raise TypeError(f"check_optimizer: mine is {type(mine).__name__}, {expected}")
    params = [nn.Parameter(value) for value in split(start)]
    optimizer = mine(params)
    if not hasattr(optimizer, "step"):
        raise TypeError(f"check_optimizer: mine makes {type(optimizer).__name__} without step(), {expected}")
    return with_step(optimizer, params)


def with_step(optimizer: Any, params: list[nn.Parameter]) -> Walker:
    """An optimizer of our Parameters."""
    side_effects: list[str] = []

    def step(gradients: list[Any]) -> None:
        for p, g in zip(params, gradients, strict=True):
            p.grad = g
        optimizer.step()
        if any(g is not None and _changed(p.grad, g) for p, g in zip(params, gradients, strict=True)):
            side_effects.append("step() changes the gradients, which are not its own")

    return Walker(optimizer, step, lambda: np.concatenate([p.data.reshape(-1) for p in params]), side_effects)


def _changed(now: Any, before: np.ndarray) -> bool:
    return not np.array_equal(now, before, equal_nan=True)


def _with_update(optimizer: Any, start: np.ndarray) -> Walker:
    keys: tuple[Any, ...] = ("W", "b") if _takes_dicts(optimizer, start) else (0, 1)
    side_effects: list[str] = []

    def held(arrays: list[np.ndarray]) -> Any:
        return arrays if keys == (0, 1) else dict(zip(keys, arrays, strict=True))

    params = held(split(start))

    def step(gradients: list[np.ndarray]) -> None:
        before, given = copy.deepcopy(params), held([g.copy() for g in gradients])
        returned = optimizer.update(params, given)
        for key, shape, g in zip(keys, _SHAPES, gradients, strict=True):
            if np.shape(params[key]) != shape:
                raise ValueError(
                    f"check_optimizer: update made params[{key!r}] of shape {np.shape(params[key])}, "
                    f"expected {shape}"
                )
            if _changed(given[key], g):
                side_effects.append("update changes the gradients, which are not its own")
        if returned is not None and not any(_changed(params[key], before[key]) for key in keys):
            side_effects.append(
                "update returns something and leaves params as they were; change params instead"
            )

    return Walker(
        optimizer, step, lambda: np.concatenate([params[key].reshape(-1) for key in keys]), side_effects
    )


def _takes_dicts(optimizer: Any, start: np.ndarray) -> bool:
    """Whether update takes dicts; assumed where it takes neither dicts nor lists."""
    for kind in (lambda arrays: dict(zip(("W", "b"), arrays, strict=True)), list):
        try:
            copy.deepcopy(optimizer).update(kind(split(start)), kind(split(start)))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError):
            continue
        return kind is not list
    return True


def by_torch(reference: Any, start: np.ndarray) -> Walker:
    """PyTorch's, from these weights.

    Raises:
        TypeError: reference makes no optimizer of the parameters that it is given.
    """
    params = [torch.nn.Parameter(torch.from_numpy(value)) for value in split(start)]
    optimizer = reference(params) if callable(reference) else reference
    expected = "expected a function that makes a torch optimizer of the list of parameters that it is given"
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise TypeError(f"check_optimizer: reference makes {type(optimizer).__name__}, {expected}")
    if {id(p) for group in optimizer.param_groups for p in group["params"]} != {id(p) for p in params}:
        raise TypeError(
            f"check_optimizer: reference is {type(optimizer).__name__} of other parameters, {expected}"
        )

    def step(gradients: list[Any]) -> None:
        for p, g in zip(params, gradients, strict=True):
            p.grad = None if g is None else torch.from_numpy(g.copy())
        optimizer.step()

    return Walker(optimizer, step, lambda: np.concatenate([p.detach().numpy().reshape(-1) for p in params]))


def place(at: int) -> str:
    """The name of a weight: "W[1, 2]"."""
    first = _SIZES[0]
    return f"W[{at // _SHAPES[0][1]}, {at % _SHAPES[0][1]}]" if at < first else f"b[{at - first}]"
