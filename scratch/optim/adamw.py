"""AdamW (PyTorch, torch/optim/adamw.py)."""

from collections.abc import Iterable
from typing import Any

from scratch.optim.adam import Adam

__all__ = ["AdamW"]


class AdamW(Adam):
    r"""Adam whose weight decay shrinks w by $1 - \eta\lambda$ before the step (Loshchilov and Hutter 2019).

    Args:
        params: Parameters or groups of them.
        lr: η.
        betas: (β₁, β₂).
        eps: ε.
        weight_decay: λ.
        amsgrad: never let the denominator shrink.
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
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True
        )
