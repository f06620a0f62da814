r"""Losses (PyTorch, torch/nn/modules/loss.py): the formulas stand in scratch.functional.

A loss compares its input x with a target t that is held constant: ``loss = loss_fn(x, t)``, then
``dx = loss_fn.backward()`` starts the backward pass. With reduction "none" the loss is an array, and
backward needs its gradient: ``loss_fn.backward(dloss)``. A loss of several inputs gives a gradient for each,
and None for the target.

Each loss is $L = \frac1Z \sum_n \ell_n$: a formula gives the ℓ, and F.reduce adds them up.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray

from scratch import functional as F
from scratch import grad_mode
from scratch.nn import kept
from scratch.nn.module import ARRAYS, Module, arguments

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "GaussianNLLLoss",
    "HingeEmbeddingLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "Loss",
    "MSELoss",
    "PoissonNLLLoss",
    "SmoothL1Loss",
    "SoftMarginLoss",
]


# A tuple, since a union is made anew each time that it is written out.
NUMBERS = (float, int, complex)


class Loss(Module):
    """Base class of the losses: a formula, then the reduction, and back again.

    Args:
        reduction: "mean", "sum" or "none".
    """

    reduction: str
    reductions: tuple[str, ...] = ("mean", "sum", "none")

    def __init__(self, reduction: str = "mean") -> None:
        if reduction not in self.reductions:
            *names, last = map(repr, self.reductions)
            raise ValueError(
                f"{type(self).__name__}: reduction is {reduction!r}, expected {', '.join(names)} or {last}"
            )
        self.reduction = reduction

    def run_loss(
        self,
        f: Callable[..., Any],
        f_backward: Callable[..., Any],
        *args: Any,
        total_weight: Any = None,
    ) -> Any:
        """The loss: the ℓ of ``f(*args)``, reduced.

        Args:
            f: a formula: gives (ℓ, saved).
            f_backward: its derivative: of (dℓ, saved), gives what backward returns.
            args: inputs, target and options.
            total_weight: what the mean divides by, if not by the number of the ℓ.
        """
        if type(args[0]) is not ndarray or type(args[1]) is not ndarray:
            self.refuse_mask(args[0])
            self.refuse_mask(args[1])
        ℓ, saved = f(*args)
        L, reduced = F.reduce(ℓ, self.reduction, total_weight)
        if mode := grad_mode.mode():
            sealed, time = kept.seal(saved) if mode > 1 else None, kept.now()
            if self._saved:
                self._wait(time)
            made = (time, args[0] is kept.latest)
            if not made[1] and kept.marks:
                made = kept.made_before(args[0], time)
            self._saved.append((time, sealed, made, f_backward, saved, reduced, L.shape, L.dtype))
        return L

    def backward(self, dloss: Any = 1.0) -> Any:
        """dL/dx, or a tuple of one gradient for each input, None for the target, which is constant.

        Args:
            dloss: the gradient of the loss, of its shape; 1 if it is the end.

        Raises:
            RuntimeError: there was no forward, it ran under no_grad, or its backward was already done.
            ValueError: dloss has another shape than the loss or, with reduction "none", another dtype.
        """
        if not self._saved:
            raise self._no_forward()
        _, sealed, made, f_backward, saved, reduced, shape, dtype = self._saved[-1]
        if isinstance(dloss, NUMBERS):
            fits = not shape
        else:
            fits = isinstance(dloss, ARRAYS) and dloss.shape == shape
            fits = fits and (dloss.dtype == dtype or (not shape and dloss.dtype.kind in "iufc"))
        if not fits:
            raise self._dloss_error(dloss, shape, dtype)
        if sealed is not None:
            self._refuse_changes(sealed)
        self._saved.pop()
        kept.current.tie = (*made, kept.now())
        return f_backward(F.reduce_backward(dloss, reduced), saved)

    def _dloss_error(self, dloss: Any, shape: tuple[int, ...], dtype: np.dtype) -> Exception:
        found = f"{getattr(dloss, 'dtype', type(dloss).__name__)} {getattr(dloss, 'shape', '')}".rstrip()
        return ValueError(
            f"{type(self).__name__}.backward: with reduction={self.reduction!r} it needs the gradient of the "
            f"loss, {dtype} {shape}; got {found}"
        )

    def _check_alike(self, **inputs: Any) -> None:
        """Refuse inputs of different shapes, which broadcasting would hide, or dtypes."""
        (first, x), *others = inputs.items()
        if not isinstance(x, ARRAYS) or x.dtype.kind not in "fc":
            raise self.input_error(first, x, None, "(*)")
        for name, other in others:
            self.refuse_mask(other)
            if not isinstance(other, ARRAYS):
                raise self.input_error(name, other, None, "(*)")
            if other.shape != x.shape:
                raise ValueError(
                    f"{type(self).__name__}: {first} has shape {x.shape}, {name} {other.shape}; they are "
                    "compared element by element, and broadcasting would compare others"
                )
            if other.real.dtype != x.real.dtype:
                raise TypeError(
                    f"{type(self).__name__}: {first} is {x.dtype}, {name} {other.dtype}; convert one of them"
                )

    def _check_weights(self, x: np.ndarray, *names: str) -> None:
        """Refuse weights, attributes of these names, that do not broadcast to the shape of x."""
        for name in names:
            weight = getattr(self, name)
            if weight is None:
                continue
            pairs = zip(weight.shape[::-1], x.shape[::-1], strict=False)
            if weight.ndim > x.ndim or any(n not in (1, size) for n, size in pairs):
                raise ValueError(
                    f"{type(self).__name__}: {name} has shape {weight.shape}, input {x.shape}; expected one "
                    "that broadcasts to it"
                )

    def _check_classes(
        self, target: Any, shape: tuple[int, ...], lowest: int, C: int, ignored: int | None = None
    ) -> None:
        """Refuse a target that is not of integers of this shape, from ``lowest`` to C - 1 or ignored."""
        name = type(self).__name__
        if not isinstance(target, ARRAYS):
            raise self.input_error("target", target, None, "")
        if target.dtype.kind not in "iu":
            raise TypeError(f"{name}: target is {target.dtype} {target.shape}, expected integers {shape}")
        if target.shape != shape:
            raise ValueError(f"{name}: target has shape {target.shape}, expected {shape} for this input")
        classes = np.asarray(target)
        classes = classes[classes != ignored] if ignored is not None else classes
        wrong = classes[(classes < lowest) | (classes >= C)]
        if wrong.size:
            raise IndexError(f"{name}: target holds class {wrong[0]}, expected {lowest} to {C - 1}")

    def _check_rows(self, x: Any) -> None:
        """Refuse an input that is not (N, C) or (C,)."""
        if (
            not isinstance(x, ARRAYS)
            or x.dtype.kind not in "fc"
            or x.ndim not in (1, 2)
            or x.shape[-1:] == (0,)
        ):
            raise self.input_error("input", x, None, "(N, C) or (C,), C above 0")

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return arguments(self)


def as_numbers(target: Any, x: Any) -> Any:
    """A target of counts or signs, which may be integers, as numbers of x's dtype."""
    both = isinstance(target, ARRAYS) and isinstance(x, ARRAYS)
    return target.astype(x.real.dtype) if both and target.dtype.kind in "iu" else target


# ---- element by element


class MSELoss(Loss):
    r"""$\ell = (x - t)^2$: F.mse_loss. The mean is over all elements, as torch's.

    Args:
        reduction: "mean", "sum" or "none".

    Shape: x and t (\*), of one dtype.

    Raises:
        ValueError: the shapes differ.
        TypeError: x is not an array of floating numbers, or the dtypes differ.

    Example:
        >>> loss_fn = MSELoss()
        >>> loss_fn(np.array([3.0, 1.0]), np.array([1.0, 1.0])).item(), loss_fn.backward()
        (2.0, array([2., 0.]))
    """

    def forward(self, input: np.ndarray, target: np.ndarray) -> Any:
        """L = Σ (x - t)² / Z."""
        self._check_alike(input=input, target=target)
        return self.run_loss(F.mse_loss, F.mse_loss_backward, input, target)


class L1Loss(Loss):
    r"""$\ell = |x - t|$: F.l1_loss.

    Args:
        reduction: "mean", "sum" or "none".

    Shape: x and t (\*), of one dtype.

    Raises:
        ValueError: the shapes differ.
        TypeError: x is not an array of floating numbers, or the dtypes differ.

    Example:
        >>> loss_fn = L1Loss()
        >>> loss_fn(np.array([3.0, 1.0]), np.array([1.0, 2.0])).item(), loss_fn.backward()
        (1.5, array([ 0.5, -0.5]))
    """

    def forward(self, input: np.ndarray, target: np.ndarray) -> Any:
        """L = Σ |x - t| / Z."""
        self._check_alike(input=input, target=target)
        return self.run_loss(F.l1_loss, F.l1_loss_backward, input, target)


class SmoothL1Loss(Loss):
    r"""$d = x - t$ is squared below β, and taken as it is above: F.smooth_l1_loss.

    Args:
        reduction: "mean", "sum" or "none".
        beta: β; 0 makes it an L1Loss.

    Shape: x and t (\*), of one dtype.

    Raises:
        ValueError: the shapes differ, or beta is below 0.
        TypeError: x is not an array of floating numbers, or the dtypes differ.

    Example:
        >>> loss_fn = SmoothL1Loss("sum")
        >>> loss_fn(np.array([0.5, 3.0]), np.zeros(2)).item(), loss_fn.backward()
        (2.625, array([0.5, 1. ]))
    """

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        if not 0 <= beta < np.inf:
            raise ValueError(f"SmoothL1Loss: beta is {beta}, expected 0 or more, and finite")
        self.beta = beta

    def forward(self, input: np.ndarray, target: np.ndarray) -> Any:
        """L = Σ (d² / 2β if |d| < β, else |d| - β/2) / Z, d = x - t."""
        self._check_alike(input=input, target=target)
        return self.run_loss(F.smooth_l1_loss, F.smooth_l1_loss_backward, input, target, self.beta)


class HuberLoss(Loss):
    r"""$d = x - t$ is squared below δ, and grows evenly above: F.huber_loss.

    Args:
        reduction: "mean", "sum" or "none".
        delta: δ.

    Shape: x and t (\*), of one dtype.

    Raises:
        ValueError: the shapes differ, or delta is not above 0.
        TypeError: x is not an array of floating numbers, or the dtypes differ.

    Example:
        >>> loss_fn = HuberLoss("sum", delta=2.0)
        >>> loss_fn(np.array([1.0, 3.0]), np.zeros(2)).item(), loss_fn.backward()
        (4.5, array([1., 2.]))
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        if not delta > 0:
            raise ValueError(f"HuberLoss: delta is {delta}, expected a number above 0")
        self.delta = delta

    def forward(self, input: np.ndarray, target: np.ndarray) -> Any:
        """L = Σ (d² / 2 if |d| < δ, else δ (|d| - δ/2)) / Z, d = x - t."""
        self._check_alike(input=input, target=target)
        return self.run_loss(F.huber_loss, F.huber_loss_backward, input, target, self.delta)


class BCELoss(Loss):
    r"""$\ell = -w\,(t \log x + (1-t) \log(1-x))$ for probabilities x: F.binary_cross_entropy.

    Args:
        weight: w, of a shape that broadcasts to that of x.
        reduction: "mean", "sum" or "none".

    Shape: x and t (\*), of one dtype.

    Raises:
        ValueError: the shapes differ, or an x is not between 0 and 1 (nan included).
        TypeError: x is not an array of floating numbers, or the dtypes differ.

    Example:
        >>> loss_fn = BCELoss()
        >>> loss_fn(np.array([0.5, 0.5]), np.array([1.0, 0.0])).round(4).item(), loss_fn.backward()
        (0.6931, array([-1.,  1.]))
    """

    weight: np.ndarray | None

    def __init__(self, weight: np.ndarray | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)

    def forward(self, input: np.ndarray, target: np.ndarray) -> Any:
        """L = -Σ w (t log x + (1 - t) log(1 - x)) / Z."""
        self._check_alike(input=input, target=target)
        if not np.all((input.real >= 0) & (input.real <= 1)):
            raise ValueError(
                f"BCELoss: input runs from {input.real.min()} to {input.real.max()}, expected probabilities "
                "from 0 to 1; for scores use BCEWithLogitsLoss"
            )
        if not np.all((target.real >= 0) & (target.real <= 1)):
            raise ValueError(
                f"BCELoss: target runs from {target.real.min()} to {target.real.max()}, expected "
                "probabilities from 0 to 1"
            )
        self._check_weights(input, "weight")
        return self.run_loss(
            F.binary_cross_entropy, F.binary_cross_entropy_backward, input, target, self.weight
        )


class BCEWithLogitsLoss(Loss):
    r"""BCELoss of $\sigma(x)$, from the scores x themselves: F.binary_cross_entropy_with_logits.

    Args:
        weight: w, of a shape that broadcasts to that of x.
        reduction: "mean", "sum" or "none".
        pos_weight: the weight of the positive class, of a shape that broadcasts to that of x.

    Shape: x and t (\*), of one dtype.

    Raises:
        ValueError: the shapes differ.
        TypeError: x is not an array of floating numbers, or the dtypes differ.

    Example:
        >>> loss_fn = BCEWithLogitsLoss()
        >>> loss_fn(np.zeros(2), np.array([1.0, 0.0])).round(4).item(), loss_fn.backward()
        (0.6931, array([-0.25,  0.25]))
    """

    weight: np.ndarray | None
    pos_weight: np.ndarray | None

    def __init__(
        self,
        weight: np.ndarray | None = None,
        reduction: str = "mean",
        pos_weight: np.ndarray | None = None,
    ) -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: np.ndarray, target: np.ndarray) -> Any:
        """L = -Σ w (p t log σ(x) + (1 - t) log σ(-x)) / Z."""
        self._check_alike(input=input, target=target)
        self._check_weights(input, "weight", "pos_weight")
        return self.run_loss(
            F.binary_cross_entropy_with_logits,
            F.binary_cross_entropy_with_logits_backward,
            input,
            target,
            self.weight,
            self.pos_weight,
        )


class KLDivLoss(Loss):
    r"""$\ell = t\,(\log t - x)$ for log-probabilities x and probabilities t: F.kl_div.

    Args:
        reduction: "mean" (over all elements), "batchmean" (over the first axis: the divergence proper), "sum"
            or "none".
        log_target: whether the target is log t.

    Shape: x and t (\*), of one dtype.

    Raises:
        ValueError: the shapes differ.
        TypeError: x is not an array of floating numbers, or the dtypes differ.

    Example:
        >>> loss_fn = KLDivLoss("sum")
        >>> loss_fn(np.log([0.25, 0.75]), np.array([0.0, 1.0])).round(4).item(), loss_fn.backward()
        (0.2877, array([-0., -1.]))
    """

    reductions = ("mean", "batchmean", "sum", "none")

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction)
        self.log_target = log_target

    def forward(self, input: np.ndarray, target: np.ndarray) -> Any:
        """L = Σ t (log t - x) / Z."""
        self._check_alike(input=input, target=target)
        return self.run_loss(F.kl_div, F.kl_div_backward, input, target, self.log_target)


class PoissonNLLLoss(Loss):
    r"""A count t is Poisson with the mean $e^x$: $\ell = e^x - t x + \log t!$: F.poisson_nll_loss.

    Args:
        log_input: whether x is the logarithm of the mean, or the mean itself.
        full: whether to add the constant log t!, by Stirling's formula.
        eps: against log 0.
        reduction: "mean", "sum" or "none".

    Shape: x and t (\*), of one dtype; the target may be integers.

    Raises:
        ValueError: the shapes differ.
        TypeError: x is not an array of floating numbers, or the dtypes differ.

    Example:
        >>> loss_fn = PoissonNLLLoss()
        >>> loss_fn(np.zeros(2), np.array([0, 3])).item(), loss_fn.backward()
        (1.0, array([ 0.5, -1. ]))
    """

    def __init__(
        self, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.log_input, self.full, self.eps = log_input, full, eps

    def forward(self, log_input: np.ndarray, target: np.ndarray) -> Any:
        """L = Σ (exp(x) - t x + log t!) / Z."""
        t = as_numbers(target, log_input)
        self._check_alike(log_input=log_input, target=t)
        options = self.log_input, self.full, self.eps
        return self.run_loss(F.poisson_nll_loss, F.poisson_nll_loss_backward, log_input, t, *options)


class GaussianNLLLoss(Loss):
    r"""t is normal with mean x and variance v: $\ell = \frac12 (\log v + (x-t)^2/v)$: F.gaussian_nll_loss.

    Args:
        full: whether to add the constant $\frac12 \log 2\pi$.
        eps: a variance below it counts as it.
        reduction: "mean", "sum" or "none".

    Shape: x and t (\*), of one dtype. v as x, or as x without its last axis, or with one axis of size 1,
    or a number. The gradients are (dx, None, dv), dv of the shape of v; None if v is a number.

    Raises:
        ValueError: the shapes do not fit, or a variance is below 0.
        TypeError: x is not an array of floating numbers, or the dtypes differ.

    Example:
        >>> loss_fn = GaussianNLLLoss()
        >>> loss_fn(np.array([3.0]), np.array([1.0]), np.array([1.0])).item(), loss_fn.backward()
        (2.0, (array([2.]), None, array([-1.5])))
    """

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.full, self.eps = full, eps

    def forward(self, input: np.ndarray, target: np.ndarray, var: Any) -> Any:
        """L = Σ (log v + d²/v) / 2Z."""
        self._check_alike(input=input, target=target)
        self._check_variance(var, input)
        options = self.full, self.eps
        self.refuse_mask(var)
        return self.run_loss(F.gaussian_nll_loss, F.gaussian_nll_loss_backward, input, target, var, *options)

    def _check_variance(self, var: Any, x: np.ndarray) -> None:
        number = isinstance(var, float | int) and not isinstance(var, np.generic)
        if not number and not isinstance(var, ARRAYS):
            raise self.input_error("var", var, None, "")
        if not number and var.real.dtype != x.real.dtype:
            raise TypeError(f"GaussianNLLLoss: input is {x.dtype}, var {var.dtype}; convert one of them")
        if np.any(np.real(var) < 0):
            raise ValueError(f"GaussianNLLLoss: var has {np.min(np.real(var))}, expected 0 or more")
        if number:
            return
        shape = (*var.shape, 1) if var.shape == x.shape[:-1] != x.shape else var.shape
        others = [n for n, size in zip(shape, x.shape, strict=False) if n != size]
        if len(shape) != x.ndim or others not in ([], [1]):
            raise ValueError(
                f"GaussianNLLLoss: input has shape {x.shape}, var {var.shape}; expected one that fits"
            )


class SoftMarginLoss(Loss):
    r"""$\ell = \log(1 + e^{-yx})$ for signs y = ±1: F.soft_margin_loss.

    Args:
        reduction: "mean", "sum" or "none".

    Shape: x and y (\*), of one dtype; the target y may be integers.

    Raises:
        ValueError: the shapes differ.
        TypeError: x is not an array of floating numbers, or the dtypes differ.

    Example:
        >>> loss_fn = SoftMarginLoss()
        >>> loss_fn(np.zeros(2), np.array([1, -1])).round(4).item(), loss_fn.backward()
        (0.6931, array([-0.25,  0.25]))
    """

    def forward(self, input: np.ndarray, target: np.ndarray) -> Any:
        """L = Σ log(1 + exp(-y x)) / Z."""
        y = as_numbers(target, input)
        self._check_alike(input=input, target=y)
        return self.run_loss(F.soft_margin_loss, F.soft_margin_loss_backward, input, y)


class HingeEmbeddingLoss(Loss):
    r"""x is a distance: $\ell = x$ if y = 1, and $\max(0, m - x)$ if y = -1: F.hinge_embedding_loss.

    Args:
        margin: m.
        reduction: "mean", "sum" or "none".

    Shape: x and y (\*), of one dtype; the target y may be integers.

    Raises:
        ValueError: the shapes differ.
        TypeError: x is not an array of floating numbers, or the dtypes differ.

    Example:
        >>> loss_fn = HingeEmbeddingLoss()
        >>> loss_fn(np.array([2.0, 0.5]), np.array([1, -1])).item(), loss_fn.backward()
        (1.25, array([ 0.5, -0.5]))
    """

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input: np.ndarray, target: np.ndarray) -> Any:
        """L = Σ (x if y = 1, max(0, m - x) if y = -1) / Z."""
        y = as_numbers(target, input)
        self._check_alike(input=input, target=y)
        return self.run_loss(F.hinge_embedding_loss, F.hinge_embedding_loss_backward, input, y, self.margin)
