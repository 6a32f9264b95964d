"""The outbox as statements: what waits, in which order, what became of it. Blocking; in the caller's transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence

from detector.store.rows import SEVERITIES, Entry, GivenUp, Letter, OutboxCount

REVIVED_S = 3_600.0  # what is tried again by hand has at least so long to arrive
WHY_MAX = 500  # characters of a failure kept with a letter
CLOCK_STEP_S = 7_200.0  # a letter due later than any backoff allows was written before the clock was set back: due now
_NAMES = {number: name for name, number in SEVERITIES.items()}
_SELECT = (
    "SELECT key, destination, incident_id, seq, severity, body, status, attempts, created_s, due_s, why FROM outbox"
)
_HEADS = (
    _SELECT  # noqa: S608  joined from two constants
    + " AS head JOIN ("
    "   SELECT min(seq) AS first_seq, incident_id AS its, max(severity) AS worst FROM outbox"
    "   WHERE status = 'pending' AND destination = ?1 GROUP BY incident_id"
    " ) ON head.incident_id = its AND head.seq = first_seq"
    " WHERE head.status = 'pending' AND head.destination = ?1 AND (head.due_s <= ?2 OR head.due_s > ?2 + ?3)"
    " ORDER BY worst DESC, head.created_s, head.id LIMIT ?4"
)
_ASKED = " AND (:key = '' OR key = :key) AND (:destination = '' OR destination = :destination)"
_OVERTAKEN = (
    "EXISTS (SELECT 1 FROM outbox AS later WHERE later.destination = outbox.destination"
    " AND later.incident_id = outbox.incident_id AND later.seq > outbox.seq AND later.status = 'delivered')"
)
_LISTED = _SELECT + " WHERE status IN (SELECT value FROM json_each(?)) ORDER BY id DESC LIMIT ?"  # noqa: S608  joined from two constants


def add(connection: sqlite3.Connection, letters: Iterable[Letter], at_s: float) -> int:
    """How many were new; a key a destination already has is left as it is, whatever became of it."""
    before = connection.total_changes
    connection.executemany(
        "INSERT OR IGNORE INTO outbox (key, destination, incident_id, seq, severity, body, created_s, due_s)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (
                item.key,
                item.destination,
                item.incident_id,
                item.seq,
                SEVERITIES.get(item.severity, 1),
                item.body,
                at_s,
                at_s,
            )
            for item in letters
        ),
    )
    return connection.total_changes - before


def pending(connection: sqlite3.Connection, destination: str, limit: int, now_s: float) -> list[Entry]:
    """What may be sent now: of every incident only its first, critical incidents first, then the longest waiting.

    An incident is as urgent as the worst it still has to say, so that 'opened: warning' does not hold up 'escalated'.
    """
    rows = connection.execute(_HEADS, (destination, now_s, CLOCK_STEP_S, limit))
    return [_entry(row) for row in rows]


def next_due_s(connection: sqlite3.Connection, destination: str) -> float | None:
    """When the first pending letter is due, None = nothing is pending."""
    (due,) = connection.execute(
        "SELECT min(due_s) FROM outbox WHERE status = 'pending' AND destination = ?", (destination,)
    ).fetchone()
    return None if due is None else float(due)


def delivered(connection: sqlite3.Connection, destination: str, key: str, at_s: float) -> None:
    """Also one given up while its last attempt was under way: it arrived."""
    connection.execute(
        "UPDATE outbox SET status = 'delivered', finished_s = ?, attempts = attempts + 1, why = ''"
        " WHERE destination = ? AND key = ?",
        (at_s, destination, key),
    )


def retry_at(connection: sqlite3.Connection, destination: str, key: str, due_s: float, why: str) -> None:
    """One more failed attempt; the next not before `due_s`."""
    connection.execute(
        "UPDATE outbox SET due_s = ?, attempts = attempts + 1, why = ?"
        " WHERE destination = ? AND key = ? AND status = 'pending'",
        (due_s, why[:WHY_MAX], destination, key),
    )


def dead(connection: sqlite3.Connection, destination: str, key: str, at_s: float, why: str) -> None:
    """Never again, unless somebody asks for it by hand."""
    connection.execute(
        "UPDATE outbox SET status = 'dead', finished_s = ?, attempts = attempts + 1, why = ?"
        " WHERE destination = ? AND key = ? AND status = 'pending'",
        (at_s, why[:WHY_MAX], destination, key),
    )


def clock_set(connection: sqlite3.Connection, now_s: float, step_s: float) -> None:
    """Moves all times with the clock, so that nothing expires or is forgotten for it; every pending letter is due."""
    connection.execute(
        "UPDATE outbox SET created_s = min(?1, created_s + ?2), due_s = min(?1, due_s), finished_s = finished_s + ?2",
        (now_s, step_s),
    )


def tidy(
    connection: sqlite3.Connection, now_s: float, *, ttl_s: float, keep_s: float, pending_max: int, finished_max: int
) -> list[GivenUp]:
    """The pending letters that were given up: too old, or more than `pending_max` of one destination (mildest first,
    then oldest). A destination that is dead costs no other its letters."""
    told = " RETURNING destination, incident_id, severity, why"
    expired = connection.execute(
        "UPDATE outbox SET status = 'dead', finished_s = ?1, why = 'expired: ' || why"  # noqa: S608  two constants
        " WHERE status = 'pending' AND created_s < ?1 - ?2" + told,
        (now_s, ttl_s),
    ).fetchall()
    overflowed = connection.execute(
        "UPDATE outbox SET status = 'dead', finished_s = ?1, why = 'outbox full' WHERE id IN (SELECT id FROM"  # noqa: S608
        " (SELECT id, row_number() OVER (PARTITION BY destination ORDER BY severity DESC, created_s DESC) AS place"
        " FROM outbox WHERE status = 'pending') WHERE place > ?2)" + told,
        (now_s, pending_max),
    ).fetchall()
    connection.execute("DELETE FROM outbox WHERE status <> 'pending' AND finished_s < ? - ?", (now_s, keep_s))
    connection.execute(
        "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE status <> 'pending'"
        " ORDER BY finished_s DESC LIMIT -1 OFFSET ?)",
        (finished_max,),
    )
    return [
        GivenUp(str(name), str(incident), _NAMES[severity], str(why))
        for name, incident, severity, why in (*expired, *overflowed)
    ]


def counts(connection: sqlite3.Connection) -> dict[str, OutboxCount]:
    """By destination; only those that have letters."""
    rows = connection.execute(
        "SELECT destination, sum(status = 'pending'), sum(status = 'delivered'), sum(status = 'dead'),"
        " coalesce(min(CASE status WHEN 'pending' THEN created_s END), 0) FROM outbox GROUP BY destination"
    )
    return {str(row[0]): OutboxCount(int(row[1]), int(row[2]), int(row[3]), float(row[4])) for row in rows}


def listed(connection: sqlite3.Connection, statuses: Sequence[str], limit: int) -> list[Entry]:
    """Newest first."""
    rows = connection.execute(_LISTED, (json.dumps(list(statuses)), limit))
    return [_entry(row) for row in rows]


def revived(connection: sqlite3.Connection, key: str, destination: str, now_s: float, ttl_s: float) -> tuple[int, int]:
    """Dead letters made pending again, and waiting ones due now. '' = every key, every destination.

    How many, and how many dead ones were left, as their destination knows better by now: a later word of the same
    incident was delivered to it, and an alert that opens what is over would never be closed. A letter stays as old as
    it is, so that it says how late it comes, but for an hour of life at least.
    """
    told = {"key": key, "destination": destination, "now": now_s, "least": now_s - ttl_s + REVIVED_S}
    (left,) = connection.execute(
        "SELECT count(*) FROM outbox WHERE status = 'dead'" + _ASKED + " AND " + _OVERTAKEN,  # noqa: S608  constants
        told,
    ).fetchone()
    cursor = connection.execute(
        "UPDATE outbox SET status = 'pending', due_s = :now, finished_s = NULL, attempts = 0,"  # noqa: S608
        " created_s = max(created_s, :least)"
        " WHERE (status = 'pending' OR (status = 'dead' AND NOT " + _OVERTAKEN + "))" + _ASKED,
        told,
    )
    return cursor.rowcount, int(left)


def moved(connection: sqlite3.Connection, old: str, new: str, now_s: float) -> int:
    """What waits for one destination waits for another, due now. How many; what the other knows already stays."""
    return connection.execute(
        "UPDATE OR IGNORE outbox SET destination = ?2, due_s = ?3, attempts = 0"
        " WHERE destination = ?1 AND status = 'pending'",
        (old, new, now_s),
    ).rowcount


def dropped(connection: sqlite3.Connection, key: str, destination: str, now_s: float) -> int:
    """Pending letters given up by hand: dead, and so still listed."""
    cursor = connection.execute(
        "UPDATE outbox SET status = 'dead', finished_s = ?1, why = 'dropped by hand'"
        " WHERE status = 'pending' AND key = ?2 AND (?3 = '' OR destination = ?3)",
        (now_s, key, destination),
    )
    return cursor.rowcount


def _entry(row: Sequence[object]) -> Entry:
    key, destination, incident_id, seq, severity, body, status, attempts, created_s, due_s, why = row
    assert isinstance(seq, int) and isinstance(severity, int) and isinstance(attempts, int) and isinstance(body, bytes)
    assert isinstance(created_s, float) and isinstance(due_s, float)
    return Entry(
        str(key), str(destination), str(incident_id), seq, _NAMES[severity], body,
        str(status), attempts, created_s, due_s, str(why),
    )  # fmt: skip
