"""The command line: what it says, what it ends with, and what it leaves behind, however it is ended."""

import contextlib
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from safetensors import safe_open

from reports import arguments, cli
from reports.page.style import svg
from reports.runner import options as declared
from reports.runner.data import Data
from reports.runner.findings import Findings, Rows
from reports.runner.journal import alone_in
from reports.runner.plan import Plan
from reports.runner.tasks import Task
from reports.sections.section import Section
from scratch import nn

ROOT = Path(__file__).parents[2]
FILES = [
    *("figures", "lesson.html", "report.html", "report.md"),
    *("results.csv", "results.json", "results.schema.json"),
]


def call(*words, **kwargs):
    return subprocess.run(
        [sys.executable, *map(str, words)], cwd=ROOT, capture_output=True, text=True, timeout=120, **kwargs
    )


def stop_after_gradients(out: Path, number: signal.Signals) -> SimpleNamespace:
    """A report that gets the signal as soon as its first section is finished; the second one is long."""
    running = subprocess.Popen(
        [sys.executable, "-m", "reports", "--quick", "--seeds", "99", "--out", str(out)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    first = running.stderr.readline()
    running.send_signal(number)
    stdout, stderr = running.communicate(timeout=60)
    assert first.startswith("gradients: "), first + stderr
    return SimpleNamespace(out=out, code=running.returncode, stdout=stdout, stderr=stderr, left=read(out))


def read(out: Path) -> SimpleNamespace:
    """What lies in the folder, both files of results parsed."""
    return SimpleNamespace(
        names=sorted(path.name for path in out.iterdir()),
        json=json.loads((out / "results.json").read_bytes()),
        csv=pd.read_csv(out / "results.csv"),
    )


XOR = ("train", "--dataset", "xor", "--batch-size", "4")


# Help


def help_of(capsys, *words) -> str:
    with pytest.raises(SystemExit) as stop:
        cli.main([*words, "--help"])
    assert stop.value.code == 0
    return capsys.readouterr().out


def test_help_names_each_command(capsys):
    text = help_of(capsys)
    files = sorted(path.stem for path in (ROOT / "reports" / "commands").glob("[!_]*.py"))
    assert [*cli.every()] == files
    for name, command in cli.every().items():
        assert re.search(rf"\n  gradmirror {name} +{re.escape(command.summary)}\n", text)


@pytest.mark.parametrize("command", cli.every())
def test_help_teaches_examples_that_can_be_parsed(capsys, command):
    text = help_of(capsys, command)
    examples = text.split("\nexamples:\n")[1].split("\n\n")[0].splitlines()
    assert examples
    for example in examples:
        program, *words = shlex.split(re.split(r"\s{2,}", example.strip())[0])
        assert program == "gradmirror"
        assert words[0] == command
        assert callable(cli.parser().parse_args(words).run)


@pytest.mark.parametrize("command", ["report", "train"])
def test_help_teaches_each_exit_code_and_each_option_with_its_default(capsys, command):
    text = help_of(capsys, command)
    codes = text.split("\nexit codes:\n")[1]
    assert re.findall(r"^  (\d+) ", codes, re.M) == ["0", "1", "2", "130", "141"]
    for option in ("--dataset", "--data-root", "--download", "--seed", "--epochs", "--dtype"):
        assert f"\n  {option}" in text
    assert "(mnist5k)" in text
    assert "(float32)" in text


def test_help_imports_neither_torch_nor_numpy():
    program = (
        "import sys\nfrom reports.cli import every, main\n"
        "for words in ['--help'], *([name, '--help'] for name in every()):\n"
        "    try: main(words)\n"
        "    except SystemExit as stop: assert stop.code == 0\n"
        "print('loaded:', sorted({'torch', 'numpy', 'pandas', 'matplotlib'} & set(sys.modules)))\n"
    )
    done = call("-c", program)
    assert done.stdout.endswith("loaded: []\n")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_module_is_the_command_report():
    done = call("-m", "reports", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: gradmirror report ")


# The options of a report, each declared once


def test_each_option_is_declared_once_and_its_defaults_are_in_the_help(capsys):
    names = [option.name for option in declared.OPTIONS]
    assert len(names) == len(set(names))
    text = re.sub(r"\s+", " ", help_of(capsys, "report"))
    for option in declared.OPTIONS:
        assert (f" {option.flag} " in text) == bool(option.help)
        if option.help:
            assert re.sub(r"\s+", " ", option.described) in text
    assert "how many trainings (5; quick: 2)" in text
    assert "processes for all but the timing (as many as cores; quick: 1)" in text


def test_what_is_given_goes_before_the_defaults_of_a_quick_and_of_a_full_report():
    full, quick = declared.chosen({}), declared.chosen({"quick": True})
    assert (full["seeds"], quick["seeds"], full["block"], quick["block"]) == (5, 2, 0.05, 0.005)
    assert declared.chosen({"quick": True, "seeds": 7})["seeds"] == 7
    given = vars(cli.parser().parse_args(["report", "--seeds", "7", "--batch-sizes", "10", "100"]))
    assert declared.chosen(given) == full | {"seeds": 7, "batch_sizes": [10, 100]}


def test_an_option_is_recorded_if_it_decides_what_the_rows_are():
    recorded = declared.recorded(declared.chosen({}))
    assert {"quick", "seed", "seeds", "block", "device"} <= recorded.keys()
    assert not {"out", "resume", "jobs", "backend", "scheduler", "data_root", "download"} & recorded.keys()
    asked = declared.conditions(declared.chosen({}))
    assert {"--seeds", "--batch-sizes", "--dtype"} <= asked.keys()
    assert "--block" not in asked


# Wrong arguments


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ([], "command"),
        (["plot"], "plot"),
        (["report", "--no-such"], "--no-such"),
        (["report", "--seeds", "0"], "--seeds: '0' is not a whole number above 0"),
        (["report", "--seeds", "two"], "--seeds: 'two'"),
        (["report", "--epochs", "-1"], "--epochs: '-1'"),
        (["report", "--epochs", "1.5"], "--epochs: '1.5'"),
        (["report", "--threads", "0"], "--threads: '0'"),
        (["report", "--seed", "-3"], "--seed: '-3' is not a whole number from 0 on"),
        (["report", "--dtype", "float16"], "--dtype: invalid choice: 'float16'"),
        (["report", "--datasets", "xor"], "--datasets: invalid choice: 'xor'"),
        (["report", "extra"], "extra"),
        (["train", "--lr", "0"], "--lr: '0' is not a number above 0"),
        (["train", "--lr", "nan"], "--lr: 'nan'"),
        (["train", "--lr", "inf"], "--lr: 'inf'"),
        (["train", "--lr", "fast"], "--lr: 'fast'"),
        (["train", "--batch-size", "0"], "--batch-size: '0'"),
        (["train", "--hidden", "٣"], "--hidden: '٣'"),
        (["train", "--optimizer", "Adamax"], "--optimizer: invalid choice: 'Adamax'"),
        (["train", "--checkpoint"], "--checkpoint"),
        (["train", "--checkpoint", ""], "--checkpoint: it is empty; leave the option out"),
        (["train", "--data-root", ""], "--data-root: it is empty"),
        (["check", "a.py:A", "--against", ""], "--against: it is empty"),
        (["check", "a.py:A", "--json", ""], "--json: it is empty"),
        (["check", "a.py:A", "--json", "b.py"], "--json: 'b.py' is a file of Python code"),
        (["alarms", "--out", "a.py"], "--out: 'a.py' is a file of Python code"),
        (["report", "--out", ""], "--out: it is empty"),
        (["report", "--seed", str(2**32)], "--seed: '4294967296' is too large; expected at most 4294967295"),
        (["train", "--hidden", "9" * 5000], "is too large; expected at most 2147483647"),
    ],
)
def test_a_wrong_argument_is_named(capsys, words, named):
    with pytest.raises(SystemExit) as stop:
        cli.main(words)
    assert stop.value.code == 2
    said = capsys.readouterr()
    assert named in said.err.splitlines()[-1]
    assert said.err.startswith("usage: gradmirror")
    assert said.out == ""


def refused(said, command: str, *parts) -> None:
    """Exit code 2, and one line on stderr that names what is wrong."""
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(f"gradmirror {command}: error: ")
    assert said.err.count("\n") == 1
    for part in parts:
        assert str(part) in said.err


@pytest.mark.parametrize("command", ["report", "train"])
def test_mnist_that_is_not_there(main, tmp_path, command):
    said = main(command, "--dataset", "mnist", "--data-root", tmp_path / "empty")
    refused(said, command, tmp_path / "empty", "train-images-idx3-ubyte")
    assert list(tmp_path.iterdir()) == []


def test_mnist_that_is_damaged(main, tmp_path):
    for part in ("train", "t10k"):
        for kind in ("images-idx3", "labels-idx1"):
            (tmp_path / f"{part}-{kind}-ubyte").write_bytes(b"no digits")
    said = main("report", "--dataset", "mnist", "--data-root", tmp_path)
    refused(said, "report", tmp_path / "train-images-idx3-ubyte", "magic number")


@pytest.mark.parametrize("out", ["file", "file/below"])
def test_an_output_folder_that_is_a_file(main, tmp_path, out):
    (tmp_path / "file").write_text("mine")
    refused(main("report", "--quick", "--out", tmp_path / out), "report", tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_history_below_a_file(main, tmp_path):
    (tmp_path / "file").write_text("mine")
    said = main(*XOR, "--epochs", 1, "--history", tmp_path / "file" / "run.csv")
    refused(said, "train", tmp_path / "file")


@pytest.mark.parametrize("history", ["run.st", "link", "./run.st"])
def test_two_options_on_one_file(main, tmp_path, history):
    (tmp_path / "link").symlink_to("run.st")
    said = main(*XOR, "--epochs", 1, "--checkpoint", "run.st", "--history", history)
    refused(said, "train", f"--checkpoint run.st: history names this file too ({history})")
    assert not (tmp_path / "run.st").exists()


def test_a_file_that_a_check_reads_is_not_written(main, tmp_path):
    (tmp_path / "layer").write_text("class A: pass")
    said = main("check", "layer:A", "--input", "4", "--json", tmp_path / "layer")
    refused(said, "check", "--json", "mine names this file too (layer:A)")
    assert (tmp_path / "layer").read_text() == "class A: pass"


def test_a_history_that_is_there_is_not_overwritten(main, tmp_path):
    words = (*XOR, "--checkpoint", "run.st", "--history", "run.csv")
    (tmp_path / "run.csv").write_text("mine")
    refused(main(*words, "--epochs", 1), "train", "--history: run.csv exists")
    (tmp_path / "run.csv").unlink()
    assert main(*words, "--epochs", 1).code == 0
    assert main(*words, "--epochs", 2, "--resume").code == 0
    assert len((tmp_path / "run.csv").read_text().splitlines()) == 3
    (tmp_path / "run.csv").write_text("mine")
    refused(main(*words, "--epochs", 3, "--resume"), "train", "--history: run.csv is no history")
    assert (tmp_path / "run.csv").read_text() == "mine"


def test_resume_without_a_checkpoint(main):
    refused(main(*XOR, "--resume"), "train", "--resume", "--checkpoint FILE")


def test_resume_from_a_checkpoint_that_is_not_there(main, tmp_path):
    said = main(*XOR, "--resume", "--checkpoint", "none.safetensors")
    refused(said, "train", "--resume", "none.safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def checkpoint(main, tmp_path) -> Path:
    """Of two epochs of XOR."""
    assert main(*XOR, "--epochs", 2, "--checkpoint", "run.safetensors").code == 0
    return tmp_path / "run.safetensors"


def test_a_checkpoint_that_exists_is_not_overwritten(main, checkpoint):
    before = checkpoint.read_bytes()
    refused(main(*XOR, "--checkpoint", checkpoint), "train", "--checkpoint", checkpoint, "--resume")
    assert checkpoint.read_bytes() == before


def test_resume_with_another_learning_rate(main, checkpoint):
    before = checkpoint.read_bytes()
    refused(main(*XOR, "--checkpoint", checkpoint, "--resume", "--lr", 1), "train", "--lr", "--resume")
    assert checkpoint.read_bytes() == before


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda content: b"", "truncated"),
        (lambda content: b"no checkpoint", "truncated, or no checkpoint"),
        (lambda content: content[:-7], "truncated"),
        (lambda content: content[:-7] + bytes([content[-7] ^ 1]) + content[-6:], "altered"),
    ],
    ids=["empty", "text", "cut", "one bit"],
)
def test_a_damaged_checkpoint_is_refused_and_left_alone(main, checkpoint, damage, said):
    damaged = damage(checkpoint.read_bytes())
    checkpoint.write_bytes(damaged)
    refused(main(*XOR, "--checkpoint", checkpoint, "--resume"), "train", checkpoint, said)
    assert checkpoint.read_bytes() == damaged


@pytest.mark.parametrize("other", [("--optimizer", "Adam"), ("--hidden", "5")])
def test_a_checkpoint_of_another_training_is_refused(main, checkpoint, other):
    refused(main(*XOR, *other, "--checkpoint", checkpoint, "--resume"), "train", checkpoint, "options")


# Training


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_a_training_that_is_resumed_ends_as_one_that_was_never_stopped(main, tmp_path, optimizer):
    words = ("train", "--dataset", "digits", "--optimizer", optimizer)
    whole = main(*words, "--epochs", 3, "--checkpoint", "whole.safetensors", "--history", "whole.csv")
    parts = [
        main(*words, "--epochs", epochs, "--checkpoint", "parts.safetensors", "--history", "parts.csv", *more)
        for epochs, more in ((1, ()), (3, ("--resume",)))
    ]
    assert [said.code for said in (whole, *parts)] == [0, 0, 0]
    lines = whole.out.splitlines(keepends=True)
    assert parts[0].out == lines[0]
    assert parts[1].out == "going on after epoch 1: parts.safetensors\n" + "".join(lines[1:])
    assert (tmp_path / "parts.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    with safe_open("whole.safetensors", "np") as wanted, safe_open("parts.safetensors", "np") as found:
        # The SHA-256 among them is of all arrays, those of the optimizer and the generator included.
        assert found.metadata() == wanted.metadata()


LINE = re.compile(
    r"epoch +(\d+)   loss (\d+\.\d{4}), accuracy (\d+\.\d\d)%   "
    r"test: loss (\d+\.\d{4}), accuracy (\d+\.\d\d)%"
)


def test_xor_is_learned_with_the_example_of_the_help(main):
    said = main("train", "--dataset", "xor", "--lr", 3, "--batch-size", 4, "--epochs", 500)
    assert (said.code, said.err) == (0, "")
    lines = [LINE.fullmatch(line).groups() for line in said.out.splitlines()]
    assert [int(line[0]) for line in lines] == list(range(1, 501))
    assert lines[-1][2] == lines[-1][4] == "100.00"
    assert float(lines[-1][1]) < 0.01 < float(lines[0][1])


def test_the_history_has_the_lines_in_full(main, tmp_path):
    said = main(*XOR, "--epochs", 3, "--history", "new/folder/run.csv")
    history = pd.read_csv(tmp_path / "new/folder/run.csv")
    assert list(history) == ["epoch", "lr", "train_loss", "train_accuracy", "test_loss", "test_accuracy"]
    assert history["lr"].tolist() == [0.1] * 3
    for line, row in zip(said.out.splitlines(), history.to_dict("records"), strict=True):
        epoch, *numbers = LINE.fullmatch(line).groups()
        assert int(epoch) == row["epoch"]
        assert [float(number) for number in numbers] == pytest.approx(
            [
                *(row["train_loss"], 100 * row["train_accuracy"]),
                *(row["test_loss"], 100 * row["test_accuracy"]),
            ],
            abs=5.1e-3,
        )
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["run.csv"]


def test_the_same_seed_gives_the_same_lines_and_another_seed_others(main):
    words = ("train", "--dataset", "digits", "--epochs", 1, "--optimizer", "Adam")
    first = main(*words).out
    assert main(*words).out == first
    assert main(*words, "--seed", 1).out != first


def test_each_option_of_training_has_its_effect(main):
    words = ("train", "--dataset", "digits", "--epochs", 1)
    outputs = [
        main(*words, *more).out
        for more in (
            (),
            ("--optimizer", "AdamW"),
            ("--lr", "0.2"),
            ("--hidden", "20"),
            ("--batch-size", "50"),
        )
    ]
    assert len(set(outputs)) == len(outputs)


def test_a_loss_that_becomes_nan_ends_with_1_and_says_where(main, tmp_path):
    with np.errstate(all="ignore"):
        said = main("train", "--dataset", "digits", "--lr", "1e30", "--history", "run.csv")
    assert said.code == 1
    (line,) = (said.out + said.err).splitlines()
    assert line.startswith("gradmirror train: ")
    assert "the loss is nan in epoch 1" in line
    assert "learning rate (1e+30) may be too high" in line
    assert list(tmp_path.iterdir()) == []


class StoppedAfter:
    """Stands for the progress bar, and for Ctrl-C in a later epoch."""

    def __init__(self, epochs):
        self.epochs = epochs

    def __call__(self, items, description, total=None):
        if not self.epochs:
            raise KeyboardInterrupt
        self.epochs -= 1
        return items


def test_ctrl_c_while_training_says_how_to_go_on(main, tmp_path, monkeypatch):
    from reports.runner import numpy_training

    monkeypatch.setattr(numpy_training, "progress", StoppedAfter(2))
    said = main(*XOR, "--checkpoint", "run.safetensors")
    assert said.code == 130
    assert len(said.out.splitlines()) == 2
    assert said.err == "gradmirror train: stopped; go on with --resume: run.safetensors\n"
    assert [path.name for path in tmp_path.iterdir()] == ["run.safetensors"]


def test_ctrl_c_without_a_checkpoint_says_that_nothing_is_kept(main, monkeypatch):
    from reports.runner import numpy_training

    monkeypatch.setattr(numpy_training, "progress", StoppedAfter(1))
    said = main(*XOR)
    assert (said.code, said.err) == (130, "gradmirror train: stopped; nothing is kept\n")


# The report


@pytest.fixture(scope="module")
def stopped(tmp_path_factory) -> dict[str, SimpleNamespace]:
    """Two reports, one killed after its first section and one stopped with Ctrl-C."""
    signals = {"killed": signal.SIGKILL, "Ctrl-C": signal.SIGINT}
    folder = tmp_path_factory.mktemp("stopped")
    with ThreadPoolExecutor() as pool:
        ends = pool.map(stop_after_gradients, [folder / name for name in signals], signals.values())
        return dict(zip(signals, ends, strict=True))


@pytest.fixture(scope="module")
def ran(stopped, in_small) -> SimpleNamespace:
    """A whole report, in the folder of the killed one."""
    out = stopped["killed"].out
    stdout, stderr = io.StringIO(), io.StringIO()
    with in_small(), contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        code = cli.main(["report", "--quick", "--out", str(out)])
    return SimpleNamespace(
        out=out,
        code=code,
        stdout=stdout.getvalue(),
        stderr=stderr.getvalue(),
        left=read(out),
    )


@pytest.mark.long
def test_a_killed_report_leaves_its_finished_section(stopped):
    killed = stopped["killed"]
    assert killed.code == -signal.SIGKILL
    assert killed.left.names == ["results.csv", "results.json", "rows.jsonl"]
    assert list(killed.left.json["sections"]) == ["gradients"]
    assert killed.left.json["sections"]["gradients"]["agrees"] is True
    assert set(killed.left.csv["table"]) == {"gradients", "errors", "cost", "growth"}
    assert (killed.left.csv["value"].notna()).all()


@pytest.mark.long
def test_a_quick_report_ends_with_0_and_leaves_all_files_and_no_litter(ran):
    assert ran.code == 0
    assert ran.left.names == [*FILES, "rows.previous.jsonl"]  # of the report that was killed here
    figures = {path.name.removesuffix(".svg").partition("-")[0] for path in (ran.out / "figures").iterdir()}
    assert figures == {
        *("errors", "cost", "growth", "loss", "confusion", "misread", "drift", "faults", "timing", "sweep")
    }
    assert all(path.stat().st_size for path in ran.out.rglob("*"))


@pytest.mark.long
def test_a_report_says_what_it_found_and_how_long_each_section_took(ran):
    names = [line.partition(":")[0] for line in ran.stderr.splitlines()]
    assert names == ["gradients", "accuracy", "drift", "checker", "timing", "page"]
    assert all(re.fullmatch(r"\w+: [\d.]+ s", line) for line in ran.stderr.splitlines())
    assert "The two sides agree: in all 28 tensors compared" in ran.stdout
    assert f"  {ran.out / 'report.html'}\n" in ran.stdout
    for network in ("784-50-10", "XOR 2-4-2", "784-1024-10, batch 512"):
        assert network in ran.stdout


@pytest.mark.long
def test_the_results_of_a_report_hold_its_sections_options_and_command(ran):
    content = ran.left.json
    assert content["agrees"] is True
    assert list(content["sections"]) == ["gradients", "accuracy", "drift", "checker", "timing"]
    assert all(section["seconds"] > 0 for section in content["sections"].values())
    assert content["environment"]["command"] == f"gradmirror report --quick --out {ran.out}"
    assert content["options"].items() >= {"quick": True, "seed": 0, "dtype": "float32", "seeds": 2}.items()
    found = {
        *("gradients", "errors", "cost", "growth", "epochs", "accuracy", "confusion", "misread"),
        *("drift", "drift_steps", "faults", "needle", "timing", "sweep"),
    }
    assert set(ran.left.csv["table"]) == found


@pytest.mark.long
def test_ctrl_c_ends_with_130_and_keeps_what_is_finished(stopped):
    told = stopped["Ctrl-C"]
    assert told.code == 130
    assert told.stdout == ""
    kept, tasks = re.fullmatch(
        r"gradmirror report: stopped; (\d+) of (\d+) rows are kept; --resume goes on\n", told.stderr
    ).groups()
    assert 5 <= int(kept) < 200 < int(tasks)
    assert told.left.names == ["results.csv", "results.json", "rows.jsonl"]
    assert list(told.left.json["sections"]) == ["gradients"]
    assert set(told.left.csv["table"]) == {"gradients", "errors", "cost", "growth"}


ONE_OF_EVERYTHING = {"seeds": 1, "epochs": 1, "cost_hidden": 1, "growth_hidden": [], "faults": 1}


def test_an_earlier_report_is_gone_as_soon_as_a_new_one_begins(main, tmp_path, monkeypatch):
    from reports.runner import cost

    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(cost, "measure", stop)
    (tmp_path / "out" / "figures").mkdir(parents=True)
    for name in ("report.html", "report.md", "figures/mine.svg", "notes.txt"):
        (tmp_path / "out" / name).write_text("earlier")
    (tmp_path / "out" / "figures" / "loss.svg").write_text(svg("loss", "Loss", Figure()))
    said = main("report", "--quick", "--dataset", "digits", "--out", "out")
    assert said.code == 130
    assert said.err.startswith("gradmirror report: stopped; 0 of ")
    files = sorted(path.name for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert files == ["mine.svg", "notes.txt", "results.csv", "results.json", "rows.jsonl"]
    assert read(tmp_path / "out").json["agrees"] is None


def test_a_file_where_the_folder_should_be_is_told(main, tmp_path):
    (tmp_path / "out").write_text("mine")
    said = main("report", "--quick", "--dataset", "digits", "--out", "out")
    assert said.code == 2
    assert said.err == "gradmirror report: error: --out out: it is a file, expected a folder\n"
    assert (tmp_path / "out").read_text() == "mine"


def test_jobs_are_not_for_a_cluster(main):
    cluster = ("--backend", "dask", "--scheduler", "tcp://127.0.0.1:9")
    said = main("report", "--quick", "--dataset", "digits", "--jobs", 2, *cluster)
    assert said.code == 2
    assert "error: --jobs 2: the cluster of --scheduler has workers of its own" in said.err


def test_two_reports_do_not_write_into_one_folder(main, tmp_path):
    with alone_in(tmp_path / "out"):
        said = main("report", "--quick", "--dataset", "digits", "--out", "out")
    assert said.code == 2
    assert "out: another report is being written there; wait for it, or give --out another" in said.err
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.long
def test_a_process_that_dies_ends_with_2_and_what_is_finished_is_kept(main, monkeypatch):
    from reports.runner import campaign, report

    class Dying(Section):
        name = "gradients"

        def conclude(self, rows: Rows, seed: int) -> Findings:
            return Findings(rows.tables, {}, True)

    tasks = [Task("first", lambda: Rows({})), Task("second", partial(os._exit, 3), process=1)]
    monkeypatch.setattr(report, "plan", lambda options: [campaign.Planned(Dying(), tasks)])
    said = main("report", "--quick", "--dataset", "digits", "--out", "out")
    assert said.code == 2
    assert said.err.endswith(
        "gradmirror report: error: a process died of 'second': it was killed, or memory ran out; "
        "1 of 2 rows are kept; --resume goes on\n"
    )


@pytest.mark.long
def test_a_wrong_gradient_ends_with_1_and_is_named(main, in_small, tmp_path, monkeypatch):
    right = nn.Linear.backward

    def backward(self, dy):
        dx = right(self, dy)
        if self.out_features == 2 and self.bias is not None:
            self.bias.grad = self.bias.grad * 1.01
        return dx

    monkeypatch.setattr(nn.Linear, "backward", backward)
    with in_small(**ONE_OF_EVERYTHING):
        said = main("report", "--quick", "--dataset", "digits", "--out", "a folder")
    assert said.code == 1
    verdict = "The two sides disagree: 2.bias of XOR 2-4-2 in float64 (NumPy is wrong)"
    assert verdict in said.out
    assert "not timed: the gradients disagree in 2.bias" in said.out
    left = read(tmp_path / "a folder")
    assert left.names == FILES
    assert left.json["agrees"] is False
    assert left.json["environment"]["command"] == (
        "gradmirror report --quick --dataset digits --out 'a folder'"
    )
    assert verdict in (tmp_path / "a folder" / "report.html").read_text()


@pytest.mark.long
def test_the_options_of_a_report_reach_its_sections(main, in_small, tmp_path):
    options = ("--seeds", 2, "--epochs", 2, "--seed", 3, "--dtype", "float64")
    grid = ("--models", "two_layer_net", "mlp_batchnorm", "--batch-sizes", 100, 700)
    with in_small(with_figures=False, **ONE_OF_EVERYTHING):
        said = main("report", "--quick", "--datasets", "digits", *options, *grid, "--out", "out")
    assert said.code == 0
    left = read(tmp_path / "out")
    final = pd.DataFrame(left.json["sections"]["accuracy"]["tables"]["accuracy"])
    cells = [("64-50-10", 100), ("64-50-10", 700), ("mlp_batchnorm", 100), ("mlp_batchnorm", 700)]
    assert final[["network", "batch", "dtype", "seed", "epoch"]].to_numpy().tolist() == [
        [network, batch, "float64", seed, 2]
        for network, batch in [*cells, ("XOR 2-4-2", 4)]
        for seed in (3, 4)
    ]
    trained = left.json["sections"]["drift"]["tables"]["drift"]
    assert [(row["network"], row["batch"]) for row in trained] == [("64-50-10", 100), *cells]
    timed = pd.DataFrame(left.json["sections"]["timing"]["tables"]["timing"])
    assert set(timed["dtype"]) == {"float64"}
    assert list(dict.fromkeys(zip(timed["network"], timed["batch"], strict=True))) == cells
    assert left.json["environment"]["threads"]["asked_for"] == 1


def test_each_network_meets_each_dataset_that_it_can_learn():
    from reports.runner import frameworks, networks

    data = [Data("mnist5k"), Data("digits")]
    asked = Plan({"models": ["simple_conv_net", "CharLSTM"], "batch_sizes": []}, data).asked
    assert [(each.name, each.batch_size) for each in asked] == [
        ("simple_conv_net on mnist5k", 100),
        ("simple_conv_net on digits", 100),
        ("CharLSTM", 32),
    ]
    for network in asked:
        model, twin = network.build("float32", 0)
        x, _ = network.batch("float32", 2)
        np.testing.assert_allclose(model(x), twin(torch.from_numpy(x)).detach().numpy(), atol=1e-5)
    (only,) = Plan({"models": [], "batch_sizes": [7]}, data[:1]).asked
    assert (only.name, only.batch_size) == ("784-50-10", 7)
    assert networks.has_own_data("GPT")
    assert set(arguments.COLUMNS) == set(frameworks.COLUMNS) - {"numpy"}


def test_a_batch_larger_than_the_data_is_refused(main):
    said = main("report", "--quick", "--datasets", "digits", "--batch-sizes", 10, 5000)
    assert said.code == 2
    assert "--batch-sizes: 5000 is more than the 1438 samples of 64-50-10" in said.err
