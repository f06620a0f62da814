"""Where in the files of users an error was raised, in words."""

import argparse
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class Place(NamedTuple):
    """A place in the user's files: the function that was called first, and the line that was reached."""

    function: str
    line: str


def place(frames: Iterable[traceback.FrameSummary], options: argparse.Namespace) -> Place | None:
    """Where in the user's files, or in their neighbours, these frames are; None if they are not."""
    places = (options.mine, options.against or "", options.case or "")
    folders = {Path(place.partition(":")[0]).resolve().parent for place in places if ":" in place}
    module = None if ":" in options.mine else sys.modules.get(options.mine.rpartition(".")[0])
    imported = getattr(module, "__file__", None)
    found = [
        frame
        for frame in frames
        if frame.filename == imported
        or (frame.filename[0] != "<" and Path(frame.filename).resolve().parent in folders)
    ]
    if not found:
        return None
    function = "file" if found[0].name == "<module>" else found[0].name
    return Place(function, f"{Path(found[-1].filename).name}, line {found[-1].lineno}")


def blamed(error: BaseException, options: argparse.Namespace) -> str:
    """Which function of the user's files, or of their neighbours, raised it, and where; "" if none did."""
    at = place(traceback.extract_tb(error.__traceback__), options)
    if at is None:
        return ""
    nothing = "" if isinstance(error, Exception) else "; nothing was checked"
    raised = getattr(error, "raised", error)  # of check's errors, that of the user's code
    return f"your {at.function} raises {named(raised)} ({at.line}){nothing}"


def named(error: BaseException) -> str:
    """The kind of the error and what it says."""
    try:
        said = str(error)
    except Exception:  # of an exception of the user's own
        said = ""
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
