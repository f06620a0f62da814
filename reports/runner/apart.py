"""Code of users in a process of its own: however it ends, a check that was not done never looks like one.

The process is serving.py. What that code prints goes to stderr, what it reads from stdin is empty, and all
that it started is ended with it.
"""

import argparse
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import IO, Any

from reports.errors import InternalError, UnusableError
from reports.output import show

_SERVE = "import json, sys; sys.path[:] = json.loads(sys.argv.pop()); "
_SERVE += "from reports.runner.serving import serve; serve()"

# Seconds: between looks at the process, and what it has, beyond the limit of the user's code, to start and to
# say that the limit was reached.
_LOOK, _MORE = 0.2, 60.0


@dataclass(frozen=True)
class Answer:
    """What a check found.

    Args:
        code: the exit code, 0 or 1.
        shown: for people.
        json: for programs; "" if nobody asked.
    """

    code: int
    shown: str
    json: str


def run(options: argparse.Namespace) -> int:
    """Check as the command line says; 0 if all agrees from every seed, 1 if not.

    Raises:
        UnusableError: a name cannot be found, an argument not be read, the two sides not be compared; or the
            user's code ended the process, or did not end.
        InternalError: a mistake of ours.
        OSError: the JSON file cannot be written.
    """
    found = answer(options)
    if options.json == "-":
        show(found.json)
        return found.code
    if options.json:
        from scratch.files import write_whole  # here, since it imports NumPy

        write_whole(options.json, found.json.encode())
    show(found.shown)
    return found.code


def answer(options: argparse.Namespace) -> Answer:
    """What user_code.answer finds, asked in a new process."""
    asked = {name: value for name, value in vars(options).items() if name != "run"}
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", _SERVE, json.dumps(sys.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=None if sys.stderr else subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps(asked).encode() + b"\n")
            process.stdin.flush()  # it stays open: the process ends when this one is gone
        line = _line(process, process.stdout, options.time_limit + _MORE)
    finally:
        _end(process)
    if not line.endswith(b"\n"):
        raise UnusableError(_what_happened(process.returncode, options.time_limit))
    return _read(json.loads(line))


def _line(process: subprocess.Popen[bytes], stdout: IO[bytes], limit: float) -> bytes:
    """The line that the process says; less than one if it is gone, or the time is over."""
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read_line, args=(stdout, lines), daemon=True).start()
    end = monotonic() + limit
    while monotonic() < end:
        gone = process.poll() is not None  # asked first: what it said before is in the pipe
        with suppress(queue.Empty):
            return lines.get(timeout=_LOOK)
        if gone:
            break
    return b""


def _read_line(stdout: IO[bytes], lines: "queue.SimpleQueue[bytes]") -> None:
    with stdout:
        lines.put(stdout.readline())


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and all that it started."""
    with suppress(OSError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        elif process.poll() is None:
            process.kill()
    process.wait()
    if process.stdin:
        with suppress(OSError):
            process.stdin.close()


def _what_happened(code: int, limit: float) -> str:
    if code == -getattr(signal, "SIGKILL", 9):
        how = f"was killed: it takes too much memory, or more than {limit:g} s (--time-limit)"
    elif code < 0:
        how = f"was ended by {signal.Signals(-code).name}"
    else:
        how = f"ended itself with exit code {code}, as os._exit does"
    return f"the process of your code {how}; nothing was checked"


def _read(said: dict[str, Any]) -> Answer:
    if "unusable" in said:
        raise UnusableError(said["unusable"])
    if "failed" in said:
        raise InternalError(said["failed"])
    return Answer(**said["answer"])
