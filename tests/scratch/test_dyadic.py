"""Networks whose arithmetic is exact, so that not one bit may differ from torch.

With weights, inputs and targets k/8, ReLU, a squared error, and a mean over a power of two, every number is
a fraction of a power of two. As long as it has no more digits than the mantissa there is no rounding, and
then neither the order of a sum nor the library that adds it up can change a bit.
"""

import numpy as np
import pytest
import torch

from all_in_one import dtypes
from scratch import nn
from torch_ref import mirror

SHAPES = [(4, 3, 5, 2), (8, 6, 4, 4), (2, 8, 8, 1), (16, 4, 8, 2), (1, 2, 3, 8)]


def grid(a: np.ndarray) -> float:
    """The power of two that all entries are multiples of."""
    whole = (np.ravel(a) * 2.0**40).astype(np.int64)
    assert np.all(whole == np.ravel(a) * 2.0**40)
    return min((int(n & -n) for n in whole if n), default=2**40) / 2.0**40


def exactly(a: np.ndarray, b: np.ndarray, *, plus: np.ndarray | float = 0.0) -> np.ndarray:
    """a @ b + plus, once it is sure that float32 holds every partial sum, in whatever order."""
    step = min(grid(a) * grid(b), grid(np.asarray(plus)))
    largest = np.max(np.abs(a) @ np.abs(b) + np.abs(plus))
    assert largest / step < 2**24
    return a @ b + plus


def network(
    shape: tuple[int, int, int, int], seed: int, dtype: type
) -> tuple[nn.Sequential, np.ndarray, np.ndarray]:
    """A network, an input and a target, all of eighths."""
    samples, inputs, hidden, outputs = shape
    rng = np.random.default_rng(seed)

    def eighths(*shape: int) -> np.ndarray:
        return (rng.integers(-4, 5, shape) / 8).astype(dtype)

    model = nn.Sequential(
        nn.Linear(inputs, hidden, dtype=dtype), nn.ReLU(), nn.Linear(hidden, outputs, dtype=dtype)
    )
    for p in model.parameters():
        p.data = eighths(*p.shape)
    return model, eighths(samples, inputs), eighths(samples, outputs)


def assert_same_bits(ours, theirs) -> None:
    """Not one bit differs; only a zero may have either sign."""
    ours, theirs = np.asarray(ours) + 0, np.asarray(theirs) + 0
    assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
    assert ours.tobytes() == theirs.tobytes()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("seed", range(5))
@dtypes
def test_not_one_bit_differs_from_torch_or_from_the_formulas(shape, seed, dtype) -> None:
    model, x, t = network(shape, seed, dtype)
    twin = mirror(model)
    loss_fn, twin_loss_fn = nn.MSELoss(), torch.nn.MSELoss()

    tensor = torch.tensor(x, requires_grad=True)
    twin_y = twin(tensor)
    twin_loss = twin_loss_fn(twin_y, torch.tensor(t))
    twin_loss.backward()

    y = model(x)
    loss = loss_fn(y, t)
    dx = model.backward(loss_fn.backward())

    W1, b1, W2, b2 = (p.data.astype(np.float64) for p in model.parameters())
    z = exactly(x, W1.T, plus=b1)
    h = np.maximum(z, 0)
    error = exactly(h, W2.T, plus=b2) - t
    squares = exactly(error.reshape(1, -1), error.reshape(-1, 1))
    dy = 2 * error / error.size
    dz = exactly(dy, W2) * (z > 0)
    ones = np.ones((1, len(x)))
    expected = {
        "output": error + t,
        "loss": squares[0, 0] / error.size,
        "input": exactly(dz, W1),
        "0.weight": exactly(dz.T, x),
        "0.bias": exactly(ones, dz)[0],
        "2.weight": exactly(dy.T, h),
        "2.bias": exactly(ones, dy)[0],
    }
    ours = {"output": y, "loss": loss, "input": dx} | {n: p.grad for n, p in model.named_parameters()}
    theirs = {"output": twin_y.detach(), "loss": twin_loss.detach(), "input": tensor.grad}
    theirs |= {name: p.grad for name, p in twin.named_parameters()}
    for name, exact in expected.items():
        assert_same_bits(ours[name], theirs[name].numpy())
        assert_same_bits(ours[name], exact.astype(dtype))


@dtypes
def test_the_bits_would_show_an_error_in_the_last_place(dtype) -> None:
    model, x, t = network(SHAPES[0], 0, dtype)
    loss_fn = nn.MSELoss()
    loss_fn(model(x), t)
    model.backward(loss_fn.backward())
    gradient = model[0].weight.grad
    off = gradient.copy()
    off.flat[np.flatnonzero(off)[0]] = np.nextafter(off.flat[np.flatnonzero(off)[0]], dtype(np.inf))
    with pytest.raises(AssertionError):
        assert_same_bits(gradient, off)


def test_the_random_numbers_meet_the_kink_and_both_of_its_sides() -> None:
    """Else ReLU's mask, and its value at 0, would not have been tried."""
    z = [model[0](x) for model, x, _ in (network(shape, 0, np.float64) for shape in SHAPES)]
    signs = np.sign(np.concatenate([each.ravel() for each in z]))
    assert set(signs) == {-1, 0, 1}
