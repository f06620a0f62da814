"""ReLU where it has no derivative."""

import numpy as np

from reports.lesson.operations.activation import relu
from reports.lesson.operations.loss import mse
from reports.lesson.scene import Scene

TITLE = {
    "en": (
        "ReLU at zero",
        "At 0 ReLU has no derivative. Both frameworks take 0; central differences give the mean of "
        "the slopes on both sides, a half.",
    ),
    "zh": (
        "ReLU 在零点",
        "ReLU 在零点没有导数。两个框架都取 0；中心差分得到左右两侧斜率的平均，即二分之一。",
    ),
}


def scene() -> Scene:
    """ReLU where it has no derivative."""
    return Scene(
        "kink",
        4,
        TITLE,
        {"x": np.array([[-1.5, -0.5, 0.0, 0.5, 1.5]]), "t": np.full((1, 5), 1.0)},
        [relu("x", "y", (1, 5)), mse("y", "t", "L", (1, 5))],
        (),
        (("the slope at 0 is 1", "y"), ("the activation's derivative is missing", "y")),
    )
