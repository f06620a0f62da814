"""From a wrong gradient to the mistake that made it, if that can be proved.

A cause is named only if it has been confirmed, in one of two ways. Either it was reproduced: the mistake,
made in our own module of the same kind and on the same numbers (faults), gives to the last digits the very
gradient that is wrong. Or the wrong gradient was corrected, by a factor or by putting its entries in other
places, and then equals the numeric derivative. Any other is called unknown, and described by the pattern of
its wrong entries.
"""

import copy
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scratch import nn
from scratch.gradcheck import INCONCLUSIVE, Objective
from scratch.nested import leaves
from torch_ref.checker.comparison import Comparison
from torch_ref.checker.verdict import CORRECT_FOR_FORWARD, TensorVerdict
from torch_ref.faults import Fault, faults_of, switch_on


@dataclass(frozen=True)
class Cause:
    """The cause of a wrong gradient.

    Args:
        name: the mistake, or "unknown".
        evidence: what confirmed it; for an unknown one, which entries are wrong.
        fix: what to do.
        tensors: those it explains.
    """

    name: str
    evidence: str
    fix: str
    tensors: tuple[str, ...]

    def __str__(self) -> str:
        fix = f" Fix: {self.fix}." if self.fix else ""
        return f"{self.name} ({', '.join(self.tensors)}): {self.evidence}.{fix}"


# Numbers made again, by a mistake or by a correction, round as well: they may be off by so many tolerances
# and by so much of the largest entry.
TOLERANCES = 4
_OF_LARGEST_REPRODUCED, _OF_LARGEST_CORRECTED = 1e-12, 1e-11

REPRODUCED = "reproduced: this mistake gives exactly your gradient"


def diagnose(objective: Objective, comparison: Comparison, right: nn.Module | None) -> list[Cause]:
    """The confirmed causes of what is wrong on the NumPy side; if there is none, the patterns of the errors.

    Where NumPy and PyTorch give the same, and only the numeric derivative differs, no mistake of NumPy's is
    looked for.

    Args:
        objective: of the comparison, in float64.
        comparison: its result.
        right: our own module of the same kind with the same weights, if we have one.
    """
    others = ("PyTorch is wrong", CORRECT_FOR_FORWARD, INCONCLUSIVE)
    wrong = [t for t in comparison.wrong if t.verdict not in others and _differ(t, t.ours, t.reference)]
    if not wrong:
        return []
    comparable = all(2 * t.kinks <= t.expected.size for t in wrong if _same_shape(t))
    reproduced = (
        _reproductions(objective, comparison, right, wrong) if right is not None and comparable else []
    )
    if reproduced:
        names = tuple(t.name for t in wrong)
        return [Cause(name, REPRODUCED, fix, names) for name, fix in reproduced]
    return _merged([_explained(t, objective) for t in wrong])


def _explained(t: TensorVerdict, objective: Objective) -> Cause:
    """The cause of one wrong tensor, or its pattern."""
    found = _correction(t, objective) if t.numeric is not None else None
    return found or Cause("unknown", _pattern(t), "", (t.name,))


def _same_shape(t: TensorVerdict) -> bool:
    return t.ours.shape == t.reference.shape


def _differ(t: TensorVerdict, ours: np.ndarray, theirs: np.ndarray) -> bool:
    """Whether these two, in place of NumPy's and PyTorch's, differ by more than rounding."""
    return ours.shape != theirs.shape or bool(
        np.any(replace(t, reference=theirs, numeric=None, doubt=0.0).wrong(ours))
    )


def _merged(causes: list[Cause]) -> list[Cause]:
    """One cause for all tensors that have the same."""
    together: dict[tuple[str, str, str], tuple[str, ...]] = {}
    for c in causes:
        key = (c.name, c.evidence, c.fix)
        together[key] = together.get(key, ()) + c.tensors
    return [Cause(*key, tensors) for key, tensors in together.items()]


# ---- reproduced


def _reproductions(
    objective: Objective, comparison: Comparison, right: nn.Module, wrong: list[TensorVerdict]
) -> list[tuple[str, str]]:
    """(name, fix) of each fault that gives NumPy's numbers in every tensor."""
    found: list[tuple[str, str]] = []
    unbroken = _numbers(objective, right)
    if unbroken is None:
        return found
    for broken, where, fault in _broken(right):
        if (fault.name, fault.fix) in found:
            continue  # made in the whole already, so that one of its parts making it is no other cause
        numbers = _numbers(objective, broken)
        if numbers is None or not all(_same(t, numbers[t.name]) for t in comparison.tensors):
            continue
        # A mistake that changes nothing on these numbers explains nothing.
        if all(_differ(t, numbers[t.name], unbroken[t.name]) for t in wrong):
            found.append((f"{where}{fault.name}", fault.fix))
    return found


def _numbers(objective: Objective, model: nn.Module) -> dict[str, np.ndarray] | None:
    """Outputs and gradients; None where a fault cannot be made, with these shapes or out of a domain."""
    try:
        with np.errstate(all="ignore"):
            outputs, gradients = objective.of(model).run()
    except (ValueError, TypeError, IndexError):
        return None
    return {name: np.asarray(array) for name, array in (outputs | gradients.named()).items()}


def _broken(right: nn.Module) -> Iterator[tuple[nn.Module, str, Fault]]:
    """Every module that differs from the right one by one fault in one place."""
    for at, module in right.named_modules():
        for fault in faults_of(module):
            broken = copy.deepcopy(right)
            switch_on(fault, dict(broken.named_modules())[at])
            yield broken, f"{at}: " if at and not at.startswith("loss_fn") else "", fault


def _same(t: TensorVerdict, other: np.ndarray) -> bool:
    if other.shape != t.ours.shape:
        return False
    allowed = _OF_LARGEST_REPRODUCED * np.max(np.abs(other), where=np.isfinite(other), initial=0)
    if not _same_shape(t):
        return bool(np.allclose(t.ours, other, rtol=0, atol=allowed, equal_nan=True))
    judged = t.decidable
    allowed = allowed + TOLERANCES * t.tolerance[judged]
    return bool(np.all(np.isclose(t.ours[judged], other[judged], rtol=0, atol=allowed, equal_nan=True)))


# ---- corrected


def _correction(t: TensorVerdict, objective: Objective) -> Cause | None:
    """The correction that makes the wrong gradient right, if enough of it can be judged to say so."""
    if 2 * t.kinks > t.expected.size:
        return None
    found = _scaled(t, objective) if t.ours.shape == t.expected.shape else None
    if found:
        return found
    for name, corrected in _rearranged(t.ours):
        if corrected.shape == t.expected.shape and _is_right(t, corrected):
            return Cause(name, "corrected so, it equals the numeric derivative", "", (t.name,))
    return None


def _scaled(t: TensorVerdict, objective: Objective) -> Cause | None:
    """The factor by which the whole gradient is wrong."""
    if not np.any(t.ours):
        return Cause("no gradient arrives", "all entries are 0", "", (t.name,))
    ratio = _ratio(t)
    # A gradient that is right up to rounding is right with any factor close to 1.
    if not np.isfinite(ratio) or not ratio or not _has_factor(t, ratio) or _has_factor(t, 1.0):
        return None
    if _ignores_dy(t, objective):
        fix = "multiply what backward returns by dy"
        return Cause("backward ignores the incoming gradient", "it is right only for dy = 1", fix, (t.name,))
    names = [name for name, factor in _factors(objective).items() if _has_factor(t, factor)]
    # One number is some multiple of any other: that alone proves nothing.
    if not names and np.count_nonzero(np.abs(t.expected[t.decidable]) > t.tolerance[t.decidable]) < 2:
        return None
    factor = " or ".join(names) or f"{ratio:.9g}"
    evidence = f"divided by {ratio:.9g} it equals the numeric derivative"
    return Cause(f"a factor of {factor} too much", evidence, "", (t.name,))


def _ignores_dy(t: TensorVerdict, objective: Objective) -> bool:
    """Whether a single incoming gradient is the number by which the gradient is wrong."""
    dy = [c for _, c in leaves(objective.cotangent) if c is not None]
    return len(dy) == 1 and dy[0].size == 1 and _has_factor(t, 1 / dy[0].item())


def _ratio(t: TensorVerdict) -> float:
    """NumPy's by the expected, the least squares' factor; 0 where nothing is expected."""
    mine, exact = t.ours[t.decidable], t.expected[t.decidable]
    square = float(np.sum(exact * exact))
    return float(np.sum(mine * exact)) / square if square else 0.0


def _has_factor(t: TensorVerdict, factor: float) -> bool:
    return _is_right(t, t.ours / factor, 1 / abs(factor))


def _is_right(t: TensorVerdict, corrected: np.ndarray, scale: float = 1.0) -> bool:
    judged = t.decidable
    allowed = TOLERANCES * t.tolerance[judged] * max(1.0, scale) + _OF_LARGEST_CORRECTED * np.max(
        np.abs(t.expected), initial=0
    )
    return bool(np.all(np.isclose(corrected[judged], t.expected[judged], rtol=0, atol=allowed)))


def _factors(objective: Objective) -> dict[str, float]:
    """Numbers that get into a gradient by mistake, by name; several of the same size may fit."""
    x: Any = next((a for _, a in leaves(objective.inputs) if a is not None), np.zeros(1))
    y: Any = next((a for _, a in leaves(objective.y) if a is not None), np.zeros(1))
    sizes = {"the batch size": len(x) if x.ndim > 1 else 1, "the number of outputs": np.size(y)}
    if x.ndim > 2:
        sizes["the second size of the input"] = x.shape[1]
    if np.ndim(y) > 1:
        sizes["the last size of the output"] = np.shape(y)[-1]
    factors = {"-1": -1.0, "2": 2.0, "1/2": 0.5}
    for name, n in sizes.items():
        if n > 2:
            factors |= {f"{name}, {n},": n, f"1 by {name}, {n},": 1 / n}
            factors |= {f"N/(N-1), N {name},": n / (n - 1), f"(N-1)/N, N {name},": (n - 1) / n}
    return factors


def _rearranged(mine: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """The same numbers in other places."""
    if mine.ndim == 2:
        yield "it is transposed", mine.T
    for axis in range(mine.ndim):
        if mine.shape[axis] > 1:
            yield f"axis {axis} is the wrong way round", np.flip(mine, axis)
    if mine.ndim > 2:
        yield "the kernel is flipped", np.flip(mine, tuple(range(2, mine.ndim)))
    for names in ("ifgo", "rzn"):
        if mine.ndim and mine.shape[0] % len(names) == 0:
            yield from _with_gates_moved(mine, names)


def _with_gates_moved(mine: np.ndarray, names: str) -> Iterator[tuple[str, np.ndarray]]:
    """The blocks of the gates, of these names in PyTorch's order, in every other order."""
    gates = len(names)
    blocks = np.split(mine, gates)
    for order in itertools.permutations(range(gates)):
        if order != tuple(range(gates)):
            yours = ", ".join(names[order.index(i)] for i in range(gates))
            name = f"the {gates} gates are in another order, {yours}; PyTorch's is {', '.join(names)}"
            yield name, np.concatenate([blocks[i] for i in order])


# ---- unknown


def _pattern(t: TensorVerdict) -> str:
    """The wrong entries, in words."""
    if not _same_shape(t):
        return f"it has shape {t.ours.shape}, expected {t.reference.shape}"
    wrong = t.wrong(t.ours)
    count = int(np.count_nonzero(wrong))
    if count == wrong.size:
        return f"all {count:,} entries are wrong" if count > 1 else "its one entry is wrong"
    for axis in range(wrong.ndim if wrong.ndim > 1 else 0):
        if slices := _whole_slices(wrong, axis):
            return slices
    (index, *_), *_ = t.worst(1)
    at = ", ".join(map(str, index))
    return f"{count:,} of {wrong.size:,} entries {'are' if count > 1 else 'is'} wrong, the worst at [{at}]"


def _whole_slices(wrong: np.ndarray, axis: int) -> str:
    """The slices along an axis that are wrong, if they are so as wholes and nothing else is; or ""."""
    others = tuple(a for a in range(wrong.ndim) if a != axis)
    whole = np.flatnonzero(np.all(wrong, axis=others))
    size = wrong.size // wrong.shape[axis]
    if len(whole) == wrong.shape[axis] or len(whole) * size != np.count_nonzero(wrong):
        return ""
    kind = {0: "row", wrong.ndim - 1: "column"}.get(axis, f"slice of axis {axis}")
    listed = ", ".join(map(str, whole[:5])) + (", …" if len(whole) > 5 else "")
    return f"all of {kind}{'s' * (len(whole) > 1)} {listed} {'are' if len(whole) > 1 else 'is'} wrong"
