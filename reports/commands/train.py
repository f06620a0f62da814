"""``gradmirror train``: train a network with the NumPy side, and go on where it was stopped."""

import argparse

from reports.arguments import DTYPES, add_data, add_seed, output_file, positive, rate
from reports.commands import Command


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dataset", choices=["mnist5k", "digits", "xor", "mnist"], default="mnist5k", help="(%(default)s)"
    )
    add_data(parser)
    parser.add_argument("--epochs", type=positive, default=10, metavar="N", help="in all (%(default)s)")
    parser.add_argument("--batch-size", type=positive, default=100, metavar="N", help="(%(default)s)")
    parser.add_argument(
        "--optimizer",
        choices=["SGD", "Adagrad", "RMSprop", "Adam", "AdamW"],
        default="SGD",
        help="(%(default)s)",
    )
    parser.add_argument(
        "--lr", type=rate, help="learning rate (0.1 for SGD, else the optimizer's own default)"
    )
    parser.add_argument("--hidden", type=positive, metavar="N", help="size of the hidden layer (50; xor: 4)")
    add_seed(parser, "weights and shuffles")
    parser.add_argument(
        "--dtype", choices=DTYPES, default="float32", help="of weights and data (%(default)s)"
    )
    parser.add_argument("--checkpoint", type=output_file, metavar="FILE", help="written after each epoch")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint")
    parser.add_argument(
        "--history", type=output_file, metavar="FILE.csv", help="a row for each epoch, written after each"
    )


def _run(options: argparse.Namespace) -> int:
    from reports.runner import numpy_training

    return numpy_training.run(options)


COMMAND = Command(
    "trains a network with the NumPy side alone",
    """\
Train a network with the NumPy side: 784-50-10 on digits, 2-4-2 on XOR. Each epoch prints a line.

With --checkpoint, each epoch ends with everything that is needed to go on: stopped at any moment and
resumed, a
training ends with the same weights, bit for bit, as one that was never stopped. Resume with the options
that it was started with; --epochs counts all epochs, those before included.
""",
    """\
gradmirror train
gradmirror train --dataset xor --lr 3 --batch-size 4 --epochs 500
gradmirror train --optimizer Adam --epochs 10 --checkpoint run.safetensors --history run.csv
gradmirror train --optimizer Adam --epochs 20 --checkpoint run.safetensors --resume
""",
    zero="trained",
    one="the loss became nan or inf",
    arguments=_arguments,
    run=_run,
)
