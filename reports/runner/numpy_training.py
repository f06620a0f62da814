"""A training of the NumPy side, on the command line: begun, kept after each epoch, and gone on with."""

import argparse
import os
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

import scratch
from reports.errors import UnusableError
from reports.runner.data import Data
from reports.runner.progress import progress
from scratch import models, nn, optim
from scratch.checkpoint import load_checkpoint, save_checkpoint
from scratch.data import DataLoader
from scratch.datasets import Splits
from scratch.files import write_whole
from scratch.training import History, fit


def run(options: argparse.Namespace) -> int:
    """Train as the command line says; 0 if it went well, 1 if the loss became nan or inf.

    Raises:
        UnusableError: the data or the checkpoint are not there or do not fit.
        OSError: a file cannot be written.
        KeyboardInterrupt: Ctrl-C; the last finished epoch is in the checkpoint.
    """
    checkpoint = Path(options.checkpoint) if options.checkpoint else None
    _check(options, checkpoint)
    data = Data(options.dataset, root=options.data_root, download=options.download)[options.dtype]
    scratch.manual_seed(options.seed)
    model, optimizer = _build(options, data)
    history = _resume(options, checkpoint, model, optimizer) if checkpoint and options.resume else []

    def keep(history: History) -> None:
        if checkpoint:
            save_checkpoint(checkpoint, model, optimizer, history=history)
        if options.history:
            write_whole(options.history, pd.DataFrame(history).to_csv(index=False).encode())
        print(_line(history[-1]), flush=True)

    if history:
        print(f"going on after epoch {len(history)}: {checkpoint}")
    loader = DataLoader(data.train, options.batch_size, shuffle=True)
    bar = partial(progress, description="training", total=len(loader))
    try:
        fit(
            model,
            nn.CrossEntropyLoss(),
            optimizer,
            loader,
            epochs=options.epochs,
            test=data.test,
            history=history,
            progress=bar,
            after_epoch=keep,
        )
    except FloatingPointError as error:
        print(f"gradmirror train: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        kept = (
            f"go on with --resume: {checkpoint}" if checkpoint and checkpoint.exists() else "nothing is kept"
        )
        raise KeyboardInterrupt(kept) from None
    return 0


def _check(options: argparse.Namespace, checkpoint: Path | None) -> None:
    if options.resume and checkpoint is None:
        raise UnusableError("--resume: from where? needs --checkpoint FILE too")
    if options.resume and options.lr is not None:
        raise UnusableError(
            "--lr: with --resume the learning rate is the checkpoint's; leave one of them out"
        )
    if checkpoint and options.resume and not checkpoint.is_file():
        raise UnusableError(f"--resume: there is no {checkpoint}; leave --resume out to begin it")
    if checkpoint and not options.resume and checkpoint.exists():
        raise UnusableError(
            f"--checkpoint: {checkpoint} exists; --resume goes on from it, or remove it first"
        )
    if options.history:
        _check_history(options.history, options.resume)


def _check_history(path: str, resume: bool) -> None:
    """Refuse to write over a file that is not the history of the training that is resumed."""
    if not os.path.isfile(path):
        return  # what is no file is refused where it is written
    if not resume:
        raise UnusableError(f"--history: {path} exists; give another name, or remove it first")
    with open(path, "rb") as file:
        if not file.read(9).startswith(b"epoch,lr,"):
            raise UnusableError(f"--history: {path} is no history of a training; give another name")


def _build(options: argparse.Namespace, data: Splits) -> tuple[nn.Module, optim.Optimizer]:
    dtype = np.dtype(options.dtype)
    if options.dataset == "xor":
        model = models.xor_net(options.hidden or 4, dtype=dtype)
    else:
        model = models.two_layer_net(data.train.tensors[0].shape[1], options.hidden or 50, dtype=dtype)
    rate = options.lr or (0.1 if options.optimizer == "SGD" else None)
    make = getattr(optim, options.optimizer)
    return model, make(model.parameters(), **({} if rate is None else {"lr": rate}))


def _resume(
    options: argparse.Namespace, checkpoint: Path, model: nn.Module, optimizer: optim.Optimizer
) -> History:
    try:
        return load_checkpoint(checkpoint, model, optimizer)
    except ValueError as error:
        hint = "; resume with the options that it was started with" * ("is of another" in str(error))
        raise UnusableError(f"{error}{hint}") from error


def _line(row: dict[str, float]) -> str:
    return (
        f"epoch {row['epoch']:3}   loss {row['train_loss']:.4f}, accuracy {row['train_accuracy']:.2%}   "
        f"test: loss {row['test_loss']:.4f}, accuracy {row['test_accuracy']:.2%}"
    )
