"""All losses, with each reduction and option."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from torch_ref.catalog.cases import Case
from torch_ref.catalog.draws import (
    Draw,
    class_sets,
    classes,
    counts,
    ignoring,
    log_probabilities,
    normal,
    probabilities,
    signs,
    unit,
)


class Functions(NamedTuple):
    """A forward and its backward."""

    forward: Callable[..., Any]
    backward: Callable[..., Any]

    def __repr__(self) -> str:
        return self.forward.__name__


def squared_distance(x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
    """D = Σ (x1 - x2)²."""
    return np.add.reduce((x1 - x2) * (x1 - x2), axis=-1)


def squared_distance_backward(
    dD: np.ndarray, x1: np.ndarray, x2: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(dx1, dx2) = (2 (x1 - x2) dD, -dx1)."""
    dx = 2 * dD[..., None] * (x1 - x2)
    return dx, -dx


_WEIGHT = np.array([0.5, 2.0, 1.0, 0.25, 3.0])

_SQUARED = Functions(squared_distance, squared_distance_backward)

_LOSS_OPTIONS: tuple[tuple[str, tuple[Draw, ...], tuple[dict[str, Any], ...]], ...] = (
    ("SmoothL1Loss", (normal(4, 3), normal(4, 3)), ({}, {"beta": 0.5}, {"beta": 0})),
    ("HuberLoss", (normal(4, 3), normal(4, 3)), ({}, {"delta": 0.5})),
    ("KLDivLoss", (log_probabilities(4, 3), probabilities(4, 3)), ({},)),
    ("KLDivLoss", (log_probabilities(4, 3), log_probabilities(4, 3)), ({"log_target": True},)),
    ("PoissonNLLLoss", (normal(4, 3), counts(4, 3)), ({}, {"full": True})),
    ("PoissonNLLLoss", (unit(4, 3), counts(4, 3)), ({"log_input": False, "full": True, "eps": 0.01},)),
    ("GaussianNLLLoss", (normal(4, 3), normal(4, 3), unit(4, 3)), ({}, {"full": True, "eps": 0.04})),
    ("SoftMarginLoss", (normal(4, 3), signs(4, 3)), ({},)),
    ("HingeEmbeddingLoss", (normal(4, 3), signs(4, 3)), ({}, {"margin": 0.5})),
    ("MarginRankingLoss", (normal(6), normal(6), signs(6)), ({}, {"margin": 0.5})),
    ("MultiMarginLoss", (normal(4, 5), classes(5, 4)), ({}, {"p": 2, "margin": 0.7})),
    ("MultiMarginLoss", (normal(4, 5), classes(5, 4)), ({"weight": _WEIGHT}, {"weight": _WEIGHT, "p": 2})),
    ("MultiLabelMarginLoss", (normal(4, 5), class_sets(5, 4)), ({},)),
    ("MultiLabelSoftMarginLoss", (normal(4, 5), unit(4, 5)), ({}, {"weight": _WEIGHT})),
    ("CosineEmbeddingLoss", (normal(4, 3), normal(4, 3), signs(4)), ({}, {"margin": -0.5})),
    (
        "TripletMarginLoss",
        (normal(4, 3), normal(4, 3), normal(4, 3)),
        (
            {},
            {"margin": 3.0, "swap": True, "eps": 0.01},
            *({"margin": 2.0, "p": p} for p in (1, 1.5, math.inf)),
        ),
    ),
    (
        "TripletMarginWithDistanceLoss",
        (normal(4, 3), normal(4, 3), normal(4, 3)),
        ({}, {"distance_function": _SQUARED, "margin": 3.0, "swap": True}),
    ),
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
    *(
        Case(kind, (draw(*shape), other(*shape)))
        for kind, draw, other in (
            ("MSELoss", normal, normal),
            ("L1Loss", normal, normal),
            ("SmoothL1Loss", normal, normal),
            ("HuberLoss", normal, normal),
            ("BCELoss", unit, unit),
            ("BCEWithLogitsLoss", normal, unit),
        )
        for shape in ((5,), (5, 1))
    ),
    *(
        Case(kind, inputs, (), {"reduction": reduction, **options})
        for kind, inputs, choices in _LOSS_OPTIONS
        for options in choices
        for reduction in ("mean", "sum", "none")
    ),
    *(
        Case("KLDivLoss", (log_probabilities(*shape), probabilities(*shape)), (), {"reduction": "batchmean"})
        for shape in ((4, 3), (2, 3, 4))
    ),
    *(
        Case("GaussianNLLLoss", (normal(4, 3), normal(4, 3), unit(*shape)))
        for shape in ((4,), (4, 1), (1, 3))
    ),
    Case("MultiMarginLoss", (normal(5), classes(5))),
    Case("MultiLabelMarginLoss", (normal(5), class_sets(5))),
    Case("MultiLabelSoftMarginLoss", (normal(5), unit(5))),
    Case("MultiLabelSoftMarginLoss", (normal(2, 4, 3), unit(2, 4, 3)), (), {"reduction": "none"}),
    Case("CosineEmbeddingLoss", (normal(5), normal(5), signs())),
    Case("TripletMarginLoss", (normal(5), normal(5), normal(5)), (5.0,)),
    Case("TripletMarginLoss", (normal(2, 3, 4),) * 3, (), {"reduction": "none"}),
)
