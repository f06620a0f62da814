"""mirror(module): the equivalent torch module on the same memory.

The vocabulary is shared, so the twin of ``scratch.nn.Linear`` is found by its name, ``torch.nn.Linear``,
and made with the same constructor arguments, read off the module's attributes by the names in torch's
signature. Its parameters and buffers are then ``torch.from_numpy`` views: nothing is copied, and a step on
either side is a step on both.
"""

import inspect
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, get_overloads

import numpy as np
import torch

from scratch import nn, random
from torch_ref.twin import models


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
    """The scratch module that computes the same as a torch module, from the same memory: mirror, backwards.

    Raises:
        TypeError: a class has no namesake in scratch.nn.
    """
    module = _make_numpy(twin)
    theirs = dict(twin.named_parameters())
    for name, p in module.named_parameters():
        p.adopt(theirs[name].detach().numpy())
        p.requires_grad = theirs[name].requires_grad
    buffers = dict(twin.named_buffers())
    for at, ours in module.named_modules():
        for name, _ in list(ours.named_buffers(recurse=False)):
            ours.register_buffer(name, buffers[f"{at}.{name}" if at else name].numpy(), ours._buffers[name])
    return module.train(twin.training)


def _make_numpy(twin: torch.nn.Module) -> nn.Module:
    if isinstance(twin, torch.nn.Sequential):
        return nn.Sequential({name: _make_numpy(child) for name, child in twin.named_children()})
    namesake = getattr(nn, type(twin).__name__, None)
    if namesake is None or type(twin).__module__.split(".")[0] != "torch":
        raise TypeError(f"reflect: scratch.nn has no twin of {type(twin).__name__}")
    arguments = {}
    for name in inspect.signature(namesake.__init__).parameters:
        own = getattr(namesake, name, None)
        # What we compute from other attributes is computed from torch's, which have the same names.
        found = isinstance(own, property) or hasattr(twin, name)
        value = own.fget(twin) if isinstance(own, property) and own.fget else getattr(twin, name, None)
        if name == "dtype":
            dtypes = {p.dtype for p in twin.parameters()}
            value = np.dtype(str(dtypes.pop()).removeprefix("torch.")) if dtypes else np.float32
        elif name == "bias":
            value = value is not None and value is not False
        elif isinstance(value, torch.Tensor):
            value = value.detach().numpy()
        elif isinstance(value, torch.nn.Dropout):
            value = value.p
        elif isinstance(value, torch.nn.Module):
            value = _make_numpy(value)
        elif name == "activation" and callable(value):
            value = value.__name__
        if found or name == "dtype":
            arguments[name] = value
    state = random.get_rng_state()
    try:
        return namesake(**arguments)
    finally:
        random.set_rng_state(state)


def _parameter(name: str, p: nn.Parameter) -> torch.nn.Parameter:
    return torch.nn.Parameter(tensor(name, p.data), requires_grad=p.requires_grad)


def tensor(name: str, array: np.ndarray) -> torch.Tensor:
    """``array`` as a tensor on the same memory.

    Raises:
        TypeError: torch does not have its dtype.
    """
    try:
        return torch.from_numpy(array)
    except TypeError as error:
        raise TypeError(f"{name} is {array.dtype}, which torch does not have") from error


@contextmanager
def torch_generator(advance: bool = True) -> Iterator[None]:
    """Within, scratch draws from torch's generator; with ``advance=False`` torch's own stays where it is."""
    before = random.get_rng_state()
    random.set_rng_state(torch.get_rng_state().numpy())
    try:
        yield
        if advance:
            torch.set_rng_state(torch.from_numpy(random.get_rng_state()))
    finally:
        random.set_rng_state(before)


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
    """What ``namesake`` is to be made with: the attributes that its signature names."""
    arguments = {}
    # torch.nn.LSTM and its kin take *args, **kwargs; what they mean by it stands in an overload.
    signature, *_ = *get_overloads(namesake.__init__), namesake
    for name in inspect.signature(signature).parameters:
        if not hasattr(module, name):
            continue
        value = getattr(module, name)
        if name == "bias" and not isinstance(value, bool):
            value = value is not None
        elif isinstance(value, np.ndarray):
            value = torch.from_numpy(value)
        elif isinstance(value, nn.Dropout):  # a layer of that name, made from a number of that name
            value = value.p
        elif isinstance(value, nn.Module):
            value = _build(value, {})
        elif isinstance(value, tuple) and value and all(map(callable, value)):
            from torch_ref.adapters.layers import adapt
            from torch_ref.twin.wrap import as_torch  # which imports this module

            value = as_torch(adapt(value))
        arguments[name] = value
    return arguments
