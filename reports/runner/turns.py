"""Both sides of a training step, timed in turns.

All phases are measured in one loop, as it stands in any program: zero_grad, forward (model and loss),
backward, update. The clock is read between the phases and each phase adds up over a block of steps; step is
the whole loop, zero_grad included. The sides take turns, a block each, and the order is turned round every
round.
"""

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from reports.runner.frameworks import TORCH_OPTIONS, Trainable, numpy_side, torch_side
from reports.runner.networks import Network
from reports.runner.progress import progress

Blocks = list[dict[str, float]]


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
def no_garbage_collection() -> Iterator[None]:
    """Context without garbage collection."""
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
