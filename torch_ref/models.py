"""The networks of scratch/models.py in plain torch.nn, to be read beside them."""

import torch
from torch import nn


def two_layer_net(
    input_size: int = 784, hidden_size: int = 50, output_size: int = 10, dtype: torch.dtype = torch.float32
) -> nn.Sequential:
    """The book's TwoLayerNet: scores for the digits from their pixels; goes with CrossEntropyLoss.

    Shape: x (N, input_size), y (N, output_size).
    """
    return nn.Sequential(
        nn.Linear(input_size, hidden_size, dtype=dtype),
        nn.ReLU(),
        nn.Linear(hidden_size, output_size, dtype=dtype),
    )


def xor_net(hidden_size: int = 4, dtype: torch.dtype = torch.float32) -> nn.Sequential:
    """A sigmoid network that can learn XOR, which no single layer can; goes with CrossEntropyLoss.

    Shape: x (N, 2), y (N, 2).
    """
    return nn.Sequential(
        nn.Linear(2, hidden_size, dtype=dtype),
        nn.Sigmoid(),
        nn.Linear(hidden_size, 2, dtype=dtype),
    )


class Residual(nn.Module):
    """A way around a module: y = x + f(x).

    Args:
        module: f.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """y = x + f(x)."""
        return x + self.module(x)  # type: ignore[no-any-return]
