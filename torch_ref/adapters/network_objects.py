"""A network that is an object: its loss, and its gradients, by the methods that people give it.

    loss(X, y)                      gives (loss, gradients); or the loss alone, beside
    gradient(X, y), backward(…)     which gives the gradients, or leaves them in the object, as dW beside W
    train(X, y, learning_rate)      which takes a step: the gradient is the step over the learning rate

A method's arguments are filled by their names: X, y, the output of forward, a learning rate.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from types import CodeType
from typing import Any

from torch_ref.adapters.learning_rates import RATES, rate_in_source
from torch_ref.adapters.methods import has_method
from torch_ref.adapters.paths import ABSENT
from torch_ref.adapters.usual_names import BACKWARD, FORWARD, LOSS, OUTPUT, plain

DATA = ("x", "inputs", "input", "data", "features", "batch", "images", "xs", "x_train", "x_batch", "samples")
_TARGETS = (
    *("y", "t", "target", "targets", "label", "labels", "y_true", "ys", "y_train", "y_batch", "actual", "d"),
    *("expected", "truth", "ground_truth"),
)
_OUTPUTS = (
    *(*OUTPUT, "o", "y_hat", "yhat", "pred", "preds", "predictions", "predicted", "prediction"),
    *("al", "a2", "a3", "logits", "scores"),
)
_ROUNDS = ("epochs", "epoch", "n_epochs", "iterations", "num_iters", "n_iter", "steps", "num_epochs", "iters")

_FORWARDS = (*FORWARD, "predict", "__call__")
_GRADIENTS = (
    *("gradient", "gradients", "grad", "computegradients", "computegradient", "getgradients"),
    *("calcgradients", "calculategradients"),
)
_STEPS = ("costfunctionprime", "trainstep", "trainonbatch", "step", "train", "update", "learn", "fit")
_BACKWARDS = (*_GRADIENTS, *BACKWARD, *_STEPS)
_KEPT = ("params", "parameters", "theta")


def is_object(f: Any) -> bool:
    """Whether it is no function but an object with methods of a network."""
    if inspect.isroutine(f) or isinstance(f, type | tuple | list):
        return False
    return any(_method(f, names) for names in (LOSS, _FORWARDS[:-1], _BACKWARDS))


def functions_of(net: Any) -> tuple[Callable[..., Any], ...]:
    """Functions of (net, *data): one for the loss, and one that gives, leaves or uses the gradients, if any.

    Raises:
        TypeError: none of its methods is a loss.
    """
    loss, backward = _method(net, LOSS), _method(net, _BACKWARDS)
    if not loss:
        methods = [name for name in dir(type(net)) if not name.startswith("_")]
        kind = type(net).__name__
        raise TypeError(
            f"check_loss: {kind} has the methods {', '.join(methods)}, and none of them is its loss. Say "
            "what the loss is, and which method gives its gradients: check_loss((lambda net, X, y: "
            f"((net.forward(X) - y) ** 2).mean(), {kind}.{backward or 'backward'}), net, X, y)"
        )
    return (Filled(loss), *backward_of(net))


def backward_of(net: Any) -> tuple[Callable[..., Any], ...]:
    """The function of (net, *data) that gives, leaves or uses the gradients, if there is one."""
    backward = _method(net, _BACKWARDS)
    return (Filled(backward),) if backward else ()


def kept_parameters(net: Any) -> Any:
    """What the object keeps its parameters in: ``params`` or the like, or itself."""
    for name in _KEPT:
        value = getattr(net, name, None)
        if value is not None and not callable(value):
            return value
    return net


class Filled:
    """A function of (net, *data) that calls a method of net, its arguments filled by their names."""

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __get__(self, net: Any, kind: type | None = None) -> Callable[..., Any]:
        return partial(self, net)

    def __call__(self, net: Any, *data: Any) -> Any:
        """The method's result."""
        arguments = _arguments(net, self.__name__)
        needed = [a for a in arguments if a.default is a.empty and a.kind is a.POSITIONAL_OR_KEYWORD]
        if len(needed) == len(data) and not any(a.name.lower() in (*_OUTPUTS, *RATES) for a in needed):
            values = list(data)
        else:
            values = [_argument(a.name.lower(), i, net, data) for i, a in enumerate(needed)]
        rates = {a.name: 1.0 for a in arguments if a.name.lower() in RATES and a not in needed}
        rounds = {a.name: 1 for a in arguments if a.name.lower() in _ROUNDS and a not in needed}
        return getattr(net, self.__name__)(*values, **rates, **rounds)

    def fills_rate(self, net: Any) -> bool:
        """Whether the learning rate is an argument, which is then 1."""
        return any(a.name.lower() in RATES for a in _arguments(net, self.__name__))


def takes_output(method: Any) -> bool:
    """Whether a method's first argument is the output of forward, by its name."""
    try:
        first = next(iter(inspect.signature(method).parameters), "")
    except ValueError:  # of a function that is not Python's
        return False
    return first.lower() in _OUTPUTS


def _arguments(net: Any, name: str) -> list[inspect.Parameter]:
    return list(inspect.signature(getattr(net, name)).parameters.values())


def _argument(name: str, at: int, net: Any, data: Sequence[Any]) -> Any:
    """The value for an argument of this name at this place."""
    if name in RATES:
        return 1.0
    if name in _ROUNDS:
        return 1
    if name in _OUTPUTS:
        forward = _method(net, _FORWARDS)
        output = getattr(net, forward)(data[0]) if forward else ABSENT
        return output[0] if isinstance(output, tuple) else output
    if name in DATA:
        return data[0]
    return data[-1] if name in _TARGETS or at >= len(data) else data[at]


def learning_rate(function: Any, owner: Any) -> float:
    """The learning rate of a step: kept in the object, a global name or a number in the function; else 1."""
    if isinstance(function, Filled) and function.fills_rate(owner):
        return 1.0
    keepers = (owner, getattr(function, "__self__", None))
    kept = [getattr(keeper, name, None) for keeper in keepers for name in RATES]
    names, known = _names_in(getattr(function, "__code__", None)), getattr(function, "__globals__", {})
    kept += [known.get(name) for name in names if name.lower() in RATES]
    called = getattr(owner, function.__name__) if isinstance(function, Filled) else function
    kept += [rate_in_source(called, owner)]
    return next((float(value) for value in kept if isinstance(value, int | float) and value), 1.0)


def _names_in(code: Any) -> Iterator[str]:
    """The global names in a function's code, and in that of the functions and comprehensions in it."""
    if isinstance(code, CodeType):
        yield from code.co_names
        for constant in code.co_consts:
            yield from _names_in(constant)


def _method(net: Any, names: Sequence[str]) -> str:
    """The first of these names that is a method of the object, however it is spelled; or ""."""
    methods = {plain(name): name for name in reversed(dir(type(net))) if has_method(net, name)}
    return next((methods[name] for name in names if name in methods), "")
