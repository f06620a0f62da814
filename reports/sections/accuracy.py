"""The same program, the same seed, two frameworks: what each learns, epoch by epoch."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

import scratch.training
import torch_ref.twin.training
from reports.page import text
from reports.page.style import (
    DASHED,
    INK,
    NUMPY,
    RIGHT,
    TORCH,
    WRONG,
    blank,
    box,
    decades,
    slug,
    ticks_from_equal,
    whole_ticks,
)
from reports.page.text import SIDES
from reports.runner import confusion
from reports.runner.findings import Findings, Rows
from reports.runner.intervals import mean_interval
from reports.runner.networks import Network, parameter_vector, to_torch
from reports.runner.plan import Plan
from reports.runner.tasks import Task
from reports.sections import section
from reports.sections.section import Change, Changes, Column, Drawing, Headline, Section, Table, Tables
from scratch import nn, no_grad, optim
from scratch.data import DataLoader
from scratch.training import History

MEASURES = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
_SETS = {"train": "training", "test": "test"}

_LEARNED = (
    section.NETWORK,
    section.BATCH,
    section.PRECISION,
    section.SEED,
    Column("epoch", section.COUNT, "Passes over the training set so far; 0 is before any update."),
    *(
        Column(
            f"{side}_{part}_loss",
            section.NUMBER_OR_NULL,
            f"{who}'s mean cross entropy on the {of} set, in nats.",
        )
        if measure == "loss"
        else Column(
            f"{side}_{part}_accuracy",
            section.NUMBER,
            f"{who}'s share of right predictions on the {of} set, from 0 to 1.",
        )
        for part, of in _SETS.items()
        for measure in ("loss", "accuracy")
        for side, who in SIDES.items()
    ),
    Column(
        "drift",
        section.NUMBER_OR_NULL,
        "The largest difference of a weight of the two sides, in units of the weights.",
    ),
    Column("relative_drift", section.NUMBER_OR_NULL, "drift by NumPy's largest weight, without unit."),
)


class Accuracy(Section):
    """Trainings of both sides from one seed: losses, accuracies, and how far the weights are apart.

    Roundings differ, and training carries them on: it multiplies a difference as it does any other change of
    the weights. The two sides agree if, in the end, the weights have half of their digits in common (relative
    difference of √u at most); a wrong gradient is far beyond that after a few steps. So is, in float32, a
    ReLU that a rounding flips on one side only. Such a training is done again in float64, where that is rare,
    and is judged there.
    """

    name = "accuracy"
    number = 2
    title = "Accuracy"
    question = "do they learn the same?"
    about = "The same program, the same seed, two frameworks: what each learns."
    tables = (
        Table(
            "epochs",
            "A row for each epoch that is kept, of each training: the first, every nth and the last.",
            ("network", "batch", "dtype", "seed", "epoch"),
            _LEARNED,
        ),
        Table(
            "accuracy",
            "A row for each training, after its last epoch.",
            ("network", "batch", "dtype", "seed"),
            (
                *_LEARNED,
                Column(
                    "epochs",
                    section.COUNT,
                    "How many epochs were asked for; epoch is fewer if a loss became nan or inf.",
                ),
                Column("test_samples", section.COUNT, "How many samples the test set has."),
                Column(
                    "predictions_differ",
                    section.COUNT,
                    "In how many test samples the two sides predict another class.",
                ),
                Column(
                    "half_the_digits",
                    section.NUMBER,
                    "The limit of relative_drift: the square root of half an ulp of 1, without unit.",
                ),
                Column(
                    "float64_drift",
                    section.NUMBER_OR_NULL,
                    "relative_drift after the same training in float64; null unless that in float32 ended "
                    "too far "
                    "apart.",
                ),
                Column("verdict", section.TEXT, "agree or differ."),
            ),
        ),
        Table(
            "confusion",
            "The predictions of the test pictures after the training from the first seed: a row for each "
            "label with "
            "these two predictions. Not there if no network learns pictures.",
            ("network", "batch", "dtype", "seed", "label", "predicted_numpy", "predicted_torch"),
            (
                section.NETWORK,
                section.BATCH,
                section.PRECISION,
                section.SEED,
                Column("label", section.COUNT, "The digit that the picture shows."),
                Column("predicted_numpy", section.COUNT, "NumPy's prediction."),
                Column("predicted_torch", section.COUNT, "PyTorch's prediction."),
                Column("count", section.POSITIVE, "How many such pictures there are."),
            ),
            optional=True,
        ),
        Table(
            "misread",
            "The test pictures that both sides misread, after those on which they differ. Not there if there "
            "are "
            "none.",
            ("network", "batch", "dtype", "seed", "index"),
            (
                section.NETWORK,
                section.BATCH,
                section.PRECISION,
                section.SEED,
                Column("index", section.COUNT, "The picture's place in the test set, from 0 on."),
                Column("label", section.COUNT, "The digit that it shows."),
                Column("numpy", section.COUNT, "NumPy's prediction."),
                Column("torch", section.COUNT, "PyTorch's prediction."),
                Column(
                    "pixels",
                    section.TEXT_OR_NULL,
                    "Its greys, row by row, two hexadecimal digits each, from 00 to ff; null after the first "
                    "24.",
                ),
            ),
            optional=True,
        ),
    )

    html = """
<p>Each row is a training of its own. Both sides draw their own weights and shuffles from the seed; nothing
is handed from one to
the other. Roundings differ, and training carries them on, so the last columns say how far the two sets of
weights are apart
in the end. The sides agree if that is at most {{ tables.accuracy.half_the_digits.iloc[0]|short }} of the
largest weight: half of the digits of {{ options.dtype }}.
{% if tables.accuracy.float64_drift.notna().any() %}
Where it is more, the training is done again in float64: a ReLU that a rounding flips on one side only is
rare there, and a wrong
gradient is not.
{% endif %}</p>
{{ grid(shown.in_short, "After the last epoch") }}
{{ drawing(figures.loss, "Above: the loss, NumPy as a broad line and PyTorch dashed on top of it. Below: how
far apart they are, circles for training, squares for the test.") }}
{% if figures.confusion %}
<h3>Which digits are misread?</h3>
<p>Two networks may be right equally often and still not be the same. So here is, for each digit of the test
set, the prediction of both
sides after the training from the first seed. A row is what a digit is, a column what it is read as; the
green diagonal is
right. Where PyTorch's count differs from NumPy's, the cell is framed and has both.</p>
{{ drawing(figures.confusion, "The digits that both sides misread, first those on which they differ, if
there are any; then in the order of the test set.") }}
<details>
<summary>Mistake by mistake</summary>
{{ grid(shown.confusion, "Digits misread, as what, and how often") }}
{% if shown.misread is defined %}
{{ grid(shown.misread, "Each misread sample of the test set, counted from 0") }}
{% endif %}
</details>
{% endif %}
<details>
<summary>Losses, and the training set</summary>
{{ grid(shown.accuracy, "After the last epoch, all columns") }}
</details>
<details>
<summary>Epoch by epoch</summary>
{{ grid(shown.epochs, "Each epoch that was kept; epoch 0 is before the first update") }}
</details>
"""
    markdown = """
Each row is a training of its own, on both sides from the same seed, with nothing handed from one to the
other.
They agree if the weights end with half of their digits in common: a relative difference of at most {{
tables.accuracy.half_the_digits.iloc[0]|short }}.
{% if tables.accuracy.float64_drift.notna().any() %}
Where it is more, the training is done again in float64: a ReLU that a rounding flips on one side only is
rare there, and a
wrong gradient is not.
{% endif %}

{{ shown.accuracy|markdown }}
{% if shown.confusion is defined %}

### Which digits are misread?

The predictions of both sides for the digits of the test set, after the training from the first seed: the
mistakes only.

{{ shown.confusion|markdown }}
{% endif %}
"""
    method = """
Training: SGD in {{ options.dtype }}, CrossEntropyLoss, {{ options.epochs }} epochs; 784-50-10 with batches
of 100 and learning rate 0.1.
XOR: {{ options.xor_epochs }} epochs of all four samples, learning rate 3. Each side uses its own
framework's initialisation,
DataLoader, shuffle and optimizer. The misread digits are those of the first seed, after the last epoch.
"""

    def tasks(self, plan: Plan) -> list[Task]:
        """The networks that were asked for, or the book's, and XOR for longer."""
        options = plan.options
        long = (plan.xor, options["xor_epochs"], max(1, options["xor_epochs"] // 20))
        return tasks(
            [*((each, options["epochs"], 1) for each in plan.asked or [plan.book]), long],
            dtype=options["dtype"],
            seeds=range(options["seed"], options["seed"] + options["seeds"]),
        )

    def conclude(self, rows: Rows, seed: int) -> Findings:
        """They agree if all trainings do."""
        return Findings(rows.tables, {}, bool((rows.tables["accuracy"]["verdict"] == "agree").all()))

    def shown(self, tables: Tables) -> dict[str, pd.DataFrame]:
        """All columns, and in short; epoch by epoch; and the digits that are misread, if there are any."""
        found = {
            "accuracy": in_full(tables["accuracy"]),
            "in_short": in_short(tables["accuracy"]),
            "epochs": by_epoch(tables["epochs"]),
        }
        found |= {"confusion": mistaken(tables["confusion"])} if "confusion" in tables else {}
        return found | ({"misread": misread(tables["misread"])} if "misread" in tables else {})

    def figures(self, tables: Tables) -> dict[str, Iterator[Drawing]]:
        """The losses; and what the digits are taken for."""
        return {"loss": losses(tables["epochs"]), "confusion": predictions(tables)}

    def headlines(self, tables: Tables) -> list[Headline]:
        """The accuracy of the first network, and how far its weights drift apart."""
        accuracy = tables["accuracy"]
        digits = accuracy[accuracy["network"] == accuracy["network"].iloc[0]]
        low, high = digits["numpy_test_accuracy"].min(), digits["numpy_test_accuracy"].max()
        differ, samples = digits["predictions_differ"].sum(), digits["test_samples"].sum()
        network, epochs = digits["network"].iloc[0], digits["epochs"].iloc[0]
        return [
            Headline(
                "Test accuracy",
                f"{low:.1%}" if low == high else f"{low:.1%} to {high:.1%}",
                f"of NumPy's {network} after {epochs} epochs; "
                f"{differ} of {samples:,} predictions differ from PyTorch's",
                main=True,
            ),
            Headline(
                "Weights drift apart by",
                text.short(digits["drift"].max()),
                f"at most, in {epochs} epochs of the same program on two frameworks",
            ),
        ]

    def summary(self, tables: Tables) -> dict[str, pd.DataFrame]:
        """The table after the last epoch, without losses."""
        return {"Accuracy": in_short(tables["accuracy"])}

    def agreement(self, tables: Tables) -> str:
        """The seeds from which they learned the same."""
        seeds = tables["accuracy"]["seed"].nunique()
        return f"in what they learned from {f'each of {seeds} seeds' if seeds > 1 else 'the seed'}"

    def disagreements(self, tables: Tables) -> list[str]:
        """Each training that ends apart."""
        apart = tables["accuracy"].query("verdict != 'agree'")
        return [f"what {row.network} learned from seed {row.seed}" for row in apart.itertuples()]

    def compare(self, old: Findings, new: Findings, same_machine: bool) -> Changes:
        """The accuracies: seed by seed, and the mean difference over the seeds with its interval."""
        found = Changes("Accuracy on the test set, old and new paired by seed")
        both = self.paired(old, new, "accuracy")
        groups = [rows for _, rows in both.groupby(["network", "batch", "dtype"], sort=False)]
        others = [rows for rows in groups if not _identical(rows)]
        means = [_mean(rows, side) for rows in others for side in SIDES]
        judged = {"higher", "lower", _ONE_SEED}
        found.changes = [
            Change(
                f"{row['side']}'s accuracy of {row['network']}: {row['old']} → {row['new']}, "
                f"{row['verdict']}",
                row["verdict"] == "lower",
            )
            for row in means
            if row["verdict"] in judged
        ]
        found.tables = [pd.DataFrame(means), *(_by_seed(rows) for rows in others)] if others else []
        found.unchanged = {
            "networks that learned the same to the last digit": len(groups) - len(others),
            "mean accuracies, but for noise": sum(row["verdict"] not in judged for row in means),
        }
        return found


# Tasks


def tasks(plans: Sequence[tuple[Network, int, int]], *, dtype: str, seeds: Sequence[int]) -> list[Task]:
    """The tasks of the section.

    Args:
        plans: networks, for how many epochs to train each, and every how many epochs to keep a row.
        dtype: of the training.
        seeds: each gives a training of its own.
    """
    return [
        Task(
            f"training {network.name}, batch {network.batch_size}, seed {seed}",
            partial(_trained, network, epochs, every, dtype, seed, read=seed == seeds[0]),
        )
        for network, epochs, every in plans
        for seed in seeds
    ]


def _trained(network: Network, epochs: int, every: int, dtype: str, seed: int, read: bool) -> Rows:
    trained = train_both(network, epochs, dtype, seed)
    rows = trained.epochs
    final = rows.tail(1).assign(
        epochs=epochs,
        test_samples=len(network.splits[dtype].test),
        predictions_differ=int(np.count_nonzero(trained.numpy != trained.torch)),
        half_the_digits=_half_the_digits(dtype),
        float64_drift=np.nan,
    )
    agrees = _agree(rows, epochs, dtype)
    if not agrees and dtype != "float64" and len(rows) == 1 + epochs:
        again = train_both(network, epochs, "float64", seed).epochs
        final["float64_drift"] = again["relative_drift"].iloc[-1]
        agrees = _agree(again, epochs, "float64")
    final["verdict"] = "agree" if agrees else "differ"
    kept = rows[(rows["epoch"] % every == 0) | (rows["epoch"] == epochs)]
    pictures = confusion.tables(network, dtype, seed, trained.numpy, trained.torch) if read else {}
    return Rows({"epochs": kept, "accuracy": final, **pictures})


def _half_the_digits(dtype: str) -> float:
    return float(np.sqrt(np.finfo(dtype).eps / 2))


def _agree(rows: pd.DataFrame, epochs: int, dtype: str) -> bool:
    """Whether both sides came to the last epoch, and with the same weights."""
    return len(rows) == 1 + epochs and rows["relative_drift"].iloc[-1] <= _half_the_digits(dtype)


class Trained(NamedTuple):
    """A row for each epoch, and the predictions of each side for the test samples in the end, (N,)."""

    epochs: pd.DataFrame
    numpy: np.ndarray
    torch: np.ndarray


def train_both(network: Network, epochs: int, dtype: str, seed: int) -> Trained:
    """Train both sides from one seed; a row for each epoch, from 0.

    ``drift`` is the largest difference of two weights after that epoch, ``relative_drift`` that by the
    largest weight. Where a side's loss becomes nan the rows end.
    """
    model, twin = network.build(dtype, seed)
    numpy_run, torch_run = _fit_numpy(network, model, epochs, dtype), _fit_torch(network, twin, epochs, dtype)
    rows = []
    for (ours, w), (theirs, twin_w) in zip(numpy_run, torch_run, strict=False):
        row: dict[str, Any] = {"network": network.name, "batch": network.batch_size}
        row |= {"dtype": dtype, "seed": seed, "epoch": ours["epoch"]}
        for measure in MEASURES:
            row |= {f"numpy_{measure}": ours[measure], f"torch_{measure}": theirs[measure]}
        drift = float(np.max(np.abs(w - twin_w)))
        rows.append(row | {"drift": drift, "relative_drift": drift / float(np.max(np.abs(w)))})
    x = network.splits[dtype].test.tensors[0]
    model.eval()
    twin.eval()
    with no_grad(), torch.no_grad():
        ours, theirs = model(x), twin(torch.from_numpy(x)).numpy()
    return Trained(pd.DataFrame(rows), np.argmax(ours, axis=1), np.argmax(theirs, axis=1))


Run = list[tuple[dict[str, float], np.ndarray]]


def _fit_numpy(network: Network, model: nn.Module, epochs: int, dtype: str) -> Run:
    train, test = network.splits[dtype]
    loss_fn = nn.CrossEntropyLoss()
    optimizer = optim.SGD(model.parameters(), lr=network.lr)
    start = [scratch.training.evaluate(model, loss_fn, part) for part in (train, test)]
    kept: Run = [(_row(*start), parameter_vector(model))]

    def keep(history: History) -> None:
        kept.append((history[-1], parameter_vector(model)))

    loader = DataLoader(train, network.batch_size, shuffle=True)
    with suppress(FloatingPointError):
        scratch.training.fit(model, loss_fn, optimizer, loader, epochs=epochs, test=test, after_epoch=keep)
    return kept


def _fit_torch(network: Network, model: torch.nn.Module, epochs: int, dtype: str) -> Run:
    train, test = map(to_torch, network.splits[dtype])
    loss_fn = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=network.lr)
    start = [torch_ref.twin.training.evaluate(model, loss_fn, part) for part in (train, test)]
    kept: Run = [(_row(*start), parameter_vector(model))]

    def keep(history: History) -> None:
        kept.append((history[-1], parameter_vector(model)))

    loader = torch.utils.data.DataLoader(train, network.batch_size, shuffle=True)
    with suppress(FloatingPointError):
        torch_ref.twin.training.fit(
            model, loss_fn, optimizer, loader, epochs=epochs, test=test, after_epoch=keep
        )
    return kept


def _row(train: Any, test: Any) -> dict[str, float]:
    """The row of epoch 0: before any update."""
    return {
        "epoch": 0,
        **{
            f"{part}_{key}": v
            for part, e in (("train", train), ("test", test))
            for key, v in e._asdict().items()
        },
    }


# Tables for people


def in_full(t: pd.DataFrame) -> pd.DataFrame:
    """A row for each network and seed, after the last epoch."""
    columns = {"network": t["network"], "seed": t["seed"].map(str), "epochs": t["epoch"].map(str)}
    columns |= _losses(t)
    for side, name in SIDES.items():
        columns[f"train accuracy, {name}"] = t[f"{side}_train_accuracy"].map(text.percent)
        columns[f"test accuracy, {name}"] = t[f"{side}_test_accuracy"].map(text.percent)
    columns["predictions that differ"] = pd.Series(
        [f"{d} of {n:,}" for d, n in zip(t["predictions_differ"], t["test_samples"], strict=True)], t.index
    )
    columns |= _distances(t)
    if t["float64_drift"].notna().any():
        columns["relative, in float64"] = t["float64_drift"].map(text.short)
    columns["verdict"] = t["verdict"]
    return pd.DataFrame(columns)


def in_short(t: pd.DataFrame) -> pd.DataFrame:
    """The same table without the training set and the losses."""
    full = in_full(t)
    return full[[c for c in full if not c.startswith("train") and "loss" not in c]]


def by_epoch(t: pd.DataFrame) -> pd.DataFrame:
    """A row for each epoch that is kept."""
    columns = {"network": t["network"], "seed": t["seed"].map(str), "epoch": t["epoch"].map(str)}
    columns |= _losses(t)
    for side, name in SIDES.items():
        columns[f"test accuracy, {name}"] = t[f"{side}_test_accuracy"].map(text.percent)
    return pd.DataFrame(columns | _distances(t))


def _losses(t: pd.DataFrame) -> dict[str, pd.Series]:
    return {
        f"{part} loss, {name}": t[f"{side}_{part}_loss"].map("{:.6f}".format)
        for part in _SETS
        for side, name in SIDES.items()
    }


def _distances(t: pd.DataFrame) -> dict[str, pd.Series]:
    return {
        "largest weight difference": t["drift"].map(text.short),
        "relative": t["relative_drift"].map(text.short),
    }


def mistaken(t: pd.DataFrame) -> pd.DataFrame:
    """A row for each label and both predictions, the mistakes only, the most frequent first."""
    wrong = t[(t["predicted_numpy"] != t["label"]) | (t["predicted_torch"] != t["label"])]
    wrong = wrong.sort_values("count", ascending=False, kind="stable")
    named = {"label": "is a", "predicted_numpy": "NumPy reads", "predicted_torch": "PyTorch reads"}
    shown = wrong[["network", "batch", "seed", *named, "count"]].rename(columns=named | {"count": "times"})
    return shown.astype(str).reset_index(drop=True)


def misread(t: pd.DataFrame) -> pd.DataFrame:
    """A row for each picture of the test set that is misread."""
    named = {"index": "sample", "label": "is a", "numpy": "NumPy reads", "torch": "PyTorch reads"}
    return t[["network", "batch", "seed", *named]].rename(columns=named).astype(str)


# Figures


def losses(epochs: pd.DataFrame) -> Iterator[Drawing]:
    """The losses of both sides by epoch, and their difference; a panel for each network and batch size."""
    for (network, batch), rows in epochs.groupby(["network", "batch"], sort=False):
        first = rows[rows["seed"] == rows["seed"].iloc[0]]
        title = f"Loss of both sides of {network}, batch {batch}, and their difference"
        yield Drawing(f"loss-{slug(f'{network} {batch}')}", title, _loss(first))


def _first_training(rows: pd.DataFrame) -> str:
    network, batch, seed = rows[["network", "batch", "seed"]].iloc[0]
    return f"{network}, batch {batch}, seed {seed}"


def _loss(rows: pd.DataFrame) -> Any:
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
    above.set_title(_first_training(rows))
    above.legend(loc="upper right")
    below.set_yscale("log")
    below.set_ylim(equal / 2, high)
    ticks_from_equal(below, low, high)
    below.set_ylabel("|difference|")
    below.set_xlabel("epoch")
    whole_ticks(below.xaxis)
    return figure


def predictions(tables: Tables) -> Iterator[Drawing]:
    """The predictions of each network of pictures, and the pictures that it misreads."""
    for kind, drawing, title in (
        ("confusion", _matrix, "{}: which digits are read as which"),
        ("misread", _pictures, "{}: digits that both sides misread"),
    ):
        if kind in tables:
            for (network, batch), rows in tables[kind].groupby(["network", "batch"], sort=False):
                named = f"{network}, batch {batch}"
                name = f"{kind}-{slug(f'{network} {batch}')}"
                yield Drawing(name, title.format(named), drawing(rows))


def _matrix(rows: pd.DataFrame) -> Any:
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
        box(axes, read, label, 1, facecolor=colour, alpha=strength)
        if count != other:
            box(axes, read, label, 0.92, fill=False, edgecolor=TORCH)
        counts = str(count) if count == other else f"{count}/{other}"
        axes.text(read, label, counts, ha="center", va="center", fontsize=8.5 if len(counts) < 4 else 6.5)
    _square(axes, classes)
    same = "PyTorch's counts are the same" if (ours == theirs).all() else "framed: NumPy's count/PyTorch's"
    axes.set_xlabel(f"read as ({same})")
    axes.set_title(_first_training(rows))
    return figure


def _square(axes: Any, classes: int) -> None:
    axes.set_xlim(-0.5, classes - 0.5)
    axes.set_ylim(classes - 0.5, -0.5)
    axes.set_aspect("equal")
    for axis, name in ((axes.xaxis, "read as"), (axes.yaxis, "is a")):
        axis.set_ticks(range(classes))
        axis.set_label_text(name)
    axes.tick_params(length=0)
    axes.grid(visible=False)


_COLUMNS = 6


def _pictures(rows: pd.DataFrame) -> Any:
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


# Comparison

_ONE_SEED = "one seed cannot tell"


def _identical(rows: pd.DataFrame) -> bool:
    """Whether all losses, accuracies and counts of predictions are the same, bit for bit."""
    names = [f"{side}_{measure}" for side in SIDES for measure in MEASURES] + ["predictions_differ"]
    old, new = ([f"{name}_{which}" for name in names] for which in ("old", "new"))
    return bool(np.array_equal(rows[old].to_numpy(float), rows[new].to_numpy(float), equal_nan=True))


def _mean(rows: pd.DataFrame, side: str) -> dict[str, str]:
    """The row of one network and side."""
    before, after = (rows[f"{side}_test_accuracy_{which}"].to_numpy() for which in ("old", "new"))
    found = mean_interval(after - before)
    if np.array_equal(before, after):
        verdict = "identical"
    elif len(rows) < 2:
        verdict = _ONE_SEED
    else:
        verdict = "higher" if found.low > 0 else "lower" if found.high < 0 else "within noise"
    first = rows.iloc[0]
    return {
        "network": f"{first['network']}, batch {first['batch']}, {first['dtype']}",
        "side": SIDES[side],
        "seeds": str(len(rows)),
        "old": f"{before.mean():.2%}",
        "new": f"{after.mean():.2%}",
        "difference": f"{found.middle:+.2%}",
        "95% interval": f"{found.low:+.2%} to {found.high:+.2%}" if len(rows) > 1 else "–",
        "verdict": verdict,
    }


def _by_seed(rows: pd.DataFrame) -> pd.DataFrame:
    """A row for each seed of a network."""
    columns = {
        "network": rows["network"] + ", batch " + rows["batch"].map(str) + ", " + rows["dtype"],
        "seed": rows["seed"].map(str),
    }
    for side, name in SIDES.items():
        for which in ("old", "new"):
            columns[f"{name}, {which}"] = rows[f"{side}_test_accuracy_{which}"].map("{:.2%}".format)
    for which in ("old", "new"):
        columns[f"predictions that differ, {which}"] = rows[f"predictions_differ_{which}"].map(str)
    return pd.DataFrame(columns)
