"""The peak memory of one training step, of either side, each in a process of its own.

    python -m reports.runner.memory GPT numpy

prints by how many bytes the process has grown, at most, over three steps: the weights, the gradients and the
optimizer's state are there before, so that it counts the memory that forward and backward keep, and need
besides.
"""

import ctypes
import gc
import math
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from reports.arguments import MODELS
from reports.runner.environment import limit_threads
from reports.runner.frameworks import numpy_side, torch_side
from reports.runner.networks import by_name

if sys.platform != "win32":
    import resource

_LINUX = Path("/proc/self/clear_refs")


def peak(name: str, side: str) -> float:
    """The bytes, measured in a new process; nan on Windows, where nothing measures them so.

    Raises:
        subprocess.CalledProcessError: that process failed.
    """
    if sys.platform == "win32":
        return math.nan
    command = [sys.executable, "-m", "reports.runner.memory", name, side]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _grown(name: str, side: str) -> int:
    chosen = by_name(name)
    with limit_threads(1):
        build = numpy_side if side == "numpy" else torch_side
        ready = build(chosen, "float32", 0, *(() if side == "numpy" else ({"fused": True},)))
        # An update makes the optimizer's state; of one sample, so that the peak is still to come.
        small = type(ready)(**{**vars(ready), "x": ready.x[:2], "target": ready.target[:2]})
        small.block(1)
        _give_back()
        _peak_so_far()
        before = _peak_so_far()
        ready.block(3)
        return _peak_so_far() - before


def _give_back() -> None:
    """Let go of memory that was used before, and would be used again without the process growing."""
    gc.collect()
    with suppress(OSError, AttributeError):  # glibc alone has it
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _peak_so_far() -> int:
    """The peak memory of this process, in bytes; on Linux the process forgets it afterwards."""
    if not _LINUX.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    _LINUX.write_text("5")
    return int(peak[1]) * 1024 if peak else 0


if __name__ == "__main__":
    _, chosen, side = sys.argv
    if chosen not in MODELS:
        raise SystemExit(f"{chosen}: expected one of {', '.join(MODELS)}")
    print(_grown(chosen, side))
