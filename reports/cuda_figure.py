"""The figure of cuda.py: what each precision costs in error and saves in time, a panel for each network."""

from collections.abc import Iterator

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from reports.figures import _STYLE, NUMPY, TORCH, _decades, _svg


def draw(tables: dict[str, pd.DataFrame]) -> Iterator[tuple[str, str, str]]:
    """(name, what it shows, SVG) for each panel."""
    with matplotlib.rc_context(_STYLE):  # type: ignore[arg-type]
        for panel in panels(tables):
            yield _svg(*panel)


def panels(tables: dict[str, pd.DataFrame]) -> Iterator[tuple[str, str, Figure]]:
    """(name, what it shows, drawing) for each network; none where nothing was measured on a device."""
    if "cuda" not in tables:
        return
    for number, (network, rows) in enumerate(tables["cuda"].groupby("network", sort=False)):
        yield f"cuda-{number}", f"Error and time of {network} in each precision", _panel(str(network), rows)


def _panel(network: str, rows: pd.DataFrame) -> Figure:
    figure = Figure(figsize=(4.2, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.set_title(f"{network}, batch {rows['batch'].iloc[0]}", loc="left")
    axes.set_xscale("log")
    axes.set_yscale("log")
    for _, row in rows[rows["error"] > 0].iterrows():
        on_cpu = row["method"] in ("NumPy", "PyTorch, CPU")
        axes.plot(
            row["seconds"],
            100 * row["error"],
            "s" if on_cpu else "o",
            color=NUMPY if row["method"] == "NumPy" else TORCH,
            markerfacecolor="none" if on_cpu else None,
        )
        told = f"{row['method']}, {row['dtype']}" if on_cpu else row["dtype"]
        axes.annotate(
            told, (row["seconds"], 100 * row["error"]), (6, 3), textcoords="offset points", fontsize=8
        )
    axes.set_xlim(rows["seconds"].min() / 2, rows["seconds"].max() * 8)
    axes.set_ylim(*_decades([100 * rows["error"]]))
    axes.set_xlabel("seconds of a step")
    axes.set_ylabel("largest error, %")
    return figure
