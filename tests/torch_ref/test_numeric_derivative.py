"""The numeric derivative of the NumPy forward, whatever the forward is made of."""

import numpy as np
import pytest
import torch

from scratch import nn
from scratch.gradcheck import Objective, Step
from scratch.gradcheck.chain import Chain
from scratch.gradcheck.derivative import numeric_derivative
from scratch.gradcheck.formula import NoFormulaError, require_formula
from torch_ref import check
from torch_ref.adapters import adapt

# Of the cases of each test; the others in make long.
ONE_IN = 2


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


class Layer:
    """A function by its forward and, as a function of x and dy, its backward."""

    def __init__(self, function, backward=lambda x, dy: dy):
        self.function, self.by_x = function, backward

    def forward(self, x):
        self.x = x
        return self.function(x)

    def backward(self, dy):
        return self.by_x(self.x, dy)


def objective(function, x) -> Objective:
    return Objective(adapt(Layer(function), {}), x)


def in_rows(x):
    """Softmax, row by row into an array of float64."""
    out = np.zeros(x.shape)
    for i, row in enumerate(x):
        e = np.exp(row - row.max())
        out[i] = e / e.sum()
    return out


def softmax_backward(x, dy):
    y = in_rows(x)
    return y * (dy - (dy * y).sum(axis=1, keepdims=True))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("layer", "reference"),
    [
        (Layer(in_rows, softmax_backward), torch.nn.Softmax(dim=1)),
        (
            Layer(lambda x: float(np.mean(x**2)), lambda x, dy: dy * 2 * x / x.size),
            lambda x: torch.mean(x**2),
        ),
        (
            Layer(
                lambda x: np.array([[float(v) ** 3 for v in row] for row in x]), lambda x, dy: dy * 3 * x**2
            ),
            lambda x: x**3,
        ),
    ],
    ids=["np.zeros", "float of a loss", "floats in lists"],
)
def test_a_forward_that_computes_in_shorter_numbers_than_it_is_given_is_right(layer, reference, seed):
    found = check(layer, reference, normal(4, 5, seed=seed))
    assert found, str(found)
    assert found.comparisons["float64"].method.startswith("central differences")
    assert found.comparisons["float64"].frame["detection_limit"].max() < 1e-8


def test_the_roundings_of_such_a_forward_are_in_its_error():
    x = normal(6, 7)
    (gradient,) = numeric_derivative(objective(in_rows, x)).gradients.values()
    (error,) = numeric_derivative(objective(in_rows, x)).errors.values()
    off = np.abs(gradient - softmax_backward(x, objective(in_rows, x).cotangent))
    assert np.all(off <= error)
    assert np.max(off) > 1e-15
    assert np.max(error) < 1e-9


@pytest.mark.parametrize(("scale", "share"), [(1.0, 1e-5), (1.0, 1e-9), (1e-6, 1e-5)])
def test_a_small_term_that_complex_numbers_lose_is_not_lost(scale, share):
    def function(x):
        return x**2 + share * np.abs(x)

    def backward(x, dy):
        return dy * (2 * x + share * np.sign(x))

    def reference(x):
        return x**2 + share * torch.abs(x)

    x = scale * normal(4, 6)
    assert check(Layer(function, backward), reference, x, dtypes=["float64"])
    forgotten = check(Layer(function, lambda x, dy: dy * 2 * x), reference, x, dtypes=["float64"])
    assert forgotten.comparisons["float64"].verdict == "NumPy is wrong: input."


def test_a_part_that_is_made_real_is_seen_though_its_operations_are_allowed():
    found = numeric_derivative(objective(lambda x: x**2 + 1e-3 * x.real, normal(5)))
    assert found.method.startswith("central differences")


def test_an_exact_zero_is_ordered_by_no_step():
    x = normal(6, 8)
    x[3, 4] = 0
    right, wrong = (
        check(Layer(lambda x: np.maximum(x, 0), backward), torch.nn.ReLU(), x)
        for backward in (lambda x, dy: dy * (x > 0), lambda x, dy: dy * (x >= 0))
    )
    assert right, str(right)
    assert not wrong


def test_a_kink_between_two_steps_is_in_the_error():
    x = normal(60)
    x[:40] = np.concatenate([np.geomspace(1e-8, 1e-3, 20), -np.geomspace(1e-8, 1e-3, 20)])
    of = objective(np.abs, x)
    found = numeric_derivative(of)
    assert found.method == f"central differences in {np.dtype(np.longdouble)}"
    off = np.abs(found.gradients["input"] - of.cotangent * np.sign(x))
    assert np.all(off <= found.errors["input"])
    assert np.max(off) > 0.1
    assert np.max(found.errors["input"][40:]) < 1e-10


def test_a_forward_that_takes_one_dtype_only_is_differentiated_in_it():
    def strict(x):
        assert x.dtype == np.float64
        return np.tanh(x)

    found = numeric_derivative(objective(strict, normal(3)))
    assert found.method == "central differences in float64"


def test_a_forward_that_takes_float32_alone_is_differentiated_in_it_and_the_error_says_how_well():
    def strict(x):
        assert x.dtype == np.float32
        return np.tanh(x)

    x = normal(3).astype(np.float32)
    of = objective(strict, x)
    found = numeric_derivative(of)
    assert found.method == "central differences in float32"
    off = np.abs(found.gradients["input"] - of.cotangent / np.cosh(x.astype(float)) ** 2)
    assert np.all(off <= found.errors["input"])
    assert np.max(found.errors["input"]) < 1e-3
    layer = Layer(strict, lambda x, dy: dy * (1 - np.tanh(x) ** 2))
    assert check(layer, torch.nn.Tanh(), x, dtypes=["float32"])


def test_a_forward_that_takes_no_other_number_has_no_numeric_derivative():
    x = normal(3)

    def strict(given):
        assert np.array_equal(given, x)
        return np.tanh(given)

    assert not numeric_derivative(objective(strict, x)).method


def test_warnings_of_the_numeric_runs_are_not_shown(recwarn):
    numeric_derivative(objective(lambda x: np.log1p(np.exp(-np.abs(x) * 1e3)), normal(4)))
    assert not recwarn.list


# ---- formulas


@pytest.mark.parametrize(
    "function",
    [
        np.abs,
        np.conj,
        lambda x: x.conj(),
        lambda x: np.sign(x),
        lambda x: x - x.var(),
        lambda x: x - np.std(x),
        lambda x: x / np.linalg.norm(x),
        lambda x: np.maximum(x, x[::-1]),
        lambda x: np.where(x >= x[0], x, 0),
        lambda x: np.clip(x, x[0].real, 3),
        lambda x: np.max(np.stack([x, 1.0 * x[::-1]]), axis=0),
    ],
)
def test_what_has_no_complex_derivative_is_no_formula(function):
    x = np.array([1.0, -2.0, 1.0])
    with pytest.raises(NoFormulaError):
        require_formula(objective(function, x), Step("complex", None, x.dtype))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: np.maximum(x, 0),
        lambda x: np.where(x > 0, x, 0.1 * x),
        lambda x: np.clip(x, -1, 1),
        lambda x: x - x.max(),
        lambda x: np.exp(x - np.max(x, keepdims=True)),
        lambda x: np.sqrt(np.mean((x - x.mean()) ** 2) + 1e-5) * x,
        lambda x: np.where(x.real > -1.5, x, -x),
    ],
)
def test_what_has_a_complex_derivative_is_a_formula(function):
    x = np.array([0.5, -2.0, 1.5])
    require_formula(objective(function, x), Step("complex", None, x.dtype))
    assert numeric_derivative(objective(function, x)).method == "complex step"


class Cubed(nn.Module):
    """w x³, with a gradient of which one entry may be off, or all rounded to float64."""

    def __init__(self, off: float = 0.0, shortened: bool = False) -> None:
        self.w = nn.Parameter(normal(6, 7))
        self.off, self.shortened = off, shortened

    def forward(self, x):
        self.save(x)
        return self.w.data * x**3

    def backward(self, dy):
        (x,) = self.saved()
        dw = (dy * x**3).sum(axis=0)
        dw[3, 4] *= 1 + self.off
        self.w.add_grad(dw.astype(np.float64) if self.shortened else dw)
        return dy * self.w.data * 3 * x**2


@pytest.mark.parametrize(("off", "is_finest"), [(0.0, True), (1e-12, False), (1e-6, False), (1.0, False)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_gradient_is_confirmed_along_directions_only_if_no_entry_is_off(off, is_finest, dtype):
    model = Cubed(off).to(dtype)
    of = Objective(model, normal(3, 6, 7).astype(dtype))
    found = numeric_derivative(of, of.backward().named())
    entries = numeric_derivative(of)
    assert found.is_finest is is_finest
    assert not entries.is_finest
    assert found.method == entries.method == "complex step"
    for name, exact in entries.gradients.items():
        size = np.max(np.abs(exact))
        assert np.all(np.abs(found.gradients[name] - exact) <= 1e-14 * size)


def test_a_gradient_of_numbers_that_are_cut_short_is_differentiated_by_entries():
    of = Objective(Cubed(shortened=True), normal(3, 6, 7))
    assert not numeric_derivative(of, of.backward().named()).is_finest


def test_several_inputs_whose_samples_lie_on_another_axis_are_differentiated_together(monkeypatch):
    of = Objective(nn.MultiheadAttention(4, 2).to(np.float64), *(normal(3, 2, 4) for _ in range(3)))
    fast = numeric_derivative(of).gradients
    monkeypatch.setattr(Chain, "sample_axes", lambda chain: None)
    slow = numeric_derivative(of).gradients
    assert all(np.allclose(fast[name], slow[name], rtol=0, atol=1e-14) for name in slow)
