"""The PyTorch side: the equivalent models, on the same weights, and the checks that compare the two.

Everything is imported when it is first used: torch takes seconds, and pytest loads this package at its start.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from torch_ref.shadow import shadow

if TYPE_CHECKING:
    from torch_ref.checker.check import Check, check
    from torch_ref.checker.check_loss import check_loss
    from torch_ref.checker.compare import compare
    from torch_ref.checker.compare_training import compare_training
    from torch_ref.checker.comparison import Comparison
    from torch_ref.checker.divergence import Divergence, first_divergence
    from torch_ref.checker.optimizers import OptimizerCheck, check_optimizer
    from torch_ref.checker.training import Training
    from torch_ref.twin.mirror import mirror, reflect
    from torch_ref.twin.wrap import as_torch

_HOMES = {
    "Check": "checker.check",
    "Comparison": "checker.comparison",
    "Divergence": "checker.divergence",
    "OptimizerCheck": "checker.optimizers",
    "Training": "checker.training",
    "as_torch": "twin.wrap",
    "check": "checker.check",
    "check_loss": "checker.check_loss",
    "check_optimizer": "checker.optimizers",
    "compare": "checker.compare",
    "compare_training": "checker.compare_training",
    "first_divergence": "checker.divergence",
    "mirror": "twin.mirror",
    "reflect": "twin.mirror",
}

__all__ = [
    "Check",
    "Comparison",
    "Divergence",
    "OptimizerCheck",
    "Training",
    "as_torch",
    "check",
    "check_loss",
    "check_optimizer",
    "compare",
    "compare_training",
    "first_divergence",
    "mirror",
    "reflect",
]


def __getattr__(name: str) -> Any:
    """The public name, imported from its home on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if file := shadow("scratch"):
        raise ImportError(
            f"torch_ref: {file} is found where gradmirror's own package scratch is meant; rename it, or run "
            "from another folder"
        )
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
