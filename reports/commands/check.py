"""``gradmirror check``: is this backward right?"""

import argparse

from reports.arguments import DTYPES, add_seed, memory, output_file, positive, rate
from reports.commands import Command


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "mine",
        metavar="FILE.py:NAME",
        help="yours: a class, an object, FORWARD,BACKWARD; or, of a whole network, a function that returns "
        "(loss, gradients), LOSS,GRADIENT, or a class",
    )
    parser.add_argument(
        "--against",
        metavar="NAME",
        help="PyTorch's: torch.nn.LayerNorm, or FILE.py:NAME; without it the numeric derivative alone judges",
    )
    parser.add_argument(
        "--args", nargs="+", default=[], metavar="ARG", help="for both constructors: 16 eps=1e-3"
    )
    parser.add_argument(
        "--against-args", nargs="+", metavar="ARG", help="for PyTorch's constructor, if those are others"
    )
    layer = parser.add_argument_group("a layer")
    layer.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="SHAPE",
        help="4x16 for normal numbers, 4x16:positive for numbers above 0, 4x16:unit for numbers between 0 "
        "and 1, 4:10 for 4 whole numbers below 10; once for each input",
    )
    layer.add_argument("--held", nargs="+", metavar="I", help="inputs without a gradient: 1 for the second")
    layer.add_argument(
        "--authority",
        choices=("reference",),
        help="reference: it decides, where the gradient is no derivative, as straight-through or padding_idx",
    )
    layer.add_argument("--transposed", nargs="+", metavar="W", help="parameters that you store transposed")
    layer.add_argument(
        "--layout",
        choices=("NHWC", "NLC"),
        help="how your images (n, h, w, c) or sequences (n, l, c) lie, if their channels come last",
    )
    layer.add_argument(
        "--columns", action="store_true", help="your samples are columns: x is features by batch"
    )
    layer.add_argument(
        "--double-backward",
        action="store_true",
        help="compare the derivative of the gradients as well (code of tensors)",
    )
    layer.add_argument(
        "--budget",
        type=float,
        metavar="SECONDS",
        help="after which no other condition is begun: other weights, shapes, eval mode, ties (default 10)",
    )
    network = parser.add_argument_group("a whole network")
    network.add_argument(
        "--params", metavar="FILE.py:NAME", help="its parameters, or a function that makes them"
    )
    network.add_argument(
        "--data",
        action="append",
        default=[],
        metavar="DATA",
        help="a shape as of --input, a number, or FILE.py:NAME, a function that makes one or all of them; in "
        "the order of the function's arguments",
    )
    network.add_argument(
        "--case", metavar="FILE.py:NAME", help="both: a function that returns (params, *data)"
    )
    parser.add_argument(
        "--like",
        metavar="FORMULA",
        help="which it is, layer_norm say, for the causes; of a layer it is found from the numbers",
    )
    parser.add_argument("--scale", type=rate, default=1.0, help="of the inputs (%(default)s)")
    add_seed(parser, "inputs and weights")
    parser.add_argument("--seeds", type=positive, default=1, metavar="N", help="how many (%(default)s)")
    parser.add_argument(
        "--dtype",
        action="append",
        choices=(*DTYPES, "float16", "bfloat16"),
        help="to compare in this precision alone (float32 and float64); the last two are for code of tensors",
    )
    parser.add_argument(
        "--time-limit",
        type=rate,
        default=600.0,
        metavar="SECONDS",
        help="after which your code is ended (%(default)g)",
    )
    parser.add_argument(
        "--memory-limit",
        type=memory,
        metavar="GIB",
        help="that your code may take (three quarters of the machine's); only Linux holds to it",
    )
    parser.add_argument(
        "--json",
        type=output_file,
        metavar="FILE",
        help="everything that was found, for programs; - prints it and nothing else",
    )


def _run(options: argparse.Namespace) -> int:
    from reports.runner import apart

    return apart.run(options)


COMMAND = Command(
    "checks a layer or a whole network of your own",
    """\
Compare a forward and backward that you wrote with PyTorch's, and both with a numeric derivative that is
independent of them: which side is wrong, in which tensor and entry, and why. Each table states its
detection limit. Without --against the numeric derivative alone judges.

A whole network is a function of (params, *data) that returns (loss, gradients): params a dict, list or tuple
of arrays, or an array; the gradients under the same names, W1 or dW1, or in the same order. Or it is a class
with loss(X, y), and gradient(X, y) or gradients that loss returns or leaves. Say --data, once for each.

Your layer is an object with forward(x) and backward(dy), its parameters as W beside dW, in lists params and
grads, or as objects with data and grad; or it is a pair of functions, forward(x) and backward(dy, x). Its
weights are set to those of PyTorch's, by name or in order. Say --input, once for each.

Your code runs in a process of its own. What it prints goes to stderr; if it ends the process, or does not
end, nothing was checked, and the exit code is 2.
""",
    """\
gradmirror check net.py:loss --params net.py:init --data 8x5 --data 8:3
gradmirror check net.py:loss --case net.py:make
gradmirror check net.py:TwoLayerNet --args 5 10 3 --data 8x5 --data 8:3
gradmirror check mylayers.py:MyLayerNorm --args 16 --input 4x16
gradmirror check mylayers.py:MyLayerNorm --against torch.nn.LayerNorm --args 16 --input 4x16
gradmirror check mylayers.py:Affine --against torch.nn.Linear --args 5 3 --input 4x5 --transposed W
gradmirror check mylayers.py:gelu,gelu_backward --against torch.nn.functional.gelu --input 4x16
gradmirror check mylayers.py:MyFunction --against torch.nn.functional.gelu --input 4x16 --dtype bfloat16
gradmirror check mylayers.py:MyLoss --against torch.nn.CrossEntropyLoss --input 8x10 --input 8:10
gradmirror check mylayers.py:MyBCE --against torch.nn.BCELoss --input 8x5:unit --input 8x5:unit
""",
    zero="the gradients are right",
    one="they are not, or the two sides disagree; the output says where",
    arguments=_arguments,
    run=_run,
)
