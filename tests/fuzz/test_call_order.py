"""Calls in another order, gradients that are none, copies, arrays that change before the backward."""

import copy
import functools
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import scratch
from fuzz.mutations import KINDS
from fuzz.tally import CLEAR, DESIGNED, FINE, LOST, RAW, WRONG, Tally, each, is_clear, outcome_of
from rounding import arrays, backward, noise
from scratch import nn
from scratch.nested import leaves, unflatten_as
from torch_ref.catalog import LOSSES, MODULES

AREA = "call order, copies, gradients"
pytestmark = pytest.mark.filterwarnings("ignore")

# Identity keeps nothing: its backward is itself.
CASES = {case.name: case for case in MODULES + LOSSES if case.kind != "Identity"}


@functools.cache
def module_of(name: str) -> nn.Module:
    scratch.manual_seed(0)
    return CASES[name].make(np.float32)


def names_of(module: nn.Module) -> set[str]:
    return {type(each).__name__ for each in module.modules()}


def after_forward(name: str) -> tuple[nn.Module, Any, Any]:
    """A fresh module after a forward, its output, and a gradient for it."""
    module = copy.deepcopy(module_of(name))
    scratch.manual_seed(0)
    y = module(*CASES[name].draw(np.float32))
    return module, y, noise(y)


def numbers(module: nn.Module, dx: Any) -> list[bytes]:
    grads = (p.grad for p in module.parameters())
    return [array.tobytes() for array in (*arrays(dx), *(g for g in grads if g is not None))]


def gone_back(module: nn.Module, dy: Any) -> list[bytes]:
    return numbers(module, backward(module, dy))


@functools.cache
def expected(name: str) -> list[bytes]:
    module, _, dy = after_forward(name)
    return numbers(module, backward(module, dy))


def refused(tried: Tally, shown: str, module: nn.Module, call: Callable[[], Any]) -> None:
    """The call has to be refused."""
    _, error = outcome_of(call)
    if error is None:
        tried.add(WRONG, shown)
    else:
        tried.add_error(error, shown, names_of(module))


def backward_first(tried: Tally, name: str) -> None:
    module, _, dy = after_forward(name)
    backward(module, dy)
    fresh = copy.deepcopy(module_of(name))
    refused(tried, f"{name}: backward before forward", fresh, lambda: backward(fresh, dy))
    refused(tried, f"{name}: backward twice", module, lambda: backward(module, dy))
    silent = copy.deepcopy(module_of(name))
    with scratch.no_grad():
        silent(*CASES[name].draw(np.float32))
    refused(tried, f"{name}: backward after no_grad", silent, lambda: backward(silent, dy))


def as_dy(y: Any, dy: Any) -> dict[str, Any]:
    """Gradients that are none, in the place of the first."""
    first = next(d for _, d in leaves(dy) if d is not None)
    wrong: dict[str, Any] = {kind: change(np.array(first)) for kind, change in KINDS.items()}
    wrong |= {
        "float64": first.astype(np.float64),
        "float16": first.astype(np.float16),
        "integers": first.astype(np.int64),
        "complex": first.astype(np.complex64),
        "objects": first.astype(object),
        "texts": first.astype(str),
        "one axis more": first[None],
        "flat, and one more": np.append(first, first.reshape(-1)[:1]),
        "empty": first.reshape(-1)[:0],
        "a row less": first[:-1] if first.ndim else first[None],
    }
    # A loss is a number, and so is the gradient of it: of any kind that it can be multiplied by.
    numbers = {"a float", "an int", "a bool", "a list", "float64", "float16", "integers", "complex"}
    allowed = numbers if first.ndim == 0 else set()
    return {kind: value for kind, value in wrong.items() if kind not in allowed}


def gradients_that_are_none(tried: Tally, name: str) -> None:
    module, y, dy = after_forward(name)
    for kind, value in as_dy(y, dy).items():
        bad = unflatten_as(
            dy, iter([value, *(d for _, d in leaves(dy))][:1] + [d for _, d in leaves(dy)][1:])
        )
        shown = f"{name}: backward of {kind}"
        call = module.backward if not isinstance(dy, tuple) else functools.partial(backward, module)
        _, error = outcome_of(lambda bad=bad, call=call: call(bad))
        if error is None:
            same = value is None and isinstance(dy, tuple)  # an output that nothing depends on
            tried.add(DESIGNED if same else WRONG, shown)
            module, y, dy = after_forward(name)
            continue
        if not is_clear(error, names_of(module)):
            tried.add(RAW, shown, error)
            module, y, dy = after_forward(name)
            continue
        found, error = outcome_of(functools.partial(gone_back, module, dy))
        tried.add(CLEAR if error is None and found == expected(name) else LOST, shown, error)
        module, y, dy = after_forward(name)


def copies(tried: Tally, name: str) -> None:
    for kind, duplicate in (("deepcopy", copy.deepcopy), ("pickle", lambda m: pickle.loads(pickle.dumps(m)))):
        for when in ("before", "after"):
            module = copy.deepcopy(module_of(name))
            inputs = CASES[name].draw(np.float32)
            given = [array.copy() for array in arrays(inputs)]
            if when == "before":
                module = duplicate(module)
            scratch.manual_seed(0)
            dy = noise(module(*inputs))
            if when == "after":
                module = duplicate(module)
            found, error = outcome_of(functools.partial(gone_back, module, dy))
            same = all(np.array_equal(a, b) for a, b in zip(arrays(inputs), given, strict=True))
            good = error is None and found == expected(name) and same
            tried.add(FINE if good else LOST, f"{name}: {kind} {when} forward", error)


def changed_between(tried: Tally, name: str) -> None:
    """In-place changes under detect_changes: refused, or without an influence."""

    def run(which: str, at: int) -> tuple[nn.Module, list[bytes]]:
        module = copy.deepcopy(module_of(name))
        inputs = CASES[name].draw(np.float32)
        scratch.manual_seed(0)
        with scratch.detect_changes():
            y = module(*inputs)
            dy = noise(y)
            victims = arrays(
                {"input": inputs, "output": y, "weight": tuple(p.data for p in module.parameters())}[which]
            )
            victim = victims[at]
            if not victim.flags.writeable:
                victim = np.array(victim)
            victim[...] = np.where(victim == 1, 0, 1) if victim.dtype.kind in "iub" else victim * 3 + 1
            return module, numbers(module, backward(module, dy))

    module, y, _ = after_forward(name)
    inputs = CASES[name].draw(np.float32)
    counts = {
        "input": len(arrays(inputs)),
        "output": len(arrays(y)),
        "weight": len(list(module.parameters())),
    }
    for which, count in counts.items():
        for at in range(count):
            found, error = outcome_of(lambda which=which, at=at: run(which, at))
            shown = f"{name}: {which} {at} changed"
            if error is not None:
                tried.add_error(error, shown, names_of(module))
            else:
                tried.add(FINE if found[1] == expected(name) else WRONG, shown)


def a_forward_between(tried: Tally, name: str) -> None:
    """A look at other inputs before the backward of a loss: the gradient is of the first."""
    module, y, _ = after_forward(name)
    if (
        isinstance(module, nn.Loss)
        or not isinstance(y, np.ndarray)
        or y.dtype.kind != "f"
        or CASES[name].is_random
    ):
        return
    loss, target = nn.MSELoss(), np.zeros_like(y)

    def train(between: int) -> list[bytes]:
        module = copy.deepcopy(module_of(name))
        scratch.manual_seed(0)
        loss(module(*CASES[name].draw(np.float32)), target)
        module.eval() if between else None
        for seed in range(between):
            module(*CASES[name].draw(np.float32, seed=seed + 5))
        return numbers(module, backward(module, loss.backward()))

    right = train(0)
    for between in (1, 3):
        found, error = outcome_of(lambda between=between: train(between))
        shown = f"{name}: {between} forwards between"
        if error is not None:
            tried.add_error(error, shown, names_of(module))
        else:
            tried.add(FINE if found == right else WRONG, shown)


STEPS = (backward_first, gradients_that_are_none, copies, changed_between, a_forward_between)


@each([(step, name) for name in CASES for step in STEPS], 12)
def test_what_is_out_of_order_is_refused_and_nothing_is_lost(tried, trial) -> None:
    step, name = trial
    step(tried, name)
