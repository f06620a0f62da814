"""DataLoader, Subset, random_split, TensorDataset and default_collate on what is none, beside torch."""

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.utils.data as theirs

import scratch
from fuzz.mutations import DTYPES, MEMORY, SHAPES
from fuzz.tally import ALONE, DESIGNED, FINE, WRONG, Tally, each, outcome_of
from fuzz.test_arguments import VALUES
from fuzz.twins import DTYPES as KNOWN
from scratch import data as ours

AREA = "DataLoader, Subset, random_split"
pytestmark = pytest.mark.filterwarnings("ignore")

X, LABELS = np.arange(21.0, dtype=np.float32).reshape(7, 3), np.arange(7)
NAMES = ("DataLoader", "Subset", "random_split", "TensorDataset", "default_collate")


def pair(home: Any) -> Any:
    """Seven samples, ours or torch's."""
    arrays = (X, LABELS) if home is ours else (torch.from_numpy(X), torch.from_numpy(LABELS))
    return home.TensorDataset(*arrays)


def flat(value: Any) -> list[Any]:
    """All numbers in nested batches, with their shapes."""
    if isinstance(value, dict):
        return [(key, flat(each)) for key, each in value.items()]
    if isinstance(value, tuple | list):
        return [item for each in value for item in flat(each)]
    array = np.asarray(value)
    return [(array.shape, array.tolist())]


class Broken(ours.Dataset):
    """A dataset whose methods give what they should not."""

    def __init__(self, length: Any, sample: Any) -> None:
        self.length, self.sample = length, sample

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: Any) -> Any:
        if index >= self.length:
            raise IndexError
        return self.sample


DATASETS = {
    "None": None,
    "a number": 3,
    "a text": "abc",
    "a list": [1.0, 2.0, 3.0],
    "a list of arrays": [np.ones(2), np.zeros(2)],
    "a list of pairs": [(np.ones(2), 1), (np.zeros(2), 0)],
    "a list of dicts": [{"x": np.ones(2)}, {"x": np.zeros(2)}],
    "other lengths": [np.ones(2), np.ones(3)],
    "other fields": [(1, 2), (1,)],
    "other keys": [{"x": 1}, {"y": 1}],
    "arrays and numbers": [np.ones(2), 1.0],
    "a tuple and a number": [(1, 2), 3],
    "a dict and a number": [{"x": 1}, 3],
    "None in it": [1, None],
    "texts": ["a", "b"],
    "objects": [object(), object()],
    "an empty list": [],
    "an array": X,
    "a dict of numbers": {0: 1.0, 1: 2.0},
    "a dict of names": {"a": 1.0},
    "a set": {1, 2},
    "a generator": (n for n in range(3)),
    "a class": list,
    "sample None": Broken(2, None),
    "sample ragged": Broken(2, [[1], [1, 2]]),
    "booleans": [True, False],
    "numbers of two kinds": [1, 2.5],
    "large numbers": [2**70, 1],
    "dates": [np.datetime64(0, "s")] * 2,
    "masked": [np.ma.masked_array([1.0, 2.0], [0, 1])] * 2,
    "bytes": b"abc",
    "a range": range(4),
}
LENGTHS: dict[str, Any] = VALUES | {
    "[3, 4]": [3, 4],
    "[3, 3]": [3, 3],
    "[8, -1]": [8, -1],
    "[7]": [7],
    "[]": [],
    "[0.5, 0.5]": [0.5, 0.5],
    "[0.5, 0.4]": [0.5, 0.4],
    "[0.7, 0.7]": [0.7, 0.7],
    "[1.5, -0.5]": [1.5, -0.5],
    "[nan, 0.5]": [math.nan, 0.5],
    "[inf]": [math.inf],
    "['3', '4']": ["3", "4"],
    "[None, 7]": [None, 7],
    "[3.0, 4.0]": [3.0, 4.0],
    "[True, 6]": [True, 6],
    "'34'": "34",
    "a generator": None,
    "[1.0]": [1.0],
    "[1]": [1],
    "[0.1] * 10": [0.1] * 10,
    "[[3], [4]]": [[3], [4]],
    "np [3, 4]": np.array([3, 4]),
    "np [.3, .7]": np.array([0.3, 0.7]),
}
INDICES: dict[str, Any] = VALUES | {
    "[0, 6]": [0, 6],
    "[7]": [7],
    "[-8]": [-8],
    "[-1]": [-1],
    "[0.5]": [0.5],
    "[1.0]": [1.0],
    "['0']": ["0"],
    "[None]": [None],
    "[True, False]": [True, False],
    "[[0], [1]]": [[0], [1]],
    "[[0], [1, 2]]": [[0], [1, 2]],
    "[2**70]": [2**70],
    "a set": {0, 1},
    "a generator": None,
    "a mask": np.ones(7, bool),
    "uint8": np.array([1, 2], np.uint8),
    "uint64": np.array([1, 2**63], np.uint64),
    "objects": np.array([1, "a"], object),
}
# Texts and dates come as an array of them, lengths out of a generator too; an error of a dataset is its own.
DESIGN = {("dataset", name) for name in ("a text", "texts", "dates", "bytes")} | {("lengths", "a generator")}
OPTIONS = ("batch_size", "shuffle", "drop_last", "generator")
TRIALS = [
    *(
        ("dataset", name, where)
        for name in DATASETS
        for where in ("DataLoader", "Subset", "random_split", "shuffled", "default_collate")
    ),
    *(("loader", name, option) for option in OPTIONS for name in VALUES),
    *(("lengths", name, "") for name in LENGTHS),
    *(("indices", name, "") for name in INDICES),
    *(("tensors", name, "") for name in {**DTYPES, **SHAPES, **MEMORY}),
    *(("no tensors", name, "") for name in DATASETS if name != "an array"),
]


def call(home: Any, what: str, name: str, where: str) -> list[Any]:
    """The same call of ours or of torch's, to numbers."""
    scratch.manual_seed(0)
    torch.manual_seed(0)
    if what == "dataset":
        dataset = DATASETS[name]
        if where == "default_collate":
            return flat(home.default_collate(dataset))
        if where in ("DataLoader", "shuffled"):
            return flat(list(home.DataLoader(dataset, 2, shuffle=where == "shuffled")))
        if where == "Subset":
            return flat(list(home.DataLoader(home.Subset(dataset, [1, 0]), 2)))
        return [flat(list(home.DataLoader(part))) for part in home.random_split(dataset, [1, 1])]
    if what == "loader":
        return flat(list(home.DataLoader(pair(home), **{where: VALUES[name]})))
    if what == "lengths":
        lengths = (n for n in (3, 4)) if name == "a generator" else LENGTHS[name]
        return [flat(list(home.DataLoader(part))) for part in home.random_split(pair(home), lengths)]
    if what == "indices":
        indices = (n for n in (3, 4)) if name == "a generator" else INDICES[name]
        return flat(list(home.DataLoader(home.Subset(pair(home), indices), 2)))
    if what == "tensors":
        x = {**DTYPES, **SHAPES, **MEMORY}[name](X)
        given = (x, LABELS) if home is ours else (torch.from_numpy(np.array(x)), torch.from_numpy(LABELS))
        return flat(list(home.DataLoader(home.TensorDataset(*given), 3)))
    return flat(list(home.DataLoader(home.TensorDataset(DATASETS[name]), 2)))


@each(TRIALS, 40)
def test_what_is_no_data_is_refused_clearly_or_gives_the_batches_of_torch(tried: Tally, trial) -> None:
    shown = " ".join(trial)
    mine, error = outcome_of(lambda: call(ours, *trial))
    if isinstance(error, KeyError) or (error is None and (trial[0], trial[1]) in DESIGN):
        tried.add(DESIGNED, shown)
        return
    if error is not None:
        tried.add_error(error, shown, NAMES)
        return
    if trial[0] == "tensors" and np.asarray({**DTYPES, **SHAPES, **MEMORY}[trial[1]](X)).dtype not in KNOWN:
        tried.add(ALONE, shown)
        return
    yours, refusal = outcome_of(lambda: call(theirs, *trial))
    if refusal is not None:
        tried.add(WRONG, shown, refusal)
        return
    same = repr(mine) == repr(yours)
    tried.add(FINE if same else WRONG, shown, (mine[:2], yours[:2]))
