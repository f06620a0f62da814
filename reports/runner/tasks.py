"""Run tasks in this process, in worker processes, in fresh processes one after the other, or on Dask."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from time import perf_counter, sleep
from typing import Any

from reports.errors import UnusableError
from reports.runner.environment import limit_threads
from reports.runner.findings import Rows


@dataclass(frozen=True)
class Task:
    """A piece of work that finds some rows, all at once.

    Args:
        key: its name, in words; no two tasks of a report have the same.
        find: finds the rows. It can be pickled, and so can its arguments.
        process: None beside others; 0 alone, in the process of the report; from 1 on alone, in a fresh
            process of this number. A task that times a training step is alone.
        weight: about how long it takes, in seconds; the progress bar goes by it.
    """

    key: str
    find: Callable[[], Rows]
    process: int | None = None
    weight: float = 1.0

    def done(self) -> Rows:
        """Do it: the rows, and the seconds it took."""
        start = perf_counter()
        rows = self.find()
        rows.seconds = perf_counter() - start
        return rows


@dataclass(frozen=True)
class Workers:
    """The processes that run the tasks that need not be alone.

    Args:
        jobs: processes on this machine; 1 is none beside this one.
        threads: of each.
        backend: of joblib: "loky" is this machine, "dask" can be a cluster.
        scheduler: the address of a dask scheduler; None starts one here, of ``jobs`` workers.
    """

    jobs: int = 1
    threads: int = 1
    backend: str = "loky"
    scheduler: str | None = None

    @contextmanager
    def ready(self) -> Iterator[None]:
        """Context in which the cluster is there, if there is to be one.

        Raises:
            UnusableError: dask is missing; nobody answers; or a worker has several threads, which would share
                one random generator.
        """
        if self.backend != "dask":
            if self.scheduler:
                raise UnusableError(f"--scheduler {self.scheduler}: needs --backend dask")
            yield
            return
        try:
            from dask.distributed import Client
        except ImportError as error:
            raise UnusableError(
                "--backend dask: needs the package distributed: pip install distributed"
            ) from error
        from joblib import parallel_config

        here = {"n_workers": self.jobs, "threads_per_worker": 1, "dashboard_address": None}
        try:
            client = Client(self.scheduler, timeout=_ANSWER) if self.scheduler else Client(**here)
        except (OSError, ValueError) as error:
            where = self.scheduler or "on this machine"
            raise UnusableError(f"--scheduler {where}: no dask scheduler answers there: {error}") from error
        with client:
            threads = client.nthreads()
            if not threads or max(threads.values()) > 1:
                raise UnusableError(
                    f"--scheduler: its workers have {sorted(threads.values())} threads, expected one or more "
                    "workers of 1 each: dask worker --nthreads 1"
                )
            with parallel_config("dask", n_jobs=len(threads), client=client):
                yield


# Seconds that a scheduler has to answer, and a process to end by itself.
_ANSWER = 10
_PATIENCE = 0.5
_WHY = "it was killed, or memory ran out"


def work_off(tasks: Sequence[Task], workers: Workers) -> Iterator[tuple[str, Rows]]:
    """Each task's key and rows, as soon as it is done.

    Tasks that can run beside others come first; then those that are timed, on a machine that does nothing
    else.

    Raises:
        ChildProcessError: a process died, without an exception.
        KeyboardInterrupt: Ctrl-C; the processes are ended.
    """
    yield from _beside([task for task in tasks if task.process is None], workers)
    alone = [task for task in tasks if task.process is not None]
    for process, some in groupby(
        sorted(alone, key=lambda task: task.process or 0), lambda task: task.process
    ):
        if process:
            yield from _in_a_fresh_process(list(some), workers.threads)
        else:
            yield from ((task.key, task.done()) for task in some)


def _beside(tasks: Sequence[Task], workers: Workers) -> Iterator[tuple[str, Rows]]:
    here = workers.backend == "loky"
    if (here and workers.jobs == 1) or len(tasks) < 2:
        yield from ((task.key, task.done()) for task in tasks)
        return
    from joblib import Parallel, delayed  # here, since a report of one process has no use for it

    parallel = Parallel(workers.jobs if here else None, return_as="generator_unordered", batch_size=1)
    parent = os.getpid() if here else None
    with _ctrl_c_is_ours():
        done = parallel(delayed(_by_a_worker)(task, workers.threads, parent) for task in tasks)
    try:
        yield from done
    except BrokenExecutor:
        raise ChildProcessError(f"a process died: {_WHY}") from None


def _by_a_worker(task: Task, threads: int, parent: int | None) -> tuple[str, Rows]:
    if parent:
        _end_with(parent)
    with limit_threads(threads):
        return task.key, task.done()


@contextmanager
def _ctrl_c_is_ours() -> Iterator[None]:
    """A process that is started within never gets Ctrl-C: the report is stopped, and stops it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@cache
def _end_with(parent: int) -> None:
    """Let this worker end when the report is gone, however that ended; joblib would keep it for minutes."""

    def watch() -> None:
        while os.getppid() == parent:
            sleep(_PATIENCE)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _in_a_fresh_process(tasks: Sequence[Task], threads: int) -> Iterator[tuple[str, Rows]]:
    """One after the other in one new process, which ends with them, or with this one."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(theirs, threads), daemon=True)
    with _ctrl_c_is_ours():
        process.start()
    theirs.close()
    try:
        for task in tasks:
            try:
                ours.send(task)
                answer = ours.recv()
            except (EOFError, BrokenPipeError):
                raise ChildProcessError(f"a process died of {task.key!r}: {_WHY}") from None
            if isinstance(answer, BaseException):
                raise answer
            yield task.key, answer
    finally:
        ours.close()  # it ends when nothing more can come, and is ended if it is in the middle of something
        process.join(_PATIENCE)
        process.terminate()
        process.join()


def _serve(tasks: Any, threads: int) -> None:
    with limit_threads(threads), suppress(BrokenPipeError):
        while True:
            try:
                task = tasks.recv()
            except EOFError:
                return
            try:
                tasks.send(task.done())
            except Exception as error:
                tasks.send(error)
