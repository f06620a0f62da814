"""Every optimizer and learning-rate scheduler of the catalog, step for step beside torch's."""

from collections.abc import Iterable

import numpy as np
import pytest
import torch

from scratch import nn, optim
from scratch.optim import lr_scheduler
from torch_ref.catalog import OPTIMIZERS

SHAPES = [(3, 4), (3,), (2, 3), (2,)]
STEPS = 25

optimizers = pytest.mark.parametrize("case", OPTIMIZERS, ids=lambda case: case.name)
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
one_of_each = pytest.mark.parametrize(
    "case", {case.kind: case for case in OPTIMIZERS}.values(), ids=lambda case: case.kind
)


class Side:
    """The same parameters twice, ours and torch's, each on memory of its own, with an optimizer each."""

    def __init__(self, dtype: type = np.float64, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        values = [rng.standard_normal(shape).astype(dtype) for shape in SHAPES]
        self.ours = list(model_of(values).parameters())
        self.theirs = [torch.nn.Parameter(torch.tensor(value)) for value in values]
        self.rng = rng

    def draw_gradients(self, without: Iterable[int] = ()) -> None:
        """Give both the same random gradients, and None to the parameters ``without``."""
        for i, (p, q) in enumerate(zip(self.ours, self.theirs, strict=True)):
            g = self.rng.standard_normal(p.shape).astype(p.dtype)
            p.grad = None if i in without else g
            q.grad = None if i in without else torch.tensor(g)

    def assert_close(self, steps: int = STEPS) -> None:
        """Each step rounds the weight, and the update of about its size, a few times on either side."""
        for p, q in zip(self.ours, self.theirs, strict=True):
            expected = q.detach().numpy()
            bound = 4 * steps * np.finfo(p.dtype).eps * np.max(np.abs(expected))
            assert np.max(np.abs(p.data - expected)) <= bound


def model_of(values: list[np.ndarray]) -> nn.Module:
    """A module with these parameters, end to end."""
    module = nn.Identity()
    for i, value in enumerate(values):
        setattr(module, f"p{i}", nn.Parameter(value.copy()))
    nn.parameter.lay_out(module.parameters())
    return module


def as_torch(state):
    """Our state_dict in torch's types."""
    if isinstance(state, dict):
        return {key: as_torch(value) for key, value in state.items()}
    if isinstance(state, list):
        return [as_torch(value) for value in state]
    return torch.tensor(state) if isinstance(state, np.ndarray | np.generic) else state


# ---- updates


@optimizers
@dtypes
def test_every_step_is_torchs(case, dtype) -> None:
    side = Side(dtype)
    ours, theirs = case.make(side.ours), case.make_torch(side.theirs)
    start = [p.data.copy() for p in side.ours]
    for _ in range(STEPS):
        side.draw_gradients()
        kept = [p.grad.copy() for p in side.ours]
        ours.step()
        theirs.step()
        side.assert_close()
        for p, g in zip(side.ours, kept, strict=True):
            np.testing.assert_array_equal(p.grad, g)
    for p, before in zip(side.ours, start, strict=True):
        assert np.all(p.data != before)


@optimizers
def test_defaults_are_torchs(case) -> None:
    side = Side()
    ours = getattr(optim, case.kind)(side.ours).defaults
    theirs = getattr(torch.optim, case.kind)(side.theirs).defaults
    assert ours == {key: theirs[key] for key in ours}


@optimizers
def test_gradients_of_any_size_and_zero_are_treated_as_torch_treats_them(case) -> None:
    side = Side()
    ours, theirs = case.make(side.ours), case.make_torch(side.theirs)
    for scale in (0.0, 1e-12, 0.0, 1e-6, 1e6, 0.0):
        side.draw_gradients()
        for p, q in zip(side.ours, side.theirs, strict=True):
            p.grad = p.grad * scale
            q.grad *= scale
        ours.step()
        theirs.step()
        side.assert_close()


@optimizers
def test_a_parameter_without_gradient_is_passed_by_and_counts_its_own_steps(case) -> None:
    side = Side()
    ours, theirs = case.make(side.ours), case.make_torch(side.theirs)
    # The second gets its first gradient late, the third pauses, the last never gets any.
    for step in range(STEPS):
        without = {3} | ({1} if step < 5 else set()) | ({2} if 8 <= step < 12 else set())
        side.draw_gradients(without)
        before = side.ours[3].data.copy()
        ours.step()
        theirs.step()
        side.assert_close()
        np.testing.assert_array_equal(side.ours[3].data, before)
    state = ours.state_dict()["state"]
    assert [int(state[i]["step"]) for i in range(3)] == [STEPS, STEPS - 5, STEPS - 4]


@optimizers
def test_frozen_parameters_stay(case) -> None:
    model = nn.Sequential(nn.Linear(3, 4, dtype=np.float64), nn.Tanh(), nn.Linear(4, 2, dtype=np.float64))
    model[0].requires_grad_(False)
    model[2].bias.requires_grad_(False)
    optimizer = case.make(model.parameters())
    before = {key: value.copy() for key, value in model.state_dict().items()}
    x = np.random.default_rng(0).standard_normal((5, 3))
    for _ in range(3):
        optimizer.zero_grad()
        y = model(x)
        model.backward(y)
        optimizer.step()
    changed = {key for key, value in model.state_dict().items() if np.any(value != before[key])}
    assert changed == {"2.weight"}


@optimizers
def test_groups_have_options_of_their_own_and_may_come_later(case) -> None:
    side = Side()

    def groups(params):
        return [{"params": [params[1]]}, {"params": [params[0], params[2]], "lr": 0.01, "weight_decay": 0.2}]

    ours, theirs = case.make(groups(side.ours)), case.make_torch(groups(side.theirs))
    for step in range(STEPS):
        if step == 10:
            ours.add_param_group({"params": side.ours[3], "lr": 0.002})
            theirs.add_param_group({"params": side.theirs[3], "lr": 0.002})
        side.draw_gradients()
        ours.step()
        theirs.step()
        side.assert_close()
    for group, other in zip(ours.param_groups, theirs.param_groups, strict=True):
        assert {k: group[k] for k in ours.defaults} == {k: other[k] for k in ours.defaults}


@one_of_each
def test_a_closure_is_run_once_and_its_loss_comes_back(case) -> None:
    side = Side()
    ours, theirs = case.make(side.ours), case.make_torch(side.theirs)
    calls = []

    def closure() -> float:
        calls.append(1)
        side.draw_gradients()
        return 0.25

    assert ours.step(closure) == 0.25
    theirs.step()
    side.assert_close()
    assert calls == [1]
    assert ours.step() is None


@one_of_each
def test_zero_grad_to_none_passes_by_and_to_zero_steps_on(case) -> None:
    side = Side()
    ours, theirs = case.make(side.ours), case.make_torch(side.theirs)
    for set_to_none in (True, False, False):
        side.draw_gradients()
        ours.step()
        theirs.step()
        ours.zero_grad(set_to_none=set_to_none)
        theirs.zero_grad(set_to_none=set_to_none)
        for p, q in zip(side.ours, side.theirs, strict=True):
            assert (p.grad is None) == (q.grad is None) == set_to_none
            assert set_to_none or not np.any(p.grad)
        ours.step()
        theirs.step()
        side.assert_close()


# ---- state


@optimizers
@pytest.mark.parametrize("late", [False, True], ids=["all have gradients", "one gets its first later"])
def test_a_run_goes_on_in_torch(case, late) -> None:
    side = Side()
    ours, theirs = case.make(side.ours), case.make_torch(side.theirs)
    for _ in range(7):
        side.draw_gradients({1} if late else ())
        ours.step()
    for p, q in zip(side.ours, side.theirs, strict=True):
        q.data = torch.tensor(p.data)
    theirs.load_state_dict(as_torch(ours.state_dict()))
    for _ in range(STEPS - 7):
        side.draw_gradients()
        ours.step()
        theirs.step()
        side.assert_close()


@optimizers
@pytest.mark.parametrize("late", [False, True], ids=["all have gradients", "one gets its first later"])
def test_a_run_of_torchs_goes_on_here(case, late) -> None:
    side = Side()
    ours, theirs = getattr(optim, case.kind)(side.ours), case.make_torch(side.theirs)
    for _ in range(7):
        side.draw_gradients({1} if late else ())
        theirs.step()
    for p, q in zip(side.ours, side.theirs, strict=True):
        p.data = q.detach().numpy()
    ours.load_state_dict(theirs.state_dict())
    for _ in range(STEPS - 7):
        side.draw_gradients()
        ours.step()
        theirs.step()
        side.assert_close()


@optimizers
def test_a_run_goes_on_to_the_same_bits_from_its_own_state(case) -> None:
    one, other = Side(), Side()
    first, second = case.make(one.ours), getattr(optim, case.kind)(other.ours)
    for _ in range(7):
        one.draw_gradients({1})
        first.step()
    for p, q in zip(one.ours, other.ours, strict=True):
        q.data = p.data
    second.load_state_dict(first.state_dict())
    for _ in range(5):
        one.draw_gradients()
        for p, q in zip(one.ours, other.ours, strict=True):
            q.grad = p.grad
        first.step()
        second.step()
    for p, q in zip(one.ours, other.ours, strict=True):
        np.testing.assert_array_equal(p.data, q.data)


@optimizers
def test_state_dicts_have_torchs_keys_and_shapes(case) -> None:
    side = Side()
    ours, theirs = case.make(side.ours), case.make_torch(side.theirs)
    side.draw_gradients({3})
    ours.step()
    theirs.step()
    mine, its = ours.state_dict(), theirs.state_dict()
    assert [group["params"] for group in mine["param_groups"]] == [g["params"] for g in its["param_groups"]]
    for i, entries in its["state"].items():
        expected = {k: tuple(v.shape) for k, v in entries.items() if v is not None and k != "step"}
        got = {k: v.shape for k, v in mine["state"].get(i, {}).items() if k != "step"}
        assert got == expected


# ---- where parameters lie


def test_parameters_that_an_optimizer_holds_are_not_moved() -> None:
    first = nn.Linear(3, 4, dtype=np.float64)
    optimizer = optim.SGD(first.parameters(), lr=1.0)
    weight = first.weight.data
    model = nn.Sequential(first, nn.ReLU(), nn.Linear(4, 2, dtype=np.float64))
    assert model[0].weight.data is weight
    y = model(np.random.default_rng(0).standard_normal((5, 3)))
    model.backward(np.ones_like(y))
    before, gradient = weight.copy(), first.weight.grad
    optimizer.step()
    np.testing.assert_array_equal(model[0].weight.data, before - gradient)


@pytest.mark.parametrize("dtype", [np.float64, np.longdouble, np.complex128], ids=lambda d: d.__name__)
def test_a_model_that_an_optimizer_holds_is_not_converted(dtype) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    optim.SGD(model.parameters())
    before = {key: value.copy() for key, value in model.state_dict().items()}
    with pytest.raises(RuntimeError, match=r"0\.weight is held by an optimizer or a mirror"):
        model.to(dtype)
    for key, value in model.state_dict().items():
        assert value.dtype == np.float32
        np.testing.assert_array_equal(value, before[key])
    assert model.to(np.float32) is model


# ---- learning rates

SCHEDULERS = {
    "StepLR": lambda module, o: module.StepLR(o, step_size=7, gamma=0.5),
    "CosineAnnealingLR": lambda module, o: module.CosineAnnealingLR(o, T_max=12, eta_min=0.003),
    "LambdaLR": lambda module, o: module.LambdaLR(o, lambda epoch: 0.9**epoch),
    "LambdaLR of each group": lambda module, o: module.LambdaLR(o, [lambda e: 0.9**e, lambda e: 1 / (1 + e)]),
}
schedulers = pytest.mark.parametrize("make", SCHEDULERS.values(), ids=SCHEDULERS.keys())


def with_two_rates() -> tuple[optim.SGD, torch.optim.SGD]:
    side = Side()
    ours, theirs = (
        [{"params": params[:2]}, {"params": params[2:], "lr": 0.4}] for params in (side.ours, side.theirs)
    )
    return optim.SGD(ours, lr=0.1), torch.optim.SGD(theirs, lr=0.1)


def rates(optimizer) -> list[float]:
    return [group["lr"] for group in optimizer.param_groups]


def pass_an_epoch(theirs, *all_schedulers) -> None:
    theirs.step()  # torch warns of a scheduler that is stepped before the optimizer
    for scheduler in all_schedulers:
        scheduler.step()


@schedulers
def test_rates_are_torchs_over_fifty_epochs(make) -> None:
    ours, theirs = with_two_rates()
    scheduler, other = make(lr_scheduler, ours), make(torch.optim.lr_scheduler, theirs)
    seen = []
    for _ in range(50):
        assert rates(ours) == scheduler.get_last_lr()
        np.testing.assert_allclose(rates(ours), rates(theirs), rtol=1e-14)
        seen.append(tuple(rates(ours)))
        pass_an_epoch(theirs, scheduler, other)
    assert len(set(seen)) > 5
    assert scheduler.last_epoch == other.last_epoch == 50


@schedulers
def test_a_schedule_goes_on_from_its_state(make) -> None:
    ours, theirs = with_two_rates()
    scheduler, other = make(lr_scheduler, ours), make(torch.optim.lr_scheduler, theirs)
    for _ in range(17):
        pass_an_epoch(theirs, scheduler, other)
    for source in (scheduler, other):  # ours and torch's
        resumed, _ = with_two_rates()
        again = make(lr_scheduler, resumed)
        resumed.load_state_dict((ours if source is scheduler else theirs).state_dict())
        again.load_state_dict(source.state_dict())
        assert again.last_epoch == 17
        fresh, its = with_two_rates()
        whole, its_whole = make(lr_scheduler, fresh), make(torch.optim.lr_scheduler, its)
        for _ in range(17):
            pass_an_epoch(its, whole, its_whole)
        for _ in range(20):
            assert rates(resumed) == pytest.approx(rates(fresh), rel=1e-14)
            pass_an_epoch(its, whole, its_whole, again)


@schedulers
def test_a_schedule_may_start_at_a_later_epoch(make) -> None:
    ours, theirs = with_two_rates()
    for optimizer in (ours, theirs):
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
    scheduler = make(_At(lr_scheduler, 9), ours)
    other = make(_At(torch.optim.lr_scheduler, 9), theirs)
    for _ in range(20):
        np.testing.assert_allclose(rates(ours), rates(theirs), rtol=1e-14)
        pass_an_epoch(theirs, scheduler, other)


class _At:
    """The schedulers of a module, started after ``last_epoch``."""

    def __init__(self, module, last_epoch: int) -> None:
        self.module, self.last_epoch = module, last_epoch

    def __getattr__(self, kind: str):
        return lambda *args, **kwargs: getattr(self.module, kind)(*args, last_epoch=self.last_epoch, **kwargs)


def test_schedules_chain_as_torchs_do() -> None:
    ours, theirs = with_two_rates()
    pairs = [
        (make(lr_scheduler, ours), make(torch.optim.lr_scheduler, theirs))
        for make in (SCHEDULERS["CosineAnnealingLR"], SCHEDULERS["StepLR"])
    ]
    for _ in range(50):
        np.testing.assert_allclose(rates(ours), rates(theirs), rtol=1e-13)
        pass_an_epoch(theirs, *(scheduler for pair in pairs for scheduler in pair))


def test_a_schedule_sets_the_rate_of_the_next_step() -> None:
    p = nn.Parameter(np.zeros(1))
    optimizer = optim.SGD([p], lr=1.0)
    scheduler = lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    for expected in (-1.0, -1.5, -1.75):
        p.grad = np.ones(1)
        optimizer.step()
        assert p.data[0] == expected
        scheduler.step()
