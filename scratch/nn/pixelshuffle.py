r"""Pixels from channels, and channels from pixels (PyTorch, torch/nn/modules/pixelshuffle.py).

Both only move numbers, one to one, so that the backward of each is the forward of the other.
"""

import numpy as np

from scratch.nn.module import Module, arguments

__all__ = ["PixelShuffle", "PixelUnshuffle"]


def _shuffle(x: np.ndarray, r: int) -> np.ndarray:
    """y_{c, hr+i, wr+j} = x_{cr²+ir+j, h, w}."""
    *lead, C, H, W = x.shape
    parts = x.reshape(*lead, C // r**2, r, r, H, W)
    n = len(lead)
    parts = parts.transpose(*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return parts.reshape(*lead, C // r**2, H * r, W * r)


def _unshuffle(x: np.ndarray, r: int) -> np.ndarray:
    """y_{cr²+ir+j, h, w} = x_{c, hr+i, wr+j}."""
    *lead, C, H, W = x.shape
    parts = x.reshape(*lead, C, H // r, r, W // r, r)
    n = len(lead)
    parts = parts.transpose(*range(n), n, n + 2, n + 4, n + 1, n + 3)
    return parts.reshape(*lead, C * r**2, H // r, W // r)


class _Shuffle(Module):
    """What moves numbers between channels and pixels."""

    def _check_factor(self, name: str, factor: int) -> None:
        if factor < 1:
            raise ValueError(f"{type(self).__name__}: {name} is {factor}, wanted 1 or more")

    def extra_repr(self) -> str:
        """The constructor's argument."""
        return arguments(self)


class PixelShuffle(_Shuffle):
    r"""r² channels become one of r times the height and width.

    $$y_{c,\, hr+i,\, wr+j} = x_{cr^2+ir+j,\, h,\, w}, \qquad
      dx_{cr^2+ir+j,\, h,\, w} = dy_{c,\, hr+i,\, wr+j}.$$

    Source: Shi et al. 2016, equation 4.

    Args:
        upscale_factor: r.

    Shape: x (\*, C r², H, W), y (\*, C, H r, W r).

    Raises:
        ValueError: upscale_factor is below 1; x has fewer than three axes, or channels that r² does not
            divide.
    """

    def __init__(self, upscale_factor: int) -> None:
        self._check_factor("upscale_factor", upscale_factor)
        self.upscale_factor = upscale_factor

    def forward(self, x: np.ndarray) -> np.ndarray:
        """y = x with channels made pixels."""
        r = self.upscale_factor
        if x.ndim < 3 or x.shape[-3] % r**2:
            raise ValueError(f"{self}: x has shape {x.shape}, wanted (*, C, H, W), C a multiple of {r**2}")
        y = _shuffle(x, r)
        self.save(y.shape, y.dtype)
        return y

    def backward(self, dy: np.ndarray, needs_input_grad: bool = True) -> np.ndarray:
        """dx = dy with pixels made channels."""
        self.check_grad(dy, *self.saved())
        return _unshuffle(dy, self.upscale_factor)


class PixelUnshuffle(_Shuffle):
    r"""The way back: $y_{cr^2+ir+j,\, h,\, w} = x_{c,\, hr+i,\, wr+j}$, and dx goes as PixelShuffle does.

    Args:
        downscale_factor: r.

    Shape: x (\*, C, H r, W r), y (\*, C r², H, W).

    Raises:
        ValueError: downscale_factor is below 1; x has fewer than three axes, or sizes that r does not divide.
    """

    def __init__(self, downscale_factor: int) -> None:
        self._check_factor("downscale_factor", downscale_factor)
        self.downscale_factor = downscale_factor

    def forward(self, x: np.ndarray) -> np.ndarray:
        """y = x with pixels made channels."""
        r = self.downscale_factor
        if x.ndim < 3 or x.shape[-2] % r or x.shape[-1] % r:
            raise ValueError(f"{self}: x has shape {x.shape}, wanted (*, C, H, W), H and W multiples of {r}")
        y = _unshuffle(x, r)
        self.save(y.shape, y.dtype)
        return y

    def backward(self, dy: np.ndarray, needs_input_grad: bool = True) -> np.ndarray:
        """dx = dy with channels made pixels."""
        self.check_grad(dy, *self.saved())
        return _shuffle(dy, self.downscale_factor)
