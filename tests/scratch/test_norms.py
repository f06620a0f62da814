"""Norms and channel dropouts: running statistics over several batches, masks, and what is refused."""

import numpy as np
import pytest
import torch

import scratch
from all_in_one import dtypes
from rounding import assert_torch_agrees
from scratch import nn

# Of the cases of each test; the others in make long.
ONE_IN = 2

RNG = np.random.default_rng(0)


def normal(*shape: int, dtype=np.float64) -> np.ndarray:
    return (RNG.standard_normal(shape) * 2 + 1).astype(dtype)


TRACKING = [
    (nn.BatchNorm1d, (5, 3), {}),
    (nn.BatchNorm1d, (2, 3, 4), {"momentum": None}),
    (nn.BatchNorm2d, (2, 3, 2, 3), {"momentum": 0.7}),
    (nn.BatchNorm3d, (2, 3, 2, 2, 2), {"affine": False}),
    (nn.BatchNorm2d, (2, 3, 2, 3), {"momentum": 0.0}),
    (nn.InstanceNorm1d, (4, 3, 5), {"track_running_stats": True}),
    (nn.InstanceNorm1d, (3, 5), {"track_running_stats": True, "momentum": 0.5}),
    (nn.InstanceNorm2d, (4, 3, 2, 3), {"track_running_stats": True, "momentum": None}),
]


@dtypes
@pytest.mark.parametrize(("kind", "shape", "options"), TRACKING)
def test_running_statistics_are_torchs_over_batches_of_training_and_in_evaluation(
    kind, shape, options, dtype
) -> None:
    ours = kind(3, dtype=dtype, **options)
    for batch in range(6):
        ours.train(batch not in (2, 5))
        x = normal(*shape, dtype=dtype)
        assert_torch_agrees(ours, x)
        ours(x)


def test_the_unbiased_variance_is_kept_and_the_biased_one_divided_by() -> None:
    x = np.array([[0.0], [2.0]])
    norm = nn.BatchNorm1d(1, eps=0.0, momentum=1.0, dtype=np.float64)
    np.testing.assert_array_equal(norm(x), [[-1], [1]])
    assert norm.running_mean == 1
    assert norm.running_var == 2


def test_a_reset_starts_the_statistics_anew_in_the_same_memory() -> None:
    norm = nn.BatchNorm1d(3, dtype=np.float64)
    buffers = list(norm.buffers())
    norm(normal(4, 3))
    norm.reset_running_stats()
    assert [b.tolist() for b in buffers] == [[0] * 3, [1] * 3, 0]
    assert all(a is b for a, b in zip(norm.buffers(), buffers, strict=True))


def test_a_bias_before_a_batch_norm_has_no_gradient() -> None:
    scratch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3, dtype=np.float64), nn.BatchNorm1d(3, dtype=np.float64))
    z = model[0](normal(6, 4))
    dy = normal(*model[1](z).shape)
    model[0].backward(model[1].backward(dy))
    # Six terms that add up to 0, each of them rounded a few times.
    made_of = np.sum(np.abs(dy), axis=0) / np.std(z, axis=0)
    assert np.all(np.abs(model[0].bias.grad) < 8 * np.finfo(float).eps * made_of)
    assert np.max(np.abs(model[0].weight.grad)) > 0.1


@pytest.mark.parametrize("training", [True, False])
def test_an_error_that_all_share_is_not_passed_on_by_a_layer_norm(training) -> None:
    norm = nn.LayerNorm(5, dtype=np.float64).train(training)
    y = norm(normal(3, 5))
    assert np.max(np.abs(norm.backward(np.ones_like(y)))) < 1e-15


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("Dropout1d", (4, 6, 5)),
        ("Dropout1d", (6, 5)),
        ("Dropout2d", (3, 4, 2, 3)),
        ("Dropout3d", (2, 5, 2, 2, 2)),
        ("Dropout3d", (5, 2, 2, 2)),
        ("AlphaDropout", (3, 50)),
        ("FeatureAlphaDropout", (3, 5, 4)),
    ],
)
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
@dtypes
def test_masks_are_torchs_for_its_seed(kind, shape, p, dtype) -> None:
    x = normal(*shape, dtype=dtype)
    for seed in range(3):
        torch.manual_seed(seed)
        assert_torch_agrees(getattr(nn, kind)(p), x)


@pytest.mark.parametrize("order", [(1, 0, 2), (2, 1, 0), (0, 2, 1)])
@pytest.mark.parametrize("kind", ["Dropout", "AlphaDropout", "Dropout1d"])
def test_masks_of_transposed_inputs_are_torchs(kind, order) -> None:
    x = normal(4, 6, 5).transpose(order)
    scratch.manual_seed(0), torch.manual_seed(0)
    theirs = getattr(torch.nn, kind)(0.3)(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(getattr(nn, kind)(0.3)(x), theirs, rtol=1e-14)


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    scratch.manual_seed(0)
    y = nn.AlphaDropout(0.2)(np.random.default_rng(0).standard_normal(100_000))
    assert abs(np.mean(y)) < 0.02
    assert abs(np.var(y) - 1) < 0.02


REFUSED = {
    "batch norm of another width": (
        lambda: nn.BatchNorm1d(3)(normal(4, 2, dtype=np.float32)),
        ValueError,
        r"shape \(4, 2\), expected \(N, 3\) or \(N, 3, L\)",
    ),
    "batch norm of images given rows": (
        lambda: nn.BatchNorm2d(3)(normal(4, 3, dtype=np.float32)),
        ValueError,
        r"expected \(N, 3, H, W\)",
    ),
    "one sample": (
        lambda: nn.BatchNorm1d(3)(normal(1, 3, dtype=np.float32)),
        ValueError,
        "one number in a channel",
    ),
    "double into single": (
        lambda: nn.BatchNorm1d(3)(normal(4, 3)),
        TypeError,
        "input is float64, the weight float32",
    ),
    "integers": (
        lambda: nn.LayerNorm(3, elementwise_affine=False)(np.ones((2, 3), int)),
        TypeError,
        "input is int64, expected floating",
    ),
    "negative width": (lambda: nn.BatchNorm1d(-1), ValueError, "num_features is -1"),
    "other last axes": (
        lambda: nn.LayerNorm((2, 3))(normal(4, 3, 2, dtype=np.float32)),
        ValueError,
        r"expected \(\*, 2, 3\)",
    ),
    "no axis": (lambda: nn.LayerNorm(()), ValueError, "normalized_shape is ()"),
    "groups that do not fit": (lambda: nn.GroupNorm(2, 3), ValueError, "num_groups is 2, expected a divisor"),
    "group norm of other channels": (
        lambda: nn.GroupNorm(1, 3)(normal(2, 4, dtype=np.float32)),
        ValueError,
        r"expected \(N, 3, \*\)",
    ),
    "window below one": (lambda: nn.LocalResponseNorm(0), ValueError, "size is 0"),
    "rows for local response": (lambda: nn.LocalResponseNorm(2)(normal(2, 3)), ValueError, "three axes"),
    "axes of a channel dropout": (lambda: nn.Dropout3d()(normal(2, 3)), ValueError, "expected 4 or 5 axes"),
    "p above one": (lambda: nn.AlphaDropout(1.5), ValueError, "p is 1.5"),
}


@pytest.mark.parametrize(("call", "error", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_it_is_refused_and_said_why(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()


def test_a_refused_batch_leaves_the_statistics_as_they_were() -> None:
    norm = nn.BatchNorm1d(3)
    before = [b.copy() for b in norm.buffers()]
    for bad in (normal(4, 2, dtype=np.float32), normal(4, 3), normal(1, 3, dtype=np.float32)):
        with pytest.raises((ValueError, TypeError)):
            norm(bad)
    assert all(np.array_equal(a, b) for a, b in zip(before, norm.buffers(), strict=True))
