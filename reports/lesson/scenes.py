"""The scenes of the lesson: small networks whose every number can be looked at."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import scratch
import scratch.models
from reports.lesson import operations as op
from reports.lesson.operations import Operation


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
        steps: so many updates are made to draw a curve of the loss.
    """

    name: str
    tensors: dict[str, np.ndarray]
    operations: list[Operation]
    parameters: tuple[str, ...]
    faults: tuple[tuple[str, str], ...] = ()
    lr: float | None = None
    steps: int = 0


def _weights(seed: int, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    """Numbers of one decimal place, to be read; the same from the same seed."""
    rng = np.random.default_rng(seed)
    return [np.round(rng.uniform(-1, 1, shape), 1) + 0.0 for shape in shapes]


def _xor(name: str, lr: float | None = None, steps: int = 0) -> Scene:
    scratch.manual_seed(0)
    network = scratch.models.xor_net(dtype=np.float64)
    W1, b1, W2, b2 = (p.data.copy() for p in network.parameters())
    x, t = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float), np.array([0, 1, 1, 0])
    return Scene(
        name,
        {"x": x, "W1": W1, "b1": b1, "W2": W2, "b2": b2, "t": t},
        [
            op.linear("x", "W1", "b1", "z1", (4, 2, 4)),
            op.sigmoid("z1", "a1", (4, 4)),
            op.linear("a1", "W2", "b2", "z2", (4, 4, 2)),
            op.log_softmax("z2", "s", (4, 2)),
            op.nll("s", "t", "L", (4, 2), t),
        ],
        ("W1", "b1", "W2", "b2"),
        (
            ("the activation's derivative is missing", "a1"),
            ("the derivative is taken at the input instead of the output", "a1"),
            ("the bias gradient is averaged over the batch", "z1"),
            ("the weights are updated before the error has passed through them", "z2"),
        ),
        lr,
        steps,
    )


def xor() -> Scene:
    """The book's example: four samples, four hidden neurons, two classes."""
    return _xor("xor")


def learning() -> Scene:
    """Mini-batch, gradient, update, repeat."""
    return _xor("learning", lr=3.0, steps=500)


def batch() -> Scene:
    """Two layers and a batch of three: where sums over samples come from."""
    x, W1, b1, W2, b2 = _weights(3, (3, 2), (3, 2), (3,), (2, 3), (2,))
    t = np.array([0, 1, 1])
    return Scene(
        "batch",
        {"x": x, "W1": W1, "b1": b1, "W2": W2, "b2": b2, "t": t},
        [
            op.linear("x", "W1", "b1", "z1", (3, 2, 3)),
            op.relu("z1", "a1", (3, 3)),
            op.linear("a1", "W2", "b2", "z2", (3, 3, 2)),
            op.log_softmax("z2", "s", (3, 2)),
            op.nll("s", "t", "L", (3, 2), t),
        ],
        ("W1", "b1", "W2", "b2"),
        (
            ("the mask is taken from the sign of the error", "a1"),
            ("the mean's 1/N is missing in the loss's gradient", "L"),
            ("parameter gradients divided by the batch size", "z1"),
        ),
        lr=0.1,
    )


def mazur() -> Scene:
    """M. Mazur, A Step by Step Backpropagation Example (2015): its numbers are published."""
    W1, b1 = np.array([[0.15, 0.20], [0.25, 0.30]]), np.array([0.35, 0.35])
    W2, b2 = np.array([[0.40, 0.45], [0.50, 0.55]]), np.array([0.60, 0.60])
    return Scene(
        "mazur",
        {
            "x": np.array([[0.05, 0.10]]),
            "W1": W1,
            "b1": b1,
            "W2": W2,
            "b2": b2,
            "t": np.array([[0.01, 0.99]]),
        },
        [
            op.linear("x", "W1", "b1", "z1", (1, 2, 2)),
            op.sigmoid("z1", "a1", (1, 2)),
            op.linear("a1", "W2", "b2", "z2", (1, 2, 2)),
            op.sigmoid("z2", "y", (1, 2)),
            op.mse("y", "t", "L", (1, 2)),
        ],
        ("W1", "b1", "W2", "b2"),
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
        [op.log_softmax("x", "s", (2, 3)), op.nll("s", "t", "L", (2, 3), t)],
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
        {"x": x, "g": np.array([1.5, 0.8]), "b": np.array([0.1, -0.2]), "t": t},
        [
            op.batch_norm("x", "g", "b", "y", (4, 2), 1e-5),
            op.mse("y", "t", "L", (4, 2)),
        ],
        ("g", "b"),
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
    x, Wq, Wk, Wv, t = _weights(11, (3, 2), (2, 2), (2, 2), (2, 2), (3, 2))
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
