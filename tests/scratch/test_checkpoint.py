"""Checkpoints: what is saved comes back, and a file is whole, or it is refused and nothing is changed."""

import numpy as np
import pytest

import scratch
from scratch import nn, optim, random
from scratch.checkpoint import load_checkpoint, save_checkpoint
from scratch.data import DataLoader, TensorDataset
from scratch.optim.lr_scheduler import CosineAnnealingLR, StepLR
from scratch.training import fit

OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, lr=0.1),
    "momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9),
    "Adagrad": lambda p: optim.Adagrad(p, lr=0.1),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.01, momentum=0.5, centered=True),
    "Adam": lambda p: optim.Adam(p, lr=0.01, amsgrad=True),
    "AdamW": lambda p: optim.AdamW(p, lr=0.01),
}


def parts(kind="Adam", seed=0, hidden=4):
    scratch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, hidden), nn.ReLU(), nn.Dropout(0.3), nn.Linear(hidden, 2))
    optimizer = OPTIMIZERS[kind](model.parameters())
    return model, optimizer, StepLR(optimizer, step_size=2, gamma=0.5)


def data():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 3)).astype(np.float32)
    return TensorDataset(x, (x[:, 0] > 0).astype(np.int64))


def train(model, optimizer, scheduler, epochs, history=None):
    loader = DataLoader(data(), 8, shuffle=True)
    return fit(
        model,
        nn.CrossEntropyLoss(),
        optimizer,
        loader,
        epochs=epochs,
        test=data(),
        scheduler=scheduler,
        history=history,
    )


def everything(model, optimizer, scheduler):
    """All state, as values that can be compared."""
    state = optimizer.state_dict()
    vectors = {
        (index, name): np.asarray(value).tobytes()
        for index, entries in state["state"].items()
        for name, value in entries.items()
    }
    weights = {name: value.tobytes() for name, value in model.state_dict().items()}
    return (
        weights,
        vectors,
        repr(state["param_groups"]),
        scheduler.state_dict(),
        random.get_rng_state().tobytes(),
    )


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_all_that_is_saved_comes_back(kind, tmp_path) -> None:
    path = tmp_path / "c.safetensors"
    saved = parts(kind)
    history = train(*saved, epochs=3)
    save_checkpoint(path, *saved, history=history)
    before = everything(*saved)
    loaded = parts(kind, seed=1)
    assert load_checkpoint(path, *loaded) == history
    assert everything(*loaded) == before


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_stopped_and_resumed_ends_bit_for_bit_as_never_stopped(kind, tmp_path) -> None:
    path = tmp_path / "c.safetensors"
    straight = parts(kind)
    history = train(*straight, epochs=6)
    stopped = parts(kind)
    save_checkpoint(path, *stopped, history=train(*stopped, epochs=3))
    resumed = parts(kind, seed=1)
    assert train(*resumed, epochs=6, history=load_checkpoint(path, *resumed)) == history
    assert everything(*resumed) == everything(*straight)


def test_a_checkpoint_before_the_first_step(tmp_path) -> None:
    path = tmp_path / "c.safetensors"
    fresh = parts("Adagrad")
    save_checkpoint(path, *fresh)
    before = everything(*fresh)
    loaded = parts("Adagrad", seed=1)
    assert load_checkpoint(path, *loaded) == []
    assert everything(*loaded) == before


# ---- files that are not whole


def truncated(content):
    return content[: len(content) // 2]


def one_bit_flipped(content):
    return content[:-1] + bytes([content[-1] ^ 1])


def another_history(content):
    return content.replace(b'\\"epoch\\": 1', b'\\"epoch\\": 7')


def no_checkpoint(content):
    return b"PK\x03\x04 something else"


def empty(content):
    return b""


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncated, "is truncated, or no checkpoint"),
        (empty, "is truncated, or no checkpoint"),
        (no_checkpoint, "is truncated, or no checkpoint"),
        (one_bit_flipped, "was altered"),
        (another_history, "was altered"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_damaged_file_is_refused_and_changes_nothing(damage, message, tmp_path) -> None:
    path = tmp_path / "c.safetensors"
    saved = parts()
    save_checkpoint(path, *saved, history=train(*saved, epochs=1))
    damaged = damage(path.read_bytes())
    assert damaged != path.read_bytes()
    path.write_bytes(damaged)
    mine = parts(seed=1)
    before = everything(*mine)
    with pytest.raises(ValueError, match=message) as refusal:
        load_checkpoint(path, *mine)
    assert str(path) in str(refusal.value)
    assert everything(*mine) == before


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: parts(hidden=5), "another model, optimizer or scheduler.*size mismatch for 0.weight"),
        (lambda: parts("RMSprop"), "another optimizer: it was written with Adam, and this is RMSprop"),
        (lambda: (*parts()[:2], None), "another scheduler: it was written with StepLR, and this is none"),
        (
            lambda: (*(some := parts()[:2]), CosineAnnealingLR(some[1], T_max=3)),
            "another scheduler: it was written with StepLR, and this is CosineAnnealingLR",
        ),
    ],
    ids=["model", "optimizer", "no scheduler", "scheduler"],
)
def test_a_checkpoint_of_something_else_is_refused_and_changes_nothing(other, message, tmp_path) -> None:
    path = tmp_path / "c.safetensors"
    saved = parts()
    save_checkpoint(path, *saved, history=train(*saved, epochs=1))
    model, optimizer, scheduler = other()
    watched = (model, optimizer, scheduler or StepLR(optimizer, 1))
    before = everything(*watched)
    with pytest.raises(ValueError, match=message):
        load_checkpoint(path, model, optimizer, scheduler)
    assert everything(*watched) == before


def test_a_file_that_is_not_there(tmp_path) -> None:
    with pytest.raises(FileNotFoundError):
        load_checkpoint(tmp_path / "none", *parts())


def test_a_view_that_is_not_contiguous_is_saved_as_it_is(tmp_path) -> None:
    path = tmp_path / "c.safetensors"
    model, optimizer, scheduler = parts()
    table = np.arange(6.0).reshape(2, 3).T
    model.register_buffer("table", table)
    save_checkpoint(path, model, optimizer, scheduler)
    model.table = np.zeros((3, 2))
    load_checkpoint(path, model, optimizer, scheduler)
    assert np.array_equal(model.table, table)
