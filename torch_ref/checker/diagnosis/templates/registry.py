"""The templates: modules of ours that could give an output of some shape from arrays of some shapes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scratch import nn

Arrays = Sequence[np.ndarray]

# The ε that people write, the commonest first.
EPSILONS = (1e-5, 1e-8, 1e-6, 1e-12, 1e-7, 1e-3, 1e-10, 0.0)
REDUCTIONS = ("mean", "sum", "none")
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


@dataclass(frozen=True)
class Template:
    """A function as the package describes, of ``inputs`` inputs, ``parameters`` (from, to) parameters."""

    kinds: tuple[str, ...]
    inputs: int
    parameters: tuple[int, int]
    modules: Callable[[Arrays, Arrays, np.ndarray], Iterator[nn.Module]]


TEMPLATES: list[Template] = []


def template(*kinds: str, inputs: int = 1, parameters: tuple[int, int] = (0, 0)) -> Callable[[Any], Any]:
    """Enter a function as a template of modules of these kinds."""

    def enter(modules: Callable[[Arrays, Arrays, np.ndarray], Iterator[nn.Module]]) -> Any:
        TEMPLATES.append(Template(kinds, inputs, parameters, modules))
        return modules

    return enter
