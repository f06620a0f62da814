"""The book's example: four samples, four hidden neurons, two classes."""

import numpy as np

import scratch
from reports.lesson.operations.activation import sigmoid
from reports.lesson.scene import PARAMETERS, Scene, cross_entropy, two_layers
from scratch.models import xor_net

TITLE = {
    "en": (
        "XOR",
        "Four samples, four sigmoid neurons, two classes. One layer alone cannot learn XOR; two can.",
    ),
    "zh": ("异或", "四个样本，四个 sigmoid 神经元，两个类别。单层网络学不会异或，两层就可以。"),
}


XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float), np.array([0, 1, 1, 0])
XOR_FAULTS = (
    ("the activation's derivative is missing", "a1"),
    ("the derivative is taken at the input instead of the output", "a1"),
    ("the bias gradient is averaged over the batch", "z1"),
    ("the weights are updated before the error has passed through them", "z2"),
)


def xor_weights() -> dict[str, np.ndarray]:
    """The weights of seed 0."""
    scratch.manual_seed(0)
    network = xor_net(dtype=np.float64)
    return {name: p.data.copy() for name, p in zip(PARAMETERS, network.parameters(), strict=True)}


def scene() -> Scene:
    """The book's example: four samples, four hidden neurons, two classes."""
    x, t = XOR
    return Scene(
        "xor",
        1,
        TITLE,
        {"x": x, **xor_weights(), "t": t},
        [*two_layers(4, (2, 4, 2), sigmoid), *cross_entropy("z2", t, 2)],
        PARAMETERS,
        XOR_FAULTS,
    )
