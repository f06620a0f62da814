"""Code of tensors as a module of scratch.nn: its forward, and the backward that torch's autograd runs for it.

    class Square(torch.autograd.Function): …
    module = TensorCode(Square.apply)      # module(x) of arrays; module.backward(dy) runs Square.backward

Nothing is differentiated here: autograd only hands the incoming gradients to the code's own backward, where
it has one. A gradient that does not arrive is 0.
"""

import copy
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch

from scratch import nn, random
from scratch.grad_mode import is_grad_enabled
from scratch.gradcheck.rounding import Noisy
from scratch.nested import leaves, unflatten_as
from scratch.nn.parameter import lay_out
from torch_ref.adapters.autograd_run import run_autograd
from torch_ref.adapters.names import match_names
from torch_ref.adapters.shapes import Shapes
from torch_ref.adapters.tensor_forms import as_function, is_function, known_name
from torch_ref.adapters.tensor_rounding import RandomRounding

_DTYPES = {np.dtype(np.float32): torch.float32, np.dtype(np.float64): torch.float64}


def adapt_tensor_code(
    thing: Any, shapes: Shapes | None = None, transposed: Collection[str] = ()
) -> "TensorCode":
    """A function or module of tensors as a Module; its parameters take the names in ``shapes``, as in adapt.

    Raises:
        ValueError: its parameters are not as many as ``shapes``, or of other shapes; see match_names.
    """
    module = TensorCode(thing)
    own = dict(module.code.named_parameters()) if isinstance(module.code, torch.nn.Module) else {}
    slots = {name: _Slot(p.detach().cpu().numpy()) for name, p in own.items()}
    for name, (piece, *others) in match_names(slots, shapes, transposed).items():
        if others or piece.axes not in ((), (1, 0)):
            raise ValueError(
                f"check: mine: its {name} has shape {slots[name].data.shape}, not that "
                f"of the reference's {piece.name}, {piece.shape}, nor that the other way round; a torch "
                "module is compared parameter by parameter"
            )
        module.take(piece.name, name, piece.axes == (1, 0))
    lay_out(module.parameters())
    return module


class _Slot:
    """A parameter of the torch module, as an array."""

    def __init__(self, data: np.ndarray) -> None:
        self.data = data


class Shared:
    """A function that its copies share: what is made by torch.library cannot be copied."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *inputs: Any) -> Any:
        """The function's result."""
        return self.function(*inputs)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Shared":
        return self


class TensorCode(nn.Module):
    """A function or module of tensors, on arrays.

    Args:
        thing: an autograd.Function or its ``apply``, an operator, a torch.nn.Module (which is copied), or a
            function of tensors.

    Attributes:
        precision: a dtype of torch that NumPy may not have, to compute in; arrays in and out are float64.
        strided: whether the incoming gradients are handed on in memory that is not contiguous.
        only: the one input (by number) or parameter (by name) that requires a gradient; None for all.
        device: where its tensors are; that of its parameters, at first.
    """

    def __init__(self, thing: Any) -> None:
        self.code: Any = (
            copy.deepcopy(thing) if isinstance(thing, torch.nn.Module) else Shared(as_function(thing))
        )
        self.name = known_name(thing)
        self.precision: torch.dtype | None = None
        self.strided, self.only = False, None
        self.device = device_of(thing)
        self.is_function = is_function(thing)
        self.taken: dict[str, tuple[str, bool]] = {}
        for name, buffer in thing.named_buffers() if isinstance(thing, torch.nn.Module) else ():
            self.register_buffer(name, np.array(buffer.detach().cpu().numpy()))

    def take(self, name: str, own: str, transposed: bool) -> None:
        """Call the torch module's parameter ``own`` by this name."""
        data = self.code.get_parameter(own).detach().cpu().numpy()
        setattr(self, name, nn.Parameter(np.array(data.T if transposed else data)))
        self.taken[name] = own, transposed

    def forward(self, *inputs: Any) -> Any:
        """The code's own.

        Raises:
            TypeError: an input is complex or a longdouble, which torch's Functions are not made for; or the
                output holds no tensor.
        """
        dtype = self.precision or self._dtype(inputs)
        tensors = [self._tensor(x, number, dtype) for number, (_, x) in enumerate(leaves(inputs))]
        weights = self._present(dtype)
        rounding = next((x.rounding for _, x in leaves(inputs) if isinstance(x, Noisy)), None)
        with _rounded(rounding), _same_random_numbers(), torch.set_grad_enabled(is_grad_enabled()):
            y = as_tuples(_run(self.code, unflatten_as(inputs, iter(tensors))))
        self._read_buffers()
        if not all(isinstance(each, torch.Tensor) for _, each in leaves(y)):
            kinds = ", ".join(type(each).__name__ for _, each in leaves(y))
            raise TypeError(f"check: mine: forward of {self.name} returns {kinds}, expected tensors")
        self.save(inputs, tensors, weights, y, rounding)
        return unflatten_as(y, (self._array(each) for _, each in leaves(y)))

    def backward(self, *dy: Any) -> Any:
        """The gradients that autograd gets from the code's own backward.

        Raises:
            TypeError: that returns too few gradients, or too many.
            ValueError: it raises RuntimeError.
        """
        inputs, tensors, weights, y, rounding = self.saved()
        pairs = zip([each for _, each in leaves(y)], [c for _, c in leaves(dy)], strict=True)
        summands = [(r, self._incoming(c, r)) for r, c in pairs if c is not None and r.requires_grad]
        found: dict[int, np.ndarray] = {}
        if summands:
            with _rounded(rounding):
                found = run_autograd([r for r, _ in summands], [c for _, c in summands], self.name)
        for name, weight in weights.items():
            grad = found.get(id(weight), weight.grad)
            _, transposed = self.taken[name]
            array = self._gradient(torch.zeros_like(weight) if grad is None else grad)
            getattr(self, name).add_grad(array.T if transposed else array)
        gradients = [self._of_input(x, found) for x in tensors]
        return gradients[0] if len(gradients) == 1 else unflatten_as(inputs, iter(gradients))

    def differentiates(self, inputs: tuple[Any, ...]) -> list[bool]:
        """Which of its outputs autograd has a derivative for; a Function may mark some that have none."""
        other = copy.deepcopy(self)
        other.forward(*inputs)
        _, _, _, y, _ = other.saved()
        return [each.requires_grad for _, each in leaves(y)]

    def _dtype(self, inputs: Any) -> torch.dtype:
        arrays = [x for _, x in leaves(inputs) if isinstance(x, np.ndarray)]
        arrays += [p.data for p in self.parameters()]
        kinds = [a.dtype for a in arrays if a.dtype.kind in "fc"]
        dtype = np.result_type(*kinds) if kinds else np.dtype(np.float64)
        if dtype not in _DTYPES:
            raise TypeError(f"check: {self.name} is code of tensors, for float32 and float64, not {dtype}")
        return _DTYPES[dtype]

    def _tensor(self, x: Any, number: int, dtype: torch.dtype) -> Any:
        """An array as a tensor; what is none, a number or a word, as it is."""
        if not isinstance(x, np.ndarray | np.generic):
            return x
        if x.dtype.kind != "f":
            return _as_tensor(x).to(self.device)
        tensor = _as_tensor(x * 1 if isinstance(x, Noisy) else x)  # the product of a Noisy array is noisy
        tensor = tensor.to(self.device, dtype).detach()
        return tensor.requires_grad_(is_grad_enabled() and self.only in (None, number))

    def _present(self, dtype: torch.dtype) -> dict[str, torch.nn.Parameter]:
        """Write parameters and buffers into the torch module, which gets this dtype."""
        if not isinstance(self.code, torch.nn.Module):
            return {}
        self.code.to(dtype).train(self.training)
        weights: dict[str, torch.nn.Parameter] = {}
        with torch.no_grad():
            for name, (own, transposed) in self.taken.items():
                weight, p = self.code.get_parameter(own), getattr(self, name)
                weight.copy_(_as_tensor(p.data.T if transposed else p.data))
                weight.requires_grad_(p.requires_grad and self.only in (None, name))
                weight.grad = None
                weights[name] = weight
            for name, buffer in self.code.named_buffers():
                buffer.copy_(_as_tensor(getattr(self, name)))
        return weights

    def _read_buffers(self) -> None:
        if isinstance(self.code, torch.nn.Module):
            for name, buffer in self.code.named_buffers():
                own = getattr(self, name)
                own[...] = buffer.detach().to("cpu", torch.float64).numpy()

    def _array(self, tensor: torch.Tensor) -> np.ndarray:
        tensor = tensor.detach().cpu()
        tensor = tensor.to(torch.float64) if self.precision and tensor.is_floating_point() else tensor
        return np.array(tensor.numpy())

    def _incoming(self, c: Any, y: torch.Tensor) -> torch.Tensor:
        """dL/dy, in the dtype of y."""
        dy = _as_tensor(c * 1 if isinstance(c, Noisy) else c).to(y.device, y.dtype)
        return _strided(dy) if self.strided else dy

    def _gradient(self, grad: torch.Tensor | np.ndarray) -> np.ndarray:
        return grad if isinstance(grad, np.ndarray) else self._array(grad)

    def _of_input(self, x: Any, found: dict[int, np.ndarray]) -> np.ndarray | None:
        if not isinstance(x, torch.Tensor) or not x.is_floating_point():
            return None
        grad = found.get(id(x), x.grad)
        return self._gradient(torch.zeros_like(x) if grad is None else grad)

    def __repr__(self) -> str:
        return self.name


def device_of(*things: Any) -> torch.device:
    """The device of the first tensor among these, or of the first parameter of a module."""
    for thing in things:
        tensors = (
            thing.parameters() if isinstance(thing, torch.nn.Module) else [each for _, each in leaves(thing)]
        )
        for tensor in tensors:
            if isinstance(tensor, torch.Tensor):
                return tensor.device
    return torch.device("cpu")


def as_tuples(y: Any) -> Any:
    """Outputs in lists or dicts as tuples, without what is None."""
    if isinstance(y, dict):
        y = tuple(y.values())
    if isinstance(y, tuple | list):
        return tuple(as_tuples(each) for each in y if each is not None)
    return y


def _run(code: Callable[..., Any], tensors: tuple[Any, ...]) -> Any:
    """code(*tensors); on copies of them if it changes an input and says so by mark_dirty."""
    try:
        return code(*tensors)
    except RuntimeError as error:
        if "leaf Variable that requires grad" not in str(error):
            raise
    copies = (x.clone() if isinstance(x, torch.Tensor) else x for _, x in leaves(tensors))
    return code(*unflatten_as(tensors, copies))


def _strided(tensor: torch.Tensor) -> torch.Tensor:
    """The same numbers, the axes in the reverse order in memory, and nan between them."""
    axes = tuple(reversed(range(tensor.ndim)))
    turned = tensor.permute(axes)
    return torch.stack([turned, torch.full_like(turned, torch.nan)], -1)[..., 0].permute(axes)


def _as_tensor(array: Any) -> torch.Tensor:
    """A tensor on the memory of ``array``, if torch can be there."""
    plain = np.asarray(array)
    if not plain.flags.writeable or any(stride < 0 for stride in plain.strides):
        plain = plain.copy()
    return torch.from_numpy(plain)


def _rounded(rounding: Any) -> Any:
    return nullcontext() if rounding is None else RandomRounding(rounding.unit, rounding.seed)


@contextmanager
def _same_random_numbers() -> Iterator[None]:
    """Within, torch draws the numbers that scratch would draw, and scratch goes on after them."""
    with torch.random.fork_rng(devices=[]):
        start = torch.from_numpy(random.get_rng_state())
        torch.set_rng_state(start)
        yield
        after = torch.get_rng_state()
        if not torch.equal(after, start):
            random.set_rng_state(after.numpy())
