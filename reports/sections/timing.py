"""How long a step takes on each side, and whether the difference is more than noise.

All phases are measured in one loop, as it stands in any program: zero_grad, forward (model and loss),
backward, update. The clock is read between the phases and each phase adds up over a block of steps; step is
the whole loop, zero_grad included. The sides take turns, a block each, and the order is turned round every
round. What is compared is the ratio of two blocks of one round, so a machine that is slow for a while is slow
for both.
"""

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch

from reports.runner.campaign import Chapter
from reports.runner.frameworks import (
    COLUMNS,
    PHASES,
    TORCH_OPTIONS,
    Trainable,
    compare_column,
    numpy_side,
    torch_side,
)
from reports.runner.intervals import Interval, judge, median_interval
from reports.runner.networks import Network, with_one_batch
from reports.runner.progress import progress
from reports.runner.results import Rows, Section
from reports.runner.tasks import Task
from scratch import nn
from scratch.gradcheck import INCONCLUSIVE
from torch_ref import Comparison, compare

Blocks = list[dict[str, float]]


def chapter(
    networks: Sequence[Network],
    *,
    dtype: str,
    rounds: int,
    block: float,
    seed: int,
    processes: int = 0,
    columns: Sequence[str] = (),
    swept: Sequence[tuple[str, Network]] = (),
) -> Chapter:
    """The chapter of the report.

    Args:
        networks: the configurations, each with its batch size.
        dtype: of weights and data.
        rounds: how many pairs of blocks are compared, in each process.
        block: how long a block is to take, in seconds.
        seed: of the weights, and of the bootstrap.
        processes: how many fresh ones measure each configuration; 0 measures in this one.
        columns: who is timed beside NumPy and the fastest setting of PyTorch, of sides.COLUMNS.
        swept: more configurations, measured once and shortly, and what varies: "batch" or "width".
    """
    numbers = range(1, processes + 1) if processes else range(1)
    tasks = [
        Task(
            f"timing {network.name}, batch {network.batch_size}, process {number}",
            partial(_timed, with_one_batch(network), dtype, rounds, block, seed, number, tuple(columns)),
            process=number,
            weight=1 + (3 + len(columns)) * rounds * block,
        )
        for number in numbers
        for network in networks
    ]
    tasks += [
        Task(
            f"sweep of {vary}, {network.name}, batch {network.batch_size}",
            partial(_swept, vary, with_one_batch(network), dtype, block / 10, seed),
            process=numbers[0],
            weight=0.1 + 4 * _SWEEP_ROUNDS * block / 10,
        )
        for vary, network in swept
    ]
    return Chapter("timing", tasks, partial(_conclude, seed=seed))


_SWEEP_ROUNDS = 5


def _timed(
    network: Network, dtype: str, rounds: int, block: float, seed: int, process: int, columns: Sequence[str]
) -> Rows:
    told = {"network": network.name, "batch": network.batch_size, "dtype": dtype, "process": process}
    # Of the same code and the same seeds it is enough to ask once.
    if process <= 1 and (reason := disagreement(partial(_both_sides, network), dtype, seed)):
        empty = {"reason": reason, "setting": "", "left_out": {}, "blocks": {}}
        return Rows({}, {"timing": [told | empty]})
    left_out = {name: reason for name in columns if (reason := _why_not(name, network, dtype, seed))}
    more = {name: COLUMNS[name].build(network, dtype, seed) for name in columns if name not in left_out}
    with _no_garbage_collection():
        blocks, setting = measure(network, dtype, rounds, block, seed, more)
    found = {"reason": "", "setting": setting, "left_out": left_out, "blocks": blocks}
    return Rows({}, {"timing": [told | found]})


def _why_not(name: str, network: Network, dtype: str, seed: int) -> str:
    """Why this column is not timed: it is not there, or its gradients are not NumPy's."""
    column = COLUMNS[name]
    compared = partial(compare_column, column, network)
    return column.why_not(network, dtype) or disagreement(compared, dtype, seed)


def _swept(vary: str, network: Network, dtype: str, block: float, seed: int) -> Rows:
    """One point of a curve; PyTorch is at the fastest of its settings, all measured."""
    sides = {"numpy": numpy_side(network, dtype, seed)}
    sides |= {name: torch_side(network, dtype, seed, options) for name, options in TORCH_OPTIONS.items()}
    with _no_garbage_collection():
        blocks = take_turns(sides, _SWEEP_ROUNDS, block, "sweep")
    seconds = {name: np.array([each["step"] for each in some]) for name, some in blocks.items()}
    fastest = min(TORCH_OPTIONS, key=lambda name: float(np.median(seconds[name])))
    ratio = median_interval(seconds["numpy"] / seconds[fastest], seed)
    row = {
        "network": network.name,
        "vary": vary,
        "batch": network.batch_size,
        "width": next(p.shape[0] for p in network.ours(dtype=np.dtype(dtype)).parameters()),
        "dtype": dtype,
        "setting": fastest,
        "numpy_seconds": np.median(seconds["numpy"]),
        "torch_seconds": np.median(seconds[fastest]),
        "ratio": ratio.median,
        "low": ratio.low,
        "high": ratio.high,
    }
    return Rows({"sweep": pd.DataFrame([row])})


def _conclude(rows: Rows, seed: int) -> Section:
    found: dict[tuple[str, int, str], list[dict[str, Any]]] = {}
    for each in rows.samples["timing"]:
        found.setdefault((each["network"], each["batch"], each["dtype"]), []).append(each)
    table: list[dict[str, Any]] = []
    for (network, batch, dtype), processes in found.items():
        told = {"network": network, "batch": batch, "dtype": dtype}
        if reasons := [each["reason"] for each in processes if each["reason"]]:
            table.append({**told, "verdict": f"not timed: {reasons[0]}"})
            continue
        setting = ", ".join(sorted({each["setting"] for each in processes}))
        measured = [each["blocks"] for each in processes]
        table += [{**told, "setting": setting, **row} for row in summary(measured, seed)]
        for name, reason in {k: v for each in processes for k, v in each["left_out"].items()}.items():
            table.append(
                {**told, "pair": f"NumPy / {COLUMNS[name].title}", "verdict": f"not timed: {reason}"}
            )
    columns = ["network", "batch", "dtype", "setting", "pair", "phase", "numpy_seconds", "other_seconds"]
    columns += ["ratio", "low", "high", "noise", "rounds", "processes", "verdict"]
    timing = pd.DataFrame(table, columns=columns).astype(dict.fromkeys(("setting", "pair", "phase"), object))
    agrees = not any(each["reason"] for each in rows.samples["timing"])
    return Section({"timing": timing, **rows.tables}, rows.samples, agrees)


def disagreement(compared: Callable[[str, int], Comparison], dtype: str, seed: int) -> str:
    """Why a configuration is not timed: which gradients differ, or "" if they agree.

    In float32 a rounding may flip a ReLU that sits on its kink, on one side only. So a disagreement is asked
    again from two more seeds, since an error is there from every seed; and where there are so many kinks that
    always some flip, as behind a convolution, once more in float64, of the same code. The gradient by the
    input does not count: training has no use for it, and where pixels are blank, equal maxima are many.

    Args:
        compared: compares the gradients in a dtype, from a seed.
        dtype: of the timing.
        seed: of the weights.
    """
    for each, made_in in (*((each, dtype) for each in range(seed, seed + 3)), (seed, "float64")):
        try:
            found = compared(made_in, each).frame.query("verdict != 'agree' and tensor != 'input'")
        except ValueError as error:
            return str(error)
        if found.empty:
            return ""
    blind = set(found["verdict"]) == {INCONCLUSIVE}
    return f"the gradients {'cannot be compared' if blind else 'disagree'} in {', '.join(found['tensor'])}"


def _both_sides(network: Network, dtype: str, seed: int) -> Comparison:
    """The gradients of NumPy and PyTorch on the batch that is timed."""
    x, target = network.batch(dtype)
    model, twin = network.build(dtype, seed)
    losses = {"loss_fn": nn.CrossEntropyLoss(), "twin_loss_fn": torch.nn.CrossEntropyLoss()}
    return compare(model, twin, x, target=target, numeric=False, **losses)  # type: ignore[arg-type]


def measure(
    network: Network, dtype: str, rounds: int, block: float, seed: int, more: Mapping[str, Trainable]
) -> tuple[dict[str, Blocks], str]:
    """Blocks of "numpy", of "torch" at its fastest setting, of "control", a second NumPy model, and more."""
    choices = {name: torch_side(network, dtype, seed, options) for name, options in TORCH_OPTIONS.items()}
    tried = take_turns(choices, max(3, rounds // 4), block / 5, f"choosing SGD for {network.name}")
    setting = min(tried, key=lambda name: float(np.median([each["step"] for each in tried[name]])))
    sides: dict[str, Trainable] = {
        "numpy": numpy_side(network, dtype, seed),
        "torch": choices[setting],
        "control": numpy_side(network, dtype, seed),
        **more,
    }
    return take_turns(sides, rounds, block, f"timing {network.name}"), setting


def take_turns(
    sides: Mapping[str, Trainable], rounds: int, block: float, description: str
) -> dict[str, Blocks]:
    """Blocks of each side, one a round; every second round goes through the sides backwards.

    How many steps make a block is found for each side first; that, and one block more, warms it up.
    """
    steps = {name: _calibrate(side, block) for name, side in sides.items()}
    measured: dict[str, Blocks] = {name: [] for name in sides}
    for name, side in sides.items():
        side.block(steps[name])
    for number in progress(range(rounds), description):
        for name in list(sides)[:: 1 if number % 2 == 0 else -1]:
            measured[name].append(sides[name].block(steps[name]))
    return measured


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _calibrate(side: Trainable, block: float) -> int:
    steps = 1
    while (seconds := side.block(steps)["step"] * steps) < block / 2:
        steps *= 2
    return max(1, round(steps * block / seconds))


def summary(measured: Sequence[dict[str, Blocks]], seed: int) -> Iterator[dict[str, Any]]:
    """Rows: for each phase NumPy / PyTorch, and for the step NumPy / NumPy, the noise.

    Args:
        measured: the blocks of each process, by side.
        seed: of the bootstrap.
    """

    def seconds(side: str, phase: str) -> np.ndarray:
        return np.array([[block[phase] for block in blocks[side]] for blocks in measured])

    def compared(other: str, phase: str) -> Interval:
        return median_interval(seconds("numpy", phase) / seconds(other, phase), seed)

    others = [("NumPy / PyTorch", "torch", PHASES), ("NumPy / NumPy", "control", ("step",))]
    more = [name for name in measured[0] if name in COLUMNS and name != "numpy"]
    others += [(f"NumPy / {COLUMNS[name].title}", name, ("step",)) for name in more]
    for pair, other, phases in others:
        for phase in phases:
            ratio, control = compared(other, phase), compared("control", phase)
            # What two equal models can differ by: the interval's width, or its distance from 1 if more.
            noise = max(control.high - control.low, control.high - 1, 1 / control.low - 1)
            yield {
                "pair": pair,
                "phase": phase,
                "numpy_seconds": np.median(seconds("numpy", phase)),
                "other_seconds": np.median(seconds(other, phase)),
                "ratio": ratio.median,
                "low": ratio.low,
                "high": ratio.high,
                "noise": noise,
                "rounds": len(measured[0]["numpy"]),
                "processes": len(measured),
                "verdict": judge(ratio, noise),
            }
