"""One thread on both sides: small products gain nothing from two, and lose much on a busy machine."""

import contextlib
import io
import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from filelock import FileLock
from threadpoolctl import threadpool_limits

from reports import cli

threadpool_limits(1)
torch.set_num_threads(1)

# A shell has its background jobs, and all that they start, ignore Ctrl-C; some tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def main(capsys, tmp_path, monkeypatch):
    """Runs the command line in a folder of its own; gives exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        code = cli.main([str(word) for word in words])
        return SimpleNamespace(code=code, **capsys.readouterr()._asdict())

    return run


@pytest.fixture(scope="session")
def quick_report(tmp_path_factory) -> Path:
    """The results.json of a quick report on digits, with five seeds: one for all processes of the tests."""
    base = tmp_path_factory.getbasetemp()
    out = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "quick"
    words = ["report", "--quick", "--datasets", "digits", "--seeds", "5", "--epochs", "1"]
    with FileLock(f"{out}.lock"):
        if not (out / "lesson.html").exists():  # the last file of a report
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                assert cli.main([*words, "--out", str(out)]) == 0
    return out / "results.json"
