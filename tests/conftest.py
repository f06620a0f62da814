"""One thread on both sides: small products gain nothing from two, and lose much on a busy machine."""

import contextlib
import dataclasses
import io
import os
import signal
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from filelock import FileLock
from threadpoolctl import threadpool_limits

from reports import cli
from reports.lesson import page as lesson
from reports.page import page
from reports.runner import options as declared

threadpool_limits(1)
torch.set_num_threads(1)

# A shell has its background jobs, and all that they start, ignore Ctrl-C; some tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """In a file that says ``ONE_IN = n`` every n-th case of each test stays; the rest is marked long."""
    seen = Counter()
    for item in items:
        marked = {mark.name for mark in item.iter_markers()}
        if hasattr(item, "callspec") and not {"long", "campaign"} & marked:
            if seen[item.parent, item.originalname] % getattr(item.module, "ONE_IN", 1):
                item.add_marker(pytest.mark.long)
            seen[item.parent, item.originalname] += 1


@pytest.fixture
def main(capsys, tmp_path, monkeypatch):
    """Runs the command line in a folder of its own; gives exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        code = cli.main([str(word) for word in words])
        return SimpleNamespace(code=code, **capsys.readouterr()._asdict())

    return run


# Of a report whose sections, tables and figures are all there, and whose numbers are not what is tested.
SMALL = {
    "xor_epochs": 2,
    "cost_rounds": 1,
    "drift_steps": 3,
    "model_steps": 1,
    "rounds": 3,
    "block": 0.0005,
    "swept_batches": [1],
    "swept_widths": [1],
}


@pytest.fixture(scope="session")
def in_small():
    """Within it, a quick report is quicker still, and its lesson empty: that is tested by itself.

    Without its figures, half of its time, its pages are whole but for them.
    """

    @contextlib.contextmanager
    def smaller(with_figures=True, **given):
        chosen = SMALL | given
        changed = [
            dataclasses.replace(option, quick=chosen[option.name]) if option.name in chosen else option
            for option in declared.OPTIONS
        ]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(declared, "OPTIONS", changed)
            patch.setattr(lesson, "write", lambda path: path.write_text("no lesson"))
            if not with_figures:
                patch.setattr(page, "draw", lambda section, found: iter(()))
            yield

    return smaller


@pytest.fixture(scope="session")
def quick_report(tmp_path_factory, in_small) -> Path:
    """The results.json of a small report on digits, with five seeds: one for all processes of the tests."""
    base = tmp_path_factory.getbasetemp()
    out = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "quick"
    words = ["report", "--quick", "--datasets", "digits", "--seeds", "5", "--epochs", "1"]
    with FileLock(f"{out}.lock"):
        if not (out / "lesson.html").exists():  # the last file of a report
            quiet = io.StringIO()
            with (
                in_small(with_figures=False),
                contextlib.redirect_stdout(quiet),
                contextlib.redirect_stderr(quiet),
            ):
                assert cli.main([*words, "--out", str(out)]) == 0
    return out / "results.json"
