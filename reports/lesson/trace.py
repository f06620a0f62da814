"""The trace of a scene: every number of its forward and backward pass, from both frameworks, and its source.

The page shows what stands here and computes nothing.
"""

from functools import partial
from typing import Any

import numpy as np

from reports.lesson.formulas import mathml, plain_label
from reports.lesson.learning import learning, numpy_learns
from reports.lesson.operations.operation import Operation, Rule
from reports.lesson.run import Run, TorchRun, fault_of, flat
from reports.lesson.scene import Scene
from reports.lesson.source import Ran, assigning, differing, watch
from scratch import optim
from torch_ref import check, mirror
from torch_ref.faults import Fault, inject


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
                "numeric": flat(ours.numeric(name, given)),
                # Central differences in float64 are good for six digits at least.
                "allowed_numeric": 1e-6 * max(1e-3, *map(abs, gradient["numpy"])),
            }
    updates = _updates(scene, ours, theirs, tensors)
    code = {operation.out: _sources(ours.code(operation)) for operation in scene.operations}
    return {
        "name": scene.name,
        "tensors": tensors,
        "given": list(given),
        "graph": [node for operation in scene.operations for node in _nodes(operation)],
        "steps": [
            *_forward_steps(scene, tensors, code),
            *_backward_steps(scene, tensors, code),
            *updates,
        ],
        "faults": [_with_fault(scene, ours, code, *fault) for fault in scene.faults],
        "learning": learning(scene) if scene.learning else None,
    }


def _both(ours: np.ndarray, theirs: np.ndarray) -> dict[str, Any]:
    """The distance that rounding may make: 64 units in the last place of the largest entry."""
    allowed = 64 * float(np.finfo(float).eps) * max(1e-3, float(np.max(np.abs(ours), initial=0)))
    return {
        "numpy": flat(ours),
        "torch": flat(theirs),
        "allowed": allowed,
    }


# ---- steps

# The source of each formula that ran, by its name, in the order of the calls.
Sources = dict[str, list[str]]


def _nodes(operation: Operation) -> list[dict[str, Any]]:
    """The nodes of the graph: of each tensor inside, and of the output."""
    inside = [
        {"out": each.name, "inputs": list(each.inputs), "parameters": [], "name": each.variable}
        for each in operation.inner
    ]
    node = {
        "out": operation.out,
        "inputs": [*operation.inputs, *(each.name for each in operation.inner[-1:])],
        "parameters": list(operation.parameters.values()),
        "name": type(operation.module).__name__,
    }
    return [*inside, node]


def _sources(ran: dict[str, list[Ran]], names: dict[Any, str] | None = None) -> dict[str, Sources]:
    """The lines of each function that ran forward and backward; ``names`` has other names for some."""
    return {
        way: {(name := (names or {}).get(each.code, each.code.co_name)): each.lines(name) for each in found}
        for way, found in ran.items()
    }


def _forward_steps(
    scene: Scene, tensors: dict[str, Any], code: dict[str, dict[str, Sources]]
) -> list[dict[str, Any]]:
    steps = []
    for op in scene.operations:
        source = code[op.out]["forward"]
        for each in op.inner:
            line = f"{each.name} = {each.torch}"
            steps.append(_step(op.phase, op, each.name, [each.rule], tensors, source, each.variable, line))
        line = f"{op.out} = {op.torch}"
        steps.append(_step(op.phase, op, op.out, [op.forward], tensors, source, "y", line))
    return steps


def _backward_steps(
    scene: Scene, tensors: dict[str, Any], code: dict[str, dict[str, Sources]]
) -> list[dict[str, Any]]:
    """A step for each gradient; of a tensor that is used several times, once all have arrived."""
    used = {name: [op for op in scene.operations if name in op.backward] for name in tensors}
    steps = []
    for operation in reversed(scene.operations):
        for name in operation.backward:
            if used[name][0] is operation:
                rules = [each.backward[name] for each in reversed(used[name])]
                source = code[operation.out]["backward"]
                line = f"L.backward()\n{name}.grad"
                variable = operation.gradient_variable(name)
                steps.append(_step("backward", operation, name, rules, tensors, source, variable, line))
    return steps


def _step(
    phase: str,
    operation: Operation,
    name: str,
    rules: list[Rule],
    tensors: dict[str, Any],
    source: Sources,
    variable: str,
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
        "variable": variable,
        "numpy": [_shown(lines, variable) for lines in source.values()],
        "torch": torch_code,
    }


def _shown(lines: list[str], variable: str, right: list[str] | None = None) -> dict[str, Any]:
    """A function for the page: its lines, those that make this variable, and those that are wrong."""
    wrong = differing(right, lines) if right is not None and right != lines else []
    return {"lines": lines, "makes": assigning(lines, variable), "wrong": wrong}


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
        ran = watch(partial(ours.updated, name, scene.lr), (), {optim.SGD.update.__code__})
        line = f"torch.optim.SGD([{name}], lr={scene.lr:g}).step()"
        source = _sources({"update": ran})["update"]
        steps.append(_step("update", operation, new, [rule], tensors, source, "w", line))
    return steps


# ---- mistakes


def _with_fault(
    scene: Scene, right: Run, code: dict[str, dict[str, Sources]], name: str, out: str
) -> dict[str, Any]:
    """The numbers that this mistake changes, its source, and the verdict of the check on its layer.

    Where the forward is another one, so are its numeric derivatives: "numeric" has them.
    """
    wrong = Run(scene, (name, out))
    wrong.forward(scene.tensors)
    wrong.backward()
    values = _changed(right.values, wrong.values)
    gradients = _changed(right.gradients, wrong.gradients)
    numeric = {each: flat(wrong.numeric(each, scene.tensors)) for each in right.gradients if values}
    if scene.lr is not None:
        new, now = (
            {f"{p}_new": run.updated(p, scene.lr) for p in scene.parameters} for run in (right, wrong)
        )
        values |= _changed(new, now)
    operation = next(op for op in scene.operations if op.out == out)
    module = right.modules[out]
    right.forward(scene.tensors)
    inputs = [right.values[each] for each in operation.inputs]
    says = check(inject(fault_of(name, module), module), mirror(module), *inputs).verdict
    return {
        "name": name,
        "node": out,
        "values": values,
        "gradients": gradients,
        "numeric": numeric,
        "losses": numpy_learns(scene, (name, out))["losses"] if scene.learning else None,
        "says": says,
        "code": _wrong_code(operation, code[out], wrong, fault_of(name, module)),
    }


def _wrong_code(
    operation: Operation, right: dict[str, Sources], wrong: Run, fault: Fault
) -> dict[str, list[dict[str, Any]]]:
    """The functions that ran with the mistake, by the tensor that they make, as in the steps."""
    # One wrong function may stand for several formulas.
    ran_right = {name for source in right.values() for name in source}
    names = {version.__code__: name for name, version in fault.formulas.items() if name in ran_right}
    ran = _sources(wrong.code(operation), names)
    made = {each.name: ("forward", each.variable) for each in operation.inner}
    made |= {operation.out: ("forward", "y")}
    back = {f"d:{name}": ("backward", operation.gradient_variable(name)) for name in operation.backward}
    return {
        tensor: [_shown(lines, variable, right[way].get(name)) for name, lines in ran[way].items()]
        for tensor, (way, variable) in (made | back).items()
    }


def _changed(right: dict[str, np.ndarray], wrong: dict[str, np.ndarray]) -> dict[str, list[float]]:
    return {
        name: flat(array)
        for name, array in wrong.items()
        if not np.allclose(array, right[name], rtol=1e-12, atol=1e-15)
    }
