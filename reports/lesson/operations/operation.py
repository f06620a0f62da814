"""An operation of the lesson: a module of scratch.nn, PyTorch's line of code for the same, and its rules.

A formula is LaTeX with tensors in braces: ``{y} = \\sigma({x})``; ``{d:y}`` is the gradient of y. One
template gives the page the formula in symbols and the formula in shapes. The rule of a single entry is text
with entries in brackets: ``[v x 3]`` is the fourth number of x, ``[g x 3]`` of its gradient; ``^{…}`` is an
exponent. The page fills in the numbers, and lights the cells they come from. The reason for each rule stands
in the WHY of its file, by key, in both languages.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from scratch import nn


@dataclass(frozen=True)
class Rule:
    """The rule for a tensor or a gradient: its formula, the text of each entry, and (by key) the reason."""

    formula: str
    entry: Callable[[tuple[int, ...]], str]
    why: str


@dataclass(frozen=True)
class Inner:
    """A tensor on the way from the inputs of an operation to its output: a variable of the formula that runs.

    Args:
        name: of the tensor.
        variable: its name in the function of scratch.functional.
        shape: of the tensor, which may have fewer axes of length 1 than the variable.
        torch: PyTorch's line of code for it.
        rule: the rule for it.
        inputs: the tensors in its rule.
    """

    name: str
    variable: str
    shape: tuple[int, ...]
    torch: str
    rule: Rule
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class Operation:
    """A step of the forward pass, and the steps of the backward pass that belong to it.

    Args:
        module: ours; its parameters are tensors of the scene, ``parameters`` says which.
        torch: PyTorch's line of code.
        inputs: the names of the tensors that it takes.
        out: the name of the tensor that it makes.
        forward: the rule for it.
        backward: the rules for the gradients of its inputs and parameters, in the order of the steps.
        parameters: tensor by parameter.
        phase: "forward", or "batch" where the data are drawn.
        inner: tensors on the way to ``out``, in the order of the steps.
        symbols: the variables of the backward formula that hold the gradients, by input or parameter, where
            they are not dx, dW and db.
    """

    module: nn.Module
    torch: str
    inputs: tuple[str, ...]
    out: str
    forward: Rule
    backward: dict[str, Rule]
    parameters: dict[str, str] = field(default_factory=dict)
    phase: str = "forward"
    inner: tuple[Inner, ...] = ()
    symbols: dict[str, str] = field(default_factory=dict)

    def gradient_variable(self, name: str) -> str:
        """The name that the backward formula has for the gradient of this input or parameter."""
        symbols = {"weight": "dW", "bias": "db"} | self.symbols
        for parameter, tensor in self.parameters.items():
            if tensor == name:
                return symbols[parameter]
        return symbols.get(name, "dx")


def v(name: str, *index: int, shape: tuple[int, ...]) -> str:
    """An entry of a tensor."""
    return f"[v {name} {int(np.ravel_multi_index(index, shape))}]"


def g(name: str, *index: int, shape: tuple[int, ...]) -> str:
    """An entry of a tensor's gradient."""
    return f"[g {name} {int(np.ravel_multi_index(index, shape))}]"


def index(index: tuple[int, ...], shape: tuple[int, ...]) -> int:
    """The place of an entry among all, counted row by row."""
    return int(np.ravel_multi_index(index, shape)) if shape else 0


def plus(terms: Iterable[str]) -> str:
    """A sum."""
    return " + ".join(terms)
