"""Mistakes in the update: what is added where, and what is corrected when."""

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from scratch import optim
from torch_ref.faults.fault import OPTIMIZER_FAULTS, mistake


def _mistake(name: str, *kinds: str, fix: str, method: str = "update") -> Callable[[Any], Any]:
    return mistake(name, *kinds, fix=fix, method=method, register=OPTIMIZER_FAULTS)


_ADAMS = ("Adam", "AdamW")
_EVERY = tuple(name for name in optim.__all__ if name not in ("Optimizer", "lr_scheduler"))
_DECAYING = tuple(n for n in _EVERY if "weight_decay" in inspect.signature(getattr(optim, n)).parameters)
_COUPLED = tuple(name for name in _DECAYING if name != "AdamW")


@_mistake("it climbs instead of descending", *_EVERY, method="descent", fix="w -= η …, since g points uphill")
def _climbs(_: Any, right: Any, w: Any, g: Any, group: Any) -> Any:
    return right(w, -g, group)


@_mistake(
    "the weight decay is missing",
    *_DECAYING,
    method="descent",
    fix="g + λ w, or w *= 1 - η λ if decoupled",
)
def _no_decay(_: Any, right: Any, w: Any, g: Any, group: Any) -> Any:
    return right(w, g, {**group, "weight_decay": 0})


@_mistake(
    "the weight decay shrinks the weights instead of joining the gradient",
    *_COUPLED,
    method="descent",
    fix="g = g + λ w before anything else; shrinking w is the decoupled decay of AdamW",
)
def _decoupled(_: Any, right: Any, w: Any, g: Any, group: Any) -> Any:
    return right(w, g, {**group, "decoupled_weight_decay": True})


@_mistake(
    "the weight decay joins the gradient instead of shrinking the weights",
    *(*_ADAMS, "NAdam", "RAdam"),
    method="descent",
    fix="w *= 1 - η λ, apart from the gradient: decoupled decay, as AdamW's",
)
def _coupled(_: Any, right: Any, w: Any, g: Any, group: Any) -> Any:
    return right(w, g, {**group, "decoupled_weight_decay": False})


@_mistake("the weight decay is doubled", *_DECAYING, method="descent", fix="λ w is the derivative of ½ λ w²")
def _twice_the_decay(_: Any, right: Any, w: Any, g: Any, group: Any) -> Any:
    return right(w, g, {**group, "weight_decay": 2 * group["weight_decay"]})


@_mistake("the weight decay has the wrong sign", *_DECAYING, method="descent", fix="it shrinks the weights")
def _decay_grows(_: Any, right: Any, w: Any, g: Any, group: Any) -> Any:
    return right(w, g, {**group, "weight_decay": -group["weight_decay"]})


@_mistake(
    "the decoupled weight decay is not scaled by the learning rate",
    *(*_ADAMS, "NAdam", "RAdam"),
    method="descent",
    fix="w *= 1 - η λ",
)
def _decay_without_rate(_: Any, right: Any, w: Any, g: Any, group: Any) -> Any:
    if group["decoupled_weight_decay"]:
        w *= 1 - group["weight_decay"]
    return right(w, g, {**group, "weight_decay": 0} if group["decoupled_weight_decay"] else group)


# ---- gradients


@_mistake(
    "gradients add up from step to step, as an accumulator does that is never zeroed",
    *_EVERY,
    method="descent",
    fix="set it to zero before the next backward",
)
def _never_zeroed(optimizer: Any, right: Any, w: Any, g: Any, group: Any) -> Any:
    kept = vars(optimizer).setdefault("never_zeroed", {})
    kept[id(w)] = kept.get(id(w), 0) + g
    return right(w, kept[id(w)], group)


def _restored(right: Any, w: Any, g: Any, state: Any, group: Any, also_state: bool) -> None:
    """The step; where the gradient is 0, weights are put back, and the state as well."""
    zero = g == 0
    before = w[zero]
    kept = {name: vector[zero] for name, vector in _vectors(state).items()} if also_state else {}
    right(w, g, state, group)
    w[zero] = before
    if also_state:
        for name, vector in _vectors(state).items():
            vector[zero] = kept.get(name, 0)


def _vectors(state: Any) -> dict[str, Any]:
    return {name: state.vector(name) for name in state.memory}


@_mistake("weights with a gradient of 0 are skipped", *_EVERY, fix="momentum moves them all the same")
def _skips_zero(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    _restored(right, w, g, state, group, also_state=False)


@_mistake(
    "weights with a gradient of 0 are skipped, and their state",
    *_EVERY,
    fix="its state decays, and moves the weight, also where the gradient is 0",
)
def _skips_zero_and_state(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    _restored(right, w, g, state, group, also_state=True)


# ---- momentum


@_mistake(
    "the gradient enters the momentum's buffer times 1 - μ, from the first step on",
    "SGD",
    fix="b = μ b + g: an average, (1 - μ) g, makes the step smaller by that factor",
)
def _averaged_from_0(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    _from_0(right, w, g, state, group, group["momentum"], 1 - group["momentum"])


@_mistake("μ and 1 - μ are swapped", "SGD", fix="b = μ b + g")
def _momentum_swapped(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    _from_0(right, w, g, state, group, 1 - group["momentum"], group["momentum"])


@_mistake(
    "μ multiplies the gradient as well as the momentum's buffer", "SGD", fix="b = μ b + g, not μ (b + g)"
)
def _momentum_of_both(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    _from_0(right, w, g, state, group, group["momentum"], group["momentum"])


@_mistake("the momentum is subtracted", "SGD", fix="b = μ b + g")
def _subtracted(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    _from_0(right, w, g, state, group, -group["momentum"], 1.0)


@_mistake("the momentum's buffer is added to itself, += for =", "SGD", fix="b = μ b + g")
def _added_to_itself(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    _from_0(right, w, g, state, group, 1 + group["momentum"], 1.0)


@_mistake("the momentum is missing", "SGD", fix="keep b from step to step, b = μ b + g")
def _no_momentum(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    right(w, g, state, {**group, "momentum": 0})


def _from_0(right: Any, w: Any, g: Any, state: Any, group: Any, keep: float, take: float) -> None:
    """b = keep b + take g, from b = 0 on, and the step along it."""
    if not group["momentum"]:
        return right(w, g, state, group)
    b = state.vector("momentum_buffer")
    b *= keep
    b += take * g
    w -= group["lr"] * (g + group["momentum"] * b if group["nesterov"] else b)


@_mistake(
    "the step is taken before the gradient enters the momentum's buffer",
    "SGD",
    fix="first b = μ b + g, then w -= η b",
)
def _old_buffer(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    if not group["momentum"]:
        return right(w, g, state, group)
    b = state.vector("momentum_buffer")
    w -= group["lr"] * b
    b *= group["momentum"]
    b += g


@_mistake("Nesterov's step is taken", "SGD", fix="plain momentum steps along b, not along g + μ b")
def _nesterov(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    right(w, g, state, {**group, "nesterov": bool(group["momentum"])})


@_mistake(
    "Nesterov's step uses the velocity after its update where the one before is meant",
    "SGD",
    fix="w += μ² v - (1 + μ) η g has the old v; or step along g + μ b with the new b",
)
def _nesterov_new(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    if not group["nesterov"]:
        return right(w, g, state, group)
    mu, v = group["momentum"], state.vector("momentum_buffer")
    v *= mu
    v -= group["lr"] * g
    w += mu * mu * v - (1 + mu) * group["lr"] * g


@_mistake("the gradient enters the momentum's buffer times 1 - μ", "SGD", fix="b = μ b + g")
def _averaged(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    right(w, g, state, {**group, "dampening": group["momentum"]})


@_mistake("the first step is dampened like the others", "SGD", fix="b is g itself at the first step")
def _dampened(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    if state.step > 1 or not group["momentum"]:
        return right(w, g, state, group)
    state.vector("momentum_buffer")[...] = 0
    state.step += 1
    right(w, g, state, group)
    state.step -= 1


@_mistake(
    "the learning rate is inside the momentum's buffer",
    "SGD",
    fix="b = μ b + g and w -= η b; it shows as soon as η changes",
)
def _rate_inside(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    rate, state.numbers["lr"] = state.numbers.get("lr", group["lr"]), group["lr"]
    if group["momentum"]:
        state.vector("momentum_buffer")[...] *= rate / group["lr"]
    right(w, g, state, group)


@_mistake("Nesterov's look ahead is missing", "SGD", fix="step along g + μ b")
def _no_nesterov(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    right(w, g, state, {**group, "nesterov": False})


# ---- mean squares


@_mistake("the bias correction is missing", *_ADAMS, "Adamax", fix="divide by 1 - βᵗ: m and v start at 0")
def _uncorrected(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    step, state.step = state.step, math.inf
    right(w, g, state, group)
    state.step = step


@_mistake("the bias correction is one step late", *_ADAMS, "Adamax", fix="count the step, then correct")
def _late(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    state.step += 1
    right(w, g, state, group)
    state.step -= 1


@_mistake(
    "the correction is 1 - β in the place of 1 - βᵗ",
    *(*_ADAMS, "Adamax"),
    fix="raise β to the number of the step",
)
def _without_power(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    step, state.step = state.step, 1
    right(w, g, state, group)
    state.step = step


@_mistake(
    "the corrected moments are written back in the place of m and v",
    *_ADAMS,
    fix="keep m and v as they are: m̂ and v̂ are for this step alone",
)
def _kept_corrected(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    right(w, g, state, group)
    for name, beta in zip(("exp_avg", "exp_avg_sq"), group["betas"], strict=True):
        state.vector(name)[...] /= 1 - beta**state.step


@_mistake("the step is counted once for every parameter", *_ADAMS, fix="count it once for each update of all")
def _counted_often(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    parameters = state.run.parameters
    first = (state.step - 1) * len(parameters) + 1
    steps = np.repeat(np.arange(first, first + len(parameters)), [p.numel() for p in parameters])
    m, v, eps = *_moments(g, state, group), group["eps"]
    correction1, correction2 = (1 - beta**steps for beta in group["betas"])
    w -= group["lr"] * (m / correction1) / (np.sqrt(v / correction2) + eps)


def _moments(g: Any, state: Any, group: Any, squared: Any = np.square) -> tuple[Any, Any]:
    """m and v after this gradient; v is the largest so far, if that is wanted."""
    beta1, beta2 = group["betas"]
    m, v = state.vector("exp_avg"), state.vector("exp_avg_sq")
    m += (1 - beta1) * (g - m)
    v += (1 - beta2) * (squared(g) - v)
    if group["amsgrad"]:
        largest = state.vector("max_exp_avg_sq")
        v = np.maximum(largest, v, out=largest)
    return m, v


def _corrections(state: Any, group: Any) -> tuple[float, float]:
    beta1, beta2 = group["betas"]
    return 1 - beta1**state.step, 1 - beta2**state.step


@_mistake("m and v are multiplied by their corrections", *_ADAMS, fix="divide by 1 - βᵗ")
def _multiplied(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    (m, v), (correction1, correction2) = _moments(g, state, group), _corrections(state, group)
    w -= group["lr"] * m * correction1 / (np.sqrt(v * correction2) + group["eps"])


@_mistake("only v is corrected", *_ADAMS, fix="divide m by 1 - β₁ᵗ as well")
def _m_uncorrected(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    (m, v), (_, correction2) = _moments(g, state, group), _corrections(state, group)
    w -= group["lr"] * m / (np.sqrt(v / correction2) + group["eps"])


@_mistake("only m is corrected", *_ADAMS, fix="divide v by 1 - β₂ᵗ as well")
def _v_uncorrected(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    (m, v), (correction1, _) = _moments(g, state, group), _corrections(state, group)
    w -= group["lr"] * m / correction1 / (np.sqrt(v) + group["eps"])


@_mistake("the root is missing", *_ADAMS, fix="divide by √v̂ + ε")
def _no_root_adams(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    (m, v), (correction1, correction2) = _moments(g, state, group), _corrections(state, group)
    w -= group["lr"] * m / correction1 / (v / correction2 + group["eps"])


@_mistake("v is a mean of g, not of g²", *_ADAMS, fix="v = β₂ v + (1 - β₂) g²")
def _not_squared_adams(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    (m, v), (correction1, correction2) = _moments(g, state, group, np.array), _corrections(state, group)
    w -= group["lr"] * m / correction1 / (np.sqrt(v / correction2) + group["eps"])


@_mistake("v is a mean of |g|, not of g²", *_ADAMS, fix="v = β₂ v + (1 - β₂) g²")
def _absolute_adams(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    (m, v), (correction1, correction2) = _moments(g, state, group, np.abs), _corrections(state, group)
    w -= group["lr"] * m / correction1 / (np.sqrt(v / correction2) + group["eps"])


@_mistake("v is a mean of g, not of g², under the root its size", *_ADAMS, fix="v = β₂ v + (1 - β₂) g²")
def _not_squared_size_adams(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    (m, v), (correction1, correction2) = _moments(g, state, group, np.array), _corrections(state, group)
    w -= group["lr"] * m / correction1 / (np.sqrt(np.abs(v) / correction2) + group["eps"])


def _plain_rmsprop(w: Any, g: Any, state: Any, group: Any, v: Any, root: Any = np.sqrt) -> None:
    state.vector("square_avg")[...] = v
    w -= group["lr"] * g / (root(v) + group["eps"])


@_mistake("the root is missing", "RMSprop", fix="divide by √v + ε")
def _no_root_rmsprop(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    v = group["alpha"] * state.vector("square_avg") + (1 - group["alpha"]) * g * g
    _plain_rmsprop(w, g, state, group, v, np.array)


@_mistake("v is a mean of g, not of g²", "RMSprop", fix="v = α v + (1 - α) g²")
def _not_squared_rmsprop(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    _plain_rmsprop(w, g, state, group, group["alpha"] * state.vector("square_avg") + (1 - group["alpha"]) * g)


@_mistake("v is a mean of |g|, not of g²", "RMSprop", fix="v = α v + (1 - α) g²")
def _absolute_rmsprop(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    v = group["alpha"] * state.vector("square_avg") + (1 - group["alpha"]) * np.abs(g)
    _plain_rmsprop(w, g, state, group, v)


@_mistake("g² is not weighted by 1 - α", "RMSprop", fix="v = α v + (1 - α) g²")
def _unweighted(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    _plain_rmsprop(w, g, state, group, group["alpha"] * state.vector("square_avg") + g * g)


@_mistake("v adds up all g², as Adagrad's sum", "RMSprop", fix="v = α v + (1 - α) g²")
def _adagrads(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    _plain_rmsprop(w, g, state, group, state.vector("square_avg") + g * g)


def _plain_adagrad(w: Any, g: Any, state: Any, group: Any, s: Any, root: Any = np.sqrt) -> None:
    state.vector("sum", group["initial_accumulator_value"])[...] = s
    w -= group["lr"] / (1 + (state.step - 1) * group["lr_decay"]) * g / (root(s) + group["eps"])


@_mistake("the root is missing", "Adagrad", fix="divide by √s + ε")
def _no_root_adagrad(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    s = state.vector("sum", group["initial_accumulator_value"]) + g * g
    _plain_adagrad(w, g, state, group, s, np.array)


@_mistake("s is a sum of g, not of g²", "Adagrad", fix="s = s + g²")
def _not_squared_adagrad(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    _plain_adagrad(w, g, state, group, state.vector("sum", group["initial_accumulator_value"]) + g)


@_mistake("s is a sum of |g|, not of g²", "Adagrad", fix="s = s + g²")
def _absolute_adagrad(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    s = state.vector("sum", group["initial_accumulator_value"]) + np.abs(g)
    _plain_adagrad(w, g, state, group, s)


@_mistake("s is the last g² alone", "Adagrad", fix="s = s + g²: it adds up")
def _last_square(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    _plain_adagrad(w, g, state, group, g * g)


@_mistake("ε is added before v is corrected", *_ADAMS, fix="√(v / (1 - β₂ᵗ)) + ε")
def _epsilon_early(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    correction = 1 - group["betas"][1] ** state.step
    right(w, g, state, {**group, "eps": group["eps"] / math.sqrt(correction)})


@_mistake("β₁ and β₂ are swapped", *_ADAMS, fix="β₁ is that of the mean, β₂ that of the mean square")
def _swapped(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    right(w, g, state, {**group, "betas": group["betas"][::-1]})


@_mistake("α and 1 - α are swapped", "RMSprop", fix="v = α v + (1 - α) g²")
def _alpha(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    right(w, g, state, {**group, "alpha": 1 - group["alpha"]})


@_mistake("v's largest value is not kept", *_ADAMS, fix="AMSGrad divides by the largest v so far")
def _forgets(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    right(w, g, state, {**group, "amsgrad": False})


def _inside(right: Any, w: Any, g: Any, state: Any, group: Any, v: str, correct: float = 1.0) -> None:
    """The step times (√v + ε) / √(v + ε)."""
    before = w.copy()
    right(w, g, state, group)
    mean_square, eps = state.vector(v) / correct, group["eps"]
    w[...] = before + (w - before) * (np.sqrt(mean_square) + eps) / np.sqrt(mean_square + eps)


@_mistake("ε stands inside the root", *_ADAMS, fix="√v + ε, as torch has it")
def _inside_adams(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    v = "max_exp_avg_sq" if group["amsgrad"] else "exp_avg_sq"
    _inside(right, w, g, state, group, v, 1 - group["betas"][1] ** state.step)


@_mistake("ε stands inside the root", "Adagrad", fix="√s + ε, as torch has it")
def _inside_adagrads(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    _inside(right, w, g, state, group, "sum")


@_mistake("ε stands inside the root", "RMSprop", fix="√v + ε, as torch has it")
def _inside_rmsprops(_: Any, right: Any, w: Any, g: Any, state: Any, group: Any) -> None:
    if group["momentum"] or group["centered"]:
        return right(w, g, state, group)
    _inside(right, w, g, state, group, "square_avg")
