"""Templates of affine maps: alone, followed by an activation, and one after the other."""

import itertools
from collections.abc import Iterator

import numpy as np

from scratch import nn
from torch_ref.checker.diagnosis.templates.registry import Arrays, template


class TransposedLinear(nn.Module):
    """y = W x + b: the samples are columns."""

    def __init__(self, linear: nn.Module) -> None:
        self.linear = linear

    def forward(self, x: np.ndarray) -> np.ndarray:
        """W x + b."""
        return self.linear(x.T).T

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Wᵀ dy."""
        return self.linear.backward(dy.T).T


def chain_of_linears(D: int, ps: Arrays) -> list[tuple[int, int, bool]]:
    """(in, out, bias) of affine maps made of these arrays, in their order; [] if they are none."""
    layers: list[tuple[int, int, bool]] = []
    left = list(ps)
    while left:
        at = next((i for i, p in enumerate(left) if p.ndim == 2 and p.size > 1 and D in p.shape), None)
        if at is None:
            return []
        rows, columns = left.pop(at).shape
        H = rows if columns == D else columns
        at = next((i for i, p in enumerate(left) if (p.size == H and p.ndim <= 1) or p.shape == (1, H)), None)
        if at is not None:
            left.pop(at)
        layers.append((D, H, at is not None))
        D = H
    return layers


@template("Linear", parameters=(1, 8))
def linears(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """One affine map or several, and what usually stands between and behind them."""
    x = xs[0]
    layers = chain_of_linears(x.shape[-1], ps) if x.ndim else []
    if not layers or y.shape != (*x.shape[:-1], layers[-1][1]):
        return
    if len(layers) == 1:
        yield nn.Linear(*layers[0])
    between = ("Tanh", "ReLU", "Sigmoid") if len(layers) > 1 else ("",)
    ends: tuple[str, ...] = ("", "Tanh", "ReLU", "Sigmoid", "Softmax", "GELU", "SiLU", "LogSoftmax")
    for inner, end in itertools.product(between, ends):
        modules: list[nn.Module] = []
        for layer in layers:
            modules += [getattr(nn, inner)()] if modules else []
            modules.append(nn.Linear(*layer))
        if end or len(layers) > 1:
            last = [getattr(nn, end)(*((-1,) if "oftmax" in end else ()))] if end else []
            yield nn.Sequential(*modules, *last)


@template("Linear", parameters=(1, 2))
def columns(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """An affine map of samples that are columns."""
    x = xs[0]
    layers = chain_of_linears(x.shape[0], ps) if x.ndim == 2 else []
    if len(layers) == 1 and y.shape == (layers[0][1], x.shape[1]):
        yield TransposedLinear(nn.Linear(*layers[0]))


@template("Bilinear", inputs=2, parameters=(1, 2))
def bilinears(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """x₁ᵀ W x₂ + b."""
    W = next((p for p in ps if p.ndim == 3), None)
    if W is not None and xs[0].ndim and xs[1].ndim and W.shape[1:] == (xs[0].shape[-1], xs[1].shape[-1]):
        yield nn.Bilinear(W.shape[1], W.shape[2], W.shape[0], len(ps) > 1)
