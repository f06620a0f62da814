"""PyTorch on a GPU, beside NumPy on the CPU: error and time in each precision.

    python -m reports.sections.cuda --out FOLDER

makes this section alone, into cuda.csv: on a machine with a GPU and little more than NumPy, PyTorch and
pandas.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reports.errors import UnusableError
from reports.page import text
from reports.page.style import NUMPY, TORCH, blank, time_ticks
from reports.runner import gpu, networks
from reports.runner import options as declared
from reports.runner.data import Data
from reports.runner.environment import limit_threads
from reports.runner.findings import Findings, Rows
from reports.runner.networks import Network
from reports.runner.plan import Plan
from reports.runner.tasks import Task
from reports.sections import section
from reports.sections.section import Column, Drawing, Section, Table, Tables
from scratch.files import write_whole

# The larger networks of a full report that names none.
_LARGER = ("simple_conv_net", "GPT")


class Cuda(Section):
    """The error and time of PyTorch on a GPU in each of its precisions.

    What TF32 and bfloat16 cost in error and save in time stands here side by side.
    """

    name = "cuda"
    number = 6
    title = "On a GPU"
    question = "what does precision cost?"
    about = "PyTorch on a GPU beside NumPy: error and time in each precision. Not there unless asked for."
    neutral = (gpu.NOT_JUDGED,)
    tables = (
        Table(
            "cuda",
            "A row for each network, framework and precision.",
            ("network", "batch", "method", "dtype"),
            (
                section.NETWORK,
                section.BATCH,
                Column("method", section.TEXT, "The framework: NumPy, or PyTorch and where it computes."),
                Column(
                    "dtype", section.TEXT, "The precision; TF32 and bfloat16 round the factors of products."
                ),
                Column(
                    "error",
                    {"type": ["number", "null"], "minimum": 0},
                    "The largest error of a gradient's entry against NumPy's in float64, by the largest "
                    "entry of its "
                    "tensor, without unit; null if it is not finite.",
                ),
                Column("worst", section.TEXT, "The parameter whose gradient has this error."),
                Column("seconds", section.NOT_NEGATIVE, "The median time of a step, in seconds."),
                Column(
                    "low", section.NOT_NEGATIVE, "The lower end of its 95% bootstrap interval, in seconds."
                ),
                Column(
                    "high", section.NOT_NEGATIVE, "The upper end of its 95% bootstrap interval, in seconds."
                ),
                Column("steps", section.POSITIVE, "How many steps were timed."),
                Column(
                    "verdict",
                    section.TEXT,
                    f"agree, the tensors that differ, or {gpu.NOT_JUDGED}: of a precision that promises "
                    f"fewer digits.",
                ),
            ),
            item="method",
        ),
    )
    samples = section.record(
        {
            "device": section.record(
                {
                    "name": section.described(section.TEXT, "Its name."),
                    "torch": section.described(section.TEXT, "PyTorch's version."),
                    "cuda": section.described(
                        section.TEXT_OR_NULL, "CUDA's version; null if it is not used."
                    ),
                    "driver": section.described(
                        section.TEXT_OR_NULL, "The driver's version; null if it is not known."
                    ),
                },
                "The device and what drives it.",
            ),
            "timing": section.listing(
                section.record(
                    {
                        "network": section.described(section.TEXT, section.NETWORK.about),
                        "batch": section.described(section.POSITIVE, section.BATCH.about),
                        "blocks": section.mapping(
                            section.DURATIONS,
                            "By framework and precision: the seconds of a step, block by block.",
                        ),
                    }
                ),
                "One for each network.",
            ),
        },
        "The device, and what the times were computed from.",
    )

    html = """
<p>PyTorch on {{ samples.device.name }} (CUDA {{ samples.device.cuda or "none" }}, driver {{
samples.device.driver or "unknown" }}, torch {{ samples.device.torch }}), beside both
sides on the CPU in {{ environment.threads.asked_for }} thread{{ "s" if environment.threads.asked_for > 1
}}. All start from the same weights and see the same batch. The error is that of the
worst tensor: its largest difference from NumPy's gradient in float64, in percent of its largest entry
there.</p>
<p>In float64 and in float32 a GPU has no excuse: its gradients are judged, by what rounding may do to each
entry. TF32 rounds the factors
of products to ten bits, bfloat16 to seven. These are shown and not judged: whether the time is worth the
digits is for the reader to say.</p>
{{ grid(shown.cuda, "Largest error of all gradients, and the median time of a step") }}
{{ drawing(figures.cuda, "Farther down: more digits. Farther left: faster. Both axes are logarithmic. Blue:
NumPy. Orange: PyTorch, hollow on the CPU, filled on " ~ samples.device.name ~ ". Bars: the 95% interval of
the time.") }}
"""
    markdown = """
PyTorch on {{ samples.device.name }} (CUDA {{ samples.device.cuda or "none" }}, driver {{
samples.device.driver or "unknown" }}, torch {{ samples.device.torch }}), beside both sides on
the CPU, from the same weights, on the same batch. The error is that of the worst tensor: its largest
difference from
NumPy's gradient in float64, in percent of its largest entry there. float64 and float32 are judged, by what
rounding may
do to each entry; TF32 and bfloat16 are not.

{{ shown.cuda|markdown }}
"""
    method = """
GPU: The float32 weights of seed {{ options.seed }} and the first batch in every setting, converted to
float64 for that. TF32 is
torch.backends.cuda.matmul.allow_tf32 and torch.backends.cudnn.allow_tf32, off but for its own row; bfloat16
is
torch.autocast around the forward. SGD with fused=True; the whole step is timed, in 20 blocks, each of which
waits for the
GPU at both ends; warm-up discarded. Where too many activations of a batch are within a rounding of a kink,
gradients are
judged on 10 samples, from up to three seeds.
"""

    def tasks(self, plan: Plan) -> list[Task]:
        """The networks that were asked for, or the book's and larger ones; none without a GPU."""
        options = plan.options
        if options["device"] == "cpu":
            return []
        chosen = plan.asked or [plan.book]
        if not (plan.asked or options["quick"]):
            chosen = [plan.book, plan.wide, *(networks.by_name(name, plan.datasets[0]) for name in _LARGER)]
        return tasks(chosen, device=options["device"], block=options["block"], seed=options["seed"])

    def conclude(self, rows: Rows, seed: int) -> Findings:
        """They agree if all that is judged does."""
        agrees = bool(rows.tables["cuda"]["verdict"].isin(["agree", gpu.NOT_JUDGED]).all())
        return Findings(rows.tables, rows.samples | {"device": rows.samples["device"][0]}, agrees)

    def shown(self, tables: Tables) -> dict[str, pd.DataFrame]:
        """A row for each framework, device and precision."""
        return {"cuda": errors_and_times(tables["cuda"])}

    def figures(self, tables: Tables) -> dict[str, Iterator[Drawing]]:
        """Error against time."""
        return {"cuda": panels(tables["cuda"])}

    def summary(self, tables: Tables) -> dict[str, pd.DataFrame]:
        """The table without the worst tensors."""
        return {"On a GPU": errors_and_times(tables["cuda"]).drop(columns=["worst tensor", "steps"])}

    def disagreements(self, tables: Tables) -> list[str]:
        """Each precision that is judged and wrong."""
        return [
            f"{row.network} in {row.dtype} by {row.method} ({row.verdict})"
            for row in tables["cuda"].itertuples()
            if row.verdict not in ("agree", gpu.NOT_JUDGED)
        ]


# Tasks


def tasks(
    chosen: Sequence[Network], *, device: str, blocks: int = gpu.BLOCKS, block: float, seed: int
) -> list[Task]:
    """The tasks of the section.

    Args:
        chosen: the networks, each with its batch size.
        device: where PyTorch is to compute, "cuda" or "cpu"; on the CPU, TF32 changes nothing.
        blocks: how many are timed.
        block: how long one is to take, in seconds.
        seed: of the weights, and of the bootstrap.
    """
    return [
        Task(
            f"{network.name}, batch {network.batch_size}, on {device}",
            partial(gpu.measure, network, device, blocks, block, seed),
            process=0,
            weight=5 + 7 * blocks * block,
        )
        for network in chosen
    ]


# For people


def errors_and_times(t: pd.DataFrame) -> pd.DataFrame:
    """A row for each framework, device and precision: the largest error, and the time of a step."""
    return pd.DataFrame(
        {
            "network": t["network"] + ", batch " + t["batch"].map(str),
            "where": t["method"],
            "precision": t["dtype"],
            "largest error": (100 * t["error"]).map(text.short) + " %",
            "worst tensor": t["worst"],
            "step": t["seconds"].map(text.duration),
            "95% interval": t["low"].map(text.duration) + " to " + t["high"].map(text.duration),
            "steps": t["steps"].map("{:,}".format),
            "verdict": t["verdict"],
        }
    )


def panels(found: pd.DataFrame) -> Iterator[Drawing]:
    """A panel for each network; none where there is no error to show."""
    shown = found[(found["error"] > 0) & np.isfinite(found["error"])]
    for number, (network, rows) in enumerate(shown.groupby("network", sort=False)):
        yield Drawing(
            f"cuda-{number}",
            f"Error and time of {network} in each precision",
            _panel(f"{network}, batch {rows['batch'].iloc[0]}", rows),
        )


# A shape for each setting of a device; the CPU's are squares.
_SHAPES = {"float64": "D", "float32": "o", "float32, TF32": "^", "bfloat16, autocast": "v"}


def _panel(title: str, rows: pd.DataFrame) -> Any:
    figure = blank(3.6)
    axes = figure.subplots()
    axes.set_title(title, loc="left")
    for row in rows.itertuples():
        percent, beside = 100 * row.error, row.method in ("NumPy", "PyTorch, CPU")
        colour = NUMPY if row.method == "NumPy" else TORCH
        axes.plot([row.low, row.high], [percent, percent], color=colour, linewidth=3, alpha=0.4)
        axes.plot(
            row.seconds,
            percent,
            "s" if beside and row.dtype == "float32" else _SHAPES[row.dtype],
            color=colour,
            markerfacecolor="none" if beside else colour,
            label=f"{row.method}, {row.dtype}" if beside else row.dtype,
            linestyle="none",
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(rows["low"].min() / 3, rows["high"].max() * 3)
    axes.set_ylim(100 * rows["error"].min() / 10, 100 * rows["error"].max() * 10)
    time_ticks(axes.xaxis)
    axes.set_xlabel("time of a step")
    axes.set_ylabel("largest error, %")
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    return figure


# The section alone

NAMES = ("784-50-10", "784-1024-10", "simple_conv_net", "GPT")


def _network(name: str) -> Network:
    """A network of NAMES, on data that come with packages."""
    if not name.startswith("784"):
        return networks.by_name(name)
    data = Data("mnist5k")
    return networks.two_layer(data) if name == "784-50-10" else networks.two_layer(data, 1024, 512)


def main(argv: Sequence[str] | None = None) -> int:
    """This section alone: 0 if all that is judged agrees, 1 if not, 2 for a usage error."""
    parser = argparse.ArgumentParser(
        "python -m reports.sections.cuda",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    declared.add_arguments(parser, ("out", "device", "quick", "threads", "seed"), device="cuda")
    parser.add_argument(
        "--only", nargs="+", choices=NAMES, default=NAMES, metavar="NAME", help=", ".join(NAMES)
    )
    given = parser.parse_args(argv)
    options = declared.chosen({"device": "cuda"} | vars(given))
    try:
        gpu.require(options["device"])
        chosen = [_network(name) for name in given.only]
    except (UnusableError, ImportError, OSError, ValueError) as error:
        print(f"reports.sections.cuda: error: {error}", file=sys.stderr)
        return 2
    with limit_threads(options["threads"]):
        made = tasks(chosen, device=options["device"], block=options["block"], seed=options["seed"])
        found = Cuda().run(made)
    path = Path(options["out"]) / "cuda.csv"
    write_whole(path, found.tables["cuda"].to_csv(index=False).encode())
    print(", ".join(f"{key} {value}" for key, value in found.samples["device"].items() if value))
    print(f"\n{_markdown(found)}\n\nAll of it is in {path}")
    return 0 if found.agrees else 1


def _markdown(found: Findings) -> str:
    try:
        return text.markdown(errors_and_times(found.tables["cuda"]))
    except ImportError as error:  # tabulate, which a bare machine need not have
        return f"no table: {error}"


if __name__ == "__main__":
    sys.exit(main())
