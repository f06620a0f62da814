"""The figures of the report, as SVG that takes its greys from the page: readable in light and dark.

The colours of the two sides are those of Okabe and Ito, which colour-blind readers can tell apart; dashes and
markers tell them apart as well. The same tables give the same bytes.
"""

import io
import re
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

NUMPY, TORCH = "#0072b2", "#d55e00"

# Stands for the colour of the text around the figure, and is replaced by its name in SVG.
_INK = "#767677"
_STYLE = {
    "svg.hashsalt": "gradmirror",
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.2,
    "legend.frameon": False,
    **dict.fromkeys(
        (
            "text.color",
            "axes.edgecolor",
            "axes.labelcolor",
            "axes.titlecolor",
            "xtick.color",
            "ytick.color",
            "grid.color",
        ),
        _INK,
    ),
}


def draw(tables: dict[str, pd.DataFrame]) -> Iterator[tuple[str, str, str]]:
    """(name, what it shows, SVG) for each figure that there are rows for."""
    with matplotlib.rc_context(_STYLE):  # type: ignore[arg-type]
        yield _svg(
            "loss", "Loss of both sides, epoch by epoch, and their difference", _loss(tables["epochs"])
        )
        timed = tables["timing"].dropna(subset="ratio")
        if len(timed):
            yield _svg(
                "timing", "Time of NumPy divided by time of PyTorch, with 95% intervals", _ratios(timed)
            )
        yield _svg(
            "drift",
            "How far the weights of two trainings are apart, step by step",
            _drift(tables["drift_steps"]),
        )
        yield _svg("faults", "The share of mistakes that each check finds", _faults(tables["faults"]))
        yield _svg("cost", "Time to differentiate by every parameter once, by method", _cost(tables["cost"]))


def _loss(epochs: pd.DataFrame) -> Figure:
    networks = list(epochs["network"].unique())
    figure = Figure(figsize=(8, 4.4), layout="constrained")
    grid = figure.subplots(2, len(networks), sharex="col", height_ratios=(2, 1), squeeze=False)
    for column, network in enumerate(networks):
        rows = epochs[epochs["network"] == network]
        seed = rows["seed"].iloc[0]
        rows = rows[rows["seed"] == seed]
        above, below = grid[0, column], grid[1, column]
        above.set_title(f"{network}, seed {seed}", loc="left")
        parts = (
            ("train",) if (rows["numpy_train_loss"] == rows["numpy_test_loss"]).all() else ("train", "test")
        )
        for part, marker in zip(parts, ("o", "s"), strict=False):
            ours, theirs = rows[f"numpy_{part}_loss"], rows[f"torch_{part}_loss"]
            above.plot(rows["epoch"], ours, color=NUMPY, linewidth=2.5, alpha=0.55, label=f"NumPy, {part}")
            above.plot(
                rows["epoch"],
                theirs,
                color=TORCH,
                linewidth=1,
                linestyle=(0, (3, 2)),
                marker=marker,
                markersize=4,
                markerfacecolor="none",
                label=f"PyTorch, {part}",
            )
            below.plot(
                rows["epoch"],
                (ours - theirs).abs().replace(0, np.nan),
                color=_INK,
                linewidth=0,
                marker=marker,
                markersize=3.5,
                markerfacecolor="none",
                label=part,
            )
        above.set_ylim(bottom=0)
        below.set_yscale("log")
        below.set_ylim(*_decades((rows[f"numpy_{p}_loss"] - rows[f"torch_{p}_loss"]).abs() for p in parts))
        below.set_xlabel("epoch")
        above.legend(loc="upper right")
        if len(parts) > 1:
            below.legend(loc="lower right", ncols=2)
    grid[0, 0].set_ylabel("loss")
    grid[1, 0].set_ylabel("|difference|")
    return figure


def _decades(series: Any) -> tuple[float, float]:
    """Powers of ten around all that is not 0."""
    values = np.concatenate([np.asarray(each, float) for each in series])
    values = values[(values > 0) & np.isfinite(values)]
    if not len(values):
        return 1e-17, 1e-15
    return float(10 ** np.floor(np.log10(values.min()) - 0.1)), float(
        10 ** np.ceil(np.log10(values.max()) + 0.1)
    )


def _ratios(timing: pd.DataFrame) -> Figure:
    rows = timing[::-1].reset_index(drop=True)
    figure = Figure(figsize=(8, 0.9 + 0.27 * len(rows)), layout="constrained")
    axes = figure.subplots()
    axes.set_xscale("log")
    names = []
    for y, row in rows.iterrows():
        same = row["pair"] == "NumPy / NumPy"
        names.append(f"{row['network']}   {'NumPy / NumPy' if same else row['phase']}")
        axes.barh(y, 2 * row["noise"], left=_above(1 - row["noise"]), height=1, color=_INK, alpha=0.16)
        axes.plot([row["low"], row["high"]], [y, y], color=_INK if same else NUMPY, linewidth=3, alpha=0.6)
        axes.plot(row["ratio"], y, "D" if same else "o", color=_INK if same else NUMPY, markersize=5)
        if row["network"] != rows["network"].get(int(y) + 1, row["network"]):
            axes.axhline(y + 0.5, color=_INK, linewidth=0.6, alpha=0.5)
    axes.axvline(1, color=_INK, linewidth=1)
    axes.set_yticks(range(len(rows)), names)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.grid(axis="y", visible=False)
    low, high = min(rows["low"].min(), 0.5), max(rows["high"].max(), 2)
    axes.set_xlim(low / 1.15, high * 1.15)
    _plain_ticks(axes, [t for t in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20) if low <= t <= high])
    axes.set_xlabel("time of NumPy / time of PyTorch  (left of 1: NumPy is faster; grey: noise)")
    return figure


def _above(value: float) -> float:
    return max(value, 1e-3)


def _plain_ticks(axes: Axes, ticks: Sequence[float]) -> None:
    axes.xaxis.set_major_locator(FixedLocator(list(ticks)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _drift(steps: pd.DataFrame) -> Figure:
    trainings = list(steps.groupby(["network", "optimizer"], sort=False))
    figure = Figure(figsize=(8, 4.8), layout="constrained")
    losses, grid = figure.subplots(
        2, len(trainings), sharex="col", sharey="row", height_ratios=(1, 2), squeeze=False
    )
    curves: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("drift", "NumPy − PyTorch", {"color": _INK, "linewidth": 2.2}),
        ("numpy_rounding", "NumPy − NumPy in float64", {"color": NUMPY}),
        ("torch_rounding", "PyTorch − PyTorch in float64", {"color": TORCH, "linestyle": (0, (3, 2))}),
        ("programs", "both in float64", {"color": _INK, "linewidth": 1}),
        ("allowed", "what rounding explains there", {"color": _INK, "linewidth": 0.8, "linestyle": ":"}),
    )
    for above, axes, ((network, optimizer), rows) in zip(losses, grid, trainings, strict=True):
        rows = rows[rows["step"] > 0]
        above.plot(rows["step"], rows["numpy_loss"], color=NUMPY, label="loss, NumPy")
        above.plot(
            rows["step"], rows["torch_loss"], color=TORCH, linestyle=(0, (3, 2)), label="loss, PyTorch"
        )
        above.set_title(f"{network}, {optimizer}", loc="left")
        for column, label, style in curves:
            values = rows[column].replace(0, np.nan)
            if values.notna().any():
                axes.plot(rows["step"], values, label=label, **style)
        axes.set_yscale("log")
        axes.set_xlabel("step")
    losses[0].set_ylabel("loss")
    grid[0].set_ylabel("largest difference\n/ largest weight")
    handles = [each for axes in (losses[0], grid[0]) for each in axes.get_legend_handles_labels()[0]]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def _faults(matrix: pd.DataFrame) -> Figure:
    counts = ("mistake", "tried", "named", "misnamed")
    detectors = [column for column in matrix if column not in counts][::-1]
    shares = [matrix[each][:-1].sum() / matrix["tried"][:-1].sum() for each in detectors]
    figure = Figure(figsize=(8, 0.8 + 0.32 * len(detectors)), layout="constrained")
    axes = figure.subplots()
    colours = [NUMPY if each == "gradmirror" else _INK for each in detectors]
    axes.barh(range(len(detectors)), shares, color=colours, alpha=0.8, height=0.62)
    for y, each in enumerate(detectors):
        told = f"{matrix[each][:-1].sum()} of {matrix['tried'][:-1].sum()}"
        axes.annotate(told, (shares[y], y), (4, 0), textcoords="offset points", va="center", fontsize=8.5)
    axes.set_yticks(range(len(detectors)), detectors)
    axes.set_xlim(0, 1.15)
    axes.xaxis.set_major_locator(FixedLocator([0, 0.25, 0.5, 0.75, 1]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("mistakes found")
    return figure


def _cost(cost: pd.DataFrame) -> Figure:
    rows = cost[::-1].reset_index(drop=True)
    figure = Figure(figsize=(8, 0.8 + 0.36 * len(rows)), layout="constrained")
    axes = figure.subplots()
    axes.set_xscale("log")
    colours = [TORCH if "torch" in method else NUMPY for method in rows["method"]]
    start = 10 ** np.floor(np.log10(rows["seconds"].min()) - 0.3)
    axes.barh(rows.index, rows["seconds"] - start, left=start, color=colours, alpha=0.8, height=0.62)
    for y, row in rows.iterrows():
        times = row["times_backpropagation"]
        note = "" if times == 1 else f"  ({times:,.0f} × backpropagation)"
        axes.annotate(
            f"{duration(row['seconds'])}{note}",
            (row["seconds"], y),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
        )
    axes.set_yticks(rows.index, rows["method"])
    axes.set_xlim(start, rows["seconds"].max() * 400)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("seconds, on a log scale")
    return figure


def duration(seconds: float) -> str:
    """Three digits, in the unit that suits: "213 µs", "8.67 s"."""
    rounded = ((float(f"{seconds / size:.3g}"), unit) for unit, size in _UNITS.items())
    value, unit = next(((v, u) for v, u in rounded if v < 1000), (float(f"{seconds:.3g}"), "s"))
    return f"{value:.{max(0, 3 - len(str(int(value))))}f} {unit}"


_UNITS = {"µs": 1e-6, "ms": 1e-3, "s": 1.0}


def _svg(name: str, title: str, figure: Figure) -> tuple[str, str, str]:
    """Without prologue or metadata, with a title, ids that only this figure has, and the page's colour."""
    target = io.StringIO()
    FigureCanvasSVG(figure)
    figure.savefig(
        target,
        format="svg",
        transparent=True,
        metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")),
    )
    svg = target.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.S)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = svg.replace(_INK, "currentColor")
    opening, inside = svg.split(">", 1)
    opening += f' role="img" aria-label="{escape(title)}" color="#767677">'
    return name, title, f"{opening}\n <title>{escape(title)}</title>{inside}"
