"""Functions of JAX as lists of operations, run one after the other; rounded at random, if that is asked for.

The list is JAX's own (a jaxpr), the noise that of scratch/gradcheck/rounding.py, on every operation.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from scratch.gradcheck.rounding import Rounding
from torch_ref.adapters.jax_arrays import loaded_jax

# These pick, move or negate, and round nothing.
_EXACT = {
    *("abs", "argmax", "argmin", "broadcast_in_dim", "bitcast_convert_type", "ceil", "clamp", "concatenate"),
    *("convert_element_type", "copy", "dynamic_slice", "dynamic_update_slice", "expand_dims", "floor"),
    *("gather", "iota", "max", "min", "neg", "pad", "reduce_max", "reduce_min", "reshape", "rev", "round"),
    *("select_n", "sign", "slice", "sort", "split", "squeeze", "stop_gradient", "transpose"),
}
# Sums, whose error is relative to what is added up.
_SUMS = {
    *("reduce_sum", "dot_general", "conv_general_dilated", "cumsum", "reduce_window_sum", "scatter-add"),
    *("scatter_add", "add_any"),
}
# Calls of operations that are known.
_CALLS = {
    *("jit", "pjit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call"),
    *("custom_vjp_call_jaxpr", "checkpoint", "remat", "remat2"),
}


def run_rounded(function: Callable[..., Any], numbers: Sequence[Any], rounding: Rounding) -> list[Any]:
    """function(*numbers), a tuple of arrays, every floating result off by up to the unit of ``rounding``.

    A loop, whose operations are inside one of JAX's, is one operation. Where the operations depend on the
    numbers, so that they are not known beforehand, inputs and results alone are rounded.
    """
    program = program_of(function, numbers)
    if program is not None:
        return run(program, numbers, rounding)
    moved = [rounded_number(x, abs(x), rounding) for x in numbers]
    return [rounded_number(y, abs(y), rounding) for y in function(*moved)]


def program_of(function: Callable[..., Any], numbers: Sequence[Any]) -> Any:
    """The operations of function(*numbers), a closed jaxpr; None if they depend on the numbers."""
    try:
        return loaded_jax().make_jaxpr(function)(*numbers)
    except TypeError:  # JAX's own, or people's, which they raise again where the function is called
        return None


def run(program: Any, numbers: Sequence[Any], rounding: Rounding | None = None) -> list[Any]:
    """The results of the operations, one after the other, rounded at random or as they are."""
    return _run(program.jaxpr, program.consts, numbers, rounding)


def rounded_number(result: Any, magnitude: Any, rounding: Rounding) -> Any:
    """A floating array with noise relative to ``magnitude``; any other as it is."""
    array = np.asarray(result)
    if array.dtype.kind != "f":
        return result
    noisy = np.asarray(rounding.round(array, None, np.asarray(magnitude)), array.dtype)
    return loaded_jax().numpy.array(noisy)


def _run(jaxpr: Any, constants: Sequence[Any], inputs: Sequence[Any], rounding: Rounding | None) -> list[Any]:
    """The outputs of a jaxpr."""
    known = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*constants, *inputs), strict=True))
    for equation in jaxpr.eqns:
        values = [_value(each, known) for each in equation.invars]
        if equation.primitive.name in _CALLS:
            inner = equation.params["call_jaxpr" if "call_jaxpr" in equation.params else "jaxpr"]
            results = _run(getattr(inner, "jaxpr", inner), getattr(inner, "consts", ()), values, rounding)
        else:
            results = _once(equation, values, rounding)
        known.update(zip(equation.outvars, results, strict=True))
    return [_value(each, known) for each in jaxpr.outvars]


def _value(variable: Any, known: dict[Any, Any]) -> Any:
    return variable.val if hasattr(variable, "val") else known[variable]


def _once(equation: Any, values: Sequence[Any], rounding: Rounding | None) -> list[Any]:
    """The results of one operation."""
    primitive = equation.primitive
    bound = primitive.get_bind_params(equation.params)
    functions, parameters = bound if isinstance(bound, tuple) else ((), bound)  # by JAX's version
    found = primitive.bind(*functions, *values, **parameters)
    results = list(found) if primitive.multiple_results else [found]
    if rounding is None or primitive.name in _EXACT:
        return results
    sizes = results
    if primitive.name in _SUMS:
        found = primitive.bind(*functions, *map(abs, values), **parameters)
        sizes = list(found) if primitive.multiple_results else [found]
    return [rounded_number(y, abs(size), rounding) for y, size in zip(results, sizes, strict=True)]
