"""Errors in the name of the function that was called: those from inside, and those of people's code."""

import linecache
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import walk_tb
from types import FrameType

from torch_ref.adapters.reached import package

_INSIDE = "gradcheck: "
# An error in one of these is that of the code that called it.
_LIBRARIES = {"numpy", "scipy", "torch", "jax", "jaxlib", "copy", "functools", "contextlib"}
_OURS = {"scratch", "torch_ref", "reports", "gradmirror_pytest"}


class CodeError(ValueError):
    """An error that people's code raised, with whose code it was: ``raised`` is the error itself."""

    raised: Exception


@contextmanager
def errors_of(caller: str) -> Iterator[None]:
    """Within, and in a function that it decorates, messages begin with this name, and say whose code it was.

    Raises:
        CodeError: people's code raises an error of Python's or of a library.
    """
    try:
        yield
    except Exception as error:
        text = str(error)
        if text.startswith(_INSIDE):
            raise type(error)(f"{caller}: {text.removeprefix(_INSIDE)}") from error
        place = None if text.startswith(f"{caller}: ") else _place_in_peoples_code(error)
        if place is None:
            raise
        frame, line = place
        source = linecache.getline(frame.f_code.co_filename, line).strip()
        told = CodeError(
            f"{caller}: {frame.f_code.co_qualname.replace('<locals>.', '')} raises "
            f"{type(error).__name__}: {text.partition(chr(10))[0]} "
            f"({Path(frame.f_code.co_filename).name}, line {line}{f': {source}' if source else ''}). "
            "Expected are inputs that it is made for, in shape and kind; call it by itself with them, twice"
        )
        told.raised = error
        raise told.with_traceback(error.__traceback__) from error


def _place_in_peoples_code(error: Exception) -> tuple[FrameType, int] | None:
    """(frame, line) where it was raised, or called what raised it; None if that is code of ours."""
    found = None
    for frame, line in walk_tb(error.__traceback__):
        owner = package(frame.f_globals.get("__name__") or "")
        if owner not in _LIBRARIES:
            found = None if owner in _OURS else (frame, line)
    return found
