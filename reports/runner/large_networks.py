"""The networks of scratch/models.py, trained, timed and measured beside PyTorch's: ``gradmirror models``.

Each is trained on real data for some hundred steps by both sides from one seed, compared after every step as
compare_training does; its step is timed against PyTorch's best; and the memory of a step is measured in
processes of their own. One row for each, written as soon as it is there.
"""

import argparse

import pandas as pd

from reports.arguments import MODELS
from reports.errors import DisagreementError
from reports.output import show
from reports.page import text
from reports.runner import memory
from reports.runner.environment import limit_threads
from reports.runner.networks import by_name
from reports.runner.progress import progress
from reports.sections import drift, timing
from scratch.files import write_whole
from scratch.gradcheck import INCONCLUSIVE


def row(name: str, steps: int, rounds: int, seed: int) -> dict[str, object]:
    """All that is measured of one network."""
    chosen = by_name(name)
    training = drift.train(drift.by_sgd(chosen, steps), "float32", seed)
    last = training.frame.iloc[-1]
    timed = timing.tasks([chosen], dtype="float32", rounds=rounds, block=0.05, seed=seed)
    table = timing.Timing().run(timed, seed).tables["timing"]
    if len(table) == 1:
        raise DisagreementError(f"{name}: {table['verdict'].iloc[0]}")
    step = table[(table["phase"] == "step") & (table["pair"] == "NumPy / PyTorch")].iloc[0]
    found: dict[str, object] = {"network": name, "batch": chosen.batch_size, "steps": steps, "seed": seed}
    found |= {key: last[key] for key in training.frame.columns if key != "step"}
    found["verdict"] = "agree" if training else INCONCLUSIVE if training.inconclusive else "part"
    found |= {
        key: step[key]
        for key in ("setting", "numpy_seconds", "other_seconds", "ratio", "low", "high", "rounds")
    }
    found |= {f"{side}_bytes": memory.peak(name, side) for side in ("numpy", "torch")}
    return found


def shown(found: pd.DataFrame) -> pd.DataFrame:
    """The table for people, a row for each network."""
    columns = {
        "network": found["network"],
        "batch": found["batch"],
        "steps": found["steps"],
        "loss, NumPy": found["numpy_loss"].map(text.short),
        "loss, PyTorch": found["torch_loss"].map(text.short),
        "drift": found["drift"].map(text.short),
        "drift, float64": found["programs"].map(text.short),
        "verdict": found["verdict"],
        "step, NumPy": found["numpy_seconds"].map(text.duration),
        "step, PyTorch": found["other_seconds"].map(text.duration),
        "NumPy / PyTorch": [
            f"{r:.2f} ({low:.2f} to {high:.2f})"
            for r, low, high in zip(found["ratio"], found["low"], found["high"], strict=True)
        ],
        "memory, NumPy": found["numpy_bytes"].map(text.megabytes),
        "memory, PyTorch": found["torch_bytes"].map(text.megabytes),
    }
    return pd.DataFrame(columns)


def run(options: argparse.Namespace) -> int:
    """Measure the networks asked for, keep the rows, and print them; 1 if two trainings diverge.

    Raises:
        OSError: the file cannot be written.
        DisagreementError: gradients differ.
    """
    rows: list[dict[str, object]] = []
    with limit_threads(options.threads):
        for name in progress(options.only or MODELS, "models"):
            rows.append(row(name, options.steps, options.rounds, options.seed))
            write_whole(options.out, pd.DataFrame(rows).to_csv(index=False).encode())
    table = pd.DataFrame(rows)
    show(f"{text.markdown(shown(table))}\n\nAll of it is in {options.out}\n")
    return 0 if (table["verdict"] == "agree").all() else 1
