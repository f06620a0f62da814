"""Functions of JAX as a module of scratch.nn: their forward, and the backward that jax.vjp runs for them.

    @jax.custom_vjp
    def square(x): …
    module = JaxCode(square)      # module(x) of arrays; module.backward(dy) runs the backward of defvjp

Nothing is differentiated here: jax.vjp hands the incoming gradients to the function's own backward, where it
has one. float64 is computed with jax_enable_x64, for the time of the call; float32 as JAX does by default.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from scratch import nn
from scratch.grad_mode import is_grad_enabled
from scratch.gradcheck.rounding import Noisy
from scratch.nested import is_floating, leaves, unflatten_as
from torch_ref.adapters.jax_arrays import as_jax, loaded_jax, precision
from torch_ref.adapters.jax_forms import is_jax_function
from torch_ref.adapters.jax_rounding import program_of, run, run_rounded
from torch_ref.adapters.tensor_forms import known_name
from torch_ref.adapters.torch_functions import Shared, as_tuples


class JaxCode(nn.Module):
    """A function of JAX, on NumPy's arrays.

    Args:
        function: a jax.custom_vjp, or any function that jax.vjp can differentiate.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.code, self.name = _Function(function), known_name(function)

    def forward(self, *inputs: Any) -> Any:
        """The function's own.

        Raises:
            TypeError: an input is complex or a longdouble; the output is no array; the function uses NumPy;
                or it is a jax.custom_vjp that has no backward.
        """
        arrays = [x for _, x in leaves(inputs) if _is_number(x)]
        dtype = np.result_type(*arrays) if arrays else np.dtype(np.float64)
        if dtype not in (np.float32, np.float64):
            raise TypeError(f"check: {self.name} is code of JAX, for float32 and float64, not {dtype}")
        rounding = next((x.rounding for x in arrays if isinstance(x, Noisy)), None)
        call = _Call(self.code, inputs)
        with precision(dtype), _named_errors(self.name):
            numbers, pull = [as_jax(x) for x in arrays], None
            y: Sequence[Any]
            if rounding is not None:
                y = run_rounded(_Differentiated(call) if is_grad_enabled() else call, numbers, rounding)
            elif is_grad_enabled():
                y, pull = loaded_jax().vjp(call, *numbers)
            else:
                y = self.code.output(call, numbers)
        kinds = [type(each).__name__ for each in y if not hasattr(each, "dtype")]
        if kinds:
            raise TypeError(
                f"check: mine: forward of {self.name} returns {', '.join(kinds)}, expected arrays of JAX"
            )
        self.save(inputs, numbers, y, call, pull, rounding, dtype)
        return unflatten_as(call.form, (np.array(each) for each in y))

    def backward(self, *dy: Any) -> Any:
        """The gradients that jax.vjp gets from the function's own backward; None of an input without one.

        Raises:
            TypeError: that returns no tuple of a gradient for each argument.
            ValueError: it raises TypeError or ValueError.
        """
        inputs, numbers, y, call, pull, rounding, dtype = self.saved()
        with precision(dtype):
            gradients: Sequence[Any]
            incoming = [_cotangent(c, each) for (_, c), each in zip(leaves(dy), y, strict=True)]
            if rounding is not None:
                gradients = run_rounded(_Backward(call, incoming), numbers, rounding)
            else:
                gradients = self._pulled(pull, call, incoming, y)
        found = iter(gradients)
        by_input = [np.array(next(found)) if _is_number(x) else None for _, x in leaves(inputs)]
        return by_input[0] if len(by_input) == 1 else unflatten_as(inputs, iter(by_input))

    def _pulled(self, pull: Any, call: "_Call", incoming: list[Any], y: Sequence[Any]) -> Sequence[Any]:
        try:
            return pull(tuple(incoming))
        except (TypeError, ValueError) as error:
            misshapen = call.own_backward(incoming)
            if misshapen is not None:
                return misshapen
            if "container (pytree) structure" in str(error):
                raise TypeError(
                    f"check: mine: backward of {self.name} returns something else than expected, a tuple of "
                    f"one gradient for each argument of {self.name}, in order, and None for one without: "
                    f"return (dx,) where there is one. JAX says: {_first_line(error)}"
                ).with_traceback(error.__traceback__) from error
            raise ValueError(
                f"check: mine: backward of {self.name} raises {type(error).__name__}: {_first_line(error)}"
            ).with_traceback(error.__traceback__) from error

    def __repr__(self) -> str:
        return self.name


class _Function(Shared):
    """A function that its copies share, with the operations that it has been found to consist of.

    A function of JAX is pure: the same operations, whatever the numbers, unless it asks what they are. Run
    again they need not be traced again, which takes long where there is a loop.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self.programs: dict[Any, tuple[Any, Any]] = {}

    def output(self, call: "_Call", numbers: list[Any]) -> Sequence[Any]:
        """The outputs of a call that is not differentiated."""
        if call.key not in self.programs:
            self.programs[call.key] = program_of(call, numbers), call.form
        program, call.form = self.programs[call.key]
        return call(*numbers) if program is None else run(program, numbers)


class JaxReference(torch.nn.Module):
    """A function of JAX as the side that is compared with: torch's tensors in and out, JAX's gradients."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.code = JaxCode(function)

    def forward(self, *inputs: Any) -> Any:
        """The function's output; its backward is the one that jax.vjp runs."""
        flat = [x for _, x in leaves(inputs)]
        form: list[Any] = []
        outputs = _InJax.apply(JaxCode(self.code.code.function), inputs, form, *flat)
        return unflatten_as(form[0], iter(outputs))


def as_torch_reference(reference: Any) -> Any:
    """A reference as torch can run it: a function of JAX in a module of torch, all else as it is."""
    return JaxReference(reference) if is_jax_function(reference) else reference


class _InJax(torch.autograd.Function):
    """One call of a JaxCode, in torch's autograd."""

    @staticmethod
    def forward(ctx: Any, code: JaxCode, inputs: Any, form: list[Any], *flat: Any) -> tuple[Any, ...]:
        ctx.code = code
        arrays = (x.detach().numpy() if isinstance(x, torch.Tensor) else x for x in flat)
        y = code.forward(*unflatten_as(inputs, arrays))
        form.append(y)
        return tuple(torch.from_numpy(np.asarray(each)) for _, each in leaves(y))

    @staticmethod
    def backward(ctx: Any, *dy: torch.Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        found = ctx.code.backward(*(c.numpy() for c in dy))
        gradients = [None if g is None else torch.from_numpy(g) for _, g in leaves(found)]
        return (None, None, None, *gradients)


class _Call:
    """The function of its floating inputs alone, the others held, with its outputs as a flat tuple.

    Attributes:
        form: the outputs, nested as they were returned.
        key: the shapes of the floating inputs, and what the others are: all that its operations depend on.
    """

    def __init__(self, code: Callable[..., Any], inputs: Any) -> None:
        self.code, self.inputs = code, inputs
        self.form: Any = None
        self.key = tuple((path, _kind_of(x)) for path, x in leaves(inputs))

    def __call__(self, *numbers: Any) -> tuple[Any, ...]:
        """The outputs."""
        free = iter(numbers)
        arguments = (next(free) if _is_number(x) else as_jax(x) for _, x in leaves(self.inputs))
        y = as_tuples(self.code(*unflatten_as(self.inputs, arguments)))
        outputs = tuple(each for _, each in leaves(y))
        self.form = unflatten_as(y, iter([None] * len(outputs)))
        return outputs

    def own_backward(self, incoming: Sequence[Any]) -> list[np.ndarray] | None:
        """What the backward of a jax.custom_vjp returns, of whatever shapes; None if that is not known."""
        function = getattr(self.code, "function", None)
        if not isinstance(function, loaded_jax().custom_vjp) or function.nondiff_argnums:
            return None
        arguments = unflatten_as(self.inputs, (as_jax(x) for _, x in leaves(self.inputs)))
        dy = unflatten_as(self.form, iter(incoming))
        returned = function.bwd(function.fwd(*arguments)[1], dy)
        if not isinstance(returned, tuple) or len(returned) != len(arguments):
            return None
        pairs = [(x, g) for (_, x), (_, g) in zip(leaves(self.inputs), leaves(returned), strict=False)]
        if len(pairs) != len(arguments):
            return None
        return [np.zeros_like(x) if g is None else np.asarray(g) for x, g in pairs if is_floating(x)]


class _Differentiated:
    """The outputs of a call where it is differentiated: those of the forward that defvjp got."""

    def __init__(self, call: _Call) -> None:
        self.call = call

    def __call__(self, *numbers: Any) -> Any:
        """The outputs."""
        y, _ = loaded_jax().vjp(self.call, *numbers)
        return y


class _Backward:
    """The gradients of a call, as a function of its floating inputs."""

    def __init__(self, call: _Call, incoming: Sequence[Any]) -> None:
        self.call, self.incoming = call, tuple(incoming)

    def __call__(self, *numbers: Any) -> Any:
        """The gradients."""
        _, pull = loaded_jax().vjp(self.call, *numbers)
        return pull(self.incoming)


@contextmanager
def _named_errors(name: str) -> Iterator[None]:
    """Within, errors of JAX that say little are raised in words of ours.

    Raises:
        TypeError: the function uses NumPy, or has no backward.
    """
    try:
        yield
    except loaded_jax().errors.TracerArrayConversionError as error:
        raise TypeError(
            f"check: mine: {name} hands an array to NumPy, where JAX cannot follow it; expected functions of "
            f"jax.numpy alone. JAX says: {_first_line(error)}"
        ).with_traceback(error.__traceback__) from error
    except AttributeError as error:
        if "No VJP defined" not in str(error):
            raise
        raise TypeError(
            f"check: mine: {name} is a jax.custom_vjp without a backward; expected one, given by "
            f"{name}.defvjp(forward, backward)"
        ) from error


def _is_number(x: Any) -> bool:
    """Whether it is an array of floating numbers, so that it has a gradient."""
    return isinstance(x, np.ndarray | np.generic) and is_floating(x)


def _kind_of(x: Any) -> Any:
    if _is_number(x):
        return x.dtype.str, x.shape
    return (x.dtype.str, x.shape, x.tobytes()) if isinstance(x, np.ndarray) else repr(x)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _cotangent(c: Any, y: Any) -> Any:
    """dL/dy for jax.vjp: zeros for an output without one, of a kind of their own if it is not floating."""
    jax = loaded_jax()
    if not jax.numpy.issubdtype(y.dtype, jax.numpy.floating):
        return np.zeros(y.shape, jax.dtypes.float0)
    return jax.numpy.array(np.zeros(y.shape) if c is None else np.asarray(c), y.dtype)
