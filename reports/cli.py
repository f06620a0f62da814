"""The command line, ``gradmirror``: its commands, their arguments and their help."""

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

from reports.errors import DisagreementError, UnusableError

_DESCRIPTION = """\
One network, written twice: in NumPy, with every derivative worked out by hand, and in PyTorch.

  gradmirror report   compares the two: gradients, accuracy, time
  gradmirror check    compares a layer of your own with PyTorch's
  gradmirror lesson   writes a page that goes through backpropagation step by step
  gradmirror train    trains a network with the NumPy side alone
  gradmirror faults   puts the check to the test: which mistakes does it find, and which do others?
  gradmirror alarms   and the other way round: how often does it refuse what is right?
  gradmirror models   trains, times and measures larger networks: convolutions, an LSTM, a small GPT
  gradmirror coverage lists what of torch.nn and torch.optim is here

Each explains itself: gradmirror report --help
"""

_EXIT_CODES = """\
exit codes:
  0    {zero}
  1    {one}
  2    it cannot be used so: wrong arguments, no data, a folder that cannot be written; stderr says what
  130  stopped with Ctrl-C
"""

_REPORT = """\
Train both sides from the same seeds, compare their gradients and their speed, and write
report.html, report.md, results.json, results.csv and figures/*.svg.

With --models, --datasets or --batch-sizes it is a campaign: each network is trained and timed on each dataset
that it can learn with each batch size. Each finished row is on disk at once, in rows.jsonl; whatever ends a
report, --resume goes on with it.

With --compare it trains nothing, and says what changed between two such reports and whether it is more than
noise. It then ends with 1 if something got worse: a verdict lost, accuracy lower or a time slower.
"""

_REPORT_EXAMPLES = """\
examples:
  gradmirror report                              the full report, in a minute or two
  gradmirror report --quick                      a small one, to see that all is well
  gradmirror report --threads 2 --dtype float64  other conditions for training and timing
  gradmirror report --models two_layer_net GPT --datasets mnist5k digits --batch-sizes 10 100
  gradmirror report --columns torch-compile jax autograd
  gradmirror report --quick --device cuda        with PyTorch on a GPU beside NumPy
  gradmirror report --datasets mnist --data-root ~/mnist --download
  gradmirror report --backend dask --scheduler tcp://host:8786
  gradmirror report --compare old/results.json new/results.json

"""

_CHECK = """\
Compare a forward and backward that you wrote with PyTorch's, and both with a numeric derivative that is
neither: which side is wrong, in which tensor and entry, and why. Each table says what it would have seen.

Your layer is an object with forward(x) and backward(dy), its parameters as W beside dW, in lists params and
grads, or as objects with data and grad; or it is a pair of functions, forward(x) and backward(dy, x). Its
weights are set to those of PyTorch's, by name or in order.
"""

_CHECK_EXAMPLES = """\
examples:
  gradmirror check mylayers.py:MyLayerNorm --against torch.nn.LayerNorm --args 16 --input 4x16
  gradmirror check mylayers.py:Affine --against torch.nn.Linear --args 5 3 --input 4x5 --transposed W
  gradmirror check mylayers.py:gelu,gelu_backward --against torch.nn.functional.gelu --input 4x16
  gradmirror check mylayers.py:MyLoss --against torch.nn.CrossEntropyLoss --input 8x10 --input 8:10
  gradmirror check mylayers.py:MyBCE --against torch.nn.BCELoss --input 8x5:unit --input 8x5:unit

"""

_TRAIN = """\
Train a network with the NumPy side: 784-50-10 on digits, 2-4-2 on XOR. A line says how each epoch went.

With --checkpoint, each epoch ends with all that is needed to go on: stopped at any moment and resumed, a
training ends with the same weights, bit for bit, as one that was never stopped. Resume with the options
that it was started with; --epochs counts all epochs, those before included.
"""

_TRAIN_EXAMPLES = """\
examples:
  gradmirror train
  gradmirror train --dataset xor --lr 3 --batch-size 4 --epochs 500
  gradmirror train --optimizer Adam --epochs 10 --checkpoint run.safetensors --history run.csv
  gradmirror train --optimizer Adam --epochs 20 --checkpoint run.safetensors --resume

"""

_FAULTS = """\
Make every mistake of the zoo in every layer and loss that can make it, and ask each detector whether it sees
it: gradmirror's check, torch.autograd.gradcheck (default and fast), torch.testing.assert_close, the cosine of
both gradients, the mean of their difference. The last row is right code, which none should refuse.
"""

_FAULTS_EXAMPLES = """\
examples:
  gradmirror faults --quick         the first layer of each kind, inputs of scale 1
  gradmirror faults                 every entry of the catalog, at scales 1, 1e-3 and 1e3
  gradmirror faults --only bias     the mistakes with "bias" in their name

"""

_ALARMS = """\
Compare every layer and loss of the catalog with PyTorch's from many seeds: other weights, numbers and batch
sizes, inputs scaled by 1e-3 to 1e3, in float64, in float32 and on the kinks. All is right, so each
refusal is a false alarm, and a row of the file.
"""

_ALARMS_EXAMPLES = """\
examples:
  gradmirror alarms --draws 10
  gradmirror alarms --draws 200 --jobs 8
  gradmirror alarms --only Conv2d   the entries with "Conv2d" in their name

"""


_MODELS = """\
Train, time and measure every network of scratch/models.py beside its PyTorch twin, on real data: digits, and
the text of Python's own help. Each row tells how far apart the two trainings are, how the time of a step
compares, and how much memory it takes; it is in the file as soon as it is there.
"""

_MODELS_EXAMPLES = """\
examples:
  gradmirror models                    all five, 300 steps each (minutes)
  gradmirror models --only GPT --steps 50

"""

_LESSON = """\
Write one page that goes through the forward and backward pass of small networks, step by step: every number
from NumPy and from PyTorch, and beside them the numeric derivative. In English and Chinese.
"""

_LESSON_EXAMPLES = """\
examples:
  gradmirror lesson
  gradmirror lesson --out lesson.html

in the page:
  ← and → step, space plays, Home and End; lesson.html#scene=mazur&step=6 opens there

"""

_COVERAGE = """\
List what of torch.nn and torch.optim is here, and what is not: the table of the README.
"""

# The larger networks of reports/runner/networks.py, which --help need not import.
MODELS = ("mlp_batchnorm", "simple_conv_net", "deep_conv_net", "CharLSTM", "GPT")
# Those of reports/runner/frameworks.py.
COLUMNS = ("torch-default", "torch-foreach", "torch-fused", "torch-compile", "jax", "autograd")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; None takes the words of the process."""
    words = list(sys.argv[1:] if argv is None else argv)
    options = _parser().parse_args(words)
    options.words = words[1:]
    try:
        return options.run(options)
    except UnusableError as error:
        return _end(words, f"error: {error}", 2)
    except DisagreementError as error:
        return _end(words, f"the two sides disagree: {error}", 1)
    except OSError as error:
        # A file is written beside its place and renamed: the second name is the one that the user gave.
        name = error.filename2 or error.filename
        about = f"{name}: {error.strerror}" if name else str(error)
        return _end(words, f"error: {about}", 2)
    except KeyboardInterrupt as stop:
        return _end(words, f"stopped; {stop}" if str(stop) else "stopped", 130)


def _end(words: list[str], message: str, code: int) -> int:
    print(f"gradmirror {words[0]}: {message}", file=sys.stderr)
    return code


# The modules of a command are imported when it runs: torch takes seconds, and --help has no use for it.
def _report(options: argparse.Namespace) -> int:
    if options.compare:
        from reports.commands import compare

        return compare.run(options)
    from reports.commands import report

    return report.run(options)


def _check(options: argparse.Namespace) -> int:
    from reports.commands import check

    return check.run(options)


def _faults(options: argparse.Namespace) -> int:
    from reports.commands import faults

    return faults.run(options)


def _alarms(options: argparse.Namespace) -> int:
    from reports.commands import alarms

    return alarms.run(options)


def _models(options: argparse.Namespace) -> int:
    from reports.commands import models

    return models.run(options)


def _lesson(options: argparse.Namespace) -> int:
    from pathlib import Path

    from reports.lesson import page

    size = page.write(Path(options.out))
    print(f"{options.out}: {size / 1000:.0f} KB. Open it in a browser; it needs no network.")
    return 0


def _coverage(options: argparse.Namespace) -> int:
    from reports.commands import coverage

    return coverage.run(options)


def _train(options: argparse.Namespace) -> int:
    from reports.commands import train

    return train.run(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "gradmirror", description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(metavar="command", required=True)

    codes = _EXIT_CODES.format(
        zero="the two sides agree", one="the two sides disagree; the report says where"
    )
    report = _command(commands, "report", _REPORT, _REPORT_EXAMPLES + codes, _report)
    report.add_argument(
        "--quick", action="store_true", help="a small report in seconds; its times mean little"
    )
    report.add_argument("--out", default="reports/out", metavar="FOLDER", help="for the files (%(default)s)")
    report.add_argument(
        "--resume",
        action="store_true",
        help="go on with the report in that folder, with the options it was begun with",
    )
    report.add_argument(
        "--datasets",
        nargs="+",
        choices=["mnist5k", "digits", "mnist"],
        default=["mnist5k"],
        metavar="NAME",
        help="mnist5k, digits, mnist: the images to learn (mnist5k)",
    )
    _add_place(report)
    report.add_argument("--seed", type=natural, default=0, help="the first seed (%(default)s)")
    report.add_argument("--seeds", type=positive, metavar="N", help="how many trainings (5; quick: 2)")
    report.add_argument("--epochs", type=positive, metavar="N", help="of each training (10; quick: 2)")
    report.add_argument(
        "--threads", type=positive, default=1, metavar="N", help="for both sides alike (%(default)s)"
    )
    report.add_argument(
        "--models",
        nargs="+",
        choices=("two_layer_net", *MODELS),
        default=[],
        metavar="NAME",
        help=f"networks to train and time instead of the book's: two_layer_net, {', '.join(MODELS)}",
    )
    report.add_argument(
        "--batch-sizes",
        nargs="+",
        type=positive,
        default=[],
        metavar="N",
        help="for each of them (as usual for each: 100 digits, 32 or 16 texts)",
    )
    report.add_argument(
        "--rounds", type=positive, metavar="N", help="of timing, in each process (20; quick: 6)"
    )
    report.add_argument(
        "--processes",
        type=positive,
        metavar="N",
        help="fresh ones that time everything anew (3; quick: none)",
    )
    report.add_argument(
        "--columns",
        nargs="+",
        choices=COLUMNS,
        default=[],
        metavar="NAME",
        help=f"who is timed beside NumPy and the fastest setting of PyTorch: {', '.join(COLUMNS)}",
    )
    report.add_argument(
        "--jobs",
        type=positive,
        metavar="N",
        help="processes for all but the timing (as many as cores; quick: 1)",
    )
    report.add_argument(
        "--backend",
        choices=["loky", "dask"],
        default="loky",
        help="joblib's, for all but the timing (%(default)s)",
    )
    report.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="of a dask cluster: tcp://host:8786; without it one starts here",
    )
    _add_dtype(report, "of training and timing; gradients are compared in both")
    report.add_argument(
        "--device",
        choices=["cpu", "cuda"],
        default="cpu",
        help="cuda: a part more, PyTorch on a GPU, error and time in each of its precisions (%(default)s)",
    )
    report.add_argument(
        "--compare",
        nargs=2,
        metavar=("OLD.json", "NEW.json"),
        help="say what changed between two results.json; goes without other options",
    )

    check = _command(commands, "check", _CHECK, _CHECK_EXAMPLES + codes, _check)
    check.add_argument("mine", metavar="FILE.py:NAME", help="yours: a class, an object, or FORWARD,BACKWARD")
    check.add_argument(
        "--against", required=True, metavar="NAME", help="PyTorch's: torch.nn.LayerNorm, or FILE.py:NAME"
    )
    check.add_argument(
        "--args", nargs="+", default=[], metavar="ARG", help="for both constructors: 16 eps=1e-3"
    )
    check.add_argument(
        "--input",
        action="append",
        required=True,
        metavar="SHAPE",
        help="4x16 for normal numbers, 4x16:positive for some above 0, 4x16:unit for some between 0 and 1, "
        "4:10 for 4 whole ones below 10; once for each input",
    )
    check.add_argument(
        "--transposed", nargs="+", metavar="W", help="parameters that you store the other way round"
    )
    check.add_argument("--scale", type=_rate, default=1.0, help="of the inputs (%(default)s)")
    check.add_argument("--seed", type=natural, default=0, help="of inputs and weights (%(default)s)")
    check.add_argument("--seeds", type=positive, default=1, metavar="N", help="how many (%(default)s)")
    check.add_argument(
        "--dtype",
        action="append",
        choices=["float32", "float64"],
        help="to compare in this precision alone (in both)",
    )
    check.add_argument(
        "--json", metavar="FILE", help="everything that was found, for programs; - prints it and nothing else"
    )

    codes = _EXIT_CODES.format(zero="trained", one="the loss became nan or inf")
    train = _command(commands, "train", _TRAIN, _TRAIN_EXAMPLES + codes, _train)
    train.add_argument(
        "--dataset", choices=["mnist5k", "digits", "xor", "mnist"], default="mnist5k", help="(%(default)s)"
    )
    _add_place(train)
    train.add_argument("--epochs", type=positive, default=10, metavar="N", help="in all (%(default)s)")
    train.add_argument("--batch-size", type=positive, default=100, metavar="N", help="(%(default)s)")
    train.add_argument(
        "--optimizer",
        choices=["SGD", "Adagrad", "RMSprop", "Adam", "AdamW"],
        default="SGD",
        help="(%(default)s)",
    )
    train.add_argument(
        "--lr", type=_rate, help="learning rate (0.1 for SGD, else the optimizer's own default)"
    )
    train.add_argument("--hidden", type=positive, metavar="N", help="size of the hidden layer (50; xor: 4)")
    train.add_argument("--seed", type=natural, default=0, help="of weights and shuffles (%(default)s)")
    _add_dtype(train, "of weights and data")
    train.add_argument("--checkpoint", metavar="FILE", help="written after each epoch")
    train.add_argument("--resume", action="store_true", help="go on from the checkpoint")
    train.add_argument("--history", metavar="FILE.csv", help="a row for each epoch, written after each")

    codes = _EXIT_CODES.format(
        zero="gradmirror finds every mistake", one="it misses one, or refuses right code"
    )
    faults = _command(commands, "faults", _FAULTS, _FAULTS_EXAMPLES + codes, _faults)
    faults.add_argument("--quick", action="store_true", help="the first layer of each kind, at scale 1")
    faults.add_argument("--only", default="", metavar="WORDS", help="mistakes with these words in their name")
    faults.add_argument("--out", default="reports/out/faults.csv", metavar="FILE.csv", help="(%(default)s)")

    codes = _EXIT_CODES.format(zero="no false alarm", one="at least one")
    alarms = _command(commands, "alarms", _ALARMS, _ALARMS_EXAMPLES + codes, _alarms)
    alarms.add_argument("--draws", type=positive, default=200, metavar="N", help="of each (%(default)s)")
    alarms.add_argument("--only", default="", metavar="NAME", help="entries with this in their name")
    alarms.add_argument("--jobs", type=positive, default=2, metavar="N", help="processes (%(default)s)")
    alarms.add_argument("--out", default="reports/out/alarms.csv", metavar="FILE.csv", help="(%(default)s)")

    codes = _EXIT_CODES.format(zero="both sides train alike", one="the trainings of a network part")
    models = _command(commands, "models", _MODELS, _MODELS_EXAMPLES + codes, _models)
    models.add_argument("--only", nargs="+", choices=MODELS, metavar="NAME", help=", ".join(MODELS))
    models.add_argument("--steps", type=positive, default=300, metavar="N", help="(%(default)s)")
    models.add_argument("--rounds", type=positive, default=20, metavar="N", help="timed (%(default)s)")
    models.add_argument("--seed", type=natural, default=0, help="of weights and batches (%(default)s)")
    models.add_argument("--threads", type=positive, default=1, metavar="N", help="(%(default)s)")
    models.add_argument("--out", default="reports/out/models.csv", metavar="FILE.csv", help="(%(default)s)")

    codes = _EXIT_CODES.format(zero="written", one="does not happen")
    lesson = _command(commands, "lesson", _LESSON, _LESSON_EXAMPLES + codes, _lesson)
    lesson.add_argument("--out", default="reports/out/lesson.html", metavar="FILE.html", help="(%(default)s)")

    _command(commands, "coverage", _COVERAGE, "", _coverage)
    return parser


def _command(
    commands: Any, name: str, description: str, epilog: str, run: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=description.split(".")[0].split(":")[0].lower(),
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def _add_place(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data-root", default="data", metavar="FOLDER", help="of mnist (%(default)s)")
    parser.add_argument("--download", action="store_true", help="fetch mnist if it is not there, 11.6 MB")


def _add_dtype(parser: argparse.ArgumentParser, of_what: str) -> None:
    parser.add_argument(
        "--dtype", choices=["float32", "float64"], default="float32", help=f"{of_what} (%(default)s)"
    )


def natural(text: str) -> int:
    """An argument that is a whole number from 0 on."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return int(text)


def positive(text: str) -> int:
    """An argument that is a whole number above 0."""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 < rate < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return rate
