"""The same call in torch, and whether its numbers are the same."""

import warnings
from typing import Any

import numpy as np
import torch

from scratch.nested import leaves

# What torch has of NumPy's dtypes.
DTYPES = {
    np.dtype(t)
    for t in [
        "float16",
        "float32",
        "float64",
        "int8",
        "uint8",
        "int16",
        "int32",
        "int64",
        "bool",
        "complex64",
        "complex128",
    ]
}


def has_counterpart(value: Any) -> bool:
    """Whether torch has such an array."""
    if isinstance(value, tuple):
        return all(map(has_counterpart, value))
    return not isinstance(value, np.ndarray) or (
        value.dtype in DTYPES and not isinstance(value, np.ma.MaskedArray)
    )


def as_tensor(value: Any, free: bool = True) -> Any:
    """A tensor of an array, which asks for a gradient if it can have one; anything else as it is."""
    if isinstance(value, tuple):
        return tuple(as_tensor(each, free) for each in value)
    if not isinstance(value, np.ndarray | np.generic) or not has_counterpart(np.asarray(value)):
        return value
    array = np.asarray(value)
    # In its own order in memory, by which torch draws; a tensor has no negative steps.
    if array.dtype.kind != "f" or min(array.strides, default=0) < 0 or not array.dtype.isnative:
        array = np.array(array, array.dtype.newbyteorder("="), order="C")
    tensor = torch.from_numpy(array.view(np.ndarray))
    return tensor.requires_grad_(free and (tensor.is_floating_point() or tensor.is_complex()))


def as_array(value: Any) -> np.ndarray | None:
    """The array of a tensor or of an array."""
    if value is None:
        return None
    return value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


def differ(ours: Any, theirs: Any) -> str:
    """What differs between two outputs or gradients; "" if nothing does beyond rounding.

    None is as good as zeros: torch has no gradient where nothing came back. Where torch's number overflowed,
    ours may be what it would have been.
    """
    mine, yours = ([as_array(each) for _, each in leaves(value)] for value in (ours, theirs))
    if len(mine) != len(yours):
        return f"{len(mine)} outputs, torch {len(yours)}"
    for a, b in zip(mine, yours, strict=True):
        if a is None or b is None:
            continue
        if a.shape != b.shape:
            return f"shape {a.shape}, torch {b.shape}"
        dtypes = {a.real.dtype, b.real.dtype}
        rtol, atol = (
            (2e-2, 2e-2)
            if np.dtype("f2") in dtypes
            else (2e-3, 1e-4)
            if np.dtype("f4") in dtypes
            else (1e-6, 1e-9)
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            a = (
                np.where(np.isnan(b) | (np.isfinite(a) & ~np.isfinite(b)), b, a)
                if b.dtype.kind in "fc"
                else a
            )
            size = np.max(np.abs(b[np.isfinite(b)]), initial=0.0) if b.dtype.kind in "fc" else 0.0
            if not np.allclose(a, b, rtol=rtol, atol=atol * (1 + size), equal_nan=True):
                return f"{np.ravel(a)[:4]}, torch {np.ravel(b)[:4]}"
    return ""
