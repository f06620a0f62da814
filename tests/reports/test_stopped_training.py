"""gradmirror train, stopped: what is on disk is whole, and resumed it ends as if never stopped."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from reports.cli import main

COMMAND = [sys.executable, "-c", "import sys; from reports.cli import main; sys.exit(main())"]


def start(*words: str, cwd: Path) -> subprocess.Popen:
    root = str(Path(__file__).parents[2])
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


@pytest.mark.long
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
    words = ["train", "--dataset", "xor", "--lr", "3", "--batch-size", "4", "--epochs", "100000"]
    process = start(*words, "--checkpoint", "run.safetensors", cwd=tmp_path)
    wait_for(process.stdout, "epoch   3")
    process.send_signal(signal.SIGINT)
    _, message = process.communicate()
    assert process.returncode == 130
    assert message.strip() == "gradmirror train: stopped; go on with --resume: run.safetensors"
    weights(tmp_path / "run.safetensors")
