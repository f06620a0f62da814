"""check_optimizer(mine, reference): is my update right? And if not, from which step on, where, and why.

Both optimizers get the same weights and the same gradients, random ones: from entry to entry of sizes from
1e-12 to 10, so that an ε shows where it stands, and one that is always 0. From the middle on the learning
rate is halved, where yours can be set; and in a short run of its own, a weight has no gradient in one step,
if yours makes ``step()``. The verdict says what could not be tried. How far rounding may bring the two apart
is measured: PyTorch's runs once more, its weights and gradients off by an ulp.
"""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from scratch import nn, optim
from scratch.gradcheck.rounding import jitter
from scratch.gradcheck.tolerance import ONE_SAMPLE, VISIBLE
from torch_ref.checker.diagnosis import TOLERANCES, Cause
from torch_ref.checker.updates import SIZE, by_hand, by_torch, has_update, place, split, walk, with_step
from torch_ref.faults import OPTIMIZER_FAULTS, Fault, switch_on

_ULP = float(np.finfo(np.float64).eps)

# The values of books and libraries.
_EPSILONS = (1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12)


@dataclass(frozen=True)
class OptimizerCheck:
    """The result of check_optimizer; truthy if the two optimizers are the same.

    Args:
        frame: a row for each step: step, apart (the largest difference of two weights), allowed (by
            rounding), moved (the largest distance of a weight from where it started).
        worst: the weight that was farthest off in the first wrong step, with both values.
        causes: the mistakes that give exactly the same weights at every step.
        side_effects: of yours, on gradients or on weights without one.
        untried: the trials that were not possible, and why.
    """

    frame: pd.DataFrame
    worst: str
    causes: tuple[Cause, ...] = ()
    side_effects: tuple[str, ...] = ()
    untried: tuple[str, ...] = ()

    @cached_property
    def parts_at(self) -> int | None:
        """The first step after which the two are farther apart than rounding brings them."""
        far = ~(self.frame["apart"] <= self.frame["allowed"])
        return int(self.frame["step"][far].iloc[0]) if far.any() else None

    @property
    def detection_limit(self) -> float:
        """The smallest error, as a share of the distance moved, that would have shown at the end."""
        last = self.frame.iloc[-1]
        return float(last["allowed"] / last["moved"]) if last["moved"] else float("inf")

    @property
    def ok(self) -> bool:
        """Whether both are the same, without side effects, and an error of a millionth would have shown."""
        return self.parts_at is None and not self.side_effects and self.detection_limit <= VISIBLE["float64"]

    def __bool__(self) -> bool:
        return self.ok

    @property
    def verdict(self) -> str:
        """The result in a sentence or two."""
        if self.parts_at is not None:
            parts = f"The two optimizers part at step {self.parts_at}, {self.worst}."
            return "\n".join([parts, *self.side_effects, *map(str, self.causes)])
        if self.side_effects:
            return "\n".join(self.side_effects)
        if not self.ok:
            return f"Inconclusive: only an error of {self.detection_limit:.1e} would have shown."
        agree = f"The two optimizers agree in {len(self.frame)} steps"
        agree += f"; an error of {self.detection_limit:.1e} of the distance moved would have shown."
        return f"{agree} Not tried: {'; '.join(self.untried)}." if self.untried else agree

    def __str__(self) -> str:
        return f"{self.verdict}\n\n{self.frame.to_markdown(index=False, floatfmt='.2g')}"


def check_optimizer(
    mine: Any, reference: Callable[[list[torch.nn.Parameter]], torch.optim.Optimizer], *, steps: int = 20
) -> OptimizerCheck:
    """Compare an update written by hand with PyTorch's, step by step, in float64.

    Args:
        mine: an object with ``update(params, grads)``, two dicts of arrays, that changes params; it is
            copied. The dicts may be lists. Or a function of a list of Parameters, that returns an object with
            ``step()``.
        reference: makes PyTorch's, of a list of parameters: ``lambda params: torch.optim.Adam(params)``.
        steps: how many.

    Raises:
        TypeError: mine or reference is no such thing.
        ValueError: mine returns weights of another shape; steps is not positive.
    """
    if steps < 1:
        raise ValueError(f"check_optimizer: steps is {steps}, expected 1 or more")
    rng = np.random.default_rng(0)
    start = rng.standard_normal(SIZE)
    size = 10 ** rng.uniform(-12, 1, start.size)
    size[0] = 0
    gradients = size * rng.standard_normal((steps, start.size))
    halve = by_hand(mine, start).can_halve and by_torch(reference, start).can_halve
    trial = _Trial(mine, reference, start, gradients, halve)
    paths, side_effects = trial.run(rng)
    untried = () if halve else (_NO_RATE,)
    found = OptimizerCheck(_frame(paths, start), "", (), tuple(dict.fromkeys(side_effects)), untried)
    if found.parts_at is None:
        return found if has_update(mine) else _without_gradient(found, trial, rng)
    row = found.parts_at - 1
    apart = np.abs(paths.ours - paths.expected)[row]
    at = int(np.argmax(np.where(np.isnan(apart), np.inf, apart)))
    worst = f"{place(at)}: yours {paths.ours[row, at]:.9g}, PyTorch's {paths.expected[row, at]:.9g}"
    return replace(found, worst=worst, causes=tuple(_causes(trial, paths)))


_NO_RATE = "half the learning rate, since yours has no number called lr or learning_rate"


class _Paths(NamedTuple):
    """The weights after every step, (steps, n): yours and PyTorch's, and how far they may be apart."""

    ours: np.ndarray
    expected: np.ndarray
    allowed: np.ndarray


def _frame(paths: _Paths, start: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "step": np.arange(1, len(paths.ours) + 1),
            "apart": np.abs(paths.ours - paths.expected).max(axis=1),
            "allowed": paths.allowed,
            "moved": np.abs(paths.expected - start).max(axis=1),
        }
    )


@dataclass(frozen=True)
class _Trial:
    """Both optimizers, the weights they start from, and the gradients they get.

    With ``halve`` the learning rate is halved from the middle on; in the step ``without`` a weight has no
    gradient.
    """

    mine: Any
    reference: Any
    start: np.ndarray
    gradients: np.ndarray
    halve: bool = False
    without: int = -1

    def run(self, rng: np.random.Generator) -> tuple[_Paths, list[str]]:
        """The paths of both, and the side effects of yours."""
        hand, expected = by_hand(self.mine, self.start), by_torch(self.reference, self.start)
        ours, theirs = (walk(each, self.gradients, self.halve, self.without) for each in (hand, expected))
        beside = by_torch(self.reference, jitter(self.start, rng))
        other = walk(beside, jitter(self.gradients, rng), self.halve, self.without)
        rounding = np.maximum.accumulate(np.abs(other - theirs).max(axis=1))
        allowed = ONE_SAMPLE * (rounding + _ULP * np.abs(theirs).max(axis=1))
        return _Paths(ours, theirs, allowed), hand.side_effects


def _without_gradient(found: OptimizerCheck, trial: _Trial, rng: np.random.Generator) -> OptimizerCheck:
    """``found``, and whether yours skips a weight that has no gradient in the third of five steps."""
    try:
        paths, _ = replace(trial, gradients=trial.gradients[:5], halve=False, without=2).run(rng)
    except (TypeError, AttributeError) as error:
        reason = f"a weight without gradient, at which step() raises {type(error).__name__}"
        return replace(found, untried=(*found.untried, reason))
    if (np.abs(paths.ours - paths.expected).max(axis=1) <= paths.allowed).all():
        return found
    effect = (
        "a weight whose grad is None is not skipped as in PyTorch: neither it nor its state, the count of "
        "steps included, may change"
    )
    return replace(found, side_effects=(*found.side_effects, effect))


def _causes(trial: _Trial, paths: _Paths) -> Iterator[Cause]:
    """The mistakes that turn our optimizer of the same kind and options into yours, at every step.

    If there is none, mistakes with another ε.
    """
    reference = by_torch(trial.reference, trial.start).optimizer
    kind = getattr(optim, type(reference).__name__, None)
    if kind is None:
        return
    known = inspect.signature(kind).parameters
    options = {name: value for name, value in reference.defaults.items() if name in known}
    named = [fault for fault in OPTIMIZER_FAULTS if _explains(trial, paths, kind, options, fault)]
    for fault in named:
        yield Cause(fault.name, _REPRODUCED, fault.fix, _UPDATE)
    if not named and "eps" in options:
        yield from islice(_with_another_epsilon(trial, paths, kind, options), 1)


_REPRODUCED = "reproduced: this mistake gives exactly your weights"
_UPDATE = ("the update",)


def _with_another_epsilon(
    trial: _Trial, paths: _Paths, kind: type[optim.Optimizer], options: dict[str, Any]
) -> Iterator[Cause]:
    """Another ε, alone or with a mistake."""
    for eps in _EPSILONS:
        other = {**options, "eps": eps}
        epsilon, fix = (
            f"ε is {eps:g}, not {options['eps']:g}",
            f"give one of the two the other's: eps={eps:g}",
        )
        if _explains(trial, paths, kind, other, None):
            yield Cause(epsilon, _REPRODUCED, fix, _UPDATE)
        for fault in OPTIMIZER_FAULTS:
            if _explains(trial, paths, kind, other, fault):
                yield Cause(f"{fault.name}, and {epsilon}", _REPRODUCED, f"{fault.fix}; {fix}", _UPDATE)


def _explains(
    trial: _Trial, paths: _Paths, kind: type[optim.Optimizer], options: dict[str, Any], fault: Fault | None
) -> bool:
    """Whether our optimizer with these options, and this mistake, takes your path and not PyTorch's."""
    params = [nn.Parameter(value) for value in split(trial.start)]
    optimizer = kind(params, **options)
    if fault is not None:
        if not fault.applies(optimizer):
            return False
        switch_on(fault, optimizer)
    with np.errstate(all="ignore"):
        wrong = walk(with_step(optimizer, params), trial.gradients, trial.halve)
    same = np.abs(wrong - paths.ours).max(axis=1) <= TOLERANCES * paths.allowed
    # A mistake that changes nothing with these options explains nothing.
    return bool(same.all() and (np.abs(wrong - paths.expected).max(axis=1) > paths.allowed).any())
