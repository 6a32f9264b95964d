"""Ask: the state file, from a command beside a running daemon. Nothing here repairs or migrates it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from detector.cli.base import Exit, Refusal
from detector.store.rows import StoreError
from detector.store.store import Store
from detector.wiring.config import load_settings

T = TypeVar("T")


def ask(path: Path | None, question: Callable[[Store], Awaitable[T]]) -> T:
    """The answer of the configuration's state file. Raises Refusal (bad state) when it cannot be used."""
    directory = load_settings(path).state.directory

    async def asked() -> T:
        store = await Store.open(directory, owner=False)
        try:
            return await question(store)
        finally:
            await store.close()

    try:
        return asyncio.run(asked())
    except StoreError as error:
        raise Refusal(Exit.STATE, str(error)) from error


def instant(seconds: float) -> str:
    """UTC, to the second.

    >>> instant(0.0)
    '1970-01-01T00:00:00Z'
    """
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
