"""A convolution."""

import numpy as np

from reports.lesson.operations.operation import Operation, Rule, g, plus, v
from scratch import nn

WHY = {
    "convolution": {
        "en": "The window slides over the picture. At each place: nine products, summed, plus the bias.",
        "zh": "卷积核在图像上滑动。每个位置上：九个乘积求和，加上偏置。",
    },
    "convolution.weight": {
        "en": "A weight was used at all nine places. So its gradient sums, over the places, the error "
        "times the pixel that it met there.",
        "zh": "一个权重用在全部九个位置。所以它的梯度是各位置上“误差 × 它遇到的像素”之和。",
    },
    "convolution.bias": {
        "en": "The bias is added at every place, with slope 1. So its gradient is the sum of the errors.",
        "zh": "偏置在每个位置都加一次，斜率为 1。所以它的梯度是各误差之和。",
    },
    "convolution.input": {
        "en": "A pixel lies under up to nine windows, in each under another weight: the errors come back "
        "through the kernel turned round.",
        "zh": "一个像素最多落在九个窗口里，每次对着不同的权重：误差经过翻转的卷积核传回来。",
    },
}


def convolution(x: str, weight: str, bias: str, out: str, size: int, window: int) -> Operation:
    """One channel, one picture, no padding: y_t = Σ_j W_j x_(t+j) + b."""
    places = size - window + 1
    xs, ws, ys = (1, 1, size, size), (1, 1, window, window), (1, 1, places, places)

    def entry(at: tuple[int, ...]) -> str:
        _, _, r, c = at
        products = (
            f"{v(weight, 0, 0, i, j, shape=ws)} · {v(x, 0, 0, r + i, c + j, shape=xs)}"
            for i in range(window)
            for j in range(window)
        )
        return plus([*products, f"[v {bias} 0]"])

    def weight_slope(at: tuple[int, ...]) -> str:
        _, _, i, j = at
        return plus(
            f"{g(out, 0, 0, r, c, shape=ys)} · {v(x, 0, 0, r + i, c + j, shape=xs)}"
            for r in range(places)
            for c in range(places)
        )

    def input_slope(at: tuple[int, ...]) -> str:
        _, _, r, c = at
        return plus(
            f"{g(out, 0, 0, r - i, c - j, shape=ys)} · {v(weight, 0, 0, i, j, shape=ws)}"
            for i in range(window)
            for j in range(window)
            if 0 <= r - i < places and 0 <= c - j < places
        )

    return Operation(
        nn.Conv2d(1, 1, window, dtype=np.float64),
        f"F.conv2d({x}, {weight}, {bias})",
        (x,),
        out,
        Rule(f"{{{out}}}_t = \\sum_j {{{weight}}}_j {{{x}}}_{{t+j}} + {{{bias}}}", entry, "convolution"),
        {
            weight: Rule(
                f"{{d:{weight}}}_j = \\sum_t {{d:{out}}}_t {{{x}}}_{{t+j}}",
                weight_slope,
                "convolution.weight",
            ),
            bias: Rule(
                f"{{d:{bias}}} = \\sum_t {{d:{out}}}_t",
                lambda at: plus(f"[g {out} {k}]" for k in range(places**2)),
                "convolution.bias",
            ),
            x: Rule(
                f"{{d:{x}}}_i = \\sum_j {{d:{out}}}_{{i-j}} {{{weight}}}_j", input_slope, "convolution.input"
            ),
        },
        {"weight": weight, "bias": bias},
    )
