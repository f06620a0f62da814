"""A network in JAX on NumPy's arrays: jax.value_and_grad's, or one with gradients worked out by hand."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from scratch.gradcheck.rounding import Noisy
from scratch.nested import is_floating
from torch_ref.adapters.jax_arrays import as_jax, as_numpy, loaded_jax, precision
from torch_ref.adapters.jax_forms import is_jax_function
from torch_ref.adapters.jax_rounding import run_rounded


def out_of_jax(f: Any, params: Any, data: tuple[Any, ...]) -> tuple[Any, Any, tuple[Any, ...]]:
    """(f, params, data) without arrays of JAX: functions of JAX as functions of NumPy's arrays."""
    if loaded_jax() is None:
        return f, params, data
    mapped = loaded_jax().tree_util.tree_map
    f = type(f)(map(_out_of_jax, f)) if isinstance(f, tuple | list) else _out_of_jax(f)
    return f, mapped(as_numpy, params), mapped(as_numpy, data)


def _out_of_jax(f: Any) -> Any:
    return OnNumPy(f) if is_jax_function(f) else f


class OnNumPy:
    """A function of JAX, called with arrays of NumPy in any nesting, and returning such."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.__wrapped__ = function  # whose signature is this one's
        self.__name__ = getattr(function, "__name__", type(function).__name__)

    def __deepcopy__(self, memo: dict[int, Any]) -> "OnNumPy":
        return self

    def __call__(self, *arguments: Any) -> Any:
        """The function's result, in float64 if there is any among the arguments."""
        tree = loaded_jax().tree_util
        flat, form = tree.tree_flatten(arguments)
        numbers = [x for x in flat if isinstance(x, np.ndarray | np.generic) and is_floating(x)]
        rounding = next((x.rounding for x in numbers if isinstance(x, Noisy)), None)
        with precision(np.result_type(np.float32, *numbers)):
            if rounding is None:
                return tree.tree_map(as_numpy, self.function(*form.unflatten(map(as_jax, flat))))
            call = _OfNumbers(self.function, flat, form)
            found = run_rounded(call, [as_jax(x) for x in numbers], rounding)
            return tree.tree_map(as_numpy, call.form.unflatten(found))


class _OfNumbers:
    """The function of its floating arrays alone, its results as a flat list of the ``form`` they had."""

    def __init__(self, function: Callable[..., Any], flat: Sequence[Any], form: Any) -> None:
        self.function, self.flat, self.taken = function, flat, form
        self.form: Any = None

    def __call__(self, *numbers: Any) -> list[Any]:
        """The results."""
        free = iter(numbers)
        arguments = (
            next(free) if isinstance(x, np.ndarray | np.generic) and is_floating(x) else as_jax(x)
            for x in self.flat
        )
        found, self.form = loaded_jax().tree_util.tree_flatten(
            self.function(*self.taken.unflatten(arguments))
        )
        return list(found)
