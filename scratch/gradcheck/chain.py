"""A model as a chain of modules, in any dtype: L from any of their inputs on, one or a batch at a time."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from scratch import nn, random
from scratch.copying import deep_copy
from scratch.grad_mode import no_grad
from scratch.gradcheck.objective import Objective, named
from scratch.nested import cast, is_floating, leaves, unflatten_as

# Two ways to the same number agree to about twelve digits; two different numbers, in no more than a few.
_SAME = 1e-9

_NEIGHBOURS = 3


class SampleAxes(NamedTuple):
    """Where samples lie: the axis of all inputs, and that of each output."""

    inputs: int
    outputs: tuple[int, ...]


class Chain:
    """An objective in another dtype, its model taken apart into the modules that the data pass in turn."""

    def __init__(self, objective: Objective, dtype: Any) -> None:
        dtype = np.dtype(dtype)
        real = dtype.type(0).real.dtype
        self.objective, self.dtype = objective, dtype
        self.model = deep_copy(objective.model).to(dtype)
        self.modules = list(_links(self.model))
        for module in self.model.modules():
            if (
                getattr(module, "eps", 0) is None
            ):  # the dtype's: of another dtype it would be another function
                setattr(module, "eps", float(np.finfo(objective.dtype).eps))  # noqa: B010
        self.inputs = cast(objective.inputs, dtype)
        self.random_states = self._random_states() if objective.is_random else None
        if objective.loss_fn is None:
            self.cotangent = cast(objective.cotangent, real)
        else:
            self.target = cast(objective.target, real)
            self.loss_fn, losses_fn = (deep_copy(objective.loss_fn) for _ in range(2))
            losses_fn.reduction = "none"
            self.loss_fn.to(real)
            self.losses_fn = losses_fn.to(real)
            # The mean's divisor depends on the target alone; any output that is a probability shows it.
            y = np.random.default_rng(0).uniform(0.25, 0.75, objective.y.shape).astype(real)
            summands = objective.forward(self.losses_fn, y, self.target)
            self.share = objective.forward(self.loss_fn, y, self.target) / np.add.reduce(summands.reshape(-1))

    def _random_states(self) -> list[np.ndarray]:
        """The generator's state before each module, and at the end."""
        states, x = [self.objective.random_state], self.inputs
        with self.objective.drawing(states[0]), no_grad():
            for module in self.modules:
                x = (module(*x),)
                states.append(random.get_rng_state())
        return states

    def tensors(self) -> dict[str, np.ndarray]:
        """The arrays that L is differentiated by, under the names of their gradients, to change in place."""
        inputs = named("input", [x for _, x in leaves(self.inputs)])
        floating = {name: x for name, x in inputs.items() if is_floating(x)}
        return floating | {name: p.data for name, p in self.model.named_parameters()}

    def forward(self, k: int, *inputs: np.ndarray) -> Any:
        """The output of module k alone."""
        drawing = None if self.random_states is None else self.random_states[k]
        return self.objective.forward(self.modules[k], *inputs, drawing=drawing)

    def loss(self, k: int, *inputs: np.ndarray) -> Any:
        """L, from the inputs of module k on."""
        for i in range(k, len(self.modules)):
            inputs = (self.forward(i, *inputs),)
        (y,) = inputs
        if self.objective.loss_fn is not None:
            return self.objective.forward(self.loss_fn, y, self.target)
        if not isinstance(y, tuple):
            return np.dot(self.cotangent.reshape(-1), y.reshape(-1)) if is_floating(y) else 0
        pairs = zip(leaves(self.cotangent), leaves(y), strict=True)
        return sum(np.dot(c.reshape(-1), a.reshape(-1)) for (_, c), (_, a) in pairs if is_floating(a))

    def losses(self, k: int, batch: np.ndarray) -> np.ndarray:
        """L for each of K inputs of module k, (K, N, …), by one forward of a batch of K·N; (K,)."""
        K, N = batch.shape[:2]
        y = batch.reshape(K * N, *batch.shape[2:])
        for i in range(k, len(self.modules)):
            y = self.forward(i, y)
        if self.objective.loss_fn is None:
            return np.dot(y.reshape(K, -1), self.cotangent.reshape(-1))
        target = np.concatenate([self.target] * K)
        summands = self.objective.forward(self.losses_fn, y, target).reshape(K, -1)
        return np.add.reduce(summands, axis=1) * self.share

    def sample_losses(self, rows: list[np.ndarray], samples: np.ndarray, axes: "SampleAxes") -> np.ndarray:
        """The summand of L that each row adds, (K,), in the place of the sample of that number.

        ``rows`` are inputs of K samples, in the order of their leaves.
        """
        inputs = unflatten_as(self.inputs, iter(rows))
        for i in range(len(self.modules)):
            inputs = (self.forward(i, *inputs),)
        (y,) = inputs
        if self.objective.loss_fn is not None:
            summands = self.objective.forward(self.losses_fn, y, self.target[samples])
            return np.add.reduce(summands.reshape(len(samples), -1), axis=1) * self.share
        total = np.zeros(len(samples), self.dtype)
        for (_, c), (_, a), axis in zip(leaves(self.cotangent), leaves(y), axes.outputs, strict=True):
            if is_floating(a):
                products = np.moveaxis(c, axis, 0)[samples] * np.moveaxis(a, axis, 0)
                total += np.add.reduce(products.reshape(len(samples), -1), axis=1)
        return total

    def sample_axes(self) -> "SampleAxes | None":
        """The axes along which the samples lie, if L is the sum of what each adds; None if it is not.

        All inputs have it in the same place, the first or the second; outputs may have another one.
        """
        arrays = [x for _, x in leaves(self.inputs)]
        if self.random_states or any(x is None for x in arrays):
            return None
        for axis in (0, 1) if self.objective.loss_fn is None else (0,):
            lengths = {x.shape[axis] if x.ndim > axis else 0 for x in arrays}
            if len(lengths) == 1 and lengths != {0}:
                try:
                    axes = self._output_axes(arrays, axis)
                    if axes is not None and self._sums_along(arrays, axes):
                        return axes
                except Exception:  # from other people's code, which need not take other numbers of samples
                    continue
        return None

    def _output_axes(self, arrays: list[np.ndarray], axis: int) -> "SampleAxes | None":
        """The axes that are twice as long where there are twice as many samples; None if there is not one."""
        y: Any = unflatten_as(self.inputs, iter([np.concatenate([x, x], axis) for x in arrays]))
        for i in range(len(self.modules)):
            y = (self.forward(i, *y),)
        outputs, N = [], arrays[0].shape[axis]
        for (_, once), (_, twice) in zip(leaves(self.objective.y), leaves(y[0]), strict=True):
            if not is_floating(once):
                outputs.append(0)
                continue
            longer = [i for i, (n, m) in enumerate(zip(once.shape, twice.shape, strict=True)) if n != m]
            if len(longer) != 1 or once.shape[longer[0]] != N or twice.shape[longer[0]] != 2 * N:
                return None
            outputs += longer
        return SampleAxes(axis, tuple(outputs))

    def _sums_along(self, arrays: list[np.ndarray], axes: "SampleAxes") -> bool:
        """Whether ``sample_losses`` of other numbers, all in one batch, add up to ``loss``."""
        several = [
            self._with_neighbours(x) if is_floating(x) else np.stack([x] * _NEIGHBOURS) for x in arrays
        ]
        each = [[x[i] for x in several] for i in range(_NEIGHBOURS)]
        alone = np.array([self.loss(0, *unflatten_as(self.inputs, iter(one))) for one in each])
        rows = [np.concatenate(list(x), axes.inputs) for x in several]
        samples = np.tile(np.arange(arrays[0].shape[axes.inputs]), len(alone))
        mixed = self.sample_losses(rows, samples, axes).reshape(len(alone), -1)
        largest = np.max(np.add.reduce(np.abs(mixed), axis=1))
        return bool(np.all(np.abs(np.add.reduce(mixed, axis=1) - alone) <= _SAME * largest))

    def treats_samples_apart(self, k: int, z: np.ndarray) -> bool:
        """Whether ``losses`` may be used: whether it gives what ``loss`` gives, one at a time."""
        if self.random_states and not np.array_equal(self.random_states[k], self.random_states[-1]):
            return False  # a larger batch would draw other numbers
        if not isinstance(self.objective.y, np.ndarray):
            return False
        batch = self._with_neighbours(z)
        try:
            alone = np.array([self.loss(k, each) for each in batch])
            together = self.losses(k, batch)
        except (ValueError, TypeError, IndexError):  # no batch of this shape, or of these numbers
            return False
        return bool(np.all(np.abs(together - alone) <= _SAME * np.max(np.abs(alone))))

    def _with_neighbours(self, x: np.ndarray) -> np.ndarray:
        """A batch of x and two others of its size, (3, *x.shape)."""
        others = (_NEIGHBOURS - 1, *x.shape)
        noise = (np.std(x.real) + 1) * np.random.default_rng(0).standard_normal(others)
        return (x + np.concatenate([np.zeros_like(noise[:1]), noise])).astype(self.dtype)


def _links(model: nn.Module) -> Iterator[nn.Module]:
    if type(model) is nn.Sequential:
        for child in model:
            yield from _links(child)
    else:
        yield model
