r"""Losses (PyTorch, torch/nn/modules/loss.py).

A loss compares its input x with a target that is held constant: ``loss = loss_fn(x, target)``, then
``dx = loss_fn.backward()`` starts the backward pass. With reduction "none" the loss is an array, and
backward wants its gradient: ``loss_fn.backward(dloss)``.

Each loss is a sum $L = \frac1Z \sum_n \ell_n$; ``reduction`` says whether Z is the number (or the
weight) of the summands ("mean"), 1 ("sum"), or nothing is summed ("none").
"""

from typing import Any

import numpy as np

from scratch.nn.activation import log_softmax, sigmoid
from scratch.nn.module import Module


class Loss(Module):
    """Base class of the losses: the reduction, forwards and backwards."""

    reduction: str

    def __init__(self, reduction: str = "mean") -> None:
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(
                f"{type(self).__name__}: reduction is {reduction!r}, wanted 'mean', 'sum' or 'none'"
            )
        self.reduction = reduction

    def backward(self, dloss: Any = 1.0, needs_input_grad: bool = True) -> np.ndarray:
        """dL/dx; the target is constant."""
        raise NotImplementedError(f"{type(self).__name__} has no backward(dloss, needs_input_grad=True)")

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
        """reduction."""
        return f"reduction={self.reduction!r}"


class _ElementwiseLoss(Loss):
    """A loss of one element of x and one of the target: l = f(x, t), and dx = f'(x, t) dl."""

    def forward(self, x: np.ndarray, target: np.ndarray) -> Any:
        """The loss of x against a target of the same shape."""
        name = type(self).__name__
        if x.shape != target.shape:
            raise ValueError(
                f"{name}: x has shape {x.shape}, the target {target.shape}; they are compared element by "
                "element, and broadcasting would compare others"
            )
        if target.dtype != x.real.dtype and target.dtype != x.dtype:
            raise TypeError(f"{name}: x is {x.dtype}, the target {target.dtype}; convert one of them")
        losses, slopes = self._loss_and_slope(x, target)
        self.save(slopes)
        return self._reduce(losses.reshape(-1), x.shape, losses.size)

    def _loss_and_slope(self, x: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(f(x, t), df/dx), element by element."""
        raise NotImplementedError

    def backward(self, dloss: Any = 1.0, needs_input_grad: bool = True) -> np.ndarray:
        """dx = f'(x, t) dl."""
        (slopes,) = self.saved()
        return slopes * self._spread(dloss, slopes.shape, slopes.size)


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

    where $\log(1+e^{-x}) = \max(-x, 0) + \log(1+e^{-|x|})$ never overflows.

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
        negative = x.real < 0
        log1p = np.where(negative, -x, 0) + np.log1p(np.exp(np.where(negative, x, -x)))
        return (1 - t) * x + (1 + (p - 1) * t) * log1p, (1 - t) * sigmoid(x) - p * t * sigmoid(-x)


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
        name = type(self).__name__
        if target.dtype.kind not in "iu":
            raise TypeError(f"{name}: the target is {target.dtype} {target.shape}, wanted integers {shape}")
        if target.shape != shape:
            raise ValueError(f"{name}: for this x the target has shape {shape}; this one has {target.shape}")
        classes = target.reshape(-1).astype(np.int64, copy=False)
        # As an unsigned number a negative class is a large one: one maximum finds both kinds out of range.
        highest = np.maximum.reduce(classes.view(np.uint64), initial=0)
        if highest < C and not 0 <= self.ignore_index < C:
            return classes, None
        rows = np.flatnonzero(classes != self.ignore_index)
        classes = classes[rows]
        if np.any(wrong := (classes < 0) | (classes >= C)):
            raise IndexError(f"{name}: the target holds class {classes[wrong][0]}, wanted 0 to {C - 1}")
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

    def extra_repr(self) -> str:
        """weight, ignore_index, label_smoothing, reduction, where they are not the defaults."""
        weight = "" if self.weight is None else f"weight={self.weight.tolist()}, "
        ignored = "" if self.ignore_index == -100 else f"ignore_index={self.ignore_index}, "
        smoothing = f"label_smoothing={self.label_smoothing}, " if self.label_smoothing else ""
        return weight + ignored + smoothing + super().extra_repr()


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
