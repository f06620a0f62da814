"""The Jacobian that a backward applies, beside that of its forward: contributions that are lost.

Each entry of a gradient is a sum over outputs, Σ_o dy_o ∂y_o/∂x_i. With ``dx[…] = …`` in the place of ``+=``
each summand that arrives is right, and the others are lost. The summands are seen one by one under an
incoming gradient of a single 1.
"""

import numpy as np

from scratch.gradcheck import Objective
from scratch.nested import leaves, unflatten_as
from torch_ref.checker.diagnosis.cause import Cause
from torch_ref.checker.diagnosis.known import arrays_of, moved, with_cotangent
from torch_ref.checker.verdict import TensorVerdict

# So many entries of the gradient and of the output at most: each is a forward or a backward.
_MOST = 400
# A summand is there, and right, to a central difference in float64.
_CLOSE = 1e-5
_H = 1e-5


def lost(t: TensorVerdict, objective: Objective) -> Cause | None:
    """All summands that arrive are right, and some do not arrive."""
    outputs = [y for _, y in leaves(objective.y)]
    if len(outputs) != 1 or objective.dtype != np.float64 or max(t.ours.size, outputs[0].size) > _MOST:
        return None
    try:
        with np.errstate(all="ignore"):
            mine, right = _applied(t.name, objective), _of_the_forward(t.name, objective, t.ours.size)
    except Exception:  # from other people's code, on numbers that it does not expect
        return None
    if mine is None or mine.shape != right.shape:
        return None
    limit = _CLOSE * float(np.max(np.abs(right), initial=0))
    there, due = np.abs(mine) > limit, np.abs(right) > limit
    if np.any(np.abs(mine - right)[there] > limit) or not np.any(due & ~there):
        return None
    # Rows are entries of the gradient, columns outputs.
    arrive, are_due = there.sum(axis=1), due.sum(axis=1)
    short = arrive < are_due
    if not np.all(arrive[short] >= 1):
        return None
    if mine.shape[0] == mine.shape[1] and np.array_equal(there, np.eye(len(there), dtype=bool)):
        fix = "each output depends on the other inputs too: add their terms"
        name = "only the own term of each entry is there: the diagonal of the Jacobian"
        return Cause(name, "all other terms are missing, this one is right", fix, (t.name,))
    evidence = f"{int(are_due[short][0])} gradients meet in an entry and {int(arrive[short][0])} arrives"
    fix = "grad[…] += …, or np.add.at where an index repeats; with = only the last one counts"
    name = "gradients that meet are overwritten instead of added up"
    return Cause(name, f"{evidence}; those that arrive are right", fix, (t.name,))


def _applied(name: str, objective: Objective) -> np.ndarray | None:
    """∂y_o/∂x_i as backward has it: (entries of the gradient, outputs)."""
    size = int(np.size(next(y for _, y in leaves(objective.y))))
    columns = []
    for o in range(size):
        cotangent = unflatten_as(objective.cotangent, (_one(c, o) for _, c in leaves(objective.cotangent)))
        gradient = with_cotangent(objective, cotangent).backward().named().get(name)
        if gradient is None:
            return None
        columns.append(np.asarray(gradient).reshape(-1).copy())
    return np.stack(columns, axis=1)


def _one(c: np.ndarray, at: int) -> np.ndarray:
    one = np.zeros_like(c)
    one.reshape(-1)[at] = 1
    return one


def _of_the_forward(name: str, objective: Objective, size: int) -> np.ndarray:
    """∂y_o/∂x_i by central differences of the forward."""
    shape = arrays_of(objective)[name].shape
    rows = []
    for i in range(size):
        move = _H * _one(np.zeros(shape), i)
        (right,), (left,) = moved(objective, name, move), moved(objective, name, -move)
        rows.append((right - left).reshape(-1) / (2 * _H))
    return np.stack(rows)
