"""Optimizers and schedulers: options of other kinds and out of range, hostile groups and states."""

import copy
import inspect
import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fuzz.tally import CLEAR, DESIGNED, FINE, LOST, RAW, WRONG, Tally, each, is_clear, outcome_of, sized
from fuzz.test_arguments import LIBERTIES, VALUES
from fuzz.twins import differ
from scratch import nn, optim
from scratch.optim import lr_scheduler
from torch_ref.catalog import OPTIMIZERS

AREA = "optimizers and schedulers"
pytestmark = pytest.mark.filterwarnings("ignore")

# What they say of an epoch is their own matter.
FUNCTIONS = ("len", "a module", "int")
KINDS = sorted({case.kind for case in OPTIMIZERS})
W = np.linspace(-1, 2, 6, dtype=np.float32).reshape(2, 3)
NUMBERS = VALUES | {
    "1e-3": 1e-3,
    "0.9": 0.9,
    "1e-30": 1e-30,
    "10": 10,
    "(0.9, 0.99)": (0.9, 0.99),
    "[0.9, 0.99]": [0.9, 0.99],
}
NUMBERS |= {
    "(0.9, 1.0)": (0.9, 1.0),
    "(0.5,)": (0.5,),
    "(nan, 0.9)": (math.nan, 0.9),
    "(1.2, 0.5)": (1.2, 0.5),
    "(0, 0)": (0, 0),
}
SCHEDULERS: dict[str, dict[str, Any]] = {
    "StepLR": {"step_size": 2},
    "MultiStepLR": {"milestones": [1, 3]},
    "ExponentialLR": {"gamma": 0.5},
    "ConstantLR": {},
    "LinearLR": {},
    "PolynomialLR": {},
    "MultiplicativeLR": {"lr_lambda": lambda epoch: 0.9},
    "CosineAnnealingLR": {"T_max": 3},
    "LambdaLR": {"lr_lambda": lambda epoch: 0.9**epoch},
    "CosineAnnealingWarmRestarts": {"T_0": 2},
    "CyclicLR": {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 2},
    "OneCycleLR": {"max_lr": 0.1, "total_steps": 9},
    "ReduceLROnPlateau": {"patience": 0},
}


def options_of(home: Any, kind: str) -> list[str]:
    return [name for name in list(inspect.signature(getattr(home, kind)).parameters)[1:]]


def our_steps(kind: str, options: dict[str, Any], steps: int = 3) -> list[np.ndarray]:
    p = nn.Parameter(W.copy())
    optimizer = getattr(optim, kind)([p], **options)
    found = []
    for step in range(steps):
        p.grad = np.cos(3 * W + step) + p.data / 2
        optimizer.step()
        found.append(p.data.copy())
    return found


def their_steps(kind: str, options: dict[str, Any], steps: int = 3) -> list[np.ndarray]:
    p = torch.nn.Parameter(torch.from_numpy(W.copy()))
    optimizer = getattr(torch.optim, kind)([p], **options)
    found = []
    for step in range(steps):
        p.grad = torch.from_numpy(np.cos(3 * W + step) + p.detach().numpy() / 2)
        optimizer.step()
        found.append(p.detach().numpy().copy())
    return found


def beside(
    tried: Tally, shown: str, ours: Callable[[], Any], theirs: Callable[[], Any], names: list[str]
) -> None:
    """Refused clearly, or the same numbers as torch's."""
    mine, error = outcome_of(ours)
    if error is not None:
        tried.add_error(error, shown, names)
        return
    yours, refusal = outcome_of(theirs)
    wrong = repr(refusal) if refusal is not None else differ(tuple(mine), tuple(yours))
    designed = wrong and refusal is not None and any(f"={value})" in shown for value in LIBERTIES)
    tried.add(DESIGNED if designed else WRONG if wrong else FINE, shown, wrong)


@each([(kind, name, value) for kind in KINDS for name in options_of(optim, kind) for value in NUMBERS], 30)
def test_an_option_is_refused_clearly_or_trains_as_in_torch(tried, trial) -> None:
    kind, name, value = trial
    options = {name: copy.copy(NUMBERS[value])}
    beside(
        tried,
        f"{kind}({name}={value})",
        lambda: our_steps(kind, options),
        lambda: their_steps(kind, options),
        [kind],
    )


@sized(10, 1500)
@given(data=st.data())
def test_several_options_train_as_in_torch(tried, data) -> None:
    kind = data.draw(st.sampled_from(KINDS))
    of_kind: dict[str, Any] = {}
    for name, parameter in inspect.signature(getattr(optim, kind)).parameters.items():
        default = parameter.default
        if name != "params" and data.draw(st.booleans()):
            if isinstance(default, bool):
                of_kind[name] = data.draw(st.booleans())
            elif isinstance(default, tuple):
                of_kind[name] = tuple(
                    data.draw(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0, 1.1])) for _ in default
                )
            else:
                of_kind[name] = data.draw(st.sampled_from([0, 1e-8, 0.01, 0.1, 0.5, 0.9, 1, 1.5, 10]))
    beside(
        tried,
        f"{kind}({of_kind})",
        lambda: our_steps(kind, of_kind),
        lambda: their_steps(kind, of_kind),
        [kind],
    )


def our_rates(kind: str, options: dict[str, Any], based_on: str = "SGD") -> list[np.ndarray]:
    optimizer = getattr(optim, based_on)(
        [nn.Parameter(W.copy())], lr=0.1, **({"momentum": 0.9} if based_on == "SGD" else {})
    )
    return rates(getattr(lr_scheduler, kind)(optimizer, **options), optimizer, kind)


def their_rates(kind: str, options: dict[str, Any], based_on: str = "SGD") -> list[np.ndarray]:
    p = torch.nn.Parameter(torch.from_numpy(W.copy()))
    optimizer = getattr(torch.optim, based_on)(
        [p], lr=0.1, **({"momentum": 0.9} if based_on == "SGD" else {})
    )
    return rates(getattr(torch.optim.lr_scheduler, kind)(optimizer, **options), optimizer, kind)


def rates(scheduler: Any, optimizer: Any, kind: str) -> list[np.ndarray]:
    found = []
    for epoch in range(6):
        group = optimizer.param_groups[0]
        found.append(np.array([group["lr"], group.get("momentum", 0.0), *group.get("betas", ())], np.float64))
        scheduler.step(*([1.0 + epoch] if kind == "ReduceLROnPlateau" else []))
    return found


@each(
    [
        (kind, name, value)
        for kind in SCHEDULERS
        for name in options_of(lr_scheduler, kind)
        for value in NUMBERS
        if name != "last_epoch" and value not in FUNCTIONS
    ],
    30,
)
def test_an_argument_of_a_scheduler_is_refused_clearly_or_gives_the_rates_of_torch(tried, trial) -> None:
    kind, name, value = trial
    options = SCHEDULERS[kind] | {name: copy.copy(NUMBERS[value])}
    beside(
        tried,
        f"{kind}({name}={value})",
        lambda: our_rates(kind, options),
        lambda: their_rates(kind, options),
        [kind],
    )


@each([(kind, metric) for kind in ("ReduceLROnPlateau",) for metric in NUMBERS], 5)
def test_the_number_of_a_step_is_refused_clearly_or_means_the_same_as_in_torch(tried, trial) -> None:
    kind, metric = trial

    def stepped(home: Any, p: Any) -> list[np.ndarray]:
        optimizer = home[0].SGD([p], lr=0.1)
        scheduler = home[1].ReduceLROnPlateau(optimizer, patience=0)
        found = []
        for number in (1.0, NUMBERS[metric], NUMBERS[metric]):
            scheduler.step(number)
            found.append(np.array(optimizer.param_groups[0]["lr"]))
        return found

    beside(
        tried,
        f"{kind}.step({metric})",
        lambda: stepped((optim, lr_scheduler), nn.Parameter(W.copy())),
        lambda: stepped(
            (torch.optim, torch.optim.lr_scheduler), torch.nn.Parameter(torch.from_numpy(W.copy()))
        ),
        [kind],
    )


# ---- what is given in the place of parameters and groups


def groups(make: Callable[[], Any], other: Any) -> dict[str, Callable[[], Any]]:
    """Parameters as people pass them, and as they should not; ``other`` is an array or a tensor."""
    return {
        "None": lambda: None,
        "one": lambda: make(),
        "a list": lambda: [make()],
        "a tuple": lambda: (make(),),
        "a generator": lambda: (make() for _ in range(2)),
        "used up": lambda: iter(()),
        "an empty list": lambda: [],
        "a dict": lambda: {"params": [make()]},
        "an empty dict": lambda: {},
        "an array": lambda: other,
        "a list of arrays": lambda: [other],
        "a list of None": lambda: [None],
        "a list of texts": lambda: ["weight"],
        "a text": lambda: "weight",
        "a number": lambda: 3,
        "a group": lambda: [{"params": [make()], "lr": 0.1}],
        "a group of one": lambda: [{"params": make()}],
        "two groups": lambda: [{"params": [make()]}, {"params": [make()], "lr": 0.5}],
        "a group of none": lambda: [{"params": []}],
        "a group of None": lambda: [{"params": None}],
        "a group of numbers": lambda: [{"params": [1, 2]}],
        "a group without params": lambda: [{"lr": 0.1}],
        "an empty group": lambda: [{}],
        "a group of a text": lambda: [{"params": "ab"}],
        "a group and a parameter": lambda: [{"params": [make()]}, make()],
        "a parameter and a group": lambda: [make(), {"params": [make()]}],
        "a group and None": lambda: [{"params": [make()]}, None],
        "a group of keys that are numbers": lambda: [{"params": [make()], 3: 4}],
        "an unknown option": lambda: [{"params": [make()], "momentun": 0.1}],
        "a text for a rate": lambda: [{"params": [make()], "lr": "a"}],
        "None for a rate": lambda: [{"params": [make()], "lr": None}],
        "a set": lambda: {make()},
        "nested lists": lambda: [[make()]],
        "named": lambda: [("w", make())],
        "an object": object,
        "a function": lambda: make,
    }


GROUPS = list(groups(lambda: None, None))


@each([(kind, name, added) for kind in KINDS for name in GROUPS for added in (False, True)], 20)
def test_parameters_and_groups_that_are_none_are_refused_clearly(tried, trial) -> None:
    kind, name, added = trial
    given = groups(lambda: nn.Parameter(W.copy()), W)[name]()
    optimizer = getattr(optim, kind)([nn.Parameter(W.copy())])
    before = len(optimizer.param_groups)

    def call() -> None:
        if added:
            optimizer.add_param_group(
                given[0] if isinstance(given, list) and given and isinstance(given[0], dict) else given
            )
            optimizer.step()
        else:
            getattr(optim, kind)(given).step()

    _, error = outcome_of(call)
    shown = f"{kind}{'.add_param_group' * added}({name})"
    if error is None:
        taken = {
            "a list",
            "a tuple",
            "a generator",
            "a group",
            "a group of one",
            "two groups",
            "a group of none",
            "a dict",
            "a set",
        }
        tried.add(
            FINE
            if name in taken or (added and "group" in name and name.startswith("a group and"))
            else WRONG,
            shown,
        )
    elif len(optimizer.param_groups) != before:
        tried.add(LOST, shown, error)
    else:
        tried.add_error(error, shown, [kind])


# ---- states that are loaded


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands in nested dicts and lists."""
    if isinstance(value, dict | list | tuple):
        keys = list(value) if isinstance(value, dict) else range(len(value))
        return [at, *(path for key in keys for path in paths(value[key], (*at, key)))]
    return [at]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy with something else at a path; the key itself gone where ``new`` is Ellipsis."""
    if not path:
        return new
    inside = copy.copy(list(value) if isinstance(value, tuple) else value)
    if len(path) == 1 and new is Ellipsis:
        del inside[path[0]]
    else:
        inside[path[0]] = replaced(inside[path[0]], path[1:], new)
    return inside


def trained(kind: str) -> tuple[nn.Module, optim.Optimizer]:
    model = nn.Linear(3, 2)
    optimizer = getattr(optim, kind)(model.parameters())
    for p in model.parameters():
        p.grad = np.ones_like(p.data)
    optimizer.step()
    return model, optimizer


OTHERS: dict[str, Any] = {
    "gone": Ellipsis,
    "None": None,
    "0": 0,
    "-1": -1,
    "7": 7,
    "10**30": 10**30,
    "0.5": 0.5,
    "nan": math.nan,
    "-inf": -math.inf,
    "'a'": "a",
    "[]": [],
    "{}": {},
    "[1]": [1],
    "[None]": [None],
    "{'a': 1}": {"a": 1},
    "True": True,
    "an array": np.ones(5, np.float32),
    "texts": np.array(["a"]),
    "objects": np.array([None]),
    "an object": object(),
}
STATES = {kind: paths(trained(kind)[1].state_dict()) for kind in KINDS}


def as_text(state: Any) -> str:
    return repr(state)


@each([(kind, path, value) for kind in KINDS for path in STATES[kind] for value in OTHERS], 30)
def test_a_state_of_an_optimizer_is_refused_clearly_or_steps(tried, trial) -> None:
    kind, path, value = trial
    source, (_, optimizer) = trained(kind)[1].state_dict(), trained(kind)
    state = replaced(copy.deepcopy(source), path, OTHERS[value])
    before = as_text(optimizer.state_dict())
    shown = f"{kind}.load_state_dict: {'.'.join(map(str, path)) or 'all'} is {value}"
    _, error = outcome_of(lambda: optimizer.load_state_dict(state))
    if error is not None:
        changed = as_text(optimizer.state_dict()) != before
        tried.add(LOST if changed else CLEAR if is_clear(error, [kind]) else RAW, shown, error)
        return
    _, error = outcome_of(optimizer.step)
    tried.add(FINE if error is None else WRONG, shown, error)


def scheduler_of(kind: str) -> lr_scheduler.LRScheduler:
    optimizer = optim.SGD([nn.Parameter(W.copy())], lr=0.1, momentum=0.9)
    if kind == "SequentialLR":
        inner = [lr_scheduler.StepLR(optimizer, 2), lr_scheduler.ExponentialLR(optimizer, 0.5)]
        return lr_scheduler.SequentialLR(optimizer, inner, [2])
    if kind == "ChainedScheduler":
        return lr_scheduler.ChainedScheduler(
            [lr_scheduler.StepLR(optimizer, 2), lr_scheduler.ExponentialLR(optimizer, 0.5)]
        )
    return getattr(lr_scheduler, kind)(optimizer, **SCHEDULERS[kind])


ALL_SCHEDULERS = [*SCHEDULERS, "SequentialLR", "ChainedScheduler"]
SCHEDULER_STATES = {kind: paths(scheduler_of(kind).state_dict()) for kind in ALL_SCHEDULERS}


@each(
    [(kind, path, value) for kind in ALL_SCHEDULERS for path in SCHEDULER_STATES[kind] for value in OTHERS],
    30,
)
def test_a_state_of_a_scheduler_is_refused_clearly_or_steps(tried, trial) -> None:
    kind, path, value = trial
    scheduler = scheduler_of(kind)
    before = as_text(scheduler.state_dict())
    state = replaced(copy.deepcopy(scheduler.state_dict()), path, OTHERS[value])
    shown = f"{kind}.load_state_dict: {'.'.join(map(str, path)) or 'all'} is {value}"
    _, error = outcome_of(lambda: scheduler.load_state_dict(state))
    if error is not None:
        changed = as_text(scheduler.state_dict()) != before
        tried.add(LOST if changed else CLEAR if is_clear(error, ALL_SCHEDULERS) else RAW, shown, error)
        return
    _, error = outcome_of(lambda: scheduler.step(*([1.0] if kind == "ReduceLROnPlateau" else [])))
    tried.add(FINE if error is None else WRONG, shown, error)


MODULES = {
    "Linear": lambda: nn.Linear(3, 2),
    "BatchNorm1d": lambda: nn.BatchNorm1d(3),
    "LSTM": lambda: nn.LSTM(2, 3),
}


@each([(kind, value) for kind in MODULES for value in OTHERS], 10)
def test_a_state_of_a_module_is_refused_clearly(tried, trial) -> None:
    kind, value = trial
    module, given = MODULES[kind](), OTHERS[value]
    before, key = as_text(module.state_dict()), next(iter(module.state_dict()))
    own = OrderedDict(module.state_dict())
    for shown, state in (("all", given), (key, own | {key: given}), ("3", own | {3: given})):
        _, error = outcome_of(lambda state=state: module.load_state_dict(state))
        tell = f"{kind}.load_state_dict: {shown} is {value}"
        if error is None:
            tried.add(WRONG, tell)
        elif as_text(module.state_dict()) != before:
            tried.add(LOST, tell, error)
        else:
            tried.add_error(error, tell, [kind])
