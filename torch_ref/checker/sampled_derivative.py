"""The numeric derivative of a network of too many entries: along random directions, and by some entries.

The numeric derivative by every entry of a tensor is not known then. At entries that were not tried, that of
the side that the tried ones confirm stands for it.
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property

import numpy as np

from scratch.gradcheck import Objective
from scratch.gradcheck.derivative import NumericDerivative
from scratch.gradcheck.directions import Along, Line, Search, Wrong, along_directions
from scratch.gradcheck.rounding import Tensors, numpy_spreads
from scratch.gradcheck.tolerance import SPREADS
from torch_ref.checker.verdict import DIFFER, TensorVerdict

# Entries of each tensor that are tried where there is no reference, and of those in which the sides differ.
ENTRIES, DIFFERING = 16, 4
# So many tensors in which the sides differ are looked into.
_TENSORS = 8


def directions_of(objective: Objective, gradients: Tensors) -> Along | None:
    """The gradients beside slopes along random directions; None if forward takes no other numbers."""
    try:
        return along_directions(_search(objective, gradients))
    except ValueError:
        return None


def _search(objective: Objective, gradients: Tensors) -> Search:
    return Search(Line(objective), gradients, objective.dtype, _OwnRoundings(objective))


def judged_along(
    objective: Objective, gradients: Tensors, tensors: list[TensorVerdict], along: Along
) -> list[TensorVerdict]:
    """Verdicts on tensors that were compared entry by entry: which side is wrong, or are both?"""
    known = dict(along.wrong)
    differing = [t for t in tensors if t.verdict == DIFFER and t.name in along.limits][:_TENSORS]
    if differing:
        search = _search(objective, gradients)
        known |= {t.name: _tried(search, t.name, _worst(t)) for t in differing}
    return [_filled(t, known.get(t.name, [])) for t in tensors]


def _worst(t: TensorVerdict) -> list[int]:
    indices = [index for index, *_ in t.worst(DIFFERING)]
    return [int(np.ravel_multi_index(index, t.ours.shape)) for index in indices]


def _tried(search: Search, name: str, entries: Iterable[int]) -> list[Wrong]:
    return [Wrong(at, *search.at(name, at)) for at in entries]


def _filled(t: TensorVerdict, known: list[Wrong]) -> TensorVerdict:
    """The verdict with the numeric derivative at these entries, and what they confirm at the others."""
    if not known:
        return t
    at = [each.at for each in known]
    numeric, off = np.array([each.numeric for each in known]), np.array([each.error for each in known])
    allowed = t.tolerance.reshape(-1)[at] + off
    ours, theirs = (
        bool(np.all(np.abs(side.reshape(-1)[at] - numeric) <= allowed)) for side in (t.ours, t.reference)
    )
    filled = np.array(t.ours if ours and not theirs else t.reference, np.float64, order="C")
    doubt = np.zeros(filled.shape)
    filled.reshape(-1)[at], doubt.reshape(-1)[at] = numeric, off
    return replace(t, numeric=filled, doubt=doubt)


class _OwnRoundings:
    """How far NumPy's roundings move a gradient: measured only if a slope asks for it."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective

    @cached_property
    def spreads(self) -> Tensors:
        """Of a few runs."""
        try:
            return next(numpy_spreads(self.objective))
        except Exception:  # from code that cannot take a subclass of ndarray, or no other dtype
            return {}

    def __call__(self, name: str, v: np.ndarray, where: slice) -> float:
        if name not in self.spreads:
            return 0.0
        return SPREADS * float(np.linalg.norm(self.spreads[name].reshape(-1)[where] * v))


def sampled_derivative(objective: Objective, gradients: Tensors) -> tuple[NumericDerivative, Along]:
    """The numeric derivative by some entries of each tensor, and by those that are wrong along directions.

    At all others it is the gradient itself.

    Raises:
        ValueError: forward takes no other numbers.
    """
    search = _search(objective, gradients)
    along, rng = along_directions(search), np.random.default_rng(0)
    filled, errors = {}, {}
    for name, x in search.line.tensors.items():
        given = gradients[name] if name in search.names else np.zeros(x.shape)
        filled[name], errors[name] = np.array(given, np.float64, order="C"), np.zeros(x.shape)
        some = rng.choice(x.size, min(x.size, ENTRIES), replace=False)
        for at, numeric, off in (*_tried(search, name, map(int, some)), *along.wrong.get(name, [])):
            filled[name].reshape(-1)[at], errors[name].reshape(-1)[at] = numeric, off
    method = f"{along.method}, and by {ENTRIES} entries of each tensor"
    return NumericDerivative(filled, errors, method), along
