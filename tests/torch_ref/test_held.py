"""Held inputs, by position or name, in front of others and behind, of NumPy's code and of tensors."""

import numpy as np
import pytest
import torch

from sampled import one_in
from torch_ref import check

# Of the cases of each test; the others in make long.
ONE_IN = 2

rng = np.random.default_rng(0)
x, w = rng.standard_normal((2, 4, 5))
mask = (rng.random((4, 5)) > 0.4).astype(float)


def product(mask, x, w):
    return mask * x * w


def all_gradients(dy, mask, x, w):
    return None, dy * w * mask, dy * x * mask


def free_gradients(dy, mask, x, w):
    return dy * w * mask, dy * x * mask


def swapped(dy, mask, x, w):
    return dy * x * mask, dy * w * mask


@pytest.mark.parametrize("reference", [None, product], ids=["numeric", "torch"])
@pytest.mark.parametrize("held", one_in(2, [0, "mask"]))
def test_of_three_inputs_the_first_is_held(reference, held):
    for backward in (all_gradients, free_gradients):
        assert check((product, backward), reference, mask, x, w, held=held)
    assert not check((product, swapped), reference, mask, x, w, held=held)


class Masked(torch.autograd.Function):
    """mask · a · b."""

    @staticmethod
    def forward(ctx, mask, a, b):
        ctx.save_for_backward(mask, a, b)
        return mask * a * b

    @staticmethod
    def backward(ctx, dy):
        mask, a, b = ctx.saved_tensors
        return None, dy * b * mask, dy * a * mask


class Careless(Masked):
    """It asks for the gradient of b whether that of a is needed."""

    @staticmethod
    def backward(ctx, dy):
        _, da, db = Masked.backward(ctx, dy)
        return (None, da, db) if ctx.needs_input_grad[1] else (None, None, None)


class WithIndices(Masked):
    """A second output has no derivative."""

    @staticmethod
    def forward(ctx, mask, a, b):
        signs = torch.sign(a)
        ctx.mark_non_differentiable(signs)
        return Masked.forward(ctx, mask, a, b), signs

    @staticmethod
    def backward(ctx, dy, _):
        return Masked.backward(ctx, dy)


class Once(Masked):
    """Its backward cannot be differentiated."""

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, dy):
        return Masked.backward(ctx, dy)


@pytest.mark.parametrize("mine", [Masked, Masked.apply, lambda mask, a, b: Masked.apply(mask, a, b)])
@pytest.mark.parametrize("reference", [None, product], ids=["numeric", "torch"])
def test_an_input_of_tensor_code_is_held_by_its_name(mine, reference):
    assert check(mine, reference, mask, x, w, held="mask", dtypes="float64")


def test_a_gradient_that_is_needed_alone_is_tried_beside_a_held_input():
    found = check(Careless, product, mask, x, w, held=0, dtypes="float64")
    assert "if that of input 1 is the only one that is needed" in found.verdict


def test_an_output_without_a_derivative_beside_a_held_input():
    assert check(WithIndices, None, mask, x, w, held=0, dtypes="float64")


@pytest.mark.parametrize("reference", [None, product], ids=["numeric", "torch"])
def test_the_second_derivative_beside_a_held_input(reference):
    assert check(Masked, reference, mask, x, w, held=0, double_backward=True, dtypes="float64")
    assert not check(Once, reference, mask, x, w, held=0, double_backward=True, dtypes="float64")


def test_a_number_beside_a_held_input_leaves_its_name():
    def powered(mask, x, exponent):
        return torch.pow(x, exponent) * mask

    assert check(powered, powered, mask, np.abs(x), 3, held="mask", dtypes="float64")
