"""The cost of differentiating by every parameter: by backpropagation, and by four numeric methods."""

from collections.abc import Callable, Collection, Sequence
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

import scratch
from reports.runner.networks import Network, parameter_vector
from reports.runner.progress import progress
from scratch import nn
from scratch.gradcheck import numerical_gradient

BACKPROPAGATION = "backpropagation"
COMPLEX = "complex step"
CENTRAL = "central difference"
BOOK = "the book's loop"
GRADCHECK = "torch.autograd.gradcheck"


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
    """A way to differentiate by every parameter: its run, its runs a turn, and its own repetitions in a run.

    ``run`` returns the gradients, or None if it only says yes or no.
    """

    run: Callable[[], list[np.ndarray] | None]
    times: int = 1
    repeats: int = 1


def methods(network: Network, seed: int) -> dict[str, Method]:
    """Backpropagation and four numeric methods, on 3 samples in float64; the quick ones 5 times a turn.

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
            model.backward_parameters(loss_fn.backward())
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
        BACKPROPAGATION: Method(backpropagation, 5, _BACKWARDS),
        COMPLEX: Method(lambda: numeric("complex"), 5),
        CENTRAL: Method(lambda: numeric("central"), 5),
        BOOK: Method(book),
        GRADCHECK: Method(gradcheck),
    }


_BACKWARDS = 50


def measure(
    network: Network, rounds: int, seed: int, left_out: Collection[str] = ()
) -> tuple[pd.DataFrame, dict[str, list[float]]]:
    """The cost of differentiating by every parameter, by all methods but those left out.

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
    asked[BACKPROPAGATION].run()
    for name, method in progress(turns, f"cost of numeric differentiation, {network.name}"):
        for _ in range(method.times):
            start = perf_counter()
            results[name] = method.run()
            seconds[name].append((perf_counter() - start) / method.repeats)
    medians = {name: median(samples) for name, samples in seconds.items()}
    exact = _flat(results[BACKPROPAGATION])
    rows = [
        {
            "network": network.name,
            "entries": exact.size,
            "method": name,
            "seconds": medians[name],
            "repetitions": len(seconds[name]),
            "times_backpropagation": medians[name] / medians[BACKPROPAGATION],
            "times_gradcheck": medians[name] / medians.get(GRADCHECK, np.nan),
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
        The table and the samples of ``measure``, of each network.
    """
    found: list[pd.DataFrame] = []
    samples: dict[str, dict[str, list[float]]] = {}
    slow: set[str] = set()
    for network in networks:
        if found:
            before = found[-1]
            more = parameter_vector(network.build("float64", seed)[0]).size / before["entries"]
            slow |= set(before["method"][before["seconds"] * more > limit])
        table, samples[network.name] = measure(network, 1, seed, slow)
        found.append(table)
    return found, samples


def _flat(arrays: list[np.ndarray] | None) -> np.ndarray:
    return np.concatenate([array.reshape(-1) for array in arrays or []])
