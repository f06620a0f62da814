"""The data that a command line asks for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from reports.errors import UnusableError
from scratch import datasets
from scratch.datasets import Splits


@dataclass(frozen=True)
class Data(Mapping[str, Splits]):
    """A dataset in each dtype, read where it is first used: what goes to another process is its name.

    Args:
        name: of scratch/datasets.py, or "text".
        flatten: whether an image is one row of pixels.
        root: the folder of "mnist".
        download: whether to fetch that if it is not there.
    """

    name: str
    flatten: bool = True
    root: str = "data"
    download: bool = False

    def __getitem__(self, dtype: str) -> Splits:
        """Both parts.

        Raises:
            UnusableError: the data are not there, or damaged.
            KeyError: dtype is neither float32 nor float64.
        """
        if dtype not in tuple(self):
            raise KeyError(dtype)
        return _load(self, dtype)

    def __iter__(self) -> Iterator[str]:
        return iter(("float64", "float32"))

    def __len__(self) -> int:
        return 2


@cache
def _load(data: Data, dtype: str) -> Splits:
    if data.name == "text":
        return Splits(*datasets.text()[:2])
    options: dict[str, object] = {} if data.name == "xor" else {"flatten": data.flatten}
    options |= {"root": data.root, "download": data.download} if data.name == "mnist" else {}
    try:
        return datasets.DATASETS[data.name](dtype=dtype, **options)
    except (OSError, ImportError, ValueError) as error:
        hint = "; --data-root says where mnist is, --download fetches it" * isinstance(
            error, FileNotFoundError
        )
        raise UnusableError(f"{error}{hint}") from error
