"""A scene, run by both frameworks.

``numeric`` is the derivative without calculus, of NumPy's forward, by central differences as in the book.
"""

from inspect import getfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reports.lesson import operations
from reports.lesson.operations.operation import Operation
from reports.lesson.scene import Scene
from reports.lesson.source import Ran, watch
from scratch import functional, nn, no_grad, optim
from torch_ref import faults
from torch_ref.faults import FAULTS, Fault, inject, replaced

_H = 1e-5

# Where the functions are that the page shows; fault.py only switches mistakes on.
FORMULAS = tuple(
    path
    for package in (functional, faults, operations)
    for path in Path(getfile(package)).parent.glob("*.py")
    if path.name != "fault.py"
)


class Run:
    """The NumPy side of a scene.

    Args:
        scene: what to run.
        wrong: a fault by name, and the operation that makes it, by the tensor it gives.
    """

    def __init__(self, scene: Scene, wrong: tuple[str, str] | None = None) -> None:
        self.scene = scene
        self.modules = {}
        for operation in scene.operations:
            module = operation.module
            if wrong and operation.out == wrong[1]:
                module = inject(fault_of(wrong[0], module), module)
            self.modules[operation.out] = module
        self.values: dict[str, np.ndarray] = {}
        self.gradients: dict[str, np.ndarray] = {}

    def forward(self, given: dict[str, np.ndarray], fixed: dict[str, np.ndarray] | None = None) -> float:
        """The loss; ``fixed`` tensors are not computed but taken from there."""
        values = {**given, **(fixed or {})}
        for operation in self.scene.operations:
            if fixed and operation.out in fixed:
                continue
            module = self.modules[operation.out]
            for attribute, name in operation.parameters.items():
                getattr(module, attribute).data = values[name]
            values |= self._outputs(operation, [values[name] for name in operation.inputs])
        self.values = values
        return float(values["L"])

    def _outputs(self, operation: Operation, inputs: list[np.ndarray]) -> dict[str, np.ndarray]:
        """The output of an operation and, read off the formula while it runs, the tensors inside it."""
        module = self.modules[operation.out]
        with replaced({}):  # the plain formulas, also where there are faster ones
            if not operation.inner:
                return {operation.out: np.asarray(module(*inputs))}
            outputs: list[Any] = []
            ran = watch(lambda: outputs.append(module(*inputs)), FORMULAS)
        variables = {name: x for each in reversed(ran) for name, x in each.variables.items()}
        inner = {each.name: variables[each.variable].reshape(each.shape) for each in operation.inner}
        return inner | {operation.out: np.asarray(outputs[0])}

    def code(self, operation: Operation) -> dict[str, list[Ran]]:
        """The functions that this operation runs forward and, where it has a gradient, backward."""
        module = self.modules[operation.out]
        inputs = [self.values[name] for name in operation.inputs]
        arrives: Any = self.gradients[operation.out] if operation.out != "L" and operation.backward else 1.0
        with replaced({}):
            found = {"forward": watch(lambda: module(*inputs), FORMULAS)}
            if operation.backward:
                found["backward"] = watch(lambda: module.backward(arrives), FORMULAS)
        return found

    def backward(self) -> None:
        """The gradient of every tensor that has one."""
        gradients: dict[str, np.ndarray] = {"L": np.array(1.0)}
        for operation in reversed(self.scene.operations):
            if not operation.backward:
                continue
            module = self.modules[operation.out]
            for parameter in module.parameters():
                parameter.grad = None
            arrives = gradients[operation.out]
            with replaced({}):
                found: Any = module.backward(arrives if operation.out != "L" else 1.0)
            found = found if isinstance(found, tuple) else (found,)
            pairs = [*zip(operation.inputs, found, strict=False)]
            pairs += [(name, getattr(module, at).grad) for at, name in operation.parameters.items()]
            for name, gradient in pairs:
                if name in operation.backward:
                    gradients[name] = gradients.get(name, 0) + gradient
        self.gradients = gradients

    def updated(self, name: str, lr: float) -> np.ndarray:
        """A parameter after one step of SGD."""
        parameter = nn.Parameter(self.values[name].copy())
        parameter.grad = self.gradients[name]
        optim.SGD([parameter], lr=lr).step()
        return parameter.data

    def numeric(self, name: str, given: dict[str, np.ndarray]) -> np.ndarray:
        """dL / d(this tensor), by central differences: what follows it is computed anew."""
        value = self.values[name].astype(float)
        kept = self.values
        slope = np.empty_like(value)
        # A tensor that does not depend on it stays as it is.
        before = {op.out: kept[op.out] for op in self.scene.operations if not self._follows(op.out, name)}
        for at in np.ndindex(value.shape):
            losses = []
            for h in (_H, -_H):
                moved = value.copy()
                moved[at] += h
                with no_grad():
                    losses.append(self.forward({**given, name: moved}, {**before, name: moved}))
            slope[at] = (losses[0] - losses[1]) / (2 * _H)
        self.values = kept
        return slope

    def _follows(self, out: str, name: str) -> bool:
        """Whether ``out`` depends on ``name``."""
        reached = {name}
        for operation in self.scene.operations:
            if reached & {*operation.inputs, *operation.parameters.values()} and operation.out != name:
                reached.add(operation.out)
        return out in reached and out != name


def flat(array: np.ndarray) -> list[float]:
    """The numbers of an array, row by row, as JSON takes them."""
    return np.asarray(array, float).ravel().tolist()


def fault_of(name: str, module: nn.Module) -> Fault:
    """The mistake of this name that can be made in this module."""
    return next(fault for fault in FAULTS if fault.name == name and fault.applies(module))


class TorchRun:
    """The PyTorch side: the lines of code that the page shows; ``fixed`` as in ``Run.forward``."""

    def __init__(
        self, scene: Scene, given: dict[str, np.ndarray], fixed: dict[str, np.ndarray] | None = None
    ) -> None:
        names: dict[str, Any] = {"F": torch.nn.functional, "torch": torch}
        tensors = {name: torch.tensor(array) for name, array in {**given, **(fixed or {})}.items()}
        for tensor in tensors.values():
            tensor.requires_grad_(tensor.is_floating_point())
        for operation in scene.operations:
            if fixed and operation.out in fixed:
                continue
            for inner in operation.inner:
                tensors[inner.name] = eval(inner.torch, names, tensors).detach()
            tensors[operation.out] = eval(operation.torch, names, tensors)
            if tensors[operation.out].requires_grad:
                tensors[operation.out].retain_grad()
        tensors["L"].backward()
        self.tensors = tensors
        self.values = {name: tensor.detach().numpy() for name, tensor in tensors.items()}
        self.gradients = {
            name: tensor.grad.numpy() for name, tensor in tensors.items() if tensor.grad is not None
        }

    def updated(self, name: str, lr: float) -> np.ndarray:
        """A parameter after one step of SGD."""
        parameter = self.tensors[name].detach().clone()
        parameter.grad = self.tensors[name].grad
        torch.optim.SGD([parameter], lr=lr).step()
        return parameter.numpy()
