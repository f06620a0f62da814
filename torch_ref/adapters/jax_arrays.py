"""Arrays of NumPy in JAX, and back. JAX is never imported here: what is JAX's is there once somebody has."""

import sys
from typing import Any

import numpy as np


def loaded_jax() -> Any:
    """The package jax, if it has been imported; else None."""
    return sys.modules.get("jax")


def precision(dtype: Any) -> Any:
    """Within, JAX has float64 if that is asked for, or complex128, and as many bits in whole numbers.

    Raises:
        TypeError: it has no such precision.
    """
    real = np.dtype(dtype).type(0).real.dtype
    if real not in (np.float32, np.float64):
        raise TypeError(f"check: code of JAX is for float32 and float64, not {np.dtype(dtype)}")
    jax = loaded_jax()
    owner = jax if hasattr(jax, "enable_x64") else jax.experimental  # by JAX's version
    return owner.enable_x64(real == np.float64)


def as_jax(x: Any) -> Any:
    """A copy of an array in JAX, as far as it has that dtype there; what is none as it is."""
    if not isinstance(x, np.ndarray | np.generic):
        return x
    jax = loaded_jax()
    return jax.numpy.array(np.asarray(x), jax.dtypes.canonicalize_dtype(x.dtype))


def as_numpy(x: Any) -> Any:
    """An array of JAX as NumPy's, in float64 where NumPy has no such numbers; all else as it is."""
    jax = loaded_jax()
    if jax is None or not isinstance(x, jax.Array) or jax.dtypes.issubdtype(x.dtype, jax.dtypes.extended):
        return x
    array = np.array(x)
    return array if array.dtype.kind in "biufc" else array.astype(np.float64)
