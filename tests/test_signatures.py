"""Names, order and defaults of arguments are PyTorch's, wherever it has the same class."""

import inspect

import pytest
import torch

from scratch import nn, optim
from scratch.optim import lr_scheduler

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
