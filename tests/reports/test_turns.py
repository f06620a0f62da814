"""Sides take turns, block by block."""

import pytest

from reports.runner import turns


class Metronome:
    """A side whose steps take exactly so long; it notes its blocks in a common log."""

    def __init__(self, name, seconds, log):
        self.name, self.seconds, self.log = name, seconds, log

    def block(self, steps):
        self.log.append((self.name, steps))
        return {"step": self.seconds}


@pytest.mark.parametrize(("seconds", "steps"), [(0.001, 10), (0.004, 2), (0.1, 1), (0.00015, 67)])
def test_a_block_has_as_many_steps_as_fit_its_time(seconds, steps):
    assert turns._calibrate(Metronome("", seconds, []), 0.01) == steps


def test_the_sides_take_turns_and_every_second_round_goes_backwards():
    log = []
    sides = {name: Metronome(name, seconds, log) for name, seconds in (("a", 0.005), ("b", 0.001))}
    measured = turns.take_turns(sides, 3, 0.01, "")
    assert log[-6:] == [("a", 2), ("b", 10), ("b", 10), ("a", 2), ("a", 2), ("b", 10)]
    assert measured == {"a": 3 * [{"step": 0.005}], "b": 3 * [{"step": 0.001}]}
