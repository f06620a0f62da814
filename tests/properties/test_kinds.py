"""Arguments of other types than the signature says, and other slips: a sentence names them."""

import copy
import inspect
import json
import pickle

import numpy as np
import pytest
import torch

import scratch
from scratch import data, nn, optim
from scratch.optim import lr_scheduler
from torch_ref.catalog import LOSSES, MODULES

X = np.ones((4, 3), np.float32)
ONE_OF_EACH = {case.kind: case for case in [*MODULES, *LOSSES]}
OTHERS = (None, "no", [1], 1.5, {}, object(), 1j, b"x", "", (1, 2, 3, 4, 5), True, -1)


@pytest.mark.parametrize("kind", ONE_OF_EACH)
def test_no_argument_of_a_constructor_ends_in_an_error_of_pythons_own(kind) -> None:
    """Nor is a flag or a number that is none taken for one."""
    case, made = ONE_OF_EACH[kind], getattr(nn, kind)
    _, *names = inspect.signature(made.__init__).parameters
    given = dict(zip(names, case.args, strict=False)) | case.kwargs
    for name in [name for name in names if name not in ("args", "kwargs", "modules")]:
        annotation = inspect.signature(made.__init__).parameters[name].annotation
        for value in OTHERS:
            said, at = refusal(made, given | {name: value}), f"{name}={value!r}"
            if said:
                assert hasattr(nn, said.split(":")[0]), at  # of what it is made of, perhaps
            else:
                assert annotation is not bool or value in (True, False), at
                assert annotation is not int or type(value) is int, at
                assert annotation is not float or type(value) in (int, float, bool), at


def refusal(made: type, given: dict) -> str:
    """What it says of these arguments; "" if it takes them."""
    try:
        made(**given)
    except (TypeError, ValueError) as error:
        return str(error)
    return ""


@pytest.mark.parametrize("kind", ONE_OF_EACH)
def test_a_masked_array_is_refused(kind) -> None:
    case = ONE_OF_EACH[kind]
    inputs = case.draw(np.float64)
    for at, x in enumerate(inputs):
        if isinstance(x, np.ndarray) and kind not in ("Identity", "Sequential"):
            masked = [np.ma.array(x) if i == at else each for i, each in enumerate(inputs)]
            with pytest.raises(TypeError, match="a masked array of shape"):
                case.make(np.float64)(*masked)


@pytest.mark.parametrize("kind", [case.kind for case in ONE_OF_EACH.values() if case in LOSSES])
@pytest.mark.parametrize("dloss", [None, [1.0], "a", np.ones(1), np.ones((1, 1), np.float32)])
def test_a_gradient_of_a_loss_that_is_none_is_refused(kind, dloss) -> None:
    case = next(c for c in LOSSES if c.kind == kind and c.kwargs.get("reduction", "mean") == "mean")
    loss_fn = case.make(np.float64)
    loss_fn(*case.draw(np.float64))
    with pytest.raises(
        ValueError, match=rf"{kind}\.backward: .* needs the gradient of the loss, float64 \(\)"
    ):
        loss_fn.backward(dloss)
    loss_fn.backward()


def test_a_gradient_of_losses_in_another_dtype_is_refused() -> None:
    loss_fn = nn.MSELoss(reduction="none")
    loss_fn(X, X)
    with pytest.raises(ValueError, match=r"float32 \(4, 3\); got float64 \(4, 3\)"):
        loss_fn.backward(np.ones((4, 3)))
    loss_fn.backward(np.ones_like(X))


def linear() -> nn.Module:
    return nn.Linear(3, 2)


def adam(**options) -> optim.Optimizer:
    return optim.Adam(linear().parameters(), **options)


SLIPS = {
    "half a size": (lambda: nn.Linear(7 / 2, 3), "Linear: in_features is 3.5, expected an integer"),
    "a float size": (lambda: nn.Linear(4 / 2, 3), "Linear: in_features is 2.0, expected an integer"),
    "a flag": (
        lambda: nn.MaxPool2d(2, ceil_mode="a"),
        "MaxPool2d: ceil_mode is 'a', expected True or False",
    ),
    "two sizes": (
        lambda: nn.Conv2d(1, 1, "3"),
        "Conv2d: kernel_size is '3', expected an integer or a tuple of integers",
    ),
    "a dtype": (lambda: nn.Linear(1, 1, dtype="x"), "Linear: dtype is 'x', expected a dtype of floating"),
    "channels": (lambda: nn.Conv1d(-1, 2, 3), "Conv1d: in_channels is -1, expected 0 or more"),
    "pad with None": (lambda: nn.ConstantPad1d(1, None), "ConstantPad1d: value is None, expected a number"),
    "norm of inf": (lambda: nn.LPPool1d(np.inf, 2), "LPPool1d: norm_type is inf, expected a finite number"),
    "BCE target 9": (
        lambda: nn.BCELoss()(np.full(2, 0.5), np.array([9.0, -3.0])),
        "BCELoss: target runs from -3.0 to 9.0, expected probabilities from 0 to 1",
    ),
    "BCE target nan": (lambda: nn.BCELoss()(np.full(1, 0.5), np.array([np.nan])), "target runs from nan"),
    "Dropout of integers": (lambda: nn.Dropout()(np.ones(3, int)), "input is int64, expected floating"),
    "state None": (lambda: linear().load_state_dict(None), "state_dict is a NoneType, expected a mapping"),
    "state by numbers": (lambda: linear().load_state_dict({1: X}), "unexpected keys: 1"),
    "optimizer of None": (lambda: optim.SGD(None), "SGD: params is a NoneType, expected an iterable"),
    "optimizer's state None": (lambda: adam().load_state_dict(None), "state_dict is a NoneType, expected"),
    "lr as text": (lambda: adam(lr="0.1"), "Adam: lr is '0.1', expected a number"),
    "one beta": (lambda: adam(betas=(0.9,)), "Adam: betas is (0.9,), expected 2 in a tuple or list"),
    "amsgrad as text": (lambda: adam(amsgrad="no"), "Adam: amsgrad is 'no', expected True or False"),
    "gamma as text": (lambda: lr_scheduler.StepLR(adam(), 2, "x"), "gamma is 'x', expected a number"),
    "half a step": (lambda: lr_scheduler.StepLR(adam(), 2.5), "step_size is 2.5, expected an integer"),
    "a size of 31 digits": (lambda: nn.Linear(10**30, 2), "expected an integer, of less than 10 digits"),
    "arguments of none": (lambda: nn.Tanh(3), "Tanh: argument 0 is 3, expected no arguments"),
    "too many arguments": (lambda: nn.Linear(1, 2, True, np.float32, 5), "Linear: too many positional"),
    "an infinite slope": (lambda: nn.LeakyReLU(np.inf), "negative_slope is inf, expected a finite number"),
    "no activation": (lambda: nn.TransformerEncoderLayer(4, 2, activation=None), "expected 'relu', 'gelu'"),
    "no encoder": (lambda: nn.Transformer(4, 2, custom_encoder=3), "custom_encoder is 3, expected Module or"),
    "weights of texts": (lambda: nn.BCELoss(np.array(["a"])), "expected an array of numbers or None"),
    "other weights": (lambda: nn.BCELoss(np.ones(2))(X, X), "weight has shape (2,), input (4, 3)"),
    "a scale of nan": (lambda: nn.Upsample(scale_factor=np.nan), "scale_factor is nan, expected a finite"),
    "no channels": (lambda: nn.Conv1d(1, 0, 1), "Conv1d: out_channels is 0, expected 1 or more"),
    "a pool of texts": (lambda: nn.MaxPool1d(1)(X.astype(str)), "input is <U32, expected floating numbers"),
    "softmax of nothing": (lambda: nn.Softmax(1)(X[:, :0]), "expected a number or more along axis 1"),
    "half a state": (lambda: nn.LSTMCell(3, 2)(X, (None, X[:, :2])), "hx holds NoneType, expected a tuple"),
    "eps below 0": (lambda: nn.BatchNorm1d(3, eps=-1.0), "BatchNorm1d: eps is -1.0, expected 0 or more"),
    "a group of None": (lambda: optim.SGD([{"params": None}]), "SGD: params is a NoneType, expected an"),
    "a group without params": (lambda: optim.SGD([{"lr": 1}]), "SGD: param_group is ['lr'], expected a dict"),
    "a step of text": (
        lambda: adam().load_state_dict(adam().state_dict() | {"state": {0: {"step": "a"}}}),
        "Adam.load_state_dict: step of parameter 0 is 'a', expected a number",
    ),
    "a metric of None": (
        lambda: lr_scheduler.ReduceLROnPlateau(adam()).step(None),
        "ReduceLROnPlateau.step: metrics is None, expected a number",
    ),
    "a number for a function": (lambda: lr_scheduler.LambdaLR(adam(), 3), "lr_lambda is 3, expected"),
    "a state without a rate": (
        lambda: lr_scheduler.StepLR(adam(), 2).load_state_dict(
            lr_scheduler.StepLR(adam(), 2).state_dict() | {"step_size": 0}
        ),
        "StepLR.load_state_dict: no rate can be computed from this state",
    ),
    "a norm below 0": (lambda: nn.EmbeddingBag(3, 2, max_norm=-1.0), "EmbeddingBag: max_norm is -1.0,"),
    "a number of lengths": (lambda: data.random_split([1, 2], 2), "random_split: lengths is 2, expected"),
    "lengths as text": (lambda: data.random_split([1, 2], "11"), "random_split: lengths is '11', expected"),
    "ragged indices": (lambda: data.Subset([1, 2], [[0], [1, 2]]), "Subset: indices is [[0], [1, 2]],"),
    "a class of samples": (lambda: data.DataLoader(list), "DataLoader: dataset is a type, expected one with"),
    "a batch of 31 digits": (lambda: data.DataLoader([1], 10**30), "expected a positive integer"),
    "samples of two kinds": (lambda: data.default_collate([(1, 2), 3]), "samples are a tuple and a int"),
    "other keys": (lambda: data.default_collate([{"x": 1}, {"y": 1}]), "samples have keys"),
    "no samples": (lambda: data.default_collate([]), "default_collate: samples is [], expected a list"),
    "scheduler's state None": (
        lambda: lr_scheduler.StepLR(adam(), 2).load_state_dict(None),
        "StepLR.load_state_dict: state_dict is a NoneType, expected a dict",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("slip", "message"), SLIPS.values(), ids=SLIPS)
def test_an_everyday_slip_is_named(slip, message) -> None:
    with pytest.raises((TypeError, ValueError, RuntimeError)) as refused:
        slip()
    assert message in str(refused.value)


def test_a_list_stands_for_a_tuple_and_numpys_numbers_for_pythons() -> None:
    assert nn.Conv2d(1, np.int64(2), [3, 3], stride=np.int32(1))(np.ones((1, 4, 4), np.float32)).shape == (
        2,
        2,
        2,
    )
    nn.Dropout(np.float32(0.5))
    nn.Linear(1, 1, bias=0)


def test_a_flatten_backward_of_another_shape_or_dtype_is_refused() -> None:
    flatten = nn.Flatten()
    flatten(np.ones((2, 2, 3), np.float32))
    for wrong in (np.ones((2, 7), np.float32), np.ones((2, 6)), np.ones((2, 2, 3), np.float32)):
        with pytest.raises(
            ValueError, match=r"Flatten\.backward: dy is float\d\d \(.*\), but y was float32 \(2, 6\)"
        ):
            flatten.backward(wrong)
    assert flatten.backward(np.ones((2, 6), np.float32)).shape == (2, 2, 3)


# ---- what a fuzzing found, beside what it refuses


def test_a_scheduler_can_be_copied_and_goes_on_alike() -> None:
    scheduler = lr_scheduler.StepLR(adam(), 1)
    twin = copy.deepcopy(scheduler)
    for each in (scheduler, twin, pickle.loads(pickle.dumps(scheduler))):
        each.step()
        assert each.get_last_lr() == pytest.approx([1e-4])


def test_milestones_go_through_json() -> None:
    scheduler, other = (lr_scheduler.MultiStepLR(adam(), [1, 1, 2]) for _ in range(2))
    other.load_state_dict(json.loads(json.dumps(scheduler.state_dict())))
    for each in (scheduler, other):
        each.step()
        assert each.get_last_lr() == pytest.approx([1e-5])


@pytest.mark.parametrize("x", [30.0, 1e4, 1e20, 3e38])
def test_the_slope_of_mish_is_1_at_large_numbers(x) -> None:
    mish = nn.Mish()
    mish(np.array([x], np.float32))
    assert mish.backward(np.ones(1, np.float32)) == 1


@pytest.mark.parametrize("strides", [(0, 4, 1), (20, 0, 1), (1, 0, 4), (0, 1, 4), (8, 2, 0), (0, 0, 0)])
def test_the_mask_of_an_array_that_was_broadcast_is_torchs(strides) -> None:
    theirs = torch.ones(100).as_strided((2, 4, 3), strides)
    ours = np.lib.stride_tricks.as_strided(np.ones(100, np.float32), (2, 4, 3), [4 * n for n in strides])
    scratch.manual_seed(0)
    torch.manual_seed(0)
    assert np.array_equal(nn.Dropout()(ours), torch.nn.Dropout()(theirs).numpy())


def test_an_infinite_distance_is_far_enough() -> None:
    loss_fn = nn.HingeEmbeddingLoss()
    assert loss_fn(np.array([np.inf, 1.0]), np.array([-1.0, 1.0])) == 0.5


@pytest.mark.parametrize("kind", ["TransformerEncoderLayer", "TransformerDecoderLayer", "Transformer"])
def test_a_refused_gradient_of_a_transformer_loses_no_forward(kind) -> None:
    module = next(case for case in MODULES if case.kind == kind).make(np.float32)
    y = module(*next(case for case in MODULES if case.kind == kind).draw(np.float32))
    for wrong in (None, y[..., :1], y.astype(np.float64)):
        with pytest.raises((TypeError, ValueError), match=rf"{kind}\.backward: dy is"):
            module.backward(wrong)
    module.backward(y)
