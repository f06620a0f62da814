"""Instance normalisation (PyTorch, torch/nn/modules/instancenorm.py)."""

import math
from typing import Any, ClassVar

import numpy as np

from scratch import functional as F
from scratch.nn.batchnorm import RunningNorm

__all__ = ["InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d"]


class InstanceNorm1d(RunningNorm):
    r"""Each channel of each sequence is normalised by itself: F.instance_norm with its w and b.

    If it tracks running statistics, they move in training as those of a batch norm do, by the mean over the
    samples; and in evaluation it normalises by these.

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
        ValueError: x has another shape, or its own statistics are asked for and a channel has one number
        only. TypeError: x is not an array, or has another dtype than w.

    Example:
        >>> norm = InstanceNorm1d(1)
        >>> norm(np.array([[[1.0, 3.0]], [[8.0, 0.0]]])).round(3).tolist()
        [[[-1.0, 1.0]], [[1.0, -1.0]]]
        >>> norm.backward(np.ones((2, 1, 2))).shape
        (2, 1, 2)
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

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = w x̂ + b, sample by sample and channel by channel."""
        like = self.running_mean if self.weight is None else self.weight
        dtype = None if like is None else like.dtype
        if (
            not isinstance(input, np.ndarray)
            or (input.dtype.kind not in "fc" if dtype is None else input.dtype != dtype)
            or input.ndim not in self._shapes
            or input.shape[input.ndim + 1 - max(self._shapes)] != self.num_features
        ):
            raise self._shape_error(input, dtype)
        channel = input.ndim + 1 - max(self._shapes)
        x, parameters = (input,), (self.weight, self.bias)
        own = (None, None, channel)
        if not self.training and self.running_mean is not None:
            constants = (self.running_mean, self.running_var, channel)
            return self.run(F.instance_norm, F.instance_norm_backward, x, parameters, self.eps, *constants)
        if math.prod(input.shape[channel + 1 :]) == 1:
            raise ValueError(f"{self}: input has shape {input.shape}, one number in a channel, of variance 0")
        if not self.training or self.running_mean is None or self.momentum is None:
            return self.run(F.instance_norm, F.instance_norm_backward, x, parameters, self.eps, *own)
        options = (F.instance_norm, self.momentum, self.eps, *own)
        return self.run(self._tracked, F.instance_norm_backward, x, parameters, *options)


class InstanceNorm2d(InstanceNorm1d):
    """InstanceNorm1d for images: x and y (N, C, H, W) or (C, H, W)."""

    _shapes: ClassVar[dict[int, str]] = {3: "(C, H, W)", 4: "(N, C, H, W)"}


class InstanceNorm3d(InstanceNorm1d):
    """InstanceNorm1d for volumes: x and y (N, C, D, H, W) or (C, D, H, W)."""

    _shapes: ClassVar[dict[int, str]] = {4: "(C, D, H, W)", 5: "(N, C, D, H, W)"}
