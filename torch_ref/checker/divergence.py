"""first_divergence(model, twin, x): the first layer in which the two sides differ.

An error travels: forward to all that comes after, and with the gradient back to all that comes before. So
each NumPy layer is tried by itself as well. It gets the inputs that PyTorch's own layer got, and PyTorch's
own incoming gradient: what is wrong now is the layer's own doing (local), and what was wrong in the whole
network and is right now had only arrived (propagated).

If every layer is right by itself and the whole is not, then what joins them is wrong, such as a skip
connection that is forgotten. It lies where what arrives becomes wrong.
"""

import copy
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from scratch import nn
from scratch.gradcheck import INCONCLUSIVE, Objective
from scratch.gradcheck.rounding import Tensors
from scratch.gradcheck.tolerance import VISIBLE
from scratch.nested import leaves
from torch_ref.adapters.as_called import Arguments, AsCalled, TorchAsCalled
from torch_ref.checker.budget import SPENT, Budget
from torch_ref.checker.compare import compare_objective
from torch_ref.checker.comparison import Comparison
from torch_ref.checker.diagnosis import Cause, diagnose
from torch_ref.checker.recorded_calls import Call, layers_of, record_numpy, record_torch
from torch_ref.checker.verdict import NO_DERIVATIVE
from torch_ref.twin.memory import torch_generator
from torch_ref.twin.mirror import reflect


@dataclass(frozen=True)
class Layer:
    """One call of one layer.

    Args:
        name: the layer's name in the model.
        kind: its class.
        local: both sides of this layer alone, on PyTorch's inputs and incoming gradient.
        output, input_grad: how far the two whole networks are apart at its output, and in the gradient that
            it passes on, relative to the largest entry there.
        causes: why the layer is wrong, if it is.
    """

    name: str
    kind: str
    local: Comparison
    output: float
    input_grad: float
    causes: tuple[Cause, ...]


@dataclass(frozen=True)
class Divergence:
    """The layers in the order of the forward. Falsy if one of them, or what joins them, is wrong.

    ``whole`` compares both networks as wholes, if every layer is right by itself. ``untried`` are layers that
    were not looked at by themselves, and why.
    ``frame`` has a row for each layer: local and propagated errors of its output and of the gradient that it
    passes on, relative to the largest entry, and a verdict.
    """

    layers: tuple[Layer, ...]
    whole: Comparison | None = None
    untried: tuple[str, ...] = ()

    @cached_property
    def first(self) -> Layer | None:
        """The first layer that is wrong: in its forward or, if all of these are right, the first that the
        gradient comes to, which is the last of the network."""
        forward = [each for each in self.layers if any(t.of_forward for t in each.local.wrong)]
        backward = [each for each in reversed(self.layers) if not each.local]
        return next(iter(forward + backward), None)

    def __bool__(self) -> bool:
        return self.first is None and not self.differing

    @property
    def differing(self) -> list[str]:
        """The tensors of the whole networks that differ although every layer is right by itself."""
        wrong = [] if self.whole is None else self.whole.wrong
        return [t.name for t in wrong if t.verdict not in (INCONCLUSIVE, NO_DERIVATIVE)]

    @property
    def between(self) -> tuple[str, str] | None:
        """Two neighbours of which the first passes on the right numbers and the second wrong ones: in the
        forward or, if that is right, in the backward. None if every layer passes on the right ones."""
        visible = VISIBLE[self.layers[0].local.tensors[0].dtype.name]
        forward = [("the input", 0.0), *((each.name, each.output) for each in self.layers)]
        if any(name.startswith(("output", "loss")) for name in self.differing):
            forward.append(("the whole", np.inf))
        backward = [("the output", 0.0), *((each.name, each.input_grad) for each in reversed(self.layers))]
        for passing in (forward, backward):
            for (before, _), (after, off) in pairwise(passing):
                if off > visible:
                    return before, after
        return None

    @property
    def frame(self) -> pd.DataFrame:
        """The table."""
        return pd.DataFrame(
            {
                "layer": each.name,
                "kind": each.kind,
                "output, local": _relative(each.local, "output"),
                "output, propagated": each.output,
                "dx, local": _relative(each.local, "input"),
                "dx, propagated": each.input_grad,
                "verdict": "right" if each.local else "WRONG" if each is self.first else "wrong",
            }
            for each in self.layers
        )

    @property
    def verdict(self) -> str:
        """One sentence, the causes, and what was not looked at."""
        return "\n".join([*self._said(), *(f"Not looked at by itself: {each}." for each in self.untried)])

    def _said(self) -> list[str]:
        if self.first is not None:
            name = self.first.name or "The network itself"
            first = f"{name} ({self.first.kind}) is the first that is wrong. {self.first.local.verdict}"
            return [first, *map(str, self.first.causes)]
        right = f"Each of the {len(self.layers)} layers is right by itself"
        if self:
            return [f"{right}."]
        others = ", or one of those that were not looked at," if self.untried else ""
        joined = (
            f"{right}, and what joins them{others} is not: {', '.join(self.differing)} of the whole differ."
        )
        if self.between is None:
            return [joined]
        before, after = self.between
        return [
            f"{joined} {before} passes on the right numbers, {after} wrong ones: look at the module that "
            "holds both."
        ]

    def __str__(self) -> str:
        return f"{self.verdict}\n\n{self.frame.to_markdown(index=False, floatfmt='.2g')}"


def _relative(comparison: Comparison, kind: str) -> float:
    rows = comparison.frame[comparison.frame["tensor"].str.startswith(kind)]
    return float(rows["relative"].max()) if len(rows) else float("nan")


class _Modules(NamedTuple):
    """Both networks."""

    ours: dict[str, nn.Module]
    twin: torch.nn.Module


@dataclass(frozen=True)
class _Pair:
    """One call of one layer on both sides."""

    theirs: Call
    ours: Call

    @property
    def output(self) -> float:
        """How far apart the outputs are in the whole networks."""
        return _apart(_arrays(self.ours.output), _arrays(self.theirs.output))

    @property
    def incoming(self) -> float:
        """How far apart the incoming gradients are."""
        ours, theirs = _arrays(self.ours.dy), _arrays(self.theirs.dy)
        return _apart(ours, theirs) if len(ours) == len(theirs) else 0.0

    @property
    def visible(self) -> float:
        """The relative error that counts."""
        dtypes = [a.dtype.name for a in _arrays(self.theirs.output) if a.dtype.kind == "f"]
        return VISIBLE[dtypes[0]] if dtypes else 0.0


def first_divergence(
    model: nn.Module,
    twin: torch.nn.Module,
    *inputs: Any,
    loss_fn: nn.Loss | None = None,
    twin_loss_fn: torch.nn.Module | None = None,
    target: np.ndarray | None = None,
    budget: float = 10.0,
) -> Divergence:
    """Walk both networks layer by layer, and find the first that is wrong.

    The layers are the smallest modules that both sides have under the same name and call equally often. A
    module that is used twice is two of them. Both sides of a layer are compared entry by entry; where they
    differ, the numeric derivative says which is wrong.

    Args:
        model: as for compare, like twin, inputs, loss_fn, twin_loss_fn and target.
        twin: the PyTorch side.
        inputs: NumPy arrays, or tuples of them.
        loss_fn: a loss of scratch.nn.
        twin_loss_fn: the same of torch.nn.
        target: of both.
        budget: seconds after which no other layer is begun. Those that the whole networks throw suspicion on
            come first, and the first in any case; the result lists those that were left out.

    Raises:
        TypeError: model or twin is not a Module.
        ValueError: the layers have other names, or one is called more often on one side; budget is not above
            0; see compare for the rest.
    """
    allowed = Budget("first_divergence", budget)
    if not isinstance(model, nn.Module):
        raise TypeError(f"first_divergence: model is {type(model).__name__}, expected a Module of scratch.nn")
    if not isinstance(twin, torch.nn.Module):
        raise TypeError(f"first_divergence: twin is {type(twin).__name__}, expected a torch.nn.Module")
    with torch_generator(advance=False):
        objective = Objective(model, *inputs, loss_fn=loss_fn, target=target)
    theirs, their_whole = record_torch(twin, objective, twin_loss_fn)
    ours, our_whole = record_numpy(objective)
    pairs = _pairs(ours, layers_of(ours, theirs))
    owners = _other_gradients(our_whole, their_whole, (name for name, _ in model.named_parameters()))
    suspects = _suspects_first(pairs, owners)
    found, untried = _looked_at(_Modules(dict(model.named_modules()), twin), pairs, suspects, allowed)
    allowed.close()
    layers = tuple(found[i] for i in sorted(found))
    if not all(layer.local for layer in layers):
        return Divergence(layers, None, untried)
    return Divergence(layers, _compared(objective, twin, twin_loss_fn), untried)


def _compared(
    objective: Objective, twin: torch.nn.Module, loss_fn: torch.nn.Module | None = None
) -> Comparison:
    """Entry by entry; if the sides differ, by the numeric derivative as well, which says which is wrong."""
    return compare_objective(objective, twin, loss_fn, numeric=False) or compare_objective(
        objective, twin, loss_fn
    )


def _pairs(ours: list[Call], layers: list[Call]) -> list[_Pair]:
    """Each call of PyTorch's with ours: by name, since branches may be computed in another order."""
    waiting = {call.name: [each for each in ours if each.name == call.name] for call in layers}
    return [_Pair(call, waiting[call.name].pop(0)) for call in layers]


def _other_gradients(ours: Tensors, theirs: Tensors, parameters: Iterable[str]) -> set[str]:
    """The modules that own a parameter whose gradient is another one in the two whole networks."""
    return {
        name.rpartition(".")[0]
        for name in parameters
        if name not in theirs or _apart([ours[name]], [theirs[name]]) > VISIBLE[theirs[name].dtype.name]
    }


def _suspects_first(pairs: list[_Pair], owners: set[str]) -> list[int]:
    """All layers, in the order in which they are looked at.

    First the first whose output differs in the two whole networks; then those whose parameters have other
    gradients, and the one that the last wrong gradient comes from, each time the last one first.
    """
    forward = [i for i, pair in enumerate(pairs) if pair.output > pair.visible][:1]
    incoming = [i for i, pair in enumerate(pairs) if pair.incoming > pair.visible]
    backward = {i for i, pair in enumerate(pairs) if pair.theirs.name in owners}
    if incoming and incoming[-1] + 1 < len(pairs):
        backward |= {incoming[-1] + 1}
    return list(dict.fromkeys([*forward, *sorted(backward, reverse=True), *range(len(pairs))]))


def _looked_at(
    modules: _Modules, pairs: list[_Pair], order: list[int], budget: Budget
) -> tuple[dict[int, Layer], tuple[str, ...]]:
    """The layers by their places, and what was left out, with the reason."""
    found: dict[int, Layer] = {}
    reasons: dict[int, str] = {}
    for i in order:
        if found and not budget.allows():
            reasons[i] = SPENT
            continue
        try:
            with budget.stage():
                found[i] = _layer(modules, pairs[i])
        except Exception as error:  # from other people's code, which need not take arrays alone
            reasons[i] = str(error).partition("\n")[0] or type(error).__name__
    left: dict[str, list[str]] = defaultdict(list)
    for i in sorted(reasons):
        left[reasons[i]].append(pairs[i].theirs.name)
    return found, tuple(f"{', '.join(dict.fromkeys(names))}: {reason}" for reason, names in left.items())


def _layer(modules: _Modules, pair: _Pair) -> Layer:
    """One layer by itself: entry by entry, and if the sides differ with the numeric derivative as well."""
    name, arguments = pair.theirs.name, pair.theirs.arguments
    ours, theirs = modules.ours[name], modules.twin.get_submodule(name)
    both = zip(leaves(pair.theirs.dy), leaves(pair.theirs.output), strict=True)
    dy = tuple(g for (_, g), (_, y) in both if y is not None)
    with torch.random.fork_rng(devices=[]):
        torch.set_rng_state(pair.theirs.generator)
        with torch_generator(advance=False):
            cotangent: Any = dy[0] if len(dy) == 1 else dy
            objective = Objective(AsCalled(ours, arguments), *arguments.inputs, cotangent=cotangent)
        called = TorchAsCalled(theirs, arguments)
        local = _compared(objective, called)
        causes = () if local else diagnose(objective, local, *_right(theirs, arguments))
    passed_on = [t.reference for t in local.tensors if t.name == "input" or t.name.startswith("input ")]
    passed = _apart(_arrays(pair.ours.dx), passed_on)
    return Layer(name, type(ours).__name__, local, pair.output, passed, tuple(causes))


def _right(theirs: torch.nn.Module, arguments: Arguments) -> list[nn.Module]:
    """Our own module of this kind, if we have it."""
    try:
        return [AsCalled(reflect(copy.deepcopy(theirs)), arguments)]
    except (TypeError, ValueError):
        return []


def _arrays(value: Any) -> list[np.ndarray]:
    """The arrays in nested tuples."""
    return [x for _, x in leaves(value) if isinstance(x, np.ndarray)]


def _apart(ours: list[Any], theirs: list[Any]) -> float:
    """The largest difference, relative to the largest entry; inf for other shapes."""
    if [np.shape(a) for a in ours] != [np.shape(b) for b in theirs]:
        return np.inf
    largest = max((float(np.max(np.abs(b), initial=0)) for b in theirs), default=0.0)
    apart = max(
        (float(np.max(np.abs(a - b), initial=0)) for a, b in zip(ours, theirs, strict=True)), default=0.0
    )
    return apart / largest if largest else apart and np.inf
