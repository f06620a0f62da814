"""Shapes whose axes of length 1 do not count: people's (1, n) and (n, 1) are PyTorch's (n,)."""

import math
from collections.abc import Mapping

import numpy as np

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]


def without_ones(shape: Shape) -> Shape:
    """The axes of ``shape`` that are longer than 1."""
    return tuple(n for n in shape if n != 1)


def can_be_subtracted(gradient: Shape, parameter: Shape) -> bool:
    """Whether parameter -= gradient does what it should: of one shape, but for axes of length 1.

    Not where it would broadcast: a bias (n, 1) less a gradient (n,) is (n, n).
    """
    if math.prod(gradient) != math.prod(parameter):
        return False
    try:
        return np.broadcast_shapes(gradient, parameter) == parameter
    except ValueError:
        return False
