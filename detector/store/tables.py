"""Checkpoints, incidents, dead letters and the identity as statements. Blocking; inside a transaction of the caller."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Iterable, Mapping, Sequence

from detector.model.events import SAMPLE_BYTES, Reject
from detector.store.rows import SEVERITIES, Checkpoint, DeadLetter, Identity, IncidentRow, Partition

CHUNK_BYTES = 512 << 10  # a piece of a snapshot, a transaction each: what an alert may have to wait behind
GENERATIONS = 2  # the newest checkpoint and, should it not be readable, the one before
UNDER_WAY = -1  # state_bytes of a generation whose pieces are still being written
REASON_MAX = 200  # characters
_NAMES = {number: name for name, number in SEVERITIES.items()}


def begin_state(connection: sqlite3.Connection, checkpoint: Checkpoint) -> int:
    """A generation whose snapshot is under way, unread before `end_state`. What a crash left half done goes."""
    connection.execute("DELETE FROM checkpoints WHERE state_bytes = ?", (UNDER_WAY,))
    generation = connection.execute(
        "INSERT INTO checkpoints (at_s, config_rev, state_bytes) VALUES (?, ?, ?)",
        (checkpoint.at_s, checkpoint.config_rev, UNDER_WAY),
    ).lastrowid
    assert generation is not None
    return generation


def under_way(connection: sqlite3.Connection) -> bool:
    """A snapshot is being written, or a crash left one half done."""
    found = connection.execute("SELECT 1 FROM checkpoints WHERE state_bytes = ?", (UNDER_WAY,)).fetchone()
    return found is not None


def write_piece(connection: sqlite3.Connection, generation: int, number: int, piece: memoryview) -> None:
    """The number-th CHUNK_BYTES of a snapshot."""
    connection.execute("INSERT INTO chunks VALUES (?, ?, ?)", (generation, number, piece))


def end_state(connection: sqlite3.Connection, generation: int, checkpoint: Checkpoint) -> None:
    """All pieces are there: with its offsets it is the newest from now on."""
    assert checkpoint.state is not None
    connection.executemany(
        "INSERT INTO positions VALUES (?, ?, ?, ?)",
        ((generation, topic, number, offset) for (topic, number), offset in checkpoint.positions.items()),
    )
    connection.execute(
        "UPDATE checkpoints SET state_bytes = ? WHERE generation = ?", (len(checkpoint.state), generation)
    )
    _write_logs(connection, generation, checkpoint.logs)


def forget_piece(connection: sqlite3.Connection) -> bool:
    """One piece of the generations before the newest GENERATIONS goes; False: the last of them is gone."""
    old = (
        "SELECT generation FROM checkpoints WHERE state_bytes <> ? AND generation NOT IN (SELECT generation"
        " FROM checkpoints WHERE state_bytes <> ? ORDER BY generation DESC LIMIT ?)"
    )
    told = (UNDER_WAY, UNDER_WAY, GENERATIONS)
    gone = connection.execute(
        f"DELETE FROM chunks WHERE rowid = (SELECT rowid FROM chunks WHERE generation IN ({old}) LIMIT 1)",  # noqa: S608
        told,
    ).rowcount
    if gone == 0:
        connection.execute(f"DELETE FROM checkpoints WHERE generation IN ({old})", told)  # noqa: S608
    return gone > 0


def read_state(connection: sqlite3.Connection, older: int) -> Checkpoint | None:
    """The newest checkpoint (older = 0) or one before it; None where there is none. Its bytes are not judged here."""
    row = connection.execute(
        "SELECT generation, at_s, config_rev FROM checkpoints WHERE state_bytes <> ?"
        " ORDER BY generation DESC LIMIT 1 OFFSET ?",
        (UNDER_WAY, older),
    ).fetchone()
    if row is None:
        return None
    generation, at_s, config_rev = row
    chunks = connection.execute("SELECT bytes FROM chunks WHERE generation = ? ORDER BY number", (generation,))
    positions = _positions(connection, generation)
    state = b"".join(bytes(chunk) for (chunk,) in chunks)
    logs = _logs(connection)
    return Checkpoint(at_s=float(at_s), state=state, positions=positions, logs=logs, config_rev=str(config_rev))


def write_position(connection: sqlite3.Connection, partition: Partition, offset: int | None) -> bool:
    """Where the newest checkpoint goes on with a partition, whatever its state says; None = as one that was never read.
    False: there is no checkpoint."""
    newest = "SELECT max(generation) FROM checkpoints WHERE state_bytes <> ?"
    (generation,) = connection.execute(newest, (UNDER_WAY,)).fetchone()
    if generation is None:
        return False
    connection.execute(
        "DELETE FROM positions WHERE generation = ? AND topic = ? AND partition = ?", (generation, *partition)
    )
    if offset is not None:
        connection.execute("INSERT INTO positions VALUES (?, ?, ?, ?)", (generation, *partition, offset))
    logs = {known: log for known, log in _logs(connection).items() if known != partition}
    _write_logs(connection, generation, logs)  # it is a position of whatever log is found there
    return True


def read_positions(connection: sqlite3.Connection) -> tuple[float, dict[Partition, int]]:
    """When the newest checkpoint was written (seconds, 0 = there is none), and where it goes on."""
    row = connection.execute(
        "SELECT generation, at_s FROM checkpoints WHERE state_bytes <> ? ORDER BY generation DESC LIMIT 1", (UNDER_WAY,)
    ).fetchone()
    if row is None:
        return 0.0, {}
    return float(row[1]), _positions(connection, row[0])


def _positions(connection: sqlite3.Connection, generation: int) -> dict[Partition, int]:
    places = connection.execute(
        "SELECT topic, partition, next_offset FROM positions WHERE generation = ?", (generation,)
    )
    return {(str(topic), int(number)): int(offset) for topic, number, offset in places}


def _write_logs(connection: sqlite3.Connection, generation: int, logs: Mapping[Partition, str]) -> None:
    """Beside the checkpoints, as an older program knows no table of theirs."""
    rows = [[topic, number, log] for (topic, number), log in sorted(logs.items())]
    remember(connection, "logs", json.dumps({"generation": generation, "logs": rows}).encode())


def _logs(connection: sqlite3.Connection) -> dict[Partition, str]:
    """None where the newest checkpoint is of a program that kept none: its positions may be of other logs since."""
    newest = "SELECT max(generation) FROM checkpoints WHERE state_bytes <> ?"
    told = json.loads(remembered(connection, "logs") or b"{}")
    if told.get("generation") != connection.execute(newest, (UNDER_WAY,)).fetchone()[0]:
        return {}
    return {(str(topic), int(number)): str(log) for topic, number, log in told["logs"]}


def write_incidents(
    connection: sqlite3.Connection, rows: Iterable[IncidentRow], at_s: float, incidents_max: int
) -> None:
    """A transition made again after a crash is older than what is stored, and changes nothing."""
    connection.executemany(
        "INSERT INTO incidents VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (incident_id) DO UPDATE SET"
        " seq = excluded.seq, status = excluded.status, severity = excluded.severity, body = excluded.body,"
        " updated_s = excluded.updated_s WHERE excluded.seq > incidents.seq",
        ((row.incident_id, row.seq, row.status, SEVERITIES.get(row.severity, 1), row.body, at_s, at_s) for row in rows),
    )
    connection.execute(
        "DELETE FROM incidents WHERE incident_id IN"
        " (SELECT incident_id FROM incidents ORDER BY updated_s DESC LIMIT -1 OFFSET ?)",
        (incidents_max,),
    )


def read_incidents(connection: sqlite3.Connection, limit: int) -> list[IncidentRow]:
    """Last told first."""
    rows = connection.execute(
        "SELECT incident_id, seq, status, severity, body FROM incidents ORDER BY updated_s DESC, incident_id LIMIT ?",
        (limit,),
    )
    return [_incident(row) for row in rows]


def read_incident(connection: sqlite3.Connection, incident_id: str) -> IncidentRow | None:
    """None where it was never told, or is forgotten."""
    row = connection.execute(
        "SELECT incident_id, seq, status, severity, body FROM incidents WHERE incident_id = ?", (incident_id,)
    ).fetchone()
    return None if row is None else _incident(row)


def write_rejects(
    connection: sqlite3.Connection, rejects: Iterable[Reject], at_s: float, dead_letters_max: int
) -> None:
    """At most `dead_letters_max` are kept; the oldest make room and are counted."""
    connection.executemany(
        "INSERT OR IGNORE INTO dead_letters (topic, partition, offset, reason, sample, at_s) VALUES (?, ?, ?, ?, ?, ?)",
        (
            (item.topic, item.partition, item.offset, item.reason[:REASON_MAX], item.sample[:SAMPLE_BYTES], at_s)
            for item in rejects
        ),
    )
    dropped = connection.execute(
        "DELETE FROM dead_letters WHERE id <= (SELECT id FROM dead_letters ORDER BY id DESC LIMIT 1 OFFSET ?)",
        (dead_letters_max,),
    ).rowcount
    if dropped > 0:
        total = _number(connection, "dead_letters_dropped") + dropped
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('dead_letters_dropped', ?)", (str(total).encode(),))


def read_rejects(connection: sqlite3.Connection, limit: int) -> list[DeadLetter]:
    """Newest first."""
    rows = connection.execute(
        "SELECT topic, partition, offset, reason, sample, at_s FROM dead_letters ORDER BY id DESC LIMIT ?", (limit,)
    )
    return [
        DeadLetter(Reject(str(topic), int(number), int(offset), str(reason), bytes(sample)), float(at_s))
        for topic, number, offset, reason, sample, at_s in rows
    ]


def count_rejects(connection: sqlite3.Connection) -> tuple[int, int]:
    """(kept, dropped to make room)."""
    (kept,) = connection.execute("SELECT count(*) FROM dead_letters").fetchone()
    return int(kept), _number(connection, "dead_letters_dropped")


def identity(connection: sqlite3.Connection) -> Identity:
    """Made at the first start, read ever after."""
    fresh = secrets.token_bytes(16 + 32)
    connection.execute("INSERT OR IGNORE INTO meta VALUES ('identity', ?)", (fresh,))
    (row,) = connection.execute("SELECT value FROM meta WHERE name = 'identity'").fetchone()
    kept = bytes(row)
    assert len(kept) == len(fresh), "the state file's identity key has a length this program never wrote"
    return Identity((int.from_bytes(kept[:8], "little"), int.from_bytes(kept[8:16], "little")), kept[16:])


def remember(connection: sqlite3.Connection, name: str, value: bytes) -> None:
    """In the place of what was remembered under that name."""
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))


def remembered(connection: sqlite3.Connection, name: str) -> bytes:
    """b"" = nothing."""
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return b"" if row is None else bytes(row[0])


def _number(connection: sqlite3.Connection, name: str) -> int:
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return 0 if row is None else int(bytes(row[0]))


def _incident(row: Sequence[object]) -> IncidentRow:
    incident_id, seq, status, severity, body = row
    assert isinstance(seq, int) and isinstance(severity, int) and isinstance(body, bytes)
    return IncidentRow(str(incident_id), seq, str(status), _NAMES[severity], body)
