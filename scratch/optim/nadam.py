"""NAdam (PyTorch, torch/optim/nadam.py)."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from scratch.optim.optimizer import Optimizer, State

__all__ = ["NAdam"]


class NAdam(Optimizer):
    r"""Adam that looks one step ahead, with Nesterov's momentum (Dozat 2016, algorithm 8).

    $$\mu_t = \beta_1 \bigl(1 - \tfrac12\, 0.96^{t\psi}\bigr), \qquad M_t = \prod_{i \le t} \mu_i, \qquad
      \hat m = \frac{\mu_{t+1}}{1 - M_{t+1}} m + \frac{1 - \mu_t}{1 - M_t} g, \qquad
      w \leftarrow w - \eta \frac{\hat m}{\sqrt{\hat v} + \epsilon},$$

    with Adam's m and $\hat v$. Weight decay λ adds $\lambda w$ to g before or, decoupled, shrinks w by
    $1 - \eta\lambda$ instead. torch keeps M in single precision, and so do we.

    Args:
        params: Parameters or groups of them.
        lr: η.
        betas: (β₁, β₂).
        eps: ε.
        weight_decay: λ.
        momentum_decay: ψ.
        decoupled_weight_decay: shrink w directly, as AdamW.
        maximize: climb instead of descend.

    Raises:
        ValueError: an option is out of range.
    """

    not_negative = (*Optimizer.not_negative, *("momentum_decay",))

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def numbers(self, group: dict[str, Any]) -> dict[str, float]:
        """M before the first step."""
        return {"mu_product": 1.0}

    def update(self, w: np.ndarray, g: np.ndarray, state: State, group: dict[str, Any]) -> None:
        """w -= η m̂ / (√v̂ + ε)."""
        (beta1, beta2), lr, t = group["betas"], group["lr"], state.step
        mu, next_mu = (beta1 * (1 - 0.5 * 0.96 ** (i * group["momentum_decay"])) for i in (t, t + 1))
        product = float(np.float32(state.numbers["mu_product"]) * np.float32(mu))
        state.numbers["mu_product"] = product
        m, v = state.vector("exp_avg"), state.vector("exp_avg_sq")
        m += (1 - beta1) * (g - m)
        v *= beta2
        v += (1 - beta2) * (g * g)
        denominator = np.sqrt(v / (1 - beta2**t)) + group["eps"]
        w -= lr * (1 - mu) / (1 - product) * (g / denominator)
        w -= lr * next_mu / (1 - product * next_mu) * (m / denominator)
