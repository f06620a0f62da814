"""Are the gradients right, and what would they cost without backpropagation?

The table has, for each tensor, NumPy against PyTorch and both against the complex step, which is neither;
and, as the book does it, against the central difference. The errors are those of all entries, counted. The
cost is that of differentiating by every parameter once: by backpropagation, and by four numeric ways; its
growth is the same of smaller networks.
"""

from collections.abc import Callable, Collection, Sequence
from itertools import pairwise
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

import scratch
from reports.errors import DisagreementError
from reports.networks import Network, parameter_vector
from reports.progress import progress
from reports.results import Section
from scratch import nn
from scratch.numerical import Objective, numerical_gradient
from torch_ref import Comparison, compare

DTYPES = ("float64", "float32")


def run(
    networks: Sequence[Network],
    cost_network: Network,
    *,
    samples: int,
    rounds: int,
    seed: int,
    growing: Sequence[Network] = (),
) -> Section:
    """The section of the report.

    Args:
        networks: what the gradients are compared of, in both dtypes.
        cost_network: what the cost is measured on, with 3 samples in float64.
        samples: how many samples of the training set a batch has.
        rounds: how often the cost is measured.
        seed: of the weights.
        growing: networks from small to large, all smaller than cost_network: how the cost grows.
    """
    pairs = [(network, dtype) for network in networks for dtype in DTYPES]
    found = [tables(network, dtype, samples, seed) for network, dtype in progress(pairs, "gradients")]
    joined = {name: pd.concat([each[name] for each in found], ignore_index=True) for name in found[0]}
    costs, raw = cost(cost_network, rounds, seed)
    grown, grown_raw = growth(growing, seed)
    joined |= {"cost": costs, "growth": pd.concat([*grown, costs], ignore_index=True)[_GROWTH]}
    agrees = bool((joined["gradients"]["verdict"] == "agree").all())
    return Section(joined, {"cost": raw, "growth": grown_raw}, agrees)


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

    The unit is that of the judgement (torch_ref/judge.py): up to 8 of them are within the tolerance. Entries
    that the judgement leaves out, on a kink, are left out here.

    Returns:
        A row for each pair of NumPy, PyTorch and the truth, and each bin: count entries are off by more than
        ``low`` and at most ``high`` units. In the bin "equal" both are 0; the last has no end (nan), and what
        is nan counts there.
    """
    tensors = [t for t in comparison.tensors if t.truth is not None and t.numpy.shape == t.torch.shape]
    rows = []
    for pair in ("NumPy − PyTorch", "NumPy − truth", "PyTorch − truth"):
        first, second = (_SIDES[name] for name in pair.split(" − "))
        units = [t.in_roundings(getattr(t, first) - getattr(t, second)) for t in tensors]
        off = np.concatenate([np.zeros(0), *units])
        off[np.isnan(off)] = np.inf
        # searchsorted puts an off equal to an edge to the bin below it, so 0 goes to the first, "equal".
        counts = np.bincount(np.searchsorted(_EDGES, off), minlength=len(_BINS))
        for (told, low, high), count in zip(_BINS, counts, strict=True):
            rows.append({"pair": pair, "bin": told, "low": low, "high": high, "count": int(count)})
    return pd.DataFrame(rows)


_SIDES = {"NumPy": "numpy", "PyTorch": "torch", "truth": "truth"}

# Four bins a decade, and what is outside of them.
_EDGES = [0.0, *(float(f"{10 ** (k / 4):.2g}") for k in range(-16, 9))]
_BINS = [
    ("equal", 0.0, 0.0),
    *((f"{low:g} to {high:g}", low, high) for low, high in pairwise(_EDGES)),
    (f"more than {_EDGES[-1]:g}", _EDGES[-1], np.nan),
]


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


class Method(NamedTuple):
    """A way to differentiate by every parameter: its run, how often a turn, and its own repetitions in a run.

    ``run`` returns the gradients, or None if it only says yes or no.
    """

    run: Callable[[], list[np.ndarray] | None]
    times: int = 1
    repeats: int = 1


def methods(network: Network, seed: int) -> dict[str, Method]:
    """Backpropagation and four numeric ways, on 3 samples in float64; the quick ones 5 times a turn.

    torch.autograd.gradcheck is given the model's own parameters, which it changes in place: so it pays for
    nothing but forwards and comparisons.
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

    return {
        "backpropagation": Method(backpropagation, 5, _BACKWARDS),
        "complex step": Method(lambda: numeric("complex"), 5),
        "central difference": Method(lambda: numeric("central"), 5),
        "the book's loop": Method(book),
        _GRADCHECK: Method(gradcheck),
    }


_BACKWARDS = 50
_GRADCHECK = "torch.autograd.gradcheck"


def cost(
    network: Network, rounds: int, seed: int, left_out: Collection[str] = ()
) -> tuple[pd.DataFrame, dict[str, list[float]]]:
    """What it costs to differentiate by every parameter, by all methods but those left out.

    The methods take turns.

    Returns:
        A row for each method: median seconds, how often measured, its multiple of backpropagation and
        of gradcheck, and its largest error against backpropagation by the largest gradient (nan for
        gradcheck, which only says yes or no); and all samples by method, in seconds.
    """
    asked = {name: method for name, method in methods(network, seed).items() if name not in left_out}
    seconds: dict[str, list[float]] = {name: [] for name in asked}
    results: dict[str, list[np.ndarray] | None] = {}
    turns = [(name, method) for _ in range(rounds) for name, method in asked.items()]
    asked["backpropagation"].run()
    for name, method in progress(turns, f"cost of numeric differentiation, {network.name}"):
        for _ in range(method.times):
            start = perf_counter()
            results[name] = method.run()
            seconds[name].append((perf_counter() - start) / method.repeats)
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
            "times_gradcheck": medians[name] / medians.get(_GRADCHECK, np.nan),
            "error": np.max(np.abs(_flat(found) - exact)) / np.max(np.abs(exact)) if found else np.nan,
        }
        for name, found in results.items()
    ]
    return pd.DataFrame(rows), seconds


def growth(
    networks: Sequence[Network], seed: int, limit: float = 1.0
) -> tuple[list[pd.DataFrame], dict[str, dict[str, list[float]]]]:
    """The cost of each network, from small to large; without a method as soon as it would take too long.

    Args:
        networks: from small to large.
        seed: of the weights.
        limit: the seconds that one run of a method may take, guessed from the network before: as many times
            more as there are entries more, which none of them undercuts by much.

    Returns:
        The table and the samples of ``cost``, of each network.
    """
    found: list[pd.DataFrame] = []
    samples: dict[str, dict[str, list[float]]] = {}
    slow: set[str] = set()
    for network in networks:
        if found:
            before = found[-1]
            more = parameter_vector(network.build("float64", seed)[0]).size / before["entries"]
            slow |= set(before["method"][before["seconds"] * more > limit])
        table, samples[network.name] = cost(network, 1, seed, slow)
        found.append(table)
    return found, samples


# The columns of the table: one without gradcheck has no multiples of it.
_GROWTH = ["network", "entries", "method", "seconds", "repetitions", "times_backpropagation", "error"]


def _flat(arrays: list[np.ndarray] | None) -> np.ndarray:
    return np.concatenate([array.reshape(-1) for array in arrays or []])
