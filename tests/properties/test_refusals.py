"""More that is refused, by layers, losses, optimizers and checks; and what a refusal leaves as it was."""

import copy
import re

import numpy as np
import pytest
import torch

import scratch
from scratch import gradcheck, nn, optim, random
from scratch.data import DataLoader, TensorDataset
from scratch.optim.lr_scheduler import CosineAnnealingLR, StepLR
from scratch.training import fit, train_step
from torch_ref import compare, mirror

F32, F64 = np.float32, np.float64
NAN = float("nan")
X = np.ones((4, 3), F32)
CLASSES = np.array([0, 1, 2, 0])
OTHER = torch.nn.Linear(3, 2)
FITTING = {"weight": np.ones((2, 3), F32), "bias": np.ones(2, F32)}


def linear() -> nn.Linear:
    return nn.Linear(3, 2)


def parameter(*shape: int) -> nn.Parameter:
    return nn.Parameter(np.ones(shape, F32))


def make(kind: str, **options) -> optim.Optimizer:
    return getattr(optim, kind)(linear().parameters(), **options)


def adam_state() -> dict:
    model = linear()
    optimizer = optim.Adam(model.parameters())
    train_step(model, nn.CrossEntropyLoss(), optimizer, X, CLASSES % 2)
    return copy.deepcopy(optimizer.state_dict())


def load_adam(change) -> None:
    state = adam_state()
    change(state)
    make("Adam").load_state_dict(state)


def used_up() -> None:
    parameters = linear().parameters()
    list(parameters)
    optim.SGD(parameters)


def add_again() -> None:
    p = parameter(2)
    optim.SGD([p]).add_param_group({"params": [p]})


def backward_of_none() -> None:
    loss_fn = nn.CrossEntropyLoss(reduction="none")
    loss_fn(X, CLASSES)
    loss_fn.backward()


def train(x=X, classes=CLASSES % 2, **loss_options) -> None:
    model = linear()
    loader = DataLoader(TensorDataset(x, classes), 2)
    fit(model, nn.CrossEntropyLoss(**loss_options), optim.SGD(model.parameters()), loader, epochs=1)


def backward(module: nn.Module, x: np.ndarray, dy) -> None:
    module(x)
    module.backward(dy)


def compared(*inputs, **options):
    model = nn.Tanh()
    return compare(model, mirror(model), *inputs, **options)


LIST = [[1.0, 2.0, 3.0]]
CASES = {
    # a list or a tensor for an array
    "Sigmoid of a list": (lambda: nn.Sigmoid()(LIST), TypeError, "Sigmoid(): input is a list, expected an"),
    "Softmax of a list": (
        lambda: nn.Softmax(0)(LIST),
        TypeError,
        "Softmax(dim=0): input is a list, expected an",
    ),
    "Dropout of a list": (lambda: nn.Dropout()(LIST), TypeError, "Dropout(p=0.5): input is a list, expected"),
    "Flatten of a list": (
        lambda: nn.Flatten()(LIST),
        TypeError,
        "Flatten(start_dim=1, end_dim=-1): input is a list, expected an array",
    ),
    "Linear of a list": (lambda: linear()(LIST), TypeError, "input is a list, expected an array"),
    "Sequential of a list": (
        lambda: nn.Sequential(linear())(LIST),
        TypeError,
        "Linear(in_features=3, out_features=2, bias=True): input is a list, expected an array",
    ),
    "ReLU of a tensor": (
        lambda: nn.ReLU()(torch.ones(3)),
        TypeError,
        "ReLU(): input is a Tensor, expected an array",
    ),
    "a list of numbers for a target": (
        lambda: nn.MSELoss()(X, X.tolist()),
        TypeError,
        "MSELoss(reduction='mean'): target is a list, expected an array",
    ),
    "a list of classes": (
        lambda: nn.CrossEntropyLoss()(X, CLASSES.tolist()),
        TypeError,
        "target is a list, expected an array",
    ),
    # sizes, axes, probabilities
    "negative out_features": (
        lambda: nn.Linear(3, -1),
        ValueError,
        "Linear: out_features is -1, expected 0 or more",
    ),
    "Linear of integers": (
        lambda: nn.Linear(3, 2, dtype=int),
        TypeError,
        "dtype is <class 'int'>, expected a dtype of floating or complex numbers",
    ),
    "Dropout p below 0": (lambda: nn.Dropout(-0.1), ValueError, "p is -0.1, expected a probability from 0"),
    "Dropout p that is nan": (lambda: nn.Dropout(NAN), ValueError, "p is nan, expected a probability from 0"),
    "no such axis": (
        lambda: nn.LogSoftmax(2)(X),
        ValueError,
        "LogSoftmax(dim=2): input has shape (4, 3), which has no axis 2",
    ),
    "Flatten of one axis": (
        lambda: nn.Flatten()(X[0]),
        ValueError,
        "input has shape (3,), where these axes cannot be joined",
    ),
    # parameters
    "Parameter of booleans": (
        lambda: nn.Parameter(X > 0),
        TypeError,
        "data is an array of bool, expected a NumPy array of floating numbers",
    ),
    "Parameter of a tensor": (
        lambda: nn.Parameter(torch.ones(2)),
        TypeError,
        "data is Tensor, expected a NumPy array",
    ),
    "a number for a gradient": (
        lambda: setattr(parameter(2), "grad", 1.0),
        ValueError,
        "Parameter.grad: got shape (), expected (2,)",
    ),
    "None for data": (
        lambda: setattr(parameter(2), "data", None),
        ValueError,
        "Parameter.data: got shape (), expected (2,)",
    ),
    "a model of integers": (
        lambda: linear().to(int),
        TypeError,
        "data is an array of int64, expected a NumPy",
    ),
    # losses and what they send back
    "a loss backward without forward": (
        lambda: nn.MSELoss().backward(),
        RuntimeError,
        "MSELoss.backward: called without a matching forward",
    ),
    "dy that is a tensor": (
        lambda: backward(linear(), X, torch.ones(4, 2)),
        TypeError,
        "Linear.backward: dy is a Tensor, expected an array: y was float32 (4, 2)",
    ),
    "no dloss without reduction": (
        backward_of_none,
        ValueError,
        "reduction='none' it needs the gradient of the loss, float32 (4,); got float",
    ),
    "reduction None": (
        lambda: nn.L1Loss(reduction=None),
        ValueError,
        "L1Loss: reduction is None, expected 'mean', 'sum' or 'none'",
    ),
    "L1 of another shape": (
        lambda: nn.L1Loss()(X, X[:1]),
        ValueError,
        "L1Loss: input has shape (4, 3), target (1, 3); they are compared element by element",
    ),
    "logits and targets of two dtypes": (
        lambda: nn.BCEWithLogitsLoss()(X, X.astype(F64)),
        TypeError,
        "BCEWithLogitsLoss: input is float32, target float64; convert one of them",
    ),
    "BCE of nan": (
        lambda: nn.BCELoss()(X * np.nan, X),
        ValueError,
        "BCELoss: input runs from nan to nan, expected probabilities from 0 to 1",
    ),
    "boolean classes": (
        lambda: nn.CrossEntropyLoss()(X, CLASSES > 0),
        TypeError,
        "target is bool (4,), expected integers (4,)",
    ),
    "floating classes of NLLLoss": (
        lambda: nn.NLLLoss()(X, CLASSES.astype(F32)),
        TypeError,
        "NLLLoss: target is float32 (4,), expected integers (4,)",
    ),
    "one-hot integers": (
        lambda: nn.CrossEntropyLoss()(X, np.eye(4, 3, dtype=int)),
        ValueError,
        "target has shape (4, 3), expected (4,) for this input",
    ),
    "a column of classes": (
        lambda: nn.CrossEntropyLoss()(X, CLASSES[:, None]),
        ValueError,
        "target has shape (4, 1), expected (4,) for this input",
    ),
    "logits of no axes": (
        lambda: nn.CrossEntropyLoss()(np.array(1, F32), np.array(0)),
        ValueError,
        "input has shape (), expected (C,), (N, C) or (N, C, …)",
    ),
    "smoothing that is nan": (
        lambda: nn.CrossEntropyLoss(label_smoothing=NAN),
        ValueError,
        "label_smoothing is nan, expected 0 to 1",
    ),
    # states
    "all that does not fit is listed": (
        lambda: linear().load_state_dict({"weight": np.ones(4), "gain": X}),
        RuntimeError,
        "size mismatch for weight: the state has (4,), the module (2, 3); missing keys: bias; unexpected "
        "keys: gain",
    ),
    "another shape, not strictly": (
        lambda: linear().load_state_dict({"bias": np.ones(3)}, strict=False),
        RuntimeError,
        "size mismatch for bias: the state has (3,), the module (2,)",
    ),
    "a key without its prefix": (
        lambda: nn.Sequential(linear()).load_state_dict(FITTING),
        RuntimeError,
        "missing keys: 0.weight, 0.bias; unexpected keys: weight, bias",
    ),
    "state of more groups": (
        lambda: load_adam(lambda state: state["param_groups"].append(state["param_groups"][0])),
        ValueError,
        "Adam.load_state_dict: groups of [2, 2] parameters, expected [2]",
    ),
    "state of a parameter that is not there": (
        lambda: load_adam(lambda state: state["state"].update({7: state["state"][0]})),
        ValueError,
        "Adam.load_state_dict: state of parameter 7, expected 0 to 1",
    ),
    "a vector of another shape": (
        lambda: load_adam(lambda state: state["state"][0].update(exp_avg=np.ones(5, F32))),
        ValueError,
        "Adam.load_state_dict: exp_avg of parameter 0 has shape (5,), expected (2, 3)",
    ),
    "a negative rate in the state": (
        lambda: load_adam(lambda state: state["param_groups"][0].update(lr=-1)),
        ValueError,
        "Adam: lr is -1, expected 0 or more",
    ),
    "state of another scheduler": (
        lambda: StepLR(make("SGD"), 1).load_state_dict(CosineAnnealingLR(make("SGD"), 1).state_dict()),
        ValueError,
        "StepLR.load_state_dict: no ['gamma', 'step_size']; is it another scheduler's state?",
    ),
    # optimizers and schedulers
    "weight_decay": (
        lambda: make("AdamW", weight_decay=-1),
        ValueError,
        "AdamW: weight_decay is -1, expected 0 or more",
    ),
    "eps of Adam": (lambda: make("Adam", eps=-1), ValueError, "Adam: eps is -1, expected 0 or more"),
    "alpha": (lambda: make("RMSprop", alpha=-1), ValueError, "RMSprop: alpha is -1, expected 0 or more"),
    "lr_decay": (
        lambda: make("Adagrad", lr_decay=-1),
        ValueError,
        "Adagrad: lr_decay is -1, expected 0 or more",
    ),
    "initial_accumulator_value": (
        lambda: make("Adagrad", initial_accumulator_value=-1),
        ValueError,
        "Adagrad: initial_accumulator_value is -1, expected 0 or more",
    ),
    "betas that are nan": (
        lambda: make("AdamW", betas=(NAN, 0.9)),
        ValueError,
        "AdamW: betas is (nan, 0.9), expected two numbers in [0, 1)",
    ),
    "nesterov with dampening": (
        lambda: make("SGD", momentum=0.9, dampening=0.1, nesterov=True),
        ValueError,
        "nesterov=True with momentum=0.9 and dampening=0.1; expected a momentum above 0 and no dampening",
    ),
    "one parameter bare": (
        lambda: optim.SGD(parameter(2)),
        TypeError,
        "SGD: params is one Parameter, expected an iterable of them",
    ),
    "parameters that were used up": (
        used_up,
        ValueError,
        "SGD: params is empty; is it a generator that was already used up?",
    ),
    "named parameters": (
        lambda: optim.Adam(linear().named_parameters()),
        TypeError,
        "Adam: params holds tuple, expected Parameters",
    ),
    "a parameter in two groups": (add_again, ValueError, "SGD: the parameter of shape (2,) comes twice"),
    "a negative rate in a group": (
        lambda: optim.SGD([{"params": [parameter(2)], "lr": -1}]),
        ValueError,
        "SGD: lr is -1, expected 0 or more",
    ),
    "negative step_size": (
        lambda: StepLR(make("SGD"), -1),
        ValueError,
        "step_size is -1, expected 1 or more",
    ),
    "a cosine of a model": (
        lambda: CosineAnnealingLR(linear(), 3),
        TypeError,
        "CosineAnnealingLR: optimizer is Linear(in_features=3, out_features=2, bias=True), expected Opt",
    ),
    "going on without a beginning": (
        lambda: StepLR(make("SGD"), 1, last_epoch=3),
        KeyError,
        "last_epoch is 3, but group 0 has no initial_lr; load the optimizer's state first",
    ),
    # initialisation
    "nonlinearity": (
        lambda: nn.init.kaiming_uniform_(parameter(3, 3), nonlinearity="gelu"),
        ValueError,
        "nonlinearity is 'gelu', expected one of linear, sigmoid, tanh, relu, selu, leaky_relu",
    ),
    "kaiming of a vector": (
        lambda: nn.init.kaiming_normal_(parameter(3)),
        ValueError,
        "the tensor has shape (3,), expected two axes or more",
    ),
    "a above b": (lambda: nn.init.uniform_(parameter(3), 1, 0), ValueError, "a is 1, b is 0, expected a ≤ b"),
    "negative std": (
        lambda: nn.init.normal_(parameter(3), 0, -1),
        ValueError,
        "std is -1, expected 0 or more",
    ),
    "integers to fill": (
        lambda: nn.init.normal_(CLASSES.copy()),
        TypeError,
        "dtype is int64, expected float32, float64, longdouble or complex",
    ),
    "torch's generator": (
        lambda: nn.init.uniform_(parameter(3), generator=torch.Generator()),
        TypeError,
        "generator is a torch._C.Generator, expected a scratch.random.Generator",
    ),
    # training
    "infinite data": (lambda: train(X * np.inf), FloatingPointError, "the loss is nan in epoch 1, batch 1"),
    "labels above the classes": (
        lambda: train(classes=CLASSES),
        IndexError,
        "target holds class 2, expected 0 to 1",
    ),
    "training by many losses": (
        lambda: train(reduction="none"),
        ValueError,
        "with reduction='none' it needs the gradient of the loss",
    ),
    "no samples": (
        lambda: train(X[:0], CLASSES[:0]),
        ValueError,
        "fit: loader gives no batch: 0 samples by 2",
    ),
    # checks and comparisons
    "gradcheck of a list": (
        lambda: gradcheck.gradcheck(linear(), LIST),
        TypeError,
        "input is a list, expected an array",
    ),
    "target without loss": (
        lambda: gradcheck.gradcheck(linear(), X, target=X),
        ValueError,
        "loss_fn and target go together, and one of them is missing",
    ),
    "directions without a target": (
        lambda: gradcheck.check_directions(linear(), X, loss_fn=nn.MSELoss()),
        ValueError,
        "loss_fn and target go together, and one of them is missing",
    ),
    "gradcheck's method": (
        lambda: gradcheck.gradcheck(linear(), X, method="forward"),
        ValueError,
        "method is 'forward', expected 'complex' or 'central'",
    ),
    "negative step": (
        lambda: gradcheck.gradcheck(linear(), X, eps=-1.0),
        ValueError,
        "eps is -1.0, expected a step above 0",
    ),
    "step that is nan": (
        lambda: gradcheck.gradcheck(linear(), X, eps=NAN),
        ValueError,
        "eps is nan, expected a step above 0",
    ),
    "mirror of nothing": (lambda: mirror(None), TypeError, "mirror: torch.nn has no twin of NoneType"),
    "compare other names": (
        lambda: compare(nn.Sequential(linear()), torch.nn.Linear(3, 2), X),
        ValueError,
        "model has parameters ['0.weight', '0.bias'], twin has ['weight', 'bias']",
    ),
    "compare a tensor": (
        lambda: compared(torch.ones(3)),
        TypeError,
        "compare: input 0 is Tensor, expected a NumPy array",
    ),
    "compare nan": (lambda: compared(X * np.nan), ValueError, "the output holds nan or inf"),
    "compare with a cotangent of a row": (
        lambda: compared(X, cotangent=X[:1]),
        ValueError,
        "cotangent has shape (1, 3), the output (4, 3)",
    ),
    "compare with a target alone": (
        lambda: compared(X, target=X),
        ValueError,
        "loss_fn, twin_loss_fn and target go together, and one of them is missing",
    ),
    "compare by many losses": (
        lambda: compared(X, loss_fn=nn.MSELoss(reduction="none"), twin_loss_fn=torch.nn.MSELoss(), target=X),
        ValueError,
        "loss_fn has reduction='none', expected 'mean' or 'sum'",
    ),
}


@pytest.mark.parametrize(("call", "error", "message"), CASES.values(), ids=CASES.keys())
def test_it_is_refused_and_said_why(call, error, message) -> None:
    with pytest.raises(error, match=re.escape(message)):
        call()


# ---- what a refusal leaves as it was


def gradients(model: nn.Module, x: np.ndarray) -> list[bytes]:
    y = model(x)
    dx = model.backward(np.ones_like(y))
    return [dx.tobytes(), *(p.grad.tobytes() for p in model.parameters())]


@pytest.mark.parametrize("bad", [X[:, :2], X.astype(F64)], ids=["shape", "dtype"])
def test_a_forward_that_fails_half_way_does_not_disturb_the_next(bad) -> None:
    model = nn.Sequential(nn.Tanh(), linear(), nn.Sigmoid())
    expected = gradients(copy.deepcopy(model), X)
    with pytest.raises((TypeError, ValueError)):
        model(bad)
    assert gradients(model, X) == expected


def test_a_refused_dy_adds_nothing_to_the_gradients() -> None:
    model = nn.Sequential(linear(), nn.Tanh())
    expected = gradients(copy.deepcopy(model), X)
    y = model(X)
    with pytest.raises(ValueError, match="dy is float64"):
        model.backward(y.astype(F64))
    assert all(p.grad is None for p in model.parameters())
    assert gradients(model, X) == expected


def test_a_refused_target_leaves_nothing_behind_in_the_loss() -> None:
    loss_fn = nn.CrossEntropyLoss()
    with pytest.raises(IndexError, match="class 3"):
        loss_fn(X, CLASSES + 1)
    with pytest.raises(RuntimeError, match="without a matching forward"):
        loss_fn.backward()


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state["state"][1].update(exp_avg_sq=np.ones(5, F32)),
        lambda state: state["state"].update({7: state["state"][0]}),
        lambda state: state["param_groups"][0].update(betas=[0.5, 2.0]),
        lambda state: state["param_groups"][0].pop("eps"),
    ],
    ids=["a shape", "an index", "betas", "an option less"],
)
def test_a_refused_state_leaves_the_optimizer_as_it_was(change) -> None:
    model = linear()
    optimizer = optim.Adam(model.parameters(), lr=0.5)
    train_step(model, nn.CrossEntropyLoss(), optimizer, X, CLASSES % 2)
    before = repr(optimizer.state_dict())
    state = adam_state()
    change(state)
    with pytest.raises(ValueError, match="Adam"):
        optimizer.load_state_dict(state)
    assert repr(optimizer.state_dict()) == before


def test_a_refused_group_leaves_the_optimizer_and_the_parameter_as_they_were() -> None:
    optimizer, p = make("SGD"), parameter(2)
    with pytest.raises(ValueError, match="lr is -1"):
        optimizer.add_param_group({"params": [p], "lr": -1})
    assert len(optimizer.param_groups) == 1
    assert not p.held
    optimizer.add_param_group({"params": [p]})


def test_a_refused_scheduler_leaves_the_rates_as_they_were() -> None:
    optimizer = make("SGD", lr=0.5)
    before = dict(optimizer.param_groups[0])
    with pytest.raises(ValueError, match="step_size"):
        StepLR(optimizer, 0)
    with pytest.raises(KeyError, match="initial_lr"):
        StepLR(optimizer, 1, last_epoch=3)
    assert optimizer.param_groups[0] == before


def test_a_refused_scheduler_state_changes_nothing() -> None:
    scheduler = StepLR(make("SGD"), 2)
    before = scheduler.state_dict()
    with pytest.raises(ValueError, match="another scheduler"):
        scheduler.load_state_dict({"gamma": 7.0, "last_epoch": 9})
    assert scheduler.state_dict() == before


@pytest.mark.parametrize(
    "call",
    [
        lambda model: gradcheck.gradcheck(model, X, cotangent=X[:1]),
        lambda model: gradcheck.gradcheck(model, X * np.nan),
        lambda model: gradcheck.gradcheck(model, X, eps=0.0),
        lambda model: compare(model, OTHER, X),
    ],
    ids=["cotangent", "nan", "step", "names"],
)
def test_a_refused_check_leaves_model_and_generators_as_they_were(call) -> None:
    scratch.manual_seed(0)
    model = nn.Sequential(linear(), nn.Dropout(0.5))
    before = {name: value.copy() for name, value in model.state_dict().items()}
    ours, theirs = random.get_rng_state(), torch.get_rng_state()
    with pytest.raises(ValueError, match=r"gradcheck|compare"):
        call(model)
    assert all(np.array_equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert not any(module._saved for module in model.modules())
    assert np.array_equal(random.get_rng_state(), ours)
    assert torch.equal(torch.get_rng_state(), theirs)


def test_a_module_without_a_twin_is_not_held_and_can_still_be_converted() -> None:
    model = nn.Sequential(linear(), type("Unknown", (nn.Module,), {})())
    with pytest.raises(TypeError, match="no twin of Unknown"):
        mirror(model)
    assert model.double()[0].weight.dtype == F64


def test_after_nan_the_model_can_be_trained_again_from_its_last_state() -> None:
    model = linear()
    optimizer, before = optim.SGD(model.parameters(), lr=0.1), copy.deepcopy(model.state_dict())
    with pytest.raises(FloatingPointError):
        fit(
            model,
            nn.CrossEntropyLoss(),
            optimizer,
            DataLoader(TensorDataset(X * np.nan, CLASSES % 2), 2),
            epochs=1,
        )
    model.load_state_dict(before)
    loader = DataLoader(TensorDataset(X, CLASSES % 2), 2)
    history = fit(model, nn.CrossEntropyLoss(), optimizer, loader, epochs=1)
    assert np.isfinite(history[0]["train_loss"])
