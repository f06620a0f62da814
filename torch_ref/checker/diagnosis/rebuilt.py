"""A network built again from its parameters, data and losses: affine maps, activations and a loss.

Which parameters are weights, which biases, how they are stored, which activations and which loss there are:
all that fits the shapes is tried, and what gives the same losses at several points is the network. So nothing
needs to be known of the code. A factor of the loss, and its regularisation, are fitted. If that is none, it
is tried again with skips past layers, with a weight that is used twice, and with dropout.
"""

import itertools
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from torch_ref.adapters.networks import Network
from torch_ref.checker.diagnosis.dropped import KEEPS, drawn_masks, likeliest
from torch_ref.faults.chains import (
    BINARY,
    CROSS,
    ENDS,
    INNER,
    LINEAR,
    LOSSES,
    OF_PROBABILITIES,
    RELU,
    SIGMOID,
    SOFTMAX,
    TANH,
    Activation,
    Affine,
    Chain,
    Loss,
    Skip,
)

# The search ends after so many seconds of this process; it is made where something is wrong already.
SECONDS = 3.0
# And after so many with each of what is rarer: skips, ties, dropout.
MORE_SECONDS = 1.5
# The losses are compared at so many points; there are three unknowns at most.
POINTS = 8
_SAME = {"float64": 1e-9, "float32": 1e-5}
_MOST_LAYERS, _MOST_ARRANGEMENTS = 6, 100
_MIXED = (SIGMOID, TANH, RELU, LINEAR)

Arrays = Mapping[str, np.ndarray]


class Piece(NamedTuple):
    """A parameter, or a block of one vector that holds several, or several neurons: the rows of a matrix.

    ``start`` is where the block begins, ``shape`` that of all together.
    """

    names: tuple[str, ...]
    start: int
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """The number of its entries."""
        return math.prod(self.shape)

    def of(self, arrays: Arrays) -> np.ndarray:
        """Its numbers."""
        return np.concatenate(self._blocks(arrays)).reshape(self.shape)

    def add(self, value: np.ndarray, into: Arrays) -> None:
        """Add numbers where it is."""
        blocks = self._blocks(into)
        for block, part in zip(blocks, value.reshape(len(blocks), -1), strict=True):
            block += part

    def _blocks(self, arrays: Arrays) -> list[np.ndarray]:
        size = self.size // len(self.names)
        return [arrays[name].reshape(-1)[self.start : self.start + size] for name in self.names]


@dataclass(frozen=True)
class Stored:
    """An affine map as it is stored: W (in, out), or (out, in) if ``is_turned``, and a bias.

    The bias may be a row of W, the first or the last; then ``ones`` says which.
    """

    weight: Piece
    inputs: int
    outputs: int
    is_turned: bool = False
    ones: str = ""
    bias: Piece | None = None

    def read(self, arrays: Arrays) -> Affine:
        """The map."""
        rows = self.inputs + bool(self.ones)
        stored = self.weight.of(arrays)
        W = stored.reshape(self.outputs, rows).T if self.is_turned else stored.reshape(rows, self.outputs)
        if self.ones:
            return Affine(W[1:], W[0]) if self.ones == "first" else Affine(W[:-1], W[-1])
        b = np.zeros(self.outputs) if self.bias is None else self.bias.of(arrays).reshape(self.outputs)
        return Affine(W, b)

    def add(self, gradient: Affine, into: Arrays) -> None:
        """Add the gradients where the map is stored."""
        dW, db = gradient
        if self.ones:
            dW = np.vstack([db, dW] if self.ones == "first" else [dW, db])
        self.weight.add(dW.T if self.is_turned else dW, into)
        if self.bias is not None:
            self.bias.add(db, into)


@dataclass(frozen=True)
class Rebuilt:
    """The chain, and where its parameters are stored."""

    chain: Chain
    stored: Sequence[Stored]

    def by_name(self, gradients: Sequence[Affine], like: Arrays) -> dict[str, np.ndarray]:
        """The gradients in the places of the parameters."""
        found = {name: np.zeros(np.shape(array)) for name, array in like.items()}
        for layer, gradient in zip(self.stored, gradients, strict=True):
            layer.add(gradient, found)
        return found


def rebuild(network: Network) -> Rebuilt | None:
    """The network as a chain; None if it is none that we know."""
    points = list(_points(network))
    values, losses = [value for value, _ in points], np.array([loss for _, loss in points])
    if not np.all(np.isfinite(losses)):
        return None
    limit = _SAME[next(network.parameters()).dtype.name] * float(np.max(np.abs(losses)))
    with np.errstate(all="ignore"):
        for forms, seconds in (
            (_plain, SECONDS),
            (_with_skips, MORE_SECONDS),
            (_with_ties, MORE_SECONDS),
            (_with_dropout, MORE_SECONDS),
        ):
            found = _fitting(forms(network, values[0]), values, losses, limit, seconds)
            if found is not None:
                return found
    return None


def _fitting(
    forms: Iterator["Form"], values: Sequence[Arrays], losses: np.ndarray, limit: float, seconds: float
) -> Rebuilt | None:
    """The first of the forms that has these losses at these parameters; None if the seconds are over."""
    end = time.process_time() + seconds
    stored: Sequence[Stored] = ()
    for form in forms:
        if form.stored is not stored:  # as many forms have in turn
            stored = form.stored
            many = [_at_all(layer, values) for layer in stored]
        chain = Chain(
            form.X,
            form.targets[0],
            many,
            form.activations,
            LOSSES[0],
            skips=form.skips,
            dropped=form.dropped,
            tied=_ties_of(stored),
        )
        fitted = _with_loss(chain, form.targets, losses, limit)
        if fitted is not None:
            return Rebuilt(replace(fitted, layers=[layer.read(values[0]) for layer in stored]), stored)
        if time.process_time() > end:
            return None
    return None


class Form(NamedTuple):
    """A chain that the network may be, but for the loss."""

    stored: Sequence[Stored]
    X: np.ndarray
    targets: Sequence[np.ndarray]
    activations: Sequence[Activation]
    skips: tuple[Skip, ...] = ()
    dropped: Mapping[int, np.ndarray] = MappingProxyType({})


def _plain(network: Network, values: Arrays) -> Iterator[Form]:
    for stored, X, targets in _arrangements(network, values):
        for activations in _activations(len(stored)):
            yield Form(stored, X, targets, activations)


def _with_skips(network: Network, values: Arrays) -> Iterator[Form]:
    for stored, X, targets in _arrangements(network, values):
        for skips in _skips(stored):
            for activations in _activations(len(stored)):
                yield Form(stored, X, targets, activations, skips)
            for activations in _activations(len(stored)):
                ends = {skip.end for skip in skips}
                if any(activations[end] is not LINEAR for end in ends):
                    linear = tuple(LINEAR if at in ends else a for at, a in enumerate(activations))
                    yield Form(stored, X, targets, linear, skips)


def _skips(stored: Sequence[Stored]) -> Iterator[tuple[Skip, ...]]:
    """Skips past one or two layers: one, or one behind the other wherever they fit."""
    widths = [stored[0].inputs, *(layer.outputs for layer in stored)]
    for length, is_inside in itertools.product((1, 2), (True, False)):
        fitting = [
            Skip(start, start + length - 1, is_inside)
            for start in range(len(stored) - length + 1)
            if widths[start] == widths[start + length]
        ]
        behind: list[Skip] = []
        for skip in fitting:
            if not behind or skip.start > behind[-1].end:
                behind.append(skip)
        if len(behind) > 1:
            yield tuple(behind)
        yield from ((skip,) for skip in fitting)


def _with_ties(network: Network, values: Arrays) -> Iterator[Form]:
    for stored, X, targets in _arrangements(network, values, tied=True):
        for activations in _activations(len(stored)):
            yield Form(stored, X, targets, activations)


def _with_dropout(network: Network, values: Arrays) -> Iterator[Form]:
    """With the masks that the network draws, behind one hidden layer or several."""
    found: list[Form] = []
    end = time.process_time() + MORE_SECONDS / 2
    for stored, X, targets in _arrangements(network, values):
        if time.process_time() > end:
            break
        masks = drawn_masks(network, stored, X)
        found += [Form(stored, X, targets, (), (), masks)] if masks else []
    for at in range(len(KEEPS) if found else 0):
        for form in found:
            keep = likeliest(form.dropped.values())[at]
            dropped = {layer: mask / keep for layer, mask in form.dropped.items()}
            for activations in _activations(len(form.stored)):
                yield form._replace(activations=activations, dropped=dropped)


def _ties_of(stored: Sequence[Stored]) -> tuple[tuple[int, ...], ...]:
    """The layers that share a weight."""
    by_weight: dict[Piece, list[int]] = {}
    for at, layer in enumerate(stored):
        by_weight.setdefault(layer.weight, []).append(at)
    return tuple(tuple(layers) for layers in by_weight.values() if len(layers) > 1)


def _at_all(layer: Stored, values: Sequence[Arrays]) -> Affine:
    """The map at every point, W (P, in, out) and b (P, 1, out)."""
    maps = [layer.read(value) for value in values]
    return Affine(np.stack([W for W, _ in maps]), np.stack([b[None] for _, b in maps]))


def _points(network: Network) -> Iterator[tuple[dict[str, np.ndarray], float]]:
    """The parameters, and some others close to them, each with the loss that the network has there."""
    rng = np.random.default_rng(0)
    for at in range(POINTS):
        moved = network.moved(rng, 0.3 * bool(at))
        yield {name: np.array(value, float) for name, value in moved.values().items()}, moved.loss_at(0)


# ---- the layers


def _arrangements(
    network: Network, values: Arrays, tied: bool = False
) -> Iterator[tuple[list[Stored], np.ndarray, list[np.ndarray]]]:
    """Layers that use every parameter once, the data as rows, and what their targets may be.

    ``tied``: one of the weights is used twice; then whole numbers may also choose its rows.
    """
    pairs = list(_data(network.held))
    if tied:
        heights = sorted({array.shape[0] for array in values.values() if array.ndim == 2}, reverse=True)
        pairs = [*((chosen, T) for X, T in pairs for V in heights for chosen in _one_hot(X, V)), *pairs]
    for X, T in pairs:
        for pieces in _pieces(values, X.shape[1]):
            every = [[*pieces, Piece(*each)] for each in pieces if len(each.shape) == 2] if tied else [pieces]
            for each in every:
                yield from _arranged(each, X, T)


def _arranged(
    pieces: list[Piece], X: np.ndarray, T: np.ndarray
) -> Iterator[tuple[list[Stored], np.ndarray, list[np.ndarray]]]:
    for stored in itertools.islice(_layers(pieces, X.shape[1]), _MOST_ARRANGEMENTS):
        targets = list(_targets(T, len(X), stored[-1].outputs))
        if targets:
            yield stored, X, targets


def _pieces(values: Arrays, D: int) -> Iterator[list[Piece]]:
    """The parameters; neurons of one layer together; and one vector as a network with a hidden layer."""
    yield [Piece((name,), 0, array.shape) for name, array in values.items()]
    neurons = _neurons(values)
    if len(neurons) < len(values):
        yield neurons
    if len(values) == 1 and next(iter(values.values())).ndim == 1:
        ((name, array),) = values.items()
        yield from _blocks(name, array.size, D)


def _neurons(values: Arrays) -> list[Piece]:
    """The parameters, those called layer[0].weights, layer[1].weights, … as rows of one matrix."""
    layers: dict[tuple[str, ...], list[str]] = {}
    for name, array in values.items():
        before, inside, after = name.rpartition("[")
        number, _, attribute = after.partition("]")
        own = (before, attribute) if inside and array.ndim < 2 else (name, number, "")
        layers.setdefault((*own, str(array.shape)), []).append(name)
    pieces = []
    for names in layers.values():
        shape = values[names[0]].shape
        pieces.append(Piece(tuple(names), 0, (len(names), *shape) if len(names) > 1 else shape))
    return pieces


def _blocks(name: str, size: int, D: int) -> Iterator[list[Piece]]:
    """A vector as two layers, of every width that fits, biases among the weights or by themselves."""
    for K in range(1, 11):
        for H in range(1, size // (D + 1) + 1):
            if size != (D + 1) * H + (H + 1) * K:
                continue
            for sizes in (
                ((D + 1, H), (H + 1, K)),
                ((H, D + 1), (K, H + 1)),
                ((D, H), (H,), (H, K), (K,)),
                ((H, D), (H,), (K, H), (K,)),
                ((D, H), (H, K), (H,), (K,)),
            ):
                starts = itertools.accumulate((math.prod(each) for each in sizes), initial=0)
                yield [Piece((name,), start, each) for start, each in zip(starts, sizes, strict=False)]


def _layers(pieces: list[Piece], D: int) -> Iterator[list[Stored]]:
    """Every way to take affine maps from the pieces, from D features on, until none is left."""
    if not pieces or len(pieces) > 2 * _MOST_LAYERS:
        return
    for piece in pieces:
        others = [other for other in pieces if other is not piece]
        for layer in _maps(piece, D):
            biases = [b for b in others if b.size == layer.outputs and max((1, *b.shape)) == b.size]
            with_bias = [] if layer.ones else [replace(layer, bias=b) for b in biases]
            for each in (*with_bias, layer):
                left = [other for other in others if other is not each.bias]
                if not left:
                    yield [each]
                if each.outputs == 1:  # one number alone stands at the end
                    continue
                for rest in _layers(left, layer.outputs):
                    yield [each, *rest]


def _maps(piece: Piece, D: int) -> Iterator[Stored]:
    """The maps of D features that the piece may be."""
    if len(piece.shape) == 1 and piece.size in (D, D + 1):
        yield Stored(piece, D, 1, ones="") if piece.size == D else Stored(piece, D, 1, ones="last")
        if piece.size == D + 1:
            yield Stored(piece, D, 1, ones="first")
    if len(piece.shape) != 2:
        return
    rows, columns = piece.shape
    for inputs, outputs, is_turned in ((rows, columns, False), (columns, rows, True)):
        if inputs == D:
            yield Stored(piece, D, outputs, is_turned)
        if inputs == D + 1:
            for ones in ("last", "first"):
                yield Stored(piece, D, outputs, is_turned, ones)


def _activations(count: int) -> Iterator[tuple[Activation, ...]]:
    """The same activation between all layers, then mixed ones; whatever is usual at the end."""
    for inner in INNER if count > 1 else (LINEAR,):
        for end in ENDS:
            yield (*[inner] * (count - 1), end)
    if count == 3:
        for first, second in itertools.permutations(_MIXED, 2):
            for end in ENDS:
                yield first, second, end


# ---- the data


def _data(held: Sequence[Any]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Two of the arrays among the data: features, samples as rows, and targets."""
    arrays = [array for each in held for array in _arrays(each)]
    pairs = list(itertools.permutations(arrays, 2)) or [(each, each) for each in arrays]
    for X, T in pairs:
        if X.ndim == 2:
            yield X, T
            yield X.T, T
        elif X.ndim == 1:
            yield X[None], T
            yield X[:, None], T
        elif X.ndim == 0:
            yield X[None, None], T


def _one_hot(X: np.ndarray, V: int) -> Iterator[np.ndarray]:
    """Whole numbers below V as rows with a single 1, which choose rows of a matrix."""
    if min(X.shape) == 1 and not np.any(X % 1) and np.min(X) >= 0 and np.max(X) < V:
        yield np.eye(V)[X.astype(int).reshape(-1)]


def _arrays(datum: Any) -> list[np.ndarray]:
    """A datum as an array; a list of (x, target) as two."""
    for parts in ([datum], list(zip(*datum, strict=True)) if _is_of_pairs(datum) else []):
        try:
            arrays = [np.asarray(part, float) for part in parts]
        except (ValueError, TypeError):  # of other lengths, or no numbers
            continue
        if arrays:
            return arrays
    return []


def _is_of_pairs(datum: Any) -> bool:
    return isinstance(datum, list | tuple) and all(
        isinstance(each, list | tuple) and len(each) == 2 for each in datum
    )


def _targets(T: np.ndarray, N: int, K: int) -> Iterator[np.ndarray]:
    """The targets as (N, K): as they are, as columns, or classes as rows with a single 1."""
    if T.shape == (N, K):
        yield T
    if T.ndim == 2 and T.T.shape == (N, K) and N != K:
        yield T.T
    if T.size == N * K and (T.ndim < 2 or min(T.shape) == 1) and 1 in (N, K) and T.shape != (N, K):
        yield T.reshape(N, K)
    if T.size == N and K > 1 and not np.any(T % 1) and np.min(T) >= 0 and np.max(T) < K:
        yield np.eye(K)[T.astype(int).reshape(-1)]


# ---- the loss


def _with_loss(chain: Chain, targets: Sequence[np.ndarray], losses: np.ndarray, limit: float) -> Chain | None:
    """The chain, of maps at all points, with the loss that it has there, if that is one of ours."""
    y = chain.forward().a[-1]
    if not np.all(np.isfinite(y)):
        return None
    pairs = [(T, loss) for T in targets for loss in _losses(chain.activations[-1])]
    totals = np.stack([loss.total(y, T).sum(axis=(1, 2)) for T, loss in pairs])
    of_weights = sum(np.square(W).sum(axis=(1, 2)) for W, _ in chain.layers)
    of_biases = sum(np.square(b).sum(axis=(1, 2)) for _, b in chain.layers)
    for decays_biases, squares in ((False, None), (False, of_weights), (True, of_weights + of_biases)):
        fitted = _fit(totals, squares, losses, limit)
        if fitted is not None:
            at, scale, decay = fitted
            T, loss = pairs[at]
            return replace(chain, T=T, loss=loss, scale=scale, decay=decay, decays_biases=decays_biases)
    return None


def _losses(end: Activation) -> list[Loss]:
    """The losses that may stand behind this activation."""
    if end is SOFTMAX:
        return [*LOSSES, *OF_PROBABILITIES]
    of_two = [loss for loss in OF_PROBABILITIES if loss.exact is BINARY] if end is SIGMOID else []
    return [*(loss for loss in LOSSES if loss is not CROSS), *of_two]


def _fit(
    totals: np.ndarray, squares: np.ndarray | None, losses: np.ndarray, limit: float
) -> tuple[int, float, float] | None:
    """(row, scale, decay) with which a row of ``totals`` (M, P) and the squares are all the losses."""
    rows, rest, e = totals, losses, squares
    if e is not None:  # least squares in two steps: first without what the squares explain
        rows, rest = rows - np.outer(rows @ e, e) / (e @ e), rest - e * (rest @ e) / (e @ e)
    scales = rows @ rest / np.square(rows).sum(axis=1)
    off = np.abs(scales[:, None] * rows - rest).max(axis=1)
    fitting = np.flatnonzero((off <= limit) & (scales > 0) & (np.ptp(totals, axis=1) > 0))
    if not len(fitting):
        return None
    # The best, and of those that differ in rounding the first.
    at = int(fitting[np.argmin(off[fitting] // (1e-4 * limit))])
    decay = 0.0 if e is None else float((losses - scales[at] * totals[at]) @ e / (e @ e))
    return at, float(scales[at]), decay
