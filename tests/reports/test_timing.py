"""How times are compared: whose, in how many processes, and how sure that is."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from reports.runner import campaign, frameworks, intervals, networks
from reports.runner.data import Data
from reports.runner.findings import Findings
from reports.runner.journal import Journal
from reports.runner.tasks import Workers
from reports.sections import timing

OPTIONS = {"dtype": "float32", "rounds": 3, "block": 0.0005, "seed": 0}


@pytest.fixture(scope="module")
def xor() -> networks.Network:
    return networks.by_name("xor_net")


def find(configurations: list[networks.Network], **options) -> Findings:
    return timing.Timing().run(timing.tasks(configurations, **OPTIONS, **options))


def test_more_columns_are_timed_in_the_same_rounds_and_what_cannot_be_is_said(xor, monkeypatch):
    gone = dataclasses.replace(frameworks.COLUMNS["jax"], why_not=lambda *_: "jax is not installed")
    monkeypatch.setitem(frameworks.COLUMNS, "jax", gone)
    section = find([xor], columns=["torch-default", "torch-fused", "jax"])
    table = section.tables["timing"]
    assert table["pair"].tolist()[4:] == [
        "NumPy / NumPy",
        "NumPy / PyTorch, default",
        "NumPy / PyTorch, fused",
        "NumPy / JAX, jit",
    ]
    *timed, left_out = table.to_dict("records")
    assert left_out["verdict"] == "not timed: jax is not installed"
    assert all(row["ratio"] > 0 for row in timed)
    assert section.agrees


def test_a_column_whose_gradients_differ_is_not_timed(xor, monkeypatch):
    right = frameworks.COLUMNS["torch-fused"]
    wrong = dataclasses.replace(
        right, build=lambda network, dtype, seed: right.build(network, dtype, seed + 1)
    )
    monkeypatch.setitem(frameworks.COLUMNS, "torch-fused", wrong)
    found = find([xor], columns=["torch-fused"])
    *_, row = found.tables["timing"].to_dict("records")
    assert row["verdict"].startswith("not timed: the gradients disagree in 0.weight")


def test_processes_are_drawn_before_the_rounds_of_each():
    rng = np.random.default_rng(0)
    together = rng.normal(1, 0.01, (3, 20))
    apart = together + np.array([[-0.1], [0.0], [0.1]])
    narrow, wide = intervals.median_interval(together), intervals.median_interval(apart)
    assert narrow.high - narrow.low < 0.02
    assert wide.low < 0.91
    assert wide.high > 1.09
    assert intervals.median_interval(apart.reshape(-1)).high < 1.09


@pytest.mark.long
def test_of_three_processes_that_differ_nineteen_in_twenty_intervals_hold_the_truth():
    rng = np.random.default_rng(0)
    found = [
        intervals.median_interval(rng.normal(rng.normal(1, 0.05, (3, 1)), 0.01, (3, 20)), seed)
        for seed in range(100)
    ]
    assert 92 <= sum(each.low <= 1 <= each.high for each in found) <= 100


@pytest.mark.parametrize("ratio", [0.9, 1.1])
def test_two_equal_models_never_beat_each_other(ratio):
    steps = np.random.default_rng(0).normal(ratio, 0.0005, 20)
    numpy = [dict.fromkeys(frameworks.PHASES, each) for each in steps]
    control = [dict.fromkeys(frameworks.PHASES, 1.0)] * 20
    *_, row = timing.summary([{"numpy": numpy, "torch": control, "control": control}], seed=0)
    assert (row["pair"], row["verdict"]) == ("NumPy / NumPy", "not distinguishable")


@pytest.mark.long
def test_the_sweep_has_a_row_for_each_point():
    data = Data("digits")
    points = [("batch", networks.two_layer(data, 4, batch_size=30)), ("width", networks.two_layer(data, 7))]
    section = find([networks.by_name("xor_net")], swept=points)
    sweep = section.tables["sweep"]
    assert sweep[["vary", "batch", "width"]].to_numpy().tolist() == [["batch", 30, 4], ["width", 100, 7]]
    assert (sweep["low"] <= sweep["ratio"]).all()
    assert set(sweep["setting"]) <= set(frameworks.TORCH_OPTIONS)


def in_fresh_processes(folder: Path, configurations: list[networks.Network], **options) -> pd.DataFrame:
    """The table of the section, from as many fresh processes as it needs."""
    journal = Journal.begin(folder / "rows.jsonl", {})
    planned = campaign.Planned(timing.Timing(), timing.tasks(configurations, **options))
    ((_, section),) = campaign.run([planned], journal, Workers())
    return section.tables["timing"]


@pytest.mark.long
def test_each_fresh_process_measures_all_rounds(xor, tmp_path):
    table = in_fresh_processes(tmp_path, [xor], **OPTIONS, processes=1)
    assert set(table["processes"]) == {1}
    assert set(table["rounds"]) == {3}
    assert table["pair"].tolist() == [*4 * ["NumPy / PyTorch"], "NumPy / NumPy"]


@pytest.mark.campaign
def test_of_ten_runs_the_intervals_of_two_equal_models_contain_1(tmp_path):
    configurations = [networks.by_name("two_layer_net"), networks.by_name("xor_net")]
    options = {"dtype": "float32", "rounds": 20, "block": 0.05, "seed": 0, "processes": 3}
    runs = [in_fresh_processes(tmp_path, configurations, **options) for _ in range(10)]
    found = pd.concat(runs).query("pair == 'NumPy / NumPy'")
    contain = (found["low"] <= 1) & (found["high"] >= 1)
    widths = (found["high"] - found["low"]).groupby(found["network"], sort=False).median()
    print(f"{contain.sum()} of {len(found)} intervals of NumPy / NumPy contain 1; median widths:\n{widths}")
    assert set(found["verdict"]) == {"not distinguishable"}
    assert contain.mean() >= 0.8
