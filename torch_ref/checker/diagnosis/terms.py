"""A term too many, a term that is missing, and a factor that differs from entry to entry."""

from collections.abc import Callable, Iterator

import numpy as np

from scratch.functional.elementary import sigma
from scratch.gradcheck import Objective
from scratch.gradcheck.derivative import numeric_derivative
from torch_ref.checker.diagnosis.cause import Cause, is_right
from torch_ref.checker.diagnosis.known import arrays_of, negated
from torch_ref.checker.verdict import TensorVerdict

# ---- a term


def added(t: TensorVerdict, objective: Objective) -> Cause | None:
    """A multiple of an array that is at hand is added, or the same number all along an axis is missing."""
    for name, words, array in _terms(t, objective):
        error = t.ours - t.expected
        square = float(np.sum(array * array))
        c = float(np.sum(error * array)) / square if square else 0.0
        if not c or not np.isfinite(c) or np.count_nonzero(array) < 2:
            continue
        if is_right(t, t.ours - c * array) and not is_right(t, t.ours):
            fix = (
                "weight decay belongs to the optimizer, or into the loss as well" if "decay" in words else ""
            )
            evidence = f"without {c:.6g} times it, it equals the numeric derivative"
            return Cause(words.format(name), evidence, fix, (t.name,))
    return _same_along_an_axis(t)


def _terms(t: TensorVerdict, objective: Objective) -> Iterator[tuple[str, str, np.ndarray]]:
    """(name, sentence, array) of what may be added by mistake."""
    known = {name: x for name, x in arrays_of(objective).items() if x.shape == t.ours.shape}
    own = known.pop(t.name, None)
    if own is not None:
        itself = "a multiple of the {} itself is added"
        is_input = t.name.startswith("input")
        yield t.name, itself.format("input") if is_input else f"{itself.format('weight')}: weight decay", own
        yield t.name, "a multiple of its own signs is added: L1 decay", np.sign(own)
    for name, x in known.items():
        yield name, "a multiple of {} is added or missing", x
    yield "", "the same number is added to every entry", np.ones_like(t.ours)


def _same_along_an_axis(t: TensorVerdict) -> Cause | None:
    """An error that is the same for all entries along an axis: a sum or mean that is not subtracted."""
    error = np.where(t.decidable, t.ours - t.expected, 0)
    for axis in range(error.ndim):
        if error.shape[axis] < 3 or not np.all(t.decidable):
            continue
        mean = error.mean(axis=axis, keepdims=True)
        # One number would be an error of that many entries anyway.
        if is_right(t, t.ours - mean) and not is_right(t, t.ours):
            each = "row" if axis == error.ndim - 1 else "column" if axis == 0 else f"slice along axis {axis}"
            name = f"the same amount is missing in each {each}"
            fix = f"subtract the sum or the mean over axis {axis} that the derivative has, such as Σ y dy"
            return Cause(name, f"all entries along axis {axis} are off by the same number", fix, (t.name,))
    return None


# ---- a factor that differs


# What gets into a gradient, or is left out of it, element by element; {} is the array.
_ENTRIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "{}": lambda z: z,
    "σ({})": sigma,
    "1 - σ({})": lambda z: 1 - sigma(z),
    "the slope σ(1 - σ) of the sigmoid at {}": lambda z: sigma(z) * (1 - sigma(z)),
    "the slope 1 - tanh² of tanh at {}": lambda z: 1 - np.tanh(z) ** 2,
    "1 - {}": lambda z: 1 - z,
    "1 - {}²": lambda z: 1 - z * z,
    "the slope {0} (1 - {0})": lambda z: z * (1 - z),
    "{}²": lambda z: z * z,
    "exp({})": np.exp,
    "tanh({})": np.tanh,
    "|{}|": np.abs,
    "the sign of {}": np.sign,
    "cos({})": np.cos,
    "the root of {}": lambda z: np.sqrt(np.abs(z)),
}


def multiplied(t: TensorVerdict, objective: Objective) -> Cause | None:
    """A factor that is a function of an array at hand is missing, or is there and should not be.

    Also a mask: it is right where a number is positive, and should be 0 elsewhere.
    """
    for name, x in arrays_of(objective).items():
        if x.shape != t.ours.shape:
            continue
        if found := _masked(t, name, x, objective):
            return found
        for words, f in _ENTRIES.items():
            with np.errstate(all="ignore"):
                factor = f(x)
                if not np.all(np.isfinite(factor)) or not np.ptp(factor):
                    continue
                missing, extra = t.ours * factor, t.ours / factor
            sentence = words.format(name)
            if is_right(t, missing):
                return _named(f"the factor {sentence} is missing", f"times {sentence}", t)
            if np.all(np.isfinite(extra)) and is_right(t, extra, float(np.max(1 / np.abs(factor)))):
                return _named(f"the factor {sentence} is too much", f"divided by {sentence}", t)
    return None


def _named(name: str, by: str, t: TensorVerdict) -> Cause:
    return Cause(name, f"{by} it equals the numeric derivative", "", (t.name,))


def _masked(t: TensorVerdict, name: str, x: np.ndarray, objective: Objective) -> Cause | None:
    """Wrong exactly where an input is on one side of a number: not cut off there, or cut off."""
    wrong = t.wrong(t.ours)
    if np.all(wrong) or not np.any(wrong):
        return None
    for where, sign in ((f"{name} ≤ 0", -1.0), (f"{name} > 0", 1.0)):
        on = _is_closed(x, sign)
        if np.all(on[wrong]) and is_right(t, np.where(on, 0, t.ours)) and _shown(t, name, objective, sign):
            fix = f"no gradient passes there: multiply by the mask, 0 where {where}"
            evidence = (
                "set to 0 there, it equals the numeric derivative; at numbers of the other sign as well"
            )
            return Cause(f"the gradient passes where {where}: a closed unit", evidence, fix, (t.name,))
    return _beyond(t, name, x, wrong)


def _is_closed(x: np.ndarray, sign: float) -> np.ndarray:
    return x > 0 if sign > 0 else x <= 0


def _shown(t: TensorVerdict, name: str, objective: Objective, sign: float) -> bool:
    """Whether the same is wrong where the numbers have the other sign, and so the other entries.

    Were the entries on that side by chance, as those of a padding row may be, others would be wrong there.
    """
    try:
        other = negated(objective, name)
        ours, exact = other.run()[1].named()[t.name], numeric_derivative(other).gradients[t.name]
        x = arrays_of(other)[name]
    except (KeyError, TypeError, ValueError):  # no input or parameter, or not defined there
        return False
    on = _is_closed(x, sign)
    if ours.shape != exact.shape or not np.any(on) or not np.any(ours[on]):
        return False
    off = np.abs(np.where(on, 0, ours) - exact)
    return bool(np.all(off <= np.sqrt(np.finfo(objective.dtype).eps) * np.max(np.abs(ours))))


def _beyond(t: TensorVerdict, name: str, x: np.ndarray, wrong: np.ndarray) -> Cause | None:
    """Wrong exactly where a number is larger than some limit."""
    size = np.abs(x)
    beyond, within = np.min(size[wrong]), np.max(size[~wrong])
    closed, opened = np.all(t.ours[wrong] == 0), np.all(t.expected[wrong] == 0)
    if beyond > within and (closed or opened):
        what = "is cut off" if closed else "passes"
        limit = f"between {within:.3g} and {beyond:.3g}"
        sentence = f"the gradient {what} where |{name}| is beyond a limit {limit}"
        return Cause(sentence, "it is right everywhere else", "", (t.name,))
    return None
