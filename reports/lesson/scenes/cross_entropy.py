"""Softmax with cross-entropy: p - t, over N."""

import numpy as np

from reports.lesson.scene import Scene, cross_entropy

TITLE = {
    "en": (
        "Softmax with cross-entropy",
        "Two steps back from the loss, all else cancels: the gradient is p − t over the number of samples.",
    ),
    "zh": ("Softmax 与交叉熵", "从损失往回走两步，其余的都抵消了：梯度就是 p − t 除以样本数。"),
}


def scene() -> Scene:
    """Softmax with cross-entropy: p - t, over N."""
    x = np.array([[2.0, 1.0, 0.1], [0.3, 0.3, 0.3]])
    t = np.array([0, 2])
    return Scene(
        "cross_entropy",
        5,
        TITLE,
        {"x": x, "t": t},
        cross_entropy("x", t, 3),
        (),
        (
            ("the activation's derivative is missing", "s"),
            ("the mean's 1/N is missing in the loss's gradient", "L"),
        ),
    )
