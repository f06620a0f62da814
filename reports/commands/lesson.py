"""``gradmirror lesson``: backpropagation, step by step, as a page."""

import argparse
from pathlib import Path

from reports.arguments import add_out
from reports.commands import Command


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_out(parser, "reports/out/lesson.html")


def _run(options: argparse.Namespace) -> int:
    from reports.lesson import page

    size = page.write(Path(options.out))
    print(f"{options.out}: {size / 1000:.0f} KB. Open it in a browser; it needs no network.")
    return 0


COMMAND = Command(
    "writes a page that goes through backpropagation step by step",
    """\
Write one page that goes through the forward and backward pass of small networks, step by step: every number
from NumPy and from PyTorch, and beside them the numeric derivative. In English and Chinese.

In the page, ← and → step, space plays, Home and End jump; lesson.html#scene=mazur&step=6 opens there.
""",
    """\
gradmirror lesson
gradmirror lesson --out lesson.html
""",
    zero="written",
    one="does not happen",
    arguments=_arguments,
    run=_run,
)
