"""Is a gradient right, in as many forwards as there are directions, however large the network is?

Along a direction v of all tensors at once, the slope of L must be Σ g v. One slope sees an error anywhere but
for one that is perpendicular to v: each direction says how large an error it could have missed. Where a slope
is another one, each tensor is asked by itself, and a wrong one is halved again and again until its wrong
entries are found.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from scratch.gradcheck.chain import Chain
from scratch.gradcheck.derivative import COMPLEX, Slopes, moved_loss, on_other_numbers, scales
from scratch.gradcheck.formula import require_formula
from scratch.gradcheck.objective import Objective
from scratch.gradcheck.step import Step
from scratch.gradcheck.tolerance import ROUNDINGS
from scratch.nested import is_floating, leaves, unflatten_as

DIRECTIONS = 3
# An error shows unless it is so near to perpendicular to every direction: three numbers like N(0, 1), all of
# them within 1/16 of 0.
_NEARLY_PERPENDICULAR, CHANCE = 1 / 16, "one chance in 8,000"
# Parts of a wrong direction that have less than this share of its error are not looked into.
_LEAST_SHARE = 1e-3

# Steps of a difference, in units of the one where rounding and truncation are in balance; and how many times
# its own estimate its error may be.
_WIDTHS, _SAFETY = (1.0, 1 / 8, 8.0), 4

# A difference that is off by no more than this share shows whether the complex step is the slope.
_SHARP = 1e-4

Gradients = Mapping[str, np.ndarray]
# How far rounding may move Σ g v, for a tensor and v along the entries of a part of it.
Roundings = Callable[[str, np.ndarray, slice], float]


class Line:
    """Slopes of L along directions: by the complex step if the forward is a formula of complex numbers.

    ``slopes`` counts them.

    Raises:
        ValueError: the forward takes no other numbers than its own.
    """

    def __init__(self, objective: Objective) -> None:
        self.step, self.slopes = Step("complex", None, objective.dtype), 0
        self.differences: Slopes | None = None
        if (chain := _complex_chain(objective, self.step)) is not None:
            self.chain, self.method = chain, COMPLEX
        else:
            self.differences = _differences(objective)
            self.chain = self.differences.chain
            self.method = f"central differences in {self.chain.dtype}"
        _lay_out(self.chain)
        self.tensors = self.chain.tensors()

    def slope(self, parts: Sequence[tuple[np.ndarray, Any]]) -> tuple[float, float]:
        """dL/dt where each part, a view of one of ``tensors``, moves by t times its v; and how far that may
        be off."""
        self.slopes += 1
        with on_other_numbers():
            if self.differences is None:
                return _complex_slope(self.chain, self.step, parts), 0.0
            # Not in float32, where h v would be rounded.
            moves = [(part, np.asarray(v, self.differences.chain.dtype)) for part, v in parts]
            return self._by_differences(self.differences, moves)

    def _by_differences(self, slopes: Slopes, parts: list[tuple[np.ndarray, Any]]) -> tuple[float, float]:
        """The slope of the step whose error is the smallest, and how far it may be off.

        Where many entries are moved some of them cross a kink: by longer and by shorter steps that shows.
        """
        size = min(float(np.min(scales(part) / _largest(v))) for part, v in parts if part.size)
        found = [slopes.along(parts, slopes.h * size * width) for width in _WIDTHS]
        (slope, error, kink), (second, *_) = sorted(found, key=lambda each: each[1] + each[2])[:2]
        return slope, _SAFETY * (error + kink) + abs(slope - second)


def _lay_out(chain: Chain) -> None:
    """Put the chain's arrays in the order of their indices, so that parts of them are views."""
    chain.inputs = unflatten_as(chain.inputs, (_in_order(x) for _, x in leaves(chain.inputs)))
    for p in chain.model.parameters():
        if not p.data.flags.c_contiguous:
            p.data = _in_order(p.data)


def _in_order(x: Any) -> Any:
    return np.asarray(x, order="C") if isinstance(x, np.ndarray) else x


def _complex_slope(chain: Chain, step: Step, parts: Sequence[tuple[np.ndarray, Any]]) -> float:
    """Im L(w + ihv) / h; the parts are real before and after."""
    for part, v in parts:
        np.multiply(v, step.h, out=part.imag, dtype=step.real)
    try:
        return float(step.slope(chain.loss(0, *chain.inputs)))
    finally:
        for part, _ in parts:
            part.imag[...] = 0


def _complex_chain(objective: Objective, step: Step) -> Chain | None:
    """The chain in complex numbers, if its slope along one direction is that of real numbers."""
    with on_other_numbers(), suppress(Exception):  # from other people's code, which need not take them
        require_formula(objective, step)
        chain, real = Chain(objective, step.dtype), Chain(objective, step.real)
        rounding = ROUNDINGS * float(np.finfo(step.real).eps) * _summed(objective, real)
        parts = [(x, v) for x, v in zip(chain.tensors().values(), _relative(real), strict=True) if x.size]
        slope = _complex_slope(chain, step, parts)
        moved = [
            (x, v.astype(real.dtype)) for x, v in zip(real.tensors().values(), _relative(real), strict=True)
        ]
        here = float(real.loss(0, *real.inputs))
        for h in (1e-5, 1e-7, 1e-3):
            right, left, far_right, far_left = (
                float(moved_loss(real, [(x, k * h * v) for x, v in moved])) for k in (1, -1, 2, -2)
            )
            near, far = (right - left) / (2 * h), (far_right - far_left) / (4 * h)
            error = _SAFETY * abs(near - far) + rounding / h
            # On a kink, as in ReLU at 0, the complex step gives the slope to one of its sides.
            bend, wide_bend = (right + left - 2 * here) / h, (far_right + far_left - 2 * here) / (2 * h)
            fits = abs(slope - near) <= error + abs(2 * bend - wide_bend)
            if fits and error <= _SHARP * max(abs(slope), abs(near)):
                return chain
    return None


def _summed(objective: Objective, chain: Chain) -> float:
    """The sum of the absolute values of what L is the sum of."""
    if objective.loss_fn is not None:
        return abs(float(chain.loss(0, *chain.inputs)))
    pairs = zip(leaves(objective.cotangent), leaves(objective.y), strict=True)
    return sum(float(np.sum(np.abs(c * y))) for (_, c), (_, y) in pairs if is_floating(c))


def _relative(chain: Chain) -> list[Any]:
    """A random direction of each tensor, as large as the tensor."""
    rng = np.random.default_rng(0)
    return [_drawn(rng, x.shape, _size(x)) for x in chain.tensors().values()]


def _drawn(rng: np.random.Generator, shape: tuple[int, ...], size: float) -> np.ndarray:
    """Numbers of this standard deviation: uniform, which takes a third of the time of normal ones."""
    v = rng.random(shape, np.float32)
    v -= np.float32(0.5)
    v *= np.float32(np.sqrt(12) * size)
    return v


def _size(array: np.ndarray) -> float:
    """The root mean square of the entries, or 1."""
    return float(np.linalg.norm(array.real.reshape(-1))) / max(1, array.size) ** 0.5 or 1.0


def _largest(v: Any) -> float:
    return float(np.max(np.abs(v), initial=0)) or 1.0


def _differences(objective: Objective) -> Slopes:
    """Slopes in the longest numbers that forward takes.

    Raises:
        ValueError: it takes none but its own.
    """
    for dtype in (np.longdouble, np.float64):
        with on_other_numbers(), suppress(Exception):  # from other people's code
            return Slopes(Chain(objective, dtype))
    raise ValueError(
        "gradcheck: there is no slope along a direction, since forward takes neither complex numbers nor "
        "long ones; use torch_ref.check"
    )


class Wrong(NamedTuple):
    """An entry whose gradient is another than the numeric derivative."""

    at: int
    numeric: float
    error: float


@dataclass
class Along:
    """The gradients beside slopes along random directions.

    Args:
        method: of the slopes.
        limits: the smallest error that could not have been missed, relative to the norm of each tensor's
            gradient, but for ``CHANCE``.
        wrong: by tensor, the wrong entries that were found, if its slope is another one.
    """

    method: str
    limits: dict[str, float] = field(default_factory=dict)
    wrong: dict[str, list[Wrong]] = field(default_factory=dict)


class Search:
    """Gradients beside slopes: of all tensors, of one, of a part of one.

    Args:
        line: the slopes.
        gradients: backward's, by the names of ``line.tensors``; those of a wrong shape are left out.
        dtype: of backward.
        roundings: how far rounding moves them; asked only where a slope does not fit without.
    """

    def __init__(self, line: Line, gradients: Gradients, dtype: Any, roundings: Roundings) -> None:
        self.line, self.gradients, self.roundings = line, gradients, roundings
        self.unit = float(np.finfo(dtype).eps)
        self.names = [name for name, x in line.tensors.items() if x.size and gradients[name].shape == x.shape]

        self.sizes = {name: _size(line.tensors[name]) for name in self.names}
        self.norms = {name: float(np.linalg.norm(gradients[name].reshape(-1))) for name in self.names}

    def directions(self, seed: int) -> dict[str, np.ndarray]:
        """A random direction of each tensor."""
        rng = np.random.Generator(np.random.SFC64(seed))
        return {name: _drawn(rng, self.line.tensors[name].shape, self.sizes[name]) for name in self.names}

    def error(self, parts: Mapping[str, tuple[slice, np.ndarray]]) -> tuple[float, float]:
        """By how much the slope along v in these parts is another than Σ g v, and how much is allowed."""
        moved, total, squares = [], 0.0, 0.0
        for name, (where, v) in parts.items():
            moved.append((self.line.tensors[name].reshape(-1)[where], v))
            terms = self.gradients[name].reshape(-1)[where] * v
            total += float(np.sum(terms, dtype=np.float64))
            squares += float(np.linalg.norm(terms)) ** 2
        slope, doubt = self.line.slope(moved)
        allowed = ROUNDINGS * self.unit * np.sqrt(squares) + doubt
        error = slope - total
        if not abs(error) <= allowed:
            roundings = [self.roundings(name, v, where) for name, (where, v) in parts.items()]
            allowed += float(np.linalg.norm(roundings))
        return error, allowed

    def whole(self, names: Sequence[str], seed: int) -> tuple[bool, dict[str, float]]:
        """Whether the slope along a random direction of these tensors fits, and the detection limits."""
        directions = self.directions(seed)
        parts = {name: (slice(None), directions[name].reshape(-1)) for name in names}
        error, allowed = self.error(parts)
        largest = max((self.norms[name] for name in names), default=0.0)
        limits = {}
        for name in names:
            standard = max(self.norms[name], largest * self.unit) * self.sizes[name]
            limits[name] = allowed / (_NEARLY_PERPENDICULAR * standard) if standard else 0.0
        return abs(error) <= allowed, limits

    def entries(self, name: str, most: int) -> list[Wrong]:
        """Some entries of the tensor that are wrong, found by halves."""
        v = self.directions(0)[name].reshape(-1)
        error, _ = self.error({name: (slice(None), v)})
        waiting, found = [(error, 0, v.size)], list[Wrong]()
        while waiting and len(found) < most:
            error, low, high = waiting.pop()
            if high - low == 1:
                found.append(Wrong(low, *self.at(name, low)))
                continue
            middle = (low + high) // 2
            left, _ = self.error({name: (slice(low, middle), v[low:middle])})
            halves = [(left, low, middle), (error - left, middle, high)]
            halves.sort(key=lambda each: abs(each[0]))
            # The larger error last, which is looked into first.
            waiting += [half for half in halves if abs(half[0]) > _LEAST_SHARE * abs(error)]
        return found

    def at(self, name: str, entry: int) -> tuple[float, float]:
        """The numeric derivative by one entry, and how far that may be off."""
        part = self.line.tensors[name].reshape(-1)[entry : entry + 1]
        slope, doubt = self.line.slope([(part, np.ones(1))])
        return slope, doubt + float(np.finfo(np.float64).eps) * abs(slope)


def along_directions(search: Search, most: int = 3, tensors: int = 4) -> Along:
    """The gradients beside slopes along random directions and, where these differ, their wrong entries.

    Args:
        search: what to look in.
        most: wrong entries to look for in a tensor.
        tensors: wrong tensors to look into.
    """
    found = Along(f"{search.line.method} along {DIRECTIONS} random directions")
    fits = True
    for seed in range(DIRECTIONS):
        fit, limits = search.whole(search.names, seed)
        fits = fits and fit
        found.limits = {name: max(limit, found.limits.get(name, 0.0)) for name, limit in limits.items()}
    if not fits:
        for name in search.names:
            if len(found.wrong) < tensors and not all(
                search.whole([name], seed)[0] for seed in range(DIRECTIONS)
            ):
                found.wrong[name] = search.entries(name, most)
    return found
