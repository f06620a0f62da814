"""Ways to call an update: given weights and gradients, each returns the weights after it."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

Arrays = list[np.ndarray]
Way = Callable[[Arrays, Arrays], Arrays]


def changed(now: Any, before: np.ndarray) -> bool:
    """Whether two arrays differ."""
    return not np.array_equal(now, before, equal_nan=True)


@dataclass
class Dicts:
    """update(params, grads), two dicts."""

    calls: list[Callable[..., Any]]
    names: tuple[Any, ...]
    form: str
    swapped: bool

    def __call__(self, weights: Arrays, gradients: Arrays) -> Arrays:
        """The values of params afterwards or, if it is left as it was, of the dict that is returned."""
        names = self.names
        params = dict(zip(names, weights, strict=True))
        grads = {self.form.format(name): g for name, g in zip(names, gradients, strict=True)}
        before = copy.deepcopy(params)
        returned = self.calls[0](*((grads, params) if self.swapped else (params, grads)))
        if isinstance(returned, tuple) and returned:
            returned = returned[0]
        if isinstance(returned, dict) and returned.keys() >= params.keys() and _same(params, before):
            params = returned
        return [params[name] for name in names]


def _same(params: dict[Any, Any], before: dict[Any, Any]) -> bool:
    return all(not changed(params[name], array) for name, array in before.items())


@dataclass
class Lists:
    """update(params, grads), two lists."""

    calls: list[Callable[..., Any]]
    swapped: bool

    def __call__(self, weights: Arrays, gradients: Arrays) -> Arrays:
        """The entries of params afterwards or, if it is left as it was, of the list that is returned."""
        params, before = list(weights), copy.deepcopy(weights)
        returned = self.calls[0](*((gradients, params) if self.swapped else (params, gradients)))
        unchanged = not any(changed(now, w) for now, w in zip(params, before, strict=True))
        if isinstance(returned, list | tuple) and len(returned) == len(params) and unchanged:
            return list(returned)
        return params


@dataclass
class Pairs:
    """apply_gradients([(gradient, array), …]), as Keras has it."""

    calls: list[Callable[..., Any]]

    def __call__(self, weights: Arrays, gradients: Arrays) -> Arrays:
        """The arrays, changed in place."""
        self.calls[0](list(zip(gradients, weights, strict=True)))
        return weights


@dataclass
class OneByOne:
    """update(w, g) for each array, on an optimizer of its own; update(w, g, config) returns both."""

    calls: list[Callable[..., Any]]
    swapped: bool
    configs: dict[int, Any]

    def __call__(self, weights: Arrays, gradients: Arrays) -> Arrays:
        """The arrays that are returned, or were changed."""
        return [self._one(i, w, g) for i, (w, g) in enumerate(zip(weights, gradients, strict=True))]

    def _one(self, i: int, w: np.ndarray, g: np.ndarray) -> np.ndarray:
        more = [self.configs[i]] if i in self.configs else []
        returned = self.calls[i](*((g, w) if self.swapped else (w, g)), *more)
        if isinstance(returned, tuple) and len(returned) == 2:
            returned, self.configs[i] = returned
        return returned if isinstance(returned, np.ndarray) else w


@dataclass
class Flat:
    """update(w, b, dw, db)."""

    calls: list[Callable[..., Any]]

    def __call__(self, weights: Arrays, gradients: Arrays) -> Arrays:
        """The two that are returned, or were changed."""
        returned = self.calls[0](*weights, *gradients)
        return list(returned) if isinstance(returned, list | tuple) and len(returned) == 2 else weights


class Layers:
    """update_params(layer), of a layer with weights, biases, dweights and dbiases, between two hooks."""

    GROUPS = (
        ("weights", "biases", "dweights", "dbiases"),
        ("weights", "biases", "dw", "db"),
        ("weights", "bias", "dweights", "dbias"),
        *(("W", "b", "dW", "db"), ("w", "b", "dw", "db")),
    )

    def __init__(self, optimizer: Any, call: Callable[..., Any], names: tuple[str, str, str, str]) -> None:
        self.optimizer, self.call, self.names, self.layer = optimizer, call, names, SimpleNamespace()

    def __call__(self, weights: Arrays, gradients: Arrays) -> Arrays:
        """The layer's weights and biases afterwards."""
        vars(self.layer).update(zip(self.names, (*weights, *gradients), strict=True))
        self._hook("pre_update")
        self.call(self.layer)
        self._hook("post_update")
        return [getattr(self.layer, name) for name in self.names[:2]]

    def _hook(self, name: str) -> None:
        """Call the optimizer's method of this name, if it has one."""
        for each in (f"{name}_params", name):
            if callable(hook := getattr(self.optimizer, each, None)):
                hook()
                return


@dataclass
class LayersOfLists:
    """step(layer), of a layer whose methods params() and grads() give lists, the same ones each time."""

    call: Callable[..., Any]

    def __call__(self, weights: Arrays, gradients: Arrays) -> Arrays:
        """What is in the list of the parameters afterwards."""
        self.call(SimpleNamespace(params=lambda: weights, grads=lambda: gradients))
        return weights


@dataclass
class Kept:
    """step(grads), of an optimizer that keeps the arrays, in a list or dict at ``home``."""

    calls: list[Callable[..., Any]]
    home: Any

    def __call__(self, weights: Arrays, gradients: Arrays) -> Arrays:
        """The arrays that it keeps, or those that it returns where these are others."""
        before = copy.deepcopy(weights)
        keys = self.home if isinstance(self.home, dict) else range(len(self.home))
        for key, w in zip(keys, weights, strict=True):
            self.home[key] = w
        grads = dict(zip(keys, gradients, strict=True)) if isinstance(self.home, dict) else gradients
        returned = self.calls[0](grads)
        if isinstance(returned, list | tuple) and len(returned) == len(weights):
            now = [self.home[key] for key in keys]
            if not any(changed(a, b) for a, b in zip(now, before, strict=True)):
                return list(returned)
        return [self.home[key] for key in keys]


@dataclass
class Counted:
    """A call whose argument number ``at`` is the count of calls, from 1 on."""

    call: Callable[..., Any]
    at: int
    count: int = 0

    def __call__(self, *args: Any) -> Any:
        """The call."""
        self.count += 1
        return self.call(*args[: self.at], self.count, *args[self.at :])


@dataclass
class Keyed:
    """A call whose argument number ``at`` is the name of the array, or its number."""

    call: Callable[..., Any]
    at: int
    key: Any

    def __call__(self, *args: Any) -> Any:
        """The call."""
        return self.call(*args[: self.at], self.key, *args[self.at :])
