"""The precision that code computes in, whatever it is given: some knows float32 alone."""

import numpy as np

from scratch.gradcheck import Objective
from scratch.gradcheck.chain import Chain
from torch_ref.checker.sides import Sides

_COARSE = np.float32


def usable(sides: Sides, dtypes: list[str], cotangent: object) -> tuple[list[str], str]:
    """Those of ``dtypes`` that yours can be judged in, and a sentence on why float64 is not among them."""
    if not {"float64", "float32"} <= {*dtypes}:
        return dtypes, ""
    others = [dtype for dtype in dtypes if dtype != "float64"]
    try:
        objective, _ = sides.cast(np.dtype(np.float64), cotangent)
        objective.run()
    except Exception as error:  # from other people's code; shown if it says so in float32 too
        try:
            sides.cast(np.dtype(np.float32), cotangent)[0].run()
        except Exception:
            raise error from None
        reason = str(error).partition("\n")[0] or type(error).__name__
        return others, f"Judged in float32 alone: in float64 your code does not run ({reason})."
    if _computes_in_float32(objective):
        return others, "Judged in float32 alone: your code computes in it, also where it is given float64."
    return dtypes, ""


def _computes_in_float32(objective: Objective) -> bool:
    """Whether the forward takes no notice of what float32 cannot hold, in some input or parameter."""
    chain = Chain(objective, np.float64)
    here = chain.loss(0, *chain.inputs)
    for array in chain.tensors().values():
        before = array.copy()
        rounded = before.astype(_COARSE).astype(before.dtype)
        losses = []
        for other in (rounded, before * 1.001):
            array[...] = other
            losses.append(chain.loss(0, *chain.inputs))
        array[...] = before
        if not np.array_equal(rounded, before) and losses[0] == here != losses[1]:
            return True
    return False
