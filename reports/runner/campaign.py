"""A report as a list of tasks: each is done once, and its rows are kept at once.

Tasks belong to sections. A section's tasks can be done in any order, by any number of processes, today or
tomorrow: it is concluded from the rows of all of them, in the order in which they were planned.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reports.errors import UnusableError
from reports.runner.findings import Findings, Rows
from reports.runner.journal import Journal
from reports.runner.progress import progress_bar
from reports.runner.tasks import Task, Workers, work_off
from reports.sections.section import Section


@dataclass(frozen=True)
class Planned:
    """A section with its tasks, and the seed of the report."""

    section: Section
    tasks: Sequence[Task]
    seed: int = 0

    def is_done(self, rows: dict[str, Rows]) -> bool:
        """True if there are rows of each task, by its key."""
        return all(task.key in rows for task in self.tasks)

    def findings(self, rows: dict[str, Rows]) -> Findings:
        """The findings from the rows of each task, by its key."""
        return self.section.findings([rows[task.key] for task in self.tasks], self.seed)


def run(planned: Sequence[Planned], journal: Journal, workers: Workers) -> Iterator[tuple[str, Findings]]:
    """Do what the journal does not have, and give the findings of each section as soon as it is whole.

    Each task's rows are in the journal before the next is looked at.

    Raises:
        UnusableError: the journal has tasks that are not of this plan.
        ValueError: two tasks have the same key.
        KeyboardInterrupt: Ctrl-C; what is in the journal is not lost.
    """
    tasks = [task for each in planned for task in each.tasks]
    if len(keys := [task.key for task in tasks]) > len(set(keys)):
        raise ValueError(f"campaign: two tasks of {next(key for key in keys if keys.count(key) > 1)!r}")
    if strange := journal.rows.keys() - {task.key for task in tasks}:
        raise UnusableError(
            f"{journal.path}: has rows of {sorted(strange)[0]!r}, which is not of this report"
        )
    left = [task for task in tasks if task.key not in journal.rows]
    waiting = list(planned)
    weights = {task.key: task.weight for task in tasks}
    with progress_bar(sum(weights.values()), "report") as bar:
        bar.update(sum(weights[key] for key in journal.rows))
        for key, rows in _start_and(work_off(left, workers)):
            if rows is not None:
                journal.add(key, rows)
                bar.set_description(key, refresh=False)
                bar.update(weights[key])
            for each in [each for each in waiting if each.is_done(journal.rows)]:
                waiting.remove(each)
                yield each.section.name, each.findings(journal.rows)


def _start_and(done: Iterator[tuple[str, Rows]]) -> Iterator[tuple[str, Rows | None]]:
    """Yield once first, so that sections that are complete in the journal are given at once."""
    yield "", None
    yield from done
