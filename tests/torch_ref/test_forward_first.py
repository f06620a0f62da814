"""Where the forwards differ it is said by what, and whether the backward is right for its own forward."""

import re

import numpy as np
import pytest
import torch
import torch.nn.functional as TF

from torch_ref import check

X = np.random.default_rng(0).standard_normal((4, 6))
RIGHT_FOR_ITS_OWN = "Look there first. Your backward is right for your own forward."


def normed(eps: float):
    def forward(x):
        d = x - x.mean(-1, keepdims=True)
        return d / np.sqrt((d * d).mean(-1, keepdims=True) + eps)

    def backward(dy, x):
        d = x - x.mean(-1, keepdims=True)
        s = np.sqrt((d * d).mean(-1, keepdims=True) + eps)
        h = d / s
        return (dy - dy.mean(-1, keepdims=True) - h * (dy * h).mean(-1, keepdims=True)) / s

    return forward, backward


class Square:
    """A square weight that is stored the other way round."""

    def __init__(self):
        self.W = np.random.default_rng(1).standard_normal((6, 6))

    def forward(self, x):
        self.x = x
        return x @ self.W

    def backward(self, dy):
        self.dW = self.x.T @ dy
        return dy @ self.W.T


def bce(eps: float):
    def forward(p, t):
        return -np.mean(t * np.log(p + eps) + (1 - t) * np.log(1 - p + eps))

    def backward(dy, p, t):
        dp = dy * ((1 - t) / (1 - p + eps) - t / (p + eps)) / p.size
        return dp, dy * (np.log(1 - p + eps) - np.log(p + eps)) / p.size

    return forward, backward


P = np.random.default_rng(2).uniform(0.2, 0.8, (5, 3))

CASES = [
    ("ε", normed(1e-8), lambda x: TF.layer_norm(x, (6,)), (X,), r"as if ε were 1e-08, not 1e-05"),
    ("ε, of a module", normed(1e-3), torch.nn.LayerNorm(6, elementwise_affine=False), (X,), "ε were 0.001"),
    ("half", (lambda x: x * x / 2, lambda dy, x: dy * x), lambda x: x * x, (X,), "factor of 0.5: it is half"),
    ("offset", (lambda x: x * x + 3, lambda dy, x: 2 * dy * x), torch.square, (X,), "by a constant, 3"),
    ("log", bce(1e-7), TF.binary_cross_entropy, (P, P[::-1]), r"1e-7 is added inside the logarithm"),
    ("log, smaller", bce(1e-10), TF.binary_cross_entropy, (P, P[::-1]), r"1e-10 is added inside"),
    ("axis", (lambda x: np.sort(x, 0), lambda dy, x: dy), lambda x: x.sort(1).values, (X,), "differs"),
]


def test_a_square_matrix_that_fits_transposed_alone_is_asked_about() -> None:
    with pytest.raises(ValueError, match=r"transposed they agree.*transposed=\['W'\]"):
        check(Square(), torch.nn.Linear(6, 6, bias=False), X)


@pytest.mark.parametrize(
    ("mine", "reference", "inputs", "says"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_it_is_said_by_what_forwards_differ(mine, reference, inputs, says: str) -> None:
    found = check(mine, reference, *inputs, dtypes="float64")
    assert not found
    assert re.search(says, "\n".join(map(str, found.causes))), found.verdict


def test_the_headline_says_that_the_backward_is_right_for_its_own_forward() -> None:
    found = check(normed(1e-8), lambda x: TF.layer_norm(x, (6,)), X, dtypes="float64")
    assert RIGHT_FOR_ITS_OWN in found.verdict
    assert "unknown" not in found.verdict


def test_the_headline_says_that_it_is_not() -> None:
    pair = (lambda x: x * x / 2, lambda dy, x: 3 * dy * x)
    found = check(pair, lambda x: x * x, X, dtypes="float64")
    assert "And your backward is not right for your own forward: input." in found.verdict
    assert [c.name for c in found.causes] == [
        "your forward differs from the reference's by a factor of 0.5: it is half",
        "a factor of 3 too much",
    ]


def test_like_names_the_family() -> None:
    forward, _ = normed(1e-5)

    def backward(dy, x):
        return (dy - dy.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)

    def reference(x):
        return TF.layer_norm(x, (6,))

    for like in (None, "layer_norm", "LayerNorm"):
        found = check((forward, backward), reference, X, dtypes="float64", like=like)
        assert [c.name for c in found.causes] == ["the gradient through the variance is missing"]
    other = check((forward, backward), reference, X, dtypes="float64", like="softmax")
    assert "reproduced" not in other.verdict


def test_like_is_the_name_of_a_formula() -> None:
    with pytest.raises(
        ValueError, match=r"check: like is 'layernom', expected the name of a formula .*LayerNorm"
    ):
        check(normed(1e-5), lambda x: TF.layer_norm(x, (6,)), X, like="layernom")
