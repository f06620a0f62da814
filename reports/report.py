"""``gradmirror report``: run the sections one after the other, and write what each found at once."""

import argparse
import shlex
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter

from reports import accuracy, checker, cuda, drift, environment, gradients, networks, page, timing, zoo
from reports.data import load
from reports.lesson import page as lesson
from reports.results import Results, Section
from scratch.datasets import Splits


def run(options: argparse.Namespace) -> int:
    """Make the report that the command line asks for; 0 if the sides agree, 1 if not.

    Raises:
        UnusableError: the data are not there, or damaged; or there is no GPU, and one is asked for.
        OSError: a file cannot be written.
        KeyboardInterrupt: Ctrl-C; the sections finished until then are on disk.
    """
    cuda.require(options.device)
    digits = {dtype: load(options.dataset, dtype, options) for dtype in gradients.DTYPES}
    xor = {dtype: load("xor", dtype, options) for dtype in gradients.DTYPES}
    with environment.limit_threads(options.threads):
        sizes = _QUICK if options.quick else _FULL
        given = {key: value for key in ("seeds", "epochs") if (value := getattr(options, key)) is not None}
        told = (
            sizes
            | given
            | {
                key: getattr(options, key)
                for key in ("quick", "dataset", "seed", "dtype", "models", "device")
            }
        )
        results = Results(Path(options.out), environment.describe(_command(options), options.threads), told)
        page.remove(results)
        results.write()
        try:
            for name, section in _sections(told, digits, xor).items():
                _finish(results, name, section)
            start = perf_counter()
            page.write(results)
            lesson.write(results.out / "lesson.html")
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"finished: {', '.join(results.sections) or 'nothing'}") from None
        _say(f"page: {perf_counter() - start:.1f} s")
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
    "drift_steps": 200,
    "model_steps": 50,
    "faults": None,
    "rounds": 20,
    "block": 0.05,
}
_QUICK = {
    "seeds": 2,
    "epochs": 2,
    "xor_epochs": 100,
    "samples": 4,
    "cost_rounds": 1,
    "cost_hidden": 2,
    "drift_steps": 20,
    "model_steps": 3,
    "faults": 3,
    "rounds": 6,
    "block": 0.005,
}


def _sections(
    told: dict, digits: dict[str, Splits], xor: dict[str, Splits]
) -> dict[str, Callable[[], Section]]:
    book, small = networks.two_layer(digits), networks.xor(xor)
    cost = networks.two_layer(digits, told["cost_hidden"])
    wide = networks.two_layer(digits, 1024, batch_size=512)
    seed, dtype = told["seed"], told["dtype"]
    sections: dict[str, Callable[[], Section]] = {
        "gradients": partial(
            gradients.run, [book, small], cost, samples=told["samples"], rounds=told["cost_rounds"], seed=seed
        ),
        "accuracy": partial(
            accuracy.run,
            [(book, told["epochs"], 1), (small, told["xor_epochs"], max(1, told["xor_epochs"] // 20))],
            dtype=dtype,
            seeds=range(seed, seed + told["seeds"]),
        ),
        "drift": partial(
            drift.run,
            [
                drift.Plan(book, "SGD", {"lr": 0.1}, told["drift_steps"]),
                drift.Plan(book, "Adam", {}, told["drift_steps"]),
                *(zoo.plan(zoo.smaller(name), told["model_steps"]) for name in told["models"]),
            ],
            dtype=dtype,
            seed=seed,
        ),
        "checker": partial(checker.run, cost, most=told["faults"], seed=seed),
        "timing": partial(
            timing.run,
            [book, small, wide],
            dtype=dtype,
            rounds=told["rounds"],
            block=told["block"],
            seed=seed,
        ),
    }
    if told["device"] != "cpu":
        larger = [zoo.network(name) for name in ("simple_conv_net", "GPT")]
        sections["cuda"] = partial(
            cuda.run,
            [book] if told["quick"] else [book, wide, *larger],
            device=cuda.require(told["device"]),
            block=told["block"],
            seed=seed,
        )
    return sections


def _finish(results: Results, name: str, run_section: Callable[[], Section]) -> None:
    start = perf_counter()
    section = run_section()
    section.seconds = perf_counter() - start
    results.add(name, section)
    _say(f"{name}: {section.seconds:.1f} s")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _command(options: argparse.Namespace) -> list[str]:
    return ["gradmirror", "report", *map(shlex.quote, options.words)]
