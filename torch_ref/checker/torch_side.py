"""The PyTorch side of a comparison: the same start, and one run of the twin."""

from typing import Any

import numpy as np
import torch

from scratch import nn
from scratch.copying import deep_copy
from scratch.gradcheck import Gradients, Objective, named
from scratch.gradcheck.rounding import Tensors, jitter
from scratch.nested import leaves, unflatten_as


def require_same_start(model: nn.Module, twin: torch.nn.Module, caller: str) -> None:
    """Refuse, in the name of ``caller``, two sides of other parameters or other weights.

    Raises:
        ValueError: a name, a shape or a value differs.
    """
    ours = {name: p.data for name, p in model.named_parameters()}
    theirs = {name: p.detach().numpy() for name, p in twin.named_parameters()}
    if [*ours] != [*theirs]:
        raise ValueError(f"{caller}: model has parameters {[*ours]}, twin has {[*theirs]}")
    ours |= {name: b for name, b in model.named_buffers()}
    theirs |= {name: b.numpy() for name, b in twin.named_buffers() if name in ours}
    for name in (name for name in ours if name in theirs):
        value, other = ours[name], theirs[name]
        if value.shape != other.shape:
            raise ValueError(f"{caller}: {name} is {value.shape} in model, {other.shape} in twin")
        if not np.array_equal(value, other, equal_nan=value.dtype.kind in "fc"):
            raise ValueError(f"{caller}: {name} differs between model and twin; start from the same weights")


def declared(twin: torch.nn.Module) -> set[str]:
    """The parameters whose gradient PyTorch declares to be another than the derivative.

    Those of embeddings with a padding row, which gets none, or with gradients divided by frequencies.
    """
    embeddings = [
        (name, m)
        for name, m in twin.named_modules()
        if isinstance(m, torch.nn.Embedding | torch.nn.EmbeddingBag)
        and (m.padding_idx is not None or m.scale_grad_by_freq)
    ]
    return {f"{name}.weight" if name else "weight" for name, _ in embeddings}


class _Noise:
    """Moves floating numbers by an ulp, at random; with no generator, nothing."""

    def __init__(self, rng: np.random.Generator | None) -> None:
        self.rng = rng

    def __call__(self, array: np.ndarray, alike: bool = False) -> np.ndarray:
        return array if self.rng is None or array.dtype.kind != "f" else jitter(array, self.rng, alike)


def run_torch(
    twin: torch.nn.Module,
    objective: Objective,
    loss_fn: torch.nn.Module | None = None,
    rng: np.random.Generator | None = None,
    ties: bool = False,
) -> Tensors:
    """Outputs, buffers and gradients of a torch module, on the inputs, target and cotangent of an objective.

    Given ``rng``, inputs, cotangent and weights are off by an ulp: the spread of the results is what rounding
    may do to them, whoever computes them. With ``ties``, equal numbers of an input stay equal.
    """
    noise = _Noise(rng)
    model = _copied(twin, noise)
    tensors = [_tensor(x, noise, ties) for _, x in leaves(objective.inputs)]
    with torch.random.fork_rng(devices=[]):
        y = model(*unflatten_as(objective.inputs, iter(tensors)))
        outputs = named("output", [_array(each) for _, each in leaves(y)])
        if [y.shape for y in outputs.values()] != [np.shape(y) for _, y in leaves(objective.y)]:
            return outputs  # no gradient of these can be compared with one of those
        if loss_fn is None:
            _backward(y, objective, noise)
        else:
            loss = loss_fn(y, torch.from_numpy(objective.target))
            outputs["loss"] = _array(loss)
            loss.backward()
    buffers = {f"buffer {name}": _array(b) for name, b in model.named_buffers() if b.is_floating_point()}
    gradients = Gradients(
        tuple(_grad(x) if x is not None and x.requires_grad else None for x in tensors),
        {name: _grad(p) for name, p in model.named_parameters()},
    )
    return outputs | buffers | gradients.named()


def _copied(twin: torch.nn.Module, noise: _Noise) -> torch.nn.Module:
    model = deep_copy(twin)
    model.zero_grad()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.from_numpy(noise(p.numpy())))
    return model


def _tensor(x: np.ndarray | None, noise: _Noise, ties: bool) -> torch.Tensor | None:
    if x is None:
        return None
    return torch.tensor(np.array(noise(x, ties)), requires_grad=x.dtype.kind == "f")


def _backward(y: Any, objective: Objective, noise: _Noise) -> None:
    """Differentiate the sum of all outputs, weighted by the cotangent."""
    pairs = zip(leaves(y), leaves(objective.cotangent), strict=True)
    summands = [(r, c) for (_, r), (_, c) in pairs if c is not None and r.requires_grad]
    torch.autograd.backward([r for r, _ in summands], [torch.from_numpy(noise(c)) for _, c in summands])


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().numpy()


def _grad(tensor: torch.Tensor) -> np.ndarray:
    return np.zeros(tensor.shape, np.float64) if tensor.grad is None else tensor.grad.numpy()
