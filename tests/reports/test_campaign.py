"""Tasks, their journal, and who does them: nothing is done twice, and nothing that is done is lost."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from reports.errors import UnusableError
from reports.runner import campaign, tasks
from reports.runner import journal as journals
from reports.runner.campaign import Planned
from reports.runner.findings import Findings, Rows
from reports.runner.journal import Journal
from reports.runner.tasks import Task, Workers
from reports.sections.section import Section

ROOT = Path(__file__).parents[2]
CONDITIONS = {"seed": 0, "cpu": "a", "packages": {"numpy": "2"}}


def square(number: int, log: Path | None = None) -> Rows:
    """One row, and a line in a file that tells who found it."""
    if log:
        with log.open("a") as file:
            file.write(f"{number} {os.getpid()}\n")
    return Rows({"squares": pd.DataFrame({"n": [number], "square": [number**2]})}, {"raw": [number]})


def slow(number: int, log: Path) -> Rows:
    found = square(number, log)
    time.sleep(60)
    return found


def fail() -> Rows:
    raise ValueError("no such number")


class Squares(Section):
    def __init__(self, name: str) -> None:
        self.name = name

    def conclude(self, rows: Rows, seed: int) -> Findings:
        return Findings(rows.tables, rows.samples, agrees=True)


def planned(log: Path | None = None, process: int | None = None) -> list[Planned]:
    tasks = [Task(f"square of {n}", partial(square, n, log), process) for n in range(5)]
    return [Planned(Squares("low"), tasks[:2]), Planned(Squares("high"), tasks[2:])]


@pytest.fixture
def log(tmp_path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def journal(tmp_path) -> Journal:
    return Journal.begin(tmp_path / "rows.jsonl", CONDITIONS)


def resumed(journal: Journal) -> Journal:
    return Journal.resume(journal.path, CONDITIONS)


def found(log: Path) -> list[int]:
    return [int(line.split()[0]) for line in log.read_text().splitlines()]


def pids(log: Path) -> set[int]:
    return {int(line.split()[1]) for line in log.read_text().splitlines()}


# ---- the journal


def test_what_is_read_again_is_what_was_found(journal):
    table = pd.DataFrame(
        {
            "name": ["a", None],
            "x": [0.1 + 0.2, np.nan],
            "y": [np.inf, 5e-324],
            "n": [1, 2**53 + 1],
            "ok": [True, False],
            "f": np.array([1.0, 2.0], np.float32),
        }
    )
    journal.add("one", Rows({"t": table}, {"raw": [{"a": np.float64(1 / 3)}]}, 1.5))
    again = resumed(journal).rows["one"]
    kept = journal.rows["one"]
    pd.testing.assert_frame_equal(again.tables["t"], kept.tables["t"])
    pd.testing.assert_frame_equal(again.tables["t"], table.astype({"f": float}), check_exact=True)
    assert (again.samples, again.seconds) == ({"raw": [{"a": 1 / 3}]}, 1.5)


def test_a_table_without_rows_keeps_its_columns(journal):
    journal.add("none", Rows({"t": pd.DataFrame(columns=["a", "b"])}))
    assert list(resumed(journal).rows["none"].tables["t"]) == ["a", "b"]


@pytest.mark.parametrize("cut", [1, 20, -1])
def test_a_line_cut_short_is_cut_off_and_the_others_stand(journal, cut):
    journal.add("one", square(1))
    whole = journal.path.read_bytes()
    journal.add("two", square(2))
    last = journal.path.read_bytes()[len(whole) :]
    journal.path.write_bytes(whole + last[:cut])
    again = resumed(journal)
    assert list(again.rows) == ["one"]
    again.add("two", square(2))
    assert list(resumed(again).rows) == ["one", "two"]


def test_to_begin_keeps_what_an_unfinished_report_left(journal):
    journal.add("one", square(1))
    begun = Journal.begin(journal.path, CONDITIONS)
    assert not resumed(begun).rows
    assert "one" in Journal.resume(journal.path.with_suffix(".previous.jsonl"), CONDITIONS).rows


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [("seed", 1, "begun with seed 0; this is seed 1"), ("more", 2, "begun with more None; this is more 2")],
)
def test_other_conditions_are_refused_by_name(journal, name, value, message):
    with pytest.raises(UnusableError, match=message):
        Journal.resume(journal.path, CONDITIONS | {name: value})


line_of = journals._line


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "first line has no conditions"),
        (b"[]\n", "line 1 is damaged"),
        (line_of({"schema": 1}), "first line has no conditions"),
        (line_of({"conditions": CONDITIONS}) + b"{oops\n", "line 2 is damaged"),
        (line_of({"conditions": CONDITIONS}) + line_of({"key": "one"}), "line 2 is damaged: KeyError"),
        (
            line_of({"conditions": CONDITIONS})
            + line_of({"key": "one", "seconds": "x", "tables": {}, "samples": {}}),
            "line 2 is damaged: ValueError",
        ),
        (
            line_of({"conditions": CONDITIONS})
            + 2 * line_of({"key": "one", "seconds": 1, "tables": {}, "samples": {}}),
            "line 3 has 'one' a second time",
        ),
    ],
)
def test_a_damaged_journal_is_refused_and_left_as_it_is(journal, content, message):
    journal.path.write_bytes(content)
    with pytest.raises(UnusableError, match=message):
        resumed(journal)
    assert journal.path.read_bytes() == content


def test_a_bit_that_flipped_is_refused_wherever_it_is(journal):
    """But for the newline at the end, without which the last line is one that was being written."""
    journal.add("one", square(1))
    content = journal.path.read_bytes()
    for at in range(0, 8 * len(content) - 8, 7):
        flipped = bytearray(content)
        flipped[at // 8] ^= 1 << at % 8
        journal.path.write_bytes(flipped)
        with pytest.raises(UnusableError, match=r"line \d is damaged|first line has no conditions"):
            resumed(journal)


def test_nothing_to_resume_is_refused(tmp_path):
    with pytest.raises(UnusableError, match="--resume: there is no "):
        Journal.resume(tmp_path / "rows.jsonl", CONDITIONS)


def test_a_sample_that_json_cannot_hold_is_refused_and_not_kept(journal):
    before = journal.path.read_bytes()
    with pytest.raises(TypeError):
        journal.add("one", Rows({}, {"raw": [object()]}))
    assert journal.path.read_bytes() == before
    assert not journal.rows


# ---- the tasks


@pytest.mark.parametrize("process", [None, 0])
def test_sections_come_as_soon_as_they_are_whole(journal, log, process):
    emitted = []
    for name, section in campaign.run(planned(log, process), journal, Workers()):
        emitted.append((name, section.tables["squares"]["square"].tolist(), found(log)))
        assert section.samples["raw"] == section.tables["squares"]["n"].tolist()
        assert section.seconds > 0
    assert emitted == [("low", [0, 1], [0, 1]), ("high", [4, 9, 16], [0, 1, 2, 3, 4])]
    assert pids(log) == {os.getpid()}


def test_what_the_journal_has_is_not_found_again(journal, log):
    journal.add("square of 3", square(3))
    journal.add("square of 0", square(0))
    sections = dict(campaign.run(planned(log), resumed(journal), Workers()))
    assert found(log) == [1, 2, 4]
    assert sections["high"].tables["squares"]["n"].tolist() == [2, 3, 4]
    again = dict(campaign.run(planned(log), resumed(journal), Workers()))
    assert found(log) == [1, 2, 4]
    for name, section in sections.items():
        pd.testing.assert_frame_equal(section.tables["squares"], again[name].tables["squares"])


def test_rows_of_no_task_are_refused(journal):
    journal.add("cube of 2", square(2))
    with pytest.raises(UnusableError, match="'cube of 2', which is not of this report"):
        next(campaign.run(planned(), journal, Workers()))


@pytest.mark.long
def test_by_several_processes_the_same_is_found(journal, log):
    sections = dict(campaign.run(planned(log), journal, Workers(jobs=2)))
    assert sections["high"].tables["squares"]["square"].tolist() == [4, 9, 16]
    assert sorted(found(log)) == [0, 1, 2, 3, 4]
    assert os.getpid() not in pids(log)


@pytest.mark.long
def test_a_fresh_process_does_all_of_its_number_and_is_gone(journal, log):
    tasks = [Task(f"{n}", partial(square, n, log), process=1 + n % 2) for n in range(4)]
    (section,) = dict(campaign.run([Planned(Squares("all"), tasks)], journal, Workers())).values()
    assert section.tables["squares"]["n"].tolist() == [0, 1, 2, 3]
    assert found(log) == [0, 2, 1, 3]
    assert len(pids(log)) == 2
    for pid in pids(log):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize("process", [None, 0, pytest.param(1, marks=pytest.mark.long)])
def test_what_a_task_raises_ends_the_campaign_and_the_rest_is_kept(journal, log, process):
    tasks = [Task("1", partial(square, 1, log), process), Task("2", fail, process)]
    with pytest.raises(ValueError, match="no such number"):
        list(campaign.run([Planned(Squares("all"), tasks)], journal, Workers()))
    assert list(resumed(journal).rows) == ["1"]


@pytest.mark.long
def test_a_fresh_process_that_dies_is_told(journal):
    last = Task("the last", partial(os._exit, 3), process=1)
    with pytest.raises(ChildProcessError, match="a process died of 'the last': it was killed"):
        list(campaign.run([Planned(Squares("all"), [last])], journal, Workers()))


@pytest.mark.long
def test_a_worker_that_dies_is_told(journal):
    all_die = [Task(str(n), partial(os._exit, 3)) for n in range(3)]
    with pytest.raises(ChildProcessError, match="a process died: it was killed, or memory ran out"):
        list(campaign.run([Planned(Squares("all"), all_die)], journal, Workers(jobs=2)))


def test_a_scheduler_that_is_not_there_is_told(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(tasks, "_ANSWER", 0.5)
    workers = Workers(backend="dask", scheduler="tcp://127.0.0.1:9")
    with pytest.raises(UnusableError, match=r"--scheduler tcp://127\.0\.0\.1:9: no dask scheduler answers"):
        workers.ready().__enter__()


def test_without_dask_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "dask.distributed", None)
    with pytest.raises(UnusableError, match="--backend dask: needs the package distributed"):
        Workers(backend="dask").ready().__enter__()


def test_a_scheduler_needs_its_backend():
    with pytest.raises(UnusableError, match="--scheduler tcp://a:1: needs --backend dask"):
        Workers(scheduler="tcp://a:1").ready().__enter__()


def test_two_tasks_of_one_key_are_refused(journal):
    with pytest.raises(ValueError, match="two tasks of 'square of 0'"):
        list(campaign.run([*planned(), *planned()], journal, Workers()))


def alive(pid: int) -> bool:
    """Whether it runs; one that has ended and is not yet waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.long
def test_workers_end_with_the_report(log, tmp_path, number):
    program = (
        "import pathlib, sys, test_campaign as t\n"
        "from reports.runner import campaign\nfrom reports.runner.journal import Journal\n"
        "tasks = [t.Task(str(n), t.partial(t.slow, n, pathlib.Path(sys.argv[1]))) for n in range(4)]\n"
        "journal = Journal.begin(pathlib.Path(sys.argv[2]), {})\n"
        "list(campaign.run([t.Planned(t.Squares('all'), tasks)], journal, t.Workers(jobs=2)))\n"
    )
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "reports")])
    running = subprocess.Popen(
        [sys.executable, "-c", program, str(log), str(tmp_path / "rows")],
        env={**os.environ, "PYTHONPATH": path},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    for _ in range(600):
        if log.exists() and len(pids(log)) == 2:
            break
        time.sleep(0.1)
    workers = pids(log)
    assert all(map(alive, workers))
    os.killpg(running.pid, number) if number == signal.SIGINT else running.send_signal(number)
    running.wait(timeout=30)
    for _ in range(100):
        if not any(map(alive, workers)):
            break
        time.sleep(0.1)
    assert not any(map(alive, workers))


@pytest.mark.campaign
def test_a_dask_cluster_of_two_workers_finds_the_same(journal, log, tmp_path):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        workers = Workers(backend="dask", scheduler=cluster.scheduler_address)
        with workers.ready():
            sections = dict(campaign.run(planned(log), journal, workers))
        assert len(pids(log)) == 2
        assert os.getpid() not in pids(log)
        words = ["--quick", "--datasets", "digits", "--backend", "dask", "--scheduler"]
        command = [sys.executable, "-m", "reports", *words, cluster.scheduler_address, "--out", str(tmp_path)]
        subprocess.run(command, cwd=ROOT, check=True)
    assert sections["high"].tables["squares"]["square"].tolist() == [4, 9, 16]
    assert json.loads((tmp_path / "results.json").read_bytes())["agrees"] is True


@pytest.mark.campaign
def test_workers_of_several_threads_are_refused():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=None) as cluster:
        workers = Workers(backend="dask", scheduler=cluster.scheduler_address)
        with pytest.raises(
            UnusableError, match=r"its workers have \[2\] threads, expected one or more workers of 1"
        ):
            workers.ready().__enter__()


# ---- stopped at any moment


@pytest.mark.campaign
def test_a_report_killed_ten_times_loses_no_row_and_has_none_twice(tmp_path):
    out, words = tmp_path / "out", ["--quick", "--seeds", "60", "--jobs", "2", "--processes", "1"]
    command = [sys.executable, "-m", "reports", *words, "--out", str(out)]
    rng, kept, kills = random.Random(0), [], 0
    while kills < 10:
        running = subprocess.Popen(
            [*command, *(["--resume"] if kept else [])],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(rng.uniform(3, 8))
        assert running.poll() is None, "finished before it was killed"
        running.send_signal(signal.SIGKILL)
        running.wait()
        if not (out / "rows.jsonl").exists():
            continue
        kills += 1
        lines = (out / "rows.jsonl").read_bytes().split(b"\n")[1:-1]
        keys = [json.loads(line)["key"] for line in lines]
        assert len(set(keys)) == len(keys)
        assert keys[: len(kept)] == kept
        kept = keys
        json.loads((out / "results.json").read_bytes())
    ends = [[*command, "--resume"], [*command[:-1], str(tmp_path / "whole")]]
    for end in ends:
        subprocess.run(end, cwd=ROOT, check=True)
    shapes = [
        {
            name: {key: len(rows) for key, rows in section["tables"].items()}
            for name, section in json.loads((folder / "results.json").read_bytes())["sections"].items()
        }
        for folder in (out, tmp_path / "whole")
    ]
    assert shapes[0] == shapes[1]
    print(f"killed {kills} times, {len(kept)} rows kept until the last; resumed to {shapes[0]}")
