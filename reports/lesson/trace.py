"""A scene, run by both frameworks: every number of its forward and backward pass, and where it comes from.

The page shows what stands here and computes nothing. ``numeric`` is the derivative without calculus, of
NumPy's forward, by central differences as in the book.
"""

import re
from collections.abc import Callable
from functools import partial
from inspect import isfunction
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

import scratch
from reports.lesson.operations import Draw, Operation, Rule
from reports.lesson.scenes import Scene
from reports.lesson.source import lines_that_ran
from scratch import nn, optim
from torch_ref import check, mirror
from torch_ref.faults import FAULTS, inject

_H = 1e-5
_TENSOR = re.compile(r"\{(d:)?(\w+)\}")
_NAMESPACE = ' xmlns="http://www.w3.org/1998/Math/MathML"'


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
            if not operation.backward:
                continue
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
    """The PyTorch side: the lines of code that the page shows; ``fixed`` as in ``Run.forward``."""

    def __init__(
        self, scene: Scene, given: dict[str, np.ndarray], fixed: dict[str, np.ndarray] | None = None
    ) -> None:
        names: dict[str, Any] = {"F": F, "torch": torch}
        tensors = {name: torch.tensor(array) for name, array in {**given, **(fixed or {})}.items()}
        for tensor in tensors.values():
            tensor.requires_grad_(tensor.is_floating_point())
        for operation in scene.operations:
            if fixed and operation.out in fixed:
                continue
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


def trace(scene: Scene) -> dict[str, Any]:
    """Everything that the page needs to show this scene."""
    given = scene.tensors
    ours, theirs = Run(scene), TorchRun(scene, given)
    ours.forward(given)
    ours.backward()
    tensors: dict[str, Any] = {}
    for name, value in ours.values.items():
        tensors[name] = {
            "label": plain_label(name),
            "shape": list(value.shape),
            "value": _both(value, theirs.values[name]),
        }
        if name in ours.gradients:
            gradient = _both(ours.gradients[name], theirs.gradients[name])
            tensors[name]["gradient"] = {
                **gradient,
                "numeric": _flat(ours.numeric(name, given)),
                # Central differences in float64 are good for six digits at least.
                "allowed_numeric": 1e-6 * max(1e-3, *map(abs, gradient["numpy"])),
            }
    updates = _updates(scene, ours, theirs, tensors)
    code = {operation.out: _code_that_ran(operation, ours) for operation in scene.operations}
    return {
        "name": scene.name,
        "tensors": tensors,
        "given": list(given),
        "graph": [
            {
                "out": operation.out,
                "inputs": [*operation.inputs, *operation.uses],
                "parameters": list(operation.parameters.values()),
                "name": type(operation.module).__name__,
            }
            for operation in scene.operations
        ],
        "steps": [
            *_forward_steps(scene, tensors, code),
            *_backward_steps(scene, tensors, code),
            *updates,
        ],
        "faults": [_with_fault(scene, ours, *fault) for fault in scene.faults],
        "learning": _learning(scene) if scene.learning else None,
    }


def _flat(array: np.ndarray) -> list[float]:
    return np.asarray(array, float).ravel().tolist()


def _both(ours: np.ndarray, theirs: np.ndarray) -> dict[str, Any]:
    """Rounding may move them apart by so much: 64 units in the last place of the largest entry."""
    allowed = 64 * float(np.finfo(float).eps) * max(1e-3, float(np.max(np.abs(ours), initial=0)))
    return {
        "numpy": _flat(ours),
        "torch": _flat(theirs),
        "allowed": allowed,
    }


# ---- steps


def _forward_steps(
    scene: Scene, tensors: dict[str, Any], code: dict[str, dict[str, str]]
) -> list[dict[str, Any]]:
    return [
        _step(op.phase, op, op.out, [op.forward], tensors, code[op.out]["forward"], f"{op.out} = {op.torch}")
        for op in scene.operations
    ]


def _backward_steps(
    scene: Scene, tensors: dict[str, Any], code: dict[str, dict[str, str]]
) -> list[dict[str, Any]]:
    """A step for each gradient; of a tensor that is used several times, once all have arrived."""
    used = {name: [op for op in scene.operations if name in op.backward] for name in tensors}
    steps = []
    for operation in reversed(scene.operations):
        for name in operation.backward:
            if used[name][0] is operation:
                rules = [each.backward[name] for each in reversed(used[name])]
                ran = code[operation.out]["backward"]
                torch_code = f"L.backward()\n{name}.grad"
                steps.append(_step("backward", operation, name, rules, tensors, ran, torch_code))
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
    owner = "SGD" if phase == "update" else type(operation.module).__name__
    method = {"backward": "backward", "update": "update"}.get(phase, "forward")
    return {
        "phase": phase,
        "node": operation.out,
        "tensor": name,
        "why": "sum" if others else rules[0].why,
        "symbols": mathml(formula, tensors, in_symbols=True),
        "shapes": mathml(formula, tensors, in_symbols=False),
        "entries": [" + ".join(rule.entry(at) for rule in rules) for at in np.ndindex(shape)],
        "ran": f"{owner}.{method}",
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
            "label": plain_label(new),
            "shape": tensors[name]["shape"],
            "value": _both(ours.updated(name, scene.lr), theirs.updated(name, scene.lr)),
        }
        rule = Rule(
            f"{{{new}}} = {{{name}}} - {scene.lr:g} \\, {{d:{name}}}",
            lambda at, name=name, shape=tuple(tensors[name]["shape"]): (  # type: ignore[misc]
                f"[v {name} {np.ravel_multi_index(at, shape)}] − {scene.lr:g} · "
                f"[g {name} {np.ravel_multi_index(at, shape)}]"
            ),
            "update",
        )
        operation = next(op for op in scene.operations if name in op.parameters.values())
        ran = lines_that_ran(optim.SGD.update, partial(ours.updated, name, scene.lr))
        code = f"torch.optim.SGD([{name}], lr={scene.lr:g}).step()"
        steps.append(_step("update", operation, new, [rule], tensors, ran, code))
    return steps


def _code_that_ran(operation: Operation, run: Run) -> dict[str, str]:
    """The code of ours, forward and, where there is one, backward: the operation once more, to look on.

    Below the method stand those that the module's class adds to it: of Sigmoid its formula, ``_f``.
    """
    module = run.modules[operation.out]
    inputs = [run.values[name] for name in operation.inputs]
    arrives = run.gradients[operation.out] if operation.backward and operation.out != "L" else 1.0
    calls = {"forward": partial(module, *inputs), "backward": partial(module.backward, arrives)}
    ran = {}
    for method in ("forward", "backward") if operation.backward else ("forward",):
        parts = [lines_that_ran(getattr(type(module), method), calls[method])]
        for name, own in vars(type(module)).items():
            if isfunction(own) and name not in calls and (lines := lines_that_ran(own, calls[method])):
                parts.append(f"# self.{name}\n{lines}")
        ran[method] = "\n\n".join(parts)
    return ran


# ---- formulas

# LaTeX, and as text, of what is not called by its letter.
_LABELS = {
    "gamma": (r"\gamma", "γ"),
    "beta": (r"\beta", "β"),
    "mu": (r"\mu", "μ"),
    "var": (r"\sigma^2", "σ²"),
    "xhat": (r"\hat x", "x̂"),
}


def label(name: str) -> str:
    """A tensor in LaTeX: W1 is W_1."""
    if name.endswith("_new"):
        return label(name.removesuffix("_new")) + r"^{\text{new}}"
    if name in _LABELS:
        return _LABELS[name][0]
    letter, number = re.fullmatch(r"([A-Za-z]+?)(\d*|[qkv]?)", name).groups()  # type: ignore[union-attr]
    return letter + (f"_{number}" if number else "")


def plain_label(name: str) -> str:
    """A tensor in a line of text."""
    if name.endswith("_new"):
        return f"{plain_label(name.removesuffix('_new'))} new"
    return _LABELS[name][1] if name in _LABELS else name


def gradient_label(name: str) -> str:
    r"""∂L/∂W in LaTeX."""
    return rf"\frac{{\partial L}}{{\partial {label(name)}}}"


def _shape(shape: list[int]) -> str:
    return "(" + r" \times ".join(map(str, shape or [1])) + ")"


def mathml(formula: str, tensors: dict[str, Any], in_symbols: bool) -> str:
    """The formula with each tensor by its symbol, or by its shape."""
    from latex2mathml.converter import convert

    def replace(found: re.Match[str]) -> str:
        gradient, name = found.groups()
        if name not in tensors:
            return found[0]
        if not in_symbols:
            return "{" + _shape(tensors[name]["shape"]) + "}"
        if not gradient:
            return "{" + label(name) + "}"
        # A fraction with an index or a transpose sign needs brackets.
        marked = formula[found.end() : found.end() + 1] in ("_", "^")
        return rf"{{\left({gradient_label(name)}\right)}}" if marked else "{" + gradient_label(name) + "}"

    # In HTML the element says the namespace.
    return convert(_TENSOR.sub(replace, formula), display="block").replace(_NAMESPACE, "")


# ---- what goes wrong


def _with_fault(scene: Scene, right: Run, name: str, out: str) -> dict[str, Any]:
    """The numbers that this mistake changes, and what the check says of the layer that makes it.

    Where the forward is another one, so are its numeric derivatives: "numeric" has them.
    """
    wrong = Run(scene, (name, out))
    wrong.forward(scene.tensors)
    wrong.backward()
    values = _changed(right.values, wrong.values)
    gradients = _changed(right.gradients, wrong.gradients)
    numeric = {each: _flat(wrong.numeric(each, scene.tensors)) for each in right.gradients if values}
    if scene.lr is not None:
        new, now = (
            {f"{p}_new": run.updated(p, scene.lr) for p in scene.parameters} for run in (right, wrong)
        )
        values |= _changed(new, now)
    operation = next(op for op in scene.operations if op.out == out)
    module = right.modules[out]
    right.forward(scene.tensors)
    inputs = [right.values[each] for each in operation.inputs]
    says = check(inject(_fault(name, module), module), mirror(module), *inputs).verdict
    return {
        "name": name,
        "node": out,
        "values": values,
        "gradients": gradients,
        "numeric": numeric,
        "losses": _numpy_learns(scene, (name, out))["losses"] if scene.learning else None,
        "says": says,
    }


def _changed(right: dict[str, np.ndarray], wrong: dict[str, np.ndarray]) -> dict[str, list[float]]:
    return {
        name: _flat(array)
        for name, array in wrong.items()
        if not np.allclose(array, right[name], rtol=1e-12, atol=1e-15)
    }


# ---- learning


def _learning(scene: Scene) -> dict[str, Any]:
    """Both sides go on, each by itself: it draws a mini-batch, finds the gradient, updates, and repeats."""
    draw = scene.operations[0].module
    assert scene.learning is not None
    assert isinstance(draw, Draw)
    generator = torch.Generator().manual_seed(draw.seed)
    ours = _numpy_learns(scene)
    theirs = _learns(
        scene,
        lambda: torch.randperm(draw.samples, generator=generator)[: draw.size].numpy(),
        lambda given, fixed: TorchRun(scene, given, fixed),
    )
    return {
        "every": scene.learning.every,
        # Rounding adds up from step to step, and so much is far above it and far below what is told.
        "allowed": 1e-9,
        "samples": scene.tensors[scene.learning.data["x"]].tolist(),
        "targets": scene.tensors[scene.learning.data["t"]].tolist(),
        "numpy": ours,
        "torch": theirs,
    }


def _numpy_learns(scene: Scene, wrong: tuple[str, str] | None = None) -> dict[str, Any]:
    """With a fault the loss may grow beyond all numbers; of that the page tells, not a warning."""
    draw = scene.operations[0].module
    assert isinstance(draw, Draw)
    generator = scratch.Generator().manual_seed(draw.seed)
    run = Run(scene, wrong)

    def passes(given: dict[str, np.ndarray], fixed: dict[str, np.ndarray]) -> Run:
        run.forward(given, fixed)
        run.backward()
        return run

    def drawn() -> np.ndarray:
        return scratch.randperm(draw.samples, generator=generator)[: draw.size]

    with np.errstate(over="ignore", invalid="ignore"):
        return _learns(scene, drawn, passes)


def _learns(
    scene: Scene,
    draw: Callable[[], np.ndarray],
    passes: Callable[[dict[str, np.ndarray], dict[str, np.ndarray]], Run | TorchRun],
) -> dict[str, Any]:
    """After each update the loss of all samples, while it is a number; at times their probability of a 1."""
    assert scene.learning is not None
    assert scene.lr is not None
    now = dict(scene.tensors)
    samples = {name: now[data] for name, data in scene.learning.data.items()}
    losses, shown = [], []
    for update in range(1, scene.learning.updates + 1):
        done = passes(now, {"i": draw()})
        now |= {name: done.updated(name, scene.lr) for name in scene.parameters}
        after = passes(now, {"i": np.arange(len(samples["t"])), **samples}).values
        if not np.isfinite(after["L"]):
            break
        losses.append(float(after["L"]))
        if update % scene.learning.every == 0:
            shown.append(_flat(np.exp(after[scene.learning.shown])[:, 1]))
    return {"losses": losses, "shown": shown}
