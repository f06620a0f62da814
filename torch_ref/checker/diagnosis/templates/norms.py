"""Templates of normalisations."""

import math
from collections.abc import Iterator

import numpy as np

from scratch import nn
from torch_ref.checker.diagnosis.templates.registry import EPSILONS, Arrays, template


@template("LayerNorm", parameters=(0, 2))
def layer_norms(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """Over the last axes."""
    if y.shape != xs[0].shape:
        return
    for axes in range(1, xs[0].ndim + 1):
        sizes = xs[0].shape[-axes:]
        if math.prod(sizes) > 1 and all(p.size == math.prod(sizes) for p in ps):
            for eps in EPSILONS:
                yield nn.LayerNorm(sizes, eps, bool(ps), len(ps) > 1)


@template("RMSNorm", parameters=(0, 1))
def rms_norms(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """Over the last axis."""
    if y.shape == xs[0].shape and xs[0].ndim and all(p.size == xs[0].shape[-1] for p in ps):
        for eps in (*EPSILONS, None):
            yield nn.RMSNorm(xs[0].shape[-1], eps, bool(ps))


@template("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", parameters=(0, 2))
def batch_norms(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """Over the samples, in training, and with the statistics of people's buffers (family.py)."""
    axes = max(1, xs[0].ndim - 2)
    if y.shape != xs[0].shape or not 2 <= xs[0].ndim <= 5 or any(p.size != y.shape[1] for p in ps):
        return
    for eps in EPSILONS:
        kind = getattr(nn, f"BatchNorm{axes}d")
        # torch's have both parameters or none; a norm without β gets a β of zeros there.
        yield kind(y.shape[1], eps, affine=bool(ps), bias=len(ps) > 1)


@template("GroupNorm", parameters=(0, 2))
def group_norms(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """Over groups of channels."""
    if y.shape != xs[0].shape or y.ndim < 2 or any(p.size != y.shape[1] for p in ps):
        return
    C = y.shape[1]
    for groups in (g for g in range(1, C + 1) if C % g == 0):
        for eps in EPSILONS[:4]:
            yield nn.GroupNorm(groups, C, eps, bool(ps), bias=len(ps) > 1)


@template("InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d", parameters=(0, 2))
def instance_norms(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """Over each channel of each sample."""
    if y.shape != xs[0].shape or not 3 <= y.ndim <= 5 or any(p.size != y.shape[1] for p in ps):
        return
    for eps in EPSILONS[:4]:
        yield getattr(nn, f"InstanceNorm{y.ndim - 2}d")(y.shape[1], eps, affine=bool(ps), bias=len(ps) > 1)


@template("LocalResponseNorm")
def response_norms(xs: Arrays, ps: Arrays, y: np.ndarray) -> Iterator[nn.Module]:
    """Each channel divided by its neighbours'."""
    if y.shape == xs[0].shape and y.ndim >= 3:
        for size in range(2, y.shape[1] + 1):
            yield nn.LocalResponseNorm(size)
