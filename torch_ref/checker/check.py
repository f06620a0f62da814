"""check(mine, reference, x): is my backward right? And if not, where, and why.

For anything with a forward and a backward (adapters) beside a module or function of PyTorch. The stages:

1. prepare: yours as a Module, on PyTorch's weights; a random incoming gradient (adapters, sides.py)
2. run both sides forward and backward (compare.py)
3. the numeric derivative of your forward, which says which side is wrong (numeric.py)
4. rounding: how far two correct sides may be apart (scratch/gradcheck/rounding.py)
5. side effects of your forward and backward (side_effects.py)
6. diagnosis: the mistake that gives exactly the wrong gradient (diagnosis.py)
7. kinks: in the finer precision 1, 2 and 4 to 6 once more, on numbers that repeat and are 0, ±1, … (kinks.py)

1 to 6 are done in both precisions.
"""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch

from scratch import nn
from scratch.gradcheck import Objective
from scratch.gradcheck.tolerance import VISIBLE
from scratch.nested import leaves
from torch_ref.checker.compare import compare_objective
from torch_ref.checker.comparison import Comparison
from torch_ref.checker.diagnosis import Cause, diagnose, find_families, formulas_named, is_output
from torch_ref.checker.kinks import TIES, kinks, kinks_above_0, kinks_on_its_sides
from torch_ref.checker.side_effects import NO_EVIDENCE, side_effects_of
from torch_ref.checker.sides import Sides, as_arrays


@dataclass(frozen=True)
class Check:
    """The result of check; truthy if all is well.

    Args:
        comparisons: by where they were made: "float64", "float32", and "float64, ties and kinks".
        side_effects: of forward and backward: they change an input or a weight, overwrite a gradient, draw
            random numbers, keep state from one call to the next.
        causes: why it is wrong, each confirmed, or called unknown; none if the same call gives other numbers.
        untried: why there is no comparison on ties and kinks, or "".
    """

    comparisons: dict[str, Comparison] = field(default_factory=dict)
    side_effects: tuple[str, ...] = ()
    causes: tuple[Cause, ...] = ()
    untried: str = ""

    @property
    def ok(self) -> bool:
        """Whether both sides agree in everything, and there are no side effects."""
        return all(self.comparisons.values()) and not self.side_effects

    def __bool__(self) -> bool:
        return self.ok

    @cached_property
    def frame(self) -> pd.DataFrame:
        """All tables, one below the other; see Comparison."""
        frames = [c.frame.assign(made_in=name) for name, c in self.comparisons.items()]
        return pd.concat(frames, ignore_index=True)

    @property
    def verdict(self) -> str:
        """The errors and their causes, the most telling first; or that there are none."""
        if NO_EVIDENCE & {*self.side_effects}:
            return "\n".join(self.side_effects)
        if not self.ok:
            wrong = [f"{name}: {c.verdict}" for name, c in self.comparisons.items() if not c]
            return "\n".join([*wrong, *self.side_effects, *map(str, self.causes)])
        return self.comparisons[min(self.comparisons)].verdict

    def __str__(self) -> str:
        parts = [self.verdict, f"Not tried on {TIES}: {self.untried}." if self.untried else ""]
        for name, comparison in self.comparisons.items():
            parts += [f"In {name}:", comparison.table, comparison.details()]
        return "\n\n".join(part for part in parts if part)


def check(
    mine: Any,
    reference: torch.nn.Module | Callable[..., Any],
    *inputs: Any,
    dtypes: Any = ("float64", "float32"),
    transposed: str | Sequence[str] = (),
    cotangent: Any = None,
    like: str | None = None,
) -> Check:
    """Compare a forward and backward written by hand with PyTorch's, and with the numeric derivative.

    Args:
        mine: an object with forward and backward, or a pair of functions; see adapt.
        reference: a torch module, whose weights both sides get, or a function of tensors. If it is a loss
            of torch.nn, the input that its forward calls target is held.
        inputs: NumPy arrays, numbers or lists, or tuples of them; cast to each dtype.
        dtypes: to compare in: "float64", "float32", or both.
        transposed: our parameters that are stored the other way round than the reference's.
        cotangent: the incoming gradient; random by default.
        like: the formula that it is, such as "layer_norm" or "LayerNorm", for the diagnosis; found from the
            numbers by default, where the reference does not tell.

    Neither ``mine`` nor ``reference`` is changed.

    Raises:
        TypeError: mine has no forward and backward, or is a Module with an array that has a gradient and is
            not a Parameter; reference is not a module or function; an input is a tensor, or not of numbers.
        ValueError: the parameters do not fit; the output holds nan or inf; there is neither a floating input
            nor a parameter; dtypes is empty, or has another one; like is no formula of ours.
    """
    names = _checked(reference, dtypes)
    _require_formula(like)
    sides = Sides(mine, reference, as_arrays("input", inputs), transposed)
    cotangent = as_arrays("cotangent", cotangent)
    found = Check()
    for dtype in names:
        found = _examined(found, sides, dtype, cotangent, like)
    return _examined_on_kinks(found, sides, max(names), cotangent, like)


def _checked(reference: Any, dtypes: Any) -> list[str]:
    """The names of the dtypes, if they and the reference can be used."""
    if not callable(reference) or isinstance(reference, type):
        kind = f"the class {reference.__name__}" if isinstance(reference, type) else type(reference).__name__
        raise TypeError(f"check: reference is {kind}, expected a torch module or a function")
    dtypes = dtypes if isinstance(dtypes, list | tuple) else (dtypes,)
    names = [np.dtype(dtype).name for dtype in dtypes]
    if not names or not {*names} <= {*VISIBLE}:
        raise ValueError(f"check: dtypes is {names}, expected some of {[*VISIBLE]}")
    return names


def _require_formula(like: str | None) -> None:
    """Refuse a name that is none of our formulas or modules."""
    known = formulas_named()
    if like is not None and like not in known:
        near = difflib.get_close_matches(str(like), known, 4, 0.4)
        raise ValueError(
            f"check: like is {like!r}, expected the name of a formula of scratch.functional or of a module "
            f"of scratch.nn, as 'layer_norm' or 'LayerNorm'" + (f"; near it are {near}" if near else "")
        )


def _examined(
    found: Check, sides: Sides, dtype: str, cotangent: Any, like: str | None, ties: bool = False
) -> Check:
    """``found``, and one comparison more; side effects and causes are looked for until there are some."""
    objective, twin = sides.cast(np.dtype(dtype), cotangent)
    comparison = compare_objective(objective, twin, None, numeric=not ties, ties=ties)
    if ties and not _has_gradient(comparison):
        raise ValueError("there both sides have gradients of nan or inf")
    side_effects = found.side_effects or tuple(side_effects_of(objective))
    causes = found.causes
    if not comparison and not causes and not NO_EVIDENCE & {*side_effects}:
        given = found.comparisons.get(dtype, comparison)
        causes = tuple(diagnose(objective, comparison, *_our_own(sides, given, objective, like)))
    comparisons = {**found.comparisons, f"{dtype}, {TIES}" if ties else dtype: comparison}
    return replace(found, comparisons=comparisons, side_effects=side_effects, causes=causes)


def _our_own(sides: Sides, given: Comparison, objective: Objective, like: str | None) -> list[nn.Module]:
    """Our own modules of this kind: that of the reference or, where it does not tell, those found by numbers.

    ``given`` is the comparison on the inputs as they were given: on ties many functions are the same.
    """
    right = sides.right(objective.dtype)
    if right is not None:
        return [right]
    regular = sides.regular.cast(objective.dtype)[0]
    outputs = [t.reference for t in given.tensors if is_output(t) and not t.name.startswith("buffer")]
    families = find_families(regular, outputs or [y for _, y in leaves(regular.y)], like)
    return [family.of(objective) for family in families]


def _examined_on_kinks(found: Check, sides: Sides, dtype: str, cotangent: Any, like: str | None) -> Check:
    """``found``, and a comparison on the first points where all is defined; or why there is none."""
    untried = ""
    for points in (kinks, kinks_on_its_sides, kinks_above_0):
        try:
            with np.errstate(all="ignore"):
                return _examined(found, sides.on_kinks(points), dtype, cotangent, like, ties=True)
        except Exception as error:  # from other people's code, where it is not defined
            untried = untried or str(error).partition("\n")[0] or type(error).__name__
    return replace(found, untried=untried)


def _has_gradient(comparison: Comparison) -> bool:
    pairs = [(t.ours, t.reference) for t in comparison.tensors if t.ours.shape == t.reference.shape]
    return all(np.all(np.isfinite(ours) | np.isfinite(theirs)) for ours, theirs in pairs)
