"""Is a gradient right? Numeric derivatives, how far rounding may move a gradient, and verdicts by both.

gradcheck(nn.Sequential(nn.Linear(4, 3), nn.Tanh()), x)     # every entry
check_directions(model, x, loss_fn=loss_fn, target=target)  # a few random directions, and the wrong entries
"""

from scratch.gradcheck.check import (
    DirectionsResult,
    GradcheckResult,
    TensorCheck,
    WrongEntry,
    check_directions,
    gradcheck,
)
from scratch.gradcheck.derivative import numerical_gradient
from scratch.gradcheck.numeric import differentiate
from scratch.gradcheck.objective import Gradients, Objective, named
from scratch.gradcheck.step import Step
from scratch.gradcheck.tolerance import INCONCLUSIVE

__all__ = [
    "INCONCLUSIVE",
    "DirectionsResult",
    "GradcheckResult",
    "Gradients",
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
