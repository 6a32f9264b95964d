"""The table of bench.live: a round is compared with itself."""

from __future__ import annotations

from bench.live import BARE, DAEMON, Row, report


def row(reader: str, wall_s: float, cpu_s: float, **more: float) -> Row:
    return Row("none", reader, {"events": 1e6, "wall_s": wall_s, "cpu_s": cpu_s, **more})


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_ratios_are_those_of_the_rounds_and_their_median_counts() -> None:
    # the machine halves its speed in the second round, and the third is the daemon's own bad luck
    rounds = [
        [row(BARE, 3.0, 3.0), row(DAEMON, 1.0, 1.0, rss_mib=500.0, turn_ms_max=20.0)],
        [row(BARE, 6.0, 6.0), row(DAEMON, 2.0, 2.0, rss_mib=700.0, turn_ms_max=90.0)],
        [row(BARE, 3.0, 3.0), row(DAEMON, 2.0, 1.5, rss_mib=600.0, turn_ms_max=30.0)],
    ]
    bare, daemon = (cells(line) for line in report(rounds)[4:6])
    assert bare == ["none", BARE, "333,333", "1.00", "3.00", "1.00", "", "", "", "", ""]
    assert daemon[:6] == ["none", DAEMON, "500,000", "3.00 (1.50 to 3.00)", "1.50", "3.00 (2.00 to 3.00)"]
    assert daemon[6:9] == ["700", "", "90"]


def test_each_codec_is_held_against_its_own_bare_loop() -> None:
    zstd = [Row("zstd", one.reader, one.told) for one in (row(BARE, 8.0, 8.0), row(DAEMON, 1.0, 2.0))]
    lines = report([[row(BARE, 2.0, 2.0), row(DAEMON, 1.0, 1.0)], zstd])
    assert [(cells(line)[0], cells(line)[3], cells(line)[5]) for line in lines[4:8]] == [
        ("none", "1.00", "1.00"), ("none", "2.00", "2.00"), ("zstd", "1.00", "1.00"), ("zstd", "8.00", "4.00"),
    ]  # fmt: skip
