"""The number that is differentiated, L: a loss of a model's output, or a weighted sum of its outputs."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from scratch import nn, random
from scratch.copying import deep_copy
from scratch.grad_mode import no_grad
from scratch.nested import cast, is_floating, leaves, unflatten_as
from scratch.stray_parameters import refuse_stray_parameters


class NotFiniteError(ValueError):
    """The output holds nan or inf, where there is no derivative."""


class Gradients(NamedTuple):
    """dL/dx for each input array (None for one of integers), and dL/dW by the parameters' names."""

    inputs: tuple[np.ndarray | None, ...]
    parameters: dict[str, np.ndarray]

    def named(self) -> dict[str, np.ndarray]:
        """All of them by name: "input" (or "input 0", "input 1", …), then the parameters."""
        return {name: g for name, g in named("input", self.inputs).items() if g is not None} | self.parameters


def named(kind: str, arrays: Sequence[Any]) -> dict[str, Any]:
    """Arrays by the name of their kind, numbered if there are several."""
    return {f"{kind} {i}" if len(arrays) > 1 else kind: array for i, array in enumerate(arrays)}


class Objective:
    """The number L that is differentiated: a loss of the model's output, or a weighted sum of all outputs.

    Random layers (dropout) draw the same numbers in every forward: those that follow the global generator's
    state at construction, which is restored after each.

    Args:
        model: any Module. It is copied where it would change, and stays as it is.
        inputs: its inputs.
        loss_fn: a loss with reduction "mean" or "sum"; goes with target.
        target: what loss_fn compares the output with.
        cotangent: without a loss, L = Σ cotangent · y, nested as y is if that is several arrays. By default
            drawn from N(0, 1) with a generator of its own; never ones, under which the gradients of softmax
            and of normalisations vanish.

    Raises:
        TypeError: the model has an array with a gradient beside it that is not a Parameter.
        ValueError: target without loss_fn or the reverse; both a loss and a cotangent; reduction "none"; a
            cotangent that has not the shape of y; nan or inf in the output, where there is no derivative;
            nothing is floating.
    """

    def __init__(
        self,
        model: nn.Module,
        *inputs: np.ndarray,
        loss_fn: nn.Loss | None = None,
        target: np.ndarray | None = None,
        cotangent: np.ndarray | None = None,
    ) -> None:
        _require_one_number(loss_fn, target, cotangent)
        refuse_stray_parameters(model, "gradcheck")
        self.model, self.inputs, self.loss_fn, self.target = model, inputs, loss_fn, target
        self.random_state = random.get_rng_state()
        self.y, self.is_random = self._first_forward()
        if not _is_finite(self.y):
            raise NotFiniteError("gradcheck: the output holds nan or inf, where there is no derivative")
        self.dtype = self._floating_dtype()
        self.cotangent = self._drawn_cotangent() if loss_fn is None and cotangent is None else cotangent
        if loss_fn is None and (shapes := _shapes(self.cotangent)) != _shapes(self.y):
            raise ValueError(f"gradcheck: cotangent has shape {shapes}, the output {_shapes(self.y)}")
        if not _is_finite(self.cotangent):
            raise ValueError("gradcheck: the cotangent holds nan or inf")
        # The rounding of L is relative to the size of its summands, or to 1 where an output is smaller.
        self.size = float(sum(np.sum(np.abs(each)) for each in self._summands()))

    def _first_forward(self) -> tuple[Any, bool]:
        """The output, and whether it took random numbers."""
        with no_grad():
            y = deep_copy(self.model)(*deep_copy(self.inputs))
        is_random = not np.array_equal(random.get_rng_state(), self.random_state)
        random.set_rng_state(self.random_state)
        return y, is_random

    def _floating_dtype(self) -> np.dtype:
        """The dtype of the floating inputs and of the parameters, the finest of them."""
        arrays = [*(x for _, x in leaves(self.inputs)), *map(np.asarray, self.model.parameters())]
        floating = [a.dtype for a in arrays if is_floating(a)]
        if not floating:
            raise ValueError("gradcheck: no input and no parameter is floating; there is no gradient")
        return np.result_type(*floating)

    def _drawn_cotangent(self) -> Any:
        shapes = tuple(x.shape if is_floating(x) else None for _, x in leaves(self.y))
        arrays = (None if x is None else np.array(x, self.dtype) for x in _normals(shapes))
        return unflatten_as(self.y, arrays)

    def _summands(self) -> list[Any]:
        if self.loss_fn is not None and self.target is not None:
            return [self.forward(self.loss_fn, self.y, self.target), 1.0]
        pairs = zip(leaves(self.cotangent), leaves(self.y), strict=True)
        return [np.abs(c) * (np.abs(a) + 1) for (_, c), (_, a) in pairs if is_floating(a)]

    def of(self, model: nn.Module) -> "Objective":
        """The same number of another model: its inputs, loss, cotangent and random numbers."""
        other = copy.copy(self)
        other.model = model
        return other

    def forward(self, module: nn.Module, *inputs: np.ndarray, drawing: np.ndarray | None = None) -> Any:
        """module(*inputs) without recording; random numbers follow ``drawing``, by default the start.

        The generator's state is left as it was.
        """
        if not self.is_random:
            with no_grad():
                return module(*inputs)
        with self.drawing(self.random_state if drawing is None else drawing), no_grad():
            return module(*inputs)

    @contextmanager
    def drawing(self, state: np.ndarray) -> Iterator[None]:
        """Within, random numbers follow ``state``; afterwards the generator's state is restored."""
        if not self.is_random:
            yield
            return
        before = random.get_rng_state()
        random.set_rng_state(state)
        try:
            yield
        finally:
            random.set_rng_state(before)

    def backward(self, passes: int = 1) -> Gradients:
        """The gradients by the model's own backward, on a copy of it, after ``passes`` passes."""
        return self.run(passes=passes)[1]

    def run(
        self,
        dtype: Any = None,
        prepare: Callable[[np.ndarray], np.ndarray] | None = None,
        passes: int = 1,
    ) -> tuple[dict[str, np.ndarray], Gradients]:
        """Forward and backward on a copy of the model: ({"output", "loss", "buffer …"}, gradients).

        Args:
            dtype: to compute in, if not in the model's own.
            prepare: applied to every input, weight and cotangent before it is used.
            passes: number of forwards and backwards; the parameters' gradients add up.
        """
        dtype, prepare = np.dtype(dtype or self.dtype), prepare or (lambda array: array)
        model, loss_fn = deep_copy(self.model).to(dtype), deep_copy(self.loss_fn)
        model.zero_grad()
        for p in model.parameters():
            p.present(prepare(p.data))

        def prepared(value: Any) -> Any:
            value = cast(value, dtype)
            return unflatten_as(value, (prepare(x) if is_floating(x) else x for _, x in leaves(value)))

        for _ in range(passes):
            with self.drawing(self.random_state):
                y = model(*prepared(self.inputs))
                outputs = named("output", [a for _, a in leaves(y)])
                buffers = {f"buffer {name}": b for name, b in model.named_buffers() if is_floating(b)}
                if loss_fn is None:
                    dy = prepared(self.cotangent)
                    dx = model.backward(*(dy if isinstance(dy, tuple) else (dy,)))
                else:
                    outputs["loss"] = np.asarray(loss_fn.to(dtype)(y, cast(self.target, dtype)))
                    # From 1.0 on NumPy would divide by the number of samples in float64.
                    one = (dtype.type(1),) if dtype == np.longdouble else ()
                    dx = model.backward(loss_fn.backward(*one))
        parameters = {
            name: np.zeros_like(p.data) if p.grad is None else p.grad for name, p in model.named_parameters()
        }
        parameters |= getattr(model, "misshapen", {})  # of other people's code, which no Parameter can hold
        return outputs | buffers, Gradients(self._of_each_input(dx), parameters)

    def _of_each_input(self, dx: Any) -> tuple[np.ndarray | None, ...]:
        """The gradients that backward returned, one for each input; if one is floating it may come alone."""
        floating = [is_floating(x) for _, x in leaves(self.inputs)]
        found = [g for _, g in leaves(tuple(dx) if isinstance(dx, list) else dx)]
        if len(found) == floating.count(True) == 1:
            (g,) = found
            found = [g if each else None for each in floating]
        if len(found) != len(floating):
            raise ValueError(
                f"gradcheck: backward returned {len(found)} gradients, expected one for each of the "
                f"{len(floating)} inputs"
            )
        for i, g in enumerate(found):
            if floating[i] and g is None:
                which = f"input {i}" if len(floating) > 1 else "the input"
                raise ValueError(f"gradcheck: backward returned None for {which}, expected its gradient")
        return tuple(found)


def _require_one_number(loss_fn: nn.Loss | None, target: Any, cotangent: Any) -> None:
    """Refuse what makes no number L, or two of them."""
    if (loss_fn is None) != (target is None):
        raise ValueError("gradcheck: loss_fn and target go together, and one of them is missing")
    if loss_fn is not None and cotangent is not None:
        raise ValueError("gradcheck: pass either loss_fn or cotangent, not both")
    if loss_fn is not None and getattr(loss_fn, "reduction", "none") == "none":
        raise ValueError("gradcheck: loss_fn has reduction='none', expected 'mean' or 'sum': one number")


def _is_finite(value: Any) -> bool:
    """Whether no floating array in ``value`` holds nan or inf."""
    return all(np.all(np.isfinite(x)) for _, x in leaves(value) if is_floating(x))


@lru_cache(32)
def _normals(shapes: tuple[tuple[int, ...] | None, ...]) -> list[np.ndarray | None]:
    """Arrays of these shapes drawn from N(0, 1), always the same ones; None in the place of None."""
    own = random.Generator().manual_seed(0)
    return [None if s is None else random.randn(*s, generator=own, dtype=np.float64) for s in shapes]


def _shapes(value: Any) -> Any:
    return unflatten_as(value, (x.shape if is_floating(x) else None for _, x in leaves(value)))
