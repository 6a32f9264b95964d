"""The state file: opened safely, checked, migrated. A damaged one is moved aside, never deleted. Blocking."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from detector.store.rows import Opened, StoreError, StoreFull, StoreUnusable
from detector.store.schema import MIGRATIONS, VERSION

BUSY_MS = 5_000  # a helper command may hold the file this long before a commit gives up
WAL_BYTES_MAX = 64 << 20  # what is left of the write-ahead log after a checkpoint
WAL_PAGES_MAX = 16_384  # a commit that finds the log this long folds it in itself, and waits for that
CACHE_KIB = 8_192


class Database:
    """One connection. `transaction()` is the only way in; every sqlite3 error leaves it as a StoreError."""

    def __init__(self, path: Path, *, owner: bool = True, ballast_bytes: int = 0) -> None:
        """owner: the daemon, which may repair and migrate and of which there is one; False: a helper beside it.
        ballast_bytes: kept beside the file to be given up when the disk is full; 0 = none."""
        self.path = path
        self.opened = Opened()
        self._ballast = path.with_name("ballast")
        self._lock: int | None = None
        try:
            if owner:
                self._own(ballast_bytes)
            elif not path.exists():
                raise StoreUnusable(f"{path} is not there: has the daemon run with this state directory?")
            self.connection = _connect(path)
            self._migrate(owner)
        except BaseException:
            self._unlock()
            raise

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, on disk when it ends."""
        with _typed_errors():
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                # SQLITE_FULL and its like have rolled back already, and would make a second ROLLBACK an error
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise

    def give_up_ballast(self) -> bool:
        """Make a little room on a full disk. False: there was none left to give."""
        try:
            self._ballast.unlink()
        except OSError:
            return False
        return True

    def fold_in(self) -> None:
        """Move the write-ahead log into the file, beside whoever writes: on a connection of its own, in another thread.
        What a reader still needs stays for the next time."""
        with _typed_errors():
            connection = sqlite3.connect(self.path, timeout=BUSY_MS / 1000, isolation_level=None)
            try:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
            finally:
                connection.close()

    def close(self) -> None:
        """Fold the write-ahead log in and let go of the file."""
        with suppress(sqlite3.Error):
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.connection.close()
        self._unlock()

    def _own(self, ballast_bytes: int) -> None:
        directory = self.path.parent
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if directory.stat().st_mode & 0o022:
                self._close_to_others(directory)
            self._lock = os.open(self.path.with_name(self.path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            created = not self.path.exists()
            emptied = not created and self.path.stat().st_size == 0 and self._ballast.exists()
            # made before SQLite opens it: the -wal and -shm files take their mode from it
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            self.path.chmod(0o600)
            self._reserve(ballast_bytes)
        except BlockingIOError:
            raise StoreUnusable(
                f"{self.path} is in use by another foreshock; give this one its own state directory"
            ) from None
        except OSError as error:
            raise StoreUnusable(f"{self.path} cannot be opened: {error.strerror}") from None
        why = "it is empty" if emptied else _damage(self.path)
        moved = _move_aside(self.path) if why else ""
        self.opened = Opened(moved, why, created or bool(moved))

    def _close_to_others(self, directory: Path) -> None:
        """It is ours, whoever opened it to a group (a volume's fsGroup does, at every start of a pod). What everybody
        can write is some shared place, and not ours to close."""
        told = directory.stat()
        if told.st_uid == os.geteuid() and not told.st_mode & 0o002:
            with suppress(OSError):
                directory.chmod(0o700)
        if directory.stat().st_mode & 0o022:
            raise StoreUnusable(f"{directory} can be written by others; make it mode 0700")

    def copy_to(self, path: Path) -> None:
        """The file as it is, whole."""
        with _typed_errors():
            copy = sqlite3.connect(path)
            try:
                self.connection.backup(copy)
            finally:
                copy.close()

    def _reserve(self, size: int) -> None:
        if size == 0 or (self._ballast.exists() and self._ballast.stat().st_size >= size):
            return
        file = os.open(self._ballast, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.posix_fallocate(file, 0, size)
        except OSError:
            self._ballast.unlink()  # the disk is nearly full already: do not take the rest
        finally:
            os.close(file)

    def _migrate(self, owner: bool) -> None:
        with _typed_errors():
            (version,) = self.connection.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            self.connection.close()
            raise StoreUnusable(
                f"{self.path} has schema {version}, this foreshock knows up to {VERSION}: run the newer one"
            )
        if version < VERSION and not owner:
            self.connection.close()
            raise StoreUnusable(f"{self.path} has the older schema {version}: start the daemon once to migrate it")
        for number in range(version, VERSION):
            with self.transaction() as connection:
                for statement in _statements(MIGRATIONS[number]):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {number + 1}")

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _connect(path: Path) -> sqlite3.Connection:
    with _typed_errors():
        # autocommit at the driver: transactions are begun and ended by hand, where they can be read
        connection = sqlite3.connect(path, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES_MAX}")  # `fold_in` comes long before
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_MAX}")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        return connection


def _damage(path: Path) -> str:
    """What is wrong with the file, '' = nothing."""
    try:
        connection = sqlite3.connect(path, timeout=BUSY_MS / 1000, isolation_level=None)
        try:
            answers = [str(row[0]) for row in connection.execute("PRAGMA quick_check(3)")]
        finally:
            connection.close()
    except sqlite3.Error as error:
        if _is_damage(error):
            return str(error)
        raise StoreUnusable(f"{path} cannot be read: {error}") from None
    return "" if answers == ["ok"] else "; ".join(answers)


def _move_aside(path: Path) -> str:
    number = 1
    while path.with_name(f"{path.name}.corrupt-{number}").exists():
        number += 1
    aside = path.with_name(f"{path.name}.corrupt-{number}")
    for suffix in ("-wal", "-shm"):  # what belongs to the damaged file must not be applied to the new one
        beside = path.with_name(path.name + suffix)
        if beside.exists():
            beside.rename(aside.with_name(aside.name + suffix))
    path.rename(aside)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    return aside.name


def _statements(script: str) -> Iterator[str]:
    """executescript would commit by itself; the statements one by one stay in our transaction."""
    lines = [line for line in script.splitlines() if not line.strip().startswith("--")]
    for statement in "\n".join(lines).split(";"):
        if statement.strip():
            yield statement


def _is_damage(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@contextmanager
def _typed_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        if _is_damage(error):
            raise StoreUnusable(f"the state file is damaged: {error}") from error
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
            raise StoreFull(f"no space left for the state file: {error}") from error
        raise StoreError(f"the state file cannot be used: {error}") from error
