"""One head over three places: scores, softmax, mixture."""

from reports.lesson.operations.attention import product, scores
from reports.lesson.operations.linear import linear
from reports.lesson.operations.loss import mse
from reports.lesson.operations.softmax import softmax
from reports.lesson.scene import Scene, weights

TITLE = {
    "en": (
        "One attention head",
        "Scores, softmax, weighted sum. Three paths lead back to x, and their gradients add up.",
    ),
    "zh": ("一个注意力头", "打分、softmax、加权求和。有三条路回到 x，它们的梯度相加。"),
}


def scene() -> Scene:
    """One head over three places: scores, softmax, mixture."""
    x, Wq, Wk, Wv, t = weights(35, (3, 2), (2, 2), (2, 2), (2, 2), (3, 2))
    return Scene(
        "attention",
        8,
        TITLE,
        {"x": x, "Wq": Wq, "Wk": Wk, "Wv": Wv, "t": t},
        [
            linear("x", "Wq", None, "Q", (3, 2, 2)),
            linear("x", "Wk", None, "K", (3, 2, 2)),
            linear("x", "Wv", None, "V", (3, 2, 2)),
            scores("Q", "K", "S", 3, 2),
            softmax("S", "P", (3, 3)),
            product("P", "V", "O", 3, 2),
            mse("O", "t", "L", (3, 2)),
        ],
        ("Wq", "Wk", "Wv"),
        (
            ("the Jacobian of the softmax is only its diagonal", "P"),
            ("the activation's derivative is missing", "P"),
            ("the weight gradient is transposed", "V"),
        ),
    )
