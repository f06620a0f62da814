"""compare_training(model, twin, batches, …): two trainings of the same program, step by step.

Both sides round, each in its own way, and training carries that on: it multiplies a small difference as it
does any other change of the weights, and where one crosses a kink it throws it far. So weights that are apart
after a hundred steps say nothing yet. Two questions are asked instead:

* Are both the same program? That is judged in float64, where rounding is small. How large it may become is
  measured: NumPy trains once more, from weights that are off by an ulp. The two sides may be no farther
  apart than NumPy is from that, give or take.
* What does float32 cost? Each side is held against its own training in float64.
"""

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import torch

import scratch.training
import torch_ref.training
from scratch import nn, optim
from scratch.precision import jitter
from torch_ref.compare import check_same_start
from torch_ref.mirror import torch_generator

# The training that is off by an ulp is one sample of what rounding does. Of 160 right trainings, half of them
# with a learning rate so large that they multiply all differences, none was apart by more than 34 times that.
TIMES = 256
ULP = float(np.finfo(np.float64).eps)
_BLIND = float(np.sqrt(ULP))


@dataclass(frozen=True)
class Training:
    """What compare_training found; truthy if the two sides are the same program.

    Args:
        frame: a row for each step, from 0, the start. A distance is that of two sets of weights: the largest
            difference by the largest weight.

            * step; numpy_loss, torch_loss: before the update (nan at 0)
            * drift: the distance of the two sides, in the dtype of the model
            * state: that of the optimizers' vectors
            * numpy_rounding, torch_rounding: the distance of each side from its training in float64 (nan if
              that is the dtype)
            * programs: the distance of the two sides in float64
            * allowed: what that may be: 256 times the largest distance of NumPy from NumPy that started an
              ulp beside it, until then, and 256 ulps
        dtype: of the model.
        worst: the parameter that is farthest apart in the end, in float64.
    """

    frame: pd.DataFrame
    dtype: np.dtype
    worst: str

    @cached_property
    def parts_at(self) -> int | None:
        """The first step after which the two programs are farther apart than rounding brings them."""
        far = (self.frame["programs"] > self.frame["allowed"]) & (self.frame["allowed"] <= _BLIND)
        return int(self.frame["step"][far].iloc[0]) if far.any() else None

    @property
    def blind(self) -> bool:
        """Whether rounding costs more than half the digits of float64, so that little could be seen."""
        return bool(self.frame["allowed"].iloc[-1] > _BLIND)

    @property
    def ok(self) -> bool:
        """Whether the two sides are the same program, and it would have been seen if they were not."""
        return self.parts_at is None and not self.blind

    def __bool__(self) -> bool:
        return self.ok

    @property
    def verdict(self) -> str:
        """What was found, in a sentence or two."""
        last = self.frame.iloc[-1]
        apart = f"In float64 the weights are {last['programs']:.1e} apart after {int(last['step'])} steps"
        allowed = f"rounding explains {last['allowed']:.1e}"
        if self.parts_at is not None:
            return (
                f"The two sides part at step {self.parts_at}. {apart}, farthest in {self.worst}; {allowed}."
            )
        if self.blind:
            return f"Too blind to say: {allowed}. {apart}."
        told = f"The two sides are the same program. {apart}; {allowed}."
        if self.dtype == np.float32:
            told += (
                f" In float32 they are {last['drift']:.1e} apart, "
                f"NumPy {last['numpy_rounding']:.1e} and PyTorch {last['torch_rounding']:.1e} from float64."
            )
        return told

    def __str__(self) -> str:
        count = len(self.frame)
        shown = self.frame.iloc[np.unique(np.geomspace(1, count, min(count, 12)).astype(int) - 1)]
        return f"{self.verdict}\n\n{shown.to_markdown(index=False, floatfmt='.3g')}"

    def _repr_html_(self) -> str:
        return self.frame.to_html(index=False, float_format="{:.3g}".format)


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
    """Train both sides on the same batches and compare weights and optimizer state after every step.

    Args:
        model: the NumPy side, in float32 or float64.
        twin: the PyTorch side, with the same names of parameters and equal weights.
        batches: (x, target) of each step.
        loss_fn: a loss of scratch.nn.
        twin_loss_fn: the same of torch.nn.
        optimizer: makes ours, of a list of parameters: ``lambda params: optim.Adam(params, lr=1e-3)``.
        twin_optimizer: makes torch's.

    Neither side is changed: copies are trained. Dropout masks come from torch's generator as it stands.

    Raises:
        ValueError: the two sides have other parameters, or other weights; there is no batch.
        FloatingPointError: a loss becomes nan or inf.
    """
    check_same_start(model, twin, "compare_training")
    dtype, longer = next(model.parameters()).dtype, np.dtype(np.float64)
    ours, theirs = _Numpy(model, loss_fn, optimizer, dtype), _Torch(twin, twin_loss_fn, twin_optimizer, dtype)
    if dtype == longer:
        ours64, theirs64 = ours, theirs
    else:
        ours64 = _Numpy(model, loss_fn, optimizer, longer)
        theirs64 = _Torch(twin, twin_loss_fn, twin_optimizer, longer)
    beside = _Numpy(model, loss_fn, optimizer, longer)
    rng = np.random.default_rng(0)
    for p in beside.model.parameters():
        p.data[...] = jitter(p.data, rng)
    everyone: list[_Numpy | _Torch] = list(dict.fromkeys([ours, theirs, ours64, theirs64, beside]))

    rows = []
    losses = dict.fromkeys(everyone, np.nan)
    with torch.random.fork_rng(devices=[]):
        for step, batch in enumerate([None, *batches]):
            if batch is not None:
                state = torch.get_rng_state()
                for run in everyone:
                    torch.set_rng_state(state)
                    losses[run] = run.step(*batch)
                    if not np.isfinite(losses[run]):
                        raise FloatingPointError(
                            f"compare_training: the loss of {run.side} is {losses[run]} in step {step}"
                        )
            w = {run: run.weights() for run in everyone}
            apart: dict[str, tuple[_Numpy | _Torch, _Numpy | _Torch]] = {
                "drift": (ours, theirs),
                "numpy_rounding": (ours, ours64),
                "torch_rounding": (theirs, theirs64),
                "programs": (ours64, theirs64),
                "allowed": (ours64, beside),
            }
            rows.append(
                {
                    "step": step,
                    "numpy_loss": losses[ours],
                    "torch_loss": losses[theirs],
                    "state": _state_distance(ours.optimizer, theirs.optimizer),
                    **{
                        name: _distance(w[a], w[b]) if a is not b else np.nan
                        for name, (a, b) in apart.items()
                    },
                }
            )
    if len(rows) == 1:
        raise ValueError("compare_training: batches is empty, wanted at least one (x, target)")
    frame = pd.DataFrame(rows)
    frame["allowed"] = TIMES * (frame["allowed"].cummax() + ULP)
    pairs = zip(ours64.model.named_parameters(), theirs64.model.parameters(), strict=True)
    farthest = {name: np.max(np.abs(p.data - q.detach().numpy())) for (name, p), q in pairs}
    return Training(frame, dtype, max(farthest, key=lambda name: farthest[name]))


class _Numpy:
    """A copy of the NumPy side in training."""

    side = "NumPy"

    def __init__(self, model: nn.Module, loss_fn: nn.Loss, optimizer: Callable, dtype: np.dtype) -> None:
        self.model = copy.deepcopy(model).to(dtype)
        self.loss_fn, self.dtype = loss_fn, dtype
        self.optimizer = optimizer(list(self.model.parameters()))

    def step(self, x: np.ndarray, target: np.ndarray) -> float:
        """The loss before the update."""
        x, target = (_cast(a, self.dtype) for a in (x, target))
        with torch_generator():
            return scratch.training.train_step(self.model, self.loss_fn, self.optimizer, x, target)

    def weights(self) -> np.ndarray:
        """All of them, as one vector."""
        return np.concatenate([p.data.reshape(-1) for p in self.model.parameters()])


class _Torch:
    """A copy of the PyTorch side in training."""

    side = "PyTorch"

    def __init__(
        self, model: torch.nn.Module, loss_fn: torch.nn.Module, optimizer: Callable, dtype: np.dtype
    ) -> None:
        self.model = copy.deepcopy(model).to(getattr(torch, dtype.name))
        self.loss_fn, self.dtype = copy.deepcopy(loss_fn).to(getattr(torch, dtype.name)), dtype
        self.optimizer = optimizer(list(self.model.parameters()))

    def step(self, x: np.ndarray, target: np.ndarray) -> float:
        """The loss before the update."""
        tensors = (torch.from_numpy(_cast(a, self.dtype)) for a in (x, target))
        return torch_ref.training.train_step(self.model, self.loss_fn, self.optimizer, *tensors)

    def weights(self) -> np.ndarray:
        """All of them, as one vector."""
        return np.concatenate([p.detach().numpy().reshape(-1) for p in self.model.parameters()])


def _cast(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return array.astype(dtype, copy=False) if array.dtype.kind == "f" else array


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    size = float(np.max(np.abs(b), initial=0))
    return float(np.max(np.abs(a - b), initial=0)) / (size or 1.0)


def _state_distance(ours: optim.Optimizer, theirs: torch.optim.Optimizer) -> float:
    """The largest distance of two vectors of the same name, such as exp_avg."""
    mine, its = ours.state_dict()["state"], theirs.state_dict()["state"]
    pairs = [
        (np.asarray(mine[index][name]), value.numpy())
        for index, vectors in its.items()
        for name, value in vectors.items()
        if isinstance(value, torch.Tensor) and value.is_floating_point()
    ]
    return max((_distance(a, b) for a, b in pairs), default=0.0)
