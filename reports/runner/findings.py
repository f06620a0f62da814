"""The rows that a task finds, and the findings of a section, concluded from the rows of all its tasks."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd


@dataclass
class Rows:
    """Rows of tables by their names, raw samples by theirs, and how many seconds it took to find them."""

    tables: dict[str, pd.DataFrame]
    samples: dict[str, list[Any]] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass
class Findings:
    """The findings of a section: its tables, raw samples, and whether the two sides agree in it."""

    tables: dict[str, pd.DataFrame]
    samples: dict[str, Any]
    agrees: bool
    seconds: float = 0.0


def joined(parts: Sequence[Rows]) -> Rows:
    """The rows of all, and the samples under one name in one list."""
    tables: dict[str, list[pd.DataFrame]] = {}
    samples: dict[str, list[Any]] = {}
    for part in parts:
        for name, table in part.tables.items():
            tables.setdefault(name, []).append(table)
        for name, some in part.samples.items():
            samples.setdefault(name, []).extend(some)
    whole = {name: pd.concat(each, ignore_index=True) for name, each in tables.items()}
    return Rows(whole, samples, sum(part.seconds for part in parts))


def plain(value: Any) -> Any:
    """A NumPy number as one of Python's, for the package json.

    Raises:
        TypeError: it is none.
    """
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"results.json: cannot hold a {type(value).__name__}")
