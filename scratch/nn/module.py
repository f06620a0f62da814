"""Module: what every layer, loss and network is (PyTorch, torch/nn/modules/module.py).

What torch's tape does unseen is written out here. ``forward`` saves what the derivative will need, and
``backward`` takes it again, turning dL/dy into dL/dx and adding dL/dW to each parameter's ``grad``:

    y = model(x)                  # forward
    dx = model.backward(dy)       # backward: the chain rule, from the last layer to the first

What was saved lies on a stack, so a module that is used twice in one pass is right twice, if the backwards
come in the reverse order of the forwards. The gradient of a loss is given back to the forward that made its
input, whatever forwards came in between (kept.py).
"""

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

from scratch import grad_mode
from scratch.kinds import refuse_other_kinds
from scratch.nn import kept
from scratch.nn.kept import now
from scratch.nn.parameter import Parameter, lay_out

__all__ = ["Module"]


class IncompatibleKeys(NamedTuple):
    """What load_state_dict(strict=False) passed over."""

    missing_keys: list[str]
    unexpected_keys: list[str]


# So many forwards without a backward look as if none will come.
MANY = 1000

# A formula may give a NumPy number for an array without axes.
ARRAYS = (np.ndarray, np.generic)


class _Constructor(type):
    """Lays a module's parameters end to end as soon as its ``__init__`` is through."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        """Construct, of our own classes from arguments of the right types, then lay out."""
        if cls.__module__.startswith("scratch.nn"):
            refuse_other_kinds(cls, args, kwargs)
        module = super().__call__(*args, **kwargs)
        lay_out(module.parameters())
        return module


class Module(metaclass=_Constructor):
    """Base class of all layers, losses and networks.

    A layer of one's own has two methods and needs nothing else, wherever it stands:

        class Scale(nn.Module):
            def __init__(self, n):
                self.w = nn.Parameter(np.ones(n))

            def forward(self, x):
                self.save(x)                             # keep what backward will need
                return self.w.data * x

            def backward(self, dy):
                (x,) = self.saved()
                self.w.add_grad((dy * x).sum(axis=0))    # dL/dw is added to w.grad
                return self.w.data * dy                  # dL/dx goes on to the layer before

    ``forward`` never changes its inputs, and runs in float32, float64, longdouble and complex128 alike.
    ``backward`` gets one gradient for each output and returns one for each input: bare if there is one, None
    for an integer input.

    The layers of scratch.nn are shorter still: their formulas stand in scratch.functional as pairs of
    functions, ``forward`` checks its arguments and calls ``run`` with such a pair, and the ``backward``
    below does the rest.

    Attributes:
        training: whether layers such as Dropout act as in training; see train and eval.
        needs_input_grad: False while backward_parameters runs. A module may then leave dL/dx out, and return
        None.
    """

    training: bool
    needs_input_grad: bool
    _saved: list[Any]
    # When the oldest forward was kept that a backward passed over.
    _took_after: int
    _buffers: dict[str, bool]
    # Whether the backward formula takes need_dx, and can leave the input gradient out.
    _can_skip_dx = False
    # The backward formula that takes dW as well, an array in which it leaves the first parameter's gradient.
    _fills_dW: Any = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Make ``module(x)`` the forward itself."""
        super().__init_subclass__(**kwargs)
        if "forward" in vars(cls):
            cls.__call__ = cls.forward  # type: ignore[method-assign]

    def __new__(cls, *args: Any, **kwargs: Any) -> "Module":
        """Give every module its bookkeeping, also if a subclass does not call ``super().__init__``."""
        module = super().__new__(cls)
        module.training = module.needs_input_grad = True
        module._saved, module._buffers, module._took_after = [], {}, -1
        return module

    def forward(self, *inputs: Any) -> Any:
        """The output for these inputs."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(*inputs)")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """forward(*inputs, **options); a subclass has its own forward in this place."""
        return self.forward(*inputs, **options)

    def run(
        self,
        f: Callable[..., tuple[Any, Any]],
        f_backward: Callable[..., Any],
        inputs: tuple[Any, ...],
        parameters: tuple[Parameter | None, ...] = (),
        *options: Any,
    ) -> Any:
        """The y of ``f(*inputs, *parameters, *options)``, whose derivative backward will take.

        Args:
            f: a formula: gives (y, saved), y one array.
            f_backward: its derivative: of (dy, saved), gives a gradient for each input, then for each
            parameter. inputs: arrays.
            parameters: Parameters, or None, to which backward adds their gradients.
            options: numbers and the like, without a gradient.
        """
        values: list[Any] = []
        for p in parameters:
            values.append(None if p is None else p._data)
        for x in inputs:
            if type(x) is not ndarray:
                self.refuse_mask(x)
        y, saved = f(*inputs, *values, *options)
        if mode := grad_mode.mode():
            stack, time, sealed = self._saved, now(), None
            if mode > 1:
                sealed = kept.seal(saved)
            if stack:
                self._wait(time)
            stack.append((time, sealed, f_backward, len(inputs), parameters, y.shape, y.dtype, saved))
            kept.latest = y
        return y

    def backward(self, dy: Any) -> Any:
        """dL/dx from dL/dy, by the formula that forward ran; dL/dW is added to the parameters' ``grad``.

        Args:
            dy: dL/dy, of the shape and dtype of y.

        Returns:
            dL/dx, or a tuple of one for each input; None (each) if ``needs_input_grad`` is False.

        Raises:
            RuntimeError: there was no forward, it ran under no_grad, or its backward was already done.
            ValueError: dy has another shape or dtype than y.
            TypeError: dy is no array.
        """
        stack = self._saved
        at = 0 if len(stack) == 1 else self._position()
        _, sealed, f_backward, n, parameters, shape, dtype, saved = stack[at]
        if not isinstance(dy, ARRAYS) or dy.shape != shape or dy.dtype != dtype:
            raise self._grad_error(dy, shape, dtype)
        if sealed is not None:
            self._refuse_changes(sealed)
        del stack[at]
        if f_backward is self._fills_dW:
            W = parameters[0]
            is_free = not W.has_grad and W._grad.dtype == dtype
            gradients = f_backward(dy, saved, self.needs_input_grad, W._grad if is_free else None)
        elif self._can_skip_dx and not self.needs_input_grad:
            gradients = f_backward(dy, saved, need_dx=False)
        else:
            gradients = f_backward(dy, saved)
        if n == 1 and not parameters:
            return gradients
        if len(gradients) != n + len(parameters):
            raise self._count_error(gradients, n, len(parameters))
        for i, p in enumerate(parameters, n):
            if p is not None:
                p.add_grad(gradients[i])
        return gradients[0] if n == 1 else gradients[:n]

    def backward_parameters(self, *dy: Any) -> None:
        """backward of a network whose input is data: the parameters get their gradients, dL/dx is not
        computed.

        The first layer is spared a product of matrices. Everything else is as in backward.
        """
        before, self.needs_input_grad = self.needs_input_grad, False
        try:
            self.backward(*dy)
        finally:
            self.needs_input_grad = before

    # ---- what forward leaves for backward

    def refuse_mask(self, x: Any) -> None:
        """Refuse a masked array, whose mask no formula knows.

        Raises:
            TypeError: x is one.
        """
        if isinstance(x, np.ndarray) and hasattr(x, "mask"):
            raise TypeError(
                f"{type(self).__name__}: a masked array of shape {x.shape}, expected a plain one: the mask "
                "would be ignored; pass x.filled(number)"
            )

    def save(self, *arrays: Any) -> None:
        """Keep these for the backward of this forward; nothing is kept under no_grad.

        Warns:
            ResourceWarning: 1,000 forwards wait for a backward, so it looks as if none will come.
        """
        for each in arrays:
            if isinstance(each, ndarray) and type(each) is not ndarray:
                self.refuse_mask(each)
        if mode := grad_mode.mode():
            time = now()
            if self._saved:
                self._wait(time)
            self._saved.append((time, kept.seal(arrays) if mode > 1 else None, arrays))

    def saved(self) -> tuple[Any, ...]:
        """Take what the latest forward kept, or the forward that the loss's gradient is of.

        Raises:
            RuntimeError: there was no forward, it ran under no_grad, or its backward was already done.
        """
        at = 0 if len(self._saved) == 1 else self._position()
        _, sealed, arrays = self._saved[at]
        if sealed is not None:
            self._refuse_changes(sealed)
        del self._saved[at]
        return arrays

    def put_back(self, arrays: tuple[Any, ...]) -> None:
        """Keep again what a backward took and then refused its gradient: the corrected call finds it."""
        self._saved.append((now(), None, arrays))

    def _position(self) -> int:
        """Where in the stack lies what the next backward is of, if it does not hold exactly one."""
        stack = self._saved
        if not stack:
            raise self._no_forward()
        at = kept.position(stack)
        if at and not kept.is_certain(stack):
            self._took_after = stack[0][0]
        return at

    def _refuse_changes(self, sealed: Any) -> None:
        array = kept.changed(sealed)
        if array is not None:
            raise RuntimeError(
                f"{type(self).__name__}.backward: an array that its forward saved, {array.dtype} "
                f"{array.shape}, was changed in between"
            )

    def check_grad(self, dy: Any, shape: tuple[int, ...], dtype: np.dtype, name: str = "y") -> None:
        """Refuse a dL/dy that has not the shape and dtype of y, since broadcasting would hide it.

        Raises:
            ValueError: the shape or the dtype differs.
            TypeError: dy is no array.
        """
        if not isinstance(dy, ARRAYS) or dy.shape != shape or dy.dtype != dtype:
            raise self._grad_error(dy, shape, dtype, name)

    def _grad_error(self, dy: Any, shape: tuple[int, ...], dtype: np.dtype, name: str = "y") -> Exception:
        where = f"{type(self).__name__}.backward"
        if not isinstance(dy, ARRAYS):
            kind = type(dy).__name__
            return TypeError(f"{where}: d{name} is a {kind}, expected an array: {name} was {dtype} {shape}")
        return ValueError(f"{where}: d{name} is {dy.dtype} {dy.shape}, but {name} was {dtype} {shape}")

    def _count_error(self, gradients: Any, inputs: int, parameters: int) -> ValueError:
        return ValueError(
            f"{type(self).__name__}.backward: its formula gave {len(gradients)} gradients, expected "
            f"{inputs + parameters}: one for each input ({inputs}), then for each parameter ({parameters})"
        )

    def _no_forward(self) -> RuntimeError:
        return RuntimeError(
            f"{type(self).__name__}.backward: called without a matching forward; each backward needs a "
            "forward of its own, outside of no_grad"
        )

    def _wait(self, time: int) -> None:
        """Take note of a forward at this time, while others wait for their backward."""
        kept.mark(time)
        if len(self._saved) == MANY - 1:
            self._warn_of_waiting()

    def _warn_of_waiting(self) -> None:
        warnings.warn(
            f"{type(self).__name__} keeps what {MANY} forwards saved, and no backward came; evaluate under "
            "scratch.no_grad(), or let go of them with model.zero_grad()",
            ResourceWarning,
            stacklevel=5,
        )

    def input_error(self, name: str, x: Any, dtype: Any, expected: str) -> Exception:
        """The error for an input that is no array, or has another dtype or another shape.

        Args:
            name: the argument.
            x: what was passed.
            dtype: the dtype of the parameters, or None if any floating one will do.
            expected: the shape, in words, such as "(\\*, 5)".
        """
        if not isinstance(x, ARRAYS):
            return TypeError(f"{self}: {name} is a {type(x).__name__}, expected an array")
        if dtype is not None and x.dtype != dtype:
            return TypeError(f"{self}: {name} is {x.dtype}, the weight {dtype}; convert one of them")
        if dtype is None and x.dtype.kind not in "fc":
            return TypeError(f"{self}: {name} is {x.dtype}, expected floating numbers")
        return ValueError(f"{self}: {name} has shape {x.shape}, expected {expected}")

    # ---- the tree of modules

    def named_children(self) -> Iterator[tuple[str, "Module"]]:
        """The modules directly below this one, with their names."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value

    def children(self) -> Iterator["Module"]:
        """The modules directly below this one."""
        return (module for _, module in self.named_children())

    def _walk(self, prefix: str = "") -> Iterator[tuple[str, "Module"]]:
        yield prefix, self
        for name, child in self.named_children():
            yield from child._walk(f"{prefix}.{name}" if prefix else name)

    def named_modules(self) -> Iterator[tuple[str, "Module"]]:
        """This module and all below it with their dotted names, each once."""
        return _once(self._walk())

    def modules(self) -> Iterator["Module"]:
        """This module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def apply(self, function: Callable[["Module"], object]) -> "Module":
        """Call ``function`` on every module, children first; returns self."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    # ---- parameters and buffers

    def register_buffer(self, name: str, array: np.ndarray | None, persistent: bool = True) -> None:
        """Make ``array`` the attribute ``name``: state that is saved (if persistent) but not learned."""
        setattr(self, name, array)
        self._buffers[name] = persistent

    def _own_parameters(self) -> Iterator[tuple[str, Parameter]]:
        return ((name, value) for name, value in vars(self).items() if isinstance(value, Parameter))

    def _own_buffers(self) -> Iterator[tuple[str, np.ndarray]]:
        return ((name, getattr(self, name)) for name in self._buffers if getattr(self, name) is not None)

    def named_parameters(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Parameter]]:
        """All parameters with their dotted names, each once, in torch's order."""
        modules = self._walk(prefix) if recurse else [(prefix, self)]
        return _once((_join(at, name), p) for at, module in modules for name, p in module._own_parameters())

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, each once, in torch's order."""
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, np.ndarray]]:
        """All buffers with their dotted names, each once."""
        modules = self._walk(prefix) if recurse else [(prefix, self)]
        return _once((_join(at, name), b) for at, module in modules for name, b in module._own_buffers())

    def buffers(self, recurse: bool = True) -> Iterator[np.ndarray]:
        """All buffers, each once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def requires_grad_(self, requires_grad: bool = True) -> "Module":
        """Freeze (False) or thaw (True) all parameters; returns self."""
        for p in self.parameters():
            p.requires_grad = requires_grad
        return self

    def zero_grad(self) -> None:
        """Set every gradient to None, and forget forwards that no backward followed.

        Warns:
            RuntimeWarning: a forward waited, and a backward was of a later one.
        """
        passed_over = False
        for module in self.modules():
            passed_over |= bool(module._saved) and module._saved[0][0] == module._took_after
            module._saved.clear()
            for _, p in module._own_parameters():
                p.grad = None
        if passed_over:
            warnings.warn(
                f"{type(self).__name__}.zero_grad: a forward was left over, and a later one had its "
                "backward; if that gradient was to be of the first, run the others under scratch.no_grad()",
                RuntimeWarning,
                stacklevel=2,
            )

    def swap_saved(self, stack: list[Any]) -> list[Any]:
        """Put ``stack`` in the place of what forwards have kept so far, which is returned.

        For a caller that runs backwards in another order than the reverse of the forwards.
        """
        before, self._saved = self._saved, stack
        return before

    def train(self, mode: bool = True) -> "Module":
        """Switch this module and all below it to training mode (or, with False, to evaluation)."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> "Module":
        """train(False)."""
        return self.train(False)

    def to(self, dtype: Any) -> "Module":
        """Convert parameters and floating buffers to ``dtype`` in place; returns self.

        Raises:
            RuntimeError: an optimizer or a mirror holds a parameter, and would be left with the old one.
        """
        dtype = np.dtype(dtype)
        for name, p in self.named_parameters():
            if p.held and p.dtype != dtype:
                raise RuntimeError(
                    f"to({dtype}): {name} is held by an optimizer or a mirror; convert the model first"
                )
        for module in self.modules():
            for _, p in module._own_parameters():
                if p.dtype != dtype:
                    p.__init__(p.data.astype(dtype), p.requires_grad)  # type: ignore[misc]
            for name, buffer in list(module._own_buffers()):
                if buffer.dtype.kind in "fc":
                    setattr(module, name, buffer.astype(dtype))
        lay_out(self.parameters())
        return self

    def float(self) -> "Module":
        """to(float32)."""
        return self.to(np.float32)

    def double(self) -> "Module":
        """to(float64)."""
        return self.to(np.float64)

    # ---- state

    def state_dict(self) -> dict[str, np.ndarray]:
        """Parameters and persistent buffers by torch's keys, in torch's order; views, as torch's."""
        state: dict[str, np.ndarray] = {}
        for at, module in self._walk():
            state |= {_join(at, name): p.data for name, p in module._own_parameters()}
            state |= {_join(at, n): b for n, b in module._own_buffers() if module._buffers[n]}
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Copy the values of ``state_dict`` (NumPy arrays or torch tensors) into this module.

        Nothing is copied unless everything fits.

        Raises:
            RuntimeError: a shape differs, a dtype cannot be converted or, if strict, a key is missing or
                unexpected; all are listed.
            TypeError: state_dict is no mapping.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(
                f"load_state_dict into {type(self).__name__}: state_dict is a {type(state_dict).__name__}, "
                "expected a mapping from names to arrays, as state_dict() gives"
            )
        own = self.state_dict()
        missing = [key for key in own if key not in state_dict]
        unexpected = [key for key in state_dict if key not in own]
        arrays = {key: np.asarray(state_dict[key]) for key in own if key in state_dict}
        problems = [
            f"size mismatch for {key}: the state has {value.shape}, the module {own[key].shape}"
            for key, value in arrays.items()
            if value.shape != own[key].shape
        ]
        problems += [
            f"{key}: the state has {value.dtype}, the module {own[key].dtype}"
            for key, value in arrays.items()
            if not np.can_cast(value.dtype, own[key].dtype, "same_kind")
        ]
        if strict and missing:
            problems.append(f"missing keys: {', '.join(missing)}")
        if strict and unexpected:
            problems.append(f"unexpected keys: {', '.join(map(str, unexpected))}")
        if problems:
            raise RuntimeError(f"load_state_dict into {type(self).__name__}: " + "; ".join(problems))
        for key, value in arrays.items():
            own[key][...] = value
        return IncompatibleKeys(missing, unexpected)

    # ---- repr

    def extra_repr(self) -> str:
        """The constructor's arguments, as shown between the parentheses of the repr."""
        return ""

    def __repr__(self) -> str:
        children = [f"({name}): {child!r}".replace("\n", "\n  ") for name, child in self.named_children()]
        if not children:
            return f"{type(self).__name__}({self.extra_repr()})"
        return f"{type(self).__name__}(\n  " + "\n  ".join(children) + "\n)"


def arguments(module: Module) -> str:
    """The constructor's arguments, by name, with the module's values where it has any; for extra_repr."""
    names = inspect.signature(type(module).__init__).parameters
    values = {name: vars(module)[name] for name in names if vars(module).get(name) is not None}
    told = {name: v.tolist() if isinstance(v, np.ndarray) else v for name, v in values.items()}
    return ", ".join(f"{name}={value!r}" for name, value in told.items())


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _once(named: Any) -> Iterator[tuple[str, Any]]:
    """Pass each object on the first time it comes, so that tied weights count once."""
    seen: set[int] = set()
    for name, value in named:
        if id(value) not in seen:
            seen.add(id(value))
            yield name, value
