"""First values of parameters (PyTorch, torch/nn/init.py).

Each function fills its argument, a Parameter or an array, in place and returns it. For torch's seed
they give torch's numbers.
"""

import math
from typing import Any

import numpy as np

from scratch import random
from scratch.nn.parameter import Parameter

Tensor = Any
_SQRT_GAINS = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.data if isinstance(tensor, Parameter) else tensor


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    r"""The gain of an activation: $\sqrt2$ for relu, $\sqrt{2/(1+a^2)}$ for leaky_relu.

    Args:
        nonlinearity: linear, sigmoid, tanh, relu, leaky_relu or selu.
        param: the negative slope a of leaky_relu (0.01 if None).

    Raises:
        ValueError: another nonlinearity.
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2.0 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in _SQRT_GAINS:
        known = ", ".join([*_SQRT_GAINS, "leaky_relu"])
        raise ValueError(f"calculate_gain: nonlinearity is {nonlinearity!r}, expected one of {known}")
    return _SQRT_GAINS[nonlinearity]


def _fans(tensor: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out): how many inputs reach an output, how many outputs an input reaches."""
    shape = tensor.shape
    if len(shape) < 2:
        raise ValueError(f"init: the tensor has shape {shape}, expected two axes or more: (out, in, …)")
    receptive_field = math.prod(shape[2:])
    return shape[1] * receptive_field, shape[0] * receptive_field


def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: random.Generator | None = None
) -> Tensor:
    """U(a, b)."""
    random.uniform_(_array(tensor), a, b, generator=generator)
    return tensor


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: random.Generator | None = None
) -> Tensor:
    """N(mean, std²)."""
    random.normal_(_array(tensor), mean, std, generator=generator)
    return tensor


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Every element val."""
    _array(tensor)[...] = val
    return tensor


def zeros_(tensor: Tensor) -> Tensor:
    """Every element 0."""
    return constant_(tensor, 0)


def ones_(tensor: Tensor) -> Tensor:
    """Every element 1."""
    return constant_(tensor, 1)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: random.Generator | None = None) -> Tensor:
    r"""U(-k, k), $k = \text{gain} \sqrt{6/(\text{fan}_{in}+\text{fan}_{out})}$ (Glorot, Bengio 2010)."""
    std = gain * math.sqrt(2.0 / float(sum(_fans(tensor))))
    bound = math.sqrt(3.0) * std
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: random.Generator | None = None) -> Tensor:
    r"""N(0, σ²), $\sigma = \text{gain} \sqrt{2/(\text{fan}_{in}+\text{fan}_{out})}$ (Glorot, Bengio 2010)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / float(sum(_fans(tensor)))), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"init: mode is {mode!r}, expected 'fan_in' or 'fan_out'")
    fan_in, fan_out = _fans(tensor)
    return calculate_gain(nonlinearity, a) / math.sqrt(fan_in if mode == "fan_in" else fan_out)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: random.Generator | None = None,
) -> Tensor:
    r"""U(-k, k) with $k = \text{gain} \sqrt{3/\text{fan}}$ (He et al. 2015, equation 10)."""
    if tensor.shape and 0 in tensor.shape:
        return tensor
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: random.Generator | None = None,
) -> Tensor:
    r"""N(0, σ²) with $\sigma = \text{gain} / \sqrt{\text{fan}}$ (He et al. 2015, equation 10)."""
    if tensor.shape and 0 in tensor.shape:
        return tensor
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)
