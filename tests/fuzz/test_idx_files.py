"""IDX files, plain and gzipped: cut anywhere, bits turned, and headers that say what is not there."""

import gzip
import math
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz.tally import CLEAR, FINE, RAW, WRONG, Tally, each, is_clear, outcome_of, sized
from scratch.datasets import mnist, read_idx

AREA = "IDX and gzip"

SOUND = bytes([0, 0, 8, 3, 0, 0, 0, 5, 0, 0, 0, 4, 0, 0, 0, 4]) + bytes(range(80))
PACKED = gzip.compress(SOUND, mtime=0)
SOUND_ARRAY = np.arange(80, dtype=np.uint8).reshape(5, 4, 4)


def header(kind: int, *sizes: int, magic: int = 0) -> bytes:
    return (
        magic.to_bytes(2, "big")
        + bytes([kind, len(sizes)])
        + b"".join(size.to_bytes(4, "big") for size in sizes)
    )


def bomb(size: int) -> bytes:
    """A small gzip file that unpacks to so many zeros."""
    return gzip.compress(header(8, size) + bytes(size), mtime=0)


HOSTILE = {
    "empty": b"",
    "huge": header(8, 2**32 - 1, 2**32 - 1, 2**32 - 1),
    "huge and a byte": header(8, 2**32 - 1, 2**32 - 1) + b"\0",
    "zero times huge": header(8, 0, 2**32 - 1, 2**32 - 1, 2**32 - 1),
    "zero last": header(14, 2**32 - 1, 2**32 - 1, 0),
    "255 axes": bytes([0, 0, 8, 255]) + (1).to_bytes(4, "big") * 255 + b"\7",
    "255 axes of 0": bytes([0, 0, 8, 255]) + bytes(4 * 255),
    "65 axes": bytes([0, 0, 8, 65]) + (1).to_bytes(4, "big") * 65 + b"\7",
    "no axes": bytes([0, 0, 8, 0]) + b"\7",
    "no axes and no value": bytes([0, 0, 8, 0]),
    "two gzips": PACKED + PACKED,
    "gzip and rubbish": PACKED + b"rubbish",
    "gzip of gzip": gzip.compress(PACKED),
    "gzip of nothing": gzip.compress(b""),
    "gzip header alone": b"\x1f\x8b",
    "zlib": zlib.compress(SOUND),
    "a bomb": bomb(50_000_000),
    "a bomb that says little": gzip.compress(header(8, 1) + bytes(50_000_000), mtime=0),
    "nan floats": header(13, 2) + np.array([math.nan, math.inf], ">f4").tobytes(),
    "text": b"these are no images at all",
    "html": b"<html><body>404</body></html>",
}
TRIALS = [
    *(("plain cut", n) for n in range(len(SOUND))),
    *(("packed cut", n) for n in range(len(PACKED))),
    *(("plain bit", n) for n in range(8 * len(SOUND))),
    *(("packed bit", n) for n in range(8 * len(PACKED))),
    *(("type", n) for n in range(256)),
    *(("axes", n) for n in range(256)),
    *(("hostile", name) for name in HOSTILE),
]


def turned(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def content_of(what: str, n) -> bytes:
    if what == "hostile":
        return HOSTILE[n]
    if what == "type":
        return header(n, 2) + bytes(2)
    if what == "axes":
        return bytes([0, 0, 8, n]) + SOUND[4:]
    base = SOUND if what.startswith("plain") else PACKED
    return base[:n] if what.endswith("cut") else turned(base, n)


def read(tried: Tally, path, content: bytes, shown: str) -> None:
    """Refused with the name of the file, or what an IDX file of these bytes holds."""
    path.write_bytes(content)
    found, error = outcome_of(lambda: read_idx(path))
    if error is not None:
        tried.add(CLEAR if is_clear(error, [path.name]) else RAW, shown, error)
        return
    plain = content if content[:2] != b"\x1f\x8b" else gzip.decompress(content)
    values = plain[4 + 4 * plain[3] :]
    stands = found.astype(found.dtype.newbyteorder(">")).tobytes() == values and found.ndim == plain[3]
    tried.add(FINE if stands else WRONG, shown, found.shape)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some-idx"


@pytest.mark.filterwarnings("ignore")
def test_the_sound_file_is_read(path) -> None:
    path.write_bytes(PACKED)
    assert np.array_equal(read_idx(path), SOUND_ARRAY)


@each(TRIALS, 60)
def test_a_damaged_file_is_refused_clearly_or_read_as_it_stands(tried, path, trial) -> None:
    read(tried, path, content_of(*trial), f"{trial[0]} {trial[1]}")


@sized(20, 400)
@given(
    content=st.binary(max_size=40),
    packed=st.booleans(),
    start=st.sampled_from([b"", b"\0\0\x08\1", b"\0\0\x0d\2"]),
)
def test_any_bytes_are_refused_clearly_or_read_as_they_stand(tried, path, content, packed, start) -> None:
    whole = start + content
    read(tried, path, gzip.compress(whole, mtime=0) if packed else whole, f"{whole!r}, packed {packed}")


FOLDERS = {
    "no folder": {},
    "a folder for a file": {"train-images-idx3-ubyte": None},
    "labels for images": {
        "train-images-idx3-ubyte": header(8, 1) + b"\0",
        "train-labels-idx1-ubyte": header(8, 1) + b"\0",
    },
    "other sizes": {
        "train-images-idx3-ubyte": header(8, 1, 2, 2) + bytes(4),
        "train-labels-idx1-ubyte": header(8, 1) + b"\0",
    },
    "one label more": {
        "train-images-idx3-ubyte": header(8, 1, 28, 28) + bytes(784),
        "train-labels-idx1-ubyte": header(8, 2) + b"\0\0",
    },
    "label 10": {
        "train-images-idx3-ubyte": header(8, 1, 28, 28) + bytes(784),
        "train-labels-idx1-ubyte": header(8, 1) + b"\x0a",
    },
}


@each(list(FOLDERS), 6)
def test_a_folder_without_mnist_is_refused_clearly(tried, tmp_path, trial) -> None:
    folder = tmp_path / trial
    folder.mkdir(exist_ok=True)
    for name, content in FOLDERS[trial].items():
        if content is None:
            (folder / name).mkdir(exist_ok=True)
        else:
            (folder / name).write_bytes(content)
    _, error = outcome_of(lambda: mnist(folder))
    if error is None:
        tried.add(WRONG, trial)
    else:
        tried.add_error(error, trial, ["mnist", "-ubyte"])
