"""One step of a numeric derivative.

    central difference    (L(w + h) - L(w - h)) / 2h     to teach: right to nine digits or so
    complex step          Im L(w + ih) / h               to judge: right to the last digit or two

The complex step subtracts nothing, so h can be 1e-30, and there is neither truncation nor cancellation
(Squire and Trapp 1998; Martins, Sturdza and Alonso 2003). It needs a forward that is a formula of complex
numbers, which every module here has.
"""

import math
from typing import Any

import numpy as np


class Step:
    """A complex step or a central difference: the ``steps`` to evaluate L at, and its slope from them.

    Raises:
        ValueError: method is neither "complex" nor "central", or eps is not above 0.
    """

    def __init__(self, method: str, eps: float | None, real: np.dtype) -> None:
        if method not in ("complex", "central"):
            raise ValueError(f"gradcheck: method is {method!r}, expected 'complex' or 'central'")
        if eps is not None and not 0 < eps < math.inf:
            raise ValueError(f"gradcheck: eps is {eps}, expected a step above 0")
        self.is_complex = method == "complex"
        self.real = np.result_type(real, np.float64)
        self.dtype = np.result_type(self.real, np.complex128) if self.is_complex else self.real
        # Central: where truncation, h², and rounding, u/h, are in balance.
        self.h = eps or (1e-30 if self.is_complex else float(np.cbrt(np.finfo(self.real).eps)))
        self.steps = (1j * self.h,) if self.is_complex else (self.h, -self.h)

    def slope(self, *values: Any) -> Any:
        """dL/dw from L at each of ``steps``."""
        if self.is_complex:
            return values[0].imag / self.h
        return (values[0] - values[1]) / (2 * self.h)
