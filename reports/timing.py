"""How long a step takes on each side, and whether the difference is more than noise.

All phases are measured in one loop, as it stands in any program: zero_grad, forward (model and loss),
backward, update. The clock is read between the phases and each phase adds up over a block of steps; step is
the whole loop, zero_grad included. The sides take turns, a block each, and the order is turned round every
round. What is compared is the ratio of two blocks of one round, so a machine that is slow for a while is slow
for both.
"""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.stats
import torch

from reports.networks import Network
from reports.progress import progress
from reports.results import Section
from reports.sides import PHASES, TORCH_OPTIONS, Side, numpy_side, torch_side
from scratch import nn
from torch_ref import compare

Blocks = list[dict[str, float]]


def run(networks: Sequence[Network], *, dtype: str, rounds: int, block: float, seed: int) -> Section:
    """The section of the report.

    Args:
        networks: the configurations, each with its batch size.
        dtype: of weights and data.
        rounds: how many pairs of blocks are compared.
        block: how long a block is to take, in seconds.
        seed: of the weights, and of the bootstrap.
    """
    rows: list[dict[str, Any]] = []
    raw: dict[str, Any] = {}
    for network in networks:
        told = {"network": network.name, "batch": network.batch_size, "dtype": dtype}
        if reason := disagreement(network, dtype, seed):
            rows.append({**told, "verdict": f"not timed: {reason}"})
            continue
        with _no_garbage_collection():
            measured, setting = measure(network, dtype, rounds, block, seed)
        raw[network.name] = {"setting": setting, "blocks": measured}
        rows += [{**told, "setting": setting, **row} for row in summary(measured, seed)]
    columns = ["network", "batch", "dtype", "setting", "pair", "phase", "numpy_seconds", "other_seconds"]
    columns += ["ratio", "low", "high", "noise", "rounds", "verdict"]
    table = pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(("setting", "pair", "phase"), object))
    return Section({"timing": table}, raw, agrees=len(raw) == len(networks))


def disagreement(network: Network, dtype: str, seed: int) -> str:
    """Why this configuration is not timed: which gradients differ, or "" if they agree.

    In float32 a rounding may flip a ReLU that sits on its kink, on one side only. So a disagreement is asked
    again from two more seeds, since an error is there from every seed; and where there are so many kinks that
    always some flip, as behind a convolution, once more in float64, of the same code. The gradient by the
    input does not count: training has no use for it, and where pixels are blank, equal maxima are many.
    """
    for each, made_in in (*((each, dtype) for each in range(seed, seed + 3)), (seed, "float64")):
        x, target = network.batch(made_in)
        model, twin = network.build(made_in, each)
        losses = {"loss_fn": nn.CrossEntropyLoss(), "twin_loss_fn": torch.nn.CrossEntropyLoss()}
        try:
            found = compare(model, twin, x, target=target, truth=False, **losses)  # type: ignore[arg-type]
        except ValueError as error:
            return str(error)
        wrong = [t for t in found.frame[found.frame["verdict"] != "agree"]["tensor"] if t != "input"]
        if not wrong:
            return ""
    return "the gradients disagree in " + ", ".join(wrong)


def measure(
    network: Network, dtype: str, rounds: int, block: float, seed: int
) -> tuple[dict[str, Blocks], str]:
    """Blocks of "numpy", of "torch" at its fastest setting, and of "control", a second NumPy model."""
    choices = {name: torch_side(network, dtype, seed, options) for name, options in TORCH_OPTIONS.items()}
    tried = take_turns(choices, max(3, rounds // 4), block / 2, f"choosing SGD for {network.name}")
    setting = min(tried, key=lambda name: float(np.median([each["step"] for each in tried[name]])))
    sides = {
        "numpy": numpy_side(network, dtype, seed),
        "torch": choices[setting],
        "control": numpy_side(network, dtype, seed),
    }
    return take_turns(sides, rounds, block, f"timing {network.name}"), setting


def take_turns(sides: dict[str, Side], rounds: int, block: float, description: str) -> dict[str, Blocks]:
    """Blocks of each side, one a round; every second round goes through the sides backwards.

    How many steps make a block is found for each side first; that, and one block more, warms it up.
    """
    steps = {name: _calibrate(side, block) for name, side in sides.items()}
    measured: dict[str, Blocks] = {name: [] for name in sides}
    for name, side in sides.items():
        side.block(steps[name])
    for number in progress(range(rounds), description):
        for name in sides if number % 2 == 0 else reversed(sides):
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


def _calibrate(side: Side, block: float) -> int:
    steps = 1
    while (seconds := side.block(steps)["step"] * steps) < block / 2:
        steps *= 2
    return max(1, round(steps * block / seconds))


class Interval(NamedTuple):
    """A median and its 95% interval."""

    median: float
    low: float
    high: float


def median_interval(samples: Sequence[float], seed: int = 0) -> Interval:
    """The median, and the percentiles of the medians of samples drawn anew from these (bootstrap)."""
    result = scipy.stats.bootstrap(
        (np.asarray(samples, float),), np.median, method="percentile", rng=np.random.default_rng(seed)
    )
    low, high = map(float, result.confidence_interval)
    return Interval(float(np.median(samples)), low, high)


def judge(ratio: Interval, noise: float) -> str:
    """NumPy is faster or slower if all of the interval is farther from 1, in ratio, than the noise."""
    if ratio.high < 1 / (1 + noise):
        return "NumPy faster"
    if ratio.low > 1 + noise:
        return "NumPy slower"
    return "not distinguishable"


def summary(measured: dict[str, Blocks], seed: int) -> Iterator[dict[str, Any]]:
    """Rows: for each phase NumPy / PyTorch, and for the step NumPy / NumPy, the noise."""
    seconds = {name: pd.DataFrame(blocks) for name, blocks in measured.items()}

    def compared(other: str, phase: str) -> Interval:
        return median_interval(seconds["numpy"][phase] / seconds[other][phase], seed)

    for pair, other, phases in (
        ("NumPy / PyTorch", "torch", PHASES),
        ("NumPy / NumPy", "control", ("step",)),
    ):
        for phase in phases:
            ratio, control = compared(other, phase), compared("control", phase)
            # What two equal models can differ by: the interval's width, or its distance from 1 if more.
            noise = max(control.high - control.low, control.high - 1, 1 - control.low)
            yield {
                "pair": pair,
                "phase": phase,
                "numpy_seconds": seconds["numpy"][phase].median(),
                "other_seconds": seconds[other][phase].median(),
                "ratio": ratio.median,
                "low": ratio.low,
                "high": ratio.high,
                "noise": noise,
                "rounds": len(seconds["numpy"]),
                "verdict": judge(ratio, noise),
            }
