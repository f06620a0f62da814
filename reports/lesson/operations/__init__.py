"""The operations that scenes are made of, a file each."""

from importlib import import_module
from pkgutil import iter_modules


def reasons() -> dict[str, dict[str, str]]:
    """The reason for each rule, by its key, in every language: the WHY of each file."""
    files = (import_module(f"{__name__}.{info.name}") for info in iter_modules(__path__))
    return {key: text for file in files for key, text in getattr(file, "WHY", {}).items()}
