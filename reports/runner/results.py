"""The findings of a report in two files: results.json with everything, results.csv for analysis.

Both are written anew when a section is finished, each whole or not at all. So whatever ends a run, the files
on disk can be read, and hold all sections finished until then.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reports import sections
from reports.runner.findings import Findings, plain
from scratch.files import write_whole

SCHEMA_VERSION = 6


def digest(content: Mapping[str, Any]) -> str:
    """The SHA-256 of what results.json holds beside it, spaces and order aside."""
    rest = {name: value for name, value in content.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


@cache
def identifiers() -> list[str]:
    """The columns of results.csv that say what a number is of; "measure" says which number.

    They are the keys of all tables, those that only one kind of table has under the name "item".
    """
    tables = [table for section in sections.every().values() for table in section.tables]
    keys = ["item" if key == table.item else key for table in tables for key in table.key]
    return ["table", *dict.fromkeys(keys), "verdict"]


@dataclass
class Results:
    """The findings of all sections so far, and where they are written.

    Args:
        out: the folder for the files.
        environment: the machine and the versions (environment.py).
        options: those of the report that decide what the rows are (options.py).
        sections: the findings by the name of the section.
    """

    out: Path
    environment: dict[str, Any]
    options: dict[str, Any]
    sections: dict[str, Findings] = field(default_factory=dict)

    @property
    def agrees(self) -> bool:
        """Whether the two sides agree in every section."""
        return all(found.agrees for found in self.sections.values())

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """All tables by name."""
        return {name: t for found in self.sections.values() for name, t in found.tables.items()}

    def add(self, name: str, findings: Findings) -> None:
        """Take on the findings of a section and write both files."""
        self.sections[name] = findings
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
        """The text of results.json: a number that is missing or not finite is null."""
        content = {
            "schema_version": SCHEMA_VERSION,
            "agrees": self.agrees if self.sections else None,
            "options": self.options,
            "environment": self.environment,
            "sections": {
                name: {
                    "agrees": found.agrees,
                    "seconds": found.seconds,
                    "tables": {key: _records(table) for key, table in found.tables.items()},
                    "samples": found.samples,
                }
                for name, found in self.sections.items()
            },
        }
        text = json.dumps(content, allow_nan=False, default=plain, indent=1)
        written = json.loads(text)
        return json.dumps({"sha256": digest(written)} | written, indent=1) + "\n"

    def long(self) -> pd.DataFrame:
        """The rows of results.csv: one for each number."""
        items = {table.name: table.item for each in sections.every().values() for table in each.tables}
        parts = []
        for name, table in self.tables.items():
            known = table.rename(columns={items.get(name, ""): "item"}).assign(table=name)
            keys = [key for key in identifiers() if key in known]
            measures = [c for c in known.select_dtypes("number").columns if c not in keys]
            parts.append(known.melt(keys, measures, "measure", "value").dropna(subset="value"))
        columns = [*identifiers(), "measure", "value"]
        return pd.concat(parts).reindex(columns=columns) if parts else pd.DataFrame(columns=columns)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    known = table.replace([np.inf, -np.inf], np.nan)
    return known.astype(object).where(known.notna(), None).to_dict("records")  # type: ignore[return-value]
