"""A module of ours in the place of people's code: it takes their inputs and parameters, whatever their names.

What is a parameter on one side may be an input on the other: γ of a layer norm is an argument of
F.layer_norm and a parameter of nn.LayerNorm.
"""

import inspect
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from scratch import nn
from scratch.nested import leaves

# Arguments of our modules by which they do not differentiate.
_HELD = ("target", "mask")


class Source(NamedTuple):
    """An array of people's: an input, by its number, a parameter, by its name, or a constant itself.

    ``transposed`` says that it is stored the other way round than our module has it.
    """

    key: int | str | None
    constant: np.ndarray | None = None
    transposed: bool = False


class Bound(nn.Module):
    """A module of ours, ``core``, as a module of people's inputs and parameters.

    Args:
        core: the module.
        inputs: where each of its inputs comes from.
        parameters: where each of its parameters comes from, by its names.
        like: a module with people's parameters, whose names and values are taken.
        count: the number of people's inputs.

    Its own attributes begin with _, so that people's parameters may have any name.
    """

    def __init__(
        self,
        core: nn.Module,
        inputs: Sequence[Source],
        parameters: dict[str, Source],
        like: nn.Module,
        count: int,
    ) -> None:
        self._core, self._inputs, self._parameters, self._count = core, inputs, parameters, count
        self._shapes: list[tuple[int, ...]] = []
        # Looked up now: a mistake that is switched on later has another signature.
        names = list(inspect.signature(core.forward).parameters)
        self._targets = {s.key for s, name in zip(inputs, names, strict=False) if name in _HELD}
        self._buffer_names = [(n, n.rpartition(".")[2]) for n, _ in like.named_buffers()]
        for name, p in like.named_parameters():
            setattr(self, name, nn.Parameter(p.data.copy()))

    def named_as_theirs(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs, gradients and buffers of ours by the names that people have for them."""
        own = {name.rpartition(".")[2]: array for name, array in arrays.items() if name.startswith("buffer ")}
        found = {n: array for n, array in arrays.items() if n not in self.without_gradient}
        return found | {f"buffer {n}": own[last] for n, last in self._buffer_names if last in own}

    @property
    def without_gradient(self) -> set[str]:
        """The names of the gradients that ``core`` does not give: those by a target or a mask."""
        return {f"input {i}" for i in range(self._count) if i in self._targets}

    def forward(self, *inputs: Any) -> Any:
        """core(*inputs) on people's arrays."""
        arrays = [x for _, x in leaves(inputs)]
        self._shapes = [np.shape(x) for x in arrays]
        for name, p in self._core.named_parameters():
            p.data = self._array(self._parameters[name], arrays, p.dtype).reshape(p.shape)
        dtype = next((x.dtype for x in arrays if x.dtype.kind in "fc"), np.dtype(float))
        y = self._core(*(self._array(source, arrays, dtype) for source in self._inputs))
        return y if isinstance(y, tuple) else np.asanyarray(y)

    def _array(self, source: Source, arrays: list[np.ndarray], dtype: np.dtype) -> np.ndarray:
        if source.constant is not None:
            array = source.constant
            array = array.astype(dtype) if array.dtype.kind == "f" else array
        elif isinstance(source.key, int):
            array = arrays[source.key]
        else:
            array = getattr(self, str(source.key)).data
        return array.T if source.transposed else array

    def backward(self, *dy: Any) -> Any:
        """A gradient for each of people's inputs; those of their parameters are added to theirs."""
        for p in self._core.parameters():
            p.grad = None
        given = [g for _, g in leaves(self._core.backward(*dy))]
        gradients = [*zip(self._inputs, given, strict=False)]
        gradients += [(self._parameters[name], p.grad) for name, p in self._core.named_parameters()]
        first = next(d for _, d in leaves(dy) if d is not None)
        inputs: list[Any] = [np.zeros(shape, first.dtype) for shape in self._shapes]
        for source, gradient in gradients:
            if source.constant is not None or gradient is None:
                continue
            gradient = gradient.T if source.transposed else gradient
            if isinstance(source.key, int):
                inputs[source.key] = inputs[source.key] + gradient.reshape(self._shapes[source.key])
            else:
                p = getattr(self, str(source.key))
                p.add_grad(gradient.reshape(p.shape))
        return tuple(inputs) if len(inputs) != 1 else inputs[0]
