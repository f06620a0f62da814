"""Templates of activations, softmaxes, gates and dropout."""

from collections.abc import Iterator

import numpy as np

from scratch import functional as F
from scratch import nn
from torch_ref.checker.diagnosis.templates.registry import Arrays, template


class GatedUnit(nn.Module):
    """GLU of two arrays instead of the two halves of one."""

    def __init__(self) -> None:
        self.glu = nn.GLU()

    def forward(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """y = a σ(b)."""
        return self.glu(np.concatenate([a, b], axis=-1))

    def backward(self, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(da, db)."""
        da, db = np.split(self.glu.backward(dy), 2, axis=-1)
        return da, db


_ACTIVATIONS = (
    *("ReLU", "Sigmoid", "Tanh", "GELU", "SiLU", "ELU", "SELU", "Softplus", "Softsign", "LogSigmoid"),
    *("Mish", "Hardtanh", "ReLU6", "Hardsigmoid", "Hardswish", "Tanhshrink", "Softshrink", "Hardshrink"),
)


@template(*_ACTIVATIONS, "LeakyReLU", "CELU")
def activations(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """Activations without parameters."""
    if y.shape != xs[0].shape:
        return
    for kind in _ACTIVATIONS:
        yield getattr(nn, kind)()
    yield nn.GELU("tanh")
    for slope in (0.01, 0.1, 0.2, 0.3, 0.05, 0.02, 0.001, 0.25, 0.5):
        yield nn.LeakyReLU(slope)
    for alpha in (0.1, 0.2, 0.3, 0.5, 2.0):
        yield nn.ELU(alpha)
    for beta in (2.0, 0.5):
        yield nn.Softplus(beta)


@template("PReLU", parameters=(1, 1))
def prelu(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """The slope is a parameter, for all or for each channel."""
    if y.shape == xs[0].shape and ps[0].size in (1, *xs[0].shape[1:2]):
        yield nn.PReLU(ps[0].size)


@template("Softmax", "LogSoftmax", "Softmin")
def softmaxes(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """Softmax and its kin, along each axis."""
    if y.shape == xs[0].shape:
        for dim in reversed(range(xs[0].ndim)):
            yield from (nn.Softmax(dim), nn.LogSoftmax(dim), nn.Softmin(dim))


@template("GLU")
def glu(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """One half gates the other, along each axis."""
    if 2 * y.size == xs[0].size and y.ndim == xs[0].ndim:
        for dim in range(y.ndim):
            if 2 * y.shape[dim] == xs[0].shape[dim]:
                yield nn.GLU(dim)


@template("GLU", inputs=2)
def gated(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """a σ(b) of two arrays."""
    if xs[0].shape == xs[1].shape == y.shape and y.ndim:
        yield GatedUnit()


class Dropout(nn.Dropout):
    """nn.Dropout with the mask as an input, of 0 and 1, or of 0 and 1/(1-p)."""

    def forward(self, x: np.ndarray, mask: np.ndarray) -> np.ndarray:  # type: ignore[override]
        """y = m x, or m x / (1-p) of a mask of 0 and 1."""
        kept = (mask != 0).astype(x.real.dtype)
        return self.run(F.dropout, F.dropout_backward, (x,), (), kept, self.p)


@template("Dropout")
def dropouts(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """A mask drawn from our generator, as torch draws it."""
    if xs[0].shape == y.shape and np.any(y == 0):
        for p in (0.5, 0.1, 0.2, 0.25, 0.3, 0.4, 0.6, 0.8):
            yield nn.Dropout(p)


@template("Dropout", inputs=2)
def given_masks(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """A mask that is given."""
    x, m = xs
    if x.shape == m.shape == y.shape and len(np.unique(m)) == 2 and np.any(m == 0):
        kept = (m != 0) & (x != 0)
        yield Dropout(float(1 - np.mean(np.divide(x, y, out=np.ones_like(x), where=kept)[kept])))
