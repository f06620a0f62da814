"""The PyTorch side: the equivalent models, on the same weights, and what compares the two."""

from torch_ref.checker.check import Check, check
from torch_ref.checker.compare import Comparison, compare
from torch_ref.checker.divergence import Divergence, first_divergence
from torch_ref.checker.optimizers import OptimizerCheck, check_optimizer
from torch_ref.checker.trainings import Training, compare_training
from torch_ref.twin.kernel import adopt_kernel
from torch_ref.twin.mirror import mirror, reflect
from torch_ref.twin.wrap import as_torch

__all__ = [
    "Check",
    "Comparison",
    "Divergence",
    "OptimizerCheck",
    "Training",
    "as_torch",
    "check",
    "check_optimizer",
    "compare",
    "compare_training",
    "first_divergence",
    "mirror",
    "reflect",
]

adopt_kernel()  # so that one seed gives both sides the same numbers
