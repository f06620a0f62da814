"""Modules of ours that could give an output of this shape from arrays of these shapes.

A template is a function of (xs, ps, y): the arrays that would be the inputs, those that would be the
parameters, and the output that is looked for. It yields modules, with the usual options, and looks at shapes
alone: whether one of them gives the output is found by running it (family.py).
"""

# isort: off
from torch_ref.checker.diagnosis.templates import elementwise
from torch_ref.checker.diagnosis.templates import norms
from torch_ref.checker.diagnosis.templates import affine
from torch_ref.checker.diagnosis.templates import windows
from torch_ref.checker.diagnosis.templates import sequences
from torch_ref.checker.diagnosis.templates import losses
from torch_ref.checker.diagnosis.templates import networks

# isort: on
from torch_ref.checker.diagnosis.templates.networks import Trained
from torch_ref.checker.diagnosis.templates.registry import TEMPLATES, Template

__all__ = [
    "TEMPLATES",
    "Template",
    "Trained",
    "affine",
    "elementwise",
    "losses",
    "networks",
    "norms",
    "sequences",
    "windows",
]
