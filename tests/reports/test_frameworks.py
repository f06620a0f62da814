"""The columns of the timing: each trains the same network from the same weights, by the right gradients."""

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest
import scipy.special
import torch

from reports.runner import frameworks, functions, networks
from scratch import datasets, nn, random
from scratch.data import TensorDataset
from scratch.datasets import Splits

# Said by torch of itself, when it first compiles.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")

DTYPES = ("float64", "float32")


@pytest.fixture(scope="module")
def xor() -> networks.Network:
    return networks.xor({dtype: datasets.xor(dtype=dtype) for dtype in DTYPES})


@pytest.fixture(scope="module")
def digits() -> networks.Network:
    """64-4-10 on 30 digits."""
    splits = {}
    for dtype in DTYPES:
        whole = datasets.digits(dtype=dtype)
        splits[dtype] = Splits(TensorDataset(*whole.train[:30]), TensorDataset(*whole.test[:10]))
    return networks.two_layer(splits, hidden_size=4, batch_size=30)


# To compile takes half a minute; one network is always compiled, in the test of its one graph.
PARAMS = [
    pytest.param(name, marks=pytest.mark.campaign) if name == "torch-compile" else name
    for name in frameworks.COLUMNS
]


@pytest.fixture(params=PARAMS)
def column(request, xor) -> frameworks.Column:
    """Each that can be had here."""
    if request.param in ("jax", "autograd"):
        pytest.importorskip(request.param)
    found = frameworks.COLUMNS[request.param]
    if request.param == "torch-compile" and (reason := found.why_not(xor, "float32")):
        pytest.skip(reason)
    return found


@pytest.mark.parametrize("dtype", DTYPES)
def test_each_column_has_the_gradients_of_numpy(column, digits, xor, dtype):
    for network in (digits, xor):
        assert column.why_not(network, dtype) == ""
        found = frameworks.compare_column(column, network, dtype, seed=0)
        assert found, found
        assert [t.name for t in found.tensors] == ["0.weight", "0.bias", "2.weight", "2.bias"]
        assert {t.reference.dtype.name for t in found.tensors} == {dtype}


def test_each_column_makes_the_same_steps(column, xor):
    ours, other = frameworks.numpy_side(xor, "float64", 3), column.build(xor, "float64", 3)
    before = ours.gradients()
    for side in (ours, other):
        seconds = side.block(20)
        assert all(0 < each <= seconds["step"] for each in seconds.values())
        assert [*seconds] in ([*frameworks.PHASES], ["step"])
    expected, found = ours.gradients(), other.gradients()
    for name, gradient in expected.items():
        np.testing.assert_allclose(found[name], gradient, rtol=0, atol=1e-14)
        assert np.max(np.abs(gradient - before[name])) > 1e-4


def test_gradients_are_copied_and_nothing_is_updated(column, xor):
    side = column.build(xor, "float64", 0)
    first = side.gradients()
    kept = {name: each.copy() for name, each in first.items()}
    for name, again in side.gradients().items():
        np.testing.assert_array_equal(again, kept[name])
    side.block(1)
    for name, gradient in first.items():
        np.testing.assert_array_equal(gradient, kept[name])


@pytest.mark.long
def test_what_is_called_compiled_is_compiled_and_has_the_gradients_of_numpy(xor):
    compiled = frameworks.COLUMNS["torch-compile"]
    if reason := compiled.why_not(xor, "float32"):
        pytest.skip(reason)
    torch._dynamo.reset()
    graphs = torch._dynamo.utils.counters["stats"]
    before = graphs["unique_graphs"]
    assert (found := frameworks.compare_column(compiled, xor, "float32", 0)), found
    assert graphs["unique_graphs"] == before + 1


def test_the_phases_of_a_side_are_parts_of_its_step(xor):
    for made in (frameworks.numpy_side(xor, "float64", 0), frameworks.torch_side(xor, "float64", 0, {})):
        seconds = made.block(3)
        assert list(seconds) == ["forward", "backward", "update", "step"]
        assert seconds["forward"] + seconds["backward"] + seconds["update"] <= seconds["step"]


@pytest.mark.parametrize("off", [1.01, np.nan])
def test_a_wrong_gradient_is_refused_and_named(xor, off):
    @dataclasses.dataclass
    class Wrong:
        side: frameworks.Side

        def gradients(self):
            found = self.side.gradients()
            found["0.bias"][1] *= off
            return found

    wrong = frameworks.Column("Wrong", lambda *a: Wrong(frameworks.numpy_side(*a)), lambda *a: "")
    for dtype in DTYPES:
        found = frameworks.compare_column(wrong, xor, dtype, seed=0)
        assert [t.name for t in found.wrong] == ["0.bias"]


def test_a_gradient_that_is_not_there_is_no_agreement(xor):
    class Less:
        def gradients(self):
            return {"0.weight": np.zeros((4, 2))}

    with pytest.raises(
        ValueError, match=r"Less has gradients of \['0\.weight'\], expected \['0\.weight', '0\.b"
    ):
        frameworks.compare_column(
            frameworks.Column("Less", lambda *a: Less(), lambda *a: ""), xor, "float64", 0
        )


def test_dropout_has_the_same_masks_on_both_sides():
    deep = dataclasses.replace(networks.by_name("deep_conv_net"), batch_size=3)
    for name in ("numpy", "torch-fused"):
        assert frameworks.compare_column(frameworks.COLUMNS[name], deep, "float64", seed=0)


# Networks and settings that cannot be timed


@pytest.mark.parametrize("package", ["jax", "autograd"])
def test_what_is_not_installed_is_said(monkeypatch, xor, package):
    monkeypatch.setattr(frameworks, "find_spec", lambda name: None)
    assert frameworks.COLUMNS[package].why_not(xor, "float32") == f"{package} is not installed"


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("simple_conv_net", "Conv2d"),
        ("mlp_batchnorm", "BatchNorm1d"),
        ("GPT", "GPT"),
        ("CharLSTM", "CharLSTM"),
    ],
)
def test_what_a_side_does_not_have_is_said(monkeypatch, name, module):
    monkeypatch.setattr(frameworks, "find_spec", lambda name: name)
    for package, title in (("jax", "JAX"), ("autograd", "autograd")):
        reason = frameworks.COLUMNS[package].why_not(networks.by_name(name), "float32")
        assert reason == f"this network has a {module}, which the {title} side does not have"


@pytest.fixture
def asked_anew():
    """The reason why torch.compile fails is found out once a process; here it is another each time."""
    frameworks._compile_error.cache_clear()
    yield
    frameworks._compile_error.cache_clear()


@pytest.mark.usefixtures("asked_anew")
def test_a_missing_compiler_is_said(monkeypatch, xor):
    monkeypatch.setenv("CXX", "no-such-compiler")
    reason = frameworks.COLUMNS["torch-compile"].why_not(xor, "float32")
    assert reason == "torch.compile needs a C++ compiler, and no-such-compiler is not there"


@pytest.mark.usefixtures("asked_anew")
def test_a_compiler_that_does_not_work_is_said(monkeypatch, xor):
    def fails(function):
        raise RuntimeError("Dynamo is not supported\non this Python")

    monkeypatch.setattr(torch, "compile", fails)
    monkeypatch.setenv("CXX", sys.executable)
    reason = frameworks.COLUMNS["torch-compile"].why_not(xor, "float32")
    assert reason == "torch.compile does not work here: Dynamo is not supported"


@pytest.mark.long
def test_compiled_dropout_is_refused():
    why_not = frameworks.COLUMNS["torch-compile"].why_not
    reason = why_not(networks.by_name("deep_conv_net"), "float32")
    assert "dropout" not in why_not(networks.by_name("GPT"), "float32")  # its dropouts have p = 0
    assert reason == "torch.compile draws other dropout masks, so its gradients cannot be compared"


@pytest.mark.long
def test_asking_leaves_the_random_generators_alone(xor):
    before, theirs = random.get_rng_state(), torch.get_rng_state()
    for column in frameworks.COLUMNS.values():
        column.why_not(xor, "float32")
    np.testing.assert_array_equal(random.get_rng_state(), before)
    assert torch.equal(torch.get_rng_state(), theirs)


def test_jax_is_as_before_for_others():
    """In a process of its own, since JAX starts once."""
    pytest.importorskip("jax")
    program = """
import os
os.environ["NPROC"] = "7"
import jax
import numpy as np
from reports.runner import networks
from reports.runner import frameworks
from scratch import datasets
xor = networks.xor({dtype: datasets.xor(dtype=dtype) for dtype in ("float32", "float64")})
side = frameworks.COLUMNS["jax"].build(xor, "float64", 0)
side.block(2)
assert side.gradients()["0.weight"].dtype == np.float64
assert jax.numpy.asarray(np.ones(2)).dtype == np.float32
assert os.environ["NPROC"] == "7"
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, env=os.environ)


# The network as one function


NUMPY = functions.Namespace(np, scipy.special.logsumexp)


def test_the_function_is_the_network_and_its_loss():
    shared = nn.Linear(6, 6, dtype=np.float64)
    model = nn.Sequential(
        nn.Flatten(),
        nn.Linear(12, 6, bias=False, dtype=np.float64),
        nn.Sequential(nn.Sigmoid(), shared, nn.Tanh(), nn.Identity()),
        shared,
        nn.ReLU(),
        nn.Linear(6, 3, dtype=np.float64),
    )
    rng = np.random.default_rng(0)
    x, target = rng.normal(0, 100, (5, 3, 4)), rng.integers(3, size=5)
    parameters = {name: p.data for name, p in model.named_parameters()}
    found = functions.loss_function(model, NUMPY)(parameters, x, np.eye(3)[target])
    np.testing.assert_allclose(found, nn.CrossEntropyLoss()(model(x), target), rtol=1e-13)


def test_a_flatten_of_some_axes():
    model = nn.Sequential(nn.Flatten(-2, 3), nn.Flatten(1, 2))
    x = np.random.default_rng(0).normal(size=(2, 3, 1, 4))
    found = functions.loss_function(model, NUMPY)({}, x, np.eye(12)[[0, 11]])
    np.testing.assert_allclose(found, nn.CrossEntropyLoss()(x.reshape(2, 12), np.array([0, 11])), rtol=1e-13)


def test_a_module_without_a_function_is_refused():
    with pytest.raises(TypeError, match="there is no function for a Softmax"):
        functions.loss_function(nn.Sequential(nn.Softmax(1)), NUMPY)
