"""Bad input is refused, by a message that names the argument, what was passed and what was expected."""

import re

import numpy as np
import pytest
import torch

import scratch
from scratch import gradcheck, nn, optim
from scratch.data import DataLoader, TensorDataset
from scratch.models import NeuralNetwork
from scratch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, StepLR
from scratch.training import evaluate, fit
from torch_ref import compare, mirror

F32, F64 = np.float32, np.float64
X = np.ones((4, 3), F32)
CLASSES = np.array([0, 1, 2, 0])
PAIR = TensorDataset(X, CLASSES)


def linear() -> nn.Linear:
    return nn.Linear(3, 2)


def backward(module: nn.Module, x: np.ndarray, dy: np.ndarray) -> None:
    module(x)
    module.backward(dy)


def two_backwards() -> None:
    module = linear()
    module(X)
    module.backward(np.ones((4, 2), F32))
    module.backward(np.ones((4, 2), F32))


def after_no_grad() -> None:
    module = nn.Tanh()
    with scratch.no_grad():
        module(X)
    module.backward(X)


def sgd(**options) -> optim.SGD:
    return optim.SGD(linear().parameters(), **options)


def twice() -> optim.SGD:
    p = nn.Parameter(X)
    return optim.SGD([p, p])


def fit_nothing(loader: DataLoader | None = None, epochs: int = 1) -> None:
    model = linear()
    fit(
        model,
        nn.CrossEntropyLoss(),
        optim.SGD(model.parameters()),
        DataLoader(PAIR) if loader is None else loader,
        epochs=epochs,
    )


def train_on_nan() -> None:
    fit_nothing(DataLoader(TensorDataset(X * np.nan, CLASSES % 2), 2))


class Unknown(nn.Module):
    """torch.nn has no module of this name."""


class Bilinear(nn.Module):
    """torch.nn has one, but with other parameters."""

    def __init__(self) -> None:
        self.in1_features = self.in2_features = self.out_features = 2
        self.weight = nn.Parameter(np.ones(2, F32))


def held_to_double() -> None:
    model = linear()
    optim.SGD(model.parameters())
    model.double()


def other_weights() -> None:
    compare(linear(), torch.nn.Linear(3, 2), X)


def dloss_of_a_row() -> None:
    loss_fn = nn.MSELoss(reduction="none")
    loss_fn(X, X)
    loss_fn.backward(X[0])


CASES = {
    # modules
    "a list for an array": (
        lambda: nn.ReLU()([1.0, 2.0]),
        TypeError,
        "ReLU(): input is a list, expected an array",
    ),
    "a tensor for an array": (
        lambda: linear()(torch.ones(4, 3)),
        TypeError,
        "input is a Tensor, expected an array",
    ),
    "x of another width": (lambda: linear()(X[:, :2]), ValueError, "input has shape (4, 2), expected (*, 3)"),
    "x of no axes": (lambda: linear()(np.array(1, F32)), ValueError, "input has shape (), expected (*, 3)"),
    "x of another dtype": (
        lambda: linear()(X.astype(F64)),
        TypeError,
        "input is float64, the weight float32",
    ),
    "x of integers": (lambda: linear()(X.astype(int)), TypeError, "input is int64, the weight float32"),
    "sigmoid of integers": (
        lambda: nn.Sigmoid()(CLASSES),
        TypeError,
        "Sigmoid(): input is int64, expected floating numbers",
    ),
    "negative size": (lambda: nn.Linear(-1, 2), ValueError, "in_features is -1, expected 0 or more"),
    "Dropout p": (lambda: nn.Dropout(1.5), ValueError, "p is 1.5, expected a probability from 0 to 1"),
    "Softmax dim": (lambda: nn.Softmax(), ValueError, "dim is None, expected the axis to sum along"),
    "Flatten axes": (
        lambda: nn.Flatten(3, 1)(X),
        ValueError,
        "input has shape (4, 3), where these axes cannot be joined",
    ),
    "Sequential of a function": (
        lambda: nn.Sequential(np.tanh),
        TypeError,
        "argument 0 is ufunc, expected a Module",
    ),
    "no such module": (
        lambda: nn.Sequential(nn.Tanh()).second,
        AttributeError,
        "no attribute or module 'second'",
    ),
    "Parameter of integers": (
        lambda: nn.Parameter(CLASSES),
        TypeError,
        "data is an array of int64, expected",
    ),
    "Parameter of a list": (lambda: nn.Parameter([1.0]), TypeError, "data is list, expected a NumPy array"),
    "Parameter.data of another shape": (
        lambda: setattr(nn.Parameter(X), "data", X[0]),
        ValueError,
        "Parameter.data: got shape (3,), expected (4, 3)",
    ),
    "Parameter.grad of another shape": (
        lambda: setattr(nn.Parameter(X), "grad", X.T),
        ValueError,
        "Parameter.grad: got shape (3, 4), expected (4, 3)",
    ),
    "converting what an optimizer holds": (
        held_to_double,
        RuntimeError,
        "to(float64): weight is held by an optimizer or a mirror",
    ),
    # backward
    "backward without forward": (
        lambda: linear().backward(X),
        RuntimeError,
        "called without a matching forward",
    ),
    "two backwards of one forward": (two_backwards, RuntimeError, "each backward needs a forward of its own"),
    "backward of a forward under no_grad": (after_no_grad, RuntimeError, "outside of no_grad"),
    "dy of another shape": (
        lambda: backward(linear(), X, np.ones((1, 2), F32)),
        ValueError,
        "dy is float32 (1, 2), but y was float32 (4, 2)",
    ),
    "dy of another dtype": (
        lambda: backward(nn.ReLU(), X, X.astype(F64)),
        ValueError,
        "dy is float64 (4, 3), but y was float32 (4, 3)",
    ),
    # losses
    "reduction": (lambda: nn.MSELoss(reduction="avg"), ValueError, "reduction"),
    "MSE of another shape": (
        lambda: nn.MSELoss()(X, X[:, :1]),
        ValueError,
        "input has shape (4, 3), target (4, 1); they are compared element by element",
    ),
    "MSE of another dtype": (
        lambda: nn.MSELoss()(X, X.astype(F64)),
        TypeError,
        "input is float32, target float64",
    ),
    "class out of range": (
        lambda: nn.CrossEntropyLoss()(X, CLASSES + 1),
        IndexError,
        "target holds class 3, expected 0 to 2",
    ),
    "negative class": (
        lambda: nn.NLLLoss()(X, CLASSES - 1),
        IndexError,
        "target holds class -1, expected 0 to 2",
    ),
    "floating classes": (
        lambda: nn.CrossEntropyLoss()(X, CLASSES.astype(F32)),
        TypeError,
        "target is float32 (4,), expected integers (4,) or probabilities (4, 3)",
    ),
    "too few classes": (
        lambda: nn.CrossEntropyLoss()(X, CLASSES[:3]),
        ValueError,
        "target has shape (3,), expected (4,) for this input",
    ),
    "logits of integers": (
        lambda: nn.CrossEntropyLoss()(CLASSES, CLASSES),
        TypeError,
        "input is int64, expected floating",
    ),
    "probabilities of another dtype": (
        lambda: nn.CrossEntropyLoss()(X, X.astype(F64)),
        TypeError,
        "input is float32, target float64",
    ),
    "label_smoothing": (
        lambda: nn.CrossEntropyLoss(label_smoothing=2),
        ValueError,
        "label_smoothing is 2, expected 0 to 1",
    ),
    "class weights": (
        lambda: nn.CrossEntropyLoss(weight=np.ones(2, F32))(X, CLASSES),
        ValueError,
        "weight has shape (2,), expected (3,), one a class",
    ),
    "BCE of no probability": (lambda: nn.BCELoss()(2 * X, X), ValueError, "BCELoss"),
    "dloss of another shape": (
        dloss_of_a_row,
        ValueError,
        "float32 (4, 3); got float32 (3,)",
    ),
    # state
    "a missing key": (
        lambda: linear().load_state_dict({"weight": np.ones((2, 3))}),
        RuntimeError,
        "missing keys: bias",
    ),
    "an unexpected key": (
        lambda: nn.Tanh().load_state_dict({"weight": X}),
        RuntimeError,
        "unexpected keys: weight",
    ),
    "a weight of another shape": (
        lambda: linear().load_state_dict({"weight": np.ones((3, 2)), "bias": np.ones(2)}),
        RuntimeError,
        "size mismatch for weight: the state has (3, 2), the module (2, 3)",
    ),
    "a gain that is not known": (
        lambda: nn.init.calculate_gain("sine"),
        ValueError,
        "nonlinearity is 'sine'",
    ),
    "fans of a vector": (
        lambda: nn.init.xavier_uniform_(nn.Parameter(np.ones(3))),
        ValueError,
        "the tensor has shape (3,), expected two axes or more",
    ),
    "fan mode": (
        lambda: nn.init.kaiming_normal_(nn.Parameter(X.copy()), mode="fan"),
        ValueError,
        "mode is 'fan', expected 'fan_in' or 'fan_out'",
    ),
    # optimizers
    "learning rate": (lambda: sgd(lr=-0.1), ValueError, "SGD: lr is -0.1, expected 0 or more"),
    "learning rate that is nan": (
        lambda: sgd(lr=float("nan")),
        ValueError,
        "SGD: lr is nan, expected 0 or more",
    ),
    "momentum": (lambda: sgd(momentum=-1), ValueError, "SGD: momentum is -1, expected 0 or more"),
    "nesterov": (lambda: sgd(nesterov=True), ValueError, "nesterov=True with momentum=0"),
    "betas": (
        lambda: optim.Adam(linear().parameters(), betas=(0.9, 1.0)),
        ValueError,
        "betas is (0.9, 1.0), expected two numbers in [0, 1)",
    ),
    "no parameters": (lambda: optim.SGD([]), ValueError, "SGD"),
    "arrays for parameters": (lambda: optim.SGD([X]), TypeError, "params holds ndarray, expected Parameters"),
    "a parameter twice": (twice, ValueError, "the parameter of shape (4, 3) comes twice"),
    "an option that is not known": (
        lambda: optim.SGD([{"params": linear().parameters(), "momentun": 0.9}]),
        ValueError,
        "momentun",
    ),
    "state of another optimizer": (
        lambda: sgd().load_state_dict(optim.Adam(linear().parameters()).state_dict()),
        ValueError,
        "is it another optimizer's?",
    ),
    "step_size": (lambda: StepLR(sgd(), 0), ValueError, "step_size is 0, expected 1 or more"),
    "T_max": (lambda: CosineAnnealingLR(sgd(), 0), ValueError, "T_max is 0, expected 1 or more"),
    "too many lambdas": (lambda: LambdaLR(sgd(), [abs, abs]), ValueError, "LambdaLR"),
    "a scheduler of a model": (lambda: StepLR(linear(), 1), TypeError, "StepLR"),
    # data and training
    "batch_size": (lambda: DataLoader(PAIR, 0), ValueError, "batch_size is 0, expected a positive integer"),
    "tensors of other lengths": (
        lambda: TensorDataset(X, CLASSES[:2]),
        ValueError,
        "expected the same first dimension",
    ),
    "epochs": (lambda: fit_nothing(epochs=-1), ValueError, "epochs is -1, expected 0 or more"),
    "no batch": (
        lambda: fit_nothing(DataLoader(PAIR, 5, drop_last=True)),
        ValueError,
        "loader gives no batch: 4 samples by 5",
    ),
    "an empty test set": (
        lambda: evaluate(linear(), nn.CrossEntropyLoss(), TensorDataset(X[:0], CLASSES[:0])),
        ValueError,
        "dataset is empty, expected at least one sample",
    ),
    "nan in the data": (train_on_nan, FloatingPointError, "the loss is nan in epoch 1, batch 1"),
    # random numbers
    "negative seed": (lambda: scratch.manual_seed(-(2**70)), ValueError, "seed"),
    "seed that is no integer": (lambda: scratch.manual_seed(0.5), TypeError, "is 0.5, expected an integer"),
    "negative size of rand": (lambda: scratch.rand(-1), ValueError, "-1"),
    "randint from nothing": (
        lambda: scratch.randint(0, (3,)),
        ValueError,
        "low is 0, high is 0, expected low < high",
    ),
    "bernoulli of no probability": (
        lambda: scratch.random.bernoulli(np.array([1.5])),
        ValueError,
        "p is 1.5, expected a probability from 0 to 1",
    ),
    # the document's network
    "XOR inputs": (
        lambda: NeuralNetwork(2, 4, 1).forward(np.ones((4, 3))),
        ValueError,
        "X has shape (4, 3), expected (N, 2)",
    ),
    # checks and comparisons
    "loss without target": (
        lambda: gradcheck.gradcheck(linear(), X, loss_fn=nn.MSELoss()),
        ValueError,
        "loss_fn and target go together",
    ),
    "loss without reduction": (
        lambda: gradcheck.gradcheck(nn.Tanh(), X, loss_fn=nn.MSELoss(reduction="none"), target=X),
        ValueError,
        "reduction='none', expected 'mean' or 'sum'",
    ),
    "method": (
        lambda: gradcheck.numerical_gradient(linear(), X, method="forward"),
        ValueError,
        "method is 'forward', expected 'complex' or 'central'",
    ),
    "eps": (
        lambda: gradcheck.numerical_gradient(linear(), X, eps=0.0),
        ValueError,
        "eps is 0.0, expected a step above 0",
    ),
    "cotangent": (
        lambda: gradcheck.gradcheck(linear(), X, cotangent=X),
        ValueError,
        "cotangent has shape (4, 3), the output (4, 2)",
    ),
    "nan in the output": (
        lambda: gradcheck.gradcheck(nn.Tanh(), X * np.nan),
        ValueError,
        "the output holds nan or inf",
    ),
    "mirror of an unknown class": (lambda: mirror(Unknown()), TypeError, "torch.nn has no twin of Unknown"),
    "mirror of another class of the same name": (
        lambda: mirror(Bilinear()),
        ValueError,
        "Bilinear has parameters",
    ),
    "mirror of long doubles": (
        lambda: mirror(nn.Linear(2, 2, dtype=np.longdouble)),
        TypeError,
        "which torch does not have",
    ),
    "compare other weights": (other_weights, ValueError, "weight differs between model and twin"),
    "compare other shapes": (
        lambda: compare(linear(), torch.nn.Linear(2, 3), X),
        ValueError,
        "weight is (2, 3) in model, (3, 2) in twin",
    ),
    "compare a list": (lambda: compare(linear(), torch.nn.Linear(3, 2), [1.0]), TypeError, "input 0 is list"),
    "compare half a loss": (
        lambda: compare(linear(), torch.nn.Linear(3, 2), X, loss_fn=nn.MSELoss()),
        ValueError,
        "loss_fn, twin_loss_fn and target go together",
    ),
}


@pytest.mark.parametrize(("call", "error", "message"), CASES.values(), ids=CASES.keys())
def test_it_is_refused_and_said_why(call, error, message) -> None:
    with pytest.raises(error, match=re.escape(message)):
        call()


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 25


# ---- and nothing is lost


def test_a_state_that_does_not_fit_leaves_all_weights_as_they_were() -> None:
    model = nn.Sequential(linear(), nn.Linear(2, 2))
    before = {name: value.copy() for name, value in model.state_dict().items()}
    state = {name: value + 1 for name, value in before.items()} | {"1.bias": np.ones(5)}
    with pytest.raises(RuntimeError, match=r"1\.bias"):
        model.load_state_dict(state)
    assert all(np.array_equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_failed_forward_or_backward_leaves_the_model_usable() -> None:
    model = nn.Sequential(linear(), nn.Tanh(), nn.Linear(2, 2))
    with pytest.raises(ValueError, match="input has shape"):
        model(X[:, :2])
    y = model(X)
    with pytest.raises(ValueError, match="dy is"):
        model.backward(y[:1])
    model.zero_grad()
    model(X)
    model.backward(y)
    assert not any(module._saved for module in model.modules())


def test_a_failed_optimizer_leaves_the_parameters_free() -> None:
    p = nn.Parameter(X.copy())
    with pytest.raises(TypeError, match="params holds ndarray"):
        optim.SGD([p, X])
    assert not p.held
    optim.SGD([p])


def test_after_nan_the_history_so_far_is_with_the_caller() -> None:
    model, kept = linear(), []
    loader = DataLoader(TensorDataset(X, CLASSES % 2), 2)
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    def spoil(history) -> None:
        kept.append(history[-1]["epoch"])
        if len(kept) == 2:
            model.weight.data = np.full_like(model.weight.data, np.nan)

    with pytest.raises(FloatingPointError, match="in epoch 3, batch 1"):
        fit(model, nn.CrossEntropyLoss(), optimizer, loader, epochs=5, after_epoch=spoil)
    assert kept == [1, 2]
