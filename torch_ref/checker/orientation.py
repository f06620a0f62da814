"""Arrays whose shapes do not tell how they are stored: (in, out) or (out, in)? Which gate comes first?

The forwards tell: if they differ as the arrays stand and agree the other way round, then so they are stored.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch

from scratch.gradcheck import Objective
from scratch.nested import leaves, unflatten_as
from torch_ref.adapters.names import Pieces
from torch_ref.adapters.objects import Adapted
from torch_ref.adapters.recurrent import recurrent_pieces
from torch_ref.adapters.shapes import Shapes

Orders = dict[str, tuple[int, ...]]
_RECURRENT = (torch.nn.RNNBase, torch.nn.RNNCellBase)


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
    if (
        not isinstance(reference, _RECURRENT)
        or not isinstance(sides.module, Adapted)
        or forwards_agree(sides)
    ):
        return ""
    module, names = sides.module, gates_of(reference)
    as_it_is = module.pieces
    shapes = {name: tuple(p.shape) for name, p in reference.named_parameters()}
    for pieces, blocks, is_swapped in _variants(as_it_is, module.shapes, shapes, len(names)):
        module.made_of(pieces)
        if forwards_agree(sides):
            yours = ", ".join(names[blocks.index(i)] for i in range(len(blocks)))
            order = f"its gates in the order {yours}, PyTorch's is {', '.join(names)}" if yours else ""
            columns = "the columns of the hidden state before those of the input" if is_swapped else ""
            return f"Your layer is taken to have {' and '.join(filter(None, (order, columns)))}."
    module.made_of(as_it_is)
    return ""


def _variants(
    pieces: Pieces, ours: Shapes, theirs: Shapes, gates: int
) -> Iterator[tuple[Pieces, tuple[int, ...], bool]]:
    """(pieces, order of the gates, whether the hidden state comes first): other ways to store the arrays."""
    swapped = recurrent_pieces(ours, theirs, hidden_first=True)
    plain = tuple(range(gates))
    for each, is_swapped in ((pieces, False), (swapped, True)):
        if each is None:
            continue
        yield each, (), is_swapped
        if gates and not any(piece.rows for group in each.values() for piece in group):
            for blocks in itertools.permutations(plain):
                if blocks != plain:
                    yield _in_blocks(each, blocks), blocks, is_swapped


def _in_blocks(pieces: Pieces, blocks: tuple[int, ...]) -> Pieces:
    return {own: tuple(replace(piece, blocks=blocks) for piece in group) for own, group in pieces.items()}


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
