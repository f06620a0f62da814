"""Activations: kinks and limits as torch has them, random slopes, and every option over wide inputs."""

import copy
import math

import numpy as np
import pytest
import torch

import scratch
from all_in_one import dtypes
from rounding import assert_torch_agrees, same_draws
from scratch import nn, random
from scratch.functional.elementary import erf
from torch_ref import mirror

# Of the cases of each test; the others in make long.
ONE_IN = 2

# Every kink of every activation, what lies beside it, and the ends of the numbers.
KINKS = [0.0, 1e-30, 0.5, 1.0, 3.0, 6.0, 20.0, 25.0, 88.0, 90.0, 800.0, np.inf]
EDGES = np.array([*KINKS, *(-x for x in KINKS), np.nan])

ELEMENTWISE = [
    nn.CELU(),
    nn.CELU(-0.5),
    nn.CELU(2.0),
    nn.ELU(),
    nn.ELU(-0.5),
    nn.ELU(0.0),
    nn.GELU(),
    nn.GELU("tanh"),
    nn.Hardshrink(),
    nn.Hardshrink(0.0),
    nn.Hardsigmoid(),
    nn.Hardswish(),
    nn.Hardtanh(),
    nn.Hardtanh(-3.0, -0.5),
    nn.LeakyReLU(-2.0),
    nn.LogSigmoid(),
    nn.Mish(),
    nn.PReLU(init=-0.25, dtype=np.float64),
    nn.ReLU(),
    nn.ReLU6(),
    nn.RReLU(0.1, 0.9).eval(),
    nn.SELU(),
    nn.SiLU(),
    nn.Sigmoid(),
    nn.Softplus(),
    nn.Softplus(-2.0, 1.0),
    nn.Softplus(0.5, -1.0),
    nn.Softshrink(),
    nn.Softshrink(3.0),
    nn.Softsign(),
    nn.Tanh(),
    nn.Tanhshrink(),
    nn.Threshold(0.5, -7.0),
    nn.Threshold(-3.0, 2.0),
]

elementwise = pytest.mark.parametrize("module", ELEMENTWISE, ids=repr)


def both(module: nn.Module, x: np.ndarray, dy: np.ndarray) -> tuple[np.ndarray, ...]:
    """(y, dx) of ours, then of torch."""
    module = copy.deepcopy(module).to(x.dtype)
    tensor = torch.tensor(x, requires_grad=True)
    y = mirror(module)(tensor)
    y.backward(torch.from_numpy(dy))
    with np.errstate(invalid="ignore", over="ignore"):
        return module(x), module.backward(dy), y.detach().numpy(), tensor.grad.numpy()


@elementwise
@dtypes
def test_kinks_infinities_and_nan_are_treated_as_torch_treats_them(module, dtype) -> None:
    x = EDGES.astype(dtype)
    y, dx, torch_y, torch_dx = both(module, x, np.ones_like(x))
    # Where torch gives nan, what we give is nobody's number; but nan stays nan.
    assert np.isnan(y[-1]) or isinstance(module, nn.Threshold)
    number = ~np.isnan(torch_y)
    close = {"rtol": 4 * np.finfo(dtype).eps, "atol": 8 * np.finfo(dtype).eps}
    np.testing.assert_allclose(y[number], torch_y[number], **close)
    number &= ~np.isnan(torch_dx) & ~np.isnan(x)
    if isinstance(module, nn.Hardsigmoid):  # torch's 1/6 is a float32
        close["rtol"] = 1e-7
    np.testing.assert_allclose(dx[number], torch_dx[number], **close)


@elementwise
@dtypes
@pytest.mark.parametrize("scale", [0.01, 1, 10])
def test_every_option_over_narrow_and_wide_inputs(module, dtype, scale) -> None:
    if isinstance(module, nn.Hardsigmoid) and dtype == np.float64:
        pytest.skip("torch's 1/6 is a float32, see below")
    x = (scale * np.random.default_rng(0).standard_normal((7, 30))).astype(dtype)
    assert_torch_agrees(copy.deepcopy(module).to(dtype), x)


def test_two_gradients_of_torch_are_of_float32_in_float64() -> None:
    """compare says that PyTorch rounds these; here is why."""
    x = torch.tensor([-0.5, -1.5], dtype=torch.float64, requires_grad=True)
    torch.nn.Hardsigmoid()(x).sum().backward()
    assert x.grad.tolist() == [float(np.float32(1 / 6))] * 2
    x.grad = None
    torch.nn.CELU(0.3)(x).sum().backward()
    rounded = 1 / float(np.float32(0.3))
    expected = 0.3 * rounded * np.exp(x.detach().numpy() * rounded)
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-15)
    hardsigmoid = nn.Hardsigmoid()
    hardsigmoid(np.zeros(1))
    assert hardsigmoid.backward(np.ones(1))[0] == 1 / 6


# ---- RReLU


@same_draws
@dtypes
@pytest.mark.parametrize("bounds", [(), (0.1, 0.4), (-3.0, 7.0), (0.3, 0.3)])
@pytest.mark.parametrize("shape", [(), (1,), (1000,), (30, 5, 7)])
def test_random_slopes_are_torchs_bit_for_bit(bounds, shape, dtype) -> None:
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    x.reshape(-1)[:1] = 0.0
    scratch.manual_seed(3)
    torch.manual_seed(3)
    ours, theirs = nn.RReLU(*bounds), torch.nn.RReLU(*bounds)
    for _ in range(2):
        tensor = torch.tensor(x, requires_grad=True)
        y = theirs(tensor)
        y.sum().backward()
        np.testing.assert_array_equal(ours(x), y.detach().numpy())
        np.testing.assert_array_equal(ours.backward(np.ones_like(x)), tensor.grad.numpy())
    np.testing.assert_array_equal(random.get_rng_state(), torch.get_rng_state().numpy())


@same_draws
def test_a_transposed_input_draws_in_the_order_of_its_indices() -> None:
    x = -np.ones((5, 40)).T
    scratch.manual_seed(0)
    torch.manual_seed(0)
    np.testing.assert_array_equal(nn.RReLU()(x), torch.nn.RReLU()(torch.from_numpy(x)).numpy())


# ---- PReLU, GLU, softmax family


@pytest.mark.parametrize(
    ("parameters", "shape"),
    [(1, ()), (1, (5,)), (1, (2, 3, 4, 5, 2)), (3, (2, 3)), (3, (4, 3, 5)), (1, (0, 3)), (3, (0, 3, 2))],
)
@dtypes
def test_prelu_of_any_shape(parameters, shape, dtype) -> None:
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    module = nn.PReLU(parameters, dtype=dtype)
    module.weight.data = np.linspace(-1, 1, parameters + 1)[1:]
    assert_torch_agrees(module, x)


@pytest.mark.parametrize("dim", [-3, -2, -1, 0, 1, 2])
def test_glu_halves_any_axis(dim) -> None:
    assert_torch_agrees(nn.GLU(dim), np.random.default_rng(0).standard_normal((4, 4, 6)))


# ---- the functions beneath


def test_erf_in_long_double_has_its_digits() -> None:
    x = np.array([-8, -3, -0.1, 0, 1e-5, 0.5, 1, 2, 5, 6.9, 8], np.longdouble)
    np.testing.assert_allclose(erf(x).astype(np.float64), [math.erf(v) for v in x], rtol=3e-16)
    if np.finfo(np.longdouble).eps < 1e-18:
        # The prefactor 2/√π is a float64.
        one = np.longdouble("0.84270079294971486934122063508260926")
        assert abs(erf(np.ones(1, np.longdouble))[0] / one - 1) < 1.2e-16
    slope = erf(x[5:8] + 1j * np.longdouble(1e-30)).imag / np.longdouble(1e-30)
    np.testing.assert_allclose(
        slope.astype(np.float64), 2 / math.sqrt(math.pi) * np.exp(-(x[5:8].astype(float) ** 2)), rtol=1e-14
    )


# ---- messages


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.CELU(0), "CELU: alpha is 0"),
        (lambda: nn.GELU("none "), "approximate is 'none ', expected 'none' or 'tanh'"),
        (lambda: nn.Hardtanh(1.0, 1.0), "min_val is 1.0, max_val is 1.0"),
        (lambda: nn.RReLU(0.5, 0.1), "lower is 0.5, upper is 0.1"),
        (lambda: nn.Softshrink(-1.0), "Softshrink: lambd is -1.0, expected 0 or more"),
        (lambda: nn.Hardshrink(-1.0), "Hardshrink: lambd is -1.0"),
        (lambda: nn.Softplus(0), "Softplus: beta is 0"),
        (lambda: nn.PReLU(0), "num_parameters is 0, expected 1 or more"),
        (lambda: nn.Softmin(), "Softmin: dim is None"),
        (
            lambda: nn.PReLU(3)(np.ones((2, 4), np.float32)),
            r"input has shape \(2, 4\), expected \(N, 3, \*\)",
        ),
        (lambda: nn.PReLU(3)(np.ones(3, np.float32)), r"input has shape \(3,\), expected \(N, 3, \*\)"),
        (
            lambda: nn.GLU()(np.ones((2, 3))),
            r"input has shape \(2, 3\), expected an even number along axis -1",
        ),
        (lambda: nn.GLU()(np.ones(())), r"input has shape \(\)"),
        (lambda: nn.GLU(2)(np.ones((2, 4))), "has no axis 2"),
        (
            lambda: nn.Softmax2d()(np.ones((2, 3))),
            r"Softmax2d.*: input has shape \(2, 3\), expected \(N, C, H, W\)",
        ),
    ],
)
def test_a_bad_argument_is_named(make, message) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_bad_dtype_is_named() -> None:
    with pytest.raises(TypeError, match=r"ELU\(alpha=1.0\): input is int64, expected floating"):
        nn.ELU()(np.arange(3))
    with pytest.raises(TypeError, match="input is float64, the weight float32"):
        nn.PReLU()(np.ones(3))


def test_reprs_are_the_constructors_call() -> None:
    modules = [
        nn.ELU(0.5),
        nn.Softplus(),
        nn.GELU(),
        nn.SELU(),
        nn.RReLU(0.1, 0.2),
        nn.GLU(),
        nn.Threshold(1, 2),
    ]
    assert [repr(module) for module in modules] == [repr(mirror(module)) for module in modules]
    assert repr(nn.PReLU(3)) == "PReLU(num_parameters=3, init=0.25)"
    assert repr(nn.Softshrink(0.25)) == "Softshrink(lambd=0.25)"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_silu_is_flat_far_below_0(dtype) -> None:
    x = -np.array([3e38, 1e30, 800, 100], dtype)
    layer = nn.SiLU()
    assert np.abs(layer(x)).max() < 1e-30
    assert np.abs(layer.backward(np.ones_like(x))).max() < 1e-30
