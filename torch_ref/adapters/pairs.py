"""A pair of functions, forward and backward, as a module."""

from collections.abc import Callable
from typing import Any

from scratch import nn
from torch_ref.adapters.calls import as_arrays, as_gradients, require_arity, takes


class Functions(nn.Module):
    """A pair of functions."""

    def __init__(self, forward: Callable[..., Any], backward: Callable[..., Any]) -> None:
        self.functions = forward, backward

    def forward(self, *inputs: Any) -> Any:
        """The first function; keeps the inputs for the second, or the cache that the first returns."""
        forward, backward = self.functions
        y, kept = forward(*inputs), inputs
        if isinstance(y, tuple) and takes(backward, len(y)) and not takes(backward, len(y) + len(inputs)):
            *outputs, cache = y
            y, kept = outputs[0] if len(outputs) == 1 else tuple(outputs), (cache,)
        self.save(*kept)
        return as_arrays(y)

    def backward(self, *dy: Any) -> Any:
        """The second function."""
        given = *dy, *self.saved()
        require_arity(
            self.functions[1], given, "dy and the inputs; or dy and cache, where forward returns y, cache"
        )
        return as_gradients(self.functions[1](*given))
