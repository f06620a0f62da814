"""Mistakes in normalisation."""

import math
from typing import Any

import numpy as np

from scratch import functional as F
from scratch.functional.elementary import sum_of_neighbours
from torch_ref.faults.fault import wrong_formula

_RUNNING = tuple(f"{kind}Norm{axes}d" for kind in ("Batch", "Instance") for axes in (1, 2, 3))
_CENTRED = (*_RUNNING, "LayerNorm", "GroupNorm")

_TERMS = "dx = r (g - mean g - x̂ mean(g x̂)): an entry moves the statistics of its whole pool"


@wrong_formula(
    "the statistics of the normalisation are held constant", *_CENTRED, of="batch_norm_backward", fix=_TERMS
)
def _constant_statistics(dy: np.ndarray, saved: Any) -> tuple[Any, ...]:
    x_hat, w, b, r, *_ = saved
    shape, dy = dy.shape, dy.reshape(x_hat.shape)
    dw = np.einsum("ncl,ncl->c", dy, x_hat)
    db = np.einsum("ncl->c", dy)
    wr = r if w is None else w[:, None] * r
    dx = wr * dy
    return dx.reshape(shape), None if w is None else dw, None if b is None else db


@wrong_formula(
    "the statistics of the normalisation are held constant", "RMSNorm", of="rms_norm_backward", fix=_TERMS
)
def _constant_root_mean_square(dy: np.ndarray, saved: Any) -> tuple[Any, ...]:
    x_hat, w, r = saved
    shape, dy = dy.shape, dy.reshape(x_hat.shape)
    dw = None if w is None else np.einsum("nm,nm->m", dy, x_hat).reshape(w.shape)
    g = dy if w is None else w.reshape(-1) * dy
    dx = r * g
    return dx.reshape(shape), dw


@wrong_formula(
    "the gradient through the variance is missing", *_CENTRED, of="batch_norm_backward", fix=_TERMS
)
def _no_variance(dy: np.ndarray, saved: Any) -> tuple[Any, ...]:
    x_hat, w, b, r, pooled, *_ = saved
    shape, dy = dy.shape, dy.reshape(x_hat.shape)
    M = max(1, len(dy) * dy.shape[2])
    dw = np.einsum("ncl,ncl->c", dy, x_hat)
    db = np.einsum("ncl->c", dy)
    wr = r if w is None else w[:, None] * r
    if pooled:
        dy = dy - db[:, None] / M
    dx = wr * dy
    return dx.reshape(shape), None if w is None else dw, None if b is None else db


@wrong_formula("the gradient through the mean is missing", *_CENTRED, of="batch_norm_backward", fix=_TERMS)
def _no_mean(dy: np.ndarray, saved: Any) -> tuple[Any, ...]:
    x_hat, w, b, r, pooled, *_ = saved
    shape, dy = dy.shape, dy.reshape(x_hat.shape)
    M = max(1, len(dy) * dy.shape[2])
    dw = np.einsum("ncl,ncl->c", dy, x_hat)
    db = np.einsum("ncl->c", dy)
    wr = r if w is None else w[:, None] * r
    if pooled:
        dy = dy - x_hat * (dw[:, None] / M)
    dx = wr * dy
    return dx.reshape(shape), None if w is None else dw, None if b is None else db


_NO_WEIGHT = "the error is not multiplied by the weight of the normalisation"
_MULTIPLY = "g = w dy is the gradient of x̂"


@wrong_formula(_NO_WEIGHT, *_RUNNING, of="batch_norm_backward", fix=_MULTIPLY)
def _no_weight(dy: np.ndarray, saved: Any) -> tuple[Any, ...]:
    x_hat, w, b, r, pooled, *_ = saved
    shape, dy = dy.shape, dy.reshape(x_hat.shape)
    M = max(1, len(dy) * dy.shape[2])
    dw = np.einsum("ncl,ncl->c", dy, x_hat)
    db = np.einsum("ncl->c", dy)
    if pooled:
        dy = dy - (db[:, None] / M + x_hat * (dw[:, None] / M))
    dx = r * dy
    return dx.reshape(shape), None if w is None else dw, None if b is None else db


@wrong_formula(_NO_WEIGHT, "LayerNorm", of="layer_norm_backward", fix=_MULTIPLY)
def _no_layer_weight(dy: np.ndarray, saved: Any) -> tuple[Any, ...]:
    x_hat, w, b, pools = saved
    shape, dy = dy.shape, dy.reshape(x_hat.shape)
    dw = None if w is None else np.einsum("inm,inm->m", dy, x_hat).reshape(w.shape)
    db = None if b is None else np.einsum("inm->m", dy).reshape(b.shape)
    dx, *_ = F.batch_norm_backward(dy, pools)
    return dx.reshape(shape), dw, db


@wrong_formula(_NO_WEIGHT, "GroupNorm", of="group_norm_backward", fix=_MULTIPLY)
def _no_group_weight(dy: np.ndarray, saved: Any) -> tuple[Any, ...]:
    x_hat, w, b, pools = saved
    shape, dy = dy.shape, dy.reshape(x_hat.shape)
    dw = None if w is None else np.einsum("ncl,ncl->c", dy, x_hat)
    db = None if b is None else np.einsum("ncl->c", dy)
    dx, *_ = F.batch_norm_backward(dy.reshape(pools[0].shape), pools)
    return dx.reshape(shape), dw, db


@wrong_formula(_NO_WEIGHT, "RMSNorm", of="rms_norm_backward", fix=_MULTIPLY)
def _no_rms_weight(dy: np.ndarray, saved: Any) -> tuple[Any, ...]:
    x_hat, w, r = saved
    shape, dy = dy.shape, dy.reshape(x_hat.shape)
    dw = None if w is None else np.einsum("nm,nm->m", dy, x_hat).reshape(w.shape)
    dx = r * (dy - x_hat * (np.einsum("nm,nm->n", dy, x_hat)[:, None] / max(1, dy.shape[1])))
    return dx.reshape(shape), dw


_OUTSIDE, _INSIDE = "ε stands outside the root", "r = 1/√(v + ε), not 1/(√v + ε)"


@wrong_formula(_OUTSIDE, *_CENTRED, of="batch_norm batch_norm_backward", fix=_INSIDE)
def _outside() -> tuple[Any, Any]:
    def batch_norm(
        x: np.ndarray, w: Any = None, b: Any = None, eps: float = 1e-5, mean: Any = None, var: Any = None
    ) -> tuple[np.ndarray, Any]:
        shape = x.shape
        x = x.reshape(*shape[:2], math.prod(shape[2:]))
        M = max(1, len(x) * x.shape[2])
        m = np.einsum("ncl->c", x)[:, None] / M if mean is None else mean[:, None]
        centred = x - m
        v = np.einsum("ncl,ncl->c", centred, centred)[:, None] / M if var is None else var[:, None]
        r = 1 / (np.sqrt(v) + eps)
        x_hat = r * centred
        y = x_hat if w is None else w[:, None] * x_hat
        if b is not None:
            y = y + b[:, None]
        return y.reshape(shape), (x_hat, w, b, r, mean is None, m, v)

    def batch_norm_backward(dy: np.ndarray, saved: Any) -> tuple[Any, ...]:
        x_hat, w, b, r, pooled, _, v = saved
        shape, dy = dy.shape, dy.reshape(x_hat.shape)
        M = max(1, len(dy) * dy.shape[2])
        dw = np.einsum("ncl,ncl->c", dy, x_hat)
        db = np.einsum("ncl->c", dy)
        wr = r if w is None else w[:, None] * r
        if pooled:
            dy = dy - (db[:, None] / M + x_hat * (dw[:, None] / M) / (r * np.sqrt(v)))
        dx = wr * dy
        return dx.reshape(shape), None if w is None else dw, None if b is None else db

    return batch_norm, batch_norm_backward


@wrong_formula(_OUTSIDE, "RMSNorm", of="rms_norm rms_norm_backward", fix=_INSIDE)
def _outside_rms() -> tuple[Any, Any]:
    def rms_norm(x: np.ndarray, w: Any = None, eps: float = 1e-6, axes: int = 1) -> tuple[np.ndarray, Any]:
        shape, M = x.shape, math.prod(x.shape[-axes:])
        x = x.reshape(math.prod(shape[:-axes]), M)
        v = np.einsum("nm,nm->n", x, x)[:, None] / max(1, M)
        r = 1 / (np.sqrt(v) + eps)
        x_hat = r * x
        y = x_hat if w is None else w.reshape(-1) * x_hat
        return y.reshape(shape), (x_hat, w, r, v)

    def rms_norm_backward(dy: np.ndarray, saved: Any) -> tuple[Any, ...]:
        x_hat, w, r, v = saved
        shape, dy = dy.shape, dy.reshape(x_hat.shape)
        dw = None if w is None else np.einsum("nm,nm->m", dy, x_hat).reshape(w.shape)
        g = dy if w is None else w.reshape(-1) * dy
        along = np.einsum("nm,nm->n", g, x_hat)[:, None] / max(1, dy.shape[1])
        dx = r * (g - x_hat * along / (r * np.sqrt(v)))
        return dx.reshape(shape), dw

    return rms_norm, rms_norm_backward


@wrong_formula(
    "the variance is divided by M - 1 instead of M",
    *_CENTRED,
    of="batch_norm batch_norm_backward running_statistics",
    fix="what is normalised by is the biased variance; only the running one is unbiased",
)
def _by_one_less() -> tuple[Any, Any, Any]:
    def batch_norm(
        x: np.ndarray, w: Any = None, b: Any = None, eps: float = 1e-5, mean: Any = None, var: Any = None
    ) -> tuple[np.ndarray, Any]:
        shape = x.shape
        x = x.reshape(*shape[:2], math.prod(shape[2:]))
        M = max(1, len(x) * x.shape[2])
        m = np.einsum("ncl->c", x)[:, None] / M if mean is None else mean[:, None]
        centred = x - m
        v = np.einsum("ncl,ncl->c", centred, centred)[:, None] / (M - 1) if var is None else var[:, None]
        r = 1 / np.sqrt(v + eps)
        x_hat = r * centred
        y = x_hat if w is None else w[:, None] * x_hat
        if b is not None:
            y = y + b[:, None]
        return y.reshape(shape), (x_hat, w, b, r, mean is None, m, v)

    def batch_norm_backward(dy: np.ndarray, saved: Any) -> tuple[Any, ...]:
        x_hat, w, b, r, pooled, *_ = saved
        shape, dy = dy.shape, dy.reshape(x_hat.shape)
        M = max(1, len(dy) * dy.shape[2])
        dw = np.einsum("ncl,ncl->c", dy, x_hat)
        db = np.einsum("ncl->c", dy)
        wr = r if w is None else w[:, None] * r
        if pooled:
            dy = dy - (db[:, None] / M + x_hat * (dw[:, None] / (M - 1)))
        dx = wr * dy
        return dx.reshape(shape), None if w is None else dw, None if b is None else db

    def running_statistics(
        running_mean: np.ndarray, running_var: np.ndarray, m: np.ndarray, v: np.ndarray, M: int, f: float
    ) -> tuple[np.ndarray, np.ndarray]:
        running_mean = (1 - f) * running_mean + f * m
        running_var = (1 - f) * running_var + f * v
        return running_mean, running_var

    return batch_norm, batch_norm_backward, running_statistics


@wrong_formula(
    "the running variance is the biased one",
    *_RUNNING,
    of="running_statistics",
    fix="PyTorch keeps v M/(M - 1), though it divides by v",
)
def _biased_running(
    running_mean: np.ndarray, running_var: np.ndarray, m: np.ndarray, v: np.ndarray, M: int, f: float
) -> tuple[np.ndarray, np.ndarray]:
    running_mean = (1 - f) * running_mean + f * m
    running_var = (1 - f) * running_var + f * v
    return running_mean, running_var


@wrong_formula(
    "the momentum is the share of the old running statistics",
    *_RUNNING,
    of="running_statistics",
    fix="PyTorch's momentum is the share of the new: running = (1 - f) running + f new",
)
def _other_share(
    running_mean: np.ndarray, running_var: np.ndarray, m: np.ndarray, v: np.ndarray, M: int, f: float
) -> tuple[np.ndarray, np.ndarray]:
    unbiased = v * (M / (M - 1))
    running_mean = f * running_mean + (1 - f) * m
    running_var = f * running_var + (1 - f) * unbiased
    return running_mean, running_var


@wrong_formula(
    "α is not divided by the size of the window",
    "LocalResponseNorm",
    of="local_response_norm",
    fix="PyTorch has k + α/n Σ x², the paper k + α Σ x²",
)
def _whole_alpha(
    x: np.ndarray, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> tuple[np.ndarray, Any]:
    a = alpha
    D = k + a * sum_of_neighbours(x * x, size // 2, (size - 1) // 2)
    y = x * D**-beta
    return y, (x, D, a, beta, size)


_INSIDE_THE_SUMS = "the weight of the normalisation stands outside the sums"
_FIRST = "g = w dy first; the means are those of g and of g x̂"


@wrong_formula(_INSIDE_THE_SUMS, "LayerNorm", of="layer_norm_backward", fix=_FIRST)
def _weight_outside(dy: np.ndarray, saved: Any) -> tuple[Any, ...]:
    x_hat, w, b, pools = saved
    shape, dy = dy.shape, dy.reshape(x_hat.shape)
    dw = None if w is None else np.einsum("inm,inm->m", dy, x_hat).reshape(w.shape)
    db = None if b is None else np.einsum("inm->m", dy).reshape(b.shape)
    dx, *_ = F.batch_norm_backward(dy, pools)
    dx = dx if w is None else w.reshape(-1) * dx
    return dx.reshape(shape), dw, db


@wrong_formula(_INSIDE_THE_SUMS, "RMSNorm", of="rms_norm_backward", fix=_FIRST)
def _rms_weight_outside(dy: np.ndarray, saved: Any) -> tuple[Any, ...]:
    x_hat, w, r = saved
    shape, dy = dy.shape, dy.reshape(x_hat.shape)
    dw = None if w is None else np.einsum("nm,nm->m", dy, x_hat).reshape(w.shape)
    dx = r * (dy - x_hat * (np.einsum("nm,nm->n", dy, x_hat)[:, None] / max(1, dy.shape[1])))
    dx = dx if w is None else w.reshape(-1) * dx
    return dx.reshape(shape), dw


@wrong_formula(
    "the gradient through the variance is twice as large",
    *_CENTRED,
    of="batch_norm_backward",
    fix="∂r/∂v = -½ r³: the ½ cancels the 2 of the square",
)
def _variance_twice(dy: np.ndarray, saved: Any) -> tuple[Any, ...]:
    x_hat, w, b, r, pooled, *_ = saved
    shape, dy = dy.shape, dy.reshape(x_hat.shape)
    M = max(1, len(dy) * dy.shape[2])
    dw = np.einsum("ncl,ncl->c", dy, x_hat)
    db = np.einsum("ncl->c", dy)
    wr = r if w is None else w[:, None] * r
    if pooled:
        dy = dy - (db[:, None] / M + 2 * x_hat * (dw[:, None] / M))
    dx = wr * dy
    return dx.reshape(shape), None if w is None else dw, None if b is None else db


@wrong_formula(
    "in eval mode backward uses the formula of training",
    *_RUNNING,
    of="batch_norm_backward",
    fix="there the running statistics are constants: dx = w r dy",
)
def _training_formula(dy: np.ndarray, saved: Any) -> tuple[Any, ...]:
    x_hat, w, b, r, *_ = saved
    shape, dy = dy.shape, dy.reshape(x_hat.shape)
    M = max(1, len(dy) * dy.shape[2])
    dw = np.einsum("ncl,ncl->c", dy, x_hat)
    db = np.einsum("ncl->c", dy)
    wr = r if w is None else w[:, None] * r
    dx = wr * (dy - (db[:, None] / M + x_hat * (dw[:, None] / M)))
    return dx.reshape(shape), None if w is None else dw, None if b is None else db


@wrong_formula(
    "the weight's gradient is made with x instead of x̂",
    *(f"BatchNorm{axes}d" for axes in (1, 2, 3)),
    of="batch_norm_backward",
    fix="y = w x̂ + b, so dw = Σ dy x̂",
)
def _weight_by_input(dy: np.ndarray, saved: Any) -> tuple[Any, ...]:
    x_hat, w, b, r, pooled, m, *_ = saved
    shape, dy = dy.shape, dy.reshape(x_hat.shape)
    M = max(1, len(dy) * dy.shape[2])
    dw = np.einsum("ncl,ncl->c", dy, x_hat)
    db = np.einsum("ncl->c", dy)
    wr = r if w is None else w[:, None] * r
    dx = wr * (dy - (db[:, None] / M + x_hat * (dw[:, None] / M)) * pooled)
    dw = np.einsum("ncl,ncl->c", dy, x_hat / r + m)
    return dx.reshape(shape), None if w is None else dw, None if b is None else db


@wrong_formula(
    "the weight's gradient is made with x instead of x̂",
    "LayerNorm",
    of="layer_norm_backward",
    fix="y = w x̂ + b, so dw = Σ dy x̂",
)
def _layer_weight_by_input(dy: np.ndarray, saved: Any) -> tuple[Any, ...]:
    x_hat, w, b, pools = saved
    _, _, _, r, _, m, _ = pools
    shape, dy = dy.shape, dy.reshape(x_hat.shape)
    dw = None if w is None else np.einsum("inm,inm->m", dy, x_hat / r + m).reshape(w.shape)
    db = None if b is None else np.einsum("inm->m", dy).reshape(b.shape)
    g = dy if w is None else w.reshape(-1) * dy
    dx, *_ = F.batch_norm_backward(g, pools)
    return dx.reshape(shape), dw, db
