"""Upsampling (PyTorch, torch/nn/modules/upsampling.py)."""

import math
from typing import Any

import numpy as np

from scratch import functional as F
from scratch.functional.upsampling import MODES
from scratch.nn.module import Module, arguments

__all__ = ["Upsample", "UpsamplingBilinear2d", "UpsamplingNearest2d"]


# More times as many than any array has.
_LARGEST = 2**31

_WITH_CORNERS = ("linear", "bilinear", "bicubic", "trilinear")
_LINEAR = ("linear", "bilinear", "trilinear")


class Upsample(Module):
    """More (or fewer) numbers along the last axes, by interpolation: F.interpolate.

    Args:
        size: how many along each axis: one number, or one for each.
        scale_factor: or how many times as many, rounded down: one number, or one for each.
        mode: "nearest"; "linear", "bilinear" or "trilinear", of two numbers along each axis; "bicubic", of
            four; "area", the mean; or "nearest-exact", which rounds as PIL does.
        align_corners: whether to lay the outermost midpoints on each other; not for the nearest and "area".
        recompute_scale_factor: whether r is L / O also with scale_factor.

    Shape: x (N, C, L), (N, C, H, W) for "bilinear" and "bicubic", or (N, C, D, H, W) for "trilinear"; the
    others take any of them. y has size in the place of the last axes.

    Raises:
        ValueError: size and scale_factor are both given, or neither; mode is none of these, or does not go
            with align_corners or with the axes of x; recompute_scale_factor goes with size; sizes are as many
            as x has not axes, or below 1.
        TypeError: x is not an array, or of integers.

    Example:
        >>> upsample = Upsample(4, mode="linear")
        >>> upsample(np.array([[[0.0, 4.0]]]))
        array([[[0., 1., 3., 4.]]])
        >>> upsample.backward(np.ones((1, 1, 4)))
        array([[[2., 2.]]])
    """

    def __init__(
        self,
        size: int | tuple[int, ...] | None = None,
        scale_factor: float | tuple[float, ...] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        name = type(self).__name__
        if (size is None) == (scale_factor is None):
            raise ValueError(f"{name}: size is {size}, scale_factor is {scale_factor}, expected one of them")
        if mode not in MODES:
            raise ValueError(f"{name}: mode is {mode!r}, expected one of {', '.join(MODES)}")
        if align_corners is not None and mode not in _WITH_CORNERS:
            raise ValueError(f"{name}: align_corners goes with {', '.join(_WITH_CORNERS)}, not with {mode!r}")
        if recompute_scale_factor and size is not None:
            raise ValueError(f"{name}: recompute_scale_factor goes with scale_factor, and size is given")
        self.size = size
        factors = scale_factor if isinstance(scale_factor, tuple | list) else [scale_factor]
        if any(factor is not None and not 0 < factor < _LARGEST for factor in factors):
            raise ValueError(
                f"{name}: scale_factor is {scale_factor}, expected a finite number above 0, or several"
            )
        if isinstance(scale_factor, tuple | list):
            self.scale_factor: Any = tuple(float(factor) for factor in scale_factor)
        else:
            self.scale_factor = float(scale_factor) if scale_factor else None
        self.mode, self.align_corners = mode, align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y_o = Σ_j w_oj x at i_oj, axis by axis."""
        if not isinstance(input, np.ndarray) or input.dtype.kind not in "fc":
            raise self.input_error("input", input, None, "")
        if input.ndim - 2 not in MODES[self.mode][0]:
            expected = " or ".join(str(n + 2) for n in MODES[self.mode][0])
            raise ValueError(f"{self}: input has shape {input.shape}, expected {expected} axes")
        samples = []
        for length, (count, ratio) in zip(input.shape[2:], self._sizes(input), strict=True):
            samples.append(F.samples(self.mode, length, count, ratio, bool(self.align_corners)))
        return self.run(F.interpolate, F.interpolate_backward, (input,), (), samples)

    def _sizes(self, x: np.ndarray) -> list[tuple[int, float]]:
        """(O, r) of each of the last axes."""
        sizes = x.shape[2:]
        given = self.size if self.scale_factor is None else self.scale_factor
        each = given if isinstance(given, tuple | list) else (given,) * len(sizes)
        if len(each) != len(sizes):
            raise ValueError(f"{self}: input has shape {x.shape}, expected {len(each)} axes behind N and C")
        factors = each if self.scale_factor is not None else (None,) * len(sizes)
        counts = (
            each
            if self.scale_factor is None
            else [math.floor(n * f) for n, f in zip(sizes, each, strict=True)]
        )
        if min(*counts, *sizes) < 1:
            raise ValueError(
                f"{self}: input has sizes {sizes}, to become {tuple(counts)}, expected 1 or more"
            )
        # As many numbers as before stay as they are, as torch's, whatever the factor; of the nearest only in
        # images, and in torch's of few pixels.
        copies = self.mode in _LINEAR or (self.mode == "nearest" and len(sizes) == 2)
        return [
            (o, n / o if f is None or self.recompute_scale_factor or (copies and o == n) else 1 / f)
            for n, o, f in zip(sizes, counts, factors, strict=True)
        ]

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return arguments(self)


class UpsamplingNearest2d(Upsample):
    """Upsample for images, with mode "nearest".

    Args:
        size: as of Upsample.
        scale_factor: as of Upsample.

    Shape: x (N, C, H, W), y with size in the place of (H, W).
    """

    def __init__(
        self,
        size: int | tuple[int, int] | None = None,
        scale_factor: float | tuple[float, float] | None = None,
    ) -> None:
        super().__init__(size, scale_factor, mode="nearest")


class UpsamplingBilinear2d(Upsample):
    """Upsample for images, with mode "bilinear" and align_corners.

    Args:
        size: as of Upsample.
        scale_factor: as of Upsample.

    Shape: x (N, C, H, W), y with size in the place of (H, W).
    """

    def __init__(
        self,
        size: int | tuple[int, int] | None = None,
        scale_factor: float | tuple[float, float] | None = None,
    ) -> None:
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)
