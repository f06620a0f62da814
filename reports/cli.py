"""The command line, ``gradmirror``: a parser for the commands of reports/commands/, and how they end."""

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pkgutil import iter_modules
from traceback import format_exception

from reports import commands, output
from reports.arguments import no_file_twice, text
from reports.commands import Command
from reports.errors import DisagreementError, InternalError, UnusableError

_DESCRIPTION = """\
One network, written twice: in NumPy, with every derivative worked out by hand, and in PyTorch.

{commands}

Each explains itself: gradmirror report --help
"""

_EPILOG = """\
examples:
{examples}

exit codes:
  0    {zero}
  1    {one}
  2    usage error: wrong arguments, no data, a folder that cannot be written; stderr says which.
       Or a mistake of gradmirror itself: stderr says so
  130  stopped with Ctrl-C
  141  what it printed was not read to its end
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; None takes the words of the process."""
    words = list(sys.argv[1:] if argv is None else argv)
    output.prepare()
    try:
        code = _run(words)
        output.flush()
        return code
    except BrokenPipeError:
        output.close()
        return 128 + 13  # as one that SIGPIPE ended
    except KeyboardInterrupt as stop:
        return _end(words, f"stopped; {stop}" if str(stop) else "stopped", 130)
    except DisagreementError as error:
        return _end(words, f"the two sides disagree: {error}", 1)
    except Exception as error:
        return _end(words, f"error: {_why(error)}", 2)


def _run(words: list[str]) -> int:
    try:
        options = parser().parse_args(words)
    except SystemExit:
        output.flush()
        raise
    options.words = words[1:]
    no_file_twice(options)
    code: int = options.run(options)
    return code


def _why(error: Exception) -> str:
    """The sentence for an exception that ends a command; of one that nobody expected, where it was raised."""
    if isinstance(error, UnusableError):
        return str(error)
    if isinstance(error, OSError):
        # A file is written beside its place and renamed: the second name is the one that the user gave.
        name = error.filename2 or error.filename
        return f"{name}: {error.strerror}" if name else str(error)
    if isinstance(error, MemoryError):
        return f"there is not enough memory{': ' * bool(str(error))}{error}"
    traceback = str(error) if isinstance(error, InternalError) else "".join(format_exception(error))
    *above, last = traceback.rstrip().splitlines()
    return (
        f"this is a mistake of gradmirror, not of yours: {last}. Nothing was decided. Please report it where "
        f"you have gradmirror from, with these lines and what you typed:\n" + "\n".join([*above, last])
    )


def _end(words: list[str], message: str, code: int) -> int:
    if sys.stdout:
        with suppress(OSError, ValueError):
            output.flush()
    if sys.stderr:
        print(f"gradmirror {words[0]}: {message}", file=sys.stderr)
    return code


def every() -> dict[str, Command]:
    """All commands by name: there is one in each file of reports/commands/."""
    names = [each.name for each in iter_modules(commands.__path__)]
    return {name: import_module(f"{commands.__name__}.{name}").COMMAND for name in names}


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    known = every()
    width = max(map(len, known))
    lines = "\n".join(f"  gradmirror {name:{width}} {each.summary}" for name, each in known.items())
    made = argparse.ArgumentParser(
        "gradmirror",
        description=_DESCRIPTION.format(commands=lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    below = made.add_subparsers(metavar="command", required=True)
    for name, each in known.items():
        examples = "\n".join(f"  {line}" for line in each.examples.splitlines())
        one = below.add_parser(
            name,
            description=each.description,
            epilog=_EPILOG.format(examples=examples, zero=each.zero, one=each.one),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        one.register("type", None, text)
        each.arguments(one)
        one.set_defaults(run=each.run)
    return made
