"""False alarms: how often does the check refuse code that is right?

Every entry of the catalog, from many seeds: each with the weights that it starts with, other numbers,
another batch size, and inputs scaled by 1e-3 to 1e3, as users would check it, and with all that check then
tries itself. All of this code is right, so each refusal is a false alarm. Inconclusive comparisons are
counted apart: where a function is saturated, float32 has no digits left to compare.
"""

import argparse
import os
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed

import scratch
from reports.errors import UnusableError
from reports.output import show
from reports.runner.detectors import NO_DERIVATIVE, WRONG_IN_TORCH, defined, inconclusive
from reports.runner.environment import limit_threads
from reports.runner.progress import progress
from scratch import nn
from scratch.files import write_whole
from scratch.gradcheck import INCONCLUSIVE
from scratch.nested import leaves, unflatten_as
from torch_ref import check, mirror
from torch_ref.catalog import LOSSES, MODULES, Case
from torch_ref.checker.conditions import OTHER_SHAPE


class Draw(NamedTuple):
    """A module with weights of its own, and inputs."""

    module: nn.Module
    inputs: tuple[Any, ...]
    scale: float


def draw(case: Case, seed: int) -> Draw:
    """A module of this case and inputs, different from every seed.

    The scale is 10^U(-3, 3), or a tenth of that, and so on, where a function overflows; the batch has up to
    three times the rows of the case's own, if the module takes other numbers of them. Both random generators
    are set, torch's because check draws the masks of dropout from it.
    """
    rng = np.random.default_rng(seed)
    scratch.manual_seed(seed)
    torch.manual_seed(seed)
    module = case.start(np.float64)
    scale = 10 ** rng.uniform(-3, 3)
    rows = rng.uniform()
    while True:
        own = case.draw(np.float64, seed, scale)
        for inputs in (_resized(case, seed, scale, rows), own):
            if defined(module, inputs):
                return Draw(module, inputs, scale)
        scale /= 10


def _resized(case: Case, seed: int, scale: float, share: float) -> tuple[Any, ...]:
    """Three draws, end to end along the first axis that all inputs have in common, and a share of these."""
    draws = [case.draw(np.float64, 3 * seed + k, scale) for k in range(3)]
    flat = [[x for _, x in leaves(each)] for each in draws]
    for axis in range(min(x.ndim for x in flat[0])):
        sizes = {x.shape[axis] for x in flat[0]}
        if len(sizes) == 1:
            some = slice(0, 1 + int(share * 3 * sizes.pop()))
            longer = [np.concatenate(parts, axis) for parts in zip(*flat, strict=True)]
            return unflatten_as(draws[0], iter([x[(slice(None),) * axis + (some,)] for x in longer]))
    return draws[0]


class Outcome(NamedTuple):
    """The verdict of check on one draw, in one precision or on the kinks."""

    case: str
    seed: int
    scale: float
    shapes: str
    made_in: str
    verdict: str


def outcomes(case: Case, seeds: range) -> list[Outcome]:
    """The outcomes of one entry of the catalog."""
    found = []
    with limit_threads(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in seeds:
            module, inputs, scale = draw(case, seed)
            shapes = " ".join("x".join(map(str, x.shape)) for _, x in leaves(inputs))
            result = check(module, mirror(module), *inputs)
            verdicts = {
                name: "agree" if c else INCONCLUSIVE if inconclusive(c) else c.verdict
                for name, c in result.comparisons.items()
            }
            verdicts |= {"side_effects": "; ".join(result.side_effects)} if result.side_effects else {}
            found += [
                Outcome(case.name, seed, scale, shapes, name, verdict) for name, verdict in verdicts.items()
            ]
    return found


def cases() -> list[Case]:
    """The catalog, but for the entries that PyTorch gives no derivative of: see detectors.py."""
    return [
        case
        for case in (*MODULES, *LOSSES)
        if case.kind not in WRONG_IN_TORCH and case.name not in NO_DERIVATIVE
    ]


def campaign(chosen: list[Case], draws: int, jobs: int) -> Iterator[list[Outcome]]:
    """The outcomes of each entry, as they are finished."""
    tasks = (delayed(outcomes)(case, range(draws)) for case in chosen)
    parallel = Parallel(jobs, return_as="generator_unordered")
    yield from progress(parallel(tasks), "false alarms", total=len(chosen))


def run(options: argparse.Namespace) -> int:
    """Keep the draws that did not pass in a file, and print the counts; 1 if there is a false alarm.

    Raises:
        OSError: the file cannot be written.
    """
    chosen = [case for case in cases() if options.only in case.name]
    if not chosen:
        raise UnusableError(f"--only: no entry of the catalog has {options.only!r} in its name")
    counts: Counter[str] = Counter()
    failed: list[Outcome] = []
    _write(options.out, failed)
    for found in campaign(chosen, options.draws, options.jobs):
        counts.update(_condition(outcome) for outcome in found)
        if some := [outcome for outcome in found if outcome.verdict != "agree"]:
            failed += some
            _write(options.out, failed)
    del counts["side_effects"]
    unseen = sum(outcome.verdict == INCONCLUSIVE for outcome in failed)
    compared = ", ".join(f"{count:,} in {made_in}" for made_in, count in sorted(counts.items()))
    show(
        f"{len(chosen)} entries of the catalog, {options.draws} draws each, compared: {compared}.\n"
        f"False alarms: {len(failed) - unseen}. Inconclusive: {unseen}. Each is a row of {options.out}\n"
    )
    return 1 if len(failed) > unseen else 0


def _condition(outcome: Outcome) -> str:
    """What it was compared in, all other shapes as one."""
    dtype, shape, _ = outcome.made_in.partition(f", {OTHER_SHAPE}")
    return f"{dtype}, another shape" if shape else dtype


def _write(path: str | os.PathLike[str], failed: list[Outcome]) -> None:
    table = pd.DataFrame(failed, columns=Outcome._fields)
    write_whole(path, table.to_csv(index=False).encode())
