"""Numbers that begin again, and one that is wrong: what follows is heard. What is sent again is still dropped."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.engine.shard import Shard
from detector.features.restarts import NEWER
from detector.features.sequence import RESTART_MIN
from detector.features.tables import from_state, to_state
from detector.model.events import Kind, empty_events
from detector.model.restart import Anew
from tests.features.test_books import START_NS, shard

STEP_NS, LATE, LIVES, SECOND_NS = 20_000_000, 2, 6, 10**9
WILD = 1 << 62
Row = dict[str, Any]


def life(seed: int, count: int) -> list[Row]:
    """Orders at turns with the cancels of those of LIVES orders ago, some a little late; numbered from 5000 on."""
    random = Random(seed)
    rows: list[Row] = []
    for at in range(count):
        order, cancelled = 1 + at // 2, at // 2 - LIVES
        row: Row = {
            "kind": Kind.ORDER,
            "order": order,
            "side": 1,
            "price_ticks": random.randrange(90, 99),
            "qty_lots": 1,
        }
        if at % 2 and cancelled >= 1:
            row = {"kind": Kind.CANCEL, "order": cancelled, "flags": 16}
        late_ns = random.choice((0, 0, 0, STEP_NS, LATE * STEP_NS))
        rows.append({**row, "account": 1 + order % 3, "seq": 5000 + at, "event_ns": START_NS + at * STEP_NS - late_ns})
    return rows


def events_of(rows: Sequence[Row]) -> Any:
    events = empty_events(len(rows))
    for at, row in enumerate(rows):
        events["offset"][at] = at
        for name, value in {"first_seq": row["seq"], **row}.items():
            events[name][at] = value
    return events


def heard(rows: Sequence[Row]) -> tuple[Shard, list[list[float]]]:
    """The books, and what each second counted."""
    made, events = shard(), events_of(rows)
    open_window, found = START_NS // SECOND_NS, []
    for at in range(len(events)):
        while events["event_ns"][at] >= (open_window + 2) * SECOND_NS:
            windows = made.close(open_window, idle=False)
            found.append([float(windows.column(name)[0]) for name in ("cancels", "young_cancels", "cancelled_near")])
            open_window += 1
        made.fold(events, at, at + 1, ("M",), open_window)
    return made, found


def upset(rows: Sequence[Row], cut: int, what: str) -> list[Row]:
    """From `cut` on numbers begin at 1 again; or the one there is wild."""
    if what == "wild":
        return [*rows[:cut], {**rows[cut], "seq": WILD}, *rows[cut + 1 :]]
    return [*rows[:cut], *({**row, "seq": 1 + at} for at, row in enumerate(rows[cut:]))]


@pytest.mark.parametrize("what", ["restart", "wild"])
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), cut=st.integers(RESTART_MIN, 900))
def test_what_follows_is_heard_as_if_nothing_had_been(what: str, seed: int, cut: int) -> None:
    rows = life(seed, 1200)
    (whole, expected), (books, found) = heard(rows), heard(upset(rows, cut, what))
    again = rows[cut]["event_ns"] + (RESTART_MIN + 3 * LATE + 2 * LIVES) * STEP_NS
    second = (again - START_NS) // SECOND_NS + 1
    assert found[second:] == expected[second:]
    counts = books.counts()
    assert counts["sequence_restart"] == 1 and counts["out_of_sequence"] == RESTART_MIN - 1
    assert counts["duplicate"] <= RESTART_MIN - 1 + 2 * LATE
    assert whole.counts()["sequence_restart"] == 0


@pytest.mark.parametrize("what", ["restart", "wild", "nothing"])
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), cut=st.integers(RESTART_MIN, 500), data=st.data())
def test_what_is_sent_again_changes_nothing_wherever_it_began(what: str, seed: int, cut: int, data: Any) -> None:
    rows = life(seed, 900)
    rows = rows if what == "nothing" else upset(rows, cut, what)
    at = data.draw(st.integers(1, len(rows) - 1), "sent again before")
    first = data.draw(st.integers(0, at - 1), "from")
    (books, expected), (twice, found) = heard(rows), heard([*rows[:at], *rows[first:at], *rows[at:]])
    assert found == expected
    assert twice.counts()["sequence_restart"] == books.counts()["sequence_restart"]
    assert np.array_equal(twice.tables.orders, books.tables.orders)


def test_a_number_that_is_wrong_now_and_then_blinds_a_market_for_a_moment_each_time() -> None:
    rows = life(1, 1200)
    for at in (200, 500, 800):
        rows = upset(rows, at, "wild")
    books, found = heard(rows)
    assert books.counts()["sequence_restart"] == 3
    assert sum(row[0] for row in found) > 450.0


def test_two_gateways_with_clocks_of_their_own_are_no_restart() -> None:
    """Levels by way of one lag behind by three numbers and are stamped a second ahead: never many of them in a row."""
    rows = life(2, 600)
    for row in rows:
        row["kind"] = Kind.LEVEL
    swift = [row for row in rows if row["seq"] % 4]
    slow = [{**row, "event_ns": row["event_ns"] + SECOND_NS} for row in rows if not row["seq"] % 4]
    merged = sorted([*swift, *slow], key=lambda row: row["seq"] + (0 if row["seq"] % 4 else 3.5))
    books, _ = heard(merged)
    assert books.counts()["sequence_restart"] == 0
    assert books.counts()["out_of_sequence"] > 0


def test_a_restart_is_told_once_with_its_window_and_soon_after_only_counted() -> None:
    rows = life(3, 400)
    books, _ = heard(upset(upset(rows, 100, "wild"), 200, "wild"))
    first, second = books.tables.markets[0]["renumbered"]["at_ns"], rows[-1]["event_ns"]
    (told,) = books.restarts(second)
    assert (told.market, told.what, told.times, told.at_ns) == ("M", Anew.NUMBERS, 2, first)
    assert told.before == str(WILD)
    assert books.restarts(second) == []
    heard_more = events_of(upset([{**row, "event_ns": row["event_ns"] + 10 * SECOND_NS} for row in rows], 1, "wild"))
    books.fold(heard_more, 0, len(heard_more), ("M",), 0)
    assert books.restarts(second + 60 * SECOND_NS) == []
    (told,) = books.restarts(second + 600 * SECOND_NS)
    assert told.times == 1


def test_of_a_version_before_restarts_nothing_taken_so_far_is_taken_for_newer_than_itself() -> None:
    books, _ = heard(life(4, 300))
    saved = to_state(books.tables)
    now = books.tables.markets
    names = [name for name in now.dtype.names if name not in NEWER]
    older = np.zeros(now.shape, [(name, now.dtype[name]) for name in names])
    for name in names:
        older[name] = now[name]
    again = from_state(books.tables, {**saved, "markets": older, "counts": books.tables.counts[:11]})
    assert all(again.markets[name].tobytes() == now[name].tobytes() for name in names)
    assert len(again.counts) == len(books.tables.counts)
    assert 0 <= int(again.markets[0]["numbered_ns"]) - int(now[0]["numbered_ns"]) <= SECOND_NS
    assert not again.markets["renumbered"]["times"].any()
