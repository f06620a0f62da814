"""The JSON Schema of results.json, built from the options and from the columns of the sections."""

from functools import cache
from typing import Any

from reports import sections
from reports.runner import options
from reports.runner.results import SCHEMA_VERSION
from reports.sections.section import (
    COUNT,
    NUMBER,
    POSITIVE,
    TEXT,
    TEXT_OR_NULL,
    described,
    listing,
    record,
)

_POOL = record(
    {
        "user_api": described(TEXT_OR_NULL, "The purpose: blas or openmp."),
        "internal_api": described(TEXT_OR_NULL, "The library: openblas, mkl, openmp."),
        "prefix": described(TEXT_OR_NULL, "How its file's name begins."),
        "version": described(TEXT_OR_NULL, "Its version."),
        "architecture": described(
            TEXT_OR_NULL, "The processor that its kernels are made for, as it has chosen."
        ),
        "num_threads": described(COUNT, "How many threads it uses."),
    }
)

_ENVIRONMENT = record(
    {
        "command": described(TEXT, "The command line that makes it again."),
        "started": described(TEXT, "When, in UTC, as ISO 8601."),
        "cpu": described(TEXT, "The processor's name."),
        "cores": described(POSITIVE, "How many cores the process may use."),
        "load": {
            "type": ["array", "null"],
            "items": NUMBER,
            "description": "Processes ready to run on the machine, the mean of the last 1, 5 and 15 minutes; "
            "null "
            "where the system does not say.",
        },
        "system": described(TEXT, "Operating system and architecture."),
        "python": described(TEXT, "Python's version."),
        "packages": {
            "type": "object",
            "additionalProperties": TEXT_OR_NULL,
            "description": "Versions by package; null if it is not installed.",
        },
        "threads": record(
            {
                "asked_for": described(COUNT, "How many were asked for, for both sides alike."),
                "torch": described(COUNT, "How many PyTorch uses."),
                "pools": listing(_POOL, "The libraries that have threads of their own, by threadpoolctl."),
            },
            "How many threads compute.",
        ),
        "commit": described(
            TEXT_OR_NULL,
            'The commit of the checkout, with the words "with changes" if files were changed; null for an '
            "installed package.",
        ),
        "kernel": described(
            TEXT_OR_NULL,
            "The kernel of scratch.random that draws as PyTorch does there; null if none does, and "
            "the NumPy side started from copies of PyTorch's weights.",
        ),
    },
    "The machine and the versions that the report was made with.",
)


@cache
def schema() -> dict[str, Any]:
    """The description of results.json."""
    known = sections.every()
    finished = {
        "description": "The finished sections by name, in their order: all of them, unless the report was "
        "stopped.",
        "type": "object",
        "additionalProperties": False,
        "properties": {name: section.schema for name, section in known.items()},
    }
    content = record(
        {
            "schema_version": {"const": SCHEMA_VERSION, "description": "The version of this description."},
            "sha256": described(
                {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                "SHA-256 of all the rest, as JSON with sorted keys.",
            ),
            "agrees": {
                "type": ["boolean", "null"],
                "description": "Whether the two sides agree in all sections; null before the first is "
                "finished.",
            },
            "options": options.schema(),
            "environment": _ENVIRONMENT,
            "sections": finished,
        }
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "results.json of gradmirror report",
        "description": "Everything that a report found. A number that is missing or not finite is null. "
        "x-key names "
        "the columns that tell the rows of a table apart. schema_version goes up whenever a table or column "
        "comes, "
        "goes, or changes its meaning.",
    } | content
