"""The operations of the lesson: each is a module of scratch.nn, PyTorch's line of code for the same, and how
one entry of its output, or of a gradient, comes about.

A formula is LaTeX with tensors in braces: ``{y} = \\sigma({x})``; ``{d:y}`` is the gradient of y. From one
template the page gets the formula in symbols and the formula in shapes. How a single entry comes about is
text with entries in brackets: ``[v x 3]`` is the fourth number of x, ``[g x 3]`` of its gradient; ``^{…}`` is
an exponent. They are filled in with numbers, and show which cells to light. Why it is so is told in texts.py,
by key.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import scratch
from scratch import nn


@dataclass(frozen=True)
class Rule:
    """How a tensor, or a gradient, is computed: the formula, how each entry comes about, and (by key) why."""

    formula: str
    entry: Callable[[tuple[int, ...]], str]
    why: str


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
        phase: "forward", or "batch" where the data are drawn.
        uses: further tensors that the formula speaks of, though the module computes them itself.
    """

    module: nn.Module
    torch: str
    inputs: tuple[str, ...]
    out: str
    forward: Rule
    backward: dict[str, Rule]
    parameters: dict[str, str] = field(default_factory=dict)
    phase: str = "forward"
    uses: tuple[str, ...] = ()


def _v(name: str, *index: int, shape: tuple[int, ...]) -> str:
    return f"[v {name} {int(np.ravel_multi_index(index, shape))}]"


def _g(name: str, *index: int, shape: tuple[int, ...]) -> str:
    return f"[g {name} {int(np.ravel_multi_index(index, shape))}]"


def _at(index: tuple[int, ...], shape: tuple[int, ...]) -> int:
    return int(np.ravel_multi_index(index, shape)) if shape else 0


def _sum(terms: Any) -> str:
    return " + ".join(terms)


class Draw(nn.Module):
    """Which samples a mini-batch has: the first of a random order, by its seed the same on both sides."""

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
            "linear.weight",
        ),
        x: Rule(
            f"{{d:{x}}} = {{d:{out}}} {{{weight}}}",
            lambda at: _sum(
                f"{_g(out, at[0], o, shape=ys)} · {_v(weight, o, at[1], shape=ws)}" for o in range(O)
            ),
            "linear.input",
        ),
    }
    parameters = {"weight": weight}
    plus, argument = "", ""
    if bias:
        backward[bias] = Rule(
            f"{{d:{bias}}} = \\sum_n {{d:{out}}}_n",
            lambda at: _sum(_g(out, n, at[0], shape=ys) for n in range(N)),
            "linear.bias",
        )
        parameters["bias"] = bias
        plus, argument = f" + {{{bias}}}", f", {bias}"
    order = [weight, *([bias] if bias else []), x]
    return Operation(
        nn.Linear(I, O, bias=bias is not None, dtype=np.float64),
        f"F.linear({x}, {weight}{argument})",
        (x,),
        out,
        Rule(
            f"{{{out}}} = {{{x}}} {{{weight}}}^\\top{plus}",
            entry,
            "linear" if bias else "linear.without_bias",
        ),
        {name: backward[name] for name in order},
        parameters,
    )


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
    """On each entry by itself: for forward and for backward the formula and a text, ``#`` is the entry."""

    def entry(text: str) -> Callable[[tuple[int, ...]], str]:
        return lambda at: text.replace("#", str(_at(at, shape)))

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
            "mse",
        ),
        {x: Rule(f"{{d:{x}}} = \\frac{{2}}{{{size}}} ({{{x}}} - {{{target}}})", slope, "mse.input")},
    )


def log_softmax(x: str, out: str, shape: tuple[int, int]) -> Operation:
    """s = x - log Σ e^x, row by row."""
    _, C = shape

    def entry(at: tuple[int, ...]) -> str:
        total = _sum(f"e^{{[v {x} {_at((at[0], c), shape)}]}}" for c in range(C))
        return f"[v {x} {_at(at, shape)}] − log({total})"

    def slope(at: tuple[int, ...]) -> str:
        total = _sum(_g(out, at[0], c, shape=shape) for c in range(C))
        return f"{_g(out, *at, shape=shape)} − e^{{{_v(out, *at, shape=shape)}}} · ({total})"

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
        total = _sum(f"e^{{{_v(x, at[0], c, shape=shape)}}}" for c in range(C))
        return f"e^{{{_v(x, *at, shape=shape)}}} / ({total})"

    def slope(at: tuple[int, ...]) -> str:
        total = _sum(f"{_g(out, at[0], c, shape=shape)} · {_v(out, at[0], c, shape=shape)}" for c in range(C))
        return f"{_v(out, *at, shape=shape)} · ({_g(out, *at, shape=shape)} − ({total}))"

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
        Rule(f"{{{out}}} = -\\frac{{1}}{{{N}}} \\sum_n {{{x}}}_{{n, {{{target}}}_n}}", entry, "nll"),
        {
            x: Rule(
                f"{{d:{x}}}_{{nc}} = -\\frac{{1}}{{{N}}} [c = {{{target}}}_n]",
                lambda at: f"−([v {target} {at[0]}] = {at[1]}) / {N}",
                "nll.input",
            )
        },
    )


class Mean(nn.Module):
    """The mean of each column. Shape: x (N, C), y (C,)."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        """μ = Σ x / N."""
        return x.mean(axis=0)


class Variance(nn.Module):
    """The biased variance of each column. Shape: x (N, C), y (C,)."""

    def forward(self, x: np.ndarray, mu: np.ndarray) -> np.ndarray:
        """σ² = Σ (x - μ)² / N."""
        return ((x - mu) ** 2).mean(axis=0)


class Standardised(nn.Module):
    """Each column with mean 0 and, but for ε, variance 1. Shape: x (N, C), mu and var (C,); y (N, C)."""

    def __init__(self, eps: float) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, x: np.ndarray, mu: np.ndarray, var: np.ndarray) -> np.ndarray:
        """x̂ = (x - μ) / √(σ² + ε)."""
        return (x - mu) / np.sqrt(var + self.eps)


def batch_norm(
    x: str, weight: str, bias: str, out: str, shape: tuple[int, int], eps: float
) -> list[Operation]:
    """y = γ (x - μ) / √(σ² + ε) + β, column by column.

    BatchNorm1d computes μ, σ² and x̂ itself. To be looked at they are computed once more before it; its
    backward goes from y to x at once, so they have no gradients of their own.
    """
    N, C = shape

    def column(template: str, c: int) -> str:
        return _sum(template.replace("#", str(_at((n, c), shape))) for n in range(N))

    def slope(at: tuple[int, ...]) -> str:
        k, c = _at(at, shape), at[1]
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
        lambda at: f"([v {x} {_at(at, shape)}] − [v mu {at[1]}]) / √([v var {at[1]}] + {eps:g})",
        "batch_norm.standardised",
    )
    normalised = Operation(
        nn.BatchNorm1d(C, eps=eps, dtype=np.float64),
        f"F.batch_norm({x}, None, None, {weight}, {bias}, training=True, eps={eps:g})",
        (x,),
        out,
        Rule(
            f"{{{out}}} = {{{weight}}} \\odot {{xhat}} + {{{bias}}}",
            lambda at: f"[v {weight} {at[1]}] · [v xhat {_at(at, shape)}] + [v {bias} {at[1]}]",
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
        uses=("xhat",),
    )
    return [
        Operation(Mean(), f"{x}.mean(0)", (x,), "mu", mean, {}),
        Operation(Variance(), f"{x}.var(0, unbiased=False)", (x, "mu"), "var", variance, {}),
        Operation(
            Standardised(eps),
            f"({x} - mu) / (var + {eps:g}).sqrt()",
            (x, "mu", "var"),
            "xhat",
            standardised,
            {},
        ),
        normalised,
    ]


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
        Rule(f"{{{out}}}_t = \\sum_j {{{weight}}}_j {{{x}}}_{{t+j}} + {{{bias}}}", entry, "convolution"),
        {
            weight: Rule(
                f"{{d:{weight}}}_j = \\sum_t {{d:{out}}}_t {{{x}}}_{{t+j}}",
                weight_slope,
                "convolution.weight",
            ),
            bias: Rule(
                f"{{d:{bias}}} = \\sum_t {{d:{out}}}_t",
                lambda at: _sum(f"[g {out} {k}]" for k in range(places**2)),
                "convolution.bias",
            ),
            x: Rule(
                f"{{d:{x}}}_i = \\sum_j {{d:{out}}}_{{i-j}} {{{weight}}}_j", input_slope, "convolution.input"
            ),
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
            "scores",
        ),
        {
            Q: Rule(
                f"{{d:{Q}}} = \\frac{{{{d:{out}}} {{{K}}}}}{{{root}}}",
                lambda at: (
                    "("
                    + _sum(f"{_g(out, at[0], s, shape=ss)} · {_v(K, s, at[1], shape=qs)}" for s in range(T))
                    + f") / √{d}"
                ),
                "scores.input",
            ),
            K: Rule(
                f"{{d:{K}}} = \\frac{{{{d:{out}}}^\\top {{{Q}}}}}{{{root}}}",
                lambda at: (
                    "("
                    + _sum(f"{_g(out, t, at[0], shape=ss)} · {_v(Q, t, at[1], shape=qs)}" for t in range(T))
                    + f") / √{d}"
                ),
                "scores.input",
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
            "product",
        ),
        {
            P: Rule(
                f"{{d:{P}}} = {{d:{out}}} {{{V}}}^\\top",
                lambda at: _sum(
                    f"{_g(out, at[0], i, shape=vs)} · {_v(V, at[1], i, shape=vs)}" for i in range(d)
                ),
                "product.weights",
            ),
            V: Rule(
                f"{{d:{V}}} = {{{P}}}^\\top {{d:{out}}}",
                lambda at: _sum(
                    f"{_v(P, t, at[0], shape=ps)} · {_g(out, t, at[1], shape=vs)}" for t in range(T)
                ),
                "product.values",
            ),
        },
    )
