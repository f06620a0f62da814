"""The wrong entries, in words."""

import numpy as np

from torch_ref.checker.diagnosis.cause import same_shape
from torch_ref.checker.verdict import TensorVerdict


def pattern(t: TensorVerdict) -> str:
    """The wrong entries, in words."""
    if not same_shape(t):
        return f"it has shape {t.ours.shape}, expected {t.reference.shape}"
    wrong = t.wrong(t.ours)
    count = int(np.count_nonzero(wrong))
    if count == wrong.size:
        return f"all {count:,} entries are wrong" if count > 1 else "its one entry is wrong"
    for axis in range(wrong.ndim if wrong.ndim > 1 else 0):
        if slices := _whole_slices(wrong, axis):
            return slices + (
                ", where PyTorch's are 0: a padding row (padding_idx)?" if _is_padding(t, wrong) else ""
            )
    (index, *_), *_ = t.worst(1)
    at = ", ".join(map(str, index))
    return f"{count:,} of {wrong.size:,} entries {'are' if count > 1 else 'is'} wrong, the worst at [{at}]"


def _whole_slices(wrong: np.ndarray, axis: int) -> str:
    """The slices along an axis that are wrong, if they are so as wholes and nothing else is; or ""."""
    others = tuple(a for a in range(wrong.ndim) if a != axis)
    whole = np.flatnonzero(np.all(wrong, axis=others))
    size = wrong.size // wrong.shape[axis]
    if len(whole) == wrong.shape[axis] or len(whole) * size != np.count_nonzero(wrong):
        return ""
    listed = ", ".join(map(str, whole[:5])) + (", …" if len(whole) > 5 else "")
    return (
        f"all of {slices_of(axis, wrong.ndim, len(whole))} {listed} {'are' if len(whole) > 1 else 'is'} wrong"
    )


def _is_padding(t: TensorVerdict, wrong: np.ndarray) -> bool:
    """Whether PyTorch has 0 in a single row, and there is something else."""
    rows = np.flatnonzero(np.all(wrong, axis=tuple(range(1, wrong.ndim))))
    return len(rows) == 1 and np.count_nonzero(wrong) == wrong[0].size and not np.any(t.reference[rows])


def slices_of(axis: int, ndim: int, count: int) -> str:
    """ "rows", "column", "slices of axis 2": the parts of an array along an axis."""
    kind = {0: "row", ndim - 1: "column"}.get(axis, "slice")
    plural = "s" * (count > 1)
    return f"{kind}{plural} of axis {axis}" if kind == "slice" else f"{kind}{plural}"
