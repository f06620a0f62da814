"""Errors in the name of the function that was called, and not of the one inside that found them."""

from collections.abc import Iterator
from contextlib import contextmanager

_INSIDE = "gradcheck: "


@contextmanager
def errors_of(caller: str) -> Iterator[None]:
    """Within, and in a function that it decorates, messages of gradcheck begin with this name instead."""
    try:
        yield
    except (TypeError, ValueError) as error:
        text = str(error)
        if not text.startswith(_INSIDE):
            raise
        raise type(error)(f"{caller}: {text.removeprefix(_INSIDE)}") from error
