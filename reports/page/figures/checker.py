"""The figure of the check itself: the mistakes that it finds, and that others find."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter

from reports.page.figures.style import INK, NUMPY, blank


def faults(tables: dict[str, pd.DataFrame]) -> Iterator[tuple[str, str, Figure]]:
    """The share of mistakes that each detector refuses."""
    matrix = tables["faults"]
    counts = ("mistake", "tried", "named", "misnamed")
    detectors = [column for column in matrix if column not in counts][::-1]
    tried = matrix["tried"][:-1].sum()
    figure = blank(0.7 + 0.3 * len(detectors))
    axes = figure.subplots()
    for y, each in enumerate(detectors):
        found = matrix[each][:-1].sum()
        colour = NUMPY if each == "gradmirror" else INK
        axes.barh(y, found / tried, color=colour, alpha=0.8, height=0.62)
        axes.annotate(
            f"{found} of {tried}",
            (found / tried, y),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
        )
    axes.set_yticks(range(len(detectors)), detectors)
    axes.set_xlim(0, 1.35)
    axes.xaxis.set_major_locator(FixedLocator([0, 0.5, 1]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("mistakes found")
    yield "faults", "The share of mistakes that each check finds", figure
