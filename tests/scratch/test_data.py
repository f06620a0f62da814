"""scratch.data against torch.utils.data: the same batches, and the same words drawn, at the same moments."""

import re
import subprocess
import sys
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils import data as torch_data

from scratch import random
from scratch.data import DataLoader, Dataset, Subset, TensorDataset, default_collate, random_split

# Of the cases of each test; the others in make long.
ONE_IN = 2

END = object()


def arrays(n: int) -> tuple[np.ndarray, np.ndarray]:
    """x (n, 2), float32, and labels (n,), int64, no two alike."""
    return np.arange(2 * n, dtype=np.float32).reshape(n, 2), np.arange(n) + 100


def tensors(n: int) -> torch_data.TensorDataset:
    """The same for torch."""
    return torch_data.TensorDataset(*map(torch.from_numpy, arrays(n)))


def assert_same_states(generators: tuple[random.Generator, torch.Generator] | None = None) -> None:
    """The default generators are at the same place, and so are these two."""
    np.testing.assert_array_equal(random.get_rng_state(), torch.get_rng_state().numpy())
    if generators is not None:
        np.testing.assert_array_equal(generators[0].get_state(), generators[1].get_state().numpy())


def assert_same_batch(ours, theirs) -> None:
    """Same fields, dtypes, shapes and values."""
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert (a.dtype, a.shape) == (b.numpy().dtype, b.numpy().shape)
        np.testing.assert_array_equal(a, b.numpy())


def assert_same_epochs(ours, theirs, seed=0, epochs=3, **options) -> None:
    """Walk two datasets in step, while the program draws numbers of its own after each batch."""
    random.manual_seed(seed)
    torch.manual_seed(seed)
    generators = None
    if options.pop("own_generator", False):
        generators = random.Generator().manual_seed(seed + 1), torch.Generator().manual_seed(seed + 1)
    loader = DataLoader(ours, generator=generators and generators[0], **options)
    torch_loader = torch_data.DataLoader(theirs, generator=generators and generators[1], **options)
    assert_same_states(generators)
    for _ in range(epochs):
        batches, torch_batches = iter(loader), iter(torch_loader)
        assert_same_states(generators)
        count = 0
        while (batch := next(batches, END)) is not END:
            assert_same_batch(batch, next(torch_batches))
            assert_same_states(generators)
            np.testing.assert_array_equal(random.rand(3), torch.rand(3).numpy())
            count += 1
        assert next(torch_batches, END) is END
        assert count == len(loader) == len(torch_loader)
        assert_same_states(generators)
        np.testing.assert_array_equal(random.rand(1), torch.rand(1).numpy())


@pytest.mark.parametrize("own_generator", [False, True])
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
def test_same_batches_and_same_draws_as_torch(shuffle, drop_last, own_generator):
    for n, batch_size in [(1, 1), (5, 1), (12, 4), (13, 4), (12, 5), (7, 7), (7, 20), (700, 64)]:
        options = {"batch_size": batch_size, "shuffle": shuffle, "drop_last": drop_last}
        assert_same_epochs(TensorDataset(*arrays(n)), tensors(n), own_generator=own_generator, **options)


@pytest.mark.long
@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(
    st.integers(1, 40),
    st.integers(0, 2**32),
    st.fixed_dictionaries(
        {"batch_size": st.integers(1, 45)},
        optional={name: st.booleans() for name in ("shuffle", "drop_last", "own_generator")},
    ),
)
def test_same_with_any_options(n, seed, options):
    assert_same_epochs(TensorDataset(*arrays(n)), tensors(n), seed, epochs=2, **options)


def test_an_epoch_given_up_leaves_the_generator_where_torch_leaves_it():
    random.manual_seed(0)
    torch.manual_seed(0)
    for loader in (
        DataLoader(TensorDataset(*arrays(9)), 2, shuffle=True),
        torch_data.DataLoader(tensors(9), 2, shuffle=True),
    ):
        iter(loader)
        next(iter(loader))
    assert_same_states()


def test_shuffling_reaches_every_sample_once_and_differs_between_epochs():
    random.manual_seed(0)
    loader = DataLoader(TensorDataset(*arrays(50)), 7, shuffle=True)
    first, second = (np.concatenate([label for _, label in loader]) for _ in range(2))
    np.testing.assert_array_equal(np.sort(first), np.arange(50) + 100)
    np.testing.assert_array_equal(np.sort(second), np.sort(first))
    assert (first != second).any()
    assert (first != np.sort(first)).any()


@pytest.mark.parametrize("own_generator", [False, True])
def test_the_generators_state_is_all_that_a_training_needs_to_go_on(own_generator):
    def start() -> tuple[random.Generator, DataLoader]:
        generator = random.Generator() if own_generator else random.default_generator
        dataset = TensorDataset(*arrays(10))
        return generator, DataLoader(dataset, 3, True, generator=generator if own_generator else None)

    def epoch(loader: DataLoader) -> list[int]:
        return [int(i) for _, label in loader for i in label]

    generator, loader = start()
    generator.manual_seed(7)
    epoch(loader)
    state = generator.get_state()
    expected = [epoch(loader), epoch(loader)]

    generator, loader = start()
    generator.manual_seed(8)
    assert epoch(loader) != expected[0]
    generator.set_state(state)
    assert [epoch(loader), epoch(loader)] == expected


class Squares(Dataset):
    """A sample of each kind that both sides stack."""

    def __len__(self):
        return 7

    def __getitem__(self, index):
        assert type(index) is int
        if not 0 <= index < 7:
            raise IndexError(index)
        row = np.full((2, 3), index, np.float32)
        return row, index, index * 0.5, np.float32(index), index > 3, [row[0], -index]


def test_other_datasets_are_stacked_as_torch_stacks_them():
    dataset = Squares()
    for ours, theirs in [
        (dataset, dataset),
        (Subset(dataset, [5, 1, 2, 1]), Subset(dataset, [5, 1, 2, 1])),
    ]:
        random.manual_seed(1)
        torch.manual_seed(1)
        pairs = zip(DataLoader(ours, 3, True), torch_data.DataLoader(theirs, 3, True), strict=True)
        for batch, torch_batch in pairs:
            assert_same_batch(batch[:5], torch_batch[:5])
            assert_same_batch(batch[5], torch_batch[5])
        assert_same_states()


def test_lists_and_dicts_are_datasets_and_samples():
    batches = list(DataLoader([{"x": np.ones(2), "y": i} for i in range(3)], 2))
    assert [batch.keys() for batch in batches] == [{"x", "y"}] * 2
    assert batches[0]["x"].shape == (2, 2)
    assert [batch["y"].tolist() for batch in batches] == [[0, 1], [2]]
    assert [batch.tolist() for batch in DataLoader([3, 4, 5], 2)] == [[3, 4], [5]]
    assert [batch.tolist() for batch in DataLoader(np.eye(2))] == [[[1, 0]], [[0, 1]]]


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_batch_of_a_tensor_dataset_is_one_indexing(shuffle, monkeypatch):
    calls, getitem = [], TensorDataset.__getitem__
    monkeypatch.setattr(TensorDataset, "__getitem__", lambda *a: calls.append(a) or getitem(*a))
    dataset = TensorDataset(*arrays(100))
    assert len(list(DataLoader(dataset, 30, shuffle))) == len(calls) == 4
    half = Subset(Subset(dataset, range(0, 100, 2)), range(40))
    assert len(list(DataLoader(half, 30, shuffle))) == len(calls) - 4 == 2


def test_a_batch_is_a_copy():
    x, label = arrays(4)
    for batch, _ in DataLoader(TensorDataset(x, label), 2):
        batch[:] = -1
    np.testing.assert_array_equal(x, arrays(4)[0])


@pytest.mark.parametrize("wrap", [lambda d: d, lambda d: Subset(d, range(6))])
def test_a_subclass_with_its_own_samples_is_asked_for_them_one_by_one(wrap):
    class Flipped(TensorDataset):
        def __getitem__(self, index):
            x, label = super().__getitem__(index)
            return (x[::-1] if label % 2 else x), label

    x, label = arrays(6)
    x[1::2] = x[1::2, ::-1]
    for start, batch in enumerate(DataLoader(wrap(Flipped(*arrays(6))), 3)):
        rows = slice(3 * start, 3 * start + 3)
        np.testing.assert_array_equal(batch[0], x[rows])
        np.testing.assert_array_equal(batch[1], label[rows])

    class Odd(Subset):
        def __getitem__(self, index):
            assert type(index) is int
            return super().__getitem__(2 * index + 1)

    odd = Odd(TensorDataset(x, label), range(6))
    assert next(iter(DataLoader(odd, 3)))[1].tolist() == label[1::2].tolist()


def test_tensor_dataset():
    x, label = arrays(5)
    dataset = TensorDataset(x, label)
    assert len(dataset) == 5
    assert dataset.tensors[0] is x
    for index in 2, -1, slice(1, 4), np.array([3, 0, 3]), [4, 2]:
        for got, whole in zip(dataset[index], (x, label), strict=True):
            np.testing.assert_array_equal(got, whole[index])
    assert len(TensorDataset(np.zeros((0, 3)))) == 0
    with pytest.raises(IndexError):
        dataset[5]


def test_subset():
    x, label = arrays(5)
    indices = np.array([4, 1, 1, -5])
    subset = Subset(TensorDataset(x, label), indices)
    indices[0] = 0
    assert len(subset) == 4
    np.testing.assert_array_equal(subset[0][0], x[4])
    np.testing.assert_array_equal(subset[1:][1], label[[1, 1, 0]])
    np.testing.assert_array_equal(subset[np.array([3, 0])][1], label[[0, 4]])
    np.testing.assert_array_equal(Subset(subset, [2])[0][0], x[1])
    assert len(Subset(subset, [])) == 0
    assert subset[2:2][0].shape == (0, 2)


@pytest.mark.parametrize(
    ("n", "lengths"),
    [(10, [3, 7]), (10, [10]), (10, [4, 0, 6]), (10, [0.3, 0.3, 0.4]), (11, [0.5, 0.5]), (7, [0.2] * 5)],
)
def test_random_split_is_torchs(n, lengths):
    random.manual_seed(3)
    torch.manual_seed(3)
    generators = random.Generator().manual_seed(4), torch.Generator().manual_seed(4)
    for ours, theirs in [(None, torch.default_generator), generators]:
        parts = random_split(range(n), lengths, ours)
        expected = torch_data.random_split(range(n), lengths, theirs)
        assert [part.indices.tolist() for part in parts] == [part.indices for part in expected]
    assert_same_states(generators)


@pytest.mark.parametrize(
    ("n", "batch_size", "drop_last"), list(product([0, 1, 6, 7], [1, 3, 9], [False, True]))
)
def test_length_is_the_number_of_batches(n, batch_size, drop_last):
    loader = DataLoader(TensorDataset(np.zeros(n)), batch_size, drop_last=drop_last)
    expected = len(torch_data.DataLoader(range(n), batch_size, drop_last=drop_last))
    assert len(loader) == len(list(loader)) == expected


def test_defaults_are_torchs():
    loader, torch_loader = DataLoader(range(3)), torch_data.DataLoader(range(3))
    for name in "batch_size", "drop_last", "generator":
        assert getattr(loader, name) == getattr(torch_loader, name)
    assert [batch.tolist() for batch in loader] == [[0], [1], [2]]


X = np.zeros((3, 2))
SET = TensorDataset(X)
BAD_ARGUMENTS = [
    (DataLoader, (SET, 0), {}, ValueError, "DataLoader: batch_size is 0, expected a positive integer"),
    (DataLoader, (SET, -3), {}, ValueError, "DataLoader: batch_size is -3, expected a positive integer"),
    (DataLoader, (SET, 2.0), {}, ValueError, "DataLoader: batch_size is 2.0, expected a positive integer"),
    (DataLoader, (SET, True), {}, ValueError, "DataLoader: batch_size is True, expected a positive integer"),
    (DataLoader, (SET, None), {}, ValueError, "DataLoader: batch_size is None, expected a positive integer"),
    (DataLoader, (SET, 1, "no"), {}, ValueError, "DataLoader: shuffle is 'no', expected True or False"),
    (DataLoader, (SET,), {"drop_last": 1}, ValueError, "DataLoader: drop_last is 1, expected True or False"),
    (
        DataLoader,
        (X[:0], 1, True),
        {},
        ValueError,
        "DataLoader: dataset is empty, expected at least one sample",
    ),
    (
        DataLoader,
        (7,),
        {},
        TypeError,
        "DataLoader: dataset is a int, expected one with __len__ and __getitem__",
    ),
    (DataLoader, ({1, 2},), {}, TypeError, "DataLoader: dataset is a set, expected one with __len__"),
    (
        DataLoader,
        (SET,),
        {"generator": np.random.default_rng(0)},
        TypeError,
        "DataLoader: generator is a numpy.random._generator.Generator, expected a scratch.random.Generator",
    ),
    (
        DataLoader,
        (SET,),
        {"generator": torch.Generator()},
        TypeError,
        "DataLoader: generator is a torch._C.Generator, expected a scratch.random.Generator",
    ),
    (TensorDataset, (), {}, ValueError, "TensorDataset: tensors is empty, expected at least one array"),
    (TensorDataset, (X, [1]), {}, TypeError, "TensorDataset: tensors[1] is a list, expected an array"),
    (
        TensorDataset,
        (X, np.zeros(4)),
        {},
        ValueError,
        "TensorDataset: tensors have shapes (3, 2), (4,), expected the same first dimension",
    ),
    (
        TensorDataset,
        (np.array(1.0),),
        {},
        ValueError,
        "TensorDataset: tensors have shapes (), expected the same first dimension",
    ),
    (Subset, (7, [0]), {}, TypeError, "Subset: dataset is a int, expected one with __len__ and __getitem__"),
    (Subset, (SET, [0, 3]), {}, IndexError, "Subset: indices holds 3, expected -3 to 2"),
    (Subset, (SET, [-4]), {}, IndexError, "Subset: indices holds -4, expected -3 to 2"),
    (Subset, (SET, [0.0]), {}, TypeError, "Subset: indices is of dtype float64, expected integers"),
    (Subset, (SET, [True, False]), {}, TypeError, "Subset: indices is of dtype bool, expected integers"),
    (Subset, (SET, [[0, 1]]), {}, ValueError, "Subset: indices has shape (1, 2), expected one dimension"),
    (random_split, (7, [7]), {}, TypeError, "random_split: dataset is a int, expected one with __len__"),
    (
        random_split,
        (SET, [1, 1]),
        {},
        ValueError,
        "random_split: lengths is [1, 1], expected integers from 0 on",
    ),
    (
        random_split,
        (SET, [-1, 4]),
        {},
        ValueError,
        "random_split: lengths is [-1, 4], expected integers from 0",
    ),
    (
        random_split,
        (SET, [1.5, 1.5]),
        {},
        ValueError,
        "random_split: lengths is [1.5, 1.5], expected integers",
    ),
    (
        random_split,
        (SET, [0.5, 0.6]),
        {},
        ValueError,
        "random_split: lengths is [0.5, 0.6], expected integers from 0 on whose sum is 3, or fractions",
    ),
    (
        default_collate,
        ([X[0], X[:, 0]],),
        {},
        ValueError,
        "default_collate: samples have shapes (2,), (3,), expected the same shape in each",
    ),
    (
        default_collate,
        ([(1, 2), (1,)],),
        {},
        ValueError,
        "default_collate: samples have 2, 1 fields, expected as many in each",
    ),
    (
        default_collate,
        ([(1, None)],),
        {},
        TypeError,
        "default_collate: a sample holds a NoneType, expected arrays or numbers",
    ),
]


@pytest.mark.parametrize(("function", "arguments", "options", "error", "message"), BAD_ARGUMENTS)
def test_bad_arguments_are_named_and_take_no_words(function, arguments, options, error, message):
    before = random.get_rng_state()
    with pytest.raises(error, match="^" + re.escape(message)):
        function(*arguments, **options)
    np.testing.assert_array_equal(random.get_rng_state(), before)


def test_a_dataset_without_its_methods_is_refused():
    class Unfinished(Dataset):
        def __len__(self):
            return 1

    with pytest.raises(TypeError, match=r"abstract method '?__getitem__"):
        Unfinished()


def test_importing_takes_numpy_alone():
    code = (
        "import sys, scratch.data, scratch.datasets\n"
        "print(*{'torch', 'pandas', 'scipy', 'sklearn', 'mlxtend', 'pooch'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == done.stderr == ""
