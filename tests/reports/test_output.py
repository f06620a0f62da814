"""What ends a command: every exception has a sentence and an exit code, on every terminal."""

import io
import sys
from types import SimpleNamespace

import pytest

from reports import cli, output
from reports.errors import InternalError


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "gbk", "utf-8"])
def test_every_character_can_be_printed_on_every_terminal(encoding, monkeypatch):
    terminal = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", terminal)
    output.prepare()
    output.show("4×5 − ε … é ² 你 \udc80\n")
    printed = terminal.buffer.getvalue().decode(encoding)
    assert printed.endswith("\\udc80\n")
    if encoding == "ascii":
        assert printed == "4x5 - \\u03b5 ... e 2 \\u4f60 \\udc80\n"


@pytest.fixture
def ended(monkeypatch, capsys):
    """How the command line ends when a command raises this."""

    def by(error: BaseException) -> SimpleNamespace:
        def run(options):
            raise error

        monkeypatch.setattr("reports.runner.numpy_training.run", run)
        return SimpleNamespace(code=cli.main(["train"]), **capsys.readouterr()._asdict())

    return by


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (KeyError("gone"), "KeyError: 'gone'"),
        (RecursionError("too deep"), "RecursionError: too deep"),
        (AssertionError(), "AssertionError"),
        (UnicodeEncodeError("ascii", "é", 0, 1, "no"), "UnicodeEncodeError: "),
        (InternalError("Traceback …\n  elsewhere\nValueError: there\n"), "ValueError: there"),
    ],
    ids=["KeyError", "RecursionError", "AssertionError", "UnicodeEncodeError", "in another process"],
)
def test_an_exception_that_nobody_expected_ends_with_2_and_says_where_to_report_it(ended, error, line):
    said = ended(error)
    assert (said.code, said.out) == (2, "")
    first, *below = said.err.splitlines()
    assert first.startswith(f"gradmirror train: error: this is a mistake of gradmirror, not of yours: {line}")
    assert "Please report it" in first
    assert below[0].startswith("Traceback")
    assert below[-1].startswith(line)


def test_too_little_memory_is_said(ended):
    said = ended(MemoryError("Unable to allocate 7 TiB"))
    expected = "gradmirror train: error: there is not enough memory: Unable to allocate 7 TiB\n"
    assert (said.code, said.err) == (2, expected)


def test_a_reader_that_has_gone_ends_a_command_as_sigpipe_does(ended, monkeypatch):
    monkeypatch.setattr(output, "close", lambda: None)
    said = ended(BrokenPipeError())
    assert (said.code, said.out, said.err) == (141, "", "")


def test_a_command_without_stdout_and_stderr_ends_with_its_code(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.setattr("reports.runner.numpy_training.run", lambda options: 7)
    assert cli.main(["train"]) == 7
    monkeypatch.setattr("reports.runner.numpy_training.run", lambda options: 1 / 0)
    assert cli.main(["train"]) == 2
