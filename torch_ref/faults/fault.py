"""Mistakes, and how one is switched on.

A mistake is a wrong version of a formula of scratch.functional, a whole function, as people write it. It
takes the place of the right one while the module that makes it runs, and nowhere else. Few mistakes are not
about a formula but about what a module does around it; those are a wrong version of its ``forward`` or
``backward``.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from inspect import isfunction
from typing import Any

from scratch import functional as F
from scratch import nn
from scratch.copying import deep_copy
from scratch.functional import conv_fast, linear_fast, loss_fast, rnn_fast

PARAMETRIC = "any module with parameters"

# Tuned twins of formulas, by file; a mistake is made in the plain ones.
_FAST: tuple[Any, ...] = (conv_fast, linear_fast, loss_fast, rnn_fast)
# Found once, since a mistake is switched on and off in every forward. F has imported all its files.
_FILES = [file for key, file in sys.modules.items() if key.startswith(F.__name__)]
# The namespaces in which each formula stands, and what takes the place of each tuned twin.
_NAMESPACES = {
    name: [
        *(vars(file) for file in _FILES if vars(file).get(name) is right),
        *(vars(file) for file in _FAST if name in vars(file)),
    ]
    for name, right in vars(F).items()
    if isfunction(right)
}
_PLAIN = [
    (vars(file), name, getattr(F, name)) for file in _FAST for name in vars(file) if name in _NAMESPACES
]


@dataclass(frozen=True)
class Fault:
    """A mistake.

    Args:
        name: in a few words, as the diagnosis says it.
        fix: what to do about it.
        kinds: the classes in which it can be made, by name, or PARAMETRIC.
        formulas: wrong versions of functions of scratch.functional, by name, with the same signature.
        methods: wrong versions of public methods, by name: wrong(module, right, *args), where right(*args)
            is the right method.
        but: the classes in which another fault of this name is made.
    """

    name: str
    fix: str
    kinds: tuple[str, ...]
    formulas: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    methods: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    but: tuple[str, ...] = ()

    def applies(self, module: Any) -> bool:
        """Whether it can be made in this module."""
        kind = type(module).__name__
        if PARAMETRIC in self.kinds:
            return kind not in self.but and any(True for _ in module.parameters(recurse=False))
        return kind in self.kinds


# The mistakes in modules, and those in optimizers.
FAULTS: list[Fault] = []
OPTIMIZER_FAULTS: list[Fault] = []


def wrong_formula(name: str, *kinds: str, fix: str, of: str) -> Callable[[Any], Any]:
    """Enter a function as a mistake: a wrong version of ``of``, a function of scratch.functional.

    A mistake in a formula and in its derivative is entered by ``of="layer_norm layer_norm_backward"``, on a
    function that gives the two wrong ones.
    """

    def enter(wrong: Callable[..., Any]) -> Callable[..., Any]:
        names = of.split()
        versions = (wrong,) if len(names) == 1 else wrong()
        FAULTS.append(Fault(name, fix, kinds, formulas=dict(zip(names, versions, strict=True))))
        return wrong

    return enter


def mistake(
    name: str,
    *kinds: str,
    fix: str,
    method: str = "backward",
    but: tuple[str, ...] = (),
    register: list[Fault] = FAULTS,
) -> Callable[[Any], Any]:
    """Enter a function as a mistake around a formula; ``method`` names what it replaces, one or two."""

    def enter(wrong: Callable[..., Any]) -> Callable[..., Any]:
        register.append(Fault(name, fix, kinds, methods=dict.fromkeys(method.split(), wrong), but=but))
        return wrong

    return enter


@contextmanager
def replaced(formulas: Mapping[str, Callable[..., Any]]) -> Iterator[None]:
    """Let these functions stand in for scratch.functional's, and the plain formulas for their tuned twins."""
    wrong = [(place, name, f) for name, f in formulas.items() for place in _NAMESPACES[name]]
    places = [*_PLAIN, *wrong]
    before = [place[name] for place, name, _ in places]
    for place, name, function in places:
        place[name] = function
    try:
        yield
    finally:
        for (place, name, _), function in zip(reversed(places), reversed(before), strict=True):
            place[name] = function


def inject(fault: Fault, module: Any) -> Any:
    """A copy of ``module`` that makes the mistake."""
    broken = deep_copy(module)
    switch_on(fault, broken)
    return broken


def switch_on(fault: Fault, module: Any) -> None:
    """Let ``module`` itself make the mistake from now on."""
    right = type(module)

    def replacing(name: str, wrong: Callable[..., Any]) -> Callable[..., Any]:
        return lambda self, *args, **kwargs: wrong(self, partial(getattr(right, name), self), *args, **kwargs)

    def running(name: str) -> Callable[..., Any]:
        def run(self: Any, *args: Any, **kwargs: Any) -> Any:
            with replaced(fault.formulas):
                return getattr(right, name)(self, *args, **kwargs)

        return run

    methods = {name: replacing(name, wrong) for name, wrong in fault.methods.items()}
    if fault.formulas:
        methods |= {name: running(name) for name in ("forward", "backward")}
    module.__class__ = type(right.__name__, (right,), methods)


def faults_of(module: nn.Module) -> Iterator[Fault]:
    """The mistakes that can be made in this module."""
    return (fault for fault in FAULTS if fault.applies(module))


def scale_parameters(module: Any, right: Any, factor: float, dy: Any, *args: Any) -> Any:
    """backward, its contribution to the parameter gradients times a factor."""
    before = [0 if p.grad is None else p.grad.copy() for p in module.parameters()]
    dx = right(dy, *args)
    for p, earlier in zip(module.parameters(), before, strict=True):
        p.grad = (p.grad - earlier) * factor + earlier
    return dx
