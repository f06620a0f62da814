"""One tensor by NumPy, by PyTorch and by the numeric derivative: do they agree, and which is wrong?

Without a reference the numeric derivative alone judges.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from scratch.gradcheck.tolerance import INCONCLUSIVE, SMALL, SPREADS, VISIBLE

AGREE = "agree"
DIFFER = "differ"
SHAPES_DIFFER = "shapes differ"
CORRECT_FOR_FORWARD = "correct for your forward, which differs from PyTorch's"
NO_DERIVATIVE = "the same on both sides, and no derivative of the forward"
ROUNDED = "agree, but for PyTorch's rounding to float32"


@dataclass(frozen=True)
class TensorVerdict:
    """An output, a buffer or a gradient, entry by entry.

    Args:
        name: "output", "loss", "buffer …", "input" or a parameter's name.
        ours: NumPy's.
        reference: PyTorch's; the numeric derivative if there is no reference.
        numeric: the numeric derivative; None where there is none, as for an output.
        spread: how far rounding moves each entry.
        doubt: how far each entry of the numeric derivative may be off.
        dtype: of both sides, or what has its name, since NumPy has no bfloat16.
        standard: the scale of a gradient that is as good as 0: the largest gradient of all, the incoming one
            included. For an output or buffer its own largest entry, or 1.
        same_forward: whether both sides compute the same function. If not, the numeric derivative, which
            comes from NumPy's forward, says nothing about PyTorch.
        has_reference: whether there is a PyTorch side at all.
        places: the indices of the entries in the whole tensor, where these are only some of its entries.
        confirmed: whether PyTorch's gradient is the slope of PyTorch's own forward, which was asked where it
            is not the numeric derivative (second_opinion.py).
    """

    name: str
    ours: np.ndarray
    reference: np.ndarray
    numeric: np.ndarray | None
    spread: np.ndarray
    doubt: np.ndarray | float
    dtype: Any
    standard: float
    same_forward: bool = True
    has_reference: bool = True
    places: tuple[tuple[int, ...], ...] = ()
    confirmed: bool = False

    @property
    def of_forward(self) -> bool:
        """Whether it is an output or a buffer, not a gradient."""
        return self.name in ("output", "loss") or self.name.startswith(("output ", "buffer "))

    @cached_property
    def expected(self) -> np.ndarray:
        """The numeric derivative or, without one, PyTorch's."""
        return self.reference if self.numeric is None else self.numeric

    @cached_property
    def roundings(self) -> np.ndarray:
        """The rounding of each entry: its spread or, if that is larger, the tensor's typical one."""
        # Entries that cross a kink are left out.
        most = VISIBLE[self.dtype.name] * max(largest(self.expected), self.standard) / SPREADS
        usual = self.spread[(self.spread > 0) & (self.spread <= most)]
        typical = np.sqrt(np.mean(np.square(usual))) if usual.size else 0.0
        return np.maximum(self.spread, typical)

    @cached_property
    def tolerance(self) -> np.ndarray:
        """How far each of NumPy's entries may be from the expected one."""
        underflow = float(_finfo(self.dtype).tiny) * max(1.0, self.standard, largest(self.expected))
        rounding = SPREADS * (self.roundings + underflow)
        if self.numeric is None:
            return 2 * rounding + self._unknown  # that of both sides
        # The numeric derivative is itself computed, and what it is made of cancels as well.
        return rounding + self.doubt + 2 * np.finfo(np.float64).eps * self.standard

    @property
    def _unknown(self) -> float:
        """PyTorch's order of summation is unknown: it may lose digits, by cancellation, where we need not."""
        return SPREADS * float(_finfo(self.dtype).eps) * self.standard

    @cached_property
    def scale(self) -> float:
        """The size for relative errors: the largest entry or, where rounding leaves little, the standard.

        So a gradient that is 0, or that saturation has brought close to it, is still judged.
        """
        own = largest(self.expected)
        most = VISIBLE[self.dtype.name] * own
        # The median takes long, and is no larger than the largest.
        if self.tolerance.size and not np.max(self.tolerance) <= most and np.median(self.tolerance) > most:
            return max(own, self.standard)
        return own

    @property
    def is_faint(self) -> bool:
        """Whether its own entries are too small for errors to be relative to them."""
        return self.scale > largest(self.expected)

    @cached_property
    def decidable(self) -> np.ndarray:
        """The entries that can be judged: those that sit on no kink, where a rounding changes the branch."""
        return self.tolerance <= VISIBLE[self.dtype.name] * self.scale

    @property
    def kinks(self) -> int:
        """The number of entries that cannot be judged."""
        return int(np.count_nonzero(~self.decidable))

    @cached_property
    def detection_limit(self) -> float:
        """The smallest error, relative to the scale, that could not have been missed in any judged entry."""
        if not self.expected.size:
            return 0.0
        if 2 * self.kinks > self.expected.size:
            return np.inf
        worst = largest(self.tolerance[self.decidable])
        return worst / self.scale if self.scale else 0.0

    def wrong(self, side: np.ndarray) -> np.ndarray:
        """The entries of a side that are wrong; nan is, unless it is expected."""
        allowed = self.tolerance + (self._unknown if side is self.reference else 0)
        return ~(np.abs(_difference(side, self.expected)) <= allowed) & self.decidable

    @cached_property
    def verdict(self) -> str:
        """The verdict, one of those that Comparison lists."""
        if self.ours.shape != self.reference.shape:
            return SHAPES_DIFFER
        if self.numeric is None:
            if np.any(self.wrong(self.ours)):
                return DIFFER
        elif wrong := self._wrong_sides():
            return self._of_wrong_sides(wrong)
        elif not self.same_forward:
            return CORRECT_FOR_FORWARD
        return AGREE if self.detection_limit < np.inf else INCONCLUSIVE

    def _of_wrong_sides(self, wrong: list[str]) -> str:
        """The verdict where one side or both are not the numeric derivative.

        If both sides are the same, or PyTorch's is the slope of its own forward, that may be in doubt.
        """
        if len(wrong) == 2 and self.sides_agree:
            return AGREE if self.confirmed else NO_DERIVATIVE
        if wrong == ["PyTorch"] and self._is_rounded_to_float32():
            return ROUNDED
        if self.confirmed:
            return "NumPy is wrong" if len(wrong) == 2 else DIFFER
        return "both are wrong" if len(wrong) == 2 else f"{wrong[0]} is wrong"

    @cached_property
    def sides_agree(self) -> bool:
        """Whether the two sides agree with one another, whatever the numeric derivative."""
        if self.ours.shape != self.reference.shape:
            return False
        return not np.any(replace(self, numeric=None).wrong(self.ours))

    @property
    def is_slightly_wrong(self) -> bool:
        """Whether NumPy's gradient is refuted by the numeric derivative, in no entry by much."""
        if self.numeric is None or self.ours.shape != self.reference.shape or self.verdict == AGREE:
            return False
        return _most(_difference(self.ours, self.numeric)) <= SMALL * self.scale

    def _is_rounded_to_float32(self) -> bool:
        """Whether PyTorch's is off by no more than a constant that was rounded to float32 would explain."""
        off = np.abs(_difference(self.reference, self.expected))
        return self.dtype.name == "float64" and bool(np.all(off <= 8 * _FLOAT32 * largest(self.expected)))

    def _wrong_sides(self) -> list[str]:
        """The sides that the numeric derivative refutes."""
        sides = {"NumPy": self.ours}
        if self.same_forward and self.has_reference:
            sides["PyTorch"] = self.reference
        return [name for name, side in sides.items() if np.any(self.wrong(side))]

    @property
    def row(self) -> dict[str, Any]:
        """The row of the table: see Comparison."""
        measured = self._measured() if self.ours.shape == self.reference.shape else _UNMEASURED
        return {
            "tensor": self.name,
            "shape": "×".join(map(str, self.reference.shape)) or "scalar",
            "scale": largest(self.expected),
            **measured,
            "verdict": self.verdict,
        }

    def _measured(self) -> dict[str, Any]:
        """The columns that need both sides to have the same shape."""
        pair = _most(_difference(self.ours, self.reference))
        numeric = self.numeric
        ours, theirs = (
            np.nan if numeric is None else _most(_difference(side, numeric))
            for side in (self.ours, self.reference)
        )
        return {
            "numpy_torch": pair if self.has_reference else np.nan,
            "relative": pair / self.scale if self.scale else pair and np.inf,
            "numpy_numeric": ours,
            "torch_numeric": theirs if self.has_reference else np.nan,
            "roundings": _most(self.in_roundings(_difference(self.ours, self.expected))),
            "tolerance": largest(self.tolerance[self.decidable]),
            "detection_limit": self.detection_limit,
            "kinks": self.kinks,
        }

    def in_roundings(self, difference: np.ndarray) -> np.ndarray:
        """A difference of two sides in the judged entries, flat, in units of the rounding of each.

        An entry is within its tolerance up to ``SPREADS``. Nan stays nan.
        """
        error = np.abs(difference)[self.decidable]
        unit = self.tolerance[self.decidable] / SPREADS
        return np.divide(error, unit, out=np.where(error > 0, np.inf, 0.0), where=unit > 0)

    def worst(self, count: int) -> list[tuple[tuple[int, ...], float, float, float]]:
        """(index, NumPy's, PyTorch's, numeric or nan) of the wrong entries, the most wrong first."""
        if self.ours.shape != self.reference.shape:
            return []
        sides = self.wrong(self.ours) | self.wrong(self.reference)
        error = sum(np.abs(_difference(side, self.expected)) for side in (self.ours, self.reference))
        error = np.where(sides, np.where(np.isnan(error), np.inf, error), -1.0)
        first = np.argsort(-error, axis=None, kind="stable")[: min(count, int(np.count_nonzero(sides)))]
        found = []
        for flat in first:
            index = tuple(int(i) for i in np.unravel_index(flat, error.shape))
            numeric = np.nan if self.numeric is None else float(self.numeric[index])
            place = self.places[flat] if self.places else index
            found.append((place, float(self.ours[index]), float(self.reference[index]), numeric))
        return found


_FLOAT32 = float(np.finfo(np.float32).eps)

_UNMEASURED = {
    **dict.fromkeys(
        ("numpy_torch", "relative", "numpy_numeric", "torch_numeric", "roundings", "tolerance"), np.nan
    ),
    "detection_limit": np.inf,
    "kinks": 0,
}


def _finfo(dtype: Any) -> torch.finfo:
    return torch.finfo(getattr(torch, dtype.name))


def _difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a - b, and 0 where both are inf or both nan."""
    if a.dtype == b.dtype == np.float64 and a.shape == b.shape:
        with np.errstate(all="ignore"):
            difference = np.subtract(a, b)
        if np.isfinite(difference).all():
            return difference
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    return np.subtract(a, b, out=np.zeros(np.shape(same)), where=~same)


def _most(array: np.ndarray) -> float:
    """The largest absolute value; nan if there is one."""
    return float(np.max(np.abs(array), initial=0))


def largest(*arrays: Any) -> float:
    """The largest finite absolute value in any of the arrays, None left out; 0 if there is none."""
    return max(
        (float(np.max(np.abs(x), where=np.isfinite(x), initial=0)) for x in arrays if x is not None),
        default=0.0,
    )
