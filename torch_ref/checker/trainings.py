"""compare_training(model, twin, batches, …): two trainings of the same program, step by step.

Both sides round, each in its own way, and training carries that on: it multiplies a small difference as it
does any other change of the weights, and where one crosses a kink it throws it far. So weights that are apart
after a hundred steps say nothing yet. Two questions are asked instead:

* Are both the same program? That is judged in float64, where rounding is small. How large it may become is
  measured: NumPy trains once more, from weights that are off by an ulp. The two sides may be no farther
  apart than NumPy is from that, give or take.
* What does float32 cost? Each side is held against its own training in float64. What it may cost is judged
  step by step, since the error of one step does not grow: from the same weights, the gradients and the update
  are computed in float64 as well. NumPy's error there is measured in PyTorch's.
"""

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from scratch import nn, optim
from scratch.gradcheck.rounding import Tensors, jitter
from torch_ref.checker.compare import check_same_start
from torch_ref.twin.mirror import torch_generator

# The training that is off by an ulp is one sample of what rounding does. Of 160 right trainings, half of them
# with a learning rate so large that they multiply all differences, none was apart by more than 34 times that.
TIMES = 256
ULP, _FLOAT32_ULP = (float(np.finfo(dtype).eps) for dtype in (np.float64, np.float32))
_BLIND = float(np.sqrt(ULP))

# How many times as large as PyTorch's the error of NumPy's steps in float32 may be. In 64 right trainings of
# scratch/models.py it was 7 times as large at most; rounding to float16 makes it 900 times as large. A ReLU
# that a rounding flips makes one step bad, and seldom the next: the median of some in a row counts.
TIMES_FLOAT32 = 32
_IN_A_ROW = 5


@dataclass(frozen=True)
class Training:
    """What compare_training found; truthy if the two sides are the same program.

    Args:
        frame: a row for each step, from 0, the start. A distance is that of two sets of weights: the largest
            difference by the largest weight or, of buffers such as a running mean, the largest buffer.

            * step; numpy_loss, torch_loss: before the update (nan at 0)
            * drift: the distance of the two sides, in the dtype of the model
            * state: that of the optimizers' vectors
            * numpy_rounding, torch_rounding: the distance of each side from its training in float64 (nan if
              that is the dtype)
            * programs: the distance of the two sides in float64
            * allowed: what that may be: 256 times the largest distance of NumPy from NumPy that started an
              ulp beside it, until then, and 256 ulps
            * roundings: how far NumPy's gradients and its update of this step are from those in float64 from
              the same weights, in units of how far PyTorch's are, and an ulp; of the parameter where that is
              most (nan at 0 and in float64). The median of five steps in a row may be 32.
        dtype: of the model.
        worst: the parameter or buffer that is farthest apart in the end, in float64.
        worst_rounding: what is most wrong at the step from which on NumPy departs from float64; "" if it
            does not.
    """

    frame: pd.DataFrame
    dtype: np.dtype
    worst: str
    worst_rounding: str = ""

    @cached_property
    def parts_at(self) -> int | None:
        """The first step after which the two programs are farther apart than rounding brings them."""
        far = ~(self.frame["programs"] <= self.frame["allowed"]) & ~(self.frame["allowed"] > _BLIND)
        return int(self.frame["step"][far].iloc[0]) if far.any() else None

    @cached_property
    def departs_at(self) -> int | None:
        """The first step from which on NumPy's float32 is not what float64 is, but for rounding."""
        far = self.frame["roundings"].iloc[1:] > TIMES_FLOAT32
        count = min(_IN_A_ROW, len(far))
        most = far.rolling(count).sum() > count / 2
        if not most.any():
            return None
        row = far.loc[: most.idxmax()].tail(count)
        return int(self.frame["step"][row.idxmax()])

    @property
    def blind(self) -> bool:
        """Whether rounding costs more than half the digits of float64, so that little could be seen."""
        return bool(self.frame["allowed"].iloc[-1] > _BLIND)

    @property
    def ok(self) -> bool:
        """Whether the two sides are the same program, in float32 too, and it would have been seen if not."""
        return self.parts_at is None and self.departs_at is None and not self.blind

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
        if self.departs_at is not None:
            off = float(self.frame["roundings"][self.frame["step"] == self.departs_at].iloc[0])
            return (
                f"In float32 NumPy departs from its own float64: from step {self.departs_at} on the "
                f"{self.worst_rounding} is {off:.1e} times as far off as PyTorch's. {apart}; {allowed}."
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
    check_same_start(model, twin, "compare_training")
    dtype, longer = next(model.parameters()).dtype, np.dtype(np.float64)

    def numpy_side(dtype: np.dtype) -> _Numpy:
        return _Numpy(model, loss_fn, optimizer, dtype)

    def torch_side(dtype: np.dtype) -> _Torch:
        return _Torch(twin, twin_loss_fn, twin_optimizer, dtype)

    ours64, theirs64, beside = numpy_side(longer), torch_side(longer), numpy_side(longer)
    rng = np.random.default_rng(0)
    for p in beside.model.parameters():
        p.data[...] = jitter(p.data, rng)
    everyone: list[_Side] = [ours64, theirs64, beside]
    ours, theirs = ours64, theirs64
    if dtype != longer:
        ours, theirs = numpy_side(dtype), torch_side(dtype)
        ours.exact, theirs.exact = numpy_side(longer), torch_side(longer)
        everyone += [ours, theirs]

    rows, worst_roundings = [], [""]
    losses = dict.fromkeys(everyone, np.nan)
    with torch.random.fork_rng(devices=[]):
        for step, batch in enumerate([None, *batches]):
            roundings = np.nan
            if batch is not None:
                state = torch.get_rng_state()
                for run in everyone:
                    torch.set_rng_state(state)
                    losses[run] = run.step(*batch)
                    if not np.isfinite(losses[run]):
                        raise FloatingPointError(
                            f"compare_training: the loss of {run.side} is {losses[run]} in step {step}"
                        )
                if ours.exact:
                    worst, roundings = _most_roundings(ours, theirs)
                    worst_roundings.append(worst)
            apart: dict[str, tuple[_Side, _Side]] = {
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
                        name: np.max([*_distances(a, b).values()]) if a is not b else np.nan
                        for name, (a, b) in apart.items()
                    },
                    "roundings": roundings,
                }
            )
    if len(rows) == 1:
        raise ValueError("compare_training: batches is empty, wanted at least one (x, target)")
    frame = pd.DataFrame(rows)
    frame["allowed"] = TIMES * (frame["allowed"].cummax() + ULP)
    farthest = _distances(ours64, theirs64)
    found = Training(frame, dtype, max(farthest, key=lambda name: farthest[name]))
    if found.departs_at is None:
        return found
    return replace(found, worst_rounding=worst_roundings[found.departs_at])


class _Side:
    """A copy of one side in training.

    Given ``exact``, the same side in float64, each step is made there as well: from the same weights, and its
    update with the same gradients. ``errors`` then tells how far off each gradient and each update was.
    """

    side: str
    model: Any
    loss_fn: Any
    optimizer: Any
    exact: "_Side | None" = None
    errors: "dict[str, _Error]"

    def gradient(self, x: np.ndarray, target: np.ndarray) -> float:
        """Forward and backward; the loss."""
        raise NotImplementedError

    def step(self, x: np.ndarray, target: np.ndarray) -> float:
        """The loss before the update."""
        exact, generator = self.exact, torch.get_rng_state()
        if exact:
            _assign(exact.weights(), self.weights())
            _assign(exact.buffers(), self.buffers())
            exact.gradient(x, target)
            torch.set_rng_state(generator)
        loss = self.gradient(x, target)
        if exact:
            self.errors = _errors("gradient of ", self.gradients(), exact.gradients())
            _assign(exact.gradients(), self.gradients())
            exact.optimizer.step()
        self.optimizer.step()
        if exact:
            self.errors |= _errors("update of ", self.weights(), exact.weights())
        return loss

    def weights(self) -> Tensors:
        """The memory of the parameters."""
        return {name: np.asarray(p.data) for name, p in self.model.named_parameters()}

    def gradients(self) -> Tensors:
        """The memory of their gradients; 0 where there is none."""
        parameters = self.model.named_parameters()
        return {name: np.zeros(p.shape) if p.grad is None else np.asarray(p.grad) for name, p in parameters}

    def buffers(self) -> Tensors:
        """The memory of the floating buffers."""
        arrays = {name: np.asarray(b) for name, b in self.model.named_buffers()}
        return {name: array for name, array in arrays.items() if array.dtype.kind == "f"}


class _Numpy(_Side):
    side = "NumPy"

    def __init__(self, model: nn.Module, loss_fn: nn.Loss, optimizer: Callable, dtype: np.dtype) -> None:
        self.model, self.loss_fn = copy.deepcopy(model).to(dtype), copy.deepcopy(loss_fn).to(dtype)
        self.dtype = dtype
        self.optimizer = optimizer(list(self.model.parameters()))

    def gradient(self, x: np.ndarray, target: np.ndarray) -> float:
        x, target = (_copied(a, self.dtype) for a in (x, target))
        self.optimizer.zero_grad()
        with torch_generator():
            loss = self.loss_fn(self.model(x), target)
        self.model.backward_parameters(self.loss_fn.backward())
        return float(loss)


class _Torch(_Side):
    side = "PyTorch"

    def __init__(
        self, model: torch.nn.Module, loss_fn: torch.nn.Module, optimizer: Callable, dtype: np.dtype
    ) -> None:
        kind = getattr(torch, dtype.name)
        self.model, self.loss_fn = (copy.deepcopy(each).to(kind) for each in (model, loss_fn))
        self.dtype = dtype
        self.optimizer = optimizer(list(self.model.parameters()))

    def gradient(self, x: np.ndarray, target: np.ndarray) -> float:
        tensors = [torch.from_numpy(_copied(a, self.dtype)) for a in (x, target)]
        self.optimizer.zero_grad()
        loss = self.loss_fn(self.model(tensors[0]), tensors[1])
        loss.backward()
        return float(loss.detach())


def _copied(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return array.astype(dtype) if array.dtype.kind == "f" else array.copy()


def _assign(to: Tensors, values: Tensors) -> None:
    for name, array in to.items():
        array[...] = values[name]


class _Error(NamedTuple):
    """How far off a tensor is, and how large it is: norms."""

    off: float
    size: float


def _errors(what: str, made: Tensors, exact: Tensors) -> dict[str, _Error]:
    sizes = {name: float(np.linalg.norm(right)) for name, right in exact.items()}
    # A gradient that is truly 0, such as that of a bias before a batch norm, is what others cancel to.
    whole = float(np.linalg.norm([*sizes.values()]))
    sizes = {name: size if size > _FLOAT32_ULP * whole else whole for name, size in sizes.items()}
    return {
        what + name: _Error(float(np.nan_to_num(np.linalg.norm(made[name] - right), nan=np.inf)), sizes[name])
        for name, right in exact.items()
    }


def _most_roundings(ours: _Side, theirs: _Side) -> tuple[str, float]:
    """The gradient or update of a step whose error is the most times PyTorch's, and how many."""
    units = {name: off + _FLOAT32_ULP * size for name, (off, size) in theirs.errors.items()}
    times = {
        name: off / units[name] if units[name] else off and np.inf for name, (off, _) in ours.errors.items()
    }
    worst = max(times, key=lambda name: times[name])
    return worst, times[worst]


def _distances(a: _Side, b: _Side) -> dict[str, float]:
    """How far apart each parameter and each buffer is, by the largest entry of its kind."""
    found: dict[str, float] = {}
    for ours, theirs in ((a.weights(), b.weights()), (a.buffers(), b.buffers())):
        size = max((_largest(array) for array in theirs.values()), default=0.0) or 1.0
        found |= {name: _largest(ours[name] - array) / size for name, array in theirs.items() if name in ours}
    return found


def _largest(array: np.ndarray) -> float:
    return float(np.max(np.abs(array), initial=0))


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    return _largest(a - b) / (_largest(b) or 1.0)


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
