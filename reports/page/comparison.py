"""``gradmirror report --compare``: what changed between two reports, and is it more than noise?

Each section of a report has its own noise, and its own comparison. A gradient may be off by its tolerance,
so that only another verdict or another order of magnitude is a change. Trainings are paired by their seeds,
and the mean difference has an interval. Times are compared by the ratio NumPy / PyTorch, since a machine that
is slow today is slow for both; the difference of two equal models, in either file, is noise. The verdicts of
all sections are compared here.
"""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd

from reports import sections
from reports.errors import UnusableError
from reports.output import show
from reports.page import text
from reports.runner.environment import machine
from reports.runner.findings import Findings
from reports.runner.loading import load
from reports.runner.results import Results
from reports.sections.section import Change, Changes, Section, Table

# They are others in every report.
_ALWAYS_NEW = ("command", "started", "load")


def run(names: Sequence[str], words: Sequence[str]) -> int:
    """Print as Markdown what changed between the two files; 1 if something got worse beyond noise.

    Args:
        names: of the old and of the new results.json.
        words: of the command line.

    Raises:
        UnusableError: other options are given as well, or a file is not a results.json of this version.
    """
    flags = [word.partition("=")[0] for word in words if word.startswith("-")]
    if others := [flag for flag in flags if not "--compare".startswith(flag)]:
        raise UnusableError(
            f"--compare reads two files and runs nothing, so it goes without {', '.join(others)}"
        )
    old, new = map(load, names)
    for name, results in zip(names, (old, new), strict=True):
        if not results.sections:
            raise UnusableError(f"{name}: no section was finished, so there is nothing to compare")
    found = compared(old, new)
    show(markdown(old, new, found, names) + "\n")
    return int(any(change.worse for each in found for change in each.changes))


def compared(old: Results, new: Results) -> list[Changes]:
    """The changes of all verdicts, and those of each section."""
    none = Findings({}, {}, True)
    same_machine = machine(old.environment) == machine(new.environment)
    return [
        verdicts(old, new),
        *(
            section.compare(old.sections.get(name, none), new.sections.get(name, none), same_machine)
            for name, section in sections.every().items()
        ),
    ]


def markdown(old: Results, new: Results, found: Sequence[Changes], names: Sequence[str]) -> str:
    """One sentence, the conditions of both, what changed, and what did not."""
    blocks = [sentence([change for each in found for change in each.changes])]
    blocks += [
        "\n".join(
            f"* {which}: {name}, of {results.environment['started']}, commit {results.environment['commit']}"
            for which, name, results in zip(("old", "new"), names, (old, new), strict=True)
        )
    ]
    blocks += warnings(old, new)
    differ = conditions(old, new)
    blocks += ["## Conditions", text.markdown(differ)] if len(differ) else []
    for each in found:
        if each.tables:
            blocks += [f"## {each.title}", *map(text.markdown, each.tables)]
    same = [f"{what}, {count}" for each in found for what, count in each.unchanged.items() if count]
    return "\n\n".join([*blocks, f"Unchanged: {'; '.join(same) or 'nothing'}."])


def sentence(changes: Sequence[Change]) -> str:
    """The verdict: how much changed, and what, the worse first."""
    if not changes:
        return "Nothing changed beyond noise."
    named = [change.what for change in sorted(changes, key=lambda change: not change.worse)]
    more = [f"{len(named) - 4} more"] if len(named) > 5 else named[4:]
    worse = sum(change.worse for change in changes)
    things = "thing" if len(changes) == 1 else "things"
    return f"{len(changes)} {things} changed, {worse or 'none'} for the worse: {'; '.join(named[:4] + more)}."


# Conditions


def conditions(old: Results, new: Results) -> pd.DataFrame:
    """The differences of environment and options, a row each."""
    before, after = (_flat(each.environment) | _flat(each.options, "options.") for each in (old, new))
    rows = [
        {"condition": name, "old": before.get(name, "–"), "new": after.get(name, "–")}
        for name in dict.fromkeys((*before, *after))
        if before.get(name) != after.get(name) and name not in _ALWAYS_NEW
    ]
    return pd.DataFrame(rows, columns=["condition", "old", "new"])


def warnings(old: Results, new: Results) -> list[str]:
    """The reasons why the comparison is one of unlike things, if any, loudly."""
    found = []
    machines = [machine(each.environment) for each in (old, new)]
    if differ := [name for name in machines[0] if machines[0][name] != machines[1][name]]:
        found.append(
            f"**Times of two machines, or of other threads, are compared ({', '.join(differ)}).** "
            "Ratios may differ for that reason, and seconds do not compare at all."
        )
    if old.options != new.options:
        found.append("**The reports used different options; some rows are not comparable.**")
    if old.environment["started"] > new.environment["started"]:
        found.append("**The old report was made after the new one. Are they swapped?**")
    return found


def _flat(nested: dict[str, Any], above: str = "") -> dict[str, str]:
    """Names with dots, and values as text."""
    flat: dict[str, str] = {}
    for name, value in nested.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{above}{name}.")
        elif name == "pools":
            flat[above + name] = ", ".join(
                sorted(f"{pool['prefix']} {pool['version']}: {pool['num_threads']}" for pool in value)
            )
        else:
            flat[above + name] = value if isinstance(value, str) else json.dumps(value)
    return flat


# Verdicts


class Row(NamedTuple):
    """A row of a table: whether its verdict, if it has one, is "agree" in the old and in the new file."""

    table: str
    row: str
    old: str
    new: str

    @property
    def turned(self) -> bool:
        """True if it is in both files, and agrees in one of them only."""
        return ABSENT not in (self.old, self.new) and (self.old == "agree") != (self.new == "agree")


ABSENT, PRESENT = "–", "there"


def verdicts(old: Results, new: Results) -> Changes:
    """Verdicts lost and regained, of rows and of whole sections, and rows that are only in one file.

    A verdict that is only in the old file is lost as well, unless other options were asked for.
    """
    found = Changes("Verdicts")
    shown: list[Row] = []
    agree = 0
    for section in sections.every().values():
        rows = [row for table in section.tables for row in _rows(old, new, table)]
        agree += sum(row.old == row.new == "agree" for row in rows)
        turned = [row for row in rows if row.turned] or _whole(old, new, section)
        alone = [_summed_up(group) for group in _only_in_one(rows)]
        found.changes += [
            Change(f"{row.table}, {row.row}: {row.old} → {row.new}", row.old == "agree") for row in turned
        ]
        found.changes += [
            Change(
                f"{row.table}: only in the {'new' if row.old == ABSENT else 'old'}, {row.row}",
                row.old not in (ABSENT, PRESENT) and old.options == new.options,
            )
            for row in alone
        ]
        shown += turned + alone
    found.tables = [pd.DataFrame(shown)] if shown else []
    found.unchanged = {"verdicts that agree": agree}
    return found


def _rows(old: Results, new: Results, table: Table) -> list[Row]:
    """All rows of a table, of either file."""
    before, after = (_verdicts(each.tables.get(table.name), [*table.key]) for each in (old, new))
    return [
        Row(table.name, row, before.get(row, ABSENT), after.get(row, ABSENT))
        for row in dict.fromkeys((*before, *after))
    ]


def _verdicts(found: pd.DataFrame | None, key: list[str]) -> dict[str, str]:
    """The verdict of each row, by what tells the rows afound."""
    if found is None:
        return {}
    names = [
        ", ".join(str(cell) for cell in cells if pd.notna(cell))
        for cells in found[key].itertuples(index=False)
    ]
    return dict(zip(names, found["verdict"] if "verdict" in found else [PRESENT] * len(found), strict=True))


def _only_in_one(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows that only the old file has, and those that only the new one has, table by table."""
    groups: dict[tuple[str, bool], list[Row]] = {}
    for row in rows:
        if ABSENT in (row.old, row.new):
            groups.setdefault((row.table, row.old == ABSENT), []).append(row)
    return list(groups.values())


def _summed_up(rows: Sequence[Row]) -> Row:
    """One row for all of them: the first by name, and how many there are."""
    first = rows[0]
    return first._replace(row=first.row if len(rows) == 1 else f"{len(rows)} rows, the first {first.row}")


def _whole(old: Results, new: Results, section: Section) -> list[Row]:
    """The section's own verdict as a row, where it turned though none of a row did."""
    name = section.name
    if name not in old.sections or name not in new.sections:
        return []
    answers = ("agree" if each.sections[name].agrees else "differ" for each in (old, new))
    row = Row(name, "the whole section", *answers)
    return [row] if row.turned else []
