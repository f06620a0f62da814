"""Whole networks whose error comes back by two ways, one of them forgotten: ties, skips, dropout."""

import numpy as np
import pytest

from sampled import one_in
from torch_ref import check_loss

# Of the cases of each test; the others in make long.
ONE_IN = 2


def normal(*shape, seed=0):
    return 0.5 * np.random.default_rng([seed, 5, *shape]).normal(size=shape)


X, Y = normal(5, 3, seed=1), normal(5, 3, seed=2)


def squares(y, target):
    return ((y - target) ** 2).mean(), 2 * (y - target) / y.size


def causes(f, params, *data):
    """The names of the causes, each reproduced."""
    found = check_loss(f, params, *data, dtypes="float64")
    assert not found
    assert all("reproduced" in cause.evidence for cause in found.causes), found.verdict
    return [cause.name for cause in found.causes]


# ---- a weight that is used twice


def autoencoder(uses):
    """Decoder weights that are the encoder's, transposed."""

    def f(p, X):
        h = np.tanh(X @ p["W"] + p["b"])
        loss, dy = squares(h @ p["W"].T + p["c"], X)
        dz = dy @ p["W"] * (1 - h * h)
        every = {1: X.T @ dz, 2: dy.T @ h}
        return loss, {"W": sum(every[use] for use in uses), "b": dz.sum(0), "c": dy.sum(0)}

    return f, ({"W": normal(3, 4), "b": normal(4), "c": normal(3)}, X)


def twice(uses):
    """The same square weights in both layers."""

    def f(W, X, Y):
        h = np.maximum(X @ W, 0)
        loss, dy = squares(h @ W, Y)
        every = {1: X.T @ (dy @ W.T * (h > 0)), 2: h.T @ dy}
        return loss, sum(every[use] for use in uses)

    return f, (normal(3, 3), X, Y)


def language_model(uses):
    """Output weights that are the embedding's."""

    def f(p, words, following):
        E, W = p["E"], p["W"]
        x = E[words]
        h = np.tanh(x @ W)
        q = np.exp(h @ E.T)
        q /= q.sum(1, keepdims=True)
        here = np.arange(len(words)), following
        loss, dz = -np.log(q[here]).mean(), q.copy()
        dz[here] -= 1
        dz /= len(words)
        dh = dz @ E * (1 - h * h)
        rows = np.zeros_like(E)
        np.add.at(rows, words, dh @ W.T)
        return loss, {"E": sum({1: rows, 3: dz.T @ h}[use] for use in uses), "W": x.T @ dh}

    return f, ({"E": normal(7, 4), "W": normal(4, 4)}, np.array([1, 2, 3, 2]), np.array([2, 3, 2, 6]))


@pytest.mark.parametrize(
    ("network", "uses"), [(autoencoder, (1, 2)), (twice, (1, 2)), (language_model, (1, 3))]
)
def test_a_use_of_a_tied_weight_that_is_forgotten_is_named(network, uses):
    f, arguments = network(uses)
    assert check_loss(f, *arguments)
    for left, missing in (uses, uses[::-1]):
        f, arguments = network((left,))
        places = " and ".join(map(str, uses))

        assert causes(f, *arguments) == [
            f"the weight is used in layers {places}, and what layer {missing} adds to its gradient is missing"
        ]


# ---- a skip past layers


def block(of_branch, of_skip):
    """y = h + tanh(h W + b), its error passed on by both ways so many times."""

    def f(p, X, Y):
        h = np.tanh(X @ p["W0"] + p["b0"])
        r = np.tanh(h @ p["W1"] + p["b1"])
        loss, dy = squares((h + r) @ p["W2"], Y)
        d = dy @ p["W2"].T
        dr = d * (1 - r * r)
        dh = (of_branch * (dr @ p["W1"].T) + of_skip * d) * (1 - h * h)
        return loss, {
            **{"W0": X.T @ dh, "b0": dh.sum(0), "W1": h.T @ dr, "b1": dr.sum(0)},
            "W2": (h + r).T @ dy,
        }

    p = {"W0": normal(3, 4), "b0": normal(4), "W1": normal(4, 4), "b1": normal(4), "W2": normal(4, 3)}
    return f, (p, X, Y)


def deep_block(of_branch, of_skip):
    """relu(h + W₂ relu(W₁ h)), twice, as a residual network has it."""

    def f(p, X, Y):
        saved, h = [], np.maximum(X @ p["in"], 0)
        first = h
        for k in range(2):
            u = np.maximum(h @ p[f"W{k}"] + p[f"b{k}"], 0)
            s = u @ p[f"V{k}"] + h
            saved.append((h, u, s))
            h = np.maximum(s, 0)
        loss, dy = squares(h @ p["out"], Y)
        grads = {"out": h.T @ dy}
        d = dy @ p["out"].T
        for k in (1, 0):
            h, u, s = saved[k]
            ds = d * (s > 0)
            du = ds @ p[f"V{k}"].T * (u > 0)
            grads |= {f"V{k}": u.T @ ds, f"W{k}": h.T @ du, f"b{k}": du.sum(0)}
            d = of_branch * (du @ p[f"W{k}"].T) + of_skip * ds
        return loss, grads | {"in": X.T @ (d * (first > 0))}

    p = {"in": normal(3, 4)}
    for k in range(2):
        p |= {f"W{k}": normal(4, 6, seed=k), f"b{k}": normal(6, seed=k), f"V{k}": normal(6, 4, seed=k)}
    return f, (p | {"out": normal(4, 3)}, X, Y)


@pytest.mark.parametrize("network", one_in(2, [block, deep_block]))
@pytest.mark.parametrize(
    ("ways", "cause"),
    [
        ((1, 0), "the gradient along the skip connection is missing"),
        ((0, 1), "only the gradient along the skip connection is passed on, not the branch's"),
        ((1, 2), "the gradient along the skip connection counts twice"),
    ],
)
def test_a_way_back_past_a_skip_that_is_forgotten_is_named(network, ways, cause):
    f, arguments = network(1, 1)
    assert check_loss(f, *arguments)
    f, arguments = network(*ways)

    assert causes(f, *arguments) == [cause]


# ---- dropout


def dropped(backward, keep=0.8, is_scaled=True, draw=np.random.rand):
    """A layer with dropout behind it; ``backward`` is (d, h, mask, factor) -> dz."""
    factor = 1 / keep if is_scaled else 1.0

    def f(p, X, Y):
        h = np.tanh(X @ p["W1"] + p["b1"])
        mask = draw(*h.shape) < keep
        y = (h * mask * factor) @ p["W2"] + p["b2"]
        loss, dy = squares(y, Y)
        dz = backward(dy @ p["W2"].T, h, mask, factor)
        return loss, {
            **{"W1": X.T @ dz, "b1": dz.sum(0)},
            **{"W2": (h * mask * factor).T @ dy, "b2": dy.sum(0)},
        }

    p = {"W1": normal(3, 6), "b1": normal(6), "W2": normal(6, 3), "b2": normal(3)}
    return f, (p, X, Y)


def seeded(*shape):
    return np.random.RandomState(3).rand(*shape)


def through(d, h, mask, factor):
    return d * mask * factor * (1 - h * h)


@pytest.mark.long
@pytest.mark.parametrize("drawing", [(np.random.rand, 0.8), (seeded, 0.5)])
@pytest.mark.parametrize(
    ("backward", "cause"),
    [
        (
            lambda d, h, mask, c: d * (1 - h * h),
            "the mask of the dropout and its factor 1 / keep behind layer 1 are missing in the backward",
        ),
        (
            lambda d, h, mask, c: d * c * (1 - h * h),
            "the mask of the dropout behind layer 1 is missing in the backward",
        ),
        (
            lambda d, h, mask, c: d * mask * (1 - h * h),
            "the factor 1 / keep of the dropout behind layer 1 is missing in the backward",
        ),
        (
            lambda d, h, mask, c: d * mask * c * (1 - (h * mask * c) ** 2),
            "the derivative in layer 1 is taken of the activations after the dropout",
        ),
    ],
)
def test_what_is_forgotten_of_dropout_is_named(drawing, backward, cause):
    draw, keep = drawing
    f, arguments = dropped(through, keep, draw=draw)
    assert check_loss(f, *arguments)
    f, arguments = dropped(backward, keep, draw=draw)

    assert causes(f, *arguments) == [cause]


@pytest.mark.long
def test_a_mask_without_a_factor_is_named():
    f, arguments = dropped(lambda d, h, mask, c: d * (1 - h * h), is_scaled=False)

    assert causes(f, *arguments) == ["the mask of the dropout behind layer 1 is missing in the backward"]


def two_dropouts(forgotten):
    """Samples as columns, dropout behind both hidden layers, its masks among the data."""

    def f(p, X, Y, masks):
        first = 1 / (1 + np.exp(-p["W1"] @ X))
        second = 1 / (1 + np.exp(-p["W2"] @ (first * masks[0] * 2)))
        loss, dy = squares(p["W3"] @ (second * masks[1] * 2), Y)
        back = [1.0 if k in forgotten else mask * 2 for k, mask in enumerate(masks)]
        d2 = p["W3"].T @ dy * back[1] * second * (1 - second)
        d1 = p["W2"].T @ d2 * back[0] * first * (1 - first)
        return loss, {
            **{"W1": d1 @ X.T, "W2": d2 @ (first * masks[0] * 2).T},
            "W3": dy @ (second * masks[1] * 2).T,
        }

    masks = [np.random.default_rng(k).random((4, 5)) < 0.5 for k in range(2)]
    return f, ({"W1": normal(4, 3), "W2": normal(4, 4), "W3": normal(3, 4)}, X.T, Y.T, masks)


@pytest.mark.parametrize(
    ("forgotten", "where"),
    [((0,), "behind layer 1"), ((1,), "behind layer 2"), ((0, 1), "behind all layers that have it")],
)
@pytest.mark.long
def test_masks_among_the_data_and_columns_are_understood(forgotten, where):
    f, arguments = two_dropouts(())
    assert check_loss(f, *arguments)
    f, arguments = two_dropouts(forgotten)
    both = "the mask of the dropout and its factor 1 / keep"

    assert causes(f, *arguments) == [f"{both} {where} are missing in the backward"]


# ---- no false causes


@pytest.mark.long
def test_another_factor_is_not_called_a_skip_or_a_tie():
    f, (p, X, Y) = block(0.7, 0.4)
    found = check_loss(f, p, X, Y, dtypes="float64")

    assert not found
    assert all("reproduced" not in cause.evidence for cause in found.causes)


@pytest.mark.long
def test_a_mask_that_is_drawn_anew_is_not_called_a_missing_one():
    f, arguments = dropped(lambda d, h, mask, c: d * (seeded(*h.shape) < 0.8) * c * (1 - h * h))
    found = check_loss(f, *arguments, dtypes="float64")

    assert not found
    assert all("reproduced" not in cause.evidence for cause in found.causes), found.verdict
