"""The numeric derivative, which is neither side's: found by running the NumPy forward alone.

It is the complex step where the forward is a formula of complex numbers (scratch/gradcheck). Not all code is:
``abs`` drops the imaginary part, ``float(x)`` refuses it. So the forward must be one by its operations
(formula.py), and each tensor's complex gradient must fit a central difference along a random direction. If
not, each entry is differentiated by central differences in the longest floating numbers that the forward
takes, extrapolated to h = 0 (Richardson 1911), and carries an estimate of its own error. On a kink there is
no derivative: both slopes would do, and the error says so.

One forward for each entry is what costs. So the gradients that backward gives in longer numbers are tried
first, along random directions through all entries at once, as a product of matrices is verified (Freivalds
1979): were they not the derivative, twelve directions would hide it once in 10¹³ times. Only then are they
taken for it; else every entry is differentiated.

A forward may take long numbers and still compute with short ones, as one does that fills ``np.zeros(n)``. So
the rounding of L is not looked up but measured.
"""

import copy
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from scratch import nn
from scratch.gradcheck.chain import Chain
from scratch.gradcheck.formula import require_formula
from scratch.gradcheck.numeric import differentiate
from scratch.gradcheck.objective import Gradients, Objective, named
from scratch.gradcheck.rounding import ALL_RUNS, FEW_RUNS
from scratch.gradcheck.step import Step
from scratch.gradcheck.tolerance import VISIBLE, half_of_digits
from scratch.nested import cast, is_floating, leaves

# So long one may wait for one forward for each entry; a bit longer where there are few entries.
MOST_ENTRIES, MOST_SECONDS, LONGEST = 2_000, 4.0, 20.0


COMPLEX = "complex step"


class NumericDerivative(NamedTuple):
    """The gradients by name, how far each entry may itself be off, and the method that found them.

    ``is_finest`` says that they were found in the longest numbers there are.
    """

    gradients: dict[str, np.ndarray]
    errors: dict[str, np.ndarray]
    method: str
    is_finest: bool = False


@contextmanager
def on_other_numbers() -> Iterator[None]:
    """Within, a forward is run on numbers it does not expect: no warning but of a dropped imaginary part.

    That one is an error.
    """
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        yield


def numeric_derivative(
    objective: Objective, claimed: dict[str, np.ndarray] | None = None
) -> NumericDerivative:
    """The gradients of an objective, by the best way that its forward allows; none if it allows no way.

    Given ``claimed``, the gradients that its backward gives, those are tried along random directions first.
    """
    ways = (_complex, _long, _double, _single)
    with on_other_numbers():
        for way in ways if claimed is None else (partial(_confirmed, claimed), *ways):
            try:
                return way(objective)
            except Exception:  # from other people's code, given numbers that it does not expect
                continue
    return NumericDerivative({}, {}, "")


def numerical_gradient(
    model: nn.Module,
    *inputs: np.ndarray,
    loss_fn: nn.Loss | None = None,
    target: np.ndarray | None = None,
    cotangent: np.ndarray | None = None,
    method: str | None = None,
    eps: float | None = None,
    wrt_inputs: bool = True,
) -> Gradients:
    """dL by every entry of every parameter and input, by running forward alone.

    Args:
        model: as for Objective, like inputs, loss_fn, target and cotangent.
        inputs: the model's inputs.
        loss_fn: a loss.
        target: its target.
        cotangent: the weights of the outputs, without a loss.
        method: "complex" or "central"; by default the best that forward allows.
        eps: the step h; by default 1e-30, or for "central" the cube root of the machine epsilon.
        wrt_inputs: False leaves the inputs out, None in their places.

    Computed in float64 or complex128 even for a float32 model: on the same weights, without its rounding.

    Raises:
        TypeError: as Objective.
        ValueError: as Objective; or another method; or an eps that is not above 0; or forward takes no other
            numbers.
    """
    objective = Objective(model, *inputs, loss_fn=loss_fn, target=target, cotangent=cotangent)
    if method is not None or eps is not None:
        return differentiate(objective, Step(method or "complex", eps, objective.dtype), wrt_inputs)
    found = require_numeric_derivative(objective).gradients
    names = named("input", [x for _, x in leaves(inputs)])
    by_input = (found.pop(name, None) for name in names)
    return Gradients(tuple(g if wrt_inputs else None for g in by_input), found)


def require_numeric_derivative(
    objective: Objective, claimed: dict[str, np.ndarray] | None = None
) -> NumericDerivative:
    """numeric_derivative, if there is one.

    Raises:
        ValueError: there is none.
    """
    found = numeric_derivative(objective, claimed)
    if not found.method:
        raise ValueError(
            "gradcheck: there is no numeric derivative, since forward raises an error as soon as its numbers "
            "are moved a little"
        )
    return found


def takes_too_long(objective: Objective, patience: float = 1.0) -> bool:
    """Whether one forward for each entry takes longer than a person waits, ``patience`` times as long."""
    entries = sum(np.size(x) for _, x in leaves(objective.inputs) if is_floating(x))
    entries += sum(p.numel() for p in objective.model.parameters())
    most = LONGEST if entries <= MOST_ENTRIES else patience * MOST_SECONDS
    model, inputs = copy.deepcopy((objective.model, objective.inputs))  # which people's code may change
    # More than once, since other programs may have slowed the first down.
    return all(entries * _seconds(objective.of(model), inputs) > most for _ in range(3))


def _seconds(objective: Objective, inputs: tuple[Any, ...]) -> float:
    start = time.perf_counter()
    objective.forward(objective.model, *inputs)
    return time.perf_counter() - start


def require_slopes(objective: Objective, gradients: dict[str, np.ndarray]) -> None:
    """Refuse gradients that are not, for each tensor, the slope along a random direction.

    Raises:
        ValueError: the slope is another one.
    """
    with on_other_numbers():
        _require_fit(Chain(objective, np.float64), lambda name, v: gradients[name] * v)


def moved_loss(chain: Chain, moves: list[tuple[np.ndarray, Any]]) -> Any:
    """L where these parts of the chain's arrays are moved, each by its own array."""
    befores = [part.copy() for part, _ in moves]
    for part, move in moves:
        part[...] += move
    try:
        return chain.loss(0, *chain.inputs)
    finally:
        for (part, _), before in zip(moves, befores, strict=True):
            part[...] = before


def _complex(objective: Objective) -> NumericDerivative:
    step = Step("complex", None, objective.dtype)
    require_formula(objective, step)
    exact = differentiate(objective, step).named()
    _require_fit(Chain(objective, step.real), lambda name, v: exact[name] * v)
    eps = float(np.finfo(step.real).eps)
    return NumericDerivative(exact, {name: eps * np.abs(g) for name, g in exact.items()}, COMPLEX)


def _confirmed(claimed: dict[str, np.ndarray], objective: Objective) -> NumericDerivative:
    """The gradients of backward in the longest numbers, if the complex step along directions confirms them.

    An entry that is off by more than ten times the largest deviation along any direction would be hidden by
    one of them with a probability of 0.08, since the deviation is normal and at least of that size. So none
    is off by more than a rounding of the largest gradient, which every tolerance allows for.

    Raises:
        ValueError: they are not confirmed, or it does not pay to try.
    """
    step = Step("complex", 2.0**-100, np.dtype(np.longdouble))
    entries = sum(g.size for g in claimed.values())
    has_parameters = any(True for _ in objective.model.parameters())
    if not has_parameters or not _FEWEST_CONFIRMED <= entries <= MOST_ENTRIES or not _is_longer(step):
        raise ValueError("entry by entry")
    require_formula(objective, Step("complex", None, objective.dtype))
    gradients = objective.run(step.real)[1].named()
    sizes = [_largest(g) for g in (*gradients.values(), *_arrays(objective.cotangent))]
    standard, eps = max(sizes), float(np.finfo(np.float64).eps)
    chain = Chain(objective, step.dtype)
    tensors = chain.tensors()
    close = half_of_digits(objective.dtype) * standard
    for name, x in tensors.items():
        g = gradients[name]
        if g.shape != x.shape or not np.all(np.abs(claimed[name] - g) <= close):
            raise ValueError(f"{name} is another in longer numbers")
    rng = np.random.default_rng(1)
    for _ in range(_DIRECTIONS):
        along = {name: rng.standard_normal(x.shape) for name, x in tensors.items()}
        moves = [(x, 1j * step.h * along[name]) for name, x in tensors.items()]
        expected = sum(np.sum(gradients[name] * v) for name, v in along.items())
        if not 10 * abs(step.slope(moved_loss(chain, moves)) - expected) <= eps * standard:
            raise ValueError("the slope along a random direction is another")
    found = {name: gradients[name].astype(np.float64) for name in tensors}
    _require_fit(Chain(objective, np.float64), lambda name, v: found[name] * v)
    errors = {name: eps * np.abs(g) for name, g in found.items()}
    return NumericDerivative(found, errors, COMPLEX, is_finest=True)


# Directions that confirm a gradient, and the fewest entries for which they are fewer forwards.
_DIRECTIONS, _FEWEST_CONFIRMED = 12, 24


def _is_longer(step: Step) -> bool:
    """Whether the numbers of the step are longer than float64's."""
    return bool(np.finfo(step.real).eps < np.finfo(np.float64).eps)


def _arrays(value: Any) -> list[np.ndarray]:
    return [x for _, x in leaves(value) if is_floating(x)]


def _largest(array: np.ndarray) -> float:
    return float(np.max(np.abs(array), initial=0))


def finer(objective: Objective, found: NumericDerivative) -> NumericDerivative:
    """``found``, by the complex step in the longest numbers if it was in shorter ones and forward takes them.

    A forward may lose digits on the way, as 1 - σ(z) does where σ is nearly 1, and so does its complex step.
    """
    step = Step("complex", None, np.dtype(np.longdouble))
    if found.method != COMPLEX or found.is_finest or not _is_longer(step):
        return found
    with on_other_numbers():
        try:
            exact = differentiate(objective, step).named()
        except Exception:  # from other people's code, which need not take these numbers
            return found
    gradients = {name: exact[name].astype(np.float64) for name in found.gradients}
    # As many digits as were lost before are lost again, of a longer number; by chance an entry loses few.
    share = 64 * float(np.finfo(step.real).eps / np.finfo(np.float64).eps)
    errors = {
        name: found.errors[name] + share * np.abs(g - found.gradients[name]) for name, g in gradients.items()
    }
    return found._replace(gradients=gradients, errors=errors)


def _long(objective: Objective) -> NumericDerivative:
    return _extrapolated(Chain(objective, np.longdouble))


def _double(objective: Objective) -> NumericDerivative:
    return _extrapolated(Chain(objective, np.float64))


def _single(objective: Objective) -> NumericDerivative:
    """For code that takes float32 alone: coarse, with errors that say so. L is summed up in float64."""
    chain = Chain(objective, np.float32)
    if objective.loss_fn is None:
        chain.cotangent = cast(objective.cotangent, np.float64)
    return _extrapolated(chain, (1, 4, 16))


Summands = Callable[[str, np.ndarray], np.ndarray]


def _require_fit(chain: Chain, summands: Summands) -> None:
    """Refuse a gradient that is not, for each tensor, the slope along a random direction.

    ``summands(name, v)`` are those of the gradient times v.

    Raises:
        ValueError: the slope is another one.
    """
    # A rounding of which fewer samples were drawn is no larger, so what fits within it does.
    if _misfit(Slopes(chain, FEW_RUNS), summands) and (found := _misfit(Slopes(chain), summands)):
        raise ValueError(found)


def _misfit(slopes: "Slopes", summands: Summands) -> str:
    """A sentence on the first tensor whose slope along a random direction is another one; or "".

    Steps are tried until one is fine enough to show an error of 1e-6: a kink may lie within a long one.
    If none is, as where all is saturated, a slope that fits to the rounding of L will do.
    """
    rng = np.random.default_rng(0)
    for name, array in slopes.chain.tensors().items():
        v = scales(array) * rng.standard_normal(array.shape)
        terms = summands(name, v)
        expected, size = float(np.sum(terms)), float(np.linalg.norm(terms))
        fits: dict[bool, list[bool]] = {True: [], False: []}
        for h in (1e-5, 1e-7, 1e-3, 1e-9):
            slope, error, _ = slopes.along([(array, v)], h)
            sharp = error <= VISIBLE["float64"] * size
            fits[sharp].append(abs(slope - expected) <= error)
            if sharp and fits[sharp][-1]:
                break
        if not any(fits[True] or fits[False]):
            return f"along a random direction of {name} the gradient is {expected:.9g}, the slope another"
    return ""


def _extrapolated(chain: Chain, widths: tuple[int, ...] = (1,)) -> NumericDerivative:
    """Central differences, of each entry with the one of these multiples of h that seems the best."""
    gradients, errors = {}, {}
    slopes = Slopes(chain)
    for name, array in chain.tensors().items():
        steps = slopes.h * scales(array)
        gradient, error = np.empty(array.shape), np.empty(array.shape)
        for index in np.ndindex(array.shape):
            part = array[(*index, ...)]
            found = (slopes.along([(part, 1.0)], width * float(steps[index])) for width in widths)
            gradient[index], error[index] = min(
                ((slope, off + kink) for slope, off, kink in found), key=itemgetter(1)
            )
        gradients[name], errors[name] = gradient, error
    return NumericDerivative(gradients, errors, f"central differences in {chain.dtype}")


class Slopes:
    """L along directions.

    ``rounding`` is how far L may be off, and ``unit`` is that relative to how much L changes with its inputs;
    at a step of ``h``, relative to the inputs, the truncation error of a smooth L, h², and its rounding, u/h,
    are in balance.
    """

    def __init__(self, chain: Chain, samples: int = ALL_RUNS) -> None:
        self.chain, self.samples = chain, samples
        self.here = chain.loss(0, *chain.inputs)
        eps = float(np.finfo(chain.dtype).eps)
        measured, change = self._measured()
        self.rounding = max(measured, 4 * eps * float(abs(self.here)))
        self.unit = max(eps, min(self.rounding / change, 1e-3)) if change else 1e-3
        self.h = float(np.cbrt(self.unit))

    def along(self, directions: list[tuple[np.ndarray, Any]], h: float) -> tuple[float, float, float]:
        """The slope of L if each part moves along its own v, its error, and what a kink adds to the error."""
        right, left, far_right, far_left = (
            moved_loss(self.chain, [(part, step * h * v) for part, v in directions])
            for step in (1, -1, 2, -2)
        )
        near, far = (right - left) / (2 * h), (far_right - far_left) / (4 * h)
        # The extrapolated slope is far better than the two, unless a kink lies between.
        error = abs(near - far) + self.rounding / h
        # The difference of the slopes to both sides doubles with h, unless there is a kink.
        bend, wide_bend = (right + left - 2 * self.here) / h, (far_right + far_left - 2 * self.here) / (2 * h)
        kink = abs(2 * bend - wide_bend)
        return float((4 * near - far) / 3), float(error), float(kink)

    def _measured(self) -> tuple[float, float]:
        """The rounding of L, and how much L changes if everything it depends on changes, relatively.

        Fourth differences of a smooth function leave only its roundings; taken to one side, where there is no
        kink. Steps are an ulp of float64, to show whether float64 is kept; of float32 for arrays that move
        nothing by the former, which may be rounded to it.
        """
        rng = np.random.default_rng(0)
        rounding = change = 0.0
        arrays = [*self.chain.tensors().values()]
        for step in (np.finfo(np.float64).eps, np.finfo(np.float32).eps):
            for _ in range(self.samples if arrays else 0):
                moves = [(x, step * scales(x) * rng.standard_normal(x.shape)) for x in arrays]
                ends = [
                    moved_loss(self.chain, [(part, k * move) for part, move in moves]) for k in (1, 2, 3, 4)
                ]
                fourth = self.here - 4 * ends[0] + 6 * ends[1] - 4 * ends[2] + ends[3]
                rounding = max(rounding, float(abs(fourth)) / 4)
                change = max(change, float(abs(ends[3] - self.here)) / (4 * float(step)))
            arrays = [x for x in arrays if moved_loss(self.chain, [(x, 4 * step * scales(x))]) == self.here]
        return rounding, change


def scales(array: np.ndarray) -> np.ndarray:
    """The size of each entry's steps: the array's own or, of entries that are 1e-8 of it or less, theirs.

    An additive mask of 0 and -1e9 has both.
    """
    size = _size(array)
    small = np.abs(array) < 1e-8 * size
    return np.where(small, min(size, _size(array[small])), size)


def _size(array: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(array)))) or 1.0 if array.size else 1.0
