"""mirror(module): the equivalent torch module on the same memory.

The vocabulary is shared, so the twin of ``scratch.nn.Linear`` is found by its name, ``torch.nn.Linear``,
and made with the same constructor arguments, read off the module's attributes by the names in torch's
signature. Its parameters and buffers are then ``torch.from_numpy`` views: nothing is copied, and a step on
either side is a step on both.
"""

import inspect
import warnings
from typing import Any, get_overloads

import numpy as np
import torch

from scratch import nn, random
from torch_ref.adapters import adapt
from torch_ref.twin import models
from torch_ref.twin.memory import tensor
from torch_ref.twin.wrap import as_torch


def mirror(module: nn.Module) -> torch.nn.Module:
    """The torch module that computes the same from the same memory.

    The mirrored parameters are held: they are never moved again, so build the whole model first. Whether a
    module is in training mode, and whether a parameter requires_grad, is carried over once. Gradients are
    each side's own.

    Args:
        module: a scratch Module of float32 or float64, whose class (or the class of whose modules) has a
            namesake in torch.nn.

    Raises:
        TypeError: a class has no namesake in torch.nn, or a dtype is not torch's (longdouble).
        ValueError: the twin's parameters have other names or shapes, so the classes only share a name.
    """
    made: dict[int, torch.nn.Module] = {}
    twin = _build(module, made)
    shared = {id(p): _parameter(name, p) for name, p in module.named_parameters()}
    for at, ours in module.named_modules():
        its_twin = made[id(ours)]
        own = dict(ours.named_parameters(recurse=False))
        shapes = {name: p.shape for name, p in own.items()}
        theirs = {name: tuple(p.shape) for name, p in its_twin.named_parameters(recurse=False)}
        if shapes != theirs:
            raise ValueError(f"mirror: {at} {type(ours).__name__} has parameters {shapes}, torch's {theirs}")
        for name, p in own.items():
            setattr(its_twin, name, shared[id(p)])
        for name, buffer in ours.named_buffers(recurse=False):
            its_twin.register_buffer(name, tensor(f"{at}.{name}", buffer))
        its_twin.training = ours.training
    for p in module.parameters():
        p.held = True
    return twin


def reflect(twin: torch.nn.Module) -> nn.Module:
    """The scratch module that computes the same as a torch module, on the same memory: mirror, backwards.

    Raises:
        TypeError: a class has no namesake in scratch.nn.
    """
    module = _make_numpy(twin)
    theirs = dict(twin.named_parameters())
    for name, p in module.named_parameters():
        p.adopt(theirs[name].detach().numpy())
        p.requires_grad = theirs[name].requires_grad
    buffers, persistent = dict(twin.named_buffers()), {*module.state_dict()}
    for at, ours in module.named_modules():
        for name, _ in list(ours.named_buffers(recurse=False)):
            path = f"{at}.{name}" if at else name
            ours.register_buffer(name, buffers[path].numpy(), path in persistent)
    return module.train(twin.training)


def _make_numpy(twin: torch.nn.Module) -> nn.Module:
    if isinstance(twin, torch.nn.Sequential):
        return nn.Sequential({name: _make_numpy(child) for name, child in twin.named_children()})
    namesake = getattr(nn, type(twin).__name__, None)
    if namesake is None or type(twin).__module__.split(".")[0] != "torch":
        raise TypeError(f"reflect: scratch.nn has no twin of {type(twin).__name__}")
    attributes = {
        name: _attribute(namesake, twin, name) for name in inspect.signature(namesake.__init__).parameters
    }
    arguments = {name: value for name, value in attributes.items() if value is not _ABSENT}
    state = random.get_rng_state()
    try:
        return namesake(**arguments)
    finally:
        random.set_rng_state(state)


_ABSENT = object()


def _attribute(namesake: Any, twin: torch.nn.Module, name: str) -> Any:
    """The argument of this name that makes our module like ``twin``, or _ABSENT."""
    if name == "dtype":
        dtypes = {p.dtype for p in twin.parameters()}
        return np.dtype(str(dtypes.pop()).removeprefix("torch.")) if dtypes else np.float32
    own = getattr(namesake, name, None)
    if isinstance(own, property):  # computed from other attributes, which have the same names in torch
        return _for_numpy(name, own.__get__(twin))
    return _for_numpy(name, getattr(twin, name)) if hasattr(twin, name) else _ABSENT


def _for_numpy(name: str, value: Any) -> Any:
    """An attribute of a torch module as our constructors take it."""
    if name == "bias":
        return value is not None and value is not False
    if isinstance(value, torch.Tensor):
        return value.detach().numpy()
    if isinstance(value, torch.nn.Dropout):
        return value.p
    if isinstance(value, torch.nn.Module):
        return _make_numpy(value)
    return value.__name__ if name == "activation" and callable(value) else value


def _parameter(name: str, p: nn.Parameter) -> torch.nn.Parameter:
    return torch.nn.Parameter(tensor(name, p.data), requires_grad=p.requires_grad)


def _build(module: nn.Module, made: dict[int, torch.nn.Module]) -> torch.nn.Module:
    """The twin on memory of its own; a module that stands in two places has one twin in two places."""
    if id(module) not in made:
        made[id(module)] = _make(module, made)
    return made[id(module)]


def _make(module: nn.Module, made: dict[int, torch.nn.Module]) -> torch.nn.Module:
    if isinstance(module, nn.Sequential | nn.ModuleList | nn.ModuleDict):
        twin = getattr(torch.nn, type(module).__name__)()
        for name, child in module.named_children():
            twin.add_module(name, _build(child, made))
        return twin
    if isinstance(module, nn.Residual):
        return models.Residual(_build(module.module, made))
    home = models if type(module).__module__ == "scratch.models" else torch.nn
    namesake = getattr(home, type(module).__name__, None)
    if namesake is None:
        raise TypeError(f"mirror: torch.nn has no twin of {type(module).__name__}")
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # Said of its own default.
        warnings.filterwarnings("ignore", "enable_nested_tensor is True")
        twin = namesake(**_arguments(module, namesake))
    ours, theirs = dict(module.named_modules()), dict(twin.named_modules())
    if missing := sorted(set(ours) - set(theirs)):
        raise TypeError(f"mirror: torch's {type(module).__name__} has no {missing[0]}")
    made |= {id(child): theirs[name] for name, child in ours.items()}
    return twin


def _arguments(module: nn.Module, namesake: Any) -> dict[str, Any]:
    """The attributes of ``module`` that the signature of ``namesake`` names."""
    # torch.nn.LSTM and its kin take *args, **kwargs; their arguments stand in an overload.
    signature, *_ = *get_overloads(namesake.__init__), namesake
    names = (name for name in inspect.signature(signature).parameters if hasattr(module, name))
    return {name: _for_torch(name, getattr(module, name)) for name in names}


def _for_torch(name: str, value: Any) -> Any:
    """An attribute of our module as torch's constructors take it."""
    if name == "bias":
        return value if isinstance(value, bool) else value is not None
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    if isinstance(value, nn.Dropout):  # a layer of that name, made from a number of that name
        return value.p
    if isinstance(value, nn.Module):
        return _build(value, {})
    if isinstance(value, tuple) and value and all(map(callable, value)):
        return as_torch(adapt(value))
    return value
