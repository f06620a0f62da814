"""Output to stdout, which may be a pipe that nobody reads to its end: ``gradmirror … | head``."""

import os
import sys


def show(text: str) -> None:
    """Print all of ``text``, or as much of it as is read."""
    try:
        print(text, end="", flush=True)
    except BrokenPipeError:
        close()


def close() -> None:
    """Let what is still to be printed go nowhere; the interpreter flushes stdout when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
