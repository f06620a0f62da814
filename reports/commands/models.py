"""``gradmirror models``: the networks of scratch/models.py, trained, timed and measured beside PyTorch's."""

import argparse

from reports.arguments import MODELS, add_out, add_seed, positive
from reports.commands import Command


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", nargs="+", choices=MODELS, metavar="NAME", help=", ".join(MODELS))
    parser.add_argument("--steps", type=positive, default=300, metavar="N", help="(%(default)s)")
    parser.add_argument("--rounds", type=positive, default=20, metavar="N", help="timed (%(default)s)")
    add_seed(parser, "weights and batches")
    parser.add_argument("--threads", type=positive, default=1, metavar="N", help="(%(default)s)")
    add_out(parser, "reports/out/models.csv")


def _run(options: argparse.Namespace) -> int:
    from reports.runner import large_networks

    return large_networks.run(options)


COMMAND = Command(
    "trains, times and measures larger networks: convolutions, an LSTM, a small GPT",
    """\
Train, time and measure every network of scratch/models.py beside its PyTorch twin, on real data: digits, and
the text of Python's own help. Each row says how far apart the two trainings are, how the time of a step
compares, and how much memory it takes; it is in the file as soon as it is found.
""",
    """\
gradmirror models                    all five, 300 steps each (minutes)
gradmirror models --only GPT --steps 50
""",
    zero="both sides train alike",
    one="the two trainings of a network diverge",
    arguments=_arguments,
    run=_run,
)
