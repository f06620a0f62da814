"""Side effects of forward and backward: on their inputs, on the weights, and on the next call.

A gradient may be right, and its code still be no good in a training. The first call of a layer that keeps its
first mask is right, and so is that of one whose backward takes a step. So each is called again and again, on
other numbers before its own, and must give what a fresh one gives.
"""

import random
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from scratch import nn
from scratch.copying import deep_copy
from scratch.gradcheck import Objective, named
from scratch.gradcheck.tolerance import half_of_digits
from scratch.nested import leaves, unflatten_as
from torch_ref.adapters.paths import walk
from torch_ref.checker.unwritten import marked_memory

RANDOM = (
    "forward is random: the same input gives another output the second time. Pass the mask as an input, "
    "or compare in eval mode"
)
DRAWING = (
    "forward is random: it keeps a generator of random numbers, so that after another call the same input "
    "gives another output. Pass the mask as an input, or compare without dropout: its rate 0, or eval mode"
)
UNSTEADY = "the same call gives other gradients the second time"
STATEFUL = (
    "forward keeps state between calls: after another call, the same input gives another output. Pass the "
    "state as an input"
)
UNWRITTEN = (
    "the result holds memory that was never written: np.empty gives what lay there before, at times the "
    "right numbers. Fill it, or take np.zeros"
)
KEPT = (
    "forward returns the same array each time, so that the next call overwrites this one's output; return "
    "a new array"
)
# So many calls in all: some code changes its ways only after a few.
_CALLS = 5
# With these, no number that a call gave is evidence of anything.
NO_EVIDENCE = {RANDOM, DRAWING, UNSTEADY, STATEFUL, UNWRITTEN}


def side_effects_of(objective: Objective) -> list[str]:
    """The side effects of forward and backward, a sentence for each."""
    model = _fresh(objective)
    first, again = (_call(each, objective, objective.inputs) for each in (model, _fresh(objective)))
    found = [*getattr(model, "remarks", ())]  # see adapters
    found += [f"{name} is changed in place" for name in first.changed]
    if first.stepped:
        names = ", ".join(first.stepped)
        return [*found, f"a call changes {names}, expected the weights left to the optimizer"]
    if _is_unwritten(objective, first):
        return [*found, UNWRITTEN]
    if not _all_close(first.outputs, again.outputs):
        return [*found, RANDOM]
    if not (_all_close(first.dx, again.dx) and _all_close(first.grads, again.grads)):
        return [*found, UNSTEADY]
    return [*found, *_after_effects(objective, first), *_overwritten_output(objective)]


def _overwritten_output(objective: Objective) -> list[str]:
    """The sentence for an output that changes when another call is made."""
    model = _fresh(objective)
    given, others = deep_copy((objective.inputs, objective.inputs))
    arrays = (x if x is None or x.dtype.kind != "f" else np.flip(x).copy() for _, x in leaves(others))
    with suppress(Exception), np.errstate(all="ignore"), objective.drawing(objective.random_state):
        y = [array for _, array in leaves(model(*given))]
        before = [np.array(array) for array in y]
        model(*unflatten_as(others, arrays))
        if any(not np.array_equal(a, b, equal_nan=_is_floating(b)) for a, b in zip(y, before, strict=True)):
            return [KEPT]
    return []


def _is_unwritten(objective: Objective, first: "_Call") -> bool:
    """Whether nan comes out where memory that nobody wrote is nan."""
    with suppress(Exception), np.errstate(all="ignore"), marked_memory():
        marked = _call(_fresh(objective), objective, objective.inputs)
        now, before = (call.outputs | call.dx | call.grads for call in (marked, first))
        return any(
            np.any(np.isnan(now[name]) & ~np.isnan(x)) for name, x in before.items() if _is_floating(x)
        )
    return False


def _is_floating(array: np.ndarray) -> bool:
    return array.dtype.kind == "f"


def _after_effects(objective: Objective, first: "_Call") -> list[str]:
    """The effects of another call on the next; ``first`` is a call of a fresh model."""
    model, other = _after_another_call(objective)
    later = _call(model, objective, objective.inputs)
    if not all(is_close(y, first.outputs[name]) for name, y in later.outputs.items()):
        return [DRAWING if _keeps_generator(model) else STATEFUL]
    stale = [name for name, dx in later.dx.items() if not is_close(dx, first.dx[name])]
    overwritten: list[str] = []
    for name, g in later.grads.items():
        if not is_close(g, other.grads[name], first.grads[name]):
            (overwritten if is_close(g, first.grads[name]) else stale).append(name)
    found = []
    if overwritten:
        names = ", ".join(overwritten)
        found.append(f"backward overwrites the gradient of {names}, expected it added to what is there")
    if stale:
        names = ", ".join(stale)
        found.append(f"a call keeps state: after another one, backward gives another gradient of {names}")
    return found or _after_many_calls(model, objective, first)


def _keeps_generator(model: nn.Module) -> bool:
    kinds = np.random.Generator | np.random.RandomState | random.Random
    return any(isinstance(value, kinds) for _, value in walk([model]))


def _after_many_calls(model: nn.Module, objective: Objective, first: "_Call") -> list[str]:
    """The effect of several calls on the next; ``model`` has been called twice."""
    for count in range(3, _CALLS + 1):
        model.zero_grad()
        call = _call(model, objective, objective.inputs)
        now, then = (each.outputs | each.dx | each.grads for each in (call, first))
        if other := [name for name, x in then.items() if not is_close(now[name], x)]:
            return [f"a call keeps state: in call {count} {', '.join(other)} is another than in the first"]
    return []


class _Call(NamedTuple):
    """The results of a forward and backward; ``grads`` of the weights, all calls so far added up."""

    outputs: dict[str, np.ndarray]
    dx: dict[str, np.ndarray]
    grads: dict[str, np.ndarray]
    changed: list[str]
    stepped: list[str]


def _fresh(objective: Objective) -> nn.Module:
    model = deep_copy(objective.model)
    model.zero_grad()
    return model


def _call(model: nn.Module, objective: Objective, inputs: Any) -> _Call:
    weights = {name: p.data.copy() for name, p in model.named_parameters()}
    given, dy = deep_copy((inputs, objective.cotangent))
    with objective.drawing(objective.random_state):
        y = model(*given)
        outputs = named("output", [np.array(array) for _, array in leaves(y)])
        dx = model.backward(*(dy if isinstance(dy, tuple) else (dy,)))
    by_input = named("input", [g for _, g in leaves((dx,) if len(inputs) == 1 else dx)])
    parameters = dict(model.named_parameters())
    before, after = _passed(inputs, objective.cotangent), _passed(given, dy)
    return _Call(
        outputs,
        {name: np.array(g) for name, g in by_input.items() if g is not None},
        {name: np.zeros_like(p.data) if p.grad is None else p.grad.copy() for name, p in parameters.items()},
        [name for name, x in before.items() if not _equal({name: x}, after)],
        [name for name, x in weights.items() if not _equal({name: x}, {name: parameters[name].data})],
    )


def smaller(x: np.ndarray) -> np.ndarray:
    """Other numbers for the same argument: in another order and smaller, as those of a range stay in it."""
    return x.dtype.type(0.75) * np.flip(x)


def _other_way_round(x: np.ndarray) -> np.ndarray:
    return -smaller(x)


def _passed(inputs: Any, dy: Any) -> dict[str, np.ndarray]:
    """The arrays that forward and backward are given, by name."""
    named_inputs = {f"input {at}": x for at, x in leaves(inputs)}
    named_dy = {f"dy {at}".strip(): c for at, c in leaves(dy)}
    return {name: x for name, x in (named_inputs | named_dy).items() if x is not None}


def _after_another_call(objective: Objective) -> tuple[nn.Module, _Call]:
    """The model after a call on other inputs: in another order, smaller and negated, as far as it is defined.

    Smaller, since many functions, a sigmoid's slope for one, are the same on negated numbers.
    """
    for other in (_other_way_round, smaller, np.flip):
        arrays = (x if x is None or x.dtype.kind != "f" else other(x) for _, x in leaves(objective.inputs))
        model = _fresh(objective)
        with suppress(Exception), np.errstate(all="ignore"):
            call = _call(model, objective, unflatten_as(objective.inputs, arrays))
            if all(np.all(np.isfinite(a)) for a in (*call.outputs.values(), *call.grads.values())):
                return model, call
    model = _fresh(objective)
    return model, _call(model, objective, objective.inputs)


def _equal(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> bool:
    return all(np.array_equal(a, theirs[name], equal_nan=a.dtype.kind == "f") for name, a in ours.items())


def _all_close(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> bool:
    """Equal but for rounding: sums may be made in no fixed order."""
    return all(is_close(a, theirs[name]) for name, a in ours.items())


def is_close(found: np.ndarray, *summands: np.ndarray) -> bool:
    """Equal but for rounding: a sum over time steps that starts at another number rounds in other places."""
    if found.shape != summands[0].shape:
        return False
    if not _is_floating(found):
        return np.array_equal(found, summands[0])
    if len(summands) == 1 and np.array_equal(found, summands[0]):
        return True
    size = max(np.max(np.abs(each), where=np.isfinite(each), initial=0) for each in summands)
    allowed = half_of_digits(found.dtype) * size
    return bool(np.all(np.isclose(found, sum(summands), rtol=0, atol=allowed, equal_nan=True)))
