"""Images whose channels come last, and samples that are columns, as the reference expects them."""

from typing import Any

import numpy as np
import torch

from scratch import nn
from scratch.nested import leaves
from torch_ref.adapters.around import Around, TorchAround
from torch_ref.adapters.shapes import without_ones

# By number of axes, the order that makes theirs of yours.
_CHANNELS_LAST = {3: (0, 2, 1), 4: (0, 3, 1, 2), 5: (0, 4, 1, 2, 3)}
_COLUMNS = {2: (1, 0)}

Orders = dict[int, tuple[int, ...]]


def orders_of(layout: str | None, columns: bool) -> Orders:
    """The orders of axes that PyTorch needs, by number of axes.

    Raises:
        ValueError: another layout.
    """
    if layout not in (None, "NCHW", "NHWC", "NLC", "NDHWC", "channels_last"):
        raise ValueError(
            f"check: layout is {layout!r}, expected 'NHWC' where your images are (n, h, w, c), 'NLC' where "
            "your sequences are (n, length, c), or None where channels come first, as PyTorch has them"
        )
    orders: Orders = {} if layout in (None, "NCHW") else dict(_CHANNELS_LAST)
    return orders | _COLUMNS if columns else orders


class TorchReordered(TorchAround):
    """A torch module whose inputs and outputs have their axes in your order."""

    def __init__(self, inner: torch.nn.Module, orders: Orders) -> None:
        super().__init__(inner)
        self.orders = orders

    def forward(self, *inputs: Any) -> Any:
        """The inner module's."""
        return _back(self.inner(*(_there(x, self.orders) for x in inputs)), self.orders)


class Reordered(Around):
    """The same for our own module of that kind."""

    def __init__(self, inner: nn.Module, orders: Orders) -> None:
        super().__init__(inner)
        self.orders = orders

    def forward(self, *inputs: Any) -> Any:
        """The inner module's."""
        return _back(self.inner(*(_there(x, self.orders) for x in inputs)), self.orders)

    def backward(self, *dy: Any) -> Any:
        """The inner module's."""
        return _back(self.inner.backward(*(_there(g, self.orders) for g in dy)), self.orders)


class TorchPicked(TorchAround):
    """A torch module that returns more than yours does, as a recurrent layer its last state: one of these."""

    def __init__(self, inner: torch.nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__(inner)
        self.shape = shape

    def forward(self, *inputs: Any) -> Any:
        """The first of the outputs that has this shape, but for axes of length 1."""
        outputs = [y for _, y in leaves(self.inner(*inputs))]
        found = next((y for y in outputs if without_ones(tuple(y.shape)) == without_ones(self.shape)), None)
        return outputs[0] if found is None else found.reshape(self.shape)


def _there(x: Any, orders: Orders) -> Any:
    """Arrays or tensors in PyTorch's order."""
    if isinstance(x, tuple):
        return tuple(_there(each, orders) for each in x)
    return _permuted(x, orders.get(x.ndim)) if hasattr(x, "ndim") else x


def _back(y: Any, orders: Orders) -> Any:
    """And back in yours."""
    if isinstance(y, tuple):
        return tuple(_back(each, orders) for each in y)
    order = orders.get(y.ndim) if hasattr(y, "ndim") else None
    return y if order is None else _permuted(y, tuple(int(a) for a in np.argsort(order)))


def _permuted(x: Any, order: tuple[int, ...] | None) -> Any:
    if order is None:
        return x
    if isinstance(x, torch.Tensor):
        return x.permute(order)
    return np.ascontiguousarray(x.transpose(order))
