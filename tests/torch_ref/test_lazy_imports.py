"""Importing torch_ref, and starting pytest with the plugin, loads neither torch nor scratch."""

import subprocess
import sys

import pytest

import torch_ref

HEAVY = ("torch", "scratch", "pandas", "torch_ref.checker", "torch_ref.twin")


def loaded_after(code: str) -> set[str]:
    """Which of the heavy modules a fresh interpreter has loaded after this code."""
    script = f"{code}\nimport sys\nprint(*(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {*done.stdout.splitlines()[-1].split()}


@pytest.mark.parametrize(
    "code",
    [
        "import torch_ref",
        "import gradmirror_pytest",
        "import torch_ref; dir(torch_ref)",
        "import torch_ref\ntry: torch_ref.nothing\nexcept AttributeError: pass",
    ],
)
def test_an_import_loads_nothing_heavy(code) -> None:
    assert loaded_after(code) == set()


@pytest.mark.long
def test_the_start_of_pytest_loads_nothing_heavy(tmp_path) -> None:
    (tmp_path / "test_light.py").write_text(
        "import sys\n"
        "def test_light():\n"
        f"    assert not [name for name in {HEAVY!r} if name in sys.modules]\n"
        "def test_heavy(assert_twin):\n"
        "    assert 'torch' in sys.modules\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        tmp_path,
        tmp_path,
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert "2 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.long
def test_a_name_is_loaded_when_it_is_used() -> None:
    assert loaded_after("from torch_ref import mirror") == {"torch", "scratch", "torch_ref.twin"}
    assert "torch_ref.checker" in loaded_after("import torch_ref; torch_ref.check")


@pytest.mark.parametrize("name", torch_ref.__all__)
def test_every_public_name_is_there_and_listed(name) -> None:
    assert getattr(torch_ref, name).__name__ == name
    assert name in dir(torch_ref)


def test_another_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="module 'torch_ref' has no attribute 'nothing'"):
        _ = torch_ref.nothing


@pytest.mark.parametrize("shadow", ["scratch.py", "scratch/__init__.py"])
def test_a_file_of_ones_own_in_the_way_is_named(shadow, tmp_path) -> None:
    (tmp_path / shadow).parent.mkdir(exist_ok=True)
    (tmp_path / shadow).write_text("")
    code = "import sys; sys.path.insert(0, ''); from torch_ref import check"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    named = str(tmp_path / "scratch")
    assert f"ImportError: torch_ref: {named}" in done.stderr
    assert "is found where gradmirror's own package scratch is meant; rename it" in done.stderr
