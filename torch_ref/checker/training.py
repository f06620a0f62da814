"""The result of two trainings: are they the same program, and what does float32 cost?"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from scratch.gradcheck.tolerance import TIMES_REFERENCE, half_of_digits

# A ReLU that a rounding flips makes one step bad, and seldom the next: the median of some in a row counts.
_IN_A_ROW = 5


@dataclass(frozen=True)
class Training:
    """The result of compare_training; truthy if the two sides are the same program.

    Args:
        frame: a row for each step, from 0, the start. A distance is that of two sets of weights: the largest
            difference by the largest weight or, of buffers such as a running mean, the largest buffer.

            * step; numpy_loss, torch_loss: before the update (nan at 0)
            * drift: the distance of the two sides, in the dtype of the model
            * state: that of the optimizers' vectors
            * numpy_rounding, torch_rounding: the distance of each side from its training in float64 (nan if
              that is the dtype)
            * programs: the distance of the two sides in float64
            * allowed: how large that may be: 256 times the largest distance until then of NumPy from NumPy
              that started an ulp off, and 256 ulps
            * roundings: how far NumPy's gradients and its update of this step are from those in float64 from
              the same weights, in units of how far PyTorch's are, and an ulp; of the parameter where that is
              most (nan at 0 and in float64). The median of five steps in a row may be 32.
        dtype: of the model.
        worst: the parameter or buffer that is farthest apart in the end, in float64.
        worst_rounding: the gradient or update that is most wrong at the step from which on NumPy departs from
            float64; "" if it does not.
    """

    frame: pd.DataFrame
    dtype: np.dtype
    worst: str
    worst_rounding: str = ""

    @cached_property
    def parts_at(self) -> int | None:
        """The first step after which the two programs are farther apart than rounding brings them."""
        far = ~(self.frame["programs"] <= self.frame["allowed"]) & ~(
            self.frame["allowed"] > half_of_digits(np.float64)
        )
        return int(self.frame["step"][far].iloc[0]) if far.any() else None

    @cached_property
    def departs_at(self) -> int | None:
        """The first step from which on NumPy's float32 is not what float64 is, but for rounding."""
        far = self.frame["roundings"].iloc[1:] > TIMES_REFERENCE
        count = min(_IN_A_ROW, len(far))
        most = far.rolling(count).sum() > count / 2
        if not most.any():
            return None
        row = far.loc[: most.idxmax()].tail(count)
        return int(self.frame["step"][row.idxmax()])

    @property
    def inconclusive(self) -> bool:
        """Whether rounding costs more than half the digits of float64, so that few errors would show."""
        return bool(self.frame["allowed"].iloc[-1] > half_of_digits(np.float64))

    @property
    def ok(self) -> bool:
        """Whether the two sides are the same program, in float32 too, and it would have shown if not."""
        return self.parts_at is None and self.departs_at is None and not self.inconclusive

    def __bool__(self) -> bool:
        return self.ok

    @property
    def verdict(self) -> str:
        """The result in a sentence or two."""
        last = self.frame.iloc[-1]
        apart = f"In float64 the weights are {last['programs']:.1e} apart after {int(last['step'])} steps"
        allowed = f"rounding explains {last['allowed']:.1e}"
        if self.parts_at is not None:
            return (
                f"The two sides part at step {self.parts_at}. {apart}, farthest in {self.worst}; {allowed}."
            )
        if self.departs_at is not None:
            off = float(self.frame["roundings"][self.frame["step"] == self.departs_at].iloc[0])
            return (
                f"In float32 NumPy departs from its own float64: from step {self.departs_at} on the "
                f"{self.worst_rounding} is {off:.1e} times as far off as PyTorch's. {apart}; {allowed}."
            )
        if self.inconclusive:
            return f"Inconclusive: {allowed}. {apart}."
        verdict = f"The two sides are the same program. {apart}; {allowed}."
        if self.dtype == np.float32:
            verdict += (
                f" In float32 they are {last['drift']:.1e} apart, "
                f"NumPy {last['numpy_rounding']:.1e} and PyTorch {last['torch_rounding']:.1e} from float64."
            )
        return verdict

    def __str__(self) -> str:
        count = len(self.frame)
        shown = self.frame.iloc[np.unique(np.geomspace(1, count, min(count, 12)).astype(int) - 1)]
        return f"{self.verdict}\n\n{shown.to_markdown(index=False, floatfmt='.3g')}"

    def _repr_html_(self) -> str:
        return self.frame.to_html(index=False, float_format="{:.3g}".format)
