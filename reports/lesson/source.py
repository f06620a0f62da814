"""Functions while they run: their lines of code, and the values of their variables."""

import ast
import difflib
import inspect
import sys
import textwrap
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np


@dataclass
class Ran:
    """A function that ran.

    Args:
        code: the function's code.
        numbers: the numbers, in its file, of the lines that ran.
        variables: its arrays, by name, as they were when it returned.
    """

    code: CodeType
    numbers: set[int] = field(default_factory=set)
    variables: dict[str, np.ndarray] = field(default_factory=dict)

    def lines(self, name: str) -> list[str]:
        """Its source under this name: a plain signature, and of the body what ran, without the docstring.

        Of an ``if`` a branch that did not run is "...", and all of it is left out if none ran.
        """
        lines, first = inspect.getsourcelines(self.code)
        text = textwrap.dedent("".join(lines))
        (tree,) = ast.parse(text).body
        assert isinstance(tree, ast.FunctionDef)
        kept = _kept(tree.body, {number - first + 1 for number in self.numbers})
        source = text.splitlines()
        body = textwrap.dedent("\n".join(kept[n] or source[n - 1] for n in sorted(kept)))
        return [f"def {name}({_arguments(tree)}):", *textwrap.indent(body, "    ").splitlines()]


def watch(call: Callable[[], Any], files: Collection[Path], besides: Collection[CodeType] = ()) -> list[Ran]:
    """The functions that run during ``call()``, in order: those of these files, and these besides."""
    found: dict[CodeType, Ran] = {}
    inside = {str(path) for path in files}

    def each_line(frame: FrameType, event: str, _: Any) -> Any:
        ran = found[frame.f_code]
        if event == "line":
            ran.numbers.add(frame.f_lineno)
        elif event == "return":
            held = frame.f_locals.items()
            arrays = [(name, x) for name, x in held if isinstance(x, np.ndarray | np.generic)]
            ran.variables |= {name: np.array(x) for name, x in arrays}
        return each_line

    def each_call(frame: FrameType, *_: Any) -> Any:
        code = frame.f_code
        if code not in besides and (code.co_filename not in inside or code.co_name.startswith("<")):
            return None
        found.setdefault(code, Ran(code))
        return each_line

    before = sys.gettrace()
    sys.settrace(each_call)
    try:
        call()
    finally:
        sys.settrace(before)
    return list(found.values())


def assigning(lines: list[str], variable: str) -> list[int]:
    """The lines among these, of a function, that assign to the variable, or return if none does."""
    statements = ast.walk(ast.parse("\n".join(lines)))
    found = [
        range(node.lineno - 1, node.end_lineno or node.lineno)
        for node in statements
        if isinstance(node, ast.Assign | ast.AugAssign) and variable in _targets(node)
    ]
    returns = [i for i, line in enumerate(lines) if line.strip().startswith("return")]
    return [i for numbers in found for i in numbers] or returns


def differing(right: list[str], wrong: list[str]) -> list[int]:
    """The lines of ``wrong``, its first apart, that ``right`` lacks; where lines are missing, the next."""
    matcher = difflib.SequenceMatcher(a=right[1:], b=wrong[1:], autojunk=False)
    changes = [change for change in matcher.get_opcodes() if change[0] != "equal"]
    inside = [i + 1 for _, _, _, start, stop in changes for i in range(start, stop)]
    return inside or [min(start + 1, len(wrong) - 1) for _, _, _, start, _ in changes]


def _targets(node: ast.Assign | ast.AugAssign) -> set[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return {each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)}


def _arguments(tree: ast.FunctionDef) -> str:
    """The names of the arguments, without types and defaults."""
    return ", ".join(each.arg for each in (*tree.args.posonlyargs, *tree.args.args, *tree.args.kwonlyargs))


def _kept(body: list[ast.stmt], ran: set[int]) -> dict[int, str]:
    """The lines of these statements that are left, each with what it becomes, or "" for itself."""
    kept: dict[int, str] = {}
    for statement in body:
        branches = [getattr(statement, field, []) for field in ("body", "orelse")]
        if not any(branches):
            numbers = range(statement.lineno, (statement.end_lineno or 0) + 1)
            kept |= dict.fromkeys(numbers if {*numbers} & ran else (), "")
            continue
        inside = [_kept(branch, ran) for branch in branches]
        if not any(inside):
            continue
        first = branches[0][0]
        kept |= dict.fromkeys(range(statement.lineno, first.lineno), "")
        kept |= inside[0] or {first.lineno: " " * first.col_offset + "..."}
        if inside[1]:
            kept |= dict.fromkeys(range((branches[0][-1].end_lineno or 0) + 1, branches[1][0].lineno), "")
            kept |= inside[1]
    return kept
