"""Mistakes in normalisation."""

from typing import Any

import numpy as np

from torch_ref.faults.fault import FAULTS, Fault, mistake

_RUNNING = tuple(f"{kind}Norm{axes}d" for kind in ("Batch", "Instance") for axes in (1, 2, 3))
_CENTRED = (*_RUNNING, "LayerNorm", "GroupNorm")
_ALL = (*_CENTRED, "RMSNorm")

_TERMS = "dx = r (g - mean g - x̂ mean(g x̂)): an entry moves the statistics of its whole pool"


@mistake("the statistics of the normalisation are held constant", *_ALL, fix=_TERMS)
def _constant_statistics(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    x_hat, r, _, shape = module._saved[-1]
    module._saved[-1] = (x_hat, r, False, shape)
    return right(dy, *args)


@mistake("the gradient through the variance is missing", *_CENTRED, method="_mean", fix=_TERMS)
def _no_variance(module: Any, right: Any, *factors: np.ndarray) -> Any:
    return right(*factors) * (not _of_backward(factors))


def _of_backward(factors: tuple[np.ndarray, ...]) -> bool:
    """Whether this is the mean of g x̂, and not that of a square."""
    return len(factors) == 2 and factors[0] is not factors[1]


@mistake("the gradient through the mean is missing", *_CENTRED, fix=_TERMS)
def _no_mean(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    module._centres = False
    try:
        return right(dy, *args)
    finally:
        del module._centres


@mistake(
    "the error is not multiplied by the weight of the normalisation",
    *_ALL,
    fix="g = w dy is the gradient of x̂",
)
def _no_weight(module: Any, right: Any, dy: np.ndarray, *args: Any) -> Any:
    calls = iter((1,))
    own = module._by_channel
    # The first use in backward is that of g = w dy.
    module._by_channel = lambda p, x, default=None: next(calls, None) or own(p, x, default)
    try:
        return right(dy, *args)
    finally:
        del module._by_channel


def _outside(module: Any, right: Any, v: np.ndarray, eps: float) -> np.ndarray:
    module._stretch = 1 + eps / np.sqrt(v)
    return 1 / (np.sqrt(v) + eps)


def _stretched(module: Any, right: Any, *factors: np.ndarray) -> Any:
    """What the derivative of another r makes of mean(g x̂)."""
    return right(*factors) * (module._stretch if _of_backward(factors) else 1)


FAULTS.append(
    Fault(
        "ε stands outside the root",
        "r = 1/√(v + ε), not 1/(√v + ε)",
        _ALL,
        methods={"_inverse_deviation": _outside, "_mean": _stretched},
    )
)


def _by_one_less(module: Any, right: Any, x: np.ndarray) -> Any:
    m, v, centred = right(x)
    M = x.size // max(1, m.size)
    module._stretch = M / (M - 1)
    return m, v * module._stretch, centred


def _kept_as_it_is(module: Any, right: Any, m: np.ndarray, v: np.ndarray, M: int, f: float) -> None:
    right(m, v * ((M - 1) / M), M, f)


FAULTS.append(
    Fault(
        "the variance is divided by M - 1 instead of M",
        "what is normalised by is the biased variance; only the running one is unbiased",
        _CENTRED,
        methods={"_moments": _by_one_less, "_mean": _stretched, "_track": _kept_as_it_is},
    )
)


@mistake(
    "the running variance is the biased one",
    *_RUNNING,
    method="_track",
    fix="PyTorch keeps v M/(M - 1), though it divides by v",
)
def _biased_running(module: Any, right: Any, m: np.ndarray, v: np.ndarray, M: int, f: float) -> None:
    right(m, v * ((M - 1) / M), M, f)


@mistake(
    "the momentum is the share of the old running statistics",
    *_RUNNING,
    method="_track",
    fix="PyTorch's momentum is the share of the new: running = (1 - f) running + f new",
)
def _other_share(module: Any, right: Any, m: np.ndarray, v: np.ndarray, M: int, f: float) -> None:
    right(m, v, M, 1 - f)


@mistake(
    "α is not divided by the size of the window",
    "LocalResponseNorm",
    method="forward backward",
    fix="PyTorch has k + α/n Σ x², the paper k + α Σ x²",
)
def _whole_alpha(module: Any, right: Any, *args: Any) -> Any:
    module.alpha *= module.size
    try:
        return right(*args)
    finally:
        module.alpha /= module.size
