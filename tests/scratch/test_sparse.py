"""Embeddings and distances, beside torch: also where the gradient is meant to be no derivative."""

import numpy as np
import pytest
import torch

import scratch
from all_in_one import dtypes
from rounding import assert_torch_agrees, same_draws
from scratch import nn
from torch_ref import mirror

RNG = np.random.default_rng(0)

X = np.array([[4, 1, 1], [0, 4, 2]])

OPTIONS = [
    {"padding_idx": 1},
    {"padding_idx": -1},
    {"scale_grad_by_freq": True},
    {"max_norm": 1.0},
    {"max_norm": 0.5, "norm_type": 1.0},
    {"max_norm": 0.5, "norm_type": float("inf")},
    {"padding_idx": 4, "scale_grad_by_freq": True, "max_norm": 0.7},
]


@same_draws
@dtypes
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_an_embedding_does_what_torchs_does(options, dtype) -> None:
    scratch.manual_seed(0)
    torch.manual_seed(0)
    ours = nn.Embedding(5, 3, dtype=dtype, **options)
    theirs = torch.nn.Embedding(5, 3, dtype=getattr(torch, np.dtype(dtype).name), **options)
    np.testing.assert_array_equal(ours.weight.data, theirs.weight.detach().numpy())
    assert_torch_agrees(ours, X, twin=theirs)
    ours(X), theirs(torch.from_numpy(X))  # renormalises both
    assert_torch_agrees(ours, X, twin=theirs)


@same_draws
@dtypes
@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_bags_do_what_torchs_do(options, mode, dtype) -> None:
    if mode == "max" and "scale_grad_by_freq" in options:
        pytest.skip("torch has no such thing")
    scratch.manual_seed(0)
    torch.manual_seed(0)
    ours = nn.EmbeddingBag(5, 3, dtype=dtype, mode=mode, **options)
    theirs = torch.nn.EmbeddingBag(5, 3, dtype=getattr(torch, np.dtype(dtype).name), mode=mode, **options)
    np.testing.assert_array_equal(ours.weight.data, theirs.weight.detach().numpy())
    # With scale_grad_by_freq each row as often, see below.
    assert_torch_agrees(ours, np.array([[4, 1, 1], [0, 4, 0]]), twin=theirs)
    # Bags of any size, an empty one among them.
    assert_torch_agrees(ours, np.array([4, 1, 1, 4, 2, 2]), np.array([0, 2, 2, 5]), twin=theirs)


def test_each_row_of_a_bag_is_scaled_by_its_own_frequency() -> None:
    """torch 2.13 takes, on a CPU, the frequency of another row where they differ."""
    scaled, plain = (nn.EmbeddingBag(5, 2, mode="sum", scale_grad_by_freq=on) for on in (True, False))
    for module in (scaled, plain):
        module(X)
        module.backward(np.float32([[1, 2], [3, 4]]))
    frequency = np.bincount(X.reshape(-1), minlength=5)
    np.testing.assert_array_equal(scaled.weight.grad, plain.weight.grad / np.maximum(frequency, 1)[:, None])
    theirs = mirror(scaled)
    theirs(torch.from_numpy(X)).backward(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    off = np.flatnonzero(np.any(theirs.weight.grad.numpy() != scaled.weight.grad, axis=1))
    assert off.tolist() == [2, 4]


def test_a_pretrained_table_is_shared_and_frozen_unless_it_is_not_to_be() -> None:
    table = RNG.standard_normal((4, 2))
    frozen = nn.Embedding.from_pretrained(table)
    assert np.shares_memory(frozen.weight.data, table)
    assert not frozen.weight.requires_grad
    assert nn.EmbeddingBag.from_pretrained(table, freeze=False, mode="sum").weight.requires_grad
    frozen(np.array([1]))
    frozen.backward(np.ones((1, 2)))
    assert frozen.weight.grad is None


def test_the_distance_of_a_point_to_itself_has_no_slope_but_what_eps_gives() -> None:
    x = np.ones((2, 3))
    module = nn.PairwiseDistance(eps=0.0)
    module(x, x)
    assert not np.any(module.backward(np.ones(2))[0])


@pytest.mark.parametrize("p", [0.5, 1.0, 1.5, 2.0, 3.0, float("inf"), -1.0])
def test_distances_at_zeros_and_ties_are_torchs(p) -> None:
    x1 = np.array([[1.0, -1.0, 0.0], [0.0, 0.0, 0.0], [2.0, 0.5, -2.0]])
    module = nn.PairwiseDistance(p, eps=0.0)
    tensors = [torch.tensor(x, requires_grad=True) for x in (x1, np.zeros_like(x1))]
    y = mirror(module)(*tensors)
    y.sum().backward()
    np.testing.assert_allclose(module(x1, np.zeros_like(x1)), y.detach().numpy(), rtol=1e-15)
    theirs = tensors[0].grad.numpy()
    ours = module.backward(np.ones(3))[0]
    known = np.isfinite(theirs)
    np.testing.assert_allclose(ours[known], theirs[known], rtol=1e-14)


REFUSED = {
    "no such row": (lambda: nn.Embedding(5, 2)(np.array([5])), IndexError, "holds index 5, expected 0 to 4"),
    "negative row": (lambda: nn.Embedding(5, 2)(np.array([-1])), IndexError, "holds index -1"),
    "floats": (
        lambda: nn.Embedding(5, 2)(np.ones(3)),
        TypeError,
        "input is float64, expected an array of integers",
    ),
    "list": (lambda: nn.Embedding(5, 2)([1, 2]), TypeError, "input is a list, expected an array of integers"),
    "list of offsets": (
        lambda: nn.EmbeddingBag(5, 2)(np.array([1, 2]), [0]),
        TypeError,
        "offsets is a list, expected an array of integers",
    ),
    "list of weights": (
        lambda: nn.EmbeddingBag(5, 2, mode="sum")(X, None, [[1.0]]),
        TypeError,
        "per_sample_weights is a list, expected an array",
    ),
    "padding outside": (lambda: nn.Embedding(5, 2, padding_idx=5), ValueError, "padding_idx is 5"),
    "sparse": (lambda: nn.Embedding(5, 2, sparse=True), ValueError, "sparse is True"),
    "weight of another shape": (
        lambda: nn.Embedding(5, 2, _weight=np.ones((2, 2))),
        ValueError,
        r"_weight has shape \(2, 2\), expected \(5, 2\)",
    ),
    "table of one axis": (
        lambda: nn.Embedding.from_pretrained(np.ones(3)),
        ValueError,
        "expected \\(V, D\\)",
    ),
    "mode": (lambda: nn.EmbeddingBag(5, 2, mode="min"), ValueError, "mode is 'min'"),
    "frequency of max": (
        lambda: nn.EmbeddingBag(5, 2, mode="max", scale_grad_by_freq=True),
        ValueError,
        "scale_grad_by_freq",
    ),
    "no offsets": (lambda: nn.EmbeddingBag(5, 2)(np.array([1, 2])), ValueError, "offsets None"),
    "offsets not from 0": (
        lambda: nn.EmbeddingBag(5, 2)(np.array([1, 2]), np.array([1])),
        ValueError,
        r"offsets is \[1\], expected 0",
    ),
    "offsets that descend": (
        lambda: nn.EmbeddingBag(5, 2)(np.array([1, 2, 3]), np.array([0, 2, 1])),
        ValueError,
        "never descending",
    ),
    "float offsets": (
        lambda: nn.EmbeddingBag(5, 2)(np.array([1, 2]), np.array([0.0])),
        TypeError,
        "offsets is float64",
    ),
    "weights of a mean": (
        lambda: nn.EmbeddingBag(5, 2)(X, None, np.ones(X.shape, np.float32)),
        ValueError,
        "per_sample_weights",
    ),
    "weights of another dtype": (
        lambda: nn.EmbeddingBag(5, 2, mode="sum")(X, None, np.ones(X.shape)),
        TypeError,
        "per_sample_weights is float64",
    ),
    "distance of unlike": (
        lambda: nn.PairwiseDistance()(np.ones((2, 3)), np.ones((2, 4))),
        ValueError,
        "do not broadcast",
    ),
    "cosine of no axis": (
        lambda: nn.CosineSimilarity(dim=2)(np.ones((2, 3)), np.ones((2, 3))),
        ValueError,
        "no axis 2",
    ),
}


@pytest.mark.parametrize(("call", "error", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_it_is_refused_and_said_why(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()


def test_a_row_of_just_the_largest_norm_stays_as_it_is() -> None:
    table = nn.Embedding(2, 2, max_norm=5.0, dtype=np.float64)
    table.weight.data = np.array([[3.0, 4.0], [6.0, 8.0]])
    assert table(np.array([0, 1]))[0].tolist() == [3.0, 4.0]
