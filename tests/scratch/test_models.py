"""The networks of the lessons: both sides from one seed, step by step, and the mirror of each."""

import copy
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

import scratch
import scratch.models
import torch_ref.twin.models
from rounding import same_draws
from scratch import nn, optim
from scratch.gradcheck import check_directions, gradcheck
from torch_ref import compare, compare_training, first_divergence, mirror
from torch_ref.twin.kernel import fitting_kernel

RNG = np.random.default_rng(0)


class Model(NamedTuple):
    """A network by name, small, with a batch for it."""

    name: str
    args: tuple[int, ...]
    x: np.ndarray
    classes: int

    def build(self, dtype: str = "float64") -> tuple[nn.Module, torch.nn.Module]:
        scratch.manual_seed(0)
        torch.manual_seed(0)
        ours = getattr(scratch.models, self.name)(*self.args, dtype=np.dtype(dtype))
        theirs = getattr(torch_ref.twin.models, self.name)(*self.args, dtype=getattr(torch, dtype))
        if fitting_kernel() is None:
            ours.load_state_dict(theirs.state_dict())
        return ours, theirs

    def batch(self, dtype: str = "float64") -> tuple[np.ndarray, np.ndarray]:
        if self.x.dtype.kind == "i":
            return self.x, np.arange(self.x.size).reshape(self.x.shape) % self.classes
        return self.x.astype(dtype), np.arange(len(self.x)) % self.classes


def images(size: int) -> np.ndarray:
    return RNG.standard_normal((4, 1, size, size))


def tokens(*shape: int) -> np.ndarray:
    return RNG.integers(0, 5, shape)


MODELS = [
    Model("mlp_batchnorm", (6, 5, 3), RNG.standard_normal((8, 6)), 3),
    Model("simple_conv_net", (3, 7, 10), images(10), 10),
    Model("deep_conv_net", (8,), images(8), 10),
    Model("CharLSTM", (5, 3, 4, 2), tokens(2, 6), 5),
    Model("GPT", (5, 4, 6, 2, 2), tokens(2, 4), 5),
]
models = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
# deep_conv_net has 2,000 activations a sample even so; simple_conv_net stands for it.
quick_models = pytest.mark.parametrize(
    "model",
    [
        pytest.param(m, id=m.name, marks=[pytest.mark.long] if m.name == "deep_conv_net" else [])
        for m in MODELS
    ],
)
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


@same_draws
@models
@dtypes
def test_the_same_seed_gives_the_same_network(model: Model, dtype: str) -> None:
    ours, theirs = model.build(dtype)
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state)
    for name, array in ours.state_dict().items():
        np.testing.assert_array_equal(array, state[name].numpy(), err_msg=name)


@models
def test_outputs_and_gradients_are_those_of_torch(model: Model) -> None:
    ours, theirs = model.build()
    x, target = model.batch()
    losses = {"loss_fn": nn.CrossEntropyLoss(), "twin_loss_fn": torch.nn.CrossEntropyLoss(), "target": target}
    result = compare(ours, theirs, x, numeric=False, **losses)
    assert result, str(result)


@quick_models
def test_its_mirror_lies_on_the_same_memory_and_agrees_layer_by_layer(model: Model) -> None:
    ours, _ = model.build()
    twin = mirror(ours)
    assert type(twin).__name__ == type(ours).__name__
    for (name, p), (twin_name, q) in zip(ours.named_parameters(), twin.named_parameters(), strict=True):
        assert name == twin_name
        assert np.shares_memory(p.data, q.detach().numpy())
    if isinstance(ours, nn.Sequential):
        x, _ = model.batch()
        # Layer by layer one image shows what four would.
        assert first_divergence(ours, twin, x[:1] if x.ndim == 4 else x)


@quick_models
def test_its_gradients_are_its_derivatives(model: Model) -> None:
    ours, _ = model.build()
    x, target = model.batch()
    assert check_directions(ours, x, loss_fn=nn.CrossEntropyLoss(), target=target)


@models
@pytest.mark.long
def test_three_hundred_steps_stay_together(model: Model) -> None:
    ours, theirs = model.build()
    rate = 0.005 if model.name == "GPT" else 0.05  # at which rounding does not grow to all there is
    x, target = model.batch()
    training = compare_training(
        ours,
        theirs,
        [(x, target)] * (300 if model.name in ("mlp_batchnorm", "CharLSTM") else 40),
        loss_fn=nn.CrossEntropyLoss(),
        twin_loss_fn=torch.nn.CrossEntropyLoss(),
        optimizer=lambda params: optim.SGD(params, lr=rate, momentum=0.5),
        twin_optimizer=lambda params: torch.optim.SGD(params, lr=rate, momentum=0.5),
    )
    assert training, str(training)


def test_the_tied_table_has_the_gradient_of_both_ends() -> None:
    ours, theirs = MODELS[-1].build()
    assert ours.head.weight is ours.tokens.weight
    assert mirror(ours).head.weight is not None
    x, _ = MODELS[-1].batch()
    y = ours(x)
    dy = RNG.standard_normal(y.shape)
    ours.backward(dy)
    theirs(torch.from_numpy(x)).backward(torch.from_numpy(dy))
    np.testing.assert_allclose(
        ours.tokens.weight.grad, theirs.tokens.weight.grad.numpy(), rtol=1e-9, atol=1e-14
    )


def test_a_later_token_changes_no_earlier_score() -> None:
    ours, _ = MODELS[-1].build()
    x, _ = MODELS[-1].batch()
    other = x.copy()
    other[:, -1] = (other[:, -1] + 1) % 5
    y, changed = ours(x), ours(other)
    np.testing.assert_array_equal(y[..., :-1], changed[..., :-1])
    assert np.all(y[..., -1] != changed[..., -1])


def test_too_long_a_text_is_refused() -> None:
    ours, _ = MODELS[-1].build()
    with pytest.raises(ValueError, match=r"x has shape \(1, 5\), expected \(N, T\) with T at most 4"):
        ours(np.zeros((1, 5), int))
    with pytest.raises(TypeError, match="x is a list, expected an array"):
        ours([[1, 2]])


# ---- the residual connection


def residual(inner: nn.Module) -> nn.Sequential:
    scratch.manual_seed(0)
    return nn.Sequential(nn.Residual(inner), nn.Tanh())


def test_a_residual_connection_is_its_derivative_and_has_a_twin() -> None:
    inner = nn.Linear(4, 3, dtype=np.float64), nn.ReLU(), nn.Linear(3, 4, dtype=np.float64)
    model = residual(nn.Sequential(*inner))
    x = RNG.standard_normal((5, 4))
    assert gradcheck(model, x)
    assert compare(model, mirror(model), x)
    assert first_divergence(model, mirror(model), x)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.Residual(3), TypeError, "module is 3, expected Module"),
        (
            lambda: nn.Residual(nn.Linear(3, 2))(np.ones((1, 3), np.float32)),
            ValueError,
            r"\(1, 3\), f\(input\) \(1, 2\)",
        ),
        (lambda: nn.ModuleList([3]), TypeError, "argument 0 is int, expected a Module"),
        (lambda: nn.ModuleDict({"a": 3}), TypeError, "argument a is int, expected a Module"),
    ],
)
def test_containers_refuse(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_lists_and_dicts_of_modules_are_torchs() -> None:
    listed = nn.ModuleList([nn.Linear(2, 3), nn.Tanh()]).append(nn.Linear(3, 1))
    assert [name for name, _ in listed.named_parameters()] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert len(listed) == 3
    assert listed[-1] is list(listed)[2]
    assert type(listed[1:]) is nn.ModuleList
    named = nn.ModuleDict({"a": nn.Tanh()})
    named["b"] = nn.Linear(2, 1)
    assert (list(named), list(named.keys()), "b" in named) == (["a", "b"], ["a", "b"], True)
    assert named["a"] is next(iter(named.values()))
    assert dict(named.items())["b"] is named["b"]
    for container in (listed, named):
        assert list(mirror(copy.deepcopy(container)).state_dict()) == list(container.state_dict())


@pytest.mark.parametrize("name", ["simple_conv_net", "CharLSTM", "GPT"])
def test_what_a_forward_makes_is_on_the_device_of_its_input(name):
    """Whatever the default device is: one without memory would spoil the output."""
    of_text = name in ("CharLSTM", "GPT")
    model = getattr(torch_ref.twin.models, name)(*((7,) if of_text else ()))
    x = torch.zeros(2, 5, dtype=torch.int64) if of_text else torch.zeros(2, 1, 28, 28)
    with torch.device("meta"):
        y = model(x)
    assert torch.isfinite(y).all()
