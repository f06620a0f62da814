"""Numbers and tables as text."""

import numpy as np
import pandas as pd
import pytest

from reports.page import text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (0.25, "0.25"),
        (8.2e-16, "8.2e-16"),
        (1.04e-5, "1.0e-5"),
        (2.3026, "2.3"),
        (0.001, "0.001"),
        (0.00099, "9.9e-4"),
        (1, "1"),
        (float("nan"), "–"),
        (np.float32(0.5), "0.5"),
    ],
)
def test_a_difference_has_two_digits(value, shown):
    assert text.short(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (213e-6, "213 µs"),
        (8.67, "8.67 s"),
        (12.34e-3, "12.3 ms"),
        (1e-3, "1.00 ms"),
        (4.494e-6, "4.49 µs"),
        (123.4, "123 s"),
        (0.5e-6, "0.50 µs"),
    ],
)
def test_a_duration_has_three_digits_in_the_unit_that_suits(seconds, shown):
    assert text.duration(seconds) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(1234.4, "1,234"), (1, "1"), (0.00022, "2.2e-4"), (10, "10"), (2.345, "2.3")]
)
def test_a_multiple_has_its_thousands_apart_or_two_digits(value, shown):
    assert text.multiple(value) == shown


def test_a_share_is_shown_in_percent_and_a_missing_duration_as_a_dash():
    assert text.percent(0.8412) == "84.12%"
    assert text.duration(float("nan")) == "–"


def test_markdown_aligns_words_left_and_numbers_right_and_leaves_digits_alone():
    table = pd.DataFrame({"network": ["a"], "tolerance": ["1.0e-5"], "verdict": ["agree"]})
    assert text.markdown(table).splitlines()[1:] == [
        "|:----------|------------:|:----------|",
        "| a         |      1.0e-5 | agree     |",
    ]


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (["1.0e-5", "–"], False),
        (["±0.10", "213 µs", "99.5%", "1,234", "0.41 to 0.46", "3 of 360"], False),
        (["64-4-10"], True),
        (["4×2"], True),
        (["7", "scalar"], True),
        (["agree"], True),
    ],
)
def test_a_column_of_words_is_told_from_one_of_numbers(cells, words):
    assert text.text_columns(pd.DataFrame({"a": cells})) == ["a"] * words
