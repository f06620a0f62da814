r"""Numeric derivatives: L differentiated without calculus, entry by entry.

    central difference    (L(w + h) - L(w - h)) / 2h     to teach: right to nine digits or so
    complex step          Im L(w + ih) / h               to judge: right to the last digit or two

The complex step subtracts nothing, so h can be 1e-30, and there is neither truncation nor cancellation
(Squire and Trapp 1998; Martins, Sturdza and Alonso 2003). It wants a forward that is a formula of complex
numbers, which every module here has.

One forward for each entry is slow, and mostly needless. In a chain of modules, a parameter of one module
leaves all before it as it is. If that module is linear in it, one forward of the module shows the pattern
that an entry adds to the output; and L with K entries perturbed, each by itself, is one forward of the rest
on a batch K times as large. None of this is taken on trust or from backward. Whether a module is linear in
a parameter, which channel a row of it reaches, and whether the rest treats the samples apart: it is found
by running forward, and where it does not hold each entry gets a forward of its own.
"""

import copy
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from scratch import nn, random
from scratch.grad_mode import no_grad
from scratch.nested import leaves, unflatten_as
from scratch.nn.parameter import Parameter

_BATCH_BYTES = 2**21


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

    Args:
        model: any Module. It is copied where it would change, and stays as it is.
        inputs: its inputs.
        loss_fn: a loss with reduction "mean" or "sum"; goes with target.
        target: what loss_fn compares the output with.
        cotangent: without a loss, L = Σ cotangent · y, nested as y is if that is several arrays. By default
            drawn from N(0, 1) with a generator of its own; never ones, under which the gradients of softmax
            and of normalisations vanish.

    What is random in the model (dropout) is drawn alike in every forward, from where the global generator
    is at construction; and there it is left.

    Raises:
        ValueError: target without loss_fn or the reverse; reduction "none"; a cotangent that has not the
            shape of y; nan or inf in the output, where there is no derivative; nothing is floating.
    """

    def __init__(
        self,
        model: nn.Module,
        *inputs: np.ndarray,
        loss_fn: nn.Loss | None = None,
        target: np.ndarray | None = None,
        cotangent: np.ndarray | None = None,
    ) -> None:
        if (loss_fn is None) != (target is None):
            raise ValueError("gradcheck: loss_fn and target go together, and one of them is missing")
        if loss_fn is not None and cotangent is not None:
            raise ValueError("gradcheck: a loss and a cotangent are given, and L can be made of one alone")
        if loss_fn is not None and getattr(loss_fn, "reduction", "none") == "none":
            raise ValueError("gradcheck: loss_fn has reduction='none', wanted 'mean' or 'sum': one number")
        self.model, self.inputs, self.loss_fn, self.target = model, inputs, loss_fn, target
        self.random_state = random.get_rng_state()
        with no_grad():
            self.y = y = copy.deepcopy(model)(*copy.deepcopy(inputs))
        self.is_random = not np.array_equal(random.get_rng_state(), self.random_state)
        random.set_rng_state(self.random_state)
        outputs = [array for _, array in leaves(y) if _is_floating(array)]
        if not all(np.all(np.isfinite(array)) for array in outputs):
            raise ValueError("gradcheck: the output holds nan or inf, where there is no derivative")
        arrays = [*(array for _, array in leaves(inputs)), *map(np.asarray, model.parameters())]
        floating = [a.dtype for a in arrays if _is_floating(a)]
        if not floating:
            raise ValueError("gradcheck: no input and no parameter is floating; there is no gradient")
        self.dtype = np.result_type(*floating)
        if loss_fn is None and cotangent is None:
            own = random.Generator().manual_seed(0)
            cotangent = unflatten_as(y, (_draw(array, own, self.dtype) for _, array in leaves(y)))
        if loss_fn is None and (shapes := _shapes(cotangent)) != _shapes(y):
            raise ValueError(f"gradcheck: cotangent has shape {shapes}, the output {_shapes(y)}")
        if not all(np.all(np.isfinite(c)) for _, c in leaves(cotangent) if c is not None):
            raise ValueError("gradcheck: the cotangent holds nan or inf")
        self.cotangent = cotangent
        if loss_fn is not None and target is not None:
            summands = [self.forward(loss_fn, y, target), 1.0]
        else:
            pairs = zip(leaves(cotangent), leaves(y), strict=True)
            summands = [np.abs(c) * (np.abs(a) + 1) for (_, c), (_, a) in pairs if _is_floating(a)]
        # What L is made of: its roundings are relative to that, or to 1 where an output is smaller.
        self.size = float(sum(np.sum(np.abs(each)) for each in summands))

    def of(self, model: nn.Module) -> "Objective":
        """The same number of another model: its inputs, loss, cotangent and random numbers."""
        other = copy.copy(self)
        other.model = model
        return other

    def forward(self, module: nn.Module, *inputs: np.ndarray, drawing: np.ndarray | None = None) -> Any:
        """module(*inputs), drawing from that state on (or the start): saves nothing, and draws in vain."""
        with self.drawing(self.random_state if drawing is None else drawing), no_grad():
            return module(*inputs)

    @contextmanager
    def drawing(self, state: np.ndarray) -> Iterator[None]:
        """Within, the generator goes on from ``state``; afterwards it is where it was."""
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
        """The gradients that the model's own backward gives, on a copy of it, after so many passes."""
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
            prepare: is given every input, weight and cotangent, and what it returns takes their place.
            passes: forward and backward are done so often; the parameters' gradients add up.
        """
        dtype, prepare = np.dtype(dtype or self.dtype), prepare or (lambda array: array)
        model, loss_fn = copy.deepcopy(self.model).to(dtype), copy.deepcopy(self.loss_fn)
        model.zero_grad()
        for p in model.parameters():
            p.present(prepare(p.data))

        def prepared(value: Any) -> Any:
            cast = _cast(value, dtype)
            return unflatten_as(cast, (prepare(x) if _is_floating(x) else x for _, x in leaves(cast)))

        for _ in range(passes):
            with self.drawing(self.random_state):
                y = model(*prepared(self.inputs))
                outputs = named("output", [a for _, a in leaves(y)])
                buffers = {f"buffer {name}": b for name, b in model.named_buffers() if _is_floating(b)}
                if loss_fn is None:
                    dy = prepared(self.cotangent)
                    dx = model.backward(*(dy if isinstance(dy, tuple) else (dy,)))
                else:
                    outputs["loss"] = np.asarray(loss_fn.to(dtype)(y, _cast(self.target, dtype)))
                    dx = model.backward(loss_fn.backward())
        parameters = {
            name: np.zeros_like(p.data) if p.grad is None else p.grad for name, p in model.named_parameters()
        }
        return outputs | buffers, Gradients(self._of_each_input(dx), parameters)

    def _of_each_input(self, dx: Any) -> tuple[np.ndarray | None, ...]:
        """What backward returned, for each input array: a bare gradient is that of the only floating one."""
        wanted = [_is_floating(x) for _, x in leaves(self.inputs)]
        found = [g for _, g in leaves(tuple(dx) if isinstance(dx, list) else dx)]
        if len(found) == wanted.count(True) == 1:
            (g,) = found
            found = [g if floating else None for floating in wanted]
        if len(found) != len(wanted):
            raise ValueError(
                f"gradcheck: backward returned {len(found)} gradients, wanted one for each of the "
                f"{len(wanted)} inputs"
            )
        for i, (floating, g) in enumerate(zip(wanted, found, strict=True)):
            if floating and g is None:
                which = f"input {i}" if len(wanted) > 1 else "the input"
                raise ValueError(f"gradcheck: backward returned None for {which}, wanted its gradient")
        return tuple(found)

    def to(self, dtype: Any) -> "Network":
        """The same in another dtype."""
        return Network(self, np.dtype(dtype))


class Network:
    """An objective in some dtype, taken apart into the modules that the data pass one after the other."""

    def __init__(self, objective: Objective, dtype: np.dtype) -> None:
        real = dtype.type(0).real.dtype
        self.objective, self.dtype = objective, dtype
        self.model = copy.deepcopy(objective.model).to(dtype)
        self.modules = list(_chain(self.model))
        for module in self.model.modules():
            if getattr(module, "eps", 0) is None:  # the dtype's: another function, were it this one's
                setattr(module, "eps", float(np.finfo(objective.dtype).eps))  # noqa: B010
        self.inputs = _cast(objective.inputs, dtype)
        self.random_states = self._random_states() if objective.is_random else None
        if objective.loss_fn is None:
            self.cotangent = _cast(objective.cotangent, real)
        else:
            self.target = _cast(objective.target, real)
            self.loss_fn, losses_fn = (copy.deepcopy(objective.loss_fn) for _ in range(2))
            losses_fn.reduction = "none"
            self.loss_fn.to(real)
            self.losses_fn = losses_fn.to(real)
            # What the mean divides by depends on the target alone; any output that is a probability shows it.
            y = np.random.default_rng(0).uniform(0.25, 0.75, objective.y.shape).astype(real)
            summands = objective.forward(self.losses_fn, y, self.target)
            self.share = objective.forward(self.loss_fn, y, self.target) / np.add.reduce(summands.reshape(-1))

    def _random_states(self) -> list[np.ndarray]:
        """Where the generator is when it comes to each module, and at the end."""
        states, x = [self.objective.random_state], self.inputs
        with self.objective.drawing(states[0]), no_grad():
            for module in self.modules:
                x = (module(*x),)
                states.append(random.get_rng_state())
        return states

    def tensors(self) -> dict[str, np.ndarray]:
        """The arrays that L is differentiated by, under the names of their gradients, to change in place."""
        inputs = named("input", [x for _, x in leaves(self.inputs)])
        floating = {name: x for name, x in inputs.items() if _is_floating(x)}
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
        return sum(np.dot(c.reshape(-1), a.reshape(-1)) for (_, c), (_, a) in pairs if _is_floating(a))

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
        """What each row adds to L, (K,), if the input has it in the place of the sample of that number."""
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
        noise = (np.std(x.real) + 1) * np.random.default_rng(0).standard_normal((2, *x.shape))
        batch = (x + np.concatenate([np.zeros_like(noise[:1]), noise])).astype(self.dtype)
        try:
            alone = np.array([self.loss(0, each) for each in batch])
            mixed = self.sample_losses(batch.reshape(-1, *x.shape[1:]), np.tile(np.arange(len(x)), 3))
        except (ValueError, TypeError, IndexError):  # the output has other samples
            return False
        rows = mixed.reshape(3, -1)
        largest = np.max(np.add.reduce(np.abs(rows), axis=1))
        return bool(np.all(np.abs(np.add.reduce(rows, axis=1) - alone) <= 1e-9 * largest))

    def treats_samples_apart(self, k: int, z: np.ndarray) -> bool:
        """Whether ``losses`` may be used: whether it gives what ``loss`` gives, one at a time."""
        if self.random_states and not np.array_equal(self.random_states[k], self.random_states[-1]):
            return False  # a larger batch would draw other numbers
        if not isinstance(self.objective.y, np.ndarray):
            return False
        noise = (np.std(z.real) + 1) * np.random.default_rng(0).standard_normal((2, *z.shape))
        batch = (z + np.concatenate([np.zeros_like(noise[:1]), noise])).astype(self.dtype)
        try:
            alone = np.array([self.loss(k, each) for each in batch])
            together = self.losses(k, batch)
        except (ValueError, TypeError, IndexError):  # no batch of this shape, or of these numbers
            return False
        return bool(np.all(np.abs(together - alone) <= 1e-9 * np.max(np.abs(alone))))


def _chain(model: nn.Module) -> Iterator[nn.Module]:
    if type(model) is nn.Sequential:
        for child in model:
            yield from _chain(child)
    else:
        yield model


def _is_floating(x: Any) -> bool:
    return x is not None and x.dtype.kind in "fc"


def _cast(value: Any, dtype: Any) -> Any:
    return unflatten_as(value, (x.astype(dtype) if _is_floating(x) else x for _, x in leaves(value)))


def _draw(array: Any, generator: random.Generator, dtype: np.dtype) -> Any:
    if not _is_floating(array):
        return None
    return np.asarray(random.randn(*array.shape, generator=generator, dtype=np.float64), dtype)


def _shapes(value: Any) -> Any:
    return unflatten_as(value, (x.shape if _is_floating(x) else None for _, x in leaves(value)))


class Step:
    """One of the two ways to differentiate.

    Raises:
        ValueError: method is neither "complex" nor "central", or eps is not above 0.
    """

    def __init__(self, method: str, eps: float | None, real: np.dtype) -> None:
        if method not in ("complex", "central"):
            raise ValueError(f"gradcheck: method is {method!r}, wanted 'complex' or 'central'")
        if eps is not None and not 0 < eps < math.inf:
            raise ValueError(f"gradcheck: eps is {eps}, wanted a step above 0")
        self.is_complex = method == "complex"
        self.real = np.result_type(real, np.float64)
        self.dtype = np.result_type(self.real, np.complex128) if self.is_complex else self.real
        # Central: where truncation, h², and rounding, u/h, are in balance.
        self.h = eps or (1e-30 if self.is_complex else float(np.cbrt(np.finfo(self.real).eps)))
        self.steps = (1j * self.h,) if self.is_complex else (self.h, -self.h)

    def slope(self, *values: Any) -> Any:
        """dL/dw from L at each of ``steps``."""
        if self.is_complex:
            return values[0].imag / self.h
        return (values[0] - values[1]) / (2 * self.h)


def numerical_gradient(
    model: nn.Module,
    *inputs: np.ndarray,
    loss_fn: nn.Loss | None = None,
    target: np.ndarray | None = None,
    cotangent: np.ndarray | None = None,
    method: str = "complex",
    eps: float | None = None,
    wrt_inputs: bool = True,
) -> Gradients:
    """dL by every entry of every parameter and input, by running forward alone.

    Args:
        model: as for Objective, like inputs, loss_fn, target and cotangent.
        inputs: the model's inputs.
        loss_fn: a loss.
        target: its target.
        cotangent: the weights of the outputs, without a loss.
        method: "complex" or "central".
        eps: the step h; by default 1e-30, or for "central" the cube root of the machine epsilon.
        wrt_inputs: False leaves the inputs out, None in their places.

    Computed in float64 or complex128 even for a float32 model: on the same weights, without its rounding.

    Raises:
        ValueError: as Objective; or another method; or an eps that is not above 0.
    """
    objective = Objective(model, *inputs, loss_fn=loss_fn, target=target, cotangent=cotangent)
    return differentiate(objective, Step(method, eps, objective.dtype), wrt_inputs)


def differentiate(objective: Objective, step: Step, wrt_inputs: bool = True) -> Gradients:
    """numerical_gradient of an objective by a step."""
    real, moved = objective.to(step.real), objective.to(step.dtype)
    slopes: dict[Parameter, np.ndarray] = {}
    uses = Counter(p for module in real.modules for p in module.parameters())
    at = real.inputs
    for k, module in enumerate(real.modules):
        z = real.forward(k, *at)
        apart: bool | None = None
        for p, own in zip(module.parameters(), moved.modules[k].parameters(), strict=True):
            if p in slopes:
                continue
            alone = uses[p] == 1 and isinstance(z, np.ndarray)
            patterns = _patterns(real, k, p, at, z) if alone else None
            if patterns is not None and apart is None:
                apart = moved.treats_samples_apart(k + 1, z)
            if patterns is not None and apart:
                slopes[p] = _by_patterns(moved, k, z, p.shape, *patterns, step)
            else:
                slopes[p] = _by_entries(moved, k, own.data, _cast(at, step.dtype), step)
        at = (z,)
    arrays = [x for _, x in leaves(moved.inputs)]
    by_input = tuple(
        _by_input(moved, i, step) if wrt_inputs and _is_floating(x) else None for i, x in enumerate(arrays)
    )
    return Gradients(by_input, {name: slopes[p] for name, p in real.model.named_parameters()})


def _by_entries(
    moved: Network, k: int, array: np.ndarray, inputs: tuple[np.ndarray, ...], step: Step
) -> np.ndarray:
    """One forward (or two) for each entry of ``array``, from module k on."""
    slopes = np.empty(array.shape, step.real)
    for index in np.ndindex(array.shape):
        before, values = array[index], []
        for h in step.steps:
            array[index] = before + h
            values.append(moved.loss(k, *inputs))
        array[index] = before
        slopes[index] = step.slope(*values)
    return slopes


def _by_input(moved: Network, i: int, step: Step) -> np.ndarray:
    """Every entry of array i; if samples are treated apart, by running the sample of each entry alone."""
    arrays = [array for _, array in leaves(moved.inputs)]
    x = arrays[i]
    if len(arrays) > 1 or x.ndim < 2 or not moved.sums_over_samples(x):
        arrays[i] = x = x.copy()
        return _by_entries(moved, 0, x, unflatten_as(moved.inputs, iter(arrays)), step)
    slopes = np.empty(x.size, step.real)
    size = x.size // len(x)
    for entries in _batches(x.size, x[0]):
        samples, at = np.divmod(entries, size)
        values = []
        for h in step.steps:
            batch = x[samples]
            batch.reshape(len(entries), size)[np.arange(len(entries)), at] += h
            values.append(moved.sample_losses(batch, samples))
        slopes[entries] = step.slope(*values)
    return slopes.reshape(x.shape)


def _batches(total: int, each: np.ndarray) -> Iterator[np.ndarray]:
    """0 … total - 1 in runs, so many at a time that copies of ``each`` stay in the cache."""
    size = max(1, _BATCH_BYTES // max(1, each.nbytes))
    for start in range(0, total, size):
        yield np.arange(start, min(start + size, total))


def _by_patterns(
    moved: Network, k: int, z: np.ndarray, shape: tuple[int, ...], axis: int, patterns: np.ndarray, step: Step
) -> np.ndarray:
    """Entry (o, j) adds patterns[j] to channel o of z: K entries at a time, as one batch for the rest.

    An entry that adds nothing anywhere (a pixel that is blank in every sample) has the slope 0 exactly.
    """
    slopes = np.zeros((shape[0], math.prod(shape[1:])), step.real)
    reach = np.any(patterns != 0, axis=1)
    rows, columns = np.nonzero(reach.T)
    start = np.moveaxis(z, axis, -1).astype(step.dtype)
    flat = start.reshape(-1, shape[0])
    for entries in _batches(len(rows), flat):
        o, j = rows[entries], columns[entries]
        values = []
        for h in step.steps:
            batch = np.repeat(flat[None], len(entries), axis=0)
            batch[np.arange(len(entries)), :, o] += h * patterns[j, :, o]
            batch = np.moveaxis(batch.reshape(len(entries), *start.shape), -1, axis + 1)
            values.append(moved.losses(k + 1, batch))
        slopes[o, j] = step.slope(*values)
    return slopes.reshape(shape)


_LARGE = 2.0**40


def _patterns(
    network: Network, k: int, p: Parameter, inputs: tuple[np.ndarray, ...], z: np.ndarray
) -> tuple[int, np.ndarray] | None:
    """(channel axis of z, patterns (J, positions, O)) if module k is linear in p = (O, J…), row by row.

    Row o of p must reach channel o of z and nothing else, and twice the change in p must be twice the change
    in z. Then one forward with column j of p set to some number, and zeros elsewhere, shows the patterns of
    (o, j) for all o at once. The number is large, so that what else is in z (a bias) drowns no digits.
    """
    before = p.data.copy()

    def output(value: np.ndarray) -> np.ndarray:
        p.data = value
        try:
            return network.forward(k, *inputs)
        finally:
            p.data = before

    axis = _channel_axis(output, before, z)
    if axis is None:
        return None
    change = _noise(before.shape)
    once, twice = output(before + change) - z, output(before + 2 * change) - z
    if not np.all(np.abs(twice - 2 * once) <= 1e-9 * np.max(np.abs(once), initial=0)):
        return None
    origin = output(np.zeros_like(before))
    probe = np.zeros_like(before)
    columns = probe.reshape(len(before), -1)
    patterns = np.empty((columns.shape[1], z.size // len(before), len(before)), before.dtype)
    for j in range(columns.shape[1]):
        columns[:, j] = _LARGE
        patterns[j] = np.moveaxis((output(probe) - origin) / _LARGE, axis, -1).reshape(-1, len(before))
        columns[:, j] = 0
    # A saturated module does not change either, if the change is small; it is not linear for that. So what
    # was predicted must be seen, in each channel, and no rounding of z may be taken for it.
    predicted = np.einsum("oj,jpo->po", change.reshape(len(before), -1), patterns)
    seen = np.moveaxis(once, axis, -1).reshape(predicted.shape)
    if not np.all(np.abs(predicted - seen) <= 1e-6 * np.max(np.abs(seen), axis=0, initial=0)):
        return None
    return axis, patterns


def _channel_axis(output: Any, value: np.ndarray, z: np.ndarray) -> int | None:
    """The axis of z whose channel o depends on row o of the parameter and on no other row.

    Rows are changed in groups, by the bits of their numbers: two rows differ in some bit, so if no group
    touches a channel outside of it, no row touches another's channel.
    """
    if value.ndim == 0:
        return None
    axes = [axis for axis in range(1, z.ndim) if z.shape[axis] == len(value)]
    number = np.arange(len(value))
    for bit in range(max(1, (len(value) - 1).bit_length())):
        for side in (0, 1):
            group = (number >> bit & 1) == side
            changed = output(value + _noise(value.shape) * group.reshape(-1, *[1] * (value.ndim - 1))) != z
            axes = [axis for axis in axes if not np.any(np.compress(~group, changed, axis=axis))]
    return axes[-1] if axes else None


def _noise(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(1).standard_normal(shape)
