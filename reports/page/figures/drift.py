"""The figure of two trainings, step by step."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from reports.page.figures.style import DASHED, INK, NUMPY, TORCH, blank, decades, slug

_CURVES: dict[str, tuple[str, dict[str, Any]]] = {
    "drift": ("NumPy − PyTorch", {"color": INK, "linewidth": 2.2}),
    "numpy_rounding": ("NumPy − NumPy in float64", {"color": NUMPY}),
    "torch_rounding": ("PyTorch − PyTorch in float64", {"color": TORCH, "linestyle": DASHED}),
    "programs": ("both in float64", {"color": INK, "linewidth": 1}),
    "allowed": ("what rounding explains there", {"color": INK, "linewidth": 1, "linestyle": ":"}),
}


def drift(tables: dict[str, pd.DataFrame]) -> Iterator[tuple[str, str, Figure]]:
    """Losses, and how far the weights are apart; a panel for each training, all on the same scale."""
    steps = tables["drift_steps"]
    steps = steps[steps["step"] > 0]
    low, high = decades(steps[[*_CURVES]])
    trainings = steps.groupby(["network", "batch", "optimizer"], sort=False)
    for (network, batch, optimizer), rows in trainings:
        figure = blank(4.3)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 2))
        above.plot(rows["step"], rows["numpy_loss"], color=NUMPY)
        above.plot(rows["step"], rows["torch_loss"], color=TORCH, linestyle=DASHED)
        above.set_ylim(0, None)
        above.set_ylabel("loss")
        above.set_title(f"{network}, batch {batch}, {optimizer}")
        for column, (label, style) in _CURVES.items():
            below.plot(rows["step"], rows[column].replace(0, np.nan), label=label, **style)
        below.set_yscale("log")
        below.set_ylim(low, high)
        below.set_xlabel("step")
        below.set_ylabel("largest difference\n/ largest weight")
        figure.legend(loc="outside lower center", ncols=2)
        title = f"How far the weights of {network}, batch {batch}, by {optimizer} are apart, step by step"
        yield f"drift-{slug(f'{network} {batch} {optimizer}')}", title, figure
