"""Shapes whose axes of length 1 do not count: people's (1, n) and (n, 1) are PyTorch's (n,)."""

from collections.abc import Mapping

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]


def without_ones(shape: Shape) -> Shape:
    """The axes of ``shape`` that are longer than 1."""
    return tuple(n for n in shape if n != 1)
