"""Names, order and defaults of arguments are PyTorch's, wherever it has the same class."""

import inspect

import numpy as np
import pytest
import torch

from scratch import nn, optim
from scratch.optim import lr_scheduler
from torch_ref.catalog import LOSSES, MODULES

PAIRS = [
    (ours, getattr(theirs, name))
    for here, theirs in ((nn, torch.nn), (optim, torch.optim), (lr_scheduler, torch.optim.lr_scheduler))
    for name, ours in inspect.getmembers(here, inspect.isclass)
    if hasattr(theirs, name) and name not in ("Module", "Parameter", "Optimizer", "LRScheduler")
]
every_pair = pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda kind: kind.__name__)


def defaults(function):
    """The arguments that have a default, and what it is."""
    found = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in found if p.default is not inspect.Parameter.empty}


def same(mine, its):
    """Whether two defaults mean the same: functions go by their names, and None may be no or nothing."""
    if callable(its):
        return getattr(mine, "__name__", mine).lower() == its.__name__.lower()
    return mine is its or mine == its or (its is None and mine in (False, ()))


@every_pair
def test_defaults_of_constructors(ours, theirs):
    its = defaults(theirs.__init__)
    for name, mine in defaults(ours.__init__).items():
        if name in its and name != "dtype":
            assert same(mine, its[name]), f"{name} is {mine!r}, PyTorch's {its[name]!r}"


@every_pair
def test_defaults_of_forward(ours, theirs):
    if not hasattr(ours, "forward"):
        pytest.skip("it has no forward")
    its = defaults(theirs.forward)
    for name, mine in defaults(ours.forward).items():
        if name in its:
            assert same(mine, its[name]), f"{name} is {mine!r}, PyTorch's {its[name]!r}"


@every_pair
def test_arguments_come_in_pytorchs_order(ours, theirs):
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD,)
    mine, its = (
        [p.name for p in inspect.signature(kind.__init__).parameters.values() if p.kind in kinds]
        for kind in (ours, theirs)
    )
    shared = [name for name in its if name in mine]
    assert [name for name in mine if name in its] == shared


# ---- and what is not said is so

# Arguments with a default that must be passed all the same.
SAID = {
    **{name: {"dim": -1} for name in ("Softmax", "LogSoftmax", "Softmin")},
    **{f"Upsampl{name}": {"scale_factor": 2.0} for name in ("e", "ingNearest2d", "ingBilinear2d")},
    "OneCycleLR": {"total_steps": 40},
}
LEAST = {
    **{"lr_lambda": lambda step: 0.9, "step_size": 4, "milestones": [3, 7], "gamma": 0.8, "T_max": 9},
    **{"T_0": 6, "base_lr": 0.01, "max_lr": 0.1},
}


def assert_same_settings(ours, theirs, names):
    """Numbers, words and tuples of them are the same; one number stands for one an axis."""
    plain = (bool, int, float, str, tuple)
    for name in names:
        mine, its = (getattr(side, name, None) for side in (ours, theirs))
        if isinstance(mine, plain) and isinstance(its, plain):
            shape = max(np.shape(mine), np.shape(its), key=len)
            equal = np.array_equal(np.broadcast_to(mine, shape), np.broadcast_to(its, shape))
            assert equal, f"{name} is {mine!r}, PyTorch's {its!r}"


@pytest.mark.parametrize(
    "case",
    [
        # A Transformer of PyTorch's own sizes has 44 million weights.
        pytest.param(case, id=kind, marks=[pytest.mark.long] if kind == "Transformer" else [])
        for kind, case in {case.kind: case for case in (*MODULES, *LOSSES)}.items()
    ],
)
def test_a_module_made_of_the_least_is_pytorchs(case):
    kind, its = getattr(nn, case.kind), getattr(torch.nn, case.kind)
    _, *names = inspect.signature(kind.__init__).parameters
    given = dict(zip(names, case.args, strict=False)) | case.kwargs
    least = {name: value for name, value in given.items() if name not in defaults(kind.__init__)}
    least |= SAID.get(case.kind, {})
    ours, theirs = kind(**least), its(**least)
    assert_same_settings(ours, theirs, names)
    assert [(name, *p.shape) for name, p in ours.named_parameters()] == [
        (name, *p.shape) for name, p in theirs.named_parameters()
    ]


OPTIMIZERS = [name for name, _ in inspect.getmembers(optim, inspect.isclass) if name != "Optimizer"]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_made_of_the_least_is_pytorchs(name):
    (ours,) = getattr(optim, name)([nn.Parameter(np.ones(2))]).param_groups
    (theirs,) = getattr(torch.optim, name)([torch.nn.Parameter(torch.ones(2))]).param_groups
    assert {key: theirs[key] for key in ours if key != "params"} == {
        key: value for key, value in ours.items() if key != "params"
    }


@pytest.mark.parametrize(
    "kind",
    [ours for ours, _ in PAIRS if ours.__module__.endswith("lr_scheduler")],
    ids=lambda kind: kind.__name__,
)
def test_a_schedule_made_of_the_least_is_pytorchs(kind):
    _, *names = inspect.signature(kind.__init__).parameters
    if "schedulers" in names:
        pytest.skip("it is made of others")
    least = {name: LEAST[name] for name in names[1:] if name not in defaults(kind.__init__)}
    least |= SAID.get(kind.__name__, {})
    optimizers = (
        optim.SGD([nn.Parameter(np.ones(2))], lr=0.1, momentum=0.9),
        torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=0.1, momentum=0.9),
    )
    modules = (lr_scheduler, torch.optim.lr_scheduler)
    sides = [getattr(m, kind.__name__)(o, **least) for m, o in zip(modules, optimizers, strict=True)]
    assert_same_settings(*sides, names)
    for step in range(30):
        for optimizer, scheduler in zip(optimizers, sides, strict=True):
            optimizer.step()
            scheduler.step(*([1.0 - 1e-5 * step] if kind.__name__ == "ReduceLROnPlateau" else []))
        (ours,), (theirs,) = (optimizer.param_groups for optimizer in optimizers)
        assert (ours["lr"], ours["momentum"]) == pytest.approx((theirs["lr"], theirs["momentum"]), rel=1e-12)
