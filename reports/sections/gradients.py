"""Are the gradients right, and what would they cost without backpropagation?

The table has, for each tensor, NumPy against PyTorch and both against the complex step, which is neither;
and, as the book does it, against the central difference. The errors are those of all entries, counted.
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import torch

from reports.errors import DisagreementError
from reports.runner.campaign import Chapter
from reports.runner.networks import Network
from reports.runner.results import Rows, Section
from reports.runner.tasks import Task
from reports.sections import cost
from scratch import nn
from scratch.gradcheck import Objective, numerical_gradient
from torch_ref import Comparison, compare

DTYPES = ("float64", "float32")


def chapter(
    networks: Sequence[Network],
    cost_network: Network,
    *,
    samples: int,
    rounds: int,
    seed: int,
    growing: Sequence[Network] = (),
) -> Chapter:
    """The chapter of the report.

    Args:
        networks: what the gradients are compared of, in both dtypes.
        cost_network: what the cost is measured on, with 3 samples in float64.
        samples: how many samples of the training set a batch has.
        rounds: how often the cost is measured.
        seed: of the weights.
        growing: networks from small to large, all smaller than cost_network: how the cost grows.
    """
    compared = [
        Task(f"gradients of {network.name} in {dtype}", partial(_compared, network, dtype, samples, seed))
        for network in networks
        for dtype in DTYPES
    ]
    costs = [
        Task(f"cost of {cost_network.name}", partial(_cost, cost_network, rounds, seed), weight=8.0),
        Task("growth of the cost", partial(_growth, growing, seed), weight=4.0),
    ]
    return Chapter("gradients", [*costs, *compared], _conclude)


def _compared(network: Network, dtype: str, samples: int, seed: int) -> Rows:
    return Rows(tables(network, dtype, samples, seed))


def _cost(network: Network, rounds: int, seed: int) -> Rows:
    found, seconds = cost.measure(network, rounds, seed)
    return Rows({"cost": found}, {"cost": [seconds]})


def _growth(networks: Sequence[Network], seed: int) -> Rows:
    found, seconds = cost.growth(networks, seed)
    return Rows({"growth": pd.concat(found, ignore_index=True)} if found else {}, {"growth": [seconds]})


def _conclude(rows: Rows) -> Section:
    found = rows.tables
    grown = [found[name] for name in ("growth", "cost") if name in found]
    found["growth"] = pd.concat(grown, ignore_index=True)[_GROWTH]
    samples = {name: seconds for name, (seconds,) in rows.samples.items()}
    return Section(
        {name: found[name] for name in ("gradients", "errors", "cost", "growth")},
        samples,
        agrees=bool((found["gradients"]["verdict"] == "agree").all()),
    )


def tables(network: Network, dtype: str, samples: int, seed: int) -> dict[str, pd.DataFrame]:
    """ "gradients", a row for each parameter, the input, the output and the loss; and "errors".

    The columns of gradients are those of torch_ref.Comparison, and numpy_central: how far NumPy is from the
    central difference. That one is right to nine digits or so, and not judged by.
    """
    model, twin = network.build(dtype, seed)
    x, target = network.batch(dtype, min(samples, network.batch_size))
    loss_fn = nn.CrossEntropyLoss()
    losses = {"loss_fn": loss_fn, "twin_loss_fn": torch.nn.CrossEntropyLoss(), "target": target}
    try:
        comparison = compare(model, twin, x, **losses)  # type: ignore[arg-type]
    except ValueError as error:
        raise DisagreementError(f"{network.name} in {dtype}: {error}") from error
    found = comparison.frame
    central = numerical_gradient(model, x, loss_fn=loss_fn, target=target, method="central")
    ours = Objective(model, x, loss_fn=loss_fn, target=target).backward()
    pairs: dict[str, tuple[Any, Any]] = {"input": (ours.inputs[0], central.inputs[0])}
    pairs |= {name: (ours.parameters[name], numeric) for name, numeric in central.parameters.items()}
    errors = {name: np.max(np.abs(a - n)) for name, (a, n) in pairs.items()}
    found.insert(found.columns.get_loc("tolerance"), "numpy_central", found["tensor"].map(errors))
    named = {"gradients": found, "errors": error_counts(comparison)}
    for each in named.values():
        each.insert(0, "network", network.name)
        each.insert(1, "dtype", dtype)
    return named


def error_counts(comparison: Comparison) -> pd.DataFrame:
    """How many entries of all gradients differ by how much, in units of what rounding does to that entry.

    The unit is that of the judgement (checker/verdict.py): up to 8 of them are within the tolerance. Entries
    that the judgement leaves out, on a kink, are left out here.

    Returns:
        A row for each pair of NumPy, PyTorch and the numeric derivative, and each bin: count entries are off
        by more than ``low`` and at most ``high`` units. In the bin "equal" both are 0; the last has no end
        (nan), and what is nan counts there.
    """
    tensors = [t for t in comparison.tensors if t.numeric is not None and t.ours.shape == t.reference.shape]
    rows = []
    for pair in ("NumPy − PyTorch", "NumPy − numeric", "PyTorch − numeric"):
        first, second = (_SIDES[name] for name in pair.split(" − "))
        units = [t.in_roundings(getattr(t, first) - getattr(t, second)) for t in tensors]
        off = np.concatenate([np.zeros(0), *units])
        off[np.isnan(off)] = np.inf
        # searchsorted puts an off equal to an edge to the bin below it, so 0 goes to the first, "equal".
        counts = np.bincount(np.searchsorted(_EDGES, off), minlength=len(_BINS))
        for (told, low, high), count in zip(_BINS, counts, strict=True):
            rows.append({"pair": pair, "bin": told, "low": low, "high": high, "count": int(count)})
    return pd.DataFrame(rows)


_SIDES = {"NumPy": "ours", "PyTorch": "reference", "numeric": "numeric"}

# Four bins a decade, and what is outside of them.
_EDGES = [0.0, *(float(f"{10 ** (k / 4):.2g}") for k in range(-16, 9))]
_BINS = [
    ("equal", 0.0, 0.0),
    *((f"{low:g} to {high:g}", low, high) for low, high in pairwise(_EDGES)),
    (f"more than {_EDGES[-1]:g}", _EDGES[-1], np.nan),
]

# The columns of the growth: one without gradcheck has no multiples of it.
_GROWTH = ["network", "entries", "method", "seconds", "repetitions", "times_backpropagation", "error"]
