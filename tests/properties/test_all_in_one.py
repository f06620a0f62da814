"""Several cases in one test: each is tried, each failure is named, and each begins with the same numbers."""

import pytest
import torch

import scratch
from all_in_one import all_in_one


def test_each_case_is_tried_and_each_that_fails_is_named() -> None:
    tried = []

    @all_in_one("number", {"one": 1, "two": 2, "three": 3})
    def test(number: int, other: str) -> None:
        tried.append((number, other))
        assert number == 2

    with pytest.raises(ExceptionGroup) as raised:
        test(other="x")
    assert tried == [(1, "x"), (2, "x"), (3, "x")]
    assert [error.__notes__ for error in raised.value.exceptions] == [["number: one"], ["number: three"]]


def test_one_failure_is_raised_as_it_is() -> None:
    @all_in_one("number", [1, 2])
    def test(number: int) -> None:
        assert number == 2

    with pytest.raises(AssertionError) as raised:
        test()
    assert raised.value.__notes__ == ["number: 1"]


def test_it_is_skipped_if_every_case_is() -> None:
    tried = []

    @all_in_one("number", [1, 2])
    def test(number: int, least: int) -> None:
        if number < least:
            pytest.skip("too small")
        tried.append(number)

    test(least=2)
    assert tried == [2]
    with pytest.raises(pytest.skip.Exception, match="too small"):
        test(least=3)


def test_each_case_begins_with_the_same_random_numbers() -> None:
    drawn = []

    @all_in_one("number", [1, 2])
    def test(number: int) -> None:
        drawn.append((scratch.rand(1).item(), torch.rand(1).item()))

    test()
    assert drawn[0] == drawn[1]
