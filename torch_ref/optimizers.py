"""check_optimizer(mine, reference): is my update right? And if not, from which step on, where, and why.

Both optimizers get the same weights and the same gradients, random ones: from entry to entry of sizes from
1e-12 to 10, so that an ε shows where it stands, and one that is always 0. From the middle on the learning
rate is halved, where yours can be told. How far rounding may bring the two apart is measured: PyTorch's goes
once more, its weights and gradients off by an ulp.
"""

import copy
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch

from scratch import nn, optim
from scratch.precision import jitter
from torch_ref.diagnose import Cause
from torch_ref.drift import TIMES, ULP
from torch_ref.faults import OPTIMIZER_FAULTS, switch_on

_SHAPES = ((3, 4), (5,))
_SIZES = [int(np.prod(shape)) for shape in _SHAPES]

_BLIND = 1e-6


@dataclass(frozen=True)
class OptimizerCheck:
    """What check_optimizer found; truthy if the two optimizers are the same.

    Args:
        frame: a row for each step: step, apart (the largest difference of two weights), allowed (by
            rounding), moved (the largest way of a weight from where it started).
        worst: the weight that was farthest off in the first wrong step, with both values.
        causes: the mistakes that, made on purpose, give the same weights at every step.
    """

    frame: pd.DataFrame
    worst: str
    causes: tuple[Cause, ...] = ()

    @cached_property
    def parts_at(self) -> int | None:
        """The first step after which the two are farther apart than rounding brings them."""
        far = ~(self.frame["apart"] <= self.frame["allowed"])
        return int(self.frame["step"][far].iloc[0]) if far.any() else None

    @property
    def sensitivity(self) -> float:
        """The smallest error, as a share of the way that was gone, that would have been seen at the end."""
        last = self.frame.iloc[-1]
        return float(last["allowed"] / last["moved"]) if last["moved"] else float("inf")

    @property
    def ok(self) -> bool:
        """Whether both are the same, and a millionth would have been seen."""
        return self.parts_at is None and self.sensitivity <= _BLIND

    def __bool__(self) -> bool:
        return self.ok

    @property
    def verdict(self) -> str:
        """What was found."""
        if self.parts_at is not None:
            told = f"The two optimizers part at step {self.parts_at}, {self.worst}."
            return "\n".join([told, *map(str, self.causes)])
        if not self.ok:
            return f"Too blind to say: only an error of {self.sensitivity:.1e} would have shown."
        told = f"The two optimizers agree in {len(self.frame)} steps"
        return f"{told}; an error of {self.sensitivity:.1e} of the way would have shown."

    def __str__(self) -> str:
        return f"{self.verdict}\n\n{self.frame.to_markdown(index=False, floatfmt='.2g')}"


def check_optimizer(
    mine: Any, reference: Callable[[list[torch.nn.Parameter]], torch.optim.Optimizer], *, steps: int = 20
) -> OptimizerCheck:
    """Compare an update written by hand with PyTorch's, step by step, in float64.

    Args:
        mine: an object with ``update(params, grads)``, two dicts of arrays, that changes params; it is
            copied. Or a function of a list of Parameters, that returns an object with ``step()``.
        reference: makes PyTorch's, of a list of parameters: ``lambda params: torch.optim.Adam(params)``.
        steps: how many.

    Raises:
        TypeError: mine or reference is no such thing.
        ValueError: mine returns weights of another shape; steps is not positive.
    """
    if steps < 1:
        raise ValueError(f"check_optimizer: steps is {steps}, wanted 1 or more")
    rng = np.random.default_rng(0)
    start = rng.standard_normal(sum(_SIZES))
    size = 10 ** rng.uniform(-12, 1, start.size)
    size[0] = 0
    gradients = size * rng.standard_normal((steps, start.size))
    hand, torchs = _by_hand(mine, start), _by_torch(reference, start)
    halve = hand.can_halve and torchs.can_halve
    made = _walk(hand, gradients, halve)
    wanted = _walk(torchs, gradients, halve)
    beside = _walk(_by_torch(reference, jitter(start, rng)), jitter(gradients, rng), halve)

    rounding = np.maximum.accumulate(np.abs(beside - wanted).max(axis=1))
    allowed = TIMES * (rounding + ULP * np.abs(wanted).max(axis=1))
    apart = np.abs(made - wanted)
    frame = pd.DataFrame(
        {
            "step": np.arange(1, steps + 1),
            "apart": apart.max(axis=1),
            "allowed": allowed,
            "moved": np.abs(wanted - start).max(axis=1),
        }
    )
    found = OptimizerCheck(frame, "")
    if found.parts_at is None:
        return found
    row = found.parts_at - 1
    at = int(np.argmax(np.where(np.isnan(apart[row]), np.inf, apart[row])))
    worst = f"{_place(at)}: yours {made[row, at]:.9g}, PyTorch's {wanted[row, at]:.9g}"
    causes = tuple(_causes(torchs.optimizer, start, gradients, halve, made, wanted, allowed))
    return OptimizerCheck(frame, worst, causes)


@dataclass
class _Walker:
    """An optimizer with its weights as one vector: what step() does with a gradient, weights() tells."""

    optimizer: Any
    step: Callable[[np.ndarray], None]
    weights: Callable[[], np.ndarray]

    @property
    def can_halve(self) -> bool:
        """Whether the learning rate can be set from outside."""
        groups = getattr(self.optimizer, "param_groups", None)
        return bool(groups and "lr" in groups[0]) or isinstance(getattr(self.optimizer, "lr", None), float)

    def halve(self) -> None:
        """Half the learning rate from now on."""
        if hasattr(self.optimizer, "param_groups"):
            for group in self.optimizer.param_groups:
                group["lr"] /= 2
        else:
            self.optimizer.lr /= 2


def _walk(walker: _Walker, gradients: np.ndarray, halve: bool) -> np.ndarray:
    """The weights after every step, (steps, n)."""
    after = []
    for number, gradient in enumerate(gradients):
        if halve and number == len(gradients) // 2:
            walker.halve()
        walker.step(gradient)
        after.append(walker.weights())
    return np.array(after)


def _split(vector: np.ndarray) -> list[np.ndarray]:
    parts = np.split(vector, np.cumsum(_SIZES)[:-1])
    return [part.reshape(shape).copy() for part, shape in zip(parts, _SHAPES, strict=True)]


def _by_hand(mine: Any, start: np.ndarray) -> _Walker:
    wanted = "wanted an object with update(params, grads), or a function that makes one with step()"
    if hasattr(mine, "update") and not hasattr(mine, "step") and not isinstance(mine, type):
        return _with_update(copy.deepcopy(mine), start)
    if not callable(mine):
        raise TypeError(f"check_optimizer: mine is {type(mine).__name__}, {wanted}")
    params = [nn.Parameter(value) for value in _split(start)]
    optimizer = mine(params)
    if not hasattr(optimizer, "step"):
        raise TypeError(f"check_optimizer: mine makes {type(optimizer).__name__} without step(), {wanted}")
    return _with_step(optimizer, params)


def _with_step(optimizer: Any, params: list[nn.Parameter]) -> _Walker:
    def step(gradient: np.ndarray) -> None:
        for p, g in zip(params, _split(gradient), strict=True):
            p.grad = g
        optimizer.step()

    return _Walker(optimizer, step, lambda: np.concatenate([p.data.reshape(-1) for p in params]))


def _with_update(optimizer: Any, start: np.ndarray) -> _Walker:
    names = ("W", "b")
    params = dict(zip(names, _split(start), strict=True))

    def step(gradient: np.ndarray) -> None:
        optimizer.update(params, dict(zip(names, _split(gradient), strict=True)))
        for name, shape in zip(names, _SHAPES, strict=True):
            if np.shape(params[name]) != shape:
                raise ValueError(
                    f"check_optimizer: update made params[{name!r}] of shape {np.shape(params[name])}, "
                    f"wanted {shape}"
                )

    return _Walker(optimizer, step, lambda: np.concatenate([params[name].reshape(-1) for name in names]))


def _by_torch(reference: Any, start: np.ndarray) -> _Walker:
    params = [torch.nn.Parameter(torch.from_numpy(value)) for value in _split(start)]
    optimizer = reference(params) if callable(reference) else reference
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise TypeError(
            f"check_optimizer: reference makes {type(optimizer).__name__}, wanted a function that makes "
            "a torch optimizer of a list of parameters"
        )

    def step(gradient: np.ndarray) -> None:
        for p, g in zip(params, _split(gradient), strict=True):
            p.grad = torch.from_numpy(g)
        optimizer.step()

    return _Walker(optimizer, step, lambda: np.concatenate([p.detach().numpy().reshape(-1) for p in params]))


def _place(at: int) -> str:
    """Which weight it is: "W[1, 2]"."""
    first = _SIZES[0]
    return f"W[{at // _SHAPES[0][1]}, {at % _SHAPES[0][1]}]" if at < first else f"b[{at - first}]"


def _causes(
    reference: torch.optim.Optimizer,
    start: np.ndarray,
    gradients: np.ndarray,
    halve: bool,
    made: np.ndarray,
    wanted: np.ndarray,
    allowed: np.ndarray,
) -> Iterator[Cause]:
    """The mistakes that turn our optimizer of the same kind and options into yours, at every step."""
    kind = getattr(optim, type(reference).__name__, None)
    if kind is None:
        return
    known = inspect.signature(kind).parameters
    options = {name: value for name, value in reference.defaults.items() if name in known}
    for fault in OPTIMIZER_FAULTS:
        params = [nn.Parameter(value) for value in _split(start)]
        optimizer = kind(params, **options)
        if not fault.applies(optimizer):
            continue
        switch_on(fault, optimizer)
        with np.errstate(all="ignore"):
            wrong = _walk(_with_step(optimizer, params), gradients, halve)
        same = np.abs(wrong - made).max(axis=1) <= 4 * allowed
        # On these options the mistake may be none, and then it explains nothing.
        if same.all() and (np.abs(wrong - wanted).max(axis=1) > allowed).any():
            yield Cause(fault.name, "made on purpose, it gives these weights", fault.remedy, ("the update",))
