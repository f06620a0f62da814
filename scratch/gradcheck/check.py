"""Is backward right? Its gradients against numeric derivatives, entry by entry or along random directions.

``gradcheck`` differentiates by every entry and compares all. ``check_directions`` differentiates along a
few random directions, each through all parameters and inputs at once, for the price of a forward; where a
direction disagrees it halves it again and again until it has the wrong entries.

A gradient may be off by the rounding of backward, which is measured (rounding.py), and by some units of u,
the machine epsilon, for the numeric side (tolerance.py). Each tensor states its detection limit, the smallest
relative error that would have shown. Above half of the digits (√u: 1.5e-8 in float64, 3.5e-4 in float32) a
check is inconclusive, and does not pass.
"""

from functools import cached_property
from html import escape
from typing import NamedTuple

import numpy as np

from scratch import nn
from scratch.gradcheck.derivative import (
    COMPLEX,
    NumericDerivative,
    finer,
    require_numeric_derivative,
)
from scratch.gradcheck.directions import Line, Search
from scratch.gradcheck.numeric import differentiate
from scratch.gradcheck.objective import Objective
from scratch.gradcheck.rounding import numpy_spreads
from scratch.gradcheck.step import Step
from scratch.gradcheck.tolerance import INCONCLUSIVE, LOSS_ROUNDINGS, ROUNDINGS, SMALL, SPREADS, VISIBLE


class TensorCheck(NamedTuple):
    """One row: a gradient of backward against the numeric one.

    ``error`` is the difference where it is largest beside what is allowed, ``tolerance`` what is allowed
    there, ``scale`` the largest numeric entry, ``detection_limit`` the smallest error, relative to scale,
    that would have shown in any entry. ``worst`` is the index, followed by both values there.
    """

    name: str
    shape: tuple[int, ...]
    error: float
    scale: float
    tolerance: float
    detection_limit: float
    worst: tuple[int, ...]
    backward: float
    numeric: float
    ok: bool


class GradcheckResult(NamedTuple):
    """All rows, and the method of the numeric derivative; truthy if all are right and none inconclusive."""

    rows: list[TensorCheck]
    method: str = COMPLEX

    @property
    def ok(self) -> bool:
        """Whether all rows are ok."""
        return all(row.ok for row in self.rows)

    def __bool__(self) -> bool:
        return self.ok

    def __repr__(self) -> str:
        wrong = [row.name for row in self.rows if not row.ok]
        said = f"not ok: {', '.join(wrong)}" if wrong else "ok"
        return f"<GradcheckResult of {len(self.rows)} gradients: {said}>"

    def __str__(self) -> str:
        widths = (f"{{:{width}}}" for width in ("24", ">10", ">10", ">15"))
        line = " ".join(widths) + "  {}"
        said = [] if self.method == COMPLEX else [f"numeric: {self.method}"]
        return "\n".join([*(line.format(*cells) for cells in (_HEADINGS, *map(_cells, self.rows))), *said])

    def _repr_html_(self) -> str:
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in _cells(row)) + "</tr>\n"
            for row in self.rows
        )
        head = "".join(f"<th>{escape(heading)}</th>" for heading in _HEADINGS)
        return f"<table>\n<tr>{head}</tr>\n{rows}</table>"


_HEADINGS = ("gradient", "max |Δ|", "relative", "detection limit", "verdict")


def _cells(row: TensorCheck) -> tuple[str, ...]:
    """A row as text."""
    relative = row.error / row.scale if row.scale else np.inf if row.error else 0.0
    return row.name, f"{row.error:.1e}", f"{relative:.1e}", f"{row.detection_limit:.1e}", _verdict(row)


def _verdict(row: TensorCheck) -> str:
    if row.ok:
        return "ok"
    if row.error <= row.tolerance:
        return INCONCLUSIVE
    return f"WRONG at {list(row.worst)}: backward {row.backward:.9g}, numeric {row.numeric:.9g}"


def gradcheck(
    model: nn.Module,
    *inputs: np.ndarray,
    loss_fn: nn.Loss | None = None,
    target: np.ndarray | None = None,
    cotangent: np.ndarray | None = None,
    method: str | None = None,
    eps: float | None = None,
) -> GradcheckResult:
    """Compare backward with the numeric derivative by every entry of every parameter and input.

    The derivative is the complex step where forward is a formula of complex numbers, and by central
    differences where it is not, as with np.abs or np.zeros in it; the result says which.

    Args:
        model: see scratch.gradcheck.Objective, as for all but the last two.
        inputs: the model's inputs.
        loss_fn: a loss.
        target: its target.
        cotangent: the weights of the outputs, without a loss.
        method: "central" to teach: two forwards for each entry, right to about u^(2/3) and so judged.
            "complex" takes the complex step unasked.
        eps: the step; only with a method.

    Raises:
        TypeError, ValueError: as numerical_gradient; or forward takes no other numbers.
    """
    objective = Objective(model, *inputs, loss_fn=loss_fn, target=target, cotangent=cotangent)
    found = objective.backward().named()
    numeric, unit = _derivative(objective, method, eps, found)
    for spread in numpy_spreads(objective):
        noise = {name: SPREADS * _largest(each) for name, each in spread.items()}
        result = GradcheckResult(_judge(found, numeric, unit, noise), numeric.method)
        if result:
            return result
    if method is None and all(row.error <= SMALL * row.scale for row in result.rows):
        numeric = finer(objective, numeric)
        result = GradcheckResult(_judge(found, numeric, unit, noise), numeric.method)
    return result


def _derivative(
    objective: Objective, method: str | None, eps: float | None, claimed: dict[str, np.ndarray]
) -> tuple[NumericDerivative, float]:
    """The numeric derivative, and the relative error that its method leaves."""
    unit = float(np.finfo(objective.dtype).eps)
    if method is None and eps is None:
        return require_numeric_derivative(objective, claimed), unit
    step = Step(method or "complex", eps, objective.dtype)
    gradients = differentiate(objective, step).named()
    if step.is_complex:
        return NumericDerivative(gradients, dict.fromkeys(gradients, np.zeros(())), COMPLEX), unit
    # The difference of two L, each rounded at its own size, over 2h.
    off = LOSS_ROUNDINGS * float(np.finfo(step.real).eps) / step.h * objective.size
    errors = dict.fromkeys(gradients, np.asarray(off))
    return NumericDerivative(gradients, errors, "central differences"), max(unit, step.h**2)


def _judge(
    found: dict[str, np.ndarray], numeric: NumericDerivative, unit: float, noise: dict[str, float]
) -> list[TensorCheck]:
    """A row for each gradient; ``unit`` is the relative error of a rounding, ``noise`` the measured rounding.

    A tensor may be off by 64 units of its own largest entry and one of the largest of all: a gradient that
    is truly 0, like that of a bias before a batch norm, is the rounding of numbers as large as the others.
    """
    expected = numeric.gradients
    largest = max((_largest(n) for n in expected.values()), default=0.0)
    rows = []
    for name, n in expected.items():
        a = found[name]
        if a.shape != n.shape:
            raise ValueError(f"gradcheck: backward's {name} has shape {a.shape}, expected {n.shape}")
        tolerance = unit * (ROUNDINGS * _largest(n) + largest) + noise[name]
        limit = max(np.sqrt(unit), 0.0 if numeric.method == COMPLEX else VISIBLE["float64"])
        rows.append(_row(name, a, n, tolerance + numeric.errors[name], limit))
    return rows


def _row(
    name: str, found: np.ndarray, expected: np.ndarray, allowed: np.ndarray, limit: float
) -> TensorCheck:
    """Both sides of one gradient where they differ most; its detection limit may be ``limit`` at most.

    Entries that sit on a kink, where the numeric derivative is off by more, are left out, up to half of all.
    """
    scale = _largest(expected)
    if not expected.size:
        return TensorCheck(name, expected.shape, 0.0, scale, _largest(allowed), 0.0, (), 0.0, 0.0, True)
    allowed = np.broadcast_to(allowed, expected.shape)
    decided = allowed <= limit * scale
    if 2 * np.count_nonzero(decided) < expected.size:
        decided = np.full(expected.shape, True)
    difference = np.abs(found - expected)
    excess = np.where(decided, difference - allowed, -np.inf)
    worst = tuple(int(i) for i in np.unravel_index(np.argmax(excess), expected.shape))
    error, tolerance = float(difference[worst]), float(allowed[worst])
    detection_limit = _largest(allowed[decided]) / scale if scale else np.inf
    ok = error <= tolerance and detection_limit <= limit
    at = float(found[worst]), float(expected[worst])
    return TensorCheck(name, expected.shape, error, scale, tolerance, detection_limit, worst, *at, ok)


def _largest(array: np.ndarray) -> float:
    return float(np.max(np.abs(array), initial=0))


class WrongEntry(NamedTuple):
    """An entry that check_directions found, with its gradient by backward and by the complex step."""

    name: str
    at: tuple[int, ...]
    backward: float
    numeric: float


class DirectionsResult(NamedTuple):
    """The result of check_directions; truthy if no entry is wrong.

    ``wrong`` are the wrong entries, at most as many as were asked for; ``slopes`` counts the slopes that were
    taken, ``method`` says how.
    """

    ok: bool
    wrong: list[WrongEntry]
    slopes: int
    method: str = COMPLEX

    def __bool__(self) -> bool:
        return self.ok


def check_directions(
    model: nn.Module,
    *inputs: np.ndarray,
    loss_fn: nn.Loss | None = None,
    target: np.ndarray | None = None,
    cotangent: np.ndarray | None = None,
    directions: int = 2,
    most: int = 20,
    seed: int = 0,
) -> DirectionsResult:
    r"""Compare backward with the slopes of L along random directions; on failure, find the wrong entries.

    Along a direction v of all parameters and inputs, $\operatorname{Im} L(w + ihv)/h$ must be
    $\sum_k g_k v_k$; central differences where forward is no formula of complex numbers. If it is not, one
    half of v or the other is to blame, and so on down to single entries: about 2 log₂(n) slopes for each
    wrong one.

    Args:
        model: see scratch.gradcheck.Objective, like inputs, loss_fn, target and cotangent.
        inputs: the model's inputs.
        loss_fn: a loss.
        target: its target.
        cotangent: the weights of the outputs, without a loss.
        directions: their number; an error could hide from one by chance, hardly from two.
        most: the number of wrong entries to stop at.
        seed: of the directions.

    Raises:
        TypeError, ValueError: as gradcheck.
    """
    for name, count in (("directions", directions), ("most", most)):
        if count < 1:
            raise ValueError(f"check_directions: {name} is {count}, expected 1 or more")
    objective = Objective(model, *inputs, loss_fn=loss_fn, target=target, cotangent=cotangent)
    halves = _Halves(objective, most)
    for number in range(directions):
        if not halves.wrong:
            halves.look(halves.search.directions(seed + number), 0, halves.size)
    line = halves.search.line
    return DirectionsResult(not halves.wrong, halves.wrong, line.slopes, line.method)


class _Halves:
    """The parameters and inputs of a network as one vector, and a bisection over it."""

    def __init__(self, objective: Objective, most: int) -> None:
        self.objective, self.most = objective, most
        self.gradients = objective.backward().named()
        self.search = Search(Line(objective), self.gradients, objective.dtype, self.roundings)
        self.stops = np.cumsum([self.gradients[name].size for name in self.search.names])
        self.size = int(self.stops[-1]) if len(self.stops) else 0
        self.wrong: list[WrongEntry] = []

    @cached_property
    def spread(self) -> dict[str, np.ndarray]:
        """How far rounding moves each entry of the gradient: measured only if a direction asks for it."""
        _, spreads = numpy_spreads(self.objective)
        return spreads

    def roundings(self, name: str, v: np.ndarray, where: slice) -> float:
        """How far rounding moves Σ g v in a part of a tensor."""
        return SPREADS * float(np.linalg.norm(self.spread[name].reshape(-1)[where] * v))

    def parts(self, v: dict[str, np.ndarray], low: int, high: int) -> dict[str, tuple[slice, np.ndarray]]:
        """The parts of the tensors that lie between low and high."""
        found = {}
        for name, stop in zip(self.search.names, map(int, self.stops), strict=True):
            start = stop - v[name].size
            a, b = max(low, start) - start, min(high, stop) - start
            if a < b:
                found[name] = (slice(a, b), v[name].reshape(-1)[a:b])
        return found

    def look(self, v: dict[str, np.ndarray], low: int, high: int) -> None:
        """Find the wrong entries between low and high."""
        if len(self.wrong) >= self.most or high <= low:
            return
        parts = self.parts(v, low, high)
        error, allowed = self.search.error(parts)
        if abs(error) <= allowed:
            return
        if high - low > 1:
            middle = (low + high) // 2
            self.look(v, low, middle)
            self.look(v, middle, high)
            return
        ((name, (where, _)),) = parts.items()
        gradient = self.gradients[name]
        index = tuple(int(i) for i in np.unravel_index(where.start, gradient.shape))
        numeric, _ = self.search.at(name, where.start)
        self.wrong.append(WrongEntry(name, index, float(gradient[index]), numeric))
