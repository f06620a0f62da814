"""A mini-batch, drawn at random."""

import numpy as np

import scratch
from reports.lesson.operations.operation import Operation, Rule
from scratch import nn

WHY = {
    "draw": {
        "en": "A few samples, drawn at random, stand for all: a step is cheap, and on average it points "
        "the same way. The same seed draws the same samples in both frameworks.",
        "zh": "随机抽出几个样本来代表全体：每一步计算量小，平均来看方向却不变。随机种子相同，两个框架抽到"
        "的样本就相同。",
    },
    "take": {
        "en": "The rows with these numbers are the mini-batch.",
        "zh": "取出这些编号对应的行，就是小批量。",
    },
}


class Draw(nn.Module):
    """The choice of a mini-batch: the first samples of a random order, by its seed the same on both sides."""

    def __init__(self, samples: int, size: int, seed: int) -> None:
        super().__init__()
        self.samples, self.size, self.seed = samples, size, seed

    def forward(self) -> np.ndarray:
        """i, shape (size,)."""
        generator = scratch.Generator().manual_seed(self.seed)
        return scratch.randperm(self.samples, generator=generator)[: self.size]


class Take(nn.Module):
    """Rows by their numbers. Shape: data (S, …), i (N,); y (N, …)."""

    def forward(self, data: np.ndarray, i: np.ndarray) -> np.ndarray:
        """y = data[i]."""
        return data[i]


def mini_batch(samples: int, size: int, seed: int, features: int) -> list[Operation]:
    """x = X[i] and t = T[i], for i drawn at random: ``size`` of ``samples``."""
    draw = Draw(samples, size, seed)
    drawn = draw()
    return [
        Operation(
            draw,
            f"torch.randperm({samples}, generator=torch.Generator().manual_seed({seed}))[:{size}]",
            (),
            "i",
            Rule(
                f"{{i}} = \\text{{randperm}}({samples})_{{0 \\dots {size - 1}}}",
                lambda at: f"randperm({samples})[{at[0]}]",
                "draw",
            ),
            {},
            phase="batch",
        ),
        Operation(
            Take(),
            "X[i]",
            ("X", "i"),
            "x",
            Rule("{x} = {X}_{i}", lambda at: f"[v X {int(drawn[at[0]]) * features + at[1]}]", "take"),
            {},
            phase="batch",
        ),
        Operation(
            Take(),
            "T[i]",
            ("T", "i"),
            "t",
            Rule("{t} = {T}_{i}", lambda at: f"[v T {int(drawn[at[0]])}]", "take"),
            {},
            phase="batch",
        ),
    ]
