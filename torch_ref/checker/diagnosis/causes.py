"""diagnose: the order in which causes are looked for."""

from collections.abc import Sequence

import numpy as np

from scratch import nn
from scratch.gradcheck import INCONCLUSIVE, Objective
from torch_ref.checker.comparison import Comparison
from torch_ref.checker.diagnosis.bound import Bound
from torch_ref.checker.diagnosis.cause import UNKNOWN, Cause, differ, is_output, merged, same_shape
from torch_ref.checker.diagnosis.corrected import correction
from torch_ref.checker.diagnosis.forward import forward_causes
from torch_ref.checker.diagnosis.incoming import ignoring, ignoring_an_output
from torch_ref.checker.diagnosis.pattern import pattern
from torch_ref.checker.diagnosis.reproduced import REPRODUCED, REPRODUCED_FORWARD, reproductions
from torch_ref.checker.verdict import CORRECT_FOR_FORWARD, TensorVerdict

_NOT_NUMPYS = ("PyTorch is wrong", CORRECT_FOR_FORWARD, INCONCLUSIVE)


def diagnose(objective: Objective, comparison: Comparison, *modules: nn.Module | None) -> list[Cause]:
    """The confirmed causes of what is wrong on the NumPy side; if there is none, the patterns of the errors.

    Where NumPy and PyTorch give the same, and only the numeric derivative differs, no mistake of NumPy's is
    looked for.

    Args:
        objective: of the comparison.
        comparison: its result.
        modules: our own modules of the same kind with the same weights, if we have one, or have found some
            (family.py). A mistake in the first is preferred.
    """
    right = [module for module in modules if module is not None]
    wrong = [t for t in comparison.wrong if t.verdict not in _NOT_NUMPYS and differ(t, t.ours, t.reference)]
    if not wrong:
        return []
    comparable = all(2 * t.kinks <= t.expected.size for t in wrong if same_shape(t))
    for module in right if comparable else ():
        if found := reproductions(objective, comparison, module, wrong):
            silent = module.without_gradient if isinstance(module, Bound) else set()
            names = tuple(t.name for t in wrong if t.name not in silent)
            evidence = REPRODUCED_FORWARD if all(map(is_output, wrong)) else REPRODUCED
            others = _explained([t for t in wrong if t.name in silent], objective, comparison)
            return [*(Cause(name, evidence, fix, names) for name, fix in found), *others]
    # Forward first: gradients are explained by themselves only if they are wrong for their own forward.
    causes = forward_causes(objective, comparison, right)
    gradients = [t for t in wrong if not is_output(t)]
    causes += [Cause(UNKNOWN, pattern(t), "", (t.name,)) for t in wrong if t.name.startswith("buffer")]
    return merged([*causes, *_explained(gradients, objective, comparison)])


def _explained(wrong: Sequence[TensorVerdict], objective: Objective, comparison: Comparison) -> list[Cause]:
    """The cause of each wrong gradient, or its pattern."""
    causes = [*ignoring(objective, list(wrong)), *ignoring_an_output(objective, list(wrong))] if wrong else []
    done = {name for cause in causes for name in cause.tensors}
    right = {t.name: t.expected for t in comparison.tensors if not is_output(t)}
    for t in wrong:
        if t.name not in done:
            # Without a numeric derivative, as on ties, PyTorch's is what is expected.
            found = correction(t, objective, right) if np.all(np.isfinite(t.expected)) else None
            causes.append(found or Cause(UNKNOWN, pattern(t), "", (t.name,)))
    return causes
