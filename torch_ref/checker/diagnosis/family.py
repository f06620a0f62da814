"""The formula of ours that gives people's forward, found from the numbers alone.

A reference may be a lambda, a module of one's own, or missing; then nothing says which of our modules people
have written. So all that could give an output of this shape from arrays of these shapes (templates/) are
run on the same numbers, and the first that gives the same output is the family. It is a guess until a mistake
made in it gives exactly the wrong gradient; nothing is said because of the family alone.
"""

import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from scratch import functional as F
from scratch import nn, random
from scratch.copying import deep_copy
from scratch.gradcheck import Objective
from scratch.nested import leaves
from torch_ref.adapters.shapes import without_ones
from torch_ref.checker.diagnosis.bound import Bound, Source
from torch_ref.checker.diagnosis.shapes import held_of
from torch_ref.checker.diagnosis.templates import TEMPLATES, Template

# The search ends here, in seconds, with what it has: it is made where something is wrong already.
SECONDS = 1.5
# Two formulas in float64 differ by less than this, relatively; two in float32 by less than the other.
_SAME = {"float64": 1e-9, "float32": 1e-5}
# The same but for the order of sums: of two guesses that differ in ε alone, the right one.
_EXACT = {"float64": 1e-13, "float32": 1e-6}
_FEW = 6
# Larger arrays are not tried: a module of ours of that size would be drawn anew for each guess.
_MOST = 300_000


@dataclass(frozen=True)
class Family:
    """A module of ours, and where its inputs and parameters come from."""

    core: nn.Module
    inputs: tuple[Source, ...]
    parameters: dict[str, Source]

    def of(self, objective: Objective) -> Bound:
        """The module as one of the objective's inputs and parameters, in its dtype."""
        count = len(list(leaves(objective.inputs)))
        core = deep_copy(self.core).to(objective.dtype)
        _with_buffers(core, objective.model)
        bound = Bound(core, self.inputs, self.parameters, objective.model, count)
        return bound.to(objective.dtype)  # type: ignore[return-value]


def formulas_named() -> set[str]:
    """The names that ``like`` may have: the formulas of scratch.functional and the modules of scratch.nn."""
    formulas = {name for name in F.__all__ if f"{name}_backward" in F.__all__}
    return formulas | {kind for template in TEMPLATES for kind in template.kinds}


def find_families(
    objective: Objective, targets: Sequence[np.ndarray], like: str | None = None
) -> list[Family]:
    """The modules of ours that give ``targets`` on the objective's inputs and parameters, the closest first.

    There may be several: of logarithms of probabilities cross entropy and the negative log-likelihood are
    the same.

    Args:
        objective: people's code and its inputs.
        targets: the outputs by the reference or, without one, by people's code.
        like: the name of a formula or module; only that is tried.
    """
    given = _given(objective)
    if not targets or any(g.array.size > _MOST for g in given):
        return []
    end = time.monotonic() + SECONDS
    state = random.get_rng_state()
    found: list[tuple[bool, Family]] = []
    try:
        with np.errstate(all="ignore"):
            for family in _guesses(given, targets[0], like):
                off = _off(family, objective, targets)
                if off <= _SAME[objective.dtype.name]:
                    # As it is now, in training or not: the next guess may be of the same module.
                    kept = replace(family, core=deep_copy(family.core))
                    found.append((off > _EXACT[objective.dtype.name], kept))
                if len(found) == _FEW or time.monotonic() > end:
                    break
    finally:
        random.set_rng_state(state)
    return [family for _, family in sorted(found, key=lambda each: each[0])]


@dataclass(frozen=True)
class _Given:
    """An array of people's, and where it comes from."""

    array: np.ndarray
    source: Source

    @property
    def is_parameter(self) -> bool:
        return isinstance(self.source.key, str)


def _given(objective: Objective) -> list[_Given]:
    """Inputs, what is held, and parameters."""
    found = [
        _Given(np.asarray(x), Source(i)) for i, (_, x) in enumerate(leaves(objective.inputs)) if x is not None
    ]
    model = objective.model
    for at, value in sorted(held_of(model).items()):
        found.insert(at, _Given(value, Source(None, value)))
    found += [_Given(p.data, Source(name)) for name, p in model.named_parameters()]
    return found


def _guesses(given: Sequence[_Given], y: np.ndarray, like: str | None) -> Iterator[Family]:
    """Every template in every arrangement that fits."""
    for template in TEMPLATES:
        if like is not None and not _is_named(template, like):
            continue
        fewest, most = template.parameters
        if not fewest <= len(given) - template.inputs <= most:
            continue
        for chosen in _arrangements(given, template.inputs):
            rest = [g for g in given if not any(g is c for c in chosen)]
            if all(g.array.dtype.kind in "fc" for g in rest):
                yield from _made(template, chosen, rest, y)


def _is_named(template: Template, like: str) -> bool:
    """Whether a name such as "layer_norm" or "LayerNorm" is one of the template's."""
    plain = like.replace("_", "").lower().removesuffix("loss")
    names = {kind.lower().removesuffix("loss") for kind in template.kinds}
    return plain in names or any(name.removesuffix(f"{n}d") == plain for name in names for n in (1, 2, 3))


def _arrangements(given: Sequence[_Given], count: int) -> Iterable[tuple[_Given, ...]]:
    """Which of the arrays may be the inputs, in which order; as they come is tried first."""
    inputs = [g for g in given if not g.is_parameter]
    if all(g.source.constant is not None for g in inputs):  # of a loss, whose data are held
        inputs = list(given)
    if len(inputs) < count:
        return []
    first = itertools.combinations(inputs, count)
    return itertools.chain(first, itertools.islice(itertools.permutations(inputs, count), 1, 30))


def _made(
    template: Template, chosen: Sequence[_Given], rest: Sequence[_Given], y: np.ndarray
) -> Iterator[Family]:
    """The template's modules with the arrays that are left as parameters, in every order that fits."""
    xs, ps = [g.array for g in chosen], [g.array for g in rest]
    try:
        for module in template.modules(xs, ps, y):
            shapes = {name: p.shape for name, p in module.named_parameters()}
            for bound in itertools.islice(_bindings(list(shapes.items()), rest), 24):
                yield Family(module, tuple(g.source for g in chosen), bound)
    except (ValueError, TypeError, IndexError):  # it cannot be made with these shapes
        return


def _bindings(
    wanted: list[tuple[str, tuple[int, ...]]], rest: Sequence[_Given]
) -> Iterator[dict[str, Source]]:
    """Each parameter of ours with one of people's arrays, all of which are used."""
    if not wanted:
        if not rest:
            yield {}
        return
    (name, shape), *others = wanted
    for at, each in enumerate(rest):
        for transposed in (False, True) if len(shape) > 1 else (False,):
            own = each.array.shape[::-1] if transposed else each.array.shape
            if without_ones(own) == without_ones(shape):
                left = [*rest[:at], *rest[at + 1 :]]
                source = each.source._replace(transposed=transposed)
                for more in _bindings(others, left):
                    yield {name: source} | more


def _off(family: Family, objective: Objective, targets: Sequence[np.ndarray]) -> float:
    """How far its output is from the one looked for, relatively; inf if it cannot run.

    A module with statistics is tried in training and, if people's has statistics too, with those.
    """
    buffers = _with_buffers(family.core, objective.model)
    for training in (True, False) if buffers else (True,):
        family.core.train(training)
        try:
            y = [a for _, a in leaves(objective.forward(family.of(objective), *objective.inputs))]
        except (ValueError, TypeError, IndexError, RuntimeError):
            return np.inf
        if len(y) == len(targets):
            off = max(map(_distance, y, targets))
            if off <= _SAME[objective.dtype.name]:
                return off
    return np.inf


def _with_buffers(core: nn.Module, people: nn.Module) -> bool:
    """Give the statistics of people's to ours, if both have some."""
    # Of two of one name the outer one: an adapter holds it in the place of that inside.
    theirs = {name.rpartition(".")[2]: b for name, b in reversed(list(people.named_buffers()))}
    own = [(name, b) for name, b in core.named_buffers() if b.dtype.kind == "f"]
    if not own or not all(name in theirs and theirs[name].shape == b.shape for name, b in own):
        return False
    for name, b in own:
        b[...] = theirs[name]
    return True


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    if np.shape(a) != np.shape(b):
        return np.inf
    scale = float(np.max(np.abs(b), initial=0)) or 1.0
    off = float(np.max(np.abs(np.asarray(a) - b), initial=0)) / scale
    return off if np.isfinite(off) else np.inf
