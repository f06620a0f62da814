"""Batch normalisation."""

import numpy as np

from reports.lesson.operations.operation import Inner, Operation, Rule, index, plus
from scratch import nn

WHY = {
    "batch_norm.mean": {"en": "The mean of each column, over the batch.", "zh": "每一列在这一批上的均值。"},
    "batch_norm.variance": {
        "en": "The mean squared distance from it: divided by N, not N − 1.",
        "zh": "与均值之差的平方的平均：除以 N，不是 N − 1。",
    },
    "batch_norm.standardised": {
        "en": "Every column gets mean 0 and variance 1; ε keeps the root away from 0.",
        "zh": "每一列的均值变为 0，方差变为 1；ε 使根号不为 0。",
    },
    "batch_norm": {
        "en": "Scale and shift are learnt, so the network can take the normalisation back. BatchNorm "
        "computes all of this at once.",
        "zh": "缩放与平移是学出来的，所以网络也可以还原归一化。BatchNorm 一次算完这些。",
    },
    "batch_norm.weight": {
        "en": "The scale multiplies x̂ in every sample. So its gradient is x̂ times the error, summed.",
        "zh": "缩放系数在每个样本里都乘 x̂。所以它的梯度是 x̂ 乘以误差，再求和。",
    },
    "batch_norm.input": {
        "en": "Three parts: the entry itself, less what it does through the mean, less what it does "
        "through the variance.",
        "zh": "三部分：元素本身，减去经均值的影响，再减去经方差的影响。",
    },
}


def batch_norm(x: str, weight: str, bias: str, out: str, shape: tuple[int, int], eps: float) -> Operation:
    """y = γ (x - μ) / √(σ² + ε) + β, column by column.

    μ, σ² and x̂ are the variables m, v and x_hat of F.batch_norm. Its backward goes from y to x at once, so
    they have no gradients of their own.
    """
    N, C = shape

    def column(template: str, c: int) -> str:
        return plus(template.replace("#", str(index((n, c), shape))) for n in range(N))

    def slope(at: tuple[int, ...]) -> str:
        k, c = index(at, shape), at[1]
        mean, along = column(f"[g {out} #]", c), column(f"[g {out} #] · [v xhat #]", c)
        return (
            f"[v {weight} {c}] / √([v var {c}] + {eps:g}) · "
            f"([g {out} {k}] − ({mean}) / {N} − [v xhat {k}] · ({along}) / {N})"
        )

    mean = Rule(
        f"{{mu}} = \\frac{{1}}{{{N}}} \\sum_n {{{x}}}_n",
        lambda at: f"({column(f'[v {x} #]', at[0])}) / {N}",
        "batch_norm.mean",
    )
    variance = Rule(
        f"{{var}} = \\frac{{1}}{{{N}}} \\sum_n ({{{x}}}_n - {{mu}})^2",
        lambda at: f"({column(f'([v {x} #] − [v mu {at[0]}])²', at[0])}) / {N}",
        "batch_norm.variance",
    )
    standardised = Rule(
        f"{{xhat}} = \\frac{{{{{x}}} - {{mu}}}}{{\\sqrt{{{{var}} + \\epsilon}}}}",
        lambda at: f"([v {x} {index(at, shape)}] − [v mu {at[1]}]) / √([v var {at[1]}] + {eps:g})",
        "batch_norm.standardised",
    )
    return Operation(
        nn.BatchNorm1d(C, eps=eps, dtype=np.float64),
        f"F.batch_norm({x}, None, None, {weight}, {bias}, training=True, eps={eps:g})",
        (x,),
        out,
        Rule(
            f"{{{out}}} = {{{weight}}} \\odot {{xhat}} + {{{bias}}}",
            lambda at: f"[v {weight} {at[1]}] · [v xhat {index(at, shape)}] + [v {bias} {at[1]}]",
            "batch_norm",
        ),
        {
            weight: Rule(
                f"{{d:{weight}}} = \\sum_n {{d:{out}}}_n \\odot {{xhat}}_n",
                lambda at: column(f"[g {out} #] · [v xhat #]", at[0]),
                "batch_norm.weight",
            ),
            bias: Rule(
                f"{{d:{bias}}} = \\sum_n {{d:{out}}}_n",
                lambda at: column(f"[g {out} #]", at[0]),
                "linear.bias",
            ),
            x: Rule(
                f"{{d:{x}}} = \\frac{{{{{weight}}}}}{{\\sqrt{{{{var}} + \\epsilon}}}} \\odot "
                f"({{d:{out}}} - \\text{{mean}}({{d:{out}}}) - "
                f"{{xhat}} \\odot \\text{{mean}}({{d:{out}}} \\odot {{xhat}}))",
                slope,
                "batch_norm.input",
            ),
        },
        {"weight": weight, "bias": bias},
        inner=(
            Inner("mu", "m", (C,), f"{x}.mean(0)", mean, (x,)),
            Inner("var", "v", (C,), f"{x}.var(0, unbiased=False)", variance, (x, "mu")),
            Inner(
                "xhat", "x_hat", shape, f"({x} - mu) / (var + {eps:g}).sqrt()", standardised, (x, "mu", "var")
            ),
        ),
        symbols={"weight": "dw"},
    )
