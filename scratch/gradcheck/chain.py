"""A model as a chain of modules, in any dtype: L from any of their inputs on, one or a batch at a time."""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np

from scratch import nn, random
from scratch.grad_mode import no_grad
from scratch.gradcheck.objective import Objective, named
from scratch.nested import cast, is_floating, leaves

# Two ways to the same number agree to about twelve digits; two different numbers, in no more than a few.
_SAME = 1e-9


class Chain:
    """An objective in another dtype, its model taken apart into the modules that the data pass in turn."""

    def __init__(self, objective: Objective, dtype: Any) -> None:
        dtype = np.dtype(dtype)
        real = dtype.type(0).real.dtype
        self.objective, self.dtype = objective, dtype
        self.model = copy.deepcopy(objective.model).to(dtype)
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
            self.loss_fn, losses_fn = (copy.deepcopy(objective.loss_fn) for _ in range(2))
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

    def sample_losses(self, rows: np.ndarray, samples: np.ndarray) -> np.ndarray:
        """The summand of L that each row adds, (K,), in the place of the sample of that number."""
        y = rows
        for i in range(len(self.modules)):
            y = self.forward(i, y)
        if self.objective.loss_fn is None:
            return np.add.reduce((self.cotangent[samples] * y).reshape(len(rows), -1), axis=1)
        summands = self.objective.forward(self.losses_fn, y, self.target[samples]).reshape(len(rows), -1)
        return np.add.reduce(summands, axis=1) * self.share

    def sums_over_samples(self, x: np.ndarray) -> bool:
        """Whether ``sample_losses`` may be used: whether they add up to ``loss``."""
        if self.random_states or not isinstance(self.objective.y, np.ndarray):
            return False
        batch = self._with_neighbours(x)
        try:
            alone = np.array([self.loss(0, each) for each in batch])
            mixed = self.sample_losses(
                batch.reshape(-1, *x.shape[1:]), np.tile(np.arange(len(x)), len(batch))
            )
        except (ValueError, TypeError, IndexError):  # the output has other samples
            return False
        rows = mixed.reshape(len(batch), -1)
        largest = np.max(np.add.reduce(np.abs(rows), axis=1))
        return bool(np.all(np.abs(np.add.reduce(rows, axis=1) - alone) <= _SAME * largest))

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
        noise = (np.std(x.real) + 1) * np.random.default_rng(0).standard_normal((2, *x.shape))
        return (x + np.concatenate([np.zeros_like(noise[:1]), noise])).astype(self.dtype)


def _links(model: nn.Module) -> Iterator[nn.Module]:
    if type(model) is nn.Sequential:
        for child in model:
            yield from _links(child)
    else:
        yield model
