"""Adamax (PyTorch, torch/optim/adamax.py)."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from scratch.optim.optimizer import Optimizer, State

__all__ = ["Adamax"]


class Adamax(Optimizer):
    r"""Adam that divides by the largest recent gradient (Kingma and Ba 2015, algorithm 2).

    $$m \leftarrow \beta_1 m + (1-\beta_1) g, \quad u \leftarrow \max(\beta_2 u, |g| + \epsilon), \quad
      w \leftarrow w - \frac{\eta}{1-\beta_1^t} \frac m u.$$

    It is Adam's formula for the p-norm of the gradients, p to infinity. ε stands within the maximum, as in
    torch. Weight decay λ adds $\lambda w$ to g before.

    Args:
        params: Parameters or groups of them.
        lr: η.
        betas: (β₁, β₂).
        eps: ε.
        weight_decay: λ.
        maximize: climb instead of descend.

    Raises:
        ValueError: an option is out of range.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, defaults)

    def update(self, w: np.ndarray, g: np.ndarray, state: State, group: dict[str, Any]) -> None:
        """w -= η m̂ / u."""
        beta1, beta2 = group["betas"]
        m, u = state.vector("exp_avg"), state.vector("exp_inf")
        m += (1 - beta1) * (g - m)
        u *= beta2
        np.maximum(u, np.abs(g) + group["eps"], out=u)
        w -= group["lr"] / (1 - beta1**state.step) * (m / u)
