"""report --compare: what changed between two reports, what is noise, and what is refused.

The files are those of a real quick report with small changes. Its times are replaced by quiet ones, since
those of a busy machine could hide anything.
"""

import copy
import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from reports.page import comparison
from reports.runner import loading, report
from reports.runner.findings import Findings
from reports.runner.loading import load
from reports.runner.results import SCHEMA_VERSION, Results, digest
from reports.sections import timing
from reports.sections.gradients import Gradients
from reports.sections.section import Changes

# A report is made first, which takes seconds.
pytestmark = pytest.mark.long


def blocks(rng: np.random.Generator, seconds: float, spread: float, rounds: int = 20) -> list[dict]:
    """Rounds of a phase that takes so long, each off by this share or so."""
    return [dict.fromkeys(timing.PHASES, s) for s in seconds * rng.lognormal(0, spread, rounds)]


def measured(rng: np.random.Generator, seconds: float, spread: float) -> dict[str, list[dict]]:
    """Measurements of timing: PyTorch takes twice as long as NumPy."""
    sides = {"numpy": seconds, "torch": 2e-3, "control": seconds}
    return {side: blocks(rng, s, spread) for side, s in sides.items()}


def process_of(samples: dict, network: str) -> dict:
    """The measurements of a network by the only process."""
    (found,) = [each for each in samples["timing"] if each["network"] == network]
    return found


@pytest.fixture(scope="module")
def base(quick_report) -> dict:
    """The content of a real results.json, its times but for 1% those of a quiet machine."""
    content = json.loads(quick_report.read_text())
    found = load(quick_report)
    section = found.sections["timing"]
    rng = np.random.default_rng(0)
    rows = []
    for network, old in section.tables["timing"].groupby("network", sort=False):
        process_of(section.samples, network)["blocks"] = quiet = measured(rng, 1e-3, 0.01)
        rows += [
            row | new for row, new in zip(old.to_dict("records"), timing.summary([quiet], 0), strict=True)
        ]
    section.tables["timing"] = pd.DataFrame(rows)
    content["sections"]["timing"] = json.loads(found.json())["sections"]["timing"]
    return content


@pytest.fixture(scope="module")
def loaded(base, tmp_path_factory) -> Results:
    """The report as it is read from its file: once, since its schema takes half a second."""
    path = tmp_path_factory.mktemp("base") / "base.json"
    write(path, base)
    return load(path)


def write(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content | {"sha256": digest(content)}))


@pytest.fixture
def compare(base, loaded, main, tmp_path, monkeypatch):
    """Compares the report with a changed one, or the changed one with it."""
    read = {"base.json": lambda: loaded, "changed.json": lambda: load("changed.json")}
    monkeypatch.setattr(comparison, "load", lambda name: read[name]())
    # Half a second for each file; test_loading.py holds files against the schema.
    monkeypatch.setattr(loading, "_problem", lambda content: "")

    def run(*changes, swapped=False) -> SimpleNamespace:
        changed = copy.deepcopy(base)
        for change in changes:
            change(changed)
        write(tmp_path / "changed.json", changed)
        names = ["base.json", "changed.json"]
        said = main("report", "--compare", *(reversed(names) if swapped else names))
        assert said.err == ""
        said.verdict, *_ = said.out.splitlines()
        *_, said.unchanged = said.out.splitlines()
        return said

    return run


def table(content: dict, name: str) -> list[dict]:
    (found,) = (s["tables"][name] for s in content["sections"].values() if name in s["tables"])
    return found


def rows(said: SimpleNamespace, heading: str) -> list[list[str]]:
    """The cells of the tables below the heading that begins so."""
    text = said.out.split(f"\n## {heading}")[1].split("\n## ")[0]
    lines = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line] for line in lines]


# Nothing changed


def test_a_report_and_itself_are_the_same_in_all_that_is_counted(compare):
    said = compare()
    assert said.code == 0
    assert said.verdict == "Nothing changed beyond noise."
    assert "##" not in said.out
    assert "**" not in said.out
    assert said.unchanged.startswith(
        "Unchanged: verdicts that agree, 42; gradients, 28; "
        "networks that learned the same to the last digit, 2; answers about mistakes, 10; "
        "times not distinguishable (detection limit 1.0"
    )
    assert said.unchanged.endswith(" at worst), 12.")


def test_both_files_their_times_and_commits_are_named(compare, base):
    lines = compare().out.splitlines()
    environment = base["environment"]
    for which, name in ("old", "base.json"), ("new", "changed.json"):
        assert f"* {which}: {name}, of {environment['started']}, commit {environment['commit']}" in lines


# Conditions


def test_other_versions_are_told_and_are_no_change(compare):
    def change(content):
        content["environment"]["packages"]["torch"] = "9.9"
        content["environment"]["commit"] = None

    said = compare(change)
    assert (said.code, said.verdict) == (0, "Nothing changed beyond noise.")
    _, *found = rows(said, "Conditions")
    assert [row[0] for row in found] == ["packages.torch", "commit"]
    assert [row[2] for row in found] == ["9.9", "null"]
    assert "**" not in said.out


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (["cpu"], "Z80", "cpu"),
        (["cores"], 128, "cores"),
        (["threads", "torch"], 7, "threads"),
        (["threads", "pools", 0, "num_threads"], 7, "threads"),
    ],
)
def test_times_of_two_machines_are_called_so_loudly(compare, keys, value, message):
    def change(content):
        inner = content["environment"]
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value

    said = compare(change, slower(1.3))
    assert f"**Times of two machines, or of other threads, are compared ({message}).**" in said.out
    assert "seconds do not compare at all" in said.out
    assert "NumPy's time on other machines, old" in rows(said, "Time: NumPy / PyTorch")[0]


def test_threads_of_the_libraries_in_another_order_are_the_same(compare):
    said = compare(lambda content: content["environment"]["threads"]["pools"].reverse())
    assert "Conditions" not in said.out


def test_other_options_are_told_loudly(compare):
    said = compare(lambda content: content["options"].update(epochs=9, faults=None))
    assert "**The reports used different options; some rows are not comparable.**" in said.out
    _, *found = rows(said, "Conditions")
    assert found == [["options.epochs", "1", "9"], ["options.faults", "3", "null"]]


def test_swapped_files_are_suspected(compare):
    def change(content):
        content["environment"]["started"] = "2099-01-01T00:00:00+00:00"

    assert "Are they swapped?" in compare(change, swapped=True).out
    assert "Are they swapped?" not in compare(change).out


# Verdicts


def wrong_gradient(content: dict) -> None:
    row = table(content, "gradients")[3]
    assert (row["network"], row["dtype"], row["tensor"]) == ("64-50-10", "float64", "0.weight")
    off = 0.01 * row["scale"]
    row |= {"numpy_torch": off, "numpy_numeric": off, "verdict": "NumPy is wrong"}
    content["sections"]["gradients"]["agrees"] = content["agrees"] = False


def test_a_gradient_that_is_off_is_worse_and_the_other_way_round_better(compare):
    said = compare(wrong_gradient)
    assert said.code == 1
    assert said.verdict == (
        "1 thing changed, 1 for the worse: gradients, 64-50-10, float64, 0.weight: agree → NumPy is wrong."
    )
    assert rows(said, "Verdicts")[1:] == [
        ["gradients", "64-50-10, float64, 0.weight", "agree", "NumPy is wrong"]
    ]
    (row,) = rows(said, "Gradients")[1:]
    assert row[:3] == ["64-50-10", "float64", "0.weight"]
    assert float(row[3]) < 1 < 1e6 < float(row[4])
    assert row[5] == "worse"
    assert "verdicts that agree, 41; gradients, 27;" in said.unchanged

    said = compare(wrong_gradient, swapped=True)
    assert said.code == 0
    assert said.verdict.startswith("1 thing changed, none for the worse: gradients, 64-50-10")
    assert rows(said, "Gradients")[1][5] == "better"


def test_a_gradient_that_is_no_number_is_worse(compare):
    def change(content):
        wrong_gradient(content)
        table(content, "gradients")[3] |= {"numpy_torch": None, "numpy_numeric": None}

    said = compare(change)
    assert said.code == 1
    assert rows(said, "Gradients")[1][4:] == ["inf", "worse"]


@pytest.mark.parametrize("table_", ["accuracy", "drift"])
def test_a_verdict_lost_in_another_table_is_worse(compare, table_):
    def change(content):
        table(content, table_)[0]["verdict"] = "differ"
        content["sections"][table_]["agrees"] = False

    said = compare(change)
    assert said.code == 1
    assert said.verdict.startswith(f"1 thing changed, 1 for the worse: {table_}, 64-50-10")
    assert compare(change, swapped=True).code == 0


def test_a_section_that_disagrees_as_a_whole_is_worse(compare):
    def change(content):
        content["sections"]["checker"]["agrees"] = False

    said = compare(change)
    assert said.code == 1
    assert said.verdict == "1 thing changed, 1 for the worse: checker, the whole section: agree → differ."
    assert compare(change, swapped=True).code == 0


def test_a_verdict_that_is_gone_is_worse_unless_other_options_were_asked_for(compare):
    def change(content):
        del table(content, "drift")[0]

    said = compare(change)
    assert said.code == 1
    assert said.verdict == (
        "1 thing changed, 1 for the worse: drift: only in the old, 64-50-10, 100, SGD, float32, 0."
    )
    assert rows(said, "Verdicts")[1:] == [["drift", "64-50-10, 100, SGD, float32, 0", "agree", "–"]]
    assert compare(change, lambda content: content["options"].update(seeds=4)).code == 0
    said = compare(change, swapped=True)
    assert said.code == 0
    assert "drift: only in the new" in said.verdict


def test_rows_without_a_verdict_that_are_gone_are_counted_and_no_worse(compare):
    def change(content):
        del table(content, "epochs")[5:15]

    said = compare(change)
    assert said.code == 0
    assert said.verdict.startswith(
        "1 thing changed, none for the worse: epochs: only in the old, 10 rows, the"
    )


def test_a_report_that_was_stopped_has_lost_the_rest(compare):
    def change(content):
        content["sections"] = {"gradients": content["sections"]["gradients"]}

    said = compare(change)
    assert said.code == 1
    assert {row[0] for row in rows(said, "Verdicts")[1:]} == {
        *(
            "accuracy",
            "epochs",
            "confusion",
            "misread",
            "drift",
            "drift_steps",
            "faults",
            "needle",
            "timing",
            "sweep",
        )
    }
    assert compare(change, swapped=True).code == 0


# Gradients within their tolerance


def larger_error(content: dict, times: float, verdict: str = "agree") -> None:
    row = table(content, "gradients")[3]
    for name in ("numpy_torch", "numpy_numeric", "torch_numeric"):
        row[name] = 0.02 * times * row["tolerance"]
    row["verdict"] = verdict


def compared_gradients(*contents: dict) -> Changes:
    tables = [{"gradients": pd.DataFrame(table(each, "gradients"))} for each in contents]
    return Gradients().compare(*(Findings(each, {}, True) for each in tables), True)


@pytest.mark.parametrize(("times", "changes"), [(1, 0), (5, 0), (9, 0), (10.5, 1), (40, 1), (0.1, 0), (0, 0)])
def test_an_error_is_another_only_from_ten_times_on(base, times, changes):
    old, new = copy.deepcopy(base), copy.deepcopy(base)
    larger_error(old, 1)
    larger_error(new, times)
    there = compared_gradients(old, new)
    assert [change.worse for change in there.changes] == [False] * changes
    back = compared_gradients(new, old)
    assert [change.worse for change in back.changes] == [False] * changes
    if changes:
        assert there.tables[0]["verdict"].tolist() == ["worse"]
        assert back.tables[0]["verdict"].tolist() == ["better"]


def test_an_error_that_was_too_large_and_grew_is_worse(base):
    old, new = copy.deepcopy(base), copy.deepcopy(base)
    larger_error(old, 100, "differ")
    larger_error(new, 2000, "differ")
    assert [change.worse for change in compared_gradients(old, new).changes] == [True]


# Accuracy


def shifted(*points: float, side: str = "numpy"):
    """The test accuracy of 64-50-10 moves by so many points, seed by seed."""

    def change(content):
        for row, move in zip(table(content, "accuracy"), points, strict=False):
            row[f"{side}_test_accuracy"] += move / 100

    return change


@pytest.mark.parametrize("side", ["numpy", "torch"])
def test_accuracy_that_is_lower_from_every_seed_is_worse(compare, side):
    name = {"numpy": "NumPy", "torch": "PyTorch"}[side]
    change = shifted(-2, -3, -2, -4, -3, side=side)
    said = compare(change)
    assert said.code == 1
    assert said.verdict.startswith(
        f"1 thing changed, 1 for the worse: {name}'s accuracy of 64-50-10, batch 100, float32: "
    )
    assert said.verdict.endswith(", lower.")
    found = rows(said, "Accuracy on the test set")
    verdicts = {row[1]: row[-1] for row in found[1:3]}
    assert verdicts.pop(name) == "lower"
    assert set(verdicts.values()) == {"identical"}
    assert found[1 if side == "numpy" else 2][5] == "-2.80%"
    assert [row[1] for row in found[4:]] == ["0", "1", "2", "3", "4"]
    assert (
        "networks that learned the same to the last digit, 1; mean accuracies, but for noise, 1" in said.out
    )

    said = compare(change, swapped=True)
    assert (said.code, said.verdict.endswith(", higher.")) == (0, True)


@pytest.mark.parametrize("points", [(-1, 1, -2, 2, 0.5), (-3,), (-1, -0.1, -0.2, -2, -0.1)])
def test_accuracy_that_moves_with_the_seed_is_noise(compare, points):
    said = compare(shifted(*points))
    assert (said.code, said.verdict) == (0, "Nothing changed beyond noise.")
    assert rows(said, "Accuracy on the test set")[1][-1] == "within noise"


def test_the_accuracies_are_paired_by_seed_whatever_their_order(compare):
    said = compare(lambda content: table(content, "accuracy").reverse())
    assert said.verdict == "Nothing changed beyond noise."
    assert "networks that learned the same to the last digit, 2" in said.unchanged


def test_of_one_seed_nobody_can_tell(compare, base, monkeypatch, tmp_path):
    first = [row for row in table(base, "accuracy") if row["seed"] == 0]
    monkeypatch.setitem(base["sections"]["accuracy"]["tables"], "accuracy", first)
    write(tmp_path / "base.json", base)
    monkeypatch.setattr(comparison, "load", load)  # what was loaded is another
    said = compare(shifted(-30))
    assert said.code == 0
    assert said.verdict.startswith("1 thing changed, none for the worse: NumPy's accuracy of 64-50-10")
    assert said.verdict.endswith(", one seed cannot tell.")
    assert rows(said, "Accuracy on the test set")[1][-2:] == ["–", "one seed cannot tell"]


# Timing


def slower(times: float, sides=("numpy", "control"), networks=("64-50-10",)):
    """Steps take so many times as long, in the samples and in the table."""

    def change(content):
        section = content["sections"]["timing"]
        for network in networks:
            for side in sides:
                for block in process_of(section["samples"], network)["blocks"][side]:
                    block.update({phase: s * times for phase, s in block.items()})
            for row in section["tables"]["timing"]:
                if row["network"] == network:
                    new = pd.DataFrame(timing.summary([process_of(section["samples"], network)["blocks"]], 0))
                    row |= new.query("pair == @row['pair'] and phase == @row['phase']").iloc[0].to_dict()

    return change


def test_times_of_which_one_side_is_slower_are_worse_and_the_other_way_round_better(compare):
    said = compare(slower(1.3))
    assert said.code == 1
    assert said.verdict == (
        "4 things changed, 4 for the worse: "
        + "; ".join(f"{phase} of 64-50-10, batch 100: slower, 1.30 times" for phase in timing.PHASES)
        + "."
    )
    header, *found = rows(said, "Time: NumPy / PyTorch")
    assert [row[1] for row in found] == list(timing.PHASES)
    step = dict(zip(header, found[-1], strict=True))
    assert (step["new / old"], step["verdict"]) == ("1.30", "slower")
    assert step["old"] == "0.50"
    assert step["new"] == "0.65"
    assert step["NumPy's time, old"].endswith("ms") or step["NumPy's time, old"].endswith("µs")
    assert "times not distinguishable" in said.unchanged
    assert "at worst), 8." in said.unchanged

    said = compare(slower(1.3), swapped=True)
    assert said.code == 0
    assert said.verdict.startswith(
        "4 things changed, none for the worse: forward of 64-50-10, batch 100: faster"
    )


def test_a_machine_that_is_slower_for_both_sides_changes_nothing(compare):
    said = compare(slower(1.3, sides=("numpy", "torch", "control")))
    assert (said.code, said.verdict) == (0, "Nothing changed beyond noise.")


def test_what_two_equal_models_differ_by_is_no_change(compare):
    said = compare(slower(1.3), slower(1.5, sides=("control",)))
    assert (said.code, said.verdict) == (0, "Nothing changed beyond noise.")


def test_beside_another_sgd_of_pytorchs_the_update_does_not_compare_and_the_rest_does(compare):
    def change(content):
        for row in table(content, "timing"):
            row["setting"] = "SGD(other=True)"

    said = compare(change, slower(1.3))
    _, *found = rows(said, "Time: NumPy / PyTorch")
    assert [row[1] for row in found] == ["forward", "backward", "step"]
    assert all(row[-1].endswith("→ SGD(other=True)") for row in found)
    assert "; updates beside another SGD of PyTorch's, not compared, 3; times not" in said.unchanged


def test_a_network_that_is_no_longer_timed_is_worse(compare):
    def change(content):
        section = content["sections"]["timing"]
        first, *_ = found = section["tables"]["timing"]
        gone = dict.fromkeys(first) | {key: first[key] for key in ("network", "batch", "dtype")}
        found[:5] = [gone | {"verdict": "not timed: the gradients disagree in 2.bias"}]
        process_of(section["samples"], first["network"])["blocks"] = {}
        section["agrees"] = False

    said = compare(change)
    assert said.code == 1
    assert "timing, the whole section: agree → differ" in said.verdict
    assert "not timed: the gradients disagree in 2.bias" in said.out


def timed(rng: np.random.Generator, seconds: float, spread: float) -> Findings:
    """Findings with nothing but the time of one step."""
    made = measured(rng, seconds, spread)
    where = {"network": "net", "batch": 1, "dtype": "float32", "setting": "SGD"}
    found = pd.DataFrame([where | row for row in timing.summary([made], 0)])
    samples = {"timing": [{"network": "net", "batch": 1, "blocks": made}]}
    return Findings({"timing": found}, samples, True)


def verdicts(draws: int, times: float, spread: float) -> Counter:
    """How often what is said of a step that takes so many times as long, each round off by this share."""
    rng = np.random.default_rng(0)
    found: Counter = Counter()
    for _ in range(draws):
        before, after = timed(rng, 1e-3, spread), timed(rng, times * 1e-3, spread)
        changes = timing.Timing().compare(before, after, True)
        found.update([changes.tables[0]["verdict"].iloc[0]] if changes.tables else ["not distinguishable"])
    return found


@pytest.fixture
def only_steps(monkeypatch) -> None:
    monkeypatch.setattr(timing, "PHASES", ("step",))


@pytest.mark.usefixtures("only_steps")
@pytest.mark.parametrize("draws", [20, pytest.param(200, marks=pytest.mark.campaign)])
def test_two_honest_reports_of_the_same_are_not_told_apart(draws):
    assert verdicts(draws, 1, 0.03)["not distinguishable"] >= 0.95 * draws


@pytest.mark.usefixtures("only_steps")
def test_a_tenth_more_is_found_where_rounds_are_off_by_two_percent():
    found = verdicts(10, 1.1, 0.02)
    assert found["slower"] >= 9
    assert found["faster"] == 0


# The checker


def changed(name: str, row: int, **cells):
    def change(content):
        table(content, name)[row] |= cells

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed("faults", 1, gradmirror=0), "0 of 1 found"),
        (changed("faults", 1, named=0), "1 of 1 found, 0 named"),
        (changed("faults", -1, gradmirror=1), "(right code)"),
        (changed("needle", 0, found=False), "asked of gradmirror, compare"),
    ],
)
def test_a_mistake_that_is_no_longer_found_is_worse(compare, change, message):
    said = compare(change)
    assert said.code == 1
    assert said.verdict.startswith("1 thing changed, 1 for the worse: ")
    assert message in said.verdict
    (row,) = rows(said, "Mistakes")[1:]
    assert row[-1] == "worse"
    assert "answers about mistakes, 9;" in said.unchanged
    said = compare(change, swapped=True)
    assert said.code == 0
    assert rows(said, "Mistakes")[1][-1] == "better"


def test_what_the_checks_of_others_find_is_told_and_never_worse(compare):
    change = changed("needle", 3, found=True)
    assert rows(compare(change), "Mistakes")[1][-1] == "better"
    said = compare(change, swapped=True)
    assert said.code == 0
    assert rows(said, "Mistakes")[1] == [
        "one wrong entry, asked of torch.autograd.gradcheck, fast",
        "found",
        "missed",
        "another's check",
    ]


def test_the_same_share_of_more_trials_is_no_change(compare):
    said = compare(changed("faults", 0, tried=10, gradmirror=10, named=10))
    assert said.verdict == "Nothing changed beyond noise."


def test_many_changes_are_counted_and_the_worse_come_first(compare):
    said = compare(slower(0.7), slower(1.3, networks=["XOR 2-4-2"]), wrong_gradient)
    assert said.code == 1
    assert said.verdict.startswith(
        "9 things changed, 5 for the worse: gradients, 64-50-10, float64, 0.weight: agree → NumPy is wrong; "
        "forward of XOR 2-4-2, batch 4: slower"
    )
    assert said.verdict.endswith("; 5 more.")
    assert len(rows(said, "Time: NumPy / PyTorch")) == 1 + 8


# The command line


def refused(said, *parts) -> None:
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("gradmirror report: error: ")
    assert said.err.count("\n") == 1
    for part in parts:
        assert part in said.err


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        (["--quick"], [], "--quick"),
        ([], ["--quick"], "--quick"),
        (["--out=x"], ["--seed", "3"], "--out, --seed"),
        ([], ["--models", "GPT"], "--models"),
    ],
)
def test_the_options_of_a_run_do_not_go_with_it_and_are_named(
    main, quick_report, monkeypatch, before, after, named
):
    monkeypatch.setattr(report, "run", lambda *args: pytest.fail("it ran"))
    said = main("report", *before, "--compare", quick_report, quick_report, *after)
    refused(said, f"runs nothing, so it goes without {named}\n")


def test_it_can_be_shortened_as_other_options_can(main, quick_report):
    assert main("report", "--comp", quick_report, quick_report).code == 0


def test_one_file_is_not_enough(main, capsys):
    with pytest.raises(SystemExit) as stop:
        main("report", "--compare", "old.json")
    assert stop.value.code == 2
    assert "--compare: expected 2 arguments" in capsys.readouterr().err


@pytest.mark.parametrize("position", [0, 1])
def test_a_file_that_cannot_be_used_is_named(main, quick_report, tmp_path, position):
    bad = tmp_path / "bad.json"
    names = [quick_report, quick_report]
    names[position] = bad
    refused(main("report", "--compare", *names), f"{bad}: No such file")
    bad.write_text(quick_report.read_text()[:5000])
    refused(main("report", "--compare", *names), f"{bad}: truncated")
    content = json.loads(quick_report.read_text())
    bad.write_text(json.dumps(content | {"schema_version": 0}))
    refused(main("report", "--compare", *names), f"{bad}: schema_version 0, expected {SCHEMA_VERSION}")
    content |= {"sections": {}, "agrees": None}
    bad.write_text(json.dumps(content | {"sha256": digest(content)}))
    refused(main("report", "--compare", *names), f"{bad}: no section was finished")
