"""deep_copy gives what copy.deepcopy gives."""

import copy
import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from scratch import nn
from scratch.copying import deep_copy
from scratch.nn.parameter import runs


@dataclass(frozen=True)
class Place:
    """An object that refuses assignments."""

    name: str
    array: np.ndarray


class Slotted:
    """An object without a dictionary."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Counted:
    """An object that says itself how it is copied."""

    def __init__(self) -> None:
        self.copies = 0

    def __deepcopy__(self, memo: dict[int, Any]) -> "Counted":
        other = Counted()
        other.copies = self.copies + 1
        return other


class Loaded:
    """An object that says itself what its state is."""

    def __init__(self) -> None:
        self.kept, self.dropped = [1.0], object()

    def __getstate__(self) -> dict[str, Any]:
        return {"kept": self.kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.kept, self.dropped = state["kept"], None


class Sorted(dict):
    """A dictionary with an attribute."""


def test_a_network_is_copied_with_its_one_vector_and_its_tied_weights():
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 3))
    model[2].weight = model[0].weight
    model.to(np.float64)
    model(np.ones((4, 3)))
    other = deep_copy(model)
    assert other[2].weight is other[0].weight
    assert other[0].weight is not model[0].weight
    assert len(runs(other.parameters())) == len(runs(copy.deepcopy(model).parameters()))
    assert {name: x.tolist() for name, x in other.state_dict().items()} == {
        name: x.tolist() for name, x in model.state_dict().items()
    }
    other[0].weight.data[...] = 0
    other[1].running_mean[...] = 7
    assert np.any(model[0].weight.data)
    assert not np.any(model[1].running_mean == 7)
    other.backward(np.ones((4, 3)))
    assert model[0].weight.grad is None
    assert len(model[0]._saved) == 1


def test_what_is_shared_or_circular_stays_so():
    array = np.arange(3.0)
    value: dict[Any, Any] = {"array": array, "again": (array, [array]), "view": Place("a", array)}
    value["self"] = value
    other = deep_copy(value)
    assert other["self"] is other
    assert other["array"] is other["again"][0] is other["again"][1][0] is other["view"].array
    assert other["array"] is not array
    numbers = (1, "two", (3.0, None))
    assert deep_copy(numbers) is numbers


@pytest.mark.parametrize(
    "value",
    [
        np.arange(6.0).reshape(2, 3).T,
        np.array([[1], "x"], object),
        np.ma.masked_array([1.0, 2.0], [True, False]),
        np.float32(3),
        {1, 2},
        Sorted(a=[1]),
        Slotted([1]),
        torch.nn.LSTM(2, 3),
        torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2)),
        np.random.default_rng(0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_other_thing_is_copied_as_well(value):
    found, expected = deep_copy(value), copy.deepcopy(value)
    assert type(found) is type(expected)
    if isinstance(value, torch.nn.Module):
        assert {*vars(found)} == {*vars(expected)}
        found.load_state_dict(expected.state_dict())
        value(torch.ones(2, 2))[0].sum().backward()
        assert all(p.grad is None for p in found.parameters())
    else:
        assert pickle.dumps(found) == pickle.dumps(expected)
    if isinstance(value, np.ndarray):
        assert found.strides == expected.strides
        assert not np.shares_memory(found, value)


def test_an_object_that_says_how_it_is_copied_is_copied_so():
    assert deep_copy([Counted()])[0].copies == 1
    other = deep_copy([Loaded()])[0]
    assert (other.kept, other.dropped) == ([1.0], None)
    method = deep_copy(Loaded().__getstate__)
    assert method() == {"kept": [1.0]}
