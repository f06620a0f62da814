"""A section of the report as a class: tasks, columns, tables, figures, texts, and comparison."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import pandas as pd

from reports.runner.findings import Findings, Rows, joined
from reports.runner.plan import Plan
from reports.runner.tasks import Task

Schema = dict[str, Any]
Tables = dict[str, pd.DataFrame]

# The types of columns, as JSON Schema says them; what may be missing is null.
TEXT: Schema = {"type": "string"}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
FLAG: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
POSITIVE: Schema = {"type": "integer", "minimum": 1}
NUMBER: Schema = {"type": "number"}
NUMBER_OR_NULL: Schema = {"type": ["number", "null"]}
NOT_NEGATIVE: Schema = {"type": "number", "minimum": 0}
DTYPE: Schema = {"enum": ["float32", "float64"]}
DURATIONS: Schema = {
    "type": "array",
    "items": {"type": "number", "minimum": 0, "description": "Seconds."},
    "description": "All measurements in their order, in seconds.",
}


def described(schema: Schema, about: str) -> Schema:
    """A schema with its description."""
    return schema | {"description": about}


def mapping(values: Schema, about: str) -> Schema:
    """The schema of an object whose members have any names, and values of one schema."""
    return {"type": "object", "additionalProperties": values, "description": about}


def listing(items: Schema, about: str) -> Schema:
    """The schema of a list."""
    return {"type": "array", "items": items, "description": about}


def record(members: dict[str, Schema], about: str = "", optional: Sequence[str] = ()) -> Schema:
    """The schema of an object with these members and no others."""
    schema: Schema = {
        "type": "object",
        "additionalProperties": False,
        "required": [name for name in members if name not in optional],
        "properties": members,
    }
    return described(schema, about) if about else schema


NO_SAMPLES = record({}, "This section has none.")


class Column(NamedTuple):
    """A column of a table: its name, the JSON schema of a cell, and a sentence on what it means."""

    name: str
    schema: Schema
    about: str


NETWORK = Column(
    "network", TEXT, "The network by name; three numbers are the sizes of its input, hidden layer and output."
)
BATCH = Column("batch", POSITIVE, "How many samples a batch has.")
PRECISION = Column("dtype", DTYPE, "The precision of weights and data.")
SEED = Column("seed", COUNT, "Both frameworks were seeded with this number.")


class Table(NamedTuple):
    """A table of a section.

    Args:
        name: its name in results.json, like that of no other table.
        about: a sentence on what it has a row for.
        key: the columns that tell its rows apart.
        columns: all of them.
        item: the column of ``key`` that results.csv, which has one row for each number, calls "item".
        optional: whether a report may lack it; ``about`` says when it is "Not there".
    """

    name: str
    about: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    item: str = ""
    optional: bool = False

    @property
    def schema(self) -> Schema:
        """The schema of its rows."""
        row = record({column.name: described(column.schema, column.about) for column in self.columns})
        return {"description": self.about, "x-key": [*self.key], "type": "array", "items": row}


class Headline(NamedTuple):
    """A figure worth knowing first: its title, the figure, what it means, and whether it is a main one."""

    title: str
    figure: str
    note: str
    main: bool = False


class Drawing(NamedTuple):
    """A panel of a figure: the name of its file, what it shows, and the figure of matplotlib."""

    name: str
    title: str
    figure: Any


class Change(NamedTuple):
    """Something that changed beyond noise, in words, and whether for the worse."""

    what: str
    worse: bool = False


@dataclass
class Changes:
    """The changes of one kind of findings from one report to another.

    Args:
        title: its heading.
        changes: beyond noise.
        tables: what changed, as text.
        unchanged: what did not, and how often.
    """

    title: str
    changes: list[Change] = field(default_factory=list)
    tables: list[pd.DataFrame] = field(default_factory=list)
    unchanged: dict[str, int] = field(default_factory=dict)


class Section:
    """The base of all sections.

    A subclass has a name, in results.json; a number, its place in the report; a title, and the question
    below it; a sentence on what it is about; its tables; the JSON schema of its samples; three texts
    (templates of jinja2): ``html`` for the page, ``markdown`` for report.md, and ``method``, paragraphs of
    "Title: text" on how it was measured; and verdicts that are neither good nor bad.

    The texts see ``options``, ``environment``, ``tables`` and ``samples`` of the findings, and the tables
    for people (``shown``); ``html`` also the macros ``grid(table, caption)`` and
    ``drawing(figures.name, note)``, ``markdown`` the filter ``markdown``.
    """

    name: ClassVar[str]
    number: ClassVar[int]
    title: ClassVar[str]
    question: ClassVar[str]
    about: ClassVar[str]
    tables: ClassVar[tuple[Table, ...]]
    samples: ClassVar[Schema] = NO_SAMPLES
    html: ClassVar[str] = ""
    markdown: ClassVar[str] = ""
    method: ClassVar[str] = ""
    neutral: ClassVar[tuple[str, ...]] = ()

    def tasks(self, plan: Plan) -> list[Task]:
        """The tasks that find its rows; without any, the section is left out of the report."""
        raise NotImplementedError

    def conclude(self, rows: Rows, seed: int) -> Findings:
        """The findings from the rows of all tasks, in the order of the tasks.

        Args:
            rows: those of all tasks.
            seed: of the report.
        """
        raise NotImplementedError

    def findings(self, parts: Sequence[Rows], seed: int = 0) -> Findings:
        """The findings from the rows of each task."""
        rows = joined(parts)
        found = self.conclude(rows, seed)
        found.seconds = rows.seconds
        return found

    def run(self, tasks: Sequence[Task], seed: int = 0) -> Findings:
        """Do all of it here and now, and keep nothing."""
        return self.findings([task.done() for task in tasks], seed)

    def check(self, found: Findings) -> None:
        """Check that findings read from a file fit together, beyond their schema.

        Raises:
            ValueError: they do not.
        """

    def shown(self, tables: Tables) -> dict[str, pd.DataFrame]:
        """The tables for people, by the names that the texts use: chosen columns, all cells text."""
        return {}

    def figures(self, tables: Tables) -> dict[str, Iterator[Drawing]]:
        """The panels of each figure, drawn as they are taken; without rows to draw there are none."""
        return {}

    def headlines(self, tables: Tables) -> list[Headline]:
        """The figures for the first screen."""
        return []

    def summary(self, tables: Tables) -> dict[str, pd.DataFrame]:
        """Short tables for the terminal, by title."""
        return {}

    def agreement(self, tables: Tables) -> str:
        """The end of "The two sides agree: …"; or nothing."""
        return ""

    def disagreements(self, tables: Tables) -> list[str]:
        """The ends of "The two sides disagree: …": each thing in which they do."""
        return []

    def compare(self, old: Findings, new: Findings, same_machine: bool) -> Changes:
        """The changes beyond noise between two reports, verdicts apart.

        Args:
            old: the findings of the first; without tables if it had no such section.
            new: those of the second.
            same_machine: whether times can be compared.
        """
        return Changes(self.title)

    def paired(self, old: Findings, new: Findings, name: str) -> pd.DataFrame:
        """The rows of a table that are in both, the columns of each with a suffix, "_old" or "_new"."""
        (table,) = [table for table in self.tables if table.name == name]
        empty = pd.DataFrame(columns=[column.name for column in table.columns])
        before, after = (found.tables.get(name, empty) for found in (old, new))
        if before.empty or after.empty:
            before, after = empty, empty
        return before.merge(after, on=[*table.key], suffixes=("_old", "_new"))

    @property
    def schema(self) -> Schema:
        """The JSON schema of its findings in results.json."""
        optional = [table.name for table in self.tables if table.optional]
        tables = record({table.name: table.schema for table in self.tables}, "Its tables.", optional)
        return record(
            {
                "agrees": described(FLAG, "Whether the two sides agree in all of this section."),
                "seconds": described(NOT_NEGATIVE, "How long the section took, in seconds."),
                "tables": tables,
                "samples": self.samples,
            },
            self.about,
        )


def as_tables(found: pd.DataFrame) -> list[pd.DataFrame]:
    """The table in a list, or nothing if it has no rows."""
    return [] if found.empty else [found]
