"""check(mine, reference, x): is my backward right? And if not, where, and why.

For anything with a forward and a backward (adapters) beside a module or function of PyTorch. The stages:

1. prepare: yours as a Module, on PyTorch's weights; a random incoming gradient (adapters, sides.py)
2. run both sides forward and backward (compare.py)
3. the numeric derivative of your forward, which says which side is wrong
   (scratch/gradcheck/derivative.py)
4. rounding: how far two correct sides may be apart (scratch/gradcheck/rounding.py)
5. side effects of your forward and backward (side_effects.py)
6. diagnosis: the mistake that gives exactly the wrong gradient (diagnosis/)
7. other conditions: in the finer precision 1 to 6 once more, with weights drawn anew where they were all
   equal, and in eval mode (conditions.py)
8. kinks: likewise 1, 2 and 4 to 6, on numbers that repeat and are 0, ±1, … (kinks.py)

1 to 6 are done in both precisions.
"""

import difflib
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from html import escape
from typing import Any

import numpy as np
import pandas as pd
import torch

from scratch import nn
from scratch.gradcheck import INCONCLUSIVE, Objective
from scratch.gradcheck.objective import NotFiniteError
from scratch.gradcheck.tolerance import VISIBLE, half_of_digits
from scratch.nested import leaves
from torch_ref.adapters import (
    GradientOf,
    JaxCode,
    TensorCode,
    device_of,
    is_jax_function,
    takes_tensors,
    with_constants,
)
from torch_ref.adapters.held import filled
from torch_ref.checker.budget import SPENT, Budget
from torch_ref.checker.callers import errors_of
from torch_ref.checker.compare import compare_objective
from torch_ref.checker.comparison import BESIDE_FLOAT64, YOURS_AND_REFERENCE, Comparison
from torch_ref.checker.conditions import is_large, is_of_shape, other_conditions
from torch_ref.checker.diagnosis import Cause, diagnose, find_families, formulas_named, is_output
from torch_ref.checker.jax_effects import jax_effects_of
from torch_ref.checker.kinks import (
    ALL_EQUAL,
    ALL_ZERO,
    TIES,
    kinks,
    kinks_above_0,
    kinks_on_its_sides,
    ones,
    zeros,
)
from torch_ref.checker.low_precision import LOW, compare_low
from torch_ref.checker.precision import usable
from torch_ref.checker.side_effects import NO_EVIDENCE, side_effects_of
from torch_ref.checker.sides import Sides, as_arrays
from torch_ref.checker.tensor_effects import tensor_effects_of
from torch_ref.checker.verdict import ROUNDED, SHAPES_DIFFER, TensorVerdict, largest
from torch_ref.checker.without_gradient import without_gradient


@dataclass(frozen=True, repr=False)
class Check:
    """The result of check; truthy if all is well.

    Args:
        comparisons: by where they were made: "float64", "float32", and under other conditions, as "float64,
            eval mode" and "float64, ties and kinks".
        side_effects: of forward and backward: they change an input or a weight, overwrite a gradient, draw
            random numbers, keep state from one call to the next.
        causes: why it is wrong, each confirmed, or called unknown; none if the same call gives other numbers.
        untried: why there is no comparison on ties and kinks, or "".
        notes: sentences on what was judged, if that is not all that was asked for, on what was not tried, and
            on how mine was read, where it might have been read otherwise.
    """

    comparisons: dict[str, Comparison] = field(default_factory=dict)
    side_effects: tuple[str, ...] = ()
    causes: tuple[Cause, ...] = ()
    untried: str = ""
    notes: tuple[str, ...] = ()

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
        """The errors and their causes, the most telling first; or that there are none. Then the notes."""
        said = [*self.side_effects]
        if self.ok:
            said = [self.comparisons[min(self.comparisons, key=self._telling)].verdict]
        elif not NO_EVIDENCE & {*said}:
            wrong = [f"{name}: {c.verdict}" for name, c in self.comparisons.items() if not c]
            said = [*wrong, *said, *map(str, self.causes)]
        return "\n".join([*said, *self.notes])

    def _telling(self, name: str) -> tuple[bool, str]:
        """Comparisons along directions come first, since they say what was not seen."""
        return self.comparisons[name].along is None, name

    def __repr__(self) -> str:
        first = self.verdict.partition("\n")[0]
        return f"<Check: {'ok' if self.ok else 'not ok'}; {first}>"

    def _repr_html_(self) -> str:
        tables = [f"<p>In {escape(name)}:</p>\n{c.html()}" for name, c in self.comparisons.items()]
        return "\n".join([f"<pre>{escape(self.verdict)}</pre>", *tables])

    def __str__(self) -> str:
        parts = [self.verdict, f"Not tried on {TIES}: {self.untried}." if self.untried else ""]
        for name, comparison in self.comparisons.items():
            parts += [f"In {name}:", comparison.table, comparison.details()]
        return "\n\n".join(part for part in parts if part)


@errors_of("check")
def check(
    mine: Any,
    reference: torch.nn.Module | Callable[..., Any] | None = None,
    *inputs: Any,
    dtypes: Any = ("float64", "float32"),
    transposed: str | Sequence[str] = (),
    cotangent: Any = None,
    held: Any = (),
    layout: str | None = None,
    columns: bool = False,
    double_backward: bool = False,
    like: str | None = None,
    authority: str | None = None,
    budget: float = 10.0,
) -> Check:
    """Compare a forward and backward written by hand with PyTorch's, and with the numeric derivative.

    check(MyLayerNorm(16), torch.nn.LayerNorm(16), x)     # or a function: torch.nn.functional.gelu
    check(MyLayerNorm(16), None, x)                       # the numeric derivative alone
    check(MyFunction, torch.nn.functional.gelu, x)        # a torch.autograd.Function, or what uses one

    Args:
        mine: an object with forward and backward, a pair of functions, code of tensors, or a function of JAX,
            such as a jax.custom_vjp; see torch_ref.adapters.layers.
        reference: a torch module, whose weights both sides get, or a function of tensors or of JAX. If it is
            a loss of torch.nn, the input that its forward calls target is held. None: the numeric derivative
            of your forward alone judges your backward, on the weights that mine has; nothing is then said
            about your forward, and nothing tried on ties and kinks, where there is no derivative.
        inputs: NumPy arrays, numbers or lists, or tuples of them; cast to each dtype. For code of tensors
            also tensors; numbers, strings and sizes beside them are handed on as they are.
        dtypes: to compare in: "float64", "float32", or both; for code of tensors also "bfloat16" and
            "float16", where the numbers are rounded once, float64 judges, and the reference in the low
            precision shows how far off one may be.
        transposed: our parameters that are stored the other way round than the reference's, where their
            shapes do not tell: a square matrix.
        cotangent: the incoming gradient; random by default.
        held: positions or names of inputs without a gradient: masks, labels, numbers. They are handed to both
            sides as they are, floating arrays in the dtype of the others; backward may return a gradient for
            every input or for the others alone.
        layout: "NHWC" where your images are (n, h, w, c), "NLC" for sequences; the reference gets them, and
            gives its output, as PyTorch has them.
        columns: whether your samples are columns: x is (features, batch). Like layout it says how to call the
            reference, and nothing where there is none.
        double_backward: compare the derivative of the gradients as well (code of tensors alone).
        like: the formula that it is, such as "layer_norm" or "LayerNorm", for the diagnosis; found from the
            numbers by default, where the reference does not tell.
        authority: "reference" where the gradient is no derivative and the reference's is right by definition:
            straight-through, gradient reversal, padding_idx, detached parts. There is no third number then.
        budget: seconds after which no other condition is begun: other weights, shapes and sizes of numbers,
            eval mode, ties and kinks; nor one that is likely to take longer than is left. Of a network of
            many entries that includes the second precision and side effects. The notes list what was left
            out.

    Neither ``mine`` nor ``reference`` is changed.

    Raises:
        TypeError: mine has no forward and backward, or is a Module with an array that has a gradient and is
            not a Parameter; reference is not a module or function; an input is a tensor, or not of numbers.
        ValueError: the parameters do not fit; the output holds nan or inf; there is neither a floating input
            nor a parameter; dtypes is empty, or has another one; like is no formula of ours; authority
            is something else, or there is no reference; budget is not above 0.
    """
    allowed = Budget("check", budget)
    names = _checked(mine, reference, dtypes)
    require_known(like, "check")
    if authority not in (None, "reference") or (authority and reference is None):
        raise ValueError(
            f"check: authority is {authority!r}, with {'no' if reference is None else 'a'} reference; "
            "expected None, or 'reference' with a reference that decides"
        )
    device = device_of(inputs, mine)
    takes_constants = takes_tensors(mine) or is_jax_function(mine)
    if takes_constants:
        mine, reference, inputs = with_constants(mine, reference, inputs)
    if double_backward and not takes_tensors(mine):
        raise TypeError(
            "check: double_backward is for code of tensors; a backward in NumPy has no second one"
        )
    sides = Sides(mine, reference, inputs, transposed, held, layout, columns)
    sides.reference_decides, sides.patience = authority is not None, allowed.patience
    for module in sides.module.modules():
        if isinstance(module, TensorCode):
            module.device = device
    cotangent = as_arrays("cotangent", cotangent)
    names, note = usable(sides, names, cotangent)
    found = Check(notes=(*filter(None, [note]), *sides.readings))
    for dtype in names:
        is_long = any(c.along for c in found.comparisons.values())
        if is_long and not allowed.allows(_IN_FLOAT32 * allowed.last):
            found = replace(found, notes=(*found.notes, f"Not tried in {dtype}: {SPENT}."))
            continue
        with allowed.stage():
            found = _examined(found, sides, dtype, cotangent, like, budget=allowed)
    full = [dtype for dtype in names if dtype not in LOW]
    if double_backward and full and found:  # where a gradient is wrong, so is all that follows from it
        found = _examined_twice(found, mine, reference, sides, max(full))
    if full:
        found = _examined_under_conditions(found, sides, max(full), like, allowed)
    if reference is None:
        return _with_what_has_no_gradient(found, sides)
    if not full:
        return replace(found, untried="in low precision it is not done")
    if not allowed.allows(allowed.last):
        return replace(found, untried=SPENT)
    return _examined_on_kinks(found, sides, max(full), cotangent, like)


# The seconds that a comparison in float32 takes, as a share of one in float64.
_IN_FLOAT32 = 0.6


def _with_what_has_no_gradient(found: Check, sides: Sides) -> Check:
    """``found``, and what is not judged without a reference: arrays that have no gradient, and ties."""
    learned, others = without_gradient(sides.module, sides.inputs)
    note = f"Held, since there is no gradient of it: {', '.join(others)}."
    forgotten = [f"the output depends on {name}, and backward leaves no gradient of it" for name in learned]
    return replace(
        found,
        side_effects=(*found.side_effects, *forgotten),
        notes=(*found.notes, note) if others else found.notes,
        untried="there is no derivative there, and no reference whose choice to follow",
    )


def _checked(mine: Any, reference: Any, dtypes: Any) -> list[str]:
    """The names of the dtypes, if they and the reference can be used."""
    if reference is not None and (not callable(reference) or isinstance(reference, type)):
        kind = f"the class {reference.__name__}" if isinstance(reference, type) else type(reference).__name__
        raise TypeError(f"check: reference is {kind}, expected a torch module, a function or None")
    dtypes = dtypes if isinstance(dtypes, list | tuple) else (dtypes,)
    names = [_name(dtype) for dtype in dtypes]
    known = [dtype for dtype in VISIBLE if dtype not in LOW or takes_tensors(mine)]
    if not names or not {*names} <= {*known}:
        raise ValueError(f"check: dtypes is {names}, expected some of {known}")
    return names


def _name(dtype: Any) -> str:
    if isinstance(dtype, torch.dtype) or dtype in VISIBLE:
        return str(dtype).removeprefix("torch.")
    return np.dtype(dtype).name


def require_known(like: str | None, caller: str) -> None:
    """Refuse, in the name of ``caller``, a name that is none of our formulas or modules.

    Raises:
        ValueError: it is none.
    """
    known = formulas_named()
    if like is not None and like not in known:
        near = difflib.get_close_matches(str(like), known, 4, 0.4)
        raise ValueError(
            f"{caller}: like is {like!r}, expected the name of a formula of scratch.functional or of a "
            "module of scratch.nn, as 'layer_norm' or 'LayerNorm'" + (f"; near it are {near}" if near else "")
        )


def _examined(
    found: Check,
    sides: Sides,
    dtype: str,
    cotangent: Any,
    like: str | None,
    condition: str = "",
    budget: Budget | None = None,
) -> Check:
    """``found``, and one comparison more; side effects and causes are looked for until there are some.

    Given a budget, side effects of a network of many entries are left out if it does not allow them.
    """
    ties = condition in (TIES, ALL_ZERO, ALL_EQUAL)
    if dtype in LOW:
        low = replace(compare_low(sides, dtype, cotangent), words=BESIDE_FLOAT64)
        return replace(found, comparisons={**found.comparisons, dtype: low})
    objective, twin = sides.cast(np.dtype(dtype), cotangent)
    # What slopes along directions say of the forward they have said in the first precision.
    is_known = bool(condition) or any(c.along for c in found.comparisons.values())
    begin = time.monotonic()
    comparison, said = _compared(sides, objective, twin, is_known, ties)
    seconds = time.monotonic() - begin
    rounded = _rounded_in_torch(found)
    if condition and comparison.wrong and not any(_counts(t, condition, rounded) for t in comparison.wrong):
        return found
    side_effects, notes = found.side_effects, tuple(dict.fromkeys((*found.notes, *said)))
    if ties and not _has_gradient(comparison):
        raise ValueError("there both sides have gradients of nan or inf")
    if any(isinstance(module, TensorCode | JaxCode) for module in objective.model.modules()):
        comparison = replace(comparison, words=YOURS_AND_REFERENCE)
    if budget is not None and (is_known or comparison.along is not None):
        effects, left = _effects_within(budget, seconds, found, objective)
        side_effects, notes = side_effects or effects, (*notes, *left)
    elif condition in ("", TIES):
        side_effects = side_effects or tuple(side_effects_of(objective))
    if comparison and not side_effects and not condition:
        side_effects = (*tensor_effects_of(objective), *jax_effects_of(objective))
    causes = found.causes
    if not comparison and not causes and not NO_EVIDENCE & {*side_effects}:
        given = found.comparisons.get(dtype, comparison) if ties else comparison
        causes = tuple(diagnose(objective, comparison, *_our_own(sides, given, objective, like)))
        causes = tuple(map(_as_convention, causes)) if condition == TIES else causes
    comparisons = {**found.comparisons, f"{dtype}, {condition}" if condition else dtype: comparison}
    return replace(found, comparisons=comparisons, side_effects=side_effects, causes=causes, notes=notes)


def _effects_within(
    budget: Budget, seconds: float, found: Check, objective: Objective
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The side effects of a network of many entries, and a note if they were not looked for.

    Once, in the first precision, if they are likely to take no longer than the budget allows: about as many
    seconds as the comparison.
    """
    if found.comparisons:
        return (), ()
    if not budget.allows(seconds):
        return (), (f"Not looked for side effects: {SPENT}.",)
    return tuple(side_effects_of(objective)), ()


def _compared(
    sides: Sides, objective: Objective, twin: torch.nn.Module | None, is_known: bool, ties: bool
) -> tuple[Comparison, list[str]]:
    """The comparison, by the numeric derivative where it is needed to judge, and words on the reference.

    Of a forward that ``is_known`` that is where the sides differ. If both sides give the same, and only the
    numeric derivative differs, the reference decides.
    """
    derived, patience = not sides.reference_decides, sides.patience
    numeric = derived and not is_known
    comparison = compare_objective(objective, twin, None, numeric, ties, patience=patience)
    if not comparison and derived and is_known and not ties and twin is not None:
        # To see which side is wrong, and why.
        comparison = compare_objective(objective, twin, None, patience=patience)
    rounded = ", ".join(t.name for t in comparison.tensors if t.verdict == ROUNDED)
    if rounded:
        return comparison, [f"PyTorch's gradient of {rounded} has a constant of float32; yours is exact."]
    if comparison.as_reference:
        names = ", ".join(t.name for t in comparison.wrong)
        return comparison.by_reference(), [_NO_DERIVATIVE.format(names)]
    return comparison, []


_NO_DERIVATIVE = (
    "Both sides give the same gradient of {}, and it is no derivative of the forward. If that is meant, as "
    "in a straight-through estimator, a reversed gradient or a part that is detached, say so with "
    "authority='reference' (--authority reference); if not, both are wrong in the same way."
)


def _as_convention(cause: Cause) -> Cause:
    """The cause of a difference that is seen on ties and kinks alone."""
    words = "seen only on ties and kinks, where there is no derivative: a convention, PyTorch's is another"
    return replace(cause, evidence=f"{cause.evidence}; {words}")


def _rounded_in_torch(found: Check) -> set[str]:
    """The tensors in which PyTorch has a constant of float32, by comparisons with a numeric derivative."""
    return {t.name for c in found.comparisons.values() for t in c.tensors if t.verdict == ROUNDED}


def _counts(t: TensorVerdict, condition: str, rounded: set[str]) -> bool:
    """Whether a tensor that does not agree under another condition is evidence.

    For large numbers PyTorch approximates, as log(1 + e^x) by x, so half of the digits must differ; likewise
    where PyTorch is known to round to float32.
    """
    if t.verdict == INCONCLUSIVE:
        return False
    if not (is_large(condition) or t.name in rounded) or t.ours.shape != t.reference.shape:
        return True
    allowed = half_of_digits(np.float32 if t.name in rounded else t.dtype) * max(1.0, largest(t.reference))
    return not bool(np.all(np.abs(t.ours - t.reference) <= allowed))


def _examined_twice(found: Check, mine: Any, reference: Any, sides: Sides, dtype: str) -> Check:
    """``found``, and a comparison of the gradients' own gradients, by the inputs, the parameters and dy."""
    first, _ = sides.cast(np.dtype(dtype))
    inputs = filled(first.inputs, sides.held)
    dy = [c for _, c in leaves(first.cotangent) if c is not None]
    given = None if reference is None else GradientOf(reference, len(inputs), sides.held)
    again = Sides(GradientOf(mine, len(inputs), sides.held), given, (*inputs, *dy), held=[*sides.held])
    if isinstance(again.module, TensorCode) and isinstance(sides.module, TensorCode):
        again.module.device = sides.module.device
    try:
        objective, twin = again.cast(np.dtype(dtype))
        comparison = compare_objective(objective, twin, None)
    except (TypeError, ValueError) as error:
        effect = f"double backward: {str(error).removeprefix('check: mine: ')}"
        return replace(found, side_effects=(*found.side_effects, effect))
    comparison = replace(comparison, words=YOURS_AND_REFERENCE)
    return replace(found, comparisons={**found.comparisons, f"{dtype}, double backward": comparison})


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


def _examined_under_conditions(
    found: Check, sides: Sides, dtype: str, like: str | None, budget: Budget
) -> Check:
    """``found``, and a comparison under each other condition, as long as all is well and time is left."""
    if any(c.along for c in found.comparisons.values()) and not budget.allows(budget.last):
        return replace(found, notes=(*found.notes, f"Not tried under other conditions: {SPENT}."))
    for condition, other in other_conditions(sides):
        if not found:
            break
        if not budget.allows(budget.last):
            found = replace(found, notes=(*found.notes, f"Not tried with {condition}: {SPENT}."))
            continue
        try:
            with np.errstate(all="ignore"), budget.stage():
                found = _unless_of_another_shape(found, _examined(found, other, dtype, None, like, condition))
        except NotFiniteError:
            if sides.twin is None:
                continue
            effect = (
                f"with {condition} your output holds nan or inf, and PyTorch's does not: a number overflows "
                "on the way. Subtract the largest before an exponential, or branch"
            )
            found = replace(found, side_effects=(*found.side_effects, effect))
        except Exception as error:  # from other people's code, which need not take other shapes
            reason = str(error).partition("\n")[0] or type(error).__name__
            found = replace(found, notes=(*found.notes, f"Not tried with {condition}: {reason}."))
    return found


def _unless_of_another_shape(before: Check, found: Check) -> Check:
    """``found`` or, if its last output has another shape than the reference's, what was there and a note.

    A layer that is meant for even sizes need not be the reference's function on odd ones.
    """
    name, comparison = next(reversed(found.comparisons.items()))
    condition = name.partition(", ")[2]
    other = [t for t in comparison.forwards_differ if t.verdict == SHAPES_DIFFER and is_output(t)]
    if not (other and is_of_shape(condition)):
        return found
    shapes = f"{other[0].ours.shape}, the reference's {other[0].reference.shape}"
    note = f"Not tried with {condition}: there your output has shape {shapes}, so they are two functions."
    return replace(before, notes=(*before.notes, note))


def _examined_on_kinks(found: Check, sides: Sides, dtype: str, cotangent: Any, like: str | None) -> Check:
    """``found``, and a comparison on the first points where all is defined; or why there is none."""
    untried = ""
    for points in (kinks, kinks_on_its_sides, kinks_above_0):
        try:
            with np.errstate(all="ignore"):
                found = _examined(found, sides.on_kinks(points), dtype, cotangent, like, TIES)
            break
        except Exception as error:  # from other people's code, where it is not defined
            untried = untried or str(error).partition("\n")[0] or type(error).__name__
    else:
        found = replace(found, untried=untried)
    for condition, points in ((ALL_ZERO, zeros), (ALL_EQUAL, ones)):
        with suppress(Exception), np.errstate(all="ignore"):  # likewise
            if found:
                found = _examined(found, sides.on_kinks(points), dtype, cotangent, like, condition)
    return found


def _has_gradient(comparison: Comparison) -> bool:
    pairs = [(t.ours, t.reference) for t in comparison.tensors if t.ours.shape == t.reference.shape]
    return all(np.all(np.isfinite(ours) | np.isfinite(theirs)) for ours, theirs in pairs)
