"""The errors of all gradients, entry by entry; and the cost of differentiating, as the network grows."""

import numpy as np
import pandas as pd
import pytest
import torch

from reports.runner import cost, networks
from reports.sections import gradients
from scratch import datasets, nn
from scratch.gradcheck.tolerance import SPREADS
from torch_ref import compare
from torch_ref.checker.verdict import TensorVerdict

PAIRS = ["NumPy − PyTorch", "NumPy − numeric", "PyTorch − numeric"]


@pytest.fixture(scope="module")
def xor() -> networks.Network:
    return networks.xor({dtype: datasets.xor(dtype=dtype) for dtype in gradients.DTYPES})


def compared(network, dtype="float64"):
    model, twin = network.build(dtype, 0)
    x, target = network.batch(dtype)
    losses = {"loss_fn": nn.CrossEntropyLoss(), "twin_loss_fn": torch.nn.CrossEntropyLoss(), "target": target}
    return compare(model, twin, x, **losses)


class Found:
    """A comparison of one tensor whose unit is 1 but for the last entry, which is on a kink."""

    def __init__(self, ours, theirs, numeric):
        numeric = np.asarray(numeric, float)
        spread = np.ones(numeric.shape)
        spread[-1] = 1e30
        self.tensors = [
            TensorVerdict(
                "w", np.array(ours), np.array(theirs), numeric, spread, 0.0, np.dtype(np.float64), 1e9
            )
        ]


def counts(found) -> dict[str, dict[str, int]]:
    rows = gradients.error_counts(found)
    rows = rows[rows["count"] > 0]
    return {pair: dict(zip(each["bin"], each["count"], strict=True)) for pair, each in rows.groupby("pair")}


def test_each_entry_is_counted_in_the_units_of_its_rounding():
    assert counts(Found([0.0, 2.0, 0.5, np.nan, 9e3, 7], [0.0, 0, 0.5, 0, 0, 7], [0.0, 0, 0, 0, 0, 0])) == {
        "NumPy − PyTorch": {"equal": 2, "1.8 to 3.2": 1, "more than 100": 2},
        "NumPy − numeric": {"equal": 1, "0.32 to 0.56": 1, "1.8 to 3.2": 1, "more than 100": 2},
        "PyTorch − numeric": {"equal": 4, "0.32 to 0.56": 1},
    }


def test_an_entry_is_right_up_to_8_units():
    (tensor,) = Found([7.9, 8.1, 0], [0, 0, 0], [0, 0, 0]).tensors
    assert tensor.in_roundings(tensor.ours - tensor.numeric) == pytest.approx([7.9, 8.1], rel=1e-4)
    assert list(tensor.wrong(tensor.ours)) == [False, True, False]
    assert tensor.row["roundings"] == pytest.approx(8.1, rel=1e-4)
    assert SPREADS == 8


@pytest.mark.parametrize("dtype", gradients.DTYPES)
def test_the_errors_are_of_all_gradients_and_the_largest_is_that_of_the_table(xor, dtype):
    found = gradients.compared_tensors(xor, dtype, 4, 0)
    errors, table = found["errors"], found["gradients"]
    assert list(errors) == ["network", "dtype", "pair", "bin", "low", "high", "count"]
    assert set(errors["network"]) == {"XOR 2-4-2"}
    assert set(errors["dtype"]) == {dtype}
    entries = 4 * 2 + 2 * 4 + 4 + 4 * 2 + 2
    assert errors.groupby("pair")["count"].sum().to_dict() == dict.fromkeys(PAIRS, entries)
    assert not errors.duplicated(["pair", "bin"]).any()
    ours = errors[(errors["pair"] == "NumPy − numeric") & (errors["count"] > 0)].iloc[-1]
    worst = table["roundings"][table["numpy_numeric"].notna()].max()
    assert ours["low"] < worst <= ours["high"]


def test_one_wrong_entry_stands_alone_beyond_the_tolerance(xor):
    found = compared(xor)
    assert gradients.error_counts(found).query("low >= 10")["count"].sum() == 0
    name = [t.name for t in found.tensors].index("2.bias")
    found.tensors[name].ours[1] *= 1 + 1e-6
    beyond = gradients.error_counts(found).query("low >= 10 and count > 0")
    assert beyond[["pair", "bin", "count"]].to_numpy().tolist() == [
        ["NumPy − PyTorch", "more than 100", 1],
        ["NumPy − numeric", "more than 100", 1],
    ]


def test_the_table_of_errors_leaves_empty_bins_out():
    rows = gradients.error_counts(Found([0.0, 2.0, 0], [0.0, 0, 0], [0.0, 0, 0]))
    shown = gradients.binned(rows.assign(network="a", dtype="float64"))
    assert shown.to_numpy().tolist() == [
        ["a", "float64", "equal", "1", "1", "2"],
        ["a", "float64", "1.8 to 3.2", "1", "1", "0"],
    ]
    assert list(shown) == ["network", "dtype", "roundings", *PAIRS]


# Cost


@pytest.fixture(scope="module")
def small() -> list[networks.Network]:
    splits = {dtype: datasets.digits(dtype=dtype) for dtype in gradients.DTYPES}
    return [networks.two_layer(splits, size) for size in (1, 2, 3)]


@pytest.mark.long
def test_the_cost_grows_network_by_network(small):
    found, samples = cost.growth(small, seed=0, limit=np.inf)
    assert [each["network"].iloc[0] for each in found] == ["64-1-10", "64-2-10", "64-3-10"]
    for table, hidden in zip(found, (1, 2, 3), strict=True):
        assert set(table["entries"]) == {64 * hidden + hidden + 10 * hidden + 10}
        assert table["method"].tolist() == [*cost.methods(small[0], 0)]
        assert (table["error"].dropna() < 1e-7).all()
        taken = samples[table["network"].iloc[0]]
        assert [len(taken[method]) for method in table["method"]] == [5, 5, 5, 1, 1]


def test_a_method_is_left_out_as_soon_as_it_would_take_too_long(small, monkeypatch):
    """Its seconds are made up: as many as entries for the loop, a tenth of that for gradcheck."""
    asked = []

    def measure(network, rounds, seed, left_out):
        entries = networks.parameter_vector(network.build("float64", seed)[0]).size
        speeds = {"backpropagation": 0.0, "the book's loop": 1.0, "torch.autograd.gradcheck": 0.1}
        asked.append([name for name in speeds if name not in left_out])
        rows = [{"method": n, "entries": entries, "seconds": entries * speeds[n]} for n in asked[-1]]
        return pd.DataFrame(rows), {}

    monkeypatch.setattr(cost, "measure", measure)
    cost.growth(small, seed=0, limit=16.1)  # 85, 160 and 235 entries
    assert asked == [
        ["backpropagation", "the book's loop", "torch.autograd.gradcheck"],
        ["backpropagation", "torch.autograd.gradcheck"],
        ["backpropagation"],
    ]


@pytest.mark.long
def test_the_table_of_growth_ends_with_the_cost_of_the_large_network(xor, small):
    tasks = gradients.tasks([xor], small[2], samples=4, rounds=1, seed=0, growing=small[:2])
    section = gradients.Gradients().run(tasks)
    grown, last = section.tables["growth"], section.tables["cost"]
    assert list(grown["network"].unique()) == ["64-1-10", "64-2-10", "64-3-10"]
    pd.testing.assert_frame_equal(grown.tail(len(last)).reset_index(drop=True), last[list(grown)])
    assert list(section.samples["growth"]) == ["64-1-10", "64-2-10"]
    left_out = grown.drop(index=grown.index[grown["network"].eq("64-2-10")][-1])
    shown = gradients.grown(left_out)
    assert shown["entries"].tolist() == ["85", "160", "235"]
    assert (shown["torch.autograd.gradcheck"] == "–").tolist() == [False, True, False]
