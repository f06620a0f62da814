"""The conditions of a report: machine, versions, threads, commit and command line."""

import os
import platform
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_info, threadpool_limits

from torch_ref.twin.kernel import fitting_kernel

_POOL = ("user_api", "internal_api", "prefix", "version", "architecture", "num_threads")
_PACKAGES = ("numpy", "torch", "scipy", "pandas", "matplotlib", "jax", "autograd")


def cores() -> int:
    """The count of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def limit_threads(count: int) -> Iterator[None]:
    """Context in which both sides use the given number of threads: NumPy's BLAS, PyTorch and its own MKL."""
    before = torch.get_num_threads()
    with threadpool_limits(count):
        torch.set_num_threads(count)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def describe(command: Sequence[str], threads: int) -> dict[str, Any]:
    """The environment as it is now, for results.json.

    Args:
        command: the command line that makes this report again.
        threads: how many were asked for.
    """
    pools = threadpool_info()
    return {
        "command": " ".join(command),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu(),
        "cores": cores(),
        "load": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: version_of(name) for name in _PACKAGES},
        "threads": {
            "asked_for": threads,
            "torch": torch.get_num_threads(),
            "pools": [{key: pool.get(key) for key in _POOL} for pool in [*pools, *_mkl()]],
        },
        "commit": _commit(),
        "kernel": fitting_kernel(),
    }


def machine(environment: dict[str, Any]) -> dict[str, Any]:
    """The conditions that must be equal for times to compare: the machine, and the threads in use."""
    threads = environment["threads"]
    pools = sorted(pool["num_threads"] for pool in threads["pools"])
    found = {name: environment[name] for name in ("cpu", "cores", "system")}
    return found | {"threads": [threads["asked_for"], threads["torch"], *pools]}


def _mkl() -> list[dict[str, Any]]:
    """PyTorch's own MKL, as threadpoolctl describes others: it is linked in, where that cannot see it."""
    info = torch.__config__.parallel_info()
    version, threads = (
        re.search(pattern, info)
        for pattern in (r"Math Kernel Library Version (\S+)", r"mkl_get_max_threads\(\) : (\d+)")
    )
    if not threads:
        return []
    name = {"user_api": "blas", "internal_api": "mkl", "prefix": "PyTorch's MKL"}
    return [name | {"version": version and version[1], "architecture": None, "num_threads": int(threads[1])}]


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def version_of(package: str) -> str | None:
    """The version of an installed package; None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of the checkout that this file is in, marked if files were changed; None elsewhere."""
    here = Path(__file__).parents[2]
    if not (here / ".git").exists():
        return None
    try:
        said = [
            subprocess.run(
                ["git", "--no-optional-locks", *words],
                cwd=here,
                capture_output=True,
                text=True,
                check=True,
                timeout=10,
            )
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        ]
    except (OSError, subprocess.SubprocessError):
        return None
    commit, changed = (each.stdout.strip() for each in said)
    return f"{commit} with changes" if changed else commit
