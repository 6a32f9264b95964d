"""Durations and sizes are texts with a unit, and exact."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.wiring.units import Duration, Size


@given(st.integers(0, 2**61))
def test_a_duration_written_out_reads_as_itself(nanoseconds: int) -> None:
    assert Duration.of(str(Duration(nanoseconds))) == nanoseconds


@given(st.integers(0, 2**61))
def test_a_size_written_out_reads_as_itself(count: int) -> None:
    assert Size.of(str(Size(count))) == count


@pytest.mark.parametrize(
    ("text", "nanoseconds"), [("250ms", 250_000_000), ("1.5s", 1_500_000_000), ("0s", 0), (" 2m ", 120 * 10**9)]
)
def test_a_duration_is_its_number_of_nanoseconds(text: str, nanoseconds: int) -> None:
    assert Duration.of(text) == nanoseconds


@pytest.mark.parametrize(
    "text", ["", "5", "s", "-1s", "1.s", "5 s s", "1e3s", "5sec", "٣s", "0.1ns", "999999999999d", "nan"]
)
def test_what_is_no_duration_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"unit|large"):
        Duration.of(text)


def test_milliseconds_are_rounded_up_so_that_a_timeout_is_never_zero() -> None:
    assert Duration.of("1us").ms == 1
