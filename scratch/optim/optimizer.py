"""The base class of all optimizers (PyTorch, torch/optim/optimizer.py).

Since the parameters of a model lie end to end, an update is one formula over one vector. An optimizer
is that formula, in ``update``; this class finds the vectors, keeps state of the same length beside
them, and speaks torch's state_dict.
"""

from collections.abc import Callable, Iterable
from copy import copy
from inspect import signature
from typing import Any, ClassVar

import numpy as np

from scratch.kinds import kind_error
from scratch.nn.parameter import Parameter, Run, Storage, runs


class State:
    """An optimizer's memory for one run of parameters: vectors by name, zero at first, and ``numbers``.

    ``step`` counts the updates, this one included.
    """

    def __init__(self, memory: dict[str, np.ndarray], run: Run, step: int, numbers: dict[str, float]) -> None:
        self.memory, self.run, self.step, self.numbers = memory, run, step, numbers
        self.data, self.grad = run.data, run.grad
        self._slices: dict[str, np.ndarray] = {}

    def vector(self, name: str, initial: float = 0.0) -> np.ndarray:
        """The vector ``name``, of the run's length; every element ``initial`` when first asked for."""
        if name not in self._slices:
            if name not in self.memory:
                self.memory[name] = np.full_like(self.run.storage.data, initial)
            self._slices[name] = self.memory[name][self.run.start : self.run.stop]
        return self._slices[name]


class Optimizer:
    """Base class of all optimizers; a subclass is its constructor and ``update``.

    Args:
        params: Parameters, or groups of them: dicts with "params" and the options that differ.
        defaults: the options of a group that sets none.

    Raises:
        TypeError: params is one Parameter, or holds something else than Parameters.
        ValueError: params is empty, or a parameter comes twice.
    """

    # The options that must not be below 0.
    not_negative: ClassVar[tuple[str, ...]] = ("lr", "momentum", "weight_decay", "eps")

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        name = type(self).__name__
        if isinstance(params, Parameter):
            raise TypeError(f"{name}: params is one Parameter, expected an iterable of them")
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self._memory: list[dict[Storage, dict[str, np.ndarray]]] = []
        self._steps: dict[Parameter, int] = {}
        self._numbers: dict[Parameter, dict[str, float]] = {}
        self._states: list[tuple[list[bool], list[State]]] = []
        if not isinstance(params, Iterable):
            raise TypeError(
                f"{name}: params is a {type(params).__name__}, expected an iterable of Parameters"
            )
        groups = list(params)
        if not groups:
            raise ValueError(f"{name}: params is empty; is it a generator that was already used up?")
        known: set[Parameter] = set()
        given = groups if isinstance(groups[0], dict) else [{"params": groups}]
        for group in [self._checked(group, known) for group in given]:
            self._take(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Take more parameters on, with options of their own."""
        self._take(self._checked(param_group, set(self._steps)))

    def _checked(self, param_group: dict[str, Any], known: set[Parameter]) -> dict[str, Any]:
        """The group in full, if all is well with it; its parameters are then known."""
        name = type(self).__name__
        if not isinstance(param_group, dict) or "params" not in param_group:
            found = (
                sorted(map(str, param_group)) if isinstance(param_group, dict) else type(param_group).__name__
            )
            raise TypeError(
                f"{name}: param_group is {found}, expected a dict with params, and options that differ"
            )
        given = param_group["params"]
        if not isinstance(given, Parameter | Iterable):
            raise TypeError(f"{name}: params is a {type(given).__name__}, expected an iterable of Parameters")
        params = [given] if isinstance(given, Parameter) else list(given)
        for p in params:
            if not isinstance(p, Parameter):
                raise TypeError(f"{name}: params holds {type(p).__name__}, expected Parameters")
            if p in known:
                raise ValueError(f"{name}: the parameter of shape {p.shape} comes twice")
            known.add(p)
        unknown = sorted(map(str, set(param_group) - set(self.defaults) - {"params"}))
        if unknown:
            raise ValueError(
                f"{name}: options {unknown} are not known, expected some of {sorted(self.defaults)}"
            )
        group = {**self.defaults, **param_group, "params": params}
        self._check(group)
        return group

    def _take(self, group: dict[str, Any]) -> None:
        for p in group["params"]:
            self._steps[p] = 0
            self._numbers[p] = self.numbers(group)
            p.held = True
        self.param_groups.append(group)
        self._memory.append({})
        self._states.append(([], []))

    def _check(self, group: dict[str, Any]) -> None:
        """Refuse options of another kind than the constructor's defaults, or out of range."""
        likes = {name: each.default for name, each in signature(type(self)).parameters.items()}
        for option, like in (self.defaults | likes).items():
            if option in group and (wrong := kind_error(option, group[option], like)):
                raise TypeError(f"{type(self).__name__}: {wrong}")
        for option in self.not_negative:
            if not group.get(option, 0) >= 0:
                raise ValueError(f"{type(self).__name__}: {option} is {group[option]}, expected 0 or more")
        if not all(0 <= beta < 1 for beta in group.get("betas", ())):
            raise ValueError(
                f"{type(self).__name__}: betas is {group['betas']}, expected two numbers in [0, 1)"
            )

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Set every gradient to None, or with ``set_to_none=False`` to 0."""
        for group in self.param_groups:
            for p in group["params"]:
                p.has_grad = False
                if not set_to_none:
                    p.grad = np.zeros_like(p.data)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; returns the loss of ``closure``, if it is given."""
        loss = None if closure is None else closure()
        for index, group in enumerate(self.param_groups):
            for state in self._states_of(index, group["params"]):
                state.step += 1
                g = self.descent(state.data, state.grad, group)
                self.update(state.data, g, state, group)
        return loss

    def descent(self, w: np.ndarray, g: np.ndarray, group: dict[str, Any]) -> np.ndarray:
        """The g that update gets: turned round to maximize, and with the weight decay.

        The decay λ adds λ w to g or, where it is decoupled, shrinks w itself by 1 - η λ.
        """
        decay = group.get("weight_decay")
        if group.get("maximize"):
            g = -g
        if decay and group.get("decoupled_weight_decay"):
            w *= 1 - group["lr"] * decay
        elif decay:
            g = g + decay * w
        return g

    def update(self, w: np.ndarray, g: np.ndarray, state: State, group: dict[str, Any]) -> None:
        """Change the parameters w, one vector, by g, which stays as it is: the formula of the optimizer."""
        raise NotImplementedError

    def _states_of(self, index: int, params: list[Parameter]) -> list[State]:
        """Runs of neighbouring parameters that have a gradient and have taken the same number of steps."""
        has_grad = [p.has_grad for p in params]
        known, states = self._states[index]
        if has_grad != known:
            self._write_back(states)
            states = []
            ready = [p for p, has in zip(params, has_grad, strict=True) if has]
            for run in _split_by_step(runs(ready), self._steps):
                memory = self._memory[index].setdefault(run.storage, {})
                first = run.parameters[0]
                states.append(State(memory, run, self._steps[first], dict(self._numbers[first])))
            self._states[index] = (has_grad, states)
        return states

    def _write_back(self, states: list[State]) -> None:
        for state in states:
            self._steps.update(dict.fromkeys(state.run.parameters, state.step))
            self._numbers.update({p: dict(state.numbers) for p in state.run.parameters})

    # ---- state

    def numbers(self, group: dict[str, Any]) -> dict[str, float]:
        """The numbers kept for each parameter as a whole, as they are before the first step."""
        return {}

    def initial(self, group: dict[str, Any]) -> dict[str, float]:
        """The vectors that are there before the first step, and what fills them."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """{"state": {index: {"step", vectors…}}, "param_groups": […]}, as torch writes it.

        Indices count the parameters through all groups. The vectors are views; copy them to keep them.
        """
        state: dict[int, dict[str, Any]] = {}
        groups: list[dict[str, Any]] = []
        for _, states in self._states:
            self._write_back(states)
        stop = 0
        for group, memories in zip(self.param_groups, self._memory, strict=True):
            indices = range(stop, stop + len(group["params"]))
            stop = indices.stop
            groups.append({**group, "params": list(indices)})
            for i, p in zip(indices, group["params"], strict=True):
                if self._steps[p]:
                    memory = memories.get(p.storage, {})
                    views = {name: v[p.offset :][: p.numel()].reshape(p.shape) for name, v in memory.items()}
                    numbers = {name: np.float32(value) for name, value in self._numbers[p].items()}
                    state[i] = {"step": np.float32(self._steps[p]), **numbers, **views}
                elif initial := self.initial(group):
                    filled = {name: np.full_like(p.data, value) for name, value in initial.items()}
                    state[i] = {"step": np.float32(0), **filled}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over options and state from ``state_dict``, ours or torch's; nothing unless all of it fits.

        Raises:
            ValueError: it has other groups, other options, another number of parameters, or a vector of
                another shape.
            TypeError: it is no dict of state and param_groups, or an option is of another kind.
        """
        name = type(self).__name__
        if not isinstance(state_dict, dict) or not {"state", "param_groups"} <= set(state_dict):
            found = sorted(state_dict) if isinstance(state_dict, dict) else f"a {type(state_dict).__name__}"
            raise TypeError(
                f"{name}.load_state_dict: state_dict is {found}, expected a dict of state and param_groups"
            )
        self._refuse_other_shape(state_dict)
        sizes = [len(group["params"]) for group in self.param_groups]
        given = [len(group["params"]) for group in state_dict["param_groups"]]
        if sizes != given:
            raise ValueError(f"{name}.load_state_dict: groups of {given} parameters, expected {sizes}")
        taken = [
            # JSON makes lists of tuples.
            {
                k: tuple(v) if isinstance(v, list) else v
                for k, v in source.items()
                if k in self.defaults or k == "initial_lr"
            }
            for source in state_dict["param_groups"]
        ]
        for group, options in zip(self.param_groups, taken, strict=True):
            # torch did not always have this one.
            if missing := sorted(set(self.defaults) - set(options) - {"decoupled_weight_decay"}):
                raise ValueError(f"{name}.load_state_dict: no option {missing}; is it another optimizer's?")
            self._check({**group, **options})
        params = [(at, p) for at, group in enumerate(self.param_groups) for p in group["params"]]
        loaded: list[tuple[int, Parameter, str, np.ndarray]] = []
        vectors_of = [self._kept_by(options) for options in taken]
        steps = {p: 0 for _, p in params}
        numbers = {p: self.numbers({**self.param_groups[at], **taken[at]}) for at, p in params}
        for index, entries in state_dict["state"].items():
            if not 0 <= index < len(params):
                raise ValueError(
                    f"{name}.load_state_dict: state of parameter {index}, expected 0 to {len(params) - 1}"
                )
            at, p = params[index]
            numbers[p].update({k: float(entries[k]) for k in numbers[p] if k in entries})
            entries = {k: v for k, v in entries.items() if k not in numbers[p]}
            vectors = {k: np.asarray(v) for k, v in entries.items() if k != "step" and v is not None}
            for key, value in vectors.items():
                if value.dtype.kind not in "fc":
                    raise ValueError(
                        f"{name}.load_state_dict: {key} of parameter {index} is {value.dtype}, "
                        f"expected {p.dtype}"
                    )
                if value.shape != p.shape:
                    raise ValueError(
                        f"{name}.load_state_dict: {key} of parameter {index} has shape {value.shape}, "
                        f"expected {p.shape}"
                    )
                loaded.append((at, p, key, value))
            steps[p] = int(entries.get("step", 1 if vectors else 0))
            if steps[p] < 0:
                raise ValueError(
                    f"{name}.load_state_dict: parameter {index} has step {steps[p]}, expected 0 or more"
                )
            if steps[p] and (missing := sorted(vectors_of[at] - set(vectors))):
                raise ValueError(f"{name}.load_state_dict: no {missing} of parameter {index}")
        for group, options in zip(self.param_groups, taken, strict=True):
            group.update(options)
        self._steps, self._numbers, self._memory = steps, numbers, [{} for _ in sizes]
        self._states = [([], []) for _ in sizes]
        for at, p, key, value in loaded:
            memory = self._memory[at].setdefault(p.storage, {})
            if key not in memory:
                fill = self.initial(self.param_groups[at]).get(key, 0)
                memory[key] = np.full_like(p.storage.data, fill)
            memory[key][p.offset : p.offset + p.numel()] = value.reshape(-1)

    def _refuse_other_shape(self, state_dict: dict[str, Any]) -> None:
        """Refuse a state_dict without dicts, lists and numbers where this class writes them."""
        where = f"{type(self).__name__}.load_state_dict"
        groups, state = state_dict["param_groups"], state_dict["state"]
        if not isinstance(groups, list | tuple) or not all(
            isinstance(group, dict) and isinstance(group.get("params"), list | tuple) for group in groups
        ):
            raise TypeError(
                f"{where}: param_groups is {groups!r}, expected a list of dicts, params in each a list"
            )
        if not isinstance(state, dict) or not all(
            isinstance(index, int) and isinstance(entries, dict) for index, entries in state.items()
        ):
            raise TypeError(
                f"{where}: state is {state!r}, expected a dict of a dict for each parameter's number"
            )
        for index, entries in state.items():
            numbers = self.numbers(self.param_groups[0])
            for key in entries.keys() & {"step", *numbers}:
                if not _is_one_number(entries[key]):
                    raise TypeError(
                        f"{where}: {key} of parameter {index} is {entries[key]!r}, expected a number"
                    )

    def _kept_by(self, options: dict[str, Any]) -> set[str]:
        """The vectors that a step with these options leaves."""
        alone = Parameter(np.ones(1))
        alone.grad = np.ones(1)
        other = copy(self)
        Optimizer.__init__(other, [alone], {**self.defaults, **options})
        other.step()
        return set(other._memory[0].get(alone.storage, ()))

    def __repr__(self) -> str:
        options = [
            ", ".join(f"{key}={value}" for key, value in group.items() if key != "params")
            for group in self.param_groups
        ]
        return f"{type(self).__name__}({'; '.join(options)})"


def _is_one_number(value: Any) -> bool:
    """Whether it is a finite number, in whatever form: an int or a float, an array or a tensor of one."""
    if isinstance(value, list | tuple):
        return False
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError):
        return False
    return array.dtype.kind in "iuf" and array.size == 1 and bool(np.isfinite(array).all())


def _split_by_step(joined: list[Run], steps: dict[Parameter, int]) -> Iterable[Run]:
    for run in joined:
        group: list[Parameter] = []
        for p in run.parameters:
            if group and steps[p] != steps[group[-1]]:
                yield from runs(group)
                group = []
            group.append(p)
        yield from runs(group)
