"""Stochastic gradient descent (PyTorch, torch/optim/sgd.py)."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from scratch.optim.optimizer import Optimizer, State

__all__ = ["SGD"]


class SGD(Optimizer):
    r"""$w \leftarrow w - \eta\, g$, or with momentum $w \leftarrow w - \eta\, b$.

    The buffer is $b \leftarrow \mu b + (1 - \tau) g$, at the first step g itself. Nesterov's step goes
    along $g + \mu b$ (Sutskever et al. 2013, with the learning rate outside of b). Weight decay λ adds
    $\lambda w$ to g before.

    Args:
        params: Parameters or groups of them.
        lr: η.
        momentum: μ.
        dampening: τ.
        weight_decay: λ.
        nesterov: take Nesterov's step.
        maximize: climb instead of descend.

    Raises:
        ValueError: an option is out of range, or nesterov without momentum or with dampening.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError(
                f"SGD: nesterov=True with momentum={group['momentum']} and dampening={group['dampening']}; "
                "expected a momentum above 0 and no dampening"
            )

    def update(self, w: np.ndarray, g: np.ndarray, state: State, group: dict[str, Any]) -> None:
        """w -= η b."""
        momentum = group["momentum"]
        if momentum:
            b = state.vector("momentum_buffer")
            if state.step == 1:
                b[...] = g
            else:
                b *= momentum
                b += (1 - group["dampening"]) * g
            g = g + momentum * b if group["nesterov"] else b
        w -= group["lr"] * g
