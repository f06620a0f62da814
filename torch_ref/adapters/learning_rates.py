"""Learning rates: the names that people give to them, in small letters, and those written in a function."""

import ast
import functools
import inspect
import textwrap
from collections.abc import Iterator
from types import CodeType
from typing import Any

# By these also an attribute of a layer is one, where alpha is a slope, and rate that of a dropout.
ALWAYS = (
    *("lr", "learning_rate", "current_learning_rate", "learn_rate", "eta", "step_size"),
    *("learningrate", "learning_rates", "lrate", "l_rate", "lr_rate", "stepsize", "epsilon_lr"),
)
RATES = (*ALWAYS, "rate", "alpha")


# From here on a number in a step may as well be a part of the gradient: ½, 2.
_OF_GRADIENTS = 0.5


def rate_in_source(function: Any, owner: Any = None) -> float | None:
    """The learning rate that a function holds in a local variable, lr = 0.1, or in its step, W -= 0.1 * dW.

    Also in the methods of its owner that it calls. None if there is none, or if it would be a guess: there
    are several, or it may be a part of the gradient.
    """
    trees = _trees(getattr(function, "__func__", function))
    named = [node.attr for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    methods = (getattr(type(owner), name, None) for name in dict.fromkeys(named))
    trees += [tree for method in methods if inspect.isfunction(method) for tree in _trees(method)]
    held = {rate for tree in trees for rate in _held(tree)}
    if held:
        return held.pop() if len(held) == 1 else None
    (first, *others) = {rate for tree in trees for rate in _in_steps(tree)} or {1.0}
    return first if not others and abs(first) < _OF_GRADIENTS else None


def _trees(function: Any) -> list[ast.AST]:
    """The function's source, parsed, if it can be had."""
    code = getattr(function, "__code__", None)
    return [] if code is None else list(_parsed(code))


@functools.lru_cache(maxsize=64)
def _parsed(code: CodeType) -> tuple[ast.AST, ...]:
    try:
        return (ast.parse(textwrap.dedent(inspect.getsource(code))),)
    except (OSError, TypeError, SyntaxError):  # typed at a prompt, or a lambda in the middle of a line
        return ()


def _held(tree: ast.AST) -> Iterator[float]:
    """The numbers that are given to variables with the name of a learning rate."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and (rate := _number(node.value)) is not None:
            names = [target.id.lower() for target in node.targets if isinstance(target, ast.Name)]
            yield from (rate for name in names if name in RATES)


def _in_steps(tree: ast.AST) -> Iterator[float]:
    """The numbers that steps are multiplied by; 1 of a step without one, so that a mixture is none."""
    for node in ast.walk(tree):
        if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Sub):
            yield _leading(node.value)


def _leading(value: ast.expr) -> float:
    """The number that a product begins or ends with."""
    while isinstance(value, ast.BinOp) and isinstance(value.op, ast.Mult | ast.Div):
        right = _number(value.right) if isinstance(value.op, ast.Mult) else None
        if right is not None:
            return right
        value = value.left
    found = _number(value)
    return 1.0 if found is None else found


def _number(value: ast.expr) -> float | None:
    found = value.value if isinstance(value, ast.Constant) else None
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None
