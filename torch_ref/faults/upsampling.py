"""Mistakes in upsampling."""

from typing import Any

import numpy as np

from scratch.functional.taps import along
from torch_ref.faults.fault import wrong_formula


@wrong_formula(
    "the gradients of the copies are not summed",
    *("Upsample", "UpsamplingNearest2d"),
    of="interpolate_backward",
    fix="a number that is shown several times gets the sum of their gradients",
)
def _one_of_the_copies(dy: np.ndarray, samples: Any) -> np.ndarray:
    for axis in range(-1, -len(samples) - 1, -1):
        taps, _ = samples[axis]
        shape = list(dy.shape)
        shape[axis] = taps.length
        dx = np.zeros(shape, dy.dtype)
        for _, outputs, inputs in along(taps, axis):
            dx[inputs] = dy[outputs]
        dy = dx
    return dy
