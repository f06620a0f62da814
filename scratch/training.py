"""Training, as the lesson has it: mini-batch, gradient, update, repeat.

    history = fit(model, loss_fn, optimizer, train_loader, test=test_set, epochs=10)

The history is a list of plain dicts, one for each epoch, ready for ``pandas.DataFrame(history)``.
torch_ref/twin/training.py says the same in torch's words; read them side by side.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from scratch.data import DataLoader, Dataset
from scratch.grad_mode import no_grad
from scratch.nn import Loss, Module
from scratch.optim import Optimizer
from scratch.optim.lr_scheduler import LRScheduler
from scratch.stray_parameters import refuse_stray_parameters

History = list[dict[str, float]]


class Evaluation(NamedTuple):
    """Mean loss and share of samples (of a text, of places) whose largest score is at their class.

    The accuracy is None where the targets are no classes: integers, one for each sample or place.
    """

    loss: float
    accuracy: float | None

    def named(self, name: str) -> dict[str, float]:
        """Both as entries of a history, without an accuracy where there is none."""
        return {f"{name}_{key}": value for key, value in self._asdict().items() if value is not None}


def train_step(
    model: Module, loss_fn: Loss, optimizer: Optimizer, x: np.ndarray, target: np.ndarray
) -> float:
    """One update from one mini-batch; returns the loss before it."""
    optimizer.zero_grad()
    loss = loss_fn(model(x), target)  # forward
    model.backward_parameters(loss_fn.backward())  # gradient
    optimizer.step()  # update
    return float(loss)


@no_grad()
def evaluate(model: Module, loss_fn: Loss, dataset: Dataset, batch_size: int = 1000) -> Evaluation:
    """Loss and accuracy on a whole dataset of (x, target), in evaluation mode.

    Raises:
        ValueError: the dataset is empty.
    """
    if len(dataset) == 0:
        raise ValueError("evaluate: dataset is empty, expected at least one sample")
    if batch_size < 1:
        raise ValueError(f"evaluate: batch_size is {batch_size}, expected 1 or more")
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    loss, correct, places = 0.0, 0, 0
    try:
        for start in range(0, len(dataset), batch_size):
            x, target = dataset[start : start + batch_size]
            scores = model(x)
            loss += float(loss_fn(scores, target)) * len(x)
            if target.dtype.kind in "iu" and target.shape == scores.shape[:1] + scores.shape[2:]:
                correct += int(np.count_nonzero(np.argmax(scores, axis=1) == target))
                places += target.size
    finally:
        for module, training in modes:
            module.training = training
    return Evaluation(loss / len(dataset), correct / places if places else None)


def fit(
    model: Module,
    loss_fn: Loss,
    optimizer: Optimizer,
    loader: DataLoader,
    *,
    epochs: int,
    test: Dataset | None = None,
    scheduler: LRScheduler | None = None,
    history: History | None = None,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
    after_epoch: Callable[[History], object] | None = None,
) -> History:
    """Train until ``epochs`` epochs are done, and say after each how it went.

    Args:
        model: from x to scores, one for each class.
        loss_fn: a loss whose reduction is "mean".
        optimizer: holds the model's parameters.
        loader: gives mini-batches of the training set.
        epochs: how many in all, those in ``history`` included.
        test: a dataset that is only evaluated.
        scheduler: is stepped after each epoch.
        history: what an interrupted run gave; it is continued (checkpoint.py).
        progress: wraps each epoch's mini-batches, such as tqdm.
        after_epoch: is called with the history so far, such as to write a checkpoint.

    Returns:
        A dict for each epoch: "epoch" from 1, "lr", "train_loss", "train_accuracy" and, with a test set,
        "test_loss" and "test_accuracy", all measured after the epoch. There is an accuracy only where the
        targets are classes.

    Raises:
        FloatingPointError: the loss became nan or inf; the model is as after that step.
        TypeError: the model has an array with a gradient beside it that is not a Parameter.
        ValueError: epochs is below 0, or the training set empty.
    """
    refuse_stray_parameters(model, "fit")
    if epochs < 0:
        raise ValueError(f"fit: epochs is {epochs}, expected 0 or more")
    if len(loader) == 0:
        raise ValueError(f"fit: loader gives no batch: {len(loader.dataset)} samples by {loader.batch_size}")
    history = [] if history is None else list(history)
    for epoch in range(len(history) + 1, epochs + 1):
        model.train()
        for number, (x, target) in enumerate(progress(loader), 1):
            with np.errstate(over="ignore", invalid="ignore"):  # reported below, in words
                loss = train_step(model, loss_fn, optimizer, x, target)
            _check(loss, f"epoch {epoch}, batch {number}", optimizer)
        row = {"epoch": epoch, "lr": optimizer.param_groups[0]["lr"]}
        with np.errstate(over="ignore", invalid="ignore"):
            results = {"train": evaluate(model, loss_fn, loader.dataset)}
        _check(results["train"].loss, f"epoch {epoch}, after its last update", optimizer)
        if test is not None:
            results["test"] = evaluate(model, loss_fn, test)
        for name, result in results.items():
            row |= result.named(name)
        history.append(row)
        if scheduler is not None:
            scheduler.step()
        if after_epoch is not None:
            after_epoch(history)
    return history


def _check(loss: float, when: str, optimizer: Optimizer) -> None:
    if not math.isfinite(loss):
        raise FloatingPointError(
            f"fit: the loss is {loss} in {when}; the learning rate ({optimizer.param_groups[0]['lr']}) "
            "may be too high, or the data hold nan"
        )
