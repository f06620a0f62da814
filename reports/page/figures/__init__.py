"""The figures of the report, as SVG that takes its greys from the page: readable in light and dark.

A figure is made of panels, one for each network or question. They stand beside each other where there is
room, and below each other on a phone. The same tables give the same bytes.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from reports.page.figures import accuracy, checker, cuda, drift, gradients, timing
from reports.page.figures.style import STYLE, svg


class Panel(NamedTuple):
    """A drawing: of which figure, its own name, what it shows, and the SVG."""

    figure: str
    name: str
    title: str
    svg: str


Tables = dict[str, pd.DataFrame]

# Each yields (name, title, drawing) of its panels, and nothing without rows to draw.
_FIGURES: dict[str, Callable[[Tables], Iterator[tuple[str, str, Figure]]]] = {
    "errors": gradients.errors,
    "cost": gradients.cost,
    "loss": accuracy.loss,
    "confusion": accuracy.confusion,
    "drift": drift.drift,
    "faults": checker.faults,
    "timing": timing.ratios,
    "sweep": timing.sweep,
    "cuda": cuda.cuda,
}


def draw(tables: Tables) -> Iterator[Panel]:
    """All panels that there are rows for, figure by figure."""
    with matplotlib.rc_context(STYLE):  # type: ignore[arg-type]
        for figure, panels in _FIGURES.items():
            for name, title, drawn in panels(tables):
                yield Panel(figure, name, title, svg(name, title, drawn))
