"""Another incoming gradient: does it change the gradient at all, and in proportion?"""

from typing import Any

import numpy as np

from scratch.gradcheck import Objective
from scratch.gradcheck.derivative import numeric_derivative
from scratch.nested import is_floating, leaves, unflatten_as
from torch_ref.checker.diagnosis.cause import Cause
from torch_ref.checker.diagnosis.known import with_cotangent
from torch_ref.checker.verdict import TensorVerdict, largest

IGNORES = "backward ignores the incoming gradient"
_WITHOUT = "without it, it equals the numeric derivative"
_FIX = "multiply what backward returns by dy"


def ignoring(objective: Objective, wrong: list[TensorVerdict]) -> list[Cause]:
    """The gradients that are the same whatever dy is; a right one is linear in it."""
    if objective.cotangent is None:
        return []
    here, there = (_gradients(objective, _changed(objective.cotangent, turn)) for turn in (0, 1))
    names = [t.name for t in wrong if t.name in here and t.name in there]
    same = [n for n in names if np.any(here[n]) and np.array_equal(here[n], there[n])]
    if not same:
        return []
    ones = unflatten_as(objective.cotangent, (_ones(c) for _, c in leaves(objective.cotangent)))
    exact = numeric_derivative(with_cotangent(objective, ones)).gradients
    right = [n for n in same if n in exact and _close(here[n], exact[n])]
    only = "it is right only for dy = 1" if right == same else "another incoming gradient gives the same"
    return [Cause(IGNORES, only, _FIX, tuple(same))]


def ignoring_an_output(objective: Objective, wrong: list[TensorVerdict]) -> list[Cause]:
    """Of several outputs, the one whose incoming gradient has no effect, where without it all is right."""
    arrays = [c for _, c in leaves(objective.cotangent)]
    if len(arrays) < 2 or not all(isinstance(c, np.ndarray) and is_floating(c) for c in arrays):
        return []
    here = _gradients(objective, objective.cotangent)
    found: list[Cause] = []
    for k in range(len(arrays)):
        without = unflatten_as(
            objective.cotangent, (np.zeros_like(c) if i == k else c for i, c in enumerate(arrays))
        )
        there = _gradients(objective, without)
        same = [t.name for t in wrong if t.name in here and t.name in there]
        same = [name for name in same if np.array_equal(here[name], there[name])]
        if not same:
            continue
        exact = numeric_derivative(with_cotangent(objective, without)).gradients
        # A gradient that this output has no part in does not leave it out.
        matters = {t.name for t in wrong if t.name in exact and not _close(exact[t.name], t.expected)}
        names = tuple(name for name in same if name in matters and _close(here[name], exact[name]))
        if names:
            fix = f"add what comes through output {k}, as for the others"
            found.append(Cause(f"the incoming gradient of output {k} is left out", _WITHOUT, fix, names))
    return found


def _changed(cotangent: Any, turn: int) -> Any:
    """The incoming gradient itself, or another one of the same shape."""
    rng = np.random.default_rng(1)

    def other(c: Any) -> Any:
        if c is None or not is_floating(c) or not turn:
            return c
        return (c * 1.7 + rng.uniform(0.5, 1.5, c.shape)).astype(c.dtype)

    return unflatten_as(cotangent, (other(c) for _, c in leaves(cotangent)))


def _ones(c: Any) -> Any:
    return np.ones_like(c) if is_floating(c) else c


def _gradients(objective: Objective, cotangent: Any) -> dict[str, np.ndarray]:
    """The gradients under this incoming gradient; none where people's code takes no other."""
    try:
        with np.errstate(all="ignore"):
            return with_cotangent(objective, cotangent).backward().named()
    except Exception:  # from other people's code
        return {}


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and bool(np.all(np.abs(a - b) <= 1e-6 * largest(b)))
