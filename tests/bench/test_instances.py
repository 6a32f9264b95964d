"""The table of two instances against one: its arithmetic, and which incidents both layouts must tell."""

from __future__ import annotations

from bench.instances import Row, dealt, incidents, report
from bench.live import PARTITIONS
from replay.scenario import load

FIRST = [market for market, partition in dealt().items() if partition < PARTITIONS // 2]
SECOND = [market for market, partition in dealt().items() if partition >= PARTITIONS // 2]


def row(instances: int, wall_s: float, cpu_s: float, opened: dict[str, list[str]]) -> Row:
    return Row(instances, 1_000_000, wall_s, cpu_s, 0.1, opened)


def test_the_ratio_and_what_the_cpu_time_allows_are_told_apart() -> None:
    said = "\n".join(report([row(1, 1.0, 0.8, {}), row(2, 0.8, 1.0, {})]))
    assert "1.25 times the events a second of one, 1.7 asked: missed" in said
    assert "allows 1.60 times" in said
    assert "| 2 | 1,250,000 | 1.25 | 1.00 | 1.25 | 62% | 0.10 |" in said
    assert "1.7 asked: met" in "\n".join(report([row(1, 1.0, 0.8, {}), row(2, 0.5, 0.9, {})]))


def test_incidents_of_one_instances_markets_must_be_told_under_the_same_id_and_others_need_not() -> None:
    one = row(1, 1.0, 0.8, {"inc_a": FIRST[:2], "inc_b": SECOND[:1], "inc_both": [FIRST[0], SECOND[0]]})
    assert ": 2 of 2 told" in incidents(one, row(2, 1.0, 0.8, {"inc_a": FIRST[:2], "inc_b": SECOND[:1]}))
    assert ": 1 of 2 told" in incidents(one, row(2, 1.0, 0.8, {"inc_a": FIRST[:2], "inc_c": [FIRST[0]]}))


def test_the_partitions_are_as_busy_as_each_other() -> None:
    busy = [0.0] * PARTITIONS
    for market in load("bench").markets:
        busy[dealt()[market.name]] += market.events_per_s
    assert max(busy) < 1.02 * min(busy)
