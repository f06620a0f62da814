"""``gradmirror faults``: which mistakes does gradmirror find, and which do the checks that others use?"""

import argparse

from reports.arguments import add_out
from reports.commands import Command


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quick", action="store_true", help="the first layer of each kind, at scale 1")
    parser.add_argument(
        "--only", type=str, default="", metavar="WORDS", help="mistakes with these words in their name"
    )
    add_out(parser, "reports/out/faults.csv")


def _run(options: argparse.Namespace) -> int:
    from reports.runner import detectors

    return detectors.run(options)


COMMAND = Command(
    "puts the check to the test: which mistakes does it find, and which do others?",
    """\
Make every known mistake in every layer and loss that can make it, and ask each detector whether it sees
it: gradmirror's check, torch.autograd.gradcheck (default and fast), torch.testing.assert_close, the cosine of
both gradients, the mean of their difference. The last row is right code, which none should refuse.
""",
    """\
gradmirror faults --quick         the first layer of each kind, inputs of scale 1
gradmirror faults                 every entry of the catalog, at scales 1, 1e-3 and 1e3
gradmirror faults --only bias     the mistakes with "bias" in their name
""",
    zero="gradmirror finds every mistake",
    one="it misses one, or refuses right code",
    arguments=_arguments,
    run=_run,
)
