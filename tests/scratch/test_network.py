"""The networks of the lessons, as programs: against torch, the complex step and themselves."""

import copy
import pickle
import subprocess
import sys
from functools import lru_cache

import numpy as np
import pytest
import torch

import scratch
import torch_ref.twin.models
from all_in_one import dtypes
from rounding import same_draws
from scratch import models, nn, optim
from scratch.datasets import mnist5k
from scratch.nn.parameter import runs
from torch_ref import compare, mirror


@lru_cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """4,000 real digits, float64, and their classes."""
    return mnist5k(dtype=np.float64).train.tensors


# ---- 784-50-10


def test_gradients_on_digits_are_torchs_and_the_truth_to_thirteen_digits() -> None:
    scratch.manual_seed(0)
    model = models.two_layer_net(dtype=np.float64)
    images, labels = digits()
    result = compare(
        model,
        mirror(model),
        images[:3],
        loss_fn=nn.CrossEntropyLoss(),
        twin_loss_fn=torch.nn.CrossEntropyLoss(),
        target=labels[:3],
    )
    assert result, str(result)
    rows = result.frame.set_index("tensor")
    assert list(rows.index) == ["output", "loss", "input", "0.weight", "0.bias", "2.weight", "2.bias"]
    assert rows["relative"].max() <= 1e-13
    for side in ("numpy_numeric", "torch_numeric"):
        assert (rows[side] / rows["scale"])[2:].max() <= 1e-13
    # The agreement is of numbers, not of zeros: every tensor has gradients that an error could have changed.
    assert rows["scale"].min() > 1e-3


@same_draws
# Both sides round alike, but not in the same order; at this rate 200 steps let the difference grow to
# 6e-16 in float64 and 3e-7 in float32 (measured); the bounds leave a factor of some hundreds for other
# BLAS libraries.
@pytest.mark.parametrize(
    ("dtype", "bound"), [(np.float64, 1e-12), (np.float32, 1e-4)], ids=["float64", "float32"]
)
def test_two_programs_from_one_seed_stay_together_for_200_steps(dtype, bound) -> None:
    images, labels = digits()
    images = images.astype(dtype)

    def ours() -> tuple[list[float], dict[str, np.ndarray]]:
        scratch.manual_seed(3)
        model = models.two_layer_net(dtype=dtype)
        loss_fn, optimizer = nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1)
        seen = []
        for step in range(200):
            rows = slice(100 * step % 4000, 100 * step % 4000 + 100)
            optimizer.zero_grad()
            seen.append(float(loss_fn(model(images[rows]), labels[rows])))
            model.backward_parameters(loss_fn.backward())
            optimizer.step()
        return seen, model.state_dict()

    def theirs() -> tuple[list[float], dict[str, np.ndarray]]:
        torch.manual_seed(3)
        model = torch_ref.twin.models.two_layer_net(dtype=getattr(torch, np.dtype(dtype).name))
        loss_fn, optimizer = torch.nn.CrossEntropyLoss(), torch.optim.SGD(model.parameters(), lr=0.1)
        x, t = torch.tensor(images), torch.tensor(labels)
        seen = []
        for step in range(200):
            rows = slice(100 * step % 4000, 100 * step % 4000 + 100)
            optimizer.zero_grad()
            loss = loss_fn(model(x[rows]), t[rows])
            loss.backward()
            optimizer.step()
            seen.append(loss.item())
        return seen, {key: value.numpy() for key, value in model.state_dict().items()}

    (losses, weights), (its_losses, its_weights) = ours(), theirs()
    assert losses[-1] < 0.2 * losses[0]
    np.testing.assert_allclose(losses, its_losses, rtol=bound)
    for name, W in weights.items():
        assert np.max(np.abs(W - its_weights[name])) <= bound * np.max(np.abs(W))


@same_draws
@pytest.mark.parametrize("name", ["two_layer_net", "xor_net"])
@dtypes
def test_both_sides_build_the_same_network(name, dtype) -> None:
    scratch.manual_seed(7)
    torch.manual_seed(7)
    ours = getattr(models, name)(dtype=dtype)
    theirs = getattr(torch_ref.twin.models, name)(dtype=getattr(torch, np.dtype(dtype).name))
    assert [type(m).__name__ for m in ours.modules()] == [type(m).__name__ for m in theirs.modules()]
    expected = theirs.state_dict()
    assert list(ours.state_dict()) == list(expected)
    for key, value in ours.state_dict().items():
        assert value.tobytes() == expected[key].numpy().tobytes()
    assert repr(ours) == repr(theirs)


def test_the_xor_net_learns_xor() -> None:
    scratch.manual_seed(0)
    model = models.xor_net(dtype=np.float64)
    x, target = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
    loss_fn, optimizer = nn.CrossEntropyLoss(), optim.Adam(model.parameters(), lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        loss = loss_fn(model(x), target)
        model.backward(loss_fn.backward())
        optimizer.step()
    assert loss < 0.05
    np.testing.assert_array_equal(np.argmax(model(x), axis=1), target)


# ---- the worked example

X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
Y = np.array([[0.0], [1.0], [1.0], [0.0]])
EPOCHS = 10_000


@lru_cache
def trained() -> tuple[models.NeuralNetwork, np.ndarray, np.ndarray]:
    """The example after 10,000 epochs on XOR, and its weights before."""
    scratch.manual_seed(0)
    network = models.NeuralNetwork(2, 4, 1)
    before = network.weights1.copy(), network.weights2.copy()
    network.train(X, Y, 1.0, EPOCHS)
    return network, *before


def test_the_example_is_its_formulas_bit_for_bit() -> None:
    network, W1, W2 = (copy.deepcopy(each) for each in trained())
    for _ in range(EPOCHS):
        h = 1 / (1 + np.exp(-np.dot(X, W1)))
        y = 1 / (1 + np.exp(-np.dot(h, W2)))
        delta2 = (Y - y) * y * (1 - y)
        delta1 = np.dot(delta2, W2.T) * h * (1 - h)
        W2 += 1.0 * np.dot(h.T, delta2)
        W1 += 1.0 * np.dot(X.T, delta1)
    np.testing.assert_array_equal(network.weights1, W1)
    np.testing.assert_array_equal(network.weights2, W2)
    output = 1 / (1 + np.exp(-np.dot(1 / (1 + np.exp(-np.dot(X, W1))), W2)))
    np.testing.assert_array_equal(network.forward(X), output)


def test_the_example_learns_xor() -> None:
    network, *_ = trained()
    assert np.max(np.abs(network.forward(X) - Y)) < 0.03


@same_draws
def test_the_example_draws_torchs_weights() -> None:
    _, W1, W2 = trained()
    torch.manual_seed(0)
    np.testing.assert_array_equal(W1, torch.randn(2, 4, dtype=torch.float64).numpy())
    np.testing.assert_array_equal(W2, torch.randn(4, 1, dtype=torch.float64).numpy())


# Measured over 8 seeds after 10,000 epochs: outputs within 1.2e-16, weights of up to 10 within 5e-15.
CLOSE = {"rtol": 0, "atol": 1e-12}


def test_the_example_is_a_sequential_with_a_summed_squared_error_at_half_the_rate() -> None:
    network, W1, W2 = trained()
    model = nn.Sequential(
        nn.Linear(2, 4, bias=False, dtype=np.float64),
        nn.Sigmoid(),
        nn.Linear(4, 1, bias=False, dtype=np.float64),
        nn.Sigmoid(),
    )
    model[0].weight.data, model[2].weight.data = W1.T, W2.T
    loss_fn, optimizer = nn.MSELoss(reduction="sum"), optim.SGD(model.parameters(), lr=0.5)
    for _ in range(EPOCHS):
        optimizer.zero_grad()
        loss_fn(model(X), Y)
        model.backward(loss_fn.backward())
        optimizer.step()
    np.testing.assert_allclose(model(X), network.forward(X), **CLOSE)
    np.testing.assert_allclose(model[0].weight.data.T, network.weights1, **CLOSE)


@pytest.mark.long
def test_the_example_is_torchs_too() -> None:
    network, W1, W2 = trained()
    model = torch.nn.Sequential(
        torch.nn.Linear(2, 4, bias=False),
        torch.nn.Sigmoid(),
        torch.nn.Linear(4, 1, bias=False),
        torch.nn.Sigmoid(),
    ).double()
    model.load_state_dict({"0.weight": torch.tensor(W1.T), "2.weight": torch.tensor(W2.T)})
    x, y = torch.tensor(X), torch.tensor(Y)
    loss_fn, optimizer = torch.nn.MSELoss(reduction="sum"), torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(EPOCHS):
        optimizer.zero_grad()
        loss_fn(model(x), y).backward()
        optimizer.step()
    np.testing.assert_allclose(model(x).detach().numpy(), network.forward(X), **CLOSE)
    np.testing.assert_allclose(model[0].weight.detach().numpy().T, network.weights1, **CLOSE)


# ---- one vector


def nested() -> nn.Sequential:
    """Sequentials in Sequentials, with 3·4 + 4 + 4·4 + 4 + 4·2 + 2 = 46 parameters."""
    return nn.Sequential(
        nn.Sequential(nn.Linear(3, 4), nn.ReLU()),
        nn.Sequential(nn.Sequential(nn.Linear(4, 4), nn.Tanh()), nn.Dropout(0.5)),
        nn.Linear(4, 2),
    )


def assert_one_vector(model: nn.Module) -> None:
    """All parameters are views on one array, in order and without gaps, and so are their gradients."""
    (run,) = runs(model.parameters())
    assert (run.start, run.stop) == (0, 46)
    run.data[...] = np.arange(46)
    run.grad[...] = -np.arange(46)
    for p in model.parameters():
        p.grad = p._grad
    np.testing.assert_array_equal(np.concatenate([p.data.ravel() for p in model.parameters()]), np.arange(46))
    np.testing.assert_array_equal(
        np.concatenate([p.grad.ravel() for p in model.parameters()]), -np.arange(46)
    )


def test_the_parameters_of_nested_models_lie_end_to_end() -> None:
    assert_one_vector(nested())
    assert_one_vector(nested().to(np.float64))


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))], ids=["deepcopy", "pickle"]
)
def test_a_copy_of_a_model_has_one_vector_of_its_own(copied) -> None:
    model = nested()
    x = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    y = model(x)
    model.backward(y)
    model[0].requires_grad_(False)
    twin = copied(model)
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        assert not np.shares_memory(p.data, q.data)
        assert p.requires_grad == q.requires_grad
        np.testing.assert_array_equal(p.data, q.data)
        np.testing.assert_array_equal(p.grad, q.grad)
    np.testing.assert_array_equal(twin.eval()(x), model.eval()(x))
    before = {key: value.copy() for key, value in model.state_dict().items()}
    assert_one_vector(twin)
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[key])


def test_an_optimizer_of_a_copy_leaves_the_first_model_alone() -> None:
    model = nested()
    optim.SGD(model.parameters())
    twin = copy.deepcopy(model)
    optimizer = optim.SGD(twin.parameters(), lr=1.0)
    for p in twin.parameters():
        p.grad = np.ones(p.shape, p.dtype)
    optimizer.step()
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        np.testing.assert_array_equal(p.data - 1, q.data)


def test_tied_weights_are_one_parameter_that_gets_both_gradients() -> None:
    layer = nn.Linear(3, 3, dtype=np.float64)
    model = nn.Sequential(layer, nn.Tanh(), layer)
    twin = mirror(model)
    assert [name for name, _ in model.named_parameters()] == ["0.weight", "0.bias"]
    assert list(model.state_dict()) == list(twin.state_dict())
    assert compare(model, twin, np.random.default_rng(0).standard_normal((4, 3)))


# ---- imports


def test_scratch_imports_numpy_alone() -> None:
    code = """
import sys
import scratch
heavy = {"torch", "pandas", "scipy", "matplotlib", "sklearn", "mlxtend", "safetensors"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True)
