"""The tables as people read them: chosen columns, plain headings, rounded numbers, all as text."""

import numpy as np
import pandas as pd

from reports.page.figures.style import duration

TEXT = (
    *("PyTorch's file", "here", "not here"),
    "network",
    "dtype",
    "tensor",
    "shape",
    "method",
    "pair",
    "phase",
    "verdict",
    "PyTorch's optimizer",
    "optimizer",
    "check",
    "names",
    "mistake",
    "condition",
    "table",
    "row",
    "side",
    "roundings",
    *("where", "precision", "worst tensor"),
)

Tables = dict[str, pd.DataFrame]


def gradients(tables: Tables) -> pd.DataFrame:
    """All tensors, the differences absolute."""
    t = tables["gradients"]
    return pd.DataFrame(
        {
            "network": t["network"],
            "dtype": t["dtype"],
            "tensor": t["tensor"],
            "shape": t["shape"],
            "largest entry": t["scale"].map(short),
            "NumPy − PyTorch": t["numpy_torch"].map(short),
            "NumPy − complex step": t["numpy_numeric"].map(short),
            "PyTorch − complex step": t["torch_numeric"].map(short),
            "NumPy − central difference": t["numpy_central"].map(short),
            "tolerance": t["tolerance"].map(short),
            "detection limit": t["detection_limit"].map(short),
            "verdict": t["verdict"],
        }
    )


def gradients_in_short(tables: Tables) -> pd.DataFrame:
    """A row for each network and dtype: the largest relative difference, and how many tensors agree."""
    grouped = tables["gradients"].groupby(["network", "dtype"], sort=False)
    agreeing = grouped["verdict"].agg(lambda verdicts: (verdicts == "agree").sum())
    table = pd.DataFrame(
        {
            "tensors": grouped.size().map(str),
            "largest difference, relative": grouped["relative"].max().map(short),
            "detection limit": grouped["detection_limit"].max().map(short),
            "verdict": np.where(agreeing == grouped.size(), "agree", "differ"),
        }
    )
    return table.reset_index()


def cost(tables: Tables) -> pd.DataFrame:
    """A row for each method of differentiation."""
    t = tables["cost"]
    return pd.DataFrame(
        {
            "method": t["method"],
            "time": t["seconds"].map(duration),
            "× backpropagation": t["times_backpropagation"].map(_times),
            "× gradcheck": t["times_gradcheck"].map(_times),
            "largest error": t["error"].map(short).where(t["method"] != "backpropagation", "–"),
            "measured": t["repetitions"].map(lambda n: "once" if n == 1 else f"{n} times"),
        }
    )


def growth(tables: Tables) -> pd.DataFrame:
    """A row for each network, from small to large: the time by each method, "–" where it was not asked."""
    t = tables["growth"]
    seconds = t.pivot_table(index=["network", "entries"], columns="method", values="seconds", sort=False)
    shown = seconds.map(_duration).reset_index().rename_axis(columns=None).sort_values("entries")
    shown["entries"] = shown["entries"].map("{:,}".format)
    return shown


def errors(tables: Tables) -> pd.DataFrame:
    """A row for each bin that is not empty: how many entries of all gradients are so far off."""
    t = tables["errors"]
    keys = ["network", "dtype", "bin"]
    counts = t.pivot_table(index=keys, columns="pair", values="count", sort=False)
    counts = counts[counts.sum(axis=1) > 0].map("{:,.0f}".format).reset_index().rename_axis(columns=None)
    return counts.rename(columns={"bin": "roundings"})


def confusion(tables: Tables) -> pd.DataFrame:
    """A row for each label and what both sides took it for, the mistakes only, the most frequent first."""
    t = tables["confusion"]
    wrong = t[(t["predicted_numpy"] != t["label"]) | (t["predicted_torch"] != t["label"])]
    wrong = wrong.sort_values("count", ascending=False, kind="stable")
    named = {"label": "is a", "predicted_numpy": "NumPy reads", "predicted_torch": "PyTorch reads"}
    shown = wrong[["network", "batch", "seed", *named, "count"]].rename(columns=named | {"count": "times"})
    return shown.astype(str).reset_index(drop=True)


def misread(tables: Tables) -> pd.DataFrame:
    """A row for each picture of the test set that is misread."""
    named = {"index": "sample", "label": "is a", "numpy": "NumPy reads", "torch": "PyTorch reads"}
    return tables["misread"][["network", "batch", "seed", *named]].rename(columns=named).astype(str)


def timing(tables: Tables) -> pd.DataFrame:
    """A row for each phase of each configuration; of one that was left out, the reason."""
    t = tables["timing"]
    timed = t["ratio"].notna()
    interval = t["low"].map("{:.2f}".format) + " to " + t["high"].map("{:.2f}".format)
    return pd.DataFrame(
        {
            "network": t["network"] + ", batch " + t["batch"].map(str),
            "pair": t["pair"].fillna("–"),
            "phase": t["phase"].fillna("–"),
            "first": t["numpy_seconds"].map(_duration),
            "second": t["other_seconds"].map(_duration),
            "ratio": t["ratio"].map("{:.2f}".format).where(timed, "–"),
            "95% interval": interval.where(timed, "–"),
            "noise": t["noise"].map("±{:.2f}".format).where(timed, "–"),
            "verdict": t["verdict"],
            "PyTorch's optimizer": t["setting"].fillna("–"),
        }
    )


def cuda(tables: Tables) -> pd.DataFrame:
    """A row for each framework, device and precision: the largest error, and the time of a step."""
    t = tables["cuda"]
    return pd.DataFrame(
        {
            "network": t["network"] + ", batch " + t["batch"].map(str),
            "where": t["method"],
            "precision": t["dtype"],
            "largest error": (100 * t["error"]).map(short) + " %",
            "worst tensor": t["worst"],
            "step": t["seconds"].map(duration),
            "95% interval": t["low"].map(duration) + " to " + t["high"].map(duration),
            "steps": t["steps"].map("{:,}".format),
            "verdict": t["verdict"],
        }
    )


def accuracy(tables: Tables) -> pd.DataFrame:
    """A row for each network and seed, after the last epoch."""
    t = tables["accuracy"]
    columns = {
        "network": t["network"],
        "seed": t["seed"].map(str),
        "epochs": t["epoch"].map(str),
    }
    for part in ("train", "test"):
        for side in ("numpy", "torch"):
            columns[f"{part} loss, {_SIDES[side]}"] = t[f"{side}_{part}_loss"].map("{:.6f}".format)
    for side in ("numpy", "torch"):
        columns[f"train accuracy, {_SIDES[side]}"] = t[f"{side}_train_accuracy"].map(_percent)
        columns[f"test accuracy, {_SIDES[side]}"] = t[f"{side}_test_accuracy"].map(_percent)
    columns["predictions that differ"] = [
        f"{d} of {n:,}" for d, n in zip(t["predictions_differ"], t["test_samples"], strict=True)
    ]
    columns["largest weight difference"] = t["drift"].map(short)
    columns["relative"] = t["relative_drift"].map(short)
    if t["float64_drift"].notna().any():
        columns["relative, in float64"] = t["float64_drift"].map(short)
    columns["verdict"] = t["verdict"]
    return pd.DataFrame(columns)


def accuracy_in_short(tables: Tables) -> pd.DataFrame:
    """accuracy without the training set and the losses."""
    full = accuracy(tables)
    return full[[c for c in full if not c.startswith("train") and "loss" not in c]]


def epochs(tables: Tables) -> pd.DataFrame:
    """A row for each epoch that is kept."""
    t = tables["epochs"]
    columns = {"network": t["network"], "seed": t["seed"].map(str), "epoch": t["epoch"].map(str)}
    for part in ("train", "test"):
        for side in ("numpy", "torch"):
            columns[f"{part} loss, {_SIDES[side]}"] = t[f"{side}_{part}_loss"].map("{:.6f}".format)
    for side in ("numpy", "torch"):
        columns[f"test accuracy, {_SIDES[side]}"] = t[f"{side}_test_accuracy"].map(_percent)
    columns["largest weight difference"] = t["drift"].map(short)
    columns["relative"] = t["relative_drift"].map(short)
    return pd.DataFrame(columns)


def drift(tables: Tables) -> pd.DataFrame:
    """A row for each training, after its last step."""
    t = tables["drift"]
    return pd.DataFrame(
        {
            "network": t["network"],
            "optimizer": t["optimizer"],
            "batch": t["batch"].map(str),
            "steps": t["step"].map(str),
            "loss, NumPy": t["numpy_loss"].map("{:.6f}".format),
            "loss, PyTorch": t["torch_loss"].map("{:.6f}".format),
            "NumPy − PyTorch": t["drift"].map(short),
            "NumPy − NumPy in float64": t["numpy_rounding"].map(short),
            "PyTorch − PyTorch in float64": t["torch_rounding"].map(short),
            "both in float64": t["programs"].map(short),
            "rounding explains": t["allowed"].map(short),
            "verdict": t["verdict"],
        }
    )


def needle(tables: Tables) -> pd.DataFrame:
    """A row for each check that was asked for the one wrong entry."""
    t = tables["needle"]
    return pd.DataFrame(
        {
            "check": t["check"],
            "refuses": t["found"].map({True: "yes", False: "no"}),
            "names": t["place"].replace("", "–"),
            "time": t["seconds"].map(duration),
        }
    )


def faults(tables: Tables) -> pd.DataFrame:
    """A row for each mistake, one for all, and one for right code: how often each detector refused."""
    return fault_totals(tables["faults"]).astype(str)


def fault_totals(found: pd.DataFrame) -> pd.DataFrame:
    """The kill matrix with a row of sums over all mistakes before its last row, right code."""
    total = found[:-1].sum(numeric_only=True).to_frame().T.assign(mistake="(all of these)")
    return pd.concat([found[:-1], total, found[-1:]], ignore_index=True)


_SIDES = {"numpy": "NumPy", "torch": "PyTorch"}


def models(found: pd.DataFrame) -> pd.DataFrame:
    """The networks of ``gradmirror models``, a row each."""
    columns = {
        "network": found["network"],
        "batch": found["batch"],
        "steps": found["steps"],
        "loss, NumPy": found["numpy_loss"].map(short),
        "loss, PyTorch": found["torch_loss"].map(short),
        "drift": found["drift"].map(short),
        "drift, float64": found["programs"].map(short),
        "verdict": found["verdict"],
        "step, NumPy": found["numpy_seconds"].map(_duration),
        "step, PyTorch": found["other_seconds"].map(_duration),
        "NumPy / PyTorch": [
            f"{r:.2f} ({low:.2f} to {high:.2f})"
            for r, low, high in zip(found["ratio"], found["low"], found["high"], strict=True)
        ],
        "memory, NumPy": found["numpy_bytes"].map(_megabytes),
        "memory, PyTorch": found["torch_bytes"].map(_megabytes),
    }
    return pd.DataFrame(columns)


def markdown(table: pd.DataFrame, style: str = "pipe") -> str:
    """As a Markdown table, or another style of the package tabulate."""
    align = ["left" if column in TEXT else "right" for column in table]
    return table.to_markdown(index=False, tablefmt=style, colalign=align, disable_numparse=True)


def short(value: float) -> str:
    """Two digits: "0.25", "8.2e-16"; "–" for nan."""
    if np.isnan(value):
        return "–"
    if value == 0 or 1e-3 <= value < 1e3:
        return f"{value:.0f}" if value >= 10 else f"{value:.2g}"
    return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e")


def _duration(seconds: float) -> str:
    return "–" if np.isnan(seconds) else duration(seconds)


def _megabytes(count: float) -> str:
    return f"{count / 2**20:.0f} MB"


def _times(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else short(value)


def _percent(share: float) -> str:
    return f"{share:.2%}"
