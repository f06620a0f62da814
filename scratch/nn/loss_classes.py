"""Losses of classes (PyTorch, torch/nn/modules/loss.py): the formulas stand in scratch.functional."""

from typing import Any

import numpy as np

from scratch import functional as F
from scratch.functional import loss_fast
from scratch.nn.loss import Loss, as_numbers
from scratch.nn.module import ARRAYS

__all__ = [
    "CrossEntropyLoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "NLLLoss",
]

INT64, UINT64 = np.dtype(np.int64), np.dtype(np.uint64)


class _ClassLoss(Loss):
    """Base class of NLLLoss and CrossEntropyLoss: weights of classes, and a class that is ignored."""

    weight: np.ndarray | None

    def __init__(self, weight: np.ndarray | None = None, ignore_index: int = -100, reduction: str = "mean"):
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index

    def _total_weight(self, input: Any, target: Any) -> Any:
        """The weight of the samples that count, of arguments that are checked."""
        self._check_input(input)
        C = input.shape[min(1, input.ndim - 1)]
        shape = input.shape[:1] + input.shape[2:] if input.ndim > 1 else ()
        self._check_classes(target, shape, 0, C, self.ignore_index)
        return F.total_weight(target, self.weight, self.ignore_index)

    def _check_input(self, x: Any) -> None:
        name = type(self).__name__
        if not isinstance(x, ARRAYS) or x.dtype.kind not in "fc" or x.ndim == 0:
            raise self.input_error("input", x, None, "(C,), (N, C) or (N, C, …)")
        C = x.shape[min(1, x.ndim - 1)]
        if self.weight is not None and self.weight.shape != (C,):
            raise ValueError(f"{name}: weight has shape {self.weight.shape}, expected ({C},), one a class")


class NLLLoss(_ClassLoss):
    r"""$\ell_n = -w_{t_n} x_{n t_n}$ for log-probabilities x and classes t: F.nll_loss.

    The mean divides by $Z = \sum_n w_{t_n}$, F.total_weight.

    Args:
        weight: w, one number for each class, (C,).
        ignore_index: samples of this class count nothing.
        reduction: "mean", "sum" or "none".

    Shape: x (C,), (N, C) or (N, C, d1, …), target integers (), (N,) or (N, d1, …).

    Raises:
        ValueError: the shapes do not fit.
        TypeError: x is not an array of floating numbers, or the target not one of integers.
        IndexError: a class is not between 0 and C - 1.

    Example:
        >>> loss_fn = NLLLoss()
        >>> loss_fn(np.log([[0.5, 0.5]]), np.array([1])).round(4).item(), loss_fn.backward()
        (0.6931, array([[ 0., -1.]]))
    """

    def forward(self, input: np.ndarray, target: np.ndarray) -> Any:
        """L = -Σ w x / Z, w and x at the class of each sample."""
        Z = self._total_weight(input, target)
        options = self.weight, self.ignore_index
        return self.run_loss(F.nll_loss, F.nll_loss_backward, input, target, *options, total_weight=Z)


class CrossEntropyLoss(_ClassLoss):
    r"""NLLLoss of the log-softmax of x: F.cross_entropy, the book's SoftmaxWithLoss.

    Args:
        weight: w, one number for each class, (C,).
        ignore_index: samples of this class count nothing (class indices only).
        reduction: "mean", "sum" or "none".
        label_smoothing: ε; the target becomes (1 - ε) t + ε / C.

    Shape: x (C,), (N, C) or (N, C, d1, …). The target is classes, integers (), (N,) or (N, d1, …), or
    probabilities, floating numbers of the shape of x. The mean divides by the weight of all samples
    that count, F.total_weight, for probabilities by the number of samples.

    Raises:
        ValueError: the shapes do not fit, or label_smoothing is not between 0 and 1.
        TypeError: x is not an array of floating numbers, or the target one neither of integers nor of x's
            dtype.
        IndexError: a class is not between 0 and C - 1.

    Example:
        >>> loss_fn = CrossEntropyLoss()
        >>> loss_fn(np.zeros((1, 2)), np.array([1])).round(4).item(), loss_fn.backward()
        (0.6931, array([[ 0.5, -0.5]]))
    """

    def __init__(
        self,
        weight: np.ndarray | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, ignore_index, reduction)
        if not 0 <= label_smoothing <= 1:
            raise ValueError(f"CrossEntropyLoss: label_smoothing is {label_smoothing}, expected 0 to 1")
        self.label_smoothing = label_smoothing

    def forward(self, input: np.ndarray, target: np.ndarray) -> Any:
        """L = -Σ q log p / Z, p = softmax(x)."""
        is_integer = isinstance(target, np.ndarray) and target.dtype.kind in "iu"
        classes = target.astype(INT64, copy=False) if is_integer else target
        # As an unsigned number a negative class is a large one: one maximum finds both kinds out of range.
        usual = (
            is_integer
            and type(input) is type(classes) is np.ndarray
            and input.dtype.kind in "fc"
            and input.ndim == 2
            and classes.shape == input.shape[:1] != (0,)
            and np.maximum.reduce(classes.view(UINT64)) < input.shape[1]
            and self.weight is None
            and self.ignore_index < 0
            and not self.label_smoothing
        )
        if usual:
            return self.run_loss(loss_fast.cross_entropy, loss_fast.cross_entropy_backward, input, classes)
        Z, options = self._check(input, target), (self.weight, self.ignore_index, self.label_smoothing)
        return self.run_loss(
            F.cross_entropy, F.cross_entropy_backward, input, target, *options, total_weight=Z
        )

    def _check(self, x: Any, target: Any) -> Any:
        """Refuse what does not fit; the weight of the samples that count, None for their number."""
        if not isinstance(target, ARRAYS) or target.dtype.kind != "f":
            return self._total_weight(x, target)
        self._check_input(x)
        if target.shape != x.shape:
            raise TypeError(
                f"CrossEntropyLoss: target is {target.dtype} {target.shape}, expected integers "
                f"{x.shape[:1] + x.shape[2:] if x.ndim > 1 else ()} or probabilities {x.shape}"
            )
        if target.dtype != x.real.dtype:
            raise TypeError(
                f"CrossEntropyLoss: input is {x.dtype}, target {target.dtype}; convert one of them"
            )
        return None


class MultiMarginLoss(Loss):
    r"""Class t must beat every other by m: F.multi_margin_loss.

    Args:
        p: 1 or 2.
        margin: m.
        weight: w, one number for each class, (C,).
        reduction: "mean", "sum" or "none".

    Shape: x (N, C) or (C,), target integers (N,) or (); so is ℓ.

    Raises:
        ValueError: the shapes do not fit, or p is neither 1 nor 2.
        TypeError: x is not an array of floating numbers, or the target not one of integers.
        IndexError: a class is not between 0 and C - 1.

    Example:
        >>> loss_fn = MultiMarginLoss()
        >>> loss_fn(np.array([[2.0, 1.5]]), np.array([0])).item(), loss_fn.backward()
        (0.25, array([[-0.5,  0.5]]))
    """

    weight: np.ndarray | None

    def __init__(
        self, p: int = 1, margin: float = 1.0, weight: np.ndarray | None = None, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        if p not in (1, 2):
            raise ValueError(f"MultiMarginLoss: p is {p}, expected 1 or 2")
        if not np.isfinite(float(margin)):
            raise ValueError(f"MultiMarginLoss: margin is {margin}, expected a finite number")
        self.p, self.margin = p, margin
        self.register_buffer("weight", weight)

    def forward(self, input: np.ndarray, target: np.ndarray) -> Any:
        """L = Σ w max(0, m - x_t + x_c)^p / C Z."""
        self._check_rows(input)
        C = input.shape[-1]
        if self.weight is not None and self.weight.shape != (C,):
            raise ValueError(f"MultiMarginLoss: weight has shape {self.weight.shape}, expected ({C},)")
        self._check_classes(target, input.shape[:-1], 0, C)
        options = self.p, self.margin, self.weight
        return self.run_loss(F.multi_margin_loss, F.multi_margin_loss_backward, input, target, *options)


class MultiLabelMarginLoss(Loss):
    r"""Each class of the target must beat the others by 1: F.multilabel_margin_loss.

    Args:
        reduction: "mean", "sum" or "none".

    Shape: x (N, C) or (C,). The target is integers of the shape of x, in each row classes that end with the
    first -1; ℓ (N,) or ().

    Raises:
        ValueError: the shapes do not fit.
        TypeError: x is not an array of floating numbers, or the target not one of integers.
        IndexError: a class is not between -1 and C - 1.

    Example:
        >>> loss_fn = MultiLabelMarginLoss()
        >>> loss_fn(np.array([[2.0, 1.5]]), np.array([[0, -1]])).item(), loss_fn.backward()
        (0.25, array([[-0.5,  0.5]]))
    """

    def forward(self, input: np.ndarray, target: np.ndarray) -> Any:
        """L = Σ max(0, 1 - x_t + x_c) / C Z."""
        self._check_rows(input)
        self._check_classes(target, input.shape, -1, input.shape[-1])
        return self.run_loss(F.multilabel_margin_loss, F.multilabel_margin_loss_backward, input, target)


class MultiLabelSoftMarginLoss(Loss):
    r"""The mean of C questions to be answered yes or no: F.multilabel_soft_margin_loss.

    Args:
        weight: w, of a shape that broadcasts to that of x.
        reduction: "mean", "sum" or "none".

    Shape: x and t (\*, C), of one dtype; the target may be integers; ℓ (\*).

    Raises:
        ValueError: the shapes differ, or x has no axis.
        TypeError: x is not an array of floating numbers, or the dtypes differ.

    Example:
        >>> loss_fn = MultiLabelSoftMarginLoss()
        >>> loss_fn(np.zeros((1, 2)), np.array([[1, 0]])).round(4).item(), loss_fn.backward()
        (0.6931, array([[-0.25,  0.25]]))
    """

    weight: np.ndarray | None

    def __init__(self, weight: np.ndarray | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)

    def forward(self, input: np.ndarray, target: np.ndarray) -> Any:
        """L = -Σ w (t log σ(x) + (1 - t) log σ(-x)) / C Z."""
        t = as_numbers(target, input)
        self._check_alike(input=input, target=t)
        if input.ndim == 0:
            raise self.input_error("input", input, None, "(*, C)")
        self._check_weights(input, "weight")
        f, f_backward = F.multilabel_soft_margin_loss, F.multilabel_soft_margin_loss_backward
        return self.run_loss(f, f_backward, input, t, self.weight)
