"""``gradmirror coverage``: the modules, optimizers and schedulers of PyTorch that are here, or not."""

import argparse

from reports.commands import Command


def _arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments."""


def _run(options: argparse.Namespace) -> int:
    from reports.runner import coverage

    return coverage.run()


COMMAND = Command(
    "lists which parts of torch.nn and torch.optim are here",
    """\
List which modules, optimizers and schedulers of torch.nn and torch.optim are here, and which are not:
the table of the README.
""",
    """\
gradmirror coverage
""",
    zero="printed",
    one="does not happen",
    arguments=_arguments,
    run=_run,
)
