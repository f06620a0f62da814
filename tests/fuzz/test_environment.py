"""Odd paths, encodings, closed streams and limits, for the commands that write files."""

import contextlib
import io
import os
import sys
from pathlib import Path

import pytest

from fuzz.tally import CLEAR, FINE, LOST, RAW, WRONG, Tally, each
from reports import cli

AREA = "environment, odd paths"
pytestmark = pytest.mark.filterwarnings("ignore")

TRAIN = ["train", "--dataset", "xor", "--epochs", "1"]
NAMES = {
    "plain": "c",
    "a space": "a b",
    "umlauts": "ü-ñ-字",
    "an emoji": "\U0001f600",
    "a newline": "a\nb",
    "a quote": "a'\"b",
    "a dollar": "$HOME",
    "a tilde": "~x",
    "a dash": "./-x",
    "a percent": "%s%d{}",
    "dots": "..c..",
    "hidden": ".c",
    "255 bytes": "x" * 240,
    "too long": "x" * 300,
    "a folder that is not there": "no/such/c",
    "a folder": "folder",
    "below a file": "file/c",
    "the folder itself": ".",
    "nothing": "",
    "a slash": "/",
    "not UTF-8": os.fsdecode(b"\xff\xfe"),
    "a nul": "a\0b",
    "a link": "link",
    "a link to nowhere": "dangling",
    "a link to itself": "loop",
    "a link to a folder": "folderlink",
    "a fifo": "fifo",
    "a device": "/dev/null",
    "a full device": "/dev/full",
    "proc": "/proc/self/x",
    "a Python file": "mine.py",
    "a private file": "private",
}
OPTIONS = ("--checkpoint", "--history")
ENCODINGS = ("ascii", "latin-1", "cp1252", "utf-8", "utf-16", "koi8-r", "shift_jis", "cp437")
COMMANDS = (
    TRAIN,
    ["--help"],
    ["check", "--help"],
    ["report", "--help"],
    ["check", "ü.py:字", "--input", "2"],
    ["train", "--dataset", "ü"],
)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    if not (tmp_path / "folder").exists():
        (tmp_path / "folder").mkdir()
        (tmp_path / "file").write_text("mine")
        (tmp_path / "target").write_text("mine")
        (tmp_path / "mine.py").write_text("mine = 1")
        (tmp_path / "private").write_text("mine")
        (tmp_path / "private").chmod(0o600)
        for name, target in {
            "link": "target",
            "dangling": "later",
            "loop": "loop",
            "folderlink": "folder",
        }.items():
            (tmp_path / name).symlink_to(target)
        os.mkfifo(tmp_path / "fifo")
    return tmp_path


def what_is_there(folder: Path) -> dict[str, tuple[int, str]]:
    """Kinds, modes and targets of what must stay as it is."""
    kept = ("folder", "file", "mine.py", "loop", "folderlink", "fifo", "link", "private")
    return {
        name: (
            os.lstat(folder / name).st_mode,
            os.readlink(folder / name) if (folder / name).is_symlink() else "",
        )
        for name in kept
    }


def ended(words: list[str], encoding: str = "utf-8", errors: str = "strict") -> tuple[int, str]:
    """The exit code and what was said on both streams, in an encoding."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding, errors)
    with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
        try:
            code = cli.main(words)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 99
        stream.flush()
    return code, raw.getvalue().decode(encoding, "replace")


@each([(option, name) for option in OPTIONS for name in NAMES], 6)
def test_a_path_is_written_or_refused_and_nothing_else_is_touched(tried, folder, trial) -> None:
    option, name = trial
    before, source = what_is_there(folder), (folder / "mine.py").read_text()
    try:
        code, said = ended([*TRAIN, option, NAMES[name]])
    except Exception as error:
        tried.add(RAW, trial, error)
        return
    if (
        what_is_there(folder) != before
        or (folder / "mine.py").read_text() != source
        or not Path("/dev/null").is_char_device()
    ):
        tried.add(LOST, trial, said)
    elif code == 0:
        written = Path(NAMES[name]).exists() and NAMES[name] not in ("", ".", "/", "folder")
        tried.add(FINE if written else WRONG, trial, said)
    else:
        tried.add(CLEAR if code == 2 and "this is a mistake of gradmirror" not in said else RAW, trial, said)


@pytest.mark.long
@each([(encoding, n) for encoding in ENCODINGS for n in range(len(COMMANDS))], 6)
def test_any_encoding_of_the_terminal_will_do(tried, folder, trial) -> None:
    encoding, n = trial
    try:
        code, said = ended(COMMANDS[n], encoding)
    except Exception as error:
        tried.add(RAW, trial, error)
        return
    expected = 2 if n >= 4 else 0
    good = code == expected and "this is a mistake of gradmirror" not in said
    tried.add((CLEAR if n >= 4 else FINE) if good else RAW, f"{encoding} {COMMANDS[n]}", said[-200:])


@each([("stdout", None), ("stderr", None), ("both", None)], 2)
def test_closed_streams_are_no_reason_to_fail(tried, folder, monkeypatch, trial) -> None:
    for name in ("stdout", "stderr"):
        if trial[0] in (name, "both"):
            monkeypatch.setattr(sys, name, None)
    try:
        code = cli.main(TRAIN)
    except Exception as error:
        tried.add(RAW, trial, error)
        return
    tried.add(FINE if code == 0 else RAW, trial, code)


def test_two_options_on_one_file_are_refused(tried: Tally, folder) -> None:
    for first, second in (("c", "c"), ("c", "./c"), ("c", "folder/../c"), ("link", "target")):
        code, said = ended([*TRAIN, "--checkpoint", first, "--history", second])
        tried.add(CLEAR if code == 2 else WRONG, (first, second), said)
