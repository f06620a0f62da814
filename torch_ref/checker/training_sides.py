"""Copies of both sides in training, and how far apart their weights, buffers and optimizers are."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from scratch import nn, optim
from scratch.gradcheck.rounding import Tensors
from torch_ref.twin.memory import torch_generator


class Side:
    """A copy of one side in training."""

    side: str
    model: Any
    loss_fn: Any
    optimizer: Any

    def gradient(self, x: np.ndarray, target: np.ndarray) -> float:
        """Forward and backward; the loss."""
        raise NotImplementedError

    def step(self, x: np.ndarray, target: np.ndarray) -> float:
        """Forward, backward and update; the loss before the update."""
        loss = self.gradient(x, target)
        self.optimizer.step()
        return loss

    def weights(self) -> Tensors:
        """The memory of the parameters."""
        return {name: np.asarray(p.data) for name, p in self.model.named_parameters()}

    def gradients(self) -> Tensors:
        """The memory of their gradients; 0 where there is none."""
        parameters = self.model.named_parameters()
        return {name: np.zeros(p.shape) if p.grad is None else np.asarray(p.grad) for name, p in parameters}

    def buffers(self) -> Tensors:
        """The memory of the floating buffers."""
        arrays = {name: np.asarray(b) for name, b in self.model.named_buffers()}
        return {name: array for name, array in arrays.items() if array.dtype.kind == "f"}


class NumpySide(Side):
    """The NumPy side; it draws from torch's generator."""

    side = "NumPy"

    def __init__(self, model: nn.Module, loss_fn: nn.Loss, optimizer: Callable, dtype: np.dtype) -> None:
        self.model, self.loss_fn = copy.deepcopy(model).to(dtype), copy.deepcopy(loss_fn).to(dtype)
        self.dtype = dtype
        self.optimizer = optimizer(list(self.model.parameters()))

    def gradient(self, x: np.ndarray, target: np.ndarray) -> float:
        """Forward and backward; the loss."""
        x, target = (_cast_copy(a, self.dtype) for a in (x, target))
        self.optimizer.zero_grad()
        with torch_generator():
            loss = self.loss_fn(self.model(x), target)
        self.model.backward_parameters(self.loss_fn.backward())
        return float(loss)


class TorchSide(Side):
    """The PyTorch side."""

    side = "PyTorch"

    def __init__(
        self, model: torch.nn.Module, loss_fn: torch.nn.Module, optimizer: Callable, dtype: np.dtype
    ) -> None:
        kind = getattr(torch, dtype.name)
        self.model, self.loss_fn = (copy.deepcopy(each).to(kind) for each in (model, loss_fn))
        self.dtype = dtype
        self.optimizer = optimizer(list(self.model.parameters()))

    def gradient(self, x: np.ndarray, target: np.ndarray) -> float:
        """Forward and backward; the loss."""
        tensors = [torch.from_numpy(_cast_copy(a, self.dtype)) for a in (x, target)]
        self.optimizer.zero_grad()
        loss = self.loss_fn(self.model(tensors[0]), tensors[1])
        loss.backward()
        return float(loss.detach())


def _cast_copy(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return array.astype(dtype) if array.dtype.kind == "f" else array.copy()


def distances(a: Side, b: Side) -> dict[str, float]:
    """How far apart each parameter and each buffer is, by the largest entry of its kind."""
    found: dict[str, float] = {}
    for ours, theirs in ((a.weights(), b.weights()), (a.buffers(), b.buffers())):
        size = max((_largest(array) for array in theirs.values()), default=0.0) or 1.0
        found |= {name: _largest(ours[name] - array) / size for name, array in theirs.items() if name in ours}
    return found


def _largest(array: np.ndarray) -> float:
    return float(np.max(np.abs(array), initial=0))


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    return _largest(a - b) / (_largest(b) or 1.0)


def state_distance(ours: optim.Optimizer, theirs: torch.optim.Optimizer) -> float:
    """The largest distance of two vectors of the same name, such as exp_avg."""
    mine, its = ours.state_dict()["state"], theirs.state_dict()["state"]
    pairs = [
        (np.asarray(mine[index][name]), value.numpy())
        for index, vectors in its.items()
        for name, value in vectors.items()
        if isinstance(value, torch.Tensor) and value.is_floating_point()
    ]
    return max((_distance(a, b) for a, b in pairs), default=0.0)
