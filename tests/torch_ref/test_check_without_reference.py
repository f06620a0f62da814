"""check(mine, None, x): the numeric derivative alone judges."""

import numpy as np
import pytest
import torch

from scratch import nn
from torch_ref import check

X = np.random.default_rng(0).normal(size=(5, 4))


class Affine:
    """A layer with a weight, a bias and a constant."""

    factor = 1.0

    def __init__(self):
        self.W, self.b = np.random.default_rng(1).normal(size=(4, 3)), np.arange(3.0)
        self.scale = np.array([2.0, 1.0, 0.5])

    def forward(self, x):
        self.x = x
        return (x @ self.W + self.b) * self.scale

    def backward(self, dy):
        dz = dy * self.scale
        self.dW, self.db = self.factor * self.x.T @ dz, dz.sum(axis=0)
        return dz @ self.W.T


def test_a_right_layer_agrees_on_its_own_weights():
    layer = Affine()
    found = check(layer, None, X)
    assert found, str(found)
    assert found.verdict.startswith(
        "The backward agrees with the numeric derivative in 3 tensors; detection limit"
    )
    others = ("float64, other numbers", "float64, an input of shape (4, 4)")
    assert [*found.comparisons] == ["float64", "float32", *others]
    assert np.array_equal(layer.W, Affine().W)


def test_the_reference_may_be_left_out_where_there_are_no_inputs_behind_it():
    assert check(nn.Linear(4, 3), None, X)
    with pytest.raises(
        TypeError, match="check: reference is ndarray, expected a torch module, a function or None"
    ):
        check(nn.Linear(4, 3), X)


def test_a_wrong_layer_is_wrong_and_explained():
    layer = Affine()
    layer.factor = -1.0
    found = check(layer, None, X)
    assert not found
    assert found.verdict.startswith("float64: NumPy is wrong: W.")
    assert "a factor of -1 too much (W)" in found.verdict


def test_no_column_of_pytorch_is_shown():
    text = str(check(Affine(), None, X))
    assert "PyTorch" not in text
    assert "NumPy − numeric" in text
    frame = check(Affine(), None, X).frame
    assert frame["numpy_torch"].isna().all()
    assert frame["torch_numeric"].isna().all()
    assert (frame["relative"] < 1e-5).all()


def test_a_constant_is_held_and_said():
    assert "Held, since there is no gradient of it: scale." in check(Affine(), None, X).verdict


def test_a_weight_without_a_gradient_is_refused():
    class Forgetful:
        __init__, forward = Affine.__init__, Affine.forward

        def backward(self, dy):
            return dy * self.scale @ self.W.T

    found = check(Forgetful(), None, X)
    assert not found
    assert "the output depends on W, and backward leaves no gradient of it" in found.verdict
    assert "the output depends on b, and backward leaves no gradient of it" in found.verdict


def test_an_entry_on_a_kink_is_not_judged():
    found = check((np.abs, lambda dy, x: dy * np.sign(x)), None, np.array([[0.0, 1.0, -2.0, 3.0]]))
    assert found
    assert "1 of 4 entries sit on kinks and are not judged" in found.verdict


def test_on_nothing_but_kinks_it_is_inconclusive():
    found = check((np.abs, lambda dy, x: dy * np.sign(x)), None, np.zeros((2, 3)))
    assert not found
    assert found.verdict.startswith("float64: inconclusive: input.")


def test_ties_are_said_to_be_untried():
    assert "Not tried on ties and kinks: there is no derivative there" in str(check(Affine(), None, X))


def test_a_forward_that_takes_no_other_numbers_is_refused():
    calls = []

    def forward(x):
        calls.append(x)
        if not np.array_equal(x, X.astype(x.dtype)):
            raise RuntimeError("only these")
        return x * 2

    with pytest.raises((ValueError, RuntimeError)):
        check((forward, lambda dy, x: 2 * dy), None, X)


def test_both_sides_are_compared_as_before_where_there_is_a_reference():
    found = check((np.tanh, lambda dy, x: dy * (1 - np.tanh(x) ** 2)), torch.tanh, X)
    assert found.verdict.startswith("The two sides agree")
    assert "PyTorch − numeric" in str(found)


@pytest.mark.parametrize("right", [True, False])
def test_repr_is_one_line_and_html_has_the_tables(right):
    layer = Affine()
    layer.factor = 1.0 if right else 2.0
    found = check(layer, None, X)
    assert "\n" not in repr(found)
    assert repr(found).startswith("<Check: ok; " if right else "<Check: not ok; float64: NumPy is wrong: W.")
    html = found._repr_html_()
    assert html.count("<table") == len(found.comparisons)
    assert ("NumPy is wrong" in html) != right


def test_a_kernel_without_a_gradient_is_refused():
    class Filters:
        def __init__(self):
            self.filters = np.random.default_rng(0).standard_normal((X.shape[-1], 3))

        def forward(self, x):
            return x @ self.filters

        def backward(self, dy):
            return dy @ self.filters.T

    assert (
        "the output depends on filters, and backward leaves no gradient" in check(Filters(), None, X).verdict
    )


def test_a_layout_that_there_is_none_of_is_refused():
    with pytest.raises(ValueError, match="check: layout is 'NWHC'"):
        check(Affine(), None, X, layout="NWHC")
