"""Arguments that several commands have, and the types of arguments."""

import argparse
import math

DTYPES = ("float32", "float64")
# The larger networks of scratch/models.py, and the frameworks of reports/runner/frameworks.py: to parse a
# command
# line, neither NumPy nor PyTorch need be imported.
MODELS = ("mlp_batchnorm", "simple_conv_net", "deep_conv_net", "CharLSTM", "GPT")
COLUMNS = ("torch-default", "torch-foreach", "torch-fused", "torch-compile", "jax", "autograd")


def natural(text: str) -> int:
    """A whole number from 0 on."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return int(text)


def positive(text: str) -> int:
    """A whole number above 0."""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
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


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add the folder of mnist, and whether to fetch it."""
    parser.add_argument("--data-root", default="data", metavar="FOLDER", help="of mnist (%(default)s)")
    parser.add_argument("--download", action="store_true", help="fetch mnist if it is not there, 11.6 MB")


def add_seed(parser: argparse.ArgumentParser, of: str) -> None:
    """Add the seed of everything that is drawn at random."""
    parser.add_argument("--seed", type=natural, default=0, help=f"of {of} (%(default)s)")


def add_out(parser: argparse.ArgumentParser, file: str) -> None:
    """Add the file to write."""
    suffix = file.rpartition(".")[2]
    parser.add_argument("--out", default=file, metavar=f"FILE.{suffix}", help="(%(default)s)")
