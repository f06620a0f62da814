"""A window of 3x3 over a picture of 5x5."""

import numpy as np

from reports.lesson.operations.convolution import convolution
from reports.lesson.operations.loss import mse
from reports.lesson.scene import Scene, weights

TITLE = {
    "en": (
        "A 3×3 convolution",
        "The same nine weights at nine places. To the picture, the error goes back through the kernel "
        "turned round.",
    ),
    "zh": ("3×3 卷积", "同样的九个权重用在九个位置。误差经过翻转的卷积核传回图像。"),
}


def scene() -> Scene:
    """A window of 3x3 over a picture of 5x5."""
    x = np.array([[0, 0, 1, 0, 0], [0, 1, 1, 0, 0], [0, 0, 1, 0, 0], [0, 0, 1, 0, 0], [0, 1, 1, 1, 0]], float)
    (W,) = weights(5, (1, 1, 3, 3))
    t = np.eye(3)[None, None]
    return Scene(
        "convolution",
        7,
        TITLE,
        {"x": x[None, None], "W": W, "b": np.array([0.1]), "t": t},
        [convolution("x", "W", "b", "y", 5, 3), mse("y", "t", "L", (1, 1, 3, 3))],
        ("W", "b"),
        (
            ("the window is not turned round in backward", "y"),
            ("the window is turned round in forward", "y"),
            ("the bias gradient is averaged over the places", "y"),
        ),
        lr=0.1,
    )
