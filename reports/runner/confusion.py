"""Confusion matrix and misread pictures of the test set, for both sides."""

import math

import numpy as np
import pandas as pd

from reports.runner.networks import Network


def tables(
    network: Network, dtype: str, seed: int, ours: np.ndarray, theirs: np.ndarray
) -> dict[str, pd.DataFrame]:
    """The predictions of a trained network for the test pictures; nothing if its samples are no pictures.

    Args:
        network: the trained one.
        dtype: of the training.
        seed: of the training.
        ours: NumPy's predictions of the test set, (N,).
        theirs: PyTorch's.

    Returns:
        "confusion": how often there is each label with these predictions of NumPy and PyTorch. "misread": a
        row for each picture that both sides misread, after those on which they differ; ``index`` is its place
        in the test set, and ``pixels`` its greys, row by row in hexadecimal from 00 to ff, of the first 24.
        Each only if it has rows.
    """
    x, label = network.splits[dtype].test.tensors
    if (pictures := square(x)) is None:
        return {}
    read = pd.DataFrame({"label": label, "predicted_numpy": ours, "predicted_torch": theirs})
    confusion = read.groupby(list(read)).size().rename("count").reset_index()
    differ = read["predicted_numpy"] != read["predicted_torch"]
    wrong = read[differ | (read["predicted_numpy"] != label)]
    wrong = wrong.loc[differ[wrong.index].sort_values(ascending=False, kind="stable").index]
    misread = wrong.rename(columns={"predicted_numpy": "numpy", "predicted_torch": "torch"}).reset_index()
    greys = [_hex(pictures[i]) if row < _PICTURES else None for row, i in enumerate(misread["index"])]
    misread["pixels"] = pd.Series(greys, dtype=object)
    found = {"confusion": confusion, "misread": misread}
    for table in found.values():
        table.insert(0, "network", network.name)
        table.insert(1, "batch", network.batch_size)
        table.insert(2, "dtype", dtype)
        table.insert(3, "seed", seed)
    return {name: table for name, table in found.items() if len(table)}


# So many misread digits are kept as pictures.
_PICTURES = 24


def square(x: np.ndarray) -> np.ndarray | None:
    """Samples as square pictures, (N, side, side); None if they are none.

    Pictures are floating numbers, one channel; flat, (N, side²), with a side of at least 4.
    """
    side = math.isqrt(math.prod(x.shape[1:]))
    if x.dtype.kind != "f" or side < 4 or x.shape[1:] not in ((side**2,), (1, side, side)):
        return None
    return x.reshape(-1, side, side)


def _hex(picture: np.ndarray) -> str:
    return np.rint(255 * np.clip(picture, 0, 1)).astype(np.uint8).tobytes().hex()
