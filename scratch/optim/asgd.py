"""ASGD (PyTorch, torch/optim/asgd.py)."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from scratch.optim.optimizer import Optimizer, State

__all__ = ["ASGD"]

# Of a number near 1: a larger one overflows, and no rate decays so fast.
LARGEST_POWER = 1000


class ASGD(Optimizer):
    r"""SGD with a falling rate, beside which the mean of the weights is kept (Polyak and Juditsky 1992).

    $$w \leftarrow (1 - \lambda \eta_t)\, w - \eta_t g, \qquad
      a \leftarrow a + \mu_t (w - a), \qquad
      \eta_{t+1} = \frac{\eta}{(1 + \lambda \eta t)^\alpha}, \qquad \mu_{t+1} = \frac{1}{\max(1, t - t_0)}.$$

    a, "ax" of the state, is w itself until t₀ and from then on the mean since; it is for the user to take, as
    in torch. torch keeps $\eta_t$ and $\mu_t$ in single precision, and so do we.

    Args:
        params: Parameters or groups of them.
        lr: η.
        lambd: λ.
        alpha: α.
        t0: t₀.
        weight_decay: times w is added to g before.
        maximize: climb instead of descend.

    Raises:
        ValueError: an option is out of range.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check(self, group: dict[str, Any]) -> None:
        """Refuse options of another kind or out of range."""
        super()._check(group)
        if abs(group["alpha"]) > LARGEST_POWER:
            raise ValueError(f"ASGD: alpha is {group['alpha']}, expected a power of at most {LARGEST_POWER}")

    def numbers(self, group: dict[str, Any]) -> dict[str, float]:
        """η and μ of the first step."""
        return {"eta": float(np.float32(group["lr"])), "mu": 1.0}

    def update(self, w: np.ndarray, g: np.ndarray, state: State, group: dict[str, Any]) -> None:
        """w = (1 - λ η_t) w - η_t g, a += μ_t (w - a)."""
        lambd, lr, t = group["lambd"], group["lr"], state.step
        eta, mu = state.numbers["eta"], state.numbers["mu"]
        w *= 1 - lambd * eta
        w -= eta * g
        a = state.vector("ax")
        a += mu * (w - a)
        rates = {"eta": lr / (1 + lambd * lr * t) ** group["alpha"], "mu": 1 / max(1, t - group["t0"])}
        state.numbers.update({name: float(np.float32(value)) for name, value in rates.items()})
