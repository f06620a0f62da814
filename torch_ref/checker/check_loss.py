"""check_loss(f, params, *data): are the gradients of my network right? And if not, which, and why.

For a whole network, a function that gives its loss and the gradients of its parameters, in whatever form
(adapters/networks.py). Data are held. The numeric derivative of the loss judges; PyTorch only if a reference
is given.

A parameter with many entries is judged by some of them, and by all of them together along random directions:
an error in any entry shows there, unless it is perpendicular to all of them by chance, and is then looked for
by halves (scratch/gradcheck/directions.py).
"""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from scratch.copying import deep_copy
from scratch.gradcheck import Objective
from scratch.gradcheck.derivative import require_slopes
from scratch.gradcheck.directions import Line, Search
from scratch.gradcheck.objective import NotFiniteError
from scratch.nested import leaves, unflatten_as
from torch_ref.adapters.jax_networks import out_of_jax
from torch_ref.adapters.networks import Network
from torch_ref.adapters.parameter_parts import ALONG, Part
from torch_ref.adapters.torch_networks import TorchNetwork
from torch_ref.checker.budget import SPENT, Budget
from torch_ref.checker.callers import errors_of
from torch_ref.checker.check import Check, require_known
from torch_ref.checker.compare import compare_objective
from torch_ref.checker.comparison import Comparison
from torch_ref.checker.diagnosis import UNKNOWN, Cause, diagnose, find_families
from torch_ref.checker.network_causes import network_causes
from torch_ref.checker.precision import computes_in_float32
from torch_ref.checker.side_effects import NO_EVIDENCE, side_effects_of
from torch_ref.checker.verdict import AGREE

# Above so many entries, or so many seconds for all of them, only these many of each parameter are tried:
# fewer where a call takes long, and one direction instead of three where they would fill the memory.
MOST_ENTRIES, MOST_SECONDS = 20_000, 4.0
ENTRIES, DIRECTIONS, LEAST = 16, 3, 2
_MANY = 10_000_000
# Seconds of a call in complex numbers, in units of one in real numbers.
_COMPLEX = 4
# Wrong entries to look for in a parameter.
_WRONG = 3

_DTYPES = ("float64", "float32")


@errors_of("check_loss")
def check_loss(
    f: Any,
    params: Any,
    *data: Any,
    reference: Any = None,
    dtypes: Any = ("float64", "float32"),
    like: str | None = None,
    budget: float = 10.0,
) -> Check:
    """Compare the gradients that a network gives beside its loss with the numeric derivative of the loss.

        def loss(params, X, y):
            ...
            return loss, {"dW1": dW1, "db1": db1}

        check_loss(loss, {"W1": W1, "b1": b1}, X, y)
        check_loss(net.loss, net.params, X, y)       # a method that reads net.params itself
        check_loss((loss, gradient), params, X, y)   # two functions of the same arguments

    Args:
        f: a function of (params, *data), or of (*params, *data), that returns (loss, gradients); a method of
            the object that keeps params, of (*data); or two such functions, for the loss and its gradients.
        params: the parameters: a dict, list or tuple of arrays, an array, Python numbers, objects that keep
            arrays, or these in each other.
        data: passed on as they are, floating arrays in the dtype under test.
        reference: a function of torch tensors, called as f is, that returns the loss; or None.
        dtypes: to compare in: "float64", "float32", or both.
        like: the formula that the loss is, of the parameters and data, such as "cross_entropy": its known
            mistakes are then looked for.
        budget: seconds. The more entries and the longer a call takes, the fewer entries are tried by
            themselves, beside random directions through all; and the second precision is left out if it is
            likely to take longer than is left. The notes say so.

    Gradients are found by their names (W1, dW1, grad_W1, …), in the order of the parameters, or by their
    shapes; what else is returned is left aside. params and data are not changed.

    Raises:
        TypeError: f, params or what f returns has none of these forms.
        ValueError: dtypes is empty, or has another one; the loss is nan or inf; like is no formula of ours;
            budget is not above 0.
    """
    if reference is not None and (not callable(reference) or isinstance(reference, torch.nn.Module)):
        raise TypeError(
            f"check_loss: reference is a {type(reference).__name__}, expected a function of torch tensors, "
            "called as f is, that returns the loss"
        )
    allowed = Budget("check_loss", budget)
    names = _dtypes(dtypes)
    require_known(like, "check_loss")
    network, notes = _without_numbers_held(Network.of(*out_of_jax(f, params, data)))
    names, more = _precisions(network, names)
    network.require_use()
    found = Check(notes=(*notes, *more, *network.readings()))
    for dtype in names:
        if found.comparisons and network.size > MOST_ENTRIES and not allowed.allows(allowed.last):
            found = replace(found, notes=(*found.notes, f"Not tried in {dtype}: {SPENT}."))
            continue
        with allowed.stage():
            found = _examined(found, network, dtype, reference, like, allowed.patience)
    return found


def _dtypes(dtypes: Any) -> list[str]:
    dtypes = dtypes if isinstance(dtypes, list | tuple) else (dtypes,)
    names = [np.dtype(dtype).name for dtype in dtypes]
    if not names or not {*names} <= {*_DTYPES}:
        raise ValueError(f"check_loss: dtypes is {names}, expected some of {[*_DTYPES]}")
    return names


def _without_numbers_held(network: Network) -> tuple[Network, list[str]]:
    """The network, numbers such as a learning rate held, and what to say of them.

    Raises:
        TypeError: no parameter has a gradient.
    """
    given, returned = network.answer()
    if not given:
        raise TypeError(
            f"check_loss: f returns {returned}, in which there is no gradient of any parameter; there are "
            f"{', '.join(network.leaves)}. Return (loss, gradients), the gradients named as the parameters, "
            "W1 or dW1, or in their order"
        )
    held = {name for name, leaf in network.leaves.items() if not leaf.is_needed and name not in given}
    if not held:
        return network, []
    return network.without(held), [f"Held, since there is no gradient of it: {', '.join(sorted(held))}."]


def _precisions(network: Network, names: list[str]) -> tuple[list[str], list[str]]:
    """The dtypes that the network can be judged in, and what to say of the others."""
    if all(leaf.kind is not None for leaf in network.leaves.values()) and "float64" in names:
        others = [name for name in names if name != "float64"]
        note = "Not tried in float32: the parameters are Python's numbers, which have float64's digits."
        return ["float64"], [note] if others else []
    if "float64" in names and _computes_in_float32(network):
        note = "Judged in float32 alone, since the network computes in float32 whatever it is given."
        return ["float32"], [note]
    return names, []


def _computes_in_float32(network: Network) -> bool:
    double = deep_copy(network)
    double.to(np.float64)
    return computes_in_float32(Objective(double, cotangent=np.ones(())), double.answer()[0].values())


def _examined(
    found: Check, network: Network, dtype: str, reference: Any, like: str | None, patience: float
) -> Check:
    """``found``, and one comparison more; side effects and causes are looked for until there are some."""
    whole = deep_copy(network)
    whole.to(dtype)
    parts = _parts(whole, patience * MOST_SECONDS)
    network, comparison = _compared(whole, parts, reference)
    more = _with_wrong_entries(whole, parts, comparison) if dtype == "float64" else parts
    if more is not parts:
        network, comparison = _compared(whole, more, reference)
    objective = Objective(network, cotangent=np.ones((), dtype))
    side_effects = found.side_effects
    if not side_effects and comparison and dtype == "float64":
        side_effects = tuple(_stale(whole))
    side_effects = side_effects or (
        *side_effects_of(objective),
        *network.changed_data(),
        *network.accumulated(),
    )
    causes = found.causes
    if not comparison and not causes and not NO_EVIDENCE & {*side_effects}:
        causes = tuple(
            _of_formula(objective, comparison, like) or network_causes(network, objective, comparison)
        )
    notes = tuple(dict.fromkeys((*found.notes, *_said_of(parts, whole.size))))
    comparisons = {**found.comparisons, dtype: comparison}
    return replace(found, comparisons=comparisons, side_effects=side_effects, causes=causes, notes=notes)


def _of_formula(objective: Objective, comparison: Comparison, like: str | None) -> list[Cause]:
    """The mistakes of this formula of ours, of parameters and data, that give exactly these gradients."""
    if like is None:
        return []
    modules = [family.of(objective) for family in find_families(objective, [objective.y], like)]
    found = diagnose(objective, comparison, *modules) if modules else []
    return [] if any(cause.name == UNKNOWN for cause in found) else found


def _stale(network: Network) -> list[str]:
    """A sentence if a call after one with others gives gradients that are not those of its loss.

    Other parameters, and the data the other way round, which leaves samples beside their targets; the data as
    they are if the network does not take them so.
    """
    for data in (_other_way_round(network.held), network.held):
        after = deep_copy(network)
        after.forward()
        after.move(0.3)
        after = after.on(data)
        with suppress(Exception):  # from other people's code, which need not take these numbers
            after.loss_at(0)
            said = _other_slopes(after)
            return [f"{_STALE}: {said}"] if said else []
    return []


_STALE = (
    "a call keeps state: after one with other parameters and data, its gradients are not those of its loss"
)


def _other_way_round(data: tuple[Any, ...]) -> tuple[Any, ...]:
    flipped = (np.flip(x, 0).copy() if isinstance(x, np.ndarray) and x.ndim else x for _, x in leaves(data))
    return unflatten_as(data, flipped)


def _other_slopes(after: Network) -> str:
    """The parameters whose gradient is another than the slope of the loss, in words."""
    try:
        objective = Objective(after, cotangent=np.ones(()))
        gradients = objective.backward().named()
    except NotFiniteError:  # the parameters were good ones, and these are not
        return ""
    if after.size > MOST_ENTRIES:
        search = _search(after)
        return "" if search.whole(search.names, 0)[0] else "all of them together"
    try:
        require_slopes(objective, gradients)
    except ValueError:  # which a forward that loses digits may be the reason of
        return ", ".join(t.name for t in compare_objective(objective, None, None).wrong)
    return ""


def _parts(network: Network, seconds: float) -> dict[str, Part]:
    """Some entries of each large parameter, and directions through all, if all would take too long."""
    start = time.perf_counter()
    network.loss_at(0)
    each = time.perf_counter() - start
    if network.size <= MOST_ENTRIES and network.size * each <= seconds:
        return {}
    rng = np.random.default_rng(0)
    directions = DIRECTIONS if network.size <= _MANY else 1
    affordable = int(seconds / (_COMPLEX * each * len(network.leaves))) - directions
    entries = min(ENTRIES, max(LEAST, affordable))
    return {
        name: Part(
            np.sort(rng.choice(p.numel(), entries, replace=False)),
            rng.standard_normal((directions, p.numel()), np.float32 if network.size > _MANY else np.float64),
        )
        for name, p in network.named_parameters()
        if p.numel() > 2 * ENTRIES
    }


def _said_of(parts: Mapping[str, Part], size: int) -> list[str]:
    if not parts:
        return []
    part = next(iter(parts.values()))
    directions = len(part.directions)
    return [
        f"Not all of the {size:,} entries were tried by themselves, but {len(part.entries)} each of "
        f"{', '.join(parts)}, and all together along {directions} random direction{'s' * (directions > 1)}, "
        "where an error shows that is no smaller than the detection limit beside the gradient of all."
    ]


def _compared(whole: Network, parts: Mapping[str, Part], reference: Any) -> tuple[Network, Comparison]:
    """The network as a function of these parts of its parameters, and its comparison."""
    network = whole.restricted(parts)
    twin = None if reference is None else TorchNetwork(network, reference)
    objective = Objective(network, cotangent=np.ones((), next(whole.parameters()).dtype))
    return network, _with_places(compare_objective(objective, twin, None), network)


def _with_wrong_entries(whole: Network, parts: dict[str, Part], comparison: Comparison) -> dict[str, Part]:
    """The parts, and the entries that are to blame where a parameter is wrong along directions alone."""
    by_name = {t.name: t for t in comparison.tensors}
    found = {}
    for name, part in parts.items():
        along = by_name[name + ALONG]
        if by_name[name].verdict == AGREE and along.verdict != AGREE:
            wrong = [each.at for each in _search(whole).entries(name, _WRONG)]
            found[name] = replace(part, entries=np.union1d(part.entries, wrong))
    return {**parts, **found} if found else parts


def _search(whole: Network) -> Search:
    """The whole network beside slopes."""
    objective = Objective(whole, cotangent=np.ones(()))
    return Search(Line(objective), objective.backward().named(), objective.dtype, lambda *_: 0.0)


def _with_places(comparison: Comparison, network: Network) -> Comparison:
    """The comparison, gradients of a wrong shape as they are, and the entries of a sample by their places."""
    gradients, _ = network.answer()
    tensors = []
    for t in comparison.tensors:
        ours = gradients.get(t.name, t.ours)
        part, leaf = network.parts.get(t.name), network.leaves.get(t.name)
        places: tuple[tuple[int, ...], ...] = ()
        if part is not None and leaf is not None:
            indices = np.unravel_index(part.entries, leaf.shape)
            places = tuple(tuple(map(int, index)) for index in zip(*indices, strict=True))
        name = t.name if t.name in network.leaves or t.name != "output" else "loss"
        ours = ours if ours.shape != t.ours.shape else t.ours
        tensors.append(replace(t, name=name, ours=ours, places=places))
    return replace(comparison, tensors=tuple(tensors))
