"""Optimizers as people write them, recognised: the way to call one, as an update of one vector (walkers.py).

Understood are, tried in this order:

* a maker (a class, or a function of a list of parameters): of a torch.optim.Optimizer, or of anything with
  ``step()`` on parameters with ``data`` and ``grad``; or, of arrays, a list or dict, with ``step(grads)``;
* an object with ``update``, ``step``, ``apply_gradients``, … of
    - two dicts, params and grads, under names such as W and b or W1, b1, W2, b2, gradients with or without a
      prefix; or two lists;
    - one array and its gradient, which it changes or returns anew; each array gets an optimizer of its own,
      or its name or number stands beside it;
    - weights, biases and their gradients as four arguments;
    - pairs (gradient, array), or a layer with weights, biases, dweights, dbiases, or with params() and
      grads();
    - gradients alone, where it keeps the parameters;
* a function of such arguments. A count of steps may stand before or behind them.
"""

import copy
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from scratch import nn
from scratch.nn.parameter import lay_out
from torch_ref.adapters.update_ways import (
    Arrays,
    Counted,
    Dicts,
    Flat,
    Kept,
    Keyed,
    Layers,
    LayersOfLists,
    Lists,
    OneByOne,
    Pairs,
    Way,
)
from torch_ref.adapters.walkers import Layout, Stepping, Updating, Walker

_TWO, _FOUR = ((3, 4), (5,)), ((2, 3), (3,), (3, 2), (2,))
PLAIN = Layout(("W", "b"), _TWO)
_LAYOUTS = (
    PLAIN,
    Layout(("W1", "b1", "W2", "b2"), _FOUR),
    Layout(("w1", "b1", "w2", "b2"), _FOUR),
    *(Layout(names, _TWO) for names in (("w", "b"), ("weight", "bias"), ("weights", "bias"))),
    Layout(("weights", "biases"), _TWO),
)
_GRADIENTS = ("{}", "d{}", "grad_{}", "{}_grad", "d_{}", "g{}", "dL_d{}", "nabla_{}")

_METHODS = (
    *("update", "step", "apply_gradients", "update_params", "update_parameters", "update_weights"),
    *("apply_grads", "apply_gradient", "optimize", "apply"),
)
_COUNTS = ("t", "step", "n", "iteration", "iter", "epoch", "it", "i", "global_step", "timestep")
_KEYS = (
    *("key", "name", "param_name", "layer", "layer_name", "layer_index", "layer_idx", "layer_id", "index"),
    *("idx", "id", "param_id", "param_key"),
)
_HOMES = ("params", "parameters", "weights", "variables", "ws")


Maker = Callable[[np.ndarray], Walker]


@dataclass(frozen=True)
class Recognised:
    """A way that works: ``make(start)`` gives a fresh optimizer at these weights, of this layout."""

    make: Maker
    layout: Layout


def recognise(mine: Any) -> Recognised:
    """The first way in which every entry of the weights moves; or in which there is at least no error.

    Raises:
        TypeError: there is none; it says what was tried.
        ValueError: in all that work, a weight gets another shape.
    """
    if isinstance(mine, torch.optim.Optimizer):
        raise TypeError(
            f"check_optimizer: mine is {type(mine).__name__} of other parameters, expected a function that "
            f"makes it of the list that it is given: lambda params: {type(mine).__name__}(params)"
        )
    possible: dict[bool, Recognised] = {}
    errors: list[Exception] = []
    for make, layout in _candidates(mine):
        try:
            with np.errstate(all="ignore"):
                walker = make(np.linspace(0.5, 1.5, layout.size))
                moved = _moved(walker)
        except Exception as error:  # from other people's code, called in a way that it is not made for
            errors.append(error)
            continue
        if np.all(moved):
            return Recognised(make, layout)
        if np.any(moved) or isinstance(walker, Stepping) or not inspect.isroutine(mine):
            possible.setdefault(bool(np.any(moved)), Recognised(make, layout))
    if possible:
        return possible[max(possible)]
    misshapen = [each for each in errors if str(each).startswith("check_optimizer: mine: update made")]
    if misshapen:
        raise misshapen[0]
    raise TypeError(_refusal(mine, errors))


def _moved(walker: Walker) -> np.ndarray:
    """Which weights move in two steps along gradients of ordinary size."""
    before = walker.weights()
    rng = np.random.default_rng(0)
    for _ in range(2):
        walker.step(walker.layout.split(rng.uniform(0.5, 1.5, before.size)))
    after = walker.weights()
    return (after != before) & np.isfinite(after)


def _refusal(mine: Any, errors: list[Exception]) -> str:
    kind = f"the class {mine.__name__}" if isinstance(mine, type) else type(mine).__name__
    first = f" (the first error was {type(errors[0]).__name__}: {errors[0]})" if errors else ""
    return (
        f"check_optimizer: mine is {kind}, expected an object with update(params, grads) or update(w, g); or "
        f"a class or function that makes one with step() from a list of parameters{first}. If it has another "
        "form, write: class Mine: update = lambda self, params, grads: …, which changes the dict params"
    )


def _candidates(mine: Any) -> Iterator[tuple[Maker, Layout]]:
    if callable(mine) and (isinstance(mine, type) or not _methods(mine)):
        yield from _made(mine)
    if not isinstance(mine, type):
        yield from _called(lambda: copy.deepcopy(mine), mine)


def _made(maker: Callable[..., Any]) -> Iterator[tuple[Maker, Layout]]:
    """Optimizers that a class or function makes: of parameters, of arrays, or of nothing."""
    count = len(_required(maker))
    if count > 1:
        return
    yield (lambda start: _stepping(maker, _parameters(PLAIN.split(start)))), PLAIN
    yield (lambda start: _stepping(maker, _tensors(PLAIN.split(start)))), PLAIN
    if count == 1:
        for layout in _LAYOUTS:
            yield from _keeping(lambda arrays: maker(arrays), layout)
    arrays = PLAIN.split(np.ones(PLAIN.size))
    for make in (maker, partial(maker, arrays)):
        try:
            sample = make()
        except Exception:  # from other people's constructor, which takes other arguments
            continue
        yield from _called(make, sample)


def _parameters(arrays: Arrays) -> list[nn.Parameter]:
    params = [nn.Parameter(array) for array in arrays]
    lay_out(params)
    return params


def _tensors(arrays: Arrays) -> list[torch.nn.Parameter]:
    return [torch.nn.Parameter(torch.from_numpy(array)) for array in arrays]


def _stepping(maker: Callable[..., Any], params: list[Any]) -> Walker:
    optimizer = maker(params)
    if not hasattr(optimizer, "step"):
        raise TypeError(f"check_optimizer: mine makes {type(optimizer).__name__} without step()")
    return Stepping(optimizer, params, PLAIN)


def _keeping(maker: Callable[..., Any], layout: Layout) -> Iterator[tuple[Maker, Layout]]:
    """Optimizers of a dict or list of arrays, that get the gradients alone."""
    for kind in (dict, list):

        def make(start: np.ndarray, kind: Any = kind) -> Walker:
            arrays = layout.split(start)
            home = dict(zip(layout.names, arrays, strict=True)) if kind is dict else arrays
            optimizer = maker(home)
            call = getattr(optimizer, _methods(optimizer)[0])
            return Updating([optimizer], layout, Kept([call], home), start)

        yield make, layout


def _called(make: Callable[[], Any], sample: Any) -> Iterator[tuple[Maker, Layout]]:
    """The ways to call an object, fresh ones of which ``make`` gives; or a function."""
    for method in (*_methods(sample), *([""] if callable(sample) else [])) or ("",):
        call = getattr(sample, method) if method else sample
        required = _required(call)
        key = next((i for i, name in enumerate(required) if name in _KEYS and len(required) == 3), None)
        if key is not None:
            yield _keyed(make, method, key, _is_gradient([*required[:key], *required[key + 1 :]][0])), PLAIN
        at = next((i for i, name in enumerate(required) if name in _COUNTS and len(required) > 1), None)
        names = [name for name in required if at is None or name != required[at]]
        for way, layout in _ways(names, sample):
            yield _maker(make, method, at, way, layout), layout


def _keyed(make: Callable[[], Any], method: str, at: int, swapped: bool) -> Maker:
    """One optimizer that is called for each array, with a name or number of the array beside it."""

    def maker(start: np.ndarray) -> Walker:
        optimizer = make()
        call = getattr(optimizer, method) if method else optimizer
        calls: list[Callable[..., Any]] = [Keyed(call, at, name) for name in PLAIN.names]
        return Updating([optimizer], PLAIN, OneByOne(calls, swapped, {}), start)

    return maker


def _maker(
    make: Callable[[], Any], method: str, at: int | None, way: Callable[..., Way], layout: Layout
) -> Maker:
    def maker(start: np.ndarray) -> Walker:
        objects = [make() for _ in layout.names]
        calls = [getattr(each, method) if method else each for each in objects]
        if at is not None:
            calls = [Counted(call, at) for call in calls]
        used = objects if way is _one_by_one or way is _swapped_one_by_one else objects[:1]
        return Updating(used, layout, way(calls, objects[0]), start)

    return maker


def _one_by_one(calls: list[Callable[..., Any]], _: Any) -> Way:
    return OneByOne(calls, False, {})


def _swapped_one_by_one(calls: list[Callable[..., Any]], _: Any) -> Way:
    return OneByOne(calls, True, {})


def _ways(names: list[str], sample: Any) -> Iterator[tuple[Callable[..., Way], Layout]]:
    """The ways to call something with these required arguments."""
    if len(names) == 2:
        swapped = _is_gradient(names[0]) and not _is_gradient(names[1])
        for layout in (*_own_layouts(sample), *_LAYOUTS):
            for form in _GRADIENTS:
                yield (lambda calls, _, la=layout, f=form: Dicts(calls, la.names, f, swapped)), layout
        yield (lambda calls, _: Lists(calls, swapped)), PLAIN
        yield (_swapped_one_by_one if swapped else _one_by_one), PLAIN
    elif len(names) == 1:
        if home := _home(sample):
            yield (lambda calls, each: Kept(calls, getattr(each, home))), _layout(getattr(sample, home))
        for group in Layers.GROUPS:
            yield (lambda calls, each, group=group: Layers(each, calls[0], group)), PLAIN
        yield (lambda calls, _: LayersOfLists(calls[0])), PLAIN
        yield (lambda calls, _: Pairs(calls)), PLAIN
    elif len(names) == 3:
        yield _one_by_one, PLAIN
    elif len(names) == 4:
        yield (lambda calls, _: Flat(calls)), PLAIN


def _is_gradient(name: str) -> bool:
    return "grad" in name.lower() or name.lower() in ("g", "gs", "dw", "dws", "dx", "dparams", "dparam")


def _home(sample: Any) -> str | None:
    """The attribute where an object keeps its arrays."""
    return next((name for name in _HOMES if _is_arrays(getattr(sample, name, None))), None)


def _is_arrays(value: Any) -> bool:
    if not isinstance(value, dict | list) or not value:
        return False
    return all(isinstance(x, np.ndarray) for x in (value.values() if isinstance(value, dict) else value))


def _layout(arrays: Any) -> Layout:
    pairs = list(arrays.items() if isinstance(arrays, dict) else enumerate(arrays))
    return Layout(tuple(name for name, _ in pairs), tuple(array.shape for _, array in pairs))


def _own_layouts(sample: Any) -> Iterator[Layout]:
    """The names and shapes of the state that an optimizer already keeps, if it was made for a network."""
    for value in getattr(sample, "__dict__", {}).values():
        if isinstance(value, dict) and _is_arrays(value):
            yield _layout(value)


def _methods(thing: Any) -> list[str]:
    """The methods by which it may be updated; none if it is to be called itself."""
    return [name for name in _METHODS if callable(getattr(thing, name, None))]


def _required(call: Callable[..., Any]) -> list[str]:
    """The names of the arguments that it must be given."""
    try:
        parameters = inspect.signature(call).parameters.values()
    except (TypeError, ValueError):
        return []
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in parameters if p.kind in positional and p.default is inspect.Parameter.empty]
