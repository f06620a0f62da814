"""compare(model, twin, x): outputs and gradients of both sides, beside each other and a numeric derivative.

Three numbers for every entry of every tensor: NumPy's, PyTorch's, and one that is neither, a numeric
derivative (scratch/gradcheck/derivative.py). Where the two frameworks differ, the third says which of them is
wrong. How far apart they may be is measured and not guessed (scratch/gradcheck/rounding.py), and each tensor
states its detection limit (verdict.py).
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, repeat
from typing import Any

import numpy as np
import torch

from scratch import nn
from scratch.gradcheck import Objective
from scratch.gradcheck.derivative import NumericDerivative, finer, numeric_derivative, takes_too_long
from scratch.gradcheck.directions import Along
from scratch.gradcheck.rounding import ALL_RUNS, Tensors, jitter, numpy_spreads, widening_spreads
from scratch.nested import leaves
from torch_ref.checker.budget import patience_of
from torch_ref.checker.comparison import Comparison
from torch_ref.checker.sampled_derivative import directions_of, judged_along, sampled_derivative
from torch_ref.checker.second_opinion import is_slope_of_its_forward
from torch_ref.checker.torch_side import declared, require_same_start, run_torch
from torch_ref.checker.verdict import AGREE, DIFFER, NO_DERIVATIVE, SHAPES_DIFFER, TensorVerdict, largest
from torch_ref.twin.memory import torch_generator


def compare(
    model: nn.Module,
    twin: torch.nn.Module,
    *inputs: Any,
    loss_fn: nn.Loss | None = None,
    twin_loss_fn: torch.nn.Module | None = None,
    target: np.ndarray | None = None,
    cotangent: Any = None,
    numeric: bool = True,
    budget: float = 10.0,
) -> Comparison:
    """Run both sides forward and backward on the same inputs and compare outputs, buffers and gradients.

    Args:
        model: the NumPy side.
        twin: the PyTorch side, with the same names of parameters; mirror(model), or a model of one's own
            with equal weights.
        inputs: NumPy arrays, or tuples of them; the floating ones are differentiated by.
        loss_fn: a loss of scratch.nn; goes with twin_loss_fn and target. Without it, a random weighted sum
            of the outputs is differentiated.
        twin_loss_fn: the same loss of torch.nn.
        target: the target of both losses.
        cotangent: the weights of that sum; see scratch.gradcheck.Objective.
        numeric: whether to differentiate numerically as well: by every entry while the budget allows, else
            along random directions, whose detection limits the result states. Of 28,000 parameters that takes
            a second, of some millions ten.
        budget: seconds; a derivative by every entry may take two fifths of them.

    Neither side is changed: gradients, buffers and random generators are afterwards as before. Both draw
    their dropout masks from torch's generator as it stands.

    Raises:
        ValueError: the two sides have other parameters, other shapes, or there is nan in the output; they
            return other numbers of arrays, or backward of gradients;
            loss_fn, twin_loss_fn and target are not given together; budget is not above 0.
        TypeError: an input is not a NumPy array; model has an array with a gradient that is not a Parameter.
    """
    patience = patience_of("compare", budget)
    if len({loss_fn is None, twin_loss_fn is None, target is None}) > 1:
        raise ValueError("compare: loss_fn, twin_loss_fn and target go together, and one of them is missing")
    for i, (_, x) in enumerate(leaves(inputs)):
        if x is not None and not isinstance(x, np.ndarray):
            raise TypeError(f"compare: input {i} is {type(x).__name__}, expected a NumPy array")
    require_same_start(model, twin, "compare")
    with torch_generator(advance=False):
        objective = Objective(model, *inputs, loss_fn=loss_fn, target=target, cotangent=cotangent)
    return compare_objective(objective, twin, twin_loss_fn, numeric, patience=patience)


def compare_objective(
    objective: Objective,
    twin: torch.nn.Module | None,
    twin_loss_fn: torch.nn.Module | None,
    numeric: bool = True,
    ties: bool = False,
    theirs: Tensors | None = None,
    patience: float = 1.0,
) -> Comparison:
    """compare, from an objective that knows model, inputs, loss and cotangent.

    With ``ties``, numbers of an input that are equal stay equal under noise: which of them the gradient goes
    to is not a matter of rounding. Given ``theirs``, some of the tensors as another framework or device
    computed them, those are judged, and the twin only shows how far rounding moves each entry. Without a twin
    the numeric derivative judges the gradients, and outputs are not compared. ``patience`` says when that is
    taken along directions (takes_too_long).
    """
    if twin is None:
        return _against_the_numeric_derivative(objective, patience)
    outputs, gradients = objective.run()
    is_long = numeric and takes_too_long(objective, patience)
    # Before all else, when least memory is in use.
    along = directions_of(objective, gradients.named()) if is_long else None
    ours, exactly = outputs | gradients.named(), run_torch(twin, objective, twin_loss_fn)
    _require_same_count(ours, exactly)
    derivative = NumericDerivative({}, {}, "")
    if numeric and not is_long:
        derivative = numeric_derivative(objective, gradients.named())
    for name in declared(twin):
        derivative.gradients.pop(name, None)
    rng = np.random.default_rng(0)
    runs = (run_torch(twin, objective, twin_loss_fn, rng, ties) for _ in range(ALL_RUNS))
    rounding = _with_numpys(widening_spreads(exactly, runs), objective, ours)
    theirs = exactly if theirs is None else theirs
    tensors = _judged(objective, ours, {*gradients.named()}, theirs, derivative, rounding)
    if along is not None:
        tensors = judged_along(objective, gradients.named(), tensors, along)
    tensors = [
        replace(t, confirmed=is_slope_of_its_forward(t, twin, objective, twin_loss_fn)) if _accuses(t) else t
        for t in tensors
    ]
    skipped = tuple(name for name in theirs if name not in ours)
    method = derivative.method if along is None else along.method
    return Comparison(tuple(tensors), method, skipped, along=along)


def _accuses(t: TensorVerdict) -> bool:
    """Whether PyTorch's gradient is called wrong, or no derivative."""
    return t.numeric is not None and t.same_forward and t.verdict in _ACCUSING


_ACCUSING = ("PyTorch is wrong", "both are wrong", NO_DERIVATIVE)


def _against_the_numeric_derivative(objective: Objective, patience: float) -> Comparison:
    """A verdict on each gradient by the numeric derivative alone.

    Raises:
        ValueError: there is none, since the forward takes no other numbers.
    """
    outputs, gradients = objective.run()
    ours = gradients.named()
    derivative, along = _numeric(objective, ours, patience)
    if not derivative.method:
        raise ValueError(
            "compare: without a reference the numeric derivative judges, and there is none, since forward "
            "raises an error as soon as its numbers are moved a little; pass a reference, or mend that"
        )
    rng = np.random.default_rng(0)
    moved = (objective.run(prepare=lambda a: jitter(a, rng))[1].named() for _ in range(ALL_RUNS))
    widening = (
        {name: _shaped(off, derivative.gradients.get(name)) for name, off in spread.items()}
        for spread in widening_spreads(ours, moved)
    )
    rounding = _with_numpys(widening, objective, outputs | ours)
    found = _judged(objective, ours, {*ours}, derivative.gradients, derivative, rounding)
    return Comparison(tuple(replace(t, has_reference=False) for t in found), derivative.method, along=along)


def _numeric(objective: Objective, ours: Tensors, patience: float) -> tuple[NumericDerivative, Along | None]:
    """The numeric derivative, by every entry or, where that takes too long, along directions; "" for none."""
    if not takes_too_long(objective, patience):
        return numeric_derivative(objective, ours), None
    try:
        return sampled_derivative(objective, ours)
    except ValueError:
        return NumericDerivative({}, {}, ""), None


def _shaped(spread: np.ndarray, expected: np.ndarray | None) -> np.ndarray:
    """The spread; that of a gradient of a wrong shape, at its largest, in the shape that is expected."""
    if expected is None or spread.shape == expected.shape:
        return spread
    return np.full(expected.shape, largest(spread))


def _require_same_count(ours: Tensors, theirs: Tensors) -> None:
    counts = [sum(name.startswith("output") for name in side) for side in (ours, theirs)]
    if counts[0] != counts[1]:
        raise ValueError(f"compare: NumPy's forward returns {counts[0]} arrays, PyTorch's {counts[1]}")


def _with_numpys(rounding: Iterator[Tensors], objective: Objective, ours: Tensors) -> Iterator[Tensors]:
    """The larger of each spread, on numbers an ulp off, and that of NumPy's own roundings.

    First the spread alone: NumPy's cost as much again, and are only needed where something exceeds it.
    """
    few = next(rounding)
    yield few
    for spread, own in zip(chain([few], rounding), _numpys(objective, ours), strict=False):
        fitting = {name: off for name, off in own.items() if off.shape == spread.get(name, off).shape}
        yield {name: np.maximum(off, fitting.get(name, 0)) for name, off in spread.items()}


def _numpys(objective: Objective, ours: Tensors) -> Iterator[Tensors]:
    """The spreads of NumPy's own roundings; none of code that they cannot be measured of."""
    try:
        yield from numpy_spreads(objective, {name: np.asarray(x) for name, x in ours.items()})
    except Exception:  # from code that cannot take a subclass of ndarray, or no other dtype
        yield from repeat({})


def _judged(
    objective: Objective,
    ours: Tensors,
    gradients: set[str],
    theirs: Tensors,
    derivative: NumericDerivative,
    rounding: Iterable[Tensors],
) -> list[TensorVerdict]:
    """A verdict on each tensor by the first spread within which all agree, or by the last.

    Of errors so small that the numeric derivative may lack these digits itself, by a finer one.
    """
    for spread in rounding:
        found = _judged_by(objective, ours, gradients, theirs, derivative, spread)
        if all(t.verdict == AGREE for t in found):
            return found
    if any(t.is_slightly_wrong for t in found):
        derivative = finer(objective, derivative)
        found = _judged_by(objective, ours, gradients, theirs, derivative, spread)
    return found


def _judged_by(
    objective: Objective,
    ours: Tensors,
    gradients: set[str],
    theirs: Tensors,
    derivative: NumericDerivative,
    spread: Tensors,
) -> list[TensorVerdict]:
    """A verdict on each tensor that both sides have, outputs first; ``gradients`` are the names of some."""
    numeric = derivative.gradients
    standard = largest(
        *(numeric.get(name, theirs.get(name)) for name in gradients),
        *(c for _, c in leaves(objective.cotangent)),
    )
    tensors: list[TensorVerdict] = []
    for name in (name for name in theirs if name in ours):
        same_forward = not any(t.verdict in (DIFFER, SHAPES_DIFFER) for t in tensors if t.of_forward)
        verdict = TensorVerdict(
            name,
            ours=_numbers(ours[name]),
            reference=_numbers(theirs[name]),
            numeric=numeric.get(name),
            spread=spread[name],
            doubt=derivative.errors.get(name, 0.0),
            dtype=objective.dtype,
            standard=standard if name in gradients else max(1.0, largest(theirs[name])),
            same_forward=same_forward,
        )
        tensors.append(verdict)
    return tensors


def _numbers(array: Any) -> np.ndarray:
    """Floating numbers, to be subtracted; a mask as 0 and 1."""
    array = np.asarray(array)
    return array if array.dtype.kind in "fc" else array.astype(np.float64)
