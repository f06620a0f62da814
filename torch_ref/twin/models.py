"""The networks of scratch/models.py in plain torch.nn, to be read beside them."""

from itertools import pairwise

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


def mlp_batchnorm(
    input_size: int = 784,
    hidden_size: int = 100,
    output_size: int = 10,
    dtype: torch.dtype = torch.float32,
) -> nn.Sequential:
    """Five hidden layers, each with a batch norm before its ReLU; goes with CrossEntropyLoss.

    Shape: x (N, input_size), y (N, output_size).
    """
    sizes = (input_size, *[hidden_size] * 5)
    hidden = [
        layer
        for i, o in pairwise(sizes)
        for layer in (nn.Linear(i, o, dtype=dtype), nn.BatchNorm1d(o, dtype=dtype), nn.ReLU())
    ]
    return nn.Sequential(*hidden, nn.Linear(hidden_size, output_size, dtype=dtype))


def simple_conv_net(
    channels: int = 30, hidden_size: int = 100, image_size: int = 28, dtype: torch.dtype = torch.float32
) -> nn.Sequential:
    """The book's SimpleConvNet: one convolution, then two linear layers; goes with CrossEntropyLoss.

    Shape: x (N, 1, image_size, image_size), y (N, 10).
    """
    side = (image_size - 4) // 2
    return nn.Sequential(
        nn.Conv2d(1, channels, 5, dtype=dtype),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(channels * side * side, hidden_size, dtype=dtype),
        nn.ReLU(),
        nn.Linear(hidden_size, 10, dtype=dtype),
    )


def deep_conv_net(image_size: int = 28, dtype: torch.dtype = torch.float32) -> nn.Sequential:
    """The book's DeepConvNet, right for 99% of MNIST: 16-16-pool-32-32-pool-64-64-pool-50-10, dropout.

    Shape: x (N, 1, image_size, image_size), y (N, 10).
    """
    layers: list[nn.Module] = []
    for i, o, padding in ((1, 16, 1), (16, 16, 1), (16, 32, 1), (32, 32, 2), (32, 64, 1), (64, 64, 1)):
        layers += [nn.Conv2d(i, o, 3, padding=padding, dtype=dtype), nn.ReLU()]
        if i == o:
            layers.append(nn.MaxPool2d(2))
    side = (image_size // 4 + 1) // 2
    model = nn.Sequential(
        *layers,
        nn.Flatten(),
        nn.Linear(64 * side * side, 50, dtype=dtype),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(50, 10, dtype=dtype),
        nn.Dropout(0.5),
    )
    for module in model:
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]
    return model


class CharLSTM(nn.Module):
    """Characters, one after the other, to scores for the next: Embedding, LSTM, Linear.

    Shape: x (N, T), y (N, vocab_size, T).
    """

    def __init__(
        self,
        vocab_size: int,
        embedding_dim: int = 64,
        hidden_size: int = 128,
        num_layers: int = 1,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_dim, dtype=dtype)
        self.lstm = nn.LSTM(embedding_dim, hidden_size, num_layers, batch_first=True, dtype=dtype)
        self.head = nn.Linear(hidden_size, vocab_size, dtype=dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Look up, run through time, score."""
        h, _ = self.lstm(self.embedding(x))
        return self.head(h).transpose(1, 2)  # type: ignore[no-any-return]


class GPT(nn.Module):
    """A small GPT: tied tables, learned places, norms first, a causal mask.

    Shape: x (N, T), y (N, vocab_size, T).
    """

    def __init__(
        self,
        vocab_size: int,
        context: int = 64,
        width: int = 128,
        num_layers: int = 4,
        num_heads: int = 4,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocab_size, width, dtype=dtype)
        self.places = nn.Embedding(context, width, dtype=dtype)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                *(width, num_heads, 4 * width, 0.0, "gelu"), batch_first=True, norm_first=True, dtype=dtype
            )
            for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(width, dtype=dtype)
        self.head = nn.Linear(width, vocab_size, bias=False, dtype=dtype)
        for table in (self.tokens, self.places):
            nn.init.normal_(table.weight, std=0.02)
        self.head.weight = self.tokens.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Look up, transform, score."""
        T = x.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(T, x.device, self.norm.weight.dtype)
        h = self.tokens(x) + self.places(torch.arange(T, device=x.device))
        for layer in self.layers:
            h = layer(h, mask, is_causal=True)
        return self.head(self.norm(h)).transpose(1, 2)  # type: ignore[no-any-return]


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
