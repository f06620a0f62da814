"""A whole network that gives (loss, gradients), as a module without inputs whose output is the loss.

The data are held: they belong to the module. Parameters are written to where the network reads them before
each call: into the argument, or into the object whose method it is.
"""

import copy
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from scratch import nn
from scratch.grad_mode import is_grad_enabled, no_grad
from torch_ref.adapters.gradient_names import OWN_VALUE
from torch_ref.adapters.held_data import arrays_of, cast, drawing_alike
from torch_ref.adapters.left_behind import beside, clear_gradients, collections, steps
from torch_ref.adapters.loss_and_gradients import NAMED, Found, is_by_kind, matched, split
from torch_ref.adapters.network_calls import HOW, Call, as_call, described
from torch_ref.adapters.parameter_parts import ALONG, Part
from torch_ref.adapters.parameter_tree import leaves_of, pruned, value_of
from torch_ref.adapters.paths import ABSENT, Path, get, put
from torch_ref.adapters.trial import RATE
from torch_ref.adapters.update_ways import changed

# In the name of a method that may put gradients back to zero.
_ZEROING = "zero|reset|clear|flush|step|update|optim|train|fit"


class Network(nn.Module):
    """The loss as a module of the parameters, and the gradients that the network gives beside it."""

    def __init__(
        self, call: Call, tree: Any, places: Mapping[str, list[Path]], data: tuple[Any, ...]
    ) -> None:
        self.call, self.tree, self.places, self.held = call, tree, places, data
        self.leaves = {leaf.name: leaf for leaf in leaves_of(tree)}
        self.parts: dict[str, Part] = {}
        self.is_read_from_a_step = False
        self.returns_weights: bool | None = None  # instead of gradients; not known before the first call
        self.clears = True  # gradients that an earlier call left
        self.reading = ""  # how the gradients of the last call were found, where that is not obvious
        # Not as attributes, where arrays would be taken for parameters.
        self.start = {name: [value_of(get(call.root, places[name][0]))] for name in self.leaves}
        for name, (value,) in self.start.items():
            setattr(self, name, nn.Parameter(value.copy()))

    @classmethod
    def of(cls, f: Any, params: Any, data: tuple[Any, ...]) -> "Network":
        """The network that f computes, of these parameters and on these data; neither is changed.

        Raises:
            TypeError: f cannot be called with them, or params has no floating numbers.
        """
        network = cls(*as_call(f, params, data), copy.deepcopy(data))
        first = copy.deepcopy(network)
        first.forward()
        network.returns_weights = bool(first.returns_weights)
        return network

    @property
    def size(self) -> int:
        """The number of all entries of all parameters."""
        return sum(value.size for (value,) in self.start.values())

    def without(self, names: set[str]) -> "Network":
        """The same, these numbers held."""
        other = copy.copy(self)
        other.tree = pruned(self.tree, lambda leaf: leaf.name not in names)
        other.leaves = {name: leaf for name, leaf in self.leaves.items() if name not in names}
        for name in names:
            delattr(other, name)
        return copy.deepcopy(other)

    def restricted(self, parts: Mapping[str, Part]) -> "Network":
        """The same, as a function of some entries of these parameters, and of steps along directions."""
        other = copy.deepcopy(self)
        for name, part in parts.items():
            value = getattr(self, name).data.reshape(-1)
            other.parts[name] = Part(part.entries, part.directions.astype(value.dtype))
            other.start[name] = [value.reshape(self.leaves[name].shape).copy()]
            setattr(other, name, nn.Parameter(value[part.entries].copy()))
            setattr(other, name + ALONG, nn.Parameter(np.zeros(len(part.directions), value.dtype)))
        return other

    def forward(self) -> np.ndarray:
        """The loss, (). Random numbers of np.random and random are the same in every call.

        Raises:
            TypeError: f returns no loss.
        """
        dtype = next(self.parameters()).dtype
        data = cast(self.held, dtype.type(0).real.dtype)
        values = self.values()
        with self._written(values), drawing_alike():
            if self.clears and not self.call.is_shared:
                clear_gradients(self.call.root)
            returned = self.call(0, data)
            loss, candidates = split(returned)
            if loss is None:
                raise TypeError(
                    f"check_loss: f returns {described(returned)}, in which there is no loss; expected "
                    "(loss, gradients), the loss one number"
                )
            if is_grad_enabled():
                self.save(*self._found(values, candidates, data))
        return np.asanyarray(loss).reshape(())

    def backward(self, dy: Any) -> tuple[()]:
        """Add the gradients that the network gave to those of the parameters; there are no inputs."""
        found, after, _ = self.saved()
        for name, gradient in self.of_parts(found).items():
            p = getattr(self, name)
            if p.shape == gradient.shape:
                p.add_grad((gradient * dy).astype(p.dtype))
        for name, value in after.items():
            getattr(self, name).data = value  # a step may have been taken
        return ()

    def answer(self) -> tuple[Found, str]:
        """The gradients that the network gives, by name, of whatever shape; and what it returned, in words.

        A parameter of which it gives none is left out.
        """
        other = copy.deepcopy(self)
        other.forward()
        found, _, words = other.saved()
        return other.of_parts(found), words

    def _found(
        self, values: dict[str, np.ndarray], candidates: list[Any], data: tuple[Any, ...]
    ) -> tuple[Found, dict[str, np.ndarray], str]:
        """The gradients, wherever they are; the parameters as the call left them; and what was returned."""
        found, root = self._matched(candidates), self.call.root
        is_step, number = False, 0
        if len(self.call.functions) > 1 and (self.call.is_pair or not found):
            returned = self.call(1, data)
            given = [returned, *split(returned)[1]]
            by_second = self._matched(given)
            is_step, number = not by_second, int(bool(by_second))
            found, candidates = by_second or found, given
        if len(found) < len(self.leaves):
            left = matched(self.tree, collections(root)) or matched(self.tree, beside(self.tree, root), NAMED)
            found = left | found
        after = {name: self._after(name, value) for name, value in values.items()}
        if found and (taken := self._steps_returned(number, found, values, data)):
            found, is_step = taken, True
        if not found:
            found = matched(self.tree, candidates)  # of ½ w² the gradient is w itself
        if not found:
            needed = {name: value for name, value in values.items() if self.leaves[name].is_needed}
            found = steps(needed, after, self.call.learning_rate(data))
            is_step = self.is_read_from_a_step = bool(found)
        # The second function may be there to take a step, or the first takes it itself.
        after = {} if is_step else self._of_parts(after)
        return found, after, described(candidates[0] if candidates else None)

    def _after(self, name: str, before: np.ndarray) -> Any:
        """The parameter as the call left it: in one of its places there may be a new array."""
        kept = [get(self.call.root, place) for place in self.places[name]]
        return next((value for value in kept if not np.array_equal(value, before)), kept[0])

    def _steps_returned(
        self, number: int, found: Found, values: dict[str, np.ndarray], data: tuple[Any, ...]
    ) -> Found:
        """The gradients, if what was found are the weights after a step, and no gradients; else nothing."""
        if self.returns_weights is None:  # the first call, of which all others are copies
            self.returns_weights = self._are_weights(number, found, values, data)
        if not self.returns_weights:
            return {}
        returned, rate = self.call.at_rate(RATE, number, data), RATE
        if returned is ABSENT:
            rate = self.call.learning_rate(data)
        else:
            found = self._matched([returned, *split(returned)[1]])
        self.is_read_from_a_step = True
        self.reading = "What is returned are new weights: read as the steps to them, over the learning rate."
        return {name: (values[name] - w) / rate for name, w in found.items() if w.shape == values[name].shape}

    def _are_weights(
        self, number: int, found: Found, values: dict[str, np.ndarray], data: tuple[Any, ...]
    ) -> bool:
        """Whether what is returned are weights: those that are there, where the learning rate is 0.

        Where no argument is one, the function's name must say so, and they must be near those that are there.
        """
        returned = self.call.at_rate(0.0, number, data)
        if returned is not ABSENT:
            still = self._matched([returned, *split(returned)[1]])
            return still.keys() == found.keys() and not any(changed(still[n], values[n]) for n in found)
        return self.call.is_named_as_a_step(number) and self._stays_near(number, found, values, data)

    def _stays_near(
        self, number: int, found: Found, values: dict[str, np.ndarray], data: tuple[Any, ...]
    ) -> bool:
        """Whether what is returned is near the parameters, as they are or, if they are 0, some others."""
        if _are_near(found, values):
            return True
        rng = np.random.default_rng(0)
        others = {name: value + rng.uniform(1, 2, value.shape) for name, value in values.items()}
        with self._written(others):
            returned = self.call(number, data)
            return _are_near(self._matched([returned, *split(returned)[1]]), others)

    def _matched(self, candidates: list[Any]) -> Found:
        """The gradients among the candidates, not the parameters themselves, which a cache may hold."""
        if is_by_kind(self.tree, candidates):
            names = ", ".join(self.leaves)
            self.reading = f"The gradients are not in the order of the parameters, {names}: read by kind."
        kept = {name: get(self.call.root, self.places[name][0]) for name in self.leaves}
        found = matched(self.tree, candidates)
        return {
            name: gradient
            for name, gradient in found.items()
            if not isinstance(kept[name], np.ndarray) or not np.shares_memory(gradient, kept[name])
        }

    def steps_at_a_hidden_rate(self) -> bool:
        """Whether the gradients are read from a step, and no attribute or datum tells its learning rate."""
        other = copy.deepcopy(self)
        other.forward()
        return other.is_read_from_a_step and self.call.learning_rate(self.held) == 1

    def readings(self) -> list[str]:
        """How the gradients are found in what is returned or left, where that is not obvious."""
        other = copy.deepcopy(self)
        other.forward()
        return [other.reading] if other.reading else []

    def move(self, change: float) -> None:
        """Make each parameter by so much larger, relatively and at random."""
        rng = np.random.default_rng(0)
        for p in self.parameters():
            p.data = p.data + change * rng.uniform(0.5, 1, p.shape) * (np.abs(p.data) + 0.1)

    def loss_at(self, change: float) -> float:
        """The loss, each parameter by so much larger, relatively and at random."""
        other = copy.deepcopy(self)
        other.move(change)
        with no_grad():
            return float(other.forward().real)

    def accumulated(self) -> list[str]:
        """Which gradients a second call adds to those of the first, where no method puts them back, in words.

        Of objects with data and grad people expect it, as of torch's.
        """
        owner = self.call.root[0]
        if owner is None or any(re.search(_ZEROING, name, re.I) for name in dir(type(owner))):
            return []
        other = copy.deepcopy(self)
        other.clears = False
        calls = []
        for _ in range(2):
            other.forward()
            calls.append({name: np.array(gradient) for name, gradient in other.saved()[0].items()})
        first, second = calls
        twice = [
            name
            for name, g in first.items()
            if self.leaves[name].path[-1:] not in [(own,) for own in OWN_VALUE]
            and np.any(g)
            and np.allclose(second.get(name, g), 2 * g, rtol=1e-4, atol=0)
        ]
        return [
            f"a call adds its gradients of {', '.join(twice)} to those of the call before, and no method "
            "puts them back to zero: begin backward with zeros, or write zero_grad()"
        ] * bool(twice)

    def require_use(self) -> None:
        """Refuse a network that does not read the parameters from where they are written.

        Raises:
            TypeError: the loss is the same whatever the parameters.
        """
        here = self.loss_at(0)
        if np.isfinite(here) and all(self.loss_at(change) == here for change in (1e-3, 0.5)):
            raise TypeError(
                f"check_loss: the loss of f does not depend on params ({', '.join(self.leaves)}); expected "
                f"those that f reads; {HOW}"
            )

    def changed_data(self) -> list[str]:
        """Which data a call changes, in words."""
        other = copy.deepcopy(self)
        other.forward()
        pairs = enumerate(zip(arrays_of(self.held), arrays_of(other.held), strict=False))
        changed = [i for i, (a, b) in pairs if not np.array_equal(a, b, equal_nan=a.dtype.kind == "f")]
        return [f"a call changes data {i} in place" for i in changed]

    def values(self) -> dict[str, np.ndarray]:
        """The whole parameters, by name."""
        return {name: self._value(name) for name in self.leaves}

    def moved(self, rng: np.random.Generator, share: float) -> "Network":
        """The same at other parameters, each off by about so much of itself, at random."""
        other = copy.deepcopy(self)
        for p in other.parameters():
            step = share * rng.standard_normal(p.shape) * (np.abs(p.data) + 0.1)
            p.data = (p.data + step).astype(p.dtype)
        return other

    def on(self, data: tuple[Any, ...]) -> "Network":
        """The same on other data."""
        other = copy.deepcopy(self)
        other.held = data
        return other

    def of_parts(self, found: Found) -> Found:
        """The gradients by the names of the parameters that they are added to."""
        gradients = {}
        for name, gradient in found.items():
            part = self.parts.get(name)
            if part is None or gradient.shape != self.leaves[name].shape:
                gradients[name] = gradient
            else:
                gradients[name], gradients[name + ALONG] = part.of(gradient)
        return gradients

    def _value(self, name: str) -> np.ndarray:
        data, part = getattr(self, name).data, self.parts.get(name)
        if part is None:
            return np.array(data, subok=True)
        (whole,) = self.start[name]
        return part.put_into(whole, data, getattr(self, name + ALONG).data)

    def _of_parts(self, after: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """These parameters, or those of their entries that are tried; some may have become something else."""
        whole = {name: np.asarray(value) for name, value in after.items()}
        return {
            name: value.reshape(-1)[self.parts[name].entries] if name in self.parts else value
            for name, value in whole.items()
            if value.shape == self.leaves[name].shape and value.dtype.kind in "fc"
        }

    @contextmanager
    def _written(self, values: dict[str, np.ndarray]) -> Iterator[None]:
        """Within, the network has these parameters; what cannot be copied is put back afterwards."""
        root = self.call.root
        before = {place: get(root, place) for name in values for place in self.places[name]}
        for name, value in values.items():
            kept = self.leaves[name].as_kept(value.copy())
            for place in self.places[name]:
                put(root, place, kept)
        try:
            yield
        finally:
            if self.call.is_shared:
                for place, value in before.items():
                    put(root, place, value)

    def __repr__(self) -> str:
        function = self.call.functions[0]
        return getattr(function, "__name__", type(function).__name__)


def _are_near(found: Found, values: dict[str, np.ndarray]) -> bool:
    """Whether these are all of the parameters, changed by less than half."""
    if found.keys() != values.keys() or any(found[name].shape != w.shape for name, w in values.items()):
        return False
    apart = np.sqrt(sum(np.sum(np.square(found[name] - w)) for name, w in values.items()))
    return bool(apart < np.sqrt(sum(np.sum(np.square(w)) for w in values.values())) / 2)
