"""The reduction, and that a loss's own formula and the reduction together are what the module gives."""

import numpy as np
import pytest

from scratch import functional as F
from scratch import nn


def test_the_gradient_of_the_mean_square_is_two_times_the_difference_over_n() -> None:
    x, t = np.random.default_rng(0).standard_normal((2, 4, 3))
    ℓ, saved = F.mse_loss(x, t)
    L, reduced = F.reduce(ℓ, "mean")
    dx = F.mse_loss_backward(F.reduce_backward(1.0, reduced), saved)
    assert np.mean((x - t) ** 2) == pytest.approx(L)
    np.testing.assert_allclose(dx, 2 * (x - t) / x.size, rtol=1e-15)
    loss_fn = nn.MSELoss()
    assert loss_fn(input=x, target=t) == L
    np.testing.assert_array_equal(loss_fn.backward(), dx)


def test_the_gradient_of_the_cross_entropy_is_p_minus_t() -> None:
    x, t = np.random.default_rng(0).standard_normal((4, 3)), np.array([0, 2, 1, 0])
    ℓ, saved = F.cross_entropy(x, t)
    p, _ = F.softmax(x, 1)
    np.testing.assert_allclose(ℓ, -np.log(p[np.arange(4), t]), rtol=1e-14)
    np.testing.assert_allclose(F.cross_entropy_backward(np.ones(4), saved), p - np.eye(3)[t], atol=1e-15)


@pytest.mark.parametrize(
    ("reduction", "L", "share"),
    [("mean", 2.0, 0.5), ("batchmean", 4.0, 1.0), ("sum", 4.0, 1.0), ("none", [[1.0, 3.0]], 1.0)],
)
def test_each_reduction_passes_on_its_share(reduction, L, share) -> None:
    found, saved = F.reduce(np.array([[1.0, 3.0]]), reduction)
    np.testing.assert_array_equal(found, L)
    np.testing.assert_array_equal(F.reduce_backward(np.ones_like(found), saved), np.full((1, 2), share))


def test_the_mean_over_nothing_is_nan_and_its_gradient_is_0() -> None:
    L, saved = F.reduce(np.ones(2), "mean", 0.0)
    assert np.isnan(L)
    np.testing.assert_array_equal(F.reduce_backward(1.0, saved), np.zeros(2))


def test_a_gradient_of_another_shape_than_the_loss_is_refused() -> None:
    loss_fn = nn.MSELoss()
    loss_fn(np.ones(3), np.zeros(3))
    with pytest.raises(ValueError, match=r"gradient of the loss, float64 \(\); got float64 \(3,\)"):
        loss_fn.backward(np.ones(3))
    assert loss_fn.backward().shape == (3,)
