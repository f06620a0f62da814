r"""Losses (PyTorch, torch/nn/modules/loss.py).

A loss compares its input x with a target that is held constant: ``loss = loss_fn(x, target)``, then
``dx = loss_fn.backward()`` starts the backward pass. With reduction "none" the loss is an array, and
backward wants its gradient: ``loss_fn.backward(dloss)``. A loss of several inputs gives a gradient for each,
and None for the target. (torch differentiates some losses by the target too; here it never is.)

Each loss is a sum $L = \frac1Z \sum_n \ell_n$; ``reduction`` says whether Z is the number (or the
weight) of the summands ("mean"), 1 ("sum"), or nothing is summed ("none").
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from scratch.nn.activation import clip, log_softmax, positive, sigmoid, softplus
from scratch.nn.distance import p_norm
from scratch.nn.module import Module, arguments

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CosineEmbeddingLoss",
    "CrossEntropyLoss",
    "GaussianNLLLoss",
    "HingeEmbeddingLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "Loss",
    "MSELoss",
    "MarginRankingLoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "NLLLoss",
    "PoissonNLLLoss",
    "SmoothL1Loss",
    "SoftMarginLoss",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
]


class Loss(Module):
    """Base class of the losses: the reduction, forwards and backwards."""

    reduction: str
    reductions: tuple[str, ...] = ("mean", "sum", "none")

    def __init__(self, reduction: str = "mean") -> None:
        if reduction not in self.reductions:
            *wanted, last = map(repr, self.reductions)
            raise ValueError(
                f"{type(self).__name__}: reduction is {reduction!r}, wanted {', '.join(wanted)} or {last}"
            )
        self.reduction = reduction

    def backward(self, dloss: Any = 1.0, needs_input_grad: bool = True) -> Any:
        """dx = slope · dl for each input, bare if there is one; the target is constant."""
        slopes, shape, Z = self.saved()
        dl = self._spread(dloss, shape, Z)
        if self.reduction == "none":
            dl = np.reshape(dl, shape + (1,) * (slopes[0].ndim - len(shape)))
        gradients = tuple(None if slope is None else slope * dl for slope in slopes)
        return gradients if len(gradients) > 1 else gradients[0]

    def _finish(
        self, losses: np.ndarray, *slopes: np.ndarray | None, total_weight: float | None = None
    ) -> Any:
        """L from the l, keeping for each input the slope dl/dx (None: held), of the shape of the input.

        An l may be of all the numbers along the last axis of the inputs.
        """
        Z = losses.size if total_weight is None else total_weight
        self.save(slopes, losses.shape, Z)
        return self._reduce(losses.reshape(-1), losses.shape, Z)

    def _check_alike(self, **inputs: np.ndarray) -> None:
        """Refuse inputs of different shapes, which broadcasting would hide, or dtypes."""
        (first, x), *others = inputs.items()
        for name, other in others:
            if other.shape != x.shape:
                raise ValueError(
                    f"{type(self).__name__}: {first} has shape {x.shape}, {name} {other.shape}; they are "
                    "compared element by element, and broadcasting would compare others"
                )
            if other.real.dtype != x.real.dtype:
                raise TypeError(
                    f"{type(self).__name__}: {first} is {x.dtype}, {name} {other.dtype}; convert one of them"
                )

    def _check_classes(self, target: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """A target of integers of this shape, as one line of int64."""
        name = type(self).__name__
        if target.dtype.kind not in "iu":
            raise TypeError(f"{name}: the target is {target.dtype} {target.shape}, wanted integers {shape}")
        if target.shape != shape:
            raise ValueError(f"{name}: for this x the target has shape {shape}; this one has {target.shape}")
        return target.reshape(-1).astype(np.int64, copy=False)

    def _check_range(self, classes: np.ndarray, lowest: int, C: int) -> None:
        if np.any(wrong := (classes < lowest) | (classes >= C)):
            name, found = type(self).__name__, classes[wrong][0]
            raise IndexError(f"{name}: the target holds class {found}, wanted {lowest} to {C - 1}")

    def _reduce(self, losses: np.ndarray, shape: tuple[int, ...], total_weight: float) -> Any:
        """L from the l_n, or the l_n in this shape. The mean over nothing is nan, as torch's."""
        if self.reduction == "none":
            return losses.reshape(shape)
        total = np.add.reduce(losses)
        return total if self.reduction == "sum" else total / total_weight if total_weight else total * np.nan

    def _spread(self, dloss: Any, shape: tuple[int, ...], total_weight: float) -> Any:
        """dL/dl_n, from dL/dL = 1 if nothing else is given; of the mean over nothing 0, as torch's."""
        if self.reduction == "none":
            if np.shape(dloss) != shape:
                raise ValueError(
                    f"{type(self).__name__}.backward: with reduction='none' it needs the gradient of the "
                    f"losses, shape {shape}; got shape {np.shape(dloss)}"
                )
            return dloss
        return dloss if self.reduction == "sum" else dloss / total_weight if total_weight else dloss * 0

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return arguments(self)


def _as_numbers(target: np.ndarray, x: np.ndarray) -> np.ndarray:
    """A target of counts or signs, which may be integers, as numbers of x's dtype."""
    return target.astype(x.real.dtype) if target.dtype.kind in "iu" else target


# ---- element by element


class _ElementwiseLoss(Loss):
    """A loss of one element of x and one of the target: l = f(x, t), and dx = f'(x, t) dl."""

    takes_integers = False

    def forward(self, x: np.ndarray, target: np.ndarray) -> Any:
        """The loss of x against a target of the same shape."""
        if self.takes_integers:
            target = _as_numbers(target, x)
        self._check_alike(x=x, target=target)
        return self._finish(*self._loss_and_slope(x, target))

    def _loss_and_slope(self, x: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(f(x, t), df/dx), element by element."""
        raise NotImplementedError


class MSELoss(_ElementwiseLoss):
    r"""$\ell = (x - t)^2$, so $dx = 2 (x - t)\, d\ell$. The mean is over all elements, as torch's.

    Shape: x and target (\*), of one dtype.

    Raises:
        ValueError: the shapes differ.
        TypeError: the dtypes differ.
    """

    def _loss_and_slope(self, x: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        difference = x - t
        return difference * difference, 2 * difference


class L1Loss(_ElementwiseLoss):
    r"""$\ell = |x - t|$, so $dx = \operatorname{sign}(x - t)\, d\ell$, and 0 where x = t.

    Shape: x and target (\*), of one dtype.

    Raises:
        ValueError: the shapes differ.
        TypeError: the dtypes differ.
    """

    def _loss_and_slope(self, x: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        difference = x - t
        sign = np.sign(difference.real)
        return difference * sign, sign


class _WeightedElementwiseLoss(_ElementwiseLoss):
    """An elementwise loss whose elements are weighted."""

    weight: np.ndarray | None

    def __init__(self, weight: np.ndarray | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)

    def _loss_and_slope(self, x: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        losses, slopes = self._unweighted(x, t)
        if self.weight is None:
            return losses, slopes
        return self.weight * losses, np.broadcast_to(self.weight * slopes, x.shape)

    def _unweighted(self, x: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        raise NotImplementedError


# torch keeps its 1e-12 in float32.
_LEAST = float(np.float32(1e-12))


class BCELoss(_WeightedElementwiseLoss):
    r"""$\ell = -w\,(t \log x + (1-t) \log(1-x))$ for probabilities x.

    $$dx = w \Bigl(\frac{1-t}{1-x} - \frac{t}{x}\Bigr) d\ell = w \frac{x - t}{x (1 - x)}\, d\ell.$$

    As torch has it, logarithms end at -100 and the denominator at 1e-12, so that x = 0 and x = 1 are finite.

    Args:
        weight: w, of a shape that broadcasts to that of x.
        reduction: "mean", "sum" or "none".

    Shape: x and target (\*), of one dtype.

    Raises:
        ValueError: the shapes differ, or an x is not between 0 and 1 (nan included).
        TypeError: the dtypes differ.
    """

    def _unweighted(self, x: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if not np.all((x.real >= 0) & (x.real <= 1)):
            raise ValueError(
                f"BCELoss: x runs from {x.real.min()} to {x.real.max()}, wanted probabilities from 0 to 1; "
                "for scores use BCEWithLogitsLoss"
            )
        losses = -(t * _clamped_log(x) + (1 - t) * _clamped_log(1 - x))
        variance = x * (1 - x)
        return losses, (x - t) / np.where(variance.real < _LEAST, variance.dtype.type(_LEAST), variance)


def _clamped_log(x: np.ndarray) -> np.ndarray:
    """log x, or -100 where it is below that."""
    tiny = x.real < np.exp(-100.0)
    return np.where(tiny, x.dtype.type(-100), np.log(np.where(tiny, 1, x)))


class BCEWithLogitsLoss(_WeightedElementwiseLoss):
    r"""BCELoss of $\sigma(x)$, from the scores x themselves.

    With $\log\sigma(x) = -\log(1+e^{-x})$ and the weight p of the positive class,

    $$\ell = w \bigl( (1-t)\, x + (1 + (p-1)\, t) \log(1+e^{-x}) \bigr), \qquad
      dx = w \bigl( (1-t)\, \sigma(x) - p\, t\, (1 - \sigma(x)) \bigr)\, d\ell,$$

    where $\log(1+e^{-x})$, activation.softplus, never overflows.

    Args:
        weight: w, of a shape that broadcasts to that of x.
        reduction: "mean", "sum" or "none".
        pos_weight: p, of a shape that broadcasts to that of x.

    Shape: x and target (\*), of one dtype.

    Raises:
        ValueError: the shapes differ.
        TypeError: the dtypes differ.
    """

    pos_weight: np.ndarray | None

    def __init__(
        self,
        weight: np.ndarray | None = None,
        reduction: str = "mean",
        pos_weight: np.ndarray | None = None,
    ) -> None:
        super().__init__(weight, reduction)
        self.register_buffer("pos_weight", pos_weight)

    def _unweighted(self, x: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        p = 1 if self.pos_weight is None else self.pos_weight
        return (1 - t) * x + (1 + (p - 1) * t) * softplus(-x), (1 - t) * sigmoid(x) - p * t * sigmoid(-x)


class SmoothL1Loss(_ElementwiseLoss):
    r"""$d = x - t$ is squared below β, and taken as it is above: $\ell = d^2/2\beta$ or $|d| - \beta/2$.

    With the slope $s = \min(\max(d/\beta, -1), 1)$ both are $\ell = s\,(d - \frac\beta2 s)$, and
    $dx = s\, d\ell$ (Girshick 2015).

    Args:
        reduction: "mean", "sum" or "none".
        beta: β; 0 makes it an L1Loss.

    Shape: x and target (\*), of one dtype.

    Raises:
        ValueError: the shapes differ, or beta is below 0.
        TypeError: the dtypes differ.
    """

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        if not beta >= 0:
            raise ValueError(f"SmoothL1Loss: beta is {beta}, wanted 0 or more")
        self.beta = beta

    def _loss_and_slope(self, x: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        d = x - t
        slope = clip(d / self.beta, -1, 1) if self.beta else np.sign(d.real)
        return slope * (d - self.beta / 2 * slope), slope


class HuberLoss(_ElementwiseLoss):
    r"""$d = x - t$ is squared below δ, and grows evenly above: $\ell = d^2/2$ or $\delta\,(|d| - \delta/2)$.

    With the slope $s = \min(\max(d, -\delta), \delta)$ both are $\ell = s\,(d - s/2)$, and $dx = s\, d\ell$
    (Huber 1964).

    Args:
        reduction: "mean", "sum" or "none".
        delta: δ.

    Shape: x and target (\*), of one dtype.

    Raises:
        ValueError: the shapes differ, or delta is not above 0.
        TypeError: the dtypes differ.
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        if not delta > 0:
            raise ValueError(f"HuberLoss: delta is {delta}, wanted a number above 0")
        self.delta = delta

    def _loss_and_slope(self, x: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        d = x - t
        slope = clip(d, -self.delta, self.delta)
        return slope * (d - slope / 2), slope


class KLDivLoss(Loss):
    r"""$\ell = t\,(\log t - x)$ for log-probabilities x and probabilities t, so $dx = -t\, d\ell$.

    Summed over a distribution that is the Kullback-Leibler divergence of x from t. Where t = 0, ℓ = 0.

    Args:
        reduction: "mean" (over all elements), "batchmean" (over the first axis: the divergence proper), "sum"
            or "none".
        log_target: whether the target is log t.

    Shape: x and target (\*), of one dtype.

    Raises:
        ValueError: the shapes differ.
        TypeError: the dtypes differ.
    """

    reductions = ("mean", "batchmean", "sum", "none")

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction)
        self.log_target = log_target

    def forward(self, x: np.ndarray, target: np.ndarray) -> Any:
        """L = Σ t (log t - x) / Z."""
        self._check_alike(x=x, target=target)
        t = np.exp(target) if self.log_target else target
        log_t = target if self.log_target else np.log(np.where(target == 0, 1, target))
        rows = len(x) if self.reduction == "batchmean" and x.ndim else x.size
        return self._finish(t * (log_t - x), -t, total_weight=rows)


class PoissonNLLLoss(_ElementwiseLoss):
    r"""A count t is Poisson with the mean $\mu = e^x$: $\ell = -\log P(t) = e^x - t x + \log t!$.

    So $dx = (e^x - t)\, d\ell$. With ``log_input=False`` x is µ itself, $\ell = x - t \log(x + \epsilon)$ and
    $dx = (1 - t/(x+\epsilon))\, d\ell$. The constant $\log t!$ is left out unless ``full``, and then it is
    Stirling's $t \log t - t + \frac12 \log 2\pi t$ for t > 1, else 0.

    Args:
        log_input: whether x is log µ.
        full: whether to add the constant.
        eps: ε, against log 0.
        reduction: "mean", "sum" or "none".

    Shape: x and target (\*), of one dtype; the target may be integers.

    Raises:
        ValueError: the shapes differ.
        TypeError: the dtypes differ.
    """

    takes_integers = True

    def __init__(
        self, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.log_input, self.full, self.eps = log_input, full, eps

    def _loss_and_slope(self, x: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self.log_input:
            mean = np.exp(x)
            losses, slopes = mean - t * x, mean - t
        else:
            losses, slopes = x - t * np.log(x + self.eps), 1 - t / (x + self.eps)
        if self.full:
            n = np.where(t > 1, t, 1)
            losses = losses + (t > 1) * (n * np.log(n) - n + 0.5 * np.log(2 * math.pi * n))
        return losses, slopes


class SoftMarginLoss(_ElementwiseLoss):
    r"""$\ell = \log(1 + e^{-yx})$ for signs y = ±1, so $dx = -y\, \sigma(-yx)\, d\ell$.

    (torch lets $e^{-yx}$ overflow, and its ℓ is infinite where yx < -88 in float32.)

    Args:
        reduction: "mean", "sum" or "none".

    Shape: x and target (\*), of one dtype; the target may be integers.

    Raises:
        ValueError: the shapes differ.
        TypeError: the dtypes differ.
    """

    takes_integers = True

    def _loss_and_slope(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return softplus(-y * x), -y * sigmoid(-y * x)


class HingeEmbeddingLoss(_ElementwiseLoss):
    r"""x is a distance: $\ell = x$ for a pair that belongs together, y = 1, and $\max(0, m - x)$ if y = -1.

    So $dx = d\ell$ or $-d\ell\, [m - x \ge 0]$. (As in torch, for another y both are added.)

    Args:
        margin: m.
        reduction: "mean", "sum" or "none".

    Shape: x and target (\*), of one dtype; the target may be integers.

    Raises:
        ValueError: the shapes differ.
        TypeError: the dtypes differ.
    """

    takes_integers = True

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def _loss_and_slope(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        near, far, z = y != -1, y != 1, self.margin - x
        slope = near.astype(x.dtype) - (far & (z.real >= 0))
        return near * x + far * clip(z, 0, np.inf), slope


class GaussianNLLLoss(Loss):
    r"""t is normal with mean x and variance v: $\ell = \frac12 \bigl(\log v + (x-t)^2/v\bigr)$.

    With $d = x - t$: $dx = \frac dv\, d\ell$ and $dv = \frac12 \bigl(\frac1v - \frac{d^2}{v^2}\bigr) d\ell$
    (Nix and Weigend 1994). A variance below ε counts as ε, and still gets its gradient, as torch's.

    Args:
        full: whether to add the constant $\frac12 \log 2\pi$.
        eps: ε.
        reduction: "mean", "sum" or "none".

    Shape: x and target (\*), of one dtype. v as x, or as x without its last axis, or with one axis of size 1,
    or a number. The gradients are (dx, None, dv), dv of the shape of v; None if v is a number.

    Raises:
        ValueError: the shapes do not fit, or a variance is below 0.
        TypeError: the dtypes differ.
    """

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.full, self.eps = full, eps

    def forward(self, x: np.ndarray, target: np.ndarray, var: Any) -> Any:
        """L = Σ (log v + d²/v) / 2Z."""
        self._check_alike(x=x, target=target)
        v, shape = self._variance(var, x), np.shape(var)
        d, v = x - target, v + positive(self.eps - v.real)
        losses = 0.5 * (np.log(v) + d * d / v) + (0.5 * math.log(2 * math.pi) if self.full else 0)
        self.save(d, v, None if isinstance(var, float | int) else shape)
        return self._reduce(losses.reshape(-1), x.shape, x.size)

    def _variance(self, var: Any, x: np.ndarray) -> np.ndarray:
        """v with as many axes as x."""
        v = np.asarray(var, x.real.dtype) if isinstance(var, float | int) else var
        if np.any(v.real < 0):
            raise ValueError(f"GaussianNLLLoss: var has {v.real.min()}, wanted 0 or more")
        if v.real.dtype != x.real.dtype:
            raise TypeError(f"GaussianNLLLoss: x is {x.dtype}, var {v.dtype}; convert one of them")
        if v is not var:
            return v
        if v.shape == x.shape[:-1] != x.shape:
            v = v[..., None]
        others = [n for n, size in zip(v.shape, x.shape, strict=False) if n != size]
        if v.ndim != x.ndim or others not in ([], [1]):
            raise ValueError(f"GaussianNLLLoss: x has shape {x.shape}, var {var.shape}; wanted one that fits")
        return v

    def backward(self, dloss: Any = 1.0, needs_input_grad: bool = True) -> Any:
        """dx = d/v dl, dv = (1/v - d²/v²)/2 dl, summed where one v serves several x."""
        d, v, shape = self.saved()
        dl = self._spread(dloss, d.shape, d.size)
        dx = d / v * dl
        if shape is None:
            return dx, None, None
        dv = 0.5 * (1 / v - d * d / (v * v)) * dl
        shared = tuple(axis for axis in range(d.ndim) if v.shape[axis] != d.shape[axis])
        return dx, None, np.add.reduce(dv, axis=shared).reshape(shape)


# ---- of classes


class _ClassLoss(Loss):
    r"""A loss that is linear in log-probabilities: $\ell_n = -\sum_c q_{nc} \log p_{nc}$.

    q says how much each log-probability counts. For a class index it is the weight of that class in
    one place and 0 elsewhere, so one formula serves indices, weights, smoothing and probabilities.
    Inside, every sample is a row: (C,), (N, C) and (N, C, d1, …) become (rows, C).
    """

    weight: np.ndarray | None
    label_smoothing = 0.0

    def __init__(self, weight: np.ndarray | None = None, ignore_index: int = -100, reduction: str = "mean"):
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index

    def _rows(self, x: np.ndarray) -> np.ndarray:
        if x.dtype.kind not in "fc" or x.ndim == 0:
            raise TypeError(
                f"{type(self).__name__}: x is {x.dtype} {x.shape}, wanted floating (C,), (N, C) or (N, C, …)"
            )
        C = x.shape[min(1, x.ndim - 1)]
        if self.weight is not None and self.weight.shape != (C,):
            raise ValueError(
                f"{type(self).__name__}: weight has shape {self.weight.shape}, wanted ({C},), one a class"
            )
        return x if x.ndim == 2 else np.moveaxis(x, min(1, x.ndim - 1), -1).reshape(-1, C)

    def _from_rows(self, rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """The reverse of _rows, for an x of this shape."""
        if len(shape) == 2:
            return rows
        if len(shape) == 1:
            return rows.reshape(shape)
        return np.moveaxis(rows.reshape(shape[0], *shape[2:], shape[1]), -1, 1)

    def _classes(self, target: np.ndarray, shape: tuple[int, ...], C: int) -> tuple[np.ndarray, Any]:
        """(classes, rows) of the samples that are not ignored; rows is None if that is all of them."""
        classes = self._check_classes(target, shape)
        # As an unsigned number a negative class is a large one: one maximum finds both kinds out of range.
        highest = np.maximum.reduce(classes.view(np.uint64), initial=0)
        if highest < C and not 0 <= self.ignore_index < C:
            return classes, None
        rows = np.flatnonzero(classes != self.ignore_index)
        classes = classes[rows]
        self._check_range(classes, 0, C)
        return classes, rows

    def _index_loss(self, log_p: np.ndarray, target: np.ndarray, shape: tuple[int, ...]) -> tuple[Any, ...]:
        """(l, q, Σ_c q or None if it is 1, Z); Z is the weight of all samples that are not ignored."""
        n, C = log_p.shape
        classes, rows = self._classes(target, shape, C)
        at = (np.arange(n) if rows is None else rows) + n * classes
        # Only the classes that count are multiplied: elsewhere log p may be -inf.
        losses = -log_p.T.take(at)
        q = np.zeros((C, n), log_p.real.dtype).T
        if self.weight is None and not self.label_smoothing and rows is None:
            q.T.put(at, 1)
            return losses, q, None, n
        weight = np.ones(C, q.dtype) if self.weight is None else self.weight.real
        kept, total_weight = slice(None) if rows is None else rows, np.add.reduce(weight[classes])
        share = self.label_smoothing / C * weight
        q[kept] = share
        q.T.reshape(-1)[at] += (1 - self.label_smoothing) * weight[classes]
        all_losses = np.zeros(n, log_p.dtype)
        all_losses[kept] = (1 - self.label_smoothing) * weight[classes] * losses
        if self.label_smoothing:
            all_losses[kept] -= log_p[kept] @ share
        return all_losses, q, np.add.reduce(q, axis=1, keepdims=True), total_weight

    def _row_gradients(self, dloss: Any, shape: tuple[int, ...], total_weight: Any) -> Any:
        """dL/dl_n as a column, or the one number that it is for all rows."""
        dl = self._spread(dloss, shape, total_weight)
        return np.reshape(dl, (-1, 1)) if self.reduction == "none" else dl


def _sample_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of the target for an x of this shape: without the axis of the classes."""
    return shape[:1] + shape[2:] if len(shape) > 1 else ()


class NLLLoss(_ClassLoss):
    r"""$\ell_n = -w_{t_n} x_{n t_n}$ for log-probabilities x and classes t, so $dx_{nc} = -q_{nc}\, d\ell_n$
    with $q_{nc} = w_c$ where $c = t_n$ and 0 elsewhere. The mean divides by $Z = \sum_n w_{t_n}$.

    Args:
        weight: w, one number for each class, (C,).
        ignore_index: samples of this class count nothing.
        reduction: "mean", "sum" or "none".

    Shape: x (C,), (N, C) or (N, C, d1, …), target integers (), (N,) or (N, d1, …).

    Raises:
        ValueError: the shapes do not fit.
        TypeError: x is not floating, or the target not integer.
        IndexError: a class is not between 0 and C - 1.
    """

    def forward(self, x: np.ndarray, target: np.ndarray) -> Any:
        """L = Σ l / Z with l = -q x."""
        rows, shape = self._rows(x), _sample_shape(x.shape)
        losses, q, _, total_weight = self._index_loss(rows, target, shape)
        self.save(q, x.shape, shape, total_weight)
        return self._reduce(losses, shape, total_weight)

    def backward(self, dloss: Any = 1.0, needs_input_grad: bool = True) -> np.ndarray:
        """dx = -q dl."""
        q, x_shape, shape, total_weight = self.saved()
        return self._from_rows(-q * self._row_gradients(dloss, shape, total_weight), x_shape)


class CrossEntropyLoss(_ClassLoss):
    r"""NLLLoss of the log-softmax of x; the book's SoftmaxWithLoss.

    With $p = \operatorname{softmax}(x)$ and $\ell = -\sum_c q_c \log p_c$, the Jacobian of the log-softmax,
    $\partial \log p_c / \partial x_j = \delta_{cj} - p_j$, gives

    $$dx_j = \bigl(p_j \textstyle\sum_c q_c - q_j\bigr)\, d\ell,$$

    which for a plain class index is the well-known $p - t$. The logarithm is taken by log-sum-exp, exact
    where log(p + 1e-7) would stop at 16 nats.

    Args:
        weight: w, one number for each class, (C,).
        ignore_index: samples of this class count nothing (class indices only).
        reduction: "mean", "sum" or "none".
        label_smoothing: ε; the target becomes (1 - ε) t + ε / C (Szegedy et al. 2016, section 7).

    Shape: x (C,), (N, C) or (N, C, d1, …). The target is classes, integers (), (N,) or (N, d1, …), or
    probabilities, floating numbers of the shape of x. The mean divides by the weight of all samples
    that count, for probabilities by the number of samples.

    Raises:
        ValueError: the shapes do not fit, or label_smoothing is not between 0 and 1.
        TypeError: x is not floating, or the target neither integer nor of x's dtype.
        IndexError: a class is not between 0 and C - 1.
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
            raise ValueError(f"CrossEntropyLoss: label_smoothing is {label_smoothing}, wanted 0 to 1")
        self.label_smoothing = label_smoothing

    def forward(self, x: np.ndarray, target: np.ndarray) -> Any:
        """L = Σ l / Z with l = -Σ q log p."""
        # Fortran order: the sums over a few classes become long loops over the samples.
        log_p, shape = log_softmax(np.asanyarray(self._rows(x), order="F"), 1), _sample_shape(x.shape)
        if target.dtype.kind == "f" and target.shape == x.shape:
            losses, q, mass, total_weight = self._probability_loss(log_p, target)
        else:
            losses, q, mass, total_weight = self._index_loss(log_p, target, shape)
        self.save(log_p, q, mass, x.shape, shape, total_weight)
        return self._reduce(losses, shape, total_weight)

    def _probability_loss(self, log_p: np.ndarray, target: np.ndarray) -> tuple[Any, ...]:
        """(l, q, Σ_c q, Z) for probabilities; Z is the number of samples."""
        if target.dtype != log_p.real.dtype:
            raise TypeError(
                f"CrossEntropyLoss: x is {log_p.dtype}, the target {target.dtype}; convert one of them"
            )
        q = self._rows(target)
        if self.label_smoothing:
            q = q * (1 - self.label_smoothing) + self.label_smoothing / q.shape[1]
        if self.weight is not None:
            q = q * self.weight
        return -np.add.reduce(q * log_p, axis=1), q, np.add.reduce(q, axis=1, keepdims=True), len(q)

    def backward(self, dloss: Any = 1.0, needs_input_grad: bool = True) -> np.ndarray:
        """dx = (p Σ q - q) dl."""
        log_p, q, mass, x_shape, shape, total_weight = self.saved()
        dx = np.exp(log_p)
        if mass is not None:
            dx *= mass
        dx -= q
        dx *= self._row_gradients(dloss, shape, total_weight)
        return self._from_rows(dx, x_shape)


class MultiMarginLoss(Loss):
    r"""Class t must beat every other by m: $\ell_n = \frac{w_t}{C} \sum_{c \ne t} \max(0, z_c)^p$.

    With $z_c = m - x_t + x_c$ and $g_c = \frac{w_t}{C}\, p z_c^{p-1}$ where $z_c > 0$, $c \ne t$, else 0:
    $dx_c = g_c\, d\ell_n$, and $dx_t = -\sum_c g_c\, d\ell_n$ (Crammer and Singer 2001).

    Args:
        p: 1 or 2.
        margin: m.
        weight: w, one number for each class, (C,).
        reduction: "mean", "sum" or "none".

    Shape: x (N, C) or (C,), target integers (N,) or (); so is ℓ.

    Raises:
        ValueError: the shapes do not fit, or p is neither 1 nor 2.
        TypeError: the target is not integer.
        IndexError: a class is not between 0 and C - 1.
    """

    weight: np.ndarray | None

    def __init__(
        self, p: int = 1, margin: float = 1.0, weight: np.ndarray | None = None, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        if p not in (1, 2):
            raise ValueError(f"MultiMarginLoss: p is {p}, wanted 1 or 2")
        self.p, self.margin = p, margin
        self.register_buffer("weight", weight)

    def forward(self, x: np.ndarray, target: np.ndarray) -> Any:
        """L = Σ w max(0, m - x_t + x_c)^p / C Z."""
        shape, C = _check_rows(self, x)
        if self.weight is not None and self.weight.shape != (C,):
            raise ValueError(f"MultiMarginLoss: weight has shape {self.weight.shape}, wanted ({C},)")
        classes = self._check_classes(target, shape)
        self._check_range(classes, 0, C)
        rows, n = x.reshape(-1, C), np.arange(len(classes))
        z = positive(self.margin - rows[n, classes, None] + rows)
        z[n, classes] = 0
        share = np.full((len(n), 1), 1 / C, z.real.dtype)
        if self.weight is not None:
            share = share * self.weight.real[classes, None]
        slope = share * (z.real > 0) if self.p == 1 else 2 * share * z
        slope = np.asanyarray(slope, x.dtype)
        slope[n, classes] = -np.add.reduce(slope, axis=1)
        losses = np.add.reduce(share * (z if self.p == 1 else z * z), axis=1)
        return self._finish(losses.reshape(shape), slope.reshape(x.shape))


class MultiLabelMarginLoss(Loss):
    r"""Each class of the target must beat the others by 1: $\ell_n = \frac1C \sum_{t,\, c} \max(0, z_{tc})$.

    With $z_{tc} = 1 - x_t + x_c$ for t in the target and c not in it, every $z_{tc} > 0$ adds
    $\frac1C d\ell_n$ to $dx_c$ and takes it from $dx_t$.

    Args:
        reduction: "mean", "sum" or "none".

    Shape: x (N, C) or (C,). The target is integers of the shape of x, in each row classes that end with the
    first -1; ℓ (N,) or ().

    Raises:
        ValueError: the shapes do not fit.
        TypeError: the target is not integer.
        IndexError: a class is not between -1 and C - 1.
    """

    def forward(self, x: np.ndarray, target: np.ndarray) -> Any:
        """L = Σ max(0, 1 - x_t + x_c) / C Z."""
        shape, C = _check_rows(self, x)
        classes = self._check_classes(target, x.shape).reshape(-1, C)
        self._check_range(classes, -1, C)
        rows = x.reshape(-1, C)
        # One line of z for each class t of each sample n.
        n, k = np.nonzero(np.logical_and.accumulate(classes >= 0, axis=1))
        t = classes[n, k]
        inside = np.zeros(rows.shape, bool)
        inside[n, t] = True
        z = positive(1 - rows[n, t, None] + rows[n]) * ~inside[n]
        slopes = (z.real > 0).astype(x.dtype) / C
        losses, slope = np.zeros(len(rows), x.dtype), np.zeros(rows.shape, x.dtype)
        np.add.at(losses, n, np.add.reduce(z, axis=1) / C)
        np.add.at(slope, n, slopes)
        np.add.at(slope, (n, t), -np.add.reduce(slopes, axis=1))
        return self._finish(losses.reshape(shape), slope.reshape(x.shape))


class MultiLabelSoftMarginLoss(BCEWithLogitsLoss):
    r"""The mean of C questions to be answered yes or no: BCEWithLogitsLoss, averaged over the last axis.

    $$\ell_n = -\frac1C \sum_c w_c \bigl(t_c \log\sigma(x_c) + (1-t_c) \log\sigma(-x_c)\bigr), \qquad
      dx_c = \frac{w_c}{C} \bigl(\sigma(x_c) - t_c\bigr)\, d\ell_n.$$

    Args:
        weight: w, of a shape that broadcasts to that of x.
        reduction: "mean", "sum" or "none".

    Shape: x and target (\*, C), of one dtype; the target may be integers; ℓ (\*).

    Raises:
        ValueError: the shapes differ, or x has no axis.
        TypeError: the dtypes differ.
    """

    def __init__(self, weight: np.ndarray | None = None, reduction: str = "mean") -> None:
        super().__init__(weight, reduction)

    def forward(self, x: np.ndarray, target: np.ndarray) -> Any:
        """L = -Σ w (t log σ(x) + (1 - t) log σ(-x)) / C Z."""
        t = _as_numbers(target, x)
        self._check_alike(x=x, target=t)
        if x.ndim == 0:
            raise ValueError("MultiLabelSoftMarginLoss: x has shape (), wanted (*, C)")
        losses, slopes = self._loss_and_slope(x, t)
        return self._finish(np.add.reduce(losses, axis=-1) / x.shape[-1], slopes / x.shape[-1])


def _check_rows(loss_fn: Loss, x: np.ndarray) -> tuple[tuple[int, ...], int]:
    """(shape of the l, C) for an x of shape (N, C) or (C,)."""
    if x.ndim not in (1, 2) or x.shape[-1] == 0:
        raise ValueError(f"{type(loss_fn).__name__}: x has shape {x.shape}, wanted (N, C) or (C,)")
    return x.shape[:-1], x.shape[-1]


# ---- of pairs and triplets


class MarginRankingLoss(Loss):
    r"""If y = 1, $x_1$ must beat $x_2$ by m, and if y = -1 the reverse: $\ell = \max(0, m - y\,(x_1 - x_2))$.

    With $z = m - y\,(x_1 - x_2)$: $dx_1 = -y\, d\ell$ and $dx_2 = y\, d\ell$ where $z \ge 0$, else 0. The
    gradients are (dx1, dx2, None).

    Args:
        margin: m.
        reduction: "mean", "sum" or "none".

    Shape: x1, x2 and target (\*), of one dtype; the target may be integers.

    Raises:
        ValueError: the shapes differ.
        TypeError: the dtypes differ.
    """

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, x1: np.ndarray, x2: np.ndarray, target: np.ndarray) -> Any:
        """L = Σ max(0, m - y (x1 - x2)) / Z."""
        y = _as_numbers(target, x1)
        self._check_alike(x1=x1, x2=x2, target=y)
        z = self.margin - y * (x1 - x2)
        slope = (z.real >= 0) * y
        return self._finish(clip(z, 0, np.inf), -slope, slope, None)


class CosineEmbeddingLoss(Loss):
    r"""With the cosine of two vectors: $\ell = 1 - \cos$ if y = 1, and $\max(0, \cos - m)$ if y = -1.

    With $\cos = x_1 \cdot x_2 / \sqrt{ab}$, $a = x_1 \cdot x_1 + \epsilon$, $b = x_2 \cdot x_2 + \epsilon$:

    $$\frac{\partial \cos}{\partial x_1} = \frac{x_2}{\sqrt{ab}} - \cos \frac{x_1}{a}, \qquad
      \frac{\partial \cos}{\partial x_2} = \frac{x_1}{\sqrt{ab}} - \cos \frac{x_2}{b},$$

    times $-d\ell$ if y = 1 and $d\ell$ if y = -1 and $\cos \ge m$. ε = 1e-12, as torch's. The gradients are
    (dx1, dx2, None).

    Args:
        margin: m.
        reduction: "mean", "sum" or "none".

    Shape: x1 and x2 (N, D), target (N,); or (D,) and (). Of one dtype; the target may be integers.

    Raises:
        ValueError: the shapes do not fit.
        TypeError: the dtypes differ.
    """

    eps = _LEAST

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, x1: np.ndarray, x2: np.ndarray, target: np.ndarray) -> Any:
        """L = Σ (1 - cos if y = 1, max(0, cos - m) if y = -1) / Z."""
        self._check_alike(x1=x1, x2=x2)
        if x1.ndim not in (1, 2) or target.shape != x1.shape[:-1]:
            raise ValueError(
                f"CosineEmbeddingLoss: x1 and x2 have shape {x1.shape}, the target {target.shape}; wanted "
                "(N, D) and (N,), or (D,) and ()"
            )
        a, b = (np.add.reduce(x * x, axis=-1, keepdims=True) + self.eps for x in (x1, x2))
        root = np.sqrt(a * b)
        cos = np.add.reduce(x1 * x2, axis=-1, keepdims=True) / root
        alike, apart, z = target[..., None] == 1, target[..., None] == -1, cos - self.margin
        slope = (apart & (z.real >= 0)).astype(x1.dtype) - alike
        losses = alike * (1 - cos) + apart * clip(z, 0, np.inf)
        return self._finish(
            losses[..., 0], slope * (x2 / root - cos * x1 / a), slope * (x1 / root - cos * x2 / b), None
        )


Backward = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


class _TripletLoss(Loss):
    r"""The anchor a must be nearer to p than to n, by m: $\ell = \max(0, z)$, $z = m + D(a, p) - D(a, n)$.

    With ``swap`` the nearer of D(a, n) and D(p, n) counts (Balntas et al. 2016); of equal ones each by half.
    """

    margin: float
    swap: bool

    def _distance(self, x1: np.ndarray, x2: np.ndarray) -> tuple[np.ndarray, Backward]:
        """D(x1, x2), and the function that makes (dx1, dx2) of dD."""
        raise NotImplementedError

    def _check_margin(self) -> None:
        if not self.margin > 0:
            raise ValueError(f"{type(self).__name__}: margin is {self.margin}, wanted a number above 0")

    def forward(self, anchor: np.ndarray, positive: np.ndarray, negative: np.ndarray) -> Any:
        """L = Σ max(0, m + D(a, p) - D(a, n)) / Z."""
        a, p, n = anchor, positive, negative
        self._check_alike(anchor=a, positive=p, negative=n)
        if a.ndim == 0:
            raise ValueError(f"{type(self).__name__}: anchor has shape (), wanted (*, D)")
        (near, near_backward), (far, far_backward) = self._distance(a, p), self._distance(a, n)
        share, other_backward = 1.0, None
        if self.swap:
            other, other_backward = self._distance(p, n)
            share = 0.5 + 0.5 * np.sign(other.real - far.real)
            far = share * far + (1 - share) * other
        z = self.margin + near - far
        self.save((z.real >= 0).astype(z.dtype), share, near_backward, far_backward, other_backward)
        return self._reduce(clip(z, 0, np.inf).reshape(-1), z.shape, z.size)

    def backward(self, dloss: Any = 1.0, needs_input_grad: bool = True) -> Any:
        """(da, dp, dn) from D's backward, given dl for the pair (a, p) and -dl for the other, where z ≥ 0."""
        active, share, near_backward, far_backward, other_backward = self.saved()
        dz = active * self._spread(dloss, active.shape, active.size)
        (da, dp), (da_n, dn) = near_backward(dz), far_backward(-dz * share)
        if other_backward is not None:
            dp_n, dn_p = other_backward(-dz * (1 - share))
            dp, dn = dp + dp_n, dn + dn_p
        return da + da_n, dp, dn


class TripletMarginLoss(_TripletLoss):
    r"""The anchor a must be nearer to p than to n, by m: $\ell = \max(0, z)$, $z = m + D(a, p) - D(a, n)$.

    D is the p-norm $D(u, v) = \lVert d \rVert_p$, $d = u - v + \epsilon$. From $D^p = \sum_i |d_i|^p$:

    $$\frac{\partial D}{\partial u_i} = \operatorname{sign}(d_i) \Bigl(\frac{|d_i|}{D}\Bigr)^{p-1}
      = -\frac{\partial D}{\partial v_i}, \qquad \text{0 where } d_i = 0,$$

    so that dD of the near pair is $d\ell$ and of the far one $-d\ell$ where $z \ge 0$, else 0. For p = ∞ the
    largest $|d_i|$ share the slope. The gradients are (da, dp, dn); there is no target.

    Args:
        margin: m.
        p: of the norm.
        eps: ε.
        swap: whether n is to be far from p as well: the nearer of D(a, n) and D(p, n) counts.
        reduction: "mean", "sum" or "none".

    Shape: a, p and n (\*, D), of one dtype; ℓ (\*).

    Raises:
        ValueError: the shapes differ; margin or p is not above 0.
        TypeError: the dtypes differ.
    """

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        self.margin, self.p, self.eps, self.swap = margin, p, eps, swap
        self._check_margin()
        if not p > 0:
            raise ValueError(f"TripletMarginLoss: p is {p}, wanted a number above 0")

    def _distance(self, x1: np.ndarray, x2: np.ndarray) -> tuple[np.ndarray, Backward]:
        D, slope = p_norm(x1 - x2 + self.eps, self.p)

        def backward(dD: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            dx = dD[..., None] * slope
            return dx, -dx

        return D, backward


class TripletMarginWithDistanceLoss(_TripletLoss):
    r"""TripletMarginLoss with a distance D of one's own: $\ell = \max(0, z)$, $z = m + D(a, p) - D(a, n)$.

    Where $z \ge 0$, dD of the near pair is $d\ell$ and of the far one $-d\ell$, else 0. The gradients are
    (da, dp, dn); there is no target.

    Args:
        distance_function: a pair of functions, D(x1, x2) of shape (N,) and its backward(dD, x1, x2), which
            returns (dx1, dx2). By default the Euclidean distance of TripletMarginLoss.
        margin: m.
        swap: whether n is to be far from p as well: the nearer of D(a, n) and D(p, n) counts.
        reduction: "mean", "sum" or "none".

    Shape: a, p and n of one shape and dtype, what D wants; ℓ of the shape of D.

    Raises:
        ValueError: the shapes differ, or margin is not above 0.
        TypeError: the dtypes differ, or distance_function is no pair of functions.
    """

    def __init__(
        self,
        *,
        distance_function: tuple[Callable[..., Any], Callable[..., Any]] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        pair = distance_function
        if pair is not None and not (isinstance(pair, tuple) and len(pair) == 2 and all(map(callable, pair))):
            raise TypeError(
                f"TripletMarginWithDistanceLoss: distance_function is {pair!r}, wanted two functions, "
                "D(x1, x2) and backward(dD, x1, x2)"
            )
        self.distance_function, self.margin, self.swap = pair, margin, swap
        self._check_margin()

    def _distance(self, x1: np.ndarray, x2: np.ndarray) -> tuple[np.ndarray, Backward]:
        if self.distance_function is None:
            return TripletMarginLoss()._distance(x1, x2)
        D, D_backward = self.distance_function
        return D(x1, x2), lambda dD: D_backward(dD, x1, x2)
