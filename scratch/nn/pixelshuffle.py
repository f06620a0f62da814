"""Pixels from channels, and channels from pixels (PyTorch, torch/nn/modules/pixelshuffle.py)."""

from typing import Any

import numpy as np

from scratch import functional as F
from scratch.nn.module import Module, arguments

__all__ = ["PixelShuffle", "PixelUnshuffle"]


class _Shuffle(Module):
    """Base class: numbers move between channels and pixels."""

    def _check_factor(self, name: str, factor: int) -> None:
        if factor < 1:
            raise ValueError(f"{type(self).__name__}: {name} is {factor}, expected 1 or more")

    def _refusal(self, x: Any, expected: str) -> Exception:
        if not isinstance(x, np.ndarray):
            return self.input_error("input", x, None, expected)
        return ValueError(f"{self}: input has shape {x.shape}, expected {expected}")

    def extra_repr(self) -> str:
        """The constructor's argument."""
        return arguments(self)


class PixelShuffle(_Shuffle):
    r"""r² channels become one of r times the height and width: F.pixel_shuffle.

    Args:
        upscale_factor: r.

    Shape: x (\*, C r², H, W), y (\*, C, H r, W r).

    Raises:
        ValueError: upscale_factor is below 1; x has fewer than three axes, or channels that r² does not
            divide.
        TypeError: x is not an array.

    Example:
        >>> shuffle = PixelShuffle(2)
        >>> shuffle(np.arange(4.0).reshape(4, 1, 1)).tolist()
        [[[0.0, 1.0], [2.0, 3.0]]]
        >>> shuffle.backward(np.arange(4.0).reshape(1, 2, 2)).ravel()
        array([0., 1., 2., 3.])
    """

    def __init__(self, upscale_factor: int) -> None:
        self._check_factor("upscale_factor", upscale_factor)
        self.upscale_factor = upscale_factor

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = x with channels made pixels."""
        r = self.upscale_factor
        if (
            not isinstance(input, np.ndarray)
            or input.dtype.kind not in "biufc"
            or input.ndim < 3
            or input.shape[-3] % r**2
        ):
            raise self._refusal(input, f"(*, C, H, W), C a multiple of {r**2}")
        return self.run(F.pixel_shuffle, F.pixel_shuffle_backward, (input,), (), r)


class PixelUnshuffle(_Shuffle):
    r"""An image becomes r² of an r-th of its height and width: F.pixel_unshuffle.

    Args:
        downscale_factor: r.

    Shape: x (\*, C, H r, W r), y (\*, C r², H, W).

    Raises:
        ValueError: downscale_factor is below 1; x has fewer than three axes, or sizes that r does not divide.
        TypeError: x is not an array.

    Example:
        >>> unshuffle = PixelUnshuffle(2)
        >>> unshuffle(np.arange(4.0).reshape(1, 2, 2)).ravel()
        array([0., 1., 2., 3.])
        >>> unshuffle.backward(np.arange(4.0).reshape(4, 1, 1)).tolist()
        [[[0.0, 1.0], [2.0, 3.0]]]
    """

    def __init__(self, downscale_factor: int) -> None:
        self._check_factor("downscale_factor", downscale_factor)
        self.downscale_factor = downscale_factor

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = x with pixels made channels."""
        r = self.downscale_factor
        if (
            not isinstance(input, np.ndarray)
            or input.dtype.kind not in "biufc"
            or input.ndim < 3
            or any(n % r for n in input.shape[-2:])
        ):
            raise self._refusal(input, f"(*, C, H, W), H and W multiples of {r}")
        return self.run(F.pixel_unshuffle, F.pixel_unshuffle_backward, (input,), (), r)
