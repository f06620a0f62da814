"""Do two trainings stay together, and what does rounding do to them? (torch_ref/drift.py, as a section.)"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from reports.networks import Network
from reports.progress import progress
from reports.results import Section
from scratch import nn, optim
from scratch.data import DataLoader
from scratch.gradcheck import TOO_BLIND
from torch_ref import Training, compare_training


class Plan(NamedTuple):
    """A training: of which network, by which optimizer, with which options beside its defaults; how long."""

    network: Network
    optimizer: str
    options: dict[str, Any]
    steps: int


def run(plans: Sequence[Plan], *, dtype: str, seed: int) -> Section:
    """The section of the report: each plan trained from this seed."""
    ends, all_steps = [], []
    for plan in progress(plans, "drift"):
        found = train(plan, dtype, seed)
        told = {
            "network": plan.network.name,
            "batch": plan.network.batch_size,
            "optimizer": plan.optimizer,
            "dtype": dtype,
            "seed": seed,
        }
        steps_of_it = found.frame.assign(**told)
        last = steps_of_it.iloc[-1].to_dict()
        verdict = "agree" if found else TOO_BLIND if found.blind else f"part at step {found.parts_at}"
        ends.append(last | {"verdict": verdict})
        all_steps.append(steps_of_it)
    table = pd.DataFrame(ends)
    agrees = bool((table["verdict"] == "agree").all())
    return Section({"drift": table, "drift_steps": pd.concat(all_steps, ignore_index=True)}, {}, agrees)


def train(plan: Plan, dtype: str, seed: int) -> Training:
    """Both sides of one plan."""
    network, name, options, steps = plan
    model, twin = network.build(dtype, seed)
    return compare_training(
        model,
        twin,
        islice(_batches(network, dtype), steps),
        loss_fn=nn.CrossEntropyLoss(),
        twin_loss_fn=torch.nn.CrossEntropyLoss(),
        optimizer=lambda params: getattr(optim, name)(params, **options),
        twin_optimizer=lambda params: getattr(torch.optim, name)(params, **options),
    )


def _batches(network: Network, dtype: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Epoch after epoch, without end."""
    loader = DataLoader(network.splits[dtype].train, network.batch_size, shuffle=True)
    while True:
        yield from loader
