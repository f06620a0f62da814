"""``gradmirror report``: plan the sections as tasks, do those that are left, keep each one's rows."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from reports import sections
from reports.errors import UnusableError
from reports.lesson import page as lesson
from reports.output import show
from reports.page import page
from reports.runner import environment, gpu
from reports.runner import options as declared
from reports.runner.campaign import Planned
from reports.runner.campaign import run as run_campaign
from reports.runner.data import Data
from reports.runner.journal import Journal, alone_in
from reports.runner.plan import Plan
from reports.runner.progress import say
from reports.runner.results import Results
from reports.runner.tasks import Workers


def run(options: Mapping[str, Any], words: Sequence[str]) -> int:
    """Make the report that the command line asks for; 0 if the sides agree, 1 if not.

    Args:
        options: all options of the report (options.py).
        words: the command line, for the report to name it.

    Raises:
        UnusableError: the data are not there, or damaged; there is no GPU, and one is asked for; there is
            nothing to resume, or not this report; another report writes into the folder.
        OSError: a file cannot be written.
        KeyboardInterrupt: Ctrl-C; the rows finished until then are on disk.
    """
    gpu.require(options["device"])
    with environment.limit_threads(options["threads"]):
        planned = plan(options)
        workers = _workers(options)
        results = Results(
            Path(options["out"]),
            environment.describe(_command(words), options["threads"]),
            declared.recorded(options),
        )
        with alone_in(results.out), workers.ready():
            start = Journal.resume if options["resume"] else Journal.begin
            journal = start(results.out / "rows.jsonl", _conditions(options, results))
            page.remove(results)
            results.write()
            try:
                for name, found in run_campaign(planned, journal, workers):
                    results.add(name, found)
                    say(f"{name}: {found.seconds:.1f} s")
                begin = perf_counter()
                results.sort([each.section.name for each in planned])
                page.write(results)
                lesson.write(results.out / "lesson.html")
                journal.end()
            except (KeyboardInterrupt, ChildProcessError) as stop:
                tasks = sum(len(each.tasks) for each in planned)
                kept = f"{len(journal.rows)} of {tasks} rows are kept; --resume goes on"
                raise type(stop)(f"{stop}; {kept}" if str(stop) else kept) from None
        say(f"page: {perf_counter() - begin:.1f} s")
    show(page.summary(results) + "\n")
    return 0 if results.agrees else 1


def plan(options: Mapping[str, Any]) -> list[Planned]:
    """The sections that have something to do, with their tasks."""
    networks = Plan(declared.recorded(options), [_data(name, options) for name in options["datasets"]])
    planned = [Planned(each, each.tasks(networks), options["seed"]) for each in sections.every().values()]
    return [each for each in planned if each.tasks]


def _data(name: str, options: Mapping[str, Any]) -> Data:
    data = Data(name, root=options["data_root"], download=options["download"])
    for dtype in data:
        data[dtype]  # read now, so that missing or damaged files are reported before anything else is done
    return data


def _workers(options: Mapping[str, Any]) -> Workers:
    jobs, threads, scheduler = options["jobs"], options["threads"], options["scheduler"]
    if scheduler and jobs != declared.defaults(options["quick"])["jobs"]:
        raise UnusableError(f"--jobs {jobs}: the cluster of --scheduler has workers of its own")
    return Workers(jobs or environment.cores() // threads or 1, threads, options["backend"], scheduler)


def _conditions(options: Mapping[str, Any], results: Results) -> dict[str, Any]:
    """The conditions that must be the same for rows to stand in one report, the command line's first."""
    machine = {key: results.environment[key] for key in ("cpu", "cores", "python", "packages", "commit")}
    return declared.conditions(options) | machine


def _command(words: Sequence[str]) -> list[str]:
    return ["gradmirror", "report", *(shlex.quote(word) for word in words if word != "--resume")]
