"""The derivative that is neither side's: found by running the NumPy forward alone.

By the complex step where the forward is a formula of complex numbers (scratch/numerical.py). Not all code is:
``abs`` drops the imaginary part, ``float(x)`` refuses it. So each tensor's complex gradient must first fit a
central difference along a random direction. If it does not, each entry is differentiated by central
differences in the longest floating numbers that the forward can keep, extrapolated to h = 0 (Richardson
1911), and carries an estimate of its own error. On a kink there is no derivative: both slopes would do, and
the error says so.
"""

import warnings
from typing import NamedTuple

import numpy as np

from scratch.numerical import Network, Objective, Step, differentiate


class Truth(NamedTuple):
    """The gradients by name, how far each entry may itself be off, and how they were found."""

    gradients: dict[str, np.ndarray]
    errors: dict[str, np.ndarray]
    method: str


def truth(objective: Objective) -> Truth:
    """The gradients of an objective, by the best way that its forward allows."""
    step = Step("complex", None, objective.dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        try:
            exact = differentiate(objective, step).named()
            confirmed = _fits(objective.to(step.real), exact)
        except Exception:  # whatever the code of others raises when it is given complex numbers
            confirmed = False
    if confirmed:
        eps = float(np.finfo(step.real).eps)
        return Truth(exact, {name: eps * np.abs(g) for name, g in exact.items()}, "complex step")
    try:
        return _extrapolated(objective.to(np.longdouble))
    except TypeError:  # no long double version of something in it
        return _extrapolated(objective.to(np.float64))


def _fits(network: Network, exact: dict[str, np.ndarray]) -> bool:
    """Whether, for each tensor, a central difference along a random direction is what ``exact`` says."""
    rng = np.random.default_rng(0)
    eps = float(np.finfo(network.dtype).eps)
    for name, array in network.tensors().items():
        v = rng.standard_normal(array.shape)
        expected, size = float(np.sum(exact[name] * v)), float(np.linalg.norm(exact[name] * v))
        before = array.copy()

        # Twice, since at the first step a kink may lie between the two ends.
        for h in (1e-7 * _size(array), 1e-9 * _size(array)):
            ends = []
            for sign in (1, -1):
                array[...] = before + sign * h * v
                ends.append(float(network.loss(0, *network.inputs)))
            array[...] = before
            noise = 8 * eps * network.objective.size / h
            if abs((ends[0] - ends[1]) / (2 * h) - expected) <= 1e-4 * size + noise:
                break
        else:
            return False
    return True


def _extrapolated(network: Network) -> Truth:
    eps = float(np.finfo(network.dtype).eps)
    gradients, errors = {}, {}
    here = network.loss(0, *network.inputs)
    for name, array in network.tensors().items():
        # Where truncation, h⁴, and rounding, u / h, are in balance.
        h = eps**0.2 * _size(array)
        noise = 4 * eps * network.objective.size / h
        gradient, error = np.empty(array.shape), np.empty(array.shape)
        for index in np.ndindex(array.shape):
            (near, bend), (far, wide_bend) = (_central(network, array, index, s, here) for s in (h, 2 * h))
            gradient[index] = (4 * near - far) / 3
            # The first term that is left is to the one taken out as that is to the whole.
            error[index] = abs(near - far) * eps**0.2 + noise
            # On a kink the slopes of both sides stay as far apart as they are; elsewhere h/2 halves that.
            if bend > 0.75 * wide_bend + noise:
                error[index] += bend
        gradients[name], errors[name] = gradient, error
    return Truth(gradients, errors, f"central differences in {network.dtype}")


def _central(
    network: Network, array: np.ndarray, index: tuple[int, ...], h: float, here: float
) -> tuple[float, float]:
    """The slope, and by how much the slopes to the right and to the left differ."""
    before, ends = array[index], []
    for sign in (1, -1):
        array[index] = before + sign * h
        ends.append(network.loss(0, *network.inputs))
    array[index] = before
    slope, bend = (ends[0] - ends[1]) / (2 * h), abs(ends[0] + ends[1] - 2 * here) / h
    return float(slope), float(bend)


def _size(array: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(array)))) or 1.0 if array.size else 1.0
