"""A report as a list of tasks: each is done once, and its rows are kept at once.

Tasks stand in chapters. A chapter's tasks can be done in any order, by any number of processes, today or
tomorrow: it is concluded from the rows of all of them, in the order in which they were planned.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from reports.errors import UnusableError
from reports.runner.journal import Journal
from reports.runner.progress import progress_bar
from reports.runner.results import Rows, Section
from reports.runner.tasks import Task, Workers, work_off


@dataclass(frozen=True)
class Chapter:
    """A section to be: its tasks, and what makes a section of their rows."""

    name: str
    tasks: Sequence[Task]
    conclude: Callable[[Rows], Section]

    def section(self, found: dict[str, Rows]) -> Section:
        """From the rows of each task by its key."""
        parts = [found[task.key] for task in self.tasks]
        section = self.conclude(_end_to_end(parts))
        section.seconds = sum(part.seconds for part in parts)
        return section

    def run(self) -> Section:
        """Do all of it here and now, and keep nothing."""
        return self.section({task.key: task.done() for task in self.tasks})


def _end_to_end(parts: Iterable[Rows]) -> Rows:
    """The rows of all, and the samples under one name in one list."""
    tables: dict[str, list[pd.DataFrame]] = {}
    samples: dict[str, list[Any]] = {}
    for part in parts:
        for name, table in part.tables.items():
            tables.setdefault(name, []).append(table)
        for name, some in part.samples.items():
            samples.setdefault(name, []).extend(some)
    return Rows({name: pd.concat(each, ignore_index=True) for name, each in tables.items()}, samples)


def run(chapters: Sequence[Chapter], journal: Journal, workers: Workers) -> Iterator[tuple[str, Section]]:
    """Do what the journal does not have, and give each section as soon as it is whole.

    Each task's rows are in the journal before the next is looked at.

    Raises:
        UnusableError: the journal has tasks that are not of this plan.
        ValueError: two tasks have the same key.
        KeyboardInterrupt: Ctrl-C; what is in the journal is not lost.
    """
    tasks = [task for chapter in chapters for task in chapter.tasks]
    if len(keys := [task.key for task in tasks]) > len(set(keys)):
        raise ValueError(f"campaign: two tasks of {next(key for key in keys if keys.count(key) > 1)!r}")
    if strange := journal.rows.keys() - {task.key for task in tasks}:
        raise UnusableError(
            f"{journal.path}: has rows of {sorted(strange)[0]!r}, which is not of this report"
        )
    left = [task for task in tasks if task.key not in journal.rows]
    waiting = list(chapters)
    with progress_bar(sum(task.weight for task in tasks), "report") as bar:
        bar.update(sum(task.weight for task in tasks if task.key in journal.rows))
        weights = {task.key: task.weight for task in tasks}
        for key, rows in _nothing_first(work_off(left, workers)):
            if rows is not None:
                journal.add(key, rows)
                bar.set_description(key, refresh=False)
                bar.update(weights[key])
            for chapter in [c for c in waiting if all(task.key in journal.rows for task in c.tasks)]:
                waiting.remove(chapter)
                yield chapter.name, chapter.section(journal.rows)


def _nothing_first(done: Iterator[tuple[str, Rows]]) -> Iterator[tuple[str, Rows | None]]:
    """So that what the journal had already is looked at before anything is done."""
    yield "", None
    yield from done
