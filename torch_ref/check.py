"""check(mine, reference, x): is my backward right? And if not, where, and why.

For anything with a forward and a backward (adapt.py) beside a module or function of PyTorch. The weights are
PyTorch's, carried over; the incoming gradient is random. Both precisions are compared, and once more, in
float64, on numbers that repeat and sit on kinks (0, ±1, …). Random numbers never do, and there the question
is not rounding but what the two sides have agreed on.
"""

import copy
import inspect
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from scratch import nn
from scratch.numerical import Objective, named
from scratch.structure import leaves, like
from torch_ref.adapt import AgainstTarget, adapt
from torch_ref.compare import Comparison, compare_objective
from torch_ref.diagnose import Cause, diagnose
from torch_ref.mirror import reflect, torch_generator

TIES = "float64, ties and kinks"


@dataclass(frozen=True)
class Check:
    """What check found; truthy if all is well.

    Args:
        comparisons: by what they were made in: "float64", "float32", and TIES where both sides are defined.
        manners: what forward or backward do beside their work: change an input or a weight, overwrite a
            gradient, draw random numbers, keep state from one call to the next.
        causes: why it is wrong, each confirmed, or called unknown; none if the same call gives other numbers.
    """

    comparisons: dict[str, Comparison]
    manners: tuple[str, ...] = ()
    causes: tuple[Cause, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether both sides agree in everything, and the manners are good."""
        return all(self.comparisons.values()) and not self.manners

    def __bool__(self) -> bool:
        return self.ok

    @cached_property
    def frame(self) -> pd.DataFrame:
        """All tables, one below the other; see Comparison."""
        frames = [c.frame.assign(made_in=name) for name, c in self.comparisons.items()]
        return pd.concat(frames, ignore_index=True)

    @property
    def verdict(self) -> str:
        """What is wrong, the most telling first; or that nothing is."""
        told = [f"{name}: {c.verdict}" for name, c in self.comparisons.items() if not c]
        if not self.ok:
            return "\n".join([*told, *self.manners, *map(str, self.causes)])
        return self.comparisons[min(self.comparisons)].verdict

    def __str__(self) -> str:
        parts = [self.verdict]
        for name, comparison in self.comparisons.items():
            parts += [f"In {name}:", comparison.table, comparison.details()]
        return "\n\n".join(part for part in parts if part)


def check(
    mine: Any,
    reference: torch.nn.Module | Callable[..., Any],
    *inputs: Any,
    dtypes: Sequence[str] = ("float64", "float32"),
    transposed: Sequence[str] = (),
    cotangent: Any = None,
) -> Check:
    """Compare a forward and backward written by hand with PyTorch's, and with the truth.

    Args:
        mine: an object with forward and backward, or a pair of functions; see adapt.
        reference: a torch module, whose weights both sides get, or a function of tensors. If it is a loss
            of torch.nn, the input that its forward calls target is held.
        inputs: NumPy arrays, or tuples of them; cast to each dtype.
        dtypes: to compare in.
        transposed: our parameters that are stored the other way round than the reference's.
        cotangent: the incoming gradient; random by default.

    Neither ``mine`` nor ``reference`` is changed.

    Raises:
        TypeError: mine has no forward and backward; reference is no module or function.
        ValueError: the parameters do not fit, or the output holds nan or inf.
    """
    if not callable(reference):
        raise TypeError(
            f"check: reference is {type(reference).__name__}, wanted a torch module or a function"
        )
    sides = Sides(mine, reference, inputs, transposed)
    comparisons: dict[str, Comparison] = {}
    manners: Sequence[str] = ()
    causes: list[Cause] = []
    for dtype in dtypes:
        objective, twin = sides.cast(np.dtype(dtype), sides.inputs, cotangent)
        comparisons[dtype] = compare_objective(objective, twin, None)
        manners = manners or _manners(objective)
        if not {RANDOM, UNSTEADY} & {*manners}:
            causes = causes or diagnose(objective, comparisons[dtype], sides.right(np.dtype(dtype)))
    # Not every function is defined there.
    with suppress(ValueError, IndexError, RuntimeError), np.errstate(all="ignore"):
        objective, twin = sides.cast(np.dtype(np.float64), on_kinks(sides.inputs), cotangent)
        comparisons[TIES] = compare_objective(objective, twin, None, truth=False, ties=True)
        manners = manners or _manners(objective)
        if not {RANDOM, UNSTEADY} & {*manners}:
            causes = causes or diagnose(objective, comparisons[TIES], sides.right(np.dtype(np.float64)))
    return Check(comparisons, tuple(manners), tuple(causes))


class Sides:
    """Both sides as modules with the same names and weights."""

    def __init__(
        self, mine: Any, reference: Any, inputs: tuple[Any, ...], transposed: Sequence[str] = ()
    ) -> None:
        twin = (
            copy.deepcopy(reference) if isinstance(reference, torch.nn.Module) else _TorchFunction(reference)
        )
        shapes = {name: tuple(p.shape) for name, p in twin.named_parameters()}
        module = adapt(copy.deepcopy(mine), shapes, transposed)
        right = _reflection(reference if isinstance(reference, torch.nn.Module) else _namesake(reference))
        if isinstance(reference, torch.nn.modules.loss._Loss):
            names = list(inspect.signature(reference.forward).parameters)
            at = names.index("target") if "target" in names else None
            target, inputs = (None, inputs) if at is None else (inputs[at], inputs[:at] + inputs[at + 1 :])
            module, twin = AgainstTarget(module, target, at), _TorchAgainstTarget(twin, target, at)
            right = None if right is None else AgainstTarget(right, target, at)
        self.module, self.twin, self.inputs, self._right = module, twin, inputs, right

    def right(self, dtype: np.dtype) -> nn.Module | None:
        """Our own module of the kind of the reference, on its weights, if we have that kind."""
        if self._right is None:
            return None
        return copy.deepcopy(self._right).to(dtype).train(self.twin.training)

    def cast(self, dtype: np.dtype, inputs: Any, cotangent: Any = None) -> tuple[Objective, torch.nn.Module]:
        """The NumPy side's objective and the twin, in this dtype and on PyTorch's weights."""
        twin = copy.deepcopy(self.twin).to(getattr(torch, dtype.name))
        module = copy.deepcopy(self.module).to(dtype).train(twin.training)
        for (_, p), theirs in zip(module.named_parameters(), twin.parameters(), strict=True):
            p.data = theirs.detach().numpy()
        buffers = dict(twin.named_buffers())
        for name, buffer in module.named_buffers():
            if name in buffers:
                buffer[...] = buffers[name].numpy()
        with torch_generator(advance=False):
            return Objective(module, *_cast(inputs, dtype), cotangent=_cast(cotangent, dtype)), twin


def _reflection(reference: torch.nn.Module | None) -> nn.Module | None:
    try:
        return None if reference is None else copy.deepcopy(reflect(copy.deepcopy(reference)))
    except (TypeError, ValueError):  # a kind that we do not have
        return None


def _namesake(function: Any) -> torch.nn.Module | None:
    """torch.nn.GELU() for torch.nn.functional.gelu: the module of that name, if it needs no arguments."""
    name = getattr(function, "__name__", "").replace("_", "")
    kinds = [kind for key, kind in vars(torch.nn).items() if key.lower() == name and isinstance(kind, type)]
    try:
        return kinds[0]() if kinds else None
    except TypeError:
        return None


def _cast(value: Any, dtype: np.dtype) -> Any:
    if value is None:
        return None
    arrays = (
        x if x is None or np.asarray(x).dtype.kind != "f" else np.asarray(x, dtype) for _, x in leaves(value)
    )
    return like(value, arrays)


def on_kinks(inputs: Any) -> Any:
    """Inputs of the same shapes, of the few numbers at which functions have kinks; so they repeat as well."""
    rng = np.random.default_rng(0)
    points = np.array([-3.0, -1.0, -0.5, 0.0, 0.0, 0.0, 0.5, 1.0, 3.0, 6.0])
    arrays = (
        x if x is None or x.dtype.kind != "f" else rng.choice(points, x.shape) for _, x in leaves(inputs)
    )
    return like(inputs, arrays)


# After these, what one call gave is no evidence of anything.
RANDOM = (
    "forward is random: the same input gives another output the second time. Pass the mask as an input, "
    "or compare in eval mode"
)
UNSTEADY = "the same call gives other gradients the second time"


def _manners(objective: Objective) -> list[str]:
    """What forward and backward do that they should not: to inputs, to weights, to the next call."""
    first, again = (_call(copy.deepcopy(objective.model), objective, objective.inputs) for _ in range(2))
    told = [f"{name} is changed in place" for name in first.changed]
    if first.stepped:
        names = ", ".join(first.stepped)
        return [*told, f"a call changes {names}, wanted the weights left to the optimizer"]
    if not _equal(first.outputs, again.outputs):
        return [*told, RANDOM]
    if not (_equal(first.dx, again.dx) and _equal(first.grads, again.grads)):
        return [*told, UNSTEADY]
    model, other = _after_another_call(objective)
    later = _call(model, objective, objective.inputs)
    if not all(_is_close(y, first.outputs[name]) for name, y in later.outputs.items()):
        return [
            *told,
            "forward keeps state between calls: after another call, the same input gives another output",
        ]
    stale = [name for name, dx in later.dx.items() if not _is_close(dx, first.dx[name])]
    overwritten: list[str] = []
    for name, g in later.grads.items():
        if not _is_close(g, other.grads[name], first.grads[name]):
            (overwritten if _is_close(g, first.grads[name]) else stale).append(name)
    if overwritten:
        names = ", ".join(overwritten)
        told.append(f"backward overwrites the gradient of {names}, wanted it added to what is there")
    if stale:
        names = ", ".join(stale)
        told.append(f"a call keeps state: after another one, backward gives another gradient of {names}")
    return told


class _Call(NamedTuple):
    """What came of a forward and backward; ``grads`` of the weights, all calls so far added up."""

    outputs: dict[str, np.ndarray]
    dx: dict[str, np.ndarray]
    grads: dict[str, np.ndarray]
    changed: list[str]
    stepped: list[str]


def _call(model: nn.Module, objective: Objective, inputs: Any) -> _Call:
    given = {f"input {at}": x for at, x in leaves(inputs)}
    given |= {f"dy {at}".strip(): c for at, c in leaves(objective.cotangent)}
    inputs, dy = copy.deepcopy((inputs, objective.cotangent))
    weights = {name: p.data.copy() for name, p in model.named_parameters()}
    with objective.drawing(objective.random_state):
        y = model(*inputs)
        outputs = named("output", [np.array(array) for _, array in leaves(y)])
        dx = model.backward(*(dy if isinstance(dy, tuple) else (dy,)))
    by_input = named("input", [g for _, g in leaves((dx,) if len(inputs) == 1 else dx)])
    parameters = dict(model.named_parameters())
    after = dict(zip(given, (array for _, array in leaves((*inputs, dy))), strict=True))
    return _Call(
        outputs,
        {name: np.array(g) for name, g in by_input.items() if g is not None},
        {name: np.zeros_like(p.data) if p.grad is None else p.grad.copy() for name, p in parameters.items()},
        [name for name, x in given.items() if x is not None and not _equal({name: x}, {name: after[name]})],
        [
            name
            for name, before in weights.items()
            if not _equal({name: before}, {name: parameters[name].data})
        ],
    )


def _after_another_call(objective: Objective) -> tuple[nn.Module, _Call]:
    """The model after a call on other inputs: negated or, where it is not defined there, in another order."""
    for other in (np.negative, np.flip):
        arrays = (x if x is None or x.dtype.kind != "f" else other(x) for _, x in leaves(objective.inputs))
        model = copy.deepcopy(objective.model)
        with suppress(Exception), np.errstate(all="ignore"):
            call = _call(model, objective, like(objective.inputs, arrays))
            if all(np.all(np.isfinite(a)) for a in (*call.outputs.values(), *call.grads.values())):
                return model, call
    model = copy.deepcopy(objective.model)
    return model, _call(model, objective, objective.inputs)


def _equal(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> bool:
    return all(np.array_equal(a, theirs[name], equal_nan=a.dtype.kind == "f") for name, a in ours.items())


def _is_close(found: np.ndarray, *summands: np.ndarray) -> bool:
    """But for rounding: a sum over time steps that starts at another number rounds in other places."""
    if found.shape != summands[0].shape:
        return False
    if found.dtype.kind != "f":
        return np.array_equal(found, summands[0])
    size = max(np.max(np.abs(each), initial=0) for each in summands)
    allowed = np.sqrt(np.finfo(found.dtype).eps) * size
    return bool(np.all(np.isclose(found, sum(summands), rtol=0, atol=allowed, equal_nan=True)))


class _TorchAgainstTarget(torch.nn.Module):
    """AgainstTarget, for PyTorch."""

    def __init__(self, loss_fn: torch.nn.Module, target: np.ndarray | None, at: int | None) -> None:
        super().__init__()
        self.loss_fn, self.at = loss_fn, at
        self.target = None if target is None else torch.from_numpy(np.array(target))

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """The loss, the target in the precision of the inputs."""
        if self.target is None:
            return self.loss_fn(*inputs)
        target = self.target.to(inputs[0].dtype) if self.target.is_floating_point() else self.target
        return self.loss_fn(*inputs[: self.at], target, *inputs[self.at :])


class _TorchFunction(torch.nn.Module):
    """A function of tensors."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Any) -> Any:
        return self.function(*inputs)
