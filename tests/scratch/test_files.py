"""``write_whole``: there whole or as it was before, and nothing else harmed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scratch import files
from scratch.files import write_whole

posix = pytest.mark.skipif(os.name != "posix", reason="modes, links and pipes of POSIX")


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(
    step, error, tmp_path, monkeypatch
) -> None:
    path = tmp_path / "f"
    write_whole(path, b"old")

    def fails(*args, **kwargs):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(os, step, fails)
        with pytest.raises(type(error)):
            write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"


def test_folders_that_are_missing_are_made(tmp_path) -> None:
    write_whole(tmp_path / "a" / "b" / "file", b"text")
    assert (tmp_path / "a" / "b" / "file").read_bytes() == b"text"


def test_a_write_to_a_folder_fails_and_leaves_no_litter(tmp_path) -> None:
    folder = tmp_path / "c"
    folder.mkdir()
    with pytest.raises(IsADirectoryError, match="it is a folder, expected a file"):
        write_whole(folder, b"new")
    assert list(tmp_path.iterdir()) == [folder]


@posix
def test_a_pipe_or_a_device_is_refused_and_stays(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to("/dev/null")
    for name in ("pipe", "null"):
        before = (tmp_path / name).stat()
        with pytest.raises(OSError, match="it is a device or a pipe, expected a regular file"):
            write_whole(tmp_path / name, b"new")
        assert (tmp_path / name).stat().st_ino == before.st_ino
    assert sorted(os.listdir(tmp_path)) == ["null", "pipe"]


@posix
def test_a_link_is_followed_and_the_mode_is_kept(tmp_path) -> None:
    real, link, dangling = (tmp_path / name for name in ("real", "link", "dangling"))
    real.write_bytes(b"old")
    real.chmod(0o600)
    link.symlink_to(real)
    dangling.symlink_to(tmp_path / "later" / "file")
    write_whole(link, b"new")
    write_whole(dangling, b"new")
    assert link.is_symlink()
    assert dangling.is_symlink()
    assert real.read_bytes() == dangling.read_bytes() == b"new"
    assert real.stat().st_mode & 0o777 == 0o600


@posix
def test_a_new_file_has_the_mode_that_the_umask_leaves(tmp_path) -> None:
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "f", b"new")
    finally:
        os.umask(before)
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o640


def test_a_file_that_may_not_be_written_is_not_replaced(tmp_path, monkeypatch) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "access", lambda *args: False)  # root may write everything
    with pytest.raises(PermissionError):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"


@posix
def test_only_what_processes_that_are_gone_left_of_this_file_is_removed(tmp_path) -> None:
    path = tmp_path / "c[1].st"
    gone = int(
        subprocess.run([sys.executable, "-S", "-c", "import os; print(os.getpid())"], stdout=-1).stdout
    )
    here = files._here()
    mine, theirs = f".c[1].st.{here}-{gone}-0a.part", f".c[1].st.{here}-{os.getppid()}-0a.part"
    others = [theirs, f".c[1].st.elsewhere-{gone}-0a.part", f".d.st.{here}-{gone}-0a.part", ".c[1].st.x.part"]
    for name in [mine, *others]:
        (tmp_path / name).write_bytes(b"")
    write_whole(path, b"new")
    assert sorted(os.listdir(tmp_path)) == sorted([*others, path.name])


def test_two_that_write_one_file_do_not_disturb_each_other(tmp_path, monkeypatch) -> None:
    path, replace = tmp_path / "f", os.replace

    def another_writes_first(*args):
        monkeypatch.setattr(os, "replace", replace)
        write_whole(path, b"theirs")
        replace(*args)

    monkeypatch.setattr(os, "replace", another_writes_first)
    write_whole(path, b"ours")
    assert path.read_bytes() == b"ours"
    assert list(Path(tmp_path).iterdir()) == [path]
