"""Templates of whole networks, as far as they are trained."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from scratch import nn
from torch_ref.checker.diagnosis.templates.affine import chain_of_linears
from torch_ref.checker.diagnosis.templates.registry import Arrays, template


class Trained(nn.Module):
    """A network and its loss, which may be scaled: half of a sum, say."""

    def __init__(self, model: nn.Module, loss_fn: nn.Module, scale: float = 1.0) -> None:
        self.model, self.loss_fn, self.scale = model, loss_fn, scale

    def forward(self, x: np.ndarray, target: np.ndarray) -> Any:
        """The loss of the network's output."""
        y = self.model(x)
        if target.dtype.kind in "iu" and isinstance(self.loss_fn, _ALIKE_CLASSES):
            target = target.astype(y.real.dtype)
        return self.scale * self.loss_fn(y, target)

    def backward(self, dy: Any) -> Any:
        """dx."""
        return self.model.backward(self.loss_fn.backward(self.scale * dy))


_ALIKE_CLASSES = (nn.MSELoss, nn.BCELoss)


# The losses that go with what stands at the end of the network.
_ENDS = (
    ("", (nn.CrossEntropyLoss, nn.MSELoss)),
    ("Sigmoid", (nn.BCELoss, nn.MSELoss)),
    ("Softmax", (nn.MSELoss,)),
    ("Tanh", (nn.MSELoss,)),
)


@template("Linear", inputs=2, parameters=(1, 8))
def networks(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """Affine maps with an activation between them, and a loss."""
    x, t = xs
    layers = chain_of_linears(x.shape[-1], ps) if x.ndim == 2 and not y.ndim else []
    if not layers or t.shape[:1] != x.shape[:1]:
        return
    N = len(x)
    for inner in ("Tanh", "ReLU", "Sigmoid") if len(layers) > 1 else ("",):
        for end, losses_of_end in _ENDS:
            modules: list[nn.Module] = []
            for layer in layers:
                modules += [getattr(nn, inner)()] if modules else []
                modules.append(nn.Linear(*layer))
            modules += [getattr(nn, end)(*((1,) if end == "Softmax" else ()))] if end else []
            for loss in losses_of_end:
                yield Trained(nn.Sequential(*modules), loss())
                for scale in (1.0, 0.5, 1 / N, 0.5 / N):
                    yield Trained(nn.Sequential(*modules), loss(reduction="sum"), scale)
