"""Adadelta (PyTorch, torch/optim/adadelta.py)."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from scratch.optim.optimizer import Optimizer, State

__all__ = ["Adadelta"]


class Adadelta(Optimizer):
    r"""Steps as large as the steps before, by the gradient's own size (Zeiler 2012, algorithm 1).

    $$s \leftarrow \rho s + (1-\rho) g^2, \quad
      d = \frac{\sqrt{a + \epsilon}}{\sqrt{s + \epsilon}}\, g, \quad
      a \leftarrow \rho a + (1-\rho) d^2, \quad w \leftarrow w - \eta d.$$

    d has the unit of w, whatever that of g is. Weight decay λ adds $\lambda w$ to g before.

    Args:
        params: Parameters or groups of them.
        lr: η.
        rho: ρ.
        eps: ε.
        weight_decay: λ.
        maximize: climb instead of descend.

    Raises:
        ValueError: an option is out of range.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, defaults)

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        if not 0 <= group["rho"] <= 1:
            raise ValueError(f"Adadelta: rho is {group['rho']}, expected a number from 0 to 1")

    def update(self, w: np.ndarray, g: np.ndarray, state: State, group: dict[str, Any]) -> None:
        """w -= η d."""
        rho, eps = group["rho"], group["eps"]
        s, a = state.vector("square_avg"), state.vector("acc_delta")
        s *= rho
        s += (1 - rho) * (g * g)
        d = np.sqrt(a + eps) / np.sqrt(s + eps) * g
        a *= rho
        a += (1 - rho) * (d * d)
        w -= group["lr"] * d
