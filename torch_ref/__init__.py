"""The PyTorch side: the equivalent models, on the same weights, and what compares the two."""

from torch_ref.check import Check, check
from torch_ref.compare import Comparison, compare
from torch_ref.mirror import mirror
from torch_ref.wrap import as_torch

__all__ = ["Check", "Comparison", "as_torch", "check", "compare", "mirror"]
