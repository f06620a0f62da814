"""The names under which a function returns things, as its source has them: return dx, [dW, db]."""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any


def names_returned(function: Any) -> dict[tuple[int, ...], str]:
    """By the places in the tuple that it returns, the names there; {} where its source does not tell.

    Several returns have to agree.
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return {}
    found = [dict(_named(each.value, ())) for each in _returns(tree) if isinstance(each.value, ast.Tuple)]
    return found[0] if found and all(each == found[0] for each in found) else {}


def _returns(tree: ast.Module) -> Iterator[ast.Return]:
    """The return statements of the one function in the module, not those of functions in it."""
    kinds = (ast.FunctionDef, ast.Lambda, ast.ClassDef)
    below: list[ast.AST] = [*tree.body[0].body] if isinstance(tree.body[0], ast.FunctionDef) else []
    while below:
        node = below.pop()
        if isinstance(node, ast.Return):
            yield node
        below += [each for each in ast.iter_child_nodes(node) if not isinstance(each, kinds)]


def _named(node: ast.AST | None, place: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], str]]:
    if isinstance(node, ast.Tuple | ast.List):
        for i, each in enumerate(node.elts):
            yield from _named(each, (*place, i))
    elif isinstance(node, ast.Name):
        yield place, node.id
    elif isinstance(node, ast.Attribute):
        yield place, node.attr
