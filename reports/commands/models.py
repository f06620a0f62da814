"""``gradmirror models``: every network of scratch/models.py, trained, timed and measured beside PyTorch's.

Each is trained on real data for some hundred steps by both sides from one seed, compared after every step as
compare_training does; its step is timed against PyTorch's best; and the memory of a step is measured in
processes of their own. One row for each, written as soon as it is there.
"""

import argparse
from dataclasses import replace

import pandas as pd

from reports.cli import MODELS
from reports.errors import DisagreementError
from reports.runner.data import Data
from reports.runner.environment import limit_threads
from reports.runner.networks import Network, by_name
from reports.runner.progress import progress
from reports.sections import drift, timing
from scratch.checkpoint import write_whole
from scratch.gradcheck import INCONCLUSIVE


def plan(network: Network, steps: int) -> drift.Plan:
    """Its training by SGD."""
    return drift.Plan(network, "SGD", {"lr": network.lr}, steps)


def smaller(name: str, data: Data) -> Network:
    """With a tenth of the batch, or a quarter of the texts: for a report, which should not take long."""
    whole = by_name(name, data)
    return replace(whole, batch_size=10 if whole.batch_size == 100 else 4)


def row(name: str, steps: int, rounds: int, seed: int) -> dict[str, object]:
    """All that is measured of one network."""
    from reports.runner import memory

    chosen = by_name(name)
    training = drift.train(plan(chosen, steps), "float32", seed)
    last = training.frame.iloc[-1]
    timed = timing.chapter([chosen], dtype="float32", rounds=rounds, block=0.05, seed=seed)
    table = timed.run().tables["timing"]
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


def run(options: argparse.Namespace) -> int:
    """Measure the networks asked for, keep the rows, and print them; 1 if two trainings part.

    Raises:
        OSError: the file cannot be written.
        DisagreementError: gradients differ.
    """
    from reports.page import tables

    rows: list[dict[str, object]] = []
    with limit_threads(options.threads):
        for name in progress(options.only or MODELS, "models"):
            rows.append(row(name, options.steps, options.rounds, options.seed))
            write_whole(options.out, pd.DataFrame(rows).to_csv(index=False).encode())
    table = pd.DataFrame(rows)
    print(tables.markdown(tables.models(table)))
    print(f"\nAll of it is in {options.out}")
    return 0 if (table["verdict"] == "agree").all() else 1
