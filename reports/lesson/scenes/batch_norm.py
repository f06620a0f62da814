"""Batch normalisation: an entry moves the mean and the variance of its whole column."""

import numpy as np

from reports.lesson.operations.batch_norm import batch_norm
from reports.lesson.operations.loss import mse
from reports.lesson.scene import Scene, weights

TITLE = {
    "en": (
        "Batch normalisation",
        "An entry moves the mean and the variance of its whole column, so the gradient has three parts.",
    ),
    "zh": ("批归一化", "一个元素会改变整列的均值与方差，所以梯度有三部分。"),
}


def scene() -> Scene:
    """Batch normalisation: an entry moves the mean and the variance of its whole column."""
    x, t = weights(8, (4, 2), (4, 2))
    return Scene(
        "batch_norm",
        6,
        TITLE,
        {"x": x, "gamma": np.array([1.5, 0.8]), "beta": np.array([0.1, -0.2]), "t": t},
        [batch_norm("x", "gamma", "beta", "y", (4, 2), 1e-5), mse("y", "t", "L", (4, 2))],
        ("gamma", "beta"),
        (
            ("the statistics of the normalisation are held constant", "y"),
            ("the gradient through the variance is missing", "y"),
            ("the variance is divided by M - 1 instead of M", "y"),
        ),
    )
