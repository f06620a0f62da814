"""results.json, read back: the file that results.py writes, held against its description results.schema.json.

The description is a JSON Schema, which names every table and column and says what is in it.
"""

import json
import math
from functools import cache
from importlib.resources import files
from os import PathLike
from pathlib import Path
from textwrap import shorten
from typing import Any, NoReturn

import numpy as np
import pandas as pd
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from reports.errors import UnusableError
from reports.runner.results import SCHEMA_VERSION, Results, Section

_FILE = "results.schema.json"


@cache
def schema() -> dict[str, Any]:
    """The description of results.json."""
    return json.loads(files("reports.runner").joinpath(_FILE).read_text(encoding="utf-8"))


def described() -> dict[str, dict[str, Any]]:
    """The descriptions of all tables, by section and name."""
    sections = schema()["properties"]["sections"]["properties"]
    return {name: told["properties"]["tables"]["properties"] for name, told in sections.items()}


def columns(table: dict[str, Any]) -> dict[str, Any]:
    """The descriptions of a table's columns, by name; shared ones are looked up."""
    return {name: _looked_up(column) for name, column in table["items"]["properties"].items()}


def load(path: str | PathLike[str]) -> Results:
    """The results in this file; its tables are DataFrames as they were when it was written, infinities nan.

    Raises:
        UnusableError: it is not there, no such file, truncated, of another schema_version, or does not hold
            what results.schema.json describes; the message names the file and the place in it.
    """
    path = Path(path)
    content = _parse(path)
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version is None:
        raise UnusableError(f"{path}: no results.json of gradmirror report, which has a schema_version")
    if version != SCHEMA_VERSION:
        raise UnusableError(f"{path}: schema_version {version!r}, wanted {SCHEMA_VERSION}; make it anew")
    if problem := _problem(content):
        raise UnusableError(f"{path}: {problem}")
    try:
        sections = {name: _section(name, told) for name, told in content["sections"].items()}
        if "timing" in sections:
            _check_samples(sections["timing"])
    except (ValueError, OverflowError) as error:
        raise UnusableError(f"{path}: {error}") from None
    return Results(path.parent, content["environment"], content["options"], sections)


def round_ratios(timing: Section, network: str, batch: int, phase: str) -> np.ndarray:
    """The ratios NumPy / PyTorch of a phase: (P, n), for each process one for each round.

    All that reads the samples of timing does it here, so that no other place knows their layout.

    Raises:
        ValueError: there are no two rounds, or not those of both sides.
    """
    where = f"sections.timing.samples: {network}, batch {batch}"
    measured = [
        each["blocks"]
        for each in timing.samples.get("timing", ())
        if (each["network"], each["batch"]) == (network, batch) and each["blocks"]
    ]
    ratios = []
    for blocks in measured:
        numpy, torch = (
            np.array([block[phase] for block in blocks.get(side, ())]) for side in ("numpy", "torch")
        )
        if len(numpy) != len(torch) or len(numpy) < 2 or not (numpy.all() and torch.all()):
            raise ValueError(
                f"{where}: {len(numpy)} times of NumPy and {len(torch)} of PyTorch, wanted as many, 2 or "
                "more, all above 0"
            )
        ratios.append(numpy / torch)
    if len({len(each) for each in ratios}) != 1:
        raise ValueError(
            f"{where}: processes of {[len(each) for each in ratios]} rounds, wanted as many of each"
        )
    return np.array(ratios)


def _check_samples(timing: Section) -> None:
    table = timing.tables["timing"]
    for row in table[table["ratio"].notna()].itertuples():
        round_ratios(timing, row.network, row.batch, row.phase)


def _parse(path: Path) -> Any:
    try:
        text = path.read_bytes().decode().strip()
    except OSError as error:
        raise UnusableError(f"{path}: {error.strerror}; wanted a results.json of gradmirror report") from None
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


def _section(name: str, told: dict[str, Any]) -> Section:
    tables = {key: _frame(key, rows, described()[name][key]) for key, rows in told["tables"].items()}
    return Section(tables, told["samples"], told["agrees"], told["seconds"])


def _frame(name: str, rows: list[dict[str, Any]], table: dict[str, Any]) -> pd.DataFrame:
    known = columns(table)
    frame = pd.DataFrame(rows, columns=list(rows[0] if rows else known))
    frame = frame.astype({each: _kind(frame[each], column) for each, column in known.items()})
    if (twice := frame[frame.duplicated(table["x-key"])]).size:
        row = ", ".join(map(str, twice[table["x-key"]].iloc[0]))
        raise ValueError(f"{name}: two rows of {row}")
    return frame


def _kind(column: pd.Series, told: dict[str, Any]) -> Any:
    """The dtype of a column: integers with gaps are floats, text with gaps is object."""
    types = _types(told)
    if "number" in types or "integer" in types:
        return "int64" if "number" not in types and column.notna().all() else "float64"
    if "boolean" in types:
        return bool
    return object if "null" in types else "str"


def _problem(content: Any) -> str:
    """Where and how a content is not what is described, or ""."""
    error = best_match(Draft202012Validator(schema()).iter_errors(content))
    if error is None:
        return ""
    return f"{error.json_path.removeprefix('$').removeprefix('.')}: {shorten(error.message, 200)}"


def _types(told: dict[str, Any]) -> list[str]:
    types = told.get("type", [])
    return [types] if isinstance(types, str) else types


def _defined(told: dict[str, Any]) -> dict[str, Any]:
    return schema()["$defs"][told["$ref"].rpartition("/")[2]]


def _looked_up(column: dict[str, Any]) -> dict[str, Any]:
    return _defined(column) | column if "$ref" in column else column
