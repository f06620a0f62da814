"""The data that a command line asks for."""

import argparse

from reports.errors import UnusableError
from scratch import datasets
from scratch.datasets import Splits


def load(name: str, dtype: str, options: argparse.Namespace) -> Splits:
    """A dataset by its name; "mnist" from ``options.data_root``, downloaded if ``options.download``.

    Raises:
        UnusableError: the data are not there, or damaged.
    """
    where = {"root": options.data_root, "download": options.download} if name == "mnist" else {}
    try:
        return datasets.DATASETS[name](dtype=dtype, **where)
    except (OSError, ImportError, ValueError) as error:
        hint = "; --data-root says where mnist is, --download fetches it" * isinstance(
            error, FileNotFoundError
        )
        raise UnusableError(f"{error}{hint}") from error
