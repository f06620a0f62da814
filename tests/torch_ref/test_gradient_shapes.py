"""Gradients of another shape than their parameter's: refused, with and without a reference."""

import numpy as np
import pytest
import torch

from torch_ref import check


class Affine:
    """y = x W + b, the bias a row."""

    def __init__(self, db, dW=lambda x, dy: x.T @ dy):
        self.W, self.b = np.random.default_rng(1).standard_normal((5, 3)), np.zeros((1, 3))
        self.of_b, self.of_w = db, dW

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dy):
        self.dW, self.db = self.of_w(self.x, dy), self.of_b(dy)
        return dy @ self.W.T


class Columns:
    """y = W x + b, the samples columns and the bias a column."""

    def __init__(self, keepdims):
        self.W, self.b = np.random.default_rng(1).standard_normal((3, 5)), np.zeros((3, 1))
        self.keepdims = keepdims

    def forward(self, x):
        self.x = x
        return self.W @ x + self.b

    def backward(self, dy):
        self.dW, self.db = dy @ self.x.T, dy.sum(axis=1, keepdims=self.keepdims)
        return self.W.T @ dy


x = np.random.default_rng(0).standard_normal((4, 5))
references = pytest.mark.parametrize("reference", [None, torch.nn.Linear(5, 3)], ids=["numeric", "torch"])


@references
def test_a_gradient_with_which_a_step_would_broadcast_is_refused(reference):
    found = check(Affine(lambda dy: dy.sum(0)[:, None]), reference, x)
    assert not found
    assert "the gradient of b has shape (3, 1), b has (1, 3)" in found.verdict


@references
@pytest.mark.parametrize("keepdims", [True, False])
def test_a_bias_that_is_a_column_needs_a_gradient_that_is_one(reference, keepdims):
    assert bool(check(Columns(keepdims), reference, x.T.copy(), columns=reference is not None)) == keepdims


@references
def test_a_gradient_of_fewer_axes_is_right_where_a_step_with_it_is(reference):
    assert check(Affine(lambda dy: dy.sum(0)), reference, x)


@references
def test_a_gradient_that_is_not_summed_is_explained(reference):
    assert "it is not summed over axis 0" in check(Affine(lambda dy: dy), reference, x).verdict


def test_a_transposed_gradient_is_explained_without_a_reference():
    found = check(Affine(lambda dy: dy.sum(0), lambda x, dy: dy.T @ x), None, x)
    assert "it is transposed (W)" in found.verdict
