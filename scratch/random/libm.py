"""The C library's log, sine and cosine, element by element, in float32 and float64.

NumPy has its own, which round some numbers the other way (3 in 1000 in float64, 15 in 1000 of the normals in
float32). Those of float64 are Python's; the functions of float32 are called where the library has them.
"""

import ctypes
import ctypes.util
import math
import sys
from collections.abc import Callable
from functools import cache

import numpy as np


@cache
def _function(name: str, single: bool) -> Callable[[float], float]:
    if not single:
        return getattr(math, name)
    library = "ucrtbase" if sys.platform == "win32" else ctypes.util.find_library("m")
    function = getattr(ctypes.CDLL(library), f"{name}f")
    function.restype, function.argtypes = ctypes.c_float, [ctypes.c_float]
    return function


def _each(name: str, x: np.ndarray) -> np.ndarray:
    function = _function(name, x.dtype == np.float32)
    return np.fromiter(map(function, x.ravel().tolist()), x.dtype, x.size).reshape(x.shape)


def log(x: np.ndarray) -> np.ndarray:
    """ln x of positive x."""
    return _each("log", x)


def sincos(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """sin x and cos x."""
    return _each("sin", x), _each("cos", x)
