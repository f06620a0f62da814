"""Templates of losses and distances."""

from collections.abc import Iterator

import numpy as np

from scratch import nn
from torch_ref.checker.diagnosis.templates.registry import REDUCTIONS, Arrays, template

_ALIKE = (
    *("MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss", "BCELoss", "BCEWithLogitsLoss", "KLDivLoss"),
    *("PoissonNLLLoss", "SoftMarginLoss", "HingeEmbeddingLoss", "MultiLabelSoftMarginLoss"),
)


@template(*_ALIKE, inputs=2)
def losses(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """Losses of an input and a target of the same shape."""
    if xs[0].shape != xs[1].shape or y.shape not in ((), xs[0].shape, xs[0].shape[:1]):
        return
    reductions = REDUCTIONS[:2] if not y.ndim else REDUCTIONS[2:]
    for kind in _ALIKE:
        for reduction in reductions:
            yield getattr(nn, kind)(reduction=reduction)
    if not y.ndim:
        yield nn.KLDivLoss(reduction="batchmean")
        yield from (nn.CrossEntropyLoss(), nn.CrossEntropyLoss(reduction="sum"))


@template("CrossEntropyLoss", "NLLLoss", "MultiMarginLoss", inputs=2)
def class_losses(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """Losses whose target is classes."""
    x, t = xs
    if t.dtype.kind not in "iu" or t.shape != x.shape[:1] + x.shape[2:]:
        return
    for reduction in REDUCTIONS[:2] if not y.ndim else REDUCTIONS[2:]:
        for kind in ("CrossEntropyLoss", "NLLLoss", "MultiMarginLoss"):
            yield getattr(nn, kind)(reduction=reduction)


@template("CosineSimilarity", "PairwiseDistance", inputs=2)
def distances(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """Of the rows of two arrays."""
    if xs[0].ndim and xs[0].shape == xs[1].shape and y.shape == xs[0].shape[:-1]:
        yield nn.CosineSimilarity(dim=-1)
        for eps in (1e-6, 0.0):
            yield nn.PairwiseDistance(eps=eps)
            yield nn.PairwiseDistance(1.0, eps)


@template("CosineEmbeddingLoss", "MarginRankingLoss", "TripletMarginLoss", "GaussianNLLLoss", inputs=3)
def losses_of_three(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """Losses of three arrays."""
    for reduction in REDUCTIONS[:2] if not y.ndim else REDUCTIONS[2:]:
        for kind in ("TripletMarginLoss", "GaussianNLLLoss", "MarginRankingLoss", "CosineEmbeddingLoss"):
            yield getattr(nn, kind)(reduction=reduction)
