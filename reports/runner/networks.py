"""The networks of the report, each one built by both sides from the same seed; no memory is shared."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

import scratch
from reports.runner.data import Data
from scratch import datasets, models, nn
from scratch.data import TensorDataset
from scratch.datasets import Splits
from torch_ref.twin import models as twins
from torch_ref.twin.kernel import fitting_kernel


@dataclass(frozen=True)
class Network:
    """A network by name: how the NumPy side builds it, how the PyTorch side does, and the data it is for.

    ``splits`` has the data in each dtype. ``batch_size`` samples make a batch, and ``lr`` is what SGD trains
    it with.
    """

    name: str
    ours: Callable[..., nn.Module]
    theirs: Callable[..., torch.nn.Module]
    splits: Mapping[str, Splits]
    batch_size: int
    lr: float

    def build(self, dtype: str, seed: int) -> tuple[nn.Module, torch.nn.Module]:
        """Both sides, new, from the same seed; the global generators are left as that leaves them.

        Where torch draws as no kernel of scratch.random does, the NumPy side gets a copy of its weights.
        """
        scratch.manual_seed(seed)
        torch.manual_seed(seed)
        model, twin = self.ours(dtype=np.dtype(dtype)), self.theirs(dtype=getattr(torch, dtype))
        if fitting_kernel() is None:
            model.load_state_dict(twin.state_dict())
        return model, twin

    def batch(self, dtype: str, size: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The first samples for training: x and label."""
        return self.splits[dtype].train[: size or self.batch_size]


def two_layer(splits: Mapping[str, Splits], hidden_size: int = 50, batch_size: int = 100) -> Network:
    """The book's TwoLayerNet for these data, such as 784-50-10."""
    sizes = input_size(splits["float64"]), hidden_size, 10
    return _pair("two_layer_net", splits, batch_size, *sizes, name="-".join(map(str, sizes)))


def xor(splits: Mapping[str, Splits]) -> Network:
    """The network that learns XOR from a batch of all four samples."""
    return _pair("xor_net", splits, name="XOR 2-4-2")


# Batch size and learning rate, of the book or of the literature.
_TRAINED = {
    "two_layer_net": (100, 0.1),
    "xor_net": (4, 3.0),
    "mlp_batchnorm": (100, 0.05),
    "simple_conv_net": (100, 0.05),
    "deep_conv_net": (100, 0.01),
    "CharLSTM": (32, 0.5),
    "GPT": (16, 0.05),
}
_OWN_DATA = {"xor_net": "xor", "CharLSTM": "text", "GPT": "text"}


def has_own_data(model: str) -> bool:
    """Whether a network has data of its own, which no option changes."""
    return model in _OWN_DATA


def by_name(model: str, data: Data | None = None) -> Network:
    """A network of scratch/models.py, as it is usually trained.

    Args:
        model: its name there.
        data: images to learn, flattened or not; None is mnist5k. XOR and texts have data of their own.
    """
    flatten = model in ("two_layer_net", "mlp_batchnorm")
    data = replace(data or Data("mnist5k"), flatten=flatten)
    data = Data(_OWN_DATA[model]) if model in _OWN_DATA else data
    if model == "xor_net":
        return xor(data)
    if model == "two_layer_net":
        return two_layer(data)
    if data.name == "text":
        return _pair(model, data, None, len(datasets.text().characters))
    size = "input_size" if flatten else "image_size"
    return _pair(model, data, **{size: data["float64"].train.tensors[0].shape[-1]})


def smaller(model: str, data: Data) -> Network:
    """A network with a tenth of the batch, or a quarter of the texts: to be quick in a report."""
    whole = by_name(model, data)
    return replace(whole, batch_size=10 if whole.batch_size == 100 else 4)


def _pair(
    model: str,
    splits: Mapping[str, Splits],
    batch_size: int | None = None,
    *sizes: int,
    name: str = "",
    **named: int,
) -> Network:
    usual, lr = _TRAINED[model]
    ours, theirs = (partial(getattr(side, model), *sizes, **named) for side in (models, twins))
    return Network(name or model, ours, theirs, splits, batch_size or usual, lr)


def some(splits: Any, train: int, test: int) -> Splits:
    """The first samples of both parts."""
    return Splits(*(TensorDataset(*part[:n]) for part, n in zip(splits[:2], (train, test), strict=True)))


def with_one_batch(network: Network) -> Network:
    """The network with no more data than its first batch: little to send to another process."""
    few = {dtype: some(network.splits[dtype], network.batch_size, 1) for dtype in network.splits}
    return replace(network, splits=few)


def input_size(splits: Splits) -> int:
    """The count of numbers in a sample."""
    return splits.train.tensors[0].shape[1]


def to_torch(dataset: TensorDataset) -> torch.utils.data.TensorDataset:
    """The same samples for PyTorch."""
    return torch.utils.data.TensorDataset(*map(torch.from_numpy, dataset.tensors))


def parameter_vector(model: Any) -> np.ndarray:
    """All parameters of either side's model, end to end, copied."""
    arrays = [getattr(p, "data", p) for p in model.parameters()]
    return np.concatenate([np.asarray(a).reshape(-1) for a in arrays])
