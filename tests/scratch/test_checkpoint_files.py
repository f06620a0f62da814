"""More of checkpoints: killed at every stage of a write, forged files, groups and schedulers."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, load_file, save

import scratch
from scratch import nn, optim, random
from scratch.checkpoint import _digest, load_checkpoint, save_checkpoint
from scratch.data import DataLoader, TensorDataset
from scratch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, StepLR
from scratch.training import fit

F32 = np.float32
SCHEDULERS = {
    "StepLR": lambda optimizer: StepLR(optimizer, 2, gamma=0.5),
    "CosineAnnealingLR": lambda optimizer: CosineAnnealingLR(optimizer, 4),
    "LambdaLR": lambda optimizer: LambdaLR(optimizer, lambda epoch: 0.9**epoch),
}


def parts(scheduler="StepLR", seed=0, dtype=F32):
    scratch.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(3, 4, dtype=dtype), nn.ReLU(), nn.Dropout(0.3), nn.Linear(4, 2, dtype=dtype)
    )
    model[0].bias.requires_grad = False
    groups = [{"params": model[0].parameters(), "lr": 0.05}, {"params": model[3].parameters()}]
    optimizer = optim.Adam(groups, lr=0.01)
    return model, optimizer, SCHEDULERS[scheduler](optimizer)


def train(model, optimizer, scheduler, epochs, history=None):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 3)).astype(model[0].weight.dtype)
    dataset = TensorDataset(x, (x[:, 0] > 0).astype(np.int64))
    return fit(
        model,
        nn.CrossEntropyLoss(),
        optimizer,
        DataLoader(dataset, 8, shuffle=True),
        epochs=epochs,
        scheduler=scheduler,
        history=history,
    )


def everything(model, optimizer, scheduler):
    state = optimizer.state_dict()
    vectors = {
        (index, name): np.asarray(value).tobytes()
        for index, entries in state["state"].items()
        for name, value in entries.items()
    }
    weights = {name: value.tobytes() for name, value in model.state_dict().items()}
    described = repr(state["param_groups"]), repr(scheduler.state_dict())
    return weights, vectors, *described, random.get_rng_state().tobytes()


@pytest.mark.parametrize("dtype", [F32, np.float64])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_groups_frozen_parameters_and_schedulers_go_on_bit_for_bit(scheduler, dtype, tmp_path) -> None:
    path = tmp_path / "c.safetensors"
    straight = parts(scheduler, dtype=dtype)
    history = train(*straight, epochs=6)
    stopped = parts(scheduler, dtype=dtype)
    save_checkpoint(path, *stopped, history=train(*stopped, epochs=3))
    resumed = parts(scheduler, seed=1, dtype=dtype)
    assert train(*resumed, epochs=6, history=load_checkpoint(path, *resumed)) == history
    assert everything(*resumed) == everything(*straight)


def test_the_masks_and_shuffles_after_loading_are_those_after_saving(tmp_path) -> None:
    path = tmp_path / "c.safetensors"
    model, optimizer, scheduler = parts()
    random.randn(3)
    save_checkpoint(path, model, optimizer, scheduler)
    x = np.ones((8, 3), F32)
    expected = model(x), random.randperm(9), random.randn(1)
    scratch.manual_seed(7)
    load_checkpoint(path, model, optimizer, scheduler)
    found = model(x), random.randperm(9), random.randn(1)
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_saving_changes_nothing(tmp_path) -> None:
    saved = parts()
    train(*saved, epochs=2)
    before = everything(*saved)
    save_checkpoint(tmp_path / "c", *saved)
    assert everything(*saved) == before


def test_a_folder_that_is_not_there_is_made(tmp_path) -> None:
    path, saved = tmp_path / "runs" / "1" / "c", parts()
    save_checkpoint(path, *saved)
    assert load_checkpoint(path, *saved) == []


def test_what_cannot_be_saved_leaves_the_old_file_and_nothing_else(tmp_path) -> None:
    path, saved = tmp_path / "c", parts()
    save_checkpoint(path, *saved)
    old = path.read_bytes()
    with pytest.raises(TypeError):
        save_checkpoint(path, *saved, history=[{"loss": object()}])
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


# ---- forged files


def forge(path: Path, change) -> None:
    """Write the file anew, with its SHA-256 right, after ``change(arrays, kept)``."""
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    arrays, kept = load(content), json.loads(header["__metadata__"]["checkpoint"])
    change(arrays, kept)
    text = json.dumps(kept)
    path.write_bytes(save(arrays, {"checkpoint": text, "sha256": _digest(arrays, text)}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays, kept: kept.update(format="other-2"), r"has format 'other-2', expected 'gradmirror-"),
        (lambda arrays, kept: arrays.pop("model.0.bias"), r"missing keys: 0\.bias"),
        (lambda arrays, kept: arrays.update({"model.9.bias": np.ones(1)}), r"unexpected keys: 9\.bias"),
        (lambda arrays, kept: kept["param_groups"].pop(), r"groups of \[2\] parameters, expected \[2, 2\]"),
        (lambda arrays, kept: kept["param_groups"][1].update(lr=-1), "lr is -1, expected 0 or more"),
        (lambda arrays, kept: arrays.update({"optimizer.0.exp_avg": np.ones(2)}), r"exp_avg of parameter 0"),
        (lambda arrays, kept: arrays.update({"optimizer.9.step": np.ones(())}), "state of parameter 9"),
        (lambda arrays, kept: kept["scheduler"].pop("gamma"), r"no \['gamma'\]"),
        (lambda arrays, kept: kept.update(scheduler=None), "is of another model, optimizer or scheduler"),
    ],
    ids=["format", "key", "extra key", "groups", "lr", "shape", "index", "gamma", "scheduler"],
)
def test_a_file_that_is_sound_but_does_not_fit_is_refused_and_changes_nothing(
    change, message, tmp_path
) -> None:
    refused_and_nothing_changed(change, message, tmp_path)


NONSENSE = {
    "history": (("history",), 3, "history is a int, expected a list of dicts"),
    "a row": (
        ("history",),
        [{"loss": "x"}],
        "history of epoch 1 is {'loss': 'x'}, expected a dict of numbers",
    ),
    "gamma": (("scheduler", "gamma"), "x", "gamma is 'x', expected a number"),
    "rates": (("scheduler", "base_lrs"), [1.0], "base_lrs is [1.0], expected 2 in a tuple or list"),
    "lr": (("param_groups", 0, "lr"), "x", "lr is 'x', expected a number"),
    "betas": (("param_groups", 0, "betas"), [0.9], "betas is (0.9,), expected 2 in a tuple"),
    "beta": (("param_groups", 0, "betas"), [0.9, None], "betas is None, expected a number"),
    "flag": (("param_groups", 0, "amsgrad"), "no", "amsgrad is 'no', expected True or False"),
    "groups": (("param_groups",), [3, 4], "is of another model"),
    "no exp_avg": (("optimizer.0.exp_avg",), None, "no ['exp_avg'] of parameter 0"),
    "no exp_avg_sq": (("optimizer.3.exp_avg_sq",), None, "no ['exp_avg_sq'] of parameter 3"),
    "step": (("optimizer.0.step",), np.array(np.inf), "is of another model"),
    "steps": (("optimizer.0.step",), np.ones(2), "is of another model"),
}


@pytest.mark.parametrize(("place", "value", "message"), NONSENSE.values(), ids=NONSENSE)
def test_nonsense_under_a_right_signature_is_refused_and_changes_nothing(
    place, value, message, tmp_path
) -> None:
    def change(arrays, kept):
        if place[0] in arrays:
            arrays.pop(place[0])
            arrays |= {} if value is None else {place[0]: value}
            return
        for key in place[:-1]:
            kept = kept[key]
        kept[place[-1]] = value

    refused_and_nothing_changed(change, re.escape(message), tmp_path)


def refused_and_nothing_changed(change, message: str, tmp_path: Path) -> None:
    path, saved = tmp_path / "c", parts()
    save_checkpoint(path, *saved, history=train(*saved, epochs=1))
    forge(path, change)
    mine = parts(seed=1)
    train(*mine, epochs=2)
    before = everything(*mine)
    with pytest.raises(ValueError, match=message):
        load_checkpoint(path, *mine)
    assert everything(*mine) == before


@pytest.mark.parametrize("metadata", [None, {"format": "np"}], ids=["none", "other"])
def test_a_safetensors_file_of_something_else_is_no_checkpoint(metadata, tmp_path) -> None:
    path, mine = tmp_path / "c", parts()
    path.write_bytes(save({"weight": np.ones(2)}, metadata))
    before = everything(*mine)
    with pytest.raises(ValueError, match="is truncated, or no checkpoint"):
        load_checkpoint(path, *mine)
    assert everything(*mine) == before


def test_a_file_cut_off_anywhere_is_refused(tmp_path) -> None:
    path, mine = tmp_path / "c", parts()
    save_checkpoint(path, *mine)
    content, before = path.read_bytes(), everything(*mine)
    for length in [1, 7, 8, 9, 100, *range(1000, len(content), 997), len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match="is truncated, or no checkpoint"):
            load_checkpoint(path, *mine)
    path.write_bytes(content + b"\0")
    with pytest.raises(ValueError, match="load_checkpoint"):
        load_checkpoint(path, *mine)
    assert everything(*mine) == before


# ---- killed in the middle of a write

ROOT = str(Path(__file__).parents[2])
KILLED = """
import os, signal, sys
step, count = sys.argv.pop(1), int(sys.argv.pop(1))
name, when = step.split()
real, calls = getattr(os, name), 0
def patched(*args, **kwargs):
    global calls
    calls += 1
    last = calls == count
    if last and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    result = real(*args, **kwargs)
    if last:
        os.kill(os.getpid(), signal.SIGKILL)
    return result
setattr(os, name, patched)
from reports.cli import main
sys.exit(main())
"""
COMMAND = "import sys; from reports.cli import main; sys.exit(main())"
WORDS = ["train", "--dataset", "xor", "--optimizer", "Adam", "--batch-size", "2", "--epochs", "6"]


def run(code: str, *words: str, cwd: Path) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": ROOT, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def weights(path: Path) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in load_file(path).items()}


@pytest.mark.parametrize(
    ("step", "epochs"), [("fsync before", 3), ("replace before", 3), ("replace after", 4)]
)
@pytest.mark.long
def test_killed_in_the_middle_of_a_write_it_goes_on_from_the_epoch_that_is_whole(
    step, epochs, tmp_path
) -> None:
    file = ["--checkpoint", "run.safetensors"]
    killed = run(KILLED, step, "4", *WORDS, *file, cwd=tmp_path)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    weights(tmp_path / "run.safetensors")
    resumed = run(COMMAND, *WORDS, *file, "--resume", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert f"going on after epoch {epochs}" in resumed.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["run.safetensors"]
    straight = run(COMMAND, *WORDS, "--checkpoint", "straight.safetensors", cwd=tmp_path)
    assert straight.returncode == 0, straight.stderr
    assert weights(tmp_path / "run.safetensors") == weights(tmp_path / "straight.safetensors")
