"""Modules whose buffers lie in an object of people's, and a module under other names."""

from collections.abc import Callable
from typing import Any

import numpy as np

from scratch import nn
from torch_ref.adapters.paths import Path, get, put
from torch_ref.adapters.pieces import Piece
from torch_ref.adapters.shapes import Shape, without_ones


class Keeping(nn.Module):
    """An object, or a module, whose buffers are written into it before each forward, and read after it."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self.buffer_places: dict[str, tuple[Path, Shape]] = {}

    def hold(self, name: str, path: Path, shape: Shape) -> None:
        """Make the array that is there a buffer of this name and shape."""
        array = get(self.root, path)
        self.register_buffer(name, array.reshape(shape).copy())
        self.buffer_places[name] = path, array.shape

    def with_buffers(self, forward: Callable[..., Any], inputs: tuple[Any, ...]) -> Any:
        """forward(*inputs), which may change them."""
        for name, (path, own) in self.buffer_places.items():
            put(self.root, path, getattr(self, name).reshape(own))
        y = forward(*inputs)
        for name, (path, _) in self.buffer_places.items():
            array = np.asarray(get(self.root, path))
            shape = getattr(self, name).shape
            if without_ones(array.shape) != without_ones(shape):
                raise ValueError(
                    f"check: mine: after forward, {name} has shape {array.shape}, expected {shape}"
                )
            setattr(self, name, array.reshape(shape))
        return y


class Renamed(Keeping):
    """A module, its parameters and buffers under other names."""

    def take(self, own: str, p: nn.Parameter, pieces: tuple[Piece, ...]) -> None:
        """Call ``p`` by the name of the one piece that it is."""
        (piece,) = pieces
        if piece.axes:
            raise ValueError("check: transposed: a module of scratch.nn stores its parameters as torch does")
        setattr(self, piece.name, p)

    def forward(self, *inputs: Any) -> Any:
        """The module's own."""
        return self.with_buffers(self.root, inputs)

    def backward(self, *dy: Any) -> Any:
        """The module's own."""
        return self.root.backward(*dy)
