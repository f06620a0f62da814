"""The same program, the same seed, two frameworks: what each learns, epoch by epoch."""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

import scratch.training
import torch_ref.twin.training
from reports.runner.campaign import Chapter
from reports.runner.networks import Network, parameter_vector, to_torch
from reports.runner.results import Rows, Section
from reports.runner.tasks import Task
from reports.sections import confusion
from scratch import nn, no_grad, optim
from scratch.data import DataLoader
from scratch.training import History

MEASURES = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")


def chapter(plans: Sequence[tuple[Network, int, int]], *, dtype: str, seeds: Sequence[int]) -> Chapter:
    """The chapter of the report.

    Roundings differ, and training carries them on: it multiplies a difference as it does any other change of
    the weights. The two sides agree if, in the end, the weights have half of their digits in common (relative
    difference of √u at most); a wrong gradient is far beyond that after a few steps. So is, in float32, a
    ReLU that a rounding flips on one side only. Such a training is done again in float64, where that is rare,
    and is judged there.

    Args:
        plans: networks, for how many epochs to train each, and every how many epochs to keep a row.
        dtype: of the training.
        seeds: each gives a training of its own.
    """
    tasks = [
        Task(
            f"training {network.name}, batch {network.batch_size}, seed {seed}",
            partial(_trained, network, epochs, every, dtype, seed, read=seed == seeds[0]),
        )
        for network, epochs, every in plans
        for seed in seeds
    ]
    return Chapter("accuracy", tasks, _conclude)


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


def _conclude(rows: Rows) -> Section:
    return Section(rows.tables, {}, bool((rows.tables["accuracy"]["verdict"] == "agree").all()))


class Trained(NamedTuple):
    """A row for each epoch, and what each side in the end takes the test samples for, (N,)."""

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
