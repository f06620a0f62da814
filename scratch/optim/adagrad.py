"""Adagrad (PyTorch, torch/optim/adagrad.py)."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from scratch.optim.optimizer import Optimizer, State

__all__ = ["Adagrad"]


class Adagrad(Optimizer):
    r"""$s \leftarrow s + g^2$, $w \leftarrow w - \eta_t\, g / (\sqrt s + \epsilon)$ (Duchi et al. 2011).

    The rate falls as $\eta_t = \eta / (1 + (t - 1)\, d)$. Weight decay λ adds $\lambda w$ to g before.

    Args:
        params: Parameters or groups of them.
        lr: η.
        lr_decay: d.
        weight_decay: λ.
        initial_accumulator_value: s before the first step.
        eps: ε.
        maximize: climb instead of descend.

    Raises:
        ValueError: an option is out of range.
    """

    not_negative = (*Optimizer.not_negative, *("lr_decay", "initial_accumulator_value"))

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "eps": eps,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def initial(self, group: dict[str, Any]) -> dict[str, float]:
        """s before the first step; torch has it from the start."""
        return {"sum": group["initial_accumulator_value"]}

    def update(self, w: np.ndarray, g: np.ndarray, state: State, group: dict[str, Any]) -> None:
        """w -= η_t g / (√s + ε)."""
        s = state.vector("sum", group["initial_accumulator_value"])
        s += g * g
        w -= group["lr"] / (1 + (state.step - 1) * group["lr_decay"]) * g / (np.sqrt(s) + group["eps"])
