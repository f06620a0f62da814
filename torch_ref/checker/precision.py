"""The precision that code computes in, whatever it is given: some knows float32 alone."""

from collections.abc import Iterable
from contextlib import suppress

import numpy as np

from scratch.gradcheck import Objective
from scratch.gradcheck.chain import Chain
from scratch.nested import leaves
from torch_ref.adapters import JaxCode
from torch_ref.checker.sides import Sides
from torch_ref.checker.verdict import largest

# So many entries tell of most gradients that they are not rounded.
_FIRST = 4096


def usable(sides: Sides, dtypes: list[str], cotangent: object) -> tuple[list[str], str]:
    """Those of ``dtypes`` that yours can be judged in, and a sentence on why float64 is not among them."""
    if not {"float64", "float32"} <= {*dtypes}:
        return dtypes, ""
    others = [dtype for dtype in dtypes if dtype != "float64"]
    try:
        objective, _ = sides.cast(np.dtype(np.float64), cotangent)
        gradients = objective.run()[1].named()
    except Exception as error:  # from other people's code; shown if it says so in float32 too
        try:
            sides.cast(np.dtype(np.float32), cotangent)[0].run()
        except Exception:
            raise error from None
        reason = str(error).partition("\n")[0] or type(error).__name__
        return others, f"Judged in float32 alone: in float64 your code does not run ({reason})."
    if computes_in_float32(objective, gradients.values()):
        return others, "Judged in float32 alone: your code computes in it, also where it is given float64."
    if _draws_by_precision(sides, objective, cotangent):
        return [dtype for dtype in dtypes if dtype != "float32"], (
            "Judged in float64 alone: in float32 your function gives another output, as JAX draws other "
            "random numbers there, or as it loses all digits."
        )
    return dtypes, ""


def computes_in_float32(objective: Objective, gradients: Iterable[np.ndarray]) -> bool:
    """Whether it rounds to float32 what it is given in float64; ``gradients`` as it gives them."""
    return any(map(_is_rounded, gradients)) or _takes_no_notice(objective)


def _draws_by_precision(sides: Sides, objective: Objective, cotangent: object) -> bool:
    """Whether code of JAX gives another output in float32: its random numbers depend on the precision."""
    if not any(isinstance(module, JaxCode) for module in objective.model.modules()):
        return False
    low, _ = sides.cast(np.dtype(np.float32), cotangent)
    pairs = zip(leaves(low.y), leaves(objective.y), strict=True)
    return not all(np.allclose(a, b, 1e-2, 1e-2 * largest(np.asarray(b, float))) for (_, a), (_, b) in pairs)


def _takes_no_notice(objective: Objective) -> bool:
    """Whether the forward takes no notice of what float32 cannot hold, in some input or parameter.

    One that is not defined beside its inputs, such as rows that must sum up to 1, does not tell.
    """
    chain = Chain(objective, np.float64)
    here = chain.loss(0, *chain.inputs)
    rng = np.random.default_rng(0)
    for array in chain.tensors().values():
        # Moved first: weights that torch has drawn are held by float32 already.
        before, moved = array.copy(), array * (1 + 1e-3 * rng.uniform(1, 2, array.shape))
        losses = []
        for other in (moved, moved.astype(np.float32)):
            array[...] = other
            with suppress(Exception):  # from other people's code
                losses.append(chain.loss(0, *chain.inputs))
        array[...] = before
        if len(losses) == 2 and losses[0] == losses[1] != here:
            return True
    return False


def _is_rounded(gradient: np.ndarray) -> bool:
    """Whether float32 holds all its entries, as it would only if they were rounded to it.

    Whole numbers and halves are no evidence; an incoming gradient that is random leaves none of those.
    """
    g = np.asarray(gradient)
    if g.dtype == np.float32:
        return True
    first = g.reshape(-1)[:_FIRST]
    if np.any(np.isfinite(first) & (first != first.astype(np.float32))):
        return False
    odd = g[np.isfinite(g) & (g * 1024 % 1 != 0)]
    return len(np.unique(np.abs(odd))) > 2 and np.array_equal(odd, odd.astype(np.float32))
