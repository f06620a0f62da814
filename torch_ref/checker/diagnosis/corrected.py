"""Corrections of one wrong gradient: the right numbers in other places, not summed, cut off, or left out."""

import itertools
from collections.abc import Iterator

import numpy as np

from scratch.gradcheck import Objective
from torch_ref.adapters.shapes import without_ones
from torch_ref.checker.diagnosis.cause import UNKNOWN, Cause, is_right, same_shape
from torch_ref.checker.diagnosis.factors import scaled
from torch_ref.checker.diagnosis.jacobian import lost
from torch_ref.checker.diagnosis.pattern import pattern, slices_of
from torch_ref.checker.diagnosis.terms import added, multiplied
from torch_ref.checker.verdict import TensorVerdict

_EQUALS = "corrected so, it equals the numeric derivative"


def correction(t: TensorVerdict, objective: Objective, gradients: dict[str, np.ndarray]) -> Cause | None:
    """The correction that makes the wrong gradient right, if enough of it can be judged to say so.

    Args:
        t: the gradient.
        objective: of the comparison.
        gradients: the expected gradients by name, with which it may be confused.
    """
    if 2 * t.kinks > t.expected.size:
        return None
    if not same_shape(t):
        return _reshaped(t) or _moved(t) or _one_for_all(t)
    if not np.any(t.ours):
        return Cause("no gradient arrives", "all entries are 0", "", (t.name,))
    return (
        scaled(t, objective)
        or _moved(t)
        or _of_another(t, gradients)
        or added(t, objective)
        or multiplied(t, objective)
        or _one_for_all(t)
        or _clipped(t)
        or _slices_moved(t)
        or _slices_scaled(t)
        or lost(t, objective)
        or _left_out(t)
        or _own_factors(t)
    )


# ---- another shape


def _reshaped(t: TensorVerdict) -> Cause | None:
    """Right numbers in a wrong shape: not summed over an axis, or with an axis of length 1 too many."""
    mine, shape = t.ours, t.expected.shape
    found = f"yours has shape {mine.shape}, expected {shape}"
    if _fits(t, mine, 1):
        name, fix = (
            "an axis of length 1 too many or too few",
            "sum without keepdims=True, or reshape to the shape of the array itself",
        )
        return Cause(name, f"the numbers are right; {found}", fix, (t.name,))
    for count in range(1, mine.ndim + 1):
        for axes in itertools.combinations(range(mine.ndim), count):
            for verb, total in (("sum", mine.sum(axes)), ("mean", mine.mean(axes))):
                if _fits(t, total, mine.size / max(1, total.size)):
                    over = f"axis {axes[0]}" if count == 1 else f"the axes {', '.join(map(str, axes))}"
                    name = f"it is not summed over {over}" + " (the samples)" * (axes == (0,))
                    axis = axes[0] if count == 1 else axes
                    fix = f"{verb}(axis={axis}): what all of them use gets the sum of their gradients"
                    evidence = f"so summed, it equals the numeric derivative; {found}"
                    return Cause(name, evidence, fix, (t.name,))
    return None


def _one_for_all(t: TensorVerdict) -> Cause | None:
    """One number, the sum or the mean of the right entries, in the place of each or of all of them."""
    if t.expected.size < 2 or not t.ours.size or np.ptp(t.ours) or not np.all(t.decidable):
        return None
    one, allowed = float(t.ours.reshape(-1)[0]), t.expected.size * float(np.max(t.tolerance))
    for done, right in (("summed", np.sum(t.expected)), ("averaged", np.mean(t.expected))):
        if abs(one - right) <= allowed + 1e-12 * float(np.sum(np.abs(t.expected))):
            name = f"it is {done} over all its entries too, so that there is one number for all"
            fix = "sum over the samples alone: name the axis in sum"
            return Cause(name, f"it equals the right entries, {done}", fix, (t.name,))
    return None


def _fits(t: TensorVerdict, array: np.ndarray, scale: float) -> bool:
    """Whether it is the expected gradient but for axes of length 1."""
    shape = t.expected.shape
    if array.size != t.expected.size or without_ones(array.shape) != without_ones(shape):
        return False
    return is_right(t, array.reshape(shape), scale)


# ---- other places


def _moved(t: TensorVerdict) -> Cause | None:
    for name, corrected in _rearranged(t.ours):
        if corrected.shape == t.expected.shape and is_right(t, corrected):
            return Cause(name, _EQUALS, "", (t.name,))
    return None


def _rearranged(mine: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """The same numbers in other places."""
    if mine.ndim == 2:
        yield "it is transposed", mine.T
    if mine.ndim > 2:
        yield "its last two axes are transposed", mine.swapaxes(-1, -2)
    for axis in range(mine.ndim):
        if mine.shape[axis] > 1:
            yield f"axis {axis} is the wrong way round", np.flip(mine, axis)
    if mine.ndim > 2:
        yield "the kernel is flipped", np.flip(mine, tuple(range(2, mine.ndim)))
    for names in ("ifgo", "rzn"):
        if mine.ndim and mine.shape[0] % len(names) == 0:
            yield from _with_gates_moved(mine, names)
    for axis in range(mine.ndim):
        for step in (1, -1) if mine.shape[axis] > 2 else ():
            where = "behind" if step < 0 else "before"
            yield f"along axis {axis} it stands one place {where} the right one", np.roll(mine, step, axis)


def _with_gates_moved(mine: np.ndarray, names: str) -> Iterator[tuple[str, np.ndarray]]:
    """The blocks of the gates, of these names in PyTorch's order, in every other order."""
    gates = len(names)
    blocks = np.split(mine, gates)
    for order in itertools.permutations(range(gates)):
        if order != tuple(range(gates)):
            yours = ", ".join(names[order.index(i)] for i in range(gates))
            name = f"the {gates} gates are in another order, {yours}; PyTorch's is {', '.join(names)}"
            yield name, np.concatenate([blocks[i] for i in order])


def _of_another(t: TensorVerdict, gradients: dict[str, np.ndarray]) -> Cause | None:
    """The right gradient of another array."""
    for name, other in gradients.items():
        if name != t.name and other.shape == t.ours.shape and np.any(other):
            off = np.abs(t.ours - other)
            if np.all(off <= 4 * np.max(t.tolerance, initial=0) + 1e-9 * np.max(np.abs(other))):
                return Cause(f"it is the gradient of {name}", f"it equals that of {name}", "", (t.name,))
    return None


def _slices_moved(t: TensorVerdict) -> Cause | None:
    """One block of a gradient where another belongs: the bias of one gate that is another gate's."""
    mine, exact = t.ours, t.expected
    wrong = t.wrong(mine)
    for blocks, names in ((4, "ifgo"), (3, "rzn")):
        if not mine.ndim or mine.shape[0] % blocks or mine.size == blocks:
            continue
        own, right = np.split(mine, blocks), np.split(exact, blocks)
        bad = [i for i, part in enumerate(np.split(wrong, blocks)) if np.any(part)]
        limit = 4 * np.max(t.tolerance, initial=0) + 1e-9 * np.max(np.abs(exact))
        for i, j in itertools.product(bad, range(blocks)):
            if len(bad) == 1 and i != j and np.all(np.abs(own[i] - right[j]) <= limit):
                name = f"the block of gate {names[i]} is that of gate {names[j]}"
                return Cause(name, f"in PyTorch's order, {', '.join(names)}, it equals that", "", (t.name,))
    return None


# ---- parts of it


def _slices_scaled(t: TensorVerdict) -> Cause | None:
    """A factor for each slice along an axis, most of them 1: one gate, one row, one channel."""
    for axis in range(t.ours.ndim):
        n = t.ours.shape[axis]
        ratios = _ratios_along(t, axis) if 1 < n < t.ours.size else None
        if ratios is None:
            continue
        off = np.flatnonzero(np.abs(ratios - 1) > 1e-6)
        same = np.ptp(ratios[off]) <= 1e-6 * np.max(np.abs(ratios)) if len(off) else False
        evidence = "divided by it there, it equals the numeric derivative"
        if same and len(off) < n:
            listed = ", ".join(map(str, off[:6])) + (", …" if len(off) > 6 else "")
            where = f"{slices_of(axis, t.ours.ndim, len(off))} {listed}"
            return Cause(f"a factor of {ratios[off[0]]:.6g} too much in {where}", evidence, "", (t.name,))
    return None


def _own_factors(t: TensorVerdict) -> Cause | None:
    """A factor for each slice along an axis, all different: that says where the error is, and not why."""
    for axis in range(t.ours.ndim):
        n = t.ours.shape[axis]
        ratios = _ratios_along(t, axis) if 1 < n < t.ours.size else None
        if ratios is not None:
            listed = ", ".join(f"{r:.4g}" for r in ratios[:4]) + (", …" if n > 4 else "")
            each = f"each of the {slices_of(axis, t.ours.ndim, 2)}"
            evidence = f"{pattern(t)}, {each} by a factor of its own, {listed}"
            return Cause(UNKNOWN, evidence, "", (t.name,))
    return None


def _ratios_along(t: TensorVerdict, axis: int) -> np.ndarray | None:
    """The factor of each slice, if divided by them the gradient is right."""
    n = t.ours.shape[axis]
    mine, exact = (np.moveaxis(side, axis, 0).reshape(n, -1) for side in (t.ours, t.expected))
    square = np.sum(exact * exact, axis=1)
    if not np.all(square):
        return None
    ratios = np.sum(mine * exact, axis=1) / square
    if np.any(np.abs(ratios) < 1e-9) or np.max(np.abs(ratios - 1)) < 1e-3:
        return None  # right but for a small error is no factor
    used = ratios.reshape([-1 if i == axis else 1 for i in range(t.ours.ndim)])
    return ratios if is_right(t, t.ours / used, 1 / float(np.min(np.abs(used)))) else None


def _clipped(t: TensorVerdict) -> Cause | None:
    """Cut off at a number."""
    limit = float(np.max(np.abs(t.ours)))
    wrong = t.wrong(t.ours)
    if limit and np.all(np.abs(t.ours[wrong]) >= limit * (1 - 1e-6)) and np.any(~wrong):
        cut = np.clip(t.expected, -limit, limit)
        if np.all(np.abs(cut - t.ours)[t.decidable] <= 4 * t.tolerance[t.decidable] + 1e-11 * limit):
            name = f"the gradient is clipped at ±{limit:.6g}"
            fix = "clip where the optimizer steps, not in backward"
            return Cause(name, "the expected gradient, clipped so, is yours", fix, (t.name,))
    return None


def _left_out(t: TensorVerdict) -> Cause | None:
    """Zeros where there is a gradient, or a gradient where it is 0; all the rest is right."""
    wrong = t.wrong(t.ours)
    count = f"{np.count_nonzero(wrong):,} of {wrong.size:,} entries"
    if np.all(wrong):
        return None
    if np.all(t.ours[wrong] == 0):
        fix = "where a number is used several times its gradients add up, +=; a mask may be too narrow"
        return Cause("part of the gradient is left out", f"{count} are 0, all others right", fix, (t.name,))
    if np.all(np.abs(t.expected[wrong]) <= t.tolerance[wrong]):
        fix = "leave it out there: a padding row, what is masked, or a closed unit"
        evidence = f"{count} should be 0, all others are right; {pattern(t)}"
        return Cause("a gradient arrives where there is none", evidence, fix, (t.name,))
    return None
