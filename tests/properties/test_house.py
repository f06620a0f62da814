"""The house: imports run downwards, in no circle, and no package names the private parts of another."""

import ast
import functools
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("scratch", "torch_ref", "reports")
# Which packages each may import.
BELOW = {"scratch": ("scratch",), "torch_ref": ("scratch", "torch_ref"), "reports": PACKAGES}


def files() -> dict[str, Path]:
    """The files of the three packages, by module name."""
    found = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return {".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p for p in found}


MODULES = files()


@functools.cache
def nodes(name: str) -> list[ast.AST]:
    """All nodes of a file's syntax tree."""
    return list(ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))))


def imported(name: str) -> Iterator[tuple[str, str]]:
    """(module, name imported from it or "") of every import in a file, late ones included."""
    for node in nodes(name):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, alias.name) for alias in node.names)


def arrows() -> dict[str, set[str]]:
    """Which module imports which; ``from a import b`` is an import of a.b where that is a module."""
    found: dict[str, set[str]] = {name: set() for name in MODULES}
    for name in MODULES:
        for module, part in imported(name):
            target = f"{module}.{part}" if f"{module}.{part}" in MODULES else module
            if target in MODULES and target != name:
                found[name].add(target)
    return found


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a circle; none if there is no circle."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_a_circle_is_seen() -> None:
    assert {*circle({"a": {"b"}, "b": {"c"}, "c": {"b"}})} == {"b", "c"}


def test_no_import_is_part_of_a_circle() -> None:
    assert circle(arrows()) == []


def test_imports_run_downwards() -> None:
    wrong = [
        (name, other)
        for name, others in arrows().items()
        for other in others
        if other.partition(".")[0] not in BELOW[name.partition(".")[0]]
    ]
    assert wrong == []


def test_scratch_needs_numpy_alone() -> None:
    """Everything else is asked for where it is used: scipy for erf, and packages that ship data."""
    outside = {
        alias.partition(".")[0]
        for name in MODULES
        if name.startswith("scratch")
        for alias, _ in imported(name)
    }
    assert not outside & {"torch", "pandas", "matplotlib"}


def own_names(name: str) -> set[str]:
    """The names that a file defines itself: functions, classes, variables, and attributes of its objects."""
    found: set[str] = set()
    for node in nodes(name):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.id if isinstance(node, ast.Name) else node.attr)
    return found


# Names of other packages: named tuples and os have public names with an underscore; NumPy has no other way
# to seed as torch does.
FOREIGN = {"_asdict", "_replace", "_fields", "_exit", "_current_frames", "_legacy_seeding"}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in FOREIGN


@pytest.mark.parametrize("package", PACKAGES)
def test_no_private_name_of_another_package(package: str) -> None:
    """A package's private names are its own: neither imported from it nor read off its objects."""
    inside = [name for name in MODULES if name.partition(".")[0] == package]
    own = set().union(*map(own_names, inside))
    wrong = []
    for name in inside:
        wrong += [
            (name, module, part)
            for module, part in imported(name)
            if is_private(part) and module.partition(".")[0] != package
        ]
        wrong += [
            (name, node.lineno, node.attr)
            for node in nodes(name)
            if isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in own
        ]
    assert wrong == []
