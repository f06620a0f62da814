"""Every module and loss of the catalog: against torch, against the complex step, and as DESIGN promises."""

import copy
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import scratch
from scratch import gradcheck, nn, random
from scratch.gradcheck.numeric import named
from scratch.nested import leaves, unflatten_as
from torch_ref import compare, mirror
from torch_ref.adapters.layers import AgainstTarget
from torch_ref.catalog import LOSSES, MODULES, OPTIMIZERS
from torch_ref.twin.mirror import torch_generator

WITH_PARAMETERS = [case for case in MODULES if list(case.make(np.float32).parameters())]
WITH_STATE = [case for case in MODULES + LOSSES if case.make(np.float32).state_dict()]

# What torch warns of: that "mean" is not the divergence.
pytestmark = pytest.mark.filterwarnings("ignore:reduction. 'mean' divides the total loss")

modules = pytest.mark.parametrize("case", MODULES, ids=lambda case: case.name)
losses = pytest.mark.parametrize("case", LOSSES, ids=lambda case: case.name)
everything = pytest.mark.parametrize("case", MODULES + LOSSES, ids=lambda case: case.name)
with_parameters = pytest.mark.parametrize("case", WITH_PARAMETERS, ids=lambda case: case.name)
with_state = pytest.mark.parametrize("case", WITH_STATE, ids=lambda case: case.name)
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


@pytest.fixture(autouse=True)
def seed() -> None:
    """Weights and dropout masks are those of seed 0."""
    scratch.manual_seed(0)
    torch.manual_seed(0)


def noise(y: Any, seed: int = 1) -> Any:
    """A random cotangent: under ones the gradients of softmax would vanish, and with them every error.

    None for integers, which have no gradient.
    """
    rng = np.random.default_rng(seed)

    def draw(y: Any) -> Any:
        return np.asarray(rng.standard_normal(np.shape(y)), y.dtype) if y.dtype.kind in "fc" else None

    return each(y, draw)


def each(value: Any, function: Callable[[Any], Any]) -> Any:
    """``function`` of every array in nested tuples; None stays None."""
    return unflatten_as(value, (None if array is None else function(array) for _, array in leaves(value)))


def backward(module: nn.Module, dy: Any, **options: Any) -> Any:
    """module.backward, of one cotangent for each output."""
    return module.backward(*(dy if isinstance(dy, tuple) else (dy,)), **options)


def assert_close(ours, theirs, roundings: float = 64) -> None:
    """Same dtype and shape, and no entry further off than some roundings of the largest one.

    Integers are the same.
    """
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
    if theirs.dtype.kind != "f":
        np.testing.assert_array_equal(ours, theirs)
        return
    error = np.max(np.abs(ours - theirs), initial=0)
    assert error <= roundings * np.finfo(theirs.dtype).eps * np.max(np.abs(theirs), initial=0)


def arrays(*values) -> list[np.ndarray]:
    """The arrays in values that may be nested; what has no gradient is left out."""
    return [np.asarray(x) for _, x in leaves(values) if x is not None]


def gradients(module: nn.Module) -> list[np.ndarray]:
    return [p.grad.copy() for p in module.parameters()]


# ---- the numbers


# Where torch's backward has a constant in float32 whatever the dtype: 1/6, and CELU's alpha.
WRONG_IN_TORCH = {"float64": {"Hardsigmoid()", "CELU(alpha=0.3)"}}


@modules
@dtypes
def test_outputs_and_gradients_are_those_of_torch_and_of_the_complex_step(case, dtype) -> None:
    module = case.make(dtype)
    result = compare(module, mirror(module), *case.draw(dtype))
    if case.name in WRONG_IN_TORCH.get(np.dtype(dtype).name, ()):
        assert result.frame["verdict"].tolist() == ["agree", "PyTorch is wrong"]
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
    # Nothing here is judged blindly: an error of 1e-4 (float32) or 1e-13 (float64) would have been seen.
    assert result.frame["sensitivity"].max() < 1000 * np.finfo(dtype).eps
    assert result.frame["torch_truth"][len(inner) :].notna().all()


@losses
@dtypes
def test_a_loss_and_its_gradient_are_those_of_torch(case, dtype) -> None:
    inputs = case.draw(dtype)
    loss_fn = case.make(dtype)
    tensors = [torch.tensor(x, requires_grad=i != case.target) for i, x in enumerate(inputs)]
    theirs = mirror(loss_fn)(*tensors)
    loss = loss_fn(*inputs)
    # A sum of at most 60 terms, each of a few operations.
    assert_close(loss, theirs.detach().numpy())
    theirs.backward(torch.tensor(noise(loss)))
    dx = loss_fn.backward(noise(loss))
    gradients = dx if isinstance(dx, tuple) else (dx, None)
    assert len(gradients) == len(inputs)
    for i, (g, tensor) in enumerate(zip(gradients, tensors, strict=True)):
        if i == case.target:
            assert g is None
        else:
            assert_close(g, tensor.grad.numpy())


@losses
@dtypes
def test_the_gradient_of_a_loss_is_that_of_the_complex_step(case, dtype) -> None:
    inputs, at = case.draw(dtype), case.target
    loss_fn = case.make(dtype)
    others = [x for i, x in enumerate(inputs) if i != at]
    assert (
        result := gradcheck.gradcheck(AgainstTarget(loss_fn, None if at is None else inputs[at], at), *others)
    ), str(result)
    if loss_fn.reduction != "none" and at == len(others) == 1:
        result = gradcheck.gradcheck(nn.Identity(), *others, loss_fn=loss_fn, target=inputs[at])
        assert result, str(result)


@modules
@dtypes
def test_both_gradient_checks_pass(case, dtype) -> None:
    module, inputs = case.make(dtype), case.draw(dtype)
    assert (result := gradcheck.gradcheck(module, *inputs)), str(result)
    assert (found := gradcheck.check_directions(module, *inputs)), str(found)
    assert found.forwards == 2


@everything
@pytest.mark.parametrize("dtype", [np.longdouble, np.complex128], ids=["longdouble", "complex128"])
def test_forward_and_backward_run_in_longdouble_and_complex(case, dtype) -> None:
    inputs = case.draw(np.float64)
    module = case.make(np.float64)
    y = each(module(*inputs), np.asarray)
    dx = backward(module, noise(y))

    scratch.manual_seed(0)
    wide = case.make(dtype)
    real = np.dtype(dtype).type(0).real.dtype
    # A loss's target stays real.
    dtypes = [real if i == case.target else dtype for i in range(len(inputs))]
    cast = [
        each(value, lambda a, d=d: a.astype(d) if a.dtype.kind == "f" else a)
        for value, d in zip(inputs, dtypes, strict=True)
    ]
    wide_y = wide(*cast)
    wide_dx = backward(wide, each(noise(y), lambda a: a.astype(dtype)))
    for ours, expected in zip(arrays((wide_y, wide_dx)), arrays((y, dx)), strict=True):
        assert ours.dtype == (dtype if expected.dtype.kind == "f" else expected.dtype)
        assert_close(ours.real.astype(expected.dtype), expected)


# ---- what forward leaves behind

LAYOUTS = {
    "columns first": lambda x: np.array(x, order="F"),
    "backwards": lambda x: np.flip(np.flip(x).copy()) if x.ndim else x,
    "every second number": lambda x: np.stack([x, x], axis=-1)[..., 0],
}


@everything
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_inputs_of_any_layout_give_the_same_and_stay_as_they_are(case, layout, request) -> None:
    if case.is_random and "columns first" in request.node.callspec.id:
        pytest.skip("masks are drawn in the order of memory, see tests/scratch/test_norms.py")
    module, inputs = case.make(np.float64), case.draw(np.float64)
    scratch.manual_seed(1)
    y = module(*inputs)
    dy = noise(y)
    expected = [np.copy(array) for array in arrays((y, backward(module, dy)))]

    views, dy = each(inputs, layout), each(dy, layout)
    for array in arrays((views, dy)):
        array.flags.writeable = array.ndim == 0
    scratch.manual_seed(1)
    again = arrays((module(*views), backward(module, dy)))
    for ours, theirs in zip(again, expected, strict=True):
        # BLAS may add up in another order.
        assert_close(ours, theirs, roundings=8)
    for view, x in zip(arrays(views), arrays(inputs), strict=True):
        np.testing.assert_array_equal(view, x)


@everything
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_only_what_says_so_draws_random_numbers_and_only_in_training(case, training) -> None:
    module = case.make(np.float32).train(training)
    before = random.get_rng_state()
    backward(module, noise(module(*case.draw(np.float32))))
    moved = not np.array_equal(before, random.get_rng_state())
    assert moved == (case.is_random and training)


@everything
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


@everything
def test_each_backward_needs_a_forward_outside_of_no_grad(case) -> None:
    if case.kind == "Identity":
        pytest.skip("keeps nothing")
    module, inputs = case.make(np.float32), case.draw(np.float32)
    with scratch.no_grad():
        y = module(*inputs)
    with pytest.raises(RuntimeError, match="without a matching forward"):
        backward(module, noise(y))
    module(*inputs)
    backward(module, noise(y))
    with pytest.raises(RuntimeError, match=rf"{case.kind}\.backward: called without a matching forward"):
        backward(module, noise(y))


@everything
@dtypes
def test_evaluation_without_gradients_gives_the_same_output(case, dtype) -> None:
    module, inputs = case.make(dtype).eval(), case.draw(dtype)
    y = module(*inputs)
    with scratch.no_grad():
        for again, before in zip(arrays(module(*inputs)), arrays(y), strict=True):
            np.testing.assert_array_equal(again, before)
    if case.kind == "Dropout":
        np.testing.assert_array_equal(y, *inputs)


@modules
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


@with_parameters
def test_gradients_add_up_until_zero_grad(case) -> None:
    module, inputs = case.make(np.float64), case.draw(np.float64)

    def run(**options: Any) -> None:
        scratch.manual_seed(1)
        backward(module, noise(module(*inputs)), **options)

    run()
    once = gradients(module)
    run(needs_input_grad=False)
    for g, twice in zip(once, gradients(module), strict=True):
        np.testing.assert_array_equal(twice, 2 * g)
    module.zero_grad()
    assert all(p.grad is None for p in module.parameters())
    run()
    for g, again in zip(once, gradients(module), strict=True):
        np.testing.assert_array_equal(again, g)


@with_parameters
def test_a_frozen_parameter_gets_no_gradient_and_the_others_theirs(case) -> None:
    inputs = case.draw(np.float64)
    for frozen, _ in case.make(np.float64).named_parameters():
        scratch.manual_seed(0)
        module = case.make(np.float64)
        dict(module.named_parameters())[frozen].requires_grad_(False)
        twin = mirror(module)
        with torch_generator(advance=False):
            dy = noise(module(*inputs))
        backward(module, dy)
        y = twin(*each(inputs, lambda x: torch.tensor(x, requires_grad=x.dtype.kind == "f")))
        if not any(array.requires_grad for _, array in leaves(y)):
            assert all(p.grad is None for p in module.parameters())
            continue
        pairs = zip(leaves(y), leaves(dy), strict=True)
        sum((a * torch.from_numpy(d)).sum() for (_, a), (_, d) in pairs).backward()
        for name, p in module.named_parameters():
            if name == frozen:
                assert p.grad is None
            else:
                assert_close(p.grad, twin.get_parameter(name).grad.numpy())


@with_state
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


@with_parameters
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


@with_parameters
@pytest.mark.parametrize(
    "optimizer", {case.kind: case for case in OPTIMIZERS}.values(), ids=lambda case: case.kind
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
