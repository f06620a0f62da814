"""Places that only some systems have: asked for before they are used, wherever they are."""

import ast
import math
import sys
from pathlib import Path

import pytest
from test_house import MODULES

from reports.page import text
from reports.runner import memory

# Of POSIX alone; of Linux, or of what few have.
SOME_MODULES = {"fcntl", "resource", "pwd", "grp", "termios", "pty", "syslog"}
SOME_NAMES = {
    *("fork", "killpg", "setsid", "getpgid", "chown", "sched_getaffinity", "wait4", "mkfifo", "getuid"),
    *("SIGKILL", "SIGHUP", "SIGALRM", "pthread_sigmask", "setitimer", "alarm"),
}  # fmt: skip
ASKED = ("sys.platform", "os.name", "hasattr(", "getattr(", "suppress(OSError", "except OSError", ".exists()")


def uses(path: Path) -> list[tuple[str, str]]:
    """What is used of these, with the text of the function, or of the statement, that it is in."""
    source = path.read_text(encoding="utf-8")
    if not any(each in source for each in (*SOME_MODULES, *SOME_NAMES, "/proc")):
        return []
    lines, found = source.splitlines(), []
    for top in ast.parse(source).body:
        kinds = ast.FunctionDef | ast.ClassDef
        parts = [each for each in ast.walk(top) if isinstance(each, ast.FunctionDef)] or [top]
        for part in parts if isinstance(top, kinds) else [top]:
            around = "\n".join(lines[part.lineno - 1 : part.end_lineno])
            for node in ast.walk(part):
                if isinstance(node, ast.Import):
                    found += [(each.name, around) for each in node.names if each.name in SOME_MODULES]
                elif isinstance(node, ast.Attribute) and node.attr in SOME_NAMES:
                    found.append((node.attr, around))
                elif isinstance(node, ast.Constant) and str(node.value).startswith("/proc"):
                    found.append((str(node.value), around))
    return found


def test_the_search_finds_what_is_not_asked_for(tmp_path) -> None:
    (tmp_path / "a.py").write_text("import os, fcntl\ndef f():\n    os.killpg(0, 9)\n")
    assert [name for name, _ in uses(tmp_path / "a.py")] == ["fcntl", "killpg"]


def test_what_some_systems_do_not_have_is_asked_for_first() -> None:
    wrong = [
        (module, name)
        for module, path in MODULES.items()
        for name, around in uses(path)
        if not any(each in around for each in ASKED) and name != "/proc/self/clear_refs"  # asked at its use
    ]
    assert wrong == []


def test_memory_that_cannot_be_measured_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert math.isnan(memory.peak("GPT", "numpy"))
    assert text.megabytes(math.nan) == "not measured"
