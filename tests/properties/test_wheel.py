"""The wheel, unpacked anywhere: the command and the plugin work, also beside a scratch.py of people's own."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MINE = """
class Square:
    def forward(self, x): self.x = x; return x * x
    def backward(self, dy): return {factor} * self.x * dy
"""
TESTS = """
def test_plain(): pass
def test_asked(request): assert request.config.pluginmanager.get_plugin('gradmirror')
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with what the wheel installs."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", str(ROOT), "--no-deps", "-w", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and "hatchling" in done.stdout + done.stderr:
        pytest.skip("hatchling, which builds the wheel, cannot be had here")
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("gradmirror-*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


def run_in(folder: Path, site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of Python in the folder, which is not on the path itself, as for an installed command."""
    (folder / "scratch.py").write_text("raise RuntimeError('imported in the place of the package')\n")
    command = [sys.executable, "-P", *arguments]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
    )


@pytest.mark.long
@pytest.mark.parametrize(("factor", "code"), [(2, 0), (1, 1)])
def test_the_command_works(site, tmp_path, factor, code):
    (tmp_path / "mine.py").write_text(MINE.format(factor=factor))
    start = f"import sys, reports; assert reports.__file__.startswith({str(site)!r}); "
    start += "from reports.cli import main; sys.exit(main())"
    done = run_in(tmp_path, site, "-c", start, "check", "mine.py:Square", "--input", "3x2")

    assert done.returncode == code, done.stdout + done.stderr


@pytest.mark.long
def test_the_plugin_is_loaded(site, tmp_path):
    (tmp_path / "test_it.py").write_text(TESTS)
    done = run_in(tmp_path, site, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ".", ".")

    assert "2 passed" in done.stdout, done.stdout + done.stderr
