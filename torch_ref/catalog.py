"""What exists, once: each module, loss and optimizer, how it is made, and on what inputs.

Tests, the report and the checks walk these lists. To add a layer is to write its file and its line here.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from scratch import nn, optim

Draw = Callable[[np.random.Generator, Any], np.ndarray]


def normal(*shape: int) -> Draw:
    """Draws N(0, 1)."""
    return lambda rng, dtype: rng.standard_normal(shape).astype(dtype)


def unit(*shape: int) -> Draw:
    """Draws U(0, 1) off the ends, as for probabilities of one thing."""
    return lambda rng, dtype: rng.uniform(0.05, 0.95, shape).astype(dtype)


def log_probabilities(*shape: int) -> Draw:
    """Draws the log-softmax along axis 1 (or 0, if it is the only one) of N(0, 1)."""

    def draw(rng: np.random.Generator, dtype: Any) -> np.ndarray:
        x = rng.standard_normal(shape)
        return (x - np.log(np.sum(np.exp(x), axis=min(1, len(shape) - 1), keepdims=True))).astype(dtype)

    return draw


def probabilities(*shape: int) -> Draw:
    """Draws positive numbers that sum to 1 along axis 1 (or 0, if it is the only one)."""
    draw = log_probabilities(*shape)
    return lambda rng, dtype: np.exp(draw(rng, np.float64)).astype(dtype)


def classes(count: int, *shape: int) -> Draw:
    """Draws int64 classes from 0 to count - 1."""
    return lambda rng, dtype: rng.integers(0, count, shape)


def ignoring(index: int, draw: Draw) -> Draw:
    """What ``draw`` draws, its first element replaced by the class that is to be ignored."""

    def drawn(rng: np.random.Generator, dtype: Any) -> np.ndarray:
        target = draw(rng, dtype)
        target.reshape(-1)[0] = index
        return target

    return drawn


@dataclass(frozen=True)
class Case:
    """A module of scratch.nn and torch.nn: its class, constructor arguments, and inputs to try it on."""

    kind: str
    inputs: tuple[Draw, ...]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The constructor's call, as a test's name."""
        kwargs = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in self.kwargs.items()}
        told = [*map(repr, self.args), *(f"{k}={v!r}" for k, v in kwargs.items())]
        return f"{self.kind}({', '.join(told)})"

    def make(self, dtype: Any) -> nn.Module:
        """The module, its parameters and buffers in ``dtype``."""
        return getattr(nn, self.kind)(*self.args, **self.kwargs).to(dtype)

    def draw(self, dtype: Any, seed: int = 0) -> tuple[np.ndarray, ...]:
        """Inputs, floating ones in ``dtype``."""
        rng = np.random.default_rng(seed)
        return tuple(draw(rng, dtype) for draw in self.inputs)

    @property
    def target(self) -> int | None:
        """Which input is held: the one that forward calls target. None if there is none."""
        names = list(inspect.signature(getattr(nn, self.kind).forward).parameters)[1:]
        return names.index("target") if "target" in names else None


_WEIGHT = np.array([0.5, 2.0, 1.0, 0.25, 3.0])

MODULES: tuple[Case, ...] = (
    Case("Linear", (normal(4, 5),), (5, 3)),
    Case("Linear", (normal(4, 5),), (5, 3), {"bias": False}),
    Case("Linear", (normal(4, 5),), (5, 5)),
    Case("Linear", (normal(5),), (5, 3)),
    Case("Linear", (normal(2, 3, 4, 5),), (5, 3)),
    Case("Identity", (normal(4, 5),)),
    Case("Flatten", (normal(4, 2, 3),)),
    Case("Flatten", (normal(4, 2, 3, 5),), (), {"start_dim": 2, "end_dim": 3}),
    Case("Flatten", (normal(4, 2, 3),), (), {"start_dim": 0, "end_dim": -2}),
    Case("ReLU", (normal(4, 5),)),
    Case("ReLU", (normal(5),)),
    Case("LeakyReLU", (normal(4, 5),)),
    Case("LeakyReLU", (normal(4, 5),), (), {"negative_slope": 0.3}),
    Case("Sigmoid", (normal(4, 5),)),
    Case("Tanh", (normal(4, 5),)),
    Case("Softmax", (normal(4, 5),), (), {"dim": 1}),
    Case("Softmax", (normal(3, 4, 5),), (), {"dim": 0}),
    Case("Softmax", (normal(5),), (), {"dim": -1}),
    Case("LogSoftmax", (normal(4, 5),), (), {"dim": 1}),
    Case("LogSoftmax", (normal(3, 4, 5),), (), {"dim": -2}),
    Case("Dropout", (normal(4, 5),)),
    Case("Dropout", (normal(4, 2, 5),), (), {"p": 0.2}),
)

LOSSES: tuple[Case, ...] = (
    *(
        Case(kind, (draw(4, 3), other(4, 3)), (), {"reduction": reduction})
        for kind, draw, other in (
            ("MSELoss", normal, normal),
            ("L1Loss", normal, normal),
            ("BCELoss", unit, unit),
            ("BCEWithLogitsLoss", normal, unit),
        )
        for reduction in ("mean", "sum", "none")
    ),
    Case("BCELoss", (unit(4, 3), unit(4, 3)), (), {"weight": np.array([0.5, 2.0, 1.0])}),
    Case("BCEWithLogitsLoss", (normal(4, 3), unit(4, 3)), (), {"weight": np.array([0.5, 2.0, 1.0])}),
    Case("BCEWithLogitsLoss", (normal(4, 3), unit(4, 3)), (), {"pos_weight": np.array([0.5, 2.0, 1.0])}),
    *(
        Case(kind, (draw(4, 5), target), (), {"reduction": reduction, **options})
        for kind, draw in (("NLLLoss", log_probabilities), ("CrossEntropyLoss", normal))
        for reduction in ("mean", "sum", "none")
        for target, options in (
            (classes(5, 4), {}),
            (classes(5, 4), {"weight": _WEIGHT}),
            (ignoring(2, classes(5, 4)), {"weight": _WEIGHT, "ignore_index": 2}),
            (ignoring(-100, classes(5, 4)), {}),
        )
    ),
    *(
        Case("CrossEntropyLoss", (normal(4, 5), target), (), {"reduction": reduction, **options})
        for reduction in ("mean", "sum", "none")
        for target, options in (
            (classes(5, 4), {"label_smoothing": 0.1}),
            (ignoring(2, classes(5, 4)), {"weight": _WEIGHT, "ignore_index": 2, "label_smoothing": 0.1}),
            (probabilities(4, 5), {}),
            (probabilities(4, 5), {"weight": _WEIGHT, "label_smoothing": 0.1}),
        )
    ),
    *(
        Case(kind, (draw(*shape), classes(5, *shape[:1], *shape[2:]) if len(shape) > 1 else classes(5)))
        for kind, draw in (("NLLLoss", log_probabilities), ("CrossEntropyLoss", normal))
        for shape in ((5,), (2, 5, 3), (2, 5, 3, 2))
    ),
    Case("CrossEntropyLoss", (normal(2, 5, 3), probabilities(2, 5, 3))),
    Case("CrossEntropyLoss", (normal(2, 5, 3), classes(5, 2, 3)), (), {"reduction": "none"}),
)


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
    }.items()
    for options in choices
)
