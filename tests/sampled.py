"""Many cases of one kind: some of them in the suite, the others in ``make long``."""

from collections.abc import Callable, Collection, Iterable
from typing import Any

import pytest


def one_in(
    count: int,
    values: Iterable[Any],
    name: Callable[[Any], str] | None = None,
    always: Collection[Any] = (),
) -> list[Any]:
    """For pytest.mark.parametrize: every so many of the values as they are, and the rest marked long.

    Those in ``always`` are left as they are too.
    """
    rest = [pytest.mark.long]
    return [
        pytest.param(value, id=name and name(value), marks=rest if i % count and value not in always else [])
        for i, value in enumerate(values)
    ]
