"""What a mistake is, and how it is switched on."""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from scratch import nn

PARAMETRIC = "any module with parameters"


@dataclass(frozen=True)
class Fault:
    """A mistake.

    Args:
        name: in a few words, as the diagnosis says it.
        remedy: what to do about it.
        kinds: the classes in which it can be made, by name, or PARAMETRIC.
        methods: the methods that it replaces, and what takes the place of each: wrong(module, right, *args),
            where right(*args) is the right method.
    """

    name: str
    remedy: str
    kinds: tuple[str, ...]
    methods: Mapping[str, Callable[..., Any]]

    def applies(self, module: Any) -> bool:
        """Whether it can be made in this module."""
        if PARAMETRIC in self.kinds:
            return any(True for _ in module.parameters(recurse=False))
        return type(module).__name__ in self.kinds


# Of modules, and of optimizers.
FAULTS: list[Fault] = []
OPTIMIZER_FAULTS: list[Fault] = []


def mistake(
    name: str, *kinds: str, remedy: str, method: str = "backward", register: list[Fault] = FAULTS
) -> Callable[[Any], Any]:
    """Enter a function as a mistake; ``method`` names what it replaces, two methods with a space between."""

    def enter(wrong: Callable[..., Any]) -> Callable[..., Any]:
        register.append(Fault(name, remedy, kinds, dict.fromkeys(method.split(), wrong)))
        return wrong

    return enter


def inject(fault: Fault, module: Any) -> Any:
    """A copy of ``module`` that makes the mistake."""
    broken = copy.deepcopy(module)
    switch_on(fault, broken)
    return broken


def switch_on(fault: Fault, module: Any) -> None:
    """Let ``module`` itself make the mistake from now on."""
    right = type(module)

    def replacing(name: str, wrong: Callable[..., Any]) -> Callable[..., Any]:
        return lambda self, *args, **kwargs: wrong(self, partial(getattr(right, name), self), *args, **kwargs)

    methods = {name: replacing(name, wrong) for name, wrong in fault.methods.items()}
    module.__class__ = type(right.__name__, (right,), methods)


def faults_of(module: nn.Module) -> Iterator[Fault]:
    """Those that can be made in this module."""
    return (fault for fault in FAULTS if fault.applies(module))


def scale_parameters(module: Any, right: Any, factor: float, dy: Any, *args: Any) -> Any:
    """backward, what it adds to the parameter gradients times a factor."""
    before = [0 if p.grad is None else p.grad.copy() for p in module.parameters()]
    dx = right(dy, *args)
    for p, earlier in zip(module.parameters(), before, strict=True):
        p.grad = (p.grad - earlier) * factor + earlier
    return dx
