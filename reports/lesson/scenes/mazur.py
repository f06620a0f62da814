"""M. Mazur, A Step by Step Backpropagation Example (2015): its numbers are published."""

import numpy as np

from reports.lesson.operations.activation import sigmoid
from reports.lesson.operations.loss import mse
from reports.lesson.scene import PARAMETERS, Scene, two_layers

TITLE = {
    "en": (
        "Mazur's example",
        "The best-known worked example (M. Mazur, 2015). A test compares its published numbers with these.",
    ),
    "zh": (
        "Mazur 的例子",
        "流传最广的反向传播手算例子（M. Mazur，2015）。有一项测试拿文中公布的数值与这里的核对。",
    ),
}


def scene() -> Scene:
    """M. Mazur, A Step by Step Backpropagation Example (2015): its numbers are published."""
    return Scene(
        "mazur",
        3,
        TITLE,
        {
            "x": np.array([[0.05, 0.10]]),
            "W1": np.array([[0.15, 0.20], [0.25, 0.30]]),
            "b1": np.array([0.35, 0.35]),
            "W2": np.array([[0.40, 0.45], [0.50, 0.55]]),
            "b2": np.array([0.60, 0.60]),
            "t": np.array([[0.01, 0.99]]),
        },
        [
            *two_layers(1, (2, 2, 2), sigmoid),
            sigmoid("z2", "y", (1, 2)),
            mse("y", "t", "L", (1, 2)),
        ],
        PARAMETERS,
        (
            ("the factor 2 of the square is missing", "L"),
            ("the derivative is taken at the input instead of the output", "y"),
            ("the error is passed on through Wᵀ instead of W", "z2"),
            ("the weight gradient is transposed", "z2"),
        ),
        lr=0.5,
    )
