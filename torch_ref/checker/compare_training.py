"""compare_training(model, twin, batches, …): two trainings of the same program, step by step.

Both sides round, each in its own way, and training carries that on: it multiplies a small difference as it
does any other change of the weights, and one rounding that flips a ReLU makes two runs diverge. So weights
that are apart after a hundred steps say nothing yet. Two questions are asked instead:

* Are both the same program? That is judged in float64, where rounding is small. How large it may become is
  measured: NumPy trains once more, from weights that are off by an ulp. The two sides may be no farther
  apart than NumPy is from that, times a factor.
* What does float32 cost? Each side is held against its own training in float64. That cost is judged step by
  step (float32_cost.py), and NumPy's error is measured in units of PyTorch's.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from scratch import nn, optim
from scratch.gradcheck.rounding import jitter
from scratch.gradcheck.tolerance import ONE_SAMPLE
from torch_ref.checker.float32_cost import most_roundings, step_beside_exact
from torch_ref.checker.torch_side import require_same_start
from torch_ref.checker.training import Training
from torch_ref.checker.training_sides import NumpySide, Side, TorchSide, distances, state_distance

_ULP = float(np.finfo(np.float64).eps)


def compare_training(
    model: nn.Module,
    twin: torch.nn.Module,
    batches: Iterable[tuple[np.ndarray, np.ndarray]],
    *,
    loss_fn: nn.Loss,
    twin_loss_fn: torch.nn.Module,
    optimizer: Callable[[list[nn.Parameter]], optim.Optimizer],
    twin_optimizer: Callable[[list[torch.nn.Parameter]], torch.optim.Optimizer],
) -> Training:
    """Train both sides on the same batches; compare weights, buffers and optimizer state after every step.

    Args:
        model: the NumPy side, in float32 or float64.
        twin: the PyTorch side, with the same names of parameters and equal weights.
        batches: (x, target) of each step; copied for each side.
        loss_fn: a loss of scratch.nn.
        twin_loss_fn: the same of torch.nn.
        optimizer: makes ours, of a list of parameters: ``lambda params: optim.Adam(params, lr=1e-3)``.
        twin_optimizer: makes torch's.

    Neither side is changed: copies are trained. Dropout masks come from torch's generator as it stands.

    Raises:
        ValueError: the two sides have other parameters, or other weights; there is no batch.
        FloatingPointError: a loss becomes nan or inf.
    """
    require_same_start(model, twin, "compare_training")
    dtype = next(model.parameters()).dtype
    trainings = _Trainings(
        lambda dtype: NumpySide(model, loss_fn, optimizer, dtype),
        lambda dtype: TorchSide(twin, twin_loss_fn, twin_optimizer, dtype),
        dtype,
    )
    rows, worst_roundings = [trainings.row(0)], [""]
    with torch.random.fork_rng(devices=[]):
        for number, batch in enumerate(batches, 1):
            trainings.step(number, *batch)
            rows.append(trainings.row(number))
            worst_roundings.append(trainings.worst_rounding)
    if len(rows) == 1:
        raise ValueError("compare_training: batches is empty, expected at least one (x, target)")
    frame = pd.DataFrame(rows)
    frame["allowed"] = ONE_SAMPLE * (frame["allowed"].cummax() + _ULP)
    farthest = distances(trainings.ours64, trainings.theirs64)
    found = Training(frame, dtype, max(farthest, key=lambda name: farthest[name]))
    if found.departs_at is None:
        return found
    return replace(found, worst_rounding=worst_roundings[found.departs_at])


class _Trainings:
    """All trainings side by side: both programs in float64, NumPy's an ulp beside, and both in ``dtype``."""

    def __init__(
        self, numpy_side: Callable[[Any], Side], torch_side: Callable[[Any], Side], dtype: np.dtype
    ) -> None:
        longer = np.dtype(np.float64)
        self.ours64, self.theirs64, self.beside = numpy_side(longer), torch_side(longer), numpy_side(longer)
        rng = np.random.default_rng(0)
        for weight in self.beside.weights().values():
            weight[...] = jitter(weight, rng)
        self.ours, self.theirs = self.ours64, self.theirs64
        self.exact: list[Side] = []
        if dtype != longer:
            self.ours, self.theirs = numpy_side(dtype), torch_side(dtype)
            self.exact = [numpy_side(longer), torch_side(longer)]
        self.losses = {self.ours: np.nan, self.theirs: np.nan}
        self.worst_rounding, self.roundings = "", np.nan

    def step(self, number: int, x: np.ndarray, target: np.ndarray) -> None:
        """Train all on one batch, from the same state of the generator."""
        state = torch.get_rng_state()
        for side in (self.ours64, self.theirs64, self.beside):
            torch.set_rng_state(state)
            self._keep(side, side.step(x, target), number)
        if not self.exact:
            return
        errors = []
        for side, exact in zip((self.ours, self.theirs), self.exact, strict=True):
            torch.set_rng_state(state)
            loss, error = step_beside_exact(side, exact, x, target)
            self._keep(side, loss, number)
            errors.append(error)
        self.worst_rounding, self.roundings = most_roundings(*errors)

    def _keep(self, side: Side, loss: float, number: int) -> None:
        if not np.isfinite(loss):
            raise FloatingPointError(f"compare_training: the loss of {side.side} is {loss} in step {number}")
        self.losses[side] = loss

    def row(self, number: int) -> dict[str, Any]:
        """The row of the frame after this step."""
        apart: dict[str, tuple[Side, Side]] = {
            "drift": (self.ours, self.theirs),
            "numpy_rounding": (self.ours, self.ours64),
            "torch_rounding": (self.theirs, self.theirs64),
            "programs": (self.ours64, self.theirs64),
            "allowed": (self.ours64, self.beside),
        }
        return {
            "step": number,
            "numpy_loss": self.losses[self.ours],
            "torch_loss": self.losses[self.theirs],
            "state": state_distance(self.ours.optimizer, self.theirs.optimizer),
            **{
                name: np.max([*distances(a, b).values()]) if a is not b else np.nan
                for name, (a, b) in apart.items()
            },
            "roundings": self.roundings,
        }
