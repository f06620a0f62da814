"""The networks of the report, each one built by both sides from the same seed; nothing is shared."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import scratch
import scratch.models
import torch_ref.models
from scratch import nn
from scratch.data import TensorDataset
from scratch.datasets import Splits, Text


@dataclass(frozen=True)
class Network:
    """A network by name: how the NumPy side builds it, how the PyTorch side does, and the data it is for.

    ``splits`` has the data in each dtype. ``batch_size`` samples make a batch, and ``lr`` is what SGD trains
    it with.
    """

    name: str
    ours: Callable[..., nn.Module]
    theirs: Callable[..., torch.nn.Module]
    splits: dict[str, Splits]
    batch_size: int
    lr: float

    def build(self, dtype: str, seed: int) -> tuple[nn.Module, torch.nn.Module]:
        """Both sides, new, from the same seed; the global generators are left as that leaves them."""
        scratch.manual_seed(seed)
        torch.manual_seed(seed)
        return self.ours(dtype=np.dtype(dtype)), self.theirs(dtype=getattr(torch, dtype))

    def batch(self, dtype: str, size: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The first samples for training: x and label."""
        return self.splits[dtype].train[: size or self.batch_size]


def two_layer(splits: dict[str, Splits], hidden_size: int = 50, batch_size: int = 100) -> Network:
    """The book's TwoLayerNet for these data, such as 784-50-10."""
    sizes = input_size(splits["float64"]), hidden_size, 10
    return Network(
        "-".join(map(str, sizes)),
        lambda dtype: scratch.models.two_layer_net(*sizes, dtype=dtype),
        lambda dtype: torch_ref.models.two_layer_net(*sizes, dtype=dtype),
        splits,
        batch_size,
        lr=0.1,
    )


def xor(splits: dict[str, Splits]) -> Network:
    """The network that learns XOR from a batch of all four samples."""
    return Network(
        "XOR 2-4-2",
        lambda dtype: scratch.models.xor_net(dtype=dtype),
        lambda dtype: torch_ref.models.xor_net(dtype=dtype),
        splits,
        batch_size=4,
        lr=3.0,
    )


def pictures(name: str, splits: dict[str, Splits], batch_size: int, lr: float) -> Network:
    """A network of scratch/models.py that classifies images, or their pixels."""
    return Network(
        name, getattr(scratch.models, name), getattr(torch_ref.models, name), splits, batch_size, lr
    )


def of_text(name: str, text: Text, batch_size: int, lr: float, **sizes: int) -> Network:
    """A network of scratch/models.py that tells the next character."""
    splits = Splits(text.train, text.test)
    own = len(text.characters)
    return Network(
        name,
        lambda dtype: getattr(scratch.models, name)(own, **sizes, dtype=dtype),
        lambda dtype: getattr(torch_ref.models, name)(own, **sizes, dtype=dtype),
        {dtype: splits for dtype in ("float32", "float64")},
        batch_size,
        lr,
    )


def some(splits: Any, train: int, test: int) -> Splits:
    """The first samples of both parts."""
    return Splits(*(TensorDataset(*part[:n]) for part, n in zip(splits[:2], (train, test), strict=True)))


def input_size(splits: Splits) -> int:
    """How many numbers a sample has."""
    return splits.train.tensors[0].shape[1]


def to_torch(dataset: TensorDataset) -> torch.utils.data.TensorDataset:
    """The same samples for PyTorch."""
    return torch.utils.data.TensorDataset(*map(torch.from_numpy, dataset.tensors))


def parameter_vector(model: Any) -> np.ndarray:
    """All parameters of either side's model, end to end, copied."""
    arrays = [getattr(p, "data", p) for p in model.parameters()]
    return np.concatenate([np.asarray(a).reshape(-1) for a in arrays])
