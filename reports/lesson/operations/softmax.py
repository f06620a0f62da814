"""Softmax and its logarithm, row by row."""

from reports.lesson.operations.operation import Operation, Rule, g, index, plus, v
from scratch import nn

WHY = {
    "log_softmax": {
        "en": "Scores become logarithms of probabilities: their exponentials add up to 1 in every row.",
        "zh": "分数变成对数概率：取指数之后，每一行之和为 1。",
    },
    "log_softmax.input": {
        "en": "A larger score takes from the others' probability. With p = e^s, what comes back is "
        "(p − t) / N: the prediction minus the answer, t being 1 for the right class and 0 for the others.",
        "zh": "一个分数变大，别的概率就变小。记 p = e^s，传回的正是 (p − t) / N：预测减去正确答案，其中 t "
        "在正确类别处为 1，其余为 0。",
    },
    "softmax": {
        "en": "Scores become probabilities: all positive, and every row adds up to 1.",
        "zh": "分数变成概率：都为正，每一行之和为 1。",
    },
    "softmax.input": {
        "en": "Each score moves all probabilities of its row. So from each error the row's mean error, "
        "weighted by the probabilities, is taken off.",
        "zh": "每个分数都影响整行的概率。所以每个误差要先减去该行误差按概率的加权平均。",
    },
}


def log_softmax(x: str, out: str, shape: tuple[int, int]) -> Operation:
    """s = x - log Σ e^x, row by row."""
    _, C = shape

    def entry(at: tuple[int, ...]) -> str:
        total = plus(f"e^{{[v {x} {index((at[0], c), shape)}]}}" for c in range(C))
        return f"[v {x} {index(at, shape)}] − log({total})"

    def slope(at: tuple[int, ...]) -> str:
        total = plus(g(out, at[0], c, shape=shape) for c in range(C))
        return f"{g(out, *at, shape=shape)} − e^{{{v(out, *at, shape=shape)}}} · ({total})"

    return Operation(
        nn.LogSoftmax(dim=1),
        f"torch.log_softmax({x}, dim=1)",
        (x,),
        out,
        Rule(f"{{{out}}} = {{{x}}} - \\log \\sum_c e^{{{{{x}}}_c}}", entry, "log_softmax"),
        {
            x: Rule(
                f"{{d:{x}}} = {{d:{out}}} - e^{{{{{out}}}}} \\sum_c {{d:{out}}}_c", slope, "log_softmax.input"
            )
        },
    )


def softmax(x: str, out: str, shape: tuple[int, int]) -> Operation:
    """y = e^x / Σ e^x, row by row."""
    _, C = shape

    def entry(at: tuple[int, ...]) -> str:
        total = plus(f"e^{{{v(x, at[0], c, shape=shape)}}}" for c in range(C))
        return f"e^{{{v(x, *at, shape=shape)}}} / ({total})"

    def slope(at: tuple[int, ...]) -> str:
        total = plus(f"{g(out, at[0], c, shape=shape)} · {v(out, at[0], c, shape=shape)}" for c in range(C))
        return f"{v(out, *at, shape=shape)} · ({g(out, *at, shape=shape)} − ({total}))"

    return Operation(
        nn.Softmax(dim=1),
        f"torch.softmax({x}, dim=1)",
        (x,),
        out,
        Rule(f"{{{out}}} = \\frac{{e^{{{{{x}}}}}}}{{\\sum_c e^{{{{{x}}}_c}}}}", entry, "softmax"),
        {
            x: Rule(
                f"{{d:{x}}} = {{{out}}} \\odot ({{d:{out}}} - \\sum_c {{d:{out}}}_c {{{out}}}_c)",
                slope,
                "softmax.input",
            )
        },
    )
