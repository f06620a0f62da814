"""Files, each written whole or not at all: the one place where this project writes.

A file is written beside its place, brought to disk and renamed, so at every moment there is either the old
one or the new one, whole. A device or a pipe at the path is never replaced.
"""

import errno
import glob
import os
import platform
import secrets
import stat
from contextlib import suppress
from pathlib import Path

__all__ = ["write_whole"]


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file so that it is there whole or, if anything goes wrong, as it was before.

    Symbolic links are followed; a file that is there keeps its mode, and its owner where that is allowed.
    Folders are made. What processes that are gone left of this file in the middle of a write is removed, what
    others are writing is not.

    Raises:
        OSError: the folder or the file cannot be written; it is a folder, a device or a pipe.
    """
    path = Path(os.path.realpath(path))
    before = _regular(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_what_is_left_of(path)
    beside = path.with_name(f".{path.name}.{_here()}-{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        with open(beside, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if before is not None:
            _as_before(beside, before)
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _regular(path: Path) -> os.stat_result | None:
    """The status of a regular file that may be written, None if there is nothing.

    Raises:
        OSError: there is something else, or a file that may not be written.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder, expected a file", str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is a device or a pipe, expected a regular file", str(path))
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    return found


def _as_before(beside: Path, before: os.stat_result) -> None:
    if hasattr(os, "chown"):
        with suppress(OSError):  # only root may give files away
            os.chown(beside, before.st_uid, before.st_gid)
    os.chmod(beside, stat.S_IMODE(before.st_mode))


def _here() -> str:
    """The name of this machine, without a character that would be read as another part of a file's name."""
    return "".join(each if each.isalnum() else "_" for each in platform.node())


def _remove_what_is_left_of(path: Path) -> None:
    """Remove the parts that processes of this machine wrote, and that are gone."""
    for part in path.parent.glob(f".{glob.escape(path.name)}.{_here()}-*-*.part"):
        pid = part.name.rsplit("-", 2)[1]
        if pid.isdigit() and _is_gone(int(pid)):
            part.unlink(missing_ok=True)


def _is_gone(pid: int) -> bool:
    """Whether there is no such process; where that cannot be asked without harm (Windows), False."""
    if os.name != "posix":
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
