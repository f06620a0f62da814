"""Adam (PyTorch, torch/optim/adam.py)."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from scratch.optim.optimizer import Optimizer, State

__all__ = ["Adam"]


class Adam(Optimizer):
    r"""A step of about η along each axis, however large the gradient (Kingma and Ba 2015, algorithm 1).

    $$m \leftarrow \beta_1 m + (1-\beta_1) g, \quad v \leftarrow \beta_2 v + (1-\beta_2) g^2, \quad
      w \leftarrow w - \eta \frac{m / (1-\beta_1^t)}{\sqrt{v / (1-\beta_2^t)} + \epsilon}.$$

    The divisions by $1-\beta^t$ undo that m and v start at 0. ``amsgrad`` divides by the largest v so far
    (Reddi et al. 2018, algorithm 2). Weight decay λ adds $\lambda w$ to g before or, decoupled, shrinks w
    by $1 - \eta\lambda$ instead.

    Args:
        params: Parameters or groups of them.
        lr: η.
        betas: (β₁, β₂).
        eps: ε.
        weight_decay: λ.
        amsgrad: never let the denominator shrink.
        maximize: climb instead of descend.
        decoupled_weight_decay: shrink w directly, as AdamW.

    Raises:
        ValueError: an option is out of range.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def update(self, w: np.ndarray, g: np.ndarray, state: State, group: dict[str, Any]) -> None:
        """w -= η m̂ / (√v̂ + ε)."""
        beta1, beta2 = group["betas"]
        lr = group["lr"]
        m, v = state.vector("exp_avg"), state.vector("exp_avg_sq")
        m += (1 - beta1) * (g - m)
        v *= beta2
        v += (1 - beta2) * (g * g)
        if group["amsgrad"]:
            largest = state.vector("max_exp_avg_sq")
            v = np.maximum(largest, v, out=largest)
        correction1, correction2 = 1 - beta1**state.step, 1 - beta2**state.step
        w -= lr / correction1 * m / (np.sqrt(v) / math.sqrt(correction2) + group["eps"])
