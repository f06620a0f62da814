"""What exists, once: each module, loss and optimizer, how it is made, and on what inputs.

Tests, the report and the checks walk these lists. To add a layer is to write its file and its line here.
"""

import inspect
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch

from scratch import nn, optim

Draw = Callable[[np.random.Generator, Any], Any]


@dataclass(frozen=True)
class Normal:
    """Draws N(0, 1): numbers that may as well be larger or smaller, which probabilities may not."""

    shape: tuple[int, ...]

    def __call__(self, rng: np.random.Generator, dtype: Any) -> np.ndarray:
        """One array."""
        return rng.standard_normal(self.shape).astype(dtype)


def normal(*shape: int) -> Draw:
    """Draws N(0, 1)."""
    return Normal(shape)


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


def places(axes: int, *shape: int) -> Draw:
    """Draws int64 positions in a plane as large as so many last axes, none twice."""
    plane = np.broadcast_to(np.arange(math.prod(shape[-axes:])), (*shape[:-axes], math.prod(shape[-axes:])))
    return lambda rng, dtype: rng.permuted(plane, axis=-1).reshape(shape)


def distinct(count: int, *shape: int) -> Draw:
    """Draws int64 indices from 0 to count - 1, each at most once."""
    return lambda rng, dtype: rng.permutation(count)[: math.prod(shape)].reshape(shape)


def hidden(*shape: int) -> Draw:
    """Draws a mask, True at few places, never at the first of a row."""
    return lambda rng, dtype: (rng.uniform(size=shape) < 0.3) & (np.arange(shape[-1]) > 0)


def later(count: int) -> Draw:
    """Draws always the mask that hides what comes later."""
    return lambda rng, dtype: np.triu(np.ones((count, count), bool), 1)


def given(*values: int) -> Draw:
    """Draws always these integers."""
    return lambda rng, dtype: np.array(values)


def pair(first: Draw, second: Draw) -> Callable[[np.random.Generator, Any], Any]:
    """Draws two arrays that are one input, such as an LSTM's state."""
    return lambda rng, dtype: (first(rng, dtype), second(rng, dtype))


def ignoring(index: int, draw: Draw) -> Draw:
    """What ``draw`` draws, its first element replaced by the class that is to be ignored."""

    def drawn(rng: np.random.Generator, dtype: Any) -> np.ndarray:
        target = draw(rng, dtype)
        target.reshape(-1)[0] = index
        return target

    return drawn


def signs(*shape: int) -> Draw:
    """Draws 1 and -1, as floating numbers."""
    return lambda rng, dtype: rng.choice([1, -1], shape).astype(dtype)


def counts(*shape: int) -> Draw:
    """Draws 0 to 5, as floating numbers."""
    return lambda rng, dtype: rng.integers(0, 6, shape).astype(dtype)


def class_sets(count: int, *shape: int) -> Draw:
    """Draws int64 rows of different classes, each ended by a -1; the first row has two."""

    def draw(rng: np.random.Generator, dtype: Any) -> np.ndarray:
        sets = rng.permuted(np.broadcast_to(np.arange(count), (*shape, count)), axis=-1)
        end = rng.integers(0, count, (*shape, 1))
        end.reshape(-1)[0] = 2
        np.put_along_axis(sets, end, -1, axis=-1)
        return sets

    return draw


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


@dataclass(frozen=True)
class Case:
    """A module of scratch.nn and torch.nn: its class, constructor arguments, and inputs to try it on."""

    kind: str
    inputs: tuple[Draw, ...]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    training: bool = True

    @property
    def is_random(self) -> bool:
        """Whether it draws random numbers in training."""
        if "Dropout" in self.kind or self.kind == "RReLU":
            return True
        bound = inspect.signature(getattr(nn, self.kind).__init__).bind(None, *self.args, **self.kwargs)
        bound.apply_defaults()
        return bool(bound.arguments.get("dropout", 0) > 0)

    @property
    def name(self) -> str:
        """The constructor's call, as a test's name."""
        kwargs = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in self.kwargs.items()}
        told = [*map(repr, self.args), *(f"{k}={v!r}" for k, v in kwargs.items())]
        return f"{self.kind}({', '.join(told)})" + ("" if self.training else ".eval()")

    def make(self, dtype: Any) -> nn.Module:
        """The module, its parameters and buffers in ``dtype``.

        Those that start as ones or zeros, as a norm's do, get numbers under which an error would show.
        """
        module = getattr(nn, self.kind)(*self.args, **self.kwargs).to(dtype).train(self.training)
        rng = np.random.default_rng(0)
        for array in (*(p.data for p in module.parameters()), *module.buffers()):
            if array.dtype.kind in "fc" and array.size and np.all(array == array.flat[0]):
                array[...] = rng.uniform(0.5, 1.5, array.shape)
        return module

    def draw(self, dtype: Any, seed: int = 0, scale: float = 1.0) -> tuple[Any, ...]:
        """Inputs, floating ones in ``dtype``; ``scale`` times as large where that is allowed."""
        rng = np.random.default_rng(seed)
        arrays = [draw(rng, dtype) for draw in self.inputs]
        for i, draw in enumerate(self.inputs):
            if isinstance(draw, Normal) and i != self.target:
                arrays[i] = arrays[i] * arrays[i].dtype.type(scale)
        return tuple(arrays)

    @property
    def target(self) -> int | None:
        """Which input is held: the one that forward calls target. None if there is none."""
        names = list(inspect.signature(getattr(nn, self.kind).forward).parameters)[1:]
        return names.index("target") if "target" in names else None


def first_of_each_kind(cases: Iterable[Case]) -> list[Case]:
    """One case of each class, as it was entered first."""
    first: dict[str, Case] = {}
    for case in cases:
        first.setdefault(case.kind, case)
    return list(first.values())


_STATE = {"RNN": normal, "GRU": normal, "LSTM": lambda *shape: pair(normal(*shape), normal(*shape))}

RECURRENT: tuple[Case, ...] = (
    *(
        case
        for kind, state in _STATE.items()
        for case in (
            Case(kind, (normal(4, 2, 3),), (3, 4)),
            Case(kind, (normal(4, 2, 3), state(1, 2, 4)), (3, 4), {"bias": False}),
            Case(kind, (normal(4, 3), state(1, 4)), (3, 4)),
            Case(kind, (normal(2, 1, 2),), (2, 3), {"bidirectional": True}),
            Case(kind, (normal(2, 3, 3),), (3, 2), {"num_layers": 2, "dropout": 0.4}),
            Case(
                kind,
                (normal(2, 3, 3), state(4, 2, 2)),
                (3, 2),
                {"num_layers": 2, "bidirectional": True, "batch_first": True},
            ),
        )
    ),
    Case("RNN", (normal(4, 2, 3), normal(1, 2, 4)), (3, 4), {"nonlinearity": "relu"}),
    Case("LSTM", (normal(3, 2, 3),), (3, 4), {"proj_size": 2}),
    Case(
        "LSTM",
        (normal(2, 3, 3), pair(normal(4, 2, 2), normal(4, 2, 3))),
        (3, 3),
        {"num_layers": 2, "batch_first": True, "bidirectional": True, "proj_size": 2},
    ),
    *(
        case
        for kind, state in _STATE.items()
        for case in (
            Case(f"{kind}Cell", (normal(3, 2), state(3, 4)), (2, 4)),
            Case(f"{kind}Cell", (normal(3, 2), state(3, 4)), (2, 4), {"bias": False}),
            Case(f"{kind}Cell", (normal(2), state(4)), (2, 4)),
        )
    ),
    Case("RNNCell", (normal(3, 2), normal(3, 4)), (2, 4), {"nonlinearity": "relu"}),
)

_WEIGHT = np.array([0.5, 2.0, 1.0, 0.25, 3.0])

_OPTIONS: dict[str, tuple[dict[str, Any], ...]] = {
    "ELU": ({}, {"alpha": 0.3}),
    "CELU": ({}, {"alpha": 0.3}),
    "SELU": ({},),
    "GELU": ({}, {"approximate": "tanh"}),
    "SiLU": ({},),
    "Mish": ({},),
    "Softplus": ({}, {"beta": 2.0, "threshold": 1.5}),
    "Softsign": ({},),
    "Softshrink": ({}, {"lambd": 0.2}),
    "Hardshrink": ({}, {"lambd": 0.2}),
    "Tanhshrink": ({},),
    "Hardtanh": ({}, {"min_val": -0.3, "max_val": 1.5}),
    "ReLU6": ({},),
    "Hardsigmoid": ({},),
    "Hardswish": ({},),
    "LogSigmoid": ({},),
    "Threshold": ({"threshold": 0.1, "value": 20.0},),
    "RReLU": ({}, {"lower": 0.1, "upper": 0.9}),
    "PReLU": ({}, {"init": 0.5}, {"num_parameters": 5}),
    "GLU": ({"dim": 0},),
    "Softmin": ({"dim": 1},),
}

ACTIVATIONS: tuple[Case, ...] = (
    *(Case(kind, (normal(4, 5),), (), options) for kind, choices in _OPTIONS.items() for options in choices),
    *(Case(kind, (normal(5),)) for kind in ("ELU", "GELU", "Softplus", "RReLU", "PReLU")),
    *(Case(kind, (normal(2, 3, 4),)) for kind in ("SELU", "Mish", "Hardswish", "PReLU", "GLU")),
    Case("PReLU", (normal(2, 3, 4, 2),), (3, 0.1)),
    Case("GLU", (normal(6),)),
    Case("Softmin", (normal(3, 4, 5),), (), {"dim": 0}),
    Case("Softmax2d", (normal(2, 3, 4, 2),)),
    Case("Softmax2d", (normal(3, 4, 2),)),
)

_PLANES: dict[int, tuple[int, ...]] = {1: (2, 3, 9), 2: (2, 2, 6, 7), 3: (1, 2, 4, 3, 4)}

POOLING: tuple[Case, ...] = (
    *(
        Case(f"{kind}Pool{axes}d", (normal(*shape[batch:]),), args, options)
        for axes, shape in _PLANES.items()
        for batch in (0, 1)
        for kind, args, options in (
            ("Max", (2,), {}),
            ("Max", (3, 1), {"padding": 1, "return_indices": True}),
            ("Max", (2,), {"stride": 3, "padding": 1, "dilation": 2, "ceil_mode": True}),
            ("Avg", (2,), {}),
            ("Avg", (3, 2, 1), {"ceil_mode": True}),
            ("Avg", (3, 2, 1, True, False), {}),
            ("AdaptiveMax", (3,), {"return_indices": True}),
            ("AdaptiveMax", (6,), {}),
            ("AdaptiveAvg", (3,), {}),
            ("AdaptiveAvg", (6,), {}),
        )
        if not batch or args == (3,) or (args == (2,) and not options)
    ),
    Case("MaxPool2d", (normal(2, 2, 5, 6),), ((2, 3), (1, 2)), {"padding": (1, 0), "dilation": (2, 1)}),
    Case("AvgPool2d", (normal(2, 2, 5, 6),), ((2, 3), (1, 2), (1, 0)), {"divisor_override": 5}),
    Case("AvgPool3d", (normal(2, 4, 4, 4),), (2,), {"divisor_override": 3}),
    *(
        case
        for axes, shape in _PLANES.items()
        for case in (
            Case(f"LPPool{axes}d", (normal(*shape),), (2, 2)),
            Case(f"LPPool{axes}d", (unit(*shape[1:]),), (2.5, 3, 2), {"ceil_mode": True}),
            Case(f"MaxUnpool{axes}d", (normal(*shape), places(axes, *shape)), (2,)),
            Case(f"MaxUnpool{axes}d", (normal(*shape[1:]), places(axes, *shape[1:])), (3, 2, 1)),
        )
    ),
    Case("AdaptiveAvgPool2d", (normal(2, 2, 5, 6),), ((None, 4),)),
    Case("AdaptiveMaxPool3d", (normal(2, 4, 4, 4),), ((2, None, 3),)),
)

PADDING: tuple[Case, ...] = (
    *(
        Case(f"{kind}Pad{axes}d", (normal(*shape[batch:]),), (padding[: 2 * axes], *value))
        for axes, shape in {1: (2, 3, 4), 2: (2, 2, 3, 4), 3: (1, 2, 3, 3, 4)}.items()
        for kind, *value in (("Constant", 3.5), ("Zero",), ("Reflection",), ("Replication",), ("Circular",))
        for batch, padding in ((0, (2, 1, 1, 2, 0, 1)), (1, (-1, 2, 0, 1, 1, -1)))
    ),
    Case("ConstantPad2d", (normal(3, 4),), (2, -0.5)),
    Case("ReflectionPad2d", (normal(2, 3, 4),), (2,)),
    Case("ReplicationPad1d", (normal(2, 3),), ((4, 5),)),
    Case("CircularPad3d", (normal(1, 2, 2, 3),), (2,)),
)

RESAMPLING: tuple[Case, ...] = (
    *(
        Case("Upsample", (normal(*shape),), (), {"mode": mode, **options})
        for mode, shapes in {
            "nearest": ((2, 2, 4), (1, 2, 3, 4), (1, 2, 2, 3, 2)),
            "nearest-exact": ((2, 2, 4), (1, 2, 3, 4)),
            "area": ((2, 2, 4), (1, 2, 3, 4)),
            "linear": ((2, 2, 4),),
            "bilinear": ((1, 2, 3, 4),),
            "bicubic": ((1, 2, 3, 4),),
            "trilinear": ((1, 2, 2, 3, 2),),
        }.items()
        for shape in shapes
        for options in (
            {"scale_factor": 2.0},
            {"size": (7, 5, 3)[: len(shape) - 2]},
            {"scale_factor": 1.7},
            {"scale_factor": 1.7, "recompute_scale_factor": True},
            {"size": 5, "align_corners": True},
        )
        if mode.endswith(("linear", "cubic")) or "align_corners" not in options
    ),
    Case("Upsample", (normal(1, 2, 5, 4),), (), {"scale_factor": (0.5, 1.3), "mode": "bilinear"}),
    Case("Upsample", (normal(1, 2, 5, 4),), (1,), {"mode": "bicubic", "align_corners": True}),
    Case("UpsamplingNearest2d", (normal(1, 2, 3, 4),), (5,)),
    Case("UpsamplingNearest2d", (normal(1, 2, 3, 4),), (), {"scale_factor": (2, 3)}),
    Case("UpsamplingBilinear2d", (normal(1, 2, 3, 4),), ((5, 6),)),
    Case("UpsamplingBilinear2d", (normal(1, 2, 3, 4),), (), {"scale_factor": 2}),
    Case("PixelShuffle", (normal(2, 8, 2, 3),), (2,)),
    Case("PixelShuffle", (normal(9, 2, 1),), (3,)),
    Case("PixelUnshuffle", (normal(2, 2, 4, 6),), (2,)),
    Case("PixelUnshuffle", (normal(2, 6, 3),), (3,)),
    Case("ChannelShuffle", (normal(2, 6, 3),), (2,)),
    Case("ChannelShuffle", (normal(2, 6, 3, 2),), (3,)),
    Case("Unflatten", (normal(2, 6, 3),), (1, (2, -1))),
    Case("Unflatten", (normal(2, 6),), (-1, (3, 1, 2))),
    Case("Unfold", (normal(2, 2, 4, 5),), (2,)),
    Case("Unfold", (normal(2, 5, 4),), ((2, 3), (2, 1), (1, 2), (1, 2))),
    Case("Fold", (normal(2, 8, 12),), ((4, 5), 2)),
    Case("Fold", (normal(12, 15),), ((5, 4), (2, 3), (2, 1), (1, 2), (1, 2))),
    Case("Fold", (normal(2, 8, 4),), (4, 2), {"stride": 2}),
)

_GRIDS: dict[int, tuple[int, ...]] = {1: (2, 4, 7), 2: (2, 4, 5, 6), 3: (1, 4, 3, 3, 3)}

CONVOLUTIONS: tuple[Case, ...] = (
    *(
        Case(f"{kind}{axes}d", (normal(*shape[batch:]),), (4, 2), {"kernel_size": 3} | options)
        for axes, shape in _GRIDS.items()
        for kind, batch, options in (
            ("Conv", 0, {}),
            ("Conv", 1, {"bias": False}),
            ("Conv", 0, {"stride": 2, "padding": 1}),
            ("ConvTranspose", 0, {}),
            ("ConvTranspose", 1, {"bias": False}),
            ("ConvTranspose", 0, {"stride": 2, "padding": 1, "output_padding": 1}),
        )
    ),
    Case("Conv1d", (normal(2, 4, 9),), (4, 6, 2), {"groups": 2, "dilation": 3, "stride": 2}),
    Case("Conv1d", (normal(2, 4, 5),), (4, 2, 4), {"padding": "same", "padding_mode": "circular"}),
    Case("Conv2d", (normal(2, 4, 5, 6),), (4, 6, (2, 3)), {"groups": 2, "padding": (0, 2)}),
    Case("Conv2d", (normal(2, 4, 5, 6),), (4, 8, 3), {"groups": 4, "dilation": (1, 2)}),
    Case("Conv2d", (normal(2, 1, 6, 5),), (1, 2, (2, 3)), {"padding": "same", "dilation": 2}),
    Case("Conv2d", (normal(2, 1, 3, 4),), (1, 2, 2), {"padding": "valid", "stride": (1, 2)}),
    Case("Conv2d", (normal(2, 2, 4, 4),), (2, 2, 3), {"padding": 2, "padding_mode": "reflect"}),
    Case("Conv2d", (normal(2, 2, 3, 4),), (2, 2, 3), {"padding": (1, 2), "padding_mode": "replicate"}),
    Case("Conv3d", (normal(1, 2, 3, 3, 3),), (2, 2, (1, 2, 3)), {"padding": (1, 0, 1), "groups": 2}),
    Case(
        "Conv3d",
        (normal(1, 2, 4, 3, 3),),
        (2, 1, 2),
        {"dilation": (2, 1, 1), "padding": 1, "padding_mode": "circular"},
    ),
    Case("ConvTranspose2d", (normal(1, 2, 3, 2),), (2, 1, 2), {"dilation": (2, 1), "padding_mode": "zeros"}),
    Case("ConvTranspose3d", (normal(1, 2, 2, 1, 2),), (2, 2, 2), {"groups": 2, "padding_mode": "zeros"}),
    Case("ConvTranspose1d", (normal(2, 2, 4),), (2, 1, 2), {"padding_mode": "zeros"}),
    Case("ConvTranspose1d", (normal(2, 4, 4),), (4, 6, 2), {"groups": 2, "dilation": 3, "output_padding": 2}),
    Case("ConvTranspose2d", (normal(2, 4, 3, 2),), (4, 6, (2, 3), (3, 1)), {"groups": 2, "padding": (0, 1)}),
    Case(
        "ConvTranspose3d", (normal(1, 2, 2, 1, 2),), (2, 2, 2), {"stride": (1, 2, 3), "dilation": (2, 1, 1)}
    ),
)

ATTENTION: tuple[Case, ...] = (
    Case("MultiheadAttention", (normal(4, 2, 6), normal(3, 2, 6), normal(3, 2, 6)), (6, 2)),
    Case("MultiheadAttention", (normal(3, 4), normal(5, 4), normal(5, 4)), (4, 1), {"bias": False}),
    Case(
        "MultiheadAttention",
        (normal(2, 4, 6), normal(2, 3, 5), normal(2, 3, 4), hidden(2, 3)),
        (6, 2),
        {"kdim": 5, "vdim": 4, "add_bias_kv": True, "add_zero_attn": True, "batch_first": True},
    ),
    Case("MultiheadAttention", (normal(3, 2, 4), normal(2, 2, 4), normal(2, 2, 4)), (4, 2, 0.3)),
    Case("TransformerEncoderLayer", (normal(3, 2, 4),), (4, 2, 6)),
    Case(
        "TransformerEncoderLayer",
        (normal(2, 3, 4), later(3)),
        (4, 2, 6, 0.2, "gelu"),
        {"batch_first": True, "norm_first": True, "layer_norm_eps": 0.1},
    ),
    Case("TransformerEncoderLayer", (normal(3, 4),), (4, 1, 5, 0.0), {"bias": False}),
    Case("TransformerDecoderLayer", (normal(3, 2, 4), normal(2, 2, 4)), (4, 2, 6)),
    Case(
        "TransformerDecoderLayer",
        (normal(2, 3, 4), normal(2, 4, 4), later(3)),
        (4, 2, 6, 0.2),
        {"batch_first": True, "norm_first": True, "activation": "gelu"},
    ),
    Case(
        "TransformerDecoderLayer",
        (normal(3, 2, 4), normal(2, 2, 4)),
        (4, 1, 5, 0.0),
        {"layer_norm_eps": 0.01, "bias": False},
    ),
    Case("Transformer", (normal(3, 2, 4), normal(2, 2, 4)), (4, 2, 1, 1, 6)),
    Case(
        "Transformer",
        (normal(3, 2, 6), normal(2, 2, 6)),
        (6, 2, 1, 1, 5, 0.0),
        {"activation": "gelu", "layer_norm_eps": 0.01, "bias": False},
    ),
    Case(
        "Transformer",
        (normal(2, 3, 6), normal(2, 2, 6), later(3), later(2)),
        (6, 2, 1, 1, 5, 0.0),
        {"batch_first": True, "norm_first": True},
    ),
)

NORMS: tuple[Case, ...] = (
    *(
        Case(kind, (normal(*shape),), (3,), training=training)
        for kind, shapes in (
            ("BatchNorm1d", ((4, 3), (2, 3, 4))),
            ("BatchNorm2d", ((2, 3, 2, 3),)),
            ("BatchNorm3d", ((2, 3, 2, 1, 3),)),
        )
        for shape in shapes
        for training in (True, False)
    ),
    *(
        Case("BatchNorm1d", (normal(4, 3),), (3,), options, training)
        for options, training in (
            ({"eps": 0.1, "momentum": 0.3}, True),
            ({"momentum": None}, True),
            ({"affine": False}, True),
            ({"affine": False}, False),
            ({"bias": False}, True),
            ({"track_running_stats": False}, True),
            ({"track_running_stats": False}, False),
        )
    ),
    *(
        Case(kind, (normal(*shape),), (3,))
        for kind, shape in (
            ("InstanceNorm1d", (2, 3, 4)),
            ("InstanceNorm1d", (3, 4)),
            ("InstanceNorm2d", (2, 3, 2, 3)),
            ("InstanceNorm2d", (3, 2, 3)),
            ("InstanceNorm3d", (2, 3, 2, 1, 3)),
            ("InstanceNorm3d", (3, 2, 1, 3)),
        )
    ),
    *(
        Case("InstanceNorm1d", (normal(2, 3, 4),), (3,), options, training)
        for options, training in (
            ({"affine": True}, True),
            ({"affine": True, "bias": False, "eps": 0.1}, True),
            ({"track_running_stats": True, "momentum": 0.3}, True),
            ({"track_running_stats": True, "momentum": None}, True),
            ({"track_running_stats": True, "affine": True}, False),
        )
    ),
    Case("InstanceNorm2d", (normal(3, 2, 3),), (3,), {"track_running_stats": True, "affine": True}, False),
    *(
        Case(kind, (normal(*shape),), (3,), options)
        for kind, shape in (("BatchNorm2d", (2, 3, 2, 2)), ("BatchNorm3d", (2, 3, 2, 1, 2)))
        for options in ({"eps": 0.1, "momentum": None}, {"affine": False, "track_running_stats": False})
    ),
    *(
        Case(kind, (normal(*shape),), (3, 0.1, 0.3), {"affine": True, "track_running_stats": True})
        for kind, shape in (("InstanceNorm2d", (2, 3, 2, 2)), ("InstanceNorm3d", (2, 3, 2, 1, 2)))
    ),
    *(
        Case("LayerNorm", (normal(*shape),), (sizes,), options)
        for shape, sizes, options in (
            ((4, 5), 5, {}),
            ((5,), 5, {}),
            ((2, 3, 4, 5), (4, 5), {}),
            ((2, 4, 5), (2, 4, 5), {"eps": 0.1}),
            ((4, 5), 5, {"elementwise_affine": False}),
            ((4, 5), 5, {"bias": False}),
        )
    ),
    *(
        Case("RMSNorm", (normal(*shape),), (sizes,), options)
        for shape, sizes, options in (
            ((4, 5), 5, {}),
            ((5,), 5, {}),
            ((2, 3, 4, 5), (4, 5), {"eps": 0.1}),
            ((4, 5), 5, {"elementwise_affine": False}),
        )
    ),
    *(
        Case("GroupNorm", (normal(*shape),), sizes, options)
        for shape, sizes, options in (
            ((2, 6, 3), (3, 6), {}),
            ((2, 6), (2, 6), {}),
            ((2, 6, 2, 3), (1, 6), {"eps": 0.1}),
            ((2, 6, 2, 1, 3), (6, 6), {"affine": False}),
            ((2, 6, 3), (3, 6), {"bias": False}),
        )
    ),
    *(
        Case("LocalResponseNorm", (normal(*shape),), (size,), options)
        for shape, size, options in (
            ((2, 5, 3), 2, {}),
            ((2, 5, 2, 3), 3, {"alpha": 0.5, "beta": 0.6, "k": 2.0}),
            ((1, 4, 2, 1, 2), 4, {"alpha": 1.0}),
            ((2, 3, 2), 9, {"alpha": 1.0}),
        )
    ),
)

DROPOUTS: tuple[Case, ...] = (
    Case("Dropout1d", (normal(4, 6, 2),)),
    Case("Dropout1d", (normal(6, 2),), (), {"p": 0.3}),
    Case("Dropout2d", (normal(4, 3, 2, 1),), (), {"p": 0.3}),
    Case("Dropout3d", (normal(4, 3, 2, 1, 2),)),
    Case("Dropout3d", (normal(6, 2, 1, 2),), (), {"p": 0.3}),
    Case("AlphaDropout", (normal(4, 5),)),
    Case("AlphaDropout", (normal(8),), (), {"p": 0.2}),
    Case("FeatureAlphaDropout", (normal(4, 3, 2),), (), {"p": 0.3}),
    Case("FeatureAlphaDropout", (normal(4, 3, 2, 1, 2),)),
)

# Where an option makes the gradient something else than the derivative (see scratch/nn/sparse.py), the
# indices keep out of its way: tests/scratch/test_sparse.py compares these options with torch alone.
EMBEDDINGS: tuple[Case, ...] = (
    Case("Embedding", (classes(5, 4, 3),), (5, 2)),
    Case("Embedding", (classes(5),), (5, 2)),
    Case("Embedding", (classes(4, 6),), (5, 2), {"padding_idx": -1}),
    Case("Embedding", (distinct(5, 2, 2),), (5, 2), {"scale_grad_by_freq": True}),
    Case("Embedding", (classes(5, 4),), (5, 2), {"max_norm": 20.0, "norm_type": 1.0}),
    *(
        case
        for mode in ("sum", "mean", "max")
        for case in (
            Case("EmbeddingBag", (classes(5, 4, 3),), (5, 2), {"mode": mode}),
            Case("EmbeddingBag", (classes(5, 7), given(0, 2, 2, 5)), (5, 2), {"mode": mode}),
            Case("EmbeddingBag", (classes(5, 4, 3),), (5, 2), {"mode": mode, "padding_idx": 1}),
        )
    ),
    Case("EmbeddingBag", (classes(5, 7), given(0, 3, 3, 7)), (5, 2), {"include_last_offset": True}),
    Case("EmbeddingBag", (classes(5, 7), given(0, 3), normal(7)), (5, 2), {"mode": "sum"}),
    Case("EmbeddingBag", (classes(5, 7), given(0, 3), normal(7)), (5, 2), {"mode": "sum", "padding_idx": 2}),
    Case("EmbeddingBag", (distinct(5, 2, 2),), (5, 2), {"scale_grad_by_freq": True}),
    Case("EmbeddingBag", (classes(5, 4, 3),), (5, 2), {"max_norm": 20.0, "norm_type": 1.0}),
)

PAIRS: tuple[Case, ...] = (
    Case("Bilinear", (normal(4, 2), normal(4, 3)), (2, 3, 5)),
    Case("Bilinear", (normal(2), normal(3)), (2, 3, 5), {"bias": False}),
    Case("Bilinear", (normal(2, 3, 4), normal(2, 3, 2)), (4, 2, 1)),
    Case("CosineSimilarity", (normal(4, 3), normal(4, 3))),
    Case("CosineSimilarity", (normal(3), normal(3)), (), {"dim": 0}),
    Case("CosineSimilarity", (normal(2, 3, 4), normal(3, 1)), (), {"dim": -2}),
    Case("CosineSimilarity", (normal(4, 3), normal(1, 3)), (), {"eps": 0.5}),
    Case("PairwiseDistance", (normal(4, 3), normal(4, 3))),
    Case("PairwiseDistance", (normal(3), normal(3)), (), {"keepdim": True}),
    Case("PairwiseDistance", (normal(2, 1, 3), normal(4, 3)), (), {"eps": 0.1}),
    *(
        Case("PairwiseDistance", (normal(4, 3), normal(4, 3)), (), {"p": p})
        for p in (0.5, 1.0, 1.5, 3.0, -1.0, math.inf, -math.inf)
    ),
)

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
    *ACTIVATIONS,
    *RECURRENT,
    *POOLING,
    *PADDING,
    *RESAMPLING,
    *CONVOLUTIONS,
    *ATTENTION,
    *NORMS,
    *DROPOUTS,
    *EMBEDDINGS,
    *PAIRS,
)

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
