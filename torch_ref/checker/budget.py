"""The seconds that a check may take, in stages; what is not begun when they are over the result names."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from tqdm import tqdm

SPENT = "the budget of seconds was spent (budget=, --budget)"

# By default.
SECONDS = 10.0

_bars: ContextVar[bool] = ContextVar("bars", default=True)


def patience_of(caller: str, budget: float) -> float:
    """How many times the default a budget is.

    Raises:
        ValueError: it is not above 0.
    """
    if not budget > 0:
        raise ValueError(f"{caller}: budget is {budget!r}, expected seconds, more than 0")
    return budget / SECONDS


@contextmanager
def without_bars() -> Iterator[None]:
    """Within, no bar is shown."""
    before = _bars.set(False)
    try:
        yield
    finally:
        _bars.reset(before)


class Budget:
    """Seconds from now on, and a bar after two of them, on stderr if that is a terminal.

    Args:
        caller: the public function, for its messages.
        seconds: more than 0.

    Raises:
        ValueError: it is not above 0.
    """

    def __init__(self, caller: str, seconds: float) -> None:
        self.patience = patience_of(caller, seconds)
        self.seconds, self.last = seconds, 0.0
        self._begin = time.monotonic()
        self._bar = tqdm(
            desc=caller,
            disable=None if _bars.get() else True,
            delay=2,
            leave=False,
            bar_format="{desc}: {n} done in {elapsed}",
        )

    @contextmanager
    def stage(self) -> Iterator[None]:
        """One stage; ``last`` are then its seconds, which another may take as well."""
        begin = time.monotonic()
        try:
            yield
        finally:
            self.last = time.monotonic() - begin
            self._bar.update()

    def allows(self, seconds: float = 0.0) -> bool:
        """Whether so many seconds are left."""
        return time.monotonic() - self._begin + seconds <= self.seconds

    def close(self) -> None:
        """Take the bar away."""
        self._bar.close()
