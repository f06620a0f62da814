"""rows.jsonl and results.json: cut, bits turned, lines doubled, nonsense under a right checksum."""

import copy
import json
import random as dice
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz.tally import CLEAR, FINE, LARGE, LOST, RAW, WRONG, Tally, is_clear, outcome_of, sized
from fuzz.test_optimizers import paths, replaced
from reports.errors import UnusableError
from reports.runner.findings import Rows
from reports.runner.journal import Journal, _line
from reports.runner.loading import load
from reports.runner.results import digest

pytestmark = pytest.mark.filterwarnings("ignore")
AREA, RESULTS = "rows.jsonl", "results.json --compare"

CONDITIONS = {"version": "1", "options": {"seeds": 3}}


@pytest.fixture
def journal(tmp_path) -> Journal:
    made = Journal.begin(tmp_path / "rows.jsonl", CONDITIONS)
    for n in range(3):
        table = pd.DataFrame({"name": ["a", "ü"], "value": [n + 0.1, 1e-300], "ok": [True, False]})
        made.add(f"task {n}", Rows({"table": table}, {"samples": [n, None, "x"]}, 0.5 * n))
    return made


def as_rows(rows: dict[str, Rows]) -> dict[str, str]:
    return {
        key: repr((each.tables["table"].to_dict(), each.samples, each.seconds)) for key, each in rows.items()
    }


def resume(tried: Tally, path: Path, content: bytes, shown: str, true: dict[str, str]) -> None:
    """Refused, with the file as it was; or whole lines taken, which are true."""
    path.write_bytes(content)
    found, error = outcome_of(lambda: Journal.resume(path, CONDITIONS))
    if error is not None:
        clear = is_clear(error, [path.name]) and isinstance(error, UnusableError)
        kept = path.read_bytes() == content
        tried.add(LOST if not kept else CLEAR if clear else RAW, shown, error)
        return
    taken, _ = outcome_of(lambda: as_rows(found.rows))
    tried.add(FINE if taken is not None and taken.items() <= true.items() else WRONG, shown, taken)


def turned(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_a_damaged_journal_is_refused_or_what_is_whole_is_true(tried, journal) -> None:
    content, true, rng = journal.path.read_bytes(), as_rows(journal.rows), dice.Random(0)
    bits = range(8 * len(content)) if LARGE else rng.sample(range(8 * len(content)), 15)
    cuts = range(len(content)) if LARGE else rng.sample(range(len(content)), 15)
    for bit in bits:
        resume(tried, journal.path, turned(content, bit), f"bit {bit}", true)
    for cut in cuts:
        resume(tried, journal.path, content[:cut], f"cut at {cut}", true)
    lines = content.splitlines(keepends=True)
    for i in range(len(lines)):
        for j in range(len(lines)):
            doubled, swapped = [*lines, lines[i], lines[j]], lines.copy()
            swapped[i], swapped[j] = lines[j], lines[i]
            resume(tried, journal.path, b"".join(doubled), f"lines {i} and {j} again", true)
            resume(tried, journal.path, b"".join(swapped), f"lines {i} and {j} swapped", true)
    for rubbish in (
        b"",
        b"\n",
        b"\0" * 99,
        b"null\n",
        b"[]\n",
        b"{}\n",
        b"\xff\n",
        b"{" * 9999 + b"\n",
        b'{"crc32": "00000000", }\n',
    ):
        for at in range(len(lines) + 1):
            whole = b"".join((*lines[:at], rubbish, *lines[at:]))
            resume(tried, journal.path, whole, f"{rubbish[:20]!r} before line {at}", true)


VALUES: tuple[Any, ...] = (
    None,
    0,
    -1,
    1.5,
    "a",
    "",
    [],
    {},
    [1],
    [[1]],
    {"a": 1},
    True,
    10**400,
    [None],
    ...,
    float("nan"),
)


def test_nonsense_under_a_right_checksum_is_refused(tried, journal) -> None:
    """Only somebody who wants to can make one: it is refused, or can be read as rows."""
    content, true = journal.path.read_bytes(), as_rows(journal.rows)
    first, second, *rest = content.splitlines(keepends=True)
    line = {key: value for key, value in json.loads(second).items() if key != "crc32"}
    trials = [(path, value) for path in paths(line) for value in VALUES]
    for path, value in trials if LARGE else dice.Random(0).sample(trials, 15):
        forged = _line(replaced(line, path, value)) if path or value is not ... else b""
        journal.path.write_bytes(first + forged + b"".join(rest))
        found, error = outcome_of(lambda: Journal.resume(journal.path, CONDITIONS))
        shown = f"{'.'.join(map(str, path))} is {value!r}"
        if error is not None:
            tried.add(CLEAR if is_clear(error, ["rows.jsonl"]) else RAW, shown, error)
        else:
            readable = all(isinstance(each, Rows) for each in found.rows.values())
            tried.add(FINE if readable and len(true) <= len(found.rows) + 1 else WRONG, shown)


@sized(8, 300)
@given(text=st.binary(max_size=60), at=st.integers(0, 3))
def test_any_line_is_refused_or_cut_off(tried, journal, text, at) -> None:
    path = journal.path
    if not path.exists():
        return
    original = path.with_suffix(".sound")
    if not original.exists():
        original.write_bytes(path.read_bytes())
    lines = original.read_bytes().splitlines(keepends=True)
    resume(
        tried,
        path,
        b"".join((*lines[:at], text, *lines[at:])),
        f"{text!r} before line {at}",
        as_rows(journal.rows),
    )


# ---- results.json


@pytest.fixture(scope="module")
def sound(quick_report) -> bytes:
    return quick_report.read_bytes()


def read(tried: Tally, path: Path, content: bytes, shown: str, expected: bytes) -> None:
    path.write_bytes(content)
    found, error = outcome_of(lambda: load(path))
    if error is not None:
        tried.add(
            CLEAR if is_clear(error, [path.name]) and isinstance(error, UnusableError) else RAW, shown, error
        )
        return
    same = found.json() == expected.decode()
    tried.add(FINE if same else WRONG, shown)


@pytest.mark.long
@pytest.mark.parametrize("tried", [RESULTS], indirect=True)
def test_a_damaged_results_file_is_refused_or_says_the_same(tried, sound, tmp_path) -> None:
    rng = dice.Random(0)
    bits, cuts = (rng.sample(range(n), 150 if LARGE else 4) for n in (8 * len(sound), len(sound)))
    path = tmp_path / "results.json"
    for bit in bits:
        read(tried, path, turned(sound, bit), f"bit {bit}", sound)
    for cut in cuts:
        read(tried, path, sound[:cut], f"cut at {cut}", sound)
    content = json.loads(sound)
    places = [p for p in paths(content) if p]
    for place in rng.sample(places, 60 if LARGE else 2):
        value = rng.choice((None, -1, "a", [], {}, 1e308, ...))
        forged = replaced(copy.deepcopy(content), place, value)
        shown = f"{'.'.join(map(str, place))} is {value!r}"
        read(tried, path, json.dumps(forged).encode(), shown, sound)
        if isinstance(forged, dict):
            path.write_text(json.dumps(forged | {"sha256": digest(forged)}))
            _, error = outcome_of(lambda: load(path).json())
            tried.add(
                FINE if error is None else CLEAR if is_clear(error, ["results.json"]) else RAW,
                f"signed: {shown}",
                error,
            )
    for text in (
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b"{" * 99999,
        b'{"schema_version": 1e999}',
        b'{"schema_version": NaN}',
        b"9" * 9999,
    ):
        read(tried, path, text, repr(text[:30]), sound)
