"""An optimizer with its weights as one vector: step(gradients), and the weights after it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from numbers import Real
from typing import Any

import numpy as np
import torch

from scratch import nn
from torch_ref.adapters.learning_rates import RATES
from torch_ref.adapters.paths import Path, get, put, walk
from torch_ref.adapters.update_ways import Arrays, Way, changed


@dataclass(frozen=True)
class Layout:
    """The names and shapes of the parameters that a vector is made of."""

    names: tuple[Any, ...]
    shapes: tuple[tuple[int, ...], ...]

    @property
    def size(self) -> int:
        """The length of the vector."""
        return sum(int(np.prod(shape)) for shape in self.shapes)

    def split(self, vector: np.ndarray) -> Arrays:
        """The parameters, copies."""
        ends = list(accumulate(map(math.prod, self.shapes), initial=0))
        places = zip(pairwise(ends), self.shapes, strict=True)
        return [vector[start:stop].reshape(shape).copy() for (start, stop), shape in places]

    def largest(self, vector: np.ndarray) -> np.ndarray:
        """The largest entry of each parameter."""
        return np.array([np.max(part, initial=0) for part in self.split(vector)])

    def place(self, at: int) -> str:
        """The name of an entry of the vector: "W[1, 2]"."""
        for name, shape in zip(self.names, self.shapes, strict=True):
            size = int(np.prod(shape))
            if at < size:
                index = ", ".join(str(int(i)) for i in np.unravel_index(at, shape))
                return f"{name}[{index}]" if isinstance(name, str) else f"parameter {name}[{index}]"
            at -= size
        raise IndexError(at)


class Walker:
    """An optimizer with its weights as one vector.

    Args:
        objects: it, or one for each parameter.
        layout: of its parameters.
    """

    def __init__(self, objects: Sequence[Any], layout: Layout) -> None:
        self.objects, self.layout = list(objects), layout
        self.side_effects: list[str] = []

    def step(self, gradients: list[Any]) -> None:
        """Update the weights; None for a parameter that has no gradient."""
        raise NotImplementedError

    def arrays(self) -> Arrays:
        """The parameters as they are."""
        raise NotImplementedError

    def weights(self) -> np.ndarray:
        """The parameters, one vector."""
        return np.concatenate([np.asarray(array, np.float64).reshape(-1) for array in self.arrays()])

    def rates(self) -> list[tuple[Path, str]]:
        """The places of numbers that are named as a learning rate is, and these names."""
        kept = [(path, value) for path, value in walk(self.objects) if str(path[-1]).lower() in RATES]
        # Of the class as well.
        own = [
            ((i, name), getattr(each, name, None)) for i, each in enumerate(self.objects) for name in RATES
        ]
        numbers = dict(pair for pair in (*kept, *own) if _is_number(pair[1]))
        return [(path, path[-1]) for path in numbers]

    def halve(self, names: Sequence[str]) -> None:
        """Half the learning rates of these names from now on."""
        for path, name in self.rates():
            if name in names:
                put(self.objects, path, get(self.objects, path) / 2)


class Stepping(Walker):
    """An optimizer with ``step()`` on parameters that have ``data`` and ``grad``: ours, or torch's."""

    def __init__(self, optimizer: Any, params: list[Any], layout: Layout) -> None:
        super().__init__([optimizer], layout)
        self.params = params

    def step(self, gradients: list[Any]) -> None:
        """Hand the gradients over, and step()."""
        for p, g in zip(self.params, gradients, strict=True):
            p.grad = g if g is None or isinstance(p, nn.Parameter) else torch.from_numpy(g.copy())
        self.objects[0].step()
        if any(
            g is not None and changed(_plain(p.grad), g) for p, g in zip(self.params, gradients, strict=True)
        ):
            self.side_effects.append("step() changes the gradients, which are not its own")

    def arrays(self) -> Arrays:
        """The parameters' data."""
        return [_plain(p.data) for p in self.params]

    def rates(self) -> list[tuple[Path, str]]:
        """The learning rate of the groups, if there are groups."""
        groups = getattr(self.objects[0], "param_groups", None)
        return [((), "lr")] if groups and "lr" in groups[0] else super().rates()

    def halve(self, names: Sequence[str]) -> None:
        """Half the learning rate from now on."""
        if not hasattr(self.objects[0], "param_groups"):
            return super().halve(names)
        for group in self.objects[0].param_groups if names else ():
            group["lr"] /= 2


class Updating(Walker):
    """An optimizer that is called with arrays, in one of the ways below."""

    def __init__(self, objects: Sequence[Any], layout: Layout, way: "Way", start: np.ndarray) -> None:
        super().__init__(objects, layout)
        self.way, self.kept = way, layout.split(start)

    def step(self, gradients: list[Any]) -> None:
        """Call it; what it returns, or changes, are the weights from now on.

        Raises:
            TypeError: a parameter has no gradient, which cannot be said in this way.
            ValueError: a weight gets another shape.
        """
        if any(g is None for g in gradients):
            raise TypeError("no gradient")
        given = [g.copy() for g in gradients]
        self.kept = self.way(self.kept, given)
        for name, shape, array in zip(self.layout.names, self.layout.shapes, self.kept, strict=True):
            if np.shape(array) != shape:
                raise ValueError(
                    f"check_optimizer: mine: update made params[{name!r}] of shape {np.shape(array)}, "
                    f"expected {shape}"
                )
        if any(changed(now, g) for now, g in zip(given, gradients, strict=True)):
            self.side_effects.append("update changes the gradients, which are not its own")

    def arrays(self) -> Arrays:
        """The weights."""
        return self.kept


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _plain(value: Any) -> Any:
    return value.detach().numpy() if isinstance(value, torch.Tensor) else value
