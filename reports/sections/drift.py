"""Do two trainings stay together, and what does rounding do to them? (checker/compare_training.py.)"""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from reports.page import text
from reports.page.style import DASHED, INK, NUMPY, TORCH, blank, decades, slug
from reports.runner.findings import Findings, Rows
from reports.runner.networks import Network, smaller
from reports.runner.plan import Plan
from reports.runner.tasks import Task
from reports.sections import section
from reports.sections.section import Column, Drawing, Section, Table, Tables
from scratch import nn, optim
from scratch.data import DataLoader
from scratch.gradcheck import INCONCLUSIVE
from torch_ref import Training, compare_training

# The larger networks of a report that names none.
_LARGER = ("deep_conv_net", "GPT")

_STEP = (
    Column("step", section.COUNT, "Updates so far; 0 is before any."),
    Column(
        "numpy_loss",
        section.NUMBER_OR_NULL,
        "NumPy's loss of this step's batch before the update, in nats; null at step 0.",
    ),
    Column(
        "torch_loss",
        section.NUMBER_OR_NULL,
        "PyTorch's loss of this step's batch before the update, in nats; null at step 0.",
    ),
    Column(
        "state",
        section.NUMBER_OR_NULL,
        "The distance of the optimizers' vectors: the largest difference by the largest entry, without unit.",
    ),
    Column(
        "drift",
        section.NUMBER_OR_NULL,
        "The distance of the two sides: the largest difference of two weights by the largest weight, without "
        "unit.",
    ),
    Column(
        "numpy_rounding",
        section.NUMBER_OR_NULL,
        "NumPy's distance from its own training in float64, without unit; null if float64 is the dtype.",
    ),
    Column(
        "torch_rounding",
        section.NUMBER_OR_NULL,
        "PyTorch's distance from its own training in float64, without unit; null if float64 is the dtype.",
    ),
    Column(
        "programs",
        section.NUMBER_OR_NULL,
        "The distance of the two sides when both train in float64, without unit.",
    ),
    Column(
        "allowed",
        section.NUMBER_OR_NULL,
        "The limit of programs: what rounding explains, measured by a training that starts an ulp beside "
        "NumPy's; "
        "without unit.",
    ),
    Column(
        "roundings",
        section.NUMBER_OR_NULL,
        "How far NumPy's gradients and update of this step in float32 are from those in float64 from the "
        "same "
        "weights, in units of how far PyTorch's are, and an ulp; of the parameter where that is most. The "
        "median of "
        "five steps in a row may be 32. Null at the start and in float64.",
    ),
    section.NETWORK,
    section.BATCH,
    Column("optimizer", section.TEXT, "The optimizer by its name in torch.optim."),
    section.PRECISION,
    section.SEED,
)


class Drift(Section):
    """Trainings of both sides compared after every step, in their own precision and in float64."""

    name = "drift"
    number = 3
    title = "Drift"
    question = "do they stay together, step by step?"
    about = "Do two trainings stay together, and what does rounding do to them?"
    tables = (
        Table(
            "drift",
            "A row for each training, after its last step.",
            ("network", "batch", "optimizer", "dtype", "seed"),
            (
                *_STEP,
                Column(
                    "verdict",
                    section.TEXT,
                    f"agree; part at step N; float32 departs at step N; {INCONCLUSIVE}.",
                ),
            ),
        ),
        Table(
            "drift_steps",
            "A row for each step of each training, from 0, the start.",
            ("network", "batch", "optimizer", "dtype", "seed", "step"),
            _STEP,
        ),
    )

    html = """
<p>Two right programs part as well, because they round differently and training multiplies every difference.
So the question is
asked in float64, where rounding is small: are both still the same program? What rounding may do there is
measured, with a third
training that starts from weights an ulp beside them. The other curves show what {{ options.dtype }} costs:
each side against itself in float64.
{% if options.dtype == "float32" %}
That grows with every step, so float32 is judged step by step: each is made in float64 as well, from the
same weights, and NumPy's
error there may not be many times PyTorch's.
{% endif %}</p>
{{ grid(shown.drift, "After the last step; largest difference of the weights by the largest weight") }}
{{ drawing(figures.drift, "Above: the loss, NumPy blue and PyTorch dashed. Below: the lower pair of curves
decides, both sides in float64, below what rounding explains. A mistake would lift them in its first step.")
}}
"""
    markdown = """
Two trainings, step by step, both in {{ options.dtype }}, and both in float64, where they are judged: there
they may be no farther
apart than rounding explains, which is measured by a training that starts an ulp beside.
{% if options.dtype == "float32" %}
In float32 each step is judged by itself: it is made in float64 as well, from the same weights, and NumPy's
error there may
not be many times PyTorch's.
{% endif %}

{{ shown.drift|markdown }}
"""
    method = """
Drift: {{ options.drift_steps }} steps on shuffled batches of 100, {{ options.model_steps }} of the larger
networks, on smaller ones. Five trainings of each network and optimizer: both sides in {{ options.dtype }},
both in
float64, and NumPy in float64 from weights that are off by an ulp at random. The two in float64 may be 256
times as far apart as
that one is: of 160 right trainings none was beyond 34 times. In float32 each step is made in float64 as
well, from the same
weights; of five steps in a row, the median error of NumPy's gradients and update may be 32 times PyTorch's:
in 64 right
trainings of these networks it was 7 times at most.
"""

    def tasks(self, plan: Plan) -> list[Task]:
        """The book's network by SGD and Adam; the others that were asked for, or some larger ones, by SGD."""
        steps = plan.options["drift_steps"]
        recipes = [Recipe(plan.book, "SGD", {"lr": 0.1}, steps), Recipe(plan.book, "Adam", {}, steps)]
        book = plan.book.name, plan.book.batch_size
        others = [each for each in plan.asked if (each.name, each.batch_size) != book]
        larger = others if plan.asked else [smaller(name, plan.datasets[0]) for name in _LARGER]
        recipes += [by_sgd(each, plan.options["model_steps"]) for each in larger]
        return tasks(recipes, dtype=plan.options["dtype"], seed=plan.options["seed"])

    def conclude(self, rows: Rows, seed: int) -> Findings:
        """They agree if all trainings do."""
        return Findings(rows.tables, {}, bool((rows.tables["drift"]["verdict"] == "agree").all()))

    def shown(self, tables: Tables) -> dict[str, pd.DataFrame]:
        """A row for each training."""
        return {"drift": last_steps(tables["drift"])}

    def figures(self, tables: Tables) -> dict[str, Iterator[Drawing]]:
        """Losses and distances, step by step."""
        return {"drift": curves(tables["drift_steps"])}

    def disagreements(self, tables: Tables) -> list[str]:
        """Each training in which they part."""
        parting = tables["drift"].query("verdict != 'agree'")
        return [
            f"{row.network} by {row.optimizer}, step by step ({row.verdict})" for row in parting.itertuples()
        ]


class Recipe(NamedTuple):
    """A training to be: a network, an optimizer, its options beside the defaults, and how many steps."""

    network: Network
    optimizer: str
    options: dict[str, Any]
    steps: int


def by_sgd(network: Network, steps: int) -> Recipe:
    """A network trained with its own learning rate."""
    return Recipe(network, "SGD", {"lr": network.lr}, steps)


# Tasks


def tasks(recipes: Sequence[Recipe], *, dtype: str, seed: int) -> list[Task]:
    """The tasks of the section: each recipe trained from this seed."""
    return [
        Task(
            f"drift of {recipe.network.name}, batch {recipe.network.batch_size}, by {recipe.optimizer}",
            partial(_drifted, recipe, dtype, seed),
            weight=4.0,
        )
        for recipe in recipes
    ]


def _drifted(recipe: Recipe, dtype: str, seed: int) -> Rows:
    found = train(recipe, dtype, seed)
    steps = found.frame.assign(
        network=recipe.network.name,
        batch=recipe.network.batch_size,
        optimizer=recipe.optimizer,
        dtype=dtype,
        seed=seed,
    )
    return Rows({"drift": steps.tail(1).assign(verdict=_verdict(found)), "drift_steps": steps})


def _verdict(found: Training) -> str:
    if found.parts_at is not None:
        return f"part at step {found.parts_at}"
    if found.departs_at is not None:
        return f"float32 departs at step {found.departs_at}"
    return INCONCLUSIVE if found.inconclusive else "agree"


def train(recipe: Recipe, dtype: str, seed: int) -> Training:
    """Both sides of one recipe."""
    network, name, options, steps = recipe
    model, twin = network.build(dtype, seed)
    return compare_training(
        model,
        twin,
        islice(_batches(network, dtype), steps),
        loss_fn=nn.CrossEntropyLoss(),
        twin_loss_fn=torch.nn.CrossEntropyLoss(),
        optimizer=lambda params: getattr(optim, name)(params, **options),
        twin_optimizer=lambda params: getattr(torch.optim, name)(params, **options),
    )


def _batches(network: Network, dtype: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Epoch after epoch, without end."""
    loader = DataLoader(network.splits[dtype].train, network.batch_size, shuffle=True)
    while True:
        yield from loader


# For people


def last_steps(t: pd.DataFrame) -> pd.DataFrame:
    """A row for each training, after its last step."""
    return pd.DataFrame(
        {
            "network": t["network"],
            "optimizer": t["optimizer"],
            "batch": t["batch"].map(str),
            "steps": t["step"].map(str),
            "loss, NumPy": t["numpy_loss"].map("{:.6f}".format),
            "loss, PyTorch": t["torch_loss"].map("{:.6f}".format),
            "NumPy − PyTorch": t["drift"].map(text.short),
            "NumPy − NumPy in float64": t["numpy_rounding"].map(text.short),
            "PyTorch − PyTorch in float64": t["torch_rounding"].map(text.short),
            "both in float64": t["programs"].map(text.short),
            "rounding explains": t["allowed"].map(text.short),
            "verdict": t["verdict"],
        }
    )


_CURVES: dict[str, tuple[str, dict[str, Any]]] = {
    "drift": ("NumPy − PyTorch", {"color": INK, "linewidth": 2.2}),
    "numpy_rounding": ("NumPy − NumPy in float64", {"color": NUMPY}),
    "torch_rounding": ("PyTorch − PyTorch in float64", {"color": TORCH, "linestyle": DASHED}),
    "programs": ("both in float64", {"color": INK, "linewidth": 1}),
    "allowed": ("what rounding explains there", {"color": INK, "linewidth": 1, "linestyle": ":"}),
}


def curves(steps: pd.DataFrame) -> Iterator[Drawing]:
    """Losses, and how far the weights are apart; a panel for each training, all on the same scale."""
    steps = steps[steps["step"] > 0]
    low, high = decades(steps[[*_CURVES]])
    trainings = steps.groupby(["network", "batch", "optimizer"], sort=False)
    for (network, batch, optimizer), rows in trainings:
        figure = blank(4.3)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 2))
        above.plot(rows["step"], rows["numpy_loss"], color=NUMPY)
        above.plot(rows["step"], rows["torch_loss"], color=TORCH, linestyle=DASHED)
        above.set_ylim(0, None)
        above.set_ylabel("loss")
        above.set_title(f"{network}, batch {batch}, {optimizer}")
        for column, (label, style) in _CURVES.items():
            below.plot(rows["step"], rows[column].replace(0, np.nan), label=label, **style)
        below.set_yscale("log")
        below.set_ylim(low, high)
        below.set_xlabel("step")
        below.set_ylabel("largest difference\n/ largest weight")
        figure.legend(loc="outside lower center", ncols=2)
        title = f"How far the weights of {network}, batch {batch}, by {optimizer} are apart, step by step"
        yield Drawing(f"drift-{slug(f'{network} {batch} {optimizer}')}", title, figure)
