"""All optimizers, with each option."""

from dataclasses import dataclass
from typing import Any

import torch

from scratch import optim


@dataclass(frozen=True)
class OptimizerCase:
    """An optimizer of scratch.optim and torch.optim: its class and options."""

    kind: str
    options: dict[str, Any]

    @property
    def name(self) -> str:
        """The constructor's call, as a test's name."""
        return f"{self.kind}({', '.join(f'{k}={v!r}' for k, v in self.options.items())})"

    def make(self, params: Any) -> optim.Optimizer:
        """Ours."""
        return getattr(optim, self.kind)(params, **self.options)

    def make_torch(self, params: Any) -> torch.optim.Optimizer:
        """Torch's."""
        return getattr(torch.optim, self.kind)(params, **self.options)


OPTIMIZERS: tuple[OptimizerCase, ...] = tuple(
    OptimizerCase(kind, {"lr": 0.05, **options})
    for kind, choices in {
        "SGD": (
            {},
            {"weight_decay": 0.1},
            {"momentum": 0.9},
            {"momentum": 0.9, "dampening": 0.3},
            {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
            {"momentum": 0.9, "maximize": True},
        ),
        "Adagrad": (
            {},
            {"lr_decay": 0.1, "weight_decay": 0.1},
            {"initial_accumulator_value": 0.5, "eps": 1e-3},
            {"maximize": True},
        ),
        "RMSprop": (
            {},
            {"alpha": 0.9, "eps": 1e-3, "weight_decay": 0.1},
            {"momentum": 0.9},
            {"centered": True},
            {"momentum": 0.9, "centered": True, "maximize": True},
        ),
        "Adam": (
            {},
            {"betas": (0.5, 0.9), "eps": 1e-3},
            {"weight_decay": 0.1},
            {"amsgrad": True},
            {"weight_decay": 0.1, "amsgrad": True, "maximize": True},
            {"weight_decay": 0.1, "decoupled_weight_decay": True},
        ),
        "AdamW": ({}, {"weight_decay": 0.3, "amsgrad": True}, {"betas": (0.5, 0.9), "maximize": True}),
        "Adadelta": (
            {},
            {"lr": 2.0, "rho": 0.5, "eps": 1e-3},
            {"weight_decay": 0.1, "maximize": True},
        ),
        "Adamax": (
            {},
            {"betas": (0.5, 0.9), "eps": 0.1},
            {"weight_decay": 0.1, "maximize": True},
        ),
        "NAdam": (
            {},
            {"betas": (0.5, 0.9), "eps": 0.1, "momentum_decay": 0.3},
            {"weight_decay": 0.1},
            {"weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True},
        ),
        "RAdam": (
            {},
            {"betas": (0.5, 0.9), "eps": 0.1},
            {"weight_decay": 0.1},
            {"weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True},
        ),
        "Rprop": ({}, {"etas": (0.3, 2.0), "step_sizes": (0.01, 0.2)}, {"maximize": True}),
        "ASGD": (
            {},
            {"lambd": 0.3, "alpha": 0.5, "t0": 10.0},
            {"weight_decay": 0.1, "maximize": True},
        ),
    }.items()
    for options in choices
)
