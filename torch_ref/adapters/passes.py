"""How the forward and the backward of a thing are called, and where their results are."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scratch.nested import leaves
from scratch.stray_parameters import gradient_names
from torch_ref.adapters.calls import parameters_of
from torch_ref.adapters.paths import entries
from torch_ref.adapters.readings import Roles, is_derivative

OUTPUTS = (
    "output",
    "outputs",
    "out",
    "y",
    "activation",
    "activations",
    "a",
    "A",
    "result",
    "value",
    "Y",
    "h",
    "H",
)
_INPUT_GRADIENTS = (
    *(
        "dinputs",
        "dinput",
        "dx",
        "dX",
        "d_input",
        "d_inputs",
        "grad_input",
        "grad_inputs",
        "gradInput",
        "dA_prev",
    ),
    *(
        "input_grad",
        "input_gradient",
        "input_gradients",
        "grad_x",
        "dprev",
        "d_prev",
        "delta_prev",
        "gradient_input",
    ),
    *("input_delta", "dinp", "din", "delta", "gradient", "grad", "passed_gradient", "back", "error"),
)
# The names of what says that it is in training: an argument of forward, or an attribute.
TRAINING = {
    *("training", "train", "is_training", "is_train", "train_flg", "train_flag", "train_mode", "isTraining"),
    *("trainable_mode", "training_mode"),
}


@dataclass(frozen=True)
class Passes:
    """The calls of a forward and a backward.

    Args:
        forward: the name of the method.
        backward: the name of the method; "" where forward returns it, beside the output.
        output: the attribute that holds the output where forward returns None, or "".
        cached: whether forward returns (output, cache), or (output, backward).
        behind: how many values it returns behind the cache: statistics, through which no gradient goes.
        roles: the arguments of backward; see readings.py.
        rate: the argument of backward that is the learning rate, or "".
        gradients: the attributes with the inputs' gradients where backward returns None; else empty.
        keys: the keys of the inputs' gradients where backward returns a dict; None for one without.
        first: where backward returns a tuple, how many entries, the first, are gradients of inputs; negative,
            the last so many; None: all are.
        held: the positions of the inputs that have no gradient.
    """

    forward: str
    backward: str
    output: str = ""
    cached: bool = False
    behind: int = 0
    roles: Roles = ("dy",)
    rate: str = ""
    gradients: tuple[str, ...] = ()
    keys: tuple[Any, ...] = ()
    first: int | None = None
    held: frozenset[int] = frozenset()

    @property
    def keeps(self) -> bool:
        """Whether backward needs more than the incoming gradient."""
        return self.cached or self.roles not in (("dy",), ("dys",))

    def run_forward(self, thing: Any, inputs: Sequence[Any], training: bool) -> tuple[Any, Any]:
        """(output, cache)."""
        method = getattr(thing, self.forward)
        result = method(*inputs, **_flag(method, len(inputs), training))
        if self.output:
            return getattr(thing, self.output, None), None
        if self.cached:
            *outputs, cache = result[: len(result) - self.behind]
            return outputs[0] if len(outputs) == 1 else tuple(outputs), cache
        return result, None

    def run_backward(
        self, thing: Any, dy: Sequence[Any], kept: tuple[Sequence[Any], Any, Any], rate: float
    ) -> Any:
        """The result of backward, of whatever form; ``kept`` are the inputs, the output and the cache."""
        inputs, y, cache = kept
        method = getattr(thing, self.backward) if self.backward else cache
        given: list[Any] = []
        for role in self.roles:
            if role == "dy":
                given += dy
            elif role == "dys":
                given.append(dict(zip(y, dy, strict=True)) if isinstance(y, dict) else tuple(dy))
            elif role == "x":
                given += inputs
            elif role == "kept":
                given.append(next(v for k, v in entries(thing) if k in OUTPUTS))
            else:
                given.append(
                    {"cache": cache, "y": y}[role] if role in ("cache", "y") else inputs[int(role[1:])]
                )
        return method(*given, **({self.rate: rate} if self.rate else {}))

    @property
    def is_derivative(self) -> bool:
        """Whether backward gives f'(x), to be multiplied by the incoming gradient."""
        return is_derivative(self.roles)

    def times(self, dy: np.ndarray, slope: Any, y: Any, inputs: Sequence[Any]) -> Any:
        """The incoming gradient times a derivative by all inputs, or by those that are not held."""
        free = [x for i, x in enumerate(inputs) if i not in self.held]
        is_by_free = isinstance(slope, tuple | list) and len(slope) == len(free)
        return times(dy, slope, y, [x for _, x in leaves(tuple(free if is_by_free else inputs))])


def _flag(method: Callable[..., Any], given: int, training: bool) -> dict[str, Any]:
    """The argument that tells forward whether it is in training, if it has one beyond its inputs."""
    try:
        parameters = parameters_of(method)
    except (TypeError, ValueError):
        return {}
    for p in parameters[given:]:
        if p.name in {*TRAINING, "mode"} and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY):
            if isinstance(p.default, str) or p.name == "mode":
                if p.default not in (p.empty, "train", "test", "eval"):
                    continue  # of interpolation, say
                return {p.name: "train" if training else "test"}
            return {p.name: training}
    return {}


def input_gradient_names(forward: Callable[..., Any], count: int) -> list[tuple[str, ...]]:
    """The attributes in which the gradient of each of the inputs may be left, by the inputs' names."""
    try:
        names = list(inspect.signature(forward).parameters)[:count]
    except (TypeError, ValueError):
        names = []
    known = [gradient_names(name) for name in names] + [()] * (count - len(names))
    return [own + _INPUT_GRADIENTS if i == 0 else own for i, own in enumerate(known)]


def times(dy: np.ndarray, slope: Any, y: Any, x: Sequence[Any]) -> Any:
    """The incoming gradient times a derivative by ``x``, or times one by each of several.

    The derivative may be f'(x), entry by entry; the gradient of one number, or of one number a sample; or a
    Jacobian, of all or of each sample.

    Raises:
        ValueError: it has none of these shapes.
    """
    if isinstance(slope, tuple | list) and len(slope) == len(x) > 1:
        pairs = zip(slope, x, strict=True)
        return tuple(None if s is None else times(dy, s, y, [each]) for s, each in pairs)
    slope, shape = np.asarray(slope), np.shape(y)
    shapes = [np.shape(each) for each in x]
    if shape in ((), slope.shape) or (slope.size == 1 and shape in shapes):
        return dy * slope
    if slope.shape in shapes and slope.shape[: len(shape)] == shape:
        return dy.reshape(*shape, *[1] * (slope.ndim - len(shape))) * slope
    if slope.shape in [shape + each for each in shapes]:
        return np.tensordot(dy, slope, len(shape))
    if slope.shape in [shape + each[1:] for each in shapes]:
        return np.multiply(*_flat_outputs(dy, slope)).sum(axis=1)
    raise ValueError(
        "check: backward is read as the derivative f'(x), since it does not take the incoming gradient, but "
        f"its result has shape {slope.shape}, the output {shape}. Write backward(dy), which returns dL/dx"
    )


def _flat_outputs(dy: np.ndarray, jacobians: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, Y, 1…) and (N, Y, *x.shape[1:]) of the Jacobians of samples (N, *y.shape[1:], *x.shape[1:])."""
    n, behind = len(dy), jacobians.shape[dy.ndim :]
    return dy.reshape(n, -1, *[1] * len(behind)), jacobians.reshape(n, -1, *behind)
