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
from scratch.gradcheck.chain import Chain
from scratch.gradcheck.numeric import differentiate
from scratch.gradcheck.objective import Gradients, Objective
from scratch.gradcheck.rounding import numpy_spreads
from scratch.gradcheck.step import Step
from scratch.gradcheck.tolerance import INCONCLUSIVE, LOSS_ROUNDINGS, ROUNDINGS, SPREADS


class TensorCheck(NamedTuple):
    """One row: a gradient of backward against the numeric one.

    ``error`` is the largest difference, ``scale`` the largest numeric entry, ``tolerance`` the largest error
    that is allowed, ``detection_limit`` = tolerance / scale the smallest error, relative to scale, that
    would have shown. ``worst`` is the index of the largest difference, followed by both values there.
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
    """All rows; truthy if every gradient is right and none is inconclusive."""

    rows: list[TensorCheck]

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
        return "\n".join(line.format(*cells) for cells in (_HEADINGS, *map(_cells, self.rows)))

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
    method: str = "complex",
    eps: float | None = None,
) -> GradcheckResult:
    """Compare backward with the numeric derivative by every entry of every parameter and input.

    Args:
        model: see scratch.gradcheck.Objective, as for all but the last two.
        inputs: the model's inputs.
        loss_fn: a loss.
        target: its target.
        cotangent: the weights of the outputs, without a loss.
        method: "complex", or "central" to teach; that one is right to about u^(2/3) and so judged.
        eps: the step.

    Raises:
        TypeError, ValueError: as numerical_gradient.
    """
    objective = Objective(model, *inputs, loss_fn=loss_fn, target=target, cotangent=cotangent)
    step = Step(method, eps, objective.dtype)
    analytic, numeric = objective.backward(), differentiate(objective, step)
    unit = float(np.finfo(objective.dtype).eps)
    central = 0.0
    if not step.is_complex:
        # The difference of two L, each rounded at its own size, over 2h.
        central = LOSS_ROUNDINGS * float(np.finfo(step.real).eps) / step.h * objective.size
        unit = max(unit, step.h**2)
    for spread in numpy_spreads(objective):
        noise = {name: SPREADS * _largest(each) + central for name, each in spread.items()}
        found = GradcheckResult(_judge(analytic, numeric, unit, noise))
        if found:
            break
    return found


def _judge(
    analytic: Gradients, numeric: Gradients, unit: float, noise: dict[str, float]
) -> list[TensorCheck]:
    """A row for each gradient; ``unit`` is the relative error of a rounding, ``noise`` the measured rounding.

    A tensor may be off by 64 units of its own largest entry and one of the largest of all: a gradient that
    is truly 0, like that of a bias before a batch norm, is the rounding of numbers as large as the others.
    """
    expected, found = numeric.named(), analytic.named()
    largest = max((_largest(n) for n in expected.values()), default=0.0)
    rows = []
    for name, n in expected.items():
        a = found[name]
        if a.shape != n.shape:
            raise ValueError(f"gradcheck: backward's {name} has shape {a.shape}, expected {n.shape}")
        rows.append(_row(name, a, n, unit * (ROUNDINGS * _largest(n) + largest) + noise[name], np.sqrt(unit)))
    return rows


def _row(name: str, found: np.ndarray, expected: np.ndarray, tolerance: float, limit: float) -> TensorCheck:
    """Both sides of one gradient where they differ most; its detection limit may be ``limit`` at most."""
    scale = _largest(expected)
    if not expected.size:
        return TensorCheck(name, expected.shape, 0.0, scale, tolerance, 0.0, (), 0.0, 0.0, True)
    difference = np.abs(found - expected)
    worst = tuple(int(i) for i in np.unravel_index(np.argmax(difference), expected.shape))
    error = float(difference[worst])
    detection_limit = tolerance / scale if scale else np.inf
    ok = bool(error <= tolerance and detection_limit <= limit)
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

    ``wrong`` are the wrong entries, at most as many as were asked for; ``forwards`` counts the forwards.
    """

    ok: bool
    wrong: list[WrongEntry]
    forwards: int

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
    r"""Compare backward with complex steps along random directions; on failure, find the wrong entries.

    Along a direction v of all parameters and inputs, $\operatorname{Im} L(w + ihv)/h$ must be
    $\sum_k g_k v_k$. If it is not, one half of v or the other is to blame, and so on down to single entries:
    about 2 log₂(n) forwards for each wrong one.

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
    search = _Search(objective, most)
    rng = np.random.default_rng(seed)
    for _ in range(directions):
        if not search.wrong:
            search.look(rng.standard_normal(search.size), 0, search.size)
    return DirectionsResult(not search.wrong, search.wrong, search.forwards)


class _Search:
    """The parameters and inputs of a complex network as one vector, and a bisection over it."""

    def __init__(self, objective: Objective, most: int) -> None:
        self.step = Step("complex", None, objective.dtype)
        self.chain = Chain(objective, self.step.dtype)
        self.unit = float(np.finfo(objective.dtype).eps)
        self.most, self.forwards = most, 0
        self.wrong: list[WrongEntry] = []
        gradients = objective.backward().named()
        self.tensors = [(name, array, gradients[name]) for name, array in self.chain.tensors().items()]
        self.stops = np.cumsum([array.size for _, array, _ in self.tensors])
        self.size = int(self.stops[-1])
        self.gradient = np.concatenate([g.reshape(-1) for _, _, g in self.tensors]).astype(self.step.real)
        self.objective = objective

    @cached_property
    def spread(self) -> np.ndarray:
        """How far rounding moves each entry of the gradient: measured only if a direction asks for it."""
        _, spreads = numpy_spreads(self.objective)
        return np.concatenate([spreads[name].reshape(-1) for name, _, _ in self.tensors])

    def slope(self, v: np.ndarray, low: int, high: int) -> float:
        """The derivative of L along v[low:high], the rest held."""
        self.forwards += 1
        befores = []
        for (_, array, _), stop in zip(self.tensors, self.stops, strict=True):
            start = stop - array.size
            a, b = max(low, start), min(high, stop)
            if a < b:
                befores.append((array, array.copy()))
                array.reshape(-1)[a - start : b - start] += 1j * self.step.h * v[a:b]
        try:
            return float(self.step.slope(self.chain.loss(0, *self.chain.inputs)))
        finally:
            for array, before in befores:
                array[...] = before

    def look(self, v: np.ndarray, low: int, high: int) -> None:
        """Find the wrong entries between low and high."""
        if len(self.wrong) >= self.most or high <= low:
            return
        summands = self.gradient[low:high] * v[low:high]
        error = abs(self.slope(v, low, high) - float(np.add.reduce(summands)))
        rounding = ROUNDINGS * self.unit * np.linalg.norm(summands)
        if error <= rounding:
            return
        spread = self.spread[low:high] * v[low:high]
        if error <= rounding + SPREADS * np.linalg.norm(spread):
            return
        if high - low > 1:
            middle = (low + high) // 2
            self.look(v, low, middle)
            self.look(v, middle, high)
            return
        tensor = int(np.searchsorted(self.stops, low, side="right"))
        name, array, _ = self.tensors[tensor]
        offset = low - int(self.stops[tensor]) + array.size
        index = tuple(int(i) for i in np.unravel_index(offset, array.shape))
        numeric = self.slope(np.ones(self.size), low, high)
        self.wrong.append(WrongEntry(name, index, float(self.gradient[low]), numeric))
