"""One thread on both sides: small products gain nothing from two, and lose much on a busy machine."""

import signal
from types import SimpleNamespace

import pytest
import torch
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
