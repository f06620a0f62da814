"""A scene, run by both frameworks: every number of its forward and backward pass, and where it comes from.

The page shows what stands here and computes nothing. ``numeric`` is the derivative without calculus, of
NumPy's forward, by central differences as in the book.
"""

import inspect
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from reports.lesson.operations import Operation, Rule
from reports.lesson.scenes import Scene
from scratch import nn, optim
from torch_ref import check, mirror
from torch_ref.faults import FAULTS, inject

_H = 1e-5
_ENTRY = re.compile(r"\[[vg] (\w+) \d+\]")
_TENSOR = re.compile(r"\{(d:)?(\w+)\}")


class Run:
    """The NumPy side of a scene.

    Args:
        scene: what to run.
        wrong: the operation, by the tensor that it makes, and the fault that it shall have.
    """

    def __init__(self, scene: Scene, wrong: tuple[str, str] | None = None) -> None:
        self.scene = scene
        self.modules = {}
        for operation in scene.operations:
            module = operation.module
            if wrong and operation.out == wrong[1]:
                module = inject(_fault(wrong[0], module), module)
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
            values[operation.out] = np.asarray(module(*(values[name] for name in operation.inputs)))
        self.values = values
        return float(values["L"])

    def backward(self) -> None:
        """The gradient of every tensor that has one."""
        gradients: dict[str, np.ndarray] = {"L": np.array(1.0)}
        for operation in reversed(self.scene.operations):
            module = self.modules[operation.out]
            for parameter in module.parameters():
                parameter.grad = None
            arrives = gradients[operation.out]
            found = module.backward(arrives if operation.out != "L" else 1.0)
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
        # What does not follow from it stays as it is.
        before = {op.out: kept[op.out] for op in self.scene.operations if not self._follows(op.out, name)}
        for at in np.ndindex(value.shape):
            losses = []
            for h in (_H, -_H):
                moved = value.copy()
                moved[at] += h
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


def _fault(name: str, module: Any) -> Any:
    return next(fault for fault in FAULTS if fault.name == name and fault.applies(module))


class TorchRun:
    """The PyTorch side: the lines of code that the page shows."""

    def __init__(self, scene: Scene, given: dict[str, np.ndarray]) -> None:
        names: dict[str, Any] = {"F": F, "torch": torch}
        tensors = {}
        for name, array in given.items():
            tensors[name] = torch.tensor(array)
            if array.dtype.kind == "f":
                tensors[name].requires_grad_()
        for operation in scene.operations:
            tensors[operation.out] = eval(operation.torch, names, tensors)
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


def trace(scene: Scene) -> dict[str, Any]:
    """Everything that the page needs to show this scene."""
    given = scene.tensors
    ours, theirs = Run(scene), TorchRun(scene, given)
    ours.forward(given)
    ours.backward()
    tensors: dict[str, Any] = {}
    for name, value in ours.values.items():
        tensors[name] = {"shape": list(value.shape), "value": _both(value, theirs.values[name])}
        if name in ours.gradients:
            numeric = ours.numeric(name, given)
            tensors[name]["gradient"] = {
                **_both(ours.gradients[name], theirs.gradients[name]),
                "numeric": numeric.ravel().tolist(),
            }
    return {
        "name": scene.name,
        "tensors": tensors,
        "given": list(given),
        "parameters": list(scene.parameters),
        "graph": [
            {
                "out": operation.out,
                "inputs": list(operation.inputs),
                "parameters": list(operation.parameters.values()),
                "name": type(operation.module).__name__,
            }
            for operation in scene.operations
        ],
        "steps": [
            *_forward_steps(scene, tensors),
            *_backward_steps(scene, tensors),
            *_updates(scene, ours, theirs, tensors),
        ],
        "faults": [_with_fault(scene, ours, *fault) for fault in scene.faults],
        "learning": _learning(scene) if scene.steps else None,
    }


def _both(ours: np.ndarray, theirs: np.ndarray) -> dict[str, Any]:
    """Rounding may move them apart by so much: 64 units in the last place of the largest entry."""
    allowed = 64 * float(np.finfo(float).eps) * max(1e-3, float(np.max(np.abs(ours), initial=0)))
    return {
        "numpy": np.asarray(ours, float).ravel().tolist(),
        "torch": np.asarray(theirs, float).ravel().tolist(),
        "allowed": allowed,
    }


# ---- steps


def _forward_steps(scene: Scene, tensors: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        _step("forward", op, op.out, [op.forward], tensors, _source(op, "forward"), f"{op.out} = {op.torch}")
        for op in scene.operations
    ]


def _backward_steps(scene: Scene, tensors: dict[str, Any]) -> list[dict[str, Any]]:
    """A step for each gradient; of a tensor that is used several times, once all have arrived."""
    used = {name: [op for op in scene.operations if name in op.backward] for name in tensors}
    steps = []
    for operation in reversed(scene.operations):
        for name in operation.backward:
            if used[name][0] is operation:
                rules = [each.backward[name] for each in reversed(used[name])]
                code = _source(operation, "backward")
                steps.append(_step("backward", operation, name, rules, tensors, code, "L.backward()"))
    return steps


def _step(
    phase: str,
    operation: Operation,
    name: str,
    rules: list[Rule],
    tensors: dict[str, Any],
    numpy_code: str,
    torch_code: str,
) -> dict[str, Any]:
    shape = tuple(tensors[name]["shape"])
    first, *others = (rule.formula for rule in rules)
    formula = " + ".join([first, *(other.split(" = ", 1)[1] for other in others)])
    return {
        "phase": phase,
        "node": operation.out,
        "tensor": name,
        "symbols": mathml(
            formula, lambda gradient, of: gradient_label(of) if gradient else label(of), tensors
        ),
        "shapes": mathml(formula, lambda _, of: _shape(tensors[of]["shape"]), tensors),
        "entries": [" + ".join(rule.entry(at) for rule in rules) for at in np.ndindex(shape)],
        "numpy": numpy_code,
        "torch": torch_code,
    }


def _updates(scene: Scene, ours: Run, theirs: TorchRun, tensors: dict[str, Any]) -> list[dict[str, Any]]:
    """W - η dW, if the scene learns; the new weights are tensors of their own."""
    steps: list[dict[str, Any]] = []
    if scene.lr is None:
        return steps
    for name in scene.parameters:
        new = f"{name}_new"
        tensors[new] = {
            "shape": tensors[name]["shape"],
            "value": _both(ours.updated(name, scene.lr), theirs.updated(name, scene.lr)),
        }
        rule = Rule(
            f"{{{new}}} = {{{name}}} - {scene.lr:g} \\, {{d:{name}}}",
            lambda at, name=name, shape=tuple(tensors[name]["shape"]): (  # type: ignore[misc]
                f"[v {name} {np.ravel_multi_index(at, shape)}] − {scene.lr:g} · "
                f"[g {name} {np.ravel_multi_index(at, shape)}]"
            ),
        )
        operation = next(op for op in scene.operations if name in op.parameters.values())
        code = f"torch.optim.SGD([{name}], lr={scene.lr:g}).step()"
        steps.append(_step("update", operation, new, [rule], tensors, _code(optim.SGD.update), code))
    return steps


def _source(operation: Operation, method: str) -> str:
    """The code of ours that ran, without its docstring."""
    return _code(getattr(type(operation.module), method))


def _code(function: Callable[..., Any]) -> str:
    code = inspect.cleandoc("\n" + inspect.getsource(function))
    return re.sub(r'\n\s*r?""".*?"""', "", code, count=1, flags=re.S)


# ---- formulas


def label(name: str) -> str:
    """A tensor in LaTeX: W1 is W_1."""
    if name.endswith("_new"):
        return label(name.removesuffix("_new")) + r"^{\text{new}}"
    greek = {"g": r"\gamma", "b": "b"}
    letter, number = re.fullmatch(r"([A-Za-z]+?)(\d*|[qkv]?)", name).groups()  # type: ignore[union-attr]
    return greek.get(letter, letter) + (f"_{number}" if number else "")


def gradient_label(name: str) -> str:
    r"""∂L/∂W in LaTeX."""
    return rf"\frac{{\partial L}}{{\partial {label(name)}}}"


def _shape(shape: list[int]) -> str:
    return "(" + r" \times ".join(map(str, shape or [1])) + ")"


def mathml(formula: str, say: Callable[[bool, str], str], tensors: dict[str, Any]) -> str:
    """The formula with each tensor said so."""
    from latex2mathml.converter import convert

    def replace(found: re.Match[str]) -> str:
        gradient, name = found.groups()
        return "{" + say(bool(gradient), name) + "}" if name in tensors else found[0]

    return convert(_TENSOR.sub(replace, formula), display="block")


# ---- what goes wrong


def _with_fault(scene: Scene, right: Run, name: str, out: str) -> dict[str, Any]:
    """The numbers that this mistake changes, and what the check says of the layer that makes it."""
    wrong = Run(scene, (name, out))
    wrong.forward(scene.tensors)
    wrong.backward()
    operation = next(op for op in scene.operations if op.out == out)
    module = right.modules[out]
    inputs = [right.values[each] for each in operation.inputs]
    fault = _fault(name, module)
    return {
        "name": name,
        "node": out,
        "remedy": fault.remedy,
        "values": _changed(right.values, wrong.values),
        "gradients": _changed(right.gradients, wrong.gradients),
        "says": _said(operation, inject(fault, module), inputs),
    }


def _changed(right: dict[str, np.ndarray], wrong: dict[str, np.ndarray]) -> dict[str, list[float]]:
    return {
        name: np.asarray(array, float).ravel().tolist()
        for name, array in wrong.items()
        if not np.allclose(array, right[name], rtol=1e-12, atol=1e-15)
    }


def _said(operation: Operation, broken: Any, inputs: list[np.ndarray]) -> str:
    return check(broken, mirror(operation.module), *inputs).verdict


# ---- learning


def _learning(scene: Scene) -> dict[str, list[float]]:
    """The loss of both sides at every step."""
    assert scene.lr is not None
    losses: dict[str, list[float]] = {"numpy": [], "torch": []}
    ours, theirs = dict(scene.tensors), dict(scene.tensors)
    for _ in range(scene.steps):
        run = Run(scene)
        losses["numpy"].append(run.forward(ours))
        run.backward()
        torch_run = TorchRun(scene, theirs)
        losses["torch"].append(float(torch_run.values["L"]))
        for name in scene.parameters:
            ours[name] = run.updated(name, scene.lr)
            theirs[name] = torch_run.updated(name, scene.lr)
    return losses
