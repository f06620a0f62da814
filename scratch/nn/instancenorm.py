r"""Instance normalisation (PyTorch, torch/nn/modules/instancenorm.py).

Each channel of each sample is normalised by itself: $y = w \hat x + b$, $\hat x = r (x - m)$,
$r = 1/\sqrt{v + \epsilon}$, with w and b by channel. m and v are the mean and the variance (by L) of the L
numbers of the channel. With $g = w\, dy$ and the inner sums over these (see the head of normalization.py)

$$dx = r \Bigl(g - \frac1L \sum g - \hat x\, \frac1L \sum g \hat x\Bigr), \qquad
  dw_c = \sum_{n,l} dy\, \hat x, \qquad db_c = \sum_{n,l} dy.$$

If it tracks running statistics, they move in training as those of a batch norm do, by the mean over the
batch of m and of L/(L-1) v; and in evaluation m and v are these, constants, so that $dx = r g$.

Source: Ulyanov, Vedaldi and Lempitsky 2016.
"""

import math
from typing import Any, ClassVar

import numpy as np

from scratch.nn.batchnorm import RunningNorm

__all__ = ["InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d"]


class InstanceNorm1d(RunningNorm):
    r"""Each channel of each sequence is normalised; for the formulas see above.

    Args:
        num_features: C, the number of channels.
        eps: ε.
        momentum: f, the share of each new batch in the running statistics; None leaves them as they are.
        affine: whether there are w and b.
        track_running_stats: whether there are running statistics, to be used in evaluation.
        dtype: of w, b and the statistics.
        bias: whether there is a b, if there is a w.

    Shape: x and y (N, C, L) or (C, L); w, at first 1, and b, at first 0, (C,). Buffers: running_mean (C,), at
    first 0; running_var (C,), at first 1; num_batches_tracked (), int64, which is never counted up, as in
    torch.

    Raises:
        ValueError: x has another shape, or its own statistics are wanted and a channel has one number only.
        TypeError: x has another dtype than w.
    """

    _shapes: ClassVar[dict[int, str]] = {2: "(C, L)", 3: "(N, C, L)"}

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        dtype: Any = np.float32,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, dtype, bias)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """y = w x̂ + b, sample by sample and channel by channel."""
        channel_axis = x.ndim + 1 - max(self._shapes)
        self._check_shape(x, channel_axis)
        N, C = math.prod(x.shape[:channel_axis]), self.num_features
        L = math.prod(x.shape[channel_axis + 1 :])
        if not self.training and self.track_running_stats:
            return self._normalize(x, (N, C, 1, L), (self.running_mean, self.running_var))[0]
        if L == 1:
            raise ValueError(f"{self}: x has shape {x.shape}, one number in a channel, of variance 0")
        y, m, v = self._normalize(x, (N, C, 1, L))
        if self.running_mean is not None and self.momentum is not None:
            self._track(m, v, L, self.momentum)
        return y


class InstanceNorm2d(InstanceNorm1d):
    """InstanceNorm1d for images: x and y (N, C, H, W) or (C, H, W)."""

    _shapes: ClassVar[dict[int, str]] = {3: "(C, H, W)", 4: "(N, C, H, W)"}


class InstanceNorm3d(InstanceNorm1d):
    """InstanceNorm1d for volumes: x and y (N, C, D, H, W) or (C, D, H, W)."""

    _shapes: ClassVar[dict[int, str]] = {4: "(C, D, H, W)", 5: "(N, C, D, H, W)"}
