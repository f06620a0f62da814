"""The formulas of the project, each beside its derivative: plain functions on NumPy arrays.

    from scratch import functional as F

    y, saved = F.linear(x, W, b)                 # the formula: y, and what its derivative needs
    dx, dW, db = F.linear_backward(dy, saved)    # dL/dy comes in, dL/d(each array) comes out, in the same
    order

A docstring is the derivation, the body the same formula in the same symbols. Nothing is checked here and
nothing added up: that is what the modules of scratch.nn are for, which call these functions. All of it runs
in float32, float64, longdouble and complex128, and changes no input.

Where a faster way is worth a tenth or more there is a second file with the same functions (conv_fast.py,
linear_fast.py, loss_fast.py, rnn_fast.py), which the modules use; tests hold the two equal.
"""

from scratch.functional.activation import *
from scratch.functional.attention import *
from scratch.functional.conv import *
from scratch.functional.distance import *
from scratch.functional.dropout import *
from scratch.functional.embedding import *
from scratch.functional.fold import *
from scratch.functional.linear import *
from scratch.functional.loss import *
from scratch.functional.loss_classes import *
from scratch.functional.loss_pairs import *
from scratch.functional.norm import *
from scratch.functional.padding import *
from scratch.functional.pooling import *
from scratch.functional.residual import *
from scratch.functional.rnn import *
from scratch.functional.shape import *
from scratch.functional.softmax import *
from scratch.functional.upsampling import *

__all__ = [name for name, value in globals().items() if getattr(value, "__module__", "").startswith(__name__)]
