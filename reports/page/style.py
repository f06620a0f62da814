"""The look that all figures share: their width, colours and greys, and how they become SVG.

The colours are those of Okabe and Ito, which colour-blind readers can tell apart; dashes and markers tell the
curves apart as well. The greys become currentColor, so they are those of the page around the figure.

matplotlib is imported here alone, when something is drawn: the processes that measure have no use for it,
and a
machine that has only a GPU need not have it.
"""

import io
import re
from html import escape
from typing import Any

import numpy as np

from reports.page.text import round_duration

NUMPY, TORCH, RIGHT, WRONG = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
DASHED = (0, (3, 2))

# Stands for the colour of the text around the figure, and is replaced by its name in SVG.
INK = "#767677"
STYLE = {
    "svg.hashsalt": "gradmirror",
    "svg.fonttype": "none",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.2,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.handlelength": 1.8,
    "legend.columnspacing": 1.0,
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
        INK,
    ),
}


def blank(height: float) -> Any:
    """An empty panel, so many inches high, and so wide that its words can be read on a phone."""
    from matplotlib.figure import Figure

    return Figure(figsize=(4.2, height), layout="constrained")


def slug(name: str) -> str:
    """A name for a file and for ids: "XOR 2-4-2" gives "xor-2-4-2"."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def box(axes: Any, x: float, y: float, side: float, **look: Any) -> None:
    """A square around a point."""
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((x - side / 2, y - side / 2), side, side, **look))


def plain_ticks(axis: Any, low: float, high: float) -> None:
    """1, 2, 5, 10, … on a log axis, as far as they are between low and high."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    ticks = [float(f"{digit}e{power}") for power in range(-4, 8) for digit in (1, 2, 5)]
    axis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.set_minor_locator(NullLocator())


def time_ticks(axis: Any) -> None:
    """1 µs, 10 µs, … on a log axis of seconds."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axis.set_major_locator(LogLocator(10))
    axis.set_major_formatter(FuncFormatter(lambda seconds, _: round_duration(seconds)))
    axis.set_minor_locator(NullLocator())


def whole_ticks(axis: Any) -> None:
    """Whole numbers on a linear axis."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))


def ticks_from_equal(axes: Any, low: float, high: float) -> None:
    """Powers of ten from low to high on a log y axis, and below them "equal", a tenth of low."""
    from matplotlib.ticker import FixedLocator, LogFormatterSciNotation, NullLocator

    ticks = [low / 10, *10.0 ** np.arange(round(np.log10(low)), round(np.log10(high)) + 1)]
    powers = LogFormatterSciNotation()
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_yticklabels(["equal", *(powers(tick) for tick in ticks[1:])])


def decades(values: Any) -> tuple[float, float]:
    """Powers of ten around all that is not 0."""
    numbers = np.asarray(values, float)
    numbers = numbers[(numbers > 0) & np.isfinite(numbers)]
    if not numbers.size:
        return 1e-17, 1e-15
    low, high = np.log10(numbers.min()) - 0.1, np.log10(numbers.max()) + 0.1
    return float(10 ** np.floor(low)), float(10 ** np.ceil(high))


_OURS = ' color="#767677">'


def svg(name: str, title: str, figure: Any) -> str:
    """The figure as SVG: a title, ids that only this panel has, the page's colour, and no metadata."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    target = io.StringIO()
    FigureCanvasSVG(figure)
    figure.savefig(
        target,
        format="svg",
        transparent=True,
        metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")),
    )
    text = target.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*|<!--.*?-->\s*", "", text, flags=re.S)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    text = text.replace(INK, "currentColor")
    opening, inside = text.split(">", 1)
    opening += f' role="img" aria-label="{escape(title)}"{_OURS}'
    return f"{opening}\n <title>{escape(title)}</title>{inside}"


def is_panel(text: str) -> bool:
    """Whether this is the text of an SVG that ``svg`` made."""
    return text.startswith("<svg") and _OURS in text.partition("\n <title>")[0]
