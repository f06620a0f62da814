"""Learning rates that change with the epochs (PyTorch, torch/optim/lr_scheduler.py)."""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

from scratch.kinds import kind_error, refuse_other_kinds
from scratch.optim.optimizer import Optimizer

Lambdas = Callable[[int], float] | Sequence[Callable[[int], float]]


class _Constructor(type):
    """Refuses arguments of other types than the constructor of one of ours names; a copy is made without."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        """Construct, if the arguments are of the right types."""
        if cls.__module__ == __name__:
            refuse_other_kinds(cls, args, kwargs)
        return super().__call__(*args, **kwargs)


class LRScheduler(metaclass=_Constructor):
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
                f"{type(self).__name__}: optimizer is {type(optimizer).__name__}, expected an Optimizer"
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
        """End an epoch."""
        self.last_epoch += 1
        self._set(self.get_lr())

    def restart(self) -> None:
        """Begin at epoch 0 with the initial rates, as the next in a SequentialLR."""
        self.last_epoch = 0
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = base
        self._set(self.get_lr())

    def _set(self, rates: Sequence[float]) -> None:
        for group, lr in zip(self.optimizer.param_groups, rates, strict=True):
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
            ValueError: it is another scheduler's, or a value is of another kind than the one here.
        """
        if not isinstance(state_dict, dict):
            raise TypeError(
                f"{type(self).__name__}.load_state_dict: state_dict is a {type(state_dict).__name__}, "
                "expected a dict"
            )
        if missing := sorted(set(self.state_dict()) - set(state_dict)):
            raise ValueError(
                f"{type(self).__name__}.load_state_dict: no {missing}; is it another scheduler's state?"
            )
        wrong = [kind_error(key, state_dict[key], own) for key, own in self.state_dict().items()]
        if any(wrong):
            raise ValueError(f"{type(self).__name__}.load_state_dict: {next(filter(None, wrong))}")
        taken = {key: value for key, value in state_dict.items() if key in self.state_dict()}
        self._refuse_without_rate(taken)
        vars(self).update(taken)

    def _refuse_without_rate(self, state: dict[str, Any]) -> None:
        """Refuse a state from which no rate can be computed, of this epoch or of the next."""
        if type(self).get_lr is LRScheduler.get_lr:
            return  # it works on the rate in force
        steps = state.get("total_steps", math.inf)
        if not 0 <= state["last_epoch"] <= steps or steps < 1:
            given = f"last_epoch is {state['last_epoch']}" + f", total_steps {steps}" * (steps != math.inf)
            raise ValueError(f"{type(self).__name__}.load_state_dict: {given}, expected one of so many steps")
        trial = copy(self)
        vars(trial).update(state)
        trial.optimizer = copy(self.optimizer)
        trial.optimizer.param_groups = [dict(group) for group in self.optimizer.param_groups]
        try:
            for _ in range(2):
                if not trial.last_epoch > getattr(trial, "total_steps", math.inf):
                    trial.get_lr()
                trial.last_epoch += 1
        except (ArithmeticError, TypeError, ValueError, LookupError) as error:
            raise ValueError(
                f"{type(self).__name__}.load_state_dict: no rate can be computed from this state: {error}"
            ) from error


class _Chained(LRScheduler):
    """The rate in force times a factor of the epoch, so that several schedulers can work on one rate."""

    def _factor(self, epoch: int) -> float:
        """The factor on the rate in force."""
        raise NotImplementedError

    def get_lr(self) -> list[float]:
        """The factor times the rate in force, which is right at the start of a run that goes on."""
        factor = self._factor(self.last_epoch) if self._started or self.last_epoch == 0 else 1.0
        return [lr * factor for lr in self._current()]


class StepLR(_Chained):
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
            raise ValueError(f"StepLR: step_size is {step_size}, expected 1 or more")
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        """γ at every multiple of step_size."""
        return self.gamma if epoch > 0 and epoch % self.step_size == 0 else 1.0


class MultiStepLR(_Chained):
    r"""η · γ at each milestone.

    Args:
        optimizer: whose groups to set.
        milestones: the epochs, in any order; γ comes as often as an epoch does.
        gamma: γ.
        last_epoch: -1 for the start, or the epoch after which to go on.
    """

    def __init__(
        self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones, self.gamma = Counter(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what state_dict gave; JSON makes texts of the epochs.

        Raises:
            ValueError: it is another scheduler's, or a value is of another kind than the one here.
        """
        given = state_dict.get("milestones") if isinstance(state_dict, dict) else None
        if isinstance(given, dict):
            try:
                counted = Counter({int(epoch): int(count) for epoch, count in given.items()})
            except (TypeError, ValueError, OverflowError):
                raise ValueError(
                    f"MultiStepLR.load_state_dict: milestones is {dict(given)!r}, expected counts"
                ) from None
            state_dict = {**state_dict, "milestones": counted}
        super().load_state_dict(state_dict)

    def _factor(self, epoch: int) -> float:
        """γ as often as the epoch is a milestone."""
        return self.gamma ** self.milestones[epoch]


class ExponentialLR(_Chained):
    r"""η · γ each epoch: $\eta_t = \eta \gamma^t$.

    Args:
        optimizer: whose groups to set.
        gamma: γ.
        last_epoch: -1 for the start, or the epoch after which to go on.
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        """γ, but for the first epoch."""
        return self.gamma if epoch > 0 else 1.0


class ConstantLR(_Chained):
    r"""η · f for so many epochs, then η.

    Args:
        optimizer: whose groups to set.
        factor: f.
        total_iters: for how many epochs.
        last_epoch: -1 for the start, or the epoch after which to go on.

    Raises:
        ValueError: f is not from 0 to 1.
    """

    def __init__(
        self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        if not 0 < factor <= 1:
            raise ValueError(f"ConstantLR: factor is {factor}, expected a number above 0, up to 1")
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        """f at the start, and 1/f at the end."""
        if epoch == 0:
            return self.factor
        return 1 / self.factor if epoch == self.total_iters else 1.0


class LinearLR(_Chained):
    r"""From η · a to η · b in a straight line, $\eta_t = \eta\,(a + (b - a)\, t/T)$ until T, then η · b.

    Args:
        optimizer: whose groups to set.
        start_factor: a.
        end_factor: b.
        total_iters: T, in epochs.
        last_epoch: -1 for the start, or the epoch after which to go on.

    Raises:
        ValueError: a is not above 0 and at most 1, or b not from 0 to 1.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 < start_factor <= 1:
            raise ValueError(
                f"LinearLR: start_factor is {start_factor}, expected a number above 0, at most 1"
            )
        if not 0 <= end_factor <= 1:
            raise ValueError(f"LinearLR: end_factor is {end_factor}, expected a number from 0 to 1")
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        """The line here by the line one epoch before."""
        a, rise, T = self.start_factor, self.end_factor - self.start_factor, self.total_iters
        if epoch == 0:
            return a
        return 1.0 if epoch > T else 1 + rise / (T * a + (epoch - 1) * rise)


class PolynomialLR(_Chained):
    r"""$\eta_t = \eta\,(1 - t/T)^p$ until T, then 0.

    Args:
        optimizer: whose groups to set.
        total_iters: T, in epochs.
        power: p.
        last_epoch: -1 for the start, or the epoch after which to go on.
    """

    def __init__(
        self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1
    ) -> None:
        if not power >= 0:
            raise ValueError(f"PolynomialLR: power is {power}, expected 0 or more")
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        """The power here by the power one epoch before."""
        if epoch == 0 or epoch > self.total_iters:
            return 1.0
        here, before = (1 - t / self.total_iters for t in (epoch, epoch - 1))
        return (here / before) ** self.power


class MultiplicativeLR(LRScheduler):
    """The rate in force times a function of the epoch, from the second epoch on.

    Args:
        optimizer: whose groups to set.
        lr_lambda: the function, or one for each group.
        last_epoch: -1 for the start, or the epoch after which to go on.

    The functions are not part of state_dict.

    Raises:
        ValueError: not as many functions as groups.
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Lambdas, last_epoch: int = -1) -> None:
        self.lr_lambdas = _for_each_group(self, optimizer, lr_lambda)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The function of last_epoch times the rate in force."""
        if not self._started:
            return self._current()
        pairs = zip(self._current(), self.lr_lambdas, strict=True)
        return [lr * factor(self.last_epoch) for lr, factor in pairs]

    def restart(self) -> None:
        """Begin with the rate in force, not the initial one."""
        self.last_epoch = 0
        self._set(self.get_lr())


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
            raise ValueError(f"CosineAnnealingLR: T_max is {T_max}, expected 1 or more")
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The cosine at last_epoch, from the rate in force."""
        t, T, low = self.last_epoch, self.T_max, self.eta_min
        if not self._started or t == 0:
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
        lr_lambda: Lambdas,
        last_epoch: int = -1,
    ) -> None:
        self.lr_lambdas = _for_each_group(self, optimizer, lr_lambda)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The initial rate times the function of last_epoch."""
        return [
            base * factor(self.last_epoch)
            for base, factor in zip(self.base_lrs, self.lr_lambdas, strict=True)
        ]


class CosineAnnealingWarmRestarts(LRScheduler):
    r"""Half a cosine from η down to η_min, again and again (Loshchilov and Hutter 2017, equation 5).

    $\eta_t = \eta_{min} + \frac12 (\eta - \eta_{min}) (1 + \cos(\pi t_i / T_i))$, t_i epochs after the last
    restart; the i-th time takes $T_i = T_0 m^i$ epochs.

    Args:
        optimizer: whose groups to set.
        T_0: epochs until the first restart.
        T_mult: m.
        eta_min: η_min.
        last_epoch: -1 for the start, or the epoch after which to go on.

    Raises:
        ValueError: T_0 or T_mult is not 1 or more.
    """

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        for name, value in (("T_0", T_0), ("T_mult", T_mult)):
            if value < 1 or not isinstance(value, int):
                raise ValueError(f"CosineAnnealingWarmRestarts: {name} is {value}, expected 1 or more")
        self.T_0, self.T_i, self.T_mult, self.eta_min = T_0, T_0, T_mult, eta_min
        self.T_cur = last_epoch
        super().__init__(optimizer, last_epoch)

    def step(self) -> None:
        """End an epoch."""
        self.T_cur += 1
        if self.T_cur >= self.T_i:
            self.T_cur %= self.T_i
            self.T_i *= self.T_mult
        super().step()

    def get_lr(self) -> list[float]:
        """The cosine since the last restart."""
        share = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (base - self.eta_min) * share for base in self.base_lrs]


class _WithMomentum(LRScheduler):
    """Base class of schedulers that move the momentum (or Adam's β₁) against the rate."""

    cycle_momentum: bool

    def _check_momentum(self, optimizer: Optimizer) -> None:
        if self.cycle_momentum and not {"momentum", "betas"} & set(optimizer.defaults):
            raise ValueError(
                f"{type(self).__name__}: cycle_momentum is True, but {type(optimizer).__name__} has neither "
                "momentum nor betas"
            )

    def _set_momentum(self, values: Sequence[float]) -> None:
        for group, value in zip(self.optimizer.param_groups, values, strict=True):
            if "betas" in group:
                group["betas"] = (value, *group["betas"][1:])
            else:
                group["momentum"] = value


class CyclicLR(_WithMomentum):
    r"""Up and down between two rates, in straight lines (Smith 2017, section 3).

    In cycle $c = \lfloor 1 + t/(u + d) \rfloor$, u epochs up and d down, the rate is base_lr + (max_lr -
    base_lr) · h · s, with h from 0 to 1 and back, and s = 1 ("triangular"), $2^{1-c}$ ("triangular2") or
    $\gamma^t$ ("exp_range"). The momentum goes the other way.

    Args:
        optimizer: whose groups to set.
        base_lr: the lower rate, one for all groups or one for each; so the others.
        max_lr: the upper rate.
        step_size_up: u.
        step_size_down: d; u if None.
        mode: what s is.
        gamma: γ.
        scale_fn: s, a function of its own.
        scale_mode: whether scale_fn is given the "cycle", c, or the "iterations", t.
        cycle_momentum: whether the momentum moves too.
        base_momentum: its lower bound.
        max_momentum: its upper bound.
        last_epoch: -1 for the start, or the epoch after which to go on.

    Raises:
        ValueError: mode is none of these, or the optimizer has no momentum to move.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | Sequence[float],
        max_lr: float | Sequence[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.8,
        max_momentum: float | Sequence[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            expected = "'triangular', 'triangular2' or 'exp_range', or a scale_fn"
            raise ValueError(f"CyclicLR: mode is {mode!r}, expected {expected}")
        self.cycle_momentum = cycle_momentum
        self._check_momentum(optimizer)
        down = step_size_up if step_size_down is None else step_size_down
        if step_size_up < 1 or down < 0:
            given = f"step_size_up is {step_size_up}, step_size_down {step_size_down}"
            raise ValueError(f"CyclicLR: {given}, expected 1 or more, and 0 or more")
        self.total_size = float(step_size_up + down)
        self.step_ratio = step_size_up / self.total_size
        self.mode, self.gamma, self.lr_lambdas, self.scale_mode = mode, gamma, scale_fn, scale_mode
        self.max_lrs, lower = (_numbers(self, optimizer, v) for v in (max_lr, base_lr))
        self.base_momentums, self.max_momentums = (
            _numbers(self, optimizer, v) for v in (base_momentum, max_momentum)
        )
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, lower, strict=True):
                group["lr"] = group["initial_lr"] = lr
        super().__init__(optimizer, last_epoch)

    def _scale(self, cycle: float) -> float:
        if self.lr_lambdas is not None:
            return self.lr_lambdas(cycle if self.scale_mode == "cycle" else self.last_epoch)
        scales = {"triangular": 1.0, "triangular2": 2.0 ** (1 - cycle)}
        return scales.get(self.mode, self.gamma**self.last_epoch)

    def get_lr(self) -> list[float]:
        """The line at last_epoch; the momentum is set on the way."""
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        height = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        height *= self._scale(cycle)
        if self.cycle_momentum:
            bounds = zip(self.base_momentums, self.max_momentums, strict=True)
            self._set_momentum([high - (high - low) * height for low, high in bounds])
        return [low + (high - low) * height for low, high in zip(self.base_lrs, self.max_lrs, strict=True)]


class OneCycleLR(_WithMomentum):
    r"""From η = max_lr / a up to max_lr and down to η / b, in one go (Smith and Topin 2019).

    The way up takes pct_start of all steps, the way down the rest; with three_phase the way down to η as many
    as the way up, and the rest from there to η / b. The momentum goes the other way.

    Args:
        optimizer: whose groups to set.
        max_lr: the highest rate, one for all groups or one for each.
        total_steps: how many steps in all; or
        epochs: so many epochs of
        steps_per_epoch: so many steps.
        pct_start: the share of the way up.
        anneal_strategy: "cos" along half a cosine, or "linear".
        cycle_momentum: whether the momentum moves too.
        base_momentum: its lower bound.
        max_momentum: its upper bound.
        div_factor: a.
        final_div_factor: b.
        three_phase: whether the way down is in two parts.
        last_epoch: -1 for the start, or the step after which to go on.

    Raises:
        ValueError: no number of steps, pct_start not from 0 to 1, another strategy, an optimizer that has no
            momentum to move, or a step too many.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        steps = total_steps if total_steps is not None else (epochs or 0) * (steps_per_epoch or 0)
        if steps < 1:
            given = f"total_steps is {total_steps}, epochs {epochs}, steps_per_epoch {steps_per_epoch}"
            raise ValueError(f"OneCycleLR: {given}, expected total_steps, or both of the others, above 0")
        if not 0 <= pct_start <= 1:
            raise ValueError(f"OneCycleLR: pct_start is {pct_start}, expected a share from 0 to 1")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"OneCycleLR: anneal_strategy is {anneal_strategy!r}, expected 'cos' or 'linear'"
            )
        self.total_steps, self.anneal_strategy, self.cycle_momentum = steps, anneal_strategy, cycle_momentum
        self._check_momentum(optimizer)
        up = float(pct_start * steps) - 1
        down = [2 * up, steps - 1.0] if three_phase else [steps - 1.0]
        self.ends = [up, *down]
        self.max_lrs = _numbers(self, optimizer, max_lr)
        self.base_momentums, self.max_momentums = (
            _numbers(self, optimizer, v) for v in (base_momentum, max_momentum)
        )
        if not all(map(math.isfinite, (*self.base_momentums, *self.max_momentums))):
            given = f"base_momentum is {base_momentum}, max_momentum {max_momentum}"
            raise ValueError(f"OneCycleLR: {given}, expected finite numbers")
        if not (div_factor and final_div_factor):
            given = f"div_factor is {div_factor}, final_div_factor {final_div_factor}"
            raise ValueError(f"OneCycleLR: {given}, expected other numbers than 0")
        self.final_div_factor = final_div_factor
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, self.max_lrs, strict=True):
                group["initial_lr"] = lr / div_factor
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The curve at this step; the momentum is set on the way."""
        step = self.last_epoch
        if step > self.total_steps:
            raise ValueError(f"OneCycleLR: this is step {step + 1} of {self.total_steps}")
        phase = next((i for i, end in enumerate(self.ends) if step <= end), len(self.ends) - 1)
        start = self.ends[phase - 1] if phase else 0.0
        share = (step - start) / (self.ends[phase] - start)
        if self.anneal_strategy == "cos":
            share = (1 - math.cos(math.pi * share)) / 2
        if self.cycle_momentum:
            pairs = zip(self.base_momentums, self.max_momentums, strict=True)
            ways = [
                ([high, low, high] if len(self.ends) == 2 else [high, low, high, high]) for low, high in pairs
            ]
            self._set_momentum([w[phase] + (w[phase + 1] - w[phase]) * share for w in ways])
        rates = []
        for base, top in zip(self.base_lrs, self.max_lrs, strict=True):
            last = base / self.final_div_factor
            way = [base, top, last] if len(self.ends) == 2 else [base, top, base, last]
            rates.append(way[phase] + (way[phase + 1] - way[phase]) * share)
        return rates


class _Several(LRScheduler):
    """Base class of schedulers that run other schedulers."""

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer) -> None:
        name = type(self).__name__
        if not schedulers:
            raise ValueError(f"{name}: schedulers is empty, expected one or more")
        for i, scheduler in enumerate(schedulers):
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ValueError(f"{name}: scheduler {i} is a ReduceLROnPlateau, whose step needs a number")
            if scheduler.optimizer is not optimizer:
                raise ValueError(f"{name}: scheduler {i} is another optimizer's")
        self.optimizer, self._schedulers = optimizer, list(schedulers)
        self._last_lr = self._current()

    def state_dict(self) -> dict[str, Any]:
        """All of it but the optimizer and functions."""
        own = super().state_dict()
        return own | {"_schedulers": [scheduler.state_dict() for scheduler in self._schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what state_dict gave; the optimizer's own state has the rates.

        Raises:
            ValueError: it is another scheduler's.
        """
        inner = state_dict.get("_schedulers", []) if isinstance(state_dict, dict) else []
        if not isinstance(inner, list | tuple):
            raise TypeError(
                f"{type(self).__name__}.load_state_dict: _schedulers is {inner!r}, expected a list"
            )
        if len(inner) != len(self._schedulers):
            given, expected = len(inner), len(self._schedulers)
            raise ValueError(
                f"{type(self).__name__}.load_state_dict: {given} schedulers, expected {expected}"
            )
        mine = self._schedulers
        super().load_state_dict(state_dict)
        self._schedulers = mine
        for scheduler, state in zip(mine, inner, strict=True):
            scheduler.load_state_dict(state)


class SequentialLR(_Several):
    """One scheduler after the other, each from its own epoch 0.

    Args:
        optimizer: whose groups to set.
        schedulers: of this optimizer, in order.
        milestones: the epochs at which the second, third, … begins.
        last_epoch: -1.

    Raises:
        ValueError: no scheduler, one of another optimizer, a ReduceLROnPlateau, or not one milestone less
            than schedulers.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None:
        if len(milestones) != len(schedulers) - 1:
            given = f"{len(schedulers)} schedulers and {len(milestones)} milestones"
            raise ValueError(f"SequentialLR: {given}, expected one milestone less than schedulers")
        super().__init__(schedulers, optimizer)
        self._milestones, self.last_epoch = list(milestones), last_epoch + 1
        self._schedulers[0].restart()
        self._last_lr = self._current()

    def step(self) -> None:
        """End an epoch."""
        self.last_epoch += 1
        i = bisect_right(self._milestones, self.last_epoch)
        if i and self._milestones[i - 1] == self.last_epoch:
            self._schedulers[i].restart()
        else:
            self._schedulers[i].step()
        self._last_lr = self._current()


class ChainedScheduler(_Several):
    """Several schedulers at once, each working on what the one before left.

    Args:
        schedulers: of one optimizer, in order.
        optimizer: whose groups to set; the first scheduler's if None.

    Raises:
        ValueError: no scheduler, one of another optimizer, or a ReduceLROnPlateau.
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        super().__init__(schedulers, optimizer or schedulers[0].optimizer)

    def step(self) -> None:
        """End an epoch."""
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = self._current()


class ReduceLROnPlateau(LRScheduler):
    r"""η · f whenever a number has not become better for more than ``patience`` epochs.

    Better is: below best · (1 - threshold), or above best · (1 + threshold), or ("abs") by threshold.

    Args:
        optimizer: whose groups to set.
        mode: whether the number is to become small, "min", or large, "max".
        factor: f, below 1.
        patience: so many epochs are waited.
        threshold: by how much better it has to be.
        threshold_mode: "rel" by a share of the best, or "abs".
        cooldown: for so many epochs after a change nothing counts.
        min_lr: no rate falls below; one for all groups or one for each.
        eps: a change of less is not made.

    Raises:
        ValueError: f is not below 1, or mode or threshold_mode is another.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0,
        eps: float = 1e-8,
    ) -> None:
        if factor >= 1:
            raise ValueError(f"ReduceLROnPlateau: factor is {factor}, expected less than 1")
        for name, value, expected in (
            ("mode", mode, ("min", "max")),
            ("threshold_mode", threshold_mode, ("rel", "abs")),
        ):
            if value not in expected:
                raise ValueError(f"ReduceLROnPlateau: {name} is {value!r}, expected one of {expected}")
        self.optimizer, self.mode, self.factor, self.patience = optimizer, mode, factor, patience
        self.threshold, self.threshold_mode, self.cooldown = threshold, threshold_mode, cooldown
        self.min_lrs, self.eps = _numbers(self, optimizer, min_lr), eps
        self.best = math.inf if mode == "min" else -math.inf
        self.cooldown_counter = self.num_bad_epochs = self.last_epoch = 0
        self._last_lr = self._current()

    def step(self, metrics: float) -> None:  # type: ignore[override]
        """One epoch is over, and this is the number.

        Raises:
            TypeError: it is none.
        """
        try:
            number = float(metrics)
        except (TypeError, ValueError, OverflowError):
            raise TypeError(f"ReduceLROnPlateau.step: metrics is {metrics!r}, expected a number") from None
        self.last_epoch += 1
        if self._is_better(number):
            self.best, self.num_bad_epochs = number, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
            lower = [max(lr * self.factor, m) for lr, m in zip(self._current(), self.min_lrs, strict=True)]
            pairs = zip(self._current(), lower, strict=True)
            self._set([new if lr - new > self.eps else lr for lr, new in pairs])
        self._last_lr = self._current()

    def _is_better(self, number: float) -> bool:
        sign = 1 if self.mode == "min" else -1
        if self.threshold_mode == "abs":
            return sign * number < sign * self.best - self.threshold
        return sign * number < sign * self.best * (1 - sign * self.threshold)


def _for_each_group(
    scheduler: LRScheduler, optimizer: Optimizer, lr_lambda: Lambdas
) -> list[Callable[[int], float]]:
    groups = len(optimizer.param_groups)
    functions = [lr_lambda] * groups if callable(lr_lambda) else lr_lambda
    if not isinstance(functions, list | tuple) or not all(map(callable, functions)):
        raise TypeError(
            f"{type(scheduler).__name__}: lr_lambda is {lr_lambda!r}, expected a function of the epoch, "
            "or a list of them"
        )
    if len(functions) != groups:
        raise ValueError(
            f"{type(scheduler).__name__}: {len(functions)} functions, "
            f"expected one for each of {groups} groups"
        )
    return list(functions)


def _numbers(scheduler: LRScheduler, optimizer: Optimizer, value: float | Sequence[float]) -> list[float]:
    groups = len(optimizer.param_groups)
    values = list(value) if isinstance(value, Sequence) else [value] * groups
    if len(values) != groups:
        raise ValueError(
            f"{type(scheduler).__name__}: {len(values)} numbers, expected one for each of {groups} groups"
        )
    return values
