"""Activations: each entry by itself."""

from collections.abc import Callable

from reports.lesson.operations.operation import Operation, Rule, index
from scratch import nn

WHY = {
    "sigmoid": {
        "en": "Presses any number into the range from 0 to 1.",
        "zh": "把任何数压到 0 与 1 之间。",
    },
    "sigmoid.input": {
        "en": "Chain rule: the error times the slope. The sigmoid's slope is its output times one minus "
        "its output, at most 1/4.",
        "zh": "链式法则：误差乘以斜率。sigmoid 的斜率是“输出 ×（1 − 输出）”，最大不过 1/4。",
    },
    "relu": {"en": "What is positive passes; the rest becomes 0.", "zh": "正数通过，其余变为 0。"},
    "relu.input": {
        "en": "Chain rule: the error times the slope. The slope is 1 where the input was positive, else 0.",
        "zh": "链式法则：误差乘以斜率。输入为正处斜率为 1，否则为 0。",
    },
}


def _elementwise(
    module: nn.Module,
    torch: str,
    x: str,
    out: str,
    shape: tuple[int, ...],
    forward: tuple[str, str],
    backward: tuple[str, str],
    why: str,
) -> Operation:
    """An operation on each entry by itself: both formulas, and texts in which ``#`` is the entry."""

    def entry(text: str) -> Callable[[tuple[int, ...]], str]:
        return lambda at: text.replace("#", str(index(at, shape)))

    slope = Rule(f"{{d:{x}}} = {{d:{out}}} \\odot {backward[0]}", entry(backward[1]), f"{why}.input")
    return Operation(
        module, torch, (x,), out, Rule(f"{{{out}}} = {forward[0]}", entry(forward[1]), why), {x: slope}
    )


def sigmoid(x: str, out: str, shape: tuple[int, ...]) -> Operation:
    """y = 1 / (1 + e^-x)."""
    return _elementwise(
        nn.Sigmoid(),
        f"torch.sigmoid({x})",
        x,
        out,
        shape,
        (f"\\frac{{1}}{{1 + e^{{-{{{x}}}}}}}", f"1 / (1 + e^{{−[v {x} #]}})"),
        (f"{{{out}}} \\odot (1 - {{{out}}})", f"[g {out} #] · [v {out} #] · (1 − [v {out} #])"),
        "sigmoid",
    )


def relu(x: str, out: str, shape: tuple[int, ...]) -> Operation:
    """y = max(0, x)."""
    return _elementwise(
        nn.ReLU(),
        f"torch.relu({x})",
        x,
        out,
        shape,
        (f"\\max(0, {{{x}}})", f"max(0, [v {x} #])"),
        (f"[{{{x}}} > 0]", f"[g {out} #] · ([v {x} #] > 0)"),
        "relu",
    )
