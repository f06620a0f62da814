"""Every module and loss of the catalog: against torch, against the complex step, and as DESIGN promises.

A property of a formula is tried on every configuration; a property of Module, or of a checker, on the first
configuration of each kind.
"""

import copy
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import scratch
from all_in_one import all_in_one, dtypes
from rounding import (
    arrays,
    assert_agree,
    assert_torch_agrees,
    backward,
    each,
    gradients,
    noise,
    numpy_pass,
    same_draws,
    shakes,
)
from sampled import one_in
from scratch import gradcheck, nn, random
from scratch.gradcheck import named
from scratch.nested import leaves, unflatten_as
from torch_ref import compare, mirror
from torch_ref.adapters import Holding
from torch_ref.catalog import LOSSES, MODULES, OPTIMIZERS, Case, first_of_each_kind

WITH_PARAMETERS = [case for case in MODULES if list(case.make(np.float32).parameters())]
KINDS = first_of_each_kind(MODULES + LOSSES)
# A recurrent layer draws only in some configurations.
RANDOM = [
    case for case in first_of_each_kind(case for case in MODULES if case.is_random) if case not in KINDS
]
KINDS_WITH_PARAMETERS = first_of_each_kind(WITH_PARAMETERS)
STEPPING = {case.kind: case for case in OPTIMIZERS}
KINDS_WITH_STATE = first_of_each_kind(case for case in MODULES + LOSSES if case.make(np.float32).state_dict())

# What torch warns of: that "mean" is not the divergence.
pytestmark = pytest.mark.filterwarnings("ignore:reduction. 'mean' divides the total loss")

# The first of each kind and one in ten of the others in the suite, the rest in make long.
modules = pytest.mark.parametrize("case", one_in(10, MODULES, lambda case: case.name, always=KINDS))
losses = pytest.mark.parametrize("case", one_in(10, LOSSES, lambda case: case.name, always=KINDS))
many = pytest.mark.parametrize("case", one_in(10, MODULES + LOSSES, lambda case: case.name, always=KINDS))
everything = pytest.mark.parametrize("case", MODULES + LOSSES, ids=lambda case: case.name)
# The first of each kind; all others, and the one with thousands of entries, in the campaign.
entry_by_entry = pytest.mark.parametrize(
    "case",
    [
        pytest.param(
            case,
            marks=[] if case in KINDS and case.kind != "Transformer" else pytest.mark.campaign,
            id=case.name,
        )
        for case in MODULES
    ],
)
with_parameters = pytest.mark.parametrize("case", WITH_PARAMETERS, ids=lambda case: case.name)
kinds = pytest.mark.parametrize("case", KINDS, ids=lambda case: case.name)
kinds_with_parameters = pytest.mark.parametrize("case", KINDS_WITH_PARAMETERS, ids=lambda case: case.name)


@pytest.fixture(autouse=True)
def seed() -> None:
    """Weights and dropout masks are those of seed 0."""
    scratch.manual_seed(0)
    torch.manual_seed(0)


def held(case: Case) -> tuple[int, ...]:
    """Which input has no gradient: a loss's target."""
    return () if case.target is None else (case.target,)


# ---- the numbers


# Where torch's backward has a constant in float32 whatever the dtype: 1/6, and CELU's alpha.
WRONG_IN_TORCH = {"float64": {"Hardsigmoid()", "CELU(alpha=0.3)"}}


@entry_by_entry
@dtypes
def test_outputs_and_gradients_are_those_of_torch_and_of_the_complex_step(case, dtype) -> None:
    module = case.make(dtype)
    result = compare(module, mirror(module), *case.draw(dtype))
    if case.name in WRONG_IN_TORCH.get(np.dtype(dtype).name, ()):
        assert result
        assert result.frame["verdict"].tolist() == ["agree", "agree, but for PyTorch's rounding to float32"]
        assert result.frame["relative"].max() < 1e-7
        return
    assert result, str(result)
    outputs = named("output", arrays(copy.deepcopy(module)(*case.draw(dtype))))
    given = named("input", arrays(case.draw(dtype)))
    inputs = [name for name, array in given.items() if array.dtype.kind == "f"]
    buffers = (f"buffer {name}" for name, b in module.named_buffers() if b.dtype.kind == "f")
    inner = [*outputs, *buffers]
    rows = [*inner, *inputs, *(name for name, _ in module.named_parameters())]
    assert result.frame["tensor"].tolist() == rows
    # The detection limit is 1e-4 in float32, and 1e-13 in float64.
    assert result.frame["detection_limit"].max() < 1000 * np.finfo(dtype).eps
    assert result.frame["torch_numeric"][len(inner) :].notna().all()


@everything
@dtypes
def test_outputs_and_gradients_are_those_of_torch(case, dtype) -> None:
    if case.name in WRONG_IN_TORCH.get(np.dtype(dtype).name, ()):
        pytest.skip("torch's gradient has a constant of float32")
    assert_torch_agrees(case.make(dtype), *case.draw(dtype), held=held(case))


@losses
@dtypes
def test_the_gradient_of_a_loss_is_that_of_the_complex_step(case, dtype) -> None:
    inputs, at = case.draw(dtype), case.target
    loss_fn = case.make(dtype)
    others = [x for i, x in enumerate(inputs) if i != at]
    assert (
        result := gradcheck.gradcheck(Holding(loss_fn, {} if at is None else {at: inputs[at]}), *others)
    ), str(result)
    if loss_fn.reduction != "none" and at == len(others) == 1:
        result = gradcheck.gradcheck(nn.Identity(), *others, loss_fn=loss_fn, target=inputs[at])
        assert result, str(result)


@modules
def test_along_random_directions_the_gradients_are_those_of_the_complex_step(case) -> None:
    found = gradcheck.check_directions(case.make(np.float64), *case.draw(np.float64))
    assert found, str(found)
    assert (found.slopes, found.method) == (2, "complex step")


@entry_by_entry
@dtypes
def test_gradcheck_passes(case, dtype) -> None:
    result = gradcheck.gradcheck(case.make(dtype), *case.draw(dtype))
    assert result, str(result)


@many
@all_in_one("dtype", {"longdouble": np.longdouble, "complex128": np.complex128})
def test_forward_and_backward_run_in_longdouble_and_complex(case, dtype) -> None:
    inputs, module = case.draw(np.float64), case.make(np.float64)
    scratch.manual_seed(1)
    expected = numpy_pass(module, inputs)

    scratch.manual_seed(0)
    wide = case.make(dtype)
    real = np.dtype(dtype).type(0).real.dtype
    # A loss's target stays real.
    dtypes = [real if i == case.target else dtype for i in range(len(inputs))]
    cast = tuple(
        each(value, lambda a, d=d: a.astype(d) if a.dtype.kind == "f" else a)
        for value, d in zip(inputs, dtypes, strict=True)
    )
    scratch.manual_seed(1)
    found = numpy_pass(wide, cast, lambda y: noise(y.real.astype(np.float64)).astype(dtype))
    for group, others in zip(found[:2], expected[:2], strict=True):
        for i, (a, b) in enumerate(zip(group, others, strict=True)):
            assert a.dtype == (dtype if b.dtype.kind == "f" else b.dtype)
            group[i] = a.real.astype(b.dtype)
    assert_agree(
        found, expected, (numpy_pass(module, inputs, shake=shake, held=held(case)) for shake in shakes())
    )


# ---- what forward leaves behind

LAYOUTS = {
    "columns first": lambda x: np.array(x, order="F"),
    "backwards": lambda x: np.flip(np.flip(x).copy()) if x.ndim else x,
    "every second number": lambda x: np.stack([x, x], axis=-1)[..., 0],
}


@many
@all_in_one("layout", LAYOUTS)
def test_inputs_of_any_layout_give_the_same_and_stay_as_they_are(case, layout) -> None:
    if case.is_random and layout is LAYOUTS["columns first"]:
        pytest.skip("masks are drawn in the order of memory, see tests/scratch/test_norms.py")
    module, inputs = case.make(np.float64), case.draw(np.float64)

    def read_only(array: np.ndarray) -> np.ndarray:
        array.flags.writeable = array.ndim == 0
        return array

    def views_of(value: Any) -> Any:
        return each(value, lambda x: read_only(layout(x)))

    views = views_of(inputs)
    again = numpy_pass(module, views, lambda y: views_of(noise(y)))
    # BLAS may add up in another order.
    runs = (numpy_pass(module, inputs, shake=shake, held=held(case)) for shake in shakes())
    assert_agree(again, numpy_pass(module, inputs), runs)
    for view, x in zip(arrays(views), arrays(inputs), strict=True):
        np.testing.assert_array_equal(view, x)


@pytest.mark.parametrize("case", KINDS + RANDOM, ids=lambda case: case.name)
@all_in_one("training", {"training": True, "evaluation": False})
def test_only_what_says_so_draws_random_numbers_and_only_in_training(case, training) -> None:
    module = case.make(np.float32).train(training)
    before = random.get_rng_state()
    backward(module, noise(module(*case.draw(np.float32))))
    moved = not np.array_equal(before, random.get_rng_state())
    assert moved == (case.is_random and training)


@kinds
def test_a_module_used_twice_in_one_pass_is_right_twice(case) -> None:
    module = case.make(np.float64)
    first, second = case.draw(np.float64, seed=2), case.draw(np.float64, seed=3)

    scratch.manual_seed(1)
    alone = []
    for seed, inputs in enumerate((first, second)):
        y = module(*inputs)
        alone.append((arrays(backward(module, noise(y, seed))), gradients(module)))
        module.zero_grad()

    scratch.manual_seed(1)
    a, b = module(*first), module(*second)
    db = arrays(backward(module, noise(b, 1)))
    da = arrays(backward(module, noise(a, 0)))
    for together, apart in zip(da + db, alone[0][0] + alone[1][0], strict=True):
        np.testing.assert_array_equal(together, apart)
    for both, one, other in zip(gradients(module), alone[0][1], alone[1][1], strict=True):
        np.testing.assert_array_equal(both, other + one)


@kinds
def test_each_backward_needs_a_forward_outside_of_no_grad(case) -> None:
    if case.kind == "Identity":
        pytest.skip("keeps nothing")
    module, inputs = case.make(np.float32), case.draw(np.float32)
    with scratch.no_grad():
        y = module(*inputs)
    with pytest.raises(RuntimeError, match="called without a matching forward"):
        backward(module, noise(y))
    module(*inputs)
    backward(module, noise(y))
    with pytest.raises(RuntimeError, match=rf"{case.kind}\.backward: called without a matching forward"):
        backward(module, noise(y))


@kinds
@dtypes
def test_evaluation_without_gradients_gives_the_same_output(case, dtype) -> None:
    module, inputs = case.make(dtype).eval(), case.draw(dtype)
    y = module(*inputs)
    with scratch.no_grad():
        for again, before in zip(arrays(module(*inputs)), arrays(y), strict=True):
            np.testing.assert_array_equal(again, before)
    if case.kind == "Dropout":
        np.testing.assert_array_equal(y, *inputs)


@pytest.mark.parametrize("case", first_of_each_kind(MODULES), ids=lambda case: case.name)
@dtypes
def test_backward_refuses_a_gradient_of_another_shape_or_dtype(case, dtype) -> None:
    if case.kind in ("Identity", "Flatten"):
        pytest.skip("passes any gradient on")
    module = case.make(dtype)
    dy = noise(module(*case.draw(dtype)))
    for k, (_, array) in enumerate(leaves(dy)):
        if array is None:
            continue
        for other in (array[None], array.astype(np.float16)):
            wrong = unflatten_as(dy, (other if i == k else right for i, (_, right) in enumerate(leaves(dy))))
            told = re.escape(f"{other.dtype} {other.shape}")
            with pytest.raises(ValueError, match=rf"d(\w+) is {told}, but \1 was"):
                backward(copy.deepcopy(module), wrong)
    backward(module, dy)


# ---- parameters


@kinds_with_parameters
def test_gradients_add_up_until_zero_grad(case) -> None:
    module, inputs = case.make(np.float64), case.draw(np.float64)

    def run(backward: Callable[..., Any]) -> None:
        scratch.manual_seed(1)
        dy = noise(module(*inputs))
        backward(*(dy if isinstance(dy, tuple) else (dy,)))

    run(module.backward)
    once = gradients(module)
    run(module.backward_parameters)
    for g, twice in zip(once, gradients(module), strict=True):
        np.testing.assert_array_equal(twice, 2 * g)
    module.zero_grad()
    assert all(p.grad is None for p in module.parameters())
    run(module.backward)
    for g, again in zip(once, gradients(module), strict=True):
        np.testing.assert_array_equal(again, g)


@kinds_with_parameters
def test_a_frozen_parameter_gets_no_gradient_and_the_others_theirs(case) -> None:
    inputs = case.draw(np.float64)

    def run(frozen: str = "") -> dict[str, np.ndarray]:
        scratch.manual_seed(0)
        module = case.make(np.float64)
        for name, p in module.named_parameters():
            p.requires_grad_(name != frozen)
        dx = named("input", arrays(backward(module, noise(module(*inputs)))))
        return dx | {name: p.grad for name, p in module.named_parameters()}

    expected = run()
    for frozen, _ in case.make(np.float64).named_parameters():
        for name, g in run(frozen).items():
            assert g is None if name == frozen else np.array_equal(g, expected[name])


@pytest.mark.parametrize("case", KINDS_WITH_STATE, ids=lambda case: case.name)
@dtypes
def test_a_state_dict_goes_to_torch_and_back(case, dtype) -> None:
    module = case.make(dtype)
    state = module.state_dict()
    theirs = mirror(case.make(dtype))
    expected = {key: value.numpy() for key, value in theirs.state_dict().items()}
    assert [(k, v.shape, v.dtype) for k, v in state.items()] == [
        (k, v.shape, v.dtype) for k, v in expected.items()
    ]

    theirs.load_state_dict({key: torch.tensor(value) for key, value in state.items()})
    other = case.make(dtype)
    for _, p in other.named_parameters():
        p.data = noise(p.data)
    other.load_state_dict(theirs.state_dict())
    for key, value in state.items():
        np.testing.assert_array_equal(theirs.state_dict()[key].numpy(), value)
        np.testing.assert_array_equal(other.state_dict()[key], value)
        assert not np.shares_memory(other.state_dict()[key], value)


@same_draws
@with_parameters
@dtypes
def test_the_same_seed_gives_the_same_weights(case, dtype) -> None:
    ours = getattr(nn, case.kind)(*case.args, **case.kwargs, dtype=dtype)
    theirs = getattr(torch.nn, case.kind)(
        *case.args, **case.kwargs, dtype=getattr(torch, np.dtype(dtype).name)
    )
    expected = dict(theirs.named_parameters())
    assert [name for name, _ in ours.named_parameters()] == list(expected)
    for name, p in ours.named_parameters():
        assert p.dtype == dtype
        assert p.data.tobytes() == expected[name].detach().numpy().tobytes(), f"{name} differs in some bit"
    np.testing.assert_array_equal(random.get_rng_state(), torch.get_rng_state().numpy())


@kinds_with_parameters
@dtypes
def test_a_mirror_lies_on_the_same_memory(case, dtype) -> None:
    module = case.make(dtype)
    twin = mirror(module)
    for name, p in module.named_parameters():
        tensor = twin.get_parameter(name)
        assert tensor.data_ptr() == p.data.ctypes.data
        p.data[...] = 3
        assert bool((tensor == 3).all())
        with torch.no_grad():
            tensor.fill_(5)
        assert np.all(p.data == 5)


@pytest.mark.parametrize(
    ("case", "optimizer"),
    [(case, STEPPING["SGD"]) for case in KINDS_WITH_PARAMETERS]
    + [(KINDS_WITH_PARAMETERS[0], other) for kind, other in STEPPING.items() if kind != "SGD"],
    ids=lambda case: case.name if isinstance(case, Case) else case.kind,
)
def test_a_step_on_either_side_is_a_step_on_both(case, optimizer) -> None:
    module, inputs = case.make(np.float64), case.draw(np.float64)
    twin = mirror(module)
    ours, theirs = optimizer.make(module.parameters()), optimizer.make_torch(twin.parameters())
    for step in ("ours", "theirs"):
        before = [p.data.copy() for p in module.parameters()]
        if step == "ours":
            backward(module, noise(module(*inputs)))
            ours.step()
        else:
            sum(y.square().sum() for _, y in leaves(twin(*each(inputs, torch.from_numpy)))).backward()
            theirs.step()
        for (name, p), old in zip(module.named_parameters(), before, strict=True):
            grad = p.grad if step == "ours" else twin.get_parameter(name).grad.numpy()
            moved = p.data != old
            assert np.any(moved)
            # The bias of an attention's keys has a gradient of 0, and both sides have its noise.
            assert np.all(moved | (np.abs(grad) <= 64 * np.finfo(np.float64).eps * np.max(np.abs(grad))))
            np.testing.assert_array_equal(twin.get_parameter(name).detach().numpy(), p.data)


def test_the_mirror_computes_in_the_mode_of_the_module() -> None:
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(3, 2)).eval()
    assert [m.training for m in mirror(model).modules()] == [False] * 3
    model[0].train()
    assert [m.training for m in mirror(model).modules()] == [False, True, False]


# ---- where the catalog's random inputs do not come


EDGES = np.array([-np.inf, -800.0, -1e-300, -0.0, 0.0, 1e-300, 800.0, np.inf, np.nan])


@pytest.mark.parametrize("kind", ["ReLU", "LeakyReLU", "Sigmoid", "Tanh"])
@dtypes
def test_zeros_infinities_and_nan_are_treated_as_torch_treats_them(kind, dtype) -> None:
    module, x = getattr(nn, kind)(), EDGES.astype(dtype)
    tensor = torch.tensor(x, requires_grad=True)
    y = mirror(module)(tensor)
    y.sum().backward()
    # sigmoid(-800) is 0 in torch and the smallest normal number or less here. Where the output is nan, ReLU's
    # gradient is 1 in torch and 0 here, and nobody's number.
    tiny, number = np.finfo(dtype).tiny, ~np.isnan(x)
    np.testing.assert_allclose(module(x), y.detach().numpy(), rtol=0, atol=tiny)
    dx = module.backward(np.ones_like(x))
    np.testing.assert_allclose(dx[number], tensor.grad.numpy()[number], rtol=0, atol=tiny)


@pytest.mark.parametrize(
    ("kind", "x", "target"),
    [
        ("L1Loss", [0.0, -0.0, 1.0], [0.0, 0.0, 1.0]),
        ("BCELoss", [0.0, 1.0, 0.0, 1.0, 1e-45, 1e-14], [0.0, 1.0, 1.0, 0.0, 1.0, 0.5]),
        ("BCEWithLogitsLoss", [0.0, -0.0, 800.0, -800.0, 90.0, -90.0], [1.0, 0.5, 0.0, 1.0, 1.0, 0.0]),
    ],
    ids=["L1Loss", "BCELoss", "BCEWithLogitsLoss"],
)
@dtypes
def test_a_loss_at_its_limits_is_torchs(kind, x, target, dtype) -> None:
    loss_fn = getattr(nn, kind)(reduction="none")
    x, target = np.array(x, dtype), np.array(target, dtype)
    tensor = torch.tensor(x, requires_grad=True)
    expected = mirror(loss_fn)(tensor, torch.tensor(target))
    expected.sum().backward()
    close = {"rtol": 4 * np.finfo(dtype).eps, "atol": 1e-38}
    np.testing.assert_allclose(loss_fn(x, target), expected.detach().numpy(), **close)
    np.testing.assert_allclose(loss_fn.backward(np.ones_like(x)), tensor.grad.numpy(), **close)


@dtypes
def test_scores_that_are_hundreds_apart_cost_no_digit(dtype) -> None:
    x = np.array([[0.0, 800.0, -800.0], [5.0, 5.0, 5.0], [-1e30, 0.0, 1.0]], dtype)
    target = np.array([0, 1, 0])
    loss_fn = nn.CrossEntropyLoss(reduction="none")
    tensor = torch.tensor(x, requires_grad=True)
    expected = torch.nn.CrossEntropyLoss(reduction="none")(tensor, torch.tensor(target))
    expected.sum().backward()
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(loss_fn(x, target), expected.detach().numpy(), rtol=4 * eps)
    np.testing.assert_allclose(loss_fn.backward(np.ones(3, dtype)), tensor.grad.numpy(), rtol=4 * eps)


@pytest.mark.parametrize("kind", ["NLLLoss", "CrossEntropyLoss"])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "uint64"])
def test_classes_may_be_integers_of_any_size(kind, dtype) -> None:
    rng = np.random.default_rng(0)
    x, target = rng.standard_normal((300, 10)), rng.integers(0, 10, 300)
    expected, loss_fn = getattr(nn, kind)(), getattr(nn, kind)()
    assert loss_fn(x, target.astype(dtype)) == expected(x, target)
    np.testing.assert_array_equal(loss_fn.backward(), expected.backward())


@pytest.mark.parametrize("kind", ["NLLLoss", "CrossEntropyLoss"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weight", [None, [0.5, 2.0, 1.0]], ids=["unweighted", "weighted"])
def test_a_batch_of_ignored_classes_is_torchs(kind, reduction, weight) -> None:
    x = np.random.default_rng(0).standard_normal((2, 3))
    target = np.full(2, -100)
    loss_fn = getattr(nn, kind)(weight=None if weight is None else np.array(weight), reduction=reduction)
    tensor = torch.tensor(x, requires_grad=True)
    expected = mirror(loss_fn)(tensor, torch.tensor(target))
    expected.sum().backward()
    loss = loss_fn(x, target)
    np.testing.assert_array_equal(loss, expected.detach().numpy())
    np.testing.assert_array_equal(loss_fn.backward(np.ones_like(loss)), tensor.grad.numpy())
