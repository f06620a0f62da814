"""Detectors of mistakes, gradmirror's check and those that others use, and the kill matrix.

Each mistake of torch_ref/faults is made in every module of the catalog that can make it, on inputs of
three scales, and every detector is tried as users would: on the weights that the module starts with, with
its defaults; those of others as strict as they can be, too. A mistake counts only where it changes a number
on some weights. The last row is right code: what is refused there is a false alarm.
"""

import argparse
import copy
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from reports.errors import UnusableError
from reports.output import show
from reports.page.text import markdown
from reports.runner.environment import limit_threads
from reports.runner.progress import progress
from scratch import nn
from scratch.files import write_whole
from scratch.gradcheck import INCONCLUSIVE, Objective
from scratch.nested import leaves, unflatten_as
from torch_ref import Check, as_torch, check, mirror
from torch_ref.adapters import Holding
from torch_ref.catalog import LOSSES, MODULES, Case
from torch_ref.checker.comparison import Comparison
from torch_ref.checker.kinks import kinks
from torch_ref.checker.sides import Sides
from torch_ref.checker.torch_side import run_torch
from torch_ref.faults import FAULTS, PARAMETRIC, Fault, inject

SCALES = (1.0, 1e-3, 1e3)
RIGHT = "(right code)"
DERIVATIVES, FUNCTIONS, ALL = "(all wrong derivatives)", "(all other functions)", "(all of these)"
# In how many of the trials forward is another function.
OTHER_FUNCTION = "other function"

# PyTorch keeps a constant of these in float32, and is off by 1e-8 in float64: no reference.
WRONG_IN_TORCH = ("CELU", "Hardsigmoid")

# Where PyTorch's gradient is not the derivative of its output: of vectors shorter than eps it is another one;
# and gradients that are divided by frequencies are not meant to be. (On the catalog's own inputs they are.)
NO_DERIVATIVE = (
    "CosineSimilarity(eps=0.5)",
    "Embedding(5, 2, scale_grad_by_freq=True)",
    "EmbeddingBag(5, 2, scale_grad_by_freq=True)",
)


class Trial(NamedTuple):
    """A module beside its reference, on these inputs; ``other_function`` if its forward is another one."""

    case: Case
    module: nn.Module
    reference: torch.nn.Module
    inputs: tuple[np.ndarray, ...]
    other_function: bool = False


def trials(fault: Fault | None, scales: tuple[float, ...] = SCALES, every: bool = True) -> Iterator[Trial]:
    """Each case of the catalog in which the mistake can be made and changes a number; of None, every case.

    Args:
        fault: the mistake.
        scales: of the inputs.
        every: whether to try every case, or the first of each kind.
    """
    kinds: set[str] = set()
    for case in (*MODULES, *LOSSES):
        if case.kind in WRONG_IN_TORCH or case.name in NO_DERIVATIVE or (case.kind in kinds and not every):
            continue
        if fault and not {case.kind, PARAMETRIC} & {*fault.kinds}:
            continue
        right, start = case.make(np.float64), case.start(np.float64)
        if fault and not fault.applies(right):
            continue
        wrong, given = (inject(fault, module) if fault else module for module in (right, start))
        for scale in scales:
            inputs = case.draw(np.float64, 0, scale)
            if not (defined(right, inputs) and defined(start, inputs)):
                continue
            changed = changes(right, wrong, inputs) if fault else set()
            if changed or fault is None:
                kinds.add(case.kind)
                other = any(name.startswith("output") for name in changed)
                yield Trial(case, given, mirror(start), inputs, other)


def defined(module: nn.Module, inputs: tuple[np.ndarray, ...]) -> bool:
    """Whether it takes these inputs and is finite, in both precisions and on both sides; e^100 is not.

    PyTorch computes log(1 + e^z) of SoftMarginLoss as it stands, and gets inf and nan for a large z.
    """
    most = float(np.finfo(np.float32).max) / 1e6
    with np.errstate(all="ignore"):
        try:
            y = copy.deepcopy(module)(*inputs)
        except (ValueError, IndexError):
            return False
        if not all(np.all(np.abs(array) < most) for _, array in leaves(y)):
            return False
        sides = Sides(module, mirror(copy.deepcopy(module)), inputs)
        theirs = [sides.cast(np.dtype(dtype)) for dtype in ("float32", "float64")]
        found = [array for objective, twin in theirs for array in run_torch(twin, objective).values()]
        return all(np.all(np.isfinite(array)) for array in found)


def changes(right: nn.Module, wrong: nn.Module, inputs: tuple[np.ndarray, ...]) -> set[str]:
    """The outputs and gradients that the mistake changes: transposing a 1x1 weight, say, changes none."""
    twin = mirror(right)
    pair = [Sides(module, twin, inputs) for module in (right, wrong)]
    for tried in (pair, [sides.on_kinks(kinks) for sides in pair]):
        try:
            objectives = [sides.cast(np.dtype(np.float64))[0] for sides in tried]
        except (ValueError, IndexError):  # not defined on the kinks
            continue
        for passes in (1, 2):
            try:
                ours, theirs = (_tensors(objective, passes) for objective in objectives)
            except ValueError:
                return set()
            largest = max(np.max(np.abs(t), initial=0) for t in ours.values())
            changed = {
                n for n, t in ours.items() if np.max(np.abs(t - theirs[n]), initial=0) > 1e-9 * largest
            }
            if changed:
                return changed
    return set()


def _tensors(objective: Objective, passes: int = 1) -> dict[str, np.ndarray]:
    with np.errstate(all="ignore"):
        outputs, gradients = objective.run(passes=passes)
    return outputs | gradients.named()


# ---- the detectors: whether each refuses


def _by_gradcheck(trial: Trial, fast: bool = False, **tolerances: Any) -> bool:
    module, inputs = trial.module, trial.inputs
    if (at := trial.case.target) is not None:
        module, inputs = Holding(module, {at: inputs[at]}), inputs[:at] + inputs[at + 1 :]
    wrapped = as_torch(module)
    flat = [x for _, x in leaves(inputs)]
    tensors = [torch.from_numpy(x).requires_grad_(x.dtype.kind == "f") for x in flat]
    weights = {name: p.detach().clone().requires_grad_() for name, p in wrapped.named_parameters()}

    def function(*args: torch.Tensor) -> tuple[torch.Tensor, ...]:
        torch.default_generator.manual_seed(0)  # torch.manual_seed looks for GPUs, in a millisecond
        given = dict(zip(weights, args[len(tensors) :], strict=True))
        y = torch.func.functional_call(wrapped, given, unflatten_as(inputs, iter(args[: len(tensors)])))
        return tuple(each for _, each in leaves(y))

    with np.errstate(all="ignore"), _without_its_message():
        return not torch.autograd.gradcheck(
            function, (*tensors, *weights.values()), raise_exception=False, fast_mode=fast, **tolerances
        )


@contextmanager
def _without_its_message() -> Iterator[None]:
    """Within, a fast gradcheck that refuses does not run the slow one as well, for the words of its error."""
    file: Any = sys.modules["torch.autograd.gradcheck"]
    before = getattr(file, _WORDS, None)
    if before is None:  # torch may call it otherwise one day
        yield
        return
    setattr(file, _WORDS, lambda *args, **options: "")
    try:
        yield
    finally:
        setattr(file, _WORDS, before)


_WORDS = "_run_slow_mode_and_get_error"


def _both_sides(trial: Trial) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """NumPy's and PyTorch's outputs and gradients, in float64."""
    sides = Sides(trial.module, trial.reference, trial.inputs)
    objective, twin = sides.cast(np.dtype(np.float64))
    ours, theirs = _tensors(objective), run_torch(twin, objective)
    return ((np.asarray(ours[name]), t) for name, t in theirs.items())


def _by_assert_close(trial: Trial, rtol: float | None = None, atol: float | None = None) -> bool:
    try:
        for ours, theirs in _both_sides(trial):
            torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs), rtol=rtol, atol=atol)
    except AssertionError:
        return True
    return False


def _by_cosine(trial: Trial) -> bool:
    for ours, theirs in _both_sides(trial):
        with np.errstate(invalid="ignore"):  # nan is not above 0.99
            length = np.linalg.norm(ours) * np.linalg.norm(theirs)
            if length and not np.sum(ours * theirs) / length > 0.99:
                return True
    return False


def _by_mean(trial: Trial) -> bool:
    return any(not np.mean(np.abs(ours - theirs)) < 1e-6 for ours, theirs in _both_sides(trial))


# The strict ones: as strict as float64 allows where numbers are about 1. What they refuse of right code
# stands in the last row.
OTHERS: dict[str, Callable[[Trial], bool]] = {
    "gradcheck": _by_gradcheck,
    "gradcheck, fast": partial(_by_gradcheck, fast=True),
    "gradcheck, strict": partial(_by_gradcheck, eps=1e-6, atol=1e-9, rtol=1e-6),
    "assert_close": _by_assert_close,
    "assert_close, strict": partial(_by_assert_close, rtol=1e-7, atol=0.0),
    "cosine > 0.99": _by_cosine,
    "mean error < 1e-6": _by_mean,
}
DETECTORS = ("gradmirror", *OTHERS)

# Among the trials that gradmirror refused: how often the mistake's own name was among the causes it gave as
# confirmed, and how often only another's was.
NAMES = ("named", "misnamed")


def inconclusive(found: Comparison) -> bool:
    """Whether it is inconclusive, and nothing is wrong."""
    return set(found.frame["verdict"]) <= {"agree", INCONCLUSIVE}


def confirmed_names(found: Check) -> set[str]:
    """The mistakes that were confirmed, also the one that is seen by a side effect and not by numbers."""
    names = {cause.name for cause in found.causes} - {"unknown"}
    if any("backward overwrites the gradient" in each for each in found.side_effects):
        names.add("gradients are overwritten instead of added up")
    return names


def _answers(trial: Trial, fault: Fault | None) -> dict[str, bool]:
    """Whether a trial counts in each column of the kill matrix."""
    found = check(trial.module, trial.reference, *trial.inputs)
    refused = bool(found.side_effects) or not all(
        each or inconclusive(each) for each in found.comparisons.values()
    )
    names = confirmed_names(found)
    named = fault is not None and fault.name in names
    others = {name: refuses(trial) for name, refuses in OTHERS.items()}
    misnamed = fault is not None and bool(names) and not named
    return {
        "tried": True,
        OTHER_FUNCTION: trial.other_function,
        "gradmirror": refused,
        "named": named,
        "misnamed": misnamed,
        **others,
    }


def kill_matrix(
    faults: Sequence[Fault | None],
    scales: tuple[float, ...] = SCALES,
    every: bool = True,
    some: slice = slice(None),
) -> pd.DataFrame:
    """A row for each mistake: how often it was tried, how often each detector refused, and how often
    gradmirror named it, or another one.

    Args:
        faults: the mistakes; None is right code.
        scales: of the inputs.
        every: whether to try every case of the catalog, or the first of each kind.
        some: which of the trials of each.
    """
    rows: list[dict[str, Any]] = []
    with warnings.catch_warnings():
        # Warnings of KLDivLoss, and of layers that oneDNN does not have.
        warnings.filterwarnings("ignore", "reduction: 'mean' divides the total loss|LSTM with projections")
        for fault in progress(faults, "kill matrix"):
            row: dict[str, Any] = {"mistake": fault.name if fault else RIGHT, "tried": 0, OTHER_FUNCTION: 0}
            row |= dict.fromkeys((*DETECTORS, *NAMES), 0)
            for trial in islice(trials(fault, scales, every), some.start, some.stop):
                for column, count in _answers(trial, fault).items():
                    row[column] += count
            rows.append(row)
    return added_up(pd.DataFrame(rows))


def added_up(matrix: pd.DataFrame) -> pd.DataFrame:
    """One row for each mistake, though it may be written for several kinds of modules."""
    return matrix.groupby("mistake", sort=False, as_index=False).sum()


def with_totals(matrix: pd.DataFrame) -> pd.DataFrame:
    """The kill matrix with rows of sums before its last row, right code.

    Wrong derivatives and other functions are summed apart, since what compares a backward with its own
    forward cannot see that the forward is another one.
    """
    mistakes = matrix[:-1]
    other = mistakes[OTHER_FUNCTION] > 0
    sums = {DERIVATIVES: mistakes[~other], FUNCTIONS: mistakes[other], ALL: mistakes}
    totals = [rows.sum(numeric_only=True).to_frame().T.assign(mistake=name) for name, rows in sums.items()]
    return pd.concat([mistakes, *totals, matrix[-1:]], ignore_index=True)


def run(options: argparse.Namespace) -> int:
    """Print the kill matrix and write it as CSV; 1 if one is missed or misnamed, or right code refused.

    Raises:
        OSError: the file cannot be written.
    """
    chosen = [fault for fault in FAULTS if options.only in fault.name]
    if not chosen:
        raise UnusableError(f"--only: no mistake has {options.only!r} in its name; without it, all are tried")
    with limit_threads(1):
        found = kill_matrix([*chosen, None], (1.0,) if options.quick else SCALES, every=not options.quick)
    write_whole(options.out, found.to_csv(index=False).encode())
    show(
        markdown(with_totals(found).astype(str), "simple")
        + f"\n\nThe trials that each detector refused; the last row should be 0. Written: {options.out}\n"
        "The last columns: how often gradmirror, where it refused, named the mistake, or misnamed it.\n"
    )
    missed = found["tried"] - found["gradmirror"]
    failed = (
        missed[found["mistake"] != RIGHT].any() or found["gradmirror"].iloc[-1] or found["misnamed"].any()
    )
    return int(bool(failed))
