"""One tensor, from NumPy, from PyTorch and in truth: do they agree, and who is wrong?"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from scratch.gradcheck import TOO_BLIND

# How many spreads an entry may be off: of all correct results of the campaign (`make alarms`) none was off by
# more than 3.
SPREADS = 8

# What must be visible, relative to the largest entry: 1e-6 in float64, half of the digits in float32.
BLIND = {"float64": 1e-6, "float32": 3.5e-4}


@dataclass(frozen=True)
class Tensor:
    """An output, a buffer or a gradient, entry by entry.

    Args:
        name: "output", "loss", "buffer …", "input" or a parameter's name.
        numpy: NumPy's.
        torch: PyTorch's.
        truth: what it must be; None if nobody knows, as of an output.
        spread: by how much rounding moves each entry.
        doubt: how far each entry of the truth may be off.
        dtype: of both sides.
        standard: the largest gradient of all, the incoming one included: what a gradient that is as good as
            0 is measured by. Of an output or buffer: its own largest, or 1.
        same_forward: whether both sides compute the same function. If not, the truth, which comes from
            NumPy's forward, says nothing of PyTorch.
    """

    name: str
    numpy: np.ndarray
    torch: np.ndarray
    truth: np.ndarray | None
    spread: np.ndarray
    doubt: np.ndarray | float
    dtype: np.dtype
    standard: float
    same_forward: bool = True

    @cached_property
    def wanted(self) -> np.ndarray:
        """The truth or, without one, PyTorch's."""
        return self.torch if self.truth is None else self.truth

    @cached_property
    def roundings(self) -> np.ndarray:
        """What rounding does to each entry: its spread or, if that is larger, the tensor's typical one."""
        # Without the entries that a kink throws about.
        most = BLIND[self.dtype.name] * max(largest(self.wanted), self.standard) / SPREADS
        usual = self.spread[(self.spread > 0) & (self.spread <= most)]
        typical = np.sqrt(np.mean(np.square(usual))) if usual.size else 0.0
        return np.maximum(self.spread, typical)

    @cached_property
    def tolerance(self) -> np.ndarray:
        """How far each of NumPy's entries may be off what is wanted."""
        underflow = float(np.finfo(self.dtype).tiny) * max(1.0, self.standard, largest(self.wanted))
        rounding = SPREADS * (self.roundings + underflow)
        if self.truth is None:
            return 2 * rounding + self._unknown  # that of both sides
        # The truth is itself computed, and what it is made of cancels as well.
        return rounding + self.doubt + 2 * np.finfo(np.float64).eps * self.standard

    @property
    def _unknown(self) -> float:
        """How PyTorch adds up is not known: it may lose digits, by cancellation, where we need not."""
        return SPREADS * float(np.finfo(self.dtype).eps) * self.standard

    @cached_property
    def scale(self) -> float:
        """What errors are relative to: the largest entry or, where rounding leaves little, the standard.

        So a gradient that is 0, or that saturation has brought close to it, is still judged.
        """
        own = largest(self.wanted)
        if self.tolerance.size and np.median(self.tolerance) > BLIND[self.dtype.name] * own:
            return max(own, self.standard)
        return own

    @property
    def is_faint(self) -> bool:
        """Whether its own entries are too small to be what errors are relative to."""
        return self.scale > largest(self.wanted)

    @cached_property
    def decidable(self) -> np.ndarray:
        """Which entries can be judged: not those that sit on a kink, where a rounding changes the branch."""
        return self.tolerance <= BLIND[self.dtype.name] * self.scale

    @property
    def kinks(self) -> int:
        """How many entries cannot be judged."""
        return int(np.count_nonzero(~self.decidable))

    @cached_property
    def sensitivity(self) -> float:
        """The smallest error, relative to the scale, that could not have been missed in any judged entry."""
        if not self.wanted.size:
            return 0.0
        if 2 * self.kinks > self.wanted.size:
            return np.inf
        worst = largest(self.tolerance[self.decidable])
        return worst / self.scale if self.scale else 0.0

    def wrong(self, side: np.ndarray) -> np.ndarray:
        """Which entries of a side are wrong; nan is, unless it is wanted."""
        allowed = self.tolerance + (self._unknown if side is self.torch else 0)
        return ~(np.abs(_difference(side, self.wanted)) <= allowed) & self.decidable

    @cached_property
    def verdict(self) -> str:
        """What Comparison says of it."""
        if self.numpy.shape != self.torch.shape:
            return "shapes differ"
        if self.truth is None:
            if np.any(self.wrong(self.numpy)):
                return "differ"
        else:
            sides = {"NumPy": self.numpy} | ({"PyTorch": self.torch} if self.same_forward else {})
            wrong = [name for name, side in sides.items() if np.any(self.wrong(side))]
            if wrong:
                return "both are wrong" if len(wrong) == 2 else f"{wrong[0]} is wrong"
            if not self.same_forward:
                return "fits NumPy's forward"
        return "agree" if self.sensitivity < np.inf else TOO_BLIND

    @property
    def row(self) -> dict[str, Any]:
        """For the table: see Comparison."""
        same = self.numpy.shape == self.torch.shape
        pair = _most(_difference(self.numpy, self.torch)) if same else np.nan
        ours, theirs = (
            _most(_difference(side, self.truth)) if same and self.truth is not None else np.nan
            for side in (self.numpy, self.torch)
        )
        return {
            "tensor": self.name,
            "shape": "×".join(map(str, self.torch.shape)) or "scalar",
            "scale": largest(self.wanted),
            "numpy_torch": pair,
            "relative": (pair / self.scale if self.scale else pair and np.inf) if same else np.nan,
            "numpy_truth": ours,
            "torch_truth": theirs,
            "roundings": _most(self.in_roundings(_difference(self.numpy, self.wanted))) if same else np.nan,
            "tolerance": largest(self.tolerance[self.decidable]) if same else np.nan,
            "sensitivity": self.sensitivity if same else np.inf,
            "kinks": self.kinks if same else 0,
            "verdict": self.verdict,
        }

    def in_roundings(self, difference: np.ndarray) -> np.ndarray:
        """A difference of two sides in the judged entries, flat, in units of what rounding does to each.

        An entry is within its tolerance up to ``SPREADS``. Nan stays nan.
        """
        error = np.abs(difference)[self.decidable]
        unit = self.tolerance[self.decidable] / SPREADS
        return np.divide(error, unit, out=np.where(error > 0, np.inf, 0.0), where=unit > 0)

    def worst(self, count: int) -> list[tuple[tuple[int, ...], float, float, float]]:
        """(index, NumPy's, PyTorch's, truth or nan) of the wrong entries, the most wrong first."""
        if self.numpy.shape != self.torch.shape:
            return []
        sides = self.wrong(self.numpy) | self.wrong(self.torch)
        error = sum(np.abs(_difference(side, self.wanted)) for side in (self.numpy, self.torch))
        error = np.where(sides, np.where(np.isnan(error), np.inf, error), -1.0)
        first = np.argsort(-error, axis=None, kind="stable")[: min(count, int(np.count_nonzero(sides)))]
        found = []
        for flat in first:
            index = tuple(int(i) for i in np.unravel_index(flat, error.shape))
            exact = np.nan if self.truth is None else float(self.truth[index])
            found.append((index, float(self.numpy[index]), float(self.torch[index]), exact))
        return found


def _difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a - b, and 0 where both are inf or both nan."""
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
