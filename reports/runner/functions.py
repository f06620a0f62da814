"""Networks as functions of their parameters, for JAX and HIPS autograd.

Neither has layers, and both copy NumPy's namespace: so each module of scratch has its forward here,
written once for both.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from scratch import nn


class Namespace(NamedTuple):
    """A framework's copy of NumPy, and of scipy.special.logsumexp."""

    np: Any
    logsumexp: Callable[..., Any]


Parameters = dict[str, Any]
# A module's forward as a function of the module, a look-up of its parameters, its input, and the namespace.
_Forward = Callable[[Any, Callable[[nn.Parameter], Any], Any, Namespace], Any]


def _linear(module: nn.Linear, of: Callable, x: Any, xp: Namespace) -> Any:
    y = xp.np.dot(x, of(module.weight).T)
    return y if module.bias is None else y + of(module.bias)


def _flatten(module: nn.Flatten, of: Callable, x: Any, xp: Namespace) -> Any:
    start, end = module.start_dim % x.ndim, module.end_dim % x.ndim
    joined = math.prod(x.shape[start : end + 1])
    return xp.np.reshape(x, (*x.shape[:start], joined, *x.shape[end + 1 :]))


_FORWARDS: dict[type[nn.Module], _Forward] = {
    nn.Linear: _linear,
    nn.Flatten: _flatten,
    nn.Identity: lambda module, of, x, xp: x,
    # maximum(x, 0) has half a gradient at 0 there.
    nn.ReLU: lambda module, of, x, xp: xp.np.where(x > 0, x, 0),
    nn.Sigmoid: lambda module, of, x, xp: (xp.np.tanh(x / 2) + 1) / 2,
    nn.Tanh: lambda module, of, x, xp: xp.np.tanh(x),
}


def loss_function(model: nn.Module, xp: Namespace) -> Callable[[Parameters, Any, Any], Any]:
    """A Sequential and CrossEntropyLoss as one function: of the parameters by name, x, and one-hot labels.

    Raises:
        TypeError: a module has no such form.
    """
    modules = list(in_order(model))
    for module in modules:
        if type(module) not in _FORWARDS:
            raise TypeError(f"loss_function: there is no function for a {type(module).__name__}")
    names = {id(p): name for name, p in model.named_parameters()}

    def loss(parameters: Parameters, x: Any, target: Any) -> Any:
        for module in modules:
            x = _FORWARDS[type(module)](module, lambda p: parameters[names[id(p)]], x, xp)
        return xp.np.mean(xp.logsumexp(x, axis=1) - xp.np.sum(x * target, axis=1))

    return loss


def in_order(model: nn.Module) -> Iterator[nn.Module]:
    """The modules of a Sequential, and of those in it, one behind the other."""
    if not isinstance(model, nn.Sequential):
        yield model
        return
    for module in model:
        yield from in_order(module)


def lacking(model: nn.Module) -> str:
    """The class of the first module that has no such form, or ""."""
    return next((type(each).__name__ for each in in_order(model) if type(each) not in _FORWARDS), "")
