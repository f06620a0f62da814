"""Registry of test cases: one entry per configuration of a module, a loss or an optimizer.

Tests, the report and the checks walk these lists. CONTRIBUTING.md says how to add one.
"""

from torch_ref.catalog.cases import Case, first_of_each_kind
from torch_ref.catalog.losses import LOSSES
from torch_ref.catalog.modules import MODULES
from torch_ref.catalog.optimizers import OPTIMIZERS, OptimizerCase

__all__ = ["LOSSES", "MODULES", "OPTIMIZERS", "Case", "OptimizerCase", "first_of_each_kind"]
