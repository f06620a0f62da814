"""results.json, read back: the file that results.py writes, held against its schema (schema.py)."""

import json
import math
from os import PathLike
from pathlib import Path
from textwrap import shorten
from typing import Any, NoReturn

import pandas as pd
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from reports import sections
from reports.errors import UnusableError
from reports.runner.findings import Findings
from reports.runner.results import SCHEMA_VERSION, Results, digest
from reports.runner.schema import schema
from reports.sections.section import Section, Table


def load(path: str | PathLike[str]) -> Results:
    """The results in this file; its tables are DataFrames as they were when it was written, infinities nan.

    Raises:
        UnusableError: it is missing, truncated, of another schema_version, or does not hold
            what the schema describes; the message names the file and the place in it.
    """
    path = Path(path)
    content = _parse(path)
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version is None:
        raise UnusableError(f"{path}: no results.json of gradmirror report, which has a schema_version")
    if version != SCHEMA_VERSION:
        raise UnusableError(f"{path}: schema_version {version!r}, expected {SCHEMA_VERSION}; make it anew")
    if problem := _problem(content):
        raise UnusableError(f"{path}: {problem}")
    if content["sha256"] != digest(content):
        raise UnusableError(f"{path}: it was altered since it was written: it does not have its sha256")
    known = sections.every()
    try:
        found = {name: _findings(known[name], each) for name, each in content["sections"].items()}
    except (ValueError, OverflowError) as error:
        raise UnusableError(f"{path}: {error}") from None
    except (LookupError, TypeError, AttributeError) as error:
        raise UnusableError(f"{path}: its parts do not fit together: {error!r}") from None
    return Results(path.parent, content["environment"], content["options"], found)


def _parse(path: Path) -> Any:
    try:
        text = path.read_bytes().decode().strip()
    except OSError as error:
        raise UnusableError(
            f"{path}: {error.strerror}; expected a results.json of gradmirror report"
        ) from None
    except UnicodeDecodeError as error:
        raise UnusableError(f"{path}: not JSON: byte {error.start} is not UTF-8") from None
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except json.JSONDecodeError as error:
        cut = not text or (text[0] == "{" and (text[-1] != "}" or error.pos >= len(text)))
        why = "truncated" if cut else "not JSON"
        raise UnusableError(f"{path}: {why}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise UnusableError(f"{path}: not JSON: {error}") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"it has {constant}")


def _finite(text: str) -> float:
    number = float(text)
    return _refuse(text) if math.isinf(number) else number


def _findings(section: Section, content: dict[str, Any]) -> Findings:
    known = {table.name: table for table in section.tables}
    tables = {name: _frame(known[name], rows) for name, rows in content["tables"].items()}
    found = Findings(tables, content["samples"], content["agrees"], content["seconds"])
    section.check(found)
    return found


def _frame(table: Table, rows: list[dict[str, Any]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=list(rows[0]) if rows else [column.name for column in table.columns])
    frame = frame.astype({each.name: _kind(frame[each.name], each.schema) for each in table.columns})
    key = [*table.key]
    if (twice := frame[frame.duplicated(key)]).size:
        row = ", ".join(map(str, twice[key].iloc[0]))
        raise ValueError(f"{table.name}: two rows of {row}")
    return frame


def _kind(column: pd.Series, schema: dict[str, Any]) -> Any:
    """The dtype of a column: integers with gaps are floats, text with gaps is object."""
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if "number" in types or "integer" in types:
        return "int64" if "number" not in types and column.notna().all() else "float64"
    if "boolean" in types:
        return bool
    return object if "null" in types else "str"


def _problem(content: Any) -> str:
    """The first place that does not fit the schema, and why; or ""."""
    error = best_match(Draft202012Validator(schema()).iter_errors(content))
    if error is None:
        return ""
    return f"{error.json_path.removeprefix('$').removeprefix('.')}: {shorten(error.message, 200)}"
