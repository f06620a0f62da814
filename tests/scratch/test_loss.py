"""Losses: ties and limits as torch has them, sweeps over options, and messages on bad inputs."""

import math

import numpy as np
import pytest
import torch

from all_in_one import all_in_one, dtypes
from rounding import assert_torch_agrees
from scratch import nn

# Of the cases of each test; the others in make long.
ONE_IN = 2

pytestmark = pytest.mark.filterwarnings("ignore:reduction. 'mean' divides the total loss")

reductions = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])


def normal(*shape: int, dtype=np.float64, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


# ---- ties: where a margin is just met, torch's clamp lets the gradient pass

ONES = np.ones(2)


@pytest.mark.parametrize(
    ("loss_fn", "inputs", "target"),
    [
        (nn.MarginRankingLoss(reduction="none"), (ONES, ONES, np.array([1.0, -1.0])), 2),
        (nn.MarginRankingLoss(1.0, reduction="none"), (ONES, 0 * ONES, np.array([1.0, -1.0])), 2),
        (nn.HingeEmbeddingLoss(reduction="none"), (np.ones(3), np.array([1.0, -1.0, 0.5])), 1),
        (nn.MultiMarginLoss(reduction="none"), (np.array([[1.0, 0.0, 2.0]]), np.array([0])), 1),
        (nn.MultiMarginLoss(p=2, reduction="none"), (np.array([[1.0, 0.0, 1.0]]), np.array([0])), 1),
        (nn.MultiLabelMarginLoss(reduction="none"), (np.arange(3.0)[None], np.array([[1, -1, 2]])), 1),
        (nn.SmoothL1Loss(reduction="none"), (np.array([1.0, 0.0, -1.0]), np.zeros(3)), 1),
        (nn.SmoothL1Loss(beta=0.0, reduction="none"), (np.array([1.0, 0.0, -1.0]), np.zeros(3)), 1),
        (nn.HuberLoss(delta=2.0, reduction="none"), (np.array([2.0, 0.0, -2.0]), np.zeros(3)), 1),
        (nn.KLDivLoss(reduction="none"), (np.array([-1.0, -2.0]), np.array([0.0, 1.0])), 1),
        (nn.PoissonNLLLoss(full=True, reduction="none"), (np.zeros(3), np.array([0.0, 1.0, 2.0])), 1),
        (
            nn.CosineEmbeddingLoss(reduction="none"),
            (
                np.array([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]]),
                np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]]),
                np.array([-1.0, -1.0, 3.0]),
            ),
            2,
        ),
    ],
    ids=lambda value: repr(value) if isinstance(value, nn.Loss) else "",
)
@dtypes
def test_ties_and_odd_targets_are_treated_as_torch_treats_them(loss_fn, inputs, target, dtype) -> None:
    inputs = tuple(x.astype(dtype) if x.dtype.kind == "f" else x for x in inputs)
    assert_torch_agrees(loss_fn, *inputs, held=(target,), kinks=True)


TRIPLETS = {
    "all equal": (np.zeros((1, 2)), np.zeros((1, 2)), np.zeros((1, 2))),
    "the margin just met": (np.zeros((1, 2)), np.array([[1.0, 0.0]]), np.array([[0.0, 2.0]])),
    "p as far from n as a is": (np.zeros((1, 2)), np.array([[2.0, 0.0]]), np.array([[1.0, 0.0]])),
    "equal coordinates": (np.zeros((1, 2)), np.array([[2.0, -2.0]]), np.array([[1.0, 1.0]])),
    "coordinates that are zero": (np.zeros((1, 3)), np.array([[0.0, 2.0, 0.0]]), np.array([[1.0, 0.0, 0.0]])),
}


@pytest.mark.parametrize("inputs", TRIPLETS.values(), ids=TRIPLETS.keys())
@pytest.mark.parametrize("p", [0.5, 1, 1.5, 2.0, 3, math.inf])
@pytest.mark.parametrize("swap", [False, True])
def test_a_triplet_at_its_kinks_is_torchs(inputs, p, swap) -> None:
    assert_torch_agrees(nn.TripletMarginLoss(p=p, swap=swap, eps=0.0, reduction="none"), *inputs, kinks=True)


# ---- sweeps


@dtypes
@reductions
@pytest.mark.parametrize("p", [0.7, 1.0, 2.0, 2.5, math.inf])
@all_in_one("swap", [False, True])
@all_in_one("shape", [(5,), (6, 5), (3, 2, 4)])
def test_triplets_of_any_norm_and_shape(shape, swap, p, reduction, dtype) -> None:
    inputs = [normal(*shape, dtype=dtype, seed=seed) for seed in range(3)]
    assert_torch_agrees(nn.TripletMarginLoss(2.0, p, 1e-3, swap, reduction=reduction), *inputs)


@dtypes
@pytest.mark.parametrize("swap", [False, True])
def test_a_distance_of_ones_own(swap, dtype) -> None:
    def manhattan_backward(dD, x1, x2):
        dx = dD[..., None] * np.sign(x1 - x2)
        return dx, -dx

    pair = (lambda x1, x2: np.sum(np.abs(x1 - x2), axis=-1), manhattan_backward)
    loss_fn = nn.TripletMarginWithDistanceLoss(distance_function=pair, margin=2.0, swap=swap)
    theirs = torch.nn.TripletMarginWithDistanceLoss(
        distance_function=lambda x1, x2: (x1 - x2).abs().sum(-1), margin=2.0, swap=swap
    )
    inputs = [normal(6, 4, dtype=dtype, seed=seed) for seed in range(3)]
    assert_torch_agrees(loss_fn, *inputs)
    assert_torch_agrees(loss_fn, *inputs, twin=theirs)


@pytest.mark.parametrize("shape", [(4, 3), (4, 1), (1, 3), (4,)])
@pytest.mark.parametrize("full", [False, True])
@reductions
@dtypes
def test_a_variance_for_each_each_row_or_each_column(shape, full, reduction, dtype) -> None:
    var = np.random.default_rng(0).uniform(0.05, 1, shape).astype(dtype)
    var.reshape(-1)[0] = 0  # below eps: counts as eps, and gets a gradient all the same
    loss_fn = nn.GaussianNLLLoss(full=full, eps=0.1, reduction=reduction)
    assert_torch_agrees(loss_fn, normal(4, 3, dtype=dtype), normal(4, 3, dtype=dtype, seed=1), var, held=(1,))


def test_a_variance_that_is_a_number_has_no_gradient() -> None:
    x, t = normal(4, 3), normal(4, 3, seed=1)
    loss_fn, by_array = nn.GaussianNLLLoss(), nn.GaussianNLLLoss()
    assert loss_fn(x, t, 0.5) == by_array(x, t, np.full((4, 3), 0.5))
    dx, *none = loss_fn.backward()
    np.testing.assert_array_equal(dx, by_array.backward()[0])
    assert none == [None, None]


@pytest.mark.parametrize(
    "rows",
    [
        [[-1, 0, 1, 2]],
        [[0, 1, 2, 3]],
        [[2, 2, -1, 0]],
        [[3, -1, 3, 1], [-1, -1, -1, -1], [1, 0, -1, -1], [0, 3, 1, -1]],
        np.zeros((0, 4), np.int64),
    ],
)
@reductions
@dtypes
def test_sets_of_classes_empty_full_and_double(rows, reduction, dtype) -> None:
    target = np.array(rows, np.int64)
    if not len(target) and reduction != "none":
        pytest.skip("torch's loss of no samples is whatever lay in its memory")
    assert_torch_agrees(
        nn.MultiLabelMarginLoss(reduction=reduction), normal(*target.shape, dtype=dtype), target, held=(1,)
    )


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("margin", [-0.5, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
@reductions
@dtypes
def test_margins_of_classes(p, margin, weighted, reduction, dtype) -> None:
    weight = np.array([0.5, 0.0, 2.0, 1.0], dtype) if weighted else None
    loss_fn = nn.MultiMarginLoss(p, margin, weight, reduction)
    x, target = normal(6, 4, dtype=dtype), np.array([0, 1, 2, 3, 3, 0])
    assert_torch_agrees(loss_fn, x, target, held=(1,))
    assert_torch_agrees(loss_fn, x[0], np.array(2), held=(1,))


@pytest.mark.parametrize("shape", [(), (5,), (4, 5), (2, 3, 4)])
@pytest.mark.parametrize("log_target", [False, True])
def test_batchmean_divides_by_the_first_axis(shape, log_target) -> None:
    x, t = normal(*shape), np.abs(normal(*shape, seed=1))
    assert_torch_agrees(nn.KLDivLoss("batchmean", log_target), x, t, held=(1,))


@pytest.mark.parametrize(
    "loss_fn",
    [
        nn.PoissonNLLLoss(full=True),
        nn.SoftMarginLoss(),
        nn.HingeEmbeddingLoss(),
        nn.MarginRankingLoss(),
        nn.MultiLabelSoftMarginLoss(),
        nn.CosineEmbeddingLoss(),
    ],
    ids=repr,
)
@pytest.mark.parametrize("integer", ["int8", "int32", "int64"])
@dtypes
def test_signs_and_counts_may_be_integers(loss_fn, integer, dtype) -> None:
    x, target = normal(5, 3, dtype=dtype), np.random.default_rng(0).choice([1, -1], (5, 3))
    inputs = [x]
    if isinstance(loss_fn, nn.MarginRankingLoss | nn.CosineEmbeddingLoss):
        inputs.append(normal(5, 3, dtype=dtype, seed=1))
    if isinstance(loss_fn, nn.CosineEmbeddingLoss):
        target = target[:, 0]
    if isinstance(loss_fn, nn.PoissonNLLLoss):
        target = target + 3
    loss = loss_fn(*inputs, target.astype(integer))
    gradients = loss_fn.backward()
    assert loss == loss_fn(*inputs, target.astype(dtype))
    again = loss_fn.backward()
    first, second = (g[0] if isinstance(g, tuple) else g for g in (gradients, again))
    assert loss.dtype == first.dtype == dtype
    np.testing.assert_array_equal(first, second)


# ---- limits


@dtypes
def test_scores_that_are_hundreds_off_cost_what_they_cost(dtype) -> None:
    x = np.array([800.0, -800.0, 90.0, -90.0, 0.0], dtype)
    losses = nn.SoftMarginLoss(reduction="none")
    np.testing.assert_allclose(losses(x, -np.ones_like(x)), [800, 0, 90, 0, math.log(2)], atol=1e-30)
    np.testing.assert_allclose(losses.backward(np.ones_like(x)), [1, 0, 1, 0, 0.5], atol=1e-30)
    # There torch's loss is infinite, and its gradient nan.
    assert (
        torch.nn.SoftMarginLoss()(torch.from_numpy(x), -torch.ones(5).to(torch.from_numpy(x))).item()
        == math.inf
    )
    assert_torch_agrees(nn.MultiLabelSoftMarginLoss(reduction="none"), x, np.abs(np.sign(x)) * 0.5, held=(1,))


# ---- messages

X = np.ones((2, 3))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.KLDivLoss("batch"), ValueError, "expected 'mean', 'batchmean', 'sum' or 'none'"),
        (lambda: nn.MSELoss("batchmean"), ValueError, "expected 'mean', 'sum' or 'none'"),
        (lambda: nn.SmoothL1Loss(beta=-1), ValueError, "SmoothL1Loss: beta is -1"),
        (lambda: nn.HuberLoss(delta=0), ValueError, "HuberLoss: delta is 0"),
        (lambda: nn.MultiMarginLoss(p=3), ValueError, "p is 3, expected 1 or 2"),
        (lambda: nn.TripletMarginLoss(margin=0), ValueError, "TripletMarginLoss: margin is 0"),
        (lambda: nn.TripletMarginLoss(p=0), ValueError, "p is 0, expected a number above 0"),
        (
            lambda: nn.TripletMarginWithDistanceLoss(margin=-1),
            ValueError,
            "TripletMarginWithDistanceLoss: margin is -1",
        ),
        (
            lambda: nn.TripletMarginWithDistanceLoss(distance_function=np.subtract),
            TypeError,
            "distance_function is <ufunc 'subtract'>, expected two functions",
        ),
        (lambda: nn.HuberLoss()(X, X[:1]), ValueError, r"input has shape \(2, 3\), target \(1, 3\)"),
        (lambda: nn.KLDivLoss()(X, X.astype("f")), TypeError, "input is float64, target float32"),
        (lambda: nn.SmoothL1Loss()(X, X.astype(int)), TypeError, "input is float64, target int64"),
        (lambda: nn.MarginRankingLoss()(X, X, X[0]), ValueError, r"input1 has shape \(2, 3\), target \(3,\)"),
        (lambda: nn.CosineEmbeddingLoss()(X, X, X), ValueError, r"expected \(N, D\) and \(N,\)"),
        (
            lambda: nn.TripletMarginLoss()(X, X, X[:, :2]),
            ValueError,
            r"anchor has shape \(2, 3\), negative \(2, 2\)",
        ),
        (lambda: nn.TripletMarginLoss()(*[np.ones(())] * 3), ValueError, r"anchor has shape \(\)"),
        (lambda: nn.GaussianNLLLoss()(X, X, -X), ValueError, "var has -1.0, expected 0 or more"),
        (
            lambda: nn.GaussianNLLLoss()(X, X, np.ones((3, 2))),
            ValueError,
            r"input has shape \(2, 3\), var \(3, 2\)",
        ),
        (lambda: nn.GaussianNLLLoss()(X, X, X.astype("f")), TypeError, "input is float64, var float32"),
        (
            lambda: nn.MultiMarginLoss()(X, np.array([0, 3])),
            IndexError,
            "target holds class 3, expected 0 to 2",
        ),
        (lambda: nn.MultiMarginLoss()(X, np.array([0.0, 1.0])), TypeError, "target is float64"),
        (
            lambda: nn.MultiMarginLoss()(X[None], np.zeros(1, int)),
            ValueError,
            r"input has shape \(1, 2, 3\), expected",
        ),
        (
            lambda: nn.MultiMarginLoss(weight=np.ones(2))(X, np.zeros(2, int)),
            ValueError,
            r"weight has shape \(2,\)",
        ),
        (
            lambda: nn.MultiLabelMarginLoss()(X, np.zeros(2, int)),
            ValueError,
            r"target has shape \(2,\), expected \(2, 3\)",
        ),
        (
            lambda: nn.MultiLabelMarginLoss()(X, np.full((2, 3), -2)),
            IndexError,
            "holds class -2, expected -1 to 2",
        ),
        (
            lambda: nn.MultiLabelSoftMarginLoss()(np.ones(()), np.ones(())),
            ValueError,
            r"input has shape \(\)",
        ),
    ],
)
def test_a_bad_argument_is_named(make, error, message) -> None:
    with pytest.raises(error, match=message):
        make()


def test_the_gradient_of_several_losses_is_wanted_in_their_shape() -> None:
    loss_fn = nn.TripletMarginLoss(reduction="none")
    loss_fn(X, X, X)
    with pytest.raises(ValueError, match=r"gradient of the loss, float64 \(2,\); got float"):
        loss_fn.backward()


def test_reprs_tell_what_was_given() -> None:
    assert repr(nn.HuberLoss()) == "HuberLoss(reduction='mean', delta=1.0)"
    assert repr(nn.MultiMarginLoss(weight=np.ones(2))) == (
        "MultiMarginLoss(p=1, margin=1.0, weight=[1.0, 1.0], reduction='mean')"
    )
    assert repr(nn.MSELoss()) == "MSELoss(reduction='mean')"


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint64"])
@pytest.mark.parametrize("C", [10, 200, 40000])
def test_a_class_out_of_range_is_refused_in_every_type_of_integers(dtype, C) -> None:
    """-1 as an unsigned number of 8 bits is 255, which could be one of 40,000 classes."""
    wrong = np.array([0, C if dtype == "uint64" else -1]).astype(dtype)
    with pytest.raises(IndexError, match=rf"target holds class {wrong[1]}, expected 0 to {C - 1}"):
        nn.CrossEntropyLoss()(np.zeros((2, C), np.float32), wrong)
