"""The data of a network: passed on as they are, but for their precision, or cut to fewer samples."""

import copy
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from torch_ref.adapters.paths import walk


def cast(data: Any, dtype: Any) -> Any:
    """The data, floating arrays in this dtype, also those in lists, tuples and dicts.

    Python's numbers stay as they are. A generator is copied, so that each call draws the same from it.
    """
    if isinstance(data, np.random.Generator | np.random.RandomState | random.Random):
        return copy.deepcopy(data)
    if isinstance(data, np.ndarray | np.floating):
        return data.astype(dtype) if data.dtype.kind == "f" and data.dtype != dtype else data
    if isinstance(data, tuple) and hasattr(data, "_make"):
        return data._make(cast(each, dtype) for each in data)
    if type(data) in (list, tuple):
        return type(data)(cast(each, dtype) for each in data)
    if type(data) is dict:
        return {key: cast(each, dtype) for key, each in data.items()}
    return data


def arrays_of(data: Any) -> Iterator[np.ndarray]:
    """The arrays in the data, in order."""
    if isinstance(data, np.ndarray):
        yield data
    for _, value in walk(data):
        if isinstance(value, np.ndarray):
            yield value


@contextmanager
def drawing_alike() -> Iterator[None]:
    """Within, the global generators begin with the same numbers; afterwards they are as before."""
    before, python = np.random.get_state(), random.getstate()
    np.random.seed(0)
    random.seed(0)
    try:
        yield
    finally:
        np.random.set_state(before)
        random.setstate(python)


@dataclass(frozen=True)
class Cut:
    """A way to cut data to fewer samples or time steps: all that are so long along an axis.

    ``axis`` is None where lists alone are cut.
    """

    data: tuple[Any, ...]
    length: int
    axis: int | None

    def first(self, count: int) -> tuple[Any, ...]:
        """The data, the first so many samples or time steps of them."""
        return tuple(self._first(x, count) for x in self.data)

    def _first(self, x: Any, count: int) -> Any:
        if isinstance(x, list | tuple):
            return x[:count] if len(x) == self.length else x
        if self.axis is None or not isinstance(x, np.ndarray) or not x.ndim:
            return x
        return np.take(x, range(count), axis=self.axis) if x.shape[self.axis] == self.length else x


def cuts(data: tuple[Any, ...]) -> Iterator[Cut]:
    """Ways to cut data, some of which may not be what cuts samples."""
    lists = [len(x) for x in data if isinstance(x, list | tuple)]
    arrays = [x for x in data if isinstance(x, np.ndarray) and x.ndim]
    if lists and lists[0] > 1:
        yield Cut(data, lists[0], None)
    for axis in (0, -1):
        sizes = [*lists, *(x.shape[axis] for x in arrays)]
        n = max(sizes, key=sizes.count, default=0)
        if n > 1:
            yield Cut(data, n, axis)
