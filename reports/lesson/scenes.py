"""The scenes of the lesson: small networks whose every number can be looked at."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import scratch
import scratch.models
from reports.lesson import operations as op
from reports.lesson.operations import Operation


@dataclass(frozen=True)
class Learning:
    """What comes after the first update: the same again and again, on new mini-batches.

    Args:
        updates: how many.
        every: after so many the page shows where it has come to.
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
        name: for links, and in texts.py for its title.
        tensors: what is given: data and parameters.
        operations: one after the other; the last makes the loss.
        parameters: what is learnt.
        faults: mistakes of torch_ref/faults, by name, each with the tensor whose operation makes it.
        lr: with it the parameters are updated in the end; None leaves them.
        learning: how it goes on after the first update, if it does.
    """

    name: str
    tensors: dict[str, np.ndarray]
    operations: list[Operation]
    parameters: tuple[str, ...]
    faults: tuple[tuple[str, str], ...] = ()
    lr: float | None = None
    learning: Learning | None = None


def _weights(seed: int, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    """Numbers of one decimal place, to be read; the same from the same seed."""
    rng = np.random.default_rng(seed)
    return [np.round(rng.uniform(-1, 1, shape), 1) + 0.0 for shape in shapes]


def _two_layers(
    samples: int, sizes: tuple[int, int, int], activation: Callable[..., Operation]
) -> list[Operation]:
    """x to z1, through the activation to a1, and on to z2."""
    inputs, hidden, outputs = sizes
    return [
        op.linear("x", "W1", "b1", "z1", (samples, inputs, hidden)),
        activation("z1", "a1", (samples, hidden)),
        op.linear("a1", "W2", "b2", "z2", (samples, hidden, outputs)),
    ]


def _cross_entropy(x: str, t: np.ndarray, classes: int) -> list[Operation]:
    """Log-softmax, and the mean of what it says of the right classes ``t``."""
    shape = (len(t), classes)
    return [op.log_softmax(x, "s", shape), op.nll("s", "t", "L", shape, t)]


_PARAMETERS = ("W1", "b1", "W2", "b2")
_XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float), np.array([0, 1, 1, 0])
_XOR_FAULTS = (
    ("the activation's derivative is missing", "a1"),
    ("the derivative is taken at the input instead of the output", "a1"),
    ("the bias gradient is averaged over the batch", "z1"),
    ("the weights are updated before the error has passed through them", "z2"),
)


def _xor_weights() -> dict[str, np.ndarray]:
    scratch.manual_seed(0)
    network = scratch.models.xor_net(dtype=np.float64)
    return {name: p.data.copy() for name, p in zip(_PARAMETERS, network.parameters(), strict=True)}


def xor() -> Scene:
    """The book's example: four samples, four hidden neurons, two classes."""
    x, t = _XOR
    return Scene(
        "xor",
        {"x": x, **_xor_weights(), "t": t},
        [*_two_layers(4, (2, 4, 2), op.sigmoid), *_cross_entropy("z2", t, 2)],
        _PARAMETERS,
        _XOR_FAULTS,
    )


def learning() -> Scene:
    """Mini-batch, gradient, update, repeat: XOR again, from two samples at a time."""
    X, T = _XOR
    batch = op.mini_batch(samples=4, size=3, seed=1, features=2)
    drawn = T[batch[0].module()]
    return Scene(
        "learning",
        {"X": X, "T": T, **_xor_weights()},
        [*batch, *_two_layers(3, (2, 4, 2), op.sigmoid), *_cross_entropy("z2", drawn, 2)],
        _PARAMETERS,
        _XOR_FAULTS,
        lr=2.0,
        learning=Learning(updates=500, every=25, data={"x": "X", "t": "T"}, shown="s"),
    )


def batch() -> Scene:
    """Two layers and a batch of three: where sums over samples come from."""
    x, W1, b1, W2, b2 = _weights(2, (3, 2), (3, 2), (3,), (2, 3), (2,))
    t = np.array([0, 1, 1])
    return Scene(
        "batch",
        {"x": x, "W1": W1, "b1": b1, "W2": W2, "b2": b2, "t": t},
        [*_two_layers(3, (2, 3, 2), op.relu), *_cross_entropy("z2", t, 2)],
        _PARAMETERS,
        (
            ("the mask is taken from the sign of the error", "a1"),
            ("the mean's 1/N is missing in the loss's gradient", "L"),
            ("parameter gradients divided by the batch size", "z1"),
        ),
        lr=0.1,
    )


def mazur() -> Scene:
    """M. Mazur, A Step by Step Backpropagation Example (2015): its numbers are published."""
    return Scene(
        "mazur",
        {
            "x": np.array([[0.05, 0.10]]),
            "W1": np.array([[0.15, 0.20], [0.25, 0.30]]),
            "b1": np.array([0.35, 0.35]),
            "W2": np.array([[0.40, 0.45], [0.50, 0.55]]),
            "b2": np.array([0.60, 0.60]),
            "t": np.array([[0.01, 0.99]]),
        },
        [
            *_two_layers(1, (2, 2, 2), op.sigmoid),
            op.sigmoid("z2", "y", (1, 2)),
            op.mse("y", "t", "L", (1, 2)),
        ],
        _PARAMETERS,
        (
            ("the factor 2 of the square is missing", "L"),
            ("the derivative is taken at the input instead of the output", "y"),
            ("the error is passed on through Wᵀ instead of W", "z2"),
            ("the weight gradient is transposed", "z2"),
        ),
        lr=0.5,
    )


def kink() -> Scene:
    """ReLU where it has no derivative."""
    return Scene(
        "kink",
        {"x": np.array([[-1.5, -0.5, 0.0, 0.5, 1.5]]), "t": np.full((1, 5), 1.0)},
        [op.relu("x", "y", (1, 5)), op.mse("y", "t", "L", (1, 5))],
        (),
        (("the slope at 0 is 1", "y"), ("the activation's derivative is missing", "y")),
    )


def cross_entropy() -> Scene:
    """Softmax with cross-entropy: p - t, over N."""
    x = np.array([[2.0, 1.0, 0.1], [0.3, 0.3, 0.3]])
    t = np.array([0, 2])
    return Scene(
        "cross_entropy",
        {"x": x, "t": t},
        _cross_entropy("x", t, 3),
        (),
        (
            ("the activation's derivative is missing", "s"),
            ("the mean's 1/N is missing in the loss's gradient", "L"),
        ),
    )


def batch_norm() -> Scene:
    """Batch normalisation: an entry moves the mean and the variance of its whole column."""
    x, t = _weights(8, (4, 2), (4, 2))
    return Scene(
        "batch_norm",
        {"x": x, "gamma": np.array([1.5, 0.8]), "beta": np.array([0.1, -0.2]), "t": t},
        [*op.batch_norm("x", "gamma", "beta", "y", (4, 2), 1e-5), op.mse("y", "t", "L", (4, 2))],
        ("gamma", "beta"),
        (
            ("the statistics of the normalisation are held constant", "y"),
            ("the gradient through the variance is missing", "y"),
            ("the variance is divided by M - 1 instead of M", "y"),
        ),
    )


def convolution() -> Scene:
    """A window of 3x3 over a picture of 5x5."""
    x = np.array([[0, 0, 1, 0, 0], [0, 1, 1, 0, 0], [0, 0, 1, 0, 0], [0, 0, 1, 0, 0], [0, 1, 1, 1, 0]], float)
    (W,) = _weights(5, (1, 1, 3, 3))
    t = np.eye(3)[None, None]
    return Scene(
        "convolution",
        {"x": x[None, None], "W": W, "b": np.array([0.1]), "t": t},
        [op.convolution("x", "W", "b", "y", 5, 3), op.mse("y", "t", "L", (1, 1, 3, 3))],
        ("W", "b"),
        (
            ("the window is not turned round in backward", "y"),
            ("the window is turned round in forward", "y"),
            ("the bias gradient is averaged over the places", "y"),
        ),
        lr=0.1,
    )


def attention() -> Scene:
    """One head over three places: scores, softmax, mixture."""
    x, Wq, Wk, Wv, t = _weights(35, (3, 2), (2, 2), (2, 2), (2, 2), (3, 2))
    return Scene(
        "attention",
        {"x": x, "Wq": Wq, "Wk": Wk, "Wv": Wv, "t": t},
        [
            op.linear("x", "Wq", None, "Q", (3, 2, 2)),
            op.linear("x", "Wk", None, "K", (3, 2, 2)),
            op.linear("x", "Wv", None, "V", (3, 2, 2)),
            op.scores("Q", "K", "S", 3, 2),
            op.softmax("S", "P", (3, 3)),
            op.product("P", "V", "O", 3, 2),
            op.mse("O", "t", "L", (3, 2)),
        ],
        ("Wq", "Wk", "Wv"),
        (
            ("the Jacobian of the softmax is only its diagonal", "P"),
            ("the activation's derivative is missing", "P"),
            ("the weight gradient is transposed", "V"),
        ),
    )


SCENES: tuple[Callable[[], Scene], ...] = (
    xor,
    batch,
    mazur,
    kink,
    cross_entropy,
    batch_norm,
    convolution,
    attention,
    learning,
)
