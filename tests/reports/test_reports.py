"""The report, piece by piece: what it finds, what it refuses to time, what it writes and how that reads."""

import dataclasses
import gc
import html
import json
import re
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from reports import sections as known
from reports.page import page, style, text
from reports.runner import cost, detectors, environment, frameworks, networks
from reports.runner.findings import Findings
from reports.runner.results import SCHEMA_VERSION, Results, identifiers
from reports.sections import accuracy, checker, cuda, drift, gradients, timing
from scratch import datasets, nn
from scratch.data import TensorDataset
from scratch.datasets import Splits

OPTIONS = {
    "quick": True,
    "datasets": ["digits"],
    "batch_sizes": [],
    "columns": [],
    "threads": 1,
    "seed": 0,
    "dtype": "float32",
    "seeds": 2,
    "epochs": 2,
    "xor_epochs": 20,
    "samples": 4,
    "cost_rounds": 1,
    "cost_hidden": 1,
    "growth_hidden": [],
    "drift_steps": 5,
    "model_steps": 5,
    "models": [],
    "device": "cpu",
    "faults": 2,
    "rounds": 4,
    "block": 0.0005,
    "processes": 0,
    "swept_batches": [1],
    "swept_widths": [1],
}
COMMAND = ["gradmirror", "report", "--data-root", "'<script>alert(1)</script> & \"more\"'"]


def few(splits: Splits) -> Splits:
    return Splits(TensorDataset(*splits.train[:120]), TensorDataset(*splits.test[:40]))


@pytest.fixture(scope="module")
def digits() -> networks.Network:
    """64-4-10 on 120 digits."""
    splits = {dtype: few(datasets.digits(dtype=dtype)) for dtype in gradients.DTYPES}
    return networks.two_layer(splits, hidden_size=4, batch_size=30)


@pytest.fixture(scope="module")
def xor() -> networks.Network:
    return networks.xor({dtype: datasets.xor(dtype=dtype) for dtype in gradients.DTYPES})


def find_gradients(*compared: networks.Network) -> Findings:
    cost_network = networks.two_layer(compared[0].splits, hidden_size=1)
    tasks = gradients.tasks(compared, cost_network, samples=4, rounds=1, seed=0)
    return gradients.Gradients().run(tasks)


def find_accuracy(plans, **options) -> Findings:
    return accuracy.Accuracy().run(accuracy.tasks(plans, **options))


def find_timing(*timed: networks.Network) -> Findings:
    return timing.Timing().run(timing.tasks(timed, dtype="float32", rounds=4, block=0.0005, seed=0))


@pytest.fixture(scope="module")
def sections(digits, xor) -> dict[str, Findings]:
    return {
        "gradients": find_gradients(digits, xor),
        "accuracy": find_accuracy([(digits, 2, 1), (xor, 20, 5)], dtype="float32", seeds=[0, 1]),
        "drift": drift.Drift().run(
            drift.tasks(
                [drift.Recipe(digits, "SGD", {"lr": 0.1}, 5), drift.Recipe(digits, "Adam", {}, 5)],
                dtype="float32",
                seed=0,
            )
        ),
        "checker": find_checker(digits),
        "timing": find_timing(digits, xor),
    }


def find_checker(network: networks.Network) -> Findings:
    """With a catalog of two, to be quick."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detectors, "MODULES", [c for c in detectors.MODULES if c.kind in ("Linear", "Tanh")])
        patch.setattr(detectors, "LOSSES", [])
        return checker.Checker().run(checker.tasks(network, most=2, seed=0))


@pytest.fixture
def results(sections, tmp_path) -> Results:
    return Results(tmp_path / "out", environment.describe(COMMAND, 1), dict(OPTIONS), dict(sections))


@pytest.fixture
def broken_bias(monkeypatch) -> None:
    """The NumPy side's gradient of the last bias of XOR is one percent too large."""
    right = nn.Linear.backward

    def backward(self, dy):
        dx = right(self, dy)
        if self.out_features == 2:
            self.bias.grad = self.bias.grad * 1.01
        return dx

    monkeypatch.setattr(nn.Linear, "backward", backward)


# Gradients


def test_the_gradient_table_has_a_row_for_each_tensor_and_all_agree(xor):
    table = gradients.compared_tensors(xor, "float64", samples=4, seed=0)["gradients"]
    assert list(table) == [
        *("network", "dtype", "tensor", "shape", "scale", "numpy_torch", "relative"),
        *(
            "numpy_numeric",
            "torch_numeric",
            "roundings",
            "numpy_central",
            "tolerance",
            "detection_limit",
            "kinks",
        ),
        "verdict",
    ]
    assert table["tensor"].tolist() == [
        *("output", "loss", "input", "0.weight", "0.bias", "2.weight", "2.bias"),
    ]
    assert table["shape"].tolist() == ["4×2", "scalar", "4×2", "4×2", "4", "2×4", "2"]
    assert set(table["network"]) == {"XOR 2-4-2"}
    assert set(table["dtype"]) == {"float64"}
    assert set(table["verdict"]) == {"agree"}
    assert (table["numpy_torch"] <= table["tolerance"]).all()


def test_what_has_no_derivative_has_no_truth_either(xor):
    table = gradients.compared_tensors(xor, "float64", samples=4, seed=0)["gradients"].set_index("tensor")
    for column in ("numpy_numeric", "torch_numeric", "numpy_central"):
        assert table.index[table[column].isna()].tolist() == ["output", "loss"]


def test_the_central_difference_is_right_to_nine_digits_and_the_complex_step_to_fifteen(digits):
    found = gradients.compared_tensors(digits, "float64", samples=4, seed=0)
    table = found["gradients"].dropna(subset="numpy_numeric")
    assert (table["numpy_central"] / table["scale"]).between(1e-14, 1e-7).all()
    assert (table["numpy_numeric"] / table["scale"]).max() < 2e-14


@pytest.mark.long
@pytest.mark.usefixtures("broken_bias")
def test_a_wrong_backward_is_found_and_its_tensor_named(digits, xor, sections, results):
    section = find_gradients(digits, xor)
    table = section.tables["gradients"]
    wrong = table[table["verdict"] != "agree"]
    assert not section.agrees
    assert wrong[["network", "dtype", "tensor", "verdict"]].to_numpy().tolist() == [
        ["XOR 2-4-2", "float64", "2.bias", "NumPy is wrong"],
        ["XOR 2-4-2", "float32", "2.bias", "NumPy is wrong"],
    ]
    assert wrong["relative"].to_numpy() == pytest.approx(0.01, rel=0.05)

    results.sections["gradients"] = section
    assert not results.agrees
    assert page.verdict(results) == (
        "The two sides disagree: 2.bias of XOR 2-4-2 in float64 (NumPy is wrong), "
        "2.bias of XOR 2-4-2 in float32 (NumPy is wrong)."
    )
    short = gradients.in_short(section.tables["gradients"]).set_index(["network", "dtype"])["verdict"]
    assert short["64-4-10"].tolist() == ["agree", "agree"]
    assert short["XOR 2-4-2"].tolist() == ["differ", "differ"]


def test_the_cost_table_has_each_method_and_its_error(digits, sections):
    found = sections["gradients"].tables["cost"].set_index("method")
    assert found.index.tolist() == [
        "backpropagation",
        "complex step",
        "central difference",
        "the book's loop",
        "torch.autograd.gradcheck",
    ]
    assert set(found["entries"]) == {64 + 1 + 10 + 10}
    assert found.loc["backpropagation", "times_backpropagation"] == 1
    assert found.loc["torch.autograd.gradcheck", "times_gradcheck"] == 1
    assert (found["seconds"] > 0).all()
    samples = sections["gradients"].samples["cost"]
    for method, row in found.iterrows():
        assert len(samples[method]) == row["repetitions"]
        assert np.median(samples[method]) == row["seconds"]
    error = found["error"]
    assert error["complex step"] < 1e-14
    assert 1e-13 < error["central difference"] < 1e-8
    assert 1e-13 < error["the book's loop"] < 1e-7
    assert np.isnan(error["torch.autograd.gradcheck"])


def test_the_books_gradient_is_that_of_a_known_function_and_leaves_w_alone():
    w = np.array([[1.0, -2.0], [0.5, 3.0]])
    before = w.copy()
    found = cost.book_gradient(lambda: float(np.sum(w**3)), w)
    np.testing.assert_allclose(found, 3 * before**2, rtol=1e-7)
    np.testing.assert_array_equal(w, before)


# Accuracy


@pytest.mark.parametrize(("dtype", "limit"), [("float64", 1e-14), ("float32", 1e-6)])
def test_both_sides_train_alike(digits, dtype, limit):
    rows, ours, theirs = accuracy.train_both(digits, 3, dtype, seed=0)
    assert rows["epoch"].tolist() == [0, 1, 2, 3]
    assert rows.loc[0, "drift"] == 0
    assert rows["drift"].max() < limit
    assert rows["relative_drift"].max() < 10 * limit
    assert ours.shape == (40,)
    assert (ours == theirs).all()
    for measure in ("train_loss", "test_loss"):
        assert rows[f"numpy_{measure}"].to_numpy() == pytest.approx(rows[f"torch_{measure}"], rel=1e-5)
        assert rows[f"numpy_{measure}"].iloc[-1] < rows[f"numpy_{measure}"].iloc[0]


def test_the_first_every_nth_and_the_last_epoch_are_kept(xor):
    section = find_accuracy([(xor, 12, 5)], dtype="float64", seeds=[3, 4])
    epochs, final = section.tables["epochs"], section.tables["accuracy"]
    assert epochs[["seed", "epoch"]].to_numpy().tolist() == [[s, e] for s in (3, 4) for e in (0, 5, 10, 12)]
    assert final[["seed", "epoch", "test_samples"]].to_numpy().tolist() == [[3, 12, 4], [4, 12, 4]]
    assert final["verdict"].tolist() == ["agree", "agree"]
    assert section.agrees


def other_rate_for_torch(monkeypatch, factor: float, dtypes=gradients.DTYPES) -> None:
    fit = accuracy._fit_torch

    def changed(network, model, epochs, dtype):
        lr = network.lr * (factor if dtype in dtypes else 1)
        return fit(dataclasses.replace(network, lr=lr), model, epochs, dtype)

    monkeypatch.setattr(accuracy, "_fit_torch", changed)


@pytest.mark.parametrize("dtype", gradients.DTYPES)
def test_another_learning_rate_on_one_side_is_seen(digits, results, monkeypatch, dtype):
    other_rate_for_torch(monkeypatch, 1.2)
    section = find_accuracy([(digits, 2, 1)], dtype=dtype, seeds=[5])
    (row,) = section.tables["accuracy"].to_dict("records")
    assert row["verdict"] == "differ"
    assert row["relative_drift"] > row["half_the_digits"]
    assert (row["float64_drift"] > 1e-3) == (dtype == "float32")
    assert not section.agrees
    results.sections["accuracy"] = section
    assert page.verdict(results) == "The two sides disagree: what 64-4-10 learned from seed 5."


@pytest.mark.long
def test_what_parts_in_float32_only_is_judged_in_float64(digits, results, monkeypatch):
    other_rate_for_torch(monkeypatch, 1.2, ["float32"])
    section = find_accuracy([(digits, 2, 1)], dtype="float32", seeds=[5])
    (row,) = section.tables["accuracy"].to_dict("records")
    assert row["relative_drift"] > row["half_the_digits"]
    assert row["float64_drift"] < 1e-14
    assert row["verdict"] == "agree"
    results.sections["accuracy"] = section
    shown = accuracy.in_full(section.tables["accuracy"])
    assert shown["relative, in float64"].tolist() == [text.short(row["float64_drift"])]
    page.write(results)
    for name in ("report.html", "report.md"):
        assert "again in float64" in (results.out / name).read_text(encoding="utf-8")


def test_a_side_whose_loss_becomes_nan_ends_the_rows_and_differs(digits, monkeypatch):
    other_rate_for_torch(monkeypatch, 1e39)
    section = find_accuracy([(digits, 3, 1)], dtype="float32", seeds=[0])
    assert section.tables["epochs"]["epoch"].tolist() == [0]
    (row,) = section.tables["accuracy"].to_dict("records")
    assert (row["epoch"], row["epochs"], row["drift"], row["verdict"]) == (0, 3, 0, "differ")
    assert np.isnan(row["float64_drift"])
    assert not section.agrees


# Timing


@pytest.mark.usefixtures("broken_bias")
@pytest.mark.long
def test_a_network_with_a_wrong_gradient_is_not_timed_and_the_rest_is(digits, xor, results):
    section = find_timing(xor, digits)
    reason, *rest = section.tables["timing"].to_dict("records")
    assert reason["network"] == "XOR 2-4-2"
    assert reason["verdict"] == "not timed: the gradients disagree in 2.bias"
    for column in ("pair", "phase", "numpy_seconds", "other_seconds", "ratio", "low", "high", "noise"):
        assert pd.isna(reason[column])
    assert {row["network"] for row in rest} == {"64-4-10"}
    assert [(each["network"], bool(each["blocks"])) for each in section.samples["timing"]] == [
        ("XOR 2-4-2", False),
        ("64-4-10", True),
    ]

    results.sections["timing"] = section
    results.write()
    page.write(results)
    shown = (results.out / "report.html").read_text()
    assert "XOR 2-4-2 was not timed: the gradients disagree in 2.bias." in shown
    assert "XOR 2-4-2 was not timed" in (results.out / "report.md").read_text()
    assert "not timed: the gradients disagree in 2.bias" in page.summary(results)
    first = timing.phases(section.tables["timing"]).iloc[0]
    assert first["ratio"] == first["95% interval"] == first["noise"] == first["pair"] == first["first"] == "–"
    content = json.loads((results.out / "results.json").read_text())
    assert content["sections"]["timing"]["tables"]["timing"][0]["ratio"] is None


EVERY_SEED = ["7 float32", "8 float32", "9 float32", "7 float64"]


@pytest.mark.parametrize(
    ("wrong", "reason", "asked"),
    [
        ([], "", ["7 float32"]),
        (["7 float32"], "", ["7 float32", "8 float32"]),
        (["7 float32", "8 float32", "9 float32"], "", EVERY_SEED),
        (EVERY_SEED, "the gradients disagree in a, c", EVERY_SEED),
    ],
)
def test_a_disagreement_is_asked_again_from_two_more_seeds_and_in_float64(
    xor, monkeypatch, wrong, reason, asked
):
    builds = []
    build = networks.Network.build

    def remember(self, dtype, seed):
        builds.append(f"{seed} {dtype}")
        return build(self, dtype, seed)

    def compared(*args, **kwargs):
        verdicts = ["differ", "agree", "differ"] if builds[-1] in wrong else 3 * ["agree"]
        return SimpleNamespace(frame=pd.DataFrame({"tensor": ["a", "b", "c"], "verdict": verdicts}))

    monkeypatch.setattr(networks.Network, "build", remember)
    monkeypatch.setattr(timing, "compare", compared)
    assert timing.disagreement(partial(timing._both_sides, xor), "float32", 7) == reason
    assert builds == asked


def test_the_timing_table_has_each_phase_and_the_noise(sections):
    section = sections["timing"]
    table = section.tables["timing"]
    for network, batch in (("64-4-10", 30), ("XOR 2-4-2", 4)):
        rows = table[table["network"] == network]
        assert rows["phase"].tolist() == ["forward", "backward", "update", "step", "step"]
        assert rows["pair"].tolist() == 4 * ["NumPy / PyTorch"] + ["NumPy / NumPy"]
        assert set(rows["batch"]) == {batch}
        assert set(rows["rounds"]) == {4}
        (raw,) = [each for each in section.samples["timing"] if each["network"] == network]
        assert set(rows["setting"]) == {raw["setting"]} <= set(frameworks.TORCH_OPTIONS)
        blocks = raw["blocks"]
        assert {name: len(each) for name, each in blocks.items()} == {"numpy": 4, "torch": 4, "control": 4}
    assert (table["low"] <= table["ratio"]).all()
    assert (table["ratio"] <= table["high"]).all()
    assert set(table["verdict"]) <= {"NumPy faster", "NumPy slower", "not distinguishable"}
    assert gc.isenabled()


def blocks(*steps: float) -> list[dict[str, float]]:
    return [{"forward": s / 2, "backward": s / 4, "update": s / 8, "step": s} for s in steps]


def test_the_summary_of_steady_blocks():
    measured = {"numpy": blocks(1, 1, 1), "torch": blocks(2, 2, 2), "control": blocks(1, 1, 1)}
    rows = pd.DataFrame(timing.summary([measured], seed=0))
    assert rows["phase"].tolist() == ["forward", "backward", "update", "step", "step"]
    assert rows["numpy_seconds"].tolist() == [0.5, 0.25, 0.125, 1, 1]
    assert rows["other_seconds"].tolist() == [1, 0.5, 0.25, 2, 1]
    for column in ("ratio", "low", "high"):
        assert rows[column].tolist() == [0.5, 0.5, 0.5, 0.5, 1]
    assert set(rows["noise"]) == {0}
    assert rows["verdict"].tolist() == 4 * ["NumPy faster"] + ["not distinguishable"]


def test_the_ratios_are_of_the_same_round_so_a_slow_machine_cancels():
    slow = [1, 1, 10, 10, 3, 1]
    measured = {
        "numpy": blocks(*(3.0 * s for s in slow)),
        "torch": blocks(*(2.0 * s for s in slow)),
        "control": blocks(*(3.0 * s for s in slow)),
    }
    *_, step, control = timing.summary([measured], seed=0)
    assert (step["ratio"], step["low"], step["high"], step["noise"]) == (1.5, 1.5, 1.5, 0)
    assert step["verdict"] == "NumPy slower"
    assert control["ratio"] == 1


@pytest.mark.parametrize(
    ("torch_step", "verdict"),
    [
        (0.9, "not distinguishable"),
        (0.5, "NumPy slower"),
        (2.0, "NumPy faster"),
        (1.2, "not distinguishable"),
    ],
)
def test_two_equal_models_that_differ_are_noise(torch_step, verdict):
    measured = {"numpy": blocks(1, 1, 1), "torch": blocks(*3 * [torch_step]), "control": blocks(*3 * [0.8])}
    *_, step, control = timing.summary([measured], seed=0)
    assert step["noise"] == control["noise"] == pytest.approx(0.25)
    assert step["verdict"] == verdict


def test_a_wide_interval_of_two_equal_models_is_noise():
    measured = {
        "numpy": blocks(*10 * [1.0]),
        "torch": blocks(*10 * [2.0]),
        "control": blocks(*5 * [0.8, 1.25]),
    }
    *_, step, control = timing.summary([measured], seed=0)
    assert control["noise"] == pytest.approx(control["high"] - control["low"])
    assert control["noise"] == pytest.approx(0.45)
    assert step["verdict"] == "NumPy faster"
    measured["torch"] = blocks(*10 * [1.4])
    *_, step, _ = timing.summary([measured], seed=0)
    assert step["verdict"] == "not distinguishable"


# Results


def read_json(out: Path) -> dict:
    def refuse(constant):
        raise AssertionError(f"results.json has {constant}")

    return json.loads((out / "results.json").read_bytes(), parse_constant=refuse)


def read_csv(out: Path) -> pd.DataFrame:
    return pd.read_csv(out / "results.csv")


def test_both_files_can_be_read_after_each_section(results, sections):
    results.sections.clear()
    results.write()
    assert read_json(results.out)["agrees"] is None
    assert read_csv(results.out).empty
    for count, (name, section) in enumerate(sections.items(), 1):
        results.add(name, section)
        content = read_json(results.out)
        assert content["agrees"] is True
        assert list(content["sections"]) == list(sections)[:count]
        assert set(read_csv(results.out)["table"]) == set(results.tables)
    assert sorted(path.name for path in results.out.iterdir()) == ["results.csv", "results.json"]


def test_results_json_holds_every_cell_and_all_samples(results):
    results.write()
    content = read_json(results.out)
    assert content["schema_version"] == SCHEMA_VERSION
    assert content["options"] == OPTIONS
    assert content["environment"]["command"] == " ".join(COMMAND)
    for name, section in results.sections.items():
        kept = content["sections"][name]
        assert kept["agrees"] is section.agrees
        assert kept["samples"] == section.samples
        assert set(kept["tables"]) == set(section.tables)
        for key, table in section.tables.items():
            read = pd.DataFrame(kept["tables"][key], columns=list(table))
            for column in table:
                expected = [None if pd.isna(cell) else cell for cell in table[column]]
                assert [None if pd.isna(cell) else cell for cell in read[column]] == expected


def test_results_csv_holds_every_number_once_and_says_what_of(results):
    results.write()
    read = read_csv(results.out)
    assert list(read) == [*identifiers(), "measure", "value"]
    assert not read["value"].isna().any()
    assert not read.duplicated([*(set(identifiers()) - {"verdict"}), "measure"]).any()
    items = {table.name: table.item for each in known.every().values() for table in each.tables}
    numbers = 0
    for name, table in results.tables.items():
        named = table.rename(columns={items[name]: "item"})
        keys = [column for column in identifiers() if column in named]
        for measure in named.select_dtypes("number").columns.difference(keys):
            rows = read[(read["table"] == name) & (read["measure"] == measure)]
            expected = named.dropna(subset=measure)
            assert rows["value"].tolist() == pytest.approx(expected[measure].tolist(), rel=1e-14, abs=0)
            for column in keys:
                assert rows[column].tolist() == expected[column].tolist()
            numbers += len(rows)
    assert numbers == len(read)


def test_a_section_that_cannot_be_written_leaves_results_json_as_it_was(results):
    results.write()
    before = (results.out / "results.json").read_bytes()
    with pytest.raises(TypeError, match=r"results\.json: cannot hold a set"):
        results.add("more", Findings({}, {"x": {1, 2}}, True))
    assert (results.out / "results.json").read_bytes() == before


def test_what_is_no_number_cannot_be_written_as_one(results):
    results.write()
    before = (results.out / "results.json").read_bytes()
    with pytest.raises(ValueError, match="nan"):
        results.add("more", Findings({}, {"x": float("nan")}, True))
    assert (results.out / "results.json").read_bytes() == before


def test_one_section_that_disagrees_is_enough(results):
    assert results.agrees
    results.sections["timing"] = dataclasses.replace(results.sections["timing"], agrees=False)
    results.write()
    assert read_json(results.out)["agrees"] is False


class Page(HTMLParser):
    """Checks that tags are balanced; collects tags, attributes, and the texts of some elements."""

    VOID = frozenset({"meta", "br", "hr", "img", "link", "input"})

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.texts.append([tag, dict(attrs), ""])
        if tag not in self.VOID:
            self.open.append((tag, self.texts[-1]))

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        opened, _ = self.open.pop()
        assert tag == opened, f"</{tag}> closes <{opened}>"

    def handle_data(self, data):
        for _, element in self.open:
            element[2] += data

    def text(self, tag, **attributes):
        return [
            text
            for name, attrs, text in self.texts
            if name == tag
            and all(value in (attrs.get(key) or "").split() for key, value in attributes.items())
        ]


@pytest.fixture(scope="module")
def written(sections, tmp_path_factory):
    out = tmp_path_factory.mktemp("page")
    made = Results(out, environment.describe(COMMAND, 1), dict(OPTIONS), dict(sections))
    page.write(made)
    text = (out / "report.html").read_text(encoding="utf-8")
    return SimpleNamespace(results=made, out=out, html=text, page=Page(text))


# The page


def test_the_page_is_well_formed(written):
    assert written.html.lstrip().lower().startswith("<!doctype html>")
    for tag in ("html", "head", "title", "body", "main", "h1"):
        assert len(written.page.text(tag)) == 1 or tag == "title"
    assert ("html", {"lang": "en"}) in written.page.tags
    ids = [attrs["id"] for _, attrs in written.page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_the_page_allows_nothing_but_its_own_style(written):
    (policy,) = (
        a["content"] for t, a in written.page.tags if a.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules.pop("default-src") == "'none'"
    assert rules.pop("style-src") == "'unsafe-inline'"
    assert set(rules) <= {"img-src"}


def test_the_page_has_no_script_and_nothing_from_elsewhere(written):
    assert "<script" not in written.html.lower()
    assert "javascript:" not in written.html.lower()
    assert not re.search(r"@import|url\((?!#)", written.html)
    for tag, attrs in written.page.tags:
        assert tag not in ("script", "iframe", "object", "embed", "link", "base", "form", "img")
        for name, value in attrs.items():
            assert not name.startswith("on")
            if name in ("src", "srcset", "action") or name.endswith("href"):
                inside = "data:image/png;base64," if tag == "image" else "#"
                assert value.startswith(inside) or value == "lesson.html"
    assert set(re.findall(r"https?://[^\s\"'<>]+", written.html)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_the_command_line_is_on_the_page_escaped(written):
    assert written.page.text("code")[0] == " ".join(COMMAND)
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; " in written.html


@pytest.fixture
def no_figures(monkeypatch) -> None:
    monkeypatch.setattr(page, "draw", lambda section, found: [])


@pytest.mark.usefixtures("no_figures")
def test_names_in_tables_are_escaped(sections, results):
    gradients_, name = sections["gradients"], '<b>&"'
    renamed = gradients_.tables["gradients"].assign(network=name)
    results.sections["gradients"] = dataclasses.replace(
        gradients_, tables=gradients_.tables | {"gradients": renamed}
    )
    page.write(results)
    text = (results.out / "report.html").read_text()
    Page(text)
    assert "<b>" not in text
    assert html.escape(name, quote=False).replace('"', "&#34;") in text


def shown_in(results: Results) -> dict[str, pd.DataFrame]:
    """All tables for people, by section and name."""
    return {
        f"{name}.{key}": table
        for name, found in results.sections.items()
        for key, table in known.every()[name].shown(found.tables).items()
    }


def test_every_verdict_is_on_the_page(written):
    assert written.page.text("h1") == [page.verdict(written.results)]
    assert [attrs for tag, attrs in written.page.tags if tag == "h1"] == [{"class": "good"}]
    names = ("gradients.in_short", "gradients.gradients", "accuracy.in_short", "accuracy.accuracy")
    shown = [shown_in(written.results)[name] for name in (*names, "drift.drift", "timing.timing")]
    assert written.page.text("span", **{"class": "verdict"}) == [
        verdict for table in shown for verdict in table["verdict"]
    ]
    assert not written.page.text("span", **{"class": "bad"})


@pytest.mark.usefixtures("no_figures")
def test_the_page_of_sides_that_disagree_says_so_in_red(results):
    accuracy_ = results.sections["accuracy"]
    final = accuracy_.tables["accuracy"].copy()
    final.loc[1, "verdict"] = "differ"
    results.sections["accuracy"] = dataclasses.replace(
        accuracy_, tables=accuracy_.tables | {"accuracy": final}, agrees=False
    )
    page.write(results)
    shown = Page((results.out / "report.html").read_text())
    assert shown.text("h1", **{"class": "bad"}) == [
        "The two sides disagree: what 64-4-10 learned from seed 1."
    ]
    assert shown.text("span", **{"class": "bad"}) == ["differ", "differ"]
    assert "**The two sides disagree: what 64-4-10" in (results.out / "report.md").read_text()


def test_every_cell_of_every_table_is_on_the_page(written):
    found = shown_in(written.results)
    names = (
        *(
            "gradients.in_short",
            "gradients.gradients",
            "gradients.errors",
            "gradients.cost",
            "gradients.growth",
        ),
        *("accuracy.in_short", "accuracy.confusion", "accuracy.misread", "accuracy.accuracy"),
        *("accuracy.epochs", "drift.drift", "checker.faults", "checker.needle", "timing.timing"),
    )
    assert {*names} == {*found} - {"timing.not_timed"}
    shown = [found[name] for name in names]
    assert written.page.text("th") == [column for table in shown for column in table]
    assert written.page.text("td") == [cell for table in shown for cell in table.to_numpy().ravel()]


def test_the_figures_are_on_the_page_and_beside_it(written):
    names = sorted(path.stem for path in (written.out / "figures").iterdir())
    assert names == [
        "confusion-64-4-10-30",
        "cost",
        "drift-64-4-10-30-adam",
        "drift-64-4-10-30-sgd",
        "errors-float32",
        "errors-float64",
        "faults",
        "loss-64-4-10-30",
        "loss-xor-2-4-2-4",
        "misread-64-4-10-30",
        "timing-64-4-10-30",
        "timing-xor-2-4-2-4",
    ]
    for path in (written.out / "figures").iterdir():
        assert path.read_text(encoding="utf-8") in written.html
    assert len(written.page.text("figcaption")) == 7


@pytest.mark.long
def test_a_gpu_has_a_part_of_its_own_if_it_was_asked_for(results, written, digits):
    assert not any("GPU" in heading for heading in written.page.text("h2"))
    assert "GPU" not in (written.out / "report.md").read_text()
    tasks = cuda.tasks([digits], device="cpu", blocks=5, block=0.0005, seed=0)
    section = cuda.Cuda().run(tasks)
    results.sections["cuda"] = section
    results.options["device"] = "cuda"
    page.write(results)
    shown = Page((results.out / "report.html").read_text(encoding="utf-8"))
    table = cuda.errors_and_times(section.tables["cuda"])
    cells = list(table.to_numpy().ravel())
    assert shown.text("td")[-len(cells) :] == cells
    assert shown.text("span", **{"class": "verdict"})[-5:] == [*3 * ["agree"], *2 * ["not judged"]]
    assert not shown.text("span", **{"class": "bad"})
    assert [h for h in shown.text("h2") if "GPU" in h] == ["6. On a GPU: what does precision cost?"]
    assert "GPU" in shown.text("dt")
    svg = (results.out / "figures" / "cuda-0.svg").read_text(encoding="utf-8")
    assert svg in (results.out / "report.html").read_text(encoding="utf-8")
    markdown = (results.out / "report.md").read_text(encoding="utf-8")
    assert "## 6. On a GPU\n\nPyTorch on CPU (CUDA none, driver unknown, torch " in markdown
    assert text.markdown(table) in markdown
    assert "- **GPU.** " in markdown
    assert "On a GPU\n\n" in page.summary(results)


def test_a_gpu_that_disagrees_is_named(results, digits):
    row = {"network": "64-4-10", "dtype": "float32", "method": "PyTorch, H9", "verdict": "differs in 0.bias"}
    shown = row | {"dtype": "float32, TF32", "verdict": "not judged"}
    results.sections["cuda"] = Findings({"cuda": pd.DataFrame([row, shown])}, {}, agrees=False)
    assert page.verdict(results) == (
        "The two sides disagree: 64-4-10 in float32 by PyTorch, H9 (differs in 0.bias)."
    )


def test_the_headlines_are_on_both_pages(written):
    headlines = page.headlines(written.results)
    assert [headline.title for headline in headlines] == [
        "Largest difference",
        "Test accuracy",
        "A step of 64-4-10",
        "Without backpropagation",
        "Weights drift apart by",
        "Mistakes found",
        "One wrong entry",
        "A step of XOR 2-4-2",
    ]
    assert written.page.text("p", **{"class": "figure"}) == [headline.figure for headline in headlines]
    markdown = (written.out / "report.md").read_text()
    for headline in headlines:
        assert f"- {headline.title}: **{headline.figure}** {headline.note}" in markdown


def test_the_tables_of_report_md_are_whole(written):
    lines = (written.out / "report.md").read_text(encoding="utf-8").splitlines()
    found = shown_in(written.results)
    names = (
        *("gradients.gradients", "gradients.errors", "gradients.cost", "gradients.growth"),
        *("accuracy.accuracy", "accuracy.confusion"),
        *("drift.drift", "checker.faults", "checker.needle", "timing.timing"),
    )
    expected = [found[name] for name in names]
    blocks_: list[list[list[str]]] = []
    for before, line in zip(["", *lines], lines, strict=False):
        if line.startswith("|"):
            if not before.startswith("|"):
                assert before == ""
                blocks_.append([])
            blocks_[-1].append([cell.strip() for cell in line.strip("|").split("|")])
    assert len(blocks_) == len(expected)
    for (heading, rule, *rows), table in zip(blocks_, expected, strict=True):
        assert heading == list(table)
        assert all(re.fullmatch(r":?-+:?", cell) for cell in rule)
        assert rows == table.to_numpy().tolist()


def test_report_md_has_verdict_command_and_method(written):
    said = (written.out / "report.md").read_text()
    assert f"\n**{page.verdict(written.results)}**\n" in said
    assert f"\n    {' '.join(COMMAND)}\n" in said
    for title in (
        "Gradients",
        "Errors",
        "Cost",
        "Training",
        "Drift",
        "Mistakes",
        "Timing",
        "Ratio",
        "Noise",
        "Threads",
        "Files",
    ):
        assert f"- **{title}.** " in said
    assert "{{" not in said


def test_the_verdict_counts_tensors_and_seeds(results):
    assert page.verdict(results) == (
        "The two sides agree: in all 28 tensors compared, in float64 and float32, "
        "and in what they learned from each of 2 seeds."
    )


def test_the_summary_has_each_table_the_verdict_and_the_files(results):
    said = page.summary(results)
    for title in ("Gradients", "Cost of all 85 derivatives of 64-1-10", "Accuracy", "Time of a step"):
        assert f"{title}\n\n" in said
    assert page.verdict(results) in said
    for name in ("report.html", "report.md", "results.json", "results.schema.json", "results.csv", "figures"):
        assert f"\n  {results.out / name}" in said


def test_an_earlier_page_is_removed_and_nothing_else(results):
    results.write()
    (results.out / "figures").mkdir()
    for name in ("report.html", "report.md", "figures/mine.svg", "mine.txt"):
        (results.out / name).write_text("earlier")
    for name in ("loss", "of-old"):
        (results.out / "figures" / f"{name}.svg").write_text(style.svg(name, "Loss", Figure()))
    page.remove(results)
    assert sorted(p.name for p in results.out.rglob("*") if p.is_file()) == [
        "mine.svg",
        "mine.txt",
        "results.csv",
        "results.json",
    ]


def test_all_tables_for_readers_are_text_throughout(results):
    for name, table in shown_in(results).items():
        if name == "timing.not_timed":
            continue
        assert len(table)
        assert all(isinstance(cell, str) and cell for cell in table.to_numpy().ravel()), name
        assert not table.isin(["nan", "None"]).any(axis=None)
