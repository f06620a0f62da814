"""Every optimizer and learning-rate scheduler of the catalog, step for step beside torch's."""

from collections.abc import Iterable

import numpy as np
import pytest
import torch

from all_in_one import dtypes
from scratch import nn, optim
from scratch.optim import lr_scheduler
from torch_ref.catalog import OPTIMIZERS

# Of the cases of each test; the others in make long.
ONE_IN = 2

SHAPES = [(3, 4), (3,), (2, 3), (2,)]
STEPS = 25

optimizers = pytest.mark.parametrize("case", OPTIMIZERS, ids=lambda case: case.name)
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

    own = {} if case.kind == "Rprop" else {"weight_decay": 0.2}

    def groups(params):
        return [{"params": [params[1]]}, {"params": [params[0], params[2]], "lr": 0.01, **own}]

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
    if case.kind == "NAdam":
        # A state that torch has loaded is no longer in single precision.
        for state in theirs.state.values():
            state["mu_product"] = state["mu_product"].float()
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
    "MultiplicativeLR": lambda module, o: module.MultiplicativeLR(o, lambda epoch: 0.9 + epoch / 1000),
    "MultiStepLR": lambda module, o: module.MultiStepLR(o, [12, 3, 30, 3, 31, 45], gamma=0.5),
    "ExponentialLR": lambda module, o: module.ExponentialLR(o, gamma=0.97),
    "LinearLR": lambda module, o: module.LinearLR(o, start_factor=0.2, end_factor=0.9, total_iters=30),
    "PolynomialLR": lambda module, o: module.PolynomialLR(o, total_iters=40, power=1.5),
    "CosineAnnealingWarmRestarts": lambda module, o: module.CosineAnnealingWarmRestarts(o, 4, 2, 0.001),
}
# Whose own state is not what torch keeps.
OWN_STATE = {
    "ConstantLR": lambda module, o: module.ConstantLR(o, factor=0.3, total_iters=6),
    "CyclicLR": lambda module, o: module.CyclicLR(o, 0.01, [0.1, 0.3], 5, 8, base_momentum=0.7),
    "CyclicLR, triangular2": lambda module, o: module.CyclicLR(o, 0.01, 0.1, 6, mode="triangular2"),
    "CyclicLR, exp_range": lambda module, o: module.CyclicLR(o, 0.01, 0.1, 6, mode="exp_range", gamma=0.9),
    "CyclicLR of a function": lambda module, o: module.CyclicLR(
        o, 0.01, 0.1, 6, scale_fn=lambda x: 1 / x, cycle_momentum=False
    ),
    "OneCycleLR": lambda module, o: module.OneCycleLR(o, 0.3, 50),
    "OneCycleLR, three phases": lambda module, o: module.OneCycleLR(
        o, [0.3, 0.2], epochs=10, steps_per_epoch=6, three_phase=True, anneal_strategy="linear"
    ),
    "SequentialLR": lambda module, o: module.SequentialLR(
        o,
        [module.LinearLR(o, 0.1, 1.0, 5), module.CosineAnnealingLR(o, 20), module.ExponentialLR(o, 0.9)],
        [5, 25],
    ),
    "SequentialLR of others": lambda module, o: module.SequentialLR(
        o,
        [
            module.ConstantLR(o, 0.5, 3),
            module.MultiplicativeLR(o, lambda epoch: 0.9),
            module.CosineAnnealingWarmRestarts(o, 6),
            module.StepLR(o, 3),
        ],
        [5, 12, 30],
    ),
    "ChainedScheduler": lambda module, o: module.ChainedScheduler(
        [module.ConstantLR(o, 0.5, 7), module.ExponentialLR(o, 0.9), module.StepLR(o, 9)]
    ),
}
ALL_SCHEDULERS = SCHEDULERS | OWN_STATE
all_schedulers = pytest.mark.parametrize("make", ALL_SCHEDULERS.values(), ids=ALL_SCHEDULERS.keys())
schedulers = pytest.mark.parametrize("make", SCHEDULERS.values(), ids=SCHEDULERS.keys())


def with_two_rates() -> tuple[optim.SGD, torch.optim.SGD]:
    side = Side()
    ours, theirs = (
        [{"params": params[:2]}, {"params": params[2:], "lr": 0.4}] for params in (side.ours, side.theirs)
    )
    return optim.SGD(ours, lr=0.1, momentum=0.5), torch.optim.SGD(theirs, lr=0.1, momentum=0.5)


def rates(optimizer) -> list[float]:
    return [group["lr"] for group in optimizer.param_groups]


def pass_an_epoch(theirs, *all_schedulers) -> None:
    theirs.step()  # torch warns of a scheduler that is stepped before the optimizer
    for scheduler in all_schedulers:
        scheduler.step()


@pytest.mark.filterwarnings("ignore:To get the last learning rate computed by the scheduler")
@all_schedulers
def test_rates_are_torchs_over_fifty_epochs(make) -> None:
    ours, theirs = with_two_rates()
    scheduler, other = make(lr_scheduler, ours), make(torch.optim.lr_scheduler, theirs)
    seen = []
    for _ in range(50):
        assert rates(ours) == scheduler.get_last_lr()
        np.testing.assert_allclose(rates(ours), rates(theirs), rtol=1e-13, atol=1e-16)
        momenta = [[group["momentum"] for group in o.param_groups] for o in (ours, theirs)]
        np.testing.assert_allclose(*momenta, rtol=1e-13)
        seen.append(tuple(rates(ours)))
        if len(seen) < 50:
            pass_an_epoch(theirs, scheduler, other)
    assert len(set(seen)) > (5 if not isinstance(scheduler, lr_scheduler.ConstantLR) else 1)


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
@pytest.mark.parametrize("cooldown", [0, 3])
def test_a_plateau_lowers_the_rate_as_in_torch(mode, threshold_mode, cooldown) -> None:
    ours, theirs = with_two_rates()
    options = {"mode": mode, "threshold_mode": threshold_mode, "cooldown": cooldown, "patience": 2}
    options |= {"factor": 0.3, "min_lr": [1e-4, 1e-2], "threshold": 0.05}
    scheduler = lr_scheduler.ReduceLROnPlateau(ours, **options)
    other = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **options)
    again = None
    for epoch, noise in enumerate(np.random.default_rng(0).standard_normal(60)):
        number = (1 if mode == "min" else -1) * (3 * 0.9**epoch + 0.1 * noise)
        scheduler.step(number)
        other.step(number)
        assert rates(ours) == pytest.approx(rates(theirs), rel=1e-14)
        assert scheduler.get_last_lr() == rates(ours)
        if epoch == 20:
            again = lr_scheduler.ReduceLROnPlateau(with_two_rates()[0], **options)
            again.load_state_dict(scheduler.state_dict())
            assert again.state_dict() == scheduler.state_dict()
    assert rates(ours)[1] == 1e-2


REFUSED_SCHEDULES = {
    "two functions": (
        lambda o: lr_scheduler.MultiplicativeLR(o, [abs] * 3),
        "3 functions, expected one for each",
    ),
    "factor": (lambda o: lr_scheduler.ConstantLR(o, 1.5), "factor is 1.5"),
    "start": (lambda o: lr_scheduler.LinearLR(o, 0.0), "start_factor is 0.0"),
    "end": (lambda o: lr_scheduler.LinearLR(o, 0.1, 2.0), "end_factor is 2.0"),
    "restart": (lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 0), "T_0 is 0, expected 1 or more"),
    "mode": (lambda o: lr_scheduler.CyclicLR(o, 0.1, 0.2, mode="square"), "mode is 'square'"),
    "rates": (lambda o: lr_scheduler.CyclicLR(o, [0.1], 0.2), "1 numbers, expected one for each of 2"),
    "no steps": (lambda o: lr_scheduler.OneCycleLR(o, 0.1, epochs=3), "steps_per_epoch None"),
    "share": (lambda o: lr_scheduler.OneCycleLR(o, 0.1, 9, pct_start=2), "pct_start is 2"),
    "strategy": (lambda o: lr_scheduler.OneCycleLR(o, 0.1, 9, anneal_strategy="sin"), "anneal_strategy"),
    "milestones": (
        lambda o: lr_scheduler.SequentialLR(o, [lr_scheduler.StepLR(o, 1)], [3]),
        "1 schedulers and 1 milestones",
    ),
    "nothing to chain": (lambda o: lr_scheduler.ChainedScheduler([], o), "schedulers is empty"),
    "a plateau in a chain": (
        lambda o: lr_scheduler.ChainedScheduler([lr_scheduler.ReduceLROnPlateau(o)]),
        "is a ReduceLROnPlateau",
    ),
    "another optimizer's": (
        lambda o: lr_scheduler.ChainedScheduler([lr_scheduler.StepLR(with_two_rates()[0], 1)], o),
        "another optimizer's",
    ),
    "plateau's factor": (lambda o: lr_scheduler.ReduceLROnPlateau(o, factor=1.0), "factor is 1.0"),
    "plateau's mode": (lambda o: lr_scheduler.ReduceLROnPlateau(o, "low"), "mode is 'low'"),
}


@pytest.mark.parametrize(("make", "message"), REFUSED_SCHEDULES.values(), ids=REFUSED_SCHEDULES.keys())
def test_a_schedule_is_refused_and_said_why(make, message) -> None:
    with pytest.raises(ValueError, match=message):
        make(with_two_rates()[0])


def test_a_cycle_wants_a_momentum_and_ends() -> None:
    optimizer = optim.Adagrad(Side().ours)
    with pytest.raises(ValueError, match="Adagrad has neither momentum nor betas"):
        lr_scheduler.OneCycleLR(optimizer, 0.1, 9)
    scheduler = lr_scheduler.OneCycleLR(optim.Adam(Side().ours), 0.1, 10)
    assert scheduler.optimizer.param_groups[0]["betas"] == (0.95, 0.999)
    for _ in range(10):
        scheduler.step()
    with pytest.raises(ValueError, match="this is step 12 of 10"):
        scheduler.step()


@pytest.mark.filterwarnings("ignore:To get the last learning rate computed by the scheduler")
@all_schedulers
def test_a_schedule_goes_on_from_its_state(make) -> None:
    ours, theirs = with_two_rates()
    scheduler, other = make(lr_scheduler, ours), make(torch.optim.lr_scheduler, theirs)
    for _ in range(17):
        pass_an_epoch(theirs, scheduler, other)
    for source in (scheduler, other) if make in SCHEDULERS.values() else (scheduler,):  # ours and torch's
        resumed, _ = with_two_rates()
        again = make(lr_scheduler, resumed)
        resumed.load_state_dict((ours if source is scheduler else theirs).state_dict())
        again.load_state_dict(source.state_dict())
        assert again.get_last_lr() == rates(ours)
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
