"""Are the gradients right, and what would they cost without backpropagation?

The table has, for each tensor, NumPy against PyTorch and both against the complex step, which is
independent of them; and, as the book does it, against the central difference. The errors are those of all
entries, counted.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import torch

from reports.errors import DisagreementError
from reports.page import text
from reports.page.style import DASHED, INK, NUMPY, TORCH, blank, decades, plain_ticks, time_ticks
from reports.runner import cost
from reports.runner.findings import Findings, Rows
from reports.runner.networks import Network, two_layer
from reports.runner.plan import Plan
from reports.runner.tasks import Task
from reports.sections import section
from reports.sections.section import Change, Changes, Column, Drawing, Headline, Section, Table, Tables
from scratch import nn
from scratch.gradcheck import INCONCLUSIVE, Objective, numerical_gradient
from scratch.gradcheck.tolerance import SPREADS
from torch_ref import Comparison, compare
from torch_ref.checker.verdict import CORRECT_FOR_FORWARD

DTYPES = ("float64", "float32")
# An error below a hundredth of its tolerance is as good as none.
_NONE = 0.01

_METHOD = Column(
    "method",
    section.TEXT,
    "backpropagation, complex step, central difference, the book's loop, torch.autograd.gradcheck.",
)
_COST = (
    section.NETWORK,
    Column("entries", section.COUNT, "How many parameters there are, each entry counted."),
    _METHOD,
    Column("seconds", section.NOT_NEGATIVE, "The median time of one differentiation, in seconds."),
    Column("repetitions", section.COUNT, "How often it was measured."),
    Column(
        "times_backpropagation", section.NUMBER_OR_NULL, "seconds by those of backpropagation, without unit."
    ),
    Column(
        "times_gradcheck",
        section.NUMBER_OR_NULL,
        "seconds by those of torch.autograd.gradcheck, without unit.",
    ),
    Column(
        "error",
        section.NUMBER_OR_NULL,
        "The largest difference from backpropagation by the largest gradient, without unit; null for "
        "gradcheck, "
        "which says only yes or no.",
    ),
)
# Growing networks are not all differentiated by gradcheck, so there are no multiples of it.
_GROWTH = tuple(column for column in _COST if column.name != "times_gradcheck")


class Gradients(Section):
    """The gradients of both sides beside the complex step, and the cost of numeric differentiation."""

    name = "gradients"
    number = 1
    title = "Gradients"
    question = "are they the same?"
    about = "Are the gradients right, and what would they cost without backpropagation?"
    tables = (
        Table(
            "gradients",
            "A row for each output, loss, input and parameter of each network, in both precisions. Errors "
            "are "
            "absolute: in units of the tensor, whatever these are.",
            ("network", "dtype", "tensor"),
            (
                section.NETWORK,
                section.PRECISION,
                Column(
                    "tensor",
                    section.TEXT,
                    "output, loss, input (the gradient by it), or the parameter whose gradient it is, by its "
                    "name in the state_dict.",
                ),
                Column("shape", section.TEXT, "Its sizes, joined by ×; or scalar."),
                Column("scale", section.NUMBER_OR_NULL, "Its largest entry, absolute."),
                Column(
                    "numpy_torch",
                    section.NUMBER_OR_NULL,
                    "The largest difference of an entry of the two sides, absolute.",
                ),
                Column("relative", section.NUMBER_OR_NULL, "numpy_torch by scale, without unit."),
                Column(
                    "numpy_numeric",
                    section.NUMBER_OR_NULL,
                    "NumPy's largest difference from the complex step, absolute; null for output and loss, "
                    "which "
                    "have no derivative here.",
                ),
                Column(
                    "torch_numeric",
                    section.NUMBER_OR_NULL,
                    "PyTorch's largest difference from the complex step, absolute; null for output and loss.",
                ),
                Column(
                    "roundings",
                    section.NUMBER_OR_NULL,
                    "NumPy's largest error in units of what rounding does to that entry; up to 8 are "
                    "allowed.",
                ),
                Column(
                    "numpy_central",
                    section.NUMBER_OR_NULL,
                    "NumPy's largest difference from the central difference, absolute; null for output and "
                    "loss. "
                    "The verdict does not depend on it.",
                ),
                Column(
                    "tolerance",
                    section.NUMBER_OR_NULL,
                    "How far an entry may be off, absolute: what rounding explains.",
                ),
                Column(
                    "detection_limit",
                    section.NUMBER_OR_NULL,
                    "The detection limit: the smallest relative error that could not have been missed, "
                    "without "
                    "unit.",
                ),
                Column(
                    "kinks",
                    section.COUNT,
                    "How many entries cannot be judged, since a rounding changes the branch that they take.",
                ),
                Column(
                    "verdict",
                    section.TEXT,
                    "agree; NumPy is wrong, PyTorch is wrong or both are wrong; differ or shapes differ "
                    "where "
                    f"there is no derivative; {CORRECT_FOR_FORWARD}; {INCONCLUSIVE}.",
                ),
            ),
            item="tensor",
        ),
        Table(
            "errors",
            "How many entries of all gradients differ by how much: a row for each bin of a histogram.",
            ("network", "dtype", "pair", "bin"),
            (
                section.NETWORK,
                section.PRECISION,
                Column(
                    "pair",
                    section.TEXT,
                    "The two that are compared: NumPy − PyTorch, or either − the complex step.",
                ),
                Column("bin", section.TEXT, "equal, or the bounds of the bin."),
                Column(
                    "low",
                    section.NOT_NEGATIVE,
                    "Entries in the bin differ by more than so many roundings of that entry, as the verdict "
                    "measures them, without unit.",
                ),
                Column(
                    "high",
                    section.NUMBER_OR_NULL,
                    "And by so many at most; null in the last bin, which has no end.",
                ),
                Column("count", section.COUNT, "How many entries are in the bin."),
            ),
            item="bin",
        ),
        Table(
            "cost",
            "A row for each method of differentiating by every parameter once, on 3 samples in float64.",
            ("network", "method"),
            _COST,
            item="method",
        ),
        Table(
            "growth",
            "What it costs to differentiate by every parameter once as the network grows: a row for each "
            "network "
            "and method.",
            ("network", "method"),
            _GROWTH,
            item="method",
        ),
    )
    samples = section.record(
        {
            "cost": section.mapping(section.DURATIONS, "The seconds of one differentiation, by method."),
            "growth": section.mapping(
                section.mapping(section.DURATIONS, "By method."),
                "The seconds of one differentiation, by network and method.",
            ),
        },
        "What the times were computed from.",
    )

    html = """
<p>Three numbers stand behind each row: NumPy's gradient, PyTorch's, and the complex step, which is
independent of both: a
numeric derivative without truncation or cancellation, right to the last digit or two. So if two sides
differ, the third says which of them is wrong.</p>
<ul>
<li>The differences are the largest in the tensor, absolute. Hold them against the <em>tolerance</em>: what
rounding alone may cause.</li>
<li>The <em>detection limit</em> is the smallest relative error that this row could not have missed. Where
rounding hides everything, a row is inconclusive and does not pass.</li>
<li>The <em>central difference</em> is the book's way. It is right to nine digits or so, and therefore shown
but not used for the verdict.</li>
</ul>
{{ grid(shown.in_short, "In short: each network in each precision") }}
<details>
<summary>All {{ tables.gradients|length }} tensors</summary>
{{ grid(shown.gradients, "Each tensor, differences absolute") }}
</details>
<h3>How far off is each entry?</h3>
<p>A tensor's largest difference says nothing of the rest. So every entry of every gradient is counted here,
by how far it is off in
units of what rounding does to that very entry. The unit is measured, not guessed: the same computation runs
with other
roundings. The tolerance is 8 of them; what rounding does not explain, even in one entry alone, would stand
to the right of that line.</p>
{{ drawing(figures.errors, "Left, the entries that are equal to the last bit; many are 0 on all sides, where
a pixel is always black. Right, the others, four steps to each factor of ten. Both axes are logarithmic: a
single entry is still seen. PyTorch is allowed a little more than the line says, since how it adds up is not
known.") }}
<details>
<summary>Counted, bin by bin</summary>
{{ grid(shown.errors, "Entries of all gradients that differ by so many roundings") }}
</details>
{% set network, entries = tables.cost.network.iloc[0], tables.cost.entries.iloc[0] %}
<h3>The cost without backpropagation</h3>
<p>A numeric derivative needs a forward or two for every single entry: {{ "{:,}".format(entries) }} entries
in {{ network }}.
Backpropagation needs one forward and one backward for all of them. That is why it was invented.
Our complex step and central difference run many perturbed networks as one larger batch, which makes them an
affordable check.</p>
{{ grid(shown.cost, "All derivatives of " ~ network ~ " once, on 3 samples in float64") }}
{{ drawing(figures.cost, "One network, and networks that grow. Blue: NumPy. Orange: PyTorch. In brackets:
times backpropagation. All axes of time are logarithmic, each grid line ten times the one before. A slope of
1 says: twice the entries, twice the time. A method is left out as soon as one run of it would take more
than a second, but for the largest network, where all are timed.") }}
<details>
<summary>Network by network</summary>
{{ grid(shown.growth, "Seconds for all derivatives once, on 3 samples in float64") }}
</details>
"""
    markdown = """
Each tensor was computed by NumPy, by PyTorch and by the complex step, which is independent of both. The
differences are
the largest in the tensor, absolute; the tolerance is what rounding alone may cause. The detection limit is
the smallest
relative error that the row could not have missed. The central difference, the book's way, is right to nine
digits or so
and not used for the verdict.

{{ shown.gradients|markdown }}

### How far off is each entry?

Every entry of every gradient, counted by how far it is off, in units of what rounding does to that very
entry. Up
to 8 are within the tolerance.

{{ shown.errors|markdown }}

### The cost without backpropagation

All {{ "{:,}".format(tables.cost.entries.iloc[0]) }} derivatives of {{ tables.cost.network.iloc[0] }} once,
on 3 samples in float64.

{{ shown.cost|markdown }}

As the hidden layer grows; "–" where one run would take more than a second.

{{ shown.growth|markdown }}
"""
    method = """
Gradients: Weights from seed {{ options.seed }}, the first {{ options.samples }} samples of the training
set, CrossEntropyLoss.
Both precisions are always compared. The complex step is computed in complex128, for float32 on the same
weights.

Errors: Each entry of each gradient, by torch_ref/checker/verdict.py: the unit is an eighth of its
tolerance, which is the largest
change of the entry under random roundings or, if that is more, the typical one of its tensor. Entries on a
kink, which are not
judged, are not counted.

Cost: All methods in one process, taking turns; the median is shown. Other sections of the report run beside
it on other
cores, for all methods alike. Backpropagation is one forward and one backward.
The book's loop is two forwards for each entry and nothing more. gradcheck is torch.autograd.gradcheck in
slow mode, with
eps, atol and rtol as they come, check_undefined_grad=False, check_batched_grad=False and
raise_exception=False, on the
model's own parameters. Growing networks are measured once in the same way, the quick methods 5 times.
"""

    def tasks(self, plan: Plan) -> list[Task]:
        """On the book's network and XOR; the cost on a network like the book's."""
        return tasks(
            [plan.book, plan.xor],
            plan.cost,
            samples=plan.options["samples"],
            rounds=plan.options["cost_rounds"],
            seed=plan.options["seed"],
            growing=[two_layer(plan.datasets[0], size) for size in plan.options["growth_hidden"]],
        )

    def conclude(self, rows: Rows, seed: int) -> Findings:
        """They agree if all tensors do; the growth ends with the network of the cost."""
        found = rows.tables
        grown = [found[name] for name in ("growth", "cost") if name in found]
        found["growth"] = pd.concat(grown, ignore_index=True)[[column.name for column in _GROWTH]]
        return Findings(
            {table.name: found[table.name] for table in self.tables},
            {name: seconds for name, (seconds,) in rows.samples.items()},
            agrees=bool((found["gradients"]["verdict"] == "agree").all()),
        )

    def shown(self, tables: Tables) -> dict[str, pd.DataFrame]:
        """All tensors, and in short; errors by bin; the cost, and how it grows."""
        return {
            "in_short": in_short(tables["gradients"]),
            "gradients": in_full(tables["gradients"]),
            "errors": binned(tables["errors"]),
            "cost": costs(tables["cost"]),
            "growth": grown(tables["growth"]),
        }

    def figures(self, tables: Tables) -> dict[str, Iterator[Drawing]]:
        """Histograms of the errors; the time of each method, and as the network grows."""
        return {"errors": histograms(tables["errors"]), "cost": times(tables["cost"], tables["growth"])}

    def headlines(self, tables: Tables) -> list[Headline]:
        """The largest difference, and the price of doing without backpropagation."""
        worst = tables["gradients"].groupby("dtype", sort=False)["relative"].max()
        price = tables["cost"].set_index("method")["times_backpropagation"]
        return [
            Headline(
                "Largest difference",
                text.short(worst["float64"]),
                f"relative, of all outputs and gradients in float64; {text.short(worst['float32'])} in "
                f"float32",
                main=True,
            ),
            Headline(
                "Without backpropagation",
                f"{price[cost.BOOK]:,.0f} ×",
                f"the time by the book's loop; {price[cost.COMPLEX]:,.0f} × by our complex step, "
                f"{price[cost.GRADCHECK]:,.0f} × by torch.autograd.gradcheck",
            ),
        ]

    def summary(self, tables: Tables) -> dict[str, pd.DataFrame]:
        """Each network and precision, and the cost."""
        network, entries = tables["cost"][["network", "entries"]].iloc[0]
        return {
            "Gradients": in_short(tables["gradients"]),
            f"Cost of all {entries:,} derivatives of {network}": costs(tables["cost"]).drop(
                columns=["measured"]
            ),
        }

    def agreement(self, tables: Tables) -> str:
        """The count of tensors compared."""
        return f"in all {len(tables['gradients'])} tensors compared, in float64 and float32"

    def disagreements(self, tables: Tables) -> list[str]:
        """Each tensor that is not the same."""
        wrong = tables["gradients"].query("verdict != 'agree'")
        return [f"{row.tensor} of {row.network} in {row.dtype} ({row.verdict})" for row in wrong.itertuples()]

    def compare(self, old: Findings, new: Findings, same_machine: bool) -> Changes:
        """The largest error of each tensor, in units of its tolerance.

        It is better or worse only if the verdict changed, which is among the verdicts, or the error did by a
        factor of ten or more. One that grew within its tolerance is shown, but is not for the worse: rounding
        explains it.
        """
        found = Changes("Gradients: the largest error, in units of its tolerance")
        both = self.paired(old, new, "gradients")
        before, after = (_error(both, suffix) for suffix in ("_old", "_new"))
        decades_ = np.log10(np.clip(after, _NONE, 1e9) / np.clip(before, _NONE, 1e9))
        agreed, agrees = (both[f"verdict_{which}"] == "agree" for which in ("old", "new"))
        change = np.select(
            [agreed & ~agrees, ~agreed & agrees, decades_ >= 1, decades_ <= -1], ["worse", "better"] * 2, ""
        )
        shown = pd.DataFrame(
            {
                "network": both["network"],
                "dtype": both["dtype"],
                "tensor": both["tensor"],
                "old": before.map(text.short),
                "new": after.map(text.short),
                "verdict": change,
            }
        )
        moved = shown[(change != "") & (agreed == agrees)]
        found.changes = [
            Change(
                f"error of {row.tensor} of {row.network} in {row.dtype}: {row.old} → {row.new} of its "
                f"tolerance",
                row.verdict == "worse" and after[row.Index] > 1,
            )
            for row in moved.itertuples()
        ]
        found.tables = section.as_tables(shown[change != ""])
        found.unchanged = {"gradients": int(np.sum(change == ""))}
        return found


# Tasks


def tasks(
    networks: Sequence[Network],
    cost_network: Network,
    *,
    samples: int,
    rounds: int,
    seed: int,
    growing: Sequence[Network] = (),
) -> list[Task]:
    """The tasks of the section.

    Args:
        networks: the networks whose gradients are compared, in both dtypes.
        cost_network: what the cost is measured on, with 3 samples in float64.
        samples: how many samples of the training set a batch has.
        rounds: how often the cost is measured.
        seed: of the weights.
        growing: networks from small to large, all smaller than cost_network: how the cost grows.
    """
    compared = [
        Task(f"gradients of {network.name} in {dtype}", partial(_compared, network, dtype, samples, seed))
        for network in networks
        for dtype in DTYPES
    ]
    return [
        Task(f"cost of {cost_network.name}", partial(_cost, cost_network, rounds, seed), weight=8.0),
        Task("growth of the cost", partial(_growth, growing, seed), weight=4.0),
        *compared,
    ]


def _compared(network: Network, dtype: str, samples: int, seed: int) -> Rows:
    return Rows(compared_tensors(network, dtype, samples, seed))


def _cost(network: Network, rounds: int, seed: int) -> Rows:
    found, seconds = cost.measure(network, rounds, seed)
    return Rows({"cost": found}, {"cost": [seconds]})


def _growth(networks: Sequence[Network], seed: int) -> Rows:
    found, seconds = cost.growth(networks, seed)
    return Rows({"growth": pd.concat(found, ignore_index=True)} if found else {}, {"growth": [seconds]})


def compared_tensors(network: Network, dtype: str, samples: int, seed: int) -> Tables:
    """ "gradients", a row for each parameter, the input, the output and the loss; and "errors".

    The columns of gradients are those of torch_ref.Comparison, and numpy_central: how far NumPy is from the
    central difference. That one is right to nine digits or so, and the verdict does not depend on it.
    """
    model, twin = network.build(dtype, seed)
    x, target = network.batch(dtype, min(samples, network.batch_size))
    loss_fn = nn.CrossEntropyLoss()
    losses = {"loss_fn": loss_fn, "twin_loss_fn": torch.nn.CrossEntropyLoss(), "target": target}
    try:
        comparison = compare(model, twin, x, **losses)  # type: ignore[arg-type]
    except ValueError as error:
        raise DisagreementError(f"{network.name} in {dtype}: {error}") from error
    found = comparison.frame
    central = numerical_gradient(model, x, loss_fn=loss_fn, target=target, method="central")
    ours = Objective(model, x, loss_fn=loss_fn, target=target).backward()
    pairs: dict[str, tuple[Any, Any]] = {"input": (ours.inputs[0], central.inputs[0])}
    pairs |= {name: (ours.parameters[name], numeric) for name, numeric in central.parameters.items()}
    errors = {name: np.max(np.abs(a - n)) for name, (a, n) in pairs.items()}
    found.insert(found.columns.get_loc("tolerance"), "numpy_central", found["tensor"].map(errors))
    named = {"gradients": found, "errors": error_counts(comparison)}
    for each in named.values():
        each.insert(0, "network", network.name)
        each.insert(1, "dtype", dtype)
    return named


def error_counts(comparison: Comparison) -> pd.DataFrame:
    """Histogram of the errors of all gradients' entries, in units of what rounding does to that entry.

    The unit is that of the verdict (checker/verdict.py): up to 8 of them are within the tolerance. Entries
    that the verdict leaves out, on a kink, are left out here.

    Returns:
        A row for each pair of NumPy, PyTorch and the numeric derivative, and each bin: count entries are off
        by more than ``low`` and at most ``high`` units. In the bin "equal" both are 0; the last has no end
        (nan), and what is nan counts there.
    """
    tensors = [t for t in comparison.tensors if t.numeric is not None and t.ours.shape == t.reference.shape]
    rows = []
    for pair in ("NumPy − PyTorch", "NumPy − numeric", "PyTorch − numeric"):
        first, second = (_SIDES[name] for name in pair.split(" − "))
        units = [t.in_roundings(getattr(t, first) - getattr(t, second)) for t in tensors]
        off = np.concatenate([np.zeros(0), *units])
        off[np.isnan(off)] = np.inf
        # searchsorted puts an off equal to an edge to the bin below it, so 0 goes to the first, "equal".
        counts = np.bincount(np.searchsorted(_EDGES, off), minlength=len(_BINS))
        for (name, low, high), count in zip(_BINS, counts, strict=True):
            rows.append({"pair": pair, "bin": name, "low": low, "high": high, "count": int(count)})
    return pd.DataFrame(rows)


_SIDES = {"NumPy": "ours", "PyTorch": "reference", "numeric": "numeric"}

# Four bins a decade, and what is outside of them.
_EDGES = [0.0, *(float(f"{10 ** (k / 4):.2g}") for k in range(-16, 9))]
_BINS = [
    ("equal", 0.0, 0.0),
    *((f"{low:g} to {high:g}", low, high) for low, high in pairwise(_EDGES)),
    (f"more than {_EDGES[-1]:g}", _EDGES[-1], np.nan),
]


# Tables for people


def in_full(t: pd.DataFrame) -> pd.DataFrame:
    """All tensors, the differences absolute."""
    return pd.DataFrame(
        {
            "network": t["network"],
            "dtype": t["dtype"],
            "tensor": t["tensor"],
            "shape": t["shape"],
            "largest entry": t["scale"].map(text.short),
            "NumPy − PyTorch": t["numpy_torch"].map(text.short),
            "NumPy − complex step": t["numpy_numeric"].map(text.short),
            "PyTorch − complex step": t["torch_numeric"].map(text.short),
            "NumPy − central difference": t["numpy_central"].map(text.short),
            "tolerance": t["tolerance"].map(text.short),
            "detection limit": t["detection_limit"].map(text.short),
            "verdict": t["verdict"],
        }
    )


def in_short(t: pd.DataFrame) -> pd.DataFrame:
    """A row for each network and dtype: the largest relative difference, and how many tensors agree."""
    grouped = t.groupby(["network", "dtype"], sort=False)
    agreeing = grouped["verdict"].agg(lambda verdicts: (verdicts == "agree").sum())
    table = pd.DataFrame(
        {
            "tensors": grouped.size().map(str),
            "largest difference, relative": grouped["relative"].max().map(text.short),
            "detection limit": grouped["detection_limit"].max().map(text.short),
            "verdict": np.where(agreeing == grouped.size(), "agree", "differ"),
        }
    )
    return table.reset_index()


def binned(t: pd.DataFrame) -> pd.DataFrame:
    """A row for each bin that is not empty: how many entries of all gradients are so far off."""
    keys = ["network", "dtype", "bin"]
    counts = t.pivot_table(index=keys, columns="pair", values="count", sort=False)
    counts = counts[counts.sum(axis=1) > 0].map("{:,.0f}".format).reset_index().rename_axis(columns=None)
    return counts.rename(columns={"bin": "roundings"})


def costs(t: pd.DataFrame) -> pd.DataFrame:
    """A row for each method of differentiation."""
    return pd.DataFrame(
        {
            "method": t["method"],
            "time": t["seconds"].map(text.duration),
            "× backpropagation": t["times_backpropagation"].map(text.multiple),
            "× gradcheck": t["times_gradcheck"].map(text.multiple),
            "largest error": t["error"].map(text.short).where(t["method"] != "backpropagation", "–"),
            "measured": t["repetitions"].map(lambda n: "once" if n == 1 else f"{n} times"),
        }
    )


def grown(t: pd.DataFrame) -> pd.DataFrame:
    """A row for each network, from small to large: the time by each method, "–" where it was not measured."""
    seconds = t.pivot_table(index=["network", "entries"], columns="method", values="seconds", sort=False)
    shown = seconds.map(text.duration).reset_index().rename_axis(columns=None).sort_values("entries")
    shown["entries"] = shown["entries"].map("{:,}".format)
    return shown


# Figures

_PAIRS: dict[str, dict[str, Any]] = {
    "NumPy − numeric": {"color": NUMPY, "linewidth": 1.8, "linestyle": "-"},
    "PyTorch − numeric": {"color": TORCH, "linewidth": 1.4, "linestyle": DASHED},
    "NumPy − PyTorch": {"color": INK, "linewidth": 1.2, "linestyle": (0, (1, 1))},
}


def histograms(found: pd.DataFrame) -> Iterator[Drawing]:
    """Histograms of the errors in roundings, a panel for each dtype; equal ones have a bar of their own."""
    for dtype, rows in found.groupby("dtype", sort=False):
        counts = rows.groupby(["pair", "low", "high"], sort=False, dropna=False)["count"].sum()
        figure = blank(2.9)
        equal, axes = figure.subplots(1, 2, sharey=True, width_ratios=(1, 5))
        for place, (pair, style) in enumerate(_PAIRS.items()):
            first, *others = counts[pair]
            lows = [low for low, _ in counts[pair].index[2:]]
            ends = [lows[0] / 2, *lows, lows[-1] * 2]  # the outer bins go on without end
            line = {"linewidth": style["linewidth"], "linestyle": style["linestyle"]}
            equal.bar(place, first, 0.8, fill=False, edgecolor=style["color"], **line)
            axes.stairs(others, ends, baseline=None, label=pair, **style)
        axes.axvline(SPREADS, color=INK, linewidth=1)
        axes.annotate(
            "tolerance",
            (SPREADS, 1),
            (3, -3),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            va="top",
            fontsize=8.5,
        )
        axes.set_xscale("log")
        axes.set_xlabel("difference, in roundings of the entry")
        equal.set_yscale("log")
        equal.set_ylim(bottom=0.7)
        equal.set_ylabel("entries")
        equal.set_xticks([1], ["equal"])
        equal.grid(axis="x", visible=False)
        for each in (equal, axes):
            each.minorticks_off()
        equal.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        title = f"{dtype}: {counts[pair].sum():,} entries of all gradients"
        figure.suptitle(title, x=0.01, ha="left", fontsize=9, fontweight="bold")
        figure.legend(
            *axes.get_legend_handles_labels(),
            loc="outside lower center",
            ncols=3,
            columnspacing=0.6,
            handlelength=1.1,
            handletextpad=0.4,
        )
        yield Drawing(f"errors-{dtype}", f"How far the gradients in {dtype} are off, entry by entry", figure)


def times(one: pd.DataFrame, growing: pd.DataFrame) -> Iterator[Drawing]:
    """The time of each method on one network; and over networks that grow, if there are several."""
    title = "Time to differentiate by every parameter once, by method"
    yield Drawing("cost", title, _bars(one))
    if growing["entries"].nunique() > 1:
        yield Drawing("growth", f"{title}, as the network grows", _curves(growing))


def _bars(rows: pd.DataFrame) -> Any:
    figure = blank(0.7 + 0.52 * len(rows))
    axes = figure.subplots()
    axes.set_xscale("log")
    start = decades(rows["seconds"])[0]
    for y, row in enumerate(rows[::-1].itertuples()):
        colour = TORCH if "torch" in row.method else NUMPY
        axes.barh(y, row.seconds - start, left=start, color=colour, alpha=0.8, height=0.34)
        multiple = "" if row.times_backpropagation == 1 else f" ({row.times_backpropagation:,.0f} ×)"
        label = f"{row.method}: {text.duration(row.seconds)}{multiple}"
        axes.annotate(label, (start, y + 0.32), (3, 0), textcoords="offset points", va="center")
    axes.set_yticks([])
    axes.set_ylim(-0.4, len(rows) - 0.35)
    axes.set_xlim(start, decades(rows["seconds"])[1])
    axes.grid(axis="y", visible=False)
    time_ticks(axes.xaxis)
    axes.set_title(f"{rows['network'].iloc[0]}, {rows['entries'].iloc[0]:,} derivatives")
    return figure


_LOOKS: dict[str, dict[str, Any]] = {
    cost.GRADCHECK: {"color": TORCH, "marker": "v", "linestyle": (0, (1, 1))},
    cost.BOOK: {"color": NUMPY, "marker": "s", "linestyle": DASHED},
    cost.CENTRAL: {"color": NUMPY, "marker": "^", "linestyle": (0, (6, 2))},
    cost.COMPLEX: {"color": NUMPY, "marker": "D", "linestyle": (0, (6, 2, 1, 2))},
    cost.BACKPROPAGATION: {"color": INK, "marker": "o", "linewidth": 2.2},
}


def _curves(growing: pd.DataFrame) -> Any:
    figure = blank(3.9)
    axes = figure.subplots()
    for method, style in _LOOKS.items():
        rows = growing[growing["method"] == method].sort_values("entries")
        slope = np.polyfit(np.log(rows["entries"]), np.log(rows["seconds"]), 1)[0]
        axes.plot(
            rows["entries"], rows["seconds"], markersize=4, label=f"{method}: slope {slope:z.1f}", **style
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("entries of all parameters")
    time_ticks(axes.yaxis)
    plain_ticks(axes.xaxis, growing["entries"].min() / 2, growing["entries"].max() * 2)
    axes.set_title("As the hidden layer grows")
    figure.legend(loc="outside lower center")
    return figure


def _error(both: pd.DataFrame, suffix: str) -> pd.Series:
    """The largest error of either side in units of the tolerance; infinite where a gradient is not finite."""
    names = [name + suffix for name in ("numpy_torch", "numpy_numeric", "torch_numeric")]
    largest = both[names].max(axis=1).where(both[f"numpy_torch{suffix}"].notna(), np.inf)
    return (largest / both[f"tolerance{suffix}"]).where(largest > 0, 0.0).fillna(np.inf)
