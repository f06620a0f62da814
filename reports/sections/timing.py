"""The time of a step on each side, and whether the difference is more than noise.

The ratio of two blocks of one round (runner/turns.py) is compared, so a machine that is slow for a while
is slow for both.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from reports.page import text
from reports.page.style import DASHED, INK, NUMPY, TORCH, blank, plain_ticks, slug, time_ticks
from reports.runner.findings import Findings, Rows
from reports.runner.frameworks import (
    COLUMNS,
    PHASES,
    TORCH_OPTIONS,
    compare_column,
    numpy_side,
    torch_side,
)
from reports.runner.intervals import Interval, judge, median_interval
from reports.runner.networks import Network, two_layer, with_one_batch
from reports.runner.plan import Plan
from reports.runner.tasks import Task
from reports.runner.turns import Blocks, measure, no_garbage_collection, take_turns
from reports.sections import section
from reports.sections.section import Change, Changes, Column, Drawing, Headline, Section, Table, Tables
from scratch import nn
from scratch.gradcheck import INCONCLUSIVE
from torch_ref import Comparison, compare

_SWEEP_ROUNDS = 5
_SETTING = "How PyTorch's SGD was made, the fastest of three"

_ROUND = section.mapping(
    section.described(section.NOT_NEGATIVE, "Seconds."),
    "By phase; step is always there, the others where a framework can tell them apart.",
)
_BLOCKS = section.listing(
    _ROUND | {"required": ["step"]},
    "One for each round, in their order: the seconds of each phase of a step, the mean of a block of steps.",
)


class Timing(Section):
    """The time of a training step and its phases, NumPy's by PyTorch's, with intervals and noise."""

    name = "timing"
    number = 5
    title = "Time"
    question = "which is faster?"
    about = "How long a training step takes on each side, and whether the difference is more than noise."
    neutral = ("NumPy faster", "NumPy slower", "not distinguishable")
    tables = (
        Table(
            "timing",
            "A row for each phase of each configuration, and one for each other column; of what is not timed "
            "the "
            "reason, and no numbers.",
            ("network", "batch", "dtype", "pair", "phase"),
            (
                section.NETWORK,
                section.BATCH,
                section.PRECISION,
                Column("setting", section.TEXT_OR_NULL, f"{_SETTING}."),
                Column(
                    "pair",
                    section.TEXT_OR_NULL,
                    "NumPy / PyTorch; NumPy / NumPy, two equal models, which shows the noise; or NumPy by "
                    "another "
                    "column. Null if the configuration is not timed.",
                ),
                Column(
                    "phase",
                    section.TEXT_OR_NULL,
                    "forward (model and loss), backward, update, or step: the whole loop with zero_grad.",
                ),
                Column(
                    "numpy_seconds",
                    section.NUMBER_OR_NULL,
                    "NumPy's median time of the phase in one step, in seconds.",
                ),
                Column(
                    "other_seconds",
                    section.NUMBER_OR_NULL,
                    "The other's median time of the phase in one step, in seconds.",
                ),
                Column(
                    "ratio",
                    section.NUMBER_OR_NULL,
                    "The median of the ratios NumPy by the other, one for each round, without unit.",
                ),
                Column(
                    "low",
                    section.NUMBER_OR_NULL,
                    "The lower end of the ratio's 95% bootstrap interval, without unit.",
                ),
                Column(
                    "high",
                    section.NUMBER_OR_NULL,
                    "The upper end of the ratio's 95% bootstrap interval, without unit.",
                ),
                Column(
                    "noise",
                    section.NUMBER_OR_NULL,
                    "By how much the ratio of two equal models differs from 1, or is uncertain, without "
                    "unit.",
                ),
                Column(
                    "rounds",
                    {"type": ["integer", "null"], "minimum": 0},
                    "How many rounds each process measured.",
                ),
                Column(
                    "processes",
                    {"type": ["integer", "null"], "minimum": 1},
                    "How many processes measured so many rounds.",
                ),
                Column(
                    "verdict",
                    section.TEXT,
                    "NumPy faster, NumPy slower, not distinguishable; or not timed: and the reason.",
                ),
            ),
            item="phase",
        ),
        Table(
            "sweep",
            "The time of a step against batch size and width: a row for each point of a curve, measured in "
            "one "
            "process.",
            ("vary", "batch", "width"),
            (
                section.NETWORK,
                Column(
                    "vary",
                    {"enum": ["batch", "width"]},
                    "The quantity that is varied along this point's curve.",
                ),
                section.BATCH,
                Column("width", section.POSITIVE, "Units of the hidden layer."),
                section.PRECISION,
                Column("setting", section.TEXT, f"{_SETTING} at this point."),
                Column("numpy_seconds", section.NOT_NEGATIVE, "NumPy's median time of a step, in seconds."),
                Column("torch_seconds", section.NOT_NEGATIVE, "PyTorch's median time of a step, in seconds."),
                Column(
                    "ratio",
                    section.NOT_NEGATIVE,
                    "The median of the ratios NumPy by PyTorch, one for each round, without unit.",
                ),
                Column(
                    "low",
                    section.NOT_NEGATIVE,
                    "The lower end of its 95% bootstrap interval, without unit.",
                ),
                Column(
                    "high",
                    section.NOT_NEGATIVE,
                    "The upper end of its 95% bootstrap interval, without unit.",
                ),
            ),
            item="vary",
        ),
    )
    samples = section.record(
        {
            "timing": section.listing(
                section.record(
                    {
                        "network": section.described(section.TEXT, section.NETWORK.about),
                        "batch": section.described(section.POSITIVE, section.BATCH.about),
                        "dtype": section.described(section.DTYPE, section.PRECISION.about),
                        "process": section.described(
                            section.COUNT,
                            "The number of the fresh process, from 1 on; 0 is the report's own.",
                        ),
                        "reason": section.described(section.TEXT, "Why nothing was timed, or empty."),
                        "setting": section.described(
                            section.TEXT, f"{_SETTING} in this process; empty if nothing was timed."
                        ),
                        "left_out": section.mapping(section.TEXT, "By column: why it was not timed."),
                        "blocks": section.mapping(
                            _BLOCKS,
                            "By side; torch is its fastest setting, control a second NumPy model, and the "
                            "others "
                            "are columns. Empty if nothing was timed.",
                        ),
                    }
                ),
                "One for each configuration and process.",
            )
        },
        "What the ratios were computed from.",
    )

    html = """
<p>The ratio is the time of the first by the time of the second: 0.5 means that NumPy takes half as long.
The interval has the
median ratio of this run with 95% confidence. The row <em>NumPy / NumPy</em> times two equal models against
each other, so it
should be 1; how far it is off is the noise of this machine. A side is called faster only if the whole
interval is farther from 1 than the noise.</p>
{% for row in shown.not_timed.itertuples() %}
<p class="warning">{{ row.network }} was {{ row.verdict }}. Times of wrong gradients say nothing.</p>
{% endfor %}
{{ grid(shown.timing, "Median seconds of one step and its phases, " ~ options.dtype) }}
{{ drawing(figures.timing, "Left of 1, NumPy is faster. Dots: the median ratio. Bars: its 95% interval.
Grey: the noise, from NumPy against NumPy.") }}
{{ drawing(figures.sweep, "Above: NumPy solid, PyTorch dashed; each grid line is ten times the one before.
Below: the first by the second, with its 95% interval; below the line at 1, NumPy is faster.") }}
"""
    markdown = """
Median time of one step and its phases. The ratio is the first by the second, with the 95% interval of its
median.
NumPy / NumPy times two equal models and shows the noise.

{% for row in shown.not_timed.itertuples() %}
{{ row.network }} was {{ row.verdict }}.

{% endfor %}
{{ shown.timing|markdown }}
"""
    method = """
Timing: SGD, learning rate 0.1, the same batch every step. One natural loop: zero_grad, forward (model and
loss),
backward, update. The clock is read between the phases, on both sides alike, and each phase is summed over a
block of
steps; step is the whole loop. Neither side differentiates by the input. A block takes about
{{ (options.block * 1000)|round|int }} ms. In each of {{ options.rounds }} rounds every side has a block, in
reverse order every second
round. All of that is repeated in {{ options.processes ~ " fresh processes, one after the other" if
options.processes else "no other process" }}, while nothing else of the report runs.
Garbage collection is off, warm-up discarded. A configuration is timed only if its gradients agree, in this
precision and on
this batch. The curves against batch size and width are measured once, in 5 rounds of shorter blocks.

Ratio: One for each round, of two blocks of that round. Shown are the median and its 95% percentile
bootstrap interval;
processes are drawn first, and then rounds of each (Kalibera and Jones 2013). It speaks for this run; on
another day the machine may differ by more.

Noise: A second NumPy model takes its turns like PyTorch. The noise of a phase is the width of the interval of
NumPy / NumPy, or its distance from 1 if that is more.

PyTorch's optimizer: SGD as it comes, with foreach=True and with fused=True are tried first, in each
process, and the fastest is timed.

{% if options["columns"] %}
Columns: {{ options["columns"]|join(", ") }}, in the same rounds. torch-compile has default settings and
fused SGD, compiled before the
clock starts. JAX runs one jitted step with donated parameters; HIPS autograd differentiates the same
function of NumPy.
Each is timed only if its gradients are NumPy's.
{% endif %}
"""

    def tasks(self, plan: Plan) -> list[Task]:
        """The networks that were asked for, or the book's, XOR and a wide one; and the curves."""
        options, data = plan.options, plan.datasets[0]
        return tasks(
            plan.asked or [plan.book, plan.xor, plan.wide],
            dtype=options["dtype"],
            rounds=options["rounds"],
            block=options["block"],
            seed=options["seed"],
            processes=options["processes"],
            columns=options["columns"],
            swept=[
                *(("batch", two_layer(data, batch_size=n)) for n in options["swept_batches"]),
                *(("width", two_layer(data, n)) for n in options["swept_widths"]),
            ],
        )

    def conclude(self, rows: Rows, seed: int) -> Findings:
        """Medians and intervals over all processes; they agree if every network was timed."""
        found: dict[tuple[str, int, str], list[dict[str, Any]]] = {}
        for each in rows.samples["timing"]:
            found.setdefault((each["network"], each["batch"], each["dtype"]), []).append(each)
        table: list[dict[str, Any]] = []
        for (network, batch, dtype), processes in found.items():
            where = {"network": network, "batch": batch, "dtype": dtype}
            if reasons := [each["reason"] for each in processes if each["reason"]]:
                table.append({**where, "verdict": f"not timed: {reasons[0]}"})
                continue
            setting = ", ".join(sorted({each["setting"] for each in processes}))
            measured = [each["blocks"] for each in processes]
            table += [{**where, "setting": setting, **row} for row in summary(measured, seed)]
            for name, reason in {k: v for each in processes for k, v in each["left_out"].items()}.items():
                table.append(
                    {**where, "pair": f"NumPy / {COLUMNS[name].title}", "verdict": f"not timed: {reason}"}
                )
        columns = [column.name for column in self.tables[0].columns]
        timing = pd.DataFrame(table, columns=columns).astype(
            dict.fromkeys(("setting", "pair", "phase"), object)
        )
        agrees = not any(each["reason"] for each in rows.samples["timing"])
        return Findings({"timing": timing, **rows.tables}, rows.samples, agrees)

    def check(self, found: Findings) -> None:
        """Each ratio has its samples.

        Raises:
            ValueError: it has not.
        """
        table = found.tables["timing"]
        for row in table[table["ratio"].notna()].itertuples():
            round_ratios(found, row.network, row.batch, row.phase)

    def shown(self, tables: Tables) -> dict[str, pd.DataFrame]:
        """A row for each phase; and the configurations whose gradients differ."""
        return {"timing": phases(tables["timing"]), "not_timed": not_timed(tables["timing"])}

    def figures(self, tables: Tables) -> dict[str, Iterator[Drawing]]:
        """The ratios, and the curves against batch size and width."""
        return {
            "timing": ratios(tables["timing"]),
            "sweep": curves(tables["sweep"]) if "sweep" in tables else iter(()),
        }

    def headlines(self, tables: Tables) -> list[Headline]:
        """A step of each network, the first a main one."""
        steps = tables["timing"].query("phase == 'step' and pair == 'NumPy / PyTorch'")
        return [
            Headline(
                f"A step of {row.network}",
                f"{row.ratio:.2f} ×",
                f"PyTorch's time, {row.low:.2f} to {row.high:.2f}: {row.verdict}",
                main=place == 0,
            )
            for place, row in enumerate(steps.itertuples())
        ]

    def summary(self, tables: Tables) -> dict[str, pd.DataFrame]:
        """The rows of whole steps."""
        shown = phases(tables["timing"])
        steps = shown[shown["phase"].isin(["step", "–"])]
        return {"Time of a step": steps.drop(columns=["phase", "PyTorch's optimizer"])}

    def disagreements(self, tables: Tables) -> list[str]:
        """Each configuration whose gradients differ."""
        return [
            f"the gradients of {row.network} at batch {row.batch}"
            for row in not_timed(tables["timing"]).itertuples()
        ]

    def compare(self, old: Findings, new: Findings, same_machine: bool) -> Changes:
        """The ratio NumPy / PyTorch of each phase, and NumPy's seconds, which compare on one machine only.

        PyTorch's SGD is the fastest of three by a whole step, so that a step compares also where that is
        another
        one; the update alone does not.
        """
        found = Changes("Time: NumPy / PyTorch")
        both = self.paired(old, new, "timing")
        both = both[
            (both["pair"] == "NumPy / PyTorch") & both["ratio_old"].notna() & both["ratio_new"].notna()
        ]
        another = (both["phase"] == "update") & (both["setting_old"] != both["setting_new"])
        compared = [_time(row, old, new) for row in both[~another].to_dict("records")]
        changed = [time for time in compared if time.verdict in ("faster", "slower")]
        found.changes = [
            Change(
                f"{time.row['phase']} of {time.network}: {time.verdict}, {time.change.middle:.2f} times",
                time.verdict == "slower",
            )
            for time in changed
        ]
        found.tables = section.as_tables(pd.DataFrame(_time_row(time, same_machine) for time in changed))
        found.unchanged = {"updates beside another SGD of PyTorch's, not compared": int(another.sum())}
        limits = [time.detection_limit for time in compared if time.verdict == "not distinguishable"]
        if limits:
            limit = f"detection limit {min(limits):.2f} times as much at best, {max(limits):,.2f} at worst"
            found.unchanged[f"times not distinguishable ({limit})"] = len(limits)
        return found


# Tasks


def tasks(
    networks: Sequence[Network],
    *,
    dtype: str,
    rounds: int,
    block: float,
    seed: int,
    processes: int = 0,
    columns: Sequence[str] = (),
    swept: Sequence[tuple[str, Network]] = (),
) -> list[Task]:
    """The tasks of the section.

    Args:
        networks: the configurations, each with its batch size.
        dtype: of weights and data.
        rounds: how many pairs of blocks are compared, in each process.
        block: how long a block is to take, in seconds.
        seed: of the weights, and of the bootstrap.
        processes: how many fresh ones measure each configuration; 0 measures in this one.
        columns: frameworks to time beside NumPy and the fastest setting of PyTorch, of frameworks.COLUMNS.
        swept: more configurations, measured once and shortly, and what varies: "batch" or "width".
    """
    numbers = range(1, processes + 1) if processes else range(1)
    timed = [
        Task(
            f"timing {network.name}, batch {network.batch_size}, process {number}",
            partial(_timed, with_one_batch(network), dtype, rounds, block, seed, number, tuple(columns)),
            process=number,
            weight=1 + (3 + len(columns)) * rounds * block,
        )
        for number in numbers
        for network in networks
    ]
    timed += [
        Task(
            f"sweep of {vary}, {network.name}, batch {network.batch_size}",
            partial(_swept, vary, with_one_batch(network), dtype, block / 10, seed),
            process=numbers[0],
            weight=0.1 + 4 * _SWEEP_ROUNDS * block / 10,
        )
        for vary, network in swept
    ]
    return timed


def _timed(
    network: Network, dtype: str, rounds: int, block: float, seed: int, process: int, columns: Sequence[str]
) -> Rows:
    where = {"network": network.name, "batch": network.batch_size, "dtype": dtype, "process": process}
    # The answer is the same for the same code and the same seeds, so one process asks.
    if process <= 1 and (reason := disagreement(partial(_both_sides, network), dtype, seed)):
        empty = {"reason": reason, "setting": "", "left_out": {}, "blocks": {}}
        return Rows({}, {"timing": [where | empty]})
    left_out = {name: reason for name in columns if (reason := _why_not(name, network, dtype, seed))}
    more = {name: COLUMNS[name].build(network, dtype, seed) for name in columns if name not in left_out}
    with no_garbage_collection():
        blocks, setting = measure(network, dtype, rounds, block, seed, more)
    found = {"reason": "", "setting": setting, "left_out": left_out, "blocks": blocks}
    return Rows({}, {"timing": [where | found]})


def _why_not(name: str, network: Network, dtype: str, seed: int) -> str:
    """Why this column is not timed: it is not there, or its gradients are not NumPy's."""
    column = COLUMNS[name]
    compared = partial(compare_column, column, network)
    return column.why_not(network, dtype) or disagreement(compared, dtype, seed)


def _swept(vary: str, network: Network, dtype: str, block: float, seed: int) -> Rows:
    """One point of a curve; PyTorch is at the fastest of its settings, all measured."""
    sides = {"numpy": numpy_side(network, dtype, seed)}
    sides |= {name: torch_side(network, dtype, seed, options) for name, options in TORCH_OPTIONS.items()}
    with no_garbage_collection():
        blocks = take_turns(sides, _SWEEP_ROUNDS, block, "sweep")
    seconds = {name: np.array([each["step"] for each in some]) for name, some in blocks.items()}
    fastest = min(TORCH_OPTIONS, key=lambda name: float(np.median(seconds[name])))
    ratio = median_interval(seconds["numpy"] / seconds[fastest], seed)
    row = {
        "network": network.name,
        "vary": vary,
        "batch": network.batch_size,
        "width": next(p.shape[0] for p in network.ours(dtype=np.dtype(dtype)).parameters()),
        "dtype": dtype,
        "setting": fastest,
        "numpy_seconds": np.median(seconds["numpy"]),
        "torch_seconds": np.median(seconds[fastest]),
        "ratio": ratio.middle,
        "low": ratio.low,
        "high": ratio.high,
    }
    return Rows({"sweep": pd.DataFrame([row])})


def disagreement(compared: Callable[[str, int], Comparison], dtype: str, seed: int) -> str:
    """Why a configuration is not timed: which gradients differ, or "" if they agree.

    In float32 a rounding may flip a ReLU that sits on its kink, on one side only. So a disagreement is asked
    again from two more seeds, since an error is there from every seed; and where there are so many kinks that
    always some flip, as behind a convolution, once more in float64, of the same code. The gradient by the
    input does not count: training has no use for it, and where pixels are blank, equal maxima are many.

    Args:
        compared: compares the gradients in a dtype, from a seed.
        dtype: of the timing.
        seed: of the weights.
    """
    for each, made_in in (*((each, dtype) for each in range(seed, seed + 3)), (seed, "float64")):
        try:
            found = compared(made_in, each).frame.query("verdict != 'agree' and tensor != 'input'")
        except ValueError as error:
            return str(error)
        if found.empty:
            return ""
    inconclusive = set(found["verdict"]) == {INCONCLUSIVE}
    verdict = "cannot be compared" if inconclusive else "disagree"
    return f"the gradients {verdict} in {', '.join(found['tensor'])}"


def _both_sides(network: Network, dtype: str, seed: int) -> Comparison:
    """The gradients of NumPy and PyTorch on the batch that is timed."""
    x, target = network.batch(dtype)
    model, twin = network.build(dtype, seed)
    losses = {"loss_fn": nn.CrossEntropyLoss(), "twin_loss_fn": torch.nn.CrossEntropyLoss()}
    return compare(model, twin, x, target=target, numeric=False, **losses)  # type: ignore[arg-type]


def summary(measured: Sequence[dict[str, Blocks]], seed: int) -> Iterator[dict[str, Any]]:
    """Rows: for each phase NumPy / PyTorch, and for the step NumPy / NumPy, the noise.

    Args:
        measured: the blocks of each process, by side.
        seed: of the bootstrap.
    """

    def seconds(side: str, phase: str) -> np.ndarray:
        return np.array([[block[phase] for block in blocks[side]] for blocks in measured])

    def compared(other: str, phase: str) -> Interval:
        return median_interval(seconds("numpy", phase) / seconds(other, phase), seed)

    others = [("NumPy / PyTorch", "torch", PHASES), ("NumPy / NumPy", "control", ("step",))]
    more = [name for name in measured[0] if name in COLUMNS and name != "numpy"]
    others += [(f"NumPy / {COLUMNS[name].title}", name, ("step",)) for name in more]
    for pair, other, phases in others:
        for phase in phases:
            ratio, control = compared(other, phase), compared("control", phase)
            # The difference that two equal models show: the interval's width, or its distance from 1.
            noise = max(control.high - control.low, control.high - 1, 1 / control.low - 1)
            yield {
                "pair": pair,
                "phase": phase,
                "numpy_seconds": np.median(seconds("numpy", phase)),
                "other_seconds": np.median(seconds(other, phase)),
                "ratio": ratio.middle,
                "low": ratio.low,
                "high": ratio.high,
                "noise": noise,
                "rounds": len(measured[0]["numpy"]),
                "processes": len(measured),
                "verdict": judge(ratio, noise),
            }


# Tables for people


def phases(t: pd.DataFrame) -> pd.DataFrame:
    """A row for each phase of each configuration; of one that was left out, the reason."""
    timed = t["ratio"].notna()
    interval = t["low"].map("{:.2f}".format) + " to " + t["high"].map("{:.2f}".format)
    return pd.DataFrame(
        {
            "network": t["network"] + ", batch " + t["batch"].map(str),
            "pair": t["pair"].fillna("–"),
            "phase": t["phase"].fillna("–"),
            "first": t["numpy_seconds"].map(text.duration),
            "second": t["other_seconds"].map(text.duration),
            "ratio": t["ratio"].map("{:.2f}".format).where(timed, "–"),
            "95% interval": interval.where(timed, "–"),
            "noise": t["noise"].map("±{:.2f}".format).where(timed, "–"),
            "verdict": t["verdict"],
            "PyTorch's optimizer": t["setting"].fillna("–"),
        }
    )


def not_timed(t: pd.DataFrame) -> pd.DataFrame:
    """The configurations whose gradients differ; not the columns that are left out of one that is timed."""
    return t[t["pair"].isna()]


# Figures


def ratios(t: pd.DataFrame) -> Iterator[Drawing]:
    """NumPy's time by PyTorch's with its interval, over the noise; a panel for each network, one scale."""
    timed = t.dropna(subset="ratio")
    low, high = min(timed["low"].min(), 0.5) / 1.15, max(timed["high"].max(), 2) * 1.15
    for (network, batch), rows in timed.groupby(["network", "batch"], sort=False):
        figure = blank(0.9 + 0.27 * len(rows))
        axes = figure.subplots()
        axes.set_xscale("log")
        for y, row in enumerate(rows[::-1].itertuples()):
            colour, marker = (INK, "D") if row.pair == "NumPy / NumPy" else (NUMPY, "o")
            axes.barh(y, 2 * row.noise, left=max(1 - row.noise, 1e-3), height=1, color=INK, alpha=0.16)
            axes.plot([row.low, row.high], [y, y], color=colour, linewidth=3, alpha=0.6)
            axes.plot(row.ratio, y, marker, color=colour, markersize=5)
        axes.axvline(1, color=INK, linewidth=1)
        names = rows["phase"].where(rows["pair"] == "NumPy / PyTorch", rows["pair"])
        axes.set_yticks(range(len(rows)), names[::-1])
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.grid(axis="y", visible=False)
        axes.set_xlim(low, high)
        plain_ticks(axes.xaxis, low, high)
        axes.set_xlabel("time of NumPy / time of PyTorch")
        axes.set_title(f"{network}, batch {batch}")
        title = f"Time of NumPy divided by time of PyTorch, {network}, batch {batch}"
        yield Drawing(f"timing-{slug(f'{network} {batch}')}", title, figure)


_VARIED = {"batch": ("batch size", "width"), "width": ("width", "batch")}


def curves(t: pd.DataFrame) -> Iterator[Drawing]:
    """The time of a step against batch size and against width, both sides, and their ratio below."""
    if t.empty:
        return
    for vary, rows in t.dropna(subset="ratio").groupby("vary", sort=False):
        varied, kept = _VARIED[vary]
        figure = blank(4.1)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        series = list(rows.sort_values(vary).groupby([kept, "dtype"], sort=False))
        for ((size, dtype), each), marker in zip(series, "os^DvP<>", strict=False):
            which = f", {kept} {size}, {dtype}" if len(series) > 1 else ""
            _pair(above, below, each, vary, marker, which)
        below.axhline(1, color=INK, linewidth=1)
        for axes in (above, below):
            axes.set_xscale("log")
            axes.set_yscale("log")
        time_ticks(above.yaxis)
        plain_ticks(below.yaxis, rows["low"].min() / 1.5, rows["high"].max() * 1.5)
        above.set_ylabel("time of a step")
        below.set_ylabel("NumPy / PyTorch")
        below.set_xlabel(varied)
        plain = sorted(rows[vary].unique())
        below.set_xticks(plain, [f"{value:,}" for value in plain])
        below.minorticks_off()
        size, dtype = series[0][0]
        above.set_title(f"Against the {varied}" + (f", {kept} {size}, {dtype}" if len(series) == 1 else ""))
        above.legend(loc="upper left")
        title = f"Time of a step of both sides against the {varied}, and their ratio"
        yield Drawing(f"sweep-{vary}", title, figure)


def _pair(above: Any, below: Any, rows: pd.DataFrame, vary: str, marker: str, which: str) -> None:
    style: dict[str, Any] = {"marker": marker, "markersize": 4}
    above.plot(rows[vary], rows["numpy_seconds"], color=NUMPY, label=f"NumPy{which}", **style)
    above.plot(
        rows[vary],
        rows["torch_seconds"],
        color=TORCH,
        linestyle=DASHED,
        label=f"PyTorch{which}",
        markerfacecolor="none",
        **style,
    )
    below.fill_between(rows[vary], rows["low"], rows["high"], color=INK, alpha=0.25, linewidth=0)
    below.plot(rows[vary], rows["ratio"], color=INK, **style)


# Comparison


class Time(NamedTuple):
    """The change of the ratio NumPy / PyTorch of a phase, new by old, and the noise of two equal models.

    ``row`` is that of the table timing, its columns from both files.
    """

    row: dict[str, Any]
    change: Interval
    noise: float

    @property
    def network(self) -> str:
        """The network with its batch size."""
        return f"{self.row['network']}, batch {self.row['batch']}"

    @property
    def verdict(self) -> str:
        """The verdict on NumPy: "faster", "slower" or "not distinguishable"."""
        return judge(self.change, self.noise).removeprefix("NumPy ")

    @property
    def detection_limit(self) -> float:
        """The factor by which it would have had to be slower or faster to be seen."""
        middle, low, high = self.change
        return (1 + self.noise) * max(high / middle, middle / low)


def _time(row: dict[str, Any], old: Findings, new: Findings) -> Time:
    where = row["network"], row["batch"], row["phase"]
    before, after = (round_ratios(found, *where) for found in (old, new))
    return Time(row, ratio_interval(before, after), max(row["noise_old"], row["noise_new"]))


def _time_row(time: Time, same_machine: bool) -> dict[str, str]:
    row, change = time.row, time.change
    seconds = "NumPy's time" if same_machine else "NumPy's time on other machines"
    return {
        "network": time.network,
        "phase": row["phase"],
        "old": f"{row['ratio_old']:.2f}",
        "new": f"{row['ratio_new']:.2f}",
        "new / old": f"{change.middle:.2f}",
        "95% interval": f"{change.low:.2f} to {change.high:.2f}",
        "noise": f"±{time.noise:.2f}",
        "verdict": time.verdict,
        f"{seconds}, old": text.duration(row["numpy_seconds_old"]),
        f"{seconds}, new": text.duration(row["numpy_seconds_new"]),
        "PyTorch's optimizer": " → ".join(dict.fromkeys((row["setting_old"], row["setting_new"]))),
    }


def ratio_interval(old: np.ndarray, new: np.ndarray) -> Interval:
    """The median of new by the median of old, and its 95% interval, from those of both."""
    before, after = median_interval(old), median_interval(new)
    ratio = after.middle / before.middle
    down = np.hypot(np.log(after.middle / after.low), np.log(before.high / before.middle))
    up = np.hypot(np.log(after.high / after.middle), np.log(before.middle / before.low))
    return Interval(ratio, float(ratio * np.exp(-down)), float(ratio * np.exp(up)))


def round_ratios(timing: Findings, network: str, batch: int, phase: str) -> np.ndarray:
    """The ratios NumPy / PyTorch of a phase: (P, n), for each process one for each round.

    Raises:
        ValueError: there are no two rounds, or not those of both sides.
    """
    where = f"sections.timing.samples: {network}, batch {batch}"
    measured = [
        each["blocks"]
        for each in timing.samples.get("timing", ())
        if (each["network"], each["batch"]) == (network, batch) and each["blocks"]
    ]
    ratios = []
    for blocks in measured:
        numpy, torch = (
            np.array([block[phase] for block in blocks.get(side, ())]) for side in ("numpy", "torch")
        )
        if len(numpy) != len(torch) or len(numpy) < 2 or not (numpy.all() and torch.all()):
            raise ValueError(
                f"{where}: {len(numpy)} times of NumPy and {len(torch)} of PyTorch, expected as many, 2 or "
                "more, all above 0"
            )
        ratios.append(numpy / torch)
    if len({len(each) for each in ratios}) != 1:
        raise ValueError(
            f"{where}: processes of {[len(each) for each in ratios]} rounds, expected as many of each"
        )
    return np.array(ratios)
