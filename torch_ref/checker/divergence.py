"""first_divergence(model, twin, x): the first layer in which the two sides differ.

An error travels: forward to all that comes after, and with the gradient back to all that comes before. So
each NumPy layer is tried by itself as well. It gets the inputs that PyTorch's own layer got, and PyTorch's
own incoming gradient: what is wrong now is the layer's own doing (local), and what was wrong in the whole
network and is right now had only arrived (propagated).

If every layer is right by itself and the whole is not, then what joins them is wrong, such as a skip
connection that is forgotten. It lies where what arrives becomes wrong.
"""

import copy
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import torch

from scratch import nn
from scratch.gradcheck import Objective
from scratch.gradcheck.tolerance import VISIBLE
from scratch.nested import leaves, unflatten_as
from torch_ref.checker.compare import compare_objective
from torch_ref.checker.comparison import Comparison
from torch_ref.checker.diagnosis import Cause, diagnose
from torch_ref.checker.torch_side import run_torch
from torch_ref.checker.verdict import DIFFER, SHAPES_DIFFER
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

    ``whole`` compares both networks as wholes, if every layer is right by itself.
    ``frame`` has a row for each layer: local and propagated errors of its output and of the gradient that it
    passes on, relative to the largest entry, and a verdict.
    """

    layers: tuple[Layer, ...]
    whole: Comparison | None = None

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
        return [t.name for t in wrong if t.verdict in (DIFFER, SHAPES_DIFFER)]

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
        """One sentence, and the causes."""
        if self.first is None:
            right = f"Each of the {len(self.layers)} layers is right by itself"
            if self:
                return f"{right}."
            joined = f"{right}, and what joins them is not: {', '.join(self.differing)} of the whole differ."
            if self.between is None:
                return joined
            before, after = self.between
            return (
                f"{joined} {before} passes on the right numbers, {after} wrong ones: look at the module that "
                "holds both."
            )
        first = (
            f"{self.first.name} ({self.first.kind}) is the first that is wrong. {self.first.local.verdict}"
        )
        return "\n".join([first, *map(str, self.first.causes)])

    def __str__(self) -> str:
        return f"{self.verdict}\n\n{self.frame.to_markdown(index=False, floatfmt='.2g')}"


def _relative(comparison: Comparison, kind: str) -> float:
    rows = comparison.frame[comparison.frame["tensor"].str.startswith(kind)]
    return float(rows["relative"].max()) if len(rows) else float("nan")


def first_divergence(
    model: nn.Module,
    twin: torch.nn.Module,
    *inputs: Any,
    loss_fn: nn.Loss | None = None,
    twin_loss_fn: torch.nn.Module | None = None,
    target: np.ndarray | None = None,
) -> Divergence:
    """Walk both networks layer by layer, and find the first that is wrong.

    Args: as compare. The layers are the modules without children; both sides must give them the same names.

    Raises:
        TypeError: model or twin is not a Module.
        ValueError: the layers have other names, or one is called more often on one side; see compare for the
            rest.
    """
    names = _layer_names(model, twin)
    with torch_generator(advance=False):
        objective = Objective(model, *inputs, loss_fn=loss_fn, target=target)
    calls = _record_torch(twin, objective, twin_loss_fn, names)
    mine = _by_name(_record_numpy(objective, names), calls, names)
    # By name, since branches may be computed in another order.
    layers = tuple(_layer(model, twin, call, mine[call.name].pop(0)) for call in calls)
    if not all(layer.local for layer in layers):
        return Divergence(layers)
    return Divergence(layers, compare_objective(objective, twin, twin_loss_fn, numeric=False))


def _layer_names(model: nn.Module, twin: torch.nn.Module) -> list[str]:
    """The modules without children, which both sides must have under the same names."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"first_divergence: model is {type(model).__name__}, expected a Module of scratch.nn")
    if not isinstance(twin, torch.nn.Module):
        raise TypeError(f"first_divergence: twin is {type(twin).__name__}, expected a torch.nn.Module")
    ours = [name for name, m in model.named_modules() if not list(m.children())]
    theirs = [name for name, m in twin.named_modules() if not list(m.children())]
    if ours != theirs:
        raise ValueError(f"first_divergence: model has the layers {ours}, twin {theirs}")
    return ours


def _by_name(ours: list["_Call"], theirs: list["_Call"], names: list[str]) -> dict[str, list["_Call"]]:
    """Our calls of each layer, which must be as many as theirs."""
    calls = {name: [call for call in ours if call.name == name] for name in names}
    for name in names:
        here, there = len(calls[name]), sum(call.name == name for call in theirs)
        if here != there:
            raise ValueError(f"first_divergence: {name} is called {here} times in model, {there} in twin")
    return calls


@dataclass
class _Call:
    """One call of one layer: inputs, output and gradient."""

    name: str
    inputs: Any
    output: Any
    generator: Any = None
    grad: Any = None


def _record_torch(
    twin: torch.nn.Module, objective: Objective, loss_fn: torch.nn.Module | None, names: list[str]
) -> list[_Call]:
    """Each call with PyTorch's inputs, output, incoming gradient, and its generator's state before."""
    model, calls, states = copy.deepcopy(twin), list[_Call](), dict[str, Any]()
    for name in names:
        module = model.get_submodule(name)

        def before(module: Any, inputs: Any, name: str = name) -> None:
            states[name] = torch.get_rng_state()

        def after(module: Any, inputs: Any, output: Any, name: str = name) -> None:
            for _, y in leaves(output):
                if y.requires_grad:
                    y.retain_grad()
            calls.append(_Call(name, inputs, output, states[name]))

        module.register_forward_pre_hook(before)
        module.register_forward_hook(after)
    run_torch(model, objective, loss_fn)
    for call in calls:
        grads = [y.grad for _, y in leaves(call.output)]
        call.grad = unflatten_as(call.output, (None if g is None else g.numpy() for g in grads))
        call.inputs, call.output = (_arrays(each) for each in (call.inputs, call.output))
    return calls


def _record_numpy(objective: Objective, names: list[str]) -> list[_Call]:
    """Each call with NumPy's output and the gradient that it passes on."""
    model, calls, waiting = copy.deepcopy(objective.model), list[_Call](), list[_Call]()
    for name, module in model.named_modules():
        if name in names:
            _listen(module, name, calls, waiting)
    objective.of(model).run()
    return calls


def _listen(module: nn.Module, name: str, calls: list[_Call], waiting: list[_Call]) -> None:
    """Let ``module`` enter each of its forwards in ``calls``, and the gradient of its backward there."""
    kind: Any = type(module)

    def forward(self: Any, *inputs: Any, **options: Any) -> Any:
        y = kind.forward(self, *inputs, **options)
        calls.append(_Call(name, inputs, y))
        waiting.append(calls[-1])
        return y

    def backward(self: Any, *dy: Any, **options: Any) -> Any:
        dx = kind.backward(self, *dy, **options)
        waiting.pop().grad = dx
        return dx

    module.__class__ = type(kind.__name__, (kind,), {"forward": forward, "backward": backward})


def _arrays(value: Any) -> Any:
    return unflatten_as(
        value, (x.detach().numpy() if isinstance(x, torch.Tensor) else x for _, x in leaves(value))
    )


def _layer(model: nn.Module, twin: torch.nn.Module, call: _Call, mine: _Call) -> Layer:
    ours, theirs = dict(model.named_modules())[call.name], twin.get_submodule(call.name)
    with torch.random.fork_rng(devices=[]):
        torch.set_rng_state(call.generator)
        with torch_generator(advance=False):
            objective = Objective(ours, *call.inputs, cotangent=call.grad)
        local = compare_objective(objective, theirs, None)
    try:
        right = [reflect(copy.deepcopy(theirs))]
    except TypeError:  # a kind that we do not have
        right = []
    passed_on = [t.reference for t in local.tensors if t.name.startswith("input")]
    return Layer(
        call.name,
        type(ours).__name__,
        local,
        _apart([y for _, y in leaves(mine.output)], [y for _, y in leaves(call.output)]),
        _apart([g for _, g in leaves(mine.grad) if g is not None], passed_on),
        tuple(diagnose(objective, local, *right)),
    )


def _apart(ours: list[Any], theirs: list[Any]) -> float:
    """The largest difference, relative to the largest entry; inf for other shapes."""
    if [np.shape(a) for a in ours] != [np.shape(b) for b in theirs]:
        return np.inf
    largest = max((float(np.max(np.abs(b), initial=0)) for b in theirs), default=0.0)
    apart = max(
        (float(np.max(np.abs(a - b), initial=0)) for a, b in zip(ours, theirs, strict=True)), default=0.0
    )
    return apart / largest if largest else apart and np.inf
