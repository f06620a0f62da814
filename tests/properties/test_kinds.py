"""Arguments of other types than the signature says, and other slips: a sentence names them."""

import inspect

import numpy as np
import pytest

from scratch import nn, optim
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
