"""Every call of every module in one forward and backward of a network, on either side."""

import copy
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from scratch import nn
from scratch.gradcheck import Objective
from scratch.gradcheck.rounding import Tensors
from scratch.nested import leaves, unflatten_as
from torch_ref.adapters.as_called import Arguments
from torch_ref.checker.torch_side import run_torch

_NO_ARGUMENTS = Arguments((), (), ())


@dataclass
class Call:
    """One call of one module.

    Args:
        name: the module's name.
        within: the names of the modules that were running when it was called.
        output: what it returned.
        arguments: what it was called with; of PyTorch's side alone.
        generator: the state of the generator before; likewise.
        dy: the incoming gradient of each output.
        dx: the gradient that it passed on; of NumPy's side alone.
    """

    name: str
    within: tuple[str, ...]
    output: Any = None
    arguments: Arguments = _NO_ARGUMENTS
    generator: Any = None
    dy: Any = None
    dx: Any = None


class _Recorder:
    """The calls so far, and those that are running; of NumPy's side those that wait for their backward."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.running: list[Call] = []
        self.waiting: dict[str, list[Call]] = defaultdict(list)

    def begin(self, name: str) -> Call:
        """Enter a call."""
        call = Call(name, tuple(each.name for each in self.running))
        self.calls.append(call)
        self.running.append(call)
        return call

    def listen_to_torch(self, module: torch.nn.Module, name: str) -> None:
        """Enter each forward of ``module``, and let its outputs keep their gradients."""

        def before(module: Any, inputs: Any, options: Any) -> None:
            call = self.begin(name)
            call.arguments, call.generator = Arguments.of(inputs, options), torch.get_rng_state()

        def after(module: Any, inputs: Any, output: Any) -> None:
            for _, y in leaves(output):
                if isinstance(y, torch.Tensor) and y.requires_grad:
                    y.retain_grad()
            self.running.pop().output = output

        module.register_forward_pre_hook(before, with_kwargs=True)
        module.register_forward_hook(after)

    def listen(self, module: nn.Module, name: str) -> None:
        """Enter each forward of ``module``, and the gradients of its backward."""
        kind: Any = type(module)

        def forward(this: Any, *inputs: Any, **options: Any) -> Any:
            call = self.begin(name)
            call.output = kind.forward(this, *inputs, **options)
            self.running.pop()
            self.waiting[name].append(call)
            return call.output

        def backward(this: Any, *dy: Any, **options: Any) -> Any:
            dx = kind.backward(this, *dy, **options)
            if self.waiting[name]:
                call = self.waiting[name].pop()
                call.dy, call.dx = dy, dx
            return dx

        # Of the class, since a copy of the model is run.
        module.__class__ = type(kind.__name__, (kind,), {"forward": forward, "backward": backward})


def record_torch(
    twin: torch.nn.Module, objective: Objective, loss_fn: torch.nn.Module | None
) -> tuple[list[Call], Tensors]:
    """The calls in the order in which they began, and what run_torch gives."""
    model, recorder = copy.deepcopy(twin), _Recorder()
    for name, module in model.named_modules():
        recorder.listen_to_torch(module, name)
        if hasattr(module, "inplace"):
            module.inplace = False  # or it would overwrite what the layer before it gave
    found = run_torch(model, objective, loss_fn)
    for call in recorder.calls:
        call.dy = unflatten_as(call.output, (_gradient(y) for _, y in leaves(call.output)))
        call.output = unflatten_as(call.output, (_array(y) for _, y in leaves(call.output)))
    return recorder.calls, found


def record_numpy(objective: Objective) -> tuple[list[Call], Tensors]:
    """The calls in the order in which they began; outputs, buffers and gradients of the whole."""
    model, recorder = copy.deepcopy(objective.model), _Recorder()
    for name, module in model.named_modules():
        recorder.listen(module, name)
    outputs, gradients = objective.of(model).run()
    return recorder.calls, outputs | gradients.named()


def _array(x: Any) -> Any:
    return x.detach().numpy() if isinstance(x, torch.Tensor) else x


def _gradient(y: Any) -> Any:
    """The gradient of an output: 0 for one that leads nowhere, None for one that is not floating."""
    if not isinstance(y, torch.Tensor) or not y.is_floating_point():
        return None
    return np.zeros(y.shape, _array(y).dtype) if y.grad is None else y.grad.numpy()


def layers_of(ours: Sequence[Call], theirs: Sequence[Call]) -> list[Call]:
    """PyTorch's calls of the smallest parts that both sides have and call equally often, in their order.

    A part that one side alone has, or alone calls, as torch's attention does not call its own out_proj, is
    looked at within the module that holds it.

    Raises:
        ValueError: that module would be the whole network; or a module is called on both sides, more often
            on one of them.
    """
    here, there = (Counter(call.name for call in calls) for calls in (ours, theirs))
    for name in here.keys() & there.keys():
        if here[name] != there[name]:
            raise ValueError(
                f"first_divergence: {name} is called {here[name]} times in model, {there[name]} in twin"
            )
    both = here.keys() & there.keys()
    wholes = {next(each for each in _holders(name) if each in both) for name in here.keys() ^ there.keys()}
    if "" in wholes:
        raise ValueError(f"first_divergence: model has the layers {_leaves(here)}, twin {_leaves(there)}")
    parts = [call for call in theirs if call.name in here and not wholes & {*_holders(call.name)}]
    holding = {name for call in parts for name in call.within}
    return [call for call in parts if call.name not in holding or call.name in wholes]


def _holders(name: str) -> Iterator[str]:
    """The names of the modules that hold this one, the nearest first."""
    while name:
        name = name.rpartition(".")[0]
        yield name


def _leaves(called: Counter[str]) -> list[str]:
    """The modules that were called and hold no others that were."""
    holding = {holder for name in called for holder in _holders(name)}
    return sorted(called.keys() - holding)
