"""The arguments that a backward takes: the incoming gradient, and what else people hand to it.

A reading is a tuple of roles, one for each positional argument:

    "dy"     the incoming gradient; of several outputs one argument each
    "dys"    the incoming gradients of several outputs, a tuple or dict
    "x"      all inputs, one argument each; "x0", "x1", … one of them
    "cache"  what forward returned beside its output
    "y"      the output
    "kept"   what forward left in the attribute of an output, where it returns something else

Without "dy" and "dys" it is a derivative, f'(x), which has still to be multiplied by the incoming gradient.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch_ref.adapters.calls import parameter_names, takes
from torch_ref.adapters.learning_rates import RATES
from torch_ref.adapters.usual_names import OUTPUT

Roles = tuple[str, ...]

CACHES = {
    "cache",
    "caches",
    "saved",
    "memory",
    "ctx",
    "context",
    "residuals",
    "res",
    "stash",
    "tape",
    "state",
}
_OUTPUTS = {*OUTPUT, "y", "activation", "activated", "s", "result"}
_INCOMING = re.compile(
    r"(d|g|ct|cotangent|eta|up|upstream|err|error|errors|sensitivity|residual"
    r"|d_\w+|d[A-Z]\w*|d[yzahxlosg]|dout\w*|dval\w*|dnext\w*|dloss\w*|dl_?d?\w*|\w*grad\w*|\w*delta\w*|\w*err(or)?_?\w*)"
)


@dataclass(frozen=True)
class Asked:
    """A forward and its backward, as far as matters for what the backward is given."""

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    inputs: int
    outputs: int
    cached: bool = False
    is_pair: bool = False
    keeps_state: bool = False
    is_derivative: bool = False
    output_kept: bool = False
    of_tuples: bool = False

    @property
    def takes_tuple(self) -> bool:
        """Whether the incoming gradients may come as a tuple: of several outputs, or of a tuple of one."""
        return self.outputs > 1 or self.of_tuples


def rate_of(backward: Callable[..., Any], forward: Callable[..., Any]) -> str:
    """The argument of a backward that is the learning rate, or ""; never its first, nor one of forward's."""
    given = parameter_names(forward)
    names = (name for name in parameter_names(backward)[1:] if name not in given)
    return next((name for name in names if name.lower() in (*RATES, "step")), "")


def readings(asked: Asked) -> Iterator[Roles]:
    """The readings that the signature of the backward allows, the likeliest first."""
    several = ("dys",) if asked.takes_tuple else ()
    likely: list[Roles] = []
    if asked.cached:
        likely += [*_in_order_of_names(asked), ("dy", "cache"), *((each, "cache") for each in several)]
        likely += [("dy",), *((each,) for each in several), ()]
    else:
        derivative = [("y",)] if _takes_the_output(asked) else [("x",)]
        if _may_be_derivative(asked):
            likely += derivative
        likely += [*_by_names(asked), ("dy",), ("dy", "x")]
        likely += [roles for each in several for roles in ((each,), (each, "x"))]
        likely += [("dy", "y")]
        if asked.output_kept and asked.inputs > 1:
            likely += [("kept", *(f"x{i}" for i in range(1, asked.inputs)))]
        likely += [*derivative, ("dy", "x0"), *([] if asked.is_pair else [()])]
    rate = {rate_of(asked.backward, asked.forward): 0.0} if rate_of(asked.backward, asked.forward) else {}
    for roles in dict.fromkeys(likely):
        if (roles or takes(asked.backward, 0, **rate)) and takes(
            asked.backward, _count(roles, asked), **rate
        ):
            yield roles


def is_derivative(roles: Roles) -> bool:
    """Whether a backward that is read so does not know the incoming gradient."""
    return not {"dy", "dys"} & {*roles}


def _count(roles: Roles, asked: Asked) -> int:
    sizes = {"dy": asked.outputs, "x": asked.inputs}
    return sum(sizes.get(role, 1) for role in roles)


def needed(backward: Callable[..., Any], forward: Callable[..., Any]) -> list[str]:
    """The parameters that backward has to be given, the rate left out."""
    rate = rate_of(backward, forward)
    return [name for name in parameter_names(backward, required=True) if name != rate]


def is_incoming(name: str) -> bool:
    """Whether the argument's name says that it is an incoming gradient."""
    return _INCOMING.fullmatch(name) is not None


def _in_order_of_names(asked: Asked) -> Iterator[Roles]:
    """backward(cache, dy), if the names say so."""
    names = needed(asked.backward, asked.forward)
    if len(names) == 2 and names[0] in CACHES and names[1] not in CACHES:
        yield ("cache", "dys" if asked.takes_tuple else "dy")


def _by_names(asked: Asked) -> Iterator[Roles]:
    """A reading in which some parameters are called as in forward, or as an output, and one is not."""
    given, names = parameter_names(asked.forward)[: asked.inputs], needed(asked.backward, asked.forward)
    roles = tuple(
        f"x{given.index(name)}" if name in given else "y" if name in _OUTPUTS - {"a", "s"} else "dy"
        for name in names
    )
    if roles.count("dy") == 1 < len(roles):
        yield tuple("dys" if role == "dy" and asked.takes_tuple else role for role in roles)


def _takes_the_output(asked: Asked) -> bool:
    """Whether the one argument is called as an output is, and no input of forward is."""
    names = needed(asked.backward, asked.forward)
    return len(names) == 1 and names[0].lower() in _OUTPUTS and names[0] not in parameter_names(asked.forward)


def _may_be_derivative(asked: Asked) -> bool:
    """Whether as many arguments as there are inputs are more likely these than the incoming gradient."""
    names, given = needed(asked.backward, asked.forward), parameter_names(asked.forward)[: asked.inputs]
    if len(names) != asked.inputs or asked.outputs > 1 or _INCOMING.fullmatch(names[0]):
        return False
    if asked.is_derivative or (names == given and len(names) > 1):
        return True
    return not asked.keeps_state and (asked.is_pair or names == given)
