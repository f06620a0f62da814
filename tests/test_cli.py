"""gradmirror as a user meets it: help, exit codes, and what is left on disk when it is stopped."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from reports.cli import main

COMMAND = [sys.executable, "-c", "import sys; from reports.cli import main; sys.exit(main())"]
FILES = {"report.html", "report.md", "results.json", "results.csv", "figures"}
XOR = ["train", "--dataset", "xor", "--lr", "3", "--batch-size", "4"]


def start(*words: str, cwd: Path) -> subprocess.Popen:
    root = str(Path(__file__).parent.parent)
    environment = os.environ | {"PYTHONPATH": root, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*COMMAND, *words],
        cwd=cwd,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def wait_for(stream, words: str) -> None:
    for line in stream:
        if words in line:
            return
    raise AssertionError(f"it ended without saying {words!r}")


# ---- help


@pytest.mark.parametrize("words", [["--help"], ["report", "--help"], ["train", "--help"]], ids=" ".join)
def test_help_teaches(words, capsys) -> None:
    with pytest.raises(SystemExit) as end:
        main(words)
    told = capsys.readouterr().out
    assert end.value.code == 0
    assert "gradmirror report" in told or "gradmirror train" in told
    if len(words) > 1:
        assert "examples:" in told
        assert "exit codes:" in told


def test_help_does_not_wait_for_torch() -> None:
    code = (
        "import sys; from reports.cli import _parser; _parser().format_help(); print('torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "False\n"


def test_python_m_reports_is_gradmirror_report() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "reports", "--help"], capture_output=True, text=True, check=True
    )
    assert told.stdout.startswith("usage: gradmirror report")


# ---- what cannot be used so


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "required: command"),
        (["reprot"], "invalid choice: 'reprot'"),
        (["report", "--seed", "-1"], "'-1' is not a whole number from 0 on"),
        (["report", "--threads", "0"], "'0' is not a whole number above 0"),
        (["report", "--dataset", "cifar"], "invalid choice: 'cifar'"),
        (["report", "--dtype", "float16"], "invalid choice: 'float16'"),
        (["train", "--lr", "0"], "'0' is not a number above 0"),
        (["train", "--lr", "nan"], "'nan' is not a number above 0"),
        (["train", "--epochs", "ten"], "'ten' is not a whole number above 0"),
        (["train", "--optimizer", "Adamax2"], "invalid choice: 'Adamax2'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_words_are_named(words, message, capsys) -> None:
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["report", "--dataset", "mnist", "--data-root", "nowhere"], "nowhere"),
        (["report", "--quick", "--out", "taken"], "taken"),
        (["train", "--resume"], "--resume: from where? wanted --checkpoint FILE too"),
        (["train", "--checkpoint", "none", "--resume"], "--resume: there is no none"),
        (["train", "--checkpoint", "taken"], "--checkpoint: taken exists"),
        (["train", "--checkpoint", "taken", "--resume"], "taken"),
        (["train", "--checkpoint", "taken", "--resume", "--lr", "1"], "--lr: with --resume"),
        (["train", "--dataset", "mnist", "--data-root", "taken"], "taken"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_used_so_ends_with_2_and_a_reason(
    words, message, capsys, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("taken").write_text("something else")
    assert main(words) == 2
    told = capsys.readouterr()
    assert told.err.startswith(f"gradmirror {words[0]}: error: ")
    assert message in told.err
    assert Path("taken").read_text() == "something else"
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


# ---- train


def test_train_tells_each_epoch_and_writes_the_history(capsys, tmp_path) -> None:
    history = tmp_path / "run.csv"
    assert main([*XOR, "--epochs", "5", "--history", str(history)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in told] == [["epoch", str(n)] for n in range(1, 6)]
    frame = pd.read_csv(history)
    assert list(frame["epoch"]) == [1, 2, 3, 4, 5]
    assert np.isfinite(frame).all(axis=None)
    assert f"{frame['train_loss'].iloc[-1]:.4f}" in told[-1]


def test_a_loss_that_is_no_number_ends_with_1(capsys) -> None:
    words = ["train", "--dataset", "digits", "--lr", "1e30", "--epochs", "3"]
    with np.errstate(all="ignore"):
        assert main(words) == 1
    assert "the loss is" in capsys.readouterr().out


def weights(path: Path) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in load_file(path).items()}


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_a_resumed_training_ends_as_one_that_was_never_stopped(optimizer, tmp_path, capsys) -> None:
    straight, stopped = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    words = ["train", "--dataset", "digits", "--optimizer", optimizer]
    assert main([*words, "--epochs", "4", "--checkpoint", str(straight)]) == 0
    assert main([*words, "--epochs", "2", "--checkpoint", str(stopped)]) == 0
    assert main([*words, "--epochs", "4", "--checkpoint", str(stopped), "--resume"]) == 0
    assert "going on after epoch 2" in capsys.readouterr().out
    assert weights(straight) == weights(stopped)


def test_a_killed_training_goes_on_and_ends_bit_for_bit(tmp_path) -> None:
    words = ["train", "--dataset", "digits", "--epochs", "60", "--optimizer", "Adam"]
    process = start(*words, "--checkpoint", "killed.safetensors", cwd=tmp_path)
    wait_for(process.stdout, "epoch   3")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    weights(tmp_path / "killed.safetensors")
    assert main([*words, "--checkpoint", str(tmp_path / "killed.safetensors"), "--resume"]) == 0
    assert main([*words, "--checkpoint", str(tmp_path / "straight.safetensors")]) == 0
    assert weights(tmp_path / "killed.safetensors") == weights(tmp_path / "straight.safetensors")


def test_ctrl_c_keeps_the_last_epoch_and_says_how_to_go_on(tmp_path) -> None:
    process = start(*XOR, "--epochs", "100000", "--checkpoint", "run.safetensors", cwd=tmp_path)
    wait_for(process.stdout, "epoch   3")
    process.send_signal(signal.SIGINT)
    _, told = process.communicate()
    assert process.returncode == 130
    assert told.strip() == "gradmirror train: stopped; go on with --resume: run.safetensors"
    weights(tmp_path / "run.safetensors")


# ---- report


def sections(folder: Path) -> list[str]:
    return list(json.loads((folder / "results.json").read_text())["sections"])


@pytest.fixture(scope="module")
def quick(tmp_path_factory) -> tuple[Path, str]:
    """A folder in which a report was killed, then made again; and what the second said."""
    folder = tmp_path_factory.mktemp("report")
    process = start("report", "--quick", "--out", "out", cwd=folder)
    wait_for(process.stderr, "gradients:")
    time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert sections(folder / "out")[:1] == ["gradients"]
    assert set(pd.read_csv(folder / "out" / "results.csv")["table"]) >= {"gradients", "cost"}
    assert not (folder / "out" / "report.html").exists()
    again = start("report", "--quick", "--out", "out", cwd=folder)
    told, progress = again.communicate()
    assert again.returncode == 0, progress
    return folder / "out", told


def test_after_a_kill_the_next_report_is_whole_and_leaves_nothing_behind(quick) -> None:
    folder, _ = quick
    assert {path.name for path in folder.iterdir()} == FILES
    assert sections(folder) == ["gradients", "accuracy", "timing"]


def test_the_report_prints_its_findings(quick) -> None:
    _, told = quick
    assert "The two sides agree" in told
    assert "report.html" in told


def test_ctrl_c_says_what_is_finished(tmp_path) -> None:
    process = start("report", "--quick", "--out", "out", cwd=tmp_path)
    wait_for(process.stderr, "gradients:")
    process.send_signal(signal.SIGINT)
    _, told = process.communicate()
    assert process.returncode == 130
    assert "gradmirror report: stopped; finished: gradients" in told
    assert "Traceback" not in told
    assert sections(tmp_path / "out")[:1] == ["gradients"]
