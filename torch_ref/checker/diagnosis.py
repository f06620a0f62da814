"""From a gradient that is wrong to the mistake that made it so, if that can be proved.

A cause is named only if it has been confirmed, in one of two ways. Either the mistake is made on purpose, in
our own module of the same kind and on the same numbers (faults.py), and out comes, to the last digits,
the very gradient that is wrong. Or the wrong gradient is corrected, by a factor or by putting its entries in
other places, and is then the truth. What is neither is called unknown, and the pattern of its wrong entries
is told instead.
"""

import copy
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scratch import nn
from scratch.gradcheck import TOO_BLIND
from scratch.gradcheck.numeric import Objective
from scratch.nested import leaves
from torch_ref.checker.compare import Comparison
from torch_ref.checker.verdict import Tensor
from torch_ref.faults import Fault, faults_of, switch_on


@dataclass(frozen=True)
class Cause:
    """Why a gradient is wrong.

    Args:
        name: the mistake, or "unknown".
        evidence: what confirmed it; for an unknown one, which entries are wrong.
        remedy: what to do.
        tensors: those it explains.
    """

    name: str
    evidence: str
    remedy: str
    tensors: tuple[str, ...]

    def __str__(self) -> str:
        remedy = f" Remedy: {self.remedy}." if self.remedy else ""
        return f"{self.name} ({', '.join(self.tensors)}): {self.evidence}.{remedy}"


def diagnose(objective: Objective, comparison: Comparison, right: nn.Module | None) -> list[Cause]:
    """The confirmed causes of what is wrong on the NumPy side; if there is none, the patterns of the errors.

    Where NumPy and PyTorch give the same, and only the truth is another, no mistake of NumPy's is looked for.

    Args:
        objective: what was run, in float64.
        comparison: what came of it.
        right: our own module of the same kind with the same weights, if we have one.
    """
    others = ("PyTorch is wrong", "fits NumPy's forward", TOO_BLIND)
    wrong = [t for t in comparison.wrong if t.verdict not in others and _differ(t, t.numpy, t.torch)]
    if not wrong:
        return []
    told = tuple(t.name for t in wrong)
    comparable = all(2 * t.kinks <= t.wanted.size for t in wrong if t.numpy.shape == t.torch.shape)
    made = _reproductions(objective, comparison, right, wrong) if right is not None and comparable else []
    if made:
        return [Cause(name, "made on purpose, it gives these numbers", remedy, told) for name, remedy in made]
    causes: list[Cause] = []
    for t in wrong:
        found = _correction(t, objective) if t.truth is not None else None
        causes.append(found or Cause("unknown", _pattern(t), "", (t.name,)))
    return _merged(causes)


def _differ(t: Tensor, ours: np.ndarray, theirs: np.ndarray) -> bool:
    """Whether these two, in the place of NumPy's and PyTorch's, differ by more than rounding."""
    return ours.shape != theirs.shape or bool(
        np.any(replace(t, torch=theirs, truth=None, doubt=0.0).wrong(ours))
    )


def _merged(causes: list[Cause]) -> list[Cause]:
    """One cause for all tensors that have the same."""
    together: dict[tuple[str, str, str], tuple[str, ...]] = {}
    for c in causes:
        key = (c.name, c.evidence, c.remedy)
        together[key] = together.get(key, ()) + c.tensors
    return [Cause(*key, tensors) for key, tensors in together.items()]


# ---- made on purpose


def _reproductions(
    objective: Objective, comparison: Comparison, right: nn.Module, wrong: list[Tensor]
) -> list[tuple[str, str]]:
    """(name, remedy) of each fault that gives NumPy's numbers in every tensor."""
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
        # On some numbers a mistake is none, and then it explains nothing.
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


def _same(t: Tensor, other: np.ndarray) -> bool:
    if other.shape != t.numpy.shape:
        return False
    allowed = 1e-12 * np.max(np.abs(other), where=np.isfinite(other), initial=0)
    if t.numpy.shape != t.torch.shape:
        return bool(np.allclose(t.numpy, other, rtol=0, atol=allowed, equal_nan=True))
    judged = t.decidable
    allowed = allowed + 4 * t.tolerance[judged]
    return bool(np.all(np.isclose(t.numpy[judged], other[judged], rtol=0, atol=allowed, equal_nan=True)))


# ---- corrected


def _correction(t: Tensor, objective: Objective) -> Cause | None:
    """What turns the wrong gradient into the truth, if enough of it can be judged to say so."""
    if 2 * t.kinks > t.wanted.size:
        return None
    found = _scaled(t, objective) if t.numpy.shape == t.wanted.shape else None
    if found:
        return found
    for name, corrected in _rearranged(t.numpy):
        if corrected.shape == t.wanted.shape and _is_truth(t, corrected):
            return Cause(name, "put right, it is the truth", "", (t.name,))
    return None


def _scaled(t: Tensor, objective: Objective) -> Cause | None:
    """The factor by which the whole gradient is wrong."""
    mine, exact = t.numpy[t.decidable], t.wanted[t.decidable]
    if not np.any(t.numpy):
        return Cause("no gradient arrives", "all entries are 0", "", (t.name,))
    square = float(np.sum(exact * exact))
    ratio = float(np.sum(mine * exact)) / square if square else 0.0
    # What is right up to rounding is right with any factor close to 1.
    if not np.isfinite(ratio) or not ratio or not _has_factor(t, ratio) or _has_factor(t, 1.0):
        return None
    dy = [c for _, c in leaves(objective.cotangent) if c is not None]
    if len(dy) == 1 and dy[0].size == 1 and _has_factor(t, 1 / dy[0].item()):
        remedy = "multiply what backward returns by dy"
        return Cause(
            "backward ignores the incoming gradient", "it is right only for dy = 1", remedy, (t.name,)
        )
    names = [name for name, factor in _factors(objective).items() if _has_factor(t, factor)]
    # One number is some multiple of any other: that alone proves nothing.
    if not names and np.count_nonzero(np.abs(exact) > t.tolerance[t.decidable]) < 2:
        return None
    told = " or ".join(names) or f"{ratio:.9g}"
    return Cause(f"a factor of {told} too much", f"divided by {ratio:.9g} it is the truth", "", (t.name,))


def _has_factor(t: Tensor, factor: float) -> bool:
    return _is_truth(t, t.numpy / factor, 1 / abs(factor))


def _is_truth(t: Tensor, corrected: np.ndarray, scale: float = 1.0) -> bool:
    judged = t.decidable
    allowed = 4 * t.tolerance[judged] * max(1.0, scale) + 1e-11 * np.max(np.abs(t.wanted), initial=0)
    return bool(np.all(np.isclose(corrected[judged], t.wanted[judged], rtol=0, atol=allowed)))


def _factors(objective: Objective) -> dict[str, float]:
    """Numbers that get into a gradient by mistake, by name. Where sizes are equal several are told."""
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
    for gates, names in ((4, "ifgo"), (3, "rzn")):
        if mine.ndim and mine.shape[0] % gates == 0:
            blocks = np.split(mine, gates)
            for order in itertools.permutations(range(gates)):
                if order != tuple(range(gates)):
                    yours = ", ".join(names[order.index(i)] for i in range(gates))
                    told = f"the {gates} gates are in another order, {yours}; PyTorch's is {', '.join(names)}"
                    yield told, np.concatenate([blocks[i] for i in order])


# ---- unknown


def _pattern(t: Tensor) -> str:
    """Which entries are wrong, in words."""
    if t.numpy.shape != t.torch.shape:
        return f"it has shape {t.numpy.shape}, wanted {t.torch.shape}"
    wrong = t.wrong(t.numpy)
    count = int(np.count_nonzero(wrong))
    if count == wrong.size:
        return f"all {count:,} entries are wrong" if count > 1 else "its one entry is wrong"
    for axis in range(wrong.ndim):
        others = tuple(a for a in range(wrong.ndim) if a != axis)
        whole = np.flatnonzero(np.all(wrong, axis=others)) if others else np.flatnonzero(wrong)
        if (
            len(whole) * (wrong.size // wrong.shape[axis]) == count
            and len(whole) < wrong.shape[axis]
            and others
        ):
            kind = {0: "row", wrong.ndim - 1: "column"}.get(axis, f"slice of axis {axis}")
            listed = ", ".join(map(str, whole[:5])) + (", …" if len(whole) > 5 else "")
            return f"all of {kind}{'s' * (len(whole) > 1)} {listed} {'are' if len(whole) > 1 else 'is'} wrong"
    (index, *_), *_ = t.worst(1)
    at = ", ".join(map(str, index))
    return f"{count:,} of {wrong.size:,} entries {'are' if count > 1 else 'is'} wrong, the worst at [{at}]"
