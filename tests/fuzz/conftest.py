"""Bad input and faults, many of them: a few in the suite, all in ``make fuzz``, which prints the counts."""

from collections import Counter

import pytest

from fuzz.tally import LARGE, OUTCOMES, Tally


@pytest.fixture
def tried(request):
    """Counts what the test tries, and refuses the faults in the end.

    The area is the module's, or another that the test has as a parameter of the fixture.
    """
    tally = Tally(getattr(request, "param", request.module.AREA))
    yield tally
    request.node.user_properties.append(("tried", [tally.area, dict(tally.counts)]))
    shown = "\n".join(tally.faults if LARGE else tally.faults[:20])
    assert not tally.faults, f"{len(tally.faults)} faults\n{shown}"


def pytest_terminal_summary(terminalreporter):
    """The table of counts, in Markdown."""
    areas: dict[str, Counter[str]] = {}
    reports = [report for each in terminalreporter.stats.values() for report in each]
    for report in reports:
        if getattr(report, "when", "") == "teardown":
            for name, (area, counts) in (each for each in report.user_properties if each[0] == "tried"):
                assert name == "tried"
                areas.setdefault(area, Counter()).update(counts)
    if LARGE and areas:
        terminalreporter.write_line(f"| area | tried | {' | '.join(OUTCOMES)} |")
        terminalreporter.write_line("|---" * (2 + len(OUTCOMES)) + "|")
        for area, counts in sorted(areas.items()):
            row = [area, counts.total(), *(counts[outcome] for outcome in OUTCOMES)]
            terminalreporter.write_line(f"| {' | '.join(map(str, row))} |")
