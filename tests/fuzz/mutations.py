"""Inputs that are not as they should be: other kinds, dtypes, shapes, values and memory."""

from collections.abc import Callable
from typing import Any

import numpy as np


def _with(value: float) -> Callable[[Any], Any]:
    """The array with one of its numbers replaced; where there is none, or no room for it, as it is."""

    def changed(x: np.ndarray) -> np.ndarray:
        y = x.copy()
        if y.size and (y.dtype.kind in "fc" or abs(value) < 2**31):
            y.reshape(-1)[y.size // 2] = value
        return y

    return changed


def _full(value: float) -> Callable[[Any], Any]:
    return lambda x: np.full_like(x, value) if x.dtype.kind in "fc" or abs(value) < 2**31 else x.copy()


def _spread(x: np.ndarray) -> np.ndarray:
    """The same numbers, every second one in memory."""
    y = np.empty((*x.shape, 2), x.dtype)
    y[..., 0] = x
    return y[..., 0]


def _read_only(x: np.ndarray) -> np.ndarray:
    y = x.copy()
    y.flags.writeable = False
    return y


class Subclass(np.ndarray):
    """An array of a class of one's own."""


class Pretender:
    """Has an array's shape and dtype, and is none."""

    shape, dtype, ndim, size = (4, 5), np.dtype(np.float32), 2, 20


KINDS: dict[str, Callable[[Any], Any]] = {
    "None": lambda x: None,
    "a list": lambda x: x.tolist(),
    "an empty list": lambda x: [],
    "a tuple": lambda x: tuple(x.tolist()) if x.ndim else (),
    "a text": lambda x: "x",
    "bytes": lambda x: b"x",
    "an int": lambda x: 1,
    "a float": lambda x: 1.5,
    "a bool": lambda x: True,
    "a dict": lambda x: {"x": x},
    "an object": lambda x: object(),
    "a class": lambda x: np.ndarray,
    "a generator": lambda x: (each for each in x.reshape(-1)),
    "an iterator of arrays": lambda x: iter([x]),
    "a tuple of arrays": lambda x: (x, x),
    "a list of arrays": lambda x: [x],
    "a memoryview": lambda x: memoryview(np.ascontiguousarray(x)),
    "a pretender": lambda x: Pretender(),
    "a function": lambda x: len,
    "NotImplemented": lambda x: NotImplemented,
}
DTYPES: dict[str, Callable[[Any], Any]] = {
    **{
        name: lambda x, name=name: x.astype(name)
        for name in [
            "float16",
            "float32",
            "float64",
            "longdouble",
            "int8",
            "uint8",
            "int16",
            "int32",
            "int64",
            "uint64",
            "bool",
            "complex64",
            "complex128",
        ]
    },
    "objects": lambda x: x.astype(object),
    "texts": lambda x: x.astype(str),
    "bytes texts": lambda x: x.astype("S"),
    "dates": lambda x: np.zeros(x.shape, "M8[s]"),
    "spans": lambda x: np.zeros(x.shape, "m8[s]"),
    "fields": lambda x: np.zeros(x.shape, [("a", "f4")]),
    "void": lambda x: np.zeros(x.shape, "V4"),
}
SHAPES: dict[str, Callable[[Any], Any]] = {
    "no axes": lambda x: x.reshape(-1)[:1].reshape(()) if x.size else np.zeros((), x.dtype),
    "a number of NumPy's": lambda x: x.reshape(-1)[0],
    "empty": lambda x: np.zeros(0, x.dtype),
    "no rows": lambda x: x[:0],
    "no columns": lambda x: x[..., :0] if x.ndim else x,
    "one axis more in front": lambda x: x[None],
    "one axis more at the end": lambda x: x[..., None],
    "one axis less": lambda x: x[0] if x.ndim else x,
    "one axis less at the end": lambda x: x[..., 0] if x.ndim else x,
    "a column less": lambda x: x[..., :-1] if x.ndim else x,
    "a row less": lambda x: x[:-1] if x.ndim else x,
    "a row": lambda x: x[:1] if x.ndim else x,
    "a column": lambda x: x[..., :1] if x.ndim else x,
    "twice the rows": lambda x: np.concatenate([x, x]) if x.ndim else x,
    "twice the columns": lambda x: np.concatenate([x, x], -1) if x.ndim else x,
    "transposed": lambda x: x.T.copy(),
    "flat": lambda x: x.reshape(-1).copy(),
    "seven axes": lambda x: (
        x.reshape((1,) * 7)[()]
        if x.size == 1
        else x.reshape((1,) * (7 - x.ndim) + x.shape)
        if x.ndim < 7
        else x
    ),
    "no channels": lambda x: x[:, :0] if x.ndim > 1 else x,
}
VALUES: dict[str, Callable[[Any], Any]] = {
    "nan": _with(np.nan),
    "inf": _with(np.inf),
    "-inf": _with(-np.inf),
    "all nan": _full(np.nan),
    "all inf": _full(np.inf),
    "zeros": _full(0),
    "ones": _full(1),
    "negative": lambda x: -x if x.dtype.kind != "b" else x,
    "below": _with(-1),
    "nine": _with(9),
    "a thousand times": lambda x: x * x.dtype.type(1000) if x.dtype.kind in "fc" else x,
    "large": lambda x: x * x.dtype.type(1e6) if x.dtype.kind in "fc" else x,
    "small": lambda x: x * x.dtype.type(1e-30) if x.dtype.kind in "fc" else x,
    "whole numbers": lambda x: np.trunc(x) if x.dtype.kind == "f" else x,
}
MEMORY: dict[str, Callable[[Any], Any]] = {
    "spread": _spread,
    "reversed": lambda x: x[::-1].copy()[::-1] if x.ndim else x,
    "Fortran's order": np.asfortranarray,
    "read-only": _read_only,
    "broadcast": lambda x: np.broadcast_to(x[:1], x.shape) if x.ndim and x.size else x,
    "bytes swapped": lambda x: x.astype(x.dtype.newbyteorder()),
    "masked": lambda x: np.ma.masked_array(x, np.zeros(x.shape, bool)),
    "a subclass": lambda x: x.view(Subclass),
    "a record array": lambda x: x.view(np.recarray),
    "characters": lambda x: np.char.asarray(x.astype(str)),
}
MUTATIONS = {**KINDS, **DTYPES, **SHAPES, **VALUES, **MEMORY}
