"""All modules, by family, in the configurations that differ."""

import math
from typing import Any

from torch_ref.catalog.cases import Case
from torch_ref.catalog.draws import classes, distinct, given, hidden, later, normal, pair, places, unit

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

# If an option makes the gradient something else than the derivative (see scratch/nn/sparse.py), the
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
