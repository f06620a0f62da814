"""``gradmirror report``: plan the sections as tasks, do those that are left, keep each one's rows."""

import argparse
import shlex
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Any

from reports.commands import models
from reports.errors import UnusableError
from reports.lesson import page as lesson
from reports.page import page
from reports.runner import environment, networks
from reports.runner.campaign import Chapter
from reports.runner.campaign import run as run_campaign
from reports.runner.data import Data
from reports.runner.journal import Journal, alone_in
from reports.runner.networks import Network
from reports.runner.progress import say
from reports.runner.results import Results
from reports.runner.tasks import Workers
from reports.sections import accuracy, cuda, detection, drift, gradients, timing


def run(options: argparse.Namespace) -> int:
    """Make the report that the command line asks for; 0 if the sides agree, 1 if not.

    Raises:
        UnusableError: the data are not there, or damaged; there is no GPU, and one is asked for; there is
            nothing to resume, or not this report; another report writes into the folder.
        OSError: a file cannot be written.
        KeyboardInterrupt: Ctrl-C; the rows finished until then are on disk.
    """
    cuda.require(options.device)
    with environment.limit_threads(options.threads):
        told = _sizes(options)
        chapters = _chapters(told, [_data(name, options) for name in told["datasets"]])
        if options.jobs and options.scheduler:
            raise UnusableError(f"--jobs {options.jobs}: the cluster of --scheduler has workers of its own")
        jobs = options.jobs or (1 if options.quick else environment.cores() // options.threads or 1)
        workers = Workers(jobs, options.threads, options.backend, options.scheduler)
        results = Results(Path(options.out), environment.describe(_command(options), options.threads), told)
        with alone_in(results.out), workers.ready():
            start = Journal.resume if options.resume else Journal.begin
            journal = start(results.out / "rows.jsonl", _conditions(results))
            page.remove(results)
            results.write()
            try:
                for name, section in run_campaign(chapters, journal, workers):
                    results.add(name, section)
                    say(f"{name}: {section.seconds:.1f} s")
                begin = perf_counter()
                results.sort([chapter.name for chapter in chapters])
                page.write(results)
                lesson.write(results.out / "lesson.html")
                journal.end()
            except (KeyboardInterrupt, ChildProcessError) as stop:
                tasks = sum(len(chapter.tasks) for chapter in chapters)
                kept = f"{len(journal.rows)} of {tasks} rows are kept; --resume goes on"
                raise type(stop)(f"{stop}; {kept}" if str(stop) else kept) from None
        say(f"page: {perf_counter() - begin:.1f} s")
    print(page.summary(results))
    return 0 if results.agrees else 1


# What is not on the command line, for a full report and for a quick one.
_FULL = {
    "seeds": 5,
    "epochs": 10,
    "xor_epochs": 500,
    "samples": 10,
    "cost_rounds": 1,
    "cost_hidden": 50,
    "growth_hidden": [1, 2, 5, 10, 20],
    "drift_steps": 200,
    "model_steps": 30,
    "faults": None,
    "rounds": 20,
    "block": 0.05,
    "processes": 3,
    "swept_batches": [1, 10, 100, 1000],
    "swept_widths": [10, 50, 200, 1000],
}
_QUICK = {
    "seeds": 2,
    "epochs": 2,
    "xor_epochs": 100,
    "samples": 4,
    "cost_rounds": 1,
    "cost_hidden": 2,
    "growth_hidden": [1],
    "drift_steps": 20,
    "model_steps": 3,
    "faults": 3,
    "rounds": 6,
    "block": 0.005,
    "processes": 0,
    "swept_batches": [10, 100],
    "swept_widths": [10, 50],
}
_GIVEN = ("seeds", "epochs", "rounds", "processes")
_TOLD = ("quick", "datasets", "models", "batch_sizes", "columns", "seed", "dtype", "threads", "device")


def _sizes(options: argparse.Namespace) -> dict[str, Any]:
    """All that decides what the rows are."""
    sizes: dict[str, Any] = dict(_QUICK if options.quick else _FULL)
    sizes |= {key: value for key in _GIVEN if (value := getattr(options, key)) is not None}
    return sizes | {key: getattr(options, key) for key in _TOLD}


def _conditions(results: Results) -> dict[str, Any]:
    """What has to be the same for rows to stand in one report, the command line's first."""
    options = {f"--{key.replace('_', '-')}": results.options[key] for key in (*_TOLD, *_GIVEN)}
    machine = {key: results.environment[key] for key in ("cpu", "cores", "python", "packages", "commit")}
    return options | machine


def _data(name: str, options: argparse.Namespace) -> Data:
    data = Data(name, root=options.data_root, download=options.download)
    for dtype in data:
        data[dtype]  # read now, so that what is wrong is said before anything else is done
    return data


def _chapters(told: dict[str, Any], datasets: list[Data]) -> list[Chapter]:
    """The sections of the report, each on the networks that belong there.

    Gradients, their cost and the check itself are those of the book's network and of XOR. Each network that
    was asked for is trained and timed, on each dataset and with each batch size. If none was, these two are,
    and some larger ones are trained for a few steps.
    """
    book, small = networks.two_layer(datasets[0]), networks.by_name("xor_net")
    wide = networks.two_layer(datasets[0], 1024, batch_size=512)
    cost = networks.two_layer(datasets[0], told["cost_hidden"])
    asked = list(_asked(told, datasets))
    seed, dtype, steps = told["seed"], told["dtype"], told["model_steps"]
    long = (small, told["xor_epochs"], max(1, told["xor_epochs"] // 20))
    plans = [drift.Plan(book, "SGD", {"lr": 0.1}, told["drift_steps"])]
    plans += [drift.Plan(book, "Adam", {}, told["drift_steps"])]
    books = book.name, book.batch_size
    others = [each for each in asked if (each.name, each.batch_size) != books]
    larger = others if asked else [models.smaller(name, datasets[0]) for name in _SHOWN]
    plans += [models.plan(each, steps) for each in larger]
    chapters = [
        gradients.chapter(
            [book, small],
            cost,
            samples=told["samples"],
            rounds=told["cost_rounds"],
            seed=seed,
            growing=[networks.two_layer(datasets[0], size) for size in told["growth_hidden"]],
        ),
        accuracy.chapter(
            [*((each, told["epochs"], 1) for each in asked or [book]), long],
            dtype=dtype,
            seeds=range(seed, seed + told["seeds"]),
        ),
        drift.chapter(plans, dtype=dtype, seed=seed),
        detection.chapter(cost, most=told["faults"], seed=seed),
        timing.chapter(
            asked or [book, small, wide],
            dtype=dtype,
            rounds=told["rounds"],
            block=told["block"],
            seed=seed,
            processes=told["processes"],
            columns=told["columns"],
            swept=[
                *(("batch", networks.two_layer(datasets[0], batch_size=n)) for n in told["swept_batches"]),
                *(("width", networks.two_layer(datasets[0], n)) for n in told["swept_widths"]),
            ],
        ),
    ]
    if told["device"] != "cpu":
        more = [] if told["quick"] else [wide, *(networks.by_name(name, datasets[0]) for name in _ON_GPU)]
        chapters.append(
            cuda.chapter(asked or [book, *more], device=told["device"], block=told["block"], seed=seed)
        )
    return chapters


# The larger networks of a report that names none.
_SHOWN = ("deep_conv_net", "GPT")
_ON_GPU = ("simple_conv_net", "GPT")


def _asked(told: dict[str, Any], datasets: list[Data]) -> Iterator[Network]:
    """Each network that was asked for, on each dataset that it can learn, with each batch size."""
    seen = set()
    models = told["models"] or (["two_layer_net"] if told["batch_sizes"] or len(datasets) > 1 else [])
    for model, data, size in product(models, datasets, told["batch_sizes"] or [None]):
        network = networks.by_name(model, data)
        name = (
            f"{network.name} on {data.name}"
            if len(datasets) > 1 and not networks.has_own_data(model)
            else network.name
        )
        network = replace(network, name=name, batch_size=size or network.batch_size)
        most = len(network.splits["float64"].train)
        if network.batch_size > most:
            raise UnusableError(
                f"--batch-sizes: {network.batch_size} is more than the {most} samples of {network.name}"
            )
        if model == "mlp_batchnorm" and 1 in (network.batch_size, most % network.batch_size):
            raise UnusableError(
                f"--batch-sizes: {network.batch_size} makes a batch of 1 of the {most} samples of "
                f"{network.name}, whose batch norm wants 2 or more"
            )
        if (key := (network.name, network.batch_size)) not in seen:
            seen.add(key)
            yield network


def _command(options: argparse.Namespace) -> list[str]:
    return ["gradmirror", "report", *(shlex.quote(word) for word in options.words if word != "--resume")]
