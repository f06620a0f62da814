"""The check put to the test: the mistakes that it finds, and one wrong entry of many."""

import copy
import re
from collections.abc import Callable, Iterator
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from reports.page import text
from reports.page.style import INK, NUMPY, blank
from reports.runner.detectors import (
    ALL,
    DERIVATIVES,
    DETECTORS,
    FUNCTIONS,
    NAMES,
    OTHER_FUNCTION,
    RIGHT,
    SCALES,
    added_up,
    kill_matrix,
    with_totals,
)
from reports.runner.findings import Findings, Rows
from reports.runner.networks import Network
from reports.runner.plan import Plan
from reports.runner.tasks import Task
from reports.sections import section
from reports.sections.section import Change, Changes, Column, Drawing, Headline, Section, Table, Tables
from scratch import nn
from scratch.gradcheck import Objective, check_directions, gradcheck
from torch_ref import as_torch, compare, mirror
from torch_ref.faults import FAULTS, Fault, switch_on

OFF_BY = 1e-6

# Trials of right code in a whole report; the campaign tries all of it.
_RIGHT = 40

# Mistakes, or trials of right code, that are one task.
_AT_ONCE = 8

_REFUSALS = {
    "gradmirror": "Refused by gradmirror's check.",
    "gradcheck": "Refused by torch.autograd.gradcheck with its defaults.",
    "gradcheck, fast": "Refused by torch.autograd.gradcheck in fast mode.",
    "gradcheck, strict": "Refused by torch.autograd.gradcheck with atol=1e-9 and rtol=1e-6.",
    "assert_close": "Refused by torch.testing.assert_close with its defaults.",
    "assert_close, strict": "Refused by torch.testing.assert_close with atol=0 and rtol=1e-7.",
    "cosine > 0.99": "Refused because the cosine of both gradients is not above 0.99.",
    "mean error < 1e-6": "Refused because the mean difference of both gradients is not below 1e-6.",
}


class Checker(Section):
    """The check put to the test: mistakes injected into right code, and one entry off by a millionth."""

    name = "checker"
    number = 4
    title = "The check itself"
    question = "what would it have seen?"
    about = "How far can the check itself be trusted? Injected mistakes, and the checks that find them."
    tables = (
        Table(
            "faults",
            "The kill matrix: a row for each mistake, the last for right code, which none should refuse. The "
            "columns "
            "count trials: in how many of those tried each detector refused.",
            ("mistake",),
            (
                Column("mistake", section.TEXT, f"The mistake in words; {RIGHT} in the last row."),
                Column("tried", section.COUNT, "How many trials there were."),
                Column(OTHER_FUNCTION, section.COUNT, "In how many of them forward is another function."),
                *(Column(name, section.COUNT, _REFUSALS[name]) for name in DETECTORS),
                Column("named", section.COUNT, "How often gradmirror named the mistake."),
                Column("misnamed", section.COUNT, "How often gradmirror named others but not this one."),
            ),
            item="mistake",
        ),
        Table(
            "needle",
            "One entry of the largest gradient is off by a millionth of itself. A row for each check that "
            "was tried.",
            ("network", "check"),
            (
                Column("check", section.TEXT, "The check by name."),
                Column("found", section.FLAG, "Whether it refused."),
                Column("place", section.TEXT, "Which entry it named; empty if none."),
                Column("seconds", section.NOT_NEGATIVE, "How long it took, in seconds."),
                section.NETWORK,
                Column("entries", section.COUNT, "Among how many entries the wrong one is."),
                Column("wrong", section.TEXT, "The entry that is wrong."),
            ),
            item="check",
        ),
    )

    html = """
<p>A check that cannot fail proves nothing. So each mistake of a collection that people really make was
injected into a layer that was right, on the weights that it starts with and inputs of one of three scales
in turn, and every detector was tried on it: with its defaults, and those of others as strict as float64
allows. Where a mistake makes forward another function, gradcheck cannot see it: it compares a backward with
its own forward. assert_close is given PyTorch's numbers. The last row is right code, which none should
refuse.
<code>gradmirror faults</code> does so for every layer and scale, this is a first one of each.</p>
{{ drawing(figures.faults, "Wrong derivatives found, and below, other functions. Blue: gradmirror.") }}
<details>
<summary>Mistake by mistake</summary>
{{ grid(shown.faults, "How often each detector refused, and gradmirror named the mistake, or another one") }}
</details>
<h3>The needle in the haystack</h3>
<p>One entry of the {{ "{:,}".format(tables.needle.entries.iloc[0]) }} that backpropagation gives for {{
tables.needle.network.iloc[0] }}, <code>{{ tables.needle.wrong.iloc[0] }}</code>, was made wrong by a
millionth of itself.</p>
{{ grid(shown.needle, "The checks that refuse, and the entry that each names") }}
"""
    markdown = """
Each mistake was injected into a right layer, and each detector tried on it, with its defaults and as strict
as float64 allows. gradcheck cannot see another function: it compares a backward with its own forward. The
last row is right code.

{{ shown.faults|markdown }}

One entry of {{ "{:,}".format(tables.needle.entries.iloc[0]) }} gradients of {{
tables.needle.network.iloc[0] }}, {{ tables.needle.wrong.iloc[0] }}, was made wrong by a millionth of itself.

{{ shown.needle|markdown }}
"""
    method = """
Mistakes: Each one of torch_ref/faults, in the first module of the catalog in which it changes a number, on
the weights that it starts with and inputs of scale 1, 1e-3 or 1e3 in turn, in float64; check also tries
float32, numbers that sit on kinks, and other weights. gradcheck and assert_close with their defaults, and
strict: atol=1e-9 and rtol=1e-6, and atol=0 and rtol=1e-7.
"""

    def tasks(self, plan: Plan) -> list[Task]:
        """The mistakes, and the needle in the network of the cost."""
        return tasks(plan.cost, most=plan.options["faults"], seed=plan.options["seed"])

    def conclude(self, rows: Rows, seed: int) -> Findings:
        """It can be trusted if it finds every mistake and the wrong entry, and refuses no right code."""
        matrix, found = added_up(rows.tables["faults"]), rows.tables["needle"]
        ours = matrix.iloc[:-1]
        agrees = bool((ours["gradmirror"] == ours["tried"]).all() and matrix["gradmirror"].iloc[-1] == 0)
        return Findings({"faults": matrix, "needle": found}, {}, agrees and bool(found["found"].iloc[0]))

    def shown(self, tables: Tables) -> dict[str, pd.DataFrame]:
        """Mistake by mistake, with their sums; and the answers about the needle."""
        return {"faults": with_totals(tables["faults"]).astype(str), "needle": answers(tables["needle"])}

    def figures(self, tables: Tables) -> dict[str, Iterator[Drawing]]:
        """The share of mistakes that each detector refuses."""
        return {"faults": shares(tables["faults"])}

    def headlines(self, tables: Tables) -> list[Headline]:
        """The mistakes found, and the needle."""
        sums = with_totals(tables["faults"]).set_index("mistake")
        total, derivatives = sums.loc[ALL], sums.loc[DERIVATIVES]
        needle = tables["needle"].iloc[0]
        return [
            Headline(
                "Mistakes found",
                f"{total['gradmirror']} of {total['tried']}",
                f"by the check; {total['assert_close, strict']} by assert_close with atol=0, and of "
                f"{derivatives['tried']} wrong derivatives {derivatives['gradcheck, strict']} by "
                "torch.autograd.gradcheck, strict",
            ),
            Headline(
                "One wrong entry",
                f"1 of {needle['entries']:,}",
                f"off by a millionth: {'found and named' if needle['found'] else 'missed'}, "
                f"in {text.duration(needle['seconds'])}",
            ),
        ]

    def disagreements(self, tables: Tables) -> list[str]:
        """Each mistake that it misses, and whether it refuses right code."""
        matrix = tables["faults"]
        missed = matrix[:-1][matrix["gradmirror"][:-1] != matrix["tried"][:-1]]
        found = [f"the check, which misses: {row.mistake}" for row in missed.itertuples()]
        return found + (["the check, which refuses right code"] if matrix["gradmirror"].iloc[-1] else [])

    def compare(self, old: Findings, new: Findings, same_machine: bool) -> Changes:
        """The mistakes that gradmirror finds and names, in shares of those tried, and the needle."""
        found = Changes("Mistakes, and what was found of them")
        matrix, needle = (self.paired(old, new, table) for table in ("faults", "needle"))
        rows = [*_changed_mistakes(matrix), *_changed_needles(needle)]
        found.changes = [
            Change(f"{row['mistake']}: {row['old']} → {row['new']}", row["verdict"] == "worse")
            for row in rows
        ]
        found.tables = section.as_tables(pd.DataFrame(rows))
        found.unchanged = {"answers about mistakes": len(matrix) + len(needle) - len(rows)}
        return found


# Tasks


def tasks(network: Network, *, most: int | None, seed: int) -> list[Task]:
    """The tasks of the section.

    Args:
        network: in which one entry of a gradient is made wrong.
        most: how many mistakes to try, and how often right code; None is all, and 40 times.
        seed: of the weights, and of the choice of the entry.
    """
    mistakes = _slices(min(most or len(FAULTS), len(FAULTS)))
    found = [
        Task(f"mistakes {some.start} to {some.stop}", partial(_mistakes, some), weight=2.0)
        for some in mistakes
    ]
    found += [
        Task(f"right code {some.start} to {some.stop}", partial(_right_code, some), weight=1.0)
        for some in _slices(most or _RIGHT)
    ]
    return [*found, Task("the needle", partial(_needle, network, seed))]


def _slices(count: int) -> list[slice]:
    return [slice(start, min(start + _AT_ONCE, count)) for start in range(0, count, _AT_ONCE)]


def _mistakes(some: slice) -> Rows:
    """Each mistake once, at one of the scales in turn, or at the next where it changes no number."""
    made = [
        kill_matrix([fault], SCALES[i % 3 :] + SCALES[: i % 3], every=False, some=slice(1))
        for i, fault in enumerate(FAULTS[some], some.start)
    ]
    return Rows({"faults": pd.concat(made, ignore_index=True)})


def _right_code(some: slice) -> Rows:
    return Rows({"faults": kill_matrix([None], SCALES, every=False, some=some)})


def _needle(network: Network, seed: int) -> Rows:
    return Rows({"needle": needle(network, seed)})


class Answer(NamedTuple):
    """The answer of a check: whether it refused, and which entry it named, if any."""

    found: bool
    place: str = ""


def needle(network: Network, seed: int) -> pd.DataFrame:
    """One entry of the largest gradient is off by a millionth of itself: which checks find and name it?

    Returns:
        A row for each check: entries, the wrong one, found, place (what the check names), seconds.
    """
    model, _ = network.build("float64", seed)
    x, target = network.batch("float64", 3)
    twin = mirror(model)
    loss_fn, twin_loss_fn = nn.CrossEntropyLoss(), torch.nn.CrossEntropyLoss()
    right = Objective(model, x, loss_fn=loss_fn, target=target).backward().parameters
    name = max((each for each in right if np.any(right[each])), key=lambda each: right[each].size)
    rng = np.random.default_rng(seed)
    # Where a ReLU is off there is nothing to be wrong by a millionth of.
    size = np.abs(right[name])
    wrong = tuple(int(i) for i in rng.choice(np.argwhere(size > 1e-3 * size.max())))
    broken = _broken(model, name, wrong)

    def by_compare() -> Answer:
        found = compare(broken, twin, x, loss_fn=loss_fn, twin_loss_fn=twin_loss_fn, target=target)
        return Answer(not found, found.details(1).partition("   ")[0])

    def by_gradcheck() -> Answer:
        found = gradcheck(broken, x, loss_fn=loss_fn, target=target)
        return Answer(not found, ", ".join(_place(row.name, row.worst) for row in found.rows if not row.ok))

    def by_directions() -> Answer:
        found = check_directions(broken, x, loss_fn=loss_fn, target=target)
        return Answer(not found, ", ".join(_place(entry.name, entry.at) for entry in found.wrong))

    def by_torch(fast: bool) -> Answer:
        wrapped = as_torch(broken)
        return Answer(
            not torch.autograd.gradcheck(
                lambda *_: twin_loss_fn(wrapped(torch.from_numpy(x)), torch.from_numpy(target)),
                tuple(wrapped.parameters()),
                raise_exception=False,
                fast_mode=fast,
            )
        )

    def by_assert_close(rtol: float | None = None, atol: float | None = None) -> Answer:
        ours = Objective(broken, x, loss_fn=loss_fn, target=target).backward().parameters
        for each, gradient in ours.items():
            try:
                torch.testing.assert_close(gradient, right[each], rtol=rtol, atol=atol)
            except AssertionError as error:
                at = re.search(r"relative difference: .* at index \((.*?),?\)", str(error))
                return Answer(True, f"{each}[{at[1]}]" if at else each)
        return Answer(False)

    checks: dict[str, Callable[[], Answer]] = {
        "gradmirror, compare": by_compare,
        "gradmirror, gradcheck": by_gradcheck,
        "gradmirror, check_directions": by_directions,
        "torch.autograd.gradcheck, fast": lambda: by_torch(fast=True),
        "torch.testing.assert_close": by_assert_close,
        "torch.testing.assert_close, strict": partial(by_assert_close, rtol=1e-7, atol=0.0),
    }
    rows: list[dict[str, Any]] = []
    for check, ask in checks.items():
        start = perf_counter()
        answer = ask()
        seconds = perf_counter() - start
        rows.append({"check": check, "found": answer.found, "place": answer.place, "seconds": seconds})
    entries = sum(gradient.size for gradient in right.values())
    return pd.DataFrame(rows).assign(network=network.name, entries=entries, wrong=_place(name, wrong))


def _broken(model: nn.Module, name: str, index: tuple[int, ...]) -> nn.Module:
    """A copy whose backward makes this one entry wrong."""

    def wrong(module: nn.Module, right: Callable[..., Any], *args: Any) -> Any:
        dx = right(*args)
        getattr(module, parameter).grad[index] *= 1 + OFF_BY
        return dx

    broken = copy.deepcopy(model)
    layer, _, parameter = name.rpartition(".")
    fault = Fault("one entry is off", "", (), methods={"backward": wrong})
    switch_on(fault, dict(broken.named_modules())[layer])
    return broken


def _place(name: str, index: tuple[int, ...]) -> str:
    return f"{name}[{', '.join(map(str, index))}]"


# For people


def answers(t: pd.DataFrame) -> pd.DataFrame:
    """A row for each check that was tried on the one wrong entry."""
    return pd.DataFrame(
        {
            "check": t["check"],
            "refuses": t["found"].map({True: "yes", False: "no"}),
            "names": t["place"].replace("", "–"),
            "time": t["seconds"].map(text.duration),
        }
    )


def shares(matrix: pd.DataFrame) -> Iterator[Drawing]:
    """The share of mistakes that each detector refuses."""
    counts = ("mistake", "tried", OTHER_FUNCTION, *NAMES)
    detectors = [column for column in matrix if column not in counts][::-1]
    sums = with_totals(matrix).set_index("mistake")
    figure = blank(1.4 + 0.6 * len(detectors))
    for axes, (kind, words) in zip(figure.subplots(2, sharex=True), _KINDS.items(), strict=True):
        found, tried = sums.loc[kind, detectors], sums.loc[kind, "tried"]
        parts = (found / max(1, tried)).to_numpy(float)
        colours = [NUMPY if each == "gradmirror" else INK for each in detectors]
        bars = axes.barh(range(len(detectors)), parts, color=colours, alpha=0.8, height=0.62)
        axes.bar_label(bars, [f"{count} of {tried}" for count in found], padding=4, fontsize=8.5)
        axes.set_yticks(range(len(detectors)), detectors)
        axes.set_xlim(0, 1.35)
        axes.set_xticks([0, 0.5, 1])
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.grid(axis="y", visible=False)
        axes.set_title(words)
    axes.set_xlabel("mistakes found")
    yield Drawing("faults", "The share of mistakes that each check finds", figure)


_KINDS = {DERIVATIVES: "wrong derivatives", FUNCTIONS: "other functions"}


# Comparison


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
            counts = {which: _counts(row, which) for which in ("old", "new")}
            yield {"mistake": row["mistake"], **counts, "verdict": "worse" if worse else "better"}


def _counts(row: dict[str, Any], which: str) -> str:
    found, tried, named = (row[f"{column}_{which}"] for column in ("gradmirror", "tried", "named"))
    return f"{found} of {tried} found, {named} named"


def _changed_needles(needle: pd.DataFrame) -> Iterator[dict[str, str]]:
    """The checks that found the one wrong entry in one file only; those of others are no worse for us."""
    for row in needle[needle["found_old"] != needle["found_new"]].to_dict("records"):
        worse = row["found_old"] and row["check"].startswith("gradmirror")
        found = {which: "found" if row[f"found_{which}"] else "missed" for which in ("old", "new")}
        verdict = "worse" if worse else "better" if row["found_new"] else "another's check"
        yield {"mistake": f"one wrong entry, asked of {row['check']}", **found, "verdict": verdict}
