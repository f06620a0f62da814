"""The conditions of a report: threads, machine, versions and commit."""

import importlib.metadata
import json
import re
import shutil
import subprocess

import pytest
import torch
from threadpoolctl import threadpool_info

from reports.page import page
from reports.runner import environment


def thread_counts() -> list[int]:
    return [torch.get_num_threads(), *(pool["num_threads"] for pool in threadpool_info())]


def test_threads_are_limited_within_and_as_before_after():
    before = thread_counts()
    with environment.limit_threads(2):
        assert set(thread_counts()) == {2}
        with environment.limit_threads(1):
            assert set(thread_counts()) == {1}
        assert set(thread_counts()) == {2}
    assert thread_counts() == before


def test_threads_are_as_before_after_an_error():
    before = thread_counts()
    with pytest.raises(KeyboardInterrupt), environment.limit_threads(2):
        raise KeyboardInterrupt
    assert thread_counts() == before


def test_the_environment_names_machine_versions_threads_and_command():
    with environment.limit_threads(2):
        found = environment.describe(["gradmirror", "report", "--threads", "2"], 2)
    assert found["command"] == "gradmirror report --threads 2"
    for package in ("numpy", "torch", "scipy", "pandas", "matplotlib"):
        assert found["packages"][package] == importlib.metadata.version(package)
    assert found["threads"]["asked_for"] == found["threads"]["torch"] == 2
    assert {pool["num_threads"] for pool in found["threads"]["pools"]} == {2}
    assert found["cores"] >= 1
    assert found["cpu"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", found["started"])
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    facts = page.facts(found)
    assert re.match(r"PyTorch × 2, .*openblas \S+ \w+ × 2", facts["Threads"])
    assert f"numpy {found['packages']['numpy']}" in facts["Versions"]
    assert "None" not in facts["Versions"]


def test_what_is_not_known_about_the_machine_is_said_so():
    found = environment.describe(["gradmirror", "report"], 1) | {"load": None, "commit": None}
    facts = page.facts(found)
    assert facts["Load at the start"] == "unknown"
    assert facts["Commit"] == "not a checkout"
    assert environment.version_of("no-such-package-at-all") is None


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_commit_is_that_of_the_checkout_and_marked_if_files_changed(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "reports" / "runner" / "environment.py"))
    assert environment._commit() is None

    def git(*words):
        done = subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false", *words],
            cwd=tmp_path,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    git("init", "-q")
    assert environment._commit() is None
    git("commit", "-q", "--allow-empty", "-m", "first")
    commit = git("rev-parse", "HEAD")
    assert environment._commit() == commit
    (tmp_path / "new.txt").write_text("")
    assert environment._commit() == f"{commit} with changes"
