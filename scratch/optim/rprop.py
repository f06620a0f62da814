"""Rprop (PyTorch, torch/optim/rprop.py)."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from scratch.optim.optimizer import Optimizer, State

__all__ = ["Rprop"]


class Rprop(Optimizer):
    r"""Only the sign of a gradient counts; each weight has a step of its own (Riedmiller and Braun 1993).

    Where g has the sign that it had before, the step s grows, times $\eta^+$; where it has the other one, a
    minimum was passed: s shrinks, times $\eta^-$, and this time the weight stays:

    $$s \leftarrow s \cdot (\eta^+, \eta^- \text{ or } 1), \text{ within } [s_{min}, s_{max}], \qquad
      w \leftarrow w - s \operatorname{sign} g.$$

    For whole batches: the sign of a mini-batch's gradient is too often another one.

    Args:
        params: Parameters or groups of them.
        lr: s before the first step.
        etas: (η⁻, η⁺), the first below 1, the second above.
        step_sizes: the bounds of s.
        maximize: climb instead of descend.

    Raises:
        ValueError: an option is out of range.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, {"lr": lr, "etas": etas, "step_sizes": step_sizes, "maximize": maximize})

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        less, more = group["etas"]
        if not 0 < less < 1 < more:
            raise ValueError(f"Rprop: etas is {group['etas']}, expected one between 0 and 1 and one above 1")

    def update(self, w: np.ndarray, g: np.ndarray, state: State, group: dict[str, Any]) -> None:
        """w -= s sign(g)."""
        less, more = group["etas"]
        before, s = state.vector("prev"), state.vector("step_size", group["lr"])
        if state.step == 1:  # the rate may have changed since others had their first
            s[...] = group["lr"]
        agreement = g * before
        s *= np.where(agreement > 0, more, np.where(agreement < 0, less, 1)).astype(s.dtype)
        np.clip(s, *group["step_sizes"], out=s)
        before[...] = np.where(agreement < 0, 0, g)
        w -= np.sign(before) * s
