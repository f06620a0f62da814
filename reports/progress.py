"""Progress bars on stderr; none where stderr is no terminal."""

from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def progress(items: Iterable[T], description: str, total: int | None = None) -> Iterable[T]:
    """``items``, with a bar that is gone when they are used up."""
    return tqdm(items, description, total=total, disable=None, leave=False)
