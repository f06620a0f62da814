"""The options of ``gradmirror report``, each declared once.

The parser, the defaults of a full and of a quick report, the options in results.json, their JSON schema
and the conditions under which a report can be resumed all walk ``OPTIONS``. The texts on the method name
them.
"""

import argparse
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from reports.arguments import COLUMNS, DTYPES, MODELS, natural, positive, seed

_SAME = object()


@dataclass(frozen=True)
class Kind:
    """A kind of values: how they are parsed, and how JSON Schema describes them."""

    parse: dict[str, Any]
    schema: dict[str, Any]


_INTEGER = {"type": "integer", "minimum": 0}
_POSITIVE = {"type": "integer", "minimum": 1}

FLAG = Kind({"action": "store_true"}, {"type": "boolean"})
SEED = Kind({"type": seed, "metavar": "N"}, _INTEGER)
NATURAL = Kind({"type": natural, "metavar": "N"}, _INTEGER)
POSITIVE = Kind({"type": positive, "metavar": "N"}, _POSITIVE)
POSITIVES = Kind({"type": positive, "nargs": "+", "metavar": "N"}, {"type": "array", "items": _POSITIVE})
SECONDS = Kind({}, {"type": "number", "minimum": 0})
NUMBER_OR_ALL = Kind({}, {"type": ["integer", "null"], "minimum": 0})


def text(metavar: str) -> Kind:
    """Any text."""
    return Kind({"metavar": metavar}, {"type": "string"})


def one_of(*names: str) -> Kind:
    """One of these names."""
    return Kind({"choices": names}, {"enum": [*names]})


def some_of(*names: str) -> Kind:
    """One or more of these names."""
    return Kind(
        {"nargs": "+", "choices": names, "metavar": "NAME"},
        {"type": "array", "items": {"type": "string"}},
    )


@dataclass(frozen=True)
class Option:
    """An option, or a size of the report that only --quick changes.

    Args:
        name: as in results.json; ``--batch-sizes`` on the command line is ``batch_sizes`` here.
        kind: of its values.
        default: its value in a full report.
        help: for --help, without the default; "" if it cannot be given on the command line.
        about: a sentence on what it means in results.json; "" if it is not there, since it changes no row.
        quick: its value with --quick, if that is another one.
        unset: how --help tells a default that is worked out later.
    """

    name: str
    kind: Kind
    default: Any
    help: str = ""
    about: str = ""
    quick: Any = _SAME
    unset: str = ""

    @property
    def flag(self) -> str:
        """The option as it is typed."""
        return f"--{self.name.replace('_', '-')}"

    def value(self, quick: bool) -> Any:
        """The default in a full or in a quick report."""
        return self.default if self.quick is _SAME or not quick else self.quick

    @property
    def described(self) -> str:
        """The text of --help, with the default."""
        full = self.unset or _words(self.default)
        if self.quick is not _SAME:
            full += f"; quick: {_words(self.quick)}"
        return f"{self.help} ({full})" if full else self.help


def _words(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "" if value is None or value is False else str(value)


OPTIONS = (
    # The networks, data and settings compared.
    Option(
        "quick",
        FLAG,
        False,
        "a small report in seconds; its times mean little",
        "Whether it is a small report, whose times mean little.",
    ),
    Option("out", text("FOLDER"), "reports/out", "for the files"),
    Option("resume", FLAG, False, "go on with the report in that folder, with the options it was begun with"),
    Option(
        "datasets",
        some_of("mnist5k", "digits", "mnist"),
        ["mnist5k"],
        "mnist5k, digits, mnist: the images to learn",
        "The images that the networks learn.",
    ),
    Option("data_root", text("FOLDER"), "data", "of mnist"),
    Option("download", FLAG, False, "fetch mnist if it is not there, 11.6 MB"),
    Option(
        "models",
        some_of("two_layer_net", *MODELS),
        [],
        f"networks to train and time instead of the book's: two_layer_net, {', '.join(MODELS)}",
        "The networks that were asked for, to be trained and timed; none means the book's, and the larger "
        "ones "
        "for some steps.",
    ),
    Option(
        "batch_sizes",
        POSITIVES,
        [],
        "for each of them",
        "The batch sizes that were asked for; none means each network's own.",
        unset="as usual for each: 100 digits, 32 or 16 texts",
    ),
    Option(
        "columns",
        some_of(*COLUMNS),
        [],
        f"frameworks to time beside NumPy and the fastest setting of PyTorch: {', '.join(COLUMNS)}",
        "The frameworks timed beside NumPy and the fastest setting of PyTorch.",
    ),
    Option("seed", SEED, 0, "the first seed", "Both frameworks were seeded with this number."),
    Option(
        "dtype",
        one_of(*DTYPES),
        "float32",
        "of training and timing; gradients are compared in both",
        "The precision of training and timing; gradients are compared in both.",
    ),
    Option("threads", POSITIVE, 1, "for both sides alike", "How many threads, for both sides alike."),
    Option(
        "device",
        one_of("cpu", "cuda"),
        "cpu",
        "cuda: one more section, PyTorch on a GPU, error and time in each of its precisions",
        "Where PyTorch computes beside the CPU; cpu means nowhere.",
    ),
    # How much of it.
    Option(
        "seeds",
        POSITIVE,
        5,
        "how many trainings",
        "How many trainings there are of each network, from consecutive seeds.",
        quick=2,
    ),
    Option("epochs", POSITIVE, 10, "of each training", "Epochs of each training on pictures.", quick=2),
    Option("xor_epochs", NATURAL, 500, about="Epochs of each training on XOR.", quick=100),
    Option("samples", NATURAL, 10, about="Samples in the batch that gradients are compared on.", quick=4),
    Option("cost_rounds", NATURAL, 1, about="How often each method of differentiation takes its turn."),
    Option(
        "cost_hidden",
        NATURAL,
        50,
        about="Units in the hidden layer of the network that the cost is measured on.",
        quick=2,
    ),
    Option(
        "growth_hidden",
        POSITIVES,
        [1, 2, 5, 10, 20],
        about="Units in the hidden layers of the networks whose cost shows how it grows.",
        quick=[1],
    ),
    Option("drift_steps", NATURAL, 200, about="Steps of each training in the section drift.", quick=20),
    Option("model_steps", NATURAL, 30, about="Steps of each training of a larger network.", quick=3),
    Option(
        "faults", NUMBER_OR_ALL, None, about="How many of the mistakes were tried; null means all.", quick=3
    ),
    Option(
        "rounds",
        POSITIVE,
        20,
        "of timing, in each process",
        "Rounds of timing, in each process.",
        quick=6,
    ),
    Option(
        "block",
        SECONDS,
        0.05,
        about="How long a block of timed steps takes, about, in seconds.",
        quick=0.005,
    ),
    Option(
        "processes",
        NATURAL,
        3,
        "fresh ones that time everything anew; 0 for none but the report's own",
        "How many fresh processes timed each configuration; 0 means none but the report's own.",
        quick=0,
    ),
    Option(
        "swept_batches",
        POSITIVES,
        [1, 10, 100, 1000],
        about="The batch sizes of one curve of times.",
        quick=[10, 100],
    ),
    Option(
        "swept_widths", POSITIVES, [10, 50, 200, 1000], about="The widths of the other curve.", quick=[10, 50]
    ),
    # Where it is done.
    Option(
        "jobs",
        POSITIVE,
        None,
        "processes for all but the timing",
        quick=1,
        unset="as many as cores",
    ),
    Option("backend", one_of("loky", "dask"), "loky", "joblib's, for all but the timing"),
    Option(
        "scheduler",
        text("ADDRESS"),
        None,
        "of a dask cluster: tcp://host:8786; without it one starts here",
    ),
)


def add_arguments(parser: argparse.ArgumentParser, names: Collection[str] = (), **defaults: Any) -> None:
    """Each option that can be given; one that is not given is absent from the namespace.

    Args:
        parser: gets them.
        names: of some of them; none means all.
        defaults: others than the declared ones, for --help.
    """
    for option in OPTIONS:
        if option.help and (not names or option.name in names):
            shown = replace(option, default=defaults.get(option.name, option.default))
            parser.add_argument(
                option.flag,
                default=argparse.SUPPRESS,
                help=shown.described.replace("%", "%%"),
                **option.kind.parse,
            )


def chosen(given: Mapping[str, Any]) -> dict[str, Any]:
    """All options by name: those that were given, and the defaults of the others."""
    usual = defaults(bool(given.get("quick")))
    return {name: given.get(name, value) for name, value in usual.items()}


def defaults(quick: bool) -> dict[str, Any]:
    """The defaults of a full or of a quick report."""
    return {option.name: option.value(quick) for option in OPTIONS}


def recorded(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that decide what the rows are, for results.json."""
    return {option.name: options[option.name] for option in OPTIONS if option.about}


def conditions(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options, as they are typed, that must be the same for rows to stand in one report."""
    return {option.flag: options[option.name] for option in OPTIONS if option.about and option.help}


def schema() -> dict[str, Any]:
    """The JSON schema of the options in results.json."""
    known = {
        option.name: option.kind.schema | {"description": option.about} for option in OPTIONS if option.about
    }
    return {
        "description": "What was asked for.",
        "type": "object",
        "additionalProperties": False,
        "required": [*known],
        "properties": known,
    }
