"""The seconds that a check may take: what is not begun when they are over is named in the result."""

import time

SPENT = "the budget of seconds was spent (budget=, --budget)"


class Budget:
    """Seconds from now on.

    Args:
        caller: the public function, for its messages.
        seconds: more than 0.

    Raises:
        ValueError: it is not above 0.
    """

    def __init__(self, caller: str, seconds: float) -> None:
        if not seconds > 0:
            raise ValueError(f"{caller}: budget is {seconds!r}, expected seconds, more than 0")
        self.seconds = seconds
        self.begin = time.monotonic()

    @property
    def spent(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.begin

    def allows(self, seconds: float = 0.0) -> bool:
        """Whether so many seconds are left."""
        return self.spent + seconds <= self.seconds
