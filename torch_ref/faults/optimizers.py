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


# ---- momentum


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
