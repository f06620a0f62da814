"""The operations of the lesson: each is a module of scratch.nn, PyTorch's line of code for the same, and how
one entry of its output, or of a gradient, comes about.

A formula is LaTeX with tensors in braces: ``{y} = \\sigma({x})``; ``{d:y}`` is the gradient of y. From one
template the page gets the formula in symbols and the formula in shapes. How a single entry comes about is
text with entries in brackets: ``[v x 3]`` is the fourth number of x, ``[g x 3]`` of its gradient. They are
filled in with numbers, and show which cells to light.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scratch import nn


@dataclass(frozen=True)
class Rule:
    """How a tensor, or a gradient, is computed: the formula, and for each entry how it comes about."""

    formula: str
    entry: Callable[[tuple[int, ...]], str]


@dataclass(frozen=True)
class Operation:
    """A step of the forward pass, and the steps of the backward pass that belong to it.

    Args:
        module: ours; its parameters are tensors of the scene, ``parameters`` says which.
        torch: PyTorch's line of code.
        inputs: the names of the tensors that it takes.
        out: of the one that it makes.
        forward: how it is made.
        backward: how the gradient of each input and parameter is made, in this order.
        parameters: tensor by parameter.
    """

    module: nn.Module
    torch: str
    inputs: tuple[str, ...]
    out: str
    forward: Rule
    backward: dict[str, Rule]
    parameters: dict[str, str] = field(default_factory=dict)


def _v(name: str, *index: int, shape: tuple[int, ...]) -> str:
    return f"[v {name} {int(np.ravel_multi_index(index, shape))}]"


def _g(name: str, *index: int, shape: tuple[int, ...]) -> str:
    return f"[g {name} {int(np.ravel_multi_index(index, shape))}]"


def _at(index: tuple[int, ...], shape: tuple[int, ...]) -> int:
    return int(np.ravel_multi_index(index, shape)) if shape else 0


def _sum(terms: Any) -> str:
    return " + ".join(terms)


def linear(x: str, weight: str, bias: str | None, out: str, sizes: tuple[int, int, int]) -> Operation:
    """y = x Wᵀ + b, for ``sizes`` samples, inputs, outputs."""
    N, I, O = sizes
    xs, ws, ys = (N, I), (O, I), (N, O)

    def entry(at: tuple[int, ...]) -> str:
        n, o = at
        products = (f"{_v(x, n, i, shape=xs)} · {_v(weight, o, i, shape=ws)}" for i in range(I))
        return _sum([*products, *([f"[v {bias} {o}]"] if bias else [])])

    backward = {
        weight: Rule(
            f"{{d:{weight}}} = {{d:{out}}}^\\top {{{x}}}",
            lambda at: _sum(f"{_g(out, n, at[0], shape=ys)} · {_v(x, n, at[1], shape=xs)}" for n in range(N)),
        ),
        x: Rule(
            f"{{d:{x}}} = {{d:{out}}} {{{weight}}}",
            lambda at: _sum(
                f"{_g(out, at[0], o, shape=ys)} · {_v(weight, o, at[1], shape=ws)}" for o in range(O)
            ),
        ),
    }
    parameters = {"weight": weight}
    plus, argument = "", ""
    if bias:
        backward[bias] = Rule(
            f"{{d:{bias}}} = \\sum_n {{d:{out}}}_n",
            lambda at: _sum(_g(out, n, at[0], shape=ys) for n in range(N)),
        )
        parameters["bias"] = bias
        plus, argument = f" + {{{bias}}}", f", {bias}"
    order = [weight, *([bias] if bias else []), x]
    return Operation(
        nn.Linear(I, O, bias=bias is not None, dtype=np.float64),
        f"F.linear({x}, {weight}{argument})",
        (x,),
        out,
        Rule(f"{{{out}}} = {{{x}}} {{{weight}}}^\\top{plus}", entry),
        {name: backward[name] for name in order},
        parameters,
    )


def sigmoid(x: str, out: str, shape: tuple[int, ...]) -> Operation:
    """y = 1 / (1 + e^-x)."""

    def slope(at: tuple[int, ...]) -> str:
        k = _at(at, shape)
        return f"[g {out} {k}] · [v {out} {k}] · (1 − [v {out} {k}])"

    return Operation(
        nn.Sigmoid(),
        f"torch.sigmoid({x})",
        (x,),
        out,
        Rule(f"{{{out}}} = \\frac{{1}}{{1 + e^{{-{{{x}}}}}}}", lambda at: f"σ([v {x} {_at(at, shape)}])"),
        {x: Rule(f"{{d:{x}}} = {{d:{out}}} \\odot {{{out}}} \\odot (1 - {{{out}}})", slope)},
    )


def relu(x: str, out: str, shape: tuple[int, ...]) -> Operation:
    """y = max(0, x)."""

    def slope(at: tuple[int, ...]) -> str:
        k = _at(at, shape)
        return f"[g {out} {k}], if [v {x} {k}] > 0, else 0"

    return Operation(
        nn.ReLU(),
        f"torch.relu({x})",
        (x,),
        out,
        Rule(f"{{{out}}} = \\max(0, {{{x}}})", lambda at: f"max(0, [v {x} {_at(at, shape)}])"),
        {x: Rule(f"{{d:{x}}} = {{d:{out}}} \\odot [{{{x}}} > 0]", slope)},
    )


def mse(x: str, target: str, out: str, shape: tuple[int, ...]) -> Operation:
    """L = mean (x - t)²."""
    size = math.prod(shape)

    def slope(at: tuple[int, ...]) -> str:
        k = _at(at, shape)
        return f"2 · ([v {x} {k}] − [v {target} {k}]) / {size}"

    return Operation(
        nn.MSELoss(),
        f"F.mse_loss({x}, {target})",
        (x, target),
        out,
        Rule(
            f"{{{out}}} = \\frac{{1}}{{{size}}} \\sum ({{{x}}} - {{{target}}})^2",
            lambda at: "(" + _sum(f"([v {x} {k}] − [v {target} {k}])²" for k in range(size)) + f") / {size}",
        ),
        {x: Rule(f"{{d:{x}}} = \\frac{{2}}{{{size}}} ({{{x}}} - {{{target}}})", slope)},
    )


def log_softmax(x: str, out: str, shape: tuple[int, int]) -> Operation:
    """s = x - log Σ e^x, row by row."""
    _, C = shape

    def entry(at: tuple[int, ...]) -> str:
        total = _sum(f"e^[v {x} {_at((at[0], c), shape)}]" for c in range(C))
        return f"[v {x} {_at(at, shape)}] − log({total})"

    def slope(at: tuple[int, ...]) -> str:
        total = _sum(_g(out, at[0], c, shape=shape) for c in range(C))
        return f"{_g(out, *at, shape=shape)} − e^{_v(out, *at, shape=shape)} · ({total})"

    return Operation(
        nn.LogSoftmax(dim=1),
        f"torch.log_softmax({x}, dim=1)",
        (x,),
        out,
        Rule(f"{{{out}}} = {{{x}}} - \\log \\sum_c e^{{{{{x}}}_c}}", entry),
        {x: Rule(f"{{d:{x}}} = {{d:{out}}} - e^{{{{{out}}}}} \\sum_c {{d:{out}}}_c", slope)},
    )


def softmax(x: str, out: str, shape: tuple[int, int]) -> Operation:
    """y = e^x / Σ e^x, row by row."""
    _, C = shape

    def entry(at: tuple[int, ...]) -> str:
        total = _sum(f"e^{_v(x, at[0], c, shape=shape)}" for c in range(C))
        return f"e^{_v(x, *at, shape=shape)} / ({total})"

    def slope(at: tuple[int, ...]) -> str:
        total = _sum(f"{_g(out, at[0], c, shape=shape)} · {_v(out, at[0], c, shape=shape)}" for c in range(C))
        return f"{_v(out, *at, shape=shape)} · ({_g(out, *at, shape=shape)} − ({total}))"

    return Operation(
        nn.Softmax(dim=1),
        f"torch.softmax({x}, dim=1)",
        (x,),
        out,
        Rule(f"{{{out}}} = \\frac{{e^{{{{{x}}}}}}}{{\\sum_c e^{{{{{x}}}_c}}}}", entry),
        {x: Rule(f"{{d:{x}}} = {{{out}}} \\odot ({{d:{out}}} - \\sum_c {{d:{out}}}_c {{{out}}}_c)", slope)},
    )


def nll(x: str, target: str, out: str, shape: tuple[int, int], classes: np.ndarray) -> Operation:
    """L = -mean of the log-probabilities of the right classes."""
    N, _ = shape

    def entry(at: tuple[int, ...]) -> str:
        terms = (f"[v {x} {_at((n, int(classes[n])), shape)}]" for n in range(N))
        return f"−({_sum(terms)}) / {N}"

    return Operation(
        nn.NLLLoss(),
        f"F.nll_loss({x}, {target})",
        (x, target),
        out,
        Rule(f"{{{out}}} = -\\frac{{1}}{{{N}}} \\sum_n {{{x}}}_{{n, {{{target}}}_n}}", entry),
        {
            x: Rule(
                f"{{d:{x}}}_{{nc}} = -\\frac{{1}}{{{N}}} [c = {{{target}}}_n]",
                lambda at: f"−1 / {N}" if at[1] == classes[at[0]] else "0",
            )
        },
    )


def batch_norm(x: str, weight: str, bias: str, out: str, shape: tuple[int, int], eps: float) -> Operation:
    """y = γ (x - mean) / √(var + ε) + β, column by column."""
    N, C = shape

    def column(kind: str, name: str, c: int) -> list[str]:
        return [f"[{kind} {name} {_at((n, c), shape)}]" for n in range(N)]

    def entry(at: tuple[int, ...]) -> str:
        xs = ", ".join(column("v", x, at[1]))
        scaled = f"[v {weight} {at[1]}] · ([v {x} {_at(at, shape)}] − mean) / √(var + {eps:g})"
        return f"{scaled} + [v {bias} {at[1]}], mean, var of {xs}"

    def normalised(n: int, c: int) -> str:
        return f"([v {out} {_at((n, c), shape)}] − [v {bias} {c}]) / [v {weight} {c}]"

    def slope(at: tuple[int, ...]) -> str:
        gs = ", ".join(column("g", out, at[1]))
        return (
            f"[v {weight} {at[1]}] / √(var + {eps:g}) · ([g {out} {_at(at, shape)}] − mean(g) "
            f"− {normalised(*at)} · mean(g x̂)), g: {gs}"
        )

    return Operation(
        nn.BatchNorm1d(C, eps=eps, dtype=np.float64),
        f"F.batch_norm({x}, None, None, {weight}, {bias}, training=True, eps={eps:g})",
        (x,),
        out,
        Rule(
            f"{{{out}}} = {{{weight}}} \\odot \\hat x + {{{bias}}}, \\quad "
            f"\\hat x = \\frac{{{{{x}}} - \\mu}}{{\\sqrt{{\\sigma^2 + \\epsilon}}}}",
            entry,
        ),
        {
            weight: Rule(
                f"{{d:{weight}}} = \\sum_n {{d:{out}}}_n \\odot \\hat x_n",
                lambda at: _sum(
                    f"[g {out} {_at((n, at[0]), shape)}] · {normalised(n, at[0])}" for n in range(N)
                ),
            ),
            bias: Rule(f"{{d:{bias}}} = \\sum_n {{d:{out}}}_n", lambda at: _sum(column("g", out, at[0]))),
            x: Rule(
                f"{{d:{x}}} = \\frac{{{{{weight}}}}}{{\\sqrt{{\\sigma^2 + \\epsilon}}}} \\odot "
                f"({{d:{out}}} - \\overline{{{{d:{out}}}}} - \\hat x \\, \\overline{{{{d:{out}}} \\hat x}})",
                slope,
            ),
        },
        {"weight": weight, "bias": bias},
    )


def convolution(x: str, weight: str, bias: str, out: str, size: int, window: int) -> Operation:
    """One channel, one picture, no padding: y_t = Σ_j W_j x_(t+j) + b."""
    places = size - window + 1
    xs, ws, ys = (1, 1, size, size), (1, 1, window, window), (1, 1, places, places)

    def entry(at: tuple[int, ...]) -> str:
        _, _, r, c = at
        products = (
            f"{_v(weight, 0, 0, i, j, shape=ws)} · {_v(x, 0, 0, r + i, c + j, shape=xs)}"
            for i in range(window)
            for j in range(window)
        )
        return _sum([*products, f"[v {bias} 0]"])

    def weight_slope(at: tuple[int, ...]) -> str:
        _, _, i, j = at
        return _sum(
            f"{_g(out, 0, 0, r, c, shape=ys)} · {_v(x, 0, 0, r + i, c + j, shape=xs)}"
            for r in range(places)
            for c in range(places)
        )

    def input_slope(at: tuple[int, ...]) -> str:
        _, _, r, c = at
        return _sum(
            f"{_g(out, 0, 0, r - i, c - j, shape=ys)} · {_v(weight, 0, 0, i, j, shape=ws)}"
            for i in range(window)
            for j in range(window)
            if 0 <= r - i < places and 0 <= c - j < places
        )

    return Operation(
        nn.Conv2d(1, 1, window, dtype=np.float64),
        f"F.conv2d({x}, {weight}, {bias})",
        (x,),
        out,
        Rule(f"{{{out}}}_t = \\sum_j {{{weight}}}_j {{{x}}}_{{t+j}} + {{{bias}}}", entry),
        {
            weight: Rule(f"{{d:{weight}}}_j = \\sum_t {{d:{out}}}_t {{{x}}}_{{t+j}}", weight_slope),
            bias: Rule(
                f"{{d:{bias}}} = \\sum_t {{d:{out}}}_t",
                lambda at: _sum(f"[g {out} {k}]" for k in range(places**2)),
            ),
            x: Rule(f"{{d:{x}}}_i = \\sum_j {{d:{out}}}_{{i-j}} {{{weight}}}_j", input_slope),
        },
        {"weight": weight, "bias": bias},
    )


class Scores(nn.Module):
    r"""$S = Q K^\top / \sqrt d$, so $dQ = dS\, K / \sqrt d$ and $dK = dS^\top Q / \sqrt d$.

    Shape: Q (T, d), K (S, d); S (T, S). Source: Vaswani et al. 2017, equation 1.
    """

    def forward(self, Q: np.ndarray, K: np.ndarray) -> np.ndarray:
        """S = Q Kᵀ / √d."""
        self.save(Q, K)
        return Q @ K.T / math.sqrt(Q.shape[1])

    def backward(self, dS: np.ndarray, needs_input_grad: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """dQ = dS K / √d, dK = dSᵀ Q / √d."""
        Q, K = self.saved()
        dS = dS / math.sqrt(Q.shape[1])
        return dS @ K, dS.T @ Q


class Product(nn.Module):
    r"""$O = P V$, so $dP = dO\, V^\top$ and $dV = P^\top dO$.

    Shape: P (T, S), V (S, d); O (T, d).
    """

    def forward(self, P: np.ndarray, V: np.ndarray) -> np.ndarray:
        """O = P V."""
        self.save(P, V)
        return P @ V

    def backward(self, dO: np.ndarray, needs_input_grad: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """dP = dO Vᵀ, dV = Pᵀ dO."""
        P, V = self.saved()
        return dO @ V.T, P.T @ dO


def scores(Q: str, K: str, out: str, T: int, d: int) -> Operation:
    """S = Q Kᵀ / √d."""
    qs, ss = (T, d), (T, T)
    root = f"\\sqrt{{{d}}}"
    return Operation(
        Scores(),
        f"{Q} @ {K}.T / {d} ** 0.5",
        (Q, K),
        out,
        Rule(
            f"{{{out}}} = \\frac{{{{{Q}}} {{{K}}}^\\top}}{{{root}}}",
            lambda at: (
                "("
                + _sum(f"{_v(Q, at[0], i, shape=qs)} · {_v(K, at[1], i, shape=qs)}" for i in range(d))
                + f") / √{d}"
            ),
        ),
        {
            Q: Rule(
                f"{{d:{Q}}} = \\frac{{{{d:{out}}} {{{K}}}}}{{{root}}}",
                lambda at: (
                    "("
                    + _sum(f"{_g(out, at[0], s, shape=ss)} · {_v(K, s, at[1], shape=qs)}" for s in range(T))
                    + f") / √{d}"
                ),
            ),
            K: Rule(
                f"{{d:{K}}} = \\frac{{{{d:{out}}}^\\top {{{Q}}}}}{{{root}}}",
                lambda at: (
                    "("
                    + _sum(f"{_g(out, t, at[0], shape=ss)} · {_v(Q, t, at[1], shape=qs)}" for t in range(T))
                    + f") / √{d}"
                ),
            ),
        },
    )


def product(P: str, V: str, out: str, T: int, d: int) -> Operation:
    """O = P V."""
    ps, vs = (T, T), (T, d)
    return Operation(
        Product(),
        f"{P} @ {V}",
        (P, V),
        out,
        Rule(
            f"{{{out}}} = {{{P}}} {{{V}}}",
            lambda at: _sum(f"{_v(P, at[0], s, shape=ps)} · {_v(V, s, at[1], shape=vs)}" for s in range(T)),
        ),
        {
            P: Rule(
                f"{{d:{P}}} = {{d:{out}}} {{{V}}}^\\top",
                lambda at: _sum(
                    f"{_g(out, at[0], i, shape=vs)} · {_v(V, at[1], i, shape=vs)}" for i in range(d)
                ),
            ),
            V: Rule(
                f"{{d:{V}}} = {{{P}}}^\\top {{d:{out}}}",
                lambda at: _sum(
                    f"{_v(P, t, at[0], shape=ps)} · {_g(out, t, at[1], shape=vs)}" for t in range(T)
                ),
            ),
        },
    )
