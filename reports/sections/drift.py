"""Do two trainings stay together, and what does rounding do to them? By torch_ref/checker/compare_training.py."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch

from reports.runner.campaign import Chapter
from reports.runner.networks import Network
from reports.runner.results import Rows, Section
from reports.runner.tasks import Task
from scratch import nn, optim
from scratch.data import DataLoader
from scratch.gradcheck import INCONCLUSIVE
from torch_ref import Training, compare_training


class Plan(NamedTuple):
    """A training: of which network, by which optimizer, with which options beside its defaults; how long."""

    network: Network
    optimizer: str
    options: dict[str, Any]
    steps: int


def chapter(plans: Sequence[Plan], *, dtype: str, seed: int) -> Chapter:
    """The chapter of the report: each plan trained from this seed."""
    tasks = [
        Task(
            f"drift of {plan.network.name}, batch {plan.network.batch_size}, by {plan.optimizer}",
            partial(_drifted, plan, dtype, seed),
            weight=4.0,
        )
        for plan in plans
    ]
    return Chapter("drift", tasks, _conclude)


def _drifted(plan: Plan, dtype: str, seed: int) -> Rows:
    found = train(plan, dtype, seed)
    steps = found.frame.assign(
        network=plan.network.name,
        batch=plan.network.batch_size,
        optimizer=plan.optimizer,
        dtype=dtype,
        seed=seed,
    )
    return Rows({"drift": steps.tail(1).assign(verdict=_verdict(found)), "drift_steps": steps})


def _verdict(found: Training) -> str:
    if found.parts_at is not None:
        return f"part at step {found.parts_at}"
    if found.departs_at is not None:
        return f"float32 departs at step {found.departs_at}"
    return INCONCLUSIVE if found.inconclusive else "agree"


def _conclude(rows: Rows) -> Section:
    return Section(rows.tables, {}, bool((rows.tables["drift"]["verdict"] == "agree").all()))


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
