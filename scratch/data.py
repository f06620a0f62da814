"""Datasets and mini-batches (PyTorch, torch/utils/data).

    loader = DataLoader(TensorDataset(x, target), batch_size=100, shuffle=True)
    for x, target in loader: ...

The same seed gives torch's batches, and leaves the generator where torch leaves it, so that what is drawn
during and after an epoch, such as dropout masks, is torch's too. That takes three kinds of draws:

    at iter(loader)         a seed for worker processes, of which there are none
    for the first batch     if shuffled, the permutation; without a generator of its own the loader draws a
                            seed here, and takes the permutation from a new generator of that seed
    after the last sample   if shuffled, a second permutation, of which torch uses nothing

From one epoch to the next a loader remembers nothing. A training goes on as if it had never stopped, if the
generator's state is kept between two epochs (``scratch.random.get_rng_state``) and set again.
"""

import math
import sys
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Protocol, runtime_checkable

import numpy as np

from scratch.random import Generator, random_, randperm


@runtime_checkable
class Dataset(Protocol):
    """Samples by number, ``dataset[0]`` to ``dataset[len(dataset) - 1]`` (torch.utils.data.Dataset).

    A sample is an array, a number, or a tuple, list or dict of samples. A class need not derive from this
    one; a list of samples is a dataset.
    """

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, index: Any) -> Any: ...


class TensorDataset(Dataset):
    """Arrays of shape (N, …): sample i is the tuple of their rows i (torch.utils.data.TensorDataset).

    The index may also be a slice or an array of indices: the samples come stacked, in one indexing.

    Raises:
        TypeError: an argument is not a NumPy array.
        ValueError: no array at all, one without dimensions, or not the same N in all.
    """

    def __init__(self, *tensors: np.ndarray) -> None:
        if not tensors:
            raise ValueError("TensorDataset: tensors is empty, expected at least one array")
        for i, tensor in enumerate(tensors):
            if not isinstance(tensor, np.ndarray):
                raise TypeError(
                    f"TensorDataset: tensors[{i}] is a {type(tensor).__name__}, expected an array"
                )
        shapes = [tensor.shape for tensor in tensors]
        if () in shapes or len({shape[0] for shape in shapes}) > 1:
            given = ", ".join(map(str, shapes))
            raise ValueError(f"TensorDataset: tensors have shapes {given}, expected the same first dimension")
        self.tensors = tensors

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        return tuple(tensor[index] for tensor in self.tensors)


class Subset(Dataset):
    """The samples of a dataset that ``indices`` names, in that order (torch.utils.data.Subset).

    Raises:
        TypeError: dataset has no length or no samples by number; indices are no integers. A mask's indices
            are ``np.flatnonzero(mask)``.
        ValueError: indices has not one dimension.
        IndexError: an index is not in [-N, N).
    """

    def __init__(self, dataset: Dataset, indices: Sequence[int] | np.ndarray) -> None:
        _check_dataset("Subset", dataset)
        try:
            numbers = np.asarray(indices)
        except ValueError:
            raise ValueError(f"Subset: indices is {indices!r}, expected one dimension") from None
        if numbers.ndim != 1:
            raise ValueError(f"Subset: indices has shape {numbers.shape}, expected one dimension")
        if numbers.size and numbers.dtype.kind not in "iu":
            raise TypeError(f"Subset: indices is of dtype {numbers.dtype}, expected integers")
        n = len(dataset)
        outside = numbers[(numbers < -n) | (numbers >= n)]
        if outside.size:
            raise IndexError(f"Subset: indices holds {outside[0]}, expected {-n} to {n - 1}")
        self.dataset, self.indices = dataset, numbers.astype(np.int64)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Any) -> Any:
        return self.dataset[self.indices[index].tolist()]


def random_split(
    dataset: Dataset, lengths: Sequence[float], generator: Generator | None = None
) -> list[Subset]:
    """Disjoint random subsets that are the whole together (torch.utils.data.random_split).

    Args:
        dataset: of N samples.
        lengths: integers whose sum is N, or fractions f whose sum is 1: ⌊f N⌋ samples each, and those that
            remain to the first subsets, one to each.
        generator: draws one permutation of N.

    Raises:
        TypeError: dataset has no length or no samples by number; generator is no Generator.
        ValueError: lengths is neither, or a length is negative.
    """
    _check_dataset("random_split", dataset)
    is_one = not isinstance(lengths, Iterable) or (isinstance(lengths, np.ndarray) and lengths.ndim == 0)
    n, counts = len(dataset), [] if is_one else list[Any](lengths)
    if not counts or not all(map(_is_count, counts)):
        raise ValueError(
            f"random_split: lengths is {lengths!r}, expected integers, or fractions whose sum is 1"
        )
    if math.isclose(sum(counts), 1) and sum(counts) <= 1:
        counts = [math.floor(n * fraction) for fraction in counts]
        for i in range(n - sum(counts)):
            counts[i % len(counts)] += 1
    if sum(counts) != n or not all(isinstance(count, int | np.integer) and count >= 0 for count in counts):
        expected = f"integers from 0 on whose sum is {n}, or fractions whose sum is 1"
        raise ValueError(f"random_split: lengths is {lengths}, expected {expected}")
    order = iter(randperm(n, generator=generator))
    return [Subset(dataset, list(islice(order, count))) for count in counts]


class DataLoader:
    """Mini-batches of a dataset, in torch's order (torch.utils.data.DataLoader).

    A batch is a sample whose arrays have one dimension more, in front: from a TensorDataset of (N, 784) and
    (N,) come tuples of (B, 784) and (B,). Samples of a TensorDataset, or of a Subset of one, are fetched all
    at once, others one by one.

    Args:
        dataset: of N samples.
        batch_size: B, how many samples to a batch; the last has the rest.
        shuffle: take the samples in a new random order in each epoch.
        drop_last: leave out the last batch if it is smaller.
        generator: what draws; None for the default generator.

    Raises:
        TypeError: dataset has no length or no samples by number; generator is no Generator.
        ValueError: batch_size is not a positive integer, shuffle or drop_last not a boolean; there is nothing
            to shuffle. While iterating: samples of one batch do not fit together.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        drop_last: bool = False,
        generator: Generator | None = None,
    ) -> None:
        _check_dataset("DataLoader", dataset)
        if (
            not isinstance(batch_size, int)
            or isinstance(batch_size, bool)
            or not 0 < batch_size <= sys.maxsize
        ):
            raise ValueError(f"DataLoader: batch_size is {batch_size!r}, expected a positive integer")
        for name, value in {"shuffle": shuffle, "drop_last": drop_last}.items():
            if not isinstance(value, bool):
                raise ValueError(f"DataLoader: {name} is {value!r}, expected True or False")
        if generator is not None and not isinstance(generator, Generator):
            given = f"{type(generator).__module__}.{type(generator).__name__}"
            raise TypeError(f"DataLoader: generator is a {given}, expected a scratch.random.Generator")
        if shuffle and len(dataset) == 0:
            raise ValueError("DataLoader: dataset is empty, expected at least one sample to shuffle")
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.generator = generator

    def __len__(self) -> int:
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Any]:
        _draw_seed(self.generator)
        return self._batches()

    def _batches(self) -> Iterator[Any]:
        order = self._order()
        while indices := list(islice(order, self.batch_size)):
            if len(indices) == self.batch_size or not self.drop_last:
                yield self._fetch(indices)

    def _order(self) -> Iterator[int]:
        n = len(self.dataset)
        if not self.shuffle:
            yield from range(n)
            return
        generator = self.generator or Generator().manual_seed(_draw_seed(None))
        yield from randperm(n, generator=generator).tolist()
        randperm(n, generator=generator)  # torch's sampler draws it to take 0 samples more

    def _fetch(self, indices: list[int]) -> Any:
        if _stacks(self.dataset):
            return self.dataset[np.array(indices)]
        return default_collate([self.dataset[i] for i in indices])


def default_collate(samples: Sequence[Any]) -> Any:
    """Stack samples into a batch, field by field (torch.utils.data.default_collate).

    Arrays and numbers become one array, floats a float64 one and ints an int64 one. Of tuples and lists comes
    a tuple, of dicts a dict.

    Raises:
        TypeError: a field holds something else.
        ValueError: samples differ in the number of their fields, or a field in its shape.
    """
    if not isinstance(samples, Sequence | np.ndarray) or not len(samples):
        raise TypeError(f"default_collate: samples is {samples!r}, expected a list of one or more")
    first = samples[0]
    same = next((kind for kind in (Mapping, tuple | list) if isinstance(first, kind)), None)
    if other := next((each for each in samples if same and not isinstance(each, same)), None):
        given = f"a {type(first).__name__} and a {type(other).__name__}"
        raise TypeError(f"default_collate: samples are {given}, expected one kind")
    if isinstance(first, Mapping):
        if other := next((each for each in samples if each.keys() != first.keys()), None):
            raise ValueError(
                f"default_collate: samples have keys {[*first]} and {[*other]}, expected the same in each"
            )
        return {key: default_collate([sample[key] for sample in samples]) for key in first}
    if isinstance(first, tuple | list):
        if len({len(sample) for sample in samples}) > 1:
            given = ", ".join(str(len(sample)) for sample in samples)
            raise ValueError(f"default_collate: samples have {given} fields, expected as many in each")
        return tuple(default_collate(field) for field in zip(*samples, strict=True))
    shapes = [np.shape(sample) for sample in samples]
    if len(set(shapes)) > 1:
        given = ", ".join(map(str, shapes))
        raise ValueError(f"default_collate: samples have shapes {given}, expected the same shape in each")
    batch = np.stack(samples)
    if batch.dtype == object:
        raise TypeError(
            f"default_collate: a sample holds a {type(first).__name__}, expected arrays or numbers"
        )
    return batch


def _is_count(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and math.isfinite(value)


def _check_dataset(where: str, dataset: Any) -> None:
    if isinstance(dataset, type) or not isinstance(dataset, Dataset):
        given = type(dataset).__name__
        raise TypeError(f"{where}: dataset is a {given}, expected one with __len__ and __getitem__")


def _draw_seed(generator: Generator | None) -> int:
    return int(random_(np.empty((), np.int64), generator))


def _stacks(dataset: Any) -> bool:
    """Whether ``dataset[array]`` is a batch. A subclass's own ``__getitem__`` gets one index, as in torch."""
    getitem = type(dataset).__getitem__
    if isinstance(dataset, Subset):
        return getitem is Subset.__getitem__ and _stacks(dataset.dataset)
    return getitem is TensorDataset.__getitem__
