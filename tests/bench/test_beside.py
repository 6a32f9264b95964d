"""The peers' table: its arithmetic, the job, the clocks, and a peer that is not there. No peer runs here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench import beside, beside_watch
from bench.__main__ import ASKED, page
from bench.beside import DAEMON, Peer, Row, line, measure, report
from bench.beside_env import CannotInstall, peers_python
from bench.beside_feed import dated
from bench.beside_job import LIMIT, NAMES, SECOND_NS, Job, Scorer, half_space_trees
from bench.beside_watch import Watch, quantile
from replay.scenario import load

TOLD = {"after": 100, "expected": 1_000, "seconds": 60}


def event(at_s: float, what: str, account: str = "a1", **more: object) -> dict[str, object]:
    return {"type": what, "ts": round(at_s * SECOND_NS), "market": "BTC", "account": account, **more}


STORY = [
    event(0.0, "order"),
    event(0.5, "cancel", "a2"),
    event(0.6, "leverage", "a3", leverage=5, previous=2),
    event(0.7, "leverage", "a3", leverage=2, previous=5),  # lowered: not counted
    {"type": "mark", "ts": SECOND_NS * 8 // 10, "market": "BTC"},
    event(1.2, "cancel", "a2"),
    event(2.0, "order"),
]


def seen(per: str) -> list[dict[str, float]]:
    rows = []

    def scorer() -> Scorer:
        return lambda values: rows.append(dict(zip(NAMES, values, strict=True))) or 0.0  # type: ignore[func-returns-value]

    job = Job(per, scorer, lambda market, now_ns, score: None)
    for one in STORY:
        job.see(one)
    return rows


def test_an_event_is_scored_over_the_seconds_that_end_with_it() -> None:
    rows = seen("event")
    assert len(rows) == len(STORY)
    assert list(rows[4].values()) == [1, 1, 1, 3] * 2  # at the mark
    assert list(rows[-1].values()) == [1, 1, 0, 2, 2, 2, 1, 3]  # one second back is a1's order and a2's later cancel


def test_a_window_is_scored_once_when_the_next_one_begins() -> None:
    rows = seen("window")
    assert [list(row.values()) for row in rows] == [[1, 1, 1, 3, 1, 1, 1, 3], [1, 0, 0, 1, 2, 1, 1, 3]]


def test_the_trees_score_what_is_far_off_above_what_is_usual_and_say_so() -> None:
    score = half_space_trees()
    for i in range(600):
        usual = score([float(20 + i % 7)] * len(NAMES))
    assert score([400.0] * len(NAMES)) > max(LIMIT, usual)


def test_the_clocks_run_from_the_first_counted_record_to_the_last() -> None:
    watch = Watch(TOLD)
    records = 0
    while not watch.saw(0.0):
        records += 1
    assert (records + 1, watch.told()["events"]) == (1_000, 900)


def test_a_slow_reader_is_stopped_by_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(10_000))
    monkeypatch.setattr(beside_watch.time, "perf_counter", lambda: float(next(clock)))
    watch = Watch({**TOLD, "expected": 1_000_000, "seconds": 5})
    while not watch.done:
        watch.saw(0.0)
    told = watch.told()
    assert told["events"] < 1_000 and told["wall_s"] >= 5


@pytest.mark.parametrize(("caught_up_s", "p99_ms"), [(2.0, 7.0), (12.0, 7.0), (99.0, 5_000.0)])
def test_a_paced_run_forgets_how_it_began_unless_it_goes_on(
    caught_up_s: float, p99_ms: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000.0]
    monkeypatch.setattr(beside_watch.time, "time", lambda: now[0])
    watch = Watch({**TOLD, "paced": True})
    while not watch.done:
        watch.saw(now[0] * 1e3 - (7.0 if now[0] >= 1_000.0 + caught_up_s else 5_000.0))
        now[0] += 0.25
    assert watch.told()["p99_ms"] == pytest.approx(p99_ms)


def test_a_quantile_is_a_value_that_was_seen() -> None:
    values = [float(value) for value in range(1, 101)]
    assert (quantile(values, 0.5), quantile(values, 0.99), quantile([3.0], 0.99)) == (50.0, 99.0, 3.0)


def test_a_row_divides_as_its_heading_says() -> None:
    told = {"events": 50_000, "wall_s": 10.0, "cpu_s": 8.0, "rss_mib": 120.4, "versions": {"river": "1.2"}}
    rows = [Row("one", told, {"p99_ms": 12.3}, 2_000.0), Row("two", told), Row("three", why_not="no wheel")]
    assert line(rows[0]) == "| one | 5,000 | 160.00 | 120 | 12 | 2,000 | 50,000 |"
    assert line(rows[1]) == "| two | 5,000 | 160.00 | 120 |  |  | 50,000 |"
    assert len({line(row).count("|") for row in rows}) == 1
    assert report(rows)[-1] == "river 1.2."


def test_what_cannot_be_installed_or_fails_is_a_row_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot() -> Path:
        raise CannotInstall("no wheel for this Python")

    @contextmanager
    def nobody() -> Iterator[str]:
        yield "127.0.0.1:1"

    async def nothing(*ignored: object) -> int:
        return 100

    monkeypatch.setattr(beside, "peers_python", cannot)
    monkeypatch.setattr(beside, "broker", nobody)
    monkeypatch.setattr(beside, "fill", nothing)
    missing, failing = Peer("missing", "bench.beside_quix", own=True), Peer("failing", "bench.no_such_module")
    rows = measure([missing, failing], 100, 1.0)
    assert rows[0].why_not == "not installed: no wheel for this Python"
    assert rows[1].why_not.startswith("it failed: ") and "no_such_module" in rows[1].why_not


def test_a_lock_that_cannot_be_installed_says_why(tmp_path: Path) -> None:
    lock = tmp_path / "peers.lock"
    lock.write_text("nothing-at-all==\n")
    with pytest.raises(CannotInstall, match="parse requirement"):
        peers_python(lock, tmp_path / "venv")


def test_an_environment_of_the_same_lock_is_taken_as_it_is(tmp_path: Path) -> None:
    lock, venv = tmp_path / "peers.lock", tmp_path / "venv"
    lock.write_text("# nothing\n")
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").touch()
    (venv / "made-from").write_text(f"{sys.version}\n# nothing\n")
    assert peers_python(lock, venv) == venv / "bin" / "python"


def test_the_feed_dates_a_message_now_and_changes_nothing_else() -> None:
    text = b'{"type":"order","ts":1767614400000043294,"market":"M","price":1}'
    assert dated(text, 1_800_000_000_000_000_001) == text.replace(b"1767614400000043294", b"1800000000000000001")


def test_every_peer_is_a_file_and_the_scenario_is_as_large_as_told() -> None:
    modules = {DAEMON, *(peer.module for peer in beside.PEERS), *(peer.paced for peer in beside.PEERS if peer.paced)}
    for module in modules:
        assert Path(beside.ROOT, *module.split(".")).with_suffix(".py").is_file(), module
    assert len(load("bench").markets) == 100


def test_a_part_of_the_page_that_was_not_asked_for_stays() -> None:
    before = page("", {"live": "## live: a\n\nold\n", ASKED[0]: f"## {ASKED[0]}: b\n\nkept\n"})
    after = page(before, {"live": "## live: a\n\nnew\n"})
    assert "new" in after and "old" not in after and after.endswith("\nkept\n")
    assert page(after, {}) == after
