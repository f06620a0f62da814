"""Losses."""

import math

import numpy as np

from reports.lesson.operations.operation import Operation, Rule, index, plus
from scratch import nn

WHY = {
    "mse": {
        "en": "How far from the target: the mean of the squared differences.",
        "zh": "离目标有多远：差的平方的平均。",
    },
    "mse.input": {
        "en": "Backward begins at the loss, with ∂L/∂L = 1. The derivative of d² is 2 d; the mean divides "
        "by the number of entries.",
        "zh": "反向传播从损失开始，∂L/∂L = 1。d² 的导数是 2d；求平均要除以元素个数。",
    },
    "nll": {
        "en": "How surprised the network is by the right classes: minus their log-probability, on average.",
        "zh": "正确类别让网络有多“意外”：其对数概率取负，再求平均。",
    },
    "nll.input": {
        "en": "Backward begins at the loss, with ∂L/∂L = 1. Of each sample only the right class counts, "
        "by 1/N.",
        "zh": "反向传播从损失开始，∂L/∂L = 1。每个样本只有正确的类别起作用，各占 1/N。",
    },
}


def mse(x: str, target: str, out: str, shape: tuple[int, ...]) -> Operation:
    """L = mean (x - t)²."""
    size = math.prod(shape)

    def slope(at: tuple[int, ...]) -> str:
        k = index(at, shape)
        return f"2 · ([v {x} {k}] − [v {target} {k}]) / {size}"

    return Operation(
        nn.MSELoss(),
        f"F.mse_loss({x}, {target})",
        (x, target),
        out,
        Rule(
            f"{{{out}}} = \\frac{{1}}{{{size}}} \\sum ({{{x}}} - {{{target}}})^2",
            lambda at: "(" + plus(f"([v {x} {k}] − [v {target} {k}])²" for k in range(size)) + f") / {size}",
            "mse",
        ),
        {x: Rule(f"{{d:{x}}} = \\frac{{2}}{{{size}}} ({{{x}}} - {{{target}}})", slope, "mse.input")},
    )


def nll(x: str, target: str, out: str, shape: tuple[int, int], classes: np.ndarray) -> Operation:
    """L = -mean of the log-probabilities of the right classes."""
    N, _ = shape

    def entry(at: tuple[int, ...]) -> str:
        terms = (f"[v {x} {index((n, int(classes[n])), shape)}]" for n in range(N))
        return f"−({plus(terms)}) / {N}"

    return Operation(
        nn.NLLLoss(),
        f"F.nll_loss({x}, {target})",
        (x, target),
        out,
        Rule(f"{{{out}}} = -\\frac{{1}}{{{N}}} \\sum_n {{{x}}}_{{n, {{{target}}}_n}}", entry, "nll"),
        {
            x: Rule(
                f"{{d:{x}}}_{{nc}} = -\\frac{{1}}{{{N}}} [c = {{{target}}}_n]",
                lambda at: f"−([v {target} {at[0]}] = {at[1]}) / {N}",
                "nll.input",
            )
        },
    )
