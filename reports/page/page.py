"""report.html, report.md, the figures, and the summary on the terminal: the same findings, four times."""

import re
from itertools import groupby
from typing import Any, NamedTuple

import jinja2
import pandas as pd
from markupsafe import Markup

from reports.page import figures, tables
from reports.page.figures.style import duration
from reports.runner.results import Results
from scratch.checkpoint import write_whole


class Headline(NamedTuple):
    """A figure worth knowing first: what of, the figure, and what it means."""

    title: str
    figure: str
    note: str


def write(results: Results) -> None:
    """Write report.html, report.md and figures/*.svg into the folder of the results.

    Raises:
        OSError: a file cannot be written.
    """
    drawn = list(figures.draw(results.tables))
    for panel in drawn:
        write_whole(results.out / "figures" / f"{panel.name}.svg", panel.svg.encode())
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("reports.page"),
        autoescape=jinja2.select_autoescape(["html.j2"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"markdown": tables.markdown, "zip": zip}
    environment.globals["tone"] = _tone
    told = environment.get_template("method.txt.j2").render(results.options)
    content = {
        "results": results,
        "verdict": verdict(results),
        "headlines": headlines(results.tables),
        "tables": tables,
        "data": results.tables,
        "figures": {
            figure: [Markup(panel.svg) for panel in panels]
            for figure, panels in groupby(drawn, lambda panel: panel.figure)
        },
        "gpu": results.sections["cuda"].samples["device"] if "cuda" in results.sections else {},
        "facts": facts(results.environment) | {"Precision": _precision(results.options)},
        "entries": int(results.tables["cost"]["entries"].iloc[0]),
        "cost_network": results.tables["cost"]["network"].iloc[0],
        "half_the_digits": tables.short(results.tables["accuracy"]["half_the_digits"].iloc[0]),
        "method": dict(point.split(": ", 1) for point in re.split(r"\n{2,}", told.strip())),
        "not_timed": _not_timed(results.tables),
    }
    for name in ("report.html", "report.md"):
        page = environment.get_template(f"{name}.j2").render(content)
        write_whole(results.out / name, page.encode())


def _tone(cell: str) -> str:
    """The class of a verdict on the page."""
    if cell == "agree":
        return "good"
    return "plain" if cell in _PLAIN else "bad"


_PLAIN = ("NumPy faster", "NumPy slower", "not distinguishable", "not judged")


def _not_timed(found: tables.Tables) -> pd.DataFrame:
    """The configurations whose gradients differ; not the columns that are left out of one that is timed."""
    return found["timing"][found["timing"]["pair"].isna()]


def remove(results: Results) -> None:
    """Remove what ``write`` wrote for an earlier run, so that it cannot be taken for this one's."""
    for path in (results.out / "report.html", results.out / "report.md", *results.out.glob("figures/*.svg")):
        path.unlink(missing_ok=True)


def verdict(results: Results) -> str:
    """One sentence: whether the two sides agree, and if not, in what they do not."""
    gradients, accuracy = results.tables["gradients"], results.tables["accuracy"]
    wrong = gradients[gradients["verdict"] != "agree"]
    apart = accuracy[accuracy["verdict"] != "agree"]
    not_timed = _not_timed(results.tables)
    if results.agrees:
        seeds = accuracy["seed"].nunique()
        return (
            f"The two sides agree: in all {len(gradients)} tensors compared, in float64 and float32, "
            f"and in what they learned from {f'each of {seeds} seeds' if seeds > 1 else 'the seed'}."
        )
    told = [f"{row.tensor} of {row.network} in {row.dtype} ({row.verdict})" for row in wrong.itertuples()]
    told += [f"what {row.network} learned from seed {row.seed}" for row in apart.itertuples()]
    told += [f"the gradients of {row.network} at batch {row.batch}" for row in not_timed.itertuples()]
    drift, matrix = results.tables["drift"], results.tables["faults"]
    parting = drift[drift["verdict"] != "agree"]
    told += [
        f"{row.network} by {row.optimizer}, step by step ({row.verdict})" for row in parting.itertuples()
    ]
    missed = matrix[:-1][matrix["gradmirror"][:-1] != matrix["tried"][:-1]]
    told += [f"the check, which misses: {row.mistake}" for row in missed.itertuples()]
    told += ["the check, which refuses right code"] if matrix["gradmirror"].iloc[-1] else []
    told += [
        f"{row.network} in {row.dtype} by {row.method} ({row.verdict})"
        for row in results.tables.get("cuda", pd.DataFrame()).itertuples()
        if row.verdict not in ("agree", "not judged")
    ]
    more = [f"{len(told) - 4} things more"] if len(told) > 5 else told[4:]
    return f"The two sides disagree: {', '.join(told[:4] + more)}."


def headlines(found: tables.Tables) -> list[Headline]:
    """The figures for the first screen, the first three the main ones."""
    (gradients,) = _gradient_headlines(found)
    accuracy, drift = _accuracy_headlines(found)
    *times, cost = _time_headlines(found)
    return [gradients, accuracy, *times[:1], drift, *times[1:], cost, *_checker_headlines(found)]


def _checker_headlines(found: tables.Tables) -> list[Headline]:
    total = tables.fault_totals(found["faults"]).iloc[-2]
    needle = found["needle"].iloc[0]
    return [
        Headline(
            "Mistakes found",
            f"{total['gradmirror']} of {total['tried']}",
            f"by the check; {total['gradcheck']} by torch.autograd.gradcheck, "
            f"{total['assert_close']} by assert_close",
        ),
        Headline(
            "One wrong entry",
            f"1 of {needle['entries']:,}",
            f"off by a millionth: {'found and named' if needle['found'] else 'missed'}, "
            f"in {duration(needle['seconds'])}",
        ),
    ]


def _gradient_headlines(found: tables.Tables) -> list[Headline]:
    worst = found["gradients"].groupby("dtype", sort=False)["relative"].max()
    return [
        Headline(
            "Largest difference",
            tables.short(worst["float64"]),
            f"relative, of all outputs and gradients in float64; {tables.short(worst['float32'])} in float32",
        )
    ]


def _accuracy_headlines(found: tables.Tables) -> list[Headline]:
    accuracy = found["accuracy"]
    digits = accuracy[accuracy["network"] == accuracy["network"].iloc[0]]
    low, high = digits["numpy_test_accuracy"].min(), digits["numpy_test_accuracy"].max()
    shown = f"{low:.1%}" if low == high else f"{low:.1%} to {high:.1%}"
    differ, samples = digits["predictions_differ"].sum(), digits["test_samples"].sum()
    network, epochs = digits["network"].iloc[0], digits["epochs"].iloc[0]
    return [
        Headline(
            "Test accuracy",
            shown,
            f"of NumPy's {network} after {epochs} epochs; "
            f"{differ} of {samples:,} predictions differ from PyTorch's",
        ),
        Headline(
            "Weights drift apart by",
            tables.short(digits["drift"].max()),
            f"at most, in {epochs} epochs of the same program on two frameworks",
        ),
    ]


def _time_headlines(found: tables.Tables) -> list[Headline]:
    steps = found["timing"].query("phase == 'step' and pair == 'NumPy / PyTorch'")
    told = [
        Headline(
            f"A step of {row.network}",
            f"{row.ratio:.2f} ×",
            f"PyTorch's time, {row.low:.2f} to {row.high:.2f}: {row.verdict}",
        )
        for row in steps.itertuples()
    ]
    cost = found["cost"].set_index("method")["times_backpropagation"]
    return [
        *told,
        Headline(
            "Without backpropagation",
            f"{cost[_BOOK]:,.0f} ×",
            f"the time by the book's loop; {cost['complex step']:,.0f} × by our complex step, "
            f"{cost['torch.autograd.gradcheck']:,.0f} × by torch.autograd.gradcheck",
        ),
    ]


_BOOK = "the book's loop"


def facts(environment: dict[str, Any]) -> dict[str, str]:
    """The environment in a few lines."""
    threads, load = environment["threads"], environment["load"]
    versions = {"Python": environment["python"], **environment["packages"]}
    pools = ", ".join(
        " ".join(filter(None, [*map(pool.get, _POOL), f"× {pool['num_threads']}"]))
        for pool in threads["pools"]
    )
    return {
        "Processor": f"{environment['cpu']}, {environment['cores']} cores",
        "Load at the start": "unknown" if load is None else " ".join(f"{each:.2f}" for each in load),
        "Random numbers": _drawn(environment["kernel"]),
        "Threads": f"PyTorch × {threads['torch']}, {pools}",
        "Versions": ", ".join(f"{name} {version}" for name, version in versions.items() if version),
        "Commit": environment["commit"] or "not a checkout",
        "Started": environment["started"],
    }


def _drawn(kernel: str | None) -> str:
    if kernel is None:
        copied = "so NumPy's side started from copies of PyTorch's weights"
        return f"PyTorch draws here as no kernel of scratch.random does, {copied}"
    return f"from one seed the same on both sides, by the kernel {kernel}"


# What is told of a library with threads; the architecture is that of the kernels it has chosen.
_POOL = ("prefix", "version", "architecture")


def _precision(options: dict[str, Any]) -> str:
    return f"{options['dtype']} for training and timing; gradients in float64 and float32"


def summary(results: Results) -> str:
    """The findings for the terminal: short tables, and where the files are."""
    found = results.tables
    timing = tables.timing(found)
    steps = timing[timing["phase"].isin(["step", "–"])].drop(columns=["phase", "PyTorch's optimizer"])
    network, entries = found["cost"][["network", "entries"]].iloc[0]
    parts: dict[str, pd.DataFrame] = {
        "Gradients": tables.gradients_in_short(found),
        f"Cost of all {entries:,} derivatives of {network}": tables.cost(found).drop(columns=["measured"]),
        "Accuracy": tables.accuracy_in_short(found),
        "Time of a step": steps,
    }
    if "cuda" in found:
        parts["On a GPU"] = tables.cuda(found).drop(columns=["worst tensor", "steps"])
    told = [f"{title}\n\n{tables.markdown(table, 'simple')}" for title, table in parts.items()]
    names = ("report.html", "report.md", "results.json", "results.csv", "figures/")
    files = "\n".join(f"  {results.out / name}" for name in names)
    return "\n\n".join([*told, verdict(results), f"Written:\n{files}"])
