"""Which of people's code is a function of JAX, so that its own backward runs inside jax.vjp.

A jax.custom_vjp, a function that jax.jit or the like made, or a function of Python that uses any of these.
JAX is never imported here: a function of JAX can only be there once somebody has.
"""

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

from torch_ref.adapters.calls import parameter_names
from torch_ref.adapters.jax_arrays import as_jax, loaded_jax
from torch_ref.adapters.reached import package, reaches
from torch_ref.adapters.tensor_forms import takes_tensors

_PACKAGES = ("jax", "jaxlib")


def is_jax_function(thing: Any) -> bool:
    """Whether ``thing`` is a function of JAX's arrays without a backward of its own beside it."""
    if loaded_jax() is None or not callable(thing) or isinstance(thing, type):
        return False
    return _is_jaxs(thing) or (
        not hasattr(thing, "backward") and reaches(thing, _is_jaxs) and not takes_tensors(thing)
    )


def jax_input_names(thing: Any) -> list[str]:
    """The names of its inputs."""
    return parameter_names(inspect.unwrap(thing))


def gives_backward(function: Callable[..., Any], inputs: tuple[Any, ...]) -> bool:
    """Whether it returns its backward beside its output, so that the gradient is worked out by hand."""
    try:
        returned = function(*map(as_jax, inputs))
    except Exception:  # from other people's code; the check itself will raise it
        return False
    return isinstance(returned, tuple) and any(callable(each) for each in returned)


def _is_jaxs(value: Any) -> bool:
    kind = value.__name__ if isinstance(value, ModuleType) else type(value).__module__
    if package(kind) in _PACKAGES:
        return True
    return callable(value) and package(getattr(value, "__module__", None) or "") in _PACKAGES
