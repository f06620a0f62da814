"""Checkpoints: cut anywhere, bits turned, random bytes, and nonsense under a right signature."""

import copy
import json
import math
import random as dice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load, save

import scratch
from fuzz.tally import CLEAR, FINE, LARGE, LOST, RAW, WRONG, Tally, is_clear, outcome_of, sized
from fuzz.test_optimizers import OTHERS, paths, replaced
from scratch import nn, optim, random
from scratch.checkpoint import _digest, load_checkpoint, save_checkpoint
from scratch.optim.lr_scheduler import StepLR
from scratch.training import train_step

AREA, SIGNED = "checkpoint: damaged", "checkpoint: hostile, rightly signed"
pytestmark = pytest.mark.filterwarnings("ignore")

signed_area = pytest.mark.parametrize("tried", [SIGNED], indirect=True)

X, LABELS = np.ones((4, 3), np.float32), np.array([0, 1, 0, 1])
Parts = tuple[nn.Module, optim.Optimizer, StepLR]


def parts(steps: int = 2) -> Parts:
    scratch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    optimizer = optim.Adam([{"params": model[0].parameters(), "lr": 0.1}, {"params": model[2].parameters()}])
    scheduler = StepLR(optimizer, 2)
    for _ in range(steps):
        train_step(model, nn.CrossEntropyLoss(), optimizer, X, LABELS)
        scheduler.step()
    return model, optimizer, scheduler


def everything(model: nn.Module, optimizer: optim.Optimizer, scheduler: StepLR) -> tuple[object, ...]:
    state = optimizer.state_dict()
    vectors = [(i, k, np.asarray(v).tobytes()) for i, each in state["state"].items() for k, v in each.items()]
    weights = [value.tobytes() for value in model.state_dict().values()]
    described = repr((state["param_groups"], scheduler.state_dict()))
    return vectors, weights, described, random.get_rng_state().tobytes()


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("sound") / "c"
    save_checkpoint(path, *parts(), history=[{"loss": 1.0}])
    return path.read_bytes()


@pytest.fixture(scope="module")
def mine() -> Parts:
    return parts(3)


def load_it(tried: Tally, path: Path, mine: Parts, content: bytes, shown: str, before: object) -> bool:
    """Whether it loads; that it is refused clearly, with nothing changed, if not."""
    path.write_bytes(content)
    _, error = outcome_of(lambda: load_checkpoint(path, *mine))
    if error is None:
        return True
    if everything(*mine) != before:
        tried.add(LOST, shown, error)
    else:
        tried.add(CLEAR if is_clear(error, [path.name]) else RAW, shown, error)
    return False


def turned(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def damages(content: bytes) -> list[tuple[str, bytes]]:
    """Every cut, and thousands of bits, bytes and random files."""
    rng = dice.Random(0)
    cuts = range(len(content)) if LARGE else rng.sample(range(len(content)), 15)
    bits = rng.sample(range(8 * len(content)), 4000 if LARGE else 15)
    some = [("cut", content[:n]) for n in cuts] + [(f"bit {bit}", turned(content, bit)) for bit in bits]
    for n in range(600 if LARGE else 5):
        some.append((f"random {n}", rng.randbytes(rng.randrange(len(content)))))
        some.append((f"random after a header {n}", content[: rng.randrange(900)] + rng.randbytes(100)))
    for size in (0, 1, 2**31, 2**40, 2**63, 2**64 - 1, len(content)):
        some.append((f"a header of {size}", size.to_bytes(8, "little") + content[8:]))
    for text in (
        b"{}",
        b"[]",
        b"null",
        b'{"__metadata__": {}}',
        b'{"__metadata__": {"checkpoint": "", "sha256": ""}}',
        b"{" * 5000,
        b"\xff",
    ):
        some.append((f"header {text[:50]!r}", len(text).to_bytes(8, "little") + text))
    return [*some, ("one byte more", content + b"\0"), ("twice", content * 2), ("empty", b"")]


def test_a_damaged_file_is_refused_and_changes_nothing(tried, sound, mine, tmp_path) -> None:
    before = everything(*mine)
    for shown, content in damages(sound):
        if load_it(tried, tmp_path / "c", mine, content, shown, before):
            tried.add(WRONG, shown)
            load_checkpoint_again(tmp_path / "c", mine, sound)
            before = everything(*mine)


def load_checkpoint_again(path: Path, mine: Parts, content: bytes) -> None:
    path.write_bytes(content)
    load_checkpoint(path, *mine)


# ---- rightly signed


def taken_apart(content: bytes) -> tuple[dict[str, np.ndarray], Any]:
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return load(content), json.loads(header["__metadata__"]["checkpoint"])


def signed(arrays: dict[str, np.ndarray], kept: Any) -> bytes:
    text = json.dumps(kept)
    return save(arrays, {"checkpoint": text, "sha256": _digest(arrays, text)})


def as_json(value: Any) -> bool:
    return outcome_of(lambda: json.dumps(value))[1] is None


KEPT_VALUES = {name: value for name, value in OTHERS.items() if value is Ellipsis or as_json(value)}
ARRAYS = {
    "gone": None,
    "no numbers": np.zeros(0, np.float32),
    "a number": np.zeros((), np.float32),
    "nan": np.full((), math.nan, np.float32),
    "inf": np.full((), math.inf, np.float32),
    "below 0": np.full((), -3, np.float32),
    "a half": np.full((), 0.5, np.float32),
    "1e30": np.full((), 1e30, np.float32),
    "five": np.zeros(5, np.float32),
    "float64": np.zeros((4, 3)),
    "float16": np.zeros((4, 3), np.float16),
    "integers": np.zeros((4, 3), np.int64),
    "flags": np.zeros((4, 3), bool),
    "bytes": np.zeros(5056, np.uint8),
    "other bytes": np.full(5056, 255, np.uint8),
}
EXTRA = (
    "optimizer.x.step",
    "optimizer.99.step",
    "optimizer.-1.step",
    "optimizer.0.other",
    "model.other",
    "optimizer",
    "other",
    "optimizer.0",
    "model.",
)


@signed_area
def test_nonsense_under_a_right_signature_is_refused_and_changes_nothing(tried, sound, tmp_path) -> None:
    arrays, kept = taken_apart(sound)
    trials = [("kept", path, value) for path in paths(kept) if path for value in KEPT_VALUES]
    trials += [("array", name, value) for name in (*arrays, *EXTRA) for value in ARRAYS]
    for trial in trials if LARGE else dice.Random(0).sample(trials, 25):
        try_signed(tried, tmp_path / "c", copy.deepcopy(arrays), copy.deepcopy(kept), trial)


def try_signed(tried: Tally, path: Path, arrays: Any, kept: Any, trial: tuple[str, Any, str]) -> None:
    what, place, value = trial
    if what == "kept":
        kept = replaced(kept, place, KEPT_VALUES[value])
    elif ARRAYS[value] is None:
        arrays.pop(place, None)
    else:
        arrays[place] = ARRAYS[value]
    mine = parts(1)
    shown = f"{'.'.join(map(str, place)) if what == 'kept' else place} is {value}"
    if not load_it(tried, path, mine, signed(arrays, kept), shown, everything(*mine)):
        return
    _, error = outcome_of(lambda: go_on(mine))
    tried.add(FINE if error is None else WRONG, shown, error)


def go_on(mine: Parts) -> None:
    """Train on, and save, what was loaded."""
    for _ in range(3):
        train_step(mine[0], nn.CrossEntropyLoss(), mine[1], X, LABELS)
        mine[2].step()
    repr(mine)


@signed_area
@sized(5, 300)
@given(data=st.data())
def test_any_json_under_a_right_signature_is_refused_or_goes_on(tried, sound, tmp_path, data) -> None:
    arrays, kept = taken_apart(sound)
    path = data.draw(st.sampled_from(paths(kept)))
    leaf = st.none() | st.booleans() | st.integers() | st.floats() | st.text("ab1ü", max_size=3)
    value = data.draw(
        st.recursive(
            leaf,
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text("ab1ü", max_size=3), inner, max_size=2)
            ),
            max_leaves=4,
        )
    )
    mine = parts(1)
    shown = f"{'.'.join(map(str, path))} is {value!r}"
    if load_it(
        tried, tmp_path / "c", mine, signed(arrays, replaced(kept, path, value)), shown, everything(*mine)
    ):
        _, error = outcome_of(lambda: go_on(mine))
        tried.add(FINE if error is None else WRONG, shown, error)
