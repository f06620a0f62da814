"""check_optimizer(mine, reference): is my update right? And if not, from which step on, where, and why.

Both optimizers get the same weights and the same gradients, random ones: from entry to entry of sizes from
1e-12 to 10, so that an ε shows where it stands, and one that is always 0. From the middle on the learning
rate is halved, where yours can be told; and in a short run of its own, a weight has no gradient in one step,
if yours makes ``step()``. What could not be tried is told. How far rounding may bring the two apart is
measured: PyTorch's goes once more, its weights and gradients off by an ulp.
"""

import copy
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
import torch

from scratch import nn, optim
from scratch.gradcheck.rounding import jitter
from torch_ref.checker.diagnosis import Cause
from torch_ref.checker.trainings import TIMES, ULP
from torch_ref.faults import OPTIMIZER_FAULTS, Fault, switch_on

_SHAPES = ((3, 4), (5,))
_SIZES = [int(np.prod(shape)) for shape in _SHAPES]

_BLIND = 1e-6

# Those of books and libraries.
_EPSILONS = (1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12)


@dataclass(frozen=True)
class OptimizerCheck:
    """What check_optimizer found; truthy if the two optimizers are the same.

    Args:
        frame: a row for each step: step, apart (the largest difference of two weights), allowed (by
            rounding), moved (the largest way of a weight from where it started).
        worst: the weight that was farthest off in the first wrong step, with both values.
        causes: the mistakes that, made on purpose, give the same weights at every step.
        manners: what yours does that it should not, beside its numbers.
        untried: what could not be tried.
    """

    frame: pd.DataFrame
    worst: str
    causes: tuple[Cause, ...] = ()
    manners: tuple[str, ...] = ()
    untried: tuple[str, ...] = ()

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
        """Whether both are the same, the manners good, and a millionth would have been seen."""
        return self.parts_at is None and not self.manners and self.sensitivity <= _BLIND

    def __bool__(self) -> bool:
        return self.ok

    @property
    def verdict(self) -> str:
        """What was found."""
        if self.parts_at is not None:
            told = f"The two optimizers part at step {self.parts_at}, {self.worst}."
            return "\n".join([told, *self.manners, *map(str, self.causes)])
        if self.manners:
            return "\n".join(self.manners)
        if not self.ok:
            return f"Too blind to say: only an error of {self.sensitivity:.1e} would have shown."
        told = f"The two optimizers agree in {len(self.frame)} steps"
        told += f"; an error of {self.sensitivity:.1e} of the way would have shown."
        return f"{told} Not tried: {'; '.join(self.untried)}." if self.untried else told

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
        raise ValueError(f"check_optimizer: steps is {steps}, wanted 1 or more")
    rng = np.random.default_rng(0)
    start = rng.standard_normal(sum(_SIZES))
    size = 10 ** rng.uniform(-12, 1, start.size)
    size[0] = 0
    gradients = size * rng.standard_normal((steps, start.size))
    hand, torchs = _by_hand(mine, start), _by_torch(reference, start)
    halve = hand.can_halve and torchs.can_halve
    made, wanted, allowed = _three(hand, torchs, reference, start, gradients, rng, halve)
    apart = np.abs(made - wanted)
    frame = pd.DataFrame(
        {
            "step": np.arange(1, steps + 1),
            "apart": apart.max(axis=1),
            "allowed": allowed,
            "moved": np.abs(wanted - start).max(axis=1),
        }
    )
    untried = []
    if not halve:
        untried.append("half the learning rate, since yours has no number called lr or learning_rate")
    found = OptimizerCheck(frame, "", (), tuple(dict.fromkeys(hand.manners)), tuple(untried))
    if found.parts_at is None and _has_update(mine):
        return found
    if found.parts_at is None:
        return _without_gradient(found, mine, reference, start, gradients, rng)
    row = found.parts_at - 1
    at = int(np.argmax(np.where(np.isnan(apart[row]), np.inf, apart[row])))
    worst = f"{_place(at)}: yours {made[row, at]:.9g}, PyTorch's {wanted[row, at]:.9g}"
    causes = tuple(_causes(torchs.optimizer, start, gradients, halve, made, wanted, allowed))
    return replace(found, worst=worst, causes=causes)


def _three(
    hand: "_Walker",
    torchs: "_Walker",
    reference: Any,
    start: np.ndarray,
    gradients: np.ndarray,
    rng: np.random.Generator,
    halve: bool = False,
    without: int = -1,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Your weights after every step, PyTorch's, and how far they may be apart."""
    made, wanted = (_walk(walker, gradients, halve, without) for walker in (hand, torchs))
    beside = _walk(_by_torch(reference, jitter(start, rng)), jitter(gradients, rng), halve, without)
    rounding = np.maximum.accumulate(np.abs(beside - wanted).max(axis=1))
    return made, wanted, TIMES * (rounding + ULP * np.abs(wanted).max(axis=1))


def _without_gradient(
    found: OptimizerCheck,
    mine: Any,
    reference: Any,
    start: np.ndarray,
    gradients: np.ndarray,
    rng: np.random.Generator,
) -> OptimizerCheck:
    """found, and whether yours passes over a weight that has no gradient in the third of five steps."""
    hand, torchs = _by_hand(mine, start), _by_torch(reference, start)
    try:
        made, wanted, allowed = _three(hand, torchs, reference, start, gradients[:5], rng, without=2)
    except (TypeError, AttributeError) as error:
        told = f"a weight without gradient, at which step() raises {type(error).__name__}"
        return replace(found, untried=(*found.untried, told))
    if (np.abs(made - wanted).max(axis=1) <= allowed).all():
        return found
    told = (
        "a weight whose grad is None is not passed over as PyTorch does: neither it nor its state, the count "
        "of steps included, may change"
    )
    return replace(found, manners=(*found.manners, told))


@dataclass
class _Walker:
    """An optimizer with its weights as one vector: what step() does with gradients, weights() tells."""

    optimizer: Any
    step: Callable[[list[Any]], None]
    weights: Callable[[], np.ndarray]
    manners: list[str] = field(default_factory=list)

    @property
    def _rate(self) -> str:
        """The attribute that is the learning rate, or ""."""
        numbers = (n for n in ("lr", "learning_rate") if isinstance(getattr(self.optimizer, n, None), Real))
        return next(numbers, "")

    @property
    def can_halve(self) -> bool:
        """Whether the learning rate can be set from outside."""
        groups = getattr(self.optimizer, "param_groups", None)
        return bool(groups and "lr" in groups[0]) or bool(self._rate)

    def halve(self) -> None:
        """Half the learning rate from now on."""
        if hasattr(self.optimizer, "param_groups"):
            for group in self.optimizer.param_groups:
                group["lr"] /= 2
        else:
            setattr(self.optimizer, self._rate, getattr(self.optimizer, self._rate) / 2)


def _walk(walker: _Walker, gradients: np.ndarray, halve: bool = False, without: int = -1) -> np.ndarray:
    """The weights after every step, (steps, n); in the step ``without``, the last has no gradient."""
    after = []
    for number, gradient in enumerate(gradients):
        if halve and number == len(gradients) // 2:
            walker.halve()
        split: list[Any] = _split(gradient)
        walker.step([*split[:-1], None] if number == without else split)
        after.append(walker.weights())
    return np.array(after)


def _split(vector: np.ndarray) -> list[np.ndarray]:
    parts = np.split(vector, np.cumsum(_SIZES)[:-1])
    return [part.reshape(shape).copy() for part, shape in zip(parts, _SHAPES, strict=True)]


def _has_update(mine: Any) -> bool:
    return hasattr(mine, "update") and not hasattr(mine, "step") and not isinstance(mine, type)


def _by_hand(mine: Any, start: np.ndarray) -> _Walker:
    wanted = "wanted an object with update(params, grads), or a function that makes one with step()"
    if _has_update(mine):
        return _with_update(copy.deepcopy(mine), start)
    if not callable(mine):
        raise TypeError(f"check_optimizer: mine is {type(mine).__name__}, {wanted}")
    params = [nn.Parameter(value) for value in _split(start)]
    optimizer = mine(params)
    if not hasattr(optimizer, "step"):
        raise TypeError(f"check_optimizer: mine makes {type(optimizer).__name__} without step(), {wanted}")
    return _with_step(optimizer, params)


def _with_step(optimizer: Any, params: list[nn.Parameter]) -> _Walker:
    manners: list[str] = []

    def step(gradients: list[Any]) -> None:
        for p, g in zip(params, gradients, strict=True):
            p.grad = g
        optimizer.step()
        if any(g is not None and _changed(p.grad, g) for p, g in zip(params, gradients, strict=True)):
            manners.append("step() changes the gradients, which are not its own")

    return _Walker(optimizer, step, lambda: np.concatenate([p.data.reshape(-1) for p in params]), manners)


def _changed(now: Any, before: np.ndarray) -> bool:
    return not np.array_equal(now, before, equal_nan=True)


def _with_update(optimizer: Any, start: np.ndarray) -> _Walker:
    keys: tuple[Any, ...] = ("W", "b") if _takes_dicts(optimizer, start) else (0, 1)
    manners: list[str] = []

    def held(arrays: list[np.ndarray]) -> Any:
        return arrays if keys == (0, 1) else dict(zip(keys, arrays, strict=True))

    params = held(_split(start))

    def step(gradients: list[np.ndarray]) -> None:
        before, given = copy.deepcopy(params), held([g.copy() for g in gradients])
        returned = optimizer.update(params, given)
        for key, shape, g in zip(keys, _SHAPES, gradients, strict=True):
            if np.shape(params[key]) != shape:
                raise ValueError(
                    f"check_optimizer: update made params[{key!r}] of shape {np.shape(params[key])}, "
                    f"wanted {shape}"
                )
            if _changed(given[key], g):
                manners.append("update changes the gradients, which are not its own")
        if returned is not None and not any(_changed(params[key], before[key]) for key in keys):
            manners.append("update returns something and leaves params as they were; change params instead")

    return _Walker(
        optimizer, step, lambda: np.concatenate([params[key].reshape(-1) for key in keys]), manners
    )


def _takes_dicts(optimizer: Any, start: np.ndarray) -> bool:
    """Whether update is made for dicts and not for lists, where it fails with dicts."""
    for kind in (lambda arrays: dict(zip(("W", "b"), arrays, strict=True)), list):
        try:
            copy.deepcopy(optimizer).update(kind(_split(start)), kind(_split(start)))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError):
            continue
        return kind is not list
    return True


def _by_torch(reference: Any, start: np.ndarray) -> _Walker:
    params = [torch.nn.Parameter(torch.from_numpy(value)) for value in _split(start)]
    optimizer = reference(params) if callable(reference) else reference
    wanted = "wanted a function that makes a torch optimizer of the list of parameters that it is given"
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise TypeError(f"check_optimizer: reference makes {type(optimizer).__name__}, {wanted}")
    if {id(p) for group in optimizer.param_groups for p in group["params"]} != {id(p) for p in params}:
        raise TypeError(
            f"check_optimizer: reference is {type(optimizer).__name__} of other parameters, {wanted}"
        )

    def step(gradients: list[Any]) -> None:
        for p, g in zip(params, gradients, strict=True):
            p.grad = None if g is None else torch.from_numpy(g.copy())
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
    """The mistakes that turn our optimizer of the same kind and options into yours, at every step.

    If there is none, the same with another ε.
    """
    kind = getattr(optim, type(reference).__name__, None)
    if kind is None:
        return
    known = inspect.signature(kind).parameters
    options = {name: value for name, value in reference.defaults.items() if name in known}

    def explains(options: dict[str, Any], fault: Fault | None) -> bool:
        params = [nn.Parameter(value) for value in _split(start)]
        optimizer = kind(params, **options)
        if fault is not None:
            if not fault.applies(optimizer):
                return False
            switch_on(fault, optimizer)
        with np.errstate(all="ignore"):
            wrong = _walk(_with_step(optimizer, params), gradients, halve)
        same = np.abs(wrong - made).max(axis=1) <= 4 * allowed
        # On these options the mistake may be none, and then it explains nothing.
        return bool(same.all() and (np.abs(wrong - wanted).max(axis=1) > allowed).any())

    evidence, tensors = "made on purpose, it gives these weights", ("the update",)
    named = [fault for fault in OPTIMIZER_FAULTS if explains(options, fault)]
    for fault in named:
        yield Cause(fault.name, evidence, fault.fix, tensors)
    if named or "eps" not in options:
        return
    right = options["eps"]
    for eps in _EPSILONS:
        other = {**options, "eps": eps}
        epsilon, remedy = f"ε is {eps:g}, not {right:g}", f"give one of the two the other's: eps={eps:g}"
        if explains(other, None):
            yield Cause(epsilon, evidence, remedy, tensors)
            return
        for fault in OPTIMIZER_FAULTS:
            if explains(other, fault):
                yield Cause(f"{fault.name}, and {epsilon}", evidence, f"{fault.fix}; {remedy}", tensors)
                return
