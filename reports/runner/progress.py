"""Progress bars on stderr; none where stderr is no terminal, or where another process shows one."""

import multiprocessing
import sys
from collections.abc import Iterable
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")


def progress(items: Iterable[T], description: str, total: int | None = None) -> Iterable[T]:
    """``items``, with a bar that is gone when they are used up."""
    if multiprocessing.parent_process() or sys.stderr is None:  # closed
        return items
    return tqdm(items, description, total=total, disable=None, leave=False)


def progress_bar(seconds: float, description: str) -> Any:
    """A bar over the seconds that the work is expected to take; ``update`` it by those of a finished part."""
    shown = "{desc}: {percentage:3.0f}%|{bar}| {elapsed} so far, {remaining} left"
    return tqdm(
        total=seconds,
        desc=description,
        disable=True if sys.stderr is None else None,
        leave=False,
        bar_format=shown,
    )


def say(text: str) -> None:
    """A line on stderr, above any bar."""
    if sys.stderr:
        tqdm.write(text, file=sys.stderr)
        sys.stderr.flush()
