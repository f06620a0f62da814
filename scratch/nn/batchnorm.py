r"""Batch normalisation (PyTorch, torch/nn/modules/batchnorm.py).

Each channel is normalised over the whole batch: $y = w \hat x + b$, $\hat x = r (x - m)$,
$r = 1/\sqrt{v + \epsilon}$, with w and b by channel.

In training m and v are the mean and the variance (by M) of the M = N·L numbers of the channel, and with
$g = w\, dy$ and sums over these (see the head of normalization.py)

$$dx = r \Bigl(g - \frac1M \sum g - \hat x\, \frac1M \sum g \hat x\Bigr), \qquad
  dw = \sum dy\, \hat x, \qquad db = \sum dy.$$

In evaluation m and v are what training has seen on average, constants, so that $dx = r g$. The averages are
buffers, changed in place in each forward of training, with a share f for the new batch:

$$\bar m \leftarrow (1-f)\, \bar m + f\, m, \qquad
  \bar v \leftarrow (1-f)\, \bar v + f\, \frac{M}{M-1} v.$$

So it is the unbiased variance (by M - 1) that is kept, and the biased one (by M) that is divided by, as in
torch; other libraries differ. f is the momentum; None is 1/(number of batches so far), the plain average.

Source: Ioffe and Szegedy 2015.
"""

import math
from typing import Any, ClassVar

import numpy as np

from scratch.nn.normalization import Normalization

__all__ = ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d"]


class RunningNorm(Normalization):
    """Base class of batch and instance norms: w and b by channel, and the running statistics."""

    _shapes: ClassVar[dict[int, str]]
    running_mean: Any  # arrays, or None
    running_var: Any
    num_batches_tracked: Any

    def __init__(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        dtype: Any,
        bias: bool,
    ) -> None:
        if num_features < 0:
            raise ValueError(f"{type(self).__name__}: num_features is {num_features}, wanted 0 or more")
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        buffers = (np.zeros(num_features, dtype), np.ones(num_features, dtype), np.zeros((), np.int64))
        for name, array in zip(("running_mean", "running_var", "num_batches_tracked"), buffers, strict=True):
            self.register_buffer(name, array if track_running_stats else None)
        self._make_affine((num_features,), affine, bias, dtype)

    def reset_running_stats(self) -> None:
        """Start the running statistics anew: mean 0, variance 1, no batch."""
        for buffer, value in ((self.running_mean, 0), (self.running_var, 1), (self.num_batches_tracked, 0)):
            if buffer is not None:
                buffer[...] = value

    def reset_parameters(self) -> None:
        """Set w to 1 and b to 0, and start the running statistics anew."""
        self.reset_running_stats()
        super().reset_parameters()

    def _check_shape(self, x: np.ndarray, channel_axis: int) -> None:
        if x.ndim not in self._shapes or x.shape[channel_axis] != self.num_features:
            wanted = " or ".join(self._shapes.values()).replace("C", str(self.num_features))
            raise ValueError(f"{self}: x has shape {x.shape}, wanted {wanted}")

    def _track(self, m: np.ndarray, v: np.ndarray, M: int, f: float) -> None:
        """Let the means and variances of these pools of M numbers have the share f of the running ones."""
        if m.size and M:
            for running, new in ((self.running_mean, m), (self.running_var, v * (M / (M - 1)))):
                running *= 1 - f
                running += f * np.mean(new.reshape(-1, self.num_features), axis=0)

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(RunningNorm):
    r"""Each channel of a batch of vectors or sequences is normalised; for the formulas see above.

    Args:
        num_features: C, the number of channels.
        eps: ε.
        momentum: f, the share of each new batch in the running statistics; None averages all batches alike.
        affine: whether there are w and b.
        track_running_stats: whether there are running statistics. Without them each batch is normalised by
            its own, in evaluation too.
        dtype: of w, b and the statistics.
        bias: whether there is a b.

    Shape: x and y (N, C) or (N, C, L); w, at first 1, and b, at first 0, (C,). Buffers: running_mean (C,), at
    first 0; running_var (C,), at first 1; num_batches_tracked (), int64.

    Raises:
        ValueError: x has another shape, or its own statistics are wanted and a channel has one number only.
        TypeError: x has another dtype than w.
    """

    _pools = "g"
    _shapes: ClassVar[dict[int, str]] = {2: "(N, C)", 3: "(N, C, L)"}

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        dtype: Any = np.float32,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, dtype, bias)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """y = w x̂ + b, channel by channel; in training the running statistics move."""
        self._check_shape(x, 1)
        N, C, L = len(x), self.num_features, math.prod(x.shape[2:])
        if not self.training and self.running_mean is not None:
            return self._normalize(x, (N, C, 1, L), (self.running_mean, self.running_var))[0]
        if N * L == 1:
            raise ValueError(f"{self}: x has shape {x.shape}, one number in a channel, of variance 0")
        y, m, v = self._normalize(x, (N, C, 1, L))
        if self.training and self.track_running_stats:
            self.num_batches_tracked += 1
            f = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
            self._track(m, v, N * L, f)
        return y


class BatchNorm2d(BatchNorm1d):
    """BatchNorm1d for images: x and y (N, C, H, W)."""

    _shapes: ClassVar[dict[int, str]] = {4: "(N, C, H, W)"}


class BatchNorm3d(BatchNorm1d):
    """BatchNorm1d for volumes: x and y (N, C, D, H, W)."""

    _shapes: ClassVar[dict[int, str]] = {5: "(N, C, D, H, W)"}
