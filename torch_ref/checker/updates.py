"""Both optimizers step by step: yours, recognised by its form, and PyTorch's, on the same gradients."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from torch_ref.adapters.optimizers import Recognised
from torch_ref.adapters.walkers import Layout, Stepping, Walker


def walk(
    walker: Walker, gradients: np.ndarray, halved: Sequence[str] = (), without: int = -1
) -> Iterator[np.ndarray]:
    """The weights after every step; in the step ``without``, the last parameter has no gradient.

    From the middle on, the learning rates of the names ``halved`` are half of what they were.
    """
    for number, gradient in enumerate(gradients):
        if halved and number == len(gradients) // 2:
            walker.halve(halved)
        parts: list[Any] = walker.layout.split(gradient)
        walker.step([*parts[:-1], None] if number == without else parts)
        yield walker.weights()


def path(walker: Walker, gradients: np.ndarray, halved: Sequence[str] = (), without: int = -1) -> np.ndarray:
    """All of walk, (steps, n)."""
    return np.array(list(walk(walker, gradients, halved, without)))


def rates(mine: Recognised) -> tuple[str, ...]:
    """The names of the learning rate in yours: numbers that are called so and that halve the first step."""
    start = np.linspace(0.5, 1.5, mine.layout.size)
    names = dict.fromkeys(name for _, name in mine.make(start).rates())
    full = _first_step(mine, start, ())
    for several in (tuple(names), *((name,) for name in names)):
        if (
            several
            and np.allclose(2 * _first_step(mine, start, several), full, rtol=1e-6, atol=0)
            and np.any(full)
        ):
            return several
    return ()


def _first_step(mine: Recognised, start: np.ndarray, halved: Sequence[str]) -> np.ndarray:
    walker = mine.make(start)
    walker.halve(halved)
    with np.errstate(all="ignore"):
        walker.step(walker.layout.split(np.random.default_rng(0).uniform(0.5, 1.5, start.size)))
    return walker.weights() - start


def by_torch(reference: Callable[..., Any], start: np.ndarray, layout: Layout) -> Stepping:
    """PyTorch's, from these weights.

    Raises:
        TypeError: reference makes no optimizer of the parameters that it is given.
    """
    params = [torch.nn.Parameter(torch.from_numpy(value)) for value in layout.split(start)]
    optimizer = reference(params) if callable(reference) else reference
    expected = "expected a function that makes a torch optimizer of the list of parameters that it is given"
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise TypeError(f"check_optimizer: reference makes {type(optimizer).__name__}, {expected}")
    if {id(p) for group in optimizer.param_groups for p in group["params"]} != {id(p) for p in params}:
        raise TypeError(
            f"check_optimizer: reference is {type(optimizer).__name__} of other parameters, {expected}"
        )
    return Stepping(optimizer, params, layout)
