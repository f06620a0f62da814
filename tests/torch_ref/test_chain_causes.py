"""Mistakes between the layers of a network: each that the collection has is made, and named."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from sampled import one_in
from torch_ref import check_loss
from torch_ref.faults.chains import (
    ABSOLUTE,
    BINARY,
    CROSS,
    HINGE,
    LINEAR,
    MARGIN,
    OF_PROBABILITIES,
    RELU,
    SIGMOID,
    SOFTMAX,
    SQUARED,
    TANH,
    Affine,
    Chain,
    Way,
    after_the_step,
    gradients,
    mistakes,
)

# Of the cases of each test; the others in make long.
ONE_IN = 2


def normal(*shape, seed=0):
    return np.random.default_rng([seed, 11, *shape]).normal(size=shape)


def chain_of(sizes, activations, loss, **options):
    layers = [
        Affine(0.5 * normal(D, H, seed=k), normal(H, seed=k))
        for k, (D, H) in enumerate(itertools.pairwise(sizes))
    ]
    N, K = 5, sizes[-1]
    targets = {
        BINARY: (normal(N, K) > 0) * 1.0,
        CROSS: np.eye(K)[np.arange(N) % K],
        MARGIN: np.sign(normal(N, K)),
        HINGE: np.sign(normal(N, K)),
    }
    T = targets.get(loss, normal(N, K))
    return Chain(normal(N, sizes[0]), T, layers, activations, loss, **options)


CHAINS = {
    "regression": chain_of([3, 4, 4, 2], [TANH, TANH, LINEAR], SQUARED, scale=0.1),
    "sigmoids": chain_of([3, 4, 2], [SIGMOID, SIGMOID], SQUARED, scale=0.5),
    "two classes": chain_of([3, 6, 1], [RELU, SIGMOID], BINARY, scale=0.2),
    "classes": chain_of([3, 5, 3], [SIGMOID, SOFTMAX], CROSS, scale=0.2, decay=0.05),
    "probabilities": chain_of([3, 5, 3], [RELU, SOFTMAX], SQUARED, scale=0.2),
    "labels ±1": chain_of([4, 1], [LINEAR], MARGIN, scale=0.2, decay=0.05, decays_biases=True),
    "margin": chain_of([4, 1], [LINEAR], HINGE, scale=10.0, decay=0.5),
    "absolute": chain_of([3, 4, 2], [TANH, LINEAR], ABSOLUTE, scale=0.1),
}


def network(chain, way):
    """f(params, X, T) of the chain, backward this way, weights (in, out)."""

    def f(params, X, T):
        layers = [Affine(params[f"W{k}"], params[f"b{k}"]) for k in range(len(chain.layers))]
        now = replace(chain, layers=layers, X=X, T=T)
        trace = now.forward()
        loss = now.scale * now.loss.total(trace.a[-1], T).sum()
        for W, b in layers:
            loss += now.decay * (W**2).sum() + now.decay * now.decays_biases * (b**2).sum()
        found = gradients(now, trace, way)
        return loss, {f"d{n}{k}": g for k, pair in enumerate(found) for n, g in zip("Wb", pair, strict=True)}

    params = {f"{n}{k}": g for k, pair in enumerate(chain.layers) for n, g in zip("Wb", pair, strict=True)}
    return f, params


def flat(found):
    return np.concatenate([array.reshape(-1) for pair in found for array in pair])


@pytest.mark.parametrize("name", CHAINS)
def test_the_right_way_is_right(name):
    chain = CHAINS[name]

    assert check_loss(*network(chain, Way()), chain.X, chain.T, dtypes="float64")


@pytest.mark.parametrize("count", [3, pytest.param(12, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", one_in(4, CHAINS))
def test_every_mistake_is_named_or_one_that_gives_the_same(name, count):
    chain = CHAINS[name]
    trace = chain.forward()
    with np.errstate(all="ignore"):
        every = mistakes(chain, trace)
        made = [flat(gradients(chain, trace, mistake.way)) for mistake in every]
    right = flat(gradients(chain, trace, Way()))
    rng = np.random.default_rng(0)
    differing = [
        i
        for i, gradient in enumerate(made)
        if np.all(np.isfinite(gradient)) and not is_multiple(gradient, right)
    ]
    for i in rng.permutation(differing)[:count]:
        found = check_loss(*network(chain, every[i].way), chain.X, chain.T, dtypes="float64")
        named = [cause.name for cause in found.causes]
        same = [m.name for m, g in zip(every, made, strict=True) if is_multiple(g, made[i])]

        assert len(named) == 1, every[i].name
        assert any(named[0].startswith(each) for each in same), (every[i].name, named)


def is_multiple(a, b):
    """Whether one is the other, but for a factor."""
    if not np.all(np.isfinite(a)) or not np.any(a):
        return not np.any(a)
    factor = a @ b / (a @ a)
    return np.allclose(factor * a, b, rtol=0, atol=1e-9 * np.max(np.abs(b)))


@pytest.mark.parametrize("rate", [0.1, 1.0])
def test_updated_weights_are_named(rate):
    chain = CHAINS["sigmoids"]
    found = check_loss(*network(chain, after_the_step(chain, rate)), chain.X, chain.T, dtypes="float64")

    assert [cause.name for cause in found.causes] == [
        "the weights are updated before the error has passed through them"
    ]


@pytest.mark.parametrize("ε", [1e-5, 1e-8, 1e-10])
@pytest.mark.parametrize("also", ["", "the derivative of ReLU is missing in layer 1"])
def test_an_epsilon_inside_the_logarithm_is_named(ε, also):
    exact = CHAINS["two classes"]
    chain = replace(
        exact, loss=next(x for x in OF_PROBABILITIES if x.exact is BINARY and f"= {ε:g}" in x.name)
    )
    ways = {m.name: m.way for m in mistakes(exact, exact.forward())}
    way = replace(ways.get(also, Way()), dy=BINARY.dy)
    found = check_loss(*network(chain, way), chain.X, chain.T, dtypes="float64")

    (cause,) = found.causes
    assert cause.name.startswith(also or "ε is in the loss, binary cross-entropy of log(p + ε)")
    assert "not in its gradient" in cause.name


def turned(W, b):
    return W.T, b[:, None]


def joined(W, b):
    return (np.vstack([W, b]),)


@pytest.mark.parametrize(
    ("store", "load", "columns"),
    [
        (turned, lambda p: (p[0].T, p[1][:, 0]), True),
        (joined, lambda p: (p[0][:-1], p[0][-1]), False),
        (lambda W, b: (np.vstack([b, W]).T,), lambda p: (p[0].T[1:], p[0].T[0]), False),
        (lambda W, b: (W, b[None]), lambda p: (p[0], p[1][0]), False),
    ],
    ids=["out, in and columns", "bias in the last row", "bias in the first column", "(1, n) biases"],
)
def test_the_cause_does_not_depend_on_how_it_is_stored(store, load, columns):
    chain = CHAINS["sigmoids"]
    wrong = next(m for m in mistakes(chain, chain.forward()) if m.name.endswith("is missing in layer 1"))
    data = (chain.X.T, chain.T.T) if columns else (chain.X, chain.T)

    def f(params, X, T):
        X, T = (X.T, T.T) if columns else (X, T)
        now = replace(chain, layers=[Affine(*load(p)) for p in params], X=X, T=T)
        trace = now.forward()
        found = gradients(now, trace, wrong.way)
        return now.scale * now.loss.total(trace.a[-1], T).sum(), [store(*pair) for pair in found]

    found = check_loss(f, [store(*pair) for pair in chain.layers], *data, dtypes="float64")

    assert [cause.name for cause in found.causes] == [wrong.name]
    assert "reproduced" in found.causes[0].evidence


def test_neurons_that_are_kept_one_by_one_are_layers():
    chain = replace(CHAINS["sigmoids"], X=normal(1, 3), T=normal(1, 2))
    wrong = next(m for m in mistakes(chain, chain.forward()) if "1 - a²" in m.name and "layer 1" in m.name)

    def neurons(W, b):
        return [{"w": row, "bias": bias} for row, bias in zip(W.T, b[:, None], strict=True)]

    def f(layers, X, T):
        maps = [
            Affine(np.array([n["w"] for n in each]).T, np.concatenate([n["bias"] for n in each]))
            for each in layers
        ]
        now = replace(chain, layers=maps, X=X, T=T)
        trace = now.forward()
        found = gradients(now, trace, wrong.way)
        return now.scale * now.loss.total(trace.a[-1], T).sum(), [neurons(*pair) for pair in found]

    found = check_loss(f, [neurons(*pair) for pair in chain.layers], chain.X, chain.T, dtypes="float64")

    assert [cause.name for cause in found.causes] == [wrong.name]


def test_one_sample_and_one_output_make_no_false_cause():
    chain = replace(CHAINS["two classes"], X=normal(1, 3), T=np.ones((1, 1)))
    half = Way(dy=lambda y, t: 0.5 * chain.loss.dy(y, t))
    found = check_loss(*network(chain, half), chain.X, chain.T, dtypes="float64")

    assert [cause.name for cause in found.causes] == ["a factor of 1/2 too much"]


@pytest.mark.long
def test_what_is_no_chain_has_no_cause_of_one():
    def f(params, X, y):
        z = np.tanh(X @ params["W"]) * np.sin(X @ params["V"])
        loss = np.sum((z - y) ** 2)
        d = 2 * (z - y)
        t, s = np.tanh(X @ params["W"]), np.sin(X @ params["V"])
        return loss, {"W": X.T @ (d * s), "V": X.T @ (d * t * np.cos(X @ params["V"]))}

    found = check_loss(f, {"W": normal(3, 2), "V": normal(3, 2, seed=1)}, normal(5, 3), normal(5, 2))

    assert not found
    assert all("reproduced" not in cause.evidence for cause in found.causes)
