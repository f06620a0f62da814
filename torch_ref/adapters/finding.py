"""The parameters of a thing by all that a trial shows: gradients beside them, returned, a step, or none."""

import copy
from typing import Any

import numpy as np

from scratch.nested import is_floating, leaves
from scratch.stray_parameters import gradient_names
from torch_ref.adapters.calls import as_outputs
from torch_ref.adapters.gradient_names import OWN_GRADIENT
from torch_ref.adapters.learning_rates import ALWAYS
from torch_ref.adapters.paths import ABSENT, Path, as_code, get, put, walk
from torch_ref.adapters.returned import of_parameters
from torch_ref.adapters.returned_names import names_returned
from torch_ref.adapters.shapes import Shapes, without_ones
from torch_ref.adapters.slopes import reordered, with_array
from torch_ref.adapters.slots import Search, Slot, find_slots, is_frozen
from torch_ref.adapters.trial import Trial, unnoticed

Slots = dict[str, Slot]


def found_slots(thing: Any, trial: Trial, shapes: Shapes | None) -> tuple[list[Any], Slots, tuple[Path, ...]]:
    """(root, parameters by our names, paths of the learning rates that backward uses).

    ``root`` is [thing, None, parameters that are objects of their own …]. A thing that makes its parameters
    in its first forward is replaced by a copy after one.
    """
    root, slots = _kept(thing, trial)
    if trial.built is None:
        return root, slots, ()
    needed = None if shapes is None else len(shapes)
    slots = _in_use(slots, needed, trial)
    if _is_short(slots, needed):
        root, slots = _completed(root, slots, trial, shapes)
    if _is_short(slots, needed):
        lazy, others = _completed(*_kept(trial.built, trial), trial, shapes)
        if len(others) > len(slots):
            root, slots = lazy, others
            _forget_activations(root, thing, slots)
    slots = _in_use(slots, needed, trial)
    if needed is None:
        slots = {name: slot for name, slot in slots.items() if not is_frozen(get(root, slot.path[:-1]))}
    rates = _rates(root) if _moved(trial, slots) and not trial.passes.rate else ()
    return root, slots, rates


def _forget_activations(root: list[Any], thing: Any, slots: Slots) -> None:
    """Put back the lists that the first forward filled, unless there are parameters in them."""
    paths = [path for slot in slots.values() for path in (slot.path, *slot.grad_paths)]
    for path, before in walk([thing]):
        after = get(root, path)
        is_used = any(each[: len(path)] == path for each in paths)
        if isinstance(before, list) and isinstance(after, list) and not is_used:
            put(root, path, copy.deepcopy(before))


def _is_short(slots: Slots, needed: int | None) -> bool:
    return not slots if needed is None else len(slots) < needed


def _kept(thing: Any, trial: Trial) -> tuple[list[Any], Slots]:
    """The parameters that the thing keeps beside their gradients."""
    root: list[Any] = [thing, None]
    found = dict(find_slots(Search(root, trial.after)))
    is_returned = len(trial.after) > 1 and bool(of_parameters(trial.passes, trial.after[1]))
    is_elsewhere = is_returned or bool(trial.passes.rate or _rates(root))
    found = _without_views(found)
    return root, {
        name: slot
        for name, slot in found.items()
        if slot.path not in trial.fleeting and not (is_elsewhere and _is_left_out(slot, trial))
    }


def _without_views(slots: Slots) -> Slots:
    """The parameters without those that are views on another, a vector of them all."""
    flat = [slot.data for slot in slots.values() if isinstance(slot.data, np.ndarray) and slot.data.ndim == 1]
    return {
        name: slot for name, slot in slots.items() if not any(_is_view_on(slot.data, whole) for whole in flat)
    }


def _is_view_on(data: Any, whole: np.ndarray) -> bool:
    is_array = isinstance(data, np.ndarray) and data is not whole and data.size < whole.size
    return is_array and np.may_share_memory(data, whole)


def _is_left_out(slot: Slot, trial: Trial) -> bool:
    """Whether the code knows a name for the gradient, and backward left none of that name."""
    left = [get(trial.after, path) for path in slot.grad_paths]
    return bool(trial.after) and slot.path[0] == 0 and all(g is ABSENT or g is None for g in left)


def _completed(root: list[Any], slots: Slots, trial: Trial, shapes: Shapes | None) -> tuple[list[Any], Slots]:
    """And those whose gradients backward returns, or along which it moves them, or which it forgets."""
    needed = None if shapes is None else len(shapes)
    arrays = _candidates(root, slots, trial)
    slots = slots | _returned(root, arrays, trial)
    if not slots and len(arrays) == 1:
        slots = _alone(root, next(iter(arrays)), trial)
    if _is_short(slots, needed) and (trial.passes.rate or _rates(root)):
        slots = slots | _stepped(root, _candidates(root, slots, trial), trial)
    if shapes is not None and len(slots) < len(shapes):
        slots = slots | _without_gradient(root, slots, _candidates(root, slots, trial), shapes)
    return root, slots


def _candidates(root: list[Any], slots: Slots, trial: Trial) -> dict[Path, np.ndarray]:
    """The floating arrays that stay from call to call, and are no parameter or gradient yet, each once."""
    seen = {id(slot.data) for slot in slots.values()}
    gradients = {path for slot in slots.values() for path in slot.grad_paths}
    found: dict[Path, np.ndarray] = {}
    for path, value in walk(root[:1]):
        is_array = isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.size
        if is_array and id(value) not in seen and path in trial.persistent and path not in gradients:
            seen.add(id(value))
            found[path] = value
    return found


def _returned(root: list[Any], arrays: dict[Path, np.ndarray], trial: Trial) -> Slots:
    """Arrays whose gradients backward returns: by name in a dict or in its source, or in order, by shape."""
    if len(trial.after) < 2:
        return {}
    gradients = of_parameters(trial.passes, trial.after[1])
    names = names_returned(getattr(trial.built, trial.passes.backward, None))
    free, slots = dict(arrays), {}
    for path, g in gradients:
        name = names.get(path, path[-1] if path else None)
        named = {own: array for own, array in free.items() if _is_named(name, own)}
        own = next(iter(named), None) if len(named) < 2 else _of_this_shape(g, named)
        if own is not None:
            slots[own] = (1, *path)
            del free[own]
    unnamed = {}
    for path, g in gradients:
        if (1, *path) not in slots.values() and (own := _of_this_shape(g, free)) is not None:
            slots[own] = (1, *path)
            unnamed[own] = g
            del free[own]
    left = [path for path, _ in gradients if (1, *path) not in slots.values()]
    if len(left) == len(free):  # of other shapes than they should be
        slots |= {own: (1, *path) for own, path in zip(free, left, strict=True)}
    others = reordered(unnamed, trial) or {}
    found = {own: slots[others.get(own, own)] for own in slots}
    pairs = found.items()
    return {as_code(own[1:]): Slot(root, own, (path,), reordered=own in others) for own, path in pairs}


def _is_named(name: Any, own: Path) -> bool:
    """Whether a name is that of the gradient of the array at this path."""
    return isinstance(name, str) and (name == own[-1] or name in gradient_names(own[-1]))


def _of_this_shape(g: Any, free: dict[Path, np.ndarray]) -> Path | None:
    """The first array that a gradient fits."""
    shape = without_ones(np.shape(g))
    return next((own for own, array in free.items() if without_ones(array.shape) == shape), None)


def _alone(root: list[Any], path: Path, trial: Trial) -> Slots:
    """The only array, whatever its name, beside its gradient: table beside grad, if that is not dx."""
    value = get(root, path)
    is_of_input = any(is_floating(x) for _, x in leaves(tuple(trial.inputs)))
    for name in OWN_GRADIENT if trial.after else ():
        grad = get(trial.after, (0, name))
        if isinstance(grad, np.ndarray) and grad.shape == value.shape:
            is_dx = is_of_input and name in trial.passes.gradients
            return {} if is_dx else {as_code(path[1:]): Slot(root, path, ((0, name),))}
    return {}


def _stepped(root: list[Any], arrays: dict[Path, np.ndarray], trial: Trial) -> Slots:
    """Arrays that backward moved, and on which the output depends."""
    after = {path: get(trial.after, path) for path in arrays} if trial.after else {}
    moved = [path for path, value in after.items() if not _same(value, get([trial.built], path))]
    names = {name for path in moved for name in gradient_names(path[-1])}
    return {as_code(path[1:]): Slot(root, path, stepped=True) for path in moved if path[-1] not in names}


def _without_gradient(root: list[Any], slots: Slots, arrays: dict[Path, np.ndarray], shapes: Shapes) -> Slots:
    """Arrays that the reference has as parameters, and for which backward leaves no gradient: it is zero."""
    sizes = [tuple(sorted(without_ones(np.shape(slot.data)))) for slot in slots.values()]
    found: Slots = {}
    for shape in shapes.values():
        size = tuple(sorted(without_ones(shape)))
        if size in sizes:
            sizes.remove(size)
            continue
        fitting = [p for p, a in arrays.items() if tuple(sorted(without_ones(a.shape))) == size]
        fitting = [path for path in fitting if as_code(path[1:]) not in found]
        if len(fitting) == 1:
            found[as_code(fitting[0][1:])] = Slot(root, fitting[0])
    return found


def _in_use(slots: Slots, needed: int | None, trial: Trial) -> Slots:
    """The parameters; where there are too many, those on which the output depends."""
    if needed is None or len(slots) <= needed:
        return slots
    return {name: slot for name, slot in slots.items() if _is_in_use(slot, trial)}


def _is_in_use(slot: Slot, trial: Trial) -> bool:
    """Whether another value of the array gives another output."""
    array = get([trial.built], slot.path)
    if not isinstance(array, np.ndarray):
        return True
    with unnoticed():
        (first, _), (other, _) = (
            trial.passes.run_forward(
                with_array(trial.built, slot.path, each), copy.deepcopy(trial.inputs), True
            )
            for each in (array, array + np.random.default_rng(0).standard_normal(array.shape))
        )
    pairs = zip(leaves(as_outputs(first)), leaves(as_outputs(other)), strict=False)
    return not all(_same(a, b) for (_, a), (_, b) in pairs)


def _moved(trial: Trial, slots: Slots) -> bool:
    """Whether backward changed one of the parameters."""
    paths = [slot.path for slot in slots.values() if slot.path[0] == 0]
    pairs = [(get([trial.built], path), get(trial.after, path)) for path in paths] if trial.after else []
    return any(before is not ABSENT and not _same(before, after) for before, after in pairs)


def _same(a: Any, b: Any) -> bool:
    return np.shape(a) == np.shape(b) and bool(np.array_equal(np.asarray(a), np.asarray(b), equal_nan=True))


def _rates(root: list[Any]) -> tuple[Path, ...]:
    """The learning rates that the thing, and what it keeps, have as attributes."""
    numbers = (path for path, value in walk(root) if type(value) in (float, int))
    return tuple(path for path in numbers if str(path[-1]).lower() in ALWAYS)
