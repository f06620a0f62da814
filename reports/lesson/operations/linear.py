"""The affine layer."""

import numpy as np

from reports.lesson.operations.operation import Operation, Rule, g, plus, v
from scratch import nn

WHY = {
    "linear": {
        "en": "Each entry: a sample's row of inputs times a neuron's row of weights, plus its bias.",
        "zh": "每个元素：一个样本的输入行与一个神经元的权重行逐项相乘再求和，加上偏置。",
    },
    "linear.without_bias": {
        "en": "Each entry: a row of x times a row of the weights.",
        "zh": "每个元素：x 的一行与权重的一行逐项相乘再求和。",
    },
    "linear.weight": {
        "en": "A weight multiplies one input in every sample. So its gradient is that input times the "
        "error that comes back, summed over the samples.",
        "zh": "一个权重在每个样本里都乘同一个位置的输入。所以它的梯度是该输入乘以传回的误差，再对样本求和。",
    },
    "linear.bias": {
        "en": "The bias is added once to every sample, with slope 1. So its gradient is the sum of the "
        "errors.",
        "zh": "偏置在每个样本里各加一次，斜率为 1。所以它的梯度是各误差之和。",
    },
    "linear.input": {
        "en": "An input goes to every neuron. So the errors of all neurons come back, each through its "
        "weight, and add up.",
        "zh": "一个输入送往每个神经元。所以各神经元的误差都沿着自己的权重传回来，相加。",
    },
}


def linear(x: str, weight: str, bias: str | None, out: str, sizes: tuple[int, int, int]) -> Operation:
    """y = x Wᵀ + b, for ``sizes`` samples, inputs, outputs."""
    N, I, O = sizes
    xs, ws, ys = (N, I), (O, I), (N, O)

    def entry(at: tuple[int, ...]) -> str:
        n, o = at
        products = (f"{v(x, n, i, shape=xs)} · {v(weight, o, i, shape=ws)}" for i in range(I))
        return plus([*products, *([f"[v {bias} {o}]"] if bias else [])])

    backward = {
        weight: Rule(
            f"{{d:{weight}}} = {{d:{out}}}^\\top {{{x}}}",
            lambda at: plus(f"{g(out, n, at[0], shape=ys)} · {v(x, n, at[1], shape=xs)}" for n in range(N)),
            "linear.weight",
        ),
        x: Rule(
            f"{{d:{x}}} = {{d:{out}}} {{{weight}}}",
            lambda at: plus(
                f"{g(out, at[0], o, shape=ys)} · {v(weight, o, at[1], shape=ws)}" for o in range(O)
            ),
            "linear.input",
        ),
    }
    parameters = {"weight": weight}
    offset, argument = "", ""
    if bias:
        backward[bias] = Rule(
            f"{{d:{bias}}} = \\sum_n {{d:{out}}}_n",
            lambda at: plus(g(out, n, at[0], shape=ys) for n in range(N)),
            "linear.bias",
        )
        parameters["bias"] = bias
        offset, argument = f" + {{{bias}}}", f", {bias}"
    order = [weight, *([bias] if bias else []), x]
    return Operation(
        nn.Linear(I, O, bias=bias is not None, dtype=np.float64),
        f"F.linear({x}, {weight}{argument})",
        (x,),
        out,
        Rule(
            f"{{{out}}} = {{{x}}} {{{weight}}}^\\top{offset}",
            entry,
            "linear" if bias else "linear.without_bias",
        ),
        {name: backward[name] for name in order},
        parameters,
    )
