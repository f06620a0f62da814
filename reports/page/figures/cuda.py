"""The figure of a GPU: what each precision costs in error and saves in time, a panel for each network."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from reports.page.figures.style import NUMPY, TORCH, time_ticks


def cuda(tables: dict[str, pd.DataFrame]) -> Iterator[tuple[str, str, Figure]]:
    """(name, what it shows, drawing) for each network; none where there is no error to show."""
    if "cuda" not in tables:
        return
    found = tables["cuda"]
    shown = found[(found["error"] > 0) & np.isfinite(found["error"])]
    for number, (network, rows) in enumerate(shown.groupby("network", sort=False)):
        yield (
            f"cuda-{number}",
            f"Error and time of {network} in each precision",
            _panel(f"{network}, batch {rows['batch'].iloc[0]}", rows),
        )


# A shape for each setting of a device; the CPU's are squares.
_SHAPES = {"float64": "D", "float32": "o", "float32, TF32": "^", "bfloat16, autocast": "v"}


def _panel(title: str, rows: pd.DataFrame) -> Figure:
    figure = Figure(figsize=(4.2, 3.6), layout="constrained")
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
