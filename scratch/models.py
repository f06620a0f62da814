"""The networks of the lessons; torch_ref/models.py has the same ones in plain torch.nn."""

from typing import Any

import numpy as np

from scratch import nn, random
from scratch.nn.activation import sigmoid


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
            raise ValueError(f"NeuralNetwork: X has shape {np.shape(X)}, wanted (N, {len(self.weights1)})")
        self.hidden = sigmoid(np.dot(X, self.weights1))
        return sigmoid(np.dot(self.hidden, self.weights2))

    def backward(self, X: np.ndarray, y: np.ndarray, y_hat: np.ndarray, learning_rate: float) -> None:
        """One update of both weights from the error y - ŷ of the latest forward.

        Raises:
            ValueError: y and ŷ differ in shape; (N,) against (N, 1) would compare every sample with all.
        """
        if np.shape(y) != y_hat.shape:
            raise ValueError(f"NeuralNetwork: y has shape {np.shape(y)}, wanted that of y_hat, {y_hat.shape}")
        delta2 = (y - y_hat) * y_hat * (1 - y_hat)
        delta1 = np.dot(delta2, self.weights2.T) * self.hidden * (1 - self.hidden)
        self.weights2 += learning_rate * np.dot(self.hidden.T, delta2)
        self.weights1 += learning_rate * np.dot(X.T, delta1)

    def train(self, X: np.ndarray, y: np.ndarray, learning_rate: float, epochs: int) -> None:
        """Forward and backward on the whole batch, ``epochs`` times."""
        for _ in range(epochs):
            self.backward(X, y, self.forward(X), learning_rate)
