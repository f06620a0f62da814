"""``gradmirror report``: both sides beside each other, or what changed between two such reports."""

import argparse

from reports.commands import Command
from reports.runner import options as declared


def _arguments(parser: argparse.ArgumentParser) -> None:
    declared.add_arguments(parser)
    parser.add_argument(
        "--compare",
        nargs=2,
        metavar=("OLD.json", "NEW.json"),
        help="say what changed between two results.json; goes without other options",
    )


def _run(options: argparse.Namespace) -> int:
    if options.compare:
        from reports.page import comparison

        return comparison.run(options.compare, options.words)
    from reports.runner import report

    return report.run(declared.chosen(vars(options)), options.words)


COMMAND = Command(
    "compares the two: gradients, accuracy, time",
    """\
Train both sides from the same seeds, compare their gradients and their speed, and write
report.html, report.md, results.json, results.csv and figures/*.svg.

With --models, --datasets or --batch-sizes it is a campaign: each network is trained and timed on each dataset
that it can learn with each batch size. Each finished row is on disk at once, in rows.jsonl; whatever ends a
report, --resume goes on with it.

With --compare it trains nothing, and says what changed between two such reports and whether it is more than
noise. It then ends with 1 if something got worse: a verdict lost, accuracy lower or a time slower.
""",
    """\
gradmirror report                              the full report, in a minute or two
gradmirror report --quick                      a small one, to see that all is well
gradmirror report --threads 2 --dtype float64  other conditions for training and timing
gradmirror report --models two_layer_net GPT --datasets mnist5k digits --batch-sizes 10 100
gradmirror report --columns torch-compile jax autograd
gradmirror report --quick --device cuda        with PyTorch on a GPU beside NumPy
gradmirror report --datasets mnist --data-root ~/mnist --download
gradmirror report --backend dask --scheduler tcp://host:8786
gradmirror report --compare old/results.json new/results.json
""",
    zero="the two sides agree",
    one="the two sides disagree; the report says where",
    arguments=_arguments,
    run=_run,
)
