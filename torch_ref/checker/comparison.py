"""The result of a comparison: a verdict on each tensor, as a table, in words, and entry by entry."""

from dataclasses import dataclass, replace
from functools import cached_property
from html import escape
from itertools import combinations

import numpy as np
import pandas as pd

from scratch.gradcheck.directions import CHANCE, Along
from scratch.gradcheck.tolerance import INCONCLUSIVE
from torch_ref.checker.verdict import (
    AGREE,
    CORRECT_FOR_FORWARD,
    DIFFER,
    NO_DERIVATIVE,
    ROUNDED,
    SHAPES_DIFFER,
    TensorVerdict,
)

# Above this share of its norm an error in a gradient along directions is not seen, and that is said.
LARGEST_LIMIT = 1e-3

# Texts say NumPy and PyTorch; these words, in this order, are put in the place of those.
Words = tuple[tuple[str, str], ...]
YOURS_AND_REFERENCE: Words = (
    ("NumPy's", "yours"),
    ("NumPy", "yours"),
    ("PyTorch's", "the reference's"),
    ("PyTorch is", "the reference is"),
    ("PyTorch", "reference"),
)
BESIDE_FLOAT64: Words = (*YOURS_AND_REFERENCE, ("− numeric", "− float64"), ("   numeric ", "   float64 "))


@dataclass(frozen=True, repr=False)
class Comparison:
    """The result of compare; truthy if the two sides agree.

    Args:
        tensors: all that was compared, outputs first.
        method: how the numeric derivative was found, or "" if it was not asked for, or not found.
        skipped: buffers of PyTorch's side that NumPy's does not have.
        along: how the gradients fit slopes along random directions, where there are too many entries to
            differentiate by each.
        words: pairs of words: how the sides are called in texts, where they are not NumPy and PyTorch.

    ``frame`` has a row for each tensor:

    * tensor, shape
    * scale: the largest entry in absolute value
    * numpy_torch: the largest difference of the two sides; relative is that by the scale or, without a
      reference, numpy_numeric by the scale
    * numpy_numeric, torch_numeric: how far each is from the numeric derivative (nan where there is none)
    * roundings: NumPy's largest error, in units of the rounding of that entry; up to 8 are allowed
    * tolerance: how far an entry may be off
    * detection_limit: the tolerance by the scale, the smallest relative error that could not have been missed
    * kinks: entries that cannot be judged, since a rounding changes the branch that they take
    * verdict: "agree"; "agree, but for PyTorch's rounding to float32" where PyTorch has a constant of float32
      in float64; "NumPy is wrong", "PyTorch is wrong", "both are wrong"; "the same on both sides, and no
      derivative of the forward"; without a numeric derivative "differ"; "shapes differ"; "correct for your
      forward, which differs from PyTorch's"; "inconclusive"; with ``words`` in the place of NumPy and
      PyTorch
    """

    tensors: tuple[TensorVerdict, ...]
    method: str = ""
    skipped: tuple[str, ...] = ()
    words: Words = ()
    along: Along | None = None

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The table, the verdicts in the words of this comparison."""
        frame = pd.DataFrame([tensor.row for tensor in self.tensors])
        return frame.assign(verdict=frame["verdict"].map(self._said))

    @property
    def ok(self) -> bool:
        """Whether every tensor agrees."""
        return not self.wrong

    def __bool__(self) -> bool:
        return self.ok

    @property
    def wrong(self) -> list[TensorVerdict]:
        """The tensors that do not agree."""
        return [tensor for tensor in self.tensors if tensor.verdict not in (AGREE, ROUNDED)]

    @property
    def as_reference(self) -> bool:
        """Whether the two sides agree with one another, if not with the numeric derivative."""
        return bool(self.wrong) and all(tensor.verdict == NO_DERIVATIVE for tensor in self.wrong)

    def by_reference(self) -> "Comparison":
        """The same, judged by PyTorch's gradients alone."""
        tensors = tuple(replace(tensor, numeric=None) for tensor in self.tensors)
        return replace(self, tensors=tensors, method="")

    @property
    def forwards_differ(self) -> list[TensorVerdict]:
        """The outputs and buffers by which the two forwards are seen to differ."""
        return [t for t in self.tensors if t.of_forward and t.verdict in (DIFFER, SHAPES_DIFFER)]

    @property
    def verdict(self) -> str:
        """In words. If the forwards differ all gradients differ with them: are they right for their own?"""
        if self.method and self.forwards_differ:
            first = f"The forwards differ, in {_names(self.forwards_differ)}. Look there first."
            return f"{first} {self._for_its_own_forward()}"
        if not self.wrong:
            return self._agreement()
        verdicts = dict.fromkeys(t.verdict for t in self.wrong)
        named = (f"{self._said(v)}: {_names([t for t in self.wrong if t.verdict == v])}" for v in verdicts)
        return "; ".join(named) + "."

    def _said(self, text: str) -> str:
        """A text with the names of the sides."""
        for word, name in self.words:
            text = text.replace(word, name)
        return text

    @property
    def has_reference(self) -> bool:
        """Whether there is a PyTorch side."""
        return all(t.has_reference for t in self.tensors)

    def _for_its_own_forward(self) -> str:
        """Whether NumPy's backward is right for NumPy's forward, by the numeric derivative of that."""
        gradients = [t for t in self.tensors if t.numeric is not None]
        wrong = [t for t in gradients if t.verdict not in (AGREE, ROUNDED, CORRECT_FOR_FORWARD, INCONCLUSIVE)]
        if wrong:
            return f"And your backward is not right for your own forward: {_names(wrong)}."
        if any(t.verdict == INCONCLUSIVE for t in gradients):
            return "Whether your backward is right for your own forward cannot be said: inconclusive."
        return "Your backward is right for your own forward."

    def _agreement(self) -> str:
        limit = max((t.detection_limit for t in self.tensors), default=0.0)
        agree = f"agree in {len(self.tensors)} tensors; an error of {limit:.1e} would have shown"
        if not self.has_reference:
            several = f"{len(self.tensors)} tensor{'s' * (len(self.tensors) > 1)}"
            agree = f"agrees with the numeric derivative in {several}; detection limit {limit:.1e}"
        if kinks := sum(t.kinks for t in self.tensors):
            entries = sum(t.expected.size for t in self.tensors)
            agree += f"; {kinks:,} of {entries:,} entries sit on kinks and are not judged"
        whole = f"The {'two sides' if self.has_reference else 'backward'} {agree}."
        return self._said(" ".join([whole, *self._directions()]))

    def _directions(self) -> list[str]:
        """Which errors slopes along random directions could not have seen."""
        if self.along is None:
            return []
        limits = self.along.limits
        limit = max((limit for limit in limits.values() if limit <= LARGEST_LIMIT), default=0.0)
        faint = [name for name, limit in limits.items() if limit > LARGEST_LIMIT]
        said = [
            f"There are too many entries to differentiate by each. {self.along.method.capitalize()} an error "
            f"in NumPy's gradient of a tensor shows from {limit:.1e} of its norm on, but for {CHANCE}: not a "
            "smaller one, as in a few entries of little weight."
        ]
        if faint:
            said.append(f"Too small a part of the slope to be judged so: {', '.join(faint)}.")
        return said

    def details(self, count: int = 3) -> str:
        """The first wrong entries of each wrong tensor: index, values, NumPy's ratio to the expected one."""
        lines = []
        for t in self.wrong:
            if t.verdict == SHAPES_DIFFER:
                other = "PyTorch's" if t.has_reference else "expected"
                hint = _hint_at_shape(t.ours.shape, t.reference.shape)
                lines.append(f"{t.name}: NumPy's has shape {t.ours.shape}, {other} {t.reference.shape}{hint}")
            for index, ours, theirs, numeric in t.worst(count):
                expected = theirs if np.isnan(numeric) else numeric
                ratio = f"   ratio {ours / expected:.6g}" if expected else ""
                third = "" if np.isnan(numeric) else f"   numeric {numeric:.9g}"
                at = ", ".join(map(str, index))
                second = f"   PyTorch {theirs:.9g}" if t.has_reference else ""
                lines.append(f"{t.name}[{at}]   NumPy {ours:.9g}{second}{third}{ratio}")
        return self._said("\n".join(lines))

    def _short(self) -> pd.DataFrame:
        """The frame in short, under headings for people."""
        left_out = {"kinks"} if not self.frame["kinks"].any() else set()
        if not self.has_reference:
            left_out |= {"numpy_torch", "torch_numeric"}
        headings = {k: self._said(heading) for k, heading in _HEADINGS.items() if k not in left_out}
        return self.frame[[*headings]].rename(columns=headings)

    @property
    def table(self) -> str:
        """The frame in short, as Markdown, with notes."""
        short = self._short()
        table = short.astype(object).where(short.notna(), None).to_markdown(index=False, floatfmt=".2g")
        notes: list[str] = []
        if faint := [t for t in self.tensors if t.is_faint]:
            faintness = "Hardly larger than roundings, and so judged relative to the largest of all"
            notes.append(f"{faintness}: {_names(faint)}.")
        if self.skipped:
            notes.append(f"Not compared, since NumPy's side has none: {', '.join(self.skipped)}.")
        return "\n".join([table, *(["", *map(self._said, notes)] if notes else [])])

    def __str__(self) -> str:
        return "\n\n".join(part for part in (self.verdict, self.table, self.details()) if part)

    def __repr__(self) -> str:
        return f"<Comparison: {'ok' if self.ok else 'not ok'}; {self.verdict}>"

    def html(self) -> str:
        """The table as HTML."""
        return self._short().to_html(index=False, float_format="{:.2g}".format, na_rep="")

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.verdict)}</p>\n{self.html()}"


_HEADINGS = {
    "tensor": "tensor",
    "shape": "shape",
    "scale": "largest",
    "numpy_torch": "NumPy − PyTorch",
    "numpy_numeric": "NumPy − numeric",
    "torch_numeric": "PyTorch − numeric",
    "detection_limit": "detection limit",
    "kinks": "not judged",
    "verdict": "verdict",
}


def _hint_at_shape(shape: tuple[int, ...], expected: tuple[int, ...]) -> str:
    """The axes over which a gradient was not summed, or that it is transposed; "" if neither explains it."""
    if shape == expected[::-1] and len(shape) > 1:
        return ": it is transposed"
    if len(shape) == len(expected):
        axes = [i for i, (n, m) in enumerate(zip(shape, expected, strict=True)) if n != m]
        summed = all(expected[i] == 1 for i in axes)
        return f": sum it over axis {', '.join(map(str, axes))}, keepdims=True" if axes and summed else ""
    for axes_kept in combinations(range(len(shape)), len(expected)):
        if tuple(shape[i] for i in axes_kept) == expected:
            left = [i for i in range(len(shape)) if i not in axes_kept]
            return f": sum it over axis {', '.join(map(str, left))}"
    return ""


def _names(tensors: list[TensorVerdict]) -> str:
    return ", ".join(t.name for t in tensors)
