"""The process that code of users runs in: the other side of apart.py."""

import argparse
import faulthandler
import json
import os
import sys
import threading
import traceback
from contextlib import suppress
from typing import IO, Any

from reports import output
from reports.errors import UnusableError
from reports.runner.blame import place
from reports.runner.user_code import answer

if sys.platform != "win32":
    import resource


def serve() -> None:
    """Answer one question: the options as a line of JSON on stdin, the answer as one on stdout.

    Whatever the user's code prints, reads or starts is kept away from both.
    """
    asked, told, pid = os.fdopen(os.dup(0), "rb"), os.dup(1), os.getpid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    output.prepare()
    faulthandler.enable()
    options = argparse.Namespace(**json.loads(asked.readline()))
    sys.argv[:] = [options.mine.partition(":")[0]]
    threading.Thread(target=_end_with, args=(asked,), daemon=True).start()
    limit = threading.Timer(options.time_limit, _out_of_time, (options, told))
    limit.daemon = True
    limit.start()
    _limit_memory(options.memory_limit)
    try:
        said: dict[str, Any] = {"answer": vars(answer(options))}
    except UnusableError as error:
        said = {"unusable": str(error)}
    except MemoryError as error:
        said = {"unusable": f"there is not enough memory (--memory-limit GIB): {error}"}
    except BaseException:
        said = {"failed": traceback.format_exc()}
    limit.cancel()
    if os.getpid() == pid:  # and no process that the user's code forked
        _tell(told, said)
    os._exit(0)


def _tell(told: int, said: dict[str, Any]) -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    with os.fdopen(told, "wb") as file:
        file.write(json.dumps(said).encode() + b"\n")


def _limit_memory(gibibytes: float | None) -> None:
    """So that code that asks for too much gets a MemoryError, and does not take the machine with it."""
    if sys.platform == "win32":
        return
    asked = None if gibibytes is None else int(gibibytes * 2**30)
    own = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit, (_, most) = asked or own * 3 // 4, resource.getrlimit(resource.RLIMIT_DATA)
    if most == resource.RLIM_INFINITY or limit < most:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, most))


def _end_with(asked: IO[bytes]) -> None:
    """End this process when the one that asked is gone."""
    asked.read()
    os._exit(1)


def _out_of_time(options: argparse.Namespace, told: int) -> None:
    at = place(traceback.extract_stack(sys._current_frames()[threading.main_thread().ident or 0]), options)
    who = f"your {at.function} is" if at else "the check is"
    where = f" ({at.line})" if at else ""
    limit = f"{options.time_limit:g} s"
    _tell(told, {"unusable": f"{who} not done after {limit}{where}; --time-limit SECONDS gives it more"})
    os._exit(0)
