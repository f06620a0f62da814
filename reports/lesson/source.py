"""The lines of a function that ran."""

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable
from types import FrameType
from typing import Any


def lines_that_ran(function: Callable[..., Any], call: Callable[[], Any]) -> str:
    """The source of ``function``, of which only what ran during ``call()`` is left.

    The signature and the docstring are left out, and an ``if`` of which no branch ran.
    """
    ran: set[int] = set()

    def each_line(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            ran.add(frame.f_lineno)
        return each_line

    before = sys.gettrace()
    sys.settrace(lambda frame, *_: each_line if frame.f_code is function.__code__ else None)
    try:
        call()
    finally:
        sys.settrace(before)
    source, first = inspect.getsourcelines(function)
    (tree,) = ast.parse(textwrap.dedent("".join(source))).body
    assert isinstance(tree, ast.FunctionDef)
    kept = _kept(tree.body, {number - first + 1 for number in ran})
    return textwrap.dedent("".join(source[number - 1] for number in sorted(kept))).rstrip()


def _kept(body: list[ast.stmt], ran: set[int]) -> set[int]:
    """The lines of these statements that are left; of a compound one the head, if anything in it is."""
    kept: set[int] = set()
    for statement in body:
        branches = [getattr(statement, field, []) for field in ("body", "orelse")]
        if not any(branches):
            lines = set(range(statement.lineno, (statement.end_lineno or 0) + 1))
            kept |= lines if lines & ran else set()
            continue
        inside = [_kept(branch, ran) for branch in branches]
        if any(inside):
            kept |= set(range(statement.lineno, branches[0][0].lineno))
        if inside[1]:
            kept |= set(range((branches[0][-1].end_lineno or 0) + 1, branches[1][0].lineno))
        kept |= inside[0] | inside[1]
    return kept
