"""Commands beside a daemon: they read and steer its state file, nothing else."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from detector.cli.base import Exit
from detector.cli.explain import again_command
from detector.model.events import Reject
from detector.store.rows import Checkpoint, IncidentRow, Letter
from detector.store.store import Store, StoreSettings
from tests.cli.calling import Answer, call

SECRET = "whsec_" + "c2VjcmV0" * 4
POSITION = {"topic": "market.events", "partition": 3, "first_offset": 7, "last_offset": 9}
DATA = {
    "schema": 1,
    "incident_id": "inc_1",
    "seq": 1,
    "status": "firing",
    "reason": "opened",
    "severity": "critical",
    "kind": "cancel_burst",
    "markets": ["BTC-PERP"],
    "title": "Many orders pulled",
    "summary": "Synthetic.",
    "score": 4.0,
    "expected_every": "1 day",
    "started_at": "2026-01-05T12:00:00.000Z",
    "detected_at": "2026-01-05T12:00:01.000Z",
    "ended_at": None,
    "evidence": [],
    "contributors": [],
    "timeline": [],
    "position": [POSITION],
    "warming": False,
}


@pytest.fixture
def foreshock(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path):  # type: ignore[no-untyped-def]
    for name in [name for name in os.environ if name.startswith("FORESHOCK_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FORESHOCK_STATE__DIRECTORY", str(tmp_path / "state"))
    asyncio.run(_filled(tmp_path / "state"))
    return lambda *arguments: call(monkeypatch, capfd, arguments)


async def _filled(directory: Path) -> None:
    store = await Store.open(directory, StoreSettings(ballast_bytes=0))
    await store.commit(
        Checkpoint(
            at_s=1_000_000.0,
            incidents=(IncidentRow("inc_1", 1, "firing", "critical", json.dumps(DATA).encode()),),
            letters=(Letter("inc_1_1", "pager", "inc_1", 1, "critical", b"{}"),),
            rejects=(Reject("market.events", 3, 8, "not_json", b"\x1b[31m{"),),
        )
    )
    await store.close()


def test_what_waits_is_listed_retried_and_dropped(foreshock) -> None:  # type: ignore[no-untyped-def]
    (row,) = json.loads(foreshock("outbox", "ls", "--json").out)
    assert (row["key"], row["destination"], row["status"]) == ("inc_1_1", "pager", "pending")
    assert foreshock("outbox", "retry").out.startswith("1 ")
    assert foreshock("outbox", "drop", "inc_1_1").code == Exit.DONE
    (row,) = json.loads(foreshock("outbox", "ls", "--json").out)
    assert (row["status"], row["why"]) == ("dead", "dropped by hand")
    assert foreshock("outbox", "drop", "inc_1_1").code == Exit.USAGE
    assert foreshock("outbox", "retry", "nosuch").code == Exit.USAGE


def test_what_waits_for_a_destination_of_old_is_moved(foreshock, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "foreshock.toml").write_text('[destinations.chat]\ntype = "jsonl"\npath = "alerts.jsonl"\n')
    assert foreshock("outbox", "move", "pager", "nosuch", "--config", "foreshock.toml").code == Exit.USAGE
    moved = foreshock("outbox", "move", "pager", "chat", "--config", "foreshock.toml")
    assert (moved.code, moved.out) == (Exit.DONE, "1 moved\n")
    (row,) = json.loads(foreshock("outbox", "ls", "--json").out)
    assert (row["destination"], row["status"]) == ("chat", "pending")


def test_what_something_later_has_overtaken_is_not_retried_and_that_is_said(foreshock, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    async def overtake() -> None:
        store = await Store.open(tmp_path / "state", StoreSettings(ballast_bytes=0))
        await store.put([Letter("inc_1_2", "pager", "inc_1", 2, "critical", b"{}")], 1_000_001.0)
        await store.mark_dead("pager", "inc_1_1", 1_000_002.0, "404")
        await store.mark_delivered("pager", "inc_1_2", 1_000_003.0)
        await store.close()

    asyncio.run(overtake())
    told = foreshock("outbox", "retry", "inc_1_1")
    assert told.code == Exit.DONE and told.out.startswith("0 will be tried again; 1 not: something later")


def test_an_operator_decides_where_a_partition_goes_on(foreshock, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    named, places = "market.events/3", {("market.events", 3): 70, ("market.events", 4): 8}

    def shown() -> list[tuple[str, int]]:
        rows = json.loads(foreshock("position", "ls", "--json").out)
        return [(row["partition"], row["next_offset"]) for row in rows]

    async def saved(state: bytes) -> None:
        store = await Store.open(tmp_path / "state", StoreSettings(ballast_bytes=0))
        await store.commit(Checkpoint(at_s=2e6, state=state, positions=places))
        await store.close()

    assert shown() == []
    assert foreshock("position", "set", named, "5").code == Exit.STATE, "nothing is saved yet"
    for state in (b"before", b"newest"):
        asyncio.run(saved(state))
    assert foreshock("position", "set", named, "5").code == Exit.DONE
    assert shown() == [(named, 5), ("market.events/4", 8)]
    assert foreshock("position", "forget", "market.events/4").code == Exit.DONE
    assert shown() == [(named, 5)]
    assert foreshock("position", "set", "market.events/9", "0").code == Exit.DONE, "one of a topic that is read"
    for wrong in ("market.events", "market.events/x", "/1", "other/0"):
        assert foreshock("position", "set", wrong, "0").code == Exit.USAGE
    assert foreshock("position", "set", named, "-1").code == Exit.USAGE

    async def beside() -> Answer:
        store = await Store.open(tmp_path / "state", StoreSettings(ballast_bytes=0))
        assert await store.load(1) == Checkpoint(at_s=2e6, state=b"before", positions=places)
        answer: Answer = await asyncio.to_thread(foreshock, "position", "set", named, "9")
        await store.close()
        return answer

    refused = asyncio.run(beside())
    assert refused.code == Exit.STATE and "stop the daemon first" in refused.err and shown()[0] == (named, 5)


def test_an_unreadable_message_is_shown_without_steering_the_terminal(foreshock) -> None:  # type: ignore[no-untyped-def]
    listed: Answer = foreshock("dlq", "ls")
    assert "market.events/3/8" in listed.out and "\x1b" not in listed.out
    shown: Answer = foreshock("dlq", "show", "market.events/3/8")
    assert "not_json" in shown.out and "\\x1b[31m{" in shown.out
    assert foreshock("dlq", "show", "market.events/3/8", "--raw").out == "\x1b[31m{"
    assert foreshock("dlq", "show", "market.events/3/9").code == Exit.USAGE


def test_an_incident_is_listed_shown_and_explained(foreshock) -> None:  # type: ignore[no-untyped-def]
    (row,) = json.loads(foreshock("incident", "ls", "--firing", "--json").out)
    assert row["incident_id"] == "inc_1"
    assert "Many orders pulled" in foreshock("incident", "show", "inc_1").out
    explained: Answer = foreshock("explain", "inc_1")
    assert "market.events/3 offsets 7..9" in explained.out
    assert "foreshock replay" in explained.out
    assert foreshock("incident", "show", "inc_2").code == Exit.USAGE


def test_the_command_to_see_it_again_begins_before_and_cannot_be_made_to_do_else() -> None:
    command = again_command(DATA, POSITION | {"topic": "a;b"}, "127.0.0.1:9092")
    assert command.startswith("foreshock replay 'kafka://127.0.0.1:9092/a;b'")
    assert "--from 2026-01-05T11:30:00Z" in command
