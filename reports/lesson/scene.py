"""Scenes: small networks whose every number can be looked at."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from reports.lesson.operations.linear import linear
from reports.lesson.operations.loss import nll
from reports.lesson.operations.operation import Operation
from reports.lesson.operations.softmax import log_softmax


@dataclass(frozen=True)
class Learning:
    """The updates after the first one: the same steps again and again, on new mini-batches.

    Args:
        updates: how many.
        every: the page shows the state after each so many updates.
        data: the tensors that are drawn, each with all samples that it is drawn from.
        shown: what the network says of all samples, as log-probabilities.
    """

    updates: int
    every: int
    data: dict[str, str]
    shown: str


@dataclass(frozen=True)
class Scene:
    """A network, its numbers, and which mistakes can be made in it.

    Args:
        name: for links.
        place: in the lesson, from 1.
        title: by language: a title, and a sentence about it.
        tensors: what is given: data and parameters.
        operations: one after the other; the last makes the loss.
        parameters: what is learnt.
        faults: mistakes of torch_ref/faults, by name, each with the tensor whose operation makes it.
        lr: with it the parameters are updated in the end; None leaves them.
        learning: how it goes on after the first update, if it does.
    """

    name: str
    place: int
    title: Mapping[str, tuple[str, str]]
    tensors: dict[str, np.ndarray]
    operations: list[Operation]
    parameters: tuple[str, ...]
    faults: tuple[tuple[str, str], ...] = ()
    lr: float | None = None
    learning: Learning | None = None


PARAMETERS = ("W1", "b1", "W2", "b2")


def weights(seed: int, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    """Numbers of one decimal place, to be read; the same from the same seed."""
    rng = np.random.default_rng(seed)
    return [np.round(rng.uniform(-1, 1, shape), 1) + 0.0 for shape in shapes]


def two_layers(
    samples: int, sizes: tuple[int, int, int], activation: Callable[..., Operation]
) -> list[Operation]:
    """x to z1, through the activation to a1, and on to z2."""
    inputs, hidden, outputs = sizes
    return [
        linear("x", "W1", "b1", "z1", (samples, inputs, hidden)),
        activation("z1", "a1", (samples, hidden)),
        linear("a1", "W2", "b2", "z2", (samples, hidden, outputs)),
    ]


def cross_entropy(x: str, t: np.ndarray, classes: int) -> list[Operation]:
    """Log-softmax, and minus the mean of its entries at the right classes ``t``."""
    shape = (len(t), classes)
    return [log_softmax(x, "s", shape), nll("s", "t", "L", shape, t)]
