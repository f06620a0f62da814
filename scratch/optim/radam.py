"""RAdam (PyTorch, torch/optim/radam.py)."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from scratch.optim.optimizer import Optimizer, State

__all__ = ["RAdam"]


class RAdam(Optimizer):
    r"""Adam that trusts its v only after enough gradients (Liu et al. 2020, algorithm 2).

    v is a mean of about $\rho_t$ squares, $\rho_t = \rho_\infty - 2 t \beta_2^t / (1 - \beta_2^t)$ with
    $\rho_\infty = 2/(1-\beta_2) - 1$. Of few, its variance is large or there is none; so

    $$w \leftarrow w - \eta\, \hat m\; r_t \frac{\sqrt{1-\beta_2^t}}{\sqrt v + \epsilon}
      \text{ if } \rho_t > 5, \text{ else } w - \eta\, \hat m, \qquad
      r_t = \sqrt{\frac{(\rho_t - 4)(\rho_t - 2) \rho_\infty}{(\rho_\infty - 4)(\rho_\infty - 2) \rho_t}},$$

    with Adam's v and $\hat m$. Weight decay λ adds $\lambda w$ to g before or, decoupled, shrinks w by
    $1 - \eta\lambda$ instead.

    Args:
        params: Parameters or groups of them.
        lr: η.
        betas: (β₁, β₂).
        eps: ε.
        weight_decay: λ.
        decoupled_weight_decay: shrink w directly, as AdamW.
        maximize: climb instead of descend.

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
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def update(self, w: np.ndarray, g: np.ndarray, state: State, group: dict[str, Any]) -> None:
        """w -= η m̂ r √(1 - β₂^t) / (√v + ε), or η m̂ alone."""
        (beta1, beta2), lr, t = group["betas"], group["lr"], state.step
        m, v = state.vector("exp_avg"), state.vector("exp_avg_sq")
        m += (1 - beta1) * (g - m)
        v *= beta2
        v += (1 - beta2) * (g * g)
        correction = 1 - beta2**t
        limit = 2 / (1 - beta2) - 1
        length = limit - 2 * t * beta2**t / correction
        d = lr / (1 - beta1**t) * m
        if length > 5:
            r = ((length - 4) * (length - 2) * limit / ((limit - 4) * (limit - 2) * length)) ** 0.5
            d *= r * correction**0.5 / (np.sqrt(v) + group["eps"])
        w -= d
