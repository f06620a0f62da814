"""Modules around another, whose names of parameters, buffers and modules they leave as they are."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from scratch import nn


class Around(nn.Module):
    """A module that calls another with other arguments, or gives other results."""

    def __init__(self, inner: nn.Module) -> None:
        self.inner = inner

    @property
    def misshapen(self) -> dict[str, np.ndarray]:
        """The gradients of another shape than their parameter's; see objects.Adapted."""
        return getattr(self.inner, "misshapen", {})

    @property
    def remarks(self) -> tuple[str, ...]:
        """The inner module's; see objects.Adapted."""
        return getattr(self.inner, "remarks", ())

    def named_modules(self) -> Iterator[tuple[str, nn.Module]]:
        """This module, and the inner ones by their names."""
        yield "", self
        yield from self.inner.named_modules()

    def named_parameters(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, nn.Parameter]]:
        """The inner module's."""
        return self.inner.named_parameters(prefix, recurse)

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, np.ndarray]]:
        """The inner module's."""
        return self.inner.named_buffers(prefix, recurse)

    def to(self, dtype: Any) -> nn.Module:
        """Convert the inner module."""
        self.inner.to(dtype)
        return self

    def train(self, mode: bool = True) -> nn.Module:
        """Switch the inner module as well."""
        self.inner.train(mode)
        self.training = mode
        return self

    def zero_grad(self) -> None:
        """Set every gradient to None, and forget forwards that no backward followed."""
        self.inner.zero_grad()

    def __repr__(self) -> str:
        return repr(self.inner)


class TorchAround(torch.nn.Module):
    """Around, for PyTorch."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def named_parameters(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, torch.nn.Parameter]]:
        """The inner module's."""
        return self.inner.named_parameters(*args, **kwargs)

    def named_buffers(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, torch.Tensor]]:
        """The inner module's."""
        return self.inner.named_buffers(*args, **kwargs)
