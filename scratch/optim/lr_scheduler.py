"""Learning rates that change with the epochs (PyTorch, torch/optim/lr_scheduler.py)."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from scratch.optim.optimizer import Optimizer


class LRScheduler:
    """Base class: ``step`` after each epoch sets every group's ``lr`` to what ``get_lr`` says.

    Args:
        optimizer: whose groups to set.
        last_epoch: -1 for the start, or the epoch after which to go on.

    Raises:
        TypeError: optimizer is not an Optimizer.
        KeyError: last_epoch is 0 or more, and a group does not know its initial_lr.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(
                f"{type(self).__name__}: optimizer is {type(optimizer).__name__}, wanted an Optimizer"
            )
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(
                    f"{type(self).__name__}: last_epoch is {last_epoch}, but group {i} has no initial_lr; "
                    "load the optimizer's state first"
                )
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._started = False
        self.step()
        self._started = True

    def get_lr(self) -> list[float]:
        """The learning rate of each group for epoch ``last_epoch``."""
        raise NotImplementedError

    def get_last_lr(self) -> list[float]:
        """The learning rates in force."""
        return list(self._last_lr)

    def step(self) -> None:
        """One epoch is over."""
        self.last_epoch += 1
        for group, lr in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            group["lr"] = lr
        self._last_lr = self._current()

    def _current(self) -> list[float]:
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """All of it but the optimizer and functions."""
        return {
            key: value
            for key, value in vars(self).items()
            if key not in ("optimizer", "lr_lambdas", "_started")
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what state_dict gave; the optimizer's own state has the rates.

        Raises:
            ValueError: it is another scheduler's.
        """
        if missing := sorted(set(self.state_dict()) - set(state_dict)):
            raise ValueError(
                f"{type(self).__name__}.load_state_dict: no {missing}; is it another scheduler's state?"
            )
        vars(self).update({key: value for key, value in state_dict.items() if key in self.state_dict()})


class StepLR(LRScheduler):
    r"""η · γ once every ``step_size`` epochs.

    Args:
        optimizer: whose groups to set.
        step_size: epochs between two changes.
        gamma: γ.
        last_epoch: -1 for the start, or the epoch after which to go on.

    Raises:
        ValueError: step_size is not 1 or more.
    """

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        if step_size < 1:
            raise ValueError(f"StepLR: step_size is {step_size}, wanted 1 or more")
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """γ times the rate in force, or that rate itself."""
        change = self.last_epoch > 0 and self.last_epoch % self.step_size == 0
        return [lr * self.gamma if change else lr for lr in self._current()]


class CosineAnnealingLR(LRScheduler):
    r"""From η down to η_min along half a cosine, $T_{max}$ epochs long (Loshchilov and Hutter 2017).

    $\eta_t = \eta_{min} + \frac12 (\eta - \eta_{min}) (1 + \cos(\pi t / T_{max}))$, computed as torch
    does from the rate before, so that it chains with other schedulers.

    Args:
        optimizer: whose groups to set.
        T_max: epochs from the top to the bottom.
        eta_min: η_min.
        last_epoch: -1 for the start, or the epoch after which to go on.

    Raises:
        ValueError: T_max is not 1 or more.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        if T_max < 1:
            raise ValueError(f"CosineAnnealingLR: T_max is {T_max}, wanted 1 or more")
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The cosine at last_epoch, from the rate in force."""
        t, T, low = self.last_epoch, self.T_max, self.eta_min
        if not self._started:
            return self._current()
        if (t - 1 - T) % (2 * T) == 0:
            rise = (1 - math.cos(math.pi / T)) / 2
            return [lr + (base - low) * rise for lr, base in zip(self._current(), self.base_lrs, strict=True)]
        ratio = (1 + math.cos(math.pi * t / T)) / (1 + math.cos(math.pi * (t - 1) / T))
        return [ratio * (lr - low) + low for lr in self._current()]


class LambdaLR(LRScheduler):
    """The initial rate times a function of the epoch.

    Args:
        optimizer: whose groups to set.
        lr_lambda: the function, or one for each group.
        last_epoch: -1 for the start, or the epoch after which to go on.

    The functions are not part of state_dict.

    Raises:
        ValueError: not as many functions as groups.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        groups = len(optimizer.param_groups)
        self.lr_lambdas = [lr_lambda] * groups if callable(lr_lambda) else list(lr_lambda)
        if len(self.lr_lambdas) != groups:
            raise ValueError(
                f"LambdaLR: {len(self.lr_lambdas)} functions, wanted one for each of {groups} groups"
            )
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The initial rate times the function of last_epoch."""
        return [
            base * factor(self.last_epoch)
            for base, factor in zip(self.base_lrs, self.lr_lambdas, strict=True)
        ]
