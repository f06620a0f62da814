"""Is a gradient right? Numeric derivatives, how far rounding may move a gradient, and verdicts by both."""

from scratch.gradcheck.check import (
    TOO_BLIND,
    DirectionsResult,
    GradcheckResult,
    TensorCheck,
    WrongEntry,
    check_directions,
    gradcheck,
)
from scratch.gradcheck.numeric import (
    Gradients,
    Network,
    Objective,
    Step,
    differentiate,
    named,
    numerical_gradient,
)

__all__ = [
    "TOO_BLIND",
    "DirectionsResult",
    "GradcheckResult",
    "Gradients",
    "Network",
    "Objective",
    "Step",
    "TensorCheck",
    "WrongEntry",
    "check_directions",
    "differentiate",
    "gradcheck",
    "named",
    "numerical_gradient",
]
