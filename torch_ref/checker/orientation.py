"""Arrays whose shapes do not tell how they are stored: (in, out) or (out, in)? Which gate comes first?

The forwards tell: if they differ as the arrays stand and agree the other way round, then so they are stored.
"""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np
import torch

from scratch.gradcheck import Objective
from scratch.nested import leaves, unflatten_as
from torch_ref.adapters.objects import Adapted

Orders = dict[str, tuple[int, ...]]


class Castable(Protocol):
    """Both sides of a check."""

    module: Any

    def cast(self, dtype: np.dtype, cotangent: Any = None) -> tuple[Objective, torch.nn.Module]:
        """The objective and the twin, in this dtype."""


def forwards_agree(sides: Castable) -> bool:
    """Whether both sides give the same output but for rounding; also where one of them cannot be run."""
    try:
        objective, twin = sides.cast(np.dtype(np.float64))
        tensors = (None if x is None else torch.tensor(np.array(x)) for _, x in leaves(objective.inputs))
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            theirs = [y for _, y in leaves(twin(*unflatten_as(objective.inputs, tensors)))]
    except Exception:  # from other people's code; the check itself will raise it
        return True
    ours = [y for _, y in leaves(objective.y)]
    return len(ours) == len(theirs) and all(_are_close(a, b) for a, b in zip(ours, theirs, strict=True))


def settle_gates(sides: Castable, reference: Any) -> str:
    """Put the gates of a recurrent layer in the order in which the forwards agree; that order, in words."""
    names = gates_of(reference)
    if not names or not isinstance(sides.module, Adapted) or forwards_agree(sides):
        return ""
    plain = tuple(range(len(names)))
    for blocks in itertools.permutations(plain):
        sides.module.in_blocks(blocks)
        if blocks != plain and forwards_agree(sides):
            yours = ", ".join(names[blocks.index(i)] for i in plain)
            theirs = ", ".join(names)
            return f"Your weights are taken to have their gates in the order {yours}; PyTorch's is {theirs}"
    sides.module.in_blocks(())
    return ""


def gates_of(reference: Any) -> str:
    """The gates of a recurrent layer of torch, a letter each, in its order; "" for anything else."""
    if isinstance(reference, torch.nn.LSTM | torch.nn.LSTMCell):
        return "ifgo"
    return "rzn" if isinstance(reference, torch.nn.GRU | torch.nn.GRUCell) else ""


def _are_close(ours: np.ndarray, theirs: torch.Tensor) -> bool:
    other = theirs.numpy()
    size = float(np.max(np.abs(other), initial=0))
    return ours.shape == other.shape and bool(np.allclose(ours, other, rtol=1e-5, atol=1e-6 * size))


def other_orders(doubtful: Mapping[str, list[tuple[int, ...]]]) -> Iterator[Orders]:
    """Some ways to store the arrays: all of them in their first, second, … other order; then each alone."""
    longest = max(map(len, doubtful.values()), default=0)
    for i in range(longest):
        yield {name: orders[i] for name, orders in doubtful.items() if i < len(orders)}
    if len(doubtful) > 1:
        yield from ({name: axes} for name, orders in doubtful.items() for axes in orders[:1])
