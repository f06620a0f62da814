"""``gradmirror report --compare``: what changed between two reports, and is it more than noise?

Each part of a report has its own noise. A gradient may be off by its tolerance, so that only another verdict
or another order of magnitude is a change. Trainings are paired by their seeds, and the mean difference has an
interval. Of times the ratio NumPy / PyTorch is compared, since a machine that is slow today is slow for both;
what two equal models differ by, in either file, is noise.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.stats

from reports.commands.faults import RIGHT
from reports.errors import UnusableError
from reports.page import tables
from reports.page.figures.style import duration
from reports.runner.intervals import Interval, judge, median_interval
from reports.runner.loading import columns, described, load, round_ratios
from reports.runner.results import Results
from reports.sections.accuracy import MEASURES

SIDES = {"numpy": "NumPy", "torch": "PyTorch"}
# They are others in every report.
_ALWAYS_NEW = ("command", "started", "load")
# An error below a hundredth of its tolerance is as good as none.
_NONE = 0.01


class Change(NamedTuple):
    """Something that changed beyond noise, in words, and whether for the worse."""

    what: str
    worse: bool = False


@dataclass
class Part:
    """What became of one kind of findings.

    Args:
        title: its heading.
        changes: beyond noise.
        tables: what changed, as text.
        unchanged: of what how many did not.
    """

    title: str
    changes: list[Change] = field(default_factory=list)
    tables: list[pd.DataFrame] = field(default_factory=list)
    unchanged: dict[str, int] = field(default_factory=dict)


def run(options: argparse.Namespace) -> int:
    """Print as Markdown what changed between the two files; 1 if something got worse beyond noise.

    Raises:
        UnusableError: other options are given as well, or a file is not a results.json of this version.
    """
    words = [word.partition("=")[0] for word in options.words if word.startswith("-")]
    if others := [word for word in words if not "--compare".startswith(word)]:
        raise UnusableError(
            f"--compare reads two files and runs nothing, so it goes without {', '.join(others)}"
        )
    old, new = map(load, options.compare)
    for name, told in zip(options.compare, (old, new), strict=True):
        if not told.sections:
            raise UnusableError(f"{name}: no section was finished, so there is nothing to compare")
    parts = compared(old, new)
    print(markdown(old, new, parts, options.compare))
    return int(any(change.worse for part in parts for change in part.changes))


def compared(old: Results, new: Results) -> list[Part]:
    """All parts of the comparison."""
    return [
        verdicts(old, new),
        gradients(old.tables, new.tables),
        accuracy(old.tables, new.tables),
        timing(old, new),
        checker(old.tables, new.tables),
    ]


def markdown(old: Results, new: Results, parts: Sequence[Part], names: Sequence[str]) -> str:
    """One sentence, on what both were made, what changed, and what did not."""
    blocks = [sentence([change for part in parts for change in part.changes])]
    blocks += [
        "\n".join(
            f"* {which}: {name}, of {told.environment['started']}, commit {told.environment['commit']}"
            for which, name, told in zip(("old", "new"), names, (old, new), strict=True)
        )
    ]
    blocks += warnings(old, new)
    conditions_ = conditions(old, new)
    blocks += ["## Conditions", tables.markdown(conditions_)] if len(conditions_) else []
    for part in parts:
        if part.tables:
            blocks += [f"## {part.title}", *map(tables.markdown, part.tables)]
    same = [f"{what}, {count}" for part in parts for what, count in part.unchanged.items() if count]
    return "\n\n".join([*blocks, f"Unchanged: {'; '.join(same) or 'nothing'}."])


def sentence(changes: Sequence[Change]) -> str:
    """The verdict: how much changed, and what, the worse first."""
    if not changes:
        return "Nothing changed beyond noise."
    told = [change.what for change in sorted(changes, key=lambda change: not change.worse)]
    more = [f"{len(told) - 4} more"] if len(told) > 5 else told[4:]
    worse = sum(change.worse for change in changes)
    things = "thing" if len(changes) == 1 else "things"
    return f"{len(changes)} {things} changed, {worse or 'none'} for the worse: {'; '.join(told[:4] + more)}."


# Conditions


def conditions(old: Results, new: Results) -> pd.DataFrame:
    """What differs in environment and options, a row each."""
    before, after = (_flat(told.environment) | _flat(told.options, "options.") for told in (old, new))
    rows = [
        {"condition": name, "old": before.get(name, "–"), "new": after.get(name, "–")}
        for name in dict.fromkeys((*before, *after))
        if before.get(name) != after.get(name) and name not in _ALWAYS_NEW
    ]
    return pd.DataFrame(rows, columns=["condition", "old", "new"])


def warnings(old: Results, new: Results) -> list[str]:
    """What makes the comparison one of unlike things, if anything, loudly."""
    found = []
    machines = [_machine(told) for told in (old, new)]
    if differ := [name for name in machines[0] if machines[0][name] != machines[1][name]]:
        found.append(
            f"**Times of two machines, or of other threads, are compared ({', '.join(differ)}).** "
            "Ratios may differ for that reason, and seconds do not compare at all."
        )
    if old.options != new.options:
        found.append("**The reports were made with other options: not all that is compared is the same.**")
    if old.environment["started"] > new.environment["started"]:
        found.append("**The old report was made after the new one. Are they swapped?**")
    return found


def _machine(told: Results) -> dict[str, Any]:
    """What must be equal for times to compare."""
    environment, threads = told.environment, told.environment["threads"]
    machine = {name: environment[name] for name in ("cpu", "cores", "system")}
    pools = sorted(pool["num_threads"] for pool in threads["pools"])
    return machine | {"threads": [threads["asked_for"], threads["torch"], *pools]}


def _flat(told: dict[str, Any], above: str = "") -> dict[str, str]:
    """Names with dots, and values as text."""
    flat: dict[str, str] = {}
    for name, value in told.items():
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
        """Whether it is in both files, and agrees in one of them only."""
        return ABSENT not in (self.old, self.new) and (self.old == "agree") != (self.new == "agree")


ABSENT, PRESENT = "–", "there"


def verdicts(old: Results, new: Results) -> Part:
    """Verdicts lost and regained, of rows and of whole sections, and rows that are only in one file.

    A verdict that is only in the old file is lost as well, unless other options were asked for.
    """
    part = Part("Verdicts")
    shown: list[Row] = []
    agree = 0
    for section, known in described().items():
        rows = [row for table, told in known.items() for row in _rows(old, new, table, told["x-key"])]
        agree += sum(row.old == row.new == "agree" for row in rows)
        turned = [row for row in rows if row.turned] or _whole(old, new, section)
        alone = [_summed_up(group) for group in _only_in_one(rows)]
        part.changes += [
            Change(f"{row.table}, {row.row}: {row.old} → {row.new}", row.old == "agree") for row in turned
        ]
        part.changes += [
            Change(
                f"{row.table}: only in the {'new' if row.old == ABSENT else 'old'}, {row.row}",
                row.old not in (ABSENT, PRESENT) and old.options == new.options,
            )
            for row in alone
        ]
        shown += turned + alone
    part.tables = [pd.DataFrame(shown)] if shown else []
    part.unchanged = {"verdicts that agree": agree}
    return part


def _rows(old: Results, new: Results, table: str, key: list[str]) -> list[Row]:
    """All rows of a table, of either file."""
    before, after = (_verdicts(told.tables.get(table), key) for told in (old, new))
    return [
        Row(table, row, before.get(row, ABSENT), after.get(row, ABSENT))
        for row in dict.fromkeys((*before, *after))
    ]


def _verdicts(found: pd.DataFrame | None, key: list[str]) -> dict[str, str]:
    """The verdict of each row, by what tells the rows apart."""
    if found is None:
        return {}
    names = [
        ", ".join(str(cell) for cell in cells if pd.notna(cell))
        for cells in found[key].itertuples(index=False)
    ]
    return dict(zip(names, found["verdict"] if "verdict" in found else [PRESENT] * len(found), strict=True))


def _only_in_one(rows: Sequence[Row]) -> list[list[Row]]:
    """Those of the old file and those of the new, table by table."""
    groups: dict[tuple[str, bool], list[Row]] = {}
    for row in rows:
        if ABSENT in (row.old, row.new):
            groups.setdefault((row.table, row.old == ABSENT), []).append(row)
    return list(groups.values())


def _summed_up(rows: Sequence[Row]) -> Row:
    """One row for all of them: the first by name, and how many there are."""
    first = rows[0]
    return first._replace(row=first.row if len(rows) == 1 else f"{len(rows)} rows, the first {first.row}")


def _whole(old: Results, new: Results, section: str) -> list[Row]:
    """The section's own verdict as a row, where it turned though none of a row did."""
    if section not in old.sections or section not in new.sections:
        return []
    told = ("agree" if each.sections[section].agrees else "differ" for each in (old, new))
    row = Row(section, "the whole section", *told)
    return [row] if row.turned else []


# Gradients


def gradients(old: tables.Tables, new: tables.Tables) -> Part:
    """The largest error of each tensor, in units of its tolerance.

    It is better or worse only if the verdict changed, which is told among the verdicts, or the error did by a
    factor of ten or more. One that grew within its tolerance is told, but is not for the worse: rounding
    explains it.
    """
    part = Part("Gradients: the largest error, in units of its tolerance")
    both = _paired(old, new, "gradients", "gradients")
    before, after = (_error(both, suffix) for suffix in ("_old", "_new"))
    decades = np.log10(np.clip(after, _NONE, 1e9) / np.clip(before, _NONE, 1e9))
    agreed, agrees = (both[f"verdict_{which}"] == "agree" for which in ("old", "new"))
    change = np.select(
        [agreed & ~agrees, ~agreed & agrees, decades >= 1, decades <= -1], ["worse", "better"] * 2, ""
    )
    shown = pd.DataFrame(
        {
            "network": both["network"],
            "dtype": both["dtype"],
            "tensor": both["tensor"],
            "old": before.map(tables.short),
            "new": after.map(tables.short),
            "verdict": change,
        }
    )
    grown = shown[(change != "") & (agreed == agrees)]
    part.changes = [
        Change(
            f"error of {row.tensor} of {row.network} in {row.dtype}: {row.old} → {row.new} of its tolerance",
            row.verdict == "worse" and after[row.Index] > 1,
        )
        for row in grown.itertuples()
    ]
    part.tables = _if_any(shown[change != ""])
    part.unchanged = {"gradients": int(np.sum(change == ""))}
    return part


def _error(both: pd.DataFrame, suffix: str) -> pd.Series:
    """The largest error of either side in units of the tolerance; infinite where a gradient is not finite."""
    names = [name + suffix for name in ("numpy_torch", "numpy_numeric", "torch_numeric")]
    largest = both[names].max(axis=1).where(both[f"numpy_torch{suffix}"].notna(), np.inf)
    return (largest / both[f"tolerance{suffix}"]).where(largest > 0, 0.0).fillna(np.inf)


# Accuracy


class Mean(NamedTuple):
    """The mean of paired differences and its 95% interval."""

    mean: float
    low: float
    high: float


def accuracy(old: tables.Tables, new: tables.Tables) -> Part:
    """What each network learned: seed by seed, and the mean difference over the seeds with its interval."""
    part = Part("Accuracy on the test set, old and new paired by seed")
    both = _paired(old, new, "accuracy", "accuracy")
    groups = [rows for _, rows in both.groupby(["network", "batch", "dtype"], sort=False)]
    others = [rows for rows in groups if not _identical(rows)]
    means = [_mean(rows, side) for rows in others for side in SIDES]
    judged = {"higher", "lower", _ONE_SEED}
    part.changes = [
        Change(
            f"{row['side']}'s accuracy of {row['network']}: {row['old']} → {row['new']}, {row['verdict']}",
            row["verdict"] == "lower",
        )
        for row in means
        if row["verdict"] in judged
    ]
    part.tables = [pd.DataFrame(means), *(_by_seed(rows) for rows in others)] if others else []
    within = sum(row["verdict"] not in judged for row in means)
    part.unchanged = {
        "networks that learned the same to the last digit": len(groups) - len(others),
        "mean accuracies, but for noise": within,
    }
    return part


def _identical(rows: pd.DataFrame) -> bool:
    """Whether all losses, accuracies and counts of predictions are the same, bit for bit."""
    names = [f"{side}_{measure}" for side in SIDES for measure in MEASURES] + ["predictions_differ"]
    old, new = ([f"{name}_{which}" for name in names] for which in ("old", "new"))
    return bool(np.array_equal(rows[old].to_numpy(float), rows[new].to_numpy(float), equal_nan=True))


_ONE_SEED = "one seed cannot tell"


def _mean(rows: pd.DataFrame, side: str) -> dict[str, str]:
    """The row of one network and side."""
    before, after = (rows[f"{side}_test_accuracy_{which}"].to_numpy() for which in ("old", "new"))
    found = mean_interval(after - before)
    if np.array_equal(before, after):
        verdict = "identical"
    elif len(rows) < 2:
        verdict = _ONE_SEED
    else:
        verdict = "higher" if found.low > 0 else "lower" if found.high < 0 else "within noise"
    first = rows.iloc[0]
    return {
        "network": f"{first['network']}, batch {first['batch']}, {first['dtype']}",
        "side": SIDES[side],
        "seeds": str(len(rows)),
        "old": f"{before.mean():.2%}",
        "new": f"{after.mean():.2%}",
        "difference": f"{found.mean:+.2%}",
        "95% interval": f"{found.low:+.2%} to {found.high:+.2%}" if len(rows) > 1 else "–",
        "verdict": verdict,
    }


def _by_seed(rows: pd.DataFrame) -> pd.DataFrame:
    """A row for each seed of a network."""
    columns = {
        "network": rows["network"] + ", batch " + rows["batch"].map(str) + ", " + rows["dtype"],
        "seed": rows["seed"].map(str),
    }
    for side, name in SIDES.items():
        for which in ("old", "new"):
            columns[f"{name}, {which}"] = rows[f"{side}_test_accuracy_{which}"].map("{:.2%}".format)
    for which in ("old", "new"):
        columns[f"predictions that differ, {which}"] = rows[f"predictions_differ_{which}"].map(str)
    return pd.DataFrame(columns)


def mean_interval(differences: np.ndarray) -> Mean:
    """The mean of paired differences and its 95% interval; of one difference, nan.

    The interval is that of the bootstrap, or Student's where that is wider: of five differences around 0 the
    bootstrap's alone leaves out the 0 in one of six cases, not in one of twenty.
    """
    mean = float(np.mean(differences))
    if len(differences) < 2:
        return Mean(mean, np.nan, np.nan)
    low, high = scipy.stats.bootstrap(
        (differences,), np.mean, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    half = scipy.stats.t.ppf(0.975, len(differences) - 1) * scipy.stats.sem(differences)
    return Mean(mean, float(min(low, mean - half)), float(max(high, mean + half)))


# Timing


class Time(NamedTuple):
    """How the ratio NumPy / PyTorch of a phase changed: new by old, and what two equal models differ by.

    ``row`` is that of the table timing, its columns from both files.
    """

    row: dict[str, Any]
    change: Interval
    noise: float

    @property
    def network(self) -> str:
        """With its batch size."""
        return f"{self.row['network']}, batch {self.row['batch']}"

    @property
    def verdict(self) -> str:
        """That of NumPy: "faster", "slower" or "not distinguishable"."""
        return judge(self.change, self.noise).removeprefix("NumPy ")

    @property
    def smallest(self) -> float:
        """How many times slower or faster it would have had to be to be seen."""
        median, low, high = self.change
        return (1 + self.noise) * max(high / median, median / low)


def timing(old: Results, new: Results) -> Part:
    """The ratio NumPy / PyTorch of each phase, and NumPy's own seconds, which compare on one machine only.

    PyTorch's SGD is the fastest of three by a whole step, so that a step compares also where that is another
    one; the update alone does not.
    """
    part = Part("Time: NumPy / PyTorch")
    both = _paired(old.tables, new.tables, "timing", "timing")
    both = both[(both["pair"] == "NumPy / PyTorch") & both["ratio_old"].notna() & both["ratio_new"].notna()]
    another = (both["phase"] == "update") & (both["setting_old"] != both["setting_new"])
    found = [_time(row, old, new) for row in both[~another].to_dict("records")]
    changed = [time for time in found if time.verdict in ("faster", "slower")]
    part.changes = [
        Change(
            f"{time.row['phase']} of {time.network}: {time.verdict}, {time.change.median:.2f} times",
            time.verdict == "slower",
        )
        for time in changed
    ]
    same_machine = _machine(old) == _machine(new)
    part.tables = _if_any(pd.DataFrame(_time_row(time, same_machine) for time in changed))
    part.unchanged = {"updates beside another SGD of PyTorch's, not compared": int(another.sum())}
    smallest = [time.smallest for time in found if time.verdict == "not distinguishable"]
    if smallest:
        seen = f"{min(smallest):.2f} times as much in the sharpest, {max(smallest):,.2f} in the bluntest"
        part.unchanged[f"times not distinguishable (seen would be {seen})"] = len(smallest)
    return part


def _time(row: dict[str, Any], old: Results, new: Results) -> Time:
    where = row["network"], row["batch"], row["phase"]
    before, after = (round_ratios(told.sections["timing"], *where) for told in (old, new))
    return Time(row, ratio_interval(before, after), max(row["noise_old"], row["noise_new"]))


def _time_row(time: Time, same_machine: bool) -> dict[str, str]:
    row, change = time.row, time.change
    seconds = "NumPy's time" if same_machine else "NumPy's time on other machines"
    return {
        "network": time.network,
        "phase": row["phase"],
        "old": f"{row['ratio_old']:.2f}",
        "new": f"{row['ratio_new']:.2f}",
        "new / old": f"{change.median:.2f}",
        "95% interval": f"{change.low:.2f} to {change.high:.2f}",
        "noise": f"±{time.noise:.2f}",
        "verdict": time.verdict,
        f"{seconds}, old": duration(row["numpy_seconds_old"]),
        f"{seconds}, new": duration(row["numpy_seconds_new"]),
        "PyTorch's optimizer": " → ".join(dict.fromkeys((row["setting_old"], row["setting_new"]))),
    }


def ratio_interval(old: np.ndarray, new: np.ndarray) -> Interval:
    """The median of new by the median of old, and its 95% interval, from those of both."""
    before, after = median_interval(old), median_interval(new)
    ratio = after.median / before.median
    down = np.hypot(np.log(after.median / after.low), np.log(before.high / before.median))
    up = np.hypot(np.log(after.high / after.median), np.log(before.median / before.low))
    return Interval(ratio, float(ratio * np.exp(-down)), float(ratio * np.exp(up)))


# Checker


def checker(old: tables.Tables, new: tables.Tables) -> Part:
    """Which mistakes gradmirror finds and names, in shares of those tried, and the needle in the haystack."""
    part = Part("Mistakes, and what was found of them")
    matrix, needle = (_paired(old, new, "checker", table) for table in ("faults", "needle"))
    rows = [*_changed_mistakes(matrix), *_changed_needles(needle)]
    part.changes = [
        Change(f"{row['mistake']}: {row['old']} → {row['new']}", row["verdict"] == "worse") for row in rows
    ]
    part.tables = _if_any(pd.DataFrame(rows))
    part.unchanged = {"answers about mistakes": len(matrix) + len(needle) - len(rows)}
    return part


def _changed_mistakes(matrix: pd.DataFrame) -> Iterator[dict[str, str]]:
    """The rows of the kill matrix in which gradmirror finds or names another share of those tried."""
    for row in matrix.to_dict("records"):
        (found, named), (finds, names) = (
            [row[f"{column}_{which}"] / max(1, row[f"tried_{which}"]) for column in ("gradmirror", "named")]
            for which in ("old", "new")
        )
        if (found, named) != (finds, names):
            # Right code should not be found at all.
            worse = finds > found if row["mistake"] == RIGHT else finds < found or names < named
            told = {which: _told(row, which) for which in ("old", "new")}
            yield {"mistake": row["mistake"], **told, "verdict": "worse" if worse else "better"}


def _told(row: dict[str, Any], which: str) -> str:
    found, tried, named = (row[f"{column}_{which}"] for column in ("gradmirror", "tried", "named"))
    return f"{found} of {tried} found, {named} named"


def _changed_needles(needle: pd.DataFrame) -> Iterator[dict[str, str]]:
    """The checks that found the one wrong entry in one file only; those of others are no worse for us."""
    for row in needle[needle["found_old"] != needle["found_new"]].to_dict("records"):
        worse = row["found_old"] and row["check"].startswith("gradmirror")
        told = {which: "found" if row[f"found_{which}"] else "missed" for which in ("old", "new")}
        verdict = "worse" if worse else "better" if row["found_new"] else "another's check"
        yield {"mistake": f"one wrong entry, asked of {row['check']}", **told, "verdict": verdict}


# What all parts use


def _paired(old: tables.Tables, new: tables.Tables, section: str, table: str) -> pd.DataFrame:
    """The rows that are in both files, the columns of each with a suffix; none if a table is missing."""
    known = described()[section][table]
    empty = pd.DataFrame(columns=list(columns(known)))
    before, after = (found.get(table, empty) for found in (old, new))
    if before.empty or after.empty:
        before, after = empty, empty
    return before.merge(after, on=known["x-key"], suffixes=("_old", "_new"))


def _if_any(table: pd.DataFrame) -> list[pd.DataFrame]:
    return [] if table.empty else [table]
