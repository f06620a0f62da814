"""By what two forwards differ, which comes before anything about their gradients.

As a gradient's error, a difference is named only if it was confirmed: the other forward, changed so, gives
exactly this output.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from scratch import nn
from scratch.copying import deep_copy
from scratch.gradcheck import Objective
from scratch.nested import leaves
from torch_ref.checker.comparison import Comparison
from torch_ref.checker.diagnosis.cause import Cause, is_output, is_same, same_shape
from torch_ref.checker.diagnosis.pattern import pattern
from torch_ref.checker.verdict import TensorVerdict
from torch_ref.faults import switch_on
from torch_ref.faults.elementwise import inside_the_logarithm

DIFFERS = "your forward differs from the reference's"

_EPSILONS = (0.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12, 1e-15)
# Options of our modules that people set otherwise, and the values that they take.
_OPTIONS: dict[str, tuple[Any, ...]] = {
    "eps": _EPSILONS,
    "dim": (0, 1, 2, -1),
    "approximate": ("none", "tanh"),
    "negative_slope": (0.01, 0.1, 0.2, 0.3, 0.05, 0.001),
    "alpha": (1.0, 0.1, 0.2, 0.3, 1.67326),
    "reduction": ("mean", "sum", "none", "batchmean"),
    "padding": (0, 1, 2),
    "stride": (1, 2),
    "nonlinearity": ("tanh", "relu"),
    "count_include_pad": (True, False),
    "beta": (1.0, 0.5, 2.0),
}
_SAID = {"eps": "ε", "dim": "the axis"}


def forward_causes(objective: Objective, comparison: Comparison, modules: Sequence[nn.Module]) -> list[Cause]:
    """One cause for each output that differs."""
    right = modules[0] if modules else None
    return [
        _cause(t, objective, right)
        for t in comparison.wrong
        if is_output(t) and not t.name.startswith("buffer")
    ]


def _cause(t: TensorVerdict, objective: Objective, right: nn.Module | None) -> Cause:
    if not same_shape(t):
        return Cause(DIFFERS, pattern(t), "", (t.name,))
    by, fix = (
        _single(t)
        or _factor(t)
        or _other_option(t, objective, right)
        or _inside_the_logarithm(t, objective, right)
        or _transposed(t, objective, right)
        or _offset(t)
        or _permuted(t)
        or ("", "")
    )
    return Cause(f"{DIFFERS} {by}".replace(" :", ":") if by else DIFFERS, _evidence(t, by), fix, (t.name,))


def _evidence(t: TensorVerdict, by: str) -> str:
    return (
        "changed so, the two are the same" if by and "float32" not in by else f"{pattern(t)}; {_size_of(t)}"
    )


def _size_of(t: TensorVerdict) -> str:
    off = float(np.max(np.abs(t.ours - t.reference), initial=0))
    return f"by up to {off:.2g}, where the largest is {float(np.max(np.abs(t.reference), initial=0)):.2g}"


def _matches(t: TensorVerdict, changed: np.ndarray) -> bool:
    """Whether the reference's output, changed so, is ours."""
    return changed.shape == t.ours.shape and is_same(t, changed)


def _single(t: TensorVerdict) -> tuple[str, str] | None:
    """By roundings of float32 alone, in a comparison in float64."""
    if t.dtype != np.float64:
        return None
    scale = float(np.max(np.abs(t.reference), initial=0))
    off = np.max(np.abs(t.ours - t.reference), initial=0)
    rounded = np.array_equal(t.ours.astype(np.float32).astype(np.float64), t.ours)
    if scale and off <= 1e-5 * scale and rounded:
        return (
            "by roundings: your code computes in float32",
            "compare in float32 alone, dtypes='float32' (--dtype float32), or keep the dtype of x",
        )
    return None


def _factor(t: TensorVerdict) -> tuple[str, str] | None:
    square = float(np.sum(t.reference * t.reference))
    ratio = float(np.sum(t.ours * t.reference)) / square if square else 0.0
    if (
        not np.isfinite(ratio)
        or abs(ratio) < 1e-6
        or abs(ratio - 1) < 1e-6
        or not _matches(t, ratio * t.reference)
    ):
        return None
    names = {0.5: "0.5: it is half", 2.0: "2: it is twice", -1.0: "-1: the sign"}
    told = next((words for n, words in names.items() if np.isclose(ratio, n, rtol=1e-7)), "")
    n = 1 / ratio if abs(ratio) < 1 else ratio
    # One number is some multiple of any other: then only that of a size says something.
    if t.ours.size == 1 and not told and (abs(n - round(n)) > 1e-9 * abs(n) or abs(n) > 1e6):
        return None
    fix = f"multiply by {1 / ratio:.6g} to compute the same as the reference"
    return f"by a factor of {told or f'{ratio:.6g}'}", fix


def _offset(t: TensorVerdict) -> tuple[str, str] | None:
    if t.ours.size < 2:
        return None
    c = float(np.mean(t.ours - t.reference))
    return (f"by a constant, {c:.6g}, that is added", "") if _matches(t, t.reference + c) else None


def _permuted(t: TensorVerdict) -> tuple[str, str] | None:
    y = t.reference
    if y.ndim == 2 and y.shape[0] == y.shape[1] and _matches(t, y.T):
        return "as if it were transposed", ""
    for axis in range(y.ndim):
        if y.shape[axis] > 1 and _matches(t, np.flip(y, axis)):
            return f"as if axis {axis} were the wrong way round", ""
    return None


# ---- by an option, or a parameter


def _other_option(t: TensorVerdict, objective: Objective, right: nn.Module | None) -> tuple[str, str] | None:
    """As if an option of our own module of the kind had another value."""
    for changed, words in _changed_options(right) if right is not None else ():
        y = _output(t, objective, changed)
        if y is not None and _matches(t, y):
            return words, ""
    return None


def _output(t: TensorVerdict, objective: Objective, model: nn.Module) -> np.ndarray | None:
    """That output by this module, if it can run."""
    try:
        with np.errstate(all="ignore"):
            y = [np.asarray(a) for _, a in leaves(objective.forward(model, *objective.inputs))]
    except (ValueError, TypeError, IndexError, RuntimeError, AttributeError):
        return None
    at = int(t.name.partition(" ")[2] or 0)
    return y[at] if at < len(y) else None


def _changed_options(right: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    for at, module in right.named_modules():
        for option, values in _OPTIONS.items():
            now = vars(module).get(option)
            if now is None or isinstance(now, nn.Parameter | np.ndarray):
                continue
            for value in values:
                if value != now and type(value) is type(now):
                    changed = deep_copy(right)
                    setattr(dict(changed.named_modules())[at], option, value)
                    yield changed, f"as if {_SAID.get(option, option)} were {value!r}, not {now!r}"


def _inside_the_logarithm(
    t: TensorVerdict, objective: Objective, right: nn.Module | None
) -> tuple[str, str] | None:
    """As if a small number were added to a probability before its logarithm is taken."""
    if right is None:
        return None
    for at, module in right.named_modules():
        for ε in (1e-3, 1e-4, 1e-5, 1e-6, *(10.0**-n for n in range(9, 16))):
            for fault in inside_the_logarithm(ε):
                if fault.applies(module):
                    changed = deep_copy(right)
                    switch_on(fault, dict(changed.named_modules())[at])
                    y = _output(t, objective, changed)
                    if y is not None and _matches(t, y):
                        return f": {fault.name}", fault.fix
    return None


def _transposed(t: TensorVerdict, objective: Objective, right: nn.Module | None) -> tuple[str, str] | None:
    """As if square weights were stored the other way round."""
    if right is None:
        return None
    parameters = [(name, p) for name, p in right.named_parameters() if p.data.ndim == 2]
    square = [name for name, p in parameters if p.shape[0] == p.shape[1]]
    for count in range(1, min(3, len(square)) + 1):
        for chosen in itertools.combinations(square, count):
            changed = deep_copy(right)
            for name, p in changed.named_parameters():
                if name in chosen:
                    p.data = p.data.T.copy()
            y = _output(t, objective, changed)
            if y is not None and _matches(t, y):
                yours = _own_names(objective.model, chosen)
                told = f"transposed={yours} (--transposed {' '.join(yours)})"
                fix = f"if yours is stored the other way round, (in, out), say so: {told}"
                return f"as if {', '.join(chosen)} were transposed", fix
    return None


def _own_names(model: nn.Module, names: tuple[str, ...]) -> list[str]:
    """The names that people have for these parameters, if the adapter knows them."""
    taken = getattr(model, "taken", {})
    return [_own_name(taken[name][0], name) if name in taken else name for name in names]


def _own_name(slot: Any, name: str) -> str:
    path = getattr(slot, "path", ())
    return str(path[-1]) if path and isinstance(path[-1], str) else name
