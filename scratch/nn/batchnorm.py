"""Batch normalisation (PyTorch, torch/nn/modules/batchnorm.py), and the running statistics."""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from scratch import functional as F
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
            raise ValueError(f"{type(self).__name__}: num_features is {num_features}, expected 0 or more")
        if not eps >= 0:
            raise ValueError(f"{type(self).__name__}: eps is {eps}, expected 0 or more")
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

    def _shape_error(self, x: Any, dtype: Any) -> Exception:
        expected = " or ".join(self._shapes.values()).replace("C", str(self.num_features))
        return self.input_error("input", x, dtype, expected)

    def _tracked(
        self, x: np.ndarray, w: Any, b: Any, norm: Callable[..., Any], f: float, eps: float, *options: Any
    ) -> tuple[np.ndarray, Any]:
        """F.batch_norm or F.instance_norm; its means and variances get the share f of the running ones."""
        y, saved = norm(x, w, b, eps, *options)
        m, v = saved[-2:]
        if x.size:
            C, M = self.num_features, x.size // m.size
            m, v = m.reshape(-1, C).mean(axis=0), v.reshape(-1, C).mean(axis=0)
            self.running_mean[...], self.running_var[...] = F.running_statistics(
                self.running_mean, self.running_var, m, v, M, f
            )
        return y, saved

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(RunningNorm):
    r"""Each channel of a batch of vectors or sequences is normalised: F.batch_norm with its w and b.

    In training by its own mean and variance, which also move the running ones (F.running_statistics); in
    evaluation by these.

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
        ValueError: x has another shape, or its own statistics are asked for and a channel has one number
        only. TypeError: x is not an array, or has another dtype than w.

    Example:
        >>> norm = BatchNorm1d(2)
        >>> norm(np.array([[1, 0], [3, 8]], np.float32)).round(3).tolist(), norm.running_mean
        ([[-1.0, -1.0], [1.0, 1.0]], array([0.2, 0.4], dtype=float32))
        >>> norm.backward(np.ones((2, 2), np.float32)).shape, norm.bias.grad.tolist()
        ((2, 2), [2.0, 2.0])
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

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = w x̂ + b, channel by channel; in training the running statistics move."""
        like = self.running_mean if self.weight is None else self.weight
        dtype = None if like is None else like.dtype
        if (
            not isinstance(input, np.ndarray)
            or (input.dtype.kind not in "fc" if dtype is None else input.dtype != dtype)
            or input.ndim not in self._shapes
            or input.shape[1] != self.num_features
        ):
            raise self._shape_error(input, dtype)
        x, parameters = (input,), (self.weight, self.bias)
        if not self.training and self.running_mean is not None:
            constants = (self.running_mean, self.running_var)
            return self.run(F.batch_norm, F.batch_norm_backward, x, parameters, self.eps, *constants)
        if input.size == self.num_features > 0:
            raise ValueError(f"{self}: input has shape {input.shape}, one number in a channel, of variance 0")
        if not self.training or self.running_mean is None:
            return self.run(F.batch_norm, F.batch_norm_backward, x, parameters, self.eps)
        self.num_batches_tracked += 1
        f = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        return self.run(self._tracked, F.batch_norm_backward, x, parameters, F.batch_norm, f, self.eps)


class BatchNorm2d(BatchNorm1d):
    """BatchNorm1d for images: x and y (N, C, H, W)."""

    _shapes: ClassVar[dict[int, str]] = {4: "(N, C, H, W)"}


class BatchNorm3d(BatchNorm1d):
    """BatchNorm1d for volumes: x and y (N, C, D, H, W)."""

    _shapes: ClassVar[dict[int, str]] = {5: "(N, C, D, H, W)"}
