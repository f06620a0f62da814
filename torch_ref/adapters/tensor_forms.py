"""Which of people's code works on tensors, so that its own backward runs inside torch's autograd.

An autograd.Function (the class, or its ``apply``), an operator of torch.library, a torch.nn.Module, or a
function of Python that uses any of these.
"""

import functools
import inspect
from collections.abc import Callable
from types import MethodType, ModuleType
from typing import Any

import torch

from torch_ref.adapters.calls import parameter_names
from torch_ref.adapters.reached import package, reaches


def takes_tensors(thing: Any) -> bool:
    """Whether ``thing`` is a function or module of tensors without a backward of its own beside it."""
    if isinstance(thing, type):
        return issubclass(thing, torch.autograd.Function)
    if isinstance(thing, torch.autograd.Function):
        return True
    if isinstance(thing, torch.nn.Module):
        return not _has_own_backward(thing)
    return callable(thing) and not hasattr(thing, "backward") and reaches(thing, _is_torchs)


def as_function(thing: Any) -> Callable[..., Any]:
    """A callable of tensors: ``apply`` of a Function, everything else as it is."""
    if isinstance(thing, torch.autograd.Function):
        return type(thing).apply
    if isinstance(thing, type) and issubclass(thing, torch.autograd.Function):
        return thing.apply
    return thing


def is_function(thing: Any) -> bool:
    """Whether it is an autograd.Function, or the ``apply`` of one."""
    owner = getattr(as_function(thing), "__self__", None)
    return isinstance(owner, type) and issubclass(owner, torch.autograd.Function)


def input_names(thing: Any) -> list[str]:
    """The names of its inputs; of a Function those behind ctx, if its forward has that."""
    function = inspect.unwrap(as_function(thing))
    if not is_function(function):
        return parameter_names(function)
    kind = function.__self__
    names = parameter_names(kind.forward)
    return names[1:] if kind.setup_context is torch.autograd.Function.setup_context else names


def known_name(thing: Any) -> str:
    """The name that people know it by."""
    if isinstance(thing, MethodType) and isinstance(thing.__self__, type):
        return thing.__self__.__name__
    if isinstance(thing, functools.partial):
        return known_name(thing.func)
    return getattr(thing, "__name__", type(thing).__name__)


def _has_own_backward(module: torch.nn.Module) -> bool:
    """Whether its class has a method backward(dy); Lightning's, which starts autograd, is none."""
    method = getattr(type(module), "backward", None)
    return method is not None and "lightning" not in getattr(method, "__module__", "")


def _is_torchs(value: Any) -> bool:
    if isinstance(value, ModuleType):
        return package(value.__name__) == "torch"
    if isinstance(value, type) and issubclass(value, torch.autograd.Function | torch.nn.Module):
        return True
    if isinstance(value, torch.nn.Module | torch.Tensor) or package(type(value).__module__) == "torch":
        return True
    names = getattr(value, "__module__", None), getattr(value, "__name__", None)
    return package(names[0] or "") == "torch" or (
        isinstance(names[1], str) and value is getattr(torch, names[1], None)
    )
