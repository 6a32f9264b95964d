"""The tables, as migrations: the n-th brings a file from user_version n-1 to n. A released one is never edited."""

from __future__ import annotations

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;

    -- state and the offsets it stands at; the newest two are kept
    CREATE TABLE checkpoints (
        generation INTEGER PRIMARY KEY AUTOINCREMENT,
        at_s REAL NOT NULL, config_rev TEXT NOT NULL, state_bytes INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE positions (
        generation INTEGER NOT NULL REFERENCES checkpoints ON DELETE CASCADE,
        topic TEXT NOT NULL, partition INTEGER NOT NULL, next_offset INTEGER NOT NULL,
        PRIMARY KEY (generation, topic, partition)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE chunks (
        generation INTEGER NOT NULL REFERENCES checkpoints ON DELETE CASCADE,
        number INTEGER NOT NULL, bytes BLOB NOT NULL,
        UNIQUE (generation, number)
    ) STRICT;

    CREATE TABLE incidents (
        incident_id TEXT PRIMARY KEY, seq INTEGER NOT NULL, status TEXT NOT NULL, severity INTEGER NOT NULL,
        body BLOB NOT NULL, created_s REAL NOT NULL, updated_s REAL NOT NULL
    ) STRICT;
    CREATE INDEX incidents_by_time ON incidents (updated_s);

    -- delivered letters stay for a while: an alert made again after a crash must find its key taken
    CREATE TABLE outbox (
        id INTEGER PRIMARY KEY,
        key TEXT NOT NULL, destination TEXT NOT NULL, incident_id TEXT NOT NULL, seq INTEGER NOT NULL,
        severity INTEGER NOT NULL, body BLOB NOT NULL,
        status TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'dead')),
        attempts INTEGER NOT NULL DEFAULT 0, created_s REAL NOT NULL, due_s REAL NOT NULL,
        finished_s REAL, why TEXT NOT NULL DEFAULT '',
        UNIQUE (key, destination)
    ) STRICT;
    CREATE INDEX outbox_pending ON outbox (destination, incident_id, seq) WHERE status = 'pending';
    CREATE INDEX outbox_finished ON outbox (finished_s) WHERE status <> 'pending';

    CREATE TABLE dead_letters (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        topic TEXT NOT NULL, partition INTEGER NOT NULL, offset INTEGER NOT NULL,
        reason TEXT NOT NULL, sample BLOB NOT NULL, at_s REAL NOT NULL,
        UNIQUE (topic, partition, offset, reason)
    ) STRICT;
    """,
)

VERSION = len(MIGRATIONS)
