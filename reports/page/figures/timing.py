"""The figures of time: the ratio of both sides, phase by phase, and a step as batch and width grow."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.page.figures.style import DASHED, INK, NUMPY, TORCH, blank, plain_ticks, slug, time_ticks


def ratios(tables: dict[str, pd.DataFrame]) -> Iterator[tuple[str, str, Figure]]:
    """NumPy's time by PyTorch's with its interval, over the noise; a panel for each network, one scale."""
    timed = tables["timing"].dropna(subset="ratio")
    low, high = min(timed["low"].min(), 0.5) / 1.15, max(timed["high"].max(), 2) * 1.15
    for (network, batch), rows in timed.groupby(["network", "batch"], sort=False):
        figure = blank(0.9 + 0.27 * len(rows))
        axes = figure.subplots()
        axes.set_xscale("log")
        for y, row in enumerate(rows[::-1].itertuples()):
            colour, marker = (INK, "D") if row.pair == "NumPy / NumPy" else (NUMPY, "o")
            axes.barh(y, 2 * row.noise, left=max(1 - row.noise, 1e-3), height=1, color=INK, alpha=0.16)
            axes.plot([row.low, row.high], [y, y], color=colour, linewidth=3, alpha=0.6)
            axes.plot(row.ratio, y, marker, color=colour, markersize=5)
        axes.axvline(1, color=INK, linewidth=1)
        names = rows["phase"].where(rows["pair"] == "NumPy / PyTorch", rows["pair"])
        axes.set_yticks(range(len(rows)), names[::-1])
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.grid(axis="y", visible=False)
        axes.set_xlim(low, high)
        plain_ticks(axes.xaxis, low, high)
        axes.set_xlabel("time of NumPy / time of PyTorch")
        axes.set_title(f"{network}, batch {batch}")
        title = f"Time of NumPy divided by time of PyTorch, {network}, batch {batch}"
        yield f"timing-{slug(f'{network} {batch}')}", title, figure


_VARIED = {"batch": ("batch size", "width"), "width": ("width", "batch")}


def sweep(tables: dict[str, pd.DataFrame]) -> Iterator[tuple[str, str, Figure]]:
    """The time of a step against batch size and against width, both sides, and their ratio below."""
    timed = tables.get("sweep", pd.DataFrame())
    if timed.empty:
        return
    for vary, rows in timed.dropna(subset="ratio").groupby("vary", sort=False):
        told, kept = _VARIED[vary]
        figure = blank(4.1)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        series = list(rows.sort_values(vary).groupby([kept, "dtype"], sort=False))
        for ((size, dtype), each), marker in zip(series, "os^DvP<>", strict=False):
            which = f", {kept} {size}, {dtype}" if len(series) > 1 else ""
            _pair(above, below, each, vary, marker, which)
        below.axhline(1, color=INK, linewidth=1)
        for axes in (above, below):
            axes.set_xscale("log")
            axes.set_yscale("log")
        time_ticks(above.yaxis)
        plain_ticks(below.yaxis, rows["low"].min() / 1.5, rows["high"].max() * 1.5)
        above.set_ylabel("time of a step")
        below.set_ylabel("NumPy / PyTorch")
        below.set_xlabel(told)
        plain = sorted(rows[vary].unique())
        below.set_xticks(plain, [f"{value:,}" for value in plain])
        below.minorticks_off()
        size, dtype = series[0][0]
        above.set_title(f"Against the {told}" + (f", {kept} {size}, {dtype}" if len(series) == 1 else ""))
        above.legend(loc="upper left")
        yield f"sweep-{vary}", f"Time of a step of both sides against the {told}, and their ratio", figure


def _pair(above: Axes, below: Axes, rows: pd.DataFrame, vary: str, marker: str, which: str) -> None:
    style: dict[str, Any] = {"marker": marker, "markersize": 4}
    above.plot(rows[vary], rows["numpy_seconds"], color=NUMPY, label=f"NumPy{which}", **style)
    above.plot(
        rows[vary],
        rows["torch_seconds"],
        color=TORCH,
        linestyle=DASHED,
        label=f"PyTorch{which}",
        markerfacecolor="none",
        **style,
    )
    below.fill_between(rows[vary], rows["low"], rows["high"], color=INK, alpha=0.25, linewidth=0)
    below.plot(rows[vary], rows["ratio"], color=INK, **style)
