"""RMSprop (PyTorch, torch/optim/rmsprop.py)."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from scratch.optim.optimizer import Optimizer, State

__all__ = ["RMSprop"]


class RMSprop(Optimizer):
    r"""$v \leftarrow \alpha v + (1 - \alpha) g^2$, $w \leftarrow w - \eta\, g / (\sqrt v + \epsilon)$.

    Hinton's lecture 6e, with the ε outside of the root as torch has it. ``centered`` takes the variance
    $v - m^2$ with $m \leftarrow \alpha m + (1 - \alpha) g$ for v (Graves 2013, equation 40). Momentum μ
    collects $b \leftarrow \mu b + g / (\sqrt v + \epsilon)$ and steps along b. Weight decay λ adds
    $\lambda w$ to g before.

    Args:
        params: Parameters or groups of them.
        lr: η.
        alpha: α.
        eps: ε.
        weight_decay: λ.
        momentum: μ.
        centered: divide by the deviation, not by the root of the mean square.
        maximize: climb instead of descend.

    Raises:
        ValueError: an option is out of range.
    """

    not_negative = (*Optimizer.not_negative, *("alpha",))

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def update(self, w: np.ndarray, g: np.ndarray, state: State, group: dict[str, Any]) -> None:
        """w -= η g / (√v + ε), or η b."""
        alpha, momentum = group["alpha"], group["momentum"]
        v = state.vector("square_avg")
        v *= alpha
        v += (1 - alpha) * (g * g)
        if group["centered"]:
            m = state.vector("grad_avg")
            m += (1 - alpha) * (g - m)
            v = v - m * m
        step = g / (np.sqrt(v) + group["eps"])
        if momentum:
            b = state.vector("momentum_buffer")
            b *= momentum
            b += step
            step = b
        w -= group["lr"] * step
