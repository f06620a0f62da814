"""The commands of ``gradmirror``: a file each, named as the command is typed, with its ``COMMAND``.

A command's file imports little, since ``gradmirror --help`` reads them all: torch takes seconds. Slow imports
are left to ``run``.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """A command of the command line; its name is that of its file.

    Args:
        summary: a few words for ``gradmirror --help``.
        description: what it does.
        examples: lines to type, each with what it does.
        zero: what exit code 0 means.
        one: what exit code 1 means.
        arguments: adds its arguments to its parser.
        run: does it, and returns the exit code.
    """

    summary: str
    description: str
    examples: str
    zero: str
    one: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
