"""Output to stdout, whatever that is: a pipe that nobody reads to its end, a terminal without Unicode."""

import codecs
import io
import os
import sys
import unicodedata

# What a terminal without them gets in their place; others lose their accents, or are written as \u03b5.
_PLAIN = {
    "−": "-",
    "–": "-",
    "—": "-",
    "×": "x",
    "·": "*",
    "…": "...",
    "→": "->",
    "≤": "<=",
    "≥": ">=",
    "≈": "~",
    "’": "'",
    "“": '"',
    "”": '"',
}


def prepare() -> None:
    """Let stdout and stderr print every character, those that their encoding lacks in other words."""
    codecs.register_error("plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="plain")


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    characters = error.object[error.start : error.end]
    return "".join(map(_in_ascii, characters)), error.end


def _in_ascii(character: str) -> str:
    simple = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return _PLAIN.get(character) or simple or character.encode("ascii", "backslashreplace").decode()


def show(text: str) -> None:
    """Print all of ``text``, or as much of it as is read."""
    try:
        print(text, end="", flush=True)
    except BrokenPipeError:
        close()


def flush() -> None:
    """Bring what was printed to its reader, or to nobody if that has gone.

    Raises:
        OSError: it cannot be written, to a full disk say.
    """
    try:
        if sys.stdout:
            sys.stdout.flush()
    except BrokenPipeError:
        close()


def close() -> None:
    """Let what is still to be printed go nowhere; the interpreter flushes stdout when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
