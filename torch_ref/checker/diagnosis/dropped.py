"""The masks of the dropout in a network, found by asking what its loss depends on.

Where the weights behind a layer are 0, but for those of one of its neurons, the loss depends on a sample only
through that neuron: if it does not, the neuron is dropped there. Random numbers are the same in every call.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from torch_ref.adapters.networks import Network
from torch_ref.faults.chains import Affine

# Of so many entries a mask may be.
_MOST = 400
# If none of so many entries is dropped, the layer has no dropout.
_SOME = 24
# Other numbers are tried for a neuron that seems dropped, since a ReLU may be closed there.
_TRIES = 12


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


def _scaled(keep: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda mask: mask / keep


# What the activations are multiplied by, from what is kept: by 1 / keep, or not at all.
SCALES = [
    _scaled(keep) for keep in (0.5, 0.8, 1.0, 0.9, 0.7, 0.75, 0.6, 0.4, 0.3, 0.25, 0.2, 0.1, 0.85, 0.95)
]


def drawn_masks(network: Network, stored: Sequence[Map], X: np.ndarray) -> dict[int, np.ndarray]:
    """1 where a neuron of a hidden layer is kept for a sample, else 0; by layer, those with a 0 alone."""
    at = next((i for i, x in enumerate(network.held) if _is(x, X)), None)
    sizes = [len(X) * layer.outputs for layer in stored[:-1]]
    if at is None or network.parts or sum(sizes) > _MOST:
        return {}
    found = {}
    for layer, size in enumerate(sizes):
        through = _Through(network, stored, at, X, layer)
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
    """The network as a function of datum ``at``, which is X, through one neuron of a layer."""

    network: Network
    stored: Sequence[Map]
    at: int
    X: np.ndarray
    layer: int

    def counts(self, entry: int) -> bool:
        """Whether the loss depends on a sample through this neuron, by their number in the mask."""
        sample, unit = divmod(int(entry), self.stored[self.layer].outputs)
        rng = np.random.default_rng([entry, self.layer])
        for _ in range(_TRIES):
            network = self._at_random(unit, rng)
            X, other = (rng.standard_normal(self.X.shape) for _ in range(2))
            other = np.where(np.arange(len(X))[:, None] == sample, other, X)
            here, there = (network.on(self._data(x)).loss_at(0) for x in (X, other))
            if np.isfinite(here - there) and not np.isclose(here, there, rtol=1e-9, atol=0):
                return True
        return False

    def _at_random(self, unit: int, rng: np.random.Generator) -> Network:
        """The network at other parameters, all weights behind the layer 0 but those of this neuron."""
        values = {name: np.zeros(value.shape) for name, value in self.network.values().items()}
        for at, layer in enumerate(self.stored):
            W = rng.standard_normal((layer.inputs, layer.outputs))
            if at == self.layer + 1:
                W *= np.arange(layer.inputs)[:, None] == unit
            layer.add(Affine(W, rng.standard_normal(layer.outputs)), values)
        network = copy.deepcopy(self.network)
        for name, value in values.items():
            p = getattr(network, name)
            p.data = value.astype(p.dtype)
        return network

    def _data(self, X: np.ndarray) -> tuple[Any, ...]:
        x = self.network.held[self.at]
        data = (X if np.array_equal(x, self.X) else X.T).astype(x.dtype)
        return (*self.network.held[: self.at], data, *self.network.held[self.at + 1 :])
