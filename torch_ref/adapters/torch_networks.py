"""The PyTorch side of a whole network: a function of tensors, as a module of the same parameters."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from torch_ref.adapters.held_data import cast
from torch_ref.adapters.networks import Network
from torch_ref.adapters.parameter_parts import ALONG
from torch_ref.adapters.parameter_tree import Leaf
from torch_ref.adapters.paths import put


class TorchNetwork(torch.nn.Module):
    """The loss by a function of torch tensors, on the parameters and the data of a network of ours.

    The function gets the parameters nested as ours are, and the data, arrays as tensors.
    """

    def __init__(self, network: Network, function: Callable[..., Any]) -> None:
        super().__init__()
        self.network, self.function = network, function
        for name, p in network.named_parameters():
            *way, last = name.split(".")
            owner: torch.nn.Module = self
            for part in way:  # a name of torch has no dots
                if part not in dict(owner.named_children()):
                    owner.add_module(part, torch.nn.Module())
                owner = owner.get_submodule(part)
            owner.register_parameter(last, torch.nn.Parameter(torch.from_numpy(np.array(p.data))))

    def forward(self) -> torch.Tensor:
        """The loss, ()."""
        network = self.network
        tensors = dict(self.named_parameters())
        root = [None, copy.deepcopy(network.call.root[1])]
        for name, leaf in network.leaves.items():
            put(root, network.places[name][0], _kept(leaf, self._value(name, tensors)))
        dtype = next(iter(tensors.values())).detach().numpy().dtype
        data = _tensors(cast(network.held, dtype))
        params = root[1]
        values = list(params.values()) if isinstance(params, dict) else []
        arguments = {
            "last": (*data, params),
            "spread": (*values, *data),
            "spread last": (*data, *values),
        }.get(network.call.style, (params, *data))
        return self.function(*arguments).reshape(())

    def _value(self, name: str, tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
        part = self.network.parts.get(name)
        if part is None:
            return tensors[name]
        (start,) = self.network.start[name]
        entries, directions = torch.from_numpy(part.entries), torch.from_numpy(part.directions)
        whole = torch.from_numpy(start.reshape(-1).copy()).index_put((entries,), tensors[name])
        return (whole + tensors[name + ALONG] @ directions).reshape(start.shape)


def _kept(leaf: Leaf, tensor: torch.Tensor) -> Any:
    """The tensor as the network keeps it: a list of numbers where it keeps one."""
    if leaf.kind is None or not tensor.ndim:
        return tensor
    below = [_kept(leaf, each) for each in tensor]
    return tuple(below) if leaf.kind is tuple else below


def _tensors(data: Any) -> Any:
    """The data, arrays as tensors."""
    if isinstance(data, np.ndarray | np.floating):
        return torch.from_numpy(np.array(data))
    if type(data) in (list, tuple):
        return type(data)(_tensors(each) for each in data)
    if type(data) is dict:
        return {key: _tensors(each) for key, each in data.items()}
    return data
