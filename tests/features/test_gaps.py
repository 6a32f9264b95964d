"""After a gap or a snapshot: what was not heard is not held against those who came back."""

from __future__ import annotations

from typing import Any

import pytest

from detector.model.events import Flag, Kind
from tests.features.test_books import START_NS, Story, shard

SECOND_NS = 10**9


class Gapped(Story):
    """Accounts that each cancel every few seconds, in one market."""

    def at(self, second: float, kind: Kind, **columns: Any) -> None:
        self.row(kind, seq=len(self.rows), first_seq=columns.pop("first_seq", len(self.rows)), **columns)
        self.rows[-1]["event_ns"] = START_NS + int(second * SECOND_NS)

    def cancel(self, second: float, account: int, first_seq: int | None = None) -> None:
        name = 1000 + len(self.rows)
        first = {} if first_seq is None else {"first_seq": first_seq}
        self.at(second, Kind.ORDER, order=name, side=1, price="99", qty="1", account=account, **first)
        self.at(second + 0.01, Kind.CANCEL, order=name, flags=int(Flag.ALL), account=account)

    def new_cancellers(self, chunk: int = 1 << 20) -> dict[int, float]:
        """By second since START_NS."""
        made = shard()
        events = self.events()
        open_window = START_NS // SECOND_NS
        found = {}
        for begin in range(0, len(events), chunk):
            for i in range(begin, min(begin + chunk, len(events))):
                while events["event_ns"][i] >= (open_window + 2) * SECOND_NS:
                    found[open_window - START_NS // SECOND_NS] = float(
                        made.close(open_window, idle=False).column("new_cancellers")[0]
                    )
                    open_window += 1
                made.fold(events, i, i + 1, ("M",), open_window)
        found[open_window - START_NS // SECOND_NS] = float(
            made.close(open_window, idle=False).column("new_cancellers")[0]
        )
        return {second: count for second, count in found.items() if count}


def told(gap: str) -> Gapped:
    """Ten accounts cancel every 4 s; nothing is heard from second 20 on, until 40."""
    story = Gapped(1, 2)
    for second in (*range(20), *range(40, 60)):
        if second == 40 and gap == "snapshot":
            story.at(40, Kind.BOOK)
        for account in range(10):
            if (second + account) % 4 == 0:
                lost = second == 40 and gap == "sequence" and account == 0
                story.cancel(second + account / 20, 1 + account, first_seq=len(story.rows) + 7 if lost else None)
                if lost:
                    for row in story.rows[-2:]:
                        row["seq"] += 100
                    story.rows[-2]["first_seq"] += 100
                    story.rows[-1]["first_seq"] = story.rows[-1]["seq"]
                elif gap == "sequence" and second >= 40:
                    for row in story.rows[-2:]:
                        row["seq"] += 100
                        row["first_seq"] = row["seq"]
    return story


@pytest.mark.parametrize("gap", ["snapshot", "sequence"])
def test_accounts_that_went_unheard_do_not_cancel_for_the_first_time(gap: str) -> None:
    found = told(gap).new_cancellers()
    assert sum(count for second, count in found.items() if second < 20) == 10
    assert not any(second >= 40 for second in found), found


def test_accounts_that_were_silent_while_the_market_was_heard_do() -> None:
    found = told("none").new_cancellers()
    assert sum(count for second, count in found.items() if second >= 40) == 10


def test_a_snapshot_in_the_middle_of_life_excuses_nobody() -> None:
    story = Gapped(1, 2)
    for second in range(60):
        if second == 50:
            story.at(50.5, Kind.BOOK)
        story.cancel(second, 1)
        if second in (0, 51):
            story.cancel(second + 0.1, 2)
    found = story.new_cancellers()
    assert found[51] == 1.0


def missing(snapshot: bool) -> list[float]:
    """quotes_missing, second by second: a maker's ten quotes stand for 100 s; then seven are gone, and 20 s later one
    more. snapshot: the seven were found gone by a snapshot; else the maker took them back."""
    story = Story(1, 2)
    made = shard()

    def quote(number: int, *, flags: int = 0) -> None:
        side = 1 if number % 2 else -1
        price = f"{100 - side * (0.05 + 0.01 * number):.2f}"
        story.row(Kind.ORDER, order=number, side=side, price=price, qty="1", account=7, flags=flags)

    def second(at: int) -> None:
        if at == 0:
            for number in range(1, 11):
                quote(number)
        if at == 100 and snapshot:
            story.row(Kind.BOOK)
            for number in range(1, 4):
                quote(number, flags=int(Flag.SNAPSHOT))
        if at == 100 and not snapshot:
            for number in range(4, 11):
                story.row(Kind.CANCEL, order=number, flags=int(Flag.ALL), account=7)
        if at == 120:
            story.row(Kind.CANCEL, order=1, flags=int(Flag.ALL), account=7)
        story.row(Kind.MARK, price="100")

    found = []
    for at in range(125):
        story.rows.clear()
        second(at)
        events = story.events()
        events["event_ns"] = START_NS + at * SECOND_NS
        made.fold(events, 0, len(events), ("M",), START_NS // SECOND_NS + at)
        found.append(float(made.close(START_NS // SECOND_NS + at, idle=False).column("quotes_missing")[0]))
    return found


def test_quotes_that_a_snapshot_took_away_were_our_mistake_and_not_a_withdrawal() -> None:
    taken_back, corrected = missing(snapshot=False), missing(snapshot=True)
    assert taken_back[99] == corrected[99] == 0.0
    assert taken_back[101] == pytest.approx(7.0, abs=0.1)
    assert corrected[101] == pytest.approx(0.0, abs=0.1)


def test_after_a_snapshot_a_withdrawal_is_one_again() -> None:
    assert missing(snapshot=True)[122] == pytest.approx(1.0, abs=0.1)
