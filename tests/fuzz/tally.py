"""The outcomes of many tries, counted by area; the faults among them are kept as examples."""

import dis
import inspect
import os
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

HOUSE = Path(__file__).parents[2]
OURS = tuple(str(HOUSE / package) for package in ("scratch", "torch_ref", "reports"))

FINE = "both accept"
ALONE = "no counterpart"
DESIGNED = "by design"
CLEAR = "clear error"
RAW = "raw error"
WRONG = "silently wrong"
LOST = "lost"
OUTCOMES = (FINE, ALONE, DESIGNED, CLEAR, RAW, WRONG, LOST)
FAULTS = (RAW, WRONG, LOST)

# make fuzz sets it.
LARGE = "GRADMIRROR_FUZZ" in os.environ

# The fixture is of the test and counts its examples. Faults are not made smaller: a try is small.
_SETTINGS = settings(
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)


class Tally:
    """Outcomes of one area, and what was tried where it is a fault.

    Args:
        area: the row of the table.
    """

    def __init__(self, area: str) -> None:
        self.area = area
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []

    def add(self, outcome: str, tried: object, detail: object = "") -> None:
        """Count a try; ``tried`` says how to do it again."""
        self.counts[outcome] += 1
        if outcome in FAULTS:
            self.faults.append(f"{outcome}: {tried}: {detail!r}"[:600])

    def add_error(self, error: BaseException, tried: object, names: Iterable[str]) -> None:
        """Count a refusal: clear if it was raised on purpose and names one of ``names``."""
        self.add(CLEAR if is_clear(error, names) else RAW, tried, error)


def is_clear(error: BaseException, names: Iterable[str]) -> bool:
    """Whether a check of this project raised it, and its message names what was called.

    Python's own "f() missing 1 required positional argument: 'x'" names both as well.
    """
    said = str(error)
    if not any(name in said for name in names):
        return False
    last = innermost(error.__traceback__)
    code = last.tb_frame.f_code
    on_purpose = (
        code.co_filename.startswith(OURS) and code.co_code[last.tb_lasti] == dis.opmap["RAISE_VARARGS"]
    )
    return on_purpose or (isinstance(error, TypeError) and "positional argument" in said)


def innermost(at: Any) -> TracebackType:
    """Where the error was raised."""
    while at.tb_next:
        at = at.tb_next
    return at


def outcome_of(call: Callable[[], Any]) -> tuple[Any, Exception | None]:
    """What the call returns, and the error that it ended in."""
    try:
        return call(), None
    except Exception as error:
        return None, error


def each(trials: list[Any], few: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """For a test of a ``trial``: hypothesis draws a few of them; in a large run it is every one."""

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        if not LARGE:
            return sized(few, few)(given(trial=st.sampled_from(trials))(test))

        def test_every_one(**fixtures: Any) -> None:
            for trial in trials:
                test(trial=trial, **fixtures)

        parameters = inspect.signature(test).parameters
        test_every_one.__name__ = test.__name__
        test_every_one.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [parameter for name, parameter in parameters.items() if name != "trial"]
        )
        return test_every_one

    return decorate


def sized(few: int, many: int) -> settings:
    """So many examples in the suite, and in a large run."""
    return settings(_SETTINGS, max_examples=many if LARGE else few)
