"""The sections of the report: a file each, with its class.

Whatever is done with sections (tasks, results.json and its schema, the page, Markdown, the terminal, a
comparison)
walks ``every()``. To add one, add a file with a subclass of Section (section.py).
"""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from reports.sections.section import Section


@cache
def every() -> dict[str, Section]:
    """All sections by name, in the order of their numbers."""
    modules = [import_module(f"{__name__}.{each.name}") for each in iter_modules(__path__)]
    kinds = [
        kind
        for module in modules
        for kind in vars(module).values()
        if isinstance(kind, type) and kind.__module__ == module.__name__ and issubclass(kind, Section)
    ]
    found = sorted((kind() for kind in kinds if kind is not Section), key=lambda section: section.number)
    return {section.name: section for section in found}
