"""Imports run one way: no circle, late imports included, and no private member of another module is named."""

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("reports",)


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of the three packages by its name, parsed."""
    paths = [path for top in ("scratch", "torch_ref", "reports") for path in (ROOT / top).rglob("*.py")]
    names = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths}
    return {name.removesuffix(".__init__"): ast.parse(path.read_text()) for path, name in names.items()}


def imported(tree: ast.Module) -> Iterator[tuple[str, str, str]]:
    """Each import, wherever it stands: the module, the name that is taken of it or "", and the name here."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((each.name, "", each.asname or each.name) for each in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, each.name, each.asname or each.name) for each in node.names)


def needs(name: str) -> set[str]:
    """The modules that a module imports."""
    found = set()
    for module, taken, _ in imported(modules()[name]):
        whole = f"{module}.{taken}"
        found |= {whole if whole in modules() else module} & modules().keys()
    return found - {name}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_imports_itself_by_way_of_others(package):
    graph = {name: needs(name) for name in modules() if name.split(".")[0] == package}
    try:
        assert len([*TopologicalSorter(graph).static_order()]) >= len(graph)
    except CycleError as error:
        pytest.fail(f"a circle: {' → '.join(error.args[1])}")


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_names_a_private_member_of_another(package):
    wrong = []
    for name, tree in modules().items():
        if name.split(".")[0] != package:
            continue
        here = {
            alias
            for module, taken, alias in imported(tree)
            if f"{module}.{taken}" in modules() or module in modules()
        }
        wrong += [f"{name}: {taken} of {module}" for module, taken, _ in imported(tree) if is_private(taken)]
        wrong += [
            f"{name}: {node.value.id}.{node.attr}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
            if node.value.id in here and is_private(node.attr)
        ]
    assert not wrong
