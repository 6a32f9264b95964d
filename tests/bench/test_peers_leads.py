"""What is said of leads beside a peer: over the incidents both told of in time, and no others."""

from __future__ import annotations

from dataclasses import replace
from math import isnan

from bench.peers import on_the_same
from replay.laboratory_verdicts import Verdict

ONE = Verdict(
    "crowd", "subtle", "alone", True, 4.0, 3.0, 60.0, 60.0, 1, "A", 0.0, early=True, caught=True, lead_s=10.0,
    delay_s=5.0, hit=True, hit_page=True, feature="raises", named=1.0, first_named=1.0, pages=1,
)  # fmt: skip


def told(*leads: float | None) -> list[Verdict]:
    return [replace(ONE, early=lead is not None, lead_s=-1.0 if lead is None else lead) for lead in leads]


def test_a_lead_counts_where_both_were_in_time() -> None:
    row = on_the_same(told(100.0, None, 300.0, 500.0), told(20.0, 7.0, 400.0, None))
    leads = {"both": 2, "lead_of_both_s": 200.0, "ours_of_both_s": 210.0}
    assert row == leads | {"sooner_s": 10.0, "we_first": 1, "they_first": 1}


def test_nothing_is_said_where_there_is_none() -> None:
    row = on_the_same(told(None, 3.0), told(5.0, None))
    assert row["both"] == 0 and isnan(row["lead_of_both_s"]) and isnan(row["ours_of_both_s"])
    assert isnan(row["sooner_s"]) and row["we_first"] == row["they_first"] == 0


def test_how_much_sooner_does_not_hang_on_the_one_in_the_middle() -> None:
    row = on_the_same(told(10.0, 300.0, 500.0), told(20.0, 200.0, 510.0))
    assert (row["lead_of_both_s"], row["ours_of_both_s"], row["sooner_s"]) == (300.0, 200.0, 10.0)
