"""``gradmirror alarms``: how often does the check refuse what is right?"""

import argparse

from reports.arguments import add_out, positive
from reports.commands import Command


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--draws", type=positive, default=200, metavar="N", help="of each (%(default)s)")
    parser.add_argument(
        "--only", type=str, default="", metavar="NAME", help="entries with this in their name"
    )
    parser.add_argument("--jobs", type=positive, default=2, metavar="N", help="processes (%(default)s)")
    add_out(parser, "reports/out/alarms.csv")


def _run(options: argparse.Namespace) -> int:
    from reports.runner import false_alarms

    return false_alarms.run(options)


COMMAND = Command(
    "counts false alarms: how often does the check refuse what is right?",
    """\
Compare every layer and loss of the catalog with PyTorch's from many seeds: other weights, numbers and batch
sizes, inputs scaled by 1e-3 to 1e3, in float64, in float32 and on the kinks. All of it is right, so each
refusal is a false alarm, and a row of the file.
""",
    """\
gradmirror alarms --draws 10
gradmirror alarms --draws 200 --jobs 8
gradmirror alarms --only Conv2d   the entries with "Conv2d" in their name
""",
    zero="no false alarm",
    one="at least one",
    arguments=_arguments,
    run=_run,
)
