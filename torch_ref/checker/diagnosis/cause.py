"""Cause, and when two arrays are the same but for rounding."""

from dataclasses import dataclass, replace

import numpy as np

from torch_ref.checker.verdict import TensorVerdict


@dataclass(frozen=True)
class Cause:
    """The cause of a wrong gradient.

    Args:
        name: the mistake, or "unknown".
        evidence: what confirmed it; for an unknown one, which entries are wrong.
        fix: what to do.
        tensors: those it explains.
    """

    name: str
    evidence: str
    fix: str
    tensors: tuple[str, ...]

    def __str__(self) -> str:
        fix = f" Fix: {self.fix}." if self.fix else ""
        return f"{self.name} ({', '.join(self.tensors)}): {self.evidence}.{fix}"


UNKNOWN = "unknown"

# Numbers made again, by a mistake or by a correction, round as well: they may be off by so many tolerances
# and by so much of the largest entry.
TOLERANCES = 4
_OF_LARGEST_REPRODUCED, _OF_LARGEST_CORRECTED = 1e-12, 1e-11


def merged(causes: list[Cause]) -> list[Cause]:
    """One cause for all tensors that have the same."""
    together: dict[tuple[str, str, str], tuple[str, ...]] = {}
    for c in causes:
        key = (c.name, c.evidence, c.fix)
        together[key] = together.get(key, ()) + c.tensors
    return [Cause(*key, tensors) for key, tensors in together.items()]


def is_output(t: TensorVerdict) -> bool:
    """Whether it is an output or a buffer, not a gradient."""
    return t.of_forward


def same_shape(t: TensorVerdict) -> bool:
    """Whether both sides have the same shape."""
    return t.ours.shape == t.reference.shape


def differ(t: TensorVerdict, ours: np.ndarray, theirs: np.ndarray) -> bool:
    """Whether these two, in place of NumPy's and PyTorch's, differ by more than rounding."""
    return ours.shape != theirs.shape or bool(
        np.any(replace(t, reference=theirs, numeric=None, doubt=0.0).wrong(ours))
    )


def is_same(t: TensorVerdict, other: np.ndarray) -> bool:
    """Whether ``other`` is NumPy's side made again."""
    if other.shape != t.ours.shape:
        return False
    allowed = _OF_LARGEST_REPRODUCED * np.max(np.abs(other), where=np.isfinite(other), initial=0)
    if not same_shape(t):
        return bool(np.allclose(t.ours, other, rtol=0, atol=allowed, equal_nan=True))
    judged = t.decidable
    allowed = allowed + TOLERANCES * t.tolerance[judged]
    return bool(np.all(np.isclose(t.ours[judged], other[judged], rtol=0, atol=allowed, equal_nan=True)))


def is_right(t: TensorVerdict, corrected: np.ndarray, scale: float = 1.0) -> bool:
    """Whether a corrected gradient is the expected one; a correction by a factor scales its rounding."""
    judged = t.decidable
    allowed = TOLERANCES * t.tolerance[judged] * max(1.0, scale) + _OF_LARGEST_CORRECTED * np.max(
        np.abs(t.expected), initial=0
    )
    return bool(np.all(np.isclose(corrected[judged], t.expected[judged], rtol=0, atol=allowed)))
