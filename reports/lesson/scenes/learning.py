"""Mini-batch, gradient, update, repeat: XOR again, from two samples at a time."""

from reports.lesson.operations.activation import sigmoid
from reports.lesson.operations.mini_batch import mini_batch
from reports.lesson.scene import PARAMETERS, Learning, Scene, cross_entropy, two_layers
from reports.lesson.scenes.xor import XOR, XOR_FAULTS, xor_weights

TITLE = {
    "en": (
        "Learning in four steps",
        "XOR again, three samples at a time: draw a mini-batch, find the gradient, update, repeat.",
    ),
    "zh": ("学习的四个步骤", "还是异或，每次取三个样本：抽取小批量、计算梯度、更新参数、重复。"),
}


def scene() -> Scene:
    """Mini-batch, gradient, update, repeat: XOR again, from two samples at a time."""
    X, T = XOR
    batch = mini_batch(samples=4, size=3, seed=1, features=2)
    drawn = T[batch[0].module()]
    return Scene(
        "learning",
        9,
        TITLE,
        {"X": X, "T": T, **xor_weights()},
        [*batch, *two_layers(3, (2, 4, 2), sigmoid), *cross_entropy("z2", drawn, 2)],
        PARAMETERS,
        XOR_FAULTS,
        lr=2.0,
        learning=Learning(updates=500, every=25, data={"x": "X", "t": "T"}, shown="s"),
    )
