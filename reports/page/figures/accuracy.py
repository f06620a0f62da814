"""The figures of what was learned: losses, the confusion of the digits, and those that both sides misread."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, LogFormatterSciNotation, MaxNLocator, NullLocator

from reports.page.figures.style import DASHED, INK, NUMPY, RIGHT, TORCH, WRONG, blank, decades, slug


def loss(tables: dict[str, pd.DataFrame]) -> Iterator[tuple[str, str, Figure]]:
    """The losses of both sides by epoch, and their difference; a panel for each network and batch size."""
    for (network, batch), rows in tables["epochs"].groupby(["network", "batch"], sort=False):
        first = rows[rows["seed"] == rows["seed"].iloc[0]]
        title = f"Loss of both sides of {network}, batch {batch}, and their difference"
        yield f"loss-{slug(f'{network} {batch}')}", title, _loss(first)


def _told(rows: pd.DataFrame) -> str:
    network, batch, seed = rows[["network", "batch", "seed"]].iloc[0]
    return f"{network}, batch {batch}, seed {seed}"


def _loss(rows: pd.DataFrame) -> Figure:
    figure = blank(3.9)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    same = (rows["numpy_train_loss"] == rows["numpy_test_loss"]).all()
    parts = {"train": "o"} if same else {"train": "o", "test": "s"}
    differences = {part: (rows[f"numpy_{part}_loss"] - rows[f"torch_{part}_loss"]).abs() for part in parts}
    low, high = decades(np.concatenate([*differences.values()]))
    equal = low / 10
    for part, marker in parts.items():
        style: dict[str, Any] = {"marker": marker, "markersize": 4, "markerfacecolor": "none"}
        above.plot(
            rows["epoch"],
            rows[f"numpy_{part}_loss"],
            color=NUMPY,
            linewidth=2.5,
            alpha=0.55,
            label=f"NumPy, {part}",
        )
        above.plot(
            rows["epoch"],
            rows[f"torch_{part}_loss"],
            color=TORCH,
            linewidth=1,
            linestyle=DASHED,
            label=f"PyTorch, {part}",
            **style,
        )
        below.plot(rows["epoch"], differences[part].replace(0, equal), color=INK, linewidth=0, **style)
    above.set_ylim(bottom=0)
    above.set_ylabel("loss")
    above.set_title(_told(rows))
    above.legend(loc="upper right")
    below.set_yscale("log")
    below.set_ylim(equal / 2, high)
    ticks = [equal, *10.0 ** np.arange(round(np.log10(low)), round(np.log10(high)) + 1)]
    powers = LogFormatterSciNotation()
    below.yaxis.set_major_locator(FixedLocator(ticks))
    below.yaxis.set_minor_locator(NullLocator())
    below.set_yticklabels(["equal", *(powers(tick) for tick in ticks[1:])])
    below.set_ylabel("|difference|")
    below.set_xlabel("epoch")
    below.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    return figure


def confusion(tables: dict[str, pd.DataFrame]) -> Iterator[tuple[str, str, Figure]]:
    """What each network of pictures takes the digits for, and the pictures that it misreads."""
    for kind, drawing, title in (
        ("confusion", _matrix, "{}: which digits are read as which"),
        ("misread", _pictures, "{}: digits that both sides misread"),
    ):
        if kind in tables:
            for (network, batch), rows in tables[kind].groupby(["network", "batch"], sort=False):
                named = f"{network}, batch {batch}"
                yield f"{kind}-{slug(f'{network} {batch}')}", title.format(named), drawing(rows)


def _matrix(rows: pd.DataFrame) -> Figure:
    classes = 1 + rows[["label", "predicted_numpy", "predicted_torch"]].to_numpy().max()
    ours, theirs = (
        rows.pivot_table(
            index="label", columns=f"predicted_{side}", values="count", aggfunc="sum", fill_value=0
        )
        .reindex(index=range(classes), columns=range(classes), fill_value=0)
        .to_numpy()
        for side in ("numpy", "torch")
    )
    figure = blank(4.3)
    axes = figure.subplots()
    for (label, read), count in np.ndenumerate(ours):
        other = theirs[label, read]
        if not count and not other:
            continue
        strength = 0.15 + 0.2 * np.sqrt(count / ours.max())
        colour = RIGHT if label == read else WRONG
        axes.add_patch(Rectangle((read - 0.5, label - 0.5), 1, 1, facecolor=colour, alpha=strength))
        if count != other:
            axes.add_patch(Rectangle((read - 0.46, label - 0.46), 0.92, 0.92, fill=False, edgecolor=TORCH))
        told = str(count) if count == other else f"{count}/{other}"
        axes.text(read, label, told, ha="center", va="center", fontsize=8.5 if len(told) < 4 else 6.5)
    _square(axes, classes)
    same = "PyTorch's counts are the same" if (ours == theirs).all() else "framed: NumPy's count/PyTorch's"
    axes.set_xlabel(f"read as ({same})")
    axes.set_title(_told(rows))
    return figure


def _square(axes: Axes, classes: int) -> None:
    axes.set_xlim(-0.5, classes - 0.5)
    axes.set_ylim(classes - 0.5, -0.5)
    axes.set_aspect("equal")
    for axis, name in ((axes.xaxis, "read as"), (axes.yaxis, "is a")):
        axis.set_major_locator(FixedLocator(range(classes)))
        axis.set_label_text(name)
    axes.tick_params(length=0)
    axes.grid(visible=False)


_COLUMNS = 6


def _pictures(rows: pd.DataFrame) -> Figure:
    shown = rows.dropna(subset="pixels")
    lines = -(-len(shown) // _COLUMNS)
    figure = blank(0.35 + 0.92 * lines)
    axes = figure.subplots()
    for place, row in enumerate(shown.itertuples()):
        down, right = divmod(place, _COLUMNS)
        x, y = 1.15 * right, 1.4 * down
        greys = np.frombuffer(bytes.fromhex(row.pixels), np.uint8)
        side = int(np.sqrt(greys.size))
        axes.imshow(
            greys.reshape(side, side),
            cmap="gray",
            vmin=0,
            vmax=255,
            interpolation="none",
            extent=(x, x + 1, y + 1, y),
        )
        differ = row.numpy != row.torch
        read, colour = (f"{row.numpy}/{row.torch}", TORCH) if differ else (f"{row.numpy}", INK)
        axes.text(x + 0.5, y + 1.04, f"{row.label} → {read}", ha="center", va="top", color=colour)
    axes.set_xlim(0, 1.15 * _COLUMNS - 0.15)
    axes.set_ylim(1.4 * lines, 0)
    axes.set_axis_off()
    axes.set_title(f"{len(shown)} of {len(rows)} misread: what it is → what it is read as")
    return figure
