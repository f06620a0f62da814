"""The masks of the dropout in a network, found by asking what its loss depends on.

Where the weights behind a layer are 0, but for those of one of its neurons, the loss depends on a sample only
through that neuron: if it does not, the neuron is dropped there. Random numbers are the same in every call.
"""

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from scratch.grad_mode import no_grad
from torch_ref.adapters.networks import Network
from torch_ref.faults.chains import Affine

# Of so many entries a mask may be.
_MOST = 400
# If none of so many entries is dropped, the layer has no dropout.
_SOME = 24
# Other numbers are tried for a neuron that seems dropped, since a ReLU may be closed there.
_TRIES = 8


class Map(Protocol):
    """An affine map as it is stored."""

    @property
    def inputs(self) -> int:
        """The number of its inputs."""

    @property
    def outputs(self) -> int:
        """The number of its outputs."""

    def add(self, gradient: Affine, into: Mapping[str, np.ndarray]) -> None:
        """Add W and b where they are stored."""


# The shares that people keep; 1 where the rest is not scaled by 1 / keep.
KEEPS = (*(0.05 * k for k in range(1, 20)), 1.0)


def likeliest(masks: Iterable[np.ndarray]) -> list[float]:
    """What the masks may be divided by, the likeliest first."""
    share = float(np.mean(np.concatenate([mask.reshape(-1) for mask in masks])))
    return sorted(KEEPS, key=lambda keep: 0.0 if keep == 1 else abs(keep - share))


def drawn_masks(network: Network, stored: Sequence[Map], X: np.ndarray) -> dict[int, np.ndarray]:
    """1 where a neuron of a hidden layer is kept for a sample, else 0; by layer, those with a 0 alone."""
    at = next((i for i, x in enumerate(network.held) if _is(x, X)), None)
    sizes = [len(X) * layer.outputs for layer in stored[:-1]]
    if at is None or network.parts or sum(sizes) > _MOST:
        return {}
    found = {}
    for layer, size in enumerate(sizes):
        through = _Through(copy.deepcopy(network), network.held, stored, at, X, layer)
        if through.leaks():  # it is not this layer that the parameters belong to
            return {}
        some = np.random.default_rng(0).permutation(size)[:_SOME]
        if all(map(through.counts, some)):
            continue
        mask = np.array([through.counts(entry) for entry in range(size)], dtype=float)
        found[layer] = mask.reshape(len(X), -1)
    return found


def _is(x: Any, X: np.ndarray) -> bool:
    """Whether a datum is X, samples as rows or as columns."""
    is_floating = isinstance(x, np.ndarray) and x.dtype.kind == "f"
    return is_floating and (np.array_equal(x, X) or np.array_equal(x.T, X))


class _Through(NamedTuple):
    """A network as a function of datum ``at``, which is X, through one neuron of a layer.

    The network is changed; ``held`` are its data as they were.
    """

    network: Network
    held: tuple[Any, ...]
    stored: Sequence[Map]
    at: int
    X: np.ndarray
    layer: int

    def counts(self, entry: int) -> bool:
        """Whether the loss depends on a sample through this neuron, by their number in the mask."""
        sample, unit = divmod(int(entry), self.stored[self.layer].outputs)
        rng = np.random.default_rng([entry, self.layer])
        for _ in range(_TRIES):
            self._draw(unit, rng)
            X, other = (rng.standard_normal(self.X.shape) for _ in range(2))
            other = np.where(np.arange(len(X))[:, None] == sample, other, X)
            here, there = map(self._loss, (X, other))
            if np.isfinite(here - there) and not np.isclose(here, there, rtol=1e-9, atol=0):
                return True
        return False

    def leaks(self) -> bool:
        """Whether the loss depends on the data although all weights behind the layer are 0."""
        rng = np.random.default_rng(0)
        self._draw(-1, rng)
        here, there = (self._loss(rng.standard_normal(self.X.shape)) for _ in range(2))
        return not np.isclose(here, there, rtol=1e-9, atol=0)

    def _draw(self, unit: int, rng: np.random.Generator) -> None:
        """Give the network other parameters, all weights behind the layer 0 but those of this neuron."""
        values = {name: np.zeros(value.shape) for name, value in self.network.values().items()}
        for at, layer in enumerate(self.stored):
            W = rng.standard_normal((layer.inputs, layer.outputs))
            if at == self.layer + 1:
                W *= np.arange(layer.inputs)[:, None] == unit
            layer.add(Affine(W, rng.standard_normal(layer.outputs)), values)
        for name, value in values.items():
            p = getattr(self.network, name)
            p.data = value.astype(p.dtype)

    def _loss(self, X: np.ndarray) -> float:
        """The loss on these data."""
        data = X.astype(self.held[self.at].dtype)
        if not np.array_equal(self.held[self.at], self.X):
            data = data.T
        self.network.held = (*self.held[: self.at], data, *self.held[self.at + 1 :])
        with no_grad():
            return float(self.network.forward())
