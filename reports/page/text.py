"""Numbers and tables as text: two digits, durations, Markdown."""

import re

import numpy as np
import pandas as pd

SIDES = {"numpy": "NumPy", "torch": "PyTorch"}

_UNITS = {"µs": 1e-6, "ms": 1e-3, "s": 1.0}
# A number, and what may follow it after a space: "1.0e-5", "±0.10", "213 µs", "0.4 to 0.5"; or none, "–".
_NUMBER = re.compile(r"[±+-]?\d[\d,.]*(e-?\d+)?%?( .*)?|–")


def short(value: float) -> str:
    """Two digits: "0.25", "8.2e-16"; "–" for nan."""
    if np.isnan(value):
        return "–"
    if value == 0 or 1e-3 <= value < 1e3:
        return f"{value:.0f}" if value >= 10 else f"{value:.2g}"
    return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e")


def duration(seconds: float) -> str:
    """Three digits, in the unit that suits: "213 µs", "8.67 s"; "–" for nan."""
    if np.isnan(seconds):
        return "–"
    rounded = ((float(f"{seconds / size:.3g}"), unit) for unit, size in _UNITS.items())
    value, unit = next(((v, u) for v, u in rounded if v < 1000), (float(f"{seconds:.3g}"), "s"))
    return f"{value:.{max(0, 3 - len(str(int(value))))}f} {unit}"


def round_duration(seconds: float) -> str:
    """A round number of seconds without trailing zeros: "10 µs"."""
    unit = next((unit for unit, size in _UNITS.items() if seconds < 999 * size), "s")
    return f"{seconds / _UNITS[unit]:g} {unit}"


def megabytes(count: float) -> str:
    """A count of bytes: "12 MB"; "not measured" for nan."""
    return "not measured" if np.isnan(count) else f"{count / 2**20:.0f} MB"


def multiple(value: float) -> str:
    """A factor: "1,234", or two digits below 10."""
    return f"{value:,.0f}" if value >= 10 else short(value)


def percent(share: float) -> str:
    """A share of 1: "84.12%"."""
    return f"{share:.2%}"


def text_columns(table: pd.DataFrame) -> list[str]:
    """The columns that have words, and not only numbers."""
    return [each for each in table if not all(_NUMBER.fullmatch(str(cell)) for cell in table[each])]


def markdown(table: pd.DataFrame, style: str = "pipe") -> str:
    """As a Markdown table, or in another style of the package tabulate: words left, numbers right."""
    words = text_columns(table)
    align = ["left" if column in words else "right" for column in table]
    return table.to_markdown(index=False, tablefmt=style, colalign=align, disable_numparse=True)
