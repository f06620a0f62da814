"""Distances between vectors (PyTorch, torch/nn/modules/distance.py), formulas of scratch.functional.

Both layers take two inputs that may be broadcast against each other, as torch's do.
"""

from typing import Any

import numpy as np

from scratch import functional as F
from scratch.nn.module import ARRAYS, Module

__all__ = ["CosineSimilarity", "PairwiseDistance"]


class CosineSimilarity(Module):
    r"""The cosine of the angle between two vectors: F.cosine_similarity.

    Args:
        dim: the axis along which the vectors lie.
        eps: the length that a shorter vector is taken to have.

    Shape: x1 and x2 (\*, D, \*), D on axis dim, or what broadcasts to that; y (\*, \*).

    Raises:
        ValueError: x1 and x2 do not broadcast, or not to an array that has an axis dim.
        TypeError: x1 or x2 is not an array of floating numbers, or they have different dtypes.

    Example:
        >>> CosineSimilarity()(np.array([[1.0, 0.0]]), np.array([[3.0, 4.0]]))
        array([0.6])
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        if not eps >= 0:
            raise ValueError(f"CosineSimilarity: eps is {eps}, expected 0 or more")
        self.dim, self.eps = dim, eps

    def forward(self, x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
        """c = x1 · x2 / ‖x1‖ ‖x2‖."""
        shape = _common_shape(self, x1, x2)
        if not -len(shape) <= self.dim < len(shape):
            raise ValueError(f"{self}: x1 and x2 broadcast to {shape}, which has no axis {self.dim}")
        return self.run(F.cosine_similarity, F.cosine_similarity_backward, (x1, x2), (), self.dim, self.eps)

    def extra_repr(self) -> str:
        """dim, eps."""
        return f"dim={self.dim}, eps={self.eps}"


class PairwiseDistance(Module):
    r"""The p-norm of a difference along the last axis: F.pairwise_distance.

    Args:
        p: of the norm, any number.
        eps: added to the difference itself.
        keepdim: whether y keeps the last axis, with the size 1.

    Shape: x1 and x2 (\*, D), or what broadcasts to that; y (\*), or (\*, 1).

    Raises:
        ValueError: x1 and x2 do not broadcast, or are two numbers.
        TypeError: x1 or x2 is not an array of floating numbers, or they have different dtypes.

    Example:
        >>> PairwiseDistance(eps=0.0)(np.array([3.0, 0.0]), np.array([0.0, 4.0])).item()
        5.0
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        self.norm, self.eps, self.keepdim = p, eps, keepdim

    @property
    def p(self) -> float:
        """The norm; torch's constructor calls it p, torch's attribute is norm."""
        return self.norm

    def forward(self, x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
        """y = ‖x1 - x2 + ε‖."""
        if not _common_shape(self, x1, x2):
            raise ValueError(f"{self}: x1 and x2 have shape (), expected (*, D)")
        options = self.norm, self.eps, self.keepdim
        return self.run(F.pairwise_distance, F.pairwise_distance_backward, (x1, x2), (), *options)

    def extra_repr(self) -> str:
        """p, eps, keepdim."""
        return f"p={self.norm}, eps={self.eps}, keepdim={self.keepdim}"


def _common_shape(module: Module, x1: Any, x2: Any) -> tuple[int, ...]:
    """The shape that both broadcast to."""
    for name, x in (("x1", x1), ("x2", x2)):
        if not isinstance(x, ARRAYS) or x.dtype.kind not in "fc":
            raise module.input_error(name, x, None, "(*, D)")
    if x1.dtype != x2.dtype:
        raise TypeError(f"{module}: x1 is {x1.dtype}, x2 {x2.dtype}; convert one of them")
    try:
        return np.broadcast_shapes(x1.shape, x2.shape)
    except ValueError as error:
        given = f"x1 has shape {x1.shape}, x2 {x2.shape}"
        raise ValueError(f"{module}: {given}, which do not broadcast") from error
