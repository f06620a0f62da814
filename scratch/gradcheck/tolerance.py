"""The constants by which verdicts are given, and the reasons for each.

No tolerance is guessed: it is the measured rounding (rounding.py) times a factor. The factors differ because
the measurements do.

* ``SPREADS``, where each entry's rounding was measured in eight runs, or in two where all agree by these. Of
  all correct results of the false-alarm campaign none was off by more than 3 spreads.
* ``ROUNDINGS``, for the numeric side of gradcheck, which is not measured: units of u, the machine epsilon, of
  the largest entry. Of all float64 gradients measured against torch or a complex step none was off by more
  than 14 u; the factor leaves room for longer sums.
* ``LOSS_ROUNDINGS``, for the two losses of a central difference, each of which is rounded at its own size.
* ``ONE_SAMPLE``, for whole trainings, where one run beside the first is all that is measured. Of 160 correct
  trainings, half of them with a learning rate so large that they multiply all differences, none was off by
  more than 34 times that sample.
* ``TIMES_REFERENCE``, where the measure is another framework's error: a step in float32, in units of
  PyTorch's. In 64 correct trainings it was 7 at most; rounding to float16 makes it 900.

A comparison that could see no error is no evidence, so each states its detection limit, the smallest relative
error that would have shown. Above the largest that is allowed the verdict is ``INCONCLUSIVE``:

* ``half_of_digits`` where both sides run the same program, so that rounding alone is between them: gradcheck
  of a module, a training in float64, a second call.
* ``VISIBLE`` where anybody's code is compared with PyTorch: 1e-6 in float64, since a forward that takes no
  complex numbers is differentiated by differences, good to nine digits or so; else half of the digits.
"""

from typing import Any

import numpy as np

INCONCLUSIVE = "inconclusive"

# A relative error below which the numeric derivative is taken again in longer numbers before it accuses.
SMALL = 1e-4

SPREADS = 8
ROUNDINGS = 64
LOSS_ROUNDINGS = 8
ONE_SAMPLE = 256
TIMES_REFERENCE = 32

VISIBLE = {"float64": 1e-6, "float32": 3.5e-4, "float16": 3.1e-2, "bfloat16": 8.8e-2}


def half_of_digits(dtype: Any) -> float:
    """√u: 1.5e-8 in float64, 3.5e-4 in float32."""
    return float(np.sqrt(np.finfo(dtype).eps))
