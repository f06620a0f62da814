"""The figures of the gradients: how far they are off, and what they cost."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from reports.page.figures.style import (
    DASHED,
    INK,
    NUMPY,
    TORCH,
    blank,
    decades,
    duration,
    plain_ticks,
    time_ticks,
)
from scratch.gradcheck.tolerance import SPREADS

_PAIRS: dict[str, dict[str, Any]] = {
    "NumPy − numeric": {"color": NUMPY, "linewidth": 1.8, "linestyle": "-"},
    "PyTorch − numeric": {"color": TORCH, "linewidth": 1.4, "linestyle": DASHED},
    "NumPy − PyTorch": {"color": INK, "linewidth": 1.2, "linestyle": (0, (1, 1))},
}


def errors(tables: dict[str, pd.DataFrame]) -> Iterator[tuple[str, str, Figure]]:
    """Histograms of the errors in roundings, a panel for each dtype; equal ones have a bar of their own."""
    for dtype, rows in tables["errors"].groupby("dtype", sort=False):
        counts = rows.groupby(["pair", "low", "high"], sort=False, dropna=False)["count"].sum()
        figure = blank(2.9)
        equal, axes = figure.subplots(1, 2, sharey=True, width_ratios=(1, 5))
        for place, (pair, style) in enumerate(_PAIRS.items()):
            first, *others = counts[pair]
            lows = [low for low, _ in counts[pair].index[2:]]
            ends = [lows[0] / 2, *lows, lows[-1] * 2]  # the outer bins go on without end
            line = {"linewidth": style["linewidth"], "linestyle": style["linestyle"]}
            equal.bar(place, first, 0.8, fill=False, edgecolor=style["color"], **line)
            axes.stairs(others, ends, baseline=None, label=pair, **style)
        axes.axvline(SPREADS, color=INK, linewidth=1)
        axes.annotate(
            "tolerance",
            (SPREADS, 1),
            (3, -3),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            va="top",
            fontsize=8.5,
        )
        axes.set_xscale("log")
        axes.set_xlabel("difference, in roundings of the entry")
        equal.set_yscale("log")
        equal.set_ylim(bottom=0.7)
        equal.set_ylabel("entries")
        equal.set_xticks([1], ["equal"])
        equal.grid(axis="x", visible=False)
        for each in (equal, axes):
            each.minorticks_off()
        equal.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        told = f"{dtype}: {counts[pair].sum():,} entries of all gradients"
        figure.suptitle(told, x=0.01, ha="left", fontsize=9, fontweight="bold")
        labels = axes.get_legend_handles_labels()
        figure.legend(
            *labels, loc="outside lower center", ncols=3, columnspacing=0.8, handlelength=1.4, fontsize=8
        )
        yield f"errors-{dtype}", f"How far the gradients in {dtype} are off, entry by entry", figure


def cost(tables: dict[str, pd.DataFrame]) -> Iterator[tuple[str, str, Figure]]:
    """The time of each method on one network; and over networks that grow, if there are several."""
    title = "Time to differentiate by every parameter once, by method"
    yield "cost", title, _bars(tables["cost"])
    if tables["growth"]["entries"].nunique() > 1:
        yield "growth", f"{title}, as the network grows", _growth(tables["growth"])


def _bars(rows: pd.DataFrame) -> Figure:
    figure = blank(0.7 + 0.52 * len(rows))
    axes = figure.subplots()
    axes.set_xscale("log")
    start = decades(rows["seconds"])[0]
    for y, row in enumerate(rows[::-1].itertuples()):
        colour = TORCH if "torch" in row.method else NUMPY
        axes.barh(y, row.seconds - start, left=start, color=colour, alpha=0.8, height=0.34)
        times = "" if row.times_backpropagation == 1 else f" ({row.times_backpropagation:,.0f} ×)"
        told = f"{row.method}: {duration(row.seconds)}{times}"
        axes.annotate(told, (start, y + 0.32), (3, 0), textcoords="offset points", va="center")
    axes.set_yticks([])
    axes.set_ylim(-0.4, len(rows) - 0.35)
    axes.set_xlim(start, decades(rows["seconds"])[1])
    axes.grid(axis="y", visible=False)
    time_ticks(axes.xaxis)
    axes.set_title(f"{rows['network'].iloc[0]}, {rows['entries'].iloc[0]:,} derivatives")
    return figure


_METHODS: dict[str, dict[str, Any]] = {
    "torch.autograd.gradcheck": {"color": TORCH, "marker": "v", "linestyle": (0, (1, 1))},
    "the book's loop": {"color": NUMPY, "marker": "s", "linestyle": DASHED},
    "central difference": {"color": NUMPY, "marker": "^", "linestyle": (0, (6, 2))},
    "complex step": {"color": NUMPY, "marker": "D", "linestyle": (0, (6, 2, 1, 2))},
    "backpropagation": {"color": INK, "marker": "o", "linewidth": 2.2},
}


def _growth(grown: pd.DataFrame) -> Figure:
    figure = blank(3.9)
    axes = figure.subplots()
    for method, style in _METHODS.items():
        rows = grown[grown["method"] == method].sort_values("entries")
        slope = np.polyfit(np.log(rows["entries"]), np.log(rows["seconds"]), 1)[0]
        axes.plot(
            rows["entries"], rows["seconds"], markersize=4, label=f"{method}: slope {slope:z.1f}", **style
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("entries of all parameters")
    time_ticks(axes.yaxis)
    plain_ticks(axes.xaxis, grown["entries"].min() / 2, grown["entries"].max() * 2)
    axes.set_title("As the hidden layer grows")
    figure.legend(loc="outside lower center")
    return figure
