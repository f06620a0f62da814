"""scratch/training.py in torch's words: the same steps, the same order, the same history."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.utils.data import DataLoader, TensorDataset

from scratch.training import Evaluation, History


def train_step(
    model: torch.nn.Module,
    loss_fn: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    x: torch.Tensor,
    target: torch.Tensor,
) -> float:
    """One update from one mini-batch; returns the loss before it."""
    optimizer.zero_grad()
    loss = loss_fn(model(x), target)  # forward
    loss.backward()  # gradient
    optimizer.step()  # update
    return float(loss.detach())


@torch.no_grad()
def evaluate(
    model: torch.nn.Module, loss_fn: torch.nn.Module, dataset: TensorDataset, batch_size: int = 1000
) -> Evaluation:
    """Loss and accuracy on a whole dataset of (x, target), in evaluation mode."""
    training = model.training
    model.eval()
    loss, correct, places = 0.0, 0, 0
    for start in range(0, len(dataset), batch_size):
        x, target = dataset[start : start + batch_size]
        scores = model(x)
        loss += float(loss_fn(scores, target)) * len(x)
        if not target.is_floating_point() and target.shape == scores.shape[:1] + scores.shape[2:]:
            correct += int((scores.argmax(dim=1) == target).sum())
            places += target.numel()
    model.train(training)
    return Evaluation(loss / len(dataset), correct / places if places else None)


def fit(
    model: torch.nn.Module,
    loss_fn: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    loader: DataLoader[Any],
    *,
    epochs: int,
    test: TensorDataset | None = None,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
    after_epoch: Callable[[History], object] | None = None,
) -> History:
    """Train for ``epochs`` epochs; arguments, result and errors as scratch.training.fit."""
    history: History = []
    for epoch in range(1, epochs + 1):
        model.train()
        for number, (x, target) in enumerate(progress(loader), 1):
            loss = train_step(model, loss_fn, optimizer, x, target)
            if not math.isfinite(loss):
                raise FloatingPointError(f"fit: the loss is {loss} in epoch {epoch}, batch {number}")
        row = {"epoch": epoch, "lr": optimizer.param_groups[0]["lr"]}
        results = {"train": evaluate(model, loss_fn, loader.dataset)}  # type: ignore[arg-type]
        if test is not None:
            results["test"] = evaluate(model, loss_fn, test)
        for name, result in results.items():
            row |= result.named(name)
        history.append(row)
        if after_epoch is not None:
            after_epoch(history)
    return history
