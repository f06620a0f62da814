"""Arguments that are no arrays (a number, a string, sizes), for code of tensors or of JAX: handed on."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from scratch.nested import leaves, unflatten_as
from torch_ref.adapters.jax_arrays import as_numpy
from torch_ref.adapters.tensor_forms import as_function, known_name


def with_constants(mine: Any, reference: Any, inputs: tuple[Any, ...]) -> tuple[Any, Any, tuple[Any, ...]]:
    """(mine, reference, inputs), with None in the place of each constant, and both sides knowing them.

    Tensors and arrays of JAX become arrays of NumPy, and a list is an array. If there would be no array left,
    a number is one.
    """
    inputs = tuple(_without_tensors(x) for x in inputs)
    constants = {at: x for at, x in enumerate(inputs) if x is not None and not _is_array(x)}
    if not constants or len(constants) == len(inputs):
        return mine, reference, inputs
    remaining = tuple(None if at in constants else x for at, x in enumerate(inputs))
    return (
        _knowing(mine, constants),
        None if reference is None else _knowing(reference, constants),
        remaining,
    )


def _is_array(x: Any) -> bool:
    return isinstance(x, list) or any(isinstance(each, np.ndarray) for _, each in leaves(x))


def _without_tensors(x: Any) -> Any:
    return unflatten_as(x, (_as_array(as_numpy(each)) for _, each in leaves(x)))


def _as_array(x: Any) -> Any:
    if not isinstance(x, torch.Tensor):
        return x
    x = x.detach().cpu()
    return (x.double() if x.is_floating_point() else x).numpy()  # NumPy has no bfloat16


def _knowing(thing: Any, constants: dict[int, Any]) -> Any:
    if not callable(thing):
        return thing
    if isinstance(thing, torch.nn.Module):
        module = copy.deepcopy(thing)
        module.register_forward_pre_hook(_Constants(constants))
        return module
    return _Knowing(as_function(thing), known_name(thing), constants)


class _Constants:
    """A hook that puts the constants in their places before forward."""

    def __init__(self, constants: dict[int, Any]) -> None:
        self.constants = constants

    def __call__(self, _: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(self.constants.get(at, x) for at, x in enumerate(inputs))


class _Knowing:
    """A function that gets the constants in their places."""

    def __init__(self, function: Callable[..., Any], name: str, constants: dict[int, Any]) -> None:
        self.function, self.__name__, self.constants = function, name, _Constants(constants)
        self.__wrapped__ = function  # whose signature is this one's

    def __call__(self, *inputs: Any) -> Any:
        return self.function(*self.constants(None, inputs))
