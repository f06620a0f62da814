"""A loss whose target is held, so that only its other inputs are differentiated by, on either side."""

from typing import Any

import numpy as np
import torch

from scratch import nn


class AgainstTarget(nn.Module):
    """A loss whose target is held: a module of its other inputs.

    Args:
        loss_fn: a loss of several inputs.
        target: what is held.
        at: which of the inputs it is; None holds nothing.
    """

    def __init__(self, loss_fn: nn.Module, target: Any, at: int | None) -> None:
        self.loss_fn, self.target, self.at = loss_fn, target, at

    @property
    def held(self) -> dict[int, Any]:
        """The target, by its position."""
        return {} if self.at is None else {self.at: self.target}

    @held.setter
    def held(self, held: dict[int, Any]) -> None:
        self.target = held.get(self.at, self.target) if self.at is not None else None

    def forward(self, *inputs: np.ndarray) -> np.ndarray:
        """The loss, the target in the precision of the inputs."""
        if self.at is None:
            return np.asanyarray(self.loss_fn(*inputs))
        target = self.target
        if target.dtype.kind == "f":
            target = target.astype(inputs[0].real.dtype)
        return np.asanyarray(self.loss_fn(*inputs[: self.at], target, *inputs[self.at :]))

    def backward(self, dy: Any) -> Any:
        """The gradient by each input that is not held."""
        dx = self.loss_fn.backward(dy)
        if not isinstance(dx, tuple):
            return dx
        others = tuple(g for i, g in enumerate(dx) if i != self.at)
        return others if len(others) > 1 else others[0]


class TorchAgainstTarget(torch.nn.Module):
    """AgainstTarget, for PyTorch."""

    def __init__(self, loss_fn: torch.nn.Module, target: np.ndarray | None, at: int | None) -> None:
        super().__init__()
        self.loss_fn, self.target, self.at = loss_fn, target, at

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """The loss, the target in the precision of the inputs."""
        if self.target is None:
            return self.loss_fn(*inputs)
        target = torch.from_numpy(np.array(self.target))
        target = target.to(inputs[0].dtype) if target.is_floating_point() else target
        return self.loss_fn(*inputs[: self.at], target, *inputs[self.at :])
