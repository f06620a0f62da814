"""Convolutions: options in many combinations beside torch, their place in each other, and what is refused."""

import itertools

import numpy as np
import pytest

from all_in_one import dtypes
from rounding import assert_agree, assert_torch_agrees, numpy_pass, shakes
from scratch import nn
from scratch.functional import conv_fast

RNG = np.random.default_rng(0)
SHAPES = {1: (2, 4, 9), 2: (2, 4, 7, 6), 3: (1, 4, 5, 4, 5)}


@dtypes
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_convolutions_in_all_combinations_of_options(axes, dtype) -> None:
    x = RNG.standard_normal(SHAPES[axes]).astype(dtype)
    for k, s, p, d, g in itertools.product((1, 2, 3), (1, 2), (0, 1), (1, 2), (1, 2)):
        if d * (k - 1) < min(x.shape[2:]) + 2 * p:
            kind = getattr(nn, f"Conv{axes}d")
            assert_torch_agrees(kind(4, 2, k, s, p, d, g, padding_mode="zeros", dtype=dtype), x)


@dtypes
@pytest.mark.parametrize("axes", [1, 2, pytest.param(3, marks=pytest.mark.long)])
def test_transposed_convolutions_in_all_combinations_of_options(axes, dtype) -> None:
    x = RNG.standard_normal(SHAPES[axes]).astype(dtype)
    for k, s, p, extra, d, g in itertools.product((2, 3), (1, 2, 3), (0, 1), (0, 1), (1, 2), (1, 2)):
        if extra < max(s, d):
            kind = getattr(nn, f"ConvTranspose{axes}d")
            assert_torch_agrees(kind(4, 2, k, s, p, extra, g, dilation=d, dtype=dtype), x)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("padding", ["same", "valid", 1, (2, 1)])
def test_padding_modes(mode, padding) -> None:
    x = RNG.standard_normal((2, 2, 5, 6))
    for k, d in (((2, 3), 1), ((3, 2), 2)):
        assert_torch_agrees(nn.Conv2d(2, 3, k, 1, padding, d, padding_mode=mode, dtype=np.float64), x)


@pytest.mark.parametrize("size", [(9, 11), (2, 3, 10, 12)])
def test_a_transposed_convolution_may_be_told_its_size(size) -> None:
    x = RNG.standard_normal((2, 4, 5, 6))
    module = nn.ConvTranspose2d(4, 3, 3, stride=2, padding=1, dtype=np.float64)
    assert_torch_agrees(module, x, output_size=size)
    assert module(x, output_size=size).shape[-2:] == size[-2:]


def test_it_is_the_transpose() -> None:
    """⟨conv x, y⟩ = ⟨x, conv_transpose y⟩, with the same weights and without b."""
    there = nn.Conv2d(2, 3, 3, 2, 1, bias=False, dtype=np.float64)
    back = nn.ConvTranspose2d(3, 2, 3, 2, 1, bias=False, dtype=np.float64)
    back.weight.data = there.weight.data
    x, y = RNG.standard_normal((1, 2, 7, 7)), RNG.standard_normal((1, 3, 4, 4))
    assert np.vdot(there(x), y) == pytest.approx(np.vdot(x, back(y)), rel=1e-13)


def test_a_window_as_large_as_the_image_is_a_linear_layer() -> None:
    convolution, linear = nn.Conv2d(2, 3, (4, 5), dtype=np.float64), nn.Linear(40, 3, dtype=np.float64)
    linear.weight.data = convolution.weight.data.reshape(3, 40)
    linear.bias.data = convolution.bias.data
    x = RNG.standard_normal((6, 2, 4, 5))
    np.testing.assert_allclose(convolution(x)[..., 0, 0], linear(x.reshape(6, 40)), rtol=1e-13)


def test_the_number_of_samples_at_a_time_changes_only_roundings(monkeypatch) -> None:
    x = RNG.standard_normal((5, 2, 6, 6))
    module = nn.Conv2d(2, 3, 3, 2, dtype=np.float64)
    expected = numpy_pass(module, (x,))
    runs = [numpy_pass(module, (x,), shake=shake) for shake in shakes()]
    for columns in (1, 200):  # 200 leaves a smaller last part
        monkeypatch.setattr(conv_fast, "_COLUMNS", columns)
        conv_fast._windows.cache_clear()
        assert_agree(numpy_pass(module, (x,)), expected, runs)


@pytest.mark.parametrize(("channels", "expected"), [((8, 4), True), ((4, 4), True), ((1, 8), False)])
@pytest.mark.parametrize("stride", [1, 2])
def test_dx_is_a_correlation_where_that_is_cheaper(channels, expected, stride, monkeypatch) -> None:
    module = nn.Conv2d(*channels, 3, stride)
    y = module(image(2, channels[0], 7, 7))
    right, correlations = conv_fast.convolution, []
    monkeypatch.setattr(conv_fast, "convolution", lambda *args: correlations.append(args) or right(*args))
    module.backward(y)
    assert bool(correlations) == (expected and stride == 1)


def test_no_sample_at_all() -> None:
    module = nn.Conv2d(2, 3, 3)
    y = module(np.zeros((0, 2, 5, 5), np.float32))
    assert y.shape == (0, 3, 3, 3)
    assert module.backward(y).shape == (0, 2, 5, 5)
    assert not np.any(module.weight.grad)


def image(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


REFUSED = {
    "channels": (
        lambda: nn.Conv2d(2, 3, 3)(image(1, 3, 5, 5)),
        ValueError,
        r"input has shape \(1, 3, 5, 5\), expected \(N, 2, H, W\) or \(2, H, W\)",
    ),
    "axes": (lambda: nn.Conv2d(2, 3, 3)(image(2, 5)), ValueError, "expected"),
    "dtype": (
        lambda: nn.Conv1d(2, 3, 3)(np.ones((1, 2, 5))),
        TypeError,
        "input is float64, the weight float32",
    ),
    "window too large": (
        lambda: nn.Conv1d(1, 1, 4)(image(1, 1, 3)),
        ValueError,
        "window is larger than input",
    ),
    "kernel 0": (lambda: nn.Conv2d(1, 1, 0), ValueError, "kernel_size is 0, expected 1 or more"),
    "three kernels": (lambda: nn.Conv2d(1, 1, (1, 2, 3)), ValueError, r"kernel_size is \(1, 2, 3\)"),
    "stride 0": (lambda: nn.Conv1d(1, 1, 1, 0), ValueError, "stride is 0"),
    "padding below 0": (lambda: nn.Conv1d(1, 1, 1, 1, -1), ValueError, "padding is -1"),
    "padding by name": (lambda: nn.Conv1d(1, 1, 1, padding="full"), ValueError, "padding is 'full'"),
    "same with stride": (lambda: nn.Conv1d(1, 1, 3, 2, "same"), ValueError, "expected stride 1"),
    "mode": (lambda: nn.Conv1d(1, 1, 1, padding_mode="mirror"), ValueError, "padding_mode is 'mirror'"),
    "groups": (lambda: nn.Conv1d(3, 4, 1, groups=2), ValueError, "groups is 2, expected a divisor"),
    "reflection too far": (
        lambda: nn.Conv1d(1, 1, 1, padding=3, padding_mode="reflect")(image(1, 1, 3)),
        ValueError,
        "too short",
    ),
    "mode of a transposed one": (
        lambda: nn.ConvTranspose1d(1, 1, 1, padding_mode="circular"),
        ValueError,
        "expected 'zeros'",
    ),
    "output padding": (
        lambda: nn.ConvTranspose2d(1, 1, 2, 2, output_padding=2),
        ValueError,
        r"output_padding is \(2, 2\), expected less",
    ),
    "output size": (
        lambda: nn.ConvTranspose1d(1, 1, 2, 2)(image(1, 1, 3), output_size=(9,)),
        ValueError,
        r"output_size is \(9,\), expected \(6,\)",
    ),
    "nothing left": (
        lambda: nn.ConvTranspose1d(1, 1, 2, padding=2)(image(1, 1, 2)),
        ValueError,
        "leaves nothing",
    ),
}


@pytest.mark.parametrize(("call", "error", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_it_is_refused_and_said_why(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()
