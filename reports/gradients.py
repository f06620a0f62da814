"""Are the gradients right, and what would they cost without backpropagation?

The table has, for each tensor, NumPy against PyTorch and both against the complex step, which is neither;
and, as the book does it, against the central difference. The cost is that of differentiating by every
parameter once: by backpropagation, and by four numeric ways.
"""

from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import torch

import scratch
from reports.campaign import Chapter, Task
from reports.errors import DisagreementError
from reports.networks import Network
from reports.progress import progress
from reports.results import Rows, Section
from scratch import nn
from scratch.numerical import Objective, numerical_gradient
from torch_ref import compare

DTYPES = ("float64", "float32")


def chapter(
    networks: Sequence[Network], cost_network: Network, *, samples: int, rounds: int, seed: int
) -> Chapter:
    """The chapter of the report.

    Args:
        networks: what the gradients are compared of, in both dtypes.
        cost_network: what the cost is measured on, with 3 samples in float64.
        samples: how many samples of the training set a batch has.
        rounds: how often the cost is measured.
        seed: of the weights.
    """
    compared = [
        Task(f"gradients of {network.name} in {dtype}", partial(_compared, network, dtype, samples, seed))
        for network in networks
        for dtype in DTYPES
    ]
    cost_task = Task(f"cost of {cost_network.name}", partial(_cost, cost_network, rounds, seed), weight=8.0)
    return Chapter("gradients", [cost_task, *compared], _conclude)


def _compared(network: Network, dtype: str, samples: int, seed: int) -> Rows:
    return Rows({"gradients": table(network, dtype, samples, seed)})


def _cost(network: Network, rounds: int, seed: int) -> Rows:
    costs, raw = cost(network, rounds, seed)
    return Rows({"cost": costs}, raw)


def _conclude(rows: Rows) -> Section:
    agrees = bool((rows.tables["gradients"]["verdict"] == "agree").all())
    return Section(
        {name: rows.tables[name] for name in ("gradients", "cost")}, {"cost": rows.samples}, agrees
    )


def table(network: Network, dtype: str, samples: int, seed: int) -> pd.DataFrame:
    """A row for each parameter, the input, the output and the loss.

    The columns are those of torch_ref.Comparison, and numpy_central: how far NumPy is from the central
    difference. That one is right to nine digits or so, and not judged by.
    """
    model, twin = network.build(dtype, seed)
    x, target = network.batch(dtype, min(samples, network.batch_size))
    loss_fn = nn.CrossEntropyLoss()
    losses = {"loss_fn": loss_fn, "twin_loss_fn": torch.nn.CrossEntropyLoss(), "target": target}
    try:
        found = compare(model, twin, x, **losses).frame  # type: ignore[arg-type]
    except ValueError as error:
        raise DisagreementError(f"{network.name} in {dtype}: {error}") from error
    central = numerical_gradient(model, x, loss_fn=loss_fn, target=target, method="central")
    ours = Objective(model, x, loss_fn=loss_fn, target=target).backward()
    pairs: dict[str, tuple[Any, Any]] = {"input": (ours.inputs[0], central.inputs[0])}
    pairs |= {name: (ours.parameters[name], numeric) for name, numeric in central.parameters.items()}
    errors = {name: np.max(np.abs(a - n)) for name, (a, n) in pairs.items()}
    found.insert(found.columns.get_loc("tolerance"), "numpy_central", found["tensor"].map(errors))
    found.insert(0, "network", network.name)
    found.insert(1, "dtype", dtype)
    return found


def book_gradient(loss: Callable[[], Any], w: np.ndarray, h: float = 1e-4) -> np.ndarray:
    """The book's numerical_gradient: two forwards for each entry of w, one after the other."""
    gradient = np.zeros_like(w)
    for index in np.ndindex(w.shape):
        before = w[index]
        w[index] = before + h
        above = loss()
        w[index] = before - h
        gradient[index] = (above - loss()) / (2 * h)
        w[index] = before
    return gradient


def cost(network: Network, rounds: int, seed: int) -> tuple[pd.DataFrame, dict[str, list[float]]]:
    """What it costs to differentiate by every parameter, on 3 samples in float64.

    The methods take turns; the quick ones are measured 5 times a turn. torch.autograd.gradcheck is given the
    model's own parameters, which it changes in place: so it pays for nothing but forwards and comparisons.

    Returns:
        A row for each method: median seconds, how often measured, its multiple of backpropagation and
        of gradcheck, and its largest error against backpropagation by the largest gradient (nan for
        gradcheck, which only says yes or no); and all samples by method, in seconds.
    """
    model, twin = network.build("float64", seed)
    x, target = network.batch("float64", 3)
    loss_fn, twin_loss_fn = nn.CrossEntropyLoss(), torch.nn.CrossEntropyLoss()
    twin_x, twin_target = torch.from_numpy(x), torch.from_numpy(target)

    def backpropagation() -> list[np.ndarray]:
        for _ in range(_BACKWARDS):
            model.zero_grad()
            loss_fn(model(x), target)
            model.backward(loss_fn.backward(), needs_input_grad=False)
        return [p.grad for p in model.parameters() if p.grad is not None]

    def numeric(method: str) -> list[np.ndarray]:
        found = numerical_gradient(model, x, loss_fn=loss_fn, target=target, method=method, wrt_inputs=False)
        return list(found.parameters.values())

    def book() -> list[np.ndarray]:
        with scratch.no_grad():
            return [book_gradient(lambda: loss_fn(model(x), target), p.data) for p in model.parameters()]

    def gradcheck() -> None:
        torch.autograd.gradcheck(
            lambda *_: twin_loss_fn(twin(twin_x), twin_target),
            tuple(twin.parameters()),
            raise_exception=False,
            check_undefined_grad=False,
            check_batched_grad=False,
        )

    # Name: (what to run, how often a turn, how often it repeats itself in one run).
    methods: dict[str, tuple[Callable[[], list[np.ndarray] | None], int, int]] = {
        "backpropagation": (backpropagation, 5, _BACKWARDS),
        "complex step": (lambda: numeric("complex"), 5, 1),
        "central difference": (lambda: numeric("central"), 5, 1),
        "the book's loop": (book, 1, 1),
        "torch.autograd.gradcheck": (gradcheck, 1, 1),
    }
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    results: dict[str, list[np.ndarray] | None] = {}
    turns = [(name, *methods[name]) for _ in range(rounds) for name in methods]
    backpropagation()
    for name, function, times, repeats in progress(turns, "cost of numeric differentiation"):
        for _ in range(times):
            start = perf_counter()
            results[name] = function()
            seconds[name].append((perf_counter() - start) / repeats)
    medians = {name: median(samples) for name, samples in seconds.items()}
    exact = _flat(results["backpropagation"])
    rows = [
        {
            "network": network.name,
            "entries": exact.size,
            "method": name,
            "seconds": medians[name],
            "repetitions": len(seconds[name]),
            "times_backpropagation": medians[name] / medians["backpropagation"],
            "times_gradcheck": medians[name] / medians["torch.autograd.gradcheck"],
            "error": np.max(np.abs(_flat(found) - exact)) / np.max(np.abs(exact)) if found else np.nan,
        }
        for name, found in results.items()
    ]
    return pd.DataFrame(rows), seconds


_BACKWARDS = 50


def _flat(arrays: list[np.ndarray] | None) -> np.ndarray:
    return np.concatenate([array.reshape(-1) for array in arrays or []])
