"""The derivative that is neither side's: found by running the NumPy forward alone.

By the complex step where the forward is a formula of complex numbers (scratch/gradcheck). Not all code is:
``abs`` drops the imaginary part, ``float(x)`` refuses it. So the forward must be one by its operations
(formula.py), and each tensor's complex gradient must fit a central difference along a random direction. If
not, each entry is differentiated by central differences in the longest floating numbers that the forward
takes, extrapolated to h = 0 (Richardson 1911), and carries an estimate of its own error. On a kink there is
no derivative: both slopes would do, and the error says so.

A forward may take long numbers and still compute with short ones, as one does that fills ``np.zeros(n)``. So
how L is rounded is not looked up but measured.
"""

import warnings
from typing import Any, NamedTuple

import numpy as np

from scratch.gradcheck.numeric import Network, Objective, Step, differentiate
from torch_ref.checker.formula import require_formula


class Truth(NamedTuple):
    """The gradients by name, how far each entry may itself be off, and how they were found."""

    gradients: dict[str, np.ndarray]
    errors: dict[str, np.ndarray]
    method: str


def truth(objective: Objective) -> Truth:
    """The gradients of an objective, by the best way that its forward allows; none if it allows no way."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        for way in (_complex, _long, _double):
            try:
                return way(objective)
            except Exception:  # whatever the code of others raises when it is given other numbers than usual
                continue
    return Truth({}, {}, "")


def _complex(objective: Objective) -> Truth:
    step = Step("complex", None, objective.dtype)
    require_formula(objective, step)
    exact = differentiate(objective, step).named()
    _require_fit(objective.to(step.real), exact)
    eps = float(np.finfo(step.real).eps)
    return Truth(exact, {name: eps * np.abs(g) for name, g in exact.items()}, "complex step")


def _long(objective: Objective) -> Truth:
    return _extrapolated(objective.to(np.longdouble))


def _double(objective: Objective) -> Truth:
    return _extrapolated(objective.to(np.float64))


def _require_fit(network: Network, exact: dict[str, np.ndarray]) -> None:
    """Refuse what is not, for each tensor, the slope along a random direction.

    Steps are tried until one is fine enough to show an error of 1e-6: over a long one there may lie a kink.
    If none is, as where all is saturated, the slope is what it is to the rounding of L.

    Raises:
        ValueError: it is another one.
    """
    rng = np.random.default_rng(0)
    slopes = _Slopes(network)
    for name, array in network.tensors().items():
        v = rng.standard_normal(array.shape)
        expected, size = float(np.sum(exact[name] * v)), float(np.linalg.norm(exact[name] * v))
        fits: dict[bool, list[bool]] = {True: [], False: []}
        for h in (1e-5, 1e-7, 1e-3, 1e-9):
            slope, error, _ = slopes.along(array, v, h * _size(array))
            sharp = error <= 1e-6 * size
            fits[sharp].append(abs(slope - expected) <= error)
            if sharp and fits[sharp][-1]:
                break
        if not any(fits[True] or fits[False]):
            raise ValueError(f"the complex step along {name} is {expected}, the slope another one")


def _extrapolated(network: Network) -> Truth:
    gradients, errors = {}, {}
    slopes = _Slopes(network)
    for name, array in network.tensors().items():
        # Where what two steps of a smooth L differ by, h², and rounding, u / h, are in balance.
        h = float(np.cbrt(slopes.unit)) * _size(array)
        gradient, error = np.empty(array.shape), np.empty(array.shape)
        for index in np.ndindex(array.shape):
            gradient[index], error[index], kink = slopes.along(array[(*index, ...)], 1.0, h)
            error[index] += kink
        gradients[name], errors[name] = gradient, error
    return Truth(gradients, errors, f"central differences in {network.dtype}")


class _Slopes:
    """L along directions.

    ``rounding`` is how far L may be off, and ``unit`` that by how much L changes with its inputs.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.here = network.loss(0, *network.inputs)
        eps = float(np.finfo(network.dtype).eps)
        measured, change = self._measured()
        self.rounding = max(measured, 4 * eps * float(abs(self.here)))
        self.unit = max(eps, min(self.rounding / change, 1e-3)) if change else 1e-3

    def along(self, part: np.ndarray, v: np.ndarray | float, h: float) -> tuple[float, float, float]:
        """The slope of L if ``part`` moves along v, how far off that may be, and what a kink adds to it."""
        right, left, far_right, far_left = (self._moved([(part, step * h * v)]) for step in (1, -1, 2, -2))
        near, far = (right - left) / (2 * h), (far_right - far_left) / (4 * h)
        # The extrapolated slope is far better than the two, unless a kink lies between.
        error = abs(near - far) + self.rounding / h
        # How much the slopes to both sides differ doubles with h; not so if there is a kink.
        bend, wide_bend = (right + left - 2 * self.here) / h, (far_right + far_left - 2 * self.here) / (2 * h)
        kink = abs(2 * bend - wide_bend)
        return float((4 * near - far) / 3), float(error), float(kink)

    def _moved(self, moves: list[tuple[np.ndarray, Any]]) -> Any:
        befores = [part.copy() for part, _ in moves]
        for part, move in moves:
            part[...] += move
        try:
            return self.network.loss(0, *self.network.inputs)
        finally:
            for (part, _), before in zip(moves, befores, strict=True):
                part[...] = before

    def _measured(self) -> tuple[float, float]:
        """The rounding of L, and how much L changes if all that it depends on does, relatively.

        In fourth differences of a smooth function only its roundings are left; to one side, where there is no
        kink. Steps are as small as an ulp of float64, to show whether that is kept; if they move nothing, as
        one of float32.
        """
        rng = np.random.default_rng(0)
        rounding = change = 0.0
        for step in (np.finfo(np.float64).eps, np.finfo(np.float32).eps):
            for _ in range(8):
                moves = [
                    (array, step * _size(array) * rng.standard_normal(array.shape))
                    for array in self.network.tensors().values()
                ]
                ends = [self._moved([(part, k * move) for part, move in moves]) for k in (1, 2, 3, 4)]
                fourth = self.here - 4 * ends[0] + 6 * ends[1] - 4 * ends[2] + ends[3]
                rounding = max(rounding, float(abs(fourth)) / 4)
                change = max(change, float(abs(ends[3] - self.here)) / (4 * float(step)))
            if change:
                break
        return rounding, change


def _size(array: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(array)))) or 1.0 if array.size else 1.0
