"""The two products of attention."""

import math
from typing import Any

import numpy as np

from reports.lesson.operations.operation import Operation, Rule, g, plus, v
from scratch import nn

WHY = {
    "scores": {
        "en": "How well each query fits each key. The root of the width keeps the scores from growing "
        "with it.",
        "zh": "每个查询与每个键有多匹配。除以宽度的平方根，分数就不会随宽度变大。",
    },
    "scores.input": {
        "en": "A product of two matrices: the error times the other factor, with the same root below it.",
        "zh": "两个矩阵相乘：误差乘以另一个因子，分母是同一个平方根。",
    },
    "product": {
        "en": "Each row of the output is a mixture of the rows of V, in the proportions of P.",
        "zh": "输出的每一行是 V 各行的混合，比例由 P 给出。",
    },
    "product.weights": {
        "en": "How much of a row of V went in: its gradient is how well this row fits the error.",
        "zh": "V 的某一行混入了多少：它的梯度是这一行与误差的内积。",
    },
    "product.values": {
        "en": "A row of V went into every output. So the errors come back in the same proportions.",
        "zh": "V 的一行进入了每个输出。所以误差按同样的比例传回来。",
    },
}


def attention_scores(Q: np.ndarray, K: np.ndarray) -> tuple[np.ndarray, Any]:
    r"""$S = Q K^\top / \sqrt d$, so $dQ = dS\, K / \sqrt d$ and $dK = dS^\top Q / \sqrt d$.

    Shape: Q (T, d), K (S, d); S (T, S). Source: Vaswani et al. 2017, equation 1.
    """
    d = Q.shape[1]
    y = Q @ K.T / math.sqrt(d)
    return y, (Q, K)


def attention_scores_backward(dS: np.ndarray, saved: Any) -> tuple[np.ndarray, np.ndarray]:
    """dQ = dS K / √d, dK = dSᵀ Q / √d."""
    Q, K = saved
    d = Q.shape[1]
    dQ = dS @ K / math.sqrt(d)
    dK = dS.T @ Q / math.sqrt(d)
    return dQ, dK


def mixture(P: np.ndarray, V: np.ndarray) -> tuple[np.ndarray, Any]:
    r"""$O = P V$, so $dP = dO\, V^\top$ and $dV = P^\top dO$.

    Shape: P (T, S), V (S, d); O (T, d).
    """
    y = P @ V
    return y, (P, V)


def mixture_backward(dO: np.ndarray, saved: Any) -> tuple[np.ndarray, np.ndarray]:
    """dP = dO Vᵀ, dV = Pᵀ dO."""
    P, V = saved
    dP = dO @ V.T
    dV = P.T @ dO
    return dP, dV


class Scores(nn.Module):
    """attention_scores as a module."""

    def forward(self, Q: np.ndarray, K: np.ndarray) -> np.ndarray:
        """S = Q Kᵀ / √d."""
        return self.run(attention_scores, attention_scores_backward, (Q, K))


class Mixture(nn.Module):
    """mixture as a module."""

    def forward(self, P: np.ndarray, V: np.ndarray) -> np.ndarray:
        """O = P V."""
        return self.run(mixture, mixture_backward, (P, V))


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
                + plus(f"{v(Q, at[0], i, shape=qs)} · {v(K, at[1], i, shape=qs)}" for i in range(d))
                + f") / √{d}"
            ),
            "scores",
        ),
        {
            Q: Rule(
                f"{{d:{Q}}} = \\frac{{{{d:{out}}} {{{K}}}}}{{{root}}}",
                lambda at: (
                    "("
                    + plus(f"{g(out, at[0], s, shape=ss)} · {v(K, s, at[1], shape=qs)}" for s in range(T))
                    + f") / √{d}"
                ),
                "scores.input",
            ),
            K: Rule(
                f"{{d:{K}}} = \\frac{{{{d:{out}}}^\\top {{{Q}}}}}{{{root}}}",
                lambda at: (
                    "("
                    + plus(f"{g(out, t, at[0], shape=ss)} · {v(Q, t, at[1], shape=qs)}" for t in range(T))
                    + f") / √{d}"
                ),
                "scores.input",
            ),
        },
        symbols={Q: "dQ", K: "dK"},
    )


def product(P: str, V: str, out: str, T: int, d: int) -> Operation:
    """O = P V."""
    ps, vs = (T, T), (T, d)
    return Operation(
        Mixture(),
        f"{P} @ {V}",
        (P, V),
        out,
        Rule(
            f"{{{out}}} = {{{P}}} {{{V}}}",
            lambda at: plus(f"{v(P, at[0], s, shape=ps)} · {v(V, s, at[1], shape=vs)}" for s in range(T)),
            "product",
        ),
        {
            P: Rule(
                f"{{d:{P}}} = {{d:{out}}} {{{V}}}^\\top",
                lambda at: plus(
                    f"{g(out, at[0], i, shape=vs)} · {v(V, at[1], i, shape=vs)}" for i in range(d)
                ),
                "product.weights",
            ),
            V: Rule(
                f"{{d:{V}}} = {{{P}}}^\\top {{d:{out}}}",
                lambda at: plus(
                    f"{v(P, t, at[0], shape=ps)} · {g(out, t, at[1], shape=vs)}" for t in range(T)
                ),
                "product.values",
            ),
        },
        symbols={P: "dP", V: "dV"},
    )
