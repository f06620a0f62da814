"""Losses of pairs and triplets (PyTorch, torch/nn/modules/loss.py), formulas of scratch.functional."""

from collections.abc import Callable
from typing import Any

import numpy as np

from scratch import functional as F
from scratch.nn.loss import Loss, as_numbers
from scratch.nn.module import ARRAYS

__all__ = [
    "CosineEmbeddingLoss",
    "MarginRankingLoss",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
]


class MarginRankingLoss(Loss):
    r"""If y = 1, $x_1$ must beat $x_2$ by m, and if y = -1 the reverse: F.margin_ranking_loss.

    Args:
        margin: m.
        reduction: "mean", "sum" or "none".

    Shape: x1, x2 and the target y (\*), of one dtype; y may be integers. The gradients are (dx1, dx2, None).

    Raises:
        ValueError: the shapes differ.
        TypeError: x1 is not an array of floating numbers, or the dtypes differ.

    Example:
        >>> loss_fn = MarginRankingLoss()
        >>> loss_fn(np.array([1.0]), np.array([3.0]), np.array([1])).item(), loss_fn.backward()
        (2.0, (array([-1.]), array([1.]), None))
    """

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input1: np.ndarray, input2: np.ndarray, target: np.ndarray) -> Any:
        """L = Σ max(0, m - y (x1 - x2)) / Z."""
        y = as_numbers(target, input1)
        self._check_alike(input1=input1, input2=input2, target=y)
        f, f_backward = F.margin_ranking_loss, F.margin_ranking_loss_backward
        return self.run_loss(f, f_backward, input1, input2, y, self.margin)


class CosineEmbeddingLoss(Loss):
    r"""A loss of two vectors' cosine: $1 - \cos$ or, if y = -1, $\max(0, \cos - m)$: F.cosine_embedding_loss.

    Args:
        margin: m.
        reduction: "mean", "sum" or "none".

    Shape: x1 and x2 (N, D), the target y (N,); or (D,) and (). Of one dtype; y may be integers. The gradients
    are (dx1, dx2, None).

    Raises:
        ValueError: the shapes do not fit.
        TypeError: x1 is not an array of floating numbers, or the dtypes differ.

    Example:
        >>> loss_fn = CosineEmbeddingLoss()
        >>> loss_fn(np.array([1.0, 0.0]), np.array([0.0, 2.0]), np.array(1)).item()
        1.0
    """

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        if not np.isfinite(float(margin)):
            raise ValueError(f"CosineEmbeddingLoss: margin is {margin}, expected a finite number")
        self.margin = margin

    def forward(self, input1: np.ndarray, input2: np.ndarray, target: np.ndarray) -> Any:
        """L = Σ (1 - cos if y = 1, max(0, cos - m) if y = -1) / Z."""
        self._check_alike(input1=input1, input2=input2)
        self.refuse_mask(target)
        if not isinstance(target, ARRAYS):
            raise self.input_error("target", target, None, "")
        if target.dtype.kind not in "biuf":
            raise TypeError(f"CosineEmbeddingLoss: target is {target.dtype}, expected numbers, 1 or -1")
        if input1.ndim not in (1, 2) or target.shape != input1.shape[:-1]:
            raise ValueError(
                f"CosineEmbeddingLoss: input1 and input2 have shape {input1.shape}, target {target.shape}; "
                "expected (N, D) and (N,), or (D,) and ()"
            )
        f, f_backward = F.cosine_embedding_loss, F.cosine_embedding_loss_backward
        return self.run_loss(f, f_backward, input1, input2, target, self.margin)


class _TripletLoss(Loss):
    """Base class of the triplet losses: the margin, and three inputs of one shape and dtype."""

    def __init__(self, margin: float, swap: bool, reduction: str) -> None:
        super().__init__(reduction)
        if not margin > 0:
            raise ValueError(f"{type(self).__name__}: margin is {margin}, expected a number above 0")
        self.margin, self.swap = margin, swap

    def _check(self, anchor: Any, positive: Any, negative: Any) -> None:
        self._check_alike(anchor=anchor, positive=positive, negative=negative)
        if anchor.ndim == 0:
            raise self.input_error("anchor", anchor, None, "(*, D)")


class TripletMarginLoss(_TripletLoss):
    r"""The anchor a must be nearer to p than to n, by m: F.triplet_margin_loss, with the distance of a norm.

    Args:
        margin: m.
        p: of the norm.
        eps: added to each difference.
        swap: whether n is to be far from p as well: the nearer of D(a, n) and D(p, n) counts.
        reduction: "mean", "sum" or "none".

    Shape: a, p and n (\*, D), of one dtype; ℓ (\*). The gradients are (da, dp, dn); there is no target.

    Raises:
        ValueError: the shapes differ; margin or p is not above 0.
        TypeError: a is not an array of floating numbers, or the dtypes differ.

    Example:
        >>> loss_fn = TripletMarginLoss()
        >>> loss_fn(*np.array([[0.0], [3.0], [2.0]])).round(4).item(), loss_fn.backward()
        (2.0, (array([0.]), array([1.]), array([-1.])))
    """

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(margin, swap, reduction)
        self.p, self.eps = p, eps
        if not p > 0:
            raise ValueError(f"TripletMarginLoss: p is {p}, expected a number above 0")

    def forward(self, anchor: np.ndarray, positive: np.ndarray, negative: np.ndarray) -> Any:
        """L = Σ max(0, m + ‖a - p‖ - ‖a - n‖) / Z."""
        self._check(anchor, positive, negative)
        inputs, options = (anchor, positive, negative), (self.margin, self.p, self.eps, self.swap)
        return self.run_loss(F.triplet_margin_loss, F.triplet_margin_loss_backward, *inputs, *options)


class TripletMarginWithDistanceLoss(_TripletLoss):
    r"""TripletMarginLoss with a distance D of one's own: F.triplet_margin_with_distance_loss.

    Args:
        distance_function: a pair of functions, D(x1, x2) of shape (N,) and its backward(dD, x1, x2), which
            returns (dx1, dx2). By default the Euclidean distance of TripletMarginLoss.
        margin: m.
        swap: whether n is to be far from p as well: the nearer of D(a, n) and D(p, n) counts.
        reduction: "mean", "sum" or "none".

    Shape: a, p and n of one shape and dtype, such as D takes; ℓ of the shape of D. The gradients are
    (da, dp, dn); there is no target.

    Raises:
        ValueError: the shapes differ, or margin is not above 0.
        TypeError: a is not an array of floating numbers, the dtypes differ, or distance_function is no pair
            of functions.

    Example:
        >>> loss_fn = TripletMarginWithDistanceLoss()
        >>> loss_fn(*np.array([[0.0], [3.0], [2.0]])).round(4).item()
        2.0
    """

    def __init__(
        self,
        *,
        distance_function: tuple[Callable[..., Any], Callable[..., Any]] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(margin, swap, reduction)
        pair = distance_function
        if pair is not None and not (isinstance(pair, tuple) and len(pair) == 2 and all(map(callable, pair))):
            raise TypeError(
                f"TripletMarginWithDistanceLoss: distance_function is {pair!r}, expected two functions, "
                "D(x1, x2) and backward(dD, x1, x2)"
            )
        self.distance_function = pair

    def forward(self, anchor: np.ndarray, positive: np.ndarray, negative: np.ndarray) -> Any:
        """L = Σ max(0, m + D(a, p) - D(a, n)) / Z."""
        self._check(anchor, positive, negative)
        f, f_backward = F.triplet_margin_with_distance_loss, F.triplet_margin_with_distance_loss_backward
        options = self._distance(), self.margin, self.swap
        return self.run_loss(f, f_backward, anchor, positive, negative, *options)

    def _distance(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """D as a formula and its derivative: of one's own function, what is saved are its inputs."""
        if self.distance_function is None:
            return F.pairwise_distance, F.pairwise_distance_backward
        D, D_backward = self.distance_function
        return lambda x1, x2: (D(x1, x2), (x1, x2)), lambda dD, saved: D_backward(dD, *saved)
