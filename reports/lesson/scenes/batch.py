"""Two layers and a batch of three: where sums over samples come from."""

import numpy as np

from reports.lesson.operations.activation import relu
from reports.lesson.scene import PARAMETERS, Scene, cross_entropy, two_layers, weights

TITLE = {
    "en": (
        "A batch of three",
        "Two layers with ReLU. Each weight serves all three samples: its gradient is a sum over them.",
    ),
    "zh": ("三个样本的小批量", "两层网络与 ReLU。每个权重由三个样本共用，所以它的梯度是对样本求和。"),
}


def scene() -> Scene:
    """Two layers and a batch of three: where sums over samples come from."""
    x, W1, b1, W2, b2 = weights(2, (3, 2), (3, 2), (3,), (2, 3), (2,))
    t = np.array([0, 1, 1])
    return Scene(
        "batch",
        2,
        TITLE,
        {"x": x, "W1": W1, "b1": b1, "W2": W2, "b2": b2, "t": t},
        [*two_layers(3, (2, 3, 2), relu), *cross_entropy("z2", t, 2)],
        PARAMETERS,
        (
            ("the mask is taken from the sign of the error", "a1"),
            ("the mean's 1/N is missing in the loss's gradient", "L"),
            ("parameter gradients divided by the batch size", "z1"),
        ),
        lr=0.1,
    )
