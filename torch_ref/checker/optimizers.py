"""check_optimizer(mine, reference): is my update right? And if not, from which step on, where, and why.

Both optimizers get the same weights and the same gradients, random ones: from entry to entry of sizes from
1e-12 to 10, so that an ε shows where it stands, one that is always 0, and zeros now and then. From the
middle on the learning rate is halved, where yours can be set; and in a short run of its own, a weight has no
gradient in one step, if yours makes ``step()``. The verdict says what could not be tried. How far rounding
may bring the two apart is measured: PyTorch's runs once more, its weights and gradients off by an ulp.
"""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from scratch import nn, optim
from scratch.gradcheck.rounding import jitter
from scratch.gradcheck.tolerance import ONE_SAMPLE, VISIBLE
from scratch.nn.parameter import lay_out
from torch_ref.adapters.optimizers import Recognised, recognise
from torch_ref.adapters.walkers import Stepping
from torch_ref.checker.diagnosis import TOLERANCES, Cause
from torch_ref.checker.updates import by_torch, path, rates, walk
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
    mine: Any, reference: Callable[[list[torch.nn.Parameter]], torch.optim.Optimizer], *, steps: int = 40
) -> OptimizerCheck:
    """Compare an update written by hand with PyTorch's, step by step, in float64.

    check_optimizer(MyAdam(), torch.optim.Adam)                             # update(params, grads), two dicts
    check_optimizer(MySGD, lambda params: torch.optim.SGD(params, lr=0.1))  # a torch.optim.Optimizer of yours

    Args:
        mine: an object with ``update(params, grads)``, of dicts or lists of arrays, or ``update(w, g)`` of
            one array, that changes the weights or returns them anew; it is copied. Or a class or function
            that makes an object with ``step()`` of a list of parameters. All forms are listed in
            torch_ref/adapters/optimizers.py.
        reference: makes PyTorch's, of a list of parameters: ``lambda params: torch.optim.Adam(params)``.
        steps: how many.

    Raises:
        TypeError: mine or reference is no such thing.
        ValueError: mine returns weights of another shape; steps is not positive.
    """
    if steps < 1:
        raise ValueError(f"check_optimizer: steps is {steps}, expected 1 or more")
    form = recognise(mine)
    rng = np.random.default_rng(0)
    start = rng.standard_normal(form.layout.size)
    by_torch(reference, start, form.layout)
    halved = rates(form)
    trial = _Trial(form, reference, start, _gradients(rng, form, steps), halved)
    paths, side_effects = trial.run(rng)
    untried = () if halved else (_NO_RATE,)
    found = OptimizerCheck(_frame(paths, start), "", (), tuple(dict.fromkeys(side_effects)), untried)
    if found.parts_at is None:
        return _without_gradient(found, trial, rng) if isinstance(form.make(start), Stepping) else found
    row = found.parts_at - 1
    apart = np.abs(paths.ours - paths.expected)[row]
    at = int(np.argmax(np.where(np.isnan(apart), np.inf, apart)))
    values = f"yours {paths.ours[row, at]:.9g}, PyTorch's {paths.expected[row, at]:.9g}"
    return replace(found, worst=f"{form.layout.place(at)}: {values}", causes=tuple(_causes(trial, paths)))


def _gradients(rng: np.random.Generator, form: Recognised, steps: int) -> np.ndarray:
    """Random ones, (steps, n), of all sizes; the first is always 0, a third of all in each seventh step."""
    size = 10 ** rng.uniform(-12, 1, form.layout.size)
    size[0] = 0
    gradients = size * rng.standard_normal((steps, size.size))
    gradients[4::7, 1::3] = 0
    return gradients


_STILL = "no weight moves: the update neither changes what it is given nor returns weights"
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

    From the middle on the learning rate, of the names ``halved`` in yours, is halved; in the step ``without``
    a weight has no gradient.
    """

    mine: Recognised
    reference: Any
    start: np.ndarray
    gradients: np.ndarray
    halved: tuple[str, ...] = ()
    without: int = -1

    def run(self, rng: np.random.Generator) -> tuple[_Paths, list[str]]:
        """The paths of both, and the side effects of yours."""
        hand = self.mine.make(self.start)
        with np.errstate(all="ignore"):
            ours = path(hand, self.gradients, self.halved, self.without)
        theirs = self._torchs(self.start, self.gradients)
        other = self._torchs(jitter(self.start, rng), jitter(self.gradients, rng))
        rounding = np.maximum.accumulate(np.abs(other - theirs).max(axis=1))
        allowed = ONE_SAMPLE * (rounding + _ULP * np.abs(theirs).max(axis=1))
        still = [_STILL] if np.all(ours == self.start) and np.any(theirs != self.start) else []
        return _Paths(ours, theirs, allowed), [*still, *hand.side_effects]

    def _torchs(self, start: np.ndarray, gradients: np.ndarray) -> np.ndarray:
        walker = by_torch(self.reference, start, self.mine.layout)
        return path(walker, gradients, ("lr",) if self.halved else (), self.without)


def _without_gradient(found: OptimizerCheck, trial: _Trial, rng: np.random.Generator) -> OptimizerCheck:
    """``found``, and whether yours skips a weight that has no gradient in the third of five steps."""
    try:
        paths, _ = replace(trial, gradients=trial.gradients[:5], halved=(), without=2).run(rng)
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
    reference = by_torch(trial.reference, trial.start, trial.mine.layout).objects[0]
    kind = getattr(optim, type(reference).__name__, None)
    if kind is None:
        return
    known = inspect.signature(kind).parameters
    options = {name: value for name, value in reference.defaults.items() if name in known}
    explains = partial(_explained, trial, paths, kind)
    ours = kind([nn.Parameter(np.zeros(1))], **options)
    faults = [fault for fault in OPTIMIZER_FAULTS if fault.applies(ours)]
    named = [(fault, parts) for fault in faults if (parts := explains(options, fault))]
    for fault, parts in named:
        yield Cause(fault.name, _REPRODUCED, fault.fix, parts)
    if not named and "eps" in options:
        yield from islice(_with_another_epsilon(explains, options, faults), 1)


_REPRODUCED = "reproduced: this mistake gives exactly your weights"
_UPDATE = ("the update",)


def _with_another_epsilon(
    explains: Callable[[dict[str, Any], Fault | None], tuple[str, ...]],
    options: dict[str, Any],
    faults: list[Fault],
) -> Iterator[Cause]:
    """Another ε, alone or with a mistake."""
    for eps in _EPSILONS:
        other = {**options, "eps": eps}
        epsilon, fix = (
            f"ε is {eps:g}, not {options['eps']:g}",
            f"give one of the two the other's: eps={eps:g}",
        )
        if parts := explains(other, None):
            yield Cause(epsilon, _REPRODUCED, fix, parts)
        for fault in faults:
            if parts := explains(other, fault):
                yield Cause(f"{fault.name}, and {epsilon}", _REPRODUCED, f"{fault.fix}; {fix}", parts)


def _explained(
    trial: _Trial, paths: _Paths, kind: type[optim.Optimizer], options: dict[str, Any], fault: Fault | None
) -> tuple[str, ...]:
    """The parameters in which our optimizer with these options, and this mistake, takes your path.

    None unless yours takes PyTorch's path in all others, and there are some in which the two differ.
    """
    layout = trial.mine.layout
    params = [nn.Parameter(value) for value in layout.split(trial.start)]
    lay_out(params)
    optimizer = kind(params, **options)
    if fault is not None:
        switch_on(fault, optimizer)
    walker = Stepping(optimizer, params, layout)
    reproduced, right = (np.full(len(params), True) for _ in range(2))
    with np.errstate(all="ignore"):
        steps = walk(walker, trial.gradients, ("lr",) if trial.halved else ())
        for weights, ours, expected, allowed in zip(steps, *paths, strict=True):
            reproduced &= layout.largest(_apart(weights, ours)) <= TOLERANCES * allowed
            right &= layout.largest(_apart(expected, ours)) <= allowed
            if not np.all(reproduced | right):
                return ()
    # A mistake that changes nothing with these options explains nothing.
    names = tuple(str(name) for name, wrong in zip(layout.names, ~right, strict=True) if wrong)
    return _UPDATE if len(names) == len(params) else names


def _apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How far apart two weights are; 0 if both are nan, infinite if one is."""
    off = np.where(np.isnan(a) & np.isnan(b), 0, np.abs(a - b))
    return np.nan_to_num(off, nan=np.inf)
