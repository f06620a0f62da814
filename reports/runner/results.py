"""What was found, and the two files that hold it: results.json with everything, results.csv for analysis.

Both are written anew when a section is finished, each whole or not at all. So whatever ends a run, the files
on disk can be read, and hold all sections finished until then.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scratch.checkpoint import write_whole

SCHEMA_VERSION = 3

# A row of results.csv is one number: these say what of, "measure" says which.
IDENTIFIERS = (
    *("table", "network", "batch", "optimizer", "dtype", "item", "pair", "seed", "epoch", "step"),
    *("index", "label", "predicted_numpy", "predicted_torch", "verdict"),
)
_ITEMS = dict.fromkeys(("tensor", "method", "phase", "mistake", "check", "bin", "vary"), "item")


@dataclass
class Rows:
    """Rows of tables by their names, raw samples by theirs, and how many seconds it took to find them."""

    tables: dict[str, pd.DataFrame]
    samples: dict[str, list[Any]] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass
class Section:
    """A finished part of the report: its tables, raw samples, and whether the two sides agree in it."""

    tables: dict[str, pd.DataFrame]
    samples: dict[str, Any]
    agrees: bool
    seconds: float = 0.0


@dataclass
class Results:
    """All sections so far, and where they are written.

    Args:
        out: the folder for the files.
        environment: what they were found on (environment.py).
        options: what was asked for.
    """

    out: Path
    environment: dict[str, Any]
    options: dict[str, Any]
    sections: dict[str, Section] = field(default_factory=dict)

    @property
    def agrees(self) -> bool:
        """Whether the two sides agree in every section."""
        return all(section.agrees for section in self.sections.values())

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """All tables by name."""
        return {name: t for section in self.sections.values() for name, t in section.tables.items()}

    def add(self, name: str, section: Section) -> None:
        """Take a finished section on and write both files."""
        self.sections[name] = section
        self.write()

    def sort(self, names: Sequence[str]) -> None:
        """Bring the sections into this order and write both files."""
        self.sections = {name: self.sections[name] for name in names}
        self.write()

    def write(self) -> None:
        """Write both files as things stand."""
        write_whole(self.out / "results.csv", self.long().to_csv(index=False).encode())
        write_whole(self.out / "results.json", self.json().encode())

    def json(self) -> str:
        """results.json: a number that is not there, or not finite, is null."""
        content = {
            "schema_version": SCHEMA_VERSION,
            "agrees": self.agrees if self.sections else None,
            "options": self.options,
            "environment": self.environment,
            "sections": {
                name: {
                    "agrees": section.agrees,
                    "seconds": section.seconds,
                    "tables": {key: _records(table) for key, table in section.tables.items()},
                    "samples": section.samples,
                }
                for name, section in self.sections.items()
            },
        }
        return json.dumps(content, indent=1, allow_nan=False, default=plain) + "\n"

    def long(self) -> pd.DataFrame:
        """results.csv: a row for each number."""
        columns = [*IDENTIFIERS, "measure", "value"]
        parts = []
        for name, table in self.tables.items():
            known = table.rename(columns=_ITEMS).assign(table=name)
            keys = [key for key in IDENTIFIERS if key in known]
            measures = [c for c in known.select_dtypes("number").columns if c not in keys]
            parts.append(known.melt(keys, measures, "measure", "value").dropna(subset="value"))
        return pd.concat(parts).reindex(columns=columns) if parts else pd.DataFrame(columns=columns)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    known = table.replace([np.inf, -np.inf], np.nan)
    return known.astype(object).where(known.notna(), None).to_dict("records")  # type: ignore[return-value]


def plain(value: Any) -> Any:
    """A NumPy number as one of Python's, for the package json.

    Raises:
        TypeError: it is none.
    """
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"results.json: cannot hold a {type(value).__name__}")
