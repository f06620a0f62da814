"""What forwards keep for backwards, and which of it a backward is of.

Each module has a stack of it. A forward in between, to look at scores say, leaves something on top that the
next backward is not of: a loss knows which output its gradient is of, and what was kept after that output was
made is passed over.
"""

import threading
import zlib
from collections import deque
from collections.abc import Iterator
from itertools import count
from typing import Any
from weakref import ref

import numpy as np

# An entry of a stack: (time, seal, …): when it was kept, and the checksums of its arrays or None.
Entry = tuple[Any, ...]

now = count().__next__

# The output that a layer made last.
latest: Any = None
# Outputs that were the latest when a layer was run again, each with that time; a few, since a loss comes
# soon after its input.
marks: deque[tuple[Any, int]] = deque(maxlen=32)


class Pass(threading.local):
    """The backward pass that a loss began in this thread: ``tie`` is (before, certain, begin), which it sets.

    What was kept at the time ``before`` or later is not of this pass. That is certain unless the loss's input
    is no layer's output. The pass began at ``begin``; a forward that comes after it ends it.
    """

    tie: tuple[int, bool, int] = (-1, False, -1)


current = Pass()


def mark(time: int) -> None:
    """At this time a layer is run again, before the backward of its last forward."""
    if isinstance(latest, np.ndarray):
        marks.append((ref(latest), time))


def made_before(output: Any, time: int) -> tuple[int, bool]:
    """When this output, not the latest one, was there, before ``time``, and whether that is certain."""
    return next(((when, True) for made, when in reversed(marks) if made() is output), (time, False))


def position(stack: list[Entry]) -> int:
    """Where in a stack of several lies what the next backward is of: on top, if nothing says otherwise."""
    before, _, begin = current.tie
    if stack[-1][0] < begin:
        for at in range(len(stack) - 1, -1, -1):
            if stack[at][0] < before:
                return at
    return len(stack) - 1


def is_certain(stack: list[Entry]) -> bool:
    """Whether it is known which output the next backward is of."""
    _, certain, begin = current.tie
    return certain and stack[-1][0] < begin


def seal(saved: Any) -> list[tuple[np.ndarray, int]]:
    """The arrays in what was saved, each with its checksum."""
    return [(array, _checksum(array)) for array in _arrays(saved)]


def changed(sealed: list[tuple[np.ndarray, int]]) -> np.ndarray | None:
    """The first array that is not as it was."""
    return next((array for array, before in sealed if _checksum(array) != before), None)


def _arrays(saved: Any) -> Iterator[np.ndarray]:
    if isinstance(saved, np.ndarray):
        yield saved
    elif isinstance(saved, tuple | list):
        for each in saved:
            yield from _arrays(each)
    elif isinstance(saved, dict):
        yield from _arrays(list(saved.values()))


def _checksum(array: np.ndarray) -> int:
    if array.dtype.kind == "O":
        return 0
    return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
