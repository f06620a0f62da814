"""A description of what was found of a thing, for the messages that say what is missing."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from torch_ref.adapters.calls import parameter_names
from torch_ref.adapters.objects import Adapted
from torch_ref.adapters.paths import entries
from torch_ref.adapters.returned import Given, of_inputs
from torch_ref.adapters.trial import Trial

_LINES = (
    "A parameter is an array that is there before or after the first forward, and its gradient is one of: an "
    "attribute beside it, self.W and self.dW; an entry of the same key in self.grads; what backward returns, "
    "dx, [dW, db]; what backward(dy, learning_rate) moves it by; here or in an object that is kept here"
)


def findings(thing: Any, trial: Trial) -> str:
    """The arrays, the methods and the result of backward, in sentences."""
    arrays = [
        f"{name} {np.shape(v)}" for name, v in entries(trial.built or thing) if isinstance(v, np.ndarray)
    ]
    parts = [f"Found: {_call(trial)}"]
    parts.append(f"arrays {', '.join(arrays[:12])}" if arrays else "no arrays as attributes")
    if trial.after:
        parts.append(f"backward returns {shown(trial.after[1])}")
    return "; ".join(parts) + f". {_LINES}"


def _call(trial: Trial) -> str:
    passes = trial.passes
    return f"methods {passes.forward} and {passes.backward or 'the backward that it returns'}"


def require_input_gradients(thing: Any, trial: Trial, given: Given) -> None:
    """Refuse a backward that leaves no gradient of an input that is not held.

    Raises:
        TypeError: it leaves none.
    """
    if not trial.after or not given.inputs:
        return
    later, result = trial.after
    found = of_inputs(trial.passes, later, result)
    gradients = found if isinstance(found, tuple) else (found,)
    wanted = [i for i, x in enumerate(given.inputs) if i not in given.held and _is_floating(x)]
    if not wanted or (len(gradients) < len(given.inputs) and any(g is not None for g in gradients)):
        return
    missing = [i for i in wanted if i >= len(gradients) or gradients[i] is None]
    if not missing:
        return
    which = ", ".join(f"input {i} {np.shape(given.inputs[i])}" for i in missing)
    left = "nothing, and sets no attribute such as dx, dinputs" if result is None else shown(result)
    raise TypeError(
        f"check: mine: {_subject(thing, trial)} returns {left}: no gradient of "
        f"{which}. Return dL/dx (first), or set self.d{_first_name(trial)}; or, if it is data and has "
        f"no gradient, say check(…, held={missing})"
    )


def _first_name(trial: Trial) -> str:
    """The name of the first input of forward."""
    return next(iter(parameter_names(getattr(trial.after[0], trial.passes.forward))), "x")


def _subject(thing: Any, trial: Trial) -> str:
    return (
        trial.passes.backward
        if isinstance(thing, tuple)
        else f"{type(thing).__name__}.{trial.passes.backward}"
    )


def _is_floating(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"


def readings_of(module: Any) -> tuple[str, ...]:
    """How a thing was read, where it might have been read otherwise."""
    if not isinstance(module, Adapted):
        return ()
    passes, found = module.passes, []
    if passes.is_derivative:
        given = {"y": "the output", "kept": "the output that forward keeps", "cache": "the cache"}
        names = " and ".join(
            given.get(role, "the inputs" if role == "x" else f"input {role[1:]}") for role in passes.roles
        )
        found.append(
            f"{passes.backward} is given {names or 'nothing'} and no incoming gradient: it is taken for the "
            "derivative, and multiplied by dy."
        )
    if others := [own for own, (slot, *_) in module.taken.items() if slot.reordered]:
        found.append(
            f"backward returns the gradients of {', '.join(others)} in another order than they are kept: "
            "each was taken for the array whose slope it is."
        )
    if any(slot.stepped for slot, *_ in module.taken.values()):
        found.append(
            "The gradients of the weights are the steps that backward takes, over the learning rate."
        )
    elif module.updates:
        found.append("The gradients that backward leaves are judged, not the steps that it takes with them.")
    return tuple(found)


def shown(value: Any) -> str:
    """The form of a result: shapes for arrays."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {shown(each)}" for key, each in value.items()) + "}"
    if isinstance(value, tuple | list):
        return _bracketed(value)
    if isinstance(value, np.ndarray):
        return f"array {value.shape}"
    return type(value).__name__ if not isinstance(value, float | int | None) else repr(value)


def _bracketed(value: Sequence[Any]) -> str:
    inner = ", ".join(map(shown, value))
    return f"[{inner}]" if isinstance(value, list) else f"({inner})"
