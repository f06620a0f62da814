"""Mistakes between the layers of a network: affine maps and activations, one after the other, and a loss.

The backward is one plain loop, and a mistake is another way, ``Way``, to go through it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from scratch.functional.elementary import positive, sigma

Function = Callable[[np.ndarray], np.ndarray]
# (dL/da, z, a) -> dL/dz, of a = f(z).
Derivative = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Activation:
    """a = f(z), and its derivative, by z and a, also in words."""

    name: str
    f: Function
    slope: Callable[[np.ndarray, np.ndarray], np.ndarray]
    formula: str

    def backward(self, da: np.ndarray, z: np.ndarray, a: np.ndarray) -> np.ndarray:
        """dz."""
        if self.name == "softmax":
            return a * (da - (da * a).sum(axis=-1, keepdims=True))
        return da * self.slope(z, a)


def _softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def _leaky(slope: float) -> Activation:
    return Activation(
        "leaky ReLU",
        lambda z: np.where(z > 0, z, slope * z),
        lambda z, a: np.where(z > 0, 1.0, slope),
        f"1 where z > 0, {slope} elsewhere",
    )


LINEAR = Activation("nothing", lambda z: z, lambda z, a: np.ones_like(a), "1")
SIGMOID = Activation("the sigmoid", sigma, lambda z, a: a * (1 - a), "a (1 - a)")
TANH = Activation("tanh", np.tanh, lambda z, a: 1 - a * a, "1 - a²")
RELU = Activation("ReLU", positive, lambda z, a: z > 0, "1 where z > 0")
SOFTMAX = Activation("softmax", _softmax, lambda z, a: a * (1 - a), "a_i (δ_ij - a_j)")
EXP = Activation("exp", np.exp, lambda z, a: a, "a")
INNER = (
    *(SIGMOID, TANH, RELU, LINEAR),
    *(_leaky(slope) for slope in (0.01, 0.1, 0.2)),
    Activation(
        "ELU", lambda z: np.where(z > 0, z, np.expm1(z)), lambda z, a: np.where(z > 0, 1, a + 1), "a + 1"
    ),
    Activation("softplus", lambda z: np.logaddexp(0, z), lambda z, a: sigma(z), "σ(z)"),
    Activation(
        "SiLU", lambda z: z * sigma(z), lambda z, a: sigma(z) + a * (1 - sigma(z)), "σ(z) + a (1 - σ(z))"
    ),
    Activation("sin", np.sin, lambda z, a: np.cos(z), "cos(z)"),
    Activation("the square", np.square, lambda z, a: 2 * z, "2 z"),
)
ENDS = (LINEAR, SIGMOID, SOFTMAX, TANH, RELU, EXP)


@dataclass(frozen=True)
class Loss:
    """A loss summed over all outputs y, beside targets t, and its derivative by y.

    ``exact`` is the loss without the ε that is added inside its logarithm.
    """

    name: str
    total: Callable[[np.ndarray, np.ndarray], np.ndarray]
    dy: Callable[[np.ndarray, np.ndarray], np.ndarray]
    exact: "Loss | None" = None


SQUARED = Loss("squared error", lambda y, t: (y - t) ** 2, lambda y, t: 2 * (y - t))
BINARY = Loss(
    "binary cross-entropy",
    lambda y, t: -(t * np.log(y) + (1 - t) * np.log(1 - y)),
    lambda y, t: (y - t) / (y * (1 - y)),
)
CROSS = Loss("cross-entropy", lambda y, t: -np.where(t == 0, 0, t * np.log(y)), lambda y, t: -t / y)
MARGIN = Loss(
    "the logistic loss of labels ±1",
    lambda y, t: np.logaddexp(0, -t * y),
    lambda y, t: -t * sigma(-t * y),
)
HINGE = Loss("the hinge loss", lambda y, t: positive(1 - t * y), lambda y, t: -t * (t * y < 1))
POISSON = Loss("Poisson's loss", lambda y, t: np.exp(y) - t * y, lambda y, t: np.exp(y) - t)
ABSOLUTE = Loss("absolute error", lambda y, t: np.abs(y - t), lambda y, t: np.sign(y - t))
HUBER = Loss(
    "Huber's loss",
    lambda y, t: np.where(np.abs(y - t) < 1, 0.5 * (y - t) ** 2, np.abs(y - t) - 0.5),
    lambda y, t: np.clip(y - t, -1, 1),
)


def _with_epsilon(ε: float) -> tuple[Loss, Loss]:
    """Both cross-entropies of log(p + ε)."""
    inside = f"log(p + ε), ε = {ε:g}"
    classes = Loss(
        f"cross-entropy of {inside}",
        lambda y, t: -t * np.log(y + ε),
        lambda y, t: -t / (y + ε),
        CROSS,
    )
    binary = Loss(
        f"binary cross-entropy of {inside}",
        lambda y, t: -(t * np.log(y + ε) + (1 - t) * np.log(1 - y + ε)),
        lambda y, t: (1 - t) / (1 - y + ε) - t / (y + ε),
        BINARY,
    )
    return classes, binary


OF_PROBABILITIES = tuple(
    loss for ε in (1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12) for loss in _with_epsilon(ε)
)
LOSSES = (SQUARED, CROSS, BINARY, MARGIN, HINGE, POISSON, ABSOLUTE, HUBER)


class Affine(NamedTuple):
    """z = a W + b, W (in, out), b (out,); without a bias b is 0.

    Or P of them at once: (P, in, out), (P, 1, out).
    """

    W: np.ndarray
    b: np.ndarray


@dataclass(frozen=True)
class Trace:
    """z of every layer, f(z), and a before every layer and after the last: samples are rows.

    a is f(z), but for dropout and for what a skip adds.
    """

    z: list[np.ndarray]
    f: list[np.ndarray]
    a: list[np.ndarray]


class Skip(NamedTuple):
    """What goes into layer ``start`` is added to layer ``end``: to its z if ``is_inside``, else to f(z)."""

    start: int
    end: int
    is_inside: bool


@dataclass(frozen=True)
class Chain:
    """A network: X (N, D) through affine maps and activations, and a loss beside T (N, K).

    The loss is scale · Σ loss(y, T) + decay · ΣW², biases included if ``decays_biases``. ``dropped`` is what
    dropout multiplies f(z) of a layer by, ``tied`` has the layers that share a weight.
    """

    X: np.ndarray
    T: np.ndarray
    layers: Sequence[Affine]
    activations: Sequence[Activation]
    loss: Loss
    scale: float = 1.0
    decay: float = 0.0
    decays_biases: bool = False
    skips: tuple[Skip, ...] = ()
    dropped: Mapping[int, np.ndarray] = field(default_factory=dict)
    tied: tuple[tuple[int, ...], ...] = ()

    def forward(self) -> Trace:
        """All that the backward needs."""
        z, f, a = [], [], [self.X]
        for at, ((W, b), activation) in enumerate(zip(self.layers, self.activations, strict=True)):
            z.append(a[-1] @ W + b + self._skipped(a, at, True))
            f.append(activation.f(z[-1]))
            a.append(f[-1] * self.dropped.get(at, 1.0) + self._skipped(a, at, False))
        return Trace(z, f, a)

    def _skipped(self, a: Sequence[np.ndarray], at: int, is_inside: bool) -> np.ndarray | float:
        """What skips add to this layer."""
        return sum((a[s.start] for s in self.skips if s.end == at and s.is_inside == is_inside), 0.0)

    def __str__(self) -> str:
        names = [each.name for each in self.activations if each is not LINEAR]
        of = f" of {', '.join(names)}" if names else ""
        return (
            f"a network of {len(self.layers)} layer{'s' * (len(self.layers) > 1)}{of} with {self.loss.name}"
            + ", skips" * bool(self.skips)
            + ", dropout" * bool(self.dropped)
        )


Pass = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Way:
    """A way through the backward of a chain; as it is by default, it is the right one.

    By the number of the layer: the derivative of the activation in what the parameters of the layer get,
    ``own``, and in what is passed on, ``passed``; the input of the layer that dW is made of; (W, dW) -> what
    the error is passed on through; whether dW and db come from the last sample alone; what dropout multiplies
    the error by; whether dW is left out, where the weight is used elsewhere as well. And the factor of what
    goes back along skips.
    """

    own: Mapping[int, Derivative] = field(default_factory=dict)
    passed: Mapping[int, Derivative] = field(default_factory=dict)
    inputs: Mapping[int, np.ndarray] = field(default_factory=dict)
    through: Mapping[int, Pass] = field(default_factory=dict)
    last: frozenset[int] = frozenset()
    dy: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    decay: float = 1.0
    bias_decay: float | None = None
    dropped: Mapping[int, np.ndarray | float] = field(default_factory=dict)
    left_out: frozenset[int] = frozenset()
    skipped: float = 1.0


def gradients(chain: Chain, trace: Trace, way: Way) -> list[Affine]:
    """(dW, db) of each layer, this way."""
    da: dict[int, np.ndarray] = {
        len(chain.layers): chain.scale * (way.dy or chain.loss.dy)(trace.a[-1], chain.T)
    }
    found: list[Affine] = []
    for at in reversed(range(len(chain.layers))):
        (W, b), right = chain.layers[at], chain.activations[at].backward
        z, f, above = trace.z[at], trace.f[at], da[at + 1]
        df = above * way.dropped.get(at, chain.dropped.get(at, 1.0))
        own = way.own.get(at, right)(df, z, f)
        passed = way.passed.get(at, right)(df, z, f)
        x = way.inputs.get(at, trace.a[at])
        if at in way.last:
            x, own = x[-1:], own[-1:]
        dW, db = x.T @ own * (at not in way.left_out), own.sum(axis=0)
        dW = dW + 2 * chain.decay * way.decay * W
        on_biases = way.decay * chain.decays_biases if way.bias_decay is None else way.bias_decay
        found.append(Affine(dW, db + 2 * chain.decay * on_biases * b))
        da[at] = da.get(at, 0.0) + passed @ way.through.get(at, _itself)(W, dW).T
        for skip in chain.skips:
            if skip.end == at:
                da[skip.start] = da.get(skip.start, 0.0) + way.skipped * (passed if skip.is_inside else above)
    return found[::-1]


def _itself(W: np.ndarray, dW: np.ndarray) -> np.ndarray:
    return W


# ---- the mistakes


class Mistake(NamedTuple):
    """A wrong way, its name and what to do about it.

    If it ``is_rough``, a factor of 2 may be in it or not.
    """

    name: str
    fix: str
    way: Way
    is_rough: bool = False


def mistakes(chain: Chain, trace: Trace) -> list[Mistake]:
    """The mistakes that can be made in this network, those that are made most often first."""
    return [
        *_skips(chain),
        *_ties(chain),
        *_dropout(chain, trace),
        *_softmax_diagonal(chain),
        *_slopes(chain),
        *_in_the_loss(chain),
        *_passed_on(chain),
        *_inputs(chain, trace),
        *_sums(chain),
        *_decay(chain),
    ]


def _skips(chain: Chain) -> list[Mistake]:
    """One of the two ways back is forgotten where a skip leads past layers."""
    if not chain.skips:
        return []
    fix = "y = x + f(x), so dx = dy + f'(x) dy: what goes into both gets the sum of both"
    branch = Way(through={skip.start: lambda W, dW: np.zeros_like(W) for skip in chain.skips})
    return [
        Mistake("the gradient along the skip connection is missing", fix, Way(skipped=0.0)),
        Mistake("only the gradient along the skip connection is passed on, not the branch's", fix, branch),
        Mistake("the gradient along the skip connection counts twice", fix, Way(skipped=2.0)),
    ]


def _ties(chain: Chain) -> list[Mistake]:
    """The gradient of a weight that is used more than once has not the sum of all uses."""
    found = []
    for layers in chain.tied:
        places = " and ".join(str(at + 1) for at in layers)
        for at in layers:
            missing = f"what layer {at + 1} adds to its gradient is missing"
            name = f"the weight is used in layers {places}, and {missing}"
            fix = "add up what every use gives: dW = what one use gives, then dW += that of the next"
            found.append(Mistake(name, fix, Way(left_out=frozenset([at]))))
    return found


def _dropout(chain: Chain, trace: Trace) -> list[Mistake]:
    """The error passes through dropout otherwise than the activations did, or what was dropped is used."""
    found = []
    for at, factor in chain.dropped.items():
        forgotten = _forgotten(factor)
        found += [_without(f"behind layer {at + 1}", words, {at: x}) for words, x in forgotten.items()]
        name = f"the gradient of the weights of layer {at + 2} is made of activations before the dropout"
        fix = f"dW = aᵀ dz, a what goes into layer {at + 2}: after the dropout"
        found.append(Mistake(name, fix, Way(inputs={at + 1: trace.f[at]})))
        act, dropped = chain.activations[at], trace.f[at] * factor
        by: dict[int, Derivative] = {at: lambda da, z, f, act=act, a=dropped: act.backward(da, z, a)}  # type: ignore[misc]
        name = f"the derivative in layer {at + 1} is taken of the activations after the dropout"
        fix = f"take it of f(z) before the dropout, {act.formula}"
        found.append(Mistake(name, fix, Way(own=by, passed=by)))
        for words, other in forgotten.items():
            way = Way(own=by, passed=by, dropped={at: other})
            found.append(Mistake(f"{name}, and {words} missing", fix, way))
    if len(chain.dropped) > 1:
        every = {at: _forgotten(factor) for at, factor in chain.dropped.items()}
        for words in next(iter(every.values())):
            others = {at: forgotten.get(words, chain.dropped[at]) for at, forgotten in every.items()}
            found.append(_without("behind all layers that have it", words, others))
    return found


def _forgotten(factor: np.ndarray) -> dict[str, np.ndarray]:
    """What dropout may be taken for, by what is forgotten of it."""
    whole = np.full_like(factor, np.max(factor))
    if np.max(factor) == 1:
        return {"the mask of the dropout": whole}
    return {
        "the mask of the dropout and its factor 1 / keep": np.ones_like(factor),
        "the mask of the dropout": whole,
        "the factor 1 / keep of the dropout": (factor != 0) * 1.0,
    }


def _without(where: str, words: str, dropped: dict[int, np.ndarray]) -> Mistake:
    verb = "are" if " and " in words else "is"
    fix = "da = da * mask / keep: what the forward multiplied by, of the same draw"
    return Mistake(f"{words} {where} {verb} missing in the backward", fix, Way(dropped=dropped))


class _Wrong(NamedTuple):
    """A wrong derivative: in words, and as a function of (da, z, a)."""

    words: str
    derivative: Derivative


# What people write in the place of a derivative, by what {} it is of, and the formula.
_WRITTEN = (
    _Wrong("", lambda da, z, a: da),
    _Wrong("σ(a) (1 - σ(a))", lambda da, z, a: da * sigma(a) * (1 - sigma(a))),
    _Wrong("1 - tanh(a)²", lambda da, z, a: da * (1 - np.tanh(a) ** 2)),
    _Wrong("a (1 - a)", lambda da, z, a: da * a * (1 - a)),
    _Wrong("1 - a²", lambda da, z, a: da * (1 - a * a)),
    _Wrong("1 - a", lambda da, z, a: da * (1 - a)),
    _Wrong("1 + a", lambda da, z, a: da * (1 + a)),
    _Wrong("1 + a²", lambda da, z, a: da * (1 + a * a)),
    _Wrong("a (1 + a)", lambda da, z, a: da * a * (1 + a)),
    _Wrong("z (1 - z)", lambda da, z, a: da * z * (1 - z)),
    _Wrong("1 - z²", lambda da, z, a: da * (1 - z * z)),
    _Wrong("1 - z", lambda da, z, a: da * (1 - z)),
    _Wrong("σ(z) (1 - σ(z))", lambda da, z, a: da * sigma(z) * (1 - sigma(z))),
    _Wrong("σ(z)", lambda da, z, a: da * sigma(z)),
    _Wrong("1 - tanh(z)²", lambda da, z, a: da * (1 - np.tanh(z) ** 2)),
    _Wrong("exp(z)", lambda da, z, a: da * np.exp(z)),
    _Wrong("a", lambda da, z, a: da * a),
    _Wrong("z", lambda da, z, a: da * z),
    _Wrong("a²", lambda da, z, a: da * a * a),
    _Wrong("1 where z > 0, 0 elsewhere", lambda da, z, a: da * (z > 0)),
    _Wrong("1 where z < 0", lambda da, z, a: da * (z < 0)),
    _Wrong("1 where the incoming gradient is > 0", lambda da, z, a: da * (da > 0)),
    _Wrong("1 where z > 0, 0.01 elsewhere", lambda da, z, a: da * np.where(z > 0, 1, 0.01)),
    _Wrong("1 where z > 0, a elsewhere", lambda da, z, a: da * np.where(z > 0, 1, a)),
)


def _slopes(chain: Chain) -> list[Mistake]:
    """The derivative of an activation missing, or another in its place; in one layer, several, or all."""
    n = len(chain.layers)
    places: list[tuple[tuple[int, ...], str]]
    places = [((at,), f"in layer {at + 1}" if at < n - 1 else "at the output") for at in range(n)]
    places += [(tuple(range(n - 1)), "in all hidden layers")] if n > 2 else []
    places += [(tuple(range(n)), "in every layer")] if n > 1 else []
    found = []
    for layers, where in places:
        with_one = [at for at in layers if chain.activations[at] is not LINEAR]
        found += _slopes_at(chain, with_one, where) if with_one else []
    return found


def _slopes_at(chain: Chain, layers: Sequence[int], where: str) -> list[Mistake]:
    """Derivatives of activations that are wrong in all these layers."""
    acts = {chain.activations[at] for at in layers}
    name, right = (
        " and ".join(sorted(names)) for names in zip(*((a.name, a.formula) for a in acts), strict=True)
    )
    fix = f"multiply by {right}, z being what goes into {name} and a what comes out"
    found = []
    for wrong in _WRITTEN:
        by, said = dict.fromkeys(layers, wrong.derivative), f"{_said(name, right, wrong.words)} {where}"
        found.append(Mistake(said, fix, Way(own=by, passed=by)))
        if min(layers) > 0:
            found.append(Mistake(f"{said}, in what is passed on to the layer before", fix, Way(passed=by)))
            found.append(Mistake(f"{said}, in the gradient of its weights", fix, Way(own=by)))
    twice = {at: _twice(chain.activations[at].backward) for at in layers}
    if chain.loss in (BINARY, CROSS) and min(layers) == len(chain.layers) - 1:
        fix = "y - t is the gradient of both together already"
    said = f"the derivative of {name} is multiplied by twice {where}"
    return [*found, Mistake(said, fix, Way(own=twice, passed=twice))]


def _said(name: str, right: str, words: str) -> str:
    if not words:
        return f"the derivative of {name} is missing"
    if words in ("σ(a) (1 - σ(a))", "1 - tanh(a)²"):
        return f"the derivative of {name} is taken at its output a instead of z, {words},"
    if words == "1 - a" and name == "tanh":
        return "the square is missing in the derivative of tanh, 1 - a for 1 - a²,"
    return f"the derivative of {name} is written as {words} instead of {right},"


def _twice(right: Derivative) -> Derivative:
    return lambda da, z, a: right(right(da, z, a), z, a)


def _softmax_diagonal(chain: Chain) -> list[Mistake]:
    """The derivative of each output by its own z alone."""
    if chain.activations[-1] is not SOFTMAX:
        return []
    by: dict[int, Derivative] = {len(chain.layers) - 1: lambda da, z, a: da * a * (1 - a)}
    fix = "dz = a (da - Σ da a): each output depends on all z"
    return [Mistake("the Jacobian of the softmax is only its diagonal", fix, Way(own=by, passed=by))]


def _in_the_loss(chain: Chain) -> list[Mistake]:
    """The derivative of another loss, or a part of the right one."""
    found = []
    fix = f"the derivative by the output of the loss that is computed, {chain.loss.name}"
    if chain.loss.exact is not None:
        name = f"ε is in the loss, {chain.loss.name}, and not in its gradient"
        without = "y - t is the gradient without ε: clip p away from 0 instead of adding ε, or leave it out"
        found.append(Mistake(name, without, Way(dy=chain.loss.exact.dy)))
    for loss in LOSSES:
        if loss not in (chain.loss, chain.loss.exact):
            name = f"it is the gradient of another loss, {loss.name}, and not of {chain.loss.name}"
            found.append(Mistake(name, fix, Way(dy=loss.dy), True))
    if chain.loss is BINARY:
        name = "only the half of the loss where the target is 1 is differentiated"
        found.append(Mistake(name, fix, Way(dy=CROSS.dy)))
    if chain.loss is HINGE:
        name = "the gradient of the hinge loss also comes from samples beyond the margin: the mask is missing"
        found.append(Mistake(name, fix, Way(dy=lambda y, t: -t * np.ones_like(y))))
    if chain.loss in (MARGIN, HINGE):
        name = "the label's factor ±1 is missing in the gradient of the loss"
        found.append(Mistake(name, fix, Way(dy=lambda y, t: t * chain.loss.dy(y, t)), True))
    return found


def _passed_on(chain: Chain) -> list[Mistake]:
    """The error passed through something else than the weights."""
    found, back = [], "da = dz Wᵀ for z = a W"
    shapes = [layer.W.shape for layer in chain.layers]
    for at in range(1, len(chain.layers)):
        if shapes[at][0] == shapes[at][1]:
            name = f"the error is passed on through the weights of layer {at + 1} transposed the wrong way"
            found.append(Mistake(name, back, Way(through={at: lambda W, dW: W.T})))
            name = f"the error is passed on without the weights of layer {at + 1}"
            found.append(Mistake(name, back, Way(through={at: lambda W, dW: np.eye(len(W))})))
        name = f"the error is passed on through the signs or sizes of the weights of layer {at + 1}"
        found.append(Mistake(name, back, Way(through={at: lambda W, dW: np.sign(W)})))
        found.append(Mistake(name, back, Way(through={at: lambda W, dW: np.abs(W)})))
        for other, (layer, shape) in enumerate(zip(chain.layers, shapes, strict=True)):
            if other != at and shape == shapes[at]:
                name = f"the error is passed on through the weights of layer {other + 1} instead of {at + 1}"
                found.append(Mistake(name, back, Way(through={at: _instead(layer.W)})))
    return found


def _instead(other: np.ndarray) -> Pass:
    return lambda W, dW: other


def _inputs(chain: Chain, trace: Trace) -> list[Mistake]:
    """dW made of something else than the input of the layer."""
    found = []
    for at in range(len(chain.layers)):
        right = trace.a[at]
        fix = f"dW = aᵀ dz, a what goes into layer {at + 1}"
        others = [("its z, before the activation,", trace.z[at - 1])] if at else []
        others += [
            (f"the activations of layer {k}" if k else "the data", a)
            for k, a in enumerate(trace.a)
            if k != at and a.shape == right.shape
        ]
        for words, other in others:
            name = f"the gradient of the weights of layer {at + 1} is made of {words} in place of its input"
            found.append(Mistake(name, fix, Way(inputs={at: other})))
    for (below, before), (above, after) in pairwise(enumerate(trace.a[1:-1])):
        if before.shape == after.shape:
            for here, there in ((below, above), (above, below)):
                act = chain.activations[here]
                z, a = trace.z[there], trace.f[there]
                by: dict[int, Derivative] = {
                    here: lambda da, *_, act=act, z=z, a=a: act.backward(da, z, a)  # type: ignore[misc]
                }
                name = f"the derivative in layer {here + 1} is taken of the activations of layer {there + 1}"
                found.append(Mistake(name, f"take it of layer {here + 1}'s", Way(own=by, passed=by)))
    return found


def _sums(chain: Chain) -> list[Mistake]:
    """The gradient of the last sample in the place of the sum over all."""
    n = len(chain.layers)
    if len(chain.X) < 2:
        return []
    fix = "add up what the samples give, +="
    name = "the gradient is that of the last sample alone"
    found = [Mistake(f"{name} in layer {at + 1}", fix, Way(last=frozenset([at]))) for at in range(n)]
    return [Mistake(name, fix, Way(last=frozenset(range(n)))), *found]


def _decay(chain: Chain) -> list[Mistake]:
    """The gradient of the regularisation."""
    if not chain.decay:
        return []
    c = chain.decay
    right = f"the loss has {c:.6g} times the sum of squares, so add {2 * c:.6g} times the weight"
    N, found = len(chain.X), []
    for factor, words in (
        (0.0, "missing"),
        (0.5, "half of what it should be"),
        (2.0, "twice what it should be"),
        (-1.0, "subtracted"),
        (N, "not divided by the number of samples, as in the loss"),
        (1 / N, "divided by the number of samples, as it is not in the loss"),
    ):
        found.append(Mistake(f"the gradient of the regularisation is {words}", right, Way(decay=factor)))
    if chain.decays_biases:
        name = "the regularisation of the biases is missing in their gradients"
        return [*found, Mistake(name, right, Way(bias_decay=0.0))]
    name = "the biases are regularised in the gradient and not in the loss"
    return [*found, Mistake(name, "leave it out for the biases", Way(bias_decay=1.0))]


def after_the_step(chain: Chain, rate: float) -> Way:
    """The error is passed on through weights that have taken their step, at this rate, already."""
    return Way(through=dict.fromkeys(range(1, len(chain.layers)), lambda W, dW: W - rate * dW))
