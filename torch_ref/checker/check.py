"""check(mine, reference, x): is my backward right? And if not, where, and why.

For anything with a forward and a backward (adapt.py) beside a module or function of PyTorch. The weights are
PyTorch's, carried over; the incoming gradient is random. Both precisions are compared, and the finer of them
once more, on numbers that repeat and sit on kinks (0, ±1, …). Random numbers never do, and there the question
is not rounding but what the two sides have agreed on.
"""

import copy
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch

from scratch import nn
from scratch.gradcheck.numeric import Objective
from scratch.nested import leaves, unflatten_as
from torch_ref.adapters.layers import AgainstTarget, adapt
from torch_ref.checker.compare import Comparison, compare_objective
from torch_ref.checker.diagnosis import Cause, diagnose
from torch_ref.checker.side_effects import NO_EVIDENCE, manners_of
from torch_ref.checker.verdict import BLIND
from torch_ref.twin.mirror import reflect, torch_generator

TIES = "ties and kinks"
KINKS = np.array([-3.0, -1.0, -0.5, 0.0, 0.0, 0.0, 0.5, 1.0, 3.0, 6.0])
# Which of them an input is drawn from.
Points = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Check:
    """What check found; truthy if all is well.

    Args:
        comparisons: by what they were made in: "float64", "float32", and "float64, ties and kinks".
        manners: what forward or backward do beside their work: change an input or a weight, overwrite a
            gradient, draw random numbers, keep state from one call to the next.
        causes: why it is wrong, each confirmed, or called unknown; none if the same call gives other numbers.
        untried: why there is no comparison on ties and kinks, or "".
    """

    comparisons: dict[str, Comparison]
    manners: tuple[str, ...] = ()
    causes: tuple[Cause, ...] = ()
    untried: str = ""

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
        if NO_EVIDENCE & {*self.manners}:
            return "\n".join(self.manners)
        told = [f"{name}: {c.verdict}" for name, c in self.comparisons.items() if not c]
        if not self.ok:
            return "\n".join([*told, *self.manners, *map(str, self.causes)])
        return self.comparisons[min(self.comparisons)].verdict

    def __str__(self) -> str:
        parts = [self.verdict, f"Not tried on {TIES}: {self.untried}." if self.untried else ""]
        for name, comparison in self.comparisons.items():
            parts += [f"In {name}:", comparison.table, comparison.details()]
        return "\n\n".join(part for part in parts if part)


def check(
    mine: Any,
    reference: torch.nn.Module | Callable[..., Any],
    *inputs: Any,
    dtypes: Any = ("float64", "float32"),
    transposed: str | Sequence[str] = (),
    cotangent: Any = None,
) -> Check:
    """Compare a forward and backward written by hand with PyTorch's, and with the truth.

    Args:
        mine: an object with forward and backward, or a pair of functions; see adapt.
        reference: a torch module, whose weights both sides get, or a function of tensors. If it is a loss
            of torch.nn, the input that its forward calls target is held.
        inputs: NumPy arrays, numbers or lists, or tuples of them; cast to each dtype.
        dtypes: to compare in: "float64", "float32", or both.
        transposed: our parameters that are stored the other way round than the reference's.
        cotangent: the incoming gradient; random by default.

    Neither ``mine`` nor ``reference`` is changed.

    Raises:
        TypeError: mine has no forward and backward; reference is no module or function; an input is a
            tensor, or not of numbers.
        ValueError: the parameters do not fit; the output holds nan or inf; there is neither a floating input
            nor a parameter; dtypes is empty, or has another one.
    """
    if not callable(reference) or isinstance(reference, type):
        kind = f"the class {reference.__name__}" if isinstance(reference, type) else type(reference).__name__
        raise TypeError(f"check: reference is {kind}, wanted a torch module or a function")
    dtypes = dtypes if isinstance(dtypes, list | tuple) else (dtypes,)
    names = [np.dtype(dtype).name for dtype in dtypes]
    if not names or not {*names} <= {*BLIND}:
        raise ValueError(f"check: dtypes is {names}, wanted some of {[*BLIND]}")
    inputs, cotangent = _as_arrays("input", inputs), _as_arrays("cotangent", cotangent)
    sides = Sides(mine, reference, inputs, transposed)
    comparisons: dict[str, Comparison] = {}
    manners: list[str] = []
    causes: list[Cause] = []

    def look(sides: Sides, dtype: str, ties: bool = False) -> None:
        objective, twin = sides.cast(np.dtype(dtype), cotangent)
        comparison = compare_objective(objective, twin, None, truth=not ties, ties=ties)
        if ties and not _has_gradient(comparison):
            raise ValueError("there both sides have gradients of nan or inf")
        if not manners:
            manners.extend(manners_of(objective))
        if not causes and not NO_EVIDENCE & {*manners}:
            causes.extend(diagnose(objective, comparison, sides.right(np.dtype(dtype))))
        comparisons[f"{dtype}, {TIES}" if ties else dtype] = comparison

    for dtype in names:
        look(sides, dtype)
    untried = ""
    for points in (kinks, kinks_on_its_sides, kinks_above_0):
        try:
            with np.errstate(all="ignore"):
                look(sides.on_kinks(points), max(names), ties=True)
        except Exception as error:  # whatever the code of others raises where it is not defined
            untried = untried or str(error).partition("\n")[0] or type(error).__name__
        else:
            untried = ""
            break
    return Check(comparisons, tuple(manners), tuple(causes), untried)


def _has_gradient(comparison: Comparison) -> bool:
    pairs = [(t.numpy, t.torch) for t in comparison.tensors if t.numpy.shape == t.torch.shape]
    return all(np.all(np.isfinite(ours) | np.isfinite(theirs)) for ours, theirs in pairs)


class Sides:
    """Both sides as modules with the same names and weights."""

    def __init__(
        self, mine: Any, reference: Any, inputs: tuple[Any, ...], transposed: str | Sequence[str] = ()
    ) -> None:
        twin = (
            copy.deepcopy(reference) if isinstance(reference, torch.nn.Module) else _TorchFunction(reference)
        )
        shapes = {name: tuple(p.shape) for name, p in twin.named_parameters()}
        buffers = {name: tuple(b.shape) for name, b in twin.named_buffers() if b.is_floating_point()}
        module = adapt(copy.deepcopy(mine), shapes, transposed, buffers)
        right = _reflection(reference if isinstance(reference, torch.nn.Module) else _namesake(reference))
        self.target = None
        if isinstance(reference, torch.nn.modules.loss._Loss):
            names = list(inspect.signature(reference.forward).parameters)
            at = names.index("target") if "target" in names else None
            target, inputs = (None, inputs) if at is None else (inputs[at], inputs[:at] + inputs[at + 1 :])
            module, twin = AgainstTarget(module, target, at), _TorchAgainstTarget(twin, target, at)
            right = None if right is None else AgainstTarget(right, target, at)
            self.target = target
        self.module, self.twin, self.inputs, self._right = module, twin, inputs, right

    def right(self, dtype: np.dtype) -> nn.Module | None:
        """Our own module of the kind of the reference, on its weights, if we have that kind."""
        if self._right is None:
            return None
        return copy.deepcopy(self._right).to(dtype).train(self.twin.training)

    def on_kinks(self, points: Points) -> "Sides":
        """The same, on numbers at which functions have kinks: inputs, and the target of a loss."""
        other = copy.deepcopy(self)
        other.inputs = on_kinks(self.inputs, points)
        if self.target is not None and points is kinks and _is_free(self.target, self.inputs[0]):
            # Equal to the input where that is 0, and nowhere else.
            other.target = -other.inputs[0]
            for loss in (other.module, other.twin, other._right):
                if isinstance(loss, AgainstTarget | _TorchAgainstTarget):
                    loss.target = other.target
        return other

    def cast(self, dtype: np.dtype, cotangent: Any = None) -> tuple[Objective, torch.nn.Module]:
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
            return Objective(module, *_cast(self.inputs, dtype), cotangent=_cast(cotangent, dtype)), twin


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


def _as_arrays(name: str, value: Any) -> Any:
    """Numbers and lists as arrays, nested in tuples as they are."""
    arrays = []
    for at, x in leaves(value):
        array = None if x is None else np.asarray(x)
        if isinstance(x, torch.Tensor) or (array is not None and array.dtype.kind not in "biufc"):
            told = f"{name} {at}".strip()
            raise TypeError(f"check: {told} is a {type(x).__name__}, wanted a NumPy array of numbers")
        arrays.append(array)
    return unflatten_as(value, iter(arrays))


def _cast(value: Any, dtype: np.dtype) -> Any:
    if value is None:
        return None
    arrays = (
        x if x is None or np.asarray(x).dtype.kind != "f" else np.asarray(x, dtype) for _, x in leaves(value)
    )
    return unflatten_as(value, arrays)


# ---- ties and kinks


def kinks(x: np.ndarray) -> np.ndarray:
    """The few numbers at which functions have kinks."""
    return KINKS


def kinks_on_its_sides(x: np.ndarray) -> np.ndarray:
    """Those on the sides of -1, 0 and 1 that ``x`` is on: a probability stays one."""
    points = KINKS
    for bound in (-1, 0, 1):
        for side in (np.less, np.less_equal, np.greater_equal, np.greater):
            if np.all(side(x, bound)):
                points = points[side(points, bound)]
    return points


def kinks_above_0(x: np.ndarray) -> np.ndarray:
    """Those that have a logarithm."""
    return KINKS[KINKS > 0]


def on_kinks(inputs: Any, points: Points) -> Any:
    """Inputs of the same shapes, of these few numbers; so they repeat as well."""
    rng = np.random.default_rng(0)
    arrays = (
        x if x is None or x.dtype.kind != "f" else rng.choice(points(x), x.shape) for _, x in leaves(inputs)
    )
    return unflatten_as(inputs, arrays)


def _is_free(target: np.ndarray, x: np.ndarray) -> bool:
    """Whether a target may be any number, as an input may: it is no label and no probability."""
    if target.dtype.kind != "f" or target.shape != x.shape or not target.size:
        return False
    return bool(np.min(target) < 0 < np.max(target) and np.any(target % 1))


class _TorchAgainstTarget(torch.nn.Module):
    """AgainstTarget, for PyTorch."""

    def __init__(self, loss_fn: torch.nn.Module, target: np.ndarray | None, at: int | None) -> None:
        super().__init__()
        self.loss_fn, self.target, self.at = loss_fn, target, at

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """The loss, the target in the precision of the inputs."""
        if self.target is None:
            return self.loss_fn(*inputs)
        target = torch.from_numpy(np.array(self.target))
        target = target.to(inputs[0].dtype) if target.is_floating_point() else target
        return self.loss_fn(*inputs[: self.at], target, *inputs[self.at :])


class _TorchFunction(torch.nn.Module):
    """A function of tensors."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Any) -> Any:
        return self.function(*inputs)
