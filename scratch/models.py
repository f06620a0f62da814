"""The networks of the lessons; torch_ref/twin/models.py has the same ones in plain torch.nn."""

from itertools import pairwise
from typing import Any

import numpy as np

from scratch import nn, random
from scratch.functional.elementary import sigma


def two_layer_net(
    input_size: int = 784, hidden_size: int = 50, output_size: int = 10, dtype: Any = np.float32
) -> nn.Sequential:
    """The book's TwoLayerNet: scores for the digits from their pixels; goes with CrossEntropyLoss.

    Shape: x (N, input_size), y (N, output_size).
    """
    return nn.Sequential(
        nn.Linear(input_size, hidden_size, dtype=dtype),
        nn.ReLU(),
        nn.Linear(hidden_size, output_size, dtype=dtype),
    )


def xor_net(hidden_size: int = 4, dtype: Any = np.float32) -> nn.Sequential:
    """A sigmoid network that can learn XOR, which no single layer can; goes with CrossEntropyLoss.

    Shape: x (N, 2), y (N, 2).
    """
    return nn.Sequential(
        nn.Linear(2, hidden_size, dtype=dtype),
        nn.Sigmoid(),
        nn.Linear(hidden_size, 2, dtype=dtype),
    )


def mlp_batchnorm(
    input_size: int = 784, hidden_size: int = 100, output_size: int = 10, dtype: Any = np.float32
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
    channels: int = 30, hidden_size: int = 100, image_size: int = 28, dtype: Any = np.float32
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


def deep_conv_net(image_size: int = 28, dtype: Any = np.float32) -> nn.Sequential:
    """The book's DeepConvNet, right for 99% of MNIST: 16-16-pool-32-32-pool-64-64-pool-50-10, dropout.

    All convolutions are 3x3 with a padding of 1, but for the fourth, whose padding of 2 makes 14 numbers to
    16. Weights by He's formula (He et al. 2015); goes with CrossEntropyLoss.

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
            nn.init.zeros_(module.bias)
    return model


class CharLSTM(nn.Module):
    """Characters, one after the other, to scores for the next: Embedding, LSTM, Linear.

    Goes with CrossEntropyLoss, whose classes are the next characters, (N, T).

    Args:
        vocab_size: V, how many characters there are.
        embedding_dim: the width of their vectors.
        hidden_size: H, the width of the LSTM.
        num_layers: of the LSTM.
        dtype: of the parameters.

    Shape: x (N, T), integers from 0 to V - 1; y (N, V, T).
    """

    def __init__(
        self,
        vocab_size: int,
        embedding_dim: int = 64,
        hidden_size: int = 128,
        num_layers: int = 1,
        dtype: Any = np.float32,
    ) -> None:
        self.embedding = nn.Embedding(vocab_size, embedding_dim, dtype=dtype)
        self.lstm = nn.LSTM(embedding_dim, hidden_size, num_layers, batch_first=True, dtype=dtype)
        self.head = nn.Linear(hidden_size, vocab_size, dtype=dtype)

    @property
    def vocab_size(self) -> int:
        """V."""
        return self.embedding.num_embeddings

    @property
    def embedding_dim(self) -> int:
        """The width of the characters' vectors."""
        return self.embedding.embedding_dim

    @property
    def hidden_size(self) -> int:
        """The number of hidden units H."""
        return self.lstm.hidden_size

    @property
    def num_layers(self) -> int:
        """The number of layers of the LSTM."""
        return self.lstm.num_layers

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Look up, run through time, score."""
        h, _ = self.lstm.forward(self.embedding.forward(x))
        return self.head.forward(h).swapaxes(1, 2)

    def backward(self, dy: np.ndarray) -> None:
        """The layers in reverse; the final states go nowhere, so their gradient is 0."""
        dh: Any = self.head.backward(dy.swapaxes(1, 2))
        self.embedding.backward(self.lstm.backward(dh))


class GPT(nn.Module):
    r"""A small GPT: predicts each token from those before it, by transformer layers under a causal mask.

    $$h_0 = W_x + P, \qquad h_{l+1} = \operatorname{layer}_l(h_l), \qquad
      y = \operatorname{norm}(h_n)\, W^\top,$$

    with the table W of the tokens and the table P of the places. W stands at both ends ("tied", Press and
    Wolf 2017), so its gradient is the sum of both. Layers have their norms first (Radford et al. 2019). Goes
    with CrossEntropyLoss, whose classes are the next tokens, (N, T).

    Args:
        vocab_size: V, how many tokens there are.
        context: T, how many places at most.
        width: E.
        num_layers: n.
        num_heads: a divisor of E.
        dtype: of the parameters.

    Shape: x (N, T), integers from 0 to V - 1; y (N, V, T).

    Raises:
        ValueError: x has another number of axes than two, or more than T places.
        TypeError: x is not an array.
    """

    def __init__(
        self,
        vocab_size: int,
        context: int = 64,
        width: int = 128,
        num_layers: int = 4,
        num_heads: int = 4,
        dtype: Any = np.float32,
    ) -> None:
        self.vocab_size, self.context, self.width = vocab_size, context, width
        self.num_layers, self.num_heads = num_layers, num_heads
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

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Look up, transform, score."""
        if not isinstance(x, np.ndarray):
            raise TypeError(f"GPT: x is a {type(x).__name__}, expected an array")
        if x.ndim != 2 or x.shape[1] > self.context:
            raise ValueError(f"GPT: x has shape {x.shape}, expected (N, T) with T at most {self.context}")
        T = x.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(T, self.tokens.weight.dtype)
        h: Any = self.tokens.forward(x) + self.places.forward(np.arange(T))
        for layer in self.layers:
            h = layer(h, mask, is_causal=True)
        return self.head.forward(self.norm.forward(h)).swapaxes(1, 2)

    def backward(self, dy: np.ndarray) -> None:
        """The layers in reverse; the places get the sum over the samples."""
        dh: Any = self.head.backward(dy.swapaxes(1, 2))
        dh = self.norm.backward(dh)
        for layer in reversed(list(self.layers)):
            dh, *_ = layer.backward(dh)
        self.places.backward(np.add.reduce(dh, axis=0))
        self.tokens.backward(dh)


class NeuralNetwork:
    r"""The worked example of the lesson: two layers of sigmoids, no biases, everything in three methods.

    $$h = \sigma(X W_1), \quad \hat y = \sigma(h W_2), \qquad
      \delta_2 = (y - \hat y)\, \hat y (1 - \hat y), \quad
      \delta_1 = (\delta_2 W_2^\top)\, h (1 - h),$$

    and the update, summed over the samples, is $W_2 \mathrel{+}= \eta\, h^\top \delta_2$ and
    $W_1 \mathrel{+}= \eta\, X^\top \delta_1$: gradient descent on $\frac12 \sum (y - \hat y)^2$. In the
    words of nn it is Linear, Sigmoid, Linear, Sigmoid with bias=False, MSELoss(reduction="sum") and
    SGD at half the rate, with the weights transposed.

    Args:
        input_dim: columns of X.
        hidden_dim: columns of h.
        output_dim: columns of y.

    ``weights1`` is (input_dim, hidden_dim), ``weights2`` (hidden_dim, output_dim), both from N(0, 1) in
    float64, in the order of ``randn``.
    """

    def __init__(self, input_dim: int, hidden_dim: int, output_dim: int) -> None:
        self.weights1 = random.randn(input_dim, hidden_dim, dtype=np.float64)
        self.weights2 = random.randn(hidden_dim, output_dim, dtype=np.float64)

    def forward(self, X: np.ndarray) -> np.ndarray:
        """ŷ (N, output_dim) for X (N, input_dim).

        Raises:
            ValueError: X has not input_dim columns.
        """
        if np.ndim(X) != 2 or X.shape[1] != len(self.weights1):
            raise ValueError(f"NeuralNetwork: X has shape {np.shape(X)}, expected (N, {len(self.weights1)})")
        self.hidden = sigma(np.dot(X, self.weights1))
        return sigma(np.dot(self.hidden, self.weights2))

    def backward(self, X: np.ndarray, y: np.ndarray, y_hat: np.ndarray, learning_rate: float) -> None:
        """One update of both weights from the error y - ŷ of the latest forward.

        Raises:
            ValueError: y and ŷ differ in shape; (N,) against (N, 1) would compare every sample with all.
        """
        if np.shape(y) != y_hat.shape:
            raise ValueError(
                f"NeuralNetwork: y has shape {np.shape(y)}, expected that of y_hat, {y_hat.shape}"
            )
        delta2 = (y - y_hat) * y_hat * (1 - y_hat)
        delta1 = np.dot(delta2, self.weights2.T) * self.hidden * (1 - self.hidden)
        self.weights2 += learning_rate * np.dot(self.hidden.T, delta2)
        self.weights1 += learning_rate * np.dot(X.T, delta1)

    def train(self, X: np.ndarray, y: np.ndarray, learning_rate: float, epochs: int) -> None:
        """Forward and backward on the whole batch, ``epochs`` times."""
        for _ in range(epochs):
            self.backward(X, y, self.forward(X), learning_rate)
