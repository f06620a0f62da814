"""Processes that are killed or stopped at any moment: what they leave goes on to the same weights."""

import os
import random as dice
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from fuzz.tally import CLEAR, FINE, HOUSE, LARGE, LOST, RAW, Tally

AREA = "SIGKILL, SIGINT and SIGTERM of train"
pytestmark = pytest.mark.skipif(
    not LARGE, reason="each starts processes; test_stopped_training.py has one of each kind"
)

CODE = "import sys; from reports.cli import main; sys.exit(main())"
WORDS = ["train", "--dataset", "digits", "--epochs", "30", "--optimizer", "Adam", "--checkpoint"]


def start(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    env = os.environ | {"PYTHONPATH": str(HOUSE), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", CODE, *words],
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def weights(path: Path) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in load_file(path).items()}


def test_a_stopped_training_goes_on_to_the_same_weights(tried: Tally, tmp_path) -> None:
    process = start(tmp_path, *WORDS, "straight")
    begun = time.monotonic()
    process.communicate()
    whole, expected, rng = time.monotonic() - begun, weights(tmp_path / "straight"), dice.Random(0)
    for n in range(42):
        kind = (signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM)[n % 5]
        name = f"run{n}"
        process = start(tmp_path, *WORDS, name)
        time.sleep(rng.uniform(0.2, 0.95) * whole)
        process.send_signal(kind)
        _, said = process.communicate()
        shown = f"{kind.name} {n}, ended with {process.returncode}"
        # While Python itself ends, its handler is gone: a signal ends it without a word.
        if kind == signal.SIGINT and (process.returncode not in (0, 130, -kind) or b"Traceback" in said):
            tried.add(RAW, shown, said[-300:])
            continue
        resume = ["--resume"] if (tmp_path / name).exists() else []
        done = start(tmp_path, *WORDS, name, *resume)
        _, said = done.communicate()
        left = [each.name for each in tmp_path.iterdir() if each.name.startswith(name) and each.name != name]
        if done.returncode != 0 or weights(tmp_path / name) != expected:
            tried.add(LOST, shown, said[-300:])
        else:
            tried.add(CLEAR if kind == signal.SIGINT else FINE, shown, left)
