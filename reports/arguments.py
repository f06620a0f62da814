"""Arguments that several commands have, and the types of arguments."""

import argparse
import math
import os
from collections.abc import Iterator

from reports.errors import UnusableError

DTYPES = ("float32", "float64")
# The larger networks of scratch/models.py, and the frameworks of reports/runner/frameworks.py: to parse a
# command
# line, neither NumPy nor PyTorch need be imported.
MODELS = ("mlp_batchnorm", "simple_conv_net", "deep_conv_net", "CharLSTM", "GPT")
COLUMNS = ("torch-default", "torch-foreach", "torch-fused", "torch-compile", "jax", "autograd")


# What fits into a C int, which libraries below take; seeds are NumPy's, of 32 bits.
_LARGEST, _LARGEST_SEED = 2**31 - 1, 2**32 - 1


class OutputFile(str):
    """A file that a command writes."""


def text(words: str) -> str:
    """Any text but an empty one: that is a shell variable that was not set, and no option left out."""
    if not words:
        raise argparse.ArgumentTypeError("it is empty; leave the option out, or say what it should be")
    if "\0" in words:
        raise argparse.ArgumentTypeError(f"{words!r} holds a NUL, which no name of a file may")
    return words


def output_file(path: str) -> OutputFile:
    """A file to write: any but a Python file, which would be somebody's source."""
    if text(path).endswith((".py", ".pyi", ".ipynb")):
        raise argparse.ArgumentTypeError(f"{path!r} is a file of Python code, which is not written over")
    return OutputFile(path)


def no_file_twice(options: argparse.Namespace) -> None:
    """Refuse to write a file that another option names as well.

    Raises:
        UnusableError: it does.
    """
    named = list(_texts(options))
    for option, path in named:
        for other, words in named:
            if isinstance(path, OutputFile) and other != option and _same_file(path, words):
                raise UnusableError(f"--{option} {path}: {other} names this file too ({words}); expected two")


def _texts(options: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Each argument by name, with each text that it has."""
    for name, value in vars(options).items():
        if name != "words":
            several = value if isinstance(value, list | tuple) else [value]
            yield from ((name, each) for each in several if isinstance(each, str))


def _same_file(path: OutputFile, words: str) -> bool:
    """Whether ``words``, a path or "path:name", name the file ``path``."""
    places = words if isinstance(words, OutputFile) else words.partition(":")[0]
    ours, theirs = (os.path.realpath(each) for each in (path, places))
    exists = os.path.exists(ours) and os.path.exists(theirs)
    both = isinstance(words, OutputFile) or exists
    return both and (ours == theirs or (exists and os.path.samefile(ours, theirs)))


def natural(text: str) -> int:
    """A whole number from 0 on."""
    return _whole(text, 0, _LARGEST, "a whole number from 0 on")


def positive(text: str) -> int:
    """A whole number above 0."""
    return _whole(text, 1, _LARGEST, "a whole number above 0")


def seed(text: str) -> int:
    """A seed of NumPy's: a whole number below 2³²."""
    return _whole(text, 0, _LARGEST_SEED, "a whole number from 0 on")


def _whole(text: str, lowest: int, highest: int, kind: str) -> int:
    if not (text.isascii() and text.isdigit() and lowest <= int(text[:20])):
        raise argparse.ArgumentTypeError(f"{text!r} is not {kind}")
    if len(text) > 20 or int(text) > highest:
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is too large; expected at most {highest}")
    return int(text)


def rate(text: str) -> float:
    """A finite number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def memory(text: str) -> float:
    """GiB that a process with PyTorch can start in."""
    gibibytes = rate(text)
    if gibibytes < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is less than the 1 GiB that PyTorch may take to start")
    return gibibytes


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add the folder of mnist, and whether to fetch it."""
    parser.add_argument("--data-root", default="data", metavar="FOLDER", help="of mnist (%(default)s)")
    parser.add_argument("--download", action="store_true", help="fetch mnist if it is not there, 11.6 MB")


def add_seed(parser: argparse.ArgumentParser, of: str) -> None:
    """Add the seed of everything that is drawn at random."""
    parser.add_argument("--seed", type=seed, default=0, help=f"of {of} (%(default)s)")


def add_out(parser: argparse.ArgumentParser, file: str) -> None:
    """Add the file to write."""
    suffix = file.rpartition(".")[2]
    parser.add_argument(
        "--out", type=output_file, default=file, metavar=f"FILE.{suffix}", help="(%(default)s)"
    )
