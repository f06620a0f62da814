"""One call of a forward and backward on a copy, to see how they are called and where they leave results.

People's code says little about itself. So it is run once, on the inputs of the check and a random incoming
gradient: whether forward returns its output or keeps it, whether there is a cache beside it, which arguments
backward takes, which arrays stay from call to call (parameters do, activations do not), which ones backward
changes.
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from scratch import random
from scratch.nested import leaves
from torch_ref.adapters.calls import as_outputs, parameter_names, takes
from torch_ref.adapters.flat import copied
from torch_ref.adapters.methods import Pair, is_derivative
from torch_ref.adapters.passes import OUTPUTS, Passes
from torch_ref.adapters.paths import ABSENT, Path, entries, get, walk
from torch_ref.adapters.readings import CACHES, Asked, is_incoming, rate_of, readings
from torch_ref.adapters.returned import Given, located, of_inputs

# A power of two, so that dividing by it rounds nothing; so large that of w - rate · dw the digits of dw stay.
RATE = 2.0**20


@dataclass(frozen=True)
class Trial:
    """A forward and a backward that ran.

    Args:
        passes: how they are called.
        built: a copy of the thing after a forward, before the backward.
        after: [a copy of it after the backward, what backward returned].
        persistent: the paths in ``built`` of the arrays that another forward leaves in their places.
        fleeting: the paths of those that it replaces.
        inputs: what it was called with.
        dy: the incoming gradients of its backward, one for each output.
    """

    passes: Passes
    built: Any = None
    after: list[Any] = field(default_factory=list)
    persistent: frozenset[Path] = frozenset()
    fleeting: frozenset[Path] = frozenset()
    inputs: tuple[Any, ...] = ()
    dy: tuple[np.ndarray, ...] = ()


def tried(thing: Any, methods: tuple[str, str], given: Given) -> Trial:
    """A trial of ``thing``; one that knows no more than the names of methods, if it cannot be run."""
    plain = Trial(_untried(thing, methods))
    if not given.inputs:
        return plain
    with unnoticed():
        try:
            return _run(thing, methods, given)
        except Exception:  # from people's code; the check itself will raise it
            return plain


def _untried(thing: Any, methods: tuple[str, str]) -> Passes:
    """The calls as the signatures have them; what forward returns is taken for its output."""
    passes = Passes(*methods)
    if not passes.backward or not isinstance(thing, Pair):
        return passes
    inputs = max(1, len(parameter_names(thing.forward, required=True)))
    roles = next(readings(Asked(thing.forward, thing.backward, inputs, 1, is_pair=True)), ("dy", "x"))
    return replace(passes, roles=roles)


def _run(thing: Any, methods: tuple[str, str], given: Given) -> Trial:
    inputs = given.inputs
    built = copied(thing)
    passes, y, cache = _forward(built, Passes(*methods, held=given.held), inputs)
    stays = _persistent(built, passes, inputs)
    rng = np.random.default_rng(0)
    dy = [rng.standard_normal(np.shape(each)) for _, each in leaves(as_outputs(y))]
    for reading in _readings(built, passes, inputs, y, cache):
        other = copied(built)
        again, saved = reading.run_forward(other, copy.deepcopy(tuple(inputs)), True)
        before = dict(entries(other))
        try:
            result = reading.run_backward(other, copy.deepcopy(dy), (tuple(inputs), again, saved), RATE)
            found = located(reading, other, before, result, given)
            if found.is_derivative:
                dx = of_inputs(found, other, result)
                found.times(dy[0], dx, again, inputs)
        except Exception:  # from another reading's arguments
            continue
        return Trial(found, built, [other, result], *stays, inputs, tuple(dy))
    return Trial(passes, built, [], *stays, inputs)


def _forward(built: Any, passes: Passes, inputs: Sequence[Any]) -> tuple[Passes, Any, Any]:
    """(how it is called, output, cache) of a forward that may keep its output, or add a cache to it."""
    before = dict(entries(built))
    result, _ = passes.run_forward(built, copy.deepcopy(tuple(inputs)), True)
    if result is None:
        name = _kept_output(built, before, inputs)
        return replace(passes, output=name), getattr(built, name), None
    if not isinstance(result, tuple | list) or len(result) < 2:
        return passes, result, None
    backward = getattr(built, passes.backward) if passes.backward else None
    if _has_cache_second(backward, result):
        return replace(passes, cached=True, behind=len(result) - 2), result[0], result[1]
    has_cache = backward is None or not _is_output(result[-1])
    if not has_cache:
        keeps_nothing = isinstance(built, Pair) or _same_objects(before, dict(entries(built)))
        has_cache = _asks_for_cache(backward, len(result), len(inputs), keeps_nothing)
    if not has_cache:
        return passes, result, None
    *outputs, cache = result
    return replace(passes, cached=True), outputs[0] if len(outputs) == 1 else tuple(outputs), cache


def _has_cache_second(backward: Any, result: Sequence[Any]) -> bool:
    """Whether forward returns (output, cache, …), statistics behind the cache that backward asks for."""
    names = [] if backward is None else parameter_names(backward, required=True)
    return (
        len(result) > 2
        and isinstance(result[0], np.ndarray)
        and isinstance(result[1], tuple | list | dict)
        and len(names) == 2
        and bool({*names} & CACHES)
    )


def _same_objects(before: dict[Any, Any], after: dict[Any, Any]) -> bool:
    return before.keys() == after.keys() and all(after[key] is value for key, value in before.items())


def _asks_for_cache(backward: Any, returned: int, inputs: int, keeps_nothing: bool) -> bool:
    """Whether backward takes as many arguments as forward returns arrays, the last in place of a cache.

    So it does in a pair of functions, and in an object that keeps nothing; in another if its name says so.
    """
    if not takes(backward, returned) or takes(backward, returned + inputs):
        return False
    names = parameter_names(backward, required=True)
    if names and names[-1] in CACHES:
        return True
    return keeps_nothing and not (names and all(map(is_incoming, names)))


def _is_output(value: Any) -> bool:
    """Whether it may be an output: an array or number, or a tuple of them."""
    if isinstance(value, tuple | list):
        return bool(value) and all(_is_output(each) for each in value)
    return isinstance(value, np.ndarray | np.number | float)


def _kept_output(built: Any, before: dict[str, Any], inputs: Sequence[Any]) -> str:
    """The attribute in which forward left its output: one that it set, of a name that says so."""
    fresh = {
        name: value
        for name, value in entries(built)
        if isinstance(name, str)
        and isinstance(value, np.ndarray | np.number | float)
        and value is not before.get(name, ABSENT)
    }
    if name := next((name for name in OUTPUTS if name in fresh), ""):
        return name
    same = [name for name, value in fresh.items() if not any(_equals(value, x) for x in inputs)]
    if len(same) == 1:
        return same[0]
    raise TypeError(f"forward returns None, and sets {[*fresh]}")


def _equals(value: Any, x: Any) -> bool:
    return np.shape(value) == np.shape(x) and bool(np.array_equal(value, x))


def _persistent(built: Any, passes: Passes, inputs: Sequence[Any]) -> tuple[frozenset[Path], frozenset[Path]]:
    """The paths of the floating arrays that are the same object after another forward, and of the others."""
    other = copied(built)
    arrays = {path: value for path, value in walk([other]) if is_number_array(value)}
    passes.run_forward(other, copy.deepcopy(tuple(inputs)), True)
    persistent = frozenset(path for path, value in arrays.items() if get([other], path) is value)
    return persistent, frozenset(arrays) - persistent


def is_number_array(value: Any) -> bool:
    """Whether it may be a parameter: a floating array, or a float."""
    return isinstance(value, float) or (isinstance(value, np.ndarray) and value.dtype.kind == "f")


def _readings(built: Any, passes: Passes, inputs: Sequence[Any], y: Any, cache: Any) -> Iterator[Passes]:
    backward = getattr(built, passes.backward) if passes.backward else cache
    is_pair = isinstance(built, Pair)
    asked = Asked(
        forward=getattr(built, passes.forward),
        backward=backward,
        inputs=len(inputs),
        outputs=len(list(leaves(as_outputs(y)))),
        cached=passes.cached and bool(passes.backward),
        is_pair=is_pair,
        keeps_state=not is_pair and any(value is x for _, value in walk([built]) for x in (*inputs, y)),
        is_derivative=is_derivative(passes.backward),
        output_kept=any(name in OUTPUTS for name, _ in entries(built)),
        of_tuples=isinstance(y, tuple) and any(isinstance(x, tuple) for x in inputs),
    )
    for roles in readings(asked):
        yield replace(passes, roles=roles, rate=rate_of(backward, asked.forward))


@contextmanager
def unnoticed() -> Iterator[None]:
    """Within, random numbers are drawn that leave no trace, and NumPy warns of nothing."""
    ours, numpys = random.get_rng_state(), np.random.get_state()
    try:
        with np.errstate(all="ignore"):
            yield
    finally:
        random.set_rng_state(ours)
        np.random.set_state(numpys)
