"""Containers (PyTorch, torch/nn/modules/container.py), and the residual connection."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from scratch import functional as F
from scratch.nn.module import Module

__all__ = ["ModuleDict", "ModuleList", "Residual", "Sequential"]


class _Container(Module):
    """Base class of containers: child modules in a dict."""

    _modules: dict[str, Module]

    def _hold(self, named: Mapping[str, Module]) -> None:
        for name, module in named.items():
            if not isinstance(module, Module):
                raise TypeError(
                    f"{type(self).__name__}: argument {name} is {type(module).__name__}, expected a Module"
                )
        self._modules = dict(named)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules with their names: "0", "1", …, or those that were given."""
        yield from self._modules.items()

    def __getattr__(self, name: str) -> Module:
        try:
            return self.__dict__["_modules"][name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__} has no attribute or module {name!r}") from None

    def __len__(self) -> int:
        return len(self._modules)


class Sequential(_Container):
    r"""Modules one behind the other; backward is the chain rule, read from right to left.

    With $y = f_n(\cdots f_2(f_1(x)))$ and the Jacobians $J_k$ of the $f_k$,

    $$\frac{\partial L}{\partial x}
      = J_1^\top J_2^\top \cdots J_n^\top \frac{\partial L}{\partial y}.$$

    Args:
        modules: the modules in order, or one mapping from names to modules.

    Raises:
        TypeError: an argument is not a Module.

    Example:
        >>> model = Sequential(Residual(Sequential()), Residual(Sequential()))
        >>> model(np.ones(2)), model.backward(np.ones(2))
        (array([4., 4.]), array([4., 4.]))
    """

    def __init__(self, *modules: Any) -> None:
        first = modules[0] if modules else None
        self._hold(first if isinstance(first, Mapping) else _numbered(modules))

    def forward(self, input: np.ndarray) -> np.ndarray:
        """Each module's output is the next one's input."""
        for module in self._modules.values():
            input = module.forward(input)
        return input

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        """Each module's input gradient is the previous one's output gradient."""
        if not self._modules:
            return dy
        first, *rest = self._modules.values()
        for module in reversed(rest):
            dy = module.backward(dy)
        if self.needs_input_grad:
            return first.backward(dy)
        first.backward_parameters(dy)
        return None

    def __getitem__(self, index: int | slice) -> Any:
        """The module at ``index``, or a Sequential of those in a slice, on the same parameters."""
        if isinstance(index, slice):
            return Sequential(dict(list(self._modules.items())[index]))
        return list(self._modules.values())[index]

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())


class ModuleList(_Container):
    """Modules in a list, for a module that uses them in its own way; it has no forward.

    Args:
        modules: the modules in order.

    Raises:
        TypeError: one of them is not a Module.

    Example:
        >>> layers = ModuleList([Sequential(), Sequential()])
        >>> len(layers), [layer(3.0) for layer in layers]
        (2, [3.0, 3.0])
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self._hold(_numbered(modules))

    def append(self, module: Module) -> "ModuleList":
        """Put a module behind the last; returns self."""
        self._hold(self._modules | {str(len(self)): module})
        return self

    def __getitem__(self, index: int | slice) -> Any:
        """The module at ``index``, or a ModuleList of those in a slice."""
        modules = list(self._modules.values())[index]
        return ModuleList(modules) if isinstance(modules, list) else modules

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())


class ModuleDict(_Container):
    """Modules by name, for a module that uses them in its own way; it has no forward.

    Args:
        modules: from names to modules.

    Raises:
        TypeError: one of them is not a Module.

    Example:
        >>> named = ModuleDict({"first": Sequential()})
        >>> "first" in named, list(named)
        (True, ['first'])
    """

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        self._hold(modules or {})

    def __getitem__(self, name: str) -> Module:
        return self._modules[name]

    def __setitem__(self, name: str, module: Module) -> None:
        self._hold(self._modules | {name: module})

    def __contains__(self, name: str) -> bool:
        return name in self._modules

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._modules.keys()

    def values(self) -> Iterable[Module]:
        """The modules."""
        return self._modules.values()

    def items(self) -> Iterable[tuple[str, Module]]:
        """The names with their modules."""
        return self._modules.items()


class Residual(Module):
    r"""A way around a module, $y = x + f(x)$: F.residual.

    torch.nn has no such layer, since there the sum is written in a forward; torch_ref.twin.models has one.

    Args:
        module: f, whose output has the shape of its input.

    Shape: x and y (\*).

    Raises:
        TypeError: f is not a Module, or x not an array.
        ValueError: f(x) has another shape than x.

    Example:
        >>> layer = Residual(Sequential())
        >>> layer(np.array([1.0, 2.0])), layer.backward(np.ones(2))
        (array([2., 4.]), array([2., 2.]))
    """

    def __init__(self, module: Module) -> None:
        if not isinstance(module, Module):
            raise TypeError(f"Residual: module is {type(module).__name__}, expected a Module")
        self.module = module

    def forward(self, input: np.ndarray) -> np.ndarray:
        """y = x + f(x)."""
        if not isinstance(input, np.ndarray):
            raise TypeError(f"Residual: input is a {type(input).__name__}, expected an array")
        z = self.module.forward(input)
        if z.shape != input.shape:
            raise ValueError(
                f"Residual: input has shape {input.shape}, f(input) {z.shape}; expected the same"
            )
        y, saved = F.residual(input, z)
        self.save(saved)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        """dx = dy + what f gives back."""
        dx, dz = F.residual_backward(dy, *self.saved())
        if self.needs_input_grad:
            return dx + self.module.backward(dz)
        self.module.backward_parameters(dz)
        return None


def _numbered(modules: Iterable[Module]) -> dict[str, Module]:
    return {str(i): module for i, module in enumerate(modules)}
