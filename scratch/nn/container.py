"""Containers (PyTorch, torch/nn/modules/container.py)."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from scratch.nn.module import Module


class Sequential(Module):
    r"""Modules one behind the other; backward is the chain rule, read from right to left.

    With $y = f_n(\cdots f_2(f_1(x)))$ and the Jacobians $J_k$ of the $f_k$,

    $$\frac{\partial L}{\partial x}
      = J_1^\top J_2^\top \cdots J_n^\top \frac{\partial L}{\partial y}.$$

    Args:
        modules: the modules in order, or one mapping from names to modules.

    Raises:
        TypeError: an argument is not a Module.
    """

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        first = modules[0] if modules else None
        named = first if isinstance(first, Mapping) else {str(i): m for i, m in enumerate(modules)}
        for name, module in named.items():
            if not isinstance(module, Module):
                raise TypeError(f"Sequential: argument {name} is {type(module).__name__}, wanted a Module")
        self._modules: dict[str, Any] = dict(named)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Each module's output is the next one's input."""
        for module in self._modules.values():
            x = module.forward(x)
        return x

    def backward(self, dy: np.ndarray, needs_input_grad: bool = True) -> np.ndarray | None:
        """Each module's input gradient is the previous one's output gradient."""
        if not self._modules:
            return dy
        first, *rest = self._modules.values()
        for module in reversed(rest):
            dy = module.backward(dy)
        return first.backward(dy, needs_input_grad)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules with their names: "0", "1", …, or those that were given."""
        yield from self._modules.items()

    def __getitem__(self, index: int | slice) -> Any:
        """The module at ``index``, or a Sequential of those in a slice, on the same parameters."""
        if isinstance(index, slice):
            return Sequential(dict(list(self._modules.items())[index]))
        return list(self._modules.values())[index]

    def __getattr__(self, name: str) -> Module:
        try:
            return self.__dict__["_modules"][name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__} has no attribute or module {name!r}") from None

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())
