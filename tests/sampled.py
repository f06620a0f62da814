"""Many cases of one kind: some of them in the suite, the others in ``make long``."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest


def one_in(count: int, values: Iterable[Any], name: Callable[[Any], str] | None = None) -> list[Any]:
    """For pytest.mark.parametrize: every so many of the values as they are, and the rest marked long."""
    return [
        pytest.param(value, id=name and name(value), marks=[pytest.mark.long] if i % count else [])
        for i, value in enumerate(values)
    ]
