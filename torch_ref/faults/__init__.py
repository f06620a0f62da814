"""The mistakes that people make in a backward pass, each one by name, each one to be switched on.

A fault is a wrong version of a formula, or of a method; ``inject`` gives a copy of a module that makes the
mistake. They serve three ends. The tests prove that every one of them is found. The diagnosis
(checker/diagnosis/) injects them, to see which of them reproduces a wrong gradient exactly. And in the
lesson a reader can switch one on and watch.

All were really made: in course work, in forum questions, in published libraries.
"""

# The mistakes stand in this order in every table: what any layer can get wrong comes first.
from torch_ref.faults import general

# isort: split
from torch_ref.faults import (
    attention,
    convolution,
    dropout,
    elementwise,
    embedding,
    normalization,
    optimizers,
    pooling,
    recurrent,
    upsampling,
)
from torch_ref.faults.fault import (
    FAULTS,
    OPTIMIZER_FAULTS,
    PARAMETRIC,
    Fault,
    faults_of,
    inject,
    replaced,
    switch_on,
)

__all__ = [
    "FAULTS",
    "OPTIMIZER_FAULTS",
    "PARAMETRIC",
    "Fault",
    "attention",
    "convolution",
    "dropout",
    "elementwise",
    "embedding",
    "faults_of",
    "general",
    "inject",
    "normalization",
    "optimizers",
    "pooling",
    "recurrent",
    "replaced",
    "switch_on",
    "upsampling",
]
