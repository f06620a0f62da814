"""The rows that a report has found so far, a line for each task: rows.jsonl.

A line is appended and flushed to the disk when a task is finished. Whatever ends a report, the lines before
stand; one that was being written is cut off and its task done again. Numbers come back bit for bit, and a
line that was altered is refused: each begins with its checksum.
"""

import json
import os
import re
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from reports.errors import UnusableError
from reports.runner.findings import Rows, plain
from scratch.files import write_whole

if sys.platform != "win32":
    import fcntl


@dataclass
class Journal:
    """The rows by the key of their task, and the file that has them.

    ``begin`` or ``resume`` makes one.
    """

    path: Path
    rows: dict[str, Rows] = field(default_factory=dict)

    @classmethod
    def begin(cls, path: Path, conditions: dict[str, Any]) -> "Journal":
        """An empty one; one that an unfinished report left is kept as rows.previous.jsonl.

        Args:
            path: of the file.
            conditions: under which all its rows are found; by name, of what JSON can hold.

        Raises:
            OSError: it cannot be written.
        """
        if path.exists() and path.read_bytes().count(b"\n") > 1:
            os.replace(path, path.with_suffix(".previous.jsonl"))
        write_whole(path, _line({"conditions": conditions}))
        return cls(path)

    @classmethod
    def resume(cls, path: Path, conditions: dict[str, Any]) -> "Journal":
        """The journal that an earlier report left, to go on with.

        Raises:
            UnusableError: there is none, it is damaged, or it was made under other conditions.
            OSError: it cannot be read or written.
        """
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise UnusableError(f"--resume: there is no {path}; without --resume a report begins") from None
        whole = content[: content.rfind(b"\n") + 1]
        first, *lines = [_parsed(path, *numbered) for numbered in enumerate(whole.splitlines(), 1)] or [{}]
        if not isinstance(first.get("conditions"), dict):
            raise UnusableError(
                f"{path}: its first line has no conditions, so it is not a journal of a report"
            )
        _compare(path, first["conditions"], json.loads(json.dumps(conditions, default=plain)))
        journal = cls(path)
        for number, line in enumerate(lines, 2):
            try:
                key, rows = str(line["key"]), _unpacked(line)
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
                raise UnusableError(f"{path}: line {number} is damaged: {error!r}") from error
            if key in journal.rows:
                raise UnusableError(f"{path}: line {number} has {key!r} a second time")
            journal.rows[key] = rows
        if len(whole) < len(content):
            os.truncate(path, len(whole))
        return journal

    def end(self) -> None:
        """Remove the file, since the finished report has all of it in its own files.

        Raises:
            OSError: the file cannot be removed.
        """
        self.path.unlink(missing_ok=True)

    def add(self, key: str, rows: Rows) -> None:
        """Keep the rows of a task: they are on the disk when this returns.

        They are kept as a later report would read them, so that one that was stopped ends with the same.

        Raises:
            OSError: it cannot be written.
            TypeError: JSON cannot hold a sample.
        """
        line = _line({"key": key, **_packed(rows)})
        with open(self.path, "ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        self.rows[key] = _unpacked(json.loads(line))


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Context in which no other report writes into this folder, which is made if there is none.

    The lock is the operating system's and on the folder itself: it ends with the process, however that ends.
    Windows has none of this kind, and there nothing is noticed.

    Raises:
        UnusableError: another one does; there is a file in its place.
        OSError: it cannot be made or opened.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UnusableError(f"--out {folder}: it is a file, expected a folder") from None
    if sys.platform == "win32":
        yield
        return
    lock = os.open(folder, os.O_RDONLY)
    try:
        _lock(lock, folder)
        yield
    finally:
        os.close(lock)


def _lock(file: int, folder: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UnusableError(
            f"{folder}: another report is being written there; wait for it, or give --out another folder"
        ) from None


_CHECKED = re.compile(rb'\{"crc32": "([0-9a-f]{8})", ')


def _line(content: dict[str, Any]) -> bytes:
    text = json.dumps(content, default=plain, ensure_ascii=False).encode()
    return b'{"crc32": "%08x", ' % zlib.crc32(text) + text[1:] + b"\n"


def _parsed(path: Path, number: int, line: bytes) -> dict[str, Any]:
    checked = _CHECKED.match(line)
    if checked is None or int(checked[1], 16) != zlib.crc32(b"{" + line[checked.end() :]):
        raise UnusableError(f"{path}: line {number} is damaged: it does not have its checksum")
    try:
        content = json.loads(line)
    except ValueError as error:
        raise UnusableError(f"{path}: line {number} is damaged: {error}") from error
    if not isinstance(content, dict):
        raise UnusableError(f"{path}: line {number} is damaged: it holds no fields")
    return content


def _compare(path: Path, then: dict[str, Any], now: dict[str, Any]) -> None:
    differ = [name for name in dict.fromkeys((*then, *now)) if then.get(name) != now.get(name)]
    if differ:
        was, given = (", ".join(f"{name} {each.get(name)!r}" for name in differ) for each in (then, now))
        raise UnusableError(
            f"--resume: {path} was begun with {was}; this is {given}, and would not be one report"
        )


def _packed(rows: Rows) -> dict[str, Any]:
    tables = {
        name: {"columns": list(table), "data": table.astype(object).to_numpy().tolist()}
        for name, table in rows.tables.items()
    }
    return {"seconds": rows.seconds, "tables": tables, "samples": rows.samples}


def _unpacked(line: dict[str, Any]) -> Rows:
    tables = {
        name: pd.DataFrame(each["data"], columns=each["columns"]) for name, each in line["tables"].items()
    }
    return Rows(tables, dict(line["samples"]), float(line["seconds"]))
