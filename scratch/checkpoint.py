"""Checkpoints: all that a training needs to go on as if it had never stopped.

One safetensors file holds the parameters and buffers, the optimizer's vectors and the state of the random
generator as arrays; options, the history and the scheduler are JSON in its header, with a SHA-256 of it all.
No pickle: loading a checkpoint runs nobody's code. At every moment there is either the old file or the new
one, whole (files.py).
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scratch import random
from scratch.files import write_whole
from scratch.nn import Module
from scratch.optim import Optimizer
from scratch.optim.lr_scheduler import LRScheduler

_FORMAT = "gradmirror-checkpoint-1"


def save_checkpoint(
    path: str | os.PathLike[str],
    model: Module,
    optimizer: Optimizer,
    scheduler: LRScheduler | None = None,
    history: list[dict[str, float]] | None = None,
) -> None:
    """Write model, optimizer, scheduler, history and the global random generator to ``path``.

    Raises:
        ImportError: the package safetensors is missing.
        OSError: the file cannot be written; what was there before is untouched.
    """
    from safetensors.numpy import save

    state = optimizer.state_dict()
    arrays = {f"model.{key}": value for key, value in model.state_dict().items()}
    for index, entries in state["state"].items():
        arrays |= {f"optimizer.{index}.{key}": np.asarray(value) for key, value in entries.items()}
    arrays["random"] = random.get_rng_state()
    # The writer of safetensors takes memory as it comes and would scramble a view that is not contiguous.
    arrays = {key: np.asarray(value, order="C") for key, value in arrays.items()}
    text = json.dumps(
        {
            "format": _FORMAT,
            "optimizer": type(optimizer).__name__,
            "scheduler_kind": None if scheduler is None else type(scheduler).__name__,
            "param_groups": state["param_groups"],
            "scheduler": None if scheduler is None else scheduler.state_dict(),
            "history": history or [],
        }
    )
    write_whole(path, save(arrays, {"checkpoint": text, "sha256": _digest(arrays, text)}))


def load_checkpoint(
    path: str | os.PathLike[str],
    model: Module,
    optimizer: Optimizer,
    scheduler: LRScheduler | None = None,
) -> list[dict[str, float]]:
    """Set model, optimizer, scheduler and the random generator to what ``path`` holds; returns the history.

    Nothing is changed unless the whole file is sound and fits.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is truncated, altered or no checkpoint, or was written for another model,
            optimizer or scheduler.
        ImportError: the package safetensors is missing.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    content = Path(path).read_bytes()
    try:
        arrays = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        text, digest = header["__metadata__"]["checkpoint"], header["__metadata__"]["sha256"]
    except (SafetensorError, ValueError, KeyError, UnicodeDecodeError) as error:
        raise ValueError(f"load_checkpoint: {path} is truncated, or no checkpoint: {error}") from error
    if digest != _digest(arrays, text):
        raise ValueError(f"load_checkpoint: {path} was altered: its contents do not have its SHA-256")
    kept = json.loads(text)
    if not isinstance(kept, dict):
        raise ValueError(f"load_checkpoint: {path} is no checkpoint: it holds a {type(kept).__name__}")
    if kept.get("format") != _FORMAT:
        raise ValueError(f"load_checkpoint: {path} has format {kept.get('format')!r}, expected {_FORMAT!r}")
    kinds = {"optimizer": type(optimizer).__name__}
    kinds["scheduler_kind"] = None if scheduler is None else type(scheduler).__name__  # type: ignore[assignment]
    for key, kind in kinds.items():
        if kept.get(key) != kind:
            part = key.partition("_")[0]
            raise ValueError(
                f"load_checkpoint: {path} is of another {part}: it was written with "
                f"{kept.get(key) or 'none'}, and this is {kind or 'none'}"
            )
    own = model.state_dict()
    for key, value in own.items():
        if (given := arrays.get(f"model.{key}")) is not None and given.dtype != value.dtype:
            raise ValueError(
                f"load_checkpoint: {path} is of another model: {key} is {given.dtype}, expected {value.dtype}"
            )
    before = {key: value.copy() for key, value in own.items()}
    random_before = random.get_rng_state()
    scheduler_before = None if scheduler is None else scheduler.state_dict()
    try:
        history = _history(kept["history"])
        random.set_rng_state(arrays["random"])
        model.load_state_dict({k.removeprefix("model."): v for k, v in arrays.items() if k[:6] == "model."})
        if scheduler is not None:
            scheduler.load_state_dict(kept["scheduler"])
        optimizer.load_state_dict({"state": _by_index(arrays), "param_groups": kept["param_groups"]})
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        model.load_state_dict(before)
        random.set_rng_state(random_before)
        if scheduler is not None and scheduler_before is not None:
            scheduler.load_state_dict(scheduler_before)
        raise ValueError(
            f"load_checkpoint: {path} is of another model, optimizer or scheduler: {error}"
        ) from error
    return history


def _history(kept: Any) -> list[dict[str, float]]:
    """The history, if it is one: a dict of numbers for each epoch."""
    if not isinstance(kept, list):
        raise ValueError(f"history is a {type(kept).__name__}, expected a list of dicts")
    for epoch, row in enumerate(kept, 1):
        if not isinstance(row, dict) or not all(isinstance(value, int | float) for value in row.values()):
            raise ValueError(f"history of epoch {epoch} is {row!r}, expected a dict of numbers")
    return kept


def _by_index(arrays: Mapping[str, np.ndarray]) -> dict[int, dict[str, Any]]:
    """The optimizer's state, from keys such as "optimizer.0.exp_avg"."""
    state: dict[int, dict[str, Any]] = {}
    for key, value in arrays.items():
        part, _, rest = key.partition(".")
        if part == "optimizer":
            index, _, name = rest.partition(".")
            state.setdefault(int(index), {})[name] = value
    return state


def _digest(arrays: Mapping[str, np.ndarray], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for key in sorted(arrays):
        digest.update(f"{key} {arrays[key].dtype} {arrays[key].shape}".encode())
        digest.update(arrays[key].tobytes())
    return digest.hexdigest()
