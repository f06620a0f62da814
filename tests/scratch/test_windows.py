"""Pooling, padding, resampling: ties and nan, options in many combinations, and what is refused."""

import itertools
import math

import numpy as np
import pytest
import torch

from all_in_one import dtypes
from rounding import assert_torch_agrees
from scratch import nn

# Of the cases of each test; the others in make long.
ONE_IN = 2

SHAPES = {1: (2, 3, 11), 2: (2, 2, 7, 8), 3: (1, 2, 5, 4, 6)}


@dtypes
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_max_pooling_in_all_combinations_of_options(axes, dtype) -> None:
    # Few values, so that most windows hold ties.
    x = np.random.default_rng(0).integers(0, 3, SHAPES[axes]).astype(dtype)
    tried = 0
    for k, s, p, d, ceil in itertools.product((2, 3), (None, 1, 2), (0, 1), (1, 2), (False, True)):
        if d * (k - 1) + 1 <= min(x.shape[2:]) + 2 * p:
            options = {"stride": s, "padding": p, "dilation": d, "ceil_mode": ceil}
            assert_torch_agrees(getattr(nn, f"MaxPool{axes}d")(k, return_indices=True, **options), x)
            tried += 1
    assert tried == {1: 48, 2: 48, 3: 42}[axes]


@dtypes
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_mean_pooling_in_all_combinations_of_options(axes, dtype) -> None:
    x = np.random.default_rng(0).standard_normal(SHAPES[axes]).astype(dtype)
    for k, s, p, ceil, count in itertools.product((2, 3), (None, 1, 2), (0, 1), (False, True), (False, True)):
        options = {"stride": s, "padding": p, "ceil_mode": ceil, "count_include_pad": count}
        assert_torch_agrees(getattr(nn, f"AvgPool{axes}d")(k, **options), x)
    for size in itertools.product((1, 2, 5, 9), repeat=2):
        size = (*size, 3)[:axes]
        assert_torch_agrees(getattr(nn, f"AdaptiveAvgPool{axes}d")(size if axes > 1 else size[0]), x)
        adaptive = getattr(nn, f"AdaptiveMaxPool{axes}d")
        assert_torch_agrees(adaptive(size if axes > 1 else size[0], return_indices=True), np.round(x))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinities_win_as_in_torch(bad) -> None:
    x = np.random.default_rng(0).standard_normal((1, 2, 6, 6))
    x[0, 0, 2:4, 1:5] = bad
    x[0, 1, 0, 0] = bad
    assert_torch_agrees(nn.MaxPool2d(3, 2, 1, return_indices=True), x)


def test_unpooling_is_the_way_back() -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 6, 7))
    y, at = nn.MaxPool2d(2, return_indices=True)(x)
    back = nn.MaxUnpool2d(2)(y, at, output_size=x.shape)
    assert back.shape == x.shape
    assert np.array_equal(back[back != 0], x[back != 0])
    assert np.count_nonzero(back) == y.size


@dtypes
@pytest.mark.parametrize("mode", ["nearest", "linear", "bilinear", "bicubic", "trilinear"])
def test_upsampling_to_larger_and_smaller(mode, dtype) -> None:
    axes = {"linear": 1, "trilinear": 3}.get(mode, 2)
    x = np.random.default_rng(0).standard_normal(SHAPES[axes]).astype(dtype)
    for align in (None,) if mode == "nearest" else (False, True):
        # Of 1.1 there are as many numbers as before; torch's bicubic gradient is then not its forward's.
        for scale in (0.4, 1.0, 1.7, 3.0, *([1.1] if "linear" in mode else [])):
            for recompute in (None, True):
                options = {"align_corners": align, "recompute_scale_factor": recompute}
                assert_torch_agrees(nn.Upsample(scale_factor=scale, mode=mode, **options), x)
        for size in (1, 4, 13):
            assert_torch_agrees(nn.Upsample(size, mode=mode, align_corners=align), x)


@dtypes
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_the_nearest_of_as_many_numbers_are_torchs(axes, dtype) -> None:
    """It copies them in images alone, and takes ⌊o r⌋ elsewhere; its gradient in 3-D is not its forward's."""
    x = np.random.default_rng(0).standard_normal(SHAPES[axes]).astype(dtype)
    y = nn.Upsample(scale_factor=1.1, mode="nearest")(x)
    assert np.array_equal(y, torch.nn.Upsample(scale_factor=1.1, mode="nearest")(torch.tensor(x)).numpy())


@pytest.mark.parametrize("padding", [(0, 0), (1, 2), (3, 0), (-1, 2), (-2, -1)])
@pytest.mark.parametrize("kind", ["ZeroPad", "ConstantPad", "ReflectionPad", "ReplicationPad", "CircularPad"])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_padding_makes_longer_and_shorter(kind, axes, padding) -> None:
    if kind == "CircularPad" and min(padding) < 0 < max(padding):
        pytest.skip("torch pads a ring of what is left")
    x = np.random.default_rng(0).standard_normal(SHAPES[axes])
    module = getattr(nn, f"{kind}{axes}d")(padding * axes, *((0.5,) if kind == "ConstantPad" else ()))
    assert_torch_agrees(module, x)


def test_fold_adds_up_what_unfold_took_apart() -> None:
    x = np.ones((1, 1, 5, 5))
    columns = nn.Unfold(3)(x)
    counts = nn.Fold((5, 5), 3)(columns)
    assert counts[0, 0].tolist()[2] == [3, 6, 9, 6, 3]
    module = nn.Unfold(3)
    module(x)
    np.testing.assert_array_equal(module.backward(np.ones_like(columns)), counts)


def test_shuffles_are_undone() -> None:
    x = np.arange(2 * 8 * 3 * 2, dtype=float).reshape(2, 8, 3, 2)
    assert np.array_equal(nn.PixelUnshuffle(2)(nn.PixelShuffle(2)(x)), x)
    assert np.array_equal(nn.ChannelShuffle(4)(nn.ChannelShuffle(2)(x)), x)


def an_image(channels: int = 2, size: int = 4) -> np.ndarray:
    return np.ones((1, channels, size, size))


REFUSED = {
    "window too large": (lambda: nn.MaxPool2d(5)(an_image()), ValueError, "window is larger than input"),
    "no axes": (lambda: nn.MaxPool2d(2)(np.ones(3)), ValueError, r"expected \(N, C, H, W\) or \(C, H, W\)"),
    "kernel 0": (lambda: nn.MaxPool1d(0), ValueError, "kernel_size is 0, expected 1 or more"),
    "two kernels for one axis": (lambda: nn.AvgPool1d((2, 2)), ValueError, "kernel_size is"),
    "stride 0": (lambda: nn.AvgPool2d(2, 0), ValueError, "stride is 0"),
    "padding above half": (lambda: nn.MaxPool2d(2, padding=2), ValueError, "at most half of the window"),
    "adaptive below 0": (lambda: nn.AdaptiveAvgPool2d(-1), ValueError, "output_size is -1"),
    "three sizes for two axes": (lambda: nn.AdaptiveMaxPool2d((1, 2, 3)), ValueError, "output_size is"),
    "norm 0": (lambda: nn.LPPool2d(0, 2), ValueError, "norm_type is 0"),
    "integers": (lambda: nn.LPPool1d(2, 2)(np.ones((1, 4), int)), TypeError, "input is int64"),
    "unpool of float indices": (
        lambda: nn.MaxUnpool2d(2)(an_image(), an_image()),
        TypeError,
        "indices are float64, expected int64",
    ),
    "unpool outside": (
        lambda: nn.MaxUnpool1d(2)(np.ones((1, 2)), np.array([[0, 4]])),
        ValueError,
        "indices go from 0 to 4",
    ),
    "unpool to a far size": (
        lambda: nn.MaxUnpool1d(2)(np.ones((1, 2)), np.array([[0, 2]]), output_size=(9,)),
        ValueError,
        r"output_size is \(9,\)",
    ),
    "reflection beyond x": (lambda: nn.ReflectionPad2d(4)(an_image()), ValueError, "too short"),
    "nothing left": (lambda: nn.ZeroPad1d((-3, -3))(np.ones((1, 4))), ValueError, "too short"),
    "three paddings": (lambda: nn.ZeroPad2d((1, 2, 3)), ValueError, "expected an integer or 4 of them"),
    "mode": (lambda: nn.Upsample(2, mode="cubic")(an_image()), ValueError, "mode"),
    "size and factor": (lambda: nn.Upsample()(an_image()), ValueError, "size"),
    "channels": (lambda: nn.PixelShuffle(2)(an_image(6)), ValueError, "shape"),
    "odd image": (lambda: nn.PixelUnshuffle(2)(an_image(1, 3)), ValueError, "shape"),
    "groups": (lambda: nn.ChannelShuffle(3)(an_image()), ValueError, "channels|shape"),
    "columns": (lambda: nn.Fold((5, 5), 3)(np.ones((1, 9, 4))), ValueError, r"expected \(N, C·9, 9\)"),
    "unflatten": (lambda: nn.Unflatten(1, (2, 2))(np.ones((1, 6))), ValueError, "6"),
}


@pytest.mark.parametrize(("call", "error", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_it_is_refused_and_said_why(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()


def test_sizes_are_those_of_the_formula() -> None:
    for length, k, s, p, d in itertools.product(range(3, 12), (1, 2, 3), (1, 2, 3), (0, 1), (1, 2)):
        if p <= k // 2 and d * (k - 1) < length + 2 * p:
            y = nn.MaxPool1d(k, s, p, d)(np.ones((1, length)))
            assert y.shape[-1] == math.floor((length + 2 * p - d * (k - 1) - 1) / s) + 1


def test_integers_are_pooled_as_torch_pools_them() -> None:
    x = np.random.default_rng(0).integers(-(2**62), -3, (2, 3, 4, 5))
    for ours, theirs in (
        (nn.MaxPool2d(3, 1, 1), torch.nn.MaxPool2d(3, 1, 1)),
        (nn.MaxPool3d(3, 2, 1), torch.nn.MaxPool3d(3, 2, 1)),
    ):
        np.testing.assert_array_equal(ours(x), theirs(torch.from_numpy(x)).numpy())


def test_flatten_refuses_a_gradient_of_another_shape() -> None:
    module = nn.Flatten()
    module(np.ones((2, 3, 4)))
    with pytest.raises(
        ValueError, match=r"Flatten.backward: dy is float64 \(2, 3, 4\), but y was .* \(2, 12\)"
    ):
        module.backward(np.ones((2, 3, 4)))


def test_indices_alone_have_no_gradient() -> None:
    module = nn.MaxPool1d(2, return_indices=True)
    module(np.ones((1, 4)))
    assert np.array_equal(module.backward(None, None), np.zeros((1, 4)))


@pytest.mark.parametrize("count", [1, 3])
def test_a_long_window_is_averaged_without_losing_digits(count) -> None:
    """Added up one by one, 10⁶ numbers lose three digits in float32; torch is off by 1e-6."""
    x = np.random.default_rng(0).random((1, 2, 10**6), np.float32)
    pool, exact = nn.AdaptiveAvgPool1d(count), nn.AdaptiveAvgPool1d(count)
    y = pool(x)
    np.testing.assert_allclose(y, exact(x.astype(float)), rtol=1e-6)
    dy = np.array([[[1.0, 2, 4][:count]] * 2], np.float32)
    np.testing.assert_allclose(pool.backward(dy), exact.backward(dy.astype(float)), rtol=1e-6)
