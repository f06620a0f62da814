"""Mistakes made in a right module of the same kind, on the same numbers: which gives the wrong ones?"""

from collections.abc import Iterator

import numpy as np

from scratch import nn
from scratch.copying import deep_copy
from scratch.gradcheck import Objective
from scratch.gradcheck.objective import named
from scratch.nested import leaves
from torch_ref.checker.comparison import Comparison
from torch_ref.checker.diagnosis.bound import Bound
from torch_ref.checker.diagnosis.cause import differ, is_output, is_same
from torch_ref.checker.diagnosis.shapes import cut, held_of, inputs_of
from torch_ref.checker.diagnosis.templates import Trained
from torch_ref.checker.verdict import TensorVerdict
from torch_ref.faults import Fault, faults_of, switch_on

REPRODUCED = "reproduced: this mistake gives exactly your gradient"
REPRODUCED_FORWARD = "reproduced: with it our forward gives exactly your output"


def reproductions(
    objective: Objective, comparison: Comparison, right: nn.Module, wrong: list[TensorVerdict]
) -> list[tuple[str, str]]:
    """(name, fix) of each fault that gives NumPy's numbers in every tensor."""
    found: list[tuple[str, str]] = []
    unbroken = numbers(objective, right)
    if unbroken is None:
        return found
    tensors = [t for t in comparison.tensors if t.name in unbroken and _same_buffer(t, unbroken)]
    # Without a reference outputs are not compared, and yet have to be made again.
    forward = {} if any(map(is_output, tensors)) else _outputs(objective)
    wrong = [t for t in wrong if t.name in unbroken]
    for broken, where, fault in _broken(right):
        if (fault.name, fault.fix) in found:
            continue  # made in the whole already, so that one of its parts making it is no other cause
        given = numbers(objective, broken)
        if given is None or not all(is_same(t, given[t.name]) for t in tensors):
            continue
        if not all(_close(y, given[name]) for name, y in forward.items()):
            continue
        # A mistake that changes nothing on these numbers explains nothing.
        explains = wrong and all(differ(t, given[t.name], unbroken[t.name]) for t in wrong)
        if explains and _holds_on_another_shape(objective, broken):
            found.append((f"{where}{fault.name}", fault.fix))
    return found


def _holds_on_another_shape(objective: Objective, broken: nn.Module) -> bool:
    """Whether it gives NumPy's numbers for one sample less too, if both can run on that.

    Where two sizes are the same a mistake with the other one would give the same numbers.
    """
    arrays = inputs_of(objective)
    # A module that holds its own target would have to be cut as well.
    if not arrays or objective.is_random or held_of(broken):
        return True
    length = len(max(arrays, key=lambda x: x.ndim))
    for all_of_them in (False, True):
        smaller = cut(objective, 0, length, all_of_them) if length > 2 else None
        mine = None if smaller is None else numbers(smaller, objective.model)
        theirs = None if smaller is None else numbers(smaller, broken)
        if mine is not None and theirs is not None:
            return all(_close(array, theirs[name]) for name, array in mine.items() if name in theirs)
    return True


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    limit = 1e-8 if a.dtype == np.float64 else 1e-3
    scale = np.max(np.abs(b), where=np.isfinite(b), initial=0)
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=0, atol=limit * scale, equal_nan=True))


def _outputs(objective: Objective) -> dict[str, np.ndarray]:
    """The outputs of people's code."""
    return named("output", [np.asarray(y) for _, y in leaves(objective.y)])


def _same_buffer(t: TensorVerdict, unbroken: dict[str, np.ndarray]) -> bool:
    """False for statistics that a module found by its output keeps otherwise than the reference."""
    return not t.name.startswith("buffer ") or not differ(t, unbroken[t.name], t.reference)


def numbers(objective: Objective, model: nn.Module) -> dict[str, np.ndarray] | None:
    """Outputs and gradients; None where a fault cannot be made, with these shapes or out of a domain."""
    try:
        with np.errstate(all="ignore"):
            outputs, gradients = objective.of(model).run()
    except Exception:  # from people's code on a shape, or from a mistake in one, that it does not take
        return None
    arrays = {name: np.asarray(array) for name, array in (outputs | gradients.named()).items()}
    return model.named_as_theirs(arrays) if isinstance(model, Bound) else arrays


def _broken(right: nn.Module) -> Iterator[tuple[nn.Module, str, Fault]]:
    """Every module that differs from the right one by one fault in one place."""
    core = "_core" if isinstance(right, Bound) else ""
    # The parts of a module found by its numbers have no names that people know, but for those of a network.
    nameless = isinstance(right, Bound) and not isinstance(right._core, nn.Sequential | Trained)
    for at, module in right.named_modules():
        if not at.startswith(core):
            continue
        where = at.removeprefix(core).removeprefix(".").removeprefix("model.")
        where = f"{where}: " if where and not nameless and not where.startswith("loss_fn") else ""
        for fault in faults_of(module):
            broken = deep_copy(right)
            switch_on(fault, dict(broken.named_modules())[at])
            yield broken, where, fault
